// SPDX-License-Identifier: GPL-2.0
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <errno.h>
#include "tracing_multi_args.h"

char _license[] SEC("license") = "GPL";

__u32 pid;

/* set by user space from kallsyms */
__u64 func_ips[ARGS_FUNCS_MAX];

struct args_record records[ARGS_PROGS][ARGS_FUNCS_MAX];
/* runs for a function that user space did not name */
__u64 strays;

static __always_inline int record(void *ctx, enum args_prog prog, bool is_return)
{
	__u64 ip = bpf_get_func_ip(ctx);
	struct args_record *rec;
	__u64 cnt, val = 0;
	__u32 func, i;

	if (bpf_get_current_pid_tgid() >> 32 != pid)
		return 0;

	for (func = 0; func < ARGS_FUNCS_MAX; func++) {
		if (func_ips[func] == ip)
			break;
	}
	if (func >= ARGS_FUNCS_MAX) {
		strays++;
		return 0;
	}

	rec = &records[prog][func];
	rec->calls++;
	cnt = bpf_get_func_arg_cnt(ctx);
	rec->cnt = cnt;
	for (i = 0; i < ARGS_SLOTS_MAX && i < cnt; i++) {
		if (bpf_get_func_arg(ctx, i, &val))
			rec->errs++;
		rec->arg[i] = val;
	}
	if (bpf_get_func_arg(ctx, cnt, &val) != -EINVAL)
		rec->errs++;
	if (is_return) {
		if (bpf_get_func_ret(ctx, &val))
			rec->errs++;
		rec->ret = (int)val;
	}
	return 0;
}

SEC("?fentry.multi")
int BPF_PROG(fentry_1)
{
	return record(ctx, ARGS_FENTRY_1, false);
}

SEC("?fentry.multi")
int BPF_PROG(fentry_2)
{
	return record(ctx, ARGS_FENTRY_2, false);
}

SEC("?fexit.multi")
int BPF_PROG(fexit)
{
	return record(ctx, ARGS_FEXIT, true);
}

SEC("?fsession.multi")
int BPF_PROG(fsession)
{
	return record(ctx, ARGS_FSESSION, bpf_session_is_return(ctx));
}

/* The same for functions of a module, whose BTF the programs are loaded with. */
SEC("?fentry.multi/bpf_testmod:bpf_testmod_*")
int BPF_PROG(mod_fentry_1)
{
	return record(ctx, ARGS_FENTRY_1, false);
}

SEC("?fentry.multi/bpf_testmod:bpf_testmod_*")
int BPF_PROG(mod_fentry_2)
{
	return record(ctx, ARGS_FENTRY_2, false);
}

SEC("?fexit.multi/bpf_testmod:bpf_testmod_*")
int BPF_PROG(mod_fexit)
{
	return record(ctx, ARGS_FEXIT, true);
}

SEC("?fsession.multi/bpf_testmod:bpf_testmod_*")
int BPF_PROG(mod_fsession)
{
	return record(ctx, ARGS_FSESSION, bpf_session_is_return(ctx));
}
