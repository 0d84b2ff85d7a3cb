/*
 * kmeans_parts.c
 *	  Parts of a hierarchical training that are independent of each other, done by whoever shares
 *	  its memory.
 *
 * NOTES
 *	  A parent has random numbers of its own, and every sum over rows of several parts is the
 *	  caller's, in the order of the rows: nothing tells who did which part.
 */
#include "core/kmeans_parts.h"

/* Parents that a row looks into in a refining pass: on text no worse for it than those 8. */
#define REFINE_BEAM 6

void
ann_kmeans_shared_take(AnnKmeansShared *shared, AnnArena *arena, const AnnKmeansParams *params,
					   size_t num_rows)
{
	size_t num_parents = ann_num_parents(params->num_centroids);

	shared->counts = ann_arena_take(arena, 1, sizeof(AnnKmeansCounts));
	shared->order = ann_arena_take(arena, num_rows, sizeof(uint32_t));
	shared->assigned = ann_arena_take(arena, num_rows, sizeof(uint32_t));
	shared->distance = ann_arena_take(arena, num_rows, sizeof(float));
	shared->first_row = ann_arena_take(arena, num_parents + 1, sizeof(uint32_t));
	shared->seats = ann_arena_take(arena, num_parents, sizeof(uint32_t));
}

size_t
ann_kmeans_shared_size(const AnnKmeansParams *params, size_t num_rows)
{
	AnnArena arena;
	AnnKmeansShared shared;

	ann_arena_init(&arena, NULL);
	ann_kmeans_shared_take(&shared, &arena, params, num_rows);
	return ann_arena_size(&arena);
}

size_t
ann_kmeans_batch(const AnnKmeansParams *params, size_t num_rows)
{
	return ann_assign_batch(ann_num_parents(params->num_centroids), num_rows);
}

bool
ann_kmeans_train_parent(const AnnKmeansParams *params, const AnnKmeansShared *shared,
						AnnCentroids *set, AnnLloyd *lloyd, uint32_t parent)
{
	uint32_t first = shared->first_row[parent];
	AnnRun run = {
		.order = shared->order + first,
		.assigned = shared->assigned + first,
		.num_rows = shared->first_row[parent + 1] - first,
		.centroids = set->centroids + set->first_child[parent] * lloyd->dim,
	};

	ann_rng_seed(&lloyd->rng, params->seed);
	ann_rng_seed(&lloyd->rng, ann_rng_next(&lloyd->rng) + parent);
	if (ann_lloyd_train(lloyd, &run, shared->seats[parent]))
		return true;
	shared->seats[parent] = run.num_centroids;
	return false;
}

bool
ann_kmeans_assign_batch(const AnnKmeansParams *params, const AnnKmeansShared *shared,
						const AnnCentroids *set, const float *rows, size_t num_rows, uint32_t batch,
						void *workspace, AnnMeter *meter)
{
	size_t dim = (size_t) params->dim;
	size_t most = ann_kmeans_batch(params, num_rows);
	size_t start = batch * most;
	size_t num = num_rows - start < most ? num_rows - start : most;

	if (ann_assign_rows(set, rows + start * dim, dim, num, REFINE_BEAM, shared->assigned + start,
						shared->distance + start, workspace, meter))
		return true;
	ann_watch_advance(meter->watch, num);
	return false;
}

/* ---- another process ---- */

/* *counts: those of the step that is being run. */
static AnnKmeansShared
shared_of(const AnnKmeansParams *params, size_t num_rows, AnnKmeansCounts *counts)
{
	AnnArena arena;
	AnnKmeansShared shared;

	ann_arena_init(&arena, params->team->shared);
	ann_kmeans_shared_take(&shared, &arena, params, num_rows);
	/* a team has memory: NOLINTNEXTLINE(*.NullDereference) */
	*counts = *shared.counts;
	return shared;
}

size_t
ann_kmeans_part_workspace_size(const AnnKmeansParams *params, size_t num_rows, AnnKmeansStep step)
{
	AnnKmeansCounts counts;
	AnnArena arena;
	AnnLloyd lloyd;

	(void) shared_of(params, num_rows, &counts);
	if (step == ANN_KMEANS_LEAVES)
		return ann_assign_workspace_size(params->dim, counts.num_parents, counts.most_seats,
										 ann_kmeans_batch(params, num_rows));
	ann_arena_init(&arena, NULL);
	ann_lloyd_take(&lloyd, &arena, params->dim, counts.most_seats, counts.most_rows);
	return ann_arena_size(&arena);
}

AnnStatus
ann_kmeans_part(const AnnKmeansParams *params, const float *rows, size_t num_rows,
				AnnCentroids *set, AnnKmeansStep step, uint32_t part, void *workspace)
{
	AnnKmeansCounts counts;
	AnnKmeansShared shared = shared_of(params, num_rows, &counts);
	AnnMeter meter = {.watch = params->watch};
	AnnArena arena;
	AnnLloyd lloyd = {
		.rows = rows,
		.dim = (size_t) params->dim,
		.iterations = params->iterations,
		.meter = meter,
	};
	bool stop;

	set->num_parents = counts.num_parents;
	set->num_centroids = counts.num_centroids;
	if (step == ANN_KMEANS_LEAVES)
		stop =
			ann_kmeans_assign_batch(params, &shared, set, rows, num_rows, part, workspace, &meter);
	else
	{
		ann_arena_init(&arena, workspace);
		ann_lloyd_take(&lloyd, &arena, params->dim, counts.most_seats, counts.most_rows);
		stop = ann_kmeans_train_parent(params, &shared, set, &lloyd, part);
	}
	return stop ? ANN_INTERRUPTED : ANN_OK;
}
