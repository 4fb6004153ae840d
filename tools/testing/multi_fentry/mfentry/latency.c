// SPDX-License-Identifier: GPL-2.0
/*
 * mfentry latency: how late tasks wake up while a program counts all calls
 *
 * cyclictest measures it under a load, first with nothing attached and then with a
 * light program on all functions. Its results become part of this program's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/libbpf.h>

#include "mfentry.h"
#include "mfentry.skel.h"

#define REPEAT		10000

/*
 * In microseconds, up to ten milliseconds. The interval is no part of a tick's period:
 * wakeups meet the tick at every distance, not at the one that the start gives.
 */
#define CYCLICTEST	"cyclictest --smp --mlockall --priority=80 --interval=307 --loops=%d" \
			" --quiet --histogram=10000 --histfile=/dev/null" \
			" --json=/dev/fd/3 3>&1 >/dev/null"

/* It writes JSON: a member of @f's is called @name. */
static void measure(FILE *f, const char *name)
{
	char *command, buf[4096];
	size_t len, sum = 0;
	FILE *p;

	if (asprintf(&command, CYCLICTEST, opt.repeat ?: REPEAT) < 0)
		die("out of memory");
	fprintf(f, ",\n\"%s\": ", name);
	fflush(f);
	load_start();
	p = popen(command, "r");
	if (!p)
		die("%s: %s", command, strerror(errno));
	while ((len = fread(buf, 1, sizeof(buf), p))) {
		fwrite(buf, 1, len, f);
		sum += len;
	}
	if (pclose(p) || !sum)
		die("cyclictest failed (Debian has it in rt-tests)");
	load_stop();
	free(command);
}

static __u64 all_calls(struct mfentry_bpf *skel)
{
	size_t i, slots = bpf_map__max_entries(skel->maps.calls);
	const __u64 *counts = map_counts(skel);
	__u64 sum = 0;

	for (i = 0; i < slots; i++)
		sum += counts[i];
	return sum;
}

void cmd_latency(void)
{
	struct mfentry_bpf *skel;
	struct bpf_link *link;
	struct funcs funcs;
	FILE *f;

	if (!opt.json)
		die("latency needs --json");
	funcs_collect(&funcs);
	skel = load_programs(&funcs);
	wait_untraced();
	f = json_open(opt.json, "latency");
	fprintf(f, ",\n\"functions\": %zu", funcs.cnt);
	measure(f, "alone");
	link = attach_funcs(skel->progs.count_calls, &funcs, NULL);
	measure(f, "beside");
	fprintf(f, ",\n\"calls\": %llu", all_calls(skel));
	json_close(f, opt.json);
	detach(link, NULL);
	mfentry_bpf__destroy(skel);
}
