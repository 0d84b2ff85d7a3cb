/*
 * admin.c
 *	  Opening an annivf index for a look at it.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "compat.h"

#include "admin/admin.h"
#include "am/am.h"
#include "am/owner.h"

/*
 * Asked of the snapshot, as the header that declares RecoveryInProgress() belongs to store/wal.c. A
 * transaction that began before a promotion goes on as on a standby, which is the careful side.
 */
bool
ann_admin_on_standby(void)
{
	return GetActiveSnapshot()->takenDuringRecovery;
}

static void
check_privileges(Oid heap_oid, bool reveals_rows)
{
	AclResult result = pg_class_aclcheck(heap_oid, GetUserId(), ACL_SELECT);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_TABLE, get_rel_name(heap_oid));
	if (reveals_rows && check_enable_rls(heap_oid, InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("row-level security hides rows of table \"%s\" from this user",
							   get_rel_name(heap_oid)),
						errdetail("The function reveals what all rows of the table add up to.")));
}

static void
check_index(Relation index)
{
	const char *name = RelationGetRelationName(index);

	if (index->rd_rel->relkind == RELKIND_PARTITIONED_INDEX)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is a partitioned index", name),
				 errhint("Look at the indexes of its partitions.")));
	if (index->rd_rel->relkind != RELKIND_INDEX || index->rd_indam->ambuild != annivf_build)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not an annivf index", name)));
	if (!index->rd_index->indisready)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("index \"%s\" has not been built", name)));
	if (RELATION_IS_OTHER_TEMP(index))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot access temporary indexes of other sessions")));
	if (ann_admin_on_standby() && index->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot access unlogged indexes during recovery")));
}

/* Privileges come before the lock, so that nobody can hold up a table that is closed to him. */
Relation
ann_admin_open(Oid index_oid, LOCKMODE heap_lock, bool reveals_rows, Relation *heap)
{
	Oid heap_oid = IndexGetRelation(index_oid, true);
	Relation index;

	if (!OidIsValid(heap_oid))
	{
		const char *name = get_rel_name(index_oid);

		if (name == NULL)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
							errmsg("index with OID %u does not exist", index_oid)));
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not an index", name)));
	}
	check_privileges(heap_oid, reveals_rows);
	*heap = table_open(heap_oid, heap_lock);
	index = index_open(index_oid, AccessShareLock);
	if (IndexGetRelation(index_oid, true) != heap_oid)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("index with OID %u does not exist", index_oid)));
	check_privileges(heap_oid, reveals_rows);
	check_index(index);
	return index;
}

void
ann_admin_scan_rows(Relation heap, Relation index, Snapshot snapshot, IndexBuildCallback visit,
					void *arg)
{
	IndexInfo *info = BuildIndexInfo(index);
	TableScanDesc scan;
	AnnOwner owner;

	ann_owner_begin(&owner, heap);
	info->ii_Concurrent = true; /* as CREATE INDEX CONCURRENTLY: by an MVCC snapshot */
	scan = table_beginscan_strat(heap, snapshot, 0, NULL, true, false);
	table_index_build_scan(heap, index, info, false, false, visit, arg, scan);
	ann_owner_end(&owner);
}

void
ann_admin_close(Relation index, Relation heap, LOCKMODE heap_lock)
{
	index_close(index, AccessShareLock);
	table_close(heap, heap_lock);
}
