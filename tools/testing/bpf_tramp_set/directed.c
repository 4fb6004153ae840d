// SPDX-License-Identifier: GPL-2.0-only
/*
 * One property each, most with the number of sites that are repatched. What
 * runs, and that all is consistent, the operations themselves check.
 */

static void test_begin(const char *name)
{
	test_name = name;
	test_op = 0;
}

static void test_end(void)
{
	op_nothing();
	pass("%s", "");
}

static u32 nr_sets(void)
{
	return mem_count[MEM_SET];
}

static void test_one_link(void)
{
	test_begin("one link: a body a class, each site patched once");
	world_init(12, 3, 12);
	links_init(1, 0, 0);
	CHECK(!attach_mask(0, 0xfff, 0));
	CHECK(nr_sets() == 3 && world.generated == 3);
	CHECK(world.sites_added == 12 && !world.sites_moved && !world.switched);
	op_detach(links[0]);
	CHECK(!nr_sets() && world.sites_deleted == 12 && !world.sites_moved);
	CHECK(!world.generated);
	test_end();
}

static void test_same_functions(void)
{
	test_begin("second link on the same functions: no site, an entry a class");
	world_init(12, 3, 12);
	links_init(2, 0, 0);
	CHECK(!attach_mask(0, 0xfff, 0));
	CHECK(!attach_mask(1, 0xfff, 0));
	CHECK(!world.sites_added && !world.sites_moved);
	CHECK(world.switched == 3 && world.generated == 3 && nr_sets() == 3);
	op_detach(links[0]);
	CHECK(!world.sites_deleted && !world.sites_moved);
	CHECK(world.switched == 3 && world.generated == 3 && nr_sets() == 3);
	test_end();
}

static void test_split(void)
{
	u32 n, least;

	test_begin("split and merge: the smaller part moves");
	world_init(8, 1, 12);
	links_init(2, 0, 0);
	for (n = 1; n < 8; n++) {
		least = n < 8 - n ? n : 8 - n;
		CHECK(!attach_mask(0, 0xff, 0));
		CHECK(!attach_mask(1, (1U << n) - 1, 0));
		CHECK(world.sites_moved == least && nr_sets() == 2);
		op_detach(links[1]);
		CHECK(world.sites_moved == least && nr_sets() == 1);
		/* and the other way: what the first link does not share goes */
		CHECK(!attach_mask(1, (1U << n) - 1, 0));
		op_detach(links[0]);
		/* a site alone moves to its new body */
		CHECK(world.sites_moved == (n == 1) && world.sites_deleted == 8 - n);
		CHECK(nr_sets() == 1);
		op_detach(links[1]);
	}
	test_end();
}

static void test_superset(void)
{
	test_begin("superset: what is covered is not touched");
	world_init(8, 1, 12);
	links_init(2, 0, 0);
	CHECK(!attach_mask(0, 0x07, 0));
	CHECK(!attach_mask(1, 0xff, 0));
	CHECK(world.sites_added == 5 && !world.sites_moved && nr_sets() == 2);
	op_detach(links[0]);
	CHECK(world.sites_moved == 3 && nr_sets() == 1);
	test_end();
}

static void test_overlap(void)
{
	static const u32 orders[][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
	};
	u32 i, j;

	test_begin("three-way overlap, attached and detached in all orders");
	world_init(14, 2, 12);
	links_init(3, 0, 0);
	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		for (j = 0; j < ARRAY_SIZE(orders); j++) {
			static const u32 masks[] = { 0x0f0f, 0x3333, 0x1555 };
			const u32 *on = orders[i], *off = orders[j];

			CHECK(!attach_mask(on[0], masks[on[0]], 0));
			CHECK(!attach_mask(on[1], masks[on[1]], 0));
			CHECK(!attach_mask(on[2], masks[on[2]], 0));
			op_detach(links[off[0]]);
			op_detach(links[off[1]]);
			op_detach(links[off[2]]);
			CHECK(!nr_sets());
			/* of all pairs of orders, half without images in flight */
			if ((i + j) & 1)
				op_nothing();
		}
	}
	test_end();
}

