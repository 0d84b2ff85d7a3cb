/*
 * kernels_avx512_pairs.c
 *	  The kernels for AVX-512 of two vectors, of floats or of halves.
 *
 * NOTES
 *	  One code for both forms of elements, so that halves give the bits of the floats that they
 *	  stand for. Ends, masks and names as in kernels_avx512.c.
 */
#include "core/kernels.h"

#if defined(__x86_64__)

#include "core/kernels_avx512.h"

ANN_TARGET_BEGIN(ANN_ISA_AVX512)

/* Four sums, because an addition has to wait some 4 cycles for the one before it. */
typedef struct Sums
{
	__m512 s0_f32x16;
	__m512 s1_f32x16;
	__m512 s2_f32x16;
	__m512 s3_f32x16;
} Sums;

/* <a,b>, |a|^2, |b|^2. */
typedef struct Parts
{
	__m512 ab_f32x16;
	__m512 aa_f32x16;
	__m512 bb_f32x16;
} Parts;

/* 32 partial sums in double: lane l of the whole adds up what stands at l modulo 32. */
typedef struct Doubles
{
	__m512d s0_f64x8;
	__m512d s1_f64x8;
	__m512d s2_f64x8;
	__m512d s3_f64x8;
} Doubles;

/* 16 elements from element d on. */
static ANN_INLINE __m512
load(AnnForm form, const void *vector, int d)
{
	if (form == ANN_FORM_F16)
		return _mm512_cvtph_ps(
			_mm256_loadu_si256((const __m256i *) ((const uint16_t *) vector + d)));
	return _mm512_loadu_ps((const float *) vector + d);
}

/* The same of the last ones: those of the mask. */
static ANN_INLINE __m512
load_end(AnnForm form, const void *vector, int d, __mmask16 mask)
{
	if (form == ANN_FORM_F16)
		return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, (const uint16_t *) vector + d));
	return _mm512_maskz_loadu_ps(mask, (const float *) vector + d);
}

static ANN_INLINE __m512
add_at(AnnTerm term, AnnForm form, __m512 sum_f32x16, const void *a, const void *b, int d)
{
	return add_term(term, sum_f32x16, load(form, a, d), load(form, b, d));
}

static ANN_INLINE float
pair_sum(AnnTerm term, AnnForm form, const void *a, const void *b, int dim)
{
	__m512 zero = _mm512_setzero_ps();
	Sums sum = {zero, zero, zero, zero};
	int d = 0;

	for (; d + 64 <= dim; d += 64)
	{
		sum.s0_f32x16 = add_at(term, form, sum.s0_f32x16, a, b, d);
		sum.s1_f32x16 = add_at(term, form, sum.s1_f32x16, a, b, d + 16);
		sum.s2_f32x16 = add_at(term, form, sum.s2_f32x16, a, b, d + 32);
		sum.s3_f32x16 = add_at(term, form, sum.s3_f32x16, a, b, d + 48);
	}
	for (; d + 16 <= dim; d += 16)
		sum.s0_f32x16 = add_at(term, form, sum.s0_f32x16, a, b, d);
	if (d < dim)
	{
		__mmask16 mask = (__mmask16) first_lanes(dim - d);

		sum.s1_f32x16 =
			add_term(term, sum.s1_f32x16, load_end(form, a, d, mask), load_end(form, b, d, mask));
	}
	return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sum.s0_f32x16, sum.s1_f32x16),
											  _mm512_add_ps(sum.s2_f32x16, sum.s3_f32x16)));
}

static ANN_INLINE void
add_parts(Parts *sum, __m512 a_f32x16, __m512 b_f32x16)
{
	ANN_KEEP(a_f32x16);
	ANN_KEEP(b_f32x16);
	sum->ab_f32x16 = _mm512_fmadd_ps(a_f32x16, b_f32x16, sum->ab_f32x16);
	sum->aa_f32x16 = _mm512_fmadd_ps(a_f32x16, a_f32x16, sum->aa_f32x16);
	sum->bb_f32x16 = _mm512_fmadd_ps(b_f32x16, b_f32x16, sum->bb_f32x16);
}

static ANN_INLINE void
cosine_parts(AnnForm form, const void *a, const void *b, int dim, float parts[3])
{
	__m512 zero = _mm512_setzero_ps();
	Parts even = {zero, zero, zero};
	Parts odd = even;
	int d = 0;

	for (; d + 32 <= dim; d += 32)
	{
		add_parts(&even, load(form, a, d), load(form, b, d));
		add_parts(&odd, load(form, a, d + 16), load(form, b, d + 16));
	}
	for (; d < dim; d += 16)
	{
		__mmask16 mask = (__mmask16) first_lanes(dim - d);

		add_parts(&even, load_end(form, a, d, mask), load_end(form, b, d, mask));
	}
	parts[0] = _mm512_reduce_add_ps(_mm512_add_ps(even.ab_f32x16, odd.ab_f32x16));
	parts[1] = _mm512_reduce_add_ps(_mm512_add_ps(even.aa_f32x16, odd.aa_f32x16));
	parts[2] = _mm512_reduce_add_ps(_mm512_add_ps(even.bb_f32x16, odd.bb_f32x16));
}

