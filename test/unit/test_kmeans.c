/*
 * test_kmeans.c
 *	  k-means and assignment: quality against flat, determinism, interrupts, hard cases.
 */
#include "core/kmeans.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/kernels.h"
#include "core/rng.h"
#include "tap.h"

/* Polls that answer false; -1: all of them. */
static long polls_allowed = -1;
static long polls_seen = 0;

static bool
count_poll(void *arg)
{
	(void) arg;
	return ++polls_seen > polls_allowed && polls_allowed >= 0;
}

static float
gaussian(AnnRng *rng)
{
	double sum = -6;

	for (int i = 0; i < 12; i++)
		sum += ann_rng_unit(rng);
	return (float) sum;
}

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
		.poll = count_poll,
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
static Result
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

static double
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
	ann_centroids_assign(set, rows, stride, num_rows, leaf, distance, workspace);
	free(workspace);
}

/* What holds for every set: shape, finite numbers, norms, no equal centroids where `distinct`. */
static bool
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
static bool
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

static bool
are_equal(const AnnCentroids *a, const AnnCentroids *b)
{
	size_t dim = (size_t) a->dim;

	return a->num_centroids == b->num_centroids && a->num_parents == b->num_parents &&
		   memcmp(a->parents, b->parents, a->num_parents * dim * sizeof(float)) == 0 &&
		   memcmp(a->first_child, b->first_child, (a->num_parents + 1) * sizeof(uint32_t)) == 0 &&
		   memcmp(a->centroids, b->centroids, a->num_centroids * dim * sizeof(float)) == 0 &&
		   memcmp(a->centroid_bias, b->centroid_bias, a->num_centroids * sizeof(float)) == 0;
}

static void
test_objective(void)
{
	Data data = make_clusters(16, 3000, 60, 1, 1);
	double energies[5];
	bool ok = true;

	for (int i = 0; i < 5; i++)
	{
		AnnKmeansParams params = make_params(16, 50, 1 << i, 0);
		Result flat = train_flat(&params, &data);

		energies[i] = energy(&flat.set, &data);
		ok = ok && is_sound(&flat.set, 50) && (i == 0 || energies[i] <= energies[i - 1]);
		free(flat.memory);
	}
	tap_ok(ok, "flat: energy falls, %.3f %.3f %.3f %.3f %.3f after 1, 2, 4, 8, 16 passes",
		   energies[0], energies[1], energies[2], energies[3], energies[4]);
	for (int i = 0; i < 4; i++)
	{
		AnnKmeansParams params = make_params(16, 200, 3, i);
		Result result = train(&params, &data, 0);

		energies[i] = energy(&result.set, &data);
		ok = ok && is_sound(&result.set, 200) && (i == 0 || energies[i] <= energies[i - 1] * 1.001);
		free(result.memory);
	}
	tap_ok(ok, "refining: energy falls, %.3f %.3f %.3f %.3f after 0 to 3 passes", energies[0],
		   energies[1], energies[2], energies[3]);
	free(data.rows);
}

/* The share of the nearest `k` other rows that lie in the `n` leaves nearest to a row. */
static double
coverage(const AnnCentroids *set, const Data *data, uint32_t n, size_t num_queries)
{
	uint32_t *leaf = malloc(data->num_rows * sizeof(uint32_t));
	float *distance = malloc(data->num_rows * sizeof(float));
	size_t covered = 0;

	assign(set, data->rows, (size_t) data->dim, (int) data->num_rows, leaf, distance);
	for (size_t q = 0; q < num_queries; q++)
	{
		const float *query = data->rows + q * data->dim;
		double least = INFINITY, own;
		size_t neighbour = 0;
		uint32_t closer = 0;

		for (size_t i = 0; i < data->num_rows; i++)
		{
			double apart = distance_squared(query, data->rows + i * data->dim, data->dim);

			if (i != q && apart < least)
			{
				least = apart;
				neighbour = i;
			}
		}
		own =
			distance_squared(query, set->centroids + (size_t) leaf[neighbour] * set->dim, set->dim);
		for (uint32_t c = 0; c < set->num_centroids; c++)
			closer +=
				distance_squared(query, set->centroids + (size_t) c * set->dim, set->dim) < own;
		covered += closer < n;
	}
	free(leaf);
	free(distance);
	return (double) covered / (double) num_queries;
}

