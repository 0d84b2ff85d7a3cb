/*
 * kernels_avx2_codes.c
 *	  The kernels on codes for AVX2: query table, encoding, block scan and bounds.
 *
 * NOTES
 *	  16 codewords are two registers. Names carry the lanes as in kernels_avx2.c, with its meaning
 *	  of "half".
 */
#include "core/kernels_parts.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>

ANN_TARGET_BEGIN(ANN_ISA_AVX2)

static ANN_INLINE void
query_table(const float *query, const float *codebook, int num_blocks, int width, float *out)
{
	for (int m = 0; m < num_blocks; m++)
	{
		__m256 low_f32x8 = _mm256_setzero_ps();
		__m256 high_f32x8 = _mm256_setzero_ps();

		for (int d = 0; d < width; d++)
		{
			__m256 query_f32x8 = _mm256_set1_ps(*query++);

			low_f32x8 = _mm256_fmadd_ps(query_f32x8, _mm256_loadu_ps(codebook), low_f32x8);
			high_f32x8 = _mm256_fmadd_ps(query_f32x8, _mm256_loadu_ps(codebook + 8), high_f32x8);
			codebook += ANN_CODEWORDS;
		}
		_mm256_storeu_ps(out, low_f32x8);
		_mm256_storeu_ps(out + 8, high_f32x8);
		out += ANN_CODEWORDS;
	}
}

/* The usual widths have their own code: the loop over a block's dimensions is short. */
void
ann_query_table_avx2(const float *query, const float *codebook, int num_blocks, int width,
					 float *out)
{
	if (width == 2)
		query_table(query, codebook, num_blocks, 2, out);
	else if (width == 4)
		query_table(query, codebook, num_blocks, 4, out);
	else
		query_table(query, codebook, num_blocks, width, out);
}

/* 8 values of bias - 2 * table. The product is exact, so fused or not gives the same bits. */
static ANN_INLINE __m256
encode_values(const float *table, const float *bias)
{
	__m256 value_f32x8 =
		_mm256_fnmadd_ps(_mm256_set1_ps(2.0f), _mm256_loadu_ps(table), _mm256_loadu_ps(bias));

	/* minps returns its second operand if either is NaN. */
	return _mm256_min_ps(value_f32x8, _mm256_set1_ps(INFINITY));
}

/*
 * NaN counts as +infinity: if nothing is lower, every lane equals the minimum and codeword 0 wins.
 */
void
ann_encode_avx2(const float *table, const float *bias, int num_blocks, uint8_t *codes)
{
	for (int m = 0; m < num_blocks; m++)
	{
		size_t first = (size_t) m * ANN_CODEWORDS;
		__m256 value0_f32x8 = encode_values(table + first, bias + first);
		__m256 value8_f32x8 = encode_values(table + first + 8, bias + first + 8);
		__m256 low_f32x8 = _mm256_min_ps(value0_f32x8, value8_f32x8);
		uint32_t mask0;
		uint32_t mask8;

		low_f32x8 = _mm256_min_ps(low_f32x8, _mm256_permute2f128_ps(low_f32x8, low_f32x8, 1));
		low_f32x8 = _mm256_min_ps(low_f32x8, _mm256_permute_ps(low_f32x8, 0x4e));
		low_f32x8 = _mm256_min_ps(low_f32x8, _mm256_permute_ps(low_f32x8, 0xb1));
		mask0 = (uint32_t) _mm256_movemask_ps(_mm256_cmp_ps(value0_f32x8, low_f32x8, _CMP_EQ_OQ));
		mask8 = (uint32_t) _mm256_movemask_ps(_mm256_cmp_ps(value8_f32x8, low_f32x8, _CMP_EQ_OQ));
		codes[m] = (uint8_t) __builtin_ctz(mask0 | mask8 << 8);
	}
}

/* The best first codeword of each second one: costs and numbers, eight of them in a register. */
typedef struct Partners
{
	__m256 cost_f32x8;
	__m256i number_i32x8;
} Partners;

static ANN_INLINE void
take_lesser(Partners *best, __m256 value_f32x8, int i)
{
	__m256 less_f32x8 = _mm256_cmp_ps(value_f32x8, best->cost_f32x8, _CMP_LT_OQ);

	best->cost_f32x8 = _mm256_blendv_ps(best->cost_f32x8, value_f32x8, less_f32x8);
	best->number_i32x8 = _mm256_blendv_epi8(best->number_i32x8, _mm256_set1_epi32(i),
											_mm256_castps_si256(less_f32x8));
}

