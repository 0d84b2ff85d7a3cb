/*
 * test_kernels_codes.c
 *	  Every variant of the kernels on codes: integers bit-equal to the plain definition, floats
 *	  against double precision. And the choice of a variant.
 */
#include "kernel_test.h"

enum
{
	ARENA_CODES,
	ARENA_TABLE,
	ARENA_ACC,
	ARENA_B,
	ARENA_S,
	ARENA_ERR,
	ARENA_KEYS,
	ARENA_OUT,
	NUM_ARENAS
};

/* Number i of the list of block counts; -1 past the last. */
static int
test_num_blocks(int i)
{
	static const int larger[] = {96,  128, 192, 255, 256, 257,  384,
								 511, 512, 513, 767, 768, 1025, 8000};

	if (i <= 70)
		return i;
	return i - 71 < (int) (sizeof(larger) / sizeof(larger[0])) ? larger[i - 71] : -1;
}

static void
random_bytes(uint8_t *bytes, size_t num)
{
	for (size_t i = 0; i < num; i++)
		bytes[i] = (uint8_t) random_u32();
}

/* The definition of kernels.h, word for word. */
static void
plain_accumulate(const uint8_t *codes, const uint8_t *table, int num_blocks, uint32_t acc[32])
{
	for (int lane = 0; lane < 32; lane++)
		for (int m = 0; m < num_blocks; m++)
		{
			uint8_t byte = codes[m * 16 + lane % 16];

			acc[lane] += table[m * 16 + (lane < 16 ? byte & 0x0f : byte >> 4)];
		}
}

/* fill: value of the whole table, or -1 for random bytes. */
static void
check_accumulate(Point *point, const AnnKernels *kernels, int num_blocks, int fill, size_t gap)
{
	size_t bytes = (size_t) num_blocks * 16;
	uint8_t *codes = arena_buffer(ARENA_CODES, bytes, gap);
	uint8_t *table = arena_buffer(ARENA_TABLE, bytes, gap);
	uint32_t *acc = arena_buffer(ARENA_ACC, sizeof(uint32_t) * 32, 0);
	uint32_t expected[32];

	random_bytes(codes, bytes);
	random_bytes(table, bytes);
	if (fill >= 0)
		memset(table, fill, bytes);
	for (int lane = 0; lane < 32; lane++)
		acc[lane] = expected[lane] = random_u32();
	kernels->accumulate(codes, table, num_blocks, acc);
	plain_accumulate(codes, table, num_blocks, expected);
	point_check(point, arena_intact(ARENA_ACC, sizeof(uint32_t) * 32, 0), "wrote before acc");
	for (int lane = 0; lane < 32; lane++)
		point_check(point, acc[lane] == expected[lane], "%d blocks, lane %d: %u not %u", num_blocks,
					lane, acc[lane], expected[lane]);
}

static void
test_accumulate(const AnnKernels *kernels)
{
	Point point = {0, 0};
	int num_blocks;

	for (int i = 0; (num_blocks = test_num_blocks(i)) >= 0; i++)
		for (size_t gap = 0; gap < 3; gap++)
		{
			check_accumulate(&point, kernels, num_blocks, -1, gap);
			check_accumulate(&point, kernels, num_blocks, 255, gap);
			check_accumulate(&point, kernels, num_blocks, 1, gap);
		}
	point_done(&point, "accumulate");
}

static void
test_query_table(const AnnKernels *kernels)
{
	static const int widths[] = {1, 2, 3, 4, 5, 8, 16, 31};
	Point point = {0, 0};

	for (int m = 0; m <= 70; m++)
		for (int w = 0; w < 8; w++)
		{
			int width = widths[w];
			size_t dim = (size_t) m * width;
			float *query = arena_buffer(ARENA_B, sizeof(float) * dim, 0);
			float *codebook = arena_buffer(ARENA_TABLE, sizeof(float) * dim * 16, 0);
			float *out = arena_buffer(ARENA_OUT, sizeof(float) * m * 16, 0);

			random_floats(query, dim);
			random_floats(codebook, dim * 16);
			kernels->query_table(query, codebook, m, width, out);
			point_check(&point, arena_intact(ARENA_OUT, sizeof(float) * m * 16, 0), "before out");
			for (int k = 0; k < m * 16; k++)
			{
				double exact = 0;
				double size = 0;

				for (int d = 0; d < width; d++)
				{
					size_t element = (size_t) (k / 16) * width + d;
					double term = (double) query[element] * codebook[element * 16 + k % 16];

					exact += term;
					size += fabs(term);
				}
				point_check(&point, is_close(out[k], exact, size),
							"%d blocks of %d: [%d] %g not %g", m, width, k, out[k], exact);
			}
		}
	point_done(&point, "query_table");
}

