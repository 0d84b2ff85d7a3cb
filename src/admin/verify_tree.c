/*
 * verify_tree.c
 *	  The parts of ann_check() for the node pages and the codes of the centroids: I-4.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "admin/verify.h"
#include "core/bf16.h"
#include "store/centroids.h"

/* A node page that was walked: the codes of the centroids name its entries. */
typedef struct NodePage
{
	BlockNumber blkno;
	uint16 count;
} NodePage;

typedef struct TreeWalk
{
	AnnCheck *check;
	NodePage *pages;
	Size num_pages;
	Size room;
	uint8 *leaves; /* a bit for each leaf number that was met */
	Size leaf_bytes;
	uint64 num_entries;
	bool is_whole; /* the walk went to its end */
} TreeWalk;

/* ---- centroids ---- */

static Size
element_bytes(const AnnModel *model)
{
	return model->f32_centroids ? sizeof(float) : sizeof(uint16);
}

/* Dimensions of a centroid on its entry's page; the others are on NODE_REST pages. */
static int
dims_on_entry(const AnnModel *model)
{
	Size room = ANN_PAGE_PAYLOAD - sizeof(AnnNodePageHeader) - sizeof(AnnNodeEntry);

	return Min((Size) model->dim, room / element_bytes(model));
}

/* Adds a piece's squares. In double they cannot overflow: what is not finite was not before. */
static double
sum_squares(const AnnModel *model, const void *bytes, int num_dims)
{
	double sum = 0;

	for (int i = 0; i < num_dims; i++)
	{
		double value = model->f32_centroids ? ((const float *) bytes)[i]
											: ann_bf16_to_float(((const uint16 *) bytes)[i]);

		sum += value * value;
	}
	return sum;
}

/* Adds what NODE_REST pages hold of a wide centroid; *blkno moves to the page behind them. */
static bool
sum_rest(AnnCheck *check, BlockNumber *from, BlockNumber *blkno, double *norm2)
{
	const AnnModel *model = &check->model;
	int on_page = ANN_PAGE_PAYLOAD / element_bytes(model);
	int num;
	PGAlignedBlock copy;

	for (int dims = dims_on_entry(model); dims < model->dim; dims += num)
	{
		num = Min(model->dim - dims, on_page);
		if (!ann_check_copy(check, *from, *blkno, ANN_PAGE_NODE_REST, model->number, "I-4",
							&copy) ||
			!ann_check_enter(check, *from, *blkno))
			return false;
		*norm2 += sum_squares(model, ann_page_payload(copy.data), num);
		*from = *blkno;
		*blkno = AnnPageGetOpaque(copy.data)->next;
	}
	return true;
}

/* ---- entries ---- */

/* Notes a leaf number; false if it was met before. */
static bool
note_leaf(TreeWalk *walk, uint32 leaf)
{
	Size byte = leaf / 8;
	uint8 bit = 1 << leaf % 8;

	if (byte >= walk->leaf_bytes)
	{
		Size bytes = Max(byte + 1, 2 * walk->leaf_bytes);

		walk->leaves = repalloc_huge(walk->leaves, bytes);
		memset(walk->leaves + walk->leaf_bytes, 0, bytes - walk->leaf_bytes);
		walk->leaf_bytes = bytes;
	}
	if (walk->leaves[byte] & bit)
		return false;
	walk->leaves[byte] |= bit;
	return true;
}

/* norm2: that of the stored centroid, summed in double; the stored one was summed in float. */
static void
check_entry(TreeWalk *walk, BlockNumber node, const AnnNodeEntry *entry, double norm2)
{
	AnnCheck *check = walk->check;

	if (!isfinite(norm2))
		ann_check_fault(check, node, "I-4", "the centroid of leaf %u is not finite", entry->leaf);
	else if (!(fabs(entry->norm2 - norm2) <= 1e-3 * norm2 + FLT_MIN))
		ann_check_fault(check, node, "I-4", "leaf %u: squared norm %g instead of %g", entry->leaf,
						entry->norm2, norm2);
	if (!isfinite(entry->rho) || entry->rho < 0)
		ann_check_fault(check, node, "I-4", "leaf %u: impossible rms residual %g", entry->leaf,
						entry->rho);
	if (entry->leaf >= check->meta.next_leaf)
		ann_check_fault(check, node, "I-4", "leaf number %u was not given out yet", entry->leaf);
	else if (!note_leaf(walk, entry->leaf))
		ann_check_mismatch(check, node, "I-4", "leaf %u stands in the tree twice", entry->leaf);
	else
		ann_check_leaf(check, node, entry);
}

