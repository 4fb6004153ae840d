// SPDX-License-Identifier: GPL-2.0
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "bpf_misc.h"
#include "bpf_experimental.h"
#include "bpf_kfuncs.h"
#include "tracing_multi_light.h"

char _license[] SEC("license") = "GPL";

/* runs of each program */
__u64 runs[PROGS];
__u64 value = 1;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u64);
	__type(value, __u64);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16);
	__type(key, __u64);
	__type(value, __u64);
} lru SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ringbuf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} tail SEC(".maps");

/* Long enough to be preempted in it. */
static __always_inline void take_time(void)
{
	int i;

	for (i = 0; i < 250; i++)
		barrier_var(i);
}

static __always_inline int run(int prog)
{
	take_time();
	__sync_fetch_and_add(&runs[prog], 1);
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(run_entry)
{
	return run(ENTRY);
}

SEC("fexit.multi")
int BPF_PROG(run_exit)
{
	return run(EXIT);
}

SEC("fsession.multi")
int BPF_PROG(run_session)
{
	return run(bpf_session_is_return(ctx) ? SESSION_EXIT : SESSION_ENTRY);
}

/* The same, but not light. */
SEC("fentry.multi")
int BPF_PROG(run_heavy)
{
	char number[] = "1";
	long one;

	bpf_strtol(number, sizeof(number), 0, &one);
	return run(HEAVY);
}

/* The CPU whose calls are counted, or -1 */
int cpu = -1;

/* Numbers that a run has on its stack, which is no other's, until it ends. */
#define WORDS	16

__u64 next_word;
__u64 overwritten;

static __always_inline int run_on_cpu(int prog)
{
	__u64 words[WORDS];
	__u64 word;
	int i;

	if (bpf_get_smp_processor_id() != cpu)
		return 0;
	word = __sync_fetch_and_add(&next_word, 1);
	for (i = 0; i < WORDS; i++)
		words[i] = word;
	asm volatile("" : : "r"(words) : "memory");
	run(prog);
	for (i = 0; i < WORDS; i++)
		if (words[i] != word)
			__sync_fetch_and_add(&overwritten, 1);
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(run_guarded)
{
	return run_on_cpu(GUARDED);
}

SEC("fentry.multi")
int BPF_PROG(run_reentrant)
{
	return run_on_cpu(REENTRANT);
}

/* What it calls could be traced. */
SEC("fentry.multi")
int BPF_PROG(run_reentrant_calls)
{
	bpf_ktime_get_ns();
	return run_on_cpu(REENTRANT_CALLS);
}

/* What pins a site. */
SEC("fentry/bpf_fentry_test2")
int BPF_PROG(single)
{
	__sync_fetch_and_add(&runs[SINGLE], 1);
	return 0;
}

/* Light ones */

SEC("fentry.multi")
int BPF_PROG(light_empty)
{
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(light_maps)
{
	__u64 key = bpf_get_current_pid_tgid(), *val, one = 1;
	__u32 zero = 0;

	val = bpf_map_lookup_elem(&array, &zero);
	if (val)
		*val += 1;
	val = bpf_map_lookup_elem(&lru, &key);
	if (val)
		*val += 1;
	val = bpf_map_lookup_elem(&hash, &key);
	if (val)
		*val += 1;
	else
		bpf_map_update_elem(&hash, &key, &one, BPF_ANY);
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(light_ringbuf)
{
	__u64 *event = bpf_ringbuf_reserve(&ringbuf, sizeof(*event), 0);

	if (event) {
		*event = bpf_ktime_get_ns();
		bpf_ringbuf_submit(event, 0);
	}
	return 0;
}

SEC("fexit.multi")
int BPF_PROG(light_ctx)
{
	__u64 arg = 0, ret = 0;

	bpf_get_func_arg(ctx, 0, &arg);
	bpf_get_func_ret(ctx, &ret);
	value = arg + ret + bpf_get_func_arg_cnt(ctx) + bpf_get_func_ip(ctx) +
		bpf_get_attach_cookie(ctx);
	return 0;
}

SEC("fsession.multi")
int BPF_PROG(light_session)
{
	__u64 *cookie = bpf_session_cookie(ctx);

	if (!bpf_session_is_return(ctx))
		*cookie = 1;
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(light_task)
{
	struct task_struct *task = bpf_get_current_task_btf();
	char comm[16];

	bpf_rcu_read_lock();
	value = task->real_parent->pid;
	bpf_rcu_read_unlock();
	bpf_get_current_comm(comm, sizeof(comm));
	bpf_probe_read_kernel(comm, sizeof(comm), task->comm);
	value += comm[0];
	return 0;
}

static __noinline int static_subprog(int n)
{
	take_time();
	return n + value;
}

SEC("fentry.multi")
int BPF_PROG(light_static)
{
	value = static_subprog(value);
	return 0;
}

/* What is not */

__noinline int global_subprog(int n)
{
	return n + value;
}

SEC("fentry.multi")
int BPF_PROG(heavy_global)
{
	value = global_subprog(value);
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(heavy_stack)
{
	__u64 stack[2];

	value = bpf_get_stack(ctx, stack, sizeof(stack), 0);
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(heavy_tail_call)
{
	bpf_tail_call(ctx, &tail, 0);
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(heavy_long)
{
	int i;

	for (i = 0; i < 2000; i++)
		barrier_var(i);
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(heavy_helpers)
{
	__u64 key;

	/* each of them 200 */
	for (key = 0; key < 20; key++)
		bpf_map_delete_elem(&hash, &key);
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(heavy_may_goto)
{
	while (value && can_loop)
		value--;
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(heavy_iter)
{
	int i;

	bpf_for(i, 0, value)
		barrier_var(i);
	return 0;
}

static int nothing(__u32 index, void *ctx)
{
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(heavy_loop)
{
	value = bpf_loop(value, nothing, NULL, 0);
	return 0;
}

SEC("fentry.multi")
int BPF_PROG(heavy_lru)
{
	__u64 key = 1, one = 1;

	value = bpf_map_update_elem(&lru, &key, &one, BPF_ANY);
	return 0;
}

struct timer_value {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u64);
	__type(value, struct timer_value);
} timers SEC(".maps");

SEC("fentry.multi")
int BPF_PROG(heavy_timers)
{
	__u64 key = 1;

	value = bpf_map_delete_elem(&timers, &key);
	return 0;
}

/* Each load of the task may fault. */
SEC("fentry.multi")
int BPF_PROG(heavy_loads)
{
	struct task_struct *task = bpf_core_cast((void *)value, struct task_struct);
	int i;

	for (i = 0; i < 30; i++) {
		value += task->pid;
		barrier_var(i);
	}
	return 0;
}

char big[512];

SEC("fentry.multi")
int BPF_PROG(heavy_copy)
{
	value = bpf_probe_read_kernel(big, sizeof(big), bpf_get_current_task_btf());
	return 0;
}

SEC("fentry.multi.s")
int BPF_PROG(heavy_sleepable)
{
	return 0;
}
