/*
 * kernels_avx512_codes.c
 *	  The kernels on codes for AVX-512: query table, encoding, block scan and bounds.
 *
 * NOTES
 *	  16 codewords are one register. Names carry the lanes as in kernels_avx512.c, with its meaning
 *	  of "quarter"; ends are masked as there.
 */
#include "core/kernels_parts.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>

ANN_TARGET_BEGIN(ANN_ISA_AVX512)

static ANN_INLINE void
query_table(const float *query, const float *codebook, int num_blocks, int width, float *out)
{
	for (int m = 0; m < num_blocks; m++)
	{
		__m512 sum_f32x16 = _mm512_setzero_ps();

		for (int d = 0; d < width; d++)
		{
			sum_f32x16 =
				_mm512_fmadd_ps(_mm512_set1_ps(*query++), _mm512_loadu_ps(codebook), sum_f32x16);
			codebook += ANN_CODEWORDS;
		}
		_mm512_storeu_ps(out, sum_f32x16);
		out += ANN_CODEWORDS;
	}
}

/* The usual widths have their own code: the loop over a block's dimensions is short. */
void
ann_query_table_avx512(const float *query, const float *codebook, int num_blocks, int width,
					   float *out)
{
	if (width == 2)
		query_table(query, codebook, num_blocks, 2, out);
	else if (width == 4)
		query_table(query, codebook, num_blocks, 4, out);
	else
		query_table(query, codebook, num_blocks, width, out);
}

/*
 * NaN counts as +infinity: if nothing is lower, every lane equals the minimum and codeword 0 wins.
 */
void
ann_encode_avx512(const float *table, const float *bias, int num_blocks, uint8_t *codes)
{
	__m512 infinity_f32x16 = _mm512_set1_ps(INFINITY);

	for (int m = 0; m < num_blocks; m++)
	{
		/* The product is exact, so fused or not gives the same bits. */
		__m512 value_f32x16 = _mm512_fnmadd_ps(_mm512_set1_ps(2.0f),
											   _mm512_loadu_ps(table + (size_t) m * ANN_CODEWORDS),
											   _mm512_loadu_ps(bias + (size_t) m * ANN_CODEWORDS));
		__m256 low_f32x8;
		__m128 low_f32x4;

		/* minps returns its second operand if either is NaN. */
		value_f32x16 = _mm512_min_ps(value_f32x16, infinity_f32x16);
		low_f32x8 = _mm256_min_ps(_mm512_castps512_ps256(value_f32x16),
								  _mm512_extractf32x8_ps(value_f32x16, 1));
		low_f32x4 =
			_mm_min_ps(_mm256_castps256_ps128(low_f32x8), _mm256_extractf128_ps(low_f32x8, 1));
		low_f32x4 = _mm_min_ps(low_f32x4, _mm_permute_ps(low_f32x4, 0x4e));
		low_f32x4 = _mm_min_ps(low_f32x4, _mm_permute_ps(low_f32x4, 0xb1));
		codes[m] = (uint8_t) __builtin_ctz(
			_mm512_cmp_ps_mask(value_f32x16, _mm512_broadcastss_ps(low_f32x4), _CMP_EQ_OQ));
	}
}

