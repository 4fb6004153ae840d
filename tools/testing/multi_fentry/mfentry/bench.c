// SPDX-License-Identifier: GPL-2.0
/*
 * mfentry bench: what attaching to n functions costs
 *
 * For each n: a first program, a second one on the same functions, and beside
 * them the function tracer and kprobe.multi on these functions. Then the split:
 * a second program on some of the functions that a first one covers, and a single
 * program beside that one. Unmodified 7.3 takes minutes for either second program:
 * both can be left out.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "mfentry.h"
#include "mfentry.skel.h"

#define MAX_SIZES	16
#define MAX_REPEAT	99
/* A run with more functions takes base a minute: by default only once. */
#define MANY		1000
#define FEW_REPEAT	3
#define SPLIT		10000
/* Counting bodies takes quadratic time; more are counted only once. */
#define FEW_BODIES	2000

/* What one run times. */
enum {
	ATTACH, CLOSE, DETACH, SECOND_ATTACH, SECOND_DETACH,
	TRACER_ON, TRACER_OFF, KPROBE_ATTACH, KPROBE_DETACH,
	COSTS
};

static const char * const cost_names[COSTS] = {
	[ATTACH] = "attach",
	[CLOSE] = "close",
	[DETACH] = "detach",
	[SECOND_ATTACH] = "second_attach",
	[SECOND_DETACH] = "second_detach",
	[TRACER_ON] = "tracer_on",
	[TRACER_OFF] = "tracer_off",
	[KPROBE_ATTACH] = "kprobe_attach",
	[KPROBE_DETACH] = "kprobe_detach",
};

/* What each of these adds to the kernel's memory. */
enum { MEM, SECOND_MEM, KPROBE_MEM, MEMS };

static const char * const mem_names[MEMS] = {
	[MEM] = "mem",
	[SECOND_MEM] = "second_mem",
	[KPROBE_MEM] = "kprobe_mem",
};

struct run {
	struct cost costs[COSTS];
	struct mem mems[MEMS];
	size_t bodies, second_bodies;
};

static void cost_json(FILE *f, const char *name, const struct cost *c)
{
	fprintf(f, "\"%s_ns\": %llu, \"%s_cpu_ns\": %llu", name, c->ns, name, c->cpu_ns);
}

/* --- the function tracer --- */

static void write_tracefs(const char *name, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), TRACEFS "/%s", name);
	fd = open(path, O_WRONLY | O_TRUNC);
	if (fd < 0 || write(fd, value, strlen(value)) != (ssize_t)strlen(value))
		die("%s: %s", path, strerror(errno));
	close(fd);
}

static void read_tracefs(const char *name, char *value, size_t size)
{
	char path[128];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), TRACEFS "/%s", name);
	fd = open(path, O_RDONLY);
	len = fd < 0 ? -1 : read(fd, value, size - 1);
	if (len < 0)
		die("%s: %s", path, strerror(errno));
	value[len] = '\0';
	close(fd);
}

static int cmp_line(const void *a, const void *b)
{
	__u32 x = ((const struct func *)a)->line, y = ((const struct func *)b)->line;

	return x < y ? -1 : x > y;
}

/* Does the filter hold exactly these functions, which are in file order? */
static void check_filter(const struct funcs *funcs)
{
	const char *path = TRACEFS "/set_ftrace_filter";
	char name[512], rest[512];
	size_t n = 0;
	FILE *f;

	f = fopen(path, "r");
	if (!f)
		die("%s: %s", path, strerror(errno));
	while (fscanf(f, "%511s%511[^\n]", name, rest) >= 1) {
		if (n >= funcs->cnt || strcmp(name, funcs->v[n].name))
			die("%s: %s where number %zu was set", path, name, n);
		n++;
	}
	fclose(f);
	if (n != funcs->cnt)
		die("%s: %zu of %zu functions were set", path, n, funcs->cnt);
}

