/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _ARM64_NET_BPF_NEAR_H
#define _ARM64_NET_BPF_NEAR_H

#include <linux/sizes.h>
#include <linux/types.h>

/* Does a branch at one address get to the other? */
static inline bool bpf_in_reach(const void *from, const void *to)
{
	long offset = to - from;

	return offset >= -SZ_128M && offset < SZ_128M;
}

void *bpf_near_alloc(unsigned int size);
bool bpf_near_free(void *mem, unsigned int size);

#endif /* _ARM64_NET_BPF_NEAR_H */
