/*
 * parallel.c
 *	  CREATE INDEX by several processes: parallel workers take part in the pass over all rows.
 *
 * NOTES
 *	  The leader samples and trains, then puts model and centroids into shared memory. Each
 *	  participant, the leader too, takes blocks of the heap, codes their rows into its run of a
 *	  shared sort and keeps the nearest neighbours that it finds for the pseudo-queries; the leader
 *	  merges both and writes the index alone. Nothing in the outcome tells who coded which row: the
 *	  sort has no equal keys, the lists of neighbours have an order without ties, and all sums of
 *	  floating point are made by the leader from sorted codes.
 *
 *	  maintenance_work_mem is for all participants together: what the centroids leave is dealt out
 *	  equally. Besides, each has the pseudo-queries with their tables and neighbours.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/parallel.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/spin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "am/build.h"
#include "am/worker.h"
#include "core/work.h"

#define KEY_SHARED UINT64CONST(0x616e6e0000000001)
#define KEY_SCAN UINT64CONST(0x616e6e0000000002)
#define KEY_SORT UINT64CONST(0x616e6e0000000003)
#define KEY_ARRAYS UINT64CONST(0x616e6e0000000004)
#define KEY_BUFFER_USAGE UINT64CONST(0x616e6e0000000005)
#define KEY_WAL_USAGE UINT64CONST(0x616e6e0000000006)

/* How often the leader, its own rows coded, reports what the workers have done. */
#define REPORT_MS 500

typedef struct Shared
{
	Oid heap;
	Oid index;
	bool concurrent;
	Size memory; /* of each participant, for its sort and its batch */
	int num_workers;
	AnnMetaData meta;
	AnnModel model;   /* its pointers are the leader's */
	AnnCentroids set; /* likewise */
	uint32 room;      /* centroids that the memory of the set is laid out for */
	int num_queries;
	pg_atomic_uint64 coded_rows; /* so far */
	/* What those who are done did. */
	slock_t lock;
	ConditionVariable done;
	int num_done;
	double scanned_rows;
	bool broken_hot_chain;
} Shared;

/* Arrays in shared memory, of the sizes that Shared tells. */
typedef struct Arrays
{
	float *mean;
	float *rotation; /* where the model has one */
	float *codebook;
	float *bias;
	float *queries;
	AnnTid *query_tids;
	void *centroids;
	char *found; /* by the calibrator of each worker */
	Size found_size;
} Arrays;

struct AnnParallel
{
	AnnBuilder *builder;
	ParallelContext *context;
	Snapshot snapshot; /* registered, where it is one of a concurrent build */
	Shared *shared;
	Sharedsort *sort;
	ParallelTableScanDesc scan;
	Arrays arrays;
	BufferUsage *buffer_usage;
	WalUsage *wal_usage;
};

PGDLLEXPORT void ann_parallel_work(dsm_segment *segment, shm_toc *toc);

/* Lays the arrays out in memory (NULL: only measures); returns the bytes that they need. */
static Size
take_arrays(Arrays *arrays, const Shared *shared, void *memory)
{
	const AnnPq *pq = &shared->model.pq;
	AnnArena arena;

	ann_arena_init(&arena, memory);
	arrays->mean = ann_arena_take(&arena, shared->model.dim, sizeof(float));
	arrays->rotation = ann_arena_take(
		&arena, shared->model.rotation == NULL ? 0 : (Size) shared->model.dim * shared->model.dim,
		sizeof(float));
	arrays->codebook =
		ann_arena_take(&arena, ann_pq_codebook_floats(pq->num_blocks, pq->width), sizeof(float));
	arrays->bias = ann_arena_take(&arena, ann_pq_bias_floats(pq->num_blocks), sizeof(float));
	arrays->queries =
		ann_arena_take(&arena, (Size) shared->num_queries * shared->model.dim, sizeof(float));
	arrays->query_tids = ann_arena_take(&arena, shared->num_queries, sizeof(AnnTid));
	arrays->centroids =
		ann_arena_take(&arena, ann_centroids_size(shared->model.dim, shared->room), 1);
	arrays->found_size = TYPEALIGN(ANN_ARENA_ALIGN, ann_calibrator_found_size(shared->num_queries));
	arrays->found = ann_arena_take(&arena, shared->num_workers, arrays->found_size);
	return ann_arena_size(&arena);
}

