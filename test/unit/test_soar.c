/*
 * test_soar.c
 *	  Near leaves and second leaves, against double-precision references.
 */
#include "cluster_test.h"

#include "core/soar.h"

/* More children of one parent than are scored at a time, and few enough parents to see all. */
#define LEAVES 60
#define MANY_LEAVES 700

static double
squared(const float *a, const float *b, int dim)
{
	double sum = 0;

	for (int d = 0; d < dim; d++)
		sum += ((double) a[d] - b[d]) * ((double) a[d] - b[d]);
	return sum;
}

/* The loss of a leaf for a row whose first leaf is another. */
static double
loss_of(const AnnCentroids *set, float lambda, const float *row, uint32_t first, uint32_t leaf)
{
	const float *c = set->centroids + (size_t) first * set->dim;
	const float *other = set->centroids + (size_t) leaf * set->dim;
	double product = 0;

	for (int d = 0; d < set->dim; d++)
		product += ((double) row[d] - c[d]) * ((double) row[d] - other[d]);
	return squared(row, other, set->dim) + lambda * product * product / squared(row, c, set->dim);
}

static AnnNearLeaf *
near_leaves(const AnnCentroids *set, const Data *data)
{
	size_t bytes = ann_centroids_assign_workspace_size(set, (int) data->num_rows);
	AnnNearLeaf *near = malloc(sizeof(AnnNearLeaf) * ANN_NEAR_LEAVES * data->num_rows);
	void *workspace = malloc(bytes);

	memset(workspace, 0xff, bytes);
	(void) ann_centroids_near(set, data->rows, data->dim, (int) data->num_rows, near, NULL,
							  workspace);
	free(workspace);
	return near;
}

/* Is a row's list ascending, without gaps, of different leaves, with right distances? */
static bool
list_is_sound(const AnnCentroids *set, const float *row, const AnnNearLeaf *near)
{
	for (int k = 0; k < ANN_NEAR_LEAVES; k++)
	{
		double exact;

		if (near[k].leaf == ANN_NO_LEAF)
			return k > 0;
		exact = squared(row, set->centroids + (size_t) near[k].leaf * set->dim, set->dim);
		if (fabs(near[k].distance - exact) > 1e-4 * (1 + exact))
			return false;
		if (k > 0 && near[k].distance < near[k - 1].distance)
			return false;
		for (int j = 0; j < k; j++)
			if (near[j].leaf == near[k].leaf)
				return false;
	}
	return true;
}

/* Of the leaves of the list, how many are among the nearest of all? */
static int
right_leaves(const AnnCentroids *set, const float *row, const AnnNearLeaf *near)
{
	int num = 0;

	for (int k = 0; k < ANN_NEAR_LEAVES; k++)
	{
		int before = 0;

		for (uint32_t c = 0; c < set->num_centroids; c++)
			before += squared(row, set->centroids + (size_t) c * set->dim, set->dim) <
					  near[k].distance * (1 - 1e-5);
		num += before < ANN_NEAR_LEAVES;
	}
	return num;
}

static void
test_near(uint32_t leaves, double least)
{
	Data data = make_clusters(13, 4000, 50, 3, 7);
	AnnKmeansParams params = make_params(13, leaves, 5, 1);
	Result result = train(&params, &data, 0);
	AnnNearLeaf *near = near_leaves(&result.set, &data);
	int sound = 0;
	int right = 0;

	for (size_t i = 0; i < data.num_rows; i++)
		sound += list_is_sound(&result.set, data.rows + i * data.dim, near + i * ANN_NEAR_LEAVES);
	for (size_t i = 0; i < 200; i++)
		right += right_leaves(&result.set, data.rows + i * data.dim, near + i * ANN_NEAR_LEAVES);
	tap_ok(sound == 4000, "%u leaves: lists are sound", leaves);
	tap_ok(right >= least * 200 * ANN_NEAR_LEAVES, "%u leaves: of 3200 near ones %d are", leaves,
		   right);
	free(near);
	free(result.memory);
	free(data.rows);
}

static void
test_second(float lambda)
{
	Data data = make_clusters(13, 2000, 50, 3, 8);
	AnnKmeansParams params = make_params(13, LEAVES, 5, 1);
	Result result = train(&params, &data, 0);
	AnnNearLeaf *near = near_leaves(&result.set, &data);
	float residual[13];
	int right = 0;

	for (size_t i = 0; i < data.num_rows; i++)
	{
		const float *row = data.rows + i * data.dim;
		const AnnNearLeaf *list = near + i * ANN_NEAR_LEAVES;
		uint32_t second = ann_soar_second(&result.set, lambda, row, list, residual);
		double found;
		bool is_least;

		if (second == ANN_NO_LEAF)
			right += memcmp(row, result.set.centroids + list[0].leaf * data.dim,
							sizeof(residual)) == 0; /* a leaf's only row */
		if (second == ANN_NO_LEAF || second == list[0].leaf)
			continue;
		found = loss_of(&result.set, lambda, row, list[0].leaf, second);
		is_least = true;
		for (int k = 1; k < ANN_NEAR_LEAVES; k++)
			is_least &=
				list[k].leaf == ANN_NO_LEAF ||
				found <= loss_of(&result.set, lambda, row, list[0].leaf, list[k].leaf) * (1 + 1e-4);
		right += is_least;
	}
	tap_ok(right == 2000, "lambda %g: the second leaf has the least loss", lambda);
	free(near);
	free(result.memory);
	free(data.rows);
}

/* A row that is its centroid, a single leaf, and rows whose squares overflow. */
static void
test_no_second(void)
{
	Data data = make_clusters(5, 300, 10, 3, 9);
	AnnKmeansParams params = make_params(5, 10, 5, 1);
	Result result = train(&params, &data, 0);
	Data wide = {5, 1, malloc(sizeof(float) * 5)};
	AnnNearLeaf *near;
	float residual[5];

	memcpy(wide.rows, result.set.centroids + 5, sizeof(float) * 5);
	near = near_leaves(&result.set, &wide);
	tap_ok(near[0].leaf == 1, "a centroid is nearest to itself");
	tap_ok(ann_soar_second(&result.set, 1, wide.rows, near, residual) == ANN_NO_LEAF,
		   "and has no second leaf");
	free(near);
	for (int d = 0; d < 5; d++)
		wide.rows[d] = 1e30f;
	near = near_leaves(&result.set, &wide);
	tap_ok(near[0].leaf < result.set.num_centroids && near[0].distance == INFINITY,
		   "where distances overflow, some leaf");
	tap_ok(ann_soar_second(&result.set, 1, wide.rows, near, residual) == ANN_NO_LEAF,
		   "and no second one");
	free(near);
	free(result.memory);

	params.num_centroids = 1;
	result = train(&params, &data, 0);
	near = near_leaves(&result.set, &data);
	tap_ok(ann_soar_second(&result.set, 1, data.rows, near, residual) == ANN_NO_LEAF,
		   "there is no other leaf");
	free(near);
	free(result.memory);
	free(wide.rows);
	free(data.rows);
}

int
main(void)
{
	for (int i = 0; ann_kernels_available(i) != NULL; i++)
	{
		ann_kernels_choose(ann_kernels_available(i)->name);
		tap_diag("kernels %s", ann_kernels->name);
		test_near(LEAVES, 1);
		test_near(MANY_LEAVES, 0.95);
		test_second(0.5f);
		test_second(10);
		test_no_second();
	}
	return tap_done();
}
