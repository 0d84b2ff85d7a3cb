/*
 * kmeans.c
 *	  k-means over a sample: flat, and the hierarchy that makes the leaves.
 *
 * NOTES
 *	  The steps of the hierarchy: parents from a sample of the rows and one pass over all; seats for
 *	  each parent by Webster's method; Lloyd within each parent; refining passes over all rows, in
 *	  which leaves trade rows across parents and each parent follows its leaves. Between these
 *	  passes leaves are relocated, to other parents too; else a leaf keeps its parent, wherever it
 *	  drifts.
 */
#include "core/kmeans.h"

#include <math.h>
#include <string.h>

#include "core/kmeans_parts.h"

/* Rows per parent that the parents are trained on. */
#define PARENT_SAMPLE 256

typedef struct Kmeans
{
	const AnnKmeansParams *params;
	size_t num_rows;
	AnnLloyd lloyd;
	AnnKmeansShared shared;
	/* workspace */
	uint32_t *caps;      /* num_parents: seats that the parent's distinct rows could fill */
	uint32_t *parent_of; /* num_centroids */
	void *assign_workspace;
} Kmeans;

static void
kmeans_take(Kmeans *kmeans, AnnArena *arena, const AnnKmeansParams *params, size_t num_rows)
{
	uint32_t num_parents = ann_num_parents(params->num_centroids);
	AnnArena shared;

	ann_lloyd_take(&kmeans->lloyd, arena, params->dim, params->num_centroids, num_rows);
	kmeans->caps = ann_arena_take(arena, num_parents, sizeof(uint32_t));
	kmeans->parent_of = ann_arena_take(arena, params->num_centroids, sizeof(uint32_t));
	kmeans->assign_workspace =
		ann_arena_take(arena,
					   ann_assign_workspace_size(params->dim, num_parents, params->num_centroids,
												 ann_kmeans_batch(params, num_rows)),
					   1);
	if (params->team == NULL)
	{
		ann_kmeans_shared_take(&kmeans->shared, arena, params, num_rows);
		return;
	}
	ann_arena_init(&shared, params->team->shared);
	ann_kmeans_shared_take(&kmeans->shared, &shared, params, num_rows);
}

size_t
ann_kmeans_workspace_size(const AnnKmeansParams *params, size_t num_rows)
{
	AnnArena arena;
	Kmeans kmeans;

	ann_arena_init(&arena, NULL);
	kmeans_take(&kmeans, &arena, params, num_rows);
	return ann_arena_size(&arena);
}

/* Puts all rows into a run, in their own order. */
static void
take_all_rows(const Kmeans *kmeans, AnnRun *run)
{
	run->num_rows = kmeans->num_rows;
	for (size_t i = 0; i < kmeans->num_rows; i++)
		/* there is memory; without, only sizes are asked for: NOLINTNEXTLINE(*.NullDereference) */
		run->order[i] = (uint32_t) i;
}

/* *run: all rows, centroids to go to `centroids`. */
static void
kmeans_init(Kmeans *kmeans, const AnnKmeansParams *params, const float *rows, size_t num_rows,
			void *workspace, float *centroids, AnnRun *run)
{
	AnnArena arena;

	*kmeans = (Kmeans){.params = params, .num_rows = num_rows};
	kmeans->lloyd.rows = rows;
	kmeans->lloyd.dim = (size_t) params->dim;
	kmeans->lloyd.iterations = params->iterations;
	kmeans->lloyd.meter = (AnnMeter){.watch = params->watch};
	ann_rng_seed(&kmeans->lloyd.rng, params->seed);
	ann_arena_init(&arena, workspace);
	kmeans_take(kmeans, &arena, params, num_rows);
	*run = (AnnRun){
		.order = kmeans->shared.order,
		.assigned = kmeans->shared.assigned,
		.centroids = centroids,
	};
	take_all_rows(kmeans, run);
}

