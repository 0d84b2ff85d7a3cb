/*
 * kernels_neon_codes.c
 *	  The kernels on codes for NEON: query table, encoding, block scan and bounds.
 *
 * NOTES
 *	  16 codewords are four registers; 16 bytes of codes, one block of 32 lanes, are one.
 */
#include "core/encode_pairs.h"
#include "core/kernels_parts.h"

#if defined(__aarch64__)

#include <arm_neon.h>
#include <math.h>

void
ann_query_table_neon(const float *query, const float *codebook, int num_blocks, int width,
					 float *out)
{
	for (int m = 0; m < num_blocks; m++)
	{
		float32x4_t c0_f32x4 = vdupq_n_f32(0);
		float32x4_t c4_f32x4 = c0_f32x4;
		float32x4_t c8_f32x4 = c0_f32x4;
		float32x4_t c12_f32x4 = c0_f32x4;

		for (int d = 0; d < width; d++)
		{
			float32x4_t query_f32x4 = vdupq_n_f32(*query++);

			c0_f32x4 = vfmaq_f32(c0_f32x4, query_f32x4, vld1q_f32(codebook));
			c4_f32x4 = vfmaq_f32(c4_f32x4, query_f32x4, vld1q_f32(codebook + 4));
			c8_f32x4 = vfmaq_f32(c8_f32x4, query_f32x4, vld1q_f32(codebook + 8));
			c12_f32x4 = vfmaq_f32(c12_f32x4, query_f32x4, vld1q_f32(codebook + 12));
			codebook += ANN_CODEWORDS;
		}
		vst1q_f32(out, c0_f32x4);
		vst1q_f32(out + 4, c4_f32x4);
		vst1q_f32(out + 8, c8_f32x4);
		vst1q_f32(out + 12, c12_f32x4);
		out += ANN_CODEWORDS;
	}
}

/* 4 values of bias - 2 * table; NaN becomes +infinity, as fminnm takes the number. */
static ANN_INLINE float32x4_t
encode_values(const float *table, const float *bias)
{
	float32x4_t value_f32x4 = vfmsq_f32(vld1q_f32(bias), vdupq_n_f32(2.0f), vld1q_f32(table));

	return vminnmq_f32(value_f32x4, vdupq_n_f32(INFINITY));
}

/* index where value is the lowest, and a large number elsewhere. */
static ANN_INLINE uint32x4_t
index_of(float32x4_t value_f32x4, float32x4_t lowest_f32x4, uint32x4_t index_u32x4)
{
	return vornq_u32(index_u32x4, vceqq_f32(value_f32x4, lowest_f32x4));
}

/* If nothing is lower than +infinity, every value equals the minimum and codeword 0 wins. */
void
ann_encode_neon(const float *table, const float *bias, int num_blocks, uint8_t *codes)
{
	static const uint32_t lanes[ANN_CODEWORDS] = {0, 1, 2,  3,  4,  5,  6,  7,
												  8, 9, 10, 11, 12, 13, 14, 15};

	for (int m = 0; m < num_blocks; m++)
	{
		size_t first = (size_t) m * ANN_CODEWORDS;
		float32x4_t c0_f32x4 = encode_values(table + first, bias + first);
		float32x4_t c4_f32x4 = encode_values(table + first + 4, bias + first + 4);
		float32x4_t c8_f32x4 = encode_values(table + first + 8, bias + first + 8);
		float32x4_t c12_f32x4 = encode_values(table + first + 12, bias + first + 12);
		float32x4_t lowest_f32x4 = vdupq_n_f32(
			vminvq_f32(vminq_f32(vminq_f32(c0_f32x4, c4_f32x4), vminq_f32(c8_f32x4, c12_f32x4))));
		uint32x4_t index0_u32x4 = vminq_u32(index_of(c0_f32x4, lowest_f32x4, vld1q_u32(lanes)),
											index_of(c4_f32x4, lowest_f32x4, vld1q_u32(lanes + 4)));
		uint32x4_t index8_u32x4 =
			vminq_u32(index_of(c8_f32x4, lowest_f32x4, vld1q_u32(lanes + 8)),
					  index_of(c12_f32x4, lowest_f32x4, vld1q_u32(lanes + 12)));

		codes[m] = (uint8_t) vminvq_u32(vminq_u32(index0_u32x4, index8_u32x4));
	}
}

/* Adds 8 16-bit sums to acc. */
static ANN_INLINE void
add_to_acc(uint32_t *acc, uint16x8_t sums_u16x8)
{
	vst1q_u32(acc, vaddw_u16(vld1q_u32(acc), vget_low_u16(sums_u16x8)));
	vst1q_u32(acc + 4, vaddw_high_u16(vld1q_u32(acc + 4), sums_u16x8));
}

/*
 * The x86 kernels add bytes without widening them, as 16-bit lanes. Here the addition itself widens
 * (uaddw), at no cost.
 */
void
ann_encode_pairs_neon(const float *table, const float *bias, const float *codebook, int num_blocks,
					  int width, uint8_t *codes)
{
	ann_encode_pairs_plain(table, bias, codebook, num_blocks, width, codes);
}

