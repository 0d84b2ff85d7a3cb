/*
 * tree.h
 *	  The centroids: node pages, scoring all leaves against a vector, choosing the nearest.
 */
#ifndef ANN_STORE_TREE_H
#define ANN_STORE_TREE_H

#include "postgres.h"

#include "store/meta.h"

/* A leaf as a reader or writer of it needs it: its entry, and where that stands. */
typedef struct AnnLeafRef
{
	BlockNumber node_blkno;
	uint16 node_index;
	AnnNodeEntry entry;
	float score; /* squared L2 distance, or inner product, of centroid and vector */
} AnnLeafRef;

/* Called for every leaf, under the share lock of its node page: no locks, no catalog, no errors. */
typedef void (*AnnLeafVisitor)(void *arg, const AnnLeafRef *leaf);

/*
 * Scores every leaf: inner product (form ANN_CODE_IP) or squared L2 distance (all others) of its
 * stored centroid and vector (dim floats in the model's coordinates: mean taken off for L2). One
 * share lock a node page; checks for interrupts between pages. Visits exactly as many leaves
 * as the metapage tells of; of a damaged tree, no more than that before the error.
 */
extern void ann_tree_score(Relation index, const AnnModel *model, AnnCodeForm form,
						   const float *vector, AnnLeafVisitor visit, void *arg);
/*
 * All model->num_leaves leaves in the order of the tree, allocated in the current memory context;
 * their scores mean nothing. Locks and errors as above.
 */
extern AnnLeafRef *ann_tree_leaves(Relation index, const AnnModel *model);

/*
 * The same for chosen entries: places (centroids.h) in ascending order, one share lock a node page.
 */
extern void
ann_tree_score_places(Relation index, const AnnModel *model, AnnCodeForm form, const float *vector,
					  const AnnTid *places, int num, AnnLeafVisitor visit, void *arg);

/*
 * The leaves that ann_tree_nearest scored, for ann_tree_second: num of them, of all leaves (places
 * NULL) or of those that came first by their codes.
 */
typedef struct AnnScoredLeaves
{
	AnnTid *places;
	uint32 num;
	float *scores; /* squared distances, in the order of the visits */
} AnnScoredLeaves;

/*
 * The leaf with the smallest squared L2 distance; its centroid is copied to centroid (dim floats).
 * scored: NULL, or what was looked at, in the current memory context.
 */
extern void ann_tree_nearest(Relation index, const AnnModel *model, const float *vector,
							 AnnLeafRef *leaf, float *centroid, AnnScoredLeaves *scored);

/*
 * The second leaf of a row (core/soar.h) whose first one is `first`, chosen among those scored.
 * centroid: that of the first leaf, which that of the second replaces. False, and nothing changed,
 * when there is none: the row is its centroid, or there is no other leaf.
 */
extern bool ann_tree_second(Relation index, const AnnModel *model, const float *vector,
							const AnnScoredLeaves *scored, const AnnLeafRef *first,
							AnnLeafRef *second, float *centroid);

/* Copies the centroid of an entry out, widened to float. */
extern void ann_tree_centroid(Relation index, const AnnModel *model, BlockNumber node_blkno,
							  uint16 node_index, float *centroid);

/*
 * Writes node pages for num leaves (entries[i], its centroid at centroids + i * dim already rounded
 * to what is stored) and fills in *section, and the place of each entry. log_pages as in
 * ann_section_write. The watch counts leaves; it cannot stop this but by an error.
 */
extern void ann_tree_write(Relation index, const AnnModel *model, const AnnNodeEntry *entries,
						   const float *centroids, uint32 num, bool log_pages,
						   AnnSectionData *section, AnnTid *places, AnnWatch *watch);

/* Entry number node_index of a node page image, or of the buffer's page. */
extern AnnNodeEntry *ann_node_entry(const AnnModel *model, Page page, uint16 node_index);

#endif
