// SPDX-License-Identifier: GPL-2.0
/*
 * Arguments and return values as tracing_multi programs see them, at functions
 * with no argument to eleven of them, or to fourteen slots, in registers and on the stack, scalars,
 * structures and unions. Functions whose arguments lie in the same places may
 * share a trampoline; what they have in them is still each function's own.
 */
#include <test_progs.h>
#include <bpf/btf.h>
#include "trace_helpers.h"
#include "../progs/tracing_multi_args.h"
#include "tracing_multi_args.skel.h"

#define U8	0xffULL
#define U16	0xffffULL
#define U32	0xffffffffULL
#define U64	0xffffffffffffffffULL

struct func_args {
	const char *name;
	int ret;
	int cnt;
	/* each slot's value, and which of its bits belong to the argument */
	struct {
		__u64 val;
		__u64 mask;
	} arg[ARGS_SLOTS_MAX];
};

static const struct func_args vmlinux_args[] = {
	{ "bpf_fentry_test1", 2, 1, { { 1, U32 } } },
	{ "bpf_fentry_test2", 5, 2, { { 2, U32 }, { 3, U64 } } },
	{ "bpf_fentry_test3", 15, 3, { { 4, U8 }, { 5, U32 }, { 6, U64 } } },
	{ "bpf_fentry_test4", 34, 4, { { 7, U64 }, { 8, U8 }, { 9, U32 }, { 10, U64 } } },
	{ "bpf_fentry_test5", 65, 5,
	  { { 11, U64 }, { 12, U64 }, { 13, U16 }, { 14, U32 }, { 15, U64 } } },
	{ "bpf_fentry_test6", 111, 6,
	  { { 16, U64 }, { 17, U64 }, { 18, U16 }, { 19, U32 }, { 20, U64 }, { 21, U64 } } },
	{ "bpf_fentry_test7", 0, 1, { { 0, U64 } } },
	/* pointers into the kernel's stack */
	{ "bpf_fentry_test8", 0, 1 },
	{ "bpf_fentry_test9", 0, 1 },
	{ "bpf_fentry_test10", 0, 1, { { 0, U64 } } },
};

static const struct func_args module_args[] = {
	{ "bpf_testmod_fentry_test1", 2, 1, { { 1, U32 } } },
	{ "bpf_testmod_fentry_test2", 5, 2, { { 2, U32 }, { 3, U64 } } },
	{ "bpf_testmod_fentry_test3", 15, 3, { { 4, U8 }, { 5, U32 }, { 6, U64 } } },
	{ "bpf_testmod_fentry_test7", 133, 7,
	  { { 16, U64 }, { 17, U64 }, { 18, U16 }, { 19, U32 }, { 20, U64 }, { 21, U8 },
	    { 22, U32 } } },
	{ "bpf_testmod_fentry_test11", 231, 11,
	  { { 16, U64 }, { 17, U64 }, { 18, U16 }, { 19, U32 }, { 20, U64 }, { 21, U8 },
	    { 22, U32 }, { 23, U32 }, { 24, U64 }, { 25, U64 }, { 26, U64 } } },
	{ "bpf_testmod_test_struct_arg_1", 10, 4,
	  { { 2, U64 }, { 3, U64 }, { 1, U32 }, { 4, U32 } } },
	{ "bpf_testmod_test_struct_arg_2", 10, 4,
	  { { 1, U32 }, { 2, U64 }, { 3, U64 }, { 4, U32 } } },
	{ "bpf_testmod_test_struct_arg_3", 10, 4,
	  { { 1, U32 }, { 4, U32 }, { 2, U64 }, { 3, U64 } } },
	{ "bpf_testmod_test_struct_arg_4", 21, 6,
	  { { 10, U32 }, { 1, U32 }, { 2, U32 }, { 3, U32 }, { 2, U64 }, { 3, U64 } } },
	{ "bpf_testmod_test_struct_arg_5", 1, 0 },
	/* a pointer to the heap */
	{ "bpf_testmod_test_struct_arg_6", 1, 1 },
	{ "bpf_testmod_test_struct_arg_7", 133, 7,
	  { { 16, U64 }, { 17, U64 }, { 18, U16 }, { 19, U32 }, { 20, U64 }, { 21, U64 },
	    { 22, U32 } } },
	{ "bpf_testmod_test_struct_arg_8", 156, 8,
	  { { 16, U64 }, { 17, U64 }, { 18, U16 }, { 19, U32 }, { 20, U64 }, { 21, U64 },
	    { 22, U32 }, { 23, U32 } } },
	{ "bpf_testmod_test_struct_arg_9", 258, 10,
	  { { 16, U64 }, { 17, U64 }, { 18, U16 }, { 19, U32 }, { 20, U64 }, { 21, U8 },
	    { 22, U16 },
	    { 23 | 24 << 16 | 25ULL << 32, U64 & ~0xff00ULL },
	    { 26, U64 }, { 27, U64 } } },
#ifndef __x86_64__
	{ "bpf_testmod_test_struct_arg_10", 105, 14,
	  { { 1, U64 }, { 2, U64 }, { 3, U64 }, { 4, U64 }, { 5, U64 }, { 6, U64 }, { 7, U64 },
	    { 8, U64 }, { 9, U64 }, { 10, U64 }, { 11, U64 }, { 12, U64 }, { 13, U64 },
	    { 14, U64 } } },
#endif
	{ "bpf_testmod_test_union_arg_1", 10, 3, { { 1, U32 }, { 4, U32 }, { 5, U32 } } },
	{ "bpf_testmod_test_union_arg_2", 11, 3, { { 6, U32 }, { 2, U64 }, { 3, U64 } } },
	{ "bpf_testmod_test_arg_ptr_to_struct", -1, 1 },
#ifdef __SIZEOF_INT128__
	{ "bpf_testmod_test_int128_arg", 6, 4,
	  { { 1, U64 }, { 0, U64 }, { 2, U32 }, { 3, U64 } } },
#endif
};

