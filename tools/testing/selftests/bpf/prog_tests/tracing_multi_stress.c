// SPDX-License-Identifier: GPL-2.0
/*
 * What tracing_multi links have to survive: memory that runs out and patching
 * that fails at any step, input that makes no sense, functions that sleep while
 * links come and go, tracers, injected errors and LSM programs on the same
 * functions; and that stacks can be told through their trampolines.
 *
 * In the environment, TRACING_MULTI_FAULTS=1 has every step fail, not one in a few;
 * TRACING_MULTI_FUZZ is the number of system calls with malformed input,
 * TRACING_MULTI_CYCLES that of links around sleeping tasks.
 */
#include <pthread.h>
#include <sys/mman.h>
#include "tracing_multi_sets.skel.h"
#include "tracing_multi_sets_env.h"
#include "../progs/tracing_multi_stress.h"
#include "tracing_multi_stress.skel.h"

/*
 * Failures, one at a time
 */

static const struct {
	const char *file;
	const char *val;
} fault_settings[] = {
	/* that would be nothing but atomic allocations */
	{ DEBUGFS "failslab/ignore-gfp-wait", "N" },
	{ DEBUGFS "failslab/verbose", "0" },
	{ DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N" },
	{ DEBUGFS "fail_page_alloc/ignore-gfp-highmem", "N" },
	{ DEBUGFS "fail_page_alloc/min-order", "0" },
	{ DEBUGFS "fail_page_alloc/verbose", "0" },
	{ DEBUGFS "fail_function/verbose", "0" },
};

/* What patches call sites, entries and thunks, and generates code */
static const char * const fault_functions[] = {
	"bpf_tramp_batch_run",
	"bpf_tramp_body_prepare",
	"bpf_tramp_body_switch",
	"thunks_write",
};

static bool faults_setup(void)
{
	char file[256];
	int i;

	for (i = 0; i < ARRAY_SIZE(fault_settings); i++)
		if (write_str(fault_settings[i].file, fault_settings[i].val))
			return false;
	for (i = 0; i < ARRAY_SIZE(fault_functions); i++) {
		if (!ASSERT_OK(write_str(DEBUGFS "fail_function/inject", fault_functions[i]),
			       fault_functions[i]))
			return false;
		snprintf(file, sizeof(file), DEBUGFS "fail_function/%s/retval",
			 fault_functions[i]);
		if (!ASSERT_OK(write_str(file, "0xfffffffffffffff4"), file))
			return false;
	}
	return true;
}

static void faults_cleanup(void)
{
	write_str(DEBUGFS "fail_function/inject", "\n");
}

/* The nth thing that can fail in this thread does; 0: nothing. */
static int fail_nth(int nth)
{
	char val[16];
	int fd, err;

	fd = open("/proc/thread-self/fail-nth", O_RDWR);
	if (fd < 0)
		return -errno;
	snprintf(val, sizeof(val), "%d", nth);
	err = write(fd, val, strlen(val)) < 0 ? -errno : 0;
	close(fd);
	return err;
}

/* Has it failed? Then nothing else will. */
static bool fail_nth_fired(void)
{
	char val[16] = {};
	int fd, left = 0;

	fd = open("/proc/thread-self/fail-nth", O_RDWR);
	if (fd >= 0) {
		if (pread(fd, val, sizeof(val) - 1, 0) > 0)
			left = atoi(val);
		close(fd);
	}
	fail_nth(0);
	return !left;
}

/* A world in which a link meets sets of all kinds */
static bool faults_world(struct env_sets *t)
{
	return ASSERT_OK(sets_attach(t, SETS_ARG_1, ALL_FUNCS), "arg_1") &&
	       ASSERT_OK(sets_attach(t, SETS_IP_1, 0x0f7), "ip_1") &&
	       ASSERT_OK(sets_attach(t, SETS_COOKIE_1, 0x3de), "cookie_1") &&
	       ASSERT_OK(sets_attach(t, SETS_FEXIT_1, 0x1b6), "fexit_1") &&
	       ASSERT_OK(sets_attach(t, SETS_ONE_FENTRY_5, 0), "one_fentry_5") &&
	       sets_check(t, "before");
}

#define FAULTS_MASK	0x2db
/* more steps than there are */
#define FAULTS_MAX	3000
/* by default one step in so many fails, others for each program */
#define FAULTS_STRIDE	7

static int next_fault(int nth, int p)
{
	int stride = env_number("TRACING_MULTI_FAULTS", FAULTS_STRIDE);

	return nth ? nth + stride : 1 + p % stride;
}

/* Attach program p with one failure after the other, until there is none left. */
static void fail_attach(struct env_sets *t, int p)
{
	char step[64];
	int nth, err;
	bool fired;

	for (nth = next_fault(0, p); nth < FAULTS_MAX; nth = next_fault(nth, p)) {
		snprintf(step, sizeof(step), "%s, failure %d", descs[p].name, nth);
		if (!ASSERT_OK(fail_nth(nth), "fail-nth"))
			return;
		err = sets_attach(t, p, FAULTS_MASK);
		fired = fail_nth_fired();
		if (!fired)
			break;
		/* some can be done without */
		if (!sets_check(t, step))
			return;
		if (!err && !ASSERT_OK(sets_detach(t, p), "detach"))
			return;
		if (nth % 8)
			continue;
		if (!ASSERT_OK(sets_attach(t, p, FAULTS_MASK), step) || !sets_check(t, step) ||
		    !ASSERT_OK(sets_detach(t, p), step) || !sets_check(t, step))
			return;
	}
	printf("%s: at most %d steps can fail\n", descs[p].name, nth - 1);
	ASSERT_OK(err, step);
	/* it had to go through some */
	ASSERT_GT(nth, 10, step);
	ASSERT_LT(nth, FAULTS_MAX, step);
	if (!err && sets_check(t, step))
		ASSERT_OK(sets_detach(t, p), step);
}

/*
 * close() does what it promises when memory is gone. What it leaves the next attach
 * does, unless that fails.
 */
static void fail_detach(struct env_sets *t, int p)
{
	int nth, err = 0;
	char step[64];
	bool fired;

	for (nth = next_fault(0, p); nth < FAULTS_MAX; nth = next_fault(nth, p)) {
		snprintf(step, sizeof(step), "%s, failure %d", descs[p].name, nth);
		if (!ASSERT_OK(sets_attach(t, p, FAULTS_MASK), step))
			return;
		if (!ASSERT_OK(fail_nth(nth), "fail-nth"))
			return;
		sets_detach(t, p);
		err = sets_attach(t, SETS_IP_2, 0x009);
		fired = fail_nth_fired();
		if (!sets_check(t, step))
			return;
		if (!err && (!ASSERT_OK(sets_detach(t, SETS_IP_2), step) || !sets_check(t, step)))
			return;
		if (!fired)
			break;
	}
	printf("%s: at most %d steps can fail\n", descs[p].name, nth - 1);
	ASSERT_OK(err, step);
	ASSERT_GT(nth, 10, step);
	ASSERT_LT(nth, FAULTS_MAX, step);
}

static void test_faults(struct env_sets *t, int p, void (*test)(struct env_sets *t, int p))
{
	if (access(DEBUGFS "failslab", F_OK) || access(DEBUGFS "fail_function", F_OK) ||
	    access(DEBUGFS "fail_page_alloc", F_OK)) {
		test__skip();
		return;
	}
	if (!ASSERT_TRUE(faults_setup(), "faults_setup"))
		goto out;
	if (faults_world(t))
		test(t, p);
out:
	fail_nth(0);
	faults_cleanup();
	sets_reset(t);
	sets_are_gone(t);
}

/*
 * Input that makes no sense
 */

static unsigned int fuzz_seed;

static unsigned int fuzz(unsigned int n)
{
	return rand_r(&fuzz_seed) % n;
}

struct fuzz_env {
	struct env_sets *t;
	__u32 *ids;		/* the last page of the array is not mapped */
	__u64 *cookies;
	__u32 *fds;
	char *log;
	unsigned int max;
	int map_fd;
};

static __u32 fuzz_id(struct fuzz_env *f)
{
	switch (fuzz(12)) {
	case 0:
		return 0;
	case 1:
		return rand_r(&fuzz_seed);
	case 2:
		return fuzz(btf__type_cnt(f->t->btf) + 10);
	case 3:
		return ~0U - fuzz(3);
	default:
		return f->t->ids[fuzz(SETS_FUNCS)];
	}
}

static __u64 fuzz_ptr(void *good, unsigned int size)
{
	switch (fuzz(16)) {
	case 0:
		return 0;
	case 1:
		return rand_r(&fuzz_seed);
	case 2:
		return ~0ULL - fuzz(4096);
	case 3:
		return 0xffffffff81000000ULL;
	case 4:
		/* runs into what is not mapped */
		return (unsigned long)good + size - 4 * fuzz(4);
	case 5:
		return (unsigned long)good + fuzz(8);
	default:
		return (unsigned long)good;
	}
}

static __u32 fuzz_cnt(struct fuzz_env *f)
{
	static const __u32 counts[] = { 0, 1, ~0U, 1U << 20, (1U << 20) + 1, 1U << 31, 1U << 30 };

	return fuzz(6) ? fuzz(20) : counts[fuzz(ARRAY_SIZE(counts))];
}

static int fuzz_fd(struct fuzz_env *f)
{
	switch (fuzz(16)) {
	case 0:
		return -1;
	case 1:
		return rand_r(&fuzz_seed);
	case 2:
		return f->map_fd;
	case 3:
		return btf__fd(f->t->btf);
	case 4:
		return 0;
	default:
		return bpf_program__fd(f->t->slots[fuzz(SETS_PROGS)].prog);
	}
}

/* Errors that tell what is wrong. -ENOTSUPP, among others, tells nobody. */
static bool error_is_clean(int err)
{
	switch (err) {
	case EINVAL:
	case ENOENT:
	case EBADF:
	case EFAULT:
	case E2BIG:
	case EBUSY:
	case EPERM:
	case EOPNOTSUPP:
	case ENOMEM:
	case EEXIST:
	case EADDRNOTAVAIL:
		return true;
	default:
		return false;
	}
}

/* Half of the calls have a log, most of these a good one. */
static int fuzz_link_create(struct fuzz_env *f, union bpf_attr *attr, unsigned int size)
{
	struct bpf_common_attr common = {};
	unsigned int common_size = sizeof(common);

	if (fuzz(2))
		return syscall(__NR_bpf, BPF_LINK_CREATE, attr, size);
	common.log_buf = fuzz_ptr(f->log, getpagesize());
	common.log_size = fuzz(4) ? fuzz(4096) + 1 : rand_r(&fuzz_seed);
	common.log_level = fuzz(4) ? 1 + 8 * fuzz(2) : fuzz(20);
	if (!fuzz(12))
		common_size = fuzz(2 * sizeof(common));
	return syscall(__NR_bpf, BPF_LINK_CREATE | BPF_COMMON_ATTRS, attr, size, &common,
		       common_size);
}

static bool fuzz_one(struct fuzz_env *f, int *attached)
{
	static const int types[] = {
		BPF_TRACE_FENTRY_MULTI, BPF_TRACE_FEXIT_MULTI, BPF_TRACE_FSESSION_MULTI,
	};
	union bpf_attr attr;
	unsigned int i, size = sizeof(attr);
	int fd;

	memset(&attr, 0, sizeof(attr));
	for (i = 0; i < 20; i++) {
		f->ids[i] = fuzz(4) ? f->t->ids[fuzz(SETS_FUNCS)] : fuzz_id(f);
		f->cookies[i] = fuzz(3);
		f->fds[i] = fuzz(3) ? 0 : fuzz(2) ? btf__fd(f->t->btf) : fuzz_fd(f);
	}
	/* a good part of the calls have no id twice */
	if (fuzz(2))
		for (i = 0; i < SETS_FUNCS; i++)
			f->ids[i] = f->t->ids[i];
	attr.link_create.prog_fd = fuzz_fd(f);
	attr.link_create.target_fd = fuzz(10) ? 0 : fuzz_fd(f);
	attr.link_create.attach_type = fuzz(8) ? types[fuzz(3)] : rand_r(&fuzz_seed) % 100;
	attr.link_create.flags = fuzz(10) ? BPF_F_TRACING_MULTI_SKIP * fuzz(2) : 1U << fuzz(32);
	attr.link_create.tracing_multi.fds =
		fuzz(2) ? 0 : fuzz_ptr(f->fds, f->max * sizeof(*f->fds));
	attr.link_create.tracing_multi.ids = fuzz_ptr(f->ids, f->max * sizeof(*f->ids));
	attr.link_create.tracing_multi.cookies =
		fuzz(2) ? 0 : fuzz_ptr(f->cookies, f->max * sizeof(*f->cookies));
	attr.link_create.tracing_multi.cnt = fuzz_cnt(f);
	switch (fuzz(12)) {
	case 0:
		size = fuzz(sizeof(attr));
		break;
	case 1:
		((char *)&attr)[fuzz(sizeof(attr))] ^= 1 << fuzz(8);
		break;
	}

	fd = fuzz_link_create(f, &attr, size);
	if (fd < 0)
		return error_is_clean(errno) || !ASSERT_EQ(errno, 0, "error of link_create");
	close(fd);
	++*attached;
	return true;
}

static void *fuzz_area(unsigned int size)
{
	unsigned int page = getpagesize();
	void *area;

	area = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED || munmap(area + size, page))
		return NULL;
	return area;
}