float
ann_l2_squared_avx512(const float *a, const float *b, int dim)
{
	return pair_sum(ANN_TERM_L2, ANN_FORM_F32, a, b, dim);
}

float
ann_inner_product_avx512(const float *a, const float *b, int dim)
{
	return pair_sum(ANN_TERM_IP, ANN_FORM_F32, a, b, dim);
}

float
ann_l1_avx512(const float *a, const float *b, int dim)
{
	return pair_sum(ANN_TERM_L1, ANN_FORM_F32, a, b, dim);
}

float
ann_norm_squared_avx512(const float *a, int dim)
{
	return pair_sum(ANN_TERM_IP, ANN_FORM_F32, a, a, dim);
}

void
ann_cosine_parts_avx512(const float *a, const float *b, int dim, float parts[3])
{
	cosine_parts(ANN_FORM_F32, a, b, dim, parts);
}

float
ann_half_l2_squared_avx512(const uint16_t *a, const uint16_t *b, int dim)
{
	return pair_sum(ANN_TERM_L2, ANN_FORM_F16, a, b, dim);
}

float
ann_half_inner_product_avx512(const uint16_t *a, const uint16_t *b, int dim)
{
	return pair_sum(ANN_TERM_IP, ANN_FORM_F16, a, b, dim);
}

float
ann_half_l1_avx512(const uint16_t *a, const uint16_t *b, int dim)
{
	return pair_sum(ANN_TERM_L1, ANN_FORM_F16, a, b, dim);
}

void
ann_half_cosine_parts_avx512(const uint16_t *a, const uint16_t *b, int dim, float parts[3])
{
	cosine_parts(ANN_FORM_F16, a, b, dim, parts);
}

void
ann_half_to_float_avx512(const uint16_t *halves, int num, float *out)
{
	int i = 0;

	for (; i + 16 <= num; i += 16)
		_mm512_storeu_ps(out + i, load(ANN_FORM_F16, halves, i));
	if (i < num)
	{
		__mmask16 mask = (__mmask16) first_lanes(num - i);

		_mm512_mask_storeu_ps(out + i, mask, load_end(ANN_FORM_F16, halves, i, mask));
	}
}

float
ann_subtract_avx512(const float *a, const float *b, int dim, float *out)
{
	__m512 even_f32x16 = _mm512_setzero_ps();
	__m512 odd_f32x16 = even_f32x16;
	int d = 0;

	for (; d + 32 <= dim; d += 32)
	{
		__m512 first_f32x16 = _mm512_sub_ps(_mm512_loadu_ps(a + d), _mm512_loadu_ps(b + d));
		__m512 second_f32x16 =
			_mm512_sub_ps(_mm512_loadu_ps(a + d + 16), _mm512_loadu_ps(b + d + 16));

		_mm512_storeu_ps(out + d, first_f32x16);
		_mm512_storeu_ps(out + d + 16, second_f32x16);
		even_f32x16 = _mm512_fmadd_ps(first_f32x16, first_f32x16, even_f32x16);
		odd_f32x16 = _mm512_fmadd_ps(second_f32x16, second_f32x16, odd_f32x16);
	}
	for (; d < dim; d += 16)
	{
		__mmask16 mask = (__mmask16) first_lanes(dim - d);
		__m512 last_f32x16 =
			_mm512_sub_ps(_mm512_maskz_loadu_ps(mask, a + d), _mm512_maskz_loadu_ps(mask, b + d));

		_mm512_mask_storeu_ps(out + d, mask, last_f32x16);
		even_f32x16 = _mm512_fmadd_ps(last_f32x16, last_f32x16, even_f32x16);
	}
	return _mm512_reduce_add_ps(_mm512_add_ps(even_f32x16, odd_f32x16));
}

/* In double. */

static ANN_INLINE __m512d
load_doubles(const float *vector, __mmask8 mask)
{
	return _mm512_cvtps_pd(_mm256_maskz_loadu_ps(mask, vector));
}

static ANN_INLINE __m512d
differences(const float *a, const float *b, __mmask8 mask)
{
	return _mm512_abs_pd(_mm512_sub_pd(load_doubles(a, mask), load_doubles(b, mask)));
}

/* Lane l to lane l + 16, + 8, and so on: the order of every variant. */
static ANN_INLINE double
sum_doubles(Doubles sum)
{
	__m512d all_f64x8 = _mm512_add_pd(_mm512_add_pd(sum.s0_f64x8, sum.s2_f64x8),
									  _mm512_add_pd(sum.s1_f64x8, sum.s3_f64x8));
	__m256d half_f64x4 =
		_mm256_add_pd(_mm512_castpd512_pd256(all_f64x8), _mm512_extractf64x4_pd(all_f64x8, 1));
	__m128d quarter_f64x2 =
		_mm_add_pd(_mm256_castpd256_pd128(half_f64x4), _mm256_extractf128_pd(half_f64x4, 1));

	return _mm_cvtsd_f64(_mm_add_sd(quarter_f64x2, _mm_unpackhi_pd(quarter_f64x2, quarter_f64x2)));
}

