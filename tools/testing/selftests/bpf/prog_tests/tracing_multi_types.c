// SPDX-License-Identifier: GPL-2.0
/*
 * Programs that name a function when they are loaded, and read arguments and the
 * return value with the types that they have there. They are attached to those
 * functions that have the same.
 */
#include <test_progs.h>
#include <bpf/btf.h>
#include <netinet/in.h>
#include "tracing_multi_types.skel.h"

#define FUNCS		"bpf_fentry_test*"
#define IDS_MAX		4096
#define LOG_SIZE	65536

/* A skeleton with one program, which has the types of a function of vmlinux, or none. */
static struct tracing_multi_types *types_open(const char *name, const char *types,
					      struct bpf_program **prog)
{
	struct tracing_multi_types *skel = tracing_multi_types__open();
	struct bpf_program *p;

	if (!ASSERT_OK_PTR(skel, "open"))
		return NULL;
	bpf_object__for_each_program(p, skel->obj)
		bpf_program__set_autoload(p, false);
	*prog = bpf_object__find_program_by_name(skel->obj, name);
	if (!ASSERT_OK_PTR(*prog, name))
		goto out;
	bpf_program__set_autoload(*prog, true);
	if (types && !ASSERT_OK(bpf_program__set_attach_target(*prog, 0, types), types))
		goto out;
	return skel;
out:
	tracing_multi_types__destroy(skel);
	return NULL;
}

static struct tracing_multi_types *types_load(const char *name, const char *types,
					      struct bpf_program **prog)
{
	struct tracing_multi_types *skel = types_open(name, types, prog);

	if (skel && !ASSERT_OK(tracing_multi_types__load(skel), name)) {
		tracing_multi_types__destroy(skel);
		return NULL;
	}
	return skel;
}

/* The ids of a link's functions, sorted. Returns: how many. */
static int link_ids(const struct bpf_link *link, __u32 *ids)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	info.tracing_multi.ids = (__u64)ids;
	info.tracing_multi.count = IDS_MAX;
	if (!ASSERT_OK(bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len), "link info"))
		return -1;
	return info.tracing_multi.count;
}

static bool link_has(const struct bpf_link *link, __u32 id)
{
	static __u32 ids[IDS_MAX];
	int i, cnt = link_ids(link, ids);

	for (i = 0; i < cnt; i++)
		if (ids[i] == id)
			return true;
	return false;
}

/* Has a function a struct sock * as its first argument? */
static bool takes_sock(const struct btf *btf, __u32 id)
{
	const struct btf_type *t = btf__type_by_id(btf, btf__type_by_id(btf, id)->type);

	if (!btf_vlen(t))
		return false;
	t = btf__type_by_id(btf, btf__resolve_type(btf, btf_params(t)[0].type));
	if (!btf_is_ptr(t))
		return false;
	t = btf__type_by_id(btf, btf__resolve_type(btf, t->type));
	return btf_is_struct(t) && !strcmp(btf__name_by_offset(btf, t->name_off), "sock");
}

/* Of all functions tcp_*, those that take a struct sock *, and none else. */
static void test_sock(void)
{
	struct tracing_multi_types *skel, *any = NULL;
	static __u32 ids[IDS_MAX], all[IDS_MAX];
	struct bpf_link *link = NULL, *link_any;
	int i, n = 0, cnt, cnt_all, fd;
	struct btf *btf = NULL;
	struct bpf_program *prog;

	skel = types_load("sock", "tcp_close", &prog);
	if (!skel)
		return;
	link = bpf_program__attach_tracing_multi(prog, "tcp_*", NULL);
	if (!ASSERT_OK_PTR(link, "attach"))
		goto out;
	cnt = link_ids(link, ids);

	any = types_load("untyped", NULL, &prog);
	if (!any)
		goto out;
	link_any = bpf_program__attach_tracing_multi(prog, "tcp_*", NULL);
	if (!ASSERT_OK_PTR(link_any, "attach untyped"))
		goto out;
	cnt_all = link_ids(link_any, all);
	bpf_link__destroy(link_any);

	btf = btf__load_vmlinux_btf();
	if (!ASSERT_OK_PTR(btf, "btf"))
		goto out;
	for (i = 0; i < cnt_all; i++)
		if (takes_sock(btf, all[i]))
			all[n++] = all[i];
	ASSERT_GT(n, 10, "functions that take a sock");
	ASSERT_LT(n, cnt_all, "functions that do not");
	if (ASSERT_EQ(cnt, n, "attached"))
		ASSERT_MEMEQ(ids, all, n * sizeof(*ids), "ids");

	skel->bss->pid = getpid();
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (ASSERT_OK_FD(fd, "socket"))
		close(fd);
	ASSERT_EQ(skel->bss->family, AF_INET, "what it read");
out:
	btf__free(btf);
	bpf_link__destroy(link);
	tracing_multi_types__destroy(skel);
	tracing_multi_types__destroy(any);
}

