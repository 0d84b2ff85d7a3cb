/*
 * test_kernels_pairs.c
 *	  Every variant of the kernels of two vectors of halves, of those in double, of differences, and
 *	  of strings of bits. (test_kernels_float.c has the sums over two vectors of floats.)
 */
#include "core/half.h"
#include "kernel_test.h"

enum
{
	ARENA_A,
	ARENA_B,
	ARENA_FLOATS_A,
	ARENA_FLOATS_B,
	NUM_ARENAS
};

#define MAX_DIM 16000

/* Finite halves of every magnitude, zeros and subnormals among them, that end at the guard page. */
static uint16_t *
random_halves(int arena, int dim)
{
	uint16_t *halves = arena_buffer(arena, sizeof(uint16_t) * dim, 0);

	for (int d = 0; d < dim; d++)
		do
			halves[d] = (uint16_t) random_u32();
		while ((halves[d] & 0x7c00) == 0x7c00);
	return halves;
}

static const float *
floats_of(const AnnKernels *kernels, int arena, const uint16_t *halves, int dim)
{
	float *floats = arena_buffer(arena, sizeof(float) * dim, 0);

	kernels->half_to_float(halves, dim, floats);
	return floats;
}

/* The results of a pair of halves, and of the floats that they stand for. */
static void
run_halves(const AnnKernels *kernels, const uint16_t *a, const uint16_t *b, int dim, float out[6])
{
	out[0] = kernels->half_l2_squared(a, b, dim);
	out[1] = kernels->half_inner_product(a, b, dim);
	out[2] = kernels->half_l1(a, b, dim);
	kernels->half_cosine_parts(a, b, dim, out + 3);
}

static void
run_floats(const AnnKernels *kernels, const float *a, const float *b, int dim, float out[6])
{
	out[0] = kernels->l2_squared(a, b, dim);
	out[1] = kernels->inner_product(a, b, dim);
	out[2] = kernels->l1(a, b, dim);
	kernels->cosine_parts(a, b, dim, out + 3);
}

static void
check_exact(Point *point, const uint16_t *a, const uint16_t *b, int dim, const float out[6])
{
	double exact[6] = {0};
	double size[6] = {0};

	for (int d = 0; d < dim; d++)
	{
		double x = ann_half_to_float(a[d]);
		double y = ann_half_to_float(b[d]);
		double terms[6] = {(x - y) * (x - y), x * y, fabs(x - y), x * y, x * x, y * y};

		for (int k = 0; k < 6; k++)
		{
			exact[k] += terms[k];
			size[k] += fabs(terms[k]);
		}
	}
	for (int k = 0; k < 6; k++)
		point_check(point, is_close(out[k], exact[k], size[k]), "dim %d, number %d: %.9g not %.9g",
					dim, k, out[k], exact[k]);
}

static void
test_halves(const AnnKernels *kernels)
{
	Point point = {0, 0};
	int dim;

	for (int i = 0; (dim = test_dim(i)) >= 0; i++)
		for (int round = 0; round < 4; round++)
		{
			uint16_t *a = random_halves(ARENA_A, dim);
			uint16_t *b = random_halves(ARENA_B, dim);
			uint16_t *moved = a - dim - 1 - round;
			float out[6];
			float expected[6];

			run_halves(kernels, a, b, dim, out);
			check_exact(&point, a, b, dim, out);
			run_floats(kernels, floats_of(kernels, ARENA_FLOATS_A, a, dim),
					   floats_of(kernels, ARENA_FLOATS_B, b, dim), dim, expected);
			point_check(&point, same_bits(out, expected, sizeof(out)),
						"dim %d: not the bits of the floats", dim);
			/* the same elsewhere: another alignment must not change a bit */
			if (dim > 0)
				memcpy(moved, a, sizeof(uint16_t) * dim);
			run_halves(kernels, moved, b, dim, expected);
			point_check(&point, same_bits(out, expected, sizeof(out)), "dim %d: moved", dim);
		}
	point_done(&point, "halves");
}

