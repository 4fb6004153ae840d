// SPDX-License-Identifier: GPL-2.0
/*
 * Which functions a tracing_multi link is attached to when some of them cannot
 * be: what the kernel refuses and leaves out and says of it, functions of several
 * BTF objects in one link, and libbpf's patterns.
 */
#include <sys/syscall.h>
#include <test_progs.h>
#include <bpf/btf.h>
#include "bpf/libbpf_internal.h"
#include "testing_helpers.h"
#include "tracing_multi_helpers.h"
#include "tracing_multi_pattern.skel.h"
#include "kfunc_module_order.skel.h"

#define MAX_IDS		262144
#define LOG_SIZE	(32 << 20)
#define RMMOD_TRIES	10000
/* mapped in no process */
#define PTR_NOWHERE	(-4096ULL)
/* of bpf_prog_test_run_tracing() */
#define NR_TEST_FUNCS	10
#define VMLINUX_OBJ	1

struct env_pattern {
	struct tracing_multi_pattern *skel;
	struct btf *btf;
	__u32 ids[MAX_IDS];
	__u32 fds[MAX_IDS];
	__u32 cnt;
	__u32 flags;
	__u32 data_map_fd;
	bool use_fds;
	/* what attach_alone() finds, by id of vmlinux */
	__u64 alone[MAX_IDS];
	char log[LOG_SIZE];
	__u64 log_buf;
	__u32 log_size;
	__u32 log_level;
	__u32 log_true_size;
};

static __u32 func_id(const struct btf *btf, const char *name)
{
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_FUNC);

	ASSERT_GT(id, 0, name);
	return id;
}

static const char *name_of(struct env_pattern *t, __u32 id)
{
	const struct btf_type *type = btf__type_by_id(t->btf, id);

	return type && btf_is_func(type) ? btf__name_by_offset(t->btf, type->name_off) : "?";
}

static void ids_reset(struct env_pattern *t)
{
	t->flags = 0;
	t->use_fds = false;
	t->log_buf = ptr_to_u64(t->log);
	t->log_size = sizeof(t->log);
	t->log_level = 1 | 8; /* the beginning, if it is too small for all */
	memset(t->fds, 0, t->cnt * sizeof(*t->fds));
	t->cnt = 0;
}

static void ids_add(struct env_pattern *t, __u32 id)
{
	t->ids[t->cnt++] = id;
}

static void ids_add_test_funcs(struct env_pattern *t)
{
	char name[32];
	int i;

	for (i = 1; i <= NR_TEST_FUNCS; i++) {
		snprintf(name, sizeof(name), "bpf_fentry_test%d", i);
		ids_add(t, func_id(t->btf, name));
	}
}

/* libbpf is not asked: whatever it does, this is what the kernel says. */
static int attach(struct env_pattern *t, const struct bpf_program *prog)
{
	struct bpf_common_attr common = {};
	union bpf_attr attr;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = bpf_program__fd(prog);
	attr.link_create.attach_type = bpf_program__expected_attach_type(prog);
	attr.link_create.flags = t->flags;
	attr.link_create.tracing_multi.ids = ptr_to_u64(t->ids);
	attr.link_create.tracing_multi.cnt = t->cnt;
	attr.link_create.tracing_multi.data_map_fd = t->data_map_fd;
	if (t->use_fds)
		attr.link_create.tracing_multi.fds = ptr_to_u64(t->fds);
	t->log[0] = '\0';
	common.log_buf = t->log_size ? t->log_buf : 0;
	common.log_size = t->log_size;
	common.log_level = t->log_size ? t->log_level : 0;
	fd = syscall(__NR_bpf, BPF_LINK_CREATE | BPF_COMMON_ATTRS, &attr, sizeof(attr), &common,
		     sizeof(common));
	t->log_true_size = common.log_true_size;
	return fd < 0 ? -errno : fd;
}

static bool check_info(int fd, __u32 cnt, __u32 skipped)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	return ASSERT_OK(bpf_link_get_info_by_fd(fd, &info, &len), "link info") &&
	       ASSERT_EQ(info.tracing_multi.count, cnt, "attached") &&
	       ASSERT_EQ(info.tracing_multi.skipped, skipped, "skipped");
}

/* What a link is attached to */
struct attached {
	__u32 cnt;
	__u32 *ids;
	__u32 *obj_ids;
	__u64 *addrs;
};

static bool get_attached(int fd, struct attached *at)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	memset(at, 0, sizeof(*at));
	if (!ASSERT_OK(bpf_link_get_info_by_fd(fd, &info, &len), "link info"))
		return false;
	at->cnt = info.tracing_multi.count;
	at->ids = calloc(at->cnt, sizeof(*at->ids));
	at->obj_ids = calloc(at->cnt, sizeof(*at->obj_ids));
	at->addrs = calloc(at->cnt, sizeof(*at->addrs));
	info.tracing_multi.ids = ptr_to_u64(at->ids);
	info.tracing_multi.btf_obj_ids = ptr_to_u64(at->obj_ids);
	info.tracing_multi.addrs = ptr_to_u64(at->addrs);
	return ASSERT_OK_PTR(at->ids, "ids") && ASSERT_OK_PTR(at->obj_ids, "obj_ids") &&
	       ASSERT_OK_PTR(at->addrs, "addrs") &&
	       ASSERT_OK(bpf_link_get_info_by_fd(fd, &info, &len), "functions of the link");
}

static void put_attached(struct attached *at)
{
	free(at->ids);
	free(at->obj_ids);
	free(at->addrs);
}

/* The address of the function that the link has this id for; 0: it does not have it */
static __u64 attached_at(const struct attached *at, __u32 obj_id, __u32 id)
{
	__u32 i;

	for (i = 0; i < at->cnt; i++)
		if (at->ids[i] == id && at->obj_ids[i] == obj_id)
			return at->addrs[i];
	return 0;
}

