// SPDX-License-Identifier: GPL-2.0
/*
 * Links that cover many functions: trampolines that they share, addresses and
 * cookies in shared code, and ids that mean the same function.
 */
#include <test_progs.h>
#include <bpf/btf.h>
#include "bpf/libbpf_internal.h"
#include "trace_helpers.h"
#include "tracing_multi_shared.skel.h"
#include "tracing_multi_helpers.h"

/* bpf_fentry_test1 to bpf_fentry_test10, which bpf_prog_test_run() calls */
#define FUNCS		10
#define MANY_MAX	512
#define SITE_LEN	16

/* A function that can be traced and whose name the kernel and BTF have. */
struct traceable {
	const char *name;
	__u32 id;
	__u64 addr;
	/* symbols of that name */
	int syms;
};

struct traceables {
	struct ksyms *ksyms;
	struct btf *btf;
	struct traceable *funcs;
	size_t cnt;
};

static int cmp_str(const void *a, const void *b)
{
	return strcmp(*(const char **)a, *(const char **)b);
}

static int cmp_ksym(const void *a, const void *b)
{
	return strcmp(((const struct ksym *)a)->name, ((const struct ksym *)b)->name);
}

static int cmp_name(const void *a, const void *b)
{
	return strcmp(((const struct traceable *)a)->name, ((const struct traceable *)b)->name);
}

static int cmp_traceable(const void *a, const void *b)
{
	const struct traceable *fa = a, *fb = b;

	return cmp_name(a, b) ?: (fa->id > fb->id) - (fa->id < fb->id);
}

static void traceables_close(struct traceables *tr)
{
	free(tr->funcs);
	btf__free(tr->btf);
	free_kallsyms_local(tr->ksyms);
	memset(tr, 0, sizeof(*tr));
}

/* All of them, sorted by name and id. */
static int traceables_open(struct traceables *tr)
{
	const struct btf_type *type;
	struct ksym key, *sym, *end;
	struct traceable *func;
	const char *name;
	size_t cap = 0;
	__u32 id;

	memset(tr, 0, sizeof(*tr));
	tr->btf = btf__load_vmlinux_btf();
	if (!ASSERT_OK_PTR(tr->btf, "btf__load_vmlinux_btf"))
		return -1;
	if (!ASSERT_OK(bpf_get_ksyms(&tr->ksyms, true), "bpf_get_ksyms"))
		goto error;
	qsort(tr->ksyms->filtered_syms, tr->ksyms->filtered_cnt, sizeof(char *), cmp_str);
	qsort(tr->ksyms->syms, tr->ksyms->sym_cnt, sizeof(struct ksym), cmp_ksym);
	end = tr->ksyms->syms + tr->ksyms->sym_cnt;

	for (id = 1; id < btf__type_cnt(tr->btf); id++) {
		type = btf__type_by_id(tr->btf, id);
		if (!btf_is_func(type) || !btf_type_is_traceable_func(tr->btf, type))
			continue;
		name = btf__name_by_offset(tr->btf, type->name_off);
		if (!bsearch(&name, tr->ksyms->filtered_syms, tr->ksyms->filtered_cnt,
			     sizeof(char *), cmp_str))
			continue;
		key.name = (char *)name;
		sym = bsearch(&key, tr->ksyms->syms, tr->ksyms->sym_cnt, sizeof(*sym), cmp_ksym);
		if (!sym)
			continue;
		while (sym > tr->ksyms->syms && !cmp_ksym(sym - 1, &key))
			sym--;
		if (libbpf_ensure_mem((void **)&tr->funcs, &cap, sizeof(*tr->funcs), tr->cnt + 1)) {
			PRINT_FAIL("no memory\n");
			goto error;
		}
		func = &tr->funcs[tr->cnt++];
		func->name = name;
		func->id = id;
		func->addr = sym->addr;
		func->syms = 0;
		for (; sym < end && !cmp_ksym(sym, &key); sym++)
			func->syms++;
	}
	qsort(tr->funcs, tr->cnt, sizeof(*tr->funcs), cmp_traceable);
	return 0;

error:
	traceables_close(tr);
	return -1;
}

/* The name tells exactly one function. */
static bool is_unique(const struct traceables *tr, size_t i)
{
	const struct traceable *func = &tr->funcs[i];

	return func->syms == 1 &&
	       (i == 0 || strcmp(func[-1].name, func->name)) &&
	       (i + 1 == tr->cnt || strcmp(func[1].name, func->name));
}

