// SPDX-License-Identifier: GPL-2.0-only
/*
 * funccount: results for programs, an object a line
 *
 * Names are those of functions and modules, with no character that JSON wants escaped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "funccount.h"

static const char *mode_name(void)
{
	switch (opt.mode) {
	case MODE_LATENCY:
		return "latency";
	case MODE_ERRORS:
		return "errors";
	default:
		return "count";
	}
}

static void put_latency(const struct result *r, const struct ranked *v)
{
	const char *sep = "";
	struct fc_latency l;
	int i;

	result_latency(r, v->func, &l);
	printf(", \"total_ns\": %llu, \"histogram_ns\": [", v->key);
	for (i = 0; i < FC_SLOTS; i++) {
		if (!l.slots[i])
			continue;
		printf("%s{\"from\": %llu, \"calls\": %llu}", sep, i ? 1ULL << i : 0, l.slots[i]);
		sep = ", ";
	}
	putchar(']');
}

static void put_errors(const struct result *r, const struct ranked *v)
{
	const char *sep = "";
	struct fc_errors e;
	char buf[16];
	int i;

	result_errors(r, v->func, &e);
	printf(", \"errors\": %llu, \"codes\": {", v->key);
	for (i = 0; i < FC_CODES; i++) {
		if (!e.count[i])
			continue;
		printf("%s\"%s\": %llu", sep, error_name(e.code[i], buf, sizeof(buf)), e.count[i]);
		sep = ", ";
	}
	printf("}, \"other_errors\": %llu", e.other);
}

static void put_stack(const struct syms *syms, const struct stack *s)
{
	char frame[256];
	size_t i;

	printf("{\"samples\": %llu, \"frames\": [", s->samples);
	for (i = 0; i < s->depth; i++) {
		format_frame(syms, s->ips[i], frame, sizeof(frame));
		printf("%s\"%s\"", i ? ", " : "", frame);
	}
	fputs("]}", stdout);
}

static void put_callers(const struct callers *c, size_t func)
{
	const struct stack *s;
	size_t cnt, i;
	__u64 samples;

	s = callers_of(c, func, &cnt, &samples);
	printf(", \"traced_calls\": %llu, \"samples\": %llu, \"lost_samples\": %llu, \"stacks\": [",
	       c->funcs[func].calls, samples, c->funcs[func].lost);
	for (i = 0; i < cnt; i++) {
		fputs(i ? ", " : "", stdout);
		put_stack(&c->syms, &s[i]);
	}
	putchar(']');
}

static void put_function(struct tracer *t, const struct result *r, size_t i,
			 const struct callers *c)
{
	const struct ranked *v = &r->v[i];
	const char *module = func_module(&t->funcs, v->func);

	printf("%s{\"name\": \"%s\"", i ? ", " : "", func_name(&t->funcs, v->func));
	if (module)
		printf(", \"module\": \"%s\"", module);
	printf(", \"calls\": %llu", v->calls);
	if (opt.mode == MODE_LATENCY)
		put_latency(r, v);
	else if (opt.mode == MODE_ERRORS)
		put_errors(r, v);
	if (c && i < c->func_cnt)
		put_callers(c, i);
	putchar('}');
}

static void put_result(struct tracer *t, const struct result *r, const struct callers *c)
{
	size_t cnt = result_shown(r), i;

	printf("\"mode\": \"%s\", \"attached\": %u, \"left_out\": %zu, ", mode_name(),
	       t->funcs.cnt, t->left_out);
	printf("\"seconds\": %.6f, \"calls\": %llu, \"missed\": %llu, \"called\": %zu, ",
	       r->seconds, r->calls, r->missed, r->cnt);
	fputs("\"functions\": [", stdout);
	for (i = 0; i < cnt; i++)
		put_function(t, r, i, c);
	puts("]}");
	fflush(stdout);
}

/* One line of many, each for an interval; @nr counts them from 1. */
void json_interval(struct tracer *t, const struct result *r, unsigned int nr)
{
	printf("{\"interval\": %u, ", nr);
	put_result(t, r, NULL);
}

/* The last line, or the only one */
void json_result(struct tracer *t, const struct result *r, const struct callers *c)
{
	printf("{\"attach_seconds\": %.6f, \"start_seconds\": %.6f, ", t->attach_seconds,
	       t->start_seconds);
	put_result(t, r, c);
}
