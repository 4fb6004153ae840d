// SPDX-License-Identifier: GPL-2.0-only
/*
 * Thunks: what the sites of a set branch to when its body has to know which of
 * them it runs for, to call the function or to look up a cookie.
 *
 * They lie in blocks, one for the sites that join a set together. The set's gate
 * is in front of the first: all thunks go through it, so that a new body is no
 * change to them.
 *
 * A function that a thunk has called returns to it, and holds a reference on the
 * image that is to run then. So thunks go when all images of their set have gone.
 * When sites have left more thunks than are in use, the others move to a new set.
 */
#include "trampoline_set_internal.h"

/* What the trampoline of a set with thunks has more */
struct bpf_tramp_gate {
	struct list_head blocks;
	void *image;		/* the gate, in the first block */
	u32 nr;			/* thunks */
};

/**
 * struct bpf_tramp_thunks - a block of thunks
 * @list: in the gate's blocks, once written
 * @tr: the trampoline
 * @ksym: their symbol
 * @name: of that
 * @image: where they are
 * @rw: where they are generated
 * @size: of @image, in bytes
 * @gate: the first is the gate
 * @nr: number of thunks
 * @rcu: to free it
 */
struct bpf_tramp_thunks {
	struct list_head list;
	struct bpf_trampoline *tr;
	struct bpf_ksym ksym;
	char name[32];
	void *image;
	void *rw;
	u32 size;
	bool gate;
	u32 nr;
	struct rcu_head rcu;
};

/**
 * bpf_tramp_gate_switch - send all thunks of a trampoline to another image
 * @tr: trampoline with thunks
 * @im: the image; NULL: no site branches to a thunk any more
 *
 * Context: may sleep; bpf_tramp_sets_mutex is held.
 */
void bpf_tramp_gate_switch(struct bpf_trampoline *tr, const struct bpf_tramp_image *im)
{
	arch_bpf_gate_switch(tr->gate->image, im);
}

static unsigned int thunks_offset(const struct bpf_tramp_thunks *thunks, u32 i)
{
	return (i + thunks->gate) * arch_bpf_thunk_size();
}

/**
 * bpf_tramp_thunks_alloc - begin to make thunks for sites that join a set
 * @set: the set, with a body
 * @nr: number of the sites
 *
 * Return: the block, without thunks; NULL if there is no memory.
 */
struct bpf_tramp_thunks *bpf_tramp_thunks_alloc(struct bpf_tramp_set *set, u32 nr)
{
	struct bpf_tramp_gate *gate = set->tr->gate;
	struct bpf_tramp_thunks *thunks;

	thunks = kzalloc_obj(*thunks);
	if (!thunks)
		return NULL;
	INIT_LIST_HEAD(&thunks->list);
	thunks->tr = set->tr;
	thunks->gate = !gate->image;
	thunks->size = thunks_offset(thunks, nr);
	thunks->rw = kvmalloc(thunks->size, GFP_KERNEL);
	if (!thunks->rw || bpf_jit_charge_modmem(thunks->size))
		goto out_free;
	thunks->image = arch_alloc_bpf_near_trampoline(thunks->size);
	if (!thunks->image)
		goto out_uncharge;
	if (thunks->gate) {
		gate->image = thunks->image;
		arch_bpf_gate_write(thunks->rw, gate->image, set->tr->cur_image);
	}
	return thunks;

out_uncharge:
	bpf_jit_uncharge_modmem(thunks->size);
out_free:
	kvfree(thunks->rw);
	kfree(thunks);
	return NULL;
}

/**
 * bpf_tramp_thunks_add - make a thunk
 * @thunks: the block
 * @set: the set
 * @site: the site, with a number
 */
void bpf_tramp_thunks_add(struct bpf_tramp_thunks *thunks, struct bpf_tramp_set *set,
			  const struct bpf_tramp_site *site)
{
	unsigned int off = thunks_offset(thunks, thunks->nr++);

	arch_bpf_thunk_write(thunks->rw + off, thunks->image + off, thunks->tr->gate->image,
			     set->kind == BPF_TRAMP_KIND_ORIG, site->ip,
			     site->ip - set->class.ip_off, site->nr);
}

/**
 * bpf_tramp_thunks_get - where one of the sites branches to
 * @thunks: the block, with all thunks
 * @i: which of the sites
 *
 * Return: the address, as ftrace's direct calls take it.
 */
