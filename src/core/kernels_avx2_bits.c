/*
 * kernels_avx2_bits.c
 *	  The kernels for AVX2 of two strings of bits: by words, with the instruction popcnt, of which a
 *	  processor runs one or more in every cycle.
 */
#include "core/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "core/kernels_parts.h"

ANN_TARGET_BEGIN(ANN_ISA_AVX2_POPCNT)

/* 8 bytes, or fewer: zeros behind them. */
static ANN_INLINE uint64_t
load(const uint8_t *bytes, size_t num_bytes)
{
	uint64_t word = 0;

	if (num_bytes >= sizeof(word))
		memcpy(&word, bytes, sizeof(word));
	else
		for (size_t i = 0; i < num_bytes; i++)
			word |= (uint64_t) bytes[i] << (8 * i);
	return word;
}

uint64_t
ann_bits_different_avx2(const uint8_t *a, const uint8_t *b, size_t num_bytes)
{
	uint64_t even = 0;
	uint64_t odd = 0;
	size_t i = 0;

	for (; i + 16 <= num_bytes; i += 16)
	{
		even += (uint64_t) _mm_popcnt_u64(load(a + i, 8) ^ load(b + i, 8));
		odd += (uint64_t) _mm_popcnt_u64(load(a + i + 8, 8) ^ load(b + i + 8, 8));
	}
	for (; i < num_bytes; i += 8)
		even += (uint64_t) _mm_popcnt_u64(load(a + i, num_bytes - i) ^ load(b + i, num_bytes - i));
	return even + odd;
}

void
ann_bits_common_avx2(const uint8_t *a, const uint8_t *b, size_t num_bytes, uint64_t counts[2])
{
	uint64_t both = 0;
	uint64_t either = 0;

	for (size_t i = 0; i < num_bytes; i += 8)
	{
		uint64_t word_a = load(a + i, num_bytes - i);
		uint64_t word_b = load(b + i, num_bytes - i);

		both += (uint64_t) _mm_popcnt_u64(word_a & word_b);
		either += (uint64_t) _mm_popcnt_u64(word_a | word_b);
	}
	counts[0] = both;
	counts[1] = either;
}

ANN_TARGET_END

#endif
