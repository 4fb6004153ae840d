// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's half: makes the JIT's arguments out of what the test asks for, and
 * stands in for what the JIT calls of the rest of the kernel.
 */
#include <linux/bpf.h>
#include <linux/bpf_verifier.h>
#include <linux/cfi.h>
#include <linux/execmem.h>
#include <linux/filter.h>
#include <linux/memory.h>
#include <linux/cpufeature.h>
#include <linux/slab.h>
#include <linux/text-patching.h>
#include <asm/ibt.h>
#include <asm/nospec-branch.h>

#include "call.h"
#include "jit.h"

static unsigned int features;

void (*x86_return_thunk)(void) = return_thunk;

static void set_cpu_feature(int nr, bool on)
{
	if (on)
		set_bit(nr, (unsigned long *)boot_cpu_data.x86_capability);
	else
		clear_bit(nr, (unsigned long *)boot_cpu_data.x86_capability);
}

/* What cpu_wants_rethunk() asks, and the JIT's own questions */
void jit_set_features(unsigned int on)
{
	features = on;
	set_cpu_feature(X86_FEATURE_IBT, on & JIT_IBT);
	set_cpu_feature(X86_FEATURE_RETPOLINE, on & (JIT_RETPOLINE | JIT_LFENCE));
	set_cpu_feature(X86_FEATURE_RETPOLINE_LFENCE, on & JIT_LFENCE);
	set_cpu_feature(X86_FEATURE_CALL_DEPTH, on & JIT_CALL_DEPTH);
}

bool cpu_wants_rethunk(void)
{
	return features & JIT_RETHUNK;
}

/* inc dword ptr [depth] in place of the shift of the per-CPU depth */
int x86_call_depth_emit_accounting(u8 **pprog, void *func, void *ip)
{
	u8 *prog = *pprog;

	if (!(features & JIT_CALL_DEPTH))
		return 0;
	prog[0] = 0xff;
	prog[1] = 0x04;
	prog[2] = 0x25;
	*(u32 *)(prog + 3) = (u32)(unsigned long)&call_depth;
	*pprog += 7;
	return 7;
}

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

/* A program and all that leads to it */
struct prog {
	struct bpf_prog prog;
	struct bpf_prog_aux aux;
	struct bpf_link link;
	struct bpf_tramp_node node;
	struct bpf_tramp_node fexit;
	int index;
};

int jit_prog_index(void *prog)
{
	return container_of(prog, struct prog, prog)->index;
}

int jit_prog_has_session_cookie(void *prog)
{
	return ((struct bpf_prog *)prog)->call_session_cookie;
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
	prog->prog.call_session_cookie = p->wants_session_cookie;
	prog->prog.bpf_func = (void *)runtime_prog;
	prog->link.prog = &prog->prog;
	prog->node.link = &prog->link;
	prog->node.cookie = p->cookie;
	prog->node.cookies = p->cookies;
	prog->fexit = prog->node;
	return prog;
}

static void nodes_add(struct bpf_tramp_nodes *nodes, struct bpf_tramp_node *node)
{
	nodes->nodes[nodes->nr_nodes++] = node;
}

