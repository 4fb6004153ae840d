// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sets of functions that share a trampoline: which functions are in which set,
 * and what has to be generated and patched when links come and go.
 *
 * Sets are canonical when all is tidy: there is at most one set for a (class,
 * list of tuples), whatever the order in which links came and went, so the number
 * of bodies is the smallest that the links allow. The exception are the sets on
 * the untidy list: those that links have left since, and those that a tidy()
 * had to leave, without memory say.
 *
 * A link attaches in four steps. Until the third nothing that runs is changed,
 * and each step can undo itself:
 *
 *   gather()   moves the sites that the link covers from their set to a part
 *              of it. A new site starts in its class's empty set, which is not
 *              live and vanishes in the end.
 *   plan()     decides for each touched set which of the part and the rest
 *              (what is still in the set) keeps the entry: the larger, if the
 *              set's kind does for its programs. The other gets a new set.
 *   prepare()  generates the bodies, and thunks for the sites that move.
 *   move() and switch_entries()
 *              repatch the sites that have left their set, then the entries.
 *              Sites leave before the entry they branched to is switched, and
 *              tasks on their way from them are waited for, so that the new
 *              program never runs on a function it does not cover.
 *
 * An error that comes after sites have been moved is handled by finishing what
 * is consistent in itself and then detaching the link, because detaching cannot
 * fail.
 *
 * Detaching drops the link's tuples, makes the images jump over the program,
 * and leaves the sets that are no longer canonical to tidy(). The worker of
 * tracing_multi.c calls it soon, for all links that went meanwhile, unless the
 * next attach is sooner. It looks for each untidy set's twin: the set of the same
 * class and list. Of twins the one with the most sites survives, the sites of the
 * others are repatched to its entry.
 *
 * See trampoline_set.h for the words and the locking.
 */
#include "trampoline_set_internal.h"

/* Serializes all changes of sites, sets and tuples. */
DEFINE_MUTEX(bpf_tramp_sets_mutex);

/*
 * Lookups by ip are few: one for each new site, and for single programs, which do
 * not hold the mutex.
 */
static DEFINE_HASHTABLE(sites_by_ip, 12);
static DEFINE_SPINLOCK(sites_lock);

/* By (BTF object, id) */
static DEFINE_XARRAY(sites_by_id);

static struct kmem_cache *site_cache;

/* Tens of sets, more where many links overlap */
static DEFINE_HASHTABLE(sets, 10);

/* Sets that tidy() has to look at */
static LIST_HEAD(untidy);

/* Tuples whose set is gone while its images may still run */
static LIST_HEAD(ghosts);

/* Numbers of sites */
static DEFINE_IDA(site_numbers);

/* The part of a set that the attaching link covers, or the rest */
struct bpf_tramp_part {
	struct list_head node;
	struct list_head sites;
	struct bpf_tramp_set *to;
	struct bpf_tramp_thunks *thunks;	/* of the sites, in @to */
	u32 nr_sites;
};

/* One attach */
struct attach {
	struct bpf_link *link;
	struct list_head *tuples;
	struct bpf_tramp_req *reqs;
	u32 cnt;
	bool has_cookies;
	bool skip;			/* functions that cannot be attached */
	int tidy_err;			/* why there are untidy sets */
	struct bpf_tramp_cookies *cookies;
	enum bpf_tramp_kind kind;	/* that the link needs */
	int aliases;			/* some sites are known by other ids */
	struct list_head touched;	/* sets that have parts */
	struct list_head fresh;		/* sets that are made for parts */
};

/*
 * Sets
 */

/* Are they the same but for what binds them to one function? */
static bool class_equal(const struct bpf_tramp_class *a, const struct bpf_tramp_class *b)
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

static struct bpf_tramp_set *set_find(const struct bpf_tramp_class *class,
				      const struct list_head *tuples)
{
	u32 hash = set_hash(class, tuples);
	struct bpf_tramp_set *set;

	hash_for_each_possible(sets, set, hash_node, hash)
		if (set->hash == hash && set_matches(set, class, tuples))
			return set;
	return NULL;
}

static void set_insert(struct bpf_tramp_set *set)
{
	set->hash = set_hash(&set->class, &set->tuples);
	hash_add(sets, &set->hash_node, set->hash);
}

static void set_rehash(struct bpf_tramp_set *set)
{
	hash_del(&set->hash_node);
	set_insert(set);
}

static enum bpf_tramp_kind link_kind(const struct bpf_link *link,
				     const struct bpf_tramp_cookies *cookies)
{
	if (bpf_tramp_prog_thunk_calls(link->prog))
		return BPF_TRAMP_KIND_ORIG;
	return cookies ? BPF_TRAMP_KIND_COOKIE : BPF_TRAMP_KIND_ENTRY;
}

static enum bpf_tramp_kind tuples_kind(const struct list_head *tuples)
{
	enum bpf_tramp_kind kind = BPF_TRAMP_KIND_ENTRY;
	const struct bpf_tramp_tuple *t;

	list_for_each_entry(t, tuples, set_node)
		kind = max(kind, link_kind(t->node.link, t->cookies));
	return kind;
}

static struct bpf_tramp_set *set_alloc(const struct bpf_tramp_class *class,
				       enum bpf_tramp_kind kind)
{
	struct bpf_tramp_set *set = kzalloc_obj(*set);

	if (!set)
		return NULL;
	set->class = *class;
	set->kind = kind;
	INIT_HLIST_NODE(&set->hash_node);
	INIT_LIST_HEAD(&set->tuples);
	INIT_LIST_HEAD(&set->sites);
	INIT_LIST_HEAD(&set->parts);
	INIT_LIST_HEAD(&set->twins);
	INIT_LIST_HEAD(&set->work);
	if (class->pin) {
		set->tr = class->pin;
		bpf_tramp_tr_get(set->tr);
		set->tr->set = set;
	}
	return set;
}

/*
 * Add a tuple, not yet in the link's list, to the front of the set's. @site: the
 * only one, if the set is for one.
 */
static struct bpf_tramp_tuple *set_add_tuple(struct bpf_tramp_set *set, struct bpf_link *link,
					     struct bpf_tramp_cookies *cookies,
					     const struct bpf_tramp_site *site)
{
	struct bpf_tramp_tuple *t = kzalloc_obj(*t);

	if (!t)
		return NULL;
	t->node.link = link;
	t->cookies = bpf_tramp_cookies_get(cookies);
	if (cookies && bpf_tramp_class_has_entry(&set->class))
		t->node.cookies = cookies;
	else if (cookies)
		t->node.cookie = cookies->cookie[site->nr - cookies->first];
	t->fexit = t->node;
	INIT_HLIST_NODE(&t->node.tramp_hlist);
	INIT_HLIST_NODE(&t->fexit.tramp_hlist);
	INIT_LIST_HEAD(&t->link_node);
	t->set = set;
	t->tr = set->tr;
	list_add(&t->set_node, &set->tuples);
	set->nr_tuples++;
	return t;
}

