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

void
ann_builder_init(AnnBuilder *builder, Relation index)
{
	memset(builder, 0, sizeof(*builder));
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
	if (!builder->progress)
		return;
	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase);
	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, 0);
	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL, (int64) total);
}

void
ann_builder_done(AnnBuilder *builder, double done)
{
	if (builder->progress)
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, (int64) done);
}

bool
ann_builder_poll(void *arg)
{
	CHECK_FOR_INTERRUPTS();
	return false;
}

int
ann_builder_dim(AnnBuilder *builder, const struct varlena *value)
{
	builder->meta.dim = ann_value_dim(builder->support, value, builder->meta.dim);
	return builder->meta.dim;
}
