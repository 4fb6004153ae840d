// SPDX-License-Identifier: GPL-2.0-only
/* Stands in for kernel/bpf/trampoline.c when trampolines are tested. */
#include <linux/bpf.h>

#include "jit.h"

u64 bpf_tramp_arena_base(const struct btf_func_model *m, struct bpf_tramp_nodes *tnodes, u32 flags)
{
	return 0;
}

bpf_trampoline_enter_t bpf_trampoline_enter(const struct bpf_prog *prog)
{
	return (bpf_trampoline_enter_t)runtime_enter;
}

bpf_trampoline_exit_t bpf_trampoline_exit(const struct bpf_prog *prog)
{
	return (bpf_trampoline_exit_t)runtime_exit;
}

void bpf_prog_missed(struct bpf_prog *prog)
{
	runtime_missed(prog);
}
