/*
 * find.c
 *	  Where an index names a row: for messages about damage.
 *
 * NOTES
 *	  Neither candidates nor the exact leaf's rows carry the block they come from, as nothing but
 *	  such a message wants it. So it is looked for when the error is raised, in a pass over the file
 *	  that passes over whatever is no page of rows.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "store/find.h"
#include "store/leaf_private.h"
#include "store/meta.h"
#include "store/page.h"
#include "store/tids.h"

/* The pass ends here (1 GB): an error must not keep anybody waiting for minutes. */
#define MAX_BLOCKS 131072

static bool
block_names(const AnnModel *model, const char *block, AnnTid tid)
{
	const AnnBlockHeader *header = (const AnnBlockHeader *) block;

	if (header->leaf == ANN_NO_LEAF)
		return false;
	for (uint32 rest = header->live; rest != 0; rest &= rest - 1)
	{
		uint16 flags;
		AnnTid found = ann_block_tid(block, &model->layout, pg_rightmost_one_pos32(rest), &flags);

		if (memcmp(&found, &tid, sizeof(AnnTid)) == 0)
			return true;
	}
	return false;
}

static bool
page_names(const AnnModel *model, Page page, AnnTid tid)
{
	ItemPointerData pointer;

	ann_tid_to_pointer(tid, &pointer);
	if (ann_page_is(page, ANN_PAGE_TIDS))
		return ann_tids_find(page, &pointer) >= 0;
	if (model == NULL || !ann_page_is(page, ANN_PAGE_LEAF) ||
		AnnPageGetOpaque(page)->model != model->number)
		return false;
	for (int slot = 0; slot < ann_leaf_slots(model); slot++)
		if (block_names(model, ann_leaf_slot(model, page, slot), tid))
			return true;
	return false;
}

/* The first block that names a row; InvalidBlockNumber: none was found. */
static BlockNumber
find_row(Relation index, AnnTid tid)
{
	BufferAccessStrategy ring = GetAccessStrategy(BAS_BULKREAD);
	BlockNumber num_blocks = Min(RelationGetNumberOfBlocks(index), MAX_BLOCKS);
	BlockNumber place = InvalidBlockNumber;
	AnnMetaData meta;
	const AnnModel *model;

	ann_meta_read(index, &meta);
	model = meta.model == 0 ? NULL : ann_model_get(index, &meta);
	for (BlockNumber blkno = ANN_EXACT_BLKNO; blkno < num_blocks && place == InvalidBlockNumber;
		 blkno++)
	{
		Buffer buffer;

		CHECK_FOR_INTERRUPTS();
		buffer = ann_page_read_ring(index, blkno, BUFFER_LOCK_SHARE, ring);
		if (page_names(model, BufferGetPage(buffer), tid))
			place = blkno;
		UnlockReleaseBuffer(buffer);
	}
	FreeAccessStrategy(ring);
	return place;
}

void
ann_row_corrupted(Relation index, AnnTid tid, const char *reason)
{
	BlockNumber blkno = find_row(index, tid);

	if (blkno != InvalidBlockNumber)
		ann_page_corrupted(index, blkno, reason);
	ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
					errmsg("index \"%s\" is damaged: %s", RelationGetRelationName(index), reason),
					errhint("Rebuild it with REINDEX.")));
}
