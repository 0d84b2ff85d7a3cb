/*
 * rng.h
 *	  Our pseudo-random numbers: splitmix64 (Steele, Lea, Flood 2014).
 *
 * Frozen for ever: the numbers decide what an index holds, so that the same data and seed give the
 * same index on every platform and server version.
 */
#ifndef ANN_CORE_RNG_H
#define ANN_CORE_RNG_H

#include "core/base.h"

typedef struct AnnRng
{
	uint64_t state;
} AnnRng;

static inline void
ann_rng_seed(AnnRng *rng, uint64_t seed)
{
	rng->state = seed;
}

static inline uint64_t
ann_rng_next(AnnRng *rng)
{
	uint64_t z = (rng->state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* Uniform in [0, bound), bound >= 1. The bias is below bound / 2^64. */
static inline uint64_t
ann_rng_below(AnnRng *rng, uint64_t bound)
{
	return (uint64_t) (((unsigned __int128) ann_rng_next(rng) * bound) >> 64);
}

/* Uniform in [0, 1). */
static inline double
ann_rng_unit(AnnRng *rng)
{
	return (double) (ann_rng_next(rng) >> 11) * 0x1p-53;
}

#endif
