// SPDX-License-Identifier: GPL-2.0-only
/* Entries of traced functions */
#include "test.h"

static void put_insn(unsigned long at, unsigned char opcode, const void *dest)
{
	unsigned char *p = (unsigned char *)at;
	int rel = (long)dest - (long)(at + 5);

	p[0] = opcode;
	memcpy(p + 1, &rel, 4);
}

static void site_patch(unsigned int i, const void *dest, bool jmp)
{
	put_insn(sites[i].ip, jmp ? 0xe9 : 0xe8, dest);
}

static void site_reset(unsigned int i)
{
	static const unsigned char nop[] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };

	memcpy((void *)sites[i].ip, nop, sizeof(nop));
}

/* endbr64; nop; mov r10d, i; jmp target; for costs: lea rax, [rdi + rsi + i]; ret */
static void site_make(unsigned int i, unsigned char *p, bool small)
{
	static const unsigned char endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };

	sites[i].func = (unsigned long)p;
	if (config->flags & JIT_IBT) {
		memcpy(p, endbr64, sizeof(endbr64));
		p += sizeof(endbr64);
	}
	sites[i].ip = (unsigned long)p;
	site_reset(i);
	p += 5;
	if (small) {
		memcpy(p, (unsigned char[]){ 0x48, 0x8d, 0x84, 0x37 }, 4);
		memcpy(p + 4, &i, 4);
		p[8] = 0xc3;
		return;
	}
	memcpy(p, (unsigned char[]){ 0x41, 0xba }, 2);
	memcpy(p + 2, &i, 4);
	put_insn((unsigned long)p + 6, 0xe9, target);
}
