/*
 * codec.c
 *	  The codec of an index as SQL functions: rows to codes and back, distances to codes, and what
 *	  stands in the leaves.
 *
 * NOTES
 *	  A code as SQL sees it: the number of the leaf (as few bytes as tell the leaves apart, lowest
 *	  first), the row's scale s (bf16, two bytes, lowest first), then the code of the unit residual,
 *	  two nibbles a byte, the lower one first. What it stands for is c + s u, in the coordinates of
 *	  the rows; under cosine of the normalised rows (src/README, "The codec"). Where codes are
 *	  absolute (core/absolute.h) it is u, whatever the leaf. Strings of bits are vectors of 0 and 1
 *	  here. Of a flat index: the number of the leaf, then the elements of the row itself, single
 *	  precision, lowest byte first.
 *
 *	  A statement that names leaves for many rows looks up the places of all of them at the first
 *	  one: they are kept with the function's call, for as long as the index has the same file and
 *	  model.
 */
#include "postgres.h"

#include <math.h>

#include "access/tableam.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"

#include "admin/codec.h"
#include "am/am.h"
#include "am/owner.h"
#include "am/support.h"
#include "core/bf16.h"
#include "store/centroids.h"
#include "store/tree.h"
#include "types/vector.h"

#define SCALE_BYTES 2

/* The places of all leaves, in memory that lives as long as the function's call. */
static const AnnLeafPlaces *
find_leaves(const AnnCodec *codec)
{
	Relation index = codec->index;
	const AnnModel *model = codec->model;
	AnnLeafPlaces *leaves = codec->call->fn_extra;
	MemoryContext old;
	AnnLeafRef *found;

	if (leaves != NULL && leaves->index == RelationGetRelid(index) &&
		leaves->file == ANN_RELATION_NUMBER(index) && leaves->model == codec->meta.model)
		return leaves;
	old = MemoryContextSwitchTo(codec->call->fn_mcxt);
	leaves = palloc0(sizeof(AnnLeafPlaces));
	leaves->index = RelationGetRelid(index);
	leaves->file = ANN_RELATION_NUMBER(index);
	leaves->model = codec->meta.model;
	leaves->num = codec->meta.num_leaves;
	leaves->first_leaf = codec->first_leaf;
	leaves->places =
		palloc_extended(sizeof(AnnTid) * (Size) leaves->num, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	MemoryContextSwitchTo(old);
	found = ann_tree_leaves(index, model);
	for (uint32 i = 0; i < leaves->num; i++)
	{
		uint32 number = found[i].entry.leaf - leaves->first_leaf;

		/* no place has offset 0 */
		if (number >= leaves->num || leaves->places[number].offset != 0)
			ann_page_corrupted(index, found[i].node_blkno,
							   "the tree has leaves of impossible numbers");
		leaves->places[number] = ann_node_place(found[i].node_blkno, found[i].node_index);
	}
	pfree(found);
	codec->call->fn_extra = leaves;
	return leaves;
}

void
ann_codec_open(FunctionCallInfo fcinfo, AnnCodec *codec)
{
	AnnMetaData *meta = &codec->meta;

	codec->call = fcinfo->flinfo;
	codec->index =
		ann_admin_open(PG_GETARG_OID(0), AccessShareLock, ANN_ADMIN_REVEALS_ROWS, &codec->heap);
	ann_index_meta(codec->index, meta);
	if (meta->model == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index \"%s\" has not been trained", RelationGetRelationName(codec->index)),
				 errhint("It is trained by VACUUM when it has more than %d rows, or by "
						 "ann_train().",
						 ANN_TRAIN_ROWS)));
	codec->model = ann_model_get(codec->index, meta);
	codec->first_leaf = meta->next_leaf - meta->num_leaves;
	codec->leaf_bytes = ann_admin_leaf_bytes(codec->model->num_leaves);
	codec->scale_bytes = ann_model_is_flat(codec->model) ? 0 : SCALE_BYTES;
	codec->code_bytes = ann_admin_code_bytes(codec->model);
}

void
ann_codec_close(AnnCodec *codec)
{
	ann_admin_close(codec->index, codec->heap, AccessShareLock);
}

