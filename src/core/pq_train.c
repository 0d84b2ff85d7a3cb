/*
 * pq_train.c
 *	  Training of the quantisers.
 *
 * NOTES
 *	  Training runs all blocks side by side, row by row: one query_table and one encode give a row's
 *	  nearest codeword in every block, so that Lloyd costs what encoding the sample costs. Codewords
 *	  start, and restart when no row chose them, by distance-weighted sampling (k-means++; Arthur
 *	  and Vassilvitskii 2007): for 16 of them it costs less than one pass, it finds the rare values
 *	  of sparse data, and it says of itself when a block has fewer than 16 distinct sub-vectors.
 *
 *	  A second layer starts on what the first leaves. Then the two are trained together, the one and
 *	  the other by turns: rows take the best of all 256 sums, and the codewords of a layer become
 *	  the means of what the other leaves of their rows (additive quantisation; Babenko and Lempitsky
 *	  2014). No turn makes the error greater.
 */
#include "core/pq.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/kernels.h"
#include "core/rng.h"
#include "core/work.h"

/* Rows that codewords are seeded from, and the floats of one block's sub-vectors of them. */
#define SEED_ROWS 4096
#define SEED_FLOATS (1 << 20)
#define SEED_ROWS_MIN 64

/* Rows that two layers are trained together on, at most. */
#define JOINT_ROWS 8192

#define ALL_CODEWORDS ((1U << ANN_CODEWORDS) - 1)

typedef struct Trainer
{
	AnnPq layers[ANN_MAX_LAYERS]; /* each as a quantiser of one layer */
	AnnPq *pq;                    /* the one at hand */
	const AnnPq *below;           /* the layer whose rest is trained on; NULL: none is taken off */
	const float *rows;
	size_t num_rows;
	AnnRng rng;
	AnnMeter meter;
	/* workspace */
	size_t *seed_rows; /* numbers of the seeding rows, none of them zero */
	int num_seeds;
	float *seeds;     /* num_seeds sub-vectors of the block at hand */
	float *gaps;      /* of each, the squared distance to the nearest codeword */
	float *padded;    /* one row, in whole blocks */
	float *scratch;   /* of ann_pq_encode */
	uint8_t *codes;   /* of all layers */
	double *sums;     /* of each codeword of a layer, width of them */
	uint32_t *counts; /* of each codeword of a layer */
} Trainer;

static int
max_seeds(const AnnPq *pq, size_t num_rows)
{
	size_t num = SEED_FLOATS / (size_t) (pq->width > 0 ? pq->width : 1);

	num = num > SEED_ROWS ? SEED_ROWS : num < SEED_ROWS_MIN ? SEED_ROWS_MIN : num;
	return (int) (num > num_rows ? num_rows : num);
}

