// SPDX-License-Identifier: GPL-2.0-only
/*
 * Images that wait for the tasks in them. No site, gate or entry branches to such
 * an image any more, but functions that were called by way of it return to it.
 *
 * The one invariant: no task enters an image on the list. So its count of tasks
 * only falls, and a task that is in it when a look at all tasks ends was in it when
 * the look came to that task.
 *
 * When the count is zero the image is freed. But a task that dies inside a traced
 * function, as in get_signal() or kthread(), never returns, and is counted for
 * ever. So a look searches the stacks of all tasks, each while it does not run or
 * is interrupted, for words that point into the image: while the function runs the
 * image's frame has one, otherwise it is the return address, or an interrupted
 * register, of what the image has called. If there is none, all tasks that the
 * count tells of are dead, and the image is freed.
 *
 * A word that a function has left uninitialized may be found, too. It names an
 * image that its task was in before it went to sleep, and is gone from the searched
 * part of the stack when the task returns. So what a task keeps from being freed
 * is bounded by its stack, and does not grow while it sleeps.
 *
 * There is no poll. A look comes when an image is retired, with a few more at
 * growing distance, as a task may be about to return or to die; and, rate-limited,
 * when an image has been freed or a task has died. A task that sleeps in an image
 * costs nothing but the image. When it returns the next look will see it.
 */
#include <linux/bpf.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/rcupdate_wait.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <trace/events/sched.h>

#include "trampoline.h"

/* Between looks: at least so long, doubled while they free nothing. */
#define WAIT_DELAY	(HZ / 10)
#define WAIT_DELAY_MAX	(64UL * HZ)
/* More looks after an image has been retired, whatever happens. */
#define WAIT_RETRIES	5
/* RCU readers are to be no longer. */
#define WAIT_RCU_BREAK	(HZ / 10)
/* How often a look tries to meet a running task, or to see tasks exit. */
#define WAIT_TRIES	20

static void wait_work_fn(struct work_struct *work);
static DECLARE_DELAYED_WORK(wait_work, wait_work_fn);
static unsigned long wait_delay = WAIT_DELAY;

/* Images that the next look will find retired */
static DEFINE_SPINLOCK(wait_lock);
static LIST_HEAD(wait_new);

/* All others are of the work only: the images, where all of them are, and its stack. */
static LIST_HEAD(wait_images);
static unsigned long wait_start, wait_size;
static void *wait_frame;
static bool wait_watches;

static bool wait_has_users(const struct bpf_tramp_image *im)
{
	unsigned long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*per_cpu_ptr(im->users, cpu));
	return sum;
}

static void wait_found(unsigned long addr)
{
	struct bpf_tramp_image *im;

	list_for_each_entry(im, &wait_images, wait)
		if (addr - (unsigned long)im->image < im->size)
			im->wait_found = true;
}

/* Search a stack from @sp on, or all of it if that is not in it. */
static __no_kmsan_checks void wait_scan_stack(struct task_struct *t, unsigned long sp)
{
	unsigned long addr, stack = (unsigned long)task_stack_page(t);
	const unsigned long *word, *end = (void *)task_pt_regs(t);

	if (sp - stack >= THREAD_SIZE)
		sp = stack;
	for (word = (void *)ALIGN(sp, sizeof(*word)); word < end; word++) {
		addr = arch_bpf_stack_addr(READ_ONCE_NOCHECK(*word));
		if (addr - wait_start < wait_size)
			wait_found(addr);
	}
}

struct wait_running {
	struct task_struct *task;
	bool done;
};

/*
 * A task that runs may have saved nothing yet: the CPU is interrupted. In the idle
 * loop it may call this itself.
 */
static void wait_scan_running(void *data)
{
	void *sp = __builtin_frame_address(0);
	struct wait_running *running = data;

	if (running->task != current)
		return;
	wait_scan_stack(current, object_is_on_stack(sp) ? (unsigned long)sp : arch_bpf_irq_sp());
	running->done = true;
}

/* A task that is on no CPU has saved all, and comes on none meanwhile. */
static int wait_scan_sleeping(struct task_struct *t, void *arg)
{
	if (task_curr(t))
		return -EBUSY;
	wait_scan_stack(t, arch_bpf_task_sp(t));
	return 0;
}

/* Returns: false if the task could not be searched, as it runs now here, now there. */
static bool wait_scan_task(struct task_struct *t)
{
	struct wait_running running = { .task = t };
	int tries;

	if (t == current) {
		wait_scan_stack(t, (unsigned long)wait_frame);
		return true;
	}
	for (tries = 0; tries < WAIT_TRIES && !running.done; tries++) {
		if (!task_call_func(t, wait_scan_sleeping, NULL))
			return true;
		if (smp_call_function_single(task_cpu(t), wait_scan_running, &running, true) &&
		    is_idle_task(t)) {
			/* its CPU is offline */
			wait_scan_stack(t, 0);
			return true;
		}
	}
	return running.done;
}

