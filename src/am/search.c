/*
 * search.c
 *	  Candidates: the codes of the leaves searched so far, in the order of their keys.
 *
 * NOTES
 *	  The order of candidates is (key, row identifier): total, and the same in every pass, as
 *	  kernels, table, weight and leaf scores stay what they were when the scan began. It falls into
 *	  three parts:
 *
 *		below the frontier		taken off: every candidate of every searched leaf
 *		frontier .. cut			in the pool, sorted
 *		from the cut on			dropped for want of room, to be found by another pass
 *
 *	  Taking candidates off moves the frontier up within the pool. When the pool is used up and
 *	  something was dropped, the frontier moves to the cut and another pass over the same leaves
 *	  collects from there, with room for four times as many.
 *
 *	  A leaf that is searched later has candidates in all three parts. Those from the frontier on go
 *	  into the pool; if it overflows, what it drops lies above the frontier, so the cut does too and
 *	  no candidate that was taken off can be collected again. Those below the frontier are "late":
 *	  they may neither be kept in the pool (it could then drop them, and the cut fall below the
 *	  frontier) nor be found by another pass (which begins at the frontier), so the caller takes
 *	  them at once, page by page. Every candidate is thus taken exactly once, whatever the pool's
 *	  size.
 *
 *	  Where rows have two entries (core/soar.h), both are candidates, each by its own key and each
 *	  taken exactly once in the sense above; the one whose turn comes second is dropped then
 *	  (taken.c). So the order, the passes and the cut know nothing of it.
 *
 *	  Between two passes entries may come (rows that the snapshot cannot see, or that vacuum moved
 *	  out of the exact leaf, whose row identifiers the scan knows: exact.c) and go (dead to all). No
 *	  entry ever moves.
 */
#include "postgres.h"

#include <math.h>

#include "port/pg_bitutils.h"
#include "utils/spccache.h"

#include "am/scan.h"
#include "core/absolute.h"

/* Leaves that have a say in the inner product's weight. */
#define WEIGHT_LEAVES 32

/* How far ahead of the leaf at hand the lines of others are asked for. */
#ifndef PREFETCH_LEAVES
#define PREFETCH_LEAVES 3
#endif

/* Later passes keep this many times as much. */
#define KEEP_GROWTH 4

/*
 * The width of the bound for a number of leaves: who searches twice as many as the index would by
 * itself wants recall that the usual width does not reach; between the two it grows with the
 * logarithm. Their number is that asked for, even where a query is content with fewer
 * (num_near_leaves): it tells what recall is wanted.
 */
static float
bound_width(const AnnCalibrationData *calibration, double num_leaves)
{
	double share = log2(num_leaves / calibration->leaves_at_10);

	return calibration->z + Max(0, Min(share, 1)) * (calibration->z_wide - calibration->z);
}

static void
init_pool(AnnSearch *search, size_t keep)
{
	AnnCandidate *items = MemoryContextAllocHuge(search->context, sizeof(AnnCandidate) * keep * 2);

	ann_topk_init(&search->pool, items, keep, keep * 2);
}

static void
set_weight(AnnSearch *search)
{
	double ratios[WEIGHT_LEAVES];
	int num = 0;

	for (uint32 rank = 0; rank < Min(search->model.num_leaves, WEIGHT_LEAVES); rank++)
	{
		const AnnRankedLeaf *leaf = ann_leaves_get(&search->leaves, rank);
		double ratio = (double) leaf->score / leaf->entry.norm2;

		if (!isnan(ratio) && !isinf(ratio))
			ratios[num++] = ratio;
	}
	ann_query_set_weight(&search->query, ratios, num);
}

/*
 * How many of the leaves that come first are near enough to the query to be searched at first: the
 * best, and those up to 1 + threshold times as far as it is. Under the inner product, whose keys
 * are no distances: those at most threshold times the best key's magnitude above it. Distances that
 * are not finite exclude no leaf.
 */
