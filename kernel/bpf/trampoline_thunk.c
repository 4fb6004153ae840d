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
 * image that is to run then. So a block whose last site has left goes when all
 * images have gone that can have been in use while it had sites, which are told
 * by their numbers. When more thunks wait for that than are in use the set gets
 * a new body, so that they need not wait for long.
 */
#include <linux/bpf.h>
#include <linux/error-injection.h>
#include <linux/filter.h>
#include <linux/ftrace.h>
#include <linux/perf_event.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "trampoline.h"
#include "trampoline_set.h"

/* What the trampoline of a set with thunks has more */
struct bpf_tramp_gate {
	struct list_head blocks;
	struct bpf_trampoline *tr;
	struct work_struct reap;
	void *image;		/* the gate, in the first block */
	u32 seq;		/* number of the last image */
	u32 nr_used;		/* thunks of sites */
	u32 nr_dead;		/* thunks in blocks that wait for images to go */
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
 * @gate: the first is the gate; the block goes with the trampoline
 * @dead: no site branches here, no task is on its way from a site into an image
 * @nr: number of thunks
 * @nr_used: number of those that sites branch to
 * @first: number of the first image that the thunks can have been used with
 * @last: number of the last one, if @dead
 * @rcu: for @dead, then to free it
 * @work: for @dead
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
	bool dead;
	u32 nr;
	u32 nr_used;
	u32 first;
	u32 last;
	union {
		struct rcu_head rcu;
		struct work_struct work;
	};
};

/**
 * bpf_tramp_gate_prepare - number a new image
 * @tr: trampoline with a gate; the image is the current one
 */
void bpf_tramp_gate_prepare(struct bpf_trampoline *tr)
{
	tr->cur_image->seq = ++tr->gate->seq;
}

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
	struct bpf_tramp_image *im = set->old_image ?: set->tr->cur_image;
	struct bpf_tramp_gate *gate = set->tr->gate;
	struct bpf_tramp_thunks *thunks;

	thunks = kzalloc_obj(*thunks);
	if (!thunks)
		return NULL;
	INIT_LIST_HEAD(&thunks->list);
	thunks->tr = set->tr;
	thunks->first = im->seq;
	thunks->gate = !gate->image;
	thunks->size = thunks_offset(thunks, nr);
	thunks->rw = kvmalloc(thunks->size, GFP_KERNEL);
	if (!thunks->rw || bpf_jit_charge_modmem(thunks->size))
		goto out_free;
	thunks->image = arch_alloc_bpf_trampoline(thunks->size);
	if (!thunks->image)
		goto out_uncharge;
	if (thunks->gate) {
		gate->image = thunks->image;
		arch_bpf_gate_write(thunks->rw, gate->image, im);
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
 * bpf_tramp_thunks_get - which thunk of a set is it?
 * @thunks: the block
 * @i: number of the thunk in the block
 *
 * Return: its address.
 */
unsigned long bpf_tramp_thunks_get(const struct bpf_tramp_thunks *thunks, u32 i)
{
	return (unsigned long)thunks->image + thunks_offset(thunks, i);
}

/**
 * bpf_tramp_thunk_addr - where a site branches to
 * @set: the set
 * @thunk: what bpf_tramp_thunks_get() has returned
 *
 * Return: the address, as ftrace's direct calls take it.
 */
unsigned long bpf_tramp_thunk_addr(const struct bpf_tramp_set *set, unsigned long thunk)
{
	return bpf_trampoline_use_jmp(set->tr->flags) ? ftrace_jmp_set(thunk) : thunk;
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
	thunks->nr_used = thunks->nr;
	thunks->tr->gate->nr_used += thunks->nr;
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
		gate->nr_used -= thunks->nr_used;
		if (thunks->dead)
			gate->nr_dead -= thunks->nr;
	}
	if (thunks->gate)
		gate->image = NULL;
	arch_free_bpf_trampoline(thunks->image, thunks->size);
	bpf_jit_uncharge_modmem(thunks->size);
	kvfree(thunks->rw);
	kfree_rcu(thunks, rcu);
}

/* Free thunks that cannot be in use any more. */
static void gate_reap(struct bpf_trampoline *tr)
{
	struct bpf_tramp_thunks *thunks, *tmp;

	list_for_each_entry_safe(thunks, tmp, &tr->gate->blocks, list)
		if (thunks->dead && !bpf_trampoline_has_image(tr, thunks->first, thunks->last))
			bpf_tramp_thunks_free(thunks);
}

static void gate_reap_work(struct work_struct *work)
{
	struct bpf_tramp_gate *gate = container_of(work, struct bpf_tramp_gate, reap);
	struct bpf_trampoline *tr = gate->tr;

	scoped_guard(mutex, &bpf_tramp_sets_mutex)
		gate_reap(tr);
	bpf_trampoline_put(tr);
}

/**
 * bpf_tramp_gate_reap_later - free thunks that cannot be in use any more, soon
 * @tr: trampoline that has lost an image; the caller has a reference
 */
void bpf_tramp_gate_reap_later(struct bpf_trampoline *tr)
{
	if (!tr->gate)
		return;
	bpf_tramp_tr_get(tr);
	if (!bpf_tramp_queue(&tr->gate->reap))
		bpf_trampoline_put(tr);
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
	INIT_WORK(&tr->gate->reap, gate_reap_work);
	tr->gate->tr = tr;
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

static void thunks_dead_work(struct work_struct *work)
{
	struct bpf_tramp_thunks *thunks = container_of(work, struct bpf_tramp_thunks, work);
	struct bpf_trampoline *tr = thunks->tr;

	scoped_guard(mutex, &bpf_tramp_sets_mutex) {
		thunks->dead = true;
		thunks->last = tr->gate->seq;
		tr->gate->nr_dead += thunks->nr;
		gate_reap(tr);
	}
	bpf_trampoline_put(tr);
}

static void thunks_dead_rcu(struct rcu_head *rcu)
{
	struct bpf_tramp_thunks *thunks = container_of(rcu, struct bpf_tramp_thunks, rcu);

	INIT_WORK(&thunks->work, thunks_dead_work);
	bpf_tramp_queue(&thunks->work);
}

/**
 * bpf_tramp_thunk_put - a site does not branch to its thunk any more
 * @set: the site's set
 * @thunk: what bpf_tramp_thunks_get() has returned
 *
 * Context: bpf_tramp_sets_mutex is held.
 */
void bpf_tramp_thunk_put(struct bpf_tramp_set *set, unsigned long thunk)
{
	struct bpf_tramp_gate *gate = set->tr->gate;
	struct bpf_tramp_thunks *thunks;

	list_for_each_entry(thunks, &gate->blocks, list)
		if (thunk - (unsigned long)thunks->image < thunks->size)
			break;
	if (WARN_ON_ONCE(list_entry_is_head(thunks, &gate->blocks, list)))
		return;
	gate->nr_used--;
	if (--thunks->nr_used || thunks->gate)
		return;
	/* tasks may still be between the site and the image */
	bpf_tramp_tr_get(thunks->tr);
	call_rcu_tasks(&thunks->rcu, thunks_dead_rcu);
}

/**
 * bpf_tramp_thunks_are_wasted - is it time for a new body?
 * @set: the set
 *
 * Blocks of thunks that sites have left go with the images of that time.
 *
 * Return: true if more thunks wait for that than sites have.
 */
bool bpf_tramp_thunks_are_wasted(struct bpf_tramp_set *set)
{
	struct bpf_tramp_gate *gate = set->tr->gate;

	return gate && gate->nr_dead > gate->nr_used;
}