/* The set in shared memory, its numbers those of `like`. */
static void
attach_set(AnnCentroids *set, const AnnCentroids *like, uint32 room, const Arrays *arrays)
{
	ann_centroids_init(set, arrays->centroids, like->dim, room);
	set->num_parents = like->num_parents;
	set->num_centroids = like->num_centroids;
}

/* Copies model, centroids and pseudo-queries into shared memory. */
static void
fill_arrays(const Arrays *arrays, const Shared *shared, const AnnBuilder *builder)
{
	const AnnPq *pq = &builder->model->pq;
	Size dim = builder->set.dim;
	AnnCentroids set;

	memcpy(arrays->mean, builder->model->mean, sizeof(float) * dim);
	if (builder->model->rotation != NULL)
		memcpy(arrays->rotation, builder->model->rotation, sizeof(float) * dim * dim);
	memcpy(arrays->codebook, pq->codebook,
		   sizeof(float) * ann_pq_codebook_floats(pq->num_blocks, pq->width));
	memcpy(arrays->bias, pq->bias, sizeof(float) * ann_pq_bias_floats(pq->num_blocks));
	memcpy(arrays->queries, builder->queries, sizeof(float) * dim * shared->num_queries);
	memcpy(arrays->query_tids, builder->query_tids, sizeof(AnnTid) * shared->num_queries);
	attach_set(&set, &builder->set, shared->room, arrays);
	ann_centroids_copy(&set, &builder->set);
}

static void
init_shared(Shared *shared, const AnnBuilder *builder, int num_workers)
{
	const AnnCentroids *set = &builder->set;
	Size used;

	memset(shared, 0, sizeof(*shared));
	shared->heap = RelationGetRelid(builder->heap);
	shared->index = RelationGetRelid(builder->index);
	shared->concurrent = builder->index_info->ii_Concurrent;
	shared->num_workers = num_workers;
	shared->meta = builder->meta;
	shared->model = *builder->model;
	shared->set = *set;
	/* The layout makes room for about a square root of parents: there may be more after all. */
	shared->room = Max(set->num_centroids, set->num_parents * set->num_parents);
	shared->num_queries = builder->num_queries;
	/* One set is the leader's own. */
	used = 2 * ann_centroids_size(set->dim, shared->room);
	shared->memory = (builder->memory - Min(used, builder->memory / 2)) / (num_workers + 1);
}

static void
estimate(ParallelContext *context, Size size)
{
	shm_toc_estimate_chunk(&context->estimator, size);
	shm_toc_estimate_keys(&context->estimator, 1);
}

static void *
insert(ParallelContext *context, uint64 key, Size size)
{
	void *memory = shm_toc_allocate(context->toc, size);

	shm_toc_insert(context->toc, key, memory);
	return memory;
}

/* Fills the shared memory, which there is by now. */
static void
fill_memory(AnnParallel *parallel, const Shared *shared, Size arrays_size)
{
	ParallelContext *context = parallel->context;
	AnnBuilder *builder = parallel->builder;
	Size num = shared->num_workers;

	parallel->shared = insert(context, KEY_SHARED, sizeof(Shared));
	*parallel->shared = *shared;
	pg_atomic_init_u64(&parallel->shared->coded_rows, 0);
	SpinLockInit(&parallel->shared->lock);
	ConditionVariableInit(&parallel->shared->done);
	parallel->scan =
		insert(context, KEY_SCAN, table_parallelscan_estimate(builder->heap, parallel->snapshot));
	table_parallelscan_initialize(builder->heap, parallel->scan, parallel->snapshot);
	parallel->sort = insert(context, KEY_SORT, tuplesort_estimate_shared(shared->num_workers + 1));
	tuplesort_initialize_shared(parallel->sort, shared->num_workers + 1, context->seg);
	(void) take_arrays(&parallel->arrays, shared, insert(context, KEY_ARRAYS, arrays_size));
	fill_arrays(&parallel->arrays, shared, builder);
	ann_worker_tell(context);
	parallel->buffer_usage = insert(context, KEY_BUFFER_USAGE, mul_size(sizeof(BufferUsage), num));
	parallel->wal_usage = insert(context, KEY_WAL_USAGE, mul_size(sizeof(WalUsage), num));
}

