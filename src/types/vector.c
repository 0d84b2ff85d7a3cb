/*
 * vector.c
 *	  The SQL type vector: text and binary I/O, type modifier, casts.
 *
 * NOTES
 *	  Texts and SQLSTATEs of errors equal pgvector's: clients and tests match on them.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "utils/array.h"

#include "compat.h"
#include "types/vector.h"

const AnnInputType ann_vector_type = {
	.name = "vector", .max_dim = VECTOR_MAX_DIM, .limit = INFINITY};

Vector *
ann_vector_new(int dim)
{
	Size size = VECTOR_SIZE(dim);
	Vector *result = (Vector *) palloc0(size);

	Assert(dim >= 1 && dim <= VECTOR_MAX_DIM);
	SET_VARSIZE(result, size);
	result->dim = (int16) dim;
	return result;
}

static Vector *
vector_of_floats(const float *values, int dim)
{
	Vector *result = ann_vector_new(dim);

	for (int i = 0; i < dim; i++)
	{
		ann_input_finite(&ann_vector_type, values[i], NULL);
		result->x[i] = values[i];
	}
	return result;
}

/*
 * vector_in(cstring, oid, integer) returns vector: from '[x, y, ...]' with 1 to 16000 numbers as
 * strtof reads them, white space allowed between all tokens. Errors, all soft where the server has
 * soft errors: syntax (22P02), a number out of range (22003), NaN or infinity, no element, not as
 * many as the type modifier says (22000), more than 16000 (54000). The result is in the current
 * memory context; nothing else stays allocated.
 */
ANN_FUNCTION(ann_vector_in);
Datum
ann_vector_in(PG_FUNCTION_ARGS)
{
	int dim;
	float *values = ann_input_literal(&ann_vector_type, PG_GETARG_CSTRING(0), PG_GETARG_INT32(2),
									  &dim, fcinfo->context);
	Vector *result;

	if (values == NULL)
		return (Datum) 0;
	result = vector_of_floats(values, dim);
	pfree(values);
	PG_RETURN_POINTER(result);
}

/*
 * vector_out(vector) returns cstring: '[x,y,...]', each number the shortest that reads back as the
 * same float, whatever extra_float_digits says. No errors. The result is in the current memory
 * context.
 */
ANN_FUNCTION(ann_vector_out);
Datum
ann_vector_out(PG_FUNCTION_ARGS)
{
	Vector *vector = PG_GETARG_VECTOR(0);
	/* The length of a float counts its NUL, which here pays for the comma. */
	char *text = palloc((Size) vector->dim * FLOAT_SHORTEST_DECIMAL_LEN + sizeof("[]"));
	char *end = text;

	*end++ = '[';
	for (int i = 0; i < vector->dim; i++)
	{
		if (i > 0)
			*end++ = ',';
		end += float_to_shortest_decimal_bufn(vector->x[i], end);
	}
	*end++ = ']';
	*end = '\0';
	PG_FREE_IF_COPY(vector, 0);
	PG_RETURN_CSTRING(text);
}

/*
 * vector_typmod_in(cstring[]) returns integer: the n of vector(n). Errors (22023): not one number,
 * or none of 1 to 16000.
 */
ANN_FUNCTION(ann_vector_typmod_in);
Datum
ann_vector_typmod_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(ann_input_typmods(&ann_vector_type, PG_GETARG_ARRAYTYPE_P(0)));
}

/*
 * vector_recv(internal, oid, integer) returns vector: int16 dim, int16 unused (0), dim float4, in
 * network order. Errors: dim out of range (22000, 54000), not the type modifier's, unused not 0,
 * NaN or infinity (22000), a short message (08P01); the server refuses bytes left over. The result
 * is in the current memory context.
 */
ANN_FUNCTION(ann_vector_recv);
Datum
ann_vector_recv(PG_FUNCTION_ARGS)
{
	StringInfo message = (StringInfo) PG_GETARG_POINTER(0);
	int32 typmod = PG_GETARG_INT32(2);
	int dim = (int) pq_getmsgint(message, sizeof(int16));
	int unused = (int) pq_getmsgint(message, sizeof(int16));
	Vector *result;

	ann_input_dim(&ann_vector_type, dim, NULL);
	ann_input_typmod(dim, typmod, NULL);
	if (unused != 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("expected unused to be 0, not %d", unused)));

	result = ann_vector_new(dim);
	for (int i = 0; i < dim; i++)
	{
		result->x[i] = pq_getmsgfloat4(message);
		ann_input_finite(&ann_vector_type, result->x[i], NULL);
	}
	PG_RETURN_POINTER(result);
}

/*
 * vector_send(vector) returns bytea: what vector_recv reads. No errors. The result is in the
 * current memory context.
 */
ANN_FUNCTION(ann_vector_send);
Datum
ann_vector_send(PG_FUNCTION_ARGS)
{
	Vector *vector = PG_GETARG_VECTOR(0);
	StringInfoData message;

	pq_begintypsend(&message);
	pq_sendint16(&message, (uint16) vector->dim);
	pq_sendint16(&message, (uint16) vector->unused);
	for (int i = 0; i < vector->dim; i++)
		pq_sendfloat4(&message, vector->x[i]);
	PG_FREE_IF_COPY(vector, 0);
	PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}

/*
 * vector(vector, integer, boolean) returns vector: the cast that holds a value to vector(n).
 * Errors: other dimensions (22000). Returns the argument, or its detoasted copy.
 */
ANN_FUNCTION(ann_vector);
Datum
ann_vector(PG_FUNCTION_ARGS)
{
	Vector *vector = PG_GETARG_VECTOR(0);

	ann_input_typmod(vector->dim, PG_GETARG_INT32(1), NULL);
	PG_RETURN_POINTER(vector);
}

/*
 * array_to_vector(integer[] | real[] | float8[] | numeric[], integer, boolean) returns vector: the
 * casts from arrays, rounded to float. Errors: more than one dimension of the array (22000), a null
 * (22004), no element or not as many as the type modifier says (22000), more than 16000 (54000),
 * NaN or a value past the range of float (22000; 22003 from numeric). The result is in the current
 * memory context.
 */
ANN_FUNCTION(ann_array_to_vector);
Datum
ann_array_to_vector(PG_FUNCTION_ARGS)
{
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(0);
	int dim;
	float *values = ann_input_array(&ann_vector_type, array, PG_GETARG_INT32(1), &dim);
	Vector *result = vector_of_floats(values, dim);

	pfree(values);
	PG_FREE_IF_COPY(array, 0);
	PG_RETURN_POINTER(result);
}

/*
 * vector_to_float4(vector, integer, boolean) returns real[]: the elements, from subscript 1. No
 * errors. The result is in the current memory context.
 */
ANN_FUNCTION(ann_vector_to_float4);
Datum
ann_vector_to_float4(PG_FUNCTION_ARGS)
{
	Vector *vector = PG_GETARG_VECTOR(0);
	Datum *elements = (Datum *) palloc(sizeof(Datum) * (Size) vector->dim);
	ArrayType *result;

	for (int i = 0; i < vector->dim; i++)
		elements[i] = Float4GetDatum(vector->x[i]);
	result = construct_array(elements, vector->dim, FLOAT4OID, sizeof(float4), true, TYPALIGN_INT);
	pfree(elements);
	PG_FREE_IF_COPY(vector, 0);
	PG_RETURN_ARRAYTYPE_P(result);
}
