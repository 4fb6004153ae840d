// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every sequence of operations over four functions in two classes and three
 * links, but for those that only differ in names: links are used in order, the
 * first attach is to one of the five subsets that are different up to the order
 * of functions and classes, and nothing follows when no link is attached any
 * more. Sequences that are shorter are the beginning of others. Images stay in
 * flight until the sequence ends.
 */

#define SEQ_MAX		6
#define SEQ_FNS		4
#define SEQ_LINKS	3

struct step {
	u32 link;
	u32 mask;	/* 0: detach */
};

static struct step steps[SEQ_MAX];
static unsigned long nr_sequences;

static void sequence_run(u32 len)
{
	u32 i;

	for (i = 0; i < len; i++) {
		if (steps[i].mask)
			CHECK(!attach_mask(steps[i].link, steps[i].mask, 0));
		else
			op_detach(links[steps[i].link]);
		test_op++;
	}
	op_nothing();
	nr_sequences++;
}

static const u32 first[] = { 0x1, 0x3, 0x5, 0x7, 0xf };
static const u32 any[] = {
	0x1, 0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x8, 0x9, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf,
};

static const u32 later[] = { 0x1, 0x2, 0x3, 0x6, 0xd, 0xf };

/* @used: links that have been attached, @attached: mask of those that are */
static void sequences(u32 len, u32 nr_attached, u32 used, u32 attached)
{
	const u32 *masks = nr_attached > 1 ? later : nr_attached ? any : first;
	u32 nr_masks = nr_attached > 1 ? ARRAY_SIZE(later) :
		       nr_attached ? ARRAY_SIZE(any) : ARRAY_SIZE(first);
	u32 l, i;

	if (len == SEQ_MAX || (len && !attached)) {
		sequence_run(len);
		return;
	}
	for (l = 0; l <= used && l < SEQ_LINKS; l++) {
		if (attached & (1U << l)) {
			steps[len] = (struct step){ l, 0 };
			sequences(len + 1, nr_attached, used, attached & ~(1U << l));
			continue;
		}
		for (i = 0; i < nr_masks; i++) {
			steps[len] = (struct step){ l, masks[i] };
			sequences(len + 1, nr_attached + 1, used + (l == used),
				  attached | (1U << l));
		}
	}
}

static void test_exhaustive(bool kinds)
{
	test_name = kinds ? "exhaustive, links of three kinds" : "exhaustive";
	test_op = 0;
	nr_sequences = 0;
	world_init(SEQ_FNS, 2, 12);
	links_init_kinds(SEQ_LINKS, 0, kinds ? 0x2 : 0, kinds ? 0x1 : 0);
	sequences(0, 0, 0, 0);
	pass(", %lu sequences, %lu operations", nr_sequences, test_op);
}
