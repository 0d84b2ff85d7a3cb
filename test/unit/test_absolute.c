/*
 * test_absolute.c
 *	  Absolute codes: strings of bits are exact, errors are true, tables and Jaccard keys.
 */
#include "core/absolute.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/bf16.h"
#include "core/block.h"
#include "core/kernels.h"
#include "core/rng.h"
#include "tap.h"

#define ROWS 200

static AnnPq
make_pq(int dim, int width)
{
	AnnPq pq;

	ann_pq_shape(&pq, ANN_QUANTIZER_PQ, dim, width, 1);
	pq.codebook = malloc(ann_pq_codebook_floats(pq.num_blocks, width) * sizeof(float));
	pq.bias = malloc(ann_pq_bias_floats(pq.num_blocks) * sizeof(float));
	return pq;
}

static void
free_pq(AnnPq *pq)
{
	free(pq->codebook);
	free(pq->bias);
}

static void
random_bits(AnnRng *rng, float *row, int dim, double share)
{
	for (int d = 0; d < dim; d++)
		row[d] = ann_rng_unit(rng) < share;
}

static double
common_bits(const float *a, const float *b, int dim)
{
	double sum = 0;

	for (int d = 0; d < dim; d++)
		sum += a[d] * b[d];
	return sum;
}

/* Sums of a table for one code, as accumulate makes them, in lane 0 and in lane 31. */
static uint32_t
table_sum(const uint8_t *table, const uint8_t *codes, int num_blocks)
{
	uint8_t *interleaved = calloc((size_t) num_blocks, ANN_BLOCK_LANES / 2);
	uint32_t acc[ANN_BLOCK_LANES] = {0};

	ann_block_set_codes(interleaved, 0, codes, num_blocks);
	ann_block_set_codes(interleaved, 31, codes, num_blocks);
	ann_kernels->accumulate(interleaved, table, num_blocks, acc);
	free(interleaved);
	return acc[0] == acc[31] ? acc[0] : UINT32_MAX;
}

/* One pair of strings: both codes, both distances. scale: the row as Jaccard sees it. */
static bool
pair_is_exact(const AnnPq *pq, const float *query, const float *row, float scale, float *scratch)
{
	int dim = pq->dim;
	size_t entries = ann_pq_bias_floats(pq->num_blocks);
	float *floats = malloc(entries * sizeof(float));
	uint8_t *table = malloc(entries);
	uint8_t *codes = malloc((size_t) pq->num_blocks);
	float *scaled = malloc((size_t) dim * sizeof(float));
	float *padded = calloc((size_t) pq->num_blocks, ANN_BITS_WIDTH * sizeof(float));
	double different = 0;
	AnnFactors factors;
	bool ok;

	memcpy(padded, query, (size_t) dim * sizeof(float));
	for (int d = 0; d < dim; d++)
	{
		scaled[d] = row[d] * scale;
		different += row[d] != query[d];
	}
	ann_l1_table(pq, padded, floats);
	ann_whole_table(floats, pq->num_blocks, table);
	ok = ann_pq_encode_row(pq, ANN_CODE_L1, row, NULL, codes, &factors, scratch) &&
		 factors.b == 0 && factors.err == 0 && ann_bf16_to_float(factors.s) == 1 &&
		 table_sum(table, codes, pq->num_blocks) == different;
	ann_kernels->query_table(padded, pq->codebook, pq->num_blocks, pq->width, floats);
	ann_whole_table(floats, pq->num_blocks, table);
	ok = ok && ann_pq_encode_row(pq, ANN_CODE_OVERLAP, scaled, NULL, codes, &factors, scratch) &&
		 factors.b == common_bits(row, row, dim) && factors.err == 0 &&
		 table_sum(table, codes, pq->num_blocks) == common_bits(row, query, dim);
	ann_pq_decode(pq, codes, scaled);
	ok = ok && memcmp(scaled, row, (size_t) dim * sizeof(float)) == 0;
	free(padded);
	free(scaled);
	free(codes);
	free(table);
	free(floats);
	return ok;
}

static void
test_bits(int dim)
{
	AnnPq pq = make_pq(dim, ANN_BITS_WIDTH);
	float *query = malloc((size_t) dim * sizeof(float));
	float *row = malloc((size_t) dim * sizeof(float));
	float *scratch = malloc(ann_pq_row_scratch_floats(&pq) * sizeof(float));
	AnnRng rng;
	int exact = 0;

	ann_bits_codebook(&pq);
	ann_rng_seed(&rng, 1);
	for (int i = 0; i < ROWS; i++)
	{
		random_bits(&rng, query, dim, i % 3 * .5);
		random_bits(&rng, row, dim, i % 7 / 6.);
		exact += pair_is_exact(&pq, query, row, i % 2 == 0 ? 1 : .013f, scratch);
	}
	tap_ok(exact == ROWS, "bits are coded exactly, %d of them", dim);
	free(scratch);
	free(row);
	free(query);
	free_pq(&pq);
}

