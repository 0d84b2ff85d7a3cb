/*
 * build.h
 *	  What the files that make an index share: build.c (CREATE INDEX), train.c (an index that grew
 *	  from empty), trainer.c (sample to model), coder.c (rows to leaves), team.c, parallel.c
 *	  (training and coding by several processes), neighbours.c, calibrate.c (defaults).
 */
#ifndef ANN_AM_BUILD_H
#define ANN_AM_BUILD_H

#include "am/am.h"
#include "am/support.h"
#include "core/kmeans.h"
#include "core/soar.h"
#include "port/atomics.h"
#include "store/leaf.h"
#include "store/tree.h"
#include "utils/tuplesort.h"

/* Phases in pg_stat_progress_create_index; 1 is the server's "initializing". */
#define ANN_PHASE_COUNT 2
#define ANN_PHASE_SAMPLE 3
#define ANN_PHASE_CENTROIDS 4
#define ANN_PHASE_SECOND 5
#define ANN_PHASE_RESIDUALS 6
#define ANN_PHASE_ROTATION 7
#define ANN_PHASE_CODES 8
#define ANN_PHASE_CENTROID_CODES 9
#define ANN_PHASE_ENCODE 10
#define ANN_PHASE_SORT 11
#define ANN_PHASE_WRITE 12
#define ANN_PHASE_CALIBRATE 13
#define ANN_PHASE_TREE 14
#define ANN_PHASE_LOG 15

/* A row on its way: value is not detoasted; valid until the visitor returns. */
typedef void (*AnnRowVisitor)(void *arg, ItemPointer tid, Datum value, bool isnull);

/*
 * Where rows come from: the heap, or the row identifiers of an exact leaf. The callbacks take the
 * source itself as their first argument (it is the first member of something larger).
 */
typedef struct AnnRowSource
{
	/* Estimate of the number of rows. */
	double (*count)(struct AnnRowSource *source);
	/* Visits a random part of the rows that holds about num_rows; all when there are fewer. */
	void (*sample)(struct AnnRowSource *source, double num_rows, AnnRowVisitor visit, void *arg);
	/* Visits every row; returns their number. */
	double (*scan)(struct AnnRowSource *source, AnnRowVisitor visit, void *arg);
} AnnRowSource;

/* A uniform random sample of encodable rows (sample.c): num rows of dim floats, normalised. */
typedef struct AnnSample
{
	float *rows;
	struct dsm_segment *segment; /* that rows are in; NULL: they are in the builder's memory */
	AnnTid *tids;
	size_t num;
	size_t room;
	double seen; /* encodable rows that passed by */
	double nulls;
} AnnSample;

/*
 * Vectors of more dimensions are long: by themselves they get coarser codes, smaller leaves and a
 * narrower bound.
 */
#define ANN_LONG_DIM 256

struct AnnCalibrator;

typedef struct AnnBuilder
{
	Relation index;
	const AnnTypeSupport *support;
	AnnRowSource *source;
	AnnOptions options;
	AnnMetaData meta; /* of the model being made */
	bool log_pages;   /* pages get their WAL records as they are written */
	bool progress;    /* report to pg_stat_progress_create_index */
	AnnWatch watch;   /* for the core; its counts are those of the phase, whoever counts */
	Size memory;      /* bytes that all of it may take */
	MemoryContext context;
	MemoryContext row_context; /* reset per row */
	/* Parallel workers that may take part, in a build of this heap; 0: none. */
	int num_workers;
	Relation heap;
	IndexInfo *index_info;
	double estimated_rows;
	AnnSample sample;
	AnnModel *model;
	AnnCentroids set;   /* rounded to what is stored */
	float *adopted_rho; /* of the model of another index: rms residuals of its leaves; else NULL */
	float *rotation;    /* dim * dim floats, or NULL */
	/* Pseudo-queries as they were held out of the sample, and their rows. */
	float *queries;
	AnnTid *query_tids;
	int num_queries;
	struct AnnCalibrator *calibrator;
	char *centroid_blocks; /* coded centroids, or NULL */
	/*
	 * A row that no code can describe, or NULL: its place is the caller's business. Called after
	 * all rows were coded, in ascending order.
	 */
	void (*exact_row)(void *arg, ItemPointer tid);
	void (*null_row)(void *arg, ItemPointer tid);
	/* A row that was coded, in the order of the source; or NULL. */
	void (*coded_row)(void *arg, ItemPointer tid);
	void *row_arg;
	double scanned_rows; /* that the pass over all rows saw */
	double coded_rows;
	pg_atomic_uint64 *all_coded_rows; /* by all processes so far; NULL: there is only this one */
} AnnBuilder;

