/*
 * kernels_neon.c
 *	  The kernels for NEON (any aarch64): matrix products and rows of node pages; the others
 *	  stand in files of their own (kernels_parts.h).
 *
 * NOTES
 *	  NEON has no masked loads: the last one to three elements of a row are loaded one by one into a
 *	  register of zeros, which add nothing to any of the sums here.
 *
 *	  Every sum of two rows runs in one fixed order that depends on dim only, never on where the row
 *	  stands in a tile, so equal rows get bit-equal scores and ties break by index.
 *
 *	  Register names carry the lanes: sum_f32x4.
 */
#include "core/kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>
#include <math.h>
#include <string.h>

#include "core/kernels_neon.h"
#include "core/kernels_panel.h"
#include "core/kernels_parts.h"

#define TILE_A 4

typedef enum RowForm
{
	ROWS_F32,
	ROWS_BF16,
} RowForm;

/* One value for each row of a tile of four. */
typedef struct Four
{
	float32x4_t r0_f32x4;
	float32x4_t r1_f32x4;
	float32x4_t r2_f32x4;
	float32x4_t r3_f32x4;
} Four;

static const Four four_zero;

/* Transposed reduction: lane k is the sum over the lanes of value k. */
static ANN_INLINE float32x4_t
sum_lanes_four(Four value)
{
	return vpaddq_f32(vpaddq_f32(value.r0_f32x4, value.r1_f32x4),
					  vpaddq_f32(value.r2_f32x4, value.r3_f32x4));
}

/* Matrix products: tiles of 4 rows of A by 4 of B, 16 sums of 4 lanes. */

static ANN_INLINE Four
load_four(const float *const rows[4], int d)
{
	return (Four){vld1q_f32(rows[0] + d), vld1q_f32(rows[1] + d), vld1q_f32(rows[2] + d),
				  vld1q_f32(rows[3] + d)};
}

static ANN_INLINE Four
load_four_end(const float *const rows[4], int d, int count)
{
	return (Four){load_end(rows[0] + d, count), load_end(rows[1] + d, count),
				  load_end(rows[2] + d, count), load_end(rows[3] + d, count)};
}

static ANN_INLINE void
add_products(Four *sum, float32x4_t a_f32x4, Four b)
{
	sum->r0_f32x4 = vfmaq_f32(sum->r0_f32x4, a_f32x4, b.r0_f32x4);
	sum->r1_f32x4 = vfmaq_f32(sum->r1_f32x4, a_f32x4, b.r1_f32x4);
	sum->r2_f32x4 = vfmaq_f32(sum->r2_f32x4, a_f32x4, b.r2_f32x4);
	sum->r3_f32x4 = vfmaq_f32(sum->r3_f32x4, a_f32x4, b.r3_f32x4);
}

/* Row i, lane j: <a_i, b_j>. */
static ANN_NOINLINE Four
tile_4x4(const float *const a[4], const float *const b[4], int dim)
{
	Four a0 = four_zero, a1 = four_zero, a2 = four_zero, a3 = four_zero;
	int d = 0;

	for (; d + 4 <= dim; d += 4)
	{
		Four columns = load_four(b, d);

		add_products(&a0, vld1q_f32(a[0] + d), columns);
		add_products(&a1, vld1q_f32(a[1] + d), columns);
		add_products(&a2, vld1q_f32(a[2] + d), columns);
		add_products(&a3, vld1q_f32(a[3] + d), columns);
	}
	if (d < dim)
	{
		Four columns = load_four_end(b, d, dim - d);
		Four rows = load_four_end(a, d, dim - d);

		add_products(&a0, rows.r0_f32x4, columns);
		add_products(&a1, rows.r1_f32x4, columns);
		add_products(&a2, rows.r2_f32x4, columns);
		add_products(&a3, rows.r3_f32x4, columns);
	}
	return (Four){sum_lanes_four(a0), sum_lanes_four(a1), sum_lanes_four(a2), sum_lanes_four(a3)};
}

