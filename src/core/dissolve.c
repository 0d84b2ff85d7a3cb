/*
 * dissolve.c
 *	  Leaves that go after k-means: those without rows, and on request those of few.
 *
 * NOTES
 *	  A leaf of few rows goes and its rows fall to the leaves that are then nearest to them: whole
 *	  leaves at a time, and then all rows are assigned anew, as the rows of an index will be. Of two
 *	  that would take each other's rows only the smaller goes, so that a far cluster which k-means
 *	  has cut into leaves all too small keeps one. Every round dissolves the smallest leaf at least,
 *	  as a rule half of those in question.
 */
#include "core/gather.h"

#include <string.h>

/* Centroids whose neighbours are looked for at a time. */
#define SEARCHED_CENTROIDS 64

typedef struct Dissolving
{
	AnnCentroids *set;
	const float *rows;
	size_t num_rows;
	uint32_t min_rows;
	AnnMeter meter;
	size_t batch;
	/* workspace */
	uint32_t *counts;    /* of each leaf, its rows */
	uint32_t *absorbers; /* of each leaf that is too small, the nearest other, or UINT32_MAX */
	bool *is_kept;       /* of each leaf, in this round */
	uint32_t *leaf;      /* batch */
	float *distance;     /* batch */
	uint32_t *searched;  /* SEARCHED_CENTROIDS leaves */
	float *centroids;    /* theirs */
	AnnNearLeaf *near;   /* of each, the leaves near to it */
	void *assign_workspace;
} Dissolving;

static void
dissolving_take(Dissolving *work, AnnArena *arena, int dim, uint32_t num_parents,
				uint32_t num_centroids, size_t num_rows)
{
	size_t most;

	work->batch = ann_assign_batch(num_parents, num_rows);
	most = work->batch > SEARCHED_CENTROIDS ? work->batch : SEARCHED_CENTROIDS;
	work->counts = ann_arena_take(arena, num_centroids, sizeof(uint32_t));
	work->absorbers = ann_arena_take(arena, num_centroids, sizeof(uint32_t));
	work->is_kept = ann_arena_take(arena, num_centroids, sizeof(bool));
	work->leaf = ann_arena_take(arena, work->batch, sizeof(uint32_t));
	work->distance = ann_arena_take(arena, work->batch, sizeof(float));
	work->searched = ann_arena_take(arena, SEARCHED_CENTROIDS, sizeof(uint32_t));
	work->centroids = ann_arena_take(arena, SEARCHED_CENTROIDS * (size_t) dim, sizeof(float));
	work->near =
		ann_arena_take(arena, (size_t) SEARCHED_CENTROIDS * ANN_NEAR_LEAVES, sizeof(AnnNearLeaf));
	work->assign_workspace =
		ann_arena_take(arena, ann_assign_workspace_size(dim, num_parents, num_centroids, most), 1);
}

size_t
ann_dissolve_workspace_size(int dim, uint32_t num_centroids, size_t num_rows)
{
	AnnArena arena;
	Dissolving work;

	ann_arena_init(&arena, NULL);
	dissolving_take(&work, &arena, dim, ann_num_parents(num_centroids), num_centroids, num_rows);
	return ann_arena_size(&arena);
}

void
ann_centroids_drop_empty(AnnCentroids *set, const uint32_t *counts)
{
	size_t dim = (size_t) set->dim;
	uint32_t num_parents = 0;
	uint32_t num = 0;
	uint32_t child = 0;

	for (uint32_t p = 0; p < set->num_parents; p++)
	{
		uint32_t end = set->first_child[p + 1];
		uint32_t first = num;

		for (; child < end; child++)
			if (counts[child] > 0)
				memmove(set->centroids + num++ * dim, set->centroids + child * dim,
						dim * sizeof(float));
		if (num == first)
			continue;
		memmove(set->parents + num_parents * dim, set->parents + p * dim, dim * sizeof(float));
		set->first_child[num_parents++] = first;
	}
	set->first_child[num_parents] = num;
	set->num_parents = num_parents;
	set->num_centroids = num;
}

/* Counts the rows of each leaf. True: stop. */
static bool
count_rows(Dissolving *work)
{
	AnnCentroids *set = work->set;
	size_t dim = (size_t) set->dim;

	(void) ann_watch_expect(work->meter.watch, work->num_rows);
	memset(work->counts, 0, set->num_centroids * sizeof(uint32_t));
	for (size_t start = 0; start < work->num_rows; start += work->batch)
	{
		size_t num = work->num_rows - start;

		num = num < work->batch ? num : work->batch;
		if (ann_assign_rows(set, work->rows + start * dim, dim, num, ANN_KMEANS_BEAM, work->leaf,
							work->distance, work->assign_workspace, &work->meter))
			return true;
		for (size_t i = 0; i < num; i++)
			work->counts[work->leaf[i]]++;
		ann_watch_advance(work->meter.watch, num);
	}
	return false;
}

static inline bool
is_small(const Dissolving *work, uint32_t leaf)
{
	return work->counts[leaf] < work->min_rows;
}