static void attach_own_cookies(u32 l)
{
	u32 i;

	nr_reqs = 0;
	for (i = 0; i < world.nr_fns; i++)
		req_add(&world.fns[i], 100 + i);
	CHECK(!op_attach(links[l]));
}

static void test_cookies(void)
{
	test_begin("a cookie a function: thunks, and one set");
	world_init(8, 1, 12);
	links_init(3, 0, 0x3);
	attach_own_cookies(0);
	CHECK(nr_sets() == 1 && world.sites_added == 8);
	CHECK(!attach_mask(2, 0xff, 0));
	CHECK(nr_sets() == 1 && !world.sites_moved && world.switched == 1);
	/* those who do not ask for it need no thunks */
	op_detach(links[0]);
	CHECK(nr_sets() == 1 && world.sites_moved == 8);
	attach_own_cookies(1);
	CHECK(nr_sets() == 1 && world.sites_moved == 8);
	op_detach(links[2]);
	CHECK(nr_sets() == 1 && !world.sites_moved);
	op_detach(links[1]);
	attach_own_cookies(2);
	CHECK(nr_sets() == 1);
	CHECK(bpf_tramp_site_find_ip(world.fns[0].ip)->set->kind == BPF_TRAMP_KIND_ENTRY);
	test_end();
}

static void test_kinds(void)
{
	test_begin("a set's kind is what its links need, and changes with them");
	world_init(8, 1, 12);
	links_init_kinds(4, 0, 0x4, 0x2);
	CHECK(!attach_mask(0, 0xff, 0));
	CHECK(!world.nr_blocks);
	/* half of the functions are to be called */
	CHECK(!attach_mask(1, 0xf0, 0));
	CHECK(nr_sets() == 2 && world.sites_moved == 4 && world.nr_blocks == 1);
	/* the thunks serve cookies, too; without any, the larger part has to move */
	attach_own_cookies(2);
	CHECK(nr_sets() == 2 && world.sites_moved == 4 && world.switched == 1);
	/* the smaller part is the one that stays as it is */
	CHECK(!attach_mask(3, 0x70, 0));
	CHECK(nr_sets() == 3 && world.sites_moved == 1 && world.switched == 1);
	op_detach(links[3]);
	CHECK(nr_sets() == 2 && world.sites_moved == 1);
	op_detach(links[2]);
	CHECK(nr_sets() == 2 && world.sites_moved == 4);
	op_detach(links[1]);
	CHECK(nr_sets() == 1 && world.sites_moved == 4);
	test_end();
}

static void test_alone(void)
{
	struct bpf_tramp_site *site;

	test_begin("a set for one site: no entry, no thunks, until it gets another site");
	world_init(8, 1, 12);
	links_init_kinds(4, 0, 0x8, 0x2);
	CHECK(!attach_mask(0, 0xff, 0));
	/* also where the program wants more */
	CHECK(!attach_mask(1, 0x01, 0));
	CHECK(!attach_mask(3, 0x02, 7));
	CHECK(nr_sets() == 3 && !world.nr_blocks);
	site = bpf_tramp_site_find_ip(world.fns[0].ip);
	CHECK(site->set->kind == BPF_TRAMP_KIND_ALONE);
	/* one site, a new body is a new address */
	CHECK(!attach_mask(2, 0x03, 0));
	CHECK(nr_sets() == 3 && world.sites_moved == 2 && !world.switched);
	/* two of them that have become equal make a shared one */
	op_detach(links[3]);
	CHECK(nr_sets() == 3);
	op_detach(links[1]);
	CHECK(nr_sets() == 2 && world.sites_moved == 2 && site->set->nr_sites == 2);
	CHECK(site->set->kind == BPF_TRAMP_KIND_ENTRY);
	/* and what has become equal to a shared one joins it */
	op_detach(links[2]);
	CHECK(nr_sets() == 1 && world.sites_moved == 2);
	test_end();
}