static void tuple_free(struct bpf_tramp_tuple *t)
{
	list_del(&t->set_node);
	list_del(&t->link_node);
	bpf_tramp_cookies_put(t->cookies);
	kfree(t);
}

static void set_del_tuple(struct bpf_tramp_set *set, struct bpf_tramp_tuple *t)
{
	if (!hlist_unhashed(&t->node.tramp_hlist))
		bpf_tramp_tr_del(set->tr, &t->node);
	set->nr_tuples--;
	tuple_free(t);
}

/* Copy the tuples of @from. @site: the only one, if @set is for one. */
static int set_copy_tuples(struct bpf_tramp_set *set, const struct bpf_tramp_set *from,
			   const struct bpf_tramp_site *site)
{
	struct bpf_tramp_tuple *t;

	list_for_each_entry_reverse(t, &from->tuples, set_node)
		if (!set_add_tuple(set, t->node.link, t->cookies, site))
			return -ENOMEM;
	return 0;
}

/* What set_copy_tuples() copied is the links' now. */
static void set_publish_tuples(struct bpf_tramp_set *set, const struct bpf_tramp_set *from)
{
	struct bpf_tramp_tuple *t, *f;

	f = list_last_entry(&from->tuples, struct bpf_tramp_tuple, set_node);
	list_for_each_entry_reverse(t, &set->tuples, set_node) {
		if (list_is_head(&f->set_node, &from->tuples))
			break;
		list_add(&t->link_node, &f->link_node);
		f = list_prev_entry(f, set_node);
	}
}

/* The trampoline gets the set's programs, the oldest first as always. */
static int set_load(struct bpf_tramp_set *set)
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
		t->tr = set->tr;
		if (!hlist_unhashed(&t->node.tramp_hlist))
			continue;
		err = bpf_tramp_tr_add(set->tr, &t->node);
		if (err)
			return err;
	}
	return 0;
}

static int set_prepare(struct bpf_tramp_set *set)
{
	int err;

	err = set_load(set);
	if (!err)
		err = bpf_tramp_body_prepare(set);
	set->prepared = !err;
	return err;
}

static void set_commit(struct bpf_tramp_set *set)
{
	if (set->prepared) {
		bpf_tramp_body_commit(set);
		set->stale = false;
	}
	set->prepared = false;
	set->live = true;
}

static void set_abort(struct bpf_tramp_set *set)
{
	if (set->prepared)
		bpf_tramp_body_abort(set);
	set->prepared = false;
}

/*
 * The set has no sites any more. Images that were live can still run and call
 * the programs: a tuple becomes a ghost, so that its link finds them when it
 * detaches.
 */
static void set_free(struct bpf_tramp_set *set)
{
	struct bpf_tramp_tuple *t, *tmp;

	hash_del(&set->hash_node);
	list_del(&set->work);
	list_for_each_entry_safe(t, tmp, &set->tuples, set_node) {
		if (!set->live) {
			set_del_tuple(set, t);
			continue;
		}
		bpf_tramp_tr_del(set->tr, &t->node);
		bpf_tramp_tr_get(set->tr);
		t->set = NULL;
		list_move(&t->set_node, &ghosts);
	}
	if (set->tr) {
		set->tr->set = NULL;
		if (set->live)
			bpf_tramp_body_retire(set);
		bpf_tramp_tr_put(set->tr);
	}
	kfree(set);
}

static void ghost_free(struct bpf_tramp_tuple *t)
{
	bpf_tramp_tr_put(t->tr);
	tuple_free(t);
}

/*
 * Ghosts of a trampoline without images are not needed, and neither are those
 * of one that is pinned again: the tuples of the set know it.
 */
static void ghosts_prune(void)
{
	struct bpf_tramp_tuple *t, *tmp;

	list_for_each_entry_safe(t, tmp, &ghosts, set_node)
		if ((t->tr->set && t->tr->set->live) || !bpf_tramp_tr_has_images(t->tr))
			ghost_free(t);
}

/*
 * Sites
 */

static struct bpf_tramp_site *site_find_ip(unsigned long ip)
{
	struct bpf_tramp_site *site;

	hash_for_each_possible(sites_by_ip, site, ip_node, ip)
		if (site->ip == ip)
			return site;
	return NULL;
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

/* Some sites have numbers: those with thunks, and those that have a cookie. */
static int site_number(struct bpf_tramp_site *site)
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

/* Where a site of the set with this thunk, or none, branches to. */
static unsigned long site_addr(struct bpf_tramp_set *set, unsigned long thunk)
{
	return thunk ? bpf_tramp_thunk_addr(set, thunk) : bpf_tramp_set_addr(set);
}

static void site_put_thunk(struct bpf_tramp_site *site)
{
	if (site->thunk)
		bpf_tramp_thunk_put(site->set, site->thunk);
	site->thunk = 0;
}

static void site_free(struct bpf_tramp_site *site)
{
	if (site->nr)
		ida_free(&site_numbers, site->nr);
	scoped_guard(spinlock, &sites_lock)
		hash_del(&site->ip_node);
	xa_erase(&sites_by_id, site_index(site->obj_id, site->btf_id));
	kmem_cache_free(site_cache, site);
}

static unsigned long site_solo(const struct bpf_tramp_site *site,
			       const struct bpf_tramp_class *class)
{
	return bpf_tramp_ip_is_modified(site->ip) ? site->ip - class->ip_off : 0;
}

static int req_refuse(struct bpf_tramp_req *req, int err, const char *why)
{
	req->err = err;
	req->why = why;
	return err;
}

/* @tr: what the function runs now, NULL if nothing */
static int req_has_room(struct bpf_tramp_req *req, const struct bpf_trampoline *tr,
			const struct bpf_prog *prog)
{
	switch (tr ? bpf_tramp_tr_has_room(tr, prog) : 0) {
	case -EBUSY:
		return req_refuse(req, -EBUSY, "the program is attached already");
	case -E2BIG:
		return req_refuse(req, -E2BIG, "as many programs as possible are attached");
	}
	return 0;
}

/* The set a new site is in before it runs anything. */
static struct bpf_tramp_set *site_first_set(const struct bpf_tramp_site *site,
					    struct bpf_tramp_req *req, const struct bpf_prog *prog)
{
	struct bpf_tramp_class dedicated, class = req->class;
	struct bpf_tramp_set *set;
	LIST_HEAD(nothing);
	int err;

