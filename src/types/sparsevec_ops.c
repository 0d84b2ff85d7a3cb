/*
 * sparsevec_ops.c
 *	  Distances, norm, normalisation, order and hash of the SQL type sparsevec.
 *
 * NOTES
 *	  Sums are floats, widened to double at the end, as those of vector: they overflow to infinity
 *	  without an error. A sparsevec is compared as the array of all its elements would be, zeroes
 *	  included: by the first that differs, then by length. All functions are strict.
 */
#include "postgres.h"

#include <math.h>

#include "common/hashfn.h"
#include "fmgr.h"

#include "compat.h"
#include "types/sparsevec.h"

typedef double (*SparseDistance)(SparseVector *a, SparseVector *b);

/* A walk over the indices that a or b has, in ascending order. */
typedef struct Walk
{
	const SparseVector *a;
	const SparseVector *b;
	const float *a_values;
	const float *b_values;
	int next_a;
	int next_b;
} Walk;

static inline Walk
start_walk(SparseVector *a, SparseVector *b)
{
	return (Walk){a, b, ann_sparsevec_values(a), ann_sparsevec_values(b), 0, 0};
}

/* The next index and what a and b have there, of which one may be zero; false at the end. */
static inline bool
next_pair(Walk *walk, int32 *index, float *x, float *y)
{
	/* No index is that great: SPARSEVEC_MAX_DIM. */
	const int32 none = PG_INT32_MAX;
	int32 index_a = walk->next_a < walk->a->nnz ? walk->a->indices[walk->next_a] : none;
	int32 index_b = walk->next_b < walk->b->nnz ? walk->b->indices[walk->next_b] : none;

	*index = Min(index_a, index_b);
	if (*index == none)
		return false;
	*x = index_a == *index ? walk->a_values[walk->next_a++] : 0.0f;
	*y = index_b == *index ? walk->b_values[walk->next_b++] : 0.0f;
	return true;
}

static double
l2_squared_of(SparseVector *a, SparseVector *b)
{
	Walk walk = start_walk(a, b);
	float sum = 0.0f;
	int32 index;
	float x;
	float y;

	while (next_pair(&walk, &index, &x, &y))
		sum += (x - y) * (x - y);
	return (double) sum;
}

static double
l2_of(SparseVector *a, SparseVector *b)
{
	return sqrt(l2_squared_of(a, b));
}

static double
l1_of(SparseVector *a, SparseVector *b)
{
	Walk walk = start_walk(a, b);
	float sum = 0.0f;
	int32 index;
	float x;
	float y;

	while (next_pair(&walk, &index, &x, &y))
		sum += fabsf(x - y);
	return (double) sum;
}

/* Only indices of both count, so that the walk ends with the shorter one. */
static double
product_of(SparseVector *a, SparseVector *b)
{
	const float *a_values = ann_sparsevec_values(a);
	const float *b_values = ann_sparsevec_values(b);
	float sum = 0.0f;
	int i = 0;
	int j = 0;

	while (i < a->nnz && j < b->nnz)
	{
		int32 index_a = a->indices[i];
		int32 index_b = b->indices[j];

		if (index_a == index_b)
			sum += a_values[i] * b_values[j];
		i += index_a <= index_b;
		j += index_b <= index_a;
	}
	return (double) sum;
}

static double
negative_product_of(SparseVector *a, SparseVector *b)
{
	return -product_of(a, b);
}

static double
squares_of(SparseVector *vector)
{
	const float *values = ann_sparsevec_values(vector);
	float sum = 0.0f;

	for (int i = 0; i < vector->nnz; i++)
		sum += values[i] * values[i];
	return (double) sum;
}

/* As for vector: the quotient is cut to -1 .. 1; the comparisons let NaN through. */
static double
cosine_of(SparseVector *a, SparseVector *b)
{
	double similarity = product_of(a, b) / sqrt(squares_of(a) * squares_of(b));

	if (similarity > 1.0)
		similarity = 1.0;
	else if (similarity < -1.0)
		similarity = -1.0;
	return 1.0 - similarity;
}

/*
 * The distance of arguments 0 and 1, which must have equal dimensions (else 22000). Detoasted
 * copies are freed at once: an expression index or a sort may call us in a long-lived context.
 */