void
ann_encode_pairs_avx512(const float *table, const float *bias, const float *codebook,
						int num_blocks, int width, uint8_t *codes)
{
	size_t stride = (size_t) width * ANN_CODEWORDS;
	__m512 two_f32x16 = _mm512_set1_ps(2);

	for (int m = 0; m < num_blocks; m++)
	{
		size_t first = (size_t) m * ANN_CODEWORDS;
		size_t second = (size_t) (num_blocks + m) * ANN_CODEWORDS;
		const float *a = codebook + m * stride;
		const float *b = codebook + (num_blocks + m) * stride;
		__m512 cost_f32x16 = _mm512_set1_ps(INFINITY);
		__m512i partner_i32x16 = _mm512_setzero_si512();
		int32_t partner[ANN_CODEWORDS];
		unsigned least;
		int chosen;

		for (int i = 0; i < ANN_CODEWORDS; i++)
		{
			__m512 value_f32x16 = _mm512_setzero_ps();
			__mmask16 less;

			for (int d = 0; d < width; d++)
				value_f32x16 =
					_mm512_fmadd_ps(_mm512_set1_ps(a[d * ANN_CODEWORDS + i]),
									_mm512_loadu_ps(b + d * ANN_CODEWORDS), value_f32x16);
			value_f32x16 = _mm512_fmadd_ps(two_f32x16, value_f32x16,
										   _mm512_set1_ps(bias[first + i] - 2 * table[first + i]));
			less = _mm512_cmp_ps_mask(value_f32x16, cost_f32x16, _CMP_LT_OQ);
			cost_f32x16 = _mm512_mask_mov_ps(cost_f32x16, less, value_f32x16);
			partner_i32x16 = _mm512_mask_mov_epi32(partner_i32x16, less, _mm512_set1_epi32(i));
		}
		cost_f32x16 =
			_mm512_add_ps(cost_f32x16, _mm512_fnmadd_ps(two_f32x16, _mm512_loadu_ps(table + second),
														_mm512_loadu_ps(bias + second)));
		least = _mm512_cmp_ps_mask(cost_f32x16, _mm512_set1_ps(_mm512_reduce_min_ps(cost_f32x16)),
								   _CMP_EQ_OQ);
		_mm512_storeu_si512(partner, partner_i32x16);
		chosen = least == 0 ? 0 : __builtin_ctz(least);
		codes[m] = (uint8_t) partner[chosen];
		codes[num_blocks + m] = (uint8_t) chosen;
	}
}

/* The sums of codes 0 to 15, and of codes 16 to 31, the high nibbles. */
typedef struct BlockSums
{
	__m512i low_u32x16;
	__m512i high_u32x16;
} BlockSums;

/* Adds to acc. Its loads come last: the caller's stores to it are then done, and nothing waits. */
static ANN_INLINE void
add_to_acc(uint32_t *acc, BlockSums sums)
{
	_mm512_storeu_si512(acc, _mm512_add_epi32(_mm512_loadu_si512(acc), sums.low_u32x16));
	_mm512_storeu_si512(acc + 16, _mm512_add_epi32(_mm512_loadu_si512(acc + 16), sums.high_u32x16));
}

static ANN_INLINE __m512
load_bf16(const uint16_t *values)
{
	__m256i bits_u16x16 = _mm256_loadu_si256((const __m256i *) values);

	return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits_u16x16), 16));
}

/* Keys of 16 lanes. */
static ANN_INLINE __m512
bound_keys(__m512i acc_u32x16, const float *b, const uint16_t *s, const uint16_t *err,
		   const AnnBoundParams *params)
{
	__m512 g_f32x16 = _mm512_set1_ps(params->g);
	__m512 s_f32x16 = load_bf16(s);
	__m512 err_f32x16 = load_bf16(err);
	__m512 part_f32x16 = _mm512_mul_ps(_mm512_set1_ps(params->weight_b), _mm512_loadu_ps(b));
	__m512 sum_f32x16 = _mm512_fmadd_ps(_mm512_cvtepu32_ps(acc_u32x16),
										_mm512_set1_ps(params->step), _mm512_set1_ps(params->base));
	__m512 est_f32x16 = _mm512_fmadd_ps(s_f32x16, sum_f32x16, _mm512_add_ps(g_f32x16, part_f32x16));
	__m512 spread_f32x16 = _mm512_min_ps(
		_mm512_fmadd_ps(_mm512_max_ps(est_f32x16, _mm512_setzero_ps()),
						_mm512_set1_ps(params->var_slope), _mm512_set1_ps(params->var_base)),
		_mm512_set1_ps(params->var_cap));
	__m512 var_f32x16 = _mm512_fmadd_ps(
		_mm512_mul_ps(err_f32x16, err_f32x16), spread_f32x16,
		_mm512_mul_ps(_mm512_mul_ps(s_f32x16, s_f32x16), _mm512_set1_ps(params->var_table)));
	__m512 size_f32x16 = _mm512_add_ps(_mm512_abs_ps(g_f32x16), _mm512_abs_ps(part_f32x16));
	__m512 key_f32x16 = _mm512_fnmadd_ps(_mm512_set1_ps(params->slack), size_f32x16, est_f32x16);

	key_f32x16 =
		_mm512_fnmadd_ps(_mm512_set1_ps(params->z), _mm512_sqrt_ps(var_f32x16), key_f32x16);
	/* maxps returns its second operand if the first is NaN. */
	return _mm512_max_ps(key_f32x16, _mm512_set1_ps(-INFINITY));
}

