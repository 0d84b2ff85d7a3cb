/*
 * leaves.c
 *	  The leaves in the order in which a query searches them.
 *
 * NOTES
 *	  L2 and cosine: by the distance of the centroid. Inner product: by -<q,c> - t |q| rho, as a row
 *	  of a wide leaf may reach farther towards the query than its centroid does (t is calibrated,
 *	  rho the leaf's root mean square residual).
 *
 *	  The order is made in windows. A window is chosen by the code of the centroid (by the exact
 *	  score where centroids have no codes), in the total order of key and place; within it, leaves
 *	  are ordered by their exact score. The first is as wide as the calibrated beam says, so that
 *	  the leaves wanted first are in it and in their exact order; each further one is twice as wide,
 *	  as far as memory allows. Where a window ends is remembered, so every pass finds the same
 *	  windows, and so the same order. Where the index keeps the parents of the centroids, the first
 *	  window looks only at the children of the nearest ones; the next finds what it has left out.
 */
#include "postgres.h"

#include <math.h>

#include "am/scan.h"
#include "store/centroids.h"

/* Memory for each leaf of a window: chosen twice (AnnTopk's room), then ranked. */
#define BYTES_PER_LEAF (2 * sizeof(AnnCandidate) + sizeof(AnnTid) + sizeof(AnnRankedLeaf))

void
ann_leaves_init(AnnLeaves *leaves, Relation index, const AnnModel *model, const float *vector,
				double query_norm, uint32 wanted, Size max_bytes)
{
	double first = wanted;

	memset(leaves, 0, sizeof(*leaves));
	leaves->index = index;
	leaves->model = model;
	leaves->kernels = ann_kernels;
	leaves->vector = vector;
	leaves->spread = model->calibration.leaf_bias * query_norm;
	leaves->context = CurrentMemoryContext;
	if (model->centroid_pq.num_blocks > 0)
	{
		leaves->table = palloc((Size) model->centroid_pq.num_blocks * ANN_CODEWORDS);
		ann_centroids_table(model, model->form, vector, leaves->spread, leaves->table,
							&leaves->bounds);
		first = ann_centroids_beam(model->calibration.beam, wanted);
	}
	leaves->max_window = Max(Min(max_bytes / BYTES_PER_LEAF, (Size) model->num_leaves), 2);
	leaves->first_window = Max(Min(first, leaves->max_window), 2);
	if (leaves->table != NULL && model->calibration.parents > 0)
		leaves->first_blocks = ann_parents_near(
			model, vector, ann_parents_wanted(&model->calibration, wanted), leaves->first_window);
	leaves->current = UINT32_MAX;
}

/* Width of a window: the first, doubled so many times, as far as memory goes. */
static uint32
window_width(const AnnLeaves *leaves, uint32 window)
{
	if (window >= 31 || leaves->first_window > leaves->max_window >> window)
		return leaves->max_window;
	return leaves->first_window << window;
}

/* A score of NaN (sums that overflow both ways) ranks last. */
static float
key_of(const AnnLeaves *leaves, float score, float rho)
{
	float key = leaves->model->form == ANN_CODE_IP ? -score - leaves->spread * rho : score;

	return isnan(key) ? INFINITY : key;
}

/* ---- choosing a window ---- */

/* AnnLeafVisitor: chooses by exact score. */
static void
choose_leaf(void *arg, const AnnLeafRef *leaf)
{
	AnnLeaves *leaves = arg;
	AnnCandidate candidate = {0};

	candidate.key = key_of(leaves, leaf->score, leaf->entry.rho);
	candidate.tid = ann_node_place(leaf->node_blkno, leaf->node_index);
	if (leaves->after == NULL || ann_candidate_compare(&candidate, leaves->after) > 0)
		ann_topk_add(&leaves->chosen, &candidate);
}

/* The places of the leaves of a window; returns their number. */
static uint32
choose_window(AnnLeaves *leaves, uint32 window)
{
	uint32 width = window_width(leaves, window);

	if (width > leaves->room)
	{
		if (leaves->items != NULL)
		{
			pfree(leaves->items);
			pfree(leaves->ranked);
		}
		leaves->items =
			MemoryContextAllocHuge(leaves->context, sizeof(AnnCandidate) * 2 * (Size) width);
		leaves->ranked =
			MemoryContextAllocHuge(leaves->context, sizeof(AnnRankedLeaf) * (Size) width);
		leaves->room = width;
	}
	ann_topk_init(&leaves->chosen, leaves->items, width, 2 * (Size) width);
	leaves->after = window > 0 ? &leaves->ends[window - 1] : NULL;
	if (leaves->table != NULL)
	{
		AnnCentroidWindow range = {.first = leaves->first_blocks};

		range.first_end = window > 0 ? &leaves->ends[0] : NULL;
		range.after = window > 1 ? leaves->after : NULL;
		ann_centroids_search(leaves->index, leaves->model, leaves->table, &leaves->bounds, &range,
							 &leaves->chosen);
	}
	else
		ann_tree_score(leaves->index, leaves->model, leaves->model->form, leaves->vector,
					   choose_leaf, leaves);
	ann_topk_shrink(&leaves->chosen);
	return leaves->chosen.num;
}

