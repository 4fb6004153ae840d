// SPDX-License-Identifier: GPL-2.0-only
/* How functions are called, and what is checked of it beyond what is common */
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "test.h"

/* Sites branch to ftrace_caller() even if a trampoline is in reach. */
#define BY_FTRACE	1
/* The processor has atomic instructions. */
#define LSE		2

static const struct config configs[] = {
	{ "all in reach" },
	{ "by way of ftrace_caller", BY_FTRACE },
	{ "with atomic instructions", LSE },
	{ "images out of reach", .gate = EXEC_LOW, .thunk = EXEC_LOW,
	  .image = { EXEC_HIGH, EXEC_LOW } },
	{ "gates out of reach of thunks", .gate = EXEC_HIGH, .thunk = EXEC_LOW,
	  .image = { EXEC_HIGH, EXEC_LOW } },
	{ "out of reach of functions", .site = EXEC_LOW, .gate = EXEC_HIGH, .thunk = EXEC_HIGH,
	  .image = { EXEC_HIGH, EXEC_LOW } },
};

static bool in_reach(const void *from, const void *to)
{
	return to - from >= -(128L << 20) && to - from < 128L << 20;
}

/* The program is at 96 MiB, with this behind its code. */
static char room[112 << 20] __aligned(1 << 16);

void *exec_addr(enum exec_area area)
{
	switch (area) {
	case EXEC_LOW:
		return (void *)(4UL << 20);
	case EXEC_HIGH:
		return room + sizeof(room) - EXEC_SIZE;
	default:
		return room;
	}
}

/* Is what is to be out of reach so, and the rest not? */
static void arch_config(void)
{
	void *low = exec_addr(EXEC_LOW), *near = exec_addr(EXEC_NEAR), *high = exec_addr(EXEC_HIGH);

	jit_set_lse(config->flags & LSE);
	CHECK(!in_reach(low + EXEC_SIZE, high), "low to high");
	CHECK(in_reach(low, near + EXEC_SIZE), "low to near");
	CHECK(in_reach(near, high + EXEC_SIZE), "near to high");
	CHECK(in_reach(low, target), "low to the program");
	CHECK(in_reach(high + EXEC_SIZE, target), "high to the program");
}

/* Code that was made for BTI is checked for it if this processor can. */
int exec_prot(void)
{
	return jit_bti() && (getauxval(AT_HWCAP2) & HWCAP2_BTI) ? PROT_BTI : 0;
}

/* Returns: nonzero if the instruction was one of those that the kernel may execute. */
int emulate(void *context)
{
	mcontext_t *mc = &((ucontext_t *)context)->uc_mcontext;
	u32 insn = *(u32 *)mc->pc;
	unsigned long val;

	if (!jit_sysreg(insn, &val))
		return 0;
	mc->regs[insn % 32] = val;
	mc->pc += sizeof(insn);
	return 1;
}

/* With the first argument that is on the stack all that follow are. */
static bool arg_in_regs(const struct args *a, int slots)
{
	return !a->nr_stack && a->nr_regs + slots <= NR_ARG_REGS;
}

/* What is left of its last slot is garbage, which programs do not see. */
static void arg_on_stack(struct args *a, u8 size)
{
	if (size % 8)
		a->ctx[a->nr - 1] &= ~0UL >> (64 - size % 8 * 8);
}

/* What call.S has put into the registers that a call leaves as they are */
static const u64 saved_values[NR_SAVED] = {
	X18_VALUE, 0x1919, 0x2020, 0x2121, 0x2222, 0x2323, 0x2424, 0x2525, 0x2626, 0x2727,
	0x2828, NR_STACK_SLOTS * 8
};

/* As programs see it: a constant is taken for an address of the kernel. */
static u64 func_ip(bool shared, u32 fn)
{
	return shared ? sites[fn].func : sites[fn].func | 0xffffUL << 48;
}

static const char *bad_frames;

/* Frame records are of the function at its entry, and of its caller. */
void check_frames(const unsigned long *fp, unsigned long sp)
{
	const unsigned long *caller = (void *)current_call->sp[0] + NR_STACK_SLOTS * 8;
	const unsigned long *func = (void *)fp[0];

	if (fp[1] != current_call->fn + (jit_bti() ? 12 : 8))
		bad_frames = "not the function";
	else if (func[1] != (unsigned long)call_return)
		bad_frames = "not its caller";
	else if ((void *)func[0] != caller)
		bad_frames = "not its caller's frame";
	else if (sp % 16)
		bad_frames = "stack not aligned";
}

