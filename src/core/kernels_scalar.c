/*
 * kernels_scalar.c
 *	  The kernels in plain C: the reference semantics, and the variant for any other machine. Those
 *	  of two vectors stand in kernels_scalar_pairs.c.
 *
 * NOTES
 *	  Everything but the partial sums (kernels_scalar.h) is as plain as it can be: the other
 *	  variants are tested against this file and against double precision.
 */
#include "core/kernels.h"

#include <math.h>

#include "core/bf16.h"
#include "core/encode_pairs.h"
#include "core/kernels_scalar.h"

static void
ann_products_scalar(const float *a, size_t a_stride, int num_a, const float *b, size_t b_stride,
					int num_b, int dim, float *out, size_t out_stride)
{
	for (int i = 0; i < num_a; i++)
		for (int j = 0; j < num_b; j++)
			out[i * out_stride + j] =
				ann_inner_product_scalar(a + i * a_stride, b + j * b_stride, dim);
}

static void
ann_nearest_scalar(const float *a, size_t a_stride, int num_a, const float *b, size_t b_stride,
				   int num_b, const float *bias_b, int dim, uint32_t *best, float *best_score)
{
	for (int i = 0; i < num_a; i++)
	{
		best[i] = 0;
		best_score[i] = INFINITY;
		for (int j = 0; j < num_b; j++)
		{
			float product = ann_inner_product_scalar(a + i * a_stride, b + j * b_stride, dim);
			float score = bias_b[j] - 2.0f * product;

			if (score < best_score[i])
			{
				best[i] = (uint32_t) j;
				best_score[i] = score;
			}
		}
	}
}

static void
ann_l2_rows_bf16_scalar(const float *query, const void *rows, size_t stride_bytes, int num, int dim,
						float *out)
{
	for (int i = 0; i < num; i++)
	{
		const uint16_t *row = (const uint16_t *) ((const char *) rows + i * stride_bytes);
		float sum[LANES] = {0};
		int d = 0;

		for (; d + LANES <= dim; d += LANES)
			for (int lane = 0; lane < LANES; lane++)
			{
				float difference = query[d + lane] - ann_bf16_to_float(row[d + lane]);

				sum[lane] += difference * difference;
			}
		for (; d < dim; d++)
		{
			float difference = query[d] - ann_bf16_to_float(row[d]);

			sum[d % LANES] += difference * difference;
		}
		out[i] += lanes_sum(sum);
	}
}

static void
ann_ip_rows_bf16_scalar(const float *query, const void *rows, size_t stride_bytes, int num, int dim,
						float *out)
{
	for (int i = 0; i < num; i++)
	{
		const uint16_t *row = (const uint16_t *) ((const char *) rows + i * stride_bytes);
		float sum[LANES] = {0};
		int d = 0;

		for (; d + LANES <= dim; d += LANES)
			for (int lane = 0; lane < LANES; lane++)
				sum[lane] += query[d + lane] * ann_bf16_to_float(row[d + lane]);
		for (; d < dim; d++)
			sum[d % LANES] += query[d] * ann_bf16_to_float(row[d]);
		out[i] += lanes_sum(sum);
	}
}

static void
ann_l2_rows_f32_scalar(const float *query, const void *rows, size_t stride_bytes, int num, int dim,
					   float *out)
{
	for (int i = 0; i < num; i++)
	{
		const float *row = (const float *) ((const char *) rows + i * stride_bytes);

		out[i] += ann_l2_squared_scalar(query, row, dim);
	}
}

static void
ann_ip_rows_f32_scalar(const float *query, const void *rows, size_t stride_bytes, int num, int dim,
					   float *out)
{
	for (int i = 0; i < num; i++)
	{
		const float *row = (const float *) ((const char *) rows + i * stride_bytes);

		out[i] += ann_inner_product_scalar(query, row, dim);
	}
}

static void
ann_query_table_scalar(const float *query, const float *codebook, int num_blocks, int width,
					   float *out)
{
	for (int m = 0; m < num_blocks; m++)
	{
		float sum[ANN_CODEWORDS] = {0};

		for (int d = 0; d < width; d++)
		{
			size_t element = (size_t) m * width + d;

			for (int c = 0; c < ANN_CODEWORDS; c++)
				sum[c] += query[element] * codebook[element * ANN_CODEWORDS + c];
		}
		for (int c = 0; c < ANN_CODEWORDS; c++)
			out[(size_t) m * ANN_CODEWORDS + c] = sum[c];
	}
}

