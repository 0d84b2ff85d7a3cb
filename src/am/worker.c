/*
 * worker.c
 *	  What all parallel workers of a build are told before their own work.
 */
#include "postgres.h"

#include "pgstat.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"

#include "am/worker.h"
#include "core/kernels.h"

#define KEY_LEADER UINT64CONST(0x616e6e0000000201)

typedef struct Leader
{
	uint64 query_id;
	char simd[16]; /* name of its kernels */
	bool has_query;
	char query[FLEXIBLE_ARRAY_MEMBER];
} Leader;

static Size
leader_size(void)
{
	Size query = debug_query_string == NULL ? 0 : strlen(debug_query_string) + 1;

	return add_size(offsetof(Leader, query), query);
}

void
ann_worker_estimate(ParallelContext *context)
{
	shm_toc_estimate_chunk(&context->estimator, leader_size());
	shm_toc_estimate_keys(&context->estimator, 1);
}

void
ann_worker_tell(ParallelContext *context)
{
	Leader *leader = shm_toc_allocate(context->toc, leader_size());

	leader->query_id = pgstat_get_my_query_id();
	strlcpy(leader->simd, ann_kernels->name, sizeof(leader->simd));
	leader->has_query = debug_query_string != NULL;
	if (leader->has_query)
		strcpy(leader->query, debug_query_string);
	shm_toc_insert(context->toc, KEY_LEADER, leader);
}

void
ann_worker_begin(shm_toc *toc)
{
	const Leader *leader = shm_toc_lookup(toc, KEY_LEADER, false);

	debug_query_string = leader->has_query ? leader->query : NULL;
	pgstat_report_activity(STATE_RUNNING, debug_query_string);
	pgstat_report_query_id(leader->query_id, false);
	/*
	 * The settings are the leader's, hence the kernels, which decide about the last bit of a float.
	 */
	if (strcmp(leader->simd, ann_kernels->name) != 0)
		elog(ERROR, "a worker has other kernels (%s) than its leader (%s)", ann_kernels->name,
			 leader->simd);
}
