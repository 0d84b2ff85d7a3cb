/*
 * test_block.c
 *	  The bytes of a block: layout, lanes, nibbles, every reason of the validator.
 */
#include "core/block.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/bf16.h"
#include "core/rng.h"
#include "tap.h"

static const int all_num_blocks[] = {0,  1,   2,   3,   7,   8,    63,
									 64, 192, 255, 256, 257, 4000, 2 * ANN_MAX_DIM};

#define NUM_SIZES ((int) (sizeof(all_num_blocks) / sizeof(all_num_blocks[0])))

static AnnBlockLayout
make_layout(int num_blocks)
{
	AnnBlockLayout layout = {
		.tid_bytes = 6,
		.factor_bytes = 8,
		.num_blocks = (uint32_t) num_blocks,
	};
	const char *reason;

	(void) ann_block_layout_init(&layout, &reason);
	return layout;
}

static AnnEntry
make_entry(AnnRng *rng, int num_blocks, uint8_t *codes)
{
	AnnEntry entry = {
		.tid = {(uint16_t) ann_rng_below(rng, 0xffff), (uint16_t) ann_rng_below(rng, 0x10000),
				(uint16_t) (1 + ann_rng_below(rng, 0x3fff))},
		.secondary = ann_rng_below(rng, 2) == 1,
		.factors = {.b = (float) (ann_rng_unit(rng) - .5),
					.s = ann_bf16_from_float((float) ann_rng_unit(rng)),
					.err = ann_bf16_from_float((float) ann_rng_unit(rng))},
		.codes = codes,
	};

	for (int m = 0; m < num_blocks; m++)
		codes[m] = (uint8_t) ann_rng_below(rng, ANN_CODEWORDS);
	return entry;
}

static bool
holds(const void *block, const AnnBlockLayout *layout, int lane, const AnnEntry *entry)
{
	uint8_t *codes = malloc(layout->num_blocks);
	uint16_t flags;
	AnnTid tid = ann_block_tid(block, layout, lane, &flags);
	AnnFactors factors = ann_block_factors(block, layout, lane);
	bool same_codes;

	ann_block_get_codes((const uint8_t *) block + layout->offset_codes, lane, codes,
						(int) layout->num_blocks);
	same_codes = memcmp(codes, entry->codes, layout->num_blocks) == 0;
	free(codes);
	return same_codes && memcmp(&tid, &entry->tid, sizeof(tid)) == 0 &&
		   flags == (entry->secondary ? ANN_TID_SECONDARY : 0) && factors.b == entry->factors.b &&
		   factors.s == entry->factors.s && factors.err == entry->factors.err;
}

static void
test_layout(void)
{
	AnnBlockLayout layout = {.tid_bytes = 6, .factor_bytes = 8};
	const char *reason = NULL;
	bool ok = true;

	for (int i = 0; i < NUM_SIZES; i++)
	{
		layout.num_blocks = (uint32_t) all_num_blocks[i];
		ok = ok && ann_block_layout_init(&layout, &reason);
		ok = ok && layout.offset_b == 24 && layout.offset_s == 152 && layout.offset_err == 216;
		ok = ok && layout.offset_tids == 280 && layout.offset_filter == 472;
		ok = ok && layout.offset_refine == 472 && layout.offset_codes == 472;
		ok = ok && layout.block_bytes % 8 == 0;
		ok = ok && layout.block_bytes - (472 + 16 * layout.num_blocks) < 8;
	}
	tap_ok(ok && reason == NULL, "layout: offsets aligned, block a multiple of 8");
}

/* One stored field at a time out of range: refused, each for a reason of its own. */
static void
test_layout_reasons(void)
{
	const AnnBlockLayout good = make_layout(64);
	AnnBlockLayout bad[5] = {good, good, good, good, good};
	const char *reasons[5] = {NULL};

	bad[0].tid_bytes = 8;
	bad[1].factor_bytes = 4;
	bad[2].filter_bytes = 2;
	bad[3].refine_bytes = 4;
	bad[4].num_blocks = 2 * ANN_MAX_DIM + 1;
	for (int i = 0; i < 5; i++)
	{
		bool refused = !ann_block_layout_init(&bad[i], &reasons[i]);
		bool is_new = i == 0 || strcmp(reasons[i], reasons[i - 1]) != 0;

		tap_ok(refused && reasons[i] != NULL && is_new, "layout refused: %s", reasons[i]);
	}
}

