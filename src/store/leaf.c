/*
 * leaf.c
 *	  Leaves: chains of blocks in slots of leaf pages. Reading, vacuuming.
 *
 * NOTES
 *	  A leaf page is an array of slots of one block each; a slot belongs to a leaf from the first
 *	  time it is given out, for as long as the model lives, so links between blocks never dangle and
 *	  a reader holds no lock from page to page. A long block (wider than a page) has a page for its
 *	  head, slot 0, and its codes on BODY pages, 16 bytes a sub-quantiser, which only a holder of
 *	  the head's page lock reads or writes.
 */
#include "postgres.h"

#include "commands/vacuum.h"
#include "port/pg_bitutils.h"
#include "utils/rel.h"

#include "core/kernels.h"
#include "faultpoint.h"
#include "store/leaf.h"
#include "store/leaf_private.h"
#include "store/recent.h"

/* Bytes of a block that are asked for ahead of time: the hardware follows from there. */
#define MAX_PREFETCH 2048

char *
ann_leaf_slot(const AnnModel *model, Page page, uint16 slot)
{
	return ann_page_payload(page) + (Size) slot * model->layout.block_bytes;
}

int
ann_leaf_slots(const AnnModel *model)
{
	return Max(model->slots_per_page, 1);
}

void
ann_leaf_page_init(const AnnModel *model, Page page)
{
	ann_page_init(page, ANN_PAGE_LEAF, model->number);
	memset(ann_page_payload(page), 0, ANN_PAGE_PAYLOAD);
	for (int slot = 0; slot < ann_leaf_slots(model); slot++)
		ann_block_header(ann_leaf_slot(model, page, slot))->leaf = ANN_NO_LEAF;
}

/*
 * A block that a reader follows a link to. Its own header says whose it is: leaf numbers are never
 * used twice, and what stands there on a page of another kind, or on an empty one, is not this
 * leaf's. So the page's header and special space are not looked at, whose lines, and pages of
 * address translation, would cost a reader more than the block does.
 */
static char *
linked_block(Relation index, const AnnModel *model, Buffer buffer, uint16 slot, uint32 leaf,
			 uint32 generation)
{
	char *block;
	AnnBlockHeader *header;

	if (slot >= ann_leaf_slots(model))
		ann_page_corrupted(index, BufferGetBlockNumber(buffer), "a link to an impossible slot");
	block = ann_leaf_slot(model, BufferGetPage(buffer), slot);
	header = ann_block_header(block);
	if (header->leaf != leaf || header->generation != generation || header->flags != 0)
		ann_page_corrupted(index, BufferGetBlockNumber(buffer),
						   "a link to a block of another leaf");
	return block;
}

char *
ann_leaf_block(Relation index, const AnnModel *model, Buffer buffer, uint16 slot, uint32 leaf,
			   uint32 generation)
{
	(void) ann_page_get(index, buffer, ANN_PAGE_LEAF, model->number);
	return linked_block(index, model, buffer, slot, leaf, generation);
}

/* ---- reading ---- */

void
ann_leaf_cursor_init(AnnLeafCursor *cursor, Relation index, const AnnModel *model,
					 const AnnNodeEntry *entry)
{
	cursor->index = index;
	cursor->model = model;
	cursor->blkno = entry->head_blkno;
	cursor->slot = entry->head_slot;
	cursor->leaf = entry->leaf;
	cursor->generation = entry->generation;
	cursor->visited = 0;
}

/* A chain that is longer than all slots of the index goes in a circle. */
static void
check_not_circular(AnnLeafCursor *cursor)
{
	if (++cursor->visited % 65536 == 0 &&
		cursor->visited >
			(uint64) RelationGetNumberOfBlocks(cursor->index) * ann_leaf_slots(cursor->model))
		ann_page_corrupted(cursor->index, cursor->blkno, "a leaf's blocks go in a circle");
}

/* Starts loading a block: its slot, or of a long block what stands on its head's page. */
static void
prefetch_block(Relation index, const AnnModel *model, BlockNumber blkno, uint16 slot)
{
	if (blkno != InvalidBlockNumber)
		ann_recent_prefetch(
			index, blkno, MAXALIGN(SizeOfPageHeaderData) + (Size) slot * model->layout.block_bytes,
			Min(model->layout.block_bytes, MAX_PREFETCH));
}

void
ann_leaf_prefetch(Relation index, const AnnModel *model, const AnnNodeEntry *entry)
{
	prefetch_block(index, model, entry->head_blkno, entry->head_slot);
}

