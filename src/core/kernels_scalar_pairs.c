/*
 * kernels_scalar_pairs.c
 *	  The kernels in plain C of two vectors, of floats or of halves, and of two strings of bits: the
 *	  reference semantics.
 *
 * NOTES
 *	  One code for both forms of elements, so that halves give the bits of the floats that they
 *	  stand for.
 */
#include "core/kernels.h"

#include <math.h>
#include <string.h>

#include "core/half.h"
#include "core/kernels_scalar.h"

static ANN_INLINE float
element(AnnForm form, const void *vector, int d)
{
	return form == ANN_FORM_F16 ? ann_half_to_float(((const uint16_t *) vector)[d])
								: ((const float *) vector)[d];
}

static ANN_INLINE void
add_term(AnnTerm term, float *sum, float a, float b)
{
	float difference = a - b;

	if (term == ANN_TERM_IP)
		*sum += a * b;
	else if (term == ANN_TERM_L1)
		*sum += fabsf(difference);
	else
		*sum += difference * difference;
}

static ANN_INLINE float
pair_sum(AnnTerm term, AnnForm form, const void *a, const void *b, int dim)
{
	float sum[LANES] = {0};
	int d = 0;

	for (; d + LANES <= dim; d += LANES)
		for (int lane = 0; lane < LANES; lane++)
			add_term(term, &sum[lane], element(form, a, d + lane), element(form, b, d + lane));
	for (; d < dim; d++)
		add_term(term, &sum[d % LANES], element(form, a, d), element(form, b, d));
	return lanes_sum(sum);
}

static ANN_INLINE void
cosine_parts(AnnForm form, const void *a, const void *b, int dim, float parts[3])
{
	parts[0] = pair_sum(ANN_TERM_IP, form, a, b, dim);
	parts[1] = pair_sum(ANN_TERM_IP, form, a, a, dim);
	parts[2] = pair_sum(ANN_TERM_IP, form, b, b, dim);
}

float
ann_l2_squared_scalar(const float *a, const float *b, int dim)
{
	return pair_sum(ANN_TERM_L2, ANN_FORM_F32, a, b, dim);
}

float
ann_inner_product_scalar(const float *a, const float *b, int dim)
{
	return pair_sum(ANN_TERM_IP, ANN_FORM_F32, a, b, dim);
}

float
ann_l1_scalar(const float *a, const float *b, int dim)
{
	return pair_sum(ANN_TERM_L1, ANN_FORM_F32, a, b, dim);
}

float
ann_norm_squared_scalar(const float *a, int dim)
{
	return pair_sum(ANN_TERM_IP, ANN_FORM_F32, a, a, dim);
}

void
ann_cosine_parts_scalar(const float *a, const float *b, int dim, float parts[3])
{
	cosine_parts(ANN_FORM_F32, a, b, dim, parts);
}

float
ann_half_l2_squared_scalar(const uint16_t *a, const uint16_t *b, int dim)
{
	return pair_sum(ANN_TERM_L2, ANN_FORM_F16, a, b, dim);
}

float
ann_half_inner_product_scalar(const uint16_t *a, const uint16_t *b, int dim)
{
	return pair_sum(ANN_TERM_IP, ANN_FORM_F16, a, b, dim);
}

float
ann_half_l1_scalar(const uint16_t *a, const uint16_t *b, int dim)
{
	return pair_sum(ANN_TERM_L1, ANN_FORM_F16, a, b, dim);
}

void
ann_half_cosine_parts_scalar(const uint16_t *a, const uint16_t *b, int dim, float parts[3])
{
	cosine_parts(ANN_FORM_F16, a, b, dim, parts);
}

void
ann_half_to_float_scalar(const uint16_t *halves, int num, float *out)
{
	for (int i = 0; i < num; i++)
		out[i] = ann_half_to_float(halves[i]);
}

