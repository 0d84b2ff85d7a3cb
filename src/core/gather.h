/*
 * gather.h
 *	  A gather: some rows, gathered and moved to an origin near to them, that are compared with many
 *	  centroids at once. Shared by k-means, assignment and what drops leaves; nobody else includes
 *	  it.
 *
 * NOTES
 *	  |x|^2 - 2<x,c> + |c|^2 loses what |x|^2 exceeds the distance by. Rows and centroids are taken
 *	  relative to an origin between them (the mean of a run, a parent), so that clusters far from
 *	  zero or from each other lose nothing; gathering, which the kernels' speed asks for, does it in
 *	  passing.
 */
#ifndef ANN_CORE_GATHER_H
#define ANN_CORE_GATHER_H

#include "core/kernels.h"
#include "core/kmeans.h"
#include "core/work.h"

/* Floats of a gather and of a tile of centroids: both stay in the second-level cache. */
#define ANN_GATHER_FLOATS 16384
#define ANN_TILE_FLOATS 65536
#define ANN_GATHER_ROWS_MIN 8
#define ANN_GATHER_ROWS_MAX 256

typedef struct AnnGather
{
	int dim;
	size_t stride; /* floats from row to row */
	int room;      /* rows that fit */
	int num;       /* rows in it */
	float *rows;
	float *norms; /* squared, relative to the origin */
	uint32_t *best;
	float *scores; /* of best; with the norm added, the squared distance */
	uint32_t *tile_best;
	float *tile_scores;
} AnnGather;

/* Floats from row to row of our own arrays: whole cache lines where that costs little. */
static inline size_t
ann_gather_stride(int dim)
{
	return dim < 64 ? (size_t) dim : ((size_t) dim + 15) / 16 * 16;
}

/* Rows of so many floats each that fill about so many floats, within the limits of a gather. */
extern int ann_gather_rows_of(size_t floats, size_t stride);

/* Sets the sizes and takes the arrays from the arena. */
extern void ann_gather_take(AnnGather *gather, AnnArena *arena, int dim);

/* Rows that are gathered from all over memory are asked for this many rows ahead. */
#define ANN_GATHER_AHEAD 8

static inline void
ann_gather_prefetch(const float *row, int dim)
{
	/* The processor goes on by itself after some lines. */
	int num = dim < 128 ? dim : 128;

	for (int d = 0; d < num; d += 16)
		__builtin_prefetch(row + d);
}

/* Appends row - origin. The gather has room. */
extern void ann_gather_put(AnnGather *gather, const float *row, const float *origin);

/*
 * For each row of the gather the nearest of num >= 1 centroids (relative to the same origin, bias
 * their squared norms), the lowest on ties. True: the meter's poll asked to stop.
 */
extern bool ann_gather_nearest(AnnGather *gather, const float *centroids, size_t centroid_stride,
							   uint32_t num, const float *bias, AnnMeter *meter);

/* Parents of a set of that many centroids, about the square root. */
extern uint32_t ann_num_parents(uint32_t num_centroids);

/* The most children of one parent. */
extern uint32_t ann_most_children(const AnnCentroids *set);

/*
 * ann_centroids_assign with a meter, for any set of at most these sizes, each row
 * looking into the `beam` nearest parents, 1 to ANN_KMEANS_BEAM.
 */
extern size_t
ann_assign_workspace_size(int dim, uint32_t num_parents, uint32_t max_children, size_t num_rows);
extern bool
ann_assign_rows(const AnnCentroids *set, const float *rows, size_t row_stride, size_t num_rows,
				uint32_t beam, uint32_t *leaf, float *distance, void *workspace, AnnMeter *meter);

/* Rows to assign at a time where there are so many. */
extern size_t ann_assign_batch(uint32_t num_parents, size_t num_rows);

/*
 * dissolve.c: drops the leaves whose count is 0, and parents left without leaves; the others keep
 * their order. The bias arrays are the caller's business.
 */
extern void ann_centroids_drop_empty(AnnCentroids *set, const uint32_t *counts);

#endif
