// SPDX-License-Identifier: GPL-2.0-only
/*
 * tracing_multi links: the trampolines, images and call sites that
 * the engine (trampoline_set.h) works on.
 */
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/delay.h>
#include <linux/error-injection.h>
#include <linux/ftrace.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "trampoline.h"
#include "trampoline_set.h"
#include "tracing_multi.h"

static void class_init(struct bpf_tramp_class *class, const struct btf_func_model *m,
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

/*
 * Call sites: all direct calls of trampolines are in one ftrace_ops.
 */

struct bpf_tramp_batch {
	struct ftrace_hash *hash;
	u32 nr;
	struct ftrace_func_entry entries[] __counted_by(nr);
};

/**
 * bpf_tramp_batch_alloc - begin to patch sites in one go
 * @nr: number of sites
 *
 * Return: the empty batch, or NULL if there is no memory.
 */
struct bpf_tramp_batch *bpf_tramp_batch_alloc(u32 nr)
{
	struct bpf_tramp_batch *batch;

	batch = kvzalloc_flex(*batch, entries, nr);
	if (!batch)
		return NULL;
	batch->hash = alloc_ftrace_hash(clamp_t(int, fls(nr) - 1, 1, FTRACE_HASH_MAX_BITS));
	if (!batch->hash) {
		kvfree(batch);
		return NULL;
	}
	batch->nr = nr;
	return batch;
}

/**
 * bpf_tramp_batch_site - add a site to a batch
 * @batch: the batch
 * @ip: ftrace location
 * @addr: where it is to branch to; to be deleted: where it branches to
 */
void bpf_tramp_batch_site(struct bpf_tramp_batch *batch, unsigned long ip, unsigned long addr)
{
	struct ftrace_func_entry *entry = &batch->entries[ftrace_hash_count(batch->hash)];

	entry->ip = ip;
	entry->direct = addr;
	add_ftrace_hash_entry(batch->hash, entry);
}

/**
 * bpf_tramp_batch_run - patch the sites
 * @batch: the batch
 * @op: what to do
 *
 * Return: 0, or an error of ftrace with no site changed, or, if ftrace has died
 *         meanwhile, some.
 */
int bpf_tramp_batch_run(struct bpf_tramp_batch *batch, enum bpf_tramp_batch_op op)
{
	switch (op) {
	case BPF_TRAMP_BATCH_ADD:
		return update_ftrace_direct_add(&direct_ops, batch->hash);
	case BPF_TRAMP_BATCH_MOD:
		return update_ftrace_direct_mod(&direct_ops, batch->hash);
	case BPF_TRAMP_BATCH_DEL:
		return update_ftrace_direct_del(&direct_ops, batch->hash);
	}
	return -EINVAL;
}
ALLOW_ERROR_INJECTION(bpf_tramp_batch_run, ERRNO);

/**
 * bpf_tramp_batch_free - end a batch
 * @batch: the batch
 */
void bpf_tramp_batch_free(struct bpf_tramp_batch *batch)
{
	/* the entries are ours */
	ftrace_hash_remove(batch->hash);
	free_ftrace_hash(batch->hash);
	kvfree(batch);
}

/**
 * bpf_tramp_ip_is_taken - does the function branch to a trampoline?
 * @ip: ftrace location of a function that is no site and has no dedicated
 *      trampoline
 *
 * Return: true if another user of ftrace's direct calls has it.
 */
bool bpf_tramp_ip_is_taken(unsigned long ip)
{
	return ftrace_find_rec_direct(ip);
}

/*
 * Trampolines
 */

/**
 * bpf_tramp_tr_alloc - trampoline of a set
 * @set: the set
 *
 * Return: a trampoline without programs, or NULL if there is no memory.
 */
struct bpf_trampoline *bpf_tramp_tr_alloc(const struct bpf_tramp_set *set)
{
	const struct bpf_tramp_class *class = &set->class;
	struct bpf_trampoline *tr;
	u32 flags;

	if (class->solo)
		flags = 0;
	else if (set->kind == BPF_TRAMP_KIND_ENTRY)
		flags = BPF_TRAMP_F_SHARED;
	else
		flags = BPF_TRAMP_F_SHARED | BPF_TRAMP_F_THUNK;
	tr = bpf_trampoline_alloc_set(&class->model, class->solo, class->ip_off, flags);
	if (!tr || !(flags & BPF_TRAMP_F_THUNK))
		return tr;
	if (!bpf_tramp_gate_alloc(tr))
		return tr;
	bpf_trampoline_put(tr);
	return NULL;
}

static bool prog_calls_orig(const struct bpf_prog *prog)
{
	return prog->expected_attach_type != BPF_TRACE_FENTRY_MULTI;
}

/**
 * bpf_tramp_prog_thunk_calls - do the thunks of a set call the function?
 * @prog: program of a tracing_multi link of the set
 *
 * Return: true if they have to for this program.
 */
bool bpf_tramp_prog_thunk_calls(const struct bpf_prog *prog)
{
	return prog_calls_orig(prog) && arch_bpf_thunk_calls();
}

/**
 * bpf_tramp_tr_class - class of the function of a dedicated trampoline
 * @tr: the trampoline
 * @class: is filled in, with no pin
 */
void bpf_tramp_tr_class(struct bpf_trampoline *tr, struct bpf_tramp_class *class)
{
	class_init(class, &tr->func.model, tr->ip, (unsigned long)tr->func.addr);
}

/**
 * bpf_tramp_tr_get - get a reference on a trampoline
 * @tr: the trampoline
 */
void bpf_tramp_tr_get(struct bpf_trampoline *tr)
{
	refcount_inc(&tr->refcnt);
}

/**
 * bpf_tramp_tr_has_images - may a task still be in an image of a trampoline?
 * @tr: the trampoline
 *
 * Context: a reference on @tr is held. The answer can be late: true when it has
 *          become false.
 * Return: true if so.
 */
bool bpf_tramp_tr_has_images(struct bpf_trampoline *tr)
{
	return !list_empty(&tr->images);
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
 * bpf_tramp_tr_has_room - would bpf_tramp_tr_add() take a program?
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
 * bpf_tramp_tr_add - add a link's program to a trampoline's programs
 * @tr: the trampoline
 * @node: the program
 *
 * Return: 0, -EBUSY if it is there already, -E2BIG if there is no place.
 */
int bpf_tramp_tr_add(struct bpf_trampoline *tr, struct bpf_tramp_node *node)
{
	return bpf_trampoline_add_prog(tr, node, bpf_trampoline_nr_progs(tr));
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

/*
 * Bodies. bpf_trampoline_update() makes the new image the current one, while the
 * set keeps the old one until commit or abort.
 */

static int set_image(struct bpf_trampoline *tr, struct bpf_tramp_image *im, void *data)
{
	tr->cur_image = im;
	return 0;
}

static int set_new_image(struct bpf_trampoline *tr, u32 orig_flags, struct bpf_tramp_image *im,
			 void *data)
{
	return set_image(tr, im, data);
}

static int set_no_image(struct bpf_trampoline *tr, u32 orig_flags, void *data)
{
	/* trampolines without programs are retired, not updated */
	WARN_ON_ONCE(1);
	return -EINVAL;
}

static const struct bpf_trampoline_ops set_ops = {
	.register_fentry	= set_image,
	.modify_fentry		= set_new_image,
	.unregister_fentry	= set_no_image,
};

/**
 * bpf_tramp_body_prepare - generate a body for a set's trampoline
 * @set: the set, its trampoline has the set's programs
 *
 * To be followed by bpf_tramp_body_commit() or bpf_tramp_body_abort().
 *
 * Return: 0, or an error with nothing changed.
 */
int bpf_tramp_body_prepare(struct bpf_tramp_set *set)
{
	struct bpf_trampoline *tr = set->tr;
	int err;

	set->old_image = tr->cur_image;
	set->old_flags = tr->flags;
	err = bpf_trampoline_update(tr, &set_ops, NULL);
	if (err) {
		set->old_image = NULL;
		return err;
	}
	if (tr->gate)
		bpf_tramp_gate_prepare(tr);
	else if (!set->entry && bpf_tramp_class_has_entry(&set->class))
		set->entry = tr->cur_image;
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
		return arch_bpf_entry_switch(set->entry, set->old_image, set->tr->cur_image);
	bpf_tramp_gate_switch(set->tr, set->tr->cur_image);
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
	/* the entry stays, and with it the body behind it */
	if (set->old_image && set->old_image != set->entry)
		image_put(set->old_image);
	set->old_image = NULL;
}

/**
 * bpf_tramp_body_abort - the prepared body is not used
 * @set: the set
 */
void bpf_tramp_body_abort(struct bpf_tramp_set *set)
{
	image_put(set->tr->cur_image);
	set->tr->cur_image = set->old_image;
	set->tr->flags = set->old_flags;
	set->old_image = NULL;
	if (!set->tr->cur_image)
		set->entry = NULL;
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
		bpf_tramp_gate_switch(tr, NULL);
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
	struct bpf_trampoline *tr = set->tr;
	unsigned long addr;

	addr = (unsigned long)(set->entry ?: tr->cur_image)->image;
	if (bpf_trampoline_use_jmp(tr->flags))
		addr = ftrace_jmp_set(addr);
	return addr;
}

/*
 * Tidying: what need not be done before close() returns
 */

/* Links that go together are tidied up after together. */
#define TIDY_DELAY	(HZ / 50)
#define TIDY_RETRY	(1UL * HZ)
#define TIDY_RETRY_MAX	(64UL * HZ)

struct workqueue_struct *bpf_tramp_wq;

static void tidy_work_fn(struct work_struct *work)
{
	static unsigned long retry = TIDY_RETRY;
	int err = bpf_tramp_sets_tidy();

	/* ever more rarely; ftrace that has given up stays so */
	if (err && err != -ENODEV)
		queue_delayed_work(bpf_tramp_wq, to_delayed_work(work), retry);
	retry = err ? min(2 * retry, TIDY_RETRY_MAX) : TIDY_RETRY;
}

static DECLARE_DELAYED_WORK(tidy_work, tidy_work_fn);

/**
 * bpf_tramp_tidy_later - have bpf_tramp_sets_tidy() called soon
 */
void bpf_tramp_tidy_later(void)
{
	mod_delayed_work(bpf_tramp_wq, &tidy_work, TIDY_DELAY);
}

/**
 * bpf_tramp_queue - queue work that waits for bpf_tramp_sets_mutex
 * @work: the work
 *
 * Return: false if it was queued already.
 */
bool bpf_tramp_queue(struct work_struct *work)
{
	return queue_work(bpf_tramp_wq, work);
}

static bool ip_is_in(unsigned long ip, void *mod)
{
	return within_module(ip, mod);
}

/* Links keep the modules of their functions, what they leave does not. */
static int module_going(struct notifier_block *nb, unsigned long val, void *mod)
{
	int err;

	if (val != MODULE_STATE_GOING)
		return NOTIFY_OK;
	for (;;) {
		err = bpf_tramp_sets_leave(ip_is_in, mod);
		if (!err || err == -ENODEV)
			return NOTIFY_OK;
		msleep(20);
	}
}

static struct notifier_block module_nb = {
	.notifier_call = module_going,
};

/*
 * Cookies
 */

/**
 * bpf_tramp_cookies_alloc - make room for the cookies of a link
 * @first: number of the first site
 * @nr: number of sites
 *
 * Return: the cookies, all 0; NULL if there is no memory.
 */
struct bpf_tramp_cookies *bpf_tramp_cookies_alloc(u32 first, u32 nr)
{
	struct bpf_tramp_cookies *cookies;

	cookies = kvzalloc_flex(*cookies, cookie, nr);
	if (cookies) {
		refcount_set(&cookies->refcnt, 1);
		cookies->first = first;
	}
	return cookies;
}

/**
 * bpf_tramp_cookies_get - get a reference on cookies
 * @cookies: the cookies, or NULL
 *
 * Return: @cookies.
 */
struct bpf_tramp_cookies *bpf_tramp_cookies_get(struct bpf_tramp_cookies *cookies)
{
	if (cookies)
		refcount_inc(&cookies->refcnt);
	return cookies;
}

/**
 * bpf_tramp_cookies_put - put a reference on cookies
 * @cookies: the cookies, or NULL
 */
void bpf_tramp_cookies_put(struct bpf_tramp_cookies *cookies)
{
	if (cookies && refcount_dec_and_test(&cookies->refcnt))
		kvfree(cookies);
}

/*
 * Links
 */

/**
 * bpf_tracing_multi_checked - what a program's functions are checked for
 * @prog: the program
 *
 * What bpf_check_attach_btf_id_multi() checks depends on the function, and on
 * the program only by this.
 *
 * Return: a bit for &struct bpf_tramp_site.checked.
 */
u32 bpf_tracing_multi_checked(const struct bpf_prog *prog)
{
	return BIT(2 * prog_calls_orig(prog) + prog->sleepable);
}

/**
 * bpf_tracing_multi_class - set the class of a function
 * @req: the function, its location and address are known
 * @m: its model
 */
void bpf_tracing_multi_class(struct bpf_tramp_req *req, const struct btf_func_model *m)
{
	class_init(&req->class, m, req->ip, req->addr);
}

/**
 * bpf_trampoline_multi_attach - attach a tracing_multi link
 * @funcs: the link and its functions; refuses those that have no place for its
 *         program
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex.
 * Return: 0; 1 if bpf_tracing_multi_ip() needs the link's @ips; or an error of
 *         bpf_tramp_sets_attach(), with nothing changed.
 */
int bpf_trampoline_multi_attach(struct bpf_tracing_multi_funcs *funcs)
{
	struct bpf_tracing_multi_link *link = funcs->link;
	struct bpf_prog *prog = link->link.prog;
	bool cookies = link->cookies && prog->call_attach_cookie;

	/* converted arguments are for struct_ops only */
	if (WARN_ON_ONCE(bpf_prog_has_arena_ctx_arg(prog)))
		return -EOPNOTSUPP;

	return bpf_tramp_sets_attach(&link->link, &link->tuples, funcs->reqs, funcs->cnt,
				     cookies, funcs->skip);
}

/**
 * bpf_tracing_multi_ip - ftrace location of a function of a link
 * @link: an attached link
 * @obj_id: BTF object of the function
 * @i: which of the link's functions
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex.
 * Return: the ftrace location.
 */
unsigned long bpf_tracing_multi_ip(const struct bpf_tracing_multi_link *link, u32 obj_id, u32 i)
{
	struct bpf_tramp_site *site;

	if (link->ips)
		return link->ips[i];
	guard(mutex)(&bpf_tramp_sets_mutex);
	site = bpf_tramp_site_find(obj_id, link->ids[i]);
	/* closed while its file is still open */
	return site ? site->ip : 0;
}

/**
 * bpf_trampoline_multi_detach - detach a tracing_multi link
 * @link: the link
 *
 * When it returns the program does not run any more. The functions leave ftrace
 * soon after.
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex.
 */
void bpf_trampoline_multi_detach(struct bpf_tracing_multi_link *link)
{
	bpf_tramp_sets_detach(&link->tuples);
	bpf_tramp_tidy_later();
}

static int __init tracing_multi_init(void)
{
	bpf_tramp_wq = alloc_ordered_workqueue("bpf_tracing_multi", 0);
	if (!bpf_tramp_wq)
		return -ENOMEM;
	return bpf_tramp_sets_init() ?: register_module_notifier(&module_nb);
}
core_initcall(tracing_multi_init);