static bool has_address(const struct attached *at, __u64 addr)
{
	__u32 i;

	for (i = 0; i < at->cnt && at->addrs[i] != addr; i++)
		;
	return i < at->cnt;
}

/*
 * Attaches to this id and nothing else, for a moment; @btf_fd is 0 for vmlinux. If
 * no link covers the function, the kernel looks its name up by itself.
 */
static int attach_alone(struct env_pattern *t, __u32 id, int btf_fd, __u64 *addr)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);
	int fd;

	ids_reset(t);
	t->use_fds = btf_fd;
	t->fds[0] = btf_fd;
	ids_add(t, id);
	fd = attach(t, t->skel->progs.other);
	if (fd < 0)
		return fd;
	info.tracing_multi.addrs = ptr_to_u64(addr);
	info.tracing_multi.count = 1;
	if (bpf_link_get_info_by_fd(fd, &info, &len) || !*addr)
		PRINT_FAIL("no address of id %u\n", id);
	close(fd);
	return 0;
}

static int count_lines(const char *log)
{
	int n = 0;

	while ((log = strchr(log, '\n'))) {
		log++;
		n++;
	}
	return n;
}

static __u64 calls_of_one_run(struct env_pattern *t)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	struct bpf_program *prog = t->skel->progs.entry;

	t->skel->bss->calls = 0;
	ASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(prog), &opts), "test_run");
	return t->skel->bss->calls;
}

/* One way not to be attached */
struct bad {
	const char *what;
	const char *prog;
	const char *func;	/* NULL: @id */
	__u32 id;
	int err;
	const char *line;
};

static const struct bad bads[] = {
	{ "no type", "entry", NULL, 0xffffff, -EINVAL, "the id is none of a function" },
	{ "void", "entry", NULL, 0, -EINVAL, "the id is none of a function" },
	{ "not a function", "entry", NULL, 1, -EINVAL, "the id is none of a function" },
	{ "not traceable", "entry", "sched_clock", 0, -ENOENT, "the function cannot be traced" },
	/* rcu_read_unlock() calls these: a program that ends in it would for ever */
	{ "not traceable, rcu", "entry", "rcu_read_unlock_special", 0, -ENOENT,
	  "the function cannot be traced" },
	{ "not traceable, sched", "entry", "__trace_set_need_resched", 0, -ENOENT,
	  "the function cannot be traced" },
	{ "variable arguments", "entry", "seq_printf", 0, -EINVAL, "variable args" },
	{ "noreturn", "leave", "do_exit", 0, -EINVAL, "__noreturn" },
	{ "not sleepable", "sleepable", "bpf_fentry_test2", 0, -EINVAL, "is not sleepable" },
};

static struct bpf_program *prog_of(struct env_pattern *t, const char *name)
{
	return bpf_object__find_program_by_name(t->skel->obj, name);
}

/* A line says which: index, BTF object, id and name. */
static void check_line(struct env_pattern *t, const struct bad *bad, __u32 index)
{
	char start[128];
	const char *line;

	snprintf(start, sizeof(start), "#%u btf 1 id %u %s: ", index, t->ids[index],
		 bad->func ?: "?");
	line = strstr(t->log, start);
	if (ASSERT_OK_PTR(line, start))
		ASSERT_HAS_SUBSTR(line, bad->line, bad->what);
}

/* A function that this kernel or architecture has not is no test. */
static bool bad_add(struct env_pattern *t, const struct bad *bad)
{
	int id = bad->func ? btf__find_by_name_kind(t->btf, bad->func, BTF_KIND_FUNC) : bad->id;

	if (bad->func && id < 0)
		return false;
	ids_add(t, id);
	return true;
}

static void test_refused(struct env_pattern *t)
{
	int i, fd, tried = 0;

	for (i = 0; i < ARRAY_SIZE(bads); i++) {
		const struct bad *bad = &bads[i];

		ids_reset(t);
		ids_add(t, func_id(t->btf, "bpf_fentry_test1"));
		if (!bad_add(t, bad))
			continue;
		tried++;
		fd = attach(t, prog_of(t, bad->prog));
		ASSERT_EQ(fd, bad->err, bad->what);
		ASSERT_EQ(count_lines(t->log), 1, "lines");
		check_line(t, bad, 1);

		/* the same without a log, and with one that is too small */
		t->log_size = 0;
		ASSERT_EQ(attach(t, prog_of(t, bad->prog)), bad->err, "no log");
		t->log_size = 8;
		ASSERT_EQ(attach(t, prog_of(t, bad->prog)), bad->err, "small log");
		ASSERT_GT(t->log_true_size, 8, "true size");
		ASSERT_EQ(strlen(t->log), 7, "log ends");

		/* alone and left out: nothing remains */
		ids_reset(t);
		bad_add(t, bad);
		t->flags = BPF_F_TRACING_MULTI_SKIP;
		ASSERT_EQ(attach(t, prog_of(t, bad->prog)), -ENOENT, "nothing remains");
		check_line(t, bad, 0);

		/* the other one is attached */
		ids_add(t, func_id(t->btf, "bpf_fentry_test1"));
		fd = attach(t, prog_of(t, bad->prog));
		if (!ASSERT_GE(fd, 0, "skip"))
			continue;
		check_info(fd, 1, 1);
		check_line(t, bad, 0);
		ASSERT_EQ(calls_of_one_run(t), 1, "calls");
		close(fd);
	}
	ASSERT_GE(tried, 5, "ways to be refused");
	ASSERT_EQ(calls_of_one_run(t), 0, "calls after all");
}

