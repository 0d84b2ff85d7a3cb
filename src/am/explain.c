/*
 * explain.c
 *	  What a scan did, in EXPLAIN ANALYZE, where the server asks extensions (18).
 */
#include "postgres.h"

#include "nodes/execnodes.h"
#include "utils/rel.h"

#include "am/am.h"
#include "am/scan.h"
#include "compat.h"

#ifdef ANN_EXPLAIN_HOOK

#include "commands/explain.h"
#include "commands/explain_format.h"
#include "commands/explain_state.h"

static explain_per_node_hook_type next_hook;

static void
show_text(ExplainState *es, const AnnScanStats *stats)
{
	ExplainIndentText(es);
	appendStringInfo(es->str,
					 "Search: leaves=" INT64_FORMAT " codes=" INT64_FORMAT
					 " candidates=" INT64_FORMAT " heap rows=" INT64_FORMAT
					 " held back=" INT64_FORMAT " pages=" INT64_FORMAT "\n",
					 stats->leaves_searched, stats->codes_scanned, stats->candidates,
					 stats->heap_fetches, stats->held_back, stats->pages);
	if (!ann_track_timing)
		return;
	ExplainIndentText(es);
	appendStringInfo(es->str, "Search Timings: centroids=%.3f codes=%.3f rows=%.3f\n",
					 stats->centroid_ms, stats->scan_ms, stats->reorder_ms);
}

/* The names of ann_search_stats(), as words. */
static void
show_properties(ExplainState *es, const AnnScanStats *stats)
{
	ExplainPropertyInteger("Leaves Searched", NULL, stats->leaves_searched, es);
	ExplainPropertyInteger("Codes Scanned", NULL, stats->codes_scanned, es);
	ExplainPropertyInteger("Candidates Reordered", NULL, stats->candidates, es);
	ExplainPropertyInteger("Heap Fetches", NULL, stats->heap_fetches, es);
	ExplainPropertyInteger("Held Back", NULL, stats->held_back, es);
	ExplainPropertyInteger("Pages", NULL, stats->pages, es);
	if (!ann_track_timing)
		return;
	ExplainPropertyFloat("Centroid Time", "ms", stats->centroid_ms, 3, es);
	ExplainPropertyFloat("Scan Time", "ms", stats->scan_ms, 3, es);
	ExplainPropertyFloat("Reorder Time", "ms", stats->reorder_ms, 3, es);
}

static void
explain_node(PlanState *state, List *ancestors, const char *relationship, const char *plan_name,
			 ExplainState *es)
{
	IndexScanState *scan = (IndexScanState *) state;

	if (next_hook != NULL)
		next_hook(state, ancestors, relationship, plan_name, es);
	if (!es->analyze || !IsA(state, IndexScanState) || scan->iss_ScanDesc == NULL ||
		scan->iss_RelationDesc->rd_indam->amgettuple != annivf_gettuple)
		return;
	if (es->format == EXPLAIN_FORMAT_TEXT)
		show_text(es, ann_scan_stats(scan->iss_ScanDesc));
	else
		show_properties(es, ann_scan_stats(scan->iss_ScanDesc));
}

void
ann_explain_init(void)
{
	next_hook = explain_per_node_hook;
	explain_per_node_hook = explain_node;
}

#else

void
ann_explain_init(void)
{
}

#endif
