/*
 * faultpoint.c
 *	  Fault points, in a library that was built for tests; part of no other.
 */
#include "postgres.h"

#include <signal.h>

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

/* name:N with N from 1, or nothing. */
static bool
check_fault(char **value, void **extra, GucSource source)
{
	const char *colon = *value == NULL ? NULL : strchr(*value, ':');

	if (*value == NULL || **value == '\0' || (colon != NULL && atoi(colon + 1) > 0))
		return true;
	GUC_check_errdetail("The value must be the name of a fault point, a colon and a number.");
	return false;
}

static void
assign_fault(const char *value, void *extra)
{
	passes = 0;
}

void
ann_fault_init(void)
{
	DefineCustomStringVariable("ann.fault", "Fault point and number of the pass that fails.", NULL,
							   &fault, "", PGC_SUSET, 0, check_fault, assign_fault, NULL);
	DefineCustomEnumVariable("ann.fault_action", "What happens at the fault point.", NULL,
							 &fault_action, FAULT_ERROR, fault_actions, PGC_SUSET, 0, NULL, NULL,
							 NULL);
}

/*
 * What was logged up to here must be on disk, or recovery would have nothing to do: then the process
 * goes without any of its exits.
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

	if (fault == NULL || strncmp(fault, name, length) != 0 || fault[length] != ':' ||
		++passes != atoi(fault + length + 1))
		return;
	if (fault_action == FAULT_CRASH)
		crash();
	else if (fault_action == FAULT_WAIT)
		wait_for_lock();
	else
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("fault point \"%s\"", name)));
}
