/*
 * leaf.h
 *	  Leaves: chains of blocks in slots of leaf pages. Reading, appending, bulk writing.
 *
 * NOTES
 *	  A block never moves and is never unlinked, so a reader needs no lock between pages. Lock
 *	  order: exact-leaf page, node page, leaf pages by ascending block number, body pages of a long
 *	  block.
 */
#ifndef ANN_STORE_LEAF_H
#define ANN_STORE_LEAF_H

#include "postgres.h"

#include "store/meta.h"
#include "store/tree.h"

/* A reader's place in a leaf. */
typedef struct AnnLeafCursor
{
	Relation index;
	const AnnModel *model;
	BlockNumber blkno; /* of the next block; Invalid: at the end */
	uint16 slot;
	uint32 leaf;
	uint32 generation;
	uint32 visited; /* blocks so far, to stop at a damaged chain that loops */
} AnnLeafCursor;

/* Called per block under the page's share lock: no errors but interrupts-free work. */
typedef void (*AnnBlockVisitor)(void *arg, const void *block);

extern void ann_leaf_cursor_init(AnnLeafCursor *cursor, Relation index, const AnnModel *model,
								 const AnnNodeEntry *entry);

/* Starts loading the first block of a leaf that will be read soon. Never waits, never fails. */
extern void ann_leaf_prefetch(Relation index, const AnnModel *model, const AnnNodeEntry *entry);
/* Announces pages of a leaf that will be read (ann_page_announce). */
extern void ann_leaf_announce(Relation index, const AnnNodeEntry *entry);

/*
 * Visits the blocks of the leaf that lie on the cursor's page (one pin, one share lock) and moves
 * the cursor on; false at the end of the leaf. The header of each block is checked before the visit
 * (ERRCODE_INDEX_CORRUPTED); its lanes are not: a scan meets a damaged row identifier at the heap,
 * and a damaged factor only misplaces an estimate. The caller checks for interrupts between calls.
 */
extern bool ann_leaf_cursor_next(AnnLeafCursor *cursor, AnnBlockVisitor visit, void *arg);

/*
 * acc[lane] = table sums of a visited block, by the low table and (16-bit tables) 256 times the
 * high one; high may be NULL. Reads the body pages of a long block. sum16 sums may pass 2^24: they
 * are exact in u32.
 */
extern void ann_leaf_accumulate(Relation index, const AnnModel *model, const void *block,
								const uint8 *low, const uint8 *high, uint32 acc[ANN_BLOCK_LANES]);

/* Reads the code of one lane of a visited block: num_blocks nibbles. */
extern void
ann_leaf_codes(Relation index, const AnnModel *model, const void *block, int lane, uint8 *codes);

/*
 * Appends an entry to a leaf: one page lock and one WAL record where the hinted block has a free
 * lane; else the node page is locked and up to three pages change in one record. exact: NULL, or
 * the place of the same row in the exact leaf, erased in the same record; false, and nothing
 * changed, when the row no longer stands there.
 */
struct AnnTidsPlace;
extern bool ann_leaf_append(Relation index, const AnnModel *model, const AnnLeafRef *leaf,
							const AnnEntry *entry, const struct AnnTidsPlace *exact);

/* ---- bulk writing: entries arrive in ascending leaf order ---- */

typedef struct AnnBulkWriter AnnBulkWriter;

/*
 * Starts writing. entries: num_leaves node entries whose head and hint are filled in (they must be
 * initialised to Invalid). log_pages as in ann_section_write.
 */
extern AnnBulkWriter *
ann_bulk_begin(Relation index, const AnnModel *model, AnnNodeEntry *entries, bool log_pages);
/* Adds an entry to leaf number `which` (index into entries). */
extern void ann_bulk_add(AnnBulkWriter *writer, uint32 which, const AnnEntry *entry);
/* Writes what is left and frees the writer. */
extern void ann_bulk_finish(AnnBulkWriter *writer);

/* ---- vacuum ---- */

/* Is this row to be removed? */
typedef bool (*AnnDeadRow)(ItemPointer tid, void *arg);

typedef struct AnnLeafVacuum
{
	AnnDeadRow dead;
	void *dead_arg;
	uint8 *stale;      /* a bit is set for every leaf that lost a row */
	uint32 first_leaf; /* leaf number of bit 0 */
	uint32 num_bits;
	double removed; /* primary entries */
	double kept;
} AnnLeafVacuum;

/* Erases the dead rows of one leaf page (exclusively locked) in one WAL record, if there are any.
 */
extern void
ann_leaf_vacuum_page(Relation index, const AnnModel *model, Buffer buffer, AnnLeafVacuum *vacuum);

/*
 * Sets the hint of every leaf whose bit is set in stale (bit = leaf number - first_leaf) back to
 * its head, after a vacuum freed lanes there.
 */
extern void ann_leaf_reset_hints(Relation index, const AnnModel *model, const uint8 *stale,
								 uint32 first_leaf, uint32 num_bits);

#endif
