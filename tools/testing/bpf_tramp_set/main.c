// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test of the set engine in kernel/bpf in user space. See README.
 */
#include "trampoline_set_internal.h"

#include <getopt.h>
#include <stdarg.h>
#include <time.h>

#include "../../../kernel/bpf/trampoline_thunk.c"
#include "../../../kernel/bpf/trampoline_set.c"
#include "../../../kernel/bpf/trampoline_site.c"
#include "../../../kernel/bpf/trampoline_move.c"
#include "../../../kernel/bpf/trampoline_change.c"
#include "../../../kernel/bpf/trampoline_tidy.c"
#include "../../../kernel/bpf/trampoline_attach.c"
#include "../../../kernel/bpf/trampoline_pin.c"

#include "world.c"
#include "check.c"
#include "ops.c"

static unsigned long opt_ops = 1000000;
static unsigned long opt_seed = 1;
static bool opt_verbose;

static const char *test_name;
static unsigned long test_op;
static u32 nr_tests;

void fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	printf("not ok %u - %s\n", nr_tests + 1, test_name);
	printf("# %s:%d: ", file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n# at operation %lu; replay: --seed %lu --ops %lu --verbose\n", test_op, opt_seed,
	       opt_ops);
	printf("# %u passed, 1 failed, the rest has not run\n", nr_tests);
	fflush(stdout);
	quick_exit(1);
}

#define verbose(fmt, ...)						\
	do {								\
		if (opt_verbose)					\
			printf("# %lu: " fmt "\n", test_op, ##__VA_ARGS__);	\
	} while (0)

static void __printf(1, 2) pass(const char *fmt, ...)
{
	va_list ap;

	printf("ok %u - %s", ++nr_tests, test_name);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

/*
 * Links
 */

static struct bpf_prog progs[32];
static struct bpf_link link_pool[32];

/*
 * Every link has a program of its own, but the last @shared ones, which have
 * those of the first. Bit n of @cookies: program n wants its cookie, and its data as
 * well if n is even; of @orig: its bodies call the function.
 */
static void links_init_kinds(u32 nr, u32 shared, u32 cookies, u32 orig)
{
	u32 i;

	nr_links = nr;
	for (i = 0; i < nr; i++) {
		links[i] = &link_pool[i];
		memset(links[i], 0, sizeof(*links[i]));
		INIT_LIST_HEAD(&links[i]->tuples);
		progs[i].call_attach_cookie = cookies & (1U << i);
		progs[i].call_attach_data = progs[i].call_attach_cookie && !(i & 1);
		progs[i].calls_orig = orig & (1U << i);
		links[i]->prog = &progs[i < nr - shared ? i : i - (nr - shared)];
	}
}

static void links_init(u32 nr, u32 shared, u32 cookies)
{
	links_init_kinds(nr, shared, cookies, 0);
}

/* Requests for the functions of @mask; cookies are all @cookie. */
static void reqs_mask(u32 mask, u64 cookie)
{
	u32 i;

	nr_reqs = 0;
	for (i = 0; i < world.nr_fns; i++)
		if (mask & (1U << i))
			req_add(&world.fns[i], cookie);
}

/* Attach to these. */
static int attach_mask(u32 l, u32 mask, u64 cookie)
{
	reqs_mask(mask, cookie);
	return op_attach(links[l]);
}

static int single_on(u32 fn, u32 slot)
{
	struct single s = { .fn = &world.fns[fn], .slot = slot };

	return op_single_on(&s, 1);
}

static void single_off(u32 fn, u32 slot)
{
	struct single s = { .fn = &world.fns[fn], .slot = slot };

	op_single_off(&s, 1);
}

#include "directed.c"
#include "exhaustive.c"
#include "random.c"

static void print_usage(const char *name)
{
	printf("usage: %s [--ops N] [--seed S] [--verbose]\n", name);
	printf("  --ops N    random operations, default %lu\n", opt_ops);
	printf("  --seed S   of the random operations, default %lu\n", opt_seed);
	printf("  --verbose  print each random operation\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "ops", required_argument, NULL, 'n' },
		{ "seed", required_argument, NULL, 's' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	int c;

	while ((c = getopt_long(argc, argv, "n:s:vh", options, NULL)) >= 0) {
		switch (c) {
		case 'n':
			opt_ops = strtoul(optarg, NULL, 0);
			break;
		case 's':
			opt_seed = strtoul(optarg, NULL, 0);
			break;
		case 'v':
			opt_verbose = true;
			break;
		default:
			print_usage(argv[0]);
			return c == 'h' ? 0 : 2;
		}
	}

	printf("TAP version 13\n");
	test_directed();
	test_exhaustive(false);
	test_exhaustive(true);
	test_random();
	printf("1..%u\n", nr_tests);
	printf("# %u passed, 0 failed\n", nr_tests);
	return 0;
}
