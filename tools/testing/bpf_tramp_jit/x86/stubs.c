// SPDX-License-Identifier: GPL-2.0-only
/* What x86-64's JIT calls of the rest of the kernel, and what it asks for */
#include <linux/cfi.h>
#include <linux/cpufeature.h>
#include <linux/text-patching.h>
#include <asm/ibt.h>
#include <asm/nospec-branch.h>

static unsigned int features;

void (*x86_return_thunk)(void) = return_thunk;

static void set_cpu_feature(int nr, bool on)
{
	if (on)
		set_bit(nr, (unsigned long *)boot_cpu_data.x86_capability);
	else
		clear_bit(nr, (unsigned long *)boot_cpu_data.x86_capability);
}

/* What cpu_wants_rethunk() asks, and the JIT's own questions */
void jit_set_features(unsigned int on)
{
	features = on;
	set_cpu_feature(X86_FEATURE_IBT, on & JIT_IBT);
	set_cpu_feature(X86_FEATURE_RETPOLINE, on & (JIT_RETPOLINE | JIT_LFENCE));
	set_cpu_feature(X86_FEATURE_RETPOLINE_LFENCE, on & JIT_LFENCE);
	set_cpu_feature(X86_FEATURE_CALL_DEPTH, on & JIT_CALL_DEPTH);
}

/* from a function's address to its patchable entry */
static unsigned long ip_offset(void)
{
	return features & JIT_IBT ? ENDBR_INSN_SIZE : 0;
}

bool cpu_wants_rethunk(void)
{
	return features & JIT_RETHUNK;
}

/* inc dword ptr [depth] in place of the shift of the per-CPU depth */
int x86_call_depth_emit_accounting(u8 **pprog, void *func, void *ip)
{
	u8 *prog = *pprog;

	if (!(features & JIT_CALL_DEPTH))
		return 0;
	/* inc dword ptr [rip + disp]: relative to where it is, as the kernel's */
	prog[0] = 0xff;
	prog[1] = 0x05;
	*(u32 *)(prog + 2) = (u32)((void *)&call_depth - (ip + 6));
	*pprog += 6;
	return 6;
}

struct cpuinfo_x86 boot_cpu_data;
enum cfi_mode cfi_mode;
char _stext[1], _etext[1];

static const unsigned char nop5[] = { BYTES_NOP5 };
const unsigned char * const x86_nops[ASM_NOP_MAX + 1] = {
	[1] = (const unsigned char []){ BYTES_NOP1 },
	[2] = (const unsigned char []){ BYTES_NOP2 },
	[3] = (const unsigned char []){ BYTES_NOP3 },
	[4] = (const unsigned char []){ BYTES_NOP4 },
	[5] = nop5,
	[6] = (const unsigned char []){ BYTES_NOP6 },
	[7] = (const unsigned char []){ BYTES_NOP7 },
	[8] = (const unsigned char []){ BYTES_NOP8 },
};

void *text_poke_copy(void *addr, const void *opcode, size_t len)
{
	return memcpy(addr, opcode, len);
}

void smp_text_poke_batch_add(void *addr, const void *opcode, size_t len, const void *emulate)
{
	memcpy(addr, opcode, len);
}

void smp_text_poke_single(void *addr, const void *opcode, size_t len, const void *emulate)
{
	memcpy(addr, opcode, len);
}

void smp_text_poke_batch_finish(void)
{
}

__noendbr bool is_endbr(u32 *val)
{
	return *val == gen_endbr();
}

/* The upper half has the inverted flag that another task is to run. */
DEFINE_PER_CPU_CACHE_HOT(unsigned long, __preempt_count) = PREEMPT_ENABLED;

int preempt_disabled(void)
{
	return (int)*(unsigned long __force *)&__preempt_count;
}

void resched_due(void)
{
	*(unsigned long __force *)&__preempt_count &= ~PREEMPT_NEED_RESCHED;
}

void resched_done(void)
{
	*(unsigned long __force *)&__preempt_count |= PREEMPT_NEED_RESCHED;
}

void preempt_schedule_notrace_thunk(void)
{
	runtime_resched();
}

int resched_nothing(void)
{
	return 0;
}
