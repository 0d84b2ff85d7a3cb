/*
 * recent.h
 *	  Where pages of indexes and tables were last seen in shared buffers: finding and prefetching
 *	  them without the buffer mapping table.
 *
 * NOTES
 *	  A query visits several hundred pages of an index that lies in memory, and spends as long on
 *	  finding them and on waiting for their first cache lines as on the codes. A backend therefore
 *	  remembers the buffer of each page that it has read. What is remembered is a hint: the buffer
 *	  manager checks it before it pins the page, and a prefetch through a stale one loads the wrong
 *	  lines, no more.
 */
#ifndef ANN_STORE_RECENT_H
#define ANN_STORE_RECENT_H

#include "postgres.h"

#include "storage/bufmgr.h"
#include "utils/relcache.h"

/* Pins a page of the main fork if it still is in the buffer where it was last seen. */
extern bool ann_recent_pin(Relation relation, BlockNumber blkno, Buffer *buffer);
/* Remembers the buffer of a page. */
extern void ann_recent_set(Relation relation, BlockNumber blkno, Buffer buffer);
/*
 * Starts loading bytes [first, first + num) of a page, and the header of its buffer. Never waits,
 * never fails.
 */
extern void ann_recent_prefetch(Relation relation, BlockNumber blkno, Size first, Size num);
/* The same with the page's own head and tail, which ann_page_get looks at. */
extern void ann_recent_prefetch_page(Relation relation, BlockNumber blkno, Size first, Size num);
/* The same for an item of a heap page, as far as its line pointer can be believed. */
extern void
ann_recent_prefetch_item(Relation heap, BlockNumber blkno, OffsetNumber offset, Size num);
/* Does the page seem to be in the buffer where it was last seen? One look, at no pin. */
extern bool ann_recent_seems_there(Relation relation, BlockNumber blkno);

#endif