	class.solo = site_solo(site, &class);
	class.pin = bpf_tramp_tr_dedicated(req->ip);
	if (class.pin) {
		bpf_tramp_tr_class(class.pin, &dedicated);
		err = class_equal(&dedicated, &class) ?
			req_has_room(req, class.pin, prog) :
			req_refuse(req, -EBUSY, "a program of another prototype is attached");
		if (err)
			return ERR_PTR(err);
	} else if (bpf_tramp_ip_is_taken(req->ip)) {
		req_refuse(req, -EBUSY, "something else calls a trampoline of its own there");
		return ERR_PTR(-EBUSY);
	}
	set = set_find(&class, &nothing);
	if (set)
		return set;
	set = set_alloc(&class, BPF_TRAMP_KIND_ENTRY);
	if (!set)
		return ERR_PTR(-ENOMEM);
	/* runs already, by itself */
	set->live = class.pin;
	set_insert(set);
	return set;
}

static struct bpf_tramp_site *site_add(struct bpf_tramp_req *req, const struct bpf_prog *prog)
{
	struct bpf_tramp_site *site;
	struct bpf_tramp_set *set;
	int err;

	site = kmem_cache_zalloc(site_cache, GFP_KERNEL);
	if (!site)
		return ERR_PTR(-ENOMEM);
	site->ip = req->ip;
	site->obj_id = req->obj_id;
	site->btf_id = req->btf_id;

	err = xa_insert(&sites_by_id, site_index(req->obj_id, req->btf_id), site, GFP_KERNEL);
	if (err) {
		kmem_cache_free(site_cache, site);
		return ERR_PTR(err);
	}
	/* from now on single programs wait, so that it is certain what the function runs */
	scoped_guard(spinlock, &sites_lock)
		hash_add(sites_by_ip, &site->ip_node, site->ip);
	set = site_first_set(site, req, prog);
	if (IS_ERR(set)) {
		site_free(site);
		return ERR_CAST(set);
	}
	site->set = set;
	list_add(&site->list, &set->sites);
	set->nr_sites++;
	return site;
}

/*
 * No link covers the sites of the set, both go: the sites last, because single
 * programs do not wait for the mutex then.
 */
static void set_forget(struct bpf_tramp_set *set)
{
	struct bpf_tramp_site *site, *tmp;
	LIST_HEAD(gone);

	list_for_each_entry(site, &set->sites, list)
		site_put_thunk(site);
	list_splice_init(&set->sites, &gone);
	set->nr_sites = 0;
	set_free(set);
	list_for_each_entry_safe(site, tmp, &gone, list)
		site_free(site);
}

/* The same; the trampoline of a pinned set stays as it is. */
static void set_release(struct bpf_tramp_set *set)
{
	if (set->class.pin)
		set->live = false;
	set_forget(set);
}

/*
 * Moving sites to another set: thunks are made, the sites patched, and then
 * they are the other set's.
 */

static int sites_make_thunks(struct list_head *sites, u32 nr, struct bpf_tramp_set *to,
			     struct bpf_tramp_thunks **thunks)
{
	struct bpf_tramp_site *site;
	int err;

	if (!nr || !bpf_tramp_set_has_thunks(to))
		return 0;
	*thunks = bpf_tramp_thunks_alloc(to, nr);
	if (!*thunks)
		return -ENOMEM;
	list_for_each_entry(site, sites, list) {
		err = site_number(site);
		if (err)
			return err;
		bpf_tramp_thunks_add(*thunks, to, site);
	}
	return bpf_tramp_thunks_write(*thunks);
}

static void sites_drop_thunks(struct bpf_tramp_thunks **thunks)
{
	if (*thunks)
		bpf_tramp_thunks_free(*thunks);
	*thunks = NULL;
}

static void sites_patch(struct list_head *sites, struct bpf_tramp_batch *batch,
			struct bpf_tramp_set *to, const struct bpf_tramp_thunks *thunks)
{
	struct bpf_tramp_site *site;
	u32 i = 0;

	list_for_each_entry(site, sites, list)
		bpf_tramp_batch_site(batch, site->ip,
				     site_addr(to, thunks ? bpf_tramp_thunks_get(thunks, i++) : 0));
}

/* Patch the sites of a batch, which ends with that. */
static int batch_finish(struct bpf_tramp_batch *batch, enum bpf_tramp_batch_op op)
{
	int err = bpf_tramp_batch_run(batch, op);

	bpf_tramp_batch_free(batch);
	return err;
}

/* @thunks are the sites' then. */
static void sites_join(struct list_head *sites, struct bpf_tramp_set *to,
		       const struct bpf_tramp_thunks *thunks)
{
	struct bpf_tramp_site *site;
	u32 i = 0;

	list_for_each_entry(site, sites, list) {
		site->requested = false;
		if (site->set == to)
			continue;
		site_put_thunk(site);
		site->set = to;
		if (thunks)
			site->thunk = bpf_tramp_thunks_get(thunks, i++);
	}
	list_splice_init(sites, &to->sites);
}

/*
 * Tidy
 */

/* The set is not canonical, or its body has programs that are gone. */
static void mark_untidy(struct bpf_tramp_set *set)
{
	hash_del(&set->hash_node);
	list_move_tail(&set->work, &untidy);
}

/* Can the sites of the set share a body with others? */
static bool set_is_shareable(struct bpf_tramp_set *set)
{
	return !set->class.pin || !bpf_tramp_tr_has_own_progs(set->tr);
}

/*
 * Make the set of the table that @set is a twin of, which is pinned or of
 * another kind, or its @site is to leave it.
 */
static struct bpf_tramp_set *leader_alloc(const struct bpf_tramp_class *class,
					  struct bpf_tramp_set *set,
					  const struct bpf_tramp_site *site)
{
	struct bpf_tramp_set *leader = set_alloc(class, tuples_kind(&set->tuples));

	if (!leader)
		return NULL;
	if (set_copy_tuples(leader, set, site)) {
		set_free(leader);
		return NULL;
	}
	set_publish_tuples(leader, set);
	set_insert(leader);
	return leader;
}

/*
 * Find the leader of an untidy set: itself, or the one that is in the table for
 * its class and list, and whose twin it is.
 */
static int tidy_group(struct bpf_tramp_set *set, struct list_head *leaders)
{
	struct bpf_tramp_site *site = list_first_entry(&set->sites, struct bpf_tramp_site, list);
	struct bpf_tramp_class class = set->class;
	struct bpf_tramp_set *leader;

	if (set_is_shareable(set))
		class.pin = NULL;
	/* the livepatch, or the dedicated trampoline's program, may have gone */
	if (!class.pin && !bpf_tramp_class_has_entry(&set->class))
		class.solo = site_solo(site, &class);
	leader = set_find(&class, &set->tuples);
	if (!leader && !memcmp(&class, &set->class, sizeof(class)) &&
	    (!bpf_tramp_class_has_entry(&class) || set->kind == tuples_kind(&set->tuples))) {
		set_insert(set);
		list_move_tail(&set->work, leaders);
		return 0;
	}
	if (!leader)
		leader = leader_alloc(&class, set, site);
	if (!leader)
		return -ENOMEM;
	if (list_empty(&leader->work))
		list_add_tail(&leader->work, leaders);
	list_move_tail(&set->work, &leader->twins);
	return 0;
}

/* The largest of the twins takes the others' sites and leads. */
static struct bpf_tramp_set *tidy_elect(struct bpf_tramp_set *leader)
{
	struct bpf_tramp_set *set, *most = leader;