/* Floats of every magnitude from 1e-40 to 1e38, or of one; zeros among them. */
static float *
wide_floats(int arena, int dim, bool wide)
{
	float *floats = arena_buffer(arena, sizeof(float) * dim, 0);

	random_floats(floats, dim);
	for (int d = 0; d < dim; d++)
	{
		if (wide)
			floats[d] = ldexpf(floats[d], (int) (random_u32() % 260) - 133);
		if (random_u32() % 8 == 0)
			floats[d] = 0;
	}
	return floats;
}

static void
test_subtract(const AnnKernels *kernels)
{
	Point point = {0, 0};
	int dim;

	for (int i = 0; (dim = test_dim(i)) >= 0; i++)
	{
		float *a = arena_buffer(ARENA_FLOATS_A, sizeof(float) * dim, 0);
		float *b = arena_buffer(ARENA_FLOATS_B, sizeof(float) * dim, 0);
		float *out = arena_buffer(ARENA_B, sizeof(float) * dim, 0);
		double exact = 0;
		bool same = true;
		float norm2;

		random_floats(a, dim);
		random_floats(b, dim);
		norm2 = kernels->subtract(a, b, dim, out);
		for (int d = 0; d < dim; d++)
		{
			float difference = a[d] - b[d];

			same &= out[d] == difference;
			exact += (double) difference * difference;
		}
		point_check(&point, same, "dim %d: not a - b", dim);
		point_check(&point, fabs(norm2 - exact) <= 1e-5 * exact, "dim %d: %.9g not %.17g", dim,
					norm2, exact);
		point_check(&point, kernels->subtract(a, b, dim, a) == norm2, "dim %d: onto a", dim);
		for (int d = 0; d < dim; d++)
			same &= a[d] == out[d];
		point_check(&point, same, "dim %d: onto a, other differences", dim);
	}
	point_done(&point, "subtract");
}

static void
test_add(const AnnKernels *kernels)
{
	Point point = {0, 0};
	int dim;

	for (int i = 0; (dim = test_dim(i)) >= 0; i++)
	{
		float *row = wide_floats(ARENA_FLOATS_A, dim, true);
		double *sums = arena_buffer(ARENA_B, sizeof(double) * dim, 0);
		bool same = true;

		for (int d = 0; d < dim; d++)
			sums[d] = d * 0.125;
		kernels->add(row, dim, sums);
		for (int d = 0; d < dim; d++)
			same &= sums[d] == d * 0.125 + row[d];
		point_check(&point, same, "dim %d: other sums", dim);
	}
	point_done(&point, "add");
}

static void
test_double_product(const AnnKernels *kernels)
{
	Point point = {0, 0};
	int dim;

	for (int i = 0; (dim = test_dim(i)) >= 0; i++)
		for (int wide = 0; wide < 2; wide++)
		{
			float *a = wide_floats(ARENA_FLOATS_A, dim, wide);
			float *b = wide_floats(ARENA_FLOATS_B, dim, wide);
			double sum = kernels->double_product(a, b, dim);
			double reference = ann_kernels_scalar.double_product(a, b, dim);
			double exact = 0;
			double terms = 0;

			for (int d = 0; d < dim; d++)
			{
				exact += (double) a[d] * b[d];
				terms += fabs((double) a[d] * b[d]);
			}
			point_check(&point, fabs(sum - exact) <= 1e-13 * terms, "dim %d: %.17g not %.17g", dim,
						sum, exact);
			point_check(&point, same_bits(&sum, &reference, sizeof(sum)),
						"dim %d: not the scalar variant's bits", dim);
		}
	point_done(&point, "double_product");
}

static void
test_power_sum(const AnnKernels *kernels)
{
	static const int powers[] = {1, 2, 3, 4, 5, 7, 8, 31, 64};
	Point point = {0, 0};
	int dim;

	for (int i = 0; (dim = test_dim(i)) >= 0; i++)
		for (int k = 0; k < 9; k++)
		{
			float *a = wide_floats(ARENA_FLOATS_A, dim, false);
			float *b = wide_floats(ARENA_FLOATS_B, dim, false);
			double sum = kernels->power_sum(a, b, dim, 1.75, powers[k]);
			double exact = 0;

			for (int d = 0; d < dim; d++)
				exact += pow(fabs((double) a[d] - (double) b[d]) / 1.75, powers[k]);
			point_check(&point, fabs(sum - exact) <= 1e-13 * exact,
						"dim %d, power %d: %.17g not %.17g", dim, powers[k], sum, exact);
		}
	point_done(&point, "power_sum");
}

