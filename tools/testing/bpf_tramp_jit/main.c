// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test of the trampolines that the JIT makes, on this machine's processor or an
 * emulated one. See README.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

#include "test.h"

#include "abi.c"
#include "site.c"

struct seen seen;
unsigned long target_ret;
struct call *current_call;

static const char *test_name;
static char test_case[256];
static u32 nr_tests;
static u64 nr_calls;

void __noreturn __printf(3, 4) fail(int line, const char *cond, const char *fmt, ...)
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
	printf("ok %u - %s", ++nr_tests, test_name);
	printf(nr_calls ? ", %lu calls\n" : "\n", nr_calls);
	fflush(stdout);
	nr_calls = 0;
}

/* Code that is wrong most likely ends here, and may have lost its stack. */
static void crashed(int sig, siginfo_t *info, void *context)
{
	if (sig == SIGILL && emulate(context))
		return;
	fail(__LINE__, "no signal", "%s", strsignal(sig));
}

static void catch_crashes(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGTRAP };
	struct sigaction sa = { .sa_sigaction = crashed, .sa_flags = SA_ONSTACK | SA_SIGINFO };
	static char mem[1 << 16];
	stack_t stack = { .ss_sp = mem, .ss_size = sizeof(mem) };
	u32 i;

	sigaltstack(&stack, NULL);
	for (i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &sa, NULL);
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

static int slots_of(u8 size)
{
	return (size + 7) / 8;
}

static void args_make(const struct model *m, struct args *a)
{
	int i, j;

	memset(a, 0, sizeof(*a));
	memset(a->mask, 0xff, sizeof(a->mask));
	for (i = 0; i < NR_ARG_REGS; i++)
		a->call.regs[i] = rnd();
	for (i = 0; i < NR_STACK_SLOTS; i++)
		a->call.stack[i] = rnd();
	for (i = 0; i < m->nr_args; i++) {
		bool in_regs = arg_in_regs(a, slots_of(m->size[i]));

		for (j = 0; j < slots_of(m->size[i]); j++)
			a->ctx[a->nr++] = in_regs ? a->call.regs[a->nr_regs++] :
						    a->call.stack[a->nr_stack++];
		if (!in_regs)
			arg_on_stack(a, m->size[i]);
	}
}

