/*
 * centroids.c
 *	  Codes of the centroids: writing and reading their pages.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/rel.h"

#include "store/centroids.h"
#include "store/recent.h"

/* Bytes of the next page that are asked for ahead of time. */
#define MAX_PREFETCH 2048

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
					bool log_pages, AnnSectionData *section)
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

		CHECK_FOR_INTERRUPTS();
		ann_page_init(page, ANN_PAGE_CENTROID_CODES, model->number);
		memset(ann_page_payload(page), 0, ANN_PAGE_PAYLOAD);
		*page_count(page) = count;
		memcpy(page_block(model, page, 0), blocks + done * block_bytes, count * block_bytes);
		done += count;
		if (done < num_blocks)
		{
			next = ann_page_allocate(index);
			AnnPageGetOpaque(page)->next = BufferGetBlockNumber(next);
		}
		if (log_pages)
			ann_wal_log_page(index, buffer);
		else
			MarkBufferDirty(buffer);
		UnlockReleaseBuffer(buffer);
	}
}

void
ann_centroids_visit(Relation index, const AnnModel *model, AnnBlockVisitor visit, void *arg)
{
	BlockNumber blkno = model->centroid_blkno;
	uint32 left = (model->num_leaves + ANN_BLOCK_LANES - 1) / ANN_BLOCK_LANES;

	while (left > 0)
	{
		Buffer buffer;
		Page page;
		uint32 count;

		CHECK_FOR_INTERRUPTS();
		buffer = ann_page_read(index, blkno, BUFFER_LOCK_SHARE);
		page = ann_page_get(index, buffer, ANN_PAGE_CENTROID_CODES, model->number);
		count = *page_count(page);
		if (count == 0 || count > left || count > (uint32) model->centroid_slots)
			ann_page_corrupted(index, blkno, "an impossible number of coded centroids");
		if (count < left)
			ann_recent_prefetch(index, AnnPageGetOpaque(page)->next, 0, MAX_PREFETCH);
		for (uint32 slot = 0; slot < count; slot++)
			visit(arg, page_block(model, page, slot));
		left -= count;
		blkno = AnnPageGetOpaque(page)->next;
		UnlockReleaseBuffer(buffer);
	}
}

/* ---- searching ---- */

void
ann_centroids_table(const AnnModel *model, AnnCodeForm form, const float *vector, float spread,
					uint8 *table, AnnBoundParams *bounds)
{
	const AnnPq *pq = &model->centroid_pq;
	float *padded = palloc0(sizeof(float) * pq->num_blocks * pq->width);
	float *floats = palloc(sizeof(float) * pq->num_blocks * ANN_CODEWORDS);
	float factor = form == ANN_CODE_L2 ? -2 : -1;
	float step;
	float base;

	memcpy(padded, vector, sizeof(float) * model->dim);
	ann_kernels->query_table(padded, pq->codebook, pq->num_blocks, pq->width, floats);
	ann_pq_round_table(floats, pq->num_blocks, 8, table, NULL, &step, &base);
	memset(bounds, 0, sizeof(*bounds));
	bounds->step = factor * step;
	bounds->base = factor * base;
	if (form == ANN_CODE_L2)
	{
		bounds->g = ann_kernels->norm_squared(vector, model->dim);
		bounds->weight_b = 1;
	}
	else
	{
		/* the lanes' err is rho: the bound's width times it is what a wide leaf is favoured by */
		bounds->var_base = 1;
		bounds->var_cap = 1;
		bounds->z = spread;
	}
	pfree(floats);
	pfree(padded);
}

typedef struct Collect
{
	const AnnModel *model;
	const uint8 *table;
	const AnnBoundParams *bounds;
	const AnnCandidate *after;
	AnnTopk *topk;
} Collect;

static void
collect_block(void *arg, const void *block)
{
	Collect *state = arg;
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
		if (state->after == NULL || ann_candidate_compare(&candidate, state->after) > 0)
			ann_topk_add(state->topk, &candidate);
	}
}

void
ann_centroids_search(Relation index, const AnnModel *model, const uint8 *table,
					 const AnnBoundParams *bounds, const AnnCandidate *after, AnnTopk *topk)
{
	Collect state = {model, table, bounds, after, topk};

	ann_centroids_visit(index, model, collect_block, &state);
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
	AnnBoundParams bounds;
	AnnTopk topk;

	ann_topk_init(&topk, items, num, lengthof(items));
	ann_centroids_table(model, ANN_CODE_L2, vector, 0, table, &bounds);
	ann_centroids_search(index, model, table, &bounds, NULL, &topk);
	ann_topk_sort(&topk);
	num = topk.num;
	for (int i = 0; i < num; i++)
		places[i] = topk.items[i].tid;
	qsort(places, num, sizeof(AnnTid), compare_places);
	pfree(table);
	return num;
}
