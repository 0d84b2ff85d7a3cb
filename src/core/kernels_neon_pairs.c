/*
 * kernels_neon_pairs.c
 *	  The kernels for NEON of two vectors, of floats or of halves, whose conversion is part of the
 *	  base architecture.
 *
 * NOTES
 *	  One code for both forms of elements, so that halves give the bits of the floats that they
 *	  stand for. Ends and names as in kernels_neon.c.
 */
#include "core/kernels.h"

#if defined(__aarch64__)

#include "core/kernels_neon.h"

/* Four sums, because an addition has to wait some 4 cycles for the one before it. */
typedef struct Sums
{
	float32x4_t s0_f32x4;
	float32x4_t s1_f32x4;
	float32x4_t s2_f32x4;
	float32x4_t s3_f32x4;
} Sums;

/* <a,b>, |a|^2, |b|^2. */
typedef struct Parts
{
	float32x4_t ab_f32x4;
	float32x4_t aa_f32x4;
	float32x4_t bb_f32x4;
} Parts;

/*
 * Registers of ANN_DOUBLE_LANES partial sums: lane l of the whole adds up what stands at l modulo
 * 32.
 */
#define NUM_DOUBLES (ANN_DOUBLE_LANES / 2)

/* 4 elements from element d on. */
static ANN_INLINE float32x4_t
load(AnnForm form, const void *vector, int d)
{
	if (form == ANN_FORM_F16)
		return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16((const uint16_t *) vector + d)));
	return vld1q_f32((const float *) vector + d);
}

/* The same of the last count: 1 to 3. */
static ANN_INLINE float32x4_t
load_last(AnnForm form, const void *vector, int d, int count)
{
	uint16_t halves[4] = {0};

	if (form == ANN_FORM_F32)
		return load_end((const float *) vector + d, count);
	for (int i = 0; i < count; i++)
		halves[i] = ((const uint16_t *) vector)[d + i];
	return load(ANN_FORM_F16, halves, 0);
}

static ANN_INLINE float32x4_t
add_at(AnnTerm term, AnnForm form, float32x4_t sum_f32x4, const void *a, const void *b, int d)
{
	return add_term(term, sum_f32x4, load(form, a, d), load(form, b, d));
}

static ANN_INLINE float
pair_sum(AnnTerm term, AnnForm form, const void *a, const void *b, int dim)
{
	float32x4_t zero = vdupq_n_f32(0);
	Sums sum = {zero, zero, zero, zero};
	int d = 0;

	for (; d + 16 <= dim; d += 16)
	{
		sum.s0_f32x4 = add_at(term, form, sum.s0_f32x4, a, b, d);
		sum.s1_f32x4 = add_at(term, form, sum.s1_f32x4, a, b, d + 4);
		sum.s2_f32x4 = add_at(term, form, sum.s2_f32x4, a, b, d + 8);
		sum.s3_f32x4 = add_at(term, form, sum.s3_f32x4, a, b, d + 12);
	}
	for (; d + 4 <= dim; d += 4)
		sum.s0_f32x4 = add_at(term, form, sum.s0_f32x4, a, b, d);
	if (d < dim)
		sum.s1_f32x4 = add_term(term, sum.s1_f32x4, load_last(form, a, d, dim - d),
								load_last(form, b, d, dim - d));
	return vaddvq_f32(
		vaddq_f32(vaddq_f32(sum.s0_f32x4, sum.s1_f32x4), vaddq_f32(sum.s2_f32x4, sum.s3_f32x4)));
}

static ANN_INLINE void
add_parts(Parts *sum, float32x4_t a_f32x4, float32x4_t b_f32x4)
{
	sum->ab_f32x4 = vfmaq_f32(sum->ab_f32x4, a_f32x4, b_f32x4);
	sum->aa_f32x4 = vfmaq_f32(sum->aa_f32x4, a_f32x4, a_f32x4);
	sum->bb_f32x4 = vfmaq_f32(sum->bb_f32x4, b_f32x4, b_f32x4);
}