/* The first row of tile_4x4, bit-equal; the other rows repeat it. */
static ANN_INLINE Four
tile_1x4(const float *a, const float *const b[4], int dim)
{
	Four sum = four_zero;
	float32x4_t product_f32x4;
	int d = 0;

	for (; d + 4 <= dim; d += 4)
		add_products(&sum, vld1q_f32(a + d), load_four(b, d));
	if (d < dim)
		add_products(&sum, load_end(a + d, dim - d), load_four_end(b, d, dim - d));
	product_f32x4 = sum_lanes_four(sum);
	return (Four){product_f32x4, product_f32x4, product_f32x4, product_f32x4};
}

static ANN_INLINE Four
tile_products(const AnnProductJob *job, const float *const a[4], int num_a, int first_b, int end_b)
{
	const float *b[4];

	ann_tile_rows(job->b, job->b_stride, first_b, end_b - first_b, b);
	return num_a == 1 ? tile_1x4(a[0], b, job->dim) : tile_4x4(a, b, job->dim);
}

static void
run_products(const AnnProductJob *job, int first_a, int num_a, int first_b, int end_b)
{
	const float *a[4];

	ann_tile_rows(job->a, job->a_stride, first_a, num_a, a);
	for (int j = first_b; j < end_b; j += ANN_TILE_B)
	{
		Four tile = tile_products(job, a, num_a, j, end_b);
		float *out = job->out + first_a * job->out_stride + j;

		if (num_a == TILE_A && end_b - j >= ANN_TILE_B)
		{
			vst1q_f32(out, tile.r0_f32x4);
			vst1q_f32(out + job->out_stride, tile.r1_f32x4);
			vst1q_f32(out + 2 * job->out_stride, tile.r2_f32x4);
			vst1q_f32(out + 3 * job->out_stride, tile.r3_f32x4);
		}
		else
		{
			float products[TILE_A * ANN_TILE_B];

			vst1q_f32(products, tile.r0_f32x4);
			vst1q_f32(products + ANN_TILE_B, tile.r1_f32x4);
			vst1q_f32(products + 2 * ANN_TILE_B, tile.r2_f32x4);
			vst1q_f32(products + 3 * ANN_TILE_B, tile.r3_f32x4);
			ann_tile_store(products, num_a, end_b - j, out, job->out_stride);
		}
	}
}

static void
ann_products_neon(const float *a, size_t a_stride, int num_a, const float *b, size_t b_stride,
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
	float32x4_t score_f32x4;
	uint32x4_t index_u32x4;
} Lowest;

static ANN_INLINE void
keep_lower(Lowest *lowest, float32x4_t product_f32x4, float32x4_t bias_f32x4,
		   uint32x4_t index_u32x4)
{
	float32x4_t score_f32x4 = vfmsq_f32(bias_f32x4, vdupq_n_f32(2.0f), product_f32x4);
	uint32x4_t lower = vcltq_f32(score_f32x4, lowest->score_f32x4); /* false for NaN */

	lowest->score_f32x4 = vbslq_f32(lower, score_f32x4, lowest->score_f32x4);
	lowest->index_u32x4 = vbslq_u32(lower, index_u32x4, lowest->index_u32x4);
}

/* Columns first_b + j of a tile; those past end_b get an infinite bias, which keeps them out. */
static ANN_INLINE float32x4_t
load_bias(const float *bias_b, int first_b, int end_b)
{
	float bias[ANN_TILE_B];

	if (end_b - first_b >= ANN_TILE_B)
		return vld1q_f32(bias_b + first_b);
	for (int j = 0; j < ANN_TILE_B; j++)
		bias[j] = first_b + j < end_b ? bias_b[first_b + j] : INFINITY;
	return vld1q_f32(bias);
}

