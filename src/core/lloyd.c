/*
 * lloyd.c
 *	  Flat Lloyd over numbered rows.
 *
 * NOTES
 *	  Starts from random distinct rows. k-means++ costs a pass, one centroid at a time, and was no
 *	  better on real sets: the same energy within .2 %, more unequal sizes, 5 to 10 % more codes for
 *	  the same coverage on text. What it guards against is mended by relocation (relocate.c).
 *
 *	  Sums are double: a centroid is the mean to the last bit, finite where the rows are, and a row
 *	  itself where all its rows are equal.
 */
#include "core/lloyd.h"

#include <string.h>

/* A run has settled when only one row of so many was assigned elsewhere than before. */
#define SETTLED 64

void
ann_lloyd_take(AnnLloyd *lloyd, AnnArena *arena, int dim, uint32_t max_centroids, size_t max_rows)
{
	size_t num_hashed = max_centroids < max_rows ? max_centroids : max_rows;

	lloyd->hashes = ann_arena_take(arena, ann_distinct_room(num_hashed), sizeof(uint64_t));
	lloyd->origin = ann_arena_take(arena, (size_t) dim, sizeof(float));
	lloyd->sums = ann_arena_take(arena, (size_t) max_centroids * dim, sizeof(double));
	lloyd->counts = ann_arena_take(arena, max_centroids, sizeof(uint32_t));
	lloyd->bias = ann_arena_take(arena, max_centroids, sizeof(float));
	lloyd->gains = ann_arena_take(arena, max_centroids, sizeof(double));
	lloyd->losses = ann_arena_take(arena, max_centroids, sizeof(double));
	lloyd->members = ann_arena_take(arena, max_centroids, sizeof(uint32_t));
	lloyd->absorbers = ann_arena_take(arena, max_centroids, sizeof(uint32_t));
	ann_gather_take(&lloyd->gather, arena, dim);
}

void
ann_lloyd_draw(AnnLloyd *lloyd, AnnRun *run, size_t i)
{
	size_t other = i + ann_rng_below(&lloyd->rng, run->num_rows - i);
	uint32_t row = run->order[other];

	run->order[other] = run->order[i];
	run->order[i] = row;
}

/* The first centroids. True: stop. */
static bool
choose_centroids(AnnLloyd *lloyd, AnnRun *run, uint32_t wanted)
{
	AnnDistinct distinct;

	ann_distinct_init(&distinct, lloyd->hashes, wanted < run->num_rows ? wanted : run->num_rows);
	run->num_centroids = 0;
	for (size_t i = 0; i < run->num_rows && run->num_centroids < wanted; i++)
	{
		const float *row;

		ann_lloyd_draw(lloyd, run, i);
		row = ann_run_row(lloyd, run, i);
		if (ann_distinct_add(&distinct, row, lloyd->dim))
			memcpy(run->centroids + run->num_centroids++ * lloyd->dim, row,
				   lloyd->dim * sizeof(float));
		if (ann_meter_spend(&lloyd->meter, lloyd->dim))
			return true;
	}
	return false;
}

/* The mean of a run's rows becomes the origin. True: stop. */
static bool
choose_origin(AnnLloyd *lloyd, const AnnRun *run)
{
	memset(lloyd->sums, 0, lloyd->dim * sizeof(double));
	for (size_t i = 0; i < run->num_rows; i++)
	{
		ann_kernels->add(ann_run_row(lloyd, run, i), (int) lloyd->dim, lloyd->sums);
		if (ann_meter_spend(&lloyd->meter, lloyd->dim))
			return true;
	}
	for (size_t d = 0; d < lloyd->dim; d++)
		lloyd->origin[d] = (float) (lloyd->sums[d] / (double) run->num_rows);
	return false;
}

/* Centroids move to the origin; the bias follows. */
static void
centroids_to_origin(AnnLloyd *lloyd, AnnRun *run)
{
	for (uint32_t c = 0; c < run->num_centroids; c++)
	{
		float *centroid = run->centroids + c * lloyd->dim;

		lloyd->bias[c] = ann_kernels->subtract(centroid, lloyd->origin, (int) lloyd->dim, centroid);
	}
}

void
ann_lloyd_clear(AnnLloyd *lloyd, uint32_t num_centroids)
{
	memset(lloyd->sums, 0, num_centroids * lloyd->dim * sizeof(double));
	memset(lloyd->counts, 0, num_centroids * sizeof(uint32_t));
}

void
ann_lloyd_add(AnnLloyd *lloyd, uint32_t centroid, const float *row)
{
	lloyd->counts[centroid]++;
	ann_kernels->add(row, (int) lloyd->dim, lloyd->sums + centroid * lloyd->dim);
}

/* Fills the gather with the run's rows from place start on. */
static void
gather_rows(AnnLloyd *lloyd, const AnnRun *run, size_t start)
{
	AnnGather *gather = &lloyd->gather;

	gather->num = 0;
	for (size_t i = start; i < run->num_rows && gather->num < gather->room; i++)
	{
		if (i + ANN_GATHER_AHEAD < run->num_rows)
			ann_gather_prefetch(ann_run_row(lloyd, run, i + ANN_GATHER_AHEAD), gather->dim);
		ann_gather_put(gather, ann_run_row(lloyd, run, i), lloyd->origin);
	}
}

