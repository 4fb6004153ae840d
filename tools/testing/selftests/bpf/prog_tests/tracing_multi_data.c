// SPDX-License-Identifier: GPL-2.0
/*
 * Data of each function: a program gets the element of the function that was called,
 * whatever else is attached there. tracing_multi_data_map.c has the arrays themselves.
 */
#include <sys/mman.h>
#include "testing_helpers.h"
#include "tracing_multi_data.skel.h"
#include "tracing_multi_data_env.h"

/* An id of no function */
#define BAD_ID		0

/* A link, and what its array has to have */
struct data_link {
	struct bpf_program *prog;
	/* functions */
	int first;
	int cnt;
	/* of the program in a call */
	int runs;
	/* what it writes for each of all functions; NULL: nothing */
	const __u64 *who;
	int map;
	struct bpf_link *link;
	/* of each function until now */
	__u64 calls;
};

static bool data_attach(struct data_env *t, struct data_link *l, const char *step)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);

	l->map = data_map(l->cnt);
	if (l->map < 0)
		return false;
	opts.ids = t->ids + l->first;
	opts.cookies = l->who == t->cookies ? t->cookies + l->first : NULL;
	opts.cnt = l->cnt;
	opts.data_map_fd = l->map;
	l->link = bpf_program__attach_tracing_multi(l->prog, NULL, &opts);
	return ASSERT_OK_PTR(l->link, step);
}

/* The array stays as it is from now on. */
static void data_detach(struct data_link *l)
{
	ASSERT_OK(bpf_link__destroy(l->link), "destroy");
	l->link = NULL;
}

static void data_close(struct data_link *links, int nr)
{
	for (; nr; nr--, links++) {
		bpf_link__destroy(links->link);
		if (links->map > 0)
			close(links->map);
	}
}

static bool data_check_func(struct data_link *l, int i, const char *step)
{
	__u64 who = l->who && l->calls ? l->who[l->first + i] : 0;
	struct func_data data;

	return ASSERT_OK(bpf_map_lookup_elem(l->map, &i, &data), step) &&
	       ASSERT_EQ(data.calls, l->calls, step) && ASSERT_EQ(data.who, who, step);
}

/* Calls each function once, and looks at all elements of all links. */
static bool data_check(struct data_env *t, struct data_link *links, int nr, const char *step)
{
	struct data_link *l;
	int i;

	if (!data_call(t))
		return false;
	for (l = links; l < links + nr; l++) {
		l->calls += l->link ? l->runs : 0;
		for (i = 0; l->map > 0 && i < l->cnt; i++) {
			if (data_check_func(l, i, step))
				continue;
			printf("%s, link %td, element %d\n", step, l - links, i);
			return false;
		}
	}
	return true;
}

/* Reads the array as memory, which the program goes on to write to. */
static void data_check_mmap(struct data_env *t, struct data_link *l)
{
	size_t size = l->cnt * sizeof(struct func_data);
	const struct func_data *data;
	int i;

	data = mmap(NULL, size, PROT_READ, MAP_SHARED, l->map, 0);
	if (!ASSERT_NEQ(data, MAP_FAILED, "mmap"))
		return;
	data_check(t, l, 1, "mapped");
	for (i = 0; i < l->cnt; i++) {
		ASSERT_EQ(data[i].calls, l->calls, "mapped calls");
		ASSERT_EQ(data[i].who, l->who[l->first + i], "mapped who");
	}
	munmap((void *)data, size);
}

static void test_count(struct data_env *t)
{
	struct data_link links[] = {
		{ t->skel->progs.count_entry, 0, FUNCS, 1, t->addrs },
		{ t->skel->progs.count_exit, 0, FUNCS, 1, t->addrs },
		{ t->skel->progs.count_session, 0, FUNCS, 2, t->addrs },
		{ t->skel->progs.count_sleepable, SLEEPABLE, 1, 1, t->addrs },
	};
	struct data_link *l;

	for (l = links; l < links + ARRAY_SIZE(links); l++) {
		const char *name = bpf_program__name(l->prog);

		if (!data_attach(t, l, name) || !data_check(t, l, 1, name) ||
		    !data_check(t, l, 1, name))
			break;
		data_check_mmap(t, l);
		data_detach(l);
		data_check(t, l, 1, "detached");
	}
	data_close(links, ARRAY_SIZE(links));
}