/* The error of a code is that of its estimate, which is off by no more. */
static void
test_taxicab(int dim, int width)
{
	AnnPq pq = make_pq(dim, width);
	size_t padded_dim = (size_t) pq.num_blocks * (size_t) width;
	size_t entries = ann_pq_bias_floats(pq.num_blocks);
	float *rows = malloc(ROWS * (size_t) dim * sizeof(float));
	float *scratch = malloc(ann_pq_row_scratch_floats(&pq) * sizeof(float));
	float *table = malloc(entries * sizeof(float));
	float *query = calloc(padded_dim, sizeof(float));
	float *decoded = malloc((size_t) dim * sizeof(float));
	uint8_t *codes = malloc((size_t) pq.num_blocks);
	void *workspace = malloc(ann_pq_train_workspace_size(&pq, ROWS));
	bool ok = true;
	AnnRng rng;

	ann_rng_seed(&rng, 2);
	for (size_t i = 0; i < ROWS * (size_t) dim; i++)
		rows[i] = (float) (ann_rng_unit(&rng) * 8 - 4);
	for (int d = 0; d < dim; d++)
		query[d] = (float) (ann_rng_unit(&rng) * 10 - 5);
	ok = ann_pq_train(&pq, rows, ROWS, 5, 1, NULL, workspace) == ANN_OK;
	ann_l1_table(&pq, query, table);
	for (int i = 0; i < ROWS; i++)
	{
		const float *row = rows + (size_t) i * (size_t) dim;
		AnnFactors factors;
		double sum = 0, true_sum = 0, error = 0, error2 = 0;

		ok = ok && ann_pq_encode_row(&pq, ANN_CODE_L1, row, NULL, codes, &factors, scratch);
		ann_pq_decode(&pq, codes, decoded);
		for (int m = 0; m < pq.num_blocks; m++)
			sum += table[m * ANN_CODEWORDS + codes[m]];
		for (int d = 0; d < dim; d++)
		{
			true_sum += fabs((double) query[d] - decoded[d]);
			error += fabs((double) row[d] - decoded[d]);
			error2 += ((double) row[d] - decoded[d]) * ((double) row[d] - decoded[d]);
		}
		ok = ok && fabs(sum - true_sum) <= 1e-5 * true_sum &&
			 fabs(sum - ann_kernels->l1(query, row, dim)) <= error + 1e-4 &&
			 ann_bf16_to_float(factors.err) >= sqrt(error2) &&
			 ann_bf16_to_float(factors.err) <= sqrt(error2) * 1.01 && factors.b == 0;
	}
	tap_ok(ok, "taxicab: estimate and error, %d dims by %d", dim, width);
	free(workspace);
	free(codes);
	free(decoded);
	free(query);
	free(table);
	free(scratch);
	free(rows);
	free_pq(&pq);
}

/* Keys against the distance in double, for counts of all sizes; the mask against the keys. */
static void
test_jaccard_keys(int dim)
{
	uint32_t acc[ANN_BLOCK_LANES];
	float b[ANN_BLOCK_LANES];
	float keys[ANN_BLOCK_LANES];
	bool ok = true;
	AnnRng rng;

	ann_rng_seed(&rng, 3);
	for (int i = 0; i < ROWS; i++)
	{
		uint32_t query_bits = i == 0 ? 0 : (uint32_t) ann_rng_below(&rng, (uint64_t) dim + 1);
		float threshold = (float) ann_rng_unit(&rng);
		uint32_t mask;

		for (int lane = 0; lane < ANN_BLOCK_LANES; lane++)
		{
			uint32_t bits = lane == 0 ? 0 : (uint32_t) ann_rng_below(&rng, (uint64_t) dim + 1);
			uint32_t least = bits < query_bits ? bits : query_bits;

			b[lane] = (float) bits;
			acc[lane] = lane == 1 ? least : (uint32_t) ann_rng_below(&rng, (uint64_t) least + 1);
		}
		mask = ann_jaccard_keys(acc, b, (float) query_bits, threshold, keys);
		for (int lane = 0; lane < ANN_BLOCK_LANES; lane++)
		{
			double either = (double) query_bits + b[lane] - acc[lane];
			double distance = acc[lane] > 0 ? 1 - acc[lane] / either : 1;

			ok = ok && keys[lane] <= distance && keys[lane] >= distance - 0x1p-21 &&
				 (mask >> lane & 1) == (keys[lane] <= threshold);
		}
	}
	tap_ok(ok, "Jaccard keys of up to %d bits", dim);
}

int
main(void)
{
	static const int dims[] = {1, 2, 3, 4, 5, 8, 63, 64, 65, 1000, 16000};
	static const int shapes[][2] = {{128, 1}, {128, 2}, {7, 2}, {1, 1}, {3, 8}, {130, 3}};

	for (int i = 0; ann_kernels_available(i) != NULL; i++)
	{
		ann_kernels_choose(ann_kernels_available(i)->name);
		tap_diag("kernels %s", ann_kernels->name);
		for (size_t j = 0; j < sizeof(dims) / sizeof(dims[0]); j++)
		{
			test_bits(dims[j]);
			test_jaccard_keys(dims[j]);
		}
		for (size_t j = 0; j < sizeof(shapes) / sizeof(shapes[0]); j++)
			test_taxicab(shapes[j][0], shapes[j][1]);
	}
	return tap_done();
}
