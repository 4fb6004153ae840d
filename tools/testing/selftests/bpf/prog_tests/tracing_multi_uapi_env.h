/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __TRACING_MULTI_UAPI_ENV_H
#define __TRACING_MULTI_UAPI_ENV_H

/*
 * Calls of BPF_LINK_CREATE with arguments that are wrong in many ways, and a model that
 * says what is to become of each. It collects the errors that are documented for what is
 * wrong with a call. If there are any, the call must fail with one of them and change
 * nothing; if there is none it must succeed, and do what the model says. To be included
 * after tracing_multi_data.skel.h and tracing_multi_sets.skel.h.
 */
#include <fcntl.h>
#include <linux/kernel.h>
#include <sys/mman.h>
#include "tracing_multi_sets_env.h"
#include "../progs/tracing_multi_data.h"

#define LINK_MAX_FUNCS	0x100000
/* Behind the functions of vmlinux: one of bpf_testmod */
#define FUNC_MOD	SETS_FUNCS
#define IDS_MAX		(SETS_FUNCS + 1)
#define MULTI_END	offsetofend(union bpf_attr, link_create.tracing_multi.fds)
#define COMMON_END	offsetofend(struct bpf_common_attr, log_true_size)
#define PROT_RW		(PROT_READ | PROT_WRITE)
/* Functions that have another link */
#define HELD		0x0f7
#define CLOSED_FD	1000

static unsigned int fuzz_seed;

static inline unsigned int fuzz(unsigned int n)
{
	return rand_r(&fuzz_seed) % n;
}

/* The errors that a call may fail with; it must not succeed if there are any. */
struct errors {
	bool any;
	bool may[600];
};

static inline void may_fail(struct errors *e, int err)
{
	e->any = true;
	e->may[err] = true;
}

static inline bool check_errors(const struct errors *e, int ret, const char *what)
{
	int i;

	if (ret < 0 ? e->may[min(-ret, 599)] : !e->any)
		return true;
	PRINT_FAIL("%s: returned %d, expected%s", what, ret, e->any ? "" : " success");
	for (i = 0; i < 600; i++)
		if (e->may[i])
			printf(" %d", -i);
	printf("\n");
	return false;
}

/* ASSERT_EQ() only for what differs: each round compares many numbers. */
static inline bool check_num(__u64 actual, __u64 expected, const char *what)
{
	return actual == expected || ASSERT_EQ(actual, expected, what);
}

/* Memory between pages that are not mapped */
struct area {
	char *start, *end;
};

enum { IDS, COOKIES, FDS, ATTR, COMMON, LOG, SETS, INFO, AREAS };

struct uapi {
	struct env_sets sets;
	struct tracing_multi_data *data;
	struct area areas[AREAS];
	/* descriptors of BTF objects, of a program and of maps */
	int vmlinux, mod, user, prog, good, few, rdonly, rdonly_prog;
	/* ids of BTF objects */
	__u32 vmlinux_id, mod_id;
	/* ids of types: a function of bpf_testmod, no function, one that must not be traced */
	__u32 mod_func, non_func, denied;
};

static const struct prog {
	const char *name;
	int slot;			/* of env_sets, -1 if it has data */
	bool twice, by_cookie;		/* as to data: runs a call, and what it stores */
} progs[] = {
	{ "ip_1", SETS_IP_1 },
	{ "both_1", SETS_BOTH_1 },
	{ "fexit_1", SETS_FEXIT_1 },
	{ "fexit_2", SETS_FEXIT_2 },
	{ "fsession_1", SETS_FSESSION_1 },
	{ "count_entry", -1 },
	{ "count_exit", -1 },
	{ "count_session", -1, .twice = true },
	{ "count_cookie", -1, .by_cookie = true },
};

static inline const struct prog *find_prog(const char *name)
{
	const struct prog *p = progs;

	while (strcmp(p->name, name))
		p++;
	return p;
}

static inline struct bpf_program *prog_of(const struct uapi *u, const struct prog *p)
{
	return p->slot < 0 ? bpf_object__find_program_by_name(u->data->obj, p->name) :
			     u->sets.slots[p->slot].prog;
}