/* Programs of several links on the same functions, with data, cookies or both. */
static void test_links(struct data_env *t)
{
	struct data_link links[] = {
		{ t->skel->progs.count_cookie, 0, FUNCS, 1, t->cookies },
		{ t->skel->progs.count_entry, 0, FUNCS, 1, t->addrs },
		{ t->skel->progs.count_exit_cookie, 0, FUNCS, 1, t->cookies },
		/* some of the functions, which leave their sets */
		{ t->skel->progs.count_session, 3, 5, 2, t->addrs },
		/* one program, two links */
		{ t->skel->progs.count_plain, 0, 4, 1 },
		{ t->skel->progs.count_plain, 4, FUNCS - 4, 1 },
		/* one function */
		{ t->skel->progs.count_exit, 1, 1, 1, t->addrs },
		{ t->skel->progs.count_sleepable, SLEEPABLE, 1, 1, t->addrs },
	};
	int i, nr = ARRAY_SIZE(links);

	for (i = 0; i < nr; i++)
		if (!data_attach(t, &links[i], "attach") ||
		    !data_check(t, links, nr, "attached"))
			goto out;
	/* what is left belongs together again, in another order than it came: 0, 3, 6, 1, .. */
	for (i = 0; i < nr; i++) {
		data_detach(&links[i * 3 % nr]);
		if (!data_check(t, links, nr, "detached"))
			goto out;
	}
out:
	data_close(links, nr);
}

/*
 * One function has a trampoline of its own for a while, from before the link @when on, or
 * after all.
 */
static bool data_check_single(struct data_env *t, struct data_link *links, int nr, int when)
{
	struct bpf_link *single = NULL;
	bool ok = false;
	int i;

	for (i = 0; i <= nr; i++) {
		if (i == when) {
			single = bpf_program__attach(t->skel->progs.single);
			if (!ASSERT_OK_PTR(single, "single") ||
			    !data_check(t, links, nr, "single"))
				goto out;
		}
		if (i < nr && (!data_attach(t, &links[i], "attach") ||
			       !data_check(t, links, nr, "attached")))
			goto out;
	}
	ok = ASSERT_OK(bpf_link__destroy(single), "destroy") &&
	     data_check(t, links, nr, "single gone");
	single = NULL;
out:
	bpf_link__destroy(single);
	data_close(links, nr);
	return ok;
}

static void test_single(struct data_env *t)
{
	int when;

	for (when = 0; when <= 2; when++) {
		struct data_link links[] = {
			{ t->skel->progs.count_cookie, 0, FUNCS, 1, t->cookies },
			{ t->skel->progs.count_session, 0, FUNCS, 2, t->addrs },
		};

		if (!data_check_single(t, links, ARRAY_SIZE(links), when))
			return;
	}
}

/* The link says which element each function has. */
static void data_check_indexes(const struct bpf_link *link, int map, const __u32 *sent)
{
	__u32 ids[FUNCS] = {}, indexes[FUNCS], seen = 0, i;
	struct bpf_link_info info = {
		.tracing_multi = {
			.ids = ptr_to_u64(ids),
			.data_indexes = ptr_to_u64(indexes),
			.count = FUNCS,
		},
	};
	struct bpf_map_info map_info;

	if (!data_link_info(link, &info) || !data_map_info(map, &map_info))
		return;
	ASSERT_EQ(info.tracing_multi.count, FUNCS, "count");
	ASSERT_EQ(info.tracing_multi.skipped, 1, "skipped");
	ASSERT_EQ(info.tracing_multi.data_map_id, map_info.id, "data_map_id");
	for (i = 0; i < FUNCS; i++) {
		if (!ASSERT_LE(indexes[i], FUNCS, "index"))
			return;
		ASSERT_EQ(sent[indexes[i]], ids[i], "id");
		seen |= 1 << indexes[i];
	}
	ASSERT_EQ(__builtin_popcount(seen), FUNCS, "elements");
}

