#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The two kernel trees below build/: `base`, as it comes, and `linux`, with the
# files of the series in it; and the way back from `linux` to the repository.
# STEP=n: `step` in the place of `linux`, with the first n patches.
#
# What was put into `linux` is written down in .linux.applied, one line
# "<hash in the tree> <hash in the repository> <path>" a file, so that an edit
# made in the tree is told apart from one made in the repository, and neither
# is overwritten unseen. The second hash is of all diffs of the path.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=apt.sh
. "$WORKSHOP/apt.sh"
# shellcheck source=manifest.sh
. "$WORKSHOP/manifest.sh"

BASE_TREE=$BUILD/base
LINUX=$BUILD/$SERIES_TREE
STATE=$BUILD/.$SERIES_TREE
APPLIED=$STATE.applied
PACKAGE=linux-source-7.3

# --- the source ---

newest_deb() {
	local f

	for f in "$CACHE/dl/${PACKAGE}_"*.deb; do
		[ ! -e "$f" ] || echo "$f"
	done | sort -V | tail -n 1
}

# Debian 12 does not list the suites that have the package.
fetch_deb() {
	local suite tmp

	need_space "$CACHE" 400 "the kernel source package"
	mkdir -p "$CACHE/dl"
	for suite in trixie-backports sid forky; do
		msg "looking for $PACKAGE in $suite ..."
		apt_private "source-$suite" "$suite" || continue
		tmp=$(mktemp -d "$CACHE/dl/tmp.XXXXXX")
		if (cd "$tmp" && apt-get "${APT_OPTS[@]}" -qq download "$PACKAGE" \
			>>"$LOGS/fetch.log" 2>&1) &&
		   mv "$tmp/${PACKAGE}_"*.deb "$CACHE/dl/"; then
			rm -rf "$tmp"
			return 0
		fi
		rm -rf "$tmp"
	done
	die "no Debian suite gave $PACKAGE; check the network, or pass KERNEL=/path/to/linux"
}

user_tree_files() {
	if git -C "$KERNEL" rev-parse --git-dir >/dev/null 2>&1; then
		git -C "$KERNEL" ls-files -z
	else
		(cd "$KERNEL" && find . '(' -type f -o -type l ')' ! -name '*.o' \
			! -name '*.cmd' -printf '%P\0')
	fi
}

# One line that changes whenever the source does.
source_id() {
	local deb

	if [ -n "${KERNEL:-}" ]; then
		{ [ -f "$KERNEL/Kbuild" ] && [ -d "$KERNEL/kernel/bpf" ]; } ||
			die "KERNEL=$KERNEL is no Linux source tree"
		echo "tree $KERNEL $(cd "$KERNEL" && user_tree_files |
			xargs -0 stat -c '%n %s %.Y' 2>/dev/null | sort | key_of)"
		return
	fi
	deb=$(newest_deb)
	if [ -z "$deb" ]; then
		lock_builds
		deb=$(newest_deb)
		[ -n "$deb" ] || fetch_deb
		deb=$(newest_deb)
	fi
	echo "package $(basename "$deb" .deb)"
}

# unpack <id> <directory>
unpack() {
	local tmp=$2.tmp

	rm -rf "$tmp"
	mkdir -p "$tmp"
	case $1 in
	tree\ *)
		(cd "$KERNEL" && user_tree_files | rsync -a --files-from=- --from0 \
			--ignore-missing-args ./ "$tmp/") || return 1
		# A tree that was built has products which its file list cannot tell.
		[ -e "$KERNEL/.git" ] || make -C "$tmp" -s mrproper >/dev/null || return 1
		;;
	package\ *)
		dpkg-deb --fsys-tarfile "$(newest_deb)" |
			tar -xO "./usr/src/$PACKAGE.tar.xz" | xz -dc -T0 |
			tar -x -C "$tmp" --strip-components=1 || return 1
		;;
	esac
	rm -rf "$2"
	mv "$tmp" "$2"
}