static inline int map_of(const struct uapi *u, const char *name)
{
	return bpf_object__find_map_fd_by_name(u->data->obj, name);
}

static inline int func_of(const struct uapi *u, __u32 id, bool mod)
{
	int f;

	if (mod)
		return id == u->mod_func ? FUNC_MOD : -1;
	for (f = 0; f < SETS_FUNCS; f++)
		if (u->sets.ids[f] == id)
			return f;
	return -1;
}

static inline bool is_all(const void *p, unsigned char c, size_t len)
{
	return !len || (*(const unsigned char *)p == c && !memcmp(p, p + 1, len - 1));
}

static inline bool is_zero(const void *p, size_t len)
{
	return is_all(p, 0, len);
}

static inline bool readable(const struct uapi *u, __u64 p, __u64 len)
{
	const struct area *a;

	for (a = u->areas; a < u->areas + AREAS; a++)
		if (p >= ptr_to_u64(a->start) && p <= ptr_to_u64(a->end) &&
		    len <= ptr_to_u64(a->end) - p)
			return true;
	return false;
}

/* What is too large is not copied, and no kernel should look at it. */
static inline void *put_at_end(const struct area *a, const void *data, size_t len)
{
	if (len > a->end - a->start)
		return a->start;
	return memcpy(a->end - len, data, len);
}

static inline bool uapi_open(struct uapi *u)
{
	static const char * const denied[] = {
		"migrate_disable", "___migrate_enable", "__rcu_read_lock",
		"rcu_read_unlock_strict", "preempt_count_add",
	};
	size_t page = getpagesize(), len;
	struct btf *mod = NULL;
	int i, id;

	for (i = 0; i < AREAS; i++) {
		struct area *a = &u->areas[i];

		len = i == SETS ? 16 * page : page;
		a->start = mmap(NULL, len + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
				-1, 0);
		if (!ASSERT_NEQ((void *)a->start, MAP_FAILED, "mmap"))
			return false;
		a->start += page;
		a->end = a->start + len;
		if (!ASSERT_OK(mprotect(a->start, len, PROT_RW), "mprotect"))
			return false;
	}
	u->vmlinux = kernel_btf("vmlinux", &u->vmlinux_id);
	u->mod = kernel_btf("bpf_testmod", &u->mod_id);
	if (u->mod >= 0)
		mod = btf__load_module_btf("bpf_testmod", u->sets.btf);
	id = mod ? find_func_id(mod, "bpf_testmod_fentry_test1") : 0;
	u->mod_func = max(id, 0);
	btf__free(mod);
	id = btf__find_by_name_kind(u->sets.btf, "task_struct", BTF_KIND_STRUCT);
	u->non_func = max(id, 0);
	for (i = 0; i < ARRAY_SIZE(denied) && (int)u->denied <= 0; i++)
		u->denied = find_func_id(u->sets.btf, denied[i]);
	u->data = tracing_multi_data__open_and_load();
	if (!ASSERT_OK_PTR(u->data, "open_and_load"))
		return false;
	u->user = bpf_object__btf_fd(u->data->obj);
	u->prog = bpf_program__fd(u->data->progs.single);
	u->good = map_of(u, "good");
	u->few = map_of(u, "few");
	u->rdonly = map_of(u, "rdonly");
	u->rdonly_prog = map_of(u, "rdonly_prog");
	return ASSERT_GE(u->vmlinux, 0, "vmlinux") &&
	       ASSERT_GT(u->non_func, 0, "task_struct");
}

static inline void uapi_close(struct uapi *u)
{
	int i;

	tracing_multi_data__destroy(u->data);
	if (u->vmlinux >= 0)
		close(u->vmlinux);
	if (u->mod >= 0)
		close(u->mod);
	for (i = 0; i < AREAS; i++)
		if (u->areas[i].end)
			munmap(u->areas[i].start - getpagesize(),
			       u->areas[i].end - u->areas[i].start + 2 * getpagesize());
	sets_close(&u->sets);
}

/*
 * BPF_LINK_CREATE
 */

