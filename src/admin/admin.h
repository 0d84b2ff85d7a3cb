/*
 * admin.h
 *	  What the SQL functions that look at an index share: opening it, and where things stand on a
 *	  leaf page.
 */
#ifndef ANN_ADMIN_ADMIN_H
#define ANN_ADMIN_ADMIN_H

#include "postgres.h"

#include "access/tableam.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"

#include "store/meta.h"

/* Reveals what the vectors are: refused to a user whom row-level security hides rows from. */
#define ANN_ADMIN_REVEALS_ROWS true

/*
 * Opens an annivf index (AccessShareLock) and its table (heap_lock), in this order: table first.
 * The caller must have SELECT on the table; what is looked at before the locks are held is looked
 * at again.
 * Errors: WRONG_OBJECT_TYPE (not an index, a partitioned one, of another access method),
 * INSUFFICIENT_PRIVILEGE, OBJECT_NOT_IN_PREREQUISITE_STATE (still being built),
 * FEATURE_NOT_SUPPORTED (another session's temporary index, an unlogged one on a standby).
 */
extern Relation
ann_admin_open(Oid index_oid, LOCKMODE heap_lock, bool reveals_rows, Relation *heap);

/* Closes both and releases the locks: nothing that was read is acted upon. */
extern void ann_admin_close(Relation index, Relation heap, LOCKMODE heap_lock);

/*
 * Visits the rows of the table as the build of the index sees them, but for the snapshot: predicate
 * and expressions applied, rows by the identifier that an index has of them, the root of their HOT
 * chain, in the order of the table. As in a build, expressions run with the rights of the table's
 * owner.
 */
extern void ann_admin_scan_rows(Relation heap, Relation index, Snapshot snapshot,
								IndexBuildCallback visit, void *arg);

/* Is the server replaying WAL? True to the end of a transaction that began so. */
extern bool ann_admin_on_standby(void);

/* Slots of a leaf page; 1 for the head of a long block. */
static inline int
ann_admin_slots(const AnnModel *model)
{
	return Max(model->slots_per_page, 1);
}

/* The block in a slot of a leaf page (or of a copy of one). */
static inline const AnnBlockHeader *
ann_admin_block(const AnnModel *model, Page page, int slot)
{
	return (const AnnBlockHeader *) (ann_page_payload(page) +
									 (Size) slot * model->layout.block_bytes);
}

/* Bytes that tell num_leaves leaves apart. */
static inline int
ann_admin_leaf_bytes(uint32 num_leaves)
{
	int bytes = 1;

	while (bytes < 4 && num_leaves > UINT64_C(1) << 8 * bytes)
		bytes++;
	return bytes;
}

/* BODY pages of a block: none unless it is long; 16 bytes of codes a sub-quantiser. */
static inline int
ann_admin_body_pages(const AnnModel *model)
{
	int on_page = ANN_PAGE_PAYLOAD / ANN_CODEWORDS;

	return model->slots_per_page > 0 ? 0 : (model->layout.num_blocks + on_page - 1) / on_page;
}

/* Bytes of a row's code as SQL sees it, but for leaf and scale: a flat one is the row itself. */
static inline int
ann_admin_code_bytes(const AnnModel *model)
{
	return ann_model_is_flat(model) ? model->dim * (int) sizeof(float)
									: (int) ann_nibbles_bytes(model->pq.num_blocks);
}

/* Is a page of row identifiers one of the NULL leaf? */
static inline bool
ann_admin_is_null_leaf(Page page)
{
	return ((AnnTidsPageHeader *) ann_page_payload(page))->null_leaf != 0;
}

/*
 * Its rows. trained: of an index that is, where entries that a training has moved stand elsewhere
 * too.
 */
static inline int
ann_admin_count_tids(Page page, bool trained)
{
	const AnnTidsPageHeader *header = (AnnTidsPageHeader *) ann_page_payload(page);
	const AnnTid *tids = (const AnnTid *) (header + 1);
	int num = 0;

	for (int i = 0; i < Min(header->count, (int) ANN_TIDS_PER_PAGE); i++)
		num += !trained || (tids[i].offset & ANN_TID_MOVED) == 0;
	return num;
}

#endif
