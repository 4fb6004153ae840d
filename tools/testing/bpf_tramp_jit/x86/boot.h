/* SPDX-License-Identifier: GPL-2.0-only */
/* What the linker and call.S have for boot.c */
#ifndef _BPF_TRAMP_JIT_BOOT_H
#define _BPF_TRAMP_JIT_BOOT_H

/* as the kernel's, relative to where each member is */
struct jump_entry {
	int code;
	int target;
	long key;
};

extern unsigned char __executable_start[], etext[];
extern struct jump_entry __start___jump_table[], __stop___jump_table[];

void __x86_return_thunk(void);
void __fentry__(void);

#endif /* _BPF_TRAMP_JIT_BOOT_H */
