/*
 * argument.h
 *	  Arguments of functions that are called for every row of a scan and only read them.
 *
 * NOTES
 *	  What stands in a row as it is (no header of one byte, not toasted) is read where it stands. A
 *	  value with a header of one byte is copied to the stack, where the server's own way would take
 *	  memory and give it back. Nothing stays allocated, but for a toasted second argument.
 */
#ifndef ANN_TYPES_ARGUMENT_H
#define ANN_TYPES_ARGUMENT_H

#include "postgres.h"

#include "fmgr.h"

#include "compat.h"
#include "core/base.h"

#define ANN_CACHE_LINE 64
/* Bytes of a large value that the processor is left to fetch. */
#define ANN_PREFETCH_FROM 512
/* What a row has around a value, or nearly: its header, a key. */
#define ANN_ROW_AROUND 64

/* Where a value with a header of one byte gets one of four. */
typedef union AnnRoom
{
	struct varlena value;
	int64 alignment;
	char bytes[VARHDRSZ + VARATT_SHORT_MAX];
} AnnRoom;

/*
 * The value with a plain header: the datum itself, a copy in *room, or one in the current memory
 * context (of what was toasted). ann_argument_done() frees that: an expression index or a sort may
 * call in a long-lived context.
 */
static ANN_INLINE void *
ann_argument(Datum datum, AnnRoom *room)
{
	struct varlena *value = (struct varlena *) DatumGetPointer(datum);

	if (likely(!VARATT_IS_EXTENDED(value)))
		return value;
	/* a toast pointer has a header of one byte, too */
	if (VARATT_IS_SHORT(value) && !VARATT_IS_EXTERNAL(value))
	{
		Size size = VARSIZE_SHORT(value) - VARHDRSZ_SHORT;

		SET_VARSIZE(&room->value, size + VARHDRSZ);
		memcpy(VARDATA(&room->value), VARDATA_SHORT(value), size);
		return &room->value;
	}
	return pg_detoast_datum(value);
}

/*
 * The same of an argument that is a column of the rows of a scan, as a rule: asks for the row that
 * the scan comes to next, which a heap page holds right before this one. It is a hint: it reads
 * nothing, and nothing faults where no row is. Scans wait for memory more than for anything else,
 * and processors fetch ahead upwards. Of rows that fill half a page the next one is on another;
 * there the value itself is asked for, as the processor takes its time to see that it goes on.
 */
static ANN_INLINE void *
ann_argument_of_row(Datum datum, AnnRoom *room)
{
	struct varlena *value = ann_argument(datum, room);
	Size size = VARSIZE(value);

	if (value != (struct varlena *) DatumGetPointer(datum))
		return value;
	if (size < BLCKSZ / 2)
		for (uintptr_t line = datum, end = datum - size - ANN_ROW_AROUND; line > end;
			 line -= ANN_CACHE_LINE)
			__builtin_prefetch((const void *) line);
	else
		for (uintptr_t line = datum + ANN_PREFETCH_FROM, end = datum + size; line < end;
			 line += ANN_CACHE_LINE)
			__builtin_prefetch((const void *) line, 0, 2);
	return value;
}

/*
 * The value of a toast pointer, in memory of the function's call that lasts as long as this and
 * keeps the last one: of the same pointer it is there already. A row that a snapshot shows keeps
 * its pointer's value.
 */
extern void *ann_argument_kept(FmgrInfo *function, struct varlena *value);

/*
 * The same of an argument that is the same for all rows, as a rule: a query, which may come from a
 * table and be toasted there. Done with it is ann_argument_of_all_done().
 */
static ANN_INLINE void *
ann_argument_of_all(FunctionCallInfo fcinfo, int number, AnnRoom *room)
{
	Datum datum = PG_GETARG_DATUM(number);

	if (unlikely(VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(datum)) && fcinfo->flinfo != NULL))
		return ann_argument_kept(fcinfo->flinfo, (struct varlena *) DatumGetPointer(datum));
	return ann_argument(datum, room);
}

static ANN_INLINE void
ann_argument_done(void *argument, Datum datum, AnnRoom *room)
{
	if (unlikely(argument != DatumGetPointer(datum) && argument != (void *) room))
		pfree(argument);
}

static ANN_INLINE void
ann_argument_of_all_done(FunctionCallInfo fcinfo, int number, void *argument, AnnRoom *room)
{
	Datum datum = PG_GETARG_DATUM(number);

	if (likely(!VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(datum)) || fcinfo->flinfo == NULL))
		ann_argument_done(argument, datum, room);
}

#endif