static double
distance_of_args(FunctionCallInfo fcinfo, SparseDistance distance)
{
	SparseVector *a = PG_GETARG_SPARSEVEC(0);
	SparseVector *b = PG_GETARG_SPARSEVEC(1);
	double result;

	if (a->dim != b->dim)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("different sparsevec dimensions %d and %d", a->dim, b->dim)));
	result = distance(a, b);
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return result;
}

/*
 * l2_distance(sparsevec, sparsevec) returns float8: Euclidean distance, the operator <->. Errors:
 * different dimensions (22000). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_sparsevec_l2_distance);
Datum
ann_sparsevec_l2_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(distance_of_args(fcinfo, l2_of));
}

/*
 * sparsevec_l2_squared_distance(sparsevec, sparsevec) returns float8: the same without the root.
 * Errors: different dimensions (22000). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_sparsevec_l2_squared_distance);
Datum
ann_sparsevec_l2_squared_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(distance_of_args(fcinfo, l2_squared_of));
}

/*
 * inner_product(sparsevec, sparsevec) returns float8. Errors: different dimensions (22000). Leaves
 * nothing allocated.
 */
ANN_FUNCTION(ann_sparsevec_inner_product);
Datum
ann_sparsevec_inner_product(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(distance_of_args(fcinfo, product_of));
}

/*
 * sparsevec_negative_inner_product(sparsevec, sparsevec) returns float8: the operator <#>, negated
 * so that the greatest product comes first in ascending order. Errors: different dimensions
 * (22000). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_sparsevec_negative_inner_product);
Datum
ann_sparsevec_negative_inner_product(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(distance_of_args(fcinfo, negative_product_of));
}

/*
 * cosine_distance(sparsevec, sparsevec) returns float8: 1 - cosine, the operator <=>, from 0 to 2;
 * NaN where one has no elements. Errors: different dimensions (22000). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_sparsevec_cosine_distance);
Datum
ann_sparsevec_cosine_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(distance_of_args(fcinfo, cosine_of));
}

/*
 * l1_distance(sparsevec, sparsevec) returns float8: sum of absolute differences, the operator <+>.
 * Errors: different dimensions (22000). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_sparsevec_l1_distance);
Datum
ann_sparsevec_l1_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(distance_of_args(fcinfo, l1_of));
}

/* Summed in double, where no square of a float leaves the range. */
static double
norm_of(SparseVector *vector)
{
	const float *values = ann_sparsevec_values(vector);
	double sum = 0.0;

	for (int i = 0; i < vector->nnz; i++)
		sum += (double) values[i] * (double) values[i];
	return sqrt(sum);
}

/* l2_norm(sparsevec) returns float8: Euclidean norm. No errors. Leaves nothing allocated. */
ANN_FUNCTION(ann_sparsevec_l2_norm);
Datum
ann_sparsevec_l2_norm(PG_FUNCTION_ARGS)
{
	SparseVector *vector = PG_GETARG_SPARSEVEC(0);
	double norm = norm_of(vector);

	PG_FREE_IF_COPY(vector, 0);
	PG_RETURN_FLOAT8(norm);
}

/*
 * l2_normalize(sparsevec) returns sparsevec: the argument divided by its norm; what becomes too
 * small for a float is dropped; one without elements stays so. No errors: a value is never greater
 * than the norm, so nothing overflows. The result is in the current memory context.
 */
ANN_FUNCTION(ann_sparsevec_l2_normalize);
Datum
ann_sparsevec_l2_normalize(PG_FUNCTION_ARGS)
{
	SparseVector *vector = PG_GETARG_SPARSEVEC(0);
	const float *values = ann_sparsevec_values(vector);
	SparseVector *result = ann_sparsevec_new(vector->dim, vector->nnz);
	float *normalized = ann_sparsevec_values(result);
	double norm = norm_of(vector);
	int nnz = 0;

	for (int i = 0; i < vector->nnz; i++)
	{
		float value = (float) (values[i] / norm);

		if (value == 0.0f)
			continue;
		result->indices[nnz] = vector->indices[i];
		normalized[nnz++] = value;
	}
	ann_sparsevec_truncate(result, nnz);
	PG_FREE_IF_COPY(vector, 0);
	PG_RETURN_POINTER(result);
}

