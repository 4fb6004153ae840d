/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _BPF_TRAMP_JIT_CALL_H
#define _BPF_TRAMP_JIT_CALL_H

/* Offsets in struct call, for call.S */
#define CALL_FN		0
#define CALL_REGS	8
#define CALL_STACK	(CALL_REGS + 6 * 8)
#define CALL_RET	(CALL_STACK + 12 * 8)
#define CALL_SAVED	(CALL_RET + 8)
#define CALL_RSP	(CALL_SAVED + 6 * 8)

#ifndef __ASSEMBLER__

/* A call of a traced function: what it is given and what comes back */
struct call {
	unsigned long fn;
	unsigned long regs[6];
	unsigned long stack[12];
	unsigned long ret;
	unsigned long saved[6];		/* rbx, rbp, r12 to r15 after the call */
	unsigned long rsp[2];		/* before and after */
};

/* What the function itself has seen; its body jumps to target() with its number
 * in r10.
 */
struct seen {
	unsigned long nr;
	unsigned long regs[6];
	unsigned long stack[12];
	unsigned long rsp;
	unsigned long calls;
};

extern struct seen seen;
extern unsigned long target_ret;
extern int call_depth;

void do_call(struct call *call);
void target(void);
void target_hook(void);
void return_thunk(void);

#endif /* __ASSEMBLER__ */

#endif /* _BPF_TRAMP_JIT_CALL_H */
