/*
 * kernels_avx2.c
 *	  The kernels for AVX2 with FMA (Haswell, Zen and later): matrix products and rows of node
 *	  pages; the others stand in files of their own (kernels_parts.h).
 *
 * NOTES
 *	  Ends of float rows that do not fill a register are loaded with a mask: a masked-out element is
 *	  neither read nor faulted on, and is zero, which adds nothing to any of the sums here. For
 *	  16-bit elements AVX2 has no masked load; their ends go through a buffer of zeros.
 *
 *	  Every sum of two rows runs in one fixed order that depends on dim only, never on where the row
 *	  stands in a tile, so equal rows get bit-equal scores and ties break by index.
 *
 *	  Register names carry the lanes: sum_f32x8. A "half" is one of a register's two 128-bit lanes.
 */
#include "core/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "core/kernels_avx2.h"
#include "core/kernels_panel.h"
#include "core/kernels_parts.h"

ANN_TARGET_BEGIN(ANN_ISA_AVX2)

/* 3 x 4 sums, 3 rows of A and one of B fill the 16 registers. */
#define TILE_A 3

typedef enum RowForm
{
	ROWS_F32,
	ROWS_BF16,
} RowForm;

/* 16 elements: the low and high halves of f32 rows, the even and odd elements of bf16 rows. */
typedef struct Pair
{
	__m256 first_f32x8;
	__m256 second_f32x8;
} Pair;

/* One value for each row of a tile of A. */
typedef struct Three
{
	__m256 r0_f32x8;
	__m256 r1_f32x8;
	__m256 r2_f32x8;
} Three;

/* Transposed reduction: lane k is the sum over the lanes of value k. */
static ANN_INLINE __m128
sum_lanes_four(__m256 v0_f32x8, __m256 v1_f32x8, __m256 v2_f32x8, __m256 v3_f32x8)
{
	__m256 v01_f32x8 = _mm256_add_ps(_mm256_unpacklo_ps(v0_f32x8, v1_f32x8),
									 _mm256_unpackhi_ps(v0_f32x8, v1_f32x8));
	__m256 v23_f32x8 = _mm256_add_ps(_mm256_unpacklo_ps(v2_f32x8, v3_f32x8),
									 _mm256_unpackhi_ps(v2_f32x8, v3_f32x8));
	__m256 halves_f32x8 = _mm256_add_ps(_mm256_shuffle_ps(v01_f32x8, v23_f32x8, 0x44),
										_mm256_shuffle_ps(v01_f32x8, v23_f32x8, 0xee));

	return _mm_add_ps(_mm256_castps256_ps128(halves_f32x8), _mm256_extractf128_ps(halves_f32x8, 1));
}

/* Matrix products: tiles of 3 rows of A by 4 of B, 12 sums of 8 lanes. */

typedef struct TileProducts
{
	__m128 r0_f32x4; /* <a_0, b_0 .. b_3> */
	__m128 r1_f32x4;
	__m128 r2_f32x4;
} TileProducts;

static ANN_INLINE void
add_products(Three *sum, Three a, __m256 b_f32x8)
{
	sum->r0_f32x8 = _mm256_fmadd_ps(a.r0_f32x8, b_f32x8, sum->r0_f32x8);
	sum->r1_f32x8 = _mm256_fmadd_ps(a.r1_f32x8, b_f32x8, sum->r1_f32x8);
	sum->r2_f32x8 = _mm256_fmadd_ps(a.r2_f32x8, b_f32x8, sum->r2_f32x8);
}

