/*
 * vector_distances.c
 *	  Distances of the SQL type vector that have no operator and no index: spherical, angular,
 *	  Hamming, Chebyshev and Minkowski.
 *
 * NOTES
 *	  The first two are made of the kernels' results for the indexed distances. The others are
 *	  computed in double and do not overflow; but for lp_distance they do not depend on ann.simd.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"

#include "compat.h"
#include "core/kernels.h"
#include "types/vector.h"

/* Whole powers are multiplied out, by the kernel; pow() takes the others. */
#define WHOLE_POWER_MAX 64

/* Rounding may take the product of unit vectors past 1; NaN passes. */
double
ann_spherical_of_ip(double cosine)
{
	if (cosine > 1.0)
		cosine = 1.0;
	else if (cosine < -1.0)
		cosine = -1.0;
	return acos(cosine) / M_PI;
}

static double
spherical(const float *a, const float *b, int dim)
{
	return ann_spherical_of_ip(ann_kernels->inner_product(a, b, dim));
}

static double
angular(const float *a, const float *b, int dim)
{
	return sqrt(2.0 * ann_vector_cosine(a, b, dim));
}

static double
hamming(const float *a, const float *b, int dim)
{
	return (double) ann_kernels->num_different(a, b, dim);
}

static double
linf(const float *a, const float *b, int dim)
{
	return ann_kernels->linf(a, b, dim);
}

/*
 * p is finite, at least 1. Fourth powers of differences of floats are within the range of a double;
 * for greater ones the greatest difference is made 1 (at the price of a rounding), so that no power
 * overflows and those that vanish would not be seen in the sum.
 */
static double
minkowski(const float *a, const float *b, int dim, double p)
{
	double unit = p <= 4.0 ? 1.0 : linf(a, b, dim);
	double sum = 0.0;

	if (unit == 0.0)
		return 0.0;
	if (p <= WHOLE_POWER_MAX && p == (int) p)
		sum = ann_kernels->power_sum(a, b, dim, unit, (int) p);
	else
		for (int i = 0; i < dim; i++)
			sum += pow(fabs((double) a[i] - (double) b[i]) / unit, p);
	return unit * pow(sum, 1.0 / p);
}

/*
 * vector_spherical_distance(vector, vector) returns float8: the angle between two vectors of norm 1
 * (which is not checked) divided by pi, from 0 to 1. Errors: different dimensions (22000). Leaves
 * nothing allocated.
 */
ANN_FUNCTION(ann_vector_spherical_distance);
Datum
ann_vector_spherical_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(ann_vector_distance_of_args(fcinfo, spherical));
}

/*
 * angular_distance(vector, vector) returns float8: the Euclidean distance of the normalised
 * vectors, from 0 to 2, in the order of <=>; like that NaN for a zero vector. Errors: different
 * dimensions (22000). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_angular_distance);
Datum
ann_angular_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(ann_vector_distance_of_args(fcinfo, angular));
}

/*
 * vector_hamming_distance(vector, vector) returns float8: the number of elements that differ; -0
 * and 0 do not. Errors: different dimensions (22000). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_vector_hamming_distance);
Datum
ann_vector_hamming_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(ann_vector_distance_of_args(fcinfo, hamming));
}

/*
 * linf_distance(vector, vector) returns float8: the greatest absolute difference (Chebyshev).
 * Errors: different dimensions (22000). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_linf_distance);
Datum
ann_linf_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(ann_vector_distance_of_args(fcinfo, linf));
}

/*
 * lp_distance(vector, vector, p float8) returns float8: the p-th root of the sum of p-th powers of
 * absolute differences (Minkowski); for p = infinity the greatest one. Errors: different dimensions
 * (22000), p below 1 or NaN (22023). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_lp_distance);
Datum
ann_lp_distance(PG_FUNCTION_ARGS)
{
	AnnRoom room[2];
	Vector *a = ann_argument(PG_GETARG_DATUM(0), &room[0]);
	Vector *b = ann_argument_of_all(fcinfo, 1, &room[1]);
	double p = PG_GETARG_FLOAT8(2);
	double result;

	if (!(p >= 1.0))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("p must be at least 1")));
	ann_vector_check_same_dims(a, b);
	result = isinf(p) ? linf(a->x, b->x, a->dim) : minkowski(a->x, b->x, a->dim, p);
	ann_argument_done(a, PG_GETARG_DATUM(0), &room[0]);
	ann_argument_of_all_done(fcinfo, 1, b, &room[1]);
	PG_RETURN_FLOAT8(result);
}
