/*
 * options.c
 *	  The settings of the access method: GUCs (ann.*) and reloptions, and which of them counts.
 *
 * NOTES
 *	  A GUC of -1 means "the index's own value"; a reloption of 0 (-1 where 0 has a meaning) means
 *	  automatic. Reloptions that shape the index are copied into the metapage when it is built; only
 *	  num_leaves_to_search and num_reordering_candidates are read afterwards.
 */
#include "postgres.h"

#include <limits.h>

#include "access/reloptions.h"
#include "utils/guc.h"
#include "utils/regproc.h"
#include "utils/rel.h"

#include "am/am.h"
#include "am/stats.h"

int ann_num_leaves_to_search = -1;
int ann_num_reordering_candidates = -1;
int ann_iterative_scan = ANN_ITERATIVE_STRICT;
int ann_max_leaves_to_search = -1;
bool ann_track_timing = false;
double ann_query_spilling_threshold = 0;

static relopt_kind ann_relopt_kind;

static relopt_enum_elt_def switch_values[] = {
	{"auto", ANN_SWITCH_AUTO}, {"on", ANN_SWITCH_ON},     {"off", ANN_SWITCH_OFF},
	{"true", ANN_SWITCH_ON},   {"false", ANN_SWITCH_OFF}, {NULL, 0},
};

static relopt_enum_elt_def quantizer_values[] = {
	{"pq", ANN_QUANTIZER_PQ},
	{"sq8", ANN_QUANTIZER_SQ8},
	{"flat", ANN_QUANTIZER_FLAT},
	{NULL, 0},
};

static const struct config_enum_entry iterative_scan_values[] = {
	{"off", ANN_ITERATIVE_OFF, false},
	{"relaxed_order", ANN_ITERATIVE_RELAXED, false},
	{"strict_order", ANN_ITERATIVE_STRICT, false},
	{NULL, 0, false},
};

/* -1 or at least 1: a check hook, as a range cannot leave out the 0 between. */
static bool
check_not_zero(int *newval, void **extra, GucSource source)
{
	if (*newval != 0)
		return true;
	GUC_check_errdetail("The value must be -1 or at least 1.");
	return false;
}

