/*
 * block.c
 *	  The bytes of a block: layout, lanes, nibbles, validation.
 *
 * NOTES
 *	  Fields of a lane are read and written by memcpy: a block stands wherever its page's slots put
 *	  it, and a damaged metapage or a test may put it anywhere.
 */
#include "core/block.h"

#include <math.h>
#include <string.h>

#include "core/bf16.h"

#define TID_BYTES 6
#define FACTOR_BYTES 8

_Static_assert(sizeof(AnnBlockHeader) == 24, "the block header is on disk");
_Static_assert(sizeof(AnnTid) == TID_BYTES, "row identifiers are on disk");

bool
ann_block_layout_init(AnnBlockLayout *layout, const char **reason)
{
	if (layout->tid_bytes != TID_BYTES)
		*reason = "bytes of a row identifier are not 6";
	else if (layout->factor_bytes != FACTOR_BYTES)
		*reason = "bytes of a row's factors are not 8";
	else if (layout->filter_bytes != 0)
		*reason = "filter columns are of a later version";
	else if (layout->refine_bytes != 0)
		*reason = "refine pointers are of a later version";
	else if (layout->num_blocks > ANN_MAX_LAYERS * ANN_MAX_DIM)
		*reason = "number of code blocks out of range";
	else
	{
		layout->offset_b = sizeof(AnnBlockHeader);
		layout->offset_s = layout->offset_b + ANN_BLOCK_LANES * sizeof(float);
		layout->offset_err = layout->offset_s + ANN_BLOCK_LANES * sizeof(uint16_t);
		layout->offset_tids = layout->offset_err + ANN_BLOCK_LANES * sizeof(uint16_t);
		layout->offset_filter = layout->offset_tids + ANN_BLOCK_LANES * layout->tid_bytes;
		layout->offset_refine = layout->offset_filter + ANN_BLOCK_LANES * layout->filter_bytes;
		layout->offset_codes = layout->offset_refine + ANN_BLOCK_LANES * layout->refine_bytes;
		layout->block_bytes =
			(layout->offset_codes + layout->num_blocks * (ANN_BLOCK_LANES / 2) + 7) & ~7U;
		return true;
	}
	return false;
}

void
ann_block_init(void *block, const AnnBlockLayout *layout, uint32_t leaf, uint32_t generation)
{
	AnnBlockHeader header = {
		.leaf = leaf,
		.generation = generation,
		.next_page = UINT32_MAX,
		.body_page = UINT32_MAX,
	};

	memset(block, 0, layout->block_bytes);
	memcpy(block, &header, sizeof(header));
}

void
ann_block_init_head(void *block, const AnnBlockLayout *layout, uint32_t leaf, uint32_t generation,
					uint32_t body_page)
{
	AnnBlockHeader header = {
		.leaf = leaf,
		.generation = generation,
		.next_page = UINT32_MAX,
		.body_page = body_page,
	};

	memset(block, 0, layout->offset_codes);
	memcpy(block, &header, sizeof(header));
}

static uint32_t
get_live(const void *block)
{
	uint32_t live;

	memcpy(&live, (const char *) block + offsetof(AnnBlockHeader, live), sizeof(live));
	return live;
}

static void
set_live(void *block, uint32_t live)
{
	memcpy((char *) block + offsetof(AnnBlockHeader, live), &live, sizeof(live));
}

int
ann_block_free_lane(const void *block)
{
	uint32_t free_lanes = ~get_live(block);

	return free_lanes == 0 ? -1 : __builtin_ctz(free_lanes);
}

int
ann_block_count(const void *block)
{
	return __builtin_popcount(get_live(block));
}

void
ann_block_set(void *block, const AnnBlockLayout *layout, int lane, const AnnEntry *entry)
{
	ann_block_set_codes((uint8_t *) block + layout->offset_codes, lane, entry->codes,
						(int) layout->num_blocks);
	ann_block_set_head(block, layout, lane, entry);
}

void
ann_block_set_head(void *block, const AnnBlockLayout *layout, int lane, const AnnEntry *entry)
{
	char *bytes = block;
	AnnTid tid = entry->tid;

	if (entry->secondary)
		tid.offset |= ANN_TID_SECONDARY;
	memcpy(bytes + layout->offset_b + lane * sizeof(float), &entry->factors.b, sizeof(float));
	memcpy(bytes + layout->offset_s + lane * sizeof(uint16_t), &entry->factors.s, sizeof(uint16_t));
	memcpy(bytes + layout->offset_err + lane * sizeof(uint16_t), &entry->factors.err,
		   sizeof(uint16_t));
	memcpy(bytes + layout->offset_tids + lane * TID_BYTES, &tid, TID_BYTES);
	set_live(block, get_live(block) | UINT32_C(1) << lane);
}

