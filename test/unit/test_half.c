/*
 * test_half.c
 *	  Half precision: both conversions for all numbers, and every variant of the kernel.
 */
#include "core/half.h"
#include "kernel_test.h"

#define NUM_HALVES 65536

enum
{
	ARENA_IN,
	ARENA_OUT
};

/* What the bits mean, by definition; not for infinity and NaN. */
static double
meaning(uint32_t half)
{
	int exponent = half >> 10 & 31;
	int fraction = half & 1023;
	double magnitude = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);

	return half & 0x8000 ? -magnitude : magnitude;
}

static void
test_to_float(void)
{
	Point point = {0, 0};

	for (uint32_t half = 0; half < NUM_HALVES; half++)
	{
		float value = ann_half_to_float((uint16_t) half);
		bool negative = half >= 0x8000;

		if ((half & 0x7fff) > 0x7c00)
			point_check(&point, isnan(value), "%04x: %g", half, value);
		else if ((half & 0x7fff) == 0x7c00)
			point_check(&point, value == (negative ? -INFINITY : INFINITY), "%04x: %g", half,
						value);
		else
			point_check(&point, value == meaning(half) && !signbit(value) == !negative, "%04x: %g",
						half, value);
	}
	point_done(&point, "to float");
}

/* Every half comes back; NaN as a quiet one. */
static void
test_round_trip(void)
{
	Point point = {0, 0};

	for (uint32_t half = 0; half < NUM_HALVES; half++)
	{
		uint32_t back = ann_half_from_float(ann_half_to_float((uint16_t) half));
		uint32_t quiet = (half & 0x7fff) > 0x7c00 ? 0x0200 : 0;

		point_check(&point, back == (half | quiet), "%04x comes back as %04x", half, back);
	}
	point_done(&point, "round trip");
}

/*
 * Between two neighbours the nearer one is taken, at the middle the even one. The middle and its
 * neighbouring floats are exact, and above the greatest half stands what would be the next one.
 */
static void
test_rounding(void)
{
	Point point = {0, 0};

	for (uint32_t half = 0; half < 0x7c00; half++)
	{
		double next = half == 0x7bff ? 65536 : meaning(half + 1);
		float middle = (float) ((meaning(half) + next) / 2);
		uint32_t even = half + (half & 1);
		uint32_t at = ann_half_from_float(middle);
		uint32_t below = ann_half_from_float(nextafterf(middle, 0));
		uint32_t above = ann_half_from_float(nextafterf(middle, INFINITY));

		point_check(&point, at == even && below == half && above == half + 1,
					"%a: %04x, %04x, %04x", middle, below, at, above);
		point_check(&point, ann_half_from_float(-middle) == (0x8000 | even), "%a", -middle);
	}
	point_done(&point, "from float: the nearest, ties to even");

	point = (Point){0, 0};
	point_check(&point, ann_half_from_float(ANN_HALF_LIMIT) == 0x7c00, "limit");
	point_check(&point, ann_half_from_float(nextafterf(ANN_HALF_LIMIT, 0)) == 0x7bff,
				"below the limit");
	point_check(&point, ann_half_from_float(-FLT_MAX) == 0xfc00, "-FLT_MAX");
	point_check(&point, ann_half_from_float(-INFINITY) == 0xfc00, "-infinity");
	point_check(&point, ann_half_from_float(0x1p-149f) == 0, "the least float");
	point_check(&point, ann_half_from_float(-0x1p-126f) == 0x8000, "the least normal float");
	point_check(&point, isnan(ann_half_to_float(ann_half_from_float(NAN))), "NaN");
	point_done(&point, "from float: the ends of the range");
}

/* All numbers at once, then short runs of them at every alignment, up to the guard page. */
static void
test_kernel(const AnnKernels *kernels)
{
	Point point = {0, 0};
	uint16_t *halves = arena_buffer(ARENA_IN, sizeof(uint16_t) * NUM_HALVES, 0);
	float *out = arena_buffer(ARENA_OUT, sizeof(float) * NUM_HALVES, 0);

	for (uint32_t i = 0; i < NUM_HALVES; i++)
		halves[i] = (uint16_t) i;
	kernels->half_to_float(halves, NUM_HALVES, out);
	for (uint32_t i = 0; i < NUM_HALVES; i++)
	{
		float expected = ann_half_to_float((uint16_t) i);

		point_check(&point, same_bits(&expected, &out[i], sizeof(float)), "%04x: %a, not %a", i,
					out[i], expected);
	}
	for (int num = 0; num <= 70; num++)
		for (int gap = 0; gap < 4; gap++)
		{
			size_t bytes = sizeof(float) * num;

			halves = arena_buffer(ARENA_IN, sizeof(uint16_t) * num, sizeof(uint16_t) * gap);
			out = arena_buffer(ARENA_OUT, bytes, sizeof(float) * gap);
			for (int i = 0; i < num; i++)
				halves[i] = (uint16_t) (random_u32() & 0x7bff);
			kernels->half_to_float(halves, num, out);
			point_check(&point, arena_intact(ARENA_OUT, bytes, sizeof(float) * gap),
						"%d numbers: written past them", num);
			for (int i = 0; i < num; i++)
				point_check(&point, out[i] == ann_half_to_float(halves[i]), "number %d of %d: %a",
							i, num, out[i]);
		}
	point_done(&point, "half_to_float");
}

int
main(void)
{
	const AnnKernels *kernels;

	arena_open(ARENA_IN, sizeof(uint16_t) * NUM_HALVES + 4096);
	arena_open(ARENA_OUT, sizeof(float) * NUM_HALVES + 4096);
	point_variant = "half";
	test_to_float();
	test_round_trip();
	test_rounding();
	for (int i = 0; (kernels = tested_kernels(i, &point_variant)) != NULL; i++)
		test_kernel(kernels);
	return tap_done();
}