static void
define_gucs(void)
{
	DefineCustomEnumVariable(
		"ann.iterative_scan",
		"What happens when more rows are wanted than the searched leaves hold.",
		"strict_order searches further leaves and keeps the order, relaxed_order returns late rows "
		"at once, off stops.",
		&ann_iterative_scan, ANN_ITERATIVE_STRICT, iterative_scan_values, PGC_USERSET, 0, NULL,
		NULL, NULL);
	DefineCustomIntVariable("ann.max_leaves_to_search",
							"Most leaves that one scan searches (-1: no limit).", NULL,
							&ann_max_leaves_to_search, -1, -1, ANN_MAX_LEAVES, PGC_USERSET, 0,
							check_not_zero, NULL, NULL);
	DefineCustomIntVariable("ann.num_leaves_to_search",
							"Leaves to search before the first rows (-1: the index's own value).",
							NULL, &ann_num_leaves_to_search, -1, -1, ANN_MAX_LEAVES, PGC_USERSET, 0,
							check_not_zero, NULL, NULL);
	DefineCustomIntVariable(
		"ann.num_reordering_candidates",
		"Candidates read exactly per batch (-1: the index's own value; 0: none, inexact order).",
		NULL, &ann_num_reordering_candidates, -1, -1, INT_MAX, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomRealVariable(
		"ann.query_spilling_threshold",
		"Of the first leaves, search only those hardly farther than the nearest one (0: all).",
		"Those up to 1 + threshold times as far from the query.", &ann_query_spilling_threshold, 0,
		0, ANN_MAX_SPILLING_THRESHOLD, PGC_USERSET, 0, NULL, NULL, NULL);
}

/* A name of the right form; whether there is such an index is the build's question. */
static void
check_name(const char *value)
{
	if (value != NULL)
		(void) ann_qualified_name(value);
}

static void
define_timing(void)
{
	DefineCustomBoolVariable("ann.track_timing",
							 "Measures the time of each stage of a search, for ann_search_stats().",
							 NULL, &ann_track_timing, false, PGC_USERSET, 0, NULL, NULL, NULL);
}

static void
define_reloptions(void)
{
	LOCKMODE build = AccessExclusiveLock;
	LOCKMODE run = ShareUpdateExclusiveLock;

	ann_relopt_kind = add_reloption_kind();
	add_int_reloption(ann_relopt_kind, "num_leaves", "Leaves of the index (0: automatic)", 0, 0,
					  ANN_MAX_LEAVES, build);
	add_int_reloption(ann_relopt_kind, "num_leaves_to_search",
					  "Leaves to search before the first rows (0: calibrated at build)", 0, 0,
					  ANN_MAX_LEAVES, run);
	add_int_reloption(ann_relopt_kind, "num_reordering_candidates",
					  "Candidates read exactly per batch (-1: automatic, 0: none)", -1, -1, INT_MAX,
					  run);
	add_int_reloption(ann_relopt_kind, "dimensions_per_block",
					  "Dimensions coded together, in nbits (0: automatic)", 0, 0,
					  ANN_MAX_DIMENSIONS_PER_BLOCK, build);
	add_enum_reloption(ann_relopt_kind, "quantizer", "What rows are coded by", quantizer_values,
					   ANN_QUANTIZER_AUTO, "Valid values are \"pq\", \"sq8\" and \"flat\".", build);
	add_int_reloption(
		ann_relopt_kind, "nbits",
		"Bits of a code for each block of dimensions: 4 or 8 (0: the quantizer's own)", 0, 0, 8,
		build);
	add_string_reloption(ann_relopt_kind, "trained_from",
						 "Index whose model is taken over instead of training one", NULL,
						 check_name, build);
	add_enum_reloption(ann_relopt_kind, "residual_quantization",
					   "Code what rows differ by from the centroid of their leaf", switch_values,
					   ANN_SWITCH_AUTO, "Valid values are \"auto\", \"on\" and \"off\".", build);
	add_int_reloption(ann_relopt_kind, "training_sample_size",
					  "Rows that centroids and codes are trained on (0: automatic)", 0, 0, INT_MAX,
					  build);
	add_int_reloption(ann_relopt_kind, "training_iterations",
					  "Iterations of k-means (0: automatic)", 0, 0, 1000, build);
	add_int_reloption(ann_relopt_kind, "min_partition_size",
					  "Rows that a leaf holds at least when centroids are trained (0: any number)",
					  0, 0, INT_MAX, build);
	add_int_reloption(ann_relopt_kind, "seed", "Seed of sampling and training", 0, 0, INT_MAX,
					  build);
	add_enum_reloption(ann_relopt_kind, "rotation",
					   "Rotate the coordinates so that codes serve all dimensions", switch_values,
					   ANN_SWITCH_AUTO, "Valid values are \"auto\", \"on\" and \"off\".", build);
	add_real_reloption(ann_relopt_kind, "soar_lambda",
					   "Weight of orthogonality in the choice of each row's second leaf (-1: "
					   "automatic, 0: no second leaf)",
					   -1, -1, ANN_MAX_SOAR_LAMBDA, build);
	add_real_reloption(ann_relopt_kind, "anisotropic_quantization_threshold",
					   "Least similarity that counts, for codes whose error along the row weighs "
					   "more (0: all errors weigh alike)",
					   0, 0, ANN_MAX_ANISOTROPIC_THRESHOLD, build);
}

void
ann_am_init(void)
{
	define_gucs();
	ann_server_stats_init();
	ann_explain_init();
	define_timing();
	define_reloptions();
}

static ANN_NORETURN void
refuse_for_quantizer(const char *option, const AnnOptions *options, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("option \"%s\" does not go with quantizer \"%s\"", option,
						   quantizer_values[options->quantizer].string_val),
					errhint("%s", hint)));
}

/* Options of the code that contradict one another. */
static void
check_code_options(const AnnOptions *options)
{
	static const char *const flat_hint = "A flat index has no codes; leave the option out.";
	static const char *const sq8_hint =
		"It codes each dimension by itself in 8 bits; leave the option out.";

	if (options->nbits != 0 && options->nbits != 4 && options->nbits != 8)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("value %d out of bounds for option \"nbits\"", options->nbits),
						errdetail("The value must be 4 or 8, or 0 for the quantizer's own.")));
	if (options->nbits == 8 && options->anisotropic_threshold > 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"anisotropic_quantization_threshold\" does not go with "
							   "codes of 8 bits"),
						errhint("Codes of 8 bits have a quarter of the error by themselves; leave "
								"one of the options out.")));
	if (options->quantizer == ANN_QUANTIZER_SQ8)
	{
		if (options->nbits == 4)
			refuse_for_quantizer("nbits", options, sq8_hint);
		if (options->dimensions_per_block > 1)
			refuse_for_quantizer("dimensions_per_block", options, sq8_hint);
		if (options->anisotropic_threshold > 0)
			refuse_for_quantizer("anisotropic_quantization_threshold", options, sq8_hint);
	}
	if (options->quantizer == ANN_QUANTIZER_FLAT)
	{
		if (options->nbits != 0)
			refuse_for_quantizer("nbits", options, flat_hint);
		if (options->dimensions_per_block > 0)
			refuse_for_quantizer("dimensions_per_block", options, flat_hint);
		if (options->rotation == ANN_SWITCH_ON)
			refuse_for_quantizer("rotation", options, flat_hint);
		if (options->residual_quantization != ANN_SWITCH_AUTO)
			refuse_for_quantizer("residual_quantization", options, flat_hint);
		if (options->anisotropic_threshold > 0)
			refuse_for_quantizer("anisotropic_quantization_threshold", options, flat_hint);
	}
}

