/*
 * kernels_avx2_pairs.c
 *	  The kernels for AVX2 of two vectors, of floats or of halves; those need F16C besides.
 *
 * NOTES
 *	  One code for both forms of elements, so that halves give the bits of the floats that they
 *	  stand for. Ends, masks and names as in kernels_avx2.c.
 */
#include "core/kernels.h"

#if defined(__x86_64__)

#include "core/kernels_avx2.h"

ANN_TARGET_BEGIN(ANN_ISA_AVX2_F16C)

/* <a,b>, |a|^2, |b|^2. */
typedef struct Parts
{
	__m256 ab_f32x8;
	__m256 aa_f32x8;
	__m256 bb_f32x8;
} Parts;

/*
 * Registers of ANN_DOUBLE_LANES partial sums: lane l of the whole adds up what stands at l modulo
 * 32.
 */
#define NUM_DOUBLES (ANN_DOUBLE_LANES / 4)

/* 8 elements from element d on. */
static ANN_INLINE __m256
load(AnnForm form, const void *vector, int d)
{
	if (form == ANN_FORM_F16)
		return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) ((const uint16_t *) vector + d)));
	return _mm256_loadu_ps((const float *) vector + d);
}

/* The same of the last count: 1 to 8. */
static ANN_INLINE __m256
load_end(AnnForm form, const void *vector, int d, int count)
{
	uint16_t halves[8] = {0};

	if (form == ANN_FORM_F32)
		return _mm256_maskload_ps((const float *) vector + d, first_lanes(count));
	for (int i = 0; i < count; i++)
		halves[i] = ((const uint16_t *) vector)[d + i];
	return load(ANN_FORM_F16, halves, 0);
}

static ANN_INLINE __m256
add_at(AnnTerm term, AnnForm form, __m256 sum_f32x8, const void *a, const void *b, int d)
{
	return add_term(term, sum_f32x8, load(form, a, d), load(form, b, d));
}

static ANN_INLINE float
sum_lanes(__m256 value_f32x8)
{
	__m128 sum_f32x4 =
		_mm_add_ps(_mm256_castps256_ps128(value_f32x8), _mm256_extractf128_ps(value_f32x8, 1));

	sum_f32x4 = _mm_add_ps(sum_f32x4, _mm_movehl_ps(sum_f32x4, sum_f32x4));
	return _mm_cvtss_f32(_mm_add_ss(sum_f32x4, _mm_movehdup_ps(sum_f32x4)));
}

/*
 * Four sums, because an addition has to wait some 4 cycles for the one before it while one or two
 * can start in every cycle.
 */
static ANN_INLINE float
pair_sum(AnnTerm term, AnnForm form, const void *a, const void *b, int dim)
{
	__m256 sum0_f32x8 = _mm256_setzero_ps();
	__m256 sum1_f32x8 = sum0_f32x8;
	__m256 sum2_f32x8 = sum0_f32x8;
	__m256 sum3_f32x8 = sum0_f32x8;
	int d = 0;

	for (; d + 32 <= dim; d += 32)
	{
		sum0_f32x8 = add_at(term, form, sum0_f32x8, a, b, d);
		sum1_f32x8 = add_at(term, form, sum1_f32x8, a, b, d + 8);
		sum2_f32x8 = add_at(term, form, sum2_f32x8, a, b, d + 16);
		sum3_f32x8 = add_at(term, form, sum3_f32x8, a, b, d + 24);
	}
	for (; d + 8 <= dim; d += 8)
		sum0_f32x8 = add_at(term, form, sum0_f32x8, a, b, d);
	if (d < dim)
		sum1_f32x8 = add_term(term, sum1_f32x8, load_end(form, a, d, dim - d),
							  load_end(form, b, d, dim - d));
	return sum_lanes(_mm256_add_ps(_mm256_add_ps(sum0_f32x8, sum1_f32x8),
								   _mm256_add_ps(sum2_f32x8, sum3_f32x8)));
}

static ANN_INLINE void
add_parts(Parts *sum, __m256 a_f32x8, __m256 b_f32x8)
{
	sum->ab_f32x8 = _mm256_fmadd_ps(a_f32x8, b_f32x8, sum->ab_f32x8);
	sum->aa_f32x8 = _mm256_fmadd_ps(a_f32x8, a_f32x8, sum->aa_f32x8);
	sum->bb_f32x8 = _mm256_fmadd_ps(b_f32x8, b_f32x8, sum->bb_f32x8);
}

static ANN_INLINE void
cosine_parts(AnnForm form, const void *a, const void *b, int dim, float parts[3])
{
	__m256 zero = _mm256_setzero_ps();
	Parts even = {zero, zero, zero};
	Parts odd = even;
	int d = 0;

	for (; d + 16 <= dim; d += 16)
	{
		add_parts(&even, load(form, a, d), load(form, b, d));
		add_parts(&odd, load(form, a, d + 8), load(form, b, d + 8));
	}
	if (d + 8 <= dim)
	{
		add_parts(&even, load(form, a, d), load(form, b, d));
		d += 8;
	}
	if (d < dim)
		add_parts(&even, load_end(form, a, d, dim - d), load_end(form, b, d, dim - d));
	parts[0] = sum_lanes(_mm256_add_ps(even.ab_f32x8, odd.ab_f32x8));
	parts[1] = sum_lanes(_mm256_add_ps(even.aa_f32x8, odd.aa_f32x8));
	parts[2] = sum_lanes(_mm256_add_ps(even.bb_f32x8, odd.bb_f32x8));
}

