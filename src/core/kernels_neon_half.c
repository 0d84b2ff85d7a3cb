/*
 * kernels_neon_half.c
 *	  The kernel for NEON that works on halves. The conversion is part of the base architecture.
 */
#include "core/kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#include "core/half.h"
#include "core/kernels_codes.h"

void
ann_half_to_float_neon(const uint16_t *halves, int num, float *out)
{
	int i = 0;

	for (; i + 4 <= num; i += 4)
		vst1q_f32(out + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(halves + i))));
	for (; i < num; i++)
		out[i] = ann_half_to_float(halves[i]);
}

#endif