/* What a range of one option cannot say. */
static void
check_options(const AnnOptions *options)
{
	if (options->soar_lambda < 0 && options->soar_lambda != -1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value %g out of bounds for option \"soar_lambda\"", options->soar_lambda),
				 errdetail("The value must be -1, or between 0 and %d.", ANN_MAX_SOAR_LAMBDA)));
	check_code_options(options);
}

bytea *
annivf_options(Datum reloptions, bool validate)
{
	static const relopt_parse_elt elements[] = {
		{.optname = "num_leaves",
		 .opttype = RELOPT_TYPE_INT,
		 .offset = offsetof(AnnOptions, num_leaves)},
		{.optname = "num_leaves_to_search",
		 .opttype = RELOPT_TYPE_INT,
		 .offset = offsetof(AnnOptions, num_leaves_to_search)},
		{.optname = "num_reordering_candidates",
		 .opttype = RELOPT_TYPE_INT,
		 .offset = offsetof(AnnOptions, num_reordering_candidates)},
		{.optname = "dimensions_per_block",
		 .opttype = RELOPT_TYPE_INT,
		 .offset = offsetof(AnnOptions, dimensions_per_block)},
		{.optname = "training_sample_size",
		 .opttype = RELOPT_TYPE_INT,
		 .offset = offsetof(AnnOptions, training_sample_size)},
		{.optname = "training_iterations",
		 .opttype = RELOPT_TYPE_INT,
		 .offset = offsetof(AnnOptions, training_iterations)},
		{.optname = "min_partition_size",
		 .opttype = RELOPT_TYPE_INT,
		 .offset = offsetof(AnnOptions, min_partition_size)},
		{.optname = "seed", .opttype = RELOPT_TYPE_INT, .offset = offsetof(AnnOptions, seed)},
		{.optname = "rotation",
		 .opttype = RELOPT_TYPE_ENUM,
		 .offset = offsetof(AnnOptions, rotation)},
		{.optname = "soar_lambda",
		 .opttype = RELOPT_TYPE_REAL,
		 .offset = offsetof(AnnOptions, soar_lambda)},
		{.optname = "quantizer",
		 .opttype = RELOPT_TYPE_ENUM,
		 .offset = offsetof(AnnOptions, quantizer)},
		{.optname = "trained_from",
		 .opttype = RELOPT_TYPE_STRING,
		 .offset = offsetof(AnnOptions, trained_from)},
		{.optname = "nbits", .opttype = RELOPT_TYPE_INT, .offset = offsetof(AnnOptions, nbits)},
		{.optname = "residual_quantization",
		 .opttype = RELOPT_TYPE_ENUM,
		 .offset = offsetof(AnnOptions, residual_quantization)},
		{.optname = "anisotropic_quantization_threshold",
		 .opttype = RELOPT_TYPE_REAL,
		 .offset = offsetof(AnnOptions, anisotropic_threshold)},
	};
	AnnOptions *options = (AnnOptions *) build_reloptions(
		reloptions, validate, ann_relopt_kind, sizeof(AnnOptions), elements, lengthof(elements));

	if (validate && options != NULL)
		check_options(options);
	return (bytea *) options;
}

void
ann_options_get(Relation index, AnnOptions *options)
{
	if (index->rd_options != NULL)
		*options = *(AnnOptions *) index->rd_options;
	else
	{
		memset(options, 0, sizeof(*options));
		options->num_reordering_candidates = -1;
		options->soar_lambda = -1;
		options->quantizer = ANN_QUANTIZER_AUTO;
	}
}

const char *
ann_options_trained_from(Relation index)
{
	const AnnOptions *options = (const AnnOptions *) index->rd_options;

	return options == NULL || options->trained_from == 0
			   ? NULL
			   : pstrdup((const char *) options + options->trained_from);
}

const char *
ann_quantizer_name(AnnQuantizer quantizer)
{
	return quantizer_values[quantizer].string_val;
}

int
ann_effective_leaves(Relation index)
{
	AnnOptions options;

	if (ann_num_leaves_to_search > 0)
		return ann_num_leaves_to_search;
	ann_options_get(index, &options);
	return options.num_leaves_to_search;
}

int
ann_effective_candidates(Relation index)
{
	AnnOptions options;

	if (ann_num_reordering_candidates >= 0)
		return ann_num_reordering_candidates;
	ann_options_get(index, &options);
	return options.num_reordering_candidates;
}