/* Branches to an image may be by register, where it is out of reach. */
static void check_image(const struct jit_image *image)
{
}

static void check_arch(const struct variant *v, const struct args *a)
{
	const struct seen_more *more = &seen.more;
	bool returns = more->lr == (unsigned long)call_return;

	CHECK(!bad_frames, "%s", bad_frames);
	CHECK(seen.sp % 16 == 0, "function's stack is not aligned: %lx", seen.sp);
	CHECK(more->x8 == X8_VALUE, "x8: %lx", more->x8);
	CHECK(more->x18 == X18_VALUE, "x18: %lx", more->x18);
	CHECK(returns == !v->calls_orig, "function returns to %lx", more->lr);
	if (v->calls_orig)
		return;
	CHECK(seen.sp == a->call.sp[0], "function's stack off by %ld", a->call.sp[0] - seen.sp);
	CHECK(more->fp == a->call.sp[0] + NR_STACK_SLOTS * 8, "x29: %lx", more->fp);
}

#define NEAR_UNIT	64
#define NEAR_BLOCK	(64 << 10)
#define NEAR_BLOCKS	256

/* Memory in reach is mapped and unmapped by blocks, and no more of it than may be. */
static void check_near(void)
{
	static void *mem[NEAR_BLOCK / NEAR_UNIT];
	void *more;
	int i, nr;

	for (i = 0; i < ARRAY_SIZE(mem); i++) {
		mem[i] = near_alloc(i % NEAR_UNIT + 1);
		CHECK(mem[i] == mem[0] + i * NEAR_UNIT, "unit %d", i);
	}
	CHECK(near_maps.live == 1, "%d blocks for one", near_maps.live);
	more = near_alloc(1);
	CHECK(more && near_maps.live == 2, "%d blocks for two", near_maps.live);

	/* the last one stays */
	for (i = 0; i < ARRAY_SIZE(mem); i++)
		CHECK(near_free(mem[i], i % NEAR_UNIT + 1), "unit %d", i);
	CHECK(near_maps.live == 1, "%d blocks after one is empty", near_maps.live);
	CHECK(!near_free(mem[0], 1) && !near_free(&more, 1), "other memory was freed");
	CHECK(near_free(more, 1), "not freed");
	CHECK(near_maps.live == 1, "%d blocks after all are empty", near_maps.live);

	/* the end of a block, and more than one */
	mem[0] = near_alloc(NEAR_BLOCK - NEAR_UNIT);
	mem[1] = near_alloc(2 * NEAR_UNIT);
	CHECK(mem[1] < mem[0] || mem[1] >= mem[0] + NEAR_BLOCK, "beyond the block");
	mem[2] = near_alloc(NEAR_BLOCK + 1);
	CHECK(mem[2] && near_maps.live == 3, "%d blocks for three", near_maps.live);
	near_free(mem[1], 2 * NEAR_UNIT);
	near_free(mem[2], NEAR_BLOCK + 1);

	/* Where there is none that is not found out each time. */
	near_maps.far = 1;
	nr = near_maps.nr;
	for (i = 0; i < 100; i++)
		CHECK(!near_alloc(NEAR_BLOCK), "out of reach");
	CHECK(near_maps.nr == nr + 1, "%d maps for one", near_maps.nr - nr);
	CHECK(near_alloc(NEAR_UNIT) == mem[0] + NEAR_BLOCK - NEAR_UNIT, "what is free");
	near_free(mem[0] + NEAR_BLOCK - NEAR_UNIT, NEAR_UNIT);
	near_wait();
	CHECK(!near_alloc(NEAR_BLOCK), "out of reach");
	CHECK(near_maps.nr == nr + 2, "%d maps for two", near_maps.nr - nr);
	near_maps.far = 0;
	CHECK(!near_alloc(NEAR_BLOCK), "tried too early");
	near_wait();

	for (nr = 1; nr <= NEAR_BLOCKS && (more = near_alloc(NEAR_BLOCK)); nr++)
		mem[nr] = more;
	CHECK(nr == NEAR_BLOCKS && near_maps.live == nr, "%d blocks", nr);
	/* when there is place again that is known */
	near_free(mem[1], NEAR_BLOCK);
	mem[1] = near_alloc(NEAR_BLOCK);
	CHECK(mem[1] && near_maps.live == nr, "no place after one was freed");
	for (i = 1; i < nr; i++)
		near_free(mem[i], NEAR_BLOCK);
	CHECK(near_maps.live == 1, "%d blocks are left", near_maps.live);
}
