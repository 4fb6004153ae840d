// SPDX-License-Identifier: GPL-2.0
/*
 * fentry.multi programs on a function that a livepatch replaces: they run once
 * per call and see the function's own address, whatever came first and whatever
 * goes first.
 */
#include <bpf/btf.h>
#include <ctype.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <test_progs.h>
#include "testing_helpers.h"
#include "trace_helpers.h"
#include "tracing_multi_helpers.h"
#include "tracing_multi_livepatch.skel.h"

#define LIVEPATCH_DIR	"/sys/kernel/livepatch/livepatch_sample"
#define LIVEPATCH_TEXT	"this has been live patched"

/* The same in progs/tracing_multi_livepatch.c */
#define NR_PROGS	7
#define NR_FUNCS	4

enum { PLAIN_1, PLAIN_2, IP_1, IP_2, FEXIT, FEXIT_MULTI, FENTRY };

/* All of one model; the livepatch replaces the first. */
static const struct {
	const char *name;
	const char *file;
} funcs[NR_FUNCS] = {
	{ "cmdline_proc_show", "/proc/cmdline" },
	{ "version_proc_show", "/proc/version" },
	{ "loadavg_proc_show", "/proc/loadavg" },
	{ "uptime_proc_show", "/proc/uptime" },
};

/* Which programs are attached as A and B; the first two are all for A alone */
static const struct {
	const char *name;
	int a, b;
} pairs[] = {
	{ "plain, ip", PLAIN_1, IP_2 },
	{ "ip, plain", IP_1, PLAIN_2 },
	{ "ip, ip", IP_1, IP_2 },
};

/*
 * Upper case: L loads the livepatch, A attaches a fentry.multi link to all
 * functions, B one to the first two, X a fexit program to the first, E a
 * fentry program to that, M a fexit.multi link to all. Lower case undoes it. All is
 * checked after each step.
 *
 * This thread calls what L and l say as soon as they are done. Other tasks
 * follow within seconds; W waits for them, l does before the module goes.
 */
static const struct {
	const char *name;
	const char *steps;
} scripts[] = {
	{ "load_before_attach", "LWAal" },
	{ "load_after_attach", "ALal" },
	{ "unload_while_attached", "LAla" },
	{ "load_twice", "ALlLla" },
	{ "second_link_while_loaded", "ALBlab" },
	{ "second_link_after_attach_while_loaded", "LABbBlba" },
	{ "links_leave_while_loaded", "ABLablABLbal" },
	{ "fexit_first", "XALaAlax" },
	{ "fexit_last", "AXLWxXlxa" },
	{ "fexit_while_loaded", "ALWXlxa" },
	{ "fexit_outlives_load", "LXABlxab" },
	{ "fexit_leaves_while_loaded", "ABXLxlab" },
	{ "fexit_and_links_while_loaded", "LAXBxXaxbl" },
	{ "fexit_multi", "AMLlBbma" },
	{ "fentry_while_loaded", "LEMAmlae" },
	{ "fentry_outlives_load", "LElXMxme" },
	{ "fentry_leaves_while_loaded", "LEelXMmx" },
};

struct env_livepatch {
	struct tracing_multi_livepatch *skel;
	struct bpf_link *links[NR_PROGS];
	__u32 ids[NR_FUNCS];
	bool loaded;
};

static __u32 prog_funcs(int prog)
{
	switch (prog) {
	case PLAIN_2:
	case IP_2:
		return 0x3;
	case FEXIT:
	case FENTRY:
		return 0x1;
	default:
		return 0xf;
	}
}

static bool prog_has_ip(int prog)
{
	return prog != PLAIN_1 && prog != PLAIN_2;
}

static struct bpf_program *get_prog(struct env_livepatch *t, int prog)
{
	struct bpf_program *progs[NR_PROGS] = {
		[PLAIN_1] = t->skel->progs.plain_1,
		[PLAIN_2] = t->skel->progs.plain_2,
		[IP_1] = t->skel->progs.ip_1,
		[IP_2] = t->skel->progs.ip_2,
		[FEXIT] = t->skel->progs.fexit,
		[FEXIT_MULTI] = t->skel->progs.fexit_multi,
		[FENTRY] = t->skel->progs.fentry,
	};

	return progs[prog];
}

