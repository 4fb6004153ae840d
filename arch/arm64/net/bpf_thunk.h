/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ARM64_NET_BPF_THUNK_H
#define _ARM64_NET_BPF_THUNK_H

/*
 * Shared trampolines. The link register tells the function, and how to call it,
 * so thunks only tell a site's number, for its cookie:
 *
 *	thunk:	bti jc				(CONFIG_ARM64_BTI_KERNEL)
 *		mov x10, number * 8		(two instructions)
 *		b gate
 *
 *	gate:	bti jc				(CONFIG_ARM64_BTI_KERNEL)
 *		b image
 *
 * The entry of a set without thunks is the start of its first image; it has a
 * nop where the gate has the branch. A branch that does not reach its target
 * goes to a struct bpf_far, which the gate and the entry's image have behind
 * them; the thunk has its instructions instead of the branch.
 */

#define BPF_THUNK_SIZE		32

/* registers that a function's patchable entry leaves to its trampoline */
#define BPF_THUNK_REG		AARCH64_INSN_REG_10
#define BPF_FAR_REG		AARCH64_INSN_REG_17

#define BPF_LANDING_SIZE	(IS_ENABLED(CONFIG_ARM64_BTI_KERNEL) ? AARCH64_INSN_SIZE : 0)

/**
 * struct bpf_far - branch to any address
 * @ldr: ldr x17, target
 * @br: br x17
 * @target: where to, aligned, so that it changes at once
 */
struct bpf_far {
	__le32 ldr;
	__le32 br;
	u64 target;
};

#endif /* _ARM64_NET_BPF_THUNK_H */