static ANN_INLINE __m512d
add_product(__m512d sum_f64x8, const float *a, const float *b, __mmask8 mask)
{
	return _mm512_fmadd_pd(load_doubles(a, mask), load_doubles(b, mask), sum_f64x8);
}

/* One step of 32 elements, of which mask tells those that there are. */
static ANN_INLINE void
add_products(Doubles *sum, const float *a, const float *b, uint32_t mask)
{
	sum->s0_f64x8 = add_product(sum->s0_f64x8, a, b, (__mmask8) mask);
	sum->s1_f64x8 = add_product(sum->s1_f64x8, a + 8, b + 8, (__mmask8) (mask >> 8));
	sum->s2_f64x8 = add_product(sum->s2_f64x8, a + 16, b + 16, (__mmask8) (mask >> 16));
	sum->s3_f64x8 = add_product(sum->s3_f64x8, a + 24, b + 24, (__mmask8) (mask >> 24));
}

double
ann_double_product_avx512(const float *a, const float *b, int dim)
{
	__m512d zero = _mm512_setzero_pd();
	Doubles sum = {zero, zero, zero, zero};
	int d = 0;

	for (; d + ANN_DOUBLE_LANES <= dim; d += ANN_DOUBLE_LANES)
		add_products(&sum, a + d, b + d, UINT32_MAX);
	if (d < dim)
		add_products(&sum, a + d, b + d, first_lanes(dim - d));
	return sum_doubles(sum);
}

void
ann_add_avx512(const float *row, int dim, double *sums)
{
	int d = 0;

	for (; d + 8 <= dim; d += 8)
		_mm512_storeu_pd(sums + d,
						 _mm512_add_pd(_mm512_loadu_pd(sums + d), load_doubles(row + d, 0xff)));
	for (; d < dim; d++)
		sums[d] += row[d];
}

/* By squaring and multiplying. power >= 1. */
static ANN_INLINE __m512d
powers(__m512d x_f64x8, int power)
{
	__m512d result_f64x8 = _mm512_set1_pd(1.0);

	for (;;)
	{
		if (power & 1)
			result_f64x8 = _mm512_mul_pd(result_f64x8, x_f64x8);
		power >>= 1;
		if (power == 0)
			return result_f64x8;
		x_f64x8 = _mm512_mul_pd(x_f64x8, x_f64x8);
	}
}

double
ann_power_sum_avx512(const float *a, const float *b, int dim, double unit, int power)
{
	__m512d unit_f64x8 = _mm512_set1_pd(unit);
	__m512d zero = _mm512_setzero_pd();
	Doubles sum = {zero, zero, zero, zero};

	for (int d = 0; d < dim; d += 8)
	{
		__mmask8 mask = (__mmask8) first_lanes(dim - d);
		__m512d x_f64x8 = _mm512_div_pd(differences(a + d, b + d, mask), unit_f64x8);

		sum.s0_f64x8 = _mm512_add_pd(sum.s0_f64x8, powers(x_f64x8, power));
	}
	return sum_doubles(sum);
}

double
ann_linf_avx512(const float *a, const float *b, int dim)
{
	__m512d even_f64x8 = _mm512_setzero_pd();
	__m512d odd_f64x8 = even_f64x8;
	int d = 0;

	for (; d + 16 <= dim; d += 16)
	{
		even_f64x8 = _mm512_max_pd(even_f64x8, differences(a + d, b + d, 0xff));
		odd_f64x8 = _mm512_max_pd(odd_f64x8, differences(a + d + 8, b + d + 8, 0xff));
	}
	for (; d < dim; d += 8)
		even_f64x8 =
			_mm512_max_pd(even_f64x8, differences(a + d, b + d, (__mmask8) first_lanes(dim - d)));
	return _mm512_reduce_max_pd(_mm512_max_pd(even_f64x8, odd_f64x8));
}

int
ann_num_different_avx512(const float *a, const float *b, int dim)
{
	int num = 0;
	int d = 0;

	for (; d + 16 <= dim; d += 16)
		num += __builtin_popcount(
			_mm512_cmp_ps_mask(_mm512_loadu_ps(a + d), _mm512_loadu_ps(b + d), _CMP_NEQ_UQ));
	if (d < dim)
	{
		__mmask16 mask = (__mmask16) first_lanes(dim - d);

		num += __builtin_popcount(_mm512_cmp_ps_mask(
			_mm512_maskz_loadu_ps(mask, a + d), _mm512_maskz_loadu_ps(mask, b + d), _CMP_NEQ_UQ));
	}
	return num;
}

ANN_TARGET_END

#endif
