// SPDX-License-Identifier: GPL-2.0-only
/*
 * A change: what a link that attaches, tidying, a livepatch and a single program do
 * to sets. Each of them only says which sites go where, and which sets have another list of
 * programs; it is carried out here, in the same steps for all:
 *
 *   prepare   generates bodies, and thunks for the sites that move. Nothing that
 *             runs has been changed: any error ends here.
 *   patch     patches the sites that move, all of those that run something
 *             already in one call of ftrace, then those that are new, or leave.
 *   switch    patches the entries whose body is a new one. Sites leave before the
 *             entry they branched to is switched, and tasks on their way from
 *             them are waited for, so that a new program never runs on a function
 *             that it does not cover.
 *   end       has sites, sets and bodies follow what is patched.
 *
 * When ftrace has patched the sites that move, what is consistent in itself is
 * done even if there is an error after that: new sites that it refuses vanish, those
 * that cannot leave stay, and a set whose entry cannot be switched is untidy. The
 * link that attaches is detached then, which cannot fail.
 */
#include "trampoline_set_internal.h"
#include "trampoline_change.h"

static void set_commit(struct bpf_tramp_set *set)
{
	bpf_tramp_body_commit(set);
	set->stale = false;
	set->live = true;
	bpf_tramp_set_insert(set);
}

/* Does the body that is prepared get into use by the set's entry or gate? */
static bool set_switches(const struct bpf_tramp_set *set)
{
	return set->prepared && set->live && set->kind != BPF_TRAMP_KIND_ALONE;
}

/* What remains to be done is not done; what was done stays. */
static void change_late(struct bpf_tramp_change *ch, int err)
{
	ch->err = ch->err ?: err;
}

/* Is it what the table has for its class and list? Tidying may put another one before. */
static bool set_leads(const struct bpf_tramp_change *ch, const struct bpf_tramp_set *set)
{
	if (hlist_unhashed(&set->hash_node))
		return false;
	return ch->link || set->kind != BPF_TRAMP_KIND_ALONE ||
	       bpf_tramp_set_find(&set->class, &set->tuples) == set;
}

/* Sets of the table get a body that runs their list, if they have none. */
static int change_prepare(struct bpf_tramp_change *ch)
{
	struct bpf_tramp_set *set;
	int err = 0;

	list_for_each_entry(set, &ch->sets, work)
		if (!err && set->stale && set_leads(ch, set))
			err = bpf_tramp_set_load(set) ?: bpf_tramp_body_prepare(set);
	list_for_each_entry(set, &ch->sets, work)
		err = err ?: bpf_tramp_move_prepare(set);
	return err;
}

static int change_patch(struct bpf_tramp_change *ch, enum bpf_tramp_batch_op op)
{
	struct bpf_tramp_batch *batch;
	struct bpf_tramp_set *set;
	u32 nr = 0;
	u64 left = 0;
	int err;

	list_for_each_entry(set, &ch->sets, work)
		if (bpf_tramp_move_op(set) == op)
			nr += set->move.nr_sites;
	if (!nr)
		return 0;
	batch = bpf_tramp_batch_alloc(nr);
	if (!batch)
		return -ENOMEM;
	list_for_each_entry(set, &ch->sets, work)
		if (bpf_tramp_move_op(set) == op)
			bpf_tramp_move_patch(set, batch);
	err = bpf_tramp_batch_run(batch, op);
	bpf_tramp_batch_free(batch);
	if (err)
		return err;
	/* sites that are new come from sets that nothing branches to */
	if (op != BPF_TRAMP_BATCH_ADD)
		left = bpf_tramp_sites_leave();
	list_for_each_entry(set, &ch->sets, work) {
		if (!set->move.nr_sites || bpf_tramp_move_op(set) != op)
			continue;
		set->move.done = true;
		set->left = left;
	}
	return 0;
}

/*
 * A task can be preempted between a site that has left and the entry, and would
 * run a program that the set gets now, for which the site may have no cookie, and no
 * data: that would be any address.
 */
static void change_wait(struct bpf_tramp_change *ch)
{
	struct bpf_tramp_set *set;
	bool wait = false;

	list_for_each_entry(set, &ch->sets, work) {
		if (!set_switches(set))
			continue;
		wait |= bpf_tramp_set_awaits(set);
		set->left = 0;
	}
	if (wait)
		synchronize_rcu_tasks();
}

