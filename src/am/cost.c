/*
 * cost.c
 *	  What the planner is told.
 *
 * NOTES
 *	  Honest means: in the planner's units, in which one cpu_operator_cost stands for some 20 ns,
 *	  and with the work that scan.c really does. The startup cost holds everything up to the last of
 *	  the rows that a LIMIT wants: all centroids are scored, n(r) leaves searched, and the
 *	  candidates that may be among the first r read from the heap; a filter that lets a share s of
 *	  the rows through makes r = LIMIT / s. The total cost is that of the last row of the index: all
 *	  leaves, all heap rows, so that a query without LIMIT sorts. It stays so where settings cut the
 *	  scan short, for a plan that loses rows must not be the cheap one.
 *
 *	  A scan that ends at a radius has its last row where the estimate of the rows within says
 *	  (within.c), and n(r) of its rank for its leaves. Rows of it are read by this method and then
 *	  by the executor, which finds their pages in memory: they are charged once, by cost_index().
 *
 *	  How many of the first leaves ann.query_spilling_threshold leaves out depends on the query's
 *	  value, which the planner often does not know: the cost is that of all.
 *
 *	  All costs are finite: the planner subtracts them from one another.
 */
#include "postgres.h"

#include <math.h>

#include "access/genam.h"
#include "nodes/pathnodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/selfuncs.h"

#include "am/am.h"
#include "am/support.h"

/* More than any sane plan costs, less than the planner's own penalty for a disabled one. */
#define COST_USELESS 1.0e9
/* More than that penalty. */
#define COST_IMPOSSIBLE 1.0e12

/* Units of cpu_operator_cost. */
#define COST_CENTROID_DIM (1.0 / 256) /* one dimension of a centroid: 10 ns at 128 */
#define COST_CODE_BLOCK (1.0 / 640)   /* one 4-bit block of a code: 2 ns at 64 */
#define COST_PAGE 10.0                /* pin, lock and check of a page in memory */

/* Rows wanted where no LIMIT is known: a cursor's first, or those of an outer plan. */
#define DEFAULT_ROWS 10
/* Heap rows read for the first r: this many, and so many for each. Measured: 23 to 48 for 10. */
#define REORDER_FIRST 20
#define REORDER_EACH 1.5

/* What the estimate knows of an index. */
typedef struct IndexFacts
{
	double num_rows;
	double heap_pages;
	double index_pages;
	double num_leaves; /* 0: untrained */
	double dim;
	double num_blocks;
	double entry_bytes;  /* in a leaf */
	double entries;      /* of a row */
	bool flat;           /* rows have no codes: all of the leaves searched are read */
	double first_leaves; /* n(10) */
	double growth;       /* of n(r) */
	double distance_cost;
	double last_rank; /* of the last row that a scan returns */
	bool ends;        /* at a radius */
} IndexFacts;

/* An index that somebody only imagines (hypopg): what automatic settings would give. */
static void
imagine_index(IndexFacts *facts)
{
	facts->dim = 256;
	facts->num_leaves = ceil(facts->num_rows / 100);
	facts->first_leaves = ceil(sqrt(facts->num_leaves));
	facts->growth = 0.3;
	facts->num_blocks = facts->dim / 2;
}

/* Reads metapage and model; the planner holds a lock on the index. */
static void
read_index(Oid index_oid, IndexFacts *facts)
{
	Relation index = index_open(index_oid, NoLock);
	AnnMetaData meta;

	ann_index_meta(index, &meta);
	facts->dim = meta.dim;
	if (meta.model != 0)
	{
		AnnCalibrationData calibration = ann_model_get(index, &meta)->calibration;
		int wanted = ann_effective_leaves(index);

		facts->num_leaves = meta.num_leaves;
		facts->num_blocks = meta.num_blocks;
		facts->flat = meta.quantizer == ANN_QUANTIZER_FLAT;
		facts->entries = meta.soar_lambda > 0 ? 2 : 1;
		facts->first_leaves = wanted > 0 ? wanted : calibration.leaves_at_10;
		facts->growth = calibration.leaves_growth;
	}
	index_close(index, NoLock);
}

