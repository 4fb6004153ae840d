// SPDX-License-Identifier: GPL-2.0-only
/*
 * tracing_multi links: what a link's functions are to the engine (trampoline_set.h).
 */
#include <linux/bits.h>
#include <linux/bpf.h>
#include <linux/cleanup.h>
#include <linux/mutex.h>

#include "trampoline_set.h"
#include "tracing_multi.h"

/**
 * bpf_tracing_multi_refuse - note that a function cannot be attached
 * @funcs: the functions
 * @req: one of them
 * @err: why
 * @why: in words, or NULL if bpf_check_attach_btf_id_multi() tells
 *
 * Return: @err, or 0 if the function is to be skipped.
 */
int bpf_tracing_multi_refuse(const struct bpf_tracing_multi_funcs *funcs,
			     struct bpf_tramp_req *req, int err, const char *why)
{
	req->err = err;
	req->why = why;
	return funcs->skip ? 0 : err;
}

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
	bool calls_orig = prog->expected_attach_type != BPF_TRACE_FENTRY_MULTI;

	return BIT(2 * calls_orig + prog->sleepable);
}

/**
 * bpf_tracing_multi_class - set the class of a function
 * @req: the function, its location and address are known
 * @m: its model
 */
void bpf_tracing_multi_class(struct bpf_tramp_req *req, const struct btf_func_model *m)
{
	bpf_tramp_class_init(&req->class, m, req->ip, req->addr);
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
	bpf_tramp_tidy_not_now();
	bpf_tramp_sets_detach(&link->link, &link->tuples);
	bpf_tramp_tidy_later();
}