# ensure_tree <base|linux|step> <id>: the id is written last and removed first, so
# that half a tree never passes for one.
ensure_tree() {
	local dir=$BUILD/$1 state=$BUILD/.$1

	if [ -d "$dir" ] && [ "$(cat "$state.id" 2>/dev/null)" = "$2" ]; then
		return 0
	fi
	if [ "$1" = "$SERIES_TREE" ] && [ -d "$LINUX" ] && [ -e "$state.id" ] && [ -z "${DISCARD:-}" ]; then
		refuse_edits
	fi
	need_space "$BUILD" 6000 "a kernel tree with its build"
	msg "unpacking build/$1 ($2) ..."
	rm -f "$state.id" "$state.files" "$state.applied" "$state.stamp"
	unpack "$2" "$dir" || die "could not unpack the kernel source ($2) into $dir"
	(cd "$dir" && find . -type f -printf '%P\n' | sort) >"$state.files"
	: >"$state.applied"
	: >"$state.stamp"
	echo "$2" >"$state.id"
}

# --- what was edited in the tree ---

sha_of() { if [ -e "$1" ]; then sha256sum <"$1" | cut -d' ' -f1; else echo none; fi; }

# applied_sha <path> <1: in the tree, 2: in the repository>
applied_sha() {
	awk -v p="$1" -v f="$2" '$3 == p { print $f }' "$APPLIED"
}

touched_files() {
	find "$LINUX" -type f -cnewer "$STATE.stamp" -printf '%P\n' | sort
}

# Source files that differ from the pristine ones.
modified_files() {
	local f

	touched_files | comm -12 - "$STATE.files" | while read -r f; do
		cmp -s "$LINUX/$f" "$BASE_TREE/$f" || echo "$f"
	done
}

# candidates <directory at the top>: files there, relative to it, that the
# pristine tree lacks and that have the name of a source.
candidates() {
	touched_files | comm -23 - "$STATE.files" | sed -n "s|^$1/||p" |
		grep -E '\.([chS]|rst|sh|py|ld|yaml)$|(^|/)(Makefile|Kconfig|Build|config)$' |
		grep -vE '(^|/)generated/' || true
}

# Source files that the pristine tree lacks. The kernel's own .gitignore files
# tell them from what a build leaves behind. Debian's ignores all of the top
# with its last pattern: start one level below, with the patterns before it.
added_files() {
	local git=$BUILD/.ignore.git dir

	[ -d "$git" ] || git init -q --bare "$git"
	sed '/^\/\*$/,$d' "$LINUX/.gitignore" >"$git/info/exclude"
	for dir in arch kernel include lib net mm samples tools Documentation; do
		candidates "$dir" |
			(cd "$LINUX/$dir"; git --git-dir="$git" --work-tree=. \
				check-ignore --no-index -v -n --stdin || true) |
			sed -n "s|^::\t|$dir/|p"
	done
}

# refuse_edits [<directory>]: die when the tree holds work that is not in the
# repository; the directory has what the tree is about to get.
refuse_edits() {
	local f edited=() unlisted=()

	while read -r f; do
		if [ "$(uses_of "$f")" = 0 ] && [ -z "$(applied_sha "$f" 1)" ]; then
			unlisted+=("$f")
		elif [ "$(sha_of "$LINUX/$f")" != "$(applied_sha "$f" 1)" ] &&
		     ! { [ -n "${1:-}" ] && cmp -s "$LINUX/$f" "$1/$f"; }; then
			edited+=("$f")
		fi
	done < <(modified_files; added_files)
	[ "${#edited[@]}" -eq 0 ] ||
		die "build/$SERIES_TREE holds edits that the repository lacks (${edited[*]}); 'make refresh' takes them over, DISCARD=1 drops them"
	[ "${#unlisted[@]}" -eq 0 ] ||
		die "build/$SERIES_TREE holds changes that belong to no patch (${unlisted[*]}); add 'file:' lines to the series and 'make refresh', or DISCARD=1 drops them"
}

# --- repository to tree ---

# repo_sha <path>: of what the repository has for it.
repo_sha() {
	local files

	mapfile -t files < <(present_files "$1")
	if [ "${#files[@]}" = 0 ]; then
		echo none
	else
		(cd "$TOP" && cat "${files[@]}") | sha256sum | cut -d' ' -f1
	fi
}

# with_below <diff> <stack ...>: what is under it, for a message.
with_below() {
	local f below=()

	for f in "${@:2}"; do
		[ "$f" != "$1" ] || break
		below+=("$(basename "$f")")
	done
	[ "${#below[@]}" = 0 ] || echo " with ${below[*]}"
}

