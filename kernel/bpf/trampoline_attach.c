// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attaching a link.
 *
 *   gather()   finds the sites of the functions that are asked for, or makes them,
 *              and puts those of a set into its move. A new site starts in its
 *              class's empty set, which is not live and vanishes in the end.
 *   plan()     decides for each of these sets which of this part and the rest keeps
 *              the entry: the larger, if the set's kind does for its programs, and if
 *              it is no few sites that a wait is spared for. The other one moves, to
 *              a new set.
 *
 * The rest is a change as any other.
 */
#include "trampoline_set_internal.h"
#include "trampoline_change.h"

/* One attach */
struct attach {
	struct bpf_tramp_change ch;
	struct list_head *tuples;
	struct bpf_tramp_req *reqs;
	u32 cnt;
	bool has_cookies;
	bool skip;			/* functions that cannot be attached */
	int tidy_err;			/* why there are untidy sets */
	int aliases;			/* some sites are known by other ids */
	struct bpf_tramp_cookies *cookies;
};

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

/* The class of a new site */
static int new_class(struct bpf_tramp_class *class, const struct bpf_tramp_site *site,
		     struct bpf_tramp_req *req, const struct bpf_prog *prog)
{
	struct bpf_tramp_class dedicated;

	*class = req->class;
	class->solo = bpf_tramp_site_solo(site, class);
	class->pin = bpf_trampoline_find_live(req->ip);
	if (!class->pin && bpf_tramp_ip_addr(req->ip))
		return req_refuse(req, -EBUSY,
				  "something else calls a trampoline of its own there");
	if (!class->pin)
		return 0;
	bpf_tramp_tr_class(class->pin, &dedicated);
	if (!bpf_tramp_class_equal(&dedicated, class))
		return req_refuse(req, -EBUSY, "a program of another prototype is attached");
	return req_has_room(req, class->pin, prog);
}

/* The set that a new site is in before it runs anything. */
static struct bpf_tramp_set *new_set(const struct bpf_tramp_class *class)
{
	struct bpf_tramp_set *set;
	LIST_HEAD(nothing);

	set = bpf_tramp_set_find(class, &nothing);
	if (set)
		return set;
	set = bpf_tramp_set_alloc(class, BPF_TRAMP_KIND_ENTRY);
	if (!set)
		return NULL;
	/* runs already, by itself */
	set->live = class->pin;
	bpf_tramp_set_insert(set);
	return set;
}

static struct bpf_tramp_site *new_site(struct bpf_tramp_req *req, const struct bpf_prog *prog)
{
	struct bpf_tramp_set *set = NULL;
	struct bpf_tramp_class class;
	struct bpf_tramp_site *site;
	int err;

	site = bpf_tramp_site_alloc(req);
	if (IS_ERR(site))
		return site;
	err = new_class(&class, site, req, prog);
	if (!err)
		set = new_set(&class);
	if (!set) {
		bpf_tramp_site_free(site);
		return ERR_PTR(err ?: -ENOMEM);
	}
	site->set = set;
	list_add(&site->list, &set->sites);
	set->nr_sites++;
	return site;
}

/* Has the first request for the function the same cookie and data? There are few such. */
static bool same_cookie(struct attach *at, const struct bpf_tramp_req *req)
{
	const struct bpf_tramp_req *first;

	for (first = at->reqs; first->ip != req->ip; first++)
		;
	return first->cookie == req->cookie && first->data == req->data;
}