/* By number: the kernel searches all functions for a name, for each. */
static void set_filter(const struct funcs *funcs)
{
	const char *path = TRACEFS "/set_ftrace_filter";
	struct funcs sorted = funcs_spread(funcs, funcs->cnt);
	char line[16];
	size_t i;
	int fd;

	qsort(sorted.v, sorted.cnt, sizeof(*sorted.v), cmp_line);
	fd = open(path, O_WRONLY | O_TRUNC);
	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	for (i = 0; i < sorted.cnt; i++) {
		snprintf(line, sizeof(line), "%u\n", sorted.v[i].line);
		if (write(fd, line, strlen(line)) < 0)
			die("%s: %s: %s", path, sorted.v[i].name, strerror(errno));
	}
	if (close(fd))
		die("%s: %s", path, strerror(errno));
	check_filter(&sorted);
	free(sorted.v);
}

/* With recording off: only the cost of patching the functions remains. */
static void bench_tracer(const struct funcs *funcs, struct cost *on, struct cost *off)
{
	char tracer[64], recording[8];

	read_tracefs("current_tracer", tracer, sizeof(tracer));
	if (strcmp(tracer, "nop\n"))
		die("the function tracer is needed, but somebody uses the tracer %s", tracer);
	read_tracefs("tracing_on", recording, sizeof(recording));
	write_tracefs("tracing_on", "0");
	set_filter(funcs);
	mem_quiesce();
	cost_begin(on);
	write_tracefs("current_tracer", "function");
	cost_end(on);
	mem_quiesce();
	cost_begin(off);
	write_tracefs("current_tracer", "nop");
	cost_end(off);
	write_tracefs("set_ftrace_filter", "");
	write_tracefs("tracing_on", recording);
}

/* --- kprobe.multi --- */

/* By address, which spares the kernel the search for names. */
static void bench_kprobe(struct mfentry_bpf *skel, const struct funcs *funcs,
			 struct run *r)
{
	LIBBPF_OPTS(bpf_kprobe_multi_opts, opts, .cnt = funcs->cnt);
	unsigned long *addrs = xcalloc(funcs->cnt, sizeof(*addrs));
	struct mem before, after;
	struct bpf_link *link;
	size_t i;

	for (i = 0; i < funcs->cnt; i++)
		addrs[i] = funcs->v[i].addr;
	opts.addrs = addrs;
	mem_settle(&before);
	cost_begin(&r->costs[KPROBE_ATTACH]);
	link = bpf_program__attach_kprobe_multi_opts(skel->progs.kprobes, NULL, &opts);
	if (!link)
		die("cannot attach kprobe.multi to %zu functions: %s",
		    funcs->cnt, strerror(errno));
	cost_end(&r->costs[KPROBE_ATTACH]);
	mem_settle(&after);
	r->mems[KPROBE_MEM] = mem_delta(&after, &before);
	detach(link, &r->costs[KPROBE_DETACH]);
	free(addrs);
}

/* --- fentry.multi --- */

static void bench_run(struct mfentry_bpf *skel, const struct funcs *funcs,
		      const struct func *spare, struct run *r, bool count)
{
	__u32 *ids = funcs_ids(funcs);
	struct bpf_link *first, *second;
	struct mem m[3];
	size_t bodies = count ? settled_bodies() : 0;

	mem_settle(&m[0]);
	first = attach_multi(first_program(skel), ids, funcs->cnt, &r->costs[ATTACH]);
	mem_settle(&m[1]);
	r->mems[MEM] = mem_delta(&m[1], &m[0]);
	if (count)
		r->bodies = count_bodies() - bodies;
	if (!opt.no_second) {
		second = attach_multi(second_program(skel), ids, funcs->cnt,
				      &r->costs[SECOND_ATTACH]);
		mem_settle(&m[2]);
		r->mems[SECOND_MEM] = mem_delta(&m[2], &m[1]);
		if (count && r->bodies <= FEW_BODIES)
			r->second_bodies = count_bodies() - bodies;
		detach_tidily(&second, 1, skel, spare, NULL, &r->costs[SECOND_DETACH]);
		mem_quiesce();
	}
	detach_tidily(&first, 1, skel, spare, &r->costs[CLOSE], &r->costs[DETACH]);
	free(ids);

	bench_kprobe(skel, funcs, r);
	bench_tracer(funcs, &r->costs[TRACER_ON], &r->costs[TRACER_OFF]);
}

/* Of the run with the median total, so that the parts add up. */
static struct mem median_mem(const struct run *runs, int repeat, int which)
{
	int i, j, below;

