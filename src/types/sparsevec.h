/*
 * sparsevec.h
 *	  The SQL type sparsevec: its bytes, and what its files share.
 *
 * NOTES
 *	  Text, wire and memory layout are pgvector's, so that its client libraries work unchanged. A
 *	  value has one form only: indices ascend, each value is finite and not zero. Each way in sees
 *	  to that, so equal values are equal bytes.
 */
#ifndef ANN_TYPES_SPARSEVEC_H
#define ANN_TYPES_SPARSEVEC_H

#include "postgres.h"

#include "fmgr.h"
#include "nodes/nodes.h"

#include "compat.h"
#include "types/input.h"

#define SPARSEVEC_MAX_DIM 1000000000
#define SPARSEVEC_MAX_NNZ 16000

typedef struct SparseVector
{
	int32 vl_len_;                        /* varlena header: SET_VARSIZE, VARSIZE */
	int32 dim;                            /* 1 .. SPARSEVEC_MAX_DIM */
	int32 nnz;                            /* elements: 0 .. SPARSEVEC_MAX_NNZ, at most dim */
	int32 unused;                         /* always 0 */
	int32 indices[FLEXIBLE_ARRAY_MEMBER]; /* nnz of 0 .. dim - 1; behind them nnz values, float */
} SparseVector;

StaticAssertDecl(offsetof(SparseVector, indices) == 16, "indices follow a 16-byte header");

#define SPARSEVEC_SIZE(num)                                                                        \
	(offsetof(SparseVector, indices) + (sizeof(int32) + sizeof(float)) * (Size) (num))

/*
 * The value with a plain header: the datum itself, or a copy in the current memory context when it
 * was toasted or packed (callers in a long-lived context free it if it is not the datum).
 */
#define DatumGetSparseVector(datum) ((SparseVector *) PG_DETOAST_DATUM(datum))
#define PG_GETARG_SPARSEVEC(n) DatumGetSparseVector(PG_GETARG_DATUM(n))

/* The nnz values; they begin where nnz says. */
static inline float *
ann_sparsevec_values(SparseVector *vector)
{
	return (float *) (vector->indices + vector->nnz);
}

/* The type's name and limits, for the checks of types/input.h. */
extern const AnnInputType ann_sparsevec_type;

/* Room for nnz elements, all zeroes for the caller to fill, in the current memory context. */
extern SparseVector *ann_sparsevec_new(int32 dim, int nnz);

/* Forgets all elements but the first nnz; the memory stays as large as it was. */
extern void ann_sparsevec_truncate(SparseVector *vector, int nnz);

/*
 * Checks of what comes in: 1 .. SPARSEVEC_MAX_DIM dimensions, as many as the type modifier says
 * (-1: any); no more elements than fit. An error is thrown, or saved in escontext
 * (where that is not NULL and the server has soft errors), and then they return false.
 */
extern bool ann_sparsevec_check_dim(int32 dim, int32 typmod, Node *escontext);
extern bool ann_sparsevec_check_nnz(int nnz, Node *escontext);

#endif
