// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sets of functions that share a trampoline, and tuples, by which links hold them.
 *
 * Sets are canonical when all is tidy: there is at most one set for a (class,
 * list of tuples), whatever the order in which links came and went, so the number
 * of bodies is the smallest that the links allow. Those that are, and those that a
 * change makes canonical, are in the table; the others are on the untidy list.
 *
 * See trampoline_set.h for the words, the states and the locking.
 */
#include "trampoline_set_internal.h"
#include "trampoline_change.h"

/* Tens of sets, more where many links overlap */
static DEFINE_HASHTABLE(sets, 10);

/* Sets that tidying has to look at */
LIST_HEAD(bpf_tramp_untidy);

/**
 * bpf_tramp_class_equal - are classes the same but for what binds them to one function?
 * @a: a class
 * @b: another one
 *
 * Return: true if so.
 */
bool bpf_tramp_class_equal(const struct bpf_tramp_class *a, const struct bpf_tramp_class *b)
{
	return !memcmp(&a->model, &b->model, sizeof(a->model)) && a->ip_off == b->ip_off;
}

static u32 set_hash(const struct bpf_tramp_class *class, const struct list_head *tuples)
{
	const struct bpf_tramp_tuple *t;
	u32 hash;

	hash = jhash(class, sizeof(*class), 0);
	list_for_each_entry(t, tuples, set_node)
		hash = jhash(&t->node.link, sizeof(t->node.link), hash);
	return hash;
}

static bool set_matches(const struct bpf_tramp_set *set, const struct bpf_tramp_class *class,
			const struct list_head *tuples)
{
	const struct bpf_tramp_tuple *a, *b;

	if (memcmp(&set->class, class, sizeof(*class)))
		return false;
	b = list_first_entry(tuples, struct bpf_tramp_tuple, set_node);
	list_for_each_entry(a, &set->tuples, set_node) {
		if (list_is_head(&b->set_node, tuples) || a->node.link != b->node.link)
			return false;
		b = list_next_entry(b, set_node);
	}
	return list_is_head(&b->set_node, tuples);
}

/**
 * bpf_tramp_set_find - find a set in the table
 * @class: of its sites
 * @tuples: its links, newest first, as another set has them
 *
 * Return: the set, or NULL.
 */
struct bpf_tramp_set *bpf_tramp_set_find(const struct bpf_tramp_class *class,
					 const struct list_head *tuples)
{
	u32 hash = set_hash(class, tuples);
	struct bpf_tramp_set *set;

	hash_for_each_possible(sets, set, hash_node, hash)
		if (set->hash == hash && set_matches(set, class, tuples))
			return set;
	return NULL;
}

/**
 * bpf_tramp_sets_find_wasted - find sets whose sites are better off with new thunks
 * @wasted: gets those of the table, by @work
 */
void bpf_tramp_sets_find_wasted(struct list_head *wasted)
{
	struct bpf_tramp_set *set;
	int bucket;

	hash_for_each(sets, bucket, set, hash_node)
		if (bpf_tramp_thunks_are_wasted(set))
			list_move_tail(&set->work, wasted);
}

/* Dedicated trampolines run light programs as any other. */
static bool set_runs_light(const struct bpf_tramp_set *set)
{
	const struct bpf_tramp_tuple *t;

	if (set->class.pin)
		return false;
	list_for_each_entry(t, &set->tuples, set_node)
		if (t->node.link->prog->light)
			return true;
	return false;
}

/**
 * bpf_tramp_sets_outdate_light - bodies that run light programs are to be generated again
 *
 * bpf_tramp_tidy() does it then.
 */
void bpf_tramp_sets_outdate_light(void)
{
	struct bpf_tramp_set *set;
	struct hlist_node *tmp;
	int bucket;

	hash_for_each_safe(sets, bucket, tmp, set, hash_node)
		if (set_runs_light(set))
			bpf_tramp_set_mark_untidy(set);
	/* those that were untidy before may come back to the table with the body they have */
	list_for_each_entry(set, &bpf_tramp_untidy, work)
		set->stale |= set_runs_light(set);
}

/**
 * bpf_tramp_set_insert - put a set where its class and links belong in the table
 * @set: the set
 */
void bpf_tramp_set_insert(struct bpf_tramp_set *set)
{
	hash_del(&set->hash_node);
	set->hash = set_hash(&set->class, &set->tuples);
	hash_add(sets, &set->hash_node, set->hash);
}

/**
 * bpf_tramp_set_mark_untidy - a set is not canonical any more, or its body is not
 * @set: the set
 */
void bpf_tramp_set_mark_untidy(struct bpf_tramp_set *set)
{
	hash_del(&set->hash_node);
	list_move_tail(&set->work, &bpf_tramp_untidy);
}

/**
 * bpf_tramp_tuples_kind - how the sites of links have to get to a body
 * @tuples: the links, as a set has them
 *
 * Return: the kind of a set for them, unless it is for one site.
 */
enum bpf_tramp_kind bpf_tramp_tuples_kind(const struct list_head *tuples)
{
	enum bpf_tramp_kind kind = BPF_TRAMP_KIND_ENTRY;
	const struct bpf_tramp_tuple *t;

	list_for_each_entry(t, tuples, set_node)
		kind = max(kind, bpf_tramp_link_kind(t->node.link, t->cookies));
	return kind;
}

/**
 * bpf_tramp_link_kind - how the sites of a link have to get to a body
 * @link: the link
 * @cookies: its cookies, or NULL
 *
 * Return: the kind of set that does for it.
 */
enum bpf_tramp_kind bpf_tramp_link_kind(const struct bpf_link *link,
					const struct bpf_tramp_cookies *cookies)
{
	if (bpf_tramp_prog_thunk_calls(link->prog))
		return BPF_TRAMP_KIND_ORIG;
	return cookies ? BPF_TRAMP_KIND_COOKIE : BPF_TRAMP_KIND_ENTRY;
}

