/*
 * kernels_neon.h
 *	  What the files of the kernels for NEON share; nobody else includes this.
 */
#ifndef ANN_CORE_KERNELS_NEON_H
#define ANN_CORE_KERNELS_NEON_H

#include "core/kernels_parts.h"

#if defined(__aarch64__)

#include <arm_neon.h>

static ANN_INLINE float32x4_t
add_term(AnnTerm term, float32x4_t sum_f32x4, float32x4_t a_f32x4, float32x4_t b_f32x4)
{
	float32x4_t difference_f32x4;

	if (term == ANN_TERM_IP)
		return vfmaq_f32(sum_f32x4, a_f32x4, b_f32x4);
	if (term == ANN_TERM_L1)
		return vaddq_f32(sum_f32x4, vabdq_f32(a_f32x4, b_f32x4));
	difference_f32x4 = vsubq_f32(a_f32x4, b_f32x4);
	return vfmaq_f32(sum_f32x4, difference_f32x4, difference_f32x4);
}

/* The last count (1 to 3) elements of a row. */
static ANN_INLINE float32x4_t
load_end(const float *values, int count)
{
	float32x4_t end_f32x4 = vsetq_lane_f32(values[0], vdupq_n_f32(0), 0);

	if (count > 1)
		end_f32x4 = vsetq_lane_f32(values[1], end_f32x4, 1);
	if (count > 2)
		end_f32x4 = vsetq_lane_f32(values[2], end_f32x4, 2);
	return end_f32x4;
}

#endif

#endif
