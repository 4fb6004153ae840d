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
#
#	<text, the commit message>
#
# Lines that start with '#' before the first stanza are comments. For a path P
# the repository holds either P, a new file, or P.patch, a diff of P.

MANIFEST=$TOP/series

# Every path of the series, in order.
manifest_paths() {
	[ -r "$MANIFEST" ] || die "there is no $MANIFEST"
	sed -n 's/^file:[ \t]*//p' "$MANIFEST"
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

# The text below the files, without empty lines at either end.
manifest_body() {
	manifest_stanza "$1" | awk '
		NR == 1 || (!text && /^(file:.*|[ \t]*)$/) { next }
		/^[ \t]*$/ { blank++; next }
		{ if (text) for (; blank > 0; blank--) print ""; text = 1; print }'
}

# What the repository holds that is not the workshop: it must be in the series.
repo_paths() {
	git -C "$TOP" ls-files -co --exclude-standard -- . \
		':!/README.md' ':!/DEVELOPERS.md' ':!/LICENSE*' ':!/COPYING' \
		':!/Makefile' ':!/series' ':!/.gitignore' ':!/.ci' \
		':!/tools/testing/multi_fentry' |
		while read -r f; do
			[ ! -e "$TOP/$f" ] || echo "${f%.patch}"
		done
}
