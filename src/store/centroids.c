/*
 * centroids.c
 *	  Codes of the centroids: writing, reading and searching their pages; the parents that spare
 *	  most of them.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/rel.h"

#include "core/kmeans.h"
#include "faultpoint.h"
#include "store/centroids.h"
#include "store/recent.h"

/* Bytes of the next page that are asked for ahead of time. */
#define MAX_PREFETCH 2048

static uint32
num_centroid_blocks(const AnnModel *model)
{
	return (model->num_leaves + ANN_BLOCK_LANES - 1) / ANN_BLOCK_LANES;
}

uint32
ann_centroids_num_pages(const AnnModel *model)
{
	if (model->centroid_pq.num_blocks == 0)
		return 0;
	return (num_centroid_blocks(model) + model->centroid_slots - 1) / model->centroid_slots;
}

static char *
page_block(const AnnModel *model, Page page, int slot)
{
	return ann_page_payload(page) + ANN_CENTROIDS_OFFSET +
		   (Size) slot * model->centroid_layout.block_bytes;
}

static uint32 *
page_count(Page page)
{
	return (uint32 *) ann_page_payload(page);
}

void
ann_centroids_write(Relation index, const AnnModel *model, const char *blocks, uint32 num_blocks,
					bool log_pages, AnnSectionData *section, BlockNumber *pages)
{
	Size block_bytes = model->centroid_layout.block_bytes;
	Buffer next = ann_page_allocate(index);

	memset(section, 0, sizeof(*section));
	section->kind = ANN_SECTION_CENTROID_CODES;
	section->version = 1;
	section->model = model->number;
	section->first_blkno = BufferGetBlockNumber(next);
	section->bytes = num_blocks;
	for (uint32 done = 0; done < num_blocks;)
	{
		Buffer buffer = next;
		Page page = BufferGetPage(buffer);
		uint32 count = Min(num_blocks - done, (uint32) model->centroid_slots);

		*pages++ = BufferGetBlockNumber(buffer);
		ann_page_init(page, ANN_PAGE_CENTROID_CODES, model->number);
		ann_page_pause(index, buffer, log_pages);
		memset(ann_page_payload(page), 0, ANN_PAGE_PAYLOAD);
		*page_count(page) = count;
		memcpy(page_block(model, page, 0), blocks + done * block_bytes, count * block_bytes);
		done += count;
		if (done < num_blocks)
		{
			next = ann_page_allocate(index);
			AnnPageGetOpaque(page)->next = BufferGetBlockNumber(next);
		}
		ann_wal_put_page(index, buffer, log_pages);
		UnlockReleaseBuffer(buffer);
		ANN_FAULT("centroids-page");
	}
}

/* ---- parents ---- */

Size
ann_parents_bytes(const AnnModel *model)
{
	return sizeof(float) * ((Size) model->num_parents * model->dim) +
		   sizeof(uint32) *
			   (ann_parents_children(model->num_parents) + (Size) ann_centroids_num_pages(model));
}

bool
ann_parents_are_sane(const AnnModel *model, const uint32 *first_child)
{
	uint32 num = model->num_parents;

	for (uint32 i = 0; i < num; i++)
		if (first_child[i] > first_child[i + 1])
			return false;
	return num == 0 || (first_child[0] == 0 && first_child[num] == model->num_leaves);
}

void
ann_parents_read(Relation index, const AnnSectionData *section, AnnModel *model)
{
	ann_section_read(index, section, model->parents, ann_parents_bytes(model));
	if (!ann_parents_are_sane(model, model->first_child))
		ann_page_corrupted(index, section->first_blkno, "impossible parents");
	for (uint32 i = 0; i < model->num_parents; i++)
		model->parent_bias[i] =
			ann_kernels->norm_squared(model->parents + (Size) i * model->dim, model->dim);
}

