/*
 * pq.c
 *	  The product quantiser: training, encoding with factors, decoding, rounding of query tables.
 *
 * NOTES
 *	  Training runs all blocks side by side, row by row: one query_table and one encode give a row's
 *	  nearest codeword in every block, so that Lloyd costs what encoding the sample costs. Codewords
 *	  start, and restart when no row chose them, by distance-weighted sampling (k-means++; Arthur
 *	  and Vassilvitskii 2007): for 16 of them it costs less than one pass, it finds the rare values
 *	  of sparse data, and it says of itself when a block has fewer than 16 distinct sub-vectors.
 */
#include "core/pq.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/absolute.h"
#include "core/bf16.h"
#include "core/kernels.h"
#include "core/rng.h"
#include "core/work.h"

/* Rows that codewords are seeded from, and the floats of one block's sub-vectors of them. */
#define SEED_ROWS 4096
#define SEED_FLOATS (1 << 20)
#define SEED_ROWS_MIN 64

/* Lower limit of <r,u> in the scale, as a share of |r| |u| (pq.h). */
#define SCALE_GUARD .2

#define ALL_CODEWORDS ((1U << ANN_CODEWORDS) - 1)

typedef struct Trainer
{
	AnnPq *pq;
	const float *rows;
	size_t num_rows;
	AnnRng rng;
	AnnMeter meter;
	/* workspace */
	size_t *seed_rows; /* numbers of the seeding rows, none of them zero */
	int num_seeds;
	float *seeds;     /* num_seeds sub-vectors of the block at hand */
	float *gaps;      /* of each, the squared distance to the nearest codeword */
	float *padded;    /* one row, num_blocks * width */
	float *table;     /* num_blocks * 16 */
	uint8_t *codes;   /* num_blocks */
	double *sums;     /* (num_blocks * 16) * width */
	uint32_t *counts; /* num_blocks * 16 */
} Trainer;

static int
max_seeds(const AnnPq *pq, size_t num_rows)
{
	size_t num = SEED_FLOATS / (size_t) pq->width;

	num = num > SEED_ROWS ? SEED_ROWS : num < SEED_ROWS_MIN ? SEED_ROWS_MIN : num;
	return (int) (num > num_rows ? num_rows : num);
}

/* Takes the trainer's arrays from the arena. */
static void
trainer_take(Trainer *trainer, AnnArena *arena, const AnnPq *pq, size_t num_rows)
{
	size_t num_seeds = (size_t) max_seeds(pq, num_rows);
	size_t num_codewords = ann_pq_bias_floats(pq->num_blocks);
	size_t padded_dim = (size_t) pq->num_blocks * pq->width;

	trainer->seed_rows = ann_arena_take(arena, num_seeds, sizeof(size_t));
	trainer->seeds = ann_arena_take(arena, num_seeds * pq->width, sizeof(float));
	trainer->gaps = ann_arena_take(arena, num_seeds, sizeof(float));
	trainer->padded = ann_arena_take(arena, padded_dim, sizeof(float));
	trainer->table = ann_arena_take(arena, num_codewords, sizeof(float));
	trainer->codes = ann_arena_take(arena, (size_t) pq->num_blocks, 1);
	trainer->sums = ann_arena_take(arena, num_codewords * pq->width, sizeof(double));
	trainer->counts = ann_arena_take(arena, num_codewords, sizeof(uint32_t));
}

size_t
ann_pq_train_workspace_size(const AnnPq *pq, size_t num_rows)
{
	AnnArena arena;
	Trainer trainer;

	ann_arena_init(&arena, NULL);
	trainer_take(&trainer, &arena, pq, num_rows);
	return ann_arena_size(&arena);
}

void
ann_pq_rebias(AnnPq *pq)
{
	for (int m = 0; m < pq->num_blocks; m++)
	{
		const float *codewords = pq->codebook + ann_pq_codebook_floats(m, pq->width);
		float *bias = pq->bias + ann_pq_bias_floats(m);

		memset(bias, 0, ANN_CODEWORDS * sizeof(float));
		for (int d = 0; d < pq->width; d++)
			for (int c = 0; c < ANN_CODEWORDS; c++)
				bias[c] += codewords[d * ANN_CODEWORDS + c] * codewords[d * ANN_CODEWORDS + c];
	}
}

