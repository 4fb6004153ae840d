// SPDX-License-Identifier: GPL-2.0
/*
 * tracing_multi links that cover the same functions. Functions that run the
 * same programs may share one trampoline, so what a link does to one function
 * must not show at another: after each step every program must have run exactly
 * as often, in the same order and with the same data as if each function had its
 * own trampoline.
 *
 * All ways to overlap, in all orders, are what tools/testing/bpf_tramp_set runs
 * in user space. Here it is programs of all kinds, what the JIT generates and
 * what ftrace patches.
 */
#include <pthread.h>
#include <sched.h>
#include "tracing_multi_sets.skel.h"
#include "tracing_multi_sets_env.h"

static const int perms3[6][3] = {
	{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
};

static bool attach_and_check(struct env_sets *t, int p, __u32 mask)
{
	char step[64];

	snprintf(step, sizeof(step), "attach %s", descs[p].name);
	return ASSERT_OK(sets_attach(t, p, mask), step) && sets_check(t, step);
}

static bool detach_and_check(struct env_sets *t, int p)
{
	char step[64];

	snprintf(step, sizeof(step), "detach %s", descs[p].name);
	return ASSERT_OK(sets_detach(t, p), step) && sets_check(t, step);
}

/* Attach and detach cnt programs in the given orders, checking after each step. */
static bool run_orders(struct env_sets *t, const int *progs, const __u32 *masks, int cnt,
		       const int *attach, const int *detach)
{
	int i;

	for (i = 0; i < cnt; i++) {
		if (!attach_and_check(t, progs[attach[i]], masks[attach[i]]))
			return false;
	}
	for (i = 0; i < cnt; i++) {
		if (!detach_and_check(t, progs[detach[i]]))
			return false;
	}
	return true;
}

/* Of each pair one is on all functions and the other on a part of these. */
static const int pairs[][2] = {
	{ SETS_ARG_1, SETS_ARG_2 },
	{ SETS_IP_1, SETS_IP_2 },
	{ SETS_COOKIE_1, SETS_COOKIE_2 },
	{ SETS_ARG_1, SETS_COOKIE_1 },
	{ SETS_FEXIT_1, SETS_FSESSION_1 },
};

static void run_pairs(struct env_sets *t, const int detach[2])
{
	static const int attach[2] = { 0, 1 };
	static const __u32 masks[2] = { ALL_FUNCS, 0x0d9 };
	int i;

	for (i = 0; i < ARRAY_SIZE(pairs); i++)
		if (!run_orders(t, pairs[i], masks, 2, attach, detach))
			break;
	sets_reset(t);
}

/* A link on a part of the functions splits sets; what is left of each stays or goes. */
static void test_split(struct env_sets *t)
{
	static const int detach[2] = { 0, 1 };

	run_pairs(t, detach);
}

/* When that link goes the parts have the same programs again. */
static void test_merge(struct env_sets *t)
{
	static const int detach[2] = { 1, 0 };

	run_pairs(t, detach);
}

static bool check_link_info(struct env_sets *t, int p)
{
	struct slot *slot = &t->slots[p];
	struct bpf_link_info info = {};
	__u64 addrs[SETS_FUNCS] = {}, cookies[SETS_FUNCS] = {};
	__u32 ids[SETS_FUNCS] = {}, len = sizeof(info), last_id = 0;
	int i, f, cnt = __builtin_popcount(slot->mask);
	__u32 seen = 0;
	int fd = bpf_link__fd(slot->link);

	/* counts only */
	if (!ASSERT_OK(bpf_link_get_info_by_fd(fd, &info, &len), "link_info") ||
	    !ASSERT_EQ(info.type, BPF_LINK_TYPE_TRACING_MULTI, "info.type") ||
	    !ASSERT_EQ(info.tracing_multi.attach_type,
		       bpf_program__expected_attach_type(slot->prog), "info.attach_type") ||
	    !ASSERT_EQ(info.tracing_multi.count, cnt, "info.count"))
		return false;

	memset(&info, 0, sizeof(info));
	info.tracing_multi.count = SETS_FUNCS;
	info.tracing_multi.ids = ptr_to_u64(ids);
	info.tracing_multi.addrs = ptr_to_u64(addrs);
	info.tracing_multi.cookies = ptr_to_u64(cookies);
	if (!ASSERT_OK(bpf_link_get_info_by_fd(fd, &info, &len), "link_info") ||
	    !ASSERT_EQ(info.tracing_multi.count, cnt, "info.count"))
		return false;

	for (i = 0; i < cnt; i++) {
		for (f = 0; f < SETS_FUNCS && t->ids[f] != ids[i]; f++)
			;
		if (!ASSERT_LT(f, SETS_FUNCS, "info.ids"))
			return false;
		seen |= 1 << f;
		/* or the patched instruction, where that is not the first one */
		if (!ASSERT_GT(ids[i], last_id, "info.ids sorted") ||
		    !ASSERT_GE(addrs[i], t->addrs[f], "info.addrs") ||
		    !ASSERT_LE(addrs[i], t->addrs[f] + 16, "info.addrs") ||
		    !ASSERT_EQ(cookies[i], slot->cookies[f], "info.cookies"))
			return false;
		last_id = ids[i];
	}
	if (!ASSERT_EQ(seen, slot->mask, "info.ids all"))
		return false;

	/* room for one less */
	if (cnt > 1) {
		memset(&info, 0, sizeof(info));
		memset(ids, 0, sizeof(ids));
		info.tracing_multi.count = cnt - 1;
		info.tracing_multi.ids = ptr_to_u64(ids);
		if (!ASSERT_EQ(bpf_link_get_info_by_fd(fd, &info, &len), -ENOSPC, "ENOSPC") ||
		    !ASSERT_NEQ(ids[cnt - 2], 0, "ENOSPC ids") ||
		    !ASSERT_EQ(ids[cnt - 1], 0, "ENOSPC ids"))
			return false;
	}
	return true;
}

static bool check_all_info(struct env_sets *t)
{
	int p;

	for (p = 0; p < SETS_PROGS; p++) {
		if (is_multi(p) && t->slots[p].link && !check_link_info(t, p))
			return false;
	}
	return true;
}

/* Splits and merges must not show in what a link tells about itself. */
static void test_link_info(struct env_sets *t)
{
	static const int progs[] = {
		SETS_BOTH_1, SETS_ARG_1, SETS_COOKIE_1, SETS_FEXIT_1, SETS_FSESSION_1,
	};
	static const __u32 masks[] = { ALL_FUNCS, 0x0f5, 0x25a, 0x3c1, 0x01f };
	static const int detach[] = { 2, 0, 3, 1, 4 };
	__u64 cookies[SETS_FUNCS];
	int i;

	for (i = 0; i < ARRAY_SIZE(progs); i++) {
		set_default_cookies(progs[i], cookies);
		/* one of them without */
		if (!ASSERT_OK(sets_attach_cookies(t, progs[i], masks[i], i == 1 ? NULL : cookies),
			       descs[progs[i]].name) ||
		    !sets_check(t, "attach") || !check_all_info(t))
			goto out;
	}
	for (i = 0; i < ARRAY_SIZE(progs); i++) {
		if (!detach_and_check(t, progs[detach[i]]) || !check_all_info(t))
			goto out;
	}
out:
	sets_reset(t);
}

/* Each link has its own cookies, whatever its functions share with others. */
static void test_cookies(struct env_sets *t)
{
	static const int progs[] = {
		SETS_BOTH_1, SETS_BOTH_2, SETS_COOKIE_1, SETS_FEXIT_1, SETS_FSESSION_1,
	};
	static const __u32 masks[] = { ALL_FUNCS, 0x0f5, 0x25a, 0x3c1, 0x01f };
	__u64 cookies[ARRAY_SIZE(progs)][SETS_FUNCS];
	int i, f;

	for (i = 0; i < ARRAY_SIZE(progs); i++)
		set_default_cookies(progs[i], cookies[i]);

	/* all different, by function and by link */
	for (i = 0; i < ARRAY_SIZE(progs); i++) {
		if (!ASSERT_OK(sets_attach_cookies(t, progs[i], masks[i], cookies[i]), "attach") ||
		    !sets_check(t, "different"))
			goto out;
	}
	for (i = 0; i < ARRAY_SIZE(progs); i++) {
		if (!detach_and_check(t, progs[i]))
			goto out;
	}

	/* the same at all functions of a link, then no cookies, then zero at some */
	for (f = 0; f < SETS_FUNCS; f++) {
		cookies[0][f] = 0x1111111111111111ULL;
		cookies[1][f] = f % 3 ? ~0ULL - f : 0;
	}
	if (!ASSERT_OK(sets_attach_cookies(t, SETS_BOTH_1, ALL_FUNCS, cookies[0]), "same") ||
	    !sets_check(t, "same") ||
	    !ASSERT_OK(sets_attach_cookies(t, SETS_FEXIT_1, 0x0fe, NULL), "none") ||
	    !sets_check(t, "none") ||
	    !ASSERT_OK(sets_attach_cookies(t, SETS_BOTH_2, 0x3f7, cookies[1]), "some") ||
	    !sets_check(t, "some") ||
	    !detach_and_check(t, SETS_BOTH_1))
		goto out;
	/* the same link anew with other cookies */
	if (!ASSERT_OK(sets_attach_cookies(t, SETS_BOTH_1, ALL_FUNCS, cookies[1]), "anew") ||
	    !sets_check(t, "anew") ||
	    !detach_and_check(t, SETS_BOTH_2))
		goto out;
out:
	sets_reset(t);
}

/*
 * One other program at a function that two fentry.multi links cover too,
 * attached before, between and after them, all detached in each order.
 */
static void test_mixed(struct env_sets *t)
{
	static const int others[] = {
		SETS_ONE_FENTRY, SETS_ONE_FEXIT, SETS_ONE_FMOD_RET, SETS_ONE_FSESSION,
		SETS_FEXIT_1, SETS_FSESSION_1, SETS_SLEEPABLE, SETS_KPROBE,
	};
	static const int attach[][3] = { { 2, 0, 1 }, { 0, 2, 1 }, { 0, 1, 2 } };
	const __u32 masks[3] = { ALL_FUNCS, 0x0f3, 0x0d9 };
	int o, a, d;

	for (o = 0; o < ARRAY_SIZE(others); o++) {
		const int progs[3] = { SETS_ARG_1, SETS_IP_2, others[o] };

		for (a = 0; a < ARRAY_SIZE(attach); a++) {
			for (d = 0; d < ARRAY_SIZE(perms3); d++) {
				if (!run_orders(t, progs, masks, 3, attach[a], perms3[d]))
					goto out;
			}
		}
	}
out:
	sets_reset(t);
}

/* All kinds at once, attached one way and detached in several others. */
static void test_mixed_all(struct env_sets *t)
{
	static const int progs[] = {
		SETS_ARG_1, SETS_ONE_FENTRY, SETS_FEXIT_1, SETS_IP_1, SETS_ONE_FEXIT,
		SETS_COOKIE_1, SETS_ONE_FMOD_RET, SETS_FSESSION_1, SETS_ONE_FENTRY_5,
		SETS_BOTH_1, SETS_ONE_FSESSION, SETS_SLEEPABLE, SETS_KPROBE, SETS_ARG_2,
	};
	static const __u32 masks[] = {
		ALL_FUNCS, 0, 0x0f1, 0x155, 0,
		0x0ff, 0, 0x333, 0,
		0x3e1, 0, 0, 0x011, ALL_FUNCS,
	};
	/* steps through the programs that have no factor in common with 14 */
	static const int strides[] = { 1, 5, 13 };
	const int cnt = ARRAY_SIZE(progs);
	int s, i;

	for (s = 0; s < ARRAY_SIZE(strides); s++) {
		for (i = 0; i < cnt; i++) {
			if (!attach_and_check(t, progs[i], masks[i]))
				goto out;
		}
		for (i = 0; i < cnt; i++) {
			if (!detach_and_check(t, progs[(i + 1) * strides[s] % cnt]))
				goto out;
		}
	}
out:
	sets_reset(t);
}

/* How far a branch gets on arm64 */
#define REACH	(128ULL << 20)

/* Whether something between these addresses does not reach all of the kernel's text */
static bool is_far(__u64 low, __u64 high)
{
	__u64 start = ksym_get_addr("_stext"), end = ksym_get_addr("_etext");

	return (high > end ? high : end) - (low < start ? low : start) >= REACH;
}

static bool sets_are_far(const struct env_sets *t)
{
	struct set_symbols syms;

	return get_set_symbols(t->last_set, &syms) > 0 && is_far(syms.low, syms.high);
}

/* A BPF program is where trampolines are if nothing is done about it. */
static bool progs_are_far(const struct env_sets *t)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	__u64 addr = 0;

	info.jited_ksyms = ptr_to_u64(&addr);
	info.nr_jited_ksyms = 1;
	return ASSERT_OK(bpf_prog_get_info_by_fd(bpf_program__fd(t->slots[SETS_ARG_1].prog),
						 &info, &len), "prog_info") &&
	       ASSERT_NEQ(addr, 0, "address of a program") && is_far(addr, addr);
}

