// SPDX-License-Identifier: GPL-2.0
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

/* The same in prog_tests/tracing_multi_livepatch.c */
#define NR_PROGS	7
#define NR_FUNCS	4

enum { PLAIN_1, PLAIN_2, IP_1, IP_2, FEXIT, FEXIT_MULTI, FENTRY };

/* Set by user space: only calls by this process, ... */
__u32 pid;
/* ... those of the first function by this thread apart, ... */
__u32 busy_tid;
/* ... and which function the other thread is about to call. */
__u32 cur;
__u64 func_ips[NR_FUNCS];

__u64 hits[NR_PROGS][NR_FUNCS];
__u64 busy_hits[NR_PROGS];
/* what bpf_get_func_ip() said last */
__u64 ips[NR_PROGS][NR_FUNCS];
/* runs with the address of another function, or with a wrong return value */
__u64 strays;

static __always_inline int hit(int prog, __u64 ip, __u64 ret)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 func = cur;

	if (id >> 32 != pid)
		return 0;
	if ((__u32)id == busy_tid) {
		func = 0;
		__sync_fetch_and_add(&busy_hits[prog], 1);
	} else if (func < NR_FUNCS) {
		__sync_fetch_and_add(&hits[prog][func], 1);
		ips[prog][func] = ip;
	}
	if (func >= NR_FUNCS || (ip && ip != func_ips[func]) || ret)
		__sync_fetch_and_add(&strays, 1);
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(plain_1)
{
	return hit(PLAIN_1, 0, 0);
}

SEC("fentry.multi")
int BPF_PROG(plain_2)
{
	return hit(PLAIN_2, 0, 0);
}

SEC("fentry.multi")
int BPF_PROG(ip_1)
{
	return hit(IP_1, bpf_get_func_ip(ctx), 0);
}

SEC("fentry.multi")
int BPF_PROG(ip_2)
{
	return hit(IP_2, bpf_get_func_ip(ctx), 0);
}

SEC("fexit/cmdline_proc_show")
int BPF_PROG(fexit, struct seq_file *m, void *v, int ret)
{
	return hit(FEXIT, bpf_get_func_ip(ctx), ret);
}

SEC("fentry/cmdline_proc_show")
int BPF_PROG(fentry)
{
	return hit(FENTRY, bpf_get_func_ip(ctx), 0);
}

SEC("fexit.multi")
int BPF_PROG(fexit_multi)
{
	__u64 ret = 0;

	bpf_get_func_ret(ctx, &ret);
	return hit(FEXIT_MULTI, bpf_get_func_ip(ctx), (int)ret);
}
