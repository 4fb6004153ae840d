// SPDX-License-Identifier: GPL-2.0-only
/*
 * What kernel/bpf/trampoline_wait.c has to know of stacks, to find frames of shared
 * trampolines.
 */
#include <linux/bpf.h>
#include <linux/compiler.h>
#include <linux/percpu.h>
#include <linux/processor.h>
#include <linux/sched.h>

/**
 * arch_bpf_task_sp - where the stack of a task begins
 * @t: the task, which does not run
 *
 * Return: the stack pointer at its last switch.
 */
unsigned long arch_bpf_task_sp(const struct task_struct *t)
{
	return READ_ONCE(t->thread.sp);
}

/**
 * arch_bpf_irq_sp - where the stack of the interrupted task begins
 *
 * Context: hardirq
 * Return: the stack pointer, not above the saved registers; 0 if it is not known.
 */
unsigned long arch_bpf_irq_sp(void)
{
	/* call_on_stack() has saved it at the top of the interrupt's stack */
	if (__this_cpu_read(hardirq_stack_inuse))
		return *(unsigned long *)__this_cpu_read(hardirq_stack_ptr);
	return 0;
}

/**
 * arch_bpf_stack_addr - address of code in a word on a stack
 * @word: the word
 *
 * Return: the address, if @word has one.
 */
unsigned long arch_bpf_stack_addr(unsigned long word)
{
	return word;
}