/* bounds, with the sums in registers. */
static ANN_INLINE uint32_t
bound_block(BlockSums sums, const float *b, const uint16_t *s, const uint16_t *err,
			const AnnBoundParams *params, float threshold, float *keys)
{
	__m512 keys0_f32x16 = bound_keys(sums.low_u32x16, b, s, err, params);
	__m512 keys16_f32x16 = bound_keys(sums.high_u32x16, b + 16, s + 16, err + 16, params);
	__m512 threshold_f32x16 = _mm512_set1_ps(threshold);
	uint32_t mask0 = _mm512_cmp_ps_mask(keys0_f32x16, threshold_f32x16, _CMP_LE_OQ);
	uint32_t mask16 = _mm512_cmp_ps_mask(keys16_f32x16, threshold_f32x16, _CMP_LE_OQ);

	_mm512_storeu_ps(keys, keys0_f32x16);
	_mm512_storeu_ps(keys + 16, keys16_f32x16);
	return mask0 | mask16 << 16;
}

uint32_t
ann_bounds_avx512(const uint32_t acc[ANN_BLOCK_LANES], const float *b, const uint16_t *s,
				  const uint16_t *err, const AnnBoundParams *params, float threshold,
				  float keys[ANN_BLOCK_LANES])
{
	BlockSums sums = {_mm512_loadu_si512(acc), _mm512_loadu_si512(acc + 16)};

	return bound_block(sums, b, s, err, params, threshold, keys);
}

/*
 * Sums of one chunk. A look-up gives bytes, one a code, but sums need 16 bits. Instead of widening
 * the bytes, whole 16-bit lanes are added: all = even + 256 * odd modulo 2^16, and odd alone from
 * the lanes shifted right; even = all - 256 * odd then comes out exactly because it is below 2^16
 * (Andre, Kermarrec, Le Scouarnec, "Quicker ADC", 2019).
 */
typedef struct ChunkSums
{
	__m512i all_low_u16x32; /* each quarter has its own blocks; lane k: codes 2k and 2k + 1 */
	__m512i odd_low_u16x32;
	__m512i all_high_u16x32; /* the same for codes 16 to 31, the high nibbles */
	__m512i odd_high_u16x32;
} ChunkSums;

/* Four blocks, one in each quarter of the codes and of the table. */
static ANN_INLINE void
add_blocks(ChunkSums *sums, __m512i codes_u8x64, __m512i table_u8x64)
{
	__m512i nibble_u8x64 = _mm512_set1_epi8(0x0f);
	__m512i low_u8x64 =
		_mm512_shuffle_epi8(table_u8x64, _mm512_and_si512(codes_u8x64, nibble_u8x64));
	__m512i high_u8x64 = _mm512_shuffle_epi8(
		table_u8x64, _mm512_and_si512(_mm512_srli_epi16(codes_u8x64, 4), nibble_u8x64));

	sums->all_low_u16x32 = _mm512_add_epi16(sums->all_low_u16x32, low_u8x64);
	sums->odd_low_u16x32 = _mm512_add_epi16(sums->odd_low_u16x32, _mm512_srli_epi16(low_u8x64, 8));
	sums->all_high_u16x32 = _mm512_add_epi16(sums->all_high_u16x32, high_u8x64);
	sums->odd_high_u16x32 =
		_mm512_add_epi16(sums->odd_high_u16x32, _mm512_srli_epi16(high_u8x64, 8));
}

