// SPDX-License-Identifier: GPL-2.0-only
/* A program, and what calls functions by their addresses, as the kernel calls most */
#include "test.h"

/* What the JIT makes of a program that counts at @hits, @at bytes behind 64 * n */
static void *prog_make(unsigned long *hits, unsigned int at)
{
	static const unsigned char begin[] = {
		0x0f, 0x1f, 0x44, 0x00, 0x00,		/* nop */
		0x0f, 0x1f, 0x00,			/* nop */
		0x55,					/* push rbp */
		0x48, 0x89, 0xe5,			/* mov rbp, rsp */
		0x48, 0xbf,				/* movabs rdi, hits */
	};
	static const unsigned char end[] = {
		0x48, 0x8b, 0x37,			/* mov rsi, [rdi] */
		0x48, 0x83, 0xc6, 0x01,			/* add rsi, 1 */
		0x48, 0x89, 0x37,			/* mov [rdi], rsi */
		0x31, 0xc0,				/* xor eax, eax */
		0xc9,					/* leave */
		0xc3,					/* ret */
	};
	unsigned char *mem = exec_alloc(at + sizeof(begin) + sizeof(hits) + sizeof(end)) + at;

	memcpy(mem, begin, sizeof(begin));
	memcpy(mem + sizeof(begin), &hits, sizeof(hits));
	memcpy(mem + sizeof(begin) + sizeof(hits), end, sizeof(end));
	return mem;
}

/* mov esi, ebx; mov edi, i; call func; add rbx, rax */
#define CALL_SIZE	15
#define CALLS_NR	64
#define CALLS_SIZE	(2 * 4 + 1 + CALLS_NR * CALL_SIZE)

/* A function that calls @nr functions in turn: each call is in a place of its own. */
static void *calls_make(unsigned int nr)
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
	for (i = 0; i < CALLS_NR; i++) {
		memcpy(p, (unsigned char[]){ 0x89, 0xde, 0xbf }, 3);
		memcpy(p + 3, &i, 4);
		put_insn((unsigned long)p + 7, 0xe8, (void *)sites[i % nr].func);
		memcpy(p + 12, (unsigned char[]){ 0x48, 0x01, 0xc3 }, 3);
		p += CALL_SIZE;
	}
	memcpy(p, end, sizeof(end));
	return mem;
}