# apply_diffs <path> <to> [<diff> ...]: the kernel's file with these diffs.
apply_diffs() {
	local path=$1 to=$2 f log=$LOGS/apply.log

	shift 2
	for f; do
		[ -e "$TOP/$f" ] ||
			die "the series names $path, but there is neither $path nor $f (patches that name it: $(uses_of "$path"))"
	done
	[ -e "$BASE_TREE/$path" ] || die "$f changes a file that this kernel does not have"
	cp -p "$BASE_TREE/$path" "$to"
	for f; do
		patch --quiet --forward --fuzz=0 --no-backup-if-mismatch --reject-file=- \
			"$to" "$TOP/$f" >"$log" 2>&1 ||
			die "$f does not apply to this kernel ($(cat "$BUILD/.base.id"))$(with_below "$f" "$@"): $(grep -m 1 -E 'FAILED|malformed|rejects|Reversed' "$log")"
	done
}

# wanted <path> <to>: what the tree is to hold.
wanted() {
	local diffs

	if is_whole "$1"; then
		[ ! -e "$TOP/$1.patch" ] || die "both $1 and $1.patch exist; keep one"
		[ ! -e "$BASE_TREE/$1" ] ||
			die "$1 exists in the kernel: keep a diff ($1.patch), not the whole file"
		cp -p "$TOP/$1" "$2"
	else
		mapfile -t diffs < <(diffs_of "$1")
		apply_diffs "$1" "$2" "${diffs[@]}"
	fi
}

put() {
	mkdir -p "$(dirname "$2")"
	cp -p "$1" "$2.mf-new"
	# A new date, also for a file that came back to older content.
	touch "$2.mf-new"
	mv "$2.mf-new" "$2"
}

# Paths that an earlier sync applied and the series no longer names.
forget_path() {
	if [ -e "$BASE_TREE/$1" ]; then
		put "$BASE_TREE/$1" "$LINUX/$1"
	else
		rm -f "$LINUX/$1"
	fi
}

# all_wanted <directory>: in new/ what the tree is to hold, with a list.
all_wanted() {
	local path

	manifest_paths >"$1/paths"
	while read -r path; do
		mkdir -p "$1/new/$(dirname "$path")"
		wanted "$path" "$1/new/$path"
	done <"$1/paths"
}

# Do the patches apply?
check_fits() {
	local tmp

	tmp=$(mktemp -d "$BUILD/fits.XXXXXX")
	# shellcheck disable=SC2064 # the directory of now
	trap "rm -rf '$tmp'" EXIT
	all_wanted "$tmp"
}

sync_tree() {
	local tmp path sha

	tmp=$(mktemp -d "$BUILD/sync.XXXXXX")
	# shellcheck disable=SC2064 # the directory of now
	trap "rm -rf '$tmp'" EXIT
	: >"$tmp/applied"
	# All of it first, so that a patch that fails leaves the tree alone.
	all_wanted "$tmp"
	while read -r path; do
		sha=$(sha_of "$tmp/new/$path")
		echo "$sha $(repo_sha "$path") $path" >>"$tmp/applied"
	done <"$tmp/paths"
	[ -n "${DISCARD:-}" ] || refuse_edits "$tmp/new"
	{ cut -d' ' -f3- "$APPLIED"; [ -z "${DISCARD:-}" ] || { modified_files; added_files; }; } |
		sort -u | grep -vxF -f "$tmp/paths" | while read -r path; do
			forget_path "$path"
		done || true
	while read -r path; do
		cmp -s "$tmp/new/$path" "$LINUX/$path" || put "$tmp/new/$path" "$LINUX/$path"
	done <"$tmp/paths"
	mv "$tmp/applied" "$APPLIED"
}

# --- tree to repository ---

# What the repository is to hold for a path of the tree.
tree_files() { if [ -e "$BASE_TREE/$1" ]; then diffs_of "$1"; else echo "$1"; fi; }

# export_file <path> <file> <directory>: the file, into the directory, as the
# repository would hold it. Of a stack the tree makes the last diff; the others
# stay what they are but for line numbers and context.
export_file() {
	local f below=() new=$LINUX/$1

	mkdir -p "$3/$(dirname "$2")"
	if [ ! -e "$BASE_TREE/$1" ]; then
		cp -p "$new" "$3/$2"
		return
	fi
	while read -r f; do
		[ "$f" != "$2" ] || break
		below+=("$f")
	done < <(diffs_of "$1")
	apply_diffs "$1" "$3/.below" "${below[@]}"
	if [ "$2" != "$(diffs_of "$1" | tail -n 1)" ]; then
		new=$3/.new
		apply_diffs "$1" "$new" "${below[@]}" "$2"
	fi
	diff -dup --label "a/$1" --label "b/$1" "$3/.below" "$new" >"$3/$2" || true
}