/* What all subtests need. */
struct shared_env {
	struct tracing_multi_shared *skel;
	struct traceables tr;
	/* the functions that are called a known number of times */
	char names[FUNCS][32];
	__u32 ids[FUNCS];
	__u64 addrs[FUNCS];
};

static void shared_close(struct shared_env *t)
{
	tracing_multi_shared__destroy(t->skel);
	traceables_close(&t->tr);
}

static int shared_open(struct shared_env *t)
{
	const struct traceable *func;
	struct traceable key;
	int i;

	memset(t, 0, sizeof(*t));
	if (traceables_open(&t->tr))
		return -1;
	t->skel = tracing_multi_shared__open_and_load();
	if (!ASSERT_OK_PTR(t->skel, "tracing_multi_shared__open_and_load"))
		goto error;
	t->skel->bss->pid = getpid();

	for (i = 0; i < FUNCS; i++) {
		snprintf(t->names[i], sizeof(t->names[i]), "bpf_fentry_test%d", i + 1);
		key.name = t->names[i];
		func = bsearch(&key, t->tr.funcs, t->tr.cnt, sizeof(key), cmp_name);
		if (!ASSERT_OK_PTR(func, t->names[i]))
			goto error;
		t->ids[i] = func->id;
		t->addrs[i] = func->addr;
		t->skel->bss->site_ips[i] = func->addr;
	}
	return 0;

error:
	shared_close(t);
	return -1;
}

static struct bpf_link *attach_ids(struct bpf_program *prog, const __u32 *ids, int cnt,
				   const __u64 *cookies)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);

	opts.ids = ids;
	opts.cnt = cnt;
	opts.cookies = cookies;
	return bpf_program__attach_tracing_multi(prog, NULL, &opts);
}

/* Call each function so many times. */
static bool call_funcs(struct shared_env *t, int calls)
{
	int i, fd = bpf_program__fd(t->skel->progs.count_1);

	for (i = 0; i < calls; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, topts);

		if (!ASSERT_OK(bpf_prog_test_run_opts(fd, &topts), "test_run"))
			return false;
	}
	return true;
}

/* count_1 and count_2 must be attached to so many of the functions. */
static bool check_counts(struct shared_env *t, int cnt_1, int cnt_2, const char *step)
{
	memset(t->skel->bss->hits, 0, sizeof(t->skel->bss->hits));
	return call_funcs(t, 1) &&
	       ASSERT_EQ(t->skel->bss->hits[0], cnt_1, step) &&
	       ASSERT_EQ(t->skel->bss->hits[1], cnt_2, step);
}

/*
 * A sample of the kernel's functions, spread over all of them; first those
 * that are called a known number of times.
 */
static int pick_many(struct shared_env *t, __u32 *ids, __u64 *addrs, int max)
{
	size_t i, step = t->tr.cnt / (max - FUNCS) + 1;
	const struct traceable *func;
	int cnt;

	for (cnt = 0; cnt < FUNCS; cnt++) {
		ids[cnt] = t->ids[cnt];
		addrs[cnt] = t->addrs[cnt];
	}
	for (i = 0; i < t->tr.cnt && cnt < max; i += step) {
		func = &t->tr.funcs[i];
		if (!is_unique(&t->tr, i) || str_has_pfx(func->name, "bpf_fentry_test"))
			continue;
		ids[cnt] = func->id;
		addrs[cnt++] = func->addr;
	}
	return cnt;
}

/* Call the functions so many times, and whatever else a process does call. */
static bool run_many(struct shared_env *t, struct bpf_program *prog, int link, int calls)
{
	struct tracing_multi_shared__bss *bss = t->skel->bss;
	__u64 misses = prog_misses(prog);
	int i;

	memset(bss->many_hits, 0, sizeof(bss->many_hits));
	if (!call_funcs(t, calls))
		return false;
	kern_sync_rcu();
	ASSERT_OK(system("cat /proc/self/maps >/dev/null"), "system");
	usleep(10000);

	/* misses may be those of any function */
	misses = prog_misses(prog) - misses;
	for (i = 0; i < FUNCS; i++) {
		if (!ASSERT_LE(bss->many_hits[link][i], calls, t->names[i]) ||
		    !ASSERT_GE(bss->many_hits[link][i] + misses, calls, t->names[i]))
			return false;
	}
	return ASSERT_EQ(bss->many_strays, 0, "address and cookie agree");
}

