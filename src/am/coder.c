/*
 * coder.c
 *	  Codes every row of the source and writes the leaves.
 *
 * NOTES
 *	  One pass over the rows: batches are assigned to leaves by blocked products, encoded, shown to
 *	  the calibrator and put, as leaf, row identifier and code, into a tuplesort: codes are sorted,
 *	  never vectors. The sorted stream is written as contiguous leaves, then the tree, then the
 *	  sections.
 *
 *	  Workers may take part in the pass (parallel.c), in any order. What depends on all rows is
 *	  therefore gathered from the sorted stream, which is the same however the rows came: the sums
 *	  of floating point and the rows of the exact and the NULL leaf, which the sort puts at its end.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplesort.h"

#include "am/build.h"
#include "core/soar.h"
#include "store/centroids.h"

/*
 * Rows assigned together: many, as each batch moves all centroids to their parents' origins; fewer
 * where they are wide, or memory is small.
 */
#define MAX_BATCH 4096
#define MIN_BATCH 8
#define BATCH_BYTES (4 * 1024 * 1024)

/* In the sort, rows that no code describes and rows without a vector: after all leaves. */
#define EXACT_LEAF (PG_INT32_MAX - 1)
#define NULL_LEAF PG_INT32_MAX

/* What is sorted with a row's leaf and identifier, the packed code behind it. */
typedef struct SortedEntry
{
	AnnFactors factors;
	float distance; /* squared, to the centroid */
} SortedEntry;

struct AnnCoder
{
	AnnBuilder *builder;
	int dim;
	int room;        /* rows of a batch */
	int num;         /* rows in it */
	float *incoming; /* mean taken off; the same memory as rows where nothing is rotated */
	float *rows;     /* in the model's coordinates */
	AnnTid *tids;
	AnnCoded first;
	AnnCoded second;   /* where rows have a second leaf */
	AnnNearLeaf *near; /* of each row: the leaves that it is chosen among */
	float *distances;
	float *scratch;
	float *residual;
	void *workspace;
	Tuplesortstate *sort;
	TupleTableSlot *slot; /* a row on its way into the sort */
	bytea *payload;       /* SortedEntry and code */
	bytea *no_payload;    /* of a row without a code */
};

/* Leaves as they are written. */
typedef struct Leaves
{
	AnnBuilder *builder;
	AnnNodeEntry *entries;
	double *energy; /* of each: sum of squared residuals, of first entries */
	uint32 *counts; /* of each: rows, by their first entries */
	double written; /* rows so far */
} Leaves;

static Size
payload_size(const AnnModel *model)
{
	return VARHDRSZ + sizeof(SortedEntry) + ann_nibbles_bytes(model->layout.num_blocks);
}

static TupleDesc
sort_desc(void)
{
	TupleDesc desc = CreateTemplateTupleDesc(3);

	TupleDescInitEntry(desc, 1, "leaf", INT4OID, -1, 0);
	TupleDescInitEntry(desc, 2, "tid", TIDOID, -1, 0);
	TupleDescInitEntry(desc, 3, "code", BYTEAOID, -1, 0);
	return desc;
}

Tuplesortstate *
ann_coder_sort(SortCoordinate coordinate, Size memory)
{
	AttrNumber attributes[] = {1, 2};
	Oid operators[] = {Int4LessOperator, TIDLessOperator};
	Oid collations[] = {InvalidOid, InvalidOid};
	bool nulls_first[] = {false, false};

	return tuplesort_begin_heap(sort_desc(), 2, attributes, operators, collations, nulls_first,
								Max(1024, Min(memory / 1024, INT_MAX)), coordinate, TUPLESORT_NONE);
}

static void
coded_init(AnnCoded *coded, const AnnModel *model, int room)
{
	coded->leaves = palloc(sizeof(uint32) * room);
	coded->codes = palloc((Size) model->layout.num_blocks * room);
	coded->factors = palloc(sizeof(AnnFactors) * room);
}

