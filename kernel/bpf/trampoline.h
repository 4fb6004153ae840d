/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _KERNEL_BPF_TRAMPOLINE_H
#define _KERNEL_BPF_TRAMPOLINE_H

/*
 * What trampoline.c and the files of shared trampolines (trampoline_*.c) have of
 * each other.
 */

#include <linux/bpf.h>
#include <linux/ftrace.h>
#include <linux/workqueue.h>

#include "trampoline_pin.h"

extern struct ftrace_ops direct_ops;

/* In order, and for sets only */
extern struct workqueue_struct *bpf_tramp_wq;

/* Keys of trampolines of sets, with a number: no BTF object has the largest id. */
#define BPF_TRAMPOLINE_KEY_SET	((u64)U32_MAX << 32)

static inline bool bpf_trampoline_key_is_set(u64 key)
{
	return key >= BPF_TRAMPOLINE_KEY_SET;
}

/*
 * Works of sets block, and many come at once: on a shared workqueue that would start
 * a worker for each, which can be traced and then holds images.
 */
static inline void bpf_trampoline_queue(u64 key, struct work_struct *work)
{
	if (IS_ENABLED(CONFIG_BPF_TRAMPOLINE_SETS) && bpf_trampoline_key_is_set(key))
		queue_work(bpf_tramp_wq, work);
	else
		schedule_work(work);
}

/* Number of programs of a trampoline, of all kinds. */
static inline int bpf_trampoline_nr_progs(const struct bpf_trampoline *tr)
{
	int kind, nr = 0;

	for (kind = 0; kind < BPF_TRAMP_MAX; kind++)
		nr += tr->progs_cnt[kind];
	return nr;
}

struct bpf_trampoline *bpf_trampoline_alloc_set(const struct btf_func_model *m,
						unsigned long func, u8 ip_off, u32 flags);
struct bpf_trampoline *bpf_trampoline_find_live(unsigned long ip);

struct bpf_tramp_image *bpf_trampoline_generate(struct bpf_trampoline *tr);
int bpf_trampoline_add_prog(struct bpf_trampoline *tr, struct bpf_tramp_node *node);
void bpf_trampoline_del_prog(struct bpf_trampoline *tr, struct bpf_tramp_node *node);
void bpf_trampoline_skip_link(struct bpf_link *link);

void bpf_tramp_image_put(struct bpf_tramp_image *im);
void bpf_tramp_image_left(struct bpf_tramp_image *im);

#ifdef CONFIG_BPF_TRAMPOLINE_SETS
bool bpf_trampoline_ip_is_modified(unsigned long ip);

void bpf_tramp_image_wait(struct bpf_tramp_image *im);
void bpf_tramp_wait_look(void);

struct bpf_tramp_node *bpf_tramp_tuple_fexit(struct bpf_tramp_node *node);
void bpf_tramp_thunks_free_all(struct bpf_trampoline *tr);
struct bpf_tramp_cookies *bpf_tramp_cookies_get(struct bpf_tramp_cookies *cookies);
void bpf_tramp_cookies_put(struct bpf_tramp_cookies *cookies);
#else
static inline void bpf_tramp_image_wait(struct bpf_tramp_image *im) { }
static inline void bpf_tramp_wait_look(void) { }

static inline struct bpf_tramp_node *bpf_tramp_tuple_fexit(struct bpf_tramp_node *node)
{
	return NULL;
}

static inline void bpf_tramp_thunks_free_all(struct bpf_trampoline *tr) { }

static inline struct bpf_tramp_cookies *bpf_tramp_cookies_get(struct bpf_tramp_cookies *cookies)
{
	return NULL;
}

static inline void bpf_tramp_cookies_put(struct bpf_tramp_cookies *cookies) { }
#endif

#endif /* _KERNEL_BPF_TRAMPOLINE_H */
