/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __TRACING_MULTI_SETS_ENV_H
#define __TRACING_MULTI_SETS_ENV_H

/*
 * Programs of all kinds on a few functions, and what each of them must have seen
 * when these have been called once: tests of tracing_multi links that cover the
 * same functions attach and detach, and check after each step. To be included
 * after tracing_multi_sets.skel.h.
 */
#include <test_progs.h>
#include <bpf/btf.h>
#include "bpf/libbpf_internal.h"
#include "trace_helpers.h"
#include "../progs/tracing_multi_sets.h"
#include "tracing_multi_helpers.h"

#define ALL_FUNCS	((1U << SETS_FUNCS) - 1)
/* a bad id takes the place of the last function */
#define ATTACH_IDS_MAX	(SETS_FUNCS + 4)

enum kind {
	FENTRY_MULTI,
	FEXIT_MULTI,
	FSESSION_MULTI,
	FENTRY,
	FEXIT,
	FMOD_RET,
	FSESSION,
	KPROBE_MULTI,
};

static const struct prog_desc {
	const char *name;
	enum kind kind;
	/* the only functions it can be attached to; 0 when there is no limit */
	__u32 only;
	/* counts bpf_fentry_test7 and later as one, see SETS_BY_ARG */
	bool by_arg;
	/* needs the cookies that set_default_cookies() makes */
	bool by_cookie;
	/* records the cookie */
	bool has_cookie;
} descs[SETS_PROGS] = {
	[SETS_ARG_1] = { "arg_1", FENTRY_MULTI, .by_arg = true },
	[SETS_ARG_2] = { "arg_2", FENTRY_MULTI, .by_arg = true },
	[SETS_ARG_3] = { "arg_3", FENTRY_MULTI, .by_arg = true },
	[SETS_ARG_4] = { "arg_4", FENTRY_MULTI, .by_arg = true },
	[SETS_IP_1] = { "ip_1", FENTRY_MULTI },
	[SETS_IP_2] = { "ip_2", FENTRY_MULTI },
	[SETS_IP_3] = { "ip_3", FENTRY_MULTI },
	[SETS_IP_4] = { "ip_4", FENTRY_MULTI },
	[SETS_COOKIE_1] = { "cookie_1", FENTRY_MULTI, .by_cookie = true, .has_cookie = true },
	[SETS_COOKIE_2] = { "cookie_2", FENTRY_MULTI, .by_cookie = true, .has_cookie = true },
	[SETS_COOKIE_3] = { "cookie_3", FENTRY_MULTI, .by_cookie = true, .has_cookie = true },
	[SETS_COOKIE_4] = { "cookie_4", FENTRY_MULTI, .by_cookie = true, .has_cookie = true },
	[SETS_BOTH_1] = { "both_1", FENTRY_MULTI, .has_cookie = true },
	[SETS_BOTH_2] = { "both_2", FENTRY_MULTI, .has_cookie = true },
	[SETS_FEXIT_1] = { "fexit_1", FEXIT_MULTI, .has_cookie = true },
	[SETS_FEXIT_2] = { "fexit_2", FEXIT_MULTI, .has_cookie = true },
	[SETS_FSESSION_1] = { "fsession_1", FSESSION_MULTI, .has_cookie = true },
	[SETS_FSESSION_2] = { "fsession_2", FSESSION_MULTI, .has_cookie = true },
	[SETS_SLEEPABLE] = { "sleepable", FENTRY_MULTI, 1 << 0, .has_cookie = true },
	[SETS_ONE_FENTRY] = { "one_fentry", FENTRY, 1 << 0 },
	[SETS_ONE_FENTRY_5] = { "one_fentry_5", FENTRY, 1 << 4 },
	[SETS_ONE_FEXIT] = { "one_fexit", FEXIT, 1 << 0 },
	[SETS_ONE_FMOD_RET] = { "one_fmod_ret", FMOD_RET, 1 << 0 },
	[SETS_ONE_FSESSION] = { "one_fsession", FSESSION, 1 << 0 },
	[SETS_KPROBE] = { "kprobe", KPROBE_MULTI },
};