AnnCoder *
ann_coder_begin(AnnBuilder *builder, SortCoordinate coordinate, Size memory)
{
	AnnCoder *coder = palloc0(sizeof(AnnCoder));
	const AnnModel *model = builder->model;
	Size batch = Min(BATCH_BYTES, memory / 4);

	coder->builder = builder;
	coder->dim = model->dim;
	coder->room = Max(MIN_BATCH, Min(MAX_BATCH, batch / (model->dim * sizeof(float))));
	coder->rows = palloc(sizeof(float) * model->dim * coder->room);
	coder->incoming =
		model->rotation == NULL ? coder->rows : palloc(sizeof(float) * model->dim * coder->room);
	coder->tids = palloc(sizeof(AnnTid) * coder->room);
	coded_init(&coder->first, model, coder->room);
	if (model->soar_lambda > 0)
	{
		coded_init(&coder->second, model, coder->room);
		coder->near = palloc(sizeof(AnnNearLeaf) * ANN_NEAR_LEAVES * coder->room);
	}
	coder->distances = palloc(sizeof(float) * coder->room);
	coder->residual = palloc(sizeof(float) * model->dim);
	coder->scratch = palloc(sizeof(float) * ann_pq_row_scratch_floats(&model->pq));
	coder->workspace = palloc_extended(
		ann_centroids_assign_workspace_size(&builder->set, coder->room), MCXT_ALLOC_HUGE);
	coder->payload = palloc0(payload_size(model));
	SET_VARSIZE(coder->payload, payload_size(model));
	coder->no_payload = palloc(VARHDRSZ);
	SET_VARSIZE(coder->no_payload, VARHDRSZ);
	coder->slot = MakeSingleTupleTableSlot(sort_desc(), &TTSOpsVirtual);
	coder->sort = ann_coder_sort(coordinate, memory - batch);
	return coder;
}

static void
put_entry(AnnCoder *coder, int32 leaf, const ItemPointerData *tid, bytea *payload)
{
	TupleTableSlot *slot = coder->slot;

	ExecClearTuple(slot);
	slot->tts_values[0] = Int32GetDatum(leaf);
	slot->tts_values[1] = PointerGetDatum(tid);
	slot->tts_values[2] = PointerGetDatum(payload);
	memset(slot->tts_isnull, false, 3);
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(coder->sort, slot);
}

/* Puts an entry of row i of the batch into the sort; flags: of its row identifier. */
static void
put_coded(AnnCoder *coder, int i, const AnnCoded *coded, uint16 flags)
{
	const AnnModel *model = coder->builder->model;
	int num_blocks = model->layout.num_blocks;
	const uint8 *codes = coded->codes + (Size) i * num_blocks;
	char *out = VARDATA(coder->payload);
	SortedEntry entry = {.factors = coded->factors[i], .distance = coder->distances[i]};
	AnnTid flagged = coder->tids[i];
	ItemPointerData tid;

	flagged.offset |= flags;
	memcpy(out, &entry, sizeof(entry));
	ann_nibbles_pack(codes, num_blocks, (uint8 *) out + sizeof(entry));
	ann_tid_to_pointer(flagged, &tid);
	put_entry(coder, (int32) coded->leaves[i], &tid, coder->payload);
}

/* Codes row i of the batch for a leaf, as the entry at a place; false when no code describes it. */
static bool
encode_row(AnnCoder *coder, int i, const AnnCoded *coded, uint32 leaf, int place)
{
	const AnnBuilder *builder = coder->builder;
	const AnnModel *model = builder->model;

	coded->leaves[place] = leaf;
	return ann_pq_encode_row(
		&model->pq, model->form, coder->rows + (Size) i * coder->dim,
		ann_model_origin(model, builder->set.centroids + (Size) leaf * coder->dim),
		coded->codes + (Size) place * model->layout.num_blocks, &coded->factors[place],
		coder->scratch);
}

/* The nearest leaf of each row of the batch, and the list of near ones where a second is wanted. */
static void
assign_batch(AnnCoder *coder)
{
	const AnnCentroids *set = &coder->builder->set;
	AnnWatch *watch = &coder->builder->watch; /* which never stops by its answer */

	if (coder->incoming != coder->rows)
		ann_builder_products(coder->builder, coder->incoming, coder->num,
							 coder->builder->model->rotation, coder->dim, coder->dim, coder->rows,
							 coder->dim);
	if (coder->near == NULL)
	{
		(void) ann_centroids_assign(set, coder->rows, coder->dim, coder->num, coder->first.leaves,
									coder->distances, watch, coder->workspace);
		return;
	}
	(void) ann_centroids_near(set, coder->rows, coder->dim, coder->num, coder->near, watch,
							  coder->workspace);
	for (int i = 0; i < coder->num; i++)
	{
		coder->first.leaves[i] = coder->near[i * ANN_NEAR_LEAVES].leaf;
		coder->distances[i] = coder->near[i * ANN_NEAR_LEAVES].distance;
	}
}

