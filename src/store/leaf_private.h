/*
 * leaf_private.h
 *	  What the files of the leaf share (leaf.c, append.c, bulk.c) and nobody else sees.
 */
#ifndef ANN_STORE_LEAF_PRIVATE_H
#define ANN_STORE_LEAF_PRIVATE_H

#include "postgres.h"

#include "store/leaf.h"

/* Sub-quantisers of a long block on one BODY page. */
#define ANN_BODY_BLOCKS ((int) (ANN_PAGE_PAYLOAD / ANN_CODEWORDS))

/* Slots of a leaf page; 1 for the head of a long block. */
extern int ann_leaf_slots(const AnnModel *model);
/* Address of a slot. */
extern char *ann_leaf_slot(const AnnModel *model, Page page, uint16 slot);
/* Formats an empty leaf page: all slots free. */
extern void ann_leaf_page_init(const AnnModel *model, Page page);

/* The block in a slot of a locked buffer, after checking that it is one of that leaf. */
extern char *ann_leaf_block(Relation index, const AnnModel *model, Buffer buffer, uint16 slot,
							uint32 leaf, uint32 generation);

/*
 * Calls visit for each BODY page of a long block, locked: codes of sub-quantisers [first, first +
 * num). The head's page is locked by the caller.
 */
typedef void (*AnnBodyVisitor)(void *arg, Buffer buffer, uint8 *codes, int first, int num);
extern void ann_leaf_visit_body(Relation index, const AnnModel *model, const void *block, int lock,
								AnnBodyVisitor visit, void *arg);

#endif
