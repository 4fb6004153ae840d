// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test of the trampolines that the x86-64 JIT makes, on this machine's
 * processor. See README.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/compiler.h>
#include <linux/kernel.h>
#include <linux/types.h>

#include "call.h"
#include "jit.h"
#include "runtime.h"

#include "site.c"
#include "cost.c"

static const char *test_name;
static char test_case[256];
static u32 nr_tests;
static u64 nr_calls;

#define CHECK(cond, fmt, ...)							\
	do {									\
		if (!(cond))							\
			fail(__LINE__, #cond, fmt, ##__VA_ARGS__);		\
	} while (0)

static void __noreturn __printf(3, 4) fail(int line, const char *cond, const char *fmt, ...)
{
	va_list ap;

	printf("not ok %u - %s\n# line %d: %s\n# %s\n# ", nr_tests + 1, test_name, line, cond,
	       test_case);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n# %u passed, 1 failed, the rest has not run\n", nr_tests);
	exit(1);
}

static void pass(void)
{
	printf("ok %u - %s, %lu calls\n", ++nr_tests, test_name, nr_calls);
	fflush(stdout);
	nr_calls = 0;
}

static u64 rnd_state = 88172645463325252UL;

static u64 rnd(void)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return rnd_state;
}

/*
 * Models
 */

struct model {
	int nr_args;
	u8 size[JIT_ARGS_MAX];
};

static int slots_of(u8 size)
{
	return (size + 7) / 8;
}

/* Arguments as the compiler passes them, and as programs are to see them */
struct args {
	struct call call;
	u64 ctx[JIT_ARGS_MAX];
	u64 mask[JIT_ARGS_MAX];
	int nr;
	int nr_regs;
	int nr_stack;
};

static void args_make(const struct model *m, struct args *a)
{
	int i, j;

	memset(a, 0, sizeof(*a));
	for (i = 0; i < 6; i++)
		a->call.regs[i] = rnd();
	for (i = 0; i < 12; i++)
		a->call.stack[i] = rnd();
	for (i = 0; i < m->nr_args; i++) {
		bool in_regs = a->nr_regs + slots_of(m->size[i]) <= 6;

		for (j = 0; j < slots_of(m->size[i]); j++)
			a->ctx[a->nr++] = in_regs ? a->call.regs[a->nr_regs++] :
						    a->call.stack[a->nr_stack++];
	}
	memset(a->mask, 0xff, sizeof(a->mask));
	/* of a single stack slot the upper half is garbage */
	if (a->nr_stack == 1 && m->size[m->nr_args - 1] <= 4)
		a->mask[a->nr - 1] = 0xffffffff;
}

static void model_rnd(struct model *m)
{
	static const u8 sizes[] = { 1, 2, 4, 8, 8, 8, 12, 16 };
	int slots = rnd() % (JIT_ARGS_MAX + 1);

	m->nr_args = 0;
	while (slots) {
		u8 size = sizes[rnd() % ARRAY_SIZE(sizes)];

		if (slots_of(size) > slots)
			continue;
		m->size[m->nr_args++] = size;
		slots -= slots_of(size);
	}
}

static void spec_model(struct jit_spec *spec, const struct model *m)
{
	spec->nr_args = m->nr_args;
	memcpy(spec->arg_size, m->size, sizeof(spec->arg_size));
	if (spec->shared)
		jit_canonical(spec);
}

/*
 * What a call is checked for
 */

static void check_event(const struct event *e, const struct jit_prog *p, int nr, bool is_return,
			const struct args *a, u32 fn, u64 cookie)
{
	int i;

	CHECK(e->prog == nr, "program %d instead of %d", e->prog, nr);
	CHECK(e->nr_args == a->nr, "%d arguments instead of %d", e->nr_args, a->nr);
	for (i = 0; i < a->nr; i++)
		CHECK((e->args[i] & a->mask[i]) == (a->ctx[i] & a->mask[i]),
		      "argument %d: %lx instead of %lx", i, e->args[i], a->ctx[i]);
	if (p->wants_ip)
		CHECK(e->ip == sites[fn].func, "ip %lx instead of %lx", e->ip, sites[fn].func);
	if (p->wants_cookie)
		CHECK(e->cookie == cookie, "cookie %lx instead of %lx", e->cookie, cookie);
	if (p->attach == JIT_FSESSION)
		CHECK(e->is_return == is_return, "is_return %d", e->is_return);
	if (p->attach == JIT_FSESSION && !is_return)
		CHECK(!e->ret, "return value %lx before the call", e->ret);
	if (is_return)
		CHECK(e->ret == target_ret, "return value %lx instead of %lx", e->ret, target_ret);
	if (p->wants_session_cookie)
		CHECK(e->session_cookie == (is_return ? 0x5e551000 + nr : 0),
		      "session cookie %lx", e->session_cookie);
}