static void test_fuzz(struct env_sets *t)
{
	struct fuzz_env f = { .t = t, .max = getpagesize() / sizeof(__u64) };
	int n, cnt = env_number("TRACING_MULTI_FUZZ", 3000), attached = 0;

	fuzz_seed = 4711;
	f.ids = fuzz_area(getpagesize());
	f.cookies = fuzz_area(getpagesize());
	f.fds = fuzz_area(getpagesize());
	f.log = fuzz_area(getpagesize());
	f.map_fd = bpf_map__fd(t->skel->maps.bss);
	if (!ASSERT_OK_PTR(f.ids, "ids") || !ASSERT_OK_PTR(f.cookies, "cookies") ||
	    !ASSERT_OK_PTR(f.fds, "fds") || !ASSERT_OK_PTR(f.log, "log"))
		return;
	/* whatever happens, these do not notice */
	if (!ASSERT_OK(sets_attach(t, SETS_ARG_4, ALL_FUNCS), "arg_4") ||
	    !ASSERT_OK(sets_attach(t, SETS_FEXIT_1, 0x0f7), "fexit_1"))
		goto out;
	for (n = 0; n < cnt; n++) {
		if (!fuzz_one(&f, &attached))
			break;
		if (n % 500 == 0 && !sets_check(t, "fuzz"))
			break;
	}
	printf("%d calls, %d of them attached\n", n, attached);
	ASSERT_EQ(n, cnt, "calls");
	ASSERT_GT(attached, 0, "attached");
	sets_check(t, "after all");
out:
	sets_reset(t);
	munmap(f.ids, getpagesize());
	munmap(f.cookies, getpagesize());
	munmap(f.fds, getpagesize());
	munmap(f.log, getpagesize());
}

