/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __TRACING_MULTI_STRESS_H
#define __TRACING_MULTI_STRESS_H

#define STRESS_DEPTH	32

enum stress_stack {
	STRESS_INNER,
	STRESS_SELF,
	STRESS_STACKS,
};

#endif /* __TRACING_MULTI_STRESS_H */
