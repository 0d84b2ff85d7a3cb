/*
 * halfvec_agg.c
 *	  The aggregates avg(halfvec) and sum(halfvec).
 *
 * NOTES
 *	  Both add up in double (types/sums.h), so that the result is rounded to halves once. (A sum
 *	  kept in halves stays at 2048 when ones are added.) Within an aggregate a state is changed in
 *	  place.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "utils/float.h"

#include "compat.h"
#include "core/half.h"
#include "types/halfvec.h"
#include "types/sums.h"

/* Argument n, which the user may have made up. */
static ArrayType *
state_of_arg(FunctionCallInfo fcinfo, int n, const char *caller)
{
	ArrayType *state = PG_GETARG_ARRAYTYPE_P(n);

	ann_sums_check(state, caller);
	return state;
}

/* What may be changed: the state itself within an aggregate, else a copy. */
static ArrayType *
state_for_change(FunctionCallInfo fcinfo, ArrayType *state)
{
	ArrayType *copy;

	if (AggCheckCallContext(fcinfo, NULL))
		return state;
	copy = ann_sums_new(ann_sums_dim(state));
	memcpy(ann_sums_values(copy), ann_sums_values(state), sizeof(float8) * ARR_DIMS(state)[0]);
	return copy;
}

static void
add_to(float8 *sum, float8 value)
{
	*sum += value;
	if (unlikely(isinf(*sum)))
		float_overflow_error();
}

/* Argument 1 added to the state, argument 0; mismatch is the text for another dimension. */
static Datum
accumulate(FunctionCallInfo fcinfo, const char *caller, const char *mismatch)
{
	ArrayType *state = state_of_arg(fcinfo, 0, caller);
	HalfVector *vector = PG_GETARG_HALFVEC(1);
	float8 *values;

	if (ann_sums_dim(state) == 0)
		state = ann_sums_new(vector->dim);
	else if (ann_sums_dim(state) != vector->dim)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg_internal(mismatch, ann_sums_dim(state), vector->dim)));
	else
		state = state_for_change(fcinfo, state);

	values = ann_sums_values(state);
	values[0] += 1;
	for (int i = 0; i < vector->dim; i++)
		add_to(&values[i + 1], ann_half_to_float(vector->x[i]));
	PG_FREE_IF_COPY(vector, 1);
	PG_RETURN_ARRAYTYPE_P(state);
}

/*
 * halfvec_accum(double precision[], halfvec) returns double precision[]: a row more for avg.
 * Errors: other dimensions than before (22000). The result is the first argument or in the current
 * memory context.
 */
ANN_FUNCTION(ann_halfvec_accum);
Datum
ann_halfvec_accum(PG_FUNCTION_ARGS)
{
	return accumulate(fcinfo, "halfvec_accum", "expected %d dimensions, not %d");
}

/*
 * halfvec_sum_accum(double precision[], halfvec) returns double precision[]: the same for sum,
 * whose error text is another.
 */
ANN_FUNCTION(ann_halfvec_sum_accum);
Datum
ann_halfvec_sum_accum(PG_FUNCTION_ARGS)
{
	return accumulate(fcinfo, "halfvec_sum_accum", "different halfvec dimensions %d and %d");
}

/*
 * halfvec_combine(double precision[], double precision[]) returns double precision[]: one state of
 * two, for parallel aggregates. Errors: different dimensions (22000). The result is one of the
 * arguments or in the current memory context.
 */
ANN_FUNCTION(ann_halfvec_combine);
Datum
ann_halfvec_combine(PG_FUNCTION_ARGS)
{
	ArrayType *state = state_of_arg(fcinfo, 0, "halfvec_combine");
	ArrayType *other = state_of_arg(fcinfo, 1, "halfvec_combine");

	if (ann_sums_dim(other) == 0)
		PG_RETURN_ARRAYTYPE_P(state);
	if (ann_sums_dim(state) == 0)
		PG_RETURN_ARRAYTYPE_P(other);
	if (ann_sums_dim(state) != ann_sums_dim(other))
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("expected %d dimensions, not %d", ann_sums_dim(state),
							   ann_sums_dim(other))));
	state = state_for_change(fcinfo, state);
	for (int i = 0; i <= ann_sums_dim(state); i++)
		add_to(&ann_sums_values(state)[i], ann_sums_values(other)[i]);
	PG_RETURN_ARRAYTYPE_P(state);
}

/*
 * halfvec_avg(double precision[]) returns halfvec: the mean, NULL of no rows. Errors: more than
 * 16000 dimensions (54000); what only a made-up state can cause (22000, 22003). The result is in
 * the current memory context.
 */
ANN_FUNCTION(ann_halfvec_avg);
Datum
ann_halfvec_avg(PG_FUNCTION_ARGS)
{
	ArrayType *state = state_of_arg(fcinfo, 0, "halfvec_avg");
	float8 *values = ann_sums_values(state);
	int dim = ann_sums_dim(state);
	float *means;
	HalfVector *result;

	if (values[0] == 0)
		PG_RETURN_NULL();
	ann_input_dim(&ann_halfvec_type, dim, NULL);
	means = palloc(sizeof(float) * dim);
	for (int i = 0; i < dim; i++)
		means[i] = (float) (values[i + 1] / values[0]);
	result = ann_halfvec_of_floats(means, dim);
	pfree(means);
	PG_RETURN_POINTER(result);
}

/*
 * halfvec_sum(double precision[]) returns halfvec: the sum, NULL of no rows. Errors: more than
 * 16000 dimensions (54000), overflow (22003). The result is in the current memory context.
 */
ANN_FUNCTION(ann_halfvec_sum);
Datum
ann_halfvec_sum(PG_FUNCTION_ARGS)
{
	ArrayType *state = state_of_arg(fcinfo, 0, "halfvec_sum");
	float8 *values = ann_sums_values(state);
	int dim = ann_sums_dim(state);
	HalfVector *result;

	if (values[0] == 0)
		PG_RETURN_NULL();
	ann_input_dim(&ann_halfvec_type, dim, NULL);
	result = ann_halfvec_new(dim);
	for (int i = 0; i < dim; i++)
	{
		float sum = (float) values[i + 1];

		if (fabsf(sum) >= ANN_HALF_LIMIT)
			float_overflow_error();
		ann_input_finite(&ann_halfvec_type, sum, NULL);
		result->x[i] = ann_half_from_float(sum);
	}
	PG_RETURN_POINTER(result);
}
