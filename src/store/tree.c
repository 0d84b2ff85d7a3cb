/*
 * tree.c
 *	  The centroids: node pages, scoring all leaves against a vector, choosing the nearest.
 *
 * NOTES
 *	  Node pages form one chain in the order of the leaves' k-means parents. Centroids never change
 *	  under a model number; only the block links of the entries do (leaf.c), under the page's
 *	  exclusive lock. A centroid wider than a page stands on an entry page of its own and NODE_REST
 *	  pages behind it in the same chain; both scores are sums over dimensions, so it is scored piece
 *	  by piece.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/rel.h"

#include "core/bf16.h"
#include "core/kernels.h"
#include "core/soar.h"
#include "core/work.h"
#include "faultpoint.h"
#include "store/centroids.h"
#include "store/recent.h"
#include "store/tree.h"

/* Centroids that an insert scores exactly: the nearest is among so many by their codes. */
#define NEAREST_BY_CODE 24

/* Entries whose lines are asked for before they are scored, and bytes of each. */
#define PREFETCH_AHEAD 6
#define MAX_PREFETCH 1024

/* The narrowest entry has a centroid of up to 8 bytes. */
#define MAX_NODES_PER_PAGE (ANN_PAGE_PAYLOAD / (sizeof(AnnNodeEntry) + 8))

/* Bytes of a wide centroid on its entry page. */
#define ENTRY_PAGE_ROOM (ANN_PAGE_PAYLOAD - sizeof(AnnNodePageHeader) - sizeof(AnnNodeEntry))

static Size
centroid_bytes(const AnnModel *model)
{
	return model->dim * (model->f32_centroids ? sizeof(float) : sizeof(uint16));
}

static bool
is_wide(const AnnModel *model)
{
	return centroid_bytes(model) > ENTRY_PAGE_ROOM;
}

AnnNodeEntry *
ann_node_entry(const AnnModel *model, Page page, uint16 node_index)
{
	return (AnnNodeEntry *) (ann_page_payload(page) + sizeof(AnnNodePageHeader) +
							 (Size) node_index * model->node_stride);
}

/* A node page, locked; its count is checked. */
static Page
read_node_page(Relation index, const AnnModel *model, BlockNumber blkno, int lock, Buffer *buffer)
{
	Page page;
	AnnNodePageHeader *header;

	*buffer = ann_page_read(index, blkno, lock);
	page = ann_page_get(index, *buffer, ANN_PAGE_NODE, model->number);
	header = (AnnNodePageHeader *) ann_page_payload(page);
	if (header->count == 0 || header->count > model->nodes_per_page || header->level != 0)
		ann_page_corrupted(index, blkno, "impossible node page header");
	return page;
}

static void
score_rows(const AnnModel *model, AnnCodeForm form, const float *vector, const void *rows, int num,
		   int dim, float *scores)
{
	const AnnKernels *k = ann_kernels;

	if (form == ANN_CODE_IP)
		(model->f32_centroids ? k->ip_rows_f32 : k->ip_rows_bf16)(vector, rows, model->node_stride,
																  num, dim, scores);
	else
		(model->f32_centroids ? k->l2_rows_f32 : k->l2_rows_bf16)(vector, rows, model->node_stride,
																  num, dim, scores);
}

/*
 * Calls piece for each contiguous piece of a wide centroid: the bytes on the entry page (locked by
 * the caller), then those on the NODE_REST pages behind it. Returns the block after the last one.
 */
typedef void (*CentroidPiece)(void *arg, const void *bytes, int first_dim, int num_dims);

static BlockNumber
wide_centroid_pieces(Relation index, const AnnModel *model, Page page, CentroidPiece piece,
					 void *arg)
{
	int element = model->f32_centroids ? sizeof(float) : sizeof(uint16);
	int dims = ENTRY_PAGE_ROOM / element;
	BlockNumber blkno = AnnPageGetOpaque(page)->next;

	piece(arg, ann_node_entry(model, page, 0) + 1, 0, dims);
	while (dims < model->dim)
	{
		Buffer buffer = ann_page_read(index, blkno, BUFFER_LOCK_SHARE);
		Page rest = ann_page_get(index, buffer, ANN_PAGE_NODE_REST, model->number);
		int num = Min(model->dim - dims, (int) (ANN_PAGE_PAYLOAD / element));

		piece(arg, ann_page_payload(rest), dims, num);
		dims += num;
		blkno = AnnPageGetOpaque(rest)->next;
		UnlockReleaseBuffer(buffer);
	}
	return blkno;
}

typedef struct ScorePiece
{
	const AnnModel *model;
	AnnCodeForm form;
	const float *vector;
	float score;
} ScorePiece;