/* Sets up everything but source, callbacks, meta and flags. Allocates in the current context. */
extern void ann_builder_init(AnnBuilder *builder, Relation index);
extern void ann_builder_free(AnnBuilder *builder);
/* Zeroed memory of any size, for as long as the builder lives or until pfree(). */
extern void *ann_builder_alloc(AnnBuilder *builder, Size size);
/*
 * Reports a phase, with the number of rows, leaves or queries to come, passes over them multiplied;
 * 0: not known yet, or the core adds it.
 */
extern void ann_builder_phase(AnnBuilder *builder, int phase, double total);
/* Reports how many of them are done, or that so many more are. */
extern void ann_builder_done(AnnBuilder *builder, double done);
extern void ann_builder_advance(AnnBuilder *builder, double num);
/* Reports blocks of the table or the index, and what the phase has done. */
extern void ann_builder_blocks(AnnBuilder *builder, BlockNumber done, BlockNumber total);
/*
 * All inner products of two sets of rows of dim floats (kernels.h), out_stride floats from one row
 * of a to the next; polled as the core's loops are.
 */
extern void ann_builder_products(AnnBuilder *builder, const float *a, int num_a, const float *b,
								 Size num_b, int dim, float *out, Size out_stride);
/* Learns or checks the dimensions of a detoasted value. */
extern int ann_builder_dim(AnnBuilder *builder, const struct varlena *value);

/* sample.c: draws builder->sample of at most room rows. */
extern void ann_sample_draw(AnnBuilder *builder, size_t room);
/* Randomly exchanges rows so that the last num are a random part of the sample. */
extern void ann_sample_hold_out(AnnSample *sample, int dim, size_t num, uint64 seed);

/*
 * team.c: memory for the rows of a sample, shared where workers are to see it and there is such
 * memory. Freed by ann_sample_free, at the latest with the builder.
 */
extern float *ann_sample_alloc(AnnBuilder *builder, Size num_floats);
extern void ann_sample_free(AnnSample *sample);

/*
 * team.c: has ann_kmeans_train run by this process and parallel workers: sets params->team, and
 * *set to arrays that they share. NULL, nothing set, where the sample is not shared or no worker
 * can be had. The end copies the centroids into the builder's memory and frees all else.
 */
typedef struct AnnTeam AnnTeam;
extern AnnTeam *ann_team_begin(AnnBuilder *builder, AnnKmeansParams *params, AnnCentroids *set);
extern void ann_team_end(AnnTeam *team, AnnCentroids *set);

/*
 * trainer.c: from the source to builder->model, set and calibrator. False when there is nothing to
 * train on, or (automatic num_leaves) so little that the index had better stay untrained.
 */
extern bool ann_trainer_run(AnnBuilder *builder, double min_rows);

/*
 * adopt.c: takes the model of the index that option trained_from names: builder->model, set,
 * adopted_rho, and what the metapage says of them. False: there is none to take, by option or, with
 * a WARNING, for want of such an index. Errors where it does not fit, or may not be read.
 */
extern bool ann_builder_adopt(AnnBuilder *builder);

/* Dimensions per block for codes of so many layers, absolute ones or not, where no option says. */
extern int ann_builder_auto_width(int dim, int layers, bool is_absolute);