/* The page from which the page's leaves take new slots: theirs alone. */
static void
check_overflow(AnnCheck *check, BlockNumber node, BlockNumber blkno)
{
	PGAlignedBlock copy;

	if (blkno == InvalidBlockNumber ||
		!ann_check_copy(check, node, blkno, ANN_PAGE_LEAF, check->model.number, "I-5", &copy))
		return;
	if (check->pages[blkno].flags & ANN_CHECK_OVERFLOW)
		ann_check_mismatch(check, node, "I-3", "overflow page %u is another node page's as well",
						   blkno);
	check->pages[blkno].flags |= ANN_CHECK_OVERFLOW;
}

static void
note_node_page(TreeWalk *walk, BlockNumber blkno, uint16 count)
{
	if (walk->num_pages == walk->room)
	{
		walk->room *= 2;
		walk->pages = repalloc_huge(walk->pages, sizeof(NodePage) * walk->room);
	}
	walk->pages[walk->num_pages].blkno = blkno;
	walk->pages[walk->num_pages++].count = count;
	walk->num_entries += count;
	walk->check->num_leaves += count;
}

/* One node page and its leaves; *blkno moves on along the chain. False: the walk ends early. */
static bool
check_node_page(TreeWalk *walk, BlockNumber *from, BlockNumber *blkno)
{
	AnnCheck *check = walk->check;
	const AnnModel *model = &check->model;
	BlockNumber node = *blkno;
	AnnNodePageHeader *header;
	PGAlignedBlock copy;

	if (!ann_check_copy(check, *from, node, ANN_PAGE_NODE, model->number, "I-4", &copy) ||
		!ann_check_enter(check, *from, node))
		return false;
	header = (AnnNodePageHeader *) ann_page_payload(copy.data);
	if (header->count == 0 || header->count > model->nodes_per_page || header->level != 0)
	{
		ann_check_fault(check, node, "I-4", "%u entries of level %u on a node page", header->count,
						header->level);
		return false;
	}
	note_node_page(walk, node, header->count);
	check_overflow(check, node, header->overflow_blkno);
	*from = node;
	*blkno = AnnPageGetOpaque(copy.data)->next;
	for (int i = 0; i < header->count; i++)
	{
		const AnnNodeEntry *entry = ann_node_entry(model, copy.data, i);
		double norm2 = sum_squares(model, entry + 1, dims_on_entry(model));

		if (!sum_rest(check, from, blkno, &norm2))
			return false;
		check_entry(walk, node, entry, norm2);
	}
	return true;
}

static void
check_nodes(TreeWalk *walk)
{
	AnnCheck *check = walk->check;
	BlockNumber from = ANN_META_BLKNO;
	BlockNumber blkno = check->model.tree_blkno;

	walk->is_whole = true;
	while (walk->is_whole && blkno != InvalidBlockNumber)
		walk->is_whole = check_node_page(walk, &from, &blkno);
	if (!walk->is_whole)
	{
		ann_check_broken(check, ANN_PAGE_NODE);
		ann_check_broken(check, ANN_PAGE_NODE_REST);
		ann_check_broken(check, ANN_PAGE_LEAF);
		ann_check_broken(check, ANN_PAGE_BODY);
	}
	else if (walk->num_entries != check->model.num_leaves)
		ann_check_mismatch(check, check->model.tree_blkno, "I-4",
						   "the tree has " UINT64_FORMAT " leaves, the metapage says %u",
						   walk->num_entries, check->model.num_leaves);
}

/* ---- codes of the centroids: one lane an entry, in the order of the tree ---- */

typedef struct CodeWalk
{
	const TreeWalk *tree;
	Size page; /* next entry */
	uint16 index;
	uint32 num_blocks;
	uint32 num_pages;
	bool differs;
	bool pages_differ;
} CodeWalk;

