// SPDX-License-Identifier: GPL-2.0
/*
 * Data of each function: which arrays a link takes for which programs, those that libbpf
 * makes, and how long a link keeps its own. tracing_multi_data.c has what is in them.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include "tracing_multi_data.skel.h"
#include "tracing_multi_data_verifier.skel.h"
#include "tracing_multi_data_env.h"

/* those of the functions that bpf_fentry_test? matches */
#define MATCHING	9
#define LOG_SIZE	4096

/* What the kernel says, without libbpf's help. */
static int data_link_create(struct data_env *t, const struct bpf_program *prog, int map,
			    struct bpf_log_opts *log)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);

	opts.log_opts = log;
	opts.tracing_multi.ids = t->ids;
	opts.tracing_multi.cnt = FUNCS;
	opts.tracing_multi.data_map_fd = map;
	return bpf_link_create(bpf_program__fd(prog), 0, bpf_program__expected_attach_type(prog),
			       &opts);
}

static __u32 data_size(const struct bpf_program *prog)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	ASSERT_OK(bpf_prog_get_info_by_fd(bpf_program__fd(prog), &info, &len), "prog_info");
	return info.attach_data_size;
}

static void data_check_auto(struct data_env *t, const struct bpf_program *prog,
			    struct bpf_link *link)
{
	struct bpf_link_info info = {};
	struct bpf_map_info map_info;
	const struct func_data *data;
	__u64 calls = 0;
	size_t size;
	__u32 i;
	int map;

	map = bpf_link__data_map_fd(link);
	if (!ASSERT_OK_FD(map, "data_map_fd") || !data_map_info(map, &map_info) ||
	    !data_link_info(link, &info))
		return;
	ASSERT_EQ(info.tracing_multi.count, MATCHING, "count");
	ASSERT_EQ(info.tracing_multi.data_map_id, map_info.id, "data_map_id");
	ASSERT_EQ(map_info.type, BPF_MAP_TYPE_ARRAY, "type");
	ASSERT_GE(map_info.max_entries, info.tracing_multi.count, "max_entries");
	ASSERT_EQ(map_info.value_size, data_size(prog), "value_size");
	ASSERT_EQ(map_info.value_size, sizeof(*data), "value_size");

	size = map_info.max_entries * sizeof(*data);
	data = mmap(NULL, size, PROT_READ, MAP_SHARED, map, 0);
	if (!ASSERT_NEQ(data, MAP_FAILED, "mmap"))
		return;
	if (data_call(t)) {
		for (i = 0; i < map_info.max_entries; i++)
			calls += data[i].calls;
		ASSERT_EQ(calls, MATCHING, "calls");
	}
	munmap((void *)data, size);
}

/* libbpf makes the array, by whatever way the program is attached. */
static void test_auto(struct data_env *t)
{
	struct bpf_program *entry = t->skel->progs.count_entry, *plain = t->skel->progs.count_plain;
	__u32 indexes[FUNCS], len;
	struct bpf_link_info info = {};
	struct bpf_link *link;

	link = bpf_program__attach_tracing_multi(entry, "bpf_fentry_test?", NULL);
	if (ASSERT_OK_PTR(link, "pattern"))
		data_check_auto(t, entry, link);
	bpf_link__destroy(link);

	link = bpf_program__attach(plain);
	if (ASSERT_OK_PTR(link, "section"))
		data_check_auto(t, plain, link);
	bpf_link__destroy(link);

	link = bpf_program__attach_tracing_multi(t->skel->progs.no_data, "bpf_fentry_test?", NULL);
	if (!ASSERT_OK_PTR(link, "no data"))
		return;
	ASSERT_EQ(bpf_link__data_map_fd(link), -ENOENT, "data_map_fd");
	if (data_link_info(link, &info))
		ASSERT_EQ(info.tracing_multi.data_map_id, 0, "data_map_id");
	info.tracing_multi.data_indexes = ptr_to_u64(indexes);
	info.tracing_multi.count = FUNCS;
	len = sizeof(info);
	ASSERT_EQ(bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len), -ENOENT, "indexes");
	bpf_link__destroy(link);
}

/* One way to be refused */
struct refused {
	const char *what;
	const char *map;	/* NULL: data_map_fd is @fd */
	int fd;
	bool no_data;		/* the program does not ask for data */
	int err;
	const char *line;	/* NULL: it is not the map that is wrong */
};

static void data_check_refused(struct data_env *t, const struct refused *r)
{
	LIBBPF_OPTS(bpf_log_opts, log);
	char buf[LOG_SIZE] = "";
	int fd = r->fd;

	log.buf = buf;
	log.size = sizeof(buf);
	log.level = 1;
	if (r->map)
		fd = bpf_object__find_map_fd_by_name(t->skel->obj, r->map);
	fd = data_link_create(t, r->no_data ? t->skel->progs.no_data : t->skel->progs.count_entry,
			      fd, &log);
	ASSERT_EQ(fd, r->err, r->what);
	if (fd >= 0)
		close(fd);
	if (r->line)
		ASSERT_HAS_SUBSTR(buf, r->line, r->what);
}

