/*
 * metric.h
 *	  What the metrics have in common and where they differ, as data.
 */
#ifndef ANN_STORE_METRIC_H
#define ANN_STORE_METRIC_H

#include "core/absolute.h"
#include "store/format.h"

typedef struct AnnMetricTraits
{
	const char *name;     /* in ann_index_info() */
	const char *operator; /* whose results are ordered, whatever its schema */
	AnnCodeForm
		form; /* of the codes; leaves are ranked by inner product or, but for that one, by L2 */
	bool normalised; /* rows and queries are brought to length 1 */
	bool needs_norm; /* a row of length 0 has no distance: it belongs into the exact leaf */
	bool is_bits; /* elements are 0 or 1; the mean stays on, the codebook is ann_bits_codebook's */
} AnnMetricTraits;

/* NULL: there is no such metric. */
extern const AnnMetricTraits *ann_metric_traits(AnnMetric metric);

#endif