struct variant {
	const char *name;
	int nr_progs;
	struct jit_prog progs[JIT_PROGS_MAX];
	bool shared;
	bool thunk;
	bool calls_orig;
	bool site_cookies;
};

static u32 features;

static void use_features(u32 on)
{
	features = on;
	jit_set_features(on);
	sites_make(on & JIT_IBT);
}

#define COOKIE	0xc00c1e0000000000UL

static void check_call(const struct variant *v, const struct model *m, u32 fn, u64 cookies)
{
	const u64 saved[] = { 0xb0b0b0b0, 0xb1b1b1b1, 0xc2c2c2c2, 0xc3c3c3c3, 0xc4c4c4c4,
			      0xc5c5c5c5 };
	int i, n = 0, depth = call_depth;
	struct args a;

	args_make(m, &a);
	a.call.fn = sites[fn].func;
	target_ret = rnd();
	nr_events = 0;
	seen.calls = 0;
	nr_calls++;
	do_call(&a.call);

	CHECK(seen.calls == 1 && seen.nr == fn, "function %lu called %lu times instead of %u",
	      seen.nr, seen.calls, fn);
	CHECK(a.call.ret == target_ret, "returned %lx instead of %lx", a.call.ret, target_ret);
	for (i = 0; i < 6; i++)
		CHECK(a.call.saved[i] == saved[i], "callee-saved register %d: %lx", i,
		      a.call.saved[i]);
	CHECK(a.call.rsp[0] == a.call.rsp[1], "stack pointer off by %ld",
	      a.call.rsp[1] - a.call.rsp[0]);
	for (i = 0; i < a.nr_regs; i++)
		CHECK(seen.regs[i] == a.call.regs[i],
		      "function got %lx in register %d instead of %lx", seen.regs[i], i,
		      a.call.regs[i]);
	for (i = 0; i < a.nr_stack; i++)
		CHECK(!((seen.stack[i] ^ a.call.stack[i]) &
			(a.nr_stack == 1 ? a.mask[a.nr - 1] : ~0UL)),
		      "function got %lx in stack slot %d instead of %lx", seen.stack[i], i,
		      a.call.stack[i]);
	if (a.nr_stack)
		CHECK(seen.rsp % 16 == 8, "function's stack is not aligned: %lx", seen.rsp);
	CHECK(nr_events <= EVENTS_MAX, "programs were entered and left in different order");
	CHECK(!refs, "%ld references on images left", refs);
	/* dedicated: each program is given the cookie it was generated with */
	for (i = 0; i < v->nr_progs; i++)
		if (v->progs[i].attach != JIT_FEXIT)
			check_event(&events[n++], &v->progs[i], i, false, &a, fn,
				    v->site_cookies ? cookies + fn : v->progs[i].cookie);
	for (i = 0; i < v->nr_progs; i++)
		if (v->progs[i].attach != JIT_FENTRY)
			check_event(&events[n++], &v->progs[i], i, true, &a, fn,
				    v->site_cookies ? cookies + fn : v->progs[i].cookie);
	CHECK(n == nr_events, "%d runs of programs instead of %d", nr_events, n);
	/* the dedicated ones that are entered by jmp account for a call too many */
	if ((features & JIT_CALL_DEPTH) && (v->shared || !v->calls_orig))
		CHECK(call_depth == depth, "call depth off by %d", call_depth - depth);
	call_depth = 0;
}

/*
 * Variants
 */

#define ALL_WANTS	.wants_ip = 1, .wants_cookie = 1

