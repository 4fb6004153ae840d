// SPDX-License-Identifier: GPL-2.0-only
/* funccount: results for people */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/kernel.h>

#include "funccount.h"

#define NAME_WIDTH	40
#define BAR_WIDTH	40
#define SHOWN_STACKS	3
#define SHOWN_FRAMES	12

/* Errors of the kernel's own, which no system call returns */
static const struct {
	__u32 code;
	const char *name;
} kernel_errors[] = {
	{ 512, "ERESTARTSYS" }, { 513, "ERESTARTNOINTR" }, { 514, "ERESTARTNOHAND" },
	{ 515, "ENOIOCTLCMD" }, { 516, "ERESTART_RESTARTBLOCK" }, { 517, "EPROBE_DEFER" },
	{ 518, "EOPENSTALE" }, { 519, "ENOPARAM" }, { 521, "EBADHANDLE" },
	{ 522, "ENOTSYNC" }, { 523, "EBADCOOKIE" }, { 524, "ENOTSUPP" },
	{ 525, "ETOOSMALL" }, { 526, "ESERVERFAULT" }, { 527, "EBADTYPE" },
	{ 528, "EJUKEBOX" }, { 529, "EIOCBQUEUED" }, { 530, "ERECALLCONFLICT" },
	{ 531, "ENOGRACE" },
};

/* "ENOENT", or the number if it has no name */
const char *error_name(__u32 code, char *buf, size_t size)
{
	const char *name = strerrorname_np(code);
	size_t i;

	for (i = 0; !name && i < ARRAY_SIZE(kernel_errors); i++)
		if (kernel_errors[i].code == code)
			name = kernel_errors[i].name;
	if (name)
		return name;
	snprintf(buf, size, "%u", code);
	return buf;
}

/* "vfs_read+0x12 [module]" */
void format_frame(const struct syms *s, __u64 ip, char *buf, size_t size)
{
	const struct sym *sym = syms_find(s, ip - 1);

	if (sym)
		snprintf(buf, size, "%s+0x%llx%s%s%s", sym->name, ip - sym->addr,
			 sym->module ? " [" : "", sym->module ?: "", sym->module ? "]" : "");
	else
		snprintf(buf, size, "0x%llx", ip);
}

static const char *format_name(struct tracer *t, __u32 func, char *buf, size_t size)
{
	const char *module = func_module(&t->funcs, func);

	snprintf(buf, size, "%s%s%s%s", func_name(&t->funcs, func), module ? " [" : "",
		 module ?: "", module ? "]" : "");
	return buf;
}

/* The first thing that is seen: from now on calls count. */
void print_attached(const struct tracer *t)
{
	char length[32] = "until Ctrl-C";

	if (opt.duration)
		snprintf(length, sizeof(length), "for %g s", opt.duration);
	warnx("counting calls of %u functions %s; %zu more cannot be attached to", t->funcs.cnt,
	      length, t->left_out);
}

static void print_header(void)
{
	printf("%-*s %14s", NAME_WIDTH, "FUNCTION", "CALLS");
	if (opt.mode == MODE_LATENCY)
		printf(" %14s %14s", "AVERAGE ns", "TOTAL us");
	else if (opt.mode == MODE_ERRORS)
		printf(" %12s  %s", "ERRORS", "OF THEM");
	else
		printf(" %14s", "CALLS/s");
	putchar('\n');
}

static void print_errors(const struct result *r, __u32 func)
{
	struct fc_errors e;
	char buf[16];
	size_t i;

	result_errors(r, func, &e);
	for (i = 0; i < FC_CODES; i++)
		if (e.count[i])
			printf(" %s %llu", error_name(e.code[i], buf, sizeof(buf)), e.count[i]);
	if (e.other)
		printf(" other %llu", e.other);
}

static void print_row(struct tracer *t, const struct result *r, const struct ranked *v)
{
	char name[256];

	printf("%-*s %14llu", NAME_WIDTH, format_name(t, v->func, name, sizeof(name)), v->calls);
	if (opt.mode == MODE_LATENCY) {
		printf(" %14llu %14.0f", v->key / v->calls, v->key / 1e3);
	} else if (opt.mode == MODE_ERRORS) {
		printf(" %12llu ", v->key);
		print_errors(r, v->func);
	} else {
		printf(" %14.0f", v->calls / r->seconds);
	}
	putchar('\n');
}

static void print_rows(struct tracer *t, const struct result *r, size_t cnt)
{
	size_t i;

	print_header();
	for (i = 0; i < cnt; i++)
		print_row(t, r, &r->v[i]);
	if (cnt < r->worth)
		printf("... and %zu more functions, -n 0 shows all\n", r->worth - cnt);
}

