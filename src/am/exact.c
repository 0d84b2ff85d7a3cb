/*
 * exact.c
 *	  The row identifiers of the exact leaf, as they stood when a scan began.
 *
 * NOTES
 *	  They are the rows that the scan reads from the heap whatever the query is, and, in a trained
 *	  index, a filter as well: vacuum may move a row into a coded leaf while the scan is under way
 *	  (erased there and inserted here in one WAL record, both pages locked), and the scan then meets
 *	  it a second time. The other way round nothing moves, and a row that had moved before its page
 *	  was read here is in its leaf before the first leaf is read. So: the exact leaf first, then the
 *	  leaves, and a candidate that is in this set is dropped: each of a row's entries, where it has
 *	  two.
 *
 *	  Each row comes once. Vacuum may unlink the page that is to be read next, and an insert may
 *	  link it again, right behind the head: then it leads to pages that were read before. So a page
 *	  that comes a second time makes the read start again. Without one no row that the scan's
 *	  snapshot sees comes twice, as within the exact leaf rows stay on their page. (A row identifier
 *	  may come twice, if vacuum erased it from one page and an insert put it on another; but such an
 *	  insert is later than the snapshot, and the row that was vacuumed is dead to all.)
 *
 *	  A set that outgrows its memory goes to a temporary file in chunks; then a test for membership
 *	  is one pass over the file for a whole batch of candidates. That is slow, and rare: a trained
 *	  index holds few such rows.
 */
#include "postgres.h"

#include "utils/hsearch.h"

#include "am/scan.h"
#include "faultpoint.h"

/*
 * How often pages may come again before the chain counts as a circle: to happen by the work of
 * others, each time takes a vacuum and an insert within one read.
 */
#define MAX_REPEATS 20

void
ann_exact_init(AnnExactSet *set, MemoryContext context, Size max_bytes)
{
	memset(set, 0, sizeof(*set));
	set->context = context;
	set->max_tids = Max(max_bytes / sizeof(AnnTid), 16);
}

void
ann_exact_close(AnnExactSet *set)
{
	if (set->file != NULL)
		BufFileClose(set->file);
	set->file = NULL;
}

static int
compare_tids(const void *left, const void *right)
{
	uint64 a = ann_tid_order(*(const AnnTid *) left);
	uint64 b = ann_tid_order(*(const AnnTid *) right);

	return (a > b) - (a < b);
}

static void
sort_tids(AnnExactSet *set)
{
	if (set->num > 1)
		qsort(set->tids, set->num, sizeof(AnnTid), compare_tids);
}

/* ---- the file ---- */

