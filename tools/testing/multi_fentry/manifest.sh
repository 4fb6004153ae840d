# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Reading the `series` manifest. Sourced.
#
#	cover: <subject of the cover letter>
#
#	<text>
#
#	patch: <subject>
#	file: <path in the kernel tree>
#	file: ...
#	checkpatch: <type of remark> <why it stays>
#
#	<text, the commit message>
#
# Lines that start with '#' before the first stanza are comments. For a path P
# the repository holds either P, a new file, or P.patch, a diff of P. A P that
# k > 1 patches name has a stack of diffs instead, P.1.patch to P.k.patch: the
# n-th applies to what those before it give and belongs to the n-th of these
# patches. Only one patch may name a new file.

MANIFEST=$TOP/series

# Every path of the series once, in order; with STEP=n, of its first n patches.
manifest_paths() {
	[ -r "$MANIFEST" ] || die "there is no $MANIFEST"
	awk -v last="$STEP" '
		/^patch:/ { n++ }
		last != "" && n + 0 > last + 0 { exit }
		sub(/^file:[ \t]*/, "") && !seen[$0]++' "$MANIFEST"
}

# uses_of <path> [<n>]: how many patches name it, of all or of the first n.
uses_of() {
	awk -v path="$1" -v last="${2:-}" '
		/^patch:/ { n++ }
		last != "" && n + 0 > last + 0 { exit }
		sub(/^file:[ \t]*/, "") && $0 == path { uses++ }
		END { print uses + 0 }' "$MANIFEST"
}

manifest_count() { grep -c '^patch:' "$MANIFEST" || true; }

# manifest_stanza <n>: the lines of the n-th patch; 0 is the cover letter.
manifest_stanza() {
	awk -v want="$1" '
		/^cover:/ { on = 1 }
		/^patch:/ { on = 1; n++ }
		on && n + 0 == want' "$MANIFEST"
}

manifest_subject() { manifest_stanza "$1" | sed -nE '1s/^(cover|patch):[ \t]*//p'; }

manifest_files() { manifest_stanza "$1" | sed -n 's/^file:[ \t]*//p'; }

# manifest_explained <n>: the types of checkpatch's remarks that stay, and why.
manifest_explained() { manifest_stanza "$1" | sed -n 's/^checkpatch:[ \t]*//p'; }

# The text below the files, without empty lines at either end.
manifest_body() {
	manifest_stanza "$1" | awk '
		NR == 1 || (!text && /^((file|checkpatch):.*|[ \t]*)$/) { next }
		/^[ \t]*$/ { blank++; next }
		{ if (text) for (; blank > 0; blank--) print ""; text = 1; print }'
}

# is_whole <path>: the repository has it as a new file. The kernel's files at the
# top are never new, and the repository has files of these names itself.
is_whole() { case $1 in */*) [ -e "$TOP/$1" ] ;; *) return 1 ;; esac; }

# diffs_of <path>: its diffs as the series wants them, in order; with STEP=n,
# those of its first n patches.
diffs_of() {
	local uses n

	uses=$(uses_of "$1")
	if [ "$uses" -le 1 ]; then
		echo "$1.patch"
		return
	fi
	[ -z "$STEP" ] || uses=$(uses_of "$1" "$STEP")
	for ((n = 1; n <= uses; n++)); do
		echo "$1.$n.patch"
	done
}

# files_of <path>: what the series wants of the repository for this path.
files_of() { if is_whole "$1"; then echo "$1"; else diffs_of "$1"; fi; }

# present_files <path>: those of them that exist.
present_files() {
	local f

	files_of "$1" | while read -r f; do
		[ ! -e "$TOP/$f" ] || echo "$f"
	done
}

# hashes_of: for each path of standard input what the repository has for it, hashed.
hashes_of() {
	local path f

	while read -r path; do
		present_files "$path" | while read -r f; do
			echo "file $path $(sha256sum <"$TOP/$f")"
		done
	done
}

# Paths of the series that the selftests are made of.
selftest_paths() {
	manifest_paths | grep -E '^(tools/|include/uapi/)' |
		grep -vE '^tools/(testing/bpf_tramp_(set|jit)|bpf/funccount)/' || true
}

# What the repository holds that is not the workshop: it must be in the series.
repo_files() {
	git -C "$TOP" ls-files -co --exclude-standard -- . \
		':!/README.md' ':!/DEVELOPERS.md' ':!/LICENSE*' ':!/COPYING' \
		':!/Makefile' ':!/series' ':!/.gitignore' ':!/.ci' \
		':!/tools/testing/multi_fentry' |
		while read -r f; do
			[ ! -e "$TOP/$f" ] || echo "$f"
		done
}
