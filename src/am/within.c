/*
 * within.c
 *	  What the planner is told of conditions on a distance: that an index can answer them, and how
 *	  many rows they let through.
 *
 * NOTES
 *	  l2_within(column, q, r) becomes column <<->> (q, r), by the operator of the class whose
 *	  function is the same C function: that is how a function is known to fit a class, whatever
 *	  schema and names either has.
 *
 *	  The share of the rows within is taken from the sample of values that ANALYZE leaves in
 *	  pg_statistic: the most common ones, and the bounds of the histogram, which lie evenly in an
 *	  order that has nothing to do with distances. Their distances from q are computed, some
 *	  hundred. A share below a tenth is too little for that sample. There the distances d are taken
 *	  to thin out exponentially, at the rate at which they do within the first tenth, up to d': the
 *	  share is tenth * exp((r - d') / mean of (d' - d)). Of values of over 1 kB ANALYZE keeps none,
 *	  of a query that is not known there are no distances: DEFAULT_SHARE.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_statistic.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "utils/catcache.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"

#include "am/scan.h"
#include "types/ball.h"

/* As the server's own contsel() has it. */
#define DEFAULT_SHARE 0.001
/* Fewer distances than this say nothing. */
#define MIN_SAMPLE 10
/* The part of the sample by which smaller parts are judged. */
#define TAIL 0.1

/* ---- conditions for an index ---- */

/*
 * The search operator of a family whose function is the same as this one; InvalidOid: there is
 * none.
 */
static Oid
find_operator(Oid family, Oid type, Oid function, Oid *ball_type)
{
	CatCList *members = SearchSysCacheList1(AMOPSTRATEGY, ObjectIdGetDatum(family));
	Oid found = InvalidOid;
	const AnnTypeSupport *wanted;
	FmgrInfo info;

	fmgr_info(function, &info);
	wanted = ann_support_of_within(&info);
	for (int i = 0; i < members->n_members && wanted != NULL && !OidIsValid(found); i++)
	{
		Form_pg_amop amop = (Form_pg_amop) GETSTRUCT(&members->members[i]->tuple);

		if (amop->amoplefttype != type || ann_support_of_search(amop) != wanted)
			continue;
		found = amop->amopopr;
		*ball_type = amop->amoprighttype;
	}
	ReleaseCatCacheList(members);
	return found;
}

/* column <<->> (query, radius), of a call whose column is the first or the second argument. */
static Node *
index_condition(SupportRequestIndexCondition *request)
{
	RowExpr *ball = makeNode(RowExpr);
	List *args;
	Node *column;
	Node *query;
	Node *radius;
	Oid opno;

	if (!IsA(request->node, FuncExpr))
		return NULL;
	args = ((FuncExpr *) request->node)->args;
	if (list_length(args) != 3 || request->indexarg > 1)
		return NULL;
	column = list_nth(args, request->indexarg);
	query = list_nth(args, 1 - request->indexarg);
	radius = lthird(args);
	opno = find_operator(request->opfamily, request->index->opcintype[request->indexcol],
						 request->funcid, &ball->row_typeid);
	if (!OidIsValid(opno) || !is_pseudo_constant_for_index(request->root, query, request->index) ||
		!is_pseudo_constant_for_index(request->root, radius, request->index))
		return NULL;
	ball->args = list_make2(query, radius);
	ball->row_format = COERCE_EXPLICIT_CAST;
	ball->location = -1;
	request->lossy = false;
	return (Node *) list_make1(make_opclause(
		opno, BOOLOID, false, (Expr *) column,
		(Expr *) eval_const_expressions(request->root, (Node *) ball), InvalidOid, InvalidOid));
}

/* ---- selectivity ---- */

/* The known parts of a condition; distances are those from the center. */
typedef struct Condition
{
	const AnnTypeSupport *support;
	Oid function;
	AnnBall ball;
} Condition;

typedef struct Sampled
{
	double distance;
	double share; /* of all rows that it stands for */
} Sampled;

typedef struct Sample
{
	Sampled *items;
	int num;
} Sample;

static int
compare_sampled(const void *left, const void *right)
{
	double a = ((const Sampled *) left)->distance;
	double b = ((const Sampled *) right)->distance;

	return (a > b) - (a < b);
}

/*
 * Values of other dimensions have no distance: a query that comes to them fails, planning does not.
 */
