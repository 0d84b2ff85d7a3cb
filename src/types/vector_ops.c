/*
 * vector_ops.c
 *	  Distances, norm and normalisation of the SQL type vector.
 *
 * NOTES
 *	  Each distance is a plain function on float arrays, which the access method calls too; its SQL
 *	  function adds detoasting and the check of dimensions. Accumulators are floats and results are
 *	  widened to double, as in pgvector: the last bits depend on the kernels in use (ann.simd), so
 *	  they differ between machines. Norms are summed in double and do not.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"

#include "compat.h"
#include "core/kernels.h"
#include "types/vector.h"

double
ann_vector_l2(const float *a, const float *b, int dim)
{
	return sqrt((double) ann_kernels->l2_squared(a, b, dim));
}

double
ann_vector_l2_squared(const float *a, const float *b, int dim)
{
	return (double) ann_kernels->l2_squared(a, b, dim);
}

double
ann_vector_negative_ip(const float *a, const float *b, int dim)
{
	return (double) -ann_kernels->inner_product(a, b, dim);
}

/*
 * The product of the squared norms is taken in double, where that of two float squares cannot
 * overflow or vanish. Rounding may take the quotient a little past 1: it is cut, so that a distance
 * is never negative. The comparisons let NaN through.
 */
double
ann_cosine_of_parts(const float parts[3])
{
	double similarity = (double) parts[0] / sqrt((double) parts[1] * (double) parts[2]);

	if (similarity > 1.0)
		similarity = 1.0;
	else if (similarity < -1.0)
		similarity = -1.0;
	return 1.0 - similarity;
}

double
ann_vector_cosine(const float *a, const float *b, int dim)
{
	float parts[3];

	ann_kernels->cosine_parts(a, b, dim, parts);
	return ann_cosine_of_parts(parts);
}

double
ann_vector_l1(const float *a, const float *b, int dim)
{
	return (double) ann_kernels->l1(a, b, dim);
}

void
ann_vector_check_same_dims(const Vector *a, const Vector *b)
{
	if (a->dim != b->dim)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("different vector dimensions %d and %d", a->dim, b->dim)));
}

/* In double: float sums of squares would leave the range for elements past 1e19 or 1e-19. */
double
ann_vector_norm_of(const float *x, int dim)
{
	return sqrt(ann_kernels->double_product(x, x, dim));
}

/*
 * l2_distance(vector, vector) returns float8: Euclidean distance, the operator <->. Errors:
 * different dimensions (22000). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_l2_distance);
Datum
ann_l2_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(ann_vector_distance_of_args(fcinfo, ann_vector_l2));
}

/*
 * vector_l2_squared_distance(vector, vector) returns float8: the same without the root. Errors:
 * different dimensions (22000). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_vector_l2_squared_distance);
Datum
ann_vector_l2_squared_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(ann_vector_distance_of_args(fcinfo, ann_vector_l2_squared));
}

/*
 * inner_product(vector, vector) returns float8. Errors: different dimensions (22000). Leaves
 * nothing allocated.
 */
ANN_FUNCTION(ann_inner_product);
Datum
ann_inner_product(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(-ann_vector_distance_of_args(fcinfo, ann_vector_negative_ip));
}

/*
 * vector_negative_inner_product(vector, vector) returns float8: the operator <#>, negated so that
 * the greatest product comes first in ascending order. Errors: different dimensions (22000). Leaves
 * nothing allocated.
 */
ANN_FUNCTION(ann_vector_negative_inner_product);
Datum
ann_vector_negative_inner_product(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(ann_vector_distance_of_args(fcinfo, ann_vector_negative_ip));
}

/*
 * cosine_distance(vector, vector) returns float8: 1 - cosine, the operator <=>, from 0 to 2; NaN
 * for a zero vector. Errors: different dimensions (22000). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_cosine_distance);
Datum
ann_cosine_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(ann_vector_distance_of_args(fcinfo, ann_vector_cosine));
}

/*
 * l1_distance(vector, vector) returns float8: sum of absolute differences, the operator <+>.
 * Errors: different dimensions (22000). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_l1_distance);
Datum
ann_l1_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(ann_vector_distance_of_args(fcinfo, ann_vector_l1));
}

/*
 * vector_dims(vector | halfvec) returns integer: both types have it in the same place. No errors.
 * Reads the header only: of a toasted value one chunk, copied into the current memory context and
 * freed.
 */
ANN_FUNCTION(ann_vector_dims);
Datum
ann_vector_dims(PG_FUNCTION_ARGS)
{
	Size wanted = offsetof(Vector, x) - VARHDRSZ;
	Vector *header = (Vector *) PG_GETARG_BYTEA_P_SLICE(0, 0, wanted);
	int dim = header->dim;

	PG_FREE_IF_COPY(header, 0);
	PG_RETURN_INT32(dim);
}

/* vector_norm(vector) returns float8: Euclidean norm. No errors. Leaves nothing allocated. */
ANN_FUNCTION(ann_vector_norm);
Datum
ann_vector_norm(PG_FUNCTION_ARGS)
{
	AnnRoom room;
	Vector *vector = ann_argument(PG_GETARG_DATUM(0), &room);
	double norm = ann_vector_norm_of(vector->x, vector->dim);

	ann_argument_done(vector, PG_GETARG_DATUM(0), &room);
	PG_RETURN_FLOAT8(norm);
}

/*
 * l2_normalize(vector) returns vector: the argument divided by its norm, of the same dimensions; a
 * zero vector stays zero. No errors: an element is never greater than the norm, so nothing
 * overflows. The result is in the current memory context.
 */
ANN_FUNCTION(ann_l2_normalize);
Datum
ann_l2_normalize(PG_FUNCTION_ARGS)
{
	Vector *vector = PG_GETARG_VECTOR(0);
	Vector *result = ann_vector_new(vector->dim);
	double norm = ann_vector_norm_of(vector->x, vector->dim);

	if (norm > 0.0)
		for (int i = 0; i < vector->dim; i++)
			result->x[i] = (float) (vector->x[i] / norm);
	PG_FREE_IF_COPY(vector, 0);
	PG_RETURN_POINTER(result);
}
