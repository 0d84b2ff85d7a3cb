/*
 * kernels_avx512.c
 *	  The kernels for AVX-512 (F, BW, DQ, VL: Skylake-X, Zen 4 and later): matrix products and rows
 *	  of node pages; the others stand in files of their own (kernels_parts.h).
 *
 * NOTES
 *	  Ends that do not fill a register are loaded with a mask: a masked-out element is neither read
 *	  nor faulted on, and is zero, which adds nothing to any of the sums here. There is no scalar
 *	  tail.
 *
 *	  Every sum of two rows runs in one fixed order that depends on dim only, never on where the row
 *	  stands in a tile, so equal rows get bit-equal scores and ties break by index.
 *
 *	  Register names carry the lanes: sum_f32x16. A "quarter" is one of a register's four 128-bit
 *	  lanes.
 */
#include "core/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>

#include "core/kernels_avx512.h"
#include "core/kernels_panel.h"
#include "core/kernels_parts.h"

ANN_TARGET_BEGIN(ANN_ISA_AVX512)

#define TILE_A 4

typedef enum RowForm
{
	ROWS_F32,
	ROWS_BF16,
} RowForm;

/* 32 elements: the low and high halves of f32 rows, the even and odd elements of bf16 rows. */
typedef struct Pair
{
	__m512 first_f32x16;
	__m512 second_f32x16;
} Pair;

/* One value for each row of a tile of four. */
typedef struct Four
{
	__m512 r0_f32x16;
	__m512 r1_f32x16;
	__m512 r2_f32x16;
	__m512 r3_f32x16;
} Four;

/*
 * Transposed reductions: the sums over the lanes of several registers at once, halving the number
 * of registers with every addition.
 */

/* Lane k of each quarter: the sum over that quarter of value k. */
static ANN_INLINE __m512
sum_within_quarters(Four value)
{
	__m512 r01_f32x16 = _mm512_add_ps(_mm512_unpacklo_ps(value.r0_f32x16, value.r1_f32x16),
									  _mm512_unpackhi_ps(value.r0_f32x16, value.r1_f32x16));
	__m512 r23_f32x16 = _mm512_add_ps(_mm512_unpacklo_ps(value.r2_f32x16, value.r3_f32x16),
									  _mm512_unpackhi_ps(value.r2_f32x16, value.r3_f32x16));

	return _mm512_add_ps(_mm512_shuffle_ps(r01_f32x16, r23_f32x16, 0x44),
						 _mm512_shuffle_ps(r01_f32x16, r23_f32x16, 0xee));
}

/* Quarter k: the sum of the four quarters of value k. */
static ANN_INLINE __m512
sum_of_quarters(Four value)
{
	__m512 r01_f32x16 = _mm512_add_ps(_mm512_shuffle_f32x4(value.r0_f32x16, value.r1_f32x16, 0x88),
									  _mm512_shuffle_f32x4(value.r0_f32x16, value.r1_f32x16, 0xdd));
	__m512 r23_f32x16 = _mm512_add_ps(_mm512_shuffle_f32x4(value.r2_f32x16, value.r3_f32x16, 0x88),
									  _mm512_shuffle_f32x4(value.r2_f32x16, value.r3_f32x16, 0xdd));

	return _mm512_add_ps(_mm512_shuffle_f32x4(r01_f32x16, r23_f32x16, 0x88),
						 _mm512_shuffle_f32x4(r01_f32x16, r23_f32x16, 0xdd));
}

/* The same sum of the four quarters, in the same order, of one value. */
static ANN_INLINE __m128
sum_of_quarters_one(__m512 value_f32x16)
{
	__m128 low_f32x4 =
		_mm_add_ps(_mm512_castps512_ps128(value_f32x16), _mm512_extractf32x4_ps(value_f32x16, 1));
	__m128 high_f32x4 = _mm_add_ps(_mm512_extractf32x4_ps(value_f32x16, 2),
								   _mm512_extractf32x4_ps(value_f32x16, 3));

	return _mm_add_ps(low_f32x4, high_f32x4);
}

