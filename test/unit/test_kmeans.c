/*
 * test_kmeans.c
 *	  k-means and assignment: quality against flat, determinism, batches, interrupts.
 */
#include "cluster_test.h"

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

/* Passes that the watch was told of: how many, and whether none was worse than that before. */
static int passes_seen;
static double energy_seen;
static bool energy_falls;

static void
see_pass(void *arg, const char *centroids, int pass, double energy)
{
	(void) arg;
	(void) centroids;
	energy_falls = energy_falls && isfinite(energy) && (pass == 1 || energy <= energy_seen * 1.001);
	energy_seen = energy;
	passes_seen++;
}

/* Each pass says what it has found. */
static void
test_passes(float spread)
{
	Data data = make_clusters(16, 6000, 100, spread, 1);
	AnnKmeansParams params = make_params(16, 120, 10, 3);
	Result result;
	double before;

	watch.pass = see_pass;
	for (int flat = 0; flat < 2; flat++)
	{
		passes_seen = 0;
		energy_falls = true;
		result = flat ? train_flat(&params, &data) : train(&params, &data, 0);
		before = energy(&result.set, &data);
		tap_ok(energy_falls && passes_seen >= 3,
			   "%s, clusters %g apart: none of %d passes is worse", flat ? "flat" : "training",
			   spread, passes_seen);
		tap_ok(before <= energy_seen * 1.001, "the last says %.4f, it ends at %.4f", energy_seen,
			   before);
		free(result.memory);
	}
	watch.pass = NULL;
	free(data.rows);
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
test_against_flat(size_t num_clusters, float spread, double limit)
{
	Data data = make_clusters(16, 12000, num_clusters, spread, 3);
	AnnKmeansParams params = make_params(16, 200, 10, 2);
	Result flat = train_flat(&params, &data);
	Result result = train(&params, &data, 0);
	double of_flat = energy(&flat.set, &data);
	double of_tree = energy(&result.set, &data);
	double covered_by_flat = coverage(&flat.set, &data, 6, 400);
	double covered_by_tree = coverage(&result.set, &data, 6, 400);

	tap_ok(is_sound(&result.set, 200) && of_tree <= of_flat * limit,
		   "%zu clusters %g apart: energy %.4f, flat %.4f", num_clusters, spread, of_tree, of_flat);
	tap_ok(covered_by_tree >= covered_by_flat - .03, "coverage by 6 leaves %.3f, flat %.3f",
		   covered_by_tree, covered_by_flat);
	tap_ok(assigns_well(&result.set, &data, false), "distances are those of the leaves");
	free(data.rows);
	free(flat.memory);
	free(result.memory);
}

/* As assignment sees it, unlike energy. */
static double
mean_distance(const AnnCentroids *set, const Data *data)
{
	uint32_t *leaf = malloc(data->num_rows * sizeof(uint32_t));
	float *distance = malloc(data->num_rows * sizeof(float));
	double sum = 0;

	assign(set, data->rows, (size_t) data->dim, (int) data->num_rows, leaf, distance);
	for (size_t i = 0; i < data->num_rows; i++)
		sum += distance[i];
	free(leaf);
	free(distance);
	return sum / (double) data->num_rows;
}

/*
 * As many tight clusters far apart as centroids: random starts alone leave a third of the clusters
 * without one, with many times the energy.
 */
static void
test_tight_clusters(void)
{
	Data data = make_clusters(8, 10000, 600, 20, 12);
	AnnKmeansParams params = make_params(8, 600, 10, 3);
	Result flat = train_flat(&params, &data);
	Result result = train(&params, &data, 0);
	double of_flat = energy(&flat.set, &data);
	double of_tree = energy(&result.set, &data);
	double found = mean_distance(&result.set, &data);

	tap_ok(is_sound(&flat.set, 600) && of_flat < 8 * 1.05, "tight clusters, flat: energy %.2f",
		   of_flat);
	tap_ok(is_sound(&result.set, 600) && of_tree < 8 * 3, "tight clusters: energy %.2f", of_tree);
	tap_ok(found < of_tree * 1.01, "leaves that moved to another parent are found there: %.2f",
		   found);
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

/* A team of three processes that have the arrays at addresses of their own; parts in any order. */
typedef struct Team
{
	AnnKmeansTeam team; /* of the first */
	AnnKmeansParams params;
	const Data *data;
	void *memory;
	int parts_seen[2]; /* of each step */
	long stop_at;      /* this part is the last, which fails */
} Team;

static bool
run_parts(void *arg, AnnKmeansStep step, uint32_t num)
{
	Team *team = arg;

	for (uint32_t i = 0; i < num; i++)
	{
		uint32_t part = num - 1 - i;
		AnnKmeansParams params = team->params;
		AnnCentroids set;
		size_t bytes = ann_kmeans_part_workspace_size(&params, team->data->num_rows, step);
		void *workspace = malloc(bytes);
		AnnStatus status;

		memset(workspace, 0xff, bytes);
		ann_centroids_init(&set, team->memory, params.dim, params.num_centroids);
		status = ann_kmeans_part(&params, team->data->rows, team->data->num_rows, &set, step, part,
								 workspace);
		free(workspace);
		team->parts_seen[step]++;
		if (status != ANN_OK || team->stop_at-- == 0)
			return true;
	}
	return false;
}

static Result
train_together(Team *team, const AnnKmeansParams *params, const Data *data)
{
	size_t set_bytes = (ann_centroids_size(params->dim, params->num_centroids) + 63) / 64 * 64;
	size_t bytes = set_bytes + ann_kmeans_shared_size(params, data->num_rows);
	Result result = {.memory = aligned_alloc(64, (bytes + 63) / 64 * 64)};
	char *base;
	void *workspace;

	memset(result.memory, 0xff, bytes);
	team->team = (AnnKmeansTeam){
		.run = run_parts, .arg = team, .shared = (char *) result.memory + set_bytes};
	team->params = *params;
	team->params.team = &team->team;
	team->data = data;
	team->memory = result.memory;
	workspace = make_workspace(&team->params, data->num_rows, 0, &base);
	ann_centroids_init(&result.set, result.memory, params->dim, params->num_centroids);
	result.status =
		ann_kmeans_train(&team->params, data->rows, data->num_rows, &result.set, workspace);
	free(base);
	return result;
}

static void
test_team(void)
{
	Data data = make_clusters(17, 9000, 300, 2, 11);
	AnnKmeansParams params = make_params(17, 400, 4, 2);
	Result alone = train(&params, &data, 0);
	Team team = {.stop_at = -1};
	Result together;

	watch_anew(-1);
	together = train_together(&team, &params, &data);
	tap_ok(together.status == ANN_OK && are_equal(&alone.set, &together.set),
		   "a team makes the same centroids as one process");
	tap_ok(team.parts_seen[ANN_KMEANS_PARENTS] == 20 && team.parts_seen[ANN_KMEANS_LEAVES] == 16,
		   "in %d and %d parts", team.parts_seen[0], team.parts_seen[1]);
	tap_ok(watched_to_end(), "and tells how far it has come");
	free(together.memory);
	for (int step = 0; step < 2; step++)
	{
		team = (Team){.stop_at = step * 25};
		together = train_together(&team, &params, &data);
		tap_ok(together.status == ANN_INTERRUPTED && team.parts_seen[step] > 0 &&
				   team.parts_seen[0] + team.parts_seen[1] == step * 25 + 1,
			   "it stops where a part does");
		free(together.memory);
	}
	free(alone.memory);
	free(data.rows);
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
		watch_anew(-1);
		free((flat ? train_flat(&params, &data) : train(&params, &data, 0)).memory);
		total = polls_seen;
		tap_ok(watched_to_end(), "%s tells how far it has come", flat ? "flat" : "training");
		for (long i = 0; i < total; i++)
		{
			Result result;

			watch_anew(i);
			result = flat ? train_flat(&params, &data) : train(&params, &data, 0);
			ok = ok && result.status == ANN_INTERRUPTED && polls_seen == i + 1;
			free(result.memory);
		}
		tap_ok(ok && total >= 10, "%s stops at each of its %ld polls", flat ? "flat" : "training",
			   total);
	}
	watch_anew(-1);
	params.watch = NULL;
	for (int flat = 0; flat < 2; flat++)
	{
		Result result = flat ? train_flat(&params, &data) : train(&params, &data, 0);

		tap_ok(result.status == ANN_OK, "no poll");
		free(result.memory);
	}
	free(data.rows);
}

int
main(void)
{
	for (int i = 0; ann_kernels_available(i) != NULL; i++)
	{
		ann_kernels_choose(ann_kernels_available(i)->name);
		tap_diag("kernels %s", ann_kernels->name);
		test_objective();
		test_passes(1);
		test_passes(5);
		test_determinism();
		test_team();
		test_batches();
	}
	test_against_flat(150, 1, 1.03);
	test_against_flat(100, 3, 1.03);
	/* A cluster that the border of two parents cuts has a centroid in both. */
	test_against_flat(500, 3, 1.06);
	test_tight_clusters();
	test_dropping();
	test_interrupts();
	return tap_done();
}
