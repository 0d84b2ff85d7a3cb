/*
 * argument.c
 *	  The argument that is the same for all rows, where it is toasted.
 */
#include "types/argument.h"

#include "access/detoast.h"

#include "utils/memutils.h"

/* In fn_extra: what was detoasted last. */
typedef struct Kept
{
	struct varatt_external pointer;
	void *value; /* NULL: none */
} Kept;

void *
ann_argument_kept(FmgrInfo *function, struct varlena *value)
{
	Kept *kept = function->fn_extra;
	struct varatt_external pointer;
	MemoryContext old;

	VARATT_EXTERNAL_GET_POINTER(pointer, value);
	if (kept == NULL)
		kept = function->fn_extra = MemoryContextAllocZero(function->fn_mcxt, sizeof(Kept));
	if (kept->value != NULL && memcmp(&kept->pointer, &pointer, sizeof(pointer)) == 0)
		return kept->value;
	if (kept->value != NULL)
		pfree(kept->value);
	kept->value = NULL; /* what comes next may fail */
	old = MemoryContextSwitchTo(function->fn_mcxt);
	kept->value = detoast_attr(value);
	MemoryContextSwitchTo(old);
	kept->pointer = pointer;
	return kept->value;
}
