/*
 * test_pq_layers.c
 *	  Codes of 8 bits, in two layers, and none at all: that finer codes have lesser errors, that
 *	  pairs of codewords are the best ones, uniform levels, tables of layers, rows without a code.
 */
#include "core/bf16.h"
#include "pq_test.h"
#include "tap.h"

static double
trained_error(AnnQuantizer quantizer, int dim, int width, int layers)
{
	AnnPq pq = make_pq(quantizer, dim, width, layers);
	float *rows = make_unit_rows(dim, 3000, 17);
	double error;

	train(&pq, rows, 3000, 8, 0xff);
	error = coding_error(&pq, rows, 3000);
	free(rows);
	free_pq(&pq);
	return error;
}

/* Two layers are worth more than one of half as many dimensions, whose codes are as long. */
static void
test_errors(int dim, int width)
{
	double coarse = trained_error(ANN_QUANTIZER_PQ, dim, width, 1);
	double narrow = trained_error(ANN_QUANTIZER_PQ, dim, width / 2, 1);
	double fine = trained_error(ANN_QUANTIZER_PQ, dim, width, 2);
	double levels = trained_error(ANN_QUANTIZER_SQ8, dim, 1, 2);

	tap_ok(levels < fine && fine < narrow && narrow < coarse,
		   "%d dims by %d: error %.2g of 4 bits, %.2g of half as wide blocks, %.2g of 8 bits, %.2g "
		   "of levels",
		   dim, width, coarse, narrow, fine, levels);
}

/* More turns never make the error greater. */
static void
test_turns(void)
{
	AnnPq pq = make_pq(ANN_QUANTIZER_PQ, 24, 3, 2);
	float *rows = make_unit_rows(24, 2000, 3);
	double errors[4];

	for (int i = 0; i < 4; i++)
	{
		train(&pq, rows, 2000, 2 << i, i);
		errors[i] = coding_error(&pq, rows, 2000);
	}
	tap_ok(errors[3] < errors[2] && errors[2] < errors[1] && errors[1] < errors[0],
		   "error %.5f %.5f %.5f %.5f after 2, 4, 8, 16 turns", errors[0], errors[1], errors[2],
		   errors[3]);
	free(rows);
	free_pq(&pq);
}

/* Squared distance of block m of x from the sum of two codewords. */
static double
pair_distance(const AnnPq *pq, const float *x, int m, int i, int j)
{
	int blocks = ann_pq_layer_blocks(pq);
	double sum = 0;

	for (int d = 0; d < pq->width; d++)
	{
		double a = pq->codebook[((size_t) m * pq->width + d) * ANN_CODEWORDS + i];
		double b = pq->codebook[((size_t) (blocks + m) * pq->width + d) * ANN_CODEWORDS + j];
		double difference = x[m * pq->width + d] - a - b;

		sum += difference * difference;
	}
	return sum;
}

/* Of all pairs of codewords, coding takes one that is as near as the nearest. */
static void
test_best_pairs(AnnQuantizer quantizer, int dim, int width)
{
	AnnPq pq = make_pq(quantizer, dim, width, 2);
	int blocks = ann_pq_layer_blocks(&pq);
	float *rows = make_unit_rows(dim, 500, 29);
	float *x = calloc(ann_pq_padded_dim(&pq), sizeof(float));
	float *scratch = malloc(ann_pq_encode_scratch_floats(&pq) * sizeof(float));
	uint8_t *codes = malloc((size_t) pq.num_blocks);
	bool ok = true;

	train(&pq, rows, 400, 4, 0xff);
	for (int row = 300; row < 500; row++)
	{
		memcpy(x, rows + row * dim, (size_t) dim * sizeof(float));
		ann_pq_encode(&pq, x, codes, scratch);
		for (int m = 0; m < blocks; m++)
		{
			double least = INFINITY;

			for (int pair = 0; pair < ANN_CODEWORDS * ANN_CODEWORDS; pair++)
				least = fmin(least, pair_distance(&pq, x, m, pair / 16, pair % 16));
			ok = ok && pair_distance(&pq, x, m, codes[m], codes[blocks + m]) <= least + 1e-6;
		}
	}
	tap_ok(ok, "%s, %d dims by %d: the best of all pairs",
		   quantizer == ANN_QUANTIZER_SQ8 ? "levels" : "codewords", dim, width);
	free(rows);
	free(x);
	free(scratch);
	free(codes);
	free_pq(&pq);
}