	for (i = 0; i < repeat; i++) {
		__s64 total = runs[i].mems[which].total;

		for (below = 0, j = 0; j < repeat; j++)
			below += runs[j].mems[which].total < total ||
				 (runs[j].mems[which].total == total && j < i);
		if (below == repeat / 2)
			break;
	}
	return runs[i].mems[which];
}

/* Medians of each cost by itself. */
static struct run median_run(const struct run *runs, int repeat)
{
	__u64 v[MAX_REPEAT];
	struct run r = runs[0];
	int i, c;

	for (c = 0; c < COSTS; c++) {
		for (i = 0; i < repeat; i++)
			v[i] = runs[i].costs[c].ns;
		r.costs[c].ns = median(v, repeat);
		for (i = 0; i < repeat; i++)
			v[i] = runs[i].costs[c].cpu_ns;
		r.costs[c].cpu_ns = median(v, repeat);
	}
	for (c = 0; c < MEMS; c++)
		r.mems[c] = median_mem(runs, repeat, c);
	return r;
}

static bool left_out(const char *name)
{
	return opt.no_second && !strncmp(name, "second_", strlen("second_"));
}

static void run_json(FILE *f, size_t n, int repeat, const struct run *r)
{
	int c;

	fprintf(f, "  {\"n\": %zu, \"repeat\": %d, \"bodies\": %zu,", n, repeat, r->bodies);
	if (r->bodies <= FEW_BODIES && !opt.no_second)
		fprintf(f, " \"second_bodies\": %zu,", r->second_bodies);
	for (c = 0; c < COSTS; c++) {
		if (left_out(cost_names[c]))
			continue;
		fputs("\n   ", f);
		cost_json(f, cost_names[c], &r->costs[c]);
		fputc(',', f);
	}
	for (c = 0; c < MEMS; c++) {
		if (left_out(mem_names[c]))
			continue;
		fputs("\n   ", f);
		mem_json(f, mem_names[c], &r->mems[c]);
		fputc(c < MEMS - 1 ? ',' : '}', f);
	}
}

static void bench_size(struct mfentry_bpf *skel, const struct funcs *funcs,
		       const struct func *spare, size_t n, FILE *f)
{
	int i, repeat = opt.repeat ?: n > MANY ? 1 : FEW_REPEAT;
	struct run *runs = xcalloc(repeat, sizeof(*runs)), r;
	struct funcs some = funcs_spread(funcs, n);

	for (i = 0; i < repeat; i++)
		bench_run(skel, &some, spare, &runs[i], !i);
	r = median_run(runs, repeat);
	note("%zu functions: on %.6fs, off %.6fs (close() %.6fs), %lld bytes, %zu bodies", n,
	     r.costs[ATTACH].ns / 1e9, r.costs[DETACH].ns / 1e9, r.costs[CLOSE].ns / 1e9,
	     r.mems[MEM].total, r.bodies);
	if (!opt.no_second)
		note("%zu functions: second on %.6fs, off %.6fs", n,
		     r.costs[SECOND_ATTACH].ns / 1e9, r.costs[SECOND_DETACH].ns / 1e9);
	run_json(f, n, repeat, &r);
	free(some.v);
	free(runs);
}

/* A program on one function. */
static void bench_single(struct mfentry_bpf *skel, struct cost *attach, struct cost *det)
{
	struct bpf_link *link;

	mem_quiesce();
	cost_begin(attach);
	link = bpf_program__attach(skel->progs.single_1);
	if (!link)
		die("cannot attach a program to one function: %s", strerror(errno));
	cost_end(attach);
	mem_quiesce();
	detach(link, det);
}

/*
 * A link over part of what another one covers, and over the same uncovered; and a
 * program on one function, beside that link and without it.
 */
