/*
 * calibrate.c
 *	  The index's own defaults, measured on pseudo-queries: rows that were held out of the training
 *	  and whose true neighbours are found within the build's one pass over all rows.
 *
 * NOTES
 *	  Measured: how many leaves hold the true neighbours of rank 10 and of rank 100
 *	  (num_leaves_to_search and its growth with the rank), how wide the error bound must be (z), how
 *	  far the inner product's leaf ranking should favour wide leaves (leaf_bias), and whether 8 bits
 *	  are enough for the query table. Real queries lie farther from the data than rows do, so the
 *	  targets have a margin, proven on files whose queries the index never saw (src/README,
 *	  "Calibration").
 *
 *	  Coordinates: L2 and cosine, the row with the mean taken off; inner product, the row itself
 *	  (the mean goes back on), half of the queries with their own norm, half normalised; rotated where
 *	  the model has a rotation. Distances are in key units. The blocked product gives the squared L2
 *	  distance in these coordinates or the inner product; where the metric is another, it still tells
 *	  which rows are too far away to be among the nearest ("reach").
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "am/build.h"
#include "am/sorted.h"
#include "core/absolute.h"
#include "core/bf16.h"
#include "core/kernels.h"

#define NEIGHBOURS 100
#define TOP 10
/* Share of pseudo-queries' neighbours whose leaves must be searched, and the margin on top. */
#define COVERAGE 0.97
#define LEAVES_MARGIN 1.3
/*
 * Share of the true neighbours that must lie within z standard deviations; of long vectors fewer, as a
 * row costs more to read there than the leaf more that makes up for it.
 */
#define BOUND_COVERAGE 0.985
#define BOUND_COVERAGE_LONG 0.95
/* The same where so many leaves are searched that the bound would be what recall fails for. */
#define WIDE_COVERAGE 0.997
/* Variance that the rounded table may add to the code's own before it gets 16 bits (SIFT: .006). */
#define TABLE_VARIANCE 0.2

typedef struct AnnCalibrator AnnCalibrator;

/* Rows that are compared with the queries at a time: their products stay in the cache. */
#define BATCH 512

typedef struct Neighbour
{
	float distance;    /* in key units */
	AnnTid tid;        /* decides between equal distances, so that no order of the rows does */
	uint32 leaf;       /* of its entry that a search meets first, which the rest is about */
	uint32 other;      /* leaf of its other entry, or the same */
	float deviation;   /* (estimate - distance) / sigma */
	float variance;    /* sigma^2 of the code alone */
	float table_error; /* error of the estimate through an 8-bit table */
} Neighbour;

struct AnnCalibrator
{
	AnnBuilder *builder;
	int num;
	int dim;
	bool ip;
	float *queries;
	AnnTid *tids;
	float *norms; /* squared norms of the queries */
	float *bits;  /* per query: elements above 0 (Jaccard) */
	float *bound; /* per query: its worst neighbour's distance, +inf until there are NEIGHBOURS */
	float *
		reach; /* per query: the bound in the unit of the blocked product; no nearer row is beyond */
	int *counts;
	Neighbour *neighbours; /* num * NEIGHBOURS, the first counts[] of each query, unordered */
	uint8 *tables;         /* per query: 8-bit table */
	float *steps;
	float *bases;
	float *products; /* num * BATCH */
	float *row_norms;
	float *decoded; /* one code */
	float *origin;  /* zeros: what codes of rows themselves are relative to */
};

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
	calibrator->neighbours = palloc(sizeof(Neighbour) * NEIGHBOURS * num);
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

static int
compare_neighbours(const void *a, const void *b)
{
	const Neighbour *left = a;
	const Neighbour *right = b;

	if (left->distance != right->distance)
		return left->distance > right->distance ? 1 : -1;
	return memcmp(&left->tid, &right->tid, sizeof(AnnTid));
}

static Neighbour *
worst_neighbour(Neighbour *list, int num)
{
	Neighbour *worst = list;

	for (int i = 1; i < num; i++)
		if (compare_neighbours(&list[i], worst) > 0)
			worst = &list[i];
	return worst;
}

/*
 * Rows of no smaller distance than the bound are beyond it, in the unit of the blocked product. Taxicab:
 * |x-y|_2 <= |x-y|_1. Jaccard of rows at length 1, whose product is p: as the mean of the bits of both
 * is not below their geometric mean, common / either <= p / (2 - p); beyond 1 there is nothing.
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

/* Fills the query's list up, then replaces its worst neighbour by a nearer one. */
static void
keep_neighbour(AnnCalibrator *calibrator, int q, const Neighbour *neighbour)
{
	Neighbour *list = calibrator->neighbours + (Size) q * NEIGHBOURS;

	if (calibrator->counts[q] < NEIGHBOURS)
		list[calibrator->counts[q]++] = *neighbour;
	else
	{
		Neighbour *worst = worst_neighbour(list, NEIGHBOURS);

		if (compare_neighbours(neighbour, worst) >= 0)
			return;
		*worst = *neighbour;
	}
	if (calibrator->counts[q] == NEIGHBOURS)
	{
		calibrator->bound[q] = worst_neighbour(list, NEIGHBOURS)->distance;
		calibrator->reach[q] = reach_of(calibrator, calibrator->bound[q]);
	}
}

