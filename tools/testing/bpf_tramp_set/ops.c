// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations: what a link or a single program does to the engine, the same to
 * the model, and all checks.
 */

#define MAX_REQS	(2 * MAX_FNS)

static struct bpf_tramp_req reqs[MAX_REQS];
static u32 nr_reqs;
static bool skip;

static void req_add(struct fn *fn, u64 cookie)
{
	struct bpf_tramp_req *req = &reqs[nr_reqs++];

	memset(req, 0, sizeof(*req));
	req->ip = fn->ip;
	req->obj_id = OBJ_ID;
	req->btf_id = fn->id;
	req->cookie = cookie;
	memcpy(&req->class, &fn->class, sizeof(fn->class));
}

/* Are functions asked for by ids that their sites are not known by? */
static bool reqs_aliased(void)
{
	u32 i;

	for (i = 0; i < nr_reqs; i++)
		if (!reqs[i].err && !bpf_tramp_site_find(OBJ_ID, reqs[i].btf_id))
			return true;
	return false;
}

/* Could an attach with @reqs return this if nothing fails? The first fault counts. */
static bool attach_may_return(struct bpf_link *link, int err)
{
	bool full = false, linked = false, differ = false;
	struct bpf_tramp_req *a, *b, *end = reqs + nr_reqs;
	struct fn *fn;
	u32 i;

	for (a = reqs; a < end; a++) {
		fn = fn_by_ip(a->ip);
		differ |= !!memcmp(&a->class, &fn->class, sizeof(a->class));
		for (b = a + 1; b < end; b++)
			differ |= a->ip == b->ip && a->cookie != b->cookie;
		full |= fn->nr >= max_progs;
		for (i = 0; i < fn->nr; i++)
			linked |= fn->model[i].link->prog == link->prog;
	}
	switch (err) {
	case -EINVAL:
		return differ;
	case -E2BIG:
		return full;
	case -EBUSY:
		return linked;
	default:
		return !err && !differ && !full && !linked;
	}
}

/* Why a link that skips functions is not attached to one; 0 if it is. */
static int req_expect(struct bpf_link *link, const struct bpf_tramp_req *req)
{
	struct fn *fn = fn_by_ip(req->ip);
	u32 i;

	if (memcmp(&req->class, &fn->class, sizeof(req->class)))
		return -EINVAL;
	if (link->want & (1U << (fn - world.fns)))
		return -EEXIST;
	if (fn->nr >= max_progs)
		return -E2BIG;
	for (i = 0; i < fn->nr; i++)
		if (fn->model[i].link->prog == link->prog)
			return -EBUSY;
	return 0;
}

static void req_want(struct bpf_link *link, const struct bpf_tramp_req *req)
{
	u32 nr = fn_by_ip(req->ip) - world.fns;

	link->want |= 1U << nr;
	link->cookie[nr] = req->cookie;
}

/* What the link is to cover; with skip also what becomes of each request. */
static void reqs_want(struct bpf_link *link, int *expect)
{
	u32 i;

	link->want = 0;
	for (i = 0; i < nr_reqs; i++) {
		expect[i] = skip ? req_expect(link, &reqs[i]) : 0;
		if (!expect[i])
			req_want(link, &reqs[i]);
	}
}

/* The request that an attach was refused for is marked, or those left out. */
static void check_refused(struct bpf_link *link, int err, const int *expect)
{
	u32 i, nr = 0;

	for (i = 0; i < nr_reqs; i++) {
		nr += !!reqs[i].err;
		CHECK(!reqs[i].err == !reqs[i].why);
		/* a prototype may differ from a link's, or from a single program's */
		if (skip)
			CHECK(reqs[i].err == expect[i] ||
			      (reqs[i].err == -EBUSY && expect[i] == -EINVAL));
	}
	if (!skip)
		CHECK(err ? nr == 1 : !nr);
	else
		CHECK(err == (link->want ? 0 : -ENOENT));
}

/* Wasted thunks are renewed before, so that what the operation moves is its own. */
static void renew_first(void)
{
	typeof(fault) saved = fault;

	if (!list_empty(&bpf_tramp_untidy))
		return;
	fault_set(0, false);
	CHECK(!bpf_tramp_sets_tidy());
	fault = saved;
}

