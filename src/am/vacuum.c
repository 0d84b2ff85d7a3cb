/*
 * vacuum.c
 *	  Removing dead rows, in physical order; and what a vacuum does for an index besides: training
 *	  it, taking rows out of the exact leaf, reusing pages.
 *
 * NOTES
 *	  Entries never move while a vacuum may run (blocks are appended to, never compacted; training
 *	  and absorption exclude vacuum), so one pass over the blocks of the file meets every entry that
 *	  was there when it began, without following a chain. Pages are locked exclusively one at a
 *	  time; no cleanup lock is needed, as scans use MVCC snapshots only: a row identifier that a
 *	  scan copied before its row was removed leads it to nothing that its snapshot sees.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/index.h"
#include "commands/vacuum.h"
#include "miscadmin.h"
#include "storage/indexfsm.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "am/am.h"
#include "am/support.h"
#include "am/train.h"
#include "faultpoint.h"
#include "store/body.h"
#include "store/leaf.h"
#include "store/tids.h"

typedef struct Vacuum
{
	IndexVacuumInfo *info;
	Relation index;
	IndexBulkDeleteResult *stats;
	IndexBulkDeleteCallback callback; /* NULL: only count */
	void *callback_state;
	AnnMetaData meta;
	const AnnModel *model; /* &copy; NULL while untrained */
	AnnModel copy;         /* of the one in the relation's cache, which a delay point may empty */
	AnnLeafVacuum leaf;
	AnnBodyPages bodies; /* where blocks are long */
	double exact;        /* rows that stay in the exact leaf */
	double nulls;
	BlockNumber free_pages;
} Vacuum;

static bool
row_is_dead(ItemPointer tid, void *arg)
{
	Vacuum *vacuum = arg;

	return vacuum->callback(tid, vacuum->callback_state);
}

/* Rows of the exact leaf that a training has moved are in the leaves: they go, uncounted. */
static bool
keep_tid(AnnTid tid, void *arg)
{
	Vacuum *vacuum = arg;
	ItemPointerData pointer;
	bool moved = (tid.offset & ANN_TID_MOVED) != 0;

	if (moved && vacuum->meta.model != 0)
		return false;
	tid.offset &= ~ANN_TID_FLAGS;
	ann_tid_to_pointer(tid, &pointer);
	if (vacuum->callback == NULL || !vacuum->callback(&pointer, vacuum->callback_state))
		return true;
	vacuum->stats->tuples_removed += 1;
	return false;
}

static void
vacuum_tids(Vacuum *vacuum, Buffer buffer)
{
	bool null_leaf =
		((AnnTidsPageHeader *) ann_page_payload(BufferGetPage(buffer)))->null_leaf != 0;
	double kept = ann_tids_filter_page(vacuum->index, buffer, keep_tid, vacuum);

	*(null_leaf ? &vacuum->nulls : &vacuum->exact) += kept;
}

/*
 * A page of a model that never came into force: a training did not finish. None runs now, as that
 * takes the lock that vacuum holds.
 */
static bool
is_left_over(Vacuum *vacuum, Buffer buffer)
{
	uint32 model = AnnPageGetOpaque(BufferGetPage(buffer))->model;

	if (model == 0 || model >= vacuum->meta.next_model)
		ann_page_corrupted(vacuum->index, BufferGetBlockNumber(buffer),
						   "a page of an impossible model number");
	return model != vacuum->meta.model;
}

/* A page that belongs to a model. */
static void
vacuum_model_page(Vacuum *vacuum, Buffer buffer)
{
	Page page = BufferGetPage(buffer);

	if (!ann_page_is(page, ANN_PAGE_SECTION) && !ann_page_is(page, ANN_PAGE_NODE) &&
		!ann_page_is(page, ANN_PAGE_NODE_REST) && !ann_page_is(page, ANN_PAGE_LEAF) &&
		!ann_page_is(page, ANN_PAGE_BODY) && !ann_page_is(page, ANN_PAGE_CENTROID_CODES))
		ann_page_corrupted(vacuum->index, BufferGetBlockNumber(buffer), "a page of unknown kind");
	if (is_left_over(vacuum, buffer))
	{
		ann_page_free(vacuum->index, buffer);
		vacuum->free_pages++;
		return;
	}
	if (vacuum->model->slots_per_page == 0)
		ann_bodies_note(&vacuum->bodies, vacuum->model, buffer);
	if (ann_page_is(page, ANN_PAGE_LEAF))
		ann_leaf_vacuum_page(vacuum->index, vacuum->model, buffer, &vacuum->leaf);
}

static void
vacuum_page(Vacuum *vacuum, BlockNumber blkno)
{
	Buffer buffer =
		ann_page_read_ring(vacuum->index, blkno, BUFFER_LOCK_EXCLUSIVE, vacuum->info->strategy);
	Page page = BufferGetPage(buffer);

	/* The fixed pages are what they are, never free. */
	if (blkno < ANN_FIRST_FREE_BLKNO)
		(void) ann_page_get(vacuum->index, buffer,
							blkno == ANN_META_BLKNO ? ANN_PAGE_META : ANN_PAGE_TIDS, 0);
	if (PageIsNew(page) || ann_page_is(page, ANN_PAGE_FREE))
	{
		RecordFreeIndexPage(vacuum->index, blkno);
		vacuum->free_pages++;
	}
	else if (ann_page_is(page, ANN_PAGE_TIDS))
		vacuum_tids(vacuum, buffer);
	else if (blkno != ANN_META_BLKNO)
		vacuum_model_page(vacuum, buffer);
	UnlockReleaseBuffer(buffer);
}

