// SPDX-License-Identifier: GPL-2.0
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "tracing_multi_sets.h"

char _license[] SEC("license") = "GPL";

/* only calls by this process, and of them those by this thread apart */
__u32 pid;
__u32 tid;

/* set by user space from kallsyms */
__u64 func_ips[SETS_FUNCS];

/* runs of a program for a function; of a session, those before it */
__u64 hits[SETS_PROGS][SETS_FUNCS];
/* runs of a session program after the function */
__u64 exits[SETS_PROGS][SETS_FUNCS];
/* runs in thread tid */
__u64 tid_hits[SETS_PROGS];
/* when, counted in runs of all programs, a program last ran */
__u64 order[SETS_PROGS][SETS_FUNCS];
__u64 exit_order[SETS_PROGS][SETS_FUNCS];
__u64 cookies[SETS_PROGS][SETS_FUNCS];
__s64 rets[SETS_PROGS][SETS_FUNCS];
__u64 seq;
/* runs for a function that user space did not name, or for the wrong one */
__u64 strays;

static __always_inline bool ours(void)
{
	return bpf_get_current_pid_tgid() >> 32 == pid;
}

static __always_inline __u32 func_by_ip(void *ctx)
{
	__u64 ip = bpf_get_func_ip(ctx);
	int i;

	for (i = 0; i < SETS_FUNCS; i++) {
		if (func_ips[i] == ip)
			return i;
	}
	return SETS_FUNCS;
}

static __always_inline __u32 func_by_arg(void *ctx)
{
	__u64 arg = 0;

	if (bpf_get_func_arg(ctx, 0, &arg))
		return SETS_FUNCS;

	/* see bpf_prog_test_run_tracing(); the upper bits may be garbage */
	switch (arg & 0xff) {
	case 1:
		return 0;
	case 2:
		return 1;
	case 4:
		if (bpf_get_func_arg_cnt(ctx) == 3)
			return 2;
		break;
	case 7:
		return 3;
	case 11:
		return 4;
	case 16:
		if (bpf_get_func_arg_cnt(ctx) == 6)
			return 5;
		break;
	}
	return SETS_BY_ARG;
}

/* A cookie is anything above the lowest byte, and there the function's index. */
static __always_inline __u32 func_by_cookie(void *ctx, enum sets_prog prog)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	__u32 func = cookie & 0xff;

	if (func >= SETS_FUNCS)
		return SETS_FUNCS;
	/* not just any function's cookie, as far as arguments tell */
	if (func_by_arg(ctx) != (func < SETS_BY_ARG ? func : SETS_BY_ARG))
		return SETS_FUNCS;
	cookies[prog][func] = cookie;
	return func;
}

static __always_inline int hit(enum sets_prog prog, __u32 func)
{
	if (func >= SETS_FUNCS) {
		__sync_fetch_and_add(&strays, 1);
		return 0;
	}
	__sync_fetch_and_add(&hits[prog][func], 1);
	order[prog][func] = __sync_fetch_and_add(&seq, 1) + 1;
	if ((__u32)bpf_get_current_pid_tgid() == tid)
		__sync_fetch_and_add(&tid_hits[prog], 1);
	return 0;
}

static __always_inline int hit_exit(enum sets_prog prog, __u32 func)
{
	if (func >= SETS_FUNCS) {
		__sync_fetch_and_add(&strays, 1);
		return 0;
	}
	__sync_fetch_and_add(&exits[prog][func], 1);
	exit_order[prog][func] = __sync_fetch_and_add(&seq, 1) + 1;
	return 0;
}

static __always_inline int hit_arg(void *ctx, enum sets_prog prog)
{
	return ours() ? hit(prog, func_by_arg(ctx)) : 0;
}

static __always_inline int hit_ip(void *ctx, enum sets_prog prog)
{
	return ours() ? hit(prog, func_by_ip(ctx)) : 0;
}

static __always_inline int hit_cookie(void *ctx, enum sets_prog prog)
{
	return ours() ? hit(prog, func_by_cookie(ctx, prog)) : 0;
}

static __always_inline int hit_both(void *ctx, enum sets_prog prog)
{
	__u32 func;

	if (!ours())
		return 0;
	func = func_by_ip(ctx);
	if (func < SETS_FUNCS)
		cookies[prog][func] = bpf_get_attach_cookie(ctx);
	return hit(prog, func);
}

static __always_inline int hit_fexit(void *ctx, enum sets_prog prog)
{
	__u64 ret = 0;
	__u32 func;

	if (!ours())
		return 0;
	func = func_by_ip(ctx);
	if (func < SETS_FUNCS) {
		cookies[prog][func] = bpf_get_attach_cookie(ctx);
		if (bpf_get_func_ret(ctx, &ret))
			return hit(prog, SETS_FUNCS);
		rets[prog][func] = (int)ret;
	}
	return hit(prog, func);
}

