// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a tracing_multi link tells about itself.
 */
#include <linux/bpf.h>
#include <linux/cred.h>
#include <linux/kallsyms.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "trampoline_set.h"
#include "tracing_multi.h"

/* Calls @fn for each function, by BTF object and id, until it returns an error. */
static int link_for_each(struct bpf_tracing_multi_link *multi,
			 int (*fn)(const struct bpf_tracing_multi_link *multi, u32 obj_id, u32 i,
				   void *data), void *data)
{
	struct bpf_tracing_multi_btf *obj;
	unsigned long obj_id;
	u32 i = 0, end = 0;
	int err;

	xa_for_each(&multi->btfs, obj_id, obj) {
		for (end += obj->cnt; i < end; i++) {
			err = fn(multi, obj_id, i, data);
			if (err)
				return err;
			cond_resched();
		}
	}
	return 0;
}

static int ip_get(const struct bpf_tracing_multi_link *multi, u32 obj_id, u32 i, void *data)
{
	const struct bpf_tramp_site *site = bpf_tramp_site_find(obj_id, multi->ids[i]);
	unsigned long *ips = data;

	ips[i] = site ? site->ip : 0;
	return 0;
}

/* The ftrace locations of the functions, NULL if there is no memory. */
static unsigned long *link_ips(struct bpf_tracing_multi_link *multi)
{
	unsigned long *ips = kvmalloc_objs(*ips, multi->cnt, GFP_KERNEL_ACCOUNT);

	if (ips && multi->ips) {
		memcpy(ips, multi->ips, multi->cnt * sizeof(*ips));
	} else if (ips) {
		guard(mutex)(&bpf_tramp_sets_mutex);
		link_for_each(multi, ip_get, ips);
	}
	return ips;
}

static int index_get(const struct bpf_tracing_multi_link *multi, u32 obj_id, u32 i, void *data)
{
	const struct bpf_tramp_site *site;
	u32 *indexes = data;

	if (multi->ips)
		site = bpf_tramp_site_find_ip(multi->ips[i]);
	else
		site = bpf_tramp_site_find(obj_id, multi->ids[i]);
	indexes[i] = bpf_tracing_multi_data_index(multi, site);
	return 0;
}

/* Which elements of the link's map the functions have, NULL if there is no memory. */
static u32 *link_indexes(struct bpf_tracing_multi_link *multi)
{
	u32 *indexes = kvmalloc_objs(*indexes, multi->cnt, GFP_KERNEL_ACCOUNT);

	if (!indexes)
		return NULL;
	guard(mutex)(&bpf_tramp_sets_mutex);
	link_for_each(multi, index_get, indexes);
	return indexes;
}

/* The caller's arrays, NULL for those that it does not ask for */
struct info_arrays {
	u32 __user *ids;
	u32 __user *obj_ids;
	u64 __user *addrs;
	u64 __user *cookies;
	u32 __user *data_indexes;
	u32 cnt;
	unsigned long *ips;	/* NULL: not to be seen */
	u32 *indexes;
};

static int info_put(const struct bpf_tracing_multi_link *multi, u32 obj_id, u32 i, void *data)
{
	const struct info_arrays *to = data;
	u64 addr;

	if (i >= to->cnt)
		return -ENOSPC;
	if (to->ids && put_user(multi->ids[i], to->ids + i))
		return -EFAULT;
	if (to->obj_ids && put_user(obj_id, to->obj_ids + i))
		return -EFAULT;
	addr = to->ips ? to->ips[i] : 0;
	if (to->addrs && put_user(addr, to->addrs + i))
		return -EFAULT;
	if (to->cookies && put_user(multi->cookies ? multi->cookies[i] : 0, to->cookies + i))
		return -EFAULT;
	if (to->data_indexes && put_user(to->indexes[i], to->data_indexes + i))
		return -EFAULT;
	return 0;
}

