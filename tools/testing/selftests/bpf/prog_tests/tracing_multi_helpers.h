/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __TRACING_MULTI_HELPERS_H
#define __TRACING_MULTI_HELPERS_H

#include <test_progs.h>

/*
 * Count images and thunks of sets with higher numbers than @after, of which one is
 * told in @left. @newest is the highest number there is, or @after.
 */
static inline int count_set_symbols(unsigned int after, char left[512], unsigned int *newest)
{
	unsigned int nr;
	char line[512];
	int cnt = 0;
	FILE *f;

	*newest = after;
	f = fopen("/proc/kallsyms", "r");
	if (!ASSERT_OK_PTR(f, "kallsyms"))
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*x %*c bpf_trampoline_set_%u", &nr) != 1 &&
		    sscanf(line, "%*x %*c bpf_thunks_set_%u", &nr) != 1)
			continue;
		if (nr <= after)
			continue;
		if (nr > *newest)
			*newest = nr;
		strcpy(left, line);
		cnt++;
	}
	fclose(f);
	return cnt;
}

/* Calls of functions that the program has missed, as it ran already on that CPU. */
static inline __u64 prog_misses(struct bpf_program *prog)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	if (!ASSERT_OK(bpf_prog_get_info_by_fd(bpf_program__fd(prog), &info, &len), "prog_info"))
		return 0;
	return info.recursion_misses;
}

/* A number from the environment, for runs that take longer than a test should. */
static inline int env_number(const char *name, int dflt)
{
	const char *val = getenv(name);

	return val ? atoi(val) : dflt;
}

#endif /* __TRACING_MULTI_HELPERS_H */
