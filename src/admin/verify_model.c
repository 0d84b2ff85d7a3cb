/*
 * verify_model.c
 *	  The parts of ann_check() for the metapage and the sections of the model: I-1, I-2.
 */
#include "postgres.h"

#include <math.h>

#include "port/pg_crc32c.h"
#include "utils/rel.h"

#include "admin/verify.h"
#include "am/am.h"
#include "am/support.h"
#include "store/centroids.h"

/* ---- the metapage ---- */

/* What is wrong with its content; NULL: nothing. */
static const char *
meta_fault(AnnCheck *check)
{
	const AnnMetaData *meta = &check->meta;
	const char *fault;

	if (meta->magic != ANN_MAGIC)
		return "the metapage has no magic number";
	if (meta->version != ANN_FORMAT_VERSION)
		return "the metapage is of another format version";
	fault = ann_meta_validate(meta);
	if (fault != NULL)
		return fault;
	return ann_meta_misfit(check->index, meta);
}

/* What ann_model_derive would refuse. */
static const char *
layout_fault(const AnnMetaData *meta, AnnModel *model)
{
	AnnBlockLayout layout = model->layout;
	const char *fault;

	if (!ann_block_layout_init(&layout, &fault))
		return fault;
	layout.num_blocks = Max(meta->centroid_blocks, 1);
	if (!ann_block_layout_init(&layout, &fault))
		return fault;
	if (layout.block_bytes > ANN_PAGE_PAYLOAD - ANN_CENTROIDS_OFFSET)
		return "codes of centroids are too long";
	return NULL;
}

/* The sizes of the model in force, from a valid metapage. */
static const char *
derive_model(AnnCheck *check)
{
	const char *fault;

	ann_model_numbers(&check->model, &check->meta);
	fault = layout_fault(&check->meta, &check->model);
	if (fault == NULL)
		ann_model_derive(&check->model);
	return fault;
}

bool
ann_check_meta(AnnCheck *check)
{
	PGAlignedBlock copy;
	const char *fault;

	if (!ann_check_copy(check, ANN_META_BLKNO, ANN_META_BLKNO, ANN_PAGE_META, 0, "I-1", &copy))
		return false;
	(void) ann_check_enter(check, ANN_META_BLKNO, ANN_META_BLKNO);
	check->meta = *ann_meta_of_page(copy.data);
	fault = meta_fault(check);
	if (fault == NULL && check->meta.model != 0)
		fault = derive_model(check);
	if (fault != NULL)
		ann_check_fault(check, ANN_META_BLKNO, "I-1", "%s", fault);
	return fault == NULL;
}

/* ---- sections ---- */

/* Bytes that a section of a kind must have; 0: of any length. */
static uint64
section_bytes(const AnnMetaData *meta, const AnnModel *model, const AnnSectionData *section)
{
	switch (section->kind)
	{
		case ANN_SECTION_MEAN:
			return sizeof(float) * meta->dim;
		case ANN_SECTION_CODEBOOK:
			return sizeof(float) * ann_pq_codebook_floats(meta->num_blocks, meta->width);
		case ANN_SECTION_CENTROID_CODEBOOK:
			return sizeof(float) *
				   ann_pq_codebook_floats(meta->centroid_blocks, meta->centroid_width);
		case ANN_SECTION_CALIBRATION:
			return sizeof(AnnCalibrationData);
		case ANN_SECTION_PARENTS:
			return ann_parents_bytes(model);
		case ANN_SECTION_ROTATION:
			return sizeof(float) * meta->dim * meta->dim;
		default:
			return 0;
	}
}

/* Strings of bits have no mean and always the same codewords; done: bytes of the section before. */
static const char *
bits_fault(uint16 kind, const float *floats, uint64 done, Size num_bytes)
{
	for (Size i = 0; i < num_bytes / sizeof(float); i++)
	{
		uint64 place = done / sizeof(float) + i;
		uint64 dimension = place / ANN_CODEWORDS % ANN_BITS_WIDTH;

		if (kind == ANN_SECTION_MEAN && floats[i] != 0)
			return "strings of bits with a mean";
		if (kind == ANN_SECTION_CODEBOOK && floats[i] != (place % ANN_CODEWORDS >> dimension & 1))
			return "codewords that are not those of strings of bits";
	}
	return NULL;
}

/*
 * What is wrong with a part of a section that is a whole number of floats; done: bytes of the
 * section before it.
 */
