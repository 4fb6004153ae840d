// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * bpftool link sets: which programs of tracing_multi links run on which functions, and
 * the trampolines that these share.
 *
 * The functions that run the same programs are a set. Each link tells the key of the set
 * of each of its functions, so that links with a set in common have its key in common.
 */
#include <errno.h>
#include <linux/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/hashmap.h>

#include "json_writer.h"
#include "main.h"

/* As many functions of a set are listed, unless all are asked for. */
#define FEW_FUNCS	5

struct link {
	__u32 id;
	__u32 prog_id;
	char prog_name[MAX_PROG_FULL_NAME];
	const char *attach_type;
	bool light;
	char *not_light;	/* why, NULL if the kernel does not know */
	__u32 func_cnt;
	__u32 set_cnt;
	__u64 image_size;
	__u64 thunks_size;
};

struct set {
	struct bpf_tracing_multi_set info;
	char name[48];		/* of the trampoline, in kallsyms */
	__u32 *links;		/* indexes of those that it is of */
	__u32 link_cnt;
	const char **funcs;
	__u32 func_cnt;
};

struct btf_obj {
	__u32 id;
	struct btf *btf;
};

static struct {
	struct link *links;
	__u32 link_cnt;
	struct set **sets;
	__u32 set_cnt;
	struct btf_obj *btfs;
	__u32 btf_cnt;
	struct btf *vmlinux;
	struct hashmap *by_key;	/* the sets */
} all;

/* What a link has for each of its functions */
struct link_arrays {
	__u32 *ids;
	__u32 *obj_ids;
	__u64 *keys;
	struct bpf_tracing_multi_set *sets;
};

static size_t hash_key(long key, void *ctx)
{
	return *(__u64 *)key;
}

static bool equal_keys(long a, long b, void *ctx)
{
	return *(__u64 *)a == *(__u64 *)b;
}

static int no_memory(void)
{
	p_err("mem alloc failed");
	return -1;
}

/* Makes room for one more in an array whose length is a power of two, or 0. */
static int grow(void *array, __u32 cnt, size_t size)
{
	void **p = array, *new;

	if (cnt & (cnt - 1))
		return 0;
	new = realloc(*p, (cnt ? 2 * (size_t)cnt : 1) * size);
	if (!new)
		return -1;
	*p = new;
	return 0;
}

static bool is_vmlinux(__u32 id)
{
	struct bpf_btf_info info = {};
	__u32 len = sizeof(info);
	char name[16] = "";
	int fd, err;

	fd = bpf_btf_get_fd_by_id(id);
	if (fd < 0)
		return false;
	info.name = ptr_to_u64(name);
	info.name_len = sizeof(name);
	err = bpf_btf_get_info_by_fd(fd, &info, &len);
	close(fd);
	/* ENOSPC: a longer name */
	return !err && !strcmp(name, "vmlinux");
}

static const struct btf *get_btf(__u32 id)
{
	struct btf *btf;
	__u32 i;

	for (i = 0; i < all.btf_cnt; i++)
		if (all.btfs[i].id == id)
			return all.btfs[i].btf;
	if (is_vmlinux(id)) {
		btf = btf__load_from_kernel_by_id(id);
	} else {
		if (!all.vmlinux)
			all.vmlinux = libbpf_find_kernel_btf();
		btf = btf__load_from_kernel_by_id_split(id, all.vmlinux);
	}
	if (grow(&all.btfs, all.btf_cnt, sizeof(*all.btfs))) {
		btf__free(btf);
		return NULL;
	}
	all.btfs[all.btf_cnt++] = (struct btf_obj){ id, btf };
	return btf;
}

static const char *func_name(__u32 obj_id, __u32 id)
{
	const struct btf *btf = get_btf(obj_id);
	const struct btf_type *t = btf ? btf__type_by_id(btf, id) : NULL;

	return t ? btf__name_by_offset(btf, t->name_off) : "?";
}

static struct set *new_set(const struct bpf_tracing_multi_set *info)
{
	struct set *set;

	set = calloc(1, sizeof(*set));
	if (!set || grow(&all.sets, all.set_cnt, sizeof(*all.sets))) {
		free(set);
		return NULL;
	}
	all.sets[all.set_cnt++] = set;
	set->info = *info;
	if (info->key >> 32 == ~0U)
		snprintf(set->name, sizeof(set->name), "bpf_trampoline_set_%u", (__u32)info->key);
	else
		snprintf(set->name, sizeof(set->name), "bpf_trampoline_%llu", info->key);
	return hashmap__add(all.by_key, &set->info.key, set) ? NULL : set;
}