/* bpf_get_func_ip() and the cookie at hundreds of functions, in any context. */
static void test_many_functions(struct shared_env *t)
{
	struct bpf_program *many_1 = t->skel->progs.many_1, *many_2 = t->skel->progs.many_2;
	struct bpf_link *link_1 = NULL, *link_2 = NULL, *single = NULL;
	__u64 cookies[MANY_MAX], half_cookies[MANY_MAX];
	__u32 ids[MANY_MAX], half_ids[MANY_MAX];
	int i, cnt, half = 0, called = 0;

	cnt = pick_many(t, ids, t->skel->bss->many_ips, MANY_MAX);
	if (!ASSERT_GT(cnt, MANY_MAX / 2, "pick_many"))
		return;
	for (i = 0; i < cnt; i++) {
		cookies[i] = i;
		if (i < FUNCS || i % 2) {
			half_ids[half] = ids[i];
			half_cookies[half++] = i;
		}
	}

	link_1 = attach_ids(many_1, ids, cnt, cookies);
	if (!ASSERT_OK_PTR(link_1, "attach all") || !run_many(t, many_1, 0, 3))
		goto out;
	for (i = FUNCS; i < cnt; i++)
		called += !!t->skel->bss->many_hits[0][i];
	printf("%d functions, %d of them called\n", cnt, called + FUNCS);
	ASSERT_GT(called, 0, "functions called");

	link_2 = attach_ids(many_2, half_ids, half, half_cookies);
	if (!ASSERT_OK_PTR(link_2, "attach half") ||
	    !run_many(t, many_1, 0, 3) || !run_many(t, many_2, 1, 3))
		goto out;

	/* a single program may take a function out of what it shares */
	single = bpf_program__attach(t->skel->progs.single);
	if (!ASSERT_OK_PTR(single, "attach single") ||
	    !run_many(t, many_1, 0, 2) || !run_many(t, many_2, 1, 2))
		goto out;
	ASSERT_OK(bpf_link__destroy(single), "destroy");
	single = NULL;
	if (!run_many(t, many_1, 0, 2) || !run_many(t, many_2, 1, 2))
		goto out;

	ASSERT_OK(bpf_link__destroy(link_1), "destroy");
	link_1 = NULL;
	run_many(t, many_2, 1, 3);
out:
	bpf_link__destroy(single);
	bpf_link__destroy(link_1);
	bpf_link__destroy(link_2);
}

static int count_symbols(const char *prefix)
{
	char buf[512], name[256], type;
	unsigned long long addr;
	int cnt = 0;
	FILE *f;

	f = fopen("/proc/kallsyms", "r");
	if (!f) {
		PRINT_FAIL("no kallsyms\n");
		return -1;
	}
	while (fgets(buf, sizeof(buf), f)) {
		if (sscanf(buf, "%llx %c %255s", &addr, &type, name) == 3 &&
		    !strncmp(name, prefix, strlen(prefix)))
			cnt++;
	}
	fclose(f);
	return cnt;
}

static int count_trampolines(void)
{
	return count_symbols("bpf_trampoline_");
}

/* Images are freed after RCU grace periods; wait until at most so many are left. */
static int poll_trampolines(int max)
{
	int i, cnt;

	for (i = 0; i < 50; i++) {
		cnt = count_trampolines();
		if (cnt <= max)
			break;
		usleep(100000);
	}
	return cnt;
}

/* Wait for those that earlier tests left behind. */
static int settle_trampolines(void)
{
	int i, same = 0, cnt = -1, last;

	for (i = 0; i < 50 && same < 5; i++) {
		last = cnt;
		cnt = count_trampolines();
		same = cnt == last ? same + 1 : 0;
		usleep(100000);
	}
	return cnt;
}

/* The code that the functions begin with, and in it the branch to a trampoline. */
static bool read_sites(struct shared_env *t, __u8 sites[FUNCS][SITE_LEN])
{
	LIBBPF_OPTS(bpf_test_run_opts, topts);
	int fd = bpf_program__fd(t->skel->progs.read_sites);

	if (!ASSERT_OK(bpf_prog_test_run_opts(fd, &topts), "read_sites") ||
	    !ASSERT_EQ(topts.retval, 0, "read_sites"))
		return false;
	memcpy(sites, t->skel->bss->sites, sizeof(t->skel->bss->sites));
	return true;
}

