/*
 * distinct.h
 *	  A set of rows by value, for telling distinct ones apart, in memory of the caller's.
 *
 * NOTES
 *	  Rows are compared by 64 bits of hash only: a collision, or two zeros of different sign, costs
 *	  k-means one starting centroid.
 */
#ifndef ANN_CORE_DISTINCT_H
#define ANN_CORE_DISTINCT_H

#include <string.h>

#include "core/base.h"

typedef struct AnnDistinct
{
	uint64_t *hashes; /* 0: free */
	size_t mask;
} AnnDistinct;

/* Hashes to provide for a set of at most num rows: a power of two, at least twice as many. */
static inline size_t
ann_distinct_room(size_t num)
{
	size_t room = 2;

	while (room < 2 * num)
		room *= 2;
	return room;
}

/* An empty set for at most num rows. */
static inline void
ann_distinct_init(AnnDistinct *set, uint64_t *hashes, size_t num)
{
	size_t room = ann_distinct_room(num);

	set->hashes = hashes;
	set->mask = room - 1;
	memset(hashes, 0, room * sizeof(uint64_t));
}

static inline uint64_t
ann_distinct_mix(uint64_t hash, const float *row, size_t bytes)
{
	uint64_t bits = 0;

	memcpy(&bits, row, bytes);
	hash = (hash ^ bits) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}

/* In four chains, as each waits for its multiplications. */
static inline uint64_t
ann_distinct_hash(const float *row, size_t dim)
{
	uint64_t chains[4] = {dim, 1, 2, 3};
	uint64_t hash = 0;
	size_t d = 0;

	for (; d + 8 <= dim; d += 8)
		for (size_t i = 0; i < 4; i++)
			chains[i] = ann_distinct_mix(chains[i], row + d + 2 * i, 2 * sizeof(float));
	for (; d < dim; d++)
		chains[d % 4] = ann_distinct_mix(chains[d % 4], row + d, sizeof(float));
	for (size_t i = 0; i < 4; i++)
	{
		hash = (hash ^ chains[i]) * UINT64_C(0xbf58476d1ce4e5b9);
		hash ^= hash >> 27;
	}
	return hash == 0 ? 1 : hash;
}

/* Adds a row; true if no equal one was in the set. */
static inline bool
ann_distinct_add(AnnDistinct *set, const float *row, size_t dim)
{
	uint64_t hash = ann_distinct_hash(row, dim);
	size_t place = (size_t) (hash >> 20) & set->mask;

	for (; set->hashes[place] != 0; place = (place + 1) & set->mask)
		if (set->hashes[place] == hash)
			return false;
	set->hashes[place] = hash;
	return true;
}

#endif