AnnStatus
ann_kmeans_flat(const AnnKmeansParams *params, const float *rows, size_t num_rows, float *centroids,
				uint32_t *num_found, void *workspace)
{
	Kmeans kmeans;
	AnnRun run;

	kmeans_init(&kmeans, params, rows, num_rows, workspace, centroids, &run);
	kmeans.lloyd.name = "centroids";
	(void) ann_watch_expect(params->watch, num_rows * (uint64_t) params->iterations);
	if (ann_lloyd_train(&kmeans.lloyd, &run, params->num_centroids))
		return ANN_INTERRUPTED;
	*num_found = run.num_centroids;
	return ANN_OK;
}

/* Rows that the parents are trained on. */
static size_t
parent_sample(const AnnKmeansParams *params, size_t num_rows)
{
	size_t wanted = (size_t) ann_num_parents(params->num_centroids) * PARENT_SAMPLE;

	return wanted < num_rows ? wanted : num_rows;
}

/* All passes: of the parents, of all rows to them, within them, and the refining ones. */
static uint64_t
rows_of_passes(const AnnKmeansParams *params, size_t num_rows)
{
	uint64_t iterations = (uint64_t) params->iterations;
	uint64_t passes = 1 + iterations + (uint64_t) params->refine_iterations;

	return parent_sample(params, num_rows) * iterations + num_rows * passes;
}

/*
 * Trains the parents on a part of the run's rows, then assigns all of them: the parents are the
 * means of their rows, and assigned is by row number. True: stop.
 */
static bool
train_parents(Kmeans *kmeans, AnnRun *run)
{
	uint32_t wanted = ann_num_parents(kmeans->params->num_centroids);
	size_t num_sampled = parent_sample(kmeans->params, kmeans->num_rows);

	if (num_sampled < kmeans->num_rows)
	{
		for (size_t i = 0; i < num_sampled; i++)
			ann_lloyd_draw(&kmeans->lloyd, run, i);
		run->num_rows = num_sampled;
	}
	kmeans->lloyd.name = "parents";
	if (ann_lloyd_train(&kmeans->lloyd, run, wanted))
		return true;
	kmeans->lloyd.name = NULL;
	take_all_rows(kmeans, run);
	return ann_lloyd_reassign(&kmeans->lloyd, run);
}

/*
 * Has the parts of a step done, which tell of so many rows, by the team or one after the other.
 * True: stop.
 */
static bool
run_step(Kmeans *kmeans, AnnCentroids *set, AnnKmeansStep step, uint32_t num, uint64_t num_rows)
{
	const AnnKmeansParams *params = kmeans->params;
	const AnnKmeansShared *shared = &kmeans->shared;
	AnnLloyd *lloyd = &kmeans->lloyd;
	uint64_t done = params->watch == NULL ? 0 : params->watch->done + num_rows;

	shared->counts->num_parents = set->num_parents;
	shared->counts->num_centroids = set->num_centroids;
	if (params->team != NULL && params->team->run(params->team->arg, step, num))
		return true;
	for (uint32_t part = 0; part < num && params->team == NULL; part++)
		if (step == ANN_KMEANS_PARENTS
				? ann_kmeans_train_parent(params, shared, set, lloyd, part)
				: ann_kmeans_assign_batch(params, shared, set, lloyd->rows, kmeans->num_rows, part,
										  kmeans->assign_workspace, &lloyd->meter))
			return true;
	ann_watch_finish(params->watch, done);
	return false;
}

/* Groups order by parent, rows ascending within one; first_row says where each begins. */
static void
group_rows(Kmeans *kmeans, uint32_t num_parents)
{
	const AnnKmeansShared *shared = &kmeans->shared;
	uint32_t *first_row = shared->first_row;

	memset(first_row, 0, ((size_t) num_parents + 1) * sizeof(uint32_t));
	for (size_t i = 0; i < kmeans->num_rows; i++)
		first_row[shared->assigned[i] + 1]++;
	for (uint32_t p = 0; p < num_parents; p++)
		first_row[p + 1] += first_row[p];
	/* Each offset serves as cursor, which leaves it where the next parent's begins. */
	for (size_t i = 0; i < kmeans->num_rows; i++)
		shared->order[first_row[shared->assigned[i]]++] = (uint32_t) i;
	memmove(first_row + 1, first_row, num_parents * sizeof(uint32_t));
	first_row[0] = 0;
}

