// SPDX-License-Identifier: GPL-2.0-only
/*
 * Data of each function: a tracing_multi link has an array with one element a function,
 * which its program gets by bpf_attach_data() and user space reads as any array.
 *
 * The verifier knows how much of the element the program uses, so that a program can be
 * attached with any array whose values are large enough. Trampolines put the address of
 * the function's element into the frame, as they do with cookies.
 */
#include <linux/bpf.h>
#include <linux/bpf_verifier.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/filter.h>
#include <linux/init.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "trampoline_set.h"
#include "tracing_multi.h"

static int data_refuse(struct bpf_verifier_log *log, int err, const char *why)
{
	bpf_log(log, "data: %s\n", why);
	return err;
}

/* May the program use @map, and is there an element for each function, of its size? */
static int data_check_map(const struct bpf_map *map, u32 cnt, u32 size,
			  struct bpf_verifier_log *log)
{
	/* an offloaded one has others */
	if (map->ops != &array_map_ops)
		return data_refuse(log, -EINVAL, "the map is no array");
	if (!IS_ERR_OR_NULL(map->record))
		return data_refuse(log, -EINVAL, "values of the map have fields of the kernel's");
	if (map->map_flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG) || map->excl_prog_sha)
		return data_refuse(log, -EPERM, "the program may not read and write the map");
	if (map->value_size < size)
		return data_refuse(log, -EINVAL, "the map's values are less than the program uses");
	if (map->max_entries < cnt)
		return data_refuse(log, -E2BIG, "the map has fewer elements than functions");
	return 0;
}

/**
 * bpf_tracing_multi_data_get - give the functions of a link their elements
 * @funcs: functions; the link gets a reference on the map
 * @attr: what the caller says
 * @log: says what is wrong with the map
 *
 * A function has the element of the caller's id for it. User space may have frozen the
 * map: that is not for programs.
 *
 * Context: may sleep.
 * Return: 0, also if the program does not ask for data; -EBADF or -EINVAL if the
 *         descriptor is none of a map, -EINVAL if there is one and the program does not
 *         ask, or the map is of another kind, or its values are too small; -E2BIG if it
 *         has too few elements; -EPERM if the caller or the program may not write to it,
 *         -EACCES if the program is signed.
 */
int bpf_tracing_multi_data_get(struct bpf_tracing_multi_funcs *funcs, const union bpf_attr *attr,
			       struct bpf_verifier_log *log)
{
	const struct bpf_prog_aux *aux = funcs->link->link.prog->aux;
	struct bpf_array *array;
	struct bpf_map *map;
	u32 i;
	int err;

	if (!aux->attach_data_size)
		return !attr->link_create.tracing_multi.data_map_fd ? 0 :
		       data_refuse(log, -EINVAL, "the program does not call bpf_attach_data()");
	if (aux->sig.verdict == BPF_SIG_VERIFIED)
		return data_refuse(log, -EACCES, "the program's signature does not cover the map");

	CLASS(fd, f)(attr->link_create.tracing_multi.data_map_fd);
	map = __bpf_map_get(f);
	if (IS_ERR(map))
		return data_refuse(log, PTR_ERR(map), "data_map_fd is none of a map");
	if (!(fd_file(f)->f_mode & FMODE_CAN_WRITE))
		return data_refuse(log, -EPERM, "data_map_fd is read-only");
	err = data_check_map(map, funcs->cnt, aux->attach_data_size, log);
	if (err)
		return err;

	bpf_map_inc(map);
	funcs->link->data = map;
	array = container_of(map, struct bpf_array, map);
	for (i = 0; i < funcs->cnt; i++) {
		struct bpf_tramp_req *req = &funcs->reqs[i];

		req->data = (u64)array->value + (u64)array->elem_size * req->index;
		cond_resched();
	}
	return 0;
}

/**
 * bpf_tracing_multi_data_index - tell which element a function has
 * @link: a link that has a map
 * @site: the function, or NULL if it is not known any more
 *
 * Context: under bpf_tramp_sets_mutex.
 * Return: the index in the map, U32_MAX if it is not known.
 */
u32 bpf_tracing_multi_data_index(const struct bpf_tracing_multi *link,
				 const struct bpf_tramp_site *site)
{
	const struct bpf_array *array = container_of(link->data, struct bpf_array, map);
	const struct bpf_tramp_tuple *t;

	if (!site || list_empty(&link->tuples))
		return U32_MAX;
	/* all have the same */
	t = list_first_entry(&link->tuples, struct bpf_tramp_tuple, link_node);
	return (t->cookies->data[site->nr - t->cookies->first] - (u64)array->value) /
	       array->elem_size;
}

/**
 * bpf_attach_data_called - note that the program asks for data
 * @env: the verifier's environment
 * @size: so many bytes of them
 *
 * Return: 0, or -EINVAL if it is nothing.
 */
int bpf_attach_data_called(struct bpf_verifier_env *env, u32 size)
{
	struct bpf_prog *prog = env->prog;

	if (!size) {
		bpf_log(&env->log, "bpf_attach_data() of no bytes\n");
		return -EINVAL;
	}
	prog->call_attach_data = true;
	prog->aux->attach_data_size = max(prog->aux->attach_data_size, size);
	return 0;
}

__bpf_kfunc_start_defs();

/**
 * bpf_attach_data - get what the link's map has for the traced function
 * @ctx: the program's context
 * @rdwr_buf_size: so many bytes of it, a constant
 *
 * For programs of tracing_multi links, which then need a map, see data_map_fd in
 * union bpf_attr. Calls of the function on other CPUs have the same element,
 * and those of a program that runs in an interrupt: use atomic instructions. The
 * verifier has the load in line.
 *
 * Return: the function's element, never NULL.
 */
__bpf_kfunc u8 *bpf_attach_data(void *ctx, const u32 rdwr_buf_size)
{
	return NULL;
}

__bpf_kfunc_end_defs();

BTF_KFUNCS_START(attach_data_ids)
BTF_ID_FLAGS(func, bpf_attach_data, KF_LIGHT)
BTF_KFUNCS_END(attach_data_ids)

static int attach_data_filter(const struct bpf_prog *prog, u32 kfunc_id)
{
	if (!btf_id_set8_contains(&attach_data_ids, kfunc_id))
		return 0;
	return is_tracing_multi(prog->expected_attach_type) ? 0 : -EACCES;
}

static const struct btf_kfunc_id_set attach_data_set = {
	.owner = THIS_MODULE,
	.set = &attach_data_ids,
	.filter = attach_data_filter,
};

static int __init attach_data_init(void)
{
	return register_btf_kfunc_id_set(BPF_PROG_TYPE_TRACING, &attach_data_set);
}
late_initcall(attach_data_init);
