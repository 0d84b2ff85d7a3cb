/*
 * team.c
 *	  Centroids trained by several processes: parallel workers take parts of the steps of k-means.
 *
 * NOTES
 *	  The sample is drawn into shared memory of its own, where such memory can be had: there are
 *	  servers with next to none (containers often give 64 MB), and there the leader trains alone.
 *	  Everything else that is shared is small beside it. The leader announces a step, all take its
 *	  parts one by one, and between two steps the workers sleep. A worker that comes late takes
 *	  what is left, one that never comes takes nothing; who did which part leaves no trace (core's
 *	  kmeans_parts.c). Workers touch no table: all they know is the memory.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/dsm.h"
#include "storage/dsm_impl.h"
#include "storage/spin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/wait_event.h"

#include "am/build.h"
#include "am/worker.h"
#include "core/work.h"
#include "faultpoint.h"

#define KEY_SHARED UINT64CONST(0x616e6e0000000101)

/* A smaller sample is trained on before a worker has started. */
#define MIN_SAMPLE_BYTES (2 * 1024 * 1024)

/*
 * Shared memory that the server itself needs to launch workers: the session's (192 kB, and as much
 * again when it grows), the state that they start from, a queue for each. There it raises an error.
 */
#define LAUNCH_BYTES (1024 * 1024)

/* How often the leader, its own parts done, reports. */
#define REPORT_MS 500

typedef struct Shared
{
	dsm_handle sample;
	dsm_handle centroids;
	AnnKmeansParams params; /* its pointers are the leader's */
	Size num_rows;
	/* the step that is being run */
	slock_t lock;
	ConditionVariable work;
	ConditionVariable done;
	AnnKmeansStep step;
	uint32 step_number; /* from 1 */
	bool leader_alone;
	uint32 num_parts;
	uint32 next_part;
	uint32 num_done;
	bool is_over;
} Shared;

/* One participant's view of the memory. */
typedef struct Member
{
	Shared *shared;
	AnnKmeansTeam team;
	AnnKmeansParams params;
	const float *rows;
	AnnCentroids set;
	bool is_leader;
	void *workspace; /* for parts of the step of this number; NULL: none yet */
	uint32 step_number;
} Member;

struct AnnTeam
{
	AnnBuilder *builder;
	ParallelContext *context;
	dsm_segment *centroids;
	Member leader;
};

PGDLLEXPORT void ann_team_work(dsm_segment *segment, shm_toc *toc);

/* ---- shared memory that there may not be ---- */

/*
 * Does an error of dsm_create() tell that there is no such segment to be had? One of System V that
 * is larger than the kernel's shmmax is an invalid argument, which the server has no code for.
 */
static bool
is_lack_of_memory(int sqlstate)
{
	return ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_INSUFFICIENT_RESOURCES ||
		   (sqlstate == ERRCODE_INTERNAL_ERROR && dynamic_shared_memory_type == DSM_IMPL_SYSV);
}

/*
 * A segment that lives as long as the current resource owner, or NULL where the system has no room
 * for it. Creating one raises an error then, which is caught here: all that it leaves behind is the
 * property of a resource owner, made for this, and nothing else has been done within.
 */
static dsm_segment *
create_segment(Size size)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner old = CurrentResourceOwner;
	ResourceOwner owner = ResourceOwnerCreate(old, "ann shared memory");
	dsm_segment *volatile segment = NULL;

	CurrentResourceOwner = owner;
	PG_TRY();
	{
		segment = dsm_create(size, DSM_CREATE_NULL_IF_MAXSEGMENTS);
		if (segment != NULL)
			dsm_pin_mapping(segment);
	}
	PG_CATCH();
	{
		CurrentResourceOwner = old;
		if (!is_lack_of_memory(geterrcode()))
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	CurrentResourceOwner = old;
	ResourceOwnerRelease(owner, RESOURCE_RELEASE_BEFORE_LOCKS, false, false);
	ResourceOwnerRelease(owner, RESOURCE_RELEASE_LOCKS, false, false);
	ResourceOwnerRelease(owner, RESOURCE_RELEASE_AFTER_LOCKS, false, false);
	ResourceOwnerDelete(owner);
	if (segment == NULL)
		ereport(DEBUG1, (errmsg_internal("ann: no shared memory of %zu bytes", size)));
	else
		dsm_unpin_mapping(segment);
	return segment;
}

float *
ann_sample_alloc(AnnBuilder *builder, Size num_floats)
{
	Size bytes = mul_size(sizeof(float), num_floats);

	if (builder->num_workers > 0 && bytes >= MIN_SAMPLE_BYTES)
		builder->sample.segment = create_segment(bytes);
	return builder->sample.segment == NULL ? MemoryContextAllocHuge(builder->context, bytes)
										   : dsm_segment_address(builder->sample.segment);
}

