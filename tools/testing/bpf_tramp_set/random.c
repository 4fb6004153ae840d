// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random operations in several worlds.
 */

struct config {
	const char *name;
	u32 share;	/* of all operations, in percent */
	u32 fns;
	u32 classes;
	u32 links;
	u32 shared;	/* links that have another link's program */
	u32 cookies;	/* mask of programs that want their cookie */
	u32 orig;	/* mask of programs whose bodies call the function */
	u32 max_progs;
	/* of 100 operations */
	u32 single;
	u32 livepatch;
	u32 fault;
	u32 persistent;	/* of 100 faults */
	u32 late;	/* of 100 detached links: tidied up after later */
	u32 dup;	/* of 100 attaches */
	u32 release;	/* one in so many images in flight, each time */
};

static const struct config configs[] = {
	{
		.name = "few functions, small sets",
		.share = 20, .fns = 5, .classes = 2, .links = 4,
		.cookies = 0x4, .orig = 0x8, .max_progs = 12, .release = 4,
		.single = 10, .livepatch = 3, .fault = 10, .persistent = 30, .dup = 10,
		.late = 30,
	},
	{
		.name = "no failures",
		.share = 15, .fns = 24, .classes = 3, .links = 8, .shared = 1,
		.cookies = 0x42, .orig = 0x50, .max_progs = 12, .release = 8,
		.single = 20, .dup = 5,
	},
	{
		.name = "failures",
		.share = 15, .fns = 24, .classes = 3, .links = 8, .shared = 1,
		.cookies = 0x24, .orig = 0x11, .max_progs = 12, .release = 8,
		.single = 20, .livepatch = 3, .fault = 50, .persistent = 30, .dup = 5,
		.late = 30,
	},
	{
		.name = "long failures",
		.share = 15, .fns = 12, .classes = 2, .links = 6,
		.cookies = 0x24, .orig = 0x11, .max_progs = 12, .release = 30,
		.single = 30, .livepatch = 5, .fault = 40, .persistent = 90, .late = 20,
	},
	{
		.name = "cookies",
		.share = 10, .fns = 16, .classes = 2, .links = 6,
		.cookies = 0x3b, .orig = 0x30, .max_progs = 12, .release = 8,
		.single = 10, .livepatch = 2, .fault = 15, .persistent = 30, .dup = 10,
		.late = 80,
	},
	{
		.name = "single programs",
		.share = 15, .fns = 10, .classes = 2, .links = 5,
		.cookies = 0x8, .orig = 0x6, .max_progs = 12, .release = 20,
		.single = 70, .livepatch = 5, .fault = 20, .persistent = 40, .dup = 5,
		.late = 50,
	},
	{
		.name = "program limit",
		.share = 10, .fns = 12, .classes = 2, .links = 8, .shared = 2,
		.cookies = 0x10, .orig = 0x82, .max_progs = 4, .release = 8,
		.single = 30, .livepatch = 2, .fault = 20, .persistent = 30, .dup = 5,
	},
};

static u64 rnd_state;

/* xorshift64* */
static u32 rnd(u32 n)
{
	rnd_state ^= rnd_state >> 12;
	rnd_state ^= rnd_state << 25;
	rnd_state ^= rnd_state >> 27;
	return (u32)((rnd_state * 2685821657736338717ULL) >> 32) % n;
}

static bool chance(u32 percent)
{
	return rnd(100) < percent;
}

static u32 rnd_mask(const struct config *cfg)
{
	u32 all = (1U << cfg->fns) - 1, mask = 0, l, percent, i;

	switch (rnd(8)) {
	case 0:
		return all;
	case 1:
	case 2:
		/* the functions of another link */
		l = rnd(cfg->links);
		if (links[l]->attached)
			return links[l]->want;
		break;
	case 3:
		/* part of them */
		l = rnd(cfg->links);
		for (i = 0; links[l]->attached && i < cfg->fns; i++)
			mask |= links[l]->want & (rnd(2) << i);
		if (mask)
			return mask;
		break;
	case 4:
		return 1U << rnd(cfg->fns);
	}
	percent = 5 + rnd(95);
	for (i = 0; i < cfg->fns; i++)
		if (chance(percent))
			mask |= 1U << i;
	return mask ?: 1U << rnd(cfg->fns);
}

/* Requests for some functions are there twice, and do not always agree. */
static void rnd_dups(void)
{
	u32 nr = 1 + rnd(3), i;
	struct fn *fn;
	u64 cookie;

	while (nr--) {
		i = rnd(nr_reqs);
		fn = fn_by_ip(reqs[i].ip);
		cookie = reqs[i].cookie;
		req_add(fn, chance(80) ? cookie : cookie + 1);
		reqs[nr_reqs - 1].btf_id = rnd(2) ? fn->id : fn->alias;
		if (chance(10))
			reqs[nr_reqs - 1].class.model.nr_args++;
	}
}

