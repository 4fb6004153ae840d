// SPDX-License-Identifier: GPL-2.0-only
/*
 * tracing_multi links: from the caller's BTF ids to functions.
 *
 * A function that cannot be attached is refused here, with a reason, or by
 * trampoline_attach.c if it depends on what is attached to it already.
 */
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/fdtable.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/uaccess.h>

#include "trampoline_set.h"
#include "tracing_multi.h"

static struct bpf_tracing_multi_btf *func_btf(const struct bpf_tracing_multi_funcs *funcs,
					      const struct bpf_tramp_req *req)
{
	return xa_load(&funcs->link->btfs, req->obj_id);
}

/*
 * The link takes over the reference on @btf. A module that goes takes the object's
 * id away, so the caller reads that once. It is 0 for all whose module has gone.
 */
static int funcs_add_btf(struct bpf_tracing_multi_funcs *funcs, struct btf *btf, u32 obj_id)
{
	const struct btf *base = btf_base_btf(btf);
	struct bpf_tracing_multi_btf *obj;
	int err = -ENOMEM;

	if (xa_load(&funcs->link->btfs, obj_id)) {
		btf_put(btf);
		return 0;
	}
	obj = kzalloc_obj(*obj);
	if (!obj)
		goto out_put;
	obj->btf = btf;
	/* NULL if the module is not live: its functions are refused */
	obj->mod = btf_is_module(btf) ? btf_try_get_module(btf) : NULL;
	obj->live = obj_id && (!btf_is_module(btf) || obj->mod);
	obj->first = base ? btf_nr_types(base) : 0;
	err = xa_err(xa_store(&funcs->link->btfs, obj_id, obj, GFP_KERNEL));
	if (!err)
		return 0;
	module_put(obj->mod);
	kfree(obj);
out_put:
	btf_put(btf);
	return err;
}

/* A reference on the BTF object that a descriptor is of. */
static struct btf *btf_of_fd(u32 fd)
{
	struct bpf_prog *prog;
	struct btf *btf;

	btf = btf_get_by_fd(fd);
	if (IS_ERR(btf)) {
		/* programs as targets may come */
		prog = bpf_prog_get(fd);
		if (IS_ERR(prog))
			return btf;
		bpf_prog_put(prog);
		return ERR_PTR(-EOPNOTSUPP);
	}
	if (btf_is_kernel(btf))
		return btf;
	btf_put(btf);
	return ERR_PTR(-EOPNOTSUPP);
}

/* Most requests have the same descriptor as the one before. */
static int funcs_add_fds(struct bpf_tracing_multi_funcs *funcs, const u32 __user *ufds)
{
	struct btf *own = funcs->link->link.prog->aux->attach_btf, *btf;
	u32 fd, last_fd = 0, last_id = btf_obj_id(own), i;
	int err;

	btf_get(own);
	err = funcs_add_btf(funcs, own, last_id);
	for (i = 0; i < funcs->cnt && !err; i++) {
		if (ufds && get_user(fd, ufds + i))
			return -EFAULT;
		if (ufds && fd != last_fd) {
			btf = fd ? btf_of_fd(fd) : own;
			if (IS_ERR(btf))
				return PTR_ERR(btf);
			last_fd = fd;
			last_id = btf_obj_id(btf);
			err = fd ? funcs_add_btf(funcs, btf, last_id) : 0;
		}
		funcs->reqs[i].obj_id = last_id;
		cond_resched();
	}
	return err;
}

static int req_cmp(const void *pa, const void *pb)
{
	const struct bpf_tramp_req *a = pa, *b = pb;

	return cmp_int(a->obj_id, b->obj_id) ?: cmp_int(a->btf_id, b->btf_id) ?:
	       cmp_int(a->index, b->index);
}

static void funcs_sort(struct bpf_tracing_multi_funcs *funcs)
{
	u32 sorted;

	/* libbpf sends them sorted */
	for (sorted = 1; sorted < funcs->cnt; sorted++)
		if (req_cmp(&funcs->reqs[sorted - 1], &funcs->reqs[sorted]) > 0)
			break;
	if (sorted < funcs->cnt)
		sort_nonatomic(funcs->reqs, funcs->cnt, sizeof(*funcs->reqs), req_cmp, NULL);
}

/**
 * bpf_tracing_multi_funcs_get - get the functions that a caller names
 * @funcs: @link and @cnt are set, and @reqs are zeroed
 * @attr: what the caller says
 *
 * The link gets references on the BTF objects and their modules.
 *
 * Context: may sleep.
 * Return: 0, -EFAULT, -ENOMEM, -EBADF or -EINVAL for a descriptor of something
 *         else, -EOPNOTSUPP for one of a program or of BTF that is none of the
 *         kernel's.
 */