/* Lanes 0 to 31 in order: the four quarters summed, even and odd codes interleaved. */
static ANN_INLINE __m512i
chunk_total(const ChunkSums *sums)
{
	__m512i even_low_u16x32 =
		_mm512_sub_epi16(sums->all_low_u16x32, _mm512_slli_epi16(sums->odd_low_u16x32, 8));
	__m512i even_high_u16x32 =
		_mm512_sub_epi16(sums->all_high_u16x32, _mm512_slli_epi16(sums->odd_high_u16x32, 8));
	/* quarters 0 and 1: even, with blocks 0 + 1 and 2 + 3; quarters 2 and 3: odd */
	__m512i low_u16x32 =
		_mm512_add_epi16(_mm512_shuffle_i32x4(even_low_u16x32, sums->odd_low_u16x32, 0x88),
						 _mm512_shuffle_i32x4(even_low_u16x32, sums->odd_low_u16x32, 0xdd));
	__m512i high_u16x32 =
		_mm512_add_epi16(_mm512_shuffle_i32x4(even_high_u16x32, sums->odd_high_u16x32, 0x88),
						 _mm512_shuffle_i32x4(even_high_u16x32, sums->odd_high_u16x32, 0xdd));
	/* quarters: even low, odd low, even high, odd high */
	__m512i total_u16x32 = _mm512_add_epi16(_mm512_shuffle_i32x4(low_u16x32, high_u16x32, 0x88),
											_mm512_shuffle_i32x4(low_u16x32, high_u16x32, 0xdd));
	/* 16-bit lane 2k from lane k, lane 2k + 1 from lane k + 8, in each half */
	__m512i order_u16x32 =
		_mm512_setr_epi32(0x00080000, 0x00090001, 0x000a0002, 0x000b0003, 0x000c0004, 0x000d0005,
						  0x000e0006, 0x000f0007, 0x00180010, 0x00190011, 0x001a0012, 0x001b0013,
						  0x001c0014, 0x001d0015, 0x001e0016, 0x001f0017);

	return _mm512_permutexvar_epi16(order_u16x32, total_u16x32);
}

static ANN_INLINE BlockSums
sum_blocks(const uint8_t *codes, const uint8_t *table, int num_blocks)
{
	BlockSums sums = {_mm512_setzero_si512(), _mm512_setzero_si512()};
	size_t bytes = (size_t) num_blocks * ANN_CODEWORDS;
	size_t chunk_bytes = ANN_ACCUMULATE_CHUNK * ANN_CODEWORDS;

	for (size_t first = 0; first < bytes; first += chunk_bytes)
	{
		size_t end = bytes - first < chunk_bytes ? bytes : first + chunk_bytes;
		__m512i zero = _mm512_setzero_si512();
		ChunkSums chunk = {zero, zero, zero, zero};
		__m512i total_u16x32;
		size_t at = first;

		for (; at + 64 <= end; at += 64)
		{
			__builtin_prefetch(codes + at + ANN_PREFETCH_BYTES);
			add_blocks(&chunk, _mm512_loadu_si512(codes + at), _mm512_loadu_si512(table + at));
		}
		if (at < end)
		{
			__mmask64 mask = ((__mmask64) 1 << (end - at)) - 1;

			add_blocks(&chunk, _mm512_maskz_loadu_epi8(mask, codes + at),
					   _mm512_maskz_loadu_epi8(mask, table + at));
		}
		total_u16x32 = chunk_total(&chunk);
		sums.low_u32x16 = _mm512_add_epi32(
			sums.low_u32x16, _mm512_cvtepu16_epi32(_mm512_castsi512_si256(total_u16x32)));
		sums.high_u32x16 = _mm512_add_epi32(
			sums.high_u32x16, _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(total_u16x32, 1)));
	}
	return sums;
}

void
ann_accumulate_avx512(const uint8_t *codes, const uint8_t *table, int num_blocks,
					  uint32_t acc[ANN_BLOCK_LANES])
{
	add_to_acc(acc, sum_blocks(codes, table, num_blocks));
}

