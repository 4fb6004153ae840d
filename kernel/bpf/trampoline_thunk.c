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

/**
 * struct bpf_tramp_thunks - a block of thunks
 * @node: in the trampoline's blocks
 * @tr: the trampoline
 * @ksym: their symbol
 * @name: of that
 * @image: where they are
 * @size: of @image, in bytes
 * @gate: the first is the gate
 * @nr: number of thunks
 * @rcu: to free it
 */
struct bpf_tramp_thunks {
	struct hlist_node node;
	struct bpf_trampoline *tr;
	struct bpf_ksym ksym;
	char name[32];
	void *image;
	u32 size;
	bool gate;
	u32 nr;
	struct rcu_head rcu;
};

static unsigned int thunks_offset(const struct bpf_tramp_thunks *thunks, u32 i)
{
	return (i + thunks->gate) * arch_bpf_thunk_size();
}

/* The gate, if the block has it, and a thunk for each site */
static noinline int thunks_write(struct bpf_tramp_thunks *thunks, const struct bpf_tramp_set *set,
				 const struct list_head *sites)
{
	void *rw = kvmalloc(thunks->size, GFP_KERNEL), *image;
	const struct bpf_tramp_site *site;
	unsigned int off;
	u32 i = 0;

	if (!rw)
		return -ENOMEM;
	if (thunks->gate)
		arch_bpf_gate_write(rw, thunks->image, set->prepared);
	list_for_each_entry(site, sites, list) {
		off = thunks_offset(thunks, i++);
		arch_bpf_thunk_write(rw + off, thunks->image + off, set->tr->gate,
				     set->kind == BPF_TRAMP_KIND_ORIG, site->ip,
				     site->ip - set->class.ip_off, site->nr);
	}
	image = bpf_arch_text_copy(thunks->image, rw, thunks->size);
	kvfree(rw);
	return PTR_ERR_OR_ZERO(image);
}
ALLOW_ERROR_INJECTION(thunks_write, ERRNO);

static void thunks_publish(struct bpf_tramp_thunks *thunks)
{
	thunks->tr->nr_thunks += thunks->nr;
	hlist_add_head(&thunks->node, &thunks->tr->thunks);

	INIT_LIST_HEAD_RCU(&thunks->ksym.lnode);
	snprintf(thunks->name, sizeof(thunks->name), "bpf_thunks_set_%u", (u32)thunks->tr->key);
	thunks->ksym.name = thunks->name;
	bpf_image_ksym_init(thunks->image, thunks->size, &thunks->ksym);
	if (thunks->tr->flags & BPF_TRAMP_F_CALL_ORIG)
		arch_bpf_thunks_ksym(&thunks->ksym);
	bpf_image_ksym_add(&thunks->ksym);
}

static void thunks_free_image(struct bpf_tramp_thunks *thunks)
{
	if (thunks->gate)
		thunks->tr->gate = NULL;
	arch_free_bpf_trampoline(thunks->image, thunks->size);
	bpf_jit_uncharge_modmem(thunks->size);
}

/**
 * bpf_tramp_thunks_make - make thunks for sites that join a set
 * @set: the set, with a body, which is the prepared one if these are its first
 * @sites: the sites, with numbers
 * @nr: how many these are
 *
 * Context: may sleep; bpf_tramp_sets_mutex is held.
 * Return: the block, or an error.
 */
struct bpf_tramp_thunks *bpf_tramp_thunks_make(struct bpf_tramp_set *set,
					       const struct list_head *sites, u32 nr)
{
	struct bpf_tramp_thunks *thunks = kzalloc_obj(*thunks);
	int err = -ENOMEM;

	if (!thunks)
		return ERR_PTR(err);
	thunks->tr = set->tr;
	thunks->nr = nr;
	thunks->gate = !set->tr->gate;
	thunks->size = thunks_offset(thunks, nr);
	if (bpf_jit_charge_modmem(thunks->size))
		goto out_free;
	thunks->image = arch_alloc_bpf_near_trampoline(thunks->size);
	if (!thunks->image)
		goto out_uncharge;
	if (thunks->gate)
		set->tr->gate = thunks->image;
	err = thunks_write(thunks, set, sites);
	if (err) {
		thunks_free_image(thunks);
		goto out_free;
	}
	thunks_publish(thunks);
	return thunks;

out_uncharge:
	bpf_jit_uncharge_modmem(thunks->size);
out_free:
	kfree(thunks);
	return ERR_PTR(err);
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

/**
 * bpf_tramp_thunks_free - free a block
 * @thunks: the block, which no task can be in
 */
void bpf_tramp_thunks_free(struct bpf_tramp_thunks *thunks)
{
	/* where it has died in the middle, functions may still branch here */
	if (ftrace_is_dead())
		return;
	hlist_del(&thunks->node);
	thunks->tr->nr_thunks -= thunks->nr;
	bpf_image_ksym_del(&thunks->ksym);
	thunks_free_image(thunks);
	kfree_rcu(thunks, rcu);
}

/**
 * bpf_tramp_thunks_free_all - free what is left of a trampoline's thunks
 * @tr: trampoline without images
 */
void bpf_tramp_thunks_free_all(struct bpf_trampoline *tr)
{
	struct bpf_tramp_thunks *thunks;
	struct hlist_node *tmp;

	hlist_for_each_entry_safe(thunks, tmp, &tr->thunks, node)
		bpf_tramp_thunks_free(thunks);
}

/**
 * bpf_tramp_thunks_are_wasted - are the sites better off in a new set?
 * @set: the set
 *
 * Return: true if sites have left more thunks than they have.
 */
bool bpf_tramp_thunks_are_wasted(const struct bpf_tramp_set *set)
{
	return set->tr && set->tr->nr_thunks > 2 * set->nr_sites;
}

/**
 * bpf_tramp_thunks_size - what the thunks of a set take
 * @set: the set
 *
 * Return: their size and that of the gate, in bytes.
 */
u32 bpf_tramp_thunks_size(const struct bpf_tramp_set *set)
{
	if (!set->tr || !set->tr->gate)
		return 0;
	return (set->tr->nr_thunks + 1) * arch_bpf_thunk_size();
}
