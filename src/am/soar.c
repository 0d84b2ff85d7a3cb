/*
 * soar.c
 *	  Whether rows get a second leaf (core/soar.h).
 *
 * NOTES
 *	  Automatic means: where it pays by what the sample says. For each pseudo-query, and for rows
 *	  of the sample that serve as such, the nearest rows in the sample are found by blocked
 *	  products; then, with the leaves and what they hold, the codes that must be scored until 85 to
 *	  97 % of them are covered, with second leaves and without. The second entries are codes to be
 *	  scored too, so the ratio is the gain. It is worth twice the codes on disk and twice the work
 *	  of an insert only from some 1.3 on.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "am/build.h"
#include "am/sorted.h"
#include "core/kernels.h"

#define DEFAULT_LAMBDA 1.5f
/* What second leaves must gain when nobody has asked for them. */
#define WORTHWHILE 1.3
/* By 200 queries it is clear where it is so many times more, or less. */
#define CLEARLY 1.1

/*
 * Rows of the sample that are queries besides those held out, where these do not make it clear: by
 * 200 alone the gain differs by a tenth from one set of them to another.
 */
#define MORE_QUERIES 400
/* The sample's part that neighbours are looked for in, and that which tells what leaves hold. */
#define NEIGHBOUR_ROWS 32768
#define POPULATION_ROWS 16384
/* Fewer leaves or neighbours tell nothing. */
#define MIN_LEAVES 32
#define MIN_NEIGHBOURS 500

#define TOP 10
#define BATCH 256
/* Rows whose leaves are found together: each batch moves all centroids to their parents. */
#define LEAST_ROWS 16
#define MOST_ROWS 4096

typedef struct Near
{
	float distance; /* squared L2, or negative inner product */
	uint32 row;     /* of the sample */
} Near;

typedef struct Measure
{
	AnnBuilder *builder;
	AnnTid *tids;
	int num; /* queries */
	int dim;
	bool ip;
	float *queries; /* inner product: the mean is back on */
	float *norms;   /* squared */
	Near *near;     /* num * TOP, ascending */
	int *counts;
	/* entries of each leaf, in a part of the sample: primary ones, and both */
	double *primaries;
	double *both;
} Measure;

static uint32
neighbour_rows(const AnnSample *sample)
{
	return Min(sample->num, NEIGHBOUR_ROWS);
}

static uint32
population_rows(const AnnSample *sample)
{
	return Min(sample->num, POPULATION_ROWS);
}

/* How many rows of the sample are queries: not all, and in no more than a part of the memory. */
static int
more_queries(const AnnBuilder *builder)
{
	Size room = builder->memory / 16 / (sizeof(float) * builder->meta.dim);

	return Min(MORE_QUERIES, Min(builder->sample.num / 8, room));
}

/* ---- neighbours of the pseudo-queries ---- */

/* Rows and their identifiers as queries from `first` on. */
static void
take_queries(Measure *measure, int first, const float *rows, const AnnTid *tids, int num)
{
	memcpy(measure->queries + (Size) first * measure->dim, rows,
		   sizeof(float) * measure->dim * num);
	memcpy(measure->tids + first, tids, sizeof(AnnTid) * num);
}

/* One row that may be among the nearest of a query: its exact distance decides. */
static void
consider(Measure *measure, int q, uint32 row)
{
	const AnnSample *sample = &measure->builder->sample;
	const float *query = measure->queries + (Size) q * measure->dim;
	const float *x = sample->rows + (Size) row * measure->dim;
	Near *near = measure->near + (Size) q * TOP;
	int place = measure->counts[q];
	float distance = measure->ip ? -ann_kernels->inner_product(query, x, measure->dim)
								 : ann_kernels->l2_squared(query, x, measure->dim);

	/* the query itself and its equals tell nothing */
	if (memcmp(&sample->tids[row], &measure->tids[q], sizeof(AnnTid)) == 0 || isnan(distance) ||
		(!measure->ip && distance == 0))
		return;
	if (place == TOP && !(distance < near[TOP - 1].distance))
		return;
	place = Min(place, TOP - 1);
	for (; place > 0 && distance < near[place - 1].distance; place--)
		near[place] = near[place - 1];
	near[place].distance = distance;
	near[place].row = row;
	measure->counts[q] = Min(measure->counts[q] + 1, TOP);
}

