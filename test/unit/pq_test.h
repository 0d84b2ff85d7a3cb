/*
 * pq_test.h
 *	  What the tests of the quantisers share: rows to code, a quantiser with its memory, its error.
 */
#ifndef ANN_TEST_PQ_TEST_H
#define ANN_TEST_PQ_TEST_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/kernels.h"
#include "core/pq.h"
#include "core/rng.h"
#include "gaussian.h"
#include "watch_test.h"

static inline AnnPq
make_pq(AnnQuantizer quantizer, int dim, int width, int layers)
{
	AnnPq pq;

	ann_pq_shape(&pq, quantizer, dim, width, layers);
	pq.codebook = malloc(ann_pq_codebook_floats(pq.num_blocks, width) * sizeof(float));
	pq.bias = malloc(ann_pq_bias_floats(pq.num_blocks) * sizeof(float));
	/* NaN, until something is trained or set. */
	memset(pq.codebook, 0xff, ann_pq_codebook_floats(pq.num_blocks, width) * sizeof(float));
	memset(pq.bias, 0xff, ann_pq_bias_floats(pq.num_blocks) * sizeof(float));
	return pq;
}

static inline void
free_pq(AnnPq *pq)
{
	free(pq->codebook);
	free(pq->bias);
}

/* num rows of unit length. */
static inline float *
make_unit_rows(int dim, size_t num, uint64_t seed)
{
	float *rows = malloc((num + 1) * dim * sizeof(float));
	AnnRng rng;

	ann_rng_seed(&rng, seed);
	for (size_t i = 0; i < num; i++)
	{
		float *row = rows + i * dim;
		double norm = 0;

		for (int d = 0; d < dim; d++)
		{
			row[d] = gaussian(&rng) * (float) (1 + d % 3);
			norm += (double) row[d] * row[d];
		}
		for (int d = 0; d < dim; d++)
			row[d] = (float) (row[d] / sqrt(norm));
	}
	return rows;
}

/* Trains in a workspace of exactly the stated size, filled with `garbage`. */
static inline AnnStatus
train(AnnPq *pq, const float *rows, size_t num_rows, int iterations, int garbage)
{
	size_t bytes = ann_pq_train_workspace_size(pq, num_rows);
	char *workspace = malloc(bytes);
	AnnStatus status;

	memset(workspace, garbage, bytes);
	status = ann_pq_train(pq, rows, num_rows, iterations, 11, &watch, workspace);
	free(workspace);
	return status;
}

/* Mean squared error of coding rows as they are. */
static inline double
coding_error(const AnnPq *pq, const float *rows, size_t num_rows)
{
	float *padded = calloc(ann_pq_padded_dim(pq), sizeof(float));
	float *scratch = malloc(ann_pq_encode_scratch_floats(pq) * sizeof(float));
	float *decoded = malloc((size_t) pq->dim * sizeof(float));
	uint8_t *codes = malloc((size_t) pq->num_blocks);
	double sum = 0;

	for (size_t i = 0; i < num_rows; i++)
	{
		memcpy(padded, rows + i * pq->dim, (size_t) pq->dim * sizeof(float));
		ann_pq_encode(pq, padded, codes, scratch);
		ann_pq_decode(pq, codes, decoded);
		for (int d = 0; d < pq->dim; d++)
			sum += ((double) padded[d] - decoded[d]) * ((double) padded[d] - decoded[d]);
	}
	free(padded);
	free(scratch);
	free(decoded);
	free(codes);
	return sum / (double) num_rows;
}

#endif