struct request {
	const struct prog *prog;
	__u32 cnt;			/* of the arrays, whatever the kernel is told */
	__u32 size, common_size;	/* of what it gets of @a and @c */
	int prot;			/* of the memory that @c is in */
	struct {
		union bpf_attr attr;
		char tail[32];
	} a;
	struct {
		struct bpf_common_attr common;
		char tail[32];
	} c;
	__u32 ids[IDS_MAX], fds[IDS_MAX];
	__u64 cookies[IDS_MAX];
};

/* What is to become of it: the errors, or the functions that are attached to */
struct expect {
	struct errors errors;
	__u32 mask, skipped, level;
	bool has_data, bad_log;
	int map;
	__u64 cookies[IDS_MAX];
	__u32 indexes[IDS_MAX];
};

static inline void request_init(struct uapi *u, struct request *r, const char *name, __u32 mask)
{
	static const int steps[] = { 1, 3, 7, 9 };
	int i, step = steps[fuzz(4)], f = fuzz(SETS_FUNCS);

	memset(r, 0, sizeof(*r));
	r->prog = find_prog(name);
	for (i = 0; i < SETS_FUNCS; i++, f = (f + step) % SETS_FUNCS) {
		if (!(mask & (1 << f)))
			continue;
		r->cookies[r->cnt] = (__u64)rand_r(&fuzz_seed) << 32 | rand_r(&fuzz_seed);
		r->ids[r->cnt++] = u->sets.ids[f];
	}
	r->size = sizeof(r->a.attr);
	r->prot = PROT_RW;
	r->c.common.log_true_size = 4711;
	r->a.attr.link_create.prog_fd = bpf_program__fd(prog_of(u, r->prog));
	r->a.attr.link_create.attach_type = bpf_program__expected_attach_type(prog_of(u, r->prog));
	r->a.attr.link_create.tracing_multi.ids = ptr_to_u64(u->areas[IDS].start);
	r->a.attr.link_create.tracing_multi.cnt = r->cnt;
	if (r->prog->slot < 0)
		r->a.attr.link_create.tracing_multi.data_map_fd = u->good;
}

static inline void request_vary(struct uapi *u, struct request *r)
{
	union bpf_attr *attr = &r->a.attr;
	int i;

	for (i = 0; i < r->cnt; i++)
		r->fds[i] = fuzz(2) ? u->vmlinux : 0;
	if (u->mod_func && !fuzz(4)) {
		r->ids[r->cnt] = u->mod_func;
		r->fds[r->cnt++] = u->mod;
		attr->link_create.tracing_multi.cnt = r->cnt;
	}
	if (r->fds[r->cnt - 1] || fuzz(2))
		attr->link_create.tracing_multi.fds = ptr_to_u64(u->areas[FDS].start);
	if (fuzz(2))
		attr->link_create.tracing_multi.cookies = ptr_to_u64(u->areas[COOKIES].start);
	if (fuzz(2))
		attr->link_create.flags |= BPF_F_TRACING_MULTI_SKIP;
	if (fuzz(2)) {
		r->common_size = sizeof(r->c.common);
		r->c.common.log_size = 1 + fuzz(600);
		r->c.common.log_buf = ptr_to_u64(u->areas[LOG].end - r->c.common.log_size);
		r->c.common.log_level = fuzz(2) ? 1 : 9;
	}
}

static inline __u64 fuzz_ptr(const struct area *a, size_t len)
{
	switch (fuzz(6)) {
	case 0:
		return 0;
	case 1:
		return ptr_to_u64(a->end);
	case 2:
		return ~0ULL - fuzz(4096);
	case 3:
		/* the last byte is not mapped */
		return ptr_to_u64(a->end - len + 1);
	case 4:
		return ptr_to_u64(a->end - len);
	default:
		return ptr_to_u64(a->start);
	}
}

#define FIELD(kind, field)	{ kind, offsetof(struct request, field) }
#define LINK_FIELD(kind, field)	FIELD(kind, a.attr.link_create.field)

enum { CNT = AREAS, FD, TYPE, FLAGS, SIZE, LOG_LEN, COMMON_LEN, LEVEL, PROT, KINDS };