float
ann_subtract_scalar(const float *a, const float *b, int dim, float *out)
{
	for (int d = 0; d < dim; d++)
		out[d] = a[d] - b[d];
	return ann_norm_squared_scalar(out, dim);
}

/* In double. */

/* Lane l to lane l + 16, + 8, and so on: the order of every variant. */
static double
doubles_sum(double sum[ANN_DOUBLE_LANES])
{
	for (int num = ANN_DOUBLE_LANES / 2; num >= 1; num /= 2)
		for (int lane = 0; lane < num; lane++)
			sum[lane] += sum[lane + num];
	return sum[0];
}

double
ann_double_product_scalar(const float *a, const float *b, int dim)
{
	double sum[ANN_DOUBLE_LANES] = {0};
	int d = 0;

	for (; d + ANN_DOUBLE_LANES <= dim; d += ANN_DOUBLE_LANES)
		for (int lane = 0; lane < ANN_DOUBLE_LANES; lane++)
			sum[lane] += (double) a[d + lane] * (double) b[d + lane];
	for (; d < dim; d++)
		sum[d % ANN_DOUBLE_LANES] += (double) a[d] * (double) b[d];
	return doubles_sum(sum);
}

void
ann_add_scalar(const float *row, int dim, double *sums)
{
	for (int d = 0; d < dim; d++)
		sums[d] += row[d];
}

double
ann_power_sum_scalar(const float *a, const float *b, int dim, double unit, int power)
{
	double sum[ANN_DOUBLE_LANES] = {0};

	for (int d = 0; d < dim; d++)
	{
		double x = fabs((double) a[d] - (double) b[d]) / unit;
		double result = 1.0;

		/* by squaring and multiplying */
		for (int bits = power; bits > 0; bits >>= 1)
		{
			if (bits & 1)
				result *= x;
			x *= x;
		}
		sum[d % ANN_DOUBLE_LANES] += result;
	}
	return doubles_sum(sum);
}

double
ann_linf_scalar(const float *a, const float *b, int dim)
{
	double greatest = 0;

	for (int d = 0; d < dim; d++)
	{
		double difference = fabs((double) a[d] - (double) b[d]);

		greatest = difference > greatest ? difference : greatest;
	}
	return greatest;
}

int
ann_num_different_scalar(const float *a, const float *b, int dim)
{
	int num = 0;

	for (int d = 0; d < dim; d++)
		num += a[d] != b[d];
	return num;
}

/* Strings of bits. */

/* 8 bytes, or fewer: zeros behind them. */
static ANN_INLINE uint64_t
load_word(const uint8_t *bytes, size_t num_bytes)
{
	uint64_t word = 0;

	memcpy(&word, bytes, num_bytes < sizeof(word) ? num_bytes : sizeof(word));
	return word;
}

/* By sums of ever wider fields (Warren, "Hacker's Delight", 5-1). */
static ANN_INLINE uint64_t
count_bits(uint64_t word)
{
	word -= word >> 1 & 0x5555555555555555;
	word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f;
	return word * 0x0101010101010101 >> 56;
}

uint64_t
ann_bits_different_scalar(const uint8_t *a, const uint8_t *b, size_t num_bytes)
{
	uint64_t count = 0;

	for (size_t i = 0; i < num_bytes; i += 8)
		count += count_bits(load_word(a + i, num_bytes - i) ^ load_word(b + i, num_bytes - i));
	return count;
}

void
ann_bits_common_scalar(const uint8_t *a, const uint8_t *b, size_t num_bytes, uint64_t counts[2])
{
	counts[0] = counts[1] = 0;
	for (size_t i = 0; i < num_bytes; i += 8)
	{
		uint64_t word_a = load_word(a + i, num_bytes - i);
		uint64_t word_b = load_word(b + i, num_bytes - i);

		counts[0] += count_bits(word_a & word_b);
		counts[1] += count_bits(word_a | word_b);
	}
}