/* The greatest difference and the number of differences are exact. */
static void
test_linf(const AnnKernels *kernels)
{
	Point point = {0, 0};
	int dim;

	for (int i = 0; (dim = test_dim(i)) >= 0; i++)
		for (int place = 0; place < dim + 1 && place < 72; place++)
		{
			float *a = wide_floats(ARENA_FLOATS_A, dim, place % 2);
			float *b = wide_floats(ARENA_FLOATS_B, dim, place % 3 == 0);
			double greatest = 0;
			int different = 0;

			/* the greatest one in each place */
			if (place < dim)
				a[place] = place % 2 == 0 ? 3e38f : -3e38f;
			for (int d = 0; d < dim; d++)
			{
				if (random_u32() % 3 == 0)
					b[d] = a[d] == 0 ? -0.0f : a[d];
				greatest = fmax(greatest, fabs((double) a[d] - (double) b[d]));
				different += a[d] != b[d];
			}
			point_check(&point, kernels->linf(a, b, dim) == greatest, "dim %d: linf %g not %g", dim,
						kernels->linf(a, b, dim), greatest);
			point_check(&point, kernels->num_different(a, b, dim) == different,
						"dim %d: %d different, not %d", dim, kernels->num_different(a, b, dim),
						different);
		}
	point_done(&point, "linf and num_different");
}

static void
check_bits(Point *point, const AnnKernels *kernels, size_t num_bytes, size_t gap, int fill)
{
	uint8_t *a = arena_buffer(ARENA_A, num_bytes, gap);
	uint8_t *b = arena_buffer(ARENA_B, num_bytes, 0);
	uint64_t expected[3] = {0};
	uint64_t counts[2];
	uint64_t different;

	for (size_t i = 0; i < num_bytes; i++)
	{
		a[i] = fill == 0 ? (uint8_t) random_u32() : 0xff;
		b[i] = fill == 0 ? (uint8_t) random_u32() : fill == 1 ? 0xff : 0;
		for (int bit = 0; bit < 8; bit++)
		{
			expected[0] += (a[i] ^ b[i]) >> bit & 1;
			expected[1] += (a[i] & b[i]) >> bit & 1;
			expected[2] += (a[i] | b[i]) >> bit & 1;
		}
	}
	different = kernels->bits_different(a, b, num_bytes);
	kernels->bits_common(a, b, num_bytes, counts);
	point_check(point, different == expected[0], "%zu bytes: %d different, not %d", num_bytes,
				(int) different, (int) expected[0]);
	point_check(point, counts[0] == expected[1] && counts[1] == expected[2],
				"%zu bytes: %d and %d, not %d and %d", num_bytes, (int) counts[0], (int) counts[1],
				(int) expected[1], (int) expected[2]);
}

static void
test_bits(const AnnKernels *kernels)
{
	Point point = {0, 0};

	for (size_t num_bytes = 0; num_bytes <= 200; num_bytes++)
		for (int fill = 0; fill < 3; fill++)
			for (size_t gap = 0; gap < 4; gap++)
				check_bits(&point, kernels, num_bytes, gap, fill);
	for (int fill = 0; fill < 3; fill++)
		check_bits(&point, kernels, 32003, 1, fill);
	point_done(&point, "bits");
}

int
main(void)
{
	const AnnKernels *kernels;

	arena_open(ARENA_A, sizeof(uint16_t) * 2 * MAX_DIM + 4096);
	arena_open(ARENA_B, sizeof(double) * MAX_DIM + 4096);
	arena_open(ARENA_FLOATS_A, sizeof(float) * MAX_DIM + 4096);
	arena_open(ARENA_FLOATS_B, sizeof(float) * MAX_DIM + 4096);
	for (int i = 0; (kernels = tested_kernels(i, &point_variant)) != NULL; i++)
	{
		test_halves(kernels);
		test_subtract(kernels);
		test_add(kernels);
		test_double_product(kernels);
		test_power_sum(kernels);
		test_linf(kernels);
		test_bits(kernels);
	}
	return tap_done();
}
