// SPDX-License-Identifier: GPL-2.0-only
/*
 * A block of thunks says by arch_bpf_thunks_ksym() where rbp is the trampoline's frame.
 * This calls functions by thunks in single steps. Before each instruction it checks what
 * the block says of the byte that the kernel's unwinder would look up there.
 *
 * That is the interrupted instruction, if it is of a thunk or the gate, or the byte
 * before the return address. The latter is at the top of the stack in functions that
 * have pushed nothing yet, and in return thunks.
 */
#include <ucontext.h>
#include <x86intrin.h>

#include <linux/bits.h>

#include "test.h"

#define EFLAGS_TF	BIT(8)

static struct {
	unsigned long block;		/* of thunks, with the gate */
	unsigned long size;
	unsigned long offsets;		/* of thunks and gate: what was looked up */
} steps;

static bool in_block(unsigned long addr)
{
	return addr - steps.block < steps.size;
}

static bool returns_by_top(unsigned long ip)
{
	return ip - (unsigned long)return_thunk < return_thunk_end - return_thunk ||
	       ip - sites[0].func < NR_SITES * SITE_SIZE || ip == (unsigned long)target;
}

static void look_up(unsigned long addr, bool has_frame)
{
	unsigned long offset = addr - steps.block;

	CHECK(jit_thunks_frame(offset) == has_frame, "byte %lu: %s frame",
	      offset % jit_thunk_size(), has_frame ? "not known to have a" : "has no");
	steps.offsets |= BIT(offset % jit_thunk_size());
}

/* SIGTRAP: the processor is about to execute the next instruction. */
static void stepped(int sig, siginfo_t *info, void *context)
{
	const greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	const unsigned long *sp = (void *)regs[REG_RSP];
	/* The frame is below the function's return address. */
	bool has_frame = (unsigned long)regs[REG_RBP] + 16 == current_call->sp[0];

	CHECK(info->si_code == TRAP_TRACE, "int3");
	if (in_block(regs[REG_RIP]))
		look_up(regs[REG_RIP], has_frame);
	else if (returns_by_top(regs[REG_RIP]) && in_block(*sp))
		look_up(*sp - 1, has_frame);
}

static void call_in_steps(const struct model *m, u32 fn)
{
	struct sigaction sa = { .sa_sigaction = stepped, .sa_flags = SA_ONSTACK | SA_SIGINFO };
	struct sigaction old;
	struct args a;

	args_make(m, &a);
	a.call.fn = sites[fn].func;
	current_call = &a.call;
	nr_events = 0;
	nr_calls++;
	sigaction(SIGTRAP, &sa, &old);
	__writeeflags(__readeflags() | EFLAGS_TF);
	do_call(&a.call);
	__writeeflags(__readeflags() & ~EFLAGS_TF);
	sigaction(SIGTRAP, &old, NULL);
	CHECK(nr_events && nr_events <= EVENTS_MAX, "%d runs of programs", nr_events);
}

static void run_unwind(const struct variant *variant, const struct model *m, bool light)
{
	/*
	 * The thunk's instructions, its return address for the function, and the two
	 * jumps of the gate
	 */
	unsigned long want = BIT(0) | BIT(5) | BIT(9) | BIT(10) | BIT(16);
	u32 fn = rnd() % NR_TARGETS;
	struct variant v = *variant;
	struct jit_image image;
	struct thunks thunks;
	struct jit_spec spec;

	/* and that for the trampoline, which returns in a return thunk */
	if (config->flags & JIT_RETHUNK)
		want |= BIT(4);
	v.light = light;
	spec_init(&spec, &v, m);
	CHECK(!jit_generate(&spec, &image), "no image");
	thunks_make(&thunks, &image, NR_SITES);
	steps.block = (unsigned long)thunks.gate;
	steps.size = (1 + NR_SITES) * jit_thunk_size();
	steps.offsets = 0;
	site_patch(fn, thunk_make(&thunks, true, fn), true);
	call_in_steps(m, fn);
	site_reset(fn);
	CHECK(steps.offsets == want, "bytes %lx were looked up instead of %lx", steps.offsets,
	      want);
	call_depth = 0;
	exec_reset();
}

static void test_unwind(void)
{
	char name[128];
	struct model m;
	u32 f, v;

	for (f = 0; f < ARRAY_SIZE(configs); f++) {
		config_use(&configs[f]);
		snprintf(name, sizeof(name), "frames in thunks, %s", configs[f].name);
		test_name = name;
		for (v = 0; v < ARRAY_SIZE(variants); v++) {
			if (!variants[v].shared || !variants[v].calls_orig)
				continue;
			model_rnd(&m);
			case_model(&m);
			run_unwind(&variants[v], &m, false);
			run_unwind(&variants[v], &m, true);
		}
		pass();
	}
}
