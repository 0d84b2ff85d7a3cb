/*
 * verify.c
 *	  ann_check(): every invariant of src/README looked for in the pages of an index.
 *
 * NOTES
 *	  A first pass over the file in physical order notes of each block what it is and which of its
 *	  slots are in use. Then the metapage's sections, the tree, the chains of all leaves and the
 *	  exact and NULL leaf are walked, and what they lead to is noted beside it. What was in use and
 *	  was not led to is unreachable. Row identifiers go through a sort (verify_rows.c).
 *
 *	  Writers. ShareUpdateExclusiveLock on the table keeps out vacuum, training, absorption and
 *	  whatever else takes an entry away or moves one; inserts go on. An insert only adds: a lane, a
 *	  block at the end of a chain, a page behind the head of the exact or NULL leaf. So
 *	  - what a page says of others (links, hints) stays true for as long as the check may run;
 *	  - every record of an insert is applied to all its pages before the first of them is unlocked,
 *		so whoever sees a slot in use in the first pass and reads the pages that lead to it later
 *		finds the links. BODY pages come before their block, but under the lock of their node page,
 *		which the walk waits for;
 *	  - no row identifier is given out again before a vacuum has removed it from the index, so none
 *		comes twice;
 *	  - a row that the snapshot, taken before the walks, sees was entered before them.
 *
 *	  On a standby there is only AccessShareLock, and the replay of a vacuum or a training goes on
 *	  under our eyes. There the check notes how far WAL has been replayed before it begins. Pages
 *	  that were last written before that are, together, the index as it was then, and nothing is
 *	  left out but pages that nothing refers to yet, of a training or of a long block that the
 *	  primary is writing. If the check meets a page that was written later, what rests on more than
 *	  one page is dropped with a NOTICE: it is whole on an index at rest, or while replay is paused.
 *
 *	  Memory: 6 bytes for each block of the index, a bit for each leaf, 8 bytes for each node page,
 *	  the section PARENTS (2 MB at most), and maintenance_work_mem for the sort.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/smgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "compat.h"

#include "admin/verify.h"

/* In place of an invariant: a page that nothing uses and a vacuum frees. */
#define LEAK "leak"

/* ---- reporting ---- */

static void
put_problem(AnnCheck *check, AnnProblems *where, BlockNumber blkno, const char *invariant,
			const char *format, va_list args) ANN_CHECK_PRINTF(5, 0);

static void
put_problem(AnnCheck *check, AnnProblems *where, BlockNumber blkno, const char *invariant,
			const char *format, va_list args)
{
	StringInfoData text;
	Datum values[3];
	bool nulls[3] = {blkno == InvalidBlockNumber, false, false};
	va_list again;

	if (strcmp(invariant, LEAK) == 0)
		where->leaks++;
	else
		where->num++;
	if (where->rows == NULL)
		return;
	initStringInfo(&text);
	for (;;)
	{
		int missing;

		va_copy(again, args);
		missing = appendStringInfoVA(&text, format, again);
		va_end(again);
		if (missing == 0)
			break;
		enlargeStringInfo(&text, missing);
	}
	values[0] = Int64GetDatum((int64) blkno);
	values[1] = CStringGetTextDatum(invariant);
	values[2] = CStringGetTextDatum(text.data);
	tuplestore_putvalues(where->rows, check->desc, values, nulls);
	pfree(DatumGetPointer(values[1]));
	pfree(DatumGetPointer(values[2]));
	pfree(text.data);
}

void
ann_check_fault(AnnCheck *check, BlockNumber blkno, const char *invariant, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_problem(check, &check->problems, blkno, invariant, format, args);
	va_end(args);
}

static AnnProblems *
between_pages(AnnCheck *check)
{
	return check->standby ? &check->held : &check->problems;
}

void
ann_check_mismatch(AnnCheck *check, BlockNumber blkno, const char *invariant, const char *format,
				   ...)
{
	va_list args;

	va_start(args, format);
	put_problem(check, between_pages(check), blkno, invariant, format, args);
	va_end(args);
}

void
ann_check_unlisted(AnnCheck *check, int64 num)
{
	ann_check_mismatch(check, InvalidBlockNumber, "I-7",
					   INT64_FORMAT " more problems of rows are not listed", num);
	between_pages(check)->num += num - 1;
}

/* On a standby, at the end: what was held back counts if no page has changed meanwhile. */
static void
release_held(AnnCheck *check)
{
	AnnProblems *held = &check->held;
	TupleTableSlot *slot;

	if (check->changed)
		ereport(NOTICE, (errmsg("index \"%s\" changed while it was checked: only what single pages "
								"show is reported",
								RelationGetRelationName(check->index)),
						 errhint("Pause replay with pg_wal_replay_pause() for a whole check.")));
	else
	{
		check->problems.num += held->num;
		check->problems.leaks += held->leaks;
	}
	if (held->rows == NULL)
		return;
	slot = MakeSingleTupleTableSlot(check->desc, &TTSOpsMinimalTuple);
	while (!check->changed && tuplestore_gettupleslot(held->rows, true, false, slot))
		tuplestore_puttupleslot(check->problems.rows, slot);
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(held->rows);
}

