// SPDX-License-Identifier: GPL-2.0-only
/*
 * The naive model - for each function the list of its programs, newest first -
 * and what has to agree with it: what runs physically, sites, sets, bodies,
 * tuples, and counts.
 */

static struct bpf_link *links[32];
static u32 nr_links;

/*
 * The model
 */

static void model_add(struct fn *fn, struct bpf_link *link, u64 cookie)
{
	CHECK(fn->nr < MAX_PROGS);
	memmove(fn->model + 1, fn->model, fn->nr * sizeof(fn->model[0]));
	fn->model[0].link = link;
	fn->model[0].cookie = link->prog->call_attach_cookie ? cookie : 0;
	fn->nr++;
}

static bool model_del(struct fn *fn, struct bpf_link *link)
{
	u32 i;

	for (i = 0; i < fn->nr; i++) {
		if (fn->model[i].link != link)
			continue;
		fn->nr--;
		memmove(fn->model + i, fn->model + i + 1, (fn->nr - i) * sizeof(fn->model[0]));
		return true;
	}
	return false;
}

static u32 model_nr_multi(struct fn *fn)
{
	return fn->nr - fn->nr_own;
}

static bool model_is_own(struct fn *fn, struct bpf_link *link)
{
	return link >= fn->own_link && link < fn->own_link + MAX_OWN;
}

/* Would the two functions' links be in one set? */
static bool model_same(struct fn *a, struct fn *b)
{
	u32 i;

	if (a->nr_own || b->nr_own || a->ipmodify || b->ipmodify || a->nr != b->nr ||
	    memcmp(&a->class, &b->class, sizeof(a->class)))
		return false;
	for (i = 0; i < a->nr; i++)
		if (a->model[i].link != b->model[i].link)
			return false;
	return true;
}

/* What its links need of a set. */
static enum bpf_tramp_kind model_kind(struct fn *fn)
{
	enum bpf_tramp_kind kind = BPF_TRAMP_KIND_ENTRY;
	u32 i;

	for (i = 0; i < fn->nr; i++) {
		if (model_is_own(fn, fn->model[i].link))
			continue;
		if (fn->model[i].link->prog->calls_orig)
			return BPF_TRAMP_KIND_ORIG;
		if (fn->model[i].link->prog->call_attach_cookie)
			kind = BPF_TRAMP_KIND_COOKIE;
	}
	return kind;
}

/*
 * What runs
 */

static struct bpf_tramp_image *fn_image(struct fn *fn, bool meanwhile)
{
	struct thunk *thunk = thunk_find(fn->branch);
	struct bpf_tramp_image *im;

	if (!fn->branch)
		return NULL;
	if (thunk) {
		CHECK(thunk->ip == fn->ip);
		/* it would call what a livepatch has replaced */
		CHECK(!thunk->calls_orig || !fn->patched);
		im = tr_gate(thunk_tr(thunk));
		CHECK(im && !im->jump);
	} else {
		im = (struct bpf_tramp_image *)fn->branch;
	}
	CHECK(im->state == IMAGE_ACTIVE || (meanwhile && im->state == IMAGE_PREPARED));
	if (im->jump) {
		im = im->jump;
		CHECK(im->state == IMAGE_ACTIVE || (meanwhile && im->state == IMAGE_PREPARED));
		CHECK(!im->jump);
	}
	return im;
}

/* The program is given this cookie, and the data that go with it. */
static void check_cookie(struct fn *fn, struct image_prog *prog, u64 want)
{
	u64 cookie = prog->cookie, data = prog->data;
	struct thunk *thunk;
	u32 i;

	if (!prog->link->prog->call_attach_cookie)
		return;
	if (prog->cookies) {
		thunk = thunk_find(fn->branch);
		CHECK(thunk && thunk->nr >= prog->cookies->first);
		i = thunk->nr - prog->cookies->first;
		cookie = prog->cookies->cookie[i];
		data = prog->cookies->data ? prog->cookies->data[i] : 0;
	}
	CHECK(cookie == want);
	CHECK(data == cookie_data(prog->link->prog, want));
}

/* What runs is what the model says, but for links that come or go just now. */
static void check_run(struct fn *fn, bool meanwhile)
{
	struct bpf_tramp_image *im = fn_image(fn, meanwhile);
	struct image_prog *prog;
	u32 i, n = 0;

	for (i = 0; im && i < im->nr; i++) {
		prog = &im->progs[i];
		if (prog->skipped)
			continue;
		if (prog->link->busy) {
			u32 nr = fn - world.fns;

			CHECK(meanwhile);
			CHECK(prog->link->want & (1U << nr));
			check_cookie(fn, prog, prog->link->cookie[nr]);
			continue;
		}
		while (n < fn->nr && fn->model[n].link->busy)
			n++;
		CHECK(n < fn->nr);
		CHECK(fn->model[n].link == prog->link);
		check_cookie(fn, prog, fn->model[n].cookie);
		n++;
	}
	while (n < fn->nr && fn->model[n].link->busy)
		n++;
	CHECK(n == fn->nr);
}

