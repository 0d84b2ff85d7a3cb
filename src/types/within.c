/*
 * within.c
 *	  Conditions on a distance that an index can answer: l2_within() and so on, their operators, and
 *	  the balls that these take.
 *
 * NOTES
 *	  An operator has one right side, so query and radius come as one datum: a row of two columns,
 *	  which needs no input, output and casts of its own, and which the planner can put together from
 *	  the arguments of a function without looking for another (am/within.c).
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/typcache.h"

#include "compat.h"
#include "types/ball.h"

#define BALL_COLUMNS 2

static bool
is_ball(TupleDesc columns)
{
	return columns->natts == BALL_COLUMNS && TupleDescAttr(columns, 0)->attlen == -1 &&
		   TupleDescAttr(columns, 1)->atttypid == FLOAT8OID;
}

bool
ann_ball_read(Datum value, AnnBall *ball)
{
	HeapTupleHeader row = DatumGetHeapTupleHeader(value);
	TupleDesc columns =
		lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row), HeapTupleHeaderGetTypMod(row));
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(row), .t_data = row};
	Datum values[BALL_COLUMNS];
	bool nulls[BALL_COLUMNS];

	if (!is_ball(columns))
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("a ball has a center and a radius of type double precision")));
	heap_deform_tuple(&tuple, columns, values, nulls);
	ReleaseTupleDesc(columns);
	ball->copy = (Pointer) row != DatumGetPointer(value) ? row : NULL;
	if (nulls[0] || nulls[1])
		return false;
	ball->center = values[0];
	ball->radius = DatumGetFloat8(values[1]);
	return true;
}

void
ann_ball_check_radius(double radius)
{
	if (isnan(radius))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("radius must not be NaN")));
}

/*
 * vector_ball(vector, radius float8) returns vector_ball, and the same of halfvec and bit. No
 * errors. In the current memory context.
 */
ANN_FUNCTION(ann_ball);
Datum
ann_ball(PG_FUNCTION_ARGS)
{
	TupleDesc columns;
	Datum values[BALL_COLUMNS] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	bool nulls[BALL_COLUMNS] = {false, false};

	if (get_call_result_type(fcinfo, NULL, &columns) != TYPEFUNC_COMPOSITE || !is_ball(columns))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("function does not return a ball")));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(columns), values, nulls)));
}

/*
 * x_within(a, b, radius float8), or the operator's x_within(a, ball), both with one C function: is
 * the distance of a and b less than the radius? NULL where the ball has a NULL. Not where the
 * distance is NaN. Errors: those of the distance; INVALID_PARAMETER_VALUE for a radius of NaN,
 * which SQL holds to be above all numbers. Leaves nothing allocated.
 */
static Datum
is_within(FunctionCallInfo fcinfo, PGFunction distance_of)
{
	AnnBall ball = {.copy = NULL};
	double distance;

	if (PG_NARGS() == 3)
	{
		ball.center = PG_GETARG_DATUM(1);
		ball.radius = PG_GETARG_FLOAT8(2);
	}
	else if (!ann_ball_read(PG_GETARG_DATUM(1), &ball))
		PG_RETURN_NULL();
	ann_ball_check_radius(ball.radius);
	distance = DatumGetFloat8(DirectFunctionCall2(distance_of, PG_GETARG_DATUM(0), ball.center));
	if (ball.copy != NULL)
		pfree(ball.copy);
	PG_RETURN_BOOL(distance < ball.radius);
}

#define WITHIN(name, distance)                                                                     \
	extern Datum distance(PG_FUNCTION_ARGS);                                                       \
	Datum name(PG_FUNCTION_ARGS)                                                                   \
	{                                                                                              \
		return is_within(fcinfo, distance);                                                        \
	}                                                                                              \
	ANN_FUNCTION(name)

WITHIN(ann_l2_within, ann_l2_distance);
WITHIN(ann_ip_within, ann_vector_negative_inner_product);
WITHIN(ann_cosine_within, ann_cosine_distance);
WITHIN(ann_l1_within, ann_l1_distance);
WITHIN(ann_halfvec_l2_within, ann_halfvec_l2_distance);
WITHIN(ann_halfvec_ip_within, ann_halfvec_negative_inner_product);
WITHIN(ann_halfvec_cosine_within, ann_halfvec_cosine_distance);
WITHIN(ann_halfvec_l1_within, ann_halfvec_l1_distance);
WITHIN(ann_hamming_within, ann_hamming_distance);
WITHIN(ann_jaccard_within, ann_jaccard_distance);
