/*
 * tids.h
 *	  The exact leaf and the NULL leaf: chains of pages that hold row identifiers only.
 *
 * NOTES
 *	  The exact leaf holds what codes cannot say, and all rows of an untrained index. It is read as
 *	  a whole, at the start of a scan. Its pages may be unlinked behind a reader (training empties
 *	  it); a reader that steps on such a page starts again, which it may, as it has shown nothing
 *	  yet. NULL pages are never unlinked.
 */
#ifndef ANN_STORE_TIDS_H
#define ANN_STORE_TIDS_H

#include "postgres.h"

#include "store/meta.h"

/* Where a row identifier stands. */
typedef struct AnnTidsPlace
{
	BlockNumber blkno;
	ItemPointerData tid;
} AnnTidsPlace;

/* Adds a row to the exact (null_leaf = false) or NULL leaf: one WAL record. */
extern void ann_tids_append(Relation index, bool null_leaf, const ItemPointerData *tid);

/*
 * Adds a page of num <= ANN_TIDS_PER_PAGE row identifiers behind the head, without WAL: for a
 * build, whose caller logs the range.
 */
extern void ann_tids_bulk_add(Relation index, bool null_leaf, const AnnTid *tids, int num);

/*
 * Copies the row identifiers (with flags, ANN_TID_MOVED) of one page out; tids has room for
 * ANN_TIDS_PER_PAGE. Starts at *blkno and sets it to the next page or InvalidBlockNumber. Returns
 * their number, or -1 where the page has been unlinked: start again from the head.
 */
extern int ann_tids_read(Relation index, bool null_leaf, BlockNumber *blkno, AnnTid *tids);

/*
 * For whoever follows a chain: counts a page, blkno, and calls the index damaged when there have
 * been more than it has. *num_pages: 0 at the head.
 */
extern void ann_tids_check_circle(Relation index, BlockNumber blkno, BlockNumber *num_pages);

/* Has the exact or NULL leaf no rows, as far as its head page tells? */
extern bool ann_tids_is_empty(Relation index, bool null_leaf);

/* Position of a row on a TIDS page, or -1, also where the page's count is impossible. */
extern int ann_tids_find(Page page, const ItemPointerData *tid);

/* Erases that position of the page inside an edit, whose image `page` is. */
extern void ann_tids_erase(Page page, int position);

/* Says of a row identifier (with its flags) whether it stays. */
typedef bool (*AnnTidsFilter)(AnnTid tid, void *arg);

/*
 * Erases what filter does not keep from an exclusively locked page, in one record if anything goes;
 * returns how many stay.
 */
extern double ann_tids_filter_page(Relation index, Buffer buffer, AnnTidsFilter filter, void *arg);

/*
 * Sets or clears ANN_TID_MOVED of the first num row identifiers of a page, those that were read
 * there (nothing erases while the caller excludes vacuum; appends come behind them).
 */
extern void ann_tids_mark_page(Relation index, BlockNumber blkno, const bool *moved, int num);

/* Unlinks the empty pages behind the head of the exact leaf and hands them to the free space map.
 */
extern void ann_tids_trim(Relation index);

#endif