/* Also the selectivity of what the scan ends at. */
static void
gather_facts(PlannerInfo *root, IndexPath *path, IndexFacts *facts, Selectivity *selectivity)
{
	IndexOptInfo *index = path->indexinfo;
	List *quals = get_quals_from_indexclauses(path->indexclauses);
	QualCost distances;

	memset(facts, 0, sizeof(*facts));
	facts->num_rows = Max(index->tuples, 1);
	facts->entries = 1;
	facts->heap_pages = Max(index->rel->pages, 1);
	facts->index_pages = Max(index->pages, 1);
	/* One distance a row, of the order or of the first condition. */
	cost_qual_eval(&distances,
				   path->indexorderbys != NIL ? path->indexorderbys : list_make1(linitial(quals)),
				   root);
	facts->distance_cost = distances.per_tuple;
	facts->last_rank = facts->num_rows;
	facts->ends = ann_within_ends(path);
	*selectivity = 1;
	if (facts->ends)
	{
		*selectivity = clauselist_selectivity(root, add_predicate_to_index_quals(index, quals),
											  index->rel->relid, JOIN_INNER, NULL);
		facts->last_rank = Min(Max(*selectivity * index->rel->tuples, 1), facts->num_rows);
	}
	if (index->hypothetical)
		imagine_index(facts);
	else
		read_index(index->indexoid, facts);
	facts->first_leaves = Min(facts->first_leaves, facts->num_leaves);
	/* Half a byte a block; row identifier, factors and what blocks leave empty: some 20 more. */
	facts->entry_bytes = facts->num_blocks / 2 + 20;
}

/* Leaves that scan.c searches before it returns the row of a rank, where no setting stops it. */
static double
all_leaves_for(const IndexFacts *facts, double rank)
{
	double wanted = facts->first_leaves * pow(Max(rank / 10, 1), facts->growth);

	wanted = Max(wanted, 2 * rank * facts->num_leaves / facts->num_rows);
	return Max(Min(ceil(wanted), facts->num_leaves), 1);
}

/* Those that it searches as it is set. */
static double
leaves_for(const IndexFacts *facts, double rank)
{
	double wanted = ann_iterative_scan == ANN_ITERATIVE_OFF ? Max(facts->first_leaves, 1)
															: all_leaves_for(facts, rank);

	if (ann_max_leaves_to_search > 0)
		wanted = Min(wanted, ann_max_leaves_to_search);
	return wanted;
}

/* Rows of the heap that are read for those up to a rank, from so many leaves. */
static double
rows_for(const IndexFacts *facts, double rank, double num_leaves)
{
	double rows = REORDER_FIRST + REORDER_EACH * rank;

	if (facts->flat)
		rows = facts->num_rows * num_leaves / facts->num_leaves;
	return Min(rows, facts->num_rows);
}

/* Pages read by one scan of loop_count, when each looks at so many of a relation's pages. */
static double
pages_read(PlannerInfo *root, const IndexFacts *facts, double looks, double pages,
		   double loop_count)
{
	return index_pages_fetched(ceil(looks * loop_count), (BlockNumber) pages, facts->index_pages,
							   root) /
		   loop_count;
}

static Cost
cost_centroids(const IndexFacts *facts)
{
	double pages = facts->num_leaves * (2 * facts->dim + 32) / BLCKSZ;

	/* Every scan reads them all, so they are in memory. */
	return cpu_operator_cost *
		   (facts->num_leaves * facts->dim * COST_CENTROID_DIM + ceil(pages) * COST_PAGE);
}

