/*
 * eigen.c
 *	  Eigenvectors of a symmetric matrix: Householder's reduction to three diagonals, then implicit
 *	  QL (Bowdler, Martin, Reinsch and Wilkinson, Numerische Mathematik 11, 1968).
 *
 * NOTES
 *	  Eigenvectors are kept as rows, so that the inner loops of both halves run along memory. About
 *	  6 num^3 multiplications in all.
 */
#include "core/rotation.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/work.h"

/* QL needs two or three rounds a value; one that needs so many does not converge. */
#define MAX_ROUNDS 60

static double
dot(const double *a, const double *b, int num)
{
	double sum = 0;

	for (int i = 0; i < num; i++)
		sum += a[i] * b[i];
	return sum;
}

/*
 * The reflection I - beta v v^T that takes x (num values) to a multiple of the first axis; v
 * replaces x. Returns beta (0: x is such a multiple already); *length gets the multiple.
 */
static double
make_reflection(double *x, int num, double *length)
{
	double largest = 0;
	double norm;

	for (int i = 1; i < num; i++)
		largest = fmax(largest, fabs(x[i]));
	*length = x[0];
	if (largest == 0)
		return 0;
	largest = fmax(largest, fabs(x[0]));
	for (int i = 0; i < num; i++)
		x[i] /= largest;
	norm = sqrt(dot(x, x, num));
	*length = (x[0] > 0 ? -norm : norm) * largest;
	x[0] += x[0] > 0 ? norm : -norm;
	return 2 / dot(x, x, num);
}

/* One reflection of rows and columns from `first` on: A -= v w^T + w v^T. */
static void
reflect_both(double *matrix, int num, int first, const double *v, double beta, double *w)
{
	int rest = num - first;
	double half;

	for (int i = 0; i < rest; i++)
		w[i] = beta * dot(matrix + (size_t) (first + i) * num + first, v, rest);
	half = beta * dot(v, w, rest) / 2;
	for (int i = 0; i < rest; i++)
		w[i] -= half * v[i];
	for (int i = 0; i < rest; i++)
	{
		double *row = matrix + (size_t) (first + i) * num + first;

		for (int j = 0; j < rest; j++)
			row[j] -= v[i] * w[j] + w[i] * v[j];
	}
}

/*
 * To three diagonals: values gets the middle one, below[i] what stands between i and i + 1. The
 * vectors of the reflections stay in the matrix, right of the diagonal, and their betas in betas.
 */
static bool
tridiagonalise(double *matrix, int num, double *values, double *below, double *betas,
			   AnnWatch *watch)
{
	for (int k = 0; k < num; k++)
	{
		double *row = matrix + (size_t) k * num;
		int rest = num - k - 1;

		if (ann_watch_poll(watch))
			return false;
		ann_watch_advance(watch, 1);
		values[k] = row[k];
		below[k] = 0;
		betas[k] = 0;
		if (rest == 0)
			break;
		betas[k] = make_reflection(row + k + 1, rest, &below[k]);
		/* below is free from k + 1 on */
		if (betas[k] != 0)
			reflect_both(matrix, num, k + 1, row + k + 1, betas[k], below + k + 1);
	}
	return true;
}

/* sqrt(a^2 + b^2) without overflow. */
static double
hypotenuse(double a, double b)
{
	double large = fmax(fabs(a), fabs(b));
	double small = fmin(fabs(a), fabs(b));

	if (large == 0)
		return 0;
	small /= large;
	return large * sqrt(1 + small * small);
}

/* Turns two rows of the vectors by a plane rotation. */
static void
turn(double *a, double *b, int num, double c, double s)
{
	for (int k = 0; k < num; k++)
	{
		double f = b[k];

		b[k] = s * a[k] + c * f;
		a[k] = c * a[k] - s * f;
	}
}

/* One QL sweep of the unreduced part first..last, with Wilkinson's shift. */
static void
sweep(double *values, double *below, double *vectors, int num, int first, int last)
{
	double g = (values[first + 1] - values[first]) / (2 * below[first]);
	double r = hypotenuse(g, 1);
	double s = 1;
	double c = 1;
	double p = 0;

	g = values[last] - values[first] + below[first] / (g + copysign(r, g));
	for (int i = last - 1; i >= first; i--)
	{
		double f = s * below[i];
		double b = c * below[i];

		r = hypotenuse(f, g);
		below[i + 1] = r;
		if (r == 0)
		{
			/* falls apart here: the rest is for another sweep */
			values[i + 1] -= p;
			below[last] = 0;
			return;
		}
		s = f / r;
		c = g / r;
		g = values[i + 1] - p;
		r = (values[i] - g) * s + 2 * c * b;
		p = s * r;
		values[i + 1] = g + p;
		g = c * r - b;
		turn(vectors + (size_t) i * num, vectors + (size_t) (i + 1) * num, num, c, s);
	}
	values[first] -= p;
	below[first] = g;
	below[last] = 0;
}

/* The end of the part that begins at first and that no negligible element divides. */
static int
unreduced_end(const double *values, const double *below, int num, int first)
{
	int last = first;

	while (last < num - 1 &&
		   fabs(below[last]) > DBL_EPSILON * (fabs(values[last]) + fabs(values[last + 1])))
		last++;
	return last;
}

/* From the vectors of the three diagonals to those of the matrix. */
static void
undo_reflections(const double *matrix, int num, const double *betas, double *vector)
{
	for (int k = num - 2; k >= 0; k--)
	{
		const double *v = matrix + (size_t) k * num + k + 1;
		int rest = num - k - 1;
		double factor;

		if (betas[k] == 0)
			continue;
		factor = betas[k] * dot(v, vector + k + 1, rest);
		for (int i = 0; i < rest; i++)
			vector[k + 1 + i] -= factor * v[i];
	}
}

AnnStatus
ann_eigen(double *matrix, int num, double *values, double *vectors, double *scratch, bool *found,
		  AnnWatch *watch)
{
	double *below = scratch;
	double *betas = scratch + num;
	uint64_t expected = ann_watch_expect(watch, 2 * (uint64_t) num);

	*found = false;
	if (!tridiagonalise(matrix, num, values, below, betas, watch))
		return ANN_INTERRUPTED;
	memset(vectors, 0, sizeof(double) * num * num);
	for (int i = 0; i < num; i++)
		vectors[(size_t) i * num + i] = 1;
	for (int first = 0; first < num; first++)
	{
		int last;

		for (int round = 0; (last = unreduced_end(values, below, num, first)) != first; round++)
		{
			if (round == MAX_ROUNDS)
				return ANN_OK;
			if (ann_watch_poll(watch))
				return ANN_INTERRUPTED;
			sweep(values, below, vectors, num, first, last);
		}
		ann_watch_advance(watch, 1);
		if (!isfinite(values[first]))
			return ANN_OK;
	}
	for (int i = 0; i < num; i++)
	{
		if (ann_watch_poll(watch))
			return ANN_INTERRUPTED;
		undo_reflections(matrix, num, betas, vectors + (size_t) i * num);
	}
	*found = true;
	ann_watch_finish(watch, expected);
	return ANN_OK;
}