static void test_few_sites(void)
{
	test_begin("few sites are patched, and no tasks are waited for");
	world_init(8, 1, 12);
	links_init(4, 0, 0);
	CHECK(!attach_mask(0, 0xff, 0));
	/* the larger part keeps the entry */
	CHECK(!attach_mask(1, 0x1f, 0));
	CHECK(world.sites_moved == 3 && world.switched == 1);
	op_detach(links[1]);
	few_sites = 5;
	/* it would be switched after others have left */
	CHECK(!attach_mask(1, 0x1f, 0));
	CHECK(world.sites_moved == 5 && !world.switched);
	/* nobody has left this one */
	CHECK(!attach_mask(2, 0x1f, 0));
	CHECK(!world.sites_moved && world.switched == 1);
	/* too many */
	CHECK(!attach_mask(3, 0xff, 0));
	op_detach(links[3]);
	op_detach(links[2]);
	op_detach(links[1]);
	CHECK(!attach_mask(1, 0x3f, 0));
	CHECK(world.sites_moved == 2 && world.switched == 1);
	test_end();
}

static void attach_fourth(void)
{
	CHECK(!attach_mask(3, 0x8, 0));
}

static void test_departures(void)
{
	u32 waits;

	test_begin("tasks are waited for until they have arrived, and no longer");
	world_init(8, 1, 12);
	links_init(4, 0, 0);
	/* three sites leave the set of the five, which gets another program */
	CHECK(!attach_mask(0, 0xff, 0));
	CHECK(!attach_mask(1, 0x7, 0));
	CHECK(world.sites_moved == 3);
	waits = world.waits;
	CHECK(!attach_mask(2, 0xf8, 0));
	CHECK(world.switched == 1 && world.waits == waits + 1);
	op_detach(links[2]);

	/* the same long after */
	op_detach(links[1]);
	CHECK(!attach_mask(1, 0x7, 0));
	while (grace_period())
		;
	waits = world.waits;
	CHECK(!attach_mask(2, 0xf8, 0));
	CHECK(world.switched == 1 && world.waits == waits);
	op_detach(links[2]);
	op_detach(links[1]);

	/* RCU is asked, and tells of these; others have left since */
	while (grace_period())
		;
	CHECK(!attach_mask(1, 0x7, 0));
	world.meanwhile = attach_fourth;
	CHECK(grace_period());
	world.meanwhile = NULL;
	waits = world.waits;
	CHECK(!attach_mask(2, 0xf0, 0));
	CHECK(world.switched == 1 && world.waits == waits + 1);
	/* the work has been queued again for those */
	CHECK(grace_period());
	CHECK(!grace_period());
	test_end();
}

static void test_thunks_renewed(void)
{
	u32 i;

	test_begin("thunks that sites have left do not pile up");
	world_init(8, 1, 12);
	links_init_kinds(2, 0, 0, 0x1);
	CHECK(!attach_mask(0, 0xff, 0));
	for (i = 0; i < 50; i++) {
		CHECK(!attach_mask(1, 0x07, 0));
		op_detach(links[1]);
		CHECK(world.nr_blocks <= 8);
		images_release(NULL, 1);
	}
	for (i = 0; i < 50; i++) {
		CHECK(!single_on(0, 0));
		single_off(0, 0);
		CHECK(world.nr_blocks <= 16);
		images_release(NULL, 1);
	}
	test_end();
}

static void test_duplicates(void)
{
	u32 l;

	test_begin("two ids of one function: taken for one, or -EINVAL");
	world_init(4, 2, 12);
	/* with and without cookies, on new functions and on covered ones */
	links_init(3, 0, 0x2);
	for (l = 0; l < 3; l++) {
		nr_reqs = 0;
		req_add(&world.fns[0], 7);
		req_add(&world.fns[0], 7);
		reqs[1].btf_id = world.fns[0].alias;
		req_add(&world.fns[3], 7);
		req_add(&world.fns[3], 7);
		req_add(&world.fns[0], 7);
		CHECK(!op_attach(links[l]));
		CHECK(nr_sets() == (l < 2 ? 2 : 4));
		op_detach(links[l]);

		nr_reqs = 0;
		req_add(&world.fns[1], 7);
		req_add(&world.fns[0], 7);
		req_add(&world.fns[0], 8);
		reqs[2].btf_id = world.fns[0].alias;
		CHECK(op_attach(links[l]) == -EINVAL);

		nr_reqs = 0;
		req_add(&world.fns[1], 7);
		req_add(&world.fns[0], 7);
		req_add(&world.fns[0], 7);
		reqs[2].class.model.nr_args = 9;
		CHECK(op_attach(links[l]) == -EINVAL);

		if (l == 1)
			CHECK(!attach_mask(0, 0xf, 0));
	}
	test_end();
}

