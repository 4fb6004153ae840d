// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves: sites of a set that go together to another one, or out of ftrace. A change has
 * one or more of them, and says when each step of them is done.
 */
#include "trampoline_set_internal.h"
#include "trampoline_change.h"

/* Times at which sites left sets, and the last one from which no task is on its way */
static struct {
	u64 now;
	u64 arrived;
} departures;

/**
 * bpf_tramp_move_add - some sites of a set are to move
 * @ch: the change
 * @from: the set
 * @to: as in struct bpf_tramp_move; the caller may set it later
 *
 * Return: the move, without sites, or NULL if there is no memory.
 */
struct bpf_tramp_move *bpf_tramp_move_add(struct bpf_tramp_change *ch,
					  struct bpf_tramp_set *from, struct bpf_tramp_set *to)
{
	struct bpf_tramp_move *move = kzalloc_obj(*move);

	if (!move)
		return NULL;
	INIT_LIST_HEAD(&move->sites);
	move->from = from;
	move->to = to;
	list_add_tail(&move->node, &ch->moves);
	return move;
}

/**
 * bpf_tramp_move_site - a site of the set belongs to the move
 * @move: the move
 * @site: the site
 */
void bpf_tramp_move_site(struct bpf_tramp_move *move, struct bpf_tramp_site *site)
{
	list_move(&site->list, &move->sites);
	move->from->nr_sites--;
	move->nr_sites++;
}

/**
 * bpf_tramp_move_all - all sites that the set has left belong to the move
 * @move: the move
 */
void bpf_tramp_move_all(struct bpf_tramp_move *move)
{
	list_splice_init(&move->from->sites, &move->sites);
	move->nr_sites += move->from->nr_sites;
	move->from->nr_sites = 0;
}

/**
 * bpf_tramp_move_prepare - make the thunks that the sites of a move need
 * @move: the move
 *
 * Context: may sleep; bpf_tramp_sets_mutex is held.
 * Return: 0 or an error.
 */
int bpf_tramp_move_prepare(struct bpf_tramp_move *move)
{
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
 * bpf_tramp_move_op - what patching does to the sites of a move
 * @move: the move
 *
 * Return: they come to ftrace, go on to another address, or leave.
 */
enum bpf_tramp_batch_op bpf_tramp_move_op(const struct bpf_tramp_move *move)
{
	if (!move->from->live)
		return BPF_TRAMP_BATCH_ADD;
	return move->to ? BPF_TRAMP_BATCH_MOD : BPF_TRAMP_BATCH_DEL;
}

/**
 * bpf_tramp_move_patch - add the sites of a move to a batch
 * @move: the move, prepared
 * @batch: the batch
 */
void bpf_tramp_move_patch(struct bpf_tramp_move *move, struct bpf_tramp_batch *batch)
{
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
 * bpf_tramp_move_end - the sites are where they are patched to
 * @move: the move; is freed, unless its sites have left ftrace
 *
 * If nothing was patched, which the caller may also decide, that is where they were.
 */
void bpf_tramp_move_end(struct bpf_tramp_move *move)
{
	struct bpf_tramp_set *set = move->done ? move->to : move->from;
	struct bpf_tramp_site *site;

	if (!move->done && move->thunks)
		bpf_tramp_thunks_free(move->thunks);
	list_for_each_entry(site, &move->sites, list) {
		site->set = set;
		site->requested = false;
		cond_resched();
	}
	if (!set)
		return;
	list_splice(&move->sites, &set->sites);
	set->nr_sites += move->nr_sites;
	list_del(&move->node);
	kfree(move);
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
