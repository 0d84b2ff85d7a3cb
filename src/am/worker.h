/*
 * worker.h
 *	  What all parallel workers of a build are told before their own work.
 */
#ifndef ANN_AM_WORKER_H
#define ANN_AM_WORKER_H

#include "access/parallel.h"

/* Room for it in shared memory that is still to be made. */
extern void ann_worker_estimate(ParallelContext *context);

/* The leader's query and the name of its kernels. */
extern void ann_worker_tell(ParallelContext *context);

/*
 * What a worker does first: shows the leader's query, and sees that both have the same kernels; an
 * internal error where they do not.
 */
extern void ann_worker_begin(shm_toc *toc);

#endif
