// SPDX-License-Identifier: GPL-2.0
/*
 * Tasks that die, and tasks that sleep for long, inside of functions that fexit.multi
 * links have had called. What such links leave behind must not grow with their
 * number, and must cost nothing when nothing happens.
 *
 * TRACING_MULTI_ROUNDS=n in the environment has n links on everything as well. That
 * takes long, and how much kernel threads keep by where they sleep is not the same in
 * each run.
 */
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <test_progs.h>
#include <bpf/btf.h>
#include "trace_helpers.h"
#include "../progs/tracing_multi_dead.h"
#include "tracing_multi_helpers.h"
#include "tracing_multi_dead.skel.h"

struct env_dead {
	struct tracing_multi_dead *skel;
	/* the newest set before the test */
	unsigned int last_set;
	/* symbols while the first link is there: a copy of all, and blocks of thunks in it */
	int copy;
	int copy_blocks;
	pid_t daemon;
	int to_daemon, from_daemon;
};

/* Returns: the number of symbols of the test when it is at most @max, or @sec over. */
static int wait_symbols(const struct env_dead *t, int max, int sec)
{
	time_t end = time(NULL) + sec;
	unsigned int newest;
	char left[512];
	int cnt;

	while ((cnt = count_set_symbols(t->last_set, left, &newest)) > max && time(NULL) < end)
		sleep(1);
	return cnt;
}

/* The ways to die. A process that is killed does so inside of get_signal(). */

static void die_killed(void)
{
	for (;;)
		pause();
}

static void die_segv(void)
{
	char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*page = 0;
}

static void die_exit(void)
{
	_exit(0);
}

static pid_t start(void (*fn)(void))
{
	pid_t pid = fork();

	if (pid)
		return pid;
	signal(SIGSEGV, SIG_DFL);
	fn();
	_exit(1);
}

static bool die(void)
{
	static void (* const ways[])(void) = { die_killed, die_segv, die_exit };
	int i, status;
	pid_t pid;

	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		pid = start(ways[i]);
		if (!ASSERT_GT(pid, 0, "fork"))
			return false;
		if (ways[i] == die_killed) {
			usleep(10000);
			kill(pid, SIGKILL);
		}
		if (!ASSERT_EQ(waitpid(pid, &status, 0), pid, "waitpid"))
			return false;
	}
	return true;
}

/* Echoes what it gets, and sleeps else: in epoll_wait(), as daemons do. */
static void daemon_main(int in, int out)
{
	struct epoll_event ev = { .events = EPOLLIN };
	char c;
	int fd;

	/* the link is not to live on in this process */
	for (fd = 3; fd < 1024; fd++)
		if (fd != in && fd != out)
			close(fd);
	fd = epoll_create1(0);
	if (fd < 0 || epoll_ctl(fd, EPOLL_CTL_ADD, in, &ev))
		_exit(1);
	/* it is ready */
	if (write(out, "r", 1) != 1)
		_exit(1);
	while (epoll_wait(fd, &ev, 1, -1) == 1 && read(in, &c, 1) == 1)
		if (write(out, &c, 1) != 1)
			break;
	_exit(0);
}

static bool daemon_says(struct env_dead *t, char expected)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int fd, n;
	char c = 0;

	fd = epoll_create1(0);
	if (!ASSERT_GE(fd, 0, "epoll_create1"))
		return false;
	epoll_ctl(fd, EPOLL_CTL_ADD, t->from_daemon, &ev);
	n = epoll_wait(fd, &ev, 1, 10000);
	close(fd);
	return ASSERT_EQ(n, 1, "daemon answers") &&
	       ASSERT_EQ(read(t->from_daemon, &c, 1), 1, "read") &&
	       ASSERT_EQ(c, expected, "daemon");
}