/* Parents by distance, nearest first; their numbers stand where a candidate has its row. */
static AnnCandidate *
rank_parents(const AnnModel *model, const float *vector)
{
	AnnCandidate *ranked = palloc0(sizeof(AnnCandidate) * model->num_parents);
	float *products = palloc(sizeof(float) * model->num_parents);

	ann_kernels->products(vector, model->dim, 1, model->parents, model->dim, model->num_parents,
						  model->dim, products, model->num_parents);
	for (uint32 i = 0; i < model->num_parents; i++)
	{
		float distance = model->parent_bias[i] - 2 * products[i];

		ranked[i].key = isnan(distance) ? INFINITY : distance;
		ranked[i].tid.block_hi = i >> 16;
		ranked[i].tid.block_lo = i & 0xffff;
	}
	ann_candidates_sort(ranked, model->num_parents);
	pfree(products);
	return ranked;
}

Bitmapset *
ann_parents_near(const AnnModel *model, const float *vector, uint32 num_parents,
				 uint32 min_centroids)
{
	AnnCandidate *ranked;
	Bitmapset *blocks = NULL;
	uint32 num = 0;

	if (model->num_parents == 0 || num_parents >= model->num_parents)
		return NULL;
	ranked = rank_parents(model, vector);
	for (uint32 i = 0; i < model->num_parents && (i < num_parents || num < min_centroids); i++)
	{
		uint32 number = (uint32) ranked[i].tid.block_hi << 16 | ranked[i].tid.block_lo;
		uint32 first = model->first_child[number];
		uint32 end = model->first_child[number + 1];

		if (first == end)
			continue;
		blocks = bms_add_range(blocks, first / ANN_BLOCK_LANES, (end - 1) / ANN_BLOCK_LANES);
		num += end - first;
	}
	pfree(ranked);
	return blocks;
}

/* ---- searching ---- */

void
ann_centroids_table(const AnnModel *model, AnnCodeForm form, const float *vector, float spread,
					uint8 *table, AnnBoundParams *bounds)
{
	const AnnPq *pq = &model->centroid_pq;
	float *padded = palloc0(sizeof(float) * ann_pq_padded_dim(pq));
	float *floats = palloc(sizeof(float) * pq->num_blocks * ANN_CODEWORDS);
	float factor = form == ANN_CODE_IP ? -1 : -2;
	float step;
	float base;

	memcpy(padded, vector, sizeof(float) * model->dim);
	ann_pq_query_table(pq, padded, floats);
	ann_pq_round_table(floats, pq->num_blocks, 8, table, NULL, &step, &base);
	memset(bounds, 0, sizeof(*bounds));
	bounds->step = factor * step;
	bounds->base = factor * base;
	if (form == ANN_CODE_IP)
	{
		/* the lanes' err is rho: the bound's width times it is what a wide leaf is favoured by */
		bounds->var_base = 1;
		bounds->var_cap = 1;
		bounds->z = spread;
	}
	else
	{
		bounds->g = ann_kernels->norm_squared(vector, model->dim);
		bounds->weight_b = 1;
	}
	pfree(floats);
	pfree(padded);
}

typedef struct Collect
{
	const AnnModel *model;
	const uint8 *table;
	const AnnBoundParams *bounds;
	AnnTopk *topk;
} Collect;

/* after: NULL, or only what comes after it. */
static void
collect_block(Collect *state, const void *block, const AnnCandidate *after)
{
	float keys[ANN_BLOCK_LANES];
	uint32 mask = ann_centroids_keys(state->model, block, state->table, state->bounds,
									 state->topk->threshold, keys);

	for (mask &= ((const AnnBlockHeader *) block)->live; mask != 0; mask &= mask - 1)
	{
		AnnCandidate candidate = {0};
		int lane = pg_rightmost_one_pos32(mask);

		candidate.key = keys[lane];
		candidate.tid =
			ann_block_tid(block, &state->model->centroid_layout, lane, &candidate.flags);
		if (after == NULL || ann_candidate_compare(&candidate, after) > 0)
			ann_topk_add(state->topk, &candidate);
	}
}