/* The last of a window's candidates, which come in no order. */
static const AnnCandidate *
last_candidate(const AnnCandidate *items, uint32 num)
{
	const AnnCandidate *last = items;

	for (uint32 i = 1; i < num; i++)
		if (ann_candidate_compare(&items[i], last) > 0)
			last = &items[i];
	return last;
}

/* ---- ranking it ---- */

static inline int
compare_ranked(const AnnRankedLeaf *a, const AnnRankedLeaf *b)
{
	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	return a->entry.leaf < b->entry.leaf ? -1 : a->entry.leaf > b->entry.leaf;
}

#define ST_SORT sort_ranked
#define ST_ELEMENT_TYPE AnnRankedLeaf
#define ST_COMPARE(a, b) compare_ranked(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

static inline int
compare_places(const AnnTid *a, const AnnTid *b)
{
	uint64 x = ann_tid_order(*a);
	uint64 y = ann_tid_order(*b);

	return x < y ? -1 : x > y;
}

#define ST_SORT sort_places
#define ST_ELEMENT_TYPE AnnTid
#define ST_COMPARE(a, b) compare_places(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* AnnLeafVisitor: takes a chosen leaf with its exact score. */
static void
rank_leaf(void *arg, const AnnLeafRef *leaf)
{
	AnnLeaves *leaves = arg;
	AnnRankedLeaf *ranked = &leaves->ranked[leaves->num++];

	ranked->entry = leaf->entry;
	ranked->place = ann_node_place(leaf->node_blkno, leaf->node_index);
	ranked->score = leaf->score;
	ranked->key = key_of(leaves, leaf->score, leaf->entry.rho);
}

/*
 * Other kernels round otherwise: a leaf could then be seen twice or never, so a scan that needs
 * another pass cannot go on.
 */
static void
check_kernels(const AnnLeaves *leaves)
{
	if (leaves->kernels != ann_kernels)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("ann.simd was changed while a scan was under way")));
}

/* Remembers where a window ends, when it is made for the first time. */
static void
remember_end(AnnLeaves *leaves, uint32 window, const AnnCandidate *last)
{
	if (window < leaves->num_ends)
		return;
	if (leaves->num_ends == leaves->room_ends)
	{
		leaves->room_ends = Max(16, leaves->room_ends * 2);
		leaves->ends =
			leaves->ends == NULL
				? MemoryContextAlloc(leaves->context, sizeof(AnnCandidate) * leaves->room_ends)
				: repalloc_huge(leaves->ends, sizeof(AnnCandidate) * leaves->room_ends);
	}
	leaves->ends[leaves->num_ends++] = *last;
}

/* Makes a window, of which the one before has been made once; first: rank of its first leaf. */
static void
make_window(AnnLeaves *leaves, uint32 window, uint32 first)
{
	uint32 expected = Min(window_width(leaves, window), leaves->model->num_leaves - first);
	uint32 num;
	AnnTid *places;

	check_kernels(leaves);
	num = choose_window(leaves, window);
	if (num != expected)
		ann_page_corrupted(leaves->index, leaves->model->tree_blkno,
						   "the tree holds fewer leaves than it should");
	remember_end(leaves, window, last_candidate(leaves->items, num));
	places = MemoryContextAllocHuge(leaves->context, sizeof(AnnTid) * (Size) num);
	for (uint32 i = 0; i < num; i++)
		places[i] = leaves->items[i].tid;
	sort_places(places, num);
	leaves->num = 0;
	ann_tree_score_places(leaves->index, leaves->model, leaves->model->form, leaves->vector, places,
						  num, rank_leaf, leaves);
	pfree(places);
	sort_ranked(leaves->ranked, leaves->num);
	leaves->current = window;
	leaves->first = first;
}

bool
ann_leaves_is_ready(const AnnLeaves *leaves, uint32 rank)
{
	return leaves->current != UINT32_MAX && rank >= leaves->first &&
		   rank - leaves->first < leaves->num;
}

const AnnRankedLeaf *
ann_leaves_get(AnnLeaves *leaves, uint32 rank)
{
	uint32 window = 0;
	uint32 first = 0;

	Assert(rank < leaves->model->num_leaves);
	if (ann_leaves_is_ready(leaves, rank))
		return &leaves->ranked[rank - leaves->first];
	for (;; window++)
	{
		uint32 width = window_width(leaves, window);
		bool wanted = rank - first < width;

		if (wanted || window >= leaves->num_ends)
			make_window(leaves, window, first);
		if (wanted)
			return &leaves->ranked[rank - first];
		first += width;
	}
}
