/*
 * base.h
 *	  What every file of the core shares: integer types, status codes, the interrupt callback, the
 *	  row identifier and the macros that put a region of code under a SIMD target.
 *
 * The core is plain C11. It includes nothing of PostgreSQL, allocates nothing, does no I/O and
 * keeps no state but the kernel table (dispatch.c). Callers own all memory.
 */
#ifndef ANN_CORE_BASE_H
#define ANN_CORE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lanes (codes) of one block; every kernel, the page format and the scan are built on it. */
#define ANN_BLOCK_LANES 32

/* Codewords of one sub-quantiser: 4 bits. */
#define ANN_CODEWORDS 16

/* Dimensions of the widest vector, the limit of the SQL type. */
#define ANN_MAX_DIM 16000

typedef enum AnnStatus
{
	ANN_OK = 0,
	ANN_INTERRUPTED, /* the watch asked to stop */
} AnnStatus;

/*
 * Who watches a long function of the core; NULL: nobody. poll is called at bounded intervals, and
 * true asks to stop. It may also longjmp away (PostgreSQL's CHECK_FOR_INTERRUPTS): the core owns
 * nothing that would leak. At its beginning a function adds what is to be done to total, then what
 * it has done to done, until that is all: rows, as often as it goes over them, or what else it
 * says.
 */
typedef struct AnnWatch
{
	bool (*poll)(void *arg); /* may be NULL */
	/*
	 * A pass of k-means over all of its rows (from 1), their mean squared distance to the nearest
	 * centroid before it moves these. May be NULL.
	 */
	void (*pass)(void *arg, const char *centroids, int pass, double energy);
	void *arg;
	uint64_t done;
	uint64_t total;
} AnnWatch;

/* A row identifier: six opaque bytes, in the layout of PostgreSQL's ItemPointerData. */
typedef struct AnnTid
{
	uint16_t block_hi;
	uint16_t block_lo;
	uint16_t offset;
} AnnTid;

/*
 * Region macros: code between BEGIN and END is compiled for the named target, everything else stays
 * at the baseline. Needed because PGXS compiles each file to bitcode without the file's own CFLAGS.
 * isa is one of the ANN_ISA strings; headers of intrinsics are included before the region.
 */
#define ANN_ISA_AVX2 "avx2,fma"
#define ANN_ISA_AVX2_F16C ANN_ISA_AVX2 ",f16c"
#define ANN_ISA_AVX2_POPCNT ANN_ISA_AVX2 ",popcnt"
#define ANN_ISA_AVX512 "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"
#define ANN_ISA_AVX512_VBMI ANN_ISA_AVX512 ",avx512vbmi,avx512vnni,avx512vpopcntdq"

#define ANN_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define ANN_TARGET_BEGIN(isa)                                                                      \
	ANN_PRAGMA(clang attribute push(__attribute__((target(isa))), apply_to = function))
#define ANN_TARGET_END ANN_PRAGMA(clang attribute pop)
#else
#define ANN_TARGET_BEGIN(isa) ANN_PRAGMA(GCC push_options) ANN_PRAGMA(GCC target(isa))
#define ANN_TARGET_END ANN_PRAGMA(GCC pop_options)
#endif

/* A function that must vanish into its caller: its constant arguments choose the code. */
#define ANN_INLINE inline __attribute__((always_inline))
/* One that must not: a loop that needs all registers gets them in a function of its own. */
#define ANN_NOINLINE __attribute__((noinline))

/*
 * x86: keeps a loaded register. gcc would fold the load into every instruction that uses the
 * register and load as often; where lines are crossed, loads are what such a loop waits for.
 */
#define ANN_KEEP(reg) __asm__("" : "+v"(reg))

#endif