static void test_skipped(struct env_pattern *t)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info), ids[64] = {}, obj_ids[64] = {}, nr_bad;
	int fd, i;

	ids_reset(t);
	t->flags = BPF_F_TRACING_MULTI_SKIP;
	for (i = 0; i < 3; i++)
		bad_add(t, &bads[i]);
	nr_bad = t->cnt;
	ids_add_test_funcs(t);
	ids_add(t, t->ids[t->cnt - 1]);
	nr_bad++;
	fd = attach(t, t->skel->progs.entry);
	if (!ASSERT_GE(fd, 0, "attach"))
		return;
	check_info(fd, NR_TEST_FUNCS, nr_bad);
	ASSERT_EQ(count_lines(t->log), nr_bad, "lines");
	ASSERT_HAS_SUBSTR(t->log, "bpf_fentry_test10: the id is given twice", "twice");
	ASSERT_EQ(calls_of_one_run(t), NR_TEST_FUNCS, "calls");

	info.tracing_multi.ids = ptr_to_u64(ids);
	info.tracing_multi.btf_obj_ids = ptr_to_u64(obj_ids);
	info.tracing_multi.count = ARRAY_SIZE(ids);
	ASSERT_OK(bpf_link_get_info_by_fd(fd, &info, &len), "link info");
	for (i = 0; i < NR_TEST_FUNCS; i++) {
		ASSERT_EQ(obj_ids[i], 1, "BTF object");
		ASSERT_STRNEQ(name_of(t, ids[i]), "bpf_fentry_test", 15, "name");
	}
	ASSERT_EQ(info.tracing_multi.btf_obj_id, 1, "btf_obj_id");

	/* attached already */
	t->flags = 0;
	ids_reset(t);
	ids_add(t, func_id(t->btf, "bpf_fentry_test3"));
	ASSERT_EQ(attach(t, t->skel->progs.entry), -EBUSY, "again");
	ASSERT_HAS_SUBSTR(t->log, "bpf_fentry_test3: the program is attached already", "again");
	close(fd);
}

/*
 * Among all functions of the kernel: one that cannot be attached, and hundreds
 */

#define MAX_KINDS	128
#define PER_KIND	100
#define TWICE		"the id is given twice"

/* Functions that cannot be attached for the same reason */
struct kind {
	char reason[160];	/* without the function's name */
	__u32 ids[PER_KIND];
	int cnt;
};

struct many {
	struct kind kinds[MAX_KINDS];
	int nr_kinds;
	__u32 *good;
	__u32 nr_good;
};

/* "#<index> btf <object> id <id> <name>: <reason>"; whose name is cut out of it */
static bool parse_line(struct env_pattern *t, const char *line, __u32 *index, char *reason,
		       size_t size)
{
	__u32 obj_id, id;
	const char *name;
	char *in;
	int n = 0;

	if (sscanf(line, "#%u btf %u id %u %n", index, &obj_id, &id, &n) != 3 || !n ||
	    obj_id != 1 || *index >= t->cnt || t->ids[*index] != id)
		return false;
	name = name_of(t, id);
	line += n;
	if (strncmp(line, name, strlen(name)) || strncmp(line + strlen(name), ": ", 2))
		return false;
	line += strlen(name) + 2;
	snprintf(reason, size, "%.*s", (int)strcspn(line, "\n"), line);
	in = strstr(reason, name);
	if (in)
		memmove(in, in + strlen(name), strlen(in + strlen(name)) + 1);
	return true;
}

static struct kind *find_kind(struct many *m, const char *reason)
{
	int i;

	for (i = 0; i < m->nr_kinds; i++)
		if (!strcmp(m->kinds[i].reason, reason))
			return &m->kinds[i];
	return NULL;
}

/* All functions of vmlinux and some ids that are none */
static void add_everything(struct env_pattern *t)
{
	__u32 id, nr = btf__type_cnt(t->btf), others = 0;

	ids_reset(t);
	for (id = 1; id < nr; id++)
		if (btf_is_func(btf__type_by_id(t->btf, id)) || others++ < PER_KIND)
			ids_add(t, id);
}

static struct kind *find_or_add_kind(struct many *m, const char *reason)
{
	struct kind *kind = find_kind(m, reason);

	if (kind || !ASSERT_LT(m->nr_kinds, MAX_KINDS, "kinds"))
		return kind;
	kind = &m->kinds[m->nr_kinds++];
	strcpy(kind->reason, reason);
	return kind;
}

/* Divides everything into what the program is attached to, and the kinds of others. */
static bool divide(struct env_pattern *t, const struct bpf_program *prog, struct many *m)
{
	bool *bad = calloc(MAX_IDS, sizeof(*bad));
	__u32 index, i, nr_bad = 0;
	struct kind *kind;
	char reason[160];
	const char *line;
	bool ok = false;
	int fd = -1;

	m->good = calloc(MAX_IDS, sizeof(*m->good));
	if (!ASSERT_OK_PTR(bad, "bad") || !ASSERT_OK_PTR(m->good, "good"))
		goto out;
	add_everything(t);
	t->flags = BPF_F_TRACING_MULTI_SKIP;
	fd = attach(t, prog);
	if (!ASSERT_GE(fd, 0, "attach to everything"))
		goto out;
	for (line = t->log; *line; line = strchr(line, '\n') + 1) {
		/* silent if it is right: there are thousands */
		if (!parse_line(t, line, &index, reason, sizeof(reason)) || bad[index]) {
			PRINT_FAIL("%.*s\n", (int)strcspn(line, "\n"), line);
			goto out;
		}
		bad[index] = true;
		nr_bad++;
		kind = find_or_add_kind(m, reason);
		if (!kind)
			goto out;
		if (kind->cnt < PER_KIND)
			kind->ids[kind->cnt++] = t->ids[index];
	}
	for (i = 0; i < t->cnt; i++)
		if (!bad[i])
			m->good[m->nr_good++] = t->ids[i];
	ok = check_info(fd, m->nr_good, nr_bad);
	kind = find_or_add_kind(m, TWICE);
	for (i = 0; kind && i < m->nr_good && kind->cnt < PER_KIND; i += 1 + rand() % 2)
		kind->ids[kind->cnt++] = m->good[i];
out:
	if (fd >= 0)
		close(fd);
	free(bad);
	return ok;
}

