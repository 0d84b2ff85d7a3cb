/*
 * test_pq.c
 *	  The product quantiser: training, round trips, the identities of the estimates.
 */
#include <float.h>

#include "core/bf16.h"
#include "pq_test.h"
#include "tap.h"

static bool
is_finite(const float *values, size_t num)
{
	for (size_t i = 0; i < num; i++)
		if (!isfinite(values[i]))
			return false;
	return true;
}

static void
test_training(int dim, int width, size_t num_rows)
{
	AnnPq pq = make_pq(ANN_QUANTIZER_PQ, dim, width, 1);
	AnnPq again = make_pq(ANN_QUANTIZER_PQ, dim, width, 1);
	float *rows = make_unit_rows(dim, num_rows, 5);
	size_t codebook_bytes = ann_pq_codebook_floats(pq.num_blocks, width) * sizeof(float);
	double errors[4];
	bool ok = true;

	for (int i = 0; i < 4; i++)
	{
		ok = ok && train(&pq, rows, num_rows, 1 << i, 0xff) == ANN_OK;
		errors[i] = coding_error(&pq, rows, num_rows);
		ok = ok && (i == 0 || errors[i] <= errors[i - 1] * (1 + 1e-6));
	}
	tap_ok(ok, "training %d dims by %d: error %.4f %.4f %.4f %.4f after 1, 2, 4, 8 passes", dim,
		   width, errors[0], errors[1], errors[2], errors[3]);
	ok = train(&again, rows, num_rows, 8, 0) == ANN_OK;
	tap_ok(ok && memcmp(pq.codebook, again.codebook, codebook_bytes) == 0, "deterministic");
	for (int m = 0; m < pq.num_blocks; m++)
		for (int d = 0; d < width; d++)
			for (int c = 0; c < ANN_CODEWORDS && m * width + d >= dim; c++)
				ok = ok && pq.codebook[(m * width + d) * ANN_CODEWORDS + c] == 0;
	tap_ok(ok && is_finite(pq.codebook, codebook_bytes / sizeof(float)),
		   "finite, zero in the padding");
	free(rows);
	free_pq(&pq);
	free_pq(&again);
}

/* Few distinct rows, among zero rows: each is coded without error. */
static void
test_few_distinct(int dim, int width, size_t num_distinct, size_t num_rows)
{
	AnnPq pq = make_pq(ANN_QUANTIZER_PQ, dim, width, 1);
	float *values = make_unit_rows(dim, num_distinct, 9);
	float *rows = calloc(num_rows + 1, (size_t) dim * sizeof(float));
	size_t num = 0;

	for (size_t i = 0; i < num_rows; i++)
		if (i % 3 != 0 && num_distinct > 0)
			memcpy(rows + i * dim, values + num++ % num_distinct * dim,
				   (size_t) dim * sizeof(float));
	train(&pq, rows, num_rows, 4, 0xff);
	tap_ok(num_distinct == 0 || coding_error(&pq, values, num_distinct) < 1e-10,
		   "%zu distinct rows of %zu, %d dims by %d: coded exactly", num_distinct, num_rows, dim,
		   width);
	tap_ok(is_finite(pq.codebook, ann_pq_codebook_floats(pq.num_blocks, width)), "finite");
	if (num_distinct == 0)
	{
		bool ok = true;

		for (size_t i = 0; i < ann_pq_codebook_floats(pq.num_blocks, width); i++)
			ok = ok && pq.codebook[i] == 0;
		tap_ok(ok, "nothing to train on: all codewords zero");
	}
	free(values);
	free(rows);
	free_pq(&pq);
}

/* One value in thousands differs from the others: it has a codeword nevertheless. */
static void
test_rare_values(void)
{
	AnnPq pq = make_pq(ANN_QUANTIZER_PQ, 4, 2, 1);
	size_t num_rows = 3000;
	float *rows = calloc(num_rows, 4 * sizeof(float));

	for (size_t i = 0; i < num_rows; i++)
	{
		rows[i * 4] = .5f;
		rows[i * 4 + 2] = i % 500 == 77 ? (float) (i / 500) : .5f;
	}
	train(&pq, rows, num_rows, 5, 0xff);
	tap_ok(coding_error(&pq, rows, num_rows) < 1e-10, "rare sub-vectors have codewords");
	free(rows);
	free_pq(&pq);
}

