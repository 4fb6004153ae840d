// SPDX-License-Identifier: GPL-2.0-only
/*
 * Entries, thunks and gates of shared trampolines, see bpf_thunk.h for what they
 * are. The trampolines themselves are bpf_jit_comp.c's.
 */
#include <linux/bpf.h>
#include <linux/memory.h>
#include <linux/string.h>
#include <linux/text-patching.h>

#include <asm/insn.h>

#include "bpf_jit.h"
#include "bpf_near.h"
#include "bpf_thunk.h"

/* Where a gate has its struct bpf_far, and a thunk the target of its own. */
#define GATE_FAR	8
#define THUNK_TARGET	(BPF_THUNK_SIZE - sizeof(u64))

/**
 * arch_bpf_thunk_calls - do thunks call the function?
 *
 * Return: false, the trampoline calls it.
 */
bool arch_bpf_thunk_calls(void)
{
	return false;
}

/**
 * arch_bpf_thunk_size - size of a thunk, and of a gate
 *
 * Return: the size in bytes.
 */
unsigned int arch_bpf_thunk_size(void)
{
	return BPF_THUNK_SIZE;
}

static u32 gen_branch(const void *at, const void *to)
{
	return aarch64_insn_gen_branch_imm((unsigned long)at, (unsigned long)to,
					   AARCH64_INSN_BRANCH_NOLINK);
}

/*
 * Send a branch to another address. A CPU that still executes the old one gets
 * to what it was, which is freed only after a grace period of RCU tasks.
 */
static int switch_branch(void *at, struct bpf_far *far, const void *to)
{
	int err;

	guard(mutex)(&text_mutex);
	if (!bpf_in_reach(at, to)) {
		err = aarch64_insn_write_literal_u64(&far->target, (u64)to);
		if (err)
			return err;
		to = far;
	}
	return aarch64_insn_patch_text_nosync(at, gen_branch(at, to));
}

/**
 * arch_bpf_entry_switch - send the entry of a set to another image
 * @entry: the image at whose start the entry is
 * @old: where the entry leads, may be @entry
 * @im: where it is to lead, never @entry
 *
 * Context: may sleep; takes text_mutex.
 * Return: 0 or an error, with the entry unchanged.
 */
int arch_bpf_entry_switch(const struct bpf_tramp_image *entry, const struct bpf_tramp_image *old,
			  const struct bpf_tramp_image *im)
{
	return switch_branch(entry->image + BPF_LANDING_SIZE, entry->far, im->image);
}

/* The start of a thunk or gate; returns what follows. */
static __le32 *put_landing(void *rw)
{
	__le32 *insn = rw;
	int i;

	for (i = 0; i < BPF_THUNK_SIZE / AARCH64_INSN_SIZE; i++)
		insn[i] = cpu_to_le32(AARCH64_BREAK_FAULT);
	if (IS_ENABLED(CONFIG_ARM64_BTI_KERNEL))
		*insn++ = cpu_to_le32(A64_BTI_JC);
	return insn;
}

/**
 * arch_bpf_gate_write - generate a gate
 * @rw: buffer of arch_bpf_thunk_size() bytes
 * @gate: address it will be copied to
 * @im: the set's first image
 */
void arch_bpf_gate_write(void *rw, void *gate, const struct bpf_tramp_image *im)
{
	void *at = gate + BPF_LANDING_SIZE, *to = im->image;
	struct bpf_far *far = rw + GATE_FAR;
	__le32 *insn = put_landing(rw);

	*insn = cpu_to_le32(gen_branch(at, bpf_in_reach(at, to) ? to : gate + GATE_FAR));
	far->ldr = cpu_to_le32(A64_LDR64LIT(BPF_FAR_REG, offsetof(struct bpf_far, target)));
	far->br = cpu_to_le32(A64_BR(BPF_FAR_REG));
	far->target = (u64)to;
}

/**
 * arch_bpf_gate_switch - send a gate to another image
 * @gate: the gate
 * @im: the image; NULL: the thunks are not used any more
 *
 * Context: may sleep; takes text_mutex.
 */
void arch_bpf_gate_switch(void *gate, const struct bpf_tramp_image *im)
{
	/* fails for misaligned instructions only */
	if (im)
		WARN_ON_ONCE(switch_branch(gate + BPF_LANDING_SIZE, gate + GATE_FAR, im->image));
}

/**
 * arch_bpf_thunk_write - generate a thunk
 * @rw: buffer of arch_bpf_thunk_size() bytes
 * @thunk: address it will be copied to
 * @gate: its set's gate
 * @call_orig: false
 * @ip: the function's ftrace location
 * @func: its address
 * @nr: number of the site
 */
void arch_bpf_thunk_write(void *rw, void *thunk, void *gate, bool call_orig,
			  unsigned long ip, unsigned long func, u32 nr)
{
	u32 off = nr * sizeof(((struct bpf_tramp_cookies *)NULL)->cookie[0]);
	__le32 *insn = put_landing(rw);
	void *at;

	*insn++ = cpu_to_le32(A64_MOVZ(1, BPF_THUNK_REG, off & 0xffff, 0));
	*insn++ = cpu_to_le32(A64_MOVK(1, BPF_THUNK_REG, off >> 16, 16));
	at = thunk + ((void *)insn - rw);
	if (bpf_in_reach(at, gate)) {
		*insn = cpu_to_le32(gen_branch(at, gate));
		return;
	}
	*insn++ = cpu_to_le32(A64_LDR64LIT(BPF_FAR_REG, (long)(thunk + THUNK_TARGET - at)));
	*insn = cpu_to_le32(A64_BR(BPF_FAR_REG));
	*(u64 *)(rw + THUNK_TARGET) = (u64)gate;
}

/**
 * arch_bpf_thunks_ksym - where an unwinder finds the frame in a block of thunks
 * @ksym: the block's symbol
 *
 * They are in no stack trace: functions are not called by them.
 */
void arch_bpf_thunks_ksym(struct bpf_ksym *ksym)
{
}