/* The BTF object of all functions, 0 if there is more than one. */
static u32 link_obj_id(struct bpf_tracing_multi_link *multi)
{
	struct bpf_tracing_multi_btf *obj;
	unsigned long obj_id;

	xa_for_each(&multi->btfs, obj_id, obj)
		if (obj->cnt)
			return obj->cnt == multi->cnt ? obj_id : 0;
	return 0;
}

/* Gets what info_put() hands out. */
static int info_prepare(struct bpf_tracing_multi_link *multi, struct info_arrays *to)
{
	if (to->addrs && kallsyms_show_value(current_cred())) {
		to->ips = link_ips(multi);
		if (!to->ips)
			return -ENOMEM;
	}
	if (to->data_indexes) {
		to->indexes = link_indexes(multi);
		if (!to->indexes)
			return -ENOMEM;
	}
	return 0;
}

/**
 * bpf_tracing_multi_fill_info - tell user space about a link
 * @link: the link
 * @info: gets it; says which arrays user space wants, and how long they are
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex.
 * Return: 0, -EINVAL, -EFAULT or -ENOMEM, -ENOSPC if the arrays are too short, -ENOENT
 *         if the link has no data and the indexes of data are asked for.
 */
int bpf_tracing_multi_fill_info(const struct bpf_link *link, struct bpf_link_info *info)
{
	struct bpf_tracing_multi_link *multi = bpf_tracing_multi_link(link);
	struct info_arrays to = {
		.ids = u64_to_user_ptr(info->tracing_multi.ids),
		.obj_ids = u64_to_user_ptr(info->tracing_multi.btf_obj_ids),
		.addrs = u64_to_user_ptr(info->tracing_multi.addrs),
		.cookies = u64_to_user_ptr(info->tracing_multi.cookies),
		.data_indexes = u64_to_user_ptr(info->tracing_multi.data_indexes),
		.cnt = info->tracing_multi.count,
	};
	bool any = to.ids || to.obj_ids || to.addrs || to.cookies || to.data_indexes;
	int err;

	if (any && !to.cnt)
		return -EINVAL;
	if (to.data_indexes && !multi->data)
		return -ENOENT;

	info->tracing_multi.attach_type = link->attach_type;
	info->tracing_multi.count = multi->cnt;
	info->tracing_multi.skipped = multi->skipped;
	info->tracing_multi.btf_obj_id = link_obj_id(multi);
	info->tracing_multi.data_map_id = multi->data ? multi->data->id : 0;
	if (!any)
		return 0;
	err = info_prepare(multi, &to) ?: link_for_each(multi, info_put, &to);
	kvfree(to.ips);
	kvfree(to.indexes);
	return err;
}

#ifdef CONFIG_PROC_FS
struct fdinfo {
	struct seq_file *seq;
	unsigned long *ips;
};

static int fdinfo_show(const struct bpf_tracing_multi_link *multi, u32 obj_id, u32 i, void *data)
{
	const struct fdinfo *info = data;

	seq_printf(info->seq, "%u\t %u\t %llu\t %pS\n", obj_id, multi->ids[i],
		   multi->cookies ? multi->cookies[i] : 0,
		   (void *)(info->ips ? info->ips[i] : 0));
	return 0;
}

/**
 * bpf_tracing_multi_show_fdinfo - tell about a link in the fdinfo of its descriptors
 * @link: the link
 * @seq: gets it
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex.
 */
void bpf_tracing_multi_show_fdinfo(const struct bpf_link *link, struct seq_file *seq)
{
	struct bpf_tracing_multi_link *multi = bpf_tracing_multi_link(link);
	struct fdinfo info = { .seq = seq, .ips = link_ips(multi) };

	seq_printf(seq, "attach_type:\t%u\n", link->attach_type);
	seq_printf(seq, "cnt:\t%u\n", multi->cnt);
	seq_printf(seq, "skipped:\t%u\n", multi->skipped);
	if (multi->data)
		seq_printf(seq, "data_map_id:\t%u\n", multi->data->id);
	seq_printf(seq, "%s\t %s\t %s\t %s\n", "obj-id", "btf-id", "cookie", "func");
	link_for_each(multi, fdinfo_show, &info);
	kvfree(info.ips);
}
#endif
