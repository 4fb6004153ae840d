// SPDX-License-Identifier: GPL-2.0
/*
 * The interface of tracing_multi links: BPF_LINK_CREATE, link info and BPF_PROG_LOAD, with
 * arguments that are wrong in many ways; what is not used yet; and what was built for
 * Linux 7.3. See tracing_multi_uapi_env.h for how it is known what a call has to return.
 */
#include "tracing_multi_data.skel.h"
#include "tracing_multi_sets.skel.h"
#include "tracing_multi_uapi_env.h"

/* A subtest ends after so many rounds or seconds; TRACING_MULTI_FUZZ is for more rounds. */
#define ROUNDS		20000
#define SECONDS_MAX	60

static unsigned int round_seed;

static bool go_on(int round)
{
	int wanted = env_number("TRACING_MULTI_FUZZ", 0);
	static __u64 start;

	if (!round)
		start = get_time_ns();
	/* that of a round that fails makes it the first one */
	round_seed = env_number("TRACING_MULTI_SEED", 4711) + round;
	fuzz_seed = round_seed;
	if (wanted)
		return round < wanted;
	return round < ROUNDS && get_time_ns() - start < SECONDS_MAX * 1000000000ULL;
}

static void rounds_end(bool ok, int rounds, int succeeded)
{
	if (!ASSERT_TRUE(ok, "round"))
		printf("TRACING_MULTI_SEED=%u\n", round_seed);
	printf("%d calls, %d of them succeeded\n", rounds, succeeded);
	ASSERT_GT(succeeded, 0, "succeeded");
	ASSERT_LT(succeeded, rounds, "failed");
}

static void test_fuzz_link(struct uapi *u)
{
	int i, n, attached = 0, res = 0;
	struct request r;

	if (!ASSERT_OK(sets_attach(&u->sets, SETS_ARG_4, ALL_FUNCS), "arg_4") ||
	    !ASSERT_OK(sets_attach(&u->sets, SETS_FEXIT_2, HELD), "fexit_2"))
		return;
	for (n = 0; res >= 0 && go_on(n); n++) {
		request_init(u, &r, progs[fuzz(ARRAY_SIZE(progs))].name, 1 + fuzz(ALL_FUNCS));
		request_vary(u, &r);
		for (i = fuzz(3); i; i--)
			request_mutate(u, &r);
		res = request_try(u, &r, r.prog->name);
		attached += res > 0;
	}
	rounds_end(res >= 0, n, attached);
}

/*
 * Link info
 */

#define UNTOUCHED	0xa5

struct info_call {
	struct {
		struct bpf_link_info info;
		char tail[64];
	} in;
	__u32 len, missing;		/* bytes of @in, and how many of them are not mapped */
	struct bpf_link_info seen;	/* what the kernel sees of it */
	size_t lens[INFO_ARRAYS];	/* what it may write to the arrays */
};

static void info_call_init(struct uapi *u, struct info_call *c, const struct told *ref)
{
	const __u32 cnt = ref->info.tracing_multi.count;
	const __u32 counts[] = { cnt, cnt + 1, ~0U, cnt - 1, 1, 0 };
	const __u32 sizes[] = { sizeof(ref->sets[0]), 8, 1, 25, 40, getpagesize(), 0,
				getpagesize() + 1, ~0U };
	struct bpf_link_info *info = &c->in.info;
	const struct area *a;
	int i;

	memset(c, 0, sizeof(*c));
	info->tracing_multi.count = counts[fuzz(fuzz(3) ? 3 : ARRAY_SIZE(counts))];
	info->tracing_multi.set_size = sizes[fuzz(fuzz(3) ? 6 : ARRAY_SIZE(sizes))];
	if (!fuzz(4))
		c->in.tail[fuzz(sizeof(c->in.tail))] = 1;
	c->missing = !fuzz(16);
	c->len = fuzz(2) ? sizeof(*info) : fuzz(sizeof(c->in) + 1);
	/* half a pointer points anywhere */
	if (c->len >= info_arrays[0].info && c->len < sizeof(*info))
		c->len &= ~7;

	for (i = 0; i < INFO_ARRAYS; i++) {
		a = &u->areas[i];
		memset(a->start, UNTOUCHED, a->end - a->start);
		if (i == SETS)
			c->lens[i] = (size_t)ref->info.tracing_multi.nr_sets *
				     info->tracing_multi.set_size;
		else
			c->lens[i] = min(cnt, info->tracing_multi.count) * info_arrays[i].size;
		if (fuzz(2))
			*info_ptr(info, i) = ptr_to_u64(!fuzz(8) ? a->end :
				fuzz(2) || c->lens[i] > a->end - a->start ? a->start :
				a->end - c->lens[i]);
	}
	memcpy(&c->seen, info, min_t(size_t, c->len, sizeof(*info)));
}

