// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sets of functions that share a trampoline: which functions are in which set,
 * and what has to be generated and patched when links come and go.
 *
 * Sets are canonical: between two operations there is at most one set for a
 * (class, list of tuples), whatever the order in which links came and went, so
 * the number of bodies is the smallest that the links allow. The exception are
 * sets that a tidy() without memory had to leave; they are on the untidy list
 * and the next operation starts with them.
 *
 * A link attaches in four steps. Until the third nothing that runs is changed,
 * and each step can undo itself:
 *
 *   gather()   moves the sites that the link covers from their set to parts
 *              of it, one part per cookie. A new site starts in its class's
 *              empty set, which is not live and vanishes in the end.
 *   plan()     decides for each touched set which of the parts and the rest
 *              (what is still in the set) keeps the entry: the largest. All
 *              others get a new set each.
 *   prepare()  generates the bodies.
 *   move() and switch_entries()
 *              repatch the sites that have left their set, then the entries.
 *              Sites leave before the entry they branched to is switched, so
 *              the new program never runs on a function it does not cover.
 *
 * An error that comes after sites have been moved is handled by finishing what
 * is consistent in itself and then detaching the link, because detaching cannot
 * fail.
 *
 * Detaching drops the link's tuples, makes the images jump over the program,
 * and leaves sets that are no longer canonical to tidy(), which looks for each
 * untidy set's twin: the set of the same class and list. Of twins the one with
 * the most sites survives, the sites of the others are repatched to its entry.
 *
 * See trampoline_set.h for the words and the locking.
 */
#include "trampoline_set_internal.h"

/* Serializes all changes of sites, sets and tuples. */
DEFINE_MUTEX(bpf_tramp_sets_mutex);

/* Lookups by ip are few: one for each new site, and for single programs. */
static DEFINE_HASHTABLE(sites_by_ip, 12);

/* By (BTF object, id) */
static DEFINE_XARRAY(sites_by_id);

static struct kmem_cache *site_cache;

/* Tens of sets, up to one a function when all cookies differ */
static DEFINE_HASHTABLE(sets, 10);

/* Sets that tidy() has to look at */
static LIST_HEAD(untidy);

/* Tuples whose set is gone while its images may still run */
static LIST_HEAD(ghosts);

/* The part of a set that the attaching link covers with one cookie */
struct bpf_tramp_part {
	struct list_head node;
	struct list_head sites;
	struct bpf_tramp_set *to;
	u64 cookie;
	u32 nr_sites;
};

/* One attach */
struct attach {
	struct bpf_link *link;
	struct list_head *tuples;
	const struct bpf_tramp_req *reqs;
	u32 cnt;
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
	list_for_each_entry(t, tuples, set_node) {
		hash = jhash(&t->node.link, sizeof(t->node.link), hash);
		hash = jhash(&t->node.cookie, sizeof(t->node.cookie), hash);
	}
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
		if (list_is_head(&b->set_node, tuples) ||
		    a->node.link != b->node.link || a->node.cookie != b->node.cookie)
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

static struct bpf_tramp_set *set_alloc(const struct bpf_tramp_class *class)
{
	struct bpf_tramp_set *set = kzalloc_obj(*set);

