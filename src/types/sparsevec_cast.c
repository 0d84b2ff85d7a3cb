/*
 * sparsevec_cast.c
 *	  Casts between sparsevec and the dense types, and from arrays to sparsevec.
 *
 * NOTES
 *	  All functions are strict. Zeroes are what a sparsevec does not store; so a zero of negative
 *	  sign comes back positive.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"

#include "compat.h"
#include "core/half.h"
#include "core/kernels.h"
#include "types/halfvec.h"
#include "types/sparsevec.h"
#include "types/vector.h"

/* The elements that are not zero. */
static SparseVector *
sparse_of_floats(const float *floats, int dim)
{
	SparseVector *result;
	float *values;
	int nnz = 0;

	for (int i = 0; i < dim; i++)
		nnz += floats[i] != 0.0f;
	result = ann_sparsevec_new(dim, nnz);
	values = ann_sparsevec_values(result);
	nnz = 0;
	for (int i = 0; i < dim; i++)
		if (floats[i] != 0.0f)
		{
			result->indices[nnz] = i;
			values[nnz++] = floats[i];
		}
	return result;
}

/*
 * vector_to_sparsevec(vector, integer, boolean) returns sparsevec: the elements that are not zero.
 * Errors: not as many dimensions as the type modifier says (22000). The result is in the current
 * memory context.
 */
ANN_FUNCTION(ann_vector_to_sparsevec);
Datum
ann_vector_to_sparsevec(PG_FUNCTION_ARGS)
{
	Vector *vector = PG_GETARG_VECTOR(0);
	SparseVector *result;

	ann_sparsevec_check_dim(vector->dim, PG_GETARG_INT32(1), NULL);
	result = sparse_of_floats(vector->x, vector->dim);
	PG_FREE_IF_COPY(vector, 0);
	PG_RETURN_POINTER(result);
}

/*
 * sparsevec_to_vector(sparsevec, integer, boolean) returns vector. Errors: more than 16000
 * dimensions (54000), not as many as the type modifier says (22000). The result is in the current
 * memory context.
 */
ANN_FUNCTION(ann_sparsevec_to_vector);
Datum
ann_sparsevec_to_vector(PG_FUNCTION_ARGS)
{
	SparseVector *sparse = PG_GETARG_SPARSEVEC(0);
	const float *values = ann_sparsevec_values(sparse);
	Vector *result;

	ann_input_dim(&ann_vector_type, sparse->dim, NULL);
	ann_input_typmod(sparse->dim, PG_GETARG_INT32(1), NULL);
	result = ann_vector_new(sparse->dim);
	for (int i = 0; i < sparse->nnz; i++)
		result->x[sparse->indices[i]] = values[i];
	PG_FREE_IF_COPY(sparse, 0);
	PG_RETURN_POINTER(result);
}

/*
 * halfvec_to_sparsevec(halfvec, integer, boolean) returns sparsevec: the elements that are not
 * zero. Errors: not as many dimensions as the type modifier says (22000). The result is in the
 * current memory context.
 */
ANN_FUNCTION(ann_halfvec_to_sparsevec);
Datum
ann_halfvec_to_sparsevec(PG_FUNCTION_ARGS)
{
	HalfVector *half = PG_GETARG_HALFVEC(0);
	SparseVector *result;
	float *floats;

	ann_sparsevec_check_dim(half->dim, PG_GETARG_INT32(1), NULL);
	floats = palloc(sizeof(float) * half->dim);
	ann_kernels->half_to_float(half->x, half->dim, floats);
	result = sparse_of_floats(floats, half->dim);
	pfree(floats);
	PG_FREE_IF_COPY(half, 0);
	PG_RETURN_POINTER(result);
}

/*
 * sparsevec_to_halfvec(sparsevec, integer, boolean) returns halfvec, rounded. Errors: more than
 * 16000 dimensions (54000), not as many as the type modifier says (22000), a value that is too
 * large (22003). The result is in the current memory context.
 */
ANN_FUNCTION(ann_sparsevec_to_halfvec);
Datum
ann_sparsevec_to_halfvec(PG_FUNCTION_ARGS)
{
	SparseVector *sparse = PG_GETARG_SPARSEVEC(0);
	const float *values = ann_sparsevec_values(sparse);
	HalfVector *result;

	ann_input_dim(&ann_halfvec_type, sparse->dim, NULL);
	ann_input_typmod(sparse->dim, PG_GETARG_INT32(1), NULL);
	result = ann_halfvec_new(sparse->dim);
	for (int i = 0; i < sparse->nnz; i++)
	{
		ann_input_range(&ann_halfvec_type, values[i]);
		result->x[sparse->indices[i]] = ann_half_from_float(values[i]);
	}
	PG_FREE_IF_COPY(sparse, 0);
	PG_RETURN_POINTER(result);
}

/* What a float cannot hold becomes infinite, and is refused as such; numeric has its own errors. */
static float
float_of_element(Datum element, Oid type)
{
	switch (type)
	{
		case INT4OID:
			return (float) DatumGetInt32(element);
		case FLOAT4OID:
			return DatumGetFloat4(element);
		case FLOAT8OID:
			return (float) DatumGetFloat8(element);
		case NUMERICOID:
			return DatumGetFloat4(DirectFunctionCall1(numeric_float4, element));
		default:
			ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION), errmsg("unsupported array type")));
	}
}

/* Fills a value that has room from the array's elements, one after the other; it may be long. */
static void
fill_from_array(ArrayType *array, SparseVector *result)
{
	ArrayIterator iterator = array_create_iterator(array, 0, NULL);
	float *values = ann_sparsevec_values(result);
	int nnz = 0;
	Datum element;
	bool is_null;

	for (int i = 0; array_iterate(iterator, &element, &is_null); i++)
	{
		float value = float_of_element(element, ARR_ELEMTYPE(array));

		CHECK_FOR_INTERRUPTS();
		ann_input_finite(&ann_sparsevec_type, value, NULL);
		if (value == 0.0f)
			continue;
		ann_sparsevec_check_nnz(nnz + 1, NULL);
		result->indices[nnz] = i;
		values[nnz++] = value;
	}
	array_free_iterator(iterator);
	ann_sparsevec_truncate(result, nnz);
}

/*
 * array_to_sparsevec(integer[] | real[] | float8[] | numeric[], integer, boolean) returns
 * sparsevec: the casts from arrays, rounded to float. Errors: more than one dimension of the array
 * (22000), a null (22004), no element or not as many as the type modifier says (22000), more than
 * 16000 that are not zero (54000), NaN or a value past the range of float (22000; 22003 from
 * numeric). The result is in the current memory context.
 */
ANN_FUNCTION(ann_array_to_sparsevec);
Datum
ann_array_to_sparsevec(PG_FUNCTION_ARGS)
{
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(0);
	int num = ann_input_array_length(array);
	SparseVector *result;

	ann_sparsevec_check_dim(num, PG_GETARG_INT32(1), NULL);

	result = ann_sparsevec_new(num, Min(num, SPARSEVEC_MAX_NNZ));
	fill_from_array(array, result);
	PG_FREE_IF_COPY(array, 0);
	PG_RETURN_POINTER(result);
}
