/*
 * neighbours.c
 *	  The true neighbours of the build's pseudo-queries, rows that were held out of the training,
 *	  found within its one pass over all rows, and what their codes make of them.
 *
 * NOTES
 *	  Coordinates: L2 and cosine, the row with the mean taken off; inner product, the row itself
 *	  (the mean goes back on), half of the queries with their own norm, half normalised; rotated
 *	  where the model has a rotation. Distances are in key units. The blocked product gives the
 *	  squared L2 distance in these coordinates or the inner product; where the metric is another, it
 *	  still tells which rows are too far away to be among the nearest ("reach").
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "am/calibrate_private.h"
#include "core/absolute.h"
#include "core/bf16.h"
#include "core/kernels.h"

/* Rows that are compared with the queries at a time: their products stay in the cache. */
#define BATCH 512

/* Tables of all queries, to see what their rounding does. */
static void
make_tables(AnnCalibrator *calibrator)
{
	const AnnPq *pq = &calibrator->builder->model->pq;
	int table = pq->num_blocks * ANN_CODEWORDS;
	float *padded = palloc0(sizeof(float) * ann_pq_padded_dim(pq));
	float *floats = palloc(sizeof(float) * table);

	for (int q = 0; q < calibrator->num; q++)
	{
		memcpy(padded, calibrator->queries + (Size) q * calibrator->dim,
			   sizeof(float) * calibrator->dim);
		if (calibrator->builder->model->form == ANN_CODE_L1)
			ann_l1_table(pq, padded, floats);
		else
			ann_pq_query_table(pq, padded, floats);
		ann_pq_round_table(floats, pq->num_blocks, 8, calibrator->tables + (Size) q * table, NULL,
						   &calibrator->steps[q], &calibrator->bases[q]);
	}
	pfree(floats);
	pfree(padded);
}

AnnCalibrator *
ann_calibrator_create(AnnBuilder *builder, const float *queries, const AnnTid *tids, int num)
{
	MemoryContext old = MemoryContextSwitchTo(builder->context);
	AnnCalibrator *calibrator = palloc0(sizeof(AnnCalibrator));
	int dim = builder->meta.dim;
	const AnnPq *pq = &builder->model->pq;
	float *mean = palloc(sizeof(float) * dim);

	calibrator->builder = builder;
	calibrator->num = num;
	calibrator->dim = dim;
	calibrator->ip = builder->meta.metric == ANN_METRIC_IP;
	calibrator->queries = palloc(sizeof(float) * dim * num);
	calibrator->tids = palloc(sizeof(AnnTid) * num);
	calibrator->norms = palloc(sizeof(float) * num);
	calibrator->bits = palloc0(sizeof(float) * num);
	calibrator->bound = palloc(sizeof(float) * num);
	calibrator->reach = palloc(sizeof(float) * num);
	calibrator->counts = palloc0(sizeof(int) * num);
	calibrator->worst = palloc0(sizeof(int) * num);
	calibrator->neighbours = palloc(sizeof(AnnNeighbour) * ANN_NEIGHBOURS * num);
	calibrator->tables = palloc((Size) num * pq->num_blocks * ANN_CODEWORDS);
	calibrator->steps = palloc(sizeof(float) * num);
	calibrator->bases = palloc(sizeof(float) * num);
	calibrator->products = palloc(sizeof(float) * num * BATCH);
	calibrator->row_norms = palloc(sizeof(float) * BATCH);
	calibrator->decoded = palloc(sizeof(float) * dim);
	calibrator->origin = palloc0(sizeof(float) * dim);
	memcpy(calibrator->queries, queries, sizeof(float) * dim * num);
	memcpy(calibrator->tids, tids, sizeof(AnnTid) * num);
	ann_model_rotate(builder->model, builder->model->mean, 1, mean);
	for (int q = 0; q < num; q++)
	{
		float *query = calibrator->queries + (Size) q * dim;

		if (calibrator->ip)
		{
			float norm;

			for (int d = 0; d < dim; d++)
				query[d] += mean[d];
			norm = sqrtf(ann_kernels->norm_squared(query, dim));
			for (int d = 0; q % 2 == 1 && norm > 0 && d < dim; d++)
				query[d] /= norm;
		}
		calibrator->norms[q] = ann_kernels->norm_squared(query, dim);
		for (int d = 0; d < dim; d++)
			calibrator->bits[q] += query[d] > 0;
		calibrator->bound[q] = INFINITY;
		calibrator->reach[q] = INFINITY;
	}
	if (!builder->model->traits->is_bits)
		make_tables(calibrator);
	MemoryContextSwitchTo(old);
	return calibrator;
}

