#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# series.sh: write the series for `git am` to build/series, with a cover letter. The
# patches are signed off if git knows an identity of the sender's.
# series.sh style: fail where checkpatch --strict has a remark on it.
# series.sh check: only see that manifest and files fit each other.
#
# A git repository of the whole kernel is not needed: one of the files that
# the series touches, as the kernel has them, gives the same patches.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=manifest.sh
. "$WORKSHOP/manifest.sh"

OUT=$BUILD/series

series_files() {
	local path

	manifest_paths | while read -r path; do
		files_of "$path"
	done
}

# uses_told <file of the repository>
uses_told() {
	local path

	path=$(sed -E 's/(\.[0-9]+)?\.patch$//' <<<"$1")
	echo "patches that name $path: $(uses_of "$path")"
}

# Each file of the repository is in exactly one patch, and the other way round.
check_files() {
	local bad=0 f want have

	want=$(series_files | sort)
	have=$(repo_files | sort)
	while read -r f; do
		msg "series: $f belongs to no patch ($(uses_told "$f"))"
		bad=1
	done < <(comm -13 <(echo "$want") <(echo "$have"))
	while read -r f; do
		msg "series: there is no $f, or git ignores it ($(uses_told "$f"))"
		bad=1
	done < <(comm -23 <(echo "$want") <(echo "$have"))
	while read -r f; do
		if is_whole "$f" && [ "$(uses_of "$f")" != 1 ]; then
			msg "series: $f is a new file, which only one patch may name ($(uses_told "$f"))"
			bad=1
		fi
	done < <(manifest_paths)
	return $bad
}

check_manifest() {
	local bad=0 n f

	check_files || bad=1
	for ((n = 0; n <= $(manifest_count); n++)); do
		while read -r f; do
			msg "series: patch $n names $f twice"
			bad=1
		done < <(manifest_files "$n" | sort | uniq -d)
		if [ -z "$(manifest_subject "$n")" ] || [ -z "$(manifest_body "$n")" ]; then
			msg "series: patch $n has no subject or no text"
			bad=1
		fi
		if [ "$n" != 0 ] && [ -z "$(manifest_files "$n")" ]; then
			msg "series: patch $n has no files"
			bad=1
		fi
		if manifest_explained "$n" | grep -qvE '^[A-Z_]+[ \t]+[^ \t]'; then
			msg "series: patch $n does not say why a remark of checkpatch stays"
			bad=1
		fi
	done
	return $bad
}

in_repo() { git -C "$REPO" "$@"; }

# put <from> <path>
put() {
	mkdir -p "$REPO/$(dirname "$2")"
	cp -p "$1/$2" "$REPO/$2"
}

put_base() {
	local path

	manifest_paths | while read -r path; do
		[ ! -e "$BUILD/base/$path" ] || put "$BUILD/base" "$path"
	done
}

# put_patch <n>: what patch n makes of what those before it left.
put_patch() {
	local path f

	manifest_files "$1" | while read -r path; do
		if is_whole "$path"; then
			put "$TOP" "$path"
		else
			f=$(diffs_of "$path" | sed -n "$(uses_of "$path" "$1")p")
			in_repo apply --whitespace=nowarn "$TOP/$f" ||
				die "git apply does not take $f"
		fi
	done
}

# A sign-off is the sender's to give: without an identity that somebody has set,
# rather than one that git makes up of host and user, there is none.
identity() {
	local ident='multi-fentry <multi-fentry@localhost>' sender

	SIGNOFF=--no-signoff
	if sender=$(git -C "$TOP" -c user.useConfigOnly=true var GIT_COMMITTER_IDENT 2>/dev/null); then
		SIGNOFF=--signoff
		ident=${sender% * *}
	fi
	in_repo config user.name "${ident% <*}"
	in_repo config user.email "$(sed 's/.*<//; s/>$//' <<<"$ident")"
	in_repo config core.autocrlf false
}

tell_signoff() {
	[ "$SIGNOFF" = --no-signoff ] || return 0
	msg "the patches have no Signed-off-by, as git does not know who you are. Before you mail" \
		"them, set an identity (git config user.name, git config user.email) and export again"
}

