/*
 * train.c
 *	  An index that grew from an empty table becomes good by itself: the rows of its exact leaf are
 *	  trained on, coded, and moved into leaves, with readers and writers at work.
 *
 * NOTES
 *	  Runs in amvacuumcleanup or ann_train(), under ShareUpdateExclusiveLock on the table: no vacuum
 *	  removes row identifiers meanwhile, so every one that was read still means the same row.
 *
 *	  1. A model number is taken (one record), so that pages of a training that does not finish can
 *	  be told from those of a model in force.
 *	  2. Model, leaves and tree are written to new pages that nothing refers to. Each row that is
 *	  coded gets the flag "moved" in the exact leaf; rows that are not committed or already deleted,
 *	  and rows that came since, do not, and stay there.
 *	  3. The metapage names the model (one record). Scans of the old metapage read the whole exact
 *	  leaf and ignore the flags; scans of the new one read the leaves and ignore flagged rows:
 *	  either way every row once.
 *	  4. Flagged rows are erased, empty pages unlinked. A crash in between leaves flagged rows that
 *	  scans ignore and the next vacuum erases.
 *
 *	  Rows are seen as they are when they are fetched (SnapshotSelf), and each is detoasted at once.
 *	  A parallel vacuum can take no snapshot; and one taken earlier would show rows that are dead by
 *	  now, whose TOAST chunks others may prune, as the snapshots of a vacuum hold back nobody. The
 *	  TOAST table is locked against vacuum besides.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "commands/vacuum.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/buffile.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "am/build.h"
#include "am/encode.h"
#include "am/owner.h"
#include "am/support.h"
#include "am/train.h"
#include "core/rng.h"
#include "faultpoint.h"
#include "store/find.h"
#include "store/tids.h"

/* ---- rows by their identifiers ---- */

void
ann_fetcher_init(AnnFetcher *fetcher, Relation heap, Relation index)
{
	fetcher->heap = heap;
	fetcher->index = index;
	fetcher->num_blocks = 0;
	fetcher->index_info = BuildIndexInfo(index);
	fetcher->estate = CreateExecutorState();
	fetcher->slot = table_slot_create(heap, NULL);
	GetPerTupleExprContext(fetcher->estate)->ecxt_scantuple = fetcher->slot;
	fetcher->fetch = table_index_fetch_begin(heap);
}

void
ann_fetcher_free(AnnFetcher *fetcher)
{
	table_index_fetch_end(fetcher->fetch);
	ExecDropSingleTupleTableSlot(fetcher->slot);
	FreeExecutorState(fetcher->estate);
}

/*
 * The table cannot have shrunk (that takes our lock), but may have grown since it was last asked.
 */
static void
check_tid(AnnFetcher *fetcher, const ItemPointerData *tid)
{
	BlockNumber blkno = ItemPointerGetBlockNumberNoCheck(tid);

	if (blkno < fetcher->num_blocks)
		return;
	fetcher->num_blocks = RelationGetNumberOfBlocks(fetcher->heap);
	if (blkno >= fetcher->num_blocks)
		ann_row_corrupted(fetcher->index, ann_tid_from_pointer(tid),
						  psprintf("it points to block %u of table \"%s\", which has %u blocks",
								   blkno, RelationGetRelationName(fetcher->heap),
								   fetcher->num_blocks));
}

bool
ann_fetcher_get(AnnFetcher *fetcher, const ItemPointerData *tid, Datum *value, bool *isnull)
{
	ItemPointerData copy =
		*tid; /* the fetch overwrites it with the visible member of a HOT chain */
	Datum values[INDEX_MAX_KEYS];
	bool nulls[INDEX_MAX_KEYS];
	bool again = false;
	bool all_dead = false;

	check_tid(fetcher, tid);
	ResetPerTupleExprContext(fetcher->estate);
	if (!table_index_fetch_tuple(fetcher->fetch, &copy, SnapshotSelf, fetcher->slot, &again,
								 &all_dead))
		return false;
	FormIndexDatum(fetcher->index_info, fetcher->slot, fetcher->estate, values, nulls);
	*value = values[0];
	*isnull = nulls[0];
	return true;
}

void
ann_fetcher_release(AnnFetcher *fetcher)
{
	ExecClearTuple(fetcher->slot);
	table_index_fetch_reset(fetcher->fetch);
}

/* ---- the exact leaf as a source of rows ---- */