int
ann_compare_neighbours(const void *a, const void *b)
{
	const AnnNeighbour *left = a;
	const AnnNeighbour *right = b;

	if (left->distance != right->distance)
		return left->distance > right->distance ? 1 : -1;
	return memcmp(&left->tid, &right->tid, sizeof(AnnTid));
}

static AnnNeighbour *
worst_neighbour(AnnNeighbour *list, int num)
{
	AnnNeighbour *worst = list;

	for (int i = 1; i < num; i++)
		if (ann_compare_neighbours(&list[i], worst) > 0)
			worst = &list[i];
	return worst;
}

/*
 * Rows of no smaller distance than the bound are beyond it, in the unit of the blocked product.
 * Taxicab: |x-y|_2 <= |x-y|_1. Jaccard of rows at length 1, whose product is p: as the mean of the
 * bits of both is not below their geometric mean, common / either <= p / (2 - p); beyond 1 there is
 * nothing.
 */
static float
reach_of(const AnnCalibrator *calibrator, float bound)
{
	switch (calibrator->builder->model->metric)
	{
		case ANN_METRIC_L1:
			return bound * bound;
		case ANN_METRIC_JACCARD:
			return bound < 1 ? 2 - 4 * (1 - bound) / (2 - bound) + 16 * FLT_EPSILON : INFINITY;
		default:
			return bound;
	}
}

/*
 * Does a row of no greater distance than the bound come before the worst neighbour? Copies of one
 * row are all at the bound, and most of them come behind it.
 */
static bool
is_kept(const AnnCalibrator *calibrator, int q, const AnnNeighbour *neighbour)
{
	const AnnNeighbour *list = calibrator->neighbours + (Size) q * ANN_NEIGHBOURS;

	return calibrator->counts[q] < ANN_NEIGHBOURS ||
		   ann_compare_neighbours(neighbour, list + calibrator->worst[q]) < 0;
}

/* Fills the query's list up, then replaces its worst neighbour by a nearer one. */
static void
keep_neighbour(AnnCalibrator *calibrator, int q, const AnnNeighbour *neighbour)
{
	AnnNeighbour *list = calibrator->neighbours + (Size) q * ANN_NEIGHBOURS;

	if (calibrator->counts[q] < ANN_NEIGHBOURS)
		list[calibrator->counts[q]++] = *neighbour;
	else if (is_kept(calibrator, q, neighbour))
		list[calibrator->worst[q]] = *neighbour;
	else
		return;
	if (calibrator->counts[q] == ANN_NEIGHBOURS)
	{
		calibrator->worst[q] = worst_neighbour(list, ANN_NEIGHBOURS) - list;
		calibrator->bound[q] = list[calibrator->worst[q]].distance;
		calibrator->reach[q] = reach_of(calibrator, calibrator->bound[q]);
	}
}

/* Estimate of a coded row for a query, as the scan makes it but with float tables; and its errors.
 */