/* Called at each step that changes what runs, in the middle of operations. */
static void check_meanwhile(void)
{
	struct fn *fn;

	for (fn = world.fns; fn < world.fns + world.nr_fns; fn++)
		check_run(fn, true);
}

/* In no image that a task can be in does the program run any more. */
static void check_gone(struct bpf_link *link)
{
	struct bpf_tramp_image *im;
	u32 i;

	list_for_each_entry(im, &world.images, all)
		for (i = 0; i < im->nr; i++)
			CHECK(im->progs[i].link != link || im->progs[i].skipped);
}

/*
 * What the engine keeps
 */

static u32 epoch;
static struct bpf_tramp_set *seen[MAX_FNS];
static struct fn *seen_fn[MAX_FNS];
static u32 nr_seen;

/* Start counting for this trampoline. */
static void tr_visit(struct bpf_trampoline *tr)
{
	if (tr->epoch == epoch)
		return;
	tr->epoch = epoch;
	tr->idx = MAX_FNS;
	tr->nr_seen = 0;
}

static void check_set(struct fn *fn, struct bpf_tramp_set *set, bool tidied)
{
	struct bpf_tramp_tuple *t;
	u32 i = 0, nr = 0;

	CHECK(set->live && !set->prepared && set->tr && set->tr->set == set);
	CHECK(set->tr->cur_image);
	CHECK(list_empty(&set->move.sites) && !set->move.nr_sites);
	CHECK(!set->move.to && !set->move.thunks && !set->move.done);
	if (hash_hashed(&set->hash_node))
		CHECK(bpf_tramp_set_find(&set->class, &set->tuples) == set);
	CHECK(hash_hashed(&set->hash_node) == list_empty(&set->work));
	if (set->class.pin)
		CHECK(set->class.pin == set->tr && set->tr == fn->tr);
	else
		CHECK(!set->tr->fn);
	if (set->kind == BPF_TRAMP_KIND_ALONE)
		CHECK(set->nr_sites == 1);
	else
		CHECK(!bpf_tramp_class_is_own(&set->class));
	if (!set->class.pin)
		CHECK(set->func == (set->kind == BPF_TRAMP_KIND_ALONE ?
				    fn->ip - fn->class.ip_off : 0));
	if (!set->class.pin && set->class.solo)
		CHECK(set->class.solo == fn->ip - fn->class.ip_off);
	if (bpf_tramp_set_has_thunks(set)) {
		struct thunk *thunk = thunk_find(fn->branch);

		CHECK(!set->entry && thunk && thunk_tr(thunk) == set->tr);
		CHECK(thunk->calls_orig == (set->kind == BPF_TRAMP_KIND_ORIG));
		CHECK(tr_gate(set->tr) == set->tr->cur_image);
		CHECK(set->tr->used_thunks == set->nr_sites);
	} else if (set->kind == BPF_TRAMP_KIND_ENTRY) {
		CHECK(set->entry && (unsigned long)set->entry == fn->branch);
		CHECK(set->entry->jump || set->entry == set->tr->cur_image);
	} else {
		CHECK(!set->entry && (unsigned long)set->tr->cur_image == fn->branch);
	}
	if (tidied) {
		CHECK(!set->stale);
		CHECK(list_empty(&set->work));
		CHECK(set->hash == set_hash(&set->class, &set->tuples));
		CHECK(!list_empty(&set->tuples));
		CHECK(!!set->class.pin == !!fn->nr_own);
		CHECK(set->class.pin || !!set->class.solo == fn->ipmodify);
		if (set->kind != BPF_TRAMP_KIND_ALONE)
			CHECK(set->kind == model_kind(fn));
	}

	list_for_each_entry(t, &set->tuples, set_node) {
		CHECK(t->set == set);
		CHECK(!hlist_unhashed(&t->node.tramp_hlist));
		while (i < fn->nr && model_is_own(fn, fn->model[i].link))
			i++;
		CHECK(i < fn->nr);
		CHECK(t->node.link == fn->model[i].link);
		CHECK(!!t->cookies == t->node.link->prog->call_attach_cookie);
		if (!t->node.cookies)
			CHECK(t->node.cookie == fn->model[i].cookie);
		else
			CHECK(t->node.cookies == t->cookies);
		i++;
		nr++;
	}
	CHECK(nr == model_nr_multi(fn));
	CHECK(set->tr->nr_progs == nr + set->tr->nr_own);
}

