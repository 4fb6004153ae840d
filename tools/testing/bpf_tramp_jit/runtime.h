/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _BPF_TRAMP_JIT_RUNTIME_H
#define _BPF_TRAMP_JIT_RUNTIME_H

#define EVENTS_MAX	32

/* A run of a program */
struct event {
	int prog;
	int is_return;
	int nr_args;
	int cookie_slot;
	unsigned long ip;
	unsigned long ret;
	unsigned long cookie;
	unsigned long session_cookie;
	unsigned long args[ARG_SLOTS_MAX];
};

extern struct event events[EVENTS_MAX];
extern int nr_events;			/* more than EVENTS_MAX: programs were mixed up */
extern int light;			/* programs count only, for measuring */
extern unsigned long light_calls;
extern long target_refs;		/* images that were entered when the function ran */
long refs_sum(void);
extern void (*hook)(void);		/* called in the function */

#endif /* _BPF_TRAMP_JIT_RUNTIME_H */
