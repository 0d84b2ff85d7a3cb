/*
 * inspect.c
 *	  What an index is made of: its model, its options, its leaves.
 *
 * NOTES
 *	  Counts are counted, page by page, as nothing in an index keeps them: exact while nobody
 *	  writes, and with dead rows in them until a vacuum has removed these.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "compat.h"

#include "admin/admin.h"
#include "am/am.h"
#include "am/support.h"
#include "store/leaf.h"
#include "store/tids.h"
#include "store/tree.h"
#include "types/vector.h"

/* ---- counting rows ---- */

typedef struct RowCounts
{
	int64 entries; /* in leaves: primary and secondary ones */
	int64 coded;   /* primary ones */
	int64 exact;
	int64 nulls;
} RowCounts;

/* Lanes in use that hold a row's primary entry. */
static int
count_primaries(const AnnModel *model, const void *block)
{
	int num = 0;

	for (uint32 rest = ((const AnnBlockHeader *) block)->live; rest != 0; rest &= rest - 1)
	{
		uint16 flags;

		(void) ann_block_tid(block, &model->layout, pg_rightmost_one_pos32(rest), &flags);
		num += (flags & ANN_TID_SECONDARY) == 0;
	}
	return num;
}

static void
count_leaf_page(const AnnModel *model, Page page, RowCounts *counts)
{
	for (int slot = 0; slot < ann_admin_slots(model); slot++)
	{
		const AnnBlockHeader *block = ann_admin_block(model, page, slot);

		if (block->leaf == ANN_NO_LEAF)
			continue;
		counts->entries += pg_popcount32(block->live);
		counts->coded += count_primaries(model, block);
	}
}

/* model: NULL while untrained. */
static void
count_rows(Relation index, const AnnModel *model, RowCounts *counts)
{
	BufferAccessStrategy ring = GetAccessStrategy(BAS_BULKREAD);
	BlockNumber num_blocks = RelationGetNumberOfBlocks(index);

	memset(counts, 0, sizeof(*counts));
	for (BlockNumber blkno = ANN_EXACT_BLKNO; blkno < num_blocks; blkno++)
	{
		Buffer buffer;
		Page page;

		CHECK_FOR_INTERRUPTS();
		buffer = ann_page_read_ring(index, blkno, BUFFER_LOCK_SHARE, ring);
		page = BufferGetPage(buffer);
		if (ann_page_is(page, ANN_PAGE_TIDS))
			*(ann_admin_is_null_leaf(page) ? &counts->nulls : &counts->exact) +=
				ann_admin_count_tids(page, model != NULL);
		else if (model != NULL && ann_page_is(page, ANN_PAGE_LEAF) &&
				 AnnPageGetOpaque(page)->model == model->number)
			count_leaf_page(model, page, counts);
		UnlockReleaseBuffer(buffer);
	}
	FreeAccessStrategy(ring);
}

/* ---- ann_index_info ---- */

/* Columns, in the order of the SQL declaration. */
enum
{
	INFO_DIMS,
	INFO_DISTANCE_MEASURE,
	INFO_IS_TRAINED,
	INFO_NUM_TUPLES,
	INFO_NUM_LEAVES,
	INFO_NUM_LEAVES_TO_SEARCH,
	INFO_NUM_REORDERING_CANDIDATES,
	INFO_QUANTIZER,
	INFO_DIMENSIONS_PER_BLOCK,
	INFO_NUM_BLOCKS,
	INFO_NBITS,
	INFO_CODE_SIZE,
	INFO_LEAF_CODE_SIZE,
	INFO_TRAINED_ROWS,
	INFO_SEED,
	INFO_VERSION,
	INFO_ERROR_BOUND,
	INFO_LEAVES_GROWTH,
	INFO_TABLE_BITS,
	INFO_EXACT_ROWS,
	INFO_NULL_ROWS,
	INFO_ROTATED,
	INFO_SOAR_LAMBDA,
	INFO_NUM_ENTRIES,
	INFO_RESIDUAL_QUANTIZATION,
	INFO_ANISOTROPIC_THRESHOLD,
	INFO_COLUMNS
};

static void
put(Datum *values, bool *nulls, int column, Datum value)
{
	values[column] = value;
	nulls[column] = false;
}

