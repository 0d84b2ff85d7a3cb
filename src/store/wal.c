/*
 * wal.c
 *	  The only user of WAL: edits by generic WAL records, and whole pages for bulk writing.
 *
 * NOTES
 *	  A generic record holds four pages, so no edit touches more; a longer change is a sequence of
 *	  edits of which every prefix is a valid index (src/README, "WAL").
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "miscadmin.h"
#include "utils/rel.h"

#include "memcheck.h"
#include "store/wal.h"

/* All of a page but the hole, which no record holds. */
static void
check_written(Page page)
{
	const PageHeaderData *header = (PageHeader) page;

	ANN_CHECK_WRITTEN(page, SizeOfPageHeaderData);
	ANN_CHECK_WRITTEN(page, header->pd_lower);
	ANN_CHECK_WRITTEN((char *) page + header->pd_upper, BLCKSZ - header->pd_upper);
}

void
ann_edit_begin(AnnEdit *edit, Relation index)
{
	edit->state = GenericXLogStart(index);
	edit->num_pages = 0;
}

Page
ann_edit_page(AnnEdit *edit, Buffer buffer, bool is_new)
{
	Page page =
		GenericXLogRegisterBuffer(edit->state, buffer, is_new ? GENERIC_XLOG_FULL_IMAGE : 0);

	Assert(edit->num_pages < MAX_GENERIC_XLOG_PAGES);
	edit->pages[edit->num_pages++] = page;
	return page;
}

void
ann_edit_finish(AnnEdit *edit)
{
	for (int i = 0; i < edit->num_pages; i++)
		check_written(edit->pages[i]);
	GenericXLogFinish(edit->state);
}

void
ann_edit_abort(AnnEdit *edit)
{
	GenericXLogAbort(edit->state);
}

/* For valgrind alone, as it reads all pages. */
static void
check_range(Relation index, ForkNumber fork, BlockNumber from, BlockNumber to)
{
#ifdef ANN_VALGRIND
	for (; from < to; from++)
	{
		Buffer buffer = ReadBufferExtended(index, fork, from, RBM_NORMAL, NULL);

		check_written(BufferGetPage(buffer));
		ReleaseBuffer(buffer);
	}
#endif
}

void
ann_wal_log_range(Relation index, ForkNumber fork, BlockNumber from, BlockNumber to)
{
	/* The server pins up to 32 pages at once, more than a tiny shared_buffers has. */
	BlockNumber step = NBuffers >= 128 ? MaxBlockNumber : 8;

	/* the init fork of an unlogged index is logged although the index itself is not */
	if (!RelationNeedsWAL(index) && fork != INIT_FORKNUM)
		return;
	check_range(index, fork, from, to);
	while (from < to)
	{
		BlockNumber end = to - from > step ? from + step : to;

		log_newpage_range(index, fork, from, end, true);
		from = end;
	}
}

void
ann_wal_put_page(Relation index, Buffer buffer, bool log_page)
{
	check_written(BufferGetPage(buffer));
	START_CRIT_SECTION();
	MarkBufferDirty(buffer);
	if (log_page && RelationNeedsWAL(index))
		log_newpage_buffer(buffer, true);
	END_CRIT_SECTION();
}
