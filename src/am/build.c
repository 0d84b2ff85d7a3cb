/*
 * build.c
 *	  CREATE INDEX, REINDEX, TRUNCATE: the index made from the heap.
 *
 * NOTES
 *	  Pages are written through shared buffers without WAL and logged as one range at the end. A
 *	  table with few rows (and num_leaves left automatic) gets an untrained index: exact, and
 *	  trained by a later vacuum once there is something to train on.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/sampling.h"

#include "am/am.h"
#include "am/build.h"
#include "core/rng.h"
#include "store/tids.h"

/* Blocks that are looked at to estimate the number of rows. */
#define PROBE_BLOCKS 64

/* Rows or blocks between two reports of progress. */
#define REPORT_ROWS 1024
#define REPORT_BLOCKS 64

/* Of maintenance_work_mem for each process, as the server wants it for btree. */
#define WORKER_KILOBYTES (32 * 1024)

/* Rows of the heap. */
typedef struct HeapSource
{
	AnnRowSource base;
	AnnBuilder *builder;
	Relation heap;
	IndexInfo *index_info;
	BlockNumber num_blocks;
	double rows_per_block;
	AnnRowVisitor visit;
	void *visit_arg;
} HeapSource;

/* Row identifiers on their way to the exact or NULL leaf, a page at a time. */
typedef struct TidPages
{
	Relation index;
	double num;
	int count[2];
	AnnTid tids[2][ANN_TIDS_PER_PAGE];
} TidPages;

static void
heap_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	HeapSource *source = arg;

	source->visit(source->visit_arg, tid, values[0], isnull[0]);
}

/* Visits the rows of num random blocks, in ascending order; all blocks when there are no more. */
static void
visit_blocks(HeapSource *source, BlockNumber num, AnnRowVisitor visit, void *arg)
{
	BlockSamplerData sampler;
	BlockNumber done = 0;
	AnnRng rng;

	source->visit = visit;
	source->visit_arg = arg;
	num = Min(num, source->num_blocks);
	ann_rng_seed(&rng, source->builder->options.seed + UINT64_C(0x626c6f636b73));
	BlockSampler_Init(&sampler, source->num_blocks, num, (uint32) ann_rng_next(&rng));
	while (BlockSampler_HasMore(&sampler))
	{
		CHECK_FOR_INTERRUPTS();
		table_index_build_range_scan(source->heap, source->builder->index, source->index_info,
									 false, false, false, BlockSampler_Next(&sampler), 1, heap_row,
									 source, NULL);
		ann_builder_blocks(source->builder, ++done, num);
	}
}

/* Counts a row and, where the column does not say, learns its dimensions. */
static void
probe_row(void *arg, ItemPointer tid, Datum value, bool isnull)
{
	HeapSource *source = arg;

	source->rows_per_block += 1;
	if (!isnull && source->builder->meta.dim == 0)
	{
		MemoryContext old = MemoryContextSwitchTo(source->builder->row_context);

		ann_builder_dim(source->builder, PG_DETOAST_DATUM(value));
		MemoryContextSwitchTo(old);
		MemoryContextReset(source->builder->row_context);
	}
}

static double
heap_count(AnnRowSource *base)
{
	HeapSource *source = (HeapSource *) base;
	BlockNumber probed = Min(source->num_blocks, PROBE_BLOCKS);

	source->rows_per_block = 0;
	visit_blocks(source, probed, probe_row, source);
	source->rows_per_block /= Max(probed, 1);
	return source->rows_per_block * source->num_blocks;
}

static void
heap_sample(AnnRowSource *base, double num_rows, AnnRowVisitor visit, void *arg)
{
	HeapSource *source = (HeapSource *) base;
	double blocks = num_rows * 1.1 / Max(source->rows_per_block, 1e-3) + 16;

	visit_blocks(source, Min(blocks, (double) source->num_blocks), visit, arg);
}

static double
heap_scan(AnnRowSource *base, AnnRowVisitor visit, void *arg)
{
	HeapSource *source = (HeapSource *) base;

	source->visit = visit;
	source->visit_arg = arg;
	return table_index_build_scan(source->heap, source->builder->index, source->index_info, true,
								  source->builder->progress, heap_row, source, NULL);
}

