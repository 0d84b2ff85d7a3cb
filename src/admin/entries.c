/*
 * entries.c
 *	  What stands in an index, as SQL functions: the leaves near a vector, the entries of a leaf,
 *	  the codebook.
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
 * ann_assign(index regclass, v vector, n int DEFAULT 1) returns setof (leaf int, distance float8):
 * the n leaves whose centroids are nearest to a row (under cosine: the normalised row), by
 * Euclidean distance. None for a row that no code describes. INVALID_PARAMETER_VALUE for n below 1.
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
		bool nulls[2] = {false, ann_model_is_flat(entries->codec->model)};
		bytea *code = NULL;

		ann_tid_to_pointer(entries->tids[i], &tid);
		if (!nulls[1])
			code = ann_codec_make(entries->codec, leaf, entries->scales[i],
								  entries->codes + (Size) i * num_blocks);
		values[0] = PointerGetDatum(&tid);
		values[1] = PointerGetDatum(code);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		if (code != NULL)
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
 * ann_leaf_entries(index regclass, leaf int) returns setof (ctid tid, code bytea): the rows of a
 * leaf, dead ones with them until a vacuum has removed these, and their codes as ann_encode makes
 * them. Each row of the leaves stands in one of them; where rows have a second leaf, that is not
 * told. A flat index holds no codes: NULL.
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

/* Adds a codeword of block m to a vector of width dimensions. */
static void
add_codeword(const AnnPq *pq, int m, int c, float *x)
{
	const float *codewords = pq->codebook + ann_pq_codebook_floats(m, pq->width);

	for (int d = 0; d < pq->width; d++)
		x[d] += codewords[d * ANN_CODEWORDS + c];
}

/*
 * ann_codebook(index regclass) returns setof (block int, code int, centroid vector): the codewords
 * of each block of dimensions, 16 or (nbits = 8) 256, in dimensions_per_block dimensions of the
 * rotated coordinates. A code of 8 bits is that of the first layer and 16 times that of the second.
 * None of a flat index.
 */
ANN_FUNCTION(ann_codebook);
Datum
ann_codebook(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const AnnPq *pq;
	AnnCodec codec;
	int blocks;
	int num_codes;

	InitMaterializedSRF(fcinfo, 0);
	ann_codec_open(fcinfo, &codec);
	pq = &codec.model->pq;
	blocks = ann_pq_layer_blocks(pq);
	num_codes = pq->layers == 2 ? ANN_CODEWORDS * ANN_CODEWORDS : ANN_CODEWORDS;
	for (int i = 0; i < blocks * num_codes; i++)
	{
		Vector *codeword = ann_vector_new(pq->width);
		int m = i / num_codes;
		int code = i % num_codes;
		Datum values[3];
		bool nulls[3] = {false};

		CHECK_FOR_INTERRUPTS();
		memset(codeword->x, 0, sizeof(float) * pq->width);
		for (int layer = 0; layer < pq->layers; layer++)
			add_codeword(pq, layer * blocks + m, code >> 4 * layer & 0x0f, codeword->x);
		values[0] = Int32GetDatum(m);
		values[1] = Int32GetDatum(code);
		values[2] = PointerGetDatum(codeword);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		pfree(codeword);
	}
	ann_codec_close(&codec);
	return (Datum) 0;
}