uint32_t
ann_score_avx512(const uint8_t *codes, const uint8_t *table, int num_blocks, const float *b,
				 const uint16_t *s, const uint16_t *err, const AnnBoundParams *params,
				 float threshold, float keys[ANN_BLOCK_LANES])
{
	return bound_block(sum_blocks(codes, table, num_blocks), b, s, err, params, threshold, keys);
}

ANN_TARGET_END

ANN_TARGET_BEGIN(ANN_ISA_AVX512_VBMI)

/*
 * Four blocks again, but the table's 64 bytes are one table of four times 16 (vpermb, which looks
 * at 6 bits of an index), and the codes are first transposed, so that the four bytes of one code
 * stand together and one instruction (vpdpbusd) adds them up in 32 bits.
 */
static ANN_INLINE void
add_blocks_vbmi(BlockSums *sums, __m512i codes_u8x64, __m512i table_u8x64)
{
	__m512i transpose_u8x64 =
		_mm512_setr_epi32(0x30201000, 0x31211101, 0x32221202, 0x33231303, 0x34241404, 0x35251505,
						  0x36261606, 0x37271707, 0x38281808, 0x39291909, 0x3a2a1a0a, 0x3b2b1b0b,
						  0x3c2c1c0c, 0x3d2d1d0d, 0x3e2e1e0e, 0x3f2f1f0f);
	__m512i part_u8x64 = _mm512_set1_epi32(0x30201000); /* which of the four tables */
	__m512i nibble_u8x64 = _mm512_set1_epi8(0x0f);
	__m512i one_i8x64 = _mm512_set1_epi8(1);
	__m512i by_code_u8x64 = _mm512_permutexvar_epi8(transpose_u8x64, codes_u8x64);
	/* (codes & nibble) | part; 0xea is that function's truth table */
	__m512i low_u8x64 = _mm512_ternarylogic_epi32(by_code_u8x64, nibble_u8x64, part_u8x64, 0xea);
	__m512i high_u8x64 = _mm512_ternarylogic_epi32(_mm512_srli_epi16(by_code_u8x64, 4),
												   nibble_u8x64, part_u8x64, 0xea);

	low_u8x64 = _mm512_permutexvar_epi8(low_u8x64, table_u8x64);
	high_u8x64 = _mm512_permutexvar_epi8(high_u8x64, table_u8x64);
	sums->low_u32x16 = _mm512_dpbusd_epi32(sums->low_u32x16, low_u8x64, one_i8x64);
	sums->high_u32x16 = _mm512_dpbusd_epi32(sums->high_u32x16, high_u8x64, one_i8x64);
}

static ANN_INLINE BlockSums
sum_blocks_vbmi(const uint8_t *codes, const uint8_t *table, int num_blocks)
{
	BlockSums sums = {_mm512_setzero_si512(), _mm512_setzero_si512()};
	size_t end = (size_t) num_blocks * ANN_CODEWORDS;
	size_t at = 0;

	for (; at + 64 <= end; at += 64)
	{
		__builtin_prefetch(codes + at + ANN_PREFETCH_BYTES);
		add_blocks_vbmi(&sums, _mm512_loadu_si512(codes + at), _mm512_loadu_si512(table + at));
	}
	if (at < end)
	{
		__mmask64 mask = ((__mmask64) 1 << (end - at)) - 1;

		add_blocks_vbmi(&sums, _mm512_maskz_loadu_epi8(mask, codes + at),
						_mm512_maskz_loadu_epi8(mask, table + at));
	}
	return sums;
}

void
ann_accumulate_avx512_vbmi(const uint8_t *codes, const uint8_t *table, int num_blocks,
						   uint32_t acc[ANN_BLOCK_LANES])
{
	add_to_acc(acc, sum_blocks_vbmi(codes, table, num_blocks));
}

uint32_t
ann_score_avx512_vbmi(const uint8_t *codes, const uint8_t *table, int num_blocks, const float *b,
					  const uint16_t *s, const uint16_t *err, const AnnBoundParams *params,
					  float threshold, float keys[ANN_BLOCK_LANES])
{
	return bound_block(sum_blocks_vbmi(codes, table, num_blocks), b, s, err, params, threshold,
					   keys);
}

ANN_TARGET_END

#endif
