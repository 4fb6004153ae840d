/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MFENTRY_H
#define MFENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <linux/compiler.h>
#include <linux/types.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define TRACEFS		"/sys/kernel/tracing"

struct bpf_link;
struct bpf_program;
struct mfentry_bpf;

/* mfentry.c */
void __noreturn __printf(1, 2) die(const char *fmt, ...);
void __printf(1, 2) note(const char *fmt, ...);
void *xcalloc(size_t cnt, size_t size);
__u64 median(__u64 *v, size_t cnt);
FILE *json_open(const char *path, const char *kind);
void json_close(FILE *f, const char *path);

struct options {
	const char *json;	/* where to write results, NULL: nowhere */
	const char *functions;	/* file of function names to stay within */
	const char *names;	/* where list writes the names */
	const char *sizes;	/* bench: numbers of functions */
	bool fexit;		/* list, bench: programs at the functions' return */
	bool lsm;		/* others: load the LSM program as well */
	bool patterns;		/* overlap: by patterns instead of at random */
	bool memory;		/* overlap: measure memory after each link */
	bool no_second;		/* bench: no second program on the same functions */
	bool no_split;		/* bench: no second program on some of them */
	const char *unit;	/* what a nanosecond of this guest stands for */
	int repeat;		/* 0: as many as the subcommand chooses */
	int seconds;
	int top;
};

extern struct options opt;

/* funcs.c: the functions that a fentry.multi program can be attached to */
struct func {
	__u64 addr;
	char *name;
	__u32 id;		/* in the BTF of vmlinux */
	__u32 line;		/* in available_filter_functions, from 1 */
};

struct funcs {
	struct func *v;		/* by BTF id */
	size_t cnt;
	size_t traceable;	/* lines of available_filter_functions */
};

void funcs_collect(struct funcs *funcs);
void funcs_keep(struct funcs *funcs, const struct bpf_program *prog);
struct func funcs_spare(struct funcs *funcs);
struct funcs funcs_spread(const struct funcs *funcs, size_t cnt);
const struct func *funcs_find(const struct funcs *funcs, const char *name);
__u32 *funcs_ids(const struct funcs *funcs);
__u32 *link_ids(const struct bpf_link *link, __u32 *cnt);

/* Attaching, with what it took. */
struct cost {
	__u64 ns;		/* by CLOCK_MONOTONIC */
	__u64 cpu_ns;		/* of it, on a CPU in this process */
};

void cost_begin(struct cost *c);
void cost_end(struct cost *c);
bool kernel_has_reentrant(void);
struct mfentry_bpf *load_programs(const struct funcs *funcs);
struct bpf_link *attach_multi(const struct bpf_program *prog, const __u32 *ids,
			      size_t cnt, struct cost *c);
struct bpf_link *attach_funcs(const struct bpf_program *prog,
			      const struct funcs *funcs, struct cost *c);
void detach(struct bpf_link *link, struct cost *c);
void detach_tidily(struct bpf_link **links, int cnt, struct mfentry_bpf *skel,
		   const struct func *spare, struct cost *close, struct cost *c);
const struct bpf_program *first_program(const struct mfentry_bpf *skel);
const struct bpf_program *second_program(const struct mfentry_bpf *skel);

/* demo.c: what count_calls() has counted */
const __u64 *map_counts(struct mfentry_bpf *skel);

/* mem.c: the kernel's memory */
struct mem {
	__s64 total;		/* sum of the next five, in bytes */
	__s64 slab;		/* allocated slab objects */
	__s64 large;		/* kmalloc() beyond the slabs */
	__s64 percpu;
	__s64 vmalloc;
	__s64 pagetables;
	__s64 pages;		/* cross-check: pages neither free nor user's */
};

void mem_settle(struct mem *m);
void mem_quiesce(void);
void wait_untraced(void);
struct mem mem_delta(const struct mem *after, const struct mem *before);
void mem_json(FILE *f, const char *name, const struct mem *m);
size_t count_bodies(void);
size_t settled_bodies(void);

/* load.c: something for the kernel to do */
void load_start(void);
void load_stop(void);

/* the subcommands */
void cmd_demo(void);
void cmd_bench(void);
void cmd_hit(void);
void cmd_latency(void);
void cmd_others(void);
void cmd_overlap(void);
void cmd_pattern(void);

#endif /* MFENTRY_H */
