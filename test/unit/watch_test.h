/*
 * watch_test.h
 *	  A watch that stops a function at any of its polls, and sees how far it has come at each.
 */
#ifndef WATCH_TEST_H
#define WATCH_TEST_H

#include "core/base.h"

/* Polls that answer false; -1: all of them. */
static long polls_allowed = -1;
static long polls_seen = 0;
static uint64_t done_seen = 0;
static bool counts_fit = true; /* so far: never back, never over the total */

static inline bool count_poll(void *arg);
static AnnWatch watch = {.poll = count_poll};

static inline bool
count_poll(void *arg)
{
	(void) arg;
	counts_fit = counts_fit && watch.done >= done_seen && watch.done <= watch.total;
	done_seen = watch.done;
	return ++polls_seen > polls_allowed && polls_allowed >= 0;
}

/* A new function is watched, which may be polled so often. */
static inline void
watch_anew(long allowed)
{
	polls_allowed = allowed;
	polls_seen = 0;
	done_seen = 0;
	counts_fit = true;
	watch.done = watch.total = 0;
}

/* It has come to its end. */
static inline bool
watched_to_end(void)
{
	return counts_fit && watch.done == watch.total && watch.total > 0;
}

#endif