static const char *
content_fault(const AnnModel *model, uint16 kind, const char *bytes, uint64 done, Size num_bytes)
{
	const float *floats = (const float *) bytes;
	const AnnCalibrationData *calibration = (const AnnCalibrationData *) bytes;

	if (kind == ANN_SECTION_CALIBRATION)
		return ann_calibration_is_sane(calibration) ? NULL : "impossible calibration";
	if (kind == ANN_SECTION_MEAN || kind == ANN_SECTION_CODEBOOK ||
		kind == ANN_SECTION_CENTROID_CODEBOOK || kind == ANN_SECTION_ROTATION)
		for (Size i = 0; i < num_bytes / sizeof(float); i++)
			if (!isfinite(floats[i]))
				return "a value of the model is not finite";
	return model->traits->is_bits ? bits_fault(kind, floats, done, num_bytes) : NULL;
}

/* What is wrong with the parents as they stand together in memory. */
static const char *
parents_fault(const AnnModel *model, const char *bytes)
{
	const float *floats = (const float *) bytes;

	for (Size i = 0; i < (Size) model->num_parents * model->dim; i++)
		if (!isfinite(floats[i]))
			return "a value of the model is not finite";
	return ann_parents_are_sane(model, ann_parents_numbers(model, bytes)) ? NULL
																		  : "impossible parents";
}

/* The pages of a section, their sum, and that they end where it ends. False: they break off. */
static bool
walk_section(AnnCheck *check, const AnnSectionData *section)
{
	BlockNumber from = ANN_META_BLKNO;
	BlockNumber blkno = section->first_blkno;
	bool has_parents =
		section->kind == ANN_SECTION_PARENTS && check->model.centroid_pq.num_blocks > 0;
	char *parents = has_parents ? palloc(section->bytes) : NULL; /* up to ANN_MAX_PARENTS_BYTES */
	const char *fault = NULL;
	PGAlignedBlock copy;
	pg_crc32c crc;

	INIT_CRC32C(crc);
	for (uint64 done = 0; done < section->bytes; done += ANN_PAGE_PAYLOAD)
	{
		Size part = Min(section->bytes - done, (uint64) ANN_PAGE_PAYLOAD);

		if (!ann_check_copy(check, from, blkno, ANN_PAGE_SECTION, section->model, "I-2", &copy) ||
			!ann_check_enter(check, from, blkno))
			return false;
		COMP_CRC32C(crc, ann_page_payload(copy.data), part);
		if (fault == NULL)
			fault = content_fault(&check->model, section->kind, ann_page_payload(copy.data), done,
								  part);
		if (parents != NULL)
			memcpy(parents + done, ann_page_payload(copy.data), part);
		from = blkno;
		blkno = AnnPageGetOpaque(copy.data)->next;
	}
	FIN_CRC32C(crc);
	if (crc != section->checksum)
		fault = "the checksum is wrong";
	else if (parents != NULL)
	{
		fault = parents_fault(&check->model, parents);
		check->parents = parents;
	}
	if (fault != NULL)
		ann_check_mismatch(check, section->first_blkno, "I-2", "section %u: %s", section->kind,
						   fault);
	if (blkno != InvalidBlockNumber)
		ann_check_mismatch(check, from, "I-2", "section %u goes on past its end", section->kind);
	return true;
}

/* The tree and the codes of the centroids are not bytes in SECTION pages: verify_tree.c. */
static void
check_section(AnnCheck *check, const AnnSectionData *section)
{
	uint64 expected = section_bytes(&check->meta, &check->model, section);

	if (section->kind > ANN_LAST_SECTION && !section->required)
	{
		/* passed over: of a later version, on pages of a kind that only it may know */
		ann_check_broken(check, 0);
		ann_check_broken(check, ANN_PAGE_SECTION);
		return;
	}
	if (section->model != check->model.number)
		ann_check_fault(check, ANN_META_BLKNO, "I-2", "section %u is of model %u, not of model %u",
						section->kind, section->model, check->model.number);
	else if (section->required && (section->kind > ANN_LAST_SECTION || section->version != 1))
		ann_check_fault(check, ANN_META_BLKNO, "I-2",
						"section %u, version %u, is required and not known", section->kind,
						section->version);
	else if (expected != 0 && section->bytes != expected)
		ann_check_fault(check, ANN_META_BLKNO, "I-2",
						"section %u has " UINT64_FORMAT " bytes instead of " UINT64_FORMAT,
						section->kind, section->bytes, expected);
	else if (section->kind == ANN_SECTION_TREE || section->kind == ANN_SECTION_CENTROID_CODES ||
			 walk_section(check, section))
		return;
	ann_check_broken(check, ANN_PAGE_SECTION);
}

void
ann_check_sections(AnnCheck *check)
{
	for (int i = 0; i < ANN_MAX_SECTIONS; i++)
		if (check->meta.sections[i].kind != 0)
			check_section(check, &check->meta.sections[i]);
}
