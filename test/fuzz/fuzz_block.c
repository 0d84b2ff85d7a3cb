/*
 * fuzz_block.c
 *	  Any bytes as a layout and a block: what the validator lets through is safe to use and stays
 *	  valid.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/block.h"

#define LAYOUT_BYTES 6

static void
check(bool ok)
{
	if (!ok)
		abort();
}

/* Layouts mostly of this version, else nothing would get further. */
static AnnBlockLayout
read_layout(const uint8_t *data)
{
	AnnBlockLayout layout = {
		.tid_bytes = data[0] < 250 ? 6 : data[0],
		.factor_bytes = data[1] < 250 ? 8 : data[1],
		.filter_bytes = data[2] < 250 ? 0 : data[2],
		.refine_bytes = data[3] < 250 ? 0 : data[3],
		.num_blocks = (uint32_t) (data[4] | (data[5] & 0x7f) << 8),
	};

	return layout;
}

static void
read_lanes(const char *block, const AnnBlockLayout *layout, bool is_long)
{
	uint8_t *codes = malloc(layout->num_blocks);
	uint32_t live = ann_block_header((void *) block)->live;

	check(ann_block_count(block) == __builtin_popcount(live));
	for (int lane = 0; lane < ANN_BLOCK_LANES; lane++)
	{
		AnnFactors factors = ann_block_factors(block, layout, lane);
		uint16_t flags;
		AnnTid tid = ann_block_tid(block, layout, lane, &flags);

		check((flags & ~ANN_TID_FLAGS) == 0 && (tid.offset & ANN_TID_FLAGS) == 0);
		if (live >> lane & 1)
			check(tid.offset != 0 && factors.b == factors.b);
		if (is_long)
			continue;
		ann_block_get_codes((const uint8_t *) block + layout->offset_codes, lane, codes,
							(int) layout->num_blocks);
		for (uint32_t m = 0; m < layout->num_blocks; m++)
			check(codes[m] < ANN_CODEWORDS);
	}
	free(codes);
}

/* Fills every free lane, erases some, and looks whether the others kept their entries. */
static void
change_lanes(char *block, size_t bytes, const AnnBlockLayout *layout, bool is_long)
{
	uint8_t *codes = malloc(layout->num_blocks);
	uint8_t *read = malloc(layout->num_blocks);
	AnnEntry entry = {.tid = {1, 2, 3}, .secondary = true, .factors = {4, 5, 6}, .codes = codes};
	const char *reason;
	int lane;

	for (uint32_t m = 0; m < layout->num_blocks; m++)
		codes[m] = (uint8_t) (m * 7 % ANN_CODEWORDS);
	while ((lane = ann_block_free_lane(block)) >= 0)
	{
		if (is_long)
			ann_block_set_head(block, layout, lane, &entry);
		else
		{
			ann_block_set(block, layout, lane, &entry);
			ann_block_get_codes((const uint8_t *) block + layout->offset_codes, lane, read,
								(int) layout->num_blocks);
			check(memcmp(codes, read, layout->num_blocks) == 0);
		}
	}
	check(ann_block_count(block) == ANN_BLOCK_LANES);
	check(ann_block_validate(block, bytes, layout, &reason));
	for (lane = 0; lane < ANN_BLOCK_LANES; lane += 3)
		ann_block_erase(block, lane);
	check(ann_block_free_lane(block) == 0 && ann_block_count(block) == 21);
	check(ann_block_validate(block, bytes, layout, &reason));
	free(codes);
	free(read);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AnnBlockLayout layout;
	const char *reason = NULL;
	size_t bytes;
	char *block;

	if (size < LAYOUT_BYTES)
		return 0;
	layout = read_layout(data);
	if (!ann_block_layout_init(&layout, &reason))
	{
		check(reason != NULL);
		return 0;
	}
	bytes = size - LAYOUT_BYTES;
	block = malloc(bytes + 1);
	memcpy(block, data + LAYOUT_BYTES, bytes);
	block = realloc(block, bytes == 0 ? 1 : bytes);
	if (!ann_block_validate(block, bytes, &layout, &reason))
		check(reason != NULL);
	else if (ann_block_header(block)->leaf != ANN_NO_LEAF)
	{
		bool is_long = ann_block_header(block)->body_page != UINT32_MAX;

		read_lanes(block, &layout, is_long);
		change_lanes(block, bytes, &layout, is_long);
		read_lanes(block, &layout, is_long);
	}
	free(block);
	return 0;
}
