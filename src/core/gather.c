/*
 * gather.c
 *	  Rows gathered and moved to an origin near to them, see gather.h.
 */
#include "core/gather.h"

int
ann_gather_rows_of(size_t floats, size_t stride)
{
	size_t rows = floats / stride;

	return (int) (rows < ANN_GATHER_ROWS_MIN   ? ANN_GATHER_ROWS_MIN
				  : rows > ANN_GATHER_ROWS_MAX ? ANN_GATHER_ROWS_MAX
											   : rows);
}

void
ann_gather_take(AnnGather *gather, AnnArena *arena, int dim)
{
	size_t room;

	gather->dim = dim;
	gather->stride = ann_gather_stride(dim);
	gather->room = ann_gather_rows_of(ANN_GATHER_FLOATS, gather->stride);
	gather->num = 0;
	room = (size_t) gather->room;
	gather->rows = ann_arena_take(arena, room * gather->stride, sizeof(float));
	gather->norms = ann_arena_take(arena, room, sizeof(float));
	gather->best = ann_arena_take(arena, room, sizeof(uint32_t));
	gather->scores = ann_arena_take(arena, room, sizeof(float));
	gather->tile_best = ann_arena_take(arena, room, sizeof(uint32_t));
	gather->tile_scores = ann_arena_take(arena, room, sizeof(float));
}

void
ann_gather_put(AnnGather *gather, const float *row, const float *origin)
{
	float *out = gather->rows + (size_t) gather->num * gather->stride;

	gather->norms[gather->num++] = ann_kernels->subtract(row, origin, gather->dim, out);
}

bool
ann_gather_nearest(AnnGather *gather, const float *centroids, size_t centroid_stride, uint32_t num,
				   const float *bias, AnnMeter *meter)
{
	uint32_t room = (uint32_t) ann_gather_rows_of(ANN_TILE_FLOATS, centroid_stride);

	for (uint32_t first = 0; first < num; first += room)
	{
		uint32_t tile = num - first < room ? num - first : room;
		uint32_t *best = first == 0 ? gather->best : gather->tile_best;
		float *scores = first == 0 ? gather->scores : gather->tile_scores;

		ann_kernels->nearest(gather->rows, gather->stride, gather->num,
							 centroids + first * centroid_stride, centroid_stride, (int) tile,
							 bias + first, gather->dim, best, scores);
		for (int i = 0; i < gather->num && first > 0; i++)
			if (scores[i] < gather->scores[i])
			{
				gather->scores[i] = scores[i];
				gather->best[i] = first + best[i];
			}
		if (ann_meter_spend(meter,
							ann_pairs_work((uint64_t) gather->num * tile, (uint64_t) gather->dim)))
			return true;
	}
	return false;
}
