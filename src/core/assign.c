/*
 * assign.c
 *	  The nearest centroids of many rows.
 *
 * NOTES
 *	  A batch of rows is turned inside out: first each row's nearest parents, then parent by parent
 *	  all rows that look into it, gathered into matrices, so that the kernel sees matrices however
 *	  many parents there are. Parents are compared by differences, not by products: theirs is a
 *	  ninth of the work, and it must be right for clusters far apart, where no origin suits all.
 */
#include "core/gather.h"

#include <math.h>
#include <string.h>

/* Rows whose distances to all parents are held at a time. */
#define SCORED_ROWS 32

/* Children whose distances to a gather are held at a time. */
#define NEAR_TILE 64

/* Rows of one batch of many, per parent: each visits 8 parents, which then see 512. */
#define BATCH_PER_PARENT 64
#define BATCH_MIN 1024
#define BATCH_MAX 65536

/* Groups of parents whose minima bound the beam, at least ANN_KMEANS_BEAM. */
#define GROUPS 16

typedef struct Assignment
{
	const AnnCentroids *set;
	const float *rows;
	size_t row_stride;
	size_t num_rows;
	uint32_t beam; /* parents that a row looks into */
	AnnMeter *meter;
	/* workspace */
	float *parent_distances; /* SCORED_ROWS * num_parents */
	uint32_t *chosen;        /* num_parents, of which one row's beam comes first */
	uint32_t *beams;         /* num_rows * ANN_KMEANS_BEAM parents */
	uint32_t *first_visit;   /* num_parents + 1 offsets into visits */
	uint32_t *visits;        /* num_rows * ANN_KMEANS_BEAM rows, grouped by parent */
	float *children;         /* of one parent, relative to it */
	float *children_bias;
	AnnGather gather;
	uint32_t *gathered_rows; /* numbers of the rows in the gather */
	float *products;         /* of the gather and NEAR_TILE children */
} Assignment;

static uint32_t
beam_of(uint32_t num_parents)
{
	return num_parents < ANN_KMEANS_BEAM ? num_parents : ANN_KMEANS_BEAM;
}

static void
assignment_take(Assignment *work, AnnArena *arena, int dim, uint32_t num_parents,
				uint32_t max_children, size_t num_rows)
{
	size_t num_visits = num_rows * beam_of(num_parents);

	work->parent_distances =
		ann_arena_take(arena, (size_t) num_parents * SCORED_ROWS, sizeof(float));
	work->chosen = ann_arena_take(arena, num_parents, sizeof(uint32_t));
	work->beams = ann_arena_take(arena, num_visits, sizeof(uint32_t));
	work->first_visit = ann_arena_take(arena, (size_t) num_parents + 1, sizeof(uint32_t));
	work->visits = ann_arena_take(arena, num_visits, sizeof(uint32_t));
	work->children = ann_arena_take(arena, max_children * ann_gather_stride(dim), sizeof(float));
	work->children_bias = ann_arena_take(arena, max_children, sizeof(float));
	ann_gather_take(&work->gather, arena, dim);
	work->gathered_rows = ann_arena_take(arena, (size_t) work->gather.room, sizeof(uint32_t));
	work->products = ann_arena_take(arena, (size_t) work->gather.room * NEAR_TILE, sizeof(float));
}

size_t
ann_assign_workspace_size(int dim, uint32_t num_parents, uint32_t max_children, size_t num_rows)
{
	AnnArena arena;
	Assignment work;

	ann_arena_init(&arena, NULL);
	assignment_take(&work, &arena, dim, num_parents, max_children, num_rows);
	return ann_arena_size(&arena);
}

size_t
ann_assign_batch(uint32_t num_parents, size_t num_rows)
{
	size_t batch = (size_t) num_parents * BATCH_PER_PARENT;

	batch = batch < BATCH_MIN ? BATCH_MIN : batch > BATCH_MAX ? BATCH_MAX : batch;
	return batch < num_rows ? batch : num_rows;
}

/*
 * A distance that at least ANN_KMEANS_BEAM of num >= GROUPS distances do not exceed, and hardly
 * more: the ANN_KMEANS_BEAM-th least of the minima of GROUPS groups. No branch in it depends on the
 * data.
 */
