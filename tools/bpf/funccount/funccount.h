/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * funccount attaches one program to all functions that match patterns. The kernel gives
 * each function an element of an array, which the tool maps:
 *
 *	tracer_load(), tracer_attach()	the program, the functions, the array
 *	snapshot_take()			the array as it is now
 *	result_make()			what was counted between two snapshots, sorted
 *	print_*(), json_*()		for people, for programs
 *	callers_trace()			then who calls the functions at the top
 */
#ifndef FUNCCOUNT_H
#define FUNCCOUNT_H

#include <err.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>
#include <linux/compiler.h>
#include <linux/types.h>

#include "data.h"

struct bpf_link;
struct bpf_program;
struct btf;
struct funccount_bpf;

/* options.c */
enum mode {
	MODE_COUNT,
	MODE_LATENCY,
	MODE_ERRORS,
};

struct options {
	enum mode mode;
	const char **patterns;	/* as libbpf takes them */
	size_t pattern_cnt;
	double duration;	/* in seconds; 0: until a signal */
	double interval;	/* 0: none */
	size_t top;		/* functions to show; 0: all */
	pid_t pid;
	bool top_given;
	bool callers;
	bool json;
	bool verbose;
};

extern struct options opt;

void options_parse(int argc, char **argv);

/* funccount.c */
void *xcalloc(size_t cnt, size_t size);
double seconds_now(void);

enum wait {
	WAIT_TIME,	/* it is over */
	WAIT_SIGNAL,	/* somebody wants it to end */
	WAIT_GONE,	/* the process that it is about has ended */
};

enum wait wait_until(double when);
int signal_pending(void);

/* names.c: what the functions are */
struct func_object {
	__u32 id;
	int fd;			/* 0: vmlinux */
	char name[64];
	struct btf *btf;
};

struct funcs {
	__u32 cnt;
	__u32 *ids;
	__u32 *objs;		/* ids of their BTF objects */
	__u32 *indexes;		/* elements of the array */
	__u32 vmlinux_id;
	struct btf *vmlinux;
	struct func_object *objects;
	size_t object_cnt;
};

void funcs_get(struct funcs *f, const struct bpf_link *link, const struct bpf_program *prog,
	       __u32 elements);
void funcs_free(struct funcs *f);
const char *func_name(struct funcs *f, __u32 func);
const char *func_module(struct funcs *f, __u32 func);
int func_fd(struct funcs *f, __u32 func);
__u32 func_return_bits(struct funcs *f, __u32 func);

struct sym {
	__u64 addr;
	char *name;
	char *module;		/* NULL: vmlinux; "bpf": made by BPF */
};

struct syms {
	struct sym *v;
	size_t cnt;
	bool hidden;		/* there are only zeros */
};

void syms_load(struct syms *s);
void syms_free(struct syms *s);
const struct sym *syms_find(const struct syms *s, __u64 addr);

/* attach.c */
struct tracer {
	struct funccount_bpf *skel;
	struct bpf_program *prog;
	struct bpf_link *link;
	struct funcs funcs;
	void *data;
	size_t stride;
	size_t elements;
	size_t left_out;
	double begun;		/* when the tool was started */
	double attach_seconds;	/* what bpf_program__attach_tracing_multi() took */
	double start_seconds;	/* from the start to the first call that counts */
};

void tracer_load(struct tracer *t);
void tracer_attach(struct tracer *t);
void tracer_close(struct tracer *t);
void show_warnings(void);

/* counts.c */
struct snapshot {
	double when;
	__u64 missed;
	void *data;
};

struct ranked {
	__u32 func;
	__u64 calls;
	__u64 key;		/* what it is sorted by: calls, nanoseconds or errors */
};

struct result {
	const struct tracer *t;
	const struct snapshot *from, *to;
	struct ranked *v;	/* those that were called, the first has most */
	size_t cnt;
	size_t worth;		/* so many of them may be shown */
	double seconds;
	__u64 calls;
	__u64 missed;
};

void snapshot_take(const struct tracer *t, struct snapshot *s);
void snapshot_free(struct snapshot *s);
void result_make(const struct tracer *t, const struct snapshot *from,
		 const struct snapshot *to, struct result *r);
void result_free(struct result *r);
void result_latency(const struct result *r, __u32 func, struct fc_latency *l);
void result_errors(const struct result *r, __u32 func, struct fc_errors *e);
size_t result_shown(const struct result *r);

/* callers.c */
struct stack {
	__u32 func;		/* index in the result */
	__u64 samples;
	size_t depth;
	__u64 ips[FC_MAX_DEPTH];
};

struct callers {
	double seconds;
	size_t func_cnt;	/* the first functions of the result */
	struct fc_callers *funcs;
	struct stack *stacks;	/* by function, then by samples */
	size_t stack_cnt;
	struct syms syms;
};

void callers_trace(struct tracer *t, const struct result *r, struct callers *c);
void callers_free(struct callers *c);
const struct stack *callers_of(const struct callers *c, size_t func, size_t *cnt,
			       __u64 *samples);

/* output.c */
void print_attached(const struct tracer *t);
void print_interval(struct tracer *t, const struct result *r, const struct result *total);
void print_result(struct tracer *t, const struct result *r, const struct callers *c);
const char *error_name(__u32 code, char *buf, size_t size);
void format_frame(const struct syms *s, __u64 ip, char *buf, size_t size);

/* json.c */
void json_interval(struct tracer *t, const struct result *r, unsigned int nr);
void json_result(struct tracer *t, const struct result *r, const struct callers *c);

#endif /* FUNCCOUNT_H */
