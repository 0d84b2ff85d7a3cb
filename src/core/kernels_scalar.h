/*
 * kernels_scalar.h
 *	  What the files of the kernels in plain C share; nobody else includes this.
 *
 * NOTES
 *	  Sums run over LANES partial sums, as they do in the SIMD variants: the rounding error then
 *	  grows with dim / LANES instead of dim, and a compiler may vectorise without being allowed to
 *	  reassociate.
 */
#ifndef ANN_CORE_KERNELS_SCALAR_H
#define ANN_CORE_KERNELS_SCALAR_H

#include "core/kernels_parts.h"

#define LANES 8

static ANN_INLINE float
lanes_sum(const float lanes[LANES])
{
	return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
		   ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

#endif