struct args_test {
	struct tracing_multi_args *skel;
	const struct func_args *funcs;
	int cnt;
	__u32 ids[ARGS_FUNCS_MAX];
	struct bpf_program *progs[ARGS_PROGS];
	struct bpf_link *links[ARGS_PROGS];
	/* functions of each link: every so manyth */
	int step[ARGS_PROGS];
};

static bool args_check_func(struct args_test *at, int prog, int func)
{
	const struct args_record *rec = &at->skel->bss->records[prog][func];
	const struct func_args *exp = &at->funcs[func];
	char what[128];
	__u64 calls;
	int i;

	snprintf(what, sizeof(what), "%s at %s", bpf_program__name(at->progs[prog]), exp->name);
	calls = at->links[prog] && func % at->step[prog] == 0;
	if (prog == ARGS_FSESSION)
		calls *= 2;
	if (!ASSERT_EQ(rec->calls, calls, what))
		return false;
	if (!calls)
		return true;

	if (!ASSERT_EQ(rec->cnt, exp->cnt, what) || !ASSERT_EQ(rec->errs, 0, what))
		return false;
	for (i = 0; i < exp->cnt; i++) {
		if (!ASSERT_EQ(rec->arg[i] & exp->arg[i].mask, exp->arg[i].val, what)) {
			printf("argument %d\n", i);
			return false;
		}
	}
	if (prog >= ARGS_FEXIT && !ASSERT_EQ(rec->ret, exp->ret, what))
		return false;
	return true;
}

static bool args_check(struct args_test *at, bool module)
{
	LIBBPF_OPTS(bpf_test_run_opts, topts);
	struct tracing_multi_args__bss *bss;
	int prog, func;

	bss = at->skel->bss;
	memset(bss->records, 0, sizeof(bss->records));
	bss->strays = 0;
	if (module) {
		if (!ASSERT_OK(trigger_module_test_read(1), "trigger_read"))
			return false;
	} else {
		if (!ASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(at->progs[0]), &topts),
			       "test_run"))
			return false;
	}
	for (prog = 0; prog < ARGS_PROGS; prog++) {
		for (func = 0; func < at->cnt; func++) {
			if (!args_check_func(at, prog, func))
				return false;
		}
	}
	return ASSERT_EQ(bss->strays, 0, "strays");
}

static bool args_attach(struct args_test *at, int prog, int step)
{
	LIBBPF_OPTS(bpf_tracing_multi_opts, opts);
	__u32 ids[ARGS_FUNCS_MAX];
	int i, cnt = 0;

	for (i = 0; i < at->cnt; i += step)
		ids[cnt++] = at->ids[i];
	opts.ids = ids;
	opts.cnt = cnt;
	at->step[prog] = step;
	at->links[prog] = bpf_program__attach_tracing_multi(at->progs[prog], NULL, &opts);
	return ASSERT_OK_PTR(at->links[prog], bpf_program__name(at->progs[prog]));
}

static bool args_detach(struct args_test *at, int prog)
{
	int err = bpf_link__destroy(at->links[prog]);

	at->links[prog] = NULL;
	return ASSERT_OK(err, "detach");
}