/* Matrix products: tiles of 4 rows of A by 4 of B, 16 sums of 16 lanes. */

static ANN_INLINE Four
load_four(const float *const rows[4], int d, __mmask16 mask)
{
	Four value = {
		_mm512_maskz_loadu_ps(mask, rows[0] + d), _mm512_maskz_loadu_ps(mask, rows[1] + d),
		_mm512_maskz_loadu_ps(mask, rows[2] + d), _mm512_maskz_loadu_ps(mask, rows[3] + d)};

	return value;
}

static ANN_INLINE void
add_products(Four *sum, Four a, __m512 b_f32x16)
{
	sum->r0_f32x16 = _mm512_fmadd_ps(a.r0_f32x16, b_f32x16, sum->r0_f32x16);
	sum->r1_f32x16 = _mm512_fmadd_ps(a.r1_f32x16, b_f32x16, sum->r1_f32x16);
	sum->r2_f32x16 = _mm512_fmadd_ps(a.r2_f32x16, b_f32x16, sum->r2_f32x16);
	sum->r3_f32x16 = _mm512_fmadd_ps(a.r3_f32x16, b_f32x16, sum->r3_f32x16);
}

/* Quarter i, lane j: <a_i, b_j>. */
static ANN_NOINLINE __m512
tile_4x4(const float *const a[4], const float *const b[4], int dim)
{
	__m512 zero = _mm512_setzero_ps();
	Four b0 = {zero, zero, zero, zero}; /* b0.r2: products of a_2 with b_0 */
	Four b1 = b0, b2 = b0, b3 = b0;
	int d = 0;

	for (; d + 16 <= dim; d += 16)
	{
		Four rows = load_four(a, d, 0xffff);

		add_products(&b0, rows, _mm512_loadu_ps(b[0] + d));
		add_products(&b1, rows, _mm512_loadu_ps(b[1] + d));
		add_products(&b2, rows, _mm512_loadu_ps(b[2] + d));
		add_products(&b3, rows, _mm512_loadu_ps(b[3] + d));
	}
	if (d < dim)
	{
		__mmask16 mask = (__mmask16) first_lanes(dim - d);
		Four rows = load_four(a, d, mask);
		Four columns = load_four(b, d, mask);

		add_products(&b0, rows, columns.r0_f32x16);
		add_products(&b1, rows, columns.r1_f32x16);
		add_products(&b2, rows, columns.r2_f32x16);
		add_products(&b3, rows, columns.r3_f32x16);
	}
	return sum_of_quarters((Four){
		sum_within_quarters((Four){b0.r0_f32x16, b1.r0_f32x16, b2.r0_f32x16, b3.r0_f32x16}),
		sum_within_quarters((Four){b0.r1_f32x16, b1.r1_f32x16, b2.r1_f32x16, b3.r1_f32x16}),
		sum_within_quarters((Four){b0.r2_f32x16, b1.r2_f32x16, b2.r2_f32x16, b3.r2_f32x16}),
		sum_within_quarters((Four){b0.r3_f32x16, b1.r3_f32x16, b2.r3_f32x16, b3.r3_f32x16})});
}

/* The first quarter of tile_4x4, bit-equal; the other quarters repeat it. */
static ANN_INLINE __m512
tile_1x4(const float *a, const float *const b[4], int dim)
{
	__m512 zero = _mm512_setzero_ps();
	Four sum = {zero, zero, zero, zero};
	int d = 0;

	for (; d + 16 <= dim; d += 16)
		add_products(&sum, load_four(b, d, 0xffff), _mm512_loadu_ps(a + d));
	if (d < dim)
	{
		__mmask16 mask = (__mmask16) first_lanes(dim - d);

		add_products(&sum, load_four(b, d, mask), _mm512_maskz_loadu_ps(mask, a + d));
	}
	return _mm512_broadcast_f32x4(sum_of_quarters_one(sum_within_quarters(sum)));
}