/*
 * A long walk through the states; the same one each time. Returns: how often some
 * image or block of thunks was found to be out of reach, of one in ten steps.
 */
static int test_random(struct env_sets *t, const int *progs, int cnt, int steps, bool far)
{
	int found = 0;
	unsigned int seed = 20260101;
	__u32 mask;
	int i, p;

	for (i = 0; i < steps; i++) {
		p = progs[rand_r(&seed) % cnt];
		mask = rand_r(&seed) % ALL_FUNCS + 1;

		if (t->slots[p].link) {
			if (!detach_and_check(t, p))
				break;
		} else if (is_multi(p) && rand_r(&seed) % 8 == 0) {
			t->bad_cnt = 1;
			if (!ASSERT_EQ(sets_attach(t, p, mask), -EINVAL, "bad id") ||
			    !sets_check(t, "bad id"))
				break;
			t->bad_cnt = 0;
		} else if (!attach_and_check(t, p, mask)) {
			break;
		}
		if (!check_all_info(t))
			break;
		if (far && i % 10 == 9)
			found += sets_are_far(t);
	}
	sets_reset(t);
	return found;
}

static void test_random_fentry(struct env_sets *t)
{
	static const int progs[] = {
		SETS_ARG_1, SETS_ARG_2, SETS_ARG_3, SETS_IP_1, SETS_IP_2, SETS_COOKIE_1,
		SETS_COOKIE_2, SETS_BOTH_1,
	};

	test_random(t, progs, ARRAY_SIZE(progs), 200, false);
}

