/*
 * kernels_parts.h
 *	  The kernels of a variant that stand in files of their own, for the table in kernels_<isa>.c:
 *	  of two vectors (kernels_<isa>_pairs.c), of strings of bits (kernels_<isa>_bits.c), on codes
 *	  (kernels_<isa>_codes.c). Their contract is in kernels.h; nobody else includes this.
 */
#ifndef ANN_CORE_KERNELS_PARTS_H
#define ANN_CORE_KERNELS_PARTS_H

#include "core/kernels.h"

/* What a sum over two vectors adds up. */
typedef enum AnnTerm
{
	ANN_TERM_L2,
	ANN_TERM_IP,
	ANN_TERM_L1,
} AnnTerm;

/* Elements of a vector. */
typedef enum AnnForm
{
	ANN_FORM_F32,
	ANN_FORM_F16,
} AnnForm;

/* Partial sums of double_product: as many in every variant, so that all give the same bits. */
#define ANN_DOUBLE_LANES 32

#define ANN_DECLARE_PAIR_KERNELS(isa)                                                              \
	extern float ann_l2_squared_##isa(const float *a, const float *b, int dim);                    \
	extern float ann_inner_product_##isa(const float *a, const float *b, int dim);                 \
	extern float ann_l1_##isa(const float *a, const float *b, int dim);                            \
	extern float ann_norm_squared_##isa(const float *a, int dim);                                  \
	extern void ann_cosine_parts_##isa(const float *a, const float *b, int dim, float parts[3]);   \
	extern float ann_half_l2_squared_##isa(const uint16_t *a, const uint16_t *b, int dim);         \
	extern float ann_half_inner_product_##isa(const uint16_t *a, const uint16_t *b, int dim);      \
	extern float ann_half_l1_##isa(const uint16_t *a, const uint16_t *b, int dim);                 \
	extern void ann_half_cosine_parts_##isa(const uint16_t *a, const uint16_t *b, int dim,         \
											float parts[3]);                                       \
	extern void ann_half_to_float_##isa(const uint16_t *halves, int num, float *out);              \
	extern float ann_subtract_##isa(const float *a, const float *b, int dim, float *out);          \
	extern double ann_double_product_##isa(const float *a, const float *b, int dim);               \
	extern void ann_add_##isa(const float *row, int dim, double *sums);                            \
	extern double ann_power_sum_##isa(const float *a, const float *b, int dim, double unit,        \
									  int power);                                                  \
	extern double ann_linf_##isa(const float *a, const float *b, int dim);                         \
	extern int ann_num_different_##isa(const float *a, const float *b, int dim)

#define ANN_DECLARE_BIT_KERNELS(isa)                                                               \
	extern uint64_t ann_bits_different_##isa(const uint8_t *a, const uint8_t *b,                   \
											 size_t num_bytes);                                    \
	extern void ann_bits_common_##isa(const uint8_t *a, const uint8_t *b, size_t num_bytes,        \
									  uint64_t counts[2])

#define ANN_DECLARE_CODE_KERNELS(isa)                                                              \
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

/* The members of a variant's table that its file of pairs provides. */
#define ANN_PAIR_KERNELS(isa)                                                                      \
	.l2_squared = ann_l2_squared_##isa, .inner_product = ann_inner_product_##isa,                  \
	.l1 = ann_l1_##isa, .norm_squared = ann_norm_squared_##isa,                                    \
	.cosine_parts = ann_cosine_parts_##isa, .half_l2_squared = ann_half_l2_squared_##isa,          \
	.half_inner_product = ann_half_inner_product_##isa, .half_l1 = ann_half_l1_##isa,              \
	.half_cosine_parts = ann_half_cosine_parts_##isa, .half_to_float = ann_half_to_float_##isa,    \
	.subtract = ann_subtract_##isa, .double_product = ann_double_product_##isa,                    \
	.add = ann_add_##isa, .power_sum = ann_power_sum_##isa, .linf = ann_linf_##isa,                \
	.num_different = ann_num_different_##isa

ANN_DECLARE_PAIR_KERNELS(scalar);
ANN_DECLARE_BIT_KERNELS(scalar);
#if defined(__x86_64__)
ANN_DECLARE_PAIR_KERNELS(avx2);
ANN_DECLARE_BIT_KERNELS(avx2);
ANN_DECLARE_CODE_KERNELS(avx2);
ANN_DECLARE_PAIR_KERNELS(avx512);
ANN_DECLARE_BIT_KERNELS(avx512);
ANN_DECLARE_CODE_KERNELS(avx512);
/* With VBMI, VNNI and VPOPCNTDQ. */
ANN_DECLARE_BIT_KERNELS(avx512_vbmi);
extern void ann_accumulate_avx512_vbmi(const uint8_t *codes, const uint8_t *table, int num_blocks,
									   uint32_t acc[ANN_BLOCK_LANES]);
extern uint32_t
ann_score_avx512_vbmi(const uint8_t *codes, const uint8_t *table, int num_blocks, const float *b,
					  const uint16_t *s, const uint16_t *err, const AnnBoundParams *params,
					  float threshold, float keys[ANN_BLOCK_LANES]);
#endif
#if defined(__aarch64__)
ANN_DECLARE_PAIR_KERNELS(neon);
ANN_DECLARE_BIT_KERNELS(neon);
ANN_DECLARE_CODE_KERNELS(neon);
#endif

/* Blocks whose sums an unsigned 16-bit lane holds for certain: 256 * 255 < 2^16. */
#define ANN_ACCUMULATE_CHUNK 256

/*
 * How far ahead of itself accumulate fetches codes into the cache (x86): the bytes of a block of
 * 64, as the next block as a rule stands right behind this one. A hint, which cannot fault; it may
 * lie past the codes.
 */
#define ANN_PREFETCH_BYTES 1536

#endif
