/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _BPF_TRAMP_JIT_RUNTIME_H
#define _BPF_TRAMP_JIT_RUNTIME_H

#define EVENTS_MAX	64
#define NR_TARGETS	4

/* A run of a program */
struct event {
	int prog;
	int is_return;
	int nr_args;
	int cookie_slot;
	unsigned long ip;
	unsigned long ret;
	unsigned long cookie;
	unsigned long data;
	unsigned long session_cookie;
	unsigned long args[ARG_SLOTS_MAX];
};

extern struct event events[EVENTS_MAX];
extern int nr_events;			/* more than EVENTS_MAX: programs were mixed up */
extern int nr_missed[JIT_PROGS_MAX];	/* calls that light programs have missed */
extern int nr_resched;			/* times that another task was to run */
extern long target_refs;		/* images that were entered when the function ran */
extern struct jit_image target_images[NR_TARGETS];	/* what functions are traced by */
extern bool target_in_frame;		/* the stack had an address of that, then */
long refs_sum(void);
extern void (*hook)(void);		/* called in the function */

unsigned int runtime_prog(unsigned long long *ctx, void *insns);
unsigned int runtime_unguarded(unsigned long long *ctx, void *insns);

#endif /* _BPF_TRAMP_JIT_RUNTIME_H */
