/*
 * pq.c
 *	  The quantisers: encoding with factors, decoding, rounding of query tables. Training is in
 *	  pq_train.c.
 */
#include "core/pq.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/absolute.h"
#include "core/anisotropic.h"
#include "core/bf16.h"
#include "core/kernels.h"

/* Lower limit of <r,u> in the scale, as a share of |r| |u| (pq.h). */
#define SCALE_GUARD .2

void
ann_pq_shape(AnnPq *pq, AnnQuantizer quantizer, int dim, int width, int layers)
{
	pq->quantizer = quantizer;
	pq->dim = dim;
	pq->width = width;
	pq->layers = layers;
	pq->num_blocks = quantizer == ANN_QUANTIZER_FLAT ? 0 : layers * ((dim + width - 1) / width);
	pq->weight = 0;
}

void
ann_pq_query_table(const AnnPq *pq, const float *query, float *table)
{
	int blocks = ann_pq_layer_blocks(pq);

	for (int layer = 0; layer < pq->layers; layer++)
		ann_kernels->query_table(query,
								 pq->codebook + layer * ann_pq_codebook_floats(blocks, pq->width),
								 blocks, pq->width, table + layer * ann_pq_bias_floats(blocks));
}

/* Sums the codewords of layers [0, layers) into out: dim floats. */
static void
decode_layers(const AnnPq *pq, const uint8_t *codes, int layers, float *out)
{
	int blocks = ann_pq_layer_blocks(pq);

	memset(out, 0, (size_t) pq->dim * sizeof(float));
	for (int m = 0; m < layers * blocks; m++)
	{
		const float *codeword = pq->codebook + ann_pq_codebook_floats(m, pq->width) + codes[m];
		int first = m % blocks * pq->width;
		int num = pq->dim - first < pq->width ? pq->dim - first : pq->width;

		for (int d = 0; d < num; d++)
			out[first + d] += codeword[d * ANN_CODEWORDS];
	}
}

void
ann_pq_decode(const AnnPq *pq, const uint8_t *codes, float *out)
{
	decode_layers(pq, codes, pq->layers, out);
}

/*
 * Levels are uniform, so the nearest of the coarse ones and then of the fine ones is the best pair.
 */
static void
encode_levels(const AnnPq *pq, const float *x, uint8_t *codes, float *table, float *rest)
{
	int blocks = ann_pq_layer_blocks(pq);

	ann_kernels->query_table(x, pq->codebook, blocks, pq->width, table);
	ann_kernels->encode(table, pq->bias, blocks, codes);
	decode_layers(pq, codes, 1, rest);
	ann_kernels->subtract(x, rest, pq->dim, rest);
	ann_kernels->query_table(rest, pq->codebook + ann_pq_codebook_floats(blocks, pq->width), blocks,
							 pq->width, table);
	ann_kernels->encode(table, pq->bias + ann_pq_bias_floats(blocks), blocks, codes + blocks);
}

size_t
ann_pq_encode_scratch_floats(const AnnPq *pq)
{
	return ann_pq_bias_floats(pq->num_blocks) + ann_pq_padded_dim(pq);
}

