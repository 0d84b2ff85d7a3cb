/*
 * kernels_avx512_bits.c
 *	  The kernels for AVX-512 of two strings of bits; for machines with VPOPCNTDQ and for others.
 *
 * NOTES
 *	  A masked-out byte is neither read nor faulted on; it is zero, and counts nothing.
 *
 *	  Without VPOPCNTDQ the bits of a byte are looked up by its nibbles (Mula, Kurz, Lemire, "Faster
 *	  population counts using AVX2 instructions", 2018).
 */
#include "core/kernels.h"

#if defined(__x86_64__)

#include "core/kernels_avx512.h"

ANN_TARGET_BEGIN(ANN_ISA_AVX512)

/* 64 bytes, or fewer: zeros behind them. */
static ANN_INLINE __m512i
load(const uint8_t *bytes, size_t num_bytes)
{
	__mmask64 mask = num_bytes < 64 ? ((__mmask64) 1 << num_bytes) - 1 : UINT64_MAX;

	return _mm512_maskz_loadu_epi8(mask, bytes);
}

/* The sums over the lanes of both, in one reduction. */
static ANN_INLINE void
store_sums(__m512i first_u64x8, __m512i second_u64x8, uint64_t sums[2])
{
	__m512i pairs_u64x8 = _mm512_add_epi64(_mm512_unpacklo_epi64(first_u64x8, second_u64x8),
										   _mm512_unpackhi_epi64(first_u64x8, second_u64x8));
	__m256i half_u64x4 = _mm256_add_epi64(_mm512_castsi512_si256(pairs_u64x8),
										  _mm512_extracti64x4_epi64(pairs_u64x8, 1));

	_mm_storeu_si128((__m128i *) sums, _mm_add_epi64(_mm256_castsi256_si128(half_u64x4),
													 _mm256_extracti128_si256(half_u64x4, 1)));
}

/* The bits that are set, in each lane of 64. */
static ANN_INLINE __m512i
count(__m512i bits_u8x64)
{
	__m512i nibble_u8x64 = _mm512_set1_epi8(0x0f);
	__m512i table_u8x64 =
		_mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
	__m512i low_u8x64 =
		_mm512_shuffle_epi8(table_u8x64, _mm512_and_si512(bits_u8x64, nibble_u8x64));
	__m512i high_u8x64 = _mm512_shuffle_epi8(
		table_u8x64, _mm512_and_si512(_mm512_srli_epi16(bits_u8x64, 4), nibble_u8x64));

	return _mm512_sad_epu8(_mm512_add_epi8(low_u8x64, high_u8x64), _mm512_setzero_si512());
}

uint64_t
ann_bits_different_avx512(const uint8_t *a, const uint8_t *b, size_t num_bytes)
{
	__m512i sum_u64x8 = _mm512_setzero_si512();

	for (size_t i = 0; i < num_bytes; i += 64)
		sum_u64x8 = _mm512_add_epi64(
			sum_u64x8,
			count(_mm512_xor_si512(load(a + i, num_bytes - i), load(b + i, num_bytes - i))));
	return (uint64_t) _mm512_reduce_add_epi64(sum_u64x8);
}

void
ann_bits_common_avx512(const uint8_t *a, const uint8_t *b, size_t num_bytes, uint64_t counts[2])
{
	__m512i both_u64x8 = _mm512_setzero_si512();
	__m512i either_u64x8 = both_u64x8;

	for (size_t i = 0; i < num_bytes; i += 64)
	{
		__m512i a_u8x64 = load(a + i, num_bytes - i);
		__m512i b_u8x64 = load(b + i, num_bytes - i);

		both_u64x8 = _mm512_add_epi64(both_u64x8, count(_mm512_and_si512(a_u8x64, b_u8x64)));
		either_u64x8 = _mm512_add_epi64(either_u64x8, count(_mm512_or_si512(a_u8x64, b_u8x64)));
	}
	store_sums(both_u64x8, either_u64x8, counts);
}

ANN_TARGET_END

ANN_TARGET_BEGIN(ANN_ISA_AVX512_VBMI)

uint64_t
ann_bits_different_avx512_vbmi(const uint8_t *a, const uint8_t *b, size_t num_bytes)
{
	__m512i sum_u64x8 = _mm512_setzero_si512();

	for (size_t i = 0; i < num_bytes; i += 64)
		sum_u64x8 = _mm512_add_epi64(
			sum_u64x8, _mm512_popcnt_epi64(_mm512_xor_si512(load(a + i, num_bytes - i),
															load(b + i, num_bytes - i))));
	return (uint64_t) _mm512_reduce_add_epi64(sum_u64x8);
}

void
ann_bits_common_avx512_vbmi(const uint8_t *a, const uint8_t *b, size_t num_bytes,
							uint64_t counts[2])
{
	__m512i both_u64x8 = _mm512_setzero_si512();
	__m512i either_u64x8 = both_u64x8;

	for (size_t i = 0; i < num_bytes; i += 64)
	{
		__m512i a_u8x64 = load(a + i, num_bytes - i);
		__m512i b_u8x64 = load(b + i, num_bytes - i);

		both_u64x8 =
			_mm512_add_epi64(both_u64x8, _mm512_popcnt_epi64(_mm512_and_si512(a_u8x64, b_u8x64)));
		either_u64x8 =
			_mm512_add_epi64(either_u64x8, _mm512_popcnt_epi64(_mm512_or_si512(a_u8x64, b_u8x64)));
	}
	store_sums(both_u64x8, either_u64x8, counts);
}

ANN_TARGET_END

#endif