static int test_random_mixed(struct env_sets *t, bool far)
{
	int progs[SETS_PROGS], p;

	for (p = 0; p < SETS_PROGS; p++)
		progs[p] = p;
	return test_random(t, progs, SETS_PROGS, 200, far);
}

/*
 * On arm64 branches do not reach all memory: with KASLR that of BPF programs is out
 * of reach, and trampolines get other memory. Have that be full for about half of
 * the trampolines and blocks of thunks, so that these are far from the rest. Without
 * KASLR the memory of BPF programs is in reach, and half of them are told that it is
 * not; the other memory may or may not be out of its reach then.
 */
static void test_random_far(struct env_sets *t)
{
	static const char * const settings[][2] = {
		{ DEBUGFS "fail_function/bpf_near_alloc/retval", "0" },
		{ DEBUGFS "fail_function/verbose", "0" },
		{ DEBUGFS "fail_function/times", "-1" },
		{ DEBUGFS "fail_function/probability", "50" },
	};
	int i, found;

	if (write_str(DEBUGFS "fail_function/inject", "bpf_near_alloc")) {
		test__skip();
		return;
	}
	for (i = 0; i < ARRAY_SIZE(settings); i++)
		ASSERT_OK(write_str(settings[i][0], settings[i][1]), settings[i][0]);
	found = test_random_mixed(t, true);
	printf("%d of 20 times something was out of reach\n", found);
	if (progs_are_far(t))
		ASSERT_GT(found, 0, "out of reach");
	write_str(DEBUGFS "fail_function/probability", "0");
	write_str(DEBUGFS "fail_function/inject", "\n");
}

