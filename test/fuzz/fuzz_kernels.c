/*
 * fuzz_kernels.c
 *	  One input through every kernel table that the machine runs: integers must be equal to the
 *	  scalar ones bit for bit, floats within the rounding of their sums.
 */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/bf16.h"
#include "core/kernels.h"

#define TOLERANCE (64 * (double) FLT_EPSILON)

static void
check(bool ok)
{
	if (!ok)
		abort();
}

/* num floats from bytes, finite and small enough for sums of squares, wrapping around. */
static float *
take_floats(const uint8_t *data, size_t size, size_t num, size_t first)
{
	float *values = malloc(num * sizeof(float) + 1);

	for (size_t i = 0; i < num; i++)
	{
		uint32_t bits = 0;

		for (int k = 0; k < 4; k++)
			bits = bits << 8 | data[(first + 4 * i + k) % size];
		memcpy(&values[i], &bits, sizeof(bits));
		if (!(fabsf(values[i]) < 1e15f))
			values[i] = (float) (bits & 0xff);
	}
	return values;
}

static void
check_close(double value, double expected, double terms)
{
	check(fabs(value - expected) <= TOLERANCE * terms + FLT_MIN);
}

static void
check_vectors(const AnnKernels *kernels, const float *a, const float *b, int dim)
{
	double l2 = 0, ip = 0, l1 = 0, aa = 0, bb = 0, terms = 0;
	float parts[3];

	for (int d = 0; d < dim; d++)
	{
		double difference = (double) a[d] - b[d];

		l2 += difference * difference;
		l1 += fabs(difference);
		ip += (double) a[d] * b[d];
		terms += fabs((double) a[d] * b[d]);
		aa += (double) a[d] * a[d];
		bb += (double) b[d] * b[d];
	}
	check_close(kernels->l2_squared(a, b, dim), l2, l2);
	check_close(kernels->l1(a, b, dim), l1, l1);
	check_close(kernels->inner_product(a, b, dim), ip, terms);
	check_close(kernels->norm_squared(a, dim), aa, aa);
	kernels->cosine_parts(a, b, dim, parts);
	check_close(parts[0], ip, terms);
	check_close(parts[1], aa, aa);
	check_close(parts[2], bb, bb);
}

/* products and nearest against double. */
static void
check_matrices(const AnnKernels *kernels, const float *a, int num_a, const float *b, int num_b,
			   int dim)
{
	float *products = malloc(sizeof(float) * (size_t) num_a * num_b);
	float *bias = malloc(sizeof(float) * (size_t) num_b);
	uint32_t *best = malloc(sizeof(uint32_t) * (size_t) num_a);
	float *scores = malloc(sizeof(float) * (size_t) num_a);

	for (int j = 0; j < num_b; j++)
		bias[j] = ann_kernels_scalar.norm_squared(b + j * dim, dim);
	kernels->products(a, (size_t) dim, num_a, b, (size_t) dim, num_b, dim, products,
					  (size_t) num_b);
	kernels->nearest(a, (size_t) dim, num_a, b, (size_t) dim, num_b, bias, dim, best, scores);
	for (int i = 0; i < num_a; i++)
	{
		double least = INFINITY, all_terms = 0;

		check(best[i] < (uint32_t) num_b);
		for (int j = 0; j < num_b; j++)
		{
			double sum = 0, terms = 0;

			for (int d = 0; d < dim; d++)
			{
				sum += (double) a[i * dim + d] * b[j * dim + d];
				terms += fabs((double) a[i * dim + d] * b[j * dim + d]);
			}
			check_close(products[i * num_b + j], sum, terms);
			least = fmin(least, bias[j] - 2 * sum);
			all_terms = fmax(all_terms, bias[j] + 2 * terms);
		}
		check_close(scores[i], least, all_terms);
	}
	free(products);
	free(bias);
	free(best);
	free(scores);
}

static void
check_codes(const AnnKernels *kernels, const uint8_t *codes, const uint8_t *table, int num_blocks)
{
	uint32_t acc[ANN_BLOCK_LANES], expected[ANN_BLOCK_LANES];

	for (int lane = 0; lane < ANN_BLOCK_LANES; lane++)
		acc[lane] = expected[lane] = codes[lane % 16];
	kernels->accumulate(codes, table, num_blocks, acc);
	ann_kernels_scalar.accumulate(codes, table, num_blocks, expected);
	check(memcmp(acc, expected, sizeof(acc)) == 0);
}

