/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _KERNEL_BPF_TRAMPOLINE_CHANGE_H
#define _KERNEL_BPF_TRAMPOLINE_CHANGE_H

/*
 * What the files of the engine have of each other: sets, sites, and changes. Each
 * file uses those above it only.
 */

/**
 * struct bpf_tramp_change - all that one operation does to sets and their sites
 * @sets: that have to do with it, by @work, each with its @move
 * @link: that attaches, NULL if none does
 * @err: the first error of what could not be done, although the rest was
 */
struct bpf_tramp_change {
	struct list_head sets;
	struct bpf_link *link;
	int err;
};

static inline void bpf_tramp_change_init(struct bpf_tramp_change *ch, struct bpf_link *link)
{
	INIT_LIST_HEAD(&ch->sets);
	ch->link = link;
	ch->err = 0;
}

static inline struct bpf_tramp_site *bpf_tramp_first_site(struct list_head *sites)
{
	return list_first_entry(sites, struct bpf_tramp_site, list);
}

/* trampoline_site.c */
struct bpf_tramp_site *bpf_tramp_site_alloc(const struct bpf_tramp_req *req);
void bpf_tramp_site_free(struct bpf_tramp_site *site);
int bpf_tramp_site_number(struct bpf_tramp_site *site);
bool bpf_tramp_sites_are_in(const struct module *mod);
unsigned long bpf_tramp_site_solo(const struct bpf_tramp_site *site,
				  const struct bpf_tramp_class *class);

/* trampoline_set.c */
extern struct list_head bpf_tramp_untidy;

bool bpf_tramp_class_equal(const struct bpf_tramp_class *a, const struct bpf_tramp_class *b);
enum bpf_tramp_kind bpf_tramp_tuples_kind(const struct list_head *tuples);
enum bpf_tramp_kind bpf_tramp_link_kind(const struct bpf_link *link,
					const struct bpf_tramp_cookies *cookies);
struct bpf_tramp_set *bpf_tramp_set_alloc(const struct bpf_tramp_class *class,
					  enum bpf_tramp_kind kind);
struct bpf_tramp_set *bpf_tramp_set_derive(const struct bpf_tramp_class *class,
					   enum bpf_tramp_kind kind, struct bpf_tramp_set *from,
					   const struct bpf_tramp_site *site);
struct bpf_tramp_set *bpf_tramp_set_find(const struct bpf_tramp_class *class,
					 const struct list_head *tuples);
void bpf_tramp_sets_find_wasted(struct list_head *wasted);
void bpf_tramp_sets_outdate_light(void);
void bpf_tramp_set_insert(struct bpf_tramp_set *set);
void bpf_tramp_set_mark_untidy(struct bpf_tramp_set *set);
int bpf_tramp_set_load(struct bpf_tramp_set *set);
void bpf_tramp_set_free(struct bpf_tramp_set *set);
int bpf_tramp_tuple_add(struct bpf_tramp_set *set, struct bpf_link *link,
			struct bpf_tramp_cookies *cookies, struct list_head *tuples,
			const struct bpf_tramp_site *site);
void bpf_tramp_tuple_del(struct bpf_tramp_tuple *t);

/* trampoline_move.c */
void bpf_tramp_move_site(struct bpf_tramp_site *site, struct bpf_tramp_set *to);
void bpf_tramp_move_rest(struct bpf_tramp_set *from, struct bpf_tramp_set *to);
int bpf_tramp_move_prepare(struct bpf_tramp_set *from);
enum bpf_tramp_batch_op bpf_tramp_move_op(const struct bpf_tramp_set *from);
void bpf_tramp_move_patch(struct bpf_tramp_set *from, struct bpf_tramp_batch *batch);
void bpf_tramp_move_end(struct bpf_tramp_set *from, struct list_head *gone);
u64 bpf_tramp_sites_leave(void);
bool bpf_tramp_set_awaits(const struct bpf_tramp_set *set);

/* trampoline_change.c */
int bpf_tramp_change_run(struct bpf_tramp_change *ch);
void bpf_tramp_change_abort(struct bpf_tramp_change *ch);
int bpf_tramp_change_move(struct bpf_tramp_set *from, struct bpf_tramp_set *to,
			  struct bpf_tramp_site *site);

/* trampoline_tidy.c */
bool bpf_tramp_set_is_shareable(struct bpf_tramp_set *set);
int bpf_tramp_tidy_sets(struct list_head *todo);
int bpf_tramp_tidy(void);
void bpf_tramp_renew(void);
void bpf_tramp_detach(struct bpf_link *link, struct list_head *tuples);

#endif /* _KERNEL_BPF_TRAMPOLINE_CHANGE_H */
