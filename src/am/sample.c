/*
 * sample.c
 *	  A uniform random sample of the rows that can be coded.
 *
 * NOTES
 *	  The source offers a random part of the table (whole blocks of it), the reservoir keeps a
 *	  uniform part of what is offered (Vitter's algorithm R). Our own random numbers decide, so the
 *	  same heap layout and seed give the same sample.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "am/build.h"
#include "core/rng.h"

typedef struct Draw
{
	AnnBuilder *builder;
	AnnRng rng;
	float *row; /* the row being looked at; dim floats, allocated at the first */
} Draw;

/* Where the reservoir puts the next row: an index, or -1 to pass it over. */
static int64
reservoir_place(AnnSample *sample, AnnRng *rng)
{
	uint64 place;

	sample->seen += 1;
	if (sample->num < sample->room)
		return sample->num++;
	place = ann_rng_below(rng, (uint64) sample->seen);
	return place < sample->room ? (int64) place : -1;
}

static void
draw_row(void *arg, ItemPointer tid, Datum value, bool isnull)
{
	Draw *draw = arg;
	AnnBuilder *builder = draw->builder;
	AnnSample *sample = &builder->sample;
	MemoryContext old;
	struct varlena *detoasted;
	float *scratch = NULL;
	int dim;
	int64 place;

	if (isnull)
	{
		sample->nulls += 1;
		return;
	}
	old = MemoryContextSwitchTo(builder->row_context);
	detoasted = PG_DETOAST_DATUM(value);
	dim = ann_builder_dim(builder, detoasted);
	if (sample->rows == NULL)
	{
		MemoryContextSwitchTo(builder->context);
		draw->row = palloc(sizeof(float) * dim);
		sample->rows = ann_sample_alloc(builder, mul_size(dim, sample->room));
		MemoryContextSwitchTo(builder->row_context);
	}
	scratch = palloc(sizeof(float) * dim);
	if (ann_row_prepare(builder->support->metric, dim, NULL,
						builder->support->floats(detoasted, scratch), draw->row))
	{
		place = reservoir_place(sample, &draw->rng);
		if (place >= 0)
		{
			memcpy(sample->rows + (Size) place * dim, draw->row, sizeof(float) * dim);
			sample->tids[place] = ann_tid_from_pointer(tid);
			builder->watch.done = sample->num;
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(builder->row_context);
}

void
ann_sample_draw(AnnBuilder *builder, size_t room)
{
	AnnSample *sample = &builder->sample;
	Draw draw = {.builder = builder};

	memset(sample, 0, sizeof(*sample));
	sample->room = room;
	sample->tids = MemoryContextAllocHuge(builder->context, sizeof(AnnTid) * room);
	ann_rng_seed(&draw.rng, builder->options.seed);
	ann_builder_phase(builder, ANN_PHASE_SAMPLE, Min(room, Max(builder->estimated_rows, 1)));
	builder->source->sample(builder->source, room, draw_row, &draw);
}

void
ann_sample_hold_out(AnnSample *sample, int dim, size_t num, uint64 seed)
{
	AnnRng rng;

	ann_rng_seed(&rng, seed ^ UINT64_C(0x68656c646f7574));
	for (size_t i = 0; i < num; i++)
	{
		size_t last = sample->num - 1 - i;
		size_t other = ann_rng_below(&rng, last + 1);
		AnnTid tid = sample->tids[last];

		for (int d = 0; d < dim; d++)
		{
			float value = sample->rows[last * dim + d];

			sample->rows[last * dim + d] = sample->rows[other * dim + d];
			sample->rows[other * dim + d] = value;
		}
		sample->tids[last] = sample->tids[other];
		sample->tids[other] = tid;
	}
}
