// SPDX-License-Identifier: GPL-2.0
/*
 * Which functions of tracing_multi links share a trampoline, as the links tell it and
 * as bpftool shows it.
 */
#include <test_progs.h>
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "bpftool_helpers.h"
#include "tracing_multi_sets.skel.h"
#include "tracing_multi_sets_env.h"

/* bpf_fentry_test1() and so on; the last two take a pointer, and are of one model */
#define FUNC_1		0x01
#define FUNC_2		0x02
#define FUNC_7		0x40
#define FUNC_8		0x80

struct told {
	struct bpf_link_info info;
	struct bpf_tracing_multi_set sets[SETS_FUNCS];
	__u64 keys[SETS_FUNCS];
	__u32 ids[SETS_FUNCS];
};

static int link_info(struct bpf_link *link, struct bpf_link_info *info)
{
	__u32 len = sizeof(*info);

	return bpf_link_get_info_by_fd(bpf_link__fd(link), info, &len);
}

static bool told_get(struct env_sets *t, int p, struct told *told)
{
	memset(told, 0, sizeof(*told));
	told->info.tracing_multi.count = SETS_FUNCS;
	told->info.tracing_multi.ids = ptr_to_u64(told->ids);
	told->info.tracing_multi.set_keys = ptr_to_u64(told->keys);
	told->info.tracing_multi.sets = ptr_to_u64(told->sets);
	told->info.tracing_multi.set_size = sizeof(told->sets[0]);
	return ASSERT_OK(link_info(t->slots[p].link, &told->info), descs[p].name);
}

static __u64 told_key(struct env_sets *t, const struct told *told, int f)
{
	__u32 i;

	for (i = 0; i < told->info.tracing_multi.count; i++)
		if (told->ids[i] == t->ids[f])
			return told->keys[i];
	return 0;
}

static const struct bpf_tracing_multi_set *told_set(const struct told *told, __u64 key)
{
	__u32 i;

	for (i = 0; i < told->info.tracing_multi.nr_sets; i++)
		if (told->sets[i].key == key)
			return &told->sets[i];
	return NULL;
}

static bool has_symbol(const char *fmt, __u64 nr)
{
	struct ksyms *ksyms = load_kallsyms_local();
	char name[64];
	bool found;

	if (!ASSERT_OK_PTR(ksyms, "load_kallsyms_local"))
		return false;
	snprintf(name, sizeof(name), fmt, nr);
	found = ksym_get_addr_local(ksyms, name) != 0;
	free_kallsyms_local(ksyms);
	return found;
}

/* The sets have the functions that have their keys, and symbols. */
static bool check_told(const struct told *told, const char *what)
{
	__u32 i, j, cnt, total = 0, nr = told->info.tracing_multi.nr_sets;

	for (i = 0; i < nr; i++) {
		const struct bpf_tracing_multi_set *set = &told->sets[i];

		for (j = 0, cnt = 0; j < told->info.tracing_multi.count; j++)
			cnt += told->keys[j] == set->key;
		total += cnt;
		if (!ASSERT_EQ(set->count, cnt, what) || !ASSERT_GT(set->image_size, 0, what))
			return false;
	}
	return ASSERT_EQ(total, told->info.tracing_multi.count, what) &&
	       ASSERT_OK_PTR(told_set(told, told->keys[0]), what);
}