static void
score_piece(void *arg, const void *bytes, int first_dim, int num_dims)
{
	ScorePiece *state = arg;

	score_rows(state->model, state->form, state->vector + first_dim, bytes, 1, num_dims,
			   &state->score);
}

void
ann_tree_score(Relation index, const AnnModel *model, AnnCodeForm form, const float *vector,
			   AnnLeafVisitor visit, void *arg)
{
	float scores[MAX_NODES_PER_PAGE];
	BlockNumber blkno = model->tree_blkno;
	uint32 done = 0;
	bool wide = is_wide(model);

	while (done < model->num_leaves)
	{
		Buffer buffer;
		Page page;
		AnnLeafRef leaf;
		int count;

		CHECK_FOR_INTERRUPTS();
		page = read_node_page(index, model, blkno, BUFFER_LOCK_SHARE, &buffer);
		count = ((AnnNodePageHeader *) ann_page_payload(page))->count;
		if ((uint32) count > model->num_leaves - done)
			ann_page_corrupted(index, blkno, "more leaves than the metapage knows");
		leaf.node_blkno = blkno;
		memset(scores, 0, sizeof(float) * count);
		if (wide)
		{
			ScorePiece piece = {model, form, vector, 0};

			blkno = wide_centroid_pieces(index, model, page, score_piece, &piece);
			scores[0] = piece.score;
		}
		else
		{
			score_rows(model, form, vector, ann_node_entry(model, page, 0) + 1, count, model->dim,
					   scores);
			blkno = AnnPageGetOpaque(page)->next;
		}
		for (int i = 0; i < count; i++)
		{
			leaf.node_index = i;
			leaf.entry = *ann_node_entry(model, page, i);
			leaf.score = scores[i];
			visit(arg, &leaf);
		}
		UnlockReleaseBuffer(buffer);
		done += count;
	}
}

/* AnnLeafVisitor: appends a leaf to those before. */
static void
add_leaf(void *arg, const AnnLeafRef *leaf)
{
	AnnLeafRef **end = arg;

	*(*end)++ = *leaf;
}

AnnLeafRef *
ann_tree_leaves(Relation index, const AnnModel *model)
{
	float *origin = palloc0(sizeof(float) * model->dim);
	AnnLeafRef *leaves =
		palloc_extended(sizeof(AnnLeafRef) * (Size) model->num_leaves, MCXT_ALLOC_HUGE);
	AnnLeafRef *end = leaves;

	ann_tree_score(index, model, ANN_CODE_L2, origin, add_leaf, &end);
	pfree(origin);
	return leaves;
}

/* Starts loading a node entry and its centroid, or what of them stands on the entry's page. */
static void
prefetch_entry(Relation index, const AnnModel *model, AnnTid place)
{
	ItemPointerData pointer;
	Size first;

	ann_tid_to_pointer(place, &pointer);
	first = MAXALIGN(SizeOfPageHeaderData) + sizeof(AnnNodePageHeader) +
			(Size) (ItemPointerGetOffsetNumberNoCheck(&pointer) - 1) * model->node_stride;
	ann_recent_prefetch_page(index, ItemPointerGetBlockNumberNoCheck(&pointer), first,
							 Min(model->node_stride, MAX_PREFETCH));
}

void
ann_tree_score_places(Relation index, const AnnModel *model, AnnCodeForm form, const float *vector,
					  const AnnTid *places, int num, AnnLeafVisitor visit, void *arg)
{
	bool wide = is_wide(model);
	int ahead = 0;

	for (int i = 0; i < num;)
	{
		AnnLeafRef leaf;
		ItemPointerData place;
		Buffer buffer;
		Page page;
		int count;

		CHECK_FOR_INTERRUPTS();
		for (; ahead < Min(i + PREFETCH_AHEAD, num); ahead++)
			prefetch_entry(index, model, places[ahead]);
		ann_tid_to_pointer(places[i], &place);
		leaf.node_blkno = ItemPointerGetBlockNumberNoCheck(&place);
		page = read_node_page(index, model, leaf.node_blkno, BUFFER_LOCK_SHARE, &buffer);
		count = ((AnnNodePageHeader *) ann_page_payload(page))->count;
		do
		{
			ScorePiece piece = {model, form, vector, 0};

			leaf.node_index = ItemPointerGetOffsetNumberNoCheck(&place) - 1;
			if (leaf.node_index >= count)
				ann_page_corrupted(index, leaf.node_blkno, "a code of an impossible centroid");
			leaf.entry = *ann_node_entry(model, page, leaf.node_index);
			if (wide)
				wide_centroid_pieces(index, model, page, score_piece, &piece);
			else
				score_piece(&piece, ann_node_entry(model, page, leaf.node_index) + 1, 0,
							model->dim);
			leaf.score = piece.score;
			visit(arg, &leaf);
			if (++i < num)
				ann_tid_to_pointer(places[i], &place);
		} while (i < num && ItemPointerGetBlockNumberNoCheck(&place) == leaf.node_blkno);
		UnlockReleaseBuffer(buffer);
	}
}

