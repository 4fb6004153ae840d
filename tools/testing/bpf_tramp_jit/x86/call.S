/* SPDX-License-Identifier: GPL-2.0-only */
/* Calling traced functions, and what they do: nothing that a compiler may move. */
#include "call.h"

	.text
	.code64

/* void do_call(struct call *call) */
	.globl	do_call
do_call:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rdi, current_call
	subq	$12 * 8 + 8, %rsp
	leaq	CALL_STACK(%rdi), %rsi
	movq	%rdi, %rax
	movq	%rsp, %rdi
	movl	$12, %ecx
	cld
	rep movsq
	movq	%rsp, CALL_SP(%rax)

	movq	$0xb0b0b0b0, %rbx
	movq	$0xb1b1b1b1, %rbp
	movq	$0xc2c2c2c2, %r12
	movq	$0xc3c3c3c3, %r13
	movq	$0xc4c4c4c4, %r14
	movq	$0xc5c5c5c5, %r15
	movq	CALL_REGS + 0(%rax), %rdi
	movq	CALL_REGS + 8(%rax), %rsi
	movq	CALL_REGS + 16(%rax), %rdx
	movq	CALL_REGS + 24(%rax), %rcx
	movq	CALL_REGS + 32(%rax), %r8
	movq	CALL_REGS + 40(%rax), %r9
	incl	call_depth
	call	*CALL_FN(%rax)

	movq	current_call, %rcx
	movq	%rsp, CALL_SP + 8(%rcx)
	movq	%rax, CALL_RET(%rcx)
	movq	%rbx, CALL_SAVED + 0(%rcx)
	movq	%rbp, CALL_SAVED + 8(%rcx)
	movq	%r12, CALL_SAVED + 16(%rcx)
	movq	%r13, CALL_SAVED + 24(%rcx)
	movq	%r14, CALL_SAVED + 32(%rcx)
	movq	%r15, CALL_SAVED + 40(%rcx)
	addq	$12 * 8 + 8, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

/* The body of all traced functions; r10: which */
	.globl	target
target:
	movq	%r10, seen
	movq	%rdi, seen + 8
	movq	%rsi, seen + 16
	movq	%rdx, seen + 24
	movq	%rcx, seen + 32
	movq	%r8, seen + 40
	movq	%r9, seen + 48
	leaq	8(%rsp), %rsi
	movq	$seen + 56, %rdi
	movl	$12, %ecx
	rep movsq
	movq	%rsp, seen + 152
	incq	seen + 160
	pushq	%rbp
	movq	%rsp, %rbp
	andq	$-16, %rsp
	call	target_hook
	leave
	/* all that a function may change */
	movq	$0xdeaddead, %rcx
	movq	%rcx, %rdx
	movq	%rcx, %rsi
	movq	%rcx, %rdi
	movq	%rcx, %r8
	movq	%rcx, %r9
	movq	%rcx, %r10
	movq	%rcx, %r11
	movq	target_ret, %rax
	decl	call_depth
	ret

/* x86_return_thunk */
	.globl	return_thunk, __x86_return_thunk, return_thunk_end
return_thunk:
	decl	call_depth
__x86_return_thunk:
	ret
return_thunk_end:

	.globl	__fentry__
__fentry__:
	ret

/* Retpolines: the array that the JIT uses, and those that the compiler does. */
	.macro	retpoline reg
	.balign	32
	.globl	__x86_indirect_thunk_\reg
__x86_indirect_thunk_\reg:
	call	.Ldo_\reg
.Lspin_\reg:
	pause
	lfence
	jmp	.Lspin_\reg
.Ldo_\reg:
	movq	%\reg, (%rsp)
	ret
	.endm

	.balign	32
	.globl	__x86_indirect_thunk_array, __x86_indirect_jump_thunk_array
__x86_indirect_thunk_array:
__x86_indirect_jump_thunk_array:
	.irp	reg, rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	retpoline \reg
	.endr

	.data
	.globl	call_depth
	.balign	4
call_depth:
	.long	0

	.section .note.GNU-stack, "", @progbits
