/*
 * kernels_avx512.h
 *	  What the files of the kernels for AVX-512 share; nobody else includes this.
 */
#ifndef ANN_CORE_KERNELS_AVX512_H
#define ANN_CORE_KERNELS_AVX512_H

#include "core/kernels_parts.h"

#if defined(__x86_64__)

#include <immintrin.h>

ANN_TARGET_BEGIN(ANN_ISA_AVX512)

/* The first count lanes of 32 (of 16 in the lower half). count >= 0. */
static ANN_INLINE uint32_t
first_lanes(int count)
{
	return count < 32 ? (1u << count) - 1 : UINT32_MAX;
}

static ANN_INLINE __m512
add_term(AnnTerm term, __m512 sum_f32x16, __m512 a_f32x16, __m512 b_f32x16)
{
	__m512 difference_f32x16;

	if (term == ANN_TERM_IP)
		return _mm512_fmadd_ps(a_f32x16, b_f32x16, sum_f32x16);
	difference_f32x16 = _mm512_sub_ps(a_f32x16, b_f32x16);
	if (term == ANN_TERM_L1)
		return _mm512_add_ps(sum_f32x16, _mm512_abs_ps(difference_f32x16));
	return _mm512_fmadd_ps(difference_f32x16, difference_f32x16, sum_f32x16);
}

ANN_TARGET_END

#endif

#endif
