// SPDX-License-Identifier: GPL-2.0
/* The programs that mfentry attaches. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

/*
 * Calls per function, counted by function address. The attached functions lie
 * in one stretch of kernel text and start at multiples of some power of two
 * (16 on most kernels), so that (address - first address) >> shift is an index
 * of its own for each of them: the array needs no hashing and no key compare,
 * and the JIT turns the lookup into a bounds check and an addition. User space
 * computes first_ip, shift and slots, and verifies that no two functions share
 * a slot. Each CPU has its own stretch of the array, and the increment is atomic: an
 * interrupt may run the program while it is running there, if the kernel is told that
 * it may. Otherwise that call counts as a recursion miss.
 *
 * Weak ones are not folded into the code as the 0 that they are here.
 */
const __u64 first_ip __weak;
const __u64 slots __weak;
const __u32 shift __weak;

/* Hits at an address that is none of the attached functions: always zero. */
__u64 strays;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} calls SEC(".maps");

static __always_inline int count(void *ctx)
{
	__u64 slot = (bpf_get_func_ip(ctx) - first_ip) >> shift;
	__u64 *calls_here;
	__u32 key;

	if (slot < slots) {
		key = bpf_get_smp_processor_id() * slots + slot;
		calls_here = bpf_map_lookup_elem(&calls, &key);
		if (calls_here) {
			__sync_fetch_and_add(calls_here, 1);
			return 0;
		}
	}
	__sync_fetch_and_add(&strays, 1);
	return 0;
}

SEC("fentry.multi")
int count_calls(void *ctx)
{
	return count(ctx);
}

/* Never with BPF_F_REENTRANT */
SEC("fentry.multi")
int count_guarded(void *ctx)
{
	return count(ctx);
}

/* Programs that do nothing: what remains is the cost of the trampoline. */
SEC("fentry.multi")
int first(void *ctx)
{
	return 0;
}

SEC("fentry.multi")
int second(void *ctx)
{
	return 0;
}

SEC("fexit.multi")
int first_exit(void *ctx)
{
	return 0;
}

SEC("fexit.multi")
int second_exit(void *ctx)
{
	return 0;
}

SEC("fentry.multi")
int spare(void *ctx)
{
	return 0;
}

/* Programs that do nothing but ask for their cookie. */
SEC("fentry.multi")
int cookie(void *ctx)
{
	return bpf_get_attach_cookie(ctx) & 0;
}

SEC("fexit.multi")
int cookie_exit(void *ctx)
{
	return bpf_get_attach_cookie(ctx) & 0;
}

/*
 * Three ways to count calls: all in one variable, those of each function in a hash by
 * its address, and in what the link has for the function, if the kernel has that.
 */
__u64 total;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u64);
} by_ip SEC(".maps");

extern __u8 *bpf_attach_data(void *ctx, const __u32 rdwr_buf_size) __ksym __weak;

SEC("fentry.multi")
int count_total(void *ctx)
{
	__sync_fetch_and_add(&total, 1);
	return 0;
}

SEC("fentry.multi")
int count_by_ip(void *ctx)
{
	__u64 ip = bpf_get_func_ip(ctx), *calls;

	calls = bpf_map_lookup_elem(&by_ip, &ip);
	if (calls)
		__sync_fetch_and_add(calls, 1);
	return 0;
}

SEC("?fentry.multi")
int count_by_data(void *ctx)
{
	__u64 *calls = (void *)bpf_attach_data(ctx, sizeof(*calls));

	__sync_fetch_and_add(calls, 1);
	return 0;
}

SEC("kprobe.multi")
int kprobes(void *ctx)
{
	return 0;
}

SEC("fentry/bpf_fentry_test1")
int single_1(void *ctx)
{
	return 0;
}

SEC("fentry/bpf_fentry_test6")
int single_6(void *ctx)
{
	return 0;
}

SEC("fexit/bpf_fentry_test1")
int single_exit_1(void *ctx)
{
	return 0;
}

SEC("fexit/bpf_fentry_test6")
int single_exit_6(void *ctx)
{
	return 0;
}

/* Not loaded unless it is asked for: a kernel may have no BPF LSM. */
SEC("?lsm/syslog")
int single_lsm(void *ctx)
{
	return 0;
}
