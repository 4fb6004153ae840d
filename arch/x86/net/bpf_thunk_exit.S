/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/linkage.h>
#include <asm/nospec-branch.h>
#include <asm/unwind_hints.h>

	.code64
	.section .text, "ax"

/*
 * The function returns to a newer image of the set than the one it was called
 * by way of, or the set is gone: go to the exit that the frame tells. The
 * return value is in rax and rdx. Jumped to from the images and from gates.
 *
 * A RET needs neither an ENDBR at each exit nor a retpoline. It has no call, so
 * that the return stack is off by one entry, and so is the call depth.
 */
SYM_CODE_START(bpf_thunk_exit_slow)
	UNWIND_HINT_UNDEFINED
	ANNOTATE_NOENDBR
	pushq	-16(%rbp)
	RET
SYM_CODE_END(bpf_thunk_exit_slow)
