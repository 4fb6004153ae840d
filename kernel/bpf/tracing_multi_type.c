// SPDX-License-Identifier: GPL-2.0-only
/*
 * Types of arguments: a program of tracing_multi links may name a function when it is
 * loaded, by attach_btf_id. It reads its arguments and its return value with the types
 * that they have there, as a program does that is for this function alone. So each
 * function that it is attached to has to have the same types, but only for what the
 * program reads.
 */
#include <linux/bpf.h>
#include <linux/bpf_verifier.h>
#include <linux/btf.h>
#include <linux/string.h>

/* Pointers to pointers to ... */
#define MAX_DEPTH	8

static const struct btf_type *skip_names(const struct btf *btf, u32 id)
{
	const struct btf_type *t = btf_type_by_id(btf, id);

	/* but not type tags: they tell memory of user space from the kernel's */
	while (btf_type_is_typedef(t) || BTF_INFO_KIND(t->info) == BTF_KIND_CONST ||
	       BTF_INFO_KIND(t->info) == BTF_KIND_VOLATILE ||
	       BTF_INFO_KIND(t->info) == BTF_KIND_RESTRICT)
		t = btf_type_by_id(btf, t->type);
	return t;
}

/*
 * BTF has a structure once if all of its members agree, and a module has those of
 * vmlinux as its own. So other ones of the same name are others.
 */
static bool types_agree(const struct btf *btf_a, u32 id_a, const struct btf *btf_b, u32 id_b)
{
	const struct btf_type *a, *b;
	int depth;

	for (depth = 0; depth < MAX_DEPTH; depth++) {
		a = skip_names(btf_a, id_a);
		b = skip_names(btf_b, id_b);
		if (a == b)
			return true;
		if (BTF_INFO_KIND(a->info) != BTF_INFO_KIND(b->info))
			return false;
		switch (BTF_INFO_KIND(a->info)) {
		case BTF_KIND_INT:
			return a->size == b->size && *(u32 *)(a + 1) == *(u32 *)(b + 1);
		case BTF_KIND_TYPE_TAG:
			if (btf_type_kflag(a) != btf_type_kflag(b) ||
			    strcmp(btf_name_by_offset(btf_a, a->name_off),
				   btf_name_by_offset(btf_b, b->name_off)))
				return false;
			fallthrough;
		case BTF_KIND_PTR:
			id_a = a->type;
			id_b = b->type;
			break;
		default:
			return false;
		}
	}
	return false;
}

/**
 * bpf_tracing_multi_reads_arg - note that a program reads an argument
 * @prog: the program; nothing is noted if it is none of tracing_multi links
 * @arg: number of the argument, that of arguments for the return value
 */
void bpf_tracing_multi_reads_arg(const struct bpf_prog *prog, u32 arg)
{
	if (is_tracing_multi(prog->expected_attach_type))
		prog->aux->typed_args |= BIT(arg);
}

/**
 * bpf_tracing_multi_check_types - has a function the types that a program reads?
 * @log: says which argument has another type, may be NULL
 * @prog: the program
 * @btf: BTF object of the function
 * @proto: its prototype
 * @name: its name
 *
 * Return: 0 or -EINVAL.
 */
int bpf_tracing_multi_check_types(struct bpf_verifier_log *log, const struct bpf_prog *prog,
				  const struct btf *btf, const struct btf_type *proto,
				  const char *name)
{
	const struct btf_type *want = prog->aux->attach_func_proto;
	const struct btf *want_btf = prog->aux->attach_btf;
	u32 i, nr, nr_want;

	if (!prog->aux->typed_args)
		return 0;
	nr = btf_type_vlen(proto);
	nr_want = btf_type_vlen(want);
	for (i = 0; i < nr_want; i++) {
		if (!(prog->aux->typed_args & BIT(i)))
			continue;
		if (i >= nr ||
		    btf_ctx_arg_offset(btf, proto, i) != btf_ctx_arg_offset(want_btf, want, i) ||
		    !types_agree(want_btf, btf_params(want)[i].type, btf,
				 btf_params(proto)[i].type)) {
			bpf_log(log, "Argument %u of function %s has another type than in %s\n",
				i + 1, name, prog->aux->attach_func_name);
			return -EINVAL;
		}
	}
	if (!(prog->aux->typed_args & BIT(nr_want)))
		return 0;
	/* it is behind the arguments */
	if (btf_ctx_arg_offset(btf, proto, nr) != btf_ctx_arg_offset(want_btf, want, nr_want) ||
	    !types_agree(want_btf, want->type, btf, proto->type)) {
		bpf_log(log, "The return value of function %s has another type than in %s\n",
			name, prog->aux->attach_func_name);
		return -EINVAL;
	}
	return 0;
}
