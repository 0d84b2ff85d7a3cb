/*
 * encode.c
 *	  One row coded and appended to its leaf: what insert and the absorption by vacuum share.
 *
 * NOTES
 *	  Where rows have a second leaf (core/soar.h), there are two WAL records, one for each entry,
 *	  and never are two leaves locked. The primary entry comes first, and with it the absorption
 *	  erases the row from the exact leaf: whatever comes in between, a row that some snapshot may
 *	  see has a primary entry, and a primary entry alone is as good as two, only slower to be found.
 *	  A scan that copied the exact leaf before drops both entries, one that did after meets one or
 *	  both.
 */
#include "postgres.h"

#include "am/encode.h"
#include "am/support.h"
#include "faultpoint.h"
#include "store/leaf.h"
#include "store/tree.h"

/* Code and factors of a row in the leaf of a centroid, into an entry that points to codes. */
static bool
encode_row(const AnnModel *model, const float *x, const float *centroid, AnnEntry *entry,
		   uint8 *codes, float *scratch)
{
	return ann_pq_encode_row(&model->pq, model->form, x, ann_model_origin(model, centroid), codes,
							 &entry->factors, scratch);
}

bool
ann_encode_and_append(Relation index, const AnnTypeSupport *support, const AnnModel *model,
					  const struct varlena *value, const ItemPointerData *tid,
					  const AnnTidsPlace *exact)
{
	int dim = model->dim;
	float *row = palloc(sizeof(float) * dim);
	float *x = palloc(sizeof(float) * dim);
	float *centroid = palloc(sizeof(float) * dim);
	float *scratch = palloc(sizeof(float) * ann_pq_row_scratch_floats(&model->pq));
	uint8 *codes = palloc(model->pq.num_blocks);
	AnnEntry entry = {.tid = ann_tid_from_pointer(tid), .codes = codes};
	bool has_second = model->soar_lambda > 0;
	AnnScoredLeaves scored;
	AnnLeafRef leaf;
	AnnLeafRef second;

	if (!ann_row_prepare(model->metric, dim, model->mean, support->floats(value, scratch), row))
		return false;
	ann_model_rotate(model, row, 1, x);
	ann_tree_nearest(index, model, x, &leaf, centroid, has_second ? &scored : NULL);
	if (!encode_row(model, x, centroid, &entry, codes, scratch) ||
		!ann_leaf_append(index, model, &leaf, &entry, exact))
		return false;
	if (has_second && ann_tree_second(index, model, x, &scored, &leaf, &second, centroid) &&
		encode_row(model, x, centroid, &entry, codes, scratch))
	{
		entry.secondary = true;
		ANN_FAULT("second-entry");
		(void) ann_leaf_append(index, model, &second, &entry, NULL);
	}
	return true;
}