/* May the link be attached to a function that is a site already? */
static int gather_known(struct attach *at, struct bpf_tramp_req *req,
			const struct bpf_tramp_site *site)
{
	const struct bpf_tramp_set *set = site->set;

	/* not canonical, and cannot be now */
	if (hlist_unhashed(&set->hash_node))
		return at->tidy_err;
	if (!bpf_tramp_class_equal(&set->class, &req->class))
		return req_refuse(req, -EINVAL, site->requested ?
				  "another id of the function has another prototype" :
				  "a link has the function with another prototype");
	if (site->requested && at->skip)
		return req_refuse(req, -EEXIST, "another id is of the same function");
	if (site->requested && !same_cookie(at, req))
		return req_refuse(req, -EINVAL,
				  "another id of the function has another cookie, or other data");
	/* the first one of the set that is covered answers for the others */
	return set->move.nr_sites ? 0 : req_has_room(req, set->tr, at->ch.link->prog);
}

static int gather_one(struct attach *at, struct bpf_tramp_req *req)
{
	struct bpf_tramp_site *site = bpf_tramp_site_find_ip(req->ip);
	int err = 0;

	if (site)
		err = gather_known(at, req, site);
	else
		site = new_site(req, at->ch.link->prog);
	if (err || IS_ERR(site))
		return err ?: PTR_ERR(site);
	req->site = site;
	if (list_empty(&site->set->work))
		list_add_tail(&site->set->work, &at->ch.sets);
	if (at->has_cookies)
		err = bpf_tramp_site_number(site);
	if (err)
		return err;
	if (site->btf_id == req->btf_id && site->obj_id == req->obj_id)
		site->checked |= req->checked;
	else
		at->aliases = 1;
	if (!site->requested)
		bpf_tramp_move_site(site, NULL);
	site->requested = true;
	return 0;
}

static int gather_cookies(struct attach *at)
{
	bool asks = at->ch.link->prog->call_attach_cookie;
	u32 first = U32_MAX, last = 0, i;
	struct bpf_tramp_req *req;
	int err;

	for (i = 0; i < at->cnt; i++) {
		cond_resched();
		if (at->reqs[i].err)
			continue;
		first = min_t(u32, first, at->reqs[i].site->nr);
		last = max_t(u32, last, at->reqs[i].site->nr);
	}
	at->cookies = bpf_tramp_cookies_alloc(first, last - first + 1, at->reqs->data);
	if (!at->cookies)
		return -ENOMEM;
	for (i = 0; i < at->cnt; i++) {
		req = &at->reqs[i];
		cond_resched();
		if (req->err)
			continue;
		err = bpf_tramp_cookies_set(at->cookies, req->site->nr, asks ? req->cookie : 0,
					    req->data);
		if (err)
			return err;
	}
	return bpf_tramp_cookies_map(at->cookies);
}

static int gather_sites(struct attach *at)
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
	return any ? 0 : -ENOENT;
}

static int gather(struct attach *at)
{
	int err = gather_sites(at);

	for (u32 i = 0; i < at->cnt; i++) {
		if (at->reqs[i].site)
			at->reqs[i].site->requested = false;
		cond_resched();
	}
	return err || !at->has_cookies ? err : gather_cookies(at);
}

/* The sites of a set that move get one of their own, with that one's list. */
static int plan_fresh(struct attach *at, struct bpf_tramp_set *set, enum bpf_tramp_kind kind)
{
	struct bpf_tramp_move *move = &set->move;

	if (move->nr_sites == 1)
		kind = BPF_TRAMP_KIND_ALONE;
	move->to = bpf_tramp_set_derive(&set->class, kind, set,
					bpf_tramp_first_site(&move->sites));
	if (!move->to)
		return -ENOMEM;
	list_add(&move->to->work, &at->ch.sets);
	return 0;
}

/* The link's program joins the list of the set that its sites stay in, or go to. */
static int plan_join(struct attach *at, struct bpf_tramp_set *to, struct list_head *sites)
{
	return bpf_tramp_tuple_add(to, at->ch.link, at->cookies, at->tuples,
				   bpf_tramp_first_site(sites));
}