static const struct field {
	int kind;			/* of area: a pointer to that */
	size_t off;
} fields[] = {
	LINK_FIELD(FD, prog_fd), LINK_FIELD(FD, target_fd), LINK_FIELD(TYPE, attach_type),
	LINK_FIELD(FLAGS, flags), LINK_FIELD(IDS, tracing_multi.ids),
	LINK_FIELD(COOKIES, tracing_multi.cookies), LINK_FIELD(CNT, tracing_multi.cnt),
	LINK_FIELD(FD, tracing_multi.data_map_fd), LINK_FIELD(FDS, tracing_multi.fds),
	FIELD(SIZE, size), FIELD(COMMON_LEN, common_size), FIELD(PROT, prot),
	FIELD(LOG, c.common.log_buf), FIELD(LOG_LEN, c.common.log_size),
	FIELD(LEVEL, c.common.log_level),
};

static inline void mutate_field(struct uapi *u, struct request *r)
{
	const __u32 page = getpagesize(), values[KINDS][8] = {
		[CNT] = { 0, 1, r->cnt - 1, r->cnt, 64, LINK_MAX_FUNCS, LINK_MAX_FUNCS + 1, ~0U },
		[FD] = { ~0U, 0, 1, CLOSED_FD, u->vmlinux, u->user, u->prog, map_of(u, "hash") },
		[TYPE] = { BPF_TRACE_FENTRY_MULTI, BPF_TRACE_FEXIT_MULTI,
			   BPF_TRACE_FSESSION_MULTI, BPF_TRACE_FENTRY, 100, 100, 100, 100 },
		[FLAGS] = { 0, 1, 2, 3, 4, 1U << fuzz(32), ~0U, r->a.attr.link_create.flags ^ 1 },
		[SIZE] = { offsetof(union bpf_attr, link_create.tracing_multi.cnt),
			   offsetofend(union bpf_attr, link_create.tracing_multi.cnt),
			   MULTI_END, MULTI_END, offsetofend(union bpf_attr, link_create),
			   sizeof(r->a), sizeof(r->a), page + 1 },
		[LOG_LEN] = { 0, 1, 2, 64, 100, 512, UINT_MAX >> 1, ~0U },
		[COMMON_LEN] = { 0, 8, 16, COMMON_END, sizeof(r->c.common), sizeof(r->c),
				 sizeof(r->c), page + 1 },
		[LEVEL] = { 0, 1, 2, 4, 8, 15, 16, ~0U },
		[PROT] = { PROT_RW, PROT_READ, PROT_READ, PROT_READ, PROT_NONE, PROT_NONE },
	};
	const struct field *f = &fields[fuzz(ARRAY_SIZE(fields))];
	void *field = (void *)r + f->off;

	if (f->kind == LOG)
		*(__u64 *)field = fuzz(2) ? ptr_to_u64(u->areas[LOG].end) : 0;
	else if (f->kind < AREAS)
		*(__u64 *)field = fuzz_ptr(&u->areas[f->kind],
					   r->cnt * (f->kind == COOKIES ? 8 : 4));
	else
		*(__u32 *)field = values[f->kind][fuzz(8)];
	/* the whole buffer can be written, or nothing of it */
	if (f->kind == LOG_LEN && r->c.common.log_buf)
		r->c.common.log_buf = ptr_to_u64(u->areas[LOG].start);
}

static inline void request_mutate(struct uapi *u, struct request *r)
{
	const __u32 ids[] = { 0, ~0U, u->non_func, u->denied, u->mod_func };
	const __u32 fds[] = { ~0U, 0, 1, CLOSED_FD, u->vmlinux, u->user, u->prog, u->mod };
	static const char * const maps[] = { "few", "small", "hash", "rdonly", "rdonly_prog" };
	int i = fuzz(r->cnt);

	switch (fuzz(10)) {
	case 0:
		r->ids[i] = ids[fuzz(ARRAY_SIZE(ids))];
		break;
	case 1:
		r->ids[i] = r->ids[fuzz(r->cnt)];
		break;
	case 2:
		r->fds[i] = fds[fuzz(ARRAY_SIZE(fds))];
		break;
	case 3:
		r->a.attr.link_create.tracing_multi.data_map_fd =
			map_of(u, maps[fuzz(ARRAY_SIZE(maps))]);
		break;
	case 4:
		((char *)&r->a)[MULTI_END + fuzz(sizeof(r->a) - MULTI_END)] = 1 + fuzz(255);
		break;
	case 5:
		r->c.tail[fuzz(sizeof(r->c.tail))] = 1;
		break;
	default:
		mutate_field(u, r);
	}
}

