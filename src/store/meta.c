/*
 * meta.c
 *	  The metapage: reading, checking, changing.
 *
 * NOTES
 *	  The metapage changes when an index is made, when it learns its dimensions and when it is
 *	  trained; no verb counts anything on it. Every scan and insert reads it, with one pin and one
 *	  share lock, to learn which model is in force.
 */
#include "postgres.h"

#include "port/pg_crc32c.h"
#include "utils/rel.h"

#include "compat.h"
#include "faultpoint.h"
#include "store/meta.h"

AnnMetaData *
ann_meta_of_page(Page page)
{
	return (AnnMetaData *) ann_page_payload(page);
}

static uint32
meta_checksum(const AnnMetaData *meta)
{
	AnnMetaData copy = *meta;
	pg_crc32c crc;

	copy.checksum = 0;
	INIT_CRC32C(crc);
	COMP_CRC32C(crc, &copy, sizeof(copy));
	FIN_CRC32C(crc);
	return crc;
}

void
ann_meta_seal(AnnMetaData *meta)
{
	meta->checksum = meta_checksum(meta);
}

/* What it must say of the parents of the coded centroids. */
static const char *
validate_parents(const AnnMetaData *meta)
{
	const AnnSectionData *section = ann_section_find(meta, ANN_SECTION_PARENTS);

	if (section == NULL)
		return "a section of the centroids' codes is missing";
	if (meta->num_parents > meta->num_leaves || section->bytes > ANN_MAX_PARENTS_BYTES ||
		section->bytes < (uint64) meta->num_parents * meta->dim * sizeof(float))
		return "impossible number of parents";
	return NULL;
}

/* What it must say of the centroids' codes, if there are any. */
static const char *
validate_centroid_codes(const AnnMetaData *meta)
{
	if (meta->centroid_width == 0)
		return meta->centroid_blocks == 0 && meta->num_parents == 0
				   ? NULL
				   : "impossible size of the centroids' codes";
	if (meta->centroid_width > ANN_MAX_DIM ||
		meta->centroid_blocks != (meta->dim + meta->centroid_width - 1) / meta->centroid_width)
		return "impossible size of the centroids' codes";
	if (ann_section_find(meta, ANN_SECTION_CENTROID_CODEBOOK) == NULL ||
		ann_section_find(meta, ANN_SECTION_CENTROID_CODES) == NULL)
		return "a section of the centroids' codes is missing";
	return validate_parents(meta);
}

/* Is the code's size one that a quantiser may have? */
static bool
is_possible_code(const AnnMetaData *meta)
{
	AnnPq pq;

	if (meta->quantizer == ANN_QUANTIZER_FLAT)
		return meta->width == 0 && meta->layers == 0 && meta->num_blocks == 0;
	if (meta->width == 0 || meta->width > ANN_MAX_DIM || meta->layers == 0 ||
		meta->layers > ANN_MAX_LAYERS)
		return false;
	if (meta->quantizer == ANN_QUANTIZER_SQ8 && (meta->width != 1 || meta->layers != 2))
		return false;
	ann_pq_shape(&pq, meta->quantizer, meta->dim, meta->width, meta->layers);
	return meta->num_blocks == (uint32) pq.num_blocks;
}

/* What is out of question for the metric's codes. */
static const char *
validate_form(const AnnMetaData *meta)
{
	const AnnMetricTraits *traits = ann_metric_traits(meta->metric);

	if (ann_form_is_absolute(traits->form) &&
		(meta->flags & (ANN_META_ROTATED | ANN_META_FROM_ORIGIN)) != 0)
		return "a rotation or an origin, though codes are absolute";
	if (ann_form_is_absolute(traits->form) && (meta->layers > 1 || meta->anisotropic_threshold > 0))
		return "impossible code";
	if (traits->is_bits && meta->width != ANN_BITS_WIDTH && meta->num_blocks > 0)
		return "impossible code size";
	if (traits->is_bits && (meta->flags & ANN_META_TABLE16) != 0)
		return "tables of 16 bits for strings of bits";
	return NULL;
}