/* Takes the trainer's arrays from the arena. */
static void
trainer_take(Trainer *trainer, AnnArena *arena, const AnnPq *pq, size_t num_rows)
{
	size_t num_seeds = (size_t) max_seeds(pq, num_rows);
	size_t num_codewords = ann_pq_bias_floats(ann_pq_layer_blocks(pq));

	trainer->seed_rows = ann_arena_take(arena, num_seeds, sizeof(size_t));
	trainer->seeds = ann_arena_take(arena, num_seeds * pq->width, sizeof(float));
	trainer->gaps = ann_arena_take(arena, num_seeds, sizeof(float));
	trainer->padded = ann_arena_take(arena, ann_pq_padded_dim(pq), sizeof(float));
	trainer->scratch = ann_arena_take(arena, ann_pq_encode_scratch_floats(pq), sizeof(float));
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

/* Takes the nearest codeword of block m off a sub-vector. */
static void
subtract_nearest(const AnnPq *pq, int m, float *x)
{
	const float *codewords = pq->codebook + ann_pq_codebook_floats(m, pq->width);
	float least = INFINITY;
	int nearest = 0;

	for (int c = 0; c < ANN_CODEWORDS; c++)
	{
		float sum = 0;

		for (int d = 0; d < pq->width; d++)
		{
			float difference = x[d] - codewords[d * ANN_CODEWORDS + c];

			sum += difference * difference;
		}
		if (sum < least)
		{
			least = sum;
			nearest = c;
		}
	}
	for (int d = 0; d < pq->width; d++)
		x[d] -= codewords[d * ANN_CODEWORDS + nearest];
}

/* Copies dimensions of block m from a row, zeros past the last; less what the layer below has. */
static void
copy_block(const Trainer *trainer, const float *row, int m, float *out)
{
	const AnnPq *pq = trainer->pq;
	int first = m * pq->width;
	int num = pq->dim - first < pq->width ? pq->dim - first : pq->width;

	memcpy(out, row + first, (size_t) num * sizeof(float));
	memset(out + num, 0, (size_t) (pq->width - num) * sizeof(float));
	if (trainer->below != NULL)
		subtract_nearest(trainer->below, m, out);
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
	/* with what it takes to draw a seed */
	uint64_t work = ann_pairs_work((uint64_t) trainer->num_seeds, (uint64_t) pq->width);

	for (int i = 0; i < trainer->num_seeds; i++)
	{
		copy_block(trainer, trainer->rows + trainer->seed_rows[i] * (size_t) pq->dim, m,
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

/* Takes the codewords of the layer below off the row at hand. */
static void
take_off_below(Trainer *trainer)
{
	const AnnPq *below = trainer->below;
	float *x = trainer->padded;

	ann_pq_encode(below, x, trainer->codes, trainer->scratch);
	for (int m = 0; m < below->num_blocks; m++)
	{
		const float *codeword =
			below->codebook + ann_pq_codebook_floats(m, below->width) + trainer->codes[m];

		for (int d = 0; d < below->width; d++)
			*x++ -= codeword[d * ANN_CODEWORDS];
	}
}

static void
add_row(Trainer *trainer, const float *row)
{
	const AnnPq *pq = trainer->pq;
	const float *x = trainer->padded;

	memcpy(trainer->padded, row, (size_t) pq->dim * sizeof(float));
	if (trainer->below != NULL)
		take_off_below(trainer);
	ann_pq_encode(pq, x, trainer->codes, trainer->scratch);
	for (int m = 0; m < pq->num_blocks; m++)
	{
		size_t codeword = (size_t) m * ANN_CODEWORDS + trainer->codes[m];
		double *sum = trainer->sums + codeword * pq->width;

		trainer->counts[codeword]++;
		for (int d = 0; d < pq->width; d++)
			sum[d] += *x++;
	}
}

static void
clear_sums(Trainer *trainer)
{
	size_t num_codewords = ann_pq_bias_floats(trainer->pq->num_blocks);

	memset(trainer->sums, 0, num_codewords * trainer->pq->width * sizeof(double));
	memset(trainer->counts, 0, num_codewords * sizeof(uint32_t));
}

/* Codewords become means, but for those that no row chose. */
static void
take_means(Trainer *trainer)
{
	AnnPq *pq = trainer->pq;

	for (size_t i = 0; i < ann_pq_bias_floats(pq->num_blocks); i++)
	{
		float *codeword = pq->codebook +
						  ann_pq_codebook_floats((int) (i / ANN_CODEWORDS), pq->width) +
						  i % ANN_CODEWORDS;

		for (int d = 0; d < pq->width && trainer->counts[i] > 0; d++)
			codeword[d * ANN_CODEWORDS] =
				(float) (trainer->sums[i * pq->width + d] / trainer->counts[i]);
	}
}

/* One Lloyd pass: codewords become the means of the sub-vectors nearest to them. True: stop. */
static bool
lloyd_pass(Trainer *trainer)
{
	AnnPq *pq = trainer->pq;
	uint64_t work = ann_pairs_work((uint64_t) pq->num_blocks * ANN_CODEWORDS, (uint64_t) pq->width);

	clear_sums(trainer);
	for (size_t row = 0; row < trainer->num_rows; row++)
	{
		if (!is_zero_row(trainer, row))
			add_row(trainer, trainer->rows + row * (size_t) pq->dim);
		ann_watch_advance(trainer->meter.watch, 1);
		if (ann_meter_spend(&trainer->meter, work))
			return true;
	}
	take_means(trainer);
	return fill_dead(trainer, trainer->counts);
}

/* One layer, on what the layer below leaves of the rows. True: stop. */
static bool
train_layer(Trainer *trainer, int iterations)
{
	if (fill_dead(trainer, NULL))
		return true;
	for (int i = 0; i < iterations && trainer->num_seeds > 0; i++)
		if (lloyd_pass(trainer))
			return true;
	return false;
}

/* A layer of a quantiser as a quantiser of its own. */
static AnnPq
layer_of(const AnnPq *pq, int layer)
{
	AnnPq view = *pq;

	view.layers = 1;
	view.num_blocks = ann_pq_layer_blocks(pq);
	view.codebook += layer * ann_pq_codebook_floats(view.num_blocks, pq->width);
	view.bias += layer * ann_pq_bias_floats(view.num_blocks);
	return view;
}

/* Of so many rows, each so many-th is one that layers are trained together on. */
static size_t
joint_stride(size_t num_rows)
{
	return num_rows > JOINT_ROWS ? (num_rows + JOINT_ROWS - 1) / JOINT_ROWS : 1;
}

/* All passes of a training. */
static uint64_t
rows_of_passes(const AnnPq *pq, size_t num_rows, int iterations)
{
	size_t stride = joint_stride(num_rows);
	uint64_t rows = pq->layers * num_rows;

	if (pq->quantizer == ANN_QUANTIZER_SQ8)
		return num_rows;
	if (pq->layers > 1)
		rows += (num_rows + stride - 1) / stride;
	return rows * (uint64_t) iterations;
}

/* One turn of layer `own`, with the other as it is. True: stop. */
static bool
joint_pass(Trainer *trainer, const AnnPq *whole, int own)
{
	AnnPq *pq = &trainer->layers[own];
	const AnnPq *other = &trainer->layers[1 - own];
	const uint8_t *own_codes = trainer->codes + own * pq->num_blocks;
	const uint8_t *other_codes = trainer->codes + (1 - own) * pq->num_blocks;
	size_t stride = joint_stride(trainer->num_rows);
	uint64_t work = ann_pairs_work((uint64_t) pq->num_blocks * ANN_CODEWORDS * ANN_CODEWORDS,
								   (uint64_t) pq->width);

	trainer->pq = pq;
	clear_sums(trainer);
	for (size_t row = 0; row < trainer->num_rows; row += stride)
	{
		const float *x = trainer->padded;

		ann_watch_advance(trainer->meter.watch, 1);
		if (ann_meter_spend(&trainer->meter, work))
			return true;
		if (is_zero_row(trainer, row))
			continue;
		memcpy(trainer->padded, trainer->rows + row * (size_t) pq->dim,
			   (size_t) pq->dim * sizeof(float));
		ann_pq_encode(whole, x, trainer->codes, trainer->scratch);
		for (int m = 0; m < pq->num_blocks; m++)
		{
			size_t codeword = (size_t) m * ANN_CODEWORDS + own_codes[m];
			const float *taken =
				other->codebook + ann_pq_codebook_floats(m, pq->width) + other_codes[m];

			trainer->counts[codeword]++;
			for (int d = 0; d < pq->width; d++)
				trainer->sums[codeword * pq->width + d] += *x++ - taken[d * ANN_CODEWORDS];
		}
	}
	take_means(trainer);
	ann_pq_rebias(pq);
	return false;
}

/*
 * 256 uniform levels for each dimension, from its least value in the rows to its greatest: 16
 * coarse ones in the first layer, the steps between them in the second.
 */
static bool
train_levels(Trainer *trainer, const AnnPq *pq)
{
	float *low = trainer->padded;
	float *high = trainer->scratch;
	float *fine = pq->codebook + ann_pq_codebook_floats(pq->dim, 1);

	for (int d = 0; d < pq->dim; d++)
		low[d] = high[d] = trainer->num_seeds == 0
							   ? 0
							   : trainer->rows[trainer->seed_rows[0] * (size_t) pq->dim + d];
	for (size_t row = 0; row < trainer->num_rows; row++)
	{
		const float *x = trainer->rows + row * (size_t) pq->dim;

		ann_watch_advance(trainer->meter.watch, 1);
		if (ann_meter_spend(&trainer->meter, (uint64_t) pq->dim))
			return true;
		for (int d = 0; d < pq->dim && !is_zero_row(trainer, row); d++)
		{
			low[d] = x[d] < low[d] ? x[d] : low[d];
			high[d] = x[d] > high[d] ? x[d] : high[d];
		}
	}
	for (int d = 0; d < pq->dim; d++)
	{
		float step = (high[d] - low[d]) / (ANN_CODEWORDS * ANN_CODEWORDS - 1);

		for (int c = 0; c < ANN_CODEWORDS; c++)
		{
			pq->codebook[d * ANN_CODEWORDS + c] =
				low[d] + step * (float) (c * ANN_CODEWORDS + (ANN_CODEWORDS - 1) / 2.);
			fine[d * ANN_CODEWORDS + c] = step * (float) (c - (ANN_CODEWORDS - 1) / 2.);
		}
	}
	return false;
}

/* Both layers: each by itself, then together. True: stop. */
static bool
train_layers(Trainer *trainer, const AnnPq *whole, int iterations)
{
	for (int i = 0; i < whole->layers; i++)
	{
		trainer->layers[i] = layer_of(whole, i);
		trainer->pq = &trainer->layers[i];
		trainer->below = i == 0 ? NULL : &trainer->layers[0];
		if (train_layer(trainer, iterations))
			return true;
	}
	for (int i = 0; i < iterations && whole->layers > 1 && trainer->num_seeds > 0; i++)
		if (joint_pass(trainer, whole, i % 2))
			return true;
	return false;
}

AnnStatus
ann_pq_train(AnnPq *pq, const float *rows, size_t num_rows, int iterations, uint64_t seed,
			 AnnWatch *watch, void *workspace)
{
	Trainer trainer = {
		.pq = pq,
		.rows = rows,
		.num_rows = num_rows,
		.meter = {.watch = watch},
	};
	AnnArena arena;
	uint64_t expected;
	bool stopped;

	if (pq->quantizer == ANN_QUANTIZER_FLAT)
		return ANN_OK;
	ann_arena_init(&arena, workspace);
	trainer_take(&trainer, &arena, pq, num_rows);
	ann_rng_seed(&trainer.rng, seed);
	memset(trainer.padded, 0, ann_pq_padded_dim(pq) * sizeof(float));
	expected = ann_watch_expect(watch, rows_of_passes(pq, num_rows, iterations));
	if (choose_seed_rows(&trainer))
		return ANN_INTERRUPTED;
	if (pq->quantizer == ANN_QUANTIZER_SQ8)
		stopped = train_levels(&trainer, pq);
	else
		stopped = train_layers(&trainer, pq, iterations);
	if (stopped)
		return ANN_INTERRUPTED;
	ann_pq_rebias(pq);
	ann_watch_finish(watch, expected);
	return ANN_OK;
}
