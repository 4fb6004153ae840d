// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sites: the functions that links cover, by ftrace location and by BTF id, their
 * numbers, and the set that each of them is in.
 */
#include "trampoline_set_internal.h"
#include "trampoline_change.h"

/* For links, and for single programs, which do not hold the mutex. */
static DEFINE_HASHTABLE(sites_by_ip, 13);
static DEFINE_SPINLOCK(sites_lock);

/* By (BTF object, id) */
static DEFINE_XARRAY(sites_by_id);

/* Numbers of sites */
static DEFINE_IDA(site_numbers);

/**
 * bpf_tramp_site_find_ip - find the site of a function
 * @ip: ftrace location
 *
 * Context: bpf_tramp_sets_mutex or sites_lock is held.
 * Return: the site, or NULL if no link covers the function.
 */
struct bpf_tramp_site *bpf_tramp_site_find_ip(unsigned long ip)
{
	struct bpf_tramp_site *site;

	hash_for_each_possible(sites_by_ip, site, ip_node, ip)
		if (site->ip == ip)
			return site;
	return NULL;
}

/**
 * bpf_tramp_ip_is_site - does a link cover a function?
 * @ip: ftrace location
 *
 * Return: true if so, or if a link is being attached to it, or has left it and all
 *         is not tidy yet.
 */
bool bpf_tramp_ip_is_site(unsigned long ip)
{
	guard(spinlock)(&sites_lock);
	return bpf_tramp_site_find_ip(ip);
}

/**
 * bpf_tramp_sites_are_in - are functions of a module sites?
 * @mod: the module
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex.
 * Return: true if so.
 */
bool bpf_tramp_sites_are_in(const struct module *mod)
{
	struct bpf_tramp_site *site;
	int bucket;

	guard(mutex)(&bpf_tramp_sets_mutex);
	hash_for_each(sites_by_ip, bucket, site, ip_node)
		if (within_module(site->ip, mod))
			return true;
	return false;
}

/* A dense index needs fewer levels of the array. */
static unsigned long site_index(u32 obj_id, u32 btf_id)
{
	return obj_id * (BTF_MAX_TYPE + 1UL) + btf_id;
}

/**
 * bpf_tramp_site_find - find the site of a BTF id
 * @obj_id: the BTF object
 * @btf_id: id in that
 *
 * A function that more than one id names is found by the id of the link that
 * covered it first.
 *
 * Context: bpf_tramp_sets_mutex is held.
 * Return: the site, or NULL if no link covers the function.
 */
struct bpf_tramp_site *bpf_tramp_site_find(u32 obj_id, u32 btf_id)
{
	if (btf_id > BTF_MAX_TYPE)
		return NULL;
	return xa_load(&sites_by_id, site_index(obj_id, btf_id));
}

/**
 * bpf_tramp_site_alloc - a function becomes a site
 * @req: the request for it
 *
 * From now on single programs wait for the mutex, so that it is certain what the
 * function runs.
 *
 * Return: the site, which is in no set yet, or an error.
 */
struct bpf_tramp_site *bpf_tramp_site_alloc(const struct bpf_tramp_req *req)
{
	struct bpf_tramp_site *site;
	int err;

	site = kzalloc_obj(*site);
	if (!site)
		return ERR_PTR(-ENOMEM);
	site->ip = req->ip;
	site->obj_id = req->obj_id;
	site->btf_id = req->btf_id;

	err = xa_insert(&sites_by_id, site_index(req->obj_id, req->btf_id), site, GFP_KERNEL);
	if (err) {
		kfree(site);
		return ERR_PTR(err);
	}
	scoped_guard(spinlock, &sites_lock)
		hash_add(sites_by_ip, &site->ip_node, site->ip);
	return site;
}

/**
 * bpf_tramp_site_free - a function is no site any more
 * @site: the site; whatever runs at the function now is not the sets'
 */
void bpf_tramp_site_free(struct bpf_tramp_site *site)
{
	if (site->nr)
		ida_free(&site_numbers, site->nr);
	scoped_guard(spinlock, &sites_lock)
		hash_del(&site->ip_node);
	xa_erase(&sites_by_id, site_index(site->obj_id, site->btf_id));
	kfree(site);
}

/**
 * bpf_tramp_site_number - give a site a number, if it has none
 * @site: the site
 *
 * Those have one that have a thunk or a cookie.
 *
 * Return: 0 or an error.
 */
int bpf_tramp_site_number(struct bpf_tramp_site *site)
{
	int nr;

	if (site->nr)
		return 0;
	nr = ida_alloc_min(&site_numbers, 1, GFP_KERNEL);
	if (nr < 0)
		return nr;
	site->nr = nr;
	return 0;
}

/**
 * bpf_tramp_site_solo - does a body have to know the site's function?
 * @site: the site
 * @class: its class
 *
 * Return: the function's address, if a livepatch shares the function, else 0.
 */
unsigned long bpf_tramp_site_solo(const struct bpf_tramp_site *site,
				  const struct bpf_tramp_class *class)
{
	return bpf_trampoline_ip_is_modified(site->ip) ? site->ip - class->ip_off : 0;
}