	if (!set)
		return NULL;
	set->class = *class;
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

/* Add a tuple, not yet in the link's list, to the front of the set's. */
static struct bpf_tramp_tuple *set_add_tuple(struct bpf_tramp_set *set, struct bpf_link *link,
					     u64 cookie)
{
	struct bpf_tramp_tuple *t = kzalloc_obj(*t);

	if (!t)
		return NULL;
	t->node.link = link;
	t->node.cookie = cookie;
	INIT_HLIST_NODE(&t->node.tramp_hlist);
	INIT_LIST_HEAD(&t->link_node);
	t->set = set;
	t->tr = set->tr;
	list_add(&t->set_node, &set->tuples);
	set->nr_tuples++;
	return t;
}

static void set_del_tuple(struct bpf_tramp_set *set, struct bpf_tramp_tuple *t)
{
	if (!hlist_unhashed(&t->node.tramp_hlist))
		bpf_tramp_tr_del(set->tr, &t->node);
	list_del(&t->set_node);
	list_del(&t->link_node);
	set->nr_tuples--;
	kfree(t);
}

/* Copy the tuples of @from. */
static int set_copy_tuples(struct bpf_tramp_set *set, const struct bpf_tramp_set *from)
{
	struct bpf_tramp_tuple *t;

	list_for_each_entry_reverse(t, &from->tuples, set_node)
		if (!set_add_tuple(set, t->node.link, t->node.cookie))
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
		set->tr = bpf_tramp_tr_alloc(&set->class);
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
	list_del(&t->set_node);
	list_del(&t->link_node);
	bpf_tramp_tr_put(t->tr);
	kfree(t);
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

static unsigned long site_index(u32 obj_id, u32 btf_id)
{
	return (u64)obj_id << 32 | btf_id;
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
	return xa_load(&sites_by_id, site_index(obj_id, btf_id));
}

static void site_free(struct bpf_tramp_site *site)
{
	list_del(&site->list);
	site->set->nr_sites--;
	hash_del(&site->ip_node);
	xa_erase(&sites_by_id, site_index(site->obj_id, site->btf_id));
	kmem_cache_free(site_cache, site);
}

static unsigned long site_solo(const struct bpf_tramp_site *site,
			       const struct bpf_tramp_class *class)
{
	return site->ipmodify ? site->ip - class->ip_off : 0;
}

/* The set a new site is in before it runs anything. */
static struct bpf_tramp_set *site_first_set(const struct bpf_tramp_site *site,
					    const struct bpf_tramp_req *req)
{
	struct bpf_tramp_class dedicated, class = req->class;
	struct bpf_tramp_set *set;
	LIST_HEAD(nothing);

	class.solo = site_solo(site, &class);
	class.pin = bpf_tramp_tr_dedicated(req->ip);
	if (class.pin) {
		bpf_tramp_tr_class(class.pin, &dedicated);
		if (!class_equal(&dedicated, &class))
			return ERR_PTR(-EBUSY);
	}
	set = set_find(&class, &nothing);
	if (set)
		return set;
	set = set_alloc(&class);
	if (!set)
		return ERR_PTR(-ENOMEM);
	/* runs already, by itself */
	set->live = class.pin;
	set_insert(set);
	return set;
}

static struct bpf_tramp_site *site_add(const struct bpf_tramp_req *req)
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
	site->ipmodify = bpf_tramp_ip_is_modified(req->ip);

	err = xa_insert(&sites_by_id, site_index(req->obj_id, req->btf_id), site, GFP_KERNEL);
	if (err)
		goto out_free;
	set = site_first_set(site, req);
	if (IS_ERR(set)) {
		err = PTR_ERR(set);
		goto out_erase;
	}
	hash_add(sites_by_ip, &site->ip_node, site->ip);
	site->set = set;
	list_add(&site->list, &set->sites);
	set->nr_sites++;
	return site;

out_erase:
	xa_erase(&sites_by_id, site_index(req->obj_id, req->btf_id));
out_free:
	kmem_cache_free(site_cache, site);
	return ERR_PTR(err);
}

/* Sites of functions that no link covers. */
static void sites_forget(struct bpf_tramp_set *set)
{
	struct bpf_tramp_site *site, *tmp;

	list_for_each_entry_safe(site, tmp, &set->sites, list)
		site_free(site);
}

/* A pinned set that goes while its trampoline stays as it is. */
static void set_release(struct bpf_tramp_set *set)
{
	sites_forget(set);
	if (set->class.pin)
		set->live = false;
	set_free(set);
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
	return !set->class.pin || !bpf_tramp_tr_has_own_progs(set->tr, set->nr_tuples);
}

/* Make the set of the table that the pinned @set is a twin of. */
static struct bpf_tramp_set *leader_alloc(const struct bpf_tramp_class *class,
					  struct bpf_tramp_set *set)
{
	struct bpf_tramp_set *leader = set_alloc(class);

