/*
 * bench_kernels.c
 *	  The kernels alone, each variant that this machine runs: a table. One line a kernel,
 *	  one column a variant.
 *
 *	  cc -std=gnu11 -O2 -Isrc -o bench_kernels test/bench/bench_kernels.c src/core/kernels_*.c
 *		 src/core/dispatch.c -lm && ./bench_kernels [milliseconds a figure, 50]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/kernels.h"

#define ROUNDS 7

#define L2_BYTES ((size_t) 256 * 1024)
#define MEMORY_BYTES ((size_t) 256 * 1024 * 1024)

static const AnnKernels *kernels;
static double round_seconds;

/* Inputs of the kernel under test, filled once. */
static uint8_t *bytes;  /* MEMORY_BYTES */
static float *floats;   /* 4 MB of small numbers */
static float *results;  /* 16 MB */
static uint32_t *ranks; /* 64 K */
static volatile float sink;

typedef struct Bench
{
	const char *name;
	void (*run)(int size, int count); /* one unit of work */
	int size;                         /* blocks, dimensions */
	int count;                        /* rows, blocks; 0 where it has no meaning */
	double work;                      /* of a unit, in the table's measure */
	const char *measure;
	bool rate; /* work per second, not seconds per work */
} Bench;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void
run_l2(int dim, int count)
{
	(void) count;
	sink = kernels->l2_squared(floats, floats + 20000, dim);
}

static void
run_ip(int dim, int count)
{
	(void) count;
	sink = kernels->inner_product(floats, floats + 20000, dim);
}

static void
run_cosine(int dim, int count)
{
	(void) count;
	kernels->cosine_parts(floats, floats + 20000, dim, results);
}

static void
run_half(int dim, int count)
{
	(void) count;
	kernels->half_to_float((uint16_t *) bytes, dim, results);
}

static void
run_products(int dim, int count)
{
	kernels->products(floats, dim, count, floats + 300000, dim, count, dim, results, count);
}

static void
run_nearest(int dim, int count)
{
	kernels->nearest(floats, dim, count, floats + 300000, dim, count, floats, dim, ranks, results);
}

static void
run_nearest_one(int dim, int count)
{
	kernels->nearest(floats, dim, 1, floats + 300000, dim, count, floats, dim, ranks, results);
}

static void
run_rows_bf16(int dim, int count)
{
	kernels->l2_rows_bf16(floats, (char *) bytes + 2, (size_t) dim * 2, count, dim, results);
}

static void
run_rows_f32(int dim, int count)
{
	kernels->l2_rows_f32(floats, (char *) floats + 400004, (size_t) dim * 4, count, dim, results);
}

static void
run_query_table(int dim, int width)
{
	kernels->query_table(floats, floats + 20000, dim / width, width, results);
}

static void
run_encode(int num_blocks, int count)
{
	(void) count;
	kernels->encode(floats, floats + 200000, num_blocks, (uint8_t *) ranks);
}

static void
run_bounds(int num_blocks, int count)
{
	static const AnnBoundParams params = {1, 1, -.001f, 1, 1, 1, 2, .001f, 1.5f, 1e-6f};

	(void) num_blocks;
	for (int i = 0; i < count; i++)
		ranks[i % 1024] = kernels->bounds(ranks + 1024, floats, (const uint16_t *) bytes,
										  (const uint16_t *) bytes + 32, &params, 0, results);
}

/* Where the parts of a block stand (block.h). */
static size_t
block_bytes(int num_blocks)
{
	return 24 + 32 * 14 + (size_t) num_blocks * 16;
}

/* The scan of count blocks of codes. */
static void
run_score(int num_blocks, int count)
{
	static const AnnBoundParams params = {1, 1, -.001f, 1, 1, 1, 2, .001f, 1.5f, 1e-6f};
	_Alignas(64) float keys[ANN_BLOCK_LANES];
	uint32_t survivors = 0;

	for (int i = 0; i < count; i++)
	{
		const uint8_t *block = bytes + i * block_bytes(num_blocks);

		survivors +=
			kernels->score(block + 24 + 32 * 14, (uint8_t *) floats, num_blocks,
						   (const float *) (block + 24), (const uint16_t *) (block + 24 + 128),
						   (const uint16_t *) (block + 24 + 192), &params, -1e30f, keys);
	}
	sink = (float) survivors;
}

