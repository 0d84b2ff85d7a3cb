/*
 * test_rotation.c
 *	  Eigenvectors, and the rotation that evens out the blocks of a code.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/kernels.h"
#include "core/pq.h"
#include "core/rng.h"
#include "core/rotation.h"
#include "gaussian.h"
#include "tap.h"

static bool
refuse(void *arg)
{
	return --*(int *) arg < 0;
}

/* The largest fault of values and vectors against the matrix, relative to its largest value. */
static double
eigen_fault(const double *matrix, int num, const double *values, const double *vectors)
{
	double largest = 1e-300;
	double fault = 0;

	for (int i = 0; i < num * num; i++)
		largest = fmax(largest, fabs(matrix[i]));
	for (int i = 0; i < num; i++)
		for (int j = 0; j < num; j++)
		{
			double product = 0;
			double image = 0;

			for (int k = 0; k < num; k++)
			{
				product += vectors[i * num + k] * vectors[j * num + k];
				image += matrix[j * num + k] / largest * vectors[i * num + k];
			}
			fault = fmax(fault, fabs(product - (i == j)));
			fault = fmax(fault, fabs(image - values[i] / largest * vectors[i * num + j]));
		}
	return fault;
}

static void
test_matrix(const char *name, const double *matrix, int num)
{
	double *copy = malloc(sizeof(double) * num * num);
	double *vectors = malloc(sizeof(double) * num * num);
	double *values = malloc(sizeof(double) * num);
	double *scratch = malloc(sizeof(double) * 2 * num);
	bool found;
	double fault;

	memcpy(copy, matrix, sizeof(double) * num * num);
	ann_eigen(copy, num, values, vectors, scratch, &found, NULL);
	fault = found ? eigen_fault(matrix, num, values, vectors) : INFINITY;
	tap_ok(found && fault < 1e-12 * (num + 10), "eigenvectors: %s, %d: %g", name, num, fault);
	free(scratch);
	free(values);
	free(vectors);
	free(copy);
}

static void
test_eigen(void)
{
	static const int sizes[] = {1, 2, 3, 4, 7, 33, 100};
	AnnRng rng;

	ann_rng_seed(&rng, 1);
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
	{
		int num = sizes[s];
		double *matrix = calloc((size_t) num * num, sizeof(double));

		test_matrix("zeros", matrix, num);
		for (int i = 0; i < num; i++)
			matrix[i * num + i] = i / 2;
		test_matrix("diagonal with equal values", matrix, num);
		for (int i = 0; i < num * num; i++)
			matrix[i] = 3;
		test_matrix("rank one", matrix, num);
		for (int i = 0; i < num; i++)
			for (int j = 0; j <= i; j++)
				matrix[i * num + j] = matrix[j * num + i] = gaussian(&rng);
		test_matrix("random", matrix, num);
		for (int i = 0; i < num * num; i++)
			matrix[i] *= 1e-200;
		test_matrix("tiny", matrix, num);
		for (int i = 0; i < num; i++)
			for (int j = 0; j < num; j++)
				matrix[i * num + j] *= 1e200 * pow(10, -(i + j) / 4);
		test_matrix("graded", matrix, num);
		free(matrix);
	}
}

static void
test_not_finite(void)
{
	double matrix[9] = {1, 2, 3, 2, NAN, 4, 3, 4, 5};
	double values[3];
	double vectors[9];
	double scratch[6];
	int left = 1;
	AnnWatch watch = {.poll = refuse, .arg = &left};
	bool found = true;

	ann_eigen(matrix, 3, values, vectors, scratch, &found, NULL);
	tap_ok(!found, "NaN: no eigenvectors");
	tap_ok(ann_eigen(matrix, 3, values, vectors, scratch, &found, &watch) == ANN_INTERRUPTED,
		   "eigenvectors: interrupted");
}