/*
 * Stacks
 */

static struct bpf_link *attach_names(struct bpf_program *prog, const char * const *names, int cnt)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	struct bpf_link *link = NULL;
	struct btf *btf;
	__u32 ids[8];
	int i;

	btf = btf__load_vmlinux_btf();
	if (!ASSERT_OK_PTR(btf, "btf__load_vmlinux_btf"))
		return NULL;
	for (i = 0; i < cnt; i++) {
		ids[i] = find_func_id(btf, names[i]);
		if (!ASSERT_GT((int)ids[i], 0, names[i]))
			goto out;
	}
	opts.ids = ids;
	opts.cnt = cnt;
	link = bpf_program__attach_tracing_multi(prog, NULL, &opts);
	ASSERT_OK_PTR(link, bpf_program__name(prog));
out:
	btf__free(btf);
	return link;
}

/*
 * The functions of a stack that are the kernel's own: not trampolines, thunks and
 * programs. On arm64 a trampoline that calls a function makes a frame for it.
 */
static int stack_names(struct tracing_multi_stress *skel, enum stress_stack which,
		       const char **names)
{
	int i, cnt = 0, depth = skel->bss->stack_sizes[which] / (int)sizeof(__u64);
	__u64 start = ksym_get_addr("_stext"), end = ksym_get_addr("_etext");

	for (i = 0; i < depth; i++) {
		__u64 addr = skel->bss->stacks[which][i];
		struct ksym *sym = ksym_search(addr);

		if (!sym || addr < start || addr >= end)
			continue;
#ifdef __aarch64__
		if (cnt && !strcmp(names[cnt - 1], sym->name))
			continue;
#endif
		names[cnt++] = sym->name;
	}
	return cnt;
}

