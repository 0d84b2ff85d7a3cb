/*
 * verify_leaves.c
 *	  The parts of ann_check() for chains of blocks and for the exact and NULL leaf: I-5, I-6, I-9,
 *	  and of I-1 and I-8 what one page shows.
 */
#include "postgres.h"

#include "port/pg_bitutils.h"

#include "admin/verify.h"
#include "core/bf16.h"

typedef struct LeafWalk
{
	AnnCheck *check;
	const AnnNodeEntry *entry;
	BlockNumber from; /* block that led here */
	BlockNumber blkno;
	uint16 slot;
	bool hint_seen;
} LeafWalk;

static bool
is_possible(AnnTid tid)
{
	return tid.offset != 0 && !(tid.block_hi == UINT16_MAX && tid.block_lo == UINT16_MAX);
}

/* ---- blocks ---- */

/* The BODY pages of a long block. */
static void
check_body(AnnCheck *check, BlockNumber head, BlockNumber blkno)
{
	BlockNumber from = head;
	PGAlignedBlock copy;

	for (int left = ann_admin_body_pages(&check->model); left > 0; left--)
	{
		if (!ann_check_copy(check, from, blkno, ANN_PAGE_BODY, check->model.number, "I-5", &copy) ||
			!ann_check_enter(check, from, blkno))
		{
			ann_check_broken(check, ANN_PAGE_BODY);
			return;
		}
		from = blkno;
		blkno = AnnPageGetOpaque(copy.data)->next;
	}
	if (blkno != InvalidBlockNumber)
		ann_check_mismatch(check, from, "I-5", "the codes of block %u go on past their end", head);
}

/*
 * What is wrong with the factors of an absolute code (core/absolute.h) or of none; NULL: nothing.
 */
static const char *
factors_fault(const AnnCheck *check, const AnnBlockHeader *block, int lane)
{
	const AnnModel *model = &check->model;
	AnnFactors factors = ann_block_factors(block, &model->layout, lane);

	if (ann_model_is_flat(model))
		return factors.b == 0 && factors.s == 0 && factors.err == ANN_BF16_INFINITY
				   ? NULL
				   : "a row of a flat index has the factors of a code";
	if (!ann_form_is_absolute(model->form))
		return NULL;
	if (ann_bf16_to_float(factors.s) != 1)
		return "the scale of an absolute code is not 1";
	if (model->traits->is_bits && ann_bf16_to_float(factors.err) != 0)
		return "the code of a string of bits has an error";
	if (model->form == ANN_CODE_L1 ? factors.b != 0 : !(factors.b >= 0 && factors.b <= model->dim))
		return "factor b of an absolute code is impossible";
	return NULL;
}

/*
 * A string of bits, where its codes lie in the block: the bits that it counts, and none past its
 * end. NULL: nothing is wrong.
 */
static const char *
bits_fault(const AnnCheck *check, const AnnBlockHeader *block, int lane)
{
	const AnnModel *model = &check->model;
	const uint8 *codes = (const uint8 *) block + model->layout.offset_codes;
	int num_blocks = model->layout.num_blocks;
	uint8 code = 0;
	int num_bits = 0;

	if (!model->traits->is_bits || model->slots_per_page == 0 || ann_model_is_flat(model))
		return NULL;
	for (int m = 0; m < num_blocks; m++)
	{
		ann_block_get_codes(codes + (Size) m * (ANN_BLOCK_LANES / 2), lane, &code, 1);
		num_bits += pg_number_of_ones[code];
	}
	if (code >> (model->dim - (num_blocks - 1) * ANN_BITS_WIDTH) != 0)
		return "a string of bits goes on past its end";
	if (model->form == ANN_CODE_OVERLAP &&
		num_bits != (int) ann_block_factors(block, &model->layout, lane).b)
		return "a string of bits is counted wrongly";
	return NULL;
}

