// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a call of a traced function costs more than that of one that is not, in
 * one place or in many, in turn or at random, with few or many callers above.
 * It depends on where the code happens to be, by some percent, so all that the
 * JIT makes is put to many places, and in each in another order. There, runs of
 * all variants take turns, so that what else the machine does falls on all of
 * them, and the best counts; of the places, the median.
 */
#include <time.h>

#include "test.h"

#include "boot.c"
#include "site.c"
#include "calls.c"

#define COST_SITES_MAX	5000
#define COST_CALLS_MAX	20000
#define COST_PLACES_MAX	121
#define COST_RUNS	12

struct cost_size {
	int nr;			/* of functions that are made */
	int calls;		/* in a run */
	int places;
};

static const struct cost_size cost_few = { 64, 4096, COST_PLACES_MAX };
static const struct cost_size cost_many = { COST_SITES_MAX, COST_CALLS_MAX, 15 };

typedef unsigned long (*traced_fn)(unsigned long a, unsigned long b);

static unsigned long cost_calls(const unsigned short *order, int nr)
{
	unsigned long sum = 0;
	int i;

	for (i = 0; i < nr; i++)
		sum += ((traced_fn)sites[order[i]].func)(i, sum);
	return sum;
}

/* What calls functions of the variant that is measured in turn, as the kernel calls most. */
static unsigned long (*cost_caller)(void);

static unsigned long cost_own_calls(const unsigned short *order, int nr)
{
	unsigned long sum = 0;
	int i;

	for (i = 0; i < nr; i += CALLS_NR)
		sum += cost_caller();
	return sum;
}

static noinline unsigned long cost_deep(int depth, traced_fn fn, unsigned long a, unsigned long b)
{
	unsigned long ret = depth ? cost_deep(depth - 1, fn, a, b) : fn(a, b);

	asm volatile("" : "+r"(ret));
	return ret + 1;
}

static unsigned long cost_deep_calls(const unsigned short *order, int nr)
{
	unsigned long sum = 0;
	int i;

	for (i = 0; i < nr; i++)
		sum += cost_deep(7, (traced_fn)sites[order[i]].func, i, sum);
	return sum;
}

static const struct {
	const char *name;
	const struct cost_size *size;
	int nr;			/* functions that are called */
	bool random;
	unsigned long (*run)(const unsigned short *order, int nr);
} cost_orders[] = {
	{ "one function", &cost_few, 1, false, cost_calls },
	{ "4 in turn", &cost_few, 4, false, cost_own_calls },
	{ "64 in turn", &cost_few, 64, false, cost_own_calls },
	{ "64 at random", &cost_few, 64, true, cost_calls },
	{ "one, 8 callers deep", &cost_few, 1, false, cost_deep_calls },
	{ "64 at random, 8 deep", &cost_few, 64, true, cost_deep_calls },
	{ "5000 at random", &cost_many, COST_SITES_MAX, true, cost_calls },
};

enum cost_variant {
	COST_NONE,
	COST_FENTRY,
	COST_FENTRY_SHARED,
	COST_FENTRY_COOKIE,
	COST_FEXIT,
	COST_FEXIT_SHARED,
	COST_FEXIT_COOKIE,
	COST_VARIANTS,
};

static const char * const cost_names[] = {
	[COST_NONE] = "not traced",
	[COST_FENTRY] = "fentry",
	[COST_FENTRY_SHARED] = "shared",
	[COST_FENTRY_COOKIE] = "+ cookies",
	[COST_FEXIT] = "fexit",
	[COST_FEXIT_SHARED] = "shared",
	[COST_FEXIT_COOKIE] = "+ cookies",
};

/*
 * A light program in a shared trampoline costs at most so often as much as any in a
 * dedicated one; 0: that is the dedicated one.
 */
static double cost_bar(enum cost_variant v)
{
	switch (v) {
	case COST_FENTRY_SHARED:
	case COST_FENTRY_COOKIE:
		return 0.6;
	case COST_FEXIT_SHARED:
	case COST_FEXIT_COOKIE:
		return 0.5;
	default:
		return 0;
	}
}