static void subtest_overlap(struct env_sets *t)
{
	struct told a, b;
	__u64 key;

	if (!ASSERT_OK(sets_attach(t, SETS_ARG_1, FUNC_7 | FUNC_8), "attach a") ||
	    !told_get(t, SETS_ARG_1, &a) || !check_told(&a, "one link"))
		return;
	ASSERT_EQ(a.info.tracing_multi.nr_sets, 1, "functions of a model share");
	ASSERT_EQ(a.sets[0].thunks_size, 0, "fentry without cookies needs no thunks");
	key = a.keys[0];
	ASSERT_EQ(key >> 32, ~0U, "key of a set");

	if (!ASSERT_OK(sets_attach(t, SETS_FEXIT_1, FUNC_1 | FUNC_8), "attach b") ||
	    !told_get(t, SETS_ARG_1, &a) || !check_told(&a, "a, split") ||
	    !told_get(t, SETS_FEXIT_1, &b) || !check_told(&b, "b"))
		return;
	ASSERT_EQ(a.info.tracing_multi.nr_sets, 2, "the overlap is a set of its own");
	ASSERT_EQ(b.info.tracing_multi.nr_sets, 2, "models differ");
	ASSERT_EQ(told_key(t, &a, 7), told_key(t, &b, 7), "both have the overlap's key");
	ASSERT_NEQ(told_key(t, &a, 6), told_key(t, &a, 7), "the rest has another");
	ASSERT_NEQ(told_key(t, &b, 0), told_key(t, &b, 7), "so has what only b covers");

	ASSERT_OK(sets_detach(t, SETS_FEXIT_1), "detach b");
	/* an attach tidies up first */
	if (!ASSERT_OK(sets_attach(t, SETS_FEXIT_1, FUNC_2), "attach b elsewhere") ||
	    !told_get(t, SETS_ARG_1, &a))
		return;
	check_told(&a, "a, merged");
	ASSERT_EQ(a.info.tracing_multi.nr_sets, 1, "merged");
}

static void subtest_names(struct env_sets *t)
{
	struct told a;
	__u32 nr;

	if (!ASSERT_OK(sets_attach(t, SETS_FEXIT_1, FUNC_7 | FUNC_8), "attach") ||
	    !told_get(t, SETS_FEXIT_1, &a) || !check_told(&a, "fexit"))
		return;
	nr = a.keys[0];
	ASSERT_TRUE(has_symbol("bpf_trampoline_set_%llu", nr), "symbol of the trampoline");
	ASSERT_EQ(a.sets[0].thunks_size > 0, has_symbol("bpf_thunks_set_%llu", nr), "thunks");
}

#define PERF_PAGES	8

struct ksymbol_event {
	struct perf_event_header header;
	__u64 addr;
	__u32 len;
	__u16 ksym_type;
	__u16 flags;
	char name[];
};

/* Returns: a descriptor for the events about symbols that this task makes, or -1. */
static int ksymbols_open(struct perf_event_mmap_page **ring)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.ksymbol = 1,
	};
	int fd;

	fd = syscall(__NR_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (!ASSERT_OK_FD(fd, "perf_event_open"))
		return -1;
	*ring = mmap(NULL, (1 + PERF_PAGES) * getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED,
		     fd, 0);
	if (ASSERT_NEQ(*ring, MAP_FAILED, "mmap"))
		return fd;
	close(fd);
	return -1;
}

/* Returns: how long perf was told that these symbols are, together. */
static __u32 ksymbols_len(const struct perf_event_mmap_page *ring, const char *fmt, __u64 nr)
{
	const struct ksymbol_event *event;
	char name[64];
	__u32 len = 0;
	__u64 pos;

	snprintf(name, sizeof(name), fmt, nr);
	/* there are few: it does not wrap */
	if (!ASSERT_LT(ring->data_head, ring->data_size, "perf's buffer"))
		return 0;
	for (pos = 0; pos < ring->data_head; pos += event->header.size) {
		event = (void *)ring + ring->data_offset + pos;
		if (event->header.type == PERF_RECORD_KSYMBOL && !strcmp(event->name, name))
			len += event->len;
	}
	return len;
}