/* Put an array where the kernel is told that it is, as far as there is memory. */
static inline void place(const struct area *a, __u64 to, const void *array, __u64 len)
{
	memset(a->start, 0, a->end - a->start);
	if (to >= ptr_to_u64(a->start) && to < ptr_to_u64(a->end))
		memcpy((void *)to, array, min(len, ptr_to_u64(a->end) - to));
}

static inline void request_place(struct uapi *u, const struct request *r)
{
	const union bpf_attr *attr = &r->a.attr;

	place(&u->areas[IDS], attr->link_create.tracing_multi.ids, r->ids, r->cnt * 4);
	place(&u->areas[FDS], attr->link_create.tracing_multi.fds, r->fds, r->cnt * 4);
	place(&u->areas[COOKIES], attr->link_create.tracing_multi.cookies, r->cookies, r->cnt * 8);
}

static inline int request_call(struct uapi *u, struct request *r)
{
	const struct area *common = &u->areas[COMMON];
	void *pattr, *pcommon;
	int ret;

	pattr = put_at_end(&u->areas[ATTR], &r->a, r->size);
	pcommon = put_at_end(common, &r->c, r->common_size);
	mprotect(common->start, common->end - common->start, r->prot);
	ret = syscall(__NR_bpf, BPF_LINK_CREATE | (r->common_size ? BPF_COMMON_ATTRS : 0), pattr,
		      r->size, pcommon, r->common_size);
	ret = ret < 0 ? -errno : ret;
	mprotect(common->start, common->end - common->start, PROT_RW);
	if (ret >= 0 && r->common_size >= COMMON_END && r->common_size <= sizeof(r->c))
		memcpy(&r->c, pcommon, COMMON_END);
	return ret;
}

static inline int fd_error(int fd)
{
	return fcntl(fd, F_GETFD) < 0 ? EBADF : EINVAL;
}

static inline void model_common(const struct uapi *u, const struct request *r, struct expect *e)
{
	struct bpf_common_attr c = {};

	if (!r->common_size)
		return;
	if (r->common_size > getpagesize() ||
	    (r->common_size > COMMON_END &&
	     !is_zero((char *)&r->c + COMMON_END, r->common_size - COMMON_END)))
		may_fail(&e->errors, E2BIG);
	if (r->prot == PROT_NONE)
		may_fail(&e->errors, EFAULT);
	memcpy(&c, &r->c, min_t(size_t, r->common_size, sizeof(c)));
	if (!c.log_buf != !c.log_size || (c.log_buf && !c.log_level) || c.log_level > 15 ||
	    c.log_size > UINT_MAX >> 2)
		may_fail(&e->errors, EINVAL);
	e->level = c.log_level;
	e->bad_log = c.log_buf && !readable(u, c.log_buf, c.log_size);
}

static inline void model_data(const struct uapi *u, const union bpf_attr *attr,
			      const struct prog *p, struct expect *e)
{
	int fd = attr->link_create.tracing_multi.data_map_fd;

	e->has_data = p->slot < 0;
	e->map = fd;
	if (!e->has_data) {
		if (fd)
			may_fail(&e->errors, EINVAL);
		return;
	}
	if (fd == u->good || fd == u->few) {
		if (attr->link_create.tracing_multi.cnt > (fd == u->good ? 16 : 2))
			may_fail(&e->errors, E2BIG);
	} else if (fd == u->rdonly || fd == u->rdonly_prog) {
		may_fail(&e->errors, EPERM);
	} else {
		may_fail(&e->errors, fd_error(fd));
	}
}

