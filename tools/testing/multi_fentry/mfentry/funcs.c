// SPDX-License-Identifier: GPL-2.0
/*
 * Which functions of the running kernel can a fentry.multi program be attached
 * to? Those that ftrace can patch, that the BTF of vmlinux describes, that the
 * kernel does not deny, and whose name stands for one address and one BTF id
 * only: the kernel finds the address by the name, and 7.3 panics when two ids
 * of one link resolve to the same address.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "mfentry.h"

/* In libbpf.a, but only declared in a header that wants the kernel's own. */
bool btf_type_is_traceable_func(const struct btf *btf, const struct btf_type *t);

/* The ftrace location follows the function's address within an ENDBR or so. */
#define MAX_ENTRY_OFFSET	16
/* More refused functions than this mean that something else is wrong. */
#define MAX_REFUSED		500

struct sym {
	__u64 addr;
	char *name;
	__u32 line;
	__u32 users;		/* how often the name or BTF id occurs */
};

struct syms {
	struct sym *v;
	size_t cnt, cap;
};

/*
 * The first eight: btf_id_deny in kernel/bpf/verifier.c. The others should be
 * there: __rcu_read_unlock() calls them until the reader's special state is
 * dealt with. A trampoline ends with __rcu_read_unlock(), so one on these calls
 * itself until the stack overflows, as soon as a reader is preempted.
 */
static const char * const denied[] = {
	"___migrate_enable", "__rcu_read_lock", "__rcu_read_unlock",
	"migrate_disable", "migrate_enable", "preempt_count_add",
	"preempt_count_sub", "rcu_read_unlock_strict",
	"rcu_preempt_deferred_qs_irqrestore", "rcu_read_unlock_special",
	"rcu_unlock_needs_exp_handling",
};

static bool is_denied(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(denied); i++)
		if (!strcmp(name, denied[i]))
			return true;
	return false;
}

static int cmp_sym(const void *a, const void *b)
{
	return strcmp(((const struct sym *)a)->name,
		      ((const struct sym *)b)->name);
}

static int cmp_addr(const void *a, const void *b)
{
	__u64 x = (*(const struct func **)a)->addr;
	__u64 y = (*(const struct func **)b)->addr;

	return x < y ? -1 : x > y;
}

static void syms_add(struct syms *syms, __u64 addr, const char *name, __u32 line)
{
	struct sym *s;

	if (syms->cnt == syms->cap) {
		syms->cap = syms->cap ? 2 * syms->cap : 4096;
		syms->v = realloc(syms->v, syms->cap * sizeof(*syms->v));
		if (!syms->v)
			die("out of memory");
	}
	s = &syms->v[syms->cnt++];
	s->addr = addr;
	s->line = line;
	s->users = 1;
	s->name = strdup(name);
	if (!s->name)
		die("out of memory");
}

/* Sort by name; equal names become one that knows how many they were. */
static void syms_sort(struct syms *syms)
{
	size_t i, n = 0;

	qsort(syms->v, syms->cnt, sizeof(*syms->v), cmp_sym);
	for (i = 0; i < syms->cnt; i++) {
		if (n && !strcmp(syms->v[n - 1].name, syms->v[i].name)) {
			syms->v[n - 1].users++;
			free(syms->v[i].name);
		} else {
			syms->v[n++] = syms->v[i];
		}
	}
	syms->cnt = n;
}

static struct sym *syms_find(const struct syms *syms, const char *name)
{
	struct sym key = { .name = (char *)name };

	return bsearch(&key, syms->v, syms->cnt, sizeof(key), cmp_sym);
}

static void syms_free(struct syms *syms)
{
	size_t i;

	for (i = 0; i < syms->cnt; i++)
		free(syms->v[i].name);
	free(syms->v);
}

/* Symbols of the kernel proper: those of modules and BPF end in [name]. */
static void read_kallsyms(struct syms *syms)
{
	char line[1024], name[512];
	unsigned long long addr;
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
		syms_add(syms, addr, name, 0);
	}
	fclose(f);
	if (hidden)
		die("/proc/kallsyms shows no addresses: run as root with kernel.kptr_restrict=0");
	syms_sort(syms);
}

static size_t read_traceable(struct syms *syms)
{
	const char *path = TRACEFS "/available_filter_functions_addrs";
	char line[1024], name[512];
	unsigned long long addr;
	__u32 nr = 0;
	FILE *f;

	f = fopen(path, "r");
	if (!f)
		die("%s: %s (is tracefs mounted?)", path, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		/* Every line is a record, also one that names no function. */
		nr++;
		if (!strchr(line, '[') &&
		    sscanf(line, "%llx %511s", &addr, name) == 2)
			syms_add(syms, addr, name, nr);
	}
	fclose(f);
	syms_sort(syms);
	return nr;
}

/* Names of a file, one a line: the functions that a caller stays within. */
static void read_names(struct syms *syms, const char *path)
{
	char name[512];
	FILE *f;

	f = fopen(path, "r");
	if (!f)
		die("%s: %s", path, strerror(errno));
	while (fscanf(f, "%511s", name) == 1)
		syms_add(syms, 0, name, 0);
	fclose(f);
	if (!syms->cnt)
		die("%s: no function names in it", path);
	syms_sort(syms);
}

static const char *func_name(const struct btf *btf, __u32 id)
{
	const struct btf_type *t = btf__type_by_id(btf, id);

	return t && btf_is_func(t) ? btf__name_by_offset(btf, t->name_off) : NULL;
}