static void
test_against_flat(size_t num_clusters, float spread)
{
	Data data = make_clusters(16, 20000, num_clusters, spread, 3);
	AnnKmeansParams params = make_params(16, 300, 10, 2);
	Result flat = train_flat(&params, &data);
	Result result = train(&params, &data, 0);
	double of_flat = energy(&flat.set, &data);
	double of_tree = energy(&result.set, &data);
	double covered_by_flat = coverage(&flat.set, &data, 6, 1000);
	double covered_by_tree = coverage(&result.set, &data, 6, 1000);

	tap_ok(is_sound(&result.set, 300) && of_tree <= of_flat * 1.03,
		   "%zu clusters %g apart: energy %.4f, flat %.4f", num_clusters, spread, of_tree, of_flat);
	tap_ok(covered_by_tree >= covered_by_flat - .03, "coverage by 6 leaves %.3f, flat %.3f",
		   covered_by_tree, covered_by_flat);
	tap_ok(assigns_well(&result.set, &data, false), "distances are those of the leaves");
	free(data.rows);
	free(flat.memory);
	free(result.memory);
}

/*
 * As many tight clusters far apart as centroids: random starts alone leave a third of the clusters
 * without one, with many times the energy.
 */
static void
test_tight_clusters(void)
{
	Data data = make_clusters(16, 10000, 200, 10, 12);
	AnnKmeansParams params = make_params(16, 200, 10, 2);
	Result flat = train_flat(&params, &data);
	Result result = train(&params, &data, 0);
	double of_flat = energy(&flat.set, &data);
	double of_tree = energy(&result.set, &data);

	tap_ok(is_sound(&flat.set, 200) && of_flat < 16 * 1.05, "tight clusters, flat: energy %.2f",
		   of_flat);
	tap_ok(is_sound(&result.set, 200) && of_tree < 16 * 5, "tight clusters: energy %.2f", of_tree);
	free(flat.memory);
	free(result.memory);
	free(data.rows);
}

/* Few passes over many centroids leave some without a row: they are dropped. */
static void
test_dropping(void)
{
	Data data = make_clusters(16, 10000, 100, 10, 14);
	AnnKmeansParams params = make_params(16, 200, 2, 0);
	Result result = train_flat(&params, &data);

	tap_ok(is_sound(&result.set, 199), "flat drops empty centroids: %u of 200 stay",
		   result.set.num_centroids);
	free(result.memory);
	params = make_params(16, 3000, 1, 1);
	result = train(&params, &data, 0);
	tap_ok(is_sound(&result.set, 2999), "refining drops empty leaves: %u of 3000 stay",
		   result.set.num_centroids);
	free(result.memory);
	free(data.rows);
}

static void
test_determinism(void)
{
	Data data = make_clusters(33, 4000, 40, 2, 5);
	AnnKmeansParams params = make_params(33, 90, 4, 2);
	Result a = train(&params, &data, 0);
	Result b = train(&params, &data, 8);
	Result c = train(&params, &data, 40);
	Result other;

	tap_ok(are_equal(&a.set, &b.set) && are_equal(&a.set, &c.set),
		   "same rows and seed, other workspace: same centroids");
	params.seed++;
	other = train(&params, &data, 0);
	tap_ok(!are_equal(&a.set, &other.set), "another seed: others");
	free(data.rows);
	free(a.memory);
	free(b.memory);
	free(c.memory);
	free(other.memory);
}