static uint32
num_near_leaves(AnnSearch *search)
{
	uint32 most = Min(search->num_first, search->model.num_leaves);
	double best = ann_leaves_get(&search->leaves, 0)->key;
	double factor = 1 + ann_query_spilling_threshold;
	double limit = search->model.form == ANN_CODE_IP
					   ? best + ann_query_spilling_threshold * fabs(best)
					   : best * factor * factor;
	uint32 num = 1;

	while (num < most && !(ann_leaves_get(&search->leaves, num)->key > limit))
		num++;
	return num;
}

AnnSearch *
ann_search_begin(Relation index, const AnnMetaData *meta, const float *values, uint32 num_first,
				 bool with_bounds, AnnExactSet *exact, AnnScanStats *stats)
{
	AnnSearch *search = palloc0(sizeof(AnnSearch));
	const AnnModel *model = ann_model_get(index, meta);
	uint32 window;

	search->index = index;
	search->kernels = ann_kernels;
	search->context = CurrentMemoryContext;
	search->exact = exact;
	search->stats = stats;
	search->num_reads = ann_pages_read();
	search->num_first = num_first > 0 ? num_first : ceil(model->calibration.leaves_at_10);
	ann_query_init(&search->query, model, values,
				   with_bounds ? bound_width(&model->calibration, search->num_first) : 0);
	search->model = *model;
	window =
		model->form == ANN_CODE_IP ? Max(search->num_first, WEIGHT_LEAVES / 2) : search->num_first;
	ann_leaves_init(&search->leaves, index, &search->model, search->query.vector,
					sqrt(search->query.norm2), window, ANN_SHARE_LEAVES);
	ann_model_detach(&search->model);
	if (search->model.form == ANN_CODE_IP)
		set_weight(search);
	if (ann_query_spilling_threshold > 0)
		search->num_first = num_near_leaves(search);
	search->has_seconds = search->model.soar_lambda > 0;
	if (search->has_seconds)
		ann_taken_init(&search->taken, search->context, ANN_SHARE_CANDIDATES / 2);
	search->max_keep =
		Max(ANN_SHARE_CANDIDATES / (search->has_seconds ? 2 : 1) / (2 * sizeof(AnnCandidate)), 2);
	/* Without codes all candidates will be taken. */
	init_pool(search, ann_model_is_flat(&search->model)
						  ? search->max_keep
						  : Min(ANN_FIRST_KEEP * (search->has_seconds ? 2 : 1), search->max_keep));
	search->late_room = ANN_LATE_BATCH + Max(search->model.slots_per_page, 1) * ANN_BLOCK_LANES;
	search->late = palloc(sizeof(AnnCandidate) * search->late_room);
	return search;
}

double
ann_search_leaves_for(const AnnSearch *search, double rank)
{
	return ceil(search->num_first *
				pow(Max(rank / 10, 1), search->model.calibration.leaves_growth));
}

/*
 * A row of rank r needs n(r) leaves (the inverse of the function above), and as many as hold 2 r
 * live rows: with fewer, every row of theirs would be returned, near or not.
 */
double
ann_search_covered_rank(const AnnSearch *search)
{
	double growth = search->model.calibration.leaves_growth;
	double ratio = (double) search->num_searched / search->num_first;
	double rank = growth > 0 ? 10 * pow(ratio, 1 / growth) : INFINITY;

	return ratio < 1 ? 0 : Min(rank, ann_search_live_rows(search) / 2.0);
}

/* ---- one leaf ---- */

/* Has the candidate been taken off, or would it have been, had its leaf been searched in time? */
static inline bool
is_below_frontier(const AnnSearch *search, const AnnCandidate *candidate)
{
	int order = ann_candidate_compare(candidate, &search->frontier);

	return order < 0 || (order == 0 && search->frontier_is_done);
}

static void
add_late(AnnSearch *search, const AnnCandidate *candidate)
{
	/* Room for a page of them is always there, so the page's blocks come round again. */
	if (search->num_late == search->late_room)
		ann_page_corrupted(search->index, search->cursor.blkno, "a leaf's blocks go in a circle");
	search->late[search->num_late++] = *candidate;
}

