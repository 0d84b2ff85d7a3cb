/*
 * handler.c
 *	  The access method's handler: its callbacks and properties, the phases of a build, and the
 *	  validation of operator classes.
 */
#include "postgres.h"

#include "access/amvalidate.h"
#include "access/htup_details.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_type.h"
#include "commands/progress.h"
#include "commands/vacuum.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "am/am.h"
#include "am/build.h"

ANN_FUNCTION(ann_annivf_handler);

static char *
annivf_buildphasename(int64 phase)
{
	switch (phase)
	{
		case PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE:
			return "initializing";
		case ANN_PHASE_COUNT:
			return "estimating rows";
		case ANN_PHASE_SAMPLE:
			return "sampling rows";
		case ANN_PHASE_CENTROIDS:
			return "training centroids";
		case ANN_PHASE_SECOND:
			return "measuring second leaves";
		case ANN_PHASE_RESIDUALS:
			return "assigning the sample";
		case ANN_PHASE_ROTATION:
			return "training the rotation";
		case ANN_PHASE_CODES:
			return "training codes";
		case ANN_PHASE_CENTROID_CODES:
			return "coding centroids";
		case ANN_PHASE_ENCODE:
			return "assigning and encoding rows";
		case ANN_PHASE_SORT:
			return "sorting codes";
		case ANN_PHASE_WRITE:
			return "writing leaves";
		case ANN_PHASE_CALIBRATE:
			return "calibrating";
		case ANN_PHASE_TREE:
			return "writing the tree";
		case ANN_PHASE_LOG:
			return "logging the index";
		default:
			return NULL;
	}
}

/* ORDER BY column <-> value is what the index is for. */
static bool
annivf_property(Oid index_oid, int attno, IndexAMProperty prop, const char *propname, bool *res,
				bool *isnull)
{
	if (prop != AMPROP_DISTANCE_ORDERABLE || attno == 0)
		return false;
	*res = true;
	return true;
}

/* One operator of a family, checked; false with an INFO when it cannot be right. */
static bool
operator_is_valid(Form_pg_amop amop)
{
	if (amop->amopstrategy == ANN_ORDER_STRATEGY && amop->amoppurpose == AMOP_ORDER &&
		amop->amoplefttype == amop->amoprighttype && get_op_rettype(amop->amopopr) == FLOAT8OID &&
		opfamily_can_sort_type(amop->amopsortfamily, FLOAT8OID))
		return true;
	if (ann_support_of_search(amop) != NULL)
		return true;
	ereport(INFO, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				   errmsg("operator %s of access method annivf is neither an ordering operator "
						  "that returns double precision nor a search operator of annivf's",
						  get_opname(amop->amopopr))));
	return false;
}

static bool
procedure_is_valid(Form_pg_amproc amproc)
{
	if (amproc->amprocnum == ANN_SUPPORT_PROC && get_func_rettype(amproc->amproc) == INTERNALOID)
		return true;
	ereport(INFO, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				   errmsg("support function %d of access method annivf is not of the form "
						  "function(internal) returns internal",
						  amproc->amprocnum)));
	return false;
}

/* What a class has of its own type in its family. */
typedef struct Members
{
	Oid order; /* ordering operator */
	int num_orders;
	Oid within; /* search operator */
	const AnnTypeSupport *within_support;
	int num_withins;
	Oid function; /* support function */
	int num_functions;
} Members;

/* Do operators and support function of a class speak of the same metric, and of its type? */
static bool
members_agree(Form_pg_opclass opclass, const Members *members)
{
	const AnnTypeSupport *support;
	const AnnMetricTraits *traits;
	const char *operator= get_opname(members->order);
	FmgrInfo info;

	fmgr_info(members->function, &info);
	support = ann_support_of(&info);
	if (support == NULL)
	{
		ereport(INFO, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
					   errmsg("support function %s of operator class \"%s\" is none of annivf",
							  get_func_name(members->function), NameStr(opclass->opcname))));
		return false;
	}
	traits = ann_metric_traits(support->metric);
	if (strcmp(operator, traits->operator) == 0 &&
		(opclass->opcintype == BITOID) == traits->is_bits && get_typlen(opclass->opcintype) == -1)
	{
		if (members->num_withins == 0 || members->within_support == support)
			return true;
		operator= get_opname(members->within);
	}
	ereport(INFO, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				   errmsg("support function %s does not fit operator %s of type %s",
						  get_func_name(members->function), operator,
						  format_type_be(opclass->opcintype))));
	return false;
}