/* Rows of variance (i + 1)^-2 in dimension i, mixed by a random reflection. */
static float *
make_rows(int dim, size_t num)
{
	float *rows = malloc(sizeof(float) * num * dim);
	float *v = malloc(sizeof(float) * dim);
	float norm2 = 0;
	AnnRng rng;

	ann_rng_seed(&rng, 5);
	for (int d = 0; d < dim; d++)
		v[d] = gaussian(&rng);
	for (int d = 0; d < dim; d++)
		norm2 += v[d] * v[d];
	for (size_t i = 0; i < num; i++)
	{
		float *row = rows + i * dim;
		float product = 0;

		for (int d = 0; d < dim; d++)
			row[d] = gaussian(&rng) / (d + 1);
		for (int d = 0; d < dim; d++)
			product += row[d] * v[d];
		for (int d = 0; d < dim; d++)
			row[d] -= 2 * product / norm2 * v[d];
	}
	free(v);
	return rows;
}

static void
test_orthonormal(int dim, const float *rotation)
{
	double fault = 0;

	for (int i = 0; i < dim; i++)
		for (int j = 0; j <= i; j++)
		{
			double product = 0;

			for (int d = 0; d < dim; d++)
				product += (double) rotation[i * dim + d] * rotation[j * dim + d];
			fault = fmax(fault, fabs(product - (i == j)));
		}
	tap_ok(fault < 1e-6, "rotation of %d: orthonormal to %g", dim, fault);
}

/* Rotated and back again; lengths stay. */
static void
test_apply(int dim, const float *rotation, const float *rows, int num)
{
	float *out = malloc(sizeof(float) * num * dim);
	float *back = malloc(sizeof(float) * dim);
	float *one = malloc(sizeof(float) * dim);
	double fault = 0;
	bool same = true;

	ann_rotation_apply(rotation, dim, rows, num, out);
	for (int i = 0; i < num; i++)
	{
		const float *row = rows + (size_t) i * dim;

		ann_rotation_apply(rotation, dim, row, 1, one);
		same = same && memcmp(one, out + (size_t) i * dim, sizeof(float) * dim) == 0;
		ann_rotation_revert(rotation, dim, one, back);
		for (int d = 0; d < dim; d++)
			fault = fmax(fault, fabs(back[d] - row[d]));
		fault = fmax(
			fault, fabs(ann_kernels->norm_squared(one, dim) - ann_kernels->norm_squared(row, dim)));
	}
	tap_ok(fault < 1e-4, "rotation of %d: there and back, %g", dim, fault);
	tap_ok(same, "rotation of %d: one row at a time", dim);
	free(one);
	free(back);
	free(out);
}

/* Logarithm of the variance product of each block: its spread over the blocks. */
static double
imbalance(int dim, int width, const float *rows, int num)
{
	int num_blocks = dim / width;
	double least = INFINITY;
	double most = -INFINITY;

	for (int m = 0; m < num_blocks; m++)
	{
		double sum = 0;

		for (int d = m * width; d < (m + 1) * width; d++)
		{
			double variance = 0;

			for (int i = 0; i < num; i++)
				variance += (double) rows[(size_t) i * dim + d] * rows[(size_t) i * dim + d];
			sum += log(variance / num);
		}
		least = fmin(least, sum);
		most = fmax(most, sum);
	}
	return most - least;
}

