/*
 * locate.c
 *	  In which of the leaves searched rows stand, and with what code: for functions that tell it.
 *
 * NOTES
 *	  A candidate carries no leaf, as most are never returned; the few rows that are asked for are
 *	  looked up by another pass over the searched leaves, in their order, to the last row wanted.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/pg_bitutils.h"

#include "am/scan.h"

/* Bits of the filter in front of the look-up: few rows leave nearly all of them clear. */
#define FILTER_BITS 4096

typedef struct Locate
{
	Relation index;
	const AnnModel *model;
	const AnnRankedLeaf *leaf;
	AnnLocated **rows; /* by row identifier */
	int num;
	int num_missing;
	uint64 filter[FILTER_BITS / 64];
} Locate;

static int
compare_rows(const void *left, const void *right)
{
	uint64 a = ann_tid_order((*(AnnLocated *const *) left)->tid);
	uint64 b = ann_tid_order((*(AnnLocated *const *) right)->tid);

	return (a > b) - (a < b);
}

static uint32
filter_bit(AnnTid tid)
{
	return (uint32) (ann_tid_order(tid) * UINT64_C(0x9e3779b97f4a7c15) >> 32) % FILTER_BITS;
}

static AnnLocated *
find_row(const Locate *locate, AnnTid tid)
{
	uint32 bit = filter_bit(tid);
	uint64 order = ann_tid_order(tid);
	int low = 0;
	int high = locate->num;

	if ((locate->filter[bit / 64] & UINT64_C(1) << bit % 64) == 0)
		return NULL;
	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (ann_tid_order(locate->rows[middle]->tid) < order)
			low = middle + 1;
		else
			high = middle;
	}
	return low < locate->num && ann_tid_order(locate->rows[low]->tid) == order ? locate->rows[low]
																			   : NULL;
}

/* AnnBlockVisitor: notes the rows that have an entry in the block. */
static void
visit_block(void *arg, const void *block)
{
	Locate *locate = arg;
	const AnnBlockLayout *layout = &locate->model->layout;

	for (uint32 rest = ((const AnnBlockHeader *) block)->live; rest != 0; rest &= rest - 1)
	{
		int lane = pg_rightmost_one_pos32(rest);
		uint16 flags;
		AnnLocated *row = find_row(locate, ann_block_tid(block, layout, lane, &flags));

		if (row == NULL || row->found)
			continue;
		row->found = true;
		row->leaf = locate->leaf->entry.leaf;
		row->place = locate->leaf->place;
		row->scale = ann_block_factors(block, layout, lane).s;
		ann_leaf_codes(locate->index, locate->model, block, lane, row->codes);
		locate->num_missing--;
	}
}

void
ann_search_locate(AnnSearch *search, AnnLocated *rows, int num)
{
	Locate locate = {.index = search->index, .model = &search->model, .num = num};

	locate.num_missing = num;
	locate.rows = palloc(sizeof(AnnLocated *) * Max(num, 1));
	for (int i = 0; i < num; i++)
	{
		uint32 bit = filter_bit(rows[i].tid);

		rows[i].found = false;
		locate.rows[i] = &rows[i];
		locate.filter[bit / 64] |= UINT64_C(1) << bit % 64;
	}
	qsort(locate.rows, num, sizeof(AnnLocated *), compare_rows);
	for (uint32 rank = 0; rank < search->num_searched && locate.num_missing > 0; rank++)
	{
		AnnLeafCursor cursor;

		locate.leaf = ann_leaves_get(&search->leaves, rank);
		ann_leaf_cursor_init(&cursor, search->index, &search->model, &locate.leaf->entry);
		do
			CHECK_FOR_INTERRUPTS();
		while (ann_leaf_cursor_next(&cursor, visit_block, &locate));
	}
	pfree(locate.rows);
}
