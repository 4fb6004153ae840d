/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stands in for the header of the same name in kernel/bpf: what the engine needs
 * of the kernel. Lists and hashes are those of tools/include; the rest is
 * small enough to be here. All that can fail in the kernel asks should_fail().
 */
#ifndef _KERNEL_BPF_TRAMPOLINE_SET_INTERNAL_H
#define _KERNEL_BPF_TRAMPOLINE_SET_INTERNAL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sanitizer/asan_interface.h>

#include <linux/types.h>
#include <linux/btf.h>
#include <linux/err.h>
#include <linux/hashtable.h>
#include <linux/jhash.h>
#include <linux/list.h>

#define cond_resched()	do { } while (0)
#define GFP_KERNEL	0
#define swap(a, b)	\
	({ typeof(a) *x = &(a), was = *x; typeof(b) *y = &(b); *x = *y; *y = was; })

#ifndef U32_MAX
#define U32_MAX		((u32)~0U)
#endif

static inline bool list_is_head(const struct list_head *list, const struct list_head *head)
{
	return list == head;
}

/* Few values, so that equal ones do not hide what comparisons miss. */
static inline u32 weak_jhash(const void *key, u32 length, u32 initval)
{
	return jhash(key, length, initval) % 16;
}

#define jhash	weak_jhash

/* A check that does not hold ends the program; see main.c. */
void __noreturn __printf(3, 4) fail(const char *file, int line, const char *fmt, ...);