/* Perf is told of the code, and how much that is: not of what else is in the page. */
static void subtest_perf(struct env_sets *t)
{
	struct perf_event_mmap_page *ring;
	struct told a;
	int fd;

	fd = ksymbols_open(&ring);
	if (fd < 0)
		return;
	if (ASSERT_OK(sets_attach(t, SETS_FEXIT_1, FUNC_7 | FUNC_8), "attach") &&
	    told_get(t, SETS_FEXIT_1, &a) && check_told(&a, "fexit")) {
		ASSERT_EQ(ksymbols_len(ring, "bpf_trampoline_set_%llu", (__u32)a.keys[0]),
			  a.sets[0].image_size, "image");
		ASSERT_EQ(ksymbols_len(ring, "bpf_thunks_set_%llu", (__u32)a.keys[0]),
			  a.sets[0].thunks_size, "thunks");
	}
	munmap(ring, (1 + PERF_PAGES) * getpagesize());
	close(fd);
}

/* A function with another program has a trampoline of its own. */
static void subtest_own(struct env_sets *t)
{
	struct told a;
	__u64 key;

	if (!ASSERT_OK(sets_attach(t, SETS_ONE_FENTRY, 0), "attach fentry") ||
	    !ASSERT_OK(sets_attach(t, SETS_ARG_1, FUNC_1 | FUNC_2), "attach") ||
	    !told_get(t, SETS_ARG_1, &a) || !check_told(&a, "own"))
		return;
	key = told_key(t, &a, 0);
	ASSERT_NEQ(key >> 32, ~0U, "key of a function's trampoline");
	ASSERT_NEQ(key, told_key(t, &a, 1), "the other function has a set");
	ASSERT_TRUE(has_symbol("bpf_trampoline_%llu", key), "symbol");
}

static void subtest_sizes(struct env_sets *t)
{
	struct {
		struct bpf_tracing_multi_set set;
		__u64 more;
	} large[SETS_FUNCS];
	__u64 small[SETS_FUNCS] = {};
	struct bpf_link_info info;
	struct told a;

	if (!ASSERT_OK(sets_attach(t, SETS_ARG_1, ALL_FUNCS), "attach") ||
	    !told_get(t, SETS_ARG_1, &a) || !check_told(&a, "all"))
		return;

	memset(large, 0xff, sizeof(large));
	info = a.info;
	info.tracing_multi.count = SETS_FUNCS;
	info.tracing_multi.sets = ptr_to_u64(large);
	info.tracing_multi.set_size = sizeof(large[0]);
	ASSERT_OK(link_info(t->slots[SETS_ARG_1].link, &info), "elements that have grown");
	ASSERT_MEMEQ(&large[1].set, &a.sets[1], sizeof(a.sets[1]), "what the kernel knows");
	ASSERT_EQ(large[1].more, 0, "what it does not know");

	info.tracing_multi.sets = ptr_to_u64(small);
	info.tracing_multi.set_size = sizeof(small[0]);
	ASSERT_OK(link_info(t->slots[SETS_ARG_1].link, &info), "elements of old");
	ASSERT_EQ(small[1], a.sets[1].key, "the key alone");
	ASSERT_EQ(info.tracing_multi.nr_sets, a.info.tracing_multi.nr_sets, "number of sets");
}

