/*
 * calibrate.c
 *	  The index's own defaults, measured on pseudo-queries: rows that were held out of the training
 *	  and whose true neighbours are found within the build's one pass over all rows (neighbours.c).
 *
 * NOTES
 *	  Measured: how many leaves hold the true neighbours of rank 10 and of rank 100
 *	  (num_leaves_to_search and its growth with the rank), how wide the error bound must be (z), how
 *	  far the inner product's leaf ranking should favour wide leaves (leaf_bias), and whether 8 bits
 *	  are enough for the query table. Real queries lie farther from the data than rows do, so the
 *	  targets have a margin, proven on files whose queries the index never saw (src/README,
 *	  "Calibration").
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "am/calibrate_private.h"
#include "am/sorted.h"
#include "core/kernels.h"

#define TOP 10
/* Share of pseudo-queries' neighbours whose leaves must be searched, and the margin on top. */
#define COVERAGE 0.97
#define LEAVES_MARGIN 1.3
/*
 * Share of the true neighbours that must lie within z standard deviations; of long vectors fewer,
 * as a row costs more to read there than the leaf more that makes up for it.
 */
#define BOUND_COVERAGE 0.985
#define BOUND_COVERAGE_LONG 0.95
/* The same where so many leaves are searched that the bound would be what recall fails for. */
#define WIDE_COVERAGE 0.997
/* Variance that the rounded table may add to the code's own before it gets 16 bits (SIFT: .006). */
#define TABLE_VARIANCE 0.2

/* The value that a share of the sorted list does not exceed. */
static float
quantile(float *values, int num, double share)
{
	if (num == 0)
		return 0;
	qsort(values, num, sizeof(float), ann_compare_floats);
	return values[Min(num - 1, (int) ceil(share * num))];
}

/*
 * positions[q * ANN_NEIGHBOURS + r] = leaves that a search for query q opens before the first that
 * holds its neighbour of rank r, with that one; 0 where there is no such neighbour.
 */
static void
leaf_positions(AnnCalibrator *calibrator, const float *rho, float bias, float *positions)
{
	const AnnCentroids *set = &calibrator->builder->set;
	float *scores = palloc_extended(sizeof(float) * set->num_centroids, MCXT_ALLOC_HUGE);
	float *sorted = palloc_extended(sizeof(float) * set->num_centroids, MCXT_ALLOC_HUGE);

	for (int q = 0; q < calibrator->num; q++)
	{
		const float *query = calibrator->queries + (Size) q * calibrator->dim;
		float norm = sqrtf(calibrator->norms[q]);

		CHECK_FOR_INTERRUPTS();
		ann_builder_products(calibrator->builder, query, 1, set->centroids, set->num_centroids,
							 calibrator->dim, scores, set->num_centroids);
		for (uint32 i = 0; i < set->num_centroids; i++)
			scores[i] = calibrator->ip ? -scores[i] - bias * norm * rho[i]
									   : set->centroid_bias[i] - 2 * scores[i];
		memcpy(sorted, scores, sizeof(float) * set->num_centroids);
		qsort(sorted, set->num_centroids, sizeof(float), ann_compare_floats);
		for (int r = 0; r < ANN_NEIGHBOURS; r++)
		{
			const AnnNeighbour *neighbour = &calibrator->neighbours[(Size) q * ANN_NEIGHBOURS + r];
			float score;

			positions[q * ANN_NEIGHBOURS + r] = 0;
			if (r >= calibrator->counts[q])
				continue;
			score = Min(scores[neighbour->leaf], scores[neighbour->other]);
			positions[q * ANN_NEIGHBOURS + r] = ann_rank_of(sorted, set->num_centroids, score);
		}
		ann_builder_advance(calibrator->builder, 1);
	}
	pfree(sorted);
	pfree(scores);
}

/* Leaves that cover a share of the neighbours of ranks [from, to). */
static float
leaves_for_ranks(AnnCalibrator *calibrator, const float *positions, int from, int to)
{
	float *values = palloc(sizeof(float) * calibrator->num * (to - from));
	int num = 0;
	float result;

	for (int q = 0; q < calibrator->num; q++)
		for (int r = from; r < Min(to, calibrator->counts[q]); r++)
			values[num++] = positions[q * ANN_NEIGHBOURS + r];
	result = quantile(values, num, COVERAGE);
	pfree(values);
	return Max(result, 1);
}