static void test_other_id(void)
{
	test_begin("a site is found by the id that it was first attached by");
	world_init(2, 1, 12);
	links_init(2, 0, 0);
	nr_reqs = 0;
	req_add(&world.fns[0], 0);
	reqs[0].btf_id = world.fns[0].alias;
	CHECK(!op_attach(links[0]));
	CHECK(bpf_tramp_site_find(OBJ_ID, world.fns[0].alias)->ip == world.fns[0].ip);
	CHECK(!bpf_tramp_site_find(OBJ_ID, world.fns[0].id));
	CHECK(!attach_mask(1, 0x3, 0));
	CHECK(world.sites_added == 1);
	op_detach(links[0]);
	CHECK(bpf_tramp_site_find(OBJ_ID, world.fns[0].alias));
	op_detach(links[1]);
	CHECK(!bpf_tramp_site_find(OBJ_ID, world.fns[0].alias));
	test_end();
}

static void test_refused(void)
{
	test_begin("a program twice, one too many: refused, and nothing has changed");
	world_init(8, 2, 3);
	links_init(5, 1, 0);
	CHECK(!attach_mask(0, 0x0f, 0));
	CHECK(attach_mask(4, 0xf8, 0) == -EBUSY);
	CHECK(!attach_mask(4, 0xf0, 0));
	CHECK(!attach_mask(1, 0x30, 0));
	CHECK(!attach_mask(2, 0x18, 0));
	CHECK(attach_mask(3, 0xff, 0) == -E2BIG);
	CHECK(!single_on(0, 0));
	CHECK(!single_on(0, 1));
	CHECK(attach_mask(3, 0x01, 0) == -E2BIG);
	CHECK(single_on(4, 0) == -E2BIG);
	CHECK(!attach_mask(3, 0xee, 0));
	test_end();
}

static void test_pin(void)
{
	struct bpf_tramp_site *site;

	test_begin("a single program pins its function, which comes back without it");
	world_init(4, 1, 12);
	links_init(2, 0, 0x2);
	CHECK(!attach_mask(0, 0xf, 0));
	CHECK(!single_on(1, 0));
	CHECK(nr_sets() == 2);
	site = bpf_tramp_site_find_ip(world.fns[1].ip);
	CHECK(site->set->class.pin == world.fns[1].tr);
	CHECK(!attach_mask(1, 0x3, 5));
	CHECK(nr_sets() == 3 && world.sites_moved == 2);
	CHECK(!single_on(1, 1));
	single_off(1, 0);
	CHECK(site->set->class.pin);
	single_off(1, 1);
	CHECK(!site->set->class.pin && nr_sets() == 2);
	CHECK(site->set == bpf_tramp_site_find_ip(world.fns[0].ip)->set);

	/* the only function of a set */
	op_detach(links[1]);
	op_detach(links[0]);
	CHECK(!attach_mask(0, 0x1, 0));
	CHECK(!single_on(0, 0));
	CHECK(nr_sets() == 1);
	single_off(0, 0);
	CHECK(nr_sets() == 1);
	test_end();
}

static void test_pin_first(void)
{
	test_begin("links come to, and leave, a function with a single program");
	world_init(4, 1, 12);
	links_init(2, 0, 0);
	CHECK(!single_on(1, 0));
	CHECK(!nr_sets());
	CHECK(!attach_mask(0, 0xf, 0));
	CHECK(nr_sets() == 2 && world.sites_added == 3 && world.sites_moved == 1);
	op_detach(links[0]);
	CHECK(!nr_sets() && world.sites_deleted == 3);
	CHECK(!attach_mask(1, 0xf, 0));
	single_off(1, 0);
	CHECK(nr_sets() == 1 && world.sites_moved == 1);
	test_end();
}