static void bench_split(struct mfentry_bpf *skel, const struct funcs *funcs,
			const struct func *spare, FILE *f)
{
	struct cost attach, det, plain_attach, plain_detach;
	struct cost single_attach, single_detach, alone_attach, alone_detach;
	const struct {
		const char *name;
		const struct cost *cost;
	} costs[] = {
		{ "attach", &attach },
		{ "detach", &det },
		{ "uncovered_attach", &plain_attach },
		{ "uncovered_detach", &plain_detach },
		{ "single_attach", &single_attach },
		{ "single_detach", &single_detach },
		{ "alone_attach", &alone_attach },
		{ "alone_detach", &alone_detach },
	};
	size_t n = funcs->cnt > SPLIT ? SPLIT : funcs->cnt / 2;
	struct funcs some = funcs_spread(funcs, n);
	struct bpf_link *all, *link;
	size_t i;

	mem_quiesce();
	link = attach_funcs(second_program(skel), &some, &plain_attach);
	mem_quiesce();
	detach_tidily(&link, 1, skel, spare, NULL, &plain_detach);
	mem_quiesce();
	bench_single(skel, &alone_attach, &alone_detach);

	mem_quiesce();
	all = attach_funcs(first_program(skel), funcs, NULL);
	bench_single(skel, &single_attach, &single_detach);
	note("one function beside %zu: attach %.6f s, detach %.6f s; alone %.6f s and %.6f s",
	     funcs->cnt, single_attach.cpu_ns / 1e9, single_detach.cpu_ns / 1e9,
	     alone_attach.cpu_ns / 1e9, alone_detach.cpu_ns / 1e9);
	mem_quiesce();
	link = attach_funcs(second_program(skel), &some, &attach);
	mem_quiesce();
	detach_tidily(&link, 1, skel, spare, NULL, &det);
	mem_quiesce();
	detach(all, NULL);

	note("split %zu of %zu: attach %.6f s, detach %.6f s; uncovered %.6f s and %.6f s",
	     n, funcs->cnt, attach.ns / 1e9, det.ns / 1e9,
	     plain_attach.ns / 1e9, plain_detach.ns / 1e9);
	fprintf(f, ",\n\"split\": {\"covered\": %zu, \"n\": %zu,\n   ", funcs->cnt, n);
	for (i = 0; i < ARRAY_SIZE(costs); i++) {
		if (i)
			fputs(",\n   ", f);
		cost_json(f, costs[i].name, costs[i].cost);
	}
	fputc('}', f);
	free(some.v);
}

/* "1,10,all" to numbers; what exceeds the functions there are is left out. */
static size_t parse_sizes(const struct funcs *funcs, size_t *sizes)
{
	char *list = strdup(opt.sizes), *p, *save, *end;
	size_t cnt = 0;
	long n;

	for (p = strtok_r(list, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
		n = strtol(p, &end, 10);
		if (!strcmp(p, "all"))
			n = funcs->cnt;
		else if (*end || n < 1)
			die("--n wants numbers and all, not %s", p);
		if (cnt == MAX_SIZES)
			die("--n takes at most %d numbers", MAX_SIZES);
		if ((size_t)n <= funcs->cnt)
			sizes[cnt++] = n;
		else
			note("there are no %ld functions: left out", n);
	}
	free(list);
	if (!cnt)
		die("--n names no number of functions");
	return cnt;
}

/* Allocations that a mechanism's first use makes belong to no measurement. */
static void warm_up(struct mfentry_bpf *skel, const struct funcs *funcs, const struct func *spare)
{
	struct funcs one = funcs_spread(funcs, 1);
	struct run r = {};

	bench_run(skel, &one, spare, &r, false);
	free(one.v);
}

void cmd_bench(void)
{
	size_t sizes[MAX_SIZES], cnt, i;
	struct mfentry_bpf *skel;
	struct funcs funcs;
	struct func spare;
	FILE *f;

	if (!opt.json)
		die("bench needs --json");
	if (opt.repeat > MAX_REPEAT)
		die("--repeat takes at most %d", MAX_REPEAT);
	funcs_collect(&funcs);
	skel = load_programs(&funcs);
	spare = funcs_spare(&funcs);
	cnt = parse_sizes(&funcs, sizes);

	f = json_open(opt.json, "bench");
	fprintf(f, ",\n\"functions\": %zu,\n\"runs\": [\n", funcs.cnt);
	warm_up(skel, &funcs, &spare);
	for (i = 0; i < cnt; i++) {
		if (i)
			fputs(",\n", f);
		bench_size(skel, &funcs, &spare, sizes[i], f);
	}
	fputs("\n]", f);
	if (!opt.no_split)
		bench_split(skel, &funcs, &spare, f);
	json_close(f, opt.json);
	mfentry_bpf__destroy(skel);
}
