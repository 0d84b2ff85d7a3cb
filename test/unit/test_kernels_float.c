/*
 * test_kernels_float.c
 *	  Every variant of the float kernels that this machine runs, against double precision.
 */
#include "kernel_test.h"

typedef enum Measure
{
	MEASURE_L2,
	MEASURE_IP,
	MEASURE_L1,
} Measure;

enum
{
	ARENA_A,
	ARENA_B,
	ARENA_OUT,
	ARENA_BIAS,
	ARENA_INDEX,
	NUM_ARENAS
};

/* The exact value, and in *size the sum of the absolute terms. */
static double
exact_measure(Measure measure, const float *a, const float *b, int dim, double *size)
{
	double sum = 0;

	*size = 0;
	for (int d = 0; d < dim; d++)
	{
		double difference = (double) a[d] - b[d];
		double term = measure == MEASURE_IP   ? (double) a[d] * b[d]
					  : measure == MEASURE_L1 ? fabs(difference)
											  : difference * difference;

		sum += term;
		*size += fabs(term);
	}
	return sum;
}

/* Two vectors */

static float
run_pair(const AnnKernels *kernels, int which, const float *a, const float *b, int dim)
{
	switch (which)
	{
		case 0:
			return kernels->l2_squared(a, b, dim);
		case 1:
			return kernels->inner_product(a, b, dim);
		case 2:
			return kernels->l1(a, b, dim);
		default:
			return kernels->norm_squared(a, dim);
	}
}

static void
check_pair(Point *point, const AnnKernels *kernels, int which, const float *a, const float *b,
		   int dim)
{
	static const Measure measures[] = {MEASURE_L2, MEASURE_IP, MEASURE_L1, MEASURE_IP};
	double size;
	double exact = exact_measure(measures[which], a, which == 3 ? a : b, dim, &size);
	float value = run_pair(kernels, which, a, b, dim);

	point_check(point, is_close(value, exact, size), "dim %d: %.9g, exact %.9g", dim, value, exact);
}

static void
test_pair(const AnnKernels *kernels, int which, const char *name)
{
	Point point = {0, 0};
	int dim;

	for (int i = 0; (dim = test_dim(i)) >= 0; i++)
	{
		size_t bytes = sizeof(float) * dim;
		float *a = arena_buffer(ARENA_A, bytes, 0);
		float *b = arena_buffer(ARENA_B, bytes, 0);
		float *moved_a = (float *) (arenas[ARENA_A].end - 2 * bytes - 4 - (bytes == 0 ? 64 : 0));
		float first;
		float second;

		random_floats(a, dim);
		random_floats(b, dim);
		check_pair(&point, kernels, which, a, b, dim);
		/* the same elsewhere: another alignment must not change a bit */
		first = run_pair(kernels, which, a, b, dim);
		memcpy(moved_a, a, bytes);
		second = run_pair(kernels, which, moved_a, b, dim);
		point_check(&point, same_bits(&first, &second, sizeof(float)), "dim %d: moved", dim);
		/* large and special values, in every place */
		for (int place = 0; place < dim && dim <= 70; place++)
		{
			static const float specials[] = {INFINITY, -INFINITY, NAN, 1e25f, -1e18f, 1e-40f};
			float keep = a[place];

			for (int k = 0; k < 6; k++)
			{
				a[place] = specials[k];
				check_pair(&point, kernels, which, a, b, dim);
			}
			a[place] = keep;
		}
	}
	point_done(&point, name);
}

static void
test_cosine_parts(const AnnKernels *kernels)
{
	Point point = {0, 0};
	int dim;

	for (int i = 0; (dim = test_dim(i)) >= 0; i++)
	{
		float *a = arena_buffer(ARENA_A, sizeof(float) * dim, 0);
		float *b = arena_buffer(ARENA_B, sizeof(float) * dim, 0);
		float *parts = arena_buffer(ARENA_OUT, sizeof(float) * 3, 0);
		const float *left[3] = {a, a, b};
		const float *right[3] = {b, a, b};

		random_floats(a, dim);
		random_floats(b, dim);
		kernels->cosine_parts(a, b, dim, parts);
		for (int k = 0; k < 3; k++)
		{
			double size;
			double exact = exact_measure(MEASURE_IP, left[k], right[k], dim, &size);

			point_check(&point, is_close(parts[k], exact, size), "dim %d part %d: %.9g not %.9g",
						dim, k, parts[k], exact);
		}
	}
	point_done(&point, "cosine_parts");
}

/* Matrix products */

typedef struct Shape
{
	int num_a;
	int num_b;
	int dim;
	int pad; /* floats between rows, of a, b and out */
} Shape;