/*
 * Later links run first, also where links of other kinds came between; what
 * sets_check() verifies after each step of each test, for the longest lists.
 */
static void test_program_order(struct env_sets *t)
{
	static const int progs[] = {
		SETS_IP_1, SETS_ONE_FENTRY, SETS_FSESSION_1, SETS_ARG_1, SETS_ONE_FSESSION,
		SETS_COOKIE_1, SETS_IP_2, SETS_FEXIT_1, SETS_ONE_FEXIT, SETS_FEXIT_2,
		SETS_ARG_2, SETS_FSESSION_2,
	};
	const int cnt = ARRAY_SIZE(progs);
	int i;

	for (i = 0; i < cnt; i++) {
		if (!attach_and_check(t, progs[i], ALL_FUNCS))
			goto out;
	}
	/* what comes back is the newest */
	for (i = 0; i < cnt; i++) {
		if (!detach_and_check(t, progs[i]) ||
		    !attach_and_check(t, progs[i], i % 2 ? 0x2af : 0x1d3))
			goto out;
	}
out:
	sets_reset(t);
}

/* A program can be attached to a function once, but any number of times. */
static void test_same_program(struct env_sets *t)
{
	static const __u32 clash[] = { 0x00f, 0x001, 0x3f8, ALL_FUNCS };
	__u64 cookies[SETS_FUNCS];
	struct bpf_link *link;
	int i;

	if (!attach_and_check(t, SETS_IP_1, 0x00f) || !attach_and_check(t, SETS_ARG_1, 0x0fc))
		goto out;

	for (i = 0; i < ARRAY_SIZE(clash); i++) {
		link = attach_multi(t, SETS_IP_1, clash[i], NULL);
		if (!ASSERT_ERR_PTR(link, "same program")) {
			bpf_link__destroy(link);
			goto out;
		}
		if (!ASSERT_EQ(libbpf_get_error(link), -EBUSY, "same program") ||
		    !sets_check(t, "same program"))
			goto out;
	}

	/* other functions are fine, with other cookies and without */
	link = attach_multi(t, SETS_IP_1, 0x0f0, NULL);
	if (!ASSERT_OK_PTR(link, "other functions"))
		goto out;
	set_stamps(t, SETS_IP_1, 0x0f0);
	t->slots[SETS_IP_1].mask = 0x0ff;
	sets_check(t, "other functions");
	ASSERT_OK(bpf_link__destroy(link), "destroy");
	t->slots[SETS_IP_1].mask = 0x00f;
	if (!sets_check(t, "first link remains"))
		goto out;

	set_default_cookies(SETS_BOTH_1, cookies);
	if (!ASSERT_OK(sets_attach_cookies(t, SETS_BOTH_1, 0x00f, cookies), "with cookies") ||
	    !sets_check(t, "with cookies"))
		goto out;
	/* the cookies of the second link: another upper half */
	for (i = 4; i < SETS_FUNCS; i++)
		cookies[i] ^= 0x5500000000000000ULL;
	link = attach_multi(t, SETS_BOTH_1, 0x3f0, cookies);
	if (!ASSERT_OK_PTR(link, "other cookies"))
		goto out;
	set_stamps(t, SETS_BOTH_1, 0x3f0);
	t->slots[SETS_BOTH_1].mask = ALL_FUNCS;
	memcpy(t->slots[SETS_BOTH_1].cookies, cookies, sizeof(cookies));
	sets_check(t, "other cookies");

	/* the first link goes, the second stays */
	ASSERT_OK(bpf_link__destroy(t->slots[SETS_BOTH_1].link), "destroy");
	t->slots[SETS_BOTH_1].link = link;
	t->slots[SETS_BOTH_1].mask = 0x3f0;
	sets_check(t, "second link remains");
out:
	sets_reset(t);
}

/* A skeleton with just one of its programs, for many copies of it. */
static struct tracing_multi_sets *load_one(const char *name)
{
	struct tracing_multi_sets *skel;
	struct bpf_program *prog;

	skel = tracing_multi_sets__open();
	if (!ASSERT_OK_PTR(skel, "tracing_multi_sets__open"))
		return NULL;
	bpf_object__for_each_program(prog, skel->obj)
		bpf_program__set_autoload(prog, !strcmp(bpf_program__name(prog), name));
	if (!ASSERT_OK(tracing_multi_sets__load(skel), "tracing_multi_sets__load")) {
		tracing_multi_sets__destroy(skel);
		return NULL;
	}
	skel->bss->pid = getpid();
	return skel;
}

/* Each copy of arg_1 must have run at each function of its mask, once. */
static bool check_copies(struct env_sets *t, struct tracing_multi_sets **copies,
			 const __u32 *masks, int cnt, const char *step)
{
	__u64 sum;
	int i, f;

	for (i = 0; i < cnt; i++)
		memset(copies[i]->bss->hits, 0, sizeof(copies[i]->bss->hits));
	if (!sets_check(t, step))
		return false;
	for (i = 0; i < cnt; i++) {
		for (sum = 0, f = 0; f < SETS_FUNCS; f++)
			sum += copies[i]->bss->hits[SETS_ARG_1][f];
		if (!ASSERT_EQ(sum, __builtin_popcount(masks[i]), step))
			return false;
	}
	return true;
}

