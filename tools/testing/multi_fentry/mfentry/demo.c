// SPDX-License-Identifier: GPL-2.0
/* mfentry demo: count the calls of every function of the running kernel. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "mfentry.h"
#include "mfentry.skel.h"

#define CHECKED		"bpf_fentry_test1"
#define CHECKED_CALLS	1000

struct result {
	struct cost attach, close, detach;
	struct mem mem;
	size_t bodies;
	__u64 *calls;		/* of each function */
	__u64 total, called;	/* all calls; functions that saw any */
	__u64 missed;		/* skipped by the recursion protection */
	__u64 guarded, guarded_missed;	/* the same by a program that is not reentrant */
	__u64 checked;		/* counted of CHECKED_CALLS */
};

static __u64 missed_calls(const struct bpf_program *prog)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	int err;

	err = bpf_prog_get_info_by_fd(bpf_program__fd(prog), &info, &len);
	if (err)
		die("program info: %s", strerror(-err));
	return info.recursion_misses;
}

/**
 * map_counts - the counts of count_calls()
 * @skel: the programs, loaded for the functions that are counted
 *
 * Return: bpf_map__max_entries() counts, which change while the program runs; an error
 * ends the program.
 */
const __u64 *map_counts(struct mfentry_bpf *skel)
{
	size_t size = bpf_map__max_entries(skel->maps.calls) * sizeof(__u64);
	const __u64 *p;

	p = mmap(NULL, size, PROT_READ, MAP_SHARED, bpf_map__fd(skel->maps.calls), 0);
	if (p == MAP_FAILED)
		die("mmap of the counts: %s", strerror(errno));
	return p;
}

static __u64 calls_of(struct mfentry_bpf *skel, const __u64 *counts,
		      const struct func *func)
{
	__u64 slot = (func->addr - skel->rodata->first_ip) >> skel->rodata->shift;
	int cpu, cpus = libbpf_num_possible_cpus();
	__u64 sum = 0;

	for (cpu = 0; cpu < cpus; cpu++)
		sum += counts[cpu * skel->rodata->slots + slot];
	return sum;
}

/* The kernel's self test calls its function once: are the counts exact? */
static void check_counts(struct mfentry_bpf *skel, const __u64 *counts,
			 const struct funcs *funcs, struct result *r)
{
	LIBBPF_OPTS(bpf_test_run_opts, topts);
	const struct func *func = funcs_find(funcs, CHECKED);
	int i, fd = bpf_program__fd(skel->progs.first);
	__u64 before;

	if (!func)
		return;
	before = calls_of(skel, counts, func);
	for (i = 0; i < CHECKED_CALLS; i++)
		if (bpf_prog_test_run_opts(fd, &topts))
			die("test run: %s", strerror(errno));
	r->checked = calls_of(skel, counts, func) - before;
	if (r->checked != CHECKED_CALLS)
		note("counted %llu of %d calls of " CHECKED, r->checked, CHECKED_CALLS);
}

static void read_counts(struct mfentry_bpf *skel, const __u64 *counts,
			const struct funcs *funcs, __u64 *calls)
{
	size_t i;

	for (i = 0; i < funcs->cnt; i++)
		calls[i] = calls_of(skel, counts, &funcs->v[i]);
}

/* Returns: how many calls the program has missed of those that are counted meanwhile. */
static __u64 count_under_load(struct mfentry_bpf *skel, const struct bpf_program *prog,
			      const __u64 *counts, const struct funcs *funcs, __u64 *calls)
{
	__u64 *before = xcalloc(funcs->cnt, sizeof(*before)), missed = missed_calls(prog);
	size_t i;

	read_counts(skel, counts, funcs, before);
	load_start();
	sleep(opt.seconds);
	load_stop();
	read_counts(skel, counts, funcs, calls);
	for (i = 0; i < funcs->cnt; i++)
		calls[i] -= before[i];
	free(before);
	return missed_calls(prog) - missed;
}

/* What a program misses that does not say that it may run in an interrupt of itself. */
static void count_guarded(struct mfentry_bpf *skel, const struct funcs *funcs,
			  const __u64 *counts, struct result *r)
{
	const struct bpf_program *prog = skel->progs.count_guarded;
	__u64 *calls = xcalloc(funcs->cnt, sizeof(*calls));
	struct bpf_link *link = attach_funcs(prog, funcs, NULL);
	size_t i;

	r->guarded_missed = count_under_load(skel, prog, counts, funcs, calls);
	for (i = 0; i < funcs->cnt; i++)
		r->guarded += calls[i];
	detach(link, NULL);
	free(calls);
}

