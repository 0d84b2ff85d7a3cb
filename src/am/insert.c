/*
 * insert.c
 *	  One row into the index.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "am/am.h"
#include "am/encode.h"
#include "am/support.h"
#include "store/leaf.h"
#include "store/tids.h"

/* What a statement keeps from row to row, in index_info->ii_AmCache. */
typedef struct InsertState
{
	const AnnTypeSupport *support;
	MemoryContext row_context;
} InsertState;

static InsertState *
insert_state(Relation index, IndexInfo *index_info)
{
	InsertState *state = index_info->ii_AmCache;

	if (state == NULL)
	{
		state = MemoryContextAlloc(index_info->ii_Context, sizeof(InsertState));
		state->support = ann_support_get(index);
		state->row_context =
			AllocSetContextCreate(index_info->ii_Context, "ann insert", ALLOCSET_DEFAULT_SIZES);
		index_info->ii_AmCache = state;
	}
	return state;
}

/* Inserts a value that is not NULL. The metapage is read after everything that could invalidate. */
static void
insert_value(Relation index, const AnnTypeSupport *support, Datum value, ItemPointer tid)
{
	struct varlena *detoasted = PG_DETOAST_DATUM(value);
	AnnMetaData meta;
	int dim;

	ann_index_meta(index, &meta);
	dim = ann_value_dim(support, detoasted, meta.dim);
	if (meta.dim == 0 && ann_meta_set_dim(index, dim) != (uint32) dim)
		ann_value_dim(support, detoasted, ann_meta_set_dim(index, dim));
	if (meta.model == 0 ||
		!ann_encode_and_append(index, support, ann_model_get(index, &meta), detoasted, tid, NULL))
		ann_tids_append(index, false, tid);
}

bool
annivf_insert(Relation index, Datum *values, bool *isnull, ItemPointer tid, Relation heap,
			  IndexUniqueCheck check_unique, bool index_unchanged, IndexInfo *index_info)
{
	InsertState *state = insert_state(index, index_info);

	if (isnull[0])
		ann_tids_append(index, true, tid);
	else
	{
		MemoryContext old = MemoryContextSwitchTo(state->row_context);

		insert_value(index, state->support, values[0], tid);
		MemoryContextSwitchTo(old);
		MemoryContextReset(state->row_context);
	}
	return false;
}
