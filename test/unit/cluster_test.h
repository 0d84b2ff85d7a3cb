/*
 * cluster_test.h
 *	  What the tests of k-means share: synthetic rows, training in memory of exactly the stated
 *	  sizes, and double-precision references.
 */
#ifndef ANN_TEST_CLUSTER_TEST_H
#define ANN_TEST_CLUSTER_TEST_H

#include "core/kmeans.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/kernels.h"
#include "core/rng.h"
#include "gaussian.h"
#include "tap.h"
#include "watch_test.h"

typedef struct Data
{
	int dim;
	size_t num_rows;
	float *rows;
} Data;

/* num_clusters clouds of radius 1, their centres `spread` apart. */
static Data
make_clusters(int dim, size_t num_rows, size_t num_clusters, float spread, uint64_t seed)
{
	Data data = {dim, num_rows, malloc(num_rows * dim * sizeof(float))};
	float *centres = malloc(num_clusters * dim * sizeof(float));
	AnnRng rng;

	ann_rng_seed(&rng, seed);
	for (size_t i = 0; i < num_clusters * dim; i++)
		centres[i] = spread * gaussian(&rng);
	for (size_t i = 0; i < num_rows; i++)
	{
		size_t cluster = ann_rng_below(&rng, num_clusters);

		for (int d = 0; d < dim; d++)
			data.rows[i * dim + d] = centres[cluster * dim + d] + gaussian(&rng);
	}
	free(centres);
	return data;
}

static AnnKmeansParams
make_params(int dim, uint32_t num_centroids, int iterations, int refine_iterations)
{
	return (AnnKmeansParams){
		.dim = dim,
		.num_centroids = num_centroids,
		.iterations = iterations,
		.refine_iterations = refine_iterations,
		.seed = 42,
		.watch = &watch,
	};
}

typedef struct Result
{
	AnnStatus status;
	void *memory;
	AnnCentroids set;
} Result;

/*
 * Both forms run in memory of exactly the stated sizes, filled with garbage that is NaN as a float
 * and far out of range as an index; `shift` moves the workspace off its alignment.
 */
static void *
make_workspace(const AnnKmeansParams *params, size_t num_rows, size_t shift, char **base)
{
	size_t bytes = ann_kmeans_workspace_size(params, num_rows) + shift;

	*base = malloc(bytes);
	memset(*base, 0xff, bytes);
	return *base + shift;
}

static Result
train(const AnnKmeansParams *params, const Data *data, size_t shift)
{
	size_t bytes = ann_centroids_size(params->dim, params->num_centroids);
	Result result = {.memory = malloc(bytes)};
	char *base;
	void *workspace = make_workspace(params, data->num_rows, shift, &base);

	memset(result.memory, 0xff, bytes);
	ann_centroids_init(&result.set, result.memory, params->dim, params->num_centroids);
	result.status = ann_kmeans_train(params, data->rows, data->num_rows, &result.set, workspace);
	free(base);
	return result;
}

/* Flat k-means as a set of one parent, so that all else serves both. */
__attribute__((unused)) static Result
train_flat(const AnnKmeansParams *params, const Data *data)
{
	size_t bytes = ann_centroids_size(params->dim, params->num_centroids);
	Result result = {.memory = malloc(bytes)};
	char *base;
	void *workspace = make_workspace(params, data->num_rows, 8, &base);
	AnnCentroids *set = &result.set;

	ann_centroids_init(set, result.memory, params->dim, params->num_centroids);
	result.status = ann_kmeans_flat(params, data->rows, data->num_rows, set->centroids,
									&set->num_centroids, workspace);
	set->num_parents = 1;
	memset(set->parents, 0, (size_t) params->dim * sizeof(float));
	set->first_child[0] = 0;
	set->first_child[1] = set->num_centroids;
	if (result.status == ANN_OK)
		ann_centroids_rebias(set);
	free(base);
	return result;
}

