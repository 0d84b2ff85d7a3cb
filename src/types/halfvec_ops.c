/*
 * halfvec_ops.c
 *	  Distances and norm of the SQL type halfvec.
 *
 * NOTES
 *	  Both arguments are converted to floats, then vector's own distances do the rest
 *	  (types/vector.h): they are what the access method calls for the floats of a halfvec, so an
 *	  index and a sort agree bit for bit. Squares and products of halves fit a float; sums of 16,000
 *	  of them stay far below its end.
 */
#include "postgres.h"

#include "fmgr.h"

#include "compat.h"
#include "core/kernels.h"
#include "types/halfvec.h"
#include "types/vector.h"

/* Dimensions whose floats are kept on the stack: 8 kB for each argument. */
#define STACK_DIMS 2048

/*
 * The distance of arguments 0 and 1, which must have equal dimensions (else 22000). Copies are
 * freed at once: an expression index or a sort may call us in a long-lived context.
 */
static double
distance_of_args(FunctionCallInfo fcinfo, AnnFloatsDistance distance)
{
	HalfVector *a = PG_GETARG_HALFVEC(0);
	HalfVector *b = PG_GETARG_HALFVEC(1);
	int dim = a->dim;
	float stack_a[STACK_DIMS] pg_attribute_aligned(64);
	float stack_b[STACK_DIMS] pg_attribute_aligned(64);
	float *floats_a = stack_a;
	float *floats_b = stack_b;
	double result;

	ann_halfvec_check_same_dim(a, b);
	if (dim > STACK_DIMS)
	{
		floats_a = palloc(sizeof(float) * dim);
		floats_b = palloc(sizeof(float) * dim);
	}
	ann_kernels->half_to_float(a->x, dim, floats_a);
	ann_kernels->half_to_float(b->x, dim, floats_b);
	result = distance(floats_a, floats_b, dim);
	if (dim > STACK_DIMS)
	{
		pfree(floats_a);
		pfree(floats_b);
	}
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
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
	PG_RETURN_FLOAT8(distance_of_args(fcinfo, ann_vector_l2));
}

/*
 * halfvec_l2_squared_distance(halfvec, halfvec) returns float8: the same without the root. Errors:
 * different dimensions (22000). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_halfvec_l2_squared_distance);
Datum
ann_halfvec_l2_squared_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(distance_of_args(fcinfo, ann_vector_l2_squared));
}

/*
 * inner_product(halfvec, halfvec) returns float8. Errors: different dimensions (22000). Leaves
 * nothing allocated.
 */
ANN_FUNCTION(ann_halfvec_inner_product);
Datum
ann_halfvec_inner_product(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(-distance_of_args(fcinfo, ann_vector_negative_ip));
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
	PG_RETURN_FLOAT8(distance_of_args(fcinfo, ann_vector_negative_ip));
}

/*
 * cosine_distance(halfvec, halfvec) returns float8: 1 - cosine, the operator <=>, from 0 to 2; NaN
 * for a zero vector. Errors: different dimensions (22000). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_halfvec_cosine_distance);
Datum
ann_halfvec_cosine_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(distance_of_args(fcinfo, ann_vector_cosine));
}

/*
 * l1_distance(halfvec, halfvec) returns float8: sum of absolute differences, the operator <+>.
 * Errors: different dimensions (22000). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_halfvec_l1_distance);
Datum
ann_halfvec_l1_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(distance_of_args(fcinfo, ann_vector_l1));
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
	PG_RETURN_FLOAT8(distance_of_args(fcinfo, ann_vector_spherical));
}
