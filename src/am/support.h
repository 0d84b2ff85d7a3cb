/*
 * support.h
 *	  Values of the indexed column as the codec wants them.
 */
#ifndef ANN_AM_SUPPORT_H
#define ANN_AM_SUPPORT_H

#include "am/am.h"

/* What a sound metapage says that index's operator class and column do not; NULL: nothing. */
extern const char *ann_meta_misfit(Relation index, const AnnMetaData *meta);

/* ann_meta_read, and its error as well where the file is that of another index. */
extern void ann_index_meta(Relation index, AnnMetaData *meta);

/*
 * Dimensions of a detoasted value; ERRCODE_DATA_EXCEPTION when they are not the expected ones (0:
 * anything goes), or too many or none at all.
 */
extern int ann_value_dim(const AnnTypeSupport *support, const struct varlena *value, int expected);

/*
 * Of a vector in the place of an indexed value: DATA_EXCEPTION where values are strings of bits and
 * it has other elements than 0 and 1.
 */
extern void ann_check_elements(const AnnTypeSupport *support, const float *values, int dim);

/*
 * x = the row in the model's coordinates: normalised where the metric's traits say so, the mean
 * (NULL: none) taken off. False when the row belongs into the exact leaf; x is then undefined.
 */
extern bool
ann_row_prepare(AnnMetric metric, int dim, const float *mean, const float *values, float *x);

#endif
