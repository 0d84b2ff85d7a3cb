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
ann_distinct_hash(const float *row, size_t dim)
{
	uint64_t hash = dim;

	for (size_t d = 0; d < dim; d++)
	{
		uint32_t bits;

		memcpy(&bits, &row[d], sizeof(bits));
		hash = (hash ^ bits) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 29;
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
