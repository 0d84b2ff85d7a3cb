/*
 * scan.h
 *	  The parts of a scan: what is known of the query, the leaves in order, the candidates, the rows
 *	  of the exact leaf, heap reads, and the queue of rows read.
 *
 * NOTES
 *	  Everything here lives in a scan's own memory contexts and is bounded by work_mem, shared out
 *	  as below; what does not fit goes to temporary files (rows) or is found again by another pass
 *	  over the index (leaves, candidates). Beyond that come only constants in D: the query, its
 *	  table (80 bytes times num_blocks while it is made) and one detoasted row.
 */
#ifndef ANN_AM_SCAN_H
#define ANN_AM_SCAN_H

#include "postgres.h"

#include "access/relscan.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "storage/buffile.h"

#include "am/am.h"
#include "am/queue.h"
#include "am/stats.h"
#include "core/kernels.h"
#include "core/topk.h"
#include "store/centroids.h"
#include "store/leaf.h"
#include "store/tids.h"
#include "store/tree.h"

/* Tests build the library with a few hundred bytes in its place. */
#ifndef ANN_SCAN_MEMORY
#define ANN_SCAN_MEMORY ((Size) work_mem * 1024)
#endif

/* Shares of work_mem; they add up to it. */
#define ANN_SHARE_EXACT (ANN_SCAN_MEMORY / 8) /* row identifiers of the exact leaf */
#define ANN_SHARE_READY (ANN_SCAN_MEMORY / 4) /* rows read and not yet returned */
#define ANN_SHARE_HELD (ANN_SCAN_MEMORY / 8)  /* rows held back */
/* the best candidates not yet read; half of it the rows taken, where rows have two entries */
#define ANN_SHARE_CANDIDATES (ANN_SCAN_MEMORY / 4)
#define ANN_SHARE_LEAVES (ANN_SCAN_MEMORY / 4) /* the ranking of the leaves */

/*
 * Candidates kept by the first pass over the codes, twice as many where rows have two entries;
 * later passes keep four times as many each.
 */
#ifndef ANN_FIRST_KEEP
#define ANN_FIRST_KEEP 128
#endif

/* Ranks covered beyond the one that asked for more leaves, or leaves beyond those, as a factor. */
#define ANN_EXTEND_AHEAD 1.3

/*
 * Forgets what lies in the relation's cache, and with it vanishes, of a model that was copied; but
 * for the list of the pages of the centroids' codes, which is copied.
 */
static inline void
ann_model_detach(AnnModel *model)
{
	uint32 pages = ann_centroids_num_pages(model);

	model->mean = NULL;
	model->rotation = NULL;
	model->pq.codebook = NULL;
	model->pq.bias = NULL;
	model->centroid_pq.codebook = NULL;
	model->centroid_pq.bias = NULL;
	model->parents = NULL;
	model->parent_bias = NULL;
	model->first_child = NULL;
	if (pages > 0)
		model->centroid_pages = memcpy(palloc(sizeof(BlockNumber) * pages), model->centroid_pages,
									   sizeof(BlockNumber) * pages);
}

/* ---- exact.c: the row identifiers of the exact leaf, as they stood when the scan began ---- */

typedef struct AnnExactSet
{
	MemoryContext context;
	AnnTid *tids; /* all of them, ascending; with a file: what was read of it last */
	size_t num;
	size_t room;
	size_t max_tids;
	size_t position; /* of ann_exact_next, in tids */
	BufFile *file;   /* NULL: all are in memory */
	int64 num_in_file;
	int64 num_read; /* of ann_exact_next, from the file */
} AnnExactSet;

extern void ann_exact_init(AnnExactSet *set, MemoryContext context, Size max_bytes);
/*
 * Reads the exact leaf, page by page under share locks. skip_moved: leave out rows that also stand
 * in the coded leaves (a trained index).
 */
extern void ann_exact_read(AnnExactSet *set, Relation index, bool skip_moved);
/* The next row identifiers, at most max of them; 0 at the end. */
extern int ann_exact_next(AnnExactSet *set, AnnTid *tids, int max);
/* Removes candidates that are in the set and returns how many stay, in the order in which they
 * came. */
