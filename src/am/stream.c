/*
 * stream.c
 *	  All rows of an index in no order, for a query that orders nothing (NULL, or all distances
 *	  NaN), or for none at all; and the rows with NULL, which end every ordered scan.
 *
 * NOTES
 *	  Each row comes once: the exact leaf as it stood at the start, then all leaves without the rows
 *	  that were seen there (exact.c), then the NULL leaf, whose pages are never unlinked and from
 *	  which nothing moves. Whether they are visible is checked by the executor.
 *
 *	  The rows of the NULL leaf alone are read, as they are returned behind all others because they
 *	  have no vector: one that has shows that the index is damaged. It could not be a later row in
 *	  the place of one that was removed: no snapshot that still wants the one sees the other.
 */
#include "postgres.h"

#include "port/pg_bitutils.h"

#include "am/scan.h"

/* Row identifiers gathered before the exact leaf is asked for them. */
#define GATHER 1024

static void
init_stream(AnnStream *stream, Relation index, AnnReorder *reorder, AnnStreamPart part, int room)
{
	stream->index = index;
	stream->reorder = reorder;
	stream->part = part;
	stream->next_null_blkno = ANN_NULL_BLKNO;
	stream->num_null_pages = 0;
	stream->nulls = palloc(sizeof(AnnTid) * ANN_TIDS_PER_PAGE);
	stream->num_nulls = 0;
	stream->nulls_done = 0;
	stream->num = 0;
	stream->position = 0;
	stream->room = room;
	stream->items = palloc(sizeof(AnnCandidate) * room);
}

void
ann_stream_nulls(AnnStream *stream, Relation index, AnnReorder *reorder)
{
	init_stream(stream, index, reorder, ANN_STREAM_NULLS, ANN_MAX_BATCH);
}

void
ann_stream_all(AnnStream *stream, Relation index, const AnnMetaData *meta, AnnExactSet *exact,
			   AnnReorder *reorder)
{
	int lanes = 0;

	stream->exact = exact;
	stream->model.number = 0;
	if (meta->model != 0)
	{
		stream->model = *ann_model_get(index, meta);
		lanes = Max(stream->model.slots_per_page, 1) * ANN_BLOCK_LANES;
		/* Any order will do: that of the distance from zero. */
		ann_leaves_init(&stream->leaves, index, &stream->model,
						palloc0(sizeof(float) * stream->model.dim), 0, stream->model.num_leaves,
						ANN_SHARE_LEAVES);
		ann_model_detach(&stream->model);
		stream->next_rank = 0;
		stream->in_leaf = false;
	}
	init_stream(stream, index, reorder, ANN_STREAM_EXACT, GATHER + lanes);
}

static void
add_tid(AnnStream *stream, AnnTid tid)
{
	AnnCandidate *item = &stream->items[stream->num++];

	item->key = 0;
	item->tid = tid;
	item->flags = 0;
}

/* AnnBlockVisitor: copies the row identifiers of a block out. */
static void
copy_block(void *arg, const void *block)
{
	AnnStream *stream = arg;

	for (uint32 live = ((const AnnBlockHeader *) block)->live; live != 0; live &= live - 1)
	{
		uint16 flags;
		AnnTid tid =
			ann_block_tid(block, &stream->model.layout, pg_rightmost_one_pos32(live), &flags);

		if ((flags & ANN_TID_SECONDARY) != 0)
			continue;
		if (stream->num == stream->room)
			ann_page_corrupted(stream->index, stream->cursor.blkno,
							   "a leaf's blocks go in a circle");
		add_tid(stream, tid);
	}
}

/* ---- the parts: each adds something, or moves on to the next part ---- */

static void
fill_from_exact(AnnStream *stream)
{
	AnnTid tids[GATHER];
	int num = ann_exact_next(stream->exact, tids, GATHER);

	for (int i = 0; i < num; i++)
		add_tid(stream, tids[i]);
	if (num == 0)
		stream->part = stream->model.number != 0 ? ANN_STREAM_LEAVES : ANN_STREAM_NULLS;
}

static void
fill_from_leaves(AnnStream *stream)
{
	while (stream->num < GATHER)
	{
		CHECK_FOR_INTERRUPTS();
		if (stream->in_leaf)
			stream->in_leaf = ann_leaf_cursor_next(&stream->cursor, copy_block, stream);
		else if (stream->next_rank < stream->model.num_leaves)
		{
			ann_leaf_cursor_init(&stream->cursor, stream->index, &stream->model,
								 &ann_leaves_get(&stream->leaves, stream->next_rank++)->entry);
			stream->in_leaf = true;
		}
		else
		{
			stream->part = ANN_STREAM_NULLS;
			break;
		}
	}
	stream->num = ann_exact_remove(stream->exact, stream->items, stream->num);
}

/* The next page of the NULL leaf; false behind the last. */
static bool
read_null_page(AnnStream *stream)
{
	stream->null_blkno = stream->next_null_blkno;
	if (stream->null_blkno == InvalidBlockNumber)
		return false;
	ann_tids_check_circle(stream->index, stream->null_blkno, &stream->num_null_pages);
	stream->num_nulls = ann_tids_read(stream->index, true, &stream->next_null_blkno, stream->nulls);
	stream->nulls_done = 0;
	return true;
}

static void
fill_from_nulls(AnnStream *stream)
{
	AnnRow rows[ANN_MAX_BATCH];
	int num = Min(stream->num_nulls - stream->nulls_done, ANN_MAX_BATCH);

	CHECK_FOR_INTERRUPTS();
	if (num == 0)
	{
		if (!read_null_page(stream))
			stream->part = ANN_STREAM_END;
		return;
	}
	for (int i = 0; i < num; i++)
	{
		rows[i].tid = stream->nulls[stream->nulls_done++];
		rows[i].tid.offset &= ~ANN_TID_FLAGS;
	}
	/* With no query: whether there is a value is all that is asked. */
	ann_reorder_set_query(stream->reorder, NULL, NULL, 0);
	ann_reorder_read(stream->reorder, rows, num);
	for (int i = 0; i < num; i++)
		if (rows[i].state == ANN_ROW_FOUND)
			ann_page_corrupted(stream->index, stream->null_blkno,
							   "the NULL leaf names a row that has a value");
		else if (rows[i].state == ANN_ROW_NULL)
			add_tid(stream, rows[i].tid);
}

bool
ann_stream_next(AnnStream *stream, AnnTid *tid)
{
	while (stream->position == stream->num)
	{
		stream->position = 0;
		stream->num = 0;
		switch (stream->part)
		{
			case ANN_STREAM_EXACT:
				fill_from_exact(stream);
				break;
			case ANN_STREAM_LEAVES:
				fill_from_leaves(stream);
				break;
			case ANN_STREAM_NULLS:
				fill_from_nulls(stream);
				break;
			case ANN_STREAM_END:
				return false;
		}
	}
	*tid = stream->items[stream->position++].tid;
	return true;
}