/* Its first page and, while it is as the build has left it, its last one. */
void
ann_leaf_announce(Relation index, const AnnNodeEntry *entry)
{
	ann_page_announce(index, entry->head_blkno);
	if (entry->hint_blkno != entry->head_blkno)
		ann_page_announce(index, entry->hint_blkno);
}

bool
ann_leaf_cursor_next(AnnLeafCursor *cursor, AnnBlockVisitor visit, void *arg)
{
	Buffer buffer;
	BlockNumber here = cursor->blkno;

	if (here == InvalidBlockNumber)
		return false;
	buffer = ann_page_read(cursor->index, here, BUFFER_LOCK_SHARE);
	do
	{
		char *block = linked_block(cursor->index, cursor->model, buffer, cursor->slot, cursor->leaf,
								   cursor->generation);

		cursor->blkno = ann_block_header(block)->next_page;
		cursor->slot = ann_block_header(block)->next_slot;
		if (cursor->blkno != here)
			prefetch_block(cursor->index, cursor->model, cursor->blkno, cursor->slot);
		visit(arg, block);
		check_not_circular(cursor);
	} while (cursor->blkno == here);
	UnlockReleaseBuffer(buffer);
	return true;
}

void
ann_leaf_visit_body(Relation index, const AnnModel *model, const void *block, int lock,
					AnnBodyVisitor visit, void *arg)
{
	BlockNumber blkno = ((const AnnBlockHeader *) block)->body_page;
	int done = 0;

	while (done < (int) model->layout.num_blocks)
	{
		int num = Min((int) model->layout.num_blocks - done, ANN_BODY_BLOCKS);
		Buffer buffer = ann_page_read(index, blkno, lock);
		Page page = ann_page_get(index, buffer, ANN_PAGE_BODY, model->number);

		visit(arg, buffer, (uint8 *) ann_page_payload(page), done, num);
		blkno = AnnPageGetOpaque(page)->next;
		UnlockReleaseBuffer(buffer);
		done += num;
	}
}

typedef struct Accumulate
{
	const uint8 *low;
	const uint8 *high;
	uint32 *acc;
	uint32 acc_high[ANN_BLOCK_LANES];
} Accumulate;

static void
accumulate_codes(void *arg, Buffer buffer, uint8 *codes, int first, int num)
{
	Accumulate *state = arg;

	ann_kernels->accumulate(codes, state->low + first * ANN_CODEWORDS, num, state->acc);
	if (state->high != NULL)
		ann_kernels->accumulate(codes, state->high + first * ANN_CODEWORDS, num, state->acc_high);
}

void
ann_leaf_accumulate(Relation index, const AnnModel *model, const void *block, const uint8 *low,
					const uint8 *high, uint32 acc[ANN_BLOCK_LANES])
{
	Accumulate state = {low, high, acc, {0}};

	memset(acc, 0, sizeof(uint32) * ANN_BLOCK_LANES);
	if (model->slots_per_page > 0)
		accumulate_codes(&state, InvalidBuffer, (uint8 *) block + model->layout.offset_codes, 0,
						 model->layout.num_blocks);
	else
		ann_leaf_visit_body(index, model, block, BUFFER_LOCK_SHARE, accumulate_codes, &state);
	if (high != NULL)
		for (int lane = 0; lane < ANN_BLOCK_LANES; lane++)
			acc[lane] += state.acc_high[lane] << 8;
}

typedef struct ReadCodes
{
	int lane;
	uint8 *codes;
} ReadCodes;

static void
read_codes(void *arg, Buffer buffer, uint8 *codes, int first, int num)
{
	ReadCodes *state = arg;

	ann_block_get_codes(codes, state->lane, state->codes + first, num);
}

void
ann_leaf_codes(Relation index, const AnnModel *model, const void *block, int lane, uint8 *codes)
{
	ReadCodes state = {lane, codes};

	if (model->slots_per_page > 0)
		read_codes(&state, InvalidBuffer, (uint8 *) block + model->layout.offset_codes, 0,
				   model->layout.num_blocks);
	else
		ann_leaf_visit_body(index, model, block, BUFFER_LOCK_SHARE, read_codes, &state);
}

/* ---- vacuum ---- */

