/*
 * bit.h
 *	  The server's own type bit as an index sees it: strings of bits as floats, and their distances.
 */
#ifndef ANN_TYPES_BIT_H
#define ANN_TYPES_BIT_H

#include "postgres.h"

#include "utils/varbit.h"

/* out[i] = bit i, 0 or 1: VARBITLEN floats. */
extern void ann_bit_floats(const VarBit *bits, float *out);

/*
 * The results of <~> and <%> for two arrays of dim < 2^24 floats that are 0 or 1, equal to those of
 * the SQL functions bit for bit under every ann.simd.
 */
extern double ann_bit_hamming(const float *a, const float *b, int dim);
extern double ann_bit_jaccard(const float *a, const float *b, int dim);

#endif