static ANN_INLINE void
cosine_parts(AnnForm form, const void *a, const void *b, int dim, float parts[3])
{
	float32x4_t zero = vdupq_n_f32(0);
	Parts even = {zero, zero, zero};
	Parts odd = even;
	int d = 0;

	for (; d + 8 <= dim; d += 8)
	{
		add_parts(&even, load(form, a, d), load(form, b, d));
		add_parts(&odd, load(form, a, d + 4), load(form, b, d + 4));
	}
	if (d + 4 <= dim)
	{
		add_parts(&even, load(form, a, d), load(form, b, d));
		d += 4;
	}
	if (d < dim)
		add_parts(&odd, load_last(form, a, d, dim - d), load_last(form, b, d, dim - d));
	parts[0] = vaddvq_f32(vaddq_f32(even.ab_f32x4, odd.ab_f32x4));
	parts[1] = vaddvq_f32(vaddq_f32(even.aa_f32x4, odd.aa_f32x4));
	parts[2] = vaddvq_f32(vaddq_f32(even.bb_f32x4, odd.bb_f32x4));
}

float
ann_l2_squared_neon(const float *a, const float *b, int dim)
{
	return pair_sum(ANN_TERM_L2, ANN_FORM_F32, a, b, dim);
}

float
ann_inner_product_neon(const float *a, const float *b, int dim)
{
	return pair_sum(ANN_TERM_IP, ANN_FORM_F32, a, b, dim);
}

float
ann_l1_neon(const float *a, const float *b, int dim)
{
	return pair_sum(ANN_TERM_L1, ANN_FORM_F32, a, b, dim);
}

float
ann_norm_squared_neon(const float *a, int dim)
{
	return pair_sum(ANN_TERM_IP, ANN_FORM_F32, a, a, dim);
}

void
ann_cosine_parts_neon(const float *a, const float *b, int dim, float parts[3])
{
	cosine_parts(ANN_FORM_F32, a, b, dim, parts);
}

float
ann_half_l2_squared_neon(const uint16_t *a, const uint16_t *b, int dim)
{
	return pair_sum(ANN_TERM_L2, ANN_FORM_F16, a, b, dim);
}

float
ann_half_inner_product_neon(const uint16_t *a, const uint16_t *b, int dim)
{
	return pair_sum(ANN_TERM_IP, ANN_FORM_F16, a, b, dim);
}

float
ann_half_l1_neon(const uint16_t *a, const uint16_t *b, int dim)
{
	return pair_sum(ANN_TERM_L1, ANN_FORM_F16, a, b, dim);
}

void
ann_half_cosine_parts_neon(const uint16_t *a, const uint16_t *b, int dim, float parts[3])
{
	cosine_parts(ANN_FORM_F16, a, b, dim, parts);
}

void
ann_half_to_float_neon(const uint16_t *halves, int num, float *out)
{
	int i = 0;

	for (; i + 4 <= num; i += 4)
		vst1q_f32(out + i, load(ANN_FORM_F16, halves, i));
	if (i < num)
	{
		float last[4];

		vst1q_f32(last, load_last(ANN_FORM_F16, halves, i, num - i));
		for (int j = 0; i + j < num; j++)
			out[i + j] = last[j];
	}
}

float
ann_subtract_neon(const float *a, const float *b, int dim, float *out)
{
	float32x4_t even_f32x4 = vdupq_n_f32(0);
	float32x4_t odd_f32x4 = even_f32x4;
	float rest = 0;
	int d = 0;

	for (; d + 8 <= dim; d += 8)
	{
		float32x4_t first_f32x4 = vsubq_f32(vld1q_f32(a + d), vld1q_f32(b + d));
		float32x4_t second_f32x4 = vsubq_f32(vld1q_f32(a + d + 4), vld1q_f32(b + d + 4));

		vst1q_f32(out + d, first_f32x4);
		vst1q_f32(out + d + 4, second_f32x4);
		even_f32x4 = vfmaq_f32(even_f32x4, first_f32x4, first_f32x4);
		odd_f32x4 = vfmaq_f32(odd_f32x4, second_f32x4, second_f32x4);
	}
	for (; d < dim; d++)
	{
		out[d] = a[d] - b[d];
		rest += out[d] * out[d];
	}
	return vaddvq_f32(vaddq_f32(even_f32x4, odd_f32x4)) + rest;
}

/* In double. */

/* 2 elements, of which the second is zero where count is 1. */
static ANN_INLINE float64x2_t
load_doubles(const float *vector, int count)
{
	return vcvt_f64_f32(count >= 2 ? vld1_f32(vector) : vset_lane_f32(vector[0], vdup_n_f32(0), 0));
}

