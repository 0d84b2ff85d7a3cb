/*
 * anisotropic.c
 *	  Coordinate descent over the codewords of a row, see anisotropic.h.
 */
#include "core/anisotropic.h"

#include "core/kernels.h"

/* No round raises the loss, and after two or three there is little left. */
#define MAX_ROUNDS 10

/* <v,u> of a code that is of any use; less is taken for so much. */
#define LEAST_PRODUCT .2f

/* Sums over the blocks of a code u. */
typedef struct Sums
{
	float product; /* <v,u> */
	float along;   /* <u,x> */
	float norm2;   /* |u|^2 */
} Sums;

/* What they are summed from: for each block those of its 16 codewords. */
typedef struct Tables
{
	const float *product;
	const float *along;
	const float *norm2;
} Tables;

float
ann_anisotropic_weight(double threshold, int dim)
{
	double square = threshold * threshold;
	double weight = (dim - 1) * square / (1 - square);

	return (float) (weight > 1 ? weight : 1);
}

size_t
ann_anisotropic_scratch_floats(const AnnPq *pq)
{
	return ann_pq_bias_floats(pq->num_blocks);
}

/* With a codeword more (sign 1) or less (-1). */
static inline Sums
sums_with(Sums sums, const Tables *tables, size_t codeword, float sign)
{
	sums.product += sign * tables->product[codeword];
	sums.along += sign * tables->along[codeword];
	sums.norm2 += sign * tables->norm2[codeword];
	return sums;
}

/* The loss of a code, less a constant; wanted: <v,x>. */
static inline float
loss_of(Sums sums, float wanted, float weight)
{
	float scale = 1 / (sums.product > LEAST_PRODUCT ? sums.product : LEAST_PRODUCT);
	float error = wanted - scale * sums.along;

	return scale * scale * sums.norm2 + (weight - 1) * error * error;
}

/* Replaces one codeword by the best, the others as they are; the block's first is at `first`. */
static bool
better_codeword(const Tables *tables, size_t first, float wanted, float weight, Sums *sums,
				uint8_t *code)
{
	Sums rest = sums_with(*sums, tables, first + *code, -1);
	float least = loss_of(*sums, wanted, weight);
	bool changed = false;

	for (int c = 0; c < ANN_CODEWORDS; c++)
	{
		Sums tried = sums_with(rest, tables, first + (size_t) c, 1);
		float loss = loss_of(tried, wanted, weight);

		if (loss < least)
		{
			least = loss;
			*sums = tried;
			*code = (uint8_t) c;
			changed = true;
		}
	}
	return changed;
}

void
ann_anisotropic_refine(const AnnPq *pq, const float *v, const float *direction, const float *table,
					   uint8_t *codes, float *scratch)
{
	Tables tables = {.product = table, .along = scratch, .norm2 = pq->bias};
	float wanted = ann_kernels->inner_product(v, direction, pq->dim);
	Sums sums = {0};
	bool changed = true;

	ann_pq_query_table(pq, direction, scratch);
	for (int m = 0; m < pq->num_blocks; m++)
		sums = sums_with(sums, &tables, (size_t) m * ANN_CODEWORDS + codes[m], 1);
	for (int round = 0; round < MAX_ROUNDS && changed; round++)
	{
		changed = false;
		for (int m = 0; m < pq->num_blocks; m++)
			changed |= better_codeword(&tables, (size_t) m * ANN_CODEWORDS, wanted, pq->weight,
									   &sums, &codes[m]);
	}
}
