// SPDX-License-Identifier: GPL-2.0-only
/*
 * funccount: what the functions of a link are, by the BTF of the kernel and its modules;
 * and what is at an address, by /proc/kallsyms
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "funccount.h"

#define NO_INDEX	(~0U)

static __u32 vmlinux_id(const struct bpf_program *prog)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	/* the program is loaded for vmlinux, whatever it is attached to */
	if (bpf_prog_get_info_by_fd(bpf_program__fd(prog), &info, &len))
		errx(1, "cannot get information on the program: %s", strerror(errno));
	return info.attach_btf_obj_id;
}

/* Two ids can be of one function. They have one element: keep the first. */
static void drop_aliases(struct funcs *f, __u32 elements)
{
	bool *seen = xcalloc(elements, sizeof(*seen));
	__u32 i, n = 0;

	for (i = 0; i < f->cnt; i++) {
		if (f->indexes[i] == NO_INDEX || f->indexes[i] >= elements || seen[f->indexes[i]])
			continue;
		seen[f->indexes[i]] = true;
		f->ids[n] = f->ids[i];
		f->objs[n] = f->objs[i];
		f->indexes[n++] = f->indexes[i];
	}
	f->cnt = n;
	free(seen);
}

/**
 * funcs_get - get the functions that a link is attached to
 * @f: filled in; their names are looked up only when they are wanted
 * @link: the link, with an array
 * @prog: its program
 * @elements: number of elements of the array
 */
void funcs_get(struct funcs *f, const struct bpf_link *link, const struct bpf_program *prog,
	       __u32 elements)
{
	int fd = bpf_link__fd(link);
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	if (bpf_link_get_info_by_fd(fd, &info, &len))
		errx(1, "cannot get information on the link: %s", strerror(errno));
	f->cnt = info.tracing_multi.count;
	f->ids = xcalloc(f->cnt, sizeof(*f->ids));
	f->objs = xcalloc(f->cnt, sizeof(*f->objs));
	f->indexes = xcalloc(f->cnt, sizeof(*f->indexes));
	info.tracing_multi.ids = (__u64)(unsigned long)f->ids;
	info.tracing_multi.btf_obj_ids = (__u64)(unsigned long)f->objs;
	info.tracing_multi.data_indexes = (__u64)(unsigned long)f->indexes;
	if (bpf_link_get_info_by_fd(fd, &info, &len))
		errx(1, "cannot get the functions of the link: %s", strerror(errno));
	f->vmlinux_id = vmlinux_id(prog);
	drop_aliases(f, elements);
}

void funcs_free(struct funcs *f)
{
	size_t i;

	/* these are on top of vmlinux */
	for (i = 0; i < f->object_cnt; i++) {
		btf__free(f->objects[i].btf);
		if (f->objects[i].fd > 0)
			close(f->objects[i].fd);
	}
	btf__free(f->vmlinux);
	free(f->objects);
	free(f->ids);
	free(f->objs);
	free(f->indexes);
	memset(f, 0, sizeof(*f));
}

static struct btf *get_vmlinux(struct funcs *f)
{
	if (f->vmlinux)
		return f->vmlinux;
	f->vmlinux = btf__load_vmlinux_btf();
	if (!f->vmlinux)
		errx(1, "cannot load the BTF of the kernel: %s", strerror(errno));
	return f->vmlinux;
}

static void load_module(struct funcs *f, struct func_object *o)
{
	struct bpf_btf_info info = {
		.name = (__u64)(unsigned long)o->name,
		.name_len = sizeof(o->name),
	};
	__u32 len = sizeof(info);

	o->fd = bpf_btf_get_fd_by_id(o->id);
	if (o->fd < 0 || bpf_btf_get_info_by_fd(o->fd, &info, &len))
		errx(1, "cannot get the BTF of a module: %s%s", strerror(errno),
		     errno == EPERM ? " (that takes CAP_SYS_ADMIN)" : "");
	o->btf = btf__load_from_kernel_by_id_split(o->id, get_vmlinux(f));
	if (!o->btf)
		errx(1, "cannot load the BTF of the module %s: %s", o->name, strerror(errno));
}

/* The module's BTF of a function, NULL if it is of vmlinux */
static struct func_object *get_object(struct funcs *f, __u32 func)
{
	struct func_object *o;
	size_t i;

	if (f->objs[func] == f->vmlinux_id)
		return NULL;
	for (i = 0; i < f->object_cnt; i++)
		if (f->objects[i].id == f->objs[func])
			return &f->objects[i];
	f->objects = reallocarray(f->objects, f->object_cnt + 1, sizeof(*o));
	if (!f->objects)
		errx(1, "out of memory");
	o = &f->objects[f->object_cnt++];
	memset(o, 0, sizeof(*o));
	o->id = f->objs[func];
	load_module(f, o);
	return o;
}

