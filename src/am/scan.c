/*
 * scan.c
 *	  The ordered scan: what is searched, read and returned when.
 *
 * NOTES
 *	  The access method never learns of a LIMIT, so it returns one row after the other and does the
 *	  work for each when it is asked for. The row of rank r goes out when
 *
 *		- all rows of the exact leaf have been read,
 *		- n(r) leaves have been searched ("leaves ahead of the rows", search.c), and
 *		- no candidate of the searched leaves has a key (a lower bound) below the row's own: those
 *		that have are read first, a few at a time, the best first.
 *
 *	  Rows read and not yet returned wait in the queue `ready`. A row that is read only after one of
 *	  greater distance was returned (its leaf came late, or its bound was too high) would break the
 *	  order: it is held back, and the queue `held` follows after all ordered rows. Then come the
 *	  rows whose distance is NaN, then NULL: the order in which PostgreSQL sorts them. With
 *	  ann.iterative_scan = relaxed_order such a row is returned at once; with off the scan ends with
 *	  the rows of the first leaves.
 *
 *	  num_reordering_candidates >= 1 replaces the bound by a count: the n best estimates are read
 *	  whenever leaves were added or the queue has run dry, and what was read goes out in order. 0
 *	  replaces the reading: a candidate enters the queue with its estimate for a distance.
 *
 *	  Where a scan with a radius ends: radius.c.
 *
 *	  Nothing is locked or pinned between calls.
 */
#include "postgres.h"

#include <math.h>

#include "executor/instrument.h"
#include "pgstat.h"
#include "utils/float.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "am/scan.h"
#include "am/support.h"

/* Of the scan that last returned a row or ended; for inspection. */
static AnnScanStats last_stats;
/* Of all that have ended. */
static AnnScanStats total_stats;

const AnnScanStats *
ann_scan_last_stats(void)
{
	return &last_stats;
}

const AnnScanStats *
ann_scan_total_stats(void)
{
	return &total_stats;
}

const AnnScanStats *
ann_scan_stats(IndexScanDesc scan)
{
	return &((const AnnScan *) scan->opaque)->stats;
}

void
ann_scan_reset_stats(void)
{
	memset(&total_stats, 0, sizeof(total_stats));
}

/* Adds so many times `more`. */
static void
add_stats(AnnScanStats *sum, AnnScanStats more, int times)
{
	int64 *counts[ANN_STATS_COUNTS];
	int64 *more_counts[ANN_STATS_COUNTS];
	double *ms[ANN_STATS_TIMES];
	double *more_ms[ANN_STATS_TIMES];

	ann_stats_fields(sum, counts, ms);
	ann_stats_fields(&more, more_counts, more_ms);
	for (int i = 0; i < ANN_STATS_COUNTS; i++)
		*counts[i] += times * *more_counts[i];
	for (int i = 0; i < ANN_STATS_TIMES; i++)
		*ms[i] += times * *more_ms[i];
}

/* Adds what a scan has done since it was last asked. */
static void
sum_up(AnnScan *so)
{
	AnnScanStats done = so->stats;

	add_stats(&done, so->counted, -1);
	add_stats(&total_stats, done, 1);
	ann_server_stats_add(&done);
	so->counted = so->stats;
}

static int64
pages_so_far(void)
{
	return pgBufferUsage.shared_blks_hit + pgBufferUsage.shared_blks_read +
		   pgBufferUsage.local_blks_hit + pgBufferUsage.local_blks_read;
}

/* ---- leaves ---- */

