/*
 * codec.h
 *	  An index opened for the SQL functions of its codec (codec.c, entries.c).
 */
#ifndef ANN_ADMIN_CODEC_H
#define ANN_ADMIN_CODEC_H

#include "postgres.h"

#include "fmgr.h"

#include "admin/admin.h"
#include "store/meta.h"

/* What a function's call keeps from row to row once a leaf was named. */
typedef struct AnnLeafPlaces
{
	Oid index;
	uint32 file; /* number of the index's file */
	uint32 model;
	uint32 first_leaf;
	uint32 num;
	AnnTid *places; /* of the node entries, by leaf number less first_leaf */
} AnnLeafPlaces;

typedef struct AnnCodec
{
	Relation index;
	Relation heap;
	FmgrInfo *call;
	AnnMetaData meta;
	const AnnModel *model;
	uint32 first_leaf; /* lowest number of a leaf; they are consecutive */
	int leaf_bytes;
	int scale_bytes;
	int code_bytes; /* of the nibbles, or (flat) of the elements */
} AnnCodec;

/*
 * Opens the index that is the call's first argument, AccessShareLock on it and its table; errors of
 * ann_admin_open, and OBJECT_NOT_IN_PREREQUISITE_STATE for an index that is not trained.
 */
extern void ann_codec_open(FunctionCallInfo fcinfo, AnnCodec *codec);
extern void ann_codec_close(AnnCodec *codec);
/*
 * DATA_EXCEPTION for a value of other dimensions than the index's, or, where rows are strings of
 * bits, with elements that are not 0 or 1.
 */
extern void ann_codec_check(const AnnCodec *codec, const float *values, int dim);
/* The place of a leaf that SQL named; INVALID_PARAMETER_VALUE where there is none. */
extern AnnTid ann_codec_place(const AnnCodec *codec, int64 leaf);
/* A code as SQL sees it; leaf < 0: without the leaf's number. In the current memory context. */
extern bytea *ann_codec_make(const AnnCodec *codec, int64 leaf, uint16 scale, const uint8 *codes);

/*
 * What an entry of a leaf stands for, in the coordinates of rows (dim floats out). codes:
 * num_blocks nibbles; scale: bf16; centroid: of the leaf, dim floats, overwritten.
 */
extern void ann_codec_decode(const AnnModel *model, const uint8 *codes, uint16 scale,
							 float *centroid, float *out);

#endif
