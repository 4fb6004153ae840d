/* SPDX-License-Identifier: GPL-2.0-only */
/* What the test has to know of arm64 */
#ifndef _BPF_TRAMP_JIT_ARCH_H
#define _BPF_TRAMP_JIT_ARCH_H

#define NR_ARG_REGS	8
#define NR_STACK_SLOTS	24
#define RETURN_ADDR_SIZE	0	/* on the stack of a function */
#define NR_SAVED	12		/* x18 to x29 */

/* what x8 and x18 are when a function is called */
#define X8_VALUE	0x8080
#define X18_VALUE	0x1818

#ifndef __ASSEMBLER__

/* The stack pointer at a function's start, modulo 16 */
#define SEEN_SP_ALIGN	0

/* of a model: registers and stack slots, and of its arguments */
#define ARG_SLOTS_MAX	24
#define ARG_SIZES	{ 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 8, 9, 10, 11, 12, 13, 14, 15, 16, 16 }

/* Sites branch by bl to all trampolines. */
#define SITE_JMP	0
/* Trampolines of functions are in memory of their own. */
#define HAS_NEAR	1
/* Light programs run without calls. */
#define HAS_LIGHT	1

/*
 * Where code is: all reaches the program's own and EXEC_NEAR, EXEC_LOW does not
 * reach EXEC_HIGH.
 */
enum exec_area {
	EXEC_NEAR,
	EXEC_LOW,
	EXEC_HIGH,
	EXEC_AREAS
};

#define EXEC_SIZE	(16UL << 20)
#define EXEC_PROT	exec_prot()
#define EXEC_FLAGS	MAP_FIXED

/* abi.c */
void *exec_addr(enum exec_area area);
int exec_prot(void);

struct seen_more {
	unsigned long x8;
	unsigned long x18;
	unsigned long fp;
	unsigned long lr;
};

/* What ftrace_caller() takes a site's direct call from */
struct direct {
	const void *call;
};

/* stubs.c */
int jit_bti(void);
void jit_set_lse(int on);
int jit_sysreg(unsigned int insn, unsigned long *val);
int preempt_disabled(void);
void resched_due(void);
void resched_done(void);

/* near.c */
extern struct near_maps {
	int nr;				/* of all that were made */
	int live;
	int far;			/* the next ones are out of reach */
} near_maps;

void *near_alloc(unsigned int size);
int near_free(void *mem, unsigned int size);
void near_wait(void);

/* call.S */
void call_return(void);
void ftrace_caller(void);

/* abi.c: what only the kernel may execute */
int emulate(void *context);

/* abi.c, checks the trampoline that calls something */
void check_frames(const unsigned long *fp, unsigned long sp);

/* call.S wraps what the JIT's code calls. */
#define FROM_JIT

static inline void from_jit_returns(void)
{
}

#endif /* __ASSEMBLER__ */

#endif /* _BPF_TRAMP_JIT_ARCH_H */
