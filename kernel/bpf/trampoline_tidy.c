// SPDX-License-Identifier: GPL-2.0-only
/*
 * Detaching, and tidying up after it.
 *
 * Detaching drops the link's tuples, makes the images jump over the program,
 * and leaves the sets that are no longer canonical to tidying, which the worker of
 * trampoline_work.c does soon, for all links that went meanwhile, unless the next
 * attach is sooner. Of untidy sets of the same class and list, and the one that the
 * table has, the one with the most sites leads: the sites of the others move to it.
 * Sets that are made for one site lead no others: theirs go to a new one.
 */
#include "trampoline_set_internal.h"
#include "trampoline_change.h"

/**
 * bpf_tramp_set_is_shareable - can the sites of a set share a body with others?
 * @set: the set
 *
 * Return: true unless it is a pinned one whose trampoline has other programs.
 */
bool bpf_tramp_set_is_shareable(struct bpf_tramp_set *set)
{
	return !set->class.pin || !bpf_tramp_tr_has_own_progs(set->tr);
}

/* Its sites, which no link covers any more, are to leave ftrace. */
static bool set_is_dead(struct bpf_tramp_set *set)
{
	return list_empty(&set->tuples) && bpf_tramp_set_is_shareable(set);
}

/* The class that the sites belong to now. A set without sites is in the right one. */
static void tidy_class(struct bpf_tramp_set *set, struct bpf_tramp_class *class)
{
	*class = set->class;
	if (set->kind != BPF_TRAMP_KIND_ALONE || list_empty(&set->sites))
		return;
	/* the livepatch, or the dedicated trampoline's program, may have gone */
	if (bpf_tramp_set_is_shareable(set))
		class->pin = NULL;
	if (!class->pin)
		class->solo = bpf_tramp_site_solo(bpf_tramp_first_site(&set->sites), class);
}

static void tidy_add(struct bpf_tramp_change *ch, struct bpf_tramp_set *set)
{
	if (list_empty(&set->work))
		list_add_tail(&set->work, &ch->sets);
}

/* The table gets a new set for the sites of this one, before any other of the kind. */
static int tidy_twin(struct bpf_tramp_change *ch, const struct bpf_tramp_class *class,
		     struct bpf_tramp_set *set, bool alone)
{
	enum bpf_tramp_kind kind = bpf_tramp_tuples_kind(&set->tuples);
	struct bpf_tramp_set *twin;

	if (alone && set->nr_sites == 1)
		kind = BPF_TRAMP_KIND_ALONE;
	twin = bpf_tramp_set_derive(class, kind, set, bpf_tramp_first_site(&set->sites));
	if (!twin)
		return -ENOMEM;
	tidy_add(ch, twin);
	return 0;
}

/*
 * The table gets the set that the sites of this one are to go to, or this one. A set
 * that is made for one site leads no other: what they both go to is found first,
 * and it leads again if that fails.
 */
static int tidy_elect(struct bpf_tramp_change *ch, struct bpf_tramp_set *set)
{
	bool alone = set->kind == BPF_TRAMP_KIND_ALONE, fits, joins;
	struct bpf_tramp_class class;
	struct bpf_tramp_set *leader;

	tidy_class(set, &class);
	leader = bpf_tramp_set_find(&class, &set->tuples);
	if (leader == set)
		return 0;
	if (leader)
		tidy_add(ch, leader);
	joins = leader && leader->kind == BPF_TRAMP_KIND_ALONE &&
		!bpf_tramp_class_is_own(&class);
	fits = alone ? !leader : set->kind == bpf_tramp_tuples_kind(&set->tuples);
	if (!fits || memcmp(&class, &set->class, sizeof(class)))
		return leader && !joins ? 0 : tidy_twin(ch, &class, set, !joins);
	if (leader && !joins) {
		if (leader->nr_sites >= set->nr_sites)
			return 0;
		hash_del(&leader->hash_node);
	}
	bpf_tramp_set_insert(set);
	return 0;
}

/* Move the sites to the set that leads, or out of ftrace. */
static int tidy_move(struct bpf_tramp_set *set)
{
	struct bpf_tramp_set *leader = NULL;
	struct bpf_tramp_class class;

	if (!set->nr_sites)
		return 0;
	if (!set_is_dead(set)) {
		tidy_class(set, &class);
		leader = bpf_tramp_set_find(&class, &set->tuples);
		/* a livepatch has come or gone since it was looked for */
		if (!leader || (leader != set && leader->kind == BPF_TRAMP_KIND_ALONE &&
				leader->func != bpf_tramp_first_site(&set->sites)->ip -
						class.ip_off))
			return -EAGAIN;
	}
	/* without an entry, a new body is a new address */
	if (leader != set || (set->stale && set->kind == BPF_TRAMP_KIND_ALONE))
		bpf_tramp_move_rest(set, leader);
	return 0;
}

/* Sets that are added meanwhile have their turn, too. */
static int tidy_plan(struct bpf_tramp_change *ch)
{
	struct bpf_tramp_set *set;
	int err;

	list_for_each_entry(set, &ch->sets, work) {
		err = set_is_dead(set) ? 0 : tidy_elect(ch, set);
		if (err)
			return err;
	}
	list_for_each_entry(set, &ch->sets, work) {
		err = tidy_move(set);
		if (err)
			return err;
	}
	return 0;
}

