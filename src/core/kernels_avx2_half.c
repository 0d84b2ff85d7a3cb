/*
 * kernels_avx2_half.c
 *	  The kernel for AVX2 that works on halves; needs F16C besides.
 */
#include "core/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "core/half.h"
#include "core/kernels_codes.h"

ANN_TARGET_BEGIN(ANN_ISA_AVX2_F16C)

void
ann_half_to_float_avx2(const uint16_t *halves, int num, float *out)
{
	int i = 0;

	for (; i + 8 <= num; i += 8)
		_mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) (halves + i))));
	for (; i < num; i++)
		out[i] = ann_half_to_float(halves[i]);
}

ANN_TARGET_END

#endif