static void change_switch(struct bpf_tramp_change *ch)
{
	struct bpf_tramp_set *set;
	int err = 0;

	if (ch->link)
		change_wait(ch);
	list_for_each_entry(set, &ch->sets, work) {
		if (!set_switches(set))
			continue;
		err = err ?: bpf_tramp_body_switch(set);
		if (err)
			bpf_tramp_body_abort(set);
	}
	change_late(ch, err);
}

/* The set goes where it belongs when its sites and its body are settled. */
static void set_end(const struct bpf_tramp_change *ch, struct bpf_tramp_set *set,
		    struct list_head *gone)
{
	list_del_init(&set->work);
	if (set->prepared && set->nr_sites)
		set_commit(set);
	bpf_tramp_body_abort(set);
	if (set->nr_sites && set->live && (set->stale || !set_leads(ch, set))) {
		bpf_tramp_set_mark_untidy(set);
		return;
	}
	if (set->nr_sites && !list_empty(&set->tuples))
		return;
	list_splice_init(&set->sites, gone);
	/* the trampoline of a pinned set stays as it is */
	if (set->nr_sites)
		set->live = false;
	bpf_tramp_set_free(set);
}

static void change_end(struct bpf_tramp_change *ch)
{
	struct bpf_tramp_site *site, *stmp;
	struct bpf_tramp_set *set, *tmp;
	LIST_HEAD(gone);

	list_for_each_entry(set, &ch->sets, work)
		bpf_tramp_move_end(set, &gone);
	list_for_each_entry_safe(set, tmp, &ch->sets, work)
		set_end(ch, set, &gone);
	/* the sites last, because single programs do not wait for the mutex then */
	list_for_each_entry_safe(site, stmp, &gone, list)
		bpf_tramp_site_free(site);
}

/**
 * bpf_tramp_change_abort - end a change that has patched nothing
 * @ch: the change
 *
 * All runs as before. The link that attaches has no tuples, but is still to be detached
 * as images have its program until they are freed. Sets that were to be tidied up, and
 * those that were to move to them, are untidy.
 *
 * Context: may sleep; bpf_tramp_sets_mutex is held.
 */
void bpf_tramp_change_abort(struct bpf_tramp_change *ch)
{
	struct bpf_tramp_tuple *t;
	struct bpf_tramp_set *set;

	list_for_each_entry(set, &ch->sets, work) {
		t = list_first_entry_or_null(&set->tuples, struct bpf_tramp_tuple, set_node);
		if (t && t->node.link == ch->link) {
			bpf_tramp_tuple_del(t);
			set->stale = !set->live;
		}
		bpf_tramp_body_abort(set);
		/* what it was to take over leads again */
		if (!set->live)
			hash_del(&set->hash_node);
	}
	change_end(ch);
}

/**
 * bpf_tramp_change_run - carry out a change
 * @ch: the change, which ends with that
 *
 * Context: may sleep; bpf_tramp_sets_mutex is held.
 * Return: 0, or an error. If a link attaches the caller has to detach it then; if it has
 *         no tuples, all is as it was before. If none does, what could not be done is
 *         on the untidy list.
 */
int bpf_tramp_change_run(struct bpf_tramp_change *ch)
{
	int err;

	err = change_prepare(ch) ?: change_patch(ch, BPF_TRAMP_BATCH_MOD);
	if (err) {
		bpf_tramp_change_abort(ch);
		return err;
	}
	change_late(ch, change_patch(ch, BPF_TRAMP_BATCH_ADD));
	change_late(ch, change_patch(ch, BPF_TRAMP_BATCH_DEL));
	change_switch(ch);
	change_end(ch);
	return ch->err;
}

/**
 * bpf_tramp_change_move - carry out a change that only moves sites of one set
 * @from: the set
 * @to: where to, a set that is made for that; NULL: out of ftrace
 * @site: one of the sites; NULL: all of them
 *
 * Context: may sleep; bpf_tramp_sets_mutex is held.
 * Return: as bpf_tramp_change_run(), with no link.
 */
int bpf_tramp_change_move(struct bpf_tramp_set *from, struct bpf_tramp_set *to,
			  struct bpf_tramp_site *site)
{
	struct bpf_tramp_change ch;

	bpf_tramp_change_init(&ch, NULL);
	list_move(&from->work, &ch.sets);
	if (to)
		list_move(&to->work, &ch.sets);
	if (site)
		bpf_tramp_move_site(site, to);
	else
		bpf_tramp_move_rest(from, to);
	return bpf_tramp_change_run(&ch);
}