static void info_call_model(const struct uapi *u, const struct info_call *c, bool has_data,
			    const struct told *ref, struct errors *e)
{
	const struct bpf_link_info *info = &c->seen;
	bool any = false;
	int i;

	if (c->len > sizeof(*info) && !is_zero(c->in.tail, c->len - sizeof(*info)))
		may_fail(e, E2BIG);
	if (c->len && c->missing)
		may_fail(e, EFAULT);
	for (i = 0; i < INFO_ARRAYS; i++) {
		__u64 ptr = *info_ptr((struct bpf_link_info *)info, i);

		any |= !!ptr;
		if (ptr == ptr_to_u64(u->areas[i].end) && c->lens[i])
			may_fail(e, EFAULT);
	}
	if ((any && !info->tracing_multi.count) ||
	    (info->tracing_multi.sets && !info->tracing_multi.set_size))
		may_fail(e, EINVAL);
	if (info->tracing_multi.sets && info->tracing_multi.set_size > getpagesize())
		may_fail(e, E2BIG);
	if (info->tracing_multi.data_indexes && !has_data)
		may_fail(e, ENOENT);
	if (any && info->tracing_multi.count < ref->info.tracing_multi.count)
		may_fail(e, ENOSPC);
}

/* An array has what it should, if the call has succeeded, and nothing has changed around. */
static bool check_array(const struct area *a, const struct info_call *c, int i, bool ok,
			const struct told *ref)
{
	size_t len = c->lens[i], own = info_arrays[i].size, size = own, k;
	char *ptr = (char *)*info_ptr((struct bpf_link_info *)&c->seen, i);
	const void *want = (void *)ref + info_arrays[i].told;

	if (!ptr || ptr == a->end)
		return is_all(a->start, UNTOUCHED, a->end - a->start);
	if (len > a->end - ptr)
		return !ok && is_all(a->start, UNTOUCHED, a->end - a->start);
	if (!is_all(a->start, UNTOUCHED, ptr - a->start) ||
	    !is_all(ptr + len, UNTOUCHED, a->end - ptr - len))
		return false;
	if (i == SETS)
		size = c->seen.tracing_multi.set_size;
	for (k = 0; ok && k < len / size; k++)
		if (memcmp(ptr + k * size, want + k * own, min(size, own)) ||
		    (size > own && !is_zero(ptr + k * size + own, size - own)))
			return false;
	return true;
}

static bool check_info(struct uapi *u, const struct info_call *c, const void *user, bool ok,
		       const struct told *ref)
{
	struct bpf_link_info want = c->in.info;
	int i;

	for (i = 0; i < INFO_ARRAYS; i++)
		if (!check_array(&u->areas[i], c, i, ok, ref)) {
			PRINT_FAIL("array %d, %s\n", i, ok ? "success" : "error");
			return false;
		}
	if (ok) {
		want = ref->info;
		want.tracing_multi.set_size = c->seen.tracing_multi.set_size;
		for (i = 0; i < INFO_ARRAYS; i++)
			*info_ptr(&want, i) = *info_ptr((struct bpf_link_info *)&c->seen, i);
		if (!c->seen.tracing_multi.sets)
			want.tracing_multi.nr_sets = 0;
	}
	return check_num(memcmp(user, &want, min_t(size_t, c->len, sizeof(want))), 0, "link info");
}