static void model_rnd(struct model *m)
{
	static const u8 sizes[] = ARG_SIZES;
	int slots = rnd() % (ARG_SLOTS_MAX + 1);

	m->nr_args = 0;
	while (slots && m->nr_args < JIT_ARGS_MAX) {
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

/* What of it the kernel gives thunks */
static bool has_thunks(const struct variant *v)
{
	return v->shared && (v->site_cookies || (v->calls_orig && jit_thunk_calls()));
}

/*
 * What a call is checked for
 */

static void check_event(const struct event *e, const struct jit_prog *p, int nr, bool is_return,
			const struct args *a, u64 ip, u64 cookie)
{
	int i;

	CHECK(e->prog == nr, "program %d instead of %d", e->prog, nr);
	CHECK(e->nr_args == a->nr, "%d arguments instead of %d", e->nr_args, a->nr);
	for (i = 0; i < a->nr; i++)
		CHECK((e->args[i] & a->mask[i]) == (a->ctx[i] & a->mask[i]),
		      "argument %d: %lx instead of %lx", i, e->args[i], a->ctx[i]);
	if (p->wants_ip)
		CHECK(e->ip == ip, "ip %lx instead of %lx", e->ip, ip);
	if (p->wants_cookie)
		CHECK(e->cookie == cookie, "cookie %lx instead of %lx", e->cookie, cookie);
	if (p->wants_data)
		CHECK(e->data == JIT_DATA(cookie), "data at %lx instead of %lx", e->data,
		      JIT_DATA(cookie));
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

#define COOKIE	0xc00c1e0000000000UL

static void check_call(const struct variant *v, const struct model *m, u32 fn, u64 cookies)
{
	u64 ip = func_ip(v->shared, fn);
	struct args a;
	int i, n = 0;

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
	for (i = 0; i < NR_SAVED; i++)
		CHECK(a.call.saved[i] == saved_values[i], "callee-saved register %d: %lx", i,
		      a.call.saved[i]);
	CHECK(a.call.sp[0] == a.call.sp[1], "stack pointer off by %ld",
	      a.call.sp[1] - a.call.sp[0]);
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
		CHECK(seen.sp % 16 == SEEN_SP_ALIGN, "function's stack is not aligned: %lx",
		      seen.sp);
	CHECK(nr_events <= EVENTS_MAX, "programs were entered and left in different order");
	CHECK(target_refs == v->calls_orig, "%ld images were entered", target_refs);
	if (target_images[fn].addr && v->calls_orig && (v->shared || v->light))
		CHECK(target_in_frame, "no frame has an address of the image");
	for (i = 0; i < nr_refs; i++)
		CHECK(!refs[i], "%ld references on an image left", refs[i]);
	CHECK(!jit_light_left(), "a light program still counts as running");
	CHECK(!preempt_disabled(), "preemption is disabled %d times", preempt_disabled());
	/* dedicated: each program is given the cookie it was generated with */
	for (i = 0; i < v->nr_progs; i++)
		if (v->progs[i].attach != JIT_FEXIT && i + 1 != v->blocked)
			check_event(&events[n++], &v->progs[i], i, false, &a, ip,
				    v->site_cookies ? cookies + fn : v->progs[i].cookie);
	for (i = 0; i < v->nr_progs; i++)
		if (v->progs[i].attach != JIT_FENTRY && i + 1 != v->blocked)
			check_event(&events[n++], &v->progs[i], i, true, &a, ip,
				    v->site_cookies ? cookies + fn : v->progs[i].cookie);
	CHECK(n == nr_events, "%d runs of programs instead of %d", nr_events, n);
	check_arch(v, &a);
}

/*
 * Variants
 */

#define ALL_WANTS	.wants_ip = 1, .wants_cookie = 1, .wants_data = 1

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
	{ "shared, fentry with cookies", 2, { { JIT_FENTRY, .wants_cookie = 1 }, { JIT_FENTRY } },
	  .shared = true, .site_cookies = true },
	{ "shared, fexit that asks for nothing", 1, { { JIT_FEXIT } },
	  .shared = true, .calls_orig = true },
	{ "shared, fexit", 3, { { JIT_FENTRY }, { JIT_FEXIT, ALL_WANTS, .cookie = COOKIE },
	  { JIT_FEXIT } }, .shared = true, .calls_orig = true },
	{ "shared, fexit with cookies", 2, { { JIT_FEXIT, ALL_WANTS }, { JIT_FENTRY, ALL_WANTS } },
	  .shared = true, .calls_orig = true, .site_cookies = true },
	{ "shared, fsession", 3,
	  { { JIT_FSESSION, ALL_WANTS, .wants_session_cookie = 1, .cookie = 5 },
	    { JIT_FSESSION, .wants_session_cookie = 1 }, { JIT_FSESSION, .wants_ip = 1 } },
	  .shared = true, .calls_orig = true },
	{ "shared, fsession with cookies", 4,
	  { { JIT_FSESSION, ALL_WANTS, .wants_session_cookie = 1 }, { JIT_FENTRY, ALL_WANTS },
	    { JIT_FEXIT, ALL_WANTS }, { JIT_FSESSION } },
	  .shared = true, .calls_orig = true, .site_cookies = true },
	{ "dedicated beside a livepatch, fexit", 2,
	  { { JIT_FENTRY }, { JIT_FEXIT, ALL_WANTS, .cookie = COOKIE } },
	  .calls_orig = true, .livepatch = true },
	{ "dedicated beside a livepatch, fsession", 2,
	  { { JIT_FSESSION, ALL_WANTS, .wants_session_cookie = 1, .cookie = 5 }, { JIT_FEXIT } },
	  .calls_orig = true, .livepatch = true },
	{ "shared, one without protection from recursion", 3,
	  { { JIT_FENTRY }, { JIT_FENTRY, ALL_WANTS, .cookie = COOKIE, .unguarded = 1 },
	    { JIT_FEXIT } }, .shared = true, .calls_orig = true },
#define SESSION		{ JIT_FSESSION, ALL_WANTS, .wants_session_cookie = 1 }
	/* the kernel refuses what takes more than a page, when it knows the size */
	{ "shared, as many programs as possible that ask for all", 18,
	  { SESSION, SESSION, SESSION, SESSION, SESSION, SESSION, SESSION, SESSION, SESSION,
	    SESSION, SESSION, SESSION, SESSION, SESSION, SESSION, SESSION, SESSION, SESSION },
	  .shared = true, .calls_orig = true, .site_cookies = true },
	{ "shared, fentry, some with cookies", 4,
	  { { JIT_FENTRY }, { JIT_FENTRY, ALL_WANTS }, { JIT_FENTRY }, { JIT_FENTRY, ALL_WANTS } },
	  .shared = true, .site_cookies = true },
	{ "shared, fentry with data", 2, { { JIT_FENTRY, .wants_data = 1 }, { JIT_FENTRY } },
	  .shared = true, .site_cookies = true },
};

static void config_use(const struct config *c)
{
	static struct site test_sites[NR_SITES];

	config = c;
	arch_config();
	exec_reset();
	sites_make(test_sites, NR_SITES, false);
	exec_keep();
}

static void spec_progs(struct jit_spec *spec, struct variant *v)
{
	int i;

	for (i = 0; i < v->nr_progs; i++)
		v->progs[i].func = v->progs[i].unguarded ? runtime_unguarded : runtime_prog;
	spec->progs = v->progs;
	spec->nr_progs = v->nr_progs;
}

static void variant_cookies(struct variant *v)
{
	struct bpf_tramp_cookies *cookies = jit_cookies(SITE_NR(0), NR_SITES);
	u32 i;

	for (i = 0; i < NR_SITES; i++)
		jit_cookie_set(cookies, SITE_NR(i), COOKIE + i);
	for (i = 0; i < (u32)v->nr_progs; i++)
		if (v->progs[i].wants_cookie || v->progs[i].wants_data)
			v->progs[i].cookies = cookies;
}

static void variant_light(struct variant *v)
{
	int i;

	for (i = 0; i < v->nr_progs; i++)
		v->progs[i].light = true;
}

static void spec_init(struct jit_spec *spec, struct variant *v, const struct model *m)
{
	memset(spec, 0, sizeof(*spec));
	spec->light = v->light;
	if (v->light)
		variant_light(v);
	spec->shared = v->shared;
	spec->thunk = has_thunks(v);
	spec->livepatch = v->livepatch;
	spec->area = config->image[0];
	spec_model(spec, m);
	spec_progs(spec, v);
	if (v->site_cookies)
		variant_cookies(v);
}

/* One of the programs misses calls, and another task is to run. */
static void check_light(struct variant *v, const struct model *m)
{
	const struct jit_prog *p;
	int i, missed;

	for (i = 0; i < v->nr_progs; i++) {
		p = &v->progs[i];
		if (p->unguarded)
			continue;
		memset(nr_missed, 0, sizeof(nr_missed));
		v->blocked = i + 1;
		jit_light_block(i, true);
		check_call(v, m, rnd() % NR_TARGETS, COOKIE);
		jit_light_block(i, false);
		missed = p->attach == JIT_FSESSION ? 2 : 1;
		CHECK(nr_missed[i] == missed, "%d calls missed instead of %d", nr_missed[i],
		      missed);
		v->blocked = 0;
		nr_resched = 0;
		resched_due();
		check_call(v, m, rnd() % NR_TARGETS, COOKIE);
		resched_done();
		CHECK(nr_resched == 1, "scheduled %d times", nr_resched);
	}
}

static void run_variant(const struct variant *variant, const struct model *m, bool light)
{
	struct variant v = *variant;
	struct jit_image image;
	struct thunks thunks;
	struct jit_spec spec;
	u32 i;

	v.light = light;
	spec_init(&spec, &v, m);
	if (v.shared)
		CHECK(!jit_generate(&spec, &image), "no image");
	if (spec.thunk)
		thunks_make(&thunks, &image, NR_SITES);
	for (i = 0; i < NR_TARGETS; i++) {
		if (!v.shared) {
			spec.func = sites[i].func;
			CHECK(!jit_generate(&spec, &image), "no image");
		}
		target_images[i] = image;
		if (spec.thunk)
			site_patch(i, thunk_make(&thunks, v.calls_orig, i), v.calls_orig);
		else
			site_patch(i, image.addr, image.use_jmp);
		CHECK(image.use_jmp == (SITE_JMP && v.calls_orig && !v.livepatch),
		      "entered by jmp: %d", image.use_jmp);
	}
	for (i = 0; i < 12; i++)
		check_call(&v, m, rnd() % NR_TARGETS, COOKIE);
	if (light)
		check_light(&v, m);
	for (i = 0; i < NR_TARGETS; i++)
		site_reset(i);
	memset(target_images, 0, sizeof(target_images));
	exec_reset();
}

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

	for (f = 0; f < ARRAY_SIZE(configs); f++) {
		config_use(&configs[f]);
		for (v = 0; v < ARRAY_SIZE(variants); v++) {
			snprintf(name, sizeof(name), "%s, %s", variants[v].name,
				 configs[f].name);
			test_name = name;
			for (i = 0; i < nr_models; i++) {
				model_rnd(&m);
				case_model(&m);
				run_variant(&variants[v], &m, false);
				if (HAS_LIGHT)
					run_variant(&variants[v], &m, true);
			}
			pass();
		}
	}
}

/*
 * A set gets a new image, or vanishes, while the function runs.
 */

#define NR_IMAGES	4

static struct {
	void *gate;
	struct jit_image images[NR_IMAGES];
	const struct jit_image *entry, *old, *to;
} set;

static void switch_hook(void)
{
	if (set.gate)
		jit_gate_switch(set.gate, set.to);
	else if (set.to)
		CHECK(!jit_entry_switch(set.entry, set.old, set.to), "no switch");
	set.old = set.to;
}

static void check_switch(const struct variant *from, const struct variant *to,
			 const struct jit_image *image, const struct model *m)
{
	set.to = image;
	check_call(from, m, 0, COOKIE);
	if (image)
		check_call(to, m, 1, COOKIE);
}

/* Images are of two lists of programs in turn. */
static void run_switch(const struct variant *from, const struct variant *to, const struct model *m)
{
	struct variant v[2] = { *from, *to };
	struct jit_spec spec;
	struct thunks thunks;
	u32 i;

	for (i = 0; i < NR_IMAGES; i++) {
		spec_init(&spec, &v[i % 2], m);
		/* of two that follow each other, both in reach of the first or not */
		spec.area = config->image[(i + 1) / 2 % 2];
		CHECK(!jit_generate(&spec, &set.images[i]), "no image");
		check_image(&set.images[i]);
	}
	set.gate = NULL;
	set.entry = &set.images[0];
	set.old = set.entry;
	if (spec.thunk) {
		thunks_make(&thunks, set.entry, NR_SITES);
		set.gate = thunks.gate;
	}
	for (i = 0; i < 2; i++)
		site_patch(i, spec.thunk ? thunk_make(&thunks, from->calls_orig, i) :
			   set.entry->addr, from->calls_orig);

	check_call(&v[0], m, 0, COOKIE);
	hook = switch_hook;
	for (i = 1; i < NR_IMAGES; i++)
		check_switch(&v[(i - 1) % 2], &v[i % 2], &set.images[i], m);
	/* back to the first, which an entry without a gate is part of */
	if (set.gate) {
		check_switch(&v[1], &v[0], &set.images[0], m);
		check_switch(&v[0], &v[0], NULL, m);
	}
	hook = NULL;
	for (i = 0; i < 2; i++)
		site_reset(i);
	exec_reset();
}

static const struct {
	const char *name;
	int from, to;
} switches[] = {
	{ "the set changes while the function runs", 6, 9 },
	{ "the set with cookies changes while the function runs", 8, 10 },
	{ "the set changes between programs and function", 3, 4 },
};

static void test_switch(u32 nr_models)
{
	char name[128];
	struct model m;
	u32 f, s, i;

	for (f = 0; f < ARRAY_SIZE(configs); f++) {
		config_use(&configs[f]);
		for (s = 0; s < ARRAY_SIZE(switches); s++) {
			const struct variant *from = &variants[switches[s].from];

			snprintf(name, sizeof(name), "%s, %s", switches[s].name, configs[f].name);
			test_name = name;
			for (i = 0; i < nr_models; i++) {
				model_rnd(&m);
				case_model(&m);
				run_switch(from, &variants[switches[s].to], &m);
			}
			pass();
		}
	}
}

/*
 * Models of the same class get the same code, so that the one of the class is as
 * good as each function's own.
 */

static void run_canonical(const struct variant *variant, const struct model *m)
{
	struct jit_spec own, canonical, twice;
	struct variant v = *variant;

	spec_init(&own, &v, m);
	own.func = sites[0].func;
	canonical = own;
	own.nr_args = m->nr_args;
	memcpy(own.arg_size, m->size, sizeof(own.arg_size));
	jit_canonical(&canonical);
	CHECK(jit_same(&own, &canonical) == 1, "%s: different code", v.name);
	twice = canonical;
	jit_canonical(&twice);
	CHECK(twice.nr_args == canonical.nr_args &&
	      !memcmp(twice.arg_size, canonical.arg_size, twice.nr_args),
	      "the canonical model is not its own");
	exec_reset();
}

static void test_canonical(u32 nr_models)
{
	struct model m;
	u32 v, i;

	config_use(&configs[0]);
	test_name = "canonical models";
	for (i = 0; i < nr_models; i++) {
		model_rnd(&m);
		case_model(&m);
		for (v = 0; v < ARRAY_SIZE(variants); v++)
			run_canonical(&variants[v], &m);
	}
	pass();
}

#include "unwind.c"

static void test_near(void)
{
	test_name = "memory in reach";
	case_model(&(struct model){});
	check_near();
	pass();
}

/*
 * Costs are those of the kernel's own code, which the tests have stand-ins for: that
 * is in a program beside this one.
 */
static int cost_run(const char *self, bool json)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s-cost", self);
	execl(path, path, json ? "--json" : NULL, NULL);
	fprintf(stderr, "%s: %s; costs are measured on x86-64 only\n", path, strerror(errno));
	return 2;
}

static void print_usage(const char *name)
{
	printf("usage: %s [--models N] [--seed S] | --cost [--json]\n", name);
	printf("  --models N  random function models a variant, default 100\n");
	printf("  --seed S    of the random models and arguments\n");
	printf("  --cost      measure and check what a call of a traced function costs, in ns\n");
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
		return cost_run(argv[0], json);

	catch_crashes();
	printf("TAP version 13\n");
	test_variants(nr_models);
	test_switch(nr_models);
	test_canonical(nr_models);
	test_unwind();
	if (HAS_NEAR)
		test_near();
	printf("1..%u\n", nr_tests);
	printf("# %u passed, 0 failed\n", nr_tests);
	return 0;
}
