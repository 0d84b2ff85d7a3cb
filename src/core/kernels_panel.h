/*
 * kernels_panel.h
 *	  The cache blocking of the matrix-product kernels (products, nearest), the same for every
 *	  instruction set: which rows meet in which order. The tiles themselves are in kernels_<isa>.c.
 *
 * NOTES
 *	  A panel of B stays in the first-level cache while a block of A, half of a second-level cache,
 *	  passes by it, one tile of rows at a time: each float of A is then loaded from the second level
 *	  once for a whole panel, and each float of B from memory once for a block of A.
 *	  Panels come in ascending order, so nearest keeps the lowest index by replacing its best only
 *	  for a lower score.
 */
#ifndef ANN_CORE_KERNELS_PANEL_H
#define ANN_CORE_KERNELS_PANEL_H

#include <math.h>

#include "core/kernels.h"

/* Rows of B in one register tile, in every variant. */
#define ANN_TILE_B 4

#define ANN_PANEL_BYTES (32 * 1024)
#define ANN_BLOCK_A_BYTES (256 * 1024)

/* The arguments of products (out, out_stride) or of nearest (bias_b, best, best_score). */
typedef struct AnnProductJob
{
	const float *a;
	size_t a_stride;
	int num_a;
	const float *b;
	size_t b_stride;
	int num_b;
	int dim;
	float *out;
	size_t out_stride;
	const float *bias_b;
	uint32_t *best;
	float *best_score;
} AnnProductJob;

/* Works off rows [first_a, first_a + num_a) of A, at most a tile, against [first_b, end_b) of B. */
typedef void (*AnnTileRun)(const AnnProductJob *job, int first_a, int num_a, int first_b,
						   int end_b);

/* Rows that fill bytes, a multiple of unit and at least one. */
static inline int
ann_panel_rows(int bytes, int dim, int unit)
{
	int rows = bytes / (int) (sizeof(float) * (dim > 0 ? dim : 1));

	return rows < unit ? unit : rows / unit * unit;
}

/* tile_a: rows of A in one register tile. */
static inline void
ann_panel_walk(const AnnProductJob *job, int tile_a, AnnTileRun run)
{
	int panel = ann_panel_rows(ANN_PANEL_BYTES, job->dim, ANN_TILE_B);
	int block = ann_panel_rows(ANN_BLOCK_A_BYTES, job->dim, tile_a);

	for (int block_a = 0; block_a < job->num_a; block_a += block)
	{
		int end_a = job->num_a - block_a < block ? job->num_a : block_a + block;

		for (int b = 0; b < job->num_b; b += panel)
		{
			int end_b = job->num_b - b < panel ? job->num_b : b + panel;

			for (int a = block_a; a < end_a; a += tile_a)
				run(job, a, end_a - a < tile_a ? end_a - a : tile_a, b, end_b);
		}
	}
}

/* nearest from the start: no best yet. */
static inline void
ann_panel_walk_nearest(const AnnProductJob *job, int tile_a, AnnTileRun run)
{
	for (int i = 0; i < job->num_a; i++)
	{
		job->best[i] = 0;
		job->best_score[i] = INFINITY;
	}
	ann_panel_walk(job, tile_a, run);
}

/*
 * Pointers to the rows of a tile, num of them from first; those past num repeat the last one, so
 * that a tile is full. Without a loop: gcc -O2 would keep it, and it stands between two tiles.
 */
static inline void
ann_tile_rows(const float *rows, size_t stride, int first, int num, const float *tile[4])
{
	tile[0] = rows + (size_t) first * stride;
	tile[1] = tile[0] + (num > 1 ? stride : 0);
	tile[2] = tile[1] + (num > 2 ? stride : 0);
	tile[3] = tile[2] + (num > 3 ? stride : 0);
}

/* Stores what of a tile (rows of ANN_TILE_B products) lies inside the matrix. */
static inline void
ann_tile_store(const float *products, int num_a, int num_b, float *out, size_t out_stride)
{
	for (int i = 0; i < num_a; i++)
		for (int j = 0; j < num_b && j < ANN_TILE_B; j++)
			out[i * out_stride + j] = products[i * ANN_TILE_B + j];
}

/*
 * Takes over, for num_a rows of A, the lowest of ANN_TILE_B scores each, that of the lowest index
 * on ties, if it is lower than what earlier panels had.
 */
static inline void
ann_tile_keep_lowest(const AnnProductJob *job, int first_a, int num_a, const float *scores,
					 const uint32_t *indexes)
{
	for (int i = 0; i < num_a; i++)
	{
		float lowest = job->best_score[first_a + i];
		uint32_t index = job->best[first_a + i];

		for (int j = i * ANN_TILE_B; j < (i + 1) * ANN_TILE_B; j++)
			if (scores[j] < lowest || (scores[j] == lowest && indexes[j] < index))
			{
				lowest = scores[j];
				index = indexes[j];
			}
		job->best_score[first_a + i] = lowest;
		job->best[first_a + i] = index;
	}
}

#endif