/* The program, which counts */
static void *cost_prog;
static unsigned long cost_hits;

/* Functions of their own for each variant, as a processor remembers branches. */
static struct site cost_sites[COST_VARIANTS][COST_SITES_MAX];
static void *cost_callers[COST_VARIANTS][ARRAY_SIZE(cost_orders)];

static void cost_variant(enum cost_variant v, int nr)
{
	bool shared = v != COST_FENTRY && v != COST_FEXIT;
	bool cookie = v == COST_FENTRY_COOKIE || v == COST_FEXIT_COOKIE;
	struct jit_prog prog = { v >= COST_FEXIT ? JIT_FEXIT : JIT_FENTRY, .light = shared,
				 .func = cost_prog };
	struct jit_spec spec = {
		.nr_args = 2, .arg_size = { 8, 8 }, .shared = shared, .light = shared,
		.thunk = cookie || v == COST_FEXIT_SHARED, .nr_progs = 1, .progs = &prog,
	};
	struct thunks thunks = {};
	struct jit_image image;
	unsigned int o;
	int i;

	sites_make(cost_sites[v], nr, true);
	for (o = 0; o < ARRAY_SIZE(cost_orders); o++)
		if (cost_orders[o].run == cost_own_calls)
			cost_callers[v][o] = calls_make(cost_orders[o].nr);
	if (v == COST_NONE)
		return;
	if (cookie) {
		prog.wants_cookie = 1;
		prog.cookies = jit_cookies(SITE_NR(0), nr);
	}
	for (i = 0; i < nr; i++) {
		if (!shared)
			spec.func = sites[i].func;
		if ((!shared || !i) && jit_generate(&spec, &image)) {
			fprintf(stderr, "no image\n");
			exit(2);
		}
		if (spec.thunk && !thunks.gate)
			thunks_make(&thunks, &image, nr);
		if (spec.thunk)
			site_patch(i, thunk_make(&thunks, v >= COST_FEXIT, i), v >= COST_FEXIT);
		else
			site_patch(i, image.addr, image.use_jmp);
	}
}

/* All variants in one place, in random order */
static void cost_place(unsigned int *seed, int nr)
{
	enum cost_variant order[COST_VARIANTS] = {};
	int i, with;

	exec_alloc(64 * (rand_r(seed) % 64));
	cost_prog = prog_make(&cost_hits, 4 * (rand_r(seed) % 16));
	for (i = 0; i < COST_VARIANTS; i++) {
		with = rand_r(seed) % (i + 1);
		order[i] = order[with];
		order[with] = i;
	}
	for (i = 0; i < COST_VARIANTS; i++)
		cost_variant(order[i], nr);
}

static double cost_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

/* ns a call, once all that it needs was in use */
static double cost_time(int o, enum cost_variant v, const unsigned short *order)
{
	int nr = cost_orders[o].size->calls;
	unsigned long hits = v == COST_NONE ? 0 : 3 * nr;
	double ns;

	sites = cost_sites[v];
	cost_caller = cost_callers[v][o];
	WRITE_ONCE(cost_hits, 0);
	cost_orders[o].run(order, nr);
	ns = cost_now();
	asm volatile("" : : "r"(cost_orders[o].run(order, nr)));
	asm volatile("" : : "r"(cost_orders[o].run(order, nr)));
	ns = cost_now() - ns;
	if (READ_ONCE(cost_hits) != hits) {
		fprintf(stderr, "%s: the program has run %lu times instead of %lu\n",
			cost_names[v], cost_hits, hits);
		exit(2);
	}
	return ns / 2 / nr;
}

static double cost_best[ARRAY_SIZE(cost_orders)][COST_VARIANTS][COST_PLACES_MAX];

