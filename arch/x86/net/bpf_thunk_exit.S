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
 */
SYM_CODE_START(bpf_thunk_exit_slow)
	UNWIND_HINT_UNDEFINED
	ANNOTATE_NOENDBR
	movq	-16(%rbp), %r11
	JMP_NOSPEC r11
SYM_CODE_END(bpf_thunk_exit_slow)
