/*
 * support.c
 *	  Support function 1 of the operator classes: what the access method must know of a type and
 *	  metric; and the preparation of a row's elements for the codec.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "am/am.h"
#include "am/support.h"
#include "core/kernels.h"
#include "store/page.h"
#include "types/ball.h"
#include "types/bit.h"
#include "types/halfvec.h"
#include "types/vector.h"

static int
vector_dim(const struct varlena *value)
{
	return ((const Vector *) value)->dim;
}

static const float *
vector_floats(const struct varlena *value, float *scratch)
{
	return ((const Vector *) value)->x;
}

static int
halfvec_dim(const struct varlena *value)
{
	return ((const HalfVector *) value)->dim;
}

static const float *
halfvec_floats(const struct varlena *value, float *scratch)
{
	const HalfVector *vector = (const HalfVector *) value;

	ann_kernels->half_to_float(vector->x, vector->dim, scratch);
	return scratch;
}

static int
bit_dim(const struct varlena *value)
{
	return VARBITLEN((const VarBit *) value);
}

static const float *
bit_floats(const struct varlena *value, float *scratch)
{
	ann_bit_floats((const VarBit *) value, scratch);
	return scratch;
}

#define SUPPORT_OF_VECTOR(of_metric, of_distance, of_within)                                       \
	{                                                                                              \
		.metric = (of_metric), .sizes = "vector dimensions", .max_dim = VECTOR_MAX_DIM,            \
		.dim = vector_dim, .floats = vector_floats, .distance = (of_distance),                     \
		.within = (of_within)                                                                      \
	}
/* halfvec's distances are those of vector between the same floats (types/halfvec_ops.c). */
#define SUPPORT_OF_HALFVEC(of_metric, of_distance, of_within)                                      \
	{                                                                                              \
		.metric = (of_metric), .sizes = "halfvec dimensions", .max_dim = HALFVEC_MAX_DIM,          \
		.dim = halfvec_dim, .floats = halfvec_floats, .distance = (of_distance),                   \
		.within = (of_within)                                                                      \
	}
/* The type has no limit; the codec has that of the vectors which its functions show rows as. */
#define SUPPORT_OF_BIT(of_metric, of_distance, of_within)                                          \
	{                                                                                              \
		.metric = (of_metric), .sizes = "bit lengths", .max_dim = ANN_MAX_DIM, .dim = bit_dim,     \
		.floats = bit_floats, .distance = (of_distance), .within = (of_within)                     \
	}

static const AnnTypeSupport vector_l2 =
	SUPPORT_OF_VECTOR(ANN_METRIC_L2, ann_vector_l2, ann_l2_within);
static const AnnTypeSupport vector_ip =
	SUPPORT_OF_VECTOR(ANN_METRIC_IP, ann_vector_negative_ip, ann_ip_within);
static const AnnTypeSupport vector_cosine =
	SUPPORT_OF_VECTOR(ANN_METRIC_COSINE, ann_vector_cosine, ann_cosine_within);
static const AnnTypeSupport vector_l1 =
	SUPPORT_OF_VECTOR(ANN_METRIC_L1, ann_vector_l1, ann_l1_within);
static const AnnTypeSupport halfvec_l2 =
	SUPPORT_OF_HALFVEC(ANN_METRIC_L2, ann_vector_l2, ann_halfvec_l2_within);
static const AnnTypeSupport halfvec_ip =
	SUPPORT_OF_HALFVEC(ANN_METRIC_IP, ann_vector_negative_ip, ann_halfvec_ip_within);
static const AnnTypeSupport halfvec_cosine =
	SUPPORT_OF_HALFVEC(ANN_METRIC_COSINE, ann_vector_cosine, ann_halfvec_cosine_within);
static const AnnTypeSupport halfvec_l1 =
	SUPPORT_OF_HALFVEC(ANN_METRIC_L1, ann_vector_l1, ann_halfvec_l1_within);
static const AnnTypeSupport bit_hamming =
	SUPPORT_OF_BIT(ANN_METRIC_HAMMING, ann_bit_hamming, ann_hamming_within);
static const AnnTypeSupport bit_jaccard =
	SUPPORT_OF_BIT(ANN_METRIC_JACCARD, ann_bit_jaccard, ann_jaccard_within);

ANN_FUNCTION(ann_vector_l2_support);
ANN_FUNCTION(ann_vector_ip_support);
ANN_FUNCTION(ann_vector_cosine_support);
ANN_FUNCTION(ann_vector_l1_support);
ANN_FUNCTION(ann_halfvec_l2_support);
ANN_FUNCTION(ann_halfvec_ip_support);
ANN_FUNCTION(ann_halfvec_cosine_support);
ANN_FUNCTION(ann_halfvec_l1_support);
ANN_FUNCTION(ann_bit_hamming_support);
ANN_FUNCTION(ann_bit_jaccard_support);

/*
 * annivf_vector_l2_support(internal) returns internal: a pointer to the class's AnnTypeSupport. It
 * tells by its name alone what a class is about (ann_support_of).
 */
Datum
ann_vector_l2_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&vector_l2);
}

/* The same for inner product. */
Datum
ann_vector_ip_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&vector_ip);
}

/* The same for cosine. */
Datum
ann_vector_cosine_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&vector_cosine);
}

/* The same for the taxicab distance. */
Datum
ann_vector_l1_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&vector_l1);
}

/* annivf_halfvec_l2_support(internal) returns internal: the same for halfvec. */
Datum
ann_halfvec_l2_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&halfvec_l2);
}

/* The same for halfvec and inner product. */
Datum
ann_halfvec_ip_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&halfvec_ip);
}