static int add_set(const struct bpf_tracing_multi_set *info, __u32 link)
{
	struct set *set;

	if (!hashmap__find(all.by_key, &info->key, &set))
		set = new_set(info);
	if (!set || grow(&set->links, set->link_cnt, sizeof(*set->links)))
		return no_memory();
	set->links[set->link_cnt++] = link;
	return 0;
}

/* A set has the functions that the first of its links tells. */
static int add_func(const struct link_arrays *arrays, __u32 i, __u32 link)
{
	struct set *set;

	/* a function that has been unloaded has none */
	if (!hashmap__find(all.by_key, &arrays->keys[i], &set) || set->links[0] != link)
		return 0;
	if (grow(&set->funcs, set->func_cnt, sizeof(*set->funcs)))
		return no_memory();
	set->funcs[set->func_cnt++] = func_name(arrays->obj_ids[i], arrays->ids[i]);
	return 0;
}

static int add_sets(const struct bpf_link_info *info, const struct link_arrays *arrays)
{
	__u32 i, nr = all.link_cnt - 1;
	struct link *link = &all.links[nr];

	link->set_cnt = info->tracing_multi.nr_sets;
	for (i = 0; i < link->set_cnt; i++) {
		if (add_set(&arrays->sets[i], nr))
			return -1;
		link->image_size += arrays->sets[i].image_size;
		link->thunks_size += arrays->sets[i].thunks_size;
	}
	for (i = 0; i < link->func_cnt; i++)
		if (add_func(arrays, i, nr))
			return -1;
	return 0;
}

static void add_prog(struct link *link)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	int fd;

	fd = bpf_prog_get_fd_by_id(link->prog_id);
	if (fd < 0)
		return;
	if (!bpf_prog_get_info_by_fd(fd, &info, &len)) {
		get_prog_full_name(&info, fd, link->prog_name, sizeof(link->prog_name));
		link->light = info.light;
		link->not_light = get_fdinfo(fd, "not_light");
	}
	close(fd);
}

static int get_info(int fd, struct bpf_link_info *info)
{
	__u32 len = sizeof(*info);

	if (!bpf_link_get_info_by_fd(fd, info, &len))
		return 0;
	p_err("can't get link info: %s%s", strerror(errno),
	      errno == E2BIG ? " -- the kernel does not tell of sets" : "");
	return -1;
}

/* @info has what the link tells without arrays. */
static int add_link(int fd, struct bpf_link_info *info)
{
	__u32 cnt = info->tracing_multi.count;
	struct link_arrays arrays = {
		.ids = calloc(cnt, sizeof(*arrays.ids)),
		.obj_ids = calloc(cnt, sizeof(*arrays.obj_ids)),
		.keys = calloc(cnt, sizeof(*arrays.keys)),
		.sets = calloc(cnt, sizeof(*arrays.sets)),
	};
	struct link *link;
	int err = -1;

	if (!arrays.ids || !arrays.obj_ids || !arrays.keys || !arrays.sets ||
	    grow(&all.links, all.link_cnt, sizeof(*all.links))) {
		no_memory();
		goto out;
	}
	link = &all.links[all.link_cnt++];
	*link = (struct link){
		.id = info->id,
		.prog_id = info->prog_id,
		.attach_type = libbpf_bpf_attach_type_str(info->tracing_multi.attach_type),
		.func_cnt = cnt,
	};
	add_prog(link);

	info->tracing_multi.ids = ptr_to_u64(arrays.ids);
	info->tracing_multi.btf_obj_ids = ptr_to_u64(arrays.obj_ids);
	info->tracing_multi.set_keys = ptr_to_u64(arrays.keys);
	info->tracing_multi.sets = ptr_to_u64(arrays.sets);
	info->tracing_multi.set_size = sizeof(*arrays.sets);
	err = get_info(fd, info) ?: add_sets(info, &arrays);
out:
	free(arrays.ids);
	free(arrays.obj_ids);
	free(arrays.keys);
	free(arrays.sets);
	return err;
}

static int add_links(void)
{
	struct bpf_link_info info;
	__u32 id = 0;
	int err, fd;

	while (!bpf_link_get_next_id(id, &id)) {
		fd = bpf_link_get_fd_by_id(id);
		/* it has gone, or is still being created */
		if (fd < 0 && (errno == ENOENT || errno == EAGAIN))
			continue;
		if (fd < 0) {
			p_err("can't get link by id (%u): %s", id, strerror(errno));
			return -1;
		}
		memset(&info, 0, sizeof(info));
		err = get_info(fd, &info);
		if (!err && info.type == BPF_LINK_TYPE_TRACING_MULTI)
			err = add_link(fd, &info);
		close(fd);
		if (err)
			return err;
	}
	if (errno == ENOENT)
		return 0;
	p_err("can't get next link: %s%s", strerror(errno),
	      errno == EINVAL ? " -- kernel too old?" : "");
	return -1;
}