float
ann_l2_squared_avx2(const float *a, const float *b, int dim)
{
	return pair_sum(ANN_TERM_L2, ANN_FORM_F32, a, b, dim);
}

float
ann_inner_product_avx2(const float *a, const float *b, int dim)
{
	return pair_sum(ANN_TERM_IP, ANN_FORM_F32, a, b, dim);
}

float
ann_l1_avx2(const float *a, const float *b, int dim)
{
	return pair_sum(ANN_TERM_L1, ANN_FORM_F32, a, b, dim);
}

float
ann_norm_squared_avx2(const float *a, int dim)
{
	return pair_sum(ANN_TERM_IP, ANN_FORM_F32, a, a, dim);
}

void
ann_cosine_parts_avx2(const float *a, const float *b, int dim, float parts[3])
{
	cosine_parts(ANN_FORM_F32, a, b, dim, parts);
}

float
ann_half_l2_squared_avx2(const uint16_t *a, const uint16_t *b, int dim)
{
	return pair_sum(ANN_TERM_L2, ANN_FORM_F16, a, b, dim);
}

float
ann_half_inner_product_avx2(const uint16_t *a, const uint16_t *b, int dim)
{
	return pair_sum(ANN_TERM_IP, ANN_FORM_F16, a, b, dim);
}

float
ann_half_l1_avx2(const uint16_t *a, const uint16_t *b, int dim)
{
	return pair_sum(ANN_TERM_L1, ANN_FORM_F16, a, b, dim);
}

void
ann_half_cosine_parts_avx2(const uint16_t *a, const uint16_t *b, int dim, float parts[3])
{
	cosine_parts(ANN_FORM_F16, a, b, dim, parts);
}

void
ann_half_to_float_avx2(const uint16_t *halves, int num, float *out)
{
	int i = 0;

	for (; i + 8 <= num; i += 8)
		_mm256_storeu_ps(out + i, load(ANN_FORM_F16, halves, i));
	if (i < num)
		_mm256_maskstore_ps(out + i, first_lanes(num - i),
							load_end(ANN_FORM_F16, halves, i, num - i));
}

float
ann_subtract_avx2(const float *a, const float *b, int dim, float *out)
{
	__m256 even_f32x8 = _mm256_setzero_ps();
	__m256 odd_f32x8 = even_f32x8;
	int d = 0;

	for (; d + 16 <= dim; d += 16)
	{
		__m256 first_f32x8 = _mm256_sub_ps(_mm256_loadu_ps(a + d), _mm256_loadu_ps(b + d));
		__m256 second_f32x8 = _mm256_sub_ps(_mm256_loadu_ps(a + d + 8), _mm256_loadu_ps(b + d + 8));

		_mm256_storeu_ps(out + d, first_f32x8);
		_mm256_storeu_ps(out + d + 8, second_f32x8);
		even_f32x8 = _mm256_fmadd_ps(first_f32x8, first_f32x8, even_f32x8);
		odd_f32x8 = _mm256_fmadd_ps(second_f32x8, second_f32x8, odd_f32x8);
	}
	for (; d < dim; d += 8)
	{
		__m256i mask = first_lanes(dim - d);
		__m256 last_f32x8 =
			_mm256_sub_ps(_mm256_maskload_ps(a + d, mask), _mm256_maskload_ps(b + d, mask));

		_mm256_maskstore_ps(out + d, mask, last_f32x8);
		even_f32x8 = _mm256_fmadd_ps(last_f32x8, last_f32x8, even_f32x8);
	}
	return sum_lanes(_mm256_add_ps(even_f32x8, odd_f32x8));
}

/* In double. */

/* 4 elements, of which those are read that come before count. */
static ANN_INLINE __m256d
load_doubles(const float *vector, int count)
{
	return _mm256_cvtps_pd(
		count >= 4 ? _mm_loadu_ps(vector)
				   : _mm_maskload_ps(vector, _mm256_castsi256_si128(first_lanes(count))));
}

static ANN_INLINE __m256d
differences(const float *a, const float *b, int count)
{
	return _mm256_andnot_pd(_mm256_set1_pd(-0.0),
							_mm256_sub_pd(load_doubles(a, count), load_doubles(b, count)));
}

