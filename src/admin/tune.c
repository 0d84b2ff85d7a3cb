/*
 * tune.c
 *	  The cheapest settings of a search that reach a recall, measured on rows of the table itself.
 *
 * NOTES
 *	  A sample of the rows are the queries, each without itself among its answers. Two passes over
 *	  the table find them and the distances of their true neighbours; then the index is searched for
 *	  them under one setting after the other. What a setting costs is reckoned from the work that it
 *	  makes, so that the choice is the same every time: only the time told with it is measured.
 */
#include "postgres.h"

#include <math.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"

#include "admin/searcher.h"
#include "am/support.h"
#include "core/rng.h"

/*
 * Nanoseconds, about: a leaf visited, a 4-bit block of a code scored, a row read (and each
 * dimension).
 */
#define COST_LEAF 300
#define COST_CODE_BLOCK 0.03
#define COST_ROW 400
#define COST_ROW_DIM 0.5

typedef struct TuneQuery
{
	AnnTid tid; /* of the row, as the index has it */
	float *values;
	double *nearest; /* a heap of the k least distances so far, greatest first */
	int num_nearest;
} TuneQuery;

typedef struct Tune
{
	AnnSearcher searcher;
	TuneQuery *queries;
	int num;
	int room;
	int k;
	int dim; /* of the first row met */
	int64 num_seen;
	AnnRng rng;
	MemoryContext context;
	MemoryContext row_context; /* reset per row */
} Tune;

/* A setting, and what came of it. */
typedef struct Outcome
{
	int num_leaves;
	int num_candidates; /* -1: best first, as the bound says */
	double recall;
	double cost;
	double milliseconds; /* a query */
} Outcome;

/* ---- queries and their true neighbours ---- */

/* The elements of a row's value, in the row's memory; NULL where no distance is a number. */
static const float *
row_values(Tune *tune, Datum value)
{
	const AnnTypeSupport *support = tune->searcher.support;
	struct varlena *detoasted = PG_DETOAST_DATUM(value);
	int dim = ann_value_dim(support, detoasted, tune->dim);
	const float *values = support->floats(detoasted, palloc(sizeof(float) * dim));

	tune->dim = dim;
	return ann_query_orders_nothing(support, values, dim) ? NULL : values;
}

static void
keep_query(Tune *tune, TuneQuery *query, AnnTid tid, const float *values)
{
	if (query->values == NULL)
	{
		query->values = MemoryContextAlloc(tune->context, sizeof(float) * tune->dim);
		query->nearest = MemoryContextAllocHuge(tune->context, sizeof(double) * tune->k);
	}
	query->tid = tid;
	memcpy(query->values, values, sizeof(float) * tune->dim);
}

/* Vitter's algorithm R. */
static void
sample_row(Tune *tune, AnnTid tid, const float *values)
{
	int64 place = tune->num_seen++;

	if (place >= tune->room)
		place = (int64) ann_rng_below(&tune->rng, (uint64) tune->num_seen);
	else
		tune->num++;
	if (place < tune->room)
		keep_query(tune, &tune->queries[place], tid, values);
}

static void
sift_down(double *heap, int num)
{
	for (int i = 0, child; (child = 2 * i + 1) < num; i = child)
	{
		double value = heap[i];

		if (child + 1 < num && heap[child + 1] > heap[child])
			child++;
		if (value >= heap[child])
			break;
		heap[i] = heap[child];
		heap[child] = value;
	}
}

static void
add_distance(TuneQuery *query, int k, double distance)
{
	double *heap = query->nearest;

	if (query->num_nearest == k)
	{
		if (distance < heap[0])
		{
			heap[0] = distance;
			sift_down(heap, k);
		}
		return;
	}
	heap[query->num_nearest] = distance;
	for (int i = query->num_nearest++; i > 0 && heap[(i - 1) / 2] < heap[i]; i = (i - 1) / 2)
	{
		double value = heap[i];

		heap[i] = heap[(i - 1) / 2];
		heap[(i - 1) / 2] = value;
	}
}

