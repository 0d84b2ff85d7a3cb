/*
 * encode.c
 *	  One row coded and appended to its leaf: what insert and the absorption by vacuum share.
 */
#include "postgres.h"

#include "am/encode.h"
#include "am/support.h"
#include "store/leaf.h"
#include "store/tree.h"

bool
ann_encode_and_append(Relation index, const AnnTypeSupport *support, const AnnModel *model,
					  const struct varlena *value, const ItemPointerData *tid,
					  const AnnTidsPlace *exact)
{
	int dim = model->dim;
	float *row = palloc(sizeof(float) * dim);
	float *x = palloc(sizeof(float) * dim);
	float *centroid = palloc(sizeof(float) * dim);
	float *scratch =
		palloc(sizeof(float) * Max(ann_pq_encode_scratch_floats(&model->pq), (Size) dim));
	uint8 *codes = palloc(model->pq.num_blocks);
	AnnEntry entry = {.tid = ann_tid_from_pointer(tid), .codes = codes};
	AnnLeafRef leaf;

	if (!ann_row_prepare(model->metric, dim, model->mean, support->floats(value, scratch), row))
		return false;
	ann_model_rotate(model, row, 1, x);
	ann_tree_nearest(index, model, x, &leaf, centroid);
	if (!ann_pq_encode_row(&model->pq, model->form, x, centroid, codes, &entry.factors, scratch))
		return false;
	return ann_leaf_append(index, model, &leaf, &entry, exact);
}