/* ---- the leaves of a row ---- */

typedef struct Nearest
{
	AnnLeafRef *best;
	float *scores; /* NULL: not wanted */
	uint32 num;
} Nearest;

static void
keep_nearest(void *arg, const AnnLeafRef *leaf)
{
	Nearest *state = arg;

	if (state->best->node_blkno == InvalidBlockNumber || leaf->score < state->best->score)
		*state->best = *leaf;
	if (state->scores != NULL)
		state->scores[state->num++] = leaf->score;
}

void
ann_tree_nearest(Relation index, const AnnModel *model, const float *vector, AnnLeafRef *leaf,
				 float *centroid, AnnScoredLeaves *scored)
{
	bool coded = model->centroid_pq.num_blocks > 0;
	uint32 num = coded ? NEAREST_BY_CODE : model->num_leaves;
	Nearest state = {.best = leaf};
	AnnTid *places = NULL;

	leaf->node_blkno = InvalidBlockNumber;
	if (scored != NULL)
		state.scores = palloc_extended(sizeof(float) * (Size) num, MCXT_ALLOC_HUGE);
	if (!coded)
		ann_tree_score(index, model, ANN_CODE_L2, vector, keep_nearest, &state);
	else
	{
		places = palloc(sizeof(AnnTid) * num);
		num = ann_centroids_best(index, model, vector, places, num);
		ann_tree_score_places(index, model, ANN_CODE_L2, vector, places, num, keep_nearest, &state);
	}
	if (leaf->node_blkno == InvalidBlockNumber)
		ann_page_corrupted(index, model->tree_blkno, "no centroid was found");
	ann_tree_centroid(index, model, leaf->node_blkno, leaf->node_index, centroid);
	if (scored != NULL)
	{
		scored->places = places;
		scored->num = num;
		scored->scores = state.scores;
	}
	else if (coded)
		pfree(places);
}

typedef struct Second
{
	const AnnModel *model;
	const AnnScoredLeaves *scored;
	uint32 visited;
	uint32 first;  /* number of the first leaf */
	float norm2;   /* of the residual r */
	float product; /* <x,r> */
	float least;
	AnnLeafRef *best;
} Second;

/* The leaf's score is <c',r>. */
static void
keep_second(void *arg, const AnnLeafRef *leaf)
{
	Second *state = arg;
	float loss = ann_soar_loss(state->model->soar_lambda, state->scored->scores[state->visited++],
							   state->product - leaf->score, state->norm2);

	if (leaf->entry.leaf == state->first || !(loss < state->least))
		return;
	state->least = loss;
	*state->best = *leaf;
}

bool
ann_tree_second(Relation index, const AnnModel *model, const float *vector,
				const AnnScoredLeaves *scored, const AnnLeafRef *first, AnnLeafRef *second,
				float *centroid)
{
	float *residual = palloc(sizeof(float) * model->dim);
	Second state = {.model = model,
					.scored = scored,
					.first = first->entry.leaf,
					.least = INFINITY,
					.best = second};

	state.norm2 = ann_kernels->subtract(vector, centroid, model->dim, residual);
	state.product = ann_kernels->inner_product(vector, residual, model->dim);
	if (state.norm2 > 0 && scored->places == NULL)
		ann_tree_score(index, model, ANN_CODE_IP, residual, keep_second, &state);
	else if (state.norm2 > 0)
		ann_tree_score_places(index, model, ANN_CODE_IP, residual, scored->places, scored->num,
							  keep_second, &state);
	pfree(residual);
	if (isinf(state.least))
		return false;
	ann_tree_centroid(index, model, second->node_blkno, second->node_index, centroid);
	return true;
}

typedef struct CopyPiece
{
	bool f32;
	float *centroid;
} CopyPiece;

static void
copy_piece(void *arg, const void *bytes, int first_dim, int num_dims)
{
	CopyPiece *state = arg;
	float *out = state->centroid + first_dim;

	if (state->f32)
		memcpy(out, bytes, sizeof(float) * num_dims);
	else
		for (int i = 0; i < num_dims; i++)
			out[i] = ann_bf16_to_float(((const uint16 *) bytes)[i]);
}

