/*
 * query.c
 *	  What the codec wants to know of a query: its coordinates, its table, the bounds per leaf.
 *
 * NOTES
 *	  Keys are in the metric's own unit, where the codec's estimates are linear: the squared
 *	  distance for L2; the negative inner product; 1 - cosine, which is half the squared L2 distance
 *	  of the normalised vectors. src/README, "The codec", derives what stands here:
 *
 *		L2		  est = |q'-c|^2 + b - 2<q',y>	  sd = 2 err min(sqrt est, |q'-c|) / sqrt(D-1)
 *		cosine	  all of that times a half
 *		product	  est = -<q,c> - <q,mean> + w b - <q,y>	  sd = err |q - w c| / sqrt(D-1)
 *		taxicab	  est = |q'-u|_1	  sd = err
 *		Hamming	  est = |q-u|_1	  sd = 0
 *		Jaccard	  est = 1 - <q,u> / (bits of q + b - <q,u>)	  sd = 0
 *
 *	  with q' the query less the mean (normalised first under cosine), y = s u the decoded residual,
 *	  or u the decoded row (core/absolute.h). Where residuals are those from the origin, c = 0.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "am/scan.h"
#include "am/sorted.h"

/* A query is normalised in double, so that any length but zero will do. */
static double
scale_of(const AnnMetricTraits *traits, const float *values, int dim)
{
	double norm2 = 0;

	if (!traits->normalised)
		return 1;
	for (int i = 0; i < dim; i++)
		norm2 += (double) values[i] * values[i];
	return norm2 > 0 ? 1 / sqrt(norm2) : 1;
}

float *
ann_query_vector(const AnnModel *model, const float *values)
{
	double scale = scale_of(model->traits, values, model->dim);
	float *vector = palloc0(sizeof(float) * ann_pq_padded_dim(&model->pq));
	float *row = palloc(sizeof(float) * model->dim);

	for (int i = 0; i < model->dim; i++)
		row[i] =
			model->form == ANN_CODE_IP ? values[i] : (float) (values[i] * scale) - model->mean[i];
	ann_model_rotate(model, row, 1, vector);
	pfree(row);
	return vector;
}

/* <q,u> of each codeword u (of the forms that add up differences: |q-u|_1); to be freed. */
static float *
float_table(const AnnModel *model, const float *vector)
{
	float *table = palloc(sizeof(float) * (Size) model->pq.num_blocks * ANN_CODEWORDS);

	if (model->form == ANN_CODE_L1)
		ann_l1_table(&model->pq, vector, table);
	else
		ann_pq_query_table(&model->pq, vector, table);
	return table;
}

/*
 * The table of <q,u> (taxicab: of |q-u|_1) and what bounds() makes of it. Rounding shifts each
 * entry by up to half a step, as good as at random: a variance of step^2 / 12 per code block.
 */
static void
make_table(AnnQuery *query, const AnnModel *model, float factor)
{
	int num_blocks = model->pq.num_blocks;
	Size entries = (Size) num_blocks * ANN_CODEWORDS;
	float *table = float_table(model, query->vector);
	float step;
	float base;

	query->low = palloc(entries);
	query->high = model->table_bits == 16 ? palloc(entries) : NULL;
	ann_pq_round_table(table, num_blocks, model->table_bits, query->low, query->high, &step, &base);
	pfree(table);
	query->bounds.step = factor * step;
	query->bounds.base = factor * base;
	query->bounds.var_table = query->bounds.step * query->bounds.step * num_blocks / 12;
}

/*
 * The table of a string of bits: how many bits of each nibble differ, or are set in both. Exact,
 * and so are the estimates. The query comes as it stands in SQL, not at length 1.
 */
static void
make_bits_table(AnnQuery *query, const AnnModel *model, const float *values)
{
	int num_blocks = model->pq.num_blocks;
	float *bits = palloc0(sizeof(float) * ann_pq_padded_dim(&model->pq));
	float *table;

	memcpy(bits, values, sizeof(float) * model->dim);
	table = float_table(model, bits);
	query->low = palloc((Size) num_blocks * ANN_CODEWORDS);
	ann_whole_table(table, num_blocks, query->low);
	query->bounds.step = 1;
	pfree(table);
	pfree(bits);
}

static inline double
square(double x)
{
	return x * x;
}

/* No estimate of the taxicab distance is above it. */
static double
greatest_sum(const AnnQuery *query, const AnnModel *model)
{
	double steps = (model->table_bits == 16 ? 65535.0 : 255.0) * model->pq.num_blocks;

	return query->bounds.base + query->bounds.step * steps;
}

