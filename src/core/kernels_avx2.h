/*
 * kernels_avx2.h
 *	  What the files of the kernels for AVX2 share; nobody else includes this.
 */
#ifndef ANN_CORE_KERNELS_AVX2_H
#define ANN_CORE_KERNELS_AVX2_H

#include "core/kernels_parts.h"

#if defined(__x86_64__)

#include <immintrin.h>

ANN_TARGET_BEGIN(ANN_ISA_AVX2)

/* A mask for loads: the first count lanes of 8. Any count. */
static ANN_INLINE __m256i
first_lanes(int count)
{
	return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static ANN_INLINE __m256
add_term(AnnTerm term, __m256 sum_f32x8, __m256 a_f32x8, __m256 b_f32x8)
{
	__m256 difference_f32x8;

	if (term == ANN_TERM_IP)
		return _mm256_fmadd_ps(a_f32x8, b_f32x8, sum_f32x8);
	difference_f32x8 = _mm256_sub_ps(a_f32x8, b_f32x8);
	if (term == ANN_TERM_L1)
		return _mm256_add_ps(sum_f32x8, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), difference_f32x8));
	return _mm256_fmadd_ps(difference_f32x8, difference_f32x8, sum_f32x8);
}

ANN_TARGET_END

#endif

#endif
