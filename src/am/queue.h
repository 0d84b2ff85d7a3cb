/*
 * queue.h
 *	  A priority queue of rows that spills sorted runs to temporary files.
 */
#ifndef ANN_AM_QUEUE_H
#define ANN_AM_QUEUE_H

#include "postgres.h"

#include "storage/buffile.h"

#include "core/base.h"

/* Order of row identifiers: by block and offset. */
static inline uint64
ann_tid_order(AnnTid tid)
{
	return (uint64) tid.block_hi << 32 | (uint64) tid.block_lo << 16 | tid.offset;
}

#define ANN_ROW_IS_NULL 1 /* flag: the row's value is NULL; sorts after all others */

typedef struct AnnQueueItem
{
	double distance; /* NaN sorts after all numbers */
	AnnTid tid;
	uint16 flags;
} AnnQueueItem;

/* A sorted run: its smallest item not yet taken, and how many follow in the file. */
typedef struct AnnQueueRun
{
	BufFile *file;
	AnnQueueItem head;
	int64 num_left; /* in the file, behind head */
} AnnQueueRun;

/* Lengths fall by half from run to run, about: 48 serve any number of rows. */
#define ANN_QUEUE_RUNS 48

typedef struct AnnQueue
{
	MemoryContext context;
	AnnQueueItem *items; /* binary heap, smallest first */
	size_t num;
	size_t room;
	size_t max_items;
	int num_runs;
	AnnQueueRun runs[ANN_QUEUE_RUNS];
} AnnQueue;

/* An empty queue of at most max_bytes of memory; it allocates in context. */
extern void ann_queue_init(AnnQueue *queue, MemoryContext context, Size max_bytes);
/* Adds an item. May write a temporary file; checks for interrupts then. */
extern void ann_queue_push(AnnQueue *queue, const AnnQueueItem *item);
/* The smallest item, or NULL; valid until the queue changes. */
extern const AnnQueueItem *ann_queue_head(const AnnQueue *queue);
/* Removes the smallest item. */
extern void ann_queue_pop(AnnQueue *queue);
/* Closes the files; the memory is its context's. */
extern void ann_queue_close(AnnQueue *queue);

#endif