/* Estimate of a coded row for a query, as the scan makes it but with float tables; and its errors.
 */
static void
estimate(AnnCalibrator *calibrator, int q, Neighbour *neighbour, const float *row,
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
 * In key units, in the coordinates of the calibration, where strings of bits may be of length 1. NaN or
 * infinity for one that is no neighbour.
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
	Neighbour neighbour = {.tid = tid, .leaf = first->leaves[i], .other = first->leaves[i]};

	if (memcmp(&tid, &calibrator->tids[q], sizeof(tid)) == 0)
		return;
	neighbour.distance = exact_distance(calibrator, q, row);
	if (!(neighbour.distance < INFINITY) || neighbour.distance > calibrator->bound[q] ||
		(!calibrator->ip && neighbour.distance == 0))
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
	ann_kernels->products(calibrator->queries, dim, calibrator->num, rows, dim, num, dim,
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
	return (sizeof(Neighbour) * NEIGHBOURS + sizeof(int)) * num_queries;
}

void
ann_calibrator_save(const AnnCalibrator *calibrator, void *found)
{
	Size size = sizeof(Neighbour) * NEIGHBOURS * calibrator->num;

	memcpy(found, calibrator->neighbours, size);
	memcpy((char *) found + size, calibrator->counts, sizeof(int) * calibrator->num);
}

void
ann_calibrator_merge(AnnCalibrator *calibrator, const void *found)
{
	const Neighbour *neighbours = found;
	const int *counts = (const int *) (neighbours + (Size) NEIGHBOURS * calibrator->num);

	for (int q = 0; q < calibrator->num; q++)
		for (int i = 0; i < counts[q]; i++)
			keep_neighbour(calibrator, q, &neighbours[(Size) q * NEIGHBOURS + i]);
}

/* ---- after the pass ---- */

/* The value that a share of the sorted list does not exceed. */
static float
quantile(float *values, int num, double share)
{
	if (num == 0)
		return 0;
	qsort(values, num, sizeof(float), ann_compare_floats);
	return values[Min(num - 1, (int) ceil(share * num))];
}

/*
 * positions[q * NEIGHBOURS + r] = leaves that a search for query q opens before the first that holds
 * its neighbour of rank r, with that one; 0 where there is no such neighbour.
 */
static void
leaf_positions(AnnCalibrator *calibrator, const float *rho, float bias, float *positions)
{
	const AnnCentroids *set = &calibrator->builder->set;
	float *scores = palloc_extended(sizeof(float) * set->num_centroids, MCXT_ALLOC_HUGE);
	float *sorted = palloc_extended(sizeof(float) * set->num_centroids, MCXT_ALLOC_HUGE);

	for (int q = 0; q < calibrator->num; q++)
	{
		const float *query = calibrator->queries + (Size) q * calibrator->dim;
		float norm = sqrtf(calibrator->norms[q]);

		CHECK_FOR_INTERRUPTS();
		ann_kernels->products(query, calibrator->dim, 1, set->centroids, calibrator->dim,
							  set->num_centroids, calibrator->dim, scores, set->num_centroids);
		for (uint32 i = 0; i < set->num_centroids; i++)
			scores[i] = calibrator->ip ? -scores[i] - bias * norm * rho[i]
									   : set->centroid_bias[i] - 2 * scores[i];
		memcpy(sorted, scores, sizeof(float) * set->num_centroids);
		qsort(sorted, set->num_centroids, sizeof(float), ann_compare_floats);
		for (int r = 0; r < NEIGHBOURS; r++)
		{
			const Neighbour *neighbour = &calibrator->neighbours[(Size) q * NEIGHBOURS + r];
			float score;

			positions[q * NEIGHBOURS + r] = 0;
			if (r >= calibrator->counts[q])
				continue;
			score = Min(scores[neighbour->leaf], scores[neighbour->other]);
			positions[q * NEIGHBOURS + r] = ann_rank_of(sorted, set->num_centroids, score);
		}
		ann_builder_advance(calibrator->builder, 1);
	}
	pfree(sorted);
	pfree(scores);
}

/* Leaves that cover a share of the neighbours of ranks [from, to). */
static float
leaves_for_ranks(AnnCalibrator *calibrator, const float *positions, int from, int to)
{
	float *values = palloc(sizeof(float) * calibrator->num * (to - from));
	int num = 0;
	float result;

	for (int q = 0; q < calibrator->num; q++)
		for (int r = from; r < Min(to, calibrator->counts[q]); r++)
			values[num++] = positions[q * NEIGHBOURS + r];
	result = quantile(values, num, COVERAGE);
	pfree(values);
	return Max(result, 1);
}

/* What the leaves' spread may weigh in their order under the inner product: all are tried. */
static const float biases[] = {0, 0.05f, 0.1f, 0.15f, 0.2f, 0.3f};
#define NUM_BIASES(calibrator) ((calibrator)->ip ? (int) lengthof(biases) : 1)

static void
calibrate_leaves(AnnCalibrator *calibrator, const float *rho, AnnCalibrationData *calibration)
{
	float *positions = palloc(sizeof(float) * calibrator->num * NEIGHBOURS);
	float at_100;

	calibration->leaves_at_10 = INFINITY;
	for (int i = 0; i < NUM_BIASES(calibrator); i++)
	{
		float leaves;

		leaf_positions(calibrator, rho, biases[i], positions);
		leaves = leaves_for_ranks(calibrator, positions, 0, TOP);
		if (leaves >= calibration->leaves_at_10)
			continue;
		calibration->leaves_at_10 = leaves;
		calibration->leaf_bias = biases[i];
		at_100 = leaves_for_ranks(calibrator, positions, NEIGHBOURS * 8 / 10, NEIGHBOURS);
		calibration->leaves_growth = log10(Max(at_100 / leaves, 1.1));
	}
	calibration->leaves_at_10 *= LEAVES_MARGIN;
	calibration->leaves_growth = Min(calibration->leaves_growth, 1.0f);
	pfree(positions);
}

static void
calibrate_bound(AnnCalibrator *calibrator, AnnCalibrationData *calibration, bool *table16)
{
	float *deviations = palloc(sizeof(float) * calibrator->num * TOP);
	int num = 0;
	double variance = 0;
	double table_variance = 0;

	for (int q = 0; q < calibrator->num; q++)
		for (int r = 0; r < Min(TOP, calibrator->counts[q]); r++)
		{
			const Neighbour *neighbour = &calibrator->neighbours[(Size) q * NEIGHBOURS + r];

			if (!isfinite(neighbour->deviation) || !isfinite(neighbour->variance))
				continue;
			deviations[num++] = neighbour->deviation;
			variance += neighbour->variance;
			table_variance += (double) neighbour->table_error * neighbour->table_error;
		}
	if (num > 0)
	{
		double share =
			calibrator->builder->meta.dim > ANN_LONG_DIM ? BOUND_COVERAGE_LONG : BOUND_COVERAGE;

		calibration->z = Max(1, Min(6, quantile(deviations, num, share)));
		calibration->z_wide = Max(1, Min(6, quantile(deviations, num, WIDE_COVERAGE)));
	}
	*table16 = table_variance > TABLE_VARIANCE * variance;
	ereport(DEBUG1, (errmsg_internal("ann: bound %.2f sigma; a table of 8 bits adds %.3f of the "
									 "codes' variance",
									 calibration->z, table_variance / Max(variance, DBL_MIN))));
	pfree(deviations);
}

void
ann_calibrator_finish(AnnCalibrator *calibrator, const float *rho, AnnCalibrationData *calibration,
					  bool *table16)
{
	MemoryContext context = AllocSetContextCreate(calibrator->builder->context, "ann calibration",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	int measured = 0;

	memset(calibration, 0, sizeof(*calibration));
	calibration->z = 3;
	calibration->z_wide = 4;
	calibration->leaves_at_10 = Max(1, calibrator->builder->set.num_centroids / 20.0);
	calibration->leaves_growth = 0.3f;
	for (int q = 0; q < calibrator->num; q++)
	{
		qsort(calibrator->neighbours + (Size) q * NEIGHBOURS, calibrator->counts[q],
			  sizeof(Neighbour), compare_neighbours);
		measured += calibrator->counts[q] > 0;
	}
	calibration->queries = measured;
	ann_builder_phase(calibrator->builder, ANN_PHASE_CALIBRATE,
					  (double) calibrator->num * (NUM_BIASES(calibrator) +
												  (calibrator->builder->centroid_blocks != NULL)));
	if (measured > 0)
	{
		calibrate_leaves(calibrator, rho, calibration);
		calibrate_bound(calibrator, calibration, table16);
	}
	ann_centroids_calibrate(calibrator->builder, calibrator->queries, calibrator->num, rho,
							calibration);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
