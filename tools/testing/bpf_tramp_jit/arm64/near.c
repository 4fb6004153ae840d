// SPDX-License-Identifier: GPL-2.0-only
/* What arm64's bpf_near.c needs of the kernel: memory that is not there, but counted */
#include <linux/execmem.h>
#include <linux/jiffies.h>
#include <linux/printk.h>
#include <linux/set_memory.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/text-patching.h>

#include <asm/sections.h>

#include <../arch/arm64/net/bpf_near.h>

#include "jit.h"

struct near_maps near_maps;
typeof(jiffies) jiffies;
char _stext[1], _etext[1];

void *near_alloc(unsigned int size)
{
	return bpf_near_alloc(size);
}

int near_free(void *mem, unsigned int size)
{
	return bpf_near_free(mem, size);
}

void near_wait(void)
{
	jiffies += HZ;
}

void *execmem_alloc(enum execmem_type type, size_t size)
{
	static unsigned long next;
	void *mem = _stext - SZ_64M + next;

	near_maps.nr++;
	near_maps.live++;
	if (near_maps.far)
		return _stext + SZ_1G;
	next = (next + size) % SZ_32M;
	return mem;
}

void execmem_free(void *mem)
{
	near_maps.live--;
}

int set_memory_ro(unsigned long addr, int nr)
{
	return 0;
}

int set_memory_x(unsigned long addr, int nr)
{
	return 0;
}

void *memset32(uint32_t *mem, uint32_t value, size_t nr)
{
	return mem;
}

void *aarch64_insn_set(void *mem, u32 insn, size_t len)
{
	return mem;
}

int _printk(const char *fmt, ...)
{
	return 0;
}
