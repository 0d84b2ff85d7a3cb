/*
 * tids.c
 *	  The exact leaf and the NULL leaf: chains of pages that hold row identifiers only.
 *
 * NOTES
 *	  The head page of each has a fixed place and knows the page to append to. An appender reads
 *	  that hint under a share lock, then locks the hinted page; if it has been unlinked in between
 *	  (its kind is FREE then, or it has come back as something else), it starts again. Locks: head
 *	  before any other page of the chain.
 */
#include "postgres.h"

#include "commands/vacuum.h"
#include "miscadmin.h"
#include "storage/indexfsm.h"
#include "utils/rel.h"

#include "faultpoint.h"
#include "store/tids.h"

static AnnTidsPageHeader *
page_header(Page page)
{
	return (AnnTidsPageHeader *) ann_page_payload(page);
}

static AnnTid *
page_tids(Page page)
{
	return (AnnTid *) (ann_page_payload(page) + sizeof(AnnTidsPageHeader));
}

/* Is this a page of that chain, with a possible count? */
static bool
is_chain_page(Page page, bool null_leaf)
{
	return ann_page_is(page, ANN_PAGE_TIDS) && page_header(page)->null_leaf == null_leaf &&
		   page_header(page)->count <= ANN_TIDS_PER_PAGE;
}

static BlockNumber
head_of(bool null_leaf)
{
	return null_leaf ? ANN_NULL_BLKNO : ANN_EXACT_BLKNO;
}

/* The head page, locked; what is wrong there is damage. */
static Buffer
read_head(Relation index, bool null_leaf, int lock)
{
	Buffer buffer = ann_page_read(index, head_of(null_leaf), lock);

	if (!is_chain_page(BufferGetPage(buffer), null_leaf))
		ann_page_corrupted(index, head_of(null_leaf), "the head of the exact or NULL leaf");
	return buffer;
}

static void
add_tid(Page page, const ItemPointerData *tid)
{
	AnnTidsPageHeader *header = page_header(page);

	page_tids(page)[header->count++] = ann_tid_from_pointer(tid);
}

/* Appends to the hinted page if that is still possible. */
static bool
append_to_hint(Relation index, bool null_leaf, BlockNumber hint, const ItemPointerData *tid)
{
	Buffer buffer = ann_page_read(index, hint, BUFFER_LOCK_EXCLUSIVE);
	Page page = BufferGetPage(buffer);
	bool possible = is_chain_page(page, null_leaf) && page_header(page)->count < ANN_TIDS_PER_PAGE;

	if (possible)
	{
		AnnEdit edit;

		ANN_FAULT("tids-append");
		ann_edit_begin(&edit, index);
		add_tid(ann_edit_page(&edit, buffer, false), tid);
		ann_edit_finish(&edit);
		ANN_FAULT("tids-append-done");
	}
	UnlockReleaseBuffer(buffer);
	return possible;
}

void
ann_tids_check_circle(Relation index, BlockNumber blkno, BlockNumber *num_pages)
{
	if (++*num_pages % 64 == 0 && *num_pages > RelationGetNumberOfBlocks(index))
		ann_page_corrupted(index, blkno, "the pages of the exact or NULL leaf go in a circle");
}

/* A page behind the head with room, exclusively locked, or InvalidBuffer. */
static Buffer
find_room(Relation index, bool null_leaf, BlockNumber blkno)
{
	BlockNumber num_pages = 0;

	while (blkno != InvalidBlockNumber)
	{
		Buffer buffer;
		Page page;

		ann_tids_check_circle(index, blkno, &num_pages);
		buffer = ann_page_read(index, blkno, BUFFER_LOCK_EXCLUSIVE);
		page = BufferGetPage(buffer);
		if (!is_chain_page(page, null_leaf))
			ann_page_corrupted(index, blkno, "a page of the exact or NULL leaf");
		if (page_header(page)->count < ANN_TIDS_PER_PAGE)
			return buffer;
		blkno = AnnPageGetOpaque(page)->next;
		UnlockReleaseBuffer(buffer);
	}
	return InvalidBuffer;
}

