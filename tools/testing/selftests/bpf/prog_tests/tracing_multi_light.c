// SPDX-License-Identifier: GPL-2.0
/*
 * Light programs: which programs are light, and that they miss no call, whatever
 * preempts them.
 *
 * TRACING_MULTI_LOSS=n in the environment has threads call for n seconds.
 */
#include <sys/utsname.h>
#include <test_progs.h>
#include "../progs/tracing_multi_light.h"
#include "tracing_multi_helpers.h"
#include "tracing_multi_light.skel.h"

#define THREADS		4
/* Functions that bpf_prog_test_run() calls once each */
#define FUNCS		"bpf_fentry_test?"
#define CALLS		9
#define LOG_SIZE	65536

struct light_caller {
	pthread_t thread;
	int prog_fd;
	int sec;
	__u64 calls;
	int err;
};

static struct tracing_multi_light *light_open(const char *name)
{
	struct tracing_multi_light *skel = tracing_multi_light__open();
	struct bpf_program *prog;

	if (!ASSERT_OK_PTR(skel, "open"))
		return NULL;
	bpf_object__for_each_program(prog, skel->obj)
		bpf_program__set_autoload(prog, name && !strcmp(bpf_program__name(prog), name));
	return skel;
}

/* What the kernel says in a program's fdinfo after @key. */
static bool light_fdinfo(int fd, const char *key, char *val, size_t size)
{
	char path[64], line[256];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	if (!ASSERT_OK_PTR(f, path))
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, strlen(key)))
			continue;
		snprintf(val, size, "%s", line + strlen(key));
		val[strcspn(val, "\n")] = 0;
		found = true;
	}
	fclose(f);
	return found;
}

static bool light_info(const struct bpf_program *prog, struct bpf_prog_info *info)
{
	__u32 len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return ASSERT_OK(bpf_prog_get_info_by_fd(bpf_program__fd(prog), info, &len), "prog_info");
}

/* @reason is part of why the program is not light, or NULL if it is. */
static void light_check(const char *name, const char *reason)
{
	struct tracing_multi_light *skel;
	struct bpf_prog_info info;
	char *log, said[256];
	struct bpf_program *prog;
	bool light = !reason;
	int fd;

	log = calloc(1, LOG_SIZE);
	if (!ASSERT_OK_PTR(log, "log"))
		return;
	skel = light_open(name);
	if (!skel)
		goto out;
	prog = bpf_object__find_program_by_name(skel->obj, name);
	if (!ASSERT_OK_PTR(prog, name))
		goto out;
	bpf_program__set_log_level(prog, 4);
	bpf_program__set_log_buf(prog, log, LOG_SIZE);
	if (!ASSERT_OK(tracing_multi_light__load(skel), name))
		goto out;
	fd = bpf_program__fd(prog);

	if (light_info(prog, &info))
		ASSERT_EQ((bool)info.light, light, name);
	if (ASSERT_TRUE(light_fdinfo(fd, "light:\t", said, sizeof(said)), name))
		ASSERT_STREQ(said, light ? "1" : "0", name);
	ASSERT_EQ(light_fdinfo(fd, "not_light:\t", said, sizeof(said)), !light, name);
	if (!light) {
		ASSERT_HAS_SUBSTR(said, reason, name);
		ASSERT_HAS_SUBSTR(log, "program is not light: ", name);
		ASSERT_HAS_SUBSTR(log, reason, name);
	} else {
		ASSERT_HAS_SUBSTR(log, "program is light: ", name);
	}
out:
	tracing_multi_light__destroy(skel);
	free(log);
}

/* There are no light programs on PREEMPT_RT. */
static bool light_is_rt(void)
{
	struct utsname name;

	return ASSERT_OK(uname(&name), "uname") && strstr(name.version, "PREEMPT_RT");
}

/* The first reason counts. */
static const char *light_reason(const char *reason)
{
	if (!light_is_rt() || (reason && !strcmp(reason, "sleep")))
		return reason;
	return "runs on PREEMPT_RT";
}

