// SPDX-License-Identifier: GPL-2.0-only
/*
 * The programs. The first three run at every call of up to all functions: they are light,
 * see Documentation/bpf/multi_fentry.rst, and find their function's numbers by a load.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "data.h"

char _license[] SEC("license") = "GPL";

/* The process whose calls are counted; 0: all */
const volatile __s32 target;

/* What is read of it here */
struct task_struct {
	int tgid;
} __attribute__((preserve_access_index));

extern __u8 *bpf_attach_data(void *ctx, const __u32 rdwr_buf_size) __ksym;
extern __u64 *bpf_session_cookie(void *ctx) __ksym;
extern bool bpf_session_is_return(void *ctx) __ksym;

/* Relaxed, so that clang emits the instruction that does not return the old value */
static __always_inline void add(__u64 *to, __u64 what)
{
	__atomic_fetch_add(to, what, __ATOMIC_RELAXED);
}

/*
 * The kernel has this in line. bpf_get_current_pid_tgid() would be a call, and a program
 * that calls something may not run inside itself.
 */
static __always_inline bool is_wanted(void)
{
	struct task_struct *task;

	if (!target)
		return true;
	task = bpf_get_current_task_btf();
	return task->tgid == target;
}

SEC("fentry.multi")
int count_calls(void *ctx)
{
	struct fc_calls *f = (void *)bpf_attach_data(ctx, sizeof(*f));

	if (is_wanted())
		add(&f->calls, 1);
	return 0;
}

/*
 * The binary logarithm without branches. The verifier looks at both ways of each branch,
 * and all that it looks at counts against what a light program may take. Once all bits
 * below the first one are set, there are 32 values, and their products with this constant
 * differ in the upper five bits.
 */
static const __u8 log2_of[32] = {
	0, 9, 1, 10, 13, 21, 2, 29, 11, 14, 16, 18, 22, 25, 3, 30,
	8, 12, 20, 28, 15, 17, 24, 7, 19, 27, 23, 6, 26, 5, 4, 31,
};

static __always_inline __u32 slot_of(__u64 ns)
{
	__u32 v = ns >> 32 ? ~0U : ns;

	v |= v >> 1;
	v |= v >> 2;
	v |= v >> 4;
	v |= v >> 8;
	v |= v >> 16;
	return log2_of[(v * 0x07c4acddU) >> 27] % FC_SLOTS;
}

SEC("fsession.multi")
int measure_latency(void *ctx)
{
	__u64 *start = bpf_session_cookie(ctx);
	struct fc_latency *f;
	__u64 ns;

	if (!bpf_session_is_return(ctx)) {
		*start = is_wanted() ? bpf_ktime_get_ns() : 0;
		return 0;
	}
	/* 0 also if the entry was missed */
	if (!*start)
		return 0;
	ns = bpf_ktime_get_ns() - *start;
	f = (void *)bpf_attach_data(ctx, sizeof(*f));
	add(&f->total_ns, ns);
	add(&f->slots[slot_of(ns)], 1);
	return 0;
}

static __always_inline void add_error(struct fc_errors *f, __u32 code)
{
	__u32 old;
	int i;

	for (i = 0; i < FC_CODES; i++) {
		if (*(volatile __u32 *)&f->code[i] == code) {
			add(&f->count[i], 1);
			return;
		}
	}
	/* the first time: others may do the same */
	for (i = 0; i < FC_CODES; i++) {
		old = __sync_val_compare_and_swap(&f->code[i], 0, code);
		if (!old || old == code) {
			add(&f->count[i], 1);
			return;
		}
	}
	add(&f->other, 1);
}

SEC("fexit.multi")
int count_errors(void *ctx)
{
	struct fc_errors *f = (void *)bpf_attach_data(ctx, sizeof(*f));
	__u32 bits = f->ret, unused = (64 - bits) % 64;
	__u64 ret;

	if (!bits || !is_wanted())
		return 0;
	add(&f->calls, 1);
	if (bits == FC_RET_OTHER || bpf_get_func_ret(ctx, &ret))
		return 0;
	/* no branch, so that the verifier looks at the rest only once */
	ret = -((__s64)(ret << unused) >> unused);
	if (ret - 1 < FC_MAX_ERRNO)
		add_error(f, ret);
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, FC_MAX_STACKS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, FC_MAX_DEPTH * sizeof(__u64));
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FC_MAX_STACKS);
	__type(key, struct fc_stack);
	__type(value, __u64);
} stack_counts SEC(".maps");

/* Not light, and therefore on few functions, and for one of many calls only */
SEC("fentry.multi")
int trace_callers(void *ctx)
{
	struct fc_callers *f = (void *)bpf_attach_data(ctx, sizeof(*f));
	struct fc_stack key = {};
	__u64 *count, zero = 0;
	long id;

	if (!is_wanted() || __sync_fetch_and_add(&f->calls, 1) & f->mask)
		return 0;
	id = bpf_get_stackid(ctx, &stacks, 0);
	if (id < 0)
		goto lost;
	key.func = f->func;
	key.id = id;
	bpf_map_update_elem(&stack_counts, &key, &zero, BPF_NOEXIST);
	count = bpf_map_lookup_elem(&stack_counts, &key);
	if (!count)
		goto lost;
	add(count, 1);
	return 0;
lost:
	add(&f->lost, 1);
	return 0;
}