/* One of them, somewhere among the good ones */
static void check_one_bad(struct env_pattern *t, const struct bpf_program *prog,
			  const struct many *m, const struct kind *kind)
{
	bool twice = !strcmp(kind->reason, TWICE);
	__u32 at = twice ? m->nr_good : rand() % (m->nr_good + 1), index;
	char reason[160] = "";
	int fd;

	ids_reset(t);
	memcpy(t->ids, m->good, at * sizeof(*t->ids));
	t->ids[at] = kind->ids[rand() % kind->cnt];
	memcpy(t->ids + at + 1, m->good + at, (m->nr_good - at) * sizeof(*t->ids));
	t->cnt = m->nr_good + 1;

	/* two ids of a function are no error, but only one is attached */
	fd = attach(t, prog);
	if (!strcmp(kind->reason, "another id is of the same function")) {
		ASSERT_GE(fd, 0, kind->reason);
		close(fd);
	} else {
		ASSERT_LT(fd, 0, kind->reason);
		ASSERT_EQ(count_lines(t->log), 1, "lines");
		ASSERT_TRUE(parse_line(t, t->log, &index, reason, sizeof(reason)), "line");
		ASSERT_EQ(index, at, "index");
		ASSERT_STREQ(reason, kind->reason, "reason");
	}
	t->flags = BPF_F_TRACING_MULTI_SKIP;
	fd = attach(t, prog);
	if (!ASSERT_GE(fd, 0, "skip"))
		return;
	check_info(fd, m->nr_good, 1);
	ASSERT_EQ(count_lines(t->log), 1, "lines");
	ASSERT_TRUE(parse_line(t, t->log, &index, reason, sizeof(reason)), "line");
	ASSERT_EQ(index, at, "index");
	ASSERT_STREQ(reason, kind->reason, "reason");
	close(fd);
}

static void shuffle(__u32 *v, __u32 cnt)
{
	__u32 i, j, tmp;

	for (i = cnt - 1; i; i--) {
		j = rand() % (i + 1);
		tmp = v[i];
		v[i] = v[j];
		v[j] = tmp;
	}
}

/* All that were kept of each kind, in any order */
static void check_all_bad(struct env_pattern *t, const struct bpf_program *prog, struct many *m)
{
	int fd, i, told[MAX_KINDS] = {}, nr_bad = 0;
	char reason[160];
	struct kind *kind;
	const char *line;
	__u32 index;

	ids_reset(t);
	memcpy(t->ids, m->good, m->nr_good * sizeof(*t->ids));
	t->cnt = m->nr_good;
	for (i = 0; i < m->nr_kinds; i++) {
		memcpy(t->ids + t->cnt, m->kinds[i].ids, m->kinds[i].cnt * sizeof(*t->ids));
		t->cnt += m->kinds[i].cnt;
		nr_bad += m->kinds[i].cnt;
	}
	shuffle(t->ids, t->cnt);
	ASSERT_LT(attach(t, prog), 0, "strict");
	ASSERT_EQ(count_lines(t->log), 1, "lines");
	t->flags = BPF_F_TRACING_MULTI_SKIP;
	fd = attach(t, prog);
	if (!ASSERT_GE(fd, 0, "skip"))
		return;
	check_info(fd, m->nr_good, nr_bad);
	close(fd);
	for (line = t->log; *line; line = strchr(line, '\n') + 1) {
		kind = parse_line(t, line, &index, reason, sizeof(reason)) ?
		       find_kind(m, reason) : NULL;
		for (i = 0; kind && i < kind->cnt && kind->ids[i] != t->ids[index]; i++)
			;
		if (!kind || i == kind->cnt) {
			PRINT_FAIL("%.*s\n", (int)strcspn(line, "\n"), line);
			return;
		}
		told[kind - m->kinds]++;
	}
	for (i = 0; i < m->nr_kinds; i++)
		ASSERT_EQ(told[i], m->kinds[i].cnt, m->kinds[i].reason);
}

/*
 * A few names are looked up one by one, many in one pass: neither takes one of the
 * functions that share a name.
 */
static void check_ambiguous(struct env_pattern *t, struct many *m)
{
	struct kind *kind = find_kind(m, "more than one function has this name");
	__u64 addr = 0;
	int i;

	if (!ASSERT_OK_PTR(kind, "names of several functions"))
		return;
	for (i = 0; i < kind->cnt; i++)
		if (!ASSERT_EQ(attach_alone(t, kind->ids[i], 0, &addr), -EADDRNOTAVAIL,
			       name_of(t, kind->ids[i])))
			return;
}

/* @only: of which kinds, by a part of the reason, one is tried alone; NULL: of all */
static void test_many(struct env_pattern *t, const struct bpf_program *prog, const char *only)
{
	struct many *m = calloc(1, sizeof(*m));
	int i, tried = 0;

	if (!ASSERT_OK_PTR(m, "many"))
		return;
	if (divide(t, prog, m)) {
		printf("%u functions\n", m->nr_good);
		if (!only)
			check_ambiguous(t, m);
		for (i = 0; i < m->nr_kinds; i++) {
			printf("%d: %s\n", m->kinds[i].cnt, m->kinds[i].reason);
			if (only && !strstr(m->kinds[i].reason, only))
				continue;
			check_one_bad(t, prog, m, &m->kinds[i]);
			tried++;
		}
		ASSERT_GT(tried, only ? 0 : 5, "kinds");
		check_all_bad(t, prog, m);
	}
	free(m->good);
	free(m);
}