static int op_attach(struct bpf_link *link)
{
	u32 waits = world.waits, i;
	int expect[MAX_REQS];
	int err;
	bool injected;

	CHECK(!link->attached && list_empty(&link->tuples));
	link->busy = true;
	reqs_want(link, expect);
	for (i = 0; i < nr_reqs; i++)
		reqs[i].data = cookie_data(link->prog, reqs[i].cookie);

	renew_first();
	ops_begin();
	injected = fault.at;
	/* a link that attaches may have tuples for a moment */
	err = bpf_tramp_sets_attach(link, &link->tuples, reqs, nr_reqs,
				    link->prog->call_attach_cookie, skip);
	link->busy = false;
	if (err >= 0) {
		CHECK(err == reqs_aliased());
		err = 0;
	}
	if (!fault.fired || !err) {
		check_refused(link, err, expect);
		CHECK(skip || attach_may_return(link, err));
	}
	/* tidying may fail for sets that the link does not touch */
	CHECK(!fault.fired || err || !before.tidied);
	if (err) {
		CHECK(list_empty(&link->tuples));
		check_gone(link);
		check_undone(link->prog->call_attach_cookie || link->prog->calls_orig);
	} else {
		link->attached = true;
		for (i = 0; i < world.nr_fns; i++)
			if (link->want & (1U << i))
				model_add(&world.fns[i], link, link->cookie[i]);
		if (before.tidied) {
			CHECK(list_empty(&bpf_tramp_untidy));
			if (!few_sites)
				check_moves(true);
		}
	}
	/* rather than wait for tasks, sites are patched */
	if (few_sites >= world.nr_fns)
		CHECK(world.waits == waits);
	if (!injected && !world.stuck)
		CHECK(list_empty(&bpf_tramp_untidy));
	/* the worker knows of what is left */
	CHECK(list_empty(&bpf_tramp_untidy) || world.tidy_later || !before.tidied);
	world.tidy_later = false;
	fault_set(0, false);
	check_all();
	return err;
}

/* The program stops, at once and always. */
static void op_stop(struct bpf_link *link)
{
	u32 i;

	CHECK(link->attached);
	link->busy = true;
	ops_begin();
	fault.calls = 0;
	bpf_tramp_sets_detach(link, &link->tuples);
	CHECK(!fault.calls);
	link->attached = false;
	for (i = 0; i < world.nr_fns; i++)
		model_del(&world.fns[i], link);
	link->busy = false;
	CHECK(list_empty(&link->tuples));
	CHECK(!world.sites_moved && !world.sites_deleted && !world.switched && !world.generated);
	check_gone(link);
	check_all();
}

/* What is untidy is tidy after it, or a fault is the reason. */
static void tidy_and_check(void)
{
	u32 waits = world.waits;
	int err;

	err = bpf_tramp_sets_tidy();
	CHECK(!err || fault.fired || world.stuck);
	/* no function gets a program that it has not */
	CHECK(world.waits == waits);
	CHECK(err || list_empty(&bpf_tramp_untidy));
}

/* After an operation that has the worker tidy up; all was @tidied before. */
static void end_tidily(bool tidied)
{
	if (world.tidy_later)
		tidy_and_check();
	world.tidy_later = false;
	if (!fault.fired && tidied)
		CHECK(list_empty(&bpf_tramp_untidy));
	fault_set(0, false);
	check_all();
}

static void op_detach(struct bpf_link *link)
{
	op_stop(link);
	tidy_and_check();
	if (!fault.fired && before.tidied)
		check_moves(false);
	fault_set(0, false);
	check_all();
}

static void op_tidy(void)
{
	ops_begin();
	tidy_and_check();
	fault_set(0, false);
	check_all();
}

/*
 * Single programs: what bpf_trampoline_link_prog() does with a dedicated
 * trampoline
 */

struct single {
	struct fn *fn;
	u32 slot;
	struct bpf_trampoline *tr;
	struct bpf_tramp_image *im;
	bool sets;		/* are locked */
};

/* As trampoline_lock_sets() does */
static void single_lock(struct single *s)
{
	s->sets = bpf_tramp_sets_lock(s->fn->ip);
	world.locked = s->tr;
}

static void single_unlock(struct single *s)
{
	world.locked = NULL;
	if (s->sets)
		bpf_tramp_sets_unlock();
}

/* Returns: 0 if what remains is to patch the function; 1 if nothing does. */
static int single_prepare(struct single *s)
{
	struct bpf_tramp_node *node = &s->fn->own_node[s->slot];
	int err;

	err = s->sets ? bpf_tramp_pin(s->tr, node) : 0;
	if (err)
		return err;
	err = bpf_trampoline_add_prog(s->tr, node);
	if (err)
		return err;
	s->im = image_generate(s->tr);
	if (s->im && !should_fail())
		return 0;
	bpf_trampoline_del_prog(s->tr, node);
	if (!s->im)
		return -ENOMEM;
	image_free(s->im);
	return -EIO;
}

static void single_patch(struct single *s)
{
	struct bpf_trampoline *tr = s->tr;

	CHECK(s->fn->branch == (unsigned long)tr->cur_image);
	fn_branch(s->fn, (unsigned long)s->im);
}

