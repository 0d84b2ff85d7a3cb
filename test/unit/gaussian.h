/*
 * gaussian.h
 *	  Numbers of about the standard normal distribution: the sum of twelve uniform ones less six.
 */
#ifndef ANN_TEST_GAUSSIAN_H
#define ANN_TEST_GAUSSIAN_H

#include "core/rng.h"

static inline float
gaussian(AnnRng *rng)
{
	double sum = -6;

	for (int i = 0; i < 12; i++)
		sum += ann_rng_unit(rng);
	return (float) sum;
}

#endif