/* The same by the two kernels that score joins. */
static void
run_two(int num_blocks, int count)
{
	static const AnnBoundParams params = {1, 1, -.001f, 1, 1, 1, 2, .001f, 1.5f, 1e-6f};
	uint32_t survivors = 0;

	for (int i = 0; i < count; i++)
	{
		const uint8_t *block = bytes + i * block_bytes(num_blocks);
		_Alignas(64) uint32_t acc[ANN_BLOCK_LANES] = {0};
		_Alignas(64) float keys[ANN_BLOCK_LANES];

		kernels->accumulate(block + 24 + 32 * 14, (uint8_t *) floats, num_blocks, acc);
		survivors += kernels->bounds(acc, (const float *) (block + 24),
									 (const uint16_t *) (block + 24 + 128),
									 (const uint16_t *) (block + 24 + 192), &params, -1e30f, keys);
	}
	sink = (float) survivors;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *) a;
	double y = *(const double *) b;

	return (x > y) - (x < y);
}

/* Seconds of one unit: the lower quartile of some rounds, as the machine may be shared. */
static double
measure(const Bench *bench)
{
	double rounds[ROUNDS];
	long repeat = 1;
	double start;

	bench->run(bench->size, bench->count);
	for (;;)
	{
		start = now();
		for (long i = 0; i < repeat; i++)
			bench->run(bench->size, bench->count);
		if (now() - start > round_seconds / 8)
			break;
		repeat *= 2;
	}
	for (int r = 0; r < ROUNDS; r++)
	{
		start = now();
		for (long i = 0; i < repeat; i++)
			bench->run(bench->size, bench->count);
		rounds[r] = (now() - start) / repeat;
	}
	qsort(rounds, ROUNDS, sizeof(double), compare);
	return rounds[ROUNDS / 4];
}

/* GHz, from a chain of dependent multiplications of 3 cycles each; rough, for cycles from times. */
static double
clock_ghz(void)
{
	double best = 0;

	for (int round = 0; round < 5; round++)
	{
		uint64_t x = 3;
		double start = now();
		double ghz;

		for (int i = 0; i < 10 * 1000 * 1000; i++)
		{
			x *= 0x9e3779b97f4a7c15;
			__asm__ volatile("" : "+r"(x));
		}
		ghz = 3 * 1e7 / (now() - start) / 1e9;
		best = ghz > best ? ghz : best;
	}
	return best;
}

/*
 * What the machine runs; where that is the second form of avx512, the first one stands behind it.
 */
static const AnnKernels *
variant(int i)
{
#if defined(__x86_64__)
	if (i > 0 && ann_kernels_available(i - 1) == &ann_kernels_avx512_vbmi)
		return &ann_kernels_avx512;
#endif
	return ann_kernels_available(i);
}

static void
print_bench(const Bench *bench)
{
	printf("%-28s %-10s", bench->name, bench->measure);
	for (int i = 0; (kernels = variant(i)) != NULL; i++)
	{
		double seconds = measure(bench);

		printf(" %10.3f", bench->rate ? bench->work / seconds / 1e9 : seconds * 1e9 / bench->work);
		fflush(stdout);
	}
	printf("\n");
}

/* size: bytes that the codes fill. */
static void
bench_scan(const char *kernel, void (*run)(int, int), int num_blocks, size_t size,
		   const char *where)
{
	int count = (int) (size / block_bytes(num_blocks));
	char name[64];
	Bench bench = {name, run, num_blocks, count, count * 32.0, "ns/code", false};

	snprintf(name, sizeof(name), "%s, %d blocks, %s", kernel, num_blocks, where);
	print_bench(&bench);
}

static void
bench_scans(void)
{
	static const int counts[] = {32, 64, 96, 192, 384};

	for (int i = 0; i < 5; i++)
		bench_scan("score", run_score, counts[i], L2_BYTES, "L2");
	for (int i = 0; i < 5; i++)
		bench_scan("score", run_score, counts[i], MEMORY_BYTES, "memory");
	for (int i = 1; i < 4; i++)
		bench_scan("acc + bounds", run_two, counts[i], L2_BYTES, "L2");
}