/* Searches leaves until there are so many, and so many live rows in them. */
static void
extend_search(AnnScan *so, double num_leaves, double num_rows)
{
	AnnSearch *search = so->search;
	instr_time start = ann_clock();
	double read_before = so->stats.reorder_ms;

	search->num_wanted = Min(num_leaves, so->limit);
	while (search->num_searched < so->limit &&
		   (search->num_searched < num_leaves || ann_search_live_rows(search) < num_rows))
	{
		ann_search_open(search);
		while (ann_search_page(search))
			if (search->num_late > ANN_LATE_BATCH)
				ann_rows_late(so);
	}
	ann_rows_late(so);
	ann_search_settle(search);
	ann_clock_add(start, &so->stats.scan_ms);
	so->stats.scan_ms -= so->stats.reorder_ms - read_before;
	so->num_to_read = Max(so->num_candidates, 0);
	so->covered_rank =
		search->num_searched < so->limit ? ann_search_covered_rank(search) : INFINITY;
}

/* Searches what the row of a rank needs, and some more, so that the next row does not ask again. */
static void
extend_to_rank(AnnScan *so, double rank)
{
	double ahead = rank <= 10 ? 10 : rank * ANN_EXTEND_AHEAD;
	double num_leaves = ann_search_leaves_for(so->search, ahead);

	Assert(so->search != NULL);
	extend_search(so, Max(num_leaves, so->search->num_searched + 1.0), 2 * ahead);
}

/*
 * As many leaves as a scan searches before it returns a row, for all the rows that it was asked
 * for.
 */
static double
first_leaves(const AnnScan *so)
{
	return ann_search_leaves_for(so->search, Max(so->request.num_rows, 10));
}

static void
search_first_leaves(AnnScan *so)
{
	extend_search(so, first_leaves(so), 2.0 * Max(so->request.num_rows, 10));
	/* As the number of leaves was rounded up, but for what arithmetic does. */
	so->covered_rank = Max(so->covered_rank, so->request.num_rows);
}

/* Every row of the searched leaves is returned: searches further ones, if it may. */
static bool
extend_further(AnnScan *so)
{
	double num_searched;

	if (so->search == NULL)
		return false;
	num_searched = so->search->num_searched;
	if (num_searched < so->limit)
	{
		extend_search(so, Max(num_searched * ANN_EXTEND_AHEAD, num_searched + 1), 0);
		return true;
	}
	if (so->is_capped && !so->said_so)
		ereport(NOTICE, (errmsg("scan of index \"%s\" stopped after %u of %u leaves",
								RelationGetRelationName(so->search->index), so->limit,
								so->search->model.num_leaves),
						 errdetail("Rows of other leaves are missing from the result."),
						 errhint("Raise ann.max_leaves_to_search.")));
	so->said_so |= so->is_capped;
	return false;
}

/* ---- the start ---- */

/*
 * Reads the exact leaf under the model in force. Training moves rows from it into the leaves and
 * makes them count by a change of the metapage's model; whoever meets that change on the way starts
 * again, which he may, as nothing has been returned.
 */
static void
read_exact_leaf(AnnScan *so, Relation index, AnnMetaData *meta)
{
	AnnMetaData after;

	ann_exact_init(&so->exact, so->run, ANN_SHARE_EXACT);
	ann_index_meta(index, &after);
	do
	{
		*meta = after;
		ann_exact_read(&so->exact, index, meta->model != 0);
		ann_index_meta(index, &after);
	} while (after.model != meta->model);
}

/* The number of leaves that the scan may search. */
static void
set_limit(AnnScan *so)
{
	AnnSearch *search = so->search;

	so->limit = search->model.num_leaves;
	if (so->mode == ANN_ITERATIVE_OFF)
		so->limit = Min(so->limit, search->num_first);
	so->is_capped = ann_max_leaves_to_search >= 0 && (uint32) ann_max_leaves_to_search < so->limit;
	if (so->is_capped)
		so->limit = ann_max_leaves_to_search;
}

