// SPDX-License-Identifier: GPL-2.0
/*
 * mfentry overlap: many links, each over some of the functions, at random or by the
 * patterns of their names that tools are given
 *
 * In turn a fentry.multi program, one at the functions' return, and one that asks for
 * the cookie of each function. All are attached, one after the other, and closed. With
 * --memory the kernel's memory is measured after each. That shrinks its caches, so the
 * next one takes longer to attach: what it takes is for a run without. For use by hand:
 * the kernel that it is compared with takes minutes.
 */
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/resource.h>
#include <bpf/libbpf.h>

#include "mfentry.h"
#include "mfentry.skel.h"

#define LINKS		24
#define FUNCS		2000
#define RETURNED_S	10	/* when all memory should be back */

/* One a link; there are more of them than LINKS. */
static const char * const patterns[] = {
	"tcp_*", "*tcp*", "tcp_v4_*", "tcp_rcv_*", "*_rcv*", "ip_*", "ip6_*", "inet_*",
	"udp_*", "*udp*", "sock_*", "sk_*", "skb_*", "*skb*", "net_*", "dev_*",
	"*_xmit*", "napi_*", "neigh_*", "*route*", "vfs_*", "*_read*", "*_write*", "*_open*",
	"*_release", "do_*", "__do_*", "__x64_sys_*", "*sys_*", "ext4_*", "ext4_mb_*", "*ext4*",
	"bio_*", "blk_*", "blk_mq_*", "*request*", "folio_*", "*folio*", "filemap_*", "*page*",
	"mm_*", "vma_*", "*mmap*", "*_fault*", "kmem_*", "*alloc*", "*free*", "*_destroy*",
	"sched_*", "*_task*", "wake_*", "*wait*", "mutex_*", "*lock*", "rcu_*", "*timer*",
	"irq_*", "*irq*", "*work*", "signal_*", "proc_*", "*cgroup*", "security_*", "*init*",
};

/* What one link took. */
struct one {
	size_t funcs;
	struct cost attach;
	struct mem after;	/* with all links up to this one, if opt.memory */
};

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

/* FUNCS of the ids, by a partial shuffle of all of them. */
static void choose(__u32 *ids, size_t cnt)
{
	size_t i, j;
	__u32 id;

	for (i = 0; i < FUNCS; i++) {
		j = i + rand() % (cnt - i);
		id = ids[i];
		ids[i] = ids[j];
		ids[j] = id;
	}
}

static struct bpf_link *attach_some(const struct bpf_program *prog, const __u32 *ids, size_t n,
				    struct cost *c)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts, .ids = ids, .cnt = n);
	__u64 *cookies = xcalloc(n, sizeof(*cookies));
	struct bpf_link *link;
	size_t i;

	for (i = 0; i < n; i++)
		cookies[i] = ids[i];
	opts.cookies = cookies;
	cost_begin(c);
	link = bpf_program__attach_tracing_multi(prog, NULL, &opts);
	if (!link)
		die("cannot attach to %zu functions: %s", n, strerror(errno));
	cost_end(c);
	free(cookies);
	return link;
}

static size_t match(__u32 *ids, const struct funcs *funcs, const char *pattern)
{
	size_t i, n = 0;

	for (i = 0; i < funcs->cnt; i++)
		if (!fnmatch(pattern, funcs->v[i].name, 0))
			ids[n++] = funcs->v[i].id;
	if (!n)
		die("no function is called %s", pattern);
	return n;
}

static void attach_all(struct bpf_link **links, struct one *ones, struct mfentry_bpf **skels,
		       int nr, const struct funcs *funcs)
{
	__u32 *ids = funcs_ids(funcs);
	struct one *one;
	int i;

	srand(1);
	for (i = 0; i < nr; i++) {
		one = &ones[i];
		one->funcs = FUNCS;
		if (opt.patterns)
			one->funcs = match(ids, funcs, patterns[i]);
		else
			choose(ids, funcs->cnt);
		links[i] = attach_some(program(skels[i], i), ids, one->funcs, &one->attach);
		if (opt.memory)
			mem_settle(&one->after);
	}
	free(ids);
}

