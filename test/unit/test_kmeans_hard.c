/*
 * test_kmeans_hard.c
 *	  k-means and assignment on hard cases: duplicates, extreme shapes and magnitudes, clusters far
 *	  apart.
 */
#include "cluster_test.h"

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

/* Bytes asked for the most leaves and rows that there may be, which no test can hold. */
static void
test_sizes(void)
{
	const uint32_t num_leaves = 1 << 24;
	const size_t num_rows = INT32_MAX;
	AnnKmeansParams params = make_params(16000, num_leaves, 10, 2);
	double centroids = (double) ann_centroids_size(16000, num_leaves);
	double workspace = (double) ann_kmeans_workspace_size(&params, num_rows);
	double floats = (double) num_leaves * 16000 * sizeof(float);

	tap_ok(centroids >= floats && centroids < floats * 1.01, "centroids: %.3g bytes", centroids);
	tap_ok(workspace >= num_rows * 8.0 && workspace < num_rows * 64.0 + floats * 4,
		   "workspace: %.3g bytes", workspace);
}

int
main(void)
{
	test_sizes();
	for (int i = 0; ann_kernels_available(i) != NULL; i++)
	{
		ann_kernels_choose(ann_kernels_available(i)->name);
		tap_diag("kernels %s", ann_kernels->name);
		test_duplicates();
		test_shapes();
		test_magnitudes();
		test_extremes();
		test_far_clusters(1000, 2);
		test_far_clusters(1000, 0);
		test_far_clusters(100000, 2);
		test_far_clusters(100000, 0);
	}
	return tap_done();
}