static ANN_INLINE __m512
tile_products(const AnnProductJob *job, const float *const a[4], int num_a, int first_b, int end_b)
{
	const float *b[4];

	ann_tile_rows(job->b, job->b_stride, first_b, end_b - first_b, b);
	return num_a == 1 ? tile_1x4(a[0], b, job->dim) : tile_4x4(a, b, job->dim);
}

/*
 * An incomplete tile is stored through memory, not with a mask: gcc 12 merges a masked store with
 * the extraction of a quarter into one vextractf32x4, which faults on masked-out elements.
 */
static void
run_products(const AnnProductJob *job, int first_a, int num_a, int first_b, int end_b)
{
	const float *a[4];

	ann_tile_rows(job->a, job->a_stride, first_a, num_a, a);
	for (int j = first_b; j < end_b; j += ANN_TILE_B)
	{
		__m512 product_f32x16 = tile_products(job, a, num_a, j, end_b);
		float *out = job->out + first_a * job->out_stride + j;

		if (num_a == TILE_A && end_b - j >= ANN_TILE_B)
		{
			_mm_storeu_ps(out, _mm512_castps512_ps128(product_f32x16));
			_mm_storeu_ps(out + job->out_stride, _mm512_extractf32x4_ps(product_f32x16, 1));
			_mm_storeu_ps(out + 2 * job->out_stride, _mm512_extractf32x4_ps(product_f32x16, 2));
			_mm_storeu_ps(out + 3 * job->out_stride, _mm512_extractf32x4_ps(product_f32x16, 3));
		}
		else
		{
			float products[TILE_A * ANN_TILE_B];

			_mm512_storeu_ps(products, product_f32x16);
			ann_tile_store(products, num_a, end_b - j, out, job->out_stride);
		}
	}
}

static void
ann_products_avx512(const float *a, size_t a_stride, int num_a, const float *b, size_t b_stride,
					int num_b, int dim, float *out, size_t out_stride)
{
	AnnProductJob job = {.a = a,
						 .a_stride = a_stride,
						 .num_a = num_a,
						 .b = b,
						 .b_stride = b_stride,
						 .num_b = num_b,
						 .dim = dim,
						 .out = out,
						 .out_stride = out_stride};

	ann_panel_walk(&job, TILE_A, run_products);
}

static void
run_nearest(const AnnProductJob *job, int first_a, int num_a, int first_b, int end_b)
{
	__m512 infinity_f32x16 = _mm512_set1_ps(INFINITY);
	__m512 best_f32x16 = infinity_f32x16;
	__m512i best_u32x16 = _mm512_setzero_si512();
	__m512i index_u32x16 = _mm512_add_epi32(_mm512_set1_epi32(first_b),
											_mm512_broadcast_i32x4(_mm_setr_epi32(0, 1, 2, 3)));
	const float *a[4];
	float scores[16];
	uint32_t indexes[16];

	ann_tile_rows(job->a, job->a_stride, first_a, num_a, a);
	for (int j = first_b; j < end_b; j += ANN_TILE_B)
	{
		__m512 product_f32x16 = tile_products(job, a, num_a, j, end_b);
		__mmask8 mask = (__mmask8) (first_lanes(end_b - j) & 0x0f);
		/* Columns past the end repeat the last one; an infinite bias keeps them out. */
		__m128 bias_f32x4 =
			_mm_mask_loadu_ps(_mm512_castps512_ps128(infinity_f32x16), mask, job->bias_b + j);
		__m512 score_f32x16 = _mm512_fnmadd_ps(_mm512_set1_ps(2.0f), product_f32x16,
											   _mm512_broadcast_f32x4(bias_f32x4));
		__mmask16 lower = _mm512_cmp_ps_mask(score_f32x16, best_f32x16, _CMP_LT_OQ);

		best_f32x16 = _mm512_mask_mov_ps(best_f32x16, lower, score_f32x16);
		best_u32x16 = _mm512_mask_mov_epi32(best_u32x16, lower, index_u32x16);
		index_u32x16 = _mm512_add_epi32(index_u32x16, _mm512_set1_epi32(ANN_TILE_B));
	}
	_mm512_storeu_ps(scores, best_f32x16);
	_mm512_storeu_si512(indexes, best_u32x16);
	ann_tile_keep_lowest(job, first_a, num_a, scores, indexes);
}

