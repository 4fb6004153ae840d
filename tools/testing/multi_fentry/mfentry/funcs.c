// SPDX-License-Identifier: GPL-2.0
/*
 * Which functions of the running kernel can a fentry.multi program be attached
 * to? Those of vmlinux that libbpf attaches the pattern "*" to, or those that a
 * file names. Other tracers want their addresses and their place in ftrace's
 * list.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "mfentry.h"
#include "mfentry.skel.h"

/* The ftrace location follows the function's address within an ENDBR or so. */
#define MAX_ENTRY_OFFSET	16

static int cmp_name(const void *a, const void *b)
{
	return strcmp((*(const struct func **)a)->name, (*(const struct func **)b)->name);
}

static int cmp_id(const void *a, const void *b)
{
	__u32 x = *(const __u32 *)a, y = *(const __u32 *)b;

	return x < y ? -1 : x > y;
}

/**
 * link_ids - BTF ids of what a link is attached to
 * @link: a tracing_multi link
 * @cnt: set to their number
 *
 * Return: the ids, in ascending order; to be freed.
 */
__u32 *link_ids(const struct bpf_link *link, __u32 *cnt)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info), *ids;
	int fd = bpf_link__fd(link);

	if (bpf_link_get_info_by_fd(fd, &info, &len))
		die("link info: %s", strerror(errno));
	*cnt = info.tracing_multi.count;
	ids = xcalloc(*cnt, sizeof(*ids));
	info.tracing_multi.ids = (__u64)(unsigned long)ids;
	if (bpf_link_get_info_by_fd(fd, &info, &len))
		die("link info: %s", strerror(errno));
	qsort(ids, *cnt, sizeof(*ids), cmp_id);
	return ids;
}

/* The functions of vmlinux that libbpf can attach a program to. */
static __u32 *attachable_ids(const struct bpf_program *prog, __u32 *cnt)
{
	struct bpf_link *link;
	__u32 *ids;

	link = bpf_program__attach_tracing_multi(prog, "*", NULL);
	if (!link)
		die("cannot attach to *: %s%s", strerror(errno),
		    errno == EOPNOTSUPP ? " (this kernel has no tracing_multi links)" : "");
	ids = link_ids(link, cnt);
	detach(link, NULL);
	return ids;
}

static void add_func(struct funcs *funcs, const struct btf *btf, __u32 id)
{
	const struct btf_type *t = btf__type_by_id(btf, id);
	struct func *f = &funcs->v[funcs->cnt++];

	f->id = id;
	f->name = strdup(btf__name_by_offset(btf, t->name_off));
	if (!f->name)
		die("out of memory");
}

static void add_attachable(struct funcs *funcs, const struct btf *btf)
{
	struct mfentry_bpf *skel = load_programs(NULL);
	__u32 cnt, i, *ids;

	ids = attachable_ids(first_program(skel), &cnt);
	funcs->v = xcalloc(cnt, sizeof(*funcs->v));
	for (i = 0; i < cnt; i++)
		add_func(funcs, btf, ids[i]);
	free(ids);
	mfentry_bpf__destroy(skel);
}

/* Names of a file, one a line, as cmd_list() writes them. */
static void add_named(struct funcs *funcs, const struct btf *btf, const char *path)
{
	size_t nr = btf__type_cnt(btf), cnt = 0, i;
	__u32 *ids = xcalloc(nr, sizeof(*ids));
	char name[512];
	FILE *f;
	int id;

	f = fopen(path, "r");
	if (!f)
		die("%s: %s", path, strerror(errno));
	while (fscanf(f, "%511s", name) == 1) {
		id = btf__find_by_name_kind(btf, name, BTF_KIND_FUNC);
		if (id < 0 || cnt == nr)
			die("%s: no function %s", path, name);
		ids[cnt++] = id;
	}
	fclose(f);
	qsort(ids, cnt, sizeof(*ids), cmp_id);
	funcs->v = xcalloc(cnt + 1, sizeof(*funcs->v));
	for (i = 0; i < cnt; i++)
		add_func(funcs, btf, ids[i]);
	free(ids);
}

static struct func *find_name(struct func **by_name, size_t cnt, const char *name)
{
	struct func key = { .name = (char *)name }, *pkey = &key, **found;

	found = bsearch(&pkey, by_name, cnt, sizeof(*by_name), cmp_name);
	return found ? *found : NULL;
}

