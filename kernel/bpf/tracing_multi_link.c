// SPDX-License-Identifier: GPL-2.0-only
/*
 * tracing_multi links: BPF_LINK_CREATE, and what happens when one is closed.
 */
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/memcontrol.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "trampoline_set.h"
#include "tracing_multi.h"

#define LINK_MAX_FUNCS	BIT(20)

/*
 * When it returns the program does not run any more. The functions leave ftrace soon
 * after. Bodies that run light programs disable preemption before they look whether
 * they are to: wait for those that have. Where a trampoline calls the kernel for that, a
 * task that was preempted in between may run the program once more.
 */
static void link_detach(struct bpf_tracing_multi *multi)
{
	bpf_tramp_tidy_not_now();
	bpf_tramp_sets_detach(&multi->link, &multi->tuples);
	bpf_tramp_tidy_later();
	if (multi->link.prog->light)
		synchronize_rcu_expedited();
}

static void link_release(struct bpf_link *link)
{
	link_detach(bpf_tracing_multi(link));
	/* now, and not in link_dealloc(): the modules can go when close() has returned */
	bpf_tracing_multi_put_btfs(bpf_tracing_multi(link));
}

#ifdef CONFIG_MEMCG
/*
 * What the engine keeps of the functions is charged as if each link had it alone, and
 * before the engine is locked: who is over the limit is made to wait here.
 */
static int link_charge(struct bpf_tracing_multi *multi, size_t size)
{
	multi->objcg = memcg_kmem_online() ? get_obj_cgroup_from_current() : NULL;
	if (!multi->objcg)
		return 0;
	if (obj_cgroup_charge(multi->objcg, GFP_KERNEL, size))
		return -ENOMEM;
	multi->charged = size;
	return 0;
}

static void link_uncharge(struct bpf_tracing_multi *multi)
{
	if (multi->charged)
		obj_cgroup_uncharge(multi->objcg, multi->charged);
	if (multi->objcg)
		obj_cgroup_put(multi->objcg);
}
#else
static int link_charge(struct bpf_tracing_multi *multi, size_t size) { return 0; }
static void link_uncharge(struct bpf_tracing_multi *multi) { }
#endif

static void link_free(struct bpf_tracing_multi *multi)
{
	link_uncharge(multi);
	kvfree(multi->ids);
	kvfree(multi->cookies);
	kvfree(multi->ips);
	if (multi->data)
		bpf_map_put(multi->data);
	kfree(multi);
}

static void link_free_rcu(struct rcu_head *rcu)
{
	link_free(bpf_tracing_multi(container_of(rcu, struct bpf_link, rcu)));
}

static void link_free_rcu_tasks(struct rcu_head *rcu)
{
	if (container_of(rcu, struct bpf_link, rcu)->sleepable)
		call_rcu_tasks_trace(rcu, link_free_rcu);
	else
		call_rcu(rcu, link_free_rcu);
}

/*
 * A task that was preempted in a trampoline before it entered the program may run it
 * once more, as link_detach() says, with the address of data. The program waits in the
 * same way, see __bpf_prog_put_rcu_tasks().
 */
static void link_dealloc(struct bpf_link *link)
{
	if (bpf_tracing_multi(link)->data)
		call_rcu_tasks(&link->rcu, link_free_rcu_tasks);
	else
		link_free(bpf_tracing_multi(link));
}

static const struct bpf_link_ops link_ops = {
	.release = link_release,
	.dealloc_deferred = link_dealloc,
	.fill_link_info = bpf_tracing_multi_fill_info,
#ifdef CONFIG_PROC_FS
	.show_fdinfo = bpf_tracing_multi_show_fdinfo,
#endif
};

/* The link's arrays, for all functions: after the attach nothing may fail. */
static struct bpf_tracing_multi *link_alloc(u32 cnt, bool cookies, bool data)
{
	size_t size = cnt * (sizeof(struct bpf_tramp_site) + (cookies + data) * sizeof(u64));
	struct bpf_tracing_multi *multi = kzalloc_obj(*multi, GFP_KERNEL_ACCOUNT);

	if (!multi)
		return NULL;
	xa_init(&multi->btfs);
	INIT_LIST_HEAD(&multi->tuples);
	multi->ids = kvmalloc_objs(*multi->ids, cnt, GFP_KERNEL_ACCOUNT);
	multi->ips = kvmalloc_objs(*multi->ips, cnt, GFP_KERNEL_ACCOUNT);
	if (cookies)
		multi->cookies = kvmalloc_objs(*multi->cookies, cnt, GFP_KERNEL_ACCOUNT);
	if (multi->ids && multi->ips && (!cookies || multi->cookies) && !link_charge(multi, size))
		return multi;
	link_free(multi);
	return NULL;
}

/* The link has what is attached. */
static void link_fill(struct bpf_tracing_multi *multi,
		      const struct bpf_tracing_multi_funcs *funcs)
{
	struct bpf_tracing_multi_btf *obj = NULL;
	const struct bpf_tramp_req *req;

	for (req = funcs->reqs; req < funcs->reqs + funcs->cnt; req++) {
		if (req == funcs->reqs || req->obj_id != req[-1].obj_id)
			obj = xa_load(&multi->btfs, req->obj_id);
		if (req->err) {
			multi->skipped++;
			continue;
		}
		obj->cnt++;
		multi->ids[multi->cnt] = req->btf_id;
		multi->ips[multi->cnt] = req->ip;
		if (multi->cookies)
			multi->cookies[multi->cnt] = req->cookie;
		multi->cnt++;
		cond_resched();
	}
}

