// SPDX-License-Identifier: GPL-2.0
/*
 * mfentry hit: what a call of a traced function costs
 *
 * A test run of a fentry program makes the kernel call bpf_fentry_test1() to
 * bpf_fentry_test10() once each. Time it without and with a program that does
 * nothing attached to one of these functions: the difference is one hit. Where
 * the clock counts instructions, the difference is exact once timer ticks are
 * out of the way: they make a batch longer, never shorter, so take the shortest
 * of many batches.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "mfentry.h"
#include "mfentry.skel.h"

#define BATCH		100	/* test runs */
#define BATCHES		300
#define SET		1000	/* functions of a larger set */

struct target {
	const char *name;
	struct bpf_program *single;
	const struct func *func;
};

/* The shortest batch. */
static __u64 time_batch(struct mfentry_bpf *skel)
{
	LIBBPF_OPTS(bpf_test_run_opts, topts);
	int i, j, fd = bpf_program__fd(skel->progs.single_1);
	__u64 best = ULLONG_MAX;
	struct cost c;

	for (i = 0; i < BATCHES; i++) {
		cost_begin(&c);
		for (j = 0; j < BATCH; j++)
			if (bpf_prog_test_run_opts(fd, &topts))
				die("test run: %s", strerror(errno));
		cost_end(&c);
		if (c.ns < best)
			best = c.ns;
	}
	return best;
}

static __u64 count_of(struct mfentry_bpf *skel, const struct func *func)
{
	__u64 slot = (func->addr - skel->rodata->first_ip) >> skel->rodata->shift;
	int cpu, cpus = libbpf_num_possible_cpus();
	__u64 value, sum = 0;
	__u32 key;

	for (cpu = 0; cpu < cpus; cpu++) {
		key = cpu * skel->rodata->slots + slot;
		if (bpf_map__lookup_elem(skel->maps.calls, &key, sizeof(key),
					 &value, sizeof(value), 0))
			die("cannot read the counts: %s", strerror(errno));
		sum += value;
	}
	return sum;
}

/*
 * Functions that a test run does not call: a set of these and one target has
 * exactly one hit a test run. To find them, count what test runs call.
 */
static struct funcs cold_set(struct mfentry_bpf *skel, const struct funcs *funcs)
{
	struct funcs cold = funcs_spread(funcs, funcs->cnt), set;
	struct bpf_link *link;
	size_t i, n = 0;

	link = attach_funcs(skel->progs.count_calls, funcs, NULL);
	time_batch(skel);
	detach(link, NULL);
	for (i = 0; i < funcs->cnt; i++)
		if (!count_of(skel, &funcs->v[i]))
			cold.v[n++] = funcs->v[i];
	cold.cnt = n;
	if (n < SET)
		die("only %zu functions are not called meanwhile", n);
	set = funcs_spread(&cold, SET);
	free(cold.v);
	return set;
}

struct output {
	FILE *json;
	const char *target;
	bool any;
};

static void report(struct output *out, const char *what, __u64 with, __u64 without)
{
	double ns = ((double)with - without) / BATCH;

	note("%s, %s: %.2f %s a hit", out->target, what, ns, opt.unit);
	fprintf(out->json, "%s\n  {\"target\": \"%s\", \"config\": \"%s\", \"per_hit\": %.2f}",
		out->any ? "," : "", out->target, what, ns);
	out->any = true;
}

static void hit_single(struct mfentry_bpf *skel, const struct target *t,
		       struct output *out)
{
	__u64 without = time_batch(skel);
	struct bpf_link *link = bpf_program__attach(t->single);

	if (!link)
		die("cannot attach to %s: %s", t->name, strerror(errno));
	report(out, "single", time_batch(skel), without);
	detach(link, NULL);
}

static void hit_kprobe(struct mfentry_bpf *skel, const struct target *t,
		       struct output *out)
{
	LIBBPF_OPTS(bpf_kprobe_multi_opts, opts, .syms = (const char **)&t->name, .cnt = 1);
	__u64 without = time_batch(skel);
	struct bpf_link *link;

	link = bpf_program__attach_kprobe_multi_opts(skel->progs.kprobes, NULL, &opts);
	if (!link)
		die("cannot attach kprobe.multi to %s: %s", t->name, strerror(errno));
	report(out, "kprobe_multi_1", time_batch(skel), without);
	detach(link, NULL);
}

/* A multi program on the set; then a second one comes, and goes again. */
static void hit_multi(struct mfentry_bpf *skel, const struct funcs *set,
		      struct output *out)
{
	__u64 without = time_batch(skel);
	struct bpf_link *first, *second;
	char what[64];

	first = attach_funcs(skel->progs.first, set, NULL);
	snprintf(what, sizeof(what), "multi_%zu", set->cnt);
	report(out, what, time_batch(skel), without);

	second = attach_funcs(skel->progs.second, set, NULL);
	snprintf(what, sizeof(what), "multi_%zu_two_programs", set->cnt);
	report(out, what, time_batch(skel), without);

	detach(second, NULL);
	mem_quiesce();
	snprintf(what, sizeof(what), "multi_%zu_after_second", set->cnt);
	report(out, what, time_batch(skel), without);
	detach(first, NULL);
}

void cmd_hit(void)
{
	struct target targets[] = {
		{ .name = "bpf_fentry_test1" },
		{ .name = "bpf_fentry_test6" },
	};
	struct output out = {};
	struct mfentry_bpf *skel;
	struct funcs funcs, set, one = { .cnt = 1 };
	size_t i;

	if (!opt.json)
		die("hit needs --json");
	funcs_collect(&funcs);
	skel = load_programs(&funcs);
	if (!opt.functions)
		funcs_verify(&funcs, skel->progs.first);
	targets[0].single = skel->progs.single_1;
	targets[1].single = skel->progs.single_6;

	set = cold_set(skel, &funcs);
	mem_quiesce();
	out.json = json_open(opt.json, "hit");
	fputs(",\n\"hits\": [", out.json);
	for (i = 0; i < ARRAY_SIZE(targets); i++) {
		targets[i].func = funcs_find(&funcs, targets[i].name);
		if (!targets[i].func)
			die("%s is not among the functions", targets[i].name);
		out.target = targets[i].name;
		hit_single(skel, &targets[i], &out);
		one.v = (struct func *)targets[i].func;
		hit_multi(skel, &one, &out);
		set.v[0] = *targets[i].func;
		hit_multi(skel, &set, &out);
		hit_kprobe(skel, &targets[i], &out);
	}
	fputs("\n]", out.json);
	json_close(out.json, opt.json);
	free(set.v);
	mfentry_bpf__destroy(skel);
}
