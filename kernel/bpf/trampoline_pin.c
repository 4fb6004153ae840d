// SPDX-License-Identifier: GPL-2.0-only
/*
 * Functions that have something of their own beside links: a dedicated trampoline,
 * or a livepatch.
 */
#include "trampoline_set_internal.h"
#include "trampoline_change.h"

/**
 * bpf_tramp_sets_lock - lock the sets, if they have to do with a function
 * @ip: ftrace location
 *
 * Context: may sleep.
 * Return: true if bpf_tramp_sets_mutex is held.
 */
bool bpf_tramp_sets_lock(unsigned long ip)
{
	if (!bpf_tramp_ip_is_site(ip))
		return false;
	mutex_lock(&bpf_tramp_sets_mutex);
	return true;
}

/**
 * bpf_tramp_sets_unlock - the counterpart of bpf_tramp_sets_lock()
 */
void bpf_tramp_sets_unlock(void)
{
	mutex_unlock(&bpf_tramp_sets_mutex);
}

/**
 * bpf_tramp_pin - a function's dedicated trampoline is to get a program
 * @tr: the dedicated trampoline
 * @node: the program
 *
 * If links cover the function, @tr gets their programs and this one, and the site moves
 * to it, unless it is there. A site that no link covers any more leaves ftrace.
 *
 * Context: may sleep; @tr's lock is held, and bpf_tramp_sets_mutex.
 * Return: 1 if @tr runs the program now; 0 if the caller has to add it; or an error, with
 *         all as it was: -EBUSY if the function has another dedicated trampoline (by
 *         another BTF id) or @tr is for another model; what bpf_trampoline_add_prog()
 *         returned; -ENOMEM, or what ftrace or generating an image returned.
 */
int bpf_tramp_pin(struct bpf_trampoline *tr, struct bpf_tramp_node *node)
{
	struct bpf_tramp_class class;
	struct bpf_tramp_site *site;
	struct bpf_tramp_set *set;
	int err;

	lockdep_assert_held(&bpf_tramp_sets_mutex);
	site = bpf_tramp_site_find_ip(tr->ip);
	if (!site || tr->set)
		return 0;
	if (site->set->class.pin)
		return -EBUSY;
	if (list_empty(&site->set->tuples))
		return bpf_tramp_change_move(site->set, NULL, site);

	bpf_tramp_tr_class(tr, &class);
	if (!bpf_tramp_class_equal(&class, &site->set->class))
		return -EBUSY;
	class.pin = tr;
	set = bpf_tramp_set_derive(&class, BPF_TRAMP_KIND_ALONE, site->set, site);
	if (!set)
		return -ENOMEM;
	/* the links' programs are older */
	err = bpf_tramp_set_load(set) ?: bpf_trampoline_add_prog(tr, node);
	if (err) {
		bpf_tramp_set_free(set);
		return err;
	}
	err = bpf_tramp_change_move(site->set, set, site);
	if (!err)
		return 1;
	bpf_trampoline_del_prog(tr, node);
	bpf_trampoline_skip_link(node->link);
	return err;
}

/**
 * bpf_tramp_unpin - a dedicated trampoline has lost a program
 * @tr: the dedicated trampoline; its images jump over the program already
 *
 * The site returns to a shared set when sets can serve all its programs again.
 *
 * Context: may sleep; @tr's lock is held, and bpf_tramp_sets_mutex if the function is
 *          a site.
 * Return: true if so: the caller has nothing to do. Otherwise the trampoline is
 *         the caller's to update.
 */
bool bpf_tramp_unpin(struct bpf_trampoline *tr)
{
	LIST_HEAD(one);

	if (!tr->set || bpf_tramp_tr_has_own_progs(tr))
		return false;
	lockdep_assert_held(&bpf_tramp_sets_mutex);
	bpf_tramp_set_mark_untidy(tr->set);
	list_move(&tr->set->work, &one);
	bpf_tramp_tidy_sets(&one);
	/* if that failed; and the site's old thunk may be one wasted too many */
	bpf_tramp_tidy_later();
	return true;
}

/**
 * bpf_tramp_ipmodify - a livepatch comes to a function, or has gone
 * @ip: ftrace location; bpf_trampoline_ip_is_modified() tells which
 *
 * Before a livepatch is registered the site leaves its set: in a body of its own
 * it returns to where the livepatch lets it. One that no link covers any more leaves
 * ftrace. After a livepatch the site comes back when all is tidied up.
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex.
 * Return: 0; or, if one comes, -ENOMEM or what ftrace or generating a body returned,
 *         with the site where it was.
 */
int bpf_tramp_ipmodify(unsigned long ip)
{
	struct bpf_tramp_class class;
	struct bpf_tramp_site *site;
	struct bpf_tramp_set *set;

	guard(mutex)(&bpf_tramp_sets_mutex);
	site = bpf_tramp_site_find_ip(ip);
	if (!site)
		return 0;
	set = site->set;
	if (list_empty(&set->tuples) && bpf_tramp_set_is_shareable(set))
		return bpf_trampoline_ip_is_modified(ip) ?
		       bpf_tramp_change_move(set, NULL, site) : 0;
	class = set->class;
	class.solo = bpf_tramp_site_solo(site, &class);
	/* a dedicated trampoline knows its function */
	if (class.pin || class.solo == set->class.solo)
		return 0;
	if (!class.solo) {
		bpf_tramp_set_mark_untidy(set);
		bpf_tramp_tidy_later();
		return 0;
	}
	set = bpf_tramp_set_derive(&class, BPF_TRAMP_KIND_ALONE, set, site);
	return set ? bpf_tramp_change_move(site->set, set, site) : -ENOMEM;
}
