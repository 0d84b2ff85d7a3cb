/*
 * vector_agg.c
 *	  The aggregate avg(vector).
 *
 * NOTES
 *	  The state (types/sums.h) takes the dimensions of the first row. Sums are doubles: a million
 *	  rows lose nothing that a float could show. sum(vector) needs nothing of its own: its state is
 *	  a vector, its transition and its combine function are vector_add.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "utils/float.h"

#include "compat.h"
#include "types/sums.h"
#include "types/vector.h"

/* Refuses what is not {count, sum, ...}; its dimensions are 0 .. VECTOR_MAX_DIM afterwards. */
static void
check_state(ArrayType *state, const char *caller)
{
	ann_sums_check(state, caller);
	if (ann_sums_dim(state) > 0)
		ann_input_dim(&ann_vector_type, ann_sums_dim(state), NULL);
}

/*
 * Argument 0 as an array that may be written: an aggregate's own state, which nobody else sees,
 * otherwise a copy.
 */
static ArrayType *
writable_state(FunctionCallInfo fcinfo)
{
	if (AggCheckCallContext(fcinfo, NULL))
		return PG_GETARG_ARRAYTYPE_P(0);
	return PG_GETARG_ARRAYTYPE_P_COPY(0);
}

static void
check_sums(ArrayType *state)
{
	for (int i = 1; i <= ann_sums_dim(state); i++)
		if (unlikely(isinf(ann_sums_values(state)[i])))
			float_overflow_error();
}

/*
 * vector_accum(state float8[], vector) returns float8[]: the state with one row more; the
 * transition of avg(vector). Errors: no state (XX000), not its dimensions (22000), overflow of a
 * sum (22003), which takes a state that was made by hand. In an aggregate the state is written in
 * place, otherwise the result is in the current memory context.
 */
ANN_FUNCTION(ann_vector_accum);
Datum
ann_vector_accum(PG_FUNCTION_ARGS)
{
	ArrayType *state = writable_state(fcinfo);
	Vector *vector = PG_GETARG_VECTOR(1);
	float8 *values;

	check_state(state, "vector_accum");
	if (ann_sums_dim(state) == 0)
	{
		float8 count = ann_sums_values(state)[0];

		state = ann_sums_new(vector->dim);
		ann_sums_values(state)[0] = count;
	}
	ann_input_typmod(vector->dim, ann_sums_dim(state), NULL);

	values = ann_sums_values(state);
	values[0] += 1.0;
	for (int i = 0; i < vector->dim; i++)
		values[i + 1] += (float8) vector->x[i];
	check_sums(state);
	PG_FREE_IF_COPY(vector, 1);
	PG_RETURN_ARRAYTYPE_P(state);
}

/*
 * vector_combine(state float8[], state float8[]) returns float8[]: both rows' state; combines the
 * states of parallel workers. Errors: no state (XX000), different dimensions of states that have
 * rows (22000), overflow of a sum (22003). In an aggregate the first state is written in place;
 * otherwise the result is in the current memory context, or the second argument itself.
 */
ANN_FUNCTION(ann_vector_combine);
Datum
ann_vector_combine(PG_FUNCTION_ARGS)
{
	ArrayType *state = writable_state(fcinfo);
	ArrayType *other = PG_GETARG_ARRAYTYPE_P(1);
	float8 *values;

	check_state(state, "vector_combine");
	check_state(other, "vector_combine");
	if (ann_sums_values(state)[0] == 0.0)
		PG_RETURN_ARRAYTYPE_P(other);
	if (ann_sums_values(other)[0] == 0.0)
		PG_RETURN_ARRAYTYPE_P(state);
	ann_input_typmod(ann_sums_dim(other), ann_sums_dim(state), NULL);

	values = ann_sums_values(state);
	for (int i = 0; i <= ann_sums_dim(state); i++)
		values[i] += ann_sums_values(other)[i];
	check_sums(state);
	PG_FREE_IF_COPY(other, 1);
	PG_RETURN_ARRAYTYPE_P(state);
}

/*
 * vector_avg(state float8[]) returns vector: sums by count, NULL of no rows; ends avg(vector).
 * Errors: no state (XX000), no or too many dimensions (22000, 54000), a mean that is no finite
 * float (22000), which takes a state that was made by hand. The result is in the current memory
 * context.
 */
ANN_FUNCTION(ann_vector_avg);
Datum
ann_vector_avg(PG_FUNCTION_ARGS)
{
	ArrayType *state = PG_GETARG_ARRAYTYPE_P(0);
	float8 *values;
	Vector *result;

	check_state(state, "vector_avg");
	values = ann_sums_values(state);
	if (values[0] == 0.0)
		PG_RETURN_NULL();
	ann_input_dim(&ann_vector_type, ann_sums_dim(state), NULL);

	result = ann_vector_new(ann_sums_dim(state));
	for (int i = 0; i < result->dim; i++)
	{
		result->x[i] = (float) (values[i + 1] / values[0]);
		ann_input_finite(&ann_vector_type, result->x[i], NULL);
	}
	PG_FREE_IF_COPY(state, 0);
	PG_RETURN_POINTER(result);
}