/* Bad arguments change nothing. */
static void test_arguments(struct env_pattern *t)
{
	ids_reset(t);
	ids_add_test_funcs(t);
	t->flags = 2;
	ASSERT_EQ(attach(t, t->skel->progs.entry), -EINVAL, "unknown flag");
	t->flags = 0;
	t->data_map_fd = 1;
	ASSERT_EQ(attach(t, t->skel->progs.entry), -EINVAL, "a map, and no data");
	t->data_map_fd = 0;
	t->flags = BPF_F_TRACING_MULTI_SKIP;
	t->use_fds = true;
	t->fds[3] = 4711;
	ASSERT_EQ(attach(t, t->skel->progs.entry), -EBADF, "no such descriptor");
	t->fds[3] = bpf_program__fd(t->skel->progs.other);
	ASSERT_EQ(attach(t, t->skel->progs.entry), -EOPNOTSUPP, "a program");
	t->fds[3] = bpf_map__fd(t->skel->maps.bss);
	ASSERT_EQ(attach(t, t->skel->progs.entry), -EINVAL, "a map");
	t->fds[3] = bpf_object__btf_fd(t->skel->obj);
	ASSERT_EQ(attach(t, t->skel->progs.entry), -EOPNOTSUPP, "BTF of user space");

	ids_reset(t);
	ASSERT_EQ(attach(t, t->skel->progs.entry), -EINVAL, "no function");
	ids_add_test_funcs(t);
	t->cnt = (1 << 20) + 1;
	ASSERT_EQ(attach(t, t->skel->progs.entry), -E2BIG, "too many");
	t->cnt = NR_TEST_FUNCS;

	/* what cannot be told is undone */
	ids_reset(t);
	ids_add_test_funcs(t);
	ids_add(t, 0);
	t->flags = BPF_F_TRACING_MULTI_SKIP;
	t->log_buf = PTR_NOWHERE;
	ASSERT_EQ(attach(t, t->skel->progs.entry), -EFAULT, "log nowhere");
	t->log_level = 0;
	ASSERT_EQ(attach(t, t->skel->progs.entry), -EINVAL, "log without level");
	t->log_level = 1 << 5;
	ASSERT_EQ(attach(t, t->skel->progs.entry), -EINVAL, "level of no log");
	ids_reset(t);
	ASSERT_EQ(calls_of_one_run(t), 0, "calls");
}

/*
 * Modules
 */

struct mod {
	const char *name;
	const char *func;
	/* its text has been freed when the module is live */
	const char *init;
	struct btf *btf;
	__u32 obj_id;
	int fd;
};

static bool mod_open(struct env_pattern *t, struct mod *mod)
{
	mod->fd = kernel_btf(mod->name, &mod->obj_id);
	if (!ASSERT_GT(mod->fd, 0, mod->name))
		return false;
	mod->btf = btf__load_module_btf(mod->name, t->btf);
	return ASSERT_OK_PTR(mod->btf, mod->name);
}

static void mod_close(struct mod *mod)
{
	btf__free(mod->btf);
	if (mod->fd)
		close(mod->fd);
}

static void call_modules(void)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	struct kfunc_module_order *skel;
	char data[64] = {};

	opts.data_in = data;
	opts.data_size_in = sizeof(data);
	skel = kfunc_module_order__open_and_load();
	if (!ASSERT_OK_PTR(skel, "kfunc_module_order"))
		return;
	ASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.call_kfunc_xy), &opts), "run");
	kfunc_module_order__destroy(skel);
}

/* The modules' functions only, which come after the @first ids of vmlinux */
static void check_foreign(struct env_pattern *t, __u32 first, const struct bpf_program *prog)
{
	__u32 ids[2], fds[2], cnt = t->cnt;
	int fd;

	memcpy(ids, t->ids, sizeof(ids));
	memcpy(fds, t->fds, sizeof(fds));
	memcpy(t->ids, t->ids + first, sizeof(ids));
	memcpy(t->fds, t->fds + first, sizeof(fds));
	t->cnt = 2;
	fd = attach(t, prog);
	if (ASSERT_GE(fd, 0, bpf_program__name(prog))) {
		check_info(fd, 2, 0);
		t->skel->bss->calls = 0;
		call_modules();
		ASSERT_EQ(t->skel->bss->calls, 2, bpf_program__name(prog));
		close(fd);
	}
	memcpy(t->ids, ids, sizeof(ids));
	memcpy(t->fds, fds, sizeof(fds));
	t->cnt = cnt;
}

static void check_init_refused(struct env_pattern *t, const struct mod *mod, const char *what)
{
	char line[128];

	snprintf(line, sizeof(line), "%s: no symbol of this name is a function", mod->init);
	ASSERT_EQ(attach(t, t->skel->progs.entry), -ENOENT, what);
	ASSERT_EQ(count_lines(t->log), 1, what);
	ASSERT_HAS_SUBSTR(t->log, line, what);
}

/* A module's init function, after all that there are already, and alone */
static void check_init(struct env_pattern *t, const struct mod *mod)
{
	__u32 id = t->ids[0], cnt = t->cnt;
	int fd;

	t->fds[cnt] = mod->fd;
	ids_add(t, func_id(mod->btf, mod->init));
	check_init_refused(t, mod, "init among others");
	t->flags = BPF_F_TRACING_MULTI_SKIP;
	fd = attach(t, t->skel->progs.entry);
	if (ASSERT_GE(fd, 0, "init is left out")) {
		check_info(fd, cnt, 1);
		ASSERT_EQ(calls_of_one_run(t), NR_TEST_FUNCS, "the others");
		close(fd);
	}

	t->ids[0] = t->ids[cnt];
	t->fds[0] = mod->fd;
	t->cnt = 1;
	check_init_refused(t, mod, "init alone, left out");
	t->flags = 0;
	check_init_refused(t, mod, "init alone");
	t->ids[0] = id;
	t->fds[0] = 0;
	t->fds[cnt] = 0;
	t->cnt = cnt;
}

