/*
 * kernels_avx512_half.c
 *	  The kernel for AVX-512 that works on halves.
 */
#include "core/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "core/kernels_codes.h"

ANN_TARGET_BEGIN(ANN_ISA_AVX512)

void
ann_half_to_float_avx512(const uint16_t *halves, int num, float *out)
{
	int i = 0;

	for (; i + 16 <= num; i += 16)
		_mm512_storeu_ps(out + i,
						 _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) (halves + i))));
	if (i < num)
	{
		__mmask16 mask = (__mmask16) ((1u << (num - i)) - 1);

		_mm512_mask_storeu_ps(out + i, mask,
							  _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, halves + i)));
	}
}

ANN_TARGET_END

#endif
