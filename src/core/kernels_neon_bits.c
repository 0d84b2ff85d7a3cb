/*
 * kernels_neon_bits.c
 *	  The kernels for NEON of two strings of bits, whose instruction counts the bits of bytes.
 */
#include "core/kernels.h"

#if defined(__aarch64__)

#include "core/kernels_neon.h"

/* 16 bytes, or fewer: zeros behind them. */
static ANN_INLINE uint8x16_t
load(const uint8_t *bytes, size_t num_bytes)
{
	uint8_t last[16] = {0};

	if (num_bytes >= 16)
		return vld1q_u8(bytes);
	for (size_t i = 0; i < num_bytes; i++)
		last[i] = bytes[i];
	return vld1q_u8(last);
}

/* Adds the bits that are set to two sums. */
static ANN_INLINE uint64x2_t
add_count(uint64x2_t sum_u64x2, uint8x16_t bits_u8x16)
{
	return vpadalq_u32(sum_u64x2, vpaddlq_u16(vpaddlq_u8(vcntq_u8(bits_u8x16))));
}

uint64_t
ann_bits_different_neon(const uint8_t *a, const uint8_t *b, size_t num_bytes)
{
	uint64x2_t sum_u64x2 = vdupq_n_u64(0);

	for (size_t i = 0; i < num_bytes; i += 16)
		sum_u64x2 =
			add_count(sum_u64x2, veorq_u8(load(a + i, num_bytes - i), load(b + i, num_bytes - i)));
	return vaddvq_u64(sum_u64x2);
}

void
ann_bits_common_neon(const uint8_t *a, const uint8_t *b, size_t num_bytes, uint64_t counts[2])
{
	uint64x2_t both_u64x2 = vdupq_n_u64(0);
	uint64x2_t either_u64x2 = vdupq_n_u64(0);

	for (size_t i = 0; i < num_bytes; i += 16)
	{
		uint8x16_t a_u8x16 = load(a + i, num_bytes - i);
		uint8x16_t b_u8x16 = load(b + i, num_bytes - i);

		both_u64x2 = add_count(both_u64x2, vandq_u8(a_u8x16, b_u8x16));
		either_u64x2 = add_count(either_u64x2, vorrq_u8(a_u8x16, b_u8x16));
	}
	counts[0] = vaddvq_u64(both_u64x2);
	counts[1] = vaddvq_u64(either_u64x2);
}

#endif