/* Fills one block of 16 values: random, with ties, or with what cannot be compared. */
static void
encode_values(float *values, int kind)
{
	static const float specials[] = {NAN, INFINITY, -INFINITY, 1, -1, 0, -0.0f, NAN};

	if (kind == 0)
		random_floats(values, 16);
	else if (kind == 1)
		random_integers(values, 16, 1);
	else
		for (int c = 0; c < 16; c++)
			values[c] = kind == 2 ? NAN : specials[random_u32() % 8];
}

static void
test_encode(const AnnKernels *kernels)
{
	Point point = {0, 0};

	for (int num = 0; num <= 130; num++)
		for (int round = 0; round < 8; round++)
		{
			size_t bytes = sizeof(float) * 16 * num;
			float *table = arena_buffer(ARENA_TABLE, bytes, round % 2 * 4);
			float *bias = arena_buffer(ARENA_B, bytes, round % 3 * 4);
			uint8_t *codes = arena_buffer(ARENA_CODES, num, 0);

			for (int m = 0; m < num; m++)
			{
				encode_values(table + m * 16, round < 2 ? 0 : (int) (random_u32() % 4));
				encode_values(bias + m * 16, round < 4 ? round % 2 : (int) (random_u32() % 4));
			}
			kernels->encode(table, bias, num, codes);
			point_check(&point, arena_intact(ARENA_CODES, num, 0), "wrote before codes");
			for (int m = 0; m < num; m++)
			{
				int best = 0;
				float lowest = INFINITY;

				for (int c = 0; c < 16; c++)
				{
					float value = bias[m * 16 + c] - 2.0f * table[m * 16 + c];

					if (value < lowest)
					{
						lowest = value;
						best = c;
					}
				}
				point_check(&point, codes[m] == best, "round %d, %d of %d: %d not %d", round, m,
							num, codes[m], best);
			}
		}
	point_done(&point, "encode");
}

/* What encode_pairs minimises, for one pair of block m. */
static double
pair_cost(const float *table, const float *bias, const float *codebook, int num, int width, int m,
		  int i, int j)
{
	int a = m * 16 + i, b = (num + m) * 16 + j;
	double sum = (double) bias[a] - 2. * table[a] + bias[b] - 2. * table[b];

	for (int d = 0; d < width; d++)
		sum += 2. * codebook[(m * width + d) * 16 + i] * codebook[((num + m) * width + d) * 16 + j];
	return sum;
}

/* Codes of two layers, of values in [-1, 1]: the least of 256 sums, up to rounding. */
static void
test_encode_pairs(const AnnKernels *kernels)
{
	static const int nums[] = {1, 2, 7, 16, 33};
	Point point = {0, 0};
	float table[2 * 33 * 16], bias[2 * 33 * 16], codebook[2 * 33 * 16 * 5];
	uint8_t codes[2 * 33 + 1];

	for (int round = 0; round < 40; round++)
	{
		int num = nums[round % 5], width = 1 + round % 4 + round / 20;

		for (int i = 0; i < 2 * num * 16; i++)
		{
			table[i] = (float) (int32_t) random_u32() / 2147483648.f;
			bias[i] = (float) (int32_t) random_u32() / 2147483648.f;
		}
		for (int i = 0; i < 2 * num * 16 * width; i++)
			codebook[i] = (float) (int32_t) random_u32() / 2147483648.f;
		codes[2 * num] = 0xa5;
		kernels->encode_pairs(table, bias, codebook, num, width, codes);
		point_check(&point, codes[2 * num] == 0xa5, "%d blocks: writes past the codes", num);
		for (int m = 0; m < num; m++)
		{
			double least = INFINITY;

			for (int pair = 0; pair < 256; pair++)
				least = fmin(least,
							 pair_cost(table, bias, codebook, num, width, m, pair / 16, pair % 16));
			point_check(&point,
						codes[m] < 16 && codes[num + m] < 16 &&
							pair_cost(table, bias, codebook, num, width, m, codes[m],
									  codes[num + m]) <= least + 1e-5,
						"%d blocks of %d, block %d: %u and %u are not the best", num, width, m,
						codes[m], codes[num + m]);
		}
	}
	point_done(&point, "encode_pairs");
}

/* Bounds */

typedef struct Lanes
{
	uint32_t *acc;
	float *b;
	uint16_t *s;
	uint16_t *err;
	float *keys;
} Lanes;

