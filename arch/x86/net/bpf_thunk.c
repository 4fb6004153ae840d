// SPDX-License-Identifier: GPL-2.0-only
/*
 * Entries, thunks and gates of shared trampolines, see bpf_thunk.h for what they are.
 * The trampolines themselves are bpf_jit_comp.c's.
 */
#include <linux/bpf.h>
#include <linux/memory.h>
#include <linux/string.h>
#include <linux/text-patching.h>

#include "bpf_thunk.h"

/**
 * arch_bpf_thunk_calls - do thunks call the function?
 *
 * Return: true.
 */
bool arch_bpf_thunk_calls(void)
{
	return true;
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

static bool entry_leads_to(const struct bpf_tramp_image *entry, const struct bpf_tramp_image *im)
{
	const u8 *insn = entry->image;
	u8 jmp[JMP32_INSN_SIZE];

	if (im == entry)
		return *insn == BPF_ENTRY_OPCODE;
	__text_gen_insn(jmp, JMP32_INSN_OPCODE, insn, im->image, sizeof(jmp));
	return !memcmp(insn, jmp, sizeof(jmp));
}

/**
 * arch_bpf_entry_switch - send the entry of a set to another image
 * @entry: the image at whose start the entry is
 * @old: where the entry leads, may be @entry
 * @im: where it is to lead, never @entry
 *
 * Context: may sleep; takes text_mutex.
 * Return: 0 or -EBUSY, with the entry unchanged.
 */
int arch_bpf_entry_switch(const struct bpf_tramp_image *entry, const struct bpf_tramp_image *old,
			  const struct bpf_tramp_image *im)
{
	u8 jmp[JMP32_INSN_SIZE];

	guard(mutex)(&text_mutex);
	if (!entry_leads_to(entry, old))
		return -EBUSY;
	__text_gen_insn(jmp, JMP32_INSN_OPCODE, entry->image, im->image, sizeof(jmp));
	smp_text_poke_single(entry->image, jmp, sizeof(jmp), NULL);
	return 0;
}

static void gen_insn(void *rw, void *image, unsigned int off, u8 opcode, const void *dest)
{
	__text_gen_insn(rw + off, opcode, image + off, dest, text_opcode_size(opcode));
}

static const void *image_exit(const struct bpf_tramp_image *im)
{
	if (im && im->exit)
		return im->exit;
	return bpf_thunk_exit_slow;
}

/**
 * arch_bpf_gate_write - generate a gate
 * @rw: buffer of arch_bpf_thunk_size() bytes
 * @gate: address it will be copied to
 * @im: the set's first image
 */
void arch_bpf_gate_write(void *rw, void *gate, const struct bpf_tramp_image *im)
{
	memset(rw, INT3_INSN_OPCODE, BPF_THUNK_SIZE);
	gen_insn(rw, gate, BPF_GATE_EXIT, JMP32_INSN_OPCODE, image_exit(im));
	gen_insn(rw, gate, BPF_GATE_ENTRY, JMP32_INSN_OPCODE, im->image);
}

/**
 * arch_bpf_gate_switch - send a gate to another image
 * @gate: the gate
 * @im: the image; NULL: the thunks are not used any more, but functions that
 *      they have called may still return
 *
 * Context: may sleep; takes text_mutex.
 */
void arch_bpf_gate_switch(void *gate, const struct bpf_tramp_image *im)
{
	u8 exit[JMP32_INSN_SIZE], entry[JMP32_INSN_SIZE];

	mutex_lock(&text_mutex);
	__text_gen_insn(exit, JMP32_INSN_OPCODE, gate + BPF_GATE_EXIT, image_exit(im),
			sizeof(exit));
	smp_text_poke_batch_add(gate + BPF_GATE_EXIT, exit, sizeof(exit), NULL);
	if (im) {
		__text_gen_insn(entry, JMP32_INSN_OPCODE, gate + BPF_GATE_ENTRY, im->image,
				sizeof(entry));
		smp_text_poke_batch_add(gate + BPF_GATE_ENTRY, entry, sizeof(entry), NULL);
	}
	smp_text_poke_batch_finish();
	mutex_unlock(&text_mutex);
}

/**
 * arch_bpf_thunk_write - generate a thunk
 * @rw: buffer of arch_bpf_thunk_size() bytes
 * @thunk: address it will be copied to
 * @gate: its set's gate
 * @call_orig: the set's images call the function
 * @ip: the function's ftrace location
 * @func: its address
 * @nr: number of the site
 */
void arch_bpf_thunk_write(void *rw, void *thunk, void *gate, bool call_orig,
			  unsigned long ip, unsigned long func, u32 nr)
{
	static const u8 mov_r11d[] = { 0x41, 0xbb };

	memset(rw, INT3_INSN_OPCODE, BPF_THUNK_SIZE);
	if (call_orig) {
		gen_insn(rw, thunk, 0, CALL_INSN_OPCODE, gate + BPF_GATE_ENTRY);
		gen_insn(rw, thunk, BPF_THUNK_RET, CALL_INSN_OPCODE,
			 (void *)ip + CALL_INSN_SIZE);
		gen_insn(rw, thunk, BPF_THUNK_JMP, JMP32_INSN_OPCODE, gate + BPF_GATE_EXIT);
		*(u64 *)(rw + BPF_THUNK_IP) = func;
		*(u32 *)(rw + BPF_THUNK_NR) = nr;
	} else {
		memcpy(rw, mov_r11d, sizeof(mov_r11d));
		*(u32 *)(rw + sizeof(mov_r11d)) = nr;
		gen_insn(rw, thunk, BPF_THUNK_MOV, JMP32_INSN_OPCODE, gate + BPF_GATE_ENTRY);
	}
}

/**
 * arch_bpf_thunks_ksym - where an unwinder finds the frame in a block of thunks
 * @ksym: the block's symbol
 *
 * While the function runs, rbp is the trampoline's frame. So it is while the
 * trampoline returns to the thunk: an unwinder that finds the return address in
 * a return thunk looks up the byte before it.
 */
void arch_bpf_thunks_ksym(struct bpf_ksym *ksym)
{
	ksym->fp_start = BPF_THUNK_RET - 1;
	ksym->fp_end = BPF_THUNK_JMP + 1;
	ksym->fp_stride = BPF_THUNK_SIZE;
}