static bool
is_zero_row(const Trainer *trainer, size_t row)
{
	const float *x = trainer->rows + row * trainer->pq->dim;

	return ann_kernels->norm_squared(x, trainer->pq->dim) == 0;
}

/* Notes the rows to seed from, spread evenly over those that are not zero. True: stop. */
static bool
choose_seed_rows(Trainer *trainer)
{
	int wanted = max_seeds(trainer->pq, trainer->num_rows);
	size_t num_nonzero = 0;
	size_t seen = 0;

	for (size_t row = 0; row < trainer->num_rows; row++)
	{
		num_nonzero += !is_zero_row(trainer, row);
		if (ann_meter_spend(&trainer->meter, (uint64_t) trainer->pq->dim))
			return true;
	}
	if ((size_t) wanted > num_nonzero)
		wanted = (int) num_nonzero;
	for (size_t row = 0; row < trainer->num_rows && trainer->num_seeds < wanted; row++)
	{
		if (ann_meter_spend(&trainer->meter, (uint64_t) trainer->pq->dim))
			return true;
		if (is_zero_row(trainer, row))
			continue;
		if (seen++ * (size_t) wanted >= num_nonzero * (size_t) trainer->num_seeds)
			trainer->seed_rows[trainer->num_seeds++] = row;
	}
	return false;
}

/* Copies dimensions of block m from a row, zeros past the last. */
static void
copy_block(const AnnPq *pq, const float *row, int m, float *out)
{
	int first = m * pq->width;
	int num = pq->dim - first < pq->width ? pq->dim - first : pq->width;

	memcpy(out, row + first, (size_t) num * sizeof(float));
	memset(out + num, 0, (size_t) (pq->width - num) * sizeof(float));
}

static void
set_codeword(AnnPq *pq, int m, int c, const float *value)
{
	float *codeword = pq->codebook + ann_pq_codebook_floats(m, pq->width) + c;

	for (int d = 0; d < pq->width; d++)
		codeword[d * ANN_CODEWORDS] = value[d];
}

/* Lowers the gaps of all seeds to their squared distance from codeword c of block m. */
static void
close_gaps(Trainer *trainer, int m, int c)
{
	int width = trainer->pq->width;
	const float *codeword = trainer->pq->codebook + ann_pq_codebook_floats(m, width) + c;

	for (int i = 0; i < trainer->num_seeds; i++)
	{
		const float *seed = trainer->seeds + (size_t) i * width;
		float sum = 0;

		for (int d = 0; d < width; d++)
		{
			float difference = seed[d] - codeword[d * ANN_CODEWORDS];

			sum += difference * difference;
		}
		if (sum < trainer->gaps[i])
			trainer->gaps[i] = sum;
	}
}

/* A seed drawn with probability in proportion to its gap; -1: all gaps are zero. */
static int
draw_seed(Trainer *trainer)
{
	double total = 0;
	double target;
	int drawn = -1;

	for (int i = 0; i < trainer->num_seeds; i++)
		total += trainer->gaps[i];
	target = ann_rng_unit(&trainer->rng) * total;
	for (int i = 0; i < trainer->num_seeds && target >= 0; i++)
	{
		if (trainer->gaps[i] > 0)
			drawn = i;
		target -= trainer->gaps[i];
	}
	return drawn;
}

/* Gives the dead codewords of block m the value of the lowest live one, zero where none lives. */
static void
repeat_codeword(AnnPq *pq, int m, unsigned live)
{
	float *codewords = pq->codebook + ann_pq_codebook_floats(m, pq->width);
	int source = live == 0 ? 0 : __builtin_ctz(live);

	for (int c = 0; c < ANN_CODEWORDS; c++)
		if (!(live >> c & 1))
			for (int d = 0; d < pq->width; d++)
				codewords[d * ANN_CODEWORDS + c] =
					live == 0 ? 0 : codewords[d * ANN_CODEWORDS + source];
}

