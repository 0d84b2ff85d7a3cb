/*
 * trainer.c
 *	  From a sample of the rows to the model: mean, centroids, rotation, codebook.
 *
 * NOTES
 *	  Sizes are chosen here. Automatic leaves: one per 100 rows (of over 256 dimensions: 60), but at
 *	  least 16 sampled rows to each, as a centroid that few rows speak for is worth little; less
 *	  memory therefore means fewer and larger leaves, never an error. The sample has 48 rows per
 *	  leaf where memory allows.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "am/build.h"
#include "core/bf16.h"
#include "core/kernels.h"

#define ROWS_PER_LEAF 100
#define ROWS_PER_WIDE_LEAF 60
#define SAMPLE_PER_LEAF 48
#define MIN_SAMPLE_PER_LEAF 16
#define MIN_SAMPLE 10000
/* Rows that rotation and codebook are trained on, at most. */
#define CODES_SAMPLE 16384
#define RESIDUALS_BATCH 256
/* Numbers rounded between two looks for interrupts. */
#define ROUNDED 65536
#define DEFAULT_ITERATIONS 10
#define REFINE_ITERATIONS 2
#define PSEUDO_QUERIES 200

static int
iterations(const AnnBuilder *builder)
{
	return builder->options.training_iterations > 0 ? builder->options.training_iterations
													: DEFAULT_ITERATIONS;
}

/*
 * Up to 32 dimensions a code of one each costs nothing; 2 to 256 and 4 beyond are design decisions
 * backed by measurement (src/README, "The codec"), as is one for absolute codes. From 1,920
 * (absolute: 480) on, as many as keep a block of 32 codes of 4 bits on one page; half as many for
 * 8.
 */
int
ann_builder_auto_width(int dim, int layers, bool is_absolute)
{
	int max_blocks = (ANN_PAGE_PAYLOAD - 472) / ANN_CODEWORDS / layers;
	int least = (dim + max_blocks - 1) / max_blocks;

	if (dim <= 32 || is_absolute)
		return least;
	return Max(dim <= ANN_LONG_DIM ? 2 : 4, least);
}

static uint32
choose_width(const AnnBuilder *builder, int layers)
{
	const AnnMetricTraits *traits = ann_metric_traits(builder->meta.metric);
	int wanted = builder->options.dimensions_per_block;

	if (traits->is_bits)
	{
		if (wanted > 0 && wanted != ANN_BITS_WIDTH)
			ereport(NOTICE, (errmsg("codes of bits have %d dimensions per block", ANN_BITS_WIDTH)));
		return ANN_BITS_WIDTH;
	}
	if (wanted > 0)
		return Min((uint32) wanted, builder->meta.dim);
	return (uint32) ann_builder_auto_width(builder->meta.dim, layers,
										   ann_form_is_absolute(traits->form));
}

/* The size of the code, and what it is of, as the options say. */
static void
choose_code(AnnBuilder *builder)
{
	const AnnOptions *options = &builder->options;
	AnnMetaData *meta = &builder->meta;
	AnnPq pq;

	meta->quantizer = Max(options->quantizer, ANN_QUANTIZER_PQ);
	if (options->quantizer == ANN_QUANTIZER_FLAT)
		meta->layers = meta->width = 0;
	else if (options->quantizer == ANN_QUANTIZER_SQ8)
	{
		meta->layers = 2;
		meta->width = 1;
	}
	else
	{
		meta->layers = options->nbits == 8 ? 2 : 1;
		meta->width = choose_width(builder, meta->layers);
	}
	ann_pq_shape(&pq, meta->quantizer, meta->dim, meta->width, meta->layers);
	meta->num_blocks = pq.num_blocks;
	if (options->residual_quantization == ANN_SWITCH_OFF &&
		!ann_form_is_absolute(ann_metric_traits(meta->metric)->form))
		meta->flags |= ANN_META_FROM_ORIGIN;
	meta->anisotropic_threshold = (float) options->anisotropic_threshold;
}

