// SPDX-License-Identifier: GPL-2.0-only
/* funccount: loading and attaching the program, and what to do if that fails */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "funccount.h"
#include "funccount.skel.h"

#define KERNEL_BTF	"/sys/kernel/btf/vmlinux"

/* Warnings of libbpf: shown if something fails, or when all is attached */
static char warnings[8192];

static void keep_warning(const char *fmt, va_list args)
{
	size_t len = strlen(warnings);

	vsnprintf(warnings + len, sizeof(warnings) - len, fmt, args);
}

static int print_libbpf(enum libbpf_print_level level, const char *fmt, va_list args)
{
	if (opt.verbose)
		return vfprintf(stderr, fmt, args);
	if (level == LIBBPF_WARN)
		keep_warning(fmt, args);
	return 0;
}

/* What libbpf warned of, without what it says of itself and of the program */
void show_warnings(void)
{
	char *rest = warnings, *line, *text;

	while ((line = strsep(&rest, "\n"))) {
		if (!strncmp(line, "libbpf: ", 8))
			line += 8;
		text = strncmp(line, "prog '", 6) ? NULL : strstr(line, "': ");
		text = text ? text + 3 : line;
		/* what follows is said in other words */
		if (*text && strncmp(text, "failed to attach: ", 18))
			warnx("%s", text);
	}
	warnings[0] = '\0';
}

static void __noreturn no_permission(void)
{
	if (geteuid())
		errx(1, "no permission: run funccount as root, or with CAP_BPF and CAP_PERFMON");
	errx(1, "no permission: root lacks it in a container, and if the kernel is locked down");
}

static bool kernel_has_data(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool has = btf && btf__find_by_name_kind(btf, "bpf_attach_data", BTF_KIND_FUNC) > 0;

	btf__free(btf);
	return has;
}

static void __noreturn explain_load(int err)
{
	if (err == EPERM)
		no_permission();
	if (access(KERNEL_BTF, R_OK)) {
		warnx("cannot read " KERNEL_BTF ": %s", strerror(errno));
		errx(1, "kernels built with CONFIG_DEBUG_INFO_BTF=y have it, if /sys is mounted");
	}
	if (!kernel_has_data()) {
		warnx("this kernel is too old: its BPF has no bpf_attach_data()");
		errx(1, "one with shared trampolines has, see Documentation/bpf/multi_fentry.rst");
	}
	show_warnings();
	errx(1, "cannot load the program: %s; funccount -v shows more", strerror(err));
}

static void __noreturn explain_attach(int err)
{
	/* what the kernel says of the only function that matches, and libbpf passes on */
	bool refused = strstr(warnings, "': #");

	show_warnings();
	switch (err) {
	case EPERM:
		no_permission();
	case EINVAL:
		if (refused)
			errx(1, "the only function that matches cannot be attached to");
		warnx("no function to attach to; 'grep NAME /proc/kallsyms' shows all");
		errx(1, "patterns are [!][MODULE:]NAME, and modules have to be loaded");
	case ENOENT:
		errx(1, "no function that matches can be attached to; funccount -v shows why");
	case EOPNOTSUPP:
		errx(1, "this kernel attaches programs to many functions only on x86-64 and arm64");
	default:
		errx(1, "cannot attach: %s; funccount -v shows more", strerror(err));
	}
}

static struct bpf_program *choose_program(struct funccount_bpf *skel)
{
	switch (opt.mode) {
	case MODE_LATENCY:
		return skel->progs.measure_latency;
	case MODE_ERRORS:
		return skel->progs.count_errors;
	default:
		return skel->progs.count_calls;
	}
}

/* Whether the kernel runs the program in line, and inside itself, with -v */
static void report_program(const struct tracer *t)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	if (opt.verbose && !bpf_prog_get_info_by_fd(bpf_program__fd(t->prog), &info, &len))
		warnx("the program is %slight%s", info.light ? "" : "not ",
		      info.reentrant ? " and reentrant" : "");
}

/**
 * tracer_load - load the program, and that for callers if they are wanted
 * @t: filled in
 */
