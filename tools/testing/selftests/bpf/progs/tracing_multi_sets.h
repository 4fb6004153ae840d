/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __TRACING_MULTI_SETS_H
#define __TRACING_MULTI_SETS_H

/* bpf_fentry_test1 to bpf_fentry_test10 */
#define SETS_FUNCS	10

/*
 * How a program tells which function called it decides what the trampoline
 * must provide, so there is one group of programs for each way: by the first
 * argument alone, by bpf_get_func_ip(), by the cookie, by both.
 * bpf_fentry_test7 to 10 cannot be told apart by arguments; such programs
 * count them all as the first of them.
 */
#define SETS_BY_ARG	6

enum sets_prog {
	SETS_ARG_1,
	SETS_ARG_2,
	SETS_ARG_3,
	SETS_ARG_4,
	SETS_IP_1,
	SETS_IP_2,
	SETS_IP_3,
	SETS_IP_4,
	SETS_COOKIE_1,
	SETS_COOKIE_2,
	SETS_COOKIE_3,
	SETS_COOKIE_4,
	SETS_BOTH_1,
	SETS_BOTH_2,
	SETS_FEXIT_1,
	SETS_FEXIT_2,
	SETS_FSESSION_1,
	SETS_FSESSION_2,
	SETS_SLEEPABLE,
	SETS_ONE_FENTRY,
	SETS_ONE_FENTRY_5,
	SETS_ONE_FEXIT,
	SETS_ONE_FMOD_RET,
	SETS_ONE_FSESSION,
	SETS_KPROBE,
	SETS_PROGS,
};

#endif /* __TRACING_MULTI_SETS_H */