static void
estimate(AnnCalibrator *calibrator, int q, AnnNeighbour *neighbour, const float *row,
		 const uint8 *codes, const AnnFactors *factors)
{
	const AnnBuilder *builder = calibrator->builder;
	const AnnPq *pq = &builder->model->pq;
	const float *query = calibrator->queries + (Size) q * calibrator->dim;
	const float *centroid = builder->model->from_origin
								? calibrator->origin
								: builder->set.centroids + (Size) neighbour->leaf * calibrator->dim;
	int dim = calibrator->dim;
	float s = ann_bf16_to_float(factors->s);
	float err = ann_bf16_to_float(factors->err);
	const uint8 *table = calibrator->tables + (Size) q * pq->num_blocks * ANN_CODEWORDS;
	uint32 sum = 0;
	float product;
	float est;
	float g;

	if (builder->model->traits->is_bits)
		return; /* codes are exact */
	ann_pq_decode(pq, codes, calibrator->decoded);
	product = ann_kernels->inner_product(query, calibrator->decoded, dim);
	for (int m = 0; m < pq->num_blocks; m++)
		sum += table[m * ANN_CODEWORDS + codes[m]];
	if (builder->model->form == ANN_CODE_L1)
	{
		est = ann_kernels->l1(query, calibrator->decoded, dim);
		neighbour->variance = err * err;
		neighbour->table_error = est - (calibrator->steps[q] * sum + calibrator->bases[q]);
	}
	else if (calibrator->ip)
	{
		/* with w = 1, the scan's default where leaves lie around the query's direction */
		g = -ann_kernels->inner_product(query, centroid, dim);
		est = g + factors->b - s * product;
		neighbour->variance =
			err * err * ann_kernels->l2_squared(query, centroid, dim) / Max(dim - 1, 1);
		neighbour->table_error =
			s * (product - (calibrator->steps[q] * sum + calibrator->bases[q]));
	}
	else
	{
		g = ann_kernels->l2_squared(query, centroid, dim);
		est = g + factors->b - 2 * s * product;
		neighbour->variance = 4 * err * err * Min(Max(est, 0), g) / Max(dim - 1, 1);
		neighbour->table_error =
			2 * s * (product - (calibrator->steps[q] * sum + calibrator->bases[q]));
	}
	neighbour->deviation =
		neighbour->variance > 0 ? (est - neighbour->distance) / sqrtf(neighbour->variance) : 0;
}

/*
 * Is the leaf of number a searched before that of b? For the inner product as far as the centroids
 * tell, as the spread has no weight yet.
 */
static bool
is_before(const AnnCalibrator *calibrator, const float *query, uint32 a, uint32 b)
{
	const float *centroids = calibrator->builder->set.centroids;
	const float *x = centroids + (Size) a * calibrator->dim;
	const float *y = centroids + (Size) b * calibrator->dim;

	if (calibrator->ip)
		return ann_kernels->inner_product(query, x, calibrator->dim) >
			   ann_kernels->inner_product(query, y, calibrator->dim);
	return ann_kernels->l2_squared(query, x, calibrator->dim) <
		   ann_kernels->l2_squared(query, y, calibrator->dim);
}

/*
 * In key units, in the coordinates of the calibration, where strings of bits may be of length 1.
 * NaN or infinity for one that is no neighbour.
 */
static float
exact_distance(const AnnCalibrator *calibrator, int q, const float *row)
{
	const float *query = calibrator->queries + (Size) q * calibrator->dim;
	int row_bits = 0;
	double common;

	switch (calibrator->builder->model->metric)
	{
		case ANN_METRIC_IP:
			return -ann_kernels->inner_product(query, row, calibrator->dim);
		case ANN_METRIC_L1:
			return ann_kernels->l1(query, row, calibrator->dim);
		case ANN_METRIC_JACCARD:
			for (int d = 0; d < calibrator->dim; d++)
				row_bits += row[d] > 0;
			common = rint(ann_kernels->inner_product(query, row, calibrator->dim) *
						  sqrt((double) calibrator->bits[q] * row_bits));
			return common > 0 ? 1 - common / (calibrator->bits[q] + row_bits - common) : INFINITY;
		default:
			return ann_kernels->l2_squared(query, row, calibrator->dim);
	}
}