static void
start_search(AnnScan *so, Relation index, const AnnMetaData *meta, const float *query)
{
	instr_time start = ann_clock();
	uint32 num_first;

	so->search = NULL;
	so->covered_rank = INFINITY;
	so->is_capped = false;
	so->saw_beyond = false;
	so->num_fruitful = 0;
	if (meta->model == 0)
		return;
	num_first = so->request.num_leaves > 0 ? so->request.num_leaves : ann_effective_leaves(index);
	/* Without codes there is no best to read first: all rows of the searched leaves are read. */
	if (meta->quantizer == ANN_QUANTIZER_FLAT)
		so->num_candidates = -1;
	so->search = ann_search_begin(index, meta, query, num_first, so->num_candidates < 0, &so->exact,
								  &so->stats);
	set_limit(so);
	if (so->limit > 0)
		(void) ann_leaves_get(&so->search->leaves, 0);
	ann_clock_add(start, &so->stats.centroid_ms);
}

static void
start_ordered(AnnScan *so, Relation index, const AnnMetaData *meta, const float *query, int dim)
{
	so->num_candidates = so->request.num_candidates >= 0 ? so->request.num_candidates
														 : ann_effective_candidates(index);
	so->mode = ann_iterative_scan;
	so->any_order = so->mode == ANN_ITERATIVE_RELAXED || so->request.any_order;
	so->num_to_read = 0;
	so->num_returned = 0;
	so->last_distance = -INFINITY;
	so->read_distance = -INFINITY;
	ann_queue_init(&so->ready, so->run, ANN_SHARE_READY);
	ann_queue_init(&so->held, so->run, ANN_SHARE_HELD);
	ann_reorder_set_query(&so->reorder, query, palloc(sizeof(float) * dim), dim);
	ann_rows_exact(so);
	start_search(so, index, meta, query);
	so->phase = so->search != NULL ? ANN_SCAN_FIRST : ANN_SCAN_ORDERED;
}

/*
 * A plan that needs no column at all (count(*)) may be an index-only scan although no column can be
 * returned. It would trust the visibility map for a row identifier that a vacuum may have removed
 * since it was copied, and count a row that is gone; the cost estimate keeps the planner off it.
 */
static void
check_not_index_only(IndexScanDesc scan)
{
	if (scan->xs_want_itup)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("access method annivf does not support index-only scans"),
						errhint("Set enable_indexonlyscan to off, or enable_seqscan to on.")));
}

static void
start_scan(IndexScanDesc scan, AnnScan *so)
{
	Relation index = scan->indexRelation;
	const AnnScanRequest *request = &so->request;
	bool has_order;
	AnnMetaData meta;

	if (!IsMVCCSnapshot(scan->xs_snapshot))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("access method annivf supports only MVCC snapshots"),
						errhint("Exclusion constraints need another access method.")));
	check_not_index_only(scan);
	ann_server_stats_attach();
	pgstat_count_index_scan(index);
	ANN_COUNT_SEARCH(scan);
	so->stats.queries++;
	if (!so->reorder_is_open)
	{
		MemoryContext old = MemoryContextSwitchTo(so->context);

		ann_reorder_begin(&so->reorder, scan, so->support);
		so->reorder_is_open = true;
		MemoryContextSwitchTo(old);
	}
	if (request->query == NULL && !ann_keys_read(scan, so->support, &so->request, &so->recheck))
	{
		so->phase = ANN_SCAN_DONE;
		return;
	}
	read_exact_leaf(so, index, &meta);
	if (request->query != NULL && meta.dim != 0 && meta.dim != (uint32) request->dim)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("different %s %u and %d", so->support->sizes, meta.dim, request->dim)));
	has_order = request->query != NULL &&
				!ann_query_orders_nothing(so->support, request->query, request->dim);
	if (!ann_radius_set(so) || (request->has_radius && !has_order))
		so->phase = ANN_SCAN_DONE;
	else if (has_order)
		start_ordered(so, index, &meta, request->query, request->dim);
	else
	{
		ann_stream_all(&so->stream, index, &meta, &so->exact, &so->reorder);
		so->phase = ANN_SCAN_STREAM;
	}
}

/* ---- returning rows ---- */

