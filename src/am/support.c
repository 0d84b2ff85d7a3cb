/*
 * support.c
 *	  Support function 1 of the operator classes: what the access method must know of a type and
 *	  metric; and the preparation of a row's elements for the codec.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "utils/rel.h"

#include "am/am.h"
#include "am/support.h"
#include "core/kernels.h"
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

static const AnnTypeSupport vector_l2 = {ANN_METRIC_L2, "vector",      VECTOR_MAX_DIM,
										 vector_dim,    vector_floats, ann_vector_l2};
static const AnnTypeSupport vector_ip = {ANN_METRIC_IP, "vector",      VECTOR_MAX_DIM,
										 vector_dim,    vector_floats, ann_vector_negative_ip};
static const AnnTypeSupport vector_cosine = {ANN_METRIC_COSINE, "vector",      VECTOR_MAX_DIM,
											 vector_dim,        vector_floats, ann_vector_cosine};
/* halfvec's distances are those of vector between the same floats (types/halfvec_ops.c). */
static const AnnTypeSupport halfvec_l2 = {ANN_METRIC_L2, "halfvec",      HALFVEC_MAX_DIM,
										  halfvec_dim,   halfvec_floats, ann_vector_l2};
static const AnnTypeSupport halfvec_ip = {ANN_METRIC_IP, "halfvec",      HALFVEC_MAX_DIM,
										  halfvec_dim,   halfvec_floats, ann_vector_negative_ip};
static const AnnTypeSupport halfvec_cosine = {ANN_METRIC_COSINE, "halfvec",      HALFVEC_MAX_DIM,
											  halfvec_dim,       halfvec_floats, ann_vector_cosine};

ANN_FUNCTION(ann_vector_l2_support);
ANN_FUNCTION(ann_vector_ip_support);
ANN_FUNCTION(ann_vector_cosine_support);
ANN_FUNCTION(ann_halfvec_l2_support);
ANN_FUNCTION(ann_halfvec_ip_support);
ANN_FUNCTION(ann_halfvec_cosine_support);

/* annivf_vector_l2_support(internal) returns internal: a pointer to the class's AnnTypeSupport. */
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

const AnnTypeSupport *
ann_support_get(Relation index)
{
	FmgrInfo *proc = index_getprocinfo(index, 1, ANN_SUPPORT_PROC);

	return (const AnnTypeSupport *) DatumGetPointer(FunctionCall1(proc, PointerGetDatum(NULL)));
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
	return dim;
}

/*
 * Rows whose squares overflow, or whose norm cannot be told from 0, are for the exact leaf: a code
 * could not say where they are. The limits leave room for sums over 16,000 dimensions.
 */
bool
ann_row_prepare(AnnMetric metric, int dim, const float *mean, const float *values, float *x)
{
	float scale = 1;
	float norm2;

	if (metric == ANN_METRIC_COSINE)
	{
		norm2 = ann_kernels->norm_squared(values, dim);
		if (!(norm2 > 1e-30f && norm2 < 1e30f))
			return false;
		scale = 1.0 / sqrt(norm2);
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