static float
beam_limit(const float *distances, uint32_t num)
{
	float least[GROUPS];
	int rank[GROUPS] = {0};
	float limit = -INFINITY;
	uint32_t p = 0;

	for (int g = 0; g < GROUPS; g++)
		least[g] = INFINITY;
	for (; p + GROUPS <= num; p += GROUPS)
		for (int g = 0; g < GROUPS; g++)
			least[g] = distances[p + g] < least[g] ? distances[p + g] : least[g];
	for (int g = 0; p + g < num; g++)
		least[g] = distances[p + g] < least[g] ? distances[p + g] : least[g];
	for (int other = 0; other < GROUPS; other++)
		for (int g = 0; g < GROUPS; g++)
			rank[g] += least[other] < least[g];
	for (int g = 0; g < GROUPS; g++)
		if (rank[g] < ANN_KMEANS_BEAM)
			limit = least[g] > limit ? least[g] : limit;
	return limit;
}

/*
 * The `beam` parents of least distance, the lower ones on ties, in ascending order of number. NaN
 * counts as infinite. Room for all parents in `parents`.
 */
static void
nearest_parents(float *distances, uint32_t num_parents, uint32_t beam, uint32_t *parents)
{
	float limit = INFINITY;
	uint32_t num = 0;

	for (uint32_t p = 0; p < num_parents; p++)
		distances[p] = distances[p] < INFINITY ? distances[p] : INFINITY;
	if (num_parents >= GROUPS)
		limit = beam_limit(distances, num_parents);
	for (uint32_t p = 0; p < num_parents; p++)
	{
		parents[num] = p;
		num += distances[p] <= limit;
	}
	while (num > beam)
	{
		uint32_t worst = 0;

		for (uint32_t i = 1; i < num; i++)
			worst = distances[parents[i]] >= distances[parents[worst]] ? i : worst;
		num--;
		memmove(parents + worst, parents + worst + 1, (num - worst) * sizeof(uint32_t));
	}
}

/* Distances of rows start to end (exclusive) to all parents. True: stop. */
static bool
score_parents(Assignment *work, size_t start, size_t end)
{
	const AnnCentroids *set = work->set;
	size_t dim = (size_t) set->dim;
	uint32_t room = (uint32_t) ann_gather_rows_of(ANN_TILE_FLOATS, dim);

	memset(work->parent_distances, 0, (end - start) * set->num_parents * sizeof(float));
	for (uint32_t first = 0; first < set->num_parents; first += room)
	{
		uint32_t tile = set->num_parents - first < room ? set->num_parents - first : room;
		float *out = work->parent_distances + first;

		for (size_t i = start; i < end; i++, out += set->num_parents)
			ann_kernels->l2_rows_f32(work->rows + i * work->row_stride, set->parents + first * dim,
									 dim * sizeof(float), (int) tile, set->dim, out);
		if (ann_meter_spend(work->meter, ann_pairs_work((end - start) * tile, dim)))
			return true;
	}
	return false;
}

/* Fills beams. True: stop. */
static bool
choose_beams(Assignment *work)
{
	for (size_t start = 0; start < work->num_rows; start += SCORED_ROWS)
	{
		size_t end = work->num_rows - start < SCORED_ROWS ? work->num_rows : start + SCORED_ROWS;
		float *distances = work->parent_distances;

		if (score_parents(work, start, end))
			return true;
		for (size_t i = start; i < end; i++, distances += work->set->num_parents)
		{
			nearest_parents(distances, work->set->num_parents, work->beam, work->chosen);
			memcpy(work->beams + i * work->beam, work->chosen, work->beam * sizeof(uint32_t));
		}
	}
	return false;
}

/* Groups the rows by the parents that they look into, rows ascending within a parent. */
static void
group_visits(Assignment *work)
{
	size_t num_visits = work->num_rows * work->beam;
	uint32_t num_parents = work->set->num_parents;
	uint32_t *first_visit = work->first_visit;

	memset(first_visit, 0, ((size_t) num_parents + 1) * sizeof(uint32_t));
	for (size_t i = 0; i < num_visits; i++)
		first_visit[work->beams[i] + 1]++;
	for (uint32_t p = 0; p < num_parents; p++)
		first_visit[p + 1] += first_visit[p];
	/* Each offset serves as cursor, which leaves it where the next parent's begins. */
	for (size_t i = 0; i < num_visits; i++)
		work->visits[first_visit[work->beams[i]]++] = (uint32_t) (i / work->beam);
	memmove(first_visit + 1, first_visit, num_parents * sizeof(uint32_t));
	first_visit[0] = 0;
}

