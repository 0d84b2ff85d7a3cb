/*
 * model.c
 *	  Sections of the model on disk, and the model as a backend holds it in memory.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/pg_crc32c.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "core/anisotropic.h"
#include "core/rotation.h"
#include "faultpoint.h"
#include "store/centroids.h"
#include "store/meta.h"

static uint32
section_checksum(const void *bytes, Size num_bytes)
{
	pg_crc32c crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, bytes, num_bytes);
	FIN_CRC32C(crc);
	return crc;
}

void
ann_section_write(Relation index, AnnSectionKind kind, uint32 model, const void *bytes,
				  Size num_bytes, bool log_pages, AnnSectionData *section)
{
	Buffer next = ann_page_allocate(index);
	Size done = 0;

	memset(section, 0, sizeof(*section));
	section->kind = kind;
	section->version = 1;
	section->required = 1;
	section->model = model;
	section->first_blkno = BufferGetBlockNumber(next);
	section->bytes = num_bytes;
	section->checksum = section_checksum(bytes, num_bytes);
	while (BufferIsValid(next))
	{
		Buffer buffer = next;
		Page page = BufferGetPage(buffer);
		Size part = Min(num_bytes - done, (Size) ANN_PAGE_PAYLOAD);

		ann_page_init(page, ANN_PAGE_SECTION, model);
		ann_page_pause(index, buffer, log_pages);
		memcpy(ann_page_payload(page), (const char *) bytes + done, part);
		memset(ann_page_payload(page) + part, 0, ANN_PAGE_PAYLOAD - part);
		done += part;
		next = done < num_bytes ? ann_page_allocate(index) : InvalidBuffer;
		if (BufferIsValid(next))
			AnnPageGetOpaque(page)->next = BufferGetBlockNumber(next);
		ann_wal_put_page(index, buffer, log_pages);
		UnlockReleaseBuffer(buffer);
		ANN_FAULT("section-page");
	}
}

const AnnSectionData *
ann_section_find(const AnnMetaData *meta, AnnSectionKind kind)
{
	for (int i = 0; i < ANN_MAX_SECTIONS; i++)
		if (meta->sections[i].kind == kind && meta->sections[i].model == meta->model)
			return &meta->sections[i];
	return NULL;
}

void
ann_section_read(Relation index, const AnnSectionData *section, void *bytes, Size num_bytes)
{
	BlockNumber blkno = section->first_blkno;
	Size done = 0;

	if (section->bytes != num_bytes)
		ann_page_corrupted(index, ANN_META_BLKNO, "a section has an impossible length");
	while (done < num_bytes)
	{
		Buffer buffer;
		Page page;
		Size part = Min(num_bytes - done, (Size) ANN_PAGE_PAYLOAD);

		CHECK_FOR_INTERRUPTS();
		buffer = ann_page_read(index, blkno, BUFFER_LOCK_SHARE);
		page = ann_page_get(index, buffer, ANN_PAGE_SECTION, section->model);
		memcpy((char *) bytes + done, ann_page_payload(page), part);
		done += part;
		blkno = AnnPageGetOpaque(page)->next;
		UnlockReleaseBuffer(buffer);
	}
	if (section_checksum(bytes, num_bytes) != section->checksum)
		ann_page_corrupted(index, section->first_blkno, "a section's checksum is wrong");
}

void
ann_model_derive(AnnModel *model)
{
	uint32 centroid_bytes = model->dim * (model->f32_centroids ? sizeof(float) : sizeof(uint16));
	const char *reason;

	if (!ann_block_layout_init(&model->layout, &reason))
		elog(ERROR, "impossible block layout: %s", reason);
	model->slots_per_page = ANN_PAGE_PAYLOAD / model->layout.block_bytes;
	model->node_stride = MAXALIGN(sizeof(AnnNodeEntry) + centroid_bytes);
	model->nodes_per_page =
		Max((ANN_PAGE_PAYLOAD - sizeof(AnnNodePageHeader)) / model->node_stride, 1);
	if (model->centroid_pq.num_blocks == 0)
		return;
	model->centroid_layout = model->layout;
	model->centroid_layout.num_blocks = model->centroid_pq.num_blocks;
	if (!ann_block_layout_init(&model->centroid_layout, &reason))
		elog(ERROR, "impossible block layout: %s", reason);
	model->centroid_slots =
		(ANN_PAGE_PAYLOAD - ANN_CENTROIDS_OFFSET) / model->centroid_layout.block_bytes;
	if (model->centroid_slots == 0)
		elog(ERROR, "codes of centroids are too long");
}

/* Floats of codebook and bias of a quantiser. */
static Size
pq_floats(uint32 num_blocks, uint32 width)
{
	return ann_pq_codebook_floats(num_blocks, width) + ann_pq_bias_floats(num_blocks);
}