	list_for_each_entry(set, &leader->twins, work)
		if (bpf_tramp_class_has_entry(&set->class) && set->kind == leader->kind &&
		    set->nr_sites > most->nr_sites)
			most = set;
	if (most == leader)
		return leader;

	list_move(&most->work, &leader->work);
	list_splice_init(&leader->twins, &most->twins);
	list_move(&leader->work, &most->twins);
	hash_del(&leader->hash_node);
	set_insert(most);
	return most;
}

/* The twins stay as they are, until the next time. */
static void tidy_disband(struct bpf_tramp_set *leader)
{
	struct bpf_tramp_set *set, *tmp;

	list_for_each_entry_safe(set, tmp, &leader->twins, work) {
		sites_drop_thunks(&set->thunks);
		if (set->live)
			mark_untidy(set);
		else
			set_free(set);
	}
	if (!leader->live) {
		set_abort(leader);
		set_free(leader);
	}
}

static int tidy_prepare_one(struct bpf_tramp_set *leader)
{
	struct bpf_tramp_set *set;
	int err = 0, ret = 0;

	if (!leader->live || leader->stale || bpf_tramp_thunks_are_wasted(leader))
		ret = set_prepare(leader);
	/* one that is live jumps over the programs and can go on */
	if (ret && !leader->live)
		err = ret;
	list_for_each_entry(set, &leader->twins, work)
		err = err ?: sites_make_thunks(&set->sites, set->nr_sites, leader, &set->thunks);
	if (err)
		tidy_disband(leader);
	return err ?: ret;
}

static int tidy_prepare(struct list_head *leaders)
{
	struct bpf_tramp_set *set, *tmp;
	int ret = 0;

	list_for_each_entry_safe(set, tmp, leaders, work)
		ret = tidy_prepare_one(tidy_elect(set)) ?: ret;
	return ret;
}

/* Without an entry, a new body is a new address. */
static bool leader_moves(struct bpf_tramp_set *leader)
{
	return leader->prepared && !bpf_tramp_class_has_entry(&leader->class);
}

static int tidy_move(struct list_head *leaders)
{
	struct bpf_tramp_set *leader, *set;
	struct bpf_tramp_batch *batch;
	u32 nr = 0;

	list_for_each_entry(leader, leaders, work) {
		if (leader_moves(leader))
			nr += leader->nr_sites;
		list_for_each_entry(set, &leader->twins, work)
			nr += set->nr_sites;
	}
	if (!nr)
		return 0;

	batch = bpf_tramp_batch_alloc(nr);
	if (!batch)
		return -ENOMEM;
	list_for_each_entry(leader, leaders, work) {
		if (leader_moves(leader))
			sites_patch(&leader->sites, batch, leader, NULL);
		list_for_each_entry(set, &leader->twins, work)
			sites_patch(&set->sites, batch, leader, set->thunks);
	}
	return batch_finish(batch, BPF_TRAMP_BATCH_MOD);
}

/* The twins' sites branch to the leader's entry now. */
static void tidy_merge(struct bpf_tramp_set *leader)
{
	struct bpf_tramp_set *set, *tmp;

	list_for_each_entry_safe(set, tmp, &leader->twins, work) {
		sites_join(&set->sites, leader, set->thunks);
		set->thunks = NULL;
		leader->nr_sites += set->nr_sites;
		set->nr_sites = 0;
		set_free(set);
		cond_resched();
	}
}

/* The sites moved or did not (@err): the leaders follow. */
static int tidy_finish(struct list_head *leaders, int err)
{
	struct bpf_tramp_set *set, *tmp;
	int switched, ret = err;

	list_for_each_entry_safe(set, tmp, leaders, work) {
		list_del_init(&set->work);
		if (err && !set->live) {
			tidy_disband(set);
			continue;
		}
		if (err)
			tidy_disband(set);
		else
			tidy_merge(set);

		if (set->prepared) {
			switched = 0;
			if (leader_moves(set))
				/* its site was to be moved to the new body */
				switched = err;
			else if (set->live)
				switched = bpf_tramp_body_switch(set);
			if (switched)
				set_abort(set);
			else
				set_commit(set);
			ret = switched ?: ret;
		}
		if (set->stale)
			mark_untidy(set);
		else if (list_empty(&set->tuples))
			set_release(set);
	}
	return ret;
}

/* Sites that no link covers leave ftrace. */
static int tidy_dead(struct list_head *dead)
{
	struct bpf_tramp_batch *batch;
	struct bpf_tramp_set *set, *tmp;
	struct bpf_tramp_site *site;
	u32 nr = 0;
	int err;

	list_for_each_entry(set, dead, work)
		nr += set->nr_sites;
	if (!nr)
		return 0;

	batch = bpf_tramp_batch_alloc(nr);
	if (!batch)
		return -ENOMEM;
	list_for_each_entry(set, dead, work)
		list_for_each_entry(site, &set->sites, list)
			bpf_tramp_batch_site(batch, site->ip, site_addr(set, site->thunk));
	err = batch_finish(batch, BPF_TRAMP_BATCH_DEL);
	if (err)
		return err;

	list_for_each_entry_safe(set, tmp, dead, work)
		set_forget(set);
	return 0;
}

/* Make sets canonical that are untidy. What fails is untidy still. */
static int tidy_sets(struct list_head *todo)
{
	struct bpf_tramp_set *set, *tmp;
	LIST_HEAD(leaders);
	LIST_HEAD(dead);
	int err, ret = 0;

	list_for_each_entry_safe(set, tmp, todo, work) {
		if (list_empty(&set->tuples) && set_is_shareable(set))
			list_move_tail(&set->work, &dead);
		else
			ret = tidy_group(set, &leaders) ?: ret;
	}

	ret = tidy_prepare(&leaders) ?: ret;
	err = tidy_move(&leaders);
	ret = tidy_finish(&leaders, err) ?: ret;
	err = tidy_dead(&dead);
	list_splice_init(&dead, &untidy);
	list_splice_init(todo, &untidy);
	ghosts_prune();
	return err ?: ret;
}

/* What stops one set stops no other: after an error it is one at a time. */
static int tidy(void)
{
	LIST_HEAD(todo);
	LIST_HEAD(one);
	int ret = 0;

	list_splice_init(&untidy, &todo);
	if (!tidy_sets(&todo))
		return 0;
	list_splice_init(&untidy, &todo);
	while (!list_empty(&todo)) {
		list_move(todo.next, &one);
		ret = tidy_sets(&one) ?: ret;
	}
	return ret;
}

/* Stop the program. What can be merged, or has no program left, is for tidy(). */
static void detach_locked(struct list_head *tuples)
{
	struct bpf_tramp_tuple *t, *tmp;
	struct bpf_tramp_set *set;

	list_for_each_entry_safe(t, tmp, tuples, link_node) {
		bpf_tramp_tr_skip(t->tr, t->node.link->prog);
		set = t->set;
		if (!set) {
			ghost_free(t);
			continue;
		}
		mark_untidy(set);
		set->stale = true;
		set_del_tuple(set, t);
	}
}

/*
 * Attach
 */

static struct bpf_tramp_part *part_add(struct bpf_tramp_set *set)
{
	struct bpf_tramp_part *part = kzalloc_obj(*part);