static bool daemon_start(struct env_dead *t)
{
	int in[2], out[2];

	if (!ASSERT_OK(pipe(in), "pipe") || !ASSERT_OK(pipe(out), "pipe"))
		return false;
	t->daemon = fork();
	if (!t->daemon) {
		close(in[1]);
		close(out[0]);
		daemon_main(in[0], out[1]);
	}
	close(in[0]);
	close(out[1]);
	t->to_daemon = in[1];
	t->from_daemon = out[0];
	if (!ASSERT_GT(t->daemon, 0, "fork") || !daemon_says(t, 'r'))
		return false;
	/* let it get to sleep */
	usleep(200000);
	return true;
}

static bool daemon_wake(struct env_dead *t, char c)
{
	return ASSERT_EQ(write(t->to_daemon, &c, 1), 1, "write") && daemon_says(t, c);
}

static void daemon_stop(struct env_dead *t)
{
	int status;

	if (t->daemon <= 0)
		return;
	close(t->to_daemon);
	ASSERT_EQ(waitpid(t->daemon, &status, 0), t->daemon, "waitpid");
	ASSERT_EQ(status, 0, "status of the daemon");
	close(t->from_daemon);
	t->daemon = 0;
}

/*
 * To everything; or to functions in which nobody sleeps but the daemon. Those are
 * of two models, with a second function of each: a set of one has no thunks. A static
 * function may have no landing pad, and then has none in common with the second one.
 */
static struct bpf_link *attach(struct env_dead *t, bool all)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	static const char * const names[] = {
		"get_signal", "bpf_fentry_test1", "do_epoll_wait", "bpf_fentry_test4",
	};
	static __u32 ids[ARRAY_SIZE(names)];
	struct bpf_link *link;
	struct btf *btf;
	int i;

	if (!all && !ids[0]) {
		btf = btf__load_vmlinux_btf();
		if (!ASSERT_OK_PTR(btf, "btf__load_vmlinux_btf"))
			return NULL;
		for (i = 0; i < ARRAY_SIZE(names); i++) {
			ids[i] = btf__find_by_name_kind(btf, names[i], BTF_KIND_FUNC);
			ASSERT_GT((int)ids[i], 0, names[i]);
		}
		btf__free(btf);
	}
	if (!all) {
		opts.ids = ids;
		opts.cnt = ARRAY_SIZE(ids);
	}
	link = bpf_program__attach_tracing_multi(t->skel->progs.leave, all ? "*" : NULL, &opts);
	ASSERT_OK_PTR(link, "attach");
	return link;
}

/* Processes die while a link is there. The first round's sees the daemon go to sleep. */
static bool run_round(struct env_dead *t, bool all)
{
	struct set_symbols syms;
	struct bpf_link *link;
	bool ok;

	link = attach(t, all);
	if (!link)
		return false;
	if (!t->copy) {
		t->copy = get_set_symbols(t->last_set, &syms);
		t->copy_blocks = syms.blocks;
	}
	ok = (t->daemon || daemon_start(t)) && die();
	bpf_link__destroy(link);
	return ok;
}

/* Does a work or timer of shared trampolines come within so many seconds? */
static bool is_busy(struct env_dead *t, int sec, bool print)
{
	int i, cnt, ours = 0;

	t->skel->bss->nr_events = 0;
	t->skel->bss->watch = true;
	sleep(sec);
	t->skel->bss->watch = false;
	cnt = t->skel->bss->nr_events;
	for (i = 0; i < cnt && i < DEAD_EVENTS; i++) {
		struct dead_event *ev = &t->skel->bss->events[i];
		struct ksym *sym = ksym_search(ev->func);
		const char *name = sym ? sym->name : "?";

		if (!strcmp(ev->wq, "bpf_tracing_multi") || strstr(name, "bpf_tramp")) {
			ours++;
			if (print && ours < 5)
				printf("%s on %s\n", name, ev->wq);
		}
	}
	return ours;
}

/* What was left to do is done after a while. */
static bool is_idle(struct env_dead *t)
{
	int tries;

	for (tries = 0; tries < 8; tries++)
		if (!is_busy(t, 5, false))
			return true;
	return ASSERT_FALSE(is_busy(t, 5, true), "work while nothing happens");
}