/* Lanes in use: their content, and their rows for the sort. */
static void
check_lanes(AnnCheck *check, BlockNumber blkno, int slot, const AnnBlockHeader *block)
{
	const AnnModel *model = &check->model;
	Size bytes = Min(model->layout.block_bytes, (uint32) ANN_PAGE_PAYLOAD);
	const char *reason;

	if (!ann_block_validate(block, bytes, &model->layout, &reason))
		ann_check_fault(check, blkno, "I-6", "slot %d: %s", slot, reason);
	for (uint32 rest = block->live; rest != 0; rest &= rest - 1)
	{
		int lane = pg_rightmost_one_pos32(rest);
		uint16 flags;
		AnnTid tid = ann_block_tid(block, &model->layout, lane, &flags);
		const char *fault = factors_fault(check, block, lane);

		if (fault == NULL)
			fault = bits_fault(check, block, lane);
		if (fault != NULL)
			ann_check_fault(check, blkno, "I-6", "slot %d, lane %d: %s", slot, lane, fault);
		if (flags & ANN_TID_MOVED)
			ann_check_fault(check, blkno, "I-6", "slot %d, lane %d: the flag of the exact leaf",
							slot, lane);
		if ((flags & ANN_TID_SECONDARY) != 0 && model->soar_lambda == 0)
			ann_check_fault(check, blkno, "I-6",
							"slot %d, lane %d: a secondary entry, but rows have one leaf", slot,
							lane);
		if (is_possible(tid))
			ann_check_row(check, tid,
						  flags & ANN_TID_SECONDARY ? ANN_ROW_SECONDARY : ANN_ROW_PRIMARY, blkno,
						  block->leaf);
	}
}

/* One block of the chain on a copy of its page; false: the walk ends early. */
static bool
check_block(LeafWalk *walk, Page page)
{
	AnnCheck *check = walk->check;
	const AnnNodeEntry *entry = walk->entry;
	AnnCheckPage *note = &check->pages[walk->blkno];
	const AnnBlockHeader *block;
	const char *fault = NULL;

	if (walk->slot >= ann_admin_slots(&check->model))
	{
		ann_check_fault(check, walk->from, "I-5", "leaf %u: a link to slot %u of block %u",
						entry->leaf, walk->slot, walk->blkno);
		return false;
	}
	block = ann_admin_block(&check->model, page, walk->slot);
	if (block->leaf != entry->leaf || block->generation != entry->generation)
		fault = "is a block of another leaf";
	else if (note->reached >> walk->slot & 1)
		fault = "was reached before: the chain goes in a circle";
	if (fault != NULL)
	{
		ann_check_mismatch(check, walk->blkno, "I-5", "leaf %u, from block %u: slot %u %s",
						   entry->leaf, walk->from, walk->slot, fault);
		return false;
	}
	note->reached |= 1 << walk->slot;
	walk->hint_seen |= walk->blkno == entry->hint_blkno && walk->slot == entry->hint_slot;
	check_lanes(check, walk->blkno, walk->slot, block);
	if (check->model.slots_per_page == 0)
		check_body(check, walk->blkno, block->body_page);
	walk->from = walk->blkno;
	walk->blkno = block->next_page;
	walk->slot = block->next_slot;
	return true;
}

/* Blocks that follow each other on a page are looked at on one copy of it. */
static bool
check_chain(LeafWalk *walk)
{
	AnnCheck *check = walk->check;
	PGAlignedBlock copy;

	while (walk->blkno != InvalidBlockNumber)
	{
		BlockNumber here = walk->blkno;

		if (!ann_check_copy(check, walk->from, here, ANN_PAGE_LEAF, check->model.number, "I-5",
							&copy))
			return false;
		while (walk->blkno == here)
			if (!check_block(walk, copy.data))
				return false;
	}
	return true;
}

void
ann_check_leaf(AnnCheck *check, BlockNumber node, const AnnNodeEntry *entry)
{
	LeafWalk walk = {.check = check,
					 .entry = entry,
					 .from = node,
					 .blkno = entry->head_blkno,
					 .slot = entry->head_slot};

	if (entry->head_blkno == InvalidBlockNumber)
	{
		if (entry->hint_blkno != InvalidBlockNumber)
			ann_check_fault(check, node, "I-9", "leaf %u has no block, but a hint at block %u",
							entry->leaf, entry->hint_blkno);
	}
	else if (check_chain(&walk) && !walk.hint_seen)
		ann_check_mismatch(check, node, "I-9",
						   "the hint of leaf %u, slot %u of block %u, is no block of its chain",
						   entry->leaf, entry->hint_slot, entry->hint_blkno);
}

