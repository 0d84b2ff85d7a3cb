/*
 * format.h
 *	  What stands on disk: page kinds, the metapage, node entries, and their validity.
 *
 * NOTES
 *	  Every page has a standard page header, a payload and AnnPageOpaqueData as its special space. A
 *	  change of anything here that an older library would misread bumps ANN_FORMAT_VERSION. Offsets,
 *	  units and ranges are stated at each field; src/README ("Pages") draws them.
 */
#ifndef ANN_STORE_FORMAT_H
#define ANN_STORE_FORMAT_H

#include "postgres.h"

#include "storage/block.h"
#include "storage/bufpage.h"
#include "storage/itemptr.h"

#include "core/block.h"

#define ANN_MAGIC 0x414e4e31 /* "ANN1" */
#define ANN_FORMAT_VERSION 1
#define ANN_PAGE_ID 0xa221 /* in every special space */

/* Fixed places: made when the index is made, for ever. */
#define ANN_META_BLKNO 0
#define ANN_EXACT_BLKNO 1 /* head of the exact leaf */
#define ANN_NULL_BLKNO 2  /* head of the NULL leaf */
#define ANN_FIRST_FREE_BLKNO 3

typedef enum AnnPageKind
{
	ANN_PAGE_META = 1,
	ANN_PAGE_TIDS,           /* exact or NULL leaf: row identifiers only */
	ANN_PAGE_SECTION,        /* bytes of a section of the model */
	ANN_PAGE_NODE,           /* centroid entries */
	ANN_PAGE_NODE_REST,      /* the rest of one centroid wider than a page */
	ANN_PAGE_LEAF,           /* block slots */
	ANN_PAGE_BODY,           /* codes of a long block */
	ANN_PAGE_FREE,           /* unlinked; reusable */
	ANN_PAGE_CENTROID_CODES, /* blocks of coded centroids */
} AnnPageKind;

typedef struct AnnPageOpaqueData
{
	BlockNumber next; /* next page of the same chain, or InvalidBlockNumber */
	uint32 model;     /* model number the page belongs to; 0: independent of any */
	uint16 kind;      /* AnnPageKind */
	uint16 flags;     /* zero in this version */
	uint16 reserved;
	uint16 page_id; /* ANN_PAGE_ID */
} AnnPageOpaqueData;

typedef AnnPageOpaqueData *AnnPageOpaque;

#define AnnPageGetOpaque(page) ((AnnPageOpaque) PageGetSpecialPointer(page))

/* Bytes between page header and special space. */
#define ANN_PAGE_PAYLOAD                                                                           \
	(BLCKSZ - MAXALIGN(SizeOfPageHeaderData) - MAXALIGN(sizeof(AnnPageOpaqueData)))

/* Metrics; the number stands in the metapage. What they are like: store/metric.h. */
typedef enum AnnMetric
{
	ANN_METRIC_L2 = 1,
	ANN_METRIC_IP = 2,
	ANN_METRIC_COSINE = 3,
	ANN_METRIC_L1 = 4,
	ANN_METRIC_HAMMING = 5, /* of strings of bits, as the next */
	ANN_METRIC_JACCARD = 6,
} AnnMetric;

/* ---- sections of the model ---- */

typedef enum AnnSectionKind
{
	ANN_SECTION_MEAN = 1, /* dim floats */
	/* num_blocks * width * 16 floats, 16 codewords innermost; none where rows have no code */
	ANN_SECTION_CODEBOOK,
	ANN_SECTION_TREE,              /* chain of node pages; bytes = number of leaves */
	ANN_SECTION_CALIBRATION,       /* AnnCalibrationData */
	ANN_SECTION_CENTROID_CODEBOOK, /* as CODEBOOK, for centroids; optional with CODES and PARENTS */
	ANN_SECTION_CENTROID_CODES,
	/* chain of pages; bytes = number of coded centroids */
	ANN_SECTION_ROTATION,         /* dim * dim floats, row i the axis of the new dimension i */
	ANN_SECTION_PARENTS,          /* of the coded centroids: see store/centroids.h */
	ANN_SECTION_FILTER_SUMMARIES, /* this and the following: reserved, refused when required */
	ANN_SECTION_REFINE_CODES,
} AnnSectionKind;