void
ann_block_set_codes(uint8_t *interleaved, int lane, const uint8_t *codes, int num)
{
	uint8_t *column = interleaved + lane % (ANN_BLOCK_LANES / 2);
	bool is_high = lane >= ANN_BLOCK_LANES / 2;

	for (int m = 0; m < num; m++)
	{
		uint8_t *byte = column + (size_t) m * (ANN_BLOCK_LANES / 2);

		if (is_high)
			*byte = (uint8_t) ((*byte & 0x0f) | codes[m] << 4);
		else
			*byte = (uint8_t) ((*byte & 0xf0) | (codes[m] & 0x0f));
	}
}

void
ann_block_get_codes(const uint8_t *interleaved, int lane, uint8_t *codes, int num)
{
	const uint8_t *column = interleaved + lane % (ANN_BLOCK_LANES / 2);
	int shift = lane >= ANN_BLOCK_LANES / 2 ? 4 : 0;

	for (int m = 0; m < num; m++)
		codes[m] = column[(size_t) m * (ANN_BLOCK_LANES / 2)] >> shift & 0x0f;
}

void
ann_nibbles_pack(const uint8_t *codes, int num, uint8_t *packed)
{
	for (int m = 0; m + 1 < num; m += 2)
		packed[m / 2] = (uint8_t) ((codes[m] & 0x0f) | codes[m + 1] << 4);
	if (num % 2 == 1)
		packed[num / 2] = codes[num - 1] & 0x0f;
}

void
ann_nibbles_unpack(const uint8_t *packed, int num, uint8_t *codes)
{
	for (int m = 0; m < num; m++)
		codes[m] = packed[m / 2] >> (m % 2 * 4) & 0x0f;
}

void
ann_block_erase(void *block, int lane)
{
	set_live(block, get_live(block) & ~(UINT32_C(1) << lane));
}

AnnTid
ann_block_tid(const void *block, const AnnBlockLayout *layout, int lane, uint16_t *flags)
{
	AnnTid tid;

	memcpy(&tid, (const char *) block + layout->offset_tids + lane * TID_BYTES, TID_BYTES);
	*flags = tid.offset & ANN_TID_FLAGS;
	tid.offset &= (uint16_t) ~ANN_TID_FLAGS;
	return tid;
}

AnnFactors
ann_block_factors(const void *block, const AnnBlockLayout *layout, int lane)
{
	const char *bytes = block;
	AnnFactors factors;

	memcpy(&factors.b, bytes + layout->offset_b + lane * sizeof(float), sizeof(float));
	memcpy(&factors.s, bytes + layout->offset_s + lane * sizeof(uint16_t), sizeof(uint16_t));
	memcpy(&factors.err, bytes + layout->offset_err + lane * sizeof(uint16_t), sizeof(uint16_t));
	return factors;
}

/* What is wrong with a lane in use; NULL: nothing. */
static const char *
lane_fault(const void *block, const AnnBlockLayout *layout, int lane)
{
	AnnFactors factors = ann_block_factors(block, layout, lane);
	uint16_t flags;
	AnnTid tid = ann_block_tid(block, layout, lane, &flags);

	if (tid.offset == 0)
		return "a row identifier has offset 0";
	if (tid.block_hi == UINT16_MAX && tid.block_lo == UINT16_MAX)
		return "a row identifier has no heap block";
	if (isnan(factors.b))
		return "factor b is not a number";
	if (!isfinite(ann_bf16_to_float(factors.s)))
		return "factor s is not finite";
	if (isnan(ann_bf16_to_float(factors.err)))
		return "factor err is not a number";
	return NULL;
}

/*
 * Whether a block is long is a matter of its page's room, which only the caller knows: a block of
 * which fewer than block_bytes are at hand must name the page of its codes, any other must not. So
 * a reader that trusts either the layout or the header stays within `bytes`.
 */
bool
ann_block_validate(const void *block, size_t bytes, const AnnBlockLayout *layout,
				   const char **reason)
{
	AnnBlockHeader header;
	const char *fault = NULL;

	if (bytes < layout->offset_codes)
	{
		*reason = "block reaches past the end of its page";
		return false;
	}
	memcpy(&header, block, sizeof(header));
	if (header.leaf == ANN_NO_LEAF)
		return true;
	if (header.flags != 0)
		fault = "unknown flags in a block's header";
	else if (bytes < layout->block_bytes && header.body_page == UINT32_MAX)
		fault = "codes reach past the end of the page";
	else if (bytes >= layout->block_bytes && header.body_page != UINT32_MAX)
		fault = "a block with room for its codes names another page for them";
	for (int lane = 0; lane < ANN_BLOCK_LANES && fault == NULL; lane++)
		if (header.live >> lane & 1)
			fault = lane_fault(block, layout, lane);
	if (fault != NULL)
		*reason = fault;
	return fault == NULL;
}
