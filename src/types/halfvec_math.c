/*
 * halfvec_math.c
 *	  Functions that make a halfvec, or a number or bits, of halfvecs: arithmetic, parts, norm.
 *
 * NOTES
 *	  An operation is done in float and its result rounded to a half. For sums, differences and
 *	  products that gives what rounding once would: a float has more than twice the bits of a half.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "utils/float.h"
#include "utils/varbit.h"

#include "compat.h"
#include "core/half.h"
#include "core/kernels.h"
#include "types/halfvec.h"
#include "types/vector.h"

/* Dimensions whose floats are kept on the stack: 8 kB. */
#define STACK_DIMS 2048

typedef uint16 (*HalfOperation)(uint16 a, uint16 b);

/* A result as a half. Errors: too large (22003). */
static uint16
checked(float value)
{
	uint16 half = ann_half_from_float(value);

	if (fabsf(value) >= ANN_HALF_LIMIT)
		float_overflow_error();
	return half;
}

static uint16
add(uint16 a, uint16 b)
{
	return checked(ann_half_to_float(a) + ann_half_to_float(b));
}

static uint16
subtract(uint16 a, uint16 b)
{
	return checked(ann_half_to_float(a) - ann_half_to_float(b));
}

/* A product of numbers other than 0 that comes out as 0 is an error (22003). */
static uint16
multiply(uint16 a, uint16 b)
{
	float product = ann_half_to_float(a) * ann_half_to_float(b);
	uint16 half = checked(product);

	if (product != 0 && ann_half_to_float(half) == 0)
		float_underflow_error();
	return half;
}

/* The elements of arguments 0 and 1 combined one by one. Errors: different dimensions (22000). */
static HalfVector *
combine_args(FunctionCallInfo fcinfo, HalfOperation operation)
{
	HalfVector *a = PG_GETARG_HALFVEC(0);
	HalfVector *b = PG_GETARG_HALFVEC(1);
	HalfVector *result;

	ann_halfvec_check_same_dim(a, b);
	result = ann_halfvec_new(a->dim);
	for (int i = 0; i < a->dim; i++)
		result->x[i] = operation(a->x[i], b->x[i]);
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return result;
}

/* As that of the vector which it converts to. */
static double
norm_of(const HalfVector *vector)
{
	float stack[STACK_DIMS];
	float *floats = vector->dim <= STACK_DIMS ? stack : palloc(sizeof(float) * vector->dim);
	double norm;

	ann_kernels->half_to_float(vector->x, vector->dim, floats);
	norm = ann_vector_norm_of(floats, vector->dim);
	if (floats != stack)
		pfree(floats);
	return norm;
}

/*
 * halfvec_add(halfvec, halfvec) returns halfvec: element by element, the operator +. Errors:
 * different dimensions (22000), overflow (22003). The result is in the current memory context.
 */
ANN_FUNCTION(ann_halfvec_add);
Datum
ann_halfvec_add(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(combine_args(fcinfo, add));
}

/* halfvec_sub(halfvec, halfvec) returns halfvec: the operator -, otherwise as halfvec_add. */
ANN_FUNCTION(ann_halfvec_sub);
Datum
ann_halfvec_sub(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(combine_args(fcinfo, subtract));
}

/*
 * halfvec_mul(halfvec, halfvec) returns halfvec: element by element, the operator *. Errors:
 * different dimensions (22000), overflow, underflow to 0 (22003). The result is in the current
 * memory context.
 */
ANN_FUNCTION(ann_halfvec_mul);
Datum
ann_halfvec_mul(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(combine_args(fcinfo, multiply));
}

/*
 * halfvec_concat(halfvec, halfvec) returns halfvec: the elements of the first, then those of the
 * second, the operator ||. Errors: more than 16000 (54000). The result is in the current memory
 * context.
 */