/* A row of the table: of the first pass, which samples, or the second. */
static void
visit_row(Tune *tune, ItemPointer pointer, Datum value, bool sample)
{
	MemoryContext old = MemoryContextSwitchTo(tune->row_context);
	AnnTid tid = ann_tid_from_pointer(pointer);
	const float *values = row_values(tune, value);

	for (int i = 0; !sample && i < tune->num && values != NULL; i++)
	{
		TuneQuery *query = &tune->queries[i];
		double distance = tune->searcher.support->distance(values, query->values, tune->dim);

		if (!isnan(distance) && ann_tid_order(tid) != ann_tid_order(query->tid))
			add_distance(query, tune->k, distance);
	}
	if (sample && values != NULL)
		sample_row(tune, tid, values);
	MemoryContextSwitchTo(old);
	MemoryContextReset(tune->row_context);
}

static void
sample_visitor(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	if (!isnull[0])
		visit_row(arg, tid, values[0], true);
}

static void
truth_visitor(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *arg)
{
	if (!isnull[0])
		visit_row(arg, tid, values[0], false);
}

/* ---- searches ---- */

/* The true neighbours of a query that the index finds; adds the work to *cost. */
static int
search(Tune *tune, const TuneQuery *query, const Outcome *setting, double *cost)
{
	AnnScanRequest request = {
		.query = query->values,
		.dim = tune->dim,
		.num_leaves = setting->num_leaves,
		.num_candidates = setting->num_candidates,
		.num_rows = tune->k,
	};
	IndexScanDesc scan = ann_searcher_begin(&tune->searcher, &request);
	AnnSearch *state;
	AnnFound found;
	int num = 0;
	int hits = 0;

	while (num < tune->k && ann_searcher_next(&tune->searcher, scan, &found))
		if (ann_tid_order(found.entry) != ann_tid_order(query->tid))
		{
			num++;
			hits += query->num_nearest > 0 && found.distance <= query->nearest[0];
		}
	state = ann_scan_search(scan);
	if (state != NULL)
		*cost += COST_LEAF * state->stats->leaves_searched +
				 COST_CODE_BLOCK * state->model.layout.num_blocks * state->stats->codes_scanned +
				 (COST_ROW + COST_ROW_DIM * tune->dim) * state->stats->candidates;
	index_endscan(scan);
	return Min(hits, query->num_nearest);
}

static void
measure(Tune *tune, Outcome *outcome)
{
	MemoryContext searches =
		AllocSetContextCreate(CurrentMemoryContext, "ann tuning", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(searches);
	double wanted = 0;
	double hits = 0;
	instr_time start;
	instr_time end;

	outcome->cost = 0;
	INSTR_TIME_SET_CURRENT(start);
	for (int i = 0; i < tune->num; i++)
	{
		CHECK_FOR_INTERRUPTS();
		hits += search(tune, &tune->queries[i], outcome, &outcome->cost);
		wanted += tune->queries[i].num_nearest;
		MemoryContextReset(searches);
	}
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(searches);
	outcome->milliseconds = INSTR_TIME_GET_MILLISEC(end) / tune->num;
	outcome->recall = wanted > 0 ? hits / wanted : 1;
}

/*
 * The fewest leaves, from `low` to `high`, that reach the target with a number of candidates:
 * doubled until they do, then halved into. False when even `high` do not; *outcome is that of
 * `high` then.
 */
static bool
fewest_leaves(Tune *tune, int low, int high, int num_candidates, double target, Outcome *outcome)
{
	int reached;
	int tried = low;

	*outcome = (Outcome){.num_leaves = Min(low, high), .num_candidates = num_candidates};
	measure(tune, outcome);
	while (outcome->recall < target && outcome->num_leaves < high)
	{
		tried = outcome->num_leaves;
		outcome->num_leaves = Min(2.0 * tried, high);
		measure(tune, outcome);
	}
	if (outcome->recall < target)
		return false;
	reached = outcome->num_leaves;
	while (reached - tried > 1 + tried / 32)
	{
		Outcome middle = {.num_leaves = tried + (reached - tried) / 2,
						  .num_candidates = num_candidates};

		measure(tune, &middle);
		if (middle.recall >= target)
		{
			reached = middle.num_leaves;
			*outcome = middle;
		}
		else
			tried = middle.num_leaves;
	}
	return true;
}

/* By the bound first; then by counts of candidates, which may be cheaper; at last everything. */
static void
find_cheapest(Tune *tune, int num_leaves, double target, Outcome *best)
{
	if (fewest_leaves(tune, 1, num_leaves, -1, target, best))
	{
		int most = best->num_leaves > num_leaves / 2 ? num_leaves : 2 * best->num_leaves;
		int least = best->num_leaves;

		for (int times = 2; times <= 8; times *= 2)
		{
			Outcome counted;

			if ((int64) tune->k * times < INT_MAX &&
				fewest_leaves(tune, least, most, tune->k * times, target, &counted) &&
				counted.cost < best->cost)
				*best = counted;
		}
	}
	else
	{
		best->num_candidates = INT_MAX;
		measure(tune, best);
	}
}

/* ---- the function ---- */

static void
check_arguments(double target, int k, int sample)
{
	if (!(target > 0 && target <= 1))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("target_recall must be above 0 and at most 1")));
	if (k < 1 || sample < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s must be at least 1", k < 1 ? "k" : "sample")));
}