	if (!leader)
		return NULL;
	if (set_copy_tuples(leader, set)) {
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
	struct bpf_tramp_class class = set->class;
	struct bpf_tramp_set *leader;

	if (set->class.pin && set_is_shareable(set)) {
		class.pin = NULL;
		class.solo = site_solo(list_first_entry(&set->sites, struct bpf_tramp_site, list),
				       &class);
	}
	leader = set_find(&class, &set->tuples);
	if (!leader && class.pin == set->class.pin) {
		set_insert(set);
		list_move_tail(&set->work, leaders);
		return 0;
	}
	if (!leader)
		leader = leader_alloc(&class, set);
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
		if (!set->class.pin && set->nr_sites > most->nr_sites)
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

static int tidy_prepare(struct list_head *leaders)
{
	struct bpf_tramp_set *set, *tmp;
	int err, ret = 0;

	list_for_each_entry_safe(set, tmp, leaders, work) {
		set = tidy_elect(set);
		if (set->live && !set->stale)
			continue;
		err = set_prepare(set);
		if (!err)
			continue;
		ret = err;
		/* one that is live jumps over the programs and can go on */
		if (!set->live)
			tidy_disband(set);
	}
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
	struct bpf_tramp_site *site;
	u32 nr = 0;
	int err;

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
			list_for_each_entry(site, &leader->sites, list)
				bpf_tramp_batch_site(batch, site->ip, bpf_tramp_set_addr(leader));
		list_for_each_entry(set, &leader->twins, work)
			list_for_each_entry(site, &set->sites, list)
				bpf_tramp_batch_site(batch, site->ip, bpf_tramp_set_addr(leader));
	}
	err = bpf_tramp_batch_run(batch, BPF_TRAMP_BATCH_MOD);
	bpf_tramp_batch_free(batch);
	return err;
}

/* The twins' sites branch to the leader's entry now. */
static void tidy_merge(struct bpf_tramp_set *leader)
{
	struct bpf_tramp_set *set, *tmp;
	struct bpf_tramp_site *site;

	list_for_each_entry_safe(set, tmp, &leader->twins, work) {
		list_for_each_entry(site, &set->sites, list)
			site->set = leader;
		list_splice_init(&set->sites, &leader->sites);
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
			bpf_tramp_batch_site(batch, site->ip, bpf_tramp_set_addr(set));
	err = bpf_tramp_batch_run(batch, BPF_TRAMP_BATCH_DEL);
	bpf_tramp_batch_free(batch);
	if (err)
		return err;

	list_for_each_entry_safe(set, tmp, dead, work) {
		sites_forget(set);
		set_free(set);
	}
	return 0;
}

/* Make the sets canonical, all or one. What fails stays on the untidy list. */
static int tidy(struct bpf_tramp_set *only)
{
	struct bpf_tramp_set *set, *tmp;
	LIST_HEAD(leaders);
	LIST_HEAD(dead);
	int err, ret = 0;

	list_for_each_entry_safe(set, tmp, &untidy, work) {
		if (only && set != only)
			continue;
		if (list_empty(&set->tuples) && set_is_shareable(set))
			list_move_tail(&set->work, &dead);
		else
			ret = tidy_group(set, &leaders) ?: ret;
	}

	ret = tidy_prepare(&leaders) ?: ret;
	err = tidy_move(&leaders);
	ret = tidy_finish(&leaders, err) ?: ret;
	err = tidy_dead(&dead);
	list_splice(&dead, &untidy);
	ghosts_prune();
	return err ?: ret;
}

/* Stop the program, then see what can be merged, or has no program left. */
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
	tidy(NULL);
}

/*
 * Attach
 */

static struct bpf_tramp_part *part_add(struct bpf_tramp_set *set, u64 cookie)
{
	struct bpf_tramp_part *part = kzalloc_obj(*part);

