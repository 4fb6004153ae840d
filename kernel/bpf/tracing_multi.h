/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _KERNEL_BPF_TRACING_MULTI_H
#define _KERNEL_BPF_TRACING_MULTI_H

/*
 * tracing_multi links: one program on many functions.
 *
 *   tracing_multi_link.c	the link, for bpf()
 *   tracing_multi_info.c	what it tells about itself
 *   tracing_multi_func.c	from the caller's BTF ids to functions
 *   tracing_multi_name.c	from the functions' names to their locations
 *   tracing_multi_type.c	whether they have the types that the program reads
 *   tracing_multi_data.c	an array with an element for each function
 *
 * BPF_LINK_CREATE, in pseudo-code:
 *
 *   copy ids, cookies and FDs to requests, take the BTF objects
 *   sort the requests by (BTF object, id)
 *   for each request
 *           refuse it if its id occurs twice or is none of a function
 *   look the names up
 *   for each request
 *           refuse it if its name is not that of one traceable function, or the
 *           program must not be attached to that
 *   attach to the others
 *   write a line to the log for each request that was refused
 *
 * To refuse a request ends it all, unless the caller wants such functions to be
 * skipped. Whoever refuses one sets its @err and, where the verifier does not
 * know the reason, its @why.
 */

#include <linux/bpf.h>
#include <linux/bpf_verifier.h>
#include <linux/xarray.h>

struct bpf_tramp_req;
struct bpf_tramp_site;

/**
 * struct bpf_tracing_multi_btf - the functions of a link that a BTF object has
 * @btf: the object
 * @mod: its module, NULL for vmlinux or if the module is not live
 * @live: it is vmlinux's or has @mod
 * @first: its first id, those below are of its base
 * @cnt: number of functions
 */
struct bpf_tracing_multi_btf {
	struct btf *btf;
	struct module *mod;
	bool live;
	u32 first;
	u32 cnt;
};

/**
 * struct bpf_tracing_multi - a link of a program to functions
 * @link: the link
 * @btfs: struct bpf_tracing_multi_btf by the id of the BTF object
 * @cnt: number of functions
 * @skipped: number of functions that were left out
 * @ids: BTF ids of the functions, sorted by BTF object and id
 * @cookies: in the same order, or NULL
 * @data: map with an element for each function, or NULL
 * @ips: ftrace locations in the same order; NULL if the sites are known by these ids
 * @tuples: what the link has of sets
 * @objcg: who is charged for what the engine keeps of the functions, or NULL
 * @charged: so many bytes
 */
struct bpf_tracing_multi {
	struct bpf_link link;
	struct xarray btfs;
	u32 cnt;
	u32 skipped;
	u32 *ids;
	u64 *cookies;
	struct bpf_map *data;
	unsigned long *ips;
	struct list_head tuples;
	struct obj_cgroup *objcg;
	size_t charged;
};

/**
 * struct bpf_tracing_multi_funcs - functions that a link is to be attached to
 * @link: the link; its program and its BTF objects
 * @reqs: the functions
 * @cnt: number of @reqs
 * @skip: go on without those that cannot be attached
 */
struct bpf_tracing_multi_funcs {
	struct bpf_tracing_multi *link;
	struct bpf_tramp_req *reqs;
	u32 cnt;
	bool skip;
};

static inline struct bpf_tracing_multi *bpf_tracing_multi(const struct bpf_link *link)
{
	return container_of(link, struct bpf_tracing_multi, link);
}

#ifdef CONFIG_BPF_TRAMPOLINE_SETS
int bpf_tracing_multi_link_create(struct bpf_prog *prog, const union bpf_attr *attr,
				  struct bpf_common_attr *common, bpfptr_t ucommon,
				  u32 common_size);
#else
static inline int bpf_tracing_multi_link_create(struct bpf_prog *prog, const union bpf_attr *attr,
						struct bpf_common_attr *common,
						bpfptr_t ucommon, u32 common_size)
{
	return -EOPNOTSUPP;
}
#endif

/* tracing_multi_func.c */
int bpf_tracing_multi_funcs_get(struct bpf_tracing_multi_funcs *funcs,
				const union bpf_attr *attr);
int bpf_tracing_multi_funcs_check(struct bpf_tracing_multi_funcs *funcs);
void bpf_tracing_multi_funcs_log(const struct bpf_tracing_multi_funcs *funcs,
				 struct bpf_verifier_log *log);
void bpf_tracing_multi_put_btfs(struct bpf_tracing_multi *link);

/* tracing_multi_name.c */
int bpf_tracing_multi_refuse(const struct bpf_tracing_multi_funcs *funcs,
			     struct bpf_tramp_req *req, int err, const char *why);
int bpf_tracing_multi_resolve(struct bpf_tracing_multi_funcs *funcs);

/* tracing_multi_info.c */
int bpf_tracing_multi_fill_info(const struct bpf_link *link, struct bpf_link_info *info);
void bpf_tracing_multi_show_fdinfo(const struct bpf_link *link, struct seq_file *seq);

/* tracing_multi_data.c */
int bpf_tracing_multi_data_get(struct bpf_tracing_multi_funcs *funcs,
			       const union bpf_attr *attr, struct bpf_verifier_log *log);
u32 bpf_tracing_multi_data_index(const struct bpf_tracing_multi *link,
				 const struct bpf_tramp_site *site);

#endif /* _KERNEL_BPF_TRACING_MULTI_H */
