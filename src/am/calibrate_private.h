/*
 * calibrate_private.h
 *	  What finding the neighbours (neighbours.c) and what follows from them (calibrate.c) share, and
 *	  nobody else sees.
 */
#ifndef ANN_AM_CALIBRATE_PRIVATE_H
#define ANN_AM_CALIBRATE_PRIVATE_H

#include "postgres.h"

#include "am/build.h"

/* True neighbours that are found for a query. */
#define ANN_NEIGHBOURS 100

typedef struct AnnNeighbour
{
	float distance;    /* in key units */
	AnnTid tid;        /* decides between equal distances, so that no order of the rows does */
	uint32 leaf;       /* of its entry that a search meets first, which the rest is about */
	uint32 other;      /* leaf of its other entry, or the same */
	float deviation;   /* (estimate - distance) / sigma */
	float variance;    /* sigma^2 of the code alone */
	float table_error; /* error of the estimate through an 8-bit table */
} AnnNeighbour;

typedef struct AnnCalibrator
{
	AnnBuilder *builder;
	int num;
	int dim;
	bool ip;
	float *queries;
	AnnTid *tids;
	float *norms; /* squared norms of the queries */
	float *bits;  /* per query: elements above 0 (Jaccard) */
	float *bound; /* per query: its worst neighbour's distance, +inf until the list is full */
	float *reach; /* per query: the bound as blocked products; no nearer row is beyond */
	int *counts;
	AnnNeighbour *neighbours; /* ANN_NEIGHBOURS a query, the first counts[], unordered */
	int *worst;               /* of ANN_NEIGHBOURS neighbours, the place of the last in order */
	uint8 *tables;            /* per query: 8-bit table */
	float *steps;
	float *bases;
	float *products; /* num times a batch */
	float *row_norms;
	float *decoded; /* one code */
	float *origin;  /* zeros: what codes of rows themselves are relative to */
} AnnCalibrator;

/* By distance and row identifier, for qsort(). */
extern int ann_compare_neighbours(const void *a, const void *b);

#endif
