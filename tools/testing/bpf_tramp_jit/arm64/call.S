/* SPDX-License-Identifier: GPL-2.0-only */
/* Calling traced functions, and what they do: nothing that a compiler may move. */
#include "call.h"

	.arch	armv8.5-a
	.text

	.macro	addr reg, sym
	adrp	\reg, \sym
	add	\reg, \reg, :lo12:\sym
	.endm

	/* all that a function may change, but for the result and x8 */
	.macro	junk
	mov	x9, #0xdead
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17
	mov	x\n, x9
	.endr
	.endm

/* void do_call(struct call *call) */
	.globl	do_call
do_call:
	stp	x29, x30, [sp, #-96]!
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
	mov	x29, sp
	adrp	x9, current_call
	str	x0, [x9, :lo12:current_call]
	sub	sp, sp, #NR_STACK_SLOTS * 8
	mov	x9, #0
1:	add	x10, x0, x9
	ldr	x10, [x10, #CALL_STACK]
	str	x10, [sp, x9]
	add	x9, x9, #8
	cmp	x9, #NR_STACK_SLOTS * 8
	b.ne	1b
	mov	x9, sp
	str	x9, [x0, #CALL_SP]

	mov	x8, #X8_VALUE
	mov	x18, #X18_VALUE
	.irp	n, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28
	mov	x\n, #0x\n\n
	.endr
	mov	x16, x0
	ldp	x6, x7, [x16, #CALL_REGS + 48]
	ldp	x4, x5, [x16, #CALL_REGS + 32]
	ldp	x2, x3, [x16, #CALL_REGS + 16]
	ldp	x0, x1, [x16, #CALL_REGS]
	ldr	x16, [x16, #CALL_FN]
	blr	x16

	.globl	call_return
call_return:
	adrp	x9, current_call
	ldr	x9, [x9, :lo12:current_call]
	mov	x10, sp
	str	x10, [x9, #CALL_SP + 8]
	str	x0, [x9, #CALL_RET]
	stp	x18, x19, [x9, #CALL_SAVED]
	stp	x20, x21, [x9, #CALL_SAVED + 16]
	stp	x22, x23, [x9, #CALL_SAVED + 32]
	stp	x24, x25, [x9, #CALL_SAVED + 48]
	stp	x26, x27, [x9, #CALL_SAVED + 64]
	sub	x10, x29, x10
	stp	x28, x10, [x9, #CALL_SAVED + 80]
	add	sp, sp, #NR_STACK_SLOTS * 8
	mov	x29, sp
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldp	x27, x28, [sp, #80]
	ldp	x29, x30, [sp], #96
	ret

/* The body of all traced functions; x16: which */
	.globl	target
target:
	addr	x9, seen
	str	x16, [x9, #SEEN_NR]
	stp	x0, x1, [x9, #SEEN_REGS]
	stp	x2, x3, [x9, #SEEN_REGS + 16]
	stp	x4, x5, [x9, #SEEN_REGS + 32]
	stp	x6, x7, [x9, #SEEN_REGS + 48]
	mov	x10, #0
1:	ldr	x11, [sp, x10]
	add	x12, x9, x10
	str	x11, [x12, #SEEN_STACK]
	add	x10, x10, #8
	cmp	x10, #NR_STACK_SLOTS * 8
	b.ne	1b
	mov	x10, sp
	str	x10, [x9, #SEEN_SP]
	ldr	x10, [x9, #SEEN_CALLS]
	add	x10, x10, #1
	str	x10, [x9, #SEEN_CALLS]
	add	x9, x9, #SEEN_MORE
	stp	x8, x18, [x9]
	stp	x29, x30, [x9, #16]

	stp	x29, x30, [sp, #-32]!
	str	x18, [sp, #16]
	addr	x9, call_return
	cmp	x9, x30
	b.eq	2f
	mov	x0, x29
	add	x1, sp, #32
	bl	check_frames
2:	mov	x29, sp
	bl	target_hook
	ldr	x18, [sp, #16]
	junk
	mov	x8, x9
	adrp	x0, target_ret
	ldr	x0, [x0, :lo12:target_ret]
	ldp	x29, x30, [sp], #32
	ret

/* With the trampoline that a site has for its own; x9, x30: as set by the site */
	.globl	ftrace_caller
ftrace_caller:
	bti	c
	bic	x11, x30, #7
	ldr	x11, [x11, #-16]
	ldr	x17, [x11]
	.irp	n, 10, 11, 12, 13, 14, 15, 16
	mov	x\n, #0xdead
	.endr
	br	x17

/*
 * What the JIT's code calls. Addresses that it is given are taken for those of
 * the kernel, whose upper 16 bits are set. x8 is kept, which a function's caller
 * may have set: the trampoline itself has no use for it.
 */
	.macro	wrap fn, prog, result
	.globl	__wrap_\fn
__wrap_\fn:
	stp	x29, x30, [sp, #-64]!
	stp	x0, x1, [sp, #16]
	stp	x2, x8, [sp, #32]
	str	x18, [sp, #48]
	mov	x0, x29
	add	x1, sp, #64
	mov	x29, sp
	bl	check_frames
	ldp	x0, x1, [sp, #16]
	ldr	x2, [sp, #32]
	.if	\prog
	ubfx	x0, x0, #0, #48
	.endif
	bl	__real_\fn
	ldr	x8, [sp, #40]
	ldr	x18, [sp, #48]
	junk
	.if	!\result
	mov	x0, x9
	.endif
	ldp	x29, x30, [sp], #64
	ret
	.endm

	wrap	runtime_enter, prog=1, result=1
	wrap	runtime_exit, prog=1, result=0
	wrap	runtime_prog, prog=0, result=1
	wrap	runtime_unguarded, prog=0, result=1
	wrap	bpf_prog_missed, prog=1, result=0
	wrap	preempt_schedule_notrace, prog=0, result=0
	wrap	__bpf_tramp_enter, prog=0, result=0
	wrap	__bpf_tramp_exit, prog=0, result=0

	.section .note.GNU-stack, "", @progbits
