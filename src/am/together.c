/*
 * together.c
 *	  The first leaves of many searches: each leaf's pages are found, locked and loaded once for all
 *	  the searches that want it.
 *
 * NOTES
 *	  Nothing but the order of the work differs from searches one by one: which candidates a search
 *	  has is a matter of its leaves, not of when it came to them, and what its pool drops is found
 *	  again above the cut (search.c). But it takes a search the longer the farther its threshold is
 *	  from what it will be, so the best leaves of all come first: 6 % of the time of 1,000 queries
 *	  on SIFT.
 *
 *	  Searches share leaves as far as their queries are near one another, so callers bring those
 *	  together that are: of 31 queries of SIFT taken as they come hardly any two want a leaf.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "am/scan.h"
#include "am/support.h"
#include "store/centroids.h"

/* Leaves of each search that come before the others of any. */
#define BEST_LEAVES 8

/* One leaf of one search. */
typedef struct Visit
{
	uint32 leaf;
	uint32 rank;
	AnnSearch *search;
} Visit;

StaticAssertDecl(sizeof(Visit) == ANN_TOGETHER_BYTES, "what callers reckon with");

#define ST_SORT sort_visits
#define ST_ELEMENT_TYPE Visit
#define ST_COMPARE(a, b) ((a)->leaf < (b)->leaf ? -1 : (a)->leaf > (b)->leaf)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* The visits of one leaf. */
typedef struct LeafGroup
{
	const Visit *visits;
	size_t num;
} LeafGroup;

/* AnnBlockVisitor: scores the block for every search of the group. */
static void
score_for_all(void *arg, const void *block)
{
	const LeafGroup *group = arg;

	for (size_t i = 0; i < group->num; i++)
		ann_search_block(group->visits[i].search, block);
}

static void
search_leaf(const LeafGroup *group, const Visit *next)
{
	AnnSearch *first = group->visits[0].search;
	AnnLeafCursor cursor;

	for (size_t i = group->num; i-- > 0;)
		ann_search_aim(group->visits[i].search, group->visits[i].rank);
	ann_leaf_cursor_init(&cursor, first->index, &first->model,
						 &ann_leaves_get(&first->leaves, group->visits[0].rank)->entry);
	if (next != NULL)
		ann_leaf_prefetch(next->search->index, &next->search->model,
						  &ann_leaves_get(&next->search->leaves, next->rank)->entry);
	do
		CHECK_FOR_INTERRUPTS();
	while (ann_leaf_cursor_next(&cursor, score_for_all, (void *) group));
}

/* The leaves of a range of ranks, as far as they are ranked and in memory; moves the search on. */
static size_t
note_leaves(AnnSearch *search, uint32 num_leaves, Visit *visits)
{
	uint32 first = search->num_searched;
	uint32 rank = first;

	while (rank < num_leaves && (rank == 0 || ann_leaves_is_ready(&search->leaves, rank)))
	{
		Visit *visit = &visits[rank - first];

		visit->leaf = ann_leaves_get(&search->leaves, rank)->entry.leaf;
		visit->rank = rank;
		visit->search = search;
		rank++;
	}
	search->num_searched = rank;
	search->stats->leaves_searched += rank - first;
	return rank - first;
}

static void
search_leaves(Visit *visits, size_t num)
{
	sort_visits(visits, num);
	for (size_t i = 0; i < num;)
	{
		LeafGroup group = {visits + i, 0};

		while (i < num && visits[i].leaf == group.visits[0].leaf)
		{
			group.num++;
			i++;
		}
		search_leaf(&group, i < num ? &visits[i] : NULL);
	}
}

void
ann_search_together(AnnSearch **searches, const uint32 *num_leaves, int num)
{
	size_t room = 0;
	size_t num_visits = 0;
	Visit *visits;

	for (int i = 0; i < num; i++)
		room += num_leaves[i];
	visits = palloc_extended(sizeof(Visit) * Max(room, 1), MCXT_ALLOC_HUGE);
	for (int i = 0; i < num; i++)
		if (num_leaves[i] > 0)
			num_visits +=
				note_leaves(searches[i], Min(num_leaves[i], BEST_LEAVES), visits + num_visits);
	search_leaves(visits, num_visits);
	num_visits = 0;
	for (int i = 0; i < num; i++)
		if (num_leaves[i] > 0)
		{
			ann_topk_shrink(&searches[i]->pool);
			num_visits += note_leaves(searches[i], num_leaves[i], visits + num_visits);
		}
	search_leaves(visits, num_visits);
	pfree(visits);
}

uint64
ann_search_place(Relation index, const float *values, int dim)
{
	const AnnModel *model;
	AnnMetaData meta;
	AnnTid place;

	ann_index_meta(index, &meta);
	if (meta.model == 0 || (int) meta.dim != dim)
		return 0;
	model = ann_model_get(index, &meta);
	if (model->centroid_pq.num_blocks == 0 ||
		ann_centroids_best(index, model, ann_query_vector(model, values), &place, 1) == 0)
		return 0;
	return ann_tid_order(place);
}