/* What the leaves' spread may weigh in their order under the inner product: all are tried. */
static const float biases[] = {0, 0.05f, 0.1f, 0.15f, 0.2f, 0.3f};
#define NUM_BIASES(calibrator) ((calibrator)->ip ? (int) lengthof(biases) : 1)

static void
calibrate_leaves(AnnCalibrator *calibrator, const float *rho, AnnCalibrationData *calibration)
{
	float *positions = palloc(sizeof(float) * calibrator->num * ANN_NEIGHBOURS);
	float at_100;

	calibration->leaves_at_10 = INFINITY;
	for (int i = 0; i < NUM_BIASES(calibrator); i++)
	{
		float leaves;

		leaf_positions(calibrator, rho, biases[i], positions);
		leaves = leaves_for_ranks(calibrator, positions, 0, TOP);
		if (leaves >= calibration->leaves_at_10)
			continue;
		calibration->leaves_at_10 = leaves;
		calibration->leaf_bias = biases[i];
		at_100 = leaves_for_ranks(calibrator, positions, ANN_NEIGHBOURS * 8 / 10, ANN_NEIGHBOURS);
		calibration->leaves_growth = log10(Max(at_100 / leaves, 1.1));
	}
	calibration->leaves_at_10 *= LEAVES_MARGIN;
	calibration->leaves_growth = Min(calibration->leaves_growth, 1.0f);
	pfree(positions);
}

static void
calibrate_bound(AnnCalibrator *calibrator, AnnCalibrationData *calibration, bool *table16)
{
	float *deviations = palloc(sizeof(float) * calibrator->num * TOP);
	int num = 0;
	double variance = 0;
	double table_variance = 0;

	for (int q = 0; q < calibrator->num; q++)
		for (int r = 0; r < Min(TOP, calibrator->counts[q]); r++)
		{
			const AnnNeighbour *neighbour = &calibrator->neighbours[(Size) q * ANN_NEIGHBOURS + r];

			if (!isfinite(neighbour->deviation) || !isfinite(neighbour->variance))
				continue;
			deviations[num++] = neighbour->deviation;
			variance += neighbour->variance;
			table_variance += (double) neighbour->table_error * neighbour->table_error;
		}
	if (num > 0)
	{
		double share =
			calibrator->builder->meta.dim > ANN_LONG_DIM ? BOUND_COVERAGE_LONG : BOUND_COVERAGE;

		calibration->z = Max(1, Min(6, quantile(deviations, num, share)));
		calibration->z_wide = Max(1, Min(6, quantile(deviations, num, WIDE_COVERAGE)));
	}
	*table16 = table_variance > TABLE_VARIANCE * variance;
	ereport(DEBUG1, (errmsg_internal("ann: bound %.2f sigma; a table of 8 bits adds %.3f of the "
									 "codes' variance",
									 calibration->z, table_variance / Max(variance, DBL_MIN))));
	pfree(deviations);
}

void
ann_calibrator_finish(AnnCalibrator *calibrator, const float *rho, AnnCalibrationData *calibration,
					  bool *table16)
{
	MemoryContext context = AllocSetContextCreate(calibrator->builder->context, "ann calibration",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	int measured = 0;

	memset(calibration, 0, sizeof(*calibration));
	calibration->z = 3;
	calibration->z_wide = 4;
	calibration->leaves_at_10 = Max(1, calibrator->builder->set.num_centroids / 20.0);
	calibration->leaves_growth = 0.3f;
	for (int q = 0; q < calibrator->num; q++)
	{
		qsort(calibrator->neighbours + (Size) q * ANN_NEIGHBOURS, calibrator->counts[q],
			  sizeof(AnnNeighbour), ann_compare_neighbours);
		measured += calibrator->counts[q] > 0;
	}
	calibration->queries = measured;
	ann_builder_phase(calibrator->builder, ANN_PHASE_CALIBRATE,
					  (double) calibrator->num * (NUM_BIASES(calibrator) +
												  (calibrator->builder->centroid_blocks != NULL)));
	if (measured > 0)
	{
		calibrate_leaves(calibrator, rho, calibration);
		calibrate_bound(calibrator, calibration, table16);
	}
	ann_centroids_calibrate(calibrator->builder, calibrator->queries, calibrator->num, rho,
							calibration);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
