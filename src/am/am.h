/*
 * am.h
 *	  The private header of the access method: settings, support of a type, prototypes by file.
 */
#ifndef ANN_AM_H
#define ANN_AM_H

#include "postgres.h"

#include "access/amapi.h"
#include "access/genam.h"
#include "catalog/pg_amop.h"
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"

#include "compat.h"
#include "store/meta.h"

/* Support function 1 of every operator class: returns a pointer to a static AnnTypeSupport. */
#define ANN_SUPPORT_PROC 1
#define ANN_NUM_SUPPORT_PROCS 1
/* The ordering operator of every class; the search operator of a class that has one. */
#define ANN_ORDER_STRATEGY 1
#define ANN_WITHIN_STRATEGY 2
#define ANN_NUM_STRATEGIES 2

/*
 * What the access method must know of an indexed type and its metric; no type OID anywhere, so that
 * a class over another extension's type is one more of these.
 */
typedef struct AnnTypeSupport
{
	AnnMetric metric;
	const char *sizes; /* for error texts: "different <sizes> 3 and 4" */
	int max_dim;
	/* Dimensions of a detoasted value. */
	int (*dim)(const struct varlena *value);
	/* Its elements as floats: a pointer into the value, or scratch (dim floats) filled. */
	const float *(*floats)(const struct varlena *value, float *scratch);
	/*
	 * The SQL operator's own result for two float arrays, bit for bit. May be infinite or NaN.
	 */
	double (*distance)(const float *a, const float *b, int dim);
	/* The function of the search operator: is that distance less than a radius (types/ball.h)? */
	PGFunction within;
} AnnTypeSupport;

typedef enum AnnIterativeScan
{
	ANN_ITERATIVE_OFF,
	ANN_ITERATIVE_RELAXED,
	ANN_ITERATIVE_STRICT,
} AnnIterativeScan;

/* Settings (am/options.c). */
extern int ann_num_leaves_to_search;      /* -1: the index's own value */
extern int ann_num_reordering_candidates; /* -1: the index's own value */
extern int ann_iterative_scan;            /* AnnIterativeScan */
extern int ann_max_leaves_to_search;      /* -1: none */
extern bool ann_track_timing;
extern double ann_query_spilling_threshold; /* 0: off */

#define ANN_MAX_LEAVES 16777216
#define ANN_MAX_SPILLING_THRESHOLD 1000
#define ANN_MAX_DIMENSIONS_PER_BLOCK 128

/* A reloption that is on, off, or decided by the build. */
typedef enum AnnSwitch
{
	ANN_SWITCH_AUTO,
	ANN_SWITCH_ON,
	ANN_SWITCH_OFF,
} AnnSwitch;

/* In the place of an AnnQuantizer: the option is not set. */
#define ANN_QUANTIZER_AUTO (-1)

/* Reloptions; 0 (-1 for the reordering count and soar_lambda) is automatic. */
typedef struct AnnOptions
{
	int32 vl_len_;
	int num_leaves;
	int num_leaves_to_search;
	int num_reordering_candidates;
	int dimensions_per_block;
	int training_sample_size;
	int training_iterations;
	int min_partition_size; /* rows; 0: off */
	int seed;
	int rotation;                 /* AnnSwitch */
	double soar_lambda;           /* -1: automatic, 0: off */
	int quantizer;                /* AnnQuantizer, or ANN_QUANTIZER_AUTO */
	int nbits;                    /* 4 or 8; 0: the quantiser's own */
	int residual_quantization;    /* AnnSwitch; automatic is on */
	double anisotropic_threshold; /* 0: off */
	int trained_from;             /* offset of the name of another index; 0: none */
} AnnOptions;

/* An untrained index is trained by VACUUM when it holds more rows than this. */
#define ANN_TRAIN_ROWS 10000
/* CREATE INDEX with automatic num_leaves leaves fewer rows than this untrained (exact). */
#define ANN_MIN_BUILD_ROWS 1000

/* options.c */
extern void ann_am_init(void);
extern bytea *annivf_options(Datum reloptions, bool validate);
/* The index's options, defaults where none are set. */
extern void ann_options_get(Relation index, AnnOptions *options);
/* The index that the model is to be taken from, as the option names it; NULL: none. */
extern const char *ann_options_trained_from(Relation index);
extern const char *ann_quantizer_name(AnnQuantizer quantizer);
/* Effective values for a scan: GUC, else reloption, else the calibration (0) / best-first (-1). */
extern int ann_effective_leaves(Relation index);
extern int ann_effective_candidates(Relation index);

/*
 * support.c: the support of the index's operator class; ERRCODE_INVALID_OBJECT_DEFINITION where the
 * class has none of ours. That of a support function; NULL: it is none of ours.
 */
extern const AnnTypeSupport *ann_support_get(Relation index);
extern const AnnTypeSupport *ann_support_of(const FmgrInfo *function);
/* That which has a function for its search operator; NULL: no class of ours has. */
extern const AnnTypeSupport *ann_support_of_within(const FmgrInfo *function);
/* The same of a family's operator; NULL, too, where it is not a search operator as ours are. */
extern const AnnTypeSupport *ann_support_of_search(Form_pg_amop amop);
/* Dimensions of the indexed column by its type modifier; 0: it does not tell. */
extern int ann_column_dim(Relation index);

/* build.c */
extern IndexBuildResult *annivf_build(Relation heap, Relation index, IndexInfo *index_info);
extern void annivf_buildempty(Relation index);

/* centroids.c: leaves to choose by code, and parents to look at, when so many are to be searched */
extern double ann_centroids_beam(double beam, double wanted);
extern uint32 ann_parents_wanted(const AnnCalibrationData *calibration, double wanted);

/* insert.c */
extern bool
annivf_insert(Relation index, Datum *values, bool *isnull, ItemPointer tid, Relation heap,
			  IndexUniqueCheck check_unique, bool index_unchanged, IndexInfo *index_info);

/* scan.c */
extern IndexScanDesc annivf_beginscan(Relation index, int num_keys, int num_orderbys);
extern void
annivf_rescan(IndexScanDesc scan, ScanKey keys, int num_keys, ScanKey orderbys, int num_orderbys);
extern bool annivf_gettuple(IndexScanDesc scan, ScanDirection direction);
extern void annivf_endscan(IndexScanDesc scan);

/* vacuum.c */
extern IndexBulkDeleteResult *
annivf_bulkdelete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
				  IndexBulkDeleteCallback callback, void *callback_state);
extern IndexBulkDeleteResult *
annivf_vacuumcleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats);

/*
 * within.c: the conditions of a path that its index answers. Does the scan end at a radius: is
 * there no ordering operator, or one of the same query as a condition?
 */
extern bool ann_within_ends(const struct IndexPath *path);

/* cost.c */
extern void annivf_costestimate(struct PlannerInfo *root, struct IndexPath *path, double loop_count,
								Cost *startup_cost, Cost *total_cost, Selectivity *selectivity,
								double *correlation, double *pages);

#endif