static void test_rule(void)
{
	static const struct {
		const char *prog, *reason;
	} cases[] = {
		{ "light_empty" },
		{ "light_maps" },
		{ "light_ringbuf" },
		{ "light_ctx" },
		{ "light_session" },
		{ "light_task" },
		{ "light_static" },
		{ "run_entry" },
		{ "run_exit" },
		{ "run_session" },
		{ "run_heavy", "calls bpf_strtol" },
		{ "heavy_global", "calls the global function global_subprog" },
		{ "heavy_stack", "calls bpf_get_stack" },
		{ "heavy_tail_call", "calls bpf_tail_call" },
		{ "heavy_long", "takes more than 2000" },
		{ "heavy_helpers", "takes more than 2000" },
		{ "heavy_may_goto", "may_goto" },
		{ "heavy_iter", "calls bpf_iter_num_new" },
		{ "heavy_loop", "calls bpf_loop" },
		{ "heavy_lru", "bpf_map_update_elem" },
		{ "heavy_timers", "bpf_map_delete_elem" },
		{ "heavy_loads", "takes more than 2000" },
		{ "heavy_copy", "256 bytes" },
		{ "heavy_sleepable", "sleep" },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		light_check(cases[i].prog, light_reason(cases[i].reason));
}

/* BPF_F_REENTRANT has no effect on what is not light, and is refused for other kinds. */
static void test_flag(void)
{
	static const struct {
		const char *prog;
		int err;
		bool reentrant;
	} cases[] = {
		{ "run_reentrant", 0, true },
		{ "run_reentrant_calls", 0, true },
		{ "run_heavy", 0, false },
		{ "heavy_sleepable", 0, false },
		{ "single", -EINVAL },
	};
	struct tracing_multi_light *skel;
	struct bpf_program *prog;
	struct bpf_prog_info info;
	char said[256];
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		skel = light_open(cases[i].prog);
		if (!skel)
			return;
		prog = bpf_object__find_program_by_name(skel->obj, cases[i].prog);
		bpf_program__set_flags(prog, bpf_program__flags(prog) | BPF_F_REENTRANT);
		ASSERT_EQ(tracing_multi_light__load(skel), cases[i].err, cases[i].prog);
		if (!cases[i].err && light_info(prog, &info)) {
			bool reentrant = cases[i].reentrant && !light_is_rt();

			ASSERT_EQ((bool)info.reentrant, reentrant, cases[i].prog);
			if (light_fdinfo(bpf_program__fd(prog), "reentrant:\t", said, sizeof(said)))
				ASSERT_EQ(said[0] == '1', reentrant, cases[i].prog);
		}
		tracing_multi_light__destroy(skel);
	}
}

/* A program for one function has nothing to do with that. */
static void test_others(void)
{
	struct tracing_multi_light *skel = light_open("single");
	struct bpf_prog_info info;
	char said[256];
	int fd;

	if (!skel)
		return;
	if (!ASSERT_OK(tracing_multi_light__load(skel), "load"))
		goto out;
	fd = bpf_program__fd(skel->progs.single);
	if (light_info(skel->progs.single, &info))
		ASSERT_FALSE(info.light, "light");
	ASSERT_FALSE(light_fdinfo(fd, "light:", said, sizeof(said)), "light in fdinfo");
	ASSERT_FALSE(light_fdinfo(fd, "not_light:", said, sizeof(said)), "not_light in fdinfo");
out:
	tracing_multi_light__destroy(skel);
}

static void *light_call(void *arg)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	struct light_caller *caller = arg;
	time_t end = time(NULL) + caller->sec;

	while (!caller->err && time(NULL) < end) {
		caller->err = bpf_prog_test_run_opts(caller->prog_fd, &opts);
		caller->calls++;
	}
	return NULL;
}

/*
 * Threads that share a CPU with this one call for so long, while it does something
 * again and again. Returns: how often they called, or 0 for an error.
 */
static __u64 light_call_all(int prog_fd, int sec, void (*meanwhile)(void))
{
	time_t end = time(NULL) + sec;
	struct light_caller callers[THREADS] = {};
	cpu_set_t all, one;
	__u64 calls = 0;
	int i, started;

	if (!ASSERT_OK(sched_getaffinity(0, sizeof(all), &all), "sched_getaffinity"))
		return 0;
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	if (!ASSERT_OK(sched_setaffinity(0, sizeof(one), &one), "sched_setaffinity"))
		return 0;
	for (started = 0; started < THREADS; started++) {
		callers[started].prog_fd = prog_fd;
		callers[started].sec = sec;
		if (!ASSERT_OK(pthread_create(&callers[started].thread, NULL, light_call,
					      &callers[started]), "pthread_create"))
			break;
	}
	while (meanwhile && time(NULL) < end)
		meanwhile();
	for (i = 0; i < started; i++) {
		pthread_join(callers[i].thread, NULL);
		ASSERT_OK(callers[i].err, "test_run");
		calls += callers[i].calls;
	}
	ASSERT_OK(sched_setaffinity(0, sizeof(all), &all), "sched_setaffinity");
	return started == THREADS ? calls : 0;
}

