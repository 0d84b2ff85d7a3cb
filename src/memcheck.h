/*
 * memcheck.h
 *	  A library built for valgrind (make VALGRIND=1) asks it whether what goes into WAL was ever
 *	  written: on its way to the disk it would be copied by processes that know nothing of it. In a
 *	  release this compiles to nothing.
 */
#ifndef ANN_MEMCHECK_H
#define ANN_MEMCHECK_H

#ifdef ANN_VALGRIND

#include <valgrind/memcheck.h>

#define ANN_CHECK_WRITTEN(memory, size) ((void) VALGRIND_CHECK_MEM_IS_DEFINED(memory, size))

/* An error made on purpose, in each process: a report without it has seen nothing. */
static inline void
ann_memcheck_control(void)
{
	char memory[16];

	VALGRIND_MAKE_MEM_UNDEFINED(memory, sizeof(memory));
	ANN_CHECK_WRITTEN(memory, sizeof(memory));
}

#else

#define ANN_CHECK_WRITTEN(memory, size) ((void) (memory), (void) (size))
#define ann_memcheck_control() ((void) 0)

#endif

#endif
