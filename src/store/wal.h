/*
 * wal.h
 *	  The only user of generic WAL: an edit of up to four pages that is replayed whole or not at
 *	  all, and the logging of pages written in bulk.
 */
#ifndef ANN_STORE_WAL_H
#define ANN_STORE_WAL_H

#include "postgres.h"

#include "access/generic_xlog.h"
#include "storage/bufmgr.h"
#include "utils/relcache.h"

typedef struct AnnEdit
{
	GenericXLogState *state;
	int num_pages;
	Page pages[MAX_GENERIC_XLOG_PAGES];
} AnnEdit;

/* Opens an edit. Until it is finished nothing may raise but an error that abandons it. */
extern void ann_edit_begin(AnnEdit *edit, Relation index);

/*
 * Adds an exclusively locked buffer; returns the image to change (never the buffer's own page).
 * is_new: the page is formatted by this edit, and logged whole.
 */
extern Page ann_edit_page(AnnEdit *edit, Buffer buffer, bool is_new);

/* Writes the changes and the one WAL record (none for an unlogged or temporary index). */
extern void ann_edit_finish(AnnEdit *edit);

/* Drops the edit, pages unchanged. */
extern void ann_edit_abort(AnnEdit *edit);

/* Logs blocks [from, to) of a fork whole; they were written through shared buffers without WAL. */
extern void ann_wal_log_range(Relation index, ForkNumber fork, BlockNumber from, BlockNumber to);

/*
 * Marks one whole page that was just filled (exclusively locked) dirty, and logs it if log_page:
 * pages of an index that is being made are logged at its end, together.
 */
extern void ann_wal_put_page(Relation index, Buffer buffer, bool log_page);

#endif