	if (!part)
		return NULL;
	part->cookie = cookie;
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
	struct bpf_tramp_site *site;

	list_for_each_entry(site, &part->sites, list) {
		site->set = set;
		site->requested = false;
	}
	list_splice_init(&part->sites, &set->sites);
	set->nr_sites += part->nr_sites;
	part->nr_sites = 0;
}

/* Has the first request for the function the same cookie? There are few such. */
static bool same_cookie(struct attach *at, const struct bpf_tramp_req *req)
{
	const struct bpf_tramp_req *first;

	for (first = at->reqs; first->ip != req->ip; first++)
		;
	return first->cookie == req->cookie;
}

static int gather_one(struct attach *at, const struct bpf_tramp_req *req)
{
	struct bpf_tramp_site *site = site_find_ip(req->ip);
	u64 cookie = at->link->prog->call_attach_cookie ? req->cookie : 0;
	struct bpf_tramp_part *part;
	struct bpf_tramp_set *set;

	if (!site) {
		site = site_add(req);
		if (IS_ERR(site))
			return PTR_ERR(site);
	} else if (!class_equal(&site->set->class, &req->class)) {
		return -EINVAL;
	}
	set = site->set;
	if (list_empty(&set->work))
		list_add_tail(&set->work, &at->touched);
	if (site->btf_id != req->btf_id || site->obj_id != req->obj_id)
		at->aliases = 1;
	if (site->requested)
		return same_cookie(at, req) ? 0 : -EINVAL;

	/* requests that tell cookies apart come sorted by cookie */
	part = list_first_entry_or_null(&set->parts, struct bpf_tramp_part, node);
	if (!part || part->cookie != cookie) {
		part = part_add(set, cookie);
		if (!part)
			return -ENOMEM;
	}
	list_move(&site->list, &part->sites);
	set->nr_sites--;
	part->nr_sites++;
	site->requested = true;
	return 0;
}

static int gather(struct attach *at)
{
	u32 i;
	int err;

	for (i = 0; i < at->cnt; i++) {
		err = gather_one(at, &at->reqs[i]);
		if (err)
			return err;
		cond_resched();
	}
	return 0;
}

/* A set of its own for a part of @set, with the tuples of @set. */
static struct bpf_tramp_set *plan_fresh(struct attach *at, struct bpf_tramp_set *set,
					struct bpf_tramp_part *part)
{
	struct bpf_tramp_set *to = set_alloc(&set->class);