/* Counts the distinct rows of each parent, as far as anyone could ask: caps. True: stop. */
static bool
count_distinct(Kmeans *kmeans, uint32_t num_parents)
{
	AnnLloyd *lloyd = &kmeans->lloyd;
	const AnnKmeansShared *shared = &kmeans->shared;
	uint32_t wanted = kmeans->params->num_centroids;

	for (uint32_t p = 0; p < num_parents; p++)
	{
		uint32_t end = shared->first_row[p + 1];
		uint32_t num = end - shared->first_row[p];
		AnnDistinct distinct;

		kmeans->caps[p] = 0;
		ann_distinct_init(&distinct, lloyd->hashes, num < wanted ? num : wanted);
		for (uint32_t i = shared->first_row[p]; i < end && kmeans->caps[p] < wanted; i++)
		{
			const float *row = lloyd->rows + shared->order[i] * lloyd->dim;

			kmeans->caps[p] += ann_distinct_add(&distinct, row, lloyd->dim);
			if (ann_meter_spend(&lloyd->meter, lloyd->dim))
				return true;
		}
	}
	return false;
}

/* The seats that one parent has at a divisor: rows per seat, rounded, within 1 and its cap. */
static uint32_t
seats_at(const Kmeans *kmeans, uint32_t parent, double divisor)
{
	const uint32_t *first_row = kmeans->shared.first_row;
	uint32_t num = first_row[parent + 1] - first_row[parent];
	double seats = num / divisor + .5;

	if (seats >= kmeans->caps[parent])
		return kmeans->caps[parent];
	return seats < 1 ? 1 : (uint32_t) seats;
}

/*
 * Webster's method (Sainte-Lague): a divisor, found by bisection, at which the rounded shares of
 * all parents add up to the centroids wanted, or as near below as ties and caps allow; the first of
 * the parents that tie get what remains.
 */
static void
apportion(Kmeans *kmeans, uint32_t num_parents)
{
	uint64_t wanted = kmeans->params->num_centroids;
	uint32_t *seats = kmeans->shared.seats;
	double low = 0x1p-20; /* everyone at the cap */
	double high = 0x1p33; /* everyone at 1 */
	uint64_t total = 0;

	for (int i = 0; i < 100; i++)
	{
		double middle = (low + high) / 2;

		total = 0;
		for (uint32_t p = 0; p < num_parents; p++)
			total += seats_at(kmeans, p, middle);
		if (total > wanted)
			low = middle;
		else
			high = middle;
	}
	total = 0;
	for (uint32_t p = 0; p < num_parents; p++)
		total += seats[p] = seats_at(kmeans, p, high);
	for (uint32_t p = 0; p < num_parents && total < wanted; p++)
		if (seats_at(kmeans, p, low) > seats[p])
		{
			seats[p]++;
			total++;
		}
}

/* Where the leaves of each parent will be, and the largest one. */
static void
seat_children(Kmeans *kmeans, AnnCentroids *set)
{
	const AnnKmeansShared *shared = &kmeans->shared;
	AnnKmeansCounts *counts = shared->counts;
	uint32_t num = 0;

	counts->most_rows = 0;
	for (uint32_t p = 0; p < set->num_parents; p++)
	{
		uint32_t num_rows = shared->first_row[p + 1] - shared->first_row[p];

		counts->most_rows = num_rows > counts->most_rows ? num_rows : counts->most_rows;
		set->first_child[p] = num;
		num += shared->seats[p];
	}
	set->first_child[set->num_parents] = num;
	counts->most_seats = ann_most_children(set);
}

