// SPDX-License-Identifier: GPL-2.0-only
/*
 * Trampolines of sets, and their bodies: what the engine has of trampoline.c.
 *
 * See trampoline_set.h for the words and the locking.
 */
#include <linux/bpf.h>
#include <linux/error-injection.h>
#include <linux/ftrace.h>
#include <linux/list.h>
#include <linux/string.h>

#include "trampoline.h"
#include "trampoline_set.h"

/**
 * bpf_tramp_class_init - set a class to that of a function
 * @class: the class, with no pin then
 * @m: the function's model
 * @ip: its ftrace location
 * @addr: its address
 */
void bpf_tramp_class_init(struct bpf_tramp_class *class, const struct btf_func_model *m,
			  unsigned long ip, unsigned long addr)
{
	/* It is compared and hashed as memory: no padding. */
	BUILD_BUG_ON(sizeof(*class) != sizeof(class->model) + sizeof(class->ip_off) +
		     sizeof(class->pad) + sizeof(class->solo) + sizeof(class->pin));

	memset(class, 0, sizeof(*class));
	class->model = *m;
	arch_bpf_canonical_model(&class->model);
	class->ip_off = ip - addr;
}

/**
 * bpf_tramp_tr_alloc - trampoline of a set
 * @set: the set
 *
 * Return: a trampoline without programs, or NULL if there is no memory.
 */
struct bpf_trampoline *bpf_tramp_tr_alloc(const struct bpf_tramp_set *set)
{
	const struct bpf_tramp_class *class = &set->class;
	u32 flags;

	if (set->kind == BPF_TRAMP_KIND_ALONE)
		flags = class->solo ? BPF_TRAMP_F_ORIG_STACK : 0;
	else if (set->kind == BPF_TRAMP_KIND_ENTRY)
		flags = BPF_TRAMP_F_SHARED;
	else
		flags = BPF_TRAMP_F_SHARED | BPF_TRAMP_F_THUNK;
	return bpf_trampoline_alloc_set(&class->model, set->func, class->ip_off, flags);
}

/**
 * bpf_tramp_prog_thunk_calls - do the thunks of a set call the function?
 * @prog: program of a tracing_multi link of the set
 *
 * Return: true if they have to for this program.
 */
bool bpf_tramp_prog_thunk_calls(const struct bpf_prog *prog)
{
	return prog->expected_attach_type != BPF_TRACE_FENTRY_MULTI && arch_bpf_thunk_calls();
}

/**
 * bpf_tramp_tr_class - class of the function of a dedicated trampoline
 * @tr: the trampoline
 * @class: is filled in, with no pin
 */
void bpf_tramp_tr_class(struct bpf_trampoline *tr, struct bpf_tramp_class *class)
{
	bpf_tramp_class_init(class, &tr->func.model, tr->ip, (unsigned long)tr->func.addr);
}

/**
 * bpf_tramp_tr_has_own_progs - has it programs that sets do not serve?
 * @tr: dedicated trampoline
 *
 * Return: true if so.
 */
bool bpf_tramp_tr_has_own_progs(struct bpf_trampoline *tr)
{
	struct bpf_tramp_node *node;
	int kind;

	for (kind = 0; kind < BPF_TRAMP_MAX; kind++)
		hlist_for_each_entry(node, &tr->progs_hlist[kind], tramp_hlist)
			if (node->link->type != BPF_LINK_TYPE_TRACING_MULTI)
				return true;
	return false;
}

/**
 * bpf_tramp_tr_has_room - would bpf_trampoline_add_prog() take a program?
 * @tr: the trampoline
 * @prog: the program
 *
 * Return: 0, -EBUSY if it is there already, -E2BIG if there is no place.
 */
int bpf_tramp_tr_has_room(const struct bpf_trampoline *tr, const struct bpf_prog *prog)
{
	bool session = prog->expected_attach_type == BPF_TRACE_FSESSION_MULTI;
	struct bpf_tramp_node *node;
	int kind;

	if (bpf_trampoline_nr_progs(tr) + session >= BPF_MAX_TRAMP_LINKS)
		return -E2BIG;
	for (kind = 0; kind < BPF_TRAMP_MAX; kind++)
		hlist_for_each_entry(node, &tr->progs_hlist[kind], tramp_hlist)
			if (node->link->prog == prog)
				return -EBUSY;
	return 0;
}