void
ann_accumulate_neon(const uint8_t *codes, const uint8_t *table, int num_blocks,
					uint32_t acc[ANN_BLOCK_LANES])
{
	for (int first = 0; first < num_blocks; first += ANN_ACCUMULATE_CHUNK)
	{
		int count =
			num_blocks - first < ANN_ACCUMULATE_CHUNK ? num_blocks - first : ANN_ACCUMULATE_CHUNK;
		uint16x8_t lane0_u16x8 = vdupq_n_u16(0);
		uint16x8_t lane8_u16x8 = lane0_u16x8;
		uint16x8_t lane16_u16x8 = lane0_u16x8;
		uint16x8_t lane24_u16x8 = lane0_u16x8;

		for (int m = 0; m < count; m++)
		{
			uint8x16_t codes_u8x16 = vld1q_u8(codes);
			uint8x16_t table_u8x16 = vld1q_u8(table);
			uint8x16_t low_u8x16 = vqtbl1q_u8(table_u8x16, vandq_u8(codes_u8x16, vdupq_n_u8(0x0f)));
			uint8x16_t high_u8x16 = vqtbl1q_u8(table_u8x16, vshrq_n_u8(codes_u8x16, 4));

			lane0_u16x8 = vaddw_u8(lane0_u16x8, vget_low_u8(low_u8x16));
			lane8_u16x8 = vaddw_high_u8(lane8_u16x8, low_u8x16);
			lane16_u16x8 = vaddw_u8(lane16_u16x8, vget_low_u8(high_u8x16));
			lane24_u16x8 = vaddw_high_u8(lane24_u16x8, high_u8x16);
			codes += ANN_BLOCK_LANES / 2;
			table += ANN_CODEWORDS;
		}
		add_to_acc(acc, lane0_u16x8);
		add_to_acc(acc + 8, lane8_u16x8);
		add_to_acc(acc + 16, lane16_u16x8);
		add_to_acc(acc + 24, lane24_u16x8);
	}
}

static ANN_INLINE float32x4_t
load_bf16(const uint16_t *values)
{
	return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(values), 16));
}

/* Keys of 4 lanes. The minnm and maxnm forms take the number if one operand is NaN. */
static ANN_INLINE float32x4_t
bound_keys(const uint32_t *acc, const float *b, const uint16_t *s, const uint16_t *err,
		   const AnnBoundParams *params)
{
	float32x4_t g_f32x4 = vdupq_n_f32(params->g);
	float32x4_t s_f32x4 = load_bf16(s);
	float32x4_t err_f32x4 = load_bf16(err);
	float32x4_t part_f32x4 = vmulq_n_f32(vld1q_f32(b), params->weight_b);
	float32x4_t sum_f32x4 =
		vfmaq_n_f32(vdupq_n_f32(params->base), vcvtq_f32_u32(vld1q_u32(acc)), params->step);
	float32x4_t est_f32x4 = vfmaq_f32(vaddq_f32(g_f32x4, part_f32x4), s_f32x4, sum_f32x4);
	float32x4_t spread_f32x4 =
		vminnmq_f32(vfmaq_n_f32(vdupq_n_f32(params->var_base),
								vmaxnmq_f32(est_f32x4, vdupq_n_f32(0)), params->var_slope),
					vdupq_n_f32(params->var_cap));
	float32x4_t var_f32x4 = vfmaq_f32(vmulq_n_f32(vmulq_f32(s_f32x4, s_f32x4), params->var_table),
									  vmulq_f32(err_f32x4, err_f32x4), spread_f32x4);
	float32x4_t size_f32x4 = vaddq_f32(vabsq_f32(g_f32x4), vabsq_f32(part_f32x4));
	float32x4_t key_f32x4 = vfmsq_f32(est_f32x4, size_f32x4, vdupq_n_f32(params->slack));

	key_f32x4 = vfmsq_f32(key_f32x4, vsqrtq_f32(var_f32x4), vdupq_n_f32(params->z));
	return vmaxnmq_f32(key_f32x4, vdupq_n_f32(-INFINITY));
}

uint32_t
ann_bounds_neon(const uint32_t acc[ANN_BLOCK_LANES], const float *b, const uint16_t *s,
				const uint16_t *err, const AnnBoundParams *params, float threshold,
				float keys[ANN_BLOCK_LANES])
{
	static const uint32_t bits[4] = {1, 2, 4, 8};
	float32x4_t threshold_f32x4 = vdupq_n_f32(threshold);
	uint32x4_t bits_u32x4 = vld1q_u32(bits);
	uint32_t mask = 0;

	for (int lane = 0; lane < ANN_BLOCK_LANES; lane += 4)
	{
		float32x4_t keys_f32x4 = bound_keys(acc + lane, b + lane, s + lane, err + lane, params);
		uint32x4_t within = vcleq_f32(keys_f32x4, threshold_f32x4);

		vst1q_f32(keys + lane, keys_f32x4);
		mask |= vaddvq_u32(vandq_u32(within, bits_u32x4)) << lane;
	}
	return mask;
}

/* Sums in memory: eight registers of keys and their parameters would leave no room for them. */
uint32_t
ann_score_neon(const uint8_t *codes, const uint8_t *table, int num_blocks, const float *b,
			   const uint16_t *s, const uint16_t *err, const AnnBoundParams *params,
			   float threshold, float keys[ANN_BLOCK_LANES])
{
	uint32_t acc[ANN_BLOCK_LANES] = {0};

	ann_accumulate_neon(codes, table, num_blocks, acc);
	return ann_bounds_neon(acc, b, s, err, params, threshold, keys);
}

#endif