int bpf_tracing_multi_funcs_get(struct bpf_tracing_multi_funcs *funcs, const union bpf_attr *attr)
{
	const u64 __user *ucookies = u64_to_user_ptr(attr->link_create.tracing_multi.cookies);
	const u32 __user *uids = u64_to_user_ptr(attr->link_create.tracing_multi.ids);
	const u32 __user *ufds = u64_to_user_ptr(attr->link_create.tracing_multi.fds);
	u32 i;
	int err;

	for (i = 0; i < funcs->cnt; i++) {
		struct bpf_tramp_req *req = &funcs->reqs[i];

		if (get_user(req->btf_id, uids + i))
			return -EFAULT;
		if (ucookies && get_user(req->cookie, ucookies + i))
			return -EFAULT;
		req->index = i;
		cond_resched();
	}
	err = funcs_add_fds(funcs, ufds);
	if (!err)
		funcs_sort(funcs);
	return err;
}

/* The function's type, if it is of this object itself and not of its base. */
static const struct btf_type *func_type(const struct bpf_tracing_multi_btf *obj, u32 id)
{
	const struct btf_type *t = id < obj->first ? NULL : btf_type_by_id(obj->btf, id);

	return t && btf_type_is_func(t) ? t : NULL;
}

static int func_check_id(const struct bpf_tracing_multi_funcs *funcs, struct bpf_tramp_req *req,
			 const struct bpf_tracing_multi_btf *obj)
{
	if (!obj->live)
		return bpf_tracing_multi_refuse(funcs, req, -ENOENT, "the module is not live");
	if (req > funcs->reqs && req[-1].btf_id == req->btf_id && req[-1].obj_id == req->obj_id)
		return bpf_tracing_multi_refuse(funcs, req, -EINVAL, "the id is given twice");
	if (!func_type(obj, req->btf_id))
		return bpf_tracing_multi_refuse(funcs, req, -EINVAL,
						"the id is none of a function");
	return 0;
}

/*
 * Several ids can have one name. If their models agree they are of one function
 * or it does not matter; if not, nobody knows which of them is the function's.
 * A function that is denied is so by all ids of its name. BTF of the kernel is
 * sorted by name.
 */
static int func_check_namesakes(const struct bpf_tracing_multi_funcs *funcs,
				struct bpf_tramp_req *req,
				const struct bpf_tracing_multi_btf *obj)
{
	u32 name_off = btf_type_by_id(obj->btf, req->btf_id)->name_off;
	struct bpf_tramp_class other;
	const struct btf_type *t;
	int step;
	u32 id;

	for (step = -1; step <= 1; step += 2) {
		for (id = req->btf_id + step; id; id += step) {
			struct bpf_attach_target_info info = { .tgt_addr = req->addr };

			t = btf_type_by_id(obj->btf, id);
			if (!t || t->name_off != name_off)
				break;
			if (!func_type(obj, id))
				continue;
			if (!bpf_check_attach_btf_id_multi(NULL, funcs->link->link.prog,
							   obj->btf, id, &info)) {
				bpf_tramp_class_init(&other, &info.fmodel, req->ip, req->addr);
				if (!memcmp(&other, &req->class, sizeof(other)))
					continue;
			}
			return bpf_tracing_multi_refuse(funcs, req, -EADDRNOTAVAIL,
							"another id of this name differs");
		}
	}
	return 0;
}

/*
 * All JITs have a place for MAX_BPF_FUNC_ARGS registers and stack slots. Whether
 * one has a place for more only it can tell.
 */
static int func_check_slots(const struct btf_func_model *m)
{
	static struct bpf_tramp_nodes no_progs[BPF_TRAMP_MAX];
	u32 i, slots = 0;
	int size;

	for (i = 0; i < m->nr_args; i++)
		slots += DIV_ROUND_UP(m->arg_size[i], 8);
	if (slots <= MAX_BPF_FUNC_ARGS)
		return 0;
	size = arch_bpf_trampoline_size(m, 0, no_progs, NULL);
	return min(size, 0);
}

/*
 * What bpf_check_attach_btf_id_multi() checks depends on the function, and on the
 * program only by this, and by the types that it reads. Returns: a bit for @checked of
 * sites; 0 if there are such.
 */
static u32 checked_by(const struct bpf_prog *prog)
{
	bool calls_orig = prog->expected_attach_type != BPF_TRACE_FENTRY_MULTI;

	if (prog->aux->typed_args)
		return 0;
	return BIT(2 * calls_orig + prog->sleepable);
}