/* Formats a new page of the chain on an image and links it right behind the head. */
static void
link_new_page(Page head, Page page, BlockNumber blkno, bool null_leaf)
{
	ann_page_init(page, ANN_PAGE_TIDS, 0);
	memset(page_header(page), 0, sizeof(AnnTidsPageHeader));
	page_header(page)->null_leaf = null_leaf;
	page_header(page)->hint = InvalidBlockNumber;
	AnnPageGetOpaque(page)->next = AnnPageGetOpaque(head)->next;
	AnnPageGetOpaque(head)->next = blkno;
}

/*
 * The hinted page is full. The head is locked, and so are all who would move the hint: a page with
 * room is looked for in the chain (vacuum leaves some), which happens once a page of appends; else
 * a new one comes right behind the head, which needs no other page's lock. Nobody unlinks pages
 * meanwhile.
 */
static void
append_slowly(Relation index, bool null_leaf, const ItemPointerData *tid)
{
	Buffer head = read_head(index, null_leaf, BUFFER_LOCK_EXCLUSIVE);
	Page head_page = BufferGetPage(head);
	Page page;
	Buffer target = InvalidBuffer;
	bool fresh = false;
	BlockNumber blkno = head_of(null_leaf);
	AnnEdit edit;

	if (page_header(head_page)->count == ANN_TIDS_PER_PAGE)
	{
		target = find_room(index, null_leaf, AnnPageGetOpaque(head_page)->next);
		fresh = !BufferIsValid(target);
		if (fresh)
			target = ann_page_allocate(index);
		blkno = BufferGetBlockNumber(target);
	}
	ANN_FAULT("tids-page");
	ann_edit_begin(&edit, index);
	head_page = ann_edit_page(&edit, head, false);
	page = BufferIsValid(target) ? ann_edit_page(&edit, target, fresh) : head_page;
	if (fresh)
		link_new_page(head_page, page, blkno, null_leaf);
	page_header(head_page)->hint = blkno;
	add_tid(page, tid);
	ann_edit_finish(&edit);
	ANN_FAULT("tids-page-done");
	if (BufferIsValid(target))
		UnlockReleaseBuffer(target);
	UnlockReleaseBuffer(head);
}

void
ann_tids_append(Relation index, bool null_leaf, const ItemPointerData *tid)
{
	Buffer head = read_head(index, null_leaf, BUFFER_LOCK_SHARE);
	BlockNumber hint = page_header(BufferGetPage(head))->hint;

	UnlockReleaseBuffer(head);
	if (!append_to_hint(index, null_leaf, hint, tid))
		append_slowly(index, null_leaf, tid);
}

void
ann_tids_bulk_add(Relation index, bool null_leaf, const AnnTid *tids, int num)
{
	Buffer head = read_head(index, null_leaf, BUFFER_LOCK_EXCLUSIVE);
	Buffer buffer = ann_page_allocate(index);
	Page page = BufferGetPage(buffer);

	link_new_page(BufferGetPage(head), page, BufferGetBlockNumber(buffer), null_leaf);
	memcpy(page_tids(page), tids, sizeof(AnnTid) * num);
	page_header(page)->count = num;
	page_header(BufferGetPage(head))->hint = BufferGetBlockNumber(buffer);
	MarkBufferDirty(buffer);
	MarkBufferDirty(head);
	UnlockReleaseBuffer(buffer);
	UnlockReleaseBuffer(head);
}

/*
 * A reader came to a page that is none of the chain. If a page of the chain still leads there, it
 * was not unlinked: the link is wrong. Links change under the locks of both pages, taken in this
 * order.
 */