static void
test_interrupts(AnnQuantizer quantizer, int width, int layers, size_t num_rows)
{
	AnnPq pq = make_pq(quantizer, 96, width, layers);
	float *rows = make_unit_rows(96, num_rows, 3);
	bool ok = true;
	long total;

	watch_anew(-1);
	train(&pq, rows, num_rows, 5, 0xff);
	total = polls_seen;
	tap_ok(watched_to_end(), "training tells how far it has come");
	for (long i = 0; i < total; i++)
	{
		watch_anew(i);
		ok = ok && train(&pq, rows, num_rows, 5, 0xff) == ANN_INTERRUPTED && polls_seen == i + 1;
	}
	watch_anew(-1);
	tap_ok(ok && total >= 2, "training stops at each of its %ld polls", total);
	free(rows);
	free_pq(&pq);
}

/* Everything about one row, in double precision from the stored numbers. */
typedef struct Case
{
	AnnPq *pq;
	const float *q;
	const float *x;
	const float *c;
	uint8_t *codes;
	float *u;
	float *scratch;
	AnnFactors factors;
} Case;

typedef struct Outcome
{
	double estimate;
	double exact;
	double predicted; /* of estimate - exact, from the error vector */
	double error;     /* length of the error vector */
	double length;    /* of the residual */
	double scale;     /* of the terms, for tolerances */
} Outcome;

static Outcome
evaluate(const Case *row, AnnCodeForm form, double w)
{
	double s = ann_bf16_to_float(row->factors.s);
	double qc = 0, q_c = 0, qy = 0, qx = 0, q_x = 0, ee = 0, qe = 0, xe = 0, rr = 0, terms = 0;
	Outcome outcome;

	for (int d = 0; d < row->pq->dim; d++)
	{
		double q = row->q[d], x = row->x[d], c = row->c[d];
		double y = s * row->u[d];
		double e = x - c - y;

		qc += q * c;
		q_c += (q - c) * (q - c);
		qy += q * y;
		qx += q * x;
		q_x += (q - x) * (q - x);
		ee += e * e;
		qe += q * e;
		xe += x * e;
		rr += (x - c) * (x - c);
		terms += fabs(x * y) + fabs(q * y) + (x - c) * (x - c) + fabs(x * e);
	}
	if (form == ANN_CODE_L2)
		outcome = (Outcome){q_c + row->factors.b - 2 * qy, q_x, 2 * (qe - xe), 0, 0, 0};
	else
		outcome = (Outcome){-qc + w * row->factors.b - qy, -qx, qe - w * xe, 0, 0, 0};
	outcome.error = sqrt(ee);
	outcome.length = sqrt(rr);
	outcome.scale = terms * (1 + fabs(w));
	return outcome;
}

static void
init_case(Case *row, AnnPq *pq)
{
	row->pq = pq;
	row->codes = malloc((size_t) pq->num_blocks);
	row->u = malloc((size_t) pq->dim * sizeof(float));
	row->scratch = malloc(ann_pq_row_scratch_floats(pq) * sizeof(float));
}

static void
free_case(Case *row)
{
	free(row->codes);
	free(row->u);
	free(row->scratch);
}

static bool
encode(Case *row, AnnCodeForm form)
{
	if (!ann_pq_encode_row(row->pq, form, row->x, row->c, row->codes, &row->factors, row->scratch))
		return false;
	ann_pq_decode(row->pq, row->codes, row->u);
	return true;
}

/* rows, centroids and queries of random sizes about `magnitude`, offset for cancellation. */
static void
test_identities(AnnPq pq, float magnitude, float offset, bool trained)
{
	int dim = pq.dim, width = pq.width;
	float *unit = make_unit_rows(dim, 400, 21);
	float *vectors = malloc(3 * (size_t) dim * sizeof(float));
	bool identity = true, bound = true, sharp = true;
	Case row;
	AnnRng rng;

	ann_rng_seed(&rng, 8);
	if (trained)
		train(&pq, unit, 400, 5, 0xff);
	else
		for (size_t i = 0; i < ann_pq_codebook_floats(pq.num_blocks, width); i++)
			pq.codebook[i] = gaussian(&rng);
	ann_pq_rebias(&pq);
	init_case(&row, &pq);
	for (int i = 0; i < 300; i++)
	{
		AnnCodeForm form = i % 2 == 0 ? ANN_CODE_L2 : ANN_CODE_IP;
		double w = i % 3;
		Outcome outcome;

		for (int d = 0; d < 3 * dim; d++)
			vectors[d] = magnitude * (gaussian(&rng) + offset);
		row.q = vectors;
		row.x = vectors + dim;
		row.c = vectors + 2 * dim;
		if (!encode(&row, form))
		{
			identity = false;
			break;
		}
		outcome = evaluate(&row, form, w);
		identity = identity && fabs(outcome.estimate - outcome.exact - outcome.predicted) <=
								   3 * FLT_EPSILON * outcome.scale;
		bound = bound && ann_bf16_to_float(row.factors.err) >= outcome.error;
		sharp = sharp &&
				ann_bf16_to_float(row.factors.err) <= outcome.error * 1.01 + outcome.length * 2e-6;
	}
	tap_ok(identity,
		   "%s codebook, %d dims by %d, %d layers, magnitude %g offset %g: error of the estimate",
		   trained ? "trained" : "random", dim, width, pq.layers, magnitude, offset);
	tap_ok(bound, "err is an upper bound");
	tap_ok(sharp, "err is close");
	free(unit);
	free(vectors);
	free_case(&row);
	free_pq(&pq);
}

