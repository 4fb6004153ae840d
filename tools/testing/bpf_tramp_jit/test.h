/* SPDX-License-Identifier: GPL-2.0-only */
/* What main.c, site.c, cost.c and what they include have of each other */
#ifndef _BPF_TRAMP_JIT_TEST_H
#define _BPF_TRAMP_JIT_TEST_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/compiler.h>
#include <linux/kernel.h>
#include <linux/types.h>

#include "call.h"
#include "jit.h"
#include "runtime.h"

#define CHECK(cond, fmt, ...)							\
	do {									\
		if (!(cond))							\
			fail(__LINE__, #cond, fmt, ##__VA_ARGS__);		\
	} while (0)

void __noreturn __printf(3, 4) fail(int line, const char *cond, const char *fmt, ...);

/* What all is tested with */
struct config {
	const char *name;
	u32 flags;			/* the architecture's */
	/* where functions are, thunks, gates, and images in turn */
	enum exec_area site, thunk, gate, image[2];
};

static const struct config *config;

struct model {
	int nr_args;
	u8 size[JIT_ARGS_MAX];
};

/* Arguments as the compiler passes them, and as programs are to see them */
struct args {
	struct call call;
	u64 ctx[ARG_SLOTS_MAX];
	u64 mask[ARG_SLOTS_MAX];
	int nr;
	int nr_regs;
	int nr_stack;
};

struct variant {
	const char *name;
	int nr_progs;
	struct jit_prog progs[JIT_PROGS_MAX];
	bool shared;
	bool calls_orig;
	bool site_cookies;
	bool livepatch;
	bool light;
	int blocked;			/* 1 + the program that runs already; 0: none */
};

/* for the tests */
#define NR_SITES	64
#define SITE_SIZE	64
/* numbers of sites do not start at 0, and some are large */
#define SITE_NR(i)	(100000 + (i))

struct site {
	unsigned long func;
	unsigned long ip;
};

/* Those that are made or called */
static struct site *sites;

#endif /* _BPF_TRAMP_JIT_TEST_H */
