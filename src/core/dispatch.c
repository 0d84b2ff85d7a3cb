/*
 * dispatch.c
 *	  Which kernels this machine runs, and the choice of one table for the process.
 *
 * NOTES
 *	  A CPU flag alone is not enough: the operating system must also save the wide registers at a
 *	  context switch, which XCR0 tells (Intel SDM vol. 1, 13.3 and 14.3). Both are read here,
 *	  without the compilers' own helper, so that what is asked for is what kernels_<isa>.c is
 *	  compiled for. On aarch64 NEON is part of the base architecture: nothing to ask.
 */
#include "core/kernels.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

const AnnKernels *ann_kernels = &ann_kernels_scalar;

#if defined(__x86_64__)

/* CPUID leaf 1, ecx */
#define LEAF1_FMA (1u << 12)
#define LEAF1_POPCNT (1u << 23)
#define LEAF1_OSXSAVE (1u << 27)
#define LEAF1_AVX (1u << 28)
#define LEAF1_F16C (1u << 29)
#define LEAF1_WANTED (LEAF1_FMA | LEAF1_POPCNT | LEAF1_OSXSAVE | LEAF1_AVX | LEAF1_F16C)
/* CPUID leaf 7, ebx */
#define LEAF7_AVX2 (1u << 5)
#define LEAF7_AVX512 ((1u << 16) | (1u << 17) | (1u << 30) | (1u << 31)) /* F, DQ, BW, VL */
/* CPUID leaf 7, ecx */
#define LEAF7_VBMI ((1u << 1) | (1u << 11) | (1u << 14)) /* VBMI, VNNI, VPOPCNTDQ */
/* XCR0: xmm and ymm; the same with mask registers, upper halves of zmm0-15, and zmm16-31 */
#define XCR0_YMM 0x06u
#define XCR0_ZMM 0xe6u

typedef struct CpuFeatures
{
	bool avx2;
	bool avx512;
	bool avx512_vbmi;
} CpuFeatures;

static uint32_t
read_xcr0(void)
{
	uint32_t low;
	uint32_t high;

	/* Not the intrinsic: it would want a target attribute. */
	__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	(void) high;
	return low;
}

static CpuFeatures
cpu_features(void)
{
	CpuFeatures features = {false, false, false};
	uint32_t eax, ebx, ecx, edx;
	uint32_t xcr0;

	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx))
		return features;
	if ((ecx & LEAF1_WANTED) != LEAF1_WANTED)
		return features;
	if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
		return features;
	xcr0 = read_xcr0();
	features.avx2 = (ebx & LEAF7_AVX2) && (xcr0 & XCR0_YMM) == XCR0_YMM;
	features.avx512 =
		features.avx2 && (ebx & LEAF7_AVX512) == LEAF7_AVX512 && (xcr0 & XCR0_ZMM) == XCR0_ZMM;
	features.avx512_vbmi = features.avx512 && (ecx & LEAF7_VBMI) == LEAF7_VBMI;
	return features;
}

#endif

const AnnKernels *
ann_kernels_available(int i)
{
	const AnnKernels *tables[4] = {&ann_kernels_scalar};
	int num = 1;

#if defined(__x86_64__)
	CpuFeatures features = cpu_features();

	if (features.avx2)
		tables[num++] = &ann_kernels_avx2;
	if (features.avx512)
		tables[num++] = features.avx512_vbmi ? &ann_kernels_avx512_vbmi : &ann_kernels_avx512;
#elif defined(__aarch64__)
	tables[num++] = &ann_kernels_neon;
#endif
	return i >= 0 && i < num ? tables[i] : NULL;
}

bool
ann_kernels_choose(const char *name)
{
	bool automatic = strcmp(name, "auto") == 0;
	const AnnKernels *chosen = NULL;
	const AnnKernels *kernels;

	/* The tables come from the slowest to the fastest: auto takes the last. */
	for (int i = 0; (kernels = ann_kernels_available(i)) != NULL; i++)
		if (automatic || strcmp(name, kernels->name) == 0)
			chosen = kernels;
	if (chosen == NULL)
		return false;
	ann_kernels = chosen;
	return true;
}
