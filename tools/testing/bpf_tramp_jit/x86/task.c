// SPDX-License-Identifier: GPL-2.0-only
/* The task and the CPU that the kernel's own code runs in, when costs are measured */
#include <linux/percpu.h>
#include <linux/sched.h>
#include <generated/rq-offsets.h>

static struct task_struct task = { .cpus_ptr = &task.cpus_mask };

DEFINE_PER_CPU_CACHE_HOT(struct task_struct *, current_task) = &task;
DEFINE_PER_CPU_CACHE_HOT(unsigned long, this_cpu_off);

/* migrate_disable() counts tasks in it. */
struct rq {
	char other[RQ_nr_pinned];
	unsigned int nr_pinned;
};

DEFINE_PER_CPU_SHARED_ALIGNED(struct rq, runqueues);
