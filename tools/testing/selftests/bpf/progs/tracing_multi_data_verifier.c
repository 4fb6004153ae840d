// SPDX-License-Identifier: GPL-2.0
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "bpf_kfuncs.h"
#include "bpf_misc.h"

char _license[] SEC("license") = "GPL";

#define ELEMS	4
#define SIZE	(ELEMS * sizeof(__u64))

__u64 value;
__u32 size = SIZE;

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} tail SEC(".maps");

static __always_inline __u64 *data(void *ctx)
{
	return (void *)bpf_attach_data(ctx, SIZE);
}

SEC("fentry.multi")
__success
int BPF_PROG(data_all)
{
	__u64 *d = data(ctx);

	d[0] = d[ELEMS - 1];
	d[ELEMS - 1] = value;
	return 0;
}

SEC("fentry.multi")
__failure __msg("invalid access to memory, mem_size=32 off=32 size=8")
int BPF_PROG(data_read_beyond)
{
	value = data(ctx)[ELEMS];
	return 0;
}

SEC("fexit.multi")
__failure __msg("invalid access to memory, mem_size=32 off=32 size=8")
int BPF_PROG(data_write_beyond)
{
	data(ctx)[ELEMS] = 1;
	return 0;
}

SEC("fentry.multi")
__failure __msg("invalid access to memory, mem_size=32 off=-8 size=8")
int BPF_PROG(data_read_before)
{
	value = data(ctx)[-1];
	return 0;
}

/* The end of the element is in the middle of the word. */
SEC("fentry.multi")
__failure __msg("invalid access to memory, mem_size=9 off=8 size=8")
int BPF_PROG(data_odd_size)
{
	__u64 *d = (void *)bpf_attach_data(ctx, 9);

	value = d[1];
	return 0;
}

SEC("fsession.multi")
__failure __msg("invalid access to memory, mem_size=32 off=32 size=8")
int BPF_PROG(data_index_beyond)
{
	__u64 i = value;

	if (i <= ELEMS)
		data(ctx)[i] = 1;
	return 0;
}

SEC("fentry.multi")
__success
int BPF_PROG(data_index)
{
	__u64 i = value;

	if (i < ELEMS)
		data(ctx)[i] = 1;
	return 0;
}

SEC("fentry.multi")
__failure __msg("R2 is not a const")
int BPF_PROG(data_variable_size)
{
	value = *bpf_attach_data(ctx, size);
	return 0;
}

SEC("fentry.multi")
__failure __msg("bpf_attach_data() of no bytes")
int BPF_PROG(data_no_size)
{
	bpf_attach_data(ctx, 0);
	return 0;
}

SEC("fentry/bpf_fentry_test1")
__failure __msg("calling kernel function bpf_attach_data is not allowed")
int BPF_PROG(data_single)
{
	value = *bpf_attach_data(ctx, 8);
	return 0;
}

SEC("tp_btf/sys_enter")
__failure __msg("calling kernel function bpf_attach_data is not allowed")
int BPF_PROG(data_tracepoint)
{
	value = *bpf_attach_data(ctx, 8);
	return 0;
}

SEC("fentry.multi")
__failure __msg("R1 expected pointer to ctx, but got fp")
int BPF_PROG(data_of_stack)
{
	__u64 args[8] = {};

	value = *bpf_attach_data(args + 4, 8);
	return 0;
}

SEC("fentry.multi")
__failure __msg("dereference of modified ctx ptr R1 off=8 disallowed")
int BPF_PROG(data_of_modified_ctx)
{
	value = *bpf_attach_data(ctx + 1, 8);
	return 0;
}

static __noinline __u64 subprog(void *ctx)
{
	return *data(ctx);
}

SEC("fentry.multi")
__success
int BPF_PROG(data_subprog)
{
	value = subprog(ctx);
	return 0;
}

/* It may call another one, which must not be one that gets data itself. */
SEC("fentry.multi")
__success
int BPF_PROG(data_tail_call)
{
	value = *data(ctx);
	bpf_tail_call(ctx, &tail, 0);
	return 0;
}