static const struct btf *get_btf(struct funcs *f, __u32 func)
{
	struct func_object *o = get_object(f, func);

	return o ? o->btf : get_vmlinux(f);
}

const char *func_name(struct funcs *f, __u32 func)
{
	const struct btf *btf = get_btf(f, func);
	const struct btf_type *t = btf__type_by_id(btf, f->ids[func]);

	return t ? btf__name_by_offset(btf, t->name_off) : "?";
}

/* The name of its module, NULL for vmlinux */
const char *func_module(struct funcs *f, __u32 func)
{
	struct func_object *o = get_object(f, func);

	return o ? o->name : NULL;
}

/* What libbpf wants to attach by id: 0 for vmlinux */
int func_fd(struct funcs *f, __u32 func)
{
	struct func_object *o = get_object(f, func);

	return o ? o->fd : 0;
}

/**
 * func_return_bits - find out how a function returns errors, if it does
 * @f: the functions
 * @func: index of one
 *
 * Return: FC_RET_INT, FC_RET_LONG, or FC_RET_OTHER if it does not.
 */
__u32 func_return_bits(struct funcs *f, __u32 func)
{
	const struct btf *btf = get_btf(f, func);
	const struct btf_type *t = btf__type_by_id(btf, f->ids[func]);
	bool has_sign;

	t = t ? btf__type_by_id(btf, t->type) : NULL;	/* its prototype */
	t = t ? btf__type_by_id(btf, t->type) : NULL;
	while (t && (btf_is_mod(t) || btf_is_typedef(t)))
		t = btf__type_by_id(btf, t->type);
	if (!t)
		return FC_RET_OTHER;
	if (btf_is_ptr(t))
		return FC_RET_LONG;
	has_sign = btf_is_int(t) ? btf_int_encoding(t) & BTF_INT_SIGNED :
				   btf_is_any_enum(t) && btf_kflag(t);
	if (has_sign && t->size == 4)
		return FC_RET_INT;
	return has_sign && t->size == 8 ? FC_RET_LONG : FC_RET_OTHER;
}

static int sym_cmp(const void *pa, const void *pb)
{
	const struct sym *a = pa, *b = pb;

	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

/* "ffffffff81000000 T name" and maybe "\t[module]" */
static bool parse_sym(char *line, struct sym *sym)
{
	char *name, *module;

	sym->addr = strtoull(line, &name, 16);
	if (name[0] != ' ' || !strchr("tTwW", name[1]) || name[2] != ' ')
		return false;
	name += 3;
	name[strcspn(name, "\n")] = '\0';
	module = strchr(name, '\t');
	if (module) {
		*module++ = '\0';
		module += *module == '[';
		module[strcspn(module, "]")] = '\0';
	}
	sym->name = strdup(name);
	sym->module = module ? strdup(module) : NULL;
	if (!sym->name || (module && !sym->module))
		errx(1, "out of memory");
	return true;
}

/**
 * syms_load - read what functions /proc/kallsyms has
 * @s: filled in; empty if it cannot be read
 */
void syms_load(struct syms *s)
{
	size_t room = 0, size = 0;
	char *line = NULL;
	FILE *f;

	memset(s, 0, sizeof(*s));
	s->hidden = true;
	f = fopen("/proc/kallsyms", "re");
	if (!f) {
		warnx("cannot open /proc/kallsyms: %s", strerror(errno));
		return;
	}
	while (getline(&line, &size, f) > 0) {
		if (s->cnt == room) {
			room = room * 2 ?: 65536;
			s->v = reallocarray(s->v, room, sizeof(*s->v));
			if (!s->v)
				errx(1, "out of memory");
		}
		if (!parse_sym(line, &s->v[s->cnt]))
			continue;
		s->hidden &= !s->v[s->cnt].addr;
		s->cnt++;
	}
	free(line);
	fclose(f);
	qsort(s->v, s->cnt, sizeof(*s->v), sym_cmp);
	if (s->hidden)
		warnx("no symbols: /proc/kallsyms has only zeros, see kernel.kptr_restrict");
}

void syms_free(struct syms *s)
{
	size_t i;

	for (i = 0; i < s->cnt; i++) {
		free(s->v[i].name);
		free(s->v[i].module);
	}
	free(s->v);
	memset(s, 0, sizeof(*s));
}

/* The symbol that @addr is in or behind, NULL if there is none before it */
const struct sym *syms_find(const struct syms *s, __u64 addr)
{
	size_t low = 0, high = s->hidden ? 0 : s->cnt, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (s->v[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? &s->v[low - 1] : NULL;
}
