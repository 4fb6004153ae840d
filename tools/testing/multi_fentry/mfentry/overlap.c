// SPDX-License-Identifier: GPL-2.0
/*
 * mfentry overlap: many links, each over some of the functions, at random
 *
 * In turn a fentry.multi program, one at the functions' return, and one that asks for
 * the cookie of each function. All are attached, one after the other, and closed. For
 * use by hand: the kernel that it is compared with takes minutes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/libbpf.h>

#include "mfentry.h"
#include "mfentry.skel.h"

#define LINKS		24
#define FUNCS		2000
#define RETURNED_S	10	/* when all memory should be back */

static const struct bpf_program *program(const struct mfentry_bpf *skel, int link)
{
	switch (link % 3) {
	case 0:
		return skel->progs.first;
	case 1:
		return skel->progs.first_exit;
	default:
		return skel->progs.cookie;
	}
}

/* @n of the ids, by a partial shuffle of all of them. */
static void choose(__u32 *ids, size_t cnt, size_t n)
{
	size_t i, j;
	__u32 id;

	for (i = 0; i < n; i++) {
		j = i + rand() % (cnt - i);
		id = ids[i];
		ids[i] = ids[j];
		ids[j] = id;
	}
}

static struct bpf_link *attach_some(const struct bpf_program *prog, const __u32 *ids, size_t n)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts, .ids = ids, .cnt = n);
	__u64 cookies[FUNCS];
	struct bpf_link *link;
	size_t i;

	for (i = 0; i < n; i++)
		cookies[i] = ids[i];
	opts.cookies = cookies;
	link = bpf_program__attach_tracing_multi(prog, NULL, &opts);
	if (!link)
		die("cannot attach to %zu functions: %s", n, strerror(errno));
	return link;
}

static void print(const struct funcs *funcs, const struct cost *attach,
		  const struct cost *closing, const struct cost *det, size_t bodies,
		  const struct mem *after, const struct mem *returned)
{
	printf("%d links to %d of %zu functions\n", LINKS, FUNCS, funcs->cnt);
	printf("  attach          %.3f s\n", attach->ns / 1e9);
	printf("  detach          %.3f s, %.3f s of it close()\n", det->ns / 1e9,
	       closing->ns / 1e9);
	printf("  trampolines     %zu\n", bodies);
	printf("  kernel memory   %.2f MB; %.2f MB after %d s without links\n",
	       after->total / 1e6, returned->total / 1e6, RETURNED_S);
}

void cmd_overlap(void)
{
	struct cost attach, closing, det;
	struct mem before, after, returned;
	struct mfentry_bpf *skels[LINKS];
	struct bpf_link *links[LINKS];
	struct funcs funcs;
	struct func spare;
	size_t bodies;
	__u32 *ids;
	FILE *f;
	int i;

	/* programs of all kinds have to be allowed */
	opt.fexit = true;
	funcs_collect(&funcs);
	spare = funcs_spare(&funcs);
	if (funcs.cnt < FUNCS)
		die("there are only %zu functions", funcs.cnt);
	ids = funcs_ids(&funcs);
	for (i = 0; i < LINKS; i++)
		skels[i] = load_programs(NULL);

	srand(1);
	mem_settle(&before);
	cost_begin(&attach);
	for (i = 0; i < LINKS; i++) {
		choose(ids, funcs.cnt, FUNCS);
		links[i] = attach_some(program(skels[i], i), ids, FUNCS);
	}
	cost_end(&attach);
	mem_settle(&after);
	bodies = count_bodies();

	detach_tidily(links, LINKS, skels[0], &spare, &closing, &det);
	sleep(RETURNED_S);
	mem_settle(&returned);
	after = mem_delta(&after, &before);
	returned = mem_delta(&returned, &before);

	if (opt.json) {
		f = json_open(opt.json, "overlap");
		fprintf(f, ",\n\"links\": %d,\n\"functions\": %d,\n\"of\": %zu,\n\"bodies\": %zu",
			LINKS, FUNCS, funcs.cnt, bodies);
		fprintf(f, ",\n\"attach_ns\": %llu,\n\"close_ns\": %llu", attach.ns, closing.ns);
		fprintf(f, ",\n\"detach_ns\": %llu,\n", det.ns);
		mem_json(f, "mem", &after);
		fputs(",\n", f);
		mem_json(f, "returned", &returned);
		json_close(f, opt.json);
	}
	if (!opt.json || strcmp(opt.json, "-"))
		print(&funcs, &attach, &closing, &det, bodies, &after, &returned);
	for (i = 0; i < LINKS; i++)
		mfentry_bpf__destroy(skels[i]);
	free(ids);
}