void
ann_sample_free(AnnSample *sample)
{
	if (sample->segment != NULL)
		dsm_detach(sample->segment);
	else if (sample->rows != NULL)
		pfree(sample->rows);
	if (sample->tids != NULL)
		pfree(sample->tids);
	memset(sample, 0, sizeof(*sample));
}

/* ---- what every participant does ---- */

/* Where the training's own arrays are, behind the centroids. */
static Size
set_size(const AnnKmeansParams *params)
{
	return TYPEALIGN(ANN_ARENA_ALIGN, ann_centroids_size(params->dim, params->num_centroids));
}

/* Fills in the view of one, whose mappings these are. */
static void
join(Member *member, Shared *shared, void *sample, char *centroids, AnnWatch *watch)
{
	memset(member, 0, sizeof(*member));
	member->shared = shared;
	member->rows = sample;
	member->params = shared->params;
	member->params.watch = watch;
	member->params.team = &member->team;
	member->team.shared = centroids + set_size(&shared->params);
	ann_centroids_init(&member->set, centroids, shared->params.dim, shared->params.num_centroids);
}

typedef struct Part
{
	AnnKmeansStep step;
	uint32 step_number;
	uint32 number;
	bool is_last_step; /* where there is no part: nor will there be any */
} Part;

/* Takes the next part of the step that is being run; false: there is none. */
static bool
take_part(const Member *member, Part *part)
{
	Shared *shared = member->shared;
	bool taken;

	SpinLockAcquire(&shared->lock);
	taken = shared->next_part < shared->num_parts && (member->is_leader || !shared->leader_alone);
	part->step = shared->step;
	part->step_number = shared->step_number;
	part->number = taken ? shared->next_part++ : 0;
	part->is_last_step = shared->is_over;
	SpinLockRelease(&shared->lock);
	return taken;
}

static Size
workspace_size(const Member *member, AnnKmeansStep step)
{
	return ann_kmeans_part_workspace_size(&member->params, member->shared->num_rows, step);
}

/* The workspace of a member who begins another step. */
static void
change_step(Member *member, const Part *part)
{
	if (member->workspace != NULL)
		pfree(member->workspace);
	member->workspace = palloc_extended(workspace_size(member, part->step), MCXT_ALLOC_HUGE);
	member->step_number = part->step_number;
}

static void
do_part(Member *member, const Part *part)
{
	Shared *shared = member->shared;
	bool is_last;

	ANN_FAULT("team-part");
	if (ann_kmeans_part(&member->params, member->rows, shared->num_rows, &member->set, part->step,
						part->number, member->workspace) != ANN_OK)
		elog(ERROR, "training was interrupted");
	SpinLockAcquire(&shared->lock);
	is_last = ++shared->num_done == shared->num_parts;
	SpinLockRelease(&shared->lock);
	if (is_last)
		ConditionVariableSignal(&shared->done);
}

/* Does all parts that can be had now; true: the training is over. */
static bool
do_parts(Member *member)
{
	Part part;

	while (take_part(member, &part))
	{
		if (member->workspace == NULL || member->step_number != part.step_number)
			change_step(member, &part);
		do_part(member, &part);
	}
	if (member->workspace != NULL)
		pfree(member->workspace);
	member->workspace = NULL;
	return part.is_last_step;
}

/* ---- the leader ---- */

/* Whether workspaces for all fit into what the sample leaves of the memory. */
static bool
has_memory(const AnnTeam *team, AnnKmeansStep step)
{
	Size num = team->context->nworkers_launched + 1;

	return workspace_size(&team->leader, step) <= team->builder->memory / 4 / num;
}

/* AnnKmeansTeam's run. */
static bool
run_step(void *arg, AnnKmeansStep step, uint32 num)
{
	AnnTeam *team = arg;
	Shared *shared = team->leader.shared;
	bool leader_alone = !has_memory(team, step);

	SpinLockAcquire(&shared->lock);
	shared->step = step;
	shared->step_number++;
	shared->leader_alone = leader_alone;
	shared->num_parts = num;
	shared->next_part = 0;
	shared->num_done = 0;
	SpinLockRelease(&shared->lock);
	if (!leader_alone)
		ConditionVariableBroadcast(&shared->work);
	(void) do_parts(&team->leader);
	for (;;)
	{
		bool is_done;

		SpinLockAcquire(&shared->lock);
		is_done = shared->num_done == num;
		SpinLockRelease(&shared->lock);
		if (is_done)
			break;
		ann_builder_advance(team->builder, 0);
		(void) ConditionVariableTimedSleep(&shared->done, REPORT_MS,
										   WAIT_EVENT_PARALLEL_CREATE_INDEX_SCAN);
	}
	ConditionVariableCancelSleep();
	return false;
}