/* As request_try() */
static int info_try(struct uapi *u, int link, bool has_data, const struct told *ref)
{
	struct errors e = {};
	union bpf_attr attr = {};
	struct info_call c;
	char *user;
	int ret;

	info_call_init(u, &c, ref);
	user = u->areas[INFO].end - c.len + c.missing;
	memcpy(user, &c.in, c.len - (c.len ? c.missing : 0));
	attr.info.bpf_fd = link;
	attr.info.info_len = c.len;
	attr.info.info = ptr_to_u64(user);
	info_call_model(u, &c, has_data, ref, &e);
	ret = syscall(__NR_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)) ? -errno : 0;
	if (!check_errors(&e, ret, "link info"))
		return -1;
	if (c.missing)
		return 0;
	if (!check_info(u, &c, user, !ret, ref) ||
	    !check_num(attr.info.info_len, ret ? c.len : min_t(size_t, c.len, sizeof(c.in.info)),
		       "info_len"))
		return -1;
	return !ret;
}

static void test_fuzz_info(struct uapi *u)
{
	int n, links[2], succeeded = 0, res = 0;
	struct told refs[2];

	/* no set is split or merged meanwhile: what they tell stays */
	links[0] = told_link(u, "count_cookie", HELD, &refs[0]);
	links[1] = told_link(u, "both_1", ALL_FUNCS & ~HELD, &refs[1]);
	if (links[0] >= 0 && links[1] >= 0) {
		for (n = 0; res >= 0 && go_on(n); n++) {
			res = info_try(u, links[n % 2], n % 2 == 0, &refs[n % 2]);
			succeeded += res > 0;
		}
		rounds_end(res >= 0, n, succeeded);
	}
	if (links[0] >= 0)
		close(links[0]);
	if (links[1] >= 0)
		close(links[1]);
}

/*
 * BPF_PROG_LOAD
 */

#define KNOWN_FLAGS	0x1ff

struct load {
	__u32 type, attach_type, flags, id;
	int fd;
	bool reads;			/* its first argument */
};

static int load_call(const struct load *l)
{
	struct bpf_insn insns[] = {
		BPF_LDX_MEM(BPF_DW, BPF_REG_2, BPF_REG_1, 0),
		BPF_MOV64_IMM(BPF_REG_0, 0),
		BPF_EXIT_INSN(),
	};
	union bpf_attr attr = {};
	int fd;

	attr.prog_type = l->type;
	attr.expected_attach_type = l->attach_type;
	attr.prog_flags = l->flags;
	attr.attach_btf_id = l->id;
	attr.attach_btf_obj_fd = l->fd;
	attr.insns = ptr_to_u64(insns + !l->reads);
	attr.insn_cnt = ARRAY_SIZE(insns) - !l->reads;
	attr.license = ptr_to_u64("GPL");
	fd = syscall(__NR_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	return fd < 0 ? -errno : fd;
}

static bool load_is_multi(const struct load *l)
{
	return l->attach_type == BPF_TRACE_FENTRY_MULTI ||
	       l->attach_type == BPF_TRACE_FEXIT_MULTI ||
	       l->attach_type == BPF_TRACE_FSESSION_MULTI;
}

static void load_model(const struct uapi *u, const struct load *l, struct errors *e)
{
	bool tracing = l->type == BPF_PROG_TYPE_TRACING, multi = load_is_multi(l);
	bool mod = l->fd == u->mod, func, own;

	own = func_of(u, l->id, false) >= 0;
	func = own || (mod && func_of(u, l->id, true) >= 0);
	if (l->flags & ~KNOWN_FLAGS)
		may_fail(e, EINVAL);
	if (l->flags & BPF_F_TOKEN_FD)
		may_fail(e, fd_error(0));
	if (l->fd == u->user)
		may_fail(e, 524);	/* ENOTSUPP */
	else if (l->fd && (!tracing || (l->fd != u->vmlinux && !mod)))
		may_fail(e, EINVAL);
	if (multi && !tracing)
		may_fail(e, EINVAL);
	if (l->id && !(tracing && func))
		may_fail(e, EINVAL);
	if (tracing && !multi && !l->id)
		may_fail(e, EINVAL);
	/* the function is looked up in the module, and need not be one that may sleep */
	if (tracing && !multi && mod && own)
		may_fail(e, ENOENT);
	if (l->flags & BPF_F_SLEEPABLE && !(tracing && (multi || l->id == u->sets.ids[0])))
		may_fail(e, EINVAL);
	if (l->flags & BPF_F_REENTRANT && !(tracing && multi))
		may_fail(e, EINVAL);
	if (l->reads && !(tracing && func))
		may_fail(e, EACCES);
}

static bool check_load(const struct uapi *u, const struct load *l, int prog)
{
	bool tracing = l->type == BPF_PROG_TYPE_TRACING, light;
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info), id = l->id;

	if (!ASSERT_OK(bpf_prog_get_info_by_fd(prog, &info, &len), "prog_info"))
		return false;
	light = load_is_multi(l) && !(l->flags & BPF_F_SLEEPABLE) &&
		access("/sys/kernel/realtime", F_OK);
	if (load_is_multi(l) && !id)
		id = find_func_id(u->sets.btf, "bpf_multi_func");
	return check_num(info.type, l->type, "type") && check_num(info.light, light, "light") &&
	       check_num(info.reentrant, light && l->flags & BPF_F_REENTRANT, "reentrant") &&
	       check_num(info.attach_btf_id, id, "attach_btf_id") &&
	       check_num(info.attach_btf_obj_id, !tracing ? 0 : l->fd == u->mod ? u->mod_id :
								u->vmlinux_id, "attach_btf_obj_id");
}

