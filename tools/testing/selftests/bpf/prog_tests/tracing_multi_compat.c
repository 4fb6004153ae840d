// SPDX-License-Identifier: GPL-2.0
/*
 * What libbpf and bpftool say of kernels older than they are: those that have
 * tracing_multi links, but neither BPF_F_TRACING_MULTI_SKIP nor what came with it. On
 * such a kernel each request works, or libbpf names what the kernel lacks and nothing is
 * attached. On newer ones all of them work.
 */
#include <test_progs.h>
#include <bpf/btf.h>
#include "bpftool_helpers.h"
#include "cap_helpers.h"
#include "tracing_multi_data.skel.h"
#include "tracing_multi_types.skel.h"

#define FUNCS	3

struct compat {
	bool is_new;
	bool drops_caps;	/* when the program is loaded */
	__u32 ids[FUNCS];	/* of bpf_fentry_test1() and so on, in vmlinux */
};

static struct bpf_program *open_one(struct tracing_multi_types **skel, const char *name)
{
	struct bpf_program *prog, *p;

	*skel = tracing_multi_types__open();
	if (!ASSERT_OK_PTR(*skel, "open"))
		return NULL;
	bpf_object__for_each_program(p, (*skel)->obj)
		bpf_program__set_autoload(p, false);
	prog = bpf_object__find_program_by_name((*skel)->obj, name);
	if (ASSERT_OK_PTR(prog, name))
		bpf_program__set_autoload(prog, true);
	return prog;
}

/* What libbpf said, @lacks if the kernel is old. */
static void check_said(const struct compat *c, char *log, const char *lacks)
{
	if (!ASSERT_OK_PTR(log, "log"))
		return;
	if (c->is_new)
		ASSERT_NULL(strstr(log, "kernel"), "nothing is missing");
	else
		ASSERT_HAS_SUBSTR(log, lacks, "what is missing");
	free(log);
}

/* The program is attached to as many functions as one run of all of them calls. */
static void check_runs(struct tracing_multi_types *skel, int expected)
{
	LIBBPF_OPTS(bpf_test_run_opts, topts);

	skel->bss->runs = 0;
	ASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.nothing), &topts), "run");
	ASSERT_EQ(skel->bss->runs, expected, "runs");
}

/* @lacks: what an old kernel cannot, NULL: nothing. */
static void check_attach(const struct compat *c, const char *pattern,
			 struct bpf_tracing_multi_opts *opts, const char *lacks)
{
	__u64 caps = 1ULL << CAP_BPF | 1ULL << CAP_PERFMON | 1ULL << CAP_SYS_ADMIN, old_caps;
	struct tracing_multi_types *skel;
	struct bpf_link *link;
	char *log;
	int err;

	if (!open_one(&skel, "nothing") || !ASSERT_OK(tracing_multi_types__load(skel), "load"))
		goto out;
	if (c->drops_caps &&
	    !ASSERT_OK(cap_disable_effective(caps, &old_caps), "cap_disable_effective"))
		goto out;
	ASSERT_OK(start_libbpf_log_capture(), "capture");
	link = bpf_program__attach_tracing_multi(skel->progs.nothing, pattern, opts);
	err = link ? 0 : -errno;
	log = stop_libbpf_log_capture();
	if (c->drops_caps)
		ASSERT_OK(cap_enable_effective(old_caps, NULL), "cap_enable_effective");
	if (lacks)
		check_said(c, log, lacks);
	else
		free(log);
	if (!lacks || c->is_new) {
		ASSERT_OK(err, "attach");
		check_runs(skel, FUNCS);
	} else {
		ASSERT_EQ(err, -EOPNOTSUPP, "attach");
		check_runs(skel, 0);
	}
	bpf_link__destroy(link);
out:
	tracing_multi_types__destroy(skel);
}

static void test_ids(const struct compat *c)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts, .ids = c->ids, .cnt = FUNCS);

	check_attach(c, NULL, &opts, NULL);
}

static void test_patterns(const struct compat *c)
{
	check_attach(c, "bpf_fentry_test?,!*4,!*5,!*6,!*7,!*8,!*9", NULL, NULL);
}

static void test_skip(const struct compat *c)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts, .ids = c->ids, .cnt = FUNCS, .skip = true);

	check_attach(c, NULL, &opts, "kernel can't skip functions");
}

static void test_fds(const struct compat *c)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts, .ids = c->ids, .cnt = FUNCS);
	__u32 fds[FUNCS] = {};

	opts.fds = fds;
	check_attach(c, NULL, &opts, "kernel can't take BTF FDs");
}

/* What the kernel can is found out with the program that is attached. */
static void test_capabilities(const struct compat *c)
{
	struct compat without = *c;

	without.drops_caps = true;
	test_ids(&without);
	test_patterns(&without);
	test_skip(&without);
	test_fds(&without);
}

