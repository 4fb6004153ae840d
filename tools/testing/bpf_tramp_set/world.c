// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the engine works on: functions whose entries branch somewhere,
 * trampolines, and their images. It is kept as the machine has it, so that what
 * runs when a function is called can be read from it: the function's entry
 * branches to an image; if that image's start has been patched to a jump, on to
 * another one; there, the programs run which are not jumped over.
 *
 * Images that are put stay in flight, as tasks may be in them, until the test
 * releases them.
 */

#define MAX_PROGS	16
#define MAX_OWN		2

enum image_state {
	IMAGE_PREPARED,
	IMAGE_ACTIVE,
	IMAGE_IN_FLIGHT,
};

struct image_prog {
	struct bpf_link *link;
	u64 cookie;
	bool skipped;
};

struct bpf_tramp_image {
	struct list_head list;		/* in the trampoline's */
	struct list_head all;
	struct bpf_trampoline *tr;
	struct bpf_tramp_image *jump;	/* what the start is patched to */
	enum image_state state;
	u32 nr_sites;			/* that branch here */
	u32 nr;
	struct image_prog progs[MAX_PROGS];
};

/* What the naive model says about a function: its programs, newest first. */
struct entry {
	struct bpf_link *link;
	u64 cookie;
};

/* The BTF object of all functions */
#define OBJ_ID	0x80000001

struct fn {
	unsigned long ip;
	u32 id;				/* BTF id */
	u32 alias;			/* a second one */
	struct bpf_tramp_class class;
	struct bpf_tramp_image *branch;
	struct bpf_trampoline *tr;	/* dedicated */
	bool ipmodify;			/* has a livepatch */

	struct entry model[MAX_PROGS];
	u32 nr;
	u32 nr_own;

	struct bpf_prog own_prog[MAX_OWN];
	struct bpf_link own_link[MAX_OWN];
	struct bpf_tramp_node own_node[MAX_OWN];

	/* before the operation */
	struct bpf_tramp_image *old_branch;
	struct bpf_tramp_set *old_set;
};

struct bpf_tramp_batch {
	u32 nr;
	u32 max;
	struct {
		struct fn *fn;
		struct bpf_tramp_image *im;
	} sites[];
};

static struct {
	struct fn fns[MAX_FNS];
	u32 nr_fns;
	u32 max_progs;
	struct list_head trs;
	struct list_head images;
	u32 nr_trs;
	u32 nr_images;
	u32 nr_in_flight;
	u32 nr_batches;
	/* the only trampoline whose lock is held; NULL: all are */
	struct bpf_trampoline *locked;

	/* of the running operation */
	u32 sites_added;
	u32 sites_moved;
	u32 sites_deleted;
	u32 switched;
	u32 generated;
} world = {
	.trs = LIST_HEAD_INIT(world.trs),
	.images = LIST_HEAD_INIT(world.images),
};

static void check_meanwhile(void);

/*
 * Failures
 */

static struct {
	u32 at;			/* the call that fails, 0 for none */
	bool persistent;	/* all later ones, too */
	bool fired;
} fault;

static void fault_set(u32 at, bool persistent)
{
	fault.at = at;
	fault.persistent = persistent;
	fault.fired = false;
}

bool should_fail(void)
{
	if (!fault.at)
		return false;
	if (fault.at > 1) {
		fault.at--;
		return false;
	}
	if (!fault.persistent)
		fault.at = 0;
	fault.fired = true;
	return true;
}

/*
 * Functions
 */

static struct fn *fn_by_ip(unsigned long ip)
{
	u32 i = (ip - 0x1000) / 16;

	CHECK(i < world.nr_fns);
	return &world.fns[i];
}

static void fn_branch(struct fn *fn, struct bpf_tramp_image *im)
{
	if (fn->branch)
		fn->branch->nr_sites--;
	if (im)
		im->nr_sites++;
	fn->branch = im;
}

static void fn_class(struct bpf_tramp_class *class, u32 nr)
{
	memset(class, 0, sizeof(*class));
	class->model.nr_args = nr;
	class->ip_off = nr & 1 ? 4 : 0;
}

