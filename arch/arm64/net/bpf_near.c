// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory for trampolines in reach of the kernel's branches, ±128 MiB, so that a
 * traced function branches to its trampoline directly. The memory of BPF programs
 * can be anywhere, and is far away as a rule with KASLR. Then trampolines are
 * where modules are.
 *
 * Where that is full, or the kernel too large, trampolines are in the memory of
 * BPF programs nevertheless; ftrace_caller() then goes between.
 */
#include <linux/error-injection.h>
#include <linux/execmem.h>
#include <linux/genalloc.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/set_memory.h>
#include <linux/string.h>
#include <linux/text-patching.h>

#include <asm/insn.h>
#include <asm/sections.h>

#include "bpf_near.h"

/* as bpf_prog_pack_alloc() aligns */
#define NEAR_ORDER	6
/* It grows by so much, and does not shrink: what is free is used first. */
#define NEAR_CHUNK	SZ_64K

static DEFINE_MUTEX(near_mutex);
static struct gen_pool *near_pool;

/**
 * bpf_mem_is_far - is memory out of reach of branches of the kernel's text?
 * @mem: the memory
 * @size: in bytes
 *
 * Return: true, or false if all of the text can branch to all of the memory, and
 *         back.
 */
bool bpf_mem_is_far(void *mem, unsigned int size)
{
	void *first = min_t(void *, mem, _stext);
	void *last = max_t(void *, mem + size, _etext);

	return !bpf_in_reach(first, last);
}
ALLOW_ERROR_INJECTION(bpf_mem_is_far, TRUE);

static int near_grow(unsigned int size)
{
	void *mem;
	int err;

	size = round_up(size, NEAR_CHUNK);
	mem = execmem_alloc(EXECMEM_FTRACE, size);
	if (!mem)
		return -ENOMEM;
	err = -ENOMEM;
	if (bpf_mem_is_far(mem, size))
		goto out_free;
	memset32(mem, (__force u32)cpu_to_le32(AARCH64_BREAK_FAULT), size / AARCH64_INSN_SIZE);
	err = set_memory_rox((unsigned long)mem, size >> PAGE_SHIFT);
	if (!err)
		err = gen_pool_add(near_pool, (unsigned long)mem, size, NUMA_NO_NODE);
	if (!err)
		return 0;
out_free:
	execmem_free(mem);
	return err;
}

/**
 * bpf_near_alloc - allocate memory that the kernel's text can branch to
 * @size: in bytes
 *
 * It is executable and read-only; aarch64_insn_copy() writes to it.
 *
 * Context: may sleep.
 * Return: the memory, or NULL if there is none in reach.
 */
void *bpf_near_alloc(unsigned int size)
{
	unsigned long mem;

	guard(mutex)(&near_mutex);
	if (!near_pool)
		near_pool = gen_pool_create(NEAR_ORDER, NUMA_NO_NODE);
	if (!near_pool)
		return NULL;
	mem = gen_pool_alloc(near_pool, size);
	if (!mem && !near_grow(size))
		mem = gen_pool_alloc(near_pool, size);
	if (!mem)
		pr_info_once("bpf: no memory in reach of the kernel's text for a trampoline: it is called by way of ftrace_caller()\n");
	return (void *)mem;
}

/**
 * bpf_near_free - free memory of bpf_near_alloc()
 * @mem: the memory, which no task can be in
 * @size: in bytes
 *
 * Context: may sleep.
 * Return: true, or false if the memory is other memory.
 */
bool bpf_near_free(void *mem, unsigned int size)
{
	guard(mutex)(&near_mutex);
	if (!near_pool || !gen_pool_has_addr(near_pool, (unsigned long)mem, size))
		return false;
	aarch64_insn_set(mem, AARCH64_BREAK_FAULT, size);
	gen_pool_free(near_pool, (unsigned long)mem, size);
	return true;
}