/*
 * Gives block m the codewords that are not in the mask `live`: seeds drawn by distance from those
 * that are, then, where every seed has its codeword, repetitions. True: stop.
 */
static bool
fill_codewords(Trainer *trainer, int m, unsigned live)
{
	AnnPq *pq = trainer->pq;
	uint64_t work = (uint64_t) trainer->num_seeds * (uint64_t) pq->width;

	for (int i = 0; i < trainer->num_seeds; i++)
	{
		copy_block(pq, trainer->rows + trainer->seed_rows[i] * (size_t) pq->dim, m,
				   trainer->seeds + (size_t) i * pq->width);
		trainer->gaps[i] = FLT_MAX;
	}
	for (int c = 0; c < ANN_CODEWORDS; c++)
		if (live >> c & 1)
		{
			close_gaps(trainer, m, c);
			if (ann_meter_spend(&trainer->meter, work))
				return true;
		}
	for (int c = 0; c < ANN_CODEWORDS; c++)
	{
		int seed = live >> c & 1 ? -1 : draw_seed(trainer);

		if (seed < 0)
			continue;
		set_codeword(pq, m, c, trainer->seeds + (size_t) seed * pq->width);
		live |= 1U << c;
		close_gaps(trainer, m, c);
		if (ann_meter_spend(&trainer->meter, work))
			return true;
	}
	repeat_codeword(pq, m, live);
	return false;
}

/* Fills every block in which some codeword is not live: none without counts. True: stop. */
static bool
fill_dead(Trainer *trainer, const uint32_t *counts)
{
	for (int m = 0; m < trainer->pq->num_blocks; m++)
	{
		unsigned live = 0;

		for (int c = 0; counts != NULL && c < ANN_CODEWORDS; c++)
			live |= (unsigned) (counts[m * ANN_CODEWORDS + c] > 0) << c;
		if (live != ALL_CODEWORDS && fill_codewords(trainer, m, live))
			return true;
	}
	ann_pq_rebias(trainer->pq);
	return false;
}

static void
add_row(Trainer *trainer, const float *row)
{
	const AnnPq *pq = trainer->pq;
	const float *x = trainer->padded;

	memcpy(trainer->padded, row, (size_t) pq->dim * sizeof(float));
	ann_kernels->query_table(x, pq->codebook, pq->num_blocks, pq->width, trainer->table);
	ann_kernels->encode(trainer->table, pq->bias, pq->num_blocks, trainer->codes);
	for (int m = 0; m < pq->num_blocks; m++)
	{
		size_t codeword = (size_t) m * ANN_CODEWORDS + trainer->codes[m];
		double *sum = trainer->sums + codeword * pq->width;

		trainer->counts[codeword]++;
		for (int d = 0; d < pq->width; d++)
			sum[d] += *x++;
	}
}

/* One Lloyd pass: codewords become the means of the sub-vectors nearest to them. True: stop. */
static bool
lloyd_pass(Trainer *trainer)
{
	AnnPq *pq = trainer->pq;
	size_t num_codewords = ann_pq_bias_floats(pq->num_blocks);

	memset(trainer->sums, 0, num_codewords * pq->width * sizeof(double));
	memset(trainer->counts, 0, num_codewords * sizeof(uint32_t));
	for (size_t row = 0; row < trainer->num_rows; row++)
	{
		if (!is_zero_row(trainer, row))
			add_row(trainer, trainer->rows + row * (size_t) pq->dim);
		if (ann_meter_spend(&trainer->meter, (uint64_t) pq->dim * ANN_CODEWORDS))
			return true;
	}
	for (size_t i = 0; i < num_codewords; i++)
	{
		float *codeword = pq->codebook +
						  ann_pq_codebook_floats((int) (i / ANN_CODEWORDS), pq->width) +
						  i % ANN_CODEWORDS;

		for (int d = 0; d < pq->width && trainer->counts[i] > 0; d++)
			codeword[d * ANN_CODEWORDS] =
				(float) (trainer->sums[i * pq->width + d] / trainer->counts[i]);
	}
	return fill_dead(trainer, trainer->counts);
}