static void ones_json(FILE *f, const struct one *ones, int nr, const struct mem *before)
{
	struct mem mem;
	int i;

	fputs(",\n\"each\": [\n", f);
	for (i = 0; i < nr; i++) {
		fprintf(f, "  {\"functions\": %zu, \"attach_ns\": %llu", ones[i].funcs,
			ones[i].attach.ns);
		if (opt.memory) {
			mem = mem_delta(&ones[i].after, before);
			fputs(",\n   ", f);
			mem_json(f, "mem", &mem);
		}
		fputs(i < nr - 1 ? "},\n" : "}\n]", f);
	}
}

static void print(int nr, size_t sum, const struct cost *attach, const struct cost *closing,
		  const struct cost *det, size_t bodies, const struct mem *after,
		  const struct mem *returned)
{
	printf("%d links to %zu functions\n", nr, sum);
	printf("  attach          %.3f s\n", attach->ns / 1e9);
	printf("  detach          %.3f s, %.3f s of it close()\n", det->ns / 1e9,
	       closing->ns / 1e9);
	printf("  trampolines     %zu\n", bodies);
	printf("  kernel memory   %.2f MB; %.2f MB after %d s without links\n",
	       after->total / 1e6, returned->total / 1e6, RETURNED_S);
}

/* Each skeleton has a descriptor for all of its programs and maps. */
static void allow_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

void cmd_overlap(void)
{
	int i, nr = opt.patterns ? ARRAY_SIZE(patterns) : LINKS;
	struct mfentry_bpf *skels[ARRAY_SIZE(patterns)];
	struct bpf_link *links[ARRAY_SIZE(patterns)];
	struct one ones[ARRAY_SIZE(patterns)];
	struct cost attach = {}, closing, det;
	struct mem before, after, returned;
	struct funcs funcs;
	struct func spare;
	size_t bodies, sum = 0;
	FILE *f;

	allow_files();
	/* programs of all kinds have to be allowed */
	opt.fexit = true;
	funcs_collect(&funcs);
	spare = funcs_spare(&funcs);
	if (funcs.cnt < FUNCS)
		die("there are only %zu functions", funcs.cnt);
	for (i = 0; i < nr; i++)
		skels[i] = load_programs(NULL);

	mem_settle(&before);
	attach_all(links, ones, skels, nr, &funcs);
	for (i = 0; i < nr; i++) {
		sum += ones[i].funcs;
		attach.ns += ones[i].attach.ns;
	}
	mem_settle(&after);
	bodies = count_bodies();

	detach_tidily(links, nr, skels[0], &spare, &closing, &det);
	sleep(RETURNED_S);
	mem_settle(&returned);
	after = mem_delta(&after, &before);
	returned = mem_delta(&returned, &before);

	if (opt.json) {
		f = json_open(opt.json, opt.patterns ? "patterns" : "overlap");
		fprintf(f, ",\n\"links\": %d,\n\"functions\": %zu,\n\"of\": %zu,\n\"bodies\": %zu",
			nr, sum, funcs.cnt, bodies);
		fprintf(f, ",\n\"attach_ns\": %llu,\n\"close_ns\": %llu", attach.ns, closing.ns);
		fprintf(f, ",\n\"detach_ns\": %llu,\n", det.ns);
		mem_json(f, "mem", &after);
		fputs(",\n", f);
		mem_json(f, "returned", &returned);
		ones_json(f, ones, nr, &before);
		json_close(f, opt.json);
	}
	if (!opt.json || strcmp(opt.json, "-"))
		print(nr, sum, &attach, &closing, &det, bodies, &after, &returned);
	for (i = 0; i < nr; i++)
		mfentry_bpf__destroy(skels[i]);
}