static void world_init(u32 nr_fns, u32 nr_classes, u32 max_progs)
{
	struct fn *fn;
	u32 i, j;

	memset(world.fns, 0, sizeof(world.fns));
	world.nr_fns = nr_fns;
	world.max_progs = max_progs;
	for (i = 0; i < nr_fns; i++) {
		fn = &world.fns[i];
		fn->ip = 0x1000 + i * 16;
		fn->id = 1 + i;
		fn->alias = 0x1001 + i;
		fn_class(&fn->class, i * nr_classes / nr_fns);
		for (j = 0; j < MAX_OWN; j++) {
			fn->own_link[j].prog = &fn->own_prog[j];
			fn->own_node[j].link = &fn->own_link[j];
		}
	}
}

/*
 * Images
 */

static struct bpf_tramp_image *image_generate(struct bpf_trampoline *tr)
{
	struct bpf_tramp_image *im;
	struct bpf_tramp_node *node;

	if (should_fail())
		return NULL;
	im = calloc(1, sizeof(*im));
	CHECK(im);
	im->tr = tr;
	im->state = IMAGE_PREPARED;
	INIT_LIST_HEAD(&im->list);
	list_add_tail(&im->all, &world.images);
	hlist_for_each_entry(node, &tr->progs, tramp_hlist) {
		im->progs[im->nr].link = node->link;
		im->progs[im->nr++].cookie = node->cookie;
	}
	CHECK(im->nr == tr->nr_progs);
	world.nr_images++;
	world.generated++;
	return im;
}

static void image_free(struct bpf_tramp_image *im)
{
	struct bpf_tramp_image *other;

	CHECK(!im->nr_sites);
	list_for_each_entry(other, &im->tr->images, list)
		CHECK(other->jump != im || other->state == IMAGE_IN_FLIGHT);
	list_del(&im->all);
	world.nr_images--;
	free(im);
}

static void image_activate(struct bpf_tramp_image *im)
{
	CHECK(im->state == IMAGE_PREPARED);
	im->state = IMAGE_ACTIVE;
	bpf_tramp_tr_get(im->tr);
	list_add(&im->list, &im->tr->images);
}

/* Nothing gets into the image any more, but tasks may be in it. */
static void image_put(struct bpf_tramp_image *im)
{
	CHECK(im->state == IMAGE_ACTIVE);
	CHECK(!im->nr_sites);
	im->state = IMAGE_IN_FLIGHT;
	world.nr_in_flight++;
}

static void image_release(struct bpf_tramp_image *im)
{
	struct bpf_trampoline *tr = im->tr;

	CHECK(im->state == IMAGE_IN_FLIGHT);
	list_del(&im->list);
	world.nr_in_flight--;
	image_free(im);
	bpf_tramp_tr_put(tr);
}

/* Release one in @one_in images of those in flight. */
static void images_release(u32 (*rnd)(u32 n), u32 one_in)
{
	struct bpf_tramp_image *im, *tmp;

	if (!world.nr_in_flight)
		return;
	list_for_each_entry_safe(im, tmp, &world.images, all)
		if (im->state == IMAGE_IN_FLIGHT && (one_in == 1 || !rnd(one_in)))
			image_release(im);
}

/*
 * Trampolines
 */

/* Lists and images change under the trampoline's lock, or if nobody knows it. */
static void tr_is_locked(struct bpf_trampoline *tr)
{
	CHECK(!world.locked || tr == world.locked || list_empty(&tr->images));
}

static struct bpf_trampoline *tr_new(struct fn *fn)
{
	struct bpf_trampoline *tr = calloc(1, sizeof(*tr));

	CHECK(tr);
	tr->fn = fn;
	tr->refcnt = 1;
	INIT_HLIST_HEAD(&tr->progs);
	INIT_LIST_HEAD(&tr->images);
	list_add(&tr->all, &world.trs);
	world.nr_trs++;
	return tr;
}

struct bpf_trampoline *bpf_tramp_tr_alloc(const struct bpf_tramp_class *class)
{
	CHECK(bpf_tramp_sets_mutex.held);
	CHECK(!class->pin);
	return should_fail() ? NULL : tr_new(NULL);
}