/* The lanes of a block that hold dead rows, as a mask; counts what is kept. */
static uint32
dead_lanes(const AnnModel *model, const char *block, AnnLeafVacuum *vacuum)
{
	uint32 live = ((const AnnBlockHeader *) block)->live;
	uint32 dead = 0;

	for (uint32 rest = live; rest != 0; rest &= rest - 1)
	{
		int lane = pg_rightmost_one_pos32(rest);
		uint16 flags;
		ItemPointerData tid;
		double *count;

		ann_tid_to_pointer(ann_block_tid(block, &model->layout, lane, &flags), &tid);
		if (vacuum->dead != NULL && vacuum->dead(&tid, vacuum->dead_arg))
		{
			dead |= UINT32_C(1) << lane;
			count = &vacuum->removed;
		}
		else
			count = &vacuum->kept;
		if ((flags & ANN_TID_SECONDARY) == 0)
			*count += 1;
	}
	return dead;
}

void
ann_leaf_vacuum_page(Relation index, const AnnModel *model, Buffer buffer, AnnLeafVacuum *vacuum)
{
	Page page = ann_page_get(index, buffer, ANN_PAGE_LEAF, model->number);
	BlockNumber blkno = BufferGetBlockNumber(buffer);
	Size bytes = Min(model->layout.block_bytes, (uint32) ANN_PAGE_PAYLOAD);
	bool open = false;
	AnnEdit edit;
	Page image = NULL;

	for (int slot = 0; slot < ann_leaf_slots(model); slot++)
	{
		char *block = ann_leaf_slot(model, page, slot);
		AnnBlockHeader *header = ann_block_header(block);
		const char *reason;
		uint32 dead;

		if (header->leaf == ANN_NO_LEAF)
			continue;
		if (!ann_block_validate(block, bytes, &model->layout, &reason))
			ann_page_corrupted(index, blkno, reason);
		if (header->leaf - vacuum->first_leaf >= vacuum->num_bits)
			ann_page_corrupted(index, blkno, "a block of an unknown leaf");
		dead = dead_lanes(model, block, vacuum);
		if (dead == 0)
			continue;
		if (!open)
		{
			ann_edit_begin(&edit, index);
			image = ann_edit_page(&edit, buffer, false);
			open = true;
		}
		ann_block_header(ann_leaf_slot(model, image, slot))->live &= ~dead;
		vacuum->stale[(header->leaf - vacuum->first_leaf) / 8] |=
			1 << ((header->leaf - vacuum->first_leaf) % 8);
	}
	if (open)
	{
		ann_edit_finish(&edit);
		ANN_FAULT("vacuum-leaf-done");
	}
}

/* Resets the hints of one node page; true if any was to be reset. */
static void
reset_page_hints(Relation index, const AnnModel *model, Buffer buffer, const uint8 *stale,
				 uint32 first_leaf, uint32 num_bits)
{
	Page page = ann_page_get(index, buffer, ANN_PAGE_NODE, model->number);
	int count = ((AnnNodePageHeader *) ann_page_payload(page))->count;
	bool open = false;
	AnnEdit edit;

	if (count > model->nodes_per_page)
		ann_page_corrupted(index, BufferGetBlockNumber(buffer), "impossible node page header");
	for (int i = 0; i < count; i++)
	{
		AnnNodeEntry *entry = ann_node_entry(model, page, i);
		uint32 bit = entry->leaf - first_leaf;

		if (bit >= num_bits || (stale[bit / 8] & (1 << (bit % 8))) == 0)
			continue;
		if (!open)
		{
			ann_edit_begin(&edit, index);
			page = ann_edit_page(&edit, buffer, false);
			entry = ann_node_entry(model, page, i);
			open = true;
		}
		entry->hint_blkno = entry->head_blkno;
		entry->hint_slot = entry->head_slot;
	}
	if (open)
	{
		ann_edit_finish(&edit);
		ANN_FAULT("vacuum-hints-done");
	}
}

void
ann_leaf_reset_hints(Relation index, const AnnModel *model, const uint8 *stale, uint32 first_leaf,
					 uint32 num_bits)
{
	BlockNumber blkno = model->tree_blkno;
	BlockNumber seen = 0;

	while (blkno != InvalidBlockNumber)
	{
		Buffer buffer;
		Page page;

		ann_vacuum_delay();
		if (++seen > RelationGetNumberOfBlocks(index))
			ann_page_corrupted(index, blkno, "the node pages go in a circle");
		buffer = ann_page_read(index, blkno, BUFFER_LOCK_EXCLUSIVE);
		page = BufferGetPage(buffer);
		if (!ann_page_is(page, ANN_PAGE_NODE_REST))
			reset_page_hints(index, model, buffer, stale, first_leaf, num_bits);
		blkno = AnnPageGetOpaque(BufferGetPage(buffer))->next;
		UnlockReleaseBuffer(buffer);
	}
}
