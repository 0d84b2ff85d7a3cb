/*
 * vector.h
 *	  The SQL type vector: its bytes, and the SQL distances for callers that hold float arrays.
 *
 * NOTES
 *	  Text, wire and memory layout are pgvector's, so that its client libraries work unchanged.
 *	  Every element is finite: each way in (text, binary, array) refuses NaN and infinity.
 */
#ifndef ANN_TYPES_VECTOR_H
#define ANN_TYPES_VECTOR_H

#include "postgres.h"

#include "fmgr.h"

#include "compat.h"
#include "core/base.h"
#include "types/argument.h"
#include "types/input.h"

#define VECTOR_MAX_DIM ANN_MAX_DIM

typedef struct Vector
{
	int32 vl_len_; /* varlena header: SET_VARSIZE, VARSIZE */
	int16 dim;     /* 1 .. VECTOR_MAX_DIM */
	int16 unused;  /* always 0 */
	float x[FLEXIBLE_ARRAY_MEMBER];
} Vector;

StaticAssertDecl(offsetof(Vector, x) == 8, "x follows an 8-byte header");

#define VECTOR_SIZE(num_dims) (offsetof(Vector, x) + sizeof(float) * (Size) (num_dims))

/*
 * The value with a plain header: the datum itself, or a copy in the current memory context when it
 * was toasted or packed (callers in a long-lived context free it if it is not the datum).
 */
#define DatumGetVector(datum) ((Vector *) PG_DETOAST_DATUM(datum))
#define PG_GETARG_VECTOR(n) DatumGetVector(PG_GETARG_DATUM(n))

/* A zero vector of dim dimensions (1 .. VECTOR_MAX_DIM) in the current memory context. */
extern Vector *ann_vector_new(int dim);

/* The type's name and limits, for the checks of types/input.h. */
extern const AnnInputType ann_vector_type;

/* Throws (22000) unless both have the same dimensions (vector_ops.c). */
extern void ann_vector_check_same_dims(const Vector *a, const Vector *b);

/*
 * The results of <->, <#>, <=> and <+>, and of vector_l2_squared_distance, for two arrays of dim
 * floats (vector_ops.c). The SQL functions call these very functions, so an index and a sort agree
 * bit for bit under the same ann.simd. They need no alignment, allocate nothing and raise no error.
 * Sums are floats: they overflow to infinity, and the cosine distance is NaN where a norm is zero
 * or its square leaves the range of a float.
 */
extern double ann_vector_l2(const float *a, const float *b, int dim);
extern double ann_vector_l2_squared(const float *a, const float *b, int dim);
extern double ann_vector_negative_ip(const float *a, const float *b, int dim);
extern double ann_vector_cosine(const float *a, const float *b, int dim);
extern double ann_vector_l1(const float *a, const float *b, int dim);

/* The cosine distance of what the kernel cosine_parts gives, and the norm in double. */
extern double ann_cosine_of_parts(const float parts[3]);
extern double ann_vector_norm_of(const float *x, int dim);

/* The angle of two vectors of norm 1 divided by pi, of their inner product (vector_distances.c). */
extern double ann_spherical_of_ip(double cosine);

/*
 * The distance of arguments 0 and 1 of an SQL function, which must have equal dimensions (else
 * 22000). Leaves nothing allocated.
 */
typedef double (*AnnFloatsDistance)(const float *a, const float *b, int dim);

static ANN_INLINE double
ann_vector_distance_of_args(FunctionCallInfo fcinfo, AnnFloatsDistance distance)
{
	AnnRoom room[2];
	Vector *a = ann_argument_of_row(PG_GETARG_DATUM(0), &room[0]);
	Vector *b = ann_argument_of_all(fcinfo, 1, &room[1]);
	double result;

	ann_vector_check_same_dims(a, b);
	result = distance(a->x, b->x, a->dim);
	ann_argument_done(a, PG_GETARG_DATUM(0), &room[0]);
	ann_argument_of_all_done(fcinfo, 1, b, &room[1]);
	return result;
}

#endif