/* cnt of the functions must begin with other code than before. */
static bool check_sites(struct shared_env *t, __u8 before[FUNCS][SITE_LEN], int cnt,
			const char *step)
{
	__u8 now[FUNCS][SITE_LEN];
	int i, changed = 0;

	/* what a link leaves is tidied up after close() has returned */
	settle_trampolines();
	if (!read_sites(t, now))
		return false;
	for (i = 0; i < FUNCS; i++)
		changed += !!memcmp(now[i], before[i], SITE_LEN);
	return ASSERT_EQ(changed, cnt, step);
}

/* Few trampolines for many functions. */
static void test_shared_bodies(struct shared_env *t)
{
	struct bpf_link *link_1 = NULL, *link_2 = NULL;
	__u64 addrs[MANY_MAX];
	__u32 ids[MANY_MAX];
	int cnt, before, now, thunks;

	cnt = pick_many(t, ids, addrs, MANY_MAX);
	if (!ASSERT_GT(cnt, MANY_MAX / 2, "pick_many"))
		return;
	before = settle_trampolines();

	/* ten functions with one to six arguments */
	link_1 = attach_ids(t->skel->progs.count_1, t->ids, FUNCS, NULL);
	if (!ASSERT_OK_PTR(link_1, "attach") || !check_counts(t, FUNCS, 0, "one link"))
		goto out;
	now = count_trampolines();
	printf("%d functions: %d trampolines\n", FUNCS, now - before);
	ASSERT_GT(now - before, 0, "trampolines");
	ASSERT_LE(now - before, 8, "trampolines");

	link_2 = attach_ids(t->skel->progs.count_2, t->ids, FUNCS, NULL);
	if (!ASSERT_OK_PTR(link_2, "attach") || !check_counts(t, FUNCS, FUNCS, "two links"))
		goto out;
	now = poll_trampolines(before + 16);
	printf("%d functions, two links: %d trampolines\n", FUNCS, now - before);
	ASSERT_LE(now - before, 16, "trampolines of two links");

	ASSERT_OK(bpf_link__destroy(link_1), "destroy");
	link_1 = NULL;
	ASSERT_OK(bpf_link__destroy(link_2), "destroy");
	link_2 = NULL;
	if (!check_counts(t, 0, 0, "no link"))
		goto out;
	ASSERT_LE(poll_trampolines(before), before, "trampolines after all");

	/* the trampoline calls them: a block of thunks a trampoline, not one a function */
	thunks = count_symbols("bpf_thunks_");
	link_1 = attach_ids(t->skel->progs.empty_exit, t->ids, FUNCS, NULL);
	if (!ASSERT_OK_PTR(link_1, "attach fexit"))
		goto out;
	now = count_trampolines() - before;
	printf("%d functions, fexit: %d trampolines\n", FUNCS, now);
	ASSERT_GT(now, 0, "trampolines of fexit");
	ASSERT_LE(now, 8, "trampolines of fexit");
	ASSERT_LE(count_symbols("bpf_thunks_") - thunks, 8, "blocks of thunks");
	ASSERT_OK(bpf_link__destroy(link_1), "destroy");
	link_1 = NULL;
	ASSERT_LE(poll_trampolines(before), before, "trampolines after fexit");

	/* hundreds of functions, of all kinds that the kernel has */
	link_1 = attach_ids(t->skel->progs.empty_1, ids, cnt, NULL);
	if (!ASSERT_OK_PTR(link_1, "attach many"))
		goto out;
	now = count_trampolines();
	printf("%d functions: %d trampolines\n", cnt, now - before);
	ASSERT_LE(now - before, 40, "trampolines of many");

	link_2 = attach_ids(t->skel->progs.empty_2, ids, cnt, NULL);
	if (!ASSERT_OK_PTR(link_2, "attach many again"))
		goto out;
	now = poll_trampolines(before + 80);
	printf("%d functions, two links: %d trampolines\n", cnt, now - before);
	ASSERT_LE(now - before, 80, "trampolines of many, two links");
out:
	bpf_link__destroy(link_1);
	bpf_link__destroy(link_2);
	ASSERT_LE(poll_trampolines(before), before, "trampolines after all");
}

/*
 * A second program on the same functions leaves their call sites alone. Of each
 * model there are several: one alone branches to what is generated for it.
 */
