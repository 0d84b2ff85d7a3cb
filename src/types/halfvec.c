/*
 * halfvec.c
 *	  The SQL type halfvec: text and binary I/O, type modifier, casts.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "utils/array.h"

#include "compat.h"
#include "core/half.h"
#include "core/kernels.h"
#include "types/halfvec.h"
#include "types/vector.h"

const AnnInputType ann_halfvec_type = {
	.name = "halfvec", .max_dim = HALFVEC_MAX_DIM, .limit = ANN_HALF_LIMIT};

HalfVector *
ann_halfvec_new(int dim)
{
	Size size = HALFVEC_SIZE(dim);
	HalfVector *result = (HalfVector *) palloc0(size);

	Assert(dim >= 1 && dim <= HALFVEC_MAX_DIM);
	SET_VARSIZE(result, size);
	result->dim = (int16) dim;
	return result;
}

HalfVector *
ann_halfvec_of_floats(const float *values, int dim)
{
	HalfVector *result = ann_halfvec_new(dim);

	for (int i = 0; i < dim; i++)
	{
		ann_input_range(&ann_halfvec_type, values[i]);
		ann_input_finite(&ann_halfvec_type, values[i], NULL);
		result->x[i] = ann_half_from_float(values[i]);
	}
	return result;
}

void
ann_halfvec_check_same_dim(const HalfVector *a, const HalfVector *b)
{
	if (a->dim != b->dim)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("different halfvec dimensions %d and %d", a->dim, b->dim)));
}

/*
 * halfvec_in(cstring, oid, integer) returns halfvec: from '[x, y, ...]' with 1 to 16000 numbers as
 * strtof reads them, rounded to halves, white space allowed between all tokens. Errors, all soft
 * where the server has soft errors: syntax (22P02), a number of 65520 or more (22003), NaN or
 * infinity, no element, not as many as the type modifier says (22000), more than 16000 (54000). The
 * result is in the current memory context; nothing else stays allocated.
 */
ANN_FUNCTION(ann_halfvec_in);
Datum
ann_halfvec_in(PG_FUNCTION_ARGS)
{
	int dim;
	float *values = ann_input_literal(&ann_halfvec_type, PG_GETARG_CSTRING(0), PG_GETARG_INT32(2),
									  &dim, fcinfo->context);
	HalfVector *result;

	if (values == NULL)
		return (Datum) 0;
	result = ann_halfvec_of_floats(values, dim);
	pfree(values);
	PG_RETURN_POINTER(result);
}

/*
 * halfvec_out(halfvec) returns cstring: '[x,y,...]', each number the shortest that reads back as
 * the same float, whatever extra_float_digits says. No errors. The result is in the current memory
 * context.
 */
ANN_FUNCTION(ann_halfvec_out);
Datum
ann_halfvec_out(PG_FUNCTION_ARGS)
{
	HalfVector *vector = PG_GETARG_HALFVEC(0);
	/* The length of a float counts its NUL, which here pays for the comma. */
	char *text = palloc((Size) vector->dim * FLOAT_SHORTEST_DECIMAL_LEN + sizeof("[]"));
	char *end = text;

	*end++ = '[';
	for (int i = 0; i < vector->dim; i++)
	{
		if (i > 0)
			*end++ = ',';
		end += float_to_shortest_decimal_bufn(ann_half_to_float(vector->x[i]), end);
	}
	*end++ = ']';
	*end = '\0';
	PG_FREE_IF_COPY(vector, 0);
	PG_RETURN_CSTRING(text);
}

/*
 * halfvec_typmod_in(cstring[]) returns integer: the n of halfvec(n). Errors (22023): not one
 * number, or none of 1 to 16000.
 */
ANN_FUNCTION(ann_halfvec_typmod_in);
Datum
ann_halfvec_typmod_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(ann_input_typmods(&ann_halfvec_type, PG_GETARG_ARRAYTYPE_P(0)));
}

/*
 * halfvec_recv(internal, oid, integer) returns halfvec: int16 dim, int16 unused (0), dim halves, in
 * network order. Errors: dim out of range (22000, 54000), not the type modifier's, unused not 0,
 * NaN or infinity (22000), a short message (08P01); the server refuses bytes left over. The result
 * is in the current memory context.
 */
ANN_FUNCTION(ann_halfvec_recv);
Datum
ann_halfvec_recv(PG_FUNCTION_ARGS)
{
	StringInfo message = (StringInfo) PG_GETARG_POINTER(0);
	int32 typmod = PG_GETARG_INT32(2);
	int dim = (int16) pq_getmsgint(message, sizeof(int16));
	int unused = (int16) pq_getmsgint(message, sizeof(int16));
	HalfVector *result;

	ann_input_dim(&ann_halfvec_type, dim, NULL);
	ann_input_typmod(dim, typmod, NULL);
	if (unused != 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("expected unused to be 0, not %d", unused)));

	result = ann_halfvec_new(dim);
	for (int i = 0; i < dim; i++)
	{
		result->x[i] = (uint16) pq_getmsgint(message, sizeof(uint16));
		ann_input_finite(&ann_halfvec_type, ann_half_to_float(result->x[i]), NULL);
	}
	PG_RETURN_POINTER(result);
}

