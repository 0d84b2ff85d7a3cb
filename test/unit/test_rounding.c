/*
 * test_rounding.c
 *	  Numbers of fewer bits: bfloat16, and query tables rounded to bytes.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "core/bf16.h"
#include "core/pq.h"
#include "core/rng.h"
#include "gaussian.h"
#include "tap.h"

static void
test_bf16(void)
{
	static const struct
	{
		float value;
		uint16_t nearest;
		uint16_t up;
	} cases[] = {
		{0, 0, 0},
		{1, 0x3f80, 0x3f80},
		{1 + 0x1p-8F, 0x3f80, 0x3f81},            /* a tie goes to the even one, below */
		{1 + 3 * 0x1p-8F, 0x3f82, 0x3f82},        /* a tie goes to the even one, above */
		{1 + 0x1p-8F + 0x1p-23F, 0x3f81, 0x3f81}, /* just above the tie */
		{1 + 0x1p-8F - 0x1p-23F, 0x3f80, 0x3f81},
		{1 + 0x1p-23F, 0x3f80, 0x3f81},
		{0x1p-149F, 0, 1},
		{FLT_MAX, 0x7f80, 0x7f80},
		{INFINITY, 0x7f80, 0x7f80},
	};
	bool ok = true;
	AnnRng rng;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		tap_ok(ann_bf16_from_float(cases[i].value) == cases[i].nearest &&
				   ann_bf16_from_float_up(cases[i].value) == cases[i].up,
			   "bf16: %a", cases[i].value);
	tap_ok(ann_bf16_from_float(-1 - 0x1p-8F) == 0xbf80, "bf16: sign");
	tap_ok(isnan(ann_bf16_to_float(ann_bf16_from_float(NAN))) &&
			   isnan(ann_bf16_to_float(ann_bf16_from_float_up(NAN))),
		   "bf16: NaN stays NaN");
	for (uint32_t i = 0; i < 0x10000; i++)
		ok =
			ok && (isnan(ann_bf16_to_float((uint16_t) i)) ||
				   (ann_bf16_from_float(ann_bf16_to_float((uint16_t) i)) == i &&
					(i >= 0x8000 || ann_bf16_from_float_up(ann_bf16_to_float((uint16_t) i)) == i)));
	tap_ok(ok, "bf16: all values round to themselves");
	ann_rng_seed(&rng, 1);
	for (int i = 0; i < 100000; i++)
	{
		float value = (float) ldexp(ann_rng_unit(&rng), (int) ann_rng_below(&rng, 250) - 125);
		float nearest = ann_bf16_to_float(ann_bf16_from_float(value));
		float up = ann_bf16_to_float(ann_bf16_from_float_up(value));

		ok = ok && fabsf(nearest - value) <= value * 0x1p-8F + 0x1p-134F && up >= value &&
			 up <= value * (1 + 0x1p-7F) + 0x1p-132F;
	}
	tap_ok(ok, "bf16: error bounds");
}

static bool
check_rounding(const float *table, int num_blocks, int bits)
{
	uint8_t *low = malloc((size_t) num_blocks * ANN_CODEWORDS);
	uint8_t *high = malloc((size_t) num_blocks * ANN_CODEWORDS);
	double sum = 0, size = 0;
	float step, base;
	bool ok = true;

	ann_pq_round_table(table, num_blocks, bits, low, bits == 8 ? NULL : high, &step, &base);
	for (int m = 0; m < num_blocks; m++)
	{
		const float *entries = table + m * ANN_CODEWORDS;
		double least = entries[0], greatest = entries[0];

		for (int c = 1; c < ANN_CODEWORDS; c++)
		{
			least = fmin(least, entries[c]);
			greatest = fmax(greatest, entries[c]);
		}
		for (int c = 0; c < ANN_CODEWORDS; c++)
		{
			int i = m * ANN_CODEWORDS + c;
			double rounded = step * (double) (low[i] + (bits == 8 ? 0 : 256 * high[i])) + least;

			ok = ok &&
				 fabs(rounded - entries[c]) <= .5001 * step + FLT_EPSILON * (greatest - least) * 2;
		}
		sum += least;
		size += fabs(least);
	}
	ok = ok && isfinite(step) && fabs(base - sum) <= FLT_EPSILON * size;
	free(low);
	free(high);
	return ok;
}

static void
test_round_table(void)
{
	float table[40 * ANN_CODEWORDS];
	float magnitude = 1e-25f;
	uint8_t low[40 * ANN_CODEWORDS];
	float step, base;
	AnnRng rng;

	ann_rng_seed(&rng, 77);
	for (int i = 0; i < 6; i++, magnitude *= 1e10f)
	{
		for (int j = 0; j < 40 * ANN_CODEWORDS; j++)
			table[j] = magnitude * (gaussian(&rng) * (float) (j / 64 + 1) + 100);
		tap_ok(check_rounding(table, 40, 8), "rounded to 8 bits: within half a step, %g",
			   magnitude);
		tap_ok(check_rounding(table, 40, 16), "rounded to 16 bits: within half a step");
		tap_ok(check_rounding(table, 1, 8), "a single block");
	}
	for (int j = 0; j < 40 * ANN_CODEWORDS; j++)
		table[j] = (float) (j / ANN_CODEWORDS) - 7;
	ann_pq_round_table(table, 40, 8, low, NULL, &step, &base);
	tap_ok(step == 0 && low[0] == 0 && low[639] == 0 && base == 39 * 20 - 7 * 40,
		   "no range: step 0, base the sum");
	table[5] = NAN;
	table[40] = INFINITY;
	ann_pq_round_table(table, 40, 8, low, NULL, &step, &base);
	tap_ok(true, "NaN and infinity round to something");
}

int
main(void)
{
	test_bf16();
	test_round_table();
	return tap_done();
}