static void
open_tune(Tune *tune, Oid index_oid, AnnMetaData *meta)
{
	Relation index;

	ann_searcher_open(&tune->searcher, index_oid);
	index = tune->searcher.index;
	ann_index_meta(index, meta);
	if (meta->model == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("index \"%s\" has not been trained", RelationGetRelationName(index)),
						errhint("It is trained by VACUUM when it has more than %d rows, or by "
								"ann_train().",
								ANN_TRAIN_ROWS)));
	tune->dim = meta->dim;
	if ((sizeof(TuneQuery) + sizeof(float) * (double) tune->dim +
		 sizeof(double) * (double) tune->k) *
			tune->room >
		maintenance_work_mem * 1024.0)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("%d rows with %d neighbours each do not fit maintenance_work_mem",
							   tune->room, tune->k),
						errhint("Raise maintenance_work_mem, or ask for fewer.")));
	tune->context = CurrentMemoryContext;
	tune->row_context =
		AllocSetContextCreate(CurrentMemoryContext, "ann tuning row", ALLOCSET_DEFAULT_SIZES);
	tune->queries =
		palloc_extended(sizeof(TuneQuery) * (Size) tune->room, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	ann_rng_seed(&tune->rng, meta->options.seed + UINT64_C(0x74756e65));
}

/*
 * ann_tune(index regclass, target_recall float8 DEFAULT 0.95, k int DEFAULT 10, sample int DEFAULT
 * 100) returns one row: num_leaves_to_search int, num_reordering_candidates int (-1: automatic),
 * recall float8, ms_per_query float8. The cheapest setting by which k rows near each of a sample of
 * the table's rows (that row left out) are found with that recall, and what was measured with it;
 * of an index without rows NULL. Rows lie nearer to the data than most queries do, so what serves
 * them is a lower end for these. The same for the same rows, seed of the index and settings, but
 * for ms_per_query. Two passes over the table, expressions with the rights of its owner, then some
 * 20 to 40 searches for each row of the sample. Errors: ann_searcher_open's;
 * INVALID_PARAMETER_VALUE; OBJECT_NOT_IN_PREREQUISITE_STATE for an index that is not trained;
 * PROGRAM_LIMIT_EXCEEDED where the sample does not fit maintenance_work_mem.
 */
ANN_FUNCTION(ann_tune);
Datum
ann_tune(PG_FUNCTION_ARGS)
{
	double target = PG_GETARG_FLOAT8(1);
	Tune tune = {.k = PG_GETARG_INT32(2), .room = PG_GETARG_INT32(3)};
	Datum values[4] = {0};
	bool nulls[4] = {true, true, true, true};
	AnnMetaData meta;
	TupleDesc desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	check_arguments(target, tune.k, tune.room);
	open_tune(&tune, PG_GETARG_OID(0), &meta);
	ann_admin_scan_rows(tune.searcher.heap, tune.searcher.index, GetActiveSnapshot(),
						sample_visitor, &tune);
	ann_admin_scan_rows(tune.searcher.heap, tune.searcher.index, GetActiveSnapshot(), truth_visitor,
						&tune);
	if (tune.num > 0)
	{
		Outcome best;

		find_cheapest(&tune, (int) meta.num_leaves, target, &best);
		values[0] = Int32GetDatum(best.num_leaves);
		values[1] = Int32GetDatum(best.num_candidates);
		values[2] = Float8GetDatum(best.recall);
		values[3] = Float8GetDatum(best.milliseconds);
		memset(nulls, false, sizeof(nulls));
	}
	ann_searcher_close(&tune.searcher);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
