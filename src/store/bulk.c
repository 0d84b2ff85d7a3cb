/*
 * bulk.c
 *	  Writing whole leaves: entries come in ascending leaf order, blocks are packed back to back.
 *
 * NOTES
 *	  Nothing that is written here is reachable until the metapage names the model, so pages need no
 *	  care for readers. With log_pages each page is logged once, when it is full; a crash before the
 *	  metapage's record leaves pages of a model number that was never in force, which vacuum frees.
 */
#include "postgres.h"

#include "utils/rel.h"

#include "faultpoint.h"
#include "store/leaf.h"
#include "store/leaf_private.h"

struct AnnBulkWriter
{
	Relation index;
	const AnnModel *model;
	AnnNodeEntry *entries;
	bool log_pages;
	uint32 which;  /* leaf being written, index into entries */
	int lane;      /* next lane of the current block; 32: no block or a full one */
	char *block;   /* current block, in the page of `buffer`, or NULL */
	Buffer buffer; /* current leaf page, locked, or invalid */
	int slot;      /* of the current block */
	uint8 *codes;  /* long blocks: interleaved codes of the current block */
};

AnnBulkWriter *
ann_bulk_begin(Relation index, const AnnModel *model, AnnNodeEntry *entries, bool log_pages)
{
	AnnBulkWriter *writer = palloc0(sizeof(AnnBulkWriter));

	writer->index = index;
	writer->model = model;
	writer->entries = entries;
	writer->log_pages = log_pages;
	writer->lane = ANN_BLOCK_LANES;
	writer->buffer = InvalidBuffer;
	if (model->slots_per_page == 0)
		writer->codes = palloc((Size) model->layout.num_blocks * ANN_CODEWORDS);
	return writer;
}

static void
finish_buffer(AnnBulkWriter *writer, Buffer buffer)
{
	ann_wal_put_page(writer->index, buffer, writer->log_pages);
	UnlockReleaseBuffer(buffer);
	ANN_FAULT("bulk-page");
}

/* Writes the BODY pages of the current long block; returns the first. */
static BlockNumber
write_body(AnnBulkWriter *writer)
{
	int num_blocks = writer->model->layout.num_blocks;
	Buffer next = ann_page_allocate(writer->index);
	BlockNumber first = BufferGetBlockNumber(next);

	for (int done = 0; done < num_blocks; done += ANN_BODY_BLOCKS)
	{
		Buffer buffer = next;
		Page page = BufferGetPage(buffer);
		int num = Min(num_blocks - done, ANN_BODY_BLOCKS);

		ann_page_init(page, ANN_PAGE_BODY, writer->model->number);
		memcpy(ann_page_payload(page), writer->codes + (Size) done * ANN_CODEWORDS,
			   (Size) num * ANN_CODEWORDS);
		memset(ann_page_payload(page) + (Size) num * ANN_CODEWORDS, 0,
			   ANN_PAGE_PAYLOAD - (Size) num * ANN_CODEWORDS);
		if (done + num < num_blocks)
		{
			next = ann_page_allocate(writer->index);
			AnnPageGetOpaque(page)->next = BufferGetBlockNumber(next);
		}
		finish_buffer(writer, buffer);
	}
	return first;
}

static void
finish_block(AnnBulkWriter *writer)
{
	if (writer->block != NULL && writer->codes != NULL)
		ann_block_header(writer->block)->body_page = write_body(writer);
}

/* A new leaf page; the current one is finished, after linking its last block if the leaf goes on.
 */
static void
next_page(AnnBulkWriter *writer, bool same_leaf)
{
	Buffer next = ann_page_allocate(writer->index);

	ann_leaf_page_init(writer->model, BufferGetPage(next));
	if (same_leaf)
	{
		ann_block_header(writer->block)->next_page = BufferGetBlockNumber(next);
		ann_block_header(writer->block)->next_slot = 0;
	}
	if (BufferIsValid(writer->buffer))
		finish_buffer(writer, writer->buffer);
	ann_page_pause(writer->index, next, writer->log_pages);
	writer->buffer = next;
	writer->slot = 0;
}

/* Starts the next block, of leaf `which`. */
static void
start_block(AnnBulkWriter *writer, uint32 which)
{
	const AnnModel *model = writer->model;
	bool same_leaf = writer->block != NULL && writer->which == which;
	AnnNodeEntry *entry = &writer->entries[which];

	finish_block(writer);
	if (!BufferIsValid(writer->buffer) || writer->slot + 1 >= ann_leaf_slots(model))
		next_page(writer, same_leaf);
	else
	{
		writer->slot++;
		if (same_leaf)
		{
			ann_block_header(writer->block)->next_page = BufferGetBlockNumber(writer->buffer);
			ann_block_header(writer->block)->next_slot = writer->slot;
		}
	}
	writer->block = ann_leaf_slot(model, BufferGetPage(writer->buffer), writer->slot);
	if (writer->codes != NULL)
	{
		memset(writer->codes, 0, (Size) model->layout.num_blocks * ANN_CODEWORDS);
		memset(writer->block, 0, model->layout.offset_codes);
		ann_block_header(writer->block)->leaf = entry->leaf;
		ann_block_header(writer->block)->generation = entry->generation;
		ann_block_header(writer->block)->next_page = InvalidBlockNumber;
	}
	else
		ann_block_init(writer->block, &model->layout, entry->leaf, entry->generation);
	writer->lane = 0;
	writer->which = which;
	entry->hint_blkno = BufferGetBlockNumber(writer->buffer);
	entry->hint_slot = writer->slot;
	if (!same_leaf)
	{
		entry->head_blkno = entry->hint_blkno;
		entry->head_slot = entry->hint_slot;
	}
}

void
ann_bulk_add(AnnBulkWriter *writer, uint32 which, const AnnEntry *entry)
{
	if (writer->lane == ANN_BLOCK_LANES || writer->which != which)
		start_block(writer, which);
	if (writer->codes != NULL)
	{
		ann_block_set_head(writer->block, &writer->model->layout, writer->lane, entry);
		ann_block_set_codes(writer->codes, writer->lane, entry->codes,
							writer->model->layout.num_blocks);
	}
	else
		ann_block_set(writer->block, &writer->model->layout, writer->lane, entry);
	writer->lane++;
}

void
ann_bulk_finish(AnnBulkWriter *writer)
{
	finish_block(writer);
	if (BufferIsValid(writer->buffer))
		finish_buffer(writer, writer->buffer);
	if (writer->codes != NULL)
		pfree(writer->codes);
	pfree(writer);
}
