/*
 * sorted.h
 *	  Comparators of qsort() for lists of numbers, none of them NaN.
 */
#ifndef ANN_AM_SORTED_H
#define ANN_AM_SORTED_H

static inline int
ann_compare_floats(const void *left, const void *right)
{
	float a = *(const float *) left;
	float b = *(const float *) right;

	return (a > b) - (a < b);
}

static inline int
ann_compare_doubles(const void *left, const void *right)
{
	double a = *(const double *) left;
	double b = *(const double *) right;

	return (a > b) - (a < b);
}

#endif
