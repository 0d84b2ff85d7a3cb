/*
 * verify_rows.c
 *	  The parts of ann_check() for the rows: each stands where it should, once: I-7, I-8.
 *
 * NOTES
 *	  Every row identifier that a walk meets, and with heapallindexed every one that the table has,
 *	  goes into one sort, as a number of block, offset and place. Reading back, all that is known of
 *	  a row comes together.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "compat.h"

#include "admin/verify.h"

/* A lost index would fill the disk with its rows: this many are named, the others counted. */
#define MAX_ROW_PROBLEMS 1000

/* The sort key: block (32 bits), offset (16), place (4). */
#define PLACE_BITS 4
#define OFFSET_BITS 16

StaticAssertDecl(ANN_ROW_PLACES <= (1 << PLACE_BITS), "places fit the sort key");

/*
 * What is known of a row: how often it stands where, and for each the last block of the index and
 * leaf.
 */
typedef struct Row
{
	int64 number; /* block and offset; -1: none */
	int64 count[ANN_ROW_PLACES];
	BlockNumber blkno[ANN_ROW_PLACES];
	uint32 leaf[ANN_ROW_PLACES];
} Row;

void
ann_check_rows_begin(AnnCheck *check)
{
	AttrNumber attributes[] = {1};
	Oid operators[] = {Int8LessOperator};
	Oid collations[] = {InvalidOid};
	bool nulls_first[] = {false};
	TupleDesc desc = CreateTemplateTupleDesc(2);

	TupleDescInitEntry(desc, 1, "row", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 2, "leaf and block", INT8OID, -1, 0);
	check->row_in = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	check->row_out = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	check->rows = tuplesort_begin_heap(desc, 1, attributes, operators, collations, nulls_first,
									   maintenance_work_mem, NULL, TUPLESORT_NONE);
}

void
ann_check_row(AnnCheck *check, AnnTid tid, AnnRowPlace place, BlockNumber blkno, uint32 leaf)
{
	TupleTableSlot *slot = check->row_in;
	int64 block = (int64) tid.block_hi << 16 | tid.block_lo;

	check->found[place]++;
	ExecClearTuple(slot);
	slot->tts_values[0] = Int64GetDatum((block << OFFSET_BITS | tid.offset) << PLACE_BITS | place);
	slot->tts_values[1] = Int64GetDatum((int64) ((uint64) leaf << 32 | blkno));
	memset(slot->tts_isnull, false, 2);
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(check->rows, slot);
}

/* ---- the table ---- */

static void
heap_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	ann_check_row(arg, ann_tid_from_pointer(tid), isnull[0] ? ANN_ROW_HEAP_NULL : ANN_ROW_HEAP,
				  InvalidBlockNumber, ANN_NO_LEAF);
}

void
ann_check_heap(AnnCheck *check, Snapshot snapshot)
{
	ann_admin_scan_rows(check->heap, check->index, snapshot, heap_row, check);
}

/* ---- comparing ---- */

static void
row_problem(AnnCheck *check, const Row *row, BlockNumber blkno, const char *invariant,
			const char *what)
{
	if (++check->row_problems <= MAX_ROW_PROBLEMS)
		ann_check_mismatch(check, blkno, invariant, "row (%u,%u) %s",
						   (BlockNumber) (row->number >> OFFSET_BITS),
						   (unsigned) (row->number & ((1 << OFFSET_BITS) - 1)), what);
}

/* A block of the index where the row stands in one of these places, the later ones first. */
static BlockNumber
row_block(const Row *row, AnnRowPlace from, AnnRowPlace to)
{
	for (int place = to; place >= (int) from; place--)
		if (row->count[place] > 0)
			return row->blkno[place];
	return InvalidBlockNumber;
}

/* What the table says of the row, beside what the index says. */
static void
check_visible_row(AnnCheck *check, const Row *row)
{
	int64 with_value = row->count[ANN_ROW_PRIMARY] + row->count[ANN_ROW_EXACT];
	int64 with_null = row->count[ANN_ROW_NULL_LEAF];

	if (with_value + with_null == 0)
		row_problem(check, row, InvalidBlockNumber, "I-7", "is not in the index");
	else if (row->count[ANN_ROW_HEAP] > 0 && with_value == 0)
		row_problem(check, row, row->blkno[ANN_ROW_NULL_LEAF], "I-7",
					"has a value and stands in the NULL leaf");
	else if (row->count[ANN_ROW_HEAP_NULL] > 0 && with_null == 0)
		row_problem(check, row, row_block(row, ANN_ROW_PRIMARY, ANN_ROW_EXACT), "I-7",
					"is NULL and does not stand in the NULL leaf");
}