	if (!part)
		return NULL;
	INIT_LIST_HEAD(&part->sites);
	list_add(&part->node, &set->parts);
	return part;
}

static void part_free(struct bpf_tramp_part *part)
{
	list_del(&part->node);
	kfree(part);
}

/* Give the part's sites to a set that branches where they do, or will. */
static void part_join(struct bpf_tramp_part *part, struct bpf_tramp_set *set)
{
	sites_join(&part->sites, set, part->thunks);
	part->thunks = NULL;
	set->nr_sites += part->nr_sites;
	part->nr_sites = 0;
}

/* A site of the part; the only one, if its set is for one */
static struct bpf_tramp_site *part_site(struct bpf_tramp_part *part)
{
	return list_first_entry(&part->sites, struct bpf_tramp_site, list);
}

/* Has the first request for the function the same cookie? There are few such. */
static bool same_cookie(struct attach *at, const struct bpf_tramp_req *req)
{
	const struct bpf_tramp_req *first;

	for (first = at->reqs; first->ip != req->ip; first++)
		;
	return first->cookie == req->cookie;
}

/* May the link be attached to a function that is a site already? */
static int gather_known(struct attach *at, struct bpf_tramp_req *req,
			const struct bpf_tramp_site *site)
{
	const struct bpf_tramp_set *set = site->set;

	if (!class_equal(&set->class, &req->class))
		return req_refuse(req, -EINVAL, site->requested ?
				  "another id of the function has another prototype" :
				  "a link has the function with another prototype");
	if (site->requested && at->skip)
		return req_refuse(req, -EEXIST, "another id is of the same function");
	if (site->requested && !same_cookie(at, req))
		return req_refuse(req, -EINVAL, "another id of the function has another cookie");
	/* the first one of the set that is covered answers for the others */
	return list_empty(&set->parts) ? req_has_room(req, set->tr, at->link->prog) : 0;
}

static int gather_one(struct attach *at, struct bpf_tramp_req *req)
{
	struct bpf_tramp_site *site = site_find_ip(req->ip);
	struct bpf_tramp_part *part;
	struct bpf_tramp_set *set;
	int err;

	if (!site) {
		site = site_add(req, at->link->prog);
		if (IS_ERR(site))
			return PTR_ERR(site);
	} else {
		/* not canonical, and cannot be now */
		if (hlist_unhashed(&site->set->hash_node))
			return at->tidy_err;
		err = gather_known(at, req, site);
		if (err)
			return err;
	}
	req->site = site;
	set = site->set;
	if (list_empty(&set->work))
		list_add_tail(&set->work, &at->touched);
	if (at->has_cookies) {
		err = site_number(site);
		if (err)
			return err;
	}
	if (site->btf_id == req->btf_id && site->obj_id == req->obj_id)
		site->checked |= req->checked;
	else
		at->aliases = 1;
	if (site->requested)
		return 0;

	part = list_first_entry_or_null(&set->parts, struct bpf_tramp_part, node) ?: part_add(set);
	if (!part)
		return -ENOMEM;
	list_move(&site->list, &part->sites);
	set->nr_sites--;
	part->nr_sites++;
	site->requested = true;
	return 0;
}

static int gather_cookies(struct attach *at)
{
	u32 first = U32_MAX, last = 0, i;
	struct bpf_tramp_req *req;

	for (i = 0; i < at->cnt; i++) {
		cond_resched();
		if (at->reqs[i].err)
			continue;
		first = min_t(u32, first, at->reqs[i].site->nr);
		last = max_t(u32, last, at->reqs[i].site->nr);
	}
	at->cookies = bpf_tramp_cookies_alloc(first, last - first + 1);
	if (!at->cookies)
		return -ENOMEM;
	for (i = 0; i < at->cnt; i++) {
		req = &at->reqs[i];
		cond_resched();
		if (req->err)
			continue;
		at->cookies->cookie[req->site->nr - first] = req->cookie;
	}
	return 0;
}

static int gather(struct attach *at)
{
	struct bpf_tramp_req *req;
	bool any = false;
	int err;

	for (req = at->reqs; req < at->reqs + at->cnt; req++) {
		if (req->err)
			continue;
		err = gather_one(at, req);
		/* what is no fault of the function's is one of all */
		if (err && !(req->err && at->skip))
			return err;
		any |= !err;
		cond_resched();
	}
	if (!any)
		return -ENOENT;
	return at->has_cookies ? gather_cookies(at) : 0;
}

/* A set of its own for a part of @set, with the tuples of @set. */
static struct bpf_tramp_set *plan_fresh(struct attach *at, struct bpf_tramp_set *set,
					struct bpf_tramp_part *part, enum bpf_tramp_kind kind)
{
	struct bpf_tramp_set *to = set_alloc(&set->class, kind);