static void
flush_tids(TidPages *pages, bool null_leaf)
{
	if (pages->count[null_leaf] > 0)
		ann_tids_bulk_add(pages->index, null_leaf, pages->tids[null_leaf], pages->count[null_leaf]);
	pages->count[null_leaf] = 0;
}

static void
add_tid(TidPages *pages, bool null_leaf, ItemPointer tid)
{
	if (pages->count[null_leaf] == (int) ANN_TIDS_PER_PAGE)
		flush_tids(pages, null_leaf);
	pages->tids[null_leaf][pages->count[null_leaf]++] = ann_tid_from_pointer(tid);
	pages->num += 1;
}

static void
add_exact(void *arg, ItemPointer tid)
{
	add_tid(arg, false, tid);
}

static void
add_null(void *arg, ItemPointer tid)
{
	add_tid(arg, true, tid);
}

/* A row of an index that stays untrained. */
static void
untrained_row(void *arg, ItemPointer tid, Datum value, bool isnull)
{
	AnnBuilder *builder = arg;
	TidPages *pages = builder->row_arg;
	MemoryContext old;

	if ((int64) pages->num % REPORT_ROWS == 0)
		ann_builder_done(builder, pages->num);
	if (isnull)
	{
		add_null(pages, tid);
		return;
	}
	old = MemoryContextSwitchTo(builder->row_context);
	ann_builder_dim(builder, PG_DETOAST_DATUM(value));
	MemoryContextSwitchTo(old);
	MemoryContextReset(builder->row_context);
	add_exact(pages, tid);
}

/* Options of the code that the metric has no room for (core/absolute.h). */
static void
check_options(const AnnBuilder *builder)
{
	const AnnOptions *options = &builder->options;
	const AnnMetricTraits *traits = ann_metric_traits(builder->support->metric);

	if (options->anisotropic_threshold > 0 && builder->support->metric != ANN_METRIC_IP &&
		builder->support->metric != ANN_METRIC_COSINE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("anisotropic quantization does not go with the %s distance", traits->name),
				 errhint("It is for inner product and cosine; leave the option out.")));
	if (!ann_form_is_absolute(traits->form) || options->quantizer == ANN_QUANTIZER_FLAT)
		return;
	if (options->quantizer == ANN_QUANTIZER_SQ8 || options->nbits == 8)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("codes of 8 bits do not go with the %s distance", traits->name),
						traits->is_bits ? errhint("Codes of 4 bits are exact for strings of bits.")
										: errhint("Fewer dimensions per block make finer codes.")));
	if (options->residual_quantization == ANN_SWITCH_ON)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("residual quantization does not go with the %s distance", traits->name),
				 errhint("Its codes are those of rows; leave the option out.")));
}

/* The metapage's content for an index without a model. */
static void
initial_meta(AnnBuilder *builder)
{
	AnnBuildOptions options = {
		.num_leaves = builder->options.num_leaves,
		.dimensions_per_block = builder->options.dimensions_per_block,
		.training_sample_size = builder->options.training_sample_size,
		.training_iterations = builder->options.training_iterations,
		.seed = builder->options.seed,
		.rotation = builder->options.rotation,
		.soar_lambda = builder->options.soar_lambda,
		.quantizer = Max(builder->options.quantizer, ANN_QUANTIZER_PQ),
		.nbits = builder->options.nbits,
		.residual_quantization = builder->options.residual_quantization,
		.min_partition_size = builder->options.min_partition_size,
		.anisotropic_threshold = builder->options.anisotropic_threshold,
	};

	check_options(builder);
	ann_meta_init(&builder->meta, builder->support->metric, ann_column_dim(builder->index),
				  &options);
	if ((int) builder->meta.dim > builder->support->max_dim)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("column cannot have more than %d dimensions for annivf index",
							   builder->support->max_dim)));
}

/* Trains and codes, or fills the exact leaf. */
static void
build_contents(AnnBuilder *builder)
{
	double min_rows = builder->options.num_leaves > 0 ? 1 : ANN_MIN_BUILD_ROWS;

	builder->meta.model = builder->meta.next_model;
	if (ann_trainer_run(builder, min_rows))
	{
		builder->meta.next_model++;
		ann_coder_run(builder);
	}
	else
	{
		AnnMetaData untrained;

		ann_meta_init(&untrained, builder->meta.metric, builder->meta.dim, &builder->meta.options);
		builder->meta = untrained;
		ann_builder_phase(builder, ANN_PHASE_ENCODE, builder->estimated_rows);
		builder->scanned_rows = builder->source->scan(builder->source, untrained_row, builder);
		ann_builder_done(builder, ((TidPages *) builder->row_arg)->num);
	}
}