static void
check_unlinked(Relation index, bool null_leaf, BlockNumber blkno)
{
	BlockNumber here = head_of(null_leaf);
	BlockNumber num_pages = 0;

	while (here != InvalidBlockNumber && here != blkno)
	{
		Buffer buffer;
		BlockNumber next;

		CHECK_FOR_INTERRUPTS();
		ann_tids_check_circle(index, here, &num_pages);
		buffer = ann_page_read(index, here, BUFFER_LOCK_SHARE);
		if (!is_chain_page(BufferGetPage(buffer), null_leaf))
		{
			UnlockReleaseBuffer(buffer);
			return;
		}
		next = AnnPageGetOpaque(BufferGetPage(buffer))->next;
		if (next == blkno)
		{
			Buffer target = ann_page_read(index, blkno, BUFFER_LOCK_SHARE);

			if (!is_chain_page(BufferGetPage(target), null_leaf))
				ann_page_corrupted(index, blkno, "a page of the exact or NULL leaf");
			UnlockReleaseBuffer(target);
		}
		UnlockReleaseBuffer(buffer);
		here = next;
	}
}

int
ann_tids_read(Relation index, bool null_leaf, BlockNumber *blkno, AnnTid *tids)
{
	Buffer buffer = ann_page_read(index, *blkno, BUFFER_LOCK_SHARE);
	Page page = BufferGetPage(buffer);
	int count = -1;

	if (is_chain_page(page, null_leaf))
	{
		count = page_header(page)->count;
		memcpy(tids, page_tids(page), sizeof(AnnTid) * count);
		*blkno = AnnPageGetOpaque(page)->next;
	}
	else if (*blkno == head_of(null_leaf) || null_leaf ||
			 (ann_page_is(page, ANN_PAGE_TIDS) && page_header(page)->null_leaf == null_leaf))
		ann_page_corrupted(index, *blkno, "a page of the exact or NULL leaf");
	UnlockReleaseBuffer(buffer);
	if (count < 0)
		check_unlinked(index, null_leaf, *blkno);
	return count;
}

bool
ann_tids_is_empty(Relation index, bool null_leaf)
{
	Buffer head = read_head(index, null_leaf, BUFFER_LOCK_SHARE);
	Page page = BufferGetPage(head);
	bool empty =
		page_header(page)->count == 0 && AnnPageGetOpaque(page)->next == InvalidBlockNumber;

	UnlockReleaseBuffer(head);
	return empty;
}

int
ann_tids_find(Page page, const ItemPointerData *tid)
{
	AnnTid wanted = ann_tid_from_pointer(tid);
	int count = page_header(page)->count;

	if (count > (int) ANN_TIDS_PER_PAGE)
		return -1;
	for (int i = 0; i < count; i++)
	{
		AnnTid found = page_tids(page)[i];

		found.offset &= ~ANN_TID_FLAGS;
		if (memcmp(&found, &wanted, sizeof(AnnTid)) == 0)
			return i;
	}
	return -1;
}

void
ann_tids_erase(Page page, int position)
{
	AnnTid *tids = page_tids(page);
	int behind = --page_header(page)->count - position;

	memmove(tids + position, tids + position + 1, sizeof(AnnTid) * behind);
}

/* Of num row identifiers of a page those stay for which keep[i]; the rest closes up. */
static void
compact(Page page, const bool *keep, int num)
{
	AnnTid *tids = page_tids(page);
	int kept = 0;

	for (int i = 0; i < num; i++)
		if (keep[i])
			tids[kept++] = tids[i];
	page_header(page)->count = kept;
}

double
ann_tids_filter_page(Relation index, Buffer buffer, AnnTidsFilter filter, void *arg)
{
	Page page = ann_page_get(index, buffer, ANN_PAGE_TIDS, 0);
	bool keep[ANN_TIDS_PER_PAGE];
	int count = page_header(page)->count;
	int kept = 0;

	if (count > (int) ANN_TIDS_PER_PAGE)
		ann_page_corrupted(index, BufferGetBlockNumber(buffer), "impossible count");
	for (int i = 0; i < count; i++)
		kept += keep[i] = filter(page_tids(page)[i], arg);
	if (kept < count)
	{
		AnnEdit edit;

		ann_edit_begin(&edit, index);
		compact(ann_edit_page(&edit, buffer, false), keep, count);
		ann_edit_finish(&edit);
		ANN_FAULT("tids-erase-done");
	}
	return kept;
}

