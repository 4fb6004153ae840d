// SPDX-License-Identifier: GPL-2.0-only
/* How functions are called, and what is checked of it beyond what is common */
#include "test.h"

static const struct config configs[] = {
	{ "no mitigations", 0 },
	{ "IBT", JIT_IBT },
	{ "retpolines", JIT_RETPOLINE },
	{ "LFENCE retpolines", JIT_LFENCE },
	{ "return thunks", JIT_RETHUNK | JIT_RETPOLINE },
	{ "call depth tracking", JIT_CALL_DEPTH | JIT_RETHUNK | JIT_RETPOLINE },
	{ "IBT and call depth tracking", JIT_IBT | JIT_CALL_DEPTH | JIT_RETHUNK },
};

static void arch_config(void)
{
	jit_set_features(config->flags);
}

static bool arg_in_regs(const struct args *a, int slots)
{
	return a->nr_regs + slots <= NR_ARG_REGS;
}

/* Of a single stack slot the upper half is garbage. */
static void arg_on_stack(struct args *a, u8 size)
{
	memset(a->mask, 0xff, sizeof(a->mask));
	if (a->nr_stack == 1 && size <= 4)
		a->mask[a->nr - 1] = 0xffffffff;
}

/* What call.S has put into the registers that a call leaves as they are */
static const u64 saved_values[NR_SAVED] = {
	0xb0b0b0b0, 0xb1b1b1b1, 0xc2c2c2c2, 0xc3c3c3c3, 0xc4c4c4c4, 0xc5c5c5c5,
};

/* As programs see it */
static u64 func_ip(bool shared, u32 fn)
{
	return sites[fn].func;
}

/*
 * All branches to the image of a set are direct, also those to its exit. A landing pad
 * would only be of use to an attacker: what is there trusts rbp.
 */
static void check_image(const struct jit_image *image)
{
	static const u8 endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	int i;

	if (!(config->flags & JIT_IBT))
		return;
	for (i = 0; i + (int)sizeof(endbr64) <= image->size; i++)
		CHECK(memcmp(image->addr + i, endbr64, sizeof(endbr64)), "ENDBR at %d", i);
}

static void check_arch(const struct variant *v, const struct args *a)
{
	/*
	 * The dedicated ones that call the function account for a call too many:
	 * they are entered by jmp, or do not return from it.
	 */
	int want = !v->shared && v->calls_orig;

	if (config->flags & JIT_CALL_DEPTH)
		CHECK(call_depth == want, "call depth off by %d", call_depth - want);
	call_depth = 0;
}

static void check_near(void)
{
}