/*
 * Programs on functions that threads call which preempt each other, one of the
 * functions with a trampoline of its own. What is not light may miss calls, and says
 * how many.
 */
static void test_loss(void)
{
	struct tracing_multi_light *skel = tracing_multi_light__open_and_load();
	__u64 calls, misses, *runs;
	struct bpf_link **links[4];
	struct bpf_program *progs[4];
	int i;

	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	progs[0] = skel->progs.run_entry;
	links[0] = &skel->links.run_entry;
	progs[1] = skel->progs.run_exit;
	links[1] = &skel->links.run_exit;
	progs[2] = skel->progs.run_session;
	links[2] = &skel->links.run_session;
	progs[3] = skel->progs.run_heavy;
	links[3] = &skel->links.run_heavy;
	for (i = 0; i < ARRAY_SIZE(progs); i++) {
		*links[i] = bpf_program__attach_tracing_multi(progs[i], FUNCS, NULL);
		if (!ASSERT_OK_PTR(*links[i], bpf_program__name(progs[i])))
			goto out;
	}
	skel->links.single = bpf_program__attach(skel->progs.single);
	if (!ASSERT_OK_PTR(skel->links.single, "single"))
		goto out;

	calls = light_call_all(bpf_program__fd(skel->progs.single),
			       env_number("TRACING_MULTI_LOSS", 3), NULL);
	if (!ASSERT_GT(calls, 0, "calls"))
		goto out;
	runs = skel->bss->runs;
	for (i = 0; i < 3; i++)
		ASSERT_EQ(prog_misses(progs[i]), 0, bpf_program__name(progs[i]));
	ASSERT_EQ(runs[ENTRY], calls * CALLS, "fentry");
	ASSERT_EQ(runs[EXIT], calls * CALLS, "fexit");
	ASSERT_EQ(runs[SESSION_ENTRY], calls * CALLS, "fsession at entry");
	ASSERT_EQ(runs[SESSION_EXIT], calls * CALLS, "fsession at exit");

	misses = prog_misses(skel->progs.run_heavy);
	ASSERT_EQ(runs[HEAVY] + misses, calls * CALLS, "heavy");
	misses += prog_misses(skel->progs.single);
	ASSERT_EQ(runs[SINGLE] + prog_misses(skel->progs.single), calls, "single");
	printf("%llu calls of %d functions; not light: %llu missed\n", calls, CALLS, misses);
out:
	tracing_multi_light__destroy(skel);
}

/* An interrupt comes while programs run, and calls a function that they are on. */
static void test_interrupts(void)
{
	static const char funcs[] = FUNCS ",update_process_times";
	struct tracing_multi_light *skel = tracing_multi_light__open();
	struct bpf_link *guarded = NULL, *reentrant = NULL, *calls = NULL;
	cpu_set_t all, one;
	__u64 misses, *runs;

	if (!ASSERT_OK_PTR(skel, "open"))
		return;
	bpf_program__set_flags(skel->progs.run_reentrant, BPF_F_REENTRANT);
	bpf_program__set_flags(skel->progs.run_reentrant_calls, BPF_F_REENTRANT);
	if (!ASSERT_OK(tracing_multi_light__load(skel), "load") ||
	    !ASSERT_OK(sched_getaffinity(0, sizeof(all), &all), "sched_getaffinity"))
		goto out;
	guarded = bpf_program__attach_tracing_multi(skel->progs.run_guarded, funcs, NULL);
	reentrant = bpf_program__attach_tracing_multi(skel->progs.run_reentrant, funcs, NULL);
	calls = bpf_program__attach_tracing_multi(skel->progs.run_reentrant_calls, funcs, NULL);
	if (!ASSERT_OK_PTR(guarded, "run_guarded") ||
	    !ASSERT_OK_PTR(reentrant, "run_reentrant") ||
	    !ASSERT_OK_PTR(calls, "run_reentrant_calls"))
		goto out;

	/* on this CPU nothing gets in between the programs of a call */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	if (!ASSERT_OK(sched_setaffinity(0, sizeof(one), &one), "sched_setaffinity"))
		goto out;
	skel->data->cpu = sched_getcpu();
	light_call_all(bpf_program__fd(skel->progs.single), env_number("TRACING_MULTI_LOSS", 3),
		       NULL);
	skel->data->cpu = -1;
	ASSERT_OK(sched_setaffinity(0, sizeof(all), &all), "sched_setaffinity");

	runs = skel->bss->runs;
	misses = prog_misses(skel->progs.run_guarded);
	ASSERT_GT(runs[REENTRANT], 0, "runs");
	ASSERT_EQ(prog_misses(skel->progs.run_reentrant), 0, "misses");
	ASSERT_EQ(prog_misses(skel->progs.run_reentrant_calls), 0, "misses with calls");
	ASSERT_EQ(runs[REENTRANT_CALLS], runs[REENTRANT], "runs with calls");
	ASSERT_EQ(skel->bss->overwritten, 0, "words on stacks overwritten");
	ASSERT_EQ(runs[GUARDED] + misses, runs[REENTRANT], "runs and misses of the guarded one");
	printf("%llu runs; guarded: %llu missed\n", runs[REENTRANT], misses);
out:
	bpf_link__destroy(guarded);
	bpf_link__destroy(reentrant);
	bpf_link__destroy(calls);
	tracing_multi_light__destroy(skel);
}