extern size_t ann_exact_remove(AnnExactSet *set, AnnCandidate *items, size_t num);
/* Closes the file; the memory is its context's. */
extern void ann_exact_close(AnnExactSet *set);

/* ---- taken.c: the rows of which an entry was taken, where rows have two ---- */

typedef struct AnnTakenSet
{
	MemoryContext context;
	uint64 *slots; /* open addressing */
	uint32 num_slots;
	uint32 max_slots;
	uint32 num;
	bool is_closed; /* full: secondary entries are passed over from now on */
} AnnTakenSet;

/* An empty set of at most max_bytes of memory; it allocates in context. */
extern void ann_taken_init(AnnTakenSet *set, MemoryContext context, Size max_bytes);
/* May this entry be taken, as none of its row was? Remembers that it is. */
extern bool ann_taken_claim(AnnTakenSet *set, AnnTid tid, bool secondary);

/* ---- query.c: what the codec wants to know of a query ---- */

typedef struct AnnQuery
{
	AnnMetric metric;
	const float *vector;   /* in the model's coordinates; inner product: as it came */
	uint8 *low;            /* the rounded table */
	uint8 *high;           /* NULL: 8-bit tables */
	double norm2;          /* inner product: |q|^2 */
	double offset;         /* inner product: -<q,mean> */
	double weight;         /* inner product: w */
	double freedom;        /* max(D - 1, 1) */
	double num_bits;       /* Jaccard: bits that are set */
	bool from_origin;      /* residuals are those from the origin, not from centroids */
	float origin_score;    /* then: the score that a centroid there has */
	AnnBoundParams bounds; /* those parts that are the same for all leaves */
} AnnQuery;

/* A query (dim floats) in the model's coordinates, padded with zeros to whole code blocks. */
extern float *ann_query_vector(const AnnModel *model, const float *values);
/*
 * Makes the table and bounds of a query (dim floats, as they stand in SQL) in the current memory
 * context. The model must be complete: mean and codebook. z: width of the error bound.
 */
extern void ann_query_init(AnnQuery *query, const AnnModel *model, const float *values, float z);
/* Inner product: sets w, the median of <q,c> / |c|^2 over the leaves given (num ratios, reordered).
 */
extern void ann_query_set_weight(AnnQuery *query, double *ratios, int num);
/* Bound parameters for a leaf. score: its centroid's, as ann_tree_score gives it. */
extern void
ann_query_bounds(const AnnQuery *query, float score, float norm2, AnnBoundParams *bounds);
/* The elements of a query's value (which may be toasted), in the current memory context. */
extern float *ann_query_copy(const AnnTypeSupport *support, Datum value, int *dim);
/* Is every distance from the query NaN (zero under cosine)? */
extern bool ann_query_orders_nothing(const AnnTypeSupport *support, const float *query, int dim);
/* The unit of the keys, for a distance as SQL gives it; and back. */
extern double ann_query_key(AnnMetric metric, double distance);
extern double ann_query_distance(AnnMetric metric, double key);

/* ---- leaves.c: the leaves in the order in which a query searches them ---- */

typedef struct AnnRankedLeaf
{
	AnnNodeEntry entry;
	AnnTid place; /* of the entry */
	float score;  /* of the centroid, as ann_tree_score gives it */
	float key;    /* what the ranking sorts by */
} AnnRankedLeaf;

typedef struct AnnLeaves
{
	Relation index;
	const AnnModel *model;
	const AnnKernels *kernels; /* in force when the order was made */
	const float *vector;
	float spread; /* inner product: t |q| */
	MemoryContext context;
	uint8 *table; /* of the vector, for the centroids' codes; NULL where they have none */
	Bitmapset *first_blocks; /* of coded centroids, for the first window; NULL: all */
	AnnBoundParams bounds;
	/* The order comes in windows (see leaves.c). */
	uint32 first_window; /* width of the first */
	uint32 max_window;
	AnnCandidate *ends; /* the last candidate of each window made so far */
	uint32 num_ends;
	uint32 room_ends;
	/* The window at hand. */
	uint32 current; /* its number; UINT32_MAX: none yet */
	uint32 first;   /* rank of its first leaf */
	uint32 num;
	uint32 room; /* of the arrays */
	AnnRankedLeaf *ranked;
	AnnCandidate *items;
	AnnTopk chosen;
	const AnnCandidate *after; /* without codes */
} AnnLeaves;

