/*
 * absolute.h
 *	  Absolute codes: of rows as they are, not of what their leaf's centroid leaves of them.
 *
 * NOTES
 *	  The taxicab distance of a query to a residual is no sum of a part of the leaf and a part of
 *	  the code, so one table per query can serve all leaves only where codes do not depend on
 *	  leaves. The same form serves strings of bits, where it is exact: a block of 4 dimensions has
 *	  16 values, which are its codewords, so a nibble of the code is a nibble of the string.
 *
 *	  Factors, with u the decoded code of the row x:
 *		s = 1,  err = bf16_up(|x - u|),  b = 0; ANN_CODE_OVERLAP: b = the bits that are set
 */
#ifndef ANN_CORE_ABSOLUTE_H
#define ANN_CORE_ABSOLUTE_H

#include "core/pq.h"

/* Dimensions of a block whose codewords are the strings of bits. */
#define ANN_BITS_WIDTH 4

/* Is the code of a form an absolute one? */
static inline bool
ann_form_is_absolute(AnnCodeForm form)
{
	return form == ANN_CODE_L1 || form == ANN_CODE_OVERLAP;
}

/*
 * Codeword c of each block (of ANN_BITS_WIDTH dimensions): bit d of c for dimension d. Fills bias.
 */
extern void ann_bits_codebook(AnnPq *pq);

/*
 * Code and factors of a row of dim finite floats; scratch: as ann_pq_encode_row. ANN_CODE_OVERLAP
 * takes each element above 0 for a bit that is set. False where err leaves bf16's range.
 */
extern bool ann_absolute_encode(const AnnPq *pq, AnnCodeForm form, const float *x, uint8_t *codes,
								AnnFactors *factors, float *scratch);

/*
 * out[m * 16 + c] = the taxicab distance of block m of the query to codeword c, for m < num_blocks;
 * query padded with zeros to num_blocks * width floats.
 */
extern void ann_l1_table(const AnnPq *pq, const float *query, float *out);

/* A table of num_blocks * 16 whole numbers from 0 to 255, as bytes: step 1, base 0. */
extern void ann_whole_table(const float *table, int num_blocks, uint8_t *out);

/*
 * The bounds() kernel's part for the Jaccard distance (kernels.h): keys of 32 lanes from their
 * common bits acc, the row's bits b and the query's, up to 2^23 each; the mask of those <=
 * threshold. A key is below the distance as SQL computes it by at most 2^-21. Two strings without
 * any bit: 1.
 */
extern uint32_t ann_jaccard_keys(const uint32_t acc[ANN_BLOCK_LANES], const float *b,
								 float query_bits, float threshold, float keys[ANN_BLOCK_LANES]);

#endif
