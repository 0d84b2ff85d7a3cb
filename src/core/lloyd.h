/*
 * lloyd.h
 *	  Flat Lloyd over numbered rows: what the hierarchy of kmeans.c is made of. Nobody else includes
 *	  it.
 */
#ifndef ANN_CORE_LLOYD_H
#define ANN_CORE_LLOYD_H

#include "core/distinct.h"
#include "core/gather.h"
#include "core/rng.h"

typedef struct AnnLloyd
{
	const float *rows;
	size_t dim;
	int iterations;
	const char *name; /* what the watch is told of passes; NULL: nothing */
	AnnRng rng;
	AnnMeter meter;
	/* workspace */
	uint64_t *hashes; /* for as many distinct rows as centroids */
	float *origin;    /* dim; during a run, centroids are relative to it */
	double *sums;     /* max_centroids * dim */
	uint32_t *counts; /* max_centroids */
	float *bias;      /* max_centroids */
	AnnGather gather;
	/* of each centroid, for relocation */
	double *gains;       /* energy saved by another centroid at its member */
	double *losses;      /* energy added by its removal */
	uint32_t *members;   /* place in order of a random one of its rows */
	uint32_t *absorbers; /* the centroid nearest to it, which would take its rows */
} AnnLloyd;

#define ANN_MOVED UINT32_MAX

/* One run: the rows that order names, and the centroids that it makes of them. */
typedef struct AnnRun
{
	uint32_t *order;
	uint32_t *assigned; /* centroid of each row, by its place in order */
	size_t num_rows;
	float *centroids;
	uint32_t num_centroids;
} AnnRun;

static inline const float *
ann_run_row(const AnnLloyd *lloyd, const AnnRun *run, size_t i)
{
	return lloyd->rows + run->order[i] * lloyd->dim;
}

/* Takes the workspace of runs of up to these sizes. */
extern void
ann_lloyd_take(AnnLloyd *lloyd, AnnArena *arena, int dim, uint32_t max_centroids, size_t max_rows);

/* Moves a random one of the rows from place i on to place i. */
extern void ann_lloyd_draw(AnnLloyd *lloyd, AnnRun *run, size_t i);

/*
 * Flat Lloyd from random distinct rows, `wanted` centroids unless there are fewer of those. Each
 * comes out as the mean of the rows that `assigned` gives it, at least one. True: stop.
 */
extern bool ann_lloyd_train(AnnLloyd *lloyd, AnnRun *run, uint32_t wanted);

/* One more pass, over the rows that are in the run now. True: stop. */
extern bool ann_lloyd_reassign(AnnLloyd *lloyd, AnnRun *run);

/*
 * relocate.c: after an update, moves centroids that hardly matter to random rows of others that
 * serve too many. first: num_groups + 1 offsets; the rows of a centroid that moves are left to the
 * nearest in its own group, of which one stays. Those that moved have ANN_MOVED in absorbers. True:
 * stop.
 */
extern bool ann_lloyd_relocate(AnnLloyd *lloyd, AnnRun *run, const uint32_t *first,
							   uint32_t num_groups, uint32_t *num_moved);

/* Means by hand: clear, add each row to its centroid, update (centroids without rows stay). */
extern void ann_lloyd_clear(AnnLloyd *lloyd, uint32_t num_centroids);
extern void ann_lloyd_add(AnnLloyd *lloyd, uint32_t centroid, const float *row);
extern bool
ann_lloyd_update(AnnLloyd *lloyd, float *centroids, uint32_t num_centroids, const float *origin);

#endif
