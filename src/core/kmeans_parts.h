/*
 * kmeans_parts.h
 *	  What the parts of a training that may be done by several processes work on. kmeans.c and
 *	  kmeans_parts.c include it, nobody else.
 */
#ifndef ANN_CORE_KMEANS_PARTS_H
#define ANN_CORE_KMEANS_PARTS_H

#include "core/lloyd.h"

/* What a process that joins cannot know. */
typedef struct AnnKmeansCounts
{
	uint32_t num_parents;
	uint32_t num_centroids;
	uint32_t most_seats; /* of one parent */
	uint32_t most_rows;  /* likewise */
} AnnKmeansCounts;

/* Arrays in memory that all processes share, apart from rows and centroids. */
typedef struct AnnKmeansShared
{
	AnnKmeansCounts *counts;
	uint32_t *order;     /* num_rows row numbers */
	uint32_t *assigned;  /* num_rows */
	float *distance;     /* num_rows */
	uint32_t *first_row; /* num_parents + 1 offsets into order */
	uint32_t *seats;     /* num_parents; once its part is done, the centroids that it got */
} AnnKmeansShared;

extern void ann_kmeans_shared_take(AnnKmeansShared *shared, AnnArena *arena,
								   const AnnKmeansParams *params, size_t num_rows);

/* Rows of a batch, in a training of these sizes. */
extern size_t ann_kmeans_batch(const AnnKmeansParams *params, size_t num_rows);

/*
 * Lloyd within one parent, whose centroids go where first_child says. lloyd: for as many seats and
 * rows as it has. True: stop.
 */
extern bool ann_kmeans_train_parent(const AnnKmeansParams *params, const AnnKmeansShared *shared,
									AnnCentroids *set, AnnLloyd *lloyd, uint32_t parent);

/* The leaves of one batch of rows, and their distances. True: stop. */
extern bool ann_kmeans_assign_batch(const AnnKmeansParams *params, const AnnKmeansShared *shared,
									const AnnCentroids *set, const float *rows, size_t num_rows,
									uint32_t batch, void *workspace, AnnMeter *meter);

#endif
