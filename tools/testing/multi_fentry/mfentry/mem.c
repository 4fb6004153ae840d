// SPDX-License-Identifier: GPL-2.0
/*
 * How much memory does the kernel use?
 *
 * The free memory would tell in principle, but it moves with page cache, user
 * memory and half-filled slabs: far too noisy for hundreds of bytes a function.
 * So add up what kernel code allocates from, each as exactly as it can be had:
 *
 *   slab        objects in use times their size, of every cache. SLUB counts the
 *               free objects that CPUs and barns hold back as used, therefore
 *               shrink all caches first, which flushes them.
 *   large       kmalloc() of more than the largest cache gets whole pages, which
 *               the system counts as slab but no cache does.
 *   percpu      pages of the per-CPU allocator, which keeps what it once had
 *   vmalloc     pages of vmalloc(), kvmalloc() and JIT images; packs of images
 *               come in 2 MiB, so this goes in big steps
 *   pagetables  kernel page tables among them
 *
 * The counters behind /proc/meminfo gather in per-CPU parts: vm.stat_refresh
 * folds those. Much of the memory is freed after RCU and RCU tasks grace
 * periods, so wait until the sum stands still.
 *
 * As a cross-check, "pages" is what is neither free nor user memory nor page
 * cache; it should move by a similar amount, with a noise of some 100 KB.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mfentry.h"

#define SLAB_DIR	"/sys/kernel/slab"
#define STEP_US		200000
#define STEADY_BYTES	8192	/* two samples this close are equal */
#define STEADY_STEPS	5	/* so many in a row: it stands still */
#define MAX_STEPS	150

static void write_one(const char *path)
{
	int fd = open(path, O_WRONLY);

	/* A kernel without this file only measures less exactly. */
	if (fd < 0)
		return;
	if (write(fd, "1", 1) < 0 && errno == EACCES)
		die("%s: %s (not root?)", path, strerror(errno));
	close(fd);
}

static void shrink_slabs(void)
{
	char path[PATH_MAX];
	struct dirent *e;
	DIR *d;

	d = opendir(SLAB_DIR);
	if (!d)
		die("%s: %s", SLAB_DIR, strerror(errno));
	while ((e = readdir(d))) {
		/* Symbolic links are further names of merged caches. */
		if (e->d_name[0] == '.' || e->d_type == DT_LNK)
			continue;
		snprintf(path, sizeof(path), SLAB_DIR "/%s/shrink", e->d_name);
		write_one(path);
	}
	closedir(d);
}

/* Bytes of objects in use; *pages gets the bytes of their slabs. */
static __s64 read_slabinfo(__s64 *slabs)
{
	unsigned long long active, objs, size, per_slab, pages, nr_slabs;
	long page_size = sysconf(_SC_PAGESIZE);
	__s64 bytes = 0;
	char line[512], *data;
	FILE *f;

	f = fopen("/proc/slabinfo", "r");
	if (!f)
		die("/proc/slabinfo: %s", strerror(errno));
	*slabs = 0;
	while (fgets(line, sizeof(line), f)) {
		data = strstr(line, ": slabdata");
		if (!data || sscanf(data, ": slabdata %*u %llu", &nr_slabs) != 1 ||
		    sscanf(line, "%*s %llu %llu %llu %llu %llu",
			   &active, &objs, &size, &per_slab, &pages) != 5)
			continue;
		bytes += active * size;
		*slabs += nr_slabs * pages * page_size;
	}
	fclose(f);
	if (!bytes)
		die("/proc/slabinfo: no caches in it");
	return bytes;
}

static __s64 read_field(const char *text, const char *field)
{
	const char *p = strstr(text, field);

	/* The start of a line, not the end of another field's name. */
	while (p && p != text && p[-1] != '\n')
		p = strstr(p + 1, field);
	if (!p)
		die("/proc/meminfo: no %s", field);
	return strtoll(p + strlen(field), NULL, 10) * 1024;
}