/* What a trained index's metapage must say; NULL when fine. */
static const char *
validate_trained(const AnnMetaData *meta)
{
	static const AnnSectionKind needed[] = {ANN_SECTION_MEAN, ANN_SECTION_TREE,
											ANN_SECTION_CALIBRATION, ANN_SECTION_CODEBOOK};
	AnnBlockLayout layout;
	const char *reason;

	if (meta->dim == 0 || meta->model >= meta->next_model)
		return "impossible model number";
	if (meta->quantizer > ANN_QUANTIZER_FLAT)
		return "unknown quantizer";
	if (!is_possible_code(meta))
		return "impossible code size";
	if (meta->num_leaves == 0 || meta->num_leaves > meta->next_leaf || meta->levels != 1)
		return "impossible number of leaves";
	if (!(meta->soar_lambda >= 0 && meta->soar_lambda <= ANN_MAX_SOAR_LAMBDA))
		return "impossible soar_lambda";
	if (!(meta->anisotropic_threshold >= 0 &&
		  meta->anisotropic_threshold <= (float) ANN_MAX_ANISOTROPIC_THRESHOLD) ||
		(meta->anisotropic_threshold > 0 && meta->layers != 1))
		return "impossible anisotropic_quantization_threshold";
	layout.tid_bytes = meta->tid_bytes;
	layout.factor_bytes = meta->factor_bytes;
	layout.filter_bytes = meta->filter_bytes;
	layout.refine_bytes = meta->refine_bytes;
	layout.num_blocks = meta->num_blocks;
	if (!ann_block_layout_init(&layout, &reason))
		return reason;
	for (int i = 0; i < (int) lengthof(needed); i++)
		if (ann_section_find(meta, needed[i]) == NULL &&
			!(needed[i] == ANN_SECTION_CODEBOOK && meta->num_blocks == 0))
			return "a section of the model is missing";
	if ((meta->flags & ANN_META_ROTATED) != 0 &&
		(meta->dim > ANN_MAX_ROTATED_DIM || ann_section_find(meta, ANN_SECTION_ROTATION) == NULL))
		return "impossible rotation";
	reason = validate_form(meta);
	return reason != NULL ? reason : validate_centroid_codes(meta);
}

const char *
ann_meta_validate(const AnnMetaData *meta)
{
	if (meta->checksum != meta_checksum(meta))
		return "the metapage's checksum is wrong";
	if (ann_metric_traits(meta->metric) == NULL)
		return "unknown metric";
	if ((meta->flags & ~ANN_META_FLAGS) != 0)
		return "unknown flags in the metapage";
	if (meta->dim > ANN_MAX_DIM)
		return "impossible number of dimensions";
	if (meta->options.soar_lambda != -1 &&
		!(meta->options.soar_lambda >= 0 && meta->options.soar_lambda <= ANN_MAX_SOAR_LAMBDA))
		return "impossible option soar_lambda";
	if (meta->options.quantizer < 0 || meta->options.quantizer > ANN_QUANTIZER_FLAT)
		return "unknown quantizer";
	return meta->model == 0 ? NULL : validate_trained(meta);
}

/* A required section that this library does not know is a newer format, not damage. */
static void
refuse_unknown_sections(Relation index, const AnnMetaData *meta)
{
	for (int i = 0; i < ANN_MAX_SECTIONS; i++)
	{
		const AnnSectionData *section = &meta->sections[i];

		if (section->kind == 0 || !section->required)
			continue;
		if (section->kind > ANN_LAST_SECTION || section->version != 1)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("index \"%s\" needs section %u, version %u, which this version of "
							"ann does not know",
							RelationGetRelationName(index), section->kind, section->version),
					 errhint("Update the library, or rebuild the index with REINDEX.")));
	}
}

