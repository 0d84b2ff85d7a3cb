/*
 * centroids.h
 *	  Codes of the centroids: a chain of pages of blocks (core/block.h) whose row identifiers are the
 *	  places of the centroids' entries in node pages, so that a query need score few of them exactly.
 *
 * NOTES
 *	  Written with the model and never changed. In each lane: the code of the centroid about the mean,
 *	  b as for L2, and in place of err the leaf's rms residual rho, rounded up.
 */
#ifndef ANN_STORE_CENTROIDS_H
#define ANN_STORE_CENTROIDS_H

#include "postgres.h"

#include "core/kernels.h"
#include "core/topk.h"
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

/* Writes num_blocks blocks that stand in memory block_bytes apart, and fills in *section. */
extern void ann_centroids_write(Relation index, const AnnModel *model, const char *blocks,
								uint32 num_blocks, bool log_pages, AnnSectionData *section);

/*
 * A vector's table for the centroids' codes (num_blocks * 16 bytes, of the centroids' quantiser), and
 * what turns sums into keys: squared distances (form ANN_CODE_L2), or -<q,c> - spread * rho. Scratch is
 * taken from the current context.
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

/*
 * Adds the coded centroids to topk, by key and place; after: NULL, or only those that come after this
 * candidate in their order.
 */
extern void
ann_centroids_search(Relation index, const AnnModel *model, const uint8 *table,
					 const AnnBoundParams *bounds, const AnnCandidate *after, AnnTopk *topk);

/* The places of the best num (at most 64) by squared distance, ascending; returns their number. */
extern int ann_centroids_best(Relation index, const AnnModel *model, const float *vector,
							  AnnTid *places, int num);

/* Visits every block, under the page's share lock; checks for interrupts between pages. */
extern void
ann_centroids_visit(Relation index, const AnnModel *model, AnnBlockVisitor visit, void *arg);

#endif