/* The last kind that this version knows. */
#define ANN_LAST_SECTION ANN_SECTION_PARENTS

typedef struct AnnSectionData
{
	uint16 kind;     /* AnnSectionKind; 0: unused entry */
	uint16 version;  /* of this section's content: 1 */
	uint16 required; /* 1: a library that does not know the kind must refuse the index */
	uint16 reserved;
	uint32 model; /* number of the model it belongs to */
	BlockNumber first_blkno;
	uint64 bytes;
	uint32 checksum; /* CRC-32C of the bytes; 0 for the tree, whose entries change */
	uint32 reserved2;
} AnnSectionData;

#define ANN_MAX_SECTIONS 16

#define ANN_MAX_SOAR_LAMBDA 10
#define ANN_MAX_ANISOTROPIC_THRESHOLD 0.99

/* Content of the calibration section; measured at build on pseudo-queries (am/calibrate.c). */
typedef struct AnnCalibrationData
{
	float z;             /* width of the error bound, standard deviations, > 0 */
	float z_wide;        /* the same for who wants more recall, >= z */
	float leaves_at_10;  /* leaves to search for rank 10, >= 1 */
	float leaves_growth; /* exponent: n(r) = leaves_at_10 * (r / 10) ^ growth, 0..2 */
	float leaf_bias;     /* t of the inner product's leaf ranking, 0..1 */
	uint32 queries;      /* pseudo-queries it was measured on; 0: defaults */
	float beam; /* leaves chosen by their centroids' codes for each that is wanted, 1..16 */
	/* parents whose leaves are looked at for leaves_at_10; 0: all are, and there may be none */
	uint32 parents;
} AnnCalibrationData;

/* Bytes that the parents may take: they are part of the model, which a backend caches. */
#define ANN_MAX_PARENTS_BYTES (2 * 1024 * 1024)

/* ---- the metapage ---- */

#define ANN_META_F32_CENTROIDS 0x0001 /* centroids are f32, else bf16 */
#define ANN_META_TABLE16 0x0002       /* query tables of 16 bits, else 8 */
#define ANN_META_ROTATED 0x0004       /* there is a rotation */
#define ANN_META_FROM_ORIGIN 0x0008   /* residuals are those from the origin, else from centroids */
#define ANN_META_FLAGS                                                                             \
	(ANN_META_F32_CENTROIDS | ANN_META_TABLE16 | ANN_META_ROTATED | ANN_META_FROM_ORIGIN)

/* Dimensions that may be rotated: the matrix is part of the model, which a backend caches. */
#define ANN_MAX_ROTATED_DIM 1000

/* Options as they were when the index was built (0: automatic; of soar_lambda -1 is). */
typedef struct AnnBuildOptions
{
	int32 num_leaves;
	int32 dimensions_per_block;
	int32 training_sample_size;
	int32 training_iterations;
	int32 seed;
	int32 rotation; /* AnnSwitch */
	float soar_lambda;
	int32 quantizer; /* AnnQuantizer */
	int32 nbits;
	int32 residual_quantization; /* AnnSwitch */
	int32 min_partition_size;
	float anisotropic_threshold;
} AnnBuildOptions;

