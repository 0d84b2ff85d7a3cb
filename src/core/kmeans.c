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

#include "core/lloyd.h"

/* Rows per parent that the parents are trained on. */
#define PARENT_SAMPLE 256

/* Parents that a row looks into in a refining pass: on text no worse for it than those 8. */
#define REFINE_BEAM 6

typedef struct Kmeans
{
	const AnnKmeansParams *params;
	size_t num_rows;
	AnnLloyd lloyd;
	/* workspace */
	uint32_t *order;     /* num_rows row numbers */
	uint32_t *assigned;  /* num_rows */
	uint32_t *first_row; /* num_parents + 1 offsets into order */
	uint32_t *seats;     /* num_parents */
	uint32_t *caps;      /* num_parents: seats that the parent's distinct rows could fill */
	uint32_t *parent_of; /* num_centroids */
	size_t batch;
	float *distance; /* batch */
	void *assign_workspace;
} Kmeans;

static void
kmeans_take(Kmeans *kmeans, AnnArena *arena, const AnnKmeansParams *params, size_t num_rows)
{
	uint32_t num_parents = ann_num_parents(params->num_centroids);

	kmeans->batch = ann_assign_batch(num_parents, num_rows);
	ann_lloyd_take(&kmeans->lloyd, arena, params->dim, params->num_centroids, num_rows);
	kmeans->order = ann_arena_take(arena, num_rows, sizeof(uint32_t));
	kmeans->assigned = ann_arena_take(arena, num_rows, sizeof(uint32_t));
	kmeans->first_row = ann_arena_take(arena, (size_t) num_parents + 1, sizeof(uint32_t));
	kmeans->seats = ann_arena_take(arena, num_parents, sizeof(uint32_t));
	kmeans->caps = ann_arena_take(arena, num_parents, sizeof(uint32_t));
	kmeans->parent_of = ann_arena_take(arena, params->num_centroids, sizeof(uint32_t));
	kmeans->distance = ann_arena_take(arena, kmeans->batch, sizeof(float));
	kmeans->assign_workspace = ann_arena_take(
		arena,
		ann_assign_workspace_size(params->dim, num_parents, params->num_centroids, kmeans->batch),
		1);
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
		.order = kmeans->order,
		.assigned = kmeans->assigned,
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

/* Groups order by parent, rows ascending within one; first_row says where each begins. */
static void
group_rows(Kmeans *kmeans, uint32_t num_parents)
{
	uint32_t *first_row = kmeans->first_row;

	memset(first_row, 0, ((size_t) num_parents + 1) * sizeof(uint32_t));
	for (size_t i = 0; i < kmeans->num_rows; i++)
		first_row[kmeans->assigned[i] + 1]++;
	for (uint32_t p = 0; p < num_parents; p++)
		first_row[p + 1] += first_row[p];
	/* Each offset serves as cursor, which leaves it where the next parent's begins. */
	for (size_t i = 0; i < kmeans->num_rows; i++)
		kmeans->order[first_row[kmeans->assigned[i]]++] = (uint32_t) i;
	memmove(first_row + 1, first_row, num_parents * sizeof(uint32_t));
	first_row[0] = 0;
}

/* Counts the distinct rows of each parent, as far as anyone could ask: caps. True: stop. */
static bool
count_distinct(Kmeans *kmeans, uint32_t num_parents)
{
	AnnLloyd *lloyd = &kmeans->lloyd;
	uint32_t wanted = kmeans->params->num_centroids;

	for (uint32_t p = 0; p < num_parents; p++)
	{
		uint32_t end = kmeans->first_row[p + 1];
		uint32_t num = end - kmeans->first_row[p];
		AnnDistinct distinct;

		kmeans->caps[p] = 0;
		ann_distinct_init(&distinct, lloyd->hashes, num < wanted ? num : wanted);
		for (uint32_t i = kmeans->first_row[p]; i < end && kmeans->caps[p] < wanted; i++)
		{
			const float *row = lloyd->rows + kmeans->order[i] * lloyd->dim;

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
	uint32_t num = kmeans->first_row[parent + 1] - kmeans->first_row[parent];
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
		total += kmeans->seats[p] = seats_at(kmeans, p, high);
	for (uint32_t p = 0; p < num_parents && total < wanted; p++)
		if (seats_at(kmeans, p, low) > kmeans->seats[p])
		{
			kmeans->seats[p]++;
			total++;
		}
}

/* Lloyd within each parent. True: stop. */
static bool
train_children(Kmeans *kmeans, AnnCentroids *set)
{
	uint32_t num = 0;

	for (uint32_t p = 0; p < set->num_parents; p++)
	{
		uint32_t first = kmeans->first_row[p];
		AnnRun run = {
			.order = kmeans->order + first,
			.assigned = kmeans->assigned + first,
			.num_rows = kmeans->first_row[p + 1] - first,
			.centroids = set->centroids + num * kmeans->lloyd.dim,
		};

		if (ann_lloyd_train(&kmeans->lloyd, &run, kmeans->seats[p]))
			return true;
		set->first_child[p] = num;
		num += run.num_centroids;
	}
	set->first_child[set->num_parents] = num;
	set->num_centroids = num;
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
	double energy = 0;

	ann_lloyd_clear(lloyd, set->num_centroids);
	for (size_t start = 0; start < kmeans->num_rows; start += kmeans->batch)
	{
		const float *rows = lloyd->rows + start * lloyd->dim;
		uint32_t *leaf = kmeans->assigned + start;
		size_t num = kmeans->num_rows - start;

		num = num < kmeans->batch ? num : kmeans->batch;
		if (ann_assign_rows(set, rows, lloyd->dim, num, REFINE_BEAM, leaf, kmeans->distance,
							kmeans->assign_workspace, &lloyd->meter))
			return true;
		for (size_t i = 0; i < num; i++)
		{
			ann_lloyd_add(lloyd, leaf[i], rows + i * lloyd->dim);
			energy += kmeans->distance[i];
			if (ann_meter_spend(&lloyd->meter, lloyd->dim))
				return true;
		}
		ann_watch_advance(lloyd->meter.watch, num);
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
		.order = kmeans->order,
		.assigned = kmeans->assigned,
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