/* A function that is full is left out if it may be. */
static bool attach_without_full(struct env_sets *t, int full)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts, .ids = t->ids, .cnt = SETS_FUNCS, .skip = true);
	struct slot *slot = &t->slots[SETS_IP_1];

	slot->link = bpf_program__attach_tracing_multi(slot->prog, NULL, &opts);
	if (!ASSERT_OK_PTR(slot->link, "skip"))
		return false;
	slot->mask = ALL_FUNCS & ~(1 << full);
	slot->cookies_given = false;
	memset(slot->cookies, 0, sizeof(slot->cookies));
	return ASSERT_EQ(opts.attached, SETS_FUNCS - 1, "attached") &&
	       ASSERT_EQ(opts.skipped, 1, "skipped");
}

/* BPF_MAX_TRAMP_LINKS holds per function, whatever links the programs are of. */
static void test_program_limit(struct env_sets *t)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	struct tracing_multi_sets **copies = NULL;
	__u32 *masks = NULL;
	int i, f, max;

	max = get_bpf_max_tramp_links();
	if (!ASSERT_GT(max, 2, "bpf_max_tramp_links"))
		goto out;
	copies = calloc(max, sizeof(*copies));
	masks = calloc(max, sizeof(*masks));
	if (!ASSERT_OK_PTR(copies, "calloc") || !ASSERT_OK_PTR(masks, "calloc"))
		goto out;

	/* bpf_fentry_test3 gets all of them, the others about half */
	for (i = 0; i < max; i++) {
		__u32 ids[SETS_FUNCS];
		int cnt = 0;

		masks[i] = (i * 0x9d + 0x3b) % ALL_FUNCS | 1 << 2;
		for (f = 0; f < SETS_FUNCS; f++) {
			if (masks[i] & (1 << f))
				ids[cnt++] = t->ids[f];
		}
		copies[i] = load_one("arg_1");
		if (!copies[i])
			goto out;
		opts.ids = ids;
		opts.cnt = cnt;
		copies[i]->links.arg_1 =
			bpf_program__attach_tracing_multi(copies[i]->progs.arg_1, NULL, &opts);
		if (!ASSERT_OK_PTR(copies[i]->links.arg_1, "attach"))
			goto out;
	}
	if (!check_copies(t, copies, masks, max, "full"))
		goto out;

	/* one more is too much: with only that function, and among others */
	if (!ASSERT_EQ(sets_attach(t, SETS_IP_1, 1 << 2), -E2BIG, "one more") ||
	    !check_copies(t, copies, masks, max, "one more") ||
	    !ASSERT_EQ(sets_attach(t, SETS_IP_1, ALL_FUNCS), -E2BIG, "among others") ||
	    !check_copies(t, copies, masks, max, "among others") ||
	    !ASSERT_EQ(sets_attach(t, SETS_FEXIT_1, 0x00f), -E2BIG, "fexit") ||
	    !check_copies(t, copies, masks, max, "fexit") ||
	    !ASSERT_EQ(sets_attach(t, SETS_FSESSION_1, 0x3fc), -E2BIG, "fsession") ||
	    !check_copies(t, copies, masks, max, "fsession"))
		goto out;
	/* the other functions have room */
	if (!attach_and_check(t, SETS_IP_1, ALL_FUNCS & ~(1 << 2)) ||
	    !check_copies(t, copies, masks, max, "beside") ||
	    !detach_and_check(t, SETS_IP_1))
		goto out;
	if (!attach_without_full(t, 2) || !check_copies(t, copies, masks, max, "skip") ||
	    !detach_and_check(t, SETS_IP_1))
		goto out;

	/* a place becomes free: a session takes two, anything else one */
	ASSERT_OK(bpf_link__destroy(copies[1]->links.arg_1), "destroy");
	copies[1]->links.arg_1 = NULL;
	masks[1] = 0;
	if (!check_copies(t, copies, masks, max, "one less") ||
	    !ASSERT_EQ(sets_attach(t, SETS_FSESSION_1, ALL_FUNCS), -E2BIG, "session") ||
	    !check_copies(t, copies, masks, max, "session") ||
	    !attach_and_check(t, SETS_IP_1, ALL_FUNCS) ||
	    !check_copies(t, copies, masks, max, "full again"))
		goto out;
out:
	for (i = 0; copies && i < max; i++)
		tracing_multi_sets__destroy(copies[i]);
	free(copies);
	free(masks);
	sets_reset(t);
}

/* An id between two functions of the kernel that is no function. */
static __u32 find_non_func(struct btf *btf, __u32 from, __u32 to)
{
	const struct btf_type *type;
	__u32 id;

	for (id = from; id < to; id++) {
		type = btf__type_by_id(btf, id);
		if (type && !btf_is_func(type))
			return id;
	}
	return 0;
}

