// SPDX-License-Identifier: GPL-2.0
#include <vmlinux.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "tracing_multi_dead.h"

char _license[] SEC("license") = "GPL";

__u64 delayed_work_timer_fn;
bool watch;

__u64 calls;
__u32 nr_events;
struct dead_event events[DEAD_EVENTS];

SEC("fexit.multi")
int BPF_PROG(leave)
{
	__sync_fetch_and_add(&calls, 1);
	return 0;
}

static __always_inline void record(struct work_struct *work, struct workqueue_struct *wq)
{
	__u32 i = __sync_fetch_and_add(&nr_events, 1);

	if (i >= DEAD_EVENTS)
		return;
	events[i].func = (__u64)BPF_CORE_READ(work, func);
	BPF_CORE_READ_STR_INTO(&events[i].wq, wq, name);
}

SEC("tp_btf/workqueue_queue_work")
int BPF_PROG(work_queued, int req_cpu, struct pool_workqueue *pwq, struct work_struct *work)
{
	if (watch)
		record(work, BPF_CORE_READ(pwq, wq));
	return 0;
}

SEC("tp_btf/timer_start")
int BPF_PROG(timer_started, struct timer_list *timer)
{
	struct delayed_work *work;

	if (!watch || (__u64)timer->function != delayed_work_timer_fn)
		return 0;
	work = (void *)timer - bpf_core_field_offset(struct delayed_work, timer);
	record(&work->work, BPF_CORE_READ(work, wq));
	return 0;
}
