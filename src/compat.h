/*
 * compat.h
 *	  What differs between PostgreSQL 15, 16, 17 and 18; the only file that looks at PG_VERSION_NUM.
 *
 * NOTES
 *	  Include it right after the server's headers. Everything is written against the newest server;
 *	  the older ones are bent towards it here. tools/check_layers refuses PG_VERSION_NUM elsewhere.
 *
 *	  Exported symbols. The library is built with -fvisibility=hidden, so that nothing of ours can
 *	  take the place of a symbol of another extension loaded beside it (PostgreSQL loads with
 *	  RTLD_GLOBAL). From 16 on the server does this to every extension and marks what it must find;
 *	  on 15 PGDLLEXPORT is empty, and PG_FUNCTION_INFO_V1 does not mark the function itself. fmgr.h
 *	  uses PGDLLEXPORT only inside its macros, which expand in *our* files: giving it a meaning
 *	  here, after the server's headers, is enough for Pg_magic_func and pg_finfo_*, with gcc and
 *	  clang alike, and needs no flag (so it holds for the bitcode as well, which clang compiles
 *	  without CFLAGS). ANN_FUNCTION marks the function.
 */
#ifndef ANN_COMPAT_H
#define ANN_COMPAT_H

#include "fmgr.h"

#include "faultpoint.h"

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "ann is written for PostgreSQL 15 to 18"
#endif

/* Visibility on 15. Windows has a meaning of its own for it, on every version. */
#if PG_VERSION_NUM < 160000 && !defined(_WIN32)
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

/*
 * ANN_FUNCTION(ann_x); in place of PG_FUNCTION_INFO_V1 before every function that SQL calls. Their
 * C names are ann_<SQL name>, whatever the SQL name starts with.
 */
#define ANN_FUNCTION(name)                                                                         \
	extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS);                                               \
	PG_FUNCTION_INFO_V1(name)

/* 18 shows name and version in pg_get_loaded_modules(). */
#if PG_VERSION_NUM >= 180000
#define ANN_MODULE_MAGIC(module, release)                                                          \
	PG_MODULE_MAGIC_EXT(.name = (module), .version = (release))
#else
#define ANN_MODULE_MAGIC(module, release) PG_MODULE_MAGIC
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#else
#include "storage/relfilenode.h"

/* No soft errors: an input function's error is always an error. */
#define ereturn(context, dummy, ...)                                                               \
	do                                                                                             \
	{                                                                                              \
		(void) (context);                                                                          \
		ereport(ERROR, __VA_ARGS__);                                                               \
	} while (0)

#define RelFileLocator RelFileNode
#define rd_locator rd_node
#endif

/* The number of a relation's file. */
#if PG_VERSION_NUM >= 160000
#define ANN_RELATION_NUMBER(relation) ((relation)->rd_locator.relNumber)
#else
#define ANN_RELATION_NUMBER(relation) ((relation)->rd_node.relNode)
#endif

/* extern ANN_NORETURN void f(void); in front of the type, where every version takes it. */
#if PG_VERSION_NUM >= 180000
#define ANN_NORETURN pg_noreturn
#else
#define ANN_NORETURN pg_attribute_noreturn()
#endif

/* Would ann_vacuum_delay() rest now? (Workers of a parallel vacuum reckon together: perhaps.) */
#if PG_VERSION_NUM >= 160000
#define ann_vacuum_limit() vacuum_cost_limit
#else
#define ann_vacuum_limit() VacuumCostLimit
#endif
#define ann_vacuum_delay_is_due()                                                                  \
	(VacuumCostActive &&                                                                           \
	 (VacuumSharedCostBalance != NULL || VacuumCostBalance >= ann_vacuum_limit()))

/* Code that uses it includes commands/vacuum.h, and holds no lock of a page. */
#if PG_VERSION_NUM >= 180000
#define ann_vacuum_delay() (ANN_UNLOCKED("delay"), vacuum_delay_point(false))
#else
#define ann_vacuum_delay() (ANN_UNLOCKED("delay"), vacuum_delay_point())
#endif

/* One index search, for EXPLAIN ANALYZE; stands next to pgstat_count_index_scan. */
#if PG_VERSION_NUM >= 180000
#define ANN_COUNT_SEARCH(scan)                                                                     \
	do                                                                                             \
	{                                                                                              \
		if ((scan)->instrument)                                                                    \
			(scan)->instrument->nsearches++;                                                       \
	} while (0)