/* ftrace's list: which line is a function's, and where is it patched? */
static size_t read_traceable(struct func **by_name, size_t cnt)
{
	const char *path = TRACEFS "/available_filter_functions_addrs";
	char line[1024], name[512];
	unsigned long long addr;
	struct func *func;
	__u32 nr = 0;
	FILE *f;

	f = fopen(path, "r");
	if (!f)
		die("%s: %s (is tracefs mounted?)", path, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		/* Every line is a record, also one that names no function. */
		nr++;
		if (strchr(line, '[') || sscanf(line, "%llx %511s", &addr, name) != 2)
			continue;
		func = find_name(by_name, cnt, name);
		if (func) {
			func->addr = addr;
			func->line = nr;
		}
	}
	fclose(f);
	return nr;
}

/* From the location that is patched back to the function's address. */
static void read_kallsyms(struct func **by_name, size_t cnt)
{
	char line[1024], name[512];
	unsigned long long addr;
	struct func *func;
	bool hidden = true;
	FILE *f;

	f = fopen("/proc/kallsyms", "r");
	if (!f)
		die("/proc/kallsyms: %s", strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		if (strchr(line, '[') ||
		    sscanf(line, "%llx %*c %511s", &addr, name) != 2)
			continue;
		if (addr)
			hidden = false;
		func = find_name(by_name, cnt, name);
		if (func && func->addr - addr <= MAX_ENTRY_OFFSET)
			func->addr = addr;
	}
	fclose(f);
	if (hidden)
		die("/proc/kallsyms shows no addresses: run as root with kernel.kptr_restrict=0");
}

/* Other tracers take no function that ftrace's list has by another name. */
static void locate(struct funcs *funcs)
{
	struct func **by_name = xcalloc(funcs->cnt, sizeof(*by_name));
	size_t i, n = 0;

	for (i = 0; i < funcs->cnt; i++)
		by_name[i] = &funcs->v[i];
	qsort(by_name, funcs->cnt, sizeof(*by_name), cmp_name);
	funcs->traceable = read_traceable(by_name, funcs->cnt);
	read_kallsyms(by_name, funcs->cnt);
	free(by_name);
	for (i = 0; i < funcs->cnt; i++)
		if (funcs->v[i].line)
			funcs->v[n++] = funcs->v[i];
	funcs->cnt = n;
}

/**
 * funcs_collect - find the functions that a fentry.multi program can be attached to
 * @funcs: filled in, ordered by BTF id
 *
 * A fexit.multi one with --fexit; with --functions those that the file names.
 */
void funcs_collect(struct funcs *funcs)
{
	struct btf *btf;

	memset(funcs, 0, sizeof(*funcs));
	btf = btf__load_vmlinux_btf();
	if (!btf)
		die("BTF of vmlinux: %s", strerror(errno));
	if (opt.functions)
		add_named(funcs, btf, opt.functions);
	else
		add_attachable(funcs, btf);
	btf__free(btf);
	locate(funcs);
	if (!funcs->cnt)
		die("no function to attach to");
}

/**
 * funcs_keep - keep the functions that another program can be attached to as well
 * @funcs: the functions
 * @prog: the program, loaded
 */
void funcs_keep(struct funcs *funcs, const struct bpf_program *prog)
{
	__u32 cnt, *ids = attachable_ids(prog, &cnt);
	size_t i, n = 0;

	for (i = 0; i < funcs->cnt; i++)
		if (bsearch(&funcs->v[i].id, ids, cnt, sizeof(*ids), cmp_id))
			funcs->v[n++] = funcs->v[i];
	funcs->cnt = n;
	free(ids);
}

/* One that the others do without */
struct func funcs_spare(struct funcs *funcs)
{
	if (funcs->cnt < 2)
		die("there are too few functions");
	return funcs->v[--funcs->cnt];
}

/**
 * funcs_spread - choose some of the functions, evenly over all of them
 * @funcs: the functions to choose from
 * @cnt: how many, at most as many as there are
 *
 * The choice depends on @cnt only, so two calls give the same functions.
 *
 * Return: the chosen ones, in a new array, still ordered by BTF id.
 */
struct funcs funcs_spread(const struct funcs *funcs, size_t cnt)
{
	struct funcs some = {
		.v = xcalloc(cnt, sizeof(*some.v)),
		.cnt = cnt,
		.traceable = funcs->traceable,
	};
	size_t i;

	for (i = 0; i < cnt; i++)
		some.v[i] = funcs->v[i * funcs->cnt / cnt];
	return some;
}

const struct func *funcs_find(const struct funcs *funcs, const char *name)
{
	size_t i;

	for (i = 0; i < funcs->cnt; i++)
		if (!strcmp(funcs->v[i].name, name))
			return &funcs->v[i];
	return NULL;
}

__u32 *funcs_ids(const struct funcs *funcs)
{
	__u32 *ids = xcalloc(funcs->cnt, sizeof(*ids));
	size_t i;

	for (i = 0; i < funcs->cnt; i++)
		ids[i] = funcs->v[i].id;
	return ids;
}