/* The second entry of row i, which now stands at `place` of the batch, with its first one. */
static void
put_second(AnnCoder *coder, int i, int place)
{
	const AnnBuilder *builder = coder->builder;
	uint32 leaf = ann_soar_second(&builder->set, builder->model->soar_lambda,
								  coder->rows + (Size) place * coder->dim,
								  coder->near + i * ANN_NEAR_LEAVES, coder->residual);

	if (leaf != ANN_NO_LEAF && encode_row(coder, place, &coder->second, leaf, place))
		put_coded(coder, place, &coder->second, ANN_TID_SECONDARY);
	else
		coder->second.leaves[place] = ANN_NO_LEAF;
}

/* Encodes the batch; rows that no code describes are taken out of it. */
static void
flush_batch(AnnCoder *coder)
{
	AnnBuilder *builder = coder->builder;
	AnnCoded *first = &coder->first;
	bool has_second = coder->near != NULL;
	int kept = 0;

	assign_batch(coder);
	for (int i = 0; i < coder->num; i++)
	{
		const float *row = coder->rows + (Size) i * coder->dim;
		ItemPointerData tid;

		if (i % 256 == 0)
			CHECK_FOR_INTERRUPTS();
		ann_tid_to_pointer(coder->tids[i], &tid);
		if (!encode_row(coder, i, first, first->leaves[i], kept))
		{
			put_entry(coder, EXACT_LEAF, &tid, coder->no_payload);
			continue;
		}
		if (kept < i)
			memcpy(coder->rows + (Size) kept * coder->dim, row, sizeof(float) * coder->dim);
		coder->tids[kept] = coder->tids[i];
		coder->distances[kept] = coder->distances[i];
		put_coded(coder, kept, first, 0);
		if (has_second)
			put_second(coder, i, kept);
		kept++;
		if (builder->coded_row != NULL)
			builder->coded_row(builder->row_arg, &tid);
	}
	ann_calibrator_add(builder->calibrator, coder->rows, kept, coder->tids, first,
					   has_second ? &coder->second : NULL);
	builder->coded_rows += kept;
	coder->num = 0;
	ann_builder_done(builder, builder->all_coded_rows == NULL
								  ? builder->coded_rows
								  : pg_atomic_add_fetch_u64(builder->all_coded_rows, kept));
}

void
ann_coder_row(void *arg, ItemPointer tid, Datum value, bool isnull)
{
	AnnCoder *coder = arg;
	AnnBuilder *builder = coder->builder;
	MemoryContext old;
	struct varlena *detoasted;
	float *scratch;

	if (isnull)
	{
		put_entry(coder, NULL_LEAF, tid, coder->no_payload);
		return;
	}
	old = MemoryContextSwitchTo(builder->row_context);
	detoasted = PG_DETOAST_DATUM(value);
	ann_builder_dim(builder, detoasted);
	scratch = palloc(sizeof(float) * coder->dim);
	if (ann_row_prepare(builder->support->metric, coder->dim, builder->model->mean,
						builder->support->floats(detoasted, scratch),
						coder->incoming + (Size) coder->num * coder->dim))
		coder->tids[coder->num++] = ann_tid_from_pointer(tid);
	else
		put_entry(coder, EXACT_LEAF, tid, coder->no_payload);
	MemoryContextSwitchTo(old);
	MemoryContextReset(builder->row_context);
	if (coder->num == coder->room)
		flush_batch(coder);
}

Tuplesortstate *
ann_coder_finish(AnnCoder *coder)
{
	if (coder->num > 0)
		flush_batch(coder);
	ExecDropSingleTupleTableSlot(coder->slot);
	return coder->sort;
}

/* The pass in this process alone. */
static Tuplesortstate *
code_alone(AnnBuilder *builder)
{
	Size used = ann_centroids_size(builder->model->dim, builder->set.num_centroids);
	AnnCoder *coder =
		ann_coder_begin(builder, NULL, builder->memory - Min(used, builder->memory / 2));

	builder->scanned_rows = builder->source->scan(builder->source, ann_coder_row, coder);
	return ann_coder_finish(coder);
}

