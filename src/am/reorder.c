/*
 * reorder.c
 *	  Exact distances of candidates: their values from the heap, under the scan's snapshot, and the
 *	  SQL operator's own function.
 *
 * NOTES
 *	  The fetch follows HOT chains and overwrites the row identifier that it is given with the
 *	  visible member's, which is none that an index may return: so it always gets a copy. A row that
 *	  is not visible is passed over; that it is dead to all is not noted anywhere.
 *
 *	  One slot and one fetch state serve all batches and rescans. Both may hold a pin on a heap
 *	  page: they are emptied after each batch, so no pin of ours survives a call of amgettuple,
 *	  where it could keep vacuum waiting for as long as a cursor stays open.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "nodes/execnodes.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "am/scan.h"
#include "store/find.h"
#include "store/recent.h"

/* Lines of a row that are asked for: its header and the first elements; the hardware follows. */
#define PREFETCH_BYTES 640

static inline BlockNumber
block_of(AnnTid tid)
{
	return (BlockNumber) tid.block_hi << 16 | tid.block_lo;
}

void
ann_reorder_begin(AnnReorder *reorder, IndexScanDesc scan, const AnnTypeSupport *support)
{
	reorder->scan = scan;
	reorder->support = support;
	reorder->context = CurrentMemoryContext;
	reorder->batch =
		AllocSetContextCreate(CurrentMemoryContext, "annivf reordering", ALLOCSET_DEFAULT_SIZES);
	reorder->fetch = table_index_fetch_begin(scan->heapRelation);
	reorder->is_heap = scan->heapRelation->rd_tableam == GetHeapamTableAmRoutine();
	reorder->slot = table_slot_create(scan->heapRelation, NULL);
	reorder->attno = scan->indexRelation->rd_index->indkey.values[0];
	reorder->index_info = NULL;
	reorder->estate = NULL;
	if (reorder->attno == 0)
	{
		reorder->index_info = BuildIndexInfo(scan->indexRelation);
		reorder->estate = CreateExecutorState();
		GetPerTupleExprContext(reorder->estate)->ecxt_scantuple = reorder->slot;
	}
	reorder->num_blocks = 0;
}

void
ann_reorder_set_query(AnnReorder *reorder, const float *query, float *scratch, int dim)
{
	reorder->query = query;
	reorder->scratch = scratch;
	reorder->dim = dim;
}

void
ann_reorder_end(AnnReorder *reorder)
{
	table_index_fetch_end(reorder->fetch);
	ExecDropSingleTupleTableSlot(reorder->slot);
	if (reorder->estate != NULL)
		FreeExecutorState(reorder->estate);
}

/*
 * The heap cannot have shrunk under the scan (truncation takes an exclusive lock), but may have
 * grown, so its length is asked again before the index is called damaged.
 */
void
ann_reorder_check_tid(AnnReorder *reorder, AnnTid tid)
{
	BlockNumber blkno = block_of(tid);

	if (likely(blkno < reorder->num_blocks))
		return;
	reorder->num_blocks = RelationGetNumberOfBlocks(reorder->scan->heapRelation);
	if (blkno >= reorder->num_blocks)
		ann_row_corrupted(reorder->scan->indexRelation, tid,
						  psprintf("it points to block %u of table \"%s\", which has %u blocks",
								   blkno, RelationGetRelationName(reorder->scan->heapRelation),
								   reorder->num_blocks));
}

/* The indexed value of the row in the slot. */
static Datum
value_in_slot(AnnReorder *reorder, bool *isnull)
{
	Datum values[INDEX_MAX_KEYS];
	bool nulls[INDEX_MAX_KEYS];

	if (reorder->attno != 0)
		return slot_getattr(reorder->slot, reorder->attno, isnull);
	FormIndexDatum(reorder->index_info, reorder->slot, reorder->estate, values, nulls);
	*isnull = nulls[0];
	return values[0];
}

/*
 * Every visible row under an entry of the index has the index's dimensions, as its insertion would
 * have failed otherwise. One that has not shows that index and table do not belong together
 * (damage, or an expression that is not immutable), not that the query is wrong.
 */
static double
distance_of(AnnReorder *reorder, AnnTid tid, Datum value)
{
	const AnnTypeSupport *support = reorder->support;
	struct varlena *detoasted = PG_DETOAST_DATUM(value);
	double distance;

	if (support->dim(detoasted) != reorder->dim)
		ann_row_corrupted(reorder->scan->indexRelation, tid,
						  psprintf("it points to a row of %d dimensions, not %d",
								   support->dim(detoasted), reorder->dim));
	distance = support->distance(support->floats(detoasted, reorder->scratch), reorder->query,
								 reorder->dim);
	if (PointerGetDatum(detoasted) != value)
		pfree(detoasted);
	return distance;
}

