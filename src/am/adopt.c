/*
 * adopt.c
 *	  A model that is not trained but taken from another index (option trained_from), so that codes
 *	  of both mean the same and an index has a model before its table has rows.
 *
 * NOTES
 *	  Everything that training makes is copied: mean, rotation, codebook, calibration, centroids
 *	  with their parents and codes, in the same order, so that a vector has the same code in both,
 *	  leaf and all. The rows are the index's own. Nothing ties the two together afterwards.
 *
 *	  An index that cannot be found, or is untrained, is no error but a warning, and the index is
 *	  trained on its own rows: a dump is restored in an order that nobody chooses, and a REINDEX
 *	  must be possible when the other is gone. An index of another kind is an error, as a later try
 *	  would fail in the same way.
 *
 *	  Parents are kept in an index of many leaves only (store/centroids.h). Without them a row is
 *	  compared with all centroids.
 */
#include "postgres.h"

#include <math.h>

#include "access/genam.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "am/build.h"
#include "am/support.h"
#include "core/kernels.h"
#include "store/centroids.h"

static float *
copy_floats(AnnBuilder *builder, const float *floats, Size num)
{
	float *copy = ann_builder_alloc(builder, sizeof(float) * num);

	memcpy(copy, floats, sizeof(float) * num);
	return copy;
}

/* ---- the other index ---- */

static void
warn_own_training(const AnnBuilder *builder, const char *name, const char *reason)
{
	ereport(WARNING,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("index \"%s\" %s", name, reason),
			 errdetail("Index \"%s\" was to take its model from there, and is trained on its "
					   "own rows.",
					   RelationGetRelationName(builder->index)),
			 errhint("REINDEX it when the other index is there and trained.")));
}

/*
 * May the current user, in a build the owner of the table, see what the index reveals of its rows?
 */
static bool
may_read(Oid index_oid, Oid heap_oid)
{
	return ann_owns_relation(index_oid) ||
		   (pg_class_aclcheck(heap_oid, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
			check_enable_rls(heap_oid, InvalidOid, true) != RLS_ENABLED);
}

/*
 * The index of that name, in the schema of the index to be built where the name has none (the
 * search path of a build is not its user's), opened with its table; NULL: there is none.
 */
static Relation
open_other(AnnBuilder *builder, const char *name, Relation *heap)
{
	Oid namespace = RelationGetNamespace(builder->index);
	RangeVar *range = makeRangeVarFromNameList(ann_qualified_name(name));
	Relation index;
	Oid heap_oid;
	Oid oid;

	if (range->schemaname == NULL)
		range->schemaname = get_namespace_name(namespace);
	oid = RangeVarGetRelid(range, NoLock, true);
	if (!OidIsValid(oid))
		return NULL;
	if (oid == RelationGetRelid(builder->index))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("index \"%s\" cannot take its model from itself", name)));
	heap_oid = IndexGetRelation(oid, true);
	if (!OidIsValid(heap_oid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not an index", name)));
	if (!may_read(oid, heap_oid))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_INDEX, name);
	*heap = table_open(heap_oid, AccessShareLock);
	index = index_open(oid, AccessShareLock);
	if (index->rd_rel->relkind != RELKIND_INDEX || index->rd_indam->ambuild != annivf_build)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not an annivf index", name),
				 index->rd_rel->relkind == RELKIND_PARTITIONED_INDEX
					 ? errhint("Name the index of one of the partitions.")
					 : 0));
	if (RELATION_IS_OTHER_TEMP(index))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot access temporary indexes of other sessions")));
	return index;
}

/* ---- does it fit? ---- */

static ANN_NORETURN void
refuse(Relation other, const char *what, const char *has, const char *wanted)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the model of index \"%s\" does not fit", RelationGetRelationName(other)),
			 errdetail("Its %s is %s, not %s.", what, has, wanted),
			 errhint("Distance and dimensions must be the same, options of codes and leaves be the "
					 "same or left out.")));
}

/* An option that is set must be what the other index has. */
static void
check_number(Relation other, const char *what, double has, double wanted, bool is_set)
{
	if (is_set && has != wanted)
		refuse(other, what, psprintf("%g", has), psprintf("%g", wanted));
}

static void
check_switch(Relation other, const char *what, bool has, int wanted)
{
	if (wanted != ANN_SWITCH_AUTO && has != (wanted == ANN_SWITCH_ON))
		refuse(other, what, has ? "on" : "off", has ? "off" : "on");
}

static void
check_fit(const AnnBuilder *builder, Relation other, const AnnMetaData *meta)
{
	const AnnOptions *options = &builder->options;

	if (meta->metric != builder->support->metric)
		refuse(other, "distance", ann_metric_traits(meta->metric)->name,
			   ann_metric_traits(builder->support->metric)->name);
	check_number(other, "number of dimensions", meta->dim, builder->meta.dim,
				 builder->meta.dim != 0);
	if (options->quantizer != ANN_QUANTIZER_AUTO && (uint32) options->quantizer != meta->quantizer)
		refuse(other, "quantizer", ann_quantizer_name(meta->quantizer),
			   ann_quantizer_name(options->quantizer));
	check_number(other, "nbits", 4 * meta->layers, options->nbits, options->nbits != 0);
	check_number(other, "dimensions_per_block", meta->width, options->dimensions_per_block,
				 options->dimensions_per_block > 0);
	check_number(other, "num_leaves", meta->num_leaves, options->num_leaves,
				 options->num_leaves > 0);
	check_number(other, "soar_lambda", meta->soar_lambda, (float) options->soar_lambda,
				 options->soar_lambda >= 0);
	check_number(other, "anisotropic_quantization_threshold", meta->anisotropic_threshold,
				 (float) options->anisotropic_threshold, options->anisotropic_threshold > 0);
	check_switch(other, "rotation", (meta->flags & ANN_META_ROTATED) != 0, options->rotation);
	check_switch(other, "residual_quantization", (meta->flags & ANN_META_FROM_ORIGIN) == 0,
				 options->residual_quantization);
}

