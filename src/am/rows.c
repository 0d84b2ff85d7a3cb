/*
 * rows.c
 *	  Rows of a scan: candidates taken off the search, read from the heap, queued to be returned.
 */
#include "postgres.h"

#include <math.h>

#include "utils/float.h"

#include "am/scan.h"

/* Candidates read at a time when the bound says when to stop. */
#define BOUND_BATCH 8

/* A row with its distance: not to be returned, to be returned in order, or too late for that. */
static void
queue_row(AnnScan *so, AnnTid tid, double distance, uint16 flags)
{
	AnnQueueItem item = {distance, tid, flags};

	if (so->request.has_radius && !(distance < so->request.radius))
	{
		so->saw_beyond |= !isnan(distance);
		return;
	}
	if (so->search != NULL)
		so->num_fruitful = so->search->num_searched;
	if (!so->any_order && distance < so->last_distance)
	{
		so->stats.held_back++;
		ann_queue_push(&so->held, &item);
	}
	else
		ann_queue_push(&so->ready, &item);
}

/* Reads rows from the heap and queues those that are visible. */
static void
read_rows(AnnScan *so, AnnRow *rows, int num)
{
	instr_time start = ann_clock();

	ann_reorder_read(&so->reorder, rows, num);
	ann_clock_add(start, &so->stats.reorder_ms);
	for (int i = 0; i < num; i++)
		if (rows[i].state == ANN_ROW_FOUND)
			queue_row(so, rows[i].tid, rows[i].distance, 0);
		else if (rows[i].state == ANN_ROW_NULL)
			queue_row(so, rows[i].tid, get_float8_nan(), ANN_ROW_IS_NULL);
}

void
ann_rows_exact(AnnScan *so)
{
	AnnTid tids[ANN_MAX_BATCH];
	AnnRow rows[ANN_MAX_BATCH];
	int num;

	while ((num = ann_exact_next(&so->exact, tids, ANN_MAX_BATCH)) > 0)
	{
		for (int i = 0; i < num; i++)
			rows[i].tid = tids[i];
		read_rows(so, rows, num);
	}
}

/*
 * Reads candidates taken off the search. Where nothing is to be read, the estimate stands for the
 * distance, but for those that have none.
 */
static void
read_candidates(AnnScan *so, const AnnCandidate *candidates, int num)
{
	AnnRow rows[ANN_MAX_BATCH];
	int num_rows = 0;

	for (int i = 0; i < num; i++)
		if (so->num_candidates == 0 && !isinf(candidates[i].key))
		{
			ann_reorder_check_tid(&so->reorder, candidates[i].tid);
			queue_row(so, candidates[i].tid,
					  ann_query_distance(so->support->metric, candidates[i].key), 0);
		}
		else
			rows[num_rows++].tid = candidates[i].tid;
	if (num_rows > 0)
		read_rows(so, rows, num_rows);
	for (int i = 0; i < num_rows; i++)
		if (rows[i].state == ANN_ROW_FOUND && rows[i].distance > so->read_distance)
			so->read_distance = rows[i].distance;
}

void
ann_rows_late(AnnScan *so)
{
	AnnSearch *search = so->search;
	int num = ann_exact_remove(&so->exact, search->late, search->num_late);

	num = ann_search_take_late(search, search->late, num);
	for (int done = 0; done < num; done += ANN_MAX_BATCH)
		read_candidates(so, search->late + done, Min(num - done, ANN_MAX_BATCH));
	search->num_late = 0;
}

bool
ann_rows_next(AnnScan *so)
{
	AnnCandidate candidates[ANN_MAX_BATCH];
	const AnnQueueItem *head = ann_queue_head(&so->ready);
	instr_time start = ann_clock();
	double max_key = INFINITY;
	int num;

	if (so->search == NULL || !ann_search_refill(so->search))
		return false;
	ann_clock_add(start, &so->stats.scan_ms);
	if (so->num_candidates > 0)
	{
		if (so->num_to_read == 0)
			so->num_to_read = so->num_candidates;
		num = Min(so->num_to_read, ANN_MAX_BATCH);
	}
	else
	{
		/*
		 * What lies above the best row read need not be read for it, nor what is beyond the radius.
		 */
		max_key = so->radius_key;
		if (head != NULL && !isnan(head->distance))
			max_key = Min(max_key, ann_query_key(so->support->metric, head->distance));
		num = so->request.any_order || ann_model_is_flat(&so->search->model) ? ANN_MAX_BATCH
																			 : BOUND_BATCH;
	}
	num = ann_search_take(so->search, candidates, num, max_key);
	if (so->num_candidates > 0)
		so->num_to_read -= num;
	read_candidates(so, candidates, num);
	return true;
}