/* Lane l to lane l + 16, + 8, and so on: the order of every variant. */
static ANN_INLINE double
sum_doubles(const float64x2_t sum[NUM_DOUBLES])
{
	float64x2_t half[NUM_DOUBLES];

	for (int i = 0; i < NUM_DOUBLES; i++)
		half[i] = sum[i];
	for (int num = NUM_DOUBLES / 2; num >= 1; num /= 2)
		for (int i = 0; i < num; i++)
			half[i] = vaddq_f64(half[i], half[i + num]);
	return vgetq_lane_f64(half[0], 0) + vgetq_lane_f64(half[0], 1);
}

double
ann_double_product_neon(const float *a, const float *b, int dim)
{
	float64x2_t sum[NUM_DOUBLES];
	int d = 0;

	for (int i = 0; i < NUM_DOUBLES; i++)
		sum[i] = vdupq_n_f64(0);
	for (; d + ANN_DOUBLE_LANES <= dim; d += ANN_DOUBLE_LANES)
		for (int i = 0; i < NUM_DOUBLES; i++)
		{
			float64x2_t a_f64x2 = load_doubles(a + d + 2 * i, 2);
			float64x2_t b_f64x2 = load_doubles(b + d + 2 * i, 2);

			sum[i] = vfmaq_f64(sum[i], a_f64x2, b_f64x2);
		}
	for (int i = 0; d < dim; i++, d += 2)
	{
		float64x2_t a_f64x2 = load_doubles(a + d, dim - d);
		float64x2_t b_f64x2 = load_doubles(b + d, dim - d);

		sum[i] = vfmaq_f64(sum[i], a_f64x2, b_f64x2);
	}
	return sum_doubles(sum);
}

void
ann_add_neon(const float *row, int dim, double *sums)
{
	int d = 0;

	for (; d + 2 <= dim; d += 2)
		vst1q_f64(sums + d, vaddq_f64(vld1q_f64(sums + d), load_doubles(row + d, 2)));
	for (; d < dim; d++)
		sums[d] += row[d];
}

/* By squaring and multiplying. power >= 1. */
static ANN_INLINE float64x2_t
powers(float64x2_t x_f64x2, int power)
{
	float64x2_t result_f64x2 = vdupq_n_f64(1.0);

	for (;;)
	{
		if (power & 1)
			result_f64x2 = vmulq_f64(result_f64x2, x_f64x2);
		power >>= 1;
		if (power == 0)
			return result_f64x2;
		x_f64x2 = vmulq_f64(x_f64x2, x_f64x2);
	}
}

double
ann_power_sum_neon(const float *a, const float *b, int dim, double unit, int power)
{
	float64x2_t sum_f64x2 = vdupq_n_f64(0);

	for (int d = 0; d < dim; d += 2)
	{
		float64x2_t difference_f64x2 =
			vabdq_f64(load_doubles(a + d, dim - d), load_doubles(b + d, dim - d));

		sum_f64x2 =
			vaddq_f64(sum_f64x2, powers(vdivq_f64(difference_f64x2, vdupq_n_f64(unit)), power));
	}
	return vaddvq_f64(sum_f64x2);
}

double
ann_linf_neon(const float *a, const float *b, int dim)
{
	float64x2_t even_f64x2 = vdupq_n_f64(0);
	float64x2_t odd_f64x2 = even_f64x2;
	int d = 0;

	for (; d + 4 <= dim; d += 4)
	{
		even_f64x2 =
			vmaxq_f64(even_f64x2, vabdq_f64(load_doubles(a + d, 2), load_doubles(b + d, 2)));
		odd_f64x2 =
			vmaxq_f64(odd_f64x2, vabdq_f64(load_doubles(a + d + 2, 2), load_doubles(b + d + 2, 2)));
	}
	for (; d < dim; d += 2)
		even_f64x2 = vmaxq_f64(
			even_f64x2, vabdq_f64(load_doubles(a + d, dim - d), load_doubles(b + d, dim - d)));
	return vmaxvq_f64(vmaxq_f64(even_f64x2, odd_f64x2));
}

int
ann_num_different_neon(const float *a, const float *b, int dim)
{
	uint32x4_t equal_u32x4 = vdupq_n_u32(0);
	int num = dim;
	int d = 0;

	for (; d + 4 <= dim; d += 4)
		equal_u32x4 = vsubq_u32(equal_u32x4, vceqq_f32(vld1q_f32(a + d), vld1q_f32(b + d)));
	num -= (int) vaddvq_u32(equal_u32x4);
	for (; d < dim; d++)
		num -= a[d] == b[d];
	return num;
}

#endif