/* As khungtaskd does. Returns: false if nobody knows where to go on. */
static bool wait_rcu_break(struct task_struct *g, struct task_struct *t)
{
	bool alive;

	get_task_struct(g);
	get_task_struct(t);
	rcu_read_unlock();
	cond_resched();
	rcu_read_lock();
	alive = pid_alive(g) && pid_alive(t);
	put_task_struct(t);
	put_task_struct(g);
	return alive;
}

static bool wait_scan_threads(void)
{
	unsigned long last_break = jiffies;
	struct task_struct *g, *t;
	bool done;

	guard(rcu)();
	for_each_process_thread(g, t) {
		if (time_after(jiffies, last_break + WAIT_RCU_BREAK)) {
			if (!wait_rcu_break(g, t))
				return false;
			last_break = jiffies;
		}
		/* a dead task has none */
		if (!try_get_task_stack(t))
			continue;
		done = wait_scan_task(t);
		put_task_stack(t);
		if (!done)
			return false;
	}
	return true;
}

/*
 * A task that exits may have left the list of tasks before it was searched, and
 * still return to an image. RCU tasks knows such tasks. Those that have come later
 * were searched.
 */
static bool wait_for_exits(void)
{
	int cpu, tries = WAIT_TRIES;

	for_each_possible_cpu(cpu) {
		while (rcu_tasks_cpu_has_exiting(cpu)) {
			if (!tries--)
				return false;
			schedule_timeout_idle(1);
		}
	}
	return true;
}

/* Returns: false if not all tasks could be searched. */
static bool wait_scan(void)
{
	int cpu;

	if (!IS_ENABLED(CONFIG_TASKS_RCU) || !wait_scan_threads())
		return false;
	for_each_possible_cpu(cpu)
		if (idle_task(cpu) && !wait_scan_task(idle_task(cpu)))
			return false;
	return wait_for_exits();
}

/* Returns: true if there are images to search for. */
static bool wait_prepare(void)
{
	unsigned long start, end = 0;
	struct bpf_tramp_image *im;
	bool users = false;

	wait_start = ULONG_MAX;
	list_for_each_entry(im, &wait_images, wait) {
		im->wait_found = false;
		users |= wait_has_users(im);
		start = (unsigned long)im->image;
		wait_start = min(wait_start, start);
		end = max(end, start + im->size);
	}
	wait_size = end - wait_start;
	return users;
}

static bool wait_free(bool scanned)
{
	struct bpf_tramp_image *im, *tmp;
	bool freed = false;

	list_for_each_entry_safe(im, tmp, &wait_images, wait) {
		if (wait_has_users(im) && !(scanned && !im->wait_found))
			continue;
		list_del(&im->wait);
		bpf_tramp_image_left(im);
		freed = true;
	}
	return freed;
}

static void wait_task_freed(void *data, struct task_struct *t)
{
	bpf_tramp_wait_look();
}

/* Watch tasks die as long as images wait. */
static void wait_watch(bool watch)
{
	if (watch == wait_watches)
		return;
	if (!watch)
		unregister_trace_sched_process_free(wait_task_freed, NULL);
	else if (register_trace_sched_process_free(wait_task_freed, NULL))
		return;
	WRITE_ONCE(wait_watches, watch);
}

static void wait_work_fn(struct work_struct *work)
{
	static int retries;
	bool change;

	/* the work's own functions have the images' addresses */
	wait_frame = __builtin_frame_address(0);
	scoped_guard(spinlock_bh, &wait_lock) {
		change = !list_empty(&wait_new);
		list_splice_tail_init(&wait_new, &wait_images);
	}
	if (change)
		retries = WAIT_RETRIES;

	change |= wait_free(wait_prepare() && wait_scan());
	WRITE_ONCE(wait_delay, change ? WAIT_DELAY : min(2 * wait_delay, WAIT_DELAY_MAX));
	wait_watch(!list_empty(&wait_images));
	if (list_empty(&wait_images))
		return;
	/* without memory to watch tasks nothing else would bring it back */
	if (!wait_watches || retries) {
		retries -= !!retries;
		queue_delayed_work(bpf_tramp_wq, &wait_work, wait_delay);
	}
}

/**
 * bpf_tramp_wait_look - look whether images that wait can be freed
 *
 * To be called when something has happened by which that can have changed. The
 * look comes later, the more so the more of them have found nothing.
 *
 * Context: any.
 */
void bpf_tramp_wait_look(void)
{
	if (READ_ONCE(wait_watches) && !delayed_work_pending(&wait_work))
		queue_delayed_work(bpf_tramp_wq, &wait_work, READ_ONCE(wait_delay));
}

/**
 * bpf_tramp_image_wait - free an image as soon as no living task is in it
 * @im: the image, with a count of tasks; no task enters it any more
 *
 * bpf_tramp_image_left() is called then.
 *
 * Context: process or softirq.
 */
void bpf_tramp_image_wait(struct bpf_tramp_image *im)
{
	scoped_guard(spinlock_bh, &wait_lock)
		list_add_tail(&im->wait, &wait_new);
	mod_delayed_work(bpf_tramp_wq, &wait_work, 0);
}
