/*
 * range.c
 *	  The rows within a distance of a vector as an SQL function.
 *
 * NOTES
 *	  The scan ends at the radius by itself, as one of a plan with a condition on the distance does
 *	  (am/scan.c). How many leaves that takes is its decision: each row returned asks for more.
 */
#include "postgres.h"

#include "access/genam.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/tuplestore.h"

#include "compat.h"

#include "admin/searcher.h"
#include "types/ball.h"
#include "types/vector.h"

/* The rows of a search within the radius, into a queue that sorts them. */
static void
collect_rows(AnnSearcher *searcher, const AnnScanRequest *request, AnnQueue *queue)
{
	IndexScanDesc scan = ann_searcher_begin(searcher, request);
	AnnFound found;

	while (ann_searcher_next(searcher, scan, &found))
	{
		AnnQueueItem item = {found.distance, ann_tid_from_pointer(&found.tid), 0};

		/* The scan may have gone by estimates. */
		if (found.distance < request->radius)
			ann_queue_push(queue, &item);
	}
	index_endscan(scan);
}

static void
put_rows(AnnQueue *queue, ReturnSetInfo *result)
{
	const AnnQueueItem *item;

	while ((item = ann_queue_head(queue)) != NULL)
	{
		ItemPointerData tid;
		Datum values[2];
		bool nulls[2] = {false};

		ann_tid_to_pointer(item->tid, &tid);
		values[0] = PointerGetDatum(&tid);
		values[1] = Float8GetDatum(item->distance);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		ann_queue_pop(queue);
	}
}

/*
 * ann_range_search(index regclass, q vector, radius float8, num_leaves_to_search int DEFAULT NULL)
 * returns setof (ctid tid, distance float8): rows whose distance (the index's operator's) is less
 * than the radius, in ascending order. The radius is in the operator's unit, so of an inner product
 * mostly negative. All of those where all leaves are searched and all candidates reordered; else
 * those that the leaves hold which an ordered scan would search for so many rows. Errors as of
 * ann_search; INVALID_PARAMETER_VALUE for a radius of NaN. A quarter of work_mem, then temporary
 * files, beside what a scan takes.
 */
ANN_FUNCTION(ann_range_search);
Datum
ann_range_search(PG_FUNCTION_ARGS)
{
	AnnScanRequest request = {
		.num_candidates = -1, .num_rows = 1, .has_radius = true, .any_order = true};
	AnnSearcher searcher;
	AnnQueue queue;

	InitMaterializedSRF(fcinfo, 0);
	request.num_leaves = ann_searcher_count(fcinfo, 3, "num_leaves_to_search", 1);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return (Datum) 0;
	request.query = PG_GETARG_VECTOR(1)->x;
	request.dim = PG_GETARG_VECTOR(1)->dim;
	request.radius = PG_GETARG_FLOAT8(2);
	ann_ball_check_radius(request.radius);
	ann_searcher_open(&searcher, PG_GETARG_OID(0));
	ann_queue_init(&queue, CurrentMemoryContext, ANN_SHARE_READY);
	collect_rows(&searcher, &request, &queue);
	put_rows(&queue, (ReturnSetInfo *) fcinfo->resultinfo);
	ann_queue_close(&queue);
	ann_searcher_close(&searcher);
	return (Datum) 0;
}
