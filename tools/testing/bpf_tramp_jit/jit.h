/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the two halves of the test have of each other: kernel.c, which is built
 * with the kernel's headers, and the rest, which is built with the C library's.
 */
#ifndef _BPF_TRAMP_JIT_H
#define _BPF_TRAMP_JIT_H

#include "arch.h"

#define JIT_ARGS_MAX	12
#define JIT_PROGS_MAX	18

enum jit_attach {
	JIT_FENTRY,
	JIT_FEXIT,
	JIT_FSESSION,
};

/* The address of the data that go with a cookie */
#define JIT_DATA(cookie)	(~(cookie))

struct jit_prog {
	enum jit_attach attach;
	int wants_ip;
	int wants_cookie;
	int wants_data;
	int wants_session_cookie;
	int light;
	int unguarded;			/* the only one: it is told by its code */
	unsigned long long cookie;
	/* cookies and data of sites by number, instead of @cookie and JIT_DATA() of it */
	struct bpf_tramp_cookies *cookies;
	void *func;			/* its code */
};

/* What a trampoline is for */
struct jit_spec {
	int nr_args;
	unsigned char arg_size[JIT_ARGS_MAX];
	int shared;			/* by functions; may start with an entry */
	int thunk;			/* shared, and entered by thunks */
	int livepatch;			/* shares the function, which it may replace */
	int light;			/* runs light programs without calls */
	enum exec_area area;		/* where it is to be */
	unsigned long func;		/* the function, if not shared */
	int nr_progs;
	const struct jit_prog *progs;
};

struct jit_image {
	void *im;			/* the kernel's bpf_tramp_image */
	void *addr;
	int size;
	int use_jmp;			/* sites branch to it by jmp */
};

/* kernel.c */
int jit_canonical(struct jit_spec *spec);
int jit_generate(const struct jit_spec *spec, struct jit_image *image);
int jit_same(const struct jit_spec *a, const struct jit_spec *b);
long *jit_refs(void *im);
int jit_entry_switch(const struct jit_image *entry, const struct jit_image *old,
		     const struct jit_image *image);
int jit_thunk_calls(void);
int jit_thunk_size(void);
void jit_gate_write(void *gate, const struct jit_image *image);
void jit_gate_switch(void *gate, const struct jit_image *image);
void jit_thunk_write(void *thunk, void *gate, int call_orig, unsigned long ip,
		     unsigned long func, unsigned int nr);
int jit_thunks_frame(unsigned long offset);
struct bpf_tramp_cookies *jit_cookies(unsigned int first, unsigned int nr);
void jit_cookie_set(struct bpf_tramp_cookies *cookies, unsigned int nr,
		    unsigned long long cookie);
int jit_prog_index(void *prog);
int jit_prog_has_session_cookie(void *prog);
void jit_reset(void);
void *jit_light_running(void);
void jit_light_block(int index, int on);
int jit_light_left(void);
int jit_unguarded(void);

/* what images that are entered count in, with more of them than this by turns */
#define NR_REFS		16384
extern long refs[NR_REFS];
extern int nr_refs;

/* runtime.c: what a body calls */
unsigned long long runtime_enter(void *prog, void *run_ctx);
void runtime_exit(void *prog, unsigned long long start, void *run_ctx);
void runtime_missed(void *prog);
void runtime_resched(void);

/* memory.c: zeroed memory that code, and what it refers to, are in */
void *exec_alloc_in(enum exec_area area, unsigned long size);
void *exec_alloc(unsigned long size);
/* free what was allocated since exec_keep(), with all images and programs */
void exec_keep(void);
void exec_reset(void);

#endif /* _BPF_TRAMP_JIT_H */