static ANN_NOINLINE TileProducts
tile_3x4(const float *const a[4], const float *const b[4], int dim)
{
	__m256 zero = _mm256_setzero_ps();
	Three b0 = {zero, zero, zero}; /* b0.r2: products of a_2 with b_0 */
	Three b1 = b0, b2 = b0, b3 = b0;
	int d = 0;

	for (; d + 8 <= dim; d += 8)
	{
		Three rows = {_mm256_loadu_ps(a[0] + d), _mm256_loadu_ps(a[1] + d),
					  _mm256_loadu_ps(a[2] + d)};

		add_products(&b0, rows, _mm256_loadu_ps(b[0] + d));
		add_products(&b1, rows, _mm256_loadu_ps(b[1] + d));
		add_products(&b2, rows, _mm256_loadu_ps(b[2] + d));
		add_products(&b3, rows, _mm256_loadu_ps(b[3] + d));
	}
	if (d < dim)
	{
		__m256i mask = first_lanes(dim - d);
		Three rows = {_mm256_maskload_ps(a[0] + d, mask), _mm256_maskload_ps(a[1] + d, mask),
					  _mm256_maskload_ps(a[2] + d, mask)};

		add_products(&b0, rows, _mm256_maskload_ps(b[0] + d, mask));
		add_products(&b1, rows, _mm256_maskload_ps(b[1] + d, mask));
		add_products(&b2, rows, _mm256_maskload_ps(b[2] + d, mask));
		add_products(&b3, rows, _mm256_maskload_ps(b[3] + d, mask));
	}
	return (TileProducts){sum_lanes_four(b0.r0_f32x8, b1.r0_f32x8, b2.r0_f32x8, b3.r0_f32x8),
						  sum_lanes_four(b0.r1_f32x8, b1.r1_f32x8, b2.r1_f32x8, b3.r1_f32x8),
						  sum_lanes_four(b0.r2_f32x8, b1.r2_f32x8, b2.r2_f32x8, b3.r2_f32x8)};
}

/* The first row of tile_3x4, bit-equal; the other rows repeat it. */
static ANN_INLINE TileProducts
tile_1x4(const float *a, const float *const b[4], int dim)
{
	__m256 b0_f32x8 = _mm256_setzero_ps();
	__m256 b1_f32x8 = b0_f32x8;
	__m256 b2_f32x8 = b0_f32x8;
	__m256 b3_f32x8 = b0_f32x8;
	__m128 sums_f32x4;
	int d = 0;

	for (; d + 8 <= dim; d += 8)
	{
		__m256 a_f32x8 = _mm256_loadu_ps(a + d);

		b0_f32x8 = _mm256_fmadd_ps(a_f32x8, _mm256_loadu_ps(b[0] + d), b0_f32x8);
		b1_f32x8 = _mm256_fmadd_ps(a_f32x8, _mm256_loadu_ps(b[1] + d), b1_f32x8);
		b2_f32x8 = _mm256_fmadd_ps(a_f32x8, _mm256_loadu_ps(b[2] + d), b2_f32x8);
		b3_f32x8 = _mm256_fmadd_ps(a_f32x8, _mm256_loadu_ps(b[3] + d), b3_f32x8);
	}
	if (d < dim)
	{
		__m256i mask = first_lanes(dim - d);
		__m256 a_f32x8 = _mm256_maskload_ps(a + d, mask);

		b0_f32x8 = _mm256_fmadd_ps(a_f32x8, _mm256_maskload_ps(b[0] + d, mask), b0_f32x8);
		b1_f32x8 = _mm256_fmadd_ps(a_f32x8, _mm256_maskload_ps(b[1] + d, mask), b1_f32x8);
		b2_f32x8 = _mm256_fmadd_ps(a_f32x8, _mm256_maskload_ps(b[2] + d, mask), b2_f32x8);
		b3_f32x8 = _mm256_fmadd_ps(a_f32x8, _mm256_maskload_ps(b[3] + d, mask), b3_f32x8);
	}
	sums_f32x4 = sum_lanes_four(b0_f32x8, b1_f32x8, b2_f32x8, b3_f32x8);
	return (TileProducts){sums_f32x4, sums_f32x4, sums_f32x4};
}

static ANN_INLINE TileProducts
tile_products(const AnnProductJob *job, const float *const a[4], int num_a, int first_b, int end_b)
{
	const float *b[4];

	ann_tile_rows(job->b, job->b_stride, first_b, end_b - first_b, b);
	return num_a == 1 ? tile_1x4(a[0], b, job->dim) : tile_3x4(a, b, job->dim);
}

