/*
 * soar.h
 *	  The second leaf of a row (SOAR, Sun et al. 2023).
 *
 * NOTES
 *	  A search misses a row whose leaf is ranked too low: where the row's residual r = x - c points
 *	  along the query's. A second leaf helps where its residual r' = x - c' does not point there
 *	  too, so the leaf is chosen, among those nearest to the row, that makes |r'|^2 + lambda
 *	  <r',r>^2 / |r|^2 least: near, and orthogonal. They must be the row's nearest; among the
 *	  nearest to its centroid nearly all of the gain is lost. (Codes for 95 % of the true top 10 on
 *	  120,000 rows of text: 10.0k without, 7.1k among the row's 16 nearest leaves, 7.0k among all,
 *	  9.8k among the 32 nearest of its leaf.)
 */
#ifndef ANN_CORE_SOAR_H
#define ANN_CORE_SOAR_H

#include "core/block.h"
#include "core/kmeans.h"

/*
 * What the second leaf should have least: distance2 = |r'|^2, product = <r',r>, norm2 = |r|^2 > 0.
 */
static inline float
ann_soar_loss(float lambda, float distance2, float product, float norm2)
{
	return distance2 + lambda * product * product / norm2;
}

/*
 * The second leaf of a row, of which near is the list that ann_centroids_near made and near[0] the
 * first leaf. ANN_NO_LEAF: the row is its centroid, there is no other leaf, or no loss is finite.
 * residual: dim floats of scratch.
 */
extern uint32_t ann_soar_second(const AnnCentroids *set, float lambda, const float *row,
								const AnnNearLeaf *near, float *residual);

#endif