/* The rows of a batch; products: those of all queries from first_query on with them. */
static void
consider_batch(Measure *measure, int first_query, uint32 first, int rows, const float *products,
			   const float *norms)
{
	float factor = measure->ip ? -1 : -2;

	for (int q = first_query; q < measure->num; q++)
		for (int i = 0; i < rows; i++)
		{
			float sum = measure->ip ? 0 : measure->norms[q] + norms[i];
			float bound =
				measure->counts[q] < TOP ? INFINITY : measure->near[q * TOP + TOP - 1].distance;

			/* the product cancels where a row is near: its rounding must not hide the row */
			if (sum * (1 - 64 * FLT_EPSILON) + factor * products[(q - first_query) * BATCH + i] <=
				bound)
				consider(measure, q, first + i);
		}
}

/* Those of the queries from first_query on. */
static void
find_neighbours(Measure *measure, int first_query)
{
	const AnnSample *sample = &measure->builder->sample;
	const float *queries = measure->queries + (Size) first_query * measure->dim;
	int num_queries = measure->num - first_query;
	uint32 num = neighbour_rows(sample);
	float *products = palloc(sizeof(float) * num_queries * BATCH);
	float norms[BATCH];

	for (uint32 first = 0; first < num; first += BATCH)
	{
		const float *rows = sample->rows + (Size) first * measure->dim;
		int count = Min(num - first, BATCH);

		CHECK_FOR_INTERRUPTS();
		ann_builder_products(measure->builder, queries, num_queries, rows, count, measure->dim,
							 products, BATCH);
		for (int i = 0; i < count; i++)
			norms[i] = ann_kernels->norm_squared(rows + (Size) i * measure->dim, measure->dim);
		consider_batch(measure, first_query, first, count, products, norms);
		ann_builder_advance(measure->builder, count);
	}
	pfree(products);
}

/* ---- leaves ---- */

/* What it takes to find the leaves of rows, many at a time. */
typedef struct Leaves
{
	Measure *measure;
	int room; /* rows at a time */
	float *residual;
	AnnNearLeaf *near;
	void *workspace;
} Leaves;

static void
init_leaves(Leaves *leaves, Measure *measure)
{
	Size room = measure->builder->memory / 16 / (sizeof(float) * measure->dim);

	leaves->measure = measure;
	leaves->room = Min(MOST_ROWS, Max(LEAST_ROWS, room));
	leaves->residual = palloc(sizeof(float) * measure->dim);
	leaves->near =
		palloc_extended(sizeof(AnnNearLeaf) * ANN_NEAR_LEAVES * leaves->room, MCXT_ALLOC_HUGE);
	leaves->workspace = palloc_extended(
		ann_centroids_assign_workspace_size(&measure->builder->set, leaves->room), MCXT_ALLOC_HUGE);
}

/* Of no more than a batch; found: two leaves of each, the second may be none. */
static void
find_leaves(Leaves *leaves, const float *rows, int num, uint32 *found)
{
	const AnnCentroids *set = &leaves->measure->builder->set;
	Size dim = leaves->measure->dim;

	CHECK_FOR_INTERRUPTS();
	(void) ann_centroids_near(set, rows, dim, num, leaves->near, &leaves->measure->builder->watch,
							  leaves->workspace);
	for (int i = 0; i < num; i++)
	{
		const AnnNearLeaf *near = leaves->near + (Size) i * ANN_NEAR_LEAVES;

		found[2 * i] = near[0].leaf;
		found[2 * i + 1] =
			ann_soar_second(set, DEFAULT_LAMBDA, rows + i * dim, near, leaves->residual);
	}
}

