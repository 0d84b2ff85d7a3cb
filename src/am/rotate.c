/*
 * rotate.c
 *	  The rotation of a model: whether it gets one, and what turns with it.
 *
 * NOTES
 *	  Leaves do not depend on a rotation, as k-means sees distances only; codes do, as their blocks
 *	  are made of coordinates. So it comes after the centroids and before the codebook: the axes are
 *	  those of the unit residuals, which are what is coded, and from here on everything (centroids,
 *	  residuals, queries, rows) is in rotated coordinates. Only the mean, taken off before, stays as
 *	  it is.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "am/build.h"
#include "core/rotation.h"

/* Rows that speak for the axes: so many for each dimension at least. */
#define MIN_ROWS_PER_DIM 4

/* Rows handled together. */
#define BATCH 256

/* Rotates num rows where they stand. */
static void
rotate_rows(AnnBuilder *builder, float *rows, size_t num)
{
	int dim = builder->meta.dim;
	float *batch = ann_builder_alloc(builder, sizeof(float) * dim * BATCH);

	for (size_t first = 0; first < num; first += BATCH)
	{
		int part = Min(num - first, (size_t) BATCH);

		CHECK_FOR_INTERRUPTS();
		ann_builder_products(builder, rows + first * dim, part, builder->rotation, dim, dim, batch,
							 dim);
		memcpy(rows + first * dim, batch, sizeof(float) * dim * part);
		ann_builder_advance(builder, part);
	}
	pfree(batch);
}

/*
 * A code of single dimensions gains nothing worth the multiplications, and a sample of few rows has
 * no axes to speak of. Wide vectors would make the model too large for a cache.
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
	size_t num = builder->sample.num;
	void *workspace;
	bool found;

	if (!is_worth_it(builder))
		return;
	if (bytes > builder->memory / 4)
	{
		ereport(NOTICE, (errmsg("vectors are not rotated, as maintenance_work_mem is small"),
						 errhint("More maintenance_work_mem gives better codes.")));
		return;
	}
	ann_builder_phase(builder, ANN_PHASE_ROTATION,
					  (double) num + builder->set.num_centroids + builder->set.num_parents +
						  builder->num_queries);
	workspace = ann_builder_alloc(builder, bytes);
	builder->rotation = ann_builder_alloc(builder, sizeof(float) * dim * dim);
	if (ann_rotation_train(builder->sample.rows, num, dim, builder->meta.width, builder->rotation,
						   &found, &builder->watch, workspace) != ANN_OK)
		elog(ERROR, "training was interrupted");
	pfree(workspace);
	if (!found)
	{
		pfree(builder->rotation);
		builder->rotation = NULL;
		return;
	}
	rotate_rows(builder, builder->sample.rows, num);
	rotate_rows(builder, builder->set.centroids, builder->set.num_centroids);
	rotate_rows(builder, builder->set.parents, builder->set.num_parents);
	rotate_rows(builder, builder->queries, builder->num_queries);
	ann_centroids_rebias(&builder->set);
}
