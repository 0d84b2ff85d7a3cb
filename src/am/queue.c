/*
 * queue.c
 *	  A priority queue of rows: a heap in memory, and sorted runs in temporary files.
 *
 * NOTES
 *	  When the heap is full, its larger half goes to a file as a sorted run; the smallest item of
 *	  all is then the least of the heap's top and the runs' heads. A run that is written takes in
 *	  the runs behind it that are no longer than itself, as in a binary counter: some log2 of the
 *	  items are runs, and an item is rewritten about that often.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "am/queue.h"

/* A queue of fewer items in memory could not spill. */
#define MIN_ITEMS 4

/* Items merged between checks for interrupts. */
#define MERGE_INTERVAL 4096

static int
compare_items(const void *left, const void *right)
{
	const AnnQueueItem *a = left;
	const AnnQueueItem *b = right;
	bool a_is_nan = isnan(a->distance);
	bool b_is_nan = isnan(b->distance);
	uint64 a_tid = ann_tid_order(a->tid);
	uint64 b_tid = ann_tid_order(b->tid);

	if (a_is_nan != b_is_nan)
		return a_is_nan ? 1 : -1;
	if (!a_is_nan && a->distance != b->distance)
		return a->distance < b->distance ? -1 : 1;
	if (a->flags != b->flags)
		return a->flags < b->flags ? -1 : 1;
	return (a_tid > b_tid) - (a_tid < b_tid);
}

static inline bool
is_before(const AnnQueueItem *a, const AnnQueueItem *b)
{
	return compare_items(a, b) < 0;
}

void
ann_queue_init(AnnQueue *queue, MemoryContext context, Size max_bytes)
{
	queue->context = context;
	queue->items = NULL;
	queue->num = 0;
	queue->room = 0;
	queue->max_items = Max(max_bytes / sizeof(AnnQueueItem), MIN_ITEMS);
	queue->num_runs = 0;
}

/* ---- the heap ---- */

static void
sift_up(AnnQueue *queue, size_t place, const AnnQueueItem *item)
{
	AnnQueueItem *items = queue->items;

	while (place > 0 && is_before(item, &items[(place - 1) / 2]))
	{
		items[place] = items[(place - 1) / 2];
		place = (place - 1) / 2;
	}
	items[place] = *item;
}

static void
sift_down(AnnQueue *queue, const AnnQueueItem *item)
{
	AnnQueueItem *items = queue->items;
	size_t place = 0;

	for (;;)
	{
		size_t child = 2 * place + 1;

		if (child >= queue->num)
			break;
		if (child + 1 < queue->num && is_before(&items[child + 1], &items[child]))
			child++;
		if (!is_before(&items[child], item))
			break;
		items[place] = items[child];
		place = child;
	}
	items[place] = *item;
}

/* ---- runs ---- */

static void
read_item(AnnQueueRun *run)
{
	if (BufFileRead(run->file, &run->head, sizeof(run->head)) != sizeof(run->head))
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not read from the temporary file of an index scan")));
	run->num_left--;
}

/* Moves a run to its next item; false, and the file closed, when there is none. */
static bool
advance_run(AnnQueueRun *run)
{
	if (run->num_left > 0)
	{
		read_item(run);
		return true;
	}
	BufFileClose(run->file);
	run->file = NULL;
	return false;
}

/* The run with the smallest head, or -1. */
static int
smallest_run(const AnnQueueRun *runs, int num_runs)
{
	int best = -1;

	for (int i = 0; i < num_runs; i++)
		if (best < 0 || is_before(&runs[i].head, &runs[best].head))
			best = i;
	return best;
}

/* Takes the head off run number i; an empty run is removed, the order of the others stays. */
static void
pop_run(AnnQueueRun *runs, int *num_runs, int i)
{
	if (advance_run(&runs[i]))
		return;
	memmove(&runs[i], &runs[i + 1], sizeof(AnnQueueRun) * (*num_runs - i - 1));
	(*num_runs)--;
}

/* Merges sorted items and runs into one file, which is left at its start. */
static BufFile *
write_run(AnnQueueItem *items, size_t num, AnnQueueRun *runs, int num_runs, int64 *num_written)
{
	BufFile *file = BufFileCreateTemp(false);

	*num_written = 0;
	while (num > 0 || num_runs > 0)
	{
		int run = smallest_run(runs, num_runs);

		if (++*num_written % MERGE_INTERVAL == 0)
			CHECK_FOR_INTERRUPTS();
		if (run < 0 || (num > 0 && is_before(items, &runs[run].head)))
		{
			BufFileWrite(file, items++, sizeof(AnnQueueItem));
			num--;
		}
		else
		{
			BufFileWrite(file, &runs[run].head, sizeof(AnnQueueItem));
			pop_run(runs, &num_runs, run);
		}
	}
	if (BufFileSeek(file, 0, 0, SEEK_SET) != 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not rewind the temporary file of an index scan")));
	return file;
}

/* Writes the larger half of a full heap to a run. A sorted array is a heap. */
static void
spill(AnnQueue *queue)
{
	size_t keep = queue->num / 2;
	int64 num = queue->num - keep;
	int first = queue->num_runs;
	AnnQueueRun *run;
	BufFile *file;
	MemoryContext old;

	qsort(queue->items, queue->num, sizeof(AnnQueueItem), compare_items);
	while (first > 0 && (first == ANN_QUEUE_RUNS || queue->runs[first - 1].num_left < num))
		num += queue->runs[--first].num_left + 1;
	run = &queue->runs[first];
	old = MemoryContextSwitchTo(queue->context);
	file = write_run(queue->items + keep, queue->num - keep, run, queue->num_runs - first, &num);
	MemoryContextSwitchTo(old);
	run->file = file;
	run->num_left = num;
	read_item(run);
	queue->num_runs = first + 1;
	queue->num = keep;
}

/* ---- the queue ---- */

void
ann_queue_push(AnnQueue *queue, const AnnQueueItem *item)
{
	if (queue->num == queue->room && queue->room == queue->max_items)
		spill(queue);
	if (queue->num == queue->room)
	{
		size_t room = Min(Max(queue->room * 2, 64), queue->max_items);
		Size bytes = room * sizeof(AnnQueueItem);

		queue->items = queue->items == NULL ? MemoryContextAllocHuge(queue->context, bytes)
											: repalloc_huge(queue->items, bytes);
		queue->room = room;
	}
	sift_up(queue, queue->num++, item);
}

const AnnQueueItem *
ann_queue_head(const AnnQueue *queue)
{
	int run = smallest_run(queue->runs, queue->num_runs);

	if (queue->num == 0)
		return run < 0 ? NULL : &queue->runs[run].head;
	if (run >= 0 && is_before(&queue->runs[run].head, &queue->items[0]))
		return &queue->runs[run].head;
	return &queue->items[0];
}

void
ann_queue_pop(AnnQueue *queue)
{
	const AnnQueueItem *head = ann_queue_head(queue);

	Assert(head != NULL);
	if (queue->num > 0 && head == &queue->items[0])
	{
		AnnQueueItem last = queue->items[--queue->num];

		if (queue->num > 0)
			sift_down(queue, &last);
	}
	else
		pop_run(queue->runs, &queue->num_runs, smallest_run(queue->runs, queue->num_runs));
}

void
ann_queue_close(AnnQueue *queue)
{
	for (int i = 0; i < queue->num_runs; i++)
		BufFileClose(queue->runs[i].file);
	queue->num_runs = 0;
}