static int load_try(const struct uapi *u)
{
	static const struct {
		__u32 type, attach_type;
	} types[] = {
		{ BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY_MULTI },
		{ BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT_MULTI },
		{ BPF_PROG_TYPE_TRACING, BPF_TRACE_FSESSION_MULTI },
		{ BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY },
		{ BPF_PROG_TYPE_SOCKET_FILTER, 0 },
		{ BPF_PROG_TYPE_SOCKET_FILTER, BPF_TRACE_FENTRY_MULTI },
		{ BPF_PROG_TYPE_XDP, 0 },
	};
	const __u32 ids[] = { 0, u->sets.ids[0], u->sets.ids[1 + fuzz(SETS_FUNCS - 1)],
			      u->mod_func, u->non_func, 0xfffff, ~0U };
	const int fds[] = { u->vmlinux, u->mod < 0 ? 0 : u->mod, CLOSED_FD, u->user, u->prog,
			    u->good };
	int type = fuzz(ARRAY_SIZE(types)), prog;
	struct errors e = {};
	struct load l = {};
	bool ok;

	l.type = types[type].type;
	l.attach_type = types[type].attach_type;
	l.flags = fuzz(2) ? 0 : rand_r(&fuzz_seed) & rand_r(&fuzz_seed) & KNOWN_FLAGS;
	if (fuzz(2))
		l.flags |= BPF_F_REENTRANT;
	if (!fuzz(8))
		l.flags |= 1U << fuzz(32);
	l.id = ids[fuzz(fuzz(3) ? 4 : ARRAY_SIZE(ids))];
	if (fuzz(2))
		l.fd = fds[fuzz(fuzz(3) ? 2 : ARRAY_SIZE(fds))];
	l.reads = fuzz(2);

	load_model(u, &l, &e);
	prog = load_call(&l);
	if (!check_errors(&e, prog, "load"))
		printf("type %d, flags %#x, id %u, fd %d\n", type, l.flags, l.id, l.fd);
	else if (prog < 0)
		return 0;
	ok = prog >= 0 && !e.any && check_load(u, &l, prog);
	if (prog >= 0)
		close(prog);
	return ok ? 1 : -1;
}

