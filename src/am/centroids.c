/*
 * centroids.c
 *	  Codes for the centroids themselves, made with the index: so many leaves as are best for the
 *	  rows need a search of their own.
 *
 * NOTES
 *	  A query scores all centroids by code, with the kernel that scores rows, and only the best of
 *	  them exactly. How many that must be (the "beam") is measured on the pseudo-queries; where the
 *	  codes cannot tell the leaves apart (clusters so far from one another that the rounded table
 *	  drowns the rest), the index does without.
 *
 *	  Of many leaves, only the children of the parents nearest to the query are scored by code. How
 *	  many parents that must be is measured as well. A row to be inserted looks into ANN_KMEANS_BEAM
 *	  of them, as it does in the build.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "am/build.h"
#include "am/sorted.h"
#include "core/bf16.h"
#include "store/centroids.h"

/* Below this, scoring all centroids exactly costs less than a second table. */
#define MIN_CODED_LEAVES 512
#define MAX_CODE_BLOCKS 256
#define TRAINING_ROWS 32768
/* Share of the leaves to be searched that must be among those chosen by code. */
#define BEAM_COVERAGE 0.995
#define MAX_BEAM 4.0
/* Below this, scoring all codes costs less than ranking the parents. */
#define MIN_LEAVES_WITH_PARENTS 2048
/* Share of the parents above which a query had better look at all leaves. */
#define MAX_PARENTS_SHARE 0.6

/* Centroids coded between two reports. */
#define REPORT_CENTROIDS 256

/* Chosen besides beam times the wanted: the order by code is coarse at its very top. */
#define BEAM_EXTRA 16

double
ann_centroids_beam(double beam, double wanted)
{
	return ceil(beam * wanted) + BEAM_EXTRA;
}

/*
 * More leaves need more parents, but fewer for each: the root of their number where fewer are
 * wanted than were measured, in proportion where more are, to be sure.
 */
uint32
ann_parents_wanted(const AnnCalibrationData *calibration, double wanted)
{
	double ratio = wanted / calibration->leaves_at_10;

	return ceil(calibration->parents * Max(ratio, sqrt(ratio)));
}

/* Unit centroids (about the mean), as many as the quantiser is trained on, evenly spread. */
static float *
unit_centroids(AnnBuilder *builder, size_t *num)
{
	const AnnCentroids *set = &builder->set;
	int dim = set->dim;
	float *rows;

	*num = Min(set->num_centroids, TRAINING_ROWS);
	rows = MemoryContextAllocHuge(builder->context, sizeof(float) * *num * dim);
	for (size_t i = 0; i < *num; i++)
	{
		const float *centroid =
			set->centroids + (Size) ((double) i * set->num_centroids / *num) * dim;
		float norm = sqrtf(ann_kernels->norm_squared(centroid, dim));

		for (int d = 0; d < dim; d++)
			rows[i * dim + d] = norm > 0 ? centroid[d] / norm : 0;
	}
	return rows;
}

/* Dimensions per block of the centroids' codes: as the rows', where these are of the same kind. */
static int
code_width(const AnnBuilder *builder)
{
	const AnnPq *pq = &builder->model->pq;
	int width = pq->layers == 1 ? pq->width : ann_builder_auto_width(pq->dim, 1, false);

	return Max(width, (pq->dim + MAX_CODE_BLOCKS - 1) / MAX_CODE_BLOCKS);
}

static void
train_quantiser(AnnBuilder *builder)
{
	AnnModel *model = builder->model;
	AnnPq *pq = &model->centroid_pq;
	size_t num;
	float *rows = unit_centroids(builder, &num);
	void *workspace;

	ann_pq_shape(pq, ANN_QUANTIZER_PQ, model->dim, code_width(builder), 1);
	pq->codebook = MemoryContextAllocHuge(
		builder->context, sizeof(float) * ann_pq_codebook_floats(pq->num_blocks, pq->width));
	pq->bias =
		MemoryContextAlloc(builder->context, sizeof(float) * ann_pq_bias_floats(pq->num_blocks));
	workspace = MemoryContextAllocHuge(builder->context, ann_pq_train_workspace_size(pq, num));
	if (ann_pq_train(pq, rows, num, 10, builder->options.seed, &builder->watch, workspace) !=
		ANN_OK)
		elog(ERROR, "training was interrupted");
	pfree(workspace);
	pfree(rows);
	ann_model_derive(model);
}

