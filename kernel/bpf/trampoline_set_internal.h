/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All that the files of the engine include, so that the user-space test can put its
 * own header in this one's place.
 */
#ifndef _KERNEL_BPF_TRAMPOLINE_SET_INTERNAL_H
#define _KERNEL_BPF_TRAMPOLINE_SET_INTERNAL_H

#include <linux/atomic.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/error-injection.h>
#include <linux/filter.h>
#include <linux/ftrace.h>
#include <linux/hashtable.h>
#include <linux/idr.h>
#include <linux/jhash.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "trampoline.h"
#include "trampoline_set.h"

/* So many sites are patched sooner than tasks are waited for. */
#define BPF_TRAMP_FEW_SITES	64

#endif /* _KERNEL_BPF_TRAMPOLINE_SET_INTERNAL_H */
