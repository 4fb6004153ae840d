// SPDX-License-Identifier: GPL-2.0
/*
 * Links that cover many functions: trampolines that they share, addresses and
 * cookies in shared code, and ids that mean the same function.
 */
#include <pthread.h>
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
	/* the newest set before the test */
	unsigned int last_set;
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

static int count_images(const struct shared_env *t)
{
	struct set_symbols syms;

	return get_set_symbols(t->last_set, &syms) < 0 ? -1 : syms.images;
}

/* Images are freed after RCU grace periods; wait until at most so many are left. */
static int poll_images(const struct shared_env *t, int max)
{
	int i, cnt;

	for (i = 0; i < 300; i++) {
		cnt = count_images(t);
		if (cnt <= max)
			break;
		usleep(100000);
	}
	return cnt;
}

/* Wait until what links have left is tidied up. */
static void settle_images(const struct shared_env *t)
{
	int i, same = 0, cnt = -1, last;

	for (i = 0; i < 50 && same < 5; i++) {
		last = cnt;
		cnt = count_images(t);
		same = cnt == last ? same + 1 : 0;
		usleep(100000);
	}
}

/* From now on sets are counted that come. */
static bool start_counting(struct shared_env *t)
{
	struct set_symbols syms;

	t->last_set = 0;
	settle_images(t);
	if (get_set_symbols(0, &syms) < 0)
		return false;
	t->last_set = syms.newest;
	return true;
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
	settle_images(t);
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
	struct set_symbols syms;
	__u64 addrs[MANY_MAX];
	__u32 ids[MANY_MAX];
	int cnt, now;

	cnt = pick_many(t, ids, addrs, MANY_MAX);
	if (!ASSERT_GT(cnt, MANY_MAX / 2, "pick_many") || !start_counting(t))
		return;

	/* ten functions with one to six arguments */
	link_1 = attach_ids(t->skel->progs.count_1, t->ids, FUNCS, NULL);
	if (!ASSERT_OK_PTR(link_1, "attach") || !check_counts(t, FUNCS, 0, "one link"))
		goto out;
	now = count_images(t);
	printf("%d functions: %d trampolines\n", FUNCS, now);
	ASSERT_GT(now, 0, "trampolines");
	ASSERT_LE(now, 8, "trampolines");

	link_2 = attach_ids(t->skel->progs.count_2, t->ids, FUNCS, NULL);
	if (!ASSERT_OK_PTR(link_2, "attach") || !check_counts(t, FUNCS, FUNCS, "two links"))
		goto out;
	now = poll_images(t, 16);
	printf("%d functions, two links: %d trampolines\n", FUNCS, now);
	ASSERT_LE(now, 16, "trampolines of two links");

	ASSERT_OK(bpf_link__destroy(link_1), "destroy");
	link_1 = NULL;
	ASSERT_OK(bpf_link__destroy(link_2), "destroy");
	link_2 = NULL;
	if (!check_counts(t, 0, 0, "no link"))
		goto out;
	ASSERT_EQ(poll_images(t, 0), 0, "trampolines after all");

	/* the trampoline calls them: a block of thunks a trampoline, not one a function */
	link_1 = attach_ids(t->skel->progs.empty_exit, t->ids, FUNCS, NULL);
	if (!ASSERT_OK_PTR(link_1, "attach fexit"))
		goto out;
	if (get_set_symbols(t->last_set, &syms) < 0)
		goto out;
	printf("%d functions, fexit: %d trampolines\n", FUNCS, syms.images);
	ASSERT_GT(syms.images, 0, "trampolines of fexit");
	ASSERT_LE(syms.images, 8, "trampolines of fexit");
	ASSERT_LE(syms.blocks, 8, "blocks of thunks");
	ASSERT_OK(bpf_link__destroy(link_1), "destroy");
	link_1 = NULL;
	ASSERT_EQ(poll_images(t, 0), 0, "trampolines after fexit");

	/* hundreds of functions, of all kinds that the kernel has */
	link_1 = attach_ids(t->skel->progs.empty_1, ids, cnt, NULL);
	if (!ASSERT_OK_PTR(link_1, "attach many"))
		goto out;
	now = count_images(t);
	printf("%d functions: %d trampolines\n", cnt, now);
	ASSERT_LE(now, 40, "trampolines of many");

	link_2 = attach_ids(t->skel->progs.empty_2, ids, cnt, NULL);
	if (!ASSERT_OK_PTR(link_2, "attach many again"))
		goto out;
	now = poll_images(t, 80);
	printf("%d functions, two links: %d trampolines\n", cnt, now);
	ASSERT_LE(now, 80, "trampolines of many, two links");
out:
	bpf_link__destroy(link_1);
	bpf_link__destroy(link_2);
	ASSERT_EQ(poll_images(t, 0), 0, "trampolines after all");
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
	int same, pairs[2] = {};
	const struct traceable *func;
	const int max = 8;
	size_t i;

	if (!start_counting(t))
		return;
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
	ASSERT_EQ(poll_images(t, 0), 0, "trampolines after all");
}