	if (!to)
		return NULL;
	list_add_tail(&to->work, &at->fresh);
	part->to = to;
	return set_copy_tuples(to, set, part_site(part)) ? NULL : to;
}

/* The link's program joins the list of @to. */
static int plan_join(struct attach *at, struct bpf_tramp_part *part, struct bpf_tramp_set *to)
{
	return set_add_tuple(to, at->link, at->cookies, part_site(part)) ? 0 : -ENOMEM;
}

static int plan_one(struct attach *at, struct bpf_tramp_set *set)
{
	struct bpf_tramp_part *part = list_first_entry(&set->parts, struct bpf_tramp_part, node);
	struct bpf_tramp_part *rest;
	struct bpf_tramp_set *to;
	bool can_keep;

	can_keep = set->live &&
		   (!bpf_tramp_class_has_entry(&set->class) || set->kind >= at->kind);
	if (!can_keep || part->nr_sites <= set->nr_sites) {
		to = plan_fresh(at, set, part, max(set->kind, at->kind));
		return to ? plan_join(at, part, to) : -ENOMEM;
	}

	if (set->nr_sites) {
		/* the rest is the smaller side, it goes with the old list */
		rest = part_add(set);
		if (!rest)
			return -ENOMEM;
		list_splice_init(&set->sites, &rest->sites);
		rest->nr_sites = set->nr_sites;
		set->nr_sites = 0;
		if (!plan_fresh(at, set, rest, set->kind))
			return -ENOMEM;
	}
	part->to = set;
	return plan_join(at, part, set);
}

static int plan(struct attach *at)
{
	struct bpf_tramp_set *set;
	int err;

	list_for_each_entry(set, &at->touched, work) {
		err = plan_one(at, set);
		if (err)
			return err;
	}
	return 0;
}

/* Does the link's program join the set's list, and the set keep its entry? */
static bool set_is_joined(struct attach *at, struct bpf_tramp_set *set)
{
	struct bpf_tramp_tuple *t;

	t = list_first_entry_or_null(&set->tuples, struct bpf_tramp_tuple, set_node);
	return t && t->node.link == at->link;
}

/* Do the part's sites have to be patched to get to their new set's body? */
static bool part_moves(struct bpf_tramp_set *set, struct bpf_tramp_part *part)
{
	return part->to != set || !bpf_tramp_class_has_entry(&set->class);
}

static int prepare(struct attach *at)
{
	struct bpf_tramp_part *part;
	struct bpf_tramp_set *set;
	int err;

	list_for_each_entry(set, &at->fresh, work) {
		err = set_prepare(set);
		if (err)
			return err;
	}
	list_for_each_entry(set, &at->touched, work) {
		err = set_is_joined(at, set) ? set_prepare(set) : 0;
		if (err)
			return err;
		list_for_each_entry(part, &set->parts, node) {
			if (!part_moves(set, part))
				continue;
			err = sites_make_thunks(&part->sites, part->nr_sites, part->to,
						&part->thunks);
			if (err)
				return err;
		}
	}
	return 0;
}

/* Patch the sites of new functions (@live false), or those that others run on. */
static int move(struct attach *at, bool live)
{
	struct bpf_tramp_batch *batch;
	struct bpf_tramp_part *part;
	struct bpf_tramp_set *set;
	u32 nr = 0;

	list_for_each_entry(set, &at->touched, work)
		list_for_each_entry(part, &set->parts, node)
			if (set->live == live && part_moves(set, part))
				nr += part->nr_sites;
	if (!nr)
		return 0;

	batch = bpf_tramp_batch_alloc(nr);
	if (!batch)
		return -ENOMEM;
	list_for_each_entry(set, &at->touched, work)
		list_for_each_entry(part, &set->parts, node)
			if (set->live == live && part_moves(set, part))
				sites_patch(&part->sites, batch, part->to, part->thunks);
	return batch_finish(batch, live ? BPF_TRAMP_BATCH_MOD : BPF_TRAMP_BATCH_ADD);
}

/*
 * A task can be preempted between a site that has left and the entry, and would
 * run the set's next programs, for which the site has no cookie.
 */
static void wait_for_left(struct attach *at)
{
	struct bpf_tramp_set *set;
	bool wait = false;

	list_for_each_entry(set, &at->touched, work) {
		if (!set->prepared || !bpf_tramp_class_has_entry(&set->class))
			continue;
		/* one part keeps the entry, another one is the rest */
		wait |= set->left || !list_is_singular(&set->parts);
		set->left = false;
	}
	if (wait)
		bpf_tramp_wait();
}

/* After an error sets are left with the old body, which is not their list's. */
static int switch_entries(struct attach *at)
{
	struct bpf_tramp_set *set;
	int err = 0;

	wait_for_left(at);
	list_for_each_entry(set, &at->touched, work) {
		if (!set->prepared || !bpf_tramp_class_has_entry(&set->class))
			continue;
		if (!err)
			err = bpf_tramp_body_switch(set);
		if (err)
			set_abort(set);
	}
	return err;
}

/* The parts' sites go back to their set. */
static void parts_undo(struct bpf_tramp_set *set)
{
	struct bpf_tramp_part *part, *tmp;

	list_for_each_entry_safe(part, tmp, &set->parts, node) {
		sites_drop_thunks(&part->thunks);
		part_join(part, set);
		part_free(part);
	}
}

static void attach_abort(struct attach *at)
{
	struct bpf_tramp_set *set, *tmp;

	/* if ftrace has died, some sites may have been moved */
	list_for_each_entry(set, &at->touched, work)
		if (set->prepared)
			bpf_tramp_tr_skip(set->tr, at->link->prog);
	list_for_each_entry(set, &at->fresh, work)
		if (set->prepared)
			bpf_tramp_tr_skip(set->tr, at->link->prog);
	list_for_each_entry_safe(set, tmp, &at->touched, work) {
		list_del_init(&set->work);
		set_abort(set);
		if (set_is_joined(at, set))
			set_del_tuple(set, list_first_entry(&set->tuples, struct bpf_tramp_tuple,
							    set_node));
		parts_undo(set);
		if (list_empty(&set->tuples))
			set_release(set);
	}
	list_for_each_entry_safe(set, tmp, &at->fresh, work) {
		set_abort(set);
		set_free(set);
	}
}

/*
 * The sites branch where they belong, and the entries are switched. @added:
 * new functions are, too; if not they are forgotten again.
 */
static void attach_commit(struct attach *at, bool added)
{
	struct bpf_tramp_part *part, *ptmp;
	struct bpf_tramp_set *set, *tmp;
	struct bpf_tramp_tuple *t;

	list_for_each_entry_safe(set, tmp, &at->touched, work) {
		list_del_init(&set->work);
		if (!set->live && !added)
			parts_undo(set);
		list_for_each_entry_safe(part, ptmp, &set->parts, node) {
			if (part->to != set) {
				set_publish_tuples(part->to, set);
				/* where the set is joined, they were waited for */
				set->left |= !set_is_joined(at, set);
			}
			part_join(part, part->to);
			part_free(part);
			cond_resched();
		}
		if (set_is_joined(at, set)) {
			t = list_first_entry(&set->tuples, struct bpf_tramp_tuple, set_node);
			list_add(&t->link_node, at->tuples);
			if (set->prepared)
				set_commit(set);
			set_rehash(set);
		}
		if (!set->live)
			set_release(set);
		else if (!set->nr_sites)
			/* its kind did not do */
			set_free(set);
	}
	list_for_each_entry_safe(set, tmp, &at->fresh, work) {
		list_del_init(&set->work);
		if (!set->nr_sites) {
			set_abort(set);
			set_free(set);
			continue;
		}
		t = list_first_entry(&set->tuples, struct bpf_tramp_tuple, set_node);
		if (t->node.link == at->link)
			list_add(&t->link_node, at->tuples);
		set_commit(set);
		set_insert(set);
	}
}

static int attach_locked(struct attach *at)
{
	int err;

	err = gather(at);
	at->kind = link_kind(at->link, at->cookies);
	if (!err)
		err = plan(at);
	if (!err)
		err = prepare(at);
	if (!err)
		err = move(at, true);
	if (err) {
		attach_abort(at);
		return err;
	}

	err = move(at, false);
	if (err) {
		switch_entries(at);
		attach_commit(at, false);
	} else {
		err = switch_entries(at);
		attach_commit(at, true);
	}
	if (err) {
		detach_locked(at->tuples);
		if (tidy())
			bpf_tramp_tidy_later();
	}
	return err;
}

/**
 * bpf_tramp_sets_attach - attach a link to functions
 * @link: the link
 * @tuples: empty list, gets the link's tuples
 * @reqs: the functions
 * @cnt: number of @reqs
 * @cookies: the requests have cookies, and the program asks for its own
 * @skip: leave out functions that cannot be attached
 *
 * Requests that are refused already, by their @err, are left alone. Two requests
 * for the same function are taken for one if they agree; with @skip the second
 * is left out. A function's other programs do not miss a call.
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex.
 * Return: 0; 1 if bpf_tramp_site_find() does not know some of the functions by
 *         these ids; or an error, with everything as it was: -ENOENT if no request
 *         is left, -ENOMEM, or what ftrace returned; or the @err of the request that
 *         is refused. A request that is refused, or left out, has @err and @why set:
 *         -EINVAL if requests or links for one function do not agree in model or
 *         cookie, -EEXIST if another request is for the function and @skip, -EBUSY
 *         if the program is attached to it already, or it has a trampoline of
 *         another model or of somebody else, -E2BIG if it has no place for another
 *         program.
 */
int bpf_tramp_sets_attach(struct bpf_link *link, struct list_head *tuples,
			  struct bpf_tramp_req *reqs, u32 cnt, bool cookies, bool skip)
{
	struct attach at = {
		.link = link, .tuples = tuples, .reqs = reqs, .cnt = cnt, .has_cookies = cookies,
		.skip = skip,
		.touched = LIST_HEAD_INIT(at.touched),
		.fresh = LIST_HEAD_INIT(at.fresh),
	};
	int err;