/* ---- pages ---- */

/* Copies a block that is there and can be read. */
static void
read_block(AnnCheck *check, BlockNumber blkno, PGAlignedBlock *copy)
{
	Buffer buffer = ann_page_read_ring(check->index, blkno, BUFFER_LOCK_SHARE, check->strategy);

	memcpy(copy->data, BufferGetPage(buffer), BLCKSZ);
	UnlockReleaseBuffer(buffer);
	if (check->standby && PageGetLSN(copy->data) > check->replayed)
		check->changed = true;
}

/* Has the index that block? It may have grown since we last looked. */
static bool
block_exists(AnnCheck *check, BlockNumber blkno)
{
	BlockNumber now;

	if (blkno < check->num_blocks)
		return true;
	now = RelationGetNumberOfBlocks(check->index);
	if (blkno >= now)
		return false;
	check->pages = repalloc_huge(check->pages, sizeof(AnnCheckPage) * now);
	memset(check->pages + check->num_blocks, 0, sizeof(AnnCheckPage) * (now - check->num_blocks));
	check->num_blocks = now;
	return true;
}

/* pd_lower stands behind the payload, else a WAL record of the page would leave a part out. */
static bool
has_hole(Page page)
{
	PageHeader header = (PageHeader) page;

	return header->pd_lower != header->pd_upper || header->pd_upper != header->pd_special;
}

bool
ann_check_copy(AnnCheck *check, BlockNumber from, BlockNumber blkno, AnnPageKind kind, uint32 model,
			   const char *invariant, PGAlignedBlock *copy)
{
	const char *fault;

	CHECK_FOR_INTERRUPTS();
	if (!block_exists(check, blkno))
	{
		ann_check_mismatch(check, from, invariant, "a link to block %u, past the end of the index",
						   blkno);
		return false;
	}
	if (check->pages[blkno].flags & ANN_CHECK_UNREADABLE)
		fault = "the block cannot be read";
	else
	{
		read_block(check, blkno, copy);
		if (!ann_page_is(copy->data, kind))
			fault = "the page is of another kind";
		else if (has_hole(copy->data))
			fault = "the page header leaves out a part of the page";
		else if (AnnPageGetOpaque(copy->data)->model == model)
			return true;
		else
		{
			fault = "the page is of another model";
			invariant = "I-2";
		}
	}
	check->pages[blkno].flags |= ANN_CHECK_WRONG;
	if (from == blkno)
		ann_check_fault(check, blkno, invariant, "%s", fault);
	else
		ann_check_mismatch(check, blkno, invariant, "block %u leads here, but %s", from, fault);
	return false;
}

bool
ann_check_enter(AnnCheck *check, BlockNumber from, BlockNumber blkno)
{
	AnnCheckPage *page = &check->pages[blkno];

	if (page->flags & ANN_CHECK_REACHED)
	{
		ann_check_mismatch(check, blkno, "I-3", "block %u leads to a page that was reached before",
						   from);
		return false;
	}
	page->flags |= ANN_CHECK_REACHED;
	return true;
}

void
ann_check_broken(AnnCheck *check, int kind)
{
	check->broken |= UINT32_C(1) << kind;
}

/* ---- the first pass ---- */

static uint16
used_slots(AnnCheck *check, Page page)
{
	uint16 used = 0;

	for (int slot = 0; slot < ann_admin_slots(&check->model); slot++)
		if (ann_admin_block(&check->model, page, slot)->leaf != ANN_NO_LEAF)
			used |= 1 << slot;
	return used;
}

static void
note_block(AnnCheck *check, Page page, AnnCheckPage *note)
{
	if (PageIsNew(page) || ann_page_is(page, ANN_PAGE_FREE))
	{
		note->flags |= ANN_CHECK_EMPTY;
		return;
	}
	for (int kind = ANN_PAGE_META; kind <= ANN_PAGE_CENTROID_CODES; kind++)
		if (ann_page_is(page, kind))
			note->kind = kind;
	if (note->kind == 0)
		return;
	if (AnnPageGetOpaque(page)->model != 0 && AnnPageGetOpaque(page)->model != check->model.number)
		note->flags |= ANN_CHECK_OTHER_MODEL;
	else if (note->kind == ANN_PAGE_LEAF && check->model.number != 0)
		note->used = used_slots(check, page);
}