/* Is a page that the chain has come to the next one of the section PARENTS? Searches go by that. */
static bool
is_listed(const CodeWalk *codes, BlockNumber blkno)
{
	const AnnCheck *check = codes->tree->check;
	const AnnModel *model = &check->model;
	const BlockNumber *pages;

	if (check->parents == NULL)
		return true;
	if (codes->num_pages >= ann_centroids_num_pages(model))
		return false;
	pages = ann_parents_numbers(model, check->parents) + ann_parents_children(model->num_parents);
	return pages[codes->num_pages] == blkno;
}

static void
check_code_block(CodeWalk *codes, const void *block)
{
	const TreeWalk *tree = codes->tree;
	const AnnBlockLayout *layout = &tree->check->model.centroid_layout;

	codes->num_blocks++;
	for (int lane = 0; lane < ANN_BLOCK_LANES; lane++)
	{
		bool expected = codes->page < tree->num_pages;
		bool live = (((const AnnBlockHeader *) block)->live >> lane & 1) != 0;
		AnnTid place;
		AnnTid found;
		uint16 flags;

		codes->differs |= live != expected;
		if (!expected)
			continue;
		found = ann_block_tid(block, layout, lane, &flags);
		place = ann_node_place(tree->pages[codes->page].blkno, codes->index);
		codes->differs |= flags != 0 || memcmp(&found, &place, sizeof(AnnTid)) != 0;
		if (++codes->index == tree->pages[codes->page].count)
		{
			codes->page++;
			codes->index = 0;
		}
	}
}

static void
check_code_page(CodeWalk *codes, BlockNumber blkno, Page page)
{
	AnnCheck *check = codes->tree->check;
	const AnnModel *model = &check->model;
	uint32 num_blocks = (model->num_leaves - 1) / ANN_BLOCK_LANES + 1;
	uint32 left = num_blocks - Min(codes->num_blocks, num_blocks);
	uint32 count = *(uint32 *) ann_page_payload(page);
	const char *reason;

	codes->pages_differ |= !is_listed(codes, blkno);
	codes->num_pages++;
	if (count == 0 || count != Min(left, (uint32) model->centroid_slots))
	{
		ann_check_fault(check, blkno, "I-4", "%u blocks of coded centroids", count);
		codes->differs = true;
		return;
	}
	for (uint32 slot = 0; slot < count; slot++)
	{
		const char *block = ann_page_payload(page) + ANN_CENTROIDS_OFFSET +
							(Size) slot * model->centroid_layout.block_bytes;

		if (!ann_block_validate(block, model->centroid_layout.block_bytes, &model->centroid_layout,
								&reason))
			ann_check_fault(check, blkno, "I-4", "codes of centroids, slot %u: %s", slot, reason);
		check_code_block(codes, block);
	}
}

static void
check_centroid_codes(const TreeWalk *tree)
{
	AnnCheck *check = tree->check;
	BlockNumber from = ANN_META_BLKNO;
	BlockNumber blkno = check->model.centroid_blkno;
	CodeWalk codes = {.tree = tree};
	PGAlignedBlock copy;

	while (blkno != InvalidBlockNumber)
	{
		if (!ann_check_copy(check, from, blkno, ANN_PAGE_CENTROID_CODES, check->model.number, "I-4",
							&copy) ||
			!ann_check_enter(check, from, blkno))
		{
			ann_check_broken(check, ANN_PAGE_CENTROID_CODES);
			return;
		}
		check_code_page(&codes, blkno, copy.data);
		from = blkno;
		blkno = AnnPageGetOpaque(copy.data)->next;
	}
	if (tree->is_whole && (codes.differs || codes.page < tree->num_pages))
		ann_check_mismatch(check, check->model.centroid_blkno, "I-4",
						   "the codes of the centroids do not name the entries of the tree");
	if (codes.pages_differ)
		ann_check_mismatch(check, check->model.centroid_blkno, "I-4",
						   "the pages of the centroids' codes are not those that section %d lists",
						   ANN_SECTION_PARENTS);
}

void
ann_check_tree(AnnCheck *check)
{
	TreeWalk walk = {.check = check, .room = 64, .leaf_bytes = 1024};

	walk.pages = palloc(sizeof(NodePage) * walk.room);
	walk.leaves = palloc0(walk.leaf_bytes);
	check_nodes(&walk);
	if (check->model.centroid_pq.num_blocks > 0)
		check_centroid_codes(&walk);
	pfree(walk.leaves);
	pfree(walk.pages);
}
