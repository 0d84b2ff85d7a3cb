/*
 * absolute.c
 *	  Absolute codes: encoding, the tables of a query, Jaccard keys.
 */
#include "core/absolute.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/bf16.h"
#include "core/kernels.h"

void
ann_bits_codebook(AnnPq *pq)
{
	for (int i = 0; i < pq->num_blocks * ANN_BITS_WIDTH; i++)
		for (int c = 0; c < ANN_CODEWORDS; c++)
			pq->codebook[(size_t) i * ANN_CODEWORDS + c] = (float) (c >> i % ANN_BITS_WIDTH & 1);
	ann_pq_rebias(pq);
}

bool
ann_absolute_encode(const AnnPq *pq, AnnCodeForm form, const float *x, uint8_t *codes,
					AnnFactors *factors, float *scratch)
{
	size_t padded_dim = ann_pq_padded_dim(pq);
	float *row = scratch;
	float *decoded = scratch + padded_dim;
	double num_bits = 0;
	double error = 0;
	float err;

	memset(row, 0, padded_dim * sizeof(float));
	for (int d = 0; d < pq->dim; d++)
		row[d] = form == ANN_CODE_L1 ? x[d] : (float) (x[d] > 0);
	ann_pq_encode(pq, row, codes, decoded + padded_dim);
	ann_pq_decode(pq, codes, decoded);
	for (int d = 0; d < pq->dim; d++)
	{
		double difference = (double) row[d] - decoded[d];

		error += difference * difference;
		num_bits += row[d];
	}
	err = (float) sqrt(error);
	if ((double) err * err < error)
		err = nextafterf(err, INFINITY);
	factors->s = ann_bf16_from_float(1);
	factors->b = form == ANN_CODE_L1 ? 0 : (float) num_bits;
	factors->err = ann_bf16_from_float_up(err);
	return isfinite(ann_bf16_to_float(factors->err));
}

/* Rows of 16 codewords, one dimension each, as the codebook has them: loops of constant length. */
void
ann_l1_table(const AnnPq *pq, const float *query, float *out)
{
	const float *codewords = pq->codebook;

	for (int m = 0; m < pq->num_blocks; m++)
	{
		float *sums = out + (size_t) m * ANN_CODEWORDS;

		memset(sums, 0, ANN_CODEWORDS * sizeof(float));
		for (int d = 0; d < pq->width; d++, codewords += ANN_CODEWORDS)
		{
			float value = *query++;

			for (int c = 0; c < ANN_CODEWORDS; c++)
				sums[c] += fabsf(value - codewords[c]);
		}
	}
}

void
ann_whole_table(const float *table, int num_blocks, uint8_t *out)
{
	for (size_t i = 0; i < (size_t) num_blocks * ANN_CODEWORDS; i++)
		out[i] = (uint8_t) table[i];
}

/*
 * Quotient and difference are each rounded by at most 2^-24 here and by far less in SQL, so that
 * 2^-22 off is enough.
 */
uint32_t
ann_jaccard_keys(const uint32_t acc[ANN_BLOCK_LANES], const float *b, float query_bits,
				 float threshold, float keys[ANN_BLOCK_LANES])
{
	uint32_t mask = 0;

	for (int i = 0; i < ANN_BLOCK_LANES; i++)
	{
		float common = (float) (int32_t) acc[i];
		float either = query_bits + b[i] - common;

		keys[i] = 1 - common / (either > 1 ? either : 1) - 2 * FLT_EPSILON;
	}
	for (int i = 0; i < ANN_BLOCK_LANES; i++)
		mask |= (uint32_t) (keys[i] <= threshold) << i;
	return mask;
}