static void
see_blocks(AnnCheck *check, BlockNumber end)
{
	PGAlignedBlock copy;

	while (check->num_seen < end)
	{
		CHECK_FOR_INTERRUPTS();
		read_block(check, check->num_seen, &copy);
		note_block(check, copy.data, &check->pages[check->num_seen]);
		check->num_seen++;
	}
}

/*
 * The same in a subtransaction, up to the first block that the buffer manager refuses to read: its
 * header or its checksum is wrong, and it says so by an error. That one error is caught, here,
 * where nothing but reading happens; the walks then keep away from the block.
 */
static void
try_blocks(AnnCheck *check, BlockNumber end)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		see_blocks(check, end);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (error->sqlerrcode != ERRCODE_DATA_CORRUPTED)
			ReThrowError(error);
		FreeErrorData(error);
		check->pages[check->num_seen++].flags |= ANN_CHECK_UNREADABLE;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

static void
first_pass(AnnCheck *check, BlockNumber end)
{
	while (check->num_seen < end)
		try_blocks(check, end);
}

/* ---- what nothing led to ---- */

/*
 * On the primary our lock says that nobody trains, and an insert's node page that its BODY pages
 * are linked. On a standby either may have come half way.
 */
static bool
is_maybe_at_work(const AnnCheckPage *page)
{
	return (page->flags & ANN_CHECK_OTHER_MODEL) != 0 || page->kind == ANN_PAGE_BODY;
}

static void
check_unreached(AnnCheck *check, BlockNumber blkno)
{
	const AnnCheckPage *page = &check->pages[blkno];
	bool lost = (check->broken >> page->kind & 1) != 0;

	if (page->flags & ANN_CHECK_UNREADABLE)
		ann_check_fault(check, blkno, "I-3", "the block cannot be read; nothing refers to it");
	else if (page->kind == 0)
	{
		if (!lost)
			ann_check_mismatch(check, blkno, "I-3", "a page of unknown kind; nothing refers to it");
	}
	else if (check->standby && is_maybe_at_work(page))
		return;
	else if (page->flags & ANN_CHECK_OTHER_MODEL)
		ann_check_mismatch(check, blkno, LEAK,
						   "left over by a training that did not finish; a vacuum frees it");
	else if (!lost && (page->used & ~page->reached) != 0)
		ann_check_unreached_slots(check, blkno);
	else if (!lost && page->kind == ANN_PAGE_BODY)
		ann_check_mismatch(check, blkno, LEAK,
						   "codes of a block that was never finished; a vacuum frees them");
	else if (!lost && page->reached == 0 && (page->flags & ANN_CHECK_OVERFLOW) == 0)
		ann_check_mismatch(check, blkno, "I-3", "a page of kind %d that nothing refers to",
						   page->kind);
}

static void
check_all_unreached(AnnCheck *check)
{
	for (BlockNumber blkno = 0; blkno < check->num_seen; blkno++)
	{
		CHECK_FOR_INTERRUPTS();
		check->free_pages += (check->pages[blkno].flags & ANN_CHECK_EMPTY) != 0;
		if ((check->pages[blkno].flags & (ANN_CHECK_REACHED | ANN_CHECK_EMPTY | ANN_CHECK_WRONG)) ==
			0)
			check_unreached(check, blkno);
	}
}

/* ---- the whole ---- */

static void
check_index(AnnCheck *check, bool heapallindexed)
{
	Snapshot snapshot;

	if (smgrexists(RelationGetSmgr(check->index), MAIN_FORKNUM))
		check->num_blocks = RelationGetNumberOfBlocks(check->index);
	if (check->num_blocks < ANN_FIRST_FREE_BLKNO)
	{
		ann_check_fault(check, InvalidBlockNumber, "I-1",
						"the index has %u blocks, at least %d are needed", check->num_blocks,
						ANN_FIRST_FREE_BLKNO);
		return;
	}
	check->pages = palloc_extended(sizeof(AnnCheckPage) * check->num_blocks,
								   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	first_pass(check, ANN_FIRST_FREE_BLKNO);
	if (!ann_check_meta(check))
		return;
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	first_pass(check, check->num_blocks);
	ann_check_rows_begin(check);
	if (check->model.number != 0)
	{
		ann_check_sections(check);
		ann_check_tree(check);
	}
	ann_check_tids(check, false);
	ann_check_tids(check, true);
	check_all_unreached(check);
	if (heapallindexed)
		ann_check_heap(check, snapshot);
	UnregisterSnapshot(snapshot);
	ann_check_rows_end(check);
}

/* Where replay stands; a record that is being applied now counts as not yet. */
static void
begin_on_standby(AnnCheck *check)
{
	if (check->problems.rows != NULL)
		check->held.rows = tuplestore_begin_heap(false, false, work_mem);
	check->replayed = DatumGetLSN(DirectFunctionCall1(pg_last_wal_replay_lsn, (Datum) 0));
}

/* A check from first to last, by the arguments that both functions have. */
static void
run_check(AnnCheck *check, FunctionCallInfo fcinfo)
{
	bool heapallindexed = PG_GETARG_BOOL(1);
	LOCKMODE lock;

	check->strategy = GetAccessStrategy(BAS_BULKREAD);
	check->standby = ann_admin_on_standby();
	lock = check->standby ? AccessShareLock : ShareUpdateExclusiveLock;
	check->index = ann_admin_open(PG_GETARG_OID(0), lock, false, &check->heap);
	if (heapallindexed && !check->index->rd_index->indisvalid)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("index \"%s\" is not valid", RelationGetRelationName(check->index)),
						errdetail("Rows of the table may be missing from it.")));
	if (check->standby)
		begin_on_standby(check);
	check_index(check, heapallindexed);
	if (check->standby)
		release_held(check);
	ann_admin_close(check->index, check->heap, lock);
}

