/*
 * vector_math.c
 *	  Arithmetic and pieces of the SQL type vector: + - * ||, subvector, binary_quantize.
 *
 * NOTES
 *	  The loops are plain: they write as much as they compute, so there is little for kernels to
 *	  win. Elements of the arguments are finite, therefore an infinite result is an overflow and
 *	  nothing can become NaN.
 */
#include "postgres.h"

#include <math.h>

#include "access/detoast.h"
#include "fmgr.h"
#include "utils/float.h"
#include "utils/varbit.h"

#include "compat.h"
#include "types/vector.h"

static void
check_overflow(const Vector *result)
{
	for (int i = 0; i < result->dim; i++)
		if (unlikely(isinf(result->x[i])))
			float_overflow_error();
}

/*
 * vector_add(vector, vector) returns vector: sums of elements, the operator +; also the transition
 * of sum(vector). Errors: different dimensions (22000), overflow (22003). The result is in the
 * current memory context.
 */
ANN_FUNCTION(ann_vector_add);
Datum
ann_vector_add(PG_FUNCTION_ARGS)
{
	Vector *a = PG_GETARG_VECTOR(0);
	Vector *b = PG_GETARG_VECTOR(1);
	Vector *result;

	ann_vector_check_same_dims(a, b);
	result = ann_vector_new(a->dim);
	for (int i = 0; i < a->dim; i++)
		result->x[i] = a->x[i] + b->x[i];
	check_overflow(result);
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	PG_RETURN_POINTER(result);
}

/*
 * vector_sub(vector, vector) returns vector: differences of elements, the operator -. Errors:
 * different dimensions (22000), overflow (22003). The result is in the current memory context.
 */
ANN_FUNCTION(ann_vector_sub);
Datum
ann_vector_sub(PG_FUNCTION_ARGS)
{
	Vector *a = PG_GETARG_VECTOR(0);
	Vector *b = PG_GETARG_VECTOR(1);
	Vector *result;

	ann_vector_check_same_dims(a, b);
	result = ann_vector_new(a->dim);
	for (int i = 0; i < a->dim; i++)
		result->x[i] = a->x[i] - b->x[i];
	check_overflow(result);
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	PG_RETURN_POINTER(result);
}

/*
 * vector_mul(vector, vector) returns vector: products of elements, the operator *. Errors:
 * different dimensions (22000); overflow, or a product of non-zero elements that becomes zero
 * (22003). The result is in the current memory context.
 */
ANN_FUNCTION(ann_vector_mul);
Datum
ann_vector_mul(PG_FUNCTION_ARGS)
{
	Vector *a = PG_GETARG_VECTOR(0);
	Vector *b = PG_GETARG_VECTOR(1);
	Vector *result;

	ann_vector_check_same_dims(a, b);
	result = ann_vector_new(a->dim);
	for (int i = 0; i < a->dim; i++)
		result->x[i] = a->x[i] * b->x[i];
	check_overflow(result);
	for (int i = 0; i < a->dim; i++)
		if (unlikely(result->x[i] == 0.0f && a->x[i] != 0.0f && b->x[i] != 0.0f))
			float_underflow_error();
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	PG_RETURN_POINTER(result);
}

/*
 * vector_concat(vector, vector) returns vector: the elements of one after those of the other, the
 * operator ||. Errors: more than 16000 dimensions (54000). The result is in the current memory
 * context.
 */
ANN_FUNCTION(ann_vector_concat);
Datum
ann_vector_concat(PG_FUNCTION_ARGS)
{
	Vector *a = PG_GETARG_VECTOR(0);
	Vector *b = PG_GETARG_VECTOR(1);
	int dim = a->dim + b->dim;
	Vector *result;

	ann_input_dim(&ann_vector_type, dim, NULL);
	result = ann_vector_new(dim);
	memcpy(result->x, a->x, sizeof(float) * (Size) a->dim);
	memcpy(result->x + a->dim, b->x, sizeof(float) * (Size) b->dim);
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	PG_RETURN_POINTER(result);
}

/*
 * subvector(vector, start integer, count integer) returns vector: count elements from start on, the
 * first being 1; what lies outside of the vector is left out. Errors: nothing is left (22000). Of a
 * toasted value only the chunks with these elements are read. The result is in the current memory
 * context.
 */
ANN_FUNCTION(ann_subvector);
Datum
ann_subvector(PG_FUNCTION_ARGS)
{
	Datum datum = PG_GETARG_DATUM(0);
	int dim = (int) ((toast_raw_datum_size(datum) - offsetof(Vector, x)) / sizeof(float));
	int64 start = PG_GETARG_INT32(1);
	int64 end = start + PG_GETARG_INT32(2); /* the first one not taken */
	int first = (int) Max(start, 1);
	int num = (int) Max(Min(end, (int64) dim + 1) - first, 0);
	Size offset = VECTOR_SIZE(first - 1) - VARHDRSZ; /* a slice counts from behind the header */
	struct varlena *slice;
	Vector *result;

	ann_input_dim(&ann_vector_type, num, NULL);
	slice = PG_DETOAST_DATUM_SLICE(datum, offset, sizeof(float) * (Size) num);
	result = ann_vector_new(num);
	memcpy(result->x, VARDATA(slice), sizeof(float) * (Size) num);
	pfree(slice);
	PG_RETURN_POINTER(result);
}

/*
 * binary_quantize(vector) returns bit: as many bits as dimensions, 1 where the element is greater
 * than zero. No errors. The result is in the current memory context.
 */
ANN_FUNCTION(ann_binary_quantize);
Datum
ann_binary_quantize(PG_FUNCTION_ARGS)
{
	Vector *vector = PG_GETARG_VECTOR(0);
	Size size = VARBITTOTALLEN(vector->dim);
	VarBit *result = (VarBit *) palloc0(size);
	bits8 *bytes = VARBITS(result);

	SET_VARSIZE(result, size);
	VARBITLEN(result) = vector->dim;
	for (int i = 0; i < vector->dim; i++)
		bytes[i / BITS_PER_BYTE] |=
			(bits8) ((vector->x[i] > 0.0f) << (BITS_PER_BYTE - 1 - i % BITS_PER_BYTE));
	PG_FREE_IF_COPY(vector, 0);
	PG_RETURN_VARBIT_P(result);
}
