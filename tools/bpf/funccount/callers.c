// SPDX-License-Identifier: GPL-2.0-only
/*
 * funccount: who calls the functions at the top
 *
 * A stack takes a thousand times as long as a count. Therefore another program takes them,
 * which is attached to a few functions when the counting is over. It looks at one of many
 * calls of a function that the counting has found to be called often.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "funccount.h"
#include "funccount.skel.h"

#define MAX_FUNCS	64
#define DEFAULT_FUNCS	20
#define MAX_SECONDS	10
#define MAX_RATE	500	/* samples of a function, a second */

/* The program, the prologue of its trampoline and the function itself come first. */
#define MAX_OWN_FRAMES	8

static size_t count_funcs(const struct result *r)
{
	size_t n = result_shown(r), max = opt.top_given && opt.top ? opt.top : DEFAULT_FUNCS;

	if (max > MAX_FUNCS)
		max = MAX_FUNCS;
	return n < max ? n : max;
}

static __u32 sample_mask(const struct result *r, size_t i)
{
	double rate = r->v[i].calls / fmax(r->seconds, 0.001);
	__u32 mask = 0;

	while (rate / (mask + 1.0) > MAX_RATE && mask < 1U << 30)
		mask = mask * 2 + 1;
	return mask;
}

/* An element for each function, in the order of the ids, which say it before the attach */
static int make_array(const struct result *r, struct callers *c, size_t size)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	size_t i;
	int fd;

	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "funccount", sizeof(__u32), sizeof(*c->funcs),
			    c->func_cnt, &opts);
	if (fd < 0)
		return -1;
	c->funcs = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (c->funcs == MAP_FAILED) {
		close(fd);
		return -1;
	}
	for (i = 0; i < c->func_cnt; i++) {
		c->funcs[i].func = i;
		c->funcs[i].mask = sample_mask(r, i);
	}
	return fd;
}

static struct bpf_link *attach(struct tracer *t, const struct result *r,
			       const struct callers *c, int array)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts, .skip = true, .data_map_fd = array);
	__u32 ids[MAX_FUNCS], fds[MAX_FUNCS];
	size_t i;

	for (i = 0; i < c->func_cnt; i++) {
		ids[i] = t->funcs.ids[r->v[i].func];
		fds[i] = func_fd(&t->funcs, r->v[i].func);
	}
	opts.ids = ids;
	opts.fds = fds;
	opts.cnt = c->func_cnt;
	return bpf_program__attach_tracing_multi(t->skel->progs.trace_callers, NULL, &opts);
}

static bool is_function(struct tracer *t, __u32 func, const struct sym *sym)
{
	const char *module = func_module(&t->funcs, func);

	return sym && !strcmp(sym->name, func_name(&t->funcs, func)) &&
	       !strcmp(sym->module ?: "", module ?: "");
}

/* Only what called the function stays. */
static void drop_own_frames(struct tracer *t, const struct result *r, const struct callers *c,
			    struct stack *s)
{
	const struct sym *sym;
	size_t i, own = 0;

	for (i = 0; i < s->depth && i < MAX_OWN_FRAMES; i++) {
		/* the return address can be the first one behind the function */
		sym = syms_find(&c->syms, s->ips[i] - 1);
		if (sym && sym->module && !strcmp(sym->module, "bpf"))
			own = i + 1;
		if (is_function(t, r->v[s->func].func, sym)) {
			own = i + 1;
			break;
		}
	}
	s->depth -= own;
	memmove(s->ips, s->ips + own, s->depth * sizeof(*s->ips));
}

static int stack_cmp(const void *pa, const void *pb)
{
	const struct stack *a = pa, *b = pb;

	if (a->func != b->func)
		return a->func < b->func ? -1 : 1;
	return a->samples < b->samples ? 1 : a->samples > b->samples ? -1 : 0;
}

static void read_stacks(struct tracer *t, const struct result *r, struct callers *c)
{
	int counts = bpf_map__fd(t->skel->maps.stack_counts);
	int stacks = bpf_map__fd(t->skel->maps.stacks);
	struct fc_stack key, *last = NULL;
	struct stack *s;

	c->stacks = xcalloc(FC_MAX_STACKS, sizeof(*c->stacks));
	while (c->stack_cnt < FC_MAX_STACKS && !bpf_map_get_next_key(counts, last, &key)) {
		last = &key;
		s = &c->stacks[c->stack_cnt];
		if (key.func >= c->func_cnt ||
		    bpf_map_lookup_elem(counts, &key, &s->samples) || !s->samples ||
		    bpf_map_lookup_elem(stacks, &key.id, s->ips))
			continue;
		s->func = key.func;
		for (s->depth = 0; s->depth < FC_MAX_DEPTH && s->ips[s->depth]; s->depth++)
			;
		drop_own_frames(t, r, c, s);
		c->stack_cnt++;
	}
	qsort(c->stacks, c->stack_cnt, sizeof(*c->stacks), stack_cmp);
}

/**
 * callers_trace - find out who calls the functions at the top
 * @t: the tracer
 * @r: which these are, and how often they are called
 * @c: filled in; there are no functions in it if it fails
 *
 * It takes as long as the counting, but no more than ten seconds. A signal ends it.
 */
void callers_trace(struct tracer *t, const struct result *r, struct callers *c)
{
	size_t n = count_funcs(r), size = n * sizeof(*c->funcs), i;
	struct fc_callers *array;
	struct bpf_link *link;
	int fd;

	if (!n)
		return;
	c->func_cnt = n;
	fd = make_array(r, c, size);
	link = fd < 0 ? NULL : attach(t, r, c, fd);
	if (!link) {
		warnx("cannot trace the callers: %s", strerror(errno));
		show_warnings();
		memset(c, 0, sizeof(*c));
		return;
	}
	array = c->funcs;
	/* the link holds the modules, whose names are yet to be shown */
	for (i = 0; i < result_shown(r); i++)
		func_module(&t->funcs, r->v[i].func);
	/* the counting is over; it would only cost time */
	bpf_link__destroy(t->link);
	t->link = NULL;
	c->seconds = fmin(r->seconds, MAX_SECONDS);
	warnx("tracing the callers of %zu functions for %.1f s", n, c->seconds);
	wait_until(seconds_now() + c->seconds);
	/* while the trampolines are there, so that they have symbols */
	syms_load(&c->syms);
	bpf_link__destroy(link);
	close(fd);
	c->funcs = xcalloc(n, sizeof(*c->funcs));
	memcpy(c->funcs, array, size);
	munmap(array, size);
	read_stacks(t, r, c);
}

void callers_free(struct callers *c)
{
	free(c->funcs);
	free(c->stacks);
	syms_free(&c->syms);
	memset(c, 0, sizeof(*c));
}

/**
 * callers_of - get the stacks of a function
 * @c: the callers
 * @func: index of the function in the result
 * @cnt: set to the number of stacks
 * @samples: set to the number of samples in all of them
 *
 * Return: the stacks; the first has most samples.
 */
const struct stack *callers_of(const struct callers *c, size_t func, size_t *cnt,
			       __u64 *samples)
{
	size_t i = 0, first;

	while (i < c->stack_cnt && c->stacks[i].func < func)
		i++;
	*samples = 0;
	for (first = i; i < c->stack_cnt && c->stacks[i].func == func; i++)
		*samples += c->stacks[i].samples;
	*cnt = i - first;
	return c->stacks + first;
}