/* Node entries of the leaves, not yet with blocks, energy and counts. */
static void
init_leaves(Leaves *leaves, AnnBuilder *builder)
{
	uint32 num = builder->set.num_centroids;

	leaves->builder = builder;
	leaves->written = 0;
	leaves->entries = palloc_extended(sizeof(AnnNodeEntry) * num, MCXT_ALLOC_HUGE);
	leaves->energy = palloc_extended(sizeof(double) * num, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	leaves->counts = palloc_extended(sizeof(uint32) * num, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i < num; i++)
	{
		AnnNodeEntry *entry = &leaves->entries[i];

		memset(entry, 0, sizeof(*entry));
		entry->leaf = builder->meta.next_leaf + i;
		entry->head_blkno = InvalidBlockNumber;
		entry->hint_blkno = InvalidBlockNumber;
		entry->norm2 = builder->set.centroid_bias[i];
	}
}

/* Writes a coded row; codes: scratch, num_blocks bytes. */
static void
write_entry(Leaves *leaves, AnnBulkWriter *writer, uint32 leaf, ItemPointer tid,
			const char *payload, uint8 *codes)
{
	int num_blocks = leaves->builder->model->layout.num_blocks;
	AnnEntry entry = {.codes = codes, .tid = ann_tid_from_pointer(tid)};
	SortedEntry sorted;

	entry.secondary = (entry.tid.offset & ANN_TID_SECONDARY) != 0;
	entry.tid.offset &= ~ANN_TID_FLAGS;

	memcpy(&sorted, payload, sizeof(sorted));
	ann_nibbles_unpack((const uint8 *) payload + sizeof(sorted), num_blocks, codes);
	entry.factors = sorted.factors;
	ann_bulk_add(writer, leaf, &entry);
	if (entry.secondary)
		return;
	leaves->energy[leaf] += sorted.distance;
	leaves->counts[leaf]++;
	leaves->written += 1;
}

/* The sorted codes as contiguous leaves; rows without a code to whom they concern. */
static void
write_leaves(Leaves *leaves, Tuplesortstate *sort)
{
	AnnBuilder *builder = leaves->builder;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(sort_desc(), &TTSOpsMinimalTuple);
	uint8 *codes = palloc(builder->model->layout.num_blocks);
	AnnBulkWriter *writer =
		ann_bulk_begin(builder->index, builder->model, leaves->entries, builder->log_pages);
	uint64 num = 0;

	ann_builder_phase(builder, ANN_PHASE_WRITE, builder->coded_rows);
	while (tuplesort_gettupleslot(sort, true, false, slot, NULL))
	{
		bool isnull;
		int32 leaf = DatumGetInt32(slot_getattr(slot, 1, &isnull));
		ItemPointer tid = (ItemPointer) DatumGetPointer(slot_getattr(slot, 2, &isnull));

		if (leaf >= EXACT_LEAF && writer != NULL)
		{
			ann_bulk_finish(writer);
			writer = NULL;
		}
		if (leaf == NULL_LEAF)
			builder->null_row(builder->row_arg, tid);
		else if (leaf == EXACT_LEAF)
			builder->exact_row(builder->row_arg, tid);
		else
			write_entry(leaves, writer, leaf, tid,
						VARDATA_ANY(DatumGetPointer(slot_getattr(slot, 3, &isnull))), codes);
		if (++num % 1024 == 0)
		{
			CHECK_FOR_INTERRUPTS();
			ann_builder_done(builder, leaves->written);
		}
	}
	ann_builder_done(builder, leaves->written);
	if (writer != NULL)
		ann_bulk_finish(writer);
	ExecDropSingleTupleTableSlot(slot);
}

/* The rms residual of each leaf, into its entry as well. */
static float *
leaf_residuals(Leaves *leaves)
{
	uint32 num = leaves->builder->set.num_centroids;
	const float *adopted = leaves->builder->adopted_rho;
	float *rho = palloc_extended(sizeof(float) * num, MCXT_ALLOC_HUGE);

	for (uint32 i = 0; i < num; i++)
	{
		if (leaves->counts[i] > 0)
			rho[i] = sqrt(leaves->energy[i] / leaves->counts[i]);
		else
			rho[i] = adopted != NULL ? adopted[i] : 0;
		leaves->entries[i].rho = rho[i];
	}
	return rho;
}

/* The parents of the centroids, if they are kept, and the pages of the codes. */
static void
write_parents(AnnBuilder *builder, const BlockNumber *pages, AnnSectionData *section)
{
	const AnnModel *model = builder->model;
	const AnnCentroids *set = &builder->set;
	Size parents = sizeof(float) * model->num_parents * model->dim;
	Size children = sizeof(uint32) * ann_parents_children(model->num_parents);
	char *bytes = palloc(ann_parents_bytes(model));

	memcpy(bytes, set->parents, parents);
	memcpy(bytes + parents, set->first_child, children);
	memcpy(bytes + parents + children, pages, sizeof(BlockNumber) * ann_centroids_num_pages(model));
	ann_section_write(builder->index, ANN_SECTION_PARENTS, model->number, bytes,
					  ann_parents_bytes(model), builder->log_pages, section);
	section->required = 0;
	builder->meta.num_parents = model->num_parents;
}

/* The codes of the centroids, if they have any: three optional sections. */
static void
write_centroid_codes(AnnBuilder *builder, const AnnTid *places, AnnSectionData *section)
{
	const AnnModel *model = builder->model;
	const AnnPq *pq = &model->centroid_pq;
	BlockNumber *pages;

	builder->meta.centroid_width = pq->width;
	builder->meta.centroid_blocks = pq->num_blocks;
	if (builder->centroid_blocks == NULL)
		return;
	ann_centroids_set_places(builder, places);
	ann_section_write(builder->index, ANN_SECTION_CENTROID_CODEBOOK, model->number, pq->codebook,
					  sizeof(float) * ann_pq_codebook_floats(pq->num_blocks, pq->width),
					  builder->log_pages, section++);
	pages = palloc(sizeof(BlockNumber) * ann_centroids_num_pages(model));
	ann_centroids_write(builder->index, model, builder->centroid_blocks,
						(model->num_leaves + ANN_BLOCK_LANES - 1) / ANN_BLOCK_LANES,
						builder->log_pages, section++, pages);
	write_parents(builder, pages, section);
}

/* Sections, and the metapage's account of the model. */
static void
write_model(AnnBuilder *builder, const AnnNodeEntry *entries)
{
	AnnMetaData *meta = &builder->meta;
	AnnModel *model = builder->model;
	AnnSectionData *section = meta->sections;
	AnnTid *places;

	memset(meta->sections, 0, sizeof(meta->sections));
	ann_section_write(builder->index, ANN_SECTION_MEAN, model->number, model->mean,
					  sizeof(float) * model->dim, builder->log_pages, section++);
	if (!ann_model_is_flat(model))
		ann_section_write(builder->index, ANN_SECTION_CODEBOOK, model->number, model->pq.codebook,
						  sizeof(float) *
							  ann_pq_codebook_floats(model->pq.num_blocks, model->pq.width),
						  builder->log_pages, section++);
	if (model->rotation != NULL)
	{
		ann_section_write(builder->index, ANN_SECTION_ROTATION, model->number, model->rotation,
						  sizeof(float) * model->dim * model->dim, builder->log_pages, section++);
		meta->flags |= ANN_META_ROTATED;
	}
	ann_section_write(builder->index, ANN_SECTION_CALIBRATION, model->number, &model->calibration,
					  sizeof(AnnCalibrationData), builder->log_pages, section++);
	places = palloc_extended(sizeof(AnnTid) * model->num_leaves, MCXT_ALLOC_HUGE);
	ann_builder_phase(builder, ANN_PHASE_TREE, model->num_leaves);
	ann_tree_write(builder->index, model, entries, builder->set.centroids, model->num_leaves,
				   builder->log_pages, section++, places, &builder->watch);
	write_centroid_codes(builder, places, section);
	meta->next_leaf += model->num_leaves;
	meta->built_rows = builder->coded_rows;
}

void
ann_coder_run(AnnBuilder *builder)
{
	MemoryContext old = MemoryContextSwitchTo(builder->context);
	AnnParallel *parallel = ann_parallel_begin(builder);
	Tuplesortstate *sort;
	Leaves leaves;
	float *rho;
	bool table16 = false;

	ann_builder_phase(builder, ANN_PHASE_ENCODE, builder->estimated_rows);
	sort = parallel != NULL ? ann_parallel_code(parallel) : code_alone(builder);
	ann_builder_phase(builder, ANN_PHASE_SORT, builder->coded_rows);
	tuplesort_performsort(sort);
	ann_builder_done(builder, builder->coded_rows);
	init_leaves(&leaves, builder);
	write_leaves(&leaves, sort);
	tuplesort_end(sort);
	if (parallel != NULL)
		ann_parallel_end(parallel);

	rho = leaf_residuals(&leaves);
	if (builder->adopted_rho != NULL)
		ann_centroids_set_rho(builder, rho);
	else
		ann_calibrator_finish(builder->calibrator, rho, &builder->model->calibration, &table16);
	if (table16)
		builder->meta.flags |= ANN_META_TABLE16;
	write_model(builder, leaves.entries);
	MemoryContextSwitchTo(old);
}
