/*
 * kernels_codes.h
 *	  The kernels of a variant that work on codes (kernels_<isa>_codes.c) and on halves
 *	  (kernels_<isa>_half.c), for the table in kernels_<isa>.c. Their contract is in kernels.h;
 *	  nobody else includes this.
 */
#ifndef ANN_CORE_KERNELS_CODES_H
#define ANN_CORE_KERNELS_CODES_H

#include "core/kernels.h"

#define ANN_DECLARE_CODE_KERNELS(isa)                                                              \
	extern void ann_half_to_float_##isa(const uint16_t *halves, int num, float *out);              \
	extern void ann_query_table_##isa(const float *query, const float *codebook, int num_blocks,   \
									  int width, float *out);                                      \
	extern void ann_encode_##isa(const float *table, const float *bias, int num_blocks,            \
								 uint8_t *codes);                                                  \
	extern void ann_encode_pairs_##isa(const float *table, const float *bias,                      \
									   const float *codebook, int num_blocks, int width,           \
									   uint8_t *codes);                                            \
	extern void ann_accumulate_##isa(const uint8_t *codes, const uint8_t *table, int num_blocks,   \
									 uint32_t acc[ANN_BLOCK_LANES]);                               \
	extern uint32_t ann_bounds_##isa(const uint32_t acc[ANN_BLOCK_LANES], const float *b,          \
									 const uint16_t *s, const uint16_t *err,                       \
									 const AnnBoundParams *params, float threshold,                \
									 float keys[ANN_BLOCK_LANES]);                                 \
	extern uint32_t ann_score_##isa(const uint8_t *codes, const uint8_t *table, int num_blocks,    \
									const float *b, const uint16_t *s, const uint16_t *err,        \
									const AnnBoundParams *params, float threshold,                 \
									float keys[ANN_BLOCK_LANES])

#if defined(__x86_64__)
ANN_DECLARE_CODE_KERNELS(avx2);
ANN_DECLARE_CODE_KERNELS(avx512);
extern void ann_accumulate_avx512_vbmi(const uint8_t *codes, const uint8_t *table, int num_blocks,
									   uint32_t acc[ANN_BLOCK_LANES]);
extern uint32_t
ann_score_avx512_vbmi(const uint8_t *codes, const uint8_t *table, int num_blocks, const float *b,
					  const uint16_t *s, const uint16_t *err, const AnnBoundParams *params,
					  float threshold, float keys[ANN_BLOCK_LANES]);
#endif
#if defined(__aarch64__)
ANN_DECLARE_CODE_KERNELS(neon);
#endif

/* Blocks whose sums an unsigned 16-bit lane holds for certain: 256 * 255 < 2^16. */
#define ANN_ACCUMULATE_CHUNK 256

/*
 * How far ahead of itself accumulate fetches codes into the cache (x86): the bytes of a block of 64,
 * as the next block as a rule stands right behind this one. A hint, which cannot fault; it may lie past the codes.
 */
#define ANN_PREFETCH_BYTES 1536

#endif