/* What an index has from its metapage and options alone. */
static void
info_of_index(Relation index, const AnnMetaData *meta, Datum *values, bool *nulls)
{
	const AnnMetricTraits *traits = ann_metric_traits(meta->metric);
	AnnQuantizer quantizer = meta->model != 0 ? meta->quantizer : (uint32) meta->options.quantizer;
	AnnOptions options;

	ann_options_get(index, &options);
	if (meta->dim > 0)
		put(values, nulls, INFO_DIMS, Int32GetDatum(meta->dim));
	put(values, nulls, INFO_DISTANCE_MEASURE, CStringGetTextDatum(traits->name));
	put(values, nulls, INFO_IS_TRAINED, BoolGetDatum(meta->model != 0));
	put(values, nulls, INFO_NUM_LEAVES, Int32GetDatum(meta->num_leaves));
	put(values, nulls, INFO_NUM_REORDERING_CANDIDATES,
		Int32GetDatum(options.num_reordering_candidates));
	put(values, nulls, INFO_QUANTIZER,
		CStringGetTextDatum(traits->is_bits && quantizer == ANN_QUANTIZER_PQ
								? "bits"
								: ann_quantizer_name(quantizer)));
	if (meta->model == 0 && quantizer != ANN_QUANTIZER_FLAT)
		put(values, nulls, INFO_NBITS,
			Int32GetDatum(quantizer == ANN_QUANTIZER_SQ8 ? 8 : Max(meta->options.nbits, 4)));
	put(values, nulls, INFO_TRAINED_ROWS, Int64GetDatum(meta->trained_rows));
	put(values, nulls, INFO_SEED, Int32GetDatum(meta->options.seed));
	put(values, nulls, INFO_VERSION, Int32GetDatum(meta->version));
}

/* What it has from its model. */
static void
info_of_model(Relation index, const AnnMetaData *meta, const AnnModel *model, Datum *values,
			  bool *nulls)
{
	AnnOptions options;
	double leaves;

	ann_options_get(index, &options);
	leaves = options.num_leaves_to_search > 0 ? options.num_leaves_to_search
											  : ceil(model->calibration.leaves_at_10);
	put(values, nulls, INFO_NUM_LEAVES_TO_SEARCH,
		Int32GetDatum((int32) Min(leaves, model->num_leaves)));
	put(values, nulls, INFO_CODE_SIZE, Int32GetDatum(ann_admin_code_bytes(model)));
	put(values, nulls, INFO_RESIDUAL_QUANTIZATION,
		BoolGetDatum(!model->from_origin && !ann_form_is_absolute(model->form)));
	if (!ann_model_is_flat(model))
	{
		put(values, nulls, INFO_DIMENSIONS_PER_BLOCK, Int32GetDatum(model->pq.width));
		put(values, nulls, INFO_NUM_BLOCKS, Int32GetDatum(ann_pq_layer_blocks(&model->pq)));
		put(values, nulls, INFO_NBITS, Int32GetDatum(4 * model->pq.layers));
	}
	put(values, nulls, INFO_LEAF_CODE_SIZE, Int32GetDatum(ann_admin_leaf_bytes(model->num_leaves)));
	put(values, nulls, INFO_ERROR_BOUND, Float4GetDatum(model->calibration.z));
	put(values, nulls, INFO_LEAVES_GROWTH, Float4GetDatum(model->calibration.leaves_growth));
	put(values, nulls, INFO_TABLE_BITS, Int32GetDatum(model->table_bits));
	put(values, nulls, INFO_ROTATED, BoolGetDatum(model->rotation != NULL));
	put(values, nulls, INFO_SOAR_LAMBDA, Float4GetDatum(model->soar_lambda));
	put(values, nulls, INFO_ANISOTROPIC_THRESHOLD, Float4GetDatum(meta->anisotropic_threshold));
}

/*
 * ann_index_info(index regclass) returns one row: the model and the options of an index, and its
 * rows, counted by reading all of its pages (dead ones with them, until a vacuum has been). What an
 * untrained index does not have is NULL. num_leaves_to_search and num_reordering_candidates are the
 * index's own, whatever this session has set. Needs SELECT on the table; AccessShareLock on table
 * and index, released at the end. Errors: those of ann_admin_open; INDEX_CORRUPTED.
 */