static void
add_values(Sample *sample, const Condition *condition, const float *query, int dim,
		   const AttStatsSlot *slot, double share)
{
	const AnnTypeSupport *support = condition->support;
	float *scratch = palloc(sizeof(float) * Max(dim, 1));

	for (int i = 0; i < slot->nvalues; i++)
	{
		struct varlena *value = PG_DETOAST_DATUM(slot->values[i]);
		double distance;

		if (support->dim(value) != dim)
			continue;
		distance = support->distance(support->floats(value, scratch), query, dim);
		if (isnan(distance))
			continue;
		sample->items[sample->num].distance = distance;
		sample->items[sample->num++].share = slot->nnumbers > 0 ? slot->numbers[i] : share;
	}
}

/* The share of rows within, from distances and what each stands for. */
static double
share_of_sample(Sample *sample, double radius)
{
	double tail = 0;
	double excess = 0;
	double share = 0;
	int last = 0;

	qsort(sample->items, sample->num, sizeof(Sampled), compare_sampled);
	for (int i = 0; i < sample->num && tail < TAIL; i++)
	{
		tail += sample->items[i].share;
		last = i;
	}
	if (radius > sample->items[last].distance)
	{
		for (int i = 0; i < sample->num && sample->items[i].distance < radius; i++)
			share += sample->items[i].share;
		return share;
	}
	for (int i = 0; i <= last; i++)
		excess +=
			sample->items[i].share * (sample->items[last].distance - sample->items[i].distance);
	/* All the same: what lies below is nothing that the sample knows of. */
	if (!(excess > 0) || isinf(excess))
		return 0;
	return tail * exp((radius - sample->items[last].distance) * tail / excess);
}

/* The share of the rows that a condition on a column lets through, as its statistics tell. */
static double
share_by_statistics(const VariableStatData *column, const Condition *condition)
{
	double nulls = ((Form_pg_statistic) GETSTRUCT(column->statsTuple))->stanullfrac;
	double common = 0;
	double share = DEFAULT_SHARE;
	Sample sample = {NULL, 0};
	AttStatsSlot values = {0};
	AttStatsSlot bounds = {0};
	int dim;
	float *query = ann_query_copy(condition->support, condition->ball.center, &dim);

	(void) get_attstatsslot(&values, column->statsTuple, STATISTIC_KIND_MCV, InvalidOid,
							ATTSTATSSLOT_VALUES | ATTSTATSSLOT_NUMBERS);
	(void) get_attstatsslot(&bounds, column->statsTuple, STATISTIC_KIND_HISTOGRAM, InvalidOid,
							ATTSTATSSLOT_VALUES);
	for (int i = 0; i < values.nnumbers; i++)
		common += values.numbers[i];
	sample.items = palloc(sizeof(Sampled) * (values.nvalues + bounds.nvalues + 1));
	add_values(&sample, condition, query, dim, &values, 0);
	add_values(&sample, condition, query, dim, &bounds,
			   Max(1 - nulls - common, 0) / Max(bounds.nvalues, 1));
	/* Without a histogram the common values are all that there are. */
	if (sample.num >= (bounds.nvalues > 0 ? MIN_SAMPLE : 1))
		share = share_of_sample(&sample, condition->ball.radius);
	free_attstatsslot(&values);
	free_attstatsslot(&bounds);
	return share;
}

/* The same of an expression that may be a column with statistics which the user may look at. */
static double
share_within(PlannerInfo *root, Node *column, int rel, const Condition *condition)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "annivf estimate", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	VariableStatData data;
	double share = DEFAULT_SHARE;

	examine_variable(root, column, rel, &data);
	old = MemoryContextSwitchTo(context);
	if (data.rel != NULL && HeapTupleIsValid(data.statsTuple) &&
		statistic_proc_security_check(&data, condition->function))
		share = share_by_statistics(&data, condition);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	ReleaseVariableStats(data);
	return Min(Max(share, 0), 1);
}

/* Is it a constant, as far as is known when a query is planned? */
static bool
is_known(PlannerInfo *root, Node *expression, Const **value)
{
	Node *estimate = estimate_expression_value(root, expression);

	*value = (Const *) estimate;
	return IsA(estimate, Const);
}