unsigned long bpf_tramp_thunks_get(const struct bpf_tramp_thunks *thunks, u32 i)
{
	unsigned long addr = (unsigned long)thunks->image + thunks_offset(thunks, i);

	return bpf_trampoline_use_jmp(thunks->tr->flags) ? ftrace_jmp_set(addr) : addr;
}

static void thunks_perf_event(struct bpf_tramp_thunks *thunks, bool unregister)
{
	perf_event_ksymbol(PERF_RECORD_KSYMBOL_TYPE_BPF, thunks->ksym.start, thunks->size,
			   unregister, thunks->ksym.name);
}

/**
 * bpf_tramp_thunks_write - make the thunks of a block executable
 * @thunks: the block, with all thunks that it has room for
 *
 * Return: 0 or an error.
 */
int bpf_tramp_thunks_write(struct bpf_tramp_thunks *thunks)
{
	void *image = bpf_arch_text_copy(thunks->image, thunks->rw, thunks->size);

	kvfree(thunks->rw);
	thunks->rw = NULL;
	if (IS_ERR(image))
		return PTR_ERR(image);
	thunks->tr->gate->nr += thunks->nr;
	list_add(&thunks->list, &thunks->tr->gate->blocks);

	INIT_LIST_HEAD_RCU(&thunks->ksym.lnode);
	snprintf(thunks->name, sizeof(thunks->name), "bpf_thunks_set_%u", (u32)thunks->tr->key);
	thunks->ksym.name = thunks->name;
	bpf_image_ksym_init(thunks->image, thunks->size, &thunks->ksym);
	if (thunks->tr->flags & BPF_TRAMP_F_CALL_ORIG)
		arch_bpf_thunks_ksym(&thunks->ksym);
	bpf_ksym_add(&thunks->ksym);
	thunks_perf_event(thunks, false);
	return 0;
}
ALLOW_ERROR_INJECTION(bpf_tramp_thunks_write, ERRNO);

/**
 * bpf_tramp_thunks_free - free a block
 * @thunks: the block, which no task can be in
 */
void bpf_tramp_thunks_free(struct bpf_tramp_thunks *thunks)
{
	struct bpf_tramp_gate *gate = thunks->tr->gate;

	/* where it has died in the middle, functions may still branch here */
	if (ftrace_is_dead())
		return;
	if (!list_empty(&thunks->list)) {
		list_del(&thunks->list);
		bpf_ksym_del(&thunks->ksym);
		thunks_perf_event(thunks, true);
		gate->nr -= thunks->nr;
	}
	if (thunks->gate)
		gate->image = NULL;
	arch_free_bpf_trampoline(thunks->image, thunks->size);
	bpf_jit_uncharge_modmem(thunks->size);
	kvfree(thunks->rw);
	kfree_rcu(thunks, rcu);
}

/**
 * bpf_tramp_gate_alloc - a trampoline is to have thunks
 * @tr: the trampoline, gets the gate
 *
 * Return: 0 or -ENOMEM.
 */
int bpf_tramp_gate_alloc(struct bpf_trampoline *tr)
{
	tr->gate = kzalloc_obj(*tr->gate);
	if (!tr->gate)
		return -ENOMEM;
	INIT_LIST_HEAD(&tr->gate->blocks);
	return 0;
}

/**
 * bpf_tramp_gate_free - free what is left of a trampoline's thunks
 * @tr: trampoline without images
 */
void bpf_tramp_gate_free(struct bpf_trampoline *tr)
{
	struct bpf_tramp_thunks *thunks, *tmp;

	if (!tr->gate)
		return;
	list_for_each_entry_safe(thunks, tmp, &tr->gate->blocks, list)
		bpf_tramp_thunks_free(thunks);
	kfree(tr->gate);
}

/**
 * bpf_tramp_thunks_are_wasted - are the sites better off in a new set?
 * @set: the set
 *
 * Return: true if sites have left more thunks than they have.
 */
bool bpf_tramp_thunks_are_wasted(const struct bpf_tramp_set *set)
{
	const struct bpf_tramp_gate *gate = set->tr ? set->tr->gate : NULL;

	return gate && gate->nr > 2 * set->nr_sites;
}

/**
 * bpf_tramp_thunks_size - what the thunks of a set take
 * @set: the set
 *
 * Return: their size and that of the gate, in bytes.
 */
u32 bpf_tramp_thunks_size(const struct bpf_tramp_set *set)
{
	const struct bpf_tramp_gate *gate = set->tr ? set->tr->gate : NULL;

	return gate ? (gate->nr + 1) * arch_bpf_thunk_size() : 0;
}
