// SPDX-License-Identifier: GPL-2.0-only
/* funccount: the array of the link at a time, and what happened between two times */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "funccount.h"

static __u64 missed_calls(const struct tracer *t)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	if (bpf_prog_get_info_by_fd(bpf_program__fd(t->prog), &info, &len))
		errx(1, "cannot get information on the program: %s", strerror(errno));
	return info.recursion_misses;
}

/**
 * snapshot_take - copy the array
 * @t: the tracer
 * @s: the copy
 *
 * The programs go on meanwhile: each number is one that it had.
 */
void snapshot_take(const struct tracer *t, struct snapshot *s)
{
	size_t cnt = t->elements * t->stride / sizeof(__u64), i;
	const __u64 *from = t->data;
	__u64 *to = xcalloc(cnt, sizeof(*to));

	s->when = seconds_now();
	for (i = 0; i < cnt; i++)
		to[i] = __atomic_load_n(from + i, __ATOMIC_RELAXED);
	s->data = to;
	s->missed = missed_calls(t);
}

void snapshot_free(struct snapshot *s)
{
	free(s->data);
	s->data = NULL;
}

static const void *element(const struct result *r, const struct snapshot *s, __u32 func)
{
	return s->data + r->t->funcs.indexes[func] * r->t->stride;
}

/* How long the calls of a function took */
void result_latency(const struct result *r, __u32 func, struct fc_latency *l)
{
	const struct fc_latency *from = element(r, r->from, func);
	size_t i;

	*l = *(const struct fc_latency *)element(r, r->to, func);
	l->total_ns -= from->total_ns;
	for (i = 0; i < FC_SLOTS; i++)
		l->slots[i] -= from->slots[i];
}

/* Which errors a function returned; the codes of a function never change */
void result_errors(const struct result *r, __u32 func, struct fc_errors *e)
{
	const struct fc_errors *from = element(r, r->from, func);
	size_t i;

	*e = *(const struct fc_errors *)element(r, r->to, func);
	e->calls -= from->calls;
	e->other -= from->other;
	for (i = 0; i < FC_CODES; i++)
		e->count[i] -= from->count[i];
}

static void rank_latency(const struct result *r, struct ranked *v)
{
	struct fc_latency l;
	size_t i;

	result_latency(r, v->func, &l);
	for (i = 0; i < FC_SLOTS; i++)
		v->calls += l.slots[i];
	v->key = l.total_ns;
}

static void rank_errors(const struct result *r, struct ranked *v)
{
	struct fc_errors e;
	size_t i;

	result_errors(r, v->func, &e);
	v->calls = e.calls;
	v->key = e.other;
	for (i = 0; i < FC_CODES; i++)
		v->key += e.count[i];
}

static void rank_calls(const struct result *r, struct ranked *v)
{
	const struct fc_calls *from = element(r, r->from, v->func);
	const struct fc_calls *to = element(r, r->to, v->func);

	v->calls = to->calls - from->calls;
	v->key = v->calls;
}

static int rank_cmp(const void *pa, const void *pb)
{
	const struct ranked *a = pa, *b = pb;

	if (a->key != b->key)
		return a->key < b->key ? 1 : -1;
	if (a->calls != b->calls)
		return a->calls < b->calls ? 1 : -1;
	return a->func < b->func ? -1 : a->func > b->func;
}

/**
 * result_make - sort the functions by what was counted between two snapshots
 * @t: the tracer
 * @from: the one snapshot
 * @to: the other one; both have to outlive the result
 * @r: filled in
 */
void result_make(const struct tracer *t, const struct snapshot *from,
		 const struct snapshot *to, struct result *r)
{
	__u32 i;

	*r = (struct result){ .t = t, .from = from, .to = to };
	r->seconds = to->when - from->when;
	r->missed = to->missed - from->missed;
	r->v = xcalloc(t->funcs.cnt, sizeof(*r->v));
	for (i = 0; i < t->funcs.cnt; i++) {
		struct ranked v = { .func = i };

		if (opt.mode == MODE_LATENCY)
			rank_latency(r, &v);
		else if (opt.mode == MODE_ERRORS)
			rank_errors(r, &v);
		else
			rank_calls(r, &v);
		if (!v.calls)
			continue;
		r->calls += v.calls;
		/* without an error it is not worth showing where it is about errors */
		r->worth += v.key || opt.mode != MODE_ERRORS;
		r->v[r->cnt++] = v;
	}
	qsort(r->v, r->cnt, sizeof(*r->v), rank_cmp);
}

void result_free(struct result *r)
{
	free(r->v);
	r->v = NULL;
}

/* How many of the functions are shown, from the first */
size_t result_shown(const struct result *r)
{
	return opt.top && opt.top < r->worth ? opt.top : r->worth;
}