static void test_shared_sites(struct shared_env *t)
{
	struct bpf_link *link_1 = NULL, *link_2 = NULL;
	__u8 idle[FUNCS][SITE_LEN], traced[FUNCS][SITE_LEN];
	__u64 addrs[MANY_MAX];
	__u32 ids[MANY_MAX];
	int cnt;

	cnt = pick_many(t, ids, addrs, MANY_MAX);
	if (!ASSERT_GT(cnt, MANY_MAX / 2, "pick_many") || !read_sites(t, idle))
		return;
	link_1 = attach_ids(t->skel->progs.empty_1, ids, cnt, NULL);
	if (!ASSERT_OK_PTR(link_1, "attach") ||
	    !check_sites(t, idle, FUNCS, "first link") || !read_sites(t, traced))
		goto out;

	link_2 = attach_ids(t->skel->progs.empty_2, ids, cnt, NULL);
	if (!ASSERT_OK_PTR(link_2, "attach") ||
	    !check_sites(t, traced, 0, "second link"))
		goto out;

	ASSERT_OK(bpf_link__destroy(link_1), "destroy");
	link_1 = NULL;
	if (!check_sites(t, traced, 0, "first link gone"))
		goto out;

	ASSERT_OK(bpf_link__destroy(link_2), "destroy");
	link_2 = NULL;
	check_sites(t, idle, 0, "no link");
out:
	bpf_link__destroy(link_1);
	bpf_link__destroy(link_2);
}

/* Whether two functions' models are surely equal, 1, surely differ, 0, or neither, -1. */
static int same_model(const struct btf *btf, __u32 id_1, __u32 id_2)
{
	const struct btf_type *proto_1, *proto_2, *type_1, *type_2;
	__u32 arg_1, arg_2;
	int i, vlen;

	proto_1 = btf__type_by_id(btf, btf__type_by_id(btf, id_1)->type);
	proto_2 = btf__type_by_id(btf, btf__type_by_id(btf, id_2)->type);
	vlen = btf_vlen(proto_1);
	if (vlen != btf_vlen(proto_2))
		return 0;
	/* -1 is the return value */
	for (i = -1; i < vlen; i++) {
		arg_1 = i < 0 ? proto_1->type : btf_params(proto_1)[i].type;
		arg_2 = i < 0 ? proto_2->type : btf_params(proto_2)[i].type;
		arg_1 = arg_1 ? btf__resolve_type(btf, arg_1) : 0;
		arg_2 = arg_2 ? btf__resolve_type(btf, arg_2) : 0;
		if (arg_1 == arg_2)
			continue;
		type_1 = btf__type_by_id(btf, arg_1);
		type_2 = btf__type_by_id(btf, arg_2);
		if (!arg_1 || !arg_2 || !btf_is_ptr(type_1) || !btf_is_ptr(type_2))
			return -1;
	}
	return 1;
}

static bool check_error(struct bpf_link *link, int err, const char *what)
{
	if (!ASSERT_ERR_PTR(link, what)) {
		bpf_link__destroy(link);
		return false;
	}
	return ASSERT_EQ(libbpf_get_error(link), err, what);
}

/* The pair with what it must not disturb: count_1 everywhere, count_2 at half. */
#define HALF		(FUNCS / 2)

/* A link over the pair, and then another that takes its place. */
static bool attach_pair(struct shared_env *t, const __u32 *ids, int cnt, const __u64 *cookies)
{
	struct bpf_link *link_1, *link_2 = NULL;
	bool ok = false;

	link_1 = attach_ids(t->skel->progs.empty_1, ids, cnt, cookies);
	if (!ASSERT_OK_PTR(link_1, "pair") || !check_counts(t, FUNCS, HALF, "pair"))
		goto out;
	/* it is attached there, under either id */
	if (!check_error(attach_ids(t->skel->progs.empty_1, ids, 1, NULL), -EBUSY, "id 1") ||
	    !check_error(attach_ids(t->skel->progs.empty_1, ids + cnt - 1, 1, NULL), -EBUSY,
			 "id 2"))
		goto out;
	link_2 = attach_ids(t->skel->progs.empty_2, ids, cnt, cookies);
	if (!ASSERT_OK_PTR(link_2, "second link") || !check_counts(t, FUNCS, HALF, "second link"))
		goto out;
	ok = true;
out:
	ok &= ASSERT_OK(bpf_link__destroy(link_1), "destroy");
	ok &= check_counts(t, FUNCS, HALF, "first link gone");
	ok &= ASSERT_OK(bpf_link__destroy(link_2), "destroy");
	return ok && check_counts(t, FUNCS, HALF, "pair gone");
}

