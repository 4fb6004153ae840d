// SPDX-License-Identifier: GPL-2.0-only
/* Entries of traced functions */
#include "test.h"

#define INSN_NOP	0xd503201f
#define INSN_BTI_C	0xd503245f
#define INSN_MOV_X9_LR	0xaa1e03e9

static struct direct site_direct[NR_SITES];

static u32 insn_branch(u32 opcode, const void *from, const void *to)
{
	if (!in_reach(from, to)) {
		fprintf(stderr, "a branch from %p to %p\n", from, to);
		exit(2);
	}
	return opcode | (((to - from) / 4) & 0x3ffffff);
}

static void site_put(unsigned int i, u32 insn)
{
	u32 *p = (u32 *)sites[i].ip;

	*p = insn;
	__builtin___clear_cache((char *)p, (char *)(p + 1));
}

/* Where bl does not reach, or ftrace wants it so, ftrace_caller() branches there. */
static void site_patch(unsigned int i, const void *dest, bool jmp)
{
	const void *from = (void *)sites[i].ip;

	site_direct[i].call = dest;
	if ((config->flags & BY_FTRACE) || !in_reach(from, dest))
		dest = ftrace_caller;
	site_put(i, insn_branch(0x94000000, from, dest));
}

static void site_reset(unsigned int i)
{
	site_put(i, INSN_NOP);
}

/*
 * As with -fpatchable-function-entry: literal for ftrace_caller(); bti c; mov x9,
 * lr; nop; mov x16, i; b target; for costs: add x0, x0, x1; add x0, x0, i; ret
 */
static void site_make(unsigned int i, unsigned char *mem, bool small)
{
	u32 *p = (u32 *)(mem + sizeof(u64));

	*(u64 *)mem = (u64)&site_direct[i];
	sites[i].func = (unsigned long)p;
	if (jit_bti())
		*p++ = INSN_BTI_C;
	*p++ = INSN_MOV_X9_LR;
	sites[i].ip = (unsigned long)p;
	*p++ = INSN_NOP;
	if (small) {
		*p++ = 0x8b010000;
		*p++ = 0x91000000 | i << 10;
		*p++ = 0xd65f03c0;
		return;
	}
	*p++ = 0xd2800010 | i << 5;
	*p = insn_branch(0x14000000, p, target);
}