static const char * const func_names[SETS_FUNCS] = {
	"bpf_fentry_test1",
	"bpf_fentry_test2",
	"bpf_fentry_test3",
	"bpf_fentry_test4",
	"bpf_fentry_test5",
	"bpf_fentry_test6",
	"bpf_fentry_test7",
	"bpf_fentry_test8",
	"bpf_fentry_test9",
	"bpf_fentry_test10",
};

/* what bpf_prog_test_run_tracing() expects of them */
static const int func_rets[SETS_FUNCS] = { 2, 5, 15, 34, 65, 111, 0, 0, 0, 0 };

/* One program of the skeleton and the link it has now, if any. */
struct slot {
	struct bpf_program *prog;
	struct bpf_link *link;
	__u32 mask;
	__u64 cookies[SETS_FUNCS];
	bool cookies_given;
	/* when it was attached to a function: grows with each attach */
	int stamps[SETS_FUNCS];
};

struct env_sets {
	struct tracing_multi_sets *skel;
	struct btf *btf;
	__u32 ids[SETS_FUNCS];
	__u64 addrs[SETS_FUNCS];
	struct slot slots[SETS_PROGS];
	int stamp;
	/* the newest set before the test, see sets_are_gone() */
	unsigned int last_set;
	/* more ids for the next attach to fail on */
	__u32 bad_ids[2];
	int bad_cnt;
};

#define DEBUGFS		"/sys/kernel/debug/"

static inline bool is_multi(int p)
{
	return descs[p].kind <= FSESSION_MULTI;
}

static inline bool is_session(int p)
{
	return descs[p].kind == FSESSION || descs[p].kind == FSESSION_MULTI;
}

static inline int find_func_id(struct btf *btf, const char *name)
{
	return btf__find_by_name_kind(btf, name, BTF_KIND_FUNC);
}

static inline void sets_close(struct env_sets *t)
{
	int p;

	for (p = 0; p < SETS_PROGS; p++)
		bpf_link__destroy(t->slots[p].link);
	tracing_multi_sets__destroy(t->skel);
	btf__free(t->btf);
	memset(t, 0, sizeof(*t));
}

/* Nothing attached, whatever the last subtest came to. */
static inline void sets_reset(struct env_sets *t)
{
	int p;

	for (p = 0; p < SETS_PROGS; p++) {
		bpf_link__destroy(t->slots[p].link);
		t->slots[p].link = NULL;
		t->slots[p].mask = 0;
	}
	t->bad_cnt = 0;
	t->skel->bss->tid = 0;
	t->skel->bss->strays = 0;
}

static inline int sets_open(struct env_sets *t)
{
	char left[512];
	int i, id;

	memset(t, 0, sizeof(*t));

	if (!ASSERT_OK(load_kallsyms(), "load_kallsyms") ||
	    count_set_symbols(0, left, &t->last_set) < 0)
		return -1;
	t->btf = btf__load_vmlinux_btf();
	if (!ASSERT_OK_PTR(t->btf, "btf__load_vmlinux_btf"))
		return -1;
	t->skel = tracing_multi_sets__open_and_load();
	if (!ASSERT_OK_PTR(t->skel, "tracing_multi_sets__open_and_load"))
		goto error;
	t->skel->bss->pid = getpid();

	for (i = 0; i < SETS_FUNCS; i++) {
		id = find_func_id(t->btf, func_names[i]);
		if (!ASSERT_GT(id, 0, func_names[i]))
			goto error;
		t->ids[i] = id;
		t->addrs[i] = ksym_get_addr(func_names[i]);
		if (!ASSERT_NEQ(t->addrs[i], 0, func_names[i]))
			goto error;
		t->skel->bss->func_ips[i] = t->addrs[i];
	}

	for (i = 0; i < SETS_PROGS; i++) {
		t->slots[i].prog = bpf_object__find_program_by_name(t->skel->obj, descs[i].name);
		if (!t->slots[i].prog) {
			PRINT_FAIL("no program %s\n", descs[i].name);
			goto error;
		}
	}
	return 0;

error:
	sets_close(t);
	return -1;
}

static inline void set_default_cookies(int p, __u64 *cookies)
{
	int f;

	for (f = 0; f < SETS_FUNCS; f++)
		cookies[f] = ((__u64)(p + 1) << 32) | (0xabcU << 8) | f;
}