void
ann_codec_check(const AnnCodec *codec, const float *values, int dim)
{
	if (dim != codec->model->dim)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("expected %d dimensions, not %d", codec->model->dim, dim)));
	ann_check_elements(ann_support_get(codec->index), values, dim);
}

AnnTid
ann_codec_place(const AnnCodec *codec, int64 leaf)
{
	int64 number = leaf - codec->first_leaf;

	if (number < 0 || number >= codec->meta.num_leaves)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("index \"%s\" has no leaf " INT64_FORMAT,
							   RelationGetRelationName(codec->index), leaf),
						errhint("ann_leaves() lists the leaves.")));
	return find_leaves(codec)->places[number];
}

static void
read_centroid(const AnnCodec *codec, int64 leaf, float *centroid)
{
	ItemPointerData place;

	ann_tid_to_pointer(ann_codec_place(codec, leaf), &place);
	ann_tree_centroid(codec->index, codec->model, ItemPointerGetBlockNumberNoCheck(&place),
					  ItemPointerGetOffsetNumberNoCheck(&place) - 1, centroid);
}

/* ---- codes ---- */

/* A code with its leaf (leaf < 0: none) and room for the rest, which *rest points to. */
static bytea *
start_code(const AnnCodec *codec, int64 leaf, uint8 **rest)
{
	Size size =
		VARHDRSZ + (leaf < 0 ? 0 : codec->leaf_bytes) + codec->scale_bytes + codec->code_bytes;
	bytea *code = palloc(size);
	uint8 *out = (uint8 *) VARDATA(code);

	SET_VARSIZE(code, size);
	for (int i = 0; leaf >= 0 && i < codec->leaf_bytes; i++)
		*out++ = (uint8) ((leaf - codec->first_leaf) >> 8 * i);
	*rest = out;
	return code;
}

bytea *
ann_codec_make(const AnnCodec *codec, int64 leaf, uint16 scale, const uint8 *codes)
{
	uint8 *out;
	bytea *code = start_code(codec, leaf, &out);

	*out++ = scale & 0xff;
	*out++ = scale >> 8;
	ann_nibbles_pack(codes, codec->model->pq.num_blocks, out);
	return code;
}

/* The same of a flat index. */
static bytea *
make_flat(const AnnCodec *codec, int64 leaf, const float *values)
{
	uint8 *out;
	bytea *code = start_code(codec, leaf, &out);

	for (int d = 0; d < codec->model->dim; d++)
	{
		uint32 bits;

		memcpy(&bits, &values[d], sizeof(bits));
		for (int i = 0; i < (int) sizeof(bits); i++)
			*out++ = (uint8) (bits >> 8 * i);
	}
	return code;
}

static void
decode_flat(const uint8 *in, int dim, float *out)
{
	for (int d = 0; d < dim; d++)
	{
		uint32 bits = 0;

		for (int i = 0; i < (int) sizeof(bits); i++)
			bits |= (uint32) *in++ << 8 * i;
		memcpy(&out[d], &bits, sizeof(bits));
	}
}

void
ann_codec_decode(const AnnModel *model, const uint8 *codes, uint16 scale, float *centroid,
				 float *out)
{
	float *unit = palloc(sizeof(float) * model->dim);
	float s = ann_bf16_to_float(scale);
	bool is_absolute = ann_form_is_absolute(model->form);

	ann_pq_decode(&model->pq, codes, unit);
	for (int d = 0; d < model->dim; d++)
		centroid[d] = is_absolute ? unit[d] : (model->from_origin ? 0 : centroid[d]) + s * unit[d];
	ann_model_unrotate(model, centroid, out);
	for (int d = 0; d < model->dim; d++)
		out[d] += model->mean[d];
	pfree(unit);
}

