/*
 * health.c
 *	  How far an index is from what a new build would make of it.
 *
 * NOTES
 *	  All is counted, page by page: exact while nobody writes, dead rows with it until a vacuum has
 *	  removed these.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "compat.h"

#include "admin/admin.h"
#include "am/support.h"
#include "core/bf16.h"
#include "store/leaf.h"

typedef struct Health
{
	Relation index;
	const AnnModel *model; /* NULL: untrained */
	uint32 first_leaf;     /* lowest number of a leaf; they are consecutive */
	uint32 *sizes;         /* primary entries of each leaf */
	double coded;          /* sum of sizes */
	double exact;
	double nulls;
	double error; /* sum of |e|^2 of the primary entries that have one */
	double num_errors;
} Health;

static void
count_block(Health *health, BlockNumber blkno, const AnnBlockHeader *block)
{
	const AnnBlockLayout *layout = &health->model->layout;
	uint32 leaf = block->leaf - health->first_leaf;

	if (leaf >= health->model->num_leaves)
		ann_page_corrupted(health->index, blkno, "a block of an unknown leaf");
	for (uint32 rest = block->live; rest != 0; rest &= rest - 1)
	{
		int lane = pg_rightmost_one_pos32(rest);
		double error = INFINITY;
		uint16 flags;

		(void) ann_block_tid(block, layout, lane, &flags);
		if ((flags & ANN_TID_SECONDARY) != 0)
			continue;
		health->sizes[leaf]++;
		health->coded++;
		if (!ann_model_is_flat(health->model))
			error = ann_bf16_to_float(ann_block_factors(block, layout, lane).err);
		if (!isfinite(error))
			continue;
		health->error += error * error;
		health->num_errors++;
	}
}

static void
count_page(Health *health, BlockNumber blkno, Page page)
{
	const AnnModel *model = health->model;

	if (ann_page_is(page, ANN_PAGE_TIDS))
		*(ann_admin_is_null_leaf(page) ? &health->nulls : &health->exact) +=
			ann_admin_count_tids(page, model != NULL);
	else if (model != NULL && ann_page_is(page, ANN_PAGE_LEAF) &&
			 AnnPageGetOpaque(page)->model == model->number)
		for (int slot = 0; slot < ann_admin_slots(model); slot++)
		{
			const AnnBlockHeader *block = ann_admin_block(model, page, slot);

			if (block->leaf != ANN_NO_LEAF)
				count_block(health, blkno, block);
		}
}

static void
count_pages(Health *health)
{
	BufferAccessStrategy ring = GetAccessStrategy(BAS_BULKREAD);
	BlockNumber num_blocks = RelationGetNumberOfBlocks(health->index);

	for (BlockNumber blkno = ANN_EXACT_BLKNO; blkno < num_blocks; blkno++)
	{
		Buffer buffer;

		CHECK_FOR_INTERRUPTS();
		buffer = ann_page_read_ring(health->index, blkno, BUFFER_LOCK_SHARE, ring);
		count_page(health, blkno, BufferGetPage(buffer));
		UnlockReleaseBuffer(buffer);
	}
	FreeAccessStrategy(ring);
}

/* The columns that say how even the leaves are. */
static void
put_imbalance(const Health *health, Datum *values, bool *nulls)
{
	uint32 num = health->model->num_leaves;
	double mean = health->coded / num;
	double squares = 0;
	double excess = 0;
	double factor;

	if (health->coded == 0)
		return;
	for (uint32 leaf = 0; leaf < num; leaf++)
	{
		squares += (double) health->sizes[leaf] * health->sizes[leaf];
		excess += Max(health->sizes[leaf] / mean - 1, 0);
	}
	factor = num * squares / (health->coded * health->coded);
	values[1] = Float8GetDatum(factor);
	values[2] = Float8GetDatum(factor - 1);
	values[3] = Float8GetDatum(excess / num);
	nulls[1] = nulls[2] = nulls[3] = false;
	if (health->num_errors > 0)
	{
		values[4] = Float8GetDatum(health->error / health->num_errors);
		nulls[4] = false;
	}
}

/*
 * ann_index_health(index regclass) returns one row: num_tuples bigint, all rows of the index;
 * imbalance_factor float8 = k sum(s^2) / sum(s)^2 of the sizes s of the k leaves (Faiss), 1 where
 * all are equal: how many times more codes a search scores for it; weighted_avg_relative_imbalance
 * float8, the mean over rows of their leaf's s / mean(s) - 1; avg_relative_positive_imbalance
 * float8, the mean over leaves of max(s / mean(s) - 1, 0) (names of ScaNN's);
 * avg_quantization_error float8, the mean square of what a code leaves of its row, in the metric's
 * space (under cosine of normalised rows; NULL without codes); inserts_since_build bigint, rows
 * with a vector that came since the model was made, less those that went. NULL where there is no
 * model. Needs SELECT on the table; AccessShareLock on table and index, released at the end. Four
 * bytes for each leaf. Errors: those of ann_admin_open; INDEX_CORRUPTED.
 */
ANN_FUNCTION(ann_index_health);
Datum
ann_index_health(PG_FUNCTION_ARGS)
{
	Health health = {0};
	Datum values[6] = {0};
	bool nulls[6] = {false, true, true, true, true, true};
	AnnMetaData meta;
	TupleDesc desc;
	Relation heap;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	health.index = ann_admin_open(PG_GETARG_OID(0), AccessShareLock, false, &heap);
	ann_index_meta(health.index, &meta);
	if (meta.model != 0)
	{
		health.model = ann_model_get(health.index, &meta);
		health.first_leaf = meta.next_leaf - meta.num_leaves;
		health.sizes = palloc_extended(sizeof(uint32) * (Size) meta.num_leaves,
									   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	}
	count_pages(&health);
	values[0] = Int64GetDatum((int64) (health.coded + health.exact + health.nulls));
	if (meta.model != 0)
	{
		put_imbalance(&health, values, nulls);
		values[5] = Int64GetDatum((int64) (health.coded + health.exact - meta.built_rows));
		nulls[5] = false;
	}
	ann_admin_close(health.index, heap, AccessShareLock);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
