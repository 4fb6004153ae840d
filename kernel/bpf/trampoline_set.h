/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _KERNEL_BPF_TRAMPOLINE_SET_H
#define _KERNEL_BPF_TRAMPOLINE_SET_H

/*
 * Shared trampolines: one trampoline for all functions that have the same
 * model and run the same list of fentry.multi, fexit.multi and fsession.multi
 * programs.
 *
 *   site    a traced function's patchable entry (its ftrace location)
 *   class   the functions whose canonical btf_func_model is the same
 *   set     the sites of one class that run the same list of programs; it owns
 *           one entry and one body
 *   entry   the address the sites of a set branch to, constant for the set's
 *           lifetime
 *   body    the generated image with the programs hard-coded
 *   thunk   a few bytes per site that name the site to a shared body, only for
 *           sets that need it: the body calls the function, or a program asks
 *           for its cookie or its data and each function has its own
 *   tuple   (link, set): what a link holds, instead of one node per function
 *
 *   change  all that one operation does to sets: which sites move to which set,
 *           and which sets get another body
 *
 * Attach, in pseudo-code:
 *
 *   for each requested site
 *           move it to the part of its set that the link covers
 *   for each set the link covers a part of
 *           the larger of part and rest keeps the entry, as a rule
 *           the smaller goes to a new set with a body of its own
 *   run the change
 *
 * Detach:
 *
 *   jump over the link's program in all images
 *   drop the link's tuples
 *
 * That cannot fail. A worker tidies soon, for all links that left meanwhile:
 *
 *   of sets which are equal now	the sites of the smaller ones move
 *   sites without programs		leave ftrace
 *   sets with programs that are gone	get another body
 *   run the change
 *
 * The next attach begins with that, too. What tidying cannot do, for lack of memory
 * say, it does the next time. A change runs so:
 *
 *   generate the bodies		(nothing is live yet: any error ends here)
 *   repatch the sites that move	(one call of ftrace for all of them)
 *   wait for tasks on their way from them, if a program comes
 *   patch the entries that stay	(one branch per set)
 *
 * A function which also has programs that sets do not serve (a single fentry,
 * fexit, fmod_ret, fsession or LSM program) has a dedicated trampoline, which
 * runs the links' programs as well. Its site is pinned: it is in a set of its
 * own, whose class names the dedicated trampoline.
 *
 * A function that a livepatch shares returns from its trampoline to somewhere
 * else, so that the return address does not tell the function any more. It is
 * in a set of its own, too, whose class and body have its address.
 *
 * A set that is made for one site has neither entry nor thunks: the site branches to
 * the body. Sites that are to join it later go to a new set, together with its own.
 *
 * A set is in one of these states. Only a change goes from one to another, but for
 * what makes sets untidy (a link, a dedicated trampoline's last program or a livepatch
 * that goes, statistics that are switched).
 *
 *   state    live  stale  in table
 *   empty    no    no     yes       its sites are new, and run nothing yet
 *   next     no    yes    yes       sites are to move here
 *   current  yes   no     yes       canonical
 *   joined   yes   yes    yes       gets another body
 *   untidy   yes   any    no        not canonical, or runs programs that are gone
 *
 * Locking: bpf_tramp_sets_mutex serializes all of it, and protects the shared
 * trampolines. It is taken outside of the trampoline pool locks and of ftrace's
 * direct_mutex. Links that come and go hold no pool lock. Who changes a dedicated
 * trampoline takes the mutex before its pool lock if the function is a site, and
 * only then: bpf_tramp_ip_is_site() tells. So a function becomes a site before it
 * is seen what it runs, which waits for the pool lock once, and is one until all
 * else of it has gone.
 */

/**
 * struct bpf_tramp_class - what a function needs of a trampoline
 * @model: canonical function model
 * @ip_off: from the function's address to its ftrace location, in bytes
 * @pad: 0
 * @solo: address of the only function, if that has to be in the body, else 0
 * @pin: dedicated trampoline of the only site, NULL for a shared set
 *
 * Compared and hashed as memory: clear it before filling it in.
 */
struct bpf_tramp_class {
	struct btf_func_model model;
	u8 ip_off;
	u8 pad[4];
	unsigned long solo;
	struct bpf_trampoline *pin;
};

/**
 * enum bpf_tramp_kind - how sites get to a set's body
 * @BPF_TRAMP_KIND_ALONE: the only one branches to the body, which is generated for it
 * @BPF_TRAMP_KIND_ENTRY: they branch to the entry
 * @BPF_TRAMP_KIND_COOKIE: through thunks, which number them
 * @BPF_TRAMP_KIND_ORIG: through thunks, which also call the function
 *
 * A set whose class is for one function is of the first kind, and so is one that is made
 * for one site. The tuples of the others tell their kind, that of the most demanding.
 */