/* Encodes every centroid about the mean; false when one cannot be described. */
static bool
encode_centroids(AnnBuilder *builder)
{
	const AnnModel *model = builder->model;
	const AnnPq *pq = &model->centroid_pq;
	const AnnBlockLayout *layout = &model->centroid_layout;
	uint32 num = builder->set.num_centroids;
	float *scratch = palloc(sizeof(float) * ann_pq_row_scratch_floats(pq));
	uint8 *codes = palloc(pq->num_blocks);
	AnnEntry entry = {.codes = codes};
	uint32 reported = 0;
	bool possible = true;

	entry.tid = ann_node_place(0, 0); /* the real place is not known before the tree is written */
	builder->centroid_blocks = MemoryContextAllocHuge(
		builder->context,
		(Size) layout->block_bytes * ((num + ANN_BLOCK_LANES - 1) / ANN_BLOCK_LANES));
	for (uint32 i = 0; i < num && possible; i++)
	{
		char *block = builder->centroid_blocks + (Size) i / ANN_BLOCK_LANES * layout->block_bytes;

		if (i % ANN_BLOCK_LANES == 0)
			ann_block_init(block, layout, 0, 0);
		if (i % REPORT_CENTROIDS == 0 && i > 0)
		{
			CHECK_FOR_INTERRUPTS();
			ann_builder_advance(builder, REPORT_CENTROIDS);
			reported += REPORT_CENTROIDS;
		}
		possible =
			ann_pq_encode_row(pq, ANN_CODE_L2, builder->set.centroids + (Size) i * model->dim, NULL,
							  codes, &entry.factors, scratch);
		if (possible)
			ann_block_set(block, layout, i % ANN_BLOCK_LANES, &entry);
	}
	ann_builder_advance(builder, num - reported);
	pfree(codes);
	pfree(scratch);
	return possible;
}

static void
drop_codes(AnnBuilder *builder)
{
	AnnPq *pq = &builder->model->centroid_pq;

	if (builder->centroid_blocks != NULL)
		pfree(builder->centroid_blocks);
	builder->centroid_blocks = NULL;
	pfree(pq->codebook);
	pfree(pq->bias);
	memset(pq, 0, sizeof(*pq));
}

void
ann_centroids_train(AnnBuilder *builder)
{
	MemoryContext old = MemoryContextSwitchTo(builder->context);

	if (builder->set.num_centroids >= MIN_CODED_LEAVES)
	{
		ann_builder_phase(builder, ANN_PHASE_CENTROID_CODES, builder->set.num_centroids);
		train_quantiser(builder);
		if (!encode_centroids(builder))
			drop_codes(builder);
	}
	MemoryContextSwitchTo(old);
}

void
ann_centroids_adopt(AnnBuilder *builder, const AnnModel *from)
{
	const AnnPq *pq = &from->centroid_pq;
	AnnPq *copy = &builder->model->centroid_pq;
	Size codebook = sizeof(float) * ann_pq_codebook_floats(pq->num_blocks, pq->width);
	MemoryContext old;

	builder->model->num_parents = from->num_parents;
	if (pq->num_blocks == 0)
		return;
	old = MemoryContextSwitchTo(builder->context);
	copy->codebook = memcpy(palloc(codebook), pq->codebook, codebook);
	copy->bias = palloc(sizeof(float) * ann_pq_bias_floats(pq->num_blocks));
	ann_pq_rebias(copy);
	ann_builder_phase(builder, ANN_PHASE_CENTROID_CODES, builder->set.num_centroids);
	if (!encode_centroids(builder))
		elog(ERROR, "the centroids of another index cannot be coded");
	MemoryContextSwitchTo(old);
}

/* Are the parents worth their room in the model? */
static bool
keeps_parents(const AnnBuilder *builder)
{
	const AnnCentroids *set = &builder->set;

	return set->num_centroids >= MIN_LEAVES_WITH_PARENTS &&
		   ((Size) set->num_parents + 2) * sizeof(float) * (set->dim + 1) +
				   sizeof(BlockNumber) * (Size) ann_centroids_num_pages(builder->model) <=
			   ANN_MAX_PARENTS_BYTES;
}

