/* SPDX-License-Identifier: GPL-2.0-only */
/* What the test has to know of x86-64 */
#ifndef _BPF_TRAMP_JIT_ARCH_H
#define _BPF_TRAMP_JIT_ARCH_H

#define NR_ARG_REGS	6
#define NR_STACK_SLOTS	12
#define RETURN_ADDR_SIZE	8	/* on the stack of a function */
#define NR_SAVED	6		/* rbx, rbp, r12 to r15 */

#ifndef __ASSEMBLER__

/* The stack pointer at a function's start, modulo 16 */
#define SEEN_SP_ALIGN	8

/* of a model: registers and stack slots, and of its arguments */
#define ARG_SLOTS_MAX	12
#define ARG_SIZES	{ 1, 2, 4, 8, 8, 8, 12, 16 }

/* Sites branch by jmp to trampolines that call the function. */
#define SITE_JMP	1
/* Trampolines of functions are in no memory of their own. */
#define HAS_NEAR	0
/* Light programs run without calls. */
#define HAS_LIGHT	1

/* Where code is: the JIT refers to all of it by 32 bits. */
enum exec_area {
	EXEC_NEAR,
	EXEC_AREAS
};

static inline void *exec_addr(enum exec_area area)
{
	return NULL;
}

#define EXEC_SIZE	(256UL << 20)
#define EXEC_PROT	0
#define EXEC_FLAGS	MAP_32BIT

/* Mitigations that the JIT asks for */
enum jit_feature {
	JIT_IBT		= 1 << 0,
	JIT_RETPOLINE	= 1 << 1,
	JIT_LFENCE	= 1 << 2,
	JIT_RETHUNK	= 1 << 3,
	JIT_CALL_DEPTH	= 1 << 4,
};

struct seen_more {
};

extern int call_depth;

void return_thunk(void);
void return_thunk_end(void);

/* stubs.c */
void jit_set_features(unsigned int features);
int preempt_disabled(void);
void resched_due(void);
void resched_done(void);
int resched_nothing(void);

/*
 * What the JIT's code calls: it does not keep the stack aligned as user space
 * wants it.
 */
#define FROM_JIT	__attribute__((force_align_arg_pointer))

static inline void from_jit_returns(void)
{
	call_depth--;
}

static inline int emulate(void *context)
{
	return 0;
}

#endif /* __ASSEMBLER__ */

#endif /* _BPF_TRAMP_JIT_ARCH_H */
