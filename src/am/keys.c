/*
 * keys.c
 *	  What a plan node asks of a scan: the value of its ordering operator, and its conditions.
 *
 * NOTES
 *	  A scan follows one query and ends at one radius. With an ordering operator the query is that
 *	  of the order, and conditions of the same query give the radius. Without one it is that of the
 *	  condition with the least radius, a guess at the one that lets the fewest rows through. All
 *	  other conditions are left to the executor, which checks them for each row that is returned.
 */
#include "postgres.h"

#include "am/scan.h"
#include "types/ball.h"

/*
 * Takes the query of the ordering operator; none where all rows are equal to it: NULL, or, with
 * conditions to search by, one that orders nothing.
 */
static void
read_order(IndexScanDesc scan, const AnnTypeSupport *support, AnnScanRequest *request)
{
	float *query;

	if (scan->numberOfOrderBys == 0 || (scan->orderByData[0].sk_flags & SK_ISNULL) != 0)
		return;
	query = ann_query_copy(support, scan->orderByData[0].sk_argument, &request->dim);
	if (scan->numberOfKeys == 0 || !ann_query_orders_nothing(support, query, request->dim))
		request->query = query;
}

/* A class of somebody else's may have any operators: what they mean is not known. */
static void
check_operator(const AnnTypeSupport *support, const ScanKeyData *key)
{
	if (key->sk_strategy != ANN_WITHIN_STRATEGY || key->sk_func.fn_addr != support->within)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("access method annivf has no such search operator"),
				 errhint("Exclusion constraints and other conditions than on the distance need "
						 "another access method.")));
}

/* The request's query, if it has any, is that of the order. */
static void
add_ball(const AnnTypeSupport *support, const AnnBall *ball, bool is_ordered,
		 AnnScanRequest *request)
{
	int dim;
	float *center = ann_query_copy(support, ball->center, &dim);

	if (is_ordered &&
		(dim != request->dim || memcmp(center, request->query, sizeof(float) * dim) != 0))
		return;
	if (request->has_radius && ball->radius >= request->radius)
		return;
	request->query = center;
	request->dim = dim;
	request->has_radius = true;
	request->radius = ball->radius;
}

bool
ann_keys_read(IndexScanDesc scan, const AnnTypeSupport *support, AnnScanRequest *request,
			  bool *recheck)
{
	bool is_ordered;

	read_order(scan, support, request);
	is_ordered = request->query != NULL;
	for (int i = 0; i < scan->numberOfKeys; i++)
	{
		const ScanKeyData *key = &scan->keyData[i];
		AnnBall ball;

		check_operator(support, key);
		if ((key->sk_flags & SK_ISNULL) != 0 || !ann_ball_read(key->sk_argument, &ball))
			return false;
		ann_ball_check_radius(ball.radius);
		add_ball(support, &ball, is_ordered, request);
	}
	request->any_order = request->has_radius && !is_ordered;
	*recheck = scan->numberOfKeys > (request->has_radius ? 1 : 0);
	return true;
}