/* Lloyd within each parent. True: stop. */
static bool
train_children(Kmeans *kmeans, AnnCentroids *set)
{
	const AnnKmeansParams *params = kmeans->params;
	size_t dim = kmeans->lloyd.dim;
	uint32_t num = 0;

	seat_children(kmeans, set);
	if (run_step(kmeans, set, ANN_KMEANS_PARENTS, set->num_parents,
				 kmeans->num_rows * (uint64_t) params->iterations))
		return true;
	for (uint32_t p = 0; p < set->num_parents; p++)
	{
		uint32_t found = kmeans->shared.seats[p];

		memmove(set->centroids + num * dim, set->centroids + set->first_child[p] * dim,
				found * dim * sizeof(float));
		set->first_child[p] = num;
		num += found;
	}
	set->first_child[set->num_parents] = num;
	set->num_centroids = num;
	/* those of the last parent went to whoever trained it */
	ann_rng_seed(&kmeans->lloyd.rng, ~params->seed);
	return false;
}

/*
 * Parents become the means of their leaves' rows, of which sums and counts are at hand (and of no
 * other use: those of a parent's first leaf take in the others). True: stop.
 */
static bool
follow_leaves(Kmeans *kmeans, AnnCentroids *set)
{
	AnnLloyd *lloyd = &kmeans->lloyd;
	size_t dim = lloyd->dim;

	for (uint32_t p = 0; p < set->num_parents; p++)
	{
		uint32_t first = set->first_child[p];
		uint32_t end = set->first_child[p + 1];
		double *sum = lloyd->sums + first * dim;
		uint64_t num = lloyd->counts[first];

		for (uint32_t c = first + 1; c < end; c++)
		{
			num += lloyd->counts[c];
			for (size_t d = 0; d < dim; d++)
				sum[d] += lloyd->sums[c * dim + d];
		}
		for (size_t d = 0; d < dim && num > 0; d++)
			set->parents[p * dim + d] = (float) (sum[d] / (double) num);
		if (ann_meter_spend(&lloyd->meter, (end - first) * dim))
			return true;
	}
	return false;
}

/*
 * One Lloyd pass over all rows, each looking only into its nearest parents; assigned is then by row
 * number. True: stop.
 */
static bool
refine(Kmeans *kmeans, AnnCentroids *set, int pass)
{
	AnnLloyd *lloyd = &kmeans->lloyd;
	const AnnKmeansShared *shared = &kmeans->shared;
	size_t batch = ann_kmeans_batch(kmeans->params, kmeans->num_rows);
	double energy = 0;

	shared->counts->most_seats = ann_most_children(set);
	if (run_step(kmeans, set, ANN_KMEANS_LEAVES,
				 (uint32_t) ((kmeans->num_rows + batch - 1) / batch), kmeans->num_rows))
		return true;
	ann_lloyd_clear(lloyd, set->num_centroids);
	for (size_t i = 0; i < kmeans->num_rows; i++)
	{
		ann_lloyd_add(lloyd, shared->assigned[i], lloyd->rows + i * lloyd->dim);
		energy += shared->distance[i];
		if (ann_meter_spend(&lloyd->meter, lloyd->dim))
			return true;
	}
	ann_watch_pass(lloyd->meter.watch, "leaves", pass, energy / (double) kmeans->num_rows);
	return ann_lloyd_update(lloyd, set->centroids, set->num_centroids, NULL) ||
		   follow_leaves(kmeans, set);
}