/*
 * Pins the page of the next row where it was last seen, and hands the pin to the fetch, which then
 * needs no look-up. (It does not prune such a page either, which those found by look-up still are.)
 * Other table access methods have fetches of their own shape.
 */
static void
pin_page(AnnReorder *reorder, BlockNumber blkno)
{
	IndexFetchHeapData *fetch = (IndexFetchHeapData *) reorder->fetch;
	Buffer buffer;

	if (!reorder->is_heap ||
		(BufferIsValid(fetch->xs_cbuf) && BufferGetBlockNumber(fetch->xs_cbuf) == blkno) ||
		!ann_recent_pin(reorder->scan->heapRelation, blkno, &buffer))
		return;
	if (BufferIsValid(fetch->xs_cbuf))
		ReleaseBuffer(fetch->xs_cbuf);
	fetch->xs_cbuf = buffer;
}

/* Remembers where the page of a row was. */
static void
note_page(AnnReorder *reorder, BlockNumber blkno)
{
	IndexFetchHeapData *fetch = (IndexFetchHeapData *) reorder->fetch;

	if (reorder->is_heap && BufferIsValid(fetch->xs_cbuf) &&
		BufferGetBlockNumber(fetch->xs_cbuf) == blkno)
		ann_recent_set(reorder->scan->heapRelation, blkno, fetch->xs_cbuf);
}

/*
 * Starts loading the lines of the rows that are in memory: line pointers first, rows behind them.
 */
static void
prefetch_lines(AnnReorder *reorder, const AnnRow *rows, int num)
{
	Relation heap = reorder->scan->heapRelation;

	if (!reorder->is_heap)
		return;
	for (int i = 0; i < num; i++)
		ann_recent_prefetch(heap, block_of(rows[i].tid),
							SizeOfPageHeaderData + rows[i].tid.offset * sizeof(ItemIdData),
							sizeof(ItemIdData));
	for (int i = 0; i < num; i++)
		ann_recent_prefetch_item(heap, block_of(rows[i].tid), rows[i].tid.offset, PREFETCH_BYTES);
}

static void
read_row(AnnReorder *reorder, AnnRow *row)
{
	BlockNumber blkno = block_of(row->tid);
	ItemPointerData pointer;
	bool call_again = false;
	bool isnull;
	Datum value;

	ann_tid_to_pointer(row->tid, &pointer);
	reorder->num_fetches++;
	row->state = ANN_ROW_GONE;
	pin_page(reorder, blkno);
	if (!table_index_fetch_tuple(reorder->fetch, &pointer, reorder->scan->xs_snapshot,
								 reorder->slot, &call_again, NULL))
		return;
	note_page(reorder, blkno);
	value = value_in_slot(reorder, &isnull);
	row->state = isnull ? ANN_ROW_NULL : ANN_ROW_FOUND;
	if (!isnull && reorder->query != NULL)
		row->distance = distance_of(reorder, row->tid, value);
	if (reorder->estate != NULL)
		ResetPerTupleExprContext(reorder->estate);
}

static int
compare_rows(const void *left, const void *right)
{
	uint64 a = ann_tid_order(((const AnnRow *) left)->tid);
	uint64 b = ann_tid_order(((const AnnRow *) right)->tid);

	return (a > b) - (a < b);
}

/* Did the last batch of this backend have to read pages? */
static bool last_batch_read = true;

/*
 * Asks for the pages of sorted rows. Not worth its look-ups while everything is found in memory: it
 * is done at first, and as long as batches have to read.
 */
static void
prefetch_rows(AnnReorder *reorder, const AnnRow *rows, int num)
{
	BlockNumber last = InvalidBlockNumber;

	if (!last_batch_read || effective_io_concurrency == 0)
		return;
	for (int i = 0; i < num; i++)
	{
		BlockNumber blkno = block_of(rows[i].tid);

		if (blkno != last && i > 0)
			PrefetchBuffer(reorder->scan->heapRelation, MAIN_FORKNUM, blkno);
		last = blkno;
	}
}

void
ann_reorder_read(AnnReorder *reorder, AnnRow *rows, int num)
{
	MemoryContext old = MemoryContextSwitchTo(reorder->batch);
	int64 reads = ann_pages_read();

	CHECK_FOR_INTERRUPTS();
	if (num > 1)
		qsort(rows, num, sizeof(AnnRow), compare_rows);
	/* The last row has the greatest block, and the others are checked with it. */
	if (num > 0)
		ann_reorder_check_tid(reorder, rows[num - 1].tid);
	prefetch_rows(reorder, rows, num);
	prefetch_lines(reorder, rows, num);
	for (int i = 0; i < num; i++)
		read_row(reorder, &rows[i]);
	ExecClearTuple(reorder->slot);
	table_index_fetch_reset(reorder->fetch);
	last_batch_read = ann_pages_read() != reads;
	MemoryContextSwitchTo(old);
	MemoryContextReset(reorder->batch);
}
