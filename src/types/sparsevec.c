/*
 * sparsevec.c
 *	  The SQL type sparsevec: text and binary I/O, type modifier.
 *
 * NOTES
 *	  Texts and SQLSTATEs of errors equal pgvector's: clients and tests match on them. Indices are
 *	  counted from 1 in text, from 0 in memory and on the wire. All functions are strict.
 */
#include "postgres.h"

#include <math.h>
#include <stdlib.h>

#include "common/shortest_dec.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "compat.h"
#include "types/sparsevec.h"

/* The greatest length of an index or of the dimensions in decimal, with a byte for what follows. */
#define INDEX_LEN sizeof("1000000000")

typedef struct Element
{
	int32 index; /* from 0 */
	float value;
} Element;

const AnnInputType ann_sparsevec_type = {
	.name = "sparsevec", .max_dim = SPARSEVEC_MAX_DIM, .limit = INFINITY};

SparseVector *
ann_sparsevec_new(int32 dim, int nnz)
{
	Size size = SPARSEVEC_SIZE(nnz);
	SparseVector *result = (SparseVector *) palloc0(size);

	Assert(dim >= 1 && dim <= SPARSEVEC_MAX_DIM && nnz >= 0 && nnz <= SPARSEVEC_MAX_NNZ);
	SET_VARSIZE(result, size);
	result->dim = dim;
	result->nnz = nnz;
	return result;
}

void
ann_sparsevec_truncate(SparseVector *vector, int nnz)
{
	const float *values = ann_sparsevec_values(vector);

	Assert(nnz >= 0 && nnz <= vector->nnz);
	vector->nnz = nnz;
	memmove(ann_sparsevec_values(vector), values, sizeof(float) * (Size) nnz);
	SET_VARSIZE(vector, SPARSEVEC_SIZE(nnz));
}

bool
ann_sparsevec_check_dim(int32 dim, int32 typmod, Node *escontext)
{
	return ann_input_dim(&ann_sparsevec_type, dim, escontext) &&
		   ann_input_typmod(dim, typmod, escontext);
}

bool
ann_sparsevec_check_nnz(int nnz, Node *escontext)
{
	if (nnz > SPARSEVEC_MAX_NNZ)
		ereturn(
			escontext, false,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("sparsevec cannot have more than %d non-zero elements", SPARSEVEC_MAX_NNZ)));
	return true;
}

/* The i-th index lies within the dimensions and above the one before it. */
static bool
check_index(const SparseVector *vector, int i, Node *escontext)
{
	int32 index = vector->indices[i];

	if (index < 0 || index >= vector->dim)
		ereturn(escontext, false,
				(errcode(ERRCODE_DATA_EXCEPTION), errmsg("sparsevec index out of bounds")));
	if (i > 0 && index < vector->indices[i - 1])
		ereturn(escontext, false,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("sparsevec indices must be in ascending order")));
	if (i > 0 && index == vector->indices[i - 1])
		ereturn(escontext, false,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("sparsevec indices must not contain duplicates")));
	return true;
}

/*
 * Parses an index or the dimensions at *cursor, after white space, and moves past it and the white
 * space behind it. What an int32 cannot hold becomes its greatest or smallest value but one, which
 * later checks refuse: the smallest is left free for the step from 1 to 0.
 */
static bool
parse_integer(const char *literal, char **cursor, int32 *value, Node *escontext)
{
	char *start = ann_input_skip_space(*cursor);
	char *end;
	long number = strtol(start, &end, 10);

	if (end == start)
		return ann_input_syntax_error(&ann_sparsevec_type, literal, NULL, escontext);
	*value = (int32) Max(Min(number, (long) PG_INT32_MAX), -(long) PG_INT32_MAX);
	*cursor = ann_input_skip_space(end);
	return true;
}

/*
 * Parses a value at *cursor, as parse_integer() does. strtof, not strtod: a value is rounded once.
 * What is too small to be stored is refused, as a zero would not be.
 */
static bool
parse_value(const char *literal, char **cursor, float *value, Node *escontext)
{
	char *start = ann_input_skip_space(*cursor);
	char *end;

	errno = 0;
	*value = strtof(start, &end);
	if (end == start)
		return ann_input_syntax_error(&ann_sparsevec_type, literal, NULL, escontext);
	if (errno == ERANGE && (isinf(*value) || *value == 0.0f))
		return ann_input_out_of_range(&ann_sparsevec_type, pnstrdup(start, (Size) (end - start)),
									  escontext);
	*cursor = ann_input_skip_space(end);
	return ann_input_finite(&ann_sparsevec_type, *value, escontext);
}

/* Parses "1:1.5" at *cursor and moves past it and the white space behind it. */
static bool
parse_element(const char *literal, char **cursor, Element *element, Node *escontext)
{
	if (!parse_integer(literal, cursor, &element->index, escontext))
		return false;
	if (**cursor != ':')
		return ann_input_syntax_error(&ann_sparsevec_type, literal, NULL, escontext);
	(*cursor)++;
	element->index--;
	return parse_value(literal, cursor, &element->value, escontext);
}