static void check_sites(bool tidied)
{
	struct bpf_tramp_site *site;
	struct bpf_tramp_set *set;
	u32 nr_sites = 0, nr_numbers = 0, i, j;
	struct fn *fn, *first;

	nr_seen = 0;
	for (fn = world.fns; fn < world.fns + world.nr_fns; fn++) {
		site = bpf_tramp_site_find_ip(fn->ip);
		if (tidied || model_nr_multi(fn))
			CHECK(!!site == !!model_nr_multi(fn));
		if (!site) {
			CHECK(!fn->tr || !fn->tr->set);
			CHECK(!!fn->branch == !!fn->nr);
			continue;
		}
		nr_sites++;
		CHECK(site->ip == fn->ip && !site->requested);
		CHECK(!bpf_tramp_set_has_thunks(site->set) == !thunk_find(fn->branch));
		nr_numbers += !!site->nr;
		CHECK(site->btf_id == fn->id || site->btf_id == fn->alias);
		CHECK(bpf_tramp_site_find(OBJ_ID, site->btf_id) == site);
		set = site->set;
		CHECK(bpf_tramp_class_equal(&set->class, &fn->class));
		tr_visit(set->tr);
		if (set->tr->idx == MAX_FNS) {
			set->tr->idx = nr_seen;
			seen_fn[nr_seen] = fn;
			seen[nr_seen++] = set;
			check_set(fn, set, tidied);
		} else {
			first = seen_fn[set->tr->idx];
			/* sites without programs that could not leave ftrace can differ */
			CHECK(!model_nr_multi(fn) || model_same(fn, first));
			CHECK(bpf_tramp_set_has_thunks(set) || fn->branch == first->branch);
		}
		set->tr->nr_seen++;
	}
	CHECK(sites_by_id.nr == nr_sites);
	CHECK(site_numbers.nr == nr_numbers);
	CHECK(mem_count[MEM_SITE] == nr_sites);
	CHECK(mem_count[MEM_SET] == nr_seen);
	for (i = 0; i < nr_seen; i++)
		CHECK(seen[i]->nr_sites == seen[i]->tr->nr_seen);

	/* the least number of sets */
	for (i = 0; tidied && i < nr_seen; i++)
		for (j = 0; j < i; j++)
			CHECK(!model_same(seen_fn[i], seen_fn[j]));
}

static void check_tuples(void)
{
	struct bpf_tramp_tuple *t, *other;
	u32 i, nr_live = 0, nr = 0;

	for (i = 0; i < nr_links; i++) {
		CHECK(links[i]->attached || list_empty(&links[i]->tuples));
		list_for_each_entry(t, &links[i]->tuples, link_node) {
			CHECK(t->node.link == links[i]);
			nr++;
			CHECK(t->set->tr->epoch == epoch && t->set->tr->idx < nr_seen);
			CHECK(seen[t->set->tr->idx] == t->set);
			list_for_each_entry(other, &t->set->tuples, set_node)
				if (other == t)
					nr_live++;
		}
	}
	CHECK(nr == nr_live);
	CHECK(mem_count[MEM_TUPLE] == nr);
	for (i = 0; i < nr_seen; i++)
		list_for_each_entry(t, &seen[i]->tuples, set_node)
			nr_live--;
	CHECK(!nr_live);
}

static void check_trs(void)
{
	u32 nr_images = 0, active = 0, expect = 0, refs, i;
	struct bpf_tramp_image *im;
	struct bpf_trampoline *tr;

	list_for_each_entry(tr, &world.trs, all) {
		tr_visit(tr);
		refs = tr->nr_own + !!tr->set;
		list_for_each_entry(im, &tr->images, list) {
			refs++;
			nr_images++;
			active += im->state == IMAGE_ACTIVE;
		}
		CHECK(tr->refcnt == refs);
		if (tr->set)
			CHECK(seen[tr->idx] == tr->set);
		/* dedicated, and no link covers the function */
		else if (tr->cur_image)
			expect++;
	}
	for (i = 0; i < nr_seen; i++)
		expect += seen[i]->entry && seen[i]->entry != seen[i]->tr->cur_image ? 2 : 1;
	CHECK(active == expect);
	CHECK(nr_images == world.nr_images);
	CHECK(!world.nr_batches && world.nr_ksyms == world.nr_blocks);
	CHECK(!world.nr_blocks == !world.charged);
}

/* All of it, after each operation. */
static void check_all(void)
{
	bool tidied = list_empty(&bpf_tramp_untidy);
	struct fn *fn;

	epoch++;
	for (fn = world.fns; fn < world.fns + world.nr_fns; fn++)
		check_run(fn, false);
	check_sites(tidied);
	check_tuples();
	check_trs();
	CHECK(!bpf_tramp_sets_mutex.held);
}