void
ann_check_unreached_slots(AnnCheck *check, BlockNumber blkno)
{
	const AnnCheckPage *note = &check->pages[blkno];
	PGAlignedBlock copy;

	if (!ann_check_copy(check, blkno, blkno, ANN_PAGE_LEAF, check->model.number, "I-5", &copy))
		return;
	for (uint32 rest = note->used & ~note->reached; rest != 0; rest &= rest - 1)
	{
		int slot = pg_rightmost_one_pos32(rest);
		const AnnBlockHeader *block = ann_admin_block(&check->model, copy.data, slot);

		ann_check_mismatch(check, blkno, "I-5", "slot %d: a block of leaf %u that is in no chain",
						   slot, block->leaf);
	}
}

/* ---- the exact and the NULL leaf ---- */

static const char *
tids_name(bool null_leaf)
{
	return null_leaf ? "NULL leaf" : "exact leaf";
}

static AnnRowPlace
tid_place(AnnCheck *check, bool null_leaf, uint16 flags)
{
	if (null_leaf)
		return ANN_ROW_NULL_LEAF;
	return (flags & ANN_TID_MOVED) && check->model.number != 0 ? ANN_ROW_MOVED : ANN_ROW_EXACT;
}

static void
check_tids_entries(AnnCheck *check, bool null_leaf, BlockNumber blkno, const AnnTid *tids,
				   int count)
{
	for (int i = 0; i < count; i++)
	{
		AnnTid tid = tids[i];
		uint16 flags = tid.offset & ANN_TID_FLAGS;

		tid.offset &= ~ANN_TID_FLAGS;
		if (flags & (null_leaf ? ANN_TID_FLAGS : ANN_TID_SECONDARY))
			ann_check_fault(check, blkno, "I-8", "entry %d of the %s has an impossible flag", i,
							tids_name(null_leaf));
		if (!is_possible(tid))
			ann_check_fault(check, blkno, "I-6", "entry %d of the %s is no row identifier", i,
							tids_name(null_leaf));
		else
			ann_check_row(check, tid, tid_place(check, null_leaf, flags), blkno, ANN_NO_LEAF);
	}
}

/*
 * Is a page where a chain has led one of that chain? Of the head nothing but that is expected: I-1.
 */
static bool
is_chain_page(AnnCheck *check, bool null_leaf, BlockNumber from, BlockNumber blkno, Page page)
{
	if (((AnnTidsPageHeader *) ann_page_payload(page))->null_leaf == null_leaf)
		return true;
	ann_check_mismatch(check, blkno, from == blkno ? "I-1" : "I-7",
					   "block %u leads here, but it is no page of the %s", from,
					   tids_name(null_leaf));
	return false;
}

static void
check_tids_page(AnnCheck *check, bool null_leaf, BlockNumber from, BlockNumber blkno, Page page)
{
	const AnnTidsPageHeader *header = (AnnTidsPageHeader *) ann_page_payload(page);

	if (header->count > ANN_TIDS_PER_PAGE)
		ann_check_fault(check, blkno, from == blkno ? "I-1" : "I-7",
						"%u entries on a page of the %s", header->count, tids_name(null_leaf));
	else
		check_tids_entries(check, null_leaf, blkno, (const AnnTid *) (header + 1), header->count);
}

void
ann_check_tids(AnnCheck *check, bool null_leaf)
{
	BlockNumber head = null_leaf ? ANN_NULL_BLKNO : ANN_EXACT_BLKNO;
	BlockNumber from = head;
	BlockNumber blkno = head;
	BlockNumber hint = InvalidBlockNumber;
	bool hint_seen = false;
	PGAlignedBlock copy;

	while (blkno != InvalidBlockNumber)
	{
		if (!ann_check_copy(check, from, blkno, ANN_PAGE_TIDS, 0, blkno == head ? "I-1" : "I-7",
							&copy) ||
			!is_chain_page(check, null_leaf, from, blkno, copy.data) ||
			!ann_check_enter(check, from, blkno))
		{
			ann_check_broken(check, ANN_PAGE_TIDS);
			return;
		}
		check_tids_page(check, null_leaf, from, blkno, copy.data);
		if (blkno == head)
			hint = ((AnnTidsPageHeader *) ann_page_payload(copy.data))->hint;
		hint_seen |= blkno == hint;
		from = blkno;
		blkno = AnnPageGetOpaque(copy.data)->next;
	}
	if (!hint_seen)
		ann_check_mismatch(check, head, "I-9", "the hint of the %s, block %u, is not in its chain",
						   tids_name(null_leaf), hint);
}
