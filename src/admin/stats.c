/*
 * stats.c
 *	  What the last scan of this backend did.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"

#include "compat.h"

#include "am/scan.h"

/*
 * ann_search_stats(OUT leaves_searched, codes_scanned, candidates_reordered, heap_fetches,
 * held_back bigint): work of the index scan that last returned a row (or its end) in this session,
 * over all its rescans.
 */
ANN_FUNCTION(ann_search_stats);
Datum
ann_search_stats(PG_FUNCTION_ARGS)
{
	const AnnScanStats *stats = ann_scan_last_stats();
	TupleDesc desc;
	Datum values[5];
	bool nulls[5] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Int64GetDatum(stats->leaves_searched);
	values[1] = Int64GetDatum(stats->codes_scanned);
	values[2] = Int64GetDatum(stats->candidates);
	values[3] = Int64GetDatum(stats->heap_fetches);
	values[4] = Int64GetDatum(stats->held_back);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
