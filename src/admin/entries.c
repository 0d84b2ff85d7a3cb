/*
 * entries.c
 *	  What stands in an index, as SQL functions: the leaves near a vector, the entries of a leaf, the
 *	  codebook.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "compat.h"

#include "admin/codec.h"
#include "am/support.h"
#include "core/topk.h"
#include "store/leaf.h"
#include "store/tree.h"
#include "types/vector.h"

static void
add_leaf(void *arg, const AnnLeafRef *leaf)
{
	AnnTopk *nearest = arg;
	AnnCandidate candidate = {.key = isnan(leaf->score) ? INFINITY : leaf->score};

	candidate.tid.block_hi = leaf->entry.leaf >> 16;
	candidate.tid.block_lo = leaf->entry.leaf & 0xffff;
	ann_topk_add(nearest, &candidate);
}

/*
 * ann_assign(index regclass, v vector, n int DEFAULT 1) returns setof (leaf int, distance float8): the n
 * leaves whose centroids are nearest to a row (under cosine: the normalised row), by Euclidean distance.
 * None for a row that no code describes. INVALID_PARAMETER_VALUE for n below 1.
 */
ANN_FUNCTION(ann_assign);
Datum
ann_assign(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Vector *vector = PG_GETARG_VECTOR(1);
	int num = PG_GETARG_INT32(2);
	AnnCodec codec;
	AnnTopk nearest;
	float *row;
	float *x;

	if (num < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("number of leaves must be at least 1")));
	InitMaterializedSRF(fcinfo, 0);
	ann_codec_open(fcinfo, &codec);
	ann_codec_check(&codec, vector->x, vector->dim);
	num = Min((uint32) num, codec.model->num_leaves);
	row = palloc(sizeof(float) * vector->dim);
	x = palloc(sizeof(float) * vector->dim);
	ann_topk_init(&nearest, palloc_extended(sizeof(AnnCandidate) * 2 * (Size) num, MCXT_ALLOC_HUGE),
				  num, 2 * (Size) num);
	if (ann_row_prepare(codec.model->metric, vector->dim, codec.model->mean, vector->x, row))
	{
		ann_model_rotate(codec.model, row, 1, x);
		ann_tree_score(codec.index, codec.model, ANN_CODE_L2, x, add_leaf, &nearest);
	}
	ann_topk_sort(&nearest);
	for (size_t i = 0; i < nearest.num; i++)
	{
		AnnTid tid = nearest.items[i].tid;
		Datum values[2];
		bool nulls[2] = {false};

		values[0] = Int32GetDatum((int32) ((uint32) tid.block_hi << 16 | tid.block_lo));
		values[1] = Float8GetDatum(sqrt(nearest.items[i].key));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	ann_codec_close(&codec);
	return (Datum) 0;
}

/* The primary entries of a leaf's blocks on one page, copied out under its lock. */
typedef struct PageEntries
{
	const AnnCodec *codec;
	int num;
	AnnTid *tids;
	uint16 *scales;
	uint8 *codes; /* num_blocks bytes each */
} PageEntries;

static void
copy_block(void *arg, const void *block)
{
	PageEntries *entries = arg;
	const AnnModel *model = entries->codec->model;

	for (uint32 rest = ((const AnnBlockHeader *) block)->live; rest != 0; rest &= rest - 1)
	{
		int lane = pg_rightmost_one_pos32(rest);
		uint16 flags;

		entries->tids[entries->num] = ann_block_tid(block, &model->layout, lane, &flags);
		if ((flags & ANN_TID_SECONDARY) != 0)
			continue;
		entries->scales[entries->num] = ann_block_factors(block, &model->layout, lane).s;
		ann_leaf_codes(entries->codec->index, model, block, lane,
					   entries->codes + (Size) entries->num * model->pq.num_blocks);
		entries->num++;
	}
}

static void
put_entries(const PageEntries *entries, int64 leaf, ReturnSetInfo *result)
{
	int num_blocks = entries->codec->model->pq.num_blocks;

	for (int i = 0; i < entries->num; i++)
	{
		ItemPointerData tid;
		Datum values[2];
		bool nulls[2] = {false};
		bytea *code = ann_codec_make(entries->codec, leaf, entries->scales[i],
									 entries->codes + (Size) i * num_blocks);

		ann_tid_to_pointer(entries->tids[i], &tid);
		values[0] = PointerGetDatum(&tid);
		values[1] = PointerGetDatum(code);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		pfree(code);
	}
}

static void
copy_leaf(void *arg, const AnnLeafRef *leaf)
{
	*(AnnLeafRef *) arg = *leaf;
}

static void
put_leaf_entries(const AnnCodec *codec, int32 leaf, ReturnSetInfo *result)
{
	const AnnModel *model = codec->model;
	AnnTid place = ann_codec_place(codec, leaf);
	int room = ann_admin_slots(model) * ANN_BLOCK_LANES;
	PageEntries entries = {
		.codec = codec,
		.tids = palloc(sizeof(AnnTid) * room),
		.scales = palloc(sizeof(uint16) * room),
		.codes = palloc((Size) model->pq.num_blocks * room),
	};
	AnnLeafCursor cursor;
	AnnLeafRef found;

	ann_tree_score_places(codec->index, model, ANN_CODE_L2, palloc0(sizeof(float) * model->dim),
						  &place, 1, copy_leaf, &found);
	ann_leaf_cursor_init(&cursor, codec->index, model, &found.entry);
	while (ann_leaf_cursor_next(&cursor, copy_block, &entries))
	{
		CHECK_FOR_INTERRUPTS();
		put_entries(&entries, leaf, result);
		entries.num = 0;
	}
}

/*
 * ann_leaf_entries(index regclass, leaf int) returns setof (ctid tid, code bytea): the rows of a leaf,
 * dead ones with them until a vacuum has removed these, and their codes as ann_encode makes them. Each
 * row of the leaves stands in one of them; where rows have a second leaf, that is not told.
 */
ANN_FUNCTION(ann_leaf_entries);
Datum
ann_leaf_entries(PG_FUNCTION_ARGS)
{
	AnnCodec codec;

	InitMaterializedSRF(fcinfo, 0);
	ann_codec_open(fcinfo, &codec);
	put_leaf_entries(&codec, PG_GETARG_INT32(1), (ReturnSetInfo *) fcinfo->resultinfo);
	ann_codec_close(&codec);
	return (Datum) 0;
}

/*
 * ann_codebook(index regclass) returns setof (block int, code int, centroid vector): the 16 codewords of
 * each block of a code, in dimensions_per_block dimensions of the rotated coordinates.
 */
ANN_FUNCTION(ann_codebook);
Datum
ann_codebook(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const AnnPq *pq;
	AnnCodec codec;

	InitMaterializedSRF(fcinfo, 0);
	ann_codec_open(fcinfo, &codec);
	pq = &codec.model->pq;
	for (int m = 0; m < pq->num_blocks; m++)
		for (int c = 0; c < ANN_CODEWORDS; c++)
		{
			Vector *codeword = ann_vector_new(pq->width);
			Datum values[3];
			bool nulls[3] = {false};

			for (int d = 0; d < pq->width; d++)
				codeword->x[d] = pq->codebook[((Size) m * pq->width + d) * ANN_CODEWORDS + c];
			values[0] = Int32GetDatum(m);
			values[1] = Int32GetDatum(c);
			values[2] = PointerGetDatum(codeword);
			tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
			pfree(codeword);
		}
	ann_codec_close(&codec);
	return (Datum) 0;
}
