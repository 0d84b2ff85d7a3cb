/*
 * searcher.c
 *	  Searching an index by function: the access method's own scan, driven without a plan.
 *
 * NOTES
 *	  Rows are those that ORDER BY would return: seen by the statement's snapshot, with the rights
 *	  of the caller, who has not named the expressions of the index: these run as the table's
 *	  owner. A plan knows the table's row-level security; a function does not, so it refuses
 *	  where any is in force for the user.
 */
#include "postgres.h"

#include <math.h>

#include "access/genam.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"

#include "admin/searcher.h"
#include "am/support.h"

/* What the planner asks before it uses an index. */
static void
check_usable(Relation index)
{
	if (!index->rd_index->indisvalid)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("index \"%s\" is not valid", RelationGetRelationName(index)),
						errhint("Rebuild it with REINDEX.")));
	if (index->rd_index->indcheckxmin &&
		!TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data),
							   TransactionXmin))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("index \"%s\" is too new for this transaction",
							   RelationGetRelationName(index)),
						errhint("Try again when older transactions have ended.")));
}

void
ann_searcher_open(AnnSearcher *searcher, Oid index)
{
	memset(searcher, 0, sizeof(*searcher));
	searcher->index =
		ann_admin_open(index, AccessShareLock, ANN_ADMIN_REVEALS_ROWS, &searcher->heap);
	check_usable(searcher->index);
	searcher->support = ann_support_get(searcher->index);
	searcher->slot = table_slot_create(searcher->heap, NULL);
	searcher->index_info = BuildIndexInfo(searcher->index);
	searcher->as_owner = searcher->index_info->ii_Expressions != NIL;
	if (searcher->as_owner)
		ann_owner_begin(&searcher->owner, searcher->heap);
	searcher->estate = CreateExecutorState();
	GetPerTupleExprContext(searcher->estate)->ecxt_scantuple = searcher->slot;
	searcher->row_context =
		AllocSetContextCreate(CurrentMemoryContext, "ann row", ALLOCSET_DEFAULT_SIZES);
}

void
ann_searcher_close(AnnSearcher *searcher)
{
	ExecDropSingleTupleTableSlot(searcher->slot);
	FreeExecutorState(searcher->estate);
	MemoryContextDelete(searcher->row_context);
	if (searcher->as_owner)
		ann_owner_end(&searcher->owner);
	ann_admin_close(searcher->index, searcher->heap, AccessShareLock);
}

IndexScanDesc
ann_searcher_begin(const AnnSearcher *searcher, const AnnScanRequest *request)
{
	IndexScanDesc scan =
		ann_index_beginscan(searcher->heap, searcher->index, GetActiveSnapshot(), 0, 0);

	index_rescan(scan, NULL, 0, NULL, 0);
	ann_scan_request(scan, request);
	return scan;
}

/* The distance of the row in the slot; false where its value is NULL. */
static bool
read_distance(AnnSearcher *searcher, const AnnScanRequest *request, double *distance)
{
	MemoryContext old = MemoryContextSwitchTo(searcher->row_context);
	Datum values[INDEX_MAX_KEYS];
	bool nulls[INDEX_MAX_KEYS];

	FormIndexDatum(searcher->index_info, searcher->slot, searcher->estate, values, nulls);
	if (!nulls[0])
	{
		const AnnTypeSupport *support = searcher->support;
		struct varlena *value = PG_DETOAST_DATUM(values[0]);
		int dim = ann_value_dim(support, value, request->dim);
		float *scratch = palloc(sizeof(float) * dim);

		*distance = support->distance(support->floats(value, scratch), request->query, dim);
	}
	ResetPerTupleExprContext(searcher->estate);
	MemoryContextSwitchTo(old);
	MemoryContextReset(searcher->row_context);
	return !nulls[0];
}

/*
 * Rows with NULL come last of all, so the first one is the end. The scan knows the distance of the
 * rows that it has read itself, which are all that it has ordered, unless it orders by estimates.
 */
bool
ann_searcher_next(AnnSearcher *searcher, IndexScanDesc scan, AnnFound *found)
{
	ItemPointer tid;

	while ((tid = index_getnext_tid(scan, ForwardScanDirection)) != NULL)
	{
		bool some = true;

		CHECK_FOR_INTERRUPTS();
		found->entry = ann_tid_from_pointer(tid);
		if (!index_fetch_heap(scan, searcher->slot))
			continue;
		found->tid = searcher->slot->tts_tid;
		found->distance = ann_scan_distance(scan);
		if (isnan(found->distance) || !ann_scan_is_exact(scan))
			some = read_distance(searcher, ann_scan_requested(scan), &found->distance);
		ExecClearTuple(searcher->slot);
		return some;
	}
	return false;
}

int
ann_searcher_count(FunctionCallInfo fcinfo, int n, const char *name, int least)
{
	int value;

	if (PG_ARGISNULL(n))
		return -1;
	value = PG_GETARG_INT32(n);
	if (value < least)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s must be at least %d", name, least)));
	return value;
}