/* Entries of each leaf, in the first rows of the sample. */
static void
count_entries(Measure *measure, Leaves *leaves)
{
	AnnBuilder *builder = measure->builder;
	int num = (int) population_rows(&builder->sample);
	uint32 *found = palloc(sizeof(uint32) * 2 * leaves->room);

	for (int first = 0; first < num; first += leaves->room)
	{
		int count = Min(num - first, leaves->room);

		find_leaves(leaves, builder->sample.rows + (Size) first * measure->dim, count, found);
		for (int i = 0; i < count; i++)
		{
			measure->primaries[found[2 * i]] += 1;
			measure->both[found[2 * i]] += 1;
			if (found[2 * i + 1] != ANN_NO_LEAF)
				measure->both[found[2 * i + 1]] += 1;
		}
		ann_builder_advance(builder, count);
	}
	pfree(found);
}

/* The leaves of all neighbours, in the places that they have in measure->near. */
static uint32 *
leaves_of_neighbours(Measure *measure, Leaves *leaves)
{
	Size dim = measure->dim;
	int total = measure->num * TOP;
	uint32 *found = palloc0(sizeof(uint32) * 2 * total);
	float *rows = palloc_extended(sizeof(float) * dim * leaves->room, MCXT_ALLOC_HUGE);

	for (int first = 0; first < total; first += leaves->room)
	{
		int count = Min(total - first, leaves->room);

		/* what no neighbour stands in repeats some row */
		for (int i = 0; i < count; i++)
			memcpy(rows + i * dim,
				   measure->builder->sample.rows + measure->near[first + i].row * dim,
				   sizeof(float) * dim);
		find_leaves(leaves, rows, count, found + 2 * first);
	}
	pfree(rows);
	return found;
}

/* Entries of the leaves that a search opens up to the one of that score. */
static double
entries_until(const float *scores, const double *entries, uint32 num, float score)
{
	double sum = 0;

	for (uint32 i = 0; i < num; i++)
		sum += scores[i] <= score ? entries[i] : 0;
	return sum;
}

/*
 * For each neighbour of a query, the codes scored until it is met; found: the neighbours' leaves.
 * Returns their number.
 */
static int
codes_of_query(const Measure *measure, int q, const uint32 *found, float *scores, double *once,
			   double *twice)
{
	const AnnCentroids *set = &measure->builder->set;

	ann_builder_products(measure->builder, measure->queries + (Size) q * measure->dim, 1,
						 set->centroids, set->num_centroids, measure->dim, scores,
						 set->num_centroids);
	for (uint32 i = 0; i < set->num_centroids; i++)
		scores[i] = measure->ip ? -scores[i] : set->centroid_bias[i] - 2 * scores[i];
	for (int r = 0; r < measure->counts[q]; r++)
	{
		uint32 second = found[2 * r + 1];
		float score = scores[found[2 * r]];

		CHECK_FOR_INTERRUPTS();
		once[r] = entries_until(scores, measure->primaries, set->num_centroids, score);
		if (second != ANN_NO_LEAF)
			score = Min(score, scores[second]);
		twice[r] = entries_until(scores, measure->both, set->num_centroids, score);
	}
	return measure->counts[q];
}

/*
 * The codes that must be scored to cover a part of the neighbours, as the mean of the logarithm
 * over several parts: the tail of 2,000 neighbours alone differs by half from sample to sample.
 */
static double
log_codes(double *values, int num)
{
	static const double coverages[] = {0.85, 0.9, 0.95, 0.97};
	double sum = 0;

	qsort(values, num, sizeof(double), ann_compare_doubles);
	for (int i = 0; i < (int) lengthof(coverages); i++)
		sum += log(Max(values[Min(num - 1, (int) ceil(coverages[i] * num))], 1));
	return sum / lengthof(coverages);
}