ANN_FUNCTION(ann_halfvec_concat);
Datum
ann_halfvec_concat(PG_FUNCTION_ARGS)
{
	HalfVector *a = PG_GETARG_HALFVEC(0);
	HalfVector *b = PG_GETARG_HALFVEC(1);
	int dim = a->dim + b->dim;
	HalfVector *result;

	ann_input_dim(&ann_halfvec_type, dim, NULL);
	result = ann_halfvec_new(dim);
	memcpy(result->x, a->x, sizeof(uint16) * a->dim);
	memcpy(result->x + a->dim, b->x, sizeof(uint16) * b->dim);
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	PG_RETURN_POINTER(result);
}

/*
 * subvector(halfvec, start integer, count integer) returns halfvec: count elements from the one
 * that start says, the first being 1; of places outside the vector there is nothing. Errors: no
 * element (22000). The result is in the current memory context.
 */
ANN_FUNCTION(ann_halfvec_subvector);
Datum
ann_halfvec_subvector(PG_FUNCTION_ARGS)
{
	HalfVector *vector = PG_GETARG_HALFVEC(0);
	int64 start = PG_GETARG_INT32(1);
	int64 first = Max(start, 1);
	int64 end = Min(start + PG_GETARG_INT32(2), vector->dim + 1); /* the place behind the last */
	HalfVector *result;

	ann_input_dim(&ann_halfvec_type, end > first ? (int) (end - first) : 0, NULL);
	result = ann_halfvec_new((int) (end - first));
	memcpy(result->x, vector->x + first - 1, sizeof(uint16) * (Size) (end - first));
	PG_FREE_IF_COPY(vector, 0);
	PG_RETURN_POINTER(result);
}

/* l2_norm(halfvec) returns float8: Euclidean norm. No errors. Leaves nothing allocated. */
ANN_FUNCTION(ann_halfvec_l2_norm);
Datum
ann_halfvec_l2_norm(PG_FUNCTION_ARGS)
{
	AnnRoom room;
	HalfVector *vector = ann_argument(PG_GETARG_DATUM(0), &room);
	double norm = norm_of(vector);

	ann_argument_done(vector, PG_GETARG_DATUM(0), &room);
	PG_RETURN_FLOAT8(norm);
}

/*
 * l2_normalize(halfvec) returns halfvec: the argument divided by its norm, of the same dimensions;
 * a zero vector stays zero. No errors: an element is never greater than the norm, so nothing
 * overflows. The result is in the current memory context.
 */
ANN_FUNCTION(ann_halfvec_l2_normalize);
Datum
ann_halfvec_l2_normalize(PG_FUNCTION_ARGS)
{
	HalfVector *vector = PG_GETARG_HALFVEC(0);
	HalfVector *result = ann_halfvec_new(vector->dim);
	double norm = norm_of(vector);

	if (norm > 0.0)
		for (int i = 0; i < vector->dim; i++)
			result->x[i] =
				ann_half_from_float((float) ((double) ann_half_to_float(vector->x[i]) / norm));
	PG_FREE_IF_COPY(vector, 0);
	PG_RETURN_POINTER(result);
}

/*
 * binary_quantize(halfvec) returns bit: one bit for each element, 1 where it is above 0. No errors.
 * The result is in the current memory context.
 */
ANN_FUNCTION(ann_halfvec_binary_quantize);
Datum
ann_halfvec_binary_quantize(PG_FUNCTION_ARGS)
{
	HalfVector *vector = PG_GETARG_HALFVEC(0);
	Size size = VARBITTOTALLEN(vector->dim);
	VarBit *result = palloc0(size);

	SET_VARSIZE(result, size);
	VARBITLEN(result) = vector->dim;
	for (int i = 0; i < vector->dim; i++)
		if (ann_half_to_float(vector->x[i]) > 0)
			VARBITS(result)[i / BITS_PER_BYTE] |= HIGHBIT >> (i % BITS_PER_BYTE);
	PG_FREE_IF_COPY(vector, 0);
	PG_RETURN_VARBIT_P(result);
}