/*
 * Of an automatic number of leaves. Where the codes of a leaf take long to score, leaves are
 * smaller.
 */
static double
rows_per_leaf(int dim)
{
	return dim > ANN_LONG_DIM ? ROWS_PER_WIDE_LEAF : ROWS_PER_LEAF;
}

static AnnKmeansParams
kmeans_params(AnnBuilder *builder, int dim, double leaves)
{
	AnnKmeansParams params = {
		.dim = dim,
		.num_centroids = leaves,
		.iterations = iterations(builder),
		.refine_iterations = REFINE_ITERATIONS,
		.seed = builder->options.seed,
		.watch = &builder->watch,
	};

	return params;
}

/* Workspace of k-means and of what dissolves leaves after it, which come one after the other. */
static Size
centroids_workspace(const AnnBuilder *builder, const AnnKmeansParams *params, size_t num_rows)
{
	Size bytes = ann_kmeans_workspace_size(params, num_rows);

	if (builder->options.min_partition_size > 0)
		bytes =
			Max(bytes, ann_dissolve_workspace_size(params->dim, params->num_centroids, num_rows));
	return bytes;
}

/* Leaves that so many rows, so many of them sampled, and so much memory make. */
static double
choose_leaves(AnnBuilder *builder, int dim, double rows, double sampled)
{
	double leaves = builder->options.num_leaves;
	double most = builder->memory / 4.0 / (2.0 * dim * sizeof(float));

	if (leaves > 0)
		leaves = Min(leaves, sampled);
	else
		leaves = Min(rows / rows_per_leaf(dim), sampled / MIN_SAMPLE_PER_LEAF);
	return floor(Max(1, Min(leaves, Min(most, ANN_MAX_LEAVES))));
}

/* Rows to sample: as wanted, or as many as fit into 60 % of the memory with the training's
 * workspace. */
static size_t
choose_sample_size(AnnBuilder *builder, int dim)
{
	double rows = builder->estimated_rows;
	double leaves = builder->options.num_leaves > 0 ? builder->options.num_leaves
													: Max(1, rows / rows_per_leaf(dim));
	double wanted = builder->options.training_sample_size > 0
						? builder->options.training_sample_size
						: Max(MIN_SAMPLE, leaves * SAMPLE_PER_LEAF);
	double sampled = Max(1, Min(wanted, rows * 1.1 + 100));

	for (;;)
	{
		AnnKmeansParams params =
			kmeans_params(builder, dim, choose_leaves(builder, dim, rows, sampled));
		double bytes = sampled * (sizeof(float) * dim + sizeof(AnnTid)) +
					   centroids_workspace(builder, &params, sampled) +
					   ann_centroids_size(dim, params.num_centroids);

		if (bytes <= builder->memory * 0.6 || sampled <= 64)
			break;
		sampled = floor(sampled * 0.95);
	}
	if (builder->options.training_sample_size == 0 && sampled < Min(wanted, rows) / 2)
		ereport(NOTICE, (errmsg("training on %.0f of %.0f rows wanted, as maintenance_work_mem is "
								"small",
								sampled, Min(wanted, rows)),
						 errhint("More maintenance_work_mem gives better leaves.")));
	return sampled;
}

/* Takes the mean off the sample; returns it: zero for strings of bits, which stay as they are. */
static float *
center_sample(AnnBuilder *builder, int dim)
{
	AnnSample *sample = &builder->sample;
	float *mean = ann_builder_alloc(builder, sizeof(float) * dim);
	double *sums;

	if (ann_metric_traits(builder->meta.metric)->is_bits)
		return mean;
	sums = ann_builder_alloc(builder, sizeof(double) * dim);
	for (size_t i = 0; i < sample->num; i++)
	{
		CHECK_FOR_INTERRUPTS();
		ann_kernels->add(sample->rows + i * dim, dim, sums);
	}
	for (int d = 0; d < dim; d++)
		mean[d] = sums[d] / sample->num;
	for (size_t i = 0; i < sample->num; i++)
	{
		CHECK_FOR_INTERRUPTS();
		(void) ann_kernels->subtract(sample->rows + i * dim, mean, dim, sample->rows + i * dim);
	}
	pfree(sums);
	return mean;
}