/* An id that is left out has an element that nobody uses. */
static void test_skip(struct data_env *t)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts, .skip = true);
	struct bpf_link *link = NULL, *single = NULL;
	const int bad = 4;
	__u32 ids[FUNCS + 1], i;
	struct func_data data;
	int map;

	for (i = 0; i <= FUNCS; i++)
		ids[i] = i == bad ? BAD_ID : t->ids[i - (i > bad)];
	map = data_map(FUNCS + 1);
	if (map < 0)
		return;
	opts.ids = ids;
	opts.cnt = FUNCS + 1;
	opts.data_map_fd = map;
	link = bpf_program__attach_tracing_multi(t->skel->progs.count_entry, NULL, &opts);
	if (!ASSERT_OK_PTR(link, "attach") || !data_call(t))
		goto out;
	for (i = 0; i <= FUNCS; i++) {
		if (!ASSERT_OK(bpf_map_lookup_elem(map, &i, &data), "lookup"))
			goto out;
		ASSERT_EQ(data.calls, i != bad, "calls");
		ASSERT_EQ(data.who, i == bad ? 0 : t->addrs[i - (i > bad)], "who");
	}
	data_check_indexes(link, map, ids);
	single = bpf_program__attach(t->skel->progs.single);
	if (ASSERT_OK_PTR(single, "single"))
		data_check_indexes(link, map, ids);
out:
	bpf_link__destroy(single);
	bpf_link__destroy(link);
	close(map);
}

/* No run of the program at any function of the kernel is counted for none, or twice. */
static void data_check_many(struct data_env *t, struct bpf_link *link, int map, __u32 cnt)
{
	size_t size = cnt * sizeof(__u64);
	const __u64 *calls;
	__u64 sum = 0;
	int i, called = 0;

	calls = mmap(NULL, size, PROT_READ, MAP_SHARED, map, 0);
	if (!ASSERT_NEQ(calls, MAP_FAILED, "mmap"))
		goto out;
	for (i = 0; i < 100; i++)
		data_call(t);
	ASSERT_OK(system("cat /proc/self/maps >/dev/null"), "system");
out:
	ASSERT_OK(bpf_link__destroy(link), "destroy");
	if (calls == MAP_FAILED)
		return;
	kern_sync_rcu();
	for (i = 0; i < cnt; i++) {
		sum += calls[i];
		called += !!calls[i];
	}
	printf("%u functions, %d of them called, %llu calls\n", cnt, called, sum);
	ASSERT_GE(called, FUNCS, "functions called");
	ASSERT_EQ(sum, t->skel->bss->runs_of_all, "calls");
	munmap((void *)calls, size);
}

static void test_many(struct data_env *t)
{
	struct bpf_map_info info;
	struct bpf_link *link;
	int map;

	link = bpf_program__attach_tracing_multi(t->skel->progs.run_all, "*", NULL);
	if (!ASSERT_OK_PTR(link, "attach"))
		return;
	/* the link's own goes with it */
	map = dup(bpf_link__data_map_fd(link));
	if (ASSERT_OK_FD(map, "data_map_fd") && data_map_info(map, &info))
		data_check_many(t, link, map, info.max_entries);
	else
		bpf_link__destroy(link);
	close(map);
}

/* Serial: the functions of other tests would be counted, too. */
void serial_test_tracing_multi_data(void)
{
	struct data_env t;

#if !defined(__x86_64__) && !defined(__aarch64__)
	test__skip();
	return;
#endif

	if (!data_open(&t))
		return;
	if (test__start_subtest("count"))
		test_count(&t);
	if (test__start_subtest("links"))
		test_links(&t);
	if (test__start_subtest("single"))
		test_single(&t);
	if (test__start_subtest("skip"))
		test_skip(&t);
	if (test__start_subtest("many"))
		test_many(&t);
	tracing_multi_data__destroy(t.skel);
}