static double
distance_squared(const float *a, const float *b, int dim)
{
	double sum = 0;

	for (int d = 0; d < dim; d++)
		sum += ((double) a[d] - b[d]) * ((double) a[d] - b[d]);
	return sum;
}

/* Squared distance to the nearest of all centroids, in double. */
static double
nearest_distance(const AnnCentroids *set, const float *row)
{
	double least = INFINITY;

	for (uint32_t c = 0; c < set->num_centroids; c++)
	{
		double distance = distance_squared(row, set->centroids + (size_t) c * set->dim, set->dim);

		least = distance < least ? distance : least;
	}
	return least;
}

__attribute__((unused)) static double
energy(const AnnCentroids *set, const Data *data)
{
	double sum = 0;

	for (size_t i = 0; i < data->num_rows; i++)
		sum += nearest_distance(set, data->rows + i * data->dim);
	return sum / (double) data->num_rows;
}

static void
assign(const AnnCentroids *set, const float *rows, size_t stride, int num_rows, uint32_t *leaf,
	   float *distance)
{
	size_t bytes = ann_centroids_assign_workspace_size(set, num_rows);
	void *workspace = malloc(bytes);

	memset(workspace, 0xff, bytes);
	(void) ann_centroids_assign(set, rows, stride, num_rows, leaf, distance, NULL, workspace);
	free(workspace);
}

/* What holds for every set: shape, finite numbers, norms, no equal centroids where `distinct`. */
__attribute__((unused)) static bool
is_sound(const AnnCentroids *set, uint32_t wanted)
{
	bool ok = set->num_centroids >= 1 && set->num_centroids <= wanted && set->num_parents >= 1;

	ok = ok && set->first_child[0] == 0 && set->first_child[set->num_parents] == set->num_centroids;
	for (uint32_t p = 0; ok && p < set->num_parents; p++)
		ok = set->first_child[p] < set->first_child[p + 1];
	for (size_t i = 0; ok && i < (size_t) set->num_parents * set->dim; i++)
		ok = isfinite(set->parents[i]);
	for (size_t i = 0; ok && i < (size_t) set->num_centroids * set->dim; i++)
		ok = isfinite(set->centroids[i]);
	for (uint32_t c = 0; ok && c < set->num_centroids; c++)
		ok = set->centroid_bias[c] ==
			 ann_kernels->norm_squared(set->centroids + (size_t) c * set->dim, set->dim);
	return ok;
}

/*
 * Every distance is that of the leaf, not negative; `nearest`: each row is in its nearest leaf, but
 * for rounding.
 */
__attribute__((unused)) static bool
assigns_well(const AnnCentroids *set, const Data *data, bool nearest)
{
	uint32_t *leaf = malloc(data->num_rows * sizeof(uint32_t));
	float *distance = malloc(data->num_rows * sizeof(float));
	bool ok = true;

	assign(set, data->rows, (size_t) data->dim, (int) data->num_rows, leaf, distance);
	for (size_t i = 0; ok && i < data->num_rows; i++)
	{
		const float *row = data->rows + i * data->dim;
		double exact, scale = 0;

		ok = leaf[i] < set->num_centroids && distance[i] >= 0;
		if (!ok)
			break;
		exact = distance_squared(row, set->centroids + (size_t) leaf[i] * set->dim, set->dim);
		/* Sums relative to a parent are exact to a few units of their greatest term. */
		for (uint32_t p = 0; p < set->num_parents; p++)
			if (leaf[i] >= set->first_child[p] && leaf[i] < set->first_child[p + 1])
				scale = distance_squared(row, set->parents + (size_t) p * set->dim, set->dim);
		ok = fabs(distance[i] - exact) <= 1e-5 * (exact + scale) + FLT_MIN;
		if (nearest)
			ok = ok && exact <= nearest_distance(set, row) + 1e-5 * (exact + scale) + FLT_MIN;
	}
	free(leaf);
	free(distance);
	return ok;
}

#endif