static void print_totals(const struct result *r)
{
	printf("%llu calls of %zu functions in %.2f s, %llu calls missed; ", r->calls, r->cnt,
	       r->seconds, r->missed);
	printf("%u functions attached, %zu left out\n", r->t->funcs.cnt, r->t->left_out);
}

/* What fits on the terminal; all that is asked for elsewhere */
static size_t fitting(size_t cnt)
{
	struct winsize w;

	if (opt.top_given || ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) || w.ws_row < 10)
		return cnt;
	return cnt < w.ws_row - 6U ? cnt : w.ws_row - 6U;
}

/**
 * print_interval - show what was called since the last time, at the top of a terminal
 * @t: the tracer
 * @r: since the last time
 * @total: since the start
 */
void print_interval(struct tracer *t, const struct result *r, const struct result *total)
{
	bool terminal = isatty(STDOUT_FILENO);
	size_t cnt = result_shown(r);

	if (terminal) {
		fputs("\033[H\033[J", stdout);
		printf("%.1f s: ", total->seconds);
		print_totals(total);
		putchar('\n');
		cnt = fitting(cnt);
	}
	print_rows(t, r, cnt);
	if (!terminal) {
		print_totals(r);
		putchar('\n');
	}
	fflush(stdout);
}

static void print_slot(const struct fc_latency *l, int i, __u64 max)
{
	size_t len = max ? l->slots[i] * BAR_WIDTH / max : 0;
	char bar[BAR_WIDTH + 1], to[24] = "";

	memset(bar, '*', len);
	bar[len] = '\0';
	if (i < FC_SLOTS - 1)
		snprintf(to, sizeof(to), "%llu", (2ULL << i) - 1);
	printf("%11llu -> %10s : %-14llu |%-*s|\n", i ? 1ULL << i : 0, to, l->slots[i],
	       BAR_WIDTH, bar);
}

static void print_slots(const struct fc_latency *l)
{
	int first = 0, last = FC_SLOTS - 1, i;
	__u64 max = 0;

	while (last && !l->slots[last])
		last--;
	while (first < last && !l->slots[first])
		first++;
	for (i = first; i <= last; i++)
		if (l->slots[i] > max)
			max = l->slots[i];
	printf("%25s : calls\n", "nanoseconds");
	for (i = first; i <= last; i++)
		print_slot(l, i, max);
}

static void print_histograms(struct tracer *t, const struct result *r, size_t cnt)
{
	struct fc_latency l;
	char name[256];
	size_t i;

	for (i = 0; i < cnt; i++) {
		result_latency(r, r->v[i].func, &l);
		printf("\n%s: %llu calls\n", format_name(t, r->v[i].func, name, sizeof(name)),
		       r->v[i].calls);
		print_slots(&l);
	}
}

static void print_stack(const struct syms *syms, const struct stack *s, __u64 samples)
{
	char frame[256];
	size_t i;

	for (i = 0; i < s->depth && i < SHOWN_FRAMES; i++) {
		if (i)
			printf("%21s", "");
		else
			printf("%10llu  %5.1f %%  ", s->samples, 100.0 * s->samples / samples);
		format_frame(syms, s->ips[i], frame, sizeof(frame));
		puts(frame);
	}
	if (i < s->depth)
		printf("%21s... %zu more\n", "", s->depth - i);
	if (!s->depth)
		printf("%10llu  %5.1f %%  (no callers are seen)\n", s->samples,
		       100.0 * s->samples / samples);
}

static void print_callers(struct tracer *t, const struct result *r, const struct callers *c)
{
	const struct stack *s;
	size_t i, j, cnt;
	char name[256];
	__u64 samples;

	for (i = 0; i < c->func_cnt; i++) {
		s = callers_of(c, i, &cnt, &samples);
		printf("\nCallers of %s: %llu samples of %llu calls in %.1f s, %zu stacks",
		       format_name(t, r->v[i].func, name, sizeof(name)), samples,
		       c->funcs[i].calls, c->seconds, cnt);
		if (c->funcs[i].lost)
			printf(", %llu samples lost", c->funcs[i].lost);
		putchar('\n');
		for (j = 0; j < cnt && j < SHOWN_STACKS; j++)
			print_stack(&c->syms, &s[j], samples);
	}
}

/**
 * print_result - show what was called in all
 * @t: the tracer
 * @r: the result
 * @c: callers, NULL if nobody wants them
 */
void print_result(struct tracer *t, const struct result *r, const struct callers *c)
{
	size_t cnt = result_shown(r);

	if (opt.interval)
		puts(isatty(STDOUT_FILENO) ? "\nIn all:" : "In all:");
	print_rows(t, r, cnt);
	if (opt.mode == MODE_LATENCY)
		print_histograms(t, r, cnt);
	if (c)
		print_callers(t, r, c);
	putchar('\n');
	print_totals(r);
}