/* A residual that its code holds exactly, with a scale that bf16 holds: no error at all. */
static void
test_exact_code(AnnCodeForm form, double w, const char *name)
{
	static const float q[4] = {3, -1, 7, 2};
	static const float c[4] = {1, 2, 3, 4};
	static const float x[4] = {2, 1, 4, 5}; /* residual 1 -1 1 1 */
	AnnPq pq = make_pq(ANN_QUANTIZER_PQ, 4, 2, 1);
	Outcome outcome;
	Case row;

	for (int codeword = 0; codeword < ANN_CODEWORDS; codeword++)
		for (int d = 0; d < 4; d++)
			pq.codebook[d * ANN_CODEWORDS + codeword] =
				codeword == 5 ? (d == 1 ? -.5f : .5f) : 3 + (float) codeword;
	ann_pq_rebias(&pq);
	init_case(&row, &pq);
	row.q = q;
	row.x = x;
	row.c = c;
	tap_ok(encode(&row, form) && row.codes[0] == 5 && row.codes[1] == 5, "%s: code found", name);
	outcome = evaluate(&row, form, w);
	tap_ok(outcome.error == 0 && ann_bf16_to_float(row.factors.err) < 4e-6,
		   "%s: err is rounding only", name);
	tap_ok(outcome.estimate == outcome.exact, "%s: estimate = exact when err = 0", name);
	row.c = x;
	tap_ok(encode(&row, form) && row.factors.s == 0 && row.factors.err == 0,
		   "%s: a row at its centroid has no scale and no error", name);
	outcome = evaluate(&row, form, w);
	tap_ok(outcome.estimate == outcome.exact, "%s: estimate = exact at the centroid", name);
	memset(pq.codebook, 0, 4 * ANN_CODEWORDS * sizeof(float));
	ann_pq_rebias(&pq);
	row.c = c;
	encode(&row, form);
	outcome = evaluate(&row, form, w);
	tap_ok(row.factors.s == 0 && outcome.error == 2 &&
			   outcome.estimate - outcome.exact == outcome.predicted,
		   "%s: a zero code leaves the residual as the error", name);
	free_case(&row);
	free_pq(&pq);
}

static void
test_magnitudes(void)
{
	static const float magnitudes[] = {0,    1e-45f, 1e-40f, 1e-38f, 1e-30f,  1e-5f,    1,
									   1e5f, 1e18f,  1e19f,  1e30f,  3.4e38f, INFINITY, NAN};
	AnnPq pq = make_pq(ANN_QUANTIZER_PQ, 24, 3, 1);
	float *unit = make_unit_rows(24, 500, 4);
	float x[24], c[24];
	Case row;

	train(&pq, unit, 500, 5, 0xff);
	init_case(&row, &pq);
	row.x = x;
	row.c = c;
	for (size_t i = 0; i < sizeof(magnitudes) / sizeof(magnitudes[0]); i++)
	{
		float magnitude = magnitudes[i];
		bool accepted = false, ok = true;

		for (int form = ANN_CODE_L2; form <= ANN_CODE_IP; form++)
			for (int d = 0; d < 24; d++)
			{
				x[d] = unit[d] * magnitude;
				c[d] = -unit[24 + d] * magnitude;
				if (d < 23 || !encode(&row, (AnnCodeForm) form))
					continue;
				accepted = true;
				ok = ok && isfinite(row.factors.b) && isfinite(ann_bf16_to_float(row.factors.s)) &&
					 isfinite(ann_bf16_to_float(row.factors.err));
			}
		tap_ok(ok, "magnitude %g: %s", magnitude, accepted ? "finite factors" : "refused");
		tap_ok(accepted || magnitude < 1e-37f || !(magnitude <= 1e18f),
			   "refused only where it must");
	}
	free(unit);
	free_case(&row);
	free_pq(&pq);
}

