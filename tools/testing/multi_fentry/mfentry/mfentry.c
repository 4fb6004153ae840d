// SPDX-License-Identifier: GPL-2.0
/*
 * mfentry - show and measure fentry.multi on the running kernel
 *
 * Runs as root on a kernel with the tracing_multi link, with one trampoline
 * per function or with shared ones alike. Results go to a JSON file;
 * compare.py sets those of two kernels side by side.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include <linux/btf.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "mfentry.h"
#include "mfentry.skel.h"

static const char usage[] =
"usage: mfentry COMMAND [options]\n"
"\n"
"  list    which functions can a program be attached to?\n"
"    --names FILE      write their names there\n"
"  demo    count the calls of all of them under a load\n"
"    --seconds N       for so long (5)\n"
"    --top N           show that many of the most called functions (10)\n"
"  bench   cost of attaching and detaching, beside other tracers\n"
"    --n LIST          numbers of functions (1,10,100,1000,10000,all)\n"
"    --repeat R        take medians of R runs (3 up to 1,000 functions, else 1)\n"
"    --no-second       no second program on the same functions\n"
"    --no-split        no second program on 10,000 of all functions\n"
"  hit     cost of a call of a traced function\n"
"  latency how late tasks wake up while a program counts all calls, by cyclictest\n"
"    --repeat R        of so many wakeups (10000)\n"
"  others  how long single programs wait while links to all functions come and go\n"
"    --repeat R        so many times (100)\n"
"  overlap cost of 24 links to 2,000 functions each, at random\n"
"    --patterns        of 64 links, by patterns of names, instead\n"
"    --memory          the kernel's memory after each link; attaching takes longer\n"
"  pattern cost of attaching to *, beside that of its functions' ids\n"
"\n"
"  --json FILE         write the results there, - for standard output\n"
"  --functions FILE    stay within the functions named there, as written by\n"
"                      list --names, and take it for granted that they work\n"
"  --fexit             list, bench, pattern: fexit.multi instead of fentry.multi\n"
"  --unit UNIT         what a nanosecond stands for: ns, or instructions in\n"
"                      a guest whose clock counts those (-icount)\n";

struct options opt = {
	.sizes = "1,10,100,1000,10000,all",
	.unit = "ns",
	.seconds = 5,
	.top = 10,
};

void die(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("mfentry: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

void note(const char *fmt, ...)
{
	va_list ap;

	fputs("mfentry: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void *xcalloc(size_t cnt, size_t size)
{
	void *p = calloc(cnt, size);

	if (!p)
		die("out of memory");
	return p;
}

static int cmp_u64(const void *a, const void *b)
{
	__u64 x = *(const __u64 *)a, y = *(const __u64 *)b;

	return x < y ? -1 : x > y;
}

/* Sorts @v. */
__u64 median(__u64 *v, size_t cnt)
{
	qsort(v, cnt, sizeof(*v), cmp_u64);
	return v[cnt / 2];
}

/**
 * json_open - begin a file of results
 * @path: where, - for standard output
 * @kind: what results
 *
 * The file gets its name only in json_close(), so none is ever half-written.
 *
 * Return: the open file, after the members that all files have.
 */
FILE *json_open(const char *path, const char *kind)
{
	time_t today = time(NULL);
	struct utsname u;
	char date[16];
	char *tmp;
	FILE *f;

	if (!strcmp(path, "-")) {
		f = stdout;
	} else {
		if (asprintf(&tmp, "%s.tmp", path) < 0)
			die("out of memory");
		f = fopen(tmp, "w");
		if (!f)
			die("%s: %s", tmp, strerror(errno));
		free(tmp);
	}
	uname(&u);
	strftime(date, sizeof(date), "%F", gmtime(&today));
	fprintf(f, "{\n\"kind\": \"%s\",\n\"unit\": \"%s\",\n\"machine\": \"%s\",\n",
		kind, opt.unit, u.machine);
	fprintf(f, "\"kernel\": \"%s\",\n\"date\": \"%s\",\n", u.release, date);
	fprintf(f, "\"version\": \"%s\",\n\"cpus\": %ld", u.version,
		sysconf(_SC_NPROCESSORS_ONLN));
	return f;
}

void json_close(FILE *f, const char *path)
{
	char *tmp;

	fputs("\n}\n", f);
	if (f == stdout) {
		if (fflush(f))
			die("standard output: %s", strerror(errno));
		return;
	}
	if (fclose(f))
		die("%s: %s", path, strerror(errno));
	if (asprintf(&tmp, "%s.tmp", path) < 0)
		die("out of memory");
	if (rename(tmp, path))
		die("%s: %s", path, strerror(errno));
	free(tmp);
}

static __u64 now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

void cost_begin(struct cost *c)
{
	c->cpu_ns = now(CLOCK_PROCESS_CPUTIME_ID);
	c->ns = now(CLOCK_MONOTONIC);
}

void cost_end(struct cost *c)
{
	c->ns = now(CLOCK_MONOTONIC) - c->ns;
	c->cpu_ns = now(CLOCK_PROCESS_CPUTIME_ID) - c->cpu_ns;
}

