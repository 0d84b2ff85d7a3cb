/*
 * rotate.c
 *	  The rotation of a model: whether it gets one, and the sample's part in it.
 *
 * NOTES
 *	  Leaves do not depend on a rotation, as k-means sees distances only; codes do, as their blocks are
 *	  made of coordinates. So it comes after the centroids and before the codebook: the axes are those
 *	  of the unit residuals, which are what is coded, and from here on everything (centroids, sample,
 *	  queries, rows) is in rotated coordinates. Only the mean, taken off before, stays as it is.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "am/build.h"
#include "core/kernels.h"
#include "core/rotation.h"
#include "core/soar.h"

/* Rows that speak for the axes, at most; and for each dimension, at least. */
#define MAX_ROWS 16384
#define MIN_ROWS_PER_DIM 4

/* Rows handled together. */
#define BATCH 256

static void *
build_alloc(AnnBuilder *builder, Size size)
{
	return MemoryContextAllocExtended(builder->context, size, MCXT_ALLOC_HUGE);
}

/* Replaces the leaf of every other row by its second one, where it has one. */
static void
take_second_leaves(AnnBuilder *builder, int dim, const float *rows, int num, uint32 *leaf,
				   void *workspace)
{
	AnnNearLeaf *near = palloc(sizeof(AnnNearLeaf) * ANN_NEAR_LEAVES * num);
	float *scratch = palloc(sizeof(float) * dim);

	ann_centroids_near(&builder->set, rows, dim, num, near, workspace);
	for (int i = 1; i < num; i += 2)
	{
		uint32 second = ann_soar_second(&builder->set, builder->meta.soar_lambda,
										rows + (Size) i * dim, near + i * ANN_NEAR_LEAVES, scratch);

		if (second != ANN_NO_LEAF)
			leaf[i] = second;
	}
	pfree(scratch);
	pfree(near);
}

void
ann_builder_residuals(AnnBuilder *builder, size_t num, float *out)
{
	int dim = builder->meta.dim;
	void *workspace =
		build_alloc(builder, ann_centroids_assign_workspace_size(&builder->set, BATCH));
	uint32 leaf[BATCH];
	float distance[BATCH];

	for (size_t first = 0; first < num; first += BATCH)
	{
		int rows = Min(num - first, (size_t) BATCH);

		CHECK_FOR_INTERRUPTS();
		ann_centroids_assign(&builder->set, builder->sample.rows + first * dim, dim, rows, leaf,
							 distance, workspace);
		if (builder->meta.soar_lambda > 0)
			take_second_leaves(builder, dim, builder->sample.rows + first * dim, rows, leaf,
							   workspace);
		for (int i = 0; i < rows; i++)
		{
			const float *row = builder->sample.rows + (first + i) * dim;
			const float *centroid = builder->set.centroids + (Size) leaf[i] * dim;
			float *residual = out + (first + i) * dim;
			float norm;

			for (int d = 0; d < dim; d++)
				residual[d] = row[d] - centroid[d];
			norm = sqrtf(ann_kernels->norm_squared(residual, dim));
			for (int d = 0; d < dim; d++)
				residual[d] = norm > 0 ? residual[d] / norm : 0;
		}
	}
	pfree(workspace);
}

/* Rotates num rows where they stand. */
static void
rotate_rows(AnnBuilder *builder, float *rows, size_t num)
{
	int dim = builder->meta.dim;
	float *batch = build_alloc(builder, sizeof(float) * dim * BATCH);

	for (size_t first = 0; first < num; first += BATCH)
	{
		int part = Min(num - first, (size_t) BATCH);

		CHECK_FOR_INTERRUPTS();
		ann_rotation_apply(builder->rotation, dim, rows + first * dim, part, batch);
		memcpy(rows + first * dim, batch, sizeof(float) * dim * part);
	}
	pfree(batch);
}

/*
 * A code of single dimensions gains nothing worth the multiplications, and a sample of few rows has no
 * axes to speak of. Wide vectors would make the model too large for a cache.
 */
static bool
is_worth_it(const AnnBuilder *builder)
{
	int dim = builder->meta.dim;

	if (ann_form_is_absolute(ann_metric_traits(builder->meta.metric)->form))
	{
		if (builder->options.rotation == ANN_SWITCH_ON)
			ereport(NOTICE, (errmsg("vectors are not rotated, as their %s distance would change",
									ann_metric_traits(builder->meta.metric)->name)));
		return false;
	}
	switch ((AnnSwitch) builder->options.rotation)
	{
		case ANN_SWITCH_OFF:
			return false;
		case ANN_SWITCH_ON:
			if (dim <= ANN_MAX_ROTATED_DIM)
				return true;
			ereport(NOTICE, (errmsg("vectors of more than %d dimensions are not rotated",
									ANN_MAX_ROTATED_DIM)));
			return false;
		case ANN_SWITCH_AUTO:
			break;
	}
	return builder->meta.width > 1 && dim <= ANN_MAX_ROTATED_DIM &&
		   builder->sample.num >= (size_t) MIN_ROWS_PER_DIM * dim;
}

void
ann_builder_rotate(AnnBuilder *builder)
{
	int dim = builder->meta.dim;
	Size bytes = ann_rotation_workspace_size(dim);
	size_t num = Min(builder->sample.num, MAX_ROWS);
	float *residuals;
	void *workspace;
	bool found;

	if (!is_worth_it(builder))
		return;
	num = Min(num, builder->memory / 4 / (sizeof(float) * dim));
	if (bytes > builder->memory / 4 ||
		num < Min(builder->sample.num, (size_t) MIN_ROWS_PER_DIM * dim))
	{
		ereport(NOTICE, (errmsg("vectors are not rotated, as maintenance_work_mem is small"),
						 errhint("More maintenance_work_mem gives better codes.")));
		return;
	}
	residuals = build_alloc(builder, sizeof(float) * dim * num);
	ann_builder_residuals(builder, num, residuals);
	workspace = build_alloc(builder, bytes);
	builder->rotation = build_alloc(builder, sizeof(float) * dim * dim);
	if (ann_rotation_train(residuals, num, dim, builder->meta.width, builder->rotation, &found,
						   ann_builder_poll, NULL, workspace) != ANN_OK)
		elog(ERROR, "training was interrupted");
	pfree(workspace);
	pfree(residuals);
	if (!found)
	{
		pfree(builder->rotation);
		builder->rotation = NULL;
		return;
	}
	rotate_rows(builder, builder->sample.rows, builder->sample.num);
	rotate_rows(builder, builder->set.centroids, builder->set.num_centroids);
	rotate_rows(builder, builder->set.parents, builder->set.num_parents);
	rotate_rows(builder, builder->queries, builder->num_queries);
	ann_centroids_rebias(&builder->set);
}
