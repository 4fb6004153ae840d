// SPDX-License-Identifier: GPL-2.0
/*
 * mfentry hit: what a call of a traced function costs
 *
 * At its entry and at its return, with a cookie and without. A test run of a
 * fentry program makes the kernel call bpf_fentry_test1() to
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
#include <unistd.h>
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
	struct bpf_program *single_exit;
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

struct output {
	FILE *json;
	const char *target;
	const struct func *spare;	/* see detach_tidily() */
	bool any;
};

/* What is measured next must not find functions that are to be left yet. */
static void detach_multi(struct mfentry_bpf *skel, struct bpf_link *link,
			 const struct output *out)
{
	struct cost c;

	detach_tidily(&link, 1, skel, out->spare, NULL, &c);
}

/*
 * Functions that a test run does not call: a set of these and one target has
 * exactly one hit a test run. To find them, count what test runs call.
 */
static struct funcs cold_set(struct mfentry_bpf *skel, const struct funcs *funcs,
			     const struct output *out)
{
	struct funcs cold = funcs_spread(funcs, funcs->cnt), set;
	struct bpf_link *link;
	size_t i, n = 0;

	link = attach_funcs(skel->progs.count_calls, funcs, NULL);
	time_batch(skel);
	detach_multi(skel, link, out);
	for (i = 0; i < funcs->cnt; i++)
		if (!count_of(skel, &funcs->v[i]))
			cold.v[n++] = funcs->v[i];
	cold.cnt = n;
	funcs_keep(&cold, skel->progs.first_exit);
	if (cold.cnt < SET)
		die("only %zu functions are not called meanwhile", cold.cnt);
	set = funcs_spread(&cold, SET);
	free(cold.v);
	return set;
}

static void report(struct output *out, const char *what, __u64 with, __u64 without)
{
	double ns = ((double)with - without) / BATCH;

	note("%s, %s: %.2f %s a hit", out->target, what, ns, opt.unit);
	fprintf(out->json, "%s\n  {\"target\": \"%s\", \"config\": \"%s\", \"per_hit\": %.2f}",
		out->any ? "," : "", out->target, what, ns);
	out->any = true;
}

static void hit_single(struct mfentry_bpf *skel, const struct target *t, bool fexit,
		       struct output *out)
{
	__u64 without = time_batch(skel);
	struct bpf_link *link = bpf_program__attach(fexit ? t->single_exit : t->single);

	if (!link)
		die("cannot attach to %s: %s", t->name, strerror(errno));
	report(out, fexit ? "single_fexit" : "single", time_batch(skel), without);
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
static void hit_multi(struct mfentry_bpf *skel, const struct funcs *set, bool fexit,
		      struct output *out)
{
	const struct bpf_program *progs[2] = { skel->progs.first, skel->progs.second };
	const char *kind = fexit ? "multi_fexit" : "multi";
	__u64 without = time_batch(skel);
	struct bpf_link *first, *second;
	char what[64];

	if (fexit) {
		progs[0] = skel->progs.first_exit;
		progs[1] = skel->progs.second_exit;
	}
	first = attach_funcs(progs[0], set, NULL);
	snprintf(what, sizeof(what), "%s_%zu", kind, set->cnt);
	report(out, what, time_batch(skel), without);

	second = attach_funcs(progs[1], set, NULL);
	snprintf(what, sizeof(what), "%s_%zu_two_programs", kind, set->cnt);
	report(out, what, time_batch(skel), without);

	detach_multi(skel, second, out);
	snprintf(what, sizeof(what), "%s_%zu_after_second", kind, set->cnt);
	report(out, what, time_batch(skel), without);
	detach_multi(skel, first, out);
}

/* A program that asks for its cookie, without any and with one a function. */
static void hit_cookie(struct mfentry_bpf *skel, const struct funcs *set, bool fexit,
		       struct output *out)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts, .cnt = set->cnt);
	const struct bpf_program *prog = fexit ? skel->progs.cookie_exit : skel->progs.cookie;
	const char *kind = fexit ? "multi_fexit" : "multi";
	__u64 *cookies = xcalloc(set->cnt, sizeof(*cookies));
	__u32 *ids = funcs_ids(set);
	__u64 without = time_batch(skel);
	struct bpf_link *link;
	char what[64];
	size_t i;

	link = attach_funcs(prog, set, NULL);
	snprintf(what, sizeof(what), "%s_%zu_no_cookie", kind, set->cnt);
	report(out, what, time_batch(skel), without);
	detach_multi(skel, link, out);

	for (i = 0; i < set->cnt; i++)
		cookies[i] = (__u64)ids[i] << 20;
	opts.ids = ids;
	opts.cookies = cookies;
	link = bpf_program__attach_tracing_multi(prog, NULL, &opts);
	if (!link)
		die("cannot attach with cookies: %s", strerror(errno));
	snprintf(what, sizeof(what), "%s_%zu_cookie", kind, set->cnt);
	report(out, what, time_batch(skel), without);
	detach_multi(skel, link, out);
	free(cookies);
	free(ids);
}

