// SPDX-License-Identifier: GPL-2.0
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

#define FUNCS		10
#define SITE_LEN	16
#define MANY_MAX	512

__u32 pid;

/* calls by this process */
__u64 hits[2];

/* functions of a wide link, in the order of their cookies */
__u64 many_ips[MANY_MAX];
__u64 many_hits[2][MANY_MAX];
/* runs where the cookie is not that of the address */
__u64 many_strays;

/* functions, and the code that each begins with */
__u64 site_ips[FUNCS];
__u8 sites[FUNCS][SITE_LEN];

static __always_inline int count(int prog)
{
	if (bpf_get_current_pid_tgid() >> 32 == pid)
		__sync_fetch_and_add(&hits[prog], 1);
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(count_1)
{
	return count(0);
}

SEC("fentry.multi")
int BPF_PROG(count_2)
{
	return count(1);
}

/* Any function, in any context. */
static __always_inline int record_many(void *ctx, int prog)
{
	__u64 idx = bpf_get_attach_cookie(ctx);

	if (idx >= MANY_MAX || many_ips[idx] != bpf_get_func_ip(ctx)) {
		__sync_fetch_and_add(&many_strays, 1);
		return 0;
	}
	__sync_fetch_and_add(&many_hits[prog][idx], 1);
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(many_1)
{
	return record_many(ctx, 0);
}

SEC("fentry.multi")
int BPF_PROG(many_2)
{
	return record_many(ctx, 1);
}

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} tail SEC(".maps");

/* sum of the cookies that tail_to has read */
__u64 tail_cookies;

SEC("fentry.multi")
int BPF_PROG(tail_to)
{
	tail_cookies += bpf_get_attach_cookie(ctx);
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(tail_from)
{
	if (bpf_get_current_pid_tgid() >> 32 == pid)
		bpf_tail_call(ctx, &tail, 0);
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(empty_1)
{
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(empty_2)
{
	return 0;
}

SEC("fexit.multi")
int BPF_PROG(empty_exit)
{
	return 0;
}

SEC("fsession/bpf_fentry_test1")
int BPF_PROG(single)
{
	return 0;
}

/* pages that the kernel clears for itself while the test attaches, and charges to nobody */
bool count_pages;
__u64 pages;

static __always_inline bool has_flag(gfp_t flags, int bit)
{
	return flags >> bit & 1;
}

SEC("tp_btf/mm_page_alloc")
int BPF_PROG(page_alloc, struct page *page, unsigned int order, gfp_t flags)
{
	if (!count_pages || !page || bpf_get_current_pid_tgid() >> 32 != pid)
		return 0;
	/* memory of user space, and page tables of that */
	if (has_flag(flags, ___GFP_HIGHMEM_BIT) || has_flag(flags, ___GFP_MOVABLE_BIT) ||
	    has_flag(flags, ___GFP_HARDWALL_BIT) || has_flag(flags, ___GFP_ACCOUNT_BIT))
		return 0;
	if (has_flag(flags, ___GFP_ZERO_BIT))
		__sync_fetch_and_add(&pages, 1ULL << order);
	return 0;
}

SEC("syscall")
int read_sites(void *ctx)
{
	int i;

	for (i = 0; i < FUNCS; i++) {
		if (bpf_probe_read_kernel(sites[i], SITE_LEN, (void *)site_ips[i]))
			return 1;
	}
	return 0;
}
