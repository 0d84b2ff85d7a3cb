/*
 * body.c
 *	  Vacuum of BODY pages, which hold the codes of long blocks: those that no block names are
 *	  freed.
 *
 * NOTES
 *	  Why no page is freed that an insert at work is about to name. An insert makes a block's BODY
 *	  pages and the block under one and the same exclusive lock of the leaf's node page.
 *	  1. The pass sees BODY pages of the model in force, S. Only vacuum frees such pages, so each of
 *	  them stays what it is, and no later insert is given it.
 *	  2. Each node page is locked once. An insert that was making a page of S has come to its end
 *	  then: the head of its block is in the index, or will never be.
 *	  3. All heads are read, and what they name is taken off S. A head is never erased, and names
 *	  the same pages for as long as the model lives.
 *	  4. What is left of S nobody names, and nobody will: it is freed.
 *	  A block that begins later than step 2 is no matter: its pages were no BODY pages in step 1.
 *
 *	  Heads are found in physical order and not by their chains, so that a damaged link costs no
 *	  codes. Steps 2 to 4 are taken only where the pass has seen more BODY pages than blocks in use
 *	  account for. Inserts at work blur the count: then a leak waits for the next vacuum, or there
 *	  is none to be found.
 */
#include "postgres.h"

#include "commands/vacuum.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "store/body.h"
#include "store/leaf.h"
#include "store/leaf_private.h"

void
ann_bodies_begin(AnnBodyPages *bodies, Relation index)
{
	memset(bodies, 0, sizeof(*bodies));
	bodies->num_bits = RelationGetNumberOfBlocks(index);
	bodies->unnamed = palloc_extended(bodies->num_bits / 8 + 1, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

/* The long block on a page of the model, or NULL: no leaf page, or not in use. */
static const AnnBlockHeader *
long_block(const AnnModel *model, Page page)
{
	const AnnBlockHeader *block;

	if (!ann_page_is(page, ANN_PAGE_LEAF) || AnnPageGetOpaque(page)->model != model->number)
		return NULL;
	block = ann_block_header(ann_leaf_slot(model, page, 0));
	return block->leaf != ANN_NO_LEAF ? block : NULL;
}

void
ann_bodies_note(AnnBodyPages *bodies, const AnnModel *model, Buffer buffer)
{
	Page page = BufferGetPage(buffer);
	BlockNumber blkno = BufferGetBlockNumber(buffer);

	if (long_block(model, page) != NULL)
		bodies->num_heads++;
	if (ann_page_is(page, ANN_PAGE_BODY) && blkno < bodies->num_bits)
	{
		bodies->num_pages++;
		bodies->unnamed[blkno / 8] |= 1 << blkno % 8;
	}
}

/* Step 2. The chain of node pages never changes. */
static void
pass_node_locks(Relation index, const AnnModel *model)
{
	BlockNumber blkno = model->tree_blkno;
	BlockNumber seen = 0;

	while (blkno != InvalidBlockNumber)
	{
		Buffer buffer;

		ann_vacuum_delay();
		if (++seen > RelationGetNumberOfBlocks(index))
			ann_page_corrupted(index, blkno, "the node pages go in a circle");
		buffer = ann_page_read(index, blkno, BUFFER_LOCK_SHARE);
		blkno = AnnPageGetOpaque(BufferGetPage(buffer))->next;
		UnlockReleaseBuffer(buffer);
	}
}

static void
take_off(void *arg, Buffer buffer, uint8 *codes, int first, int num)
{
	AnnBodyPages *bodies = arg;
	BlockNumber blkno = BufferGetBlockNumber(buffer);

	if (blkno < bodies->num_bits)
		bodies->unnamed[blkno / 8] &= ~(1 << blkno % 8);
}

/* Step 3. */
static void
read_heads(AnnBodyPages *bodies, Relation index, const AnnModel *model,
		   BufferAccessStrategy strategy)
{
	BlockNumber num_blocks = RelationGetNumberOfBlocks(index);

	for (BlockNumber blkno = ANN_FIRST_FREE_BLKNO; blkno < num_blocks; blkno++)
	{
		Buffer buffer;
		const AnnBlockHeader *block;

		ann_vacuum_delay();
		buffer = ann_page_read_ring(index, blkno, BUFFER_LOCK_SHARE, strategy);
		block = long_block(model, BufferGetPage(buffer));
		if (block != NULL)
			ann_leaf_visit_body(index, model, block, BUFFER_LOCK_SHARE, take_off, bodies);
		UnlockReleaseBuffer(buffer);
	}
}

/* Step 4. */
static BlockNumber
free_unnamed(AnnBodyPages *bodies, Relation index, const AnnModel *model,
			 BufferAccessStrategy strategy)
{
	BlockNumber freed = 0;

	for (BlockNumber blkno = 0; blkno < bodies->num_bits; blkno++)
	{
		Buffer buffer;

		if ((bodies->unnamed[blkno / 8] & (1 << blkno % 8)) == 0)
			continue;
		ann_vacuum_delay();
		buffer = ann_page_read_ring(index, blkno, BUFFER_LOCK_EXCLUSIVE, strategy);
		(void) ann_page_get(index, buffer, ANN_PAGE_BODY, model->number);
		ann_page_free(index, buffer);
		UnlockReleaseBuffer(buffer);
		freed++;
	}
	return freed;
}

BlockNumber
ann_bodies_end(AnnBodyPages *bodies, Relation index, const AnnModel *model,
			   BufferAccessStrategy strategy)
{
	uint64 pages_of_block = (model->layout.num_blocks + ANN_BODY_BLOCKS - 1) / ANN_BODY_BLOCKS;
	BlockNumber freed = 0;

	if (bodies->num_pages > bodies->num_heads * pages_of_block)
	{
		pass_node_locks(index, model);
		read_heads(bodies, index, model, strategy);
		freed = free_unnamed(bodies, index, model, strategy);
	}
	pfree(bodies->unnamed);
	return freed;
}