ANN_FUNCTION(ann_index_info);
Datum
ann_index_info(PG_FUNCTION_ARGS)
{
	Datum values[INFO_COLUMNS];
	bool nulls[INFO_COLUMNS];
	const AnnModel *model = NULL;
	RowCounts counts;
	AnnMetaData meta;
	TupleDesc desc;
	Relation heap;
	Relation index;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	index = ann_admin_open(PG_GETARG_OID(0), AccessShareLock, false, &heap);
	memset(values, 0, sizeof(values));
	memset(nulls, true, sizeof(nulls));
	ann_index_meta(index, &meta);
	info_of_index(index, &meta, values, nulls);
	if (meta.model != 0)
	{
		model = ann_model_get(index, &meta);
		info_of_model(index, &meta, model, values, nulls);
	}
	count_rows(index, model, &counts);
	put(values, nulls, INFO_NUM_TUPLES, Int64GetDatum(counts.coded + counts.exact + counts.nulls));
	put(values, nulls, INFO_EXACT_ROWS, Int64GetDatum(counts.exact));
	put(values, nulls, INFO_NULL_ROWS, Int64GetDatum(counts.nulls));
	put(values, nulls, INFO_NUM_ENTRIES, Int64GetDatum(counts.entries));
	ann_admin_close(index, heap, AccessShareLock);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* ---- ann_leaves ---- */

typedef struct LeafCount
{
	const AnnModel *model;
	int64 num_tuples;
	int num_blocks;
} LeafCount;

static void
count_block(void *arg, const void *block)
{
	LeafCount *count = arg;

	count->num_tuples += count_primaries(count->model, block);
	count->num_blocks++;
}

/* One row: number, centroid, rows, pages on which it has blocks. rotated: scratch of dim floats. */
static void
put_leaf(Relation index, const AnnModel *model, const AnnLeafRef *leaf, float *rotated,
		 Vector *centroid, ReturnSetInfo *result)
{
	LeafCount count = {.model = model};
	AnnLeafCursor cursor;
	Datum values[4];
	bool nulls[4] = {false};
	int num_pages = 0;

	ann_tree_centroid(index, model, leaf->node_blkno, leaf->node_index, rotated);
	ann_model_unrotate(model, rotated, centroid->x);
	for (int i = 0; i < model->dim; i++)
		centroid->x[i] += model->mean[i];
	ann_leaf_cursor_init(&cursor, index, model, &leaf->entry);
	while (ann_leaf_cursor_next(&cursor, count_block, &count))
	{
		CHECK_FOR_INTERRUPTS();
		num_pages++;
	}
	values[0] = Int32GetDatum((int32) leaf->entry.leaf);
	values[1] = PointerGetDatum(centroid);
	values[2] = Int64GetDatum(count.num_tuples);
	values[3] = Int32GetDatum(num_pages + count.num_blocks * ann_admin_body_pages(model));
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * The model stands in the relation's cache until something is invalidated: not while we only read.
 */
static void
put_leaves(Relation index, const AnnMetaData *meta, ReturnSetInfo *result)
{
	const AnnModel *model = ann_model_get(index, meta);
	Vector *centroid = ann_vector_new(model->dim);
	float *rotated = palloc(sizeof(float) * model->dim);
	AnnLeafRef *leaves = ann_tree_leaves(index, model);

	for (uint32 i = 0; i < model->num_leaves; i++)
		put_leaf(index, model, &leaves[i], rotated, centroid, result);
	pfree(leaves);
	pfree(rotated);
	pfree(centroid);
}

/*
 * ann_leaves(index regclass) returns setof (leaf int, centroid vector, num_tuples bigint, num_pages
 * int): the leaves of a trained index, none of an untrained one. Centroids are in the coordinates
 * of the rows (under cosine: of the normalised rows). num_pages: pages with a block of the leaf,
 * which it may share with others, and pages of long blocks' codes. Rows of the exact and NULL leaf
 * are in none. Needs SELECT on the table, and no row-level security in force for the user;
 * AccessShareLock on table and index, released at the end. Errors: those of ann_admin_open;
 * INDEX_CORRUPTED.
 */
ANN_FUNCTION(ann_leaves);
Datum
ann_leaves(PG_FUNCTION_ARGS)
{
	AnnMetaData meta;
	Relation heap;
	Relation index;

	InitMaterializedSRF(fcinfo, 0);
	index = ann_admin_open(PG_GETARG_OID(0), AccessShareLock, ANN_ADMIN_REVEALS_ROWS, &heap);
	ann_index_meta(index, &meta);
	if (meta.model != 0)
		put_leaves(index, &meta, (ReturnSetInfo *) fcinfo->resultinfo);
	ann_admin_close(index, heap, AccessShareLock);
	return (Datum) 0;
}