/* Each program is attached to these, of bpf_fentry_test1() to 10, and reads that. */
static void test_read(void)
{
	static const struct {
		const char *prog, *types;
		unsigned int funcs;	/* bit n: bpf_fentry_testn() */
		__u64 sum;
		__u64 runs;
	} cases[] = {
		{ "first_int", "bpf_fentry_test1", 1 << 1 | 1 << 2, 1 + 2, 2 },
		{ "second_pointer", "bpf_fentry_test6", 1 << 5 | 1 << 6, 12 + 17, 2 },
		/* called with a pointer to itself, and with NULL */
		{ "struct_pointer", "bpf_fentry_test8", 1 << 7 | 1 << 8, 0, 2 },
		/* that of bpf_fentry_test9() is unsigned */
		{ "result", "bpf_fentry_test1", 1 << 1 | 1 << 7 | 1 << 8 | 1 << 10, 2, 4 },
		{ "first_and_result", "bpf_fentry_test1", 1 << 1, 102, 1 },
		{ "session", "bpf_fentry_test1", 1 << 1, 10 + 12, 2 },
	};
	LIBBPF_OPTS(bpf_test_run_opts, topts);
	struct tracing_multi_types *skel;
	struct bpf_program *prog;
	struct bpf_link *link;
	struct btf *btf;
	char name[32];
	int i, n, id;

	btf = btf__load_vmlinux_btf();
	if (!ASSERT_OK_PTR(btf, "btf"))
		return;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		skel = types_load(cases[i].prog, cases[i].types, &prog);
		if (!skel)
			break;
		link = bpf_program__attach_tracing_multi(prog, FUNCS, NULL);
		if (!ASSERT_OK_PTR(link, cases[i].prog))
			goto next;
		for (n = 1; n <= 10; n++) {
			snprintf(name, sizeof(name), "bpf_fentry_test%d", n);
			id = btf__find_by_name_kind(btf, name, BTF_KIND_FUNC);
			ASSERT_EQ(link_has(link, id), !!(cases[i].funcs & (1 << n)), name);
		}
		ASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(prog), &topts), "test_run");
		ASSERT_EQ(skel->bss->runs, cases[i].runs, cases[i].prog);
		if (strcmp(cases[i].prog, "struct_pointer"))
			ASSERT_EQ(skel->bss->sum, cases[i].sum, cases[i].prog);
next:
		bpf_link__destroy(link);
		tracing_multi_types__destroy(skel);
	}
	btf__free(btf);
}

/* What a program does not read does not matter. */
static void test_nothing(void)
{
	struct tracing_multi_types *skel;
	struct bpf_program *prog;
	struct bpf_link *link;
	static __u32 ids[IDS_MAX];

	skel = types_load("nothing", "bpf_fentry_test1", &prog);
	if (!skel)
		return;
	link = bpf_program__attach_tracing_multi(prog, "bpf_fentry_test?", NULL);
	if (ASSERT_OK_PTR(link, "attach"))
		ASSERT_EQ(link_ids(link, ids), 9, "attached");
	bpf_link__destroy(link);
	tracing_multi_types__destroy(skel);
}

