/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ARCH_X86_NET_BPF_THUNK_H
#define _ARCH_X86_NET_BPF_THUNK_H

/*
 * Where sites branch to a trampoline without thunks, it starts with an
 * instruction of its own that has the size of a jmp, which a jmp to a newer image
 * of the set replaces: mov eax, imm32.
 */
#define BPF_ENTRY_OPCODE	0xb8

/*
 * A thunk is what a site branches to when a trampoline that many functions
 * share has to know which one it runs for. There are two kinds of 32 bytes. r11
 * is free at a function's entry.
 *
 * The trampoline calls the function; the site has a jmp:
 *
 *    0  call gate's entry	the trampoline takes the return address off the
 *				stack, and returns to it when the programs have run
 *    5  call function		behind its patched entry
 *   10  jmp  gate's exit	the rest of the trampoline, which returns to the
 *				function's caller
 *   16  address of the function, 8 bytes
 *   24  number of the site, 4 bytes
 *
 * All branches are direct, and each ret has its call, so that return prediction
 * works and no retpoline is needed.
 *
 * The trampoline returns to the function; the site has a call:
 *
 *    0  mov  r11d, number of the site
 *    6  jmp  gate's entry
 *
 * The gate of a set is where all its thunks meet. It has the size of a thunk:
 *
 *    5  jmp  image's exit
 *   16  jmp  image's start
 *
 * A new image of the set means two branches to patch, whatever the number of
 * thunks. Functions that were called by way of the image before return to the
 * new one's exit, which compares the frame's image with itself, and leaves to
 * bpf_thunk_exit_slow() what is not its own.
 */
#define BPF_THUNK_SIZE		32
#define BPF_THUNK_RET		5	/* what the trampoline knows of the thunk */
#define BPF_THUNK_JMP		10
#define BPF_THUNK_MOV		6	/* behind the mov of the other kind */
#define BPF_THUNK_IP		16
#define BPF_THUNK_NR		24

#define BPF_GATE_EXIT		5
#define BPF_GATE_ENTRY		16

#ifndef __ASSEMBLER__
void bpf_thunk_exit_slow(void);
#endif

#endif /* _ARCH_X86_NET_BPF_THUNK_H */