static inline void model_fd(const struct uapi *u, int fd, struct errors *errors)
{
	if (fd == u->user || fd == u->prog)
		may_fail(errors, EOPNOTSUPP);
	else if (fd && fd != u->vmlinux && (fd != u->mod || fd < 0))
		may_fail(errors, fd_error(fd));
}

static inline void model_funcs(const struct uapi *u, const union bpf_attr *attr,
			       const struct prog *p, struct expect *e)
{
	__u64 *cookies = (void *)attr->link_create.tracing_multi.cookies;
	__u32 *ids = (void *)attr->link_create.tracing_multi.ids, i, seen = 0;
	__u32 *fds = (void *)attr->link_create.tracing_multi.fds;
	__u32 held = p->slot < 0 ? 0 : u->sets.slots[p->slot].mask;
	struct errors refused = {}, *errors;
	int f;

	errors = attr->link_create.flags & BPF_F_TRACING_MULTI_SKIP ? &refused : &e->errors;
	for (i = 0; i < attr->link_create.tracing_multi.cnt; i++) {
		bool mod = fds && fds[i] == u->mod;

		if (fds)
			model_fd(u, fds[i], &e->errors);
		f = func_of(u, ids[i], mod);
		if (f >= 0 && !((seen | held) & (1 << f))) {
			e->mask |= 1 << f;
			e->indexes[f] = i;
			e->cookies[f] = cookies ? cookies[i] : 0;
		} else if (f >= 0 && !(seen & (1 << f))) {
			may_fail(errors, EBUSY);
		} else {
			may_fail(errors, EINVAL);
			if (ids[i] == u->denied)
				may_fail(errors, ENOENT);
			if (ids[i] == u->denied)
				may_fail(errors, EADDRNOTAVAIL);
		}
		if (f >= 0)
			seen |= 1 << f;
	}
	e->skipped = i - __builtin_popcount(e->mask);
	if (errors == &refused && !e->mask)
		may_fail(&e->errors, ENOENT);
}

/* One of the descriptors before those that cannot be read may be wrong. */
static inline void model_fault(const struct uapi *u, const union bpf_attr *attr,
			       struct expect *e)
{
	__u32 *fds = (void *)attr->link_create.tracing_multi.fds, i;

	may_fail(&e->errors, EFAULT);
	for (i = 0; fds && i < attr->link_create.tracing_multi.cnt; i++) {
		if (!readable(u, ptr_to_u64(fds + i), sizeof(*fds)))
			break;
		model_fd(u, fds[i], &e->errors);
	}
}

static inline void model(const struct uapi *u, const struct request *r, struct expect *e)
{
	struct bpf_program *prog = prog_of(u, r->prog);
	__u64 ids, cookies, fds, cnt;
	union bpf_attr attr = {};

	memset(e, 0, sizeof(*e));
	if (r->size > getpagesize() ||
	    (r->size > sizeof(attr) && !is_zero(r->a.tail, r->size - sizeof(attr))))
		may_fail(&e->errors, E2BIG);
	memcpy(&attr, &r->a, min_t(size_t, r->size, sizeof(attr)));
	ids = attr.link_create.tracing_multi.ids;
	cookies = attr.link_create.tracing_multi.cookies;
	fds = attr.link_create.tracing_multi.fds;
	cnt = attr.link_create.tracing_multi.cnt;

	model_common(u, r, e);
	model_data(u, &attr, r->prog, e);
	if (attr.link_create.prog_fd != bpf_program__fd(prog))
		may_fail(&e->errors, fd_error(attr.link_create.prog_fd));
	if (attr.link_create.attach_type != bpf_program__expected_attach_type(prog) ||
	    attr.link_create.target_fd || !ids || !cnt || attr.link_create.flags >> 1 ||
	    !is_zero((char *)&attr + MULTI_END, sizeof(attr) - MULTI_END))
		may_fail(&e->errors, EINVAL);
	if (cnt > LINK_MAX_FUNCS)
		may_fail(&e->errors, E2BIG);
	else if (cnt == LINK_MAX_FUNCS)
		may_fail(&e->errors, ENOMEM);
	if (ids && cnt <= LINK_MAX_FUNCS &&
	    (!readable(u, ids, cnt * 4) || (cookies && !readable(u, cookies, cnt * 8)) ||
	     (fds && !readable(u, fds, cnt * 4))))
		model_fault(u, &attr, e);
	else if (ids && cnt <= LINK_MAX_FUNCS)
		model_funcs(u, &attr, r->prog, e);
	/* a log that cannot be written is told last, and only if there is something to write */
	e->bad_log &= e->skipped > 0;
	e->bad_log |= r->common_size >= COMMON_END && r->prot == PROT_READ;
	if (e->bad_log && !e->errors.any)
		may_fail(&e->errors, EFAULT);
}