/* vector: dim floats in the model's coordinates; wanted: leaves that will be needed at first. */
extern void ann_leaves_init(AnnLeaves *leaves, Relation index, const AnnModel *model,
							const float *vector, double query_norm, uint32 wanted, Size max_bytes);
/*
 * The leaf of a rank below model->num_leaves, valid until the next call. Cheap for ranks in memory,
 * else a pass over all centroids (share locks on node pages; checks for interrupts).
 */
extern const AnnRankedLeaf *ann_leaves_get(AnnLeaves *leaves, uint32 rank);
/* Is the leaf of a rank (of any number) in memory? */
extern bool ann_leaves_is_ready(const AnnLeaves *leaves, uint32 rank);

/* ---- search.c: candidates of the leaves searched so far ---- */

typedef struct AnnSearch
{
	Relation index;
	AnnModel model; /* a copy without mean and codebooks: relcache invalidations do not reach it */
	const AnnKernels *kernels;
	MemoryContext context;
	AnnQuery query;
	AnnLeaves leaves;
	AnnExactSet *exact;
	AnnScanStats *stats;

	uint32 num_first;    /* leaves to search before the row of rank 10 */
	uint32 num_searched; /* leaves searched */
	uint32 num_wanted;   /* leaves that will be, as far as is known */
	uint32 num_announced;
	int64 num_reads;  /* pages read from disk before the leaf at hand */
	int64 num_live;   /* live lanes that they hold */
	bool has_seconds; /* rows have two entries; else `taken` is not used */
	AnnTakenSet taken;

	/* Candidates: see the notes in search.c. */
	AnnTopk pool;
	size_t max_keep;
	size_t position; /* of the next candidate in pool.items */
	bool has_frontier;
	bool frontier_is_done; /* the frontier itself has been taken */
	AnnCandidate frontier;
	AnnCandidate *late;
	int num_late;
	int late_room;

	/* The leaf at hand. */
	bool again; /* a repeated pass: only candidates from the frontier on */
	AnnLeafCursor cursor;
	AnnBoundParams bounds;
} AnnSearch;

/* Late candidates that a caller may let gather. */
#define ANN_LATE_BATCH 64

/*
 * A search of a trained index, allocated in the current memory context, which must live as long.
 * values: the query as it stands in SQL; num_first: 0 for the calibrated number, and the most where
 * ann.query_spilling_threshold chooses among them; with_bounds: keys are lower bounds, else plain
 * estimates.
 */
extern AnnSearch *
ann_search_begin(Relation index, const AnnMetaData *meta, const float *values, uint32 num_first,
				 bool with_bounds, AnnExactSet *exact, AnnScanStats *stats);
/* Leaves to search before the row of a rank (from 1) may be returned; and the rank so covered now.
 */
extern double ann_search_leaves_for(const AnnSearch *search, double rank);
extern double ann_search_covered_rank(const AnnSearch *search);
/* Live rows of the searched leaves, or fewer: a row may have two lanes of them, or one. */
static inline int64
ann_search_live_rows(const AnnSearch *search)
{
	return search->has_seconds ? search->num_live / 2 : search->num_live;
}

/* Pages that this backend has read, not found in memory. */
static inline int64
ann_pages_read(void)
{
	return pgBufferUsage.shared_blks_read + pgBufferUsage.local_blks_read;
}

/*
 * Searches the next leaf: ann_search_open, then ann_search_page until it says false (one page's
 * share lock each). The caller takes the late candidates off (search->late; sets num_late to 0)
 * before more than ANN_LATE_BATCH are left at a call. After the last leaf of an extension:
 * ann_search_settle.
 */