static void test_pin_other_id(void)
{
	struct bpf_trampoline *other;

	test_begin("a second dedicated trampoline, or another model: -EBUSY");
	world_init(2, 1, 12);
	links_init(1, 0, 0);
	CHECK(!attach_mask(0, 0x3, 0));
	CHECK(!single_on(0, 0));
	other = tr_new(&world.fns[0]);
	other->ip = world.fns[0].ip;
	CHECK(bpf_tramp_sets_lock(other->ip));
	CHECK(bpf_tramp_pin(other, &world.fns[1].own_node[1]) == -EBUSY);
	CHECK(!other->set && !other->nr_progs);
	bpf_tramp_sets_unlock();
	bpf_trampoline_put(other);

	other = tr_new(&world.fns[1]);
	other->ip = world.fns[1].ip;
	world.fns[1].class.model.nr_args++;
	CHECK(bpf_tramp_sets_lock(other->ip));
	CHECK(bpf_tramp_pin(other, &world.fns[1].own_node[1]) == -EBUSY);
	bpf_tramp_sets_unlock();
	world.fns[1].class.model.nr_args--;
	bpf_trampoline_put(other);
	test_end();
}

static void test_livepatch(void)
{
	test_begin("a function that a livepatch shares has a body of its own");
	world_init(4, 1, 12);
	links_init(2, 0, 0);
	CHECK(!op_ipmodify(&world.fns[0], true));
	CHECK(!attach_mask(0, 0xf, 0));
	CHECK(nr_sets() == 2 && world.sites_added == 4);
	CHECK(!op_ipmodify(&world.fns[1], true));
	CHECK(nr_sets() == 3 && world.sites_moved == 1);
	CHECK(!op_ipmodify(&world.fns[1], true));
	CHECK(!world.sites_moved);
	/* no entry: the sites move */
	CHECK(!attach_mask(1, 0xf, 0));
	CHECK(nr_sets() == 3 && world.sites_moved == 2 && world.switched == 1);
	op_detach(links[0]);
	CHECK(nr_sets() == 3 && world.sites_moved == 2 && world.switched == 1);
	CHECK(!op_ipmodify(&world.fns[0], false));
	CHECK(nr_sets() == 2 && world.sites_moved == 1 && !world.generated);

	/* comes and goes while the function has a dedicated trampoline */
	CHECK(!single_on(3, 0));
	CHECK(!op_ipmodify(&world.fns[3], true));
	CHECK(!world.sites_moved);
	single_off(3, 0);
	CHECK(nr_sets() == 3);
	CHECK(!single_on(3, 0));
	CHECK(!op_ipmodify(&world.fns[3], false));
	single_off(3, 0);
	CHECK(nr_sets() == 2);
	test_end();
}

static void test_in_flight(void)
{
	u32 i;

	test_begin("images in flight keep nothing but their trampolines");
	world_init(4, 1, 12);
	links_init(2, 0, 0);
	CHECK(!attach_mask(0, 0xf, 0));
	CHECK(!attach_mask(1, 0x3, 0));
	for (i = 0; i < 50; i++) {
		CHECK(!single_on(0, 0));
		single_off(0, 0);
		CHECK(nr_sets() == 2 && mem_count[MEM_TUPLE] == 3);
	}
	images_release(NULL, 1);
	op_tidy();
	CHECK(world.nr_trs == 2);
	/* with one at a time, so that the trampoline never has none */
	for (i = 0; i < 50; i++) {
		CHECK(!single_on(0, 0));
		images_release(NULL, 1);
		single_off(0, 0);
		CHECK(world.nr_trs <= 5);
	}
	test_end();
}

/* Sets of all kinds; @fail_op then fails at one step after the other. */
static void fault_world(void)
{
	world_init(16, 2, 12);
	links_init_kinds(4, 0, 0x8, 0x1);
	CHECK(!attach_mask(0, 0x00ff, 0));
	CHECK(!attach_mask(1, 0x0ff1, 0));
	CHECK(!single_on(0, 0));
	CHECK(!single_on(9, 0));
	CHECK(!single_on(15, 0));
}