/* What a link tells of itself */
struct told {
	struct bpf_link_info info;
	__u32 ids[IDS_MAX], btf_obj_ids[IDS_MAX], data_indexes[IDS_MAX];
	__u64 addrs[IDS_MAX], cookies[IDS_MAX], set_keys[IDS_MAX];
	struct bpf_tracing_multi_set sets[IDS_MAX];
};

#define IN_INFO(field)	offsetof(struct bpf_link_info, tracing_multi.field)
#define IN_TOLD(field)	offsetof(struct told, field)

enum { DATA_INDEXES = 5, INFO_ARRAYS = 7 };

static const struct info_array {
	size_t info, told;	/* where the pointer is in the one, and the array in the other */
	size_t size;		/* of an element */
} info_arrays[INFO_ARRAYS] = {
	{ IN_INFO(ids), IN_TOLD(ids), sizeof(__u32) },
	{ IN_INFO(btf_obj_ids), IN_TOLD(btf_obj_ids), sizeof(__u32) },
	{ IN_INFO(addrs), IN_TOLD(addrs), sizeof(__u64) },
	{ IN_INFO(cookies), IN_TOLD(cookies), sizeof(__u64) },
	{ IN_INFO(set_keys), IN_TOLD(set_keys), sizeof(__u64) },
	{ IN_INFO(data_indexes), IN_TOLD(data_indexes), sizeof(__u32) },
	{ IN_INFO(sets), IN_TOLD(sets), sizeof(struct bpf_tracing_multi_set) },
};

static inline __u64 *info_ptr(struct bpf_link_info *info, int i)
{
	return (void *)info + info_arrays[i].info;
}

static inline bool told_get(int link, bool has_data, struct told *told)
{
	__u32 len = sizeof(told->info);
	int i;

	memset(told, 0, sizeof(*told));
	for (i = 0; i < INFO_ARRAYS; i++)
		if (i != DATA_INDEXES || has_data)
			*info_ptr(&told->info, i) = ptr_to_u64((void *)told + info_arrays[i].told);
	told->info.tracing_multi.count = IDS_MAX;
	told->info.tracing_multi.set_size = sizeof(told->sets[0]);
	return ASSERT_OK(bpf_link_get_info_by_fd(link, &told->info, &len), "link_info");
}

static inline bool check_told(const struct uapi *u, const struct expect *e, const struct told *told)
{
	__u64 last = 0, key, own = e->mask >> FUNC_MOD ? u->mod_id : u->vmlinux_id;
	__u32 i, cnt = __builtin_popcount(e->mask);
	int f;

	if (!check_num(told->info.tracing_multi.count, cnt, "count") ||
	    !check_num(told->info.tracing_multi.skipped, e->skipped, "skipped") ||
	    !check_num(!!told->info.tracing_multi.data_map_id, e->has_data, "data_map_id") ||
	    !check_num(told->info.tracing_multi.btf_obj_id,
		       e->mask >> FUNC_MOD && cnt > 1 ? 0 : own, "btf_obj_id"))
		return false;
	/* as many as there should be, each one is one of these, and none is there twice */
	for (i = 0; i < cnt; i++, last = key) {
		key = (__u64)told->btf_obj_ids[i] << 32 | told->ids[i];
		f = func_of(u, told->ids[i], told->btf_obj_ids[i] != u->vmlinux_id);
		if (f >= 0 && e->mask & (1 << f) && key > last && told->addrs[i] &&
		    told->btf_obj_ids[i] == (f == FUNC_MOD ? u->mod_id : u->vmlinux_id) &&
		    told->cookies[i] == e->cookies[f] &&
		    (!e->has_data || told->data_indexes[i] == e->indexes[f]))
			continue;
		PRINT_FAIL("function %u of %u is btf %u id %u, cookie %llx, index %u\n", i, cnt,
			   told->btf_obj_ids[i], told->ids[i], told->cookies[i],
			   told->data_indexes[i]);
		return false;
	}
	return true;
}