static void
run_products(const AnnProductJob *job, int first_a, int num_a, int first_b, int end_b)
{
	const float *a[4];

	ann_tile_rows(job->a, job->a_stride, first_a, num_a, a);
	for (int j = first_b; j < end_b; j += ANN_TILE_B)
	{
		TileProducts tile = tile_products(job, a, num_a, j, end_b);
		float *out = job->out + first_a * job->out_stride + j;

		if (num_a == TILE_A && end_b - j >= ANN_TILE_B)
		{
			_mm_storeu_ps(out, tile.r0_f32x4);
			_mm_storeu_ps(out + job->out_stride, tile.r1_f32x4);
			_mm_storeu_ps(out + 2 * job->out_stride, tile.r2_f32x4);
		}
		else
		{
			float products[TILE_A * ANN_TILE_B];

			_mm_storeu_ps(products, tile.r0_f32x4);
			_mm_storeu_ps(products + ANN_TILE_B, tile.r1_f32x4);
			_mm_storeu_ps(products + 2 * ANN_TILE_B, tile.r2_f32x4);
			ann_tile_store(products, num_a, end_b - j, out, job->out_stride);
		}
	}
}

static void
ann_products_avx2(const float *a, size_t a_stride, int num_a, const float *b, size_t b_stride,
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

/* The lowest scores of one row of A, in each of four columns, and their indexes. */
typedef struct Lowest
{
	__m128 score_f32x4;
	__m128i index_u32x4;
} Lowest;

static ANN_INLINE void
keep_lower(Lowest *lowest, __m128 product_f32x4, __m128 bias_f32x4, __m128i index_u32x4)
{
	__m128 score_f32x4 = _mm_fnmadd_ps(_mm_set1_ps(2.0f), product_f32x4, bias_f32x4);
	__m128 lower = _mm_cmplt_ps(score_f32x4, lowest->score_f32x4); /* false for NaN */

	lowest->score_f32x4 = _mm_blendv_ps(lowest->score_f32x4, score_f32x4, lower);
	lowest->index_u32x4 =
		_mm_blendv_epi8(lowest->index_u32x4, index_u32x4, _mm_castps_si128(lower));
}

/* Columns first_b + j of a tile; those past end_b get an infinite bias, which keeps them out. */
static ANN_INLINE __m128
load_bias(const float *bias_b, int first_b, int end_b)
{
	__m128i inside = _mm_cmpgt_epi32(_mm_set1_epi32(end_b - first_b), _mm_setr_epi32(0, 1, 2, 3));

	return _mm_blendv_ps(_mm_set1_ps(INFINITY), _mm_maskload_ps(bias_b + first_b, inside),
						 _mm_castsi128_ps(inside));
}

static void
run_nearest(const AnnProductJob *job, int first_a, int num_a, int first_b, int end_b)
{
	Lowest lowest0 = {_mm_set1_ps(INFINITY), _mm_setzero_si128()};
	Lowest lowest1 = lowest0;
	Lowest lowest2 = lowest0;
	__m128i index_u32x4 = _mm_add_epi32(_mm_set1_epi32(first_b), _mm_setr_epi32(0, 1, 2, 3));
	const float *a[4];
	float scores[TILE_A * ANN_TILE_B];
	uint32_t indexes[TILE_A * ANN_TILE_B];

	ann_tile_rows(job->a, job->a_stride, first_a, num_a, a);
	for (int j = first_b; j < end_b; j += ANN_TILE_B)
	{
		TileProducts tile = tile_products(job, a, num_a, j, end_b);
		__m128 bias_f32x4 = load_bias(job->bias_b, j, end_b);

		keep_lower(&lowest0, tile.r0_f32x4, bias_f32x4, index_u32x4);
		keep_lower(&lowest1, tile.r1_f32x4, bias_f32x4, index_u32x4);
		keep_lower(&lowest2, tile.r2_f32x4, bias_f32x4, index_u32x4);
		index_u32x4 = _mm_add_epi32(index_u32x4, _mm_set1_epi32(ANN_TILE_B));
	}
	_mm_storeu_ps(scores, lowest0.score_f32x4);
	_mm_storeu_ps(scores + ANN_TILE_B, lowest1.score_f32x4);
	_mm_storeu_ps(scores + 2 * ANN_TILE_B, lowest2.score_f32x4);
	_mm_storeu_si128((__m128i *) indexes, lowest0.index_u32x4);
	_mm_storeu_si128((__m128i *) (indexes + ANN_TILE_B), lowest1.index_u32x4);
	_mm_storeu_si128((__m128i *) (indexes + 2 * ANN_TILE_B), lowest2.index_u32x4);
	ann_tile_keep_lowest(job, first_a, num_a, scores, indexes);
}

static void
ann_nearest_avx2(const float *a, size_t a_stride, int num_a, const float *b, size_t b_stride,
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

/* bf16: the elements in the order that load_row gives them. */
static ANN_INLINE Pair
load_query(RowForm form, const float *query)
{
	__m256 outer_f32x8; /* elements 0-3, 8-11 */
	__m256 inner_f32x8; /* elements 4-7, 12-15 */

	if (form == ROWS_F32)
		return (Pair){_mm256_loadu_ps(query), _mm256_loadu_ps(query + 8)};
	outer_f32x8 = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(query)),
									   _mm_loadu_ps(query + 8), 1);
	inner_f32x8 = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(query + 4)),
									   _mm_loadu_ps(query + 12), 1);
	return (Pair){_mm256_shuffle_ps(outer_f32x8, inner_f32x8, 0x88),
				  _mm256_shuffle_ps(outer_f32x8, inner_f32x8, 0xdd)};
}