void tracer_load(struct tracer *t)
{
	struct bpf_program *prog;
	int err;

	libbpf_set_print(print_libbpf);
	t->skel = funccount_bpf__open();
	if (!t->skel)
		errx(1, "cannot open the BPF programs: %s", strerror(errno));
	t->prog = choose_program(t->skel);
	bpf_object__for_each_program(prog, t->skel->obj)
		bpf_program__set_autoload(prog, prog == t->prog);
	bpf_program__set_autoload(t->skel->progs.trace_callers, opt.callers);
	bpf_map__set_autocreate(t->skel->maps.stacks, opt.callers);
	bpf_map__set_autocreate(t->skel->maps.stack_counts, opt.callers);
	t->skel->rodata->target = opt.pid;
	/*
	 * All of these are in line, so that they may run inside themselves and miss nothing.
	 * Latency takes the time by a call: then it would cost more.
	 */
	if (opt.mode != MODE_LATENCY)
		bpf_program__set_flags(t->prog, bpf_program__flags(t->prog) | BPF_F_REENTRANT);
	err = funccount_bpf__load(t->skel);
	if (err)
		explain_load(-err);
	warnings[0] = '\0';
	report_program(t);
}

/* Attaching is one system call, which may take seconds: a thread shows the time. */
struct progress {
	pthread_t thread;
	int done;		/* an eventfd */
	bool runs;
};

static void *show_progress(void *arg)
{
	struct progress *p = arg;
	struct pollfd done = { .fd = p->done, .events = POLLIN };
	double begun = seconds_now();
	const char *more = opt.pattern_cnt > 1 ? ", ..." : "";

	do {
		fprintf(stderr, "\rattaching to %.40s%s: %.1f s%s\033[K", opt.patterns[0], more,
			seconds_now() - begun,
			signal_pending() ? ", ending when the kernel is done" : "");
	} while (!poll(&done, 1, 500));
	fputs("\r\033[K", stderr);
	return NULL;
}

/* Signals are blocked, in the thread as well. Without a thread there is no progress. */
static void progress_begin(struct progress *p)
{
	if (!isatty(STDERR_FILENO))
		return;
	p->done = eventfd(0, EFD_CLOEXEC);
	if (p->done < 0)
		return;
	p->runs = !pthread_create(&p->thread, NULL, show_progress, p);
	if (!p->runs)
		close(p->done);
}

static void progress_end(struct progress *p)
{
	if (!p->runs)
		return;
	eventfd_write(p->done, 1);
	pthread_join(p->thread, NULL);
	close(p->done);
}

/* The array that libbpf has made for the link */
static void map_data(struct tracer *t)
{
	int fd = bpf_link__data_map_fd(t->link);
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);

	if (fd < 0 || bpf_map_get_info_by_fd(fd, &info, &len))
		errx(1, "the link has no array: %s", strerror(errno));
	t->elements = info.max_entries;
	/* as the kernel has the elements of any array */
	t->stride = (info.value_size + 7) / 8 * 8;
	t->data = mmap(NULL, t->elements * t->stride, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (t->data == MAP_FAILED)
		errx(1, "cannot map the array: %s", strerror(errno));
}

/* The program counts nothing of a function before it knows how that returns errors. */
static void set_return_bits(struct tracer *t)
{
	struct fc_errors *e;
	__u32 i;

	for (i = 0; i < t->funcs.cnt; i++) {
		e = t->data + t->funcs.indexes[i] * t->stride;
		__atomic_store_n(&e->ret, func_return_bits(&t->funcs, i), __ATOMIC_RELAXED);
	}
}

/**
 * tracer_attach - attach the program to all functions that match the patterns
 * @t: the tracer, loaded
 *
 * A signal does not shorten it and stays pending, see signal_pending().
 */
void tracer_attach(struct tracer *t)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts,
		    .patterns = opt.patterns,
		    .pattern_cnt = opt.pattern_cnt);
	struct progress progress = {};
	double begun = seconds_now();
	int err;

	progress_begin(&progress);
	t->link = bpf_program__attach_tracing_multi(t->prog, NULL, &opts);
	err = errno;
	progress_end(&progress);
	if (!t->link)
		explain_attach(err);
	t->attach_seconds = seconds_now() - begun;
	show_warnings();
	t->left_out = opts.skipped;
	map_data(t);
	funcs_get(&t->funcs, t->link, t->prog, t->elements);
	if (opt.mode == MODE_ERRORS)
		set_return_bits(t);
	t->start_seconds = seconds_now() - t->begun;
}

void tracer_close(struct tracer *t)
{
	if (t->data)
		munmap(t->data, t->elements * t->stride);
	bpf_link__destroy(t->link);
	funcs_free(&t->funcs);
	funccount_bpf__destroy(t->skel);
}