/* A row's leaf and distance depend neither on its batch nor on its place in it. */
static void
test_batches(void)
{
	static const int batches[] = {1, 7, 256, 1000};
	Data data = make_clusters(24, 1000, 50, 2, 6);
	AnnKmeansParams params = make_params(24, 150, 4, 1);
	Result result = train(&params, &data, 0);
	uint32_t leaf[1000], other_leaf[1000];
	float distance[1000], other_distance[1000];

	assign(&result.set, data.rows, 24, 1000, leaf, distance);
	for (size_t b = 0; b < sizeof(batches) / sizeof(batches[0]); b++)
	{
		for (int first = 0; first < 1000; first += batches[b])
		{
			int num = 1000 - first < batches[b] ? 1000 - first : batches[b];
			float *spaced = malloc((size_t) num * 31 * sizeof(float));

			for (int i = 0; i < num; i++)
				memcpy(spaced + i * 31, data.rows + (first + i) * 24, 24 * sizeof(float));
			assign(&result.set, spaced, 31, num, other_leaf + first, other_distance + first);
			free(spaced);
		}
		tap_ok(memcmp(leaf, other_leaf, sizeof(leaf)) == 0 &&
				   memcmp(distance, other_distance, sizeof(distance)) == 0,
			   "assignment in batches of %d", batches[b]);
	}
	free(data.rows);
	free(result.memory);
}

static void
test_interrupts(void)
{
	Data data = make_clusters(64, 6000, 40, 2, 5);
	AnnKmeansParams params = make_params(64, 120, 5, 2);
	bool ok = true;
	long total;

	for (int flat = 0; flat < 2; flat++)
	{
		polls_allowed = -1;
		polls_seen = 0;
		free((flat ? train_flat(&params, &data) : train(&params, &data, 0)).memory);
		total = polls_seen;
		for (long i = 0; i < total; i++)
		{
			Result result;

			polls_allowed = i;
			polls_seen = 0;
			result = flat ? train_flat(&params, &data) : train(&params, &data, 0);
			ok = ok && result.status == ANN_INTERRUPTED && polls_seen == i + 1;
			free(result.memory);
		}
		tap_ok(ok && total >= 10, "%s stops at each of its %ld polls", flat ? "flat" : "training",
			   total);
	}
	polls_allowed = -1;
	params.poll = NULL;
	for (int flat = 0; flat < 2; flat++)
	{
		Result result = flat ? train_flat(&params, &data) : train(&params, &data, 0);

		tap_ok(result.status == ANN_OK, "no poll");
		free(result.memory);
	}
	free(data.rows);
}

/* Both forms on given rows: sound, at most `most` centroids, at least `fewest`. */
static void
check_case(const char *name, const Data *data, uint32_t wanted, uint32_t fewest, uint32_t most)
{
	AnnKmeansParams params = make_params(data->dim, wanted, 6, 2);
	Result result = train(&params, data, 0);
	Result flat = train_flat(&params, data);

	tap_ok(result.status == ANN_OK && is_sound(&result.set, most) &&
			   result.set.num_centroids >= fewest,
		   "%s: %u centroids of %u", name, result.set.num_centroids, wanted);
	tap_ok(flat.status == ANN_OK && is_sound(&flat.set, most) && flat.set.num_centroids >= fewest,
		   "%s, flat: %u", name, flat.set.num_centroids);
	tap_ok(assigns_well(&result.set, data, result.set.num_parents <= ANN_KMEANS_BEAM),
		   "%s: rows assigned", name);
	free(result.memory);
	free(flat.memory);
}

/* Where there are no more distinct rows than centroids, every row is a centroid. */
static void
check_exact(const char *name, const Data *data, uint32_t wanted, uint32_t num_distinct)
{
	AnnKmeansParams params = make_params(data->dim, wanted, 6, 2);
	Result result = train(&params, data, 0);
	Result flat = train_flat(&params, data);

	tap_ok(is_sound(&result.set, wanted) && is_sound(&flat.set, wanted), "%s: sound", name);
	tap_ok(result.set.num_centroids == num_distinct && flat.set.num_centroids == num_distinct,
		   "%s: %u centroids, flat %u", name, result.set.num_centroids, flat.set.num_centroids);
	tap_ok(energy(&result.set, data) == 0 && energy(&flat.set, data) == 0, "%s: no energy", name);
	free(result.memory);
	free(flat.memory);
}

