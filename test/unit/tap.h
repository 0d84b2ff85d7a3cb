/*
 * tap.h
 *	  The producer's half of the Test Anything Protocol, in one header so that it cross-compiles;
 *	  the consumer is prove(1). A test program is main() with tap_ok calls, ended by "return
 *	  tap_done();".
 */
#ifndef ANN_TEST_TAP_H
#define ANN_TEST_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int tap_run = 0;
static int tap_failed = 0;

/* One test point; name is a printf format. Returns ok. */
__attribute__((format(printf, 2, 3), unused)) static bool
tap_ok(bool ok, const char *name, ...)
{
	va_list args;

	tap_run++;
	tap_failed += !ok;
	printf("%sok %d - ", ok ? "" : "not ", tap_run);
	va_start(args, name);
	vprintf(name, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	return ok;
}

/* A diagnostic line. */
__attribute__((format(printf, 1, 2), unused)) static void
tap_diag(const char *format, ...)
{
	va_list args;

	printf("# ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

/* Prints the plan; the program's exit status. */
__attribute__((unused)) static int
tap_done(void)
{
	printf("1..%d\n", tap_run);
	return tap_failed == 0 ? 0 : 1;
}

#endif
