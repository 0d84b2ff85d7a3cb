/*
 * kmeans.h
 *	  k-means in squared L2: flat Lloyd, and the hierarchical form that makes the leaves of an
 *	  index.
 *
 * NOTES
 *	  Hierarchical: about sqrt(L) parents by Lloyd on the rows, each parent given a share of the L
 *	  centroids in proportion to its rows (Webster's method; a parent of few distinct rows no more
 *	  than those), Lloyd within each parent, then refine_iterations Lloyd passes in which a row
 *	  looks only into the parents nearest to it (ANN_KMEANS_BEAM), with centroids moved between them
 *	  from where they hardly matter to where one is missing. Energy within 1 % of flat k-means on
 *	  SIFT and text, with four refining passes, at a sixth of its time.
 *
 *	  Deterministic: same rows, parameters and kernel table give the same centroids. Centroids that
 *	  no row chooses are dropped, so fewer than asked may come back, never fewer than one. All work
 *	  is by blocked products (kernels.h); squared distances are |x|^2 - 2<x,c> + |c|^2, relative to
 *	  an origin near the row (gather.h).
 */
#ifndef ANN_CORE_KMEANS_H
#define ANN_CORE_KMEANS_H

#include "core/base.h"

/* Parents that a row's search looks into, at refinement and at assignment. */
#define ANN_KMEANS_BEAM 8

/* What a team does together, in parts: the leaves of a parent; the leaves of a batch of rows. */
typedef enum AnnKmeansStep
{
	ANN_KMEANS_PARENTS,
	ANN_KMEANS_LEAVES,
} AnnKmeansStep;

/*
 * Several processes that train together: one calls ann_kmeans_train, the others ann_kmeans_part.
 * Rows, the set's arrays and `shared` are in memory that all of them see, at whatever address, in
 * each at the same distance from a cache line. The outcome is that of one process.
 */
typedef struct AnnKmeansTeam
{
	/* Has each part of a step, from 0 to num - 1, done once, here or elsewhere. True: stop. */
	bool (*run)(void *arg, AnnKmeansStep step, uint32_t num);
	void *arg;
	void *shared; /* ann_kmeans_shared_size bytes */
} AnnKmeansTeam;

typedef struct AnnKmeansParams
{
	int dim;                /* >= 1 */
	uint32_t num_centroids; /* wanted, >= 1 */
	int iterations;         /* Lloyd passes at each level, >= 1 */
	int refine_iterations;  /* restricted passes at the end (hierarchical only), >= 0 */
	uint64_t seed;
	AnnWatch *watch;           /* may be NULL; counts rows */
	const AnnKmeansTeam *team; /* NULL: one process alone */
} AnnKmeansParams;

/*
 * The two-level centroid set: children of one parent are contiguous, in parent order.
 * parents: num_parents * dim floats; first_child: num_parents + 1 offsets into the centroids.
 * centroids: num_centroids * dim floats. The bias arrays hold the squared norms.
 */
typedef struct AnnCentroids
{
	int dim;
	uint32_t num_parents;
	uint32_t num_centroids;
	float *parents;
	float *parent_bias;
	uint32_t *first_child;
	float *centroids;
	float *centroid_bias;
} AnnCentroids;

/* Bytes that the caller provides for the arrays of an AnnCentroids of that many centroids. */
extern size_t ann_centroids_size(int dim, uint32_t num_centroids);
/*
 * Lays the arrays out in memory (8-byte aligned, ann_centroids_size bytes) and writes nothing
 * there. The layout depends on dim and num_centroids only, so that a process which maps the memory
 * elsewhere calls this with the same numbers and then sets num_parents and num_centroids to the
 * trainer's.
 */
extern void ann_centroids_init(AnnCentroids *set, void *memory, int dim, uint32_t num_centroids);

/* Copies counts and what they count into arrays elsewhere, which have room for it. */
extern void ann_centroids_copy(AnnCentroids *to, const AnnCentroids *from);

