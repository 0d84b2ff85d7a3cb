/*
 * append.c
 *	  One entry into one leaf.
 *
 * NOTES
 *	  The common case locks one page, the one that the leaf's entry hints at, and writes one record.
 *	  When that block is full the node page is locked exclusively first, which serialises all
 *	  changes to the chains of its leaves: the rest of the chain is searched for a free lane (vacuum
 *	  leaves some), then a slot is taken from the node page's overflow page, which its leaves share,
 *	  or from a new page. Locks are taken in the order exact-leaf page, node page, leaf pages by
 *	  ascending block number, body pages, so no two writers wait for each other (src/README,
 *	  "Locks").
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/rel.h"

#include "faultpoint.h"
#include "store/leaf.h"
#include "store/leaf_private.h"
#include "store/tids.h"

typedef struct Append
{
	Relation index;
	const AnnModel *model;
	const AnnEntry *entry;
	uint32 leaf;
	uint32 generation;
	BlockNumber node_blkno;
	uint16 node_index;
	Buffer exact; /* locked page of the same row in the exact leaf, or invalid */
	int exact_position;
	Buffer node; /* locked node page, or invalid */
} Append;

typedef struct BlockPlace
{
	BlockNumber blkno;
	uint16 slot;
} BlockPlace;

/* ---- long blocks: the codes ---- */

typedef struct WriteCodes
{
	Append *append;
	int lane;
} WriteCodes;

/*
 * One record a body page. The lane is not in use until the head says so, in a later record, so a
 * crash in between leaves bytes that nobody reads.
 */
static void
write_codes(void *arg, Buffer buffer, uint8 *codes, int first, int num)
{
	WriteCodes *state = arg;
	AnnEdit edit;
	Page page;

	ann_edit_begin(&edit, state->append->index);
	page = ann_edit_page(&edit, buffer, false);
	ann_block_set_codes((uint8 *) ann_page_payload(page), state->lane,
						state->append->entry->codes + first, num);
	ann_edit_finish(&edit);
	ANN_FAULT("append-codes");
}

/*
 * New body pages with the entry's codes in lane 0; returns the first. The caller holds the lock of
 * the node page until they are named, which is how vacuum tells them from pages that nobody will
 * name (body.c).
 */
static BlockNumber
create_body(Append *append)
{
	const AnnModel *model = append->model;
	int num_blocks = model->layout.num_blocks;
	BlockNumber first = InvalidBlockNumber;
	Buffer next = ann_page_allocate(append->index);

	for (int done = 0; done < num_blocks; done += ANN_BODY_BLOCKS)
	{
		Buffer buffer = next;
		Page page = BufferGetPage(buffer);
		int num = Min(num_blocks - done, ANN_BODY_BLOCKS);
		bool more = done + num < num_blocks;

		if (more)
			next = ann_page_allocate(append->index);
		ann_page_init(page, ANN_PAGE_BODY, model->number);
		memset(ann_page_payload(page), 0, ANN_PAGE_PAYLOAD);
		ann_block_set_codes((uint8 *) ann_page_payload(page), 0, append->entry->codes + done, num);
		if (more)
			AnnPageGetOpaque(page)->next = BufferGetBlockNumber(next);
		if (first == InvalidBlockNumber)
			first = BufferGetBlockNumber(buffer);
		ann_wal_put_page(append->index, buffer, true);
		UnlockReleaseBuffer(buffer);
		ANN_FAULT("append-body");
	}
	return first;
}

/* ---- one record ---- */

/* The parts that every record of an append may carry besides the leaf page. */
static void
edit_exact(Append *append, AnnEdit *edit)
{
	if (BufferIsValid(append->exact))
		ann_tids_erase(ann_edit_page(edit, append->exact, false), append->exact_position);
}

static AnnNodeEntry *
edit_node(Append *append, AnnEdit *edit, Page *page)
{
	*page = ann_edit_page(edit, append->node, false);
	return ann_node_entry(append->model, *page, append->node_index);
}

/* Writes the entry into a free lane of a locked block; moves the hint there if the node is locked.
 */
static void
place_in_lane(Append *append, Buffer buffer, uint16 slot, int lane)
{
	const AnnModel *model = append->model;
	bool is_long = model->slots_per_page == 0;
	AnnEdit edit;
	Page page;
	char *block;

	if (is_long)
	{
		WriteCodes state = {append, lane};

		ann_leaf_visit_body(append->index, model, ann_leaf_slot(model, BufferGetPage(buffer), slot),
							BUFFER_LOCK_EXCLUSIVE, write_codes, &state);
	}
	ANN_FAULT("append-lane");
	ann_edit_begin(&edit, append->index);
	page = ann_edit_page(&edit, buffer, false);
	block = ann_leaf_slot(model, page, slot);
	(is_long ? ann_block_set_head : ann_block_set)(block, &model->layout, lane, append->entry);
	if (BufferIsValid(append->node))
	{
		AnnNodeEntry *entry = edit_node(append, &edit, &page);

		entry->hint_blkno = BufferGetBlockNumber(buffer);
		entry->hint_slot = slot;
	}
	edit_exact(append, &edit);
	ann_edit_finish(&edit);
	ANN_FAULT("append-lane-done");
}