static void
run_nearest(const AnnProductJob *job, int first_a, int num_a, int first_b, int end_b)
{
	static const uint32_t lanes[4] = {0, 1, 2, 3};
	Lowest lowest0 = {vdupq_n_f32(INFINITY), vdupq_n_u32(0)};
	Lowest lowest1 = lowest0, lowest2 = lowest0, lowest3 = lowest0;
	uint32x4_t index_u32x4 = vaddq_u32(vdupq_n_u32((uint32_t) first_b), vld1q_u32(lanes));
	const float *a[4];
	float scores[TILE_A * ANN_TILE_B];
	uint32_t indexes[TILE_A * ANN_TILE_B];

	ann_tile_rows(job->a, job->a_stride, first_a, num_a, a);
	for (int j = first_b; j < end_b; j += ANN_TILE_B)
	{
		Four tile = tile_products(job, a, num_a, j, end_b);
		float32x4_t bias_f32x4 = load_bias(job->bias_b, j, end_b);

		keep_lower(&lowest0, tile.r0_f32x4, bias_f32x4, index_u32x4);
		keep_lower(&lowest1, tile.r1_f32x4, bias_f32x4, index_u32x4);
		keep_lower(&lowest2, tile.r2_f32x4, bias_f32x4, index_u32x4);
		keep_lower(&lowest3, tile.r3_f32x4, bias_f32x4, index_u32x4);
		index_u32x4 = vaddq_u32(index_u32x4, vdupq_n_u32(ANN_TILE_B));
	}
	vst1q_f32(scores, lowest0.score_f32x4);
	vst1q_f32(scores + ANN_TILE_B, lowest1.score_f32x4);
	vst1q_f32(scores + 2 * ANN_TILE_B, lowest2.score_f32x4);
	vst1q_f32(scores + 3 * ANN_TILE_B, lowest3.score_f32x4);
	vst1q_u32(indexes, lowest0.index_u32x4);
	vst1q_u32(indexes + ANN_TILE_B, lowest1.index_u32x4);
	vst1q_u32(indexes + 2 * ANN_TILE_B, lowest2.index_u32x4);
	vst1q_u32(indexes + 3 * ANN_TILE_B, lowest3.index_u32x4);
	ann_tile_keep_lowest(job, first_a, num_a, scores, indexes);
}

static void
ann_nearest_neon(const float *a, size_t a_stride, int num_a, const float *b, size_t b_stride,
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

/* 8 elements of a row. A bf16 is the upper half of its float. */
typedef struct Pair
{
	float32x4_t low_f32x4;
	float32x4_t high_f32x4;
} Pair;

static const Pair pair_zero;

static ANN_INLINE Pair
load_row(RowForm form, const void *row, int d)
{
	uint16x8_t both_bf16x8;

	if (form == ROWS_F32)
		return (Pair){vld1q_f32((const float *) row + d), vld1q_f32((const float *) row + d + 4)};
	both_bf16x8 = vld1q_u16((const uint16_t *) row + d);
	return (Pair){vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(both_bf16x8), 16)),
				  vreinterpretq_f32_u32(vshll_high_n_u16(both_bf16x8, 16))};
}

/* The last count < 8 elements of a row, with zeros behind them. */
static ANN_INLINE Pair
load_row_end(RowForm form, const void *row, int d, int count)
{
	if (form == ROWS_F32)
	{
		float buffer[8] = {0};

		memcpy(buffer, (const float *) row + d, count * sizeof(float));
		return load_row(form, buffer, 0);
	}
	else
	{
		uint16_t buffer[8] = {0};

		memcpy(buffer, (const uint16_t *) row + d, count * sizeof(uint16_t));
		return load_row(form, buffer, 0);
	}
}

static ANN_INLINE void
add_pair(AnnTerm term, Pair *sum, Pair query, Pair row)
{
	sum->low_f32x4 = add_term(term, sum->low_f32x4, query.low_f32x4, row.low_f32x4);
	sum->high_f32x4 = add_term(term, sum->high_f32x4, query.high_f32x4, row.high_f32x4);
}

static ANN_INLINE float32x4_t
both(Pair sum)
{
	return vaddq_f32(sum.low_f32x4, sum.high_f32x4);
}

