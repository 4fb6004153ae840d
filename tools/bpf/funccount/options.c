// SPDX-License-Identifier: GPL-2.0-only
/* funccount: the command line, and patterns from it as libbpf takes them */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/libbpf.h>

#include "funccount.h"

#define TOP_DEFAULT	20

struct options opt = { .top = TOP_DEFAULT };

struct words {
	const char **v;
	size_t cnt;
};

static void words_add(struct words *w, const char *word)
{
	w->v = reallocarray(w->v, w->cnt + 1, sizeof(*w->v));
	if (!w->v)
		errx(1, "out of memory");
	w->v[w->cnt++] = word;
}

static void usage(FILE *out)
{
	fprintf(out,
		"Usage: funccount [OPTIONS] PATTERN ...\n"
		"\n"
		"Count the calls of kernel functions, of many at once.\n"
		"\n"
		"PATTERN: [!][MODULE:]NAME, where * stands for any characters and ? for one;\n"
		"         several in one argument are separated by commas\n"
		"  tcp_*             functions of the kernel proper\n"
		"  nf_conntrack:*    functions of a module\n"
		"  '!tcp_v6_*'       but not these\n"
		"\n"
		"What to count:\n"
		"  -m, --module MOD     functions of this module, for patterns that name none;\n"
		"                       without a pattern all of them\n"
		"  -p, --pid PID        only calls by this process\n"
		"  -L, --latency        how long the calls take, in nanoseconds\n"
		"  -e, --errors         negative return values from -1 to -4095\n"
		"  -s, --stacks         then, who calls the functions at the top\n"
		"\n"
		"How long, and what to show:\n"
		"  -d, --duration SEC   end after SEC seconds, otherwise by Ctrl-C\n"
		"  -i, --interval SEC   show what was called every SEC seconds\n"
		"  -n, --top N          show N functions, 0 for all that were called (default: %d;\n"
		"                       all with -j)\n"
		"  -j, --json           one object at the end; with -i one a line before it\n"
		"  -v, --verbose        show what libbpf does, and why functions are left out\n"
		"  -h, --help\n"
		"  -V, --version\n"
		"\n"
		"It needs CAP_BPF and CAP_PERFMON, and CAP_SYS_ADMIN for functions of modules.\n",
		TOP_DEFAULT);
}

static void __noreturn usage_error(const char *what, const char *arg)
{
	if (arg)
		warnx("'%s' %s; see funccount --help", arg, what);
	else
		warnx("%s; see funccount --help", what);
	exit(1);
}

static double parse_seconds(const char *arg)
{
	char *end;
	double v;

	errno = 0;
	v = strtod(arg, &end);
	if (errno || end == arg || *end || !isfinite(v) || v <= 0 || v > INT_MAX)
		usage_error("is no number of seconds", arg);
	return v;
}

static long parse_number(const char *arg, long min)
{
	char *end;
	long v;

	errno = 0;
	v = strtol(arg, &end, 10);
	if (errno || end == arg || *end || v < min || v > INT_MAX)
		usage_error("is no number that fits here", arg);
	return v;
}

static void set_mode(enum mode mode)
{
	if (opt.mode != MODE_COUNT && opt.mode != mode)
		usage_error("-L and -e do not go together", NULL);
	opt.mode = mode;
}

/* "name" of each module that is given, as it is if there is none or it names one itself */
static void add_pattern(struct words *to, const struct words *modules, const char *name)
{
	char *s;
	size_t i;

	if (*name == '!' || strchr(name, ':') || !modules->cnt) {
		words_add(to, name);
		return;
	}
	for (i = 0; i < modules->cnt; i++) {
		if (asprintf(&s, "%s:%s", modules->v[i], name) < 0)
			errx(1, "out of memory");
		words_add(to, s);
	}
}

/* If all only exclude, it is from all functions. */
static void make_patterns(char **args, const struct words *modules)
{
	struct words to = {};
	bool includes = false;
	char *list, *name;

	for (; *args; args++) {
		list = *args;
		while ((name = strsep(&list, ","))) {
			if (!*name || !strcmp(name, "!"))
				usage_error("has an empty pattern", *args);
			includes |= *name != '!';
			add_pattern(&to, modules, name);
		}
	}
	if (!to.cnt && !modules->cnt)
		usage_error("what to count? A pattern is missing, as 'tcp_*' or '*'", NULL);
	if (!includes)
		add_pattern(&to, modules, "*");
	opt.patterns = to.v;
	opt.pattern_cnt = to.cnt;
}

static const struct option long_options[] = {
	{ "duration", required_argument, NULL, 'd' },
	{ "errors", no_argument, NULL, 'e' },
	{ "help", no_argument, NULL, 'h' },
	{ "interval", required_argument, NULL, 'i' },
	{ "json", no_argument, NULL, 'j' },
	{ "latency", no_argument, NULL, 'L' },
	{ "module", required_argument, NULL, 'm' },
	{ "pid", required_argument, NULL, 'p' },
	{ "stacks", no_argument, NULL, 's' },
	{ "top", required_argument, NULL, 'n' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "version", no_argument, NULL, 'V' },
	{}
};

static void parse_option(int c, struct words *modules)
{
	switch (c) {
	case 'd':
		opt.duration = parse_seconds(optarg);
		break;
	case 'e':
		set_mode(MODE_ERRORS);
		break;
	case 'h':
		usage(stdout);
		exit(0);
	case 'i':
		opt.interval = parse_seconds(optarg);
		break;
	case 'j':
		opt.json = true;
		break;
	case 'L':
		set_mode(MODE_LATENCY);
		break;
	case 'm':
		words_add(modules, optarg);
		break;
	case 'n':
		opt.top = parse_number(optarg, 0);
		opt.top_given = true;
		break;
	case 'p':
		opt.pid = parse_number(optarg, 1);
		break;
	case 's':
		opt.callers = true;
		break;
	case 'v':
		opt.verbose = true;
		break;
	case 'V':
		printf("funccount, with libbpf %s\n", libbpf_version_string());
		exit(0);
	default:
		/* getopt has said what is wrong */
		usage_error("that is no option of funccount", NULL);
	}
}

/**
 * options_parse - fill @opt
 * @argc: of main()
 * @argv: of main()
 *
 * Does not return if the command line is wrong, or asks for help.
 */
void options_parse(int argc, char **argv)
{
	struct words modules = {};
	int c;

	while ((c = getopt_long(argc, argv, "d:ehi:jLm:n:p:svV", long_options, NULL)) != -1)
		parse_option(c, &modules);
	make_patterns(argv + optind, &modules);
	free(modules.v);
	if (opt.json && !opt.top_given)
		opt.top = 0;
}
