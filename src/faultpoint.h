/*
 * faultpoint.h
 *	  Fault points: places where a library built for tests (make FAULTS=1) can be made to fail, to
 *	  prove what a crash or an error leaves behind there. In a release they compile to nothing.
 *
 * NOTES
 *	  A point stands between two steps that each leave a valid index, never within an edit. Its name
 *	  is that of the step before or behind it; test/t/009_faults.pl goes through all names that it
 *	  finds in the source. Two settings, for superusers:
 *
 *	  ann.fault			name:N, the N-th pass of this process over that point from now on; name:*,
 *						each of them; several, separated by commas: the last one counts from where
 *						those before it were passed, in this order
 *	  ann.fault_action	error: raises one; crash: flushes what the process has logged so far and
 *						kills it, as a failing server would; wait: until no other session holds
 *						advisory lock N, the number of the pass; cancel: asks the process to, see
 *						ann.fault_interrupt
 *
 *	  allocation:N fails the N-th allocation of memory by this library, of which the linker knows
 *	  (Makefile).
 *
 *	  How soon a statement can be cancelled is counted, not timed. The unit is a step: a basic block
 *	  of this library that the process executes; the server's own functions have none.
 *
 *	  ann.fault_interrupt	the step, from now on or (action cancel) from the point on, at which
 *							the process is asked to cancel; 0: none
 *	  ann.fault_steps		shows the steps since then; how many of them a transaction went on after
 *							it had been asked; the pass over the point after which that was; the
 *							number of passes; and the steps at each of the first
 */
#ifndef ANN_FAULTPOINT_H
#define ANN_FAULTPOINT_H

#ifdef ANN_FAULTS

#define ANN_FAULT(name) ann_fault(name)
#define ANN_UNLOCKED(name) ann_fault_unlocked(name)

/* Defines the settings: for _PG_init. */
extern void ann_fault_init(void);
/* Passes over a point. */
extern void ann_fault(const char *name);
/* Passes over one where no lock of a page may be held: an error if one is. */
extern void ann_fault_unlocked(const char *name);

#else

#define ANN_FAULT(name) ((void) 0)
#define ANN_UNLOCKED(name) ((void) 0)
#define ann_fault_init() ((void) 0)

#endif

#endif
