/*
 * owner.h
 *	  Index expressions run as the table's owner.
 */
#ifndef ANN_AM_OWNER_H
#define ANN_AM_OWNER_H

#include "utils/relcache.h"

typedef struct AnnOwner
{
	Oid user; /* who it was before */
	int context;
	int level;
} AnnOwner;

/*
 * From here to the end the user is the table's owner, under restrictions (no temporary table, no
 * cursor, no other role), and from PostgreSQL 17 on with a search_path of the server's own, as in
 * CREATE INDEX: a function in an index is the owner's choice, and whoever reads or trains the index
 * has not seen it. Privileges are the caller's business, before. An error ends it as well.
 */
extern void ann_owner_begin(AnnOwner *owner, Relation heap);
extern void ann_owner_end(const AnnOwner *owner);

#endif