/*
 * Rounds the centroids to bf16, which halves the tree and costs no accuracy, as residuals are taken
 * against the rounded value; kept as floats where that would raise the rows' mean squared residual
 * by over 1 %. As a centroid is the mean of its rows, rounding adds the square of what it is moved
 * by.
 */
static void
round_centroids(AnnBuilder *builder, int dim, double energy)
{
	Size num = (Size) builder->set.num_centroids * dim;
	float *centroids = builder->set.centroids;
	double moved = 0;

	for (Size i = 0; i < num; i++)
	{
		double difference = centroids[i] - ann_bf16_to_float(ann_bf16_from_float(centroids[i]));

		if (i % ROUNDED == 0)
			CHECK_FOR_INTERRUPTS();
		moved += difference * difference;
	}
	if (!(moved / builder->set.num_centroids <= energy * 0.01))
	{
		builder->meta.flags |= ANN_META_F32_CENTROIDS;
		return;
	}
	for (Size i = 0; i < num; i++)
	{
		if (i % ROUNDED == 0)
			CHECK_FOR_INTERRUPTS();
		centroids[i] = ann_bf16_to_float(ann_bf16_from_float(centroids[i]));
	}
	ann_centroids_rebias(&builder->set);
}

/* Rows of the sample and those that were held out of it, which stand behind them. */
static size_t
drawn_rows(const AnnSample *sample)
{
	return Min((size_t) sample->seen, sample->room);
}

/*
 * Dissolves the leaves that would hold fewer rows of the table than option min_partition_size says,
 * as far as all rows drawn tell: of a table that was sampled whole it is the rows themselves.
 */
static void
dissolve_leaves(AnnBuilder *builder, void *workspace)
{
	AnnSample *sample = &builder->sample;
	size_t drawn = drawn_rows(sample);
	/* Where the sample has room left, all rows of the table passed by. */
	double rows = drawn < sample->room ? sample->seen : Max(builder->estimated_rows, sample->seen);
	double min_rows = ceil(builder->options.min_partition_size / rows * drawn);

	if (builder->options.min_partition_size == 0)
		return;
	if (ann_centroids_dissolve(&builder->set, sample->rows, drawn, Min(min_rows, drawn),
							   &builder->watch, workspace) != ANN_OK)
		elog(ERROR, "training was interrupted");
}

/* Alone, or by a team. */
static void
run_kmeans(AnnBuilder *builder, AnnKmeansParams *params, void *workspace)
{
	AnnSample *sample = &builder->sample;
	AnnTeam *team = ann_team_begin(builder, params, &builder->set);

	if (team == NULL)
		ann_centroids_init(
			&builder->set,
			ann_builder_alloc(builder, ann_centroids_size(params->dim, params->num_centroids)),
			params->dim, params->num_centroids);
	if (ann_kmeans_train(params, sample->rows, sample->num, &builder->set, workspace) != ANN_OK)
		elog(ERROR, "training was interrupted");
	if (team != NULL)
		ann_team_end(team, &builder->set);
}

static void
train_centroids(AnnBuilder *builder, int dim)
{
	AnnSample *sample = &builder->sample;
	double rows = Max(builder->estimated_rows, sample->num);
	double leaves = choose_leaves(builder, dim, rows, sample->num);
	AnnKmeansParams params = kmeans_params(builder, dim, leaves);
	void *workspace =
		ann_builder_alloc(builder, centroids_workspace(builder, &params, drawn_rows(sample)));

	if ((size_t) builder->options.num_leaves > sample->num)
		ereport(WARNING, (errmsg("%d leaves cannot be trained on %zu rows",
								 builder->options.num_leaves, sample->num),
						  errhint("Raise training_sample_size or lower num_leaves.")));
	ann_builder_phase(builder, ANN_PHASE_CENTROIDS, 0);
	run_kmeans(builder, &params, workspace);
	dissolve_leaves(builder, workspace);
	ann_builder_advance(builder, 0);
	pfree(workspace);
}

