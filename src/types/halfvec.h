/*
 * halfvec.h
 *	  The SQL type halfvec: vectors of half precision numbers, its bytes.
 *
 * NOTES
 *	  Text, wire and memory layout are pgvector's. Every element is finite: each way in refuses NaN,
 *	  infinity and what rounds to it. Halves are only stored: everything computes with the floats
 *	  that they stand for, so that the distance of two halfvecs is, bit for bit, that of the vectors
 *	  which they convert to.
 */
#ifndef ANN_TYPES_HALFVEC_H
#define ANN_TYPES_HALFVEC_H

#include "postgres.h"

#include "fmgr.h"

#include "compat.h"
#include "core/base.h"
#include "types/input.h"

#define HALFVEC_MAX_DIM ANN_MAX_DIM

typedef struct HalfVector
{
	int32 vl_len_;                   /* varlena header: SET_VARSIZE, VARSIZE */
	int16 dim;                       /* 1 .. HALFVEC_MAX_DIM */
	int16 unused;                    /* always 0 */
	uint16 x[FLEXIBLE_ARRAY_MEMBER]; /* core/half.h */
} HalfVector;

StaticAssertDecl(offsetof(HalfVector, x) == 8, "x follows an 8-byte header, as vector's does");

#define HALFVEC_SIZE(num_dims) (offsetof(HalfVector, x) + sizeof(uint16) * (Size) (num_dims))

/*
 * The value with a plain header: the datum itself, or a copy in the current memory context when it
 * was toasted or packed.
 */
#define DatumGetHalfVector(datum) ((HalfVector *) PG_DETOAST_DATUM(datum))
#define PG_GETARG_HALFVEC(n) DatumGetHalfVector(PG_GETARG_DATUM(n))

/* The type's name and limits, for the checks of types/input.h. */
extern const AnnInputType ann_halfvec_type;

/* A zero vector of dim dimensions (1 .. HALFVEC_MAX_DIM) in the current memory context. */
extern HalfVector *ann_halfvec_new(int dim);

/*
 * dim floats, rounded to halves; in the current memory context. Errors: a value that is too large
 * (22003), NaN or infinity (22000).
 */
extern HalfVector *ann_halfvec_of_floats(const float *values, int dim);

/* Raises "different halfvec dimensions" (22000) if they are. */
extern void ann_halfvec_check_same_dim(const HalfVector *a, const HalfVector *b);

#endif
