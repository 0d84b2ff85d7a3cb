/*
 * radius.c
 *	  Where a scan with a radius ends.
 *
 * NOTES
 *	  No row beyond the radius is queued. The scan ends where the leaves searched are enough for one
 *	  row more than those within, as the ordered scan has it, and hold one that is not within, by
 *	  its key or its distance.
 *
 *	  If no order is asked for, rows go out as they are found, and a row of a leaf that was searched
 *	  late is as good as any. So the scan goes on to 1.3 times the leaves that it had searched when
 *	  it found a row last: where none of them had another one, the next ones hardly will. Of queries
 *	  far from all rows, whose neighbours lie scattered, that finds many more: 20,000 random rows of
 *	  8 dimensions, the centre of their cube, 322 rows within .5: 321 instead of 156. A radius with
 *	  no row in the first leaves costs nothing more.
 */
#include "postgres.h"

#include <math.h>

#include "am/scan.h"

/* Keys are lower bounds, so one that is equal to the radius is beyond. */
bool
ann_radius_set(AnnScan *so)
{
	const AnnScanRequest *request = &so->request;

	so->radius_key = INFINITY;
	if (!request->has_radius || request->radius == INFINITY)
		return true;
	if (so->support->metric != ANN_METRIC_IP && request->radius <= 0)
		return false;
	so->radius_key = nextafter(ann_query_key(so->support->metric, request->radius), -INFINITY);
	return true;
}

bool
ann_radius_is_reached(const AnnScan *so)
{
	float key;

	if (!so->request.has_radius)
		return false;
	if (so->search == NULL)
		return true;
	if (!ann_search_next_key(so->search, &key))
		return so->saw_beyond;
	return so->num_candidates > 0 ? so->num_to_read == 0 && so->saw_beyond : key > so->radius_key;
}

bool
ann_radius_wants_more(const AnnScan *so)
{
	return so->request.any_order && so->search != NULL &&
		   so->search->num_searched < so->num_fruitful * ANN_EXTEND_AHEAD;
}
