/*
 * body.h
 *	  Vacuum of BODY pages, which hold the codes of long blocks: those that no block names are
 *	  freed.
 *
 * NOTES
 *	  An insert writes a new block's BODY pages before the record of the head that names them. Where
 *	  it does not come to that record, by an error or a crash, they bear the number of the model in
 *	  force, and nothing refers to them.
 */
#ifndef ANN_STORE_BODY_H
#define ANN_STORE_BODY_H

#include "postgres.h"

#include "storage/bufmgr.h"
#include "store/meta.h"

/* What a vacuum's pass over the file has seen: a bit for each block that the file then had. */
typedef struct AnnBodyPages
{
	uint8 *unnamed; /* bits: a BODY page */
	BlockNumber num_bits;
	uint64 num_pages;
	uint64 num_heads; /* blocks in use, each of which names its BODY pages */
} AnnBodyPages;

/* Before the pass; a model whose blocks are not long needs none of this. */
extern void ann_bodies_begin(AnnBodyPages *bodies, Relation index);
/* During the pass: a locked page of the model in force, of any kind. */
extern void ann_bodies_note(AnnBodyPages *bodies, const AnnModel *model, Buffer buffer);
/*
 * After the pass: frees what was seen and is not named, if there is more than blocks account for;
 * returns the number of pages freed. The caller excludes other vacuums and trainings since before
 * the pass; inserts go on. Ends `bodies`.
 */
extern BlockNumber ann_bodies_end(AnnBodyPages *bodies, Relation index, const AnnModel *model,
								  BufferAccessStrategy strategy);

#endif