static void test_fault_attach(bool persistent)
{
	u32 at, l, i;

	test_begin(persistent ? "attach fails from any step on" : "attach fails at any step");
	/* 2: one part a set; 3: two */
	for (l = 2; l < 4; l++) {
		fault_world();
		for (at = 1; ; at++) {
			nr_reqs = 0;
			for (i = 0; i < 16; i++)
				if (i % 5)
					req_add(&world.fns[i], i & 1);
			fault_set(at, persistent);
			test_op = at;
			if (!op_attach(links[l]))
				break;
			op_tidy();
		}
		CHECK(at > 30);
		op_nothing();
	}
	test_end();
}

static void test_fault_detach(bool persistent)
{
	u32 at, l;

	test_begin(persistent ? "detach without memory from any step on" :
				"detach without memory at any step");
	for (l = 0; l < 2; l++) {
		for (at = 1; at < 40; at++) {
			fault_world();
			CHECK(!attach_mask(2, 0xa5a5, 0));
			test_op = at;
			fault_set(at, persistent);
			op_detach(links[l]);
			/* the next operation tidies up */
			CHECK(!attach_mask(l, 0xffff, 0));
			op_nothing();
		}
	}
	test_end();
}

static void test_fault_single(bool persistent)
{
	struct single s[3] = {};
	u32 at, i;
	int err;

	test_begin(persistent ? "single programs without memory from any step on" :
				"single programs without memory at any step");
	for (at = 1; at < 40; at++) {
		fault_world();
		for (i = 0; i < 3; i++) {
			s[i].fn = &world.fns[3 + i];
			s[i].slot = 1;
		}
		test_op = at;
		fault_set(at, persistent);
		err = op_single_on(s, 3);
		if (err)
			CHECK(!op_single_on(s, 3));
		fault_set(at, persistent);
		op_single_off(s, 3);
		/* on again before anything has been tidied, and with other links */
		CHECK(!op_single_on(s, 3));
		CHECK(!attach_mask(2, 0xa5a5, 0));
		op_single_off(s, 3);
		fault_set(at, persistent);
		single_off(0, 0);
		fault_set(at, persistent);
		op_detach(links[1]);
		CHECK(!op_single_on(s, 3));
		op_nothing();
	}
	CHECK(!err);
	test_end();
}

static void test_stuck(void)
{
	test_begin("sites that could not leave ftrace: pinned, left, covered again");
	world_init(4, 1, 12);
	links_init(2, 0, 0);
	CHECK(!attach_mask(0, 0xf, 0));
	fault_set(1, true);
	op_detach(links[0]);
	CHECK(!world.sites_deleted && !list_empty(&bpf_tramp_untidy));
	CHECK(!single_on(2, 0));
	CHECK(!single_on(3, 0));
	fault_set(1, true);
	single_off(3, 0);
	CHECK(!attach_mask(1, 0x7, 0));
	CHECK(list_empty(&bpf_tramp_untidy) && nr_sets() == 2);
	single_off(2, 0);
	CHECK(nr_sets() == 1);
	test_end();
}

static void test_late(void)
{
	test_begin("close() patches no site; tidied up once for links that go together");
	world_init(8, 1, 12);
	links_init_kinds(4, 0, 0, 0x1);
	CHECK(!attach_mask(0, 0xff, 0));
	CHECK(!attach_mask(1, 0x0f, 0));
	CHECK(!attach_mask(2, 0x3f, 0));
	op_stop(links[2]);
	op_stop(links[1]);
	CHECK(nr_sets() == 3);
	op_tidy();
	CHECK(nr_sets() == 1 && world.sites_moved == 4 && world.generated == 1);

	/* the next attach takes over */
	op_stop(links[0]);
	CHECK(!attach_mask(3, 0x0f, 0));
	CHECK(nr_sets() == 1 && world.sites_deleted == 8 && world.sites_added == 4);

	/* a single program comes, and goes */
	op_stop(links[3]);
	CHECK(!single_on(0, 0));
	op_tidy();
	CHECK(!nr_sets() && world.sites_deleted == 3);
	single_off(0, 0);
	CHECK(!attach_mask(3, 0x0f, 0));
	CHECK(!single_on(0, 0));
	op_stop(links[3]);
	single_off(0, 0);
	op_tidy();
	CHECK(!nr_sets());
	test_end();
}

