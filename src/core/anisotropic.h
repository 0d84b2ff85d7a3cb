/*
 * anisotropic.h
 *	  Codes in which the error along the row weighs more than that across it (score-aware
 *	  quantisation: Guo et al., "Accelerating Large-Scale Inference with Anisotropic Vector
 *	  Quantization", ICML 2020): a query whose inner product with the row is great lies along it.
 *
 * NOTES
 *	  With v the unit residual, u its decoded code and x the direction of the row (mean taken off),
 *	  codes minimise, with the scale that the factors will have (pq.h),
 *
 *		|v - y|^2 + (weight - 1) <v - y, x>^2		y = u / <v,u>
 *
 *	  by coordinate descent from the nearest codewords. Without the scale, which depends on the
 *	  code, descent would move the error along the row into it: measured, several times that of
 *	  plain codes. The codebook is that of the plain error.
 */
#ifndef ANN_CORE_ANISOTROPIC_H
#define ANN_CORE_ANISOTROPIC_H

#include "core/pq.h"

/*
 * The weight for a threshold T, the least inner product that counts as a share of the greatest
 * there can be, 0 <= T < 1: (dim - 1) T^2 / (1 - T^2), and at least 1, which weighs all errors
 * alike.
 */
extern float ann_anisotropic_weight(double threshold, int dim);

/* Floats of scratch for ann_anisotropic_refine. */
extern size_t ann_anisotropic_scratch_floats(const AnnPq *pq);

/*
 * Betters the code of a unit residual v, of one layer; pq->weight > 1. direction: of unit length,
 * padded with zeros as v is; table: inner products of v with all codewords, num_blocks * 16.
 */
extern void ann_anisotropic_refine(const AnnPq *pq, const float *v, const float *direction,
								   const float *table, uint8_t *codes, float *scratch);

#endif