/*
 * Slots for count_calls(): the largest power of two that keeps the functions
 * apart, see mfentry.bpf.c.
 */
static void size_slots(struct mfentry_bpf *skel, const struct funcs *funcs)
{
	__u64 *addrs = xcalloc(funcs->cnt, sizeof(*addrs)), slots;
	size_t i;
	int shift;

	for (i = 0; i < funcs->cnt; i++)
		addrs[i] = funcs->v[i].addr;
	qsort(addrs, funcs->cnt, sizeof(*addrs), cmp_u64);
	for (shift = 6; shift; shift--) {
		for (i = 1; i < funcs->cnt; i++)
			if ((addrs[i] - addrs[0]) >> shift ==
			    (addrs[i - 1] - addrs[0]) >> shift)
				break;
		if (i >= funcs->cnt)
			break;
	}
	slots = ((addrs[funcs->cnt - 1] - addrs[0]) >> shift) + 1;
	skel->rodata->first_ip = addrs[0];
	skel->rodata->shift = shift;
	skel->rodata->slots = slots;
	free(addrs);

	slots *= libbpf_num_possible_cpus();
	if (slots > 1U << 30)
		die("the functions lie too far apart: %llu slots", slots);
	bpf_map__set_max_entries(skel->maps.calls, slots);
}

/**
 * kernel_has_reentrant - does this kernel know BPF_F_REENTRANT?
 *
 * A kernel that does refuses it for other programs than those of tracing_multi links,
 * and says so.
 *
 * Return: true if it does.
 */
bool kernel_has_reentrant(void)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_REENTRANT);
	char log[256] = "";
	int fd;

	opts.log_buf = log;
	opts.log_size = sizeof(log);
	opts.log_level = 1;
	fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, NULL, "GPL", insns, 2, &opts);
	if (fd >= 0)
		close(fd);
	return strstr(log, "BPF_F_REENTRANT");
}

/* Does the kernel have data of each function? */
static bool kernel_has_data(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool has;

	if (!btf)
		die("cannot read the kernel's BTF: %s", strerror(errno));
	has = btf__find_by_name_kind(btf, "bpf_attach_data", BTF_KIND_FUNC) > 0;
	btf__free(btf);
	return has;
}

/**
 * load_programs - open and load the BPF programs
 * @funcs: the functions whose calls are counted, or NULL
 *
 * Return: the skeleton; an error ends the program.
 */
struct mfentry_bpf *load_programs(const struct funcs *funcs)
{
	struct mfentry_bpf *skel = mfentry_bpf__open();
	int err;

	if (!skel)
		die("cannot open the BPF programs: %s", strerror(errno));
	if (funcs)
		size_slots(skel, funcs);
	bpf_program__set_autoload(skel->progs.single_lsm, opt.lsm);
	bpf_program__set_autoload(skel->progs.count_by_data, kernel_has_data());
	if (kernel_has_reentrant())
		bpf_program__set_flags(skel->progs.count_calls, BPF_F_REENTRANT);
	err = mfentry_bpf__load(skel);
	if (err)
		die("cannot load the BPF programs: %s", strerror(-err));
	return skel;
}

/**
 * attach_multi - attach a fentry.multi program
 * @prog: the program
 * @ids: BTF ids of the functions
 * @cnt: how many
 * @c: what it costs, may be NULL
 *
 * Return: the link; an error ends the program.
 */
struct bpf_link *attach_multi(const struct bpf_program *prog, const __u32 *ids,
			      size_t cnt, struct cost *c)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts, .ids = ids, .cnt = cnt);
	struct bpf_link *link;
	struct cost dummy;

	cost_begin(c ?: &dummy);
	link = bpf_program__attach_tracing_multi(prog, NULL, &opts);
	if (!link)
		die("cannot attach to %zu functions: %s%s", cnt, strerror(errno),
		    errno == EOPNOTSUPP ? " (this kernel has no tracing_multi links)" : "");
	cost_end(c ?: &dummy);
	return link;
}

struct bpf_link *attach_funcs(const struct bpf_program *prog,
			      const struct funcs *funcs, struct cost *c)
{
	__u32 *ids = funcs_ids(funcs);
	struct bpf_link *link = attach_multi(prog, ids, funcs->cnt, c);

	free(ids);
	return link;
}

void detach(struct bpf_link *link, struct cost *c)
{
	struct cost dummy;
	int err;

	cost_begin(c ?: &dummy);
	err = bpf_link__destroy(link);
	if (err)
		die("closing a link: %s", strerror(-err));
	cost_end(c ?: &dummy);
}

/* An attach to a function that nothing else is attached to */
static struct bpf_link *attach_spare(struct mfentry_bpf *skel, const struct func *spare,
				     struct cost *c)
{
	return attach_multi(skel->progs.spare, &spare->id, 1, c);
}

static __u64 without(__u64 all, __u64 part)
{
	return all > part ? all - part : 0;
}

/**
 * detach_tidily - close links, and have done what that leaves
 * @links: the links
 * @cnt: how many
 * @skel: the programs
 * @spare: a function that nothing is attached to
 * @close: what closing costs, may be NULL
 * @c: what all of it costs
 *
 * close() only has to stop the program. What else there is to do when a link goes
 * the next attach does at the latest: here it is one to @spare. What that costs beside
 * the links, which is measured before, is taken off; where they are the only ones it
 * costs a little more without them.
 */
