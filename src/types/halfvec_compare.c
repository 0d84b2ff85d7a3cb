/*
 * halfvec_compare.c
 *	  The order of halfvecs, for B-trees, and their hash: element by element as arrays compare,
 *	  a vector that is the beginning of another before it. -0 equals 0.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"

#include "compat.h"
#include "core/half.h"
#include "types/halfvec.h"

#define MINUS_ZERO 0x8000

static int
compare(const HalfVector *a, const HalfVector *b)
{
	int dim = Min(a->dim, b->dim);

	for (int i = 0; i < dim; i++)
	{
		float x = ann_half_to_float(a->x[i]);
		float y = ann_half_to_float(b->x[i]);

		if (x != y)
			return x < y ? -1 : 1;
	}
	return (a->dim > b->dim) - (a->dim < b->dim);
}

static int
compare_args(FunctionCallInfo fcinfo)
{
	HalfVector *a = PG_GETARG_HALFVEC(0);
	HalfVector *b = PG_GETARG_HALFVEC(1);
	int result = compare(a, b);

	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return result;
}

ANN_FUNCTION(ann_halfvec_lt);
ANN_FUNCTION(ann_halfvec_le);
ANN_FUNCTION(ann_halfvec_eq);
ANN_FUNCTION(ann_halfvec_ne);
ANN_FUNCTION(ann_halfvec_ge);
ANN_FUNCTION(ann_halfvec_gt);

/*
 * halfvec_lt(halfvec, halfvec) returns boolean: the operator <. Vectors of different dimensions
 * compare too. No errors. Leaves nothing allocated.
 */
Datum
ann_halfvec_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) < 0);
}

/* The same for the operator <=. */
Datum
ann_halfvec_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) <= 0);
}

/* The same for the operator =. */
Datum
ann_halfvec_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) == 0);
}

/* The same for the operator <>. */
Datum
ann_halfvec_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) != 0);
}

/* The same for the operator >=. */
Datum
ann_halfvec_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) >= 0);
}

/* The same for the operator >. */
Datum
ann_halfvec_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) > 0);
}

/*
 * halfvec_cmp(halfvec, halfvec) returns integer: -1, 0 or 1, support function 1 of btree. No
 * errors. Leaves nothing allocated.
 */
ANN_FUNCTION(ann_halfvec_cmp);
Datum
ann_halfvec_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare_args(fcinfo));
}

/* The elements of argument 0, every zero the same, and the number of their bytes; palloc'd. */
static unsigned char *
hashed_bytes(FunctionCallInfo fcinfo, int *num_bytes)
{
	HalfVector *vector = PG_GETARG_HALFVEC(0);
	uint16 *halves = palloc(sizeof(uint16) * vector->dim);

	for (int i = 0; i < vector->dim; i++)
		halves[i] = vector->x[i] == MINUS_ZERO ? 0 : vector->x[i];
	*num_bytes = (int) sizeof(uint16) * vector->dim;
	PG_FREE_IF_COPY(vector, 0);
	return (unsigned char *) halves;
}

/*
 * halfvec_hash(halfvec) returns integer: equal for equal vectors, support function 1 of hash. No
 * errors. Leaves nothing allocated.
 */
ANN_FUNCTION(ann_halfvec_hash);
Datum
ann_halfvec_hash(PG_FUNCTION_ARGS)
{
	int num_bytes;
	unsigned char *bytes = hashed_bytes(fcinfo, &num_bytes);
	Datum result = hash_any(bytes, num_bytes);

	pfree(bytes);
	return result;
}

/*
 * halfvec_hash_extended(halfvec, seed bigint) returns bigint: another hash for each seed, support
 * function 2 of hash. No errors. Leaves nothing allocated.
 */
ANN_FUNCTION(ann_halfvec_hash_extended);
Datum
ann_halfvec_hash_extended(PG_FUNCTION_ARGS)
{
	int num_bytes;
	unsigned char *bytes = hashed_bytes(fcinfo, &num_bytes);
	Datum result = hash_any_extended(bytes, num_bytes, (uint64) PG_GETARG_INT64(1));

	pfree(bytes);
	return result;
}