/**
 * bpf_tramp_set_alloc - make a set without sites and links
 * @class: of its sites
 * @kind: how they are to get to the body
 *
 * Return: the set, which is in no table, or NULL if there is no memory.
 */
struct bpf_tramp_set *bpf_tramp_set_alloc(const struct bpf_tramp_class *class,
					  enum bpf_tramp_kind kind)
{
	struct bpf_tramp_set *set = kzalloc_obj(*set);

	if (!set)
		return NULL;
	set->class = *class;
	set->kind = bpf_tramp_class_is_own(class) ? BPF_TRAMP_KIND_ALONE : kind;
	INIT_HLIST_NODE(&set->hash_node);
	INIT_LIST_HEAD(&set->tuples);
	INIT_LIST_HEAD(&set->sites);
	INIT_LIST_HEAD(&set->work);
	INIT_LIST_HEAD(&set->move.sites);
	if (class->pin) {
		set->tr = class->pin;
		refcount_inc(&set->tr->refcnt);
		set->tr->set = set;
	}
	return set;
}

/**
 * bpf_tramp_tuple_add - a link's program becomes the newest of a set
 * @set: the set
 * @link: the link
 * @cookies: its cookies, or NULL
 * @tuples: the link's tuples, or one of these: the new one comes behind it
 * @site: one of the set's sites
 *
 * Return: 0 or -ENOMEM.
 */
int bpf_tramp_tuple_add(struct bpf_tramp_set *set, struct bpf_link *link,
			struct bpf_tramp_cookies *cookies, struct list_head *tuples,
			const struct bpf_tramp_site *site)
{
	struct bpf_tramp_tuple *t = kzalloc_obj(*t);

	if (!t)
		return -ENOMEM;
	t->node.link = link;
	t->cookies = bpf_tramp_cookies_get(cookies);
	if (set->kind != BPF_TRAMP_KIND_ALONE) {
		t->node.cookies = cookies;
	} else if (cookies) {
		t->node.cookie = cookies->cookie[site->nr - cookies->first];
		t->node.data = cookies->data ? cookies->data[site->nr - cookies->first] : 0;
	}
	t->fexit = t->node;
	INIT_HLIST_NODE(&t->node.tramp_hlist);
	INIT_HLIST_NODE(&t->fexit.tramp_hlist);
	list_add(&t->link_node, tuples);
	t->set = set;
	list_add(&t->set_node, &set->tuples);
	set->stale = true;
	return 0;
}

/**
 * bpf_tramp_tuple_del - a link's program leaves the list of a set
 * @t: its tuple
 *
 * The images of the set still call it.
 */
void bpf_tramp_tuple_del(struct bpf_tramp_tuple *t)
{
	if (!hlist_unhashed(&t->node.tramp_hlist))
		bpf_trampoline_del_prog(t->set->tr, &t->node);
	list_del(&t->set_node);
	list_del(&t->link_node);
	bpf_tramp_cookies_put(t->cookies);
	kfree(t);
}

/**
 * bpf_tramp_set_derive - make the set of the table that some of a set's sites go to
 * @class: of these sites
 * @kind: of the new set
 * @from: their set, whose links it gets
 * @site: one of them
 *
 * Return: the set, or NULL if there is no memory.
 */
struct bpf_tramp_set *bpf_tramp_set_derive(const struct bpf_tramp_class *class,
					   enum bpf_tramp_kind kind, struct bpf_tramp_set *from,
					   const struct bpf_tramp_site *site)
{
	struct bpf_tramp_set *set = bpf_tramp_set_alloc(class, kind);
	struct bpf_tramp_tuple *t;

	if (!set)
		return NULL;
	if (set->kind == BPF_TRAMP_KIND_ALONE)
		set->func = site->ip - class->ip_off;
	list_for_each_entry_reverse(t, &from->tuples, set_node) {
		if (bpf_tramp_tuple_add(set, t->node.link, t->cookies, &t->link_node, site)) {
			bpf_tramp_set_free(set);
			return NULL;
		}
	}
	bpf_tramp_set_insert(set);
	return set;
}

/**
 * bpf_tramp_set_load - the trampoline of a set gets the set's programs
 * @set: the set; it has a trampoline then
 *
 * The oldest one is added first, as always.
 *
 * Return: 0; -ENOMEM; -E2BIG if the trampoline has no place for another program.
 */
int bpf_tramp_set_load(struct bpf_tramp_set *set)
{
	struct bpf_tramp_tuple *t;
	int err;

	if (!set->tr) {
		set->tr = bpf_tramp_tr_alloc(set);
		if (!set->tr)
			return -ENOMEM;
		set->tr->set = set;
	}
	list_for_each_entry_reverse(t, &set->tuples, set_node) {
		if (!hlist_unhashed(&t->node.tramp_hlist))
			continue;
		err = bpf_trampoline_add_prog(set->tr, &t->node);
		if (err)
			return err;
	}
	return 0;
}

/**
 * bpf_tramp_set_free - free a set without sites
 * @set: the set; its images may still run
 */
void bpf_tramp_set_free(struct bpf_tramp_set *set)
{
	struct bpf_tramp_tuple *t, *tmp;

	hash_del(&set->hash_node);
	list_del(&set->work);
	list_for_each_entry_safe(t, tmp, &set->tuples, set_node)
		bpf_tramp_tuple_del(t);
	if (set->tr) {
		set->tr->set = NULL;
		if (set->live)
			bpf_tramp_body_retire(set);
		bpf_trampoline_put(set->tr);
	}
	kfree(set);
}
