/*
 * encode_pairs.h
 *	  encode_pairs in plain C, for the instruction sets whose compilers make vectors of it
 *	  themselves: loops of constant length, one thing each.
 */
#ifndef ANN_CORE_ENCODE_PAIRS_H
#define ANN_CORE_ENCODE_PAIRS_H

#include <math.h>

#include "core/kernels.h"

/*
 * The best partner i of each j of one block: cost[j] and partner[j]. table, bias: of the first
 * layer's block; a, b: the block's codewords in both layers.
 */
static inline void
ann_best_partners(const float *table, const float *bias, const float *a, const float *b, int width,
				  float cost[ANN_CODEWORDS], int32_t partner[ANN_CODEWORDS])
{
	for (int j = 0; j < ANN_CODEWORDS; j++)
	{
		cost[j] = INFINITY;
		partner[j] = 0;
	}
	for (int i = 0; i < ANN_CODEWORDS; i++)
	{
		float own = bias[i] - 2 * table[i];
		float value[ANN_CODEWORDS] = {0};

		for (int d = 0; d < width; d++)
			for (int j = 0; j < ANN_CODEWORDS; j++)
				value[j] += a[d * ANN_CODEWORDS + i] * b[d * ANN_CODEWORDS + j];
		for (int j = 0; j < ANN_CODEWORDS; j++)
			value[j] = own + 2 * value[j];
		for (int j = 0; j < ANN_CODEWORDS; j++)
			partner[j] = value[j] < cost[j] ? i : partner[j];
		for (int j = 0; j < ANN_CODEWORDS; j++)
			cost[j] = value[j] < cost[j] ? value[j] : cost[j];
	}
}

static inline void
ann_encode_pairs_plain(const float *table, const float *bias, const float *codebook, int num_blocks,
					   int width, uint8_t *codes)
{
	size_t stride = (size_t) width * ANN_CODEWORDS;

	for (int m = 0; m < num_blocks; m++)
	{
		size_t first = (size_t) m * ANN_CODEWORDS;
		size_t second = (size_t) (num_blocks + m) * ANN_CODEWORDS;
		float cost[ANN_CODEWORDS];
		int32_t partner[ANN_CODEWORDS];
		int chosen = 0;

		ann_best_partners(table + first, bias + first, codebook + m * stride,
						  codebook + (num_blocks + m) * stride, width, cost, partner);
		for (int j = 0; j < ANN_CODEWORDS; j++)
		{
			cost[j] += bias[second + j] - 2 * table[second + j];
			chosen = cost[j] < cost[chosen] ? j : chosen;
		}
		codes[m] = (uint8_t) partner[chosen];
		codes[num_blocks + m] = (uint8_t) chosen;
	}
}

#endif