/* -1, 0 or 1. Elements that only one of the two has room for come after all others: the lengths. */
static int
compare(SparseVector *a, SparseVector *b)
{
	Walk walk = start_walk(a, b);
	int32 common = Min(a->dim, b->dim);
	int32 index;
	float x;
	float y;

	while (next_pair(&walk, &index, &x, &y) && index < common)
		if (x != y)
			return x < y ? -1 : 1;
	return (a->dim > b->dim) - (a->dim < b->dim);
}

/* compare() of arguments 0 and 1, which may have different dimensions. */
static int
compare_args(FunctionCallInfo fcinfo)
{
	SparseVector *a = PG_GETARG_SPARSEVEC(0);
	SparseVector *b = PG_GETARG_SPARSEVEC(1);
	int result = compare(a, b);

	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return result;
}

/* sparsevec_lt(sparsevec, sparsevec) returns boolean: <. No errors. Leaves nothing allocated. */
ANN_FUNCTION(ann_sparsevec_lt);
Datum
ann_sparsevec_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) < 0);
}

/* sparsevec_le(sparsevec, sparsevec) returns boolean: <=. No errors. Leaves nothing allocated. */
ANN_FUNCTION(ann_sparsevec_le);
Datum
ann_sparsevec_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) <= 0);
}

/* sparsevec_eq(sparsevec, sparsevec) returns boolean: =. No errors. Leaves nothing allocated. */
ANN_FUNCTION(ann_sparsevec_eq);
Datum
ann_sparsevec_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) == 0);
}

/* sparsevec_ne(sparsevec, sparsevec) returns boolean: <>. No errors. Leaves nothing allocated. */
ANN_FUNCTION(ann_sparsevec_ne);
Datum
ann_sparsevec_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) != 0);
}

/* sparsevec_ge(sparsevec, sparsevec) returns boolean: >=. No errors. Leaves nothing allocated. */
ANN_FUNCTION(ann_sparsevec_ge);
Datum
ann_sparsevec_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) >= 0);
}

/* sparsevec_gt(sparsevec, sparsevec) returns boolean: >. No errors. Leaves nothing allocated. */
ANN_FUNCTION(ann_sparsevec_gt);
Datum
ann_sparsevec_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) > 0);
}

/*
 * sparsevec_cmp(sparsevec, sparsevec) returns integer: -1, 0 or 1, the order of the btree class. No
 * errors. Leaves nothing allocated.
 */
ANN_FUNCTION(ann_sparsevec_cmp);
Datum
ann_sparsevec_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare_args(fcinfo));
}

/* What is hashed: all bytes, as equal values have equal ones (sparsevec.h). */
static const unsigned char *
bytes_of(SparseVector *vector, int *num)
{
	*num = (int) (VARSIZE(vector) - VARHDRSZ);
	return (const unsigned char *) VARDATA(vector);
}

/*
 * sparsevec_hash(sparsevec) returns integer: for the hash class. No errors. Leaves nothing
 * allocated.
 */
ANN_FUNCTION(ann_sparsevec_hash);
Datum
ann_sparsevec_hash(PG_FUNCTION_ARGS)
{
	SparseVector *vector = PG_GETARG_SPARSEVEC(0);
	int num;
	const unsigned char *bytes = bytes_of(vector, &num);
	Datum hash = hash_any(bytes, num);

	PG_FREE_IF_COPY(vector, 0);
	return hash;
}

/*
 * sparsevec_hash_extended(sparsevec, bigint) returns bigint: the same of 64 bits, with a seed. No
 * errors. Leaves nothing allocated.
 */
ANN_FUNCTION(ann_sparsevec_hash_extended);
Datum
ann_sparsevec_hash_extended(PG_FUNCTION_ARGS)
{
	SparseVector *vector = PG_GETARG_SPARSEVEC(0);
	int num;
	const unsigned char *bytes = bytes_of(vector, &num);
	Datum hash = hash_any_extended(bytes, num, (uint64) PG_GETARG_INT64(1));

	PG_FREE_IF_COPY(vector, 0);
	return hash;
}
