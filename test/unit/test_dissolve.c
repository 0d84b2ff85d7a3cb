/*
 * test_dissolve.c
 *	  Leaves of few rows are dissolved: what is left, how little, and in which order.
 */
#include "cluster_test.h"

/* Dissolves in memory of exactly the stated size. */
static AnnStatus
dissolve(AnnCentroids *set, const Data *data, uint32_t min_rows)
{
	size_t bytes = ann_dissolve_workspace_size(data->dim, set->num_centroids, data->num_rows);
	char *workspace = malloc(bytes);
	AnnStatus status;

	memset(workspace, 0xff, bytes);
	status = ann_centroids_dissolve(set, data->rows, data->num_rows, min_rows, &watch, workspace);
	free(workspace);
	return status;
}

/* The fewest rows of a leaf. */
static uint32_t
least_rows(const AnnCentroids *set, const Data *data)
{
	uint32_t *leaf = malloc(data->num_rows * sizeof(uint32_t));
	float *distance = malloc(data->num_rows * sizeof(float));
	uint32_t *counts = calloc(set->num_centroids, sizeof(uint32_t));
	uint32_t least = UINT32_MAX;

	assign(set, data->rows, (size_t) data->dim, (int) data->num_rows, leaf, distance);
	for (size_t i = 0; i < data->num_rows; i++)
		counts[leaf[i]]++;
	for (uint32_t c = 0; c < set->num_centroids; c++)
		least = counts[c] < least ? counts[c] : least;
	free(leaf);
	free(distance);
	free(counts);
	return least;
}

/* Whether each centroid of `few` is one of `all`, in the same order. */
static bool
is_part(const AnnCentroids *few, const float *all, uint32_t num_all)
{
	size_t dim = (size_t) few->dim;
	uint32_t found = 0;

	for (uint32_t c = 0; c < num_all && found < few->num_centroids; c++)
		found += memcmp(few->centroids + found * dim, all + c * dim, dim * sizeof(float)) == 0;
	return found == few->num_centroids;
}

/* 40 clusters of 200 rows and 60 of 5, far apart. */
static Data
make_uneven(void)
{
	Data many = make_clusters(8, 8000, 40, 20, 1);
	Data few = make_clusters(8, 300, 60, 20, 2);

	many.rows = realloc(many.rows, 8300 * 8 * sizeof(float));
	memcpy(many.rows + 8000 * 8, few.rows, 300 * 8 * sizeof(float));
	many.num_rows = 8300;
	free(few.rows);
	return many;
}

static void
test_sizes(void)
{
	static const uint32_t sizes[] = {1, 2, 10, 50, 100, 300, 5000};
	Data data = make_uneven();
	AnnKmeansParams params = make_params(8, 150, 10, 2);
	uint32_t before = UINT32_MAX;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		Result result = train(&params, &data, 0);
		uint32_t num = result.set.num_centroids;
		float *centroids = malloc((size_t) num * 8 * sizeof(float));
		uint32_t least = least_rows(&result.set, &data);
		bool ok;

		memcpy(centroids, result.set.centroids, (size_t) num * 8 * sizeof(float));
		watch_anew(-1);
		ok = dissolve(&result.set, &data, sizes[i]) == ANN_OK && watched_to_end();
		tap_ok(ok && is_sound(&result.set, num) && least_rows(&result.set, &data) >= sizes[i],
			   "at least %u rows: %u of %u leaves, %u rows instead of %u", sizes[i],
			   result.set.num_centroids, num, least_rows(&result.set, &data), least);
		tap_ok(is_part(&result.set, centroids, num) && result.set.num_centroids <= before &&
				   (least < sizes[i]) == (result.set.num_centroids < num),
			   "those left are as they were");
		before = result.set.num_centroids;
		free(centroids);
		free(result.memory);
	}
	free(data.rows);
}

