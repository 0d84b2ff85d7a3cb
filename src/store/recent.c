/*
 * recent.c
 *	  Where pages of indexes and tables were last seen in shared buffers.
 *
 * NOTES
 *	  One table for all relations of the backend, direct-mapped by block number, so that the blocks
 *	  of one index never compete as long as it has no more than the table has places. 512 kB a
 *	  backend.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "pgstat.h"
#include "storage/buf_internals.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "store/format.h"
#include "store/recent.h"

#define NUM_PLACES 131072

/*
 * One read in so many goes the long way round: before 17 a pin through a hint does not count as a
 * use, and the clock sweep would take the hottest pages of an index for unused.
 */
#define READS_PER_USE 32

#define CACHE_LINE 64

static Buffer *places;
static uint32 num_reads;

static inline Buffer *
place_of(Relation relation, BlockNumber blkno)
{
	return &places[(blkno + ANN_RELATION_NUMBER(relation) * UINT32_C(2654435761)) % NUM_PLACES];
}

bool
ann_recent_pin(Relation relation, BlockNumber blkno, Buffer *buffer)
{
	if (unlikely(places == NULL) || RelationUsesLocalBuffers(relation) ||
		++num_reads % READS_PER_USE == 0)
		return false;
	*buffer = *place_of(relation, blkno);
	if (*buffer == InvalidBuffer ||
		!ReadRecentBuffer(relation->rd_locator, MAIN_FORKNUM, blkno, *buffer))
		return false;
	pgstat_count_buffer_read(relation);
	pgstat_count_buffer_hit(relation);
	return true;
}

void
ann_recent_set(Relation relation, BlockNumber blkno, Buffer buffer)
{
	if (RelationUsesLocalBuffers(relation))
		return;
	if (unlikely(places == NULL))
		places = MemoryContextAllocZero(TopMemoryContext, sizeof(Buffer) * NUM_PLACES);
	*place_of(relation, blkno) = buffer;
}

/* The page where it was last seen, unpinned: whatever is there now. NULL: never seen. */
static const char *
page_of(Relation relation, BlockNumber blkno, Buffer *buffer)
{
	if (unlikely(places == NULL) || RelationUsesLocalBuffers(relation))
		return NULL;
	*buffer = *place_of(relation, blkno);
	return *buffer == InvalidBuffer ? NULL : BufferBlocks + (Size) (*buffer - 1) * BLCKSZ;
}

static void
prefetch_bytes(const char *page, Size first, Size num)
{
	Size end = Min(first + num, (Size) BLCKSZ);

	for (Size at = first & ~(Size) (CACHE_LINE - 1); at < end; at += CACHE_LINE)
		__builtin_prefetch(page + at);
}

void
ann_recent_prefetch(Relation relation, BlockNumber blkno, Size first, Size num)
{
	Buffer buffer;
	const char *page = page_of(relation, blkno, &buffer);

	if (page == NULL)
		return;
	__builtin_prefetch(GetBufferDescriptor(buffer - 1), 1);
	prefetch_bytes(page, first, num);
}

void
ann_recent_prefetch_page(Relation relation, BlockNumber blkno, Size first, Size num)
{
	ann_recent_prefetch(relation, blkno, first, num);
	ann_recent_prefetch(relation, blkno, 0, 1);
	ann_recent_prefetch(relation, blkno, BLCKSZ - sizeof(AnnPageOpaqueData), 1);
}

/*
 * The line pointer is read without a pin or a lock, so it may be anything: it says what to load and
 * nothing else.
 */
void
ann_recent_prefetch_item(Relation heap, BlockNumber blkno, OffsetNumber offset, Size num)
{
	Buffer buffer;
	const char *page = page_of(heap, blkno, &buffer);
	ItemIdData item;

	if (page == NULL || offset > MaxHeapTuplesPerPage)
		return;
	memcpy(&item, page + SizeOfPageHeaderData + (offset - 1) * sizeof(ItemIdData), sizeof(item));
	prefetch_bytes(page, item.lp_off, num);
}

/* Another relation may have a page of the same number there, which is all that goes wrong. */
bool
ann_recent_seems_there(Relation relation, BlockNumber blkno)
{
	Buffer buffer;

	return page_of(relation, blkno, &buffer) != NULL &&
		   GetBufferDescriptor(buffer - 1)->tag.blockNum == blkno;
}