/*
 * Keys of a block's lanes; the mask of those within the pool's threshold. One call of the kernel
 * where all of the code lies in the block, the table has 8 bits and the key is linear in their sum.
 */
static uint32
block_keys(AnnSearch *search, const void *block, float keys[ANN_BLOCK_LANES])
{
	const AnnBlockLayout *layout = &search->model.layout;
	const char *bytes = block;
	const float *b = (const float *) (bytes + layout->offset_b);
	const uint16 *s = (const uint16 *) (bytes + layout->offset_s);
	const uint16 *err = (const uint16 *) (bytes + layout->offset_err);
	bool is_linear = search->model.form != ANN_CODE_OVERLAP || ann_model_is_flat(&search->model);
	pg_attribute_aligned(64) uint32 acc[ANN_BLOCK_LANES];

	if (search->model.slots_per_page > 0 && search->query.high == NULL && is_linear)
		return search->kernels->score((const uint8 *) bytes + layout->offset_codes,
									  search->query.low, layout->num_blocks, b, s, err,
									  &search->bounds, search->pool.threshold, keys);
	ann_leaf_accumulate(search->index, &search->model, block, search->query.low, search->query.high,
						acc);
	if (!is_linear)
		return ann_jaccard_keys(acc, b, search->query.num_bits, search->pool.threshold, keys);
	return search->kernels->bounds(acc, b, s, err, &search->bounds, search->pool.threshold, keys);
}

void
ann_search_block(void *arg, const void *block)
{
	AnnSearch *search = arg;
	uint32 live = ((const AnnBlockHeader *) block)->live;
	pg_attribute_aligned(64) float keys[ANN_BLOCK_LANES];
	uint32 mask;

	if (live == 0)
		return;
	mask = live & block_keys(search, block, keys);
	search->stats->codes_scanned += pg_popcount32(live);
	if (!search->again)
		search->num_live += pg_popcount32(live);
	for (; mask != 0; mask &= mask - 1)
	{
		int lane = pg_rightmost_one_pos32(mask);
		AnnCandidate candidate;

		candidate.key = keys[lane];
		candidate.tid = ann_block_tid(block, &search->model.layout, lane, &candidate.flags);
		if ((candidate.flags & ANN_TID_SECONDARY) != 0 && search->taken.is_closed)
			continue;
		if (!search->has_frontier || !is_below_frontier(search, &candidate))
			ann_topk_add(&search->pool, &candidate);
		else if (!search->again)
			add_late(search, &candidate);
	}
}

void
ann_search_aim(AnnSearch *search, uint32 rank)
{
	const AnnRankedLeaf *leaf = ann_leaves_get(&search->leaves, rank);

	ann_query_bounds(&search->query, leaf->score, leaf->entry.norm2, &search->bounds);
}

/*
 * Announces leaves behind one that is about to be searched, as many as its tablespace can read at a
 * time. Only where pages had to be read since the leaf before: while everything is found in memory,
 * it costs a comparison.
 */
static void
announce_leaves(AnnSearch *search, uint32 rank)
{
	int64 num_reads = ann_pages_read();
	uint32 end;

	if (likely(num_reads == search->num_reads))
		return;
	search->num_reads = num_reads;
	end = rank + 1 + get_tablespace_io_concurrency(search->index->rd_rel->reltablespace);
	end = Min(end, search->num_wanted);
	search->num_announced = Max(search->num_announced, rank + 1);
	while (search->num_announced < end &&
		   ann_leaves_is_ready(&search->leaves, search->num_announced))
		ann_leaf_announce(search->index,
						  &ann_leaves_get(&search->leaves, search->num_announced++)->entry);
}

