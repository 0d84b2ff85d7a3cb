/*
 * test_topk.c
 *	  Candidates: sorting and selection against qsort, the cut, passes that follow it.
 */
#include "core/topk.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "tap.h"

typedef enum Shape
{
	RANDOM,
	FEW_KEYS,
	EQUAL_KEYS,
	ASCENDING,
	DESCENDING,
	ORGAN_PIPE,
	KILLER, /* drives median-of-three into quadratic time */
	INFINITIES,
	PAIRS, /* every candidate twice */
	NUM_SHAPES,
} Shape;

static const char *const shape_names[NUM_SHAPES] = {
	"random",     "few keys", "equal keys", "ascending", "descending",
	"organ pipe", "killer",   "infinities", "pairs",
};

static int
compare(const void *a, const void *b)
{
	return ann_candidate_compare(a, b);
}

static AnnTid
make_tid(size_t number)
{
	return (AnnTid){
		.block_hi = (uint16_t) (number % 5),
		.block_lo = (uint16_t) (number / 5 % 1000),
		.offset = (uint16_t) (1 + number / 5000),
	};
}

static float
make_key(Shape shape, size_t i, size_t num, AnnRng *rng)
{
	static const float infinities[] = {-INFINITY, INFINITY, -1, 0, 1};

	switch (shape)
	{
		case FEW_KEYS:
			return (float) ann_rng_below(rng, 3);
		case EQUAL_KEYS:
			return 7;
		case ASCENDING:
			return (float) i;
		case DESCENDING:
			return -(float) i;
		case ORGAN_PIPE:
			return (float) (i < num / 2 ? i : num - i);
		case KILLER:
			return (float) (i < num / 2 ? (i % 2 == 0 ? i + 1 : num / 2 + i)
										: 2 * (i + 1 - num / 2));
		case INFINITIES:
			return infinities[ann_rng_below(rng, 5)];
		default:
			return (float) (ann_rng_unit(rng) - .5);
	}
}

/* num candidates; no two are equal, but for PAIRS. */
static AnnCandidate *
make_candidates(Shape shape, size_t num, uint64_t seed)
{
	AnnCandidate *candidates = malloc((num + 1) * sizeof(AnnCandidate));
	AnnRng rng;

	ann_rng_seed(&rng, seed);
	for (size_t i = 0; i < num; i++)
	{
		candidates[i] = (AnnCandidate){
			.key = make_key(shape, i, num, &rng),
			.tid = make_tid(i),
			.flags = (uint16_t) i,
		};
		if (shape == PAIRS && i % 2 == 1)
		{
			candidates[i].key = candidates[i - 1].key;
			candidates[i].tid = candidates[i - 1].tid;
		}
	}
	return candidates;
}

static AnnCandidate *
copy_candidates(const AnnCandidate *candidates, size_t num)
{
	AnnCandidate *copy = malloc((num + 1) * sizeof(AnnCandidate));

	memcpy(copy, candidates, num * sizeof(AnnCandidate));
	return copy;
}

static bool
are_equal(const AnnCandidate *a, const AnnCandidate *b, size_t num)
{
	for (size_t i = 0; i < num; i++)
		if (ann_candidate_compare(&a[i], &b[i]) != 0)
			return false;
	return true;
}

/* Nothing is lost or doubled: flags are the numbers of the candidates. */
static bool
is_permutation(const AnnCandidate *candidates, size_t num)
{
	bool *seen = calloc(num + 1, sizeof(bool));
	size_t distinct = 0;

	for (size_t i = 0; i < num; i++)
	{
		distinct += !seen[candidates[i].flags];
		seen[candidates[i].flags] = true;
	}
	free(seen);
	return distinct == num;
}

static void
test_compare(void)
{
	AnnCandidate a = {.key = 1, .tid = {1, 2, 3}};
	AnnCandidate b = a;

	tap_ok(ann_candidate_compare(&a, &b) == 0, "compare: equal");
	b.tid.offset = 4;
	tap_ok(ann_candidate_compare(&a, &b) < 0, "compare: offset");
	b.tid = (AnnTid){1, 3, 0};
	tap_ok(ann_candidate_compare(&a, &b) < 0, "compare: low half of the block");
	b.tid = (AnnTid){0, 9, 9};
	tap_ok(ann_candidate_compare(&a, &b) > 0, "compare: high half of the block");
	b.key = 2;
	tap_ok(ann_candidate_compare(&a, &b) < 0, "compare: key");
	b.key = -INFINITY;
	tap_ok(ann_candidate_compare(&a, &b) > 0, "compare: infinite key");
}

static void
test_sort(void)
{
	static const size_t sizes[] = {0, 1, 2, 3, 4, 11, 12, 13, 14, 31, 100, 1000, 20000};

	for (int shape = 0; shape < NUM_SHAPES; shape++)
	{
		bool ok = true;

		for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		{
			AnnCandidate *sorted = make_candidates(shape, sizes[s], s);
			AnnCandidate *expected = copy_candidates(sorted, sizes[s]);

			ann_candidates_sort(sorted, sizes[s]);
			qsort(expected, sizes[s], sizeof(AnnCandidate), compare);
			ok = ok && are_equal(sorted, expected, sizes[s]) && is_permutation(sorted, sizes[s]);
			free(sorted);
			free(expected);
		}
		tap_ok(ok, "sort as qsort: %s", shape_names[shape]);
	}
}