/* @types: the function that tells the types of arguments, or NULL. */
static void check_load(const struct compat *c, const char *name, const char *types, __u32 flags,
		       const char *lacks)
{
	struct tracing_multi_types *skel;
	struct bpf_program *prog;
	int err;

	prog = open_one(&skel, name);
	if (!prog)
		goto out;
	if (types && !ASSERT_OK(bpf_program__set_attach_target(prog, 0, types), types))
		goto out;
	bpf_program__set_flags(prog, bpf_program__flags(prog) | flags);
	if (start_libbpf_log_capture())
		goto out;
	err = tracing_multi_types__load(skel);
	check_said(c, stop_libbpf_log_capture(), lacks);
	ASSERT_EQ(err, c->is_new ? 0 : -EINVAL, name);
out:
	tracing_multi_types__destroy(skel);
}

static void test_types(const struct compat *c)
{
	check_load(c, "first_int", "bpf_fentry_test1", 0, "kernel can't take types of arguments");
}

static void test_reentrant(const struct compat *c)
{
	check_load(c, "nothing", NULL, BPF_F_REENTRANT, "kernel does not know BPF_F_REENTRANT");
}

static void test_data(const struct compat *c)
{
	struct tracing_multi_data *skel;
	struct bpf_link *link = NULL;
	int err;

	skel = tracing_multi_data__open();
	if (!ASSERT_OK_PTR(skel, "open"))
		return;
	if (start_libbpf_log_capture())
		goto out;
	err = tracing_multi_data__load(skel);
	if (!err)
		link = bpf_program__attach(skel->progs.count_plain);
	check_said(c, stop_libbpf_log_capture(), "'bpf_attach_data'");
	if (!c->is_new) {
		ASSERT_ERR(err, "load");
		goto out;
	}
	if (ASSERT_OK(err, "load") && ASSERT_OK_PTR(link, "attach"))
		ASSERT_OK_FD(bpf_link__data_map_fd(link), "array");
out:
	bpf_link__destroy(link);
	tracing_multi_data__destroy(skel);
}

static void test_bpftool(const struct compat *c)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts, .ids = c->ids, .cnt = FUNCS);
	struct tracing_multi_types *skel;
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);
	char cmd[64], out[4096];
	struct bpf_link *link = NULL;

	if (!open_one(&skel, "nothing") || !ASSERT_OK(tracing_multi_types__load(skel), "load"))
		goto out;
	link = bpf_program__attach_tracing_multi(skel->progs.nothing, NULL, &opts);
	if (!ASSERT_OK_PTR(link, "attach") ||
	    !ASSERT_OK(bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len), "info"))
		goto out;

	memset(out, 0, sizeof(out));
	snprintf(cmd, sizeof(cmd), "-j link show id %u", info.id);
	if (ASSERT_OK(get_bpftool_command_output(cmd, out, sizeof(out) - 1), cmd))
		ASSERT_HAS_SUBSTR(out, "\"attach_type\":\"trace_fentry_multi\"", cmd);
	memset(out, 0, sizeof(out));
	snprintf(cmd, sizeof(cmd), "prog show id %u", info.prog_id);
	if (ASSERT_OK(get_bpftool_command_output(cmd, out, sizeof(out) - 1), cmd))
		ASSERT_HAS_SUBSTR(out, "name nothing", cmd);
	snprintf(cmd, sizeof(cmd), "link sets id %u 2>&1", info.id);
	memset(out, 0, sizeof(out));
	ASSERT_EQ(!get_bpftool_command_output(cmd, out, sizeof(out) - 1), c->is_new, cmd);
	ASSERT_HAS_SUBSTR(out, c->is_new ? "bpf_fentry_test1" : "the kernel does not tell of sets",
			  cmd);
out:
	bpf_link__destroy(link);
	tracing_multi_types__destroy(skel);
}

static int compat_init(struct compat *c)
{
	struct btf *btf = btf__load_vmlinux_btf();
	char name[32];
	int i, id;

	if (!ASSERT_OK_PTR(btf, "btf"))
		return -1;
	c->is_new = btf__find_by_name_kind(btf, "bpf_attach_data", BTF_KIND_FUNC) > 0;
	for (i = 0; i < FUNCS; i++) {
		snprintf(name, sizeof(name), "bpf_fentry_test%d", i + 1);
		id = btf__find_by_name_kind(btf, name, BTF_KIND_FUNC);
		if (!ASSERT_GT(id, 0, name))
			break;
		c->ids[i] = id;
	}
	btf__free(btf);
	return i == FUNCS ? 0 : -1;
}

void serial_test_tracing_multi_compat(void)
{
	static const struct {
		const char *name;
		void (*run)(const struct compat *c);
	} subtests[] = {
		{ "ids", test_ids },
		{ "patterns", test_patterns },
		{ "skip", test_skip },
		{ "fds", test_fds },
		{ "capabilities", test_capabilities },
		{ "types", test_types },
		{ "reentrant", test_reentrant },
		{ "data", test_data },
		{ "bpftool", test_bpftool },
	};
	struct compat c;
	size_t i;

	if (compat_init(&c))
		return;
#if !defined(__x86_64__)
	/* arm64 has got all of it at once */
	if (!c.is_new) {
		test__skip();
		return;
	}
#endif
	for (i = 0; i < ARRAY_SIZE(subtests); i++)
		if (test__start_subtest(subtests[i].name))
			subtests[i].run(&c);
}
