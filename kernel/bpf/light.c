// SPDX-License-Identifier: GPL-2.0
/*
 * Light programs: programs of tracing_multi links that run for a bounded, short time
 * and do not sleep. Trampolines run them with preemption disabled. So no other task
 * gets to the CPU while one runs, whose calls of traced functions it would then miss
 * as recursion.
 *
 * A section with preemption disabled delays others, so what makes a program light is
 * the bound. The verifier looks at each instruction on each path and in each round of
 * a loop, and bpf_light_account() adds up what they take. No path takes more than the
 * sum. That does not hold where the verifier prunes a path on which the program goes
 * on, as in callbacks, iterators and may_goto, and for global functions, which it
 * verifies by themselves.
 */
#include <linux/bpf.h>
#include <linux/bpf_verifier.h>
#include <linux/btf.h>
#include <linux/filter.h>
#include <linux/stringify.h>
#include "disasm.h"

/* What a light program takes at most, in instructions: about a microsecond */
#define LIGHT_MAX		2000
/* The memory that a helper may copy, compare or hash, in bytes */
#define LIGHT_MAX_MEM		256
/* What a kfunc with KF_LIGHT takes */
#define LIGHT_KFUNC		20
/* What a load takes that may fault, and what an atomic instruction */
#define LIGHT_FAULT		100
#define LIGHT_ATOMIC		20

static void light_refuse(struct bpf_verifier_env *env, const char *why, const char *what)
{
	struct bpf_prog *prog = env->prog;

	prog->light = false;
	prog->aux->not_light = (struct bpf_not_light){ why, what, env->insn_idx };
}

/*
 * What a helper takes for its map, -1 if that is not bounded. Values with fields that
 * the kernel looks after may have others wait, or the last reference on something.
 */
static s64 light_map(const struct bpf_map *map, int func_id)
{
	bool update = func_id == BPF_FUNC_map_update_elem;
	u32 size = map->key_size + (update ? map->value_size : 0);

	if (map->key_size > LIGHT_MAX_MEM)
		return -1;
	if (update && map->value_size > LIGHT_MAX_MEM)
		return -1;
	if ((update || func_id == BPF_FUNC_map_delete_elem) && !IS_ERR_OR_NULL(map->record))
		return -1;
	switch (map->map_type) {
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_RINGBUF:
		return size;
	case BPF_MAP_TYPE_PERCPU_HASH:
		/* a new element has a value for each CPU */
		return update ? (u64)size * num_possible_cpus() : size;
	case BPF_MAP_TYPE_LRU_HASH:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
		/* an update may evict a hundred elements first */
		if (update)
			return -1;
		return size;
	default:
		return -1;
	}
}

static u32 light_helper(struct bpf_verifier_env *env, int func_id)
{
	const char *name = func_id_name(func_id);
	const struct bpf_func_proto *fn;
	const struct bpf_reg_state *reg;
	s64 cost, more;
	int i;

	/* check_helper_call() refuses the program */
	if (bpf_get_helper_proto(env, func_id, &fn))
		return 0;

	cost = fn->light;
	if (!cost) {
		light_refuse(env, "calls", name);
		return 0;
	}
	for (i = 0; i < MAX_BPF_FUNC_REG_ARGS; i++) {
		reg = cur_regs(env) + BPF_REG_1 + i;
		switch (base_type(fn->arg_type[i])) {
		case ARG_CONST_MAP_PTR:
			if (reg->type != CONST_PTR_TO_MAP)
				break;
			more = light_map(reg->map_ptr, func_id);
			if (more < 0)
				light_refuse(env, "may take long for that map in", name);
			else
				cost += more;
			break;
		case ARG_MEM_SIZE:
		case ARG_MEM_SIZE_OR_ZERO:
			if (reg_umax(reg) > LIGHT_MAX_MEM)
				light_refuse(env, "passes more than "
					     __stringify(LIGHT_MAX_MEM) " bytes to", name);
			else
				cost += reg_umax(reg);
			break;
		default:
			break;
		}
	}
	return min_t(s64, cost, LIGHT_MAX + 1);
}

static u32 light_kfunc(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	struct bpf_call_arg_meta meta;

	/* check_kfunc_call() refuses the program */
	if (bpf_fetch_kfunc_arg_meta(env, insn->imm, insn->off, &meta))
		return 0;

	if (!(meta.kfunc_flags & KF_LIGHT))
		light_refuse(env, "calls", meta.func_name);
	return LIGHT_KFUNC;
}

static u32 light_call(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	int subprog;

	switch (insn->src_reg) {
	case 0:
		return light_helper(env, insn->imm);
	case BPF_PSEUDO_KFUNC_CALL:
		return light_kfunc(env, insn);
	default:
		subprog = bpf_find_subprog(env, env->insn_idx + insn->imm + 1);
		if (subprog >= 0 && bpf_subprog_is_global(env, subprog))
			light_refuse(env, "calls the global function",
				     env->subprog_info[subprog].name);
		return 1;
	}
}