	mutex_lock(&bpf_tramp_sets_mutex);
	at.tidy_err = tidy();
	err = attach_locked(&at);
	bpf_tramp_cookies_put(at.cookies);
	mutex_unlock(&bpf_tramp_sets_mutex);
	return err ?: at.aliases;
}

/**
 * bpf_tramp_sets_detach - detach a link from its functions
 * @tuples: the link's tuples
 *
 * When it returns the program does not run any more, but in calls that were
 * inside of it. It cannot fail, and patches no site: what that leaves is for
 * bpf_tramp_sets_tidy(), which the caller calls later, or for the next attach.
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex.
 */
void bpf_tramp_sets_detach(struct list_head *tuples)
{
	mutex_lock(&bpf_tramp_sets_mutex);
	detach_locked(tuples);
	mutex_unlock(&bpf_tramp_sets_mutex);
}

/**
 * bpf_tramp_sets_tidy - do what links have left that are detached
 *
 * Sets that have become equal are merged, functions that no link covers leave
 * ftrace, and bodies are generated without the programs that are gone. After an
 * error the rest is for the next call.
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex.
 * Return: 0, also if there was nothing to do; -ENOMEM, or what ftrace returned.
 */
int bpf_tramp_sets_tidy(void)
{
	int err;

	mutex_lock(&bpf_tramp_sets_mutex);
	err = tidy();
	mutex_unlock(&bpf_tramp_sets_mutex);
	return err;
}

static bool set_has(const struct bpf_tramp_set *set, bool (*in)(unsigned long ip, void *data),
		    void *data)
{
	const struct bpf_tramp_site *site;

	list_for_each_entry(site, &set->sites, list)
		if (in(site->ip, data))
			return true;
	return false;
}

/**
 * bpf_tramp_sets_leave - some functions, which no link covers any more, go
 * @in: is a function, by its ftrace location, one of them?
 * @data: for @in
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex.
 * Return: 0 if none of them is a site any more; -ENOMEM, or what ftrace returned.
 */
int bpf_tramp_sets_leave(bool (*in)(unsigned long ip, void *data), void *data)
{
	struct bpf_tramp_set *set, *tmp;
	LIST_HEAD(todo);
	int err;

	guard(mutex)(&bpf_tramp_sets_mutex);
	list_for_each_entry_safe(set, tmp, &untidy, work)
		if (set_has(set, in, data))
			list_move(&set->work, &todo);
	if (list_empty(&todo))
		return 0;
	err = tidy_sets(&todo);
	list_for_each_entry(set, &untidy, work)
		if (set_has(set, in, data))
			return err;
	return 0;
}

/*
 * Pinning
 */

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
	return site_find_ip(ip);
}

/**
 * bpf_tramp_sets_lock - lock the sets, if they have to do with a function
 * @ip: ftrace location
 *
 * Context: may sleep.
 * Return: true if bpf_tramp_sets_mutex is held.
 */
bool bpf_tramp_sets_lock(unsigned long ip)
{
	if (!bpf_tramp_ip_is_site(ip))
		return false;
	mutex_lock(&bpf_tramp_sets_mutex);
	return true;
}

/**
 * bpf_tramp_sets_unlock - the counterpart of bpf_tramp_sets_lock()
 */
void bpf_tramp_sets_unlock(void)
{
	mutex_unlock(&bpf_tramp_sets_mutex);
}

/**
 * bpf_tramp_pin - a function's dedicated trampoline is to get a program
 * @tr: the dedicated trampoline
 *
 * If links cover the function, their programs are added to @tr, if they are not there.
 * The site branches to its set until the caller has patched it to @tr's image
 * and calls bpf_tramp_pin_commit(), or bpf_tramp_pin_abort() if that failed.
 * bpf_tramp_pin_pending() tells the caller that it is ftrace's already.
 *
 * Context: may sleep; bpf_tramp_sets_mutex and @tr's lock are held.
 * Return: 0, also if there is nothing to do; -EBUSY if the function has another
 *         dedicated trampoline (by another BTF id) or @tr is for another model;
 *         -ENOMEM.
 */
int bpf_tramp_pin(struct bpf_trampoline *tr)
{
	struct bpf_tramp_class class;
	struct bpf_tramp_site *site;
	struct bpf_tramp_set *set;
	int err;

	lockdep_assert_held(&bpf_tramp_sets_mutex);
	site = site_find_ip(tr->ip);
	if (!site || tr->set)
		return 0;

	bpf_tramp_tr_class(tr, &class);
	if (site->set->class.pin ||
	    (!list_empty(&site->set->tuples) && !class_equal(&class, &site->set->class)))
		return -EBUSY;

	class.pin = tr;
	set = set_alloc(&class, BPF_TRAMP_KIND_ENTRY);
	if (!set)
		return -ENOMEM;
	err = set_copy_tuples(set, site->set, site);
	if (!err)
		err = set_load(set);
	if (err)
		set_free(set);
	return err;
}

