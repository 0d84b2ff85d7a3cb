/*
 * verify.h
 *	  What the parts of ann_check() share: the state of a check, reading without trust, reporting.
 *
 * NOTES
 *	  Everything read from the index is looked at as a copy, after the lock is gone. A count or a
 *	  link is used only after it has been compared with what can be; every walk ends, as no page and
 *	  no slot is entered twice.
 */
#ifndef ANN_ADMIN_VERIFY_H
#define ANN_ADMIN_VERIFY_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "storage/bufmgr.h"
#include "utils/snapshot.h"
#include "utils/tuplesort.h"
#include "utils/tuplestore.h"

#include "admin/admin.h"
#include "store/tids.h"

/* What the check remembers of a block: 6 bytes. */
typedef struct AnnCheckPage
{
	uint8 kind; /* AnnPageKind as the first pass found it; 0: none of ours */
	uint8 flags;
	uint16 used;    /* slots of a leaf page that were in use in the first pass */
	uint16 reached; /* slots that a chain has led to */
} AnnCheckPage;

#define ANN_CHECK_REACHED 0x01
#define ANN_CHECK_UNREADABLE 0x02  /* the buffer manager refuses it */
#define ANN_CHECK_EMPTY 0x04       /* all zero, or FREE */
#define ANN_CHECK_OTHER_MODEL 0x08 /* of a model that is not in force */
#define ANN_CHECK_OVERFLOW 0x10    /* a node page's overflow page */
#define ANN_CHECK_WRONG 0x20       /* reported: a link leads here, to a page of another kind */

StaticAssertDecl((ANN_PAGE_PAYLOAD / (sizeof(AnnBlockHeader) + ANN_BLOCK_LANES * 14 + 16)) <= 16,
				 "a leaf page has at most 16 slots");

/* Where a row identifier was found. The order is that of the sort within a row. */
typedef enum AnnRowPlace
{
	ANN_ROW_PRIMARY,
	ANN_ROW_SECONDARY,
	ANN_ROW_EXACT,
	ANN_ROW_MOVED, /* exact leaf of a trained index, flagged */
	ANN_ROW_NULL_LEAF,
	ANN_ROW_HEAP, /* the table has it, with a value or NULL */
	ANN_ROW_HEAP_NULL,
	ANN_ROW_PLACES
} AnnRowPlace;

/* Problems, and how many: leaks are none that an answer suffers from. */
typedef struct AnnProblems
{
	Tuplestorestate *rows; /* NULL: they are only counted */
	int64 num;
	int64 leaks;
} AnnProblems;

typedef struct AnnCheck
{
	Relation heap;
	Relation index;
	BufferAccessStrategy strategy;
	TupleDesc desc;
	AnnProblems problems; /* the result */

	BlockNumber num_blocks; /* pages has as many */
	BlockNumber num_seen;   /* blocks of the first pass */
	AnnCheckPage *pages;
	uint32 broken; /* a bit for every AnnPageKind of which a walk did not go to its end */

	AnnMetaData meta;
	AnnModel model; /* sizes only, no arrays; number 0: untrained */
	char *parents;  /* the section PARENTS; NULL: none, or not whole */

	/* what was looked at, for the summary */
	int64 num_leaves;
	int64 free_pages;
	int64 found[ANN_ROW_PLACES]; /* row identifiers, by where they were */

	Tuplesortstate *rows;
	TupleTableSlot *row_in;
	TupleTableSlot *row_out;
	int64 row_problems;

	/* on a standby; see verify.c */
	bool standby;
	bool changed;     /* a page was written since the check began */
	uint64 replayed;  /* WAL position up to which all was replayed when it began */
	AnnProblems held; /* problems that count only if nothing has changed */
} AnnCheck;

/* pg_attribute_printf is that of the compiler that built the server: clang knows no gnu_printf. */
#define ANN_CHECK_PRINTF(format_arg, first_arg)                                                    \
	__attribute__((format(printf, format_arg, first_arg)))

/* ---- verify.c ---- */

/* A problem that one page shows by itself. blkno may be InvalidBlockNumber: shown as NULL. */
extern void ann_check_fault(AnnCheck *check, BlockNumber blkno, const char *invariant,
							const char *format, ...) ANN_CHECK_PRINTF(4, 5);

/* A problem between pages: what one says does not fit what another says. */
extern void ann_check_mismatch(AnnCheck *check, BlockNumber blkno, const char *invariant,
							   const char *format, ...) ANN_CHECK_PRINTF(4, 5);

/* So many more of these, of rows, that are not listed. */
extern void ann_check_unlisted(AnnCheck *check, int64 num);

/*
 * Copies a page to which `from` leads (from = blkno: a fixed page), after checking for interrupts.
 * False, and reported under the invariant, if it does not exist, cannot be read or is not of that
 * kind; reported as I-2 if it is of another model than `model`.
 */
extern bool ann_check_copy(AnnCheck *check, BlockNumber from, BlockNumber blkno, AnnPageKind kind,
						   uint32 model, const char *invariant, PGAlignedBlock *copy);

/* Enters a page of a chain; false, and reported as I-3, if it was entered before. */
extern bool ann_check_enter(AnnCheck *check, BlockNumber from, BlockNumber blkno);

/*
 * A walk ended early, or was not possible: pages of that kind (0: of unknown kind) that it would
 * have come to are not called unreachable.
 */
extern void ann_check_broken(AnnCheck *check, int kind);

/* ---- verify_model.c ---- */

/* The metapage; false if there is no going on. Fills in check->meta and check->model. */
extern bool ann_check_meta(AnnCheck *check);
extern void ann_check_sections(AnnCheck *check);

/* ---- verify_tree.c ---- */

/* Node pages, and through them all leaves; then the codes of the centroids. */
extern void ann_check_tree(AnnCheck *check);

/* ---- verify_leaves.c ---- */

/* The chain of one leaf, whose entry stands on node page `node`. */
extern void ann_check_leaf(AnnCheck *check, BlockNumber node, const AnnNodeEntry *entry);
/* Slots in use that no chain has led to. */
extern void ann_check_unreached_slots(AnnCheck *check, BlockNumber blkno);
/* The exact or NULL leaf. */
extern void ann_check_tids(AnnCheck *check, bool null_leaf);

/* ---- verify_rows.c ---- */

extern void ann_check_rows_begin(AnnCheck *check);
/*
 * Notes a row identifier (flags removed) that was found on a block of the index or in the table;
 * leaf: of an entry in a lane, else ANN_NO_LEAF.
 */
extern void
ann_check_row(AnnCheck *check, AnnTid tid, AnnRowPlace place, BlockNumber blkno, uint32 leaf);
/* Notes every row of the table that the snapshot sees and the index should hold. */
extern void ann_check_heap(AnnCheck *check, Snapshot snapshot);
/* Compares all that was noted. */
extern void ann_check_rows_end(AnnCheck *check);

#endif
