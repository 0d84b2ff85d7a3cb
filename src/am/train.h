/*
 * train.h
 *	  Training and absorption, as vacuum and ann_train() use them; rows fetched by their
 *	  identifiers.
 */
#ifndef ANN_AM_TRAIN_H
#define ANN_AM_TRAIN_H

#include "access/relscan.h"
#include "nodes/execnodes.h"

#include "am/am.h"

/* Fetches the indexed value of rows by identifier, as they are at that moment. */
typedef struct AnnFetcher
{
	Relation heap;
	Relation index;
	IndexInfo *index_info;
	EState *estate;
	TupleTableSlot *slot;
	struct IndexFetchTableData *fetch;
	BlockNumber num_blocks; /* of the heap, when last asked */
} AnnFetcher;

extern void ann_fetcher_init(AnnFetcher *fetcher, Relation heap, Relation index);
extern void ann_fetcher_free(AnnFetcher *fetcher);
/*
 * The row's indexed value; false when it is deleted, or not committed (nor ours). The value is
 * valid until the next call. Keeps a pin on the row's page until ann_fetcher_release.
 */
extern bool
ann_fetcher_get(AnnFetcher *fetcher, const ItemPointerData *tid, Datum *value, bool *isnull);
extern void ann_fetcher_release(AnnFetcher *fetcher);

/*
 * Trains an untrained index whose exact leaf holds more than min_rows rows; true if it did. Caller
 * holds ShareUpdateExclusiveLock on the table. wait: whether to wait for the TOAST table's lock.
 */
extern bool ann_train_index(Relation heap, Relation index, double min_rows, bool wait);

/* Erases what a training has moved (flagged) from the exact leaf of a trained index. */
extern void ann_train_erase_moved(Relation index);

/*
 * Moves rows that can be coded from the exact leaf of a trained index into its leaves: rows that
 * came while it was trained. Same lock.
 */
extern void ann_train_absorb(Relation heap, Relation index);

#endif