static int attach(struct env_livepatch *t, int prog)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	struct bpf_link *link;

	if (prog == FEXIT || prog == FENTRY) {
		link = bpf_program__attach(get_prog(t, prog));
	} else {
		opts.ids = t->ids;
		opts.cnt = __builtin_popcount(prog_funcs(prog));
		link = bpf_program__attach_tracing_multi(get_prog(t, prog), NULL, &opts);
	}
	if (!link)
		return -errno;
	t->links[prog] = link;
	return 0;
}

static int detach(struct env_livepatch *t, int prog)
{
	struct bpf_link *link = t->links[prog];

	t->links[prog] = NULL;
	return bpf_link__destroy(link);
}

static int read_file(const char *path, char *buf, size_t size)
{
	ssize_t len;
	int fd;

	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -errno;
	len = read(fd, buf, size - 1);
	close(fd);
	if (len <= 0)
		return -EIO;
	buf[len] = 0;
	return 0;
}

static bool is_livepatched(const char *text)
{
	return !strncmp(text, LIVEPATCH_TEXT, strlen(LIVEPATCH_TEXT));
}

/* All tasks are in the state the livepatch has been told. */
static int wait_transition(void)
{
	char buf[16];
	int i;

	for (i = 0; i < 6000; i++) {
		if (read_file(LIVEPATCH_DIR "/transition", buf, sizeof(buf)))
			return 0;
		if (buf[0] == '0')
			return 0;
		usleep(10000);
	}
	return -ETIMEDOUT;
}

static int load_livepatch(void)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/samples/livepatch/livepatch-sample.ko",
		 getenv("KBUILD_OUTPUT") ?: "../../../..");
	return load_module(path, env_verbosity > VERBOSE_NONE);
}

static int unload_livepatch(void)
{
	int fd, i;

	if (access(LIVEPATCH_DIR, F_OK))
		return 0;

	fd = open(LIVEPATCH_DIR "/enabled", O_WRONLY);
	if (fd >= 0) {
		/* fails if it is on its way already */
		if (write(fd, "0", 1) != 1 && env_verbosity > VERBOSE_NONE)
			fprintf(stdout, "Failed to disable the livepatch: %d\n", -errno);
		close(fd);
	}
	/* gone when all tasks have left it */
	for (i = 0; i < 6000 && !access(LIVEPATCH_DIR, F_OK); i++)
		usleep(10000);
	return unload_module("livepatch_sample", env_verbosity > VERBOSE_NONE);
}

static bool check_call(struct env_livepatch *t, int func, const char *step)
{
	struct tracing_multi_livepatch__bss *bss = t->skel->bss;
	char buf[4096], what[128];
	__u64 expected;
	int p, err;

	memset(bss->hits, 0, sizeof(bss->hits));
	memset(bss->ips, 0, sizeof(bss->ips));
	bss->cur = func;
	err = read_file(funcs[func].file, buf, sizeof(buf));
	bss->cur = NR_FUNCS;
	if (!ASSERT_OK(err, funcs[func].file))
		return false;

	if (!func && !ASSERT_EQ(is_livepatched(buf), t->loaded, step))
		return false;
	for (p = 0; p < NR_PROGS; p++) {
		snprintf(what, sizeof(what), "%s: %s at %s", step,
			 bpf_program__name(get_prog(t, p)), funcs[func].name);
		expected = t->links[p] && (prog_funcs(p) & (1 << func));
		if (!ASSERT_EQ(bss->hits[p][func], expected, what))
			return false;
		if (expected && prog_has_ip(p) &&
		    !ASSERT_EQ(bss->ips[p][func], bss->func_ips[func], what))
			return false;
	}
	return true;
}

static bool check(struct env_livepatch *t, const char *step)
{
	int f;

	for (f = 0; f < NR_FUNCS; f++) {
		if (!check_call(t, f, step))
			return false;
	}
	return ASSERT_EQ(t->skel->bss->strays, 0, step);
}

static int step_prog(int pair, char step)
{
	switch (tolower(step)) {
	case 'a':
		return pairs[pair].a;
	case 'b':
		return pairs[pair].b;
	case 'x':
		return FEXIT;
	case 'e':
		return FENTRY;
	default:
		return FEXIT_MULTI;
	}
}