/* Gives workers (if any were launched, they are done), memory and snapshot back. */
static void
release(AnnParallel *parallel)
{
	DestroyParallelContext(parallel->context);
	if (IsMVCCSnapshot(parallel->snapshot))
		UnregisterSnapshot(parallel->snapshot);
	ExitParallelMode();
	pfree(parallel);
}

AnnParallel *
ann_parallel_begin(AnnBuilder *builder)
{
	AnnParallel *parallel;
	ParallelContext *context;
	Shared shared;
	Arrays arrays;
	Size arrays_size;

	if (builder->num_workers == 0)
		return NULL;
	parallel = palloc0(sizeof(AnnParallel));
	parallel->builder = builder;
	EnterParallelMode();
	context = CreateParallelContext("ann", "ann_parallel_work", builder->num_workers);
	parallel->context = context;
	parallel->snapshot = builder->index_info->ii_Concurrent
							 ? RegisterSnapshot(GetTransactionSnapshot())
							 : SnapshotAny;
	init_shared(&shared, builder, context->nworkers);
	arrays_size = take_arrays(&arrays, &shared, NULL);
	estimate(context, sizeof(Shared));
	estimate(context, table_parallelscan_estimate(builder->heap, parallel->snapshot));
	estimate(context, tuplesort_estimate_shared(shared.num_workers + 1));
	estimate(context, arrays_size);
	ann_worker_estimate(context);
	estimate(context, mul_size(sizeof(BufferUsage), shared.num_workers));
	estimate(context, mul_size(sizeof(WalUsage), shared.num_workers));
	InitializeParallelDSM(context);
	if (context->seg != NULL)
	{
		fill_memory(parallel, &shared, arrays_size);
		LaunchParallelWorkers(context);
	}
	ereport(DEBUG1, (errmsg_internal("ann: %d workers launched of %d planned",
									 context->nworkers_launched, builder->num_workers)));
	if (context->nworkers_launched > 0)
		return parallel;
	release(parallel);
	return NULL;
}

static void
code_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *coder)
{
	ann_coder_row(coder, tid, values[0], isnull[0]);
}

/* What every participant does: codes the blocks that it gets and sorts the codes into its run. */
static void
take_part(AnnBuilder *builder, Shared *shared, Sharedsort *shared_sort,
		  ParallelTableScanDesc parallel_scan)
{
	SortCoordinateData coordinate = {
		.isWorker = true, .nParticipants = -1, .sharedsort = shared_sort};
	AnnCoder *coder;
	Tuplesortstate *sort;
	TableScanDesc scan;

	builder->all_coded_rows = &shared->coded_rows;
	coder = ann_coder_begin(builder, &coordinate, shared->memory);
	scan = table_beginscan_parallel(builder->heap, parallel_scan);
	builder->scanned_rows =
		table_index_build_scan(builder->heap, builder->index, builder->index_info, true,
							   builder->progress, code_row, coder, scan);
	sort = ann_coder_finish(coder);
	tuplesort_performsort(sort);
	tuplesort_end(sort);
}

/* Adds to what those who are done did. */
static void
report_done(const AnnBuilder *builder, Shared *shared)
{
	SpinLockAcquire(&shared->lock);
	shared->num_done++;
	shared->scanned_rows += builder->scanned_rows;
	shared->broken_hot_chain |= builder->index_info->ii_BrokenHotChain;
	SpinLockRelease(&shared->lock);
	ConditionVariableSignal(&shared->done);
}

/* Waits for all participants; an error of a worker comes up here. */
static void
wait_for_all(AnnParallel *parallel, int num_participants)
{
	Shared *shared = parallel->shared;

	for (;;)
	{
		int num_done;

		SpinLockAcquire(&shared->lock);
		num_done = shared->num_done;
		SpinLockRelease(&shared->lock);
		if (num_done == num_participants)
			break;
		ann_builder_done(parallel->builder, pg_atomic_read_u64(&shared->coded_rows));
		(void) ConditionVariableTimedSleep(&shared->done, REPORT_MS,
										   WAIT_EVENT_PARALLEL_CREATE_INDEX_SCAN);
	}
	ConditionVariableCancelSleep();
}