void detach_tidily(struct bpf_link **links, int cnt, struct mfentry_bpf *skel,
		   const struct func *spare, struct cost *close, struct cost *c)
{
	struct cost alone, closing, then;
	struct bpf_link *link;
	int i;

	detach(attach_spare(skel, spare, &alone), NULL);
	mem_quiesce();
	cost_begin(&closing);
	for (i = 0; i < cnt; i++)
		detach(links[i], NULL);
	cost_end(&closing);
	link = attach_spare(skel, spare, &then);
	c->ns = closing.ns + without(then.ns, alone.ns);
	c->cpu_ns = closing.cpu_ns + without(then.cpu_ns, alone.cpu_ns);
	if (close)
		*close = closing;
	detach(link, NULL);
}

/* The programs of the kind that is measured. */
const struct bpf_program *first_program(const struct mfentry_bpf *skel)
{
	return opt.fexit ? skel->progs.first_exit : skel->progs.first;
}

const struct bpf_program *second_program(const struct mfentry_bpf *skel)
{
	return opt.fexit ? skel->progs.second_exit : skel->progs.second;
}

static void cmd_list(void)
{
	struct funcs funcs;
	size_t i;
	FILE *f;

	funcs_collect(&funcs);
	if (opt.names) {
		f = fopen(opt.names, "w");
		if (!f)
			die("%s: %s", opt.names, strerror(errno));
		for (i = 0; i < funcs.cnt; i++)
			fprintf(f, "%s\n", funcs.v[i].name);
		if (fclose(f))
			die("%s: %s", opt.names, strerror(errno));
	}
	if (opt.json) {
		f = json_open(opt.json, "list");
		fprintf(f, ",\n\"functions\": %zu,\n\"traceable\": %zu",
			funcs.cnt, funcs.traceable);
		json_close(f, opt.json);
	}
	if (!opt.json || strcmp(opt.json, "-"))
		printf("%zu attachable functions of %zu traceable ones\n",
		       funcs.cnt, funcs.traceable);
}

static const struct {
	const char *name;
	void (*run)(void);
} commands[] = {
	{ "list", cmd_list },
	{ "demo", cmd_demo },
	{ "bench", cmd_bench },
	{ "hit", cmd_hit },
	{ "latency", cmd_latency },
	{ "others", cmd_others },
	{ "overlap", cmd_overlap },
	{ "pattern", cmd_pattern },
};

static int parse_number(const char *arg, const char *what)
{
	char *end;
	long n = strtol(arg, &end, 10);

	if (*end || end == arg || n < 1 || n > 100000) {
		note("--%s wants a number, not %s", what, arg);
		exit(2);
	}
	return n;
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", required_argument, NULL, 'j' },
		{ "functions", required_argument, NULL, 'f' },
		{ "names", required_argument, NULL, 'N' },
		{ "n", required_argument, NULL, 'n' },
		{ "fexit", no_argument, NULL, 'x' },
		{ "no-second", no_argument, NULL, '2' },
		{ "no-split", no_argument, NULL, 'p' },
		{ "patterns", no_argument, NULL, 'a' },
		{ "memory", no_argument, NULL, 'm' },
		{ "unit", required_argument, NULL, 'u' },
		{ "repeat", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 's' },
		{ "top", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	int c;

	while ((c = getopt_long_only(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'j':
			opt.json = optarg;
			break;
		case 'f':
			opt.functions = optarg;
			break;
		case 'N':
			opt.names = optarg;
			break;
		case 'n':
			opt.sizes = optarg;
			break;
		case 'x':
			opt.fexit = true;
			break;
		case '2':
			opt.no_second = true;
			break;
		case 'p':
			opt.no_split = true;
			break;
		case 'a':
			opt.patterns = true;
			break;
		case 'm':
			opt.memory = true;
			break;
		case 'u':
			opt.unit = optarg;
			break;
		case 'r':
			opt.repeat = parse_number(optarg, "repeat");
			break;
		case 's':
			opt.seconds = parse_number(optarg, "seconds");
			break;
		case 't':
			opt.top = parse_number(optarg, "top");
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (strcmp(opt.unit, "ns") && strcmp(opt.unit, "instructions")) {
		note("--unit is ns or instructions, not %s", opt.unit);
		exit(2);
	}
}

static int print_message(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return level <= LIBBPF_INFO ? vfprintf(stderr, fmt, ap) : 0;
}

int main(int argc, char **argv)
{
	size_t i;

	parse_options(argc, argv);
	if (optind + 1 != argc) {
		fputs(usage, stderr);
		return 2;
	}
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[optind], commands[i].name))
			break;
	if (i == ARRAY_SIZE(commands)) {
		note("no command %s", argv[optind]);
		fputs(usage, stderr);
		return 2;
	}
	if (geteuid())
		die("only root can attach programs to the kernel");
	libbpf_set_print(print_message);
	commands[i].run();
	return 0;
}
