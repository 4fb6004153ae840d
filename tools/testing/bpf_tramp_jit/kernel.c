// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's half: makes the JIT's arguments out of what the test asks for, and
 * stands in for what the JIT calls of the rest of the kernel.
 */
#include <linux/bpf.h>
#include <linux/bpf_verifier.h>
#include <linux/filter.h>
#include <linux/memory.h>
#include <linux/slab.h>

#include "call.h"
#include "jit.h"

#include "stubs.c"

static void model_init(struct btf_func_model *m, const struct jit_spec *spec)
{
	int i;

	memset(m, 0, sizeof(*m));
	m->nr_args = spec->nr_args;
	m->ret_size = 8;
	for (i = 0; i < spec->nr_args; i++)
		m->arg_size[i] = spec->arg_size[i];
}

/* Replace the model by the representative of its class. */
int jit_canonical(struct jit_spec *spec)
{
	struct btf_func_model m;
	int i;

	model_init(&m, spec);
	arch_bpf_canonical_model(&m);
	spec->nr_args = m.nr_args;
	for (i = 0; i < m.nr_args; i++)
		spec->arg_size[i] = m.arg_size[i];
	return 0;
}

#define NR_PROGS	128
#define BLOCKED		7

/* A program and all that leads to it */
struct prog {
	struct bpf_prog prog;
	struct bpf_prog_aux aux;
	struct bpf_link link;
	struct bpf_tramp_node node;
	struct bpf_tramp_node fexit;
	int index;
	u32 *active;
};

/* Those of the images that are generated since jit_reset() */
static struct prog *progs[NR_PROGS];
static int nr_progs;
static int unguarded;

/*
 * What each CPU has of images and of programs, as dense as in a kernel. gs is 0
 * here: a pointer to what each CPU has is one to memory.
 */
long refs[NR_REFS];
int nr_refs;
static u32 active[NR_REFS];
static int nr_active;

int jit_prog_index(void *prog)
{
	return container_of(prog, struct prog, prog)->index;
}

int jit_prog_has_session_cookie(void *prog)
{
	return ((struct bpf_prog *)prog)->call_session_cookie;
}

/* Forget all images and programs: none of them is in use. */
void jit_reset(void)
{
	nr_progs = 0;
	nr_refs = 0;
	nr_active = 0;
}

/* The light program that runs, or NULL. */
void *jit_light_running(void)
{
	int i;

	for (i = 0; i < nr_progs; i++)
		if (*progs[i]->active == 1)
			return &progs[i]->prog;
	return NULL;
}

/* As if the program ran already on this CPU, or not. */
void jit_light_block(int index, int on)
{
	int i;

	for (i = 0; i < nr_progs; i++)
		if (progs[i]->index == index)
			*progs[i]->active = on ? BLOCKED : 0;
}

/* Is a program's count other than it was? */
int jit_light_left(void)
{
	int i;

	for (i = 0; i < nr_progs; i++)
		if (*progs[i]->active && *progs[i]->active != BLOCKED)
			return 1;
	return 0;
}

int jit_unguarded(void)
{
	return unguarded;
}

static struct prog *prog_make(const struct jit_prog *p, int index)
{
	static const enum bpf_attach_type attach[] = {
		[JIT_FENTRY] = BPF_TRACE_FENTRY_MULTI,
		[JIT_FEXIT] = BPF_TRACE_FEXIT_MULTI,
		[JIT_FSESSION] = BPF_TRACE_FSESSION_MULTI,
	};
	struct prog *prog = exec_alloc(sizeof(*prog));

