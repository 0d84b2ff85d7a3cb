/*
 * stats.c
 *	  What the scans of this backend did, or those of all.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"

#include "compat.h"

#include "am/scan.h"

static Datum
stats_row(FunctionCallInfo fcinfo, const AnnScanStats *stats)
{
	TupleDesc desc;
	Datum values[10];
	bool nulls[10] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Int64GetDatum(stats->leaves_searched);
	values[1] = Int64GetDatum(stats->codes_scanned);
	values[2] = Int64GetDatum(stats->candidates);
	values[3] = Int64GetDatum(stats->heap_fetches);
	values[4] = Int64GetDatum(stats->held_back);
	values[5] = Int64GetDatum(stats->queries);
	values[6] = Int64GetDatum(stats->pages);
	values[7] = Float8GetDatum(stats->centroid_ms);
	values[8] = Float8GetDatum(stats->scan_ms);
	values[9] = Float8GetDatum(stats->reorder_ms);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/*
 * ann_search_stats(total boolean DEFAULT false, OUT leaves_searched, codes_scanned,
 * candidates_reordered, heap_fetches, held_back, queries, pages bigint, centroid_ms, scan_ms,
 * reorder_ms float8): work of the index scan that last returned a row (or its end) in this session,
 * over all its rescans; total: of all scans of this session that have ended, since
 * ann_reset_search_stats(). pages: of index and table; those that several searches of
 * ann_search_batch share are left out. Milliseconds of ranking leaves, scoring codes and reading
 * rows: counted while ann.track_timing is on, else 0.
 */
ANN_FUNCTION(ann_search_stats);
Datum
ann_search_stats(PG_FUNCTION_ARGS)
{
	return stats_row(fcinfo, PG_GETARG_BOOL(0) ? ann_scan_total_stats() : ann_scan_last_stats());
}

/*
 * ann_server_search_stats(the same columns): of all scans that have ended in sessions with
 * ann.track_server on, since the server's start or ann_reset_server_search_stats(). Errors where
 * there are no such sums.
 */
ANN_FUNCTION(ann_server_search_stats);
Datum
ann_server_search_stats(PG_FUNCTION_ARGS)
{
	AnnScanStats stats;

	ann_server_stats_read(&stats);
	return stats_row(fcinfo, &stats);
}

/* ann_reset_search_stats() returns void: sets the sums of ann_search_stats(true) to zero. */
ANN_FUNCTION(ann_reset_search_stats);
Datum
ann_reset_search_stats(PG_FUNCTION_ARGS)
{
	ann_scan_reset_stats();
	PG_RETURN_VOID();
}

/*
 * ann_reset_server_search_stats() returns void: sets the sums of ann_server_search_stats() to zero.
 */
ANN_FUNCTION(ann_reset_server_search_stats);
Datum
ann_reset_server_search_stats(PG_FUNCTION_ARGS)
{
	ann_server_stats_reset();
	PG_RETURN_VOID();
}
