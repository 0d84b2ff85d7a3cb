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
	FAULT_CANCEL,
} FaultAction;

static const struct config_enum_entry fault_actions[] = {
	{"error", FAULT_ERROR, false},
	{"crash", FAULT_CRASH, false},
	{"wait", FAULT_WAIT, false},
	{"cancel", FAULT_CANCEL, false},
	{NULL, 0, false},
};

/* So far from any step at which somebody asks for an interrupt that none comes. */
#define NO_STEP (UINT64_C(1) << 63)

/* Passes whose steps are shown. */
#define NOTED_PASSES 32

static char *fault;
static int fault_action;
static size_t place; /* in its value, of the point that comes next */
static int passes;   /* over that point, since it came next */

static double interrupt_at;
static uint64 steps; /* since that was set, or since the point where the action is to cancel */
static uint64 late;  /* of them: from the interrupt to the transaction's end */
static int interrupted_pass;
static uint64 noted[NOTED_PASSES]; /* steps at each pass */
static char *shown;

extern void __sanitizer_cov_trace_pc(void);

/* name:N with N from 1, name:*, several of them, or nothing. */
static bool
check_fault(char **value, void **extra, GucSource source)
{
	const char *part = *value;

	while (part != NULL && *part != '\0')
	{
		const char *colon = strchr(part, ':');

		if (colon == NULL || (atoi(colon + 1) <= 0 && strncmp(colon, ":*", 2) != 0))
		{
			GUC_check_errdetail("The value must be the name of a fault point, a colon and a "
								"number; several of them are separated by commas.");
			return false;
		}
		part = strchr(colon, ',');
		part = part == NULL ? NULL : part + 1;
	}
	return true;
}

static void
assign_fault(const char *value, void *extra)
{
	place = 0;
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
		interrupted_pass = passes;
	}
}

static void
assign_interrupt(double value, void *extra)
{
	steps = fault_action == FAULT_CANCEL ? NO_STEP : 0;
	late = 0;
}

static void
assign_action(int value, void *extra)
{
	steps = value == FAULT_CANCEL ? NO_STEP : 0;
}

/* What happens between two transactions is no work of a statement. */
static void
note_steps(XactEvent event, void *arg)
{
	if (interrupt_at > 0 && steps >= interrupt_at && steps < NO_STEP && late == 0)
		late = steps - (uint64) interrupt_at;
}

static const char *
show_steps(void)
{
	static char text[64 + 24 * NOTED_PASSES];
	int length = snprintf(text, sizeof(text), UINT64_FORMAT " " UINT64_FORMAT " %d %d", steps, late,
						  interrupted_pass, passes);

	for (int i = 0; i < Min(passes, NOTED_PASSES); i++)
		length += snprintf(text + length, sizeof(text) - length, " " UINT64_FORMAT, noted[i]);
	return text;
}

static void
init_interrupt(void)
{
	DefineCustomRealVariable("ann.fault_interrupt", "Step at which the process is asked to cancel.",
							 NULL, &interrupt_at, 0, 0, 1e15, PGC_SUSET, 0, NULL, assign_interrupt,
							 NULL);
	DefineCustomStringVariable("ann.fault_steps",
							   "Steps, those after the request, the pass of the request, passes, "
							   "steps at each.",
							   NULL, &shown, "", PGC_INTERNAL, 0, NULL, NULL, show_steps);
	RegisterXactCallback(note_steps, NULL);
}

void
ann_fault_init(void)
{
	init_interrupt();
	DefineCustomStringVariable("ann.fault", "Fault point and number of the pass that fails.", NULL,
							   &fault, "", PGC_SUSET, 0, check_fault, assign_fault, NULL);
	DefineCustomEnumVariable("ann.fault_action", "What happens at the fault point.", NULL,
							 &fault_action, FAULT_ERROR, fault_actions, PGC_SUSET, 0, NULL,
							 assign_action, NULL);
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

static void
act(const char *name)
{
	switch ((FaultAction) fault_action)
	{
		case FAULT_CRASH:
			crash();
			break;
		case FAULT_WAIT:
			wait_for_lock();
			break;
		case FAULT_CANCEL:
			steps = 0;
			break;
		case FAULT_ERROR:
			ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("fault point \"%s\"", name)));
	}
}

void
ann_fault(const char *name)
{
	size_t length = strlen(name);
	const char *number;
	const char *comma;

	if (fault == NULL || strncmp(fault + place, name, length) != 0 || fault[place + length] != ':')
		return;
	number = fault + place + length + 1;
	comma = strchr(number, ',');
	if (passes < NOTED_PASSES)
		noted[passes] = steps;
	passes++;
	if (*number != '*' && passes != atoi(number))
		return;
	if (comma == NULL)
		act(name);
	else
	{
		place = comma + 1 - fault;
		passes = 0;
	}
}

void
ann_fault_unlocked(const char *name)
{
	/* so much a lock of a buffer does */
	if (InterruptHoldoffCount > 0)
		elog(ERROR, "fault point \"%s\" is passed under a lock", name);
	ann_fault(name);
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
