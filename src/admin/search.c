/*
 * search.c
 *	  The nearest rows of a vector as an SQL function, with what the index thought of them.
 */
#include "postgres.h"

#include <math.h>

#include "access/genam.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/rel.h"

#include "compat.h"

#include "admin/codec.h"
#include "admin/searcher.h"
#include "am/support.h"
#include "store/tree.h"
#include "types/vector.h"

/* Rows looked up in the leaves at a time: at most so many, or what a share of work_mem holds. */
#define MAX_BATCH 1024

typedef struct Batch
{
	AnnFound *found;
	AnnLocated *located; /* in the same order */
	int num;
	int room;
} Batch;

static void
init_batch(Batch *batch, const AnnSearch *search, int k)
{
	Size codes = search == NULL ? 0 : search->model.layout.num_blocks;
	Size bytes = sizeof(AnnFound) + sizeof(AnnLocated) + codes;

	batch->num = 0;
	batch->room = (int) Max(Min((Size) work_mem * 1024 / 4 / bytes, (Size) Min(k, MAX_BATCH)), 1);
	batch->found = palloc(sizeof(AnnFound) * batch->room);
	batch->located = palloc0(sizeof(AnnLocated) * batch->room);
	for (int i = 0; i < batch->room; i++)
		batch->located[i].codes = palloc(Max(codes, 1));
}

/* The distance of the query to what the row's code stands for. */
static double
approximate_distance(const AnnSearcher *searcher, const AnnModel *model, const AnnLocated *row,
					 const float *query, float *centroid, float *decoded)
{
	ItemPointerData place;

	ann_tid_to_pointer(row->place, &place);
	ann_tree_centroid(searcher->index, model, ItemPointerGetBlockNumberNoCheck(&place),
					  ItemPointerGetOffsetNumberNoCheck(&place) - 1, centroid);
	ann_codec_decode(model, row->codes, row->scale, centroid, decoded);
	return searcher->support->distance(decoded, query, model->dim);
}

/* Puts the rows of a batch out; search: NULL where the index has no leaves. */
static void
put_batch(const AnnSearcher *searcher, AnnSearch *search, const float *query, Batch *batch,
		  ReturnSetInfo *result)
{
	const AnnModel *model = NULL;
	float *scratch = NULL;
	AnnMetaData meta;

	if (search != NULL)
	{
		ann_search_locate(search, batch->located, batch->num);
		ann_index_meta(searcher->index, &meta);
		model = ann_model_get(searcher->index, &meta);
		scratch = palloc(sizeof(float) * 2 * model->dim);
	}
	for (int i = 0; i < batch->num; i++)
	{
		const AnnLocated *row = &batch->located[i];
		Datum values[4] = {0};
		bool nulls[4] = {false, false, true, true};

		values[0] = PointerGetDatum(&batch->found[i].tid);
		values[1] = Float8GetDatum(batch->found[i].distance);
		if (model != NULL && row->found)
		{
			values[2] = ann_model_is_flat(model)
							? values[1]
							: Float8GetDatum(approximate_distance(searcher, model, row, query,
																  scratch, scratch + model->dim));
			values[3] = Int32GetDatum((int32) row->leaf);
			nulls[2] = nulls[3] = false;
		}
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	if (scratch != NULL)
		pfree(scratch);
	batch->num = 0;
}

static void
search_rows(AnnSearcher *searcher, const AnnScanRequest *request, int k, ReturnSetInfo *result)
{
	IndexScanDesc scan = ann_searcher_begin(searcher, request);
	Batch batch = {0};
	AnnFound found;

	for (int num = 0; num < k && ann_searcher_next(searcher, scan, &found); num++)
	{
		if (batch.room == 0)
			init_batch(&batch, ann_scan_search(scan), k);
		batch.found[batch.num] = found;
		batch.located[batch.num].tid = found.entry;
		if (++batch.num == batch.room)
			put_batch(searcher, ann_scan_search(scan), request->query, &batch, result);
	}
	if (batch.num > 0)
		put_batch(searcher, ann_scan_search(scan), request->query, &batch, result);
	index_endscan(scan);
}

/*
 * ann_search(index regclass, q vector, k int DEFAULT 10, num_leaves_to_search int DEFAULT NULL,
 * num_reordering_candidates int DEFAULT NULL) returns setof (ctid tid, distance float8,
 * approx_distance float8, leaf int): the rows that ORDER BY the index's operator would return
 * first, k of them or all, but for those with NULL. As k is known, the leaves of rank k are
 * searched before the first row. distance: the operator's; leaf: the best ranked of the searched
 * leaves where the row stands; approx_distance: to what its code there stands for (of a flat index:
 * the distance). Both NULL for a row of the exact leaf. NULL settings: those of the session, then
 * of the index. One batch of rows in memory (a quarter of work_mem) beside what a scan takes.
 * Errors: ann_searcher_open's, other dimensions (DATA_EXCEPTION), a count out of range
 * (INVALID_PARAMETER_VALUE), INDEX_CORRUPTED.
 */
ANN_FUNCTION(ann_search);
Datum
ann_search(PG_FUNCTION_ARGS)
{
	AnnScanRequest request = {0};
	AnnSearcher searcher;
	int k;

	InitMaterializedSRF(fcinfo, 0);
	k = ann_searcher_count(fcinfo, 2, "k", 1);
	request.num_leaves = ann_searcher_count(fcinfo, 3, "num_leaves_to_search", 1);
	request.num_candidates = ann_searcher_count(fcinfo, 4, "num_reordering_candidates", 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || k < 0)
		return (Datum) 0;
	request.query = PG_GETARG_VECTOR(1)->x;
	request.dim = PG_GETARG_VECTOR(1)->dim;
	request.num_rows = k;
	ann_searcher_open(&searcher, PG_GETARG_OID(0));
	search_rows(&searcher, &request, k, (ReturnSetInfo *) fcinfo->resultinfo);
	ann_searcher_close(&searcher);
	return (Datum) 0;
}