static inline struct bpf_link *attach_kprobe(struct env_sets *t, int p, __u32 mask)
{
	LIBBPF_OPTS(bpf_kprobe_multi_opts, opts);
	const char *syms[SETS_FUNCS];
	int f, cnt = 0;

	for (f = 0; f < SETS_FUNCS; f++) {
		if (mask & (1 << f))
			syms[cnt++] = func_names[f];
	}
	opts.syms = syms;
	opts.cnt = cnt;
	return bpf_program__attach_kprobe_multi_opts(t->slots[p].prog, NULL, &opts);
}

static inline struct bpf_link *attach_multi(struct env_sets *t, int p, __u32 mask,
					    const __u64 *cookies)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	__u64 link_cookies[ATTACH_IDS_MAX] = {};
	__u32 ids[ATTACH_IDS_MAX];
	int f, cnt = 0;

	/* in descending order, as the kernel must not depend on it */
	for (f = SETS_FUNCS - 1; f >= 0; f--) {
		if (!(mask & (1 << f)))
			continue;
		link_cookies[cnt] = cookies ? cookies[f] : 0;
		ids[cnt++] = t->ids[f];
	}
	for (f = 0; f < t->bad_cnt; f++)
		ids[cnt++] = t->bad_ids[f];

	opts.ids = ids;
	opts.cnt = cnt;
	if (cookies)
		opts.cookies = link_cookies;
	return bpf_program__attach_tracing_multi(t->slots[p].prog, NULL, &opts);
}

static inline void set_stamps(struct env_sets *t, int p, __u32 mask)
{
	int f;

	t->stamp++;
	for (f = 0; f < SETS_FUNCS; f++) {
		if (mask & (1 << f))
			t->slots[p].stamps[f] = t->stamp;
	}
}

/* Attach program p to the functions in mask; 0 or what the kernel said. */
static inline int sets_attach_cookies(struct env_sets *t, int p, __u32 mask,
				      const __u64 *cookies)
{
	__u64 default_cookies[SETS_FUNCS];
	struct slot *slot = &t->slots[p];
	struct bpf_link *link;

	if (descs[p].only)
		mask = descs[p].only;
	if (!cookies && descs[p].by_cookie) {
		set_default_cookies(p, default_cookies);
		cookies = default_cookies;
	}

	if (is_multi(p))
		link = attach_multi(t, p, mask, cookies);
	else if (descs[p].kind == KPROBE_MULTI)
		link = attach_kprobe(t, p, mask);
	else
		link = bpf_program__attach(slot->prog);
	if (!link)
		return -errno;

	slot->link = link;
	slot->mask = mask;
	slot->cookies_given = !!cookies;
	memset(slot->cookies, 0, sizeof(slot->cookies));
	if (cookies)
		memcpy(slot->cookies, cookies, sizeof(slot->cookies));
	set_stamps(t, p, mask);
	return 0;
}

static inline int sets_attach(struct env_sets *t, int p, __u32 mask)
{
	return sets_attach_cookies(t, p, mask, NULL);
}

static inline int sets_detach(struct env_sets *t, int p)
{
	int err;

	err = bpf_link__destroy(t->slots[p].link);
	t->slots[p].link = NULL;
	t->slots[p].mask = 0;
	return err;
}

static inline __u64 expected_hits(struct env_sets *t, int p, int f)
{
	__u32 mask = t->slots[p].mask;

	if (descs[p].by_arg && f == SETS_BY_ARG)
		return __builtin_popcount(mask >> SETS_BY_ARG);
	if (descs[p].by_arg && f > SETS_BY_ARG)
		return 0;
	return !!(mask & (1 << f));
}

/*
 * Wait until nothing is left of the sets that came with the test: links that are
 * closed give back all that they had. What the links of earlier tests had may be
 * in use for longer, by tasks that sleep where those were attached.
 */
static inline bool sets_are_gone(struct env_sets *t)
{
	unsigned int newest;
	char left[512] = "";
	int tries, cnt = 0;

	for (tries = 0; tries < 300; tries++) {
		cnt = count_set_symbols(t->last_set, left, &newest);
		if (!cnt)
			return true;
		usleep(100000);
	}
	return ASSERT_EQ(cnt, 0, left);
}