static void
ann_nearest_avx512(const float *a, size_t a_stride, int num_a, const float *b, size_t b_stride,
				   int num_b, const float *bias_b, int dim, uint32_t *best, float *best_score)
{
	AnnProductJob job = {.a = a,
						 .a_stride = a_stride,
						 .num_a = num_a,
						 .b = b,
						 .b_stride = b_stride,
						 .num_b = num_b,
						 .dim = dim,
						 .bias_b = bias_b,
						 .best = best,
						 .best_score = best_score};

	ann_panel_walk_nearest(&job, TILE_A, run_nearest);
}

/* Rows of node pages. */

static ANN_INLINE Pair
load_query(RowForm form, const float *query, uint32_t mask)
{
	__m512 low_f32x16 = _mm512_maskz_loadu_ps((__mmask16) mask, query);
	__m512 high_f32x16 = _mm512_maskz_loadu_ps((__mmask16) (mask >> 16), query + 16);
	__m512i even_u32x16 =
		_mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
	__m512i odd_u32x16 = _mm512_add_epi32(even_u32x16, _mm512_set1_epi32(1));

	if (form == ROWS_F32)
		return (Pair){low_f32x16, high_f32x16};
	ANN_KEEP(low_f32x16);
	ANN_KEEP(high_f32x16);
	return (Pair){_mm512_permutex2var_ps(low_f32x16, even_u32x16, high_f32x16),
				  _mm512_permutex2var_ps(low_f32x16, odd_u32x16, high_f32x16)};
}

/*
 * 32 elements of a row. A bf16 is the upper half of its float: taking the even and the odd ones
 * apart costs a shift and an AND, where widening in order costs two shuffles and two shifts; the
 * query, which all rows share, is permuted instead.
 */
static ANN_INLINE Pair
load_row(RowForm form, const void *row, int d, uint32_t mask)
{
	__m512i both_bf16x32;

	if (form == ROWS_F32)
	{
		const float *element = (const float *) row + d;

		return (Pair){_mm512_maskz_loadu_ps((__mmask16) mask, element),
					  _mm512_maskz_loadu_ps((__mmask16) (mask >> 16), element + 16)};
	}
	both_bf16x32 = _mm512_maskz_loadu_epi16(mask, (const uint16_t *) row + d);
	ANN_KEEP(both_bf16x32);
	return (Pair){
		_mm512_castsi512_ps(_mm512_slli_epi32(both_bf16x32, 16)),
		_mm512_castsi512_ps(_mm512_and_si512(both_bf16x32, _mm512_set1_epi32((int) 0xffff0000)))};
}

static ANN_INLINE void
add_pair(AnnTerm term, Pair *sum, Pair query, Pair row)
{
	sum->first_f32x16 = add_term(term, sum->first_f32x16, query.first_f32x16, row.first_f32x16);
	sum->second_f32x16 = add_term(term, sum->second_f32x16, query.second_f32x16, row.second_f32x16);
}

static ANN_INLINE __m512
both(Pair sum)
{
	return _mm512_add_ps(sum.first_f32x16, sum.second_f32x16);
}

/* One step of 32 elements, of which mask tells those that there are. */
static ANN_INLINE void
rows_step(AnnTerm term, RowForm form, const float *query, const char *rows, size_t stride_bytes,
		  int count, int d, uint32_t mask, Pair sums[4])
{
	Pair part = load_query(form, query + d, mask);

	add_pair(term, &sums[0], part, load_row(form, rows, d, mask));
	if (count == 1)
		return;
	add_pair(term, &sums[1], part, load_row(form, rows + stride_bytes, d, mask));
	add_pair(term, &sums[2], part, load_row(form, rows + 2 * stride_bytes, d, mask));
	add_pair(term, &sums[3], part, load_row(form, rows + 3 * stride_bytes, d, mask));
}