/* The row that a code stands for, in the coordinates of rows; dim floats. */
static void
decode(const AnnCodec *codec, const bytea *code, float *out)
{
	const AnnModel *model = codec->model;
	const uint8 *in = (const uint8 *) VARDATA_ANY(code);
	Size expected = codec->leaf_bytes + codec->scale_bytes + codec->code_bytes;
	uint8 *codes = palloc(model->pq.num_blocks);
	float *centroid = palloc(sizeof(float) * model->dim);
	int64 leaf = 0;

	if (VARSIZE_ANY_EXHDR(code) != expected)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("code of %zu bytes, but those of index \"%s\" have %zu",
							   (Size) VARSIZE_ANY_EXHDR(code),
							   RelationGetRelationName(codec->index), expected),
						errhint("Codes are made by ann_encode() of the same index.")));
	for (int i = 0; i < codec->leaf_bytes; i++)
		leaf |= (int64) *in++ << 8 * i;
	read_centroid(codec, leaf + codec->first_leaf, centroid);
	if (ann_model_is_flat(model))
		decode_flat(in, model->dim, out);
	else
	{
		ann_nibbles_unpack(in + SCALE_BYTES, model->pq.num_blocks, codes);
		ann_codec_decode(model, codes, in[0] | in[1] << 8, centroid, out);
	}
	pfree(centroid);
	pfree(codes);
}

/* A decoded row as a value; DATA_EXCEPTION where a made-up code stands for none. */
static Vector *
decode_vector(const AnnCodec *codec, const bytea *code)
{
	Vector *vector = ann_vector_new(codec->model->dim);

	decode(codec, code, vector->x);
	for (int d = 0; d < vector->dim; d++)
		if (!isfinite(vector->x[d]))
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION), errmsg("the code stands for no vector")));
	return vector;
}

/* leaf < 0: the nearest one. NULL for a row that no code describes. */
static bytea *
encode(const AnnCodec *codec, const float *values, int64 leaf)
{
	const AnnModel *model = codec->model;
	float *row = palloc(sizeof(float) * model->dim);
	float *x = palloc(sizeof(float) * model->dim);
	float *centroid = palloc(sizeof(float) * model->dim);
	float *scratch = palloc(sizeof(float) * ann_pq_row_scratch_floats(&model->pq));
	uint8 *codes = palloc(model->pq.num_blocks);
	AnnFactors factors;
	AnnLeafRef nearest = {.entry.leaf = 0};
	int64 number;

	if (!ann_row_prepare(model->metric, model->dim, model->mean, values, row))
		return NULL;
	ann_model_rotate(model, row, 1, x);
	if (leaf < 0)
		ann_tree_nearest(codec->index, model, x, &nearest, centroid, NULL);
	else
		read_centroid(codec, leaf, centroid);
	if (!ann_pq_encode_row(&model->pq, model->form, x, ann_model_origin(model, centroid), codes,
						   &factors, scratch))
		return NULL;
	number = leaf < 0 ? (int64) nearest.entry.leaf : -1;
	return ann_model_is_flat(model) ? make_flat(codec, number, values)
									: ann_codec_make(codec, number, factors.s, codes);
}

/*
 * ann_code_size(index regclass) returns int: bytes of a code as ann_encode makes it. Errors, here
 * and below: those of ann_admin_open, an untrained index (OBJECT_NOT_IN_PREREQUISITE_STATE),
 * INDEX_CORRUPTED. SELECT on the table is needed, and no row-level security in force for the user.
 */
ANN_FUNCTION(ann_code_size);
Datum
ann_code_size(PG_FUNCTION_ARGS)
{
	AnnCodec codec;
	int size;

	ann_codec_open(fcinfo, &codec);
	size = codec.leaf_bytes + codec.scale_bytes + codec.code_bytes;
	ann_codec_close(&codec);
	PG_RETURN_INT32(size);
}

/*
 * ann_encode(index regclass, v vector, leaf int DEFAULT NULL) returns bytea: the code of a row in
 * its nearest leaf, or in a given one, and then without the leaf's number. NULL where v is, and
 * where no code describes the row (an index keeps such a row in its exact leaf). DATA_EXCEPTION for
 * other dimensions, INVALID_PARAMETER_VALUE for an unknown leaf.
 */