typedef struct ExactSource
{
	AnnRowSource base;
	AnnBuilder *builder;
	AnnFetcher fetcher;
	double num_rows;
	BlockNumber num_pages; /* read of the chain in this pass */
	AnnTid tids[ANN_TIDS_PER_PAGE];
	bool moved[ANN_TIDS_PER_PAGE];
	BufFile *coded; /* rows that were coded, in the order of the exact leaf */
} ExactSource;

/* Reads the next page of the chain into source->tids; nobody unlinks while vacuum is excluded. */
static int
next_page(ExactSource *source, BlockNumber *blkno)
{
	BlockNumber here = *blkno;
	int num;

	ann_vacuum_delay();
	ann_tids_check_circle(source->builder->index, here, &source->num_pages);
	num = ann_tids_read(source->builder->index, false, blkno, source->tids);
	if (num < 0)
		ann_page_corrupted(source->builder->index, here, "a page of the exact leaf");
	return num;
}

static double
exact_count(AnnRowSource *base)
{
	ExactSource *source = (ExactSource *) base;
	BlockNumber blkno = ANN_EXACT_BLKNO;

	source->num_rows = 0;
	source->num_pages = 0;
	while (blkno != InvalidBlockNumber)
		source->num_rows += next_page(source, &blkno);
	return source->num_rows;
}

/* Fetches one row and shows it; false when there is none now. */
static bool
visit_row(ExactSource *source, AnnTid tid, AnnRowVisitor visit, void *arg)
{
	ItemPointerData pointer;
	Datum value;
	bool isnull;
	bool found;

	ann_vacuum_delay(); /* with a pin on a page of the table at most, for which nobody waits */
	tid.offset &= ~ANN_TID_FLAGS;
	ann_tid_to_pointer(tid, &pointer);
	found = ann_fetcher_get(&source->fetcher, &pointer, &value, &isnull) && !isnull;
	if (found)
		visit(arg, &pointer, value, isnull);
	return found;
}

/* Selection sampling (Knuth, algorithm S): each row with the chance that is left for it. */
static void
exact_sample(AnnRowSource *base, double num_rows, AnnRowVisitor visit, void *arg)
{
	ExactSource *source = (ExactSource *) base;
	BlockNumber blkno = ANN_EXACT_BLKNO;
	double wanted = num_rows;
	double left = Max(source->num_rows, 1);
	AnnRng rng;

	ann_rng_seed(&rng, source->builder->options.seed + UINT64_C(0x6578616374));
	source->num_pages = 0;
	while (blkno != InvalidBlockNumber && wanted > 0)
	{
		int num = next_page(source, &blkno);

		for (int i = 0; i < num; i++)
		{
			if (ann_rng_unit(&rng) * left < wanted &&
				visit_row(source, source->tids[i], visit, arg))
				wanted -= 1;
			left = Max(left - 1, 1);
		}
		ann_fetcher_release(&source->fetcher);
	}
}

/* A row was coded: its page is flagged once all are. */
static void
note_coded(void *arg, ItemPointer tid)
{
	ExactSource *source = arg;
	AnnTid coded = ann_tid_from_pointer(tid);

	BufFileWrite(source->coded, &coded, sizeof(coded));
}

static void
ignore_row(void *arg, ItemPointer tid)
{
}

/* Shows every visible row to the coder. */
static double
exact_scan(AnnRowSource *base, AnnRowVisitor visit, void *arg)
{
	ExactSource *source = (ExactSource *) base;
	BlockNumber blkno = ANN_EXACT_BLKNO;
	double num_rows = 0;

	source->num_pages = 0;
	while (blkno != InvalidBlockNumber)
	{
		int num = next_page(source, &blkno);

		for (int i = 0; i < num; i++)
			num_rows += visit_row(source, source->tids[i], visit, arg);
		ann_fetcher_release(&source->fetcher);
	}
	return num_rows;
}

/*
 * Flags every coded row in the exact leaf, and clears what an earlier attempt flagged. The coder
 * tells of rows in the order in which it is shown them, and pages that came since hold none of
 * them, so the two sequences merge.
 */
