/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __TRACING_MULTI_DEAD_H
#define __TRACING_MULTI_DEAD_H

#define DEAD_EVENTS	4096

/* A work that was queued, or whose timer was started */
struct dead_event {
	__u64 func;
	char wq[32];
};

#endif /* __TRACING_MULTI_DEAD_H */
