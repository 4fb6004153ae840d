// SPDX-License-Identifier: GPL-2.0-only
/* Traced functions, and where their entries branch to */

#define NR_SITES	64
#define SITE_SIZE	64
/* numbers of sites do not start at 0, and are not where they are in memory */
#define SITE_NR(i)	(1000 + (i))

struct site {
	unsigned long func;
	unsigned long ip;
};

static struct site sites[NR_SITES];

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
static void site_make(unsigned int i, unsigned char *p, bool endbr, bool small)
{
	static const unsigned char endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };

	sites[i].func = (unsigned long)p;
	if (endbr) {
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

static void __sites_make(bool endbr, bool small)
{
	unsigned char *mem = exec_alloc(NR_SITES * SITE_SIZE);
	unsigned int i;

	for (i = 0; i < NR_SITES; i++)
		site_make(i, mem + i * SITE_SIZE, endbr, small);
}

static void sites_make(bool endbr)
{
	__sites_make(endbr, false);
}

/* A block of thunks, whose first is the gate, as the kernel lays them out */
static void *gate_make(const struct jit_image *image)
{
	void *gate = exec_alloc((1 + NR_SITES) * jit_thunk_size());

	jit_gate_write(gate, image);
	return gate;
}

static void *thunk_make(void *gate, bool calls_orig, unsigned int i)
{
	void *thunk = gate + (1 + i) * jit_thunk_size();

	jit_thunk_write(thunk, gate, calls_orig, sites[i].ip, sites[i].func, SITE_NR(i));
	return thunk;
}