/* Fills all lanes in random order, then erases and refills some: every lane keeps its own. */
static bool
check_lanes(int num_blocks)
{
	AnnBlockLayout layout = make_layout(num_blocks);
	char *block = malloc(layout.block_bytes);
	uint8_t *codes = malloc((size_t) ANN_BLOCK_LANES * num_blocks);
	AnnEntry entries[ANN_BLOCK_LANES];
	uint32_t live = 0;
	bool ok = true;
	const char *reason;
	AnnRng rng;

	ann_rng_seed(&rng, (uint64_t) num_blocks);
	ann_block_init(block, &layout, 17, 3);
	ok = ann_block_header(block)->leaf == 17 && ann_block_header(block)->generation == 3 &&
		 ann_block_count(block) == 0 && ann_block_free_lane(block) == 0;
	for (int step = 0; ok && step < 200; step++)
	{
		int lane = (int) ann_rng_below(&rng, ANN_BLOCK_LANES);

		if (live >> lane & 1 && ann_rng_below(&rng, 3) == 0)
		{
			ann_block_erase(block, lane);
			live &= ~(UINT32_C(1) << lane);
		}
		else
		{
			entries[lane] = make_entry(&rng, num_blocks, codes + (size_t) lane * num_blocks);
			ann_block_set(block, &layout, lane, &entries[lane]);
			live |= UINT32_C(1) << lane;
		}
		ok = ann_block_header(block)->live == live &&
			 ann_block_count(block) == __builtin_popcount(live) &&
			 ann_block_free_lane(block) == (~live == 0 ? -1 : __builtin_ctz(~live)) &&
			 ann_block_validate(block, layout.block_bytes, &layout, &reason);
		for (int i = 0; ok && i < ANN_BLOCK_LANES; i++)
			ok = !(live >> i & 1) || holds(block, &layout, i, &entries[i]);
	}
	free(block);
	free(codes);
	return ok;
}

static void
test_full(void)
{
	AnnBlockLayout layout = make_layout(5);
	char *block = malloc(layout.block_bytes);
	uint8_t codes[5];
	AnnRng rng;

	ann_rng_seed(&rng, 1);
	ann_block_init(block, &layout, 0, 0);
	for (int lane = 0; lane < ANN_BLOCK_LANES; lane++)
	{
		AnnEntry entry = make_entry(&rng, 5, codes);

		ann_block_set(block, &layout, ann_block_free_lane(block), &entry);
	}
	tap_ok(ann_block_free_lane(block) == -1 && ann_block_count(block) == ANN_BLOCK_LANES,
		   "full: no free lane");
	ann_block_erase(block, 13);
	ann_block_erase(block, 31);
	ann_block_erase(block, 31);
	tap_ok(ann_block_free_lane(block) == 13 && ann_block_count(block) == 30,
		   "erased: the lowest is free");
	free(block);
}

/* The byte that the kernel expects: lane j low, lane j + 16 high. */
static void
test_interleaving(void)
{
	uint8_t codes[3] = {0xf1, 0xf2, 0xf3}; /* only the low nibble counts */
	uint8_t others[3] = {0xa, 0xb, 0xc};
	uint8_t interleaved[3 * 16];
	bool ok = true;

	memset(interleaved, 0x55, sizeof(interleaved));
	ann_block_set_codes(interleaved, 20, others, 3);
	ann_block_set_codes(interleaved, 4, codes, 3);
	for (int i = 0; i < 48; i++)
		ok = ok &&
			 interleaved[i] == (i % 16 == 4 ? (codes[i / 16] & 0xf) | others[i / 16] << 4 : 0x55);
	tap_ok(ok, "codes: lane j in the low, j + 16 in the high nibble of byte j");
}

/* A long block: its head alone, the codes elsewhere. */
static void
test_long_block(void)
{
	AnnBlockLayout layout = make_layout(4000);
	char *head = malloc(layout.offset_codes);
	uint8_t *body = calloc(layout.num_blocks, 16);
	uint8_t codes[4000];
	uint8_t read[4000];
	const char *reason = NULL;
	uint16_t flags;
	AnnEntry entry;
	AnnTid tid;
	AnnRng rng;

	ann_rng_seed(&rng, 2);
	entry = make_entry(&rng, 4000, codes);
	ann_block_init_head(head, &layout, 1, 2, 99);
	ann_block_set_codes(body + 16 * 100, 31, codes + 100, 3900);
	ann_block_set_codes(body, 31, codes, 100);
	ann_block_set_head(head, &layout, 31, &entry);
	ann_block_get_codes(body, 31, read, 4000);
	tid = ann_block_tid(head, &layout, 31, &flags);
	tap_ok(memcmp(codes, read, 4000) == 0 && memcmp(&tid, &entry.tid, sizeof(tid)) == 0,
		   "long block: head and pieces of the codes");
	tap_ok(ann_block_validate(head, layout.offset_codes, &layout, &reason), "long block: valid");
	ann_block_header(head)->body_page = UINT32_MAX;
	tap_ok(!ann_block_validate(head, layout.offset_codes, &layout, &reason),
		   "long block: refused without a body");
	free(head);
	free(body);
}