/**
 * bpf_tramp_pin_pending - is the site still to be moved to the trampoline?
 * @tr: the dedicated trampoline
 *
 * Context: the caller holds @tr's lock.
 * Return: true between bpf_tramp_pin() and bpf_tramp_pin_commit(), if there is
 *         a site.
 */
bool bpf_tramp_pin_pending(struct bpf_trampoline *tr)
{
	return tr->set && !tr->set->live;
}

/**
 * bpf_tramp_pin_commit - the site branches to its dedicated trampoline
 * @tr: the dedicated trampoline
 *
 * Does nothing if bpf_tramp_pin() had nothing to do.
 *
 * Context: @tr's lock is held, and bpf_tramp_sets_mutex since bpf_tramp_pin().
 */
void bpf_tramp_pin_commit(struct bpf_trampoline *tr)
{
	struct bpf_tramp_set *set, *from;
	struct bpf_tramp_site *site;

	if (!bpf_tramp_pin_pending(tr))
		return;
	lockdep_assert_held(&bpf_tramp_sets_mutex);
	set = tr->set;
	site = site_find_ip(tr->ip);
	from = site->set;

	set_publish_tuples(set, from);
	list_move(&site->list, &set->sites);
	site_put_thunk(site);
	site->set = set;
	set->nr_sites = 1;
	set->live = true;
	from->left = true;
	set_insert(set);
	if (list_empty(&set->tuples))
		/* @from has lost its last link, and all is not tidy yet */
		mark_untidy(set);
	if (!--from->nr_sites)
		set_free(from);
	ghosts_prune();
}

/**
 * bpf_tramp_pin_abort - the site stays in its set
 * @tr: the dedicated trampoline, which has no programs but those that
 *      bpf_tramp_pin() added
 *
 * Does nothing if bpf_tramp_pin() had nothing to do.
 *
 * Context: @tr's lock is held, and bpf_tramp_sets_mutex since bpf_tramp_pin().
 */
void bpf_tramp_pin_abort(struct bpf_trampoline *tr)
{
	if (!bpf_tramp_pin_pending(tr))
		return;
	lockdep_assert_held(&bpf_tramp_sets_mutex);
	set_free(tr->set);
}

/**
 * bpf_tramp_unpin - a dedicated trampoline has lost a program
 * @tr: the dedicated trampoline; its images jump over the program already
 *
 * The site returns to a shared set when sets can serve all its programs again.
 *
 * Context: may sleep; @tr's lock is held, and bpf_tramp_sets_mutex if the function is
 *          a site.
 * Return: true if so: the caller has nothing to do. Otherwise the trampoline is
 *         the caller's to update.
 */
bool bpf_tramp_unpin(struct bpf_trampoline *tr)
{
	LIST_HEAD(one);

	if (!tr->set || bpf_tramp_tr_has_own_progs(tr))
		return false;
	lockdep_assert_held(&bpf_tramp_sets_mutex);
	mark_untidy(tr->set);
	list_move(&tr->set->work, &one);
	if (tidy_sets(&one))
		bpf_tramp_tidy_later();
	return true;
}

/* Move a site that is in a shared set to one of its own. */
static int site_leave(struct bpf_tramp_site *site, const struct bpf_tramp_class *class)
{
	struct bpf_tramp_set *from = site->set, *to;
	struct bpf_tramp_batch *batch;
	int err;

	to = leader_alloc(class, from, site);
	if (!to)
		return -ENOMEM;
	err = set_prepare(to);
	if (err)
		goto out;
	err = -ENOMEM;
	batch = bpf_tramp_batch_alloc(1);
	if (!batch)
		goto out;
	bpf_tramp_batch_site(batch, site->ip, bpf_tramp_set_addr(to));
	err = batch_finish(batch, BPF_TRAMP_BATCH_MOD);
	if (err)
		goto out;

	set_commit(to);
	list_move(&site->list, &to->sites);
	site_put_thunk(site);
	site->set = to;
	to->nr_sites = 1;
	from->left = true;
	if (!--from->nr_sites)
		set_free(from);
	return 0;
out:
	set_abort(to);
	set_free(to);
	return err;
}

/* Take a site that no link covers any more out of ftrace before the others. */
static int site_drop(struct bpf_tramp_site *site)
{
	struct bpf_tramp_set *set = site->set;
	struct bpf_tramp_batch *batch;
	int err;

	batch = bpf_tramp_batch_alloc(1);
	if (!batch)
		return -ENOMEM;
	bpf_tramp_batch_site(batch, site->ip, site_addr(set, site->thunk));
	err = batch_finish(batch, BPF_TRAMP_BATCH_DEL);
	if (err)
		return err;

	if (set->nr_sites == 1) {
		set_forget(set);
		return 0;
	}
	site_put_thunk(site);
	list_del(&site->list);
	set->nr_sites--;
	site_free(site);
	return 0;
}

/**
 * bpf_tramp_ipmodify - a livepatch comes to a function, or has gone
 * @ip: ftrace location; bpf_tramp_ip_is_modified() tells which
 *
 * Before a livepatch is registered the site leaves its set: in a body of its own
 * it returns to where the livepatch lets it. One that no link covers any more leaves
 * ftrace. After a livepatch the site comes back when all is tidied up.
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex.
 * Return: 0; or, if one comes, -ENOMEM or what ftrace returned, with the site where
 *         it was.
 */
int bpf_tramp_ipmodify(unsigned long ip)
{
	struct bpf_tramp_class class;
	struct bpf_tramp_site *site;
	struct bpf_tramp_set *set;

	guard(mutex)(&bpf_tramp_sets_mutex);
	site = site_find_ip(ip);
	if (!site)
		return 0;
	set = site->set;
	if (list_empty(&set->tuples) && set_is_shareable(set))
		return bpf_tramp_ip_is_modified(ip) ? site_drop(site) : 0;
	class = set->class;
	class.solo = site_solo(site, &class);
	/* a dedicated trampoline knows its function */
	if (class.pin || class.solo == set->class.solo)
		return 0;
	if (class.solo)
		return site_leave(site, &class);
	mark_untidy(set);
	bpf_tramp_tidy_later();
	return 0;
}

/**
 * bpf_tramp_sets_init - make the cache of sites
 *
 * Return: 0 or -ENOMEM.
 */
int bpf_tramp_sets_init(void)
{
	site_cache = KMEM_CACHE(bpf_tramp_site, 0);
	return site_cache ? 0 : -ENOMEM;
}
