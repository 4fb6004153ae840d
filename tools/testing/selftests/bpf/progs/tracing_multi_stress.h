/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __TRACING_MULTI_STRESS_H
#define __TRACING_MULTI_STRESS_H

#define STRESS_DEPTH	32

enum stress_stack {
	STRESS_INNER,
	STRESS_SELF,
	STRESS_STACKS,
};

enum stress_inject {
	STRESS_ENTRY,
	STRESS_EXIT,
	STRESS_AROUND,
	STRESS_INJECTS,
};

#endif /* __TRACING_MULTI_STRESS_H */