/* One of the ids in one link and the other in another. */
static bool attach_each(struct shared_env *t, __u32 id_1, __u32 id_2)
{
	struct bpf_link *link_1, *link_2;
	bool ok;

	link_1 = attach_ids(t->skel->progs.empty_1, &id_1, 1, NULL);
	link_2 = attach_ids(t->skel->progs.empty_2, &id_2, 1, NULL);
	ok = ASSERT_OK_PTR(link_1, "id 1") & ASSERT_OK_PTR(link_2, "id 2");
	bpf_link__destroy(link_1);
	bpf_link__destroy(link_2);
	return ok;
}

static bool check_pair(struct shared_env *t, __u32 id_1, __u32 id_2, bool same)
{
	__u64 cookies[FUNCS + 2];
	__u32 ids[FUNCS + 2];
	int i, cnt = 0;

	/* among other functions, and not next to each other */
	ids[cnt++] = id_2;
	for (i = 0; i < FUNCS; i += 2)
		ids[cnt++] = t->ids[i];
	ids[cnt++] = id_1;
	for (i = 0; i < cnt; i++)
		cookies[i] = 0x77;

	if (!same)
		return check_error(attach_ids(t->skel->progs.empty_1, ids, cnt, NULL),
				   -EADDRNOTAVAIL, "models differ") &&
		       check_counts(t, FUNCS, HALF, "models differ");

	/* no cookie and the same cookie are fine, and different ones are not */
	if (!attach_pair(t, ids, cnt, NULL) || !attach_pair(t, ids, cnt, cookies))
		return false;
	cookies[0]++;
	return check_error(attach_ids(t->skel->progs.empty_1, ids, cnt, cookies), -EINVAL,
			   "cookies differ") &&
	       check_counts(t, FUNCS, HALF, "cookies differ") &&
	       attach_each(t, id_1, id_2);
}

/*
 * BTF may have several functions of one name (pahole 1.24 writes such BTF when
 * it runs in parallel), and the kernel finds addresses by name.
 */
static void test_duplicate_ids(struct shared_env *t)
{
	struct bpf_link *link_1, *link_2 = NULL;
	int same, before, pairs[2] = {};
	const struct traceable *func;
	const int max = 8;
	size_t i;

	before = settle_trampolines();
	link_1 = attach_ids(t->skel->progs.count_1, t->ids, FUNCS, NULL);
	link_2 = attach_ids(t->skel->progs.count_2, t->ids, HALF, NULL);
	if (!ASSERT_OK_PTR(link_1, "attach") || !ASSERT_OK_PTR(link_2, "attach") ||
	    !check_counts(t, FUNCS, HALF, "before"))
		goto out;

	for (i = 0; i + 1 < t->tr.cnt; i++) {
		func = &t->tr.funcs[i];
		/* of several symbols the first may be one that cannot be traced */
		if (func[0].syms != 1 || strcmp(func[0].name, func[1].name))
			continue;
		same = same_model(t->tr.btf, func[0].id, func[1].id);
		if (same < 0 || pairs[same] >= max)
			continue;
		pairs[same]++;
		if (!check_pair(t, func[0].id, func[1].id, same)) {
			printf("%s: ids %u and %u\n", func->name, func[0].id, func[1].id);
			goto out;
		}
	}
	printf("%d pairs of one model, %d of two\n", pairs[1], pairs[0]);
	if (!pairs[0] && !pairs[1])
		test__skip();
out:
	bpf_link__destroy(link_1);
	bpf_link__destroy(link_2);
	ASSERT_LE(poll_trampolines(before), before, "trampolines after all");
}

/* A program that does not ask for its cookie calls one that does. */
static void test_tail_call(struct shared_env *t)
{
	int key = 0, i, fd = bpf_program__fd(t->skel->progs.tail_to);
	__u64 cookies[FUNCS], sum = 0;
	struct bpf_link *link;

	for (i = 0; i < FUNCS; i++) {
		cookies[i] = 1ULL << (4 * i);
		sum += cookies[i];
	}
	if (!ASSERT_OK(bpf_map_update_elem(bpf_map__fd(t->skel->maps.tail), &key, &fd, BPF_ANY),
		       "tail"))
		return;
	link = attach_ids(t->skel->progs.tail_from, t->ids, FUNCS, cookies);
	if (!ASSERT_OK_PTR(link, "attach"))
		return;
	t->skel->bss->tail_cookies = 0;
	if (call_funcs(t, 1))
		ASSERT_EQ(t->skel->bss->tail_cookies, sum, "cookies");
	bpf_link__destroy(link);
}