/* How many times fewer codes are scored with second leaves. */
static double
measure_gain(Measure *measure, Leaves *leaves)
{
	const AnnCentroids *set = &measure->builder->set;
	float *scores = palloc_extended(sizeof(float) * (Size) set->num_centroids, MCXT_ALLOC_HUGE);
	const uint32 *found = leaves_of_neighbours(measure, leaves);
	double *once = palloc(sizeof(double) * measure->num * TOP);
	double *twice = palloc(sizeof(double) * measure->num * TOP);
	int num = 0;

	for (int q = 0; q < measure->num; q++)
	{
		CHECK_FOR_INTERRUPTS();
		num +=
			codes_of_query(measure, q, found + 2 * TOP * (Size) q, scores, once + num, twice + num);
		ann_builder_advance(measure->builder, 1);
	}
	return num < MIN_NEIGHBOURS ? 0 : exp(log_codes(once, num) - log_codes(twice, num));
}

/* How much: by the pseudo-queries held out alone where that is clear, else by all. */
static double
measure_in_turn(Measure *measure, int num_more)
{
	Leaves finder;
	double gain;

	init_leaves(&finder, measure);
	count_entries(measure, &finder);
	find_neighbours(measure, 0);
	gain = measure_gain(measure, &finder);
	if (num_more == 0 || gain > WORTHWHILE * CLEARLY || (gain > 0 && gain < WORTHWHILE / CLEARLY))
		return gain;
	measure->builder->watch.total +=
		neighbour_rows(&measure->builder->sample) + measure->num + num_more;
	measure->num += num_more;
	find_neighbours(measure, measure->num - num_more);
	return measure_gain(measure, &finder);
}

/* Does a second leaf pay on this sample? */
static bool
is_worthwhile(AnnBuilder *builder, const float *mean)
{
	int num_more = more_queries(builder);
	int num = builder->num_queries + num_more;
	MemoryContext context =
		AllocSetContextCreate(builder->context, "ann second leaves", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Size leaves = builder->set.num_centroids;
	int dim = builder->meta.dim;
	Measure measure = {
		.builder = builder,
		.tids = palloc(sizeof(AnnTid) * num),
		.num = builder->num_queries,
		.dim = dim,
		.ip = builder->meta.metric == ANN_METRIC_IP,
		.queries = palloc(sizeof(float) * dim * num),
		.norms = palloc(sizeof(float) * num),
		.near = palloc0(sizeof(Near) * TOP * num),
		.counts = palloc0(sizeof(int) * num),
		.primaries = palloc_extended(sizeof(double) * leaves, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO),
		.both = palloc_extended(sizeof(double) * leaves, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO),
	};
	double gain;

	take_queries(&measure, 0, builder->queries, builder->query_tids, builder->num_queries);
	take_queries(&measure, builder->num_queries, builder->sample.rows, builder->sample.tids,
				 num_more);
	for (int i = 0; i < dim * num && measure.ip; i++)
		measure.queries[i] += mean[i % dim];
	for (int q = 0; q < num; q++)
		measure.norms[q] = ann_kernels->norm_squared(measure.queries + (Size) q * dim, dim);
	ann_builder_phase(builder, ANN_PHASE_SECOND,
					  (double) neighbour_rows(&builder->sample) +
						  population_rows(&builder->sample) + builder->num_queries);
	gain = measure_in_turn(&measure, num_more);
	ereport(DEBUG1, (errmsg_internal("ann: second leaves save %.2f times the codes, by %d queries",
									 gain, measure.num)));
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return gain >= WORTHWHILE;
}

void
ann_soar_train(AnnBuilder *builder, const float *mean)
{
	float lambda = builder->options.soar_lambda;

	if (lambda < 0)
	{
		if (builder->set.num_centroids >= MIN_LEAVES && builder->num_queries > 0 &&
			is_worthwhile(builder, mean))
			lambda = DEFAULT_LAMBDA;
		else
			lambda = 0;
	}
	builder->meta.soar_lambda = builder->set.num_centroids > 1 ? lambda : 0;
}