static void test_late_livepatch(void)
{
	test_begin("a livepatch comes and goes between close() and tidying up");
	world_init(8, 1, 12);
	links_init_kinds(2, 0, 0, 0x3);
	CHECK(!attach_mask(0, 0xff, 0));
	op_stop(links[0]);
	CHECK(!op_ipmodify(&world.fns[0], true));
	CHECK(!world.fns[0].branch && world.sites_deleted == 1 && nr_sets() == 1);
	CHECK(!op_ipmodify(&world.fns[0], false));
	CHECK(!op_ipmodify(&world.fns[1], true));
	CHECK(!single_on(1, 0));
	CHECK(!attach_mask(1, 0x0f, 0));
	op_stop(links[1]);
	single_off(1, 0);
	op_tidy();
	CHECK(!nr_sets());

	/* a dedicated trampoline that could not go */
	CHECK(!op_ipmodify(&world.fns[1], false));
	CHECK(!attach_mask(1, 0x0f, 0));
	CHECK(!single_on(1, 0));
	op_stop(links[1]);
	fault_set(1, true);
	single_off(1, 0);
	CHECK(world.fns[1].branch);
	CHECK(!op_ipmodify(&world.fns[1], true));
	CHECK(!world.fns[1].branch);
	test_end();
}

static void test_leave(void)
{
	struct module odd = { .functions = 0xaa }, even = { .functions = 0x55 };

	test_begin("functions of a module that goes are no sites any more");
	world_init(8, 2, 12);
	links_init_kinds(2, 0, 0, 0x2);
	CHECK(!attach_mask(0, 0xaa, 0));
	CHECK(!attach_mask(1, 0x55, 0));
	op_stop(links[0]);
	/* there is no memory until it has slept */
	fault_set(1, true);
	bpf_tramp_sets_leave(&odd);
	CHECK(world.slept == 1);
	check_all();
	CHECK(!bpf_tramp_sites_are_in(&odd) && bpf_tramp_sites_are_in(&even));
	/* that of a link that is attached is removed by force */
	bpf_tramp_sets_leave(&even);
	check_all();
	CHECK(bpf_tramp_sites_are_in(&even));
	test_end();
}

/* A link to the stuck function, among those of @mask, is refused until that is over. */
static void end_stuck(u32 l, u32 mask)
{
	reqs_mask(mask, 0);
	CHECK(bpf_tramp_sets_attach(links[l], &links[l]->tuples, reqs, nr_reqs, false,
				    false) == -EAGAIN);
	check_all();
	world.stuck = NULL;
	op_tidy();
	CHECK(nr_sets() == 2);
	test_end();
}

static void test_one_stuck(void)
{
	test_begin("a site that cannot be patched is in nobody else's way");
	world_init(8, 1, 12);
	links_init(5, 0, 0);
	CHECK(!attach_mask(0, 0x0f, 0));
	CHECK(!attach_mask(1, 0x01, 0));
	CHECK(!attach_mask(2, 0x70, 0));
	CHECK(!attach_mask(3, 0x40, 0));
	world.stuck = &world.fns[0];
	op_stop(links[1]);
	op_stop(links[3]);
	CHECK(nr_sets() == 4);
	op_tidy();
	CHECK(nr_sets() == 3 && world.sites_moved == 1);
	CHECK(!attach_mask(4, 0xf0, 0));
	op_stop(links[4]);
	end_stuck(4, 0x81);
}

