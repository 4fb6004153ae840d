// SPDX-License-Identifier: GPL-2.0-only
/*
 * funccount - count calls of kernel functions, of many at once
 *
 * SIGINT and SIGTERM are blocked and waited for. So they disturb no system call, and
 * the one that attaches, which can take seconds, is not left with half of its work done.
 */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "funccount.h"

static sigset_t ending, old_mask;
static int process = -1;	/* a descriptor of the one whose calls are counted */

void *xcalloc(size_t cnt, size_t size)
{
	void *p = calloc(cnt ?: 1, size);

	if (!p)
		errx(1, "out of memory");
	return p;
}

double seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void signals_block(void)
{
	sigemptyset(&ending);
	sigaddset(&ending, SIGINT);
	sigaddset(&ending, SIGTERM);
	sigprocmask(SIG_BLOCK, &ending, &old_mask);
}

/* From now on they end the program: output may be long, and its reader slow. */
static void signals_restore(void)
{
	sigprocmask(SIG_SETMASK, &old_mask, NULL);
}

/**
 * signal_pending - see whether somebody wants the program to end
 *
 * Return: the signal, which stays pending; 0 if there is none.
 */
int signal_pending(void)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, SIGINT) ? SIGINT : sigismember(&set, SIGTERM) ? SIGTERM : 0;
}

static void process_open(void)
{
	if (!opt.pid)
		return;
	process = syscall(SYS_pidfd_open, opt.pid, 0);
	if (process < 0)
		errx(1, "cannot watch process %d: %s", opt.pid, strerror(errno));
}

static bool process_gone(void)
{
	struct pollfd p = { .fd = process, .events = POLLIN };

	return process >= 0 && poll(&p, 1, 0) > 0;
}

/**
 * wait_until - wait for a time, a signal or the end of the process in question
 * @when: the time; INFINITY if there is none
 */
enum wait wait_until(double when)
{
	struct timespec ts;
	double left;

	for (;;) {
		left = when - seconds_now();
		if (left <= 0)
			return WAIT_TIME;
		if (process_gone())
			return WAIT_GONE;
		left = fmin(left, opt.pid ? 0.2 : 3600);
		ts.tv_sec = left;
		ts.tv_nsec = (left - ts.tv_sec) * 1e9;
		if (sigtimedwait(&ending, NULL, &ts) > 0)
			return WAIT_SIGNAL;
	}
}

static void show_interval(struct tracer *t, const struct snapshot *start,
			  const struct snapshot *from, const struct snapshot *to, unsigned int nr)
{
	struct result r, total;

	result_make(t, from, to, &r);
	if (opt.json) {
		json_interval(t, &r, nr);
	} else {
		result_make(t, start, to, &total);
		print_interval(t, &r, &total);
		result_free(&total);
	}
	result_free(&r);
}

/* Counts until it has been long enough; @start and @end are set. */
static void count(struct tracer *t, struct snapshot *start, struct snapshot *end)
{
	double until = INFINITY, next = INFINITY;
	struct snapshot last = {};
	enum wait why;
	unsigned int nr = 0;

	snapshot_take(t, start);
	if (opt.duration)
		until = start->when + opt.duration;
	do {
		if (opt.interval)
			next = start->when + (nr + 1) * opt.interval;
		why = wait_until(fmin(until, next));
		snapshot_take(t, end);
		if (opt.interval) {
			show_interval(t, start, last.data ? &last : start, end, ++nr);
			snapshot_free(&last);
			last = *end;
		}
	} while (why == WAIT_TIME && next < until);
}

static void show_result(struct tracer *t, const struct snapshot *start,
			const struct snapshot *end)
{
	struct callers callers = {};
	struct result r;

	result_make(t, start, end, &r);
	if (opt.callers)
		callers_trace(t, &r, &callers);
	signals_restore();
	if (opt.json)
		json_result(t, &r, opt.callers ? &callers : NULL);
	else
		print_result(t, &r, opt.callers ? &callers : NULL);
	callers_free(&callers);
	result_free(&r);
}

int main(int argc, char **argv)
{
	struct tracer t = { .begun = seconds_now() };
	struct snapshot start = {}, end = {};
	int sig;

	options_parse(argc, argv);
	process_open();
	signals_block();
	tracer_load(&t);
	tracer_attach(&t);
	sig = signal_pending();
	if (sig) {
		tracer_close(&t);
		return 128 + sig;
	}
	print_attached(&t);
	count(&t, &start, &end);
	show_result(&t, &start, &end);
	snapshot_free(&start);
	snapshot_free(&end);
	tracer_close(&t);
	if (fflush(stdout) || ferror(stdout))
		errx(1, "cannot write: %s", strerror(errno));
	return 0;
}