static bool stack_run(struct tracing_multi_stress *skel, enum stress_stack which,
		      const char **names, int *cnt)
{
	LIBBPF_OPTS(bpf_test_run_opts, topts);

	memset(skel->bss->stacks, 0, sizeof(skel->bss->stacks));
	memset(skel->bss->stack_sizes, 0, sizeof(skel->bss->stack_sizes));
	if (!ASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.inner), &topts),
		       "test_run") ||
	    !ASSERT_GT(skel->bss->stack_sizes[which], 0, "bpf_get_stack"))
		return false;
	*cnt = stack_names(skel, which, names);
	return true;
}

static bool stack_has(const char **names, int cnt, const char *name)
{
	int i;

	for (i = 0; i < cnt; i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

/*
 * bpf_fentry_test1() is called by bpf_prog_test_run_tracing(), that by others. What
 * a stack says of them must not depend on their being traced.
 */
static void test_stack(struct tracing_multi_stress *skel)
{
	static const char * const funcs[] = { "bpf_prog_test_run_tracing", "bpf_fentry_test2" };
	const char *plain[STRESS_DEPTH], *traced[STRESS_DEPTH];
	struct bpf_link *inner = NULL, *outer = NULL;
	int nr_plain, nr_traced, i;

	inner = bpf_program__attach(skel->progs.inner);
	if (!ASSERT_OK_PTR(inner, "inner") ||
	    !stack_run(skel, STRESS_INNER, plain, &nr_plain))
		goto out;
	ASSERT_GT(nr_plain, 3, "depth of stack");
	ASSERT_TRUE(stack_has(plain, nr_plain, funcs[0]), funcs[0]);

	outer = attach_names(skel->progs.outer, funcs, ARRAY_SIZE(funcs));
	if (!outer || !stack_run(skel, STRESS_INNER, traced, &nr_traced))
		goto out;
	ASSERT_EQ(nr_traced, nr_plain, "depth of stack");
	for (i = 0; i < nr_plain && i < nr_traced; i++)
		ASSERT_STREQ(traced[i], plain[i], "frame");
	bpf_link__destroy(outer);

	/* the program runs when the function has returned: its callers are left */
	outer = attach_names(skel->progs.self, funcs, 1);
	if (!outer || !stack_run(skel, STRESS_SELF, traced, &nr_traced))
		goto out;
	for (i = 0; i < nr_plain && strcmp(plain[i], funcs[0]); i++)
		;
	if (ASSERT_LT(i + 1, nr_plain, "a caller") &&
	    !ASSERT_TRUE(stack_has(traced, nr_traced, plain[i + 1]), "the function's caller"))
		printf("caller %s\n", plain[i + 1]);
out:
	bpf_link__destroy(outer);
	bpf_link__destroy(inner);
}

/*
 * Sleepers
 */

#define SLEEPERS	8

static bool stop_sleepers;

/*
 * By way of common_nsleep(), which calls hrtimer_nanosleep(): nanosleep(), which
 * test_progs has for usleep(), may have that inlined.
 */
static void sleep_traced(long usec)
{
	struct timespec ts = { usec / 1000000, usec % 1000000 * 1000 };

	clock_nanosleep(CLOCK_REALTIME, 0, &ts, NULL);
}

static void *sleeper_fn(void *arg)
{
	unsigned long n = 0;

	while (!__atomic_load_n(&stop_sleepers, __ATOMIC_RELAXED)) {
		/* some longer than many links live */
		sleep_traced((long)arg * 100000 + 1000);
		n++;
	}
	return (void *)n;
}

/*
 * Tasks sleep in functions that fexit.multi and fsession.multi links have had
 * called by thunks, while these links, and images and thunks with them, go. The
 * tasks return through what they came by, and then it is all freed.
 */
static void test_sleepers(struct env_sets *t, struct tracing_multi_stress *skel)
{
	static const char * const funcs[] = {
		"hrtimer_nanosleep", "common_nsleep", "bpf_fentry_test1", "bpf_fentry_test2",
	};
	int i, cycles = env_number("TRACING_MULTI_CYCLES", 40);
	struct bpf_link *stays = NULL, *link;
	pthread_t threads[SLEEPERS];
	unsigned long sleeps = 0;
	void *ret;

	stop_sleepers = false;
	skel->bss->entries = 0;
	skel->bss->exits = 0;
	for (i = 0; i < SLEEPERS; i++)
		if (!ASSERT_OK(pthread_create(&threads[i], NULL, sleeper_fn, (void *)(long)i),
			       "pthread_create"))
			exit(1);
	stays = attach_names(skel->progs.outer, funcs, 3);
	for (i = 0; i < cycles && stays; i++) {
		/* sets are made, split, get new images, and are merged again */
		link = attach_names(skel->progs.around, funcs + i % 2, 2 + i % 2);
		if (!link)
			break;
		sleep_traced(20000);
		bpf_link__destroy(link);
		link = attach_names(skel->progs.after, funcs + i % 3, 2);
		if (!link)
			break;
		bpf_link__destroy(link);
		if (i % 10 == 9) {
			bpf_link__destroy(stays);
			stays = attach_names(skel->progs.outer, funcs, 3);
		}
	}
	ASSERT_EQ(i, cycles, "cycles");
	/* this thread has slept once a cycle, in at least one of the functions */
	ASSERT_GE(skel->bss->entries, cycles, "entries");
	ASSERT_GE(skel->bss->exits, cycles, "exits");
	bpf_link__destroy(stays);
	__atomic_store_n(&stop_sleepers, true, __ATOMIC_RELAXED);
	for (i = 0; i < SLEEPERS; i++) {
		ASSERT_OK(pthread_join(threads[i], &ret), "pthread_join");
		sleeps += (unsigned long)ret;
	}
	ASSERT_GT(sleeps, SLEEPERS, "sleeps");
	sets_are_gone(t);
}

/*
 * Others on the same functions
 */

#define TRACEFS		"/sys/kernel/tracing/"

/* A tracer of ftrace's comes, stays while links come and go, and leaves. */
static void test_tracer(struct env_sets *t, const char *tracer)
{
	if (!ASSERT_OK(write_str(TRACEFS "set_ftrace_filter", "bpf_fentry_test*"), "filter"))
		return;
	if (!ASSERT_OK(sets_attach(t, SETS_FEXIT_1, ALL_FUNCS), "fexit_1") ||
	    !sets_check(t, "before") ||
	    !ASSERT_OK(write_str(TRACEFS "current_tracer", tracer), tracer) ||
	    !sets_check(t, tracer))
		goto out;
	if (!ASSERT_OK(sets_attach(t, SETS_ARG_1, 0x0f7), "arg_1") || !sets_check(t, "arg_1") ||
	    !ASSERT_OK(sets_attach(t, SETS_COOKIE_1, 0x3de), "cookie_1") ||
	    !sets_check(t, "cookie_1") ||
	    !ASSERT_OK(sets_attach(t, SETS_FSESSION_1, 0x2db), "fsession_1") ||
	    !sets_check(t, "fsession_1") ||
	    !ASSERT_OK(sets_attach(t, SETS_ONE_FEXIT, 0), "one_fexit") ||
	    !sets_check(t, "one_fexit") ||
	    !ASSERT_OK(sets_detach(t, SETS_FEXIT_1), "fexit_1") || !sets_check(t, "no fexit_1"))
		goto out;
	if (!ASSERT_OK(write_str(TRACEFS "current_tracer", "nop"), "nop") ||
	    !sets_check(t, "nop"))
		goto out;
	/* and once more, with all of them there */
	if (ASSERT_OK(write_str(TRACEFS "current_tracer", tracer), tracer))
		sets_check(t, tracer);
out:
	sets_reset(t);
	write_str(TRACEFS "current_tracer", "nop");
	write_str(TRACEFS "set_ftrace_filter", "\n");
}

static void test_tracers(struct env_sets *t)
{
	if (access(TRACEFS "current_tracer", W_OK)) {
		test__skip();
		return;
	}
	test_tracer(t, "function");
	test_tracer(t, "function_graph");
}

/*
 * What fail_function injects into gets a kprobe, which on x86-64 has an ftrace_ops
 * with IPMODIFY, one for all kprobes of that kind. System calls can have it.
 */
#ifdef __x86_64__
#define SYSCALL(name)	"__x64_sys_" #name
#else
#define SYSCALL(name)	"__arm64_sys_" #name
#endif

#define INJECT		DEBUGFS "fail_function/inject"

/* Whether ftrace knows of an ops with IPMODIFY at the function; true if it does not tell */
static bool has_ipmodify(const char *name)
{
	size_t len = strlen(name);
	bool found = false;
	char line[512];
	FILE *f;

#ifndef __x86_64__
	return true;
#endif
	f = fopen(TRACEFS "enabled_functions", "r");
	if (!f)
		return true;
	while (!found && fgets(line, sizeof(line), f)) {
		const char *flags = strchr(line, ')');

		/* "name (count) R I D" */
		found = !strncmp(line, name, len) && !strncmp(line + len, " (", 2) && flags &&
			!strncmp(flags + 3, " I", 2);
	}
	fclose(f);
	return found;
}

/* The system call runs these programs once each, and they see its address. */
static bool inject_call(struct tracing_multi_stress *skel, long nr, const char *name,
			const bool runs[STRESS_INJECTS], const char *step)
{
	__u64 addr = ksym_get_addr(name);
	char what[128];
	int i;

	memset(skel->bss->inject_runs, 0, sizeof(skel->bss->inject_runs));
	memset(skel->bss->inject_ips, 0, sizeof(skel->bss->inject_ips));
	if (!ASSERT_GE(syscall(nr, 0), 0, name))
		return false;
	for (i = 0; i < STRESS_INJECTS; i++) {
		snprintf(what, sizeof(what), "%s: program %d at %s", step, i, name);
		if (!ASSERT_EQ(skel->bss->inject_runs[i], runs[i], what) ||
		    !ASSERT_EQ(skel->bss->inject_ips[i], runs[i] ? addr : 0, what))
			return false;
	}
	return true;
}

/* The programs of links on several functions, on getpgid(), and on that as well */
struct inject_roles {
	enum stress_inject many, one, other;
};

static bool inject_check(struct tracing_multi_stress *skel, const struct inject_roles *roles,
			 bool one, bool other, const char *step)
{
	bool runs[STRESS_INJECTS] = {};

	runs[roles->many] = true;
	if (!inject_call(skel, SYS_getsid, SYSCALL(getsid), runs, step))
		return false;
	runs[roles->one] = one;
	runs[roles->other] = other;
	return inject_call(skel, SYS_getpgid, SYSCALL(getpgid), runs, step);
}

static struct bpf_program *inject_prog(struct tracing_multi_stress *skel, enum stress_inject which)
{
	struct bpf_program *progs[] = {
		[STRESS_ENTRY] = skel->progs.inject_entry,
		[STRESS_EXIT] = skel->progs.inject_exit,
		[STRESS_AROUND] = skel->progs.inject_around,
	};

	return progs[which];
}

/*
 * The ops has been registered for a function that no link covers; then its filter
 * gets a function where two links are, one of which is closed. What getpgid() has
 * alone must not keep links from being attached, to it or anywhere else.
 */
static void inject_one(struct env_sets *t, struct tracing_multi_stress *skel,
		       const struct inject_roles *roles)
{
	static const char * const funcs[] = {
		SYSCALL(getpgid), SYSCALL(getsid), SYSCALL(setpgid),
	};
	struct bpf_link *many, *one = NULL, *other = NULL;

	many = attach_names(inject_prog(skel, roles->many), funcs, ARRAY_SIZE(funcs));
	one = attach_names(inject_prog(skel, roles->one), funcs, 1);
	if (!many || !one || !inject_check(skel, roles, true, false, "before"))
		goto out;
	if (!ASSERT_OK(write_str(INJECT, SYSCALL(umask)), "inject umask") ||
	    !inject_check(skel, roles, true, false, "elsewhere") ||
	    !ASSERT_OK(write_str(INJECT, SYSCALL(getpgid)), "inject getpgid") ||
	    !ASSERT_TRUE(has_ipmodify(SYSCALL(getpgid)), "IPMODIFY") ||
	    !inject_check(skel, roles, true, false, "injected"))
		goto out;
	bpf_link__destroy(one);
	one = NULL;
	if (!inject_check(skel, roles, false, false, "one link closed"))
		goto out;

	other = attach_names(inject_prog(skel, roles->other), funcs, 1);
	if (!other || !inject_check(skel, roles, false, true, "another link") ||
	    !ASSERT_OK(sets_attach(t, SETS_FEXIT_1, ALL_FUNCS), "fexit_1") ||
	    !sets_check(t, "elsewhere") || !ASSERT_OK(sets_detach(t, SETS_FEXIT_1), "fexit_1"))
		goto out;

	if (!ASSERT_OK(write_str(INJECT, "!" SYSCALL(getpgid)), "getpgid again") ||
	    !inject_check(skel, roles, false, true, "not injected"))
		goto out;
	one = attach_names(inject_prog(skel, roles->one), funcs, 1);
	if (!one || !inject_check(skel, roles, true, true, "all links"))
		goto out;
	bpf_link__destroy(other);
	other = NULL;
	inject_check(skel, roles, true, false, "after all");
out:
	write_str(INJECT, "\n");
	bpf_link__destroy(other);
	bpf_link__destroy(one);
	bpf_link__destroy(many);
	sets_reset(t);
}

static void test_inject(struct env_sets *t, struct tracing_multi_stress *skel)
{
	static const struct inject_roles roles[] = {
		{ STRESS_EXIT, STRESS_ENTRY, STRESS_AROUND },
		{ STRESS_ENTRY, STRESS_AROUND, STRESS_EXIT },
		{ STRESS_AROUND, STRESS_EXIT, STRESS_ENTRY },
	};
	int i;

	if (access(INJECT, W_OK)) {
		test__skip();
		return;
	}
	for (i = 0; i < ARRAY_SIZE(roles); i++)
		inject_one(t, skel, &roles[i]);
}

static bool lsm_run(struct tracing_multi_stress *skel, __u64 lsm_runs, __u64 entries,
		    const char *step)
{
	__u64 val[8192 / sizeof(__u64)];
	int i, key = 0, fd = bpf_map__fd(skel->maps.bss);

	if (!ASSERT_LE(bpf_map__value_size(skel->maps.bss), sizeof(val), "value_size"))
		return false;
	skel->bss->lsm_runs = 0;
	skel->bss->entries = 0;
	skel->bss->exits = 0;
	for (i = 0; i < 10; i++)
		bpf_map_lookup_elem(fd, &key, val);
	return ASSERT_EQ(skel->bss->lsm_runs, lsm_runs, step) &&
	       ASSERT_EQ(skel->bss->entries, entries, step) &&
	       ASSERT_EQ(skel->bss->exits, entries, step);
}

/*
 * An LSM program has a dedicated trampoline, and decides on the return value. It
 * comes before a link, which stays, and then after it.
 */
static void test_lsm_hook(struct tracing_multi_stress *skel)
{
	static const char * const funcs[] = { "bpf_lsm_bpf", "bpf_fentry_test1" };
	struct bpf_link *lsm, *multi = NULL;

	lsm = bpf_program__attach(skel->progs.lsm_bpf);
	if (!ASSERT_OK_PTR(lsm, "lsm") || !lsm_run(skel, 10, 0, "lsm"))
		goto out;
	multi = attach_names(skel->progs.around, funcs, ARRAY_SIZE(funcs));
	if (!multi || !lsm_run(skel, 10, 10, "lsm and link"))
		goto out;
	bpf_link__destroy(lsm);
	lsm = NULL;
	if (!lsm_run(skel, 0, 10, "link"))
		goto out;

	lsm = bpf_program__attach(skel->progs.lsm_bpf);
	if (!ASSERT_OK_PTR(lsm, "lsm") || !lsm_run(skel, 10, 10, "link and lsm"))
		goto out;
	bpf_link__destroy(multi);
	multi = NULL;
	lsm_run(skel, 10, 0, "lsm again");
out:
	bpf_link__destroy(lsm);
	bpf_link__destroy(multi);
}

static struct tracing_multi_stress *stress_open(void)
{
	struct tracing_multi_stress *skel = tracing_multi_stress__open_and_load();

	if (ASSERT_OK_PTR(skel, "tracing_multi_stress__open_and_load"))
		skel->bss->pid = getpid();
	return skel;
}

void serial_test_tracing_multi_stress(void)
{
	static const int progs[] = {
		SETS_ARG_2, SETS_COOKIE_2, SETS_FEXIT_2, SETS_FSESSION_2,
		SETS_ONE_FENTRY, SETS_ONE_FEXIT,
	};
	struct tracing_multi_stress *skel;
	struct env_sets t;
	char name[64];
	int i;

#if !defined(__x86_64__) && !defined(__aarch64__)
	test__skip();
	return;
#endif

	if (sets_open(&t))
		return;
	skel = stress_open();
	if (!skel)
		goto out;

	for (i = 0; i < ARRAY_SIZE(progs); i++) {
		snprintf(name, sizeof(name), "fail_attach_%s", descs[progs[i]].name);
		if (test__start_subtest(name))
			test_faults(&t, progs[i], fail_attach);
		snprintf(name, sizeof(name), "fail_detach_%s", descs[progs[i]].name);
		if (test__start_subtest(name))
			test_faults(&t, progs[i], fail_detach);
	}
	if (test__start_subtest("fuzz"))
		test_fuzz(&t);
	if (test__start_subtest("stack"))
		test_stack(skel);
	if (test__start_subtest("sleepers"))
		test_sleepers(&t, skel);
	if (test__start_subtest("tracers"))
		test_tracers(&t);
	if (test__start_subtest("inject"))
		test_inject(&t, skel);
	if (test__start_subtest("lsm"))
		test_lsm_hook(skel);

	tracing_multi_stress__destroy(skel);
out:
	sets_close(&t);
}