/*
 * Of the first link the image, and thunks, are left of what the daemon sleeps in,
 * of the others nothing. A word on some stack may keep another set for a while, but
 * never as many as there were links.
 */
static void test_few(struct env_dead *t)
{
	int i, first = 0, sum, rounds = 30;

	for (i = 0; i < rounds; i++) {
		if (!run_round(t, false))
			return;
		if (i == 0) {
#ifdef __x86_64__
			/* elsewhere trampolines call the function themselves */
			ASSERT_GE(t->copy_blocks, 1, "blocks of thunks");
#endif
			/* one of the two sets */
			first = wait_symbols(t, t->copy / 2, 10);
			if (!ASSERT_GT(first, 0, "symbols for the daemon"))
				return;
		}
	}
	sum = wait_symbols(t, first, 20);
	printf("symbols: %d with a link, %d after the first of %d links, %d after all\n",
	       t->copy, first, rounds, sum);
	ASSERT_LE(sum, t->copy, "symbols");
	is_idle(t);

	/* It returns by what the first link has left, which is seen when it dies. */
	daemon_wake(t, 'a');
	daemon_stop(t);
	ASSERT_EQ(wait_symbols(t, 0, 30), 0, "symbols without the daemon");
}

/*
 * Kernel threads wake up and go to sleep in functions that are attached to, each in
 * another round. What they sleep in stays, until they wake up: there are fewer of them
 * than a copy of all has symbols.
 */
static void test_everything(struct env_dead *t)
{
	int i, first = 0, sum, rounds = env_number("TRACING_MULTI_ROUNDS", 0);

	for (i = 0; i < rounds; i++) {
		if (!run_round(t, true))
			return;
		if (i == 0 && is_idle(t))
			first = wait_symbols(t, 0, 0);
		if (rounds > 10 && i % 10 == 0)
			printf("round %d: %d symbols\n", i, wait_symbols(t, 0, 0));
	}
	/* on a slow machine the last link is tidied up after for longer than is_idle() waits */
	sum = wait_symbols(t, t->copy, 40);
	is_idle(t);
	printf("symbols: %d with a link, %d after the first of %d links, %d after all\n",
	       t->copy, first, rounds, sum);
	ASSERT_LE(sum, t->copy, "symbols");

	daemon_wake(t, 'a');
	daemon_wake(t, 'b');
	daemon_stop(t);
}

static void run(void (*test)(struct env_dead *t))
{
	struct env_dead *t = calloc(1, sizeof(*t));
	char left[512];

	if (!ASSERT_OK_PTR(t, "calloc"))
		return;
	t->skel = tracing_multi_dead__open_and_load();
	if (!ASSERT_OK_PTR(t->skel, "tracing_multi_dead__open_and_load"))
		goto out;
	t->skel->bss->delayed_work_timer_fn = ksym_get_addr("delayed_work_timer_fn");
	t->skel->links.work_queued = bpf_program__attach(t->skel->progs.work_queued);
	t->skel->links.timer_started = bpf_program__attach(t->skel->progs.timer_started);
	if (!ASSERT_NEQ(t->skel->bss->delayed_work_timer_fn, 0, "delayed_work_timer_fn") ||
	    !ASSERT_OK_PTR(t->skel->links.work_queued, "work_queued") ||
	    !ASSERT_OK_PTR(t->skel->links.timer_started, "timer_started") ||
	    count_set_symbols(0, left, &t->last_set) < 0)
		goto out;
	test(t);
	daemon_stop(t);
out:
	tracing_multi_dead__destroy(t->skel);
	free(t);
}

void serial_test_tracing_multi_dead(void)
{
#if !defined(__x86_64__) && !defined(__aarch64__)
	test__skip();
	return;
#endif

	if (!ASSERT_OK(load_kallsyms(), "load_kallsyms"))
		return;
	if (test__start_subtest("few"))
		run(test_few);
	if (env_number("TRACING_MULTI_ROUNDS", 0) && test__start_subtest("everything"))
		run(test_everything);
}