static void test_wasted_stuck(void)
{
	test_begin("a set keeps its wasted thunks, and its sites, if one cannot be patched");
	world_init(8, 1, 12);
	links_init_kinds(5, 0, 0, 0x1);
	CHECK(!attach_mask(0, 0xff, 0));
	CHECK(!attach_mask(1, 0x0f, 0));
	CHECK(!attach_mask(2, 0x10, 0));
	world.stuck = &world.fns[7];
	op_stop(links[2]);
	op_tidy();
	CHECK(nr_sets() == 2 && world.sites_moved == 1);
	CHECK(!attach_mask(3, 0xf0, 0));
	CHECK(!world.sites_moved);
	world.stuck = NULL;
	op_stop(links[3]);
	op_tidy();
	CHECK(nr_sets() == 2 && world.sites_moved == 4);
	test_end();
}

static void test_alone_stuck(void)
{
	test_begin("a site alone whose equal is stuck is in a tidy set");
	world_init(8, 1, 12);
	links_init(4, 0, 0);
	CHECK(!attach_mask(0, 0x07, 0));
	CHECK(!attach_mask(1, 0x01, 0));
	CHECK(!attach_mask(2, 0x02, 0));
	CHECK(!attach_mask(3, 0x04, 0));
	op_detach(links[1]);
	world.stuck = &world.fns[1];
	op_stop(links[2]);
	op_tidy();
	CHECK(nr_sets() == 3);
	CHECK(!attach_mask(1, 0x01, 0));
	op_detach(links[1]);
	end_stuck(1, 0x02);
}

/* Two sets that have become equal: of function 0, which is stuck, and of 1 to 3 */
static void stuck_twins(void)
{
	world_init(8, 1, 12);
	links_init(4, 0, 0);
	CHECK(!attach_mask(0, 0x0f, 0));
	CHECK(!attach_mask(1, 0x01, 0));
	CHECK(!attach_mask(2, 0x0e, 0));
	world.stuck = &world.fns[0];
	op_stop(links[1]);
	op_stop(links[2]);
	CHECK(nr_sets() == 2);
}

static void test_stuck_twin(void)
{
	test_begin("a larger set that cannot take over the sites of a smaller one is tidy");
	stuck_twins();
	CHECK(!attach_mask(3, 0x0e, 0));
	world.stuck = NULL;
	op_stop(links[3]);
	op_tidy();
	CHECK(nr_sets() == 1);
	test_end();
}

/* Tidying asks for a livepatch several times. */
static void test_flip(bool on)
{
	struct fn *fn = &world.fns[1];
	u32 after;

	test_begin(on ? "a livepatch comes while its function is tidied up" :
		   "a livepatch goes while its function is tidied up");
	for (after = 0; after < 3; after++) {
		world_init(4, 1, 12);
		links_init(2, 0, 0);
		CHECK(!op_ipmodify(fn, !on));
		CHECK(!attach_mask(0, 0x6, 0));
		CHECK(!attach_mask(1, 0x2, 0));
		if (on)
			CHECK(!op_ipmodify(fn, false));
		op_stop(links[1]);
		ops_begin();
		world.flips = fn;
		world.flips_after = after;
		bpf_tramp_sets_tidy();
		world.flips = NULL;
		fn->ipmodify = on;
		CHECK(!bpf_tramp_ipmodify(fn->ip));
		fn->patched = on;
		op_tidy();
		CHECK(!op_ipmodify(fn, false));
		op_nothing();
	}
	test_end();
}

static void test_directed(void)
{
	test_one_link();
	test_same_functions();
	test_split();
	test_superset();
	test_overlap();
	test_cookies();
	test_kinds();
	test_alone();
	test_few_sites();
	test_departures();
	test_thunks_renewed();
	test_duplicates();
	test_other_id();
	test_refused();
	test_pin();
	test_pin_first();
	test_pin_other_id();
	test_livepatch();
	test_in_flight();
	test_fault_attach(false);
	test_fault_attach(true);
	test_fault_detach(false);
	test_fault_detach(true);
	test_fault_single(false);
	test_fault_single(true);
	test_stuck();
	test_late();
	test_late_livepatch();
	test_leave();
	test_one_stuck();
	test_wasted_stuck();
	test_alone_stuck();
	test_stuck_twin();
	test_flip(false);
	test_flip(true);
}
