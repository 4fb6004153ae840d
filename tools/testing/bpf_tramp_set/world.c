// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the engine works on: functions whose entries branch somewhere,
 * trampolines, and their images. It is kept as the machine has it, so that what
 * runs when a function is called can be read from it: the function's entry
 * branches to an image, or by way of a thunk and its trampoline's gate; if that
 * image's start has been patched to a jump, on to another one; there, the
 * programs run which are not jumped over.
 *
 * Images that are put stay in flight, as tasks may be in them, until the test
 * releases them.
 */

#define MAX_PROGS	16
#define MAX_OWN		2

/* In the kernel trampoline_shared.c has it. */
DEFINE_MUTEX(bpf_tramp_sets_mutex);

enum image_state {
	IMAGE_PREPARED,
	IMAGE_ACTIVE,
	IMAGE_IN_FLIGHT,
};

struct image_prog {
	struct bpf_link *link;
	u64 cookie;
	struct bpf_tramp_cookies *cookies;
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

struct thunk {
	u32 nr;
	unsigned long ip;
	bool calls_orig;
	bool used;
};

struct bpf_tramp_thunks {
	struct list_head list;
	struct bpf_trampoline *tr;
	u32 id;
	bool gate;			/* the first one, which has the gate */
	bool written;
	u32 nr;
	u32 max;
	u32 nr_used;
	struct thunk thunks[];
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
	unsigned long branch;		/* image or thunk; 0: none */
	struct bpf_trampoline *tr;	/* dedicated */
	bool ipmodify;			/* a livepatch is there, or comes */
	bool patched;			/* it is there */

	struct entry model[MAX_PROGS];
	u32 nr;
	u32 nr_own;

	struct bpf_prog own_prog[MAX_OWN];
	struct bpf_link own_link[MAX_OWN];
	struct bpf_tramp_node own_node[MAX_OWN];

	/* before the operation */
	unsigned long old_branch;
	struct bpf_tramp_set *old_set;
	enum bpf_tramp_kind old_kind;
};

struct bpf_tramp_batch {
	u32 nr;
	u32 max;
	struct {
		struct fn *fn;
		unsigned long addr;
	} sites[];
};

u32 few_sites;

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
	u32 nr_blocks;
	u32 next_block;
	u32 nr_cookies;
	bool tidy_later;
	struct fn *stuck;	/* its entry cannot be patched */
	struct fn *flips;	/* a livepatch comes to it, or goes, */
	u32 flips_after;	/* when this was asked so often */
	bool no_images;		/* there is no memory for any */
	u32 waits;		/* for tasks on their way */
	struct bpf_trampoline *locked;	/* whose lock is held, or NULL */

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
	u32 calls;		/* of what can fail */
} fault;

static void fault_set(u32 at, bool persistent)
{
	fault.at = at;
	fault.persistent = persistent;
	fault.fired = false;
}

