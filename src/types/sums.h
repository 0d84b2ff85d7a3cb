/*
 * sums.h
 *	  The state of the aggregates that add up in double: float8[], the number of rows, then the sum
 *	  of each dimension; {0} before the first row.
 *
 * NOTES
 *	  The functions are open to SQL, so a state may be any array: each one checks it.
 */
#ifndef ANN_TYPES_SUMS_H
#define ANN_TYPES_SUMS_H

#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"

static inline float8 *
ann_sums_values(ArrayType *state)
{
	return (float8 *) ARR_DATA_PTR(state);
}

/* 0 where there was no row yet. */
static inline int
ann_sums_dim(ArrayType *state)
{
	return ARR_DIMS(state)[0] - 1;
}

/* Refuses what is not {count, sum, ...}; of any number of dimensions. */
static inline void
ann_sums_check(ArrayType *state, const char *caller)
{
	if (ARR_NDIM(state) != 1 || ARR_DIMS(state)[0] < 1 || ARR_HASNULL(state) ||
		ARR_ELEMTYPE(state) != FLOAT8OID)
		elog(ERROR, "%s: expected state array", caller);
}

/* A state of zeros, in the current memory context. */
static inline ArrayType *
ann_sums_new(int dim)
{
	Size size = ARR_OVERHEAD_NONULLS(1) + sizeof(float8) * ((Size) dim + 1);
	ArrayType *state = (ArrayType *) palloc0(size);

	SET_VARSIZE(state, size);
	state->ndim = 1;
	state->elemtype = FLOAT8OID;
	ARR_DIMS(state)[0] = dim + 1;
	ARR_LBOUND(state)[0] = 1;
	return state;
}

#endif
