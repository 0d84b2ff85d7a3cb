/*
 * centroid_set.c
 *	  The two-level centroid set: its arrays in memory.
 */
#include <math.h>
#include <string.h>

#include "core/gather.h"

/* The integer nearest to the square root. */
uint32_t
ann_num_parents(uint32_t num_centroids)
{
	uint32_t root = (uint32_t) lround(sqrt((double) num_centroids));

	return root < 1 ? 1 : root;
}

static void
centroids_take(AnnCentroids *set, AnnArena *arena, int dim, uint32_t num_centroids)
{
	uint32_t num_parents = ann_num_parents(num_centroids);

	set->dim = dim;
	set->num_parents = num_parents;
	set->num_centroids = num_centroids;
	set->parents = ann_arena_take(arena, (size_t) num_parents * dim, sizeof(float));
	set->parent_bias = ann_arena_take(arena, num_parents, sizeof(float));
	set->first_child = ann_arena_take(arena, (size_t) num_parents + 1, sizeof(uint32_t));
	set->centroids = ann_arena_take(arena, (size_t) num_centroids * dim, sizeof(float));
	set->centroid_bias = ann_arena_take(arena, num_centroids, sizeof(float));
}

size_t
ann_centroids_size(int dim, uint32_t num_centroids)
{
	AnnArena arena = {0};
	AnnCentroids set;

	centroids_take(&set, &arena, dim, num_centroids);
	return arena.bytes;
}

/*
 * No alignment by the address, unlike a workspace: processes that map the memory at different
 * places must find the arrays at the same offsets.
 */
void
ann_centroids_init(AnnCentroids *set, void *memory, int dim, uint32_t num_centroids)
{
	AnnArena arena = {.memory = memory};

	centroids_take(set, &arena, dim, num_centroids);
}

void
ann_centroids_copy(AnnCentroids *to, const AnnCentroids *from)
{
	size_t row = sizeof(float) * (size_t) from->dim;

	to->num_parents = from->num_parents;
	to->num_centroids = from->num_centroids;
	memcpy(to->parents, from->parents, row * from->num_parents);
	memcpy(to->parent_bias, from->parent_bias, sizeof(float) * from->num_parents);
	memcpy(to->first_child, from->first_child, sizeof(uint32_t) * (from->num_parents + 1));
	memcpy(to->centroids, from->centroids, row * from->num_centroids);
	memcpy(to->centroid_bias, from->centroid_bias, sizeof(float) * from->num_centroids);
}

void
ann_centroids_rebias(AnnCentroids *set)
{
	size_t dim = (size_t) set->dim;

	for (uint32_t p = 0; p < set->num_parents; p++)
		set->parent_bias[p] = ann_kernels->norm_squared(set->parents + p * dim, set->dim);
	for (uint32_t c = 0; c < set->num_centroids; c++)
		set->centroid_bias[c] = ann_kernels->norm_squared(set->centroids + c * dim, set->dim);
}

uint32_t
ann_most_children(const AnnCentroids *set)
{
	uint32_t most = 0;

	for (uint32_t p = 0; p < set->num_parents; p++)
	{
		uint32_t num = set->first_child[p + 1] - set->first_child[p];

		most = num > most ? num : most;
	}
	return most;
}