bool should_fail(void)
{
	fault.calls++;
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

/* The thunk at an address, or NULL */
static struct thunk *thunk_find(unsigned long addr)
{
	struct bpf_tramp_thunks *thunks;
	struct bpf_trampoline *tr;

	list_for_each_entry(tr, &world.trs, all) {
		list_for_each_entry(thunks, &tr->blocks, list) {
			if (addr < (unsigned long)thunks->thunks ||
			    addr >= (unsigned long)(thunks->thunks + thunks->nr))
				continue;
			CHECK(thunks->written);
			return (struct thunk *)addr;
		}
	}
	return NULL;
}

static struct bpf_trampoline *thunk_tr(struct thunk *thunk)
{
	struct bpf_tramp_thunks *thunks;
	struct bpf_trampoline *tr;

	list_for_each_entry(tr, &world.trs, all)
		list_for_each_entry(thunks, &tr->blocks, list)
			if (thunk >= thunks->thunks && thunk < thunks->thunks + thunks->nr)
				return tr;
	CHECK(0);
	return NULL;
}

/* A branch comes, or goes. */
static void branch_count(unsigned long addr, int n)
{
	if (!addr)
		return;
	if (thunk_find(addr))
		thunk_tr((struct thunk *)addr)->nr_thunks += n;
	else
		((struct bpf_tramp_image *)addr)->nr_sites += n;
}

static struct bpf_trampoline *branch_tr(unsigned long addr)
{
	if (thunk_find(addr))
		return thunk_tr((struct thunk *)addr);
	return ((struct bpf_tramp_image *)addr)->tr;
}

static void fn_branch(struct fn *fn, unsigned long addr)
{
	struct thunk *thunk = addr ? thunk_find(addr) : NULL;

	if (thunk)
		CHECK(thunk->used && thunk->ip == fn->ip);
	branch_count(fn->branch, -1);
	branch_count(addr, 1);
	if (fn->branch)
		branch_tr(fn->branch)->left = true;
	fn->branch = addr;
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
	few_sites = 0;
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

	if (should_fail() || world.no_images)
		return NULL;
	im = calloc(1, sizeof(*im));
	CHECK(im);
	im->tr = tr;
	im->state = IMAGE_PREPARED;
	INIT_LIST_HEAD(&im->list);
	list_add_tail(&im->all, &world.images);
	hlist_for_each_entry(node, &tr->progs, tramp_hlist) {
		im->progs[im->nr].link = node->link;
		im->progs[im->nr].cookie = node->cookie;
		im->progs[im->nr++].cookies = bpf_tramp_cookies_get(node->cookies);
	}
	CHECK(im->nr == tr->nr_progs);
	world.nr_images++;
	world.generated++;
	return im;
}

static void image_free(struct bpf_tramp_image *im)
{
	struct bpf_tramp_image *other;

	u32 i;

	CHECK(!im->nr_sites);
	CHECK(im->tr->gate != im || !im->tr->nr_thunks);
	for (i = 0; i < im->nr; i++)
		bpf_tramp_cookies_put(im->progs[i].cookies);
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
	CHECK(im->tr->gate != im || !im->tr->nr_thunks);
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
	bpf_trampoline_put(tr);
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

/*
 * Lists and images of shared trampolines change under the mutex, those of dedicated
 * ones under their lock, too, or under it alone if the function is no site.
 */
static void tr_is_locked(struct bpf_trampoline *tr)
{
	if (!bpf_tramp_sets_mutex.held)
		CHECK(tr->fn && tr == world.locked && !tr->set);
}

static struct bpf_trampoline *tr_new(struct fn *fn)
{
	struct bpf_trampoline *tr = calloc(1, sizeof(*tr));

	CHECK(tr);
	tr->fn = fn;
	tr->refcnt = 1;
	INIT_HLIST_HEAD(&tr->progs);
	INIT_LIST_HEAD(&tr->images);
	INIT_LIST_HEAD(&tr->blocks);
	list_add(&tr->all, &world.trs);
	world.nr_trs++;
	return tr;
}

struct bpf_trampoline *bpf_tramp_tr_alloc(const struct bpf_tramp_set *set)
{
	struct bpf_trampoline *tr;

	CHECK(bpf_tramp_sets_mutex.held);
	CHECK(!set->class.pin);
	if (should_fail())
		return NULL;
	tr = tr_new(NULL);
	tr->has_thunks = bpf_tramp_set_has_thunks(set);
	return tr;
}

bool bpf_tramp_prog_thunk_calls(const struct bpf_prog *prog)
{
	return prog->calls_orig;
}

struct bpf_trampoline *bpf_trampoline_find_live(unsigned long ip)
{
	struct fn *fn = fn_by_ip(ip);

	CHECK(bpf_tramp_ip_is_site(ip));
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

static void thunks_free(struct bpf_tramp_thunks *thunks)
{
	u32 i;

	for (i = 0; i < thunks->nr; i++)
		CHECK(!thunks->written || !thunks->thunks[i].used);
	list_del(&thunks->list);
	world.nr_blocks--;
	free(thunks);
}

void bpf_trampoline_put(struct bpf_trampoline *tr)
{
	struct bpf_tramp_thunks *thunks, *tmp;

	CHECK(tr->refcnt);
	if (--tr->refcnt)
		return;
	CHECK(!tr->nr_progs && hlist_empty(&tr->progs));
	CHECK(list_empty(&tr->images));
	CHECK(!tr->set && !tr->cur && !tr->next && !tr->nr_thunks);
	list_for_each_entry_safe(thunks, tmp, &tr->blocks, list)
		thunks_free(thunks);
	if (tr->fn && tr->fn->tr == tr)
		tr->fn->tr = NULL;
	list_del(&tr->all);
	world.nr_trs--;
	free(tr);
}

bool bpf_tramp_tr_has_own_progs(struct bpf_trampoline *tr)
{
	return tr->nr_own;
}

int bpf_tramp_tr_has_room(const struct bpf_trampoline *tr, const struct bpf_prog *prog)
{
	struct bpf_tramp_node *other;

	if (tr->nr_progs >= world.max_progs)
		return -E2BIG;
	hlist_for_each_entry(other, &tr->progs, tramp_hlist)
		if (other->link->prog == prog)
			return -EBUSY;
	return 0;
}

int bpf_tramp_tr_add(struct bpf_trampoline *tr, struct bpf_tramp_node *node)
{
	int err;

	tr_is_locked(tr);
	CHECK(hlist_unhashed(&node->tramp_hlist));
	err = bpf_tramp_tr_has_room(tr, node->link->prog);
	if (err)
		return err;
	hlist_add_head(&node->tramp_hlist, &tr->progs);
	tr->nr_progs++;
	return 0;
}

void bpf_trampoline_del_prog(struct bpf_trampoline *tr, struct bpf_tramp_node *node)
{
	tr_is_locked(tr);
	CHECK(!hlist_unhashed(&node->tramp_hlist));
	hlist_del_init(&node->tramp_hlist);
	tr->nr_progs--;
}

void bpf_trampoline_skip_link(struct bpf_link *link)
{
	struct bpf_tramp_image *im;
	struct bpf_trampoline *tr;
	u32 i;

	list_for_each_entry(tr, &world.trs, all)
		list_for_each_entry(im, &tr->images, list)
			for (i = 0; i < im->nr; i++)
				if (im->progs[i].link == link)
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

static bool image_has(struct bpf_tramp_image *im, struct bpf_link *link)
{
	u32 i;

	for (i = 0; i < im->nr; i++)
		if (im->progs[i].link == link)
			return true;
	return false;
}

void synchronize_rcu_tasks(void)
{
	struct bpf_trampoline *tr;

	world.waits++;
	list_for_each_entry(tr, &world.trs, all)
		tr->left = false;
}

int bpf_tramp_body_switch(struct bpf_tramp_set *set)
{
	u32 i;

	CHECK(bpf_tramp_sets_mutex.held);
	CHECK(set->live && set->prepared && !!set->entry != set->tr->has_thunks);
	CHECK(set->tr->next);
	tr_is_locked(set->tr);
	/* who comes from a site that has left must find no program more */
	if (set->tr->left)
		for (i = 0; i < set->tr->next->nr; i++)
			CHECK(image_has(set->tr->cur, set->tr->next->progs[i].link));
	if (should_fail())
		return -EIO;
	if (set->entry)
		set->entry->jump = set->tr->next;
	else
		set->tr->gate = set->tr->next;
	world.switched++;
	check_meanwhile();
	return 0;
}

void bpf_tramp_body_commit(struct bpf_tramp_set *set)
{
	struct bpf_trampoline *tr = set->tr;
	struct bpf_tramp_thunks *thunks, *tmp;
	struct bpf_tramp_image *old = tr->cur;

	CHECK(bpf_tramp_sets_mutex.held);
	CHECK(set->prepared && tr->next);
	tr->cur = tr->next;
	tr->next = NULL;
	image_activate(tr->cur);
	if (tr->has_thunks) {
		CHECK(tr->gate == tr->cur);
		/* images are not followed here as closely as in the kernel */
		list_for_each_entry_safe(thunks, tmp, &tr->blocks, list)
			if (!thunks->nr_used && !thunks->gate)
				thunks_free(thunks);
		tr->nr_dead = 0;
	} else if (set->kind == BPF_TRAMP_KIND_ENTRY) {
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
	CHECK(!tr->nr_thunks);
	/* single programs wait until this is done */
	if (tr->fn)
		CHECK(bpf_tramp_ip_is_site(tr->fn->ip));
	tr->gate = NULL;
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

	CHECK(!bpf_tramp_set_has_thunks(set));
	if (!im)
		im = set->tr->next ?: set->tr->cur;
	CHECK(im);
	return (unsigned long)im;
}

/*
 * Thunks and cookies
 */

struct bpf_tramp_thunks *bpf_tramp_thunks_alloc(struct bpf_tramp_set *set, u32 nr)
{
	struct bpf_trampoline *tr = set->tr;
	struct bpf_tramp_thunks *thunks;

	CHECK(bpf_tramp_sets_mutex.held);
	CHECK(tr->has_thunks && nr);
	if (should_fail())
		return NULL;
	thunks = calloc(1, sizeof(*thunks) + nr * sizeof(thunks->thunks[0]));
	CHECK(thunks);
	thunks->tr = tr;
	thunks->max = nr;
	world.next_block = world.next_block % 1000000 + 1;
	thunks->id = world.next_block;
	thunks->gate = !tr->gate;
	if (thunks->gate)
		tr->gate = tr->next ?: tr->cur;
	CHECK(tr->gate);
	list_add(&thunks->list, &tr->blocks);
	world.nr_blocks++;
	return thunks;
}

void bpf_tramp_thunks_add(struct bpf_tramp_thunks *thunks, struct bpf_tramp_set *set,
			  const struct bpf_tramp_site *site)
{
	struct thunk *thunk = &thunks->thunks[thunks->nr++];

	CHECK(thunks->nr <= thunks->max && !thunks->written && set->tr == thunks->tr);
	CHECK(site->nr);
	thunk->nr = site->nr;
	thunk->ip = site->ip;
	thunk->calls_orig = set->kind == BPF_TRAMP_KIND_ORIG;
}

/* The number of the block and that of the thunk */
unsigned long bpf_tramp_thunks_get(const struct bpf_tramp_thunks *thunks, u32 i)
{
	CHECK(i < thunks->nr && thunks->written);
	return thunks->id * MAX_FNS + i;
}

unsigned long bpf_tramp_thunk_addr(const struct bpf_tramp_set *set, unsigned long thunk)
{
	struct bpf_tramp_thunks *thunks;

	list_for_each_entry(thunks, &set->tr->blocks, list)
		if (thunks->id == thunk / MAX_FNS)
			return (unsigned long)&thunks->thunks[thunk % MAX_FNS];
	CHECK(0);
	return 0;
}

int bpf_tramp_thunks_write(struct bpf_tramp_thunks *thunks)
{
	u32 i;

	CHECK(thunks->nr == thunks->max);
	if (should_fail())
		return -ENOMEM;
	thunks->written = true;
	thunks->nr_used = thunks->nr;
	for (i = 0; i < thunks->nr; i++)
		thunks->thunks[i].used = true;
	return 0;
}

/* Nothing has branched to them. */
void bpf_tramp_thunks_free(struct bpf_tramp_thunks *thunks)
{
	u32 i;

	CHECK(!thunks->written || thunks->nr_used == thunks->nr);
	for (i = 0; i < world.nr_fns; i++)
		CHECK(world.fns[i].branch < (unsigned long)thunks->thunks ||
		      world.fns[i].branch >= (unsigned long)(thunks->thunks + thunks->nr));
	if (thunks->gate)
		thunks->tr->gate = NULL;
	for (i = 0; i < thunks->nr; i++)
		thunks->thunks[i].used = false;
	thunks_free(thunks);
}

void bpf_tramp_thunk_put(struct bpf_tramp_set *set, unsigned long nr)
{
	unsigned long addr = bpf_tramp_thunk_addr(set, nr);
	struct thunk *thunk = thunk_find(addr);
	struct bpf_tramp_thunks *thunks;
	u32 i;

	CHECK(thunk && thunk->used && thunk_tr(thunk) == set->tr);
	for (i = 0; i < world.nr_fns; i++)
		CHECK(world.fns[i].branch != addr);
	thunk->used = false;
	list_for_each_entry(thunks, &set->tr->blocks, list)
		if (thunk >= thunks->thunks && thunk < thunks->thunks + thunks->nr)
			break;
	if (!--thunks->nr_used && !thunks->gate)
		set->tr->nr_dead += thunks->nr;
}

bool bpf_tramp_thunks_are_wasted(struct bpf_tramp_set *set)
{
	return set->tr && set->tr->nr_dead > set->tr->nr_thunks;
}

void bpf_tramp_tidy_later(void)
{
	world.tidy_later = true;
}

struct bpf_tramp_cookies *bpf_tramp_cookies_alloc(u32 first, u32 nr)
{
	struct bpf_tramp_cookies *cookies;

	if (should_fail())
		return NULL;
	cookies = calloc(1, sizeof(*cookies) + nr * sizeof(cookies->cookie[0]));
	CHECK(cookies);
	cookies->refcnt = 1;
	cookies->first = first;
	world.nr_cookies++;
	return cookies;
}

struct bpf_tramp_cookies *bpf_tramp_cookies_get(struct bpf_tramp_cookies *cookies)
{
	if (cookies)
		cookies->refcnt++;
	return cookies;
}

void bpf_tramp_cookies_put(struct bpf_tramp_cookies *cookies)
{
	if (!cookies || --cookies->refcnt)
		return;
	world.nr_cookies--;
	free(cookies);
}

/*
 * Sites
 */

bool bpf_trampoline_ip_is_modified(unsigned long ip)
{
	struct fn *fn = fn_by_ip(ip);

	if (fn == world.flips && !world.flips_after--) {
		fn->ipmodify = !fn->ipmodify;
		world.flips = NULL;
	}
	return fn->ipmodify;
}

/* All direct calls are those of the sets and of dedicated trampolines. */
bool bpf_tramp_ip_is_taken(unsigned long ip)
{
	return false;
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
	batch->sites[batch->nr++].addr = addr;
}

int bpf_tramp_batch_run(struct bpf_tramp_batch *batch, enum bpf_tramp_batch_op op)
{
	struct bpf_tramp_image *im;
	unsigned long addr;
	struct fn *fn;
	u32 i;

	CHECK(bpf_tramp_sets_mutex.held);
	CHECK(batch->nr == batch->max);
	check_meanwhile();
	if (should_fail())
		return -EIO;
	for (i = 0; i < batch->nr; i++)
		if (batch->sites[i].fn == world.stuck)
			return -EAGAIN;
	for (i = 0; i < batch->nr; i++) {
		fn = batch->sites[i].fn;
		addr = batch->sites[i].addr;
		im = thunk_find(addr) ? thunk_tr((struct thunk *)addr)->gate : (void *)addr;
		CHECK(im->state != IMAGE_IN_FLIGHT);
		switch (op) {
		case BPF_TRAMP_BATCH_ADD:
			CHECK(!fn->branch);
			fn_branch(fn, addr);
			world.sites_added++;
			break;
		case BPF_TRAMP_BATCH_MOD:
			CHECK(fn->branch && fn->branch != addr);
			fn_branch(fn, addr);
			world.sites_moved++;
			break;
		case BPF_TRAMP_BATCH_DEL:
			CHECK(fn->branch == addr);
			fn_branch(fn, 0);
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
