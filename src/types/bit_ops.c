/*
 * bit_ops.c
 *	  Distances of the server's own type bit: Hamming and Jaccard.
 *
 * NOTES
 *	  bit varying comes here as well: the server takes it for bit without a conversion. Both types
 *	  keep the unused bits of the last byte at zero, so that whole bytes can be counted.
 */
#include "postgres.h"

#include "fmgr.h"

#include "compat.h"
#include "core/kernels.h"
#include "types/argument.h"
#include "types/bit.h"

/* Of common bits, and bits of either string. */
static inline double
jaccard(double common, double either)
{
	return common > 0 ? 1.0 - common / either : 1.0;
}

void
ann_bit_floats(const VarBit *bits, float *out)
{
	int num = VARBITLEN(bits);
	int whole = num / BITS_PER_BYTE * BITS_PER_BYTE;
	const bits8 *in = VARBITS(bits);

	/* the first bit is a byte's highest */
	for (int i = 0; i < whole; i += BITS_PER_BYTE, in++)
		for (int j = 0; j < BITS_PER_BYTE; j++)
			out[i + j] = *in >> (BITS_PER_BYTE - 1 - j) & 1;
	for (int i = whole; i < num; i++)
		out[i] = *in >> (BITS_PER_BYTE - 1 - (i - whole)) & 1;
}

double
ann_bit_hamming(const float *a, const float *b, int dim)
{
	return ann_kernels->l1(a, b, dim);
}

double
ann_bit_jaccard(const float *a, const float *b, int dim)
{
	double common = ann_kernels->inner_product(a, b, dim);

	return jaccard(common,
				   ann_kernels->norm_squared(a, dim) + ann_kernels->norm_squared(b, dim) - common);
}

static void
check_lengths(VarBit *a, VarBit *b)
{
	if (VARBITLEN(a) != VARBITLEN(b))
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("different bit lengths %u and %u", (unsigned int) VARBITLEN(a),
							   (unsigned int) VARBITLEN(b))));
}

/*
 * hamming_distance(bit, bit) returns float8: the number of bits that differ, the operator <~>; NULL
 * for a NULL. Errors: different lengths (22000). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_hamming_distance);
Datum
ann_hamming_distance(PG_FUNCTION_ARGS)
{
	AnnRoom room[2];
	VarBit *a = ann_argument_of_row(PG_GETARG_DATUM(0), &room[0]);
	VarBit *b = ann_argument_of_all(fcinfo, 1, &room[1]);
	uint64 different;

	check_lengths(a, b);
	different = ann_kernels->bits_different(VARBITS(a), VARBITS(b), VARBITBYTES(a));
	ann_argument_done(a, PG_GETARG_DATUM(0), &room[0]);
	ann_argument_of_all_done(fcinfo, 1, b, &room[1]);
	PG_RETURN_FLOAT8((double) different);
}

/*
 * jaccard_distance(bit, bit) returns float8: 1 - common bits / bits of either, the operator <%>,
 * from 0 to 1; 1 where no bit is common, two strings of zeroes included; NULL for a NULL. Errors:
 * different lengths (22000). Leaves nothing allocated.
 */
ANN_FUNCTION(ann_jaccard_distance);
Datum
ann_jaccard_distance(PG_FUNCTION_ARGS)
{
	AnnRoom room[2];
	VarBit *a = ann_argument_of_row(PG_GETARG_DATUM(0), &room[0]);
	VarBit *b = ann_argument_of_all(fcinfo, 1, &room[1]);
	uint64_t counts[2];

	check_lengths(a, b);
	ann_kernels->bits_common(VARBITS(a), VARBITS(b), VARBITBYTES(a), counts);
	ann_argument_done(a, PG_GETARG_DATUM(0), &room[0]);
	ann_argument_of_all_done(fcinfo, 1, b, &room[1]);
	PG_RETURN_FLOAT8(jaccard((double) counts[0], (double) counts[1]));
}