static void
ann_encode_scalar(const float *table, const float *bias, int num_blocks, uint8_t *codes)
{
	for (int m = 0; m < num_blocks; m++)
	{
		size_t first = (size_t) m * ANN_CODEWORDS;
		float best = INFINITY;

		codes[m] = 0;
		for (int c = 0; c < ANN_CODEWORDS; c++)
		{
			float value = bias[first + c] - 2.0f * table[first + c];

			if (value < best)
			{
				best = value;
				codes[m] = (uint8_t) c;
			}
		}
	}
}

static void
ann_encode_pairs_scalar(const float *table, const float *bias, const float *codebook,
						int num_blocks, int width, uint8_t *codes)
{
	ann_encode_pairs_plain(table, bias, codebook, num_blocks, width, codes);
}

static void
ann_accumulate_scalar(const uint8_t *codes, const uint8_t *table, int num_blocks,
					  uint32_t acc[ANN_BLOCK_LANES])
{
	for (int m = 0; m < num_blocks; m++)
	{
		const uint8_t *code = codes + (size_t) m * (ANN_BLOCK_LANES / 2);
		const uint8_t *value = table + (size_t) m * ANN_CODEWORDS;

		for (int j = 0; j < ANN_BLOCK_LANES / 2; j++)
		{
			acc[j] += value[code[j] & 0x0f];
			acc[j + ANN_BLOCK_LANES / 2] += value[code[j] >> 4];
		}
	}
}

static uint32_t
ann_bounds_scalar(const uint32_t acc[ANN_BLOCK_LANES], const float *b, const uint16_t *s,
				  const uint16_t *err, const AnnBoundParams *params, float threshold,
				  float keys[ANN_BLOCK_LANES])
{
	uint32_t mask = 0;

	for (int j = 0; j < ANN_BLOCK_LANES; j++)
	{
		float scale = ann_bf16_to_float(s[j]);
		float error = ann_bf16_to_float(err[j]);
		float part_b = params->weight_b * b[j];
		float est = params->g + part_b + scale * ((float) acc[j] * params->step + params->base);
		float spread = (est > 0 ? est : 0) * params->var_slope + params->var_base;
		float var;
		float key;

		spread = spread < params->var_cap ? spread : params->var_cap;
		var = error * error * spread + scale * scale * params->var_table;
		key = est - params->z * sqrtf(var) - params->slack * (fabsf(params->g) + fabsf(part_b));
		if (isnan(key))
			key = -INFINITY;
		keys[j] = key;
		mask |= (uint32_t) (key <= threshold) << j;
	}
	return mask;
}

static uint32_t
ann_score_scalar(const uint8_t *codes, const uint8_t *table, int num_blocks, const float *b,
				 const uint16_t *s, const uint16_t *err, const AnnBoundParams *params,
				 float threshold, float keys[ANN_BLOCK_LANES])
{
	uint32_t acc[ANN_BLOCK_LANES] = {0};

	ann_accumulate_scalar(codes, table, num_blocks, acc);
	return ann_bounds_scalar(acc, b, s, err, params, threshold, keys);
}

const AnnKernels ann_kernels_scalar = {
	.name = "scalar",
	ANN_PAIR_KERNELS(scalar),
	.bits_different = ann_bits_different_scalar,
	.bits_common = ann_bits_common_scalar,
	.products = ann_products_scalar,
	.nearest = ann_nearest_scalar,
	.l2_rows_bf16 = ann_l2_rows_bf16_scalar,
	.ip_rows_bf16 = ann_ip_rows_bf16_scalar,
	.l2_rows_f32 = ann_l2_rows_f32_scalar,
	.ip_rows_f32 = ann_ip_rows_f32_scalar,
	.query_table = ann_query_table_scalar,
	.encode = ann_encode_scalar,
	.encode_pairs = ann_encode_pairs_scalar,
	.accumulate = ann_accumulate_scalar,
	.bounds = ann_bounds_scalar,
	.score = ann_score_scalar,
};