/**
 * bpf_tramp_tidy_sets - make sets canonical that are untidy
 * @todo: the sets, by @work; those that it fails for are untidy still
 *
 * Context: may sleep; bpf_tramp_sets_mutex is held.
 * Return: as bpf_tramp_tidy().
 */
int bpf_tramp_tidy_sets(struct list_head *todo)
{
	struct bpf_tramp_change ch;
	int err;

	bpf_tramp_change_init(&ch, NULL);
	list_splice_init(todo, &ch.sets);
	err = tidy_plan(&ch);
	if (err)
		bpf_tramp_change_abort(&ch);
	else
		err = bpf_tramp_change_run(&ch);
	return err;
}

/**
 * bpf_tramp_tidy - make all sets canonical
 *
 * What stops one set stops no other: after an error it is one at a time. Twice, because
 * a set that was to take over the sites of one that is stuck leads alone then.
 *
 * Context: may sleep; bpf_tramp_sets_mutex is held.
 * Return: 0, -ENOMEM, or what ftrace or generating a body returned; -EAGAIN if a
 *         livepatch came or went meanwhile.
 */
int bpf_tramp_tidy(void)
{
	LIST_HEAD(todo);
	LIST_HEAD(one);
	int ret, i;

	list_splice_init(&bpf_tramp_untidy, &todo);
	ret = bpf_tramp_tidy_sets(&todo);
	for (i = 0; ret && i < 2; i++) {
		list_splice_init(&bpf_tramp_untidy, &todo);
		ret = 0;
		while (!list_empty(&todo)) {
			list_move(todo.next, &one);
			ret = bpf_tramp_tidy_sets(&one) ?: ret;
		}
	}
	return ret;
}

/**
 * bpf_tramp_renew - have sites move to new thunks where most of a set's are wasted
 *
 * A set that this fails for is as good as before.
 *
 * Context: may sleep; bpf_tramp_sets_mutex is held.
 */
void bpf_tramp_renew(void)
{
	struct bpf_tramp_set *set, *twin;
	LIST_HEAD(wasted);

	bpf_tramp_sets_find_wasted(&wasted);
	while (!list_empty(&wasted)) {
		set = list_first_entry(&wasted, struct bpf_tramp_set, work);
		list_del_init(&set->work);
		twin = bpf_tramp_set_derive(&set->class, set->kind, set,
					    bpf_tramp_first_site(&set->sites));
		if (twin)
			bpf_tramp_change_move(set, twin, NULL);
	}
}

/**
 * bpf_tramp_detach - stop the program of a link, and drop its tuples
 * @link: the link
 * @tuples: its tuples
 *
 * What can be merged, or has no program left, is for bpf_tramp_tidy().
 *
 * Context: may sleep; bpf_tramp_sets_mutex is held.
 */
void bpf_tramp_detach(struct bpf_link *link, struct list_head *tuples)
{
	struct bpf_tramp_tuple *t, *tmp;

	bpf_trampoline_skip_link(link);
	list_for_each_entry_safe(t, tmp, tuples, link_node) {
		bpf_tramp_set_mark_untidy(t->set);
		t->set->stale = true;
		bpf_tramp_tuple_del(t);
	}
}

/**
 * bpf_tramp_sets_detach - detach a link from its functions
 * @link: the link
 * @tuples: its tuples
 *
 * When it returns the program does not run any more, but in calls that were
 * inside of it. It cannot fail, and patches no site: what that leaves is for
 * bpf_tramp_sets_tidy(), which the caller calls later, or for the next attach.
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex.
 */
void bpf_tramp_sets_detach(struct bpf_link *link, struct list_head *tuples)
{
	guard(mutex)(&bpf_tramp_sets_mutex);
	bpf_tramp_detach(link, tuples);
}

/**
 * bpf_tramp_sets_tidy - do what links have left that are detached
 *
 * Sets that have become equal are merged, functions that no link covers leave
 * ftrace, and bodies are generated without the programs that are gone. After an
 * error the rest is for the next call. Sets most of whose thunks are wasted are
 * renewed, if there is the memory.
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex.
 * Return: as bpf_tramp_tidy(); 0, too, if there was nothing to do.
 */
int bpf_tramp_sets_tidy(void)
{
	int err;

	guard(mutex)(&bpf_tramp_sets_mutex);
	err = bpf_tramp_tidy();
	bpf_tramp_renew();
	return err;
}

/**
 * bpf_tramp_sets_leave - a module goes: its functions, which no link covers any more, too
 * @mod: the module
 *
 * Links keep the modules of their functions, what they leave does not. It is tried until
 * ftrace lets the sites go. A module that is removed by force leaves those of links.
 *
 * Context: may sleep; takes bpf_tramp_sets_mutex.
 */
void bpf_tramp_sets_leave(const struct module *mod)
{
	while (bpf_tramp_sites_are_in(mod) && bpf_tramp_sets_tidy() && !ftrace_is_dead())
		msleep(20);
}