/* Shape number i; false past the last. */
static bool
test_shape(int i, Shape *shape)
{
	static const int rows[] = {1, 2, 3, 4, 5, 7, 9};
	static const int dims[] = {0, 1, 3, 7, 8, 15, 16, 17, 31, 33, 47, 64, 70, 128};
	static const Shape larger[] = {{0, 5, 8, 0},     {5, 0, 8, 0},      {1, 300, 128, 0},
								   {37, 301, 96, 5}, {150, 13, 768, 1}, {600, 40, 130, 0},
								   {9, 22, 1536, 3}, {5, 6, 16000, 0}};
	int small = 7 * 7 * 14;

	if (i < small)
	{
		*shape = (Shape){rows[i % 7], rows[i / 7 % 7], dims[i / 49], i % 3};
		return true;
	}
	if (i - small >= (int) (sizeof(larger) / sizeof(larger[0])))
		return false;
	*shape = larger[i - small];
	return true;
}

/* Floats from the first row's start to the last one's end. */
static size_t
matrix_floats(int rows, size_t stride, int dim)
{
	return rows == 0 ? 0 : (rows - 1) * stride + dim;
}

static void
check_products(Point *point, const AnnKernels *kernels, const Shape *shape)
{
	size_t stride = shape->dim + shape->pad;
	size_t out_stride = shape->num_b + shape->pad;
	size_t floats_a = matrix_floats(shape->num_a, stride, shape->dim);
	size_t floats_b = matrix_floats(shape->num_b, stride, shape->dim);
	size_t floats_out = matrix_floats(shape->num_a, out_stride, shape->num_b);
	float *a = arena_buffer(ARENA_A, sizeof(float) * floats_a, 0);
	float *b = arena_buffer(ARENA_B, sizeof(float) * floats_b, 0);
	float *out = arena_buffer(ARENA_OUT, sizeof(float) * floats_out, 0);
	float canary;

	memset(&canary, CANARY, sizeof(canary));
	random_floats(a, floats_a);
	random_floats(b, floats_b);
	kernels->products(a, stride, shape->num_a, b, stride, shape->num_b, shape->dim, out,
					  out_stride);
	point_check(point, arena_intact(ARENA_OUT, sizeof(float) * floats_out, 0), "wrote before out");
	for (size_t k = 0; k < floats_out; k++)
	{
		size_t i = k / out_stride;
		size_t j = k % out_stride;
		double size;
		double exact;

		if (j >= (size_t) shape->num_b)
		{
			point_check(point, same_bits(&out[k], &canary, sizeof(float)), "wrote between rows");
			continue;
		}
		exact = exact_measure(MEASURE_IP, a + i * stride, b + j * stride, shape->dim, &size);
		point_check(point, is_close(out[k], exact, size),
					"%d x %d, dim %d [%zu,%zu]: %.9g not %.9g", shape->num_a, shape->num_b,
					shape->dim, i, j, out[k], exact);
	}
}

/* A pair of rows alone must give the bits that it gave among others. */
static void
check_products_alone(Point *point, const AnnKernels *kernels, const Shape *shape)
{
	size_t stride = shape->dim + shape->pad;
	size_t out_stride = shape->num_b + shape->pad;
	const float *a = (const float *) arenas[ARENA_A].buffer;
	const float *b = (const float *) arenas[ARENA_B].buffer;
	const float *out = (const float *) arenas[ARENA_OUT].buffer;

	for (int i = 0; i < shape->num_a; i++)
		for (int j = 0; j < shape->num_b; j++)
		{
			float alone;

			kernels->products(a + i * stride, 0, 1, b + j * stride, 0, 1, shape->dim, &alone, 1);
			point_check(point, same_bits(&alone, &out[i * out_stride + j], sizeof(float)),
						"%d x %d, dim %d [%d,%d]: %.9g, alone %.9g", shape->num_a, shape->num_b,
						shape->dim, i, j, out[i * out_stride + j], alone);
		}
}

static void
test_products(const AnnKernels *kernels)
{
	Point point = {0, 0};
	Shape shape;

	for (int i = 0; test_shape(i, &shape); i++)
	{
		check_products(&point, kernels, &shape);
		if (shape.num_a <= 9)
			check_products_alone(&point, kernels, &shape);
	}
	point_done(&point, "products");
}

typedef struct NearestCase
{
	float *a;
	float *b;
	float *bias;
	uint32_t *best;
	float *score;
	size_t stride;
} NearestCase;

static NearestCase
nearest_case(const Shape *shape)
{
	NearestCase result;

	result.stride = shape->dim + shape->pad;
	result.a = arena_buffer(
		ARENA_A, sizeof(float) * matrix_floats(shape->num_a, result.stride, shape->dim), 0);
	result.b = arena_buffer(
		ARENA_B, sizeof(float) * matrix_floats(shape->num_b, result.stride, shape->dim), 0);
	result.bias = arena_buffer(ARENA_BIAS, sizeof(float) * shape->num_b, 0);
	result.score = arena_buffer(ARENA_OUT, sizeof(float) * shape->num_a, 0);
	result.best = arena_buffer(ARENA_INDEX, sizeof(uint32_t) * shape->num_a, 0);
	return result;
}

