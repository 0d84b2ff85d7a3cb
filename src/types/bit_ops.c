/*
 * bit_ops.c
 *	  Distances of the server's own type bit: Hamming and Jaccard.
 *
 * NOTES
 *	  bit varying comes here as well: the server takes it for bit without a conversion. Both types
 *	  keep the unused bits of the last byte at zero, so that whole bytes can be counted. A count is
 *	  made of chunks that are combined on the stack and given to the server's pg_popcount, which
 *	  knows the processor: one call for many words.
 */
#include "postgres.h"

#include "fmgr.h"
#include "port/pg_bitutils.h"

#include "compat.h"
#include "core/kernels.h"
#include "types/bit.h"

#define CHUNK_WORDS 64

typedef enum BitOp
{
	BIT_XOR,
	BIT_AND,
	BIT_OR,
} BitOp;

static inline uint64
combine(BitOp op, uint64 a, uint64 b)
{
	switch (op)
	{
		case BIT_XOR:
			return a ^ b;
		case BIT_AND:
			return a & b;
		default:
			return a | b;
	}
}

/* As combine(), for num_bytes bytes (at most those of a chunk) without any alignment. */
static inline void
combine_chunk(BitOp op, const bits8 *a, const bits8 *b, Size num_bytes, uint64 *chunk)
{
	Size num_words = num_bytes / sizeof(uint64);
	Size rest = num_bytes % sizeof(uint64);
	uint64 x;
	uint64 y;

	for (Size i = 0; i < num_words; i++)
	{
		memcpy(&x, a + i * sizeof(uint64), sizeof(uint64));
		memcpy(&y, b + i * sizeof(uint64), sizeof(uint64));
		chunk[i] = combine(op, x, y);
	}
	if (rest > 0)
	{
		x = y = 0;
		memcpy(&x, a + num_words * sizeof(uint64), rest);
		memcpy(&y, b + num_words * sizeof(uint64), rest);
		chunk[num_words] = combine(op, x, y);
	}
}

/* How many bits are set in the combination of two strings of equal length. */
static inline uint64
count_bits(BitOp op, VarBit *a, VarBit *b)
{
	uint64 chunk[CHUNK_WORDS];
	Size num_bytes = VARBITBYTES(a);
	uint64 count = 0;

	for (Size done = 0; done < num_bytes; done += sizeof(chunk))
	{
		Size size = Min(num_bytes - done, sizeof(chunk));

		combine_chunk(op, VARBITS(a) + done, VARBITS(b) + done, size, chunk);
		count += pg_popcount((const char *) chunk, (int) size);
	}
	return count;
}

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
	VarBit *a = PG_GETARG_VARBIT_P(0);
	VarBit *b = PG_GETARG_VARBIT_P(1);
	uint64 different;

	check_lengths(a, b);
	different = count_bits(BIT_XOR, a, b);
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
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
	VarBit *a = PG_GETARG_VARBIT_P(0);
	VarBit *b = PG_GETARG_VARBIT_P(1);
	double distance;

	check_lengths(a, b);
	distance = jaccard(count_bits(BIT_AND, a, b), count_bits(BIT_OR, a, b));
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	PG_RETURN_FLOAT8(distance);
}