extern void ann_search_open(AnnSearch *search);
extern bool ann_search_page(AnnSearch *search);
extern void ann_search_settle(AnnSearch *search);
/*
 * The same by hand, for leaves that nothing was taken of yet (together.c): sets the search to a
 * leaf, by rank; then every block of the leaf (an AnnBlockVisitor).
 */
extern void ann_search_aim(AnnSearch *search, uint32 rank);
extern void ann_search_block(void *search, const void *block);
/* Lower bound of the keys of all candidates not yet taken; false when there are none. */
extern bool ann_search_next_key(const AnnSearch *search, float *key);
/* Makes sure that a candidate is in memory, by another pass if need be; false when none is left. */
extern bool ann_search_refill(AnnSearch *search);
/*
 * Takes the next candidates in memory off, at most max and only up to a key; their number. It may
 * be less than max, or 0, as candidates whose row was taken before are dropped.
 */
extern int ann_search_take(AnnSearch *search, AnnCandidate *candidates, int max, double max_key);
/* Of late candidates, those whose row was not taken before; their number. They count as taken. */
extern int ann_search_take_late(AnnSearch *search, AnnCandidate *candidates, int num);

/* ---- together.c: the first leaves of many searches ---- */

/* Bytes for each leaf of each search. */
#define ANN_TOGETHER_BYTES 16

/*
 * Searches the first num_leaves[i] leaves of searches[i] (or as many of them as are ranked in
 * memory), none of which has searched any; the rest of an extension is the caller's. num_leaves[i]
 * = 0: searches[i] is not looked at.
 */
extern void ann_search_together(AnnSearch **searches, const uint32 *num_leaves, int num);

/*
 * A number that queries with the same leaves have alike, or nearly so, to bring them together: the
 * place of the nearest leaf in the tree. 0 where the index has none, or so few that all share them.
 * values: dim floats. Share locks, a page at a time; allocates scratch in the current context.
 */
extern uint64 ann_search_place(Relation index, const float *values, int dim);

/* ---- locate.c: where returned rows stand ---- */

typedef struct AnnLocated
{
	AnnTid tid; /* in */
	bool found; /* out, and if so all that follows */
	uint32 leaf;
	AnnTid place; /* of the leaf's node entry */
	uint16 scale; /* s of the entry (bf16) */
	uint8 *codes; /* in: room for num_blocks bytes */
} AnnLocated;

/*
 * Looks rows up in the leaves that were searched: the entry of each in the first of them where it
 * has one. One page's share lock at a time; checks for interrupts.
 */
extern void ann_search_locate(AnnSearch *search, AnnLocated *rows, int num);

/* ---- reorder.c: exact distances, from the heap ---- */

typedef enum AnnRowState
{
	ANN_ROW_GONE, /* not visible to the scan's snapshot */
	ANN_ROW_NULL,
	ANN_ROW_FOUND,
} AnnRowState;

typedef struct AnnRow
{
	double distance; /* out, where state is ANN_ROW_FOUND and there is a query */
	AnnTid tid;
	uint16 state; /* AnnRowState, out */
} AnnRow;

/* Rows of one batch at most. */
#define ANN_MAX_BATCH 64

typedef struct AnnReorder
{
	IndexScanDesc scan;
	const AnnTypeSupport *support;
	MemoryContext context; /* of the scan */
	MemoryContext batch;   /* reset after every batch */
	struct IndexFetchTableData *fetch;
	bool is_heap; /* fetch is the heap's */
	struct TupleTableSlot *slot;
	AttrNumber attno; /* of the indexed column; 0: an expression */
	struct IndexInfo *index_info;
	struct EState *estate;
	BlockNumber num_blocks; /* of the heap, when last asked */
	const float *query;
	float *scratch;
	int dim;
	int64 num_fetches;
} AnnReorder;

/* Prepares for reading the rows of a scan; allocates in the current memory context. */
extern void
ann_reorder_begin(AnnReorder *reorder, IndexScanDesc scan, const AnnTypeSupport *support);
/*
 * The query of the next batches: dim floats, which must stay. scratch: dim floats. NULL: only
 * states are wanted.
 */