/*
 * An ftrace_ops that may modify the ip, as that of a livepatch, comes to a function
 * while programs for that function are loaded.
 */

#define IPMODIFY	"/sys/module/bpf_testmod/parameters/ipmodify"

static int set_ipmodify(__u64 addr, bool on)
{
	char val[32];

	snprintf(val, sizeof(val), "%s0x%llx", on ? "" : "-", addr);
	return write_str(IPMODIFY, val);
}

/* A fexit program that is attached to nothing, but for which there is a trampoline */
static int load_exit(__u32 id)
{
	const struct bpf_insn insns[] = {
		BPF_MOV64_IMM(BPF_REG_0, 0),
		BPF_EXIT_INSN(),
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts);

	opts.expected_attach_type = BPF_TRACE_FEXIT;
	opts.attach_btf_id = id;
	return bpf_prog_load(BPF_PROG_TYPE_TRACING, "exit", "GPL", insns, ARRAY_SIZE(insns), &opts);
}

static bool can_load_exit(__u32 id)
{
	int prog = load_exit(id);

	if (prog < 0)
		return false;
	close(prog);
	return true;
}

/*
 * Attach to one id while there is an idle trampoline of the other, which was made
 * later. It has to be called as the ops wants, and nobody may wait for the other.
 */
static bool attach_modified(__u64 addr, __u32 id, __u32 idle_id)
{
	int prog, idle, link = -1;
	bool ok = false;

	prog = load_exit(id);
	idle = load_exit(idle_id);
	if (!ASSERT_GE(prog, 0, "load") || !ASSERT_GE(idle, 0, "load idle") ||
	    !ASSERT_OK(set_ipmodify(addr, true), "ops comes"))
		goto out;
	link = bpf_link_create(prog, 0, BPF_TRACE_FEXIT, NULL);
	ok = ASSERT_GE(link, 0, "attach");
	ok &= ASSERT_OK(set_ipmodify(addr, false), "ops goes");
	/* and to a function that has a program */
	ok = ok && ASSERT_OK(set_ipmodify(addr, true), "ops comes again") &&
	     ASSERT_OK(set_ipmodify(addr, false), "ops goes again");
out:
	if (link >= 0)
		close(link);
	if (idle >= 0)
		close(idle);
	if (prog >= 0)
		close(prog);
	return ok;
}

static void test_modified_ids(struct shared_env *t)
{
	const struct traceable *func;
	int pairs = 0;
	size_t i;

	for (i = 0; i + 1 < t->tr.cnt && pairs < 4; i++) {
		func = &t->tr.funcs[i];
		if (func[0].syms != 1 || strcmp(func[0].name, func[1].name) ||
		    same_model(t->tr.btf, func[0].id, func[1].id) != 1)
			continue;
		/* not every function can have a fexit program */
		if (!can_load_exit(func[0].id) || !can_load_exit(func[1].id))
			continue;
		pairs++;
		if (attach_modified(func->addr, func[0].id, func[1].id) &&
		    attach_modified(func->addr, func[1].id, func[0].id))
			continue;
		printf("%s: ids %u and %u\n", func->name, func[0].id, func[1].id);
		break;
	}
	printf("%d pairs\n", pairs);
	if (!pairs)
		test__skip();
}

struct loader {
	pthread_t thread;
	__u32 id;
	bool stop;
	int loads;
	int err;
};

