/*
 * encode.h
 *	  One row coded and appended to its leaf: what insert and the absorption by vacuum share.
 */
#ifndef ANN_AM_ENCODE_H
#define ANN_AM_ENCODE_H

#include "am/am.h"
#include "store/tids.h"

/*
 * Descends, encodes and appends a detoasted value of the right dimensions, to two leaves where the
 * model says so. False when it belongs into the exact leaf, or (exact given) is no longer there;
 * nothing has changed then. exact: the row's place in the exact leaf, erased in the WAL record of
 * its primary entry. Allocates scratch in the current context.
 */
extern bool ann_encode_and_append(Relation index, const AnnTypeSupport *support,
								  const AnnModel *model, const struct varlena *value,
								  const ItemPointerData *tid, const AnnTidsPlace *exact);

#endif