/**
 * bpf_light_begin - begin to find out whether a program is light
 * @env: the verifier's environment, before it looks at the first instruction
 *
 * A program of tracing_multi links is light until bpf_light_account() finds out that
 * it is not.
 */
void bpf_light_begin(struct bpf_verifier_env *env)
{
	struct bpf_prog *prog = env->prog;

	if (prog->type != BPF_PROG_TYPE_TRACING || !is_tracing_multi(prog->expected_attach_type))
		return;

	prog->light = true;
	if (prog->sleepable)
		light_refuse(env, "is sleepable", NULL);
	else if (!prog->jit_requested)
		light_refuse(env, "is not JITed", NULL);
	else if (prog->aux->arena)
		light_refuse(env, "uses an arena", NULL);
	else if (IS_ENABLED(CONFIG_PREEMPT_RT))
		light_refuse(env, "runs on PREEMPT_RT", NULL);
}

/**
 * bpf_light_account - account for an instruction that the verifier looks at
 * @env: the verifier's environment, with the state before the instruction
 * @insn: the instruction
 */
void bpf_light_account(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	u8 class = BPF_CLASS(insn->code), op = BPF_OP(insn->code);
	u32 cost = 1;

	/* a program that calls a global function is not light anyway */
	if (!env->prog->light || env->cur_state->frame[0]->subprogno)
		return;

	if (class == BPF_JMP && op == BPF_CALL)
		cost = light_call(env, insn);
	else if (class == BPF_JMP && op == BPF_JCOND)
		light_refuse(env, "is a", "may_goto");
	else if (class == BPF_LDX && insn->src_reg < MAX_BPF_REG &&
		 bpf_may_fault_on_deref(cur_regs(env)[insn->src_reg].type))
		cost = LIGHT_FAULT;
	else if (class == BPF_STX && BPF_MODE(insn->code) == BPF_ATOMIC)
		cost = LIGHT_ATOMIC;

	env->light_cost += cost;
	if (env->prog->light && env->light_cost > LIGHT_MAX)
		light_refuse(env, "takes more than " __stringify(LIGHT_MAX) " instructions", NULL);
}

/**
 * bpf_light_end - log whether a program is light
 * @env: the verifier's environment, after it has looked at all instructions
 *
 * BPF_F_REENTRANT has no effect on a program that is not light, because whether it is
 * may differ from kernel to kernel.
 *
 * Return: 0, or -EINVAL for BPF_F_REENTRANT if the program is of another kind.
 */
int bpf_light_end(struct bpf_verifier_env *env)
{
	struct bpf_prog *prog = env->prog;
	char why[BPF_NOT_LIGHT_LEN];
	bool heavy = bpf_not_light(prog, why);

	if (prog->reentrant && !prog->light && !heavy) {
		bpf_log(&env->log, "BPF_F_REENTRANT is for programs of tracing_multi links\n");
		return -EINVAL;
	}
	prog->reentrant &= prog->light;
	if (!(env->log.level & (BPF_LOG_LEVEL | BPF_LOG_STATS)))
		return 0;
	if (prog->light)
		bpf_log(&env->log, "program is light: it takes at most %u instructions of %u\n",
			env->light_cost, LIGHT_MAX);
	else if (heavy)
		bpf_log(&env->log, "program is not light: %s\n", why);
	return 0;
}

/* Return true if @insn cannot call a traced function. */
static bool light_stays_inside(const struct bpf_insn *insn)
{
	u8 class = BPF_CLASS(insn->code), mode = BPF_MODE(insn->code);

	if (class == BPF_JMP && BPF_OP(insn->code) == BPF_CALL)
		return insn->src_reg == BPF_PSEUDO_CALL ||
		       (!insn->src_reg && bpf_jit_inlines_helper_call(insn->imm));
	/* the load may fault */
	if (class == BPF_LDX)
		return mode == BPF_MEM || mode == BPF_MEMSX;
	return true;
}

/**
 * bpf_light_rewritten - see whether a program can run inside itself
 * @env: the verifier's environment, with calls in line as far as they will be
 *
 * A reentrant program that calls nothing needs no recursion protection.
 */
void bpf_light_rewritten(struct bpf_verifier_env *env)
{
	struct bpf_prog *prog = env->prog;
	int i;

	if (!prog->reentrant)
		return;
	for (i = 0; i < prog->len; i++)
		if (!light_stays_inside(&prog->insnsi[i]))
			return;
	prog->unguarded = true;
}

/**
 * bpf_not_light - format why a program is not light
 * @prog: the program
 * @why: buffer of BPF_NOT_LIGHT_LEN bytes
 *
 * Return: false if the program is light, or no program of tracing_multi links.
 */
bool bpf_not_light(const struct bpf_prog *prog, char *why)
{
	const struct bpf_not_light *reason = &prog->aux->not_light;

	if (!reason->why)
		return false;
	if (reason->what)
		snprintf(why, BPF_NOT_LIGHT_LEN, "instruction %u %s %s", reason->insn, reason->why,
			 reason->what);
	else
		snprintf(why, BPF_NOT_LIGHT_LEN, "it %s", reason->why);
	return true;
}