ANN_FUNCTION(ann_encode);
Datum
ann_encode(PG_FUNCTION_ARGS)
{
	AnnCodec codec;
	Vector *vector;
	bytea *code;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	vector = PG_GETARG_VECTOR(1);
	ann_codec_open(fcinfo, &codec);
	ann_codec_check(&codec, vector->x, vector->dim);
	if (!PG_ARGISNULL(2))
		(void) ann_codec_place(&codec, PG_GETARG_INT32(2));
	code = encode(&codec, vector->x, PG_ARGISNULL(2) ? -1 : PG_GETARG_INT32(2));
	ann_codec_close(&codec);
	if (code == NULL)
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(code);
}

/*
 * ann_decode(index regclass, code bytea) returns vector: what a code stands for, near the row that
 * it was made of; under cosine near the normalised row. INVALID_PARAMETER_VALUE for a code of
 * another length or with an unknown leaf.
 */
ANN_FUNCTION(ann_decode);
Datum
ann_decode(PG_FUNCTION_ARGS)
{
	AnnCodec codec;
	Vector *vector;

	ann_codec_open(fcinfo, &codec);
	vector = decode_vector(&codec, PG_GETARG_BYTEA_PP(1));
	ann_codec_close(&codec);
	PG_RETURN_POINTER(vector);
}

/*
 * ann_code_distance(index regclass, code bytea, q vector) returns float8: the index's distance (its
 * operator's) of a query to what a code stands for. Errors of ann_decode, and of the dimensions.
 */
ANN_FUNCTION(ann_code_distance);
Datum
ann_code_distance(PG_FUNCTION_ARGS)
{
	Vector *query = PG_GETARG_VECTOR(2);
	const AnnTypeSupport *support;
	AnnCodec codec;
	Vector *vector;
	double distance;

	ann_codec_open(fcinfo, &codec);
	ann_codec_check(&codec, query->x, query->dim);
	vector = decode_vector(&codec, PG_GETARG_BYTEA_PP(1));
	support = ann_support_get(codec.index);
	distance = support->distance(vector->x, query->x, query->dim);
	ann_codec_close(&codec);
	PG_RETURN_FLOAT8(distance);
}

/* The indexed value of a row as a code and back; NULL without one. */
static Vector *
reconstruct(const AnnCodec *codec, TupleTableSlot *slot)
{
	const AnnTypeSupport *support = ann_support_get(codec->index);
	IndexInfo *info = BuildIndexInfo(codec->index);
	EState *estate = CreateExecutorState();
	Vector *result = NULL;
	Datum values[INDEX_MAX_KEYS];
	bool nulls[INDEX_MAX_KEYS];
	AnnOwner owner;

	GetPerTupleExprContext(estate)->ecxt_scantuple = slot;
	ann_owner_begin(&owner, codec->heap);
	FormIndexDatum(info, slot, estate, values, nulls);
	ann_owner_end(&owner);
	if (!nulls[0])
	{
		struct varlena *value = PG_DETOAST_DATUM(values[0]);
		int dim = support->dim(value);
		const float *floats = support->floats(value, palloc(sizeof(float) * Max(dim, 1)));
		bytea *code;

		ann_codec_check(codec, floats, dim);
		code = encode(codec, floats, -1);
		result = code == NULL ? NULL : decode_vector(codec, code);
	}
	FreeExecutorState(estate);
	return result;
}

/*
 * ann_reconstruct(index regclass, ctid tid) returns vector: what the code of a row of the table
 * stands for. NULL for a row that the snapshot does not see, whose value is NULL, or that no code
 * describes.
 */
ANN_FUNCTION(ann_reconstruct);
Datum
ann_reconstruct(PG_FUNCTION_ARGS)
{
	ItemPointer tid = (ItemPointer) PG_GETARG_POINTER(1);
	Vector *vector = NULL;
	TupleTableSlot *slot;
	AnnCodec codec;

	ann_codec_open(fcinfo, &codec);
	slot = table_slot_create(codec.heap, NULL);
	if (ItemPointerIsValid(tid) &&
		ItemPointerGetBlockNumber(tid) < RelationGetNumberOfBlocks(codec.heap) &&
		table_tuple_fetch_row_version(codec.heap, tid, GetActiveSnapshot(), slot))
		vector = reconstruct(&codec, slot);
	ExecDropSingleTupleTableSlot(slot);
	ann_codec_close(&codec);
	if (vector == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(vector);
}