static void
fill_inputs(int offset)
{
	bytes = aligned_alloc(4096, MEMORY_BYTES + 4096);
	floats = (float *) aligned_alloc(4096, sizeof(float) * 1024 * 1024 + 4096) + offset;
	results = malloc(sizeof(float) * 4 * 1024 * 1024);
	ranks = calloc(65536, sizeof(uint32_t));
	/* Any two bytes are a bf16 between 1/8 and 2, any four a float of that size. */
	for (size_t i = 0; i < MEMORY_BYTES + 4096; i++)
		bytes[i] = (uint8_t) (0x3e + (((i * 2654435761u) >> 13) & 1));
	for (int i = 0; i < 1024 * 1024; i++)
		floats[i] = (float) ((i * 2654435761u >> 8) & 0xffff) / 65536.0f - .5f;
	memset(results, 0, sizeof(float) * 4 * 1024 * 1024);
}

int
main(int argc, char **argv)
{
	static const Bench benches[] = {
		{"l2_squared 128", run_l2, 128, 0, 1, "ns", false},
		{"l2_squared 384", run_l2, 384, 0, 1, "ns", false},
		{"l2_squared 1536", run_l2, 1536, 0, 1, "ns", false},
		{"l2_squared 100", run_l2, 100, 0, 1, "ns", false},
		{"inner_product 384", run_ip, 384, 0, 1, "ns", false},
		{"cosine_parts 384", run_cosine, 384, 0, 1, "ns", false},
		{"half_to_float 384", run_half, 384, 0, 1, "ns", false},
		{"products 256 x 256 x 128", run_products, 128, 256, 2.0 * 256 * 256 * 128, "GFLOP/s",
		 true},
		{"products 256 x 256 x 384", run_products, 384, 256, 2.0 * 256 * 256 * 384, "GFLOP/s",
		 true},
		{"nearest 256 x 256 x 128", run_nearest, 128, 256, 2.0 * 256 * 256 * 128, "GFLOP/s", true},
		{"nearest 1024 x 1024 x 128", run_nearest, 128, 1024, 2.0 * 1024 * 1024 * 128, "GFLOP/s",
		 true},
		{"nearest 256 x 256 x 384", run_nearest, 384, 256, 2.0 * 256 * 256 * 384, "GFLOP/s", true},
		{"nearest 128 x 128 x 1536", run_nearest, 1536, 128, 2.0 * 128 * 128 * 1536, "GFLOP/s",
		 true},
		{"nearest 1 x 1024 x 128", run_nearest_one, 128, 1024, 2.0 * 1024 * 128, "GFLOP/s", true},
		{"l2_rows_bf16 30 x 128", run_rows_bf16, 128, 30, 30 * 128 * 2, "GB/s", true},
		{"l2_rows_bf16 10 x 384", run_rows_bf16, 384, 10, 10 * 384 * 2, "GB/s", true},
		{"l2_rows_bf16 2 x 1536", run_rows_bf16, 1536, 2, 2 * 1536 * 2, "GB/s", true},
		{"l2_rows_bf16 8192 x 128", run_rows_bf16, 128, 8192, 8192.0 * 128 * 2, "GB/s", true},
		{"l2_rows_f32 15 x 128", run_rows_f32, 128, 15, 15 * 128 * 4, "GB/s", true},
		{"query_table 128 by 2", run_query_table, 128, 2, 1, "ns", false},
		{"query_table 1536 by 8", run_query_table, 1536, 8, 1, "ns", false},
		{"encode 64 blocks", run_encode, 64, 0, 1, "ns", false},
		{"bounds", run_bounds, 0, 1000, 32000, "ns/code", false},
	};

	round_seconds = (argc > 1 ? atof(argv[1]) : 50) / 1000 / ROUNDS;
	fill_inputs(argc > 2 ? atoi(argv[2]) : 2);
	printf("clock some %.2f GHz\n%-28s %-10s", clock_ghz(), "kernel", "measure");
	for (int i = 0; variant(i) != NULL; i++)
		printf(" %10s", variant(i)->name);
	printf("\n");
	for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++)
		print_bench(&benches[i]);
	bench_scans();
	return 0;
}