static int do_step(struct env_livepatch *t, int pair, char step)
{
	int err;

	if (step == 'W')
		return wait_transition();
	if (tolower(step) == 'l') {
		err = step == 'L' ? load_livepatch() : unload_livepatch();
		if (!err)
			t->loaded = step == 'L';
		return err;
	}
	if (isupper(step))
		return attach(t, step_prog(pair, step));
	return detach(t, step_prog(pair, step));
}

static bool run_steps(struct env_livepatch *t, int pair, const char *steps)
{
	char what[64];
	int i;

	for (i = 0; steps[i]; i++) {
		snprintf(what, sizeof(what), "%s: %.*s", pairs[pair].name, i + 1, steps);
		if (!ASSERT_OK(do_step(t, pair, steps[i]), what) || !check(t, what))
			return false;
	}
	return true;
}

/* Nothing attached and no livepatch, whatever the last steps came to. */
static void reset(struct env_livepatch *t)
{
	int p;

	for (p = 0; p < NR_PROGS; p++)
		detach(t, p);
	ASSERT_OK(unload_livepatch(), "unload_livepatch");
	t->loaded = false;
	t->skel->bss->busy_tid = 0;
	t->skel->bss->strays = 0;
}

static void test_script(struct env_livepatch *t, const char *steps)
{
	int pair, nr = strchr(steps, 'B') ? ARRAY_SIZE(pairs) : 2;
	bool ok;

	for (pair = 0; pair < nr; pair++) {
		ok = run_steps(t, pair, steps);
		reset(t);
		if (!ok)
			break;
	}
}

struct busy {
	struct env_livepatch *t;
	cpu_set_t cpus;
	atomic_bool stop;
	__u64 reads;
	int err;
};

static void *busy_thread(void *arg)
{
	struct busy *busy = arg;
	char buf[4096];

	busy->t->skel->bss->busy_tid = syscall(SYS_gettid);
	busy->err = sched_setaffinity(0, sizeof(busy->cpus), &busy->cpus);
	while (!busy->stop && !busy->err) {
		busy->err = read_file(funcs[0].file, buf, sizeof(buf));
		busy->reads++;
	}
	return NULL;
}

/* Another CPU calls the function all the time and misses no program. */
static bool run_busy(struct env_livepatch *t, int pair, const char *steps, const cpu_set_t *cpus)
{
	struct busy busy = { .t = t, .cpus = *cpus };
	int progs[] = { pairs[pair].a, pairs[pair].b };
	pthread_t thread;
	bool ok;
	int i;

	if (!run_steps(t, pair, "AB"))
		return false;
	memset(t->skel->bss->busy_hits, 0, sizeof(t->skel->bss->busy_hits));
	if (!ASSERT_OK(pthread_create(&thread, NULL, busy_thread, &busy), "pthread_create"))
		return false;
	ok = run_steps(t, pair, steps);
	busy.stop = true;
	pthread_join(thread, NULL);

	ok = ASSERT_OK(busy.err, "busy.err") && ok;
	for (i = 0; i < ARRAY_SIZE(progs); i++)
		ok = ASSERT_EQ(t->skel->bss->busy_hits[progs[i]], busy.reads,
			       pairs[pair].name) && ok;
	return ASSERT_EQ(t->skel->bss->strays, 0, "strays") && ok;
}

/*
 * A program misses the calls on a CPU where it was preempted itself: no CPU runs
 * both threads.
 */
static void test_busy(struct env_livepatch *t)
{
	cpu_set_t all, busy, others;
	int pair, cpu = 0;
	bool ok;

	if (!ASSERT_OK(sched_getaffinity(0, sizeof(all), &all), "sched_getaffinity"))
		return;
	if (CPU_COUNT(&all) < 2) {
		test__skip();
		return;
	}
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&busy);
	CPU_SET(cpu, &busy);
	CPU_XOR(&others, &all, &busy);
	if (!ASSERT_OK(sched_setaffinity(0, sizeof(others), &others), "sched_setaffinity"))
		return;
	for (pair = 0; pair < ARRAY_SIZE(pairs); pair++) {
		ok = run_busy(t, pair, "LWXxXlx", &busy);
		reset(t);
		if (!ok)
			break;
	}
	ASSERT_OK(sched_setaffinity(0, sizeof(all), &all), "sched_setaffinity");
}

