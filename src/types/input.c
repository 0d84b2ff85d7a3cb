/*
 * input.c
 *	  What comes into a type whose values are dense vectors of numbers: literals, arrays, checks.
 */
#include "postgres.h"

#include <math.h>
#include <stdlib.h>

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"

#include "compat.h"
#include "types/input.h"

static bool
too_many_dims(const AnnInputType *type, Node *escontext)
{
	ereturn(escontext, false,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("%s cannot have more than %d dimensions", type->name, type->max_dim)));
}

bool
ann_input_dim(const AnnInputType *type, int dim, Node *escontext)
{
	if (dim < 1)
		ereturn(escontext, false,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("%s must have at least 1 dimension", type->name)));
	if (dim > type->max_dim)
		return too_many_dims(type, escontext);
	return true;
}

bool
ann_input_typmod(int dim, int32 typmod, Node *escontext)
{
	if (typmod != -1 && typmod != dim)
		ereturn(escontext, false,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("expected %d dimensions, not %d", typmod, dim)));
	return true;
}

bool
ann_input_finite(const AnnInputType *type, float value, Node *escontext)
{
	if (isnan(value))
		ereturn(escontext, false,
				(errcode(ERRCODE_DATA_EXCEPTION), errmsg("NaN not allowed in %s", type->name)));
	if (isinf(value))
		ereturn(escontext, false,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("infinite value not allowed in %s", type->name)));
	return true;
}

static bool
is_past_limit(const AnnInputType *type, float value)
{
	return !isinf(value) && fabsf(value) >= type->limit;
}

bool
ann_input_out_of_range(const AnnInputType *type, const char *number, Node *escontext)
{
	ereturn(escontext, false,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("\"%s\" is out of range for type %s", number, type->name)));
}

void
ann_input_range(const AnnInputType *type, float value)
{
	char number[FLOAT_SHORTEST_DECIMAL_LEN];

	if (!is_past_limit(type, value))
		return;
	float_to_shortest_decimal_buf(value, number);
	ann_input_out_of_range(type, number, NULL);
}

/* ---- literals ---- */

bool
ann_input_syntax_error(const AnnInputType *type, const char *literal, const char *detail,
					   Node *escontext)
{
	ereturn(escontext, false,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input syntax for type %s: \"%s\"", type->name, literal),
			 detail ? errdetail("%s", detail) : 0));
}

char *
ann_input_skip_space(char *cursor)
{
	while (*cursor == ' ' || (*cursor >= '\t' && *cursor <= '\r'))
		cursor++;
	return cursor;
}

int
ann_input_count_elements(const char *cursor, int max)
{
	int num = 1;

	while (num < max && (cursor = strchr(cursor, ',')) != NULL)
	{
		num++;
		cursor++;
	}
	return num;
}

/*
 * Parses one number at *cursor and moves past it. strtof, as for every type: a half rounds twice,
 * like pgvector's. The server keeps LC_NUMERIC at C, so the decimal point is a point. What is too
 * small becomes zero or subnormal without an error.
 */
static bool
parse_element(const AnnInputType *type, const char *literal, char **cursor, float *value,
			  Node *escontext)
{
	char *end;

	errno = 0;
	*value = strtof(*cursor, &end);
	if (end == *cursor)
		return ann_input_syntax_error(type, literal, NULL, escontext);
	if ((errno == ERANGE && isinf(*value)) || is_past_limit(type, *value))
		return ann_input_out_of_range(type, pnstrdup(*cursor, (Size) (end - *cursor)), escontext);
	*cursor = end;
	return ann_input_finite(type, *value, escontext);
}

/*
 * Parses "1, 2, 3]" at *cursor into x, which has room for ann_input_count_elements(), and moves
 * past the bracket. Returns the number of elements, 0 after a soft error.
 */
static int
parse_elements(const AnnInputType *type, const char *literal, char **cursor, float *x,
			   Node *escontext)
{
	int dim = 0;

	for (;;)
	{
		if (dim == type->max_dim)
			return too_many_dims(type, escontext);
		*cursor = ann_input_skip_space(*cursor);
		if (!parse_element(type, literal, cursor, &x[dim], escontext))
			return 0;
		dim++;
		*cursor = ann_input_skip_space(*cursor);
		if (**cursor == ']')
			break;
		if (**cursor != ',')
			return ann_input_syntax_error(type, literal, NULL, escontext);
		(*cursor)++;
	}
	(*cursor)++;
	return dim;
}

float *
ann_input_literal(const AnnInputType *type, char *literal, int32 typmod, int *dim, Node *escontext)
{
	char *cursor = ann_input_skip_space(literal);
	float *x;

	if (*cursor != '[')
	{
		ann_input_syntax_error(type, literal, "Vector contents must start with \"[\".", escontext);
		return NULL;
	}
	cursor = ann_input_skip_space(cursor + 1);
	if (*cursor == ']')
	{
		ann_input_dim(type, 0, escontext);
		return NULL;
	}

	x = palloc(sizeof(float) * (Size) ann_input_count_elements(cursor, type->max_dim));
	*dim = parse_elements(type, literal, &cursor, x, escontext);
	if (*dim == 0)
		return NULL;
	cursor = ann_input_skip_space(cursor);
	if (*cursor != '\0')
	{
		ann_input_syntax_error(type, literal, "Junk after closing right brace.", escontext);
		return NULL;
	}
	return ann_input_typmod(*dim, typmod, escontext) ? x : NULL;
}

/* ---- arrays ---- */

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

int
ann_input_array_length(ArrayType *array)
{
	if (ARR_NDIM(array) > 1)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION), errmsg("array must be 1-D")));
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("array must not contain nulls")));
	return ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
}

float *
ann_input_array(const AnnInputType *type, ArrayType *array, int32 typmod, int *dim)
{
	float *x;

	*dim = ann_input_array_length(array);
	ann_input_dim(type, *dim, NULL);
	ann_input_typmod(*dim, typmod, NULL);
	x = palloc(sizeof(float) * (Size) *dim);
	floats_of_array(array, *dim, x);
	return x;
}

int32
ann_input_typmods(const AnnInputType *type, ArrayType *typmods)
{
	int num;
	int32 *values = ArrayGetIntegerTypmods(typmods, &num);

	if (num != 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid type modifier")));
	if (values[0] < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("dimensions for type %s must be at least 1", type->name)));
	if (values[0] > type->max_dim)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dimensions for type %s cannot exceed %d", type->name, type->max_dim)));
	return values[0];
}