/* Sorts the leaves by parent again, after parent_of changed; a parent keeps one leaf at least. */
static void
regroup_leaves(Kmeans *kmeans, AnnCentroids *set)
{
	size_t dim = kmeans->lloyd.dim;
	uint32_t *first = set->first_child;
	float *sorted = (float *) kmeans->lloyd.sums; /* free after the update */

	memset(first, 0, ((size_t) set->num_parents + 1) * sizeof(uint32_t));
	for (uint32_t c = 0; c < set->num_centroids; c++)
		first[kmeans->parent_of[c] + 1]++;
	for (uint32_t p = 0; p < set->num_parents; p++)
		first[p + 1] += first[p];
	/* Each offset serves as cursor, which leaves it where the next parent's begins. */
	for (uint32_t c = 0; c < set->num_centroids; c++)
		memcpy(sorted + first[kmeans->parent_of[c]]++ * dim, set->centroids + c * dim,
			   dim * sizeof(float));
	memmove(first + 1, first, set->num_parents * sizeof(uint32_t));
	first[0] = 0;
	memcpy(set->centroids, sorted, set->num_centroids * dim * sizeof(float));
}

static uint32_t
nearest_parent(const AnnCentroids *set, const float *centroid)
{
	uint32_t nearest = 0;
	float least = INFINITY;

	for (uint32_t p = 0; p < set->num_parents; p++)
	{
		float distance =
			ann_kernels->l2_squared(centroid, set->parents + p * (size_t) set->dim, set->dim);

		nearest = distance < least ? p : nearest;
		least = distance < least ? distance : least;
	}
	return nearest;
}

/* Relocates leaves across parents, after a refining pass. True: stop. */
static bool
relocate_leaves(Kmeans *kmeans, AnnCentroids *set, uint32_t *num_moved)
{
	AnnLloyd *lloyd = &kmeans->lloyd;
	AnnRun run = {
		.order = kmeans->shared.order,
		.assigned = kmeans->shared.assigned,
		.centroids = set->centroids,
		.num_centroids = set->num_centroids,
	};

	take_all_rows(kmeans, &run);
	memset(lloyd->origin, 0, lloyd->dim * sizeof(float));
	if (ann_lloyd_relocate(lloyd, &run, set->first_child, set->num_parents, num_moved))
		return true;
	if (*num_moved == 0)
		return false;
	for (uint32_t p = 0; p < set->num_parents; p++)
		for (uint32_t c = set->first_child[p]; c < set->first_child[p + 1]; c++)
			kmeans->parent_of[c] = p;
	for (uint32_t c = 0; c < set->num_centroids; c++)
	{
		if (lloyd->absorbers[c] != ANN_MOVED)
			continue;
		kmeans->parent_of[c] = nearest_parent(set, set->centroids + c * lloyd->dim);
		if (ann_meter_spend(&lloyd->meter, set->num_parents * lloyd->dim))
			return true;
	}
	regroup_leaves(kmeans, set);
	return false;
}

AnnStatus
ann_kmeans_train(const AnnKmeansParams *params, const float *rows, size_t num_rows,
				 AnnCentroids *set, void *workspace)
{
	Kmeans kmeans;
	AnnRun parents;
	uint32_t num_moved = 1;

	kmeans_init(&kmeans, params, rows, num_rows, workspace, set->parents, &parents);
	(void) ann_watch_expect(params->watch, rows_of_passes(params, num_rows));
	if (train_parents(&kmeans, &parents))
		return ANN_INTERRUPTED;
	set->num_parents = parents.num_centroids;
	group_rows(&kmeans, set->num_parents);
	if (count_distinct(&kmeans, set->num_parents))
		return ANN_INTERRUPTED;
	apportion(&kmeans, set->num_parents);
	if (train_children(&kmeans, set))
		return ANN_INTERRUPTED;
	for (int i = 1; i <= params->refine_iterations; i++)
		if (refine(&kmeans, set, i) || (i < params->refine_iterations && num_moved > 0 &&
										relocate_leaves(&kmeans, set, &num_moved)))
			return ANN_INTERRUPTED;
	if (params->refine_iterations > 0)
		ann_centroids_drop_empty(set, kmeans.lloyd.counts);
	ann_centroids_rebias(set);
	return ANN_OK;
}
