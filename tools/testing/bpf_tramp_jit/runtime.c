// SPDX-License-Identifier: GPL-2.0-only
/*
 * What bodies call: entering and leaving programs and functions, and the
 * programs, which record what they are given.
 */
#include <stdio.h>
#include <string.h>
#include <linux/compiler.h>

#include "call.h"
#include "jit.h"
#include "runtime.h"

struct event events[EVENTS_MAX];
int nr_events;
int nr_missed[JIT_PROGS_MAX];
int nr_resched;
long target_refs;
struct jit_image target_images[NR_TARGETS];
bool target_in_frame;
static int prog;
static int prog_has_session_cookie;
static void *prog_ctx;
void (*hook)(void);

long refs_sum(void)
{
	long sum = 0;
	int i;

	for (i = 0; i < nr_refs; i++)
		sum += refs[i];
	return sum;
}

FROM_JIT unsigned long long runtime_enter(void *p, void *run_ctx)
{
	from_jit_returns();
	if (preempt_disabled())
		nr_events = EVENTS_MAX + 1;
	prog = jit_prog_index(p);
	prog_has_session_cookie = jit_prog_has_session_cookie(p);
	prog_ctx = run_ctx;
	return 1;
}

FROM_JIT void runtime_exit(void *p, unsigned long long start, void *run_ctx)
{
	from_jit_returns();
	if (start != 1 || prog != jit_prog_index(p) || prog_ctx != run_ctx)
		nr_events = EVENTS_MAX + 1;
}

FROM_JIT void __bpf_tramp_enter(void *im)
{
	from_jit_returns();
	++*jit_refs(im);
}

FROM_JIT void __bpf_tramp_exit(void *im)
{
	from_jit_returns();
	--*jit_refs(im);
}

/* The layout that bpf_get_func_arg(), bpf_get_func_ip() and others go by. */
static void run_prog(unsigned long long *ctx)
{
	struct event *e = &events[nr_events];
	int i;

	if (nr_events >= EVENTS_MAX)
		return;
	nr_events++;
	memset(e, 0, sizeof(*e));
	e->prog = prog;
	e->cookie = ctx[-3];
	e->data = ctx[-4];
	e->nr_args = ctx[-1] & 0xff;
	e->is_return = ctx[-1] >> 63;
	/* those without find what was left by others */
	e->cookie_slot = prog_has_session_cookie ? ctx[-1] >> 8 & 0xff : 0;
	e->ip = ctx[-2];
	for (i = 0; i < e->nr_args && i < ARG_SLOTS_MAX; i++)
		e->args[i] = ctx[i];
	e->ret = ctx[e->nr_args];
	if (e->cookie_slot) {
		e->session_cookie = ctx[-(int)e->cookie_slot];
		ctx[-(int)e->cookie_slot] = 0x5e551000 + prog;
	}
}

FROM_JIT unsigned int runtime_prog(unsigned long long *ctx, void *insns)
{
	void *running;

	from_jit_returns();
	running = jit_light_running();
	if (running) {
		prog = jit_prog_index(running);
		prog_has_session_cookie = jit_prog_has_session_cookie(running);
	}
	if (preempt_disabled() != !!running)
		nr_events = EVENTS_MAX + 1;
	run_prog(ctx);
	return 0;
}

FROM_JIT unsigned int runtime_unguarded(unsigned long long *ctx, void *insns)
{
	from_jit_returns();
	if (jit_light_running())
		nr_events = EVENTS_MAX + 1;
	prog = jit_unguarded();
	prog_has_session_cookie = 0;
	run_prog(ctx);
	return 0;
}

FROM_JIT void runtime_missed(void *p)
{
	from_jit_returns();
	if (preempt_disabled() != 1)
		nr_events = EVENTS_MAX + 1;
	nr_missed[jit_prog_index(p)]++;
}

FROM_JIT void runtime_resched(void)
{
	from_jit_returns();
	if (preempt_disabled())
		nr_events = EVENTS_MAX + 1;
	nr_resched++;
	resched_done();
}

/* Has the stack between the function and its caller an address of the image? */
static bool stack_has(const struct jit_image *image)
{
	const unsigned long *word, *end = (void *)current_call->sp[0];

	/* but for the return address, which a tracer may replace */
	for (word = (void *)(seen.sp + RETURN_ADDR_SIZE); word < end; word++)
		if (*word - (unsigned long)image->addr < image->size)
			return true;
	return false;
}

FROM_JIT void target_hook(void)
{
	target_refs = refs_sum();
	target_in_frame = stack_has(&target_images[seen.nr]);
	if (hook)
		hook();
}