void
ann_meta_read(Relation index, AnnMetaData *meta)
{
	Buffer buffer = ann_page_read(index, ANN_META_BLKNO, BUFFER_LOCK_SHARE);
	Page page = ann_page_get(index, buffer, ANN_PAGE_META, 0);
	const char *reason;

	*meta = *ann_meta_of_page(page);
	UnlockReleaseBuffer(buffer);

	if (meta->magic != ANN_MAGIC)
		ann_page_corrupted(index, ANN_META_BLKNO, "the metapage has no magic number");
	if (meta->version != ANN_FORMAT_VERSION)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("index \"%s\" has format version %u, this version of ann reads "
							   "version %d",
							   RelationGetRelationName(index), meta->version, ANN_FORMAT_VERSION),
						errhint("Rebuild the index with REINDEX.")));
	reason = ann_meta_validate(meta);
	if (reason != NULL)
		ann_page_corrupted(index, ANN_META_BLKNO, reason);
	refuse_unknown_sections(index, meta);
}

void
ann_meta_init(AnnMetaData *meta, AnnMetric metric, uint32 dim, const AnnBuildOptions *options)
{
	memset(meta, 0, sizeof(*meta));
	meta->magic = ANN_MAGIC;
	meta->version = ANN_FORMAT_VERSION;
	meta->metric = metric;
	meta->dim = dim;
	meta->next_model = 1;
	meta->options = *options;
	for (int i = 0; i < ANN_MAX_SECTIONS; i++)
		meta->sections[i].first_blkno = InvalidBlockNumber;
	ann_meta_seal(meta);
}

/* Writes one of the fixed pages; block numbers come out in order as the fork is empty. */
static void
create_page(Relation index, ForkNumber fork, BlockNumber expected, const AnnMetaData *meta)
{
	Buffer buffer = ann_page_extend(index, fork);
	Page page = BufferGetPage(buffer);

	if (BufferGetBlockNumber(buffer) != expected)
		elog(ERROR, "index \"%s\" is not empty", RelationGetRelationName(index));
	if (expected == ANN_META_BLKNO)
	{
		ann_page_init(page, ANN_PAGE_META, 0);
		*ann_meta_of_page(page) = *meta;
	}
	else
	{
		AnnTidsPageHeader *header;

		ann_page_init(page, ANN_PAGE_TIDS, 0);
		header = (AnnTidsPageHeader *) ann_page_payload(page);
		header->count = 0;
		header->null_leaf = expected == ANN_NULL_BLKNO;
		header->hint = expected;
	}
	MarkBufferDirty(buffer);
	UnlockReleaseBuffer(buffer);
}

void
ann_meta_create(Relation index, ForkNumber fork, const AnnMetaData *meta)
{
	for (BlockNumber blkno = 0; blkno < ANN_FIRST_FREE_BLKNO; blkno++)
		create_page(index, fork, blkno, meta);
}

void
ann_meta_write(Relation index, AnnMetaData *meta, bool log)
{
	Buffer buffer = ann_page_read(index, ANN_META_BLKNO, BUFFER_LOCK_EXCLUSIVE);
	Page page = ann_page_get(index, buffer, ANN_PAGE_META, 0);

	ann_meta_seal(meta);
	if (log)
	{
		AnnEdit edit;

		ANN_FAULT("meta-write");
		ann_edit_begin(&edit, index);
		*ann_meta_of_page(ann_edit_page(&edit, buffer, false)) = *meta;
		ann_edit_finish(&edit);
		ANN_FAULT("meta-write-done");
	}
	else
	{
		*ann_meta_of_page(page) = *meta;
		MarkBufferDirty(buffer);
	}
	UnlockReleaseBuffer(buffer);
}

uint32
ann_meta_set_dim(Relation index, uint32 dim)
{
	Buffer buffer = ann_page_read(index, ANN_META_BLKNO, BUFFER_LOCK_EXCLUSIVE);
	Page page = ann_page_get(index, buffer, ANN_PAGE_META, 0);
	AnnMetaData *meta = ann_meta_of_page(page);
	uint32 result = meta->dim;

	if (result == 0)
	{
		AnnEdit edit;

		ann_edit_begin(&edit, index);
		page = ann_edit_page(&edit, buffer, false);
		meta = ann_meta_of_page(page);
		meta->dim = dim;
		ann_meta_seal(meta);
		ann_edit_finish(&edit);
		ANN_FAULT("meta-dim-done");
		result = dim;
	}
	UnlockReleaseBuffer(buffer);
	return result;
}