/* A residual near the end of the range, where 2 s is beyond it: err is a bound nevertheless. */
static void
test_greatest_residual(void)
{
	AnnPq pq = make_pq(ANN_QUANTIZER_PQ, 1, 1, 1);
	float x = 1e-43f, c = -1.7146533e38f;
	Case row;

	for (int codeword = 0; codeword < ANN_CODEWORDS; codeword++)
		pq.codebook[codeword] = 1;
	ann_pq_rebias(&pq);
	init_case(&row, &pq);
	row.q = row.x = &x;
	row.c = &c;
	tap_ok(encode(&row, ANN_CODE_IP) &&
			   ann_bf16_to_float(row.factors.err) >= evaluate(&row, ANN_CODE_IP, 0).error,
		   "err is an upper bound at the end of the range");
	free_case(&row);
	free_pq(&pq);
}

/* Codes of decoded codes are the codes, or equal codewords. */
static void
test_round_trip(int dim, int width)
{
	AnnPq pq = make_pq(ANN_QUANTIZER_PQ, dim, width, 1);
	float *unit = make_unit_rows(dim, 800, 13);
	float *decoded = malloc((size_t) dim * sizeof(float));
	AnnRng rng;
	bool ok = true;
	Case row;

	ann_rng_seed(&rng, 5);
	train(&pq, unit, 800, 5, 0xff);
	init_case(&row, &pq);
	for (int i = 0; i < 200; i++)
	{
		float *padded = calloc(ann_pq_padded_dim(&pq), sizeof(float));

		for (int m = 0; m < pq.num_blocks; m++)
			row.codes[m] = (uint8_t) ann_rng_below(&rng, ANN_CODEWORDS);
		ann_pq_decode(&pq, row.codes, padded);
		ann_pq_encode(&pq, padded, row.codes, row.scratch);
		ann_pq_decode(&pq, row.codes, decoded);
		ok = ok && memcmp(decoded, padded, (size_t) dim * sizeof(float)) == 0;
		free(padded);
	}
	tap_ok(ok, "encode(decode(code)) = code, %d dims by %d", dim, width);
	free(unit);
	free(decoded);
	free_case(&row);
	free_pq(&pq);
}

static void
test_all(void)
{
	static const int shapes[][2] = {{128, 2}, {96, 4}, {7, 2}, {1, 1}, {1, 4}, {3, 8}, {130, 3}};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
	{
		int dim = shapes[i][0], width = shapes[i][1];

		test_training(dim, width, 1500);
		test_round_trip(dim, width);
		test_few_distinct(dim, width, 9, 200);
		for (int layers = 1; layers <= ANN_MAX_LAYERS; layers++)
		{
			test_identities(make_pq(ANN_QUANTIZER_PQ, dim, width, layers), 1, 0, true);
			test_identities(make_pq(ANN_QUANTIZER_PQ, dim, width, layers), 1, 1000, true);
			test_identities(make_pq(ANN_QUANTIZER_PQ, dim, width, layers), 1e-12f, 3, false);
			test_identities(make_pq(ANN_QUANTIZER_PQ, dim, width, layers), 1e12f, 0, false);
		}
		test_identities(make_pq(ANN_QUANTIZER_SQ8, dim, 1, 2), 1, 0, true);
	}
	test_few_distinct(16, 4, 0, 0);
	test_few_distinct(16, 4, 0, 100);
	test_few_distinct(16, 4, 1, 100);
	test_few_distinct(16, 4, 16, 1000);
	test_few_distinct(16, 4, 1, 2);
	test_training(3000, 4, 100);
	test_training(3000, 3000, 100);
	test_rare_values();
	test_magnitudes();
	test_greatest_residual();
	test_exact_code(ANN_CODE_L2, 0, "L2");
	test_exact_code(ANN_CODE_IP, 0, "inner product");
	test_exact_code(ANN_CODE_IP, .75, "inner product, w .75");
}

int
main(void)
{
	for (int i = 0; ann_kernels_available(i) != NULL; i++)
	{
		ann_kernels_choose(ann_kernels_available(i)->name);
		tap_diag("kernels %s", ann_kernels->name);
		test_all();
	}
	test_interrupts(ANN_QUANTIZER_PQ, 2, 1, 3000);
	test_interrupts(ANN_QUANTIZER_PQ, 2, 2, 400);
	test_interrupts(ANN_QUANTIZER_SQ8, 1, 2, 90000);
	return tap_done();
}