/* Mean squared error of codes of the rows. */
static double
code_error(int dim, int width, const float *rows, int num)
{
	float *decoded = malloc(sizeof(float) * dim);
	uint8_t *codes;
	AnnPq pq;
	float *scratch;
	void *workspace;
	double error = 0;

	ann_pq_shape(&pq, ANN_QUANTIZER_PQ, dim, width, 1);
	codes = malloc(pq.num_blocks);
	pq.codebook = malloc(sizeof(float) * ann_pq_codebook_floats(pq.num_blocks, width));
	pq.bias = malloc(sizeof(float) * ann_pq_bias_floats(pq.num_blocks));
	scratch = malloc(sizeof(float) * ann_pq_row_scratch_floats(&pq));
	workspace = malloc(ann_pq_train_workspace_size(&pq, num));
	ann_pq_train(&pq, rows, num, 10, 1, NULL, workspace);
	for (int i = 0; i < num; i++)
	{
		AnnFactors factors;

		ann_pq_encode_row(&pq, ANN_CODE_L2, rows + (size_t) i * dim, NULL, codes, &factors,
						  scratch);
		ann_pq_decode(&pq, codes, decoded);
		error += ann_kernels->l2_squared(decoded, rows + (size_t) i * dim, dim);
	}
	free(workspace);
	free(scratch);
	free(pq.bias);
	free(pq.codebook);
	free(codes);
	free(decoded);
	return error / num;
}

/* The same if the axes stood in the order of their variances. */
static double
imbalance_in_order(int dim, int width)
{
	double sum = 0;

	for (int d = 0; d < width; d++)
		sum += 2 * log((double) (dim - d) / (d + 1));
	return sum;
}

static void
test_rotation(int dim, int width)
{
	int num = 3000;
	float *rows = make_rows(dim, num);
	float *rotated = malloc(sizeof(float) * num * dim);
	float *rotation = malloc(sizeof(float) * dim * dim);
	void *workspace = malloc(ann_rotation_workspace_size(dim));
	bool found;

	ann_rotation_train(rows, num, dim, width, rotation, &found, NULL, workspace);
	tap_ok(found, "rotation of %d in blocks of %d", dim, width);
	test_orthonormal(dim, rotation);
	test_apply(dim, rotation, rows, 50);
	ann_rotation_apply(rotation, dim, rows, num, rotated);
	if (width > 1 && dim > width && dim % width == 0)
	{
		double found_imbalance = imbalance(dim, width, rotated, num);

		tap_ok(found_imbalance < imbalance_in_order(dim, width) / 2,
			   "rotation of %d: blocks of even variance, %g", dim, found_imbalance);
	}
	if (width > 1 && dim > 4 * width)
	{
		double before = code_error(dim, width, rows, num);
		double after = code_error(dim, width, rotated, num);

		tap_ok(after < before * 0.8, "rotation of %d: error of codes %.4f, was %.4f", dim, after,
			   before);
	}
	free(workspace);
	free(rotation);
	free(rotated);
	free(rows);
}

static void
test_hard_rows(void)
{
	float rows[4 * 6] = {0};
	float rotation[36];
	void *workspace = malloc(ann_rotation_workspace_size(6));
	int left = 0;
	AnnWatch watch = {.poll = refuse, .arg = &left};
	AnnWatch counts = {0};
	bool found;

	ann_rotation_train(rows, 4, 6, 4, rotation, &found, &counts, workspace);
	tap_ok(found && counts.done == 4 + 2 * 6 && counts.total == counts.done,
		   "zero rows have a rotation");
	test_orthonormal(6, rotation);
	for (int i = 0; i < 4; i++)
		rows[i * 6 + 2] = 1;
	ann_rotation_train(rows, 4, 6, 4, rotation, &found, NULL, workspace);
	tap_ok(found, "equal rows have a rotation");
	test_orthonormal(6, rotation);
	rows[3] = 1e30f;
	ann_rotation_train(rows, 4, 6, 4, rotation, &found, NULL, workspace);
	tap_ok(!found, "rows that overflow have none");
	tap_ok(ann_rotation_train(rows, 4, 6, 4, rotation, &found, &watch, workspace) ==
			   ANN_INTERRUPTED,
		   "rotation: interrupted");
	free(workspace);
}

int
main(void)
{
	test_eigen();
	test_not_finite();
	test_rotation(1, 1);
	test_rotation(2, 2);
	test_rotation(8, 2);
	test_rotation(24, 4);
	test_rotation(37, 4);
	test_rotation(64, 2);
	test_hard_rows();
	return tap_done();
}
