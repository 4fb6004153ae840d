// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is done with sets when nobody attaches: tidying, which need not be done before
 * close() returns, and having the functions of modules that go leave.
 */
#include <linux/init.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/workqueue.h>

#include "trampoline.h"
#include "trampoline_set.h"

/* Links that go together are tidied up after together. */
#define TIDY_DELAY	(HZ / 50)
#define TIDY_RETRY	(1UL * HZ)
#define TIDY_RETRY_MAX	(64UL * HZ)

static void tidy_work_fn(struct work_struct *work);
static DECLARE_DELAYED_WORK(tidy_work, tidy_work_fn);
/* What has come since does not wait for it. */
static DECLARE_DELAYED_WORK(retry_work, tidy_work_fn);

static void tidy_work_fn(struct work_struct *work)
{
	static unsigned long retry = TIDY_RETRY;
	int err = bpf_tramp_sets_tidy();

	/* ever more rarely; ftrace that has given up stays so */
	if (err && err != -ENODEV)
		queue_delayed_work(bpf_tramp_wq, &retry_work, retry);
	retry = err ? min(2 * retry, TIDY_RETRY_MAX) : TIDY_RETRY;
}

/**
 * bpf_tramp_tidy_later - have bpf_tramp_sets_tidy() called soon
 */
void bpf_tramp_tidy_later(void)
{
	queue_delayed_work(bpf_tramp_wq, &tidy_work, TIDY_DELAY);
}

/**
 * bpf_tramp_tidy_not_now - a link goes, and calls bpf_tramp_tidy_later() after that
 *
 * Detaching can take longer than the time after which tidying begins: links that go
 * one after the other would wait for it each, and have it done as often.
 */
void bpf_tramp_tidy_not_now(void)
{
	cancel_delayed_work(&tidy_work);
}

static int module_going(struct notifier_block *nb, unsigned long val, void *mod)
{
	if (val == MODULE_STATE_GOING)
		bpf_tramp_sets_leave(mod);
	return NOTIFY_OK;
}

static struct notifier_block module_nb = {
	.notifier_call = module_going,
};

static int __init work_init(void)
{
	return register_module_notifier(&module_nb);
}
core_initcall(work_init);