/* Takes what is known of the right side: true where all of it is; *share what to say if not. */
static bool
know_ball(PlannerInfo *root, List *args, int center, Condition *condition, double *share)
{
	Const *first;
	Const *second;

	*share = DEFAULT_SHARE;
	if (!is_known(root, list_nth(args, center), &first))
		return false;
	*share = 0;
	if (first->constisnull)
		return false;
	if (list_length(args) == 2)
		return ann_ball_read(first->constvalue, &condition->ball);
	*share = DEFAULT_SHARE;
	if (!is_known(root, lthird(args), &second))
		return false;
	*share = 0;
	if (second->constisnull)
		return false;
	condition->ball.center = first->constvalue;
	condition->ball.radius = DatumGetFloat8(second->constvalue);
	return true;
}

/*
 * The share of rows for arguments of a function or operator: the column first or, of three, second.
 * What is wrong with them is for the executor to say.
 */
static double
share_of_call(PlannerInfo *root, Oid function, List *args, int rel)
{
	Condition condition = {.function = function};
	FmgrInfo info;
	double share = DEFAULT_SHARE;
	int column = 0;

	fmgr_info(function, &info);
	condition.support = ann_support_of_within(&info);
	if (condition.support == NULL || list_length(args) < 2)
		return DEFAULT_SHARE;
	if (list_length(args) == 3 && contain_var_clause(lsecond(args)))
		column = 1;
	if (contain_var_clause(list_nth(args, 1 - column)) ||
		!know_ball(root, args, 1 - column, &condition, &share))
		return share;
	return share_within(root, list_nth(args, column), rel, &condition);
}

/*
 * within_support(internal) returns internal: the planner's support function of l2_within() and so
 * on. Conditions for an index whose class has the operator of the same function, and selectivity.
 */
ANN_FUNCTION(ann_within_support);
Datum
ann_within_support(PG_FUNCTION_ARGS)
{
	Node *node = (Node *) PG_GETARG_POINTER(0);
	Node *answer = NULL;

	if (IsA(node, SupportRequestIndexCondition))
		answer = index_condition((SupportRequestIndexCondition *) node);
	else if (IsA(node, SupportRequestSelectivity))
	{
		SupportRequestSelectivity *request = (SupportRequestSelectivity *) node;

		request->selectivity = request->is_join ? DEFAULT_SHARE
												: share_of_call(request->root, request->funcid,
																request->args, request->varRelid);
		answer = node;
	}
	PG_RETURN_POINTER(answer);
}

/*
 * within_sel(internal, oid, internal, integer) returns float8: the restriction estimator of <<->>
 * and so on, which says the same. (That for joins is the server's contjoinsel: DEFAULT_SHARE.)
 */
ANN_FUNCTION(ann_within_sel);
Datum
ann_within_sel(PG_FUNCTION_ARGS)
{
	PlannerInfo *root = (PlannerInfo *) PG_GETARG_POINTER(0);
	List *args = (List *) PG_GETARG_POINTER(2);

	PG_RETURN_FLOAT8(share_of_call(root, get_opcode(PG_GETARG_OID(1)), args, PG_GETARG_INT32(3)));
}

/* ---- paths ---- */

/* Is the center of a ball, an expression, the same as the query of an ordering operator? */
static bool
is_center(Node *ball, Node *query)
{
	AnnBall known;

	if (IsA(ball, RowExpr))
		return equal(linitial(((RowExpr *) ball)->args), query);
	if (IsA(ball, FuncExpr) && ((FuncExpr *) ball)->args != NIL)
		return equal(linitial(((FuncExpr *) ball)->args), query);
	if (!IsA(ball, Const) || !IsA(query, Const) || ((Const *) ball)->constisnull ||
		((Const *) query)->constisnull || !ann_ball_read(((Const *) ball)->constvalue, &known))
		return false;
	return datum_image_eq(known.center, ((Const *) query)->constvalue, false, -1);
}

bool
ann_within_ends(const IndexPath *path)
{
	ListCell *cell;
	Node *order;

	if (path->indexclauses == NIL || path->indexorderbys == NIL)
		return path->indexclauses != NIL;
	order = (Node *) lsecond(((OpExpr *) linitial(path->indexorderbys))->args);
	foreach (cell, get_quals_from_indexclauses(path->indexclauses))
	{
		OpExpr *clause = (OpExpr *) ((RestrictInfo *) lfirst(cell))->clause;

		if (is_center((Node *) lsecond(clause->args), order))
			return true;
	}
	return false;
}
