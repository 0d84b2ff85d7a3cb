/*
 * work.h
 *	  What the long loops of the core share: carving a caller's workspace into arrays, and polling
 *	  by the amount of work done.
 *
 * NOTES
 *	  The size of a workspace and its layout come from the same code: a function that takes arrays
 *	  from an arena without memory only adds up their sizes.
 */
#ifndef ANN_CORE_WORK_H
#define ANN_CORE_WORK_H

#include "core/base.h"

/* Arrays start at cache lines: vector loads that straddle two cost twice. */
#define ANN_ARENA_ALIGN 64

typedef struct AnnArena
{
	char *memory; /* NULL: only measure */
	size_t bytes; /* taken so far */
} AnnArena;

static inline void
ann_arena_init(AnnArena *arena, void *memory)
{
	uintptr_t misaligned = (uintptr_t) memory % ANN_ARENA_ALIGN;

	arena->memory = memory;
	arena->bytes = memory != NULL && misaligned > 0 ? ANN_ARENA_ALIGN - misaligned : 0;
}

static inline void *
ann_arena_take(AnnArena *arena, size_t num, size_t size)
{
	void *array = arena->memory == NULL ? NULL : arena->memory + arena->bytes;

	arena->bytes += (num * size + ANN_ARENA_ALIGN - 1) / ANN_ARENA_ALIGN * ANN_ARENA_ALIGN;
	return array;
}

/* Bytes to ask of the caller for what was taken without memory, wherever his memory starts. */
static inline size_t
ann_arena_size(const AnnArena *arena)
{
	return arena->bytes + ANN_ARENA_ALIGN;
}

/* Multiply-adds between two polls: 10 ms of the scalar kernels, less than 1 ms of the others. */
#define ANN_POLL_WORK 10000000

typedef struct AnnMeter
{
	AnnWatch *watch; /* may be NULL */
	uint64_t work;   /* since the last poll */
} AnnMeter;

/* True: stop. */
static inline bool
ann_watch_poll(const AnnWatch *watch)
{
	return watch != NULL && watch->poll != NULL && watch->poll(watch->arg);
}

/* Announces so much to be done; returns what `done` will be then. */
static inline uint64_t
ann_watch_expect(AnnWatch *watch, uint64_t num)
{
	if (watch == NULL)
		return 0;
	watch->total += num;
	return watch->done + num;
}

static inline void
ann_watch_advance(AnnWatch *watch, uint64_t num)
{
	if (watch != NULL)
		watch->done += num;
}

/* What was announced is done, or not to be done after all. */
static inline void
ann_watch_finish(AnnWatch *watch, uint64_t expected)
{
	if (watch != NULL)
		watch->done = expected;
}

static inline void
ann_watch_pass(const AnnWatch *watch, const char *centroids, int pass, double energy)
{
	if (watch != NULL && watch->pass != NULL)
		watch->pass(watch->arg, centroids, pass, energy);
}

/*
 * The work of so many pairs of rows whose product or distance is made and compared: what comes
 * besides the multiply-adds counts where there are few dimensions.
 */
static inline uint64_t
ann_pairs_work(uint64_t num_pairs, uint64_t dim)
{
	return num_pairs * (dim + 8);
}

/* Notes work that comes next or was just done; true: stop. */
static inline bool
ann_meter_spend(AnnMeter *meter, uint64_t work)
{
	meter->work += work;
	if (meter->work < ANN_POLL_WORK)
		return false;
	meter->work = 0;
	return ann_watch_poll(meter->watch);
}

#endif
