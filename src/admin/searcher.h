/*
 * searcher.h
 *	  An index opened for the functions that search it (search.c, range.c, batch.c, tune.c).
 */
#ifndef ANN_ADMIN_SEARCHER_H
#define ANN_ADMIN_SEARCHER_H

#include "postgres.h"

#include "access/relscan.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"

#include "admin/admin.h"
#include "am/owner.h"
#include "am/scan.h"

typedef struct AnnSearcher
{
	Relation heap;
	Relation index;
	const AnnTypeSupport *support;
	TupleTableSlot *slot; /* the row that was found last */
	IndexInfo *index_info;
	EState *estate;
	MemoryContext row_context; /* reset per row */
	bool as_owner;             /* the index has expressions, so the searches run as him */
	AnnOwner owner;
} AnnSearcher;

/* A row as a search returns it. */
typedef struct AnnFound
{
	AnnTid entry; /* as the index has it: the head of a HOT chain */
	ItemPointerData tid;
	double distance; /* the operator's; may be NaN */
} AnnFound;

/*
 * Opens an index for searches under the active snapshot, which returns every row but those with
 * NULL. AccessShareLock on it and its table; errors of ann_admin_open, and
 * OBJECT_NOT_IN_PREREQUISITE_STATE for an index that a query could not use either.
 */
extern void ann_searcher_open(AnnSearcher *searcher, Oid index);
extern void ann_searcher_close(AnnSearcher *searcher);

/* A scan of a request, to be ended with index_endscan(). */
extern IndexScanDesc ann_searcher_begin(const AnnSearcher *searcher, const AnnScanRequest *request);
/* Its next row; false at the end. */
extern bool ann_searcher_next(AnnSearcher *searcher, IndexScanDesc scan, AnnFound *found);

/*
 * Argument number n: a count of at least 1 (`least`: 0), -1 for NULL; INVALID_PARAMETER_VALUE else.
 */
extern int ann_searcher_count(FunctionCallInfo fcinfo, int n, const char *name, int least);

#endif
