/*
 * topk.h
 *	  The candidates with the smallest keys, kept by threshold and selection instead of a heap: most
 *	  of what a scan sees is above the threshold and costs one compare.
 *
 * NOTES
 *	  A candidate's order is (key, tid): total and the same in every pass, so that what did not fit
 *	  can be collected by another pass over the same codes ("after" the last candidate of this one).
 */
#ifndef ANN_CORE_TOPK_H
#define ANN_CORE_TOPK_H

#include "core/base.h"

typedef struct AnnCandidate
{
	float key;
	AnnTid tid;
	uint16_t flags;
} AnnCandidate;

/* Total order of candidates: by key (-infinity first, never NaN), then by row identifier. */
static inline int
ann_candidate_compare(const AnnCandidate *a, const AnnCandidate *b)
{
	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	if (a->tid.block_hi != b->tid.block_hi)
		return a->tid.block_hi < b->tid.block_hi ? -1 : 1;
	if (a->tid.block_lo != b->tid.block_lo)
		return a->tid.block_lo < b->tid.block_lo ? -1 : 1;
	if (a->tid.offset != b->tid.offset)
		return a->tid.offset < b->tid.offset ? -1 : 1;
	return 0;
}

/*
 * items: room for `room` candidates (>= 2 * keep). Adding fills it; when it is full, the keep
 * smallest stay. `cut` is the smallest candidate ever dropped (valid where `dropped`): everything
 * not in items is at or above it. `threshold` is the key above which nothing need be added.
 *
 * After a shrink all items are below the cut, so a second pass that takes what is at or above it
 * (ann_candidate_compare(c, &cut) >= 0) sees every other candidate exactly once. Candidates equal
 * in key and row identifier (the two entries of one row) go to the same side: fewer than keep may
 * stay, and none where more than keep are equal.
 */
typedef struct AnnTopk
{
	AnnCandidate *items;
	size_t num;
	size_t keep;
	size_t room;
	float threshold; /* +infinity until something was dropped */
	bool dropped;
	AnnCandidate cut;
} AnnTopk;

/* Empties it for keep >= 1 candidates; items: room >= 2 * keep entries, caller's. */
extern void ann_topk_init(AnnTopk *topk, AnnCandidate *items, size_t keep, size_t room);

/* Keeps the `keep` smallest, drops the rest, sets cut and threshold. */
extern void ann_topk_shrink(AnnTopk *topk);

/* Adds a candidate (shrinks when full). */
static inline void
ann_topk_add(AnnTopk *topk, const AnnCandidate *candidate)
{
	if (topk->num == topk->room)
		ann_topk_shrink(topk);
	if (candidate->key >= topk->threshold && topk->dropped &&
		ann_candidate_compare(candidate, &topk->cut) >= 0)
		return;
	topk->items[topk->num++] = *candidate;
}

/* Shrinks if needed, then sorts items ascending. */
extern void ann_topk_sort(AnnTopk *topk);

/* Sorts candidates ascending. */
extern void ann_candidates_sort(AnnCandidate *items, size_t num);

#endif
