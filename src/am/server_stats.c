/*
 * server_stats.c
 *	  The sums of ann_search_stats() over all sessions of the server, for those who want them.
 *
 * NOTES
 *	  The sums lie in shared memory that a session attaches to at its first scan with
 *	  ann.track_server on: from 17 on a named segment, which any session may make; before, memory
 *	  that only a preloaded library can ask for. Off by default, as a server without room for a
 *	  segment would fail queries. A scan adds what it did when it ends, by atomic additions; sums
 *	  read meanwhile may have part of a scan. They begin at zero with every start of the server.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/guc.h"

#include "am/stats.h"
#include "compat.h"

#define SEGMENT "ann"

/* In the order of ann_stats_fields(). */
typedef struct ServerStats
{
	pg_atomic_uint64 counts[ANN_STATS_COUNTS];
	pg_atomic_uint64 times[ANN_STATS_TIMES]; /* microseconds */
} ServerStats;

static bool track_server;
static ServerStats *sums; /* NULL: not attached */
static shmem_request_hook_type next_request;
static shmem_startup_hook_type next_startup;

static void
init_sums(void *memory)
{
	ServerStats *stats = memory;

	for (int i = 0; i < (int) lengthof(stats->counts); i++)
		pg_atomic_init_u64(&stats->counts[i], 0);
	for (int i = 0; i < (int) lengthof(stats->times); i++)
		pg_atomic_init_u64(&stats->times[i], 0);
}

static void
request_memory(void)
{
	if (next_request != NULL)
		next_request();
	RequestAddinShmemSpace(MAXALIGN(sizeof(ServerStats)));
}

static void
take_memory(void)
{
	bool found;

	if (next_startup != NULL)
		next_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	sums = ShmemInitStruct(SEGMENT, sizeof(ServerStats), &found);
	if (!found)
		init_sums(sums);
	LWLockRelease(AddinShmemInitLock);
}

static bool
is_possible(void)
{
	return ANN_NAMED_MEMORY || sums != NULL || process_shared_preload_libraries_in_progress;
}

static bool
check_track_server(bool *newval, void **extra, GucSource source)
{
	if (!*newval || is_possible())
		return true;
	GUC_check_errdetail("Before PostgreSQL 17 this needs ann in shared_preload_libraries.");
	return false;
}

void
ann_server_stats_init(void)
{
	if (process_shared_preload_libraries_in_progress && !ANN_NAMED_MEMORY)
	{
		next_request = shmem_request_hook;
		shmem_request_hook = request_memory;
		next_startup = shmem_startup_hook;
		shmem_startup_hook = take_memory;
	}
	DefineCustomBoolVariable("ann.track_server",
							 "Sums up the work of the searches of all sessions, for "
							 "ann_server_search_stats().",
							 NULL, &track_server, false, PGC_SUSET, 0, check_track_server, NULL,
							 NULL);
}

static void
attach(void)
{
	bool found;

	if (sums == NULL && ANN_NAMED_MEMORY && IsUnderPostmaster)
		sums = GetNamedDSMSegment(SEGMENT, sizeof(ServerStats), init_sums, &found);
}

void
ann_server_stats_attach(void)
{
	if (unlikely(track_server))
		attach();
}

void
ann_server_stats_add(const AnnScanStats *done)
{
	AnnScanStats copy = *done;
	int64 *counts[ANN_STATS_COUNTS];
	double *times[ANN_STATS_TIMES];

	if (!track_server || sums == NULL)
		return;
	ann_stats_fields(&copy, counts, times);
	for (int i = 0; i < (int) lengthof(counts); i++)
		if (*counts[i] != 0)
			pg_atomic_fetch_add_u64(&sums->counts[i], *counts[i]);
	for (int i = 0; i < (int) lengthof(times); i++)
		if (*times[i] > 0)
			pg_atomic_fetch_add_u64(&sums->times[i], (int64) (*times[i] * 1000));
}

static void
need_sums(void)
{
	attach();
	if (sums == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("there are no statistics of all sessions"),
						errdetail("They need ann in shared_preload_libraries, or PostgreSQL 17."),
						errhint("ann_search_stats(true) has those of this session.")));
}

void
ann_server_stats_read(AnnScanStats *stats)
{
	int64 *counts[ANN_STATS_COUNTS];
	double *times[ANN_STATS_TIMES];

	need_sums();
	ann_stats_fields(stats, counts, times);
	for (int i = 0; i < (int) lengthof(counts); i++)
		*counts[i] = (int64) pg_atomic_read_u64(&sums->counts[i]);
	for (int i = 0; i < (int) lengthof(times); i++)
		*times[i] = pg_atomic_read_u64(&sums->times[i]) / 1000.0;
}

void
ann_server_stats_reset(void)
{
	need_sums();
	for (int i = 0; i < (int) lengthof(sums->counts); i++)
		pg_atomic_write_u64(&sums->counts[i], 0);
	for (int i = 0; i < (int) lengthof(sums->times); i++)
		pg_atomic_write_u64(&sums->times[i], 0);
}