static void
open_leaf(AnnSearch *search, uint32 rank)
{
	const AnnRankedLeaf *leaf = ann_leaves_get(&search->leaves, rank);

	announce_leaves(search, rank);
	ann_search_aim(search, rank);
	ann_leaf_cursor_init(&search->cursor, search->index, &search->model, &leaf->entry);
	for (uint32 ahead = rank == 0 ? 1 : PREFETCH_LEAVES; ahead <= PREFETCH_LEAVES; ahead++)
		if (ann_leaves_is_ready(&search->leaves, rank + ahead))
			ann_leaf_prefetch(search->index, &search->model,
							  &ann_leaves_get(&search->leaves, rank + ahead)->entry);
}

void
ann_search_open(AnnSearch *search)
{
	if (search->position > 0)
	{
		search->pool.num -= search->position;
		memmove(search->pool.items, search->pool.items + search->position,
				sizeof(AnnCandidate) * search->pool.num);
		search->position = 0;
	}
	open_leaf(search, search->num_searched++);
	search->stats->leaves_searched++;
}

bool
ann_search_page(AnnSearch *search)
{
	CHECK_FOR_INTERRUPTS();
	Assert(search->num_late <= ANN_LATE_BATCH);
	return ann_leaf_cursor_next(&search->cursor, ann_search_block, search);
}

/* ---- taking candidates off ---- */

void
ann_search_settle(AnnSearch *search)
{
	AnnTopk *pool = &search->pool;

	Assert(search->position == 0);
	ann_topk_sort(pool);
	pool->num = ann_exact_remove(search->exact, pool->items, pool->num);
}

/*
 * The pool is used up: collects from the cut on. If the last pass could keep nothing, because more
 * candidates than fit are equal, room must be made beyond the limit.
 */
static void
search_again(AnnSearch *search)
{
	size_t keep = Max(Min(search->pool.keep * KEEP_GROWTH, search->max_keep), search->pool.keep);

	if (search->has_frontier && !search->frontier_is_done &&
		ann_candidate_compare(&search->frontier, &search->pool.cut) == 0)
		keep = search->pool.keep * 2;
	search->frontier = search->pool.cut;
	search->has_frontier = true;
	search->frontier_is_done = false;
	if (keep > search->pool.keep)
	{
		pfree(search->pool.items);
		init_pool(search, keep);
	}
	else
		ann_topk_init(&search->pool, search->pool.items, keep, keep * 2);
	search->position = 0;
	search->again = true;
	for (uint32 rank = 0; rank < search->num_searched; rank++)
	{
		open_leaf(search, rank);
		while (ann_search_page(search))
			;
	}
	search->again = false;
	ann_search_settle(search);
}

bool
ann_search_next_key(const AnnSearch *search, float *key)
{
	if (search->position < search->pool.num)
		*key = search->pool.items[search->position].key;
	else if (search->pool.dropped)
		*key = search->pool.cut.key;
	else
		return false;
	return true;
}

bool
ann_search_refill(AnnSearch *search)
{
	while (search->position == search->pool.num)
	{
		if (!search->pool.dropped)
			return false;
		search_again(search);
	}
	return true;
}

/* Is the candidate its row's first? */
static inline bool
claim(AnnSearch *search, const AnnCandidate *candidate)
{
	return !search->has_seconds || ann_taken_claim(&search->taken, candidate->tid,
												   (candidate->flags & ANN_TID_SECONDARY) != 0);
}

int
ann_search_take_late(AnnSearch *search, AnnCandidate *candidates, int num)
{
	int kept = 0;

	for (int i = 0; i < num; i++)
		if (claim(search, &candidates[i]))
			candidates[kept++] = candidates[i];
	search->stats->candidates += kept;
	return kept;
}

int
ann_search_take(AnnSearch *search, AnnCandidate *candidates, int max, double max_key)
{
	size_t start = search->position;
	int num = 0;

	while (num < max && search->position < search->pool.num &&
		   search->pool.items[search->position].key <= max_key)
	{
		const AnnCandidate *candidate = &search->pool.items[search->position++];

		if (claim(search, candidate))
			candidates[num++] = *candidate;
	}
	if (search->position > start)
	{
		search->frontier = search->pool.items[search->position - 1];
		search->has_frontier = true;
		search->frontier_is_done = true;
	}
	search->stats->candidates += num;
	return num;
}
