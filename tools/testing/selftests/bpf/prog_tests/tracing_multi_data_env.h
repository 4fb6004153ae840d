/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __TRACING_MULTI_DATA_ENV_H
#define __TRACING_MULTI_DATA_ENV_H

#include <test_progs.h>
#include <bpf/btf.h>
#include "trace_helpers.h"
#include "../progs/tracing_multi_data.h"

/* To be included after tracing_multi_data.skel.h. */

/* Functions that bpf_prog_test_run() calls once each */
#define FUNCS		10
/* The only one of them that a sleepable program can be attached to */
#define SLEEPABLE	3

/* The functions, in an order that is neither that of their names nor of their ids */
struct data_env {
	struct tracing_multi_data *skel;
	__u32 ids[FUNCS];
	__u64 addrs[FUNCS];
	__u64 cookies[FUNCS];
};

static inline bool data_open(struct data_env *t)
{
	static const int order[FUNCS] = { 7, 3, 10, [SLEEPABLE] = 1, 5, 9, 2, 8, 4, 6 };
	unsigned long long addr;
	struct btf *btf;
	char name[32];
	int i, id;

	memset(t, 0, sizeof(*t));
	btf = btf__load_vmlinux_btf();
	if (!ASSERT_OK_PTR(btf, "btf__load_vmlinux_btf"))
		return false;
	for (i = 0; i < FUNCS; i++) {
		snprintf(name, sizeof(name), "bpf_fentry_test%d", order[i]);
		id = btf__find_by_name_kind(btf, name, BTF_KIND_FUNC);
		if (!ASSERT_GT(id, 0, name) || !ASSERT_OK(kallsyms_find(name, &addr), name))
			goto out;
		t->ids[i] = id;
		t->addrs[i] = addr;
		/* one of them is 0, as it is without any */
		t->cookies[i] = i * 0x100000001ULL;
	}
	t->skel = tracing_multi_data__open_and_load();
	ASSERT_OK_PTR(t->skel, "open_and_load");
out:
	btf__free(btf);
	return t->skel;
}

static inline int data_map(__u32 cnt)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int fd;

	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "data", sizeof(__u32), sizeof(struct func_data),
			    cnt, &opts);
	ASSERT_OK_FD(fd, "map");
	return fd;
}

static inline bool data_call(struct data_env *t)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	return ASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(t->skel->progs.no_data), &opts),
			 "test_run");
}

static inline bool data_link_info(const struct bpf_link *link, struct bpf_link_info *info)
{
	__u32 len = sizeof(*info);

	return ASSERT_OK(bpf_link_get_info_by_fd(bpf_link__fd(link), info, &len), "link_info");
}

static inline bool data_map_info(int fd, struct bpf_map_info *info)
{
	__u32 len = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return ASSERT_OK(bpf_map_get_info_by_fd(fd, info, &len), "map_info");
}

#endif /* __TRACING_MULTI_DATA_ENV_H */