void
ann_tree_centroid(Relation index, const AnnModel *model, BlockNumber node_blkno, uint16 node_index,
				  float *centroid)
{
	CopyPiece piece = {model->f32_centroids, centroid};
	Buffer buffer;
	Page page = read_node_page(index, model, node_blkno, BUFFER_LOCK_SHARE, &buffer);

	if (node_index >= ((AnnNodePageHeader *) ann_page_payload(page))->count)
		ann_page_corrupted(index, node_blkno, "impossible node page header");
	if (is_wide(model))
		wide_centroid_pieces(index, model, page, copy_piece, &piece);
	else
		copy_piece(&piece, ann_node_entry(model, page, node_index) + 1, 0, model->dim);
	UnlockReleaseBuffer(buffer);
}

/* ---- writing ---- */

typedef struct NodeWriter
{
	Relation index;
	const AnnModel *model;
	bool log_pages;
	Buffer buffer; /* page being filled, or invalid */
} NodeWriter;

static void
finish_page(NodeWriter *writer)
{
	if (!BufferIsValid(writer->buffer))
		return;
	ann_wal_put_page(writer->index, writer->buffer, writer->log_pages);
	UnlockReleaseBuffer(writer->buffer);
	writer->buffer = InvalidBuffer;
	ANN_FAULT("node-page");
}

/* Starts a page of the chain; the page before it gets its link and is finished. */
static Page
start_page(NodeWriter *writer, AnnPageKind kind)
{
	Buffer next = ann_page_allocate(writer->index);
	Page page = BufferGetPage(next);

	ann_page_init(page, kind, writer->model->number);
	memset(ann_page_payload(page), 0, ANN_PAGE_PAYLOAD);
	if (kind == ANN_PAGE_NODE)
		((AnnNodePageHeader *) ann_page_payload(page))->overflow_blkno = InvalidBlockNumber;
	if (BufferIsValid(writer->buffer))
		AnnPageGetOpaque(BufferGetPage(writer->buffer))->next = BufferGetBlockNumber(next);
	finish_page(writer);
	ann_page_pause(writer->index, next, writer->log_pages);
	writer->buffer = next;
	return page;
}

static void
narrow_centroid(const AnnModel *model, const float *centroid, int first_dim, int num_dims,
				void *out)
{
	if (model->f32_centroids)
		memcpy(out, centroid + first_dim, sizeof(float) * num_dims);
	else
		for (int i = 0; i < num_dims; i++)
			((uint16 *) out)[i] = ann_bf16_from_float(centroid[first_dim + i]);
}

static void
write_wide_centroid(NodeWriter *writer, Page page, const float *centroid)
{
	const AnnModel *model = writer->model;
	int element = model->f32_centroids ? sizeof(float) : sizeof(uint16);
	int dims = ENTRY_PAGE_ROOM / element;

	narrow_centroid(model, centroid, 0, dims, ann_node_entry(model, page, 0) + 1);
	while (dims < model->dim)
	{
		int num = Min(model->dim - dims, (int) (ANN_PAGE_PAYLOAD / element));

		page = start_page(writer, ANN_PAGE_NODE_REST);
		narrow_centroid(model, centroid, dims, num, ann_page_payload(page));
		dims += num;
	}
}

void
ann_tree_write(Relation index, const AnnModel *model, const AnnNodeEntry *entries,
			   const float *centroids, uint32 num, bool log_pages, AnnSectionData *section,
			   AnnTid *places, AnnWatch *watch)
{
	NodeWriter writer = {index, model, log_pages, InvalidBuffer};
	bool wide = is_wide(model);
	BlockNumber blkno = InvalidBlockNumber;
	Page page = NULL;

	memset(section, 0, sizeof(*section));
	section->kind = ANN_SECTION_TREE;
	section->version = 1;
	section->required = 1;
	section->model = model->number;
	section->bytes = num;
	for (uint32 i = 0; i < num; i++)
	{
		int on_page = i % model->nodes_per_page;
		const float *centroid = centroids + (Size) i * model->dim;

		if (on_page == 0)
		{
			page = start_page(&writer, ANN_PAGE_NODE);
			(void) ann_watch_poll(watch);
		}
		if (i == 0)
			section->first_blkno = BufferGetBlockNumber(writer.buffer);
		if (on_page == 0)
			blkno = BufferGetBlockNumber(writer.buffer);
		places[i] = ann_node_place(blkno, on_page);
		((AnnNodePageHeader *) ann_page_payload(page))->count = on_page + 1;
		*ann_node_entry(model, page, on_page) = entries[i];
		if (wide)
			write_wide_centroid(&writer, page, centroid);
		else
			narrow_centroid(model, centroid, 0, model->dim,
							ann_node_entry(model, page, on_page) + 1);
		ann_watch_advance(watch, 1);
	}
	finish_page(&writer);
	(void) ann_watch_poll(watch);
}
