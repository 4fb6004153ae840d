/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _BPF_TRAMP_JIT_CALL_H
#define _BPF_TRAMP_JIT_CALL_H

#include "arch.h"

/* Offsets in struct call, for call.S */
#define CALL_FN		0
#define CALL_REGS	8
#define CALL_STACK	(CALL_REGS + NR_ARG_REGS * 8)
#define CALL_RET	(CALL_STACK + NR_STACK_SLOTS * 8)
#define CALL_SAVED	(CALL_RET + 8)
#define CALL_SP		(CALL_SAVED + NR_SAVED * 8)

/* and in struct seen */
#define SEEN_NR		0
#define SEEN_REGS	8
#define SEEN_STACK	(SEEN_REGS + NR_ARG_REGS * 8)
#define SEEN_SP		(SEEN_STACK + NR_STACK_SLOTS * 8)
#define SEEN_CALLS	(SEEN_SP + 8)
#define SEEN_MORE	(SEEN_CALLS + 8)

#ifndef __ASSEMBLER__

/* A call of a traced function: what it is given and what comes back */
struct call {
	unsigned long fn;
	unsigned long regs[NR_ARG_REGS];
	unsigned long stack[NR_STACK_SLOTS];
	unsigned long ret;
	unsigned long saved[NR_SAVED];	/* registers after the call */
	unsigned long sp[2];		/* before and after */
};

/* What the function itself has seen; its body jumps to target() with its number
 * in a register.
 */
struct seen {
	unsigned long nr;
	unsigned long regs[NR_ARG_REGS];
	unsigned long stack[NR_STACK_SLOTS];
	unsigned long sp;
	unsigned long calls;
	struct seen_more more;		/* the architecture's */
};

extern struct seen seen;
extern unsigned long target_ret;
extern struct call *current_call;

void do_call(struct call *call);
void target(void);
void target_hook(void);

#endif /* __ASSEMBLER__ */

#endif /* _BPF_TRAMP_JIT_CALL_H */
