/*
 * vector_compare.c
 *	  Order and equality of the SQL type vector: comparison operators, btree and hash support.
 *
 * NOTES
 *	  The order is that of arrays: by the first elements that differ, and if there are none, the one
 *	  with fewer dimensions comes first. There is no NaN, so it is total. -0 and 0 are equal, hence
 *	  they hash equal, and the btree operator class must not claim that equal values have equal
 *	  bytes (no equalimage support function).
 *
 *	  Detoasted copies are freed: btree calls in a context that lives as long as its scan.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "common/hashfn.h"
#include "fmgr.h"

#include "compat.h"
#include "types/vector.h"

/* Elements hashed at once. Changing it changes hash values, which hash indexes store. */
#define HASH_PIECE 256

static int
compare(const Vector *a, const Vector *b)
{
	int dim = Min(a->dim, b->dim);

	for (int i = 0; i < dim; i++)
	{
		if (a->x[i] < b->x[i])
			return -1;
		if (a->x[i] > b->x[i])
			return 1;
	}
	return (a->dim > b->dim) - (a->dim < b->dim);
}

/* Below 0, 0 or above 0 as argument 0 comes before, equals or comes after argument 1. */
static int
compare_args(FunctionCallInfo fcinfo)
{
	Vector *a = PG_GETARG_VECTOR(0);
	Vector *b = PG_GETARG_VECTOR(1);
	int result = compare(a, b);

	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return result;
}

/* Vectors of other dimensions have other sizes, which are known without reading them. */
static bool
equal_args(FunctionCallInfo fcinfo)
{
	if (toast_raw_datum_size(PG_GETARG_DATUM(0)) != toast_raw_datum_size(PG_GETARG_DATUM(1)))
		return false;
	return compare_args(fcinfo) == 0;
}

/*
 * Of elements with -0 made 0, in pieces, each seeded with the hash of those before. For a seed of 0
 * the low half is the 32-bit hash, as hash support wants it.
 */
static uint64
hash_of_arg(FunctionCallInfo fcinfo, uint64 seed)
{
	Vector *vector = PG_GETARG_VECTOR(0);
	float piece[HASH_PIECE];
	uint64 hash = seed;

	for (int begin = 0; begin < vector->dim; begin += HASH_PIECE)
	{
		int num = Min(vector->dim - begin, HASH_PIECE);

		for (int i = 0; i < num; i++)
			piece[i] = vector->x[begin + i] == 0.0f ? 0.0f : vector->x[begin + i];
		hash = hash_bytes_extended((const unsigned char *) piece, num * (int) sizeof(float), hash);
	}
	PG_FREE_IF_COPY(vector, 0);
	return hash;
}

/*
 * vector_lt(vector, vector) returns boolean: the operator <. No errors. Leaves nothing
 * allocated.
 */
ANN_FUNCTION(ann_vector_lt);
Datum
ann_vector_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) < 0);
}

/*
 * vector_le(vector, vector) returns boolean: the operator <=. No errors. Leaves nothing
 * allocated.
 */
ANN_FUNCTION(ann_vector_le);
Datum
ann_vector_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) <= 0);
}

/*
 * vector_eq(vector, vector) returns boolean: the operator =; false where the dimensions differ. No
 * errors. Leaves nothing allocated.
 */
ANN_FUNCTION(ann_vector_eq);
Datum
ann_vector_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(equal_args(fcinfo));
}

/*
 * vector_ne(vector, vector) returns boolean: the operator <>; true where the dimensions differ. No
 * errors. Leaves nothing allocated.
 */
ANN_FUNCTION(ann_vector_ne);
Datum
ann_vector_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!equal_args(fcinfo));
}

/*
 * vector_ge(vector, vector) returns boolean: the operator >=. No errors. Leaves nothing
 * allocated.
 */
ANN_FUNCTION(ann_vector_ge);
Datum
ann_vector_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) >= 0);
}

/*
 * vector_gt(vector, vector) returns boolean: the operator >. No errors. Leaves nothing
 * allocated.
 */
ANN_FUNCTION(ann_vector_gt);
Datum
ann_vector_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_args(fcinfo) > 0);
}

/*
 * vector_cmp(vector, vector) returns integer: -1, 0 or 1 in the order of <; btree support. No
 * errors. Leaves nothing allocated.
 */
ANN_FUNCTION(ann_vector_cmp);
Datum
ann_vector_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare_args(fcinfo));
}

/*
 * vector_hash(vector) returns integer: the same for equal vectors; hash support. No errors. Leaves
 * nothing allocated.
 */
ANN_FUNCTION(ann_vector_hash);
Datum
ann_vector_hash(PG_FUNCTION_ARGS)
{
	PG_RETURN_UINT32((uint32) hash_of_arg(fcinfo, 0));
}

/*
 * vector_hash_extended(vector, seed bigint) returns bigint: the same with 64 bits and a seed, for
 * hash partitioning. No errors. Leaves nothing allocated.
 */
ANN_FUNCTION(ann_vector_hash_extended);
Datum
ann_vector_hash_extended(PG_FUNCTION_ARGS)
{
	PG_RETURN_UINT64(hash_of_arg(fcinfo, (uint64) PG_GETARG_INT64(1)));
}
