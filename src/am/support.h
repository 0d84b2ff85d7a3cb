/*
 * support.h
 *	  Values of the indexed column as the codec wants them.
 */
#ifndef ANN_AM_SUPPORT_H
#define ANN_AM_SUPPORT_H

#include "am/am.h"

/*
 * Dimensions of a detoasted value; ERRCODE_DATA_EXCEPTION when they are not the expected ones (0:
 * anything goes).
 */
extern int ann_value_dim(const AnnTypeSupport *support, const struct varlena *value, int expected);

/*
 * x = the row in the model's coordinates: normalised under cosine, the mean (NULL: none) taken off.
 * False when the row belongs into the exact leaf; x is then undefined.
 */
extern bool
ann_row_prepare(AnnMetric metric, int dim, const float *mean, const float *values, float *x);

#endif