/* A link that fails on one of its ids changes nothing at the others. */
static void test_rollback(struct env_sets *t)
{
	static const char * const denied[] = {
		"migrate_disable", "migrate_enable", "___migrate_enable",
		"__rcu_read_lock", "rcu_read_unlock_strict", "preempt_count_add",
	};
	static const int progs[] = { SETS_ARG_2, SETS_IP_2, SETS_FEXIT_2, SETS_FSESSION_2 };
	static const __u32 masks[] = { ALL_FUNCS, 0x0f3, 0x008 };
	__u32 bad[16], first, last;
	int i, j, k, id, err, cnt = 0;

	/* before all functions and after them, and no type at all */
	bad[cnt++] = 0;
	bad[cnt++] = 1;
	bad[cnt++] = btf__type_cnt(t->btf);
	bad[cnt++] = btf__type_cnt(t->btf) + 1000;
	bad[cnt++] = INT_MAX;
	bad[cnt++] = UINT_MAX;
	/* a type that is not a function, between two that are */
	first = find_func_id(t->btf, "bpf_fentry_test1");
	last = find_func_id(t->btf, "vfs_read");
	if (!ASSERT_GT((int)last, 0, "vfs_read"))
		goto out;
	id = first < last ? find_non_func(t->btf, first, last) : find_non_func(t->btf, last, first);
	if (!ASSERT_GT(id, 0, "find_non_func"))
		goto out;
	bad[cnt++] = id;
	/* functions that no tracing program may be attached to */
	for (i = 0; i < ARRAY_SIZE(denied) && cnt < ARRAY_SIZE(bad); i++) {
		id = find_func_id(t->btf, denied[i]);
		/* some kernels inline one or the other */
		if (id > 0 && ksym_get_addr(denied[i]))
			bad[cnt++] = id;
	}

	/* what must not change */
	if (!attach_and_check(t, SETS_IP_1, 0x15f) ||
	    !attach_and_check(t, SETS_ARG_1, 0x0f3) ||
	    !attach_and_check(t, SETS_COOKIE_1, 0x23c) ||
	    !attach_and_check(t, SETS_ONE_FENTRY_5, 0) ||
	    !attach_and_check(t, SETS_FEXIT_1, 0x018))
		goto out;

	for (i = 0; i < cnt; i++) {
		t->bad_ids[0] = bad[i];
		t->bad_ids[1] = last;
		t->bad_cnt = 2;
		for (j = 0; j < ARRAY_SIZE(progs); j++) {
			for (k = 0; k < ARRAY_SIZE(masks); k++) {
				err = sets_attach(t, progs[j], masks[k]);
				if (!ASSERT_LT(err, 0, "bad id")) {
					printf("id %u of %u\n", bad[i], btf__type_cnt(t->btf));
					goto out;
				}
				if (!sets_check(t, "bad id"))
					goto out;
			}
		}
	}

	/* the same id twice */
	t->bad_ids[0] = t->ids[3];
	t->bad_cnt = 1;
	if (!ASSERT_EQ(sets_attach(t, SETS_IP_2, ALL_FUNCS), -EINVAL, "same id") ||
	    !sets_check(t, "same id"))
		goto out;
	t->bad_cnt = 0;

	/* all of it works without them */
	if (!attach_and_check(t, SETS_IP_2, ALL_FUNCS) ||
	    !detach_and_check(t, SETS_IP_1) ||
	    !detach_and_check(t, SETS_ARG_1) ||
	    !detach_and_check(t, SETS_IP_2))
		goto out;
out:
	sets_reset(t);
}

/* Threads that call all functions, and threads that move links meanwhile. */
#define CALLERS_MAX	4
#define CHURNERS	2

static const int churn_progs[CHURNERS][7] = {
	{ SETS_ARG_1, SETS_IP_1, SETS_COOKIE_1, SETS_BOTH_1, SETS_ONE_FENTRY,
	  SETS_FEXIT_1, SETS_FSESSION_1 },
	{ SETS_ARG_2, SETS_IP_2, SETS_COOKIE_2, SETS_BOTH_2, SETS_ONE_FMOD_RET,
	  SETS_ONE_FENTRY_5, SETS_FSESSION_2 },
};

struct caller {
	pthread_t thread;
	bool started;
	int cpu;
	int prog_fd;
	__u64 runs;
	int err;
};

struct churner {
	pthread_t thread;
	bool started;
	struct env_sets *t;
	const int *progs;
	int cnt;
	unsigned int seed;
	int err;
};

/*
 * A run ends after so many changes. Slow machines give up earlier, very slow ones
 * later, after a few. For the long mode the environment has TRACING_MULTI_CHANGES,
 * the number of changes for each run, which then takes as long as it takes.
 */
#define CHANGES		60
#define CHANGES_MIN	10
#define SECONDS_MAX	10
#define SECONDS_SLOW	60

static bool stop_callers, stop_churners;
static int changes;

static void *caller_fn(void *arg)
{
	struct caller *caller = arg;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(caller->cpu, &cpus);
	/* several on one CPU find out less, but nothing wrong */
	pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);

	while (!__atomic_load_n(&stop_callers, __ATOMIC_RELAXED)) {
		LIBBPF_OPTS(bpf_test_run_opts, topts);

		/* it fails when a function returned anything unexpected */
		caller->err = bpf_prog_test_run_opts(caller->prog_fd, &topts);
		if (caller->err)
			break;
		/* patching waits until each task has slept or run in user space */
		if (++caller->runs % 64 == 0)
			usleep(1);
	}
	return NULL;
}

