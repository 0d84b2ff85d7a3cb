/*
 * builder.c
 *	  What every way of making an index does: limits of memory, progress, dimensions.
 */
#include "postgres.h"

#include "access/genam.h"
#include "commands/progress.h"
#include "miscadmin.h"
#include "utils/backend_progress.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "am/build.h"
#include "core/kernels.h"
#include "core/work.h"
#include "faultpoint.h"

/* Rows of the one set whose products are made at a time, and of the other at least. */
#define PRODUCTS_ROWS 64
#define PRODUCTS_MIN 8

/* Shows how far the phase has come. An estimate that was too low gives way. */
static void
report(AnnBuilder *builder)
{
	static const int params[] = {PROGRESS_CREATEIDX_TUPLES_TOTAL, PROGRESS_CREATEIDX_TUPLES_DONE};
	int64 values[2];

	if (builder->watch.total > 0)
		builder->watch.total = Max(builder->watch.total, builder->watch.done);
	values[0] = (int64) builder->watch.total;
	values[1] = (int64) builder->watch.done;
	if (builder->progress)
		pgstat_progress_update_multi_param(lengthof(params), params, values);
	ANN_FAULT("progress");
}

/* What the loops of the core call: interrupts, and progress. */
static bool
poll(void *builder)
{
	CHECK_FOR_INTERRUPTS();
	report(builder);
	return false;
}

static void
log_pass(void *builder, const char *centroids, int pass, double energy)
{
	ereport(DEBUG1, (errmsg_internal("ann: %s, pass %d: mean squared distance %.9g", centroids,
									 pass, energy)));
}

void
ann_builder_init(AnnBuilder *builder, Relation index)
{
	memset(builder, 0, sizeof(*builder));
	builder->watch.poll = poll;
	builder->watch.pass = log_pass;
	builder->watch.arg = builder;
	builder->index = index;
	builder->support = ann_support_get(index);
	ann_options_get(index, &builder->options);
	builder->memory = (Size) maintenance_work_mem * 1024;
	builder->context =
		AllocSetContextCreate(CurrentMemoryContext, "ann build", ALLOCSET_DEFAULT_SIZES);
	builder->row_context =
		AllocSetContextCreate(builder->context, "ann build row", ALLOCSET_DEFAULT_SIZES);
}

void
ann_builder_free(AnnBuilder *builder)
{
	ann_sample_free(&builder->sample);
	MemoryContextDelete(builder->context);
}

void *
ann_builder_alloc(AnnBuilder *builder, Size size)
{
	return MemoryContextAllocExtended(builder->context, size, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

void
ann_builder_phase(AnnBuilder *builder, int phase, double total)
{
	static const int params[] = {
		PROGRESS_CREATEIDX_SUBPHASE,     PROGRESS_SCAN_BLOCKS_TOTAL,     PROGRESS_SCAN_BLOCKS_DONE,
		PROGRESS_CREATEIDX_TUPLES_TOTAL, PROGRESS_CREATEIDX_TUPLES_DONE,
	};
	int64 values[] = {phase, 0, 0, (int64) total, 0};

	ANN_FAULT("phase");
	builder->watch.total = (uint64) total;
	builder->watch.done = 0;
	if (builder->progress)
		pgstat_progress_update_multi_param(lengthof(params), params, values);
	ANN_FAULT("progress");
}

void
ann_builder_done(AnnBuilder *builder, double done)
{
	builder->watch.done = (uint64) done;
	report(builder);
}

void
ann_builder_advance(AnnBuilder *builder, double num)
{
	ann_builder_done(builder, builder->watch.done + num);
}

void
ann_builder_blocks(AnnBuilder *builder, BlockNumber done, BlockNumber total)
{
	static const int params[] = {PROGRESS_SCAN_BLOCKS_TOTAL, PROGRESS_SCAN_BLOCKS_DONE};
	int64 values[] = {total, done};

	if (builder->progress)
		pgstat_progress_update_multi_param(lengthof(params), params, values);
	report(builder);
}

void
ann_builder_products(AnnBuilder *builder, const float *a, int num_a, const float *b, Size num_b,
					 int dim, float *out, Size out_stride)
{
	AnnMeter meter = {.watch = &builder->watch};
	Size room = Max(PRODUCTS_MIN, ANN_POLL_WORK / ((Size) PRODUCTS_ROWS * dim));

	for (int i = 0; i < num_a; i += PRODUCTS_ROWS)
	{
		int rows = Min(num_a - i, PRODUCTS_ROWS);

		for (Size j = 0; j < num_b; j += room)
		{
			int num = Min(num_b - j, room);

			ann_kernels->products(a + (Size) i * dim, dim, rows, b + j * dim, dim, num, dim,
								  out + i * out_stride + j, out_stride);
			(void) ann_meter_spend(&meter, ann_pairs_work((uint64) rows * num, dim));
		}
	}
}

int
ann_builder_dim(AnnBuilder *builder, const struct varlena *value)
{
	builder->meta.dim = ann_value_dim(builder->support, value, builder->meta.dim);
	return builder->meta.dim;
}
