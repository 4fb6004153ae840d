// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the other files of shared trampolines need of the kernel: the mutex, the
 * workqueue, call sites that are patched in batches, and cookies.
 *
 * See trampoline_set.h for the words and the locking.
 */
#include <linux/bpf.h>
#include <linux/error-injection.h>
#include <linux/ftrace.h>
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "trampoline.h"
#include "trampoline_set.h"

/* Serializes all changes of sites, sets and tuples. */
DEFINE_MUTEX(bpf_tramp_sets_mutex);

struct workqueue_struct *bpf_tramp_wq;

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
 * bpf_tramp_ip_addr - where does a function branch to?
 * @ip: its ftrace location
 *
 * Return: the address, as ftrace's direct calls have it; 0 if it has none.
 */
unsigned long bpf_tramp_ip_addr(unsigned long ip)
{
	return ftrace_find_rec_direct(ip);
}

/*
 * Cookies
 */

/* Cookies of a page */
#define COOKIES_PAGE	(PAGE_SIZE / sizeof(u64))
/* and of one that has struct bpf_tramp_cookies as well */
#define COOKIES_OWN	(COOKIES_PAGE - sizeof(struct bpf_tramp_cookies) / sizeof(u64))

/**
 * bpf_tramp_cookies_alloc - make room for the cookies and data of a link
 * @first: number of the first site
 * @nr: number of sites
 * @data: the sites have data
 *
 * The link may be on few of these sites: where that is more than a page, there are only
 * the pages that have any.
 *
 * Return: the cookies, without any; NULL if there is no memory.
 */
struct bpf_tramp_cookies *bpf_tramp_cookies_alloc(u32 first, u32 nr, bool data)
{
	u32 room = data ? 2 * nr : nr;
	u32 nr_pages = room > COOKIES_OWN ? DIV_ROUND_UP(room, COOKIES_PAGE) : 0;
	struct bpf_tramp_cookies *cookies;

	cookies = kvzalloc_flex(*cookies, own, nr_pages ?: room);
	if (!cookies)
		return NULL;
	refcount_set(&cookies->refcnt, 1);
	cookies->first = first;
	cookies->nr = data ? nr : 0;
	cookies->nr_pages = nr_pages;
	return cookies;
}

static int cookies_put(struct bpf_tramp_cookies *cookies, u32 i, u64 value)
{
	struct page **page;
	u64 *v;

	/* as all are */
	if (!value)
		return 0;
	if (!cookies->nr_pages) {
		cookies->own[i] = value;
		return 0;
	}
	page = &cookies->pages[i / COOKIES_PAGE];
	if (!*page)
		*page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!*page)
		return -ENOMEM;
	v = page_address(*page);
	v[i % COOKIES_PAGE] = value;
	return 0;
}

/**
 * bpf_tramp_cookies_set - set the cookie and the data of a site
 * @cookies: the cookies
 * @nr: number of the site
 * @cookie: its cookie
 * @data: the address of its data, 0 if the sites have none
 *
 * Return: 0 or -ENOMEM.
 */
int bpf_tramp_cookies_set(struct bpf_tramp_cookies *cookies, u32 nr, u64 cookie, u64 data)
{
	u32 i = nr - cookies->first;

	return cookies_put(cookies, i, cookie) ?: cookies_put(cookies, cookies->nr + i, data);
}

/**
 * bpf_tramp_cookies_map - the cookies are all set
 * @cookies: the cookies, which can be read now
 *
 * Return: 0 or -ENOMEM.
 */
int bpf_tramp_cookies_map(struct bpf_tramp_cookies *cookies)
{
	u32 i;

	for (i = 0; i < cookies->nr_pages; i++)
		cookies->pages[i] = cookies->pages[i] ?: ZERO_PAGE(0);
	cookies->cookie = cookies->nr_pages ? vmap(cookies->pages, cookies->nr_pages, VM_MAP,
						   PAGE_KERNEL_RO) : cookies->own;
	if (!cookies->cookie)
		return -ENOMEM;
	if (cookies->nr)
		cookies->data = cookies->cookie + cookies->nr;
	return 0;
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
	u32 i;

	if (!cookies || !refcount_dec_and_test(&cookies->refcnt))
		return;
	if (cookies->nr_pages)
		vunmap(cookies->cookie);
	for (i = 0; i < cookies->nr_pages; i++)
		if (cookies->pages[i] && cookies->pages[i] != ZERO_PAGE(0))
			__free_page(cookies->pages[i]);
	kvfree(cookies);
}

static int __init shared_init(void)
{
	bpf_tramp_wq = alloc_ordered_workqueue("bpf_tracing_multi", 0);
	return bpf_tramp_wq ? 0 : -ENOMEM;
}
core_initcall(shared_init);