static void *churner_fn(void *arg)
{
	struct churner *churner = arg;
	struct env_sets *t = churner->t;

	while (!__atomic_load_n(&stop_churners, __ATOMIC_RELAXED)) {
		int p = churner->progs[rand_r(&churner->seed) % churner->cnt];

		/* no two churners have a program in common */
		if (t->slots[p].link)
			churner->err = sets_detach(t, p);
		else
			churner->err = sets_attach(t, p, rand_r(&churner->seed) % ALL_FUNCS + 1);
		if (churner->err)
			break;
		__atomic_fetch_add(&changes, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/*
 * A link that comes while others call and churn sees each call that this
 * thread makes until the link goes, and none later.
 */
#define TRANSIENT_CALLS	5

static bool check_transient(struct env_sets *t, int p)
{
	struct tracing_multi_sets__bss *bss = t->skel->bss;
	int i, fd = bpf_program__fd(t->slots[p].prog);
	__u64 misses, runs, expected;

	bss->tid_hits[p] = 0;
	misses = prog_misses(t->slots[p].prog);
	if (!ASSERT_OK(sets_attach(t, p, 0x2db), "attach"))
		return false;
	expected = TRANSIENT_CALLS * __builtin_popcount(t->slots[p].mask);
	for (i = 0; i < TRANSIENT_CALLS; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, topts);

		if (!ASSERT_OK(bpf_prog_test_run_opts(fd, &topts), "test_run"))
			return false;
	}
	runs = bss->tid_hits[p];
	if (!ASSERT_OK(sets_detach(t, p), "detach"))
		return false;
	misses = prog_misses(t->slots[p].prog) - misses;
	for (i = 0; i < TRANSIENT_CALLS; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, topts);

		if (!ASSERT_OK(bpf_prog_test_run_opts(fd, &topts), "test_run"))
			return false;
	}
	/* misses may be other threads' */
	return ASSERT_LE(runs, expected, "transient runs") &&
	       ASSERT_GE(runs + misses, expected, "transient runs and misses") &&
	       ASSERT_EQ(bss->tid_hits[p], runs, "runs after detach");
}

static int start_callers(struct env_sets *t, struct caller *callers, int prog)
{
	cpu_set_t cpus;
	int i, cpu = 0, cnt = 0;

	if (!ASSERT_OK(sched_getaffinity(0, sizeof(cpus), &cpus), "sched_getaffinity"))
		return -1;
	for (i = 0; i < CALLERS_MAX && i < CPU_COUNT(&cpus); i++, cpu++) {
		while (!CPU_ISSET(cpu, &cpus))
			cpu++;
		callers[i].cpu = cpu;
		callers[i].prog_fd = bpf_program__fd(t->slots[prog].prog);
		if (!ASSERT_OK(pthread_create(&callers[i].thread, NULL, caller_fn, &callers[i]),
			       "pthread_create"))
			return -1;
		callers[i].started = true;
		cnt++;
	}
	return cnt;
}

/* How far the long mode is */
static void show_progress(int wanted)
{
	static time_t last;
	time_t now = time(NULL);

	if (wanted <= CHANGES || now - last < 60)
		return;
	last = now;
	printf("%d of %d changes\n", __atomic_load_n(&changes, __ATOMIC_RELAXED), wanted);
	fflush(stdout);
}

static void check_stable(struct env_sets *t, int p, __u64 misses, __u64 calls)
{
	struct tracing_multi_sets__bss *bss = t->skel->bss;
	__u32 mask = t->slots[p].mask;
	__u64 sum = 0, hits, max;
	char what[64];
	int f;

	for (f = 0; f < SETS_FUNCS; f++) {
		snprintf(what, sizeof(what), "%s at %s", descs[p].name, func_names[f]);
		hits = bss->hits[p][f];
		max = calls * expected_hits(t, p, f);
		ASSERT_LE(hits, max, what);
		ASSERT_GE(hits + misses, max, what);
		sum += hits;
		if (is_session(p)) {
			ASSERT_LE(bss->exits[p][f], max, what);
			ASSERT_GE(bss->exits[p][f] + misses, max, what);
			sum += bss->exits[p][f];
		}
	}
	/* the whole truth: each call is either a run or a miss */
	ASSERT_EQ(sum + misses, calls * __builtin_popcount(mask) * (is_session(p) ? 2 : 1),
		  descs[p].name);
}

/*
 * Programs that stay see each call exactly once while others come and go.
 * That is what is atomic about an attach, a detach, a split, a merge and a
 * move to another kind of trampoline.
 */
static bool run_goes_on(int wanted, __u64 start)
{
	int done = __atomic_load_n(&changes, __ATOMIC_RELAXED);
	__u64 seconds = (get_time_ns() - start) / 1000000000ULL;

	if (wanted > CHANGES)
		return done < wanted;
	return done < wanted && seconds < (done < CHANGES_MIN ? SECONDS_SLOW : SECONDS_MAX);
}

static void run_concurrent(struct env_sets *t, const int *stable, int stable_cnt,
			   const int *churn_cnt, bool transient)
{
	struct caller callers[CALLERS_MAX] = {};
	struct churner churners[CHURNERS] = {};
	int i, err = 0, wanted = env_number("TRACING_MULTI_CHANGES", CHANGES);
	__u64 misses[4], calls = 0, start;

	forget_hits(t);
	t->skel->bss->tid = syscall(SYS_gettid);
	stop_callers = false;
	stop_churners = false;
	changes = 0;

	for (i = 0; i < stable_cnt; i++) {
		misses[i] = prog_misses(t->slots[stable[i]].prog);
		if (!ASSERT_OK(sets_attach(t, stable[i], ALL_FUNCS), descs[stable[i]].name))
			goto out;
	}

	if (start_callers(t, callers, SETS_ARG_4) < 0)
		goto stop;
	for (i = 0; i < CHURNERS; i++) {
		churners[i].t = t;
		churners[i].progs = churn_progs[i];
		churners[i].cnt = churn_cnt[i];
		churners[i].seed = 4711 + i;
		if (!ASSERT_OK(pthread_create(&churners[i].thread, NULL, churner_fn, &churners[i]),
			       "pthread_create"))
			goto stop;
		churners[i].started = true;
	}

	start = get_time_ns();
	while (run_goes_on(wanted, start)) {
		show_progress(wanted);
		if (!transient) {
			usleep(1000);
			continue;
		}
		if (!check_transient(t, SETS_ARG_3) || !check_transient(t, SETS_COOKIE_3))
			break;
		calls += 2 * 2 * TRANSIENT_CALLS;
	}

stop:
	__atomic_store_n(&stop_churners, true, __ATOMIC_RELAXED);
	for (i = 0; i < CHURNERS; i++) {
		if (!churners[i].started)
			continue;
		pthread_join(churners[i].thread, NULL);
		ASSERT_OK(churners[i].err, "attach or detach");
	}
	__atomic_store_n(&stop_callers, true, __ATOMIC_RELAXED);
	for (i = 0; i < CALLERS_MAX; i++) {
		if (!callers[i].started)
			continue;
		pthread_join(callers[i].thread, NULL);
		err |= !ASSERT_OK(callers[i].err, "test_run");
		calls += callers[i].runs;
	}
	if (err)
		goto out;

	ASSERT_GT(calls, 0, "calls");
	ASSERT_GE(changes, CHANGES_MIN, "changes");
	for (i = 0; i < stable_cnt; i++) {
		misses[i] = prog_misses(t->slots[stable[i]].prog) - misses[i];
		check_stable(t, stable[i], misses[i], calls);
		printf("%s: %llu calls, %llu misses, %d changes\n", descs[stable[i]].name,
		       calls, misses[i], changes);
	}
	ASSERT_EQ(t->skel->bss->strays, 0, "strays");
	/*
	 * Whatever the churners left attached works. Nobody knows the order: who has
	 * attached first may be the last to note it.
	 */
	sets_check_runs(t, "after all");
out:
	sets_reset(t);
}

static void test_concurrent_fentry(struct env_sets *t)
{
	static const int stable[] = { SETS_ARG_4, SETS_IP_4, SETS_COOKIE_4 };
	static const int churn_cnt[CHURNERS] = { 4, 4 };

	/* alone, then with other programs that stay beside it */
	run_concurrent(t, stable, 1, churn_cnt, false);
	run_concurrent(t, stable, 3, churn_cnt, false);
}

static void test_concurrent_mixed(struct env_sets *t)
{
	static const int stable[][4] = {
		{ SETS_ARG_4, SETS_IP_4 },
		{ SETS_ARG_4, SETS_ONE_FSESSION },
		{ SETS_IP_4, SETS_ONE_FEXIT, SETS_FEXIT_2 },
	};
	static const int stable_cnt[] = { 2, 2, 3 };
	static const int churn_cnt[CHURNERS] = { 7, 7 };
	int i;

	for (i = 0; i < ARRAY_SIZE(stable); i++)
		run_concurrent(t, stable[i], stable_cnt[i], churn_cnt, false);
}

/* a program that is attached and detached while others run and churn */
static void test_concurrent_transient(struct env_sets *t)
{
	static const int stable[] = { SETS_ARG_4 };
	static const int churn_cnt[CHURNERS] = { 7, 7 };

	run_concurrent(t, stable, 1, churn_cnt, true);
}

void serial_test_tracing_multi_sets(void)
{
	struct env_sets t;

#if !defined(__x86_64__) && !defined(__aarch64__)
	test__skip();
	return;
#endif

	if (sets_open(&t))
		return;

	if (test__start_subtest("split"))
		test_split(&t);
	if (test__start_subtest("merge"))
		test_merge(&t);
	if (test__start_subtest("program_order"))
		test_program_order(&t);
	if (test__start_subtest("mixed"))
		test_mixed(&t);
	if (test__start_subtest("mixed_all"))
		test_mixed_all(&t);
	if (test__start_subtest("random_fentry"))
		test_random_fentry(&t);
	if (test__start_subtest("random_mixed"))
		test_random_mixed(&t, false);
	if (test__start_subtest("random_far"))
		test_random_far(&t);
	if (test__start_subtest("concurrent_fentry"))
		test_concurrent_fentry(&t);
	if (test__start_subtest("concurrent_mixed"))
		test_concurrent_mixed(&t);
	if (test__start_subtest("concurrent_transient"))
		test_concurrent_transient(&t);
	if (test__start_subtest("cookies"))
		test_cookies(&t);
	if (test__start_subtest("link_info"))
		test_link_info(&t);
	if (test__start_subtest("same_program"))
		test_same_program(&t);
	if (test__start_subtest("program_limit"))
		test_program_limit(&t);
	if (test__start_subtest("rollback"))
		test_rollback(&t);

	sets_close(&t);
}
