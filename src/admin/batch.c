/*
 * batch.c
 *	  Many searches at once as an SQL function.
 *
 * NOTES
 *	  The searches of a chunk rank their leaves first; then the leaves are searched, each once for
 *	  all that want it; then each search goes on by itself. A chunk is what half of work_mem holds.
 *	  That is some 30 queries of 128 dimensions by default, so queries are taken in the order of
 *	  their nearest leaves, and rows sorted back by a quarter of work_mem: 1.4 times the rate of
 *	  chunks in the order of the array, and nearly that of a work_mem which holds all of them.
 */
#include "postgres.h"

#include "access/genam.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"

#include "compat.h"

#include "admin/searcher.h"
#include "types/vector.h"

/* Searches of a chunk at most. */
#define MAX_CHUNK 4096

/* A query, by its number in the array, and where its nearest leaf is. */
typedef struct Place
{
	uint64 place;
	int query;
} Place;

#define ST_SORT sort_places
#define ST_ELEMENT_TYPE Place
#define ST_COMPARE(a, b)                                                                           \
	((a)->place != (b)->place ? ((a)->place < (b)->place ? -1 : 1) : (a)->query - (b)->query)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

typedef struct Batch
{
	AnnSearcher searcher;
	AnnScanRequest request; /* but for the query */
	int k;
	Datum *queries;
	bool *nulls;
	int num_queries;
	Place *places;         /* queries in the order in which they are searched */
	MemoryContext context; /* of a chunk */
	IndexScanDesc *scans;  /* of a chunk; NULL for a query of NULL */
	AnnSearch **searches;
	uint32 *num_leaves;
	TupleTableSlot *slot; /* a row of the result */
	Tuplesortstate *sort; /* the rows, by query and rank */
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
 * Begins as many scans, from a place on, as fit into the memory of a chunk; returns their number.
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
		wanted += begin_scan(batch, batch->places[first + num].query, num);
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
		TupleTableSlot *slot = batch->slot;

		ExecClearTuple(slot);
		slot->tts_values[0] = Int32GetDatum(query + 1);
		slot->tts_values[1] = Int32GetDatum(rank);
		slot->tts_values[2] = PointerGetDatum(&found.tid);
		slot->tts_values[3] = Float8GetDatum(found.distance);
		memset(slot->tts_isnull, false, 4);
		ExecStoreVirtualTuple(slot);
		tuplesort_puttupleslot(batch->sort, slot);
	}
}

/* Searches for the queries from a place on; returns for how many. */
static int
search_chunk(Batch *batch, int first)
{
	int num = begin_chunk(batch, first);
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	ann_search_together(batch->searches, batch->num_leaves, num);
	for (int i = 0; i < num; i++)
		if (batch->scans[i] != NULL)
		{
			put_rows(batch, batch->places[first + i].query, batch->scans[i]);
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
	batch->places = palloc_extended(sizeof(Place) * Max(batch->num_queries, 1), MCXT_ALLOC_HUGE);
	room = Min(batch->num_queries, MAX_CHUNK);
	batch->scans = palloc(sizeof(IndexScanDesc) * room);
	batch->searches = palloc(sizeof(AnnSearch *) * room);
	batch->num_leaves = palloc(sizeof(uint32) * room);
}

/* Those of the same leaves one after another. */
static void
order_queries(Batch *batch)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	for (int i = 0; i < batch->num_queries; i++)
	{
		CHECK_FOR_INTERRUPTS();
		batch->places[i].query = i;
		batch->places[i].place = 0;
		if (!batch->nulls[i])
		{
			const Vector *vector = DatumGetVector(batch->queries[i]);

			batch->places[i].place =
				ann_search_place(batch->searcher.index, vector->x, vector->dim);
		}
		MemoryContextReset(batch->context);
	}
	MemoryContextSwitchTo(old);
	sort_places(batch->places, batch->num_queries);
}

static void
begin_sort(Batch *batch, TupleDesc desc)
{
	AttrNumber attributes[] = {1, 2};
	Oid operators[] = {Int4LessOperator, Int4LessOperator};
	Oid collations[] = {InvalidOid, InvalidOid};
	bool nulls_first[] = {false, false};

	batch->slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	batch->sort = tuplesort_begin_heap(desc, 2, attributes, operators, collations, nulls_first,
									   Max(work_mem / 4, 64), NULL, TUPLESORT_NONE);
}

static void
return_rows(Batch *batch, Tuplestorestate *result, TupleDesc desc)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);

	tuplesort_performsort(batch->sort);
	while (tuplesort_gettupleslot(batch->sort, true, false, slot, NULL))
	{
		CHECK_FOR_INTERRUPTS();
		tuplestore_puttupleslot(result, slot);
	}
	tuplesort_end(batch->sort);
	ExecDropSingleTupleTableSlot(slot);
	ExecDropSingleTupleTableSlot(batch->slot);
}

/*
 * ann_search_batch(index regclass, queries vector[], k int DEFAULT 10, num_leaves_to_search int
 * DEFAULT NULL, num_reordering_candidates int DEFAULT NULL) returns setof (query int, rank int,
 * ctid tid, distance float8): for each query, numbered from 1 as in the array, the rows that
 * ann_search returns, ranked from 1; none for a query of NULL. Rows come by query and rank. Errors
 * as of ann_search. Three quarters of work_mem beside what a scan takes.
 */
ANN_FUNCTION(ann_search_batch);
Datum
ann_search_batch(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Batch batch = {0};

	InitMaterializedSRF(fcinfo, 0);
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
	order_queries(&batch);
	begin_sort(&batch, result->setDesc);
	for (int done = 0; done < batch.num_queries;)
		done += search_chunk(&batch, done);
	return_rows(&batch, result->setResult, result->setDesc);
	MemoryContextDelete(batch.context);
	ann_searcher_close(&batch.searcher);
	return (Datum) 0;
}