/* Is the part better off in a new set than in its own, which is to get the program? */
static bool plan_leaves(const struct bpf_tramp_set *set, enum bpf_tramp_kind kind)
{
	u32 part = set->move.nr_sites;

	if (!set->live || part <= set->nr_sites)
		return true;
	if (set->kind == BPF_TRAMP_KIND_ALONE)
		return false;
	/* to patch a few sites is quicker than to wait for tasks, see change_wait() */
	return set->kind < kind ||
	       (part <= BPF_TRAMP_FEW_SITES && (bpf_tramp_set_awaits(set) || set->nr_sites));
}

static int plan_one(struct attach *at, struct bpf_tramp_set *set, enum bpf_tramp_kind kind)
{
	int err = 0;

	if (plan_leaves(set, kind))
		return plan_fresh(at, set, max(set->kind, kind)) ?:
		       plan_join(at, set->move.to, &set->move.sites);
	/* without an entry, a new body is a new address */
	if (set->kind == BPF_TRAMP_KIND_ALONE) {
		set->move.to = set;
		return plan_join(at, set, &set->move.sites);
	}
	/* the rest is the smaller side, it goes with the old list */
	bpf_tramp_move_rest(set, NULL);
	if (set->move.nr_sites)
		err = plan_fresh(at, set, set->kind);
	return err ?: plan_join(at, set, &set->sites);
}

static int plan(struct attach *at)
{
	enum bpf_tramp_kind kind = bpf_tramp_link_kind(at->ch.link, at->cookies);
	struct bpf_tramp_set *set;
	int err;

	list_for_each_entry(set, &at->ch.sets, work) {
		err = set->move.nr_sites ? plan_one(at, set, kind) : 0;
		if (err)
			return err;
	}
	return 0;
}

static int attach(struct attach *at)
{
	bool attached;
	int err;

	err = gather(at);
	err = err ?: plan(at);
	if (err)
		bpf_tramp_change_abort(&at->ch);
	else
		err = bpf_tramp_change_run(&at->ch);
	if (err) {
		attached = !list_empty(at->tuples);
		bpf_tramp_detach(at->ch.link, at->tuples);
		if (attached && bpf_tramp_tidy())
			bpf_tramp_tidy_later();
	}
	bpf_tramp_cookies_put(at->cookies);
	return err;
}

/**
 * bpf_tramp_sets_attach - attach a link to functions
 * @link: the link
 * @tuples: empty list, gets the link's tuples
 * @reqs: the functions
 * @cnt: number of @reqs
 * @cookies: the requests have cookies, and the program asks for its own; or they all
 *           have data
 * @skip: leave out functions that cannot be attached
 *
 * Requests that are refused already, by their @err, are left alone. Two requests
 * for the same function are taken for one if they agree; with @skip the second
 * is left out. A function's other programs do not miss a call.
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex.
 * Return: 0; 1 if bpf_tramp_site_find() does not know some of the functions by
 *         these ids; or an error, with everything as it was: -ENOENT if no request
 *         is left, -ENOMEM, -E2BIG if the programs of a function do not fit into a
 *         trampoline, or what else ftrace or generating a body returned; or the @err
 *         of the request that is refused. A request that is refused, or left out, has
 *         @err and @why set: -EINVAL if requests or links for one function do not agree
 *         in model, or requests in cookie and data, -EEXIST if another request is for
 *         the function and @skip, -EBUSY if the program is attached to it already, or it
 *         has a trampoline of another model or of somebody else, -E2BIG if it has no
 *         place for another program.
 */
int bpf_tramp_sets_attach(struct bpf_link *link, struct list_head *tuples,
			  struct bpf_tramp_req *reqs, u32 cnt, bool cookies, bool skip)
{
	struct attach at = {
		.tuples = tuples, .reqs = reqs, .cnt = cnt, .has_cookies = cookies, .skip = skip,
	};

	bpf_tramp_change_init(&at.ch, link);
	guard(mutex)(&bpf_tramp_sets_mutex);
	at.tidy_err = bpf_tramp_tidy();
	bpf_tramp_renew();
	return attach(&at) ?: at.aliases;
}
