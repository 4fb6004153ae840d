/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __TRACING_MULTI_ARGS_H
#define __TRACING_MULTI_ARGS_H

#define ARGS_FUNCS_MAX	24
/* slots of a function's arguments that are recorded */
#define ARGS_SLOTS_MAX	14

enum args_prog {
	ARGS_FENTRY_1,
	ARGS_FENTRY_2,
	ARGS_FEXIT,
	ARGS_FSESSION,
	ARGS_PROGS,
};

/* what a program saw of the last call of a function */
struct args_record {
	__u64 calls;
	__u64 cnt;
	__u64 arg[ARGS_SLOTS_MAX];
	__s64 ret;
	/* helper calls that did not return what they must */
	__u64 errs;
};

#endif /* __TRACING_MULTI_ARGS_H */
