/*
 * ann.c
 *	  Where the server meets the library: the magic block, _PG_init, the setting ann.simd.
 *
 * NOTES
 *	  _PG_init may run without a database or a transaction (a parallel worker loads libraries before
 *	  it connects): nothing here may read a catalog. It runs again in every backend, so the kernels
 *	  are chosen once per process.
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "am/am.h"
#include "compat.h"
#include "core/kernels.h"
#include "faultpoint.h"
#include "memcheck.h"

ANN_MODULE_MAGIC("ann", "0.1.0");

extern PGDLLEXPORT void _PG_init(void);

/* Names of ann.simd, which are those of the kernel tables. */
static const struct config_enum_entry simd_levels[] = {
	{"auto", 0, false},   {"scalar", 1, false}, {"avx2", 2, false},
	{"avx512", 3, false}, {"neon", 4, false},   {NULL, 0, false},
};

static int simd_level;

/* Whether this machine runs the level: auto, or one of the tables that dispatch.c offers. */
static bool
simd_level_runs(const char *name)
{
	const AnnKernels *kernels;

	if (strcmp(name, "auto") == 0)
		return true;
	for (int i = 0; (kernels = ann_kernels_available(i)) != NULL; i++)
		if (strcmp(kernels->name, name) == 0)
			return true;
	return false;
}

static bool
check_simd(int *value, void **extra, GucSource source)
{
	const char *name = simd_levels[*value].name;
	const AnnKernels *kernels;
	StringInfoData names;

	if (simd_level_runs(name))
		return true;
	initStringInfo(&names);
	for (int i = 0; (kernels = ann_kernels_available(i)) != NULL; i++)
		appendStringInfo(&names, ", %s", kernels->name);
	GUC_check_errdetail("This machine cannot run the kernels \"%s\".", name);
	GUC_check_errhint("Available values: auto%s.", names.data);
	return false;
}

static void
assign_simd(int value, void *extra)
{
	ann_kernels_choose(simd_levels[value].name);
}

/*
 * Settings in alphabetical order: those of the access method all stand before ann.simd. The prefix
 * is reserved last, when every name under it is known.
 */
void
_PG_init(void)
{
	ann_memcheck_control();
	ann_am_init();

	/*
	 * For superusers: it changes the last bits of results and, for an attacker who can set it,
	 * which code runs.
	 */
	DefineCustomEnumVariable(
		"ann.simd", "Instruction set of the distance kernels.",
		"\"auto\" takes the best that this machine runs. Other values are for tests.", &simd_level,
		0, simd_levels, PGC_SUSET, 0, check_simd, assign_simd, NULL);

	ann_fault_init();
	MarkGUCPrefixReserved("ann");
}

/*
 * ann_simd() returns text: the kernels in use, one of the values of ann.simd but never auto. No
 * errors. The result is in the current memory context.
 */
ANN_FUNCTION(ann_simd);
Datum
ann_simd(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(ann_kernels->name));
}