extern void ann_reorder_set_query(AnnReorder *reorder, const float *query, float *scratch, int dim);
/*
 * Reads up to ANN_MAX_BATCH rows under the scan's snapshot and fills in state and distance; sorts
 * them by row identifier. Holds no pin or lock afterwards. ERRCODE_INDEX_CORRUPTED where the index
 * names an impossible row.
 */
extern void ann_reorder_read(AnnReorder *reorder, AnnRow *rows, int num);
/* ERRCODE_INDEX_CORRUPTED when a row identifier lies past the end of the heap. */
extern void ann_reorder_check_tid(AnnReorder *reorder, AnnTid tid);
extern void ann_reorder_end(AnnReorder *reorder);

/* ---- stream.c: all rows of an index, or those with NULL, in no order ---- */

typedef enum AnnStreamPart
{
	ANN_STREAM_EXACT,
	ANN_STREAM_LEAVES,
	ANN_STREAM_NULLS,
	ANN_STREAM_END,
} AnnStreamPart;

typedef struct AnnStream
{
	Relation index;
	AnnStreamPart part;
	AnnExactSet *exact;
	AnnModel model; /* a copy without mean and codebook; number 0: untrained */
	AnnLeaves leaves;
	uint32 next_rank; /* of the next leaf */
	bool in_leaf;
	AnnLeafCursor cursor;
	AnnReorder *reorder; /* reads the rows of the NULL leaf */
	BlockNumber null_blkno;
	BlockNumber next_null_blkno;
	BlockNumber num_null_pages;
	AnnTid *nulls; /* of the page null_blkno */
	int num_nulls;
	int nulls_done;
	AnnCandidate *items; /* keys unused: what ann_exact_remove takes */
	int num;
	int room;
	int position;
} AnnStream;

/*
 * Starts a stream of all rows (exact: read already; meta: of the same moment) or of the NULL leaf.
 * Allocates in the current memory context. The reordering loses its query.
 */
extern void ann_stream_all(AnnStream *stream, Relation index, const AnnMetaData *meta,
						   AnnExactSet *exact, AnnReorder *reorder);
extern void ann_stream_nulls(AnnStream *stream, Relation index, AnnReorder *reorder);
/*
 * The next row identifier; false at the end. Share locks, one page at a time.
 * ERRCODE_INDEX_CORRUPTED where the NULL leaf names a row that has a vector.
 */
extern bool ann_stream_next(AnnStream *stream, AnnTid *tid);

/* ---- the state of a scan ---- */

typedef enum AnnScanPhase
{
	ANN_SCAN_START,
	ANN_SCAN_FIRST, /* started, no leaf searched yet */
	ANN_SCAN_ORDERED,
	ANN_SCAN_HELD,   /* rows that came too late */
	ANN_SCAN_NAN,    /* what is left in `ready` */
	ANN_SCAN_STREAM, /* the NULL leaf; or everything, where nothing orders the rows */
	ANN_SCAN_DONE,
} AnnScanPhase;

/* What is asked of a scan: by a plan node query and radius (keys.c), by a function all of it. */
typedef struct AnnScanRequest
{
	const float *query; /* dim floats, which must stay; NULL: a plan node's, or none */
	int dim;
	int num_leaves;     /* to search before the first row; -1: as set */
	int num_candidates; /* read exactly per batch; -1: as set */
	int64 num_rows;  /* leaves for so many rows are searched before the first is returned, >= 1 */
	bool has_radius; /* only rows whose distance is less, but for those that are not read */
	bool any_order;  /* with a radius: rows come as they are found */
	double radius;
} AnnScanRequest;

