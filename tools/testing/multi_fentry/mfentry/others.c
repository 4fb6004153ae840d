// SPDX-License-Identifier: GPL-2.0
/*
 * mfentry others: how long somebody else waits for links that come and go
 *
 * One process attaches a program to all functions but one and closes the link, over
 * and over. Meanwhile this one attaches a single program to the function that is left
 * out; and before, with nobody else.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/libbpf.h>

#include "mfentry.h"
#include "mfentry.skel.h"

#define LEFT_OUT	"bpf_fentry_test1"	/* what single_1 is attached to */
#define REPEAT		200
#define FEW		5
#define MAX_PAUSE_US	50000

struct times {
	__u64 attach[REPEAT];
	__u64 detach[REPEAT];
};

static void leave_out(struct funcs *funcs)
{
	size_t i;

	for (i = 0; i < funcs->cnt; i++)
		if (!strcmp(funcs->v[i].name, LEFT_OUT))
			break;
	if (i == funcs->cnt)
		die("there is no function " LEFT_OUT);
	funcs->cnt--;
	memmove(funcs->v + i, funcs->v + i + 1, (funcs->cnt - i) * sizeof(*funcs->v));
}

/* At random moments, so that they meet all that the other process does. */
static void single_times(struct mfentry_bpf *skel, struct times *t, int repeat)
{
	struct bpf_link *link;
	struct cost c;
	int i;

	for (i = 0; i < repeat; i++) {
		usleep(rand() % MAX_PAUSE_US);
		cost_begin(&c);
		link = bpf_program__attach(skel->progs.single_1);
		if (!link)
			die("cannot attach to " LEFT_OUT ": %s", strerror(errno));
		cost_end(&c);
		t->attach[i] = c.ns;
		detach(link, &c);
		t->detach[i] = c.ns;
	}
}

/* Attach and detach all functions until the end; @done gets a byte each time. */
static void __noreturn come_and_go(struct mfentry_bpf *skel, const struct funcs *funcs, int done)
{
	for (;;) {
		detach(attach_funcs(first_program(skel), funcs, NULL), NULL);
		if (write(done, "", 1) != 1)
			exit(1);
	}
}

static __u64 multi_attach(struct mfentry_bpf *skel, const struct funcs *funcs,
			  const struct func *spare)
{
	struct bpf_link *link;
	struct cost c, rest;
	__u64 v[FEW];
	int i;

	for (i = 0; i < FEW; i++) {
		link = attach_funcs(first_program(skel), funcs, &c);
		detach_tidily(&link, 1, skel, spare, NULL, &rest);
		v[i] = c.ns;
	}
	mem_quiesce();
	return median(v, FEW);
}

static __u64 percentile(__u64 *v, int cnt, int percent)
{
	median(v, cnt);		/* sorts */
	return v[(cnt - 1) * percent / 100];
}

static void print(struct times *alone, struct times *meanwhile, int repeat,
		  const struct funcs *funcs, __u64 multi)
{
	printf("attach a single program, while links to %zu other functions come and go\n",
	       funcs->cnt);
	printf("  alone           %.6f s\n", percentile(alone->attach, repeat, 50) / 1e9);
	printf("  meanwhile       %.6f s\n", percentile(meanwhile->attach, repeat, 50) / 1e9);
	printf("  95th percentile %.6f s\n", percentile(meanwhile->attach, repeat, 95) / 1e9);
	printf("  such a link     %.6f s\n", multi / 1e9);
}

void cmd_others(void)
{
	struct times alone, meanwhile;
	struct mfentry_bpf *skel;
	int done[2], repeat;
	struct funcs funcs;
	struct func spare;
	__u64 multi;
	pid_t pid;
	char byte;
	FILE *f;

	repeat = opt.repeat ?: REPEAT;
	if (repeat > REPEAT)
		die("--repeat takes at most %d", REPEAT);
	funcs_collect(&funcs);
	leave_out(&funcs);
	spare = funcs_spare(&funcs);
	skel = load_programs(NULL);
	multi = multi_attach(skel, &funcs, &spare);
	single_times(skel, &alone, repeat);

	if (pipe(done))
		die("pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (!pid) {
		close(done[0]);
		come_and_go(skel, &funcs, done[1]);
	}
	/* not before the first has gone, and not without one */
	close(done[1]);
	if (read(done[0], &byte, 1) != 1)
		die("the process that attaches to all functions has ended");
	single_times(skel, &meanwhile, repeat);
	if (waitpid(pid, NULL, WNOHANG))
		die("the process that attaches to all functions has ended");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);

	if (opt.json) {
		f = json_open(opt.json, "others");
		fprintf(f, ",\n\"functions\": %zu,\n\"repeat\": %d,\n\"multi_attach_ns\": %llu",
			funcs.cnt, repeat, multi);
		fprintf(f, ",\n\"alone_attach_ns\": %llu,\n\"alone_detach_ns\": %llu",
			percentile(alone.attach, repeat, 50), percentile(alone.detach, repeat, 50));
		fprintf(f, ",\n\"median_attach_ns\": %llu,\n\"median_detach_ns\": %llu",
			percentile(meanwhile.attach, repeat, 50),
			percentile(meanwhile.detach, repeat, 50));
		fprintf(f, ",\n\"p95_attach_ns\": %llu,\n\"p95_detach_ns\": %llu",
			percentile(meanwhile.attach, repeat, 95),
			percentile(meanwhile.detach, repeat, 95));
		json_close(f, opt.json);
	}
	if (!opt.json || strcmp(opt.json, "-"))
		print(&alone, &meanwhile, repeat, &funcs, multi);
	mfentry_bpf__destroy(skel);
}