enum bpf_tramp_kind {
	BPF_TRAMP_KIND_ALONE,
	BPF_TRAMP_KIND_ENTRY,
	BPF_TRAMP_KIND_COOKIE,
	BPF_TRAMP_KIND_ORIG,
};

/**
 * struct bpf_tramp_move - sites of a set that go together
 * @sites: the sites
 * @nr_sites: length of @sites
 * @done: the sites are patched
 * @to: the set that they go to; their own one: where its body is, which gets a new
 *      address; NULL: they leave ftrace
 * @thunks: of the sites, in @to
 */
struct bpf_tramp_move {
	struct list_head sites;
	u32 nr_sites;
	bool done;
	struct bpf_tramp_set *to;
	struct bpf_tramp_thunks *thunks;
};

/**
 * struct bpf_tramp_set - the sites that run one list of programs
 * @hash_node: in the table of sets, by class and tuples
 * @hash: of class and tuples
 * @class: of all sites
 * @kind: how the sites get to the body
 * @func: address of the only function, for the body, if @kind is BPF_TRAMP_KIND_ALONE
 * @tr: trampoline: images and what they are generated from; @class.pin if that
 *      is set, else owned, and NULL before the first body
 * @entry: image whose start is the entry, NULL for a set without
 * @prepared: the body that waits for commit or abort, or NULL
 * @old_flags: while there is one: the trampoline's flags before
 * @tuples: the links whose programs run, newest first
 * @sites: the sites, but for those of @move
 * @work: in the sets of the running change, or the untidy ones
 * @move: of the running change: the sites that are patched; first, while a link attaches,
 *        those that it covers
 * @left: when sites left it last, see bpf_tramp_sites_leave(); 0: never
 * @nr_sites: length of @sites
 * @live: the sites branch here
 * @stale: is to get a body: there is none yet, or it lacks a program that comes, or
 *         has one that is gone, which it jumps over, or runs light ones by calls, or not,
 *         and is to do the other
 */
struct bpf_tramp_set {
	struct hlist_node hash_node;
	u32 hash;
	struct bpf_tramp_class class;
	enum bpf_tramp_kind kind;
	unsigned long func;
	struct bpf_trampoline *tr;
	struct bpf_tramp_image *entry;
	struct bpf_tramp_image *prepared;
	u32 old_flags;
	struct list_head tuples;
	struct list_head sites;
	struct list_head work;
	struct bpf_tramp_move move;
	u64 left;
	u32 nr_sites;
	bool live;
	bool stale;
};

/**
 * struct bpf_tramp_tuple - a link's hold on a set
 * @node: program and cookie, what trampolines are generated from
 * @fexit: second node, for a session's program at the function's return
 * @cookies: of the link, NULL if the program does not ask; @node has them too,
 *           if the body is for more than one site
 * @set: the set
 * @set_node: in the set's tuples
 * @link_node: in the link's tuples
 */
struct bpf_tramp_tuple {
	struct bpf_tramp_node node;
	struct bpf_tramp_node fexit;
	struct bpf_tramp_cookies *cookies;
	struct bpf_tramp_set *set;
	struct list_head set_node;
	struct list_head link_node;
};

/**
 * struct bpf_tramp_site - a function that some link covers, or has covered until now
 * @ip_node: in the table by ip
 * @ip: ftrace location
 * @set: what it runs
 * @list: in the set's sites
 * @nr: number, from 1; 0 as long as nothing needs it
 * @obj_id: BTF object that the function was first attached by
 * @btf_id: id in that
 * @checked: attach types that have been seen to suit the function
 * @requested: while those of a link that attaches are gathered: it covers the site
 *
 * There is one for each traced function, so its size counts: it is 64 bytes.
 */
struct bpf_tramp_site {
	struct hlist_node ip_node;
	unsigned long ip;
	struct bpf_tramp_set *set;
	struct list_head list;
	u32 nr;
	u32 obj_id;
	u32 btf_id:26;
	u32 checked:4;
	u32 requested:1;
};

/**
 * struct bpf_tramp_req - a function that a link is to be attached to
 * @ip: ftrace location
 * @addr: address
 * @obj_id: its BTF object
 * @btf_id: its id in that
 * @cookie: of the link for this function
 * @data: address of what the link's map has for this function, or 0
 * @index: which of the caller's functions it is
 * @checked: attach types that have been seen to suit the function
 * @err: why it is refused, 0 if it is not
 * @why: the same in words, NULL if the verifier knows them
 * @class: of the function, with neither pin nor solo
 * @site: the engine's
 */