/* The lanes' err is rho, which is known only now. */
void
ann_centroids_set_rho(AnnBuilder *builder, const float *rho)
{
	const AnnBlockLayout *layout = &builder->model->centroid_layout;

	if (builder->centroid_blocks == NULL)
		return;
	for (uint32 i = 0; i < builder->set.num_centroids; i++)
	{
		char *block = builder->centroid_blocks + (Size) i / ANN_BLOCK_LANES * layout->block_bytes;

		((uint16 *) (block + layout->offset_err))[i % ANN_BLOCK_LANES] =
			ann_bf16_from_float_up(rho[i]);
	}
}

/* Keys of all centroids by code. */
static void
all_keys(AnnBuilder *builder, const float *query, float spread, uint8 *table, float *keys)
{
	const AnnModel *model = builder->model;
	AnnBoundParams bounds;
	float lanes[ANN_BLOCK_LANES];

	ann_centroids_table(model, model->form, query, spread, table, &bounds);
	for (uint32 i = 0; i < builder->set.num_centroids; i += ANN_BLOCK_LANES)
	{
		ann_centroids_keys(model,
						   builder->centroid_blocks +
							   (Size) i / ANN_BLOCK_LANES * model->centroid_layout.block_bytes,
						   table, &bounds, INFINITY, lanes);
		memcpy(keys + i, lanes,
			   sizeof(float) * Min(ANN_BLOCK_LANES, builder->set.num_centroids - i));
	}
}

/*
 * Ranks by code of the leaves that one query should search: those whose exact score is among the
 * wanted best. Returns their number.
 */
static int
code_ranks(const float *exact, const float *keys, float *scratch, uint32 num, uint32 wanted,
		   float *ranks)
{
	float worst;
	int found = 0;

	memcpy(scratch, exact, sizeof(float) * num);
	qsort(scratch, num, sizeof(float), ann_compare_floats);
	worst = scratch[wanted - 1];
	memcpy(scratch, keys, sizeof(float) * num);
	qsort(scratch, num, sizeof(float), ann_compare_floats);
	for (uint32 i = 0; i < num && found < (int) wanted; i++)
		if (exact[i] <= worst)
			ranks[found++] = ann_rank_of(scratch, num, keys[i]);
	return found;
}

/*
 * Ranks, from 1, of the parents of the leaves that one query should search (exact: scores of all
 * leaves, scratch: of as many). Returns their number.
 */
static int
parent_ranks(const AnnCentroids *set, const float *query, const float *exact, float *scratch,
			 uint32 wanted, float *ranks)
{
	float *distances = palloc(sizeof(float) * set->num_parents);
	float *sorted = palloc(sizeof(float) * set->num_parents);
	uint32 parent = 0;
	float worst;
	int found = 0;

	memcpy(scratch, exact, sizeof(float) * set->num_centroids);
	qsort(scratch, set->num_centroids, sizeof(float), ann_compare_floats);
	worst = scratch[wanted - 1];
	ann_kernels->products(query, set->dim, 1, set->parents, set->dim, set->num_parents, set->dim,
						  distances, set->num_parents);
	for (uint32 i = 0; i < set->num_parents; i++)
		distances[i] = set->parent_bias[i] - 2 * distances[i];
	memcpy(sorted, distances, sizeof(float) * set->num_parents);
	qsort(sorted, set->num_parents, sizeof(float), ann_compare_floats);
	for (uint32 i = 0; i < set->num_centroids && found < (int) wanted; i++)
	{
		while (i >= set->first_child[parent + 1])
			parent++;
		if (exact[i] <= worst)
			ranks[found++] = ann_rank_of(sorted, set->num_parents, distances[parent]);
	}
	pfree(sorted);
	pfree(distances);
	return found;
}

/*
 * How many of the nearest parents have 99.5 % of the leaves wanted among their children. Where that
 * is most of them, a query looks at all leaves; an insert, which wants one leaf, uses them still.
 */