/*
 * 16 elements of a row. A bf16 is the upper half of its float: taking the even and the odd ones
 * apart costs a shift and an AND, where widening in order costs two shuffles and two shifts; the
 * query, which all rows share, is permuted instead.
 */
static ANN_INLINE Pair
load_row(RowForm form, const void *row, int d)
{
	__m256i both_bf16x16;

	if (form == ROWS_F32)
		return (Pair){_mm256_loadu_ps((const float *) row + d),
					  _mm256_loadu_ps((const float *) row + d + 8)};
	both_bf16x16 = _mm256_loadu_si256((const __m256i *) ((const uint16_t *) row + d));
	ANN_KEEP(both_bf16x16);
	return (Pair){
		_mm256_castsi256_ps(_mm256_slli_epi32(both_bf16x16, 16)),
		_mm256_castsi256_ps(_mm256_and_si256(both_bf16x16, _mm256_set1_epi32((int) 0xffff0000)))};
}

/* The last count < 16 elements of a row, with zeros behind them. */
static ANN_INLINE Pair
load_row_end(RowForm form, const void *row, int d, int count)
{
	size_t element = form == ROWS_F32 ? sizeof(float) : sizeof(uint16_t);
	float buffer[16] = {0};

	memcpy(buffer, (const char *) row + d * element, count * element);
	return load_row(form, buffer, 0);
}

static ANN_INLINE void
add_pair(AnnTerm term, Pair *sum, Pair query, Pair row)
{
	sum->first_f32x8 = add_term(term, sum->first_f32x8, query.first_f32x8, row.first_f32x8);
	sum->second_f32x8 = add_term(term, sum->second_f32x8, query.second_f32x8, row.second_f32x8);
}

static ANN_INLINE __m256
both(Pair sum)
{
	return _mm256_add_ps(sum.first_f32x8, sum.second_f32x8);
}