static void
test_duplicates(void)
{
	Data distinct = make_clusters(12, 40, 40, 3, 8);
	Data data = {12, 2000, malloc(2000 * 12 * sizeof(float))};

	for (size_t i = 0; i < 2000; i++)
		memcpy(data.rows + i * 12, distinct.rows, 12 * sizeof(float));
	check_exact("all rows equal", &data, 30, 1);
	for (size_t i = 0; i < 2000; i++)
		memcpy(data.rows + i * 12, distinct.rows + i % 40 * 12, 12 * sizeof(float));
	check_exact("40 distinct rows", &data, 100, 40);
	/* Half the rows are equal, but they fill one seat only: nearly all go to the other half. */
	for (size_t i = 0; i < 2000; i++)
		for (int d = 0; d < 12; d++)
			data.rows[i * 12 + d] = i % 2 == 0 ? 1 : (float) ((i * 7919 + d * 104729) % 1009);
	check_case("half of the rows equal", &data, 100, 95, 100);
	data.num_rows = 1;
	check_exact("one row", &data, 1, 1);
	check_exact("one row, many centroids", &data, 1000, 1);
	data.num_rows = 2;
	check_exact("two rows", &data, 5, 2);
	free(data.rows);
	free(distinct.rows);
}

static void
test_shapes(void)
{
	Data line = make_clusters(1, 3000, 5, 10, 1);
	Data wide = make_clusters(ANN_MAX_DIM, 60, 5, 2, 1);
	Data flat = make_clusters(20, 3000, 30, 2, 1);
	Data many = make_clusters(3, 2000, 10, 3, 1);

	check_case("one dimension", &line, 60, 50, 60);
	check_case("16000 dimensions", &wide, 12, 8, 12);
	for (size_t i = 0; i < flat.num_rows; i++)
		for (int d = 0; d < 15; d++)
			flat.rows[i * 20 + d] = (float) (100 * d);
	check_case("constant dimensions", &flat, 80, 75, 80);
	check_case("as many centroids as rows", &many, 2000, 1500, 2000);
	check_case("one centroid", &many, 1, 1, 1);
	free(line.rows);
	free(wide.rows);
	free(flat.rows);
	free(many.rows);
}

static void
test_magnitudes(void)
{
	static const float magnitudes[] = {1e-30f, 1e-15f, 1e15f, 1e25f, 3e37f};

	for (size_t m = 0; m < sizeof(magnitudes) / sizeof(magnitudes[0]); m++)
	{
		Data data = make_clusters(10, 2000, 20, 1, 4);
		AnnKmeansParams params = make_params(10, 40, 5, 2);
		bool squares_fit = magnitudes[m] > 1e-19f && magnitudes[m] < 1e18f;
		Result result;

		for (size_t i = 0; i < data.num_rows * 10; i++)
			data.rows[i] *= magnitudes[m];
		result = train(&params, &data, 0);
		tap_ok(result.status == ANN_OK && result.set.num_centroids >= (squares_fit ? 35u : 1u),
			   "magnitude %g: %u centroids", magnitudes[m], result.set.num_centroids);
		for (size_t i = 0; i < (size_t) result.set.num_centroids * 10; i++)
			result.status = isfinite(result.set.centroids[i]) ? result.status : ANN_INTERRUPTED;
		tap_ok(result.status == ANN_OK, "magnitude %g: finite centroids", magnitudes[m]);
		if (squares_fit)
			tap_ok(assigns_well(&result.set, &data, false), "magnitude %g: rows assigned",
				   magnitudes[m]);
		else
		{
			uint32_t leaf[100];
			float distance[100];
			bool ok = true;

			assign(&result.set, data.rows, 10, 100, leaf, distance);
			for (int i = 0; i < 100; i++)
				ok = ok && leaf[i] < result.set.num_centroids && distance[i] >= 0;
			tap_ok(ok, "magnitude %g: rows assigned somewhere", magnitudes[m]);
		}
		free(data.rows);
		free(result.memory);
	}
}

