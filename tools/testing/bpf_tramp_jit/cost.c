// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a call of a traced function costs more than that of one that is not, in
 * one place or in many, in turn or at random, with few or many callers above.
 * Each figure is the best of many runs that take turns, so that what else the
 * machine does falls on all of them.
 */
#include <time.h>

#define COST_CALLS	4096
#define COST_RUNS	60

typedef unsigned long (*traced_fn)(unsigned long a, unsigned long b);

static unsigned long cost_calls(const unsigned char *order)
{
	unsigned long sum = 0;
	int i;

	for (i = 0; i < COST_CALLS; i++)
		sum += ((traced_fn)sites[order[i]].func)(i, sum);
	return sum;
}

static noinline unsigned long cost_deep(int depth, traced_fn fn, unsigned long a, unsigned long b)
{
	unsigned long ret = depth ? cost_deep(depth - 1, fn, a, b) : fn(a, b);

	asm volatile("" : "+r"(ret));
	return ret + 1;
}

static unsigned long cost_deep_calls(const unsigned char *order)
{
	unsigned long sum = 0;
	int i;

	for (i = 0; i < COST_CALLS; i++)
		sum += cost_deep(7, (traced_fn)sites[order[i]].func, i, sum);
	return sum;
}

static const struct {
	const char *name;
	int nr;			/* functions */
	bool random;
	unsigned long (*run)(const unsigned char *order);
} cost_orders[] = {
	{ "one function", 1, false, cost_calls },
	{ "4 in turn", 4, false, cost_calls },
	{ "64 in turn", 64, false, cost_calls },
	{ "64 at random", 64, true, cost_calls },
	{ "one, 8 callers deep", 1, false, cost_deep_calls },
	{ "64 at random, 8 deep", 64, true, cost_deep_calls },
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

/* Functions of their own for each variant, as a processor remembers branches. */
static struct site cost_sites[COST_VARIANTS][NR_SITES];

static void cost_variant(enum cost_variant v)
{
	bool shared = v != COST_FENTRY && v != COST_FEXIT;
	bool cookie = v == COST_FENTRY_COOKIE || v == COST_FEXIT_COOKIE;
	struct jit_prog prog = { v >= COST_FEXIT ? JIT_FEXIT : JIT_FENTRY };
	struct jit_spec spec = {
		.nr_args = 2, .arg_size = { 8, 8 }, .shared = shared,
		.thunk = cookie || v == COST_FEXIT_SHARED, .nr_progs = 1, .progs = &prog,
	};
	struct jit_image image;
	void *gate = NULL;
	int i;

	__sites_make(false, true);
	memcpy(cost_sites[v], sites, sizeof(sites));
	if (v == COST_NONE)
		return;
	if (cookie) {
		prog.wants_cookie = 1;
		prog.cookies = jit_cookies(SITE_NR(0), NR_SITES);
	}
	for (i = 0; i < NR_SITES; i++) {
		if (!shared)
			spec.func = sites[i].func;
		if ((!shared || !i) && jit_generate(&spec, &image)) {
			fprintf(stderr, "no image\n");
			exit(2);
		}
		if (spec.thunk && !gate)
			gate = gate_make(&image);
		if (spec.thunk)
			site_patch(i, thunk_make(gate, v >= COST_FEXIT, i), v >= COST_FEXIT);
		else
			site_patch(i, image.addr, image.use_jmp);
	}
}

static double cost_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static void cost_measure(int o, double *best)
{
	static unsigned char order[COST_CALLS];
	double ns;
	int v, i;

	srand(1);
	for (i = 0; i < COST_CALLS; i++)
		order[i] = (cost_orders[o].random ? rand() : i) % cost_orders[o].nr;
	for (v = 0; v < COST_VARIANTS; v++)
		best[v] = 1e9;
	for (i = 0; i < COST_RUNS * COST_VARIANTS; i++) {
		v = i % COST_VARIANTS;
		memcpy(sites, cost_sites[v], sizeof(sites));
		cost_orders[o].run(order);
		ns = cost_now();
		asm volatile("" : : "r"(cost_orders[o].run(order)));
		asm volatile("" : : "r"(cost_orders[o].run(order)));
		ns = (cost_now() - ns) / 2 / COST_CALLS;
		if (ns < best[v])
			best[v] = ns;
	}
}

static int cost_run(bool json)
{
	double best[COST_VARIANTS];
	unsigned int o;
	int v;

	light = 1;
	jit_set_features(0);
	for (v = 0; v < COST_VARIANTS; v++)
		cost_variant(v);

	if (json) {
		printf("[");
	} else {
		printf("ns a call, more than %s; and by how much of the dedicated one's\n",
		       cost_names[COST_NONE]);
		printf("%-22s", "");
		for (v = 1; v < COST_VARIANTS; v++)
			printf("%15s", cost_names[v]);
		printf("\n");
	}
	for (o = 0; o < ARRAY_SIZE(cost_orders); o++) {
		cost_measure(o, best);
		printf(json ? "%s\n  { \"order\": \"%s\"" : "%s%-22s", json && o ? "," : "",
		       cost_orders[o].name);
		for (v = 1; v < COST_VARIANTS; v++) {
			double base = best[v < COST_FEXIT ? COST_FENTRY : COST_FEXIT];
			double ns = best[v] - best[COST_NONE];

			if (json)
				printf(", \"%s %s\": %.2f", v < COST_FEXIT ? "fentry" : "fexit",
				       v == COST_FENTRY || v == COST_FEXIT ? "dedicated" :
				       cost_names[v], ns);
			else
				printf("%8.2f %5.2fx", ns, ns / (base - best[COST_NONE]));
		}
		printf(json ? " }" : "\n");
		fflush(stdout);
	}
	if (json)
		printf("\n]\n");
	return 0;
}