static bool
refused(const char *block, size_t bytes, const AnnBlockLayout *layout, const char *expected)
{
	const char *reason = "";
	char *exact = malloc(bytes + 1);
	bool ok;

	/* Of exactly this size, so that a sanitizer sees a step beyond. */
	exact = realloc(exact, bytes);
	memcpy(exact, block, bytes);
	ok = !ann_block_validate(exact, bytes, layout, &reason) && strcmp(reason, expected) == 0;
	free(exact);
	return tap_ok(ok, "refused: %s", expected);
}

static void
test_header_reasons(void)
{
	AnnBlockLayout layout = make_layout(9);
	_Alignas(8) char block[1024];
	const char *reason;

	ann_block_init(block, &layout, 1, 1);
	tap_ok(ann_block_validate(block, layout.block_bytes, &layout, &reason), "valid: empty");
	refused(block, layout.offset_codes - 1, &layout, "block reaches past the end of its page");
	refused(block, 1, &layout, "block reaches past the end of its page");
	refused(block, layout.block_bytes - 1, &layout, "codes reach past the end of the page");
	ann_block_header(block)->body_page = 7;
	refused(block, layout.block_bytes, &layout,
			"a block with room for its codes names another page for them");
	ann_block_header(block)->body_page = UINT32_MAX;
	ann_block_header(block)->flags = 1;
	refused(block, layout.block_bytes, &layout, "unknown flags in a block's header");
	ann_block_header(block)->leaf = ANN_NO_LEAF;
	ann_block_header(block)->live = UINT32_MAX;
	tap_ok(ann_block_validate(block, layout.block_bytes, &layout, &reason), "valid: a free slot");
}

static void
test_lane_reasons(void)
{
	static const struct
	{
		AnnTid tid;
		AnnFactors factors;
		const char *reason;
	} cases[] = {
		{{0, 0, 0}, {0, 0, 0}, "a row identifier has offset 0"},
		{{0, 0, ANN_TID_FLAGS}, {0, 0, 0}, "a row identifier has offset 0"},
		{{0xffff, 0xffff, 1}, {0, 0, 0}, "a row identifier has no heap block"},
		{{0, 0, 1}, {NAN, 0, 0}, "factor b is not a number"},
		{{0, 0, 1}, {0, 0x7f80, 0}, "factor s is not finite"},
		{{0, 0, 1}, {0, 0xff80, 0}, "factor s is not finite"},
		{{0, 0, 1}, {0, 0x7fc0, 0}, "factor s is not finite"},
		{{0, 0, 1}, {0, 0, 0x7f81}, "factor err is not a number"},
	};
	AnnBlockLayout layout = make_layout(9);
	uint8_t codes[9] = {0};
	_Alignas(8) char block[1024];
	const char *reason;

	ann_block_init(block, &layout, 1, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		AnnEntry entry = {.tid = cases[i].tid, .factors = cases[i].factors, .codes = codes};
		int lane = (int) (i * 9 % ANN_BLOCK_LANES);

		ann_block_set(block, &layout, lane, &entry);
		refused(block, layout.block_bytes, &layout, cases[i].reason);
		ann_block_erase(block, lane);
		if (!tap_ok(ann_block_validate(block, layout.block_bytes, &layout, &reason),
					"valid: the same lane when erased"))
			break;
	}
}

static void
test_legal_extremes(void)
{
	AnnBlockLayout layout = make_layout(1);
	uint8_t code = 0xff; /* only the nibble counts */
	uint8_t read;
	AnnEntry entry = {
		.tid = {0xffff, 0xfffe, 0x3fff},
		.secondary = true,
		.factors = {.b = -INFINITY, .s = 0x8000, .err = 0x7f80},
		.codes = &code,
	};
	_Alignas(8) char block[1024];
	const char *reason;
	uint16_t flags;
	AnnTid tid;

	ann_block_init(block, &layout, 0, UINT32_MAX);
	ann_block_set(block, &layout, 31, &entry);
	tid = ann_block_tid(block, &layout, 31, &flags);
	ann_block_get_codes((uint8_t *) block + layout.offset_codes, 31, &read, 1);
	tap_ok(ann_block_validate(block, layout.block_bytes, &layout, &reason),
		   "valid: greatest row identifier, infinite b and err");
	tap_ok(tid.offset == 0x3fff && flags == ANN_TID_SECONDARY && read == 0xf,
		   "flags and nibbles do not leak into their neighbours");
	entry.tid.offset |= ANN_TID_MOVED;
	ann_block_set(block, &layout, 31, &entry);
	tid = ann_block_tid(block, &layout, 31, &flags);
	tap_ok(tid.offset == 0x3fff && flags == ANN_TID_FLAGS, "both flags");
}

int
main(void)
{
	test_layout();
	test_layout_reasons();
	for (int i = 0; i < NUM_SIZES; i++)
		tap_ok(check_lanes(all_num_blocks[i]), "set and erase lanes of %d code blocks",
			   all_num_blocks[i]);
	test_full();
	test_interleaving();
	test_long_block();
	test_header_reasons();
	test_lane_reasons();
	test_legal_extremes();
	return tap_done();
}