static void rnd_fault(const struct config *cfg, u32 calls)
{
	if (!chance(cfg->fault))
		return;
	fault_set(1 + (rnd(2) ? rnd(calls) : rnd(6)), chance(cfg->persistent));
}

static void rnd_attach(const struct config *cfg, struct bpf_link *link)
{
	u32 mask = rnd_mask(cfg), cookies = 1 + (rnd(3) ? rnd(4) : rnd(30)), i;
	int err;

	nr_reqs = 0;
	for (i = 0; i < cfg->fns; i++)
		if (mask & (1U << i))
			req_add(&world.fns[i], rnd(cookies));
	for (i = 0; i < nr_reqs; i++)
		if (chance(10))
			reqs[i].btf_id = fn_by_ip(reqs[i].ip)->alias;
	if (chance(cfg->dup))
		rnd_dups();
	rnd_fault(cfg, 2 * cfg->fns);
	skip = chance(30);
	verbose("attach link %ld to %x, %u cookies, fault %u%s%s",
		(long)(link - link_pool), mask, cookies, fault.at,
		fault.persistent ? " and later" : "", skip ? ", skip" : "");
	few_sites = chance(50) ? 0 : 1 + rnd(cfg->fns);
	err = op_attach(link);
	skip = false;
	verbose("= %d", err);
}

/* The worker comes before the next operation, or does not. */
static void rnd_detach(const struct config *cfg, struct bpf_link *link)
{
	if (chance(cfg->late)) {
		verbose("stop link %ld", (long)(link - link_pool));
		op_stop(link);
		return;
	}
	rnd_fault(cfg, 20);
	verbose("detach link %ld, fault %u%s", (long)(link - link_pool), fault.at,
		fault.persistent ? " and later" : "");
	op_detach(link);
}

static bool fn_has_own(struct fn *fn, u32 slot)
{
	u32 i;

	for (i = 0; i < fn->nr; i++)
		if (fn->model[i].link == &fn->own_link[slot])
			return true;
	return false;
}

static void rnd_single(const struct config *cfg)
{
	bool on = rnd(2);
	struct single s[8];
	u32 tries, max = rnd(2) ? 1 : 1 + rnd(8), nr = 0, i;
	int err;

	for (tries = 0; tries < 12 && nr < max; tries++) {
		s[nr].fn = &world.fns[rnd(cfg->fns)];
		s[nr].slot = rnd(MAX_OWN);
		if (fn_has_own(s[nr].fn, s[nr].slot) == on)
			continue;
		for (i = 0; i < nr; i++)
			if (s[i].fn == s[nr].fn)
				break;
		if (i < nr)
			continue;
		nr++;
	}
	if (!nr)
		return;
	rnd_fault(cfg, 10);
	for (i = 0; i < nr; i++)
		verbose("single %s %ld/%u, fault %u%s", on ? "on" : "off",
			(long)(s[i].fn - world.fns), s[i].slot, fault.at,
			fault.persistent ? " and later" : "");
	if (on) {
		err = op_single_on(s, nr);
		verbose("= %d", err);
	} else {
		op_single_off(s, nr);
	}
}

static void rnd_op(const struct config *cfg)
{
	struct bpf_link *link;

	if (chance(cfg->single)) {
		rnd_single(cfg);
	} else {
		link = links[rnd(cfg->links)];
		if (!link->attached)
			rnd_attach(cfg, link);
		else
			rnd_detach(cfg, link);
	}
	if (chance(cfg->livepatch)) {
		struct fn *fn = &world.fns[rnd(cfg->fns)];

		rnd_fault(cfg, 8);
		verbose("livepatch %s %ld, fault %u%s", fn->ipmodify ? "off" : "on",
			(long)(fn - world.fns), fault.at, fault.persistent ? " and later" : "");
		op_ipmodify(fn, !fn->ipmodify);
	}
	if (chance(1)) {
		verbose("tidy");
		op_tidy();
	}
	if (chance(30) && grace_period())
		verbose("grace period");
	images_release(rnd, cfg->release);
}

static void test_random(void)
{
	const struct config *cfg;
	unsigned long n, total = 0;
	char name[80];

	for (cfg = configs; cfg < configs + ARRAY_SIZE(configs); cfg++) {
		snprintf(name, sizeof(name), "random: %s", cfg->name);
		test_name = name;
		test_op = 0;
		rnd_state = (opt_seed + 1) * 0x9e3779b97f4a7c15ULL + (cfg - configs);
		world_init(cfg->fns, cfg->classes, cfg->max_progs);
		links_init_kinds(cfg->links, cfg->shared, cfg->cookies, cfg->orig);
		n = opt_ops * cfg->share / 100;
		while (test_op < n) {
			test_op++;
			rnd_op(cfg);
			/* now and then from the beginning */
			if (test_op % 5000 == 0)
				op_nothing();
		}
		op_nothing();
		total += n;
		pass(", %lu operations", n);
	}
}
