// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bodies of sets run light programs without calls, unless something needs the calls.
 * When that changes the bodies are generated again. Dedicated trampolines always call.
 */
#include "trampoline_set_internal.h"
#include "trampoline_change.h"

/**
 * bpf_tramp_sets_renew_light - generate all bodies again that run light programs
 *
 * The caller has changed what bpf_trampoline_generate() looks at. A set for which that
 * fails keeps its body until bpf_tramp_sets_tidy() succeeds.
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex.
 */
void bpf_tramp_sets_renew_light(void)
{
	/* there are calls always */
	if (IS_ENABLED(CONFIG_DEBUG_LOCK_ALLOC))
		return;

	guard(mutex)(&bpf_tramp_sets_mutex);
	bpf_tramp_sets_outdate_light();
	if (bpf_tramp_tidy())
		bpf_tramp_tidy_later();
}