/* a, b: codewords of a block in both layers; table, bias: of the first. */
static ANN_INLINE void
best_partners(const float *table, const float *bias, const float *a, const float *b, int width,
			  Partners *low, Partners *high)
{
	*low = (Partners){_mm256_set1_ps(INFINITY), _mm256_setzero_si256()};
	*high = *low;
	for (int i = 0; i < ANN_CODEWORDS; i++)
	{
		__m256 own_f32x8 = _mm256_set1_ps(bias[i] - 2 * table[i]);
		__m256 low_f32x8 = _mm256_setzero_ps();
		__m256 high_f32x8 = _mm256_setzero_ps();
		__m256 two_f32x8 = _mm256_set1_ps(2);

		for (int d = 0; d < width; d++)
		{
			__m256 a_f32x8 = _mm256_broadcast_ss(a + d * ANN_CODEWORDS + i);

			low_f32x8 = _mm256_fmadd_ps(a_f32x8, _mm256_loadu_ps(b + d * ANN_CODEWORDS), low_f32x8);
			high_f32x8 =
				_mm256_fmadd_ps(a_f32x8, _mm256_loadu_ps(b + d * ANN_CODEWORDS + 8), high_f32x8);
		}
		take_lesser(low, _mm256_fmadd_ps(two_f32x8, low_f32x8, own_f32x8), i);
		take_lesser(high, _mm256_fmadd_ps(two_f32x8, high_f32x8, own_f32x8), i);
	}
}

void
ann_encode_pairs_avx2(const float *table, const float *bias, const float *codebook, int num_blocks,
					  int width, uint8_t *codes)
{
	size_t stride = (size_t) width * ANN_CODEWORDS;

	for (int m = 0; m < num_blocks; m++)
	{
		size_t first = (size_t) m * ANN_CODEWORDS;
		size_t second = (size_t) (num_blocks + m) * ANN_CODEWORDS;
		float cost[ANN_CODEWORDS];
		int32_t partner[ANN_CODEWORDS];
		int chosen = 0;
		Partners low;
		Partners high;

		best_partners(table + first, bias + first, codebook + m * stride,
					  codebook + (num_blocks + m) * stride, width, &low, &high);
		_mm256_storeu_ps(
			cost, _mm256_add_ps(low.cost_f32x8, encode_values(table + second, bias + second)));
		_mm256_storeu_ps(
			cost + 8,
			_mm256_add_ps(high.cost_f32x8, encode_values(table + second + 8, bias + second + 8)));
		_mm256_storeu_si256((__m256i *) partner, low.number_i32x8);
		_mm256_storeu_si256((__m256i *) (partner + 8), high.number_i32x8);
		for (int j = 1; j < ANN_CODEWORDS; j++)
			chosen = cost[j] < cost[chosen] ? j : chosen;
		codes[m] = (uint8_t) partner[chosen];
		codes[num_blocks + m] = (uint8_t) chosen;
	}
}

/* The sums of the 32 codes. */
typedef struct BlockSums
{
	__m256i lane0_u32x8;
	__m256i lane8_u32x8;
	__m256i lane16_u32x8;
	__m256i lane24_u32x8;
} BlockSums;

static ANN_INLINE __m256
load_bf16(const uint16_t *values)
{
	__m128i bits_u16x8 = _mm_loadu_si128((const __m128i *) values);

	return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits_u16x8), 16));
}

static ANN_INLINE __m256
absolute(__m256 value_f32x8)
{
	return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), value_f32x8);
}

