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
	u64 data;
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

/* A thunk, or a gate, as the machine would execute it */
struct thunk {
	bool calls_orig;
	u32 nr;
	unsigned long ip;
	struct thunk *gate;
	const struct bpf_tramp_image *to;	/* of a gate: where all thunks lead */
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
	u32 old_thunks;			/* that its set had, also those that are wasted */
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
u32 max_progs;

static struct {
	struct fn fns[MAX_FNS];
	u32 nr_fns;
	struct list_head trs;
	struct list_head images;
	u32 nr_trs;
	u32 nr_images;
	u32 nr_in_flight;
	u32 nr_batches;
	u32 nr_blocks;
	u32 nr_ksyms;
	u32 charged;
	u32 nr_cookies;
	bool tidy_later;
	struct fn *stuck;	/* its entry cannot be patched */
	struct fn *flips;	/* a livepatch comes to it, or goes, */
	u32 flips_after;	/* when this was asked so often */
	u32 waits;		/* for tasks on their way */
	u32 slept;		/* until there is memory */
	u64 time;		/* counts sites that leave */
	struct work_struct *work;	/* that waits for its turn */
	bool working;
	void (*meanwhile)(void);	/* what others do while it waits for tasks */
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

static struct bpf_trampoline *thunk_tr(struct thunk *thunk)
{
	unsigned long addr = (unsigned long)thunk;
	struct bpf_tramp_thunks *thunks;
	struct bpf_trampoline *tr;

	list_for_each_entry(tr, &world.trs, all)
		hlist_for_each_entry(thunks, &tr->thunks, node)
			if (addr - (unsigned long)thunks->image < thunks->size)
				return tr;
	return NULL;
}

/* The thunk at an address, or NULL */
static struct thunk *thunk_find(unsigned long addr)
{
	struct thunk *thunk = (struct thunk *)addr;

	if (!thunk_tr(thunk))
		return NULL;
	CHECK(thunk->gate && thunk->gate == thunk_tr(thunk)->gate);
	return thunk;
}

/* Where the thunks of a trampoline lead */
static struct bpf_tramp_image *tr_gate(struct bpf_trampoline *tr)
{
	struct thunk *gate = tr->gate;

	return gate ? (struct bpf_tramp_image *)gate->to : NULL;
}

/* A branch comes, or goes. */
static void branch_count(unsigned long addr, int n)
{
	if (!addr)
		return;
	if (thunk_find(addr))
		thunk_tr((struct thunk *)addr)->used_thunks += n;
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
		CHECK(thunk->ip == fn->ip);
	branch_count(fn->branch, -1);
	branch_count(addr, 1);
	if (fn->branch)
		branch_tr(fn->branch)->left = ++world.time;
	fn->branch = addr;
}

static void fn_class(struct bpf_tramp_class *class, u32 nr)
{
	memset(class, 0, sizeof(*class));
	class->model.nr_args = nr;
	class->ip_off = nr & 1 ? 4 : 0;
}

static void world_init(u32 nr_fns, u32 nr_classes, u32 max)
{
	struct fn *fn;
	u32 i, j;

	memset(world.fns, 0, sizeof(world.fns));
	world.nr_fns = nr_fns;
	max_progs = max;
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
		im->progs[im->nr].cookie = node->cookie;
		im->progs[im->nr].data = node->data;
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
	CHECK(tr_gate(im->tr) != im || !im->tr->used_thunks);
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
	refcount_inc(&im->tr->refcnt);
	list_add(&im->list, &im->tr->images);
}

/* Nothing gets into the image any more, but tasks may be in it. */
static void image_put(struct bpf_tramp_image *im)
{
	CHECK(im->state == IMAGE_ACTIVE);
	CHECK(!im->nr_sites);
	CHECK(tr_gate(im->tr) != im || !im->tr->used_thunks);
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
	list_add(&tr->all, &world.trs);
	world.nr_trs++;
	return tr;
}

struct bpf_trampoline *bpf_tramp_tr_alloc(const struct bpf_tramp_set *set)
{
	CHECK(bpf_tramp_sets_mutex.held);
	CHECK(!set->class.pin);
	return should_fail() ? NULL : tr_new(NULL);
}

bool bpf_tramp_prog_thunk_calls(const struct bpf_prog *prog)
{
	return prog->calls_orig;
}

struct bpf_trampoline *bpf_trampoline_find_live(unsigned long ip)
{
	struct fn *fn = fn_by_ip(ip);

