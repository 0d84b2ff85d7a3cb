/*
 * vector.c
 *	  The SQL type vector: text and binary I/O, type modifier, casts.
 *
 * NOTES
 *	  Texts and SQLSTATEs of errors equal pgvector's: clients and tests match on them. Checks that
 *	  the input function shares with the others take an error context: NULL throws, else (on servers
 *	  that have soft errors) the error is saved there and the check returns false.
 */
#include "postgres.h"

#include <math.h>
#include <stdlib.h>

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"

#include "compat.h"
#include "types/vector.h"

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

static bool
too_many_dims(Node *escontext)
{
	ereturn(escontext, false,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("vector cannot have more than %d dimensions", VECTOR_MAX_DIM)));
}

bool
ann_vector_check_dim(int dim, Node *escontext)
{
	if (dim < 1)
		ereturn(escontext, false,
				(errcode(ERRCODE_DATA_EXCEPTION), errmsg("vector must have at least 1 dimension")));
	if (dim > VECTOR_MAX_DIM)
		return too_many_dims(escontext);
	return true;
}

bool
ann_vector_check_typmod(int dim, int32 typmod, Node *escontext)
{
	if (typmod != -1 && typmod != dim)
		ereturn(escontext, false,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("expected %d dimensions, not %d", typmod, dim)));
	return true;
}

bool
ann_vector_check_element(float value, Node *escontext)
{
	if (isnan(value))
		ereturn(escontext, false,
				(errcode(ERRCODE_DATA_EXCEPTION), errmsg("NaN not allowed in vector")));
	if (isinf(value))
		ereturn(escontext, false,
				(errcode(ERRCODE_DATA_EXCEPTION), errmsg("infinite value not allowed in vector")));
	return true;
}

static bool
syntax_error(const char *literal, const char *detail, Node *escontext)
{
	ereturn(escontext, false,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input syntax for type vector: \"%s\"", literal),
			 detail ? errdetail("%s", detail) : 0));
}

/* The white space of SQL and of strtof in the C locale, whatever the server's locale is. */
static char *
skip_space(char *cursor)
{
	while (*cursor == ' ' || (*cursor >= '\t' && *cursor <= '\r'))
		cursor++;
	return cursor;
}

/*
 * Room for the elements of a literal: one more than its commas, no more than a vector may have.
 */
static int
count_elements(const char *cursor)
{
	int num = 1;

	while (num < VECTOR_MAX_DIM && (cursor = strchr(cursor, ',')) != NULL)
	{
		num++;
		cursor++;
	}
	return num;
}

/*
 * Parses one number at *cursor and moves past it. strtof, not strtod: a value is rounded once. The
 * server keeps LC_NUMERIC at C, so the decimal point is a point. What is too small becomes zero or
 * subnormal without an error.
 */
static bool
parse_element(const char *literal, char **cursor, float *value, Node *escontext)
{
	char *end;

	errno = 0;
	*value = strtof(*cursor, &end);
	if (end == *cursor)
		return syntax_error(literal, NULL, escontext);
	if (errno == ERANGE && isinf(*value))
		ereturn(escontext, false,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("\"%s\" is out of range for type vector",
						pnstrdup(*cursor, (Size) (end - *cursor)))));
	*cursor = end;
	return ann_vector_check_element(*value, escontext);
}

/*
 * Parses "1, 2, 3]" at *cursor into x, which has room for count_elements(), and moves past the
 * bracket. Returns the number of elements, 0 after a soft error.
 */