static void
mark_moved(ExactSource *source)
{
	BlockNumber blkno = ANN_EXACT_BLKNO;
	AnnTid next;
	bool more;

	if (BufFileSeek(source->coded, 0, 0, SEEK_SET) != 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not rewind temporary file")));
	more = BufFileRead(source->coded, &next, sizeof(next)) == sizeof(next);
	source->num_pages = 0;
	while (blkno != InvalidBlockNumber)
	{
		BlockNumber here = blkno;
		int num = next_page(source, &blkno);

		for (int i = 0; i < num; i++)
		{
			AnnTid tid = source->tids[i];

			tid.offset &= ~ANN_TID_FLAGS;
			source->moved[i] = more && memcmp(&tid, &next, sizeof(tid)) == 0;
			if (source->moved[i])
				more = BufFileRead(source->coded, &next, sizeof(next)) == sizeof(next);
		}
		ann_tids_mark_page(source->builder->index, here, source->moved, num);
	}
	if (more)
		elog(ERROR, "rows vanished from the exact leaf of index \"%s\" during training",
			 RelationGetRelationName(source->builder->index));
}

/* ---- training ---- */

/* Keeps other vacuums off the TOAST table; false if that would mean to wait and we must not. */
static bool
lock_toast(Relation heap, bool wait)
{
	Oid toast = heap->rd_rel->reltoastrelid;

	if (!OidIsValid(toast))
		return true;
	if (!wait)
		return ConditionalLockRelationOid(toast, ShareUpdateExclusiveLock);
	LockRelationOid(toast, ShareUpdateExclusiveLock);
	return true;
}

static void
unlock_toast(Relation heap)
{
	if (OidIsValid(heap->rd_rel->reltoastrelid))
		UnlockRelationOid(heap->rd_rel->reltoastrelid, ShareUpdateExclusiveLock);
}

/* A number that no page of an earlier, unfinished training bears. */
static void
take_model_number(AnnBuilder *builder)
{
	builder->meta.next_model++;
	ann_meta_write(builder->index, &builder->meta, true);
	builder->meta.model = builder->meta.next_model - 1;
}

static bool
not_moved(AnnTid tid, void *arg)
{
	return (tid.offset & ANN_TID_MOVED) == 0;
}

void
ann_train_erase_moved(Relation index)
{
	BlockNumber blkno = ANN_EXACT_BLKNO;
	BlockNumber num_pages = 0;

	while (blkno != InvalidBlockNumber)
	{
		Buffer buffer;

		ann_vacuum_delay();
		ann_tids_check_circle(index, blkno, &num_pages);
		buffer = ann_page_read(index, blkno, BUFFER_LOCK_EXCLUSIVE);
		ann_tids_filter_page(index, buffer, not_moved, NULL);
		blkno = AnnPageGetOpaque(BufferGetPage(buffer))->next;
		UnlockReleaseBuffer(buffer);
	}
	ann_tids_trim(index);
}

/* Trains on the source and puts the model into force; false when there is too little to train on.
 */
static bool
train_and_switch(AnnBuilder *builder, ExactSource *source)
{
	take_model_number(builder);
	if (!ann_trainer_run(builder, 1))
		return false;
	ANN_FAULT("train-code");
	ann_coder_run(builder);
	ANN_FAULT("train-mark");
	mark_moved(source);
	ANN_FAULT("train-switch");
	ann_meta_write(builder->index, &builder->meta, true);
	return true;
}

bool
ann_train_index(Relation heap, Relation index, double min_rows, bool wait)
{
	AnnBuilder builder;
	ExactSource source = {.base = {exact_count, exact_sample, exact_scan}};
	bool enough;
	bool trained = false;

	ann_builder_init(&builder, index);
	source.builder = &builder;
	builder.source = &source.base;
	builder.log_pages = true;
	builder.exact_row = ignore_row;
	builder.coded_row = note_coded;
	builder.null_row = ignore_row;
	builder.row_arg = &source;
	/*
	 * The first row sets the dimensions of the metapage, which is written back later: count first.
	 */
	enough = exact_count(&source.base) > min_rows;
	ann_index_meta(index, &builder.meta);
	if (builder.meta.model == 0 && enough && lock_toast(heap, wait))
	{
		source.coded = BufFileCreateTemp(false);
		ann_fetcher_init(&source.fetcher, heap, index);
		trained = train_and_switch(&builder, &source);
		ann_fetcher_free(&source.fetcher);
		BufFileClose(source.coded);
		unlock_toast(heap);
	}
	ann_builder_free(&builder);
	ANN_FAULT("train-erase");
	if (trained)
		ann_train_erase_moved(index);
	return trained;
}

/* ---- absorption ---- */

/* Moves one row, if it is visible and can be coded. */
static void
absorb_row(AnnFetcher *fetcher, const AnnTypeSupport *support, const AnnMetaData *meta,
		   BlockNumber blkno, AnnTid tid)
{
	AnnTidsPlace place = {.blkno = blkno};
	struct varlena *detoasted;
	Datum value;
	bool isnull;

	tid.offset &= ~ANN_TID_FLAGS;
	ann_tid_to_pointer(tid, &place.tid);
	if (!ann_fetcher_get(fetcher, &place.tid, &value, &isnull) || isnull)
		return;
	detoasted = PG_DETOAST_DATUM(value);
	if (support->dim(detoasted) == (int) meta->dim)
		(void) ann_encode_and_append(fetcher->index, support, ann_model_get(fetcher->index, meta),
									 detoasted, &place.tid, &place);
}

/* Moves the rows of one page of the exact leaf; context is reset per row. */
static void
absorb_page(AnnFetcher *fetcher, const AnnTypeSupport *support, const AnnMetaData *meta,
			BlockNumber blkno, const AnnTid *tids, int num, MemoryContext context)
{
	for (int i = 0; i < num; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		ann_vacuum_delay();
		if ((tids[i].offset & ANN_TID_MOVED) == 0)
			absorb_row(fetcher, support, meta, blkno, tids[i]);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	ann_fetcher_release(fetcher);
}

void
ann_train_absorb(Relation heap, Relation index)
{
	const AnnTypeSupport *support = ann_support_get(index);
	BlockNumber blkno = ANN_EXACT_BLKNO;
	BlockNumber num_pages = 0;
	MemoryContext context;
	AnnFetcher fetcher;
	AnnMetaData meta;
	AnnTid *tids;

	ann_index_meta(index, &meta);
	if (meta.model == 0 || !lock_toast(heap, false))
		return;
	context = AllocSetContextCreate(CurrentMemoryContext, "ann absorb", ALLOCSET_DEFAULT_SIZES);
	tids = palloc(sizeof(AnnTid) * ANN_TIDS_PER_PAGE);
	ann_fetcher_init(&fetcher, heap, index);
	while (blkno != InvalidBlockNumber)
	{
		BlockNumber here = blkno;
		int num = ann_tids_read(index, false, &blkno, tids);

		ann_tids_check_circle(index, here, &num_pages);
		if (num < 0)
			ann_page_corrupted(index, here, "a page of the exact leaf");
		absorb_page(&fetcher, support, &meta, here, tids, num, context);
	}
	ann_fetcher_free(&fetcher);
	unlock_toast(heap);
	pfree(tids);
	MemoryContextDelete(context);
	ANN_FAULT("absorb-trim");
	ann_tids_trim(index);
}

/* ---- SQL ---- */

ANN_FUNCTION(ann_train);

static ANN_NORETURN void
not_an_index(Oid oid)
{
	const char *name = get_rel_name(oid);

	if (name == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation with OID %u does not exist", oid)));
	ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not an index", name)));
}

/* The caller must own the index. */
static void
check_ownership(Oid index)
{
	if (!ann_owns_relation(index))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX, get_rel_name(index));
}

/*
 * Opens an annivf index and its table, locked as VACUUM would. Ownership comes before the lock, so
 * that nobody can hold up a table of others, and again behind it, as it may have changed meanwhile.
 */
static Relation
open_for_training(Oid index_oid, Relation *heap)
{
	Oid heap_oid = IndexGetRelation(index_oid, true);
	Relation index;

	if (!OidIsValid(heap_oid))
		not_an_index(index_oid);
	check_ownership(index_oid);
	*heap = table_open(heap_oid, ShareUpdateExclusiveLock);
	index = index_open(index_oid, RowExclusiveLock);
	if (index->rd_rel->relkind != RELKIND_INDEX || index->rd_indam->ambuild != annivf_build)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not an annivf index", RelationGetRelationName(index)),
						index->rd_rel->relkind == RELKIND_PARTITIONED_INDEX
							? errhint("Train the indexes of the partitions.")
							: 0));
	check_ownership(index_oid);
	return index;
}

/*
 * ann_train(index regclass) returns boolean: trains an untrained index now, whatever its size (one
 * codable row at least), as a vacuum would above 10,000 rows; true if it did, false where it
 * already is trained or has nothing to train on. Holds ShareUpdateExclusiveLock on the table:
 * readers and writers go on, vacuum and other DDL wait. Index expressions run as the table's owner.
 */
Datum
ann_train(PG_FUNCTION_ARGS)
{
	Relation heap;
	Relation index;
	AnnOwner owner;
	bool trained;

	PreventCommandDuringRecovery("ann_train()");
	index = open_for_training(PG_GETARG_OID(0), &heap);
	ann_owner_begin(&owner, heap);
	trained = ann_train_index(heap, index, 0, true);
	ann_owner_end(&owner);
	index_close(index, RowExclusiveLock);
	table_close(heap, ShareUpdateExclusiveLock);
	PG_RETURN_BOOL(trained);
}