#else
#define ANN_COUNT_SEARCH(scan) ((void) (scan))
#endif

/*
 * Shared memory by name, made by whoever asks first. Before 17 there is none but for preloaded
 * libraries.
 */
#if PG_VERSION_NUM >= 170000
#include "storage/dsm_registry.h"
#define ANN_NAMED_MEMORY true
#else
#define ANN_NAMED_MEMORY false
#define GetNamedDSMSegment(name, size, init, found) ((void) (init), (void) (found), NULL)
#endif

/* EXPLAIN asks extensions what to say of a node. */
#if PG_VERSION_NUM >= 180000
#define ANN_EXPLAIN_HOOK
#endif

/* Code that uses it includes access/genam.h. */
#if PG_VERSION_NUM >= 180000
#define ann_index_beginscan(heap, index, snapshot, num_keys, num_orderbys)                         \
	index_beginscan(heap, index, snapshot, NULL, num_keys, num_orderbys)
#else
#define ann_index_beginscan(heap, index, snapshot, num_keys, num_orderbys)                         \
	index_beginscan(heap, index, snapshot, num_keys, num_orderbys)
#endif

/*
 * Ownership of a relation by the current user, and the safe search_path of 17 for code that may run
 * index expressions. Code that uses them includes utils/acl.h and utils/guc.h.
 */
#if PG_VERSION_NUM >= 160000
#define ann_owns_relation(oid) object_ownercheck(RelationRelationId, oid, GetUserId())
#else
#define ann_owns_relation(oid) pg_class_ownercheck(oid, GetUserId())
#endif
#if PG_VERSION_NUM >= 170000
#define ann_restrict_search_path() RestrictSearchPath()
#else
#define ann_restrict_search_path() ((void) 0)
#endif

/* A name as regclass reads it, in parts. Code that uses it includes utils/regproc.h. */
#if PG_VERSION_NUM >= 160000
#define ann_qualified_name(name) stringToQualifiedNameList(name, NULL)
#else
#define ann_qualified_name(name) stringToQualifiedNameList(name)
#endif

/* The heap of a vacuum, which before 16 has to be found (it is locked). */
#if PG_VERSION_NUM >= 160000
#define ann_vacuum_heap_oid(info) RelationGetRelid((info)->heaprel)
#else
#define ann_vacuum_heap_oid(info) IndexGetRelation(RelationGetRelid((info)->index), false)
#endif

/* A path that the planner must not take; 18 counts what is disabled before it compares costs. */
#if PG_VERSION_NUM >= 180000
#define ANN_DISABLE_PATH(index_path) ((index_path)->path.disabled_nodes += 2)
#else
#define ANN_DISABLE_PATH(index_path) ((void) (index_path))
#endif

/*
 * Before 17 the server plans parallel builds for btree only: ambuild asks for workers itself. Code
 * that uses it includes optimizer/optimizer.h and miscadmin.h.
 */
#if PG_VERSION_NUM >= 170000
#define ANN_SET_CAN_BUILD_PARALLEL(routine) ((routine)->amcanbuildparallel = true)
#define ann_build_workers(heap, index, index_info) ((index_info)->ii_ParallelWorkers)
#else
#define ANN_SET_CAN_BUILD_PARALLEL(routine) ((void) (routine))
#define ann_build_workers(heap, index, index_info)                                                 \
	(IsNormalProcessingMode()                                                                      \
		 ? plan_create_index_workers(RelationGetRelid(heap), RelationGetRelid(index))              \
		 : 0)
#endif

/*
 * One more page at the end of a fork, exclusively locked, all zeroes. A macro, as only the store,
 * which includes storage/bufmgr.h and storage/lmgr.h, uses it.
 */
#if PG_VERSION_NUM >= 160000
#define ann_extend(relation, fork) ExtendBufferedRel(BMR_REL(relation), fork, NULL, EB_LOCK_FIRST)
#else
#define ann_extend(relation, fork)                                                                 \
	({                                                                                             \
		Buffer new_buffer;                                                                         \
                                                                                                   \
		LockRelationForExtension(relation, ExclusiveLock);                                         \
		new_buffer = ReadBufferExtended(relation, fork, P_NEW, RBM_ZERO_AND_LOCK, NULL);           \
		UnlockRelationForExtension(relation, ExclusiveLock);                                       \
		new_buffer;                                                                                \
	})
#endif

#endif