/* Rows at the ends of the range: differences overflow, centroids must not. */
static void
test_extremes(void)
{
	Data data = {2, 600, malloc(600 * 2 * sizeof(float))};
	AnnKmeansParams params = make_params(2, 20, 5, 2);
	bool ok = true;
	Result result;

	for (size_t i = 0; i < data.num_rows * 2; i++)
		data.rows[i] = i % 3 == 0 ? FLT_MAX : i % 5 == 0 ? -FLT_MAX : (float) i;
	result = train(&params, &data, 0);
	for (size_t i = 0; i < (size_t) result.set.num_centroids * 2; i++)
		ok = ok && isfinite(result.set.centroids[i]);
	tap_ok(ok && result.set.num_centroids >= 1, "greatest numbers: finite centroids");
	free(result.memory);
	/* A row that is not finite has no leaf by right, but gets one. */
	params = make_params(2, 500, 2, 0);
	for (size_t i = 0; i < data.num_rows * 2; i++)
		data.rows[i] = (float) i;
	result = train(&params, &data, 0);
	for (int i = 0; i < 4; i++)
	{
		float row[2] = {i % 2 == 0 ? NAN : INFINITY, i < 2 ? 1 : INFINITY};
		uint32_t leaf = UINT32_MAX;
		float distance;

		assign(&result.set, row, 2, 1, &leaf, &distance);
		ok = ok && leaf < result.set.num_centroids;
	}
	tap_ok(ok, "rows that are not finite are assigned somewhere");
	free(data.rows);
	free(result.memory);
}

/* Two clouds far apart: as good within each as without the other. */
static void
test_far_clusters(float apart, int refine_iterations)
{
	Data near = make_clusters(16, 6000, 30, 1, 2);
	Data far = {16, 6000, malloc(6000 * 16 * sizeof(float))};
	AnnKmeansParams params = make_params(16, 100, 8, refine_iterations);
	Result result;
	double of_near, of_far;

	memcpy(far.rows, near.rows, 6000 * 16 * sizeof(float));
	result = train(&params, &near, 0);
	of_near = energy(&result.set, &near);
	free(result.memory);
	for (size_t i = 0; i < 3000; i++)
		for (int d = 0; d < 16; d++)
			far.rows[i * 16 + d] += apart;
	result = train(&params, &far, 0);
	of_far = energy(&result.set, &far);
	/* Half as many centroids for each cloud: some more energy by right. */
	tap_ok(is_sound(&result.set, 100) && of_far < of_near * 1.25,
		   "clouds %g radii apart, %d refining passes: energy %.3f, in one place %.3f", apart,
		   refine_iterations, of_far, of_near);
	tap_ok(assigns_well(&result.set, &far, false), "distances are those of the leaves");
	free(result.memory);
	free(near.rows);
	free(far.rows);
}

static void
test_all(void)
{
	test_objective();
	test_determinism();
	test_batches();
	test_duplicates();
	test_shapes();
	test_magnitudes();
	test_extremes();
	test_far_clusters(1000, 2);
	test_far_clusters(1000, 0);
	test_far_clusters(100000, 2);
	test_far_clusters(100000, 0);
}

int
main(void)
{
	for (int i = 0; ann_kernels_available(i) != NULL; i++)
	{
		ann_kernels_choose(ann_kernels_available(i)->name);
		tap_diag("kernels %s", ann_kernels->name);
		test_all();
	}
	test_against_flat(150, 1);
	test_against_flat(500, 3);
	test_tight_clusters();
	test_dropping();
	test_interrupts();
	return tap_done();
}