static void
run_nearest(const AnnKernels *kernels, const Shape *shape, const NearestCase *c)
{
	kernels->nearest(c->a, c->stride, shape->num_a, c->b, c->stride, shape->num_b, c->bias,
					 shape->dim, c->best, c->score);
}

/* Random rows: the chosen one must be the best, but for rounding. */
static void
check_nearest(Point *point, const AnnKernels *kernels, const Shape *shape)
{
	NearestCase c = nearest_case(shape);

	random_floats(c.a, matrix_floats(shape->num_a, c.stride, shape->dim));
	random_floats(c.b, matrix_floats(shape->num_b, c.stride, shape->dim));
	random_floats(c.bias, shape->num_b);
	run_nearest(kernels, shape, &c);
	for (int i = 0; i < shape->num_a; i++)
	{
		double lowest = INFINITY;
		double chosen = INFINITY;
		double size = 0;

		for (int j = 0; j < shape->num_b; j++)
		{
			double size_j;
			double score = c.bias[j] - 2 * exact_measure(MEASURE_IP, c.a + i * c.stride,
														 c.b + j * c.stride, shape->dim, &size_j);

			lowest = fmin(lowest, score);
			size = fmax(size, fabs(c.bias[j]) + 2 * size_j);
			if (c.best[i] == (uint32_t) j)
				chosen = score;
		}
		point_check(point,
					is_close((float) chosen, lowest, size) && c.best[i] < (uint32_t) shape->num_b,
					"%d x %d, dim %d: row %d takes %u at %.9g, lowest %.9g", shape->num_a,
					shape->num_b, shape->dim, i, c.best[i], chosen, lowest);
		point_check(point, is_close(c.score[i], chosen, size),
					"%d x %d, dim %d: score %.9g not %.9g", shape->num_a, shape->num_b, shape->dim,
					c.score[i], chosen);
	}
}

/* Small whole numbers, few different rows: all exact, many ties. Now and then a NaN bias. */
static void
check_nearest_ties(Point *point, const AnnKernels *kernels, const Shape *shape)
{
	NearestCase c = nearest_case(shape);

	random_integers(c.a, matrix_floats(shape->num_a, c.stride, shape->dim), 2);
	random_integers(c.b, matrix_floats(shape->num_b, c.stride, shape->dim), 2);
	for (int j = 0; j < shape->num_b; j++)
	{
		int twin = (int) (random_u32() % (j + 1));

		memmove(c.b + j * c.stride, c.b + twin * c.stride, sizeof(float) * shape->dim);
		c.bias[j] = random_u32() % 8 == 0 ? NAN : 0;
	}
	run_nearest(kernels, shape, &c);
	for (int i = 0; i < shape->num_a; i++)
	{
		uint32_t best = 0;
		float lowest = INFINITY;

		for (int j = 0; j < shape->num_b; j++)
		{
			double size;
			float score =
				c.bias[j] - 2 * (float) exact_measure(MEASURE_IP, c.a + i * c.stride,
													  c.b + j * c.stride, shape->dim, &size);

			if (score < lowest)
			{
				lowest = score;
				best = (uint32_t) j;
			}
		}
		point_check(point, c.best[i] == best && c.score[i] == lowest,
					"ties, %d x %d, dim %d: row %d takes %u, not %u", shape->num_a, shape->num_b,
					shape->dim, i, c.best[i], best);
	}
}

/* Rows that no score can rank. */
static void
check_nearest_special(Point *point, const AnnKernels *kernels)
{
	for (int num_b = 1; num_b <= 11; num_b++)
	{
		Shape shape = {6, num_b, 20, 0};
		NearestCase c = nearest_case(&shape);

		random_floats(c.a, 6 * 20);
		random_floats(c.b, num_b * 20);
		memset(c.bias, 0, sizeof(float) * num_b);
		c.a[2 * 20 + 19] = NAN;
		c.a[4 * 20] = INFINITY; /* scores of -inf, +inf */
		run_nearest(kernels, &shape, &c);
		point_check(point, c.best[2] == 0 && c.score[2] == INFINITY, "a NaN row: %u, %g", c.best[2],
					c.score[2]);
		point_check(point, isinf(c.score[4]), "an infinite row: %u, %g", c.best[4], c.score[4]);
		point_check(point, c.best[5] < (uint32_t) num_b && !isinf(c.score[5]), "a row after them");
		for (int j = 0; j < num_b; j++)
			c.bias[j] = j == num_b / 2 ? 1e30f : INFINITY;
		run_nearest(kernels, &shape, &c);
		point_check(point, c.best[0] == (uint32_t) (num_b / 2), "one finite bias: %u of %d",
					c.best[0], num_b);
	}
}

