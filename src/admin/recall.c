/*
 * recall.c
 *	  How much of a query's true answer the indexes find.
 *
 * NOTES
 *	  The query is run twice, for its rows: as the planner does it when it may not sort a whole
 *	  table, and with index scans disabled, which gives the true answer. Rows are compared by the
 *	  text of all their columns, so the query should select a key; rows of equal text count as often
 *	  as they come.
 */
#include "postgres.h"

#include <math.h>

#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "compat.h"

/* Rows of an answer as texts, in ascending order. */
typedef struct Answer
{
	char **rows;
	uint64 num;
} Answer;

static int
compare_texts(const void *left, const void *right)
{
	return strcmp(*(char *const *) left, *(char *const *) right);
}

/* A row as one text that no other row has. */
static char *
row_text(HeapTuple row, TupleDesc desc)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int column = 1; column <= desc->natts; column++)
	{
		char *value = SPI_getvalue(row, desc, column);

		if (value == NULL)
			appendStringInfoString(&text, "N,");
		else
			appendStringInfo(&text, "%zu:%s,", strlen(value), value);
	}
	return text.data;
}

/* Runs the query under settings that last for it alone; the answer is in the caller's memory. */
static void
run(const char *query, const char *const *settings, int num_settings, Answer *answer)
{
	MemoryContext caller = CurrentMemoryContext;
	int level = NewGUCNestLevel();
	SPIPlanPtr plan;

	for (int i = 0; i < num_settings; i += 2)
		(void) set_config_option(settings[i], settings[i + 1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	plan = SPI_prepare(query, 0, NULL);
	if (plan == NULL || !SPI_is_cursor_plan(plan) ||
		SPI_execute_plan(plan, NULL, NULL, true, 0) != SPI_OK_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("query must be a single SELECT"),
				 errhint("For example: SELECT id FROM items ORDER BY embedding <-> '[1,2,3]' "
						 "LIMIT 10")));
	answer->num = SPI_processed;
	answer->rows = MemoryContextAllocHuge(caller, sizeof(char *) * Max(answer->num, 1));
	for (uint64 i = 0; i < answer->num; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(caller);

		CHECK_FOR_INTERRUPTS();
		answer->rows[i] = row_text(SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	AtEOXact_GUC(false, level);
	qsort(answer->rows, answer->num, sizeof(char *), compare_texts);
}

/* Rows that both answers have. */
static uint64
common_rows(const Answer *a, const Answer *b)
{
	uint64 common = 0;
	uint64 i = 0;
	uint64 j = 0;

	while (i < a->num && j < b->num)
	{
		int order = strcmp(a->rows[i], b->rows[j]);

		common += order == 0;
		i += order <= 0;
		j += order >= 0;
	}
	return common;
}

/*
 * ann_recall(query text) returns float8: the part of the query's true rows that it also returns
 * when indexes are used; NULL where there are none. The query runs twice with the caller's
 * privileges and settings, reading only. INVALID_PARAMETER_VALUE for what is no single SELECT.
 */
ANN_FUNCTION(ann_recall);
Datum
ann_recall(PG_FUNCTION_ARGS)
{
	static const char *const by_index[] = {"enable_seqscan", "off", "enable_sort", "off"};
	static const char *const by_sort[] = {"enable_indexscan", "off", "enable_indexonlyscan", "off",
										  "enable_seqscan",   "on",  "enable_sort",          "on"};
	char *query = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Answer found;
	Answer truth;

	run(query, by_index, lengthof(by_index), &found);
	run(query, by_sort, lengthof(by_sort), &truth);
	if (truth.num == 0)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8((double) common_rows(&found, &truth) / truth.num);
}
