/*
 * centroids.h
 *	  Codes of the centroids: a chain of pages of blocks (core/block.h) whose row identifiers are
 *	  the places of the centroids' entries in node pages, so that a query need score few of them
 *	  exactly.
 *
 * NOTES
 *	  Written with the model and never changed. In each lane: the code of the centroid about the
 *	  mean, b as for L2, and in place of err the leaf's rms residual rho, rounded up.
 */
#ifndef ANN_STORE_CENTROIDS_H
#define ANN_STORE_CENTROIDS_H

#include "postgres.h"

#include "core/kernels.h"
#include "core/topk.h"
#include "nodes/bitmapset.h"
#include "store/leaf.h"
#include "store/meta.h"

/* The place of a node entry as a row identifier: page, and index + 1. */
static inline AnnTid
ann_node_place(BlockNumber blkno, uint16 node_index)
{
	ItemPointerData pointer;

	ItemPointerSet(&pointer, blkno, node_index + 1);
	return ann_tid_from_pointer(&pointer);
}

/*
 * Writes num_blocks blocks that stand in memory block_bytes apart, and fills in *section and the
 * numbers of the pages.
 */
extern void
ann_centroids_write(Relation index, const AnnModel *model, const char *blocks, uint32 num_blocks,
					bool log_pages, AnnSectionData *section, BlockNumber *pages);

/*
 * A vector's table for the centroids' codes (num_blocks * 16 bytes, of the centroids' quantiser),
 * and what turns sums into keys: -<q,c> - spread * rho (form ANN_CODE_IP), or squared distances
 * (all others). Scratch is taken from the current context.
 */
extern void ann_centroids_table(const AnnModel *model, AnnCodeForm form, const float *vector,
								float spread, uint8 *table, AnnBoundParams *bounds);

/* The keys of a block's lanes. */
static inline uint32
ann_centroids_keys(const AnnModel *model, const void *block, const uint8 *table,
				   const AnnBoundParams *bounds, float threshold, float keys[ANN_BLOCK_LANES])
{
	const AnnBlockLayout *layout = &model->centroid_layout;
	const char *bytes = block;

	return ann_kernels->score(
		(const uint8 *) bytes + layout->offset_codes, table, layout->num_blocks,
		(const float *) (bytes + layout->offset_b), (const uint16 *) (bytes + layout->offset_s),
		(const uint16 *) (bytes + layout->offset_err), bounds, threshold, keys);
}

/* Pages of the centroids' codes. */
extern uint32 ann_centroids_num_pages(const AnnModel *model);

/* ---- the parents of the centroids: which blocks of their codes are worth a look ---- */

/* Numbers that say which centroids are whose: the first of each parent, and the number of all. */
static inline uint32
ann_parents_children(uint32 num_parents)
{
	return num_parents > 0 ? num_parents + 1 : 0;
}

/*
 * The section PARENTS: num_parents * dim floats, the parents in the model's coordinates; as many
 * u32 as the function above says; one u32 for each page of centroid codes, its block number. Its
 * bytes:
 */
extern Size ann_parents_bytes(const AnnModel *model);
/* The numbers behind the floats. */
static inline const uint32 *
ann_parents_numbers(const AnnModel *model, const char *section)
{
	return (const uint32 *) (section + sizeof(float) * model->num_parents * model->dim);
}
/* Do these numbers deal all centroids out to the parents, each to one? */
extern bool ann_parents_are_sane(const AnnModel *model, const uint32 *first_child);
/* Reads it into the model's arrays, checked, and computes the norms. */
extern void ann_parents_read(Relation index, const AnnSectionData *section, AnnModel *model);
/*
 * The blocks of coded centroids with the children of the num_parents parents nearest to a vector,
 * or of as many more as have min_centroids children; NULL: all blocks. In the current memory
 * context.
 */
extern Bitmapset *ann_parents_near(const AnnModel *model, const float *vector, uint32 num_parents,
								   uint32 min_centroids);

/*
 * Which coded centroids a search takes. The first window takes those of the blocks `first`; a later
 * one those of all blocks that come after the candidate `after` in the order of key and place and
 * have not been in the first, whose last was first_end.
 */
typedef struct AnnCentroidWindow
{
	const Bitmapset *first;        /* NULL: all blocks */
	const AnnCandidate *first_end; /* NULL: this is the first window */
	const AnnCandidate *after;     /* NULL: this is the first or second window */
} AnnCentroidWindow;

/*
 * Adds coded centroids to topk, by key and place. Share locks, a page at a time; checks for
 * interrupts between pages.
 */
extern void
ann_centroids_search(Relation index, const AnnModel *model, const uint8 *table,
					 const AnnBoundParams *bounds, const AnnCentroidWindow *window, AnnTopk *topk);

/* The places of the best num (at most 64) by squared distance, ascending; returns their number. */
extern int ann_centroids_best(Relation index, const AnnModel *model, const float *vector,
							  AnnTid *places, int num);

#endif