/*
 * Parses "1:1.5, 3:2}" at *cursor into elements, which has room for ann_input_count_elements(), and
 * moves past the brace. The elements keep the order of the text; those of value zero are dropped,
 * and nobody looks at their indices.
 */
static bool
parse_elements(const char *literal, char **cursor, Element *elements, int *num, Node *escontext)
{
	*num = 0;
	*cursor = ann_input_skip_space(*cursor);
	if (**cursor != '}')
		for (;;)
		{
			Element element = {0};

			if (!parse_element(literal, cursor, &element, escontext))
				return false;
			if (element.value != 0.0f)
			{
				if (!ann_sparsevec_check_nnz(*num + 1, escontext))
					return false;
				elements[(*num)++] = element;
			}
			if (**cursor == '}')
				break;
			if (**cursor != ',')
				return ann_input_syntax_error(&ann_sparsevec_type, literal, NULL, escontext);
			(*cursor)++;
		}
	(*cursor)++;
	return true;
}

/* Parses "/5", the end of a literal, at cursor. */
static bool
parse_dim(const char *literal, char *cursor, int32 *dim, Node *escontext)
{
	cursor = ann_input_skip_space(cursor);
	if (*cursor != '/')
		return ann_input_syntax_error(&ann_sparsevec_type, literal, "Unexpected end of input.",
									  escontext);
	cursor++;
	if (!parse_integer(literal, &cursor, dim, escontext))
		return false;
	if (*cursor != '\0')
		return ann_input_syntax_error(&ann_sparsevec_type, literal, "Junk after closing.",
									  escontext);
	return true;
}

static int
compare_elements(const void *a, const void *b)
{
	int32 left = ((const Element *) a)->index;
	int32 right = ((const Element *) b)->index;

	return (left > right) - (left < right);
}

/* The value that these elements make; sorts them. NULL after a soft error. */
static SparseVector *
vector_of_elements(Element *elements, int num, int32 dim, Node *escontext)
{
	SparseVector *result = ann_sparsevec_new(dim, num);
	float *values = ann_sparsevec_values(result);

	qsort(elements, (size_t) num, sizeof(Element), compare_elements);
	for (int i = 0; i < num; i++)
	{
		result->indices[i] = elements[i].index;
		values[i] = elements[i].value;
		if (!check_index(result, i, escontext))
			return NULL;
	}
	return result;
}

/*
 * sparsevec_in(cstring, oid, integer) returns sparsevec: from '{index:value, ...}/dimensions',
 * indices from 1 in any order, values as strtof reads them, zeroes dropped, white space allowed
 * between all tokens. Errors, all soft where the server has soft errors: syntax (22P02), a value
 * out of range (22003), NaN or infinity, an index twice or beyond the dimensions, not as many
 * dimensions as the type modifier says or none (22000), more than 1e9 of them or more than 16000
 * values (54000). The result is in the current memory context; nothing else stays allocated.
 */
ANN_FUNCTION(ann_sparsevec_in);
Datum
ann_sparsevec_in(PG_FUNCTION_ARGS)
{
	char *literal = PG_GETARG_CSTRING(0);
	int32 typmod = PG_GETARG_INT32(2);
	Node *escontext = fcinfo->context;
	char *cursor = ann_input_skip_space(literal);
	Element *elements;
	SparseVector *result;
	int num;
	int32 dim = 0;

	if (*cursor != '{')
	{
		ann_input_syntax_error(&ann_sparsevec_type, literal,
							   "Vector contents must start with \"{\".", escontext);
		return (Datum) 0;
	}
	cursor++;
	elements = (Element *) palloc(sizeof(Element) *
								  (Size) ann_input_count_elements(cursor, SPARSEVEC_MAX_NNZ));
	if (!parse_elements(literal, &cursor, elements, &num, escontext) ||
		!parse_dim(literal, cursor, &dim, escontext) ||
		!ann_sparsevec_check_dim(dim, typmod, escontext))
		return (Datum) 0;
	result = vector_of_elements(elements, num, dim, escontext);
	if (result == NULL)
		return (Datum) 0;
	pfree(elements);
	PG_RETURN_POINTER(result);
}

/*
 * sparsevec_out(sparsevec) returns cstring: '{index:value,...}/dimensions', each value the shortest
 * that reads back as the same float, whatever extra_float_digits says. No errors. The result is in
 * the current memory context.
 */