/* May the best row that was read go out, as far as the searched leaves are concerned? */
static bool
is_due(const AnnScan *so, const AnnQueueItem *head)
{
	float key;

	if (so->search == NULL || so->request.any_order || !ann_search_next_key(so->search, &key))
		return true;
	/* beyond what was read stand rows of the exact leaf only: the next of the others are due */
	if (so->num_candidates > 0)
		return so->num_to_read == 0 && head->distance <= so->read_distance;
	return key >= ann_query_key(so->support->metric, head->distance);
}

/* The next row of the ordered part; false at its end. */
static bool
next_ordered(AnnScan *so, AnnTid *tid)
{
	for (;;)
	{
		const AnnQueueItem *head = ann_queue_head(&so->ready);
		bool is_covered = so->num_returned + 1 <= so->covered_rank ||
						  (so->request.any_order && (head != NULL || !ann_radius_is_reached(so)));

		if (!is_covered)
			extend_to_rank(so, so->num_returned + 1);
		else if (head != NULL && !isnan(head->distance) && is_due(so, head))
		{
			*tid = head->tid;
			so->distance = head->distance;
			so->last_distance = Max(so->last_distance, head->distance);
			ann_queue_pop(&so->ready);
			return true;
		}
		else if (head == NULL && ann_radius_is_reached(so))
		{
			if (!ann_radius_wants_more(so) || !extend_further(so))
				return false;
		}
		else if (!ann_rows_next(so) && !extend_further(so))
			return false;
	}
}

static bool
next_queued(AnnScan *so, AnnQueue *queue, AnnTid *tid)
{
	const AnnQueueItem *head = ann_queue_head(queue);

	if (head == NULL)
		return false;
	*tid = head->tid;
	so->distance = head->distance;
	ann_queue_pop(queue);
	return true;
}

/* After the last row with a distance: the rows with NULL, where all leaves were to be searched. */
static void
start_nulls(AnnScan *so, Relation index)
{
	bool left_out = so->mode == ANN_ITERATIVE_OFF && so->search != NULL &&
					so->search->num_searched < so->search->model.num_leaves;

	if (so->request.has_radius || left_out)
		so->phase = ANN_SCAN_DONE;
	else
	{
		ann_stream_nulls(&so->stream, index, &so->reorder);
		so->phase = ANN_SCAN_STREAM;
	}
}

static bool
next_row(IndexScanDesc scan, AnnScan *so, AnnTid *tid)
{
	for (;;)
	{
		switch (so->phase)
		{
			case ANN_SCAN_START:
				start_scan(scan, so);
				break;
			case ANN_SCAN_FIRST:
				search_first_leaves(so);
				so->phase = ANN_SCAN_ORDERED;
				break;
			case ANN_SCAN_ORDERED:
				if (next_ordered(so, tid))
					return true;
				so->phase = ANN_SCAN_HELD;
				break;
			case ANN_SCAN_HELD:
				if (next_queued(so, &so->held, tid))
					return true;
				so->phase = ANN_SCAN_NAN;
				break;
			case ANN_SCAN_NAN:
				if (next_queued(so, &so->ready, tid))
					return true;
				start_nulls(so, scan->indexRelation);
				break;
			case ANN_SCAN_STREAM:
				if (ann_stream_next(&so->stream, tid))
				{
					so->distance = get_float8_nan();
					ann_reorder_check_tid(&so->reorder, *tid);
					return true;
				}
				so->phase = ANN_SCAN_DONE;
				break;
			case ANN_SCAN_DONE:
				return false;
		}
	}
}

/* ---- callbacks ---- */

/* Everything of a rescan goes: files first, as their descriptions are in the memory. */
static void
end_run(AnnScan *so)
{
	if (so->phase == ANN_SCAN_START)
		return;
	sum_up(so);
	ann_queue_close(&so->ready);
	ann_queue_close(&so->held);
	ann_exact_close(&so->exact);
	MemoryContextReset(so->run);
	so->search = NULL;
	so->phase = ANN_SCAN_START;
}

static const AnnScanRequest no_request = {.num_leaves = -1, .num_candidates = -1, .num_rows = 1};