/*
 * halfvec_send(halfvec) returns bytea: what halfvec_recv reads. No errors. The result is in the
 * current memory context.
 */
ANN_FUNCTION(ann_halfvec_send);
Datum
ann_halfvec_send(PG_FUNCTION_ARGS)
{
	HalfVector *vector = PG_GETARG_HALFVEC(0);
	StringInfoData message;

	pq_begintypsend(&message);
	pq_sendint16(&message, (uint16) vector->dim);
	pq_sendint16(&message, (uint16) vector->unused);
	for (int i = 0; i < vector->dim; i++)
		pq_sendint16(&message, vector->x[i]);
	PG_FREE_IF_COPY(vector, 0);
	PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}

/*
 * halfvec(halfvec, integer, boolean) returns halfvec: the cast that holds a value to halfvec(n).
 * Errors: other dimensions (22000). Returns the argument, or its detoasted copy.
 */
ANN_FUNCTION(ann_halfvec);
Datum
ann_halfvec(PG_FUNCTION_ARGS)
{
	HalfVector *vector = PG_GETARG_HALFVEC(0);

	ann_input_typmod(vector->dim, PG_GETARG_INT32(1), NULL);
	PG_RETURN_POINTER(vector);
}

/*
 * array_to_halfvec(integer[] | real[] | float8[] | numeric[], integer, boolean) returns halfvec:
 * the casts from arrays, rounded to float and then to half. Errors: more than one dimension of the
 * array (22000), a null (22004), no element or not as many as the type modifier says (22000), more
 * than 16000 (54000), a value of 65520 or more (22003), NaN, infinity or a value past the range of
 * float (22000; 22003 from numeric). The result is in the current memory context.
 */
ANN_FUNCTION(ann_array_to_halfvec);
Datum
ann_array_to_halfvec(PG_FUNCTION_ARGS)
{
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(0);
	int dim;
	float *values = ann_input_array(&ann_halfvec_type, array, PG_GETARG_INT32(1), &dim);
	HalfVector *result = ann_halfvec_of_floats(values, dim);

	pfree(values);
	PG_FREE_IF_COPY(array, 0);
	PG_RETURN_POINTER(result);
}

/*
 * halfvec_to_float4(halfvec, integer, boolean) returns real[]: the elements, from subscript 1. No
 * errors. The result is in the current memory context.
 */
ANN_FUNCTION(ann_halfvec_to_float4);
Datum
ann_halfvec_to_float4(PG_FUNCTION_ARGS)
{
	HalfVector *vector = PG_GETARG_HALFVEC(0);
	Datum *elements = (Datum *) palloc(sizeof(Datum) * (Size) vector->dim);
	ArrayType *result;

	for (int i = 0; i < vector->dim; i++)
		elements[i] = Float4GetDatum(ann_half_to_float(vector->x[i]));
	result = construct_array(elements, vector->dim, FLOAT4OID, sizeof(float4), true, TYPALIGN_INT);
	pfree(elements);
	PG_FREE_IF_COPY(vector, 0);
	PG_RETURN_ARRAYTYPE_P(result);
}

/*
 * halfvec_to_vector(halfvec, integer, boolean) returns vector: exact. Errors: not as many
 * dimensions as the type modifier says (22000). The result is in the current memory context.
 */
ANN_FUNCTION(ann_halfvec_to_vector);
Datum
ann_halfvec_to_vector(PG_FUNCTION_ARGS)
{
	HalfVector *vector = PG_GETARG_HALFVEC(0);
	Vector *result;

	ann_input_typmod(vector->dim, PG_GETARG_INT32(1), NULL);
	result = ann_vector_new(vector->dim);
	ann_kernels->half_to_float(vector->x, vector->dim, result->x);
	PG_FREE_IF_COPY(vector, 0);
	PG_RETURN_POINTER(result);
}

/*
 * vector_to_halfvec(vector, integer, boolean) returns halfvec: rounded. Errors: not as many
 * dimensions as the type modifier says (22000), an element of 65520 or more (22003). The result is
 * in the current memory context.
 */
ANN_FUNCTION(ann_vector_to_halfvec);
Datum
ann_vector_to_halfvec(PG_FUNCTION_ARGS)
{
	Vector *vector = PG_GETARG_VECTOR(0);
	HalfVector *result;

	ann_input_typmod(vector->dim, PG_GETARG_INT32(1), NULL);
	result = ann_halfvec_of_floats(vector->x, vector->dim);
	PG_FREE_IF_COPY(vector, 0);
	PG_RETURN_POINTER(result);
}
