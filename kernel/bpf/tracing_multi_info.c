// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a tracing_multi link tells about itself.
 */
#include <linux/bpf.h>
#include <linux/cred.h>
#include <linux/kallsyms.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "trampoline_set.h"
#include "tracing_multi.h"

/* Calls @fn for each function, by BTF object and id, until it returns an error. */
static int link_for_each(struct bpf_tracing_multi *multi,
			 int (*fn)(const struct bpf_tracing_multi *multi, u32 obj_id, u32 i,
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

/* What is copied under the mutex of the engine, NULL for what nobody asks for */
struct info_copy {
	unsigned long *ips;
	u32 *indexes;
	u64 *keys;
	struct bpf_tracing_multi_set *sets;
	u32 nr_sets;
};

static u64 set_key(const struct bpf_tramp_set *set)
{
	return set->tr ? set->tr->key : 0;
}

static int copy_func(const struct bpf_tracing_multi *multi, u32 obj_id, u32 i, void *data)
{
	const struct info_copy *copy = data;
	const struct bpf_tramp_site *site;

	if (multi->ips)
		site = bpf_tramp_site_find_ip(multi->ips[i]);
	else
		site = bpf_tramp_site_find(obj_id, multi->ids[i]);
	if (copy->ips && !multi->ips)
		copy->ips[i] = site ? site->ip : 0;
	if (copy->indexes)
		copy->indexes[i] = bpf_tracing_multi_data_index(multi, site);
	if (copy->keys)
		copy->keys[i] = site ? set_key(site->set) : 0;
	return 0;
}

/* The sets of the link that have functions: not more than it has functions. */
static void copy_sets(const struct bpf_tracing_multi *multi, struct info_copy *copy)
{
	const struct bpf_tramp_tuple *t;

	list_for_each_entry(t, &multi->tuples, link_node) {
		if (!t->set->nr_sites)
			continue;
		if (WARN_ON_ONCE(copy->nr_sets == multi->cnt))
			return;
		copy->sets[copy->nr_sets++] = (struct bpf_tracing_multi_set){
			.key = set_key(t->set),
			.count = t->set->nr_sites,
			.image_size = bpf_tramp_body_size(t->set),
			.thunks_size = bpf_tramp_thunks_size(t->set),
		};
	}
}

/* Takes the copies for which there is memory. Who does not need the mutex waits for nobody. */
static int info_copy(struct bpf_tracing_multi *multi, struct info_copy *copy)
{
	bool funcs = (copy->ips && !multi->ips) || copy->indexes || copy->keys;

	if (copy->ips && multi->ips)
		memcpy(copy->ips, multi->ips, multi->cnt * sizeof(*copy->ips));
	if (!funcs && !copy->sets)
		return 0;
	if (mutex_lock_killable(&bpf_tramp_sets_mutex))
		return -EINTR;
	if (funcs)
		link_for_each(multi, copy_func, copy);
	if (copy->sets)
		copy_sets(multi, copy);
	mutex_unlock(&bpf_tramp_sets_mutex);
	return 0;
}

static void info_free(struct info_copy *copy)
{
	kvfree(copy->ips);
	kvfree(copy->indexes);
	kvfree(copy->keys);
	kvfree(copy->sets);
}

/* The caller's arrays, NULL for those that it does not ask for */
struct info_arrays {
	u32 __user *ids;
	u32 __user *obj_ids;
	u64 __user *addrs;
	u64 __user *cookies;
	u32 __user *data_indexes;
	u64 __user *set_keys;
	void __user *sets;
	u32 cnt;
	u32 set_size;
	struct info_copy copy;
};

static int info_put(const struct bpf_tracing_multi *multi, u32 obj_id, u32 i, void *data)
{
	const struct info_arrays *to = data;
	u64 addr;

	if (i >= to->cnt)
		return -ENOSPC;
	if (to->ids && put_user(multi->ids[i], to->ids + i))
		return -EFAULT;
	if (to->obj_ids && put_user(obj_id, to->obj_ids + i))
		return -EFAULT;
	/* NULL: they are not to be seen */
	addr = to->copy.ips ? to->copy.ips[i] : 0;
	if (to->addrs && put_user(addr, to->addrs + i))
		return -EFAULT;
	if (to->cookies && put_user(multi->cookies ? multi->cookies[i] : 0, to->cookies + i))
		return -EFAULT;
	if (to->data_indexes && put_user(to->copy.indexes[i], to->data_indexes + i))
		return -EFAULT;
	if (to->set_keys && put_user(to->copy.keys[i], to->set_keys + i))
		return -EFAULT;
	return 0;
}

static int info_put_sets(const struct info_arrays *to)
{
	const struct info_copy *copy = &to->copy;
	u32 i;
	int err;

	for (i = 0; i < copy->nr_sets; i++) {
		err = copy_struct_to_user(to->sets + (size_t)i * to->set_size, to->set_size,
					  &copy->sets[i], sizeof(copy->sets[i]), NULL);
		if (err)
			return err;
		cond_resched();
	}
	return 0;
}

/* The BTF object of all functions, 0 if there is more than one. */
static u32 link_obj_id(struct bpf_tracing_multi *multi)
{
	struct bpf_tracing_multi_btf *obj;
	unsigned long obj_id;

	xa_for_each(&multi->btfs, obj_id, obj)
		if (obj->cnt)
			return obj->cnt == multi->cnt ? obj_id : 0;
	return 0;
}

static int info_alloc(const struct bpf_tracing_multi *multi, struct info_arrays *to)
{
	struct info_copy *copy = &to->copy;
	bool ips = to->addrs && kallsyms_show_value(current_cred());

	if (ips)
		copy->ips = kvmalloc_objs(*copy->ips, multi->cnt, GFP_KERNEL_ACCOUNT);
	if (to->data_indexes)
		copy->indexes = kvmalloc_objs(*copy->indexes, multi->cnt, GFP_KERNEL_ACCOUNT);
	if (to->set_keys)
		copy->keys = kvmalloc_objs(*copy->keys, multi->cnt, GFP_KERNEL_ACCOUNT);
	if (to->sets)
		copy->sets = kvmalloc_objs(*copy->sets, multi->cnt, GFP_KERNEL_ACCOUNT);
	if ((ips && !copy->ips) || (to->data_indexes && !copy->indexes) ||
	    (to->set_keys && !copy->keys) || (to->sets && !copy->sets))
		return -ENOMEM;
	return 0;
}

static int info_fill_arrays(struct bpf_tracing_multi *multi, struct info_arrays *to)
{
	int err;

	err = info_alloc(multi, to) ?: info_copy(multi, &to->copy) ?:
	      link_for_each(multi, info_put, to) ?: info_put_sets(to);
	info_free(&to->copy);
	return err;
}

/**
 * bpf_tracing_multi_fill_info - tell user space about a link
 * @link: the link
 * @info: gets it; says which arrays user space wants, and how long they are
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex for indexes, keys and sets, and for
 *          addresses of a link whose sites are known by its ids.
 * Return: 0, -EINVAL, -EFAULT or -ENOMEM, -ENOSPC if the arrays are too short, -ENOENT
 *         if the link has no data and the indexes of data are asked for, -E2BIG if the
 *         elements of sets are longer than a page, -EINTR if the caller is killed while
 *         it waits.
 */
int bpf_tracing_multi_fill_info(const struct bpf_link *link, struct bpf_link_info *info)
{
	struct bpf_tracing_multi *multi = bpf_tracing_multi(link);
	struct info_arrays to = {
		.ids = u64_to_user_ptr(info->tracing_multi.ids),
		.obj_ids = u64_to_user_ptr(info->tracing_multi.btf_obj_ids),
		.addrs = u64_to_user_ptr(info->tracing_multi.addrs),
		.cookies = u64_to_user_ptr(info->tracing_multi.cookies),
		.data_indexes = u64_to_user_ptr(info->tracing_multi.data_indexes),
		.set_keys = u64_to_user_ptr(info->tracing_multi.set_keys),
		.sets = u64_to_user_ptr(info->tracing_multi.sets),
		.cnt = info->tracing_multi.count,
		.set_size = info->tracing_multi.set_size,
	};
	bool any = to.ids || to.obj_ids || to.addrs || to.cookies || to.data_indexes ||
		   to.set_keys || to.sets;
	int err;

	if ((any && !to.cnt) || (to.sets && !to.set_size) || info->tracing_multi.reserved)
		return -EINVAL;
	if (to.sets && to.set_size > PAGE_SIZE)
		return -E2BIG;
	if (to.data_indexes && !multi->data)
		return -ENOENT;

	info->tracing_multi.attach_type = link->attach_type;
	info->tracing_multi.count = multi->cnt;
	info->tracing_multi.skipped = multi->skipped;
	info->tracing_multi.btf_obj_id = link_obj_id(multi);
	info->tracing_multi.data_map_id = multi->data ? multi->data->id : 0;
	info->tracing_multi.nr_sets = 0;
	if (!any)
		return 0;
	err = info_fill_arrays(multi, &to);
	info->tracing_multi.nr_sets = to.copy.nr_sets;
	return err;
}

#ifdef CONFIG_PROC_FS
struct fdinfo {
	struct seq_file *seq;
	struct info_copy copy;
};

static int fdinfo_show(const struct bpf_tracing_multi *multi, u32 obj_id, u32 i, void *data)
{
	const struct fdinfo *info = data;
	const unsigned long *ips = info->copy.ips;

	seq_printf(info->seq, "%u\t %u\t %llu\t %pS\n", obj_id, multi->ids[i],
		   multi->cookies ? multi->cookies[i] : 0, (void *)(ips ? ips[i] : 0));
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
	struct bpf_tracing_multi *multi = bpf_tracing_multi(link);
	struct fdinfo info = { .seq = seq };

	info.copy.ips = kvmalloc_objs(*info.copy.ips, multi->cnt, GFP_KERNEL_ACCOUNT);
	/* who is killed meanwhile does not read on */
	if (info_copy(multi, &info.copy))
		goto out;
	seq_printf(seq, "attach_type:\t%u\n", link->attach_type);
	seq_printf(seq, "cnt:\t%u\n", multi->cnt);
	seq_printf(seq, "skipped:\t%u\n", multi->skipped);
	if (multi->data)
		seq_printf(seq, "data_map_id:\t%u\n", multi->data->id);
	seq_printf(seq, "%s\t %s\t %s\t %s\n", "obj-id", "btf-id", "cookie", "func");
	link_for_each(multi, fdinfo_show, &info);
out:
	info_free(&info.copy);
}
#endif