/*
 * rotate.c: makes builder->rotation (or not, as options, dimensions and memory say) for codes of
 * meta.width dimensions a block from the sample, which holds unit residuals by now, and rotates
 * these, the centroids and the pseudo-queries.
 */
extern void ann_builder_rotate(AnnBuilder *builder);

/*
 * soar.c: sets soar_lambda in the metapage: as the options say, or (automatic) as the
 * sample does, with the pseudo-queries. Needs the centroids and the sample.
 */
extern void ann_soar_train(AnnBuilder *builder, const float *mean);

/*
 * centroids.c: codes of the centroids. Trained after the model; calibrated (or dropped) with the
 * pseudo-queries, in the model's coordinates; places are those of the node entries.
 */
extern void ann_centroids_train(AnnBuilder *builder);
extern void ann_centroids_calibrate(AnnBuilder *builder, const float *queries, int num_queries,
									const float *rho, AnnCalibrationData *calibration);
/* Copies the codes of another model's centroids, and says that parents are kept as there. */
extern void ann_centroids_adopt(AnnBuilder *builder, const AnnModel *from);
/* rho: rms residual of each leaf, into the centroids' codes. */
extern void ann_centroids_set_rho(AnnBuilder *builder, const float *rho);
extern void ann_centroids_set_places(AnnBuilder *builder, const AnnTid *places);

/* coder.c: codes every row of the source and writes leaves, tree and sections; fills in meta. */
extern void ann_coder_run(AnnBuilder *builder);

/*
 * coder.c: the pass of one process: begin, every row (an AnnRowVisitor), finish, which returns the
 * codes, still to be sorted. coordinate: the process's part of a shared sort, or NULL. memory: for
 * the sort and a batch of rows.
 */
typedef struct AnnCoder AnnCoder;
extern AnnCoder *ann_coder_begin(AnnBuilder *builder, SortCoordinate coordinate, Size memory);
extern void ann_coder_row(void *coder, ItemPointer tid, Datum value, bool isnull);
extern Tuplesortstate *ann_coder_finish(AnnCoder *coder);
/* The sort alone, for the leader of a shared one. */
extern Tuplesortstate *ann_coder_sort(SortCoordinate coordinate, Size memory);

/*
 * parallel.c: the pass of several processes, this one among them. NULL when builder->num_workers is
 * 0 or no worker can be had. The codes of all, still to be merged, are valid until the end.
 */
typedef struct AnnParallel AnnParallel;
extern AnnParallel *ann_parallel_begin(AnnBuilder *builder);
extern Tuplesortstate *ann_parallel_code(AnnParallel *parallel);
extern void ann_parallel_end(AnnParallel *parallel);

/* neighbours.c, calibrate.c */
extern struct AnnCalibrator *
ann_calibrator_create(AnnBuilder *builder, const float *queries, const AnnTid *tids, int num);

/* Entries of a batch of rows, one for each. */
typedef struct AnnCoded
{
	uint32 *leaves; /* ANN_NO_LEAF: the row has no such entry */
	uint8 *codes;   /* num_blocks bytes each */
	AnnFactors *factors;
} AnnCoded;

/* Shows it a batch of coded rows: x (mean taken off), their entries; second: NULL, or their second
 * entries. */
extern void ann_calibrator_add(struct AnnCalibrator *calibrator, const float *rows, int num,
							   const AnnTid *tids, const AnnCoded *first, const AnnCoded *second);

/*
 * What a calibrator found, as plain bytes for another one of the same queries, which adds it to its
 * own. The outcome is the same however the rows were dealt out to calibrators.
 */
extern Size ann_calibrator_found_size(int num_queries);
extern void ann_calibrator_save(const struct AnnCalibrator *calibrator, void *found);
extern void ann_calibrator_merge(struct AnnCalibrator *calibrator, const void *found);
/* rho: rms residual of each leaf. Fills in the calibration; *table16 where 8 bits are too few. */
extern void ann_calibrator_finish(struct AnnCalibrator *calibrator, const float *rho,
								  AnnCalibrationData *calibration, bool *table16);

#endif