/* Keys of 8 lanes. The sums are below 2^31: the signed conversion will do. */
static ANN_INLINE __m256
bound_keys(__m256i acc_u32x8, const float *b, const uint16_t *s, const uint16_t *err,
		   const AnnBoundParams *params)
{
	__m256 g_f32x8 = _mm256_set1_ps(params->g);
	__m256 s_f32x8 = load_bf16(s);
	__m256 err_f32x8 = load_bf16(err);
	__m256 part_f32x8 = _mm256_mul_ps(_mm256_set1_ps(params->weight_b), _mm256_loadu_ps(b));
	__m256 sum_f32x8 = _mm256_fmadd_ps(_mm256_cvtepi32_ps(acc_u32x8), _mm256_set1_ps(params->step),
									   _mm256_set1_ps(params->base));
	__m256 est_f32x8 = _mm256_fmadd_ps(s_f32x8, sum_f32x8, _mm256_add_ps(g_f32x8, part_f32x8));
	__m256 spread_f32x8 = _mm256_min_ps(
		_mm256_fmadd_ps(_mm256_max_ps(est_f32x8, _mm256_setzero_ps()),
						_mm256_set1_ps(params->var_slope), _mm256_set1_ps(params->var_base)),
		_mm256_set1_ps(params->var_cap));
	__m256 var_f32x8 = _mm256_fmadd_ps(
		_mm256_mul_ps(err_f32x8, err_f32x8), spread_f32x8,
		_mm256_mul_ps(_mm256_mul_ps(s_f32x8, s_f32x8), _mm256_set1_ps(params->var_table)));
	__m256 size_f32x8 = _mm256_add_ps(absolute(g_f32x8), absolute(part_f32x8));
	__m256 key_f32x8 = _mm256_fnmadd_ps(_mm256_set1_ps(params->slack), size_f32x8, est_f32x8);

	key_f32x8 = _mm256_fnmadd_ps(_mm256_set1_ps(params->z), _mm256_sqrt_ps(var_f32x8), key_f32x8);
	/* maxps returns its second operand if the first is NaN. */
	return _mm256_max_ps(key_f32x8, _mm256_set1_ps(-INFINITY));
}

/* Keys of the 8 lanes from lane on, and their part of the mask. */
static ANN_INLINE uint32_t
bound_lanes(__m256i acc_u32x8, int lane, const float *b, const uint16_t *s, const uint16_t *err,
			const AnnBoundParams *params, float threshold, float *keys)
{
	__m256 keys_f32x8 = bound_keys(acc_u32x8, b + lane, s + lane, err + lane, params);
	__m256 within = _mm256_cmp_ps(keys_f32x8, _mm256_set1_ps(threshold), _CMP_LE_OQ);

	_mm256_storeu_ps(keys + lane, keys_f32x8);
	return (uint32_t) _mm256_movemask_ps(within) << lane;
}

/* bounds, with the sums in registers. */
static ANN_INLINE uint32_t
bound_block(BlockSums sums, const float *b, const uint16_t *s, const uint16_t *err,
			const AnnBoundParams *params, float threshold, float *keys)
{
	return bound_lanes(sums.lane0_u32x8, 0, b, s, err, params, threshold, keys) |
		   bound_lanes(sums.lane8_u32x8, 8, b, s, err, params, threshold, keys) |
		   bound_lanes(sums.lane16_u32x8, 16, b, s, err, params, threshold, keys) |
		   bound_lanes(sums.lane24_u32x8, 24, b, s, err, params, threshold, keys);
}

uint32_t
ann_bounds_avx2(const uint32_t acc[ANN_BLOCK_LANES], const float *b, const uint16_t *s,
				const uint16_t *err, const AnnBoundParams *params, float threshold,
				float keys[ANN_BLOCK_LANES])
{
	BlockSums sums = {_mm256_loadu_si256((const __m256i *) acc),
					  _mm256_loadu_si256((const __m256i *) (acc + 8)),
					  _mm256_loadu_si256((const __m256i *) (acc + 16)),
					  _mm256_loadu_si256((const __m256i *) (acc + 24))};

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
	__m256i all_low_u16x16; /* each half has its own blocks; lane k: codes 2k and 2k + 1 */
	__m256i odd_low_u16x16;
	__m256i all_high_u16x16; /* the same for codes 16 to 31, the high nibbles */
	__m256i odd_high_u16x16;
} ChunkSums;

/* Two blocks, one in each half of the codes and of the table. */
static ANN_INLINE void
add_blocks(ChunkSums *sums, __m256i codes_u8x32, __m256i table_u8x32)
{
	__m256i nibble_u8x32 = _mm256_set1_epi8(0x0f);
	__m256i low_u8x32 =
		_mm256_shuffle_epi8(table_u8x32, _mm256_and_si256(codes_u8x32, nibble_u8x32));
	__m256i high_u8x32 = _mm256_shuffle_epi8(
		table_u8x32, _mm256_and_si256(_mm256_srli_epi16(codes_u8x32, 4), nibble_u8x32));

	sums->all_low_u16x16 = _mm256_add_epi16(sums->all_low_u16x16, low_u8x32);
	sums->odd_low_u16x16 = _mm256_add_epi16(sums->odd_low_u16x16, _mm256_srli_epi16(low_u8x32, 8));
	sums->all_high_u16x16 = _mm256_add_epi16(sums->all_high_u16x16, high_u8x32);
	sums->odd_high_u16x16 =
		_mm256_add_epi16(sums->odd_high_u16x16, _mm256_srli_epi16(high_u8x32, 8));
}

