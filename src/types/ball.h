/*
 * ball.h
 *	  A value and a distance as one datum, the right side of the operators <<->> and so on; and the
 *	  functions behind these.
 */
#ifndef ANN_TYPES_BALL_H
#define ANN_TYPES_BALL_H

#include "postgres.h"

#include "fmgr.h"

#include "compat.h"

/* The SQL types vector_ball, halfvec_ball and bit_ball: (center, radius float8). */
typedef struct AnnBall
{
	Datum center;
	double radius; /* in the operator's unit; nothing is within a radius of 0 but inner products */
	void *copy;    /* what the center stands in, where the ball was toasted: to be freed, or NULL */
} AnnBall;

/*
 * Takes a ball apart; false where a part of it is NULL. The center stands in the datum, or in a
 * copy in the current memory context. DATATYPE_MISMATCH for a row of other columns.
 */
extern bool ann_ball_read(Datum value, AnnBall *ball);
/* INVALID_PARAMETER_VALUE for a radius of NaN. */
extern void ann_ball_check_radius(double radius);

/* Whether the distance of two values is less than a radius, for each type and metric (within.c). */
extern PGDLLEXPORT Datum ann_l2_within(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum ann_ip_within(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum ann_cosine_within(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum ann_l1_within(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum ann_halfvec_l2_within(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum ann_halfvec_ip_within(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum ann_halfvec_cosine_within(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum ann_halfvec_l1_within(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum ann_hamming_within(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum ann_jaccard_within(PG_FUNCTION_ARGS);

#endif