static void free_set(struct set *set)
{
	free(set->links);
	free(set->funcs);
	free(set);
}

static bool has_link(const struct set *set, __u32 id)
{
	__u32 i;

	for (i = 0; i < set->link_cnt; i++)
		if (all.links[set->links[i]].id == id)
			return true;
	return false;
}

/* Keep the sets of one link, and the links that share them. */
static void only_link(__u32 id)
{
	__u32 i, n = 0;

	for (i = 0; i < all.set_cnt; i++)
		if (has_link(all.sets[i], id))
			all.sets[n++] = all.sets[i];
		else
			free_set(all.sets[i]);
	all.set_cnt = n;
}

static bool is_shown(__u32 link)
{
	__u32 i;

	for (i = 0; i < all.set_cnt; i++)
		if (has_link(all.sets[i], all.links[link].id))
			return true;
	return false;
}

/* Sets of many functions first. */
static int compare_sets(const void *a, const void *b)
{
	const struct set *x = *(struct set **)a, *y = *(struct set **)b;

	if (x->info.count != y->info.count)
		return x->info.count < y->info.count ? 1 : -1;
	return x->info.key < y->info.key ? -1 : x->info.key > y->info.key;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char **)a, *(const char **)b);
}

static void sort_sets(void)
{
	__u32 i;

	if (all.set_cnt)
		qsort(all.sets, all.set_cnt, sizeof(*all.sets), compare_sets);
	for (i = 0; i < all.set_cnt; i++)
		if (all.sets[i]->func_cnt)
			qsort(all.sets[i]->funcs, all.sets[i]->func_cnt, sizeof(char *),
			      compare_names);
}

static const char *light_str(const struct link *link)
{
	if (link->light)
		return "light";
	return link->not_light ? "not light" : "";
}

static void show_link_json(const struct link *link)
{
	jsonw_start_object(json_wtr);
	jsonw_uint_field(json_wtr, "id", link->id);
	jsonw_uint_field(json_wtr, "prog_id", link->prog_id);
	jsonw_string_field(json_wtr, "prog_name", link->prog_name);
	jsonw_string_field(json_wtr, "attach_type", link->attach_type);
	if (link->light || link->not_light)
		jsonw_bool_field(json_wtr, "light", link->light);
	if (link->not_light)
		jsonw_string_field(json_wtr, "not_light", link->not_light);
	jsonw_uint_field(json_wtr, "func_cnt", link->func_cnt);
	jsonw_uint_field(json_wtr, "set_cnt", link->set_cnt);
	jsonw_uint_field(json_wtr, "bytes_image", link->image_size);
	jsonw_uint_field(json_wtr, "bytes_thunks", link->thunks_size);
	jsonw_end_object(json_wtr);
}

static void show_set_json(const struct set *set)
{
	__u32 i;

	jsonw_start_object(json_wtr);
	jsonw_string_field(json_wtr, "trampoline", set->name);
	jsonw_name(json_wtr, "link_ids");
	jsonw_start_array(json_wtr);
	for (i = 0; i < set->link_cnt; i++)
		jsonw_uint(json_wtr, all.links[set->links[i]].id);
	jsonw_end_array(json_wtr);
	jsonw_uint_field(json_wtr, "func_cnt", set->info.count);
	jsonw_uint_field(json_wtr, "bytes_image", set->info.image_size);
	jsonw_uint_field(json_wtr, "bytes_thunks", set->info.thunks_size);
	jsonw_name(json_wtr, "funcs");
	jsonw_start_array(json_wtr);
	for (i = 0; i < set->func_cnt; i++)
		jsonw_string(json_wtr, set->funcs[i]);
	jsonw_end_array(json_wtr);
	jsonw_end_object(json_wtr);
}

static void show_json(void)
{
	__u32 i;

	jsonw_start_object(json_wtr);
	jsonw_name(json_wtr, "links");
	jsonw_start_array(json_wtr);
	for (i = 0; i < all.link_cnt; i++)
		if (is_shown(i))
			show_link_json(&all.links[i]);
	jsonw_end_array(json_wtr);
	jsonw_name(json_wtr, "sets");
	jsonw_start_array(json_wtr);
	for (i = 0; i < all.set_cnt; i++)
		show_set_json(all.sets[i]);
	jsonw_end_array(json_wtr);
	jsonw_end_object(json_wtr);
}

