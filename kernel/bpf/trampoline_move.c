// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves: sites of a set that go together to another one, or out of ftrace. A change says
 * when each step of them is done.
 */
#include "trampoline_set_internal.h"
#include "trampoline_change.h"

/* Times at which sites left sets, and the last one from which no task is on its way */
static struct {
	u64 now;
	u64 arrived;
} departures;

/**
 * bpf_tramp_move_site - a site of a set moves
 * @site: the site
 * @to: where to, as in struct bpf_tramp_move; the caller may set it later
 */
void bpf_tramp_move_site(struct bpf_tramp_site *site, struct bpf_tramp_set *to)
{
	struct bpf_tramp_set *from = site->set;

	list_move(&site->list, &from->move.sites);
	from->nr_sites--;
	from->move.nr_sites++;
	from->move.to = to;
}

/**
 * bpf_tramp_move_rest - the other sites of a set move, in place of those that were to
 * @from: the set; if no site was to, all move
 * @to: where to, as in struct bpf_tramp_move; the caller may set it later
 */
void bpf_tramp_move_rest(struct bpf_tramp_set *from, struct bpf_tramp_set *to)
{
	LIST_HEAD(stay);

	list_splice_init(&from->move.sites, &stay);
	list_splice_init(&from->sites, &from->move.sites);
	list_splice(&stay, &from->sites);
	swap(from->nr_sites, from->move.nr_sites);
	from->move.to = to;
}

/**
 * bpf_tramp_move_prepare - make the thunks that the sites which move need
 * @from: their set
 *
 * Context: may sleep; bpf_tramp_sets_mutex is held.
 * Return: 0 or an error.
 */
int bpf_tramp_move_prepare(struct bpf_tramp_set *from)
{
	struct bpf_tramp_move *move = &from->move;
	struct bpf_tramp_thunks *thunks;
	struct bpf_tramp_site *site;
	int err;

	if (!move->nr_sites || !move->to || !bpf_tramp_set_has_thunks(move->to))
		return 0;
	list_for_each_entry(site, &move->sites, list) {
		err = bpf_tramp_site_number(site);
		if (err)
			return err;
	}
	thunks = bpf_tramp_thunks_make(move->to, &move->sites, move->nr_sites);
	if (IS_ERR(thunks))
		return PTR_ERR(thunks);
	move->thunks = thunks;
	return 0;
}

/**
 * bpf_tramp_move_op - what patching does to the sites that move
 * @from: their set
 *
 * Return: they come to ftrace, go on to another address, or leave.
 */
enum bpf_tramp_batch_op bpf_tramp_move_op(const struct bpf_tramp_set *from)
{
	if (!from->live)
		return BPF_TRAMP_BATCH_ADD;
	return from->move.to ? BPF_TRAMP_BATCH_MOD : BPF_TRAMP_BATCH_DEL;
}

/**
 * bpf_tramp_move_patch - add the sites that move to a batch
 * @from: their set, which bpf_tramp_move_prepare() was called for
 * @batch: the batch
 */
void bpf_tramp_move_patch(struct bpf_tramp_set *from, struct bpf_tramp_batch *batch)
{
	struct bpf_tramp_move *move = &from->move;
	struct bpf_tramp_site *site;
	unsigned long addr;
	u32 i = 0;

	list_for_each_entry(site, &move->sites, list) {
		if (!move->to)
			addr = bpf_tramp_ip_addr(site->ip);
		else if (move->thunks)
			addr = bpf_tramp_thunks_get(move->thunks, i++);
		else
			addr = bpf_tramp_set_addr(move->to);
		bpf_tramp_batch_site(batch, site->ip, addr);
	}
}

/**
 * bpf_tramp_move_end - the sites that move are where they are patched to
 * @from: the set; none of its sites moves after that
 * @gone: gets the sites if they have left ftrace
 *
 * If nothing was patched they are where they were.
 */
void bpf_tramp_move_end(struct bpf_tramp_set *from, struct list_head *gone)
{
	struct bpf_tramp_move *move = &from->move;
	struct bpf_tramp_set *set = move->done ? move->to : from;
	struct bpf_tramp_site *site;

	if (!move->done && move->thunks)
		bpf_tramp_thunks_free(move->thunks);
	list_for_each_entry(site, &move->sites, list) {
		site->set = set;
		cond_resched();
	}
	list_splice(&move->sites, set ? &set->sites : gone);
	if (set)
		set->nr_sites += move->nr_sites;
	*move = (struct bpf_tramp_move) { .sites = LIST_HEAD_INIT(move->sites) };
}

/* Sees the time of all sites that have left before it began. */
static void departures_work_fn(struct work_struct *work)
{
	u64 now = READ_ONCE(departures.now);

	synchronize_rcu_tasks();
	/* pairs with bpf_tramp_set_awaits(): what tasks did on their way is done */
	smp_store_release(&departures.arrived, now);
}

static DECLARE_WORK(departures_work, departures_work_fn);

/**
 * bpf_tramp_sites_leave - sites have been patched not to branch to their sets any more
 *
 * Tasks may be on their way from them: preempted between the site and what it branched to.
 *
 * Context: bpf_tramp_sets_mutex is held.
 * Return: the time, which the caller puts into the sets as @left.
 */
u64 bpf_tramp_sites_leave(void)
{
	u64 now = departures.now + 1;

	WRITE_ONCE(departures.now, now);
	/* not on bpf_tramp_wq, whose works would wait for it */
	queue_work(system_dfl_long_wq, &departures_work);
	return now;
}

/**
 * bpf_tramp_set_awaits - may tasks be on their way from sites that have left a set?
 * @set: the set
 *
 * Return: true if so.
 */
bool bpf_tramp_set_awaits(const struct bpf_tramp_set *set)
{
	/* pairs with departures_work_fn() */
	return set->left > smp_load_acquire(&departures.arrived);
}