static Lanes
random_lanes(uint32_t largest)
{
	Lanes lanes;

	lanes.acc = arena_buffer(ARENA_ACC, sizeof(uint32_t) * 32, 0);
	lanes.b = arena_buffer(ARENA_B, sizeof(float) * 32, 0);
	lanes.s = arena_buffer(ARENA_S, sizeof(uint16_t) * 32, random_u32() % 4 * 2);
	lanes.err = arena_buffer(ARENA_ERR, sizeof(uint16_t) * 32, random_u32() % 4 * 2);
	lanes.keys = arena_buffer(ARENA_KEYS, sizeof(float) * 32, 0);
	for (int lane = 0; lane < 32; lane++)
	{
		lanes.acc[lane] = random_u32() % largest;
		lanes.b[lane] = random_float();
		lanes.s[lane] = ann_bf16_from_float(fabsf(random_float()));
		lanes.err[lane] = ann_bf16_from_float_up(fabsf(random_float()));
	}
	return lanes;
}

/* The key of one lane in double precision, and in *size the sum of its absolute terms. */
static double
exact_key(const Lanes *lanes, int lane, const AnnBoundParams *p, double *size)
{
	double s = ann_bf16_to_float(lanes->s[lane]);
	double err = ann_bf16_to_float(lanes->err[lane]);
	double part = (double) p->weight_b * lanes->b[lane];
	double est = p->g + part + s * ((double) lanes->acc[lane] * p->step + p->base);
	double spread = fmin((est > 0 ? est : 0) * p->var_slope + p->var_base, p->var_cap);
	double var = err * err * spread + s * s * p->var_table;
	double key = est - p->z * sqrt(var) - p->slack * (fabs(p->g) + fabs(part));

	*size = fabs(p->g) + fabs(part) +
			fabs(s) * ((double) lanes->acc[lane] * fabs(p->step) + fabs(p->base)) +
			p->z * sqrt(var) + p->slack * (fabs(p->g) + fabs(part));
	/* the error of est also passes through var: sqrt(x + e) <= sqrt(x) + sqrt(e) */
	if (isfinite(err))
		*size += p->z * err * sqrt(p->var_slope * *size / FLT_EPSILON);
	return isnan(key) ? -INFINITY : key;
}

static void
check_key(Point *point, const Lanes *lanes, int lane, const AnnBoundParams *p, float threshold,
		  uint32_t mask)
{
	float key = lanes->keys[lane];
	double size;
	double exact = exact_key(lanes, lane, p, &size);

	point_check(point, is_close(key, exact, size), "lane %d, z %g: key %.9g not %.9g", lane, p->z,
				key, exact);
	point_check(point, (key <= threshold) == (mask >> lane & 1),
				"lane %d: key %g, threshold %g, mask %08x", lane, key, threshold, mask);
}

static void
check_bounds(Point *point, const AnnKernels *kernels, const Lanes *lanes, const AnnBoundParams *p,
			 float threshold)
{
	uint32_t mask =
		kernels->bounds(lanes->acc, lanes->b, lanes->s, lanes->err, p, threshold, lanes->keys);

	point_check(point, arena_intact(ARENA_KEYS, sizeof(float) * 32, 0), "wrote before keys");
	for (int lane = 0; lane < 32; lane++)
		check_key(point, lanes, lane, p, threshold, mask);
}

static AnnBoundParams
random_params(int round)
{
	AnnBoundParams p = {.g = 4 * fabsf(random_float()),
						.weight_b = round % 3 == 0 ? 1 : fabsf(random_float()),
						.step = -2e-4f * fabsf(random_float()),
						.base = random_float(),
						.var_slope = round % 4 == 0 ? 0 : fabsf(random_float()),
						.var_base = round % 5 == 0 ? 0 : fabsf(random_float()),
						.var_cap = round % 2 == 0 ? 1 : INFINITY,
						.var_table = round % 7 == 0 ? 0 : 1e-3f * fabsf(random_float()),
						.z = round % 6 == 0 ? 0 : 3 * fabsf(random_float()),
						.slack = round % 6 == 0 ? 0 : 1e-6f};

	return p;
}

static void
test_bounds(const AnnKernels *kernels)
{
	static const float thresholds[] = {INFINITY, -INFINITY, NAN, 0, 1};
	Point point = {0, 0};

	for (int round = 0; round < 2000; round++)
	{
		Lanes lanes = random_lanes(round % 10 == 0 ? 1u << 31 : 20000);
		AnnBoundParams p = random_params(round);
		int special = (int) (random_u32() % 32);
		int other = (special + 1) % 32;

		/* factors that a row at the edge of the codec may have */
		if (round % 3 == 1)
			lanes.err[special] = 0x7f80; /* +infinity */
		if (round % 3 == 2)
			lanes.b[special] = NAN;
		if (round % 5 == 1)
			lanes.s[other] = 0;
		if (round % 5 == 2)
			lanes.err[other] = 0;
		if (round % 5 == 3)
			lanes.b[other] = -50; /* a negative estimate */
		if (round % 5 == 4)
			lanes.b[other] = -INFINITY;
		check_bounds(&point, kernels, &lanes, &p,
					 round % 2 == 0 ? thresholds[round / 2 % 5] : 4 * random_float());
		if (round % 3 != 0)
			point_check(&point, lanes.keys[special] == -INFINITY, "special lane: %g",
						lanes.keys[special]);
	}
	point_done(&point, "bounds");
}

