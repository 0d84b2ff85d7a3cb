/*
 * meta.h
 *	  The metapage, and the model as a backend holds it in memory.
 */
#ifndef ANN_STORE_META_H
#define ANN_STORE_META_H

#include "postgres.h"

#include "core/block.h"
#include "core/pq.h"
#include "store/format.h"
#include "store/metric.h"
#include "store/page.h"
#include "store/wal.h"

/*
 * The model in memory: one chunk in the relation's cache (rd_amcache), so it vanishes with any
 * relcache invalidation: use it between two points that may process invalidations (catalog access,
 * detoasting, locking a relation), and ask again after. Copy what must live longer.
 */
typedef struct AnnModel
{
	uint32 number; /* >= 1 */
	int dim;
	AnnMetric metric;
	const AnnMetricTraits *traits; /* of the metric */
	AnnCodeForm form;              /* of its codes */
	bool f32_centroids;
	bool from_origin; /* residuals are those from the origin (mean taken off), not from centroids */
	int table_bits;   /* 8 or 16 */
	uint32 num_leaves;
	BlockNumber tree_blkno; /* first node page */
	AnnBlockLayout layout;
	int slots_per_page; /* of a leaf page; 0: blocks are long */
	int nodes_per_page; /* entries of a node page, >= 1 */
	uint32 node_stride; /* bytes from entry to entry */
	float soar_lambda;  /* > 0: rows have a second entry, in another leaf; 0: they have not */
	AnnCalibrationData calibration;
	AnnPq pq;    /* codebook and bias point into the chunk; flat: rows have no code */
	float *mean; /* dim floats, in the chunk */
	/* dim * dim floats, in the chunk; NULL: coordinates are as they come. All else is rotated. */
	float *rotation;
	/* codes of the centroids themselves; centroid_pq.num_blocks = 0: there are none */
	AnnPq centroid_pq;
	AnnBlockLayout centroid_layout;
	int centroid_slots;         /* blocks of them on a page */
	BlockNumber centroid_blkno; /* first page */
	/* parents of the coded centroids, in the chunk; num_parents = 0: none are kept */
	uint32 num_parents;
	float *parents;              /* num_parents * dim floats */
	uint32 *first_child;         /* num_parents + 1 centroids */
	BlockNumber *centroid_pages; /* all pages of the centroids' codes */
	float *parent_bias;          /* num_parents squared norms */
} AnnModel;

/* What the codes of a leaf's rows are relative to: its centroid, or the origin (NULL). */
static inline const float *
ann_model_origin(const AnnModel *model, const float *centroid)
{
	return model->from_origin ? NULL : centroid;
}

/* Do rows have no code, so that every row of a searched leaf is read? */
static inline bool
ann_model_is_flat(const AnnModel *model)
{
	return model->pq.quantizer == ANN_QUANTIZER_FLAT;
}

/*
 * Copies the metapage out, checked: ours, known version (else FEATURE_NOT_SUPPORTED with a REINDEX
 * hint), checksum, ranges. Takes and releases a share lock on block 0.
 */
extern void ann_meta_read(Relation index, AnnMetaData *meta);

/* Checks a metapage's content; NULL when fine, else what is wrong. */
extern const char *ann_meta_validate(const AnnMetaData *meta);

/* The metapage's content in a page image, for an edit; call ann_meta_seal after changing it. */
extern AnnMetaData *ann_meta_of_page(Page page);
/* Recomputes the checksum. */
extern void ann_meta_seal(AnnMetaData *meta);

/* Content of a new index's metapage: untrained. */
extern void
ann_meta_init(AnnMetaData *meta, AnnMetric metric, uint32 dim, const AnnBuildOptions *options);

/*
 * Writes the three fixed pages (metapage, empty exact and NULL leaf) of a new, empty fork, without
 * WAL; the caller logs the range.
 */
extern void ann_meta_create(Relation index, ForkNumber fork, const AnnMetaData *meta);

/* Seals and writes the metapage: with its own WAL record, or (log = false) for the caller to log.
 */
extern void ann_meta_write(Relation index, AnnMetaData *meta, bool log);

/* The model of a trained index (meta->model != 0), from the cache or read from its sections. */
extern const AnnModel *ann_model_get(Relation index, const AnnMetaData *meta);

/*
 * The model's coordinates of num rows that have their mean taken off, from `from` to `to` (dim
 * floats a row; they must not overlap). Copies where there is no rotation.
 */
extern void ann_model_rotate(const AnnModel *model, const float *from, int num, float *to);
/* The other way, for one row. */
extern void ann_model_unrotate(const AnnModel *model, const float *from, float *to);

/* Are all fields of a calibration in their ranges? */
extern bool ann_calibration_is_sane(const AnnCalibrationData *calibration);

/*
 * Fills in what a model has from a trained index's metapage itself: numbers, no pointers. Nothing
 * is derived from them yet.
 */
extern void ann_model_numbers(AnnModel *model, const AnnMetaData *meta);

/* Derived sizes of a model whose dim, f32_centroids and layout's stored fields are set. */
extern void ann_model_derive(AnnModel *model);

/*
 * Writes the bytes of a section to new pages and fills in *section (version 1, required).
 * log_pages: each page gets its WAL record now (else the caller logs the range).
 */
extern void ann_section_write(Relation index, AnnSectionKind kind, uint32 model, const void *bytes,
							  Size num_bytes, bool log_pages, AnnSectionData *section);

/* The directory's entry of a kind, or NULL. */
extern const AnnSectionData *ann_section_find(const AnnMetaData *meta, AnnSectionKind kind);

/* Reads a section (num_bytes must be its length) and checks identity, chain and checksum. */
extern void
ann_section_read(Relation index, const AnnSectionData *section, void *bytes, Size num_bytes);

/*
 * Sets the dimensions of an index that had none yet; returns the dimensions now in force (another
 * session may have been first).
 */
extern uint32 ann_meta_set_dim(Relation index, uint32 dim);

#endif