static const struct variant variants[] = {
	{ "dedicated, fentry", 2, { { JIT_FENTRY, ALL_WANTS, .cookie = COOKIE }, { JIT_FENTRY } } },
	{ "dedicated, fexit", 2, { { JIT_FENTRY }, { JIT_FEXIT, ALL_WANTS, .cookie = COOKIE } },
	  .calls_orig = true },
	{ "dedicated, fsession", 2,
	  { { JIT_FSESSION, ALL_WANTS, .wants_session_cookie = 1, .cookie = 5 }, { JIT_FEXIT } },
	  .calls_orig = true },
	{ "shared, fentry that asks for nothing", 1, { { JIT_FENTRY } }, .shared = true },
	{ "shared, fentry", 3,
	  { { JIT_FENTRY, ALL_WANTS, .cookie = COOKIE }, { JIT_FENTRY }, { JIT_FENTRY } },
	  .shared = true },
	{ "shared, fentry with cookies", 2, { { JIT_FENTRY, ALL_WANTS }, { JIT_FENTRY } },
	  .shared = true, .thunk = true, .site_cookies = true },
	{ "shared, fexit that asks for nothing", 1, { { JIT_FEXIT } },
	  .shared = true, .thunk = true, .calls_orig = true },
	{ "shared, fexit", 3, { { JIT_FENTRY }, { JIT_FEXIT, ALL_WANTS, .cookie = COOKIE },
	  { JIT_FEXIT } }, .shared = true, .thunk = true, .calls_orig = true },
	{ "shared, fexit with cookies", 2, { { JIT_FEXIT, ALL_WANTS }, { JIT_FENTRY, ALL_WANTS } },
	  .shared = true, .thunk = true, .calls_orig = true, .site_cookies = true },
	{ "shared, fsession", 3,
	  { { JIT_FSESSION, ALL_WANTS, .wants_session_cookie = 1, .cookie = 5 },
	    { JIT_FSESSION, .wants_session_cookie = 1 }, { JIT_FSESSION, .wants_ip = 1 } },
	  .shared = true, .thunk = true, .calls_orig = true },
	{ "shared, fsession with cookies", 4,
	  { { JIT_FSESSION, ALL_WANTS, .wants_session_cookie = 1 }, { JIT_FENTRY, ALL_WANTS },
	    { JIT_FEXIT, ALL_WANTS }, { JIT_FSESSION } },
	  .shared = true, .thunk = true, .calls_orig = true, .site_cookies = true },
};

static void spec_progs(struct jit_spec *spec, struct variant *v)
{
	spec->progs = v->progs;
	spec->nr_progs = v->nr_progs;
}

static void variant_cookies(struct variant *v)
{
	struct bpf_tramp_cookies *cookies = jit_cookies(SITE_NR(0), NR_SITES);
	u32 i;

	for (i = 0; i < NR_SITES; i++)
		*jit_cookie(cookies, SITE_NR(i)) = COOKIE + i;
	for (i = 0; i < (u32)v->nr_progs; i++)
		if (v->progs[i].wants_cookie)
			v->progs[i].cookies = cookies;
}

static void run_variant(const struct variant *variant, const struct model *m)
{
	struct jit_spec spec = { .shared = variant->shared, .thunk = variant->thunk };
	struct variant v = *variant;
	struct jit_image image;
	void *gate;
	u32 i;

	spec_model(&spec, m);
	spec_progs(&spec, &v);
	if (v.site_cookies)
		variant_cookies(&v);
	if (v.shared)
		CHECK(!jit_generate(&spec, &image), "no image");
	gate = v.thunk ? gate_make(&image) : NULL;
	for (i = 0; i < 4; i++) {
		if (!v.shared) {
			spec.func = sites[i].func;
			CHECK(!jit_generate(&spec, &image), "no image");
		}
		if (v.thunk)
			site_patch(i, thunk_make(gate, v.calls_orig, i), v.calls_orig);
		else
			site_patch(i, image.addr, image.use_jmp);
		CHECK(image.use_jmp == v.calls_orig, "entered by jmp: %d", image.use_jmp);
	}
	for (i = 0; i < 12; i++)
		check_call(&v, m, rnd() % 4, COOKIE);
	for (i = 0; i < 4; i++)
		site_reset(i);
}

static const struct {
	const char *name;
	u32 features;
} mitigations[] = {
	{ "no mitigations", 0 },
	{ "IBT", JIT_IBT },
	{ "retpolines", JIT_RETPOLINE },
	{ "LFENCE retpolines", JIT_LFENCE },
	{ "return thunks", JIT_RETHUNK | JIT_RETPOLINE },
	{ "call depth tracking", JIT_CALL_DEPTH | JIT_RETHUNK | JIT_RETPOLINE },
	{ "IBT and call depth tracking", JIT_IBT | JIT_CALL_DEPTH | JIT_RETHUNK },
};

