/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __TRACING_MULTI_HELPERS_H
#define __TRACING_MULTI_HELPERS_H

#include <test_progs.h>

/* The symbols of sets with higher numbers than some */
struct set_symbols {
	int images;
	int blocks;		/* of thunks */
	unsigned int newest;	/* the highest number, if there are any */
	__u64 low, high;	/* where they are */
	char last[512];		/* one of them */
};

/* Returns: the number of symbols of sets with higher numbers than @after, or -1. */
static inline int get_set_symbols(unsigned int after, struct set_symbols *syms)
{
	bool is_image, is_block;
	unsigned long long addr;
	unsigned int nr;
	char line[512];
	FILE *f;

	memset(syms, 0, sizeof(*syms));
	f = fopen("/proc/kallsyms", "r");
	if (!ASSERT_OK_PTR(f, "kallsyms"))
		return -1;
	while (fgets(line, sizeof(line), f)) {
		is_image = sscanf(line, "%llx %*c bpf_trampoline_set_%u", &addr, &nr) == 2;
		is_block = !is_image && sscanf(line, "%llx %*c bpf_thunks_set_%u", &addr, &nr) == 2;
		if ((!is_image && !is_block) || nr <= after)
			continue;
		syms->images += is_image;
		syms->blocks += is_block;
		if (nr > syms->newest)
			syms->newest = nr;
		if (!syms->low || addr < syms->low)
			syms->low = addr;
		if (addr > syms->high)
			syms->high = addr;
		strcpy(syms->last, line);
	}
	fclose(f);
	return syms->images + syms->blocks;
}

/*
 * Count images and thunks of sets with higher numbers than @after, of which one is
 * told in @left. @newest is the highest number there is, or @after.
 */
static inline int count_set_symbols(unsigned int after, char left[512], unsigned int *newest)
{
	struct set_symbols syms;
	int cnt;

	cnt = get_set_symbols(after, &syms);
	*newest = cnt > 0 ? syms.newest : after;
	if (cnt > 0)
		strcpy(left, syms.last);
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

static inline int write_str(const char *file, const char *val)
{
	int fd, err;

	fd = open(file, O_WRONLY | O_TRUNC);
	if (fd < 0)
		return -errno;
	err = write(fd, val, strlen(val)) < 0 ? -errno : 0;
	close(fd);
	return err;
}

/* A descriptor of the kernel's BTF object of that name, and its ID; 0: there is none. */
static inline int kernel_btf(const char *name, __u32 *obj_id)
{
	struct bpf_btf_info info;
	char said[64];
	__u32 len;
	int fd;

	*obj_id = 0;
	while (!bpf_btf_get_next_id(*obj_id, obj_id)) {
		fd = bpf_btf_get_fd_by_id(*obj_id);
		if (fd < 0)
			continue;
		memset(&info, 0, sizeof(info));
		info.name = ptr_to_u64(said);
		info.name_len = sizeof(said);
		len = sizeof(info);
		if (!bpf_btf_get_info_by_fd(fd, &info, &len) && info.kernel_btf &&
		    !strcmp(said, name))
			return fd;
		close(fd);
	}
	*obj_id = 0;
	return 0;
}

/* A number from the environment, for runs that take longer than a test should. */
static inline int env_number(const char *name, int dflt)
{
	const char *val = getenv(name);

	return val ? atoi(val) : dflt;
}

#endif /* __TRACING_MULTI_HELPERS_H */
