// SPDX-License-Identifier: GPL-2.0
/*
 * mfentry others: how long somebody else waits for links that come and go
 *
 * One process attaches a program to all functions but two and closes the link, over
 * and over. Meanwhile this one attaches single programs to those that are left out, a
 * fentry program to one and an LSM program to the other; and before, with nobody else.
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

#define REPEAT		100
#define FEW		5
#define MAX_PAUSE_US	50000

struct times {
	__u64 attach[REPEAT];
	__u64 detach[REPEAT];
};

struct single {
	const char *kind;
	const char *func;	/* what @prog is attached to */
	struct bpf_program *prog;
	struct times alone;
	struct times meanwhile;
};

static void leave_out(struct funcs *funcs, const char *name)
{
	size_t i;

	for (i = 0; i < funcs->cnt; i++)
		if (!strcmp(funcs->v[i].name, name))
			break;
	/* it may be one that no link can be attached to */
	if (i == funcs->cnt)
		return;
	funcs->cnt--;
	memmove(funcs->v + i, funcs->v + i + 1, (funcs->cnt - i) * sizeof(*funcs->v));
}

/* At random moments, so that they meet all that the other process does. */
static void single_times(const struct single *single, struct times *t, int repeat)
{
	struct bpf_link *link;
	struct cost c;
	int i;

	for (i = 0; i < repeat; i++) {
		usleep(rand() % MAX_PAUSE_US);
		cost_begin(&c);
		link = bpf_program__attach(single->prog);
		if (!link)
			die("cannot attach to %s: %s", single->func, strerror(errno));
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

static void print(struct single *single, int repeat)
{
	printf("attach a single %s program\n", single->kind);
	printf("  alone           %.6f s\n", percentile(single->alone.attach, repeat, 50) / 1e9);
	printf("  meanwhile       %.6f s\n",
	       percentile(single->meanwhile.attach, repeat, 50) / 1e9);
	printf("  95th percentile %.6f s\n",
	       percentile(single->meanwhile.attach, repeat, 95) / 1e9);
}

static void print_json(FILE *f, struct single *single, int repeat)
{
	fprintf(f, "{\"kind\": \"%s\"", single->kind);
	fprintf(f, ", \"alone_attach_ns\": %llu, \"alone_detach_ns\": %llu",
		percentile(single->alone.attach, repeat, 50),
		percentile(single->alone.detach, repeat, 50));
	fprintf(f, ", \"median_attach_ns\": %llu, \"median_detach_ns\": %llu",
		percentile(single->meanwhile.attach, repeat, 50),
		percentile(single->meanwhile.detach, repeat, 50));
	fprintf(f, ", \"p95_attach_ns\": %llu, \"p95_detach_ns\": %llu}",
		percentile(single->meanwhile.attach, repeat, 95),
		percentile(single->meanwhile.detach, repeat, 95));
}

void cmd_others(void)
{
	static struct single singles[] = {
		{ .kind = "fentry", .func = "bpf_fentry_test1" },
		{ .kind = "LSM", .func = "bpf_lsm_syslog" },
	};
	const int cnt = sizeof(singles) / sizeof(*singles);
	struct mfentry_bpf *skel;
	int done[2], repeat, i;
	struct funcs funcs;
	struct func spare;
	__u64 multi;
	pid_t pid;
	char byte;
	FILE *f;

	repeat = opt.repeat ?: REPEAT;
	if (repeat > REPEAT)
		die("--repeat takes at most %d", REPEAT);
	opt.lsm = true;
	funcs_collect(&funcs);
	for (i = 0; i < cnt; i++)
		leave_out(&funcs, singles[i].func);
	spare = funcs_spare(&funcs);
	skel = load_programs(NULL);
	singles[0].prog = skel->progs.single_1;
	singles[1].prog = skel->progs.single_lsm;
	multi = multi_attach(skel, &funcs, &spare);
	for (i = 0; i < cnt; i++)
		single_times(&singles[i], &singles[i].alone, repeat);

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
	for (i = 0; i < cnt; i++)
		single_times(&singles[i], &singles[i].meanwhile, repeat);
	if (waitpid(pid, NULL, WNOHANG))
		die("the process that attaches to all functions has ended");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);

	if (opt.json) {
		f = json_open(opt.json, "others");
		fprintf(f, ",\n\"functions\": %zu,\n\"repeat\": %d,\n\"multi_attach_ns\": %llu",
			funcs.cnt, repeat, multi);
		for (i = 0; i < cnt; i++) {
			fputs(i ? ",\n" : ",\n\"singles\": [\n", f);
			print_json(f, &singles[i], repeat);
		}
		fputs("]", f);
		json_close(f, opt.json);
	}
	if (!opt.json || strcmp(opt.json, "-")) {
		printf("while links to %zu other functions come and go, %.6f s each\n",
		       funcs.cnt, multi / 1e9);
		for (i = 0; i < cnt; i++)
			print(&singles[i], repeat);
	}
	mfentry_bpf__destroy(skel);
}
