/*
 * kernel_test.h
 *	  What the tests of the kernels share: memory that ends at a guard page, reproducible data, and
 *	  comparisons that remember their first failure.
 */
#ifndef ANN_TEST_KERNEL_TEST_H
#define ANN_TEST_KERNEL_TEST_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/bf16.h"
#include "core/kernels.h"
#include "tap.h"

/*
 * Table number i of those to test, with its label; NULL past the last. All that the machine runs:
 * where dispatch.c offers the second form of avx512, the first one too.
 */
__attribute__((unused)) static const AnnKernels *
tested_kernels(int i, const char **label)
{
	const AnnKernels *kernels = ann_kernels_available(i);

	*label = kernels == NULL ? NULL : kernels->name;
#if defined(__x86_64__)
	if (kernels == &ann_kernels_avx512_vbmi)
		*label = "avx512 with vbmi";
	else if (kernels == NULL && ann_kernels_available(i - 1) == &ann_kernels_avx512_vbmi)
	{
		kernels = &ann_kernels_avx512;
		*label = kernels->name;
	}
#endif
	return kernels;
}

#define MAX_ARENAS 12
#define CANARY 0xa5

/*
 * Memory whose last byte is followed by a page that cannot be touched. A buffer of the next test is
 * taken from the end of the same arena; bytes before it hold a canary.
 */
typedef struct Arena
{
	unsigned char *start;
	unsigned char *end;
	unsigned char *buffer; /* the present one */
} Arena;

static Arena arenas[MAX_ARENAS];

__attribute__((unused)) static void
arena_open(int number, size_t bytes)
{
	size_t page = (size_t) sysconf(_SC_PAGESIZE);
	size_t size = (bytes + 2 * page - 1) / page * page;
	unsigned char *start =
		mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (start == MAP_FAILED || mprotect(start + size, page, PROT_NONE) != 0)
	{
		perror("mmap");
		exit(2);
	}
	arenas[number] = (Arena){start, start + size, start + size};
}

/* A buffer that ends gap bytes before the guard page. Its contents are the canary. */
__attribute__((unused)) static void *
arena_buffer(int number, size_t bytes, size_t gap)
{
	Arena *arena = &arenas[number];

	if (bytes + gap + 64 > (size_t) (arena->end - arena->start))
	{
		fprintf(stderr, "arena %d is too small for %zu bytes\n", number, bytes);
		exit(2);
	}
	arena->buffer = arena->end - gap - bytes;
	memset(arena->buffer - 64, CANARY, bytes + gap + 64);
	return arena->buffer;
}

/* Are the bytes around the buffer untouched? */
__attribute__((unused)) static bool
arena_intact(int number, size_t bytes, size_t gap)
{
	const unsigned char *buffer = arenas[number].buffer;

	for (int i = 1; i <= 64; i++)
		if (buffer[-i] != CANARY)
			return false;
	for (size_t i = 0; i < gap; i++)
		if (buffer[bytes + i] != CANARY)
			return false;
	return true;
}

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t random_state = 1;

__attribute__((unused)) static uint32_t
random_u32(void)
{
	uint64_t z = (random_state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (uint32_t) ((z ^ (z >> 31)) >> 32);
}

/* In [-1, 1). */
__attribute__((unused)) static float
random_float(void)
{
	return (float) ((int32_t) random_u32() >> 8) / 8388608.0f;
}

__attribute__((unused)) static void
random_floats(float *values, size_t num)
{
	for (size_t i = 0; i < num; i++)
		values[i] = random_float();
}

/* Whole numbers in [-range, range]: sums of their products are exact in a float. */
__attribute__((unused)) static void
random_integers(float *values, size_t num, int range)
{
	for (size_t i = 0; i < num; i++)
		values[i] = (float) ((int) (random_u32() % (2 * range + 1)) - range);
}

/* One test point: counts what went wrong and tells the first. */
typedef struct Point
{
	int checks;
	int failures;
} Point;

__attribute__((format(printf, 3, 4), unused)) static void
point_check(Point *point, bool ok, const char *format, ...)
{
	va_list args;
	char text[256];

	point->checks++;
	if (ok || point->failures++ > 0)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	tap_diag("%s", text);
}

/* The label of the variant under test. */
static const char *point_variant;

__attribute__((unused)) static void
point_done(const Point *point, const char *kernel)
{
	tap_ok(point->failures == 0 && point->checks > 0, "%s %s (%d checks, %d failed)", point_variant,
		   kernel, point->checks, point->failures);
}

/*
 * Is value what exact arithmetic gives, but for rounding? size is the sum of the terms' absolute
 * values. 16: a sum in lanes of n terms each is off by some sqrt(n) / 3 * eps of its size.
 */
__attribute__((unused)) static bool
is_close(float value, double exact, double size)
{
	if (isnan(exact))
		return isnan(value);
	if (isinf((float) exact))
		return value == (float) exact;
	return fabs(value - exact) <= 16 * FLT_EPSILON * size + 8 * (double) FLT_MIN;
}

__attribute__((unused)) static bool
same_bits(const void *a, const void *b, size_t bytes)
{
	return memcmp(a, b, bytes) == 0;
}

/* Dimension number i of the list that every float kernel is tested with; -1 past the last. */
__attribute__((unused)) static int
test_dim(int i)
{
	static const int larger[] = {96, 100, 128, 384, 768, 1536, 16000};

	if (i <= 70)
		return i;
	return i - 71 < (int) (sizeof(larger) / sizeof(larger[0])) ? larger[i - 71] : -1;
}

#endif