/* The scores of count (1 or 4) rows, in the first lanes. */
static ANN_INLINE __m128
rows_tile(AnnTerm term, RowForm form, const float *query, const char *rows, size_t stride_bytes,
		  int count, int dim)
{
	Pair zero = {_mm256_setzero_ps(), _mm256_setzero_ps()};
	Pair sum0 = zero, sum1 = zero, sum2 = zero, sum3 = zero;
	int d = 0;

	for (; d + 16 <= dim; d += 16)
	{
		Pair part = load_query(form, query + d);

		add_pair(term, &sum0, part, load_row(form, rows, d));
		if (count == 1)
			continue;
		add_pair(term, &sum1, part, load_row(form, rows + stride_bytes, d));
		add_pair(term, &sum2, part, load_row(form, rows + 2 * stride_bytes, d));
		add_pair(term, &sum3, part, load_row(form, rows + 3 * stride_bytes, d));
	}
	if (d < dim)
	{
		float end[16] = {0};
		Pair part;
		int left = dim - d;

		memcpy(end, query + d, left * sizeof(float));
		part = load_query(form, end);
		add_pair(term, &sum0, part, load_row_end(form, rows, d, left));
		if (count > 1)
		{
			add_pair(term, &sum1, part, load_row_end(form, rows + stride_bytes, d, left));
			add_pair(term, &sum2, part, load_row_end(form, rows + 2 * stride_bytes, d, left));
			add_pair(term, &sum3, part, load_row_end(form, rows + 3 * stride_bytes, d, left));
		}
	}
	return sum_lanes_four(both(sum0), both(sum1), both(sum2), both(sum3));
}

static ANN_INLINE void
rows_scores(AnnTerm term, RowForm form, const float *query, const void *rows, size_t stride_bytes,
			int num, int dim, float *out)
{
	const char *row = rows;
	int i = 0;

	for (; i + 4 <= num; i += 4)
	{
		__m128 scores_f32x4 =
			rows_tile(term, form, query, row + i * stride_bytes, stride_bytes, 4, dim);

		_mm_storeu_ps(out + i, _mm_add_ps(_mm_loadu_ps(out + i), scores_f32x4));
	}
	for (; i < num; i++)
		out[i] += _mm_cvtss_f32(
			rows_tile(term, form, query, row + i * stride_bytes, stride_bytes, 1, dim));
}

static void
ann_l2_rows_bf16_avx2(const float *query, const void *rows, size_t stride_bytes, int num, int dim,
					  float *out)
{
	rows_scores(ANN_TERM_L2, ROWS_BF16, query, rows, stride_bytes, num, dim, out);
}

static void
ann_ip_rows_bf16_avx2(const float *query, const void *rows, size_t stride_bytes, int num, int dim,
					  float *out)
{
	rows_scores(ANN_TERM_IP, ROWS_BF16, query, rows, stride_bytes, num, dim, out);
}

static void
ann_l2_rows_f32_avx2(const float *query, const void *rows, size_t stride_bytes, int num, int dim,
					 float *out)
{
	rows_scores(ANN_TERM_L2, ROWS_F32, query, rows, stride_bytes, num, dim, out);
}

static void
ann_ip_rows_f32_avx2(const float *query, const void *rows, size_t stride_bytes, int num, int dim,
					 float *out)
{
	rows_scores(ANN_TERM_IP, ROWS_F32, query, rows, stride_bytes, num, dim, out);
}

ANN_TARGET_END

const AnnKernels ann_kernels_avx2 = {
	.name = "avx2",
	ANN_PAIR_KERNELS(avx2),
	.bits_different = ann_bits_different_avx2,
	.bits_common = ann_bits_common_avx2,
	.products = ann_products_avx2,
	.nearest = ann_nearest_avx2,
	.l2_rows_bf16 = ann_l2_rows_bf16_avx2,
	.ip_rows_bf16 = ann_ip_rows_bf16_avx2,
	.l2_rows_f32 = ann_l2_rows_f32_avx2,
	.ip_rows_f32 = ann_ip_rows_f32_avx2,
	.query_table = ann_query_table_avx2,
	.encode = ann_encode_avx2,
	.encode_pairs = ann_encode_pairs_avx2,
	.accumulate = ann_accumulate_avx2,
	.bounds = ann_bounds_avx2,
	.score = ann_score_avx2,
};

#endif