static void test_fuzz_load(struct uapi *u)
{
	int n, succeeded = 0, res = 0;

	for (n = 0; res >= 0 && go_on(n); n++) {
		res = load_try(u);
		succeeded += res > 0;
	}
	rounds_end(res >= 0, n, succeeded);
}

/*
 * What is not used yet
 */

/* Bits and bytes that mean nothing must be zero, so that they can mean something later. */
static void test_zero_checked(struct uapi *u)
{
	struct load load = { BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY_MULTI };
	struct {
		struct bpf_link_info info;
		char tail[8];
	} in;
	union bpf_attr attr = {};
	struct told told;
	struct request r;
	int fd, err;
	size_t i;

	for (i = 0; i < 32; i++) {
		request_init(u, &r, "ip_1", ALL_FUNCS);
		r.a.attr.link_create.flags = 1U << i;
		ASSERT_EQ(request_try(u, &r, "flag"), 1U << i == BPF_F_TRACING_MULTI_SKIP, "flag");
		if (1U << i <= KNOWN_FLAGS || 1U << i == BPF_F_TOKEN_FD)
			continue;
		load.flags = 1U << i;
		ASSERT_EQ(load_call(&load), -EINVAL, "prog_flags");
	}
	for (i = MULTI_END; i < sizeof(r.a); i++) {
		request_init(u, &r, "ip_1", ALL_FUNCS);
		((char *)&r.a)[i] = 1;
		r.size = sizeof(r.a);
		ASSERT_EQ(request_try(u, &r, "behind fds"), 0, "behind fds");
	}
	for (i = COMMON_END; i < sizeof(r.c); i++) {
		request_init(u, &r, "ip_1", ALL_FUNCS);
		((char *)&r.c)[i] = 1;
		r.common_size = sizeof(r.c);
		ASSERT_EQ(request_try(u, &r, "behind log_true_size"), 0, "behind log_true_size");
	}
	request_init(u, &r, "ip_1", ALL_FUNCS);
	r.a.attr.link_create.target_fd = u->vmlinux;
	ASSERT_EQ(request_try(u, &r, "target_fd"), 0, "target_fd");
	request_init(u, &r, "ip_1", ALL_FUNCS);
	r.a.attr.link_create.tracing_multi.data_map_fd = u->good;
	ASSERT_EQ(request_try(u, &r, "data_map_fd"), 0, "data_map_fd");

	fd = told_link(u, "ip_1", ALL_FUNCS, &told);
	if (fd < 0)
		return;
	for (i = offsetofend(struct bpf_link_info, tracing_multi.nr_sets); i < sizeof(in); i++) {
		memset(&in, 0, sizeof(in));
		((char *)&in)[i] = 1;
		attr.info.bpf_fd = fd;
		attr.info.info_len = sizeof(in);
		attr.info.info = ptr_to_u64(&in);
		err = syscall(__NR_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)) ? -errno : 0;
		ASSERT_EQ(err, i < sizeof(in.info) ? -EINVAL : -E2BIG, "behind nr_sets");
	}
	close(fd);
}

/*
 * What was built for Linux 7.3 and knows no more than that
 */

/* Link info was so long, and had these arrays. */
#define OLD_INFO_LEN	offsetofend(struct bpf_link_info, tracing_multi.cookies)
#define OLD_INFO_SIZE	64