/* Lane l to lane l + 16, + 8, and so on: the order of every variant. */
static ANN_INLINE double
sum_doubles(const __m256d sum[NUM_DOUBLES])
{
	__m256d low_f64x4 = _mm256_add_pd(_mm256_add_pd(sum[0], sum[4]), _mm256_add_pd(sum[2], sum[6]));
	__m256d high_f64x4 =
		_mm256_add_pd(_mm256_add_pd(sum[1], sum[5]), _mm256_add_pd(sum[3], sum[7]));
	__m256d all_f64x4 = _mm256_add_pd(low_f64x4, high_f64x4);
	__m128d half_f64x2 =
		_mm_add_pd(_mm256_castpd256_pd128(all_f64x4), _mm256_extractf128_pd(all_f64x4, 1));

	return _mm_cvtsd_f64(_mm_add_sd(half_f64x2, _mm_unpackhi_pd(half_f64x2, half_f64x2)));
}

double
ann_double_product_avx2(const float *a, const float *b, int dim)
{
	__m256d zero = _mm256_setzero_pd();
	__m256d sum[NUM_DOUBLES] = {zero, zero, zero, zero, zero, zero, zero, zero};
	int d = 0;

	for (; d + ANN_DOUBLE_LANES <= dim; d += ANN_DOUBLE_LANES)
		for (int i = 0; i < NUM_DOUBLES; i++)
		{
			__m256d a_f64x4 = load_doubles(a + d + 4 * i, 4);
			__m256d b_f64x4 = load_doubles(b + d + 4 * i, 4);

			sum[i] = _mm256_fmadd_pd(a_f64x4, b_f64x4, sum[i]);
		}
	for (int i = 0; d < dim; i++, d += 4)
	{
		__m256d a_f64x4 = load_doubles(a + d, dim - d);
		__m256d b_f64x4 = load_doubles(b + d, dim - d);

		sum[i] = _mm256_fmadd_pd(a_f64x4, b_f64x4, sum[i]);
	}
	return sum_doubles(sum);
}

void
ann_add_avx2(const float *row, int dim, double *sums)
{
	int d = 0;

	for (; d + 4 <= dim; d += 4)
		_mm256_storeu_pd(sums + d,
						 _mm256_add_pd(_mm256_loadu_pd(sums + d), load_doubles(row + d, 4)));
	for (; d < dim; d++)
		sums[d] += row[d];
}

/* By squaring and multiplying. power >= 1. */
static ANN_INLINE __m256d
powers(__m256d x_f64x4, int power)
{
	__m256d result_f64x4 = _mm256_set1_pd(1.0);

	for (;;)
	{
		if (power & 1)
			result_f64x4 = _mm256_mul_pd(result_f64x4, x_f64x4);
		power >>= 1;
		if (power == 0)
			return result_f64x4;
		x_f64x4 = _mm256_mul_pd(x_f64x4, x_f64x4);
	}
}

double
ann_power_sum_avx2(const float *a, const float *b, int dim, double unit, int power)
{
	__m256d unit_f64x4 = _mm256_set1_pd(unit);
	__m256d zero = _mm256_setzero_pd();
	__m256d sum[NUM_DOUBLES] = {zero, zero, zero, zero, zero, zero, zero, zero};

	for (int d = 0; d < dim; d += 4)
	{
		__m256d x_f64x4 = _mm256_div_pd(differences(a + d, b + d, dim - d), unit_f64x4);

		sum[0] = _mm256_add_pd(sum[0], powers(x_f64x4, power));
	}
	return sum_doubles(sum);
}

double
ann_linf_avx2(const float *a, const float *b, int dim)
{
	__m256d even_f64x4 = _mm256_setzero_pd();
	__m256d odd_f64x4 = even_f64x4;
	__m128d half_f64x2;
	int d = 0;

	for (; d + 8 <= dim; d += 8)
	{
		even_f64x4 = _mm256_max_pd(even_f64x4, differences(a + d, b + d, 4));
		odd_f64x4 = _mm256_max_pd(odd_f64x4, differences(a + d + 4, b + d + 4, 4));
	}
	for (; d < dim; d += 4)
		even_f64x4 = _mm256_max_pd(even_f64x4, differences(a + d, b + d, dim - d));
	even_f64x4 = _mm256_max_pd(even_f64x4, odd_f64x4);
	half_f64x2 =
		_mm_max_pd(_mm256_castpd256_pd128(even_f64x4), _mm256_extractf128_pd(even_f64x4, 1));
	return _mm_cvtsd_f64(_mm_max_sd(half_f64x2, _mm_unpackhi_pd(half_f64x2, half_f64x2)));
}

static ANN_INLINE int
count_different(__m256 a_f32x8, __m256 b_f32x8)
{
	return __builtin_popcount(
		(unsigned int) _mm256_movemask_ps(_mm256_cmp_ps(a_f32x8, b_f32x8, _CMP_NEQ_UQ)));
}

int
ann_num_different_avx2(const float *a, const float *b, int dim)
{
	int num = 0;
	int d = 0;

	for (; d + 8 <= dim; d += 8)
		num += count_different(_mm256_loadu_ps(a + d), _mm256_loadu_ps(b + d));
	if (d < dim)
		num += count_different(load_end(ANN_FORM_F32, a, d, dim - d),
							   load_end(ANN_FORM_F32, b, d, dim - d));
	return num;
}

ANN_TARGET_END

#endif
