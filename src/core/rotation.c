/*
 * rotation.c
 *	  Principal axes, dealt out to the blocks of a code.
 */
#include "core/rotation.h"

#include <math.h>
#include <string.h>

#include "core/kernels.h"
#include "core/work.h"

/* Rows whose second moments are summed up by one blocked product. */
#define CHUNK 256

/* Dimensions whose products with all others are made between two polls. */
#define PART 64

/* Axes with less than this part of the variance count as having it: they are noise. */
#define LEAST_PART 1e-6

typedef struct Work
{
	double *moments; /* dim * dim */
	double *vectors; /* dim * dim */
	double *values;  /* dim */
	double *scratch; /* 2 * dim */
	float *products; /* dim * dim */
	float *columns;  /* dim * CHUNK: a chunk of rows, transposed */
	int *order;      /* dim */
	int *room;       /* dim: dimensions that a block still takes */
	double *filled;  /* dim: sum of logarithms of the variances in a block */
} Work;

static void
work_take(Work *work, AnnArena *arena, int dim)
{
	size_t num = (size_t) dim;

	work->moments = ann_arena_take(arena, num * num, sizeof(double));
	work->vectors = ann_arena_take(arena, num * num, sizeof(double));
	work->values = ann_arena_take(arena, num, sizeof(double));
	work->scratch = ann_arena_take(arena, num * 2, sizeof(double));
	work->products = ann_arena_take(arena, num * num, sizeof(float));
	work->columns = ann_arena_take(arena, num * CHUNK, sizeof(float));
	work->order = ann_arena_take(arena, num, sizeof(int));
	work->room = ann_arena_take(arena, num, sizeof(int));
	work->filled = ann_arena_take(arena, num, sizeof(double));
}

size_t
ann_rotation_workspace_size(int dim)
{
	AnnArena arena;
	Work work;

	ann_arena_init(&arena, NULL);
	work_take(&work, &arena, dim);
	return ann_arena_size(&arena);
}

/* Sums of products of each two dimensions over the rows. */
static bool
sum_moments(Work *work, const float *rows, size_t num_rows, int dim, AnnWatch *watch)
{
	size_t square = (size_t) dim * dim;

	memset(work->moments, 0, sizeof(double) * square);
	for (size_t first = 0; first < num_rows; first += CHUNK)
	{
		int num = num_rows - first < CHUNK ? (int) (num_rows - first) : CHUNK;

		for (int i = 0; i < num; i++)
			for (int d = 0; d < dim; d++)
				work->columns[(size_t) d * CHUNK + i] = rows[(first + i) * dim + d];
		for (int d = 0; d < dim; d += PART)
		{
			if (ann_watch_poll(watch))
				return false;
			ann_kernels->products(work->columns + (size_t) d * CHUNK, CHUNK,
								  dim - d < PART ? dim - d : PART, work->columns, CHUNK, dim, num,
								  work->products + (size_t) d * dim, dim);
		}
		for (size_t i = 0; i < square; i++)
			work->moments[i] += work->products[i];
		ann_watch_advance(watch, (uint64_t) num);
	}
	/* the two halves may differ in rounding */
	for (int i = 0; i < dim; i++)
		for (int j = 0; j < i; j++)
			work->moments[(size_t) i * dim + j] = work->moments[(size_t) j * dim + i];
	return true;
}

/* Numbers of the axes, those of the largest variance first. */
static void
order_axes(Work *work, int dim)
{
	for (int i = 0; i < dim; i++)
	{
		int place = i;

		for (; place > 0 && work->values[work->order[place - 1]] < work->values[i]; place--)
			work->order[place] = work->order[place - 1];
		work->order[place] = i;
	}
}

/* Writes an axis, with the sign that makes its largest element positive. */
static void
write_axis(const double *vector, int dim, float *axis)
{
	double largest = 0;

	for (int d = 0; d < dim; d++)
		if (fabs(vector[d]) > fabs(largest))
			largest = vector[d];
	for (int d = 0; d < dim; d++)
		axis[d] = (float) (largest < 0 ? -vector[d] : vector[d]);
}

/*
 * Each axis, the largest variance first, goes to the block whose product of variances is the
 * smallest of those with room.
 */
static void
deal_axes(Work *work, int dim, int width, float *rotation)
{
	int num_blocks = (dim + width - 1) / width;
	double total = 0;
	double least;

	for (int i = 0; i < dim; i++)
		total += fmax(work->values[i], 0);
	least = total > 0 ? LEAST_PART * total / dim : 1;
	for (int m = 0; m < num_blocks; m++)
	{
		work->room[m] = m < num_blocks - 1 ? width : dim - m * width;
		work->filled[m] = 0;
	}
	for (int i = 0; i < dim; i++)
	{
		int axis = work->order[i];
		int best = -1;
		int place;

		for (int m = 0; m < num_blocks; m++)
			if (work->room[m] > 0 && (best < 0 || work->filled[m] < work->filled[best]))
				best = m;
		place = (best == num_blocks - 1 ? dim : (best + 1) * width) - work->room[best]--;
		work->filled[best] += log(fmax(work->values[axis], least) / least);
		write_axis(work->vectors + (size_t) axis * dim, dim, rotation + (size_t) place * dim);
	}
}

AnnStatus
ann_rotation_train(const float *rows, size_t num_rows, int dim, int width, float *rotation,
				   bool *found, AnnWatch *watch, void *workspace)
{
	AnnArena arena;
	Work work;
	AnnStatus status;

	*found = false;
	ann_arena_init(&arena, workspace);
	work_take(&work, &arena, dim);
	(void) ann_watch_expect(watch, num_rows);
	if (!sum_moments(&work, rows, num_rows, dim, watch))
		return ANN_INTERRUPTED;
	status = ann_eigen(work.moments, dim, work.values, work.vectors, work.scratch, found, watch);
	if (status != ANN_OK || !*found)
		return status;
	order_axes(&work, dim);
	deal_axes(&work, dim, width, rotation);
	return ANN_OK;
}

void
ann_rotation_apply(const float *rotation, int dim, const float *rows, int num, float *out)
{
	ann_kernels->products(rows, dim, num, rotation, dim, dim, dim, out, dim);
}

void
ann_rotation_revert(const float *rotation, int dim, const float *row, float *out)
{
	memset(out, 0, sizeof(float) * dim);
	for (int i = 0; i < dim; i++)
		for (int d = 0; d < dim; d++)
			out[d] += row[i] * rotation[(size_t) i * dim + d];
}
