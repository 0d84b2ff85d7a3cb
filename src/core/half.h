/*
 * half.h
 *	  Half precision, IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits. One number at a
 *	  time; the kernel half_to_float (core/kernels.h) converts many.
 *
 * NOTES
 *	  Integer arithmetic only, so that neither the compiler's excess precision nor a rounding mode
 *	  enters.
 */
#ifndef ANN_CORE_HALF_H
#define ANN_CORE_HALF_H

#include <string.h>

#include "core/base.h"

/* The least magnitude that rounds to infinity: halfway between the greatest half and 2^16. */
#define ANN_HALF_LIMIT 65520.0f

/* Exact. NaN keeps its upper bits and becomes quiet, as the instructions of all machines do it. */
static inline float
ann_half_to_float(uint16_t half)
{
	uint32_t sign = (uint32_t) (half & 0x8000) << 16;
	uint32_t magnitude = half & 0x7fff;
	uint32_t bits = magnitude << 13;
	float result;

	if (magnitude > 0x7c00)
		bits |= 0x7fc00000;
	else if (magnitude == 0x7c00)
		bits = 0x7f800000;
	else if (magnitude >= 0x0400)
		bits += (127 - 15) << 23;
	else
	{
		/* Zero or subnormal: a whole number of 2^-24, which a float holds as a normal number. */
		result = (float) magnitude * 0x1p-24f;
		memcpy(&bits, &result, sizeof(bits));
	}
	bits |= sign;
	memcpy(&result, &bits, sizeof(result));
	return result;
}

/*
 * Round to nearest, ties to even, subnormals included. From ANN_HALF_LIMIT on infinity; NaN stays
 * NaN.
 */
static inline uint16_t
ann_half_from_float(float value)
{
	uint32_t bits;
	uint32_t magnitude;
	uint32_t significand;
	uint32_t shift;
	uint16_t sign;

	memcpy(&bits, &value, sizeof(bits));
	magnitude = bits & 0x7fffffff;
	sign = (uint16_t) ((bits >> 16) & 0x8000);
	if (magnitude > 0x7f800000)
		return (uint16_t) (sign | 0x7e00 | ((magnitude >> 13) & 0x03ff));
	if (magnitude >= 0x477ff000) /* ANN_HALF_LIMIT */
		return sign | 0x7c00;
	if (magnitude >= 0x38800000) /* 2^-14, the least normal half */
	{
		magnitude -= (127 - 15) << 23;
		return (uint16_t) (sign | ((magnitude + 0x0fff + ((magnitude >> 13) & 1)) >> 13));
	}
	if (magnitude < 0x33000000) /* 2^-25, halfway to the least subnormal half */
		return sign;

	/* Whole numbers of 2^-24; one that rounds up to 2^-14 has the bits of that normal half. */
	significand = (magnitude & 0x007fffff) | 0x00800000;
	shift = 126 - (magnitude >> 23);
	significand += ((uint32_t) 1 << (shift - 1)) - 1 + ((significand >> shift) & 1);
	return (uint16_t) (sign | (significand >> shift));
}

#endif