Tuplesortstate *
ann_parallel_code(AnnParallel *parallel)
{
	AnnBuilder *builder = parallel->builder;
	Shared *shared = parallel->shared;
	int num_launched = parallel->context->nworkers_launched;
	SortCoordinate coordinate = palloc0(sizeof(SortCoordinateData));

	take_part(builder, shared, parallel->sort, parallel->scan);
	report_done(builder, shared);
	/* A worker that failed to start would never be done. */
	WaitForParallelWorkersToAttach(parallel->context);
	wait_for_all(parallel, num_launched + 1);
	builder->scanned_rows = shared->scanned_rows;
	builder->coded_rows = pg_atomic_read_u64(&shared->coded_rows);
	builder->all_coded_rows = NULL;
	builder->index_info->ii_BrokenHotChain |= shared->broken_hot_chain;
	for (int i = 0; i < num_launched; i++)
		ann_calibrator_merge(builder->calibrator,
							 parallel->arrays.found + i * parallel->arrays.found_size);
	coordinate->isWorker = false;
	coordinate->nParticipants = num_launched + 1;
	coordinate->sharedsort = parallel->sort;
	return ann_coder_sort(coordinate, shared->memory * (shared->num_workers + 1));
}

void
ann_parallel_end(AnnParallel *parallel)
{
	WaitForParallelWorkersToFinish(parallel->context);
	for (int i = 0; i < parallel->context->nworkers_launched; i++)
		InstrAccumParallelQuery(&parallel->buffer_usage[i], &parallel->wal_usage[i]);
	release(parallel);
}

/* ---- a worker ---- */

/* A builder like the leader's, its arrays those in shared memory. */
static void
attach_builder(AnnBuilder *builder, const Shared *shared, const Arrays *arrays, Relation heap,
			   Relation index)
{
	AnnModel *model = palloc(sizeof(AnnModel));

	*model = shared->model;
	model->traits = ann_metric_traits(model->metric);
	model->mean = arrays->mean;
	model->rotation = shared->model.rotation == NULL ? NULL : arrays->rotation;
	model->pq.codebook = arrays->codebook;
	model->pq.bias = arrays->bias;
	memset(&model->centroid_pq, 0, sizeof(model->centroid_pq)); /* the leader's business */
	ann_builder_init(builder, index);
	builder->heap = heap;
	builder->index_info = BuildIndexInfo(index);
	builder->index_info->ii_Concurrent = shared->concurrent;
	builder->meta = shared->meta;
	builder->model = model;
	attach_set(&builder->set, &shared->set, shared->room, arrays);
	builder->calibrator =
		ann_calibrator_create(builder, arrays->queries, arrays->query_tids, shared->num_queries);
}

static void
work(Shared *shared, Sharedsort *shared_sort, shm_toc *toc)
{
	Relation heap =
		table_open(shared->heap, shared->concurrent ? ShareUpdateExclusiveLock : ShareLock);
	Relation index =
		index_open(shared->index, shared->concurrent ? RowExclusiveLock : AccessExclusiveLock);
	AnnBuilder builder;
	Arrays arrays;

	(void) take_arrays(&arrays, shared, shm_toc_lookup(toc, KEY_ARRAYS, false));
	attach_builder(&builder, shared, &arrays, heap, index);
	take_part(&builder, shared, shared_sort, shm_toc_lookup(toc, KEY_SCAN, false));
	ann_calibrator_save(builder.calibrator,
						arrays.found + ParallelWorkerNumber * arrays.found_size);
	report_done(&builder, shared);
	ann_builder_free(&builder);
	index_close(index, NoLock);
	table_close(heap, NoLock);
}

/* Entry point of a worker, found by its name. */
void
ann_parallel_work(dsm_segment *segment, shm_toc *toc)
{
	Shared *shared = shm_toc_lookup(toc, KEY_SHARED, false);
	Sharedsort *shared_sort = shm_toc_lookup(toc, KEY_SORT, false);
	BufferUsage *buffer_usage = shm_toc_lookup(toc, KEY_BUFFER_USAGE, false);
	WalUsage *wal_usage = shm_toc_lookup(toc, KEY_WAL_USAGE, false);

	ann_worker_begin(toc);
	tuplesort_attach_shared(shared_sort, segment);
	InstrStartParallelQuery();
	work(shared, shared_sort, toc);
	InstrEndParallelQuery(&buffer_usage[ParallelWorkerNumber], &wal_usage[ParallelWorkerNumber]);
}
