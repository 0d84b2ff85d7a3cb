/*
 * faultpoint.c
 *	  Fault points, in a library that was built for tests; part of no other.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"

#include "compat.h"
#include "faultpoint.h"

typedef enum FaultAction
{
	FAULT_ERROR,
	FAULT_CRASH,
	FAULT_WAIT,
} FaultAction;

static const struct config_enum_entry fault_actions[] = {
	{"error", FAULT_ERROR, false},
	{"crash", FAULT_CRASH, false},
	{"wait", FAULT_WAIT, false},
	{NULL, 0, false},
};

static char *fault;
static int fault_action;
static int passes; /* over the point that is set, since it was set */

static double interrupt_at;
static uint64 steps; /* since that was set */
static uint64 late;  /* of them: from the interrupt to the transaction's end */
static char *shown;

extern void __sanitizer_cov_trace_pc(void);

/* name:N with N from 1, name:*, or nothing. */
static bool
check_fault(char **value, void **extra, GucSource source)
{
	const char *colon = *value == NULL ? NULL : strchr(*value, ':');

	if (*value == NULL || **value == '\0' ||
		(colon != NULL && (atoi(colon + 1) > 0 || strcmp(colon, ":*") == 0)))
		return true;
	GUC_check_errdetail("The value must be the name of a fault point, a colon and a number.");
	return false;
}

static void
assign_fault(const char *value, void *extra)
{
	passes = 0;
}

/* Compiled into each basic block of the other files. */
void
__sanitizer_cov_trace_pc(void)
{
	if (++steps == (uint64) interrupt_at)
	{
		InterruptPending = true;
		QueryCancelPending = true;
	}
}

static void
assign_interrupt(double value, void *extra)
{
	steps = 0;
	late = 0;
}

/* What happens between two transactions is no work of a statement. */
static void
note_steps(XactEvent event, void *arg)
{
	if (interrupt_at > 0 && steps >= interrupt_at && late == 0)
		late = steps - (uint64) interrupt_at;
}

static const char *
show_steps(void)
{
	static char text[64];

	snprintf(text, sizeof(text), UINT64_FORMAT " " UINT64_FORMAT, steps, late);
	return text;
}

static void
init_interrupt(void)
{
	DefineCustomRealVariable("ann.fault_interrupt", "Step at which the process is asked to cancel.",
							 NULL, &interrupt_at, 0, 0, 1e15, PGC_SUSET, 0, NULL, assign_interrupt,
							 NULL);
	DefineCustomStringVariable("ann.fault_steps", "Steps, and those after the request.", NULL,
							   &shown, "", PGC_INTERNAL, 0, NULL, NULL, show_steps);
	RegisterXactCallback(note_steps, NULL);
}

void
ann_fault_init(void)
{
	init_interrupt();
	DefineCustomStringVariable("ann.fault", "Fault point and number of the pass that fails.", NULL,
							   &fault, "", PGC_SUSET, 0, check_fault, assign_fault, NULL);
	DefineCustomEnumVariable("ann.fault_action", "What happens at the fault point.", NULL,
							 &fault_action, FAULT_ERROR, fault_actions, PGC_SUSET, 0, NULL, NULL,
							 NULL);
}

/*
 * What was logged up to here must be on disk, or recovery would have nothing to do: then the
 * process goes without any of its exits.
 */
static void
crash(void)
{
	if (XactLastRecEnd != InvalidXLogRecPtr)
		XLogFlush(XactLastRecEnd);
	kill(MyProcPid, SIGKILL);
	for (;;)
		pg_usleep(1000000);
}

/* There may be content locks held: then nobody can cancel this. */
static void
wait_for_lock(void)
{
	(void) DirectFunctionCall1(pg_advisory_lock_int8, Int64GetDatum(passes));
	(void) DirectFunctionCall1(pg_advisory_unlock_int8, Int64GetDatum(passes));
}

void
ann_fault(const char *name)
{
	size_t length = strlen(name);

	if (fault == NULL || strncmp(fault, name, length) != 0 || fault[length] != ':')
		return;
	passes++;
	if (strcmp(fault + length, ":*") != 0 && passes != atoi(fault + length + 1))
		return;
	if (fault_action == FAULT_CRASH)
		crash();
	else if (fault_action == FAULT_WAIT)
		wait_for_lock();
	else
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("fault point \"%s\"", name)));
}

/* The linker leads each allocation of the library here. */
#define WRAP_ALLOCATION(name, parameters, arguments)                                               \
	extern void *__real_##name parameters;                                                         \
	extern void *__wrap_##name parameters;                                                         \
	void *__wrap_##name parameters                                                                 \
	{                                                                                              \
		ann_fault("allocation");                                                                   \
		return __real_##name arguments;                                                            \
	}

WRAP_ALLOCATION(palloc, (Size size), (size))
WRAP_ALLOCATION(palloc0, (Size size), (size))
WRAP_ALLOCATION(palloc_extended, (Size size, int flags), (size, flags))
WRAP_ALLOCATION(repalloc_huge, (void *chunk, Size size), (chunk, size))
WRAP_ALLOCATION(MemoryContextAlloc, (MemoryContext context, Size size), (context, size))
WRAP_ALLOCATION(MemoryContextAllocZero, (MemoryContext context, Size size), (context, size))
WRAP_ALLOCATION(MemoryContextAllocHuge, (MemoryContext context, Size size), (context, size))
WRAP_ALLOCATION(MemoryContextAllocExtended, (MemoryContext context, Size size, int flags),
				(context, size, flags))
