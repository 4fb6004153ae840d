// SPDX-License-Identifier: GPL-2.0-only
/*
 * What becomes of the kernel's code until it runs, on a processor without
 * mitigations: jumps of static branches that are off, as objtool marks them, and
 * calls of __fentry__() are nops, and jumps to __x86_return_thunk() are returns.
 */
#include <sys/mman.h>

#include "test.h"

#include "boot.h"

static const unsigned char boot_nop2[] = { 0x66, 0x90 };
static const unsigned char boot_nop5[] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };

/* The compiler marks keys of the jumps that are to be nops; they may be already. */
static void boot_static_branch(const struct jump_entry *e)
{
	unsigned char *code = (unsigned char *)&e->code + e->code;
	unsigned long key = (unsigned long)&e->key + e->key;

	if (!(key & 2) || code < __executable_start || code >= etext)
		return;
	if (*code == 0xeb)
		memcpy(code, boot_nop2, sizeof(boot_nop2));
	else if (*code == 0xe9)
		memcpy(code, boot_nop5, sizeof(boot_nop5));
}

/* Bytes that are none may look like this branch to @dest in one case out of 2^40. */
static bool boot_is_branch(const unsigned char *code, unsigned char opcode, void (*dest)(void))
{
	int rel;

	memcpy(&rel, code + 1, sizeof(rel));
	return *code == opcode && (unsigned long)code + 5 + rel == (unsigned long)dest;
}

static void boot_branch(unsigned char *code)
{
	if (boot_is_branch(code, 0xe9, __x86_return_thunk))
		*code = 0xc3;
	else if (boot_is_branch(code, 0xe8, __fentry__))
		memcpy(code, boot_nop5, sizeof(boot_nop5));
}

static void boot(void)
{
	unsigned long start = (unsigned long)__executable_start & -4096UL;
	const struct jump_entry *e;
	unsigned char *code;

	if (mprotect((void *)start, (unsigned long)etext - start,
		     PROT_READ | PROT_WRITE | PROT_EXEC)) {
		perror("mprotect");
		exit(2);
	}
	for (e = __start___jump_table; e < __stop___jump_table; e++)
		boot_static_branch(e);
	for (code = __executable_start; code + 5 <= etext; code++)
		boot_branch(code);
}