	prog->index = index;
	prog->prog.aux = &prog->aux;
	prog->prog.type = BPF_PROG_TYPE_TRACING;
	prog->prog.expected_attach_type = attach[p->attach];
	prog->prog.jited = 1;
	prog->prog.call_get_func_ip = p->wants_ip;
	prog->prog.call_attach_cookie = p->wants_cookie;
	prog->prog.call_attach_data = p->wants_data;
	prog->prog.call_session_cookie = p->wants_session_cookie;
	prog->prog.bpf_func = p->func;
	prog->link.prog = &prog->prog;
	prog->node.link = &prog->link;
	prog->node.cookie = p->cookie;
	prog->node.data = JIT_DATA(p->cookie);
	prog->node.cookies = p->cookies;
	prog->fexit = prog->node;
	prog->prog.light = p->light;
	if (p->unguarded) {
		prog->prog.reentrant = 1;
		prog->prog.unguarded = 1;
		unguarded = index;
	}
	prog->active = &active[nr_active++ % NR_REFS];
	prog->prog.active = (u8 __force __percpu *)prog->active;
	if (nr_progs < NR_PROGS)
		progs[nr_progs++] = prog;
	return prog;
}

static void nodes_add(struct bpf_tramp_nodes *nodes, struct bpf_tramp_node *node)
{
	nodes->nodes[nodes->nr_nodes++] = node;
}

static struct bpf_tramp_nodes *nodes_make(const struct jit_spec *spec)
{
	struct bpf_tramp_nodes *tnodes = exec_alloc(BPF_TRAMP_MAX * sizeof(*tnodes));
	struct prog *prog;
	int i;

	for (i = 0; i < spec->nr_progs; i++) {
		prog = prog_make(&spec->progs[i], i);
		if (spec->progs[i].attach != JIT_FEXIT)
			nodes_add(&tnodes[BPF_TRAMP_FENTRY], &prog->node);
		if (spec->progs[i].attach == JIT_FEXIT)
			nodes_add(&tnodes[BPF_TRAMP_FEXIT], &prog->node);
		if (spec->progs[i].attach == JIT_FSESSION)
			nodes_add(&tnodes[BPF_TRAMP_FEXIT], &prog->fexit);
	}
	return tnodes;
}

/* as bpf_trampoline_update() does */
static u32 choose_flags(const struct jit_spec *spec, const struct bpf_tramp_nodes *tnodes)
{
	u32 flags = 0;
	int i;

	for (i = 0; i < spec->nr_progs; i++)
		if (spec->progs[i].wants_ip)
			flags |= BPF_TRAMP_F_IP_ARG;
	if (!tnodes[BPF_TRAMP_FEXIT].nr_nodes)
		flags |= BPF_TRAMP_F_RESTORE_REGS;
	else if (spec->livepatch)
		flags |= BPF_TRAMP_F_CALL_ORIG | BPF_TRAMP_F_ORIG_STACK | BPF_TRAMP_F_SKIP_FRAME;
	else if (IS_ENABLED(CONFIG_DYNAMIC_FTRACE_WITH_JMP))
		flags |= BPF_TRAMP_F_CALL_ORIG;
	else
		flags |= BPF_TRAMP_F_CALL_ORIG | BPF_TRAMP_F_SKIP_FRAME;
	if (spec->shared)
		flags |= BPF_TRAMP_F_SHARED;
	if (spec->thunk)
		flags |= BPF_TRAMP_F_THUNK;
	if (spec->light)
		flags |= BPF_TRAMP_F_LIGHT;
	return flags;
}

/* Generate an image where the last one was, or in new memory. */
static int image_make(const struct jit_spec *spec, struct bpf_tramp_nodes *tnodes,
		      struct bpf_tramp_image *im)
{
	void *func = (void *)(spec->shared ? ip_offset() : spec->func);
	u32 flags = choose_flags(spec, tnodes);
	struct btf_func_model m;
	int size, err;

	model_init(&m, spec);
	size = arch_bpf_trampoline_size(&m, flags, tnodes, func);
	if (size < 0)
		return size;
	if (!im->image || size > im->size)
		im->image = exec_alloc_in(spec->area, size);
	im->size = size;
	err = arch_prepare_bpf_trampoline(im, im->image, im->image + size, &m, flags, tnodes, func);
	return err < 0 ? err : 0;
}

