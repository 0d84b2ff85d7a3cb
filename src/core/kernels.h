/*
 * kernels.h
 *	  The contract of every SIMD kernel, and the table through which they are called.
 *
 * NOTES
 *	  One set of functions per instruction set: kernels_scalar.c (the reference semantics),
 *	  kernels_avx2.c, kernels_avx512.c, kernels_neon.c, each with the parts that kernels_parts.h
 *	  names, with the same names and another suffix: ann_<op>_<isa>. dispatch.c chooses one table
 *	  once per process; callers make one indirect call per *block of codes* or per *batch of rows*,
 *	  never one per dimension.
 *
 *	  No kernel needs alignment, none reads or writes past the ranges stated here, none allocates.
 *	  Integer results (accumulate, encode on ties: the lowest codeword) are bit-equal in all
 *	  variants. Float results may differ in rounding only: within c * eps * sum |term| of the exact
 *	  value. NaN and infinity in the input give the result that IEEE arithmetic gives, except where
 *	  said. Within one variant the result for a row, or for a pair of rows, is made of their floats
 *	  and of dim alone, bit for bit: neither the address nor the other rows of a call enter.
 *
 *	  Though none is needed, alignment pays where sums go through memory: acc and keys that start at
 *	  a multiple of 64 bytes save accumulate and bounds a fifth of their time on short codes, rows
 *	  of floats that do save l2_squared a quarter.
 */
#ifndef ANN_CORE_KERNELS_H
#define ANN_CORE_KERNELS_H

#include "core/base.h"

/*
 * How bounds() turns table sums and row factors into keys (lower bounds of the distance). All
 * values in the metric's own key unit (src/README, "The codec"). For lane j with sum acc[j] and
 * factors b, s, err (s and err widened from bf16):
 *
 *	  est = g + weight_b * b + s * (acc * step + base)
 *	  var = err^2 * min(max(est, 0) * var_slope + var_base, var_cap) + s^2 * var_table
 *	  key = est - z * sqrt(var) - slack * (|g| + |weight_b * b|)
 *
 * A key that comes out as NaN (err = +infinity: "always read exactly") becomes -infinity.
 */
typedef struct AnnBoundParams
{
	float g;         /* the leaf's part of the estimate */
	float weight_b;  /* multiplies b */
	float step;      /* of one unit of acc, times the metric's factor (-2, -1) */
	float base;      /* of acc = 0, times the same factor */
	float var_slope; /* variance per unit of estimate */
	float var_base;  /* constant part of the variance */
	float var_cap;   /* the variance never exceeds err^2 times this */
	float var_table; /* variance of the rounded table, per unit of s^2 */
	float z;         /* width of the bound; 0: key = est (but for err = +infinity) */
	float slack;     /* for the float rounding of est itself */
} AnnBoundParams;

