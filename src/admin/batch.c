/*
 * batch.c
 *	  Many searches at once as an SQL function.
 *
 * NOTES
 *	  The searches of a chunk rank their leaves first; then the leaves are searched, each once for
 *	  all that want it; then each search goes on by itself. A chunk is what half of work_mem holds:
 *	  the more queries in one, the more of them share a leaf.
 */
#include "postgres.h"

#include "access/genam.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "compat.h"

#include "admin/searcher.h"
#include "types/vector.h"

/* Searches of a chunk at most. */
#define MAX_CHUNK 4096

typedef struct Batch
{
	AnnSearcher searcher;
	AnnScanRequest request; /* but for the query */
	int k;
	Datum *queries;
	bool *nulls;
	int num_queries;
	MemoryContext context; /* of a chunk */
	IndexScanDesc *scans;  /* of a chunk; NULL for a query of NULL */
	AnnSearch **searches;
	uint32 *num_leaves;
	ReturnSetInfo *result;
} Batch;

/* Begins the scan of a query; returns the memory that it will want for its first leaves. */
static Size
begin_scan(Batch *batch, int query, int i)
{
	AnnScanRequest request = batch->request;
	const Vector *vector;

	batch->scans[i] = NULL;
	batch->num_leaves[i] = 0;
	if (batch->nulls[query])
		return 0;
	vector = DatumGetVector(batch->queries[query]);
	request.query = vector->x;
	request.dim = vector->dim;
	batch->scans[i] = ann_searcher_begin(&batch->searcher, &request);
	batch->num_leaves[i] = ann_scan_prepare(batch->scans[i]);
	batch->searches[i] = ann_scan_search(batch->scans[i]);
	return (Size) batch->num_leaves[i] * ANN_TOGETHER_BYTES;
}

/*
 * Begins as many scans, from a query on, as fit into the memory of a chunk; returns their number.
 */
static int
begin_chunk(Batch *batch, int first)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Size room = (Size) work_mem * 1024 / 2;
	Size wanted = 0;
	int num = 0;

	do
	{
		CHECK_FOR_INTERRUPTS();
		wanted += begin_scan(batch, first + num, num);
		num++;
	} while (num < MAX_CHUNK && first + num < batch->num_queries &&
			 MemoryContextMemAllocated(batch->context, true) + wanted < room);
	MemoryContextSwitchTo(old);
	return num;
}

static void
put_rows(Batch *batch, int query, IndexScanDesc scan)
{
	AnnFound found;

	for (int rank = 1; rank <= batch->k && ann_searcher_next(&batch->searcher, scan, &found);
		 rank++)
	{
		Datum values[4];
		bool nulls[4] = {false};

		values[0] = Int32GetDatum(query + 1);
		values[1] = Int32GetDatum(rank);
		values[2] = PointerGetDatum(&found.tid);
		values[3] = Float8GetDatum(found.distance);
		tuplestore_putvalues(batch->result->setResult, batch->result->setDesc, values, nulls);
	}
}

/* Searches for some queries, from one on; returns how many. */
static int
search_chunk(Batch *batch, int first)
{
	int num = begin_chunk(batch, first);
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	ann_search_together(batch->searches, batch->num_leaves, num);
	for (int i = 0; i < num; i++)
		if (batch->scans[i] != NULL)
		{
			put_rows(batch, first + i, batch->scans[i]);
			index_endscan(batch->scans[i]);
		}
	MemoryContextSwitchTo(old);
	MemoryContextReset(batch->context);
	return num;
}

static void
take_queries(Batch *batch, ArrayType *array)
{
	int16 length;
	bool by_value;
	char align;
	int room;

	get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &by_value, &align);
	deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, align, &batch->queries,
					  &batch->nulls, &batch->num_queries);
	room = Min(batch->num_queries, MAX_CHUNK);
	batch->scans = palloc(sizeof(IndexScanDesc) * room);
	batch->searches = palloc(sizeof(AnnSearch *) * room);
	batch->num_leaves = palloc(sizeof(uint32) * room);
}

/*
 * ann_search_batch(index regclass, queries vector[], k int DEFAULT 10, num_leaves_to_search int
 * DEFAULT NULL, num_reordering_candidates int DEFAULT NULL) returns setof (query int, rank int,
 * ctid tid, distance float8): for each query, numbered from 1 as in the array, the rows that
 * ann_search returns, ranked from 1; none for a query of NULL. Errors as of ann_search. Half of
 * work_mem beside what a scan takes.
 */
ANN_FUNCTION(ann_search_batch);
Datum
ann_search_batch(PG_FUNCTION_ARGS)
{
	Batch batch = {0};

	InitMaterializedSRF(fcinfo, 0);
	batch.result = (ReturnSetInfo *) fcinfo->resultinfo;
	batch.k = ann_searcher_count(fcinfo, 2, "k", 1);
	batch.request.num_rows = batch.k;
	batch.request.num_leaves = ann_searcher_count(fcinfo, 3, "num_leaves_to_search", 1);
	batch.request.num_candidates = ann_searcher_count(fcinfo, 4, "num_reordering_candidates", 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || batch.k < 0)
		return (Datum) 0;
	take_queries(&batch, PG_GETARG_ARRAYTYPE_P(1));
	ann_searcher_open(&batch.searcher, PG_GETARG_OID(0));
	batch.context =
		AllocSetContextCreate(CurrentMemoryContext, "ann batch", ALLOCSET_DEFAULT_SIZES);
	for (int done = 0; done < batch.num_queries;)
		done += search_chunk(&batch, done);
	MemoryContextDelete(batch.context);
	ann_searcher_close(&batch.searcher);
	return (Datum) 0;
}