static void mem_read(struct mem *m)
{
	char text[8192];
	__s64 slabs;
	ssize_t len;
	int fd;

	write_one("/proc/sys/vm/stat_refresh");
	m->slab = read_slabinfo(&slabs);
	fd = open("/proc/meminfo", O_RDONLY);
	len = read(fd, text, sizeof(text) - 1);
	if (len <= 0)
		die("/proc/meminfo: %s", strerror(errno));
	close(fd);
	text[len] = '\0';

	m->large = read_field(text, "Slab:") - slabs;
	m->percpu = read_field(text, "Percpu:");
	m->vmalloc = read_field(text, "VmallocUsed:");
	m->pagetables = read_field(text, "PageTables:");
	m->total = m->slab + m->large + m->percpu + m->vmalloc + m->pagetables;
	m->pages = read_field(text, "MemTotal:") - read_field(text, "MemFree:") -
		   read_field(text, "Buffers:") - read_field(text, "Cached:") -
		   read_field(text, "AnonPages:");
}

/**
 * mem_quiesce - let pending work of earlier measurements end
 *
 * Not as thorough as mem_settle(), for where no memory is measured.
 */
void mem_quiesce(void)
{
	/* This waits for an RCU grace period. */
	syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	usleep(2 * STEP_US);
}

/**
 * wait_untraced - wait until the functions of links that are closed are left
 *
 * close() only has to stop their programs. Nothing else may trace functions.
 */
void wait_untraced(void)
{
	const char *path = TRACEFS "/enabled_functions";
	int c, i;
	FILE *f;

	for (i = 0; i < MAX_STEPS; i++) {
		mem_quiesce();
		f = fopen(path, "r");
		if (!f)
			die("%s: %s", path, strerror(errno));
		c = fgetc(f);
		fclose(f);
		if (c == EOF)
			return;
	}
	die("functions are traced that no link is attached to");
}

/**
 * mem_settle - measure the kernel's memory once it stands still
 * @m: filled in
 */
void mem_settle(struct mem *m)
{
	struct mem last = {};
	int steady = 0, i;

	for (i = 0; i < MAX_STEPS && steady < STEADY_STEPS; i++) {
		syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
		usleep(STEP_US);
		shrink_slabs();
		mem_read(m);
		if (llabs(m->total - last.total) <= STEADY_BYTES)
			steady++;
		else
			steady = 0;
		last = *m;
	}
	if (steady < STEADY_STEPS)
		note("kernel memory did not settle: the numbers are inexact");
}

struct mem mem_delta(const struct mem *after, const struct mem *before)
{
	return (struct mem) {
		.total = after->total - before->total,
		.slab = after->slab - before->slab,
		.large = after->large - before->large,
		.percpu = after->percpu - before->percpu,
		.vmalloc = after->vmalloc - before->vmalloc,
		.pagetables = after->pagetables - before->pagetables,
		.pages = after->pages - before->pages,
	};
}

void mem_json(FILE *f, const char *name, const struct mem *m)
{
	fprintf(f, "\"%s\": {\"total\": %lld, \"slab\": %lld, \"large\": %lld, ",
		name, m->total, m->slab, m->large);
	fprintf(f, "\"percpu\": %lld, \"vmalloc\": %lld, \"pagetables\": %lld, \"pages\": %lld}",
		m->percpu, m->vmalloc, m->pagetables, m->pages);
}

/**
 * count_bodies - count the trampolines that exist
 *
 * Each generated image has a symbol bpf_trampoline_*; one image has one symbol.
 * The kernel walks its list from the start for each of them, so this takes
 * a quadratic time: seconds with one trampoline a function.
 *
 * Return: the number of trampoline symbols.
 */
size_t count_bodies(void)
{
	char line[1024];
	size_t cnt = 0;
	FILE *f;

	f = fopen("/proc/kallsyms", "r");
	if (!f)
		die("/proc/kallsyms: %s", strerror(errno));
	while (fgets(line, sizeof(line), f))
		if (strstr(line, " bpf_trampoline_") && strstr(line, "[bpf]"))
			cnt++;
	fclose(f);
	return cnt;
}

/**
 * settled_bodies - count the trampolines once those of links that are gone are freed
 *
 * Return: the number of trampoline symbols.
 */
size_t settled_bodies(void)
{
	struct mem m;

	mem_settle(&m);
	return count_bodies();
}
