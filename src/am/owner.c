/*
 * owner.c
 *	  Index expressions run as the table's owner.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "compat.h"

#include "am/owner.h"

void
ann_owner_begin(AnnOwner *owner, Relation heap)
{
	GetUserIdAndSecContext(&owner->user, &owner->context);
	SetUserIdAndSecContext(heap->rd_rel->relowner, owner->context | SECURITY_RESTRICTED_OPERATION);
	owner->level = NewGUCNestLevel();
	ann_restrict_search_path();
}

void
ann_owner_end(const AnnOwner *owner)
{
	AtEOXact_GUC(false, owner->level);
	SetUserIdAndSecContext(owner->user, owner->context);
}