static void
calibrate_parents(AnnBuilder *builder, const float *queries, int num_queries,
				  AnnCalibrationData *calibration)
{
	const AnnCentroids *set = &builder->set;
	uint32 num = set->num_centroids;
	uint32 wanted = Min(Max(calibration->leaves_at_10, 10), num);
	float *exact = palloc_extended(sizeof(float) * num, MCXT_ALLOC_HUGE);
	float *scratch = palloc_extended(sizeof(float) * num, MCXT_ALLOC_HUGE);
	float *ranks = palloc_extended(sizeof(float) * wanted * Max(num_queries, 1), MCXT_ALLOC_HUGE);
	int found = 0;

	for (int q = 0; q < num_queries; q++)
	{
		const float *query = queries + (Size) q * set->dim;

		CHECK_FOR_INTERRUPTS();
		ann_builder_products(builder, query, 1, set->centroids, num, set->dim, exact, num);
		for (uint32 i = 0; i < num; i++)
			exact[i] = set->centroid_bias[i] - 2 * exact[i];
		found += parent_ranks(set, query, exact, scratch, wanted, ranks + found);
	}
	if (found > 0)
	{
		qsort(ranks, found, sizeof(float), ann_compare_floats);
		calibration->parents = ranks[Min(found - 1, (int) (BEAM_COVERAGE * found))];
	}
	ereport(DEBUG1, (errmsg_internal("ann: %u of %u parents have the leaves to be searched",
									 calibration->parents, set->num_parents)));
	if (calibration->parents > MAX_PARENTS_SHARE * set->num_parents)
		calibration->parents = 0;
	pfree(ranks);
	pfree(scratch);
	pfree(exact);
}

void
ann_centroids_calibrate(AnnBuilder *builder, const float *queries, int num_queries,
						const float *rho, AnnCalibrationData *calibration)
{
	const AnnCentroids *set = &builder->set;
	const AnnModel *model = builder->model;
	uint32 num = set->num_centroids;
	uint32 wanted = Min(Max(calibration->leaves_at_10, 10), num);
	bool ip = model->form == ANN_CODE_IP;
	float *exact;
	float *keys;
	float *scratch;
	float *ranks;
	uint8 *table;
	int found = 0;

	calibration->beam = 1;
	if (builder->centroid_blocks == NULL)
		return;
	ann_centroids_set_rho(builder, rho);
	exact = palloc_extended(sizeof(float) * num, MCXT_ALLOC_HUGE);
	keys = palloc_extended(sizeof(float) * num, MCXT_ALLOC_HUGE);
	scratch = palloc_extended(sizeof(float) * num, MCXT_ALLOC_HUGE);
	ranks = palloc_extended(sizeof(float) * wanted * Max(num_queries, 1), MCXT_ALLOC_HUGE);
	table = palloc((Size) model->centroid_pq.num_blocks * ANN_CODEWORDS);
	for (int q = 0; q < num_queries; q++)
	{
		const float *query = queries + (Size) q * model->dim;
		float spread = calibration->leaf_bias * sqrtf(ann_kernels->norm_squared(query, model->dim));

		CHECK_FOR_INTERRUPTS();
		ann_builder_products(builder, query, 1, set->centroids, num, model->dim, exact, num);
		for (uint32 i = 0; i < num; i++)
			exact[i] = ip ? -exact[i] - spread * rho[i] : set->centroid_bias[i] - 2 * exact[i];
		all_keys(builder, query, ip ? spread : 0, table, keys);
		found += code_ranks(exact, keys, scratch, num, wanted, ranks + found);
		ann_builder_advance(builder, 1);
	}
	if (found > 0)
	{
		qsort(ranks, found, sizeof(float), ann_compare_floats);
		calibration->beam =
			(ranks[Min(found - 1, (int) (BEAM_COVERAGE * found))] - BEAM_EXTRA) / wanted;
	}
	if (calibration->beam > MAX_BEAM)
		drop_codes(builder);
	else if (keeps_parents(builder))
	{
		builder->model->num_parents = set->num_parents;
		if (!ip)
			calibrate_parents(builder, queries, num_queries, calibration);
	}
	calibration->beam = Max(1.1, Min(calibration->beam, MAX_BEAM));
}

void
ann_centroids_set_places(AnnBuilder *builder, const AnnTid *places)
{
	const AnnBlockLayout *layout = &builder->model->centroid_layout;

	for (uint32 i = 0; i < builder->set.num_centroids; i++)
	{
		char *block = builder->centroid_blocks + (Size) i / ANN_BLOCK_LANES * layout->block_bytes;

		memcpy(block + layout->offset_tids + i % ANN_BLOCK_LANES * sizeof(AnnTid), &places[i],
			   sizeof(AnnTid));
	}
}
