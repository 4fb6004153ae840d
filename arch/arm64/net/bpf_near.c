// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory for trampolines in reach of the kernel's branches, ±128 MiB, so that a
 * traced function branches to its trampoline directly. The memory of BPF programs
 * can be anywhere, and is far away as a rule with KASLR. Then trampolines are
 * where modules are, in blocks that come and go as those of BPF programs do.
 *
 * Where that is full, or the kernel too large, trampolines are in the memory of
 * BPF programs nevertheless; ftrace_caller() then goes between.
 */
#include <linux/bitmap.h>
#include <linux/error-injection.h>
#include <linux/execmem.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/set_memory.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/text-patching.h>

#include <asm/insn.h>
#include <asm/sections.h>

#include "bpf_near.h"

/* as bpf_prog_pack_alloc() aligns */
#define NEAR_UNIT	64
/* of a block, unless what it is for is larger */
#define NEAR_BLOCK	SZ_64K
/*
 * An eighth of what branches reach, which the kernel's text and the modules share: a
 * module that finds no place there needs PLTs. It is enough for the thunks of half a
 * million functions, or for 20,000 trampolines of 800 bytes.
 */
#define NEAR_MOST	SZ_16M
/* To find that there is no memory in reach takes TLB flushes: wait before the next try. */
#define NEAR_RETRY	HZ

struct near_block {
	struct list_head list;
	void *mem;
	unsigned int size;
	unsigned long used[];		/* a bit for each NEAR_UNIT */
};

/* What follows is protected by near_mutex. */
static DEFINE_MUTEX(near_mutex);
static LIST_HEAD(near_blocks);
static unsigned long near_size;		/* of all blocks */
static bool near_full;			/* do not try before near_retry */
static unsigned long near_retry;

static unsigned int near_units(unsigned int size)
{
	return DIV_ROUND_UP(size, NEAR_UNIT);
}

/* Can all of the kernel's text branch to all of the memory, and back? */
static bool near_is_in_reach(void *mem, unsigned int size)
{
	void *first = min_t(void *, mem, _stext);
	void *last = max_t(void *, mem + size, _etext);

	return bpf_in_reach(first, last);
}

static void *near_block_take(struct near_block *block, unsigned int size)
{
	unsigned int nr = near_units(size), end = near_units(block->size);
	unsigned long i;

	i = bitmap_find_next_zero_area(block->used, end, 0, nr, 0);
	if (i >= end)
		return NULL;
	bitmap_set(block->used, i, nr);
	return block->mem + i * NEAR_UNIT;
}

static struct near_block *near_block_alloc(unsigned int size)
{
	struct near_block *block;

	size = round_up(size, NEAR_BLOCK);
	if (near_size + size > NEAR_MOST)
		return NULL;
	block = kzalloc_flex(*block, used, BITS_TO_LONGS(near_units(size)));
	if (!block)
		return NULL;
	block->size = size;
	block->mem = execmem_alloc(EXECMEM_FTRACE, size);
	if (!block->mem)
		goto out_free;
	if (!near_is_in_reach(block->mem, size))
		goto out_free_mem;
	memset32(block->mem, (__force u32)cpu_to_le32(AARCH64_BREAK_FAULT),
		 size / AARCH64_INSN_SIZE);
	if (set_memory_rox((unsigned long)block->mem, size >> PAGE_SHIFT))
		goto out_free_mem;
	list_add(&block->list, &near_blocks);
	near_size += size;
	return block;

out_free_mem:
	execmem_free(block->mem);
out_free:
	kfree(block);
	return NULL;
}

static void near_block_free(struct near_block *block)
{
	list_del(&block->list);
	near_size -= block->size;
	near_full = false;
	execmem_free(block->mem);
	kfree(block);
}

static struct near_block *near_block_find(const void *mem)
{
	struct near_block *block;

	list_for_each_entry(block, &near_blocks, list)
		if (mem >= block->mem && mem < block->mem + block->size)
			return block;
	return NULL;
}

static void *near_grow(unsigned int size)
{
	struct near_block *block;

	if (near_full && time_before(jiffies, near_retry))
		return NULL;
	block = near_block_alloc(size);
	near_full = !block;
	if (block)
		return near_block_take(block, size);

	near_retry = jiffies + NEAR_RETRY;
	pr_info_once("bpf: no memory in reach of the kernel's text for a trampoline: it is called by way of ftrace_caller()\n");
	return NULL;
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
	struct near_block *block;
	void *mem;

	guard(mutex)(&near_mutex);
	list_for_each_entry(block, &near_blocks, list) {
		mem = near_block_take(block, size);
		if (mem)
			return mem;
	}
	return near_grow(size);
}
ALLOW_ERROR_INJECTION(bpf_near_alloc, NULL);

/**
 * bpf_near_free - free memory of bpf_near_alloc()
 * @mem: the memory, which no task can be in
 * @size: in bytes
 *
 * The last block stays, for those who attach and detach all the time.
 *
 * Context: may sleep.
 * Return: true, or false if the memory is other memory.
 */
bool bpf_near_free(void *mem, unsigned int size)
{
	struct near_block *block;

	guard(mutex)(&near_mutex);
	block = near_block_find(mem);
	if (!block)
		return false;
	aarch64_insn_set(mem, AARCH64_BREAK_FAULT, size);
	bitmap_clear(block->used, (mem - block->mem) / NEAR_UNIT, near_units(size));
	if (bitmap_empty(block->used, near_units(block->size)) && !list_is_singular(&near_blocks))
		near_block_free(block);
	return true;
}