void
ann_query_init(AnnQuery *query, const AnnModel *model, const float *values, float z)
{
	memset(query, 0, sizeof(*query));
	query->metric = model->metric;
	query->vector = ann_query_vector(model, values);
	query->from_origin = model->from_origin;
	query->origin_score =
		model->form == ANN_CODE_L2 ? ann_kernels->norm_squared(query->vector, model->dim) : 0;
	query->freedom = Max(model->dim - 1, 1);
	query->bounds.z = z;
	/* The errors of the float sums in est, which grow like the root of their length. */
	query->bounds.slack = FLT_EPSILON * (4 + sqrt(model->dim) / 4);
	switch (model->metric)
	{
		case ANN_METRIC_L2:
			query->bounds.weight_b = 1;
			query->bounds.var_slope = 4 / query->freedom;
			make_table(query, model, -2);
			break;
		case ANN_METRIC_COSINE:
			query->bounds.weight_b = 0.5;
			query->bounds.var_slope = 2 / query->freedom;
			make_table(query, model, -1);
			break;
		case ANN_METRIC_IP:
			for (int i = 0; i < model->dim; i++)
			{
				query->norm2 += (double) values[i] * values[i];
				query->offset -= (double) values[i] * model->mean[i];
			}
			query->bounds.var_cap = INFINITY;
			make_table(query, model, -1);
			break;
		case ANN_METRIC_L1:
			query->bounds.var_base = 1;
			query->bounds.var_cap = 1;
			make_table(query, model, 1);
			query->bounds.var_table += square(query->bounds.slack * greatest_sum(query, model));
			break;
		case ANN_METRIC_JACCARD:
			query->num_bits = ann_kernels->norm_squared(values, model->dim);
			make_bits_table(query, model, values);
			break;
		case ANN_METRIC_HAMMING:
			make_bits_table(query, model, values);
			break;
	}
}

/*
 * One weight a query, so that keys of different leaves compare. A weight of 1 makes the estimate
 * that of L2, right for rows about as long as the query; the ratio says how long the rows near it
 * are.
 */
void
ann_query_set_weight(AnnQuery *query, double *ratios, int num)
{
	query->weight = 0;
	if (num > 0)
	{
		qsort(ratios, num, sizeof(double), ann_compare_doubles);
		query->weight = Max(ratios[num / 2], 0);
	}
	query->bounds.weight_b = query->weight;
}

void
ann_query_bounds(const AnnQuery *query, float score, float norm2, AnnBoundParams *bounds)
{
	*bounds = query->bounds;
	if (query->from_origin)
	{
		score = query->origin_score;
		norm2 = 0;
	}
	switch (query->metric)
	{
		case ANN_METRIC_L2:
			bounds->g = score;
			bounds->var_cap = 4 * score / query->freedom;
			break;
		case ANN_METRIC_COSINE:
			bounds->g = score / 2;
			bounds->var_cap = score / query->freedom;
			break;
		case ANN_METRIC_IP:
			bounds->g = query->offset - score;
			bounds->var_base = Max(query->norm2 - 2 * query->weight * score +
									   query->weight * query->weight * norm2,
								   0) /
							   query->freedom;
			break;
		default: /* absolute codes know nothing of leaves */
			break;
	}
}

double
ann_query_key(AnnMetric metric, double distance)
{
	return metric == ANN_METRIC_L2 ? distance * distance : distance;
}

double
ann_query_distance(AnnMetric metric, double key)
{
	return metric == ANN_METRIC_L2 ? sqrt(Max(key, 0)) : key;
}

bool
ann_query_orders_nothing(const AnnTypeSupport *support, const float *query, int dim)
{
	if (!ann_metric_traits(support->metric)->needs_norm)
		return false;
	for (int i = 0; i < dim; i++)
		if (query[i] != 0)
			return false;
	return true;
}

/* The executor's value may not live as long as the scan. */
float *
ann_query_copy(const AnnTypeSupport *support, Datum argument, int *dim)
{
	struct varlena *value = PG_DETOAST_DATUM(argument);
	float *query;
	const float *floats;

	*dim = support->dim(value);
	query = palloc(sizeof(float) * *dim);
	floats = support->floats(value, query);
	if (floats != query)
		memcpy(query, floats, sizeof(float) * *dim);
	if (PointerGetDatum(value) != argument)
		pfree(value);
	return query;
}
