// SPDX-License-Identifier: GPL-2.0-only
/* Traced functions, and what their entries branch to */
#include "test.h"

#include "entry.c"

static void code_written(void *mem, unsigned long size)
{
	__builtin___clear_cache(mem, mem + size);
}

static void sites_make(struct site *to, unsigned int nr, bool small)
{
	unsigned char *mem = exec_alloc_in(config->site, nr * SITE_SIZE);
	unsigned int i;

	sites = to;
	for (i = 0; i < nr; i++)
		site_make(i, mem + i * SITE_SIZE, small);
	code_written(mem, nr * SITE_SIZE);
}

struct thunks {
	void *gate;
	void *block;
};

/* A set's first block of thunks begins with the gate; there may be more blocks. */
static void thunks_make(struct thunks *thunks, const struct jit_image *image, unsigned int nr)
{
	int size = jit_thunk_size();

	thunks->gate = exec_alloc_in(config->gate, (1 + nr) * size);
	if (config->thunk == config->gate)
		thunks->block = thunks->gate + size;
	else
		thunks->block = exec_alloc_in(config->thunk, nr * size);
	jit_gate_write(thunks->gate, image);
	code_written(thunks->gate, size);
}

static void *thunk_make(const struct thunks *thunks, bool calls_orig, unsigned int i)
{
	void *thunk = thunks->block + i * jit_thunk_size();

	jit_thunk_write(thunk, thunks->gate, calls_orig, sites[i].ip, sites[i].func, SITE_NR(i));
	code_written(thunk, jit_thunk_size());
	return thunk;
}
