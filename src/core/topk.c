/*
 * topk.c
 *	  Selection and sorting of candidates.
 *
 * NOTES
 *	  Quickselect and quicksort without recursion, on median-of-three pivots. Partitioning swaps
 *	  unconditionally and advances by the outcome of the comparison: keys arrive in no order, so
 *	  that a branch there would be mispredicted half the time. A range that took too many rounds
 *	  (only an adversary's order does) is finished by heapsort, so that no input costs more than n
 *	  log n.
 */
#include "core/topk.h"

#include <math.h>

/* So many candidates are selected by their keys alone: 8 kB of numbers. */
#define FAST_CANDIDATES 1024

/* Ranges at most this long are sorted by insertion. */
#define INSERTION_LENGTH 12

/* Rounds of partitioning allowed for a range of num items before heapsort takes over. */
static int
partition_budget(size_t num)
{
	int rounds = 4;

	for (; num > 1; num >>= 1)
		rounds += 2;
	return rounds;
}

static inline void
swap_candidates(AnnCandidate *a, AnnCandidate *b)
{
	AnnCandidate copy = *a;

	*a = *b;
	*b = copy;
}

/* a < b, with a branch only where the keys are equal. */
static inline bool
is_before(const AnnCandidate *a, const AnnCandidate *b)
{
	if (a->key == b->key)
		return ann_candidate_compare(a, b) < 0;
	return a->key < b->key;
}

static void
insertion_sort(AnnCandidate *items, size_t num)
{
	for (size_t i = 1; i < num; i++)
	{
		AnnCandidate item = items[i];
		size_t hole = i;

		for (; hole > 0 && is_before(&item, &items[hole - 1]); hole--)
			items[hole] = items[hole - 1];
		items[hole] = item;
	}
}

/* Restores the heap order (largest first) below root. */
static void
sift_down(AnnCandidate *items, size_t num, size_t root)
{
	AnnCandidate item = items[root];

	for (;;)
	{
		size_t child = 2 * root + 1;

		if (child >= num)
			break;
		if (child + 1 < num && is_before(&items[child], &items[child + 1]))
			child++;
		if (!is_before(&item, &items[child]))
			break;
		items[root] = items[child];
		root = child;
	}
	items[root] = item;
}

static void
heap_sort(AnnCandidate *items, size_t num)
{
	for (size_t i = num / 2; i-- > 0;)
		sift_down(items, num, i);
	while (num > 1)
	{
		swap_candidates(&items[0], &items[--num]);
		sift_down(items, num, 0);
	}
}

/*
 * Partitions num >= 3 items about the median of first, middle and last; returns the pivot's place:
 * everything before it is smaller, nothing after it is.
 */
static size_t
partition(AnnCandidate *items, size_t num)
{
	AnnCandidate *last = &items[num - 1];
	AnnCandidate *middle = &items[num / 2];
	AnnCandidate pivot;
	size_t place = 0;

	if (is_before(middle, &items[0]))
		swap_candidates(middle, &items[0]);
	if (is_before(last, middle))
	{
		swap_candidates(last, middle);
		if (is_before(middle, &items[0]))
			swap_candidates(middle, &items[0]);
	}
	swap_candidates(middle, last);
	pivot = *last;
	for (size_t i = 0; i < num - 1; i++)
	{
		AnnCandidate item = items[i];

		items[i] = items[place];
		items[place] = item;
		place += is_before(&item, &pivot);
	}
	swap_candidates(&items[place], last);
	return place;
}

/* Puts the item of rank `rank` (from 0) in its place, smaller ones before it. */
static void
select_rank(AnnCandidate *items, size_t num, size_t rank)
{
	int budget = partition_budget(num);

	while (num > INSERTION_LENGTH)
	{
		size_t place;

		if (budget-- == 0)
		{
			heap_sort(items, num);
			return;
		}
		place = partition(items, num);
		if (place == rank)
			return;
		if (rank < place)
			num = place;
		else
		{
			items += place + 1;
			num -= place + 1;
			rank -= place + 1;
		}
	}
	insertion_sort(items, num);
}

