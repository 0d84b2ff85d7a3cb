/*
 * test_anisotropic.c
 *	  Codes in which the error along the row weighs more.
 */
#include "core/anisotropic.h"
#include "core/bf16.h"
#include "pq_test.h"
#include "tap.h"

static void
test_weight(void)
{
	tap_ok(ann_anisotropic_weight(0, 384) == 1, "no threshold: all errors weigh alike");
	tap_ok(fabsf(ann_anisotropic_weight(.2, 384) - 383 * .04f / .96f) < 1e-4f,
		   "the weight of a threshold");
	tap_ok(ann_anisotropic_weight(.2, 5) == 1, "it is never less than 1");
}

/* Mean squared errors over rows about a centroid: along the row, and in all. */
typedef struct Errors
{
	double along;
	double all;
	int worse; /* rows whose loss is above that of weight 1's code */
} Errors;

/* Error of one row's code: along the row in its unit, and in all. */
static void
row_errors(const AnnPq *pq, const float *x, const float *c, double *along, double *all)
{
	uint8_t codes[256];
	float scratch[4096];
	float decoded[256];
	AnnFactors factors;
	double norm2 = 0;

	*along = *all = 0;
	if (ann_pq_row_scratch_floats(pq) > 4096 ||
		!ann_pq_encode_row(pq, ANN_CODE_IP, x, c, codes, &factors, scratch))
		abort();
	ann_pq_decode(pq, codes, decoded);
	for (int d = 0; d < pq->dim; d++)
	{
		double e = x[d] - c[d] - ann_bf16_to_float(factors.s) * decoded[d];

		*along += e * x[d];
		*all += e * e;
		norm2 += (double) x[d] * x[d];
	}
	*along *= *along / norm2;
}

static Errors
errors_of(AnnPq *pq, const float *rows, const float *centroid, int num, float weight)
{
	Errors errors = {0};

	for (int i = 0; i < num; i++)
	{
		const float *x = rows + (size_t) i * pq->dim;
		double along;
		double all;
		double plain_along;
		double plain_all;

		pq->weight = 0;
		row_errors(pq, x, centroid, &plain_along, &plain_all);
		pq->weight = weight;
		row_errors(pq, x, centroid, &along, &all);
		errors.along += along / num;
		errors.all += all / num;
		/* The scale is stored in 8 bits, which the loss does not know of. */
		if (all + (weight - 1) * along > (plain_all + (weight - 1) * plain_along) * 1.05 + 1e-3)
			errors.worse++;
	}
	pq->weight = 0;
	return errors;
}

static void
test_errors(int dim, int width)
{
	enum
	{
		NUM = 500
	};
	AnnPq pq = make_pq(ANN_QUANTIZER_PQ, dim, width, 1);
	float *residuals = make_unit_rows(dim, NUM, 5);
	float *rows = malloc(sizeof(float) * NUM * dim);
	float *centroid = make_unit_rows(dim, 1, 6);
	void *workspace = malloc(ann_pq_train_workspace_size(&pq, NUM));
	Errors plain;
	Errors light;
	Errors heavy;

	ann_pq_train(&pq, residuals, NUM, 10, 1, NULL, workspace);
	for (int i = 0; i < NUM * dim; i++)
		rows[i] = centroid[i % dim] + residuals[i];
	plain = errors_of(&pq, rows, centroid, NUM, 0);
	light = errors_of(&pq, rows, centroid, NUM, 3);
	heavy = errors_of(&pq, rows, centroid, NUM, 30);
	tap_ok(light.along < plain.along * .9 && heavy.along < light.along,
		   "dim %d by %d: less error along the row: %g, %g, %g", dim, width, plain.along,
		   light.along, heavy.along);
	tap_ok(light.all < plain.all * 1.05 && heavy.all < plain.all * 1.2,
		   "dim %d by %d: not much more in all: %g, %g, %g", dim, width, plain.all, light.all,
		   heavy.all);
	tap_ok(light.worse == 0 && heavy.worse == 0, "dim %d by %d: no row loses: %d, %d", dim, width,
		   light.worse, heavy.worse);
	free(workspace);
	free(centroid);
	free(rows);
	free(residuals);
	free_pq(&pq);
}

/* What has no direction, no residual, or codewords that are all alike. */
static void
test_degenerate(void)
{
	AnnPq pq = make_pq(ANN_QUANTIZER_PQ, 6, 2, 1);
	float *rows = make_unit_rows(6, 40, 2);
	void *workspace = malloc(ann_pq_train_workspace_size(&pq, 40));
	float zero[6] = {0};
	uint8_t codes[3];
	AnnFactors factors;
	float *scratch;

	ann_pq_train(&pq, rows, 40, 5, 1, NULL, workspace);
	pq.weight = 16;
	scratch = malloc(sizeof(float) * ann_pq_row_scratch_floats(&pq));
	tap_ok(ann_pq_encode_row(&pq, ANN_CODE_IP, zero, rows, codes, &factors, scratch),
		   "a row without a direction");
	tap_ok(ann_pq_encode_row(&pq, ANN_CODE_IP, rows, rows, codes, &factors, scratch) &&
			   factors.s == 0,
		   "a row without a residual");
	memset(pq.codebook, 0, sizeof(float) * ann_pq_codebook_floats(pq.num_blocks, 2));
	ann_pq_rebias(&pq);
	tap_ok(ann_pq_encode_row(&pq, ANN_CODE_IP, rows, rows + 6, codes, &factors, scratch) &&
			   factors.s == 0,
		   "codewords of zero");
	free(scratch);
	free(workspace);
	free(rows);
	free_pq(&pq);
}

int
main(void)
{
	test_weight();
	for (int i = 0; ann_kernels_available(i) != NULL; i++)
	{
		ann_kernels_choose(ann_kernels_available(i)->name);
		tap_diag("kernels %s", ann_kernels->name);
		test_errors(24, 2);
		test_errors(64, 4);
		test_errors(101, 3);
		test_degenerate();
	}
	return tap_done();
}