struct bpf_trampoline *bpf_tramp_tr_dedicated(unsigned long ip)
{
	struct fn *fn = fn_by_ip(ip);

	return fn->tr && fn->tr->cur ? fn->tr : NULL;
}

/* The dedicated trampoline of a function, with a reference. */
static struct bpf_trampoline *tr_lookup(struct fn *fn)
{
	if (fn->tr) {
		bpf_tramp_tr_get(fn->tr);
	} else {
		fn->tr = tr_new(fn);
		fn->tr->ip = fn->ip;
	}
	return fn->tr;
}

void bpf_tramp_tr_class(struct bpf_trampoline *tr, struct bpf_tramp_class *class)
{
	CHECK(tr->fn);
	memcpy(class, &tr->fn->class, sizeof(*class));
}

void bpf_tramp_tr_get(struct bpf_trampoline *tr)
{
	CHECK(tr->refcnt);
	tr->refcnt++;
}

void bpf_tramp_tr_put(struct bpf_trampoline *tr)
{
	CHECK(tr->refcnt);
	if (--tr->refcnt)
		return;
	CHECK(!tr->nr_progs && hlist_empty(&tr->progs));
	CHECK(list_empty(&tr->images));
	CHECK(!tr->set && !tr->cur && !tr->next);
	if (tr->fn && tr->fn->tr == tr)
		tr->fn->tr = NULL;
	list_del(&tr->all);
	world.nr_trs--;
	free(tr);
}

bool bpf_tramp_tr_has_images(struct bpf_trampoline *tr)
{
	return !list_empty(&tr->images);
}

bool bpf_tramp_tr_has_own_progs(struct bpf_trampoline *tr, u32 nr_tuples)
{
	CHECK(tr->nr_progs >= nr_tuples);
	CHECK(tr->nr_progs - nr_tuples == tr->nr_own);
	return tr->nr_progs > nr_tuples;
}

int bpf_tramp_tr_add(struct bpf_trampoline *tr, struct bpf_tramp_node *node)
{
	struct bpf_tramp_node *other;

	tr_is_locked(tr);
	CHECK(hlist_unhashed(&node->tramp_hlist));
	if (tr->nr_progs >= world.max_progs)
		return -E2BIG;
	hlist_for_each_entry(other, &tr->progs, tramp_hlist)
		if (other->link->prog == node->link->prog)
			return -EBUSY;
	hlist_add_head(&node->tramp_hlist, &tr->progs);
	tr->nr_progs++;
	return 0;
}

void bpf_tramp_tr_del(struct bpf_trampoline *tr, struct bpf_tramp_node *node)
{
	CHECK(!hlist_unhashed(&node->tramp_hlist));
	hlist_del_init(&node->tramp_hlist);
	tr->nr_progs--;
}

void bpf_tramp_tr_skip(struct bpf_trampoline *tr, struct bpf_prog *prog)
{
	struct bpf_tramp_image *im;
	u32 i;

	tr_is_locked(tr);
	list_for_each_entry(im, &tr->images, list)
		for (i = 0; i < im->nr; i++)
			if (im->progs[i].link->prog == prog)
				im->progs[i].skipped = true;
	check_meanwhile();
}

/*
 * Bodies
 */

int bpf_tramp_body_prepare(struct bpf_tramp_set *set)
{
	CHECK(bpf_tramp_sets_mutex.held);
	CHECK(!set->tr->next && !set->prepared);
	tr_is_locked(set->tr);
	set->tr->next = image_generate(set->tr);
	return set->tr->next ? 0 : -ENOMEM;
}

int bpf_tramp_body_switch(struct bpf_tramp_set *set)
{
	CHECK(bpf_tramp_sets_mutex.held);
	CHECK(set->live && set->prepared && set->entry);
	CHECK(set->tr->next);
	tr_is_locked(set->tr);
	if (should_fail())
		return -EIO;
	set->entry->jump = set->tr->next;
	world.switched++;
	check_meanwhile();
	return 0;
}

