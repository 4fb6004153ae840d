// SPDX-License-Identifier: GPL-2.0
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

__u32 pid;
__u64 calls;
__u64 others;

/* Only calls by the test; and not those that the traced program itself makes. */
static __always_inline int count(__u64 *counter)
{
	if (bpf_get_current_pid_tgid() >> 32 == pid)
		__sync_fetch_and_add(counter, 1);
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(entry)
{
	return count(&calls);
}

SEC("fentry.multi")
int BPF_PROG(other)
{
	return count(&others);
}

/* Loaded for a module, whatever it is attached to */
SEC("fentry.multi/bpf_testmod:bpf_testmod_fentry_test1")
int BPF_PROG(of_module)
{
	return count(&calls);
}

SEC("fexit.multi")
int BPF_PROG(leave)
{
	return count(&calls);
}

SEC("fentry.multi.s")
int BPF_PROG(sleepable)
{
	return count(&calls);
}
