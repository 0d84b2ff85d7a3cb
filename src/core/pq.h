/*
 * pq.h
 *	  The quantisers: 4 or 8 bits per block of `width` dimensions, trained on unit residuals, and
 *	  the per-row factors that make their estimate unbiased.
 *
 * NOTES
 *	  A code is made of nibbles, whatever its bits, so that one kernel scores all: of 8 bits there
 *	  are two layers of 4, each with a codeword for every block, and what a code stands for is the
 *	  sum of both. Blocks of the first layer come first, then those of the second.
 *
 *	  With n = num_blocks / layers, block m covers dimensions [m % n * width, (m % n + 1) * width)
 *	  of the vector padded with zeros to n * width. The codebook is stored with the 16 codewords
 *	  innermost, codebook[(m * width + d) * 16 + c], so that one SIMD register holds one dimension
 *	  of all 16.
 *
 *	  Factors (src/README, "The codec"; the scale is RaBitQ's unbiased estimator, Gao and Long 2024,
 *	  carried over to PQ): with x the row and c its leaf's centroid, both with the mean taken off,
 *	  r = x - c, u the decoded code of r / |r|:
 *		s = bf16(|r|^2 / max(<r,u>, .2 |r| |u|)),  y = s u,  e = r - y,  err = bf16_up(|e|)
 *		L2: b = 2 <x,y> - |r|^2		inner product: b = -<x,e>
 *	  |r| = 0 or |u| = 0: s = 0, e = r. Without a code (flat) b = s = 0 and err = +infinity.
 */
#ifndef ANN_CORE_PQ_H
#define ANN_CORE_PQ_H

#include "core/base.h"

/* Values are on disk. */
typedef enum AnnQuantizer
{
	ANN_QUANTIZER_PQ = 0,   /* trained codewords; 1 or 2 layers */
	ANN_QUANTIZER_SQ8 = 1,  /* 256 uniform levels for each dimension: width 1, 2 layers */
	ANN_QUANTIZER_FLAT = 2, /* no code: width, layers and num_blocks are 0 */
} AnnQuantizer;

#define ANN_MAX_LAYERS 2

typedef struct AnnPq
{
	AnnQuantizer quantizer;
	int dim;
	int width;       /* dimensions per block */
	int layers;      /* nibbles of a block of dimensions */
	int num_blocks;  /* layers * ceil(dim / width): nibbles of a code */
	float weight;    /* of the error along the row; at most 1: as any other (anisotropic.h) */
	float *codebook; /* num_blocks * width * 16 */
	float *bias;     /* num_blocks * 16 squared norms of the codewords */
} AnnPq;

typedef struct AnnFactors
{
	float b;
	uint16_t s;   /* bf16 */
	uint16_t err; /* bf16, rounded up; +infinity: always read exactly */
} AnnFactors;

typedef enum AnnCodeForm
{
	ANN_CODE_L2, /* squared L2; cosine on normalised vectors */
	ANN_CODE_IP,
	/* absolute codes, see core/absolute.h */
	ANN_CODE_L1,      /* taxicab; Hamming on strings of bits */
	ANN_CODE_OVERLAP, /* common bits: Jaccard */
} AnnCodeForm;

/* Floats of codebook and of bias. */
static inline size_t
ann_pq_codebook_floats(int num_blocks, int width)
{
	return (size_t) num_blocks * width * ANN_CODEWORDS;
}

static inline size_t
ann_pq_bias_floats(int num_blocks)
{
	return (size_t) num_blocks * ANN_CODEWORDS;
}

/* Blocks of one layer. */
static inline int
ann_pq_layer_blocks(const AnnPq *pq)
{
	return pq->layers > 0 ? pq->num_blocks / pq->layers : 0;
}

/* Floats of a vector in whole blocks, at least dim. */
static inline size_t
ann_pq_padded_dim(const AnnPq *pq)
{
	size_t padded = (size_t) ann_pq_layer_blocks(pq) * (size_t) pq->width;

	return padded < (size_t) pq->dim ? (size_t) pq->dim : padded;
}

/* Sets everything but codebook and bias, weight 0. width, layers: as the quantiser has them. */
extern void ann_pq_shape(AnnPq *pq, AnnQuantizer quantizer, int dim, int width, int layers);

/* Fills bias from codebook. */
extern void ann_pq_rebias(AnnPq *pq);

extern size_t ann_pq_train_workspace_size(const AnnPq *pq, size_t num_rows);

/*
 * Trains the codebook (and bias) on num_rows rows of dim floats that are already unit residuals
 * (zero rows are passed over). Fewer than 16 distinct sub-vectors: codewords repeat. num_rows = 0:
 * all codewords zero. Deterministic in seed.
 */
extern AnnStatus ann_pq_train(AnnPq *pq, const float *rows, size_t num_rows, int iterations,
							  uint64_t seed, AnnWatch *watch, void *workspace);

/*
 * out: num_blocks * 16 inner products of a query (ann_pq_padded_dim floats) with all codewords.
 */
extern void ann_pq_query_table(const AnnPq *pq, const float *query, float *table);

/*
 * The code of x (ann_pq_padded_dim floats, zeros from dim on): num_blocks bytes, one nibble each;
 * the nearest codewords, of two layers the nearest sum. scratch: so many floats.
 */
extern size_t ann_pq_encode_scratch_floats(const AnnPq *pq);
extern void ann_pq_encode(const AnnPq *pq, const float *x, uint8_t *codes, float *scratch);

/* Floats of scratch for ann_pq_encode_row, at least dim. */
extern size_t ann_pq_row_scratch_floats(const AnnPq *pq);

/*
 * Code and factors of one row. x, centroid (NULL: the origin): dim floats, mean taken off. codes:
 * num_blocks bytes, one nibble each. False when a factor is not finite or leaves bf16's range (the
 * row then belongs into the exact leaf); codes and factors are then undefined. Forms of absolute
 * codes ignore the centroid, and have one layer or none.
 */
extern bool
ann_pq_encode_row(const AnnPq *pq, AnnCodeForm form, const float *x, const float *centroid,
				  uint8_t *codes, AnnFactors *factors, float *scratch);

/* out[0..dim) = decoded unit residual of codes (scale not applied). */
extern void ann_pq_decode(const AnnPq *pq, const uint8_t *codes, float *out);

/*
 * Rounds a float table (num_blocks * 16, from kernels query_table) to bytes with one common step:
 * value ~ step * byte + its block's minimum. bits = 8: low[] only. bits = 16: value ~
 * step * (256 * high + low). *base = sum of minima. The table's largest block range sets the step;
 * a range of 0 gives step 0.
 */
extern void ann_pq_round_table(const float *table, int num_blocks, int bits, uint8_t *low,
							   uint8_t *high, float *step, float *base);

#endif