/* Looks at all members of a class's family, of which others may be those of other classes. */
static bool
members_are_valid(Form_pg_opclass opclass, Members *members)
{
	CatCList *operators = SearchSysCacheList1(AMOPSTRATEGY, ObjectIdGetDatum(opclass->opcfamily));
	CatCList *procedures = SearchSysCacheList1(AMPROCNUM, ObjectIdGetDatum(opclass->opcfamily));
	bool valid = true;

	for (int i = 0; i < operators->n_members; i++)
	{
		Form_pg_amop amop = (Form_pg_amop) GETSTRUCT(&operators->members[i]->tuple);

		valid = operator_is_valid(amop) && valid;
		if (amop->amoplefttype != opclass->opcintype)
			continue;
		if (amop->amopstrategy == ANN_WITHIN_STRATEGY)
		{
			members->within = amop->amopopr;
			members->within_support = ann_support_of_search(amop);
			members->num_withins++;
		}
		else
		{
			members->order = amop->amopopr;
			members->num_orders++;
		}
	}
	for (int i = 0; i < procedures->n_members; i++)
	{
		Form_pg_amproc amproc = (Form_pg_amproc) GETSTRUCT(&procedures->members[i]->tuple);

		valid = procedure_is_valid(amproc) && valid;
		if (amproc->amproclefttype != opclass->opcintype)
			continue;
		members->function = amproc->amproc;
		members->num_functions++;
	}
	ReleaseCatCacheList(procedures);
	ReleaseCatCacheList(operators);
	return valid;
}

/*
 * SELECT amvalidate(oid): exactly one ordering operator and one support function of annivf's, and
 * at most one search operator, which belong to each other and to the type.
 */
static bool
annivf_validate(Oid opclass_oid)
{
	HeapTuple tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass_oid));
	Form_pg_opclass opclass;
	Members members = {0};
	bool valid;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator class %u", opclass_oid);
	opclass = (Form_pg_opclass) GETSTRUCT(tuple);
	valid = members_are_valid(opclass, &members);
	if (members.num_orders != 1 || members.num_withins > 1 ||
		members.num_functions != ANN_NUM_SUPPORT_PROCS)
	{
		ereport(INFO, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
					   errmsg("operator class \"%s\" of access method annivf needs one ordering "
							  "operator, one support function and at most one search operator",
							  NameStr(opclass->opcname))));
		valid = false;
	}
	else if (valid)
		valid = members_agree(opclass, &members);
	ReleaseSysCache(tuple);
	return valid;
}

/* ann_annivf_handler(internal) returns index_am_handler: a palloc'd routine, as servers to 18 free
 * it. */
Datum
ann_annivf_handler(PG_FUNCTION_ARGS)
{
	IndexAmRoutine *routine = makeNode(IndexAmRoutine);

	routine->amstrategies = ANN_NUM_STRATEGIES;
	routine->amsupport = ANN_NUM_SUPPORT_PROCS;
	routine->amcanorderbyop = true;
	routine->amoptionalkey = true;
	routine->amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL;
	routine->amkeytype = InvalidOid;
	ANN_SET_CAN_BUILD_PARALLEL(routine);

	routine->ambuild = annivf_build;
	routine->ambuildempty = annivf_buildempty;
	routine->aminsert = annivf_insert;
	routine->ambulkdelete = annivf_bulkdelete;
	routine->amvacuumcleanup = annivf_vacuumcleanup;
	routine->amcostestimate = annivf_costestimate;
	routine->amoptions = annivf_options;
	routine->amproperty = annivf_property;
	routine->ambuildphasename = annivf_buildphasename;
	routine->amvalidate = annivf_validate;
	routine->ambeginscan = annivf_beginscan;
	routine->amrescan = annivf_rescan;
	routine->amgettuple = annivf_gettuple;
	routine->amendscan = annivf_endscan;
	PG_RETURN_POINTER(routine);
}
