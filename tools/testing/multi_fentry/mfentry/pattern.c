// SPDX-License-Identifier: GPL-2.0
/*
 * mfentry pattern: what it costs to let libbpf find the functions
 *
 * From a BPF object to a program that is attached: by the pattern "*", and, by
 * one system call, to the ids of the same functions. By turns, as the memory
 * that the kernel has at hand differs from one time to the next.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "mfentry.h"
#include "mfentry.skel.h"

#define REPEAT	9

/* One program and nothing else, as a user's object might have it. */
static struct mfentry_bpf *load_one(void)
{
	struct mfentry_bpf *skel = mfentry_bpf__open();
	struct bpf_program *prog;

	if (!skel)
		die("cannot open the BPF programs: %s", strerror(errno));
	bpf_object__for_each_program(prog, skel->obj)
		bpf_program__set_autoload(prog, prog == first_program(skel));
	if (mfentry_bpf__load(skel))
		die("cannot load the BPF program: %s", strerror(errno));
	return skel;
}

static __u64 start_by_pattern(struct mfentry_bpf **skel, struct bpf_link **link)
{
	struct cost c;

	cost_begin(&c);
	*skel = load_one();
	*link = bpf_program__attach_tracing_multi(first_program(*skel), "*", NULL);
	if (!*link)
		die("cannot attach to *: %s", strerror(errno));
	cost_end(&c);
	return c.ns;
}

static __u64 start_by_ids(const __u32 *ids, __u32 cnt)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts,
		    .tracing_multi.ids = ids,
		    .tracing_multi.cnt = cnt);
	const struct bpf_program *prog;
	struct mfentry_bpf *skel;
	struct cost c;
	int fd;

	cost_begin(&c);
	skel = load_one();
	prog = first_program(skel);
	fd = bpf_link_create(bpf_program__fd(prog), 0, bpf_program__expected_attach_type(prog),
			     &opts);
	if (fd < 0)
		die("cannot attach to %u functions: %s", cnt, strerror(errno));
	cost_end(&c);
	close(fd);
	mfentry_bpf__destroy(skel);
	return c.ns;
}

void cmd_pattern(void)
{
	__u64 pattern[REPEAT], bare[REPEAT], p, b;
	int i, repeat = opt.repeat ?: REPEAT;
	struct mfentry_bpf *skel;
	struct bpf_link *link;
	__u32 *ids, cnt;
	FILE *f;

	if (repeat > REPEAT)
		die("--repeat takes at most %d", REPEAT);
	for (i = 0; i < repeat; i++) {
		wait_untraced();
		pattern[i] = start_by_pattern(&skel, &link);
		ids = link_ids(link, &cnt);
		detach(link, NULL);
		mfentry_bpf__destroy(skel);
		wait_untraced();
		bare[i] = start_by_ids(ids, cnt);
		free(ids);
	}
	p = median(pattern, repeat);
	b = median(bare, repeat);
	if (opt.json) {
		f = json_open(opt.json, "pattern");
		fprintf(f, ",\n\"functions\": %u,\n\"repeat\": %d,\n", cnt, repeat);
		fprintf(f, "\"pattern_ns\": %llu,\n\"ids_ns\": %llu", p, b);
		json_close(f, opt.json);
	}
	if (!opt.json || strcmp(opt.json, "-"))
		printf("%u functions: %.3f s by pattern, %.3f s by ids, %.2f times\n", cnt,
		       p / 1e9, b / 1e9, (double)p / b);
}