/* Adds the scores of count (1 or 4) rows to out. */
static ANN_INLINE void
rows_tile(AnnTerm term, RowForm form, const float *query, const char *rows, size_t stride_bytes,
		  int count, int dim, float *out)
{
	Pair zero = {_mm512_setzero_ps(), _mm512_setzero_ps()};
	Pair sums[4] = {zero, zero, zero, zero};
	__mmask8 out_mask = (__mmask8) first_lanes(count);
	__m128 scores_f32x4;
	int d = 0;

	for (; d + 32 <= dim; d += 32)
		rows_step(term, form, query, rows, stride_bytes, count, d, UINT32_MAX, sums);
	if (d < dim)
		rows_step(term, form, query, rows, stride_bytes, count, d, first_lanes(dim - d), sums);
	scores_f32x4 = sum_of_quarters_one(
		sum_within_quarters((Four){both(sums[0]), both(sums[1]), both(sums[2]), both(sums[3])}));
	_mm_mask_storeu_ps(out, out_mask, _mm_add_ps(_mm_maskz_loadu_ps(out_mask, out), scores_f32x4));
}

static ANN_INLINE void
rows_scores(AnnTerm term, RowForm form, const float *query, const void *rows, size_t stride_bytes,
			int num, int dim, float *out)
{
	const char *row = rows;
	int i = 0;

	for (; i + 4 <= num; i += 4)
		rows_tile(term, form, query, row + i * stride_bytes, stride_bytes, 4, dim, out + i);
	for (; i < num; i++)
		rows_tile(term, form, query, row + i * stride_bytes, stride_bytes, 1, dim, out + i);
}

static void
ann_l2_rows_bf16_avx512(const float *query, const void *rows, size_t stride_bytes, int num, int dim,
						float *out)
{
	rows_scores(ANN_TERM_L2, ROWS_BF16, query, rows, stride_bytes, num, dim, out);
}

static void
ann_ip_rows_bf16_avx512(const float *query, const void *rows, size_t stride_bytes, int num, int dim,
						float *out)
{
	rows_scores(ANN_TERM_IP, ROWS_BF16, query, rows, stride_bytes, num, dim, out);
}

static void
ann_l2_rows_f32_avx512(const float *query, const void *rows, size_t stride_bytes, int num, int dim,
					   float *out)
{
	rows_scores(ANN_TERM_L2, ROWS_F32, query, rows, stride_bytes, num, dim, out);
}

static void
ann_ip_rows_f32_avx512(const float *query, const void *rows, size_t stride_bytes, int num, int dim,
					   float *out)
{
	rows_scores(ANN_TERM_IP, ROWS_F32, query, rows, stride_bytes, num, dim, out);
}

ANN_TARGET_END

/*
 * Two tables of one name, which differ only in how codes are looked up and added and bits counted:
 * the results are equal bit for bit, so dispatch.c may offer either.
 */
#define AVX512_TABLE(form)                                                                         \
	{                                                                                              \
		.name = "avx512", ANN_PAIR_KERNELS(avx512), .bits_different = ann_bits_different_##form,   \
		.bits_common = ann_bits_common_##form, .products = ann_products_avx512,                    \
		.nearest = ann_nearest_avx512, .l2_rows_bf16 = ann_l2_rows_bf16_avx512,                    \
		.ip_rows_bf16 = ann_ip_rows_bf16_avx512, .l2_rows_f32 = ann_l2_rows_f32_avx512,            \
		.ip_rows_f32 = ann_ip_rows_f32_avx512, .query_table = ann_query_table_avx512,              \
		.encode = ann_encode_avx512, .encode_pairs = ann_encode_pairs_avx512,                      \
		.accumulate = ann_accumulate_##form, .bounds = ann_bounds_avx512,                          \
		.score = ann_score_##form,                                                                 \
	}

const AnnKernels ann_kernels_avx512 = AVX512_TABLE(avx512);
const AnnKernels ann_kernels_avx512_vbmi = AVX512_TABLE(avx512_vbmi);

#endif