static void
rewind_file(AnnExactSet *set)
{
	if (BufFileSeek(set->file, 0, 0, SEEK_SET) != 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not rewind the temporary file of an index scan")));
}

/* Moves what is in memory to the end of the file. */
static void
write_tids(AnnExactSet *set)
{
	if (set->file == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(set->context);

		set->file = BufFileCreateTemp(false);
		MemoryContextSwitchTo(old);
	}
	sort_tids(set);
	BufFileWrite(set->file, set->tids, sizeof(AnnTid) * set->num);
	set->num_in_file += set->num;
	set->num = 0;
}

/* Reads the next chunk of the file, ascending in itself; *num_read counts the whole pass. */
static void
read_tids(AnnExactSet *set, int64 *num_read)
{
	Size bytes;

	CHECK_FOR_INTERRUPTS();
	set->num = Min((int64) set->max_tids, set->num_in_file - *num_read);
	bytes = sizeof(AnnTid) * set->num;
	if (BufFileRead(set->file, set->tids, bytes) != bytes)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not read from the temporary file of an index scan")));
	*num_read += set->num;
	sort_tids(set);
}

/* ---- reading the leaf ---- */

static void
add_tid(AnnExactSet *set, AnnTid tid)
{
	if (set->num == set->max_tids)
		write_tids(set);
	if (set->num == set->room)
	{
		size_t room = Min(Max(set->room * 2, 256), set->max_tids);

		set->tids = set->tids == NULL ? MemoryContextAllocHuge(set->context, room * sizeof(AnnTid))
									  : repalloc_huge(set->tids, room * sizeof(AnnTid));
		set->room = room;
	}
	set->tids[set->num++] = tid;
}

typedef enum ReadOutcome
{
	READ_WHOLE,
	READ_UNLINKED, /* a page was unlinked under it */
	READ_REPEATED, /* a page came a second time */
} ReadOutcome;

/*
 * Notes a page behind the head, in a table that is made for the first; false if it is there
 * already.
 */
static bool
note_page(HTAB **pages, MemoryContext context, BlockNumber blkno)
{
	HASHCTL control = {
		.keysize = sizeof(BlockNumber), .entrysize = sizeof(BlockNumber), .hcxt = context};
	bool found;

	if (*pages == NULL)
		*pages = hash_create("ann pages of the exact leaf", 64, &control,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	(void) hash_search(*pages, &blkno, HASH_ENTER, &found);
	return !found;
}

/* Adds num row identifiers of a page. */
static void
add_page(AnnExactSet *set, const AnnTid *tids, int num, bool skip_moved)
{
	for (int i = 0; i < num; i++)
	{
		AnnTid tid = tids[i];

		if (skip_moved && (tid.offset & ANN_TID_MOVED) != 0)
			continue;
		tid.offset &= ~ANN_TID_FLAGS;
		add_tid(set, tid);
	}
}

/* One pass over the chain. */
static ReadOutcome
read_chain(AnnExactSet *set, Relation index, bool skip_moved)
{
	AnnTid page[ANN_TIDS_PER_PAGE];
	BlockNumber blkno = ANN_EXACT_BLKNO;
	HTAB *pages = NULL;
	ReadOutcome outcome = READ_WHOLE;

	for (bool is_head = true; blkno != InvalidBlockNumber; is_head = false)
	{
		int num;

		CHECK_FOR_INTERRUPTS();
		ANN_FAULT("exact-page");
		if (!is_head && !note_page(&pages, set->context, blkno))
		{
			outcome = READ_REPEATED;
			break;
		}
		num = ann_tids_read(index, false, &blkno, page);
		if (num < 0)
		{
			outcome = READ_UNLINKED;
			break;
		}
		add_page(set, page, num, skip_moved);
	}
	if (pages != NULL)
		hash_destroy(pages);
	return outcome;
}

void
ann_exact_read(AnnExactSet *set, Relation index, bool skip_moved)
{
	ReadOutcome outcome;
	int repeats = 0;

	do
	{
		ann_exact_close(set);
		set->num = 0;
		set->num_in_file = 0;
		set->num_read = 0;
		set->position = 0;
		outcome = read_chain(set, index, skip_moved);
		if (outcome == READ_REPEATED && ++repeats > MAX_REPEATS)
			ann_page_corrupted(index, ANN_EXACT_BLKNO,
							   "the pages of the exact leaf go in a circle");
	} while (outcome != READ_WHOLE);
	if (set->file == NULL)
		sort_tids(set);
	else
	{
		write_tids(set);
		rewind_file(set);
	}
}

/* ---- use ---- */

int
ann_exact_next(AnnExactSet *set, AnnTid *tids, int max)
{
	int num;

	if (set->position == set->num && set->file != NULL)
	{
		read_tids(set, &set->num_read);
		set->position = 0;
	}
	num = Min((size_t) max, set->num - set->position);
	if (num > 0)
		memcpy(tids, set->tids + set->position, sizeof(AnnTid) * num);
	set->position += num;
	return num;
}

/* Marks the candidates that are among the row identifiers in memory. */
static void
mark_members(const AnnExactSet *set, const AnnCandidate *items, size_t num, bool *is_member)
{
	if (set->num == 0)
		return;
	for (size_t i = 0; i < num; i++)
		if (!is_member[i] &&
			bsearch(&items[i].tid, set->tids, set->num, sizeof(AnnTid), compare_tids) != NULL)
			is_member[i] = true;
}

size_t
ann_exact_remove(AnnExactSet *set, AnnCandidate *items, size_t num)
{
	size_t kept = 0;
	bool *is_member;

	if (num == 0 || (set->num == 0 && set->file == NULL))
		return num;
	is_member = palloc0(num);
	if (set->file == NULL)
		mark_members(set, items, num, is_member);
	else
	{
		int64 num_read = 0;

		/* ann_exact_next has come to its end: nobody reads the file but these passes. */
		rewind_file(set);
		while (num_read < set->num_in_file)
		{
			read_tids(set, &num_read);
			mark_members(set, items, num, is_member);
		}
		set->position = set->num;
	}
	for (size_t i = 0; i < num; i++)
		if (!is_member[i])
			items[kept++] = items[i];
	pfree(is_member);
	return kept;
}