struct bpf_tramp_req {
	unsigned long ip;
	unsigned long addr;
	u32 obj_id;
	u32 btf_id;
	u64 cookie;
	u64 data;
	u32 index;
	u32 checked;
	int err;
	const char *why;
	struct bpf_tramp_class class;
	struct bpf_tramp_site *site;
};

/* Is the class for one function only? */
static inline bool bpf_tramp_class_is_own(const struct bpf_tramp_class *class)
{
	return class->pin || class->solo;
}

/* Do the sites of the set branch to thunks? */
static inline bool bpf_tramp_set_has_thunks(const struct bpf_tramp_set *set)
{
	return set->kind > BPF_TRAMP_KIND_ENTRY;
}

/* The engine; trampoline_pin.h has what trampoline.c needs of it. */
extern struct mutex bpf_tramp_sets_mutex;

struct bpf_tramp_site *bpf_tramp_site_find(u32 obj_id, u32 btf_id);
struct bpf_tramp_site *bpf_tramp_site_find_ip(unsigned long ip);
int bpf_tramp_sets_attach(struct bpf_link *link, struct list_head *tuples,
			  struct bpf_tramp_req *reqs, u32 cnt, bool cookies, bool skip);
void bpf_tramp_sets_detach(struct bpf_link *link, struct list_head *tuples);
int bpf_tramp_sets_tidy(void);
void bpf_tramp_sets_leave(const struct module *mod);

/*
 * What the engine needs of the rest of the kernel: trampolines and their
 * images, and the patching of sites. trampoline_{shared,body,work}.c have the
 * kernel's, the user-space test its own, but for thunks.
 */
enum bpf_tramp_batch_op {
	BPF_TRAMP_BATCH_ADD,
	BPF_TRAMP_BATCH_MOD,
	BPF_TRAMP_BATCH_DEL,
};

struct bpf_tramp_batch;

unsigned long bpf_tramp_ip_addr(unsigned long ip);
struct bpf_tramp_batch *bpf_tramp_batch_alloc(u32 nr);
void bpf_tramp_batch_site(struct bpf_tramp_batch *batch, unsigned long ip, unsigned long addr);
int bpf_tramp_batch_run(struct bpf_tramp_batch *batch, enum bpf_tramp_batch_op op);
void bpf_tramp_batch_free(struct bpf_tramp_batch *batch);

struct bpf_tramp_thunks;

struct bpf_tramp_thunks *bpf_tramp_thunks_make(struct bpf_tramp_set *set,
					       const struct list_head *sites, u32 nr);
unsigned long bpf_tramp_thunks_get(const struct bpf_tramp_thunks *thunks, u32 i);
void bpf_tramp_thunks_free(struct bpf_tramp_thunks *thunks);
bool bpf_tramp_thunks_are_wasted(const struct bpf_tramp_set *set);
u32 bpf_tramp_thunks_size(const struct bpf_tramp_set *set);
void bpf_tramp_tidy_later(void);
void bpf_tramp_tidy_not_now(void);

struct bpf_tramp_cookies *bpf_tramp_cookies_alloc(u32 first, u32 nr, bool data);
int bpf_tramp_cookies_set(struct bpf_tramp_cookies *cookies, u32 nr, u64 cookie, u64 data);
int bpf_tramp_cookies_map(struct bpf_tramp_cookies *cookies);

bool bpf_tramp_prog_thunk_calls(const struct bpf_prog *prog);
struct bpf_trampoline *bpf_tramp_tr_alloc(const struct bpf_tramp_set *set);
void bpf_tramp_class_init(struct bpf_tramp_class *class, const struct btf_func_model *m,
			  unsigned long ip, unsigned long addr);
void bpf_tramp_tr_class(struct bpf_trampoline *tr, struct bpf_tramp_class *class);
bool bpf_tramp_tr_has_own_progs(struct bpf_trampoline *tr);
int bpf_tramp_tr_has_room(const struct bpf_trampoline *tr, const struct bpf_prog *prog);

int bpf_tramp_body_prepare(struct bpf_tramp_set *set);
int bpf_tramp_body_switch(struct bpf_tramp_set *set);
void bpf_tramp_body_commit(struct bpf_tramp_set *set);
void bpf_tramp_body_abort(struct bpf_tramp_set *set);
void bpf_tramp_body_retire(struct bpf_tramp_set *set);
unsigned long bpf_tramp_set_addr(struct bpf_tramp_set *set);
u32 bpf_tramp_body_size(const struct bpf_tramp_set *set);

#endif /* _KERNEL_BPF_TRAMPOLINE_SET_H */