# One date for all, so that the same series gives the same files.
commit() {
	local date='2026-01-01T00:00:00Z'

	in_repo add -A
	GIT_AUTHOR_DATE=$date GIT_COMMITTER_DATE=$date \
		in_repo commit -q "$SIGNOFF" --allow-empty -F -
}

make_repo() {
	local n

	REPO=$OUT.git
	rm -rf "$REPO"
	git init -q -b base "$REPO"
	identity
	put_base
	commit <<<"$(cat "$BUILD/.base.id")"
	in_repo checkout -q -b multi-fentry
	for ((n = 1; n <= $(manifest_count); n++)); do
		put_patch "$n"
		{
			manifest_subject "$n"
			echo
			manifest_body "$n"
		} | commit
	done
}

# The last patch leaves what is built and tested.
verify_tree() {
	local path

	while read -r path; do
		cmp -s "$REPO/$path" "$BUILD/linux/$path" ||
			die "the series does not give the $path of build/linux"
	done < <(manifest_paths)
}

write_patches() {
	local cover

	rm -rf "$OUT"
	in_repo format-patch -q --subject-prefix='PATCH bpf-next' --cover-letter --base=base \
		--zero-commit --no-signature --no-signoff -o "$OUT" base..multi-fentry
	cover=$OUT/0000-cover-letter.patch
	awk -v subject="$(manifest_subject 0)" -v body="$(manifest_body 0)" '
		/^\*\*\* BLURB HERE/ { print body; next }
		{ i = index($0, "*** SUBJECT HERE ***") }
		i { print substr($0, 1, i - 1) subject; next }
		/^(base-commit|prerequisite-patch-id):/ { next }
		{ print }' "$cover" >"$cover.tmp"
	mv "$cover.tmp" "$cover"
}

verify_am() {
	in_repo checkout -q -b am base
	quietly series-am git -C "$REPO" am -q --empty=drop "$OUT"/*.patch ||
		die "git am does not take the series"
	in_repo diff --quiet multi-fentry am ||
		die "git am of the series does not give the tree"
}

# From a directory without .git: checkpatch would call spdxcheck, which wants
# Python packages that a machine rarely has.
# The ids of commits that Fixes: names cannot be looked up: the kernel's history is
# not there. A sign-off must be there if identity() has found who gives it.
checkpatch() {
	local n ignore=FILE_PATH_CHANGES,UNKNOWN_COMMIT_ID

	n=$(basename "$1" | cut -c1-4)
	ignore+=$(manifest_explained "$((10#$n))" | awk '{ printf ",%s", $1 }')
	(cd "$OUT"; perl "$BUILD/linux/scripts/checkpatch.pl" --root="$BUILD/linux" \
		--strict --no-summary --terse --showfile "$SIGNOFF" \
		--ignore "$ignore" "$1" 2>&1 || true) | sed "s|^|$n: |"
}

run_checkpatch() {
	local f bad logs

	logs=$(mktemp -d)
	for f in "$OUT"/000[1-9]*.patch "$OUT"/00[1-9][0-9]*.patch; do
		[ "$(jobs -pr | wc -l)" -lt "$JOBS" ] || wait -n
		checkpatch "$f" >"$logs/$(basename "$f")" &
	done
	wait
	cat "$logs"/* >"$LOGS/checkpatch.log"
	rm -rf "$logs"
	bad=$(grep -cE '(ERROR|WARNING|CHECK):' "$LOGS/checkpatch.log" || true)
	if [ "$bad" != 0 ]; then
		cat "$LOGS/checkpatch.log" >&2
		msg "checkpatch --strict has $bad remarks on the series"
		return 1
	fi
}

main() {
	shopt -s nullglob
	mkdir -p "$LOGS"
	case ${1:-} in
	check) check_manifest || exit 1; exit 0 ;;
	'' | style) ;;
	*) die "usage: series.sh [style|check]" ;;
	esac
	"$WORKSHOP/deps.sh"
	check_manifest || die "the series manifest does not fit the repository"
	lock_builds
	"$WORKSHOP/tree.sh" patched
	make_repo
	verify_tree
	write_patches
	verify_am
	rm -rf "$REPO"
	msg "wrote $(find "$OUT" -name '*.patch' | wc -l) files to build/series; git am takes them"
	tell_signoff
	run_checkpatch || [ "${1:-}" != style ]
}

main "$@"; exit