/* All pages into the log at once, as none was written there yet. */
static void
log_contents(AnnBuilder *builder)
{
	BlockNumber num = RelationGetNumberOfBlocks(builder->index);
	BlockNumber done = 0;

	ann_builder_phase(builder, ANN_PHASE_LOG, 0);
	while (done < num)
	{
		BlockNumber step = Min(num - done, REPORT_BLOCKS);

		ann_wal_log_range(builder->index, MAIN_FORKNUM, done, done + step);
		done += step;
		ann_builder_blocks(builder, done, num);
	}
}

/*
 * Workers that the server plans, by the table's own pages; but long vectors are in the TOAST table,
 * whose pages count as well. By the server's rules (plan_create_index_workers) otherwise; whether
 * expressions may run in workers only it knows.
 */
static int
plan_workers(Relation heap, Relation index, IndexInfo *index_info)
{
	int planned = ann_build_workers(heap, index, index_info);
	bool may_be_unsafe = index_info->ii_Expressions != NIL || index_info->ii_Predicate != NIL;
	RelOptInfo *relation;
	Relation toast;
	double num_blocks; /* two relations of up to 2^32 - 1 */
	int workers;

	if (!OidIsValid(heap->rd_rel->reltoastrelid) || RelationGetParallelWorkers(heap, -1) >= 0 ||
		RelationUsesLocalBuffers(heap) || !IsNormalProcessingMode() ||
		(planned == 0 && may_be_unsafe))
		return planned;
	toast = table_open(heap->rd_rel->reltoastrelid, AccessShareLock);
	num_blocks = (double) RelationGetNumberOfBlocks(heap) + RelationGetNumberOfBlocks(toast);
	table_close(toast, AccessShareLock);
	relation = makeNode(RelOptInfo);
	relation->reloptkind = RELOPT_BASEREL;
	relation->rel_parallel_workers = -1;
	workers = compute_parallel_worker(relation, num_blocks, -1, max_parallel_maintenance_workers);
	while (workers > 0 && maintenance_work_mem / (workers + 1) < WORKER_KILOBYTES)
		workers--;
	return Max(planned, workers);
}

IndexBuildResult *
annivf_build(Relation heap, Relation index, IndexInfo *index_info)
{
	IndexBuildResult *result = palloc(sizeof(IndexBuildResult));
	AnnBuilder builder;
	HeapSource source = {
		.base = {heap_count, heap_sample, heap_scan},
		.heap = heap,
		.index_info = index_info,
		.num_blocks = RelationGetNumberOfBlocks(heap),
	};
	TidPages *pages;

	if (RelationGetNumberOfBlocks(index) != 0)
		elog(ERROR, "index \"%s\" already contains data", RelationGetRelationName(index));
	ann_builder_init(&builder, index);
	source.builder = &builder;
	builder.source = &source.base;
	builder.heap = heap;
	builder.index_info = index_info;
	builder.num_workers = plan_workers(heap, index, index_info);
	builder.progress = true;
	initial_meta(&builder);
	pages = MemoryContextAllocZero(builder.context, sizeof(TidPages));
	pages->index = index;
	builder.exact_row = add_exact;
	builder.null_row = add_null;
	builder.row_arg = pages;

	ann_meta_create(index, MAIN_FORKNUM, &builder.meta);
	build_contents(&builder);
	flush_tids(pages, false);
	flush_tids(pages, true);
	ann_meta_write(index, &builder.meta, false);
	log_contents(&builder);

	result->heap_tuples = builder.scanned_rows;
	result->index_tuples = builder.coded_rows + pages->num;
	ann_builder_free(&builder);
	return result;
}

/* The init fork of an unlogged index: an empty, untrained index. */
void
annivf_buildempty(Relation index)
{
	AnnBuilder builder;

	ann_builder_init(&builder, index);
	initial_meta(&builder);
	ann_meta_create(index, INIT_FORKNUM, &builder.meta);
	ann_wal_log_range(index, INIT_FORKNUM, 0, ANN_FIRST_FREE_BLKNO);
	ann_builder_free(&builder);
}