/* Floats of the rotation. */
static Size
rotation_floats(const AnnMetaData *meta)
{
	return (meta->flags & ANN_META_ROTATED) != 0 ? (Size) meta->dim * meta->dim : 0;
}

/* Bytes of the parents' section, and of their norms. */
static Size
parents_size(const AnnMetaData *meta)
{
	return meta->centroid_blocks == 0 ? 0
									  : ann_section_find(meta, ANN_SECTION_PARENTS)->bytes +
											sizeof(float) * meta->num_parents;
}

/* Bytes of an AnnModel with its arrays behind it. */
static Size
model_size(const AnnMetaData *meta)
{
	return MAXALIGN(sizeof(AnnModel)) +
		   sizeof(float) *
			   (pq_floats(meta->num_blocks, meta->width) + meta->dim +
				pq_floats(meta->centroid_blocks, meta->centroid_width) + rotation_floats(meta)) +
		   parents_size(meta);
}

/* Lays a quantiser's arrays out at floats; returns what is behind them. */
static float *
place_pq(AnnPq *pq, float *floats)
{
	pq->codebook = floats;
	pq->bias = floats + ann_pq_codebook_floats(pq->num_blocks, pq->width);
	return pq->bias + ann_pq_bias_floats(pq->num_blocks);
}

/* The first block of a section of the model in force; Invalid where it has none. */
static BlockNumber
section_blkno(const AnnMetaData *meta, AnnSectionKind kind)
{
	const AnnSectionData *section = ann_section_find(meta, kind);

	return section == NULL ? InvalidBlockNumber : section->first_blkno;
}

void
ann_model_numbers(AnnModel *model, const AnnMetaData *meta)
{
	model->number = meta->model;
	model->dim = meta->dim;
	model->metric = meta->metric;
	model->traits = ann_metric_traits(meta->metric);
	model->form = model->traits->form;
	model->f32_centroids = (meta->flags & ANN_META_F32_CENTROIDS) != 0;
	model->table_bits = (meta->flags & ANN_META_TABLE16) != 0 ? 16 : 8;
	model->num_leaves = meta->num_leaves;
	model->soar_lambda = meta->soar_lambda;
	model->tree_blkno = section_blkno(meta, ANN_SECTION_TREE);
	model->layout.tid_bytes = meta->tid_bytes;
	model->layout.factor_bytes = meta->factor_bytes;
	model->layout.filter_bytes = meta->filter_bytes;
	model->layout.refine_bytes = meta->refine_bytes;
	model->layout.num_blocks = meta->num_blocks;
	model->from_origin = (meta->flags & ANN_META_FROM_ORIGIN) != 0;
	ann_pq_shape(&model->pq, meta->quantizer, meta->dim, meta->width, meta->layers);
	if (meta->anisotropic_threshold > 0)
		model->pq.weight = ann_anisotropic_weight(meta->anisotropic_threshold, meta->dim);
	memset(&model->centroid_pq, 0, sizeof(model->centroid_pq));
	if (meta->centroid_blocks > 0)
		ann_pq_shape(&model->centroid_pq, ANN_QUANTIZER_PQ, meta->dim, meta->centroid_width, 1);
	model->centroid_blkno = section_blkno(meta, ANN_SECTION_CENTROID_CODES);
	model->num_parents = meta->num_parents;
}