static int
parse_elements(const char *literal, char **cursor, float *x, Node *escontext)
{
	int dim = 0;

	for (;;)
	{
		if (dim == VECTOR_MAX_DIM)
			return too_many_dims(escontext);
		*cursor = skip_space(*cursor);
		if (!parse_element(literal, cursor, &x[dim], escontext))
			return 0;
		dim++;
		*cursor = skip_space(*cursor);
		if (**cursor == ']')
			break;
		if (**cursor != ',')
			return syntax_error(literal, NULL, escontext);
		(*cursor)++;
	}
	(*cursor)++;
	return dim;
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
	char *literal = PG_GETARG_CSTRING(0);
	int32 typmod = PG_GETARG_INT32(2);
	Node *escontext = fcinfo->context;
	char *cursor = skip_space(literal);
	Vector *result;
	int dim;

	if (*cursor != '[')
	{
		syntax_error(literal, "Vector contents must start with \"[\".", escontext);
		return (Datum) 0;
	}
	cursor = skip_space(cursor + 1);
	if (*cursor == ']')
	{
		ann_vector_check_dim(0, escontext);
		return (Datum) 0;
	}

	result = ann_vector_new(count_elements(cursor));
	dim = parse_elements(literal, &cursor, result->x, escontext);
	if (dim == 0)
		return (Datum) 0;
	cursor = skip_space(cursor);
	if (*cursor != '\0')
	{
		syntax_error(literal, "Junk after closing right brace.", escontext);
		return (Datum) 0;
	}
	if (!ann_vector_check_typmod(dim, typmod, escontext))
		return (Datum) 0;

	/* Nothing but white space follows the bracket, so that every comma was an element's. */
	Assert(dim == result->dim);
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
	int num;
	int32 *typmods = ArrayGetIntegerTypmods(PG_GETARG_ARRAYTYPE_P(0), &num);

	if (num != 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid type modifier")));
	if (typmods[0] < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("dimensions for type vector must be at least 1")));
	if (typmods[0] > VECTOR_MAX_DIM)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("dimensions for type vector cannot exceed %d", VECTOR_MAX_DIM)));
	PG_RETURN_INT32(typmods[0]);
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

	ann_vector_check_dim(dim, NULL);
	ann_vector_check_typmod(dim, typmod, NULL);
	if (unused != 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("expected unused to be 0, not %d", unused)));

	result = ann_vector_new(dim);
	for (int i = 0; i < dim; i++)
	{
		result->x[i] = pq_getmsgfloat4(message);
		ann_vector_check_element(result->x[i], NULL);
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

	ann_vector_check_typmod(vector->dim, PG_GETARG_INT32(1), NULL);
	PG_RETURN_POINTER(vector);
}

/* As many numerics as x has room for, each by the server's own cast to real and with its errors. */
static void
floats_of_numerics(ArrayType *array, float *x)
{
	Datum *elements;
	int num;

	deconstruct_array(array, NUMERICOID, -1, false, TYPALIGN_INT, &elements, NULL, &num);
	for (int i = 0; i < num; i++)
		x[i] = DatumGetFloat4(DirectFunctionCall1(numeric_float4, elements[i]));
	pfree(elements);
}

/* The num elements of an array without nulls; fixed-width ones lie side by side. */
static void
floats_of_array(ArrayType *array, int num, float *x)
{
	const void *data = ARR_DATA_PTR(array);

	switch (ARR_ELEMTYPE(array))
	{
		case INT4OID:
			for (int i = 0; i < num; i++)
				x[i] = (float) ((const int32 *) data)[i];
			break;
		case FLOAT4OID:
			memcpy(x, data, sizeof(float) * (Size) num);
			break;
		case FLOAT8OID:
			/* What a float cannot hold becomes infinite, and is refused as such. */
			for (int i = 0; i < num; i++)
				x[i] = (float) ((const float8 *) data)[i];
			break;
		case NUMERICOID:
			floats_of_numerics(array, x);
			break;
		default:
			ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION), errmsg("unsupported array type")));
	}
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
	int num = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	Vector *result;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION), errmsg("array must be 1-D")));
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("array must not contain nulls")));
	ann_vector_check_dim(num, NULL);
	ann_vector_check_typmod(num, PG_GETARG_INT32(1), NULL);

	result = ann_vector_new(num);
	floats_of_array(array, num, result->x);
	for (int i = 0; i < num; i++)
		ann_vector_check_element(result->x[i], NULL);
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
