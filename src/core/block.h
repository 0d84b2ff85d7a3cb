/*
 * block.h
 *	  The bytes of a block: up to 32 codes of one leaf, interleaved for the kernel, with their row
 *	  identifiers and factors.
 *
 *	  offset			bytes		content
 *	  0					24			AnnBlockHeader
 *	  offset_b			32 * 4		b, f32
 *	  offset_s			32 * 2		s, bf16
 *	  offset_err		32 * 2		err, bf16
 *	  offset_tids		32 * 6		row identifiers; high bits of the offset carry flags
 *	  offset_filter		32 * filter_bytes
 *	  offset_refine		32 * refine_bytes
 *	  offset_codes		16 * num_blocks	codes: byte m * 16 + j = lane j | lane j + 16 << 4
 *
 * NOTES
 *	  A lane is in use where its bit of `live` is set, and nothing else says so: erasing a lane
 *	  clears one bit, so an erase never moves or grows anything, and a lane's bytes are complete
 *	  before its bit is set. Lanes not in use hold arbitrary bytes that the kernel scores and the
 *	  scan ignores.
 *
 *	  The layout is data (it stands in the metapage): bytes per lane of filter columns and of a
 *	  refine pointer have their place, and are zero in this version.
 */
#ifndef ANN_CORE_BLOCK_H
#define ANN_CORE_BLOCK_H

#include "core/base.h"
#include "core/pq.h"

#define ANN_NO_LEAF UINT32_MAX

typedef struct AnnBlockHeader
{
	uint32_t leaf;       /* number of the leaf; ANN_NO_LEAF: the slot is free */
	uint32_t generation; /* of the leaf */
	uint32_t live;       /* bit j: lane j is in use */
	uint32_t next_page;  /* page and slot of the leaf's next block; UINT32_MAX: none */
	uint32_t body_page;  /* long blocks: first page of the codes; else UINT32_MAX */
	uint16_t next_slot;
	uint16_t flags; /* zero in this version */
} AnnBlockHeader;

typedef struct AnnBlockLayout
{
	/* stored */
	uint16_t tid_bytes;    /* 6 */
	uint16_t factor_bytes; /* 8: b, s, err */
	uint16_t filter_bytes; /* 0 */
	uint16_t refine_bytes; /* 0 */
	uint32_t num_blocks;   /* of the code; 0: rows have none */
	/* derived by ann_block_layout_init */
	uint32_t offset_b;
	uint32_t offset_s;
	uint32_t offset_err;
	uint32_t offset_tids;
	uint32_t offset_filter;
	uint32_t offset_refine;
	uint32_t offset_codes; /* = bytes of the head of a long block */
	uint32_t block_bytes;  /* rounded up to 8 */
} AnnBlockLayout;

/* One entry on its way into a block. codes: num_blocks bytes, one nibble each. */
typedef struct AnnEntry
{
	AnnTid tid;
	bool secondary; /* the row's second (SOAR) entry */
	AnnFactors factors;
	const uint8_t *codes;
} AnnEntry;

/* Flags in the unused high bits of a row identifier's offset. */
#define ANN_TID_SECONDARY 0x8000
#define ANN_TID_MOVED 0x4000 /* exact leaf only: the row also stands in the coded leaves */
#define ANN_TID_FLAGS 0xc000

/*
 * Fills in the derived fields from the stored ones. False with *reason when a stored field is out
 * of range for this version.
 */
extern bool ann_block_layout_init(AnnBlockLayout *layout, const char **reason);

/* An empty block of a leaf, all lanes zero: block_bytes. */
extern void
ann_block_init(void *block, const AnnBlockLayout *layout, uint32_t leaf, uint32_t generation);
/*
 * The head of a long block, whose codes are on body_page and the pages after it: offset_codes
 * bytes.
 */
extern void ann_block_init_head(void *block, const AnnBlockLayout *layout, uint32_t leaf,
								uint32_t generation, uint32_t body_page);

static inline AnnBlockHeader *
ann_block_header(void *block)
{
	return (AnnBlockHeader *) block;
}

/* The lowest lane not in use, or -1. */
extern int ann_block_free_lane(const void *block);
/* Lanes in use. */
extern int ann_block_count(const void *block);

/* Writes an entry into a lane and marks it in use: codes too (a block that is not long). */
extern void
ann_block_set(void *block, const AnnBlockLayout *layout, int lane, const AnnEntry *entry);
/* The same without the codes: the head of a long block. */
extern void
ann_block_set_head(void *block, const AnnBlockLayout *layout, int lane, const AnnEntry *entry);
/* Writes num nibbles of one lane into interleaved codes (num * 16 bytes). */
extern void ann_block_set_codes(uint8_t *interleaved, int lane, const uint8_t *codes, int num);
/* Reads num nibbles of one lane. */
extern void ann_block_get_codes(const uint8_t *interleaved, int lane, uint8_t *codes, int num);

/*
 * A code outside of a block, packed: two nibbles a byte, the lower one first; ann_nibbles_bytes
 * bytes. num of 1 and more.
 */
static inline size_t
ann_nibbles_bytes(int num)
{
	return ((size_t) num + 1) / 2;
}

extern void ann_nibbles_pack(const uint8_t *codes, int num, uint8_t *packed);
extern void ann_nibbles_unpack(const uint8_t *packed, int num, uint8_t *codes);

/* Takes a lane out of use. */
extern void ann_block_erase(void *block, int lane);

/* Row identifier (flags removed) and flags of a lane. */
extern AnnTid
ann_block_tid(const void *block, const AnnBlockLayout *layout, int lane, uint16_t *flags);
extern AnnFactors ann_block_factors(const void *block, const AnnBlockLayout *layout, int lane);

/*
 * Is this a block? `bytes` are at hand from its start to the end of its slot or page: block_bytes
 * or more, and the header must not name a page of codes; fewer (but offset_codes at least), and it
 * must. Free slots are valid. False with *reason. Also checks that flags are known, and that every
 * live lane has a possible row identifier (offset 1 or more, a heap block) and factors that are not
 * NaN, s finite. After true, nothing that the header says makes a reader leave `bytes`.
 */
extern bool ann_block_validate(const void *block, size_t bytes, const AnnBlockLayout *layout,
							   const char **reason);

#endif