static void
check_encode(const AnnKernels *kernels, const float *table, const float *bias, int num_blocks)
{
	uint8_t *codes = malloc((size_t) num_blocks);
	uint8_t *expected = malloc((size_t) num_blocks);

	kernels->encode(table, bias, num_blocks, codes);
	ann_kernels_scalar.encode(table, bias, num_blocks, expected);
	check(memcmp(codes, expected, (size_t) num_blocks) == 0);
	free(codes);
	free(expected);
}

static void
check_query_table(const AnnKernels *kernels, const float *query, const float *codebook,
				  int num_blocks, int width)
{
	float *table = malloc(sizeof(float) * (size_t) num_blocks * 16);

	kernels->query_table(query, codebook, num_blocks, width, table);
	for (int i = 0; i < num_blocks * 16; i++)
	{
		double sum = 0, terms = 0;

		for (int d = 0; d < width; d++)
		{
			int dimension = i / 16 * width + d;
			double term = (double) query[dimension] * codebook[dimension * 16 + i % 16];

			sum += term;
			terms += fabs(term);
		}
		check_close(table[i], sum, terms);
	}
	free(table);
}

/* Keys may differ by rounding; the mask must say what the keys say. */
static void
check_bounds(const AnnKernels *kernels, const uint8_t *data, size_t size)
{
	uint32_t acc[ANN_BLOCK_LANES];
	uint16_t s[ANN_BLOCK_LANES], err[ANN_BLOCK_LANES];
	float keys[ANN_BLOCK_LANES];
	float *b = take_floats(data, size, ANN_BLOCK_LANES, 3);
	float *numbers = take_floats(data, size, 11, 7);
	AnnBoundParams params = {
		numbers[0],        numbers[1],        numbers[2],        numbers[3],
		fabsf(numbers[4]), fabsf(numbers[5]), fabsf(numbers[6]), fabsf(numbers[7]),
		fabsf(numbers[8]), fabsf(numbers[9]),
	};
	uint32_t mask;

	for (int lane = 0; lane < ANN_BLOCK_LANES; lane++)
	{
		acc[lane] = data[(size_t) lane % size] * 1000u;
		s[lane] = ann_bf16_from_float(fabsf(b[lane]));
		err[lane] = (uint16_t) (data[(size_t) lane * 3 % size] << 7);
	}
	mask = kernels->bounds(acc, b, s, err, &params, numbers[10], keys);
	for (int lane = 0; lane < ANN_BLOCK_LANES; lane++)
	{
		check(!isnan(keys[lane]));
		check((mask >> lane & 1) == (keys[lane] <= numbers[10]));
		if (err[lane] == 0x7f80)
			check(keys[lane] == -INFINITY);
	}
	free(b);
	free(numbers);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int dim, num_a, num_b, num_blocks, width;
	float *a, *b, *table, *codebook;
	uint8_t *codes, *bytes;

	if (size < 8)
		return 0;
	dim = 1 + data[0] % 70;
	num_a = 1 + data[1] % 9;
	num_b = 1 + data[2] % 40;
	num_blocks = 1 + data[3] % 100 + (data[4] % 16 == 0 ? 512 : 0);
	width = 1 + data[5] % 5;
	a = take_floats(data, size, (size_t) num_a * dim, 6);
	b = take_floats(data, size, (size_t) num_b * dim, 9);
	table = take_floats(data, size, (size_t) num_blocks * 32, 11);
	codebook = take_floats(data, size, (size_t) num_blocks * width * 17, 13);
	codes = malloc((size_t) num_blocks * 16);
	bytes = malloc((size_t) num_blocks * 16);
	for (int i = 0; i < num_blocks * 16; i++)
	{
		codes[i] = data[(size_t) i % size];
		bytes[i] = data[((size_t) i * 5 + 2) % size];
	}
	for (int i = 0; ann_kernels_available(i) != NULL; i++)
	{
		const AnnKernels *kernels = ann_kernels_available(i);

		check_vectors(kernels, a, b, dim);
		check_matrices(kernels, a, num_a, b, num_b, dim);
		check_codes(kernels, codes, bytes, num_blocks);
		check_encode(kernels, table, table + num_blocks * 16, num_blocks);
		check_query_table(kernels, codebook, codebook + num_blocks * width, num_blocks, width);
		check_bounds(kernels, data, size);
	}
	free(a);
	free(b);
	free(table);
	free(codebook);
	free(codes);
	free(bytes);
	return 0;
}