static void check_modules(struct env_pattern *t, struct mod *mods)
{
	__u32 vmlinux_only = t->cnt;
	int fd, i;

	for (i = 0; i < 2; i++) {
		t->fds[t->cnt] = mods[i].fd;
		ids_add(t, func_id(mods[i].btf, mods[i].func));
	}
	t->use_fds = true;
	fd = attach(t, t->skel->progs.entry);
	if (!ASSERT_GE(fd, 0, "attach"))
		return;
	check_info(fd, t->cnt, 0);
	ASSERT_NEQ(try_unload_module(mods[0].name, 3, false), 0, "rmmod of what is traced");
	ASSERT_EQ(calls_of_one_run(t), NR_TEST_FUNCS, "vmlinux");
	t->skel->bss->calls = 0;
	call_modules();
	ASSERT_EQ(t->skel->bss->calls, 2, "modules");
	close(fd);

	check_init(t, &mods[0]);
	/* nothing of the object that the program was loaded for */
	check_foreign(t, vmlinux_only, t->skel->progs.entry);
	check_foreign(t, vmlinux_only, t->skel->progs.of_module);
	/* what the calling program held of it may go a while later */
	ASSERT_OK(try_unload_module(mods[0].name, RMMOD_TRIES, false), "rmmod");

	/* the module has gone, its BTF object is held: left out, or refused */
	ASSERT_EQ(attach(t, t->skel->progs.entry), -ENOENT, "gone");
	ASSERT_HAS_SUBSTR(t->log, "the module is not live", "gone");
	t->flags = BPF_F_TRACING_MULTI_SKIP;
	fd = attach(t, t->skel->progs.entry);
	if (ASSERT_GE(fd, 0, "one left out"))
		check_info(fd, t->cnt - 1, 1);
	close(fd);

	/* an id of vmlinux's is none of the module's */
	t->flags = 0;
	t->cnt = vmlinux_only;
	t->fds[0] = mods[1].fd;
	ASSERT_EQ(attach(t, t->skel->progs.entry), -EINVAL, "id of the base");
	ASSERT_HAS_SUBSTR(t->log, "the id is none of a function", "id of the base");
	t->fds[0] = 0;
}

static void add_module(struct env_pattern *t, const struct mod *mod)
{
	__u32 id, nr = btf__type_cnt(mod->btf);

	for (id = btf__type_cnt(t->btf); id < nr; id++) {
		if (!btf_is_func(btf__type_by_id(mod->btf, id)))
			continue;
		t->fds[t->cnt] = mod->fd;
		ids_add(t, id);
	}
}

/* All functions of three objects: each id stands for what it does alone. */
static void check_bulk(struct env_pattern *t, const struct mod *mods)
{
	__u32 ids[2], test1 = func_id(t->btf, "bpf_fentry_test1");
	__u64 alone[2] = {}, alone_test1 = 0;
	struct attached at = {};
	int i, fd;

	memset(t->fds, 0, sizeof(t->fds));
	ASSERT_OK(attach_alone(t, test1, 0, &alone_test1), "test1 alone");
	for (i = 0; i < 2; i++) {
		ids[i] = func_id(mods[i].btf, mods[i].func);
		ASSERT_OK(attach_alone(t, ids[i], mods[i].fd, &alone[i]), mods[i].func);
	}
	add_everything(t);
	for (i = 0; i < 2; i++)
		add_module(t, &mods[i]);
	t->use_fds = true;
	t->flags = BPF_F_TRACING_MULTI_SKIP;
	fd = attach(t, t->skel->progs.entry);
	if (!ASSERT_GE(fd, 0, "attach to all of three objects"))
		return;
	if (get_attached(fd, &at)) {
		ASSERT_EQ(attached_at(&at, VMLINUX_OBJ, test1), alone_test1, "test1");
		for (i = 0; i < 2; i++)
			ASSERT_EQ(attached_at(&at, mods[i].obj_id, ids[i]), alone[i],
				  mods[i].func);
	}
	put_attached(&at);
	close(fd);
}

static void test_modules(struct env_pattern *t)
{
	struct mod mods[2] = {
		{ "bpf_test_modorder_x", "bpf_test_modorder_retx", "bpf_test_modorder_x_init" },
		{ "bpf_test_modorder_y", "bpf_test_modorder_rety", "bpf_test_modorder_y_init" },
	};

	if (!ASSERT_OK(load_module("bpf_test_modorder_x.ko", false), "load x"))
		return;
	if (!ASSERT_OK(load_module("bpf_test_modorder_y.ko", false), "load y"))
		goto out;
	if (mod_open(t, &mods[0]) && mod_open(t, &mods[1])) {
		check_bulk(t, mods);
		ids_reset(t);
		ids_add_test_funcs(t);
		check_modules(t, mods);
	}
	mod_close(&mods[0]);
	mod_close(&mods[1]);
	unload_module("bpf_test_modorder_y", false);
out:
	try_unload_module("bpf_test_modorder_x", RMMOD_TRIES, false);
}