/*
 * ann_check(index regclass, heapallindexed boolean) returns setof (block bigint, invariant text,
 * problem text): a row for each violated invariant of src/README, none where the index is sound;
 * 'leak' are pages that an unfinished training or insert left. heapallindexed: also that every row
 * of the table that is visible now and belongs in the index is there. Needs SELECT on the table.
 * ShareUpdateExclusiveLock on the table (on a standby AccessShareLock), AccessShareLock on the
 * index, both released at the end. Damage is reported, not raised; errors are those of
 * ann_admin_open, and OBJECT_NOT_IN_PREREQUISITE_STATE for heapallindexed on an invalid index.
 */
ANN_FUNCTION(ann_check);
Datum
ann_check(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	AnnCheck check = {0};

	InitMaterializedSRF(fcinfo, 0);
	check.desc = result->setDesc;
	check.problems.rows = result->setResult;
	run_check(&check, fcinfo);
	return (Datum) 0;
}

/* Columns, in the order of the SQL declaration. */
enum
{
	SUMMARY_NUM_PAGES,
	SUMMARY_FREE_PAGES,
	SUMMARY_LEAKED_PAGES,
	SUMMARY_NUM_LEAVES,
	SUMMARY_NUM_ENTRIES,
	SUMMARY_SECONDARY_ENTRIES,
	SUMMARY_EXACT_ROWS,
	SUMMARY_NULL_ROWS,
	SUMMARY_TABLE_ROWS,
	SUMMARY_NUM_PROBLEMS,
	SUMMARY_IS_WHOLE,
	SUMMARY_COLUMNS
};

/*
 * ann_check_summary(index regclass, heapallindexed boolean) returns one row: the same check, and
 * what it has looked at and found instead of each problem. num_pages, free_pages, leaked_pages: of
 * the index; num_entries: in leaves, secondary_entries of them; table_rows: those visible rows of
 * the table that belong in the index, NULL without heapallindexed; num_problems: but for leaks;
 * is_whole: false on a standby where the index changed meanwhile. Damage may keep what lies behind
 * it from being counted. Privileges, locks and errors are those of ann_check.
 */
ANN_FUNCTION(ann_check_summary);
Datum
ann_check_summary(PG_FUNCTION_ARGS)
{
	Datum values[SUMMARY_COLUMNS];
	bool nulls[SUMMARY_COLUMNS] = {false};
	AnnCheck check = {0};
	const int64 *found = check.found;
	TupleDesc desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	run_check(&check, fcinfo);
	values[SUMMARY_NUM_PAGES] = Int64GetDatum(check.num_blocks);
	values[SUMMARY_FREE_PAGES] = Int64GetDatum(check.free_pages);
	values[SUMMARY_LEAKED_PAGES] = Int64GetDatum(check.problems.leaks);
	values[SUMMARY_NUM_LEAVES] = Int64GetDatum(check.num_leaves);
	values[SUMMARY_NUM_ENTRIES] = Int64GetDatum(found[ANN_ROW_PRIMARY] + found[ANN_ROW_SECONDARY]);
	values[SUMMARY_SECONDARY_ENTRIES] = Int64GetDatum(found[ANN_ROW_SECONDARY]);
	values[SUMMARY_EXACT_ROWS] = Int64GetDatum(found[ANN_ROW_EXACT]);
	values[SUMMARY_NULL_ROWS] = Int64GetDatum(found[ANN_ROW_NULL_LEAF]);
	values[SUMMARY_TABLE_ROWS] = Int64GetDatum(found[ANN_ROW_HEAP] + found[ANN_ROW_HEAP_NULL]);
	nulls[SUMMARY_TABLE_ROWS] = !PG_GETARG_BOOL(1);
	values[SUMMARY_NUM_PROBLEMS] = Int64GetDatum(check.problems.num);
	values[SUMMARY_IS_WHOLE] = BoolGetDatum(!check.changed);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