/* accumulate and bounds in one: within rounding of the two, and masks that follow the keys. */
static void
test_score(const AnnKernels *kernels)
{
	Point point = {0, 0};
	int num_blocks;

	for (int i = 0; (num_blocks = test_num_blocks(i)) >= 0; i++)
	{
		size_t bytes = (size_t) num_blocks * 16;
		uint8_t *codes = arena_buffer(ARENA_CODES, bytes, i % 2);
		uint8_t *table = arena_buffer(ARENA_TABLE, bytes, i % 3);
		Lanes lanes = random_lanes(2);
		AnnBoundParams p = random_params(i);
		float threshold = 4 * random_float();
		uint32_t mask;

		random_bytes(codes, bytes);
		random_bytes(table, bytes);
		if (i % 4 == 0)
			memset(table, 255, bytes);
		lanes.err[i % 32] = 0x7f80; /* +infinity */
		mask = kernels->score(codes, table, num_blocks, lanes.b, lanes.s, lanes.err, &p, threshold,
							  lanes.keys);
		point_check(&point, arena_intact(ARENA_KEYS, sizeof(float) * 32, 0), "wrote before keys");
		memset(lanes.acc, 0, sizeof(uint32_t) * 32);
		plain_accumulate(codes, table, num_blocks, lanes.acc);
		for (int lane = 0; lane < 32; lane++)
			check_key(&point, &lanes, lane, &p, threshold, mask);
	}
	point_done(&point, "score");
}

#if defined(__x86_64__)
/* One name, two tables: which of them a machine takes must not show in any bit. */
static void
test_forms_of_avx512(void)
{
	Point point = {0, 0};
	int num_blocks;

	for (int i = 0; (num_blocks = test_num_blocks(i)) >= 0; i++)
	{
		size_t bytes = (size_t) num_blocks * 16;
		uint8_t *codes = arena_buffer(ARENA_CODES, bytes, 0);
		uint8_t *table = arena_buffer(ARENA_TABLE, bytes, 0);
		Lanes lanes = random_lanes(2);
		AnnBoundParams p = random_params(i);
		float other[32];

		random_bytes(codes, bytes);
		random_bytes(table, bytes);
		ann_kernels_avx512.score(codes, table, num_blocks, lanes.b, lanes.s, lanes.err, &p, 0,
								 lanes.keys);
		ann_kernels_avx512_vbmi.score(codes, table, num_blocks, lanes.b, lanes.s, lanes.err, &p, 0,
									  other);
		point_check(&point, same_bits(lanes.keys, other, sizeof(other)), "%d blocks", num_blocks);
	}
	point_variant = "avx512";
	point_done(&point, "score, both forms alike");
}
#endif

/* dispatch.c */

static void
test_dispatch(void)
{
	const AnnKernels *last = NULL;
	int num = 0;

	tap_ok(ann_kernels == &ann_kernels_scalar, "scalar before anything is chosen");
	tap_ok(ann_kernels_available(0) == &ann_kernels_scalar, "scalar is the first table");
	tap_ok(ann_kernels_available(-1) == NULL, "no table before it");
	for (; ann_kernels_available(num) != NULL; num++)
	{
		last = ann_kernels_available(num);
		tap_ok(ann_kernels_choose(last->name) && ann_kernels == last, "chosen: %s", last->name);
	}
	tap_ok(ann_kernels_available(num + 1) == NULL, "no table after the last");
	tap_ok(!ann_kernels_choose("sse9") && !ann_kernels_choose("") && ann_kernels == last,
		   "an unknown name changes nothing");
	ann_kernels_choose("scalar");
	tap_ok(ann_kernels_choose("auto") && ann_kernels == last, "auto is the last: %s", last->name);
}

int
main(void)
{
	const AnnKernels *kernels;

	for (int i = 0; i < NUM_ARENAS; i++)
		arena_open(i, 256 * 1024);
	test_dispatch();
	for (int i = 0; (kernels = tested_kernels(i, &point_variant)) != NULL; i++)
	{
		test_query_table(kernels);
		test_encode(kernels);
		test_encode_pairs(kernels);
		test_accumulate(kernels);
		test_bounds(kernels);
		test_score(kernels);
#if defined(__x86_64__)
		if (kernels == &ann_kernels_avx512_vbmi)
			test_forms_of_avx512();
#endif
	}
	return tap_done();
}