/* The names of functions, and how many there are more. */
static void show_funcs(const struct set *set, bool full, const char *before, const char *after)
{
	__u32 i, cnt = set->func_cnt;

	if (!full && cnt > FEW_FUNCS)
		cnt = FEW_FUNCS;
	for (i = 0; i < cnt; i++)
		printf("%s%s%s", before, set->funcs[i], after);
	if (cnt < set->func_cnt)
		printf("%sand %u more%s", before, set->func_cnt - cnt, after);
}

static void show_plain(bool full)
{
	const struct link *link;
	const struct set *set;
	__u32 i, j;

	for (i = 0; i < all.link_cnt; i++) {
		if (!is_shown(i))
			continue;
		link = &all.links[i];
		printf("link %u  prog %u  name %s  attach_type %s  %s\n", link->id, link->prog_id,
		       link->prog_name, link->attach_type, light_str(link));
		printf("\tfuncs %u  sets %u  image %lluB  thunks %lluB\n", link->func_cnt,
		       link->set_cnt, link->image_size, link->thunks_size);
	}
	for (i = 0; i < all.set_cnt; i++) {
		set = all.sets[i];
		printf("%s  links ", set->name);
		for (j = 0; j < set->link_cnt; j++)
			printf("%s%u", j ? "," : "", all.links[set->links[j]].id);
		printf("  funcs %u  image %uB  thunks %uB\n", set->info.count,
		       set->info.image_size, set->info.thunks_size);
		show_funcs(set, full, "\t", "\n");
	}
}

static void show_visual(bool full)
{
	const struct link *link;
	const struct set *set;
	__u32 i, j;

	printf("digraph \"tracing_multi links\" {\n\trankdir=LR;\n\tnode [shape=box];\n");
	for (i = 0; i < all.link_cnt; i++) {
		if (!is_shown(i))
			continue;
		link = &all.links[i];
		printf("\tlink_%u [label=\"link %u, prog %u\\n%s\\n%s\\n%s\"];\n", link->id,
		       link->id, link->prog_id, link->prog_name, link->attach_type,
		       light_str(link));
	}
	for (i = 0; i < all.set_cnt; i++) {
		set = all.sets[i];
		printf("\t%s [shape=ellipse, label=\"%s\\n%u bytes, thunks %u bytes\"];\n",
		       set->name, set->name, set->info.image_size, set->info.thunks_size);
		printf("\tfuncs_%u [shape=note, label=\"", i);
		show_funcs(set, full, "", "\\l");
		printf("\"];\n\t%s -> funcs_%u [label=\"%u functions\"];\n", set->name, i,
		       set->info.count);
		for (j = 0; j < set->link_cnt; j++)
			printf("\tlink_%u -> %s;\n", all.links[set->links[j]].id, set->name);
	}
	printf("}\n");
}

static void free_all(void)
{
	__u32 i;

	for (i = 0; i < all.link_cnt; i++)
		free(all.links[i].not_light);
	for (i = 0; i < all.set_cnt; i++)
		free_set(all.sets[i]);
	for (i = 0; i < all.btf_cnt; i++)
		btf__free(all.btfs[i].btf);
	btf__free(all.vmlinux);
	hashmap__free(all.by_key);
	free(all.links);
	free(all.sets);
	free(all.btfs);
}

static int link_id(int fd, __u32 *id)
{
	struct bpf_link_info info = {};

	if (get_info(fd, &info))
		return -1;
	if (info.type != BPF_LINK_TYPE_TRACING_MULTI) {
		p_err("link %u is no tracing_multi link", info.id);
		return -1;
	}
	*id = info.id;
	return 0;
}

int do_link_sets(int argc, char **argv)
{
	bool full = false, visual = false;
	__u32 id = 0;
	int err, fd;

	if (argc >= 2 && (is_prefix(*argv, "id") || is_prefix(*argv, "pinned"))) {
		fd = link_parse_fd(&argc, &argv);
		if (fd < 0)
			return -1;
		err = link_id(fd, &id);
		close(fd);
		if (err)
			return -1;
	}
	for (; argc; NEXT_ARG()) {
		if (is_prefix(*argv, "full"))
			full = true;
		else if (is_prefix(*argv, "visual"))
			visual = true;
		else
			return BAD_ARG();
	}
	if (json_output && visual) {
		p_err("'visual' is not compatible with JSON output");
		return -1;
	}

	all.by_key = hashmap__new(hash_key, equal_keys, NULL);
	if (IS_ERR(all.by_key)) {
		p_err("failed to create hashmap for sets");
		return -1;
	}
	err = add_links();
	if (!err) {
		if (id)
			only_link(id);
		sort_sets();
		if (json_output)
			show_json();
		else if (visual)
			show_visual(full);
		else
			show_plain(full);
	}
	free_all();
	return err;
}