typedef struct AnnScan
{
	MemoryContext context; /* of the scan */
	MemoryContext run;     /* of one rescan */
	const AnnTypeSupport *support;
	AnnScanRequest request;
	AnnReorder reorder;
	bool reorder_is_open;
	AnnScanStats stats;
	AnnScanStats counted; /* what of it is among the sums already */
	bool said_so;         /* that the cap was reached: once is enough for a join */

	/* of one rescan */
	AnnScanPhase phase;
	bool recheck;        /* the executor checks the conditions: not all are the request's */
	double radius_key;   /* the greatest key that a row within the radius may have; or INFINITY */
	bool saw_beyond;     /* a row of the searched leaves that is not within the radius */
	uint32 num_fruitful; /* leaves searched when a row was found last */
	AnnExactSet exact;
	AnnSearch *search; /* NULL: the index is untrained */
	AnnQueue ready;
	AnnQueue held;
	AnnStream stream;
	int num_candidates; /* num_reordering_candidates in force */
	int num_to_read;    /* of the batch, where that is 1 or more */
	int mode;           /* AnnIterativeScan */
	bool any_order;
	uint32 limit;   /* leaves that may be searched */
	bool is_capped; /* by ann.max_leaves_to_search */
	double covered_rank;
	double num_returned;
	double distance;      /* of the row returned last; NaN: not known */
	double last_distance; /* the greatest that was returned */
	double read_distance; /* the greatest that a candidate had which was read */
} AnnScan;

/* ---- keys.c: what a plan node asks for ---- */

/*
 * Fills query, radius and order of a request from the scan's keys, in the current memory context;
 * no query: nothing orders the rows. False where a NULL lets no row through. recheck: rows that are
 * returned must be checked against the keys. Errors: FEATURE_NOT_SUPPORTED for operators that are
 * none of ours, INVALID_PARAMETER_VALUE for a radius of NaN.
 */
extern bool ann_keys_read(IndexScanDesc scan, const AnnTypeSupport *support,
						  AnnScanRequest *request, bool *recheck);

/* ---- radius.c: where a scan with a radius ends ---- */

/* Sets the greatest key within the radius; false where no distance is less. */
extern bool ann_radius_set(AnnScan *so);
/*
 * No row that was read is left to be returned: is what the searched leaves hold besides beyond the
 * radius, and something of it at all?
 */
extern bool ann_radius_is_reached(const AnnScan *so);
/* If so: are there likely more rows in further leaves, which break no order? */
extern bool ann_radius_wants_more(const AnnScan *so);

/* ---- rows.c: rows of the table: read, and queued to be returned ---- */

/* The rows of the exact leaf, which are read whatever the query is. */
extern void ann_rows_exact(AnnScan *so);
/* Reads the candidates of new leaves that lie below the frontier. */
extern void ann_rows_late(AnnScan *so);
/* Reads the next candidates; false when those of the searched leaves are all taken. */
extern bool ann_rows_next(AnnScan *so);

/* ---- scan.c ---- */

/*
 * Work of the scan of this backend that last returned a row or ended; the sum of those that have
 * ended since the backend began, or since it was set back.
 */
extern const AnnScanStats *ann_scan_last_stats(void);
extern const AnnScanStats *ann_scan_total_stats(void);
extern void ann_scan_reset_stats(void);
/* Work of one scan so far, over all its rescans. */
extern const AnnScanStats *ann_scan_stats(IndexScanDesc scan);
/* A request for a scan that has just been (re)started, in place of the plan node's. */
extern void ann_scan_request(IndexScanDesc scan, const AnnScanRequest *request);
/*
 * Begins such a scan up to its first leaves; those that it will search before it returns a row, or
 * 0. Errors as of annivf_gettuple.
 */
extern uint32 ann_scan_prepare(IndexScanDesc scan);
/* The search of a scan that has returned a row or was prepared; NULL: it searches no leaves. */
static inline AnnSearch *
ann_scan_search(IndexScanDesc scan)
{
	return ((AnnScan *) scan->opaque)->search;
}
static inline const AnnScanRequest *
ann_scan_requested(IndexScanDesc scan)
{
	return &((AnnScan *) scan->opaque)->request;
}
/* Does it order rows by their true distance, not by estimates? */
static inline bool
ann_scan_is_exact(IndexScanDesc scan)
{
	return ((AnnScan *) scan->opaque)->num_candidates != 0;
}
/* The distance of the row that was returned last, as it was ordered by; NaN where it was not. */
static inline double
ann_scan_distance(IndexScanDesc scan)
{
	return ((AnnScan *) scan->opaque)->distance;
}

#endif