static void measure(struct mfentry_bpf *skel, const struct funcs *funcs,
		    const struct func *spare, struct result *r)
{
	const __u64 *counts = map_counts(skel);
	struct mem before, after;
	struct bpf_link *link;
	size_t bodies, i;

	bodies = settled_bodies();
	mem_settle(&before);
	link = attach_funcs(skel->progs.count_calls, funcs, &r->attach);
	/* Before the load: that leaves memory of its own behind. */
	mem_settle(&after);
	r->mem = mem_delta(&after, &before);
	r->bodies = count_bodies() - bodies;

	r->missed = count_under_load(skel, skel->progs.count_calls, counts, funcs, r->calls);
	for (i = 0; i < funcs->cnt; i++) {
		r->total += r->calls[i];
		r->called += !!r->calls[i];
	}
	check_counts(skel, counts, funcs, r);
	detach_tidily(&link, 1, skel, spare, &r->close, &r->detach);
	if (kernel_has_reentrant())
		count_guarded(skel, funcs, counts, r);
	if (skel->bss->strays)
		die("%llu calls of addresses that are none of the functions",
		    skel->bss->strays);
}

/* Indices of functions, most called first. */
static size_t *rank(const struct funcs *funcs, const struct result *r, size_t top)
{
	size_t *best = xcalloc(top + 1, sizeof(*best)), i, j, n = 0;

	for (i = 0; i < funcs->cnt; i++) {
		for (j = n; j && r->calls[best[j - 1]] < r->calls[i]; j--)
			best[j] = best[j - 1];
		best[j] = i;
		if (n < top)
			n++;
	}
	return best;
}

static void write_json(const struct funcs *funcs, const struct result *r,
		       const size_t *best, size_t top)
{
	FILE *f = json_open(opt.json, "demo");
	size_t i;

	fprintf(f, ",\n\"functions\": %zu,\n\"traceable\": %zu,\n\"bodies\": %zu,\n",
		funcs->cnt, funcs->traceable, r->bodies);
	fprintf(f, "\"attach_ns\": %llu,\n\"attach_cpu_ns\": %llu,\n",
		r->attach.ns, r->attach.cpu_ns);
	fprintf(f, "\"detach_ns\": %llu,\n\"detach_cpu_ns\": %llu,\n\"close_ns\": %llu,\n",
		r->detach.ns, r->detach.cpu_ns, r->close.ns);
	mem_json(f, "mem", &r->mem);
	fprintf(f, ",\n\"seconds\": %d,\n\"calls\": %llu,\n\"called_functions\": %llu,\n",
		opt.seconds, r->total, r->called);
	fprintf(f, "\"guarded_calls\": %llu,\n\"guarded_misses\": %llu,\n",
		r->guarded, r->guarded_missed);
	fprintf(f, "\"recursion_misses\": %llu,\n\"checked\": [%llu, %d],\n\"top\": [",
		r->missed, r->checked, CHECKED_CALLS);
	for (i = 0; i < top; i++)
		fprintf(f, "%s\n  {\"name\": \"%s\", \"calls\": %llu}", i ? "," : "",
			funcs->v[best[i]].name, r->calls[best[i]]);
	fputs("\n]", f);
	json_close(f, opt.json);
}

static void print(const struct funcs *funcs, const struct result *r,
		  const size_t *best, size_t top)
{
	struct utsname u;
	size_t i;

	uname(&u);
	printf("fentry.multi on Linux %s, %ld CPUs\n", u.release,
	       sysconf(_SC_NPROCESSORS_ONLN));
	printf("  functions       %zu attached, of %zu that ftrace can trace\n",
	       funcs->cnt, funcs->traceable);
	printf("  attach          %.3f s, %.2f us a function\n",
	       r->attach.ns / 1e9, r->attach.ns / 1e3 / funcs->cnt);
	printf("  detach          %.3f s, %.2f us a function; of it close() %.6f s\n",
	       r->detach.ns / 1e9, r->detach.ns / 1e3 / funcs->cnt, r->close.ns / 1e9);
	printf("  trampolines     %zu\n", r->bodies);
	printf("  kernel memory   %.2f MB, %.0f bytes a function\n",
	       r->mem.total / 1e6, (double)r->mem.total / funcs->cnt);
	printf("  calls           %llu in %d s of load, of %llu different functions\n",
	       r->total, opt.seconds, r->called);
	printf("  not counted     %llu calls made while counting (recursion)\n", r->missed);
	if (r->guarded)
		printf("                  %llu of %llu by a program that is not reentrant\n",
		       r->guarded_missed, r->guarded + r->guarded_missed);
	printf("  exactness       counted %llu of %d calls of " CHECKED "\n",
	       r->checked, CHECKED_CALLS);
	printf("  most called\n");
	for (i = 0; i < top; i++)
		printf("  %14llu  %s\n", r->calls[best[i]], funcs->v[best[i]].name);
}

void cmd_demo(void)
{
	struct mfentry_bpf *skel;
	struct result r = {};
	struct funcs funcs;
	struct func spare;
	size_t *best, top;

	funcs_collect(&funcs);
	skel = load_programs(&funcs);
	spare = funcs_spare(&funcs);
	r.calls = xcalloc(funcs.cnt, sizeof(*r.calls));
	measure(skel, &funcs, &spare, &r);

	top = (size_t)opt.top < funcs.cnt ? (size_t)opt.top : funcs.cnt;
	best = rank(&funcs, &r, top);
	if (opt.json)
		write_json(&funcs, &r, best, top);
	if (!opt.json || strcmp(opt.json, "-"))
		print(&funcs, &r, best, top);
	free(best);
	free(r.calls);
	mfentry_bpf__destroy(skel);
}