/* Nothing is attached: nothing is left. */
static void check_nothing(void)
{
	u32 i;

	CHECK(list_empty(&bpf_tramp_untidy));
	CHECK(hash_empty(sets));
	CHECK(!mem_total && hash_empty(sites_by_ip) && !sites_by_id.nr);
	CHECK(!world.nr_images && !world.nr_trs && !world.nr_batches);
	CHECK(!world.nr_blocks && !world.nr_cookies && !site_numbers.nr);
	for (i = 0; i < XA_SIZE; i++)
		CHECK(!sites_by_id.bucket[i]);
}

/*
 * Before and after an operation
 */

static struct {
	bool tidied;
	u32 mem;
	u32 nr_sets;
	u32 nr_images;
} before;

static void ops_begin(void)
{
	struct bpf_tramp_site *site;
	struct fn *fn;

	for (fn = world.fns; fn < world.fns + world.nr_fns; fn++) {
		site = bpf_tramp_site_find_ip(fn->ip);
		fn->old_branch = fn->branch;
		fn->old_set = site ? site->set : NULL;
		fn->old_kind = site ? site->set->kind : 0;
		fn->old_thunks = site && site->set->tr ? site->set->tr->nr_thunks : 0;
	}
	before.tidied = list_empty(&bpf_tramp_untidy);
	before.mem = mem_total;
	before.nr_images = world.nr_images;
	before.nr_sets = mem_count[MEM_SET];
	world.sites_added = 0;
	world.sites_moved = 0;
	world.sites_deleted = 0;
	world.switched = 0;
	world.generated = 0;
}

/*
 * No more sites than necessary have been repatched. Where an attach has split a
 * set all but its largest piece have moved, where a detach has merged sets all
 * but the sites of the largest; of those whose kind does. Or all of them, to new
 * thunks, where more would be wasted else.
 */
static void check_moves(bool attach)
{
	struct bpf_tramp_set *whole[MAX_FNS] = {}, *piece[MAX_FNS] = {};
	u32 i, j, k, size, most, nr, moved, thunks;
	bool done[MAX_FNS] = {}, same[MAX_FNS] = {};
	struct bpf_tramp_site *site;
	struct fn *fn;

	for (i = 0; i < world.nr_fns; i++) {
		fn = &world.fns[i];
		site = bpf_tramp_site_find_ip(fn->ip);
		if (!fn->old_set || !site || site->set->kind == BPF_TRAMP_KIND_ALONE)
			continue;
		whole[i] = attach ? fn->old_set : site->set;
		piece[i] = attach ? site->set : fn->old_set;
		same[i] = site->set->kind == fn->old_kind;
	}
	for (i = 0; i < world.nr_fns; i++) {
		if (!whole[i] || done[i])
			continue;
		size = 0;
		most = 0;
		thunks = 0;
		moved = 0;
		for (j = i; j < world.nr_fns; j++) {
			if (whole[j] != whole[i])
				continue;
			for (nr = 0, k = j; k < world.nr_fns; k++) {
				if (done[k] || whole[k] != whole[i] || piece[k] != piece[j])
					continue;
				done[k] = true;
				nr++;
				moved += world.fns[k].branch != world.fns[k].old_branch;
			}
			size += nr;
			/* of those that are as large any may have been the one */
			if (same[j] && nr > most)
				thunks = 0;
			most = same[j] && nr > most ? nr : most;
			if (same[j] && nr == most)
				thunks = max(thunks, world.fns[j].old_thunks);
		}
		CHECK(moved == size - most ||
		      (!attach && moved == size && thunks + size - most > 2 * size));
	}
}

/*
 * An attach that failed left all as it was: check_all() sees that the lists are
 * the same, here it is the entries, too. Where it failed after sites had been
 * moved that are alone, or for their kind, @kind, or as they are few, they come back to
 * new ones.
 */
static void check_undone(bool kind)
{
	bool changed = world.sites_moved || world.sites_added || world.switched;
	struct bpf_tramp_site *site;
	struct fn *fn;

	if (!before.tidied || !list_empty(&bpf_tramp_untidy))
		return;
	CHECK(mem_count[MEM_SET] == before.nr_sets);
	for (fn = world.fns; fn < world.fns + world.nr_fns; fn++) {
		site = bpf_tramp_site_find_ip(fn->ip);
		if (world.sites_moved && (fn->nr_own || kind || few_sites ||
					  (site && site->set->kind == BPF_TRAMP_KIND_ALONE)))
			continue;
		CHECK(fn->old_set == (site ? site->set : NULL));
		/* back in its set, by a thunk that may be another one */
		if (!world.sites_moved || !site || !bpf_tramp_set_has_thunks(site->set))
			CHECK(fn->branch == fn->old_branch);
	}
	if (changed)
		return;
	CHECK(!world.sites_deleted);
	CHECK(world.nr_images == before.nr_images);
	CHECK(mem_total <= before.mem);
}