#define CHECK(cond)							\
	do {								\
		if (!(cond))						\
			fail(__FILE__, __LINE__, "%s", #cond);		\
	} while (0)

bool should_fail(void);

/* How many sites are few changes from test to test. */
extern u32 few_sites;
#define BPF_TRAMP_FEW_SITES	few_sites

/* And how many programs a trampoline can have. */
extern u32 max_progs;
#define BPF_MAX_TRAMP_LINKS	max_progs

/* Memory: what is allocated is counted by type, to be compared with the model. */
enum mem_type {
	MEM_SET,
	MEM_TUPLE,
	MEM_SITE,
	MEM_THUNKS,
	MEM_TYPES,
};

struct mem {
	enum mem_type type;
	long data[];
};

static u32 mem_count[MEM_TYPES];
static u32 mem_total;

static inline void *mem_zalloc(size_t size, enum mem_type type)
{
	struct mem *mem;

	CHECK(type < MEM_TYPES);
	if (should_fail())
		return NULL;
	mem = calloc(1, sizeof(*mem) + size);
	CHECK(mem);
	mem->type = type;
	mem_count[type]++;
	mem_total++;
	return mem->data;
}

static inline void kfree(void *data)
{
	struct mem *mem = container_of(data, struct mem, data);

	mem_count[mem->type]--;
	mem_total--;
	free(mem);
}

#define mem_is(type, name)	__builtin_types_compatible_p(type, struct bpf_tramp_##name)
#define mem_type(obj)				\
	(mem_is(typeof(obj), set) ? MEM_SET :	\
	 mem_is(typeof(obj), tuple) ? MEM_TUPLE :	\
	 mem_is(typeof(obj), site) ? MEM_SITE :	\
	 mem_is(typeof(obj), thunks) ? MEM_THUNKS : MEM_TYPES)
#define kzalloc_obj(obj)	((typeof(obj) *)mem_zalloc(sizeof(obj), mem_type(obj)))

struct rcu_head {
};

/* there is one thread */
#define smp_store_release(p, v)	(*(p) = (v))
/* there is one thread */
#define smp_load_acquire(p)	(*(p))

#define kfree_rcu(obj, ...)	kfree(obj)

static inline void *kvmalloc(size_t size, int gfp)
{
	return should_fail() ? NULL : malloc(size);
}

static inline void kvfree(void *data)
{
	free(data);
}

typedef u32 refcount_t;

static inline void refcount_inc(refcount_t *refcnt)
{
	CHECK(*refcnt);
	++*refcnt;
}

/* The functions of a module */
struct module {
	unsigned long functions;	/* a bit for each */
};

bool within_module(unsigned long ip, const struct module *mod);

void msleep(unsigned int msecs);

/* A work waits until the test runs it, see grace_period(). */
struct work_struct {
	void (*func)(struct work_struct *work);
};

#define DECLARE_WORK(name, fn)	struct work_struct name = { fn }
#define system_dfl_long_wq	NULL

struct workqueue_struct;

bool queue_work(struct workqueue_struct *wq, struct work_struct *work);

/* Mutex */
struct mutex {
	bool held;
};

#define DEFINE_MUTEX(name)	struct mutex name

static inline void mutex_lock(struct mutex *mutex)
{
	CHECK(!mutex->held);
	mutex->held = true;
}

static inline void mutex_unlock(struct mutex *mutex)
{
	CHECK(mutex->held);
	mutex->held = false;
}

static inline struct mutex *guard_mutex_begin(struct mutex *mutex)
{
	mutex_lock(mutex);
	return mutex;
}

static inline void guard_mutex_end(struct mutex **mutex)
{
	mutex_unlock(*mutex);
}

#define lockdep_assert_held(mutex)	CHECK((mutex)->held)

/* There is one thread: spinlocks are nothing. */
#define DEFINE_SPINLOCK(name)	int name
#define guard(lock)		guard_##lock
#define scoped_guard(lock, ptr)						\
	for (bool once = (guard_##lock(ptr), true); once; once = false)

static inline void guard_spinlock(int *lock)
{
}

#define guard_mutex(ptr)						\
	__attribute__((cleanup(guard_mutex_end))) struct mutex *guarded = guard_mutex_begin(ptr)

/* Table by number */
#define XA_SIZE	64

struct xa_item {
	struct xa_item *next;
	unsigned long index;
	void *entry;
};

struct xarray {
	struct xa_item *bucket[XA_SIZE];
	u32 nr;
};

#define DEFINE_XARRAY(name)	struct xarray name

static inline struct xa_item **xa_slot(struct xarray *xa, unsigned long index)
{
	struct xa_item **slot = &xa->bucket[index % XA_SIZE];

	while (*slot && (*slot)->index != index)
		slot = &(*slot)->next;
	return slot;
}

static inline void *xa_load(struct xarray *xa, unsigned long index)
{
	struct xa_item *item = *xa_slot(xa, index);

	return item ? item->entry : NULL;
}

static inline int xa_insert(struct xarray *xa, unsigned long index, void *entry, int gfp)
{
	struct xa_item **slot = xa_slot(xa, index);
	struct xa_item *item;

	if (*slot)
		return -EBUSY;
	if (should_fail())
		return -ENOMEM;
	item = calloc(1, sizeof(*item));
	CHECK(item);
	item->index = index;
	item->entry = entry;
	*slot = item;
	xa->nr++;
	return 0;
}

static inline void *xa_erase(struct xarray *xa, unsigned long index)
{
	struct xa_item **slot = xa_slot(xa, index);
	struct xa_item *item = *slot;
	void *entry;

	if (!item)
		return NULL;
	entry = item->entry;
	*slot = item->next;
	xa->nr--;
	free(item);
	return entry;
}

/* Numbers */
#define IDA_SIZE	64

struct ida {
	bool used[IDA_SIZE];
	u32 nr;
};

#define DEFINE_IDA(name)	struct ida name

static inline int ida_alloc_min(struct ida *ida, u32 min, int gfp)
{
	u32 i;

	if (should_fail())
		return -ENOMEM;
	for (i = min; i < IDA_SIZE && ida->used[i]; i++)
		;
	CHECK(i < IDA_SIZE);
	ida->used[i] = true;
	ida->nr++;
	return i;
}

static inline void ida_free(struct ida *ida, u32 id)
{
	CHECK(id < IDA_SIZE && ida->used[id]);
	ida->used[id] = false;
	ida->nr--;
}

/* BPF: of the kernel's structures, what the engine looks at; then the test's. */
#define MAX_BPF_FUNC_ARGS	12
#define MAX_FNS			32

struct btf_func_model {
	u8 ret_size;
	u8 ret_flags;
	u8 nr_args;
	u8 arg_size[MAX_BPF_FUNC_ARGS];
	u8 arg_flags[MAX_BPF_FUNC_ARGS];
};

struct bpf_prog {
	bool light;
	bool call_attach_cookie;
	bool call_attach_data;
	bool calls_orig;
};

struct bpf_link {
	struct bpf_prog *prog;

	struct list_head tuples;
	bool attached;
	/* of the running operation: may or may not run meanwhile, */
	bool busy;
	/* but only here, with these cookies */
	u32 want;
	u64 cookie[MAX_FNS];
};

struct bpf_tramp_cookies {
	u32 refcnt;
	u32 first;
	u32 nr;
	u64 *cookie;
	u64 *data;
	u64 own[];
};

struct bpf_tramp_node {
	struct bpf_link *link;
	struct hlist_node tramp_hlist;
	u64 cookie;
	u64 data;
	struct bpf_tramp_cookies *cookies;
};

struct bpf_trampoline {
	struct bpf_tramp_set *set;
	unsigned long ip;
	u64 key;
	u32 flags;
	refcount_t refcnt;
	struct bpf_tramp_image *cur_image;
	struct hlist_head thunks;
	void *gate;
	u32 nr_thunks;

	struct list_head all;
	struct hlist_head progs;
	u32 nr_progs;
	u32 nr_own;
	struct list_head images;
	struct fn *fn;			/* NULL: shared */

	u64 left;			/* when sites left, from which tasks may be on their way */
	u32 used_thunks;			/* that sites branch to */

	/* check.c's */
	u32 epoch;
	u32 idx;
	u32 nr_seen;
};

static inline int bpf_trampoline_nr_progs(const struct bpf_trampoline *tr)
{
	return tr->nr_progs;
}

#include "../../../kernel/bpf/trampoline_set.h"

#define CONFIG_BPF_TRAMPOLINE_SETS	1
#include "../../../kernel/bpf/trampoline_pin.h"

/* Of the kernel's headers: what the engine uses of memory that is executed, */
#define BPF_TRAMP_F_CALL_ORIG		1
#define ALLOW_ERROR_INJECTION(fn, type)
#define ftrace_jmp_set(addr)		(addr)
#define ftrace_is_dead()		false
#define INIT_LIST_HEAD_RCU(list)	INIT_LIST_HEAD(list)

static inline bool bpf_trampoline_use_jmp(u64 flags)
{
	return false;
}

struct bpf_ksym {
	unsigned long start;
	const char *name;
	struct list_head lnode;
};

void *arch_alloc_bpf_near_trampoline(unsigned int size);
void arch_free_bpf_trampoline(void *image, unsigned int size);
int bpf_jit_charge_modmem(u32 size);
void bpf_jit_uncharge_modmem(u32 size);
void *bpf_arch_text_copy(void *dst, void *src, size_t len);
void bpf_image_ksym_init(void *image, unsigned int size, struct bpf_ksym *ksym);
void bpf_image_ksym_add(struct bpf_ksym *ksym);
void bpf_image_ksym_del(struct bpf_ksym *ksym);

unsigned int arch_bpf_thunk_size(void);
void arch_bpf_gate_write(void *rw, void *gate, const struct bpf_tramp_image *im);
void arch_bpf_gate_switch(void *gate, const struct bpf_tramp_image *im);
void arch_bpf_thunk_write(void *rw, void *thunk, void *gate, bool call_orig,
			  unsigned long ip, unsigned long func, u32 nr);
void arch_bpf_thunks_ksym(struct bpf_ksym *ksym);

/* and of trampoline.h */
void bpf_tramp_thunks_free_all(struct bpf_trampoline *tr);
struct bpf_trampoline *bpf_trampoline_find_live(unsigned long ip);
bool bpf_trampoline_ip_is_modified(unsigned long ip);
void bpf_trampoline_put(struct bpf_trampoline *tr);
int bpf_trampoline_add_prog(struct bpf_trampoline *tr, struct bpf_tramp_node *node);
void bpf_trampoline_del_prog(struct bpf_trampoline *tr, struct bpf_tramp_node *node);
void bpf_trampoline_skip_link(struct bpf_link *link);
void synchronize_rcu_tasks(void);
struct bpf_tramp_cookies *bpf_tramp_cookies_get(struct bpf_tramp_cookies *cookies);
void bpf_tramp_cookies_put(struct bpf_tramp_cookies *cookies);

#endif /* _KERNEL_BPF_TRAMPOLINE_SET_INTERNAL_H */