/* Attaches, with what is refused in the log; an error leaves nothing attached. */
static int link_attach(struct bpf_tracing_multi_funcs *funcs, const union bpf_attr *attr,
		       struct bpf_verifier_log *log, struct bpf_log_attr *attr_log)
{
	struct bpf_tracing_multi *multi = funcs->link;
	bool cookies = multi->cookies && multi->link.prog->call_attach_cookie;
	int aliases, err;

	err = bpf_tracing_multi_data_get(funcs, attr, log) ?: bpf_tracing_multi_funcs_check(funcs);
	/* converted arguments are for struct_ops only */
	if (WARN_ON_ONCE(bpf_prog_has_arena_ctx_arg(multi->link.prog)))
		err = err ?: -EOPNOTSUPP;
	if (!err)
		err = bpf_tramp_sets_attach(&multi->link, &multi->tuples, funcs->reqs, funcs->cnt,
					    cookies || multi->data, funcs->skip);
	aliases = err;
	bpf_tracing_multi_funcs_log(funcs, log);
	/* a log that was too small is no reason to fail; its true size tells */
	if (bpf_log_attr_finalize(attr_log, log) == -EFAULT && err >= 0) {
		link_detach(multi);
		err = -EFAULT;
	}
	if (err < 0)
		return err;
	link_fill(multi, funcs);
	if (!aliases) {
		/* the sites have them: 8 bytes a function less */
		kvfree(multi->ips);
		multi->ips = NULL;
	}
	return 0;
}

static int link_create(struct bpf_prog *prog, const union bpf_attr *attr,
		       struct bpf_verifier_log *log, struct bpf_log_attr *attr_log)
{
	struct bpf_tracing_multi_funcs funcs = {
		.cnt = attr->link_create.tracing_multi.cnt,
		.skip = attr->link_create.flags & BPF_F_TRACING_MULTI_SKIP,
	};
	struct bpf_link_primer primer;
	int err = -ENOMEM;

	funcs.reqs = kvzalloc_objs(*funcs.reqs, funcs.cnt, GFP_KERNEL_ACCOUNT);
	funcs.link = link_alloc(funcs.cnt, attr->link_create.tracing_multi.cookies,
				prog->aux->attach_data_size);
	if (!funcs.reqs || !funcs.link)
		goto out_free;
	/* also if the program has run and the attach fails in the end */
	bpf_link_init_sleepable(&funcs.link->link, BPF_LINK_TYPE_TRACING_MULTI, &link_ops, prog,
				prog->expected_attach_type, prog->sleepable);
	err = bpf_tracing_multi_funcs_get(&funcs, attr);
	if (!err)
		err = bpf_link_prime(&funcs.link->link, &primer);
	if (err)
		goto out_free;

	err = link_attach(&funcs, attr, log, attr_log);
	kvfree(funcs.reqs);
	if (!err)
		return bpf_link_settle(&primer);
	bpf_tracing_multi_put_btfs(funcs.link);
	bpf_link_cleanup(&primer);
	return err;

out_free:
	if (funcs.link) {
		bpf_tracing_multi_put_btfs(funcs.link);
		link_free(funcs.link);
	}
	kvfree(funcs.reqs);
	return err;
}

/**
 * bpf_tracing_multi_link_create - create a tracing_multi link
 * @prog: its program; the link takes over the reference unless there is an error
 * @attr: what the caller says
 * @common: where the caller wants the log
 * @ucommon: the same in user space, for the log's true size
 * @common_size: size of that
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex.
 * Return: a descriptor of the link, or an error with nothing changed but the log:
 *         that of bpf_tracing_multi_funcs_get(), bpf_tracing_multi_data_get(),
 *         bpf_tracing_multi_funcs_check(), bpf_tramp_sets_attach() or
 *         bpf_link_prime(), -EINVAL, -E2BIG, -EFAULT or -ENOMEM.
 */
int bpf_tracing_multi_link_create(struct bpf_prog *prog, const union bpf_attr *attr,
				  struct bpf_common_attr *common, bpfptr_t ucommon,
				  u32 common_size)
{
	const size_t end = offsetofend(union bpf_attr, link_create.tracing_multi.fds);
	struct bpf_verifier_log *log;
	struct bpf_log_attr attr_log;
	int err;

	if (!attr->link_create.tracing_multi.cnt || !attr->link_create.tracing_multi.ids)
		return -EINVAL;
	if (attr->link_create.tracing_multi.cnt > LINK_MAX_FUNCS)
		return -E2BIG;
	if ((attr->link_create.flags & ~BPF_F_TRACING_MULTI_SKIP) || attr->link_create.target_fd)
		return -EINVAL;
	/* so that fields can be added */
	if (memchr_inv((const char *)attr + end, 0, sizeof(*attr) - end))
		return -EINVAL;

	log = bpf_log_attr_create_vlog(&attr_log, common, ucommon, common_size);
	if (IS_ERR(log))
		return PTR_ERR(log);
	err = link_create(prog, attr, log, &attr_log);
	kfree(log);
	return err;
}
