// SPDX-License-Identifier: GPL-2.0-only
/*
 * What bodies call: entering and leaving programs and functions, and the
 * programs, which record what they are given. The kernel's code does not keep
 * the stack aligned as user space wants it, so these do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <linux/compiler.h>

#include "call.h"
#include "jit.h"
#include "runtime.h"

#define ALIGN_STACK	__attribute__((force_align_arg_pointer))

struct event events[EVENTS_MAX];
int nr_events;
long refs;
int light;
unsigned long light_calls;
static int prog;
static int prog_has_session_cookie;
static void *prog_ctx;
void (*hook)(void);

void *exec_alloc(unsigned long size)
{
	static char *at, *end;
	char *mem;

	size = (size + 63) & ~63UL;
	if (end - at < (long)size) {
		unsigned long len = size > 1 << 22 ? size : 1 << 22;

		at = mmap(NULL, len, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
		if (at == MAP_FAILED) {
			perror("mmap");
			exit(2);
		}
		end = at + len;
	}
	mem = at;
	at += size;
	return mem;
}

/* Memory for the JIT, which is not freed */

ALIGN_STACK void *__kvmalloc_node_noprof(unsigned long size)
{
	return exec_alloc(size);
}

ALIGN_STACK void *execmem_alloc(int type, unsigned long size)
{
	return exec_alloc(size);
}

void kfree(const void *mem)
{
}

void kvfree(const void *mem)
{
}

void execmem_free(void *mem)
{
}

/*
 * For measuring: what these do in a kernel with CONFIG_PREEMPT_RCU where no one
 * asks for statistics, with the same calls, memory accesses and branches.
 */
static struct {
	unsigned long preempt;
	unsigned long pinned;
	unsigned int stats;
	struct {
		unsigned short migration;
		int rcu;
		int rcu_special;
		void *run_ctx;
		void *cpus, *mask;
	} task;
	int active;
	unsigned long count;
} cpu;

/* of a program, and of an image: found through pointers */
static int *volatile active = &cpu.active;
static unsigned long *volatile count = &cpu.count;

/* What is not done here: scheduling, statistics. */
static noinline void unlikely_case(void)
{
	nr_events = EVENTS_MAX + 1;
}

static noinline void rcu_lock(void)
{
	cpu.task.rcu++;
	barrier();
}

static noinline void rcu_unlock(void)
{
	barrier();
	if (!--cpu.task.rcu && READ_ONCE(cpu.task.rcu_special))
		unlikely_case();
}

static void preempt_off(void)
{
	cpu.preempt++;
	barrier();
}

static void preempt_on(void)
{
	barrier();
	if (--cpu.preempt)
		unlikely_case();
}

static unsigned long long light_enter(void **run_ctx)
{
	if (cpu.task.migration) {
		cpu.task.migration++;
	} else {
		preempt_off();
		cpu.pinned++;
		cpu.task.migration = 1;
		preempt_on();
	}
	rcu_lock();
	*run_ctx = cpu.task.run_ctx;
	cpu.task.run_ctx = run_ctx;
	if ((*active)++) {
		unlikely_case();
		return 0;
	}
	if (READ_ONCE(cpu.stats))
		unlikely_case();
	return 1;
}

static void light_exit(unsigned long long start, void **run_ctx)
{
	cpu.task.run_ctx = *run_ctx;
	if (READ_ONCE(cpu.stats) && start > 1)
		unlikely_case();
	(*active)--;
	rcu_unlock();
	if (cpu.task.migration > 1) {
		cpu.task.migration--;
		return;
	}
	preempt_off();
	if (READ_ONCE(cpu.task.cpus) != cpu.task.mask)
		unlikely_case();
	cpu.task.migration = 0;
	cpu.pinned--;
	preempt_on();
}

/* percpu_ref_get() and percpu_ref_put(), for images that are not shared */
static void light_ref(long nr)
{
	unsigned long *ref;

	rcu_lock();
	ref = count;
	if ((unsigned long)ref & 3)
		unlikely_case();
	*ref += nr;
	rcu_unlock();
}

ALIGN_STACK unsigned long long runtime_enter(void *p, void *run_ctx)
{
	if (light)
		return light_enter(run_ctx);
	call_depth--;
	prog = jit_prog_index(p);
	prog_has_session_cookie = jit_prog_has_session_cookie(p);
	prog_ctx = run_ctx;
	return 1;
}

ALIGN_STACK void runtime_exit(void *p, unsigned long long start, void *run_ctx)
{
	if (light) {
		light_exit(start, run_ctx);
		return;
	}
	call_depth--;
	if (start != 1 || prog != jit_prog_index(p) || prog_ctx != run_ctx)
		nr_events = EVENTS_MAX + 1;
}

ALIGN_STACK void __bpf_tramp_enter(void *im)
{
	if (light) {
		light_ref(1);
		return;
	}
	call_depth--;
	refs++;
}

ALIGN_STACK void __bpf_tramp_exit(void *im)
{
	if (light) {
		light_ref(-1);
		return;
	}
	call_depth--;
	refs--;
}

/* The layout that bpf_get_func_arg(), bpf_get_func_ip() and others go by. */
ALIGN_STACK unsigned int runtime_prog(unsigned long long *ctx, void *insns)
{
	struct event *e = &events[nr_events];
	int i;

	if (light) {
		light_calls++;
		return 0;
	}
	call_depth--;
	if (nr_events >= EVENTS_MAX)
		return 0;
	nr_events++;
	memset(e, 0, sizeof(*e));
	e->prog = prog;
	e->refs = refs;
	e->cookie = jit_run_ctx_cookie(prog_ctx);
	e->nr_args = ctx[-1] & 0xff;
	e->is_return = ctx[-1] >> 63;
	/* those without find what was left by others */
	e->cookie_slot = prog_has_session_cookie ? ctx[-1] >> 8 & 0xff : 0;
	e->ip = ctx[-2];
	for (i = 0; i < e->nr_args && i <= JIT_ARGS_MAX; i++)
		e->args[i] = ctx[i];
	e->ret = ctx[e->nr_args];
	if (e->cookie_slot) {
		e->session_cookie = ctx[-(int)e->cookie_slot];
		ctx[-(int)e->cookie_slot] = 0x5e551000 + prog;
	}
	return 0;
}

ALIGN_STACK void target_hook(void)
{
	if (hook)
		hook();
}