/*
 * Assigns every row of the run to its nearest centroid and sums up what moves the centroids;
 * *changed counts the rows that were assigned elsewhere before, *energy is the mean of the squared
 * distances. True: stop.
 */
static bool
assign_run(AnnLloyd *lloyd, AnnRun *run, size_t *changed, double *energy)
{
	AnnGather *gather = &lloyd->gather;

	*changed = 0;
	*energy = 0;
	ann_lloyd_clear(lloyd, run->num_centroids);
	for (size_t start = 0; start < run->num_rows; start += (size_t) gather->num)
	{
		gather_rows(lloyd, run, start);
		if (ann_gather_nearest(gather, run->centroids, lloyd->dim, run->num_centroids, lloyd->bias,
							   &lloyd->meter))
			return true;
		for (int i = 0; i < gather->num; i++)
		{
			uint32_t best = gather->best[i];

			*changed += run->assigned[start + i] != best;
			*energy += gather->norms[i] + gather->scores[i];
			run->assigned[start + i] = best;
			ann_lloyd_add(lloyd, best, ann_run_row(lloyd, run, start + i));
		}
		ann_watch_advance(lloyd->meter.watch, (uint64_t) gather->num);
	}
	*energy /= (double) run->num_rows;
	return false;
}

/* Relative to the origin, or absolute where that is NULL. True: stop. */
bool
ann_lloyd_update(AnnLloyd *lloyd, float *centroids, uint32_t num_centroids, const float *origin)
{
	for (uint32_t c = 0; c < num_centroids; c++)
	{
		float *centroid = centroids + c * lloyd->dim;
		const double *sum = lloyd->sums + c * lloyd->dim;

		if (lloyd->counts[c] == 0)
			continue;
		for (size_t d = 0; d < lloyd->dim; d++)
			centroid[d] = (float) (sum[d] / lloyd->counts[c] - (origin == NULL ? 0 : origin[d]));
		lloyd->bias[c] = ann_kernels->norm_squared(centroid, (int) lloyd->dim);
		if (ann_meter_spend(&lloyd->meter, lloyd->dim))
			return true;
	}
	return false;
}

/* Drops the centroids without rows and renumbers `assigned`. */
static void
drop_empty(AnnLloyd *lloyd, AnnRun *run)
{
	uint32_t *renumbered = lloyd->absorbers;
	uint32_t num = 0;

	for (uint32_t c = 0; c < run->num_centroids; c++)
	{
		renumbered[c] = num;
		if (lloyd->counts[c] == 0)
			continue;
		if (num != c)
			memcpy(run->centroids + num * lloyd->dim, run->centroids + c * lloyd->dim,
				   lloyd->dim * sizeof(float));
		num++;
	}
	for (size_t i = 0; i < run->num_rows && num < run->num_centroids; i++)
		run->assigned[i] = renumbered[run->assigned[i]];
	run->num_centroids = num;
}

bool
ann_lloyd_train(AnnLloyd *lloyd, AnnRun *run, uint32_t wanted)
{
	uint32_t num_moved = 1;
	bool is_last = false;
	int passes = 0;

	if (choose_centroids(lloyd, run, wanted) || choose_origin(lloyd, run))
		return true;
	centroids_to_origin(lloyd, run);
	memset(run->assigned, 0xff, run->num_rows * sizeof(uint32_t));
	while (!is_last)
	{
		uint32_t all[2] = {0, run->num_centroids};
		size_t changed;
		double energy;

		if (assign_run(lloyd, run, &changed, &energy))
			return true;
		is_last = ++passes >= lloyd->iterations || changed <= run->num_rows / SETTLED;
		if (lloyd->name != NULL)
			ann_watch_pass(lloyd->meter.watch, lloyd->name, passes, energy);
		if (ann_lloyd_update(lloyd, run->centroids, run->num_centroids,
							 is_last ? NULL : lloyd->origin))
			return true;
		/* Where nothing was to be moved once, nothing will be. */
		if (!is_last && num_moved > 0 && ann_lloyd_relocate(lloyd, run, all, 1, &num_moved))
			return true;
	}
	drop_empty(lloyd, run);
	ann_watch_advance(lloyd->meter.watch, run->num_rows * (uint64_t) (lloyd->iterations - passes));
	return false;
}

bool
ann_lloyd_reassign(AnnLloyd *lloyd, AnnRun *run)
{
	size_t changed;
	double energy;

	centroids_to_origin(lloyd, run);
	memset(run->assigned, 0xff, run->num_rows * sizeof(uint32_t));
	if (assign_run(lloyd, run, &changed, &energy) ||
		ann_lloyd_update(lloyd, run->centroids, run->num_centroids, NULL))
		return true;
	drop_empty(lloyd, run);
	return false;
}