static int args_load(struct args_test *at, bool module)
{
	int i;

	at->skel = tracing_multi_args__open();
	if (!ASSERT_OK_PTR(at->skel, "tracing_multi_args__open"))
		return -1;
	if (module) {
		at->progs[ARGS_FENTRY_1] = at->skel->progs.mod_fentry_1;
		at->progs[ARGS_FENTRY_2] = at->skel->progs.mod_fentry_2;
		at->progs[ARGS_FEXIT] = at->skel->progs.mod_fexit;
		at->progs[ARGS_FSESSION] = at->skel->progs.mod_fsession;
	} else {
		at->progs[ARGS_FENTRY_1] = at->skel->progs.fentry_1;
		at->progs[ARGS_FENTRY_2] = at->skel->progs.fentry_2;
		at->progs[ARGS_FEXIT] = at->skel->progs.fexit;
		at->progs[ARGS_FSESSION] = at->skel->progs.fsession;
	}
	for (i = 0; i < ARGS_PROGS; i++)
		bpf_program__set_autoload(at->progs[i], true);
	if (!ASSERT_OK(tracing_multi_args__load(at->skel), "tracing_multi_args__load"))
		return -1;
	at->skel->bss->pid = getpid();
	return 0;
}

static int args_find_funcs(struct args_test *at, bool module)
{
	struct btf *vmlinux_btf = NULL, *module_btf = NULL;
	struct ksyms *ksyms;
	int i, err = -1;

	/* the module may have been loaded anew since any load_kallsyms() */
	ksyms = load_kallsyms_local();
	if (!ASSERT_OK_PTR(ksyms, "load_kallsyms_local"))
		return -1;
	vmlinux_btf = btf__load_vmlinux_btf();
	if (!ASSERT_OK_PTR(vmlinux_btf, "btf__load_vmlinux_btf"))
		goto out;
	if (module) {
		module_btf = btf__load_module_btf("bpf_testmod", vmlinux_btf);
		if (!ASSERT_OK_PTR(module_btf, "btf__load_module_btf"))
			goto out;
	}

	for (i = 0; i < at->cnt; i++) {
		const char *name = at->funcs[i].name;
		int id;

		id = btf__find_by_name_kind(module ? module_btf : vmlinux_btf, name, BTF_KIND_FUNC);
		if (!ASSERT_GT(id, 0, name))
			goto out;
		at->ids[i] = id;
		at->skel->bss->func_ips[i] = ksym_get_addr_local(ksyms, name);
		if (!ASSERT_NEQ(at->skel->bss->func_ips[i], 0, name))
			goto out;
	}
	err = 0;
out:
	btf__free(module_btf);
	btf__free(vmlinux_btf);
	free_kallsyms_local(ksyms);
	return err;
}

/* Nobody takes a module away from under a link. */
static bool args_module_stays(bool module)
{
	if (!module)
		return true;
	return ASSERT_ERR(syscall(__NR_delete_module, "bpf_testmod", O_NONBLOCK), "unload");
}

static void test_args(const struct func_args *funcs, int cnt, bool module)
{
	struct args_test at = {
		.funcs = funcs,
		.cnt = cnt,
	};
	int i;

	if (args_load(&at, module) || args_find_funcs(&at, module))
		goto out;

	/* alone, then with others at some of the functions and at all */
	if (!args_attach(&at, ARGS_FENTRY_1, 1) || !args_check(&at, module) ||
	    !args_attach(&at, ARGS_FENTRY_2, 2) || !args_check(&at, module) ||
	    !args_attach(&at, ARGS_FEXIT, 3) || !args_check(&at, module) ||
	    !args_attach(&at, ARGS_FSESSION, 1) || !args_check(&at, module) ||
	    !args_module_stays(module) ||
	    !args_detach(&at, ARGS_FEXIT) || !args_check(&at, module) ||
	    !args_detach(&at, ARGS_FENTRY_1) || !args_check(&at, module) ||
	    !args_attach(&at, ARGS_FEXIT, 1) || !args_check(&at, module) ||
	    !args_detach(&at, ARGS_FSESSION) || !args_check(&at, module) ||
	    !args_detach(&at, ARGS_FENTRY_2) || !args_check(&at, module))
		goto out;
out:
	for (i = 0; i < ARGS_PROGS; i++)
		bpf_link__destroy(at.links[i]);
	tracing_multi_args__destroy(at.skel);
}

void serial_test_tracing_multi_args(void)
{
#if !defined(__x86_64__) && !defined(__aarch64__)
	test__skip();
	return;
#endif

	if (test__start_subtest("vmlinux"))
		test_args(vmlinux_args, ARRAY_SIZE(vmlinux_args), false);
	if (test__start_subtest("module")) {
		if (env.has_testmod)
			test_args(module_args, ARRAY_SIZE(module_args), true);
		else
			test__skip();
	}
}