/* A program of this function alone: 0 if it can be attached */
static int attach_single(const struct mod *mod, __u32 id)
{
	const struct bpf_insn insns[] = {
		BPF_MOV64_IMM(BPF_REG_0, 0),
		BPF_EXIT_INSN(),
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	int prog, link;

	opts.expected_attach_type = BPF_TRACE_FENTRY;
	opts.attach_btf_obj_fd = mod->fd;
	opts.attach_btf_id = id;
	prog = bpf_prog_load(BPF_PROG_TYPE_TRACING, "single", "GPL", insns, ARRAY_SIZE(insns),
			     &opts);
	if (!ASSERT_GE(prog, 0, "load"))
		return prog;
	link = bpf_link_create(prog, 0, BPF_TRACE_FENTRY, NULL);
	close(prog);
	if (link < 0)
		return link;
	close(link);
	return 0;
}

/*
 * More registers and stack slots than some trampolines carry: it is for the
 * architecture to say, of a link on many functions as of a program on one.
 */
static void test_wide(struct env_pattern *t)
{
	struct mod mod = { "bpf_testmod", "bpf_testmod_test_struct_arg_10" };
	int fd;

	if (!mod_open(t, &mod))
		goto out;
	ids_reset(t);
	ids_add(t, func_id(mod.btf, mod.func));
	t->fds[0] = mod.fd;
	t->use_fds = true;
	fd = attach(t, t->skel->progs.entry);
	if (!attach_single(&mod, t->ids[0])) {
		ASSERT_GE(fd, 0, "attach");
		t->skel->bss->calls = 0;
		ASSERT_OK(trigger_module_test_read(1), "trigger_read");
		ASSERT_EQ(t->skel->bss->calls, 1, "calls");
	} else {
		ASSERT_EQ(fd, -EOPNOTSUPP, "attach");
		ASSERT_HAS_SUBSTR(t->log, "the arguments take too many registers", "line");
	}
	if (fd >= 0)
		close(fd);
out:
	mod_close(&mod);
}

/*
 * libbpf's patterns
 */

static const char * const patterns[] = {
	"tcp_*", "udp_*", "vfs_*", "ip_*", "sched_*", "do_*", "kmem_*", "bpf_*", "*_lock",
	"inet_*", "sock_*", "mm_*", "*", "ksys_*", "__x64_sys_*",
};

static __u32 link_cnt(const struct bpf_link *link)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	ASSERT_OK(bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len), "link info");
	return info.tracing_multi.count;
}

static bool is_of_x86(const char *pattern)
{
	return strstr(pattern, "x64");
}

static void test_patterns(struct env_pattern *t)
{
	struct bpf_link *link;
	int i;

	for (i = 0; i < ARRAY_SIZE(patterns); i++) {
#ifndef __x86_64__
		if (is_of_x86(patterns[i]))
			continue;
#endif
		link = bpf_program__attach_tracing_multi(t->skel->progs.entry, patterns[i], NULL);
		if (!ASSERT_OK_PTR(link, patterns[i]))
			continue;
		ASSERT_GT(link_cnt(link), is_of_x86(patterns[i]) ? 0 : 1, patterns[i]);
		bpf_link__destroy(link);
	}
	link = bpf_program__attach_tracing_multi(t->skel->progs.leave, "*", NULL);
	ASSERT_OK_PTR(link, "fexit");
	bpf_link__destroy(link);
	link = bpf_program__attach_tracing_multi(t->skel->progs.sleepable, "*", NULL);
	ASSERT_OK_PTR(link, "sleepable");
	bpf_link__destroy(link);
	link = bpf_program__attach_tracing_multi(t->skel->progs.entry, "no_such_function*", NULL);
	ASSERT_ERR_PTR(link, "nothing matches");
}

static void test_exclude(struct env_pattern *t)
{
	struct bpf_link *link;

	link = bpf_program__attach_tracing_multi(t->skel->progs.entry,
						 "bpf_fentry_test*,!bpf_fentry_test1*", NULL);
	if (!ASSERT_OK_PTR(link, "exclude"))
		return;
	ASSERT_EQ(calls_of_one_run(t), NR_TEST_FUNCS - 2, "calls");
	bpf_link__destroy(link);
}

static const char * const bad_patterns[] = {
	"", ",", "a,", "a,,b", "!", "!!a", ":a", "a:", "a:b:c", "a b", "no_such_module:a",
};

/* Lists of patterns, of several BTF objects; what does not fit is refused. */
static void test_lists(struct env_pattern *t)
{
	static const char list[] = "bpf_fentry_test1,bpf_testmod:bpf_testmod_fentry_test*";
	static const char any_object[] = "*:bpf_testmod_fentry_test1,no_such_function";
	static const char * const more[] = {
		"bpf_fentry_test2", "!bpf_testmod:bpf_testmod_fentry_test2",
	};
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts, .patterns = more, .pattern_cnt = 2);
	__u32 ids[] = { func_id(t->btf, "bpf_fentry_test1"), 0 };
	struct bpf_link *link;
	int i;

	/* the program is loaded for the module */
	link = bpf_program__attach_tracing_multi(t->skel->progs.of_module, list, &opts);
	if (ASSERT_OK_PTR(link, "two objects")) {
		ASSERT_EQ(opts.attached, 2 + 4, "attached");
		ASSERT_EQ(opts.skipped, 0, "skipped");
		ASSERT_EQ(link_cnt(link), 2 + 4, "count");
		ASSERT_EQ(calls_of_one_run(t), 2, "vmlinux");
		t->skel->bss->calls = 0;
		ASSERT_OK(trigger_module_test_read(1), "trigger_read");
		ASSERT_EQ(t->skel->bss->calls, 4, "module");
		bpf_link__destroy(link);
	}

	link = bpf_program__attach_tracing_multi(t->skel->progs.entry, any_object, NULL);
	if (ASSERT_OK_PTR(link, "any object"))
		ASSERT_EQ(link_cnt(link), 1, "count");
	bpf_link__destroy(link);

	LIBBPF_OPTS_RESET(opts);
	opts.ids = ids;
	opts.cnt = 2;
	opts.skip = true;
	link = bpf_program__attach_tracing_multi(t->skel->progs.entry, NULL, &opts);
	if (ASSERT_OK_PTR(link, "ids")) {
		ASSERT_EQ(opts.attached, 1, "attached");
		ASSERT_EQ(opts.skipped, 1, "skipped");
	}
	bpf_link__destroy(link);

	for (i = 0; i < ARRAY_SIZE(bad_patterns); i++) {
		link = bpf_program__attach_tracing_multi(t->skel->progs.entry, bad_patterns[i],
							 NULL);
		ASSERT_EQ(libbpf_get_error(link), -EINVAL, bad_patterns[i]);
	}
}