typedef struct AnnKernels
{
	const char *name; /* the value of ann.simd that selects it: scalar, avx2, avx512, neon */

	/* Distances of two vectors of dim >= 0 floats (0 for dim = 0), float accumulators. */
	float (*l2_squared)(const float *a, const float *b, int dim);
	float (*inner_product)(const float *a, const float *b, int dim);
	float (*l1)(const float *a, const float *b, int dim);
	float (*norm_squared)(const float *a, int dim);
	/* parts[0] = <a,b>, parts[1] = |a|^2, parts[2] = |b|^2 in one pass, for cosine. */
	void (*cosine_parts)(const float *a, const float *b, int dim, float parts[3]);

	/*
	 * The same of two vectors of halves (core/half.h), without going through memory: bit-equal to
	 * the kernel for floats of what half_to_float makes of a and b. Halves are 2-byte aligned.
	 */
	float (*half_l2_squared)(const uint16_t *a, const uint16_t *b, int dim);
	float (*half_inner_product)(const uint16_t *a, const uint16_t *b, int dim);
	float (*half_l1)(const uint16_t *a, const uint16_t *b, int dim);
	void (*half_cosine_parts)(const uint16_t *a, const uint16_t *b, int dim, float parts[3]);

	/*
	 * out[i] = the half precision number halves[i] (core/half.h), exactly and bit-equal in all
	 * variants, for num >= 0 numbers. halves are 2-byte aligned.
	 */
	void (*half_to_float)(const uint16_t *halves, int num, float *out);

	/* out = a - b, for dim >= 0 floats; returns |out|^2. out may be a or b, else they lie apart. */
	float (*subtract)(const float *a, const float *b, int dim, float *out);

	/*
	 * In double, where products of floats neither overflow nor vanish. double_product = <a,b>: the
	 * products are exact and are added in one order, so it is bit-equal in all variants; so is add,
	 * sums[d] += row[d]. power_sum =
	 * sum (|a[d] - b[d]| / unit)^power for whole numbers power >= 1 and unit > 0. linf = the
	 * greatest |a[d] - b[d]| of finite vectors, bit-equal in all variants. All are 0 for dim = 0.
	 */
	double (*double_product)(const float *a, const float *b, int dim);
	void (*add)(const float *row, int dim, double *sums);
	double (*power_sum)(const float *a, const float *b, int dim, double unit, int power);
	double (*linf)(const float *a, const float *b, int dim);
	/* In how many places a[d] != b[d]. */
	int (*num_different)(const float *a, const float *b, int dim);

	/*
	 * Two strings of bits, num_bytes >= 0 bytes each: the bits that differ; and counts[0] = the
	 * bits set in both, counts[1] = those set in either or both.
	 */
	uint64_t (*bits_different)(const uint8_t *a, const uint8_t *b, size_t num_bytes);
	void (*bits_common)(const uint8_t *a, const uint8_t *b, size_t num_bytes, uint64_t counts[2]);

	/*
	 * All inner products of two sets: out[i * out_stride + j] = <a_i, b_j>, a: num_a rows of
	 * a_stride floats, b: num_b rows of b_stride floats, each of dim floats. The blocked matrix
	 * product that k-means and assignment are made of: register tiles, vectors along dim.
	 */
	void (*products)(const float *a, size_t a_stride, int num_a, const float *b, size_t b_stride,
					 int num_b, int dim, float *out, size_t out_stride);

	/*
	 * Nearest of many: best[i] = argmin_j (bias_b[j] - 2 <a_i, b_j>), the lowest j on ties, and
	 * best_score[i] its value (add |a_i|^2 for the squared distance, with bias_b[j] = |b_j|^2).
	 * num_b >= 1. A NaN score never wins; if all are NaN, best = 0 with score +infinity.
	 */
	void (*nearest)(const float *a, size_t a_stride, int num_a, const float *b, size_t b_stride,
					int num_b, const float *bias_b, int dim, uint32_t *best, float *best_score);

	/*
	 * Scores of centroids as they stand in node pages: num rows of dim elements, stride_bytes
	 * apart, bf16 or f32. ADDS the squared distance (l2_*) or the inner product (ip_*) to out[i],
	 * so that a centroid that spans pages is scored piece by piece. Rows are 2-byte aligned at
	 * least for bf16, 4-byte for f32.
	 */
	void (*l2_rows_bf16)(const float *query, const void *rows, size_t stride_bytes, int num,
						 int dim, float *out);
	void (*ip_rows_bf16)(const float *query, const void *rows, size_t stride_bytes, int num,
						 int dim, float *out);
	void (*l2_rows_f32)(const float *query, const void *rows, size_t stride_bytes, int num, int dim,
						float *out);
	void (*ip_rows_f32)(const float *query, const void *rows, size_t stride_bytes, int num, int dim,
						float *out);

	/*
	 * Query table: out[m * 16 + c] = sum_d query[m * width + d] * codebook[(m * width + d) * 16 +
	 * c], for m < num_blocks, width = dimensions per block, query padded with zeros to num_blocks *
	 * width floats.
	 */
	void (*query_table)(const float *query, const float *codebook, int num_blocks, int width,
						float *out);

	/*
	 * Encode: codes[m] = argmin_c (bias[m * 16 + c] - 2 * table[m * 16 + c]) with table as
	 * query_table makes it from the row, the lowest c on ties; bias[m * 16 + c] = |codeword|^2.
	 */
	void (*encode)(const float *table, const float *bias, int num_blocks, uint8_t *codes);

	/*
	 * Encode in two layers (core/pq.h): the table, bias and codebook of 2 * num_blocks blocks;
	 * codes[m] and codes[num_blocks + m] = the pair (i, j) with the least
	 *
	 *	  bias[a] - 2 * table[a] + bias[b] - 2 * table[b] + 2 <codeword a, codeword b>
	 *
	 * for a = m * 16 + i, b = (num_blocks + m) * 16 + j; the lowest j, then the lowest i on ties.
	 * Always below 16; of NaN any.
	 */
	void (*encode_pairs)(const float *table, const float *bias, const float *codebook,
						 int num_blocks, int width, uint8_t *codes);

	/*
	 * LUT16 block scan: for each of the 32 lanes, ADDS sum_m table[m * 16 + code(m, lane)] to
	 * acc[lane]. codes: num_blocks * 16 bytes, byte m * 16 + j holds lane j in its low and lane
	 * j + 16 in its high nibble. table: num_blocks * 16 bytes. Sums are exact (u32) for any
	 * num_blocks up to 2^24: u16 accumulators are widened every 256 blocks.
	 */
	void (*accumulate)(const uint8_t *codes, const uint8_t *table, int num_blocks,
					   uint32_t acc[ANN_BLOCK_LANES]);

	/*
	 * Factor pass: keys of 32 lanes (see AnnBoundParams); returns the mask of lanes with
	 * key <= threshold (bit j = lane j). acc is below 2^31, and converted to float exactly below
	 * 2^24.
	 */
	uint32_t (*bounds)(const uint32_t acc[ANN_BLOCK_LANES], const float *b, const uint16_t *s,
					   const uint16_t *err, const AnnBoundParams *params, float threshold,
					   float keys[ANN_BLOCK_LANES]);

	/*
	 * A whole block in one call: accumulate from zero, then bounds. Faster than the two by a fifth
	 * for short codes, because the sums stay in registers; codes whose parts lie apart, and tables
	 * of 16 bits, need the two.
	 */
	uint32_t (*score)(const uint8_t *codes, const uint8_t *table, int num_blocks, const float *b,
					  const uint16_t *s, const uint16_t *err, const AnnBoundParams *params,
					  float threshold, float keys[ANN_BLOCK_LANES]);
} AnnKernels;

/* The tables that this build has; NULL where the architecture is another. */
extern const AnnKernels ann_kernels_scalar;
#if defined(__x86_64__)
extern const AnnKernels ann_kernels_avx2;
extern const AnnKernels ann_kernels_avx512;
/*
 * The same under the same name, for machines with VBMI, VNNI and VPOPCNTDQ: faster, equal bit for
 * bit.
 */
extern const AnnKernels ann_kernels_avx512_vbmi;
#endif
#if defined(__aarch64__)
extern const AnnKernels ann_kernels_neon;
#endif

/* The chosen table; never NULL (scalar until ann_kernels_choose runs). */
extern const AnnKernels *ann_kernels;

/*
 * Chooses the table called name ("auto": the best that this machine runs). False, and nothing
 * changed, when the name is unknown or the machine cannot run it.
 */
extern bool ann_kernels_choose(const char *name);

/* Table number i of those that this machine can run, scalar first; NULL past the last. */
extern const AnnKernels *ann_kernels_available(int i);

#endif