/* ---- the copy ---- */

/* Room for the other's centroids, of which a build has a part of its memory. */
static void
init_set(AnnBuilder *builder, const AnnModel *from)
{
	uint32 parents = Max(from->num_parents, 1);
	uint32 room = Max(from->num_leaves, parents * parents);
	Size size = ann_centroids_size(from->dim, room);

	if (size > builder->memory / 2)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("the centroids of the other index take %zu MB, more than half of "
							   "maintenance_work_mem",
							   size / (1024 * 1024) + 1),
						errhint("Raise maintenance_work_mem.")));
	ann_centroids_init(&builder->set, ann_builder_alloc(builder, size), from->dim, room);
	builder->set.num_centroids = from->num_leaves;
	builder->set.num_parents = parents;
}

/* Centroids, in the order of the tree, the rms residuals of their leaves, and their parents. */
static void
copy_centroids(AnnBuilder *builder, Relation other, const AnnModel *from)
{
	AnnCentroids *set = &builder->set;
	AnnLeafRef *leaves;

	init_set(builder, from);
	leaves = ann_tree_leaves(other, from);
	builder->adopted_rho = ann_builder_alloc(builder, sizeof(float) * from->num_leaves);
	for (uint32 i = 0; i < from->num_leaves; i++)
	{
		ann_tree_centroid(other, from, leaves[i].node_blkno, leaves[i].node_index,
						  set->centroids + (Size) i * from->dim);
		builder->adopted_rho[i] = leaves[i].entry.rho;
	}
	set->first_child[0] = 0;
	set->first_child[1] = from->num_leaves; /* of the one parent that stands for none */
	if (from->num_parents > 0)
	{
		memcpy(set->parents, from->parents, sizeof(float) * from->num_parents * from->dim);
		memcpy(set->first_child, from->first_child,
			   sizeof(uint32) * ann_parents_children(from->num_parents));
	}
	ann_centroids_rebias(set);
	pfree(leaves);
}

/* What the metapage says of a model. */
static void
copy_meta(AnnMetaData *to, const AnnMetaData *from)
{
	to->flags = from->flags;
	to->dim = from->dim;
	to->num_leaves = from->num_leaves;
	to->quantizer = from->quantizer;
	to->width = from->width;
	to->layers = from->layers;
	to->num_blocks = from->num_blocks;
	to->tid_bytes = from->tid_bytes;
	to->factor_bytes = from->factor_bytes;
	to->filter_bytes = from->filter_bytes;
	to->refine_bytes = from->refine_bytes;
	to->levels = from->levels;
	to->trained_rows = from->trained_rows;
	to->centroid_width = from->centroid_width;
	to->centroid_blocks = from->centroid_blocks;
	to->soar_lambda = from->soar_lambda;
	to->anisotropic_threshold = from->anisotropic_threshold;
}

static void
copy_model(AnnBuilder *builder, const AnnModel *from)
{
	AnnModel *model = ann_builder_alloc(builder, sizeof(AnnModel));
	const AnnPq *pq = &from->pq;
	Size dim = from->dim;

	ann_model_numbers(model, &builder->meta);
	ann_model_derive(model);
	model->calibration = from->calibration;
	model->mean = copy_floats(builder, from->mean, dim);
	if (from->rotation != NULL)
		model->rotation = copy_floats(builder, from->rotation, dim * dim);
	model->pq.codebook =
		copy_floats(builder, pq->codebook, ann_pq_codebook_floats(pq->num_blocks, pq->width));
	model->pq.bias = copy_floats(builder, pq->bias, ann_pq_bias_floats(pq->num_blocks));
	builder->rotation = model->rotation;
	builder->model = model;
}

bool
ann_builder_adopt(AnnBuilder *builder)
{
	const char *name = ann_options_trained_from(builder->index);
	AnnMetaData meta;
	Relation other;
	Relation heap;

	if (name == NULL)
		return false;
	other = open_other(builder, name, &heap);
	if (other == NULL)
	{
		warn_own_training(builder, name, "does not exist");
		return false;
	}
	ann_index_meta(other, &meta);
	if (meta.model != 0)
	{
		check_fit(builder, other, &meta);
		copy_meta(&builder->meta, &meta);
		copy_model(builder, ann_model_get(other, &meta));
		copy_centroids(builder, other, ann_model_get(other, &meta));
		ann_centroids_adopt(builder, ann_model_get(other, &meta));
		builder->queries = ann_builder_alloc(builder, 0);
		builder->query_tids = ann_builder_alloc(builder, 0);
		builder->calibrator =
			ann_calibrator_create(builder, builder->queries, builder->query_tids, 0);
	}
	else
		warn_own_training(builder, name, "has not been trained");
	index_close(other, AccessShareLock);
	table_close(heap, AccessShareLock);
	return meta.model != 0;
}