static void
test_nearest(const AnnKernels *kernels)
{
	Point point = {0, 0};
	Shape shape;

	for (int i = 0; test_shape(i, &shape); i++)
	{
		if (shape.num_b == 0)
			continue;
		check_nearest(&point, kernels, &shape);
		check_nearest_ties(&point, kernels, &shape);
	}
	check_nearest_special(&point, kernels);
	point_done(&point, "nearest");
}

/* Rows of node pages */

typedef struct RowsKernel
{
	const char *name;
	Measure measure;
	bool bf16;
} RowsKernel;

static void
run_rows(const AnnKernels *kernels, const RowsKernel *which, const float *query, const void *rows,
		 size_t stride, int num, int dim, float *out)
{
	if (which->bf16)
		(which->measure == MEASURE_L2 ? kernels->l2_rows_bf16
									  : kernels->ip_rows_bf16)(query, rows, stride, num, dim, out);
	else
		(which->measure == MEASURE_L2 ? kernels->l2_rows_f32
									  : kernels->ip_rows_f32)(query, rows, stride, num, dim, out);
}

static void
check_rows(Point *point, const AnnKernels *kernels, const RowsKernel *which, int num, int dim,
		   size_t pad)
{
	size_t element = which->bf16 ? 2 : 4;
	size_t stride = element * (dim + pad);
	size_t bytes = num == 0 ? 0 : (num - 1) * stride + element * dim;
	float *query = arena_buffer(ARENA_A, sizeof(float) * dim, 0);
	unsigned char *rows = arena_buffer(ARENA_B, bytes, 0);
	float *out = arena_buffer(ARENA_OUT, sizeof(float) * num, 0);
	float *before = arena_buffer(ARENA_BIAS, sizeof(float) * num, 0);
	float *row = malloc(sizeof(float) * (dim + 1));

	random_floats(query, dim);
	random_floats(before, num);
	memcpy(out, before, sizeof(float) * num);
	for (size_t i = 0; i < bytes / element; i++)
	{
		float value = random_float();
		uint16_t half = ann_bf16_from_float(value);

		memcpy(rows + i * element, which->bf16 ? (void *) &half : (void *) &value, element);
	}
	run_rows(kernels, which, query, rows, stride, num, dim, out);
	point_check(point, arena_intact(ARENA_OUT, sizeof(float) * num, 0), "wrote before out");
	for (int i = 0; i < num; i++)
	{
		double size;
		double exact;
		float alone = before[i];

		for (int d = 0; d < dim; d++)
		{
			uint16_t half;

			memcpy(which->bf16 ? (void *) &half : (void *) &row[d], rows + i * stride + d * element,
				   element);
			if (which->bf16)
				row[d] = ann_bf16_to_float(half);
		}
		exact = before[i] + exact_measure(which->measure, query, row, dim, &size);
		point_check(point, is_close(out[i], exact, size + fabs(before[i])),
					"%d rows of dim %d: row %d %.9g not %.9g", num, dim, i, out[i], exact);
		run_rows(kernels, which, query, rows + i * stride, stride, 1, dim, &alone);
		point_check(point, same_bits(&alone, &out[i], sizeof(float)),
					"%d rows of dim %d: row %d %.9g, alone %.9g", num, dim, i, out[i], alone);
	}
	free(row);
}

static void
test_rows(const AnnKernels *kernels, const RowsKernel *which)
{
	Point point = {0, 0};
	int dim;

	for (int i = 0; (dim = test_dim(i)) >= 0; i++)
		for (int num = 0; num <= 9; num++)
			check_rows(&point, kernels, which, num, dim, (num + i) % 4);
	check_rows(&point, kernels, which, 31, 128, 1);
	point_done(&point, which->name);
}

int
main(void)
{
	static const RowsKernel rows_kernels[] = {{"l2_rows_bf16", MEASURE_L2, true},
											  {"ip_rows_bf16", MEASURE_IP, true},
											  {"l2_rows_f32", MEASURE_L2, false},
											  {"ip_rows_f32", MEASURE_IP, false}};
	const AnnKernels *kernels;

	for (int i = 0; i < NUM_ARENAS; i++)
		arena_open(i, 1024 * 1024);
	for (int i = 0; (kernels = tested_kernels(i, &point_variant)) != NULL; i++)
	{
		test_pair(kernels, 0, "l2_squared");
		test_pair(kernels, 1, "inner_product");
		test_pair(kernels, 2, "l1");
		test_pair(kernels, 3, "norm_squared");
		test_cosine_parts(kernels);
		test_products(kernels);
		test_nearest(kernels);
		for (int k = 0; k < 4; k++)
			test_rows(kernels, &rows_kernels[k]);
	}
	return tap_done();
}