int jit_generate(const struct jit_spec *spec, struct jit_image *image)
{
	struct bpf_tramp_nodes *tnodes = nodes_make(spec);
	struct bpf_tramp_image *im = exec_alloc(sizeof(*im));
	long *ref = &refs[nr_refs++ % NR_REFS];
	int err;

	/* sets count by users; light programs are in sets, which one function may have */
	if (spec->shared || spec->light)
		im->users = (unsigned long __force __percpu *)ref;
	else
		im->pcref.percpu_count_ptr = (unsigned long)ref;
	err = image_make(spec, tnodes, im);
	image->im = im;
	image->addr = im->image;
	image->size = im->size;
	image->use_jmp = bpf_trampoline_use_jmp(choose_flags(spec, tnodes));
	return err;
}

/* Does the JIT make the same of two models? The specs differ in nothing else. */
int jit_same(const struct jit_spec *a, const struct jit_spec *b)
{
	struct bpf_tramp_nodes *tnodes = nodes_make(a);
	struct bpf_tramp_image *im = exec_alloc(sizeof(*im));
	void *code, *addr;
	int size;

	im->users = (unsigned long __force __percpu *)&refs[0];
	if (image_make(a, tnodes, im))
		return -EINVAL;
	addr = im->image;
	size = im->size;
	code = exec_alloc(size);
	memcpy(code, addr, size);
	if (image_make(b, tnodes, im))
		return -EINVAL;
	return im->image == addr && im->size == size && !memcmp(addr, code, size);
}

long *jit_refs(void *im)
{
	struct bpf_tramp_image *image = im;

	if (image->users)
		return (long __force *)image->users;
	return (long *)image->pcref.percpu_count_ptr;
}

int jit_thunk_calls(void)
{
	return arch_bpf_thunk_calls();
}

int jit_thunk_size(void)
{
	return arch_bpf_thunk_size();
}

void jit_gate_write(void *gate, const struct jit_image *image)
{
	arch_bpf_gate_write(gate, gate, image->im);
}

void jit_gate_switch(void *gate, const struct jit_image *image)
{
	arch_bpf_gate_switch(gate, image ? image->im : NULL);
}

int jit_entry_switch(const struct jit_image *entry, const struct jit_image *old,
		     const struct jit_image *image)
{
	return arch_bpf_entry_switch(entry->im, old->im, image->im);
}

void jit_thunk_write(void *thunk, void *gate, int call_orig, unsigned long ip,
		     unsigned long func, unsigned int nr)
{
	arch_bpf_thunk_write(thunk, thunk, gate, call_orig, ip, func, nr);
}

/* bpf_has_frame_pointer() in a block of thunks that call functions */
int jit_thunks_frame(unsigned long offset)
{
	struct bpf_ksym ksym = {};

	arch_bpf_thunks_ksym(&ksym);
	if (!ksym.fp_start || !ksym.fp_end)
		return 0;
	if (ksym.fp_stride)
		offset %= ksym.fp_stride;
	return offset >= ksym.fp_start && offset < ksym.fp_end;
}

struct bpf_tramp_cookies *jit_cookies(unsigned int first, unsigned int nr)
{
	struct bpf_tramp_cookies *cookies;

	cookies = exec_alloc(struct_size(cookies, own, 2 * nr));
	cookies->cookie = cookies->own;
	cookies->data = cookies->own + nr;
	cookies->first = first;
	return cookies;
}

void jit_cookie_set(struct bpf_tramp_cookies *cookies, unsigned int nr, unsigned long long cookie)
{
	cookies->cookie[nr - cookies->first] = cookie;
	cookies->data[nr - cookies->first] = JIT_DATA(cookie);
}

/*
 * The rest of the kernel
 */

struct mutex text_mutex;	/* there is one thread */
kmem_buckets kmalloc_caches[NR_KMALLOC_TYPES];

void mutex_lock(struct mutex *lock)
{
}

void mutex_unlock(struct mutex *lock)
{
}
