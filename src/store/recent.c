/*
 * recent.c
 *	  Where pages of indexes were last seen in shared buffers.
 *
 * NOTES
 *	  One table for all indexes of the backend, direct-mapped by block number, so that the blocks of
 *	  one index never compete as long as it has no more than the table has places. 256 kB a backend.
 */
#include "postgres.h"

#include "pgstat.h"
#include "storage/buf_internals.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "store/format.h"
#include "store/recent.h"

#define NUM_PLACES 65536

/*
 * One read in so many goes the long way round: before 17 a pin through a hint does not count as a use,
 * and the clock sweep would take the hottest pages of an index for unused.
 */
#define READS_PER_USE 16

#define CACHE_LINE 64

static Buffer *places;
static uint32 num_reads;

static inline Buffer *
place_of(Relation index, BlockNumber blkno)
{
	return &places[(blkno + ANN_RELATION_NUMBER(index) * UINT32_C(2654435761)) % NUM_PLACES];
}

bool
ann_recent_pin(Relation index, BlockNumber blkno, Buffer *buffer)
{
	if (unlikely(places == NULL) || RelationUsesLocalBuffers(index) ||
		++num_reads % READS_PER_USE == 0)
		return false;
	*buffer = *place_of(index, blkno);
	if (*buffer == InvalidBuffer ||
		!ReadRecentBuffer(index->rd_locator, MAIN_FORKNUM, blkno, *buffer))
		return false;
	pgstat_count_buffer_read(index);
	pgstat_count_buffer_hit(index);
	return true;
}

void
ann_recent_set(Relation index, BlockNumber blkno, Buffer buffer)
{
	if (RelationUsesLocalBuffers(index))
		return;
	if (unlikely(places == NULL))
		places = MemoryContextAllocZero(TopMemoryContext, sizeof(Buffer) * NUM_PLACES);
	*place_of(index, blkno) = buffer;
}

void
ann_recent_prefetch(Relation index, BlockNumber blkno, Size first, Size num)
{
	Buffer buffer;
	const char *page;

	if (unlikely(places == NULL) || RelationUsesLocalBuffers(index))
		return;
	buffer = *place_of(index, blkno);
	if (buffer == InvalidBuffer)
		return;
	page = BufferBlocks + (Size) (buffer - 1) * BLCKSZ;
	__builtin_prefetch(GetBufferDescriptor(buffer - 1), 1);
	__builtin_prefetch(page);
	__builtin_prefetch(page + BLCKSZ - sizeof(AnnPageOpaqueData));
	for (Size at = first & ~(Size) (CACHE_LINE - 1); at < Min(first + num, (Size) BLCKSZ);
		 at += CACHE_LINE)
		__builtin_prefetch(page + at);
}
