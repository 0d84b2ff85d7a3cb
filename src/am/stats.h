/*
 * stats.h
 *	  What a scan counts of its work, and how it takes the time of a stage.
 */
#ifndef ANN_AM_STATS_H
#define ANN_AM_STATS_H

#include "postgres.h"

#include "portability/instr_time.h"

#include "am/am.h"

/* Work done by the scans of one plan node, since it was opened. */
typedef struct AnnScanStats
{
	int64 queries; /* (re)scans that read something */
	int64 leaves_searched;
	int64 codes_scanned; /* live lanes scored, those of repeated passes too */
	int64 candidates;    /* taken for reordering */
	int64 heap_fetches;
	int64 held_back;
	int64 pages; /* of index and table, looked at; not those that searches share (together.c) */
	/* Milliseconds, where ann.track_timing is on. */
	double centroid_ms; /* ranking the leaves */
	double scan_ms;     /* scoring codes */
	double reorder_ms;  /* reading rows */
} AnnScanStats;

/* All that is counted, and the times, for those who take them alike. */
#define ANN_STATS_COUNTS 7
#define ANN_STATS_TIMES 3

static inline void
ann_stats_fields(AnnScanStats *stats, int64 *counts[ANN_STATS_COUNTS],
				 double *times[ANN_STATS_TIMES])
{
	counts[0] = &stats->queries;
	counts[1] = &stats->leaves_searched;
	counts[2] = &stats->codes_scanned;
	counts[3] = &stats->candidates;
	counts[4] = &stats->heap_fetches;
	counts[5] = &stats->held_back;
	counts[6] = &stats->pages;
	times[0] = &stats->centroid_ms;
	times[1] = &stats->scan_ms;
	times[2] = &stats->reorder_ms;
}

/*
 * server_stats.c: sums over all sessions, while ann.track_server is on. init: for _PG_init. attach:
 * before a scan, may raise an error of its own; add: after it, never does. read, reset: errors
 * where there are none.
 */
extern void ann_server_stats_init(void);
extern void ann_server_stats_attach(void);
extern void ann_server_stats_add(const AnnScanStats *done);
extern void ann_server_stats_read(AnnScanStats *stats);
extern void ann_server_stats_reset(void);

/* explain.c: for _PG_init. */
extern void ann_explain_init(void);

/*
 * Time of a stage: a start, and what has passed since then added to *ms. No clock is read unless
 * asked.
 */
static inline instr_time
ann_clock(void)
{
	instr_time now;

	INSTR_TIME_SET_ZERO(now);
	if (unlikely(ann_track_timing))
		INSTR_TIME_SET_CURRENT(now);
	return now;
}

static inline void
ann_clock_add(instr_time start, double *ms)
{
	instr_time now;

	if (likely(INSTR_TIME_IS_ZERO(start)))
		return;
	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	*ms += INSTR_TIME_GET_MILLISEC(now);
}

#endif