struct churn {
	struct env_livepatch *t;
	atomic_bool stop;
	int cnt;
	int err;
};

static void *churn_thread(void *arg)
{
	struct churn *churn = arg;

	while (!churn->stop && !churn->err) {
		/* both find the function with the other, and without */
		churn->err = attach(churn->t, FEXIT_MULTI) ?:
			     attach(churn->t, FENTRY) ?:
			     detach(churn->t, FEXIT_MULTI) ?:
			     detach(churn->t, FENTRY);
		churn->cnt++;
	}
	return NULL;
}

static bool check_livepatched(bool expected, const char *step)
{
	char buf[4096];

	return ASSERT_OK(read_file(funcs[0].file, buf, sizeof(buf)), step) &&
	       ASSERT_EQ(is_livepatched(buf), expected, step);
}

/*
 * While links and a single program come and go, a livepatch can be loaded each time.
 * In the environment, TRACING_MULTI_LIVEPATCHES is how often.
 */
static void test_churn(struct env_livepatch *t)
{
	int times = env_number("TRACING_MULTI_LIVEPATCHES", 3), i;
	struct churn churn = { .t = t };
	pthread_t thread;

	if (!ASSERT_OK(pthread_create(&thread, NULL, churn_thread, &churn), "pthread_create"))
		return;
	for (i = 0; i < times; i++) {
		if (!ASSERT_OK(load_livepatch(), "load_livepatch") ||
		    !check_livepatched(true, "loaded") ||
		    !ASSERT_OK(unload_livepatch(), "unload_livepatch") ||
		    !check_livepatched(false, "unloaded"))
			break;
	}
	churn.stop = true;
	pthread_join(thread, NULL);
	ASSERT_OK(churn.err, "attach and detach");
	ASSERT_GT(churn.cnt, times, "attach and detach");
	reset(t);
}

static int find_funcs(struct env_livepatch *t)
{
	struct btf *btf;
	int i, id = -1;

	if (!ASSERT_OK(load_kallsyms(), "load_kallsyms"))
		return -1;
	btf = btf__load_vmlinux_btf();
	if (!ASSERT_OK_PTR(btf, "btf__load_vmlinux_btf"))
		return -1;
	for (i = 0; i < NR_FUNCS; i++) {
		t->skel->bss->func_ips[i] = ksym_get_addr(funcs[i].name);
		id = btf__find_by_name_kind(btf, funcs[i].name, BTF_KIND_FUNC);
		if (!ASSERT_NEQ(t->skel->bss->func_ips[i], 0, funcs[i].name) ||
		    !ASSERT_GT(id, 0, funcs[i].name)) {
			id = -1;
			break;
		}
		t->ids[i] = id;
	}
	btf__free(btf);
	return id < 0 ? -1 : 0;
}

/* livepatch_trampoline loads the same module */
void serial_test_tracing_multi_livepatch(void)
{
	struct env_livepatch t = {};
	int i, err;

	/* Skip if kernel was built without CONFIG_LIVEPATCH */
	if (access("/sys/kernel/livepatch", F_OK)) {
		test__skip();
		return;
	}

	/* Something else may have left it. */
	unload_livepatch();
	err = load_livepatch();
	if (err == -ENOENT) {
		test__skip();
		return;
	}
	if (!ASSERT_OK(err, "load_livepatch"))
		goto unload;
	if (!ASSERT_OK(unload_livepatch(), "unload_livepatch"))
		goto unload;

	t.skel = tracing_multi_livepatch__open_and_load();
	if (!ASSERT_OK_PTR(t.skel, "open_and_load"))
		goto unload;
	t.skel->bss->pid = getpid();
	t.skel->bss->cur = NR_FUNCS;
	if (find_funcs(&t))
		goto destroy;

	for (i = 0; i < ARRAY_SIZE(scripts); i++) {
		if (test__start_subtest(scripts[i].name))
			test_script(&t, scripts[i].steps);
	}
	if (test__start_subtest("busy"))
		test_busy(&t);
	if (test__start_subtest("churn"))
		test_churn(&t);
destroy:
	tracing_multi_livepatch__destroy(t.skel);
unload:
	unload_livepatch();
}
