/*
 * input.h
 *	  What comes into a type whose values are dense vectors of numbers: literals, arrays, checks.
 *
 * NOTES
 *	  Texts and SQLSTATEs equal pgvector's. Functions with an error context throw when it is NULL;
 *	  else, on servers that have soft errors, they save the error there and return false or NULL.
 */
#ifndef ANN_TYPES_INPUT_H
#define ANN_TYPES_INPUT_H

#include "postgres.h"

#include "nodes/nodes.h"
#include "utils/array.h"

#include "compat.h"

typedef struct AnnInputType
{
	const char *name; /* for the texts of errors */
	int max_dim;
	float limit; /* the least magnitude that the type cannot hold; infinity for float */
} AnnInputType;

/* The number of dimensions: at least one (22000), at most max_dim (54000). */
extern bool ann_input_dim(const AnnInputType *type, int dim, Node *escontext);

/* As many as the type modifier says, if there is one (22000). */
extern bool ann_input_typmod(int dim, int32 typmod, Node *escontext);

/* Neither NaN nor infinity (22000). */
extern bool ann_input_finite(const AnnInputType *type, float value, Node *escontext);

/* Below the type's limit (22003); infinity and NaN pass. */
extern void ann_input_range(const AnnInputType *type, float value);

/* ---- parts of an input function ---- */

/* "invalid input syntax" (22P02) for a literal; detail may be NULL. */
extern bool ann_input_syntax_error(const AnnInputType *type, const char *literal,
								   const char *detail, Node *escontext);
/* "out of range" (22003) for a number of a literal. */
extern bool ann_input_out_of_range(const AnnInputType *type, const char *number, Node *escontext);
/* Past the white space of SQL and of strtof in the C locale, whatever the server's locale is. */
extern char *ann_input_skip_space(char *cursor);
/* Room for the elements of a literal: one more than its commas, at most max. */
extern int ann_input_count_elements(const char *cursor, int max);

/* ---- literals and arrays ---- */

/* The length of an array that has at most one dimension (22000) and no nulls (22004). */
extern int ann_input_array_length(ArrayType *array);

/*
 * The numbers of '[x, y, ...]', in the current memory context, and how many there are. Every error
 * of an input function: syntax (22P02), range (22003), and those of the checks above.
 */
extern float *
ann_input_literal(const AnnInputType *type, char *literal, int32 typmod, int *dim, Node *escontext);

/*
 * The elements of an array of integer, real, double precision or numeric, rounded to float, in the
 * current memory context, and how many there are. Errors: other element types, more than one
 * dimension of the array (22000), nulls (22004), the checks of dimensions. NaN, infinity and what
 * is past the limit are the caller's to refuse; numeric refuses what float cannot hold (22003).
 */
extern float *ann_input_array(const AnnInputType *type, ArrayType *array, int32 typmod, int *dim);

/* The type modifier's value from its text: one number, 1 to max_dim (22023). */
extern int32 ann_input_typmods(const AnnInputType *type, ArrayType *typmods);

#endif
