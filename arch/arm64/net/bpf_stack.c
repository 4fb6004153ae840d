// SPDX-License-Identifier: GPL-2.0-only
/*
 * What kernel/bpf/trampoline_wait.c has to know of stacks, to find frames of shared
 * trampolines.
 */
#include <linux/bpf.h>
#include <linux/compiler.h>
#include <linux/sched.h>
#include <linux/thread_info.h>

#include <asm/irq_regs.h>

/**
 * arch_bpf_task_sp - where the stack of a task begins
 * @t: the task, which does not run
 *
 * Return: the stack pointer at its last switch.
 */
unsigned long arch_bpf_task_sp(const struct task_struct *t)
{
	return READ_ONCE(t->thread.cpu_context.sp);
}

/**
 * arch_bpf_irq_sp - where the stack of the interrupted task begins
 *
 * Context: hardirq
 * Return: the stack pointer, not above the saved registers; 0 if it is not known, or
 *         not on the task's stack.
 */
unsigned long arch_bpf_irq_sp(void)
{
	return (unsigned long)get_irq_regs();
}

/**
 * arch_bpf_stack_addr - address of code in a word on a stack
 * @word: the word, which may be a return address with an authentication code
 *
 * Return: the address, if @word has one.
 */
unsigned long arch_bpf_stack_addr(unsigned long word)
{
	return ptrauth_strip_kernel_insn_pac(word);
}
