/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs keep of each function. The tool and the programs share this, so
 * there are no types in it but those of linux/types.h.
 *
 * Other CPUs and interrupts change an element at the same time: each number is changed
 * by one atomic instruction, and read by one.
 */
#ifndef FUNCCOUNT_DATA_H
#define FUNCCOUNT_DATA_H

#include <linux/types.h>

struct fc_calls {
	__u64 calls;
};

/* Slot n has the calls that took 2^n ns or more, but less than 2^(n + 1); the last all more */
#define FC_SLOTS	32

struct fc_latency {
	__u64 total_ns;
	__u64 slots[FC_SLOTS];
};

/* What a function returns, in bits; nothing is counted before the tool has said so */
#define FC_RET_UNKNOWN	0
#define FC_RET_OTHER	1	/* nothing, or what cannot be an error */
#define FC_RET_INT	32	/* with a sign */
#define FC_RET_LONG	64	/* with a sign, or a pointer */

/* So many different errors of a function have a count of their own */
#define FC_CODES	8
#define FC_MAX_ERRNO	4095

struct fc_errors {
	__u64 calls;
	__u64 other;		/* errors that have no place in the table */
	__u64 count[FC_CODES];
	__u32 code[FC_CODES];	/* 0: not in use */
	__u32 ret;		/* FC_RET_... */
	__u32 pad;
};

/* A function whose callers are traced */
struct fc_callers {
	__u64 calls;
	__u64 lost;		/* samples without a stack */
	__u32 mask;		/* one of mask + 1 calls is a sample */
	__u32 func;
};

struct fc_stack {
	__u32 func;
	__u32 id;		/* in the map of stacks */
};

#define FC_MAX_DEPTH	48
#define FC_MAX_STACKS	16384

#endif /* FUNCCOUNT_DATA_H */