/* Flags are chosen as bpf_trampoline_update() does. */
int jit_generate(const struct jit_spec *spec, struct jit_image *image)
{
	struct bpf_tramp_nodes *tnodes = exec_alloc(BPF_TRAMP_MAX * sizeof(*tnodes));
	struct bpf_tramp_image *im = exec_alloc(sizeof(*im));
	void *func = (void *)spec->func;
	struct btf_func_model m;
	struct prog *prog;
	u32 flags = 0;
	int i, size;

	model_init(&m, spec);
	for (i = 0; i < spec->nr_progs; i++) {
		prog = prog_make(&spec->progs[i], i);
		if (spec->progs[i].attach != JIT_FEXIT)
			nodes_add(&tnodes[BPF_TRAMP_FENTRY], &prog->node);
		if (spec->progs[i].attach == JIT_FEXIT)
			nodes_add(&tnodes[BPF_TRAMP_FEXIT], &prog->node);
		if (spec->progs[i].attach == JIT_FSESSION)
			nodes_add(&tnodes[BPF_TRAMP_FEXIT], &prog->fexit);
		if (spec->progs[i].wants_ip)
			flags |= BPF_TRAMP_F_IP_ARG;
	}
	if (tnodes[BPF_TRAMP_FEXIT].nr_nodes)
		flags |= BPF_TRAMP_F_CALL_ORIG;
	else
		flags |= BPF_TRAMP_F_RESTORE_REGS;
	if (spec->shared) {
		flags |= BPF_TRAMP_F_SHARED;
		func = (void *)(features & JIT_IBT ? 4UL : 0UL);
	}
	if (spec->thunk)
		flags |= BPF_TRAMP_F_THUNK;

	size = arch_bpf_trampoline_size(&m, flags, tnodes, func);
	if (size < 0)
		return size;
	image->im = im;
	image->addr = exec_alloc(size);
	image->size = size;
	image->use_jmp = bpf_trampoline_use_jmp(flags);
	im->image = image->addr;
	im->size = size;
	/* gs is 0 here: a pointer to what each CPU has is one to memory */
	im->users = (unsigned long __force __percpu *)&refs;
	i = arch_prepare_bpf_trampoline(im, image->addr, image->addr + size, &m, flags, tnodes,
					func);
	return i < 0 ? i : 0;
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

void jit_thunk_write(void *thunk, void *gate, int call_orig, unsigned long ip,
		     unsigned long func, unsigned int nr)
{
	arch_bpf_thunk_write(thunk, thunk, gate, call_orig, ip, func, nr);
}

struct bpf_tramp_cookies *jit_cookies(unsigned int first, unsigned int nr)
{
	struct bpf_tramp_cookies *cookies;

	cookies = exec_alloc(struct_size(cookies, cookie, nr));
	cookies->first = first;
	return cookies;
}

unsigned long long *jit_cookie(struct bpf_tramp_cookies *cookies, unsigned int nr)
{
	return &cookies->cookie[nr - cookies->first];
}

unsigned long long jit_run_ctx_cookie(void *run_ctx)
{
	return ((struct bpf_tramp_run_ctx *)run_ctx)->bpf_cookie;
}

/*
 * The rest of the kernel
 */

struct cpuinfo_x86 boot_cpu_data;
struct mutex text_mutex;	/* there is one thread */
enum cfi_mode cfi_mode;
char _stext[1], _etext[1];
kmem_buckets kmalloc_caches[NR_KMALLOC_TYPES];

static const unsigned char nop5[] = { BYTES_NOP5 };
const unsigned char * const x86_nops[ASM_NOP_MAX + 1] = {
	[1] = (const unsigned char []){ BYTES_NOP1 },
	[2] = (const unsigned char []){ BYTES_NOP2 },
	[3] = (const unsigned char []){ BYTES_NOP3 },
	[4] = (const unsigned char []){ BYTES_NOP4 },
	[5] = nop5,
	[6] = (const unsigned char []){ BYTES_NOP6 },
	[7] = (const unsigned char []){ BYTES_NOP7 },
	[8] = (const unsigned char []){ BYTES_NOP8 },
};

void mutex_lock(struct mutex *lock)
{
}

void mutex_unlock(struct mutex *lock)
{
}

void *text_poke_copy(void *addr, const void *opcode, size_t len)
{
	return memcpy(addr, opcode, len);
}

void smp_text_poke_batch_add(void *addr, const void *opcode, size_t len, const void *emulate)
{
	memcpy(addr, opcode, len);
}

void smp_text_poke_batch_finish(void)
{
}

__noendbr bool is_endbr(u32 *val)
{
	return *val == gen_endbr();
}

u64 bpf_tramp_arena_base(const struct btf_func_model *m, struct bpf_tramp_nodes *tnodes, u32 flags)
{
	return 0;
}

bpf_trampoline_enter_t bpf_trampoline_enter(const struct bpf_prog *prog)
{
	return (bpf_trampoline_enter_t)runtime_enter;
}

bpf_trampoline_exit_t bpf_trampoline_exit(const struct bpf_prog *prog)
{
	return (bpf_trampoline_exit_t)runtime_exit;
}