/* Fills in a model but for what stands in sections: its numbers, pointers into its own chunk. */
static void
model_from_meta(AnnModel *model, const AnnMetaData *meta)
{
	float *floats = (float *) ((char *) model + MAXALIGN(sizeof(AnnModel)));

	ann_model_numbers(model, meta);
	model->mean = place_pq(&model->pq, floats);
	floats = place_pq(&model->centroid_pq, model->mean + meta->dim);
	model->rotation = rotation_floats(meta) > 0 ? floats : NULL;
	model->parents = floats + rotation_floats(meta);
	model->first_child = (uint32 *) (model->parents + (Size) meta->num_parents * meta->dim);
	model->centroid_pages = model->first_child + ann_parents_children(meta->num_parents);
	ann_model_derive(model);
	model->parent_bias = (float *) (model->centroid_pages + ann_centroids_num_pages(model));
}

void
ann_model_rotate(const AnnModel *model, const float *from, int num, float *to)
{
	if (model->rotation == NULL)
		memcpy(to, from, sizeof(float) * model->dim * num);
	else
		ann_rotation_apply(model->rotation, model->dim, from, num, to);
}

void
ann_model_unrotate(const AnnModel *model, const float *from, float *to)
{
	if (model->rotation == NULL)
		memcpy(to, from, sizeof(float) * model->dim);
	else
		ann_rotation_revert(model->rotation, model->dim, from, to);
}

bool
ann_calibration_is_sane(const AnnCalibrationData *calibration)
{
	return calibration->z > 0 && calibration->z <= calibration->z_wide &&
		   calibration->z_wide < 100 && calibration->leaves_at_10 >= 1 &&
		   calibration->leaves_at_10 < 1e9 && calibration->leaves_growth >= 0 &&
		   calibration->leaves_growth <= 2 && calibration->leaf_bias >= 0 &&
		   calibration->leaf_bias <= 1 && calibration->beam >= 1 && calibration->beam <= 16;
}

/* Reads the sections into a model that model_from_meta has laid out. */
static void
read_sections(Relation index, AnnModel *model, const AnnMetaData *meta)
{
	const AnnSectionData *calibration = ann_section_find(meta, ANN_SECTION_CALIBRATION);

	ann_section_read(index, calibration, &model->calibration, sizeof(AnnCalibrationData));
	if (!ann_calibration_is_sane(&model->calibration))
		ann_page_corrupted(index, calibration->first_blkno, "impossible calibration");
	ann_section_read(index, ann_section_find(meta, ANN_SECTION_MEAN), model->mean,
					 sizeof(float) * model->dim);
	if (model->pq.num_blocks > 0)
		ann_section_read(index, ann_section_find(meta, ANN_SECTION_CODEBOOK), model->pq.codebook,
						 sizeof(float) *
							 ann_pq_codebook_floats(model->pq.num_blocks, model->pq.width));
	ann_pq_rebias(&model->pq);
	if (model->rotation != NULL)
		ann_section_read(index, ann_section_find(meta, ANN_SECTION_ROTATION), model->rotation,
						 sizeof(float) * rotation_floats(meta));
	if (model->centroid_pq.num_blocks == 0)
		return;
	ann_section_read(index, ann_section_find(meta, ANN_SECTION_CENTROID_CODEBOOK),
					 model->centroid_pq.codebook,
					 sizeof(float) * ann_pq_codebook_floats(model->centroid_pq.num_blocks,
															model->centroid_pq.width));
	ann_pq_rebias(&model->centroid_pq);
	ann_parents_read(index, ann_section_find(meta, ANN_SECTION_PARENTS), model);
}

/*
 * The model is read into memory that an error frees, and copied into the relation's memory only
 * when it is whole. Its pointers point into its own chunk, so the copy is laid out again.
 */
const AnnModel *
ann_model_get(Relation index, const AnnMetaData *meta)
{
	Size size = model_size(meta);
	AnnModel *model = (AnnModel *) index->rd_amcache;
	AnnModel *cached;

	if (model != NULL && model->number == meta->model)
		return model;
	if (model != NULL)
	{
		index->rd_amcache = NULL;
		pfree(model);
	}

	model = palloc0(size);
	model_from_meta(model, meta);
	read_sections(index, model, meta);
	cached = MemoryContextAlloc(index->rd_indexcxt, size);
	memcpy(cached, model, size);
	model_from_meta(cached, meta);
	pfree(model);
	index->rd_amcache = cached;
	return cached;
}