/* Fills in what workers find at their start. */
static void
init_shared(AnnTeam *team, const AnnKmeansParams *params)
{
	Shared *shared = shm_toc_allocate(team->context->toc, sizeof(Shared));

	memset(shared, 0, sizeof(*shared));
	shared->sample = dsm_segment_handle(team->builder->sample.segment);
	shared->centroids = dsm_segment_handle(team->centroids);
	shared->params = *params;
	shared->num_rows = team->builder->sample.num;
	SpinLockInit(&shared->lock);
	ConditionVariableInit(&shared->work);
	ConditionVariableInit(&shared->done);
	shm_toc_insert(team->context->toc, KEY_SHARED, shared);
	ann_worker_tell(team->context);
	join(&team->leader, shared, team->builder->sample.rows, dsm_segment_address(team->centroids),
		 params->watch);
	team->leader.is_leader = true;
	team->leader.team.run = run_step;
	team->leader.team.arg = team;
}

static void
release(AnnTeam *team)
{
	DestroyParallelContext(team->context);
	ExitParallelMode();
	dsm_detach(team->centroids);
	pfree(team);
}

/* Is there room for what the server needs to launch workers? It may be gone when it takes it. */
static bool
has_room_to_launch(void)
{
	dsm_segment *room = create_segment(LAUNCH_BYTES);

	if (room != NULL)
		dsm_detach(room);
	return room != NULL;
}

AnnTeam *
ann_team_begin(AnnBuilder *builder, AnnKmeansParams *params, AnnCentroids *set)
{
	dsm_segment *centroids = NULL;
	AnnTeam *team;

	if (builder->sample.segment != NULL)
		centroids = create_segment(
			add_size(set_size(params), ann_kmeans_shared_size(params, builder->sample.num)));
	if (centroids == NULL)
		return NULL;
	if (!has_room_to_launch())
	{
		dsm_detach(centroids);
		return NULL;
	}
	team = MemoryContextAllocZero(builder->context, sizeof(AnnTeam));
	team->builder = builder;
	team->centroids = centroids;
	EnterParallelMode();
	team->context = CreateParallelContext("ann", "ann_team_work", builder->num_workers);
	shm_toc_estimate_chunk(&team->context->estimator, sizeof(Shared));
	shm_toc_estimate_keys(&team->context->estimator, 1);
	ann_worker_estimate(team->context);
	InitializeParallelDSM(team->context);
	if (team->context->seg != NULL)
	{
		init_shared(team, params);
		LaunchParallelWorkers(team->context);
	}
	ereport(DEBUG1,
			(errmsg_internal("ann: %d workers train centroids", team->context->nworkers_launched)));
	if (team->context->nworkers_launched == 0)
	{
		release(team);
		return NULL;
	}
	*set = team->leader.set;
	params->team = &team->leader.team;
	return team;
}

void
ann_team_end(AnnTeam *team, AnnCentroids *set)
{
	Shared *shared = team->leader.shared;
	const AnnKmeansParams *params = &team->leader.params;
	AnnCentroids trained = *set;
	Size size = ann_centroids_size(params->dim, params->num_centroids);

	SpinLockAcquire(&shared->lock);
	shared->is_over = true;
	SpinLockRelease(&shared->lock);
	ConditionVariableBroadcast(&shared->work);
	ann_centroids_init(set, ann_builder_alloc(team->builder, size), params->dim,
					   params->num_centroids);
	ann_centroids_copy(set, &trained);
	WaitForParallelWorkersToFinish(team->context);
	release(team);
}

/* ---- a worker ---- */

/* AnnWatch's poll. */
static bool
poll(void *arg)
{
	CHECK_FOR_INTERRUPTS();
	return false;
}

static dsm_segment *
attach(dsm_handle handle)
{
	dsm_segment *segment = dsm_attach(handle);

	if (segment == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("could not map dynamic shared memory segment")));
	return segment;
}

/* Entry point of a worker, found by its name. */
void
ann_team_work(dsm_segment *segment, shm_toc *toc)
{
	Shared *shared = shm_toc_lookup(toc, KEY_SHARED, false);
	AnnWatch watch = {.poll = poll};
	dsm_segment *sample;
	dsm_segment *centroids;
	Member member;

	ann_worker_begin(toc);
	sample = attach(shared->sample);
	centroids = attach(shared->centroids);
	join(&member, shared, dsm_segment_address(sample), dsm_segment_address(centroids), &watch);
	ANN_FAULT("worker-begin");
	ConditionVariablePrepareToSleep(&shared->work);
	while (!do_parts(&member))
		ConditionVariableSleep(&shared->work, WAIT_EVENT_PARALLEL_CREATE_INDEX_SCAN);
	ConditionVariableCancelSleep();
	dsm_detach(centroids);
	dsm_detach(sample);
}
