/*
 * find.h
 *	  Where an index names a row: for messages about damage.
 */
#ifndef ANN_STORE_FIND_H
#define ANN_STORE_FIND_H

#include "postgres.h"

#include "utils/relcache.h"

#include "compat.h"
#include "core/block.h"

/*
 * Raises ERRCODE_INDEX_CORRUPTED for a row that the index should not name, with the block that
 * names it (unless that is gone, or far behind in a large index), the reason, and a HINT to
 * REINDEX. tid bears no flags. No buffer may be locked.
 */
extern ANN_NORETURN void ann_row_corrupted(Relation index, AnnTid tid, const char *reason);

#endif
