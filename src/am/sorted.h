/*
 * sorted.h
 *	  Lists of numbers, none of them NaN: comparators of qsort(), which can be interrupted, and a
 *	  look into a sorted one.
 */
#ifndef ANN_AM_SORTED_H
#define ANN_AM_SORTED_H

#include "postgres.h"

#include "miscadmin.h"

static inline int
ann_compare_floats(const void *left, const void *right)
{
	float a = *(const float *) left;
	float b = *(const float *) right;

	CHECK_FOR_INTERRUPTS();
	return (a > b) - (a < b);
}

static inline int
ann_compare_doubles(const void *left, const void *right)
{
	double a = *(const double *) left;
	double b = *(const double *) right;

	CHECK_FOR_INTERRUPTS();
	return (a > b) - (a < b);
}

/* How many of num ascending values are not above a value. */
static inline uint32
ann_rank_of(const float *sorted, uint32 num, float value)
{
	uint32 low = 0;
	uint32 high = num;

	while (low < high)
	{
		uint32 middle = low + (high - low) / 2;

		if (sorted[middle] <= value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

#endif