/* A leaf is a run of pages: a seek, then the rest in order. */
static Cost
cost_leaves(PlannerInfo *root, const IndexFacts *facts, double num_leaves, double loop_count)
{
	double codes = facts->num_rows * facts->entries / facts->num_leaves;
	double pages = num_leaves * (codes * facts->entry_bytes / BLCKSZ + 1);
	double share = pages_read(root, facts, pages, facts->index_pages, loop_count) / pages;
	Cost per_page = random_page_cost * num_leaves + seq_page_cost * (pages - num_leaves);

	return share * per_page +
		   cpu_operator_cost *
			   (num_leaves * codes * facts->num_blocks * COST_CODE_BLOCK + pages * COST_PAGE);
}

/* Pages of so many rows of the heap. */
static Cost
cost_pages(PlannerInfo *root, const IndexFacts *facts, double num_rows, double loop_count)
{
	return random_page_cost * pages_read(root, facts, num_rows, facts->heap_pages, loop_count);
}

/*
 * Rows read from the heap, with their distances, put in order. Vectors out of line cost more than
 * that, but the planner counts no TOAST page of any plan: if this one did, it would lose against a
 * sort that reads a hundred times as many.
 */
static Cost
cost_rows(PlannerInfo *root, const IndexFacts *facts, double num_rows, double loop_count)
{
	double compares = log2(Max(num_rows, 2));

	return cost_pages(root, facts, num_rows, loop_count) +
		   num_rows * (cpu_tuple_cost + facts->distance_cost + 2 * cpu_operator_cost * compares);
}

/* A scan up to a rank that searches so many leaves. */
static Cost
cost_up_to(PlannerInfo *root, const IndexFacts *facts, double rank, double num_leaves,
		   double loop_count)
{
	return cost_centroids(facts) + cost_leaves(root, facts, num_leaves, loop_count) +
		   cost_rows(root, facts, rows_for(facts, rank, num_leaves), loop_count);
}

/* The exact leaf of an untrained index: every row, in heap order. */
static Cost
cost_untrained(const IndexFacts *facts)
{
	double compares = log2(Max(facts->num_rows, 2));

	return random_page_cost + seq_page_cost * (facts->heap_pages + facts->index_pages) +
		   facts->num_rows * (cpu_index_tuple_cost + cpu_tuple_cost + facts->distance_cost +
							  2 * cpu_operator_cost * compares);
}

/*
 * amcostestimate. May read the metapage and the model of the index (share locks), and so raise
 * their errors; not for a hypothetical index.
 */
void
annivf_costestimate(PlannerInfo *root, IndexPath *path, double loop_count, Cost *startup_cost,
					Cost *total_cost, Selectivity *selectivity, double *correlation, double *pages)
{
	IndexFacts facts;
	double num_wanted = root->limit_tuples > 0 ? root->limit_tuples : DEFAULT_ROWS;
	double rank;
	double share;

	*selectivity = 1;
	*correlation = 0;
	*pages = path->indexinfo->pages;
	if (path->path.pathtype == T_IndexOnlyScan || list_length(path->indexorderbys) > 1)
	{
		/* These would raise an error (scan.c). */
		ANN_DISABLE_PATH(path);
		*startup_cost = COST_IMPOSSIBLE;
		*total_cost = *startup_cost;
		return;
	}
	if (path->indexorderbys == NIL && path->indexclauses == NIL)
	{
		*startup_cost = COST_USELESS;
		*total_cost = *startup_cost;
		return;
	}
	gather_facts(root, path, &facts, selectivity);
	if (facts.num_leaves == 0)
	{
		*startup_cost = cost_untrained(&facts);
		*total_cost = *startup_cost;
		return;
	}
	share = path->path.rows / facts.last_rank;
	share = Min(Max(share, 1 / facts.num_rows), 1);
	rank = Min(num_wanted / share, facts.last_rank);
	*startup_cost = cost_up_to(root, &facts, rank, leaves_for(&facts, rank), loop_count);
	*total_cost = cost_up_to(root, &facts, facts.last_rank, all_leaves_for(&facts, facts.last_rank),
							 loop_count);
	if (facts.ends)
		*total_cost -= cost_pages(root, &facts, facts.last_rank, loop_count);
	*total_cost = Max(*total_cost, *startup_cost);
}
