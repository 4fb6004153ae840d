/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _KERNEL_BPF_TRAMPOLINE_PIN_H
#define _KERNEL_BPF_TRAMPOLINE_PIN_H

/* What trampoline.c asks the sets before it changes a dedicated trampoline. */

#ifdef CONFIG_BPF_TRAMPOLINE_SETS
bool bpf_tramp_ip_is_site(unsigned long ip);
bool bpf_tramp_sets_lock(unsigned long ip);
void bpf_tramp_sets_unlock(void);
int bpf_tramp_pin(struct bpf_trampoline *tr, struct bpf_tramp_node *node);
bool bpf_tramp_unpin(struct bpf_trampoline *tr);
int bpf_tramp_ipmodify(unsigned long ip);
#else
static inline bool bpf_tramp_ip_is_site(unsigned long ip) { return false; }
static inline bool bpf_tramp_sets_lock(unsigned long ip) { return false; }
static inline void bpf_tramp_sets_unlock(void) { }
static inline int bpf_tramp_pin(struct bpf_trampoline *tr, struct bpf_tramp_node *node)
{
	return 0;
}

static inline bool bpf_tramp_unpin(struct bpf_trampoline *tr) { return false; }
static inline int bpf_tramp_ipmodify(unsigned long ip) { return 0; }
#endif

#endif /* _KERNEL_BPF_TRAMPOLINE_PIN_H */
