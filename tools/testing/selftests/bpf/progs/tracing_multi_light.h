/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __TRACING_MULTI_LIGHT_H
#define __TRACING_MULTI_LIGHT_H

/* whose runs are counted */
enum {
	ENTRY,
	EXIT,
	SESSION_ENTRY,
	SESSION_EXIT,
	HEAVY,
	SINGLE,
	/* in and below interrupts */
	GUARDED,
	REENTRANT,
	REENTRANT_CALLS,
	PROGS,
};

#endif /* __TRACING_MULTI_LIGHT_H */
