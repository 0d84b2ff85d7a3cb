/*
 * page.c
 *	  Page kinds: making, checking and recycling them.
 *
 * NOTES
 *	  What is read from disk is never trusted: every reader takes its page through ann_page_get,
 *	  which raises ERRCODE_INDEX_CORRUPTED with the block number, never an Assert.
 */
#include "postgres.h"

#include "access/transam.h"
#include "commands/vacuum.h"
#include "miscadmin.h"
#include "storage/buf_internals.h"
#include "storage/freespace.h"
#include "storage/indexfsm.h"
#include "storage/lmgr.h"
#include "utils/rel.h"

#include "compat.h"
#include "faultpoint.h"
#include "store/page.h"
#include "store/recent.h"
#include "store/wal.h"

void
ann_page_init(Page page, AnnPageKind kind, uint32 model)
{
	AnnPageOpaque opaque;

	PageInit(page, BLCKSZ, sizeof(AnnPageOpaqueData));
	opaque = AnnPageGetOpaque(page);
	opaque->next = InvalidBlockNumber;
	opaque->model = model;
	opaque->kind = kind;
	opaque->flags = 0;
	opaque->reserved = 0;
	opaque->page_id = ANN_PAGE_ID;
	((PageHeader) page)->pd_lower = ((PageHeader) page)->pd_upper;
}

void
ann_page_corrupted(Relation index, BlockNumber blkno, const char *reason)
{
	ereport(ERROR, (errcode(ERRCODE_INDEX_CORRUPTED),
					errmsg("index \"%s\" is damaged at block %u: %s",
						   RelationGetRelationName(index), blkno, reason),
					errhint("Rebuild it with REINDEX.")));
}

bool
ann_page_is(Page page, AnnPageKind kind)
{
	PageHeader header = (PageHeader) page;

	return !PageIsNew(page) && PageGetPageSize(page) == BLCKSZ &&
		   header->pd_special == BLCKSZ - MAXALIGN(sizeof(AnnPageOpaqueData)) &&
		   AnnPageGetOpaque(page)->page_id == ANN_PAGE_ID && AnnPageGetOpaque(page)->flags == 0 &&
		   AnnPageGetOpaque(page)->kind == kind;
}

Page
ann_page_get(Relation index, Buffer buffer, AnnPageKind kind, uint32 model)
{
	Page page = BufferGetPage(buffer);

	if (unlikely(!ann_page_is(page, kind)))
		ann_page_corrupted(index, BufferGetBlockNumber(buffer),
						   PageIsNew(page) ? "the page is empty"
										   : "the page is not of the expected kind");
	if (unlikely(model != 0 && AnnPageGetOpaque(page)->model != model))
		ann_page_corrupted(index, BufferGetBlockNumber(buffer), "the page is of another model");
	return page;
}

/*
 * A link past the end must name the index as damaged, but asking for the length costs a system
 * call. So the last length seen is kept where the heap keeps its insertion target, a field that
 * index access methods leave alone and that vanishes with the file; only a block beyond it makes us
 * ask again.
 */
static void
check_block_number(Relation index, BlockNumber blkno)
{
	if (index->rd_smgr != NULL && index->rd_smgr->smgr_targblock != InvalidBlockNumber &&
		blkno < index->rd_smgr->smgr_targblock)
		return;
	RelationGetSmgr(index)->smgr_targblock = RelationGetNumberOfBlocks(index);
	if (blkno >= index->rd_smgr->smgr_targblock)
		ann_page_corrupted(index, blkno, "a link points past the end of the index");
}

/*
 * Waiting for a lock that we hold ourselves would last for ever, and nobody could cancel it. No
 * verb locks a page twice, so only a damaged link leads back to a locked page.
 */
static bool
is_locked_by_us(Buffer buffer)
{
	return !BufferIsLocal(buffer) &&
		   LWLockHeldByMe(BufferDescriptorGetContentLock(GetBufferDescriptor(buffer - 1)));
}

Buffer
ann_page_read(Relation index, BlockNumber blkno, int lock)
{
	return ann_page_read_ring(index, blkno, lock, NULL);
}

Buffer
ann_page_read_ring(Relation index, BlockNumber blkno, int lock, BufferAccessStrategy strategy)
{
	Buffer buffer;

	check_block_number(index, blkno);
	if (!ann_recent_pin(index, blkno, &buffer))
	{
		buffer = ReadBufferExtended(index, MAIN_FORKNUM, blkno, RBM_NORMAL, strategy);
		ann_recent_set(index, blkno, buffer);
	}
	if (unlikely(is_locked_by_us(buffer)))
		ann_page_corrupted(index, blkno, "links between pages go in a circle");
	LockBuffer(buffer, lock);
	return buffer;
}

/* What the look-up says is remembered, so that a page which is there costs no second one. */
void
ann_page_announce(Relation index, BlockNumber blkno)
{
	PrefetchBufferResult result;

	if (index->rd_smgr == NULL || blkno >= index->rd_smgr->smgr_targblock ||
		ann_recent_seems_there(index, blkno))
		return;
	ANN_FAULT("announce-page");
	result = PrefetchBuffer(index, MAIN_FORKNUM, blkno);
	if (BufferIsValid(result.recent_buffer))
		ann_recent_set(index, blkno, result.recent_buffer);
}

/*
 * A page from the free space map is taken only if it is really free: the map is not WAL-logged and
 * may lie. A FREE page may still be under the eyes of a reader that followed a link to it before it
 * was unlinked; such a reader checks the page's kind and starts again (tids.h), so no wait is
 * needed.
 */
static Buffer
recycled_page(Relation index)
{
	for (;;)
	{
		BlockNumber blkno = GetFreeIndexPage(index);
		Buffer buffer;

		if (blkno == InvalidBlockNumber)
			return InvalidBuffer;
		buffer = ReadBuffer(index, blkno);
		if (ConditionalLockBuffer(buffer))
		{
			Page page = BufferGetPage(buffer);

			if (PageIsNew(page) || ann_page_is(page, ANN_PAGE_FREE))
				return buffer;
			LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
		}
		ReleaseBuffer(buffer);
	}
}

Buffer
ann_page_extend(Relation index, ForkNumber fork)
{
	return ann_extend(index, fork);
}

Buffer
ann_page_allocate(Relation index)
{
	Buffer buffer = recycled_page(index);

	return BufferIsValid(buffer) ? buffer : ann_page_extend(index, MAIN_FORKNUM);
}

/*
 * Nobody takes the page for a free one, as its kind says what it is; and it is put as it stands, as
 * what is not locked may be written to the disk, where no page may be that WAL does not know.
 */
void
ann_page_pause(Relation index, Buffer buffer, bool log_pages)
{
	if (!InterruptPending && !ann_vacuum_delay_is_due())
		return;
	ann_wal_put_page(index, buffer, log_pages);
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	ann_vacuum_delay();
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
}

void
ann_page_free(Relation index, Buffer buffer)
{
	AnnEdit edit;

	ANN_FAULT("free-page");
	ann_edit_begin(&edit, index);
	ann_page_init(ann_edit_page(&edit, buffer, true), ANN_PAGE_FREE, 0);
	ann_edit_finish(&edit);
	ANN_FAULT("free-page-done");
	RecordFreeIndexPage(index, BufferGetBlockNumber(buffer));
}