static void test_refused(struct data_env *t)
{
	const struct refused cases[] = {
		{ "not asked", "good", 0, true, -EINVAL, "the program does not call" },
		/* whatever that is, it is no map */
		{ "no map", NULL, 0, false, fcntl(0, F_GETFD) < 0 ? -EBADF : -EINVAL,
		  "data_map_fd is none of a map" },
		{ "bad descriptor", NULL, -1, false, -EBADF },
		{ "a program", NULL, bpf_program__fd(t->skel->progs.single), false, -EINVAL },
		{ "hash", "hash", 0, false, -EINVAL, "the map is no array" },
		{ "per-CPU array", "percpu", 0, false, -EINVAL, "the map is no array" },
		{ "small values", "small", 0, false, -EINVAL, "less than the program uses" },
		{ "few entries", "few", 0, false, -E2BIG, "the map has fewer elements" },
		{ "BPF_F_RDONLY_PROG", "rdonly_prog", 0, false, -EPERM, "may not read" },
		{ "BPF_F_RDONLY", "rdonly", 0, false, -EPERM, "read-only" },
		{ "locks", "locks", 0, false, -EINVAL, "fields of the kernel's" },
		{ "timers", "timers", 0, false, -EINVAL, "fields of the kernel's" },
	};
	int i;

	t->skel->bss->runs = 0;
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		data_check_refused(t, &cases[i]);
	data_call(t);
	ASSERT_EQ(t->skel->bss->runs, 0, "nothing attached");
}

/* What it uses at most counts. It can not be called by another program. */
static void test_prog(struct data_env *t)
{
	int map, key = 0, fd;

	ASSERT_EQ(data_size(t->skel->progs.run_all), sizeof(__u64), "run_all");
	ASSERT_EQ(data_size(t->skel->progs.two_sizes), sizeof(struct func_data), "two_sizes");
	ASSERT_EQ(data_size(t->skel->progs.no_data), 0, "no_data");

	map = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, NULL, sizeof(key), sizeof(fd), 1, NULL);
	if (!ASSERT_OK_FD(map, "prog_array"))
		return;
	fd = bpf_program__fd(t->skel->progs.count_plain);
	ASSERT_EQ(bpf_map_update_elem(map, &key, &fd, BPF_ANY), -EINVAL, "asks");
	fd = bpf_program__fd(t->skel->progs.no_data);
	ASSERT_OK(bpf_map_update_elem(map, &key, &fd, BPF_ANY), "does not ask");
	close(map);
}

/* Looks for the map by its id until it has gone. */
static void data_check_gone(__u32 id)
{
	int i, fd = 0;

	for (i = 0; i < 1000; i++) {
		fd = bpf_map_get_fd_by_id(id);
		if (fd < 0)
			break;
		close(fd);
		usleep(10000);
	}
	ASSERT_EQ(fd, -ENOENT, "map of the id");
}

/* Closes @link, which alone holds the map of that id. */
static void data_check_lifetime(struct data_env *t, int link, __u32 id)
{
	struct func_data data;
	int map, i;

	/* calls before and after there is a descriptor again */
	data_call(t);
	map = bpf_map_get_fd_by_id(id);
	data_call(t);
	close(link);
	data_call(t);
	if (!ASSERT_OK_FD(map, "map of the link"))
		return;
	for (i = 0; i < FUNCS; i++) {
		ASSERT_OK(bpf_map_lookup_elem(map, &i, &data), "lookup");
		ASSERT_EQ(data.calls, 2, "calls");
		ASSERT_EQ(data.who, t->addrs[i], "who");
	}
	close(map);
	data_check_gone(id);
}

static void test_lifetime(struct data_env *t)
{
	struct tracing_multi_data *skel;
	struct bpf_map_info info = {};
	int map, link;

	/* one that the caller closes */
	map = data_map(FUNCS);
	if (map < 0)
		return;
	link = data_link_create(t, t->skel->progs.count_entry, map, NULL);
	data_map_info(map, &info);
	close(map);
	if (ASSERT_OK_FD(link, "closed map"))
		data_check_lifetime(t, link, info.id);

	/* one that goes with its object, as the program does for all but the link */
	skel = tracing_multi_data__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	map = bpf_map__fd(skel->maps.good);
	link = data_link_create(t, skel->progs.count_entry, map, NULL);
	data_map_info(map, &info);
	tracing_multi_data__destroy(skel);
	if (ASSERT_OK_FD(link, "map of an object"))
		data_check_lifetime(t, link, info.id);
}

/* Serial: the functions of other tests would be counted, too. */
void serial_test_tracing_multi_data_map(void)
{
	struct data_env t;

#if !defined(__x86_64__) && !defined(__aarch64__)
	test__skip();
	return;
#endif

	RUN_TESTS(tracing_multi_data_verifier);
	if (!data_open(&t))
		return;
	if (test__start_subtest("prog"))
		test_prog(&t);
	if (test__start_subtest("auto"))
		test_auto(&t);
	if (test__start_subtest("refused"))
		test_refused(&t);
	if (test__start_subtest("lifetime"))
		test_lifetime(&t);
	tracing_multi_data__destroy(t.skel);
}