AnnStatus
ann_pq_train(AnnPq *pq, const float *rows, size_t num_rows, int iterations, uint64_t seed,
			 AnnPoll poll, void *poll_arg, void *workspace)
{
	Trainer trainer = {
		.pq = pq,
		.rows = rows,
		.num_rows = num_rows,
		.meter = {.poll = poll, .arg = poll_arg},
	};
	AnnArena arena;

	ann_arena_init(&arena, workspace);
	trainer_take(&trainer, &arena, pq, num_rows);
	ann_rng_seed(&trainer.rng, seed);
	memset(trainer.padded, 0, (size_t) pq->num_blocks * pq->width * sizeof(float));
	if (choose_seed_rows(&trainer) || fill_dead(&trainer, NULL))
		return ANN_INTERRUPTED;
	for (int i = 0; i < iterations && trainer.num_seeds > 0; i++)
		if (lloyd_pass(&trainer))
			return ANN_INTERRUPTED;
	return ANN_OK;
}

void
ann_pq_decode(const AnnPq *pq, const uint8_t *codes, float *out)
{
	for (int m = 0; m < pq->num_blocks; m++)
	{
		const float *codeword = pq->codebook + ann_pq_codebook_floats(m, pq->width) + codes[m];
		int first = m * pq->width;
		int num = pq->dim - first < pq->width ? pq->dim - first : pq->width;

		for (int d = 0; d < num; d++)
			out[first + d] = codeword[d * ANN_CODEWORDS];
	}
}

size_t
ann_pq_encode_scratch_floats(const AnnPq *pq)
{
	return 2 * (size_t) pq->num_blocks * pq->width + ann_pq_bias_floats(pq->num_blocks);
}