static void cost_measure(int o, int place)
{
	static unsigned short order[COST_CALLS_MAX];
	double ns, *best;
	int v, i;

	srand(1);
	for (i = 0; i < cost_orders[o].size->calls; i++)
		order[i] = (cost_orders[o].random ? rand() : i) % cost_orders[o].nr;
	for (i = 0; i < COST_RUNS * COST_VARIANTS; i++) {
		v = i % COST_VARIANTS;
		ns = cost_time(o, v, order);
		best = &cost_best[o][v][place];
		if (i < COST_VARIANTS || ns < *best)
			*best = ns;
	}
}

static int cost_cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double cost_median(double *v, int nr)
{
	qsort(v, nr, sizeof(*v), cost_cmp);
	return v[nr / 2];
}

/* ns a call more than untraced, and how often as many as dedicated */
static double cost_of(int o, enum cost_variant v, double *ratio)
{
	enum cost_variant base = v < COST_FEXIT ? COST_FENTRY : COST_FEXIT;
	double ns[COST_PLACES_MAX], ratios[COST_PLACES_MAX], none;
	int i, places = cost_orders[o].size->places;

	for (i = 0; i < places; i++) {
		none = cost_best[o][COST_NONE][i];
		ns[i] = cost_best[o][v][i] - none;
		ratios[i] = ns[i] / (cost_best[o][base][i] - none);
	}
	*ratio = cost_median(ratios, places);
	return cost_median(ns, places);
}

static void cost_print(bool json)
{
	double ns, ratio;
	unsigned int o;
	int v;

	if (json)
		printf("[");
	else
		printf("ns a call, more than %s; and how often as many as dedicated\n%-22s",
		       cost_names[COST_NONE], "");
	for (v = 1; v < COST_VARIANTS && !json; v++)
		printf("%15s", cost_names[v]);
	for (o = 0; o < ARRAY_SIZE(cost_orders); o++) {
		printf(json ? "%s\n  { \"order\": \"%s\"" : "%s\n%-22s", json && o ? "," : "",
		       cost_orders[o].name);
		for (v = 1; v < COST_VARIANTS; v++) {
			ns = cost_of(o, v, &ratio);
			if (json)
				printf(", \"%s %s\": { \"ns\": %.2f, \"ratio\": %.3f }",
				       v < COST_FEXIT ? "fentry" : "fexit",
				       v == COST_FENTRY || v == COST_FEXIT ? "dedicated" :
				       cost_names[v], ns, ratio);
			else
				printf("%8.2f %5.2fx", ns, ratio);
		}
		printf(json ? " }" : "");
	}
	printf(json ? "\n]\n" : "\n");
}

/* 1 if it costs more than it may */
static int cost_check(void)
{
	unsigned int o;
	double ratio, bar;
	int v, ret = 0;

	for (o = 0; o < ARRAY_SIZE(cost_orders); o++) {
		for (v = 1; v < COST_VARIANTS; v++) {
			bar = cost_bar(v);
			cost_of(o, v, &ratio);
			if (!bar || ratio <= bar)
				continue;
			fprintf(stderr, "%s, %s %s: %.3fx, more than %.2fx\n", cost_orders[o].name,
				v < COST_FEXIT ? "fentry" : "fexit", cost_names[v], ratio,
				bar);
			ret = 1;
		}
	}
	return ret;
}

static void cost_run(const struct cost_size *size)
{
	unsigned int o, seed = 1;
	int place;

	for (place = 0; place < size->places; place++) {
		fprintf(stderr, "\r%d functions, %d of %d places ", size->nr, place + 1,
			size->places);
		/* there is no room for many functions in all places */
		if (size == &cost_many)
			exec_reset();
		cost_place(&seed, size->nr);
		for (o = 0; o < ARRAY_SIZE(cost_orders); o++)
			if (cost_orders[o].size == size)
				cost_measure(o, place);
	}
	fprintf(stderr, "\n");
}

int main(int argc, char **argv)
{
	static const struct config no_mitigations;
	bool json = argc > 1 && !strcmp(argv[1], "--json");

	config = &no_mitigations;
	boot();
	cost_run(&cost_few);
	cost_run(&cost_many);
	cost_print(json);
	return cost_check();
}
