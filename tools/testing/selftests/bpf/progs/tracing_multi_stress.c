// SPDX-License-Identifier: GPL-2.0
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "tracing_multi_stress.h"

char _license[] SEC("license") = "GPL";

__u32 pid;

__u64 stacks[STRESS_STACKS][STRESS_DEPTH];
__s64 stack_sizes[STRESS_STACKS];
__u64 entries;
__u64 exits;
__u64 lsm_runs;

/* calls of functions by the test, and the address that a program was told last */
__u64 inject_runs[STRESS_INJECTS];
__u64 inject_ips[STRESS_INJECTS];

static __always_inline bool ours(void)
{
	return bpf_get_current_pid_tgid() >> 32 == pid;
}

static __always_inline int save_stack(void *ctx, enum stress_stack which)
{
	if (!ours())
		return 0;
	stack_sizes[which] = bpf_get_stack(ctx, stacks[which], sizeof(stacks[which]), 0);
	return 0;
}

/* in a function that the traced one calls */
SEC("fentry/bpf_fentry_test1")
int BPF_PROG(inner)
{
	return save_stack(ctx, STRESS_INNER);
}

/* in the trampoline of the traced function itself */
SEC("fexit.multi")
int BPF_PROG(self)
{
	return save_stack(ctx, STRESS_SELF);
}

SEC("fexit.multi")
int BPF_PROG(outer)
{
	return 0;
}

SEC("fsession.multi")
int BPF_PROG(around)
{
	if (!ours())
		return 0;
	if (bpf_session_is_return(ctx))
		__sync_fetch_and_add(&exits, 1);
	else
		__sync_fetch_and_add(&entries, 1);
	return 0;
}

SEC("lsm/bpf")
int BPF_PROG(lsm_bpf)
{
	if (ours())
		__sync_fetch_and_add(&lsm_runs, 1);
	return 0;
}

SEC("fexit.multi")
int BPF_PROG(after)
{
	if (ours())
		__sync_fetch_and_add(&exits, 1);
	return 0;
}

static __always_inline int save_ip(void *ctx, enum stress_inject which)
{
	if (!ours())
		return 0;
	inject_ips[which] = bpf_get_func_ip(ctx);
	__sync_fetch_and_add(&inject_runs[which], 1);
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(inject_entry)
{
	return save_ip(ctx, STRESS_ENTRY);
}

SEC("fexit.multi")
int BPF_PROG(inject_exit)
{
	return save_ip(ctx, STRESS_EXIT);
}

SEC("fsession.multi")
int BPF_PROG(inject_around)
{
	return bpf_session_is_return(ctx) ? save_ip(ctx, STRESS_AROUND) : 0;
}