static inline bool check_data(const struct uapi *u, const struct prog *p, const struct expect *e)
{
	struct func_data data;
	int f;

	for (f = 0; f < SETS_FUNCS; f++) {
		if (!(e->mask & (1 << f)))
			continue;
		if (bpf_map_lookup_elem(e->map, &e->indexes[f], &data) ||
		    data.calls != 1 + p->twice ||
		    data.who != (p->by_cookie ? e->cookies[f] : u->sets.addrs[f])) {
			PRINT_FAIL("%s at %s: %llu calls, %llx\n", p->name, func_names[f],
				   data.calls, data.who);
			return false;
		}
	}
	return true;
}

/* Calls the functions: @p runs where it is attached, and the other programs as before. */
static inline bool check_runs(struct uapi *u, const struct prog *p, const struct expect *e)
{
	struct slot *slot = p->slot < 0 ? NULL : &u->sets.slots[p->slot];
	__u32 mask = e->mask & ALL_FUNCS;
	struct func_data none = {};
	__u64 runs = 0;
	bool ok;
	int f;

	for (f = 0; f < SETS_FUNCS; f++) {
		if (!(mask & (1 << f)))
			continue;
		if (slot)
			slot->cookies[f] = e->cookies[f];
		else if (!ASSERT_OK(bpf_map_update_elem(e->map, &e->indexes[f], &none, 0), "map"))
			return false;
		runs += slot ? 0 : 1 + p->twice;
	}
	u->data->bss->runs = 0;
	if (slot) {
		slot->mask |= mask;
		set_stamps(&u->sets, p->slot, mask);
	}
	ok = sets_check(&u->sets, p->name);
	if (slot)
		slot->mask &= ~mask;
	return ok && check_num(u->data->bss->runs, runs, p->name) &&
	       (slot || check_data(u, p, e));
}

/* The log's true size tells whether there is anything in it. */
static inline bool check_log(const struct request *r, const struct expect *e)
{
	return r->common_size < COMMON_END ||
	       check_num(r->c.common.log_true_size > 0, e->level && e->skipped, "log_true_size");
}

/* Returns: 1 if it was attached, 0 if not, -1 if that is wrong. */
static inline int request_try(struct uapi *u, struct request *r, const char *what)
{
	static const struct expect nothing;
	struct expect e;
	struct told told;
	bool ok;
	int fd;

	request_place(u, r);
	model(u, r, &e);
	fd = request_call(u, r);
	ok = check_errors(&e.errors, fd, what);
	if (fd < 0)
		return ok && check_runs(u, r->prog, &nothing) ? 0 : -1;
	ok = ok && check_log(r, &e) && told_get(fd, e.has_data, &told) &&
	     check_told(u, &e, &told) && check_runs(u, r->prog, &e);
	close(fd);
	return ok ? 1 : -1;
}

/* A link that is as it should be, and what it tells */
static inline int told_link(struct uapi *u, const char *name, __u32 mask, struct told *told)
{
	struct expect e;
	struct request r;
	int fd;

	request_init(u, &r, name, mask);
	r.a.attr.link_create.tracing_multi.cookies = ptr_to_u64(u->areas[COOKIES].start);
	request_place(u, &r);
	model(u, &r, &e);
	fd = request_call(u, &r);
	if (!ASSERT_OK_FD(fd, name))
		return -1;
	if (told_get(fd, e.has_data, told) && check_told(u, &e, told))
		return fd;
	close(fd);
	return -1;
}

#endif /* __TRACING_MULTI_UAPI_ENV_H */