/*
 * One pass over what is at or above `from` (NULL: all). True if items are the first of `expected`,
 * all below the cut, which is the first that is missing.
 */
static bool
run_pass(const AnnCandidate *candidates, size_t num, const AnnCandidate *from, AnnTopk *topk,
		 const AnnCandidate *expected, size_t num_expected)
{
	bool ok = true;

	for (size_t i = 0; i < num; i++)
		if (from == NULL || ann_candidate_compare(&candidates[i], from) >= 0)
			ann_topk_add(topk, &candidates[i]);
	ann_topk_sort(topk);
	ok = topk->num <= num_expected && are_equal(topk->items, expected, topk->num);
	ok = ok && topk->dropped == (topk->num < num_expected);
	if (topk->dropped)
	{
		ok = ok && ann_candidate_compare(&topk->cut, &expected[topk->num]) == 0;
		ok = ok && topk->threshold == topk->cut.key;
		if (topk->num > 0)
			ok = ok && ann_candidate_compare(&topk->items[topk->num - 1], &topk->cut) < 0;
	}
	return ok;
}

/* All passes together return every candidate exactly once, `keep` at a time. */
static bool
run_passes(Shape shape, size_t num, size_t keep, size_t room)
{
	AnnCandidate *candidates = make_candidates(shape, num, num + keep);
	AnnCandidate *expected = copy_candidates(candidates, num);
	AnnCandidate *items = malloc(room * sizeof(AnnCandidate));
	AnnCandidate *all = malloc((num + 1) * sizeof(AnnCandidate));
	AnnCandidate from;
	size_t found = 0;
	bool ok = true;
	bool more = true;

	qsort(expected, num, sizeof(AnnCandidate), compare);
	for (int pass = 0; ok && more; pass++)
	{
		AnnTopk topk;

		ann_topk_init(&topk, items, keep, room);
		ok = run_pass(candidates, num, pass == 0 ? NULL : &from, &topk, expected + found,
					  num - found);
		if (topk.dropped)
			ok = ok && topk.num <= keep && topk.num + 1 >= keep && topk.num > 0 &&
				 (shape == PAIRS || topk.num == keep);
		if (ok)
			memcpy(all + found, topk.items, topk.num * sizeof(AnnCandidate));
		found += topk.num;
		more = topk.dropped;
		from = topk.cut;
	}
	ok = ok && found == num && is_permutation(all, num);
	free(candidates);
	free(expected);
	free(items);
	free(all);
	return ok;
}

static void
test_passes(void)
{
	static const size_t sizes[] = {0, 1, 2, 19, 20, 21, 40, 41, 500, 3000};
	static const size_t keeps[] = {2, 10, 100};

	for (int shape = 0; shape < NUM_SHAPES; shape++)
		for (size_t k = 0; k < sizeof(keeps) / sizeof(keeps[0]); k++)
		{
			bool ok = true;

			for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
				for (size_t extra = 0; extra < 3; extra++)
					ok =
						ok && run_passes(shape, sizes[s], keeps[k], keeps[k] * (2 + extra) + extra);
			tap_ok(ok, "passes of %zu: %s", keeps[k], shape_names[shape]);
		}
	tap_ok(run_passes(RANDOM, 50, 1, 2), "passes of one");
}

static void
test_threshold(void)
{
	AnnCandidate items[4];
	AnnCandidate candidate = {.key = 1};
	AnnTopk topk;

	ann_topk_init(&topk, items, 2, 4);
	tap_ok(topk.num == 0 && !topk.dropped && isinf(topk.threshold), "empty: no threshold");
	ann_topk_shrink(&topk);
	tap_ok(topk.num == 0 && !topk.dropped, "empty: shrinks to nothing");
	for (uint16_t i = 0; i < 4; i++)
	{
		candidate.tid.offset = (uint16_t) (4 - i);
		ann_topk_add(&topk, &candidate);
	}
	tap_ok(topk.num == 4 && !topk.dropped, "full: nothing dropped yet");
	candidate.key = INFINITY;
	ann_topk_add(&topk, &candidate);
	tap_ok(topk.dropped && topk.num == 2 && topk.threshold == 1, "one more: shrinks");
	tap_ok(topk.cut.tid.offset == 3, "the cut is the least that was dropped");
	ann_topk_add(&topk, &candidate);
	tap_ok(topk.num == 2, "above the threshold: not added");
	candidate.key = 1;
	candidate.tid.offset = 9;
	ann_topk_add(&topk, &candidate);
	ann_topk_sort(&topk);
	tap_ok(topk.num == 2 && items[0].tid.offset == 1 && items[1].tid.offset == 2,
		   "at the threshold but above the cut: not added");
	tap_ok(topk.cut.tid.offset == 3, "the cut never moves up");
}

static void
test_equal_candidates(void)
{
	AnnCandidate items[8];
	AnnCandidate candidate = {.key = 5, .tid = {0, 1, 1}};
	AnnTopk topk;

	ann_topk_init(&topk, items, 4, 8);
	for (int i = 0; i < 20; i++)
		ann_topk_add(&topk, &candidate);
	ann_topk_sort(&topk);
	tap_ok(topk.dropped && topk.num == 0 && ann_candidate_compare(&topk.cut, &candidate) == 0,
		   "more equal candidates than are kept: all go beyond the cut");
}

int
main(void)
{
	test_compare();
	test_sort();
	test_passes();
	test_threshold();
	test_equal_candidates();
	return tap_done();
}