/*
 * ambeginscan. Reads nothing: heap and snapshot are not known yet. ERRCODE_FEATURE_NOT_SUPPORTED
 * for more than one ordering operator. Allocates a context under the current one.
 */
IndexScanDesc
annivf_beginscan(Relation index, int num_keys, int num_orderbys)
{
	IndexScanDesc scan;
	MemoryContext context;
	AnnScan *so;

	if (num_orderbys > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("access method annivf orders by one distance at a time"),
				 errhint("Order by the first distance in a subquery with a LIMIT, then by the "
						 "others.")));
	scan = RelationGetIndexScan(index, num_keys, num_orderbys);
	context = AllocSetContextCreate(CurrentMemoryContext, "annivf scan", ALLOCSET_DEFAULT_SIZES);
	so = MemoryContextAllocZero(context, sizeof(AnnScan));
	so->context = context;
	so->run = AllocSetContextCreate(context, "annivf rescan", ALLOCSET_DEFAULT_SIZES);
	so->support = ann_support_get(index);
	so->request = no_request;
	so->phase = ANN_SCAN_START;
	scan->opaque = so;
	return scan;
}

/* amrescan. Drops the run before; the keys' values must stay until the first annivf_gettuple. */
void
annivf_rescan(IndexScanDesc scan, ScanKey keys, int num_keys, ScanKey orderbys, int num_orderbys)
{
	AnnScan *so = scan->opaque;

	end_run(so);
	so->request = no_request;
	so->recheck = false;
	if (keys != NULL && scan->numberOfKeys > 0)
		memmove(scan->keyData, keys, sizeof(ScanKeyData) * scan->numberOfKeys);
	if (orderbys != NULL && scan->numberOfOrderBys > 0)
		memmove(scan->orderByData, orderbys, sizeof(ScanKeyData) * scan->numberOfOrderBys);
}

void
ann_scan_request(IndexScanDesc scan, const AnnScanRequest *request)
{
	AnnScan *so = scan->opaque;

	Assert(so->phase == ANN_SCAN_START);
	ann_check_elements(so->support, request->query, request->dim);
	so->request = *request;
}

uint32
ann_scan_prepare(IndexScanDesc scan)
{
	AnnScan *so = scan->opaque;
	MemoryContext old = MemoryContextSwitchTo(so->run);

	start_scan(scan, so);
	MemoryContextSwitchTo(old);
	return so->phase == ANN_SCAN_FIRST ? Min(first_leaves(so), so->limit) : 0;
}

/*
 * amgettuple. Holds no lock or pin on return; allocates in the scan's own contexts. Errors: wrong
 * dimensions (DATA_EXCEPTION), a snapshot that is not MVCC (FEATURE_NOT_SUPPORTED), those of
 * ann_keys_read, a damaged index (INDEX_CORRUPTED).
 */
bool
annivf_gettuple(IndexScanDesc scan, ScanDirection direction)
{
	AnnScan *so = scan->opaque;
	MemoryContext old = MemoryContextSwitchTo(so->run);
	int64 pages = pages_so_far();
	AnnTid tid;
	bool found = next_row(scan, so, &tid);

	if (found)
	{
		so->num_returned++;
		ann_tid_to_pointer(tid, &scan->xs_heaptid);
	}
	so->stats.heap_fetches = so->reorder.num_fetches;
	so->stats.pages += pages_so_far() - pages;
	last_stats = so->stats;
	/* An estimate below the radius says nothing for sure. */
	scan->xs_recheck = so->recheck || (so->request.has_radius && so->num_candidates == 0);
	scan->xs_recheckorderby = false;
	MemoryContextSwitchTo(old);
	return found;
}

/* amendscan; also where annivf_rescan never was called. */
void
annivf_endscan(IndexScanDesc scan)
{
	AnnScan *so = scan->opaque;

	end_run(so);
	if (so->reorder_is_open)
		ann_reorder_end(&so->reorder);
	MemoryContextDelete(so->context);
}
