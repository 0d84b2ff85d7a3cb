/*
 * halfvec_ops.c
 *	  Distances and norm of the SQL type halfvec.
 *
 * NOTES
 *	  The kernels for halves give the bits of those for floats. So the distance of two halfvecs is
 *	  that of the vectors which they convert to, which the access method computes with vector's own
 *	  distances (types/vector.h): an index and a sort agree bit for bit. Squares and products of
 *	  halves fit a float; sums of 16,000 of them stay far below its end.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"

#include "compat.h"
#include "core/kernels.h"
#include "types/halfvec.h"
#include "types/vector.h"

typedef double (*HalvesDistance)(const uint16 *a, const uint16 *b, int dim);

static double
l2(const uint16 *a, const uint16 *b, int dim)
{
	return sqrt((double) ann_kernels->half_l2_squared(a, b, dim));
}

static double
l2_squared(const uint16 *a, const uint16 *b, int dim)
{
	return (double) ann_kernels->half_l2_squared(a, b, dim);
}

static double
negative_ip(const uint16 *a, const uint16 *b, int dim)
{
	return (double) -ann_kernels->half_inner_product(a, b, dim);
}

static double
cosine(const uint16 *a, const uint16 *b, int dim)
{
	float parts[3];

	ann_kernels->half_cosine_parts(a, b, dim, parts);
	return ann_cosine_of_parts(parts);
}

static double
l1(const uint16 *a, const uint16 *b, int dim)
{
	return (double) ann_kernels->half_l1(a, b, dim);
}

static double
spherical(const uint16 *a, const uint16 *b, int dim)
{
	return ann_spherical_of_ip(ann_kernels->half_inner_product(a, b, dim));
}

/* The distance of arguments 0 and 1, which must have equal dimensions (else 22000). */
static ANN_INLINE double
distance_of_args(FunctionCallInfo fcinfo, HalvesDistance distance)
{
	AnnRoom room[2];
	HalfVector *a = ann_argument_of_row(PG_GETARG_DATUM(0), &room[0]);
	HalfVector *b = ann_argument_of_all(fcinfo, 1, &room[1]);
	double result;

	ann_halfvec_check_same_dim(a, b);
	result = distance(a->x, b->x, a->dim);
	ann_argument_done(a, PG_GETARG_DATUM(0), &room[0]);
	ann_argument_of_all_done(fcinfo, 1, b, &room[1]);
	return result;
}

/*
 * l2_distance(halfvec, halfvec) returns float8: Euclidean distance, the operator <->. Errors:
 * different dimensions (22000). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_halfvec_l2_distance);
Datum
ann_halfvec_l2_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(distance_of_args(fcinfo, l2));
}

/*
 * halfvec_l2_squared_distance(halfvec, halfvec) returns float8: the same without the root. Errors:
 * different dimensions (22000). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_halfvec_l2_squared_distance);
Datum
ann_halfvec_l2_squared_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(distance_of_args(fcinfo, l2_squared));
}

/*
 * inner_product(halfvec, halfvec) returns float8. Errors: different dimensions (22000). Leaves
 * nothing allocated.
 */
ANN_FUNCTION(ann_halfvec_inner_product);
Datum
ann_halfvec_inner_product(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(-distance_of_args(fcinfo, negative_ip));
}

/*
 * halfvec_negative_inner_product(halfvec, halfvec) returns float8: the operator <#>, negated so
 * that the greatest product comes first in ascending order. Errors: different dimensions (22000).
 * Leaves nothing allocated.
 */
ANN_FUNCTION(ann_halfvec_negative_inner_product);
Datum
ann_halfvec_negative_inner_product(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(distance_of_args(fcinfo, negative_ip));
}

/*
 * cosine_distance(halfvec, halfvec) returns float8: 1 - cosine, the operator <=>, from 0 to 2; NaN
 * for a zero vector. Errors: different dimensions (22000). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_halfvec_cosine_distance);
Datum
ann_halfvec_cosine_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(distance_of_args(fcinfo, cosine));
}

/*
 * l1_distance(halfvec, halfvec) returns float8: sum of absolute differences, the operator <+>.
 * Errors: different dimensions (22000). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_halfvec_l1_distance);
Datum
ann_halfvec_l1_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(distance_of_args(fcinfo, l1));
}

/*
 * halfvec_spherical_distance(halfvec, halfvec) returns float8: the angle divided by pi, from 0 to
 * 1, of vectors that the caller has normalised. Errors: different dimensions (22000). Leaves
 * nothing allocated.
 */
ANN_FUNCTION(ann_halfvec_spherical_distance);
Datum
ann_halfvec_spherical_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(distance_of_args(fcinfo, spherical));
}