void bpf_tramp_body_commit(struct bpf_tramp_set *set)
{
	struct bpf_trampoline *tr = set->tr;
	struct bpf_tramp_image *old = tr->cur;

	CHECK(bpf_tramp_sets_mutex.held);
	CHECK(set->prepared && tr->next);
	tr->cur = tr->next;
	tr->next = NULL;
	image_activate(tr->cur);
	if (bpf_tramp_class_has_entry(&set->class)) {
		if (set->entry)
			CHECK(set->entry->jump == tr->cur);
		else
			set->entry = tr->cur;
	}
	if (old && old != set->entry)
		image_put(old);
	check_meanwhile();
}

void bpf_tramp_body_abort(struct bpf_tramp_set *set)
{
	CHECK(bpf_tramp_sets_mutex.held);
	CHECK(set->prepared && set->tr->next);
	image_free(set->tr->next);
	set->tr->next = NULL;
}

void bpf_tramp_body_retire(struct bpf_tramp_set *set)
{
	struct bpf_trampoline *tr = set->tr;

	CHECK(bpf_tramp_sets_mutex.held);
	CHECK(tr->cur && !tr->next);
	image_put(tr->cur);
	if (set->entry && set->entry != tr->cur)
		image_put(set->entry);
	set->entry = NULL;
	tr->cur = NULL;
	check_meanwhile();
}

unsigned long bpf_tramp_set_addr(struct bpf_tramp_set *set)
{
	struct bpf_tramp_image *im = set->entry;

	if (!im)
		im = set->tr->next ?: set->tr->cur;
	CHECK(im);
	return (unsigned long)im;
}

/*
 * Sites
 */

bool bpf_tramp_ip_is_modified(unsigned long ip)
{
	return fn_by_ip(ip)->ipmodify;
}

struct bpf_tramp_batch *bpf_tramp_batch_alloc(u32 nr)
{
	struct bpf_tramp_batch *batch;

	CHECK(bpf_tramp_sets_mutex.held);
	CHECK(nr);
	if (should_fail())
		return NULL;
	batch = calloc(1, sizeof(*batch) + nr * sizeof(batch->sites[0]));
	CHECK(batch);
	batch->max = nr;
	world.nr_batches++;
	return batch;
}

void bpf_tramp_batch_site(struct bpf_tramp_batch *batch, unsigned long ip, unsigned long addr)
{
	CHECK(batch->nr < batch->max);
	batch->sites[batch->nr].fn = fn_by_ip(ip);
	batch->sites[batch->nr++].im = (void *)addr;
}

int bpf_tramp_batch_run(struct bpf_tramp_batch *batch, enum bpf_tramp_batch_op op)
{
	struct bpf_tramp_image *im;
	struct fn *fn;
	u32 i;

	CHECK(bpf_tramp_sets_mutex.held);
	CHECK(batch->nr == batch->max);
	check_meanwhile();
	if (should_fail())
		return -EIO;
	for (i = 0; i < batch->nr; i++) {
		fn = batch->sites[i].fn;
		im = batch->sites[i].im;
		CHECK(im->state != IMAGE_IN_FLIGHT);
		/* as ftrace asks when a livepatch shares the function */
		if (fn->ipmodify && (op == BPF_TRAMP_BATCH_ADD || op == BPF_TRAMP_BATCH_MOD))
			CHECK(!bpf_tramp_ipmodify_expected(fn->ip));
		switch (op) {
		case BPF_TRAMP_BATCH_ADD:
			CHECK(!fn->branch);
			fn_branch(fn, im);
			world.sites_added++;
			break;
		case BPF_TRAMP_BATCH_MOD:
		case BPF_TRAMP_BATCH_MOD_LOCKED:
			CHECK(fn->branch && fn->branch != im);
			fn_branch(fn, im);
			world.sites_moved++;
			break;
		case BPF_TRAMP_BATCH_DEL:
			CHECK(fn->branch == im);
			fn_branch(fn, NULL);
			world.sites_deleted++;
			break;
		}
	}
	check_meanwhile();
	return 0;
}

void bpf_tramp_batch_free(struct bpf_tramp_batch *batch)
{
	world.nr_batches--;
	free(batch);
}