/* Tries one block; true if it took the entry. Else *next is the block after it. */
static bool
try_block(Append *append, BlockPlace place, BlockPlace *next)
{
	Buffer buffer = ann_page_read(append->index, place.blkno, BUFFER_LOCK_EXCLUSIVE);
	char *block = ann_leaf_block(append->index, append->model, buffer, place.slot, append->leaf,
								 append->generation);
	int lane = ann_block_free_lane(block);

	next->blkno = ann_block_header(block)->next_page;
	next->slot = ann_block_header(block)->next_slot;
	if (lane >= 0)
		place_in_lane(append, buffer, place.slot, lane);
	UnlockReleaseBuffer(buffer);
	return lane >= 0;
}

/* ---- a new block ---- */

/* The first free slot of a locked leaf page, or -1. */
static int
free_slot(const AnnModel *model, Page page)
{
	for (int slot = 0; slot < ann_leaf_slots(model); slot++)
		if (ann_block_header(ann_leaf_slot(model, page, slot))->leaf == ANN_NO_LEAF)
			return slot;
	return -1;
}

/*
 * The node page's overflow page, locked, if it has a free slot; else a new one, locked and not yet
 * formatted (*fresh). Free slots of it are given out under the node page's lock only.
 */
static Buffer
overflow_page(Append *append, int *slot, bool *fresh)
{
	Page node = BufferGetPage(append->node);
	BlockNumber blkno = ((AnnNodePageHeader *) ann_page_payload(node))->overflow_blkno;

	if (blkno != InvalidBlockNumber)
	{
		Buffer buffer = ann_page_read(append->index, blkno, BUFFER_LOCK_EXCLUSIVE);
		Page page = ann_page_get(append->index, buffer, ANN_PAGE_LEAF, append->model->number);

		*slot = free_slot(append->model, page);
		if (*slot >= 0)
		{
			*fresh = false;
			return buffer;
		}
		UnlockReleaseBuffer(buffer);
	}
	*slot = 0;
	*fresh = true;
	return ann_page_allocate(append->index);
}

/*
 * Locks the leaf's last block beside the page that takes the new one, in the order of their
 * numbers. A fresh page is known to nobody, so its lock is never waited for; and the slot found on
 * an old one stays free while it is unlocked, as the node page is locked.
 */
static Buffer
lock_tail(Append *append, BlockPlace tail, Buffer *target, bool fresh)
{
	BlockNumber blkno = BufferGetBlockNumber(*target);

	if (tail.blkno == InvalidBlockNumber || tail.blkno == blkno)
		return InvalidBuffer;
	if (!fresh && tail.blkno < blkno)
	{
		Buffer buffer;

		UnlockReleaseBuffer(*target);
		buffer = ann_page_read(append->index, tail.blkno, BUFFER_LOCK_EXCLUSIVE);
		*target = ann_page_read(append->index, blkno, BUFFER_LOCK_EXCLUSIVE);
		return buffer;
	}
	return ann_page_read(append->index, tail.blkno, BUFFER_LOCK_EXCLUSIVE);
}

/* Fills in the new block's slot on its page image, links it behind the tail. */
static void
fill_new_block(Append *append, Page target, int slot, Page tail_page, BlockPlace tail,
			   BlockNumber target_blkno, BlockNumber body)
{
	const AnnModel *model = append->model;
	char *block = ann_leaf_slot(model, target, slot);

	if (model->slots_per_page == 0)
	{
		memset(block, 0, model->layout.offset_codes);
		ann_block_header(block)->leaf = append->leaf;
		ann_block_header(block)->generation = append->generation;
		ann_block_header(block)->next_page = InvalidBlockNumber;
		ann_block_header(block)->body_page = body;
		ann_block_set_head(block, &model->layout, 0, append->entry);
	}
	else
	{
		ann_block_init(block, &model->layout, append->leaf, append->generation);
		ann_block_set(block, &model->layout, 0, append->entry);
	}
	if (tail_page != NULL)
	{
		AnnBlockHeader *last = ann_block_header(ann_leaf_slot(model, tail_page, tail.slot));

		last->next_page = target_blkno;
		last->next_slot = slot;
	}
}