static int func_check(const struct bpf_tracing_multi_funcs *funcs, struct bpf_tramp_req *req,
		      const struct bpf_tracing_multi_btf *obj)
{
	const struct bpf_prog *prog = funcs->link->link.prog;
	struct bpf_attach_target_info info = { .tgt_addr = req->addr };
	int err;

	if (req->err || req->checked)
		return 0;
	err = bpf_check_attach_btf_id_multi(NULL, prog, obj->btf, req->btf_id, &info);
	if (err)
		return bpf_tracing_multi_refuse(funcs, req, err, NULL);
	err = func_check_slots(&info.fmodel);
	if (err == -ENOMEM)
		return err;
	if (err)
		return bpf_tracing_multi_refuse(funcs, req, -EOPNOTSUPP,
						"the arguments take too many registers");
	bpf_tramp_class_init(&req->class, &info.fmodel, req->ip, req->addr);
	req->checked = checked_by(prog);
	return func_check_namesakes(funcs, req, obj);
}

/* Calls @fn for each request and its BTF object, until it returns an error. */
static int funcs_for_each(const struct bpf_tracing_multi_funcs *funcs,
			  int (*fn)(const struct bpf_tracing_multi_funcs *funcs,
				    struct bpf_tramp_req *req,
				    const struct bpf_tracing_multi_btf *obj))
{
	const struct bpf_tracing_multi_btf *obj = NULL;
	struct bpf_tramp_req *req;
	int err;

	for (req = funcs->reqs; req < funcs->reqs + funcs->cnt; req++) {
		if (req == funcs->reqs || req->obj_id != req[-1].obj_id)
			obj = func_btf(funcs, req);
		err = fn(funcs, req, obj);
		if (err)
			return err;
		cond_resched();
	}
	return 0;
}

/* What is known of the functions that are sites: some links cover them. */
static void funcs_fill_known(struct bpf_tracing_multi_funcs *funcs)
{
	u32 checked = checked_by(funcs->link->link.prog);
	struct bpf_tramp_site *site;
	struct bpf_tramp_req *req;

	guard(mutex)(&bpf_tramp_sets_mutex);
	for (req = funcs->reqs; req < funcs->reqs + funcs->cnt; req++) {
		cond_resched();
		site = req->err ? NULL : bpf_tramp_site_find(req->obj_id, req->btf_id);
		if (!site)
			continue;
		req->ip = site->ip;
		req->addr = site->ip - site->set->class.ip_off;
		req->class = site->set->class;
		req->class.solo = 0;
		req->class.pin = NULL;
		req->checked = site->checked & checked;
	}
}

/**
 * bpf_tracing_multi_funcs_check - find out to which functions a link can attach
 * @funcs: the functions
 *
 * Fills the requests in, or refuses them.
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex.
 * Return: 0; -ENOMEM; and unless functions are to be skipped the reason why the
 *         first one is refused.
 */
int bpf_tracing_multi_funcs_check(struct bpf_tracing_multi_funcs *funcs)
{
	int err;

	err = funcs_for_each(funcs, func_check_id);
	if (err)
		return err;
	funcs_fill_known(funcs);
	return bpf_tracing_multi_resolve(funcs) ?: funcs_for_each(funcs, func_check);
}

/**
 * bpf_tracing_multi_funcs_log - tell why functions are not attached
 * @funcs: the functions
 * @log: where to
 *
 * Context: may sleep. No lock is held, as the log is the caller's memory.
 */
void bpf_tracing_multi_funcs_log(const struct bpf_tracing_multi_funcs *funcs,
				 struct bpf_verifier_log *log)
{
	const struct bpf_tramp_req *req;

	if (!bpf_verifier_log_needed(log))
		return;
	for (req = funcs->reqs; req < funcs->reqs + funcs->cnt; req++) {
		struct bpf_attach_target_info info = { .tgt_addr = req->addr };
		const struct bpf_tracing_multi_btf *obj;
		const struct btf_type *t;
		struct btf *btf;

		cond_resched();
		if (!req->err)
			continue;
		obj = func_btf(funcs, req);
		btf = obj->btf;
		t = req->obj_id ? func_type(obj, req->btf_id) : NULL;
		bpf_log(log, "#%u btf %u id %u %s: ", req->index, req->obj_id, req->btf_id,
			t ? btf_name_by_offset(btf, t->name_off) : "?");
		if (req->why)
			bpf_log(log, "%s\n", req->why);
		else if (!bpf_check_attach_btf_id_multi(log, funcs->link->link.prog, btf,
							req->btf_id, &info))
			bpf_log(log, "refused\n");
	}
}

/**
 * bpf_tracing_multi_put_btfs - put a link's BTF objects and their modules
 * @link: the link, attached to nothing
 */
void bpf_tracing_multi_put_btfs(struct bpf_tracing_multi *link)
{
	struct bpf_tracing_multi_btf *obj;
	unsigned long obj_id;

	xa_for_each(&link->btfs, obj_id, obj) {
		module_put(obj->mod);
		btf_put(obj->btf);
		kfree(obj);
	}
	xa_destroy(&link->btfs);
}
