// SPDX-License-Identifier: GPL-2.0-only
/* Memory for code and for what the kernel's half refers to */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "jit.h"

static struct {
	char *mem, *at;
	char *keep;			/* the end of what stays allocated */
} areas[EXEC_AREAS];

void *exec_alloc_in(enum exec_area area, unsigned long size)
{
	typeof(*areas) *a = &areas[area];
	char *mem;

	if (!a->mem) {
		a->mem = mmap(exec_addr(area), EXEC_SIZE,
			      PROT_READ | PROT_WRITE | PROT_EXEC | EXEC_PROT,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | EXEC_FLAGS, -1, 0);
		if (a->mem == MAP_FAILED) {
			perror("mmap");
			exit(2);
		}
		/* in huge pages, as the kernel has its code */
		madvise(a->mem, EXEC_SIZE, MADV_HUGEPAGE);
		a->keep = a->mem;
		a->at = a->mem;
	}
	size = (size + 63) & ~63UL;
	if (size > EXEC_SIZE - (a->at - a->mem)) {
		fprintf(stderr, "out of memory for code\n");
		exit(2);
	}
	mem = a->at;
	a->at += size;
	return mem;
}

void *exec_alloc(unsigned long size)
{
	return exec_alloc_in(EXEC_NEAR, size);
}

void exec_keep(void)
{
	int i;

	for (i = 0; i < EXEC_AREAS; i++)
		areas[i].keep = areas[i].at;
}

void exec_reset(void)
{
	int i;

	for (i = 0; i < EXEC_AREAS; i++) {
		memset(areas[i].keep, 0, areas[i].at - areas[i].keep);
		areas[i].at = areas[i].keep;
	}
	jit_reset();
}

/* Memory for the JIT, which is not freed */

FROM_JIT void *__kvmalloc_node_noprof(unsigned long size)
{
	return exec_alloc(size);
}

FROM_JIT void *__kmalloc_noprof(unsigned long size)
{
	return exec_alloc(size);
}

/* Where the size of a trampoline is found, one after the other */
FROM_JIT void *__kmalloc_large_noprof(unsigned long size)
{
	static char room[1 << 16];

	return size <= sizeof(room) ? room : NULL;
}

FROM_JIT void *__kmalloc_cache_noprof(void *cache, unsigned int flags, unsigned long size)
{
	return exec_alloc(size);
}

void kfree(const void *mem)
{
}

void kvfree(const void *mem)
{
}
