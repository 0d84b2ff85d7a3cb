/*
 * soar.c
 *	  The second leaf of a row.
 */
#include "core/soar.h"

#include <math.h>

#include "core/gather.h"

uint32_t
ann_soar_second(const AnnCentroids *set, float lambda, const float *row, const AnnNearLeaf *near,
				float *residual)
{
	size_t dim = (size_t) set->dim;
	const float *centroid = set->centroids + near[0].leaf * dim;
	uint32_t best = ANN_NO_LEAF;
	float least = INFINITY;
	float norm2;
	float origin;

	norm2 = ann_kernels->subtract(row, centroid, set->dim, residual);
	if (!(norm2 > 0))
		return ANN_NO_LEAF;
	origin = ann_kernels->inner_product(residual, centroid, set->dim);
	for (int i = 1; i < ANN_NEAR_LEAVES && near[i].leaf != ANN_NO_LEAF; i++)
	{
		/* <r',r> = |r|^2 - <c' - c, r> */
		const float *other = set->centroids + near[i].leaf * dim;
		float along = ann_kernels->inner_product(residual, other, set->dim) - origin;
		float loss = ann_soar_loss(lambda, near[i].distance, norm2 - along, norm2);

		if (loss < least)
		{
			least = loss;
			best = near[i].leaf;
		}
	}
	return best;
}