/* Bytes of workspace that ann_kmeans_train and ann_kmeans_flat need. */
extern size_t ann_kmeans_workspace_size(const AnnKmeansParams *params, size_t num_rows);

/*
 * Hierarchical k-means over num_rows >= 1 (and < 2^32) rows of dim finite floats, row i at rows +
 * i * dim. Rows whose squares leave the range of float are rows all the same, but all in one leaf.
 * Fills set (initialised for at least params->num_centroids) and its counts.
 */
extern AnnStatus ann_kmeans_train(const AnnKmeansParams *params, const float *rows, size_t num_rows,
								  AnnCentroids *set, void *workspace);

/* Bytes that a team shares, besides rows and set. */
extern size_t ann_kmeans_shared_size(const AnnKmeansParams *params, size_t num_rows);

/* Bytes of workspace for ann_kmeans_part, which the step that is being run decides. */
extern size_t
ann_kmeans_part_workspace_size(const AnnKmeansParams *params, size_t num_rows, AnnKmeansStep step);

/*
 * One part of the step that is being run, in any process of the team, this one's addresses in
 * params, rows and set (whose counts are written). The watch counts the rows of the part.
 */
extern AnnStatus
ann_kmeans_part(const AnnKmeansParams *params, const float *rows, size_t num_rows,
				AnnCentroids *set, AnnKmeansStep step, uint32_t part, void *workspace);

/*
 * Flat k-means, never by a team; centroids: num_centroids * dim floats out, *num_found of them used
 * (>= 1).
 */
extern AnnStatus ann_kmeans_flat(const AnnKmeansParams *params, const float *rows, size_t num_rows,
								 float *centroids, uint32_t *num_found, void *workspace);

/* Bytes of workspace that ann_centroids_dissolve needs for a set of at most so many centroids. */
extern size_t ann_dissolve_workspace_size(int dim, uint32_t num_centroids, size_t num_rows);

/*
 * Dissolves leaves until each that is left is the nearest, as ann_centroids_assign finds it, of at
 * least min_rows of num_rows >= 1 rows of dim floats; the centroids left stay as they are, in their
 * order, and there is one at least. The watch counts rows, each as often as it is assigned anew.
 */
extern AnnStatus ann_centroids_dissolve(AnnCentroids *set, const float *rows, size_t num_rows,
										uint32_t min_rows, AnnWatch *watch, void *workspace);

/* Bytes of workspace for ann_centroids_assign of num_rows rows. */
extern size_t ann_centroids_assign_workspace_size(const AnnCentroids *set, int num_rows);

/*
 * Nearest centroid of each of num_rows rows (row_stride floats apart), searched in the
 * ANN_KMEANS_BEAM nearest parents; leaf[i] its number, distance[i] >= 0 the squared distance
 * (+infinity where that is not finite; the leaf is then any). The watch only polls, and may be
 * NULL.
 */
extern AnnStatus
ann_centroids_assign(const AnnCentroids *set, const float *rows, size_t row_stride, int num_rows,
					 uint32_t *leaf, float *distance, AnnWatch *watch, void *workspace);

/* A leaf that is near a row, and its squared distance. */
typedef struct AnnNearLeaf
{
	uint32_t leaf; /* UINT32_MAX: there is none */
	float distance;
} AnnNearLeaf;

/* Leaves of a list of near ones. */
#define ANN_NEAR_LEAVES 16

/*
 * As ann_centroids_assign (whose workspace it needs), but for each row the ANN_NEAR_LEAVES nearest,
 * ascending: near has room for so many times num_rows.
 */
extern AnnStatus
ann_centroids_near(const AnnCentroids *set, const float *rows, size_t row_stride, int num_rows,
				   AnnNearLeaf *near, AnnWatch *watch, void *workspace);

/* Recomputes the bias arrays after the caller changed centroids (rounding to bf16). */
extern void ann_centroids_rebias(AnnCentroids *set);

#endif