/*
 * The leaves and squared distances of a batch of rows; where rows have a second leaf, every other
 * row gets that one as its leaf, and keeps the distance to the first.
 */
static void
assign_residuals(AnnBuilder *builder, const float *rows, int num, AnnNearLeaf *near, uint32 *leaf,
				 float *distance, void *workspace)
{
	int dim = builder->meta.dim;
	float *scratch;

	if (!(builder->meta.soar_lambda > 0))
	{
		(void) ann_centroids_assign(&builder->set, rows, dim, num, leaf, distance, &builder->watch,
									workspace);
		return;
	}
	scratch = palloc(sizeof(float) * dim);
	(void) ann_centroids_near(&builder->set, rows, dim, num, near, &builder->watch, workspace);
	for (int i = 0; i < num; i++)
	{
		const AnnNearLeaf *list = near + (Size) i * ANN_NEAR_LEAVES;
		uint32 second = ANN_NO_LEAF;

		if (i % 2 == 1)
			second = ann_soar_second(&builder->set, builder->meta.soar_lambda,
									 rows + (Size) i * dim, list, scratch);
		leaf[i] = second != ANN_NO_LEAF ? second : list->leaf;
		distance[i] = list->distance;
	}
	pfree(scratch);
}

/* centroid: NULL where residuals are those from the origin. */
static void
take_unit_residual(float *row, const float *centroid, int dim)
{
	float norm;

	norm = sqrtf(centroid == NULL ? ann_kernels->norm_squared(row, dim)
								  : ann_kernels->subtract(row, centroid, dim, row));
	for (int d = 0; d < dim; d++)
		row[d] = norm > 0 ? row[d] / norm : 0;
}

/*
 * Cuts the sample down to the rows that codes are trained on and replaces them by their unit
 * residuals (not where codes are absolute); where rows have a second leaf, half of them are those
 * against its centroid. Returns the mean squared residual, against first leaves.
 */
static double
take_residuals(AnnBuilder *builder)
{
	AnnSample *sample = &builder->sample;
	int dim = builder->meta.dim;
	void *workspace = ann_builder_alloc(
		builder, ann_centroids_assign_workspace_size(&builder->set, RESIDUALS_BATCH));
	AnnNearLeaf *near = palloc(sizeof(AnnNearLeaf) * ANN_NEAR_LEAVES * RESIDUALS_BATCH);
	uint32 leaf[RESIDUALS_BATCH];
	float distance[RESIDUALS_BATCH];
	bool is_absolute = ann_form_is_absolute(ann_metric_traits(builder->meta.metric)->form);
	bool from_origin = (builder->meta.flags & ANN_META_FROM_ORIGIN) != 0;
	double energy = 0;

	sample->num = Min(sample->num, CODES_SAMPLE);
	ann_builder_phase(builder, ANN_PHASE_RESIDUALS, sample->num);
	for (size_t first = 0; first < sample->num; first += RESIDUALS_BATCH)
	{
		float *rows = sample->rows + first * dim;
		int num = Min(sample->num - first, (size_t) RESIDUALS_BATCH);

		CHECK_FOR_INTERRUPTS();
		assign_residuals(builder, rows, num, near, leaf, distance, workspace);
		for (int i = 0; i < num; i++)
		{
			energy += distance[i];
			if (!is_absolute)
				take_unit_residual(
					rows + (Size) i * dim,
					from_origin ? NULL : builder->set.centroids + (Size) leaf[i] * dim, dim);
		}
		ann_builder_advance(builder, num);
	}
	pfree(near);
	pfree(workspace);
	return energy / Max(sample->num, 1);
}