/* The absorbers of the leaves that wait in `searched`. True: stop. */
static bool
search_absorbers(Dissolving *work, int num)
{
	size_t dim = (size_t) work->set->dim;

	for (int i = 0; i < num; i++)
		memcpy(work->centroids + (size_t) i * dim, work->set->centroids + work->searched[i] * dim,
			   dim * sizeof(float));
	if (ann_centroids_near(work->set, work->centroids, dim, num, work->near, work->meter.watch,
						   work->assign_workspace) != ANN_OK)
		return true;
	for (int i = 0; i < num; i++)
	{
		const AnnNearLeaf *near = work->near + (size_t) i * ANN_NEAR_LEAVES;

		/* Of those at the same distance it need not be the first itself. */
		work->absorbers[work->searched[i]] =
			near[0].leaf != work->searched[i] ? near[0].leaf : near[1].leaf;
	}
	return false;
}

/* Finds the absorber of each leaf that is too small. True: stop. */
static bool
find_absorbers(Dissolving *work)
{
	const AnnCentroids *set = work->set;
	int num = 0;

	for (uint32_t c = 0; c < set->num_centroids; c++)
	{
		if (is_small(work, c))
			work->searched[num++] = c;
		if (num > 0 && (num == SEARCHED_CENTROIDS || c + 1 == set->num_centroids))
		{
			if (search_absorbers(work, num) ||
				ann_meter_spend(&work->meter,
								(uint64_t) num * set->dim * (set->num_parents + 1) * 8))
				return true;
			num = 0;
		}
	}
	return false;
}

/* Whether a leaf is too small and its absorber is greater: the lower number on ties goes. */
static bool
would_go(const Dissolving *work, uint32_t leaf)
{
	uint32_t other = work->absorbers[leaf];

	if (!is_small(work, leaf) || other == UINT32_MAX)
		return false;
	return leaf < other ? work->counts[leaf] <= work->counts[other]
						: work->counts[leaf] < work->counts[other];
}

/* A parent that loses leaves moves to the mean of those it keeps, weighed by their rows. */
static void
follow_kept(const Dissolving *work, uint32_t parent)
{
	AnnCentroids *set = work->set;
	size_t dim = (size_t) set->dim;
	float *mean = set->parents + parent * dim;
	double num = 0;

	for (uint32_t c = set->first_child[parent]; c < set->first_child[parent + 1]; c++)
	{
		double share;

		if (work->counts[c] == 0)
			continue;
		num += work->counts[c];
		share = work->counts[c] / num;
		for (size_t d = 0; d < dim; d++)
			mean[d] = (float) (mean[d] + ((double) set->centroids[c * dim + d] - mean[d]) * share);
	}
}

/* Decides on the leaves that go at once, and sets their counts to 0. */
static void
choose_leaves(Dissolving *work)
{
	uint32_t num = work->set->num_centroids;

	memset(work->is_kept, 0, num * sizeof(bool));
	for (uint32_t c = 0; c < num; c++)
		if (would_go(work, c))
			work->is_kept[work->absorbers[c]] = true;
	/* Counts decide, so they stay until all is decided. */
	for (uint32_t c = 0; c < num; c++)
		work->is_kept[c] = work->is_kept[c] || !would_go(work, c);
	for (uint32_t c = 0; c < num; c++)
		work->counts[c] = work->is_kept[c] ? work->counts[c] : 0;
}

/* Drops the leaves without rows, of which there may be none. True: stop. */
static bool
drop_leaves(Dissolving *work)
{
	AnnCentroids *set = work->set;

	for (uint32_t p = 0; p < set->num_parents; p++)
	{
		uint32_t end = set->first_child[p + 1];
		uint32_t c = set->first_child[p];

		while (c < end && work->counts[c] > 0)
			c++;
		if (c < end)
			follow_kept(work, p);
		if (ann_meter_spend(&work->meter, (uint64_t) (end - set->first_child[p]) * set->dim))
			return true;
	}
	ann_centroids_drop_empty(set, work->counts);
	ann_centroids_rebias(set);
	return false;
}

AnnStatus
ann_centroids_dissolve(AnnCentroids *set, const float *rows, size_t num_rows, uint32_t min_rows,
					   AnnWatch *watch, void *workspace)
{
	Dissolving work = {
		.set = set,
		.rows = rows,
		.num_rows = num_rows,
		.min_rows = min_rows,
		.meter = {.watch = watch},
	};
	uint32_t before;
	AnnArena arena;

	ann_arena_init(&arena, workspace);
	dissolving_take(&work, &arena, set->dim, set->num_parents, set->num_centroids, num_rows);
	do
	{
		before = set->num_centroids;
		if (count_rows(&work) || find_absorbers(&work))
			return ANN_INTERRUPTED;
		choose_leaves(&work);
		if (drop_leaves(&work))
			return ANN_INTERRUPTED;
	} while (set->num_centroids < before);
	return ANN_OK;
}
