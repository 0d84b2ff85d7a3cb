/*
 * fuzz_pq.c
 *	  Any floats as rows, queries and tables: training ends, factors are finite or refused, err is a
 *	  bound, codes survive a round trip, rounded tables stay within half a step.
 */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/bf16.h"
#include "core/kernels.h"
#include "core/pq.h"

#define MAX_ROWS 24

static void
check(bool ok)
{
	if (!ok)
		abort();
}

static void *
allocate(size_t num, size_t size)
{
	return malloc(num * size + 1);
}

static bool
are_finite(const float *values, size_t num)
{
	for (size_t i = 0; i < num; i++)
		if (!isfinite(values[i]))
			return false;
	return true;
}

/* Rows as training wants them: of unit length, or zero. */
static void
normalize(float *rows, size_t num_rows, int dim)
{
	for (size_t i = 0; i < num_rows; i++)
	{
		float *row = rows + i * dim;
		double norm = 0;

		for (int d = 0; d < dim; d++)
			norm += (double) row[d] * row[d];
		for (int d = 0; d < dim; d++)
			row[d] = isfinite(norm) && norm > 0 ? (float) (row[d] / sqrt(norm)) : 0;
	}
}

static void
train(AnnPq *pq, const float *rows, size_t num_rows, uint64_t seed)
{
	char *workspace = allocate(ann_pq_train_workspace_size(pq, num_rows), 1);

	check(ann_pq_train(pq, rows, num_rows, 3, seed, NULL, workspace) == ANN_OK);
	free(workspace);
	check(are_finite(pq->codebook, ann_pq_codebook_floats(pq->num_blocks, pq->width)));
	check(are_finite(pq->bias, ann_pq_bias_floats(pq->num_blocks)));
}

static void
check_row(const AnnPq *pq, AnnCodeForm form, const float *x, const float *c)
{
	uint8_t *codes = allocate((size_t) pq->num_blocks, 1);
	float *u = allocate((size_t) pq->dim, sizeof(float));
	float *scratch = allocate(ann_pq_row_scratch_floats(pq), sizeof(float));
	AnnFactors factors;

	if (ann_pq_encode_row(pq, form, x, c, codes, &factors, scratch))
	{
		double s = ann_bf16_to_float(factors.s);
		double err = ann_bf16_to_float(factors.err);
		double ee = 0;

		check(isfinite(factors.b) && isfinite(s) && isfinite(err) && s >= 0);
		for (int m = 0; m < pq->num_blocks; m++)
			check(codes[m] < ANN_CODEWORDS);
		ann_pq_decode(pq, codes, u);
		for (int d = 0; d < pq->dim; d++)
		{
			double e = (double) (x[d] - c[d]) - s * u[d];

			ee += e * e;
		}
		check(err >= sqrt(ee) * (1 - 1e-9));
	}
	free(codes);
	free(u);
	free(scratch);
}

/* Encoding what a code decodes to gives codewords of equal value. */
static void
check_round_trip(const AnnPq *pq, const uint8_t *bytes, size_t num_bytes)
{
	size_t padded_dim = ann_pq_padded_dim(pq);
	uint8_t *codes = allocate((size_t) pq->num_blocks, 1);
	float *decoded = calloc(padded_dim, sizeof(float));
	float *again = calloc(padded_dim, sizeof(float));
	float *scratch = allocate(ann_pq_encode_scratch_floats(pq), sizeof(float));
	double apart = 0;

	for (int m = 0; m < pq->num_blocks; m++)
		codes[m] = num_bytes == 0 ? 0 : bytes[(size_t) m % num_bytes] % ANN_CODEWORDS;
	ann_pq_decode(pq, codes, decoded);
	ann_pq_encode(pq, decoded, codes, scratch);
	ann_pq_decode(pq, codes, again);
	for (size_t d = 0; d < padded_dim; d++)
		apart += ((double) decoded[d] - again[d]) * ((double) decoded[d] - again[d]);
	check(apart < 1e-5 * pq->num_blocks);
	free(codes);
	free(decoded);
	free(again);
	free(scratch);
}

static void
check_table(const float *table, int num_blocks, int bits)
{
	size_t num = (size_t) num_blocks * ANN_CODEWORDS;
	uint8_t *low = allocate(num, 1);
	uint8_t *high = allocate(num, 1);
	float step, base;

	ann_pq_round_table(table, num_blocks, bits, low, bits == 8 ? NULL : high, &step, &base);
	for (int m = 0; m < num_blocks && are_finite(table, num) && isfinite(step); m++)
	{
		const float *entries = table + m * ANN_CODEWORDS;
		float least = entries[0];

		for (int c = 1; c < ANN_CODEWORDS; c++)
			least = entries[c] < least ? entries[c] : least;
		for (int c = 0; c < ANN_CODEWORDS; c++)
		{
			int i = m * ANN_CODEWORDS + c;
			double value = step * (double) (low[i] + (bits == 8 ? 0 : 256 * high[i]));

			check(fabs(value + least - entries[c]) <=
				  .501 * step + FLT_EPSILON * 4 * ((double) entries[c] - least) + 65536 * FLT_MIN);
		}
	}
	free(low);
	free(high);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AnnPq pq;
	size_t num_floats, num_rows;
	float *values, *rows;

	if (size < 3)
		return 0;
	if (data[2] % 4 == 3)
		ann_pq_shape(&pq, ANN_QUANTIZER_SQ8, 1 + data[0] % 40, 1, 2);
	else
		ann_pq_shape(&pq, ANN_QUANTIZER_PQ, 1 + data[0] % 40, 1 + data[1] % 10,
					 1 + data[2] % 4 / 2);
	pq.codebook = allocate(ann_pq_codebook_floats(pq.num_blocks, pq.width), sizeof(float));
	pq.bias = allocate(ann_pq_bias_floats(pq.num_blocks), sizeof(float));
	num_floats = (size - 3) / sizeof(float);
	num_rows = num_floats / (size_t) pq.dim;
	num_rows = num_rows > MAX_ROWS ? MAX_ROWS : num_rows;
	values = allocate(num_floats, sizeof(float));
	rows = allocate(num_rows * pq.dim, sizeof(float));
	memcpy(values, data + 3, num_floats * sizeof(float));
	memcpy(rows, values, num_rows * pq.dim * sizeof(float));
	normalize(rows, num_rows, pq.dim);
	train(&pq, rows, num_rows, data[2]);
	for (size_t i = 1; i < num_rows; i++)
		check_row(&pq, i % 2 == 0 ? ANN_CODE_L2 : ANN_CODE_IP, values + i * pq.dim,
				  values + (i - 1) * pq.dim);
	check_round_trip(&pq, data, size);
	check_table(values, (int) (num_floats / ANN_CODEWORDS), data[2] % 2 == 0 ? 8 : 16);
	free(pq.codebook);
	free(pq.bias);
	free(values);
	free(rows);
	return 0;
}