/* The codebook, of what the sample holds by now; that of strings of bits is what it always is. */
static void
train_codebook(AnnBuilder *builder)
{
	AnnModel *model = builder->model;
	AnnPq *pq = &model->pq;
	void *workspace;

	pq->codebook = ann_builder_alloc(
		builder, sizeof(float) * ann_pq_codebook_floats(pq->num_blocks, pq->width));
	pq->bias = ann_builder_alloc(builder, sizeof(float) * ann_pq_bias_floats(pq->num_blocks));
	if (model->traits->is_bits)
	{
		ann_bits_codebook(pq);
		return;
	}
	if (ann_model_is_flat(model))
		return;
	ann_builder_phase(builder, ANN_PHASE_CODES, 0);
	workspace = ann_builder_alloc(builder, ann_pq_train_workspace_size(pq, builder->sample.num));
	if (ann_pq_train(pq, builder->sample.rows, builder->sample.num, iterations(builder),
					 builder->options.seed, &builder->watch, workspace) != ANN_OK)
		elog(ERROR, "training was interrupted");
	ann_builder_advance(builder, 0);
	pfree(workspace);
}

/* The model with everything but its calibration. */
static void
train_codes(AnnBuilder *builder, float *mean)
{
	AnnMetaData *meta = &builder->meta;
	AnnModel *model = ann_builder_alloc(builder, sizeof(AnnModel));

	meta->levels = 1;
	meta->num_leaves = builder->set.num_centroids;
	meta->tid_bytes = sizeof(AnnTid);
	meta->factor_bytes = sizeof(AnnFactors);
	ann_model_numbers(model, meta);
	ann_model_derive(model);
	model->mean = mean;
	model->rotation = builder->rotation;
	builder->model = model;
	train_codebook(builder);
}

/* Holds pseudo-queries out of the training where the sample can spare them, and copies them. */
static void
hold_out_queries(AnnBuilder *builder, int dim)
{
	AnnSample *sample = &builder->sample;
	int num = Min(PSEUDO_QUERIES, sample->num);

	if (sample->num > 1)
		ann_sample_hold_out(sample, dim, Min((size_t) num, sample->num - 1), builder->options.seed);
	builder->num_queries = num;
	builder->queries = ann_builder_alloc(builder, sizeof(float) * dim * Max(num, 1));
	builder->query_tids = ann_builder_alloc(builder, sizeof(AnnTid) * Max(num, 1));
	memcpy(builder->queries, sample->rows + (sample->num - num) * dim, sizeof(float) * dim * num);
	memcpy(builder->query_tids, sample->tids + (sample->num - num), sizeof(AnnTid) * num);
	if (sample->num >= 20 * PSEUDO_QUERIES)
		sample->num -= num;
}

bool
ann_trainer_run(AnnBuilder *builder, double min_rows)
{
	AnnMetaData *meta = &builder->meta;
	float *mean;
	double energy;

	ann_builder_phase(builder, ANN_PHASE_COUNT, 0);
	builder->estimated_rows = builder->source->count(builder->source);
	if (ann_builder_adopt(builder))
		return true;
	if (meta->dim == 0)
		return false; /* no row with a value has been seen */
	ann_sample_draw(builder, choose_sample_size(builder, meta->dim));
	if (builder->sample.num == 0 || Max(builder->estimated_rows, builder->sample.seen) < min_rows)
		return false;

	mean = center_sample(builder, meta->dim);
	hold_out_queries(builder, meta->dim);
	choose_code(builder);
	meta->trained_rows = builder->sample.num;
	train_centroids(builder, meta->dim);
	ann_soar_train(builder, mean);
	energy = take_residuals(builder);
	ann_builder_rotate(builder);
	round_centroids(builder, meta->dim, energy);
	train_codes(builder, mean);
	ann_centroids_train(builder);
	ann_sample_free(&builder->sample);
	builder->calibrator =
		ann_calibrator_create(builder, builder->queries, builder->query_tids, builder->num_queries);
	return true;
}