# changes_nothing <path> <file> <directory>: a diff that export_file wrote is empty.
changes_nothing() { [ -e "$BASE_TREE/$1" ] && [ ! -s "$3/$2" ]; }

# The repository's files changed since they were applied.
repo_is_newer() {
	local now

	now=$(repo_sha "$1")
	[ "$now" != none ] && [ "$now" != "$(applied_sha "$1" 2)" ]
}

# forget_diff <path> <diff>: for a diff that changes nothing any more. What else
# a stack is to become is for its author to say.
forget_diff() {
	[ "$2" = "$1.patch" ] ||
		die "$2 would change nothing any more; remove it and the 'file: $1' of its patch, number the others anew, and build"
	[ ! -e "$TOP/$2" ] || { rm "$TOP/$2"; msg "no longer differs, removed: $2"; }
}

# refresh_file <path> <file> <directory>
refresh_file() {
	export_file "$1" "$2" "$3"
	if changes_nothing "$1" "$2" "$3"; then
		forget_diff "$1" "$2"
	elif ! cmp -s "$3/$2" "$TOP/$2"; then
		mkdir -p "$TOP/$(dirname "$2")"
		cp -p "$3/$2" "$TOP/$2"
		msg "refreshed: $2"
	fi
}

refresh_path() {
	local f tmp=$2

	if [ ! -e "$LINUX/$1" ]; then
		warn "$1 is not in build/linux; not refreshed"
		return 0
	fi
	if repo_is_newer "$1"; then
		[ "$(sha_of "$LINUX/$1")" = "$(applied_sha "$1" 1)" ] ||
			[ -z "$(applied_sha "$1" 1)" ] ||
			die "$1 was edited both in build/linux and in the repository; bring one of them in line by hand"
		msg "newer in the repository, left alone: $1"
		return 0
	fi
	while read -r f; do
		refresh_file "$1" "$f" "$tmp"
	done < <(tree_files "$1")
	grep -qxF -- "$1" "$tmp/paths" ||
		warn "$1 belongs to no patch; add 'file: $1' to the series"
}

refresh_tree() {
	local tmp path

	[ -e "$STATE.id" ] || die "there is no build/linux yet; run 'make vm' first"
	tmp=$(mktemp -d "$BUILD/refresh.XXXXXX")
	# shellcheck disable=SC2064 # the directory of now
	trap "rm -rf '$tmp'" EXIT
	manifest_paths >"$tmp/paths"
	{ cat "$tmp/paths"; modified_files; added_files; } | sort -u >"$tmp/all"
	while read -r path; do
		refresh_path "$path" "$tmp" <&-
	done <"$tmp/all"
	# What is in the repository now has to give the tree that is there.
	(sync_tree) || die "the refreshed files do not give build/linux yet; see above"
}

# Would refresh change anything, were every file written anew?
check_exact() {
	local tmp path f bad=0

	tmp=$(mktemp -d "$BUILD/exact.XXXXXX")
	# shellcheck disable=SC2064 # the directory of now
	trap "rm -rf '$tmp'" EXIT
	while read -r path; do
		while read -r f; do
			export_file "$path" "$f" "$tmp"
			if changes_nothing "$path" "$f" "$tmp"; then
				msg "$f changes nothing"
				bad=1
			elif ! cmp -s "$tmp/$f" "$TOP/$f"; then
				msg "$f is not what refresh writes"
				bad=1
			fi
		done < <(tree_files "$path")
	done < <(manifest_paths)
	return $bad
}

main() {
	local id

	mkdir -p "$BUILD" "$LOGS"
	# a guest asks for the id and should not wait for a build
	[ "${1:-}" = id ] || lock_builds
	case ${1:-} in
	id) source_id ;;
	base)
		id=$(source_id)
		ensure_tree base "$id"
		;;
	patched)
		id=$(source_id)
		ensure_tree base "$id"
		ensure_tree "$SERIES_TREE" "$id"
		sync_tree
		;;
	unedited) [ ! -e "$STATE.id" ] || refuse_edits ;;
	refresh) refresh_tree ;;
	exact) check_exact ;;
	fits)
		ensure_tree base "$(source_id)"
		check_fits
		;;
	*) die "usage: tree.sh id|base|patched|fits|unedited|refresh|exact" ;;
	esac
}

main "$@"; exit