static __always_inline int hit_fsession(void *ctx, enum sets_prog prog)
{
	__u64 *cookie = bpf_session_cookie(ctx);
	__u32 func;

	if (!ours())
		return 0;
	func = func_by_ip(ctx);
	if (!bpf_session_is_return(ctx)) {
		*cookie = ((__u64)prog << 32) | func;
		if (func < SETS_FUNCS)
			cookies[prog][func] = bpf_get_attach_cookie(ctx);
		return hit(prog, func);
	}
	/* a run that was missed at the entry has stored nothing */
	if (*cookie && *cookie != (((__u64)prog << 32) | func))
		func = SETS_FUNCS;
	return hit_exit(prog, func);
}

SEC("fentry.multi")
int BPF_PROG(arg_1)
{
	return hit_arg(ctx, SETS_ARG_1);
}

SEC("fentry.multi")
int BPF_PROG(arg_2)
{
	return hit_arg(ctx, SETS_ARG_2);
}

SEC("fentry.multi")
int BPF_PROG(arg_3)
{
	return hit_arg(ctx, SETS_ARG_3);
}

SEC("fentry.multi")
int BPF_PROG(arg_4)
{
	return hit_arg(ctx, SETS_ARG_4);
}

SEC("fentry.multi")
int BPF_PROG(ip_1)
{
	return hit_ip(ctx, SETS_IP_1);
}

SEC("fentry.multi")
int BPF_PROG(ip_2)
{
	return hit_ip(ctx, SETS_IP_2);
}

SEC("fentry.multi")
int BPF_PROG(ip_3)
{
	return hit_ip(ctx, SETS_IP_3);
}

SEC("fentry.multi")
int BPF_PROG(ip_4)
{
	return hit_ip(ctx, SETS_IP_4);
}

SEC("fentry.multi")
int BPF_PROG(cookie_1)
{
	return hit_cookie(ctx, SETS_COOKIE_1);
}

SEC("fentry.multi")
int BPF_PROG(cookie_2)
{
	return hit_cookie(ctx, SETS_COOKIE_2);
}

SEC("fentry.multi")
int BPF_PROG(cookie_3)
{
	return hit_cookie(ctx, SETS_COOKIE_3);
}

SEC("fentry.multi")
int BPF_PROG(cookie_4)
{
	return hit_cookie(ctx, SETS_COOKIE_4);
}

SEC("fentry.multi")
int BPF_PROG(both_1)
{
	return hit_both(ctx, SETS_BOTH_1);
}

SEC("fentry.multi")
int BPF_PROG(both_2)
{
	return hit_both(ctx, SETS_BOTH_2);
}

SEC("fexit.multi")
int BPF_PROG(fexit_1)
{
	return hit_fexit(ctx, SETS_FEXIT_1);
}

SEC("fexit.multi")
int BPF_PROG(fexit_2)
{
	return hit_fexit(ctx, SETS_FEXIT_2);
}

SEC("fsession.multi")
int BPF_PROG(fsession_1)
{
	return hit_fsession(ctx, SETS_FSESSION_1);
}

SEC("fsession.multi")
int BPF_PROG(fsession_2)
{
	return hit_fsession(ctx, SETS_FSESSION_2);
}

SEC("fentry.multi.s")
int BPF_PROG(sleepable)
{
	return hit_both(ctx, SETS_SLEEPABLE);
}

SEC("fentry/bpf_fentry_test1")
int BPF_PROG(one_fentry)
{
	return hit_ip(ctx, SETS_ONE_FENTRY);
}

SEC("fentry/bpf_fentry_test5")
int BPF_PROG(one_fentry_5)
{
	return hit_ip(ctx, SETS_ONE_FENTRY_5);
}

SEC("fexit/bpf_fentry_test1")
int BPF_PROG(one_fexit)
{
	return hit_fexit(ctx, SETS_ONE_FEXIT);
}

SEC("fmod_ret/bpf_fentry_test1")
int BPF_PROG(one_fmod_ret)
{
	return hit_ip(ctx, SETS_ONE_FMOD_RET);
}

SEC("fsession/bpf_fentry_test1")
int BPF_PROG(one_fsession)
{
	return hit_fsession(ctx, SETS_ONE_FSESSION);
}

SEC("kprobe.multi")
int kprobe(struct pt_regs *ctx)
{
	return hit_ip(ctx, SETS_KPROBE);
}
