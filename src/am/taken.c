/*
 * taken.c
 *	  The rows of which a scan has taken an entry, where rows have two: each row comes once.
 *
 * NOTES
 *	  Of the two entries the one that is taken first counts, the other is dropped when its turn
 *	  comes. Nothing in an entry tells whether the other was taken, so the rows are remembered: in a
 *	  hash table, as numbers of block and offset, open addressing, nothing is ever removed.
 *
 *	  A scan that is read to its end takes every row, and memory is bounded. So when the table is
 *	  full it is closed: from then on secondary entries are passed over, and primary ones are taken
 *	  unless the table has the row. That still is every row once. A row whose secondary entry was
 *	  taken before is in the table for ever, and its primary entry is dropped. A row of which
 *	  nothing had been taken is taken with its primary entry, which every row has. A row whose
 *	  primary entry was taken, before or after, meets only its secondary one again, which is passed
 *	  over. All that a closed table costs is that second leaves help no more, far behind the rows
 *	  that they are made for.
 *
 *	  A row has no primary entry only if no snapshot can see it (I-7 in src/README).
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "am/scan.h"

#define FIRST_SLOTS 512
#define FREE_SLOT 0 /* no row: offsets begin at 1 */

void
ann_taken_init(AnnTakenSet *set, MemoryContext context, Size max_bytes)
{
	memset(set, 0, sizeof(*set));
	set->context = context;
	set->max_slots = 16;
	/* while it grows there are two tables, the smaller half as large */
	while (set->max_slots * 2 * sizeof(uint64) * 3 / 2 <= max_bytes &&
		   set->max_slots < UINT32_MAX / 4)
		set->max_slots *= 2;
}

/* The slot of a row, or the free one where it belongs. */
static inline uint64 *
find_slot(const AnnTakenSet *set, uint64 row)
{
	uint32 place = (uint32) ((row * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (set->num_slots - 1);

	while (set->slots[place] != row && set->slots[place] != FREE_SLOT)
		place = (place + 1) & (set->num_slots - 1);
	return &set->slots[place];
}

/* Makes room for one more row; false when there is no memory for it. */
static bool
grow(AnnTakenSet *set)
{
	uint64 *old = set->slots;
	uint32 num_old = set->num_slots;

	if (num_old == set->max_slots)
		return false;
	set->num_slots = num_old == 0 ? Min(FIRST_SLOTS, set->max_slots) : num_old * 2;
	set->slots = MemoryContextAllocExtended(set->context, sizeof(uint64) * set->num_slots,
											MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i < num_old; i++)
		if (old[i] != FREE_SLOT)
			*find_slot(set, old[i]) = old[i];
	if (old != NULL)
		pfree(old);
	return true;
}

bool
ann_taken_claim(AnnTakenSet *set, AnnTid tid, bool secondary)
{
	uint64 row = ann_tid_order(tid);
	uint64 *slot;

	if (set->is_closed && secondary)
		return false;
	/* kept three quarters full at most */
	if (!set->is_closed && set->num >= set->num_slots - set->num_slots / 4 && !grow(set))
	{
		set->is_closed = true;
		if (secondary)
			return false;
	}
	slot = find_slot(set, row);
	if (*slot == row)
		return false;
	if (!set->is_closed)
	{
		*slot = row;
		set->num++;
	}
	return true;
}