void
ann_pq_encode(const AnnPq *pq, const float *x, uint8_t *codes, float *scratch)
{
	if (pq->quantizer == ANN_QUANTIZER_SQ8)
	{
		encode_levels(pq, x, codes, scratch, scratch + ann_pq_bias_floats(pq->num_blocks));
		return;
	}
	ann_pq_query_table(pq, x, scratch);
	if (pq->layers == 1)
		ann_kernels->encode(scratch, pq->bias, pq->num_blocks, codes);
	else
		ann_kernels->encode_pairs(scratch, pq->bias, pq->codebook, ann_pq_layer_blocks(pq),
								  pq->width, codes);
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
 * error stays below 2^-40 |r|^2, which is added, and r itself is off by 2^-24 |r| at most: err is
 * an upper bound.
 */
static bool
set_factors(AnnCodeForm form, const float *x, const float *r, const float *u, int dim,
			AnnFactors *factors)
{
	double rr = ann_kernels->double_product(r, r, dim);
	double ru = ann_kernels->double_product(r, u, dim);
	double uu = ann_kernels->double_product(u, u, dim);
	double xu = ann_kernels->double_product(x, u, dim);
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
	err = sqrt((ee > 0 ? ee : 0) + rr * 0x1p-40) + sqrt(rr) * 0x1p-24;
	b = form == ANN_CODE_L2 ? 2 * s * xu - rr : s * xu - ann_kernels->double_product(x, r, dim);
	if (!(err <= FLT_MAX) || !(fabs(b) <= FLT_MAX))
		return false;
	err_float = (float) err;
	if (err_float < err)
		err_float = nextafterf(err_float, INFINITY);
	factors->err = ann_bf16_from_float_up(err_float);
	factors->b = (float) b;
	return isfinite(s) && isfinite(ann_bf16_to_float(factors->err));
}

/* out = x times a factor, in chunks of a constant length, which gcc vectorises at -O2. */
static void
scale_row(const float *x, double factor, int dim, float *out)
{
	for (; dim >= 8; dim -= 8, x += 8, out += 8)
		for (int i = 0; i < 8; i++)
			out[i] = (float) (x[i] * factor);
	for (int d = 0; d < dim; d++)
		out[d] = (float) (x[d] * factor);
}

/* x times a factor, in whole blocks: zeros from dim on. */
static void
scale_padded(const AnnPq *pq, const float *x, double factor, float *out)
{
	scale_row(x, factor, pq->dim, out);
	for (size_t d = (size_t) pq->dim; d < ann_pq_padded_dim(pq); d++)
		out[d] = 0;
}

size_t
ann_pq_row_scratch_floats(const AnnPq *pq)
{
	return 2 * ann_pq_padded_dim(pq) + ann_pq_encode_scratch_floats(pq) +
		   (pq->weight > 1 ? ann_pq_padded_dim(pq) + ann_anisotropic_scratch_floats(pq) : 0);
}

/* Betters the code that ann_pq_encode made of the unit residual v, with a table in its scratch. */
static void
weigh_error(const AnnPq *pq, const float *x, const float *v, const float *table, uint8_t *codes,
			float *scratch)
{
	double norm = sqrt(ann_kernels->double_product(x, x, pq->dim));

	if (norm == 0)
		return;
	scale_padded(pq, x, 1 / norm, scratch);
	ann_anisotropic_refine(pq, v, scratch, table, codes, scratch + ann_pq_padded_dim(pq));
}

bool
ann_pq_encode_row(const AnnPq *pq, AnnCodeForm form, const float *x, const float *centroid,
				  uint8_t *codes, AnnFactors *factors, float *scratch)
{
	size_t padded_dim = ann_pq_padded_dim(pq);
	float *residual = scratch;
	float *unit = scratch + padded_dim; /* r / |r|, then its code */
	float *table = unit + padded_dim;
	double norm;

	if (ann_form_is_absolute(form) && pq->quantizer != ANN_QUANTIZER_FLAT)
		return ann_absolute_encode(pq, form, x, codes, factors, scratch);
	if (centroid == NULL)
		memcpy(residual, x, (size_t) pq->dim * sizeof(float));
	else
		ann_kernels->subtract(x, centroid, pq->dim, residual);
	norm = sqrt(ann_kernels->double_product(residual, residual, pq->dim));
	if (!isfinite(norm))
		return false;
	if (pq->quantizer == ANN_QUANTIZER_FLAT)
	{
		*factors = (AnnFactors){.err = ANN_BF16_INFINITY};
		return true;
	}
	scale_padded(pq, residual, norm == 0 ? 0 : 1 / norm, unit);
	ann_pq_encode(pq, unit, codes, table);
	if (pq->weight > 1)
		weigh_error(pq, x, unit, table, codes, table + ann_pq_encode_scratch_floats(pq));
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