/* What the cgroup has of the kernel's memory, in bytes; -1: it is not told. */
static long cgroup_memory(int cgroup)
{
	char stat[8192];
	const char *line;
	ssize_t len;
	int fd;

	/* small changes are told every two seconds */
	sleep(3);
	fd = openat(cgroup, "memory.stat", O_RDONLY);
	if (fd < 0)
		return -1;
	len = read(fd, stat, sizeof(stat) - 1);
	close(fd);
	if (!ASSERT_GT(len, 0, "read memory.stat"))
		return -1;
	stat[len] = 0;
	line = strstr(stat, "\nkernel ");
	return line ? strtol(line + strlen("\nkernel "), NULL, 10) : -1;
}

static int get_ids(const struct bpf_link *link, __u32 *ids, __u32 cnt)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	info.tracing_multi.ids = ptr_to_u64(ids);
	info.tracing_multi.count = cnt;
	if (!ASSERT_OK(bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len), "link_info"))
		return 0;
	return info.tracing_multi.count;
}

/*
 * Who attaches pays for what the kernel keeps of the functions. A link with cookies
 * costs what its functions do, also if they are far from each other.
 */
static void test_memory(struct shared_env *t)
{
	int cgroup, cnt, all = btf__type_cnt(t->tr.btf);
	struct bpf_link *link = NULL, *two = NULL;
	long before, between, after;
	__u64 *cookies;
	__u32 *ids;

	ids = calloc(all, sizeof(*ids));
	cookies = calloc(all, sizeof(*cookies));
	cgroup = test__join_cgroup("/tracing_multi_memory");
	if (!ASSERT_OK_PTR(ids, "ids") || !ASSERT_OK_PTR(cookies, "cookies") ||
	    !ASSERT_OK_FD(cgroup, "join_cgroup"))
		goto out;
	link = bpf_program__attach_tracing_multi(t->skel->progs.empty_1, "*", NULL);
	if (!ASSERT_OK_PTR(link, "attach by pattern"))
		goto out;
	cnt = get_ids(link, ids, all);
	bpf_link__destroy(link);
	link = NULL;
	before = cgroup_memory(cgroup);
	if (before < 0) {
		test__skip();
		goto out;
	}
	/* the functions are numbered, in this order */
	link = attach_ids(t->skel->progs.tail_to, ids, cnt, cookies);
	if (!ASSERT_OK_PTR(link, "attach to all") || !ASSERT_GT(cnt, 10000, "functions"))
		goto out;
	between = cgroup_memory(cgroup);
	printf("%d functions, %ld bytes\n", cnt, between - before);
	ASSERT_GE(between - before, cnt * 64L, "bytes of all functions");

	ids[1] = ids[cnt - 1];
	two = attach_ids(t->skel->progs.many_1, ids, 2, cookies);
	if (!ASSERT_OK_PTR(two, "attach to two"))
		goto out;
	after = cgroup_memory(cgroup);
	printf("2 functions, %ld bytes\n", after - between);
	ASSERT_LE(after - between, 64 << 10, "bytes of two functions");
out:
	bpf_link__destroy(two);
	bpf_link__destroy(link);
	if (cgroup >= 0)
		close(cgroup);
	free(cookies);
	free(ids);
}

void serial_test_tracing_multi_shared(void)
{
	struct shared_env t;

#if !defined(__x86_64__) && !defined(__aarch64__)
	test__skip();
	return;
#endif

	if (shared_open(&t))
		return;

	if (test__start_subtest("many_functions"))
		test_many_functions(&t);
	if (test__start_subtest("shared_bodies"))
		test_shared_bodies(&t);
	if (test__start_subtest("shared_sites"))
		test_shared_sites(&t);
	if (test__start_subtest("tail_call"))
		test_tail_call(&t);
	if (test__start_subtest("memory"))
		test_memory(&t);
	/* kernels before shared trampolines do not survive this one */
	if (test__start_subtest("duplicate_ids"))
		test_duplicate_ids(&t);

	shared_close(&t);
}