/* Moves a parent's children to it as the origin. */
static void
take_children(Assignment *work, uint32_t parent)
{
	const AnnCentroids *set = work->set;
	size_t dim = (size_t) set->dim;
	uint32_t first = set->first_child[parent];

	for (uint32_t c = first; c < set->first_child[parent + 1]; c++)
	{
		float *child = work->children + (c - first) * work->gather.stride;

		work->children_bias[c - first] = ann_kernels->subtract(
			set->centroids + c * dim, set->parents + parent * dim, set->dim, child);
	}
}

/*
 * Gathers as many rows as fit of a parent's visits, relative to it; returns the visit after them.
 */
static uint32_t
gather_visits(Assignment *work, uint32_t visit, uint32_t end, const float *origin)
{
	AnnGather *gather = &work->gather;

	gather->num = 0;
	for (; visit < end && gather->num < gather->room; visit++)
	{
		if (visit + ANN_GATHER_AHEAD < end)
			ann_gather_prefetch(work->rows +
									work->visits[visit + ANN_GATHER_AHEAD] * work->row_stride,
								work->set->dim);
		work->gathered_rows[gather->num] = work->visits[visit];
		ann_gather_put(gather, work->rows + work->visits[visit] * work->row_stride, origin);
	}
	return visit;
}

/* Looks into one parent for all rows that visit it. True: stop. */
static bool
search_parent(Assignment *work, uint32_t parent, uint32_t *leaf, float *distance)
{
	const AnnCentroids *set = work->set;
	const float *origin = set->parents + parent * (size_t) set->dim;
	uint32_t first_child = set->first_child[parent];
	uint32_t num_children = set->first_child[parent + 1] - first_child;
	uint32_t end = work->first_visit[parent + 1];
	AnnGather *gather = &work->gather;

	for (uint32_t visit = work->first_visit[parent]; visit < end;)
	{
		visit = gather_visits(work, visit, end, origin);
		if (ann_gather_nearest(gather, work->children, gather->stride, num_children,
							   work->children_bias, work->meter))
			return true;
		for (int i = 0; i < gather->num; i++)
		{
			uint32_t row = work->gathered_rows[i];
			float squared = gather->norms[i] + gather->scores[i];

			squared = squared < 0 ? 0 : squared;
			if (squared < distance[row])
			{
				distance[row] = squared;
				leaf[row] = first_child + gather->best[i];
			}
		}
	}
	return false;
}

bool
ann_assign_rows(const AnnCentroids *set, const float *rows, size_t row_stride, size_t num_rows,
				uint32_t beam, uint32_t *leaf, float *distance, void *workspace, AnnMeter *meter)
{
	Assignment work = {
		.set = set,
		.rows = rows,
		.row_stride = row_stride,
		.num_rows = num_rows,
		.beam = beam < set->num_parents ? beam : set->num_parents,
		.meter = meter,
	};
	AnnArena arena;

	ann_arena_init(&arena, workspace);
	assignment_take(&work, &arena, set->dim, set->num_parents, ann_most_children(set), num_rows);
	if (choose_beams(&work))
		return true;
	group_visits(&work);
	for (size_t i = 0; i < num_rows; i++)
	{
		/* Stands where all distances overflow. */
		leaf[i] = set->first_child[work.beams[i * work.beam]];
		distance[i] = INFINITY;
	}
	for (uint32_t p = 0; p < set->num_parents; p++)
	{
		if (work.first_visit[p] == work.first_visit[p + 1])
			continue;
		take_children(&work, p);
		if (search_parent(&work, p, leaf, distance))
			return true;
	}
	return false;
}

size_t
ann_centroids_assign_workspace_size(const AnnCentroids *set, int num_rows)
{
	return ann_assign_workspace_size(set->dim, set->num_parents, ann_most_children(set),
									 (size_t) num_rows);
}

AnnStatus
ann_centroids_assign(const AnnCentroids *set, const float *rows, size_t row_stride, int num_rows,
					 uint32_t *leaf, float *distance, AnnWatch *watch, void *workspace)
{
	AnnMeter meter = {.watch = watch};

	return ann_assign_rows(set, rows, row_stride, (size_t) num_rows, ANN_KMEANS_BEAM, leaf,
						   distance, workspace, &meter)
			   ? ANN_INTERRUPTED
			   : ANN_OK;
}

/* ---- several near centroids ---- */