typedef struct AnnMetaData
{
	uint32 magic;      /* ANN_MAGIC */
	uint32 version;    /* ANN_FORMAT_VERSION */
	uint32 checksum;   /* CRC-32C of this struct with this field zero */
	uint16 metric;     /* AnnMetric */
	uint16 flags;      /* ANN_META_FLAGS */
	uint32 dim;        /* 1..16000; 0: not yet known (untyped column, no row yet) */
	uint32 model;      /* number of the model in force; 0: untrained */
	uint32 next_model; /* number that the next training takes */
	uint32 next_leaf;  /* leaf numbers below were given out; never reused */
	AnnBuildOptions options;
	/* of the model in force; zero while untrained */
	uint32 num_leaves;
	uint32 quantizer; /* AnnQuantizer */
	uint32 width;     /* dimensions per block; 0: rows have no code */
	uint32 layers;    /* nibbles of a block of dimensions */
	uint16 tid_bytes; /* block layout, see core/block.h */
	uint16 factor_bytes;
	uint16 filter_bytes;
	uint16 refine_bytes;
	uint32 num_blocks;
	uint32 levels;         /* of the centroid tree: 1 */
	uint32 trained_rows;   /* rows of the sample */
	uint32 centroid_width; /* of the centroids' codes: dimensions per block; 0: not coded */
	uint32 centroid_blocks;
	uint32 num_parents; /* 0: none are kept */
	float soar_lambda;  /* > 0: rows have a second leaf; 0: they have not */
	/* of the codes, see core/anisotropic.h; 0: all errors weigh alike */
	float anisotropic_threshold;
	float8 built_rows; /* rows coded when the model was made */
	AnnSectionData sections[ANN_MAX_SECTIONS];
} AnnMetaData;

StaticAssertDecl(sizeof(AnnMetaData) <= ANN_PAGE_PAYLOAD, "metapage must fit a page");

/* ---- node pages ---- */

typedef struct AnnNodePageHeader
{
	BlockNumber overflow_blkno; /* leaf page with free slots for leaves of this page, or Invalid */
	uint16 count;               /* entries on the page */
	uint16 level;               /* 0: entries are leaves */
	uint32 reserved[2];
} AnnNodePageHeader;

/*
 * One leaf: its entry, followed by its centroid (dim elements of bf16 or f32, mean taken off).
 * Entries stand node_stride bytes apart; a wider one has a page of its own and NODE_REST
 * pages.
 */
typedef struct AnnNodeEntry
{
	uint32 leaf;
	uint32 generation;
	BlockNumber head_blkno; /* first block of the leaf, or Invalid: no block yet */
	BlockNumber hint_blkno; /* block that probably has a free lane, or Invalid */
	uint16 head_slot;
	uint16 hint_slot;
	float norm2; /* |c|^2 of the stored centroid */
	float rho;   /* root mean square of the leaf's residuals at build */
	uint32 reserved;
} AnnNodeEntry;

StaticAssertDecl(sizeof(AnnNodeEntry) == 32, "node entry is 32 bytes");
StaticAssertDecl(sizeof(AnnNodePageHeader) == 16, "node page header is 16 bytes");

/* ---- pages of coded centroids: a u32 count, then blocks from this offset of the payload ---- */

#define ANN_CENTROIDS_OFFSET 8

/* ---- exact and NULL leaves ---- */

typedef struct AnnTidsPageHeader
{
	uint16 count;     /* row identifiers on the page */
	uint16 null_leaf; /* 1: NULL leaf, 0: exact leaf */
	BlockNumber hint; /* on the head page: the page to append to */
} AnnTidsPageHeader;

#define ANN_TIDS_PER_PAGE ((ANN_PAGE_PAYLOAD - sizeof(AnnTidsPageHeader)) / sizeof(AnnTid))

StaticAssertDecl(sizeof(AnnTid) == sizeof(ItemPointerData), "AnnTid is an ItemPointerData");

static inline AnnTid
ann_tid_from_pointer(const ItemPointerData *pointer)
{
	AnnTid tid;

	memcpy(&tid, pointer, sizeof(tid));
	return tid;
}

static inline void
ann_tid_to_pointer(AnnTid tid, ItemPointerData *pointer)
{
	memcpy(pointer, &tid, sizeof(tid));
}

#endif