void
ann_tids_mark_page(Relation index, BlockNumber blkno, const bool *moved, int num)
{
	Buffer buffer = ann_page_read(index, blkno, BUFFER_LOCK_EXCLUSIVE);
	Page page = ann_page_get(index, buffer, ANN_PAGE_TIDS, 0);
	AnnEdit edit;

	if (page_header(page)->count < num)
		ann_page_corrupted(index, blkno, "row identifiers vanished during training");
	ann_edit_begin(&edit, index);
	page = ann_edit_page(&edit, buffer, false);
	for (int i = 0; i < num; i++)
	{
		AnnTid *tid = &page_tids(page)[i];

		tid->offset &= ~ANN_TID_MOVED;
		if (moved[i])
			tid->offset |= ANN_TID_MOVED;
	}
	ann_edit_finish(&edit);
	ANN_FAULT("tids-mark-done");
	UnlockReleaseBuffer(buffer);
}

/* Unlinks the page behind *prev if it is empty, else moves *prev on; false at the chain's end. */
static bool
unlink_next(Relation index, BlockNumber *prev, BlockNumber *freed)
{
	Buffer before = ann_page_read(index, *prev, BUFFER_LOCK_EXCLUSIVE);
	BlockNumber blkno = AnnPageGetOpaque(BufferGetPage(before))->next;
	bool more = blkno != InvalidBlockNumber;

	*freed = InvalidBlockNumber;
	if (more)
	{
		Buffer buffer = ann_page_read(index, blkno, BUFFER_LOCK_EXCLUSIVE);
		Page page = ann_page_get(index, buffer, ANN_PAGE_TIDS, 0);

		if (!is_chain_page(page, false))
			ann_page_corrupted(index, blkno, "a page of the exact or NULL leaf");
		if (page_header(page)->count > 0)
			*prev = blkno;
		else
		{
			AnnEdit edit;
			Page before_page;

			ANN_FAULT("tids-unlink");
			ann_edit_begin(&edit, index);
			before_page = ann_edit_page(&edit, before, false);
			AnnPageGetOpaque(before_page)->next = AnnPageGetOpaque(page)->next;
			page = ann_edit_page(&edit, buffer, false);
			AnnPageGetOpaque(page)->kind = ANN_PAGE_FREE;
			ann_edit_finish(&edit);
			ANN_FAULT("tids-unlink-done");
			*freed = blkno;
		}
		UnlockReleaseBuffer(buffer);
	}
	UnlockReleaseBuffer(before);
	return more;
}

/* Points the head's hint at the head itself, so that no appender is sent to a page that goes. */
static void
reset_hint(Relation index)
{
	Buffer head = read_head(index, false, BUFFER_LOCK_EXCLUSIVE);
	AnnEdit edit;

	if (page_header(BufferGetPage(head))->hint == ANN_EXACT_BLKNO)
	{
		UnlockReleaseBuffer(head);
		return;
	}
	ann_edit_begin(&edit, index);
	page_header(ann_edit_page(&edit, head, false))->hint = ANN_EXACT_BLKNO;
	ann_edit_finish(&edit);
	ANN_FAULT("tids-hint-done");
	UnlockReleaseBuffer(head);
}

void
ann_tids_trim(Relation index)
{
	BlockNumber prev = ANN_EXACT_BLKNO;
	BlockNumber freed;
	BlockNumber num_pages = 0;
	bool any = false;

	reset_hint(index);
	while (unlink_next(index, &prev, &freed))
	{
		ann_vacuum_delay();
		ann_tids_check_circle(index, prev, &num_pages);
		if (freed != InvalidBlockNumber)
		{
			RecordFreeIndexPage(index, freed);
			any = true;
		}
	}
	if (any)
		IndexFreeSpaceMapVacuum(index);
}