/* The same for halfvec and cosine. */
Datum
ann_halfvec_cosine_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&halfvec_cosine);
}

/* The same for halfvec and the taxicab distance. */
Datum
ann_halfvec_l1_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&halfvec_l1);
}

/* annivf_bit_hamming_support(internal) returns internal: the same for bit. */
Datum
ann_bit_hamming_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&bit_hamming);
}

/* The same for bit and the Jaccard distance. */
Datum
ann_bit_jaccard_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&bit_jaccard);
}

static const struct
{
	PGFunction function;
	const AnnTypeSupport *support;
} ours[] = {
	{ann_vector_l2_support, &vector_l2},           {ann_vector_ip_support, &vector_ip},
	{ann_vector_cosine_support, &vector_cosine},   {ann_vector_l1_support, &vector_l1},
	{ann_halfvec_l2_support, &halfvec_l2},         {ann_halfvec_ip_support, &halfvec_ip},
	{ann_halfvec_cosine_support, &halfvec_cosine}, {ann_halfvec_l1_support, &halfvec_l1},
	{ann_bit_hamming_support, &bit_hamming},       {ann_bit_jaccard_support, &bit_jaccard},
};

/*
 * A class of somebody else's may name any function: it is not called before it is known to be ours.
 */
const AnnTypeSupport *
ann_support_of(const FmgrInfo *function)
{
	for (int i = 0; i < (int) lengthof(ours); i++)
		if (ours[i].function == function->fn_addr)
			return ours[i].support;
	return NULL;
}

const AnnTypeSupport *
ann_support_of_within(const FmgrInfo *function)
{
	for (int i = 0; i < (int) lengthof(ours); i++)
		if (ours[i].support->within == function->fn_addr)
			return ours[i].support;
	return NULL;
}

const AnnTypeSupport *
ann_support_of_search(Form_pg_amop amop)
{
	FmgrInfo function;

	if (amop->amopstrategy != ANN_WITHIN_STRATEGY || amop->amoppurpose != AMOP_SEARCH ||
		get_typtype(amop->amoprighttype) != TYPTYPE_COMPOSITE)
		return NULL;
	fmgr_info(get_opcode(amop->amopopr), &function);
	return ann_support_of_within(&function);
}

const AnnTypeSupport *
ann_support_get(Relation index)
{
	const AnnTypeSupport *support = ann_support_of(index_getprocinfo(index, 1, ANN_SUPPORT_PROC));

	if (support == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
						errmsg("operator class of index \"%s\" has no support function of annivf",
							   RelationGetRelationName(index)),
						errhint("amvalidate() says what is wrong with an operator class.")));
	return support;
}

/* That of bit varying, which comes as bit, is only the greatest length. */
int
ann_column_dim(Relation index)
{
	Form_pg_attribute column = TupleDescAttr(RelationGetDescr(index), 0);

	return column->atttypid == VARBITOID ? 0 : Max(column->atttypmod, 0);
}

const char *
ann_meta_misfit(Relation index, const AnnMetaData *meta)
{
	int dim = ann_column_dim(index);

	if (meta->metric != ann_support_get(index)->metric)
		return "the metric is not that of the operator class";
	if (dim > 0 && meta->dim != (uint32) dim)
		return "the dimensions are not those of the column";
	return NULL;
}

void
ann_index_meta(Relation index, AnnMetaData *meta)
{
	const char *misfit;

	ann_meta_read(index, meta);
	misfit = ann_meta_misfit(index, meta);
	if (misfit != NULL)
		ann_page_corrupted(index, ANN_META_BLKNO, misfit);
}

int
ann_value_dim(const AnnTypeSupport *support, const struct varlena *value, int expected)
{
	int dim = support->dim(value);

	if (expected > 0 && dim != expected)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("expected %d dimensions, not %d", expected, dim),
						errhint("All values of an indexed column must have the same number of "
								"dimensions.")));
	/* strings of bits may have none, or more than an index takes */
	if (dim < 1)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("value must have at least 1 dimension for annivf index")));
	if (dim > support->max_dim)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("value cannot have more than %d dimensions for annivf index",
							   support->max_dim)));
	return dim;
}

void
ann_check_elements(const AnnTypeSupport *support, const float *values, int dim)
{
	for (int d = 0; ann_metric_traits(support->metric)->is_bits && d < dim; d++)
		if (values[d] != 0 && values[d] != 1)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION), errmsg("the index is over strings of bits"),
					 errhint("A vector in their place has a 0 or 1 for each bit.")));
}

/*
 * Rows whose squares overflow, or whose norm cannot be told from 0, are for the exact leaf: a code
 * could not say where they are. The limits leave room for sums over 16,000 dimensions.
 */
bool
ann_row_prepare(AnnMetric metric, int dim, const float *mean, const float *values, float *x)
{
	const AnnMetricTraits *traits = ann_metric_traits(metric);
	float scale = 1;
	float norm2;

	if (traits->normalised)
	{
		norm2 = ann_kernels->norm_squared(values, dim);
		if (norm2 > 1e-30f && norm2 < 1e30f)
			scale = 1.0 / sqrt(norm2);
		else if (traits->needs_norm)
			return false;
	}
	if (mean != NULL)
		for (int i = 0; i < dim; i++)
			x[i] = values[i] * scale - mean[i];
	else
		for (int i = 0; i < dim; i++)
			x[i] = values[i] * scale;
	norm2 = ann_kernels->norm_squared(x, dim);
	if (!(norm2 < 1e30f))
		return false;
	if (norm2 < 1e-30f)
		for (int i = 0; i < dim; i++)
			if (x[i] != 0)
				return false;
	return true;
}