/* Takes a leaf into a row's sorted list if it is near enough; a distance of NaN never is. */
static inline void
add_near(AnnNearLeaf *near, uint32_t leaf, float distance)
{
	int place = ANN_NEAR_LEAVES - 1;

	distance = distance < 0 ? 0 : distance;
	if (!(distance < near[place].distance))
		return;
	for (; place > 0 && distance < near[place - 1].distance; place--)
		near[place] = near[place - 1];
	near[place].leaf = leaf;
	near[place].distance = distance;
}

/*
 * The same for num leaves from `first` on, of which products with the row and squared norms are
 * given. Most are too far, so eight are compared at once.
 */
static void
add_several_near(AnnNearLeaf *near, uint32_t first, uint32_t num, float norm, const float *products,
				 const float *bias)
{
	uint32_t c = 0;

	for (; c + 8 <= num; c += 8, products += 8, bias += 8)
	{
		float squared[8];
		int is_near[8];
		int any = 0;

		for (int i = 0; i < 8; i++)
			squared[i] = norm + bias[i] - 2 * products[i];
		for (int i = 0; i < 8; i++)
			is_near[i] = squared[i] < near[ANN_NEAR_LEAVES - 1].distance;
		for (int i = 0; i < 8; i++)
			any |= is_near[i];
		for (int i = 0; i < 8 && any; i++)
			add_near(near, first + c + i, squared[i]);
	}
	for (int i = 0; c + i < num; i++)
		add_near(near, first + c + i, norm + bias[i] - 2 * products[i]);
}

/* Looks into one parent for all rows that visit it. True: stop. */
static bool
search_near(Assignment *work, uint32_t parent, AnnNearLeaf *near)
{
	const AnnCentroids *set = work->set;
	const AnnGather *gather = &work->gather;
	const float *origin = set->parents + parent * (size_t) set->dim;
	uint32_t first_child = set->first_child[parent];
	uint32_t num_children = set->first_child[parent + 1] - first_child;
	uint32_t end = work->first_visit[parent + 1];

	for (uint32_t visit = work->first_visit[parent]; visit < end;)
	{
		visit = gather_visits(work, visit, end, origin);
		for (uint32_t first = 0; first < num_children; first += NEAR_TILE)
		{
			uint32_t tile = num_children - first < NEAR_TILE ? num_children - first : NEAR_TILE;
			const float *products = work->products;

			ann_kernels->products(gather->rows, gather->stride, gather->num,
								  work->children + first * gather->stride, gather->stride,
								  (int) tile, set->dim, work->products, NEAR_TILE);
			for (int i = 0; i < gather->num; i++, products += NEAR_TILE)
				add_several_near(near + (size_t) work->gathered_rows[i] * ANN_NEAR_LEAVES,
								 first_child + first, tile, gather->norms[i], products,
								 work->children_bias + first);
			if (ann_meter_spend(work->meter,
								ann_pairs_work((uint64_t) gather->num * tile, (uint64_t) set->dim)))
				return true;
		}
	}
	return false;
}

AnnStatus
ann_centroids_near(const AnnCentroids *set, const float *rows, size_t row_stride, int num_rows,
				   AnnNearLeaf *near, AnnWatch *watch, void *workspace)
{
	AnnMeter meter = {.watch = watch};
	Assignment work = {
		.set = set,
		.rows = rows,
		.row_stride = row_stride,
		.num_rows = (size_t) num_rows,
		.beam = beam_of(set->num_parents),
		.meter = &meter,
	};
	AnnArena arena;

	ann_arena_init(&arena, workspace);
	assignment_take(&work, &arena, set->dim, set->num_parents, ann_most_children(set),
					work.num_rows);
	if (choose_beams(&work))
		return ANN_INTERRUPTED;
	group_visits(&work);
	for (size_t i = 0; i < work.num_rows; i++)
		for (int k = 0; k < ANN_NEAR_LEAVES; k++)
		{
			AnnNearLeaf *none = &near[i * ANN_NEAR_LEAVES + k];

			/* as in ann_assign_rows, the first stands where all distances overflow */
			none->leaf = k == 0 ? set->first_child[work.beams[i * work.beam]] : UINT32_MAX;
			none->distance = INFINITY;
		}
	for (uint32_t p = 0; p < set->num_parents; p++)
	{
		if (work.first_visit[p] == work.first_visit[p + 1])
			continue;
		take_children(&work, p);
		if (search_near(&work, p, near))
			return ANN_INTERRUPTED;
	}
	return ANN_OK;
}