static void light_toggle_stats(void)
{
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	if (!ASSERT_OK_FD(fd, "bpf_enable_stats"))
		return;
	usleep(20000);
	close(fd);
	usleep(20000);
}

/* Statistics count light programs, and to switch them on or off loses no call. */
static void test_stats(void)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	struct tracing_multi_light *skel = tracing_multi_light__open_and_load();
	struct bpf_program *entry, *exit;
	struct bpf_prog_info info;
	__u64 calls = 0, before;
	int i, fd, prog_fd;

	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	entry = skel->progs.run_entry;
	exit = skel->progs.run_exit;
	prog_fd = bpf_program__fd(skel->progs.single);
	skel->links.run_entry = bpf_program__attach_tracing_multi(entry, FUNCS, NULL);
	skel->links.run_exit = bpf_program__attach_tracing_multi(exit, FUNCS, NULL);
	if (!ASSERT_OK_PTR(skel->links.run_entry, "run_entry") ||
	    !ASSERT_OK_PTR(skel->links.run_exit, "run_exit"))
		goto out;

	fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (!ASSERT_OK_FD(fd, "bpf_enable_stats"))
		goto out;
	for (i = 0; i < 100; i++, calls++)
		ASSERT_OK(bpf_prog_test_run_opts(prog_fd, &opts), "test_run");
	close(fd);
	if (light_info(entry, &info)) {
		ASSERT_EQ(info.run_cnt, calls * CALLS, "run_cnt at entry");
		ASSERT_GT(info.run_time_ns, 0, "run_time_ns");
	}
	before = info.run_cnt;
	if (light_info(exit, &info))
		ASSERT_EQ(info.run_cnt, calls * CALLS, "run_cnt at exit");
	for (i = 0; i < 100; i++, calls++)
		ASSERT_OK(bpf_prog_test_run_opts(prog_fd, &opts), "test_run");
	if (light_info(entry, &info))
		ASSERT_EQ(info.run_cnt, before, "run_cnt without statistics");

	calls += light_call_all(prog_fd, env_number("TRACING_MULTI_LOSS", 3), light_toggle_stats);
	ASSERT_EQ(prog_misses(entry), 0, "misses at entry");
	ASSERT_EQ(prog_misses(exit), 0, "misses at exit");
	ASSERT_EQ(skel->bss->runs[ENTRY], calls * CALLS, "runs at entry");
	ASSERT_EQ(skel->bss->runs[EXIT], calls * CALLS, "runs at exit");
out:
	tracing_multi_light__destroy(skel);
}

static void light_subtest(const char *name, void (*run)(void), bool needs_light)
{
	if (!test__start_subtest(name))
		return;
	if (needs_light && light_is_rt())
		test__skip();
	else
		run();
}

/* Serial: programs on the functions of other tests would run too, and take time. */
void serial_test_tracing_multi_light(void)
{
	light_subtest("rule", test_rule, false);
	light_subtest("flag", test_flag, false);
	light_subtest("others", test_others, false);
	light_subtest("loss", test_loss, true);
	light_subtest("interrupts", test_interrupts, true);
	light_subtest("stats", test_stats, true);
}