static void single_commit(struct single *s)
{
	struct bpf_tramp_image *old = s->tr->cur_image;

	s->tr->cur_image = s->im;
	image_activate(s->im);
	if (old)
		image_put(old);
}

static int single_attach(struct single *s)
{
	struct bpf_link *link = &s->fn->own_link[s->slot];
	bool tidied = list_empty(&bpf_tramp_untidy), full = s->fn->nr >= max_progs;
	int err;

	ops_begin();
	link->busy = true;
	link->want = 1U << (s->fn - world.fns);
	s->tr = tr_lookup(s->fn);
	single_lock(s);
	err = single_prepare(s);
	check_meanwhile();
	if (!err) {
		single_patch(s);
		check_meanwhile();
		single_commit(s);
	}
	err = min(err, 0);
	if (err) {
		check_gone(link);
	} else {
		model_add(s->fn, link, 0);
		s->fn->nr_own++;
	}
	single_unlock(s);
	if (err) {
		bpf_trampoline_put(s->tr);
		check_undone(false);
	}
	link->busy = false;
	CHECK(err == (full ? -E2BIG : 0) || fault.fired);
	CHECK(!fault.fired || err);
	if (tidied)
		CHECK(list_empty(&bpf_tramp_untidy));
	check_all();
	return err;
}

/* What bpf_trampoline_update() does after a program is gone. */
static void single_update(struct single *s)
{
	struct bpf_trampoline *tr = s->tr;
	struct bpf_tramp_image *im;

	if (!tr->nr_progs) {
		CHECK(s->fn->branch == (unsigned long)tr->cur_image);
		fn_branch(s->fn, 0);
		image_put(tr->cur_image);
		tr->cur_image = NULL;
		return;
	}
	im = image_generate(tr);
	if (!im)
		return;
	fn_branch(s->fn, (unsigned long)im);
	image_activate(im);
	image_put(tr->cur_image);
	tr->cur_image = im;
}

static void op_single_off(struct single *singles, u32 nr)
{
	bool tidied = list_empty(&bpf_tramp_untidy);
	struct single *s, *end = singles + nr;
	struct bpf_link *link;

	ops_begin();
	for (s = singles; s < end; s++) {
		link = &s->fn->own_link[s->slot];
		link->busy = true;
		s->tr = s->fn->tr;
		single_lock(s);
		bpf_trampoline_del_prog(s->tr, &s->fn->own_node[s->slot]);
		bpf_trampoline_skip_link(link);
		if (!bpf_tramp_unpin(s->tr))
			single_update(s);
		single_unlock(s);
		CHECK(model_del(s->fn, link));
		s->fn->nr_own--;
		check_gone(link);
		link->busy = false;
		bpf_trampoline_put(s->tr);
		check_meanwhile();
	}
	CHECK(list_empty(&bpf_tramp_untidy) || (fault.fired && world.tidy_later) || !tidied);
	end_tidily(tidied);
}

/* One program each on, for several functions, or for none. */
static int op_single_on(struct single *singles, u32 nr)
{
	u32 i;
	int err = 0;

	for (i = 0; i < nr && !err; i++)
		err = single_attach(&singles[i]);
	fault_set(0, false);
	if (err && i > 1)
		op_single_off(singles, i - 1);
	return err;
}

/*
 * A livepatch comes or goes. Where the site cannot leave its set it does not come;
 * when it goes the site comes back, now or later.
 */
static int op_ipmodify(struct fn *fn, bool on)
{
	bool tidied = list_empty(&bpf_tramp_untidy);
	int err;

	ops_begin();
	fn->patched = false;
	fn->ipmodify = on;
	err = bpf_tramp_ipmodify(fn->ip);
	CHECK(!err == !fault.fired);
	CHECK(!err || on);
	if (err) {
		fn->ipmodify = false;
		CHECK(!bpf_tramp_ipmodify(fn->ip));
		check_undone(false);
	}
	CHECK(world.sites_moved + world.sites_deleted <= on && !world.sites_added);
	fn->patched = fn->ipmodify;
	check_all();
	end_tidily(tidied);
	return err;
}

/* All off, and every image released. */
static void op_nothing(void)
{
	struct single s;
	u32 i, j, k;

	for (i = 0; i < nr_links; i++)
		if (links[i]->attached)
			op_detach(links[i]);
	for (i = 0; i < world.nr_fns; i++) {
		s.fn = &world.fns[i];
		for (j = 0; j < MAX_OWN; j++) {
			s.slot = j;
			for (k = 0; k < s.fn->nr; k++)
				if (s.fn->model[k].link == &s.fn->own_link[j])
					break;
			if (k < s.fn->nr)
				op_single_off(&s, 1);
		}
	}
	op_tidy();
	images_release(NULL, 1);
	check_nothing();
}