static void old_info(struct uapi *u, int link, const struct told *told, __u32 size)
{
	const __u32 cnt = told->info.tracing_multi.count;
	struct bpf_link_info *info;
	struct told old = {};
	__u32 len = size;

	info = (void *)u->areas[INFO].end - size;
	memset(info, 0, size);
	ASSERT_OK(bpf_link_get_info_by_fd(link, info, &len), "without arrays");
	ASSERT_EQ(len, size, "length");
	ASSERT_EQ(info->tracing_multi.count, cnt, "count");
	ASSERT_EQ(info->tracing_multi.btf_obj_id, u->vmlinux_id, "btf_obj_id");
	info->tracing_multi.ids = ptr_to_u64(old.ids);
	info->tracing_multi.addrs = ptr_to_u64(old.addrs);
	info->tracing_multi.cookies = ptr_to_u64(old.cookies);
	ASSERT_OK(bpf_link_get_info_by_fd(link, info, &len), "arrays");
	ASSERT_MEMEQ(old.ids, told->ids, sizeof(old.ids), "ids");
	ASSERT_MEMEQ(old.addrs, told->addrs, sizeof(old.addrs), "addrs");
	ASSERT_MEMEQ(old.cookies, told->cookies, sizeof(old.cookies), "cookies");

	memset(&old, 0, sizeof(old));
	info->tracing_multi.count = cnt - 1;
	ASSERT_EQ(bpf_link_get_info_by_fd(link, info, &len), -ENOSPC, "short arrays");
	ASSERT_MEMEQ(old.ids, told->ids, (cnt - 1) * sizeof(*old.ids), "ids there are");
	ASSERT_EQ(old.ids[cnt - 1], 0, "ids there are none");
	info->tracing_multi.count = 0;
	ASSERT_EQ(bpf_link_get_info_by_fd(link, info, &len), -EINVAL, "no count");
}

static void test_old_user_space(struct uapi *u)
{
	static const char * const names[] = { "ip_1", "both_1", "fexit_1", "fsession_1" };
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	struct request r;
	struct told told;
	int i, j, fd;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		for (j = 0; j < 20; j++) {
			request_init(u, &r, names[i], 1 + fuzz(ALL_FUNCS));
			r.size = offsetofend(union bpf_attr, link_create.tracing_multi.cnt);
			if (j % 2)
				r.a.attr.link_create.tracing_multi.cookies =
					ptr_to_u64(u->areas[COOKIES].start);
			ASSERT_EQ(request_try(u, &r, names[i]), 1, names[i]);
		}
		/* all of them or none */
		r.ids[0] = u->non_func;
		ASSERT_EQ(request_try(u, &r, names[i]), 0, names[i]);
	}
	fd = told_link(u, "both_1", ALL_FUNCS, &told);
	if (fd >= 0) {
		old_info(u, fd, &told, OLD_INFO_LEN);
		old_info(u, fd, &told, OLD_INFO_SIZE);
		close(fd);
	}
	/* it may ask twice, and leave there what it got, but for arrays that it does not have */
	fd = bpf_program__fd(u->data->progs.count_entry);
	ASSERT_OK(bpf_prog_get_info_by_fd(fd, &info, &len), "prog_info");
	info.jited_prog_len = 0;
	info.xlated_prog_len = 0;
	info.nr_map_ids = 0;
	info.nr_jited_ksyms = 0;
	info.nr_jited_func_lens = 0;
	info.nr_func_info = 0;
	info.nr_line_info = 0;
	info.nr_jited_line_info = 0;
	info.nr_prog_tags = 0;
	ASSERT_OK(bpf_prog_get_info_by_fd(fd, &info, &len), "prog_info again");
}

/* Serial: calls of the functions by other tests would be counted, too. */
void serial_test_tracing_multi_uapi(void)
{
	static const struct {
		const char *name;
		void (*run)(struct uapi *u);
	} subtests[] = {
		{ "fuzz_link", test_fuzz_link },
		{ "fuzz_info", test_fuzz_info },
		{ "fuzz_load", test_fuzz_load },
		{ "zero_checked", test_zero_checked },
		{ "old_user_space", test_old_user_space },
	};
	struct uapi u = { .vmlinux = -1, .mod = -1 };
	size_t i;

#if !defined(__x86_64__) && !defined(__aarch64__)
	test__skip();
	return;
#endif

	if (sets_open(&u.sets))
		return;
	if (uapi_open(&u)) {
		for (i = 0; i < ARRAY_SIZE(subtests); i++) {
			if (!test__start_subtest(subtests[i].name))
				continue;
			fuzz_seed = 4711;
			subtests[i].run(&u);
			sets_reset(&u.sets);
			sets_are_gone(&u.sets);
		}
	}
	uapi_close(&u);
}