/* Does the name stand for one address that ftrace can patch? */
static const struct sym *traceable_once(const struct syms *avail,
					const struct syms *kallsyms,
					const char *name, __u64 *addr)
{
	const struct sym *rec = syms_find(avail, name);
	const struct sym *sym = syms_find(kallsyms, name);

	if (!rec || !sym || rec->users != 1 || sym->users != 1)
		return NULL;
	if (rec->addr < sym->addr || rec->addr - sym->addr > MAX_ENTRY_OFFSET)
		return NULL;
	*addr = sym->addr;
	return rec;
}

/* Two names of one address: keep neither of them. */
static void drop_aliases(struct funcs *funcs)
{
	struct func **by_addr = xcalloc(funcs->cnt, sizeof(*by_addr));
	size_t i, n = 0;

	for (i = 0; i < funcs->cnt; i++)
		by_addr[i] = &funcs->v[i];
	qsort(by_addr, funcs->cnt, sizeof(*by_addr), cmp_addr);
	for (i = 1; i < funcs->cnt; i++) {
		if (by_addr[i]->addr == by_addr[i - 1]->addr) {
			by_addr[i - 1]->id = 0;
			by_addr[i]->id = 0;
		}
	}
	free(by_addr);
	for (i = 0; i < funcs->cnt; i++)
		if (funcs->v[i].id)
			funcs->v[n++] = funcs->v[i];
	funcs->cnt = n;
}

static void add_functions(struct funcs *funcs, const struct btf *btf,
			  const struct syms *avail, const struct syms *kallsyms,
			  const struct syms *wanted)
{
	__u32 id, types = btf__type_cnt(btf);
	struct syms names = {};
	const struct sym *rec;
	const char *name;
	__u64 addr;

	for (id = 1; id < types; id++) {
		name = func_name(btf, id);
		if (name)
			syms_add(&names, 0, name, 0);
	}
	syms_sort(&names);

	funcs->v = xcalloc(names.cnt + 1, sizeof(*funcs->v));
	for (id = 1; id < types; id++) {
		name = func_name(btf, id);
		if (!name || is_denied(name) || syms_find(&names, name)->users != 1)
			continue;
		if (wanted->cnt && !syms_find(wanted, name))
			continue;
		rec = traceable_once(avail, kallsyms, name, &addr);
		if (!rec || !btf_type_is_traceable_func(btf, btf__type_by_id(btf, id)))
			continue;
		funcs->v[funcs->cnt++] = (struct func) {
			.addr = addr,
			.name = strdup(name),
			.id = id,
			.line = rec->line,
		};
	}
	syms_free(&names);
	drop_aliases(funcs);
}

/**
 * funcs_collect - find the functions that should be attachable
 * @funcs: filled in, ordered by BTF id
 *
 * With --functions only those that the file names.
 */
void funcs_collect(struct funcs *funcs)
{
	struct syms avail = {}, kallsyms = {}, wanted = {};
	struct btf *btf;

	memset(funcs, 0, sizeof(*funcs));
	btf = btf__load_vmlinux_btf();
	if (!btf)
		die("BTF of vmlinux: %s", strerror(errno));
	funcs->traceable = read_traceable(&avail);
	read_kallsyms(&kallsyms);
	if (opt.functions)
		read_names(&wanted, opt.functions);
	add_functions(funcs, btf, &avail, &kallsyms, &wanted);
	if (!funcs->cnt)
		die("no function to attach to");
	syms_free(&avail);
	syms_free(&kallsyms);
	syms_free(&wanted);
	btf__free(btf);
}

/* Attach to v[lo..hi) and detach again; what is refused gets the id 0. */
static size_t refuse(struct funcs *funcs, const __u32 *ids, size_t lo, size_t hi,
		     const struct bpf_program *prog)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts,
		    .tracing_multi.ids = ids + lo,
		    .tracing_multi.cnt = hi - lo);
	size_t mid = lo + (hi - lo) / 2, bad;
	int fd;

	fd = bpf_link_create(bpf_program__fd(prog), 0,
			     bpf_program__expected_attach_type(prog), &opts);
	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (hi - lo == 1) {
		note("the kernel refuses %s: %s", funcs->v[lo].name, strerror(errno));
		funcs->v[lo].id = 0;
		return 1;
	}
	bad = refuse(funcs, ids, lo, mid, prog);
	if (bad > MAX_REFUSED)
		die("the kernel refuses more than %d functions", MAX_REFUSED);
	return bad + refuse(funcs, ids, mid, hi, prog);
}

/**
 * funcs_verify - keep what the kernel really attaches
 * @funcs: candidates
 * @prog: a loaded program of a tracing_multi link
 *
 * All at once; where the kernel refuses that, halves, down to the culprits.
 */
void funcs_verify(struct funcs *funcs, const struct bpf_program *prog)
{
	const struct func *known = funcs_find(funcs, "bpf_fentry_test1");
	struct funcs one = { .v = (struct func *)known, .cnt = 1 };
	size_t i, n = 0;
	__u32 *ids;

	/* A kernel that cannot do it at all refuses this one as well. */
	if (known)
		detach(attach_funcs(prog, &one, NULL), NULL);

	ids = funcs_ids(funcs);
	if (refuse(funcs, ids, 0, funcs->cnt, prog)) {
		for (i = 0; i < funcs->cnt; i++)
			if (funcs->v[i].id)
				funcs->v[n++] = funcs->v[i];
		funcs->cnt = n;
	}
	free(ids);
	if (!funcs->cnt)
		die("the kernel refuses every function");
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