/* Without skipping, a function of other types is named, and nothing is attached. */
static void test_refused(void)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	LIBBPF_OPTS(bpf_log_opts, log);
	struct tracing_multi_types *skel;
	struct bpf_program *prog;
	struct btf *btf = NULL;
	static char buf[4096];
	__u32 ids[2];
	int fd;

	skel = types_load("first_int", "bpf_fentry_test1", &prog);
	if (!skel)
		return;
	btf = btf__load_vmlinux_btf();
	if (!ASSERT_OK_PTR(btf, "btf"))
		goto out;
	ids[0] = btf__find_by_name_kind(btf, "bpf_fentry_test1", BTF_KIND_FUNC);
	ids[1] = btf__find_by_name_kind(btf, "bpf_fentry_test5", BTF_KIND_FUNC);
	log.buf = buf;
	log.size = sizeof(buf);
	log.level = 1;
	opts.tracing_multi.ids = ids;
	opts.tracing_multi.cnt = 2;
	opts.log_opts = &log;
	fd = bpf_link_create(bpf_program__fd(prog), 0, BPF_TRACE_FENTRY_MULTI, &opts);
	ASSERT_EQ(fd, -EINVAL, "link_create");
	ASSERT_HAS_SUBSTR(buf, "Argument 1 of function bpf_fentry_test5 has another type", "log");
	if (fd >= 0)
		close(fd);
out:
	btf__free(btf);
	tracing_multi_types__destroy(skel);
}

/* What the verifier says of programs that read what they must not */
static void test_verifier(void)
{
	static const struct {
		const char *prog, *types, *says;
	} cases[] = {
		{ "wrong_untyped", NULL, "doesn't have 1-th argument" },
		{ "wrong_number", "bpf_fentry_test1", "doesn't have" },
		{ "wrong_result", "bpf_fentry_test1", "doesn't have 2-th argument" },
		{ "wrong_offset", "tcp_close", "access beyond struct sock" },
		{ "wrong_write", "tcp_close", "only read is supported" },
	};
	struct tracing_multi_types *skel;
	struct bpf_program *prog;
	char *log;
	int i;

	log = calloc(1, LOG_SIZE);
	if (!ASSERT_OK_PTR(log, "log"))
		return;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		skel = types_open(cases[i].prog, cases[i].types, &prog);
		if (!skel)
			break;
		log[0] = 0;
		bpf_program__set_log_level(prog, 1);
		bpf_program__set_log_buf(prog, log, LOG_SIZE);
		ASSERT_ERR(tracing_multi_types__load(skel), cases[i].prog);
		ASSERT_HAS_SUBSTR(log, cases[i].says, cases[i].prog);
		tracing_multi_types__destroy(skel);
	}
	free(log);
}

/* Ids that are none of a function */
static void test_bad_id(void)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FENTRY_MULTI);
	struct bpf_insn insns[] = {
		BPF_MOV64_IMM(BPF_REG_0, 0),
		BPF_EXIT_INSN(),
	};
	struct btf *btf = btf__load_vmlinux_btf();
	__u32 ids[2];
	int i, fd;

	if (!ASSERT_OK_PTR(btf, "btf"))
		return;
	ids[0] = btf__find_by_name_kind(btf, "task_struct", BTF_KIND_STRUCT);
	ids[1] = btf__type_cnt(btf) + 1000000;
	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		opts.attach_btf_id = ids[i];
		fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, NULL, "GPL", insns, ARRAY_SIZE(insns),
				   &opts);
		if (!ASSERT_EQ(fd, -EINVAL, "load"))
			close(fd);
	}
	btf__free(btf);
}

/* The types are those of the caller's functions. */
static void test_tail_call(void)
{
	struct tracing_multi_types *skel;
	struct bpf_program *prog;
	__u32 key = 0;
	int fd, err;

	skel = types_load("first_int", "bpf_fentry_test1", &prog);
	if (!skel)
		return;
	fd = bpf_program__fd(prog);
	err = bpf_map_update_elem(bpf_map__fd(skel->maps.progs), &key, &fd, BPF_ANY);
	ASSERT_EQ(err, -EINVAL, "update");
	tracing_multi_types__destroy(skel);
}

void serial_test_tracing_multi_types(void)
{
	if (test__start_subtest("sock"))
		test_sock();
	if (test__start_subtest("read"))
		test_read();
	if (test__start_subtest("nothing"))
		test_nothing();
	if (test__start_subtest("refused"))
		test_refused();
	if (test__start_subtest("verifier"))
		test_verifier();
	if (test__start_subtest("bad_id"))
		test_bad_id();
	if (test__start_subtest("tail_call"))
		test_tail_call();
}