static int case_model(const struct model *m)
{
	int n = snprintf(test_case, sizeof(test_case), "sizes of arguments:"), i;

	for (i = 0; i < m->nr_args; i++)
		n += snprintf(test_case + n, sizeof(test_case) - n, " %u", m->size[i]);
	return n;
}

static void test_variants(u32 nr_models)
{
	char name[128];
	struct model m;
	u32 f, v, i;

	for (f = 0; f < ARRAY_SIZE(mitigations); f++) {
		use_features(mitigations[f].features);
		for (v = 0; v < ARRAY_SIZE(variants); v++) {
			snprintf(name, sizeof(name), "%s, %s", variants[v].name,
				 mitigations[f].name);
			test_name = name;
			for (i = 0; i < nr_models; i++) {
				model_rnd(&m);
				case_model(&m);
				run_variant(&variants[v], &m);
			}
			pass();
		}
	}
}

/*
 * A set gets a new image, or vanishes, while the function runs.
 */

static void *switch_gate;
static struct jit_image *switch_to;

static void switch_hook(void)
{
	jit_gate_switch(switch_gate, switch_to);
}

static void run_switch(const struct variant *from, const struct variant *to, const struct model *m)
{
	struct jit_spec spec = { .shared = true, .thunk = true };
	struct variant a = *from, b = *to;
	struct jit_image image_a, image_b;
	u32 i;

	spec_model(&spec, m);
	spec_progs(&spec, &a);
	CHECK(!jit_generate(&spec, &image_a), "no image");
	spec_progs(&spec, &b);
	CHECK(!jit_generate(&spec, &image_b), "no image");
	switch_gate = gate_make(&image_a);
	for (i = 0; i < 2; i++)
		site_patch(i, thunk_make(switch_gate, true, i), true);

	check_call(&a, m, 0, COOKIE);
	switch_to = &image_b;
	hook = switch_hook;
	check_call(&a, m, 0, COOKIE);
	check_call(&b, m, 1, COOKIE);
	switch_to = &image_a;
	check_call(&b, m, 0, COOKIE);
	switch_to = NULL;
	check_call(&a, m, 1, COOKIE);
	hook = NULL;
	for (i = 0; i < 2; i++)
		site_reset(i);
}

static void test_switch(u32 nr_models)
{
	char name[128];
	struct model m;
	u32 f, i;

	for (f = 0; f < ARRAY_SIZE(mitigations); f++) {
		use_features(mitigations[f].features);
		snprintf(name, sizeof(name), "the set changes while the function runs, %s",
			 mitigations[f].name);
		test_name = name;
		for (i = 0; i < nr_models; i++) {
			model_rnd(&m);
			case_model(&m);
			run_switch(&variants[6], &variants[9], &m);
		}
		pass();
	}
}

static void print_usage(const char *name)
{
	printf("usage: %s [--models N] [--seed S] | --cost [--json]\n", name);
	printf("  --models N  random function models a variant, default 100\n");
	printf("  --seed S    of the random models and arguments\n");
	printf("  --cost      measure what a call of a traced function costs, in ns\n");
	printf("  --json      the same as JSON\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "models", required_argument, NULL, 'm' },
		{ "seed", required_argument, NULL, 's' },
		{ "cost", no_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	bool cost = false, json = false;
	u32 nr_models = 100;
	int c;

	while ((c = getopt_long(argc, argv, "m:s:cjh", options, NULL)) >= 0) {
		switch (c) {
		case 'm':
			nr_models = strtoul(optarg, NULL, 0);
			break;
		case 's':
			rnd_state ^= strtoul(optarg, NULL, 0) << 20;
			break;
		case 'c':
			cost = true;
			break;
		case 'j':
			json = true;
			break;
		default:
			print_usage(argv[0]);
			return c == 'h' ? 0 : 2;
		}
	}
	if (cost)
		return cost_run(json);

	printf("TAP version 13\n");
	test_variants(nr_models);
	test_switch(nr_models);
	printf("1..%u\n", nr_tests);
	printf("# %u passed, 0 failed\n", nr_tests);
	return 0;
}