static void *loader_fn(void *arg)
{
	struct loader *loader = arg;
	int prog;

	while (!__atomic_load_n(&loader->stop, __ATOMIC_RELAXED)) {
		prog = load_exit(loader->id);
		if (prog < 0) {
			loader->err = prog;
			break;
		}
		close(prog);
		__atomic_fetch_add(&loader->loads, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* The ops comes and goes so often, but not for longer than so many seconds. */
#define MODIFY_ROUNDS	100
#define MODIFY_SECONDS	10

/*
 * The ops comes to a function that links cover while the last program for the
 * function alone is put, and with it its trampoline.
 */
static void test_modified_put(struct shared_env *t)
{
	struct bpf_link *link_1 = NULL, *link_2 = NULL;
	struct loader loader = { .id = t->ids[0] };
	time_t end;
	int i;

	/* it stays at another function: coming is a change of its filter then */
	if (!ASSERT_OK(set_ipmodify(t->addrs[1], true), "ops"))
		return;
	link_1 = attach_ids(t->skel->progs.count_1, t->ids, FUNCS, NULL);
	link_2 = attach_ids(t->skel->progs.empty_exit, t->ids, FUNCS, NULL);
	if (!ASSERT_OK_PTR(link_1, "fentry") || !ASSERT_OK_PTR(link_2, "fexit") ||
	    !check_counts(t, FUNCS, 0, "before") ||
	    !ASSERT_OK(pthread_create(&loader.thread, NULL, loader_fn, &loader), "pthread_create"))
		goto out;
	end = time(NULL) + MODIFY_SECONDS;
	for (i = 0; i < MODIFY_ROUNDS && time(NULL) < end; i++) {
		if (!ASSERT_OK(set_ipmodify(t->addrs[0], true), "ops comes") ||
		    !check_counts(t, FUNCS, 0, "with the ops") ||
		    !ASSERT_OK(set_ipmodify(t->addrs[0], false), "ops goes") ||
		    !check_counts(t, FUNCS, 0, "without it"))
			break;
	}
	__atomic_store_n(&loader.stop, true, __ATOMIC_RELAXED);
	pthread_join(loader.thread, NULL);
	printf("the ops came %d times, %d loads\n", i, loader.loads);
	ASSERT_OK(loader.err, "load");
	ASSERT_GT(i, 0, "rounds");
out:
	ASSERT_OK(set_ipmodify(t->addrs[1], false), "no ops");
	bpf_link__destroy(link_1);
	bpf_link__destroy(link_2);
}

static void run_modified(struct shared_env *t, void (*test)(struct shared_env *t))
{
	if (env.has_testmod && !access(IPMODIFY, W_OK))
		test(t);
	else
		test__skip();
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
 * A link with cookies has memory for those of its functions, not for all that have
 * numbers between theirs. That memory is pages, or one chunk; either is cleared.
 */
static void check_far_cookies(struct shared_env *t, const __u32 *ids, int cnt)
{
	int all = cnt * sizeof(__u64) / getpagesize();
	const __u32 far_ids[] = { ids[0], ids[cnt - 1] };
	const __u64 cookies[] = { 1, 2 };
	struct bpf_link *page_alloc, *two;

	page_alloc = bpf_program__attach(t->skel->progs.page_alloc);
	if (!ASSERT_OK_PTR(page_alloc, "page_alloc"))
		return;
	t->skel->bss->pages = 0;
	t->skel->bss->count_pages = true;
	two = attach_ids(t->skel->progs.many_1, far_ids, 2, cookies);
	t->skel->bss->count_pages = false;
	bpf_link__destroy(page_alloc);
	if (!ASSERT_OK_PTR(two, "attach to two"))
		return;
	bpf_link__destroy(two);
	printf("2 functions: %llu pages, cookies of all: %d\n", t->skel->bss->pages, all);
	/* one for each of the cookies; what else an attach clears are a few page tables */
	ASSERT_GE(t->skel->bss->pages, 2, "pages of two functions");
	/* larger pages would be too few to tell */
	if (all >= 16)
		ASSERT_LT(t->skel->bss->pages, all / 2, "pages of two functions");
}

/* Who attaches pays for what the kernel keeps of the functions. */
static void test_memory(struct shared_env *t)
{
	int i, cgroup, cnt, all = btf__type_cnt(t->tr.btf);
	struct bpf_link *link = NULL;
	long before, after;
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
	for (i = 0; i < cnt; i++)
		cookies[i] = i + 1;
	before = cgroup_memory(cgroup);
	/* the functions are numbered, in this order */
	link = attach_ids(t->skel->progs.tail_to, ids, cnt, cookies);
	if (!ASSERT_OK_PTR(link, "attach to all") || !ASSERT_GT(cnt, 10000, "functions"))
		goto out;
	check_far_cookies(t, ids, cnt);
	if (before < 0) {
		test__skip();
		goto out;
	}
	after = cgroup_memory(cgroup);
	printf("%d functions, %ld bytes\n", cnt, after - before);
	ASSERT_GE(after - before, cnt * 64L, "bytes of all functions");
out:
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
	if (test__start_subtest("modified_ids"))
		run_modified(&t, test_modified_ids);
	if (test__start_subtest("modified_put"))
		run_modified(&t, test_modified_put);

	shared_close(&t);
}
