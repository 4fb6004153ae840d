// SPDX-License-Identifier: GPL-2.0-only
/*
 * tracing_multi links: from the functions' names to their ftrace locations.
 *
 * BTF does not have addresses, and names are not unique. A name stands for a
 * function only if it is the name of one function: which one an id means depends
 * neither on the other ids of the request nor on their number.
 */
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/ftrace.h>
#include <linux/kallsyms.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/stringhash.h>

#include "trampoline_set.h"
#include "tracing_multi.h"

/*
 * Looking up this many names one by one costs as much as a pass over all
 * symbols of the kernel.
 */
#define NAMES_BULK	2048

/* Most bytes that a patchable entry is behind the function's address */
#define ENTRY_MAX	8

/* A name to look up. Two requests can have the same one. */
struct name {
	struct hlist_node node;
	const char *name;
	u64 hash;
	struct bpf_tramp_req *req;
	const struct module *mod;
	bool ambiguous;
};

/* Names of one BTF object, by hash: few symbols of the kernel are any of them. */
struct names {
	struct hlist_head *buckets;
	u32 mask;
	u32 cnt;
	struct name v[];
};

static struct names *names_alloc(u32 nr)
{
	u32 buckets = roundup_pow_of_two(nr);
	struct names *names;

	names = kvzalloc_flex(*names, v, nr);
	if (!names)
		return NULL;
	names->mask = buckets - 1;
	names->buckets = kvzalloc_objs(*names->buckets, buckets);
	if (names->buckets)
		return names;
	kvfree(names);
	return NULL;
}

static void names_free(struct names *names)
{
	kvfree(names->buckets);
	kvfree(names);
}

static struct hlist_head *names_bucket(struct names *names, u64 hash)
{
	return &names->buckets[hashlen_hash(hash) & names->mask];
}

static void names_add(struct names *names, const char *name, struct bpf_tramp_req *req,
		      const struct module *mod)
{
	struct name *n = &names->v[names->cnt++];

	n->name = name;
	n->hash = hashlen_string(NULL, name);
	n->req = req;
	n->mod = mod;
	hlist_add_head(&n->node, names_bucket(names, n->hash));
}

/* Data has names as well, and text that was freed after boot keeps its. */
static bool name_is_function(const struct name *n, unsigned long addr)
{
	return n->mod ? within_module_mem_type(addr, n->mod, MOD_TEXT) : core_kernel_text(addr);
}

/* One symbol of the name. */
static int name_found(void *data, unsigned long addr)
{
	struct name *n = data;

	if (!name_is_function(n, addr))
		return 0;
	n->ambiguous |= n->req->addr && n->req->addr != addr;
	n->req->addr = addr;
	return 0;
}

/* One symbol of the names' object. */
static int names_found(void *data, const char *name, unsigned long addr)
{
	struct names *names = data;
	struct name *n;
	u64 hash;

	/* the names of data need not be hashed */
	if (!name_is_function(&names->v[0], addr))
		return 0;
	hash = hashlen_string(NULL, name);
	hlist_for_each_entry(n, names_bucket(names, hash), node)
		if (n->hash == hash && !strcmp(n->name, name))
			name_found(n, addr);
	return 0;
}

/* The look-up of the function's size that ftrace_location() does is rarely needed. */
static unsigned long name_location(unsigned long addr)
{
	unsigned long ip = ftrace_location_range(addr, addr + ENTRY_MAX);

	return ip && ftrace_get_symaddr(ip) == addr ? ip : ftrace_location(addr);
}

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

static int name_finish(const struct bpf_tracing_multi_funcs *funcs, struct name *n)
{
	if (n->ambiguous)
		return bpf_tracing_multi_refuse(funcs, n->req, -EADDRNOTAVAIL,
						"more than one function has this name");
	if (!n->req->addr)
		return bpf_tracing_multi_refuse(funcs, n->req, -ENOENT,
						"no symbol of this name is a function");
	n->req->ip = name_location(n->req->addr);
	if (!n->req->ip)
		return bpf_tracing_multi_refuse(funcs, n->req, -ENOENT,
						"the function cannot be traced");
	return 0;
}

static void names_lookup(struct names *names)
{
	const struct module *mod = names->v[0].mod;
	u32 i;

	if (mod) {
		module_kallsyms_on_each_symbol(mod->name, names_found, names);
	} else if (names->cnt >= NAMES_BULK) {
		kallsyms_on_each_symbol(names_found, names);
	} else {
		for (i = 0; i < names->cnt; i++)
			kallsyms_on_each_match_symbol(name_found, names->v[i].name, &names->v[i]);
	}
}

static bool req_wants_name(const struct bpf_tramp_req *req)
{
	return !req->err && !req->ip;
}

/* The requests of a BTF object; @nr of them want a name. */
static int resolve_object(struct bpf_tracing_multi_funcs *funcs, struct bpf_tramp_req *first,
			  const struct bpf_tramp_req *end, u32 nr)
{
	const struct bpf_tracing_multi_btf *obj = xa_load(&funcs->link->btfs, first->obj_id);
	struct names *names = names_alloc(nr);
	const struct btf_type *t;
	struct bpf_tramp_req *req;
	int err = 0;
	u32 i;

	if (!names)
		return -ENOMEM;
	for (req = first; req < end; req++) {
		if (!req_wants_name(req))
			continue;
		t = btf_type_by_id(obj->btf, req->btf_id);
		names_add(names, btf_name_by_offset(obj->btf, t->name_off), req, obj->mod);
		cond_resched();
	}
	names_lookup(names);
	for (i = 0; i < names->cnt && !err; i++) {
		err = name_finish(funcs, &names->v[i]);
		cond_resched();
	}
	names_free(names);
	return err;
}

/**
 * bpf_tracing_multi_resolve - find the ftrace locations of functions
 * @funcs: the functions, sorted by BTF object. Those that are refused or have a
 *         location are left alone; the others are known to be functions of a
 *         BTF object that is vmlinux's or whose module cannot go.
 *
 * Sets @addr and @ip of the requests. A few names are looked up one by one, many
 * in one pass over all symbols.
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM; and unless functions are to be skipped -ENOENT if there is
 *         no such function or it cannot be traced, -EADDRNOTAVAIL if there is
 *         more than one.
 */
int bpf_tracing_multi_resolve(struct bpf_tracing_multi_funcs *funcs)
{
	struct bpf_tramp_req *first, *req, *end = funcs->reqs + funcs->cnt;
	int err = 0;
	u32 nr;

	for (first = funcs->reqs; first < end && !err; first = req) {
		for (nr = 0, req = first; req < end && req->obj_id == first->obj_id; req++) {
			nr += req_wants_name(req);
			cond_resched();
		}
		if (nr)
			err = resolve_object(funcs, first, req, nr);
	}
	return err;
}