/* A far cluster that is cut into leaves all too small keeps one; a lonely row goes. */
static void
test_pair(void)
{
	enum
	{
		NEAR = 100,
		FAR = 12,
		ROWS = NEAR + FAR + 1
	};
	float rows[ROWS];
	void *memory = malloc(ann_centroids_size(1, 4));
	float seeds[] = {0, 1000, 1001, 5000};
	Data data = {1, ROWS, rows};
	AnnCentroids set;
	bool ok;

	for (int i = 0; i < ROWS; i++)
		rows[i] = i < NEAR ? .001F * (float) i : i < NEAR + FAR ? 1000 + (float) (i % 2) : 5000;
	ann_centroids_init(&set, memory, 1, 4);
	memcpy(set.centroids, seeds, sizeof(seeds));
	set.num_parents = 1;
	set.parents[0] = 1000;
	set.first_child[0] = 0;
	set.first_child[1] = 4;
	ann_centroids_rebias(&set);
	ok = dissolve(&set, &data, 10) == ANN_OK && set.num_centroids == 2;
	tap_ok(ok && set.centroids[0] == 0 && fabsf(set.centroids[1] - 1000.5F) == .5F,
		   "a pair keeps one, at %g; %u leaves", set.centroids[1], set.num_centroids);
	free(memory);
}

/* All leaves too small, rows that are equal, one row: one leaf stays. */
static void
test_one_stays(void)
{
	Data data = make_clusters(5, 700, 30, 3, 4);
	AnnKmeansParams params = make_params(5, 60, 5, 1);
	Result result = train(&params, &data, 0);

	tap_ok(dissolve(&result.set, &data, UINT32_MAX) == ANN_OK && is_sound(&result.set, 1),
		   "more rows than there are: one leaf");
	free(result.memory);
	memset(data.rows, 0, data.num_rows * 5 * sizeof(float));
	result = train(&params, &data, 0);
	tap_ok(dissolve(&result.set, &data, 700) == ANN_OK && is_sound(&result.set, 1), "equal rows");
	free(result.memory);
	data.num_rows = 1;
	result = train(&params, &data, 0);
	tap_ok(dissolve(&result.set, &data, 2) == ANN_OK && is_sound(&result.set, 1), "one row");
	free(result.memory);
	free(data.rows);
}

/* Centroids that are equal, and rows whose squares leave the range of float. */
static void
test_extremes(void)
{
	Data data = make_clusters(4, 400, 10, 5, 6);
	AnnKmeansParams params = make_params(4, 20, 5, 1);
	Result result = train(&params, &data, 0);
	bool ok;

	for (uint32_t c = 1; c < 8; c++)
		memcpy(result.set.centroids + (size_t) c * 4, result.set.centroids, 4 * sizeof(float));
	ann_centroids_rebias(&result.set);
	ok = dissolve(&result.set, &data, 5) == ANN_OK;
	tap_ok(ok && is_sound(&result.set, 20) && least_rows(&result.set, &data) >= 5,
		   "equal centroids: %u leaves", result.set.num_centroids);
	free(result.memory);
	for (size_t i = 0; i < 400 * 4; i++)
		data.rows[i] *= 1e25F;
	result = train(&params, &data, 0);
	ok = dissolve(&result.set, &data, 5) == ANN_OK;
	tap_ok(ok && result.set.num_centroids >= 1, "beyond the range: %u leaves",
		   result.set.num_centroids);
	free(result.memory);
	free(data.rows);
}

static void
test_interrupts(void)
{
	Data data = make_clusters(64, 6000, 300, 2, 5);
	AnnKmeansParams params = make_params(64, 200, 5, 2);
	Result result = train(&params, &data, 0);
	long total;
	bool ok = true;

	watch_anew(-1);
	(void) dissolve(&result.set, &data, 40);
	total = polls_seen;
	free(result.memory);
	for (long i = 0; i < total; i++)
	{
		watch_anew(-1);
		result = train(&params, &data, 0);
		watch_anew(i);
		ok = ok && dissolve(&result.set, &data, 40) == ANN_INTERRUPTED && polls_seen == i + 1;
		free(result.memory);
	}
	tap_ok(ok && total >= 3, "stops at each of its %ld polls", total);
	free(data.rows);
}

int
main(void)
{
	for (int i = 0; ann_kernels_available(i) != NULL; i++)
	{
		ann_kernels_choose(ann_kernels_available(i)->name);
		tap_diag("kernels %s", ann_kernels->name);
		test_sizes();
	}
	test_pair();
	test_one_stays();
	test_extremes();
	test_interrupts();
	return tap_done();
}