/*
 * All that a pattern names and that can be attached alone, and nothing else
 */

#define NOWHERE		(~0ULL)

static const struct exact {
	const char *pattern;
	/* every so many-th function that begins with this is tried */
	const char *prefix;
	int step;
} exacts[] = {
	{ "tcp_*", "tcp_", 1 },
	{ "do_*", "do_", 1 },
#ifdef __x86_64__
	/* some of these are another name of a function that ftrace lists by its first */
	{ "__x64_sys_*", "__x64_sys_", 1 },
#endif
	{ "*", "", 66 },
};

static bool begins_with(const struct env_pattern *t, __u32 id, const char *prefix)
{
	const struct btf_type *type = btf__type_by_id(t->btf, id);

	return btf_is_func(type) &&
	       !strncmp(btf__name_by_offset(t->btf, type->name_off), prefix, strlen(prefix));
}

static void try_alone(struct env_pattern *t, const struct exact *ex)
{
	__u32 id, nr = btf__type_cnt(t->btf);
	int seen = 0;

	for (id = 1; id < nr; id++) {
		if (!begins_with(t, id, ex->prefix) || seen++ % ex->step || t->alone[id])
			continue;
		if (attach_alone(t, id, 0, &t->alone[id]))
			t->alone[id] = NOWHERE;
	}
}

/* An id stands for the same function, whatever else is attached with it. */
static bool check_alone(const struct env_pattern *t, const struct attached *in_link, __u32 id)
{
	__u64 addr = attached_at(in_link, VMLINUX_OBJ, id);

	if (addr)
		return t->alone[id] == addr;
	/* of two ids of one function only one is in the link */
	return t->alone[id] == NOWHERE || has_address(in_link, t->alone[id]);
}

static void check_exact(struct env_pattern *t, const struct exact *ex)
{
	__u32 id, nr = btf__type_cnt(t->btf);
	int wrong = 0, seen = 0, tried = 0;
	struct attached in_link;
	struct bpf_link *link;

	link = bpf_program__attach_tracing_multi(t->skel->progs.entry, ex->pattern, NULL);
	if (!ASSERT_OK_PTR(link, ex->pattern))
		return;
	if (!get_attached(bpf_link__fd(link), &in_link))
		goto out;
	for (id = 1; id < nr; id++) {
		if (!begins_with(t, id, ex->prefix) || seen++ % ex->step)
			continue;
		tried++;
		if (check_alone(t, &in_link, id))
			continue;
		printf("%s: alone at %llx, in the link at %llx\n", name_of(t, id), t->alone[id],
		       attached_at(&in_link, VMLINUX_OBJ, id));
		wrong++;
	}
	for (id = 0; id < in_link.cnt; id++)
		if (!begins_with(t, in_link.ids[id], ex->prefix))
			wrong++;
	printf("%s: %u attached, %d tried alone\n", ex->pattern, in_link.cnt, tried);
	ASSERT_EQ(wrong, 0, ex->pattern);
	ASSERT_GT(tried, 50, "tried");
out:
	put_attached(&in_link);
	bpf_link__destroy(link);
}

/*
 * Alone first: of a function that a link covers the kernel knows what its id stands
 * for, and looks no name up.
 */
static void test_exact(struct env_pattern *t)
{
	int i, fd;

	/* ftrace takes long to register the first direct caller, and to remove the last */
	ids_reset(t);
	ids_add(t, func_id(t->btf, "bpf_fentry_test1"));
	fd = attach(t, t->skel->progs.entry);
	if (!ASSERT_GE(fd, 0, "attach"))
		return;
	for (i = 0; i < ARRAY_SIZE(exacts); i++)
		try_alone(t, &exacts[i]);
	close(fd);
	for (i = 0; i < ARRAY_SIZE(exacts); i++)
		check_exact(t, &exacts[i]);
}

void serial_test_tracing_multi_pattern(void)
{
	struct env_pattern *t;

#if !defined(__x86_64__) && !defined(__aarch64__)
	test__skip();
	return;
#endif
	t = calloc(1, sizeof(*t));
	if (!ASSERT_OK_PTR(t, "calloc"))
		return;
	t->btf = btf__load_vmlinux_btf();
	if (!ASSERT_OK_PTR(t->btf, "btf__load_vmlinux_btf"))
		goto out_free;
	t->skel = tracing_multi_pattern__open_and_load();
	if (!ASSERT_OK_PTR(t->skel, "open_and_load"))
		goto out;
	t->skel->bss->pid = getpid();
	/* before any link covers these functions: what one leaves is tidied up later */
	if (test__start_subtest("exact"))
		test_exact(t);
	if (test__start_subtest("refused"))
		test_refused(t);
	if (test__start_subtest("skipped"))
		test_skipped(t);
	if (test__start_subtest("many"))
		test_many(t, t->skel->progs.entry, NULL);
	if (test__start_subtest("many_fexit"))
		test_many(t, t->skel->progs.leave, "noreturn");
	if (test__start_subtest("many_sleepable"))
		test_many(t, t->skel->progs.sleepable, "not sleepable");
	if (test__start_subtest("arguments"))
		test_arguments(t);
	if (test__start_subtest("modules"))
		test_modules(t);
	if (test__start_subtest("wide")) {
		if (env.has_testmod)
			test_wide(t);
		else
			test__skip();
	}
	if (test__start_subtest("patterns"))
		test_patterns(t);
	if (test__start_subtest("exclude"))
		test_exclude(t);
	if (test__start_subtest("lists"))
		test_lists(t);
	tracing_multi_pattern__destroy(t->skel);
out:
	btf__free(t->btf);
out_free:
	free(t);
}