/* <a,b> in double, by four chains, so that the latency of an addition does not rule. */
static double
inner_product(const float *a, const float *b, int dim)
{
	double sum[4] = {0};
	int d = 0;

	for (; d + 4 <= dim; d += 4)
		for (int i = 0; i < 4; i++)
			sum[i] += (double) a[d + i] * b[d + i];
	for (; d < dim; d++)
		sum[0] += (double) a[d] * b[d];
	return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

/* The scale of a row before rounding: 0 where residual or code is zero. */
static double
row_scale(double rr, double ru, double uu)
{
	double least = SCALE_GUARD * sqrt(rr) * sqrt(uu);

	if (rr == 0 || uu == 0)
		return 0;
	return rr / (ru > least ? ru : least);
}

/*
 * Factors from the sums over a row. All follow from the rounded s, so that its rounding makes err
 * greater and the estimate no worse than err says. |e|^2 comes out of a difference whose rounding
 * error stays below 2^-40 |r|^2, which is added: err is an upper bound.
 */
static bool
set_factors(AnnCodeForm form, const float *x, const float *r, const float *u, int dim,
			AnnFactors *factors)
{
	double rr = inner_product(r, r, dim);
	double ru = inner_product(r, u, dim);
	double uu = inner_product(u, u, dim);
	double xu = inner_product(x, u, dim);
	double scale = row_scale(rr, ru, uu);
	double b;
	double ee;
	double err;
	double s;
	float err_float;

	if (!(scale <= FLT_MAX) || (scale > 0 && scale < FLT_MIN))
		return false;
	factors->s = ann_bf16_from_float((float) scale);
	s = ann_bf16_to_float(factors->s);
	ee = rr - 2 * s * ru + s * s * uu;
	err = sqrt((ee > 0 ? ee : 0) + rr * 0x1p-40);
	b = form == ANN_CODE_L2 ? 2 * s * xu - rr : s * xu - inner_product(x, r, dim);
	if (!(err <= FLT_MAX) || !(fabs(b) <= FLT_MAX))
		return false;
	err_float = (float) err;
	if (err_float < err)
		err_float = nextafterf(err_float, INFINITY);
	factors->err = ann_bf16_from_float_up(err_float);
	factors->b = (float) b;
	return isfinite(s) && isfinite(ann_bf16_to_float(factors->err));
}

bool
ann_pq_encode_row(const AnnPq *pq, AnnCodeForm form, const float *x, const float *centroid,
				  uint8_t *codes, AnnFactors *factors, float *scratch)
{
	size_t padded_dim = (size_t) pq->num_blocks * pq->width;
	float *residual = scratch;
	float *unit = scratch + padded_dim; /* r / |r|, then its code */
	float *table = unit + padded_dim;
	double norm;

	if (ann_form_is_absolute(form))
		return ann_absolute_encode(pq, form, x, codes, factors, scratch);
	for (int d = 0; d < pq->dim; d++)
		residual[d] = x[d] - centroid[d];
	norm = sqrt(inner_product(residual, residual, pq->dim));
	if (!isfinite(norm))
		return false;
	for (int d = 0; d < pq->dim; d++)
		unit[d] = norm == 0 ? 0 : (float) (residual[d] / norm);
	for (size_t d = (size_t) pq->dim; d < padded_dim; d++)
		unit[d] = 0;
	ann_kernels->query_table(unit, pq->codebook, pq->num_blocks, pq->width, table);
	ann_kernels->encode(table, pq->bias, pq->num_blocks, codes);
	ann_pq_decode(pq, codes, unit);
	return set_factors(form, x, residual, unit, pq->dim, factors);
}

static inline float
lesser(float a, float b)
{
	return a < b ? a : b;
}

static inline float
greater(float a, float b)
{
	return a < b ? b : a;
}

/*
 * Least and greatest of the 16 entries of a block, by quarters. Here and below, loops of constant
 * length, one thing each: what gcc vectorises at -O2. A table is rounded for every query.
 */
static inline void
block_range(const float *entries, float *least, float *greatest)
{
	float low[4];
	float high[4];

	for (int i = 0; i < 4; i++)
	{
		low[i] =
			lesser(lesser(entries[i], entries[i + 4]), lesser(entries[i + 8], entries[i + 12]));
		high[i] =
			greater(greater(entries[i], entries[i + 4]), greater(entries[i + 8], entries[i + 12]));
	}
	*least = lesser(lesser(low[0], low[1]), lesser(low[2], low[3]));
	*greatest = greater(greater(high[0], high[1]), greater(high[2], high[3]));
}

/* Entries in steps above the least, up to limit; NaN, which has no integer, becomes 0. */
static inline void
round_block(const float *entries, float least, float per_step, float limit,
			int32_t rounded[ANN_CODEWORDS])
{
	for (int c = 0; c < ANN_CODEWORDS; c++)
	{
		float steps = (entries[c] - least) * per_step + .5f;

		steps = steps > 0 ? steps : 0;
		rounded[c] = (int32_t) (steps < limit ? steps : limit);
	}
}

void
ann_pq_round_table(const float *table, int num_blocks, int bits, uint8_t *low, uint8_t *high,
				   float *step, float *base)
{
	float limit = bits == 8 ? 255 : 65535;
	float range = 0;
	float per_step;
	float least;
	float greatest;
	double sum = 0;

	for (int m = 0; m < num_blocks; m++)
	{
		block_range(table + (size_t) m * ANN_CODEWORDS, &least, &greatest);
		range = greater(range, greatest - least);
		sum += least;
	}
	*step = range / limit;
	*base = (float) sum;
	/* A subnormal step has no reciprocal, and then nothing to tell apart either. */
	if (*step < FLT_MIN)
		*step = 0;
	per_step = *step > 0 ? 1 / *step : 0;
	for (int m = 0; m < num_blocks; m++)
	{
		size_t first = (size_t) m * ANN_CODEWORDS;
		int32_t rounded[ANN_CODEWORDS];

		block_range(table + first, &least, &greatest);
		round_block(table + first, least, per_step, limit, rounded);
		for (int c = 0; c < ANN_CODEWORDS; c++)
			low[first + c] = (uint8_t) rounded[c];
		for (int c = 0; c < ANN_CODEWORDS && bits > 8; c++)
			high[first + c] = (uint8_t) (rounded[c] >> 8);
	}
}