	if (!to)
		return NULL;
	list_add_tail(&to->work, &at->fresh);
	part->to = to;
	return set_copy_tuples(to, set) ? NULL : to;
}

static int plan_one(struct attach *at, struct bpf_tramp_set *set)
{
	struct bpf_tramp_part *part, *keeper = NULL;
	struct bpf_tramp_set *to;
	u32 most = set->nr_sites;

	if (set->live) {
		list_for_each_entry(part, &set->parts, node) {
			if (part->nr_sites > most) {
				most = part->nr_sites;
				keeper = part;
			}
		}
	}

	list_for_each_entry(part, &set->parts, node) {
		if (part == keeper)
			continue;
		to = plan_fresh(at, set, part);
		if (!to || !set_add_tuple(to, at->link, part->cookie))
			return -ENOMEM;
	}
	if (!keeper)
		return 0;

	if (set->nr_sites) {
		/* the rest is the smaller side, it goes with the old list */
		part = part_add(set, 0);
		if (!part || !plan_fresh(at, set, part))
			return -ENOMEM;
		list_splice_init(&set->sites, &part->sites);
		part->nr_sites = set->nr_sites;
		set->nr_sites = 0;
	}
	if (!set_add_tuple(set, at->link, keeper->cookie))
		return -ENOMEM;
	keeper->to = set;
	return 0;
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

static int prepare(struct attach *at)
{
	struct bpf_tramp_set *set;
	int err;

	list_for_each_entry(set, &at->fresh, work) {
		err = set_prepare(set);
		if (err)
			return err;
	}
	list_for_each_entry(set, &at->touched, work) {
		if (!set_is_joined(at, set))
			continue;
		err = set_prepare(set);
		if (err)
			return err;
	}
	return 0;
}

/* Do the part's sites have to be patched to get to their new set's body? */
static bool part_moves(struct bpf_tramp_set *set, struct bpf_tramp_part *part)
{
	return part->to != set || !bpf_tramp_class_has_entry(&set->class);
}

/* Patch the sites of new functions (@live false), or those that others run on. */
static int move(struct attach *at, bool live)
{
	struct bpf_tramp_batch *batch;
	struct bpf_tramp_part *part;
	struct bpf_tramp_site *site;
	struct bpf_tramp_set *set;
	u32 nr = 0;
	int err;

	list_for_each_entry(set, &at->touched, work)
		list_for_each_entry(part, &set->parts, node)
			if (set->live == live && part_moves(set, part))
				nr += part->nr_sites;
	if (!nr)
		return 0;

	batch = bpf_tramp_batch_alloc(nr);
	if (!batch)
		return -ENOMEM;
	list_for_each_entry(set, &at->touched, work) {
		list_for_each_entry(part, &set->parts, node) {
			if (set->live != live || !part_moves(set, part))
				continue;
			list_for_each_entry(site, &part->sites, list)
				bpf_tramp_batch_site(batch, site->ip,
						     bpf_tramp_set_addr(part->to));
		}
	}
	err = bpf_tramp_batch_run(batch, live ? BPF_TRAMP_BATCH_MOD : BPF_TRAMP_BATCH_ADD);
	bpf_tramp_batch_free(batch);
	return err;
}

/* After an error sets are left with the old body, which is not their list's. */
static int switch_entries(struct attach *at)
{
	struct bpf_tramp_set *set;
	int err = 0;

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
		part_join(part, set);
		part_free(part);
	}
}

static void attach_abort(struct attach *at)
{
	struct bpf_tramp_set *set, *tmp;

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
			if (part->to != set)
				set_publish_tuples(part->to, set);
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
	if (err)
		detach_locked(at->tuples);
	return err;
}

/**
 * bpf_tramp_sets_attach - attach a link to functions
 * @link: the link; its program is a fentry.multi program
 * @tuples: empty list, gets the link's tuples
 * @reqs: the functions; if the program asks for its cookie, sorted by cookie
 * @cnt: number of @reqs
 *
 * Two requests for the same function are taken for one if they agree. A
 * function's other programs do not miss a call.
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex; the caller holds all
 *          trampoline locks.
 * Return: 0; 1 if bpf_tramp_site_find() does not know some of the functions by
 *         these ids; or an error, with everything as it was: -EINVAL if requests for
 *         one function do not agree in model and cookie, -EBUSY if the program
 *         is attached to one of the functions already or that has a dedicated
 *         trampoline for another model, -EAGAIN if a livepatch came to one
 *         meanwhile, -E2BIG if one has no
 *         place for another program, -ENOMEM, or what ftrace returned.
 */
int bpf_tramp_sets_attach(struct bpf_link *link, struct list_head *tuples,
			  const struct bpf_tramp_req *reqs, u32 cnt)
{
	struct attach at = {
		.link = link, .tuples = tuples, .reqs = reqs, .cnt = cnt,
		.touched = LIST_HEAD_INIT(at.touched),
		.fresh = LIST_HEAD_INIT(at.fresh),
	};
	int err;

	mutex_lock(&bpf_tramp_sets_mutex);
	err = tidy(NULL);
	if (!err)
		err = attach_locked(&at);
	mutex_unlock(&bpf_tramp_sets_mutex);
	return err ?: at.aliases;
}

/**
 * bpf_tramp_sets_detach - detach a link from its functions
 * @tuples: the link's tuples
 *
 * When it returns the program does not run any more, but in calls that were
 * inside of it. It cannot fail; see the top of this file for what may be left
 * to the next operation when memory is short.
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex; the caller holds all
 *          trampoline locks.
 */
void bpf_tramp_sets_detach(struct list_head *tuples)
{
	mutex_lock(&bpf_tramp_sets_mutex);
	detach_locked(tuples);
	mutex_unlock(&bpf_tramp_sets_mutex);
}

/**
 * bpf_tramp_sets_tidy - make the sets canonical after bpf_tramp_unpin()
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex; the caller holds all
 *          trampoline locks.
 */
void bpf_tramp_sets_tidy(void)
{
	mutex_lock(&bpf_tramp_sets_mutex);
	tidy(NULL);
	mutex_unlock(&bpf_tramp_sets_mutex);
}

/*
 * Pinning
 */

/**
 * bpf_tramp_pin - a function's dedicated trampoline is to get a program
 * @tr: the dedicated trampoline, with no program yet
 *
 * If fentry.multi links cover the function, their programs are added to @tr.
 * The site branches to its set until the caller has patched it to @tr's image
 * and calls bpf_tramp_pin_commit(), or bpf_tramp_pin_abort() if that failed.
 * bpf_tramp_pin_pending() tells the caller that it is ftrace's already.
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex; the caller holds @tr's lock.
 * Return: 0, also if there is nothing to do; -EBUSY if the function has another
 *         dedicated trampoline (by another BTF id) or @tr is for another model;
 *         -ENOMEM.
 */
int bpf_tramp_pin(struct bpf_trampoline *tr)
{
	struct bpf_tramp_class class;
	struct bpf_tramp_site *site;
	struct bpf_tramp_set *set;
	int err = 0;

	mutex_lock(&bpf_tramp_sets_mutex);
	site = site_find_ip(tr->ip);
	if (!site || tr->set)
		goto unlock;

	err = -EBUSY;
	bpf_tramp_tr_class(tr, &class);
	if (site->set->class.pin || !class_equal(&class, &site->set->class))
		goto unlock;

	err = -ENOMEM;
	class.pin = tr;
	set = set_alloc(&class);
	if (!set)
		goto unlock;
	err = set_copy_tuples(set, site->set);
	if (!err)
		err = set_load(set);
	if (err)
		set_free(set);
unlock:
	mutex_unlock(&bpf_tramp_sets_mutex);
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
 * Context: takes bpf_tramp_sets_mutex; the caller holds @tr's lock.
 */
void bpf_tramp_pin_commit(struct bpf_trampoline *tr)
{
	struct bpf_tramp_set *set, *from;
	struct bpf_tramp_site *site;

	if (!bpf_tramp_pin_pending(tr))
		return;
	mutex_lock(&bpf_tramp_sets_mutex);
	set = tr->set;
	site = site_find_ip(tr->ip);
	from = site->set;

	set_publish_tuples(set, from);
	list_move(&site->list, &set->sites);
	site->set = set;
	set->nr_sites = 1;
	set->live = true;
	set_insert(set);
	if (list_empty(&set->tuples))
		/* @from had lost its last link, but could not leave ftrace */
		mark_untidy(set);
	if (!--from->nr_sites)
		set_free(from);
	ghosts_prune();
	mutex_unlock(&bpf_tramp_sets_mutex);
}

/**
 * bpf_tramp_pin_abort - the site stays in its set
 * @tr: the dedicated trampoline, which has no programs but those that
 *      bpf_tramp_pin() added
 *
 * Does nothing if bpf_tramp_pin() had nothing to do.
 *
 * Context: takes bpf_tramp_sets_mutex; the caller holds @tr's lock.
 */
void bpf_tramp_pin_abort(struct bpf_trampoline *tr)
{
	if (!bpf_tramp_pin_pending(tr))
		return;
	mutex_lock(&bpf_tramp_sets_mutex);
	set_free(tr->set);
	mutex_unlock(&bpf_tramp_sets_mutex);
}

/**
 * bpf_tramp_unpin - a dedicated trampoline has lost a program
 * @tr: the dedicated trampoline; its images jump over the program already
 * @now: repatch the site now, else when bpf_tramp_sets_tidy() is called
 *
 * The site returns to a shared set when sets can serve all its programs again.
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex; the caller holds @tr's lock.
 * Return: true if so: the caller has nothing to do. Otherwise the trampoline is
 *         the caller's to update.
 */
bool bpf_tramp_unpin(struct bpf_trampoline *tr, bool now)
{
	struct bpf_tramp_set *set;
	bool unpin = false;

	mutex_lock(&bpf_tramp_sets_mutex);
	set = tr->set;
	if (set && !bpf_tramp_tr_has_own_progs(tr, set->nr_tuples)) {
		unpin = true;
		mark_untidy(set);
		if (now)
			tidy(set);
	}
	mutex_unlock(&bpf_tramp_sets_mutex);
	return unpin;
}

static int site_change_class(struct bpf_tramp_site *site, const struct bpf_tramp_class *class)
{
	struct bpf_tramp_set *from = site->set, *to;
	struct bpf_tramp_batch *batch;
	int err = 0;

	to = set_find(class, &from->tuples) ?: leader_alloc(class, from);
	if (!to)
		return -ENOMEM;
	if (!to->live)
		err = set_prepare(to);
	if (err)
		goto out;

	err = -ENOMEM;
	batch = bpf_tramp_batch_alloc(1);
	if (!batch)
		goto out;
	bpf_tramp_batch_site(batch, site->ip, bpf_tramp_set_addr(to));
	err = bpf_tramp_batch_run(batch, BPF_TRAMP_BATCH_MOD_LOCKED);
	bpf_tramp_batch_free(batch);
	if (err)
		goto out;

	if (!to->live)
		set_commit(to);
	list_move(&site->list, &to->sites);
	site->set = to;
	to->nr_sites++;
	if (!--from->nr_sites)
		set_free(from);
out:
	if (!to->live) {
		set_abort(to);
		set_free(to);
	}
	return err;
}

/**
 * bpf_tramp_ipmodify_expected - may the site be patched?
 * @ip: ftrace location of a function that a livepatch shares
 *
 * Context: ftrace asks while it patches sites for the caller of this file.
 * Return: 0, or -EAGAIN if the livepatch came since the set was chosen.
 */
int bpf_tramp_ipmodify_expected(unsigned long ip)
{
	struct bpf_tramp_site *site;

	lockdep_assert_held(&bpf_tramp_sets_mutex);
	site = site_find_ip(ip);
	return site && site->ipmodify ? 0 : -EAGAIN;
}

/**
 * bpf_tramp_ipmodify - a livepatch comes to a function, or has gone
 * @ip: ftrace location
 * @on: it comes
 *
 * If the news that it has gone gets lost by an error, the site keeps its set of
 * its own, which is as good, until it runs no program or the next one comes.
 *
 * Context: may sleep; ftrace's direct_mutex is held.
 * Return: 0, or an error, with the site where it was: -EAGAIN if sets are being
 *         changed, -ENOMEM, or what ftrace returned.
 */
int bpf_tramp_ipmodify(unsigned long ip, bool on)
{
	struct bpf_tramp_class class;
	struct bpf_tramp_site *site;
	int err = 0;

	if (!mutex_trylock(&bpf_tramp_sets_mutex))
		return -EAGAIN;
	site = site_find_ip(ip);
	if (!site || site->ipmodify == on)
		goto unlock;

	site->ipmodify = on;
	/* a dedicated trampoline knows its function, one without programs does nothing */
	if (site->set->class.pin || list_empty(&site->set->tuples))
		goto unlock;
	class = site->set->class;
	class.solo = site_solo(site, &class);
	err = site_change_class(site, &class);
	if (err)
		site->ipmodify = !on;
unlock:
	mutex_unlock(&bpf_tramp_sets_mutex);
	return err;
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