	CHECK(bpf_tramp_ip_is_site(ip));
	return fn->tr && fn->tr->cur_image ? fn->tr : NULL;
}

/* The dedicated trampoline of a function, with a reference. */
static struct bpf_trampoline *tr_lookup(struct fn *fn)
{
	if (fn->tr) {
		refcount_inc(&fn->tr->refcnt);
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

void bpf_trampoline_put(struct bpf_trampoline *tr)
{
	CHECK(tr->refcnt);
	if (--tr->refcnt)
		return;
	CHECK(!tr->nr_progs && hlist_empty(&tr->progs));
	CHECK(list_empty(&tr->images));
	CHECK(!tr->set && !tr->cur_image && !tr->used_thunks);
	bpf_tramp_thunks_free_all(tr);
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

	if (tr->nr_progs >= max_progs)
		return -E2BIG;
	hlist_for_each_entry(other, &tr->progs, tramp_hlist)
		if (other->link->prog == prog)
			return -EBUSY;
	return 0;
}

/* A single program's, not a link's */
static bool node_is_own(const struct bpf_trampoline *tr, const struct bpf_tramp_node *node)
{
	return tr->fn && node >= tr->fn->own_node && node < tr->fn->own_node + MAX_OWN;
}

int bpf_trampoline_add_prog(struct bpf_trampoline *tr, struct bpf_tramp_node *node)
{
	int err;

	tr_is_locked(tr);
	CHECK(hlist_unhashed(&node->tramp_hlist));
	err = bpf_tramp_tr_has_room(tr, node->link->prog);
	if (err)
		return err;
	hlist_add_head(&node->tramp_hlist, &tr->progs);
	tr->nr_progs++;
	tr->nr_own += node_is_own(tr, node);
	return 0;
}

void bpf_trampoline_del_prog(struct bpf_trampoline *tr, struct bpf_tramp_node *node)
{
	tr_is_locked(tr);
	CHECK(!hlist_unhashed(&node->tramp_hlist));
	hlist_del_init(&node->tramp_hlist);
	tr->nr_progs--;
	tr->nr_own -= node_is_own(tr, node);
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
	CHECK(!set->prepared);
	tr_is_locked(set->tr);
	set->prepared = image_generate(set->tr);
	return set->prepared ? 0 : -ENOMEM;
}

static bool image_has(struct bpf_tramp_image *im, struct bpf_link *link)
{
	u32 i;

	for (i = 0; i < im->nr; i++)
		if (im->progs[i].link == link)
			return true;
	return false;
}

/* The tasks have arrived that were on their way when it was called. */
void synchronize_rcu_tasks(void)
{
	u64 time = world.time;
	struct bpf_trampoline *tr;

	if (world.working && world.meanwhile)
		world.meanwhile();
	else if (!world.working)
		world.waits++;
	list_for_each_entry(tr, &world.trs, all)
		if (tr->left <= time)
			tr->left = 0;
}

bool queue_work(struct workqueue_struct *wq, struct work_struct *work)
{
	bool queued = !world.work;

	CHECK(queued || world.work == work);
	world.work = work;
	return queued;
}

/* The work that waits for tasks has its turn. */
static bool grace_period(void)
{
	struct work_struct *work = world.work;

	if (!work)
		return false;
	world.work = NULL;
	world.working = true;
	work->func(work);
	world.working = false;
	return true;
}

/* Memory becomes free. */
void msleep(unsigned int msecs)
{
	CHECK(fault.fired);
	fault_set(0, false);
	world.slept++;
}

bool within_module(unsigned long ip, const struct module *mod)
{
	return mod->functions >> (fn_by_ip(ip) - world.fns) & 1;
}

int bpf_tramp_body_switch(struct bpf_tramp_set *set)
{
	struct bpf_tramp_image *im = set->prepared;
	u32 i;

	CHECK(bpf_tramp_sets_mutex.held);
	CHECK(set->live && im && !set->entry != !set->tr->gate);
	CHECK(set->tr->cur_image);
	tr_is_locked(set->tr);
	/* who comes from a site that has left must find no program more */
	if (set->tr->left)
		for (i = 0; i < im->nr; i++)
			CHECK(image_has(set->tr->cur_image, im->progs[i].link));
	if (should_fail())
		return -EIO;
	if (set->entry)
		set->entry->jump = im;
	else
		arch_bpf_gate_switch(set->tr->gate, im);
	world.switched++;
	check_meanwhile();
	return 0;
}

void bpf_tramp_body_commit(struct bpf_tramp_set *set)
{
	struct bpf_tramp_image *im = set->prepared, *old = set->tr->cur_image;

	CHECK(bpf_tramp_sets_mutex.held);
	CHECK(im);
	image_activate(im);
	set->tr->cur_image = im;
	set->prepared = NULL;
	if (set->tr->gate)
		CHECK(tr_gate(set->tr) == im);
	else if (set->entry)
		CHECK(set->entry->jump == im);
	else if (set->kind == BPF_TRAMP_KIND_ENTRY)
		set->entry = im;
	if (old && old != set->entry)
		image_put(old);
	check_meanwhile();
}

void bpf_tramp_body_abort(struct bpf_tramp_set *set)
{
	CHECK(bpf_tramp_sets_mutex.held);
	if (set->prepared)
		image_free(set->prepared);
	set->prepared = NULL;
}

void bpf_tramp_body_retire(struct bpf_tramp_set *set)
{
	struct bpf_trampoline *tr = set->tr;

	CHECK(bpf_tramp_sets_mutex.held);
	CHECK(tr->cur_image && !set->prepared);
	CHECK(!tr->used_thunks);
	/* single programs wait until this is done */
	if (tr->fn)
		CHECK(bpf_tramp_ip_is_site(tr->fn->ip));
	if (tr->gate)
		arch_bpf_gate_switch(tr->gate, NULL);
	image_put(tr->cur_image);
	if (set->entry && set->entry != tr->cur_image)
		image_put(set->entry);
	set->entry = NULL;
	tr->cur_image = NULL;
	check_meanwhile();
}

unsigned long bpf_tramp_set_addr(struct bpf_tramp_set *set)
{
	struct bpf_tramp_image *im = set->entry ?: set->prepared ?: set->tr->cur_image;

	CHECK(!bpf_tramp_set_has_thunks(set));
	CHECK(im);
	return (unsigned long)im;
}

/*
 * Memory that is executed: thunks are as they were written, and not seen before.
 */

#define EXEC_MAX	4096

static struct thunk exec[EXEC_MAX][MAX_FNS + 1];
static bool exec_used[EXEC_MAX];

void *arch_alloc_bpf_near_trampoline(unsigned int size)
{
	static u32 next;
	u32 i = 0;

	CHECK(size && size <= sizeof(exec[0]) && size % sizeof(struct thunk) == 0);
	if (should_fail())
		return NULL;
	/* what was freed last is used again last */
	while (exec_used[++next % EXEC_MAX])
		CHECK(i++ < EXEC_MAX);
	exec_used[next % EXEC_MAX] = true;
	ASAN_UNPOISON_MEMORY_REGION(exec[next % EXEC_MAX], size);
	memset(exec[next % EXEC_MAX], 0, size);
	world.nr_blocks++;
	return exec[next % EXEC_MAX];
}

void arch_free_bpf_trampoline(void *image, unsigned int size)
{
	u32 i;

	for (i = 0; i < world.nr_fns; i++)
		CHECK(world.fns[i].branch - (unsigned long)image >= size);
	world.nr_blocks--;
	i = (struct thunk (*)[MAX_FNS + 1])image - exec;
	CHECK(i < EXEC_MAX && exec_used[i]);
	exec_used[i] = false;
	ASAN_POISON_MEMORY_REGION(exec[i], sizeof(exec[i]));
}

int bpf_jit_charge_modmem(u32 size)
{
	if (should_fail())
		return -EPERM;
	world.charged += size;
	return 0;
}

void bpf_jit_uncharge_modmem(u32 size)
{
	CHECK(world.charged >= size);
	world.charged -= size;
}

void *bpf_arch_text_copy(void *dst, void *src, size_t len)
{
	if (should_fail())
		return ERR_PTR(-EINVAL);
	return memcpy(dst, src, len);
}

void bpf_image_ksym_init(void *image, unsigned int size, struct bpf_ksym *ksym)
{
	ksym->start = (unsigned long)image;
	CHECK(ksym->name);
}

void bpf_image_ksym_add(struct bpf_ksym *ksym)
{
	world.nr_ksyms++;
}

void bpf_image_ksym_del(struct bpf_ksym *ksym)
{
	world.nr_ksyms--;
}

void arch_bpf_thunks_ksym(struct bpf_ksym *ksym)
{
}

unsigned int arch_bpf_thunk_size(void)
{
	return sizeof(struct thunk);
}

void arch_bpf_gate_write(void *rw, void *gate, const struct bpf_tramp_image *im)
{
	struct thunk *thunk = rw;

	CHECK(im);
	memset(thunk, 0, sizeof(*thunk));
	thunk->to = im;
}

void arch_bpf_gate_switch(void *gate, const struct bpf_tramp_image *im)
{
	CHECK(gate);
	((struct thunk *)gate)->to = im;
}

void arch_bpf_thunk_write(void *rw, void *thunk, void *gate, bool call_orig,
			  unsigned long ip, unsigned long func, u32 nr)
{
	struct thunk *to = rw;

	CHECK(nr && thunk != gate);
	CHECK(func == ip - fn_by_ip(ip)->class.ip_off);
	*to = (struct thunk){ .calls_orig = call_orig, .nr = nr, .ip = ip, .gate = gate };
}

/*
 * Cookies and data
 */

/* Data differ where cookies do. */
static u64 cookie_data(const struct bpf_prog *prog, u64 cookie)
{
	return prog->call_attach_data ? 0xda7a0000 + cookie : 0;
}

void bpf_tramp_tidy_later(void)
{
	world.tidy_later = true;
}

struct bpf_tramp_cookies *bpf_tramp_cookies_alloc(u32 first, u32 nr, bool data)
{
	struct bpf_tramp_cookies *cookies;

	if (should_fail())
		return NULL;
	cookies = calloc(1, sizeof(*cookies) + (1 + data) * nr * sizeof(cookies->own[0]));
	CHECK(cookies);
	cookies->refcnt = 1;
	cookies->first = first;
	cookies->nr = data ? nr : 0;
	world.nr_cookies++;
	return cookies;
}

int bpf_tramp_cookies_set(struct bpf_tramp_cookies *cookies, u32 nr, u64 cookie, u64 data)
{
	CHECK(!cookies->cookie && nr >= cookies->first);
	CHECK(!data == !cookies->nr);
	if (should_fail())
		return -ENOMEM;
	cookies->own[nr - cookies->first] = cookie;
	if (data)
		cookies->own[cookies->nr + nr - cookies->first] = data;
	return 0;
}

int bpf_tramp_cookies_map(struct bpf_tramp_cookies *cookies)
{
	if (should_fail())
		return -ENOMEM;
	cookies->cookie = cookies->own;
	if (cookies->nr)
		cookies->data = cookies->own + cookies->nr;
	return 0;
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
unsigned long bpf_tramp_ip_addr(unsigned long ip)
{
	return fn_by_ip(ip)->branch;
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
		im = thunk_find(addr) ? tr_gate(branch_tr(addr)) : (void *)addr;
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
