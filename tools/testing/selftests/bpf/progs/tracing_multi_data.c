// SPDX-License-Identifier: GPL-2.0
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "bpf_kfuncs.h"
#include "tracing_multi_data.h"

char _license[] SEC("license") = "GPL";

/* runs of all programs but run_all */
__u64 runs;
/* runs of run_all */
__u64 runs_of_all;
__u64 sum;

static __always_inline int count(void *ctx, __u64 who)
{
	struct func_data *d = (void *)bpf_attach_data(ctx, sizeof(*d));

	__sync_fetch_and_add(&d->calls, 1);
	d->who = who;
	__sync_fetch_and_add(&runs, 1);
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(count_entry)
{
	return count(ctx, bpf_get_func_ip(ctx));
}

SEC("fexit.multi")
int BPF_PROG(count_exit)
{
	return count(ctx, bpf_get_func_ip(ctx));
}

/* Counts the entry and the return. */
SEC("fsession.multi")
int BPF_PROG(count_session)
{
	return count(ctx, bpf_get_func_ip(ctx));
}

SEC("fentry.multi")
int BPF_PROG(count_cookie)
{
	return count(ctx, bpf_get_attach_cookie(ctx));
}

SEC("fexit.multi")
int BPF_PROG(count_exit_cookie)
{
	return count(ctx, bpf_get_attach_cookie(ctx));
}

/* Gets nothing but the data, and can be attached by its section's name. */
SEC("fentry.multi/bpf_fentry_test?")
int BPF_PROG(count_plain)
{
	return count(ctx, 0);
}

SEC("fentry.multi.s")
int BPF_PROG(count_sleepable)
{
	return count(ctx, bpf_get_func_ip(ctx));
}

/* Both counts are of one run. */
SEC("fentry.multi")
int BPF_PROG(run_all)
{
	__u64 *calls = (void *)bpf_attach_data(ctx, sizeof(*calls));

	__sync_fetch_and_add(calls, 1);
	__sync_fetch_and_add(&runs_of_all, 1);
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(two_sizes)
{
	__u64 *first = (void *)bpf_attach_data(ctx, sizeof(*first));
	struct func_data *both = (void *)bpf_attach_data(ctx, sizeof(*both));

	sum = *first + both->who;
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(no_data)
{
	__sync_fetch_and_add(&runs, 1);
	return 0;
}

/* Has a trampoline of its own, which runs the links' programs as well. */
SEC("fentry/bpf_fentry_test2")
int BPF_PROG(single)
{
	return 0;
}

/* Maps that a link takes, and those that it does not */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct func_data);
} good SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct func_data);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct func_data);
} percpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} small SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct func_data);
} few SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, struct func_data);
} rdonly_prog SEC(".maps");

/* libbpf's descriptor is read-only. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__uint(map_flags, BPF_F_RDONLY);
	__type(key, __u32);
	__type(value, struct func_data);
} rdonly SEC(".maps");

struct lock_value {
	struct func_data data;
	struct bpf_spin_lock lock;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct lock_value);
} locks SEC(".maps");

struct timer_value {
	struct func_data data;
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct timer_value);
} timers SEC(".maps");