/* A secondary entry alone is no fault: a vacuum that did not finish has left it of a dead row. */
static void
check_secondary(AnnCheck *check, const Row *row)
{
	BlockNumber blkno = row->blkno[ANN_ROW_SECONDARY];

	if (row->count[ANN_ROW_SECONDARY] > 1)
		row_problem(check, row, blkno, "I-7", "has more than one secondary entry");
	if (row->count[ANN_ROW_PRIMARY] == 0)
	{
		if (row->count[ANN_ROW_EXACT] + row->count[ANN_ROW_NULL_LEAF] > 0)
			row_problem(check, row, blkno, "I-7", "has a secondary entry and no primary one");
	}
	else if (row->leaf[ANN_ROW_PRIMARY] == row->leaf[ANN_ROW_SECONDARY])
		row_problem(check, row, blkno, "I-7", "has both entries in one leaf");
}

/* All that was noted of one row. */
static void
check_row(AnnCheck *check, const Row *row, int64 heap_blocks)
{
	int64 entries =
		row->count[ANN_ROW_PRIMARY] + row->count[ANN_ROW_EXACT] + row->count[ANN_ROW_NULL_LEAF];
	BlockNumber last = row_block(row, ANN_ROW_PRIMARY, ANN_ROW_NULL_LEAF);

	if (entries > 1)
		row_problem(check, row, last, "I-7", "stands in the index more than once");
	if (row->count[ANN_ROW_SECONDARY] > 0)
		check_secondary(check, row);
	if (row->count[ANN_ROW_MOVED] > 0 && row->count[ANN_ROW_PRIMARY] == 0)
		row_problem(check, row, row->blkno[ANN_ROW_MOVED], "I-8",
					"is flagged as moved and stands in no leaf");
	if (last != InvalidBlockNumber && heap_blocks >= 0 && row->number >> OFFSET_BITS >= heap_blocks)
		row_problem(check, row, last, "I-6", "is past the end of the table");
	if (row->count[ANN_ROW_HEAP] + row->count[ANN_ROW_HEAP_NULL] > 0)
		check_visible_row(check, row);
}

/*
 * Blocks of the table; -1 where row identifiers need not be blocks. Asked for after the walks: the
 * table only grows while we hold its lock, and a row is in it before it is in the index.
 */
static int64
count_heap_blocks(Relation heap)
{
	if (heap->rd_tableam != GetHeapamTableAmRoutine())
		return -1;
	return RelationGetNumberOfBlocks(heap);
}

void
ann_check_rows_end(AnnCheck *check)
{
	int64 heap_blocks = count_heap_blocks(check->heap);
	Row row = {.number = -1};

	tuplesort_performsort(check->rows);
	while (tuplesort_gettupleslot(check->rows, true, false, check->row_out, NULL))
	{
		bool isnull;
		int64 key = DatumGetInt64(slot_getattr(check->row_out, 1, &isnull));
		int place = key & ((1 << PLACE_BITS) - 1);
		uint64 where = (uint64) DatumGetInt64(slot_getattr(check->row_out, 2, &isnull));

		CHECK_FOR_INTERRUPTS();
		if (key >> PLACE_BITS != row.number)
		{
			if (row.number >= 0)
				check_row(check, &row, heap_blocks);
			memset(&row, 0, sizeof(row));
			row.number = key >> PLACE_BITS;
		}
		row.count[place]++;
		row.blkno[place] = (BlockNumber) where;
		row.leaf[place] = where >> 32;
	}
	if (row.number >= 0)
		check_row(check, &row, heap_blocks);
	tuplesort_end(check->rows);
	ExecDropSingleTupleTableSlot(check->row_in);
	ExecDropSingleTupleTableSlot(check->row_out);
	if (check->row_problems > MAX_ROW_PROBLEMS)
		ann_check_unlisted(check, check->row_problems - MAX_ROW_PROBLEMS);
}