/* The later of two candidates, either of which may be missing. */
static const AnnCandidate *
later(const AnnCandidate *a, const AnnCandidate *b)
{
	if (a == NULL || b == NULL)
		return a == NULL ? b : a;
	return ann_candidate_compare(a, b) > 0 ? a : b;
}

/* The next page with a block that the window wants, from a page on. */
static uint32
next_page(const AnnModel *model, const AnnCentroidWindow *window, uint32 page, uint32 num_pages)
{
	int block;

	if (window->first == NULL || window->first_end != NULL || page >= num_pages)
		return page;
	block = bms_next_member(window->first, (int) (page * model->centroid_slots) - 1);
	return block < 0 ? num_pages : (uint32) block / model->centroid_slots;
}

static void
collect_page(Collect *state, Relation index, uint32 number, uint32 num_blocks,
			 const AnnCentroidWindow *window)
{
	const AnnModel *model = state->model;
	uint32 first = number * model->centroid_slots;
	BlockNumber blkno = model->centroid_pages[number];
	const AnnCandidate *after = later(window->first_end, window->after);
	Buffer buffer = ann_page_read(index, blkno, BUFFER_LOCK_SHARE);
	Page page = ann_page_get(index, buffer, ANN_PAGE_CENTROID_CODES, model->number);

	if (*page_count(page) != num_blocks)
		ann_page_corrupted(index, blkno, "an impossible number of coded centroids");
	for (uint32 slot = 0; slot < num_blocks; slot++)
	{
		bool in_first = window->first == NULL || bms_is_member(first + slot, window->first);

		if (in_first || window->first_end != NULL)
			collect_block(state, page_block(model, page, slot), in_first ? after : window->after);
	}
	UnlockReleaseBuffer(buffer);
}

void
ann_centroids_search(Relation index, const AnnModel *model, const uint8 *table,
					 const AnnBoundParams *bounds, const AnnCentroidWindow *window, AnnTopk *topk)
{
	Collect state = {model, table, bounds, topk};
	uint32 num_pages = ann_centroids_num_pages(model);
	uint32 num_blocks = num_centroid_blocks(model);
	uint32 next;

	for (uint32 page = next_page(model, window, 0, num_pages); page < num_pages; page = next)
	{
		CHECK_FOR_INTERRUPTS();
		next = next_page(model, window, page + 1, num_pages);
		if (next < num_pages)
			ann_recent_prefetch_page(index, model->centroid_pages[next], 0, MAX_PREFETCH);
		collect_page(&state, index, page,
					 Min(num_blocks - page * model->centroid_slots, (uint32) model->centroid_slots),
					 window);
	}
}

static int
compare_places(const void *left, const void *right)
{
	AnnCandidate a = {.tid = *(const AnnTid *) left};
	AnnCandidate b = {.tid = *(const AnnTid *) right};

	return ann_candidate_compare(&a, &b);
}

int
ann_centroids_best(Relation index, const AnnModel *model, const float *vector, AnnTid *places,
				   int num)
{
	uint8 *table = palloc((Size) model->centroid_pq.num_blocks * ANN_CODEWORDS);
	AnnCandidate items[128];
	AnnCentroidWindow window = {0};
	AnnBoundParams bounds;
	AnnTopk topk;

	window.first = ann_parents_near(model, vector, ANN_KMEANS_BEAM, num);
	ann_topk_init(&topk, items, num, lengthof(items));
	ann_centroids_table(model, ANN_CODE_L2, vector, 0, table, &bounds);
	ann_centroids_search(index, model, table, &bounds, &window, &topk);
	ann_topk_sort(&topk);
	num = topk.num;
	for (int i = 0; i < num; i++)
		places[i] = topk.items[i].tid;
	qsort(places, num, sizeof(AnnTid), compare_places);
	pfree(table);
	return num;
}