/* Appends a block that holds the entry behind the tail (Invalid: the leaf has none yet). */
static void
place_in_new_block(Append *append, BlockPlace tail)
{
	BlockNumber body =
		append->model->slots_per_page == 0 ? create_body(append) : InvalidBlockNumber;
	int slot;
	bool fresh;
	Buffer target = overflow_page(append, &slot, &fresh);
	Buffer tail_buffer = lock_tail(append, tail, &target, fresh);
	BlockNumber blkno = BufferGetBlockNumber(target);
	AnnEdit edit;
	Page page;
	Page tail_page = NULL;
	Page node_page;
	AnnNodeEntry *entry;

	ANN_FAULT("append-block");
	ann_edit_begin(&edit, append->index);
	page = ann_edit_page(&edit, target, fresh);
	if (fresh)
		ann_leaf_page_init(append->model, page);
	if (BufferIsValid(tail_buffer))
		tail_page = ann_edit_page(&edit, tail_buffer, false);
	else if (tail.blkno != InvalidBlockNumber)
		tail_page = page;
	fill_new_block(append, page, slot, tail_page, tail, blkno, body);

	entry = edit_node(append, &edit, &node_page);
	((AnnNodePageHeader *) ann_page_payload(node_page))->overflow_blkno = blkno;
	entry->hint_blkno = blkno;
	entry->hint_slot = slot;
	if (tail.blkno == InvalidBlockNumber)
	{
		entry->head_blkno = blkno;
		entry->head_slot = slot;
	}
	edit_exact(append, &edit);
	ann_edit_finish(&edit);
	ANN_FAULT("append-block-done");
	if (BufferIsValid(tail_buffer))
		UnlockReleaseBuffer(tail_buffer);
	UnlockReleaseBuffer(target);
}

/* ---- the whole ---- */

/*
 * Tries the blocks from place on; true if one took the entry. Else *tail is the last one, or stays
 * as it is where there is none.
 */
static bool
place_in_chain(Append *append, BlockPlace place, BlockPlace *tail)
{
	uint64 steps = 0;

	while (place.blkno != InvalidBlockNumber)
	{
		BlockPlace next;

		if (try_block(append, place, &next))
			return true;
		*tail = place;
		place = next;
		if (++steps % 65536 == 0 && steps > (uint64) RelationGetNumberOfBlocks(append->index) *
												ann_leaf_slots(append->model))
			ann_page_corrupted(append->index, place.blkno, "a leaf's blocks go in a circle");
	}
	return false;
}

/* With the node page locked: the chain from its hint on, else a new block. */
static void
place_slowly(Append *append)
{
	BlockPlace tail = {InvalidBlockNumber, 0};
	BlockPlace hint;
	Page page;
	AnnNodeEntry *entry;

	append->node = ann_page_read(append->index, append->node_blkno, BUFFER_LOCK_EXCLUSIVE);
	page = ann_page_get(append->index, append->node, ANN_PAGE_NODE, append->model->number);
	entry = ann_node_entry(append->model, page, append->node_index);
	if (append->node_index >= ((AnnNodePageHeader *) ann_page_payload(page))->count ||
		entry->leaf != append->leaf)
		ann_page_corrupted(append->index, append->node_blkno, "a node entry has changed its leaf");
	hint.blkno = entry->hint_blkno;
	hint.slot = entry->hint_slot;
	if (!place_in_chain(append, hint, &tail))
		place_in_new_block(append, tail);
	UnlockReleaseBuffer(append->node);
}

/* Locks the row's page in the exact leaf; false if the row is not there any more. */
static bool
lock_exact(Append *append, const AnnTidsPlace *exact)
{
	append->exact = ann_page_read(append->index, exact->blkno, BUFFER_LOCK_EXCLUSIVE);
	append->exact_position =
		ann_tids_find(ann_page_get(append->index, append->exact, ANN_PAGE_TIDS, 0), &exact->tid);
	if (append->exact_position < 0)
		UnlockReleaseBuffer(append->exact);
	return append->exact_position >= 0;
}

bool
ann_leaf_append(Relation index, const AnnModel *model, const AnnLeafRef *leaf,
				const AnnEntry *entry, const struct AnnTidsPlace *exact)
{
	Append append = {
		.index = index,
		.model = model,
		.entry = entry,
		.leaf = leaf->entry.leaf,
		.generation = leaf->entry.generation,
		.node_blkno = leaf->node_blkno,
		.node_index = leaf->node_index,
		.exact = InvalidBuffer,
		.node = InvalidBuffer,
	};
	BlockPlace hint = {leaf->entry.hint_blkno, leaf->entry.hint_slot};
	BlockPlace next;

	if (exact != NULL && !lock_exact(&append, exact))
		return false;
	if (hint.blkno == InvalidBlockNumber || !try_block(&append, hint, &next))
		place_slowly(&append);
	if (BufferIsValid(append.exact))
		UnlockReleaseBuffer(append.exact);
	return true;
}
