// SPDX-License-Identifier: GPL-2.0-only
/* What arm64's JIT calls of the rest of the kernel, and what it asks for */
#include <linux/cpufeature.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/text-patching.h>

#include <asm/insn.h>

DECLARE_BITMAP(system_cpucaps, ARM64_NCAPS);

void jit_set_lse(int on)
{
	if (on)
		set_bit(ARM64_HAS_LSE_ATOMICS, system_cpucaps);
	else
		clear_bit(ARM64_HAS_LSE_ATOMICS, system_cpucaps);
}

int jit_bti(void)
{
	return IS_ENABLED(CONFIG_ARM64_BTI_KERNEL);
}

/* from a function's address to its patchable entry */
static unsigned long ip_offset(void)
{
	return jit_bti() ? 2 * AARCH64_INSN_SIZE : AARCH64_INSN_SIZE;
}

static void code_written(void *addr, size_t len)
{
	__builtin___clear_cache(addr, addr + len);
}

void *aarch64_insn_copy(void *dst, void *src, size_t len)
{
	if (!IS_ALIGNED((unsigned long)dst, AARCH64_INSN_SIZE))
		return NULL;
	memcpy(dst, src, len);
	code_written(dst, len);
	return dst;
}

/* These may change while other CPUs execute them. */
static bool may_change(u32 insn)
{
	return aarch64_insn_is_b(insn) || insn == aarch64_insn_gen_nop();
}

int aarch64_insn_patch_text_nosync(void *addr, u32 insn)
{
	__le32 *p = addr;

	if (!IS_ALIGNED((unsigned long)addr, sizeof(*p)) || !may_change(le32_to_cpu(*p)) ||
	    !may_change(insn))
		return -EINVAL;
	*p = cpu_to_le32(insn);
	code_written(p, sizeof(*p));
	return 0;
}

int aarch64_insn_write_literal_u64(void *addr, u64 val)
{
	if (!IS_ALIGNED((unsigned long)addr, sizeof(val)))
		return -EINVAL;
	*(u64 *)addr = val;
	return 0;
}

/* The current task, of which there is only what says whether it can be preempted. */
static union {
	struct thread_info info;
	char task[sizeof(struct task_struct)];
} current_task = { .info = { .preempt_count = PREEMPT_ENABLED } };

/* The value that "mrs xN, <register>" reads in the kernel, if the JIT emits that. */
int jit_sysreg(unsigned int insn, unsigned long *val)
{
	u32 any = AARCH64_INSN_REG_ZR;

	insn |= any;
	if (insn == aarch64_insn_gen_mrs(any, AARCH64_INSN_SYSREG_SP_EL0))
		*val = (unsigned long)&current_task;
	/* pointers to what each CPU has are those to memory */
	else if (insn == aarch64_insn_gen_mrs(any, AARCH64_INSN_SYSREG_TPIDR_EL1))
		*val = 0;
	else
		return 0;
	return 1;
}

int preempt_disabled(void)
{
	return current_task.info.preempt.count;
}

void resched_due(void)
{
	current_task.info.preempt.need_resched = 0;
}

void resched_done(void)
{
	current_task.info.preempt.need_resched = 1;
}

void preempt_schedule_notrace(void)
{
	runtime_resched();
}