/* Row i of a batch, which may be a neighbour of query q: its exact distance decides. */
static void
consider(AnnCalibrator *calibrator, int q, const float *row, AnnTid tid, int i,
		 const AnnCoded *first, const AnnCoded *second)
{
	const float *query = calibrator->queries + (Size) q * calibrator->dim;
	Size num_blocks = calibrator->builder->model->pq.num_blocks;
	AnnNeighbour neighbour = {.tid = tid, .leaf = first->leaves[i], .other = first->leaves[i]};

	if (memcmp(&tid, &calibrator->tids[q], sizeof(tid)) == 0)
		return;
	neighbour.distance = exact_distance(calibrator, q, row);
	if (!(neighbour.distance < INFINITY) || neighbour.distance > calibrator->bound[q] ||
		(!calibrator->ip && neighbour.distance == 0) || !is_kept(calibrator, q, &neighbour))
		return;
	if (second != NULL && second->leaves[i] != ANN_NO_LEAF)
	{
		neighbour.other = second->leaves[i];
		if (is_before(calibrator, query, neighbour.other, neighbour.leaf))
		{
			neighbour.leaf = second->leaves[i];
			neighbour.other = first->leaves[i];
			first = second;
		}
	}
	estimate(calibrator, q, &neighbour, row, first->codes + i * num_blocks, &first->factors[i]);
	keep_neighbour(calibrator, q, &neighbour);
}

/* Rows [from, from + num) of a batch, at most BATCH. */
static void
add_batch(AnnCalibrator *calibrator, const float *rows, int from, int num, const AnnTid *tids,
		  const AnnCoded *first, const AnnCoded *second)
{
	int dim = calibrator->dim;

	rows += (Size) from * dim;
	ann_builder_products(calibrator->builder, calibrator->queries, calibrator->num, rows, num, dim,
						 calibrator->products, num);
	for (int i = 0; i < num; i++)
		calibrator->row_norms[i] =
			calibrator->ip ? 0 : ann_kernels->norm_squared(rows + (Size) i * dim, dim);
	for (int q = 0; q < calibrator->num; q++)
	{
		const float *products = calibrator->products + (Size) q * num;
		float factor = calibrator->ip ? -1 : -2;
		float offset = calibrator->ip ? 0 : calibrator->norms[q];

		CHECK_FOR_INTERRUPTS();
		/* the blocked product cancels where a row is near: its rounding must not hide the row */
		for (int i = 0; i < num; i++)
			if (offset + calibrator->row_norms[i] + factor * products[i] -
					64 * FLT_EPSILON * (offset + calibrator->row_norms[i]) <=
				calibrator->reach[q])
				consider(calibrator, q, rows + (Size) i * dim, tids[from + i], from + i, first,
						 second);
	}
}

void
ann_calibrator_add(AnnCalibrator *calibrator, const float *rows, int num, const AnnTid *tids,
				   const AnnCoded *first, const AnnCoded *second)
{
	for (int from = 0; from < num && calibrator->num > 0; from += BATCH)
		add_batch(calibrator, rows, from, Min(num - from, BATCH), tids, first, second);
}

/* ---- several calibrators ---- */

Size
ann_calibrator_found_size(int num_queries)
{
	return (sizeof(AnnNeighbour) * ANN_NEIGHBOURS + sizeof(int)) * num_queries;
}

void
ann_calibrator_save(const AnnCalibrator *calibrator, void *found)
{
	Size size = sizeof(AnnNeighbour) * ANN_NEIGHBOURS * calibrator->num;

	memcpy(found, calibrator->neighbours, size);
	memcpy((char *) found + size, calibrator->counts, sizeof(int) * calibrator->num);
}

void
ann_calibrator_merge(AnnCalibrator *calibrator, const void *found)
{
	const AnnNeighbour *neighbours = found;
	const int *counts = (const int *) (neighbours + (Size) ANN_NEIGHBOURS * calibrator->num);

	for (int q = 0; q < calibrator->num; q++)
		for (int i = 0; i < counts[q]; i++)
			keep_neighbour(calibrator, q, &neighbours[(Size) q * ANN_NEIGHBOURS + i]);
}