/* ASSERT_EQ() only for what differs: each step compares a thousand numbers. */
static inline bool check_val(__u64 actual, __u64 expected, const char *step, int p, int f)
{
	char what[128];

	if (actual == expected)
		return true;
	snprintf(what, sizeof(what), "%s: %s at %s", step, descs[p].name, func_names[f]);
	return ASSERT_EQ(actual, expected, what);
}

static inline bool check_hits(struct env_sets *t, const char *step)
{
	struct tracing_multi_sets__bss *bss = t->skel->bss;
	__u64 expected;
	int p, f;

	for (p = 0; p < SETS_PROGS; p++) {
		for (f = 0; f < SETS_FUNCS; f++) {
			expected = expected_hits(t, p, f);
			if (!check_val(bss->hits[p][f], expected, step, p, f))
				return false;
			if (is_session(p) && !check_val(bss->exits[p][f], expected, step, p, f))
				return false;
			if (!expected)
				continue;
			if (descs[p].has_cookie &&
			    !check_val(bss->cookies[p][f], t->slots[p].cookies[f], step, p, f))
				return false;
			if ((descs[p].kind == FEXIT || descs[p].kind == FEXIT_MULTI) &&
			    !check_val(bss->rets[p][f], func_rets[f], step, p, f))
				return false;
		}
	}
	return ASSERT_EQ(bss->strays, 0, step);
}

/*
 * When program p ran at function f, in the list of programs that run before
 * the function or, with exits set, in the list of those that run after it.
 */
static inline __u64 run_order(struct env_sets *t, int p, int f, bool exits)
{
	struct tracing_multi_sets__bss *bss = t->skel->bss;

	if (!(t->slots[p].mask & (1 << f)))
		return 0;
	if (descs[p].by_arg && f >= SETS_BY_ARG)
		return 0;

	switch (descs[p].kind) {
	case FENTRY:
	case FENTRY_MULTI:
		return exits ? 0 : bss->order[p][f];
	case FSESSION:
	case FSESSION_MULTI:
		return exits ? bss->exit_order[p][f] : bss->order[p][f];
	case FEXIT:
	case FEXIT_MULTI:
		return exits ? bss->order[p][f] : 0;
	default:
		return 0;
	}
}

/* Of two programs the one attached later runs first. */
static inline bool check_order(struct env_sets *t, const char *step, bool exits)
{
	__u64 orders[SETS_PROGS];
	char what[128];
	int p, q, f;

	for (f = 0; f < SETS_FUNCS; f++) {
		for (p = 0; p < SETS_PROGS; p++) {
			orders[p] = run_order(t, p, f, exits);
			for (q = 0; orders[p] && q < p; q++) {
				bool p_first = orders[p] < orders[q];
				bool p_newer = t->slots[p].stamps[f] > t->slots[q].stamps[f];

				if (!orders[q] || p_first == p_newer)
					continue;
				snprintf(what, sizeof(what), "%s: %s and %s at %s%s", step,
					 descs[q].name, descs[p].name, func_names[f],
					 exits ? " after it" : "");
				PRINT_FAIL("order of %s\n", what);
				return false;
			}
		}
	}
	return true;
}

static inline void forget_hits(struct env_sets *t)
{
	struct tracing_multi_sets__bss *bss = t->skel->bss;

	memset(bss->hits, 0, sizeof(bss->hits));
	memset(bss->exits, 0, sizeof(bss->exits));
	memset(bss->order, 0, sizeof(bss->order));
	memset(bss->exit_order, 0, sizeof(bss->exit_order));
	memset(bss->cookies, 0, sizeof(bss->cookies));
	bss->strays = 0;
	bss->seq = 0;
}

/* Call each function once: each program must run where it is attached. */
static inline bool sets_check_runs(struct env_sets *t, const char *step)
{
	LIBBPF_OPTS(bpf_test_run_opts, topts);

	forget_hits(t);
	return ASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(t->slots[0].prog), &topts),
			 "test_run") && check_hits(t, step);
}

/* And in the order of their attachment. */
static inline bool sets_check(struct env_sets *t, const char *step)
{
	return sets_check_runs(t, step) && check_order(t, step, false) &&
	       check_order(t, step, true);
}

#endif /* __TRACING_MULTI_SETS_ENV_H */