/* Bad arrays are refused. */
static void subtest_errors(struct env_sets *t)
{
	struct bpf_link *link;
	struct bpf_link_info info;
	struct told a;
	void *end;

	if (!ASSERT_OK(sets_attach(t, SETS_ARG_1, ALL_FUNCS), "attach") ||
	    !told_get(t, SETS_ARG_1, &a))
		return;
	link = t->slots[SETS_ARG_1].link;

	info = a.info;
	info.tracing_multi.set_size = 0;
	ASSERT_EQ(link_info(link, &info), -EINVAL, "no size");
	info = a.info;
	info.tracing_multi.set_size = getpagesize() + 1;
	ASSERT_EQ(link_info(link, &info), -E2BIG, "large size");
	info = a.info;
	info.tracing_multi.count = 0;
	ASSERT_EQ(link_info(link, &info), -EINVAL, "no count");
	info = a.info;
	info.tracing_multi.count = SETS_FUNCS - 1;
	ASSERT_EQ(link_info(link, &info), -ENOSPC, "short arrays");

	/* the last byte of one element is not mapped */
	end = mmap(NULL, 2 * getpagesize(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		   -1, 0);
	if (!ASSERT_NEQ(end, MAP_FAILED, "mmap"))
		return;
	munmap(end + getpagesize(), getpagesize());
	end += getpagesize();
	info = a.info;
	info.tracing_multi.sets = ptr_to_u64(end - sizeof(a.sets[0]) + 1);
	ASSERT_EQ(link_info(link, &info), -EFAULT, "sets");
	info = a.info;
	info.tracing_multi.set_keys = ptr_to_u64(end - sizeof(a.keys[0]) + 1);
	ASSERT_EQ(link_info(link, &info), -EFAULT, "keys");
	munmap(end - getpagesize(), getpagesize());
}

static bool bpftool(const char *args, struct env_sets *t, int p, char *out, size_t size)
{
	struct bpf_link_info info = {};
	char cmd[256];

	if (!ASSERT_OK(link_info(t->slots[p].link, &info), "info"))
		return false;
	snprintf(cmd, sizeof(cmd), args, info.id);
	memset(out, 0, size);
	return ASSERT_OK(get_bpftool_command_output(cmd, out, size - 1), cmd);
}

static void subtest_bpftool(struct env_sets *t)
{
	char out[16384];

	if (!ASSERT_OK(sets_attach(t, SETS_ARG_1, FUNC_7 | FUNC_8), "attach a") ||
	    !ASSERT_OK(sets_attach(t, SETS_FEXIT_1, FUNC_8), "attach b"))
		return;

	if (bpftool("link sets id %u", t, SETS_ARG_1, out, sizeof(out))) {
		ASSERT_HAS_SUBSTR(out, "name arg_1  attach_type trace_fentry_multi", "program");
		ASSERT_HAS_SUBSTR(out, "name fexit_1", "the program that shares a set");
		ASSERT_HAS_SUBSTR(out, "funcs 2  sets 2  image ", "sizes");
		ASSERT_HAS_SUBSTR(out, "\tbpf_fentry_test7\n", "function");
	}
	if (bpftool("link sets id %u visual", t, SETS_FEXIT_1, out, sizeof(out))) {
		ASSERT_HAS_SUBSTR(out, "digraph", "graph");
		ASSERT_HAS_SUBSTR(out, "bpf_fentry_test8", "function of both");
		ASSERT_NULL(strstr(out, "bpf_fentry_test7"), "function of the other link only");
	}
	if (bpftool("-j link sets id %u", t, SETS_FEXIT_1, out, sizeof(out))) {
		ASSERT_HAS_SUBSTR(out, "\"funcs\":[\"bpf_fentry_test8\"]", "functions");
		ASSERT_HAS_SUBSTR(out, "\"func_cnt\":1,\"bytes_image\":", "sizes");
	}
	ASSERT_NEQ(run_bpftool_command("link sets id 4294967295"), 0, "no such link");
	ASSERT_NEQ(run_bpftool_command("link sets wrong"), 0, "no such word");
	ASSERT_NEQ(run_bpftool_command("-j link sets visual"), 0, "JSON and a graph");
}

void serial_test_tracing_multi_info(void)
{
	static const struct {
		const char *name;
		void (*run)(struct env_sets *t);
	} subtests[] = {
		{ "overlap", subtest_overlap },
		{ "names", subtest_names },
		{ "perf", subtest_perf },
		{ "own", subtest_own },
		{ "sizes", subtest_sizes },
		{ "errors", subtest_errors },
		{ "bpftool", subtest_bpftool },
	};
	struct env_sets t;
	size_t i;

	if (sets_open(&t))
		return;
	for (i = 0; i < ARRAY_SIZE(subtests); i++) {
		if (!test__start_subtest(subtests[i].name))
			continue;
		subtests[i].run(&t);
		sets_reset(&t);
	}
	sets_close(&t);
}
