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
		memcpy(p, (unsigned char[]){ 0x48, 0x8d, 0x44, 0x37, i, 0xc3 }, 6);
		return;
	}
	memcpy(p, (unsigned char[]){ 0x41, 0xba, i, 0, 0, 0 }, 6);
	put_insn((unsigned long)p + 6, 0xe9, target);
}

/* mov esi, ebx; mov edi, i; call func; add rbx, rax */
#define CALL_SIZE	15
#define CALLS_SIZE	(2 * 4 + 1 + NR_SITES * CALL_SIZE)

/* A function that calls each of them once, in a place of its own. */
static void *calls_make(void)
{
	/* push rbx; xor ebx, ebx */
	static const unsigned char begin[] = { 0x53, 0x31, 0xdb };
	/* mov rax, rbx; pop rbx; ret */
	static const unsigned char end[] = { 0x48, 0x89, 0xd8, 0x5b, 0xc3 };
	unsigned char *mem, *p;
	unsigned int i;

	mem = exec_alloc(CALLS_SIZE);
	p = mem;
	memcpy(p, begin, sizeof(begin));
	p += sizeof(begin);
	for (i = 0; i < NR_SITES; i++) {
		memcpy(p, (unsigned char[]){ 0x89, 0xde, 0xbf, i, 0, 0, 0 }, 7);
		put_insn((unsigned long)p + 7, 0xe8, (void *)sites[i].func);
		memcpy(p + 12, (unsigned char[]){ 0x48, 0x01, 0xc3 }, 3);
		p += CALL_SIZE;
	}
	memcpy(p, end, sizeof(end));
	return mem;
}