/* Visits every block, also those that came while it went. */
static void
vacuum_blocks(Vacuum *vacuum)
{
	BlockNumber num_blocks = 0;

	for (BlockNumber blkno = 0;; blkno++)
	{
		if (blkno >= num_blocks)
		{
			if (!RELATION_IS_LOCAL(vacuum->index))
				LockRelationForExtension(vacuum->index, ExclusiveLock);
			num_blocks = RelationGetNumberOfBlocks(vacuum->index);
			if (!RELATION_IS_LOCAL(vacuum->index))
				UnlockRelationForExtension(vacuum->index, ExclusiveLock);
			if (blkno >= num_blocks)
				break;
		}
		ann_vacuum_delay();
		ANN_FAULT("vacuum-page");
		vacuum_page(vacuum, blkno);
	}
	vacuum->stats->num_pages = num_blocks;
}

static void
vacuum_init(Vacuum *vacuum, IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
			IndexBulkDeleteCallback callback, void *callback_state)
{
	memset(vacuum, 0, sizeof(*vacuum));
	vacuum->info = info;
	vacuum->index = info->index;
	vacuum->stats = stats != NULL ? stats : palloc0(sizeof(IndexBulkDeleteResult));
	vacuum->callback = callback;
	vacuum->callback_state = callback_state;
	ann_index_meta(info->index, &vacuum->meta);
	if (vacuum->meta.model == 0)
		return;
	vacuum->leaf.dead = callback != NULL ? row_is_dead : NULL;
	vacuum->leaf.dead_arg = vacuum;
	vacuum->leaf.num_bits = vacuum->meta.next_leaf;
	vacuum->leaf.stale = palloc0(vacuum->meta.next_leaf / 8 + 1);
}

static IndexBulkDeleteResult *
run_pass(Vacuum *vacuum)
{
	bool is_long;

	if (vacuum->meta.model != 0)
	{
		vacuum->copy = *ann_model_get(vacuum->index, &vacuum->meta);
		vacuum->model = &vacuum->copy;
	}
	is_long = vacuum->model != NULL && vacuum->model->slots_per_page == 0;
	if (is_long)
		ann_bodies_begin(&vacuum->bodies, vacuum->index);
	vacuum_blocks(vacuum);
	ANN_FAULT("vacuum-hints");
	if (vacuum->leaf.removed > 0)
		ann_leaf_reset_hints(vacuum->index, vacuum->model, vacuum->leaf.stale,
							 vacuum->leaf.first_leaf, vacuum->leaf.num_bits);
	if (is_long)
		vacuum->free_pages +=
			ann_bodies_end(&vacuum->bodies, vacuum->index, vacuum->model, vacuum->info->strategy);
	vacuum->stats->pages_free = vacuum->free_pages;
	vacuum->stats->tuples_removed += vacuum->leaf.removed;
	vacuum->stats->num_index_tuples = vacuum->leaf.kept + vacuum->exact + vacuum->nulls;
	vacuum->stats->estimated_count = false;
	IndexFreeSpaceMapVacuum(vacuum->index);
	if (vacuum->leaf.stale != NULL)
		pfree(vacuum->leaf.stale);
	return vacuum->stats;
}

IndexBulkDeleteResult *
annivf_bulkdelete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
				  IndexBulkDeleteCallback callback, void *callback_state)
{
	Vacuum vacuum;

	vacuum_init(&vacuum, info, stats, callback, callback_state);
	return run_pass(&vacuum);
}

/* Trains an index that has outgrown its exact leaf, or takes rows out of it that can be coded. */
static void
maintain(IndexVacuumInfo *info)
{
	Oid heap_oid = ann_vacuum_heap_oid(info);
	Relation heap = table_open(heap_oid, NoLock);
	AnnMetaData meta;

	ann_index_meta(info->index, &meta);
	if (meta.model == 0)
		ann_train_index(heap, info->index, ANN_TRAIN_ROWS, false);
	else if (!ann_tids_is_empty(info->index, false))
	{
		ann_train_erase_moved(info->index);
		ann_train_absorb(heap, info->index);
	}
	table_close(heap, NoLock);
}

/* Has a training not come to its end? Its pages are then still there. */
static bool
has_left_over(Relation index)
{
	AnnMetaData meta;

	ann_index_meta(index, &meta);
	return meta.next_model > meta.model + 1;
}

/*
 * Without dead rows there is no pass, but after a training that was cut short: the number of
 * entries is then the table's, as far as known.
 */
IndexBulkDeleteResult *
annivf_vacuumcleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats)
{
	if (info->analyze_only)
		return stats;
	if (stats == NULL && has_left_over(info->index))
		stats = annivf_bulkdelete(info, NULL, NULL, NULL);
	else if (stats == NULL)
	{
		stats = palloc0(sizeof(IndexBulkDeleteResult));
		stats->num_index_tuples = info->num_heap_tuples;
		stats->estimated_count = true;
	}
	maintain(info);
	stats->num_pages = RelationGetNumberOfBlocks(info->index);
	return stats;
}