ANN_FUNCTION(ann_sparsevec_out);
Datum
ann_sparsevec_out(PG_FUNCTION_ARGS)
{
	SparseVector *vector = PG_GETARG_SPARSEVEC(0);
	const float *values = ann_sparsevec_values(vector);
	/* The lengths count a byte for what follows a number: colon, comma, the final NUL. */
	char *text = palloc((Size) vector->nnz * (INDEX_LEN + FLOAT_SHORTEST_DECIMAL_LEN) +
						sizeof("{}/") + INDEX_LEN);
	char *end = text;

	*end++ = '{';
	for (int i = 0; i < vector->nnz; i++)
	{
		if (i > 0)
			*end++ = ',';
		end += pg_ltoa(vector->indices[i] + 1, end);
		*end++ = ':';
		end += float_to_shortest_decimal_bufn(values[i], end);
	}
	*end++ = '}';
	*end++ = '/';
	pg_ltoa(vector->dim, end);
	PG_FREE_IF_COPY(vector, 0);
	PG_RETURN_CSTRING(text);
}

/*
 * sparsevec_typmod_in(cstring[]) returns integer: the n of sparsevec(n). Errors (22023): not one
 * number, or none of 1 to 1e9.
 */
ANN_FUNCTION(ann_sparsevec_typmod_in);
Datum
ann_sparsevec_typmod_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(ann_input_typmods(&ann_sparsevec_type, PG_GETARG_ARRAYTYPE_P(0)));
}

/*
 * The header of a message; its sender is not to be trusted. Returns a value with room for the
 * elements.
 */
static SparseVector *
receive_header(StringInfo message, int32 typmod)
{
	int32 dim = (int32) pq_getmsgint(message, sizeof(int32));
	int32 nnz = (int32) pq_getmsgint(message, sizeof(int32));
	int32 unused = (int32) pq_getmsgint(message, sizeof(int32));

	ann_sparsevec_check_dim(dim, typmod, NULL);
	if (nnz < 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("sparsevec cannot have negative number of elements")));
	ann_sparsevec_check_nnz(nnz, NULL);
	if (nnz > dim)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("sparsevec cannot have more elements than dimensions")));
	if (unused != 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("expected unused to be 0, not %d", unused)));
	return ann_sparsevec_new(dim, nnz);
}

/*
 * sparsevec_recv(internal, oid, integer) returns sparsevec: int32 dimensions, int32 elements, int32
 * unused (0), the indices from 0 as int32, the values as float4, in network order. Errors:
 * dimensions or elements out of range (22000, 54000), not the type modifier's dimensions, unused
 * not 0, indices that do not ascend or are beyond the dimensions, a value of zero, NaN or infinity
 * (22000), a short message (08P01); the server refuses bytes left over. The result is in the
 * current memory context.
 */
ANN_FUNCTION(ann_sparsevec_recv);
Datum
ann_sparsevec_recv(PG_FUNCTION_ARGS)
{
	StringInfo message = (StringInfo) PG_GETARG_POINTER(0);
	SparseVector *result = receive_header(message, PG_GETARG_INT32(2));
	float *values = ann_sparsevec_values(result);

	for (int i = 0; i < result->nnz; i++)
	{
		result->indices[i] = (int32) pq_getmsgint(message, sizeof(int32));
		check_index(result, i, NULL);
	}
	for (int i = 0; i < result->nnz; i++)
	{
		values[i] = pq_getmsgfloat4(message);
		ann_input_finite(&ann_sparsevec_type, values[i], NULL);
		if (values[i] == 0.0f)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("binary representation of sparsevec cannot contain zero values")));
	}
	PG_RETURN_POINTER(result);
}

/*
 * sparsevec_send(sparsevec) returns bytea: what sparsevec_recv reads. No errors. The result is in
 * the current memory context.
 */
ANN_FUNCTION(ann_sparsevec_send);
Datum
ann_sparsevec_send(PG_FUNCTION_ARGS)
{
	SparseVector *vector = PG_GETARG_SPARSEVEC(0);
	const float *values = ann_sparsevec_values(vector);
	StringInfoData message;

	pq_begintypsend(&message);
	pq_sendint32(&message, (uint32) vector->dim);
	pq_sendint32(&message, (uint32) vector->nnz);
	pq_sendint32(&message, (uint32) vector->unused);
	for (int i = 0; i < vector->nnz; i++)
		pq_sendint32(&message, (uint32) vector->indices[i]);
	for (int i = 0; i < vector->nnz; i++)
		pq_sendfloat4(&message, values[i]);
	PG_FREE_IF_COPY(vector, 0);
	PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}

/*
 * sparsevec(sparsevec, integer, boolean) returns sparsevec: the cast that holds a value to
 * sparsevec(n). Errors: other dimensions (22000). Returns the argument, or its detoasted copy.
 */
ANN_FUNCTION(ann_sparsevec);
Datum
ann_sparsevec(PG_FUNCTION_ARGS)
{
	SparseVector *vector = PG_GETARG_SPARSEVEC(0);

	ann_sparsevec_check_dim(vector->dim, PG_GETARG_INT32(1), NULL);
	PG_RETURN_POINTER(vector);
}