/**
 * bpf_tramp_tuple_fexit - node of a session's program at the function's return
 * @node: that at its entry
 *
 * Return: the node.
 */
struct bpf_tramp_node *bpf_tramp_tuple_fexit(struct bpf_tramp_node *node)
{
	return &container_of(node, struct bpf_tramp_tuple, node)->fexit;
}

/**
 * bpf_tramp_body_prepare - generate a body for a set's trampoline
 * @set: the set, its trampoline has the set's programs
 *
 * The set has it until bpf_tramp_body_commit() or bpf_tramp_body_abort().
 *
 * Return: 0, or an error with nothing changed.
 */
int bpf_tramp_body_prepare(struct bpf_tramp_set *set)
{
	struct bpf_trampoline *tr = set->tr;
	u32 old_flags = tr->flags;
	struct bpf_tramp_image *im;

	im = bpf_trampoline_generate(tr);
	if (IS_ERR(im))
		return PTR_ERR(im);
	set->prepared = im;
	set->old_flags = old_flags;
	return 0;
}
ALLOW_ERROR_INJECTION(bpf_tramp_body_prepare, ERRNO);

/**
 * bpf_tramp_body_switch - patch the set's entry to branch to the prepared body
 * @set: a shared set
 *
 * Return: 0, or an error with nothing changed.
 */
int bpf_tramp_body_switch(struct bpf_tramp_set *set)
{
	if (!set->tr->gate)
		return arch_bpf_entry_switch(set->entry, set->tr->cur_image, set->prepared);
	arch_bpf_gate_switch(set->tr->gate, set->prepared);
	return 0;
}
ALLOW_ERROR_INJECTION(bpf_tramp_body_switch, ERRNO);

/* Where ftrace has died in the middle, functions may still branch there: leave it. */
static void image_put(struct bpf_tramp_image *im)
{
	if (!ftrace_is_dead())
		bpf_tramp_image_put(im);
}

/**
 * bpf_tramp_body_commit - the prepared body is in use, retire the old one
 * @set: the set
 */
void bpf_tramp_body_commit(struct bpf_tramp_set *set)
{
	struct bpf_tramp_image *old = set->tr->cur_image;

	/* the entry stays, and with it the body behind it */
	if (old && old != set->entry)
		image_put(old);
	set->tr->cur_image = set->prepared;
	if (!set->entry && set->kind == BPF_TRAMP_KIND_ENTRY)
		set->entry = set->prepared;
	set->prepared = NULL;
}

/**
 * bpf_tramp_body_abort - the prepared body, if there is one, is not used
 * @set: the set
 */
void bpf_tramp_body_abort(struct bpf_tramp_set *set)
{
	if (!set->prepared)
		return;
	image_put(set->prepared);
	set->prepared = NULL;
	set->tr->flags = set->old_flags;
}

/**
 * bpf_tramp_body_retire - no site branches to the set any more
 * @set: the set
 */
void bpf_tramp_body_retire(struct bpf_tramp_set *set)
{
	struct bpf_trampoline *tr = set->tr;

	if (set->entry && set->entry != tr->cur_image)
		image_put(set->entry);
	/* functions that thunks have called return to their images */
	if (tr->gate)
		arch_bpf_gate_switch(tr->gate, NULL);
	if (tr->cur_image)
		image_put(tr->cur_image);
	set->entry = NULL;
	tr->cur_image = NULL;
}

/**
 * bpf_tramp_set_addr - where the sites of a set without thunks branch to
 * @set: the set; if a body is prepared, what will hold then
 *
 * Return: the address, as ftrace's direct calls take it.
 */
unsigned long bpf_tramp_set_addr(struct bpf_tramp_set *set)
{
	struct bpf_tramp_image *im = set->entry ?: set->prepared ?: set->tr->cur_image;
	unsigned long addr = (unsigned long)im->image;

	if (bpf_trampoline_use_jmp(set->tr->flags))
		addr = ftrace_jmp_set(addr);
	return addr;
}

/**
 * bpf_tramp_body_size - what the images of a set take
 * @set: the set
 *
 * Return: the size of its body, and of the entry in front of that, in bytes.
 */
u32 bpf_tramp_body_size(const struct bpf_tramp_set *set)
{
	const struct bpf_tramp_image *im = set->tr ? set->tr->cur_image : NULL;
	u32 size = im ? im->size : 0;

	return set->entry && set->entry != im ? size + set->entry->size : size;
}
