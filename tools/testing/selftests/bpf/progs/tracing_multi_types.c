// SPDX-License-Identifier: GPL-2.0
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "bpf_misc.h"

char _license[] SEC("license") = "GPL";

pid_t pid;

/* what the programs have read, and how often they ran */
__u64 sum;
__u64 runs;
__u32 family;

static __always_inline bool is_ours(void)
{
	return bpf_get_current_pid_tgid() >> 32 == pid;
}

static __always_inline int add(__u64 val)
{
	__sync_fetch_and_add(&sum, val);
	__sync_fetch_and_add(&runs, 1);
	return 0;
}

SEC("fentry.multi")
int untyped(void *ctx)
{
	return 0;
}

/* of tcp_close() */
SEC("fentry.multi")
int BPF_PROG(sock, struct sock *sk)
{
	if (is_ours())
		family = sk->__sk_common.skc_family;
	return 0;
}

/* of bpf_fentry_test1() */
SEC("fentry.multi")
int BPF_PROG(first_int, int a)
{
	return add(a);
}

/* of bpf_fentry_test6() */
SEC("fentry.multi")
int BPF_PROG(second_pointer, __u64 a, void *b)
{
	return add((__u64)b);
}

/* of bpf_fentry_test8() */
SEC("fentry.multi")
int BPF_PROG(struct_pointer, struct bpf_fentry_test_t *arg)
{
	return add(arg ? (__u64)arg->a : 0);
}

/* of bpf_fentry_test1() */
SEC("fexit.multi")
int BPF_PROG(result, int a, int ret)
{
	return add(ret);
}

/* of bpf_fentry_test1() */
SEC("fexit.multi")
int BPF_PROG(first_and_result, int a, int ret)
{
	return add(100 * a + ret);
}

/* of bpf_fentry_test1() */
SEC("fsession.multi")
int BPF_PROG(session, int a, int ret)
{
	return add(10 * a + ret);
}

/* Reads nothing: any function will do. */
SEC("fentry.multi")
int BPF_PROG(nothing, int a)
{
	return add(1);
}

/* Wrong in one way each */

SEC("fexit.multi")
int wrong_untyped(__u64 *ctx)
{
	return add(ctx[0]);
}

/* of bpf_fentry_test1() */
SEC("fentry.multi")
int wrong_number(__u64 *ctx)
{
	return add(ctx[2]);
}

/* of bpf_fentry_test1() */
SEC("fentry.multi")
int wrong_result(__u64 *ctx)
{
	return add(ctx[1]);
}

/* of tcp_close() */
SEC("fentry.multi")
int BPF_PROG(wrong_offset, struct sock *sk)
{
	/* however large it is on another kernel */
	return add(*(__u64 *)((void *)sk + 16384));
}

/* of tcp_close() */
SEC("fentry.multi")
int BPF_PROG(wrong_write, struct sock *sk)
{
	sk->__sk_common.skc_family = 0;
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} progs SEC(".maps");