/* Adds 16 codes of a chunk: the halves summed, even and odd codes interleaved. */
static ANN_INLINE void
add_chunk(__m256i *first_u32x8, __m256i *second_u32x8, __m256i all_u16x16, __m256i odd_u16x16)
{
	__m256i even_u16x16 = _mm256_sub_epi16(all_u16x16, _mm256_slli_epi16(odd_u16x16, 8));
	__m128i even_u16x8 = _mm_add_epi16(_mm256_castsi256_si128(even_u16x16),
									   _mm256_extracti128_si256(even_u16x16, 1));
	__m128i odd_u16x8 =
		_mm_add_epi16(_mm256_castsi256_si128(odd_u16x16), _mm256_extracti128_si256(odd_u16x16, 1));

	*first_u32x8 = _mm256_add_epi32(
		*first_u32x8, _mm256_cvtepu16_epi32(_mm_unpacklo_epi16(even_u16x8, odd_u16x8)));
	*second_u32x8 = _mm256_add_epi32(
		*second_u32x8, _mm256_cvtepu16_epi32(_mm_unpackhi_epi16(even_u16x8, odd_u16x8)));
}

static ANN_INLINE BlockSums
sum_blocks(const uint8_t *codes, const uint8_t *table, int num_blocks)
{
	__m256i zero = _mm256_setzero_si256();
	BlockSums sums = {zero, zero, zero, zero};
	size_t bytes = (size_t) num_blocks * ANN_CODEWORDS;
	size_t chunk_bytes = ANN_ACCUMULATE_CHUNK * ANN_CODEWORDS;

	for (size_t first = 0; first < bytes; first += chunk_bytes)
	{
		size_t end = bytes - first < chunk_bytes ? bytes : first + chunk_bytes;
		ChunkSums chunk = {zero, zero, zero, zero};
		size_t at = first;

		for (; at + 32 <= end; at += 32)
		{
			__builtin_prefetch(codes + at + ANN_PREFETCH_BYTES);
			add_blocks(&chunk, _mm256_loadu_si256((const __m256i *) (codes + at)),
					   _mm256_loadu_si256((const __m256i *) (table + at)));
		}
		/* An odd block: the table's other half is zero, whatever its codes. */
		if (at < end)
			add_blocks(&chunk,
					   _mm256_zextsi128_si256(_mm_loadu_si128((const __m128i *) (codes + at))),
					   _mm256_zextsi128_si256(_mm_loadu_si128((const __m128i *) (table + at))));
		add_chunk(&sums.lane0_u32x8, &sums.lane8_u32x8, chunk.all_low_u16x16, chunk.odd_low_u16x16);
		add_chunk(&sums.lane16_u32x8, &sums.lane24_u32x8, chunk.all_high_u16x16,
				  chunk.odd_high_u16x16);
	}
	return sums;
}

static ANN_INLINE void
add_to_acc(uint32_t *acc, __m256i sums_u32x8)
{
	__m256i acc_u32x8 = _mm256_loadu_si256((const __m256i *) acc);

	_mm256_storeu_si256((__m256i *) acc, _mm256_add_epi32(acc_u32x8, sums_u32x8));
}

void
ann_accumulate_avx2(const uint8_t *codes, const uint8_t *table, int num_blocks,
					uint32_t acc[ANN_BLOCK_LANES])
{
	BlockSums sums = sum_blocks(codes, table, num_blocks);

	add_to_acc(acc, sums.lane0_u32x8);
	add_to_acc(acc + 8, sums.lane8_u32x8);
	add_to_acc(acc + 16, sums.lane16_u32x8);
	add_to_acc(acc + 24, sums.lane24_u32x8);
}

uint32_t
ann_score_avx2(const uint8_t *codes, const uint8_t *table, int num_blocks, const float *b,
			   const uint16_t *s, const uint16_t *err, const AnnBoundParams *params,
			   float threshold, float keys[ANN_BLOCK_LANES])
{
	return bound_block(sum_blocks(codes, table, num_blocks), b, s, err, params, threshold, keys);
}

ANN_TARGET_END

#endif
