/*
 * page.h
 *	  Page kinds: making, checking and recycling them.
 */
#ifndef ANN_STORE_PAGE_H
#define ANN_STORE_PAGE_H

#include "postgres.h"

#include "storage/bufmgr.h"
#include "utils/relcache.h"

#include "compat.h"
#include "store/format.h"

/* First payload byte of a page. */
static inline char *
ann_page_payload(Page page)
{
	return (char *) page + MAXALIGN(SizeOfPageHeaderData);
}

/* Formats an empty page of a kind; pd_lower is set past the payload, so that all of it is logged.
 */
extern void ann_page_init(Page page, AnnPageKind kind, uint32 model);

/*
 * The page of a locked buffer, after checking that it is ours and of that kind (and of that model,
 * where model is not 0); else ERRCODE_INDEX_CORRUPTED with the block number.
 */
extern Page ann_page_get(Relation index, Buffer buffer, AnnPageKind kind, uint32 model);

/* Is it a page of ours of this kind? Never raises. */
extern bool ann_page_is(Page page, AnnPageKind kind);

/* Raises ERRCODE_INDEX_CORRUPTED for a block, with a HINT to REINDEX. */
extern ANN_NORETURN void ann_page_corrupted(Relation index, BlockNumber blkno, const char *reason);

/*
 * Reads and locks a block (lock: BUFFER_LOCK_SHARE or _EXCLUSIVE). A block past the end of the
 * index gives ERRCODE_INDEX_CORRUPTED.
 */
extern Buffer ann_page_read(Relation index, BlockNumber blkno, int lock);

/*
 * Announces a page that will be read: where it does not seem to be in shared buffers, the system is
 * asked to read it ahead. Never waits, and leaves a block past the end to whoever reads it.
 */
extern void ann_page_announce(Relation index, BlockNumber blkno);

/* The same through a ring of buffers (strategy), for a pass over the whole file. */
extern Buffer
ann_page_read_ring(Relation index, BlockNumber blkno, int lock, BufferAccessStrategy strategy);

/* One more page at the end of a fork: exclusively locked, all zeroes. */
extern Buffer ann_page_extend(Relation index, ForkNumber fork);

/*
 * A page to write on, exclusively locked and not yet formatted: a recycled one from the free space
 * map, else the index grows by one. May be called with buffer locks held.
 */
extern Buffer ann_page_allocate(Relation index);

/*
 * Between two pages of many that are written one after the other, where an interrupt or a vacuum's
 * delay waits: gives up the lock of the page to be written next, which is formatted and nothing
 * refers to. No other lock is held. log_pages: as of ann_wal_put_page.
 */
extern void ann_page_pause(Relation index, Buffer buffer, bool log_pages);

/* Makes an exclusively locked page that nothing refers to free for reuse: one record. */
extern void ann_page_free(Relation index, Buffer buffer);

#endif