void
ann_candidates_sort(AnnCandidate *items, size_t num)
{
	/* The longer part waits, the shorter is sorted first: 64 entries serve any size_t. */
	struct
	{
		AnnCandidate *items;
		size_t num;
	} waiting[64];
	int num_waiting = 0;
	int budget = 4 * partition_budget(num);

	for (;;)
	{
		while (num > INSERTION_LENGTH && budget > 0)
		{
			size_t place = partition(items, num);
			size_t after = num - place - 1;
			bool left_is_shorter = place < after;

			/* A fair split costs nothing, so that the budget counts the bad ones only. */
			if (place < num / 16 || after < num / 16)
				budget--;
			waiting[num_waiting].items = left_is_shorter ? items + place + 1 : items;
			waiting[num_waiting++].num = left_is_shorter ? after : place;
			items = left_is_shorter ? items : items + place + 1;
			num = left_is_shorter ? place : after;
		}
		if (num > INSERTION_LENGTH)
			heap_sort(items, num);
		else
			insertion_sort(items, num);
		if (num_waiting == 0)
			return;
		items = waiting[--num_waiting].items;
		num = waiting[num_waiting].num;
	}
}

void
ann_topk_init(AnnTopk *topk, AnnCandidate *items, size_t keep, size_t room)
{
	*topk = (AnnTopk){
		.items = items,
		.keep = keep,
		.room = room,
		.threshold = INFINITY,
	};
}

/* A key as a number in its order, above the place of its candidate. */
static inline uint64_t
ordered_place(float key, uint32_t place)
{
	union
	{
		float key;
		uint32_t bits;
	} number = {.key = key + 0.0f}; /* -0 and 0 are equal keys */
	bool negative = number.bits >> 31 != 0;

	return (uint64_t) (number.bits ^ (negative ? UINT32_MAX : UINT32_C(0x80000000))) << 32 | place;
}

static uint64_t
median_number(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t low = a < b ? a : b;
	uint64_t high = a < b ? b : a;

	return c < low ? low : (c < high ? c : high);
}

/*
 * The number of a rank among distinct numbers, which are reordered; false after too many rounds.
 * The median of three of them is neither the least nor the greatest, so both parts of a round are
 * shorter.
 */
static bool
select_number(uint64_t *numbers, size_t num, size_t rank, uint64_t *selected)
{
	int budget = partition_budget(num);

	while (num > 2)
	{
		uint64_t pivot = median_number(numbers[0], numbers[num / 2], numbers[num - 1]);
		size_t place = 0;

		if (budget-- == 0)
			return false;
		for (size_t i = 0; i < num; i++)
		{
			uint64_t number = numbers[i];

			numbers[i] = numbers[place];
			numbers[place] = number;
			place += number < pivot;
		}
		if (rank < place)
			num = place;
		else
		{
			numbers += place;
			num -= place;
			rank -= place;
		}
	}
	*selected = numbers[0];
	if (num == 2 && (numbers[0] < numbers[1]) != (rank == 0))
		*selected = numbers[1];
	return true;
}

/*
 * Finds the cut by keys alone, on numbers of eight bytes: half the time of moving candidates. Not
 * where there are too many, or where another candidate has the cut's key, as row identifiers then
 * decide.
 */
static bool
find_cut(const AnnTopk *topk, size_t *place)
{
	uint64_t numbers[FAST_CANDIDATES];
	uint64_t cut;
	size_t num_equal = 0;

	if (topk->num < 2 || topk->num > FAST_CANDIDATES)
		return false;
	for (size_t i = 0; i < topk->num; i++)
		numbers[i] = ordered_place(topk->items[i].key, (uint32_t) i);
	if (!select_number(numbers, topk->num, topk->keep, &cut))
		return false;
	for (size_t i = 0; i < topk->num; i++)
		num_equal += numbers[i] >> 32 == cut >> 32;
	*place = (uint32_t) cut;
	return num_equal == 1;
}

/*
 * The cut moves down only, and whatever is added lies below it. Equals of the new cut are removed,
 * so that items and "everything from the cut on" never share a candidate.
 */
void
ann_topk_shrink(AnnTopk *topk)
{
	size_t place = topk->keep;
	size_t num = 0;

	if (topk->num <= topk->keep)
		return;
	if (!find_cut(topk, &place))
	{
		place = topk->keep;
		select_rank(topk->items, topk->num, topk->keep);
	}
	topk->cut = topk->items[place];
	topk->threshold = topk->cut.key;
	topk->dropped = true;
	for (size_t i = 0; i < topk->num; i++)
	{
		/* compared from a copy: one that was just stored takes its time to come back */
		AnnCandidate item = topk->items[i];

		topk->items[num] = item;
		num += is_before(&item, &topk->cut);
	}
	topk->num = num;
}

void
ann_topk_sort(AnnTopk *topk)
{
	ann_topk_shrink(topk);
	ann_candidates_sort(topk->items, topk->num);
}
