/*
 * bf16.h
 *	  bfloat16: the upper half of an IEEE single. Same exponent range, 8 bits of significand.
 */
#ifndef ANN_CORE_BF16_H
#define ANN_CORE_BF16_H

#include <string.h>

#include "core/base.h"

#define ANN_BF16_INFINITY 0x7f80

static inline float
ann_bf16_to_float(uint16_t value)
{
	uint32_t bits = (uint32_t) value << 16;
	float result;

	memcpy(&result, &bits, sizeof(result));
	return result;
}

/* Round to nearest, ties to even. Overflow gives infinity; NaN stays NaN. */
static inline uint16_t
ann_bf16_from_float(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	if ((bits & 0x7fffffff) > 0x7f800000)
		return (uint16_t) ((bits >> 16) | 0x0040);
	return (uint16_t) ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

/* Round towards +infinity, for error bounds. value >= 0 or NaN. */
static inline uint16_t
ann_bf16_from_float_up(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	if ((bits & 0x7fffffff) > 0x7f800000)
		return (uint16_t) ((bits >> 16) | 0x0040);
	return (uint16_t) ((bits + 0xffff) >> 16);
}

#endif