/* Within the range of the rows, levels are a step of a 255th of it apart; beyond, they saturate. */
static void
test_levels(void)
{
	static const float rows[6] = {-1, 10, 3, 10, .5f, 10};
	AnnPq pq = make_pq(ANN_QUANTIZER_SQ8, 2, 1, 2);
	float scratch[128];
	uint8_t codes[4];
	float decoded[2];
	double worst = 0;

	train(&pq, rows, 3, 0, 0xff);
	for (int i = 0; i <= 1000; i++)
	{
		float x[2] = {-1 + 4 * (float) i / 1000, 10};

		ann_pq_encode(&pq, x, codes, scratch);
		ann_pq_decode(&pq, codes, decoded);
		worst = fmax(worst, fabs(x[0] - decoded[0]));
		worst = decoded[1] == 10 ? worst : INFINITY;
	}
	tap_ok(worst < .5001 * 4 / 255 && worst > .49 * 4 / 255, "half a step at most: %g", worst);
	for (int side = -1; side <= 1; side += 2)
	{
		float x[2] = {1 + 50 * (float) side, 10};

		ann_pq_encode(&pq, x, codes, scratch);
		ann_pq_decode(&pq, codes, decoded);
		tap_ok(fabsf(decoded[0] - (1 + 2 * (float) side)) < 1e-6f, "beyond the range: %g is %g",
			   x[0], decoded[0]);
	}
	free_pq(&pq);
}

/* The table's entries of a code add up to the product with what it stands for. */
static void
test_table(AnnQuantizer quantizer, int dim, int width, int layers)
{
	AnnPq pq = make_pq(quantizer, dim, width, layers);
	float *rows = make_unit_rows(dim, 300, 7);
	float *table = malloc(ann_pq_bias_floats(pq.num_blocks) * sizeof(float));
	float *scratch = malloc(ann_pq_encode_scratch_floats(&pq) * sizeof(float));
	float *query = calloc(ann_pq_padded_dim(&pq), sizeof(float));
	float *x = calloc(ann_pq_padded_dim(&pq), sizeof(float));
	float *decoded = malloc((size_t) dim * sizeof(float));
	uint8_t *codes = malloc((size_t) pq.num_blocks);
	double worst = 0;

	train(&pq, rows, 300, 3, 0xff);
	memcpy(query, rows, (size_t) dim * sizeof(float));
	ann_pq_query_table(&pq, query, table);
	for (int row = 1; row < 300; row++)
	{
		double sum = 0, product = 0;

		memcpy(x, rows + row * dim, (size_t) dim * sizeof(float));
		ann_pq_encode(&pq, x, codes, scratch);
		ann_pq_decode(&pq, codes, decoded);
		for (int m = 0; m < pq.num_blocks; m++)
			sum += table[m * ANN_CODEWORDS + codes[m]];
		for (int d = 0; d < dim; d++)
			product += (double) query[d] * decoded[d];
		worst = fmax(worst, fabs(sum - product));
	}
	tap_ok(worst < 1e-5, "table of %d layers, %d dims by %d: off by %g", layers, dim, width, worst);
	free(rows);
	free(table);
	free(scratch);
	free(query);
	free(x);
	free(decoded);
	free(codes);
	free_pq(&pq);
}

/* No code: always read exactly, wherever the row can stand in a leaf at all. */
static void
test_flat(void)
{
	AnnPq pq = make_pq(ANN_QUANTIZER_FLAT, 5, 0, 0);
	float x[5] = {1, 2, 3, 4, 5};
	float *scratch = malloc(ann_pq_row_scratch_floats(&pq) * sizeof(float));
	AnnFactors factors = {1, 2, 3};

	tap_ok(pq.num_blocks == 0 && train(&pq, x, 1, 5, 0xff) == ANN_OK, "nothing to train");
	tap_ok(ann_pq_encode_row(&pq, ANN_CODE_L2, x, NULL, NULL, &factors, scratch) &&
			   factors.b == 0 && factors.s == 0 && isinf(ann_bf16_to_float(factors.err)),
		   "no code, and an error without bound");
	x[3] = INFINITY;
	tap_ok(!ann_pq_encode_row(&pq, ANN_CODE_IP, x, NULL, NULL, &factors, scratch),
		   "refused where nothing is near");
	free(scratch);
	free_pq(&pq);
}

int
main(void)
{
	for (int i = 0; ann_kernels_available(i) != NULL; i++)
	{
		ann_kernels_choose(ann_kernels_available(i)->name);
		tap_diag("kernels %s", ann_kernels->name);
		test_errors(64, 2);
		test_errors(30, 4);
		test_turns();
		test_best_pairs(ANN_QUANTIZER_PQ, 32, 2);
		test_best_pairs(ANN_QUANTIZER_PQ, 7, 3);
		test_best_pairs(ANN_QUANTIZER_PQ, 5, 1);
		test_best_pairs(ANN_QUANTIZER_SQ8, 33, 1);
		test_levels();
		test_table(ANN_QUANTIZER_PQ, 31, 4, 2);
		test_table(ANN_QUANTIZER_PQ, 31, 4, 1);
		test_table(ANN_QUANTIZER_SQ8, 31, 1, 2);
		test_flat();
	}
	return tap_done();
}
