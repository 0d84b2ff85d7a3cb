/*
 * metric.c
 *	  What the metrics have in common and where they differ, as data.
 */
#include "postgres.h"

#include "store/metric.h"

/*
 * Strings of bits are coded alike for both of their distances. For Jaccard they are brought to
 * length 1 first, so that leaves hold strings of like direction: that many bits are set is then no
 * distance, and |x - y|^2 = 2 - 2 common / sqrt(bits of x * bits of y) orders rows nearly as the
 * distance does.
 */
static const AnnMetricTraits traits[] = {
	[ANN_METRIC_L2] = {.name = "l2", .operator= "<->", .form = ANN_CODE_L2},
	[ANN_METRIC_IP] = {.name = "ip", .operator= "<#>", .form = ANN_CODE_IP},
	[ANN_METRIC_COSINE] = {.name = "cosine",
						   .operator= "<=>",
						   .form = ANN_CODE_L2,
						   .normalised = true,
						   .needs_norm = true},
	[ANN_METRIC_L1] = {.name = "l1", .operator= "<+>", .form = ANN_CODE_L1},
	[ANN_METRIC_HAMMING] = {.name = "hamming",
							.operator= "<~>",
							.form = ANN_CODE_L1,
							.is_bits = true},
	[ANN_METRIC_JACCARD] = {.name = "jaccard",
							.operator= "<%>",
							.form = ANN_CODE_OVERLAP,
							.normalised = true,
							.is_bits = true},
};

const AnnMetricTraits *
ann_metric_traits(AnnMetric metric)
{
	uint32 number = metric;

	return number < lengthof(traits) && traits[number].name != NULL ? &traits[number] : NULL;
}