/* The scores of count (1 or 4) rows, in the first lanes. */
static ANN_INLINE float32x4_t
rows_tile(AnnTerm term, RowForm form, const float *query, const char *rows, size_t stride_bytes,
		  int count, int dim)
{
	Pair sum0 = pair_zero, sum1 = pair_zero, sum2 = pair_zero, sum3 = pair_zero;
	int d = 0;

	for (; d + 8 <= dim; d += 8)
	{
		Pair part = load_row(ROWS_F32, query, d);

		add_pair(term, &sum0, part, load_row(form, rows, d));
		if (count == 1)
			continue;
		add_pair(term, &sum1, part, load_row(form, rows + stride_bytes, d));
		add_pair(term, &sum2, part, load_row(form, rows + 2 * stride_bytes, d));
		add_pair(term, &sum3, part, load_row(form, rows + 3 * stride_bytes, d));
	}
	if (d < dim)
	{
		int left = dim - d;
		Pair part = load_row_end(ROWS_F32, query, d, left);

		add_pair(term, &sum0, part, load_row_end(form, rows, d, left));
		if (count > 1)
		{
			add_pair(term, &sum1, part, load_row_end(form, rows + stride_bytes, d, left));
			add_pair(term, &sum2, part, load_row_end(form, rows + 2 * stride_bytes, d, left));
			add_pair(term, &sum3, part, load_row_end(form, rows + 3 * stride_bytes, d, left));
		}
	}
	return sum_lanes_four((Four){both(sum0), both(sum1), both(sum2), both(sum3)});
}

static ANN_INLINE void
rows_scores(AnnTerm term, RowForm form, const float *query, const void *rows, size_t stride_bytes,
			int num, int dim, float *out)
{
	const char *row = rows;
	int i = 0;

	for (; i + 4 <= num; i += 4)
	{
		float32x4_t scores_f32x4 =
			rows_tile(term, form, query, row + i * stride_bytes, stride_bytes, 4, dim);

		vst1q_f32(out + i, vaddq_f32(vld1q_f32(out + i), scores_f32x4));
	}
	for (; i < num; i++)
		out[i] += vgetq_lane_f32(
			rows_tile(term, form, query, row + i * stride_bytes, stride_bytes, 1, dim), 0);
}

static void
ann_l2_rows_bf16_neon(const float *query, const void *rows, size_t stride_bytes, int num, int dim,
					  float *out)
{
	rows_scores(ANN_TERM_L2, ROWS_BF16, query, rows, stride_bytes, num, dim, out);
}

static void
ann_ip_rows_bf16_neon(const float *query, const void *rows, size_t stride_bytes, int num, int dim,
					  float *out)
{
	rows_scores(ANN_TERM_IP, ROWS_BF16, query, rows, stride_bytes, num, dim, out);
}

static void
ann_l2_rows_f32_neon(const float *query, const void *rows, size_t stride_bytes, int num, int dim,
					 float *out)
{
	rows_scores(ANN_TERM_L2, ROWS_F32, query, rows, stride_bytes, num, dim, out);
}

static void
ann_ip_rows_f32_neon(const float *query, const void *rows, size_t stride_bytes, int num, int dim,
					 float *out)
{
	rows_scores(ANN_TERM_IP, ROWS_F32, query, rows, stride_bytes, num, dim, out);
}

const AnnKernels ann_kernels_neon = {
	.name = "neon",
	ANN_PAIR_KERNELS(neon),
	.bits_different = ann_bits_different_neon,
	.bits_common = ann_bits_common_neon,
	.products = ann_products_neon,
	.nearest = ann_nearest_neon,
	.l2_rows_bf16 = ann_l2_rows_bf16_neon,
	.ip_rows_bf16 = ann_ip_rows_bf16_neon,
	.l2_rows_f32 = ann_l2_rows_f32_neon,
	.ip_rows_f32 = ann_ip_rows_f32_neon,
	.query_table = ann_query_table_neon,
	.encode = ann_encode_neon,
	.encode_pairs = ann_encode_pairs_neon,
	.accumulate = ann_accumulate_neon,
	.bounds = ann_bounds_neon,
	.score = ann_score_neon,
};

#endif