/* How often the element of a function says that it was called. */
static __u64 data_calls(const struct bpf_link *link, const struct func *func, __u32 cnt)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info), i, *ids = xcalloc(cnt, sizeof(*ids)),
	      *indexes = xcalloc(cnt, sizeof(*indexes));
	__u64 calls = 0;

	info.tracing_multi.count = cnt;
	info.tracing_multi.ids = (__u64)(unsigned long)ids;
	info.tracing_multi.data_indexes = (__u64)(unsigned long)indexes;
	if (bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len))
		die("cannot tell which element a function has: %s", strerror(errno));
	for (i = 0; i < info.tracing_multi.count && ids[i] != func->id; i++)
		;
	if (i == info.tracing_multi.count ||
	    bpf_map_lookup_elem(bpf_link__data_map_fd(link), &indexes[i], &calls))
		die("%s has no element", func->name);
	free(ids);
	free(indexes);
	return calls;
}

static __u64 hash_calls(struct mfentry_bpf *skel, const struct func *func)
{
	__u64 calls;

	if (bpf_map__lookup_elem(skel->maps.by_ip, &func->addr, sizeof(func->addr), &calls,
				 sizeof(calls), 0))
		die("cannot read the count of %s: %s", func->name, strerror(errno));
	return calls;
}

static void hash_clear(struct mfentry_bpf *skel, const struct funcs *set)
{
	__u64 zero = 0;
	size_t i;

	for (i = 0; i < set->cnt; i++)
		if (bpf_map__update_elem(skel->maps.by_ip, &set->v[i].addr, sizeof(__u64), &zero,
					 sizeof(zero), BPF_ANY))
			die("cannot make a count: %s", strerror(errno));
}

/* Programs that count, in three ways. The target is called once a test run. */
static void hit_count(struct mfentry_bpf *skel, const struct target *t, const struct funcs *set,
		      struct output *out)
{
	const struct {
		const char *how;
		const struct bpf_program *prog;
	} counts[] = {
		{ "total", skel->progs.count_total },
		{ "by_ip", skel->progs.count_by_ip },
		{ "by_data", skel->progs.count_by_data },
	};
	__u64 without = time_batch(skel), calls;
	struct bpf_link *link;
	char what[64];
	size_t i;

	hash_clear(skel, set);
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		if (!bpf_program__autoload(counts[i].prog))
			continue;
		link = attach_funcs(counts[i].prog, set, NULL);
		snprintf(what, sizeof(what), "count_%zu_%s", set->cnt, counts[i].how);
		report(out, what, time_batch(skel), without);
		calls = BATCH * BATCHES;
		if (counts[i].prog == skel->progs.count_by_ip)
			calls = hash_calls(skel, t->func);
		else if (counts[i].prog == skel->progs.count_by_data)
			calls = data_calls(link, t->func, set->cnt);
		if (calls != BATCH * BATCHES)
			die("%s, %s: %llu calls counted of %d", t->name, what, calls,
			    BATCH * BATCHES);
		detach_multi(skel, link, out);
	}
}

/* Some kernels have no tracing_multi links: there is nothing but single programs. */
static bool have_multi(struct mfentry_bpf *skel, const struct func *func)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts,
		    .tracing_multi.ids = &func->id,
		    .tracing_multi.cnt = 1);
	const struct bpf_program *prog = skel->progs.first;
	int fd;

	fd = bpf_link_create(bpf_program__fd(prog), 0,
			     bpf_program__expected_attach_type(prog), &opts);
	if (fd < 0)
		return errno != EOPNOTSUPP;
	close(fd);
	return true;
}

/* @set: NULL if there are no tracing_multi links */
static void hit_target(struct mfentry_bpf *skel, const struct target *t, struct funcs *set,
		       struct output *out)
{
	struct funcs one = { .v = (struct func *)t->func, .cnt = 1 };
	int fexit;

	if (set)
		set->v[0] = *t->func;
	for (fexit = 0; fexit < 2; fexit++) {
		hit_single(skel, t, fexit, out);
		if (!set)
			continue;
		hit_multi(skel, &one, fexit, out);
		hit_multi(skel, set, fexit, out);
		hit_cookie(skel, &one, fexit, out);
		hit_cookie(skel, set, fexit, out);
	}
	if (set)
		hit_count(skel, t, set, out);
	hit_kprobe(skel, t, out);
}

void cmd_hit(void)
{
	struct target targets[] = {
		{ .name = "bpf_fentry_test1" },
		{ .name = "bpf_fentry_test6" },
	};
	struct output out = {};
	struct mfentry_bpf *skel;
	struct funcs funcs, set;
	struct func spare;
	bool multi;
	size_t i;

	if (!opt.json)
		die("hit needs --json");
	funcs_collect(&funcs);
	spare = funcs_spare(&funcs);
	out.spare = &spare;
	skel = load_programs(&funcs);
	multi = have_multi(skel, &funcs.v[0]);
	if (!multi)
		note("this kernel has no tracing_multi links");
	targets[0].single = skel->progs.single_1;
	targets[0].single_exit = skel->progs.single_exit_1;
	targets[1].single = skel->progs.single_6;
	targets[1].single_exit = skel->progs.single_exit_6;

	if (multi) {
		set = cold_set(skel, &funcs, &out);
		/* what is called without programs is to be that */
		wait_untraced();
	}
	out.json = json_open(opt.json, "hit");
	fputs(",\n\"hits\": [", out.json);
	for (i = 0; i < ARRAY_SIZE(targets); i++) {
		targets[i].func = funcs_find(&funcs, targets[i].name);
		if (!targets[i].func)
			die("%s is not among the functions", targets[i].name);
		out.target = targets[i].name;
		hit_target(skel, &targets[i], multi ? &set : NULL, &out);
	}
	fputs("\n]", out.json);
	json_close(out.json, opt.json);
	if (multi)
		free(set.v);
	mfentry_bpf__destroy(skel);
}
