#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# kernel.sh <which>: print the cache entry that holds this kernel, with its
# modules and the selftests' modules; build it when there is none. Which:
#   base      as it comes
#   patched   with the series
#   debug, hardened, rt, ...
#             patched, with another configuration: see configs/README
# ARCH=arm64, ARCH=riscv: for another architecture, in trees of their own.
# kernel.sh tree <which>: print the tree, built up to date.
# kernel.sh config <which>: print the tree, only configured.
# kernel.sh id <which>: print what names the cache entry, and build nothing.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=manifest.sh
. "$WORKSHOP/manifest.sh"

KMODS=tools/testing/selftests/bpf/test_kmods
KEEP=8

# The compiler's cache serves all checkouts: nothing of the directory, the
# time or the user goes into what is compiled.
export CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-10G}
# But no KBUILD_BUILD_TIMESTAMP: with it the kernel's make has pahole work on
# one CPU. On several it writes BTF as many kernels have it, with some functions
# under two ids, which the duplicate_ids selftest needs.
export KBUILD_BUILD_USER=multi KBUILD_BUILD_HOST=fentry

# Paths of the series that the kernel or its modules are made of.
kernel_paths() {
	manifest_paths | grep -vE '^(Documentation/|MAINTAINERS$|tools/bpf/(bpftool|funccount)/|tools/bpf/Makefile$|tools/testing/)' |
		awk -v own="arch/$SRCARCH/" '!/^arch\// || index($0, own) == 1' || true
	manifest_paths | grep "^$KMODS/" || true
}

tools_of() {
	local clang

	clang=$(config_says "$1" clang)
	if [ -n "$clang" ]; then
		echo "$("clang-$clang" --version | head -n 1) / $("ld.lld-$clang" --version | head -n 1)"
	else
		echo "$("${CROSS}gcc" --version | head -n 1) / $("${CROSS}ld" --version | head -n 1)"
	fi
}

# All that goes into a build, in words; its hash names the cache entry.
ingredients() {
	echo "source $("$WORKSHOP/tree.sh" id)"
	echo "arch $ARCH"
	echo "pahole -j$JOBS"
	echo "config $(config_of "$1" | sha256sum)"
	echo "cc $(tools_of "$1") / pahole $(pahole --version)"
	[ "$1" != base ] || return 0
	kernel_paths | hashes_of
}

# Whether a kernel is made of the base or of the patched sources.
series_of() { if [ "$1" = base ]; then echo base; else echo patched; fi; }

tree_of() { echo "$BUILD/${1/patched/linux}$TAG"; }

# The architecture's options with those of the kernel's own fragment, which count
# where both name one. Its Kconfig and patch are part of the configuration, as a
# comment.
config_of() {
	local common=$WORKSHOP/configs/$ARCH.config own=$WORKSHOP/configs/$1 f

	if [ ! -e "$own.config" ]; then
		cat "$common"
		return
	fi
	grep -vF -f <(sed -n 's/^\(CONFIG_[A-Za-z0-9_]*=\).*/\1/p' "$own.config") "$common"
	grep '^CONFIG_' "$own.config"
	for f in "$own.Kconfig" $(patches_of "$1"); do
		[ ! -e "$f" ] || sed 's/^/# /' "$f"
	done
}

# patches_of <which>: what only guests need, and is no part of the series.
patches_of() {
	local name

	for name in $(config_says "$1" patch) "$1"; do
		[ ! -e "$WORKSHOP/configs/$name.patch" ] || echo "$WORKSHOP/configs/$name.patch"
	done
}

# kconfig_of <which>: the kernel's Kconfig with that of the configuration before
# it, which may give a prompt to a symbol that has none.
kconfig_of() {
	sed "/^mainmenu/r $WORKSHOP/configs/$1.Kconfig" "$(tree_of "$1")/Kconfig"
}

has_kconfig() { [ -e "$WORKSHOP/configs/$1.Kconfig" ]; }

# source_files <base|linux|step>: what that tree is made of, without what was built
# in it. Its list of files lacks the links, which are older than its id.
source_files() {
	cat "$BUILD/.$1.files"
	(cd "$BUILD/$1" && find . -type l ! -cnewer "$BUILD/.$1.id" -printf '%P\n')
	[ "$1" = base ] || manifest_paths
}

# The sources of build/base, build/linux or build/step, to be built with another
# configuration. What is copied has the date of the copy: a build that ran
# meanwhile has an older one. What the series no longer names goes.
copy_tree() {
	local from=$SERIES_TREE to state space=6000

	[ "$1" != base ] || from=base
	[ "$1" != debug ] || space=9000
	to=$(tree_of "$1")
	state=$BUILD/.$(basename "$to")
	need_space "$BUILD" "$space" "another copy of the kernel tree with its build"
	if ! cmp -s "$BUILD/.$from.id" "$state.id"; then
		[ ! -e "$state.id" ] || rm -rf "$to"
		cp "$BUILD/.$from.id" "$state.id"
	fi
	mkdir -p "$to"
	source_files "$from" | sort -u >"$state.new"
	{ cat "$state.copied" 2>/dev/null || true; cat "$state.new"; } | sort -u |
		rsync -rlp --update --omit-dir-times --delete-missing-args \
			--files-from=- "$BUILD/$from/" "$to/"
	mv "$state.new" "$state.copied"
	own_patches "$1" "$to"
}

# own_patches <which> <tree>
own_patches() {
	local patch

	for patch in $(patches_of "$1"); do
		! patch -d "$2" -p1 -R -s -f --dry-run -i "$patch" >/dev/null || continue
		patch -d "$2" -p1 -s -F0 -i "$patch" || die "$patch does not apply"
	done
}

# Trees that are configured for something else than tree.sh's two.
is_copy() { case $1 in base | patched) [ -n "$TAG" ] ;; esac; }

# kmake <which> <arguments ...>: the kernel's make in its tree.
kmake() {
	local which=$1 clang args=(HOSTCC="ccache gcc")

	shift
	clang=$(config_says "$which" clang)
	[ -z "$CROSS" ] || args+=(ARCH="$ARCH" CROSS_COMPILE="$CROSS")
	! has_kconfig "$which" || args+=(KBUILD_KCONFIG="$BUILD/$which$TAG.Kconfig")
	if [ -n "$clang" ]; then
		args+=(LLVM="-$clang" CC="ccache clang-$clang")
	else
		args+=(CC="ccache ${CROSS}gcc")
	fi
	make -C "$(tree_of "$which")" "${args[@]}" "$@"
}

# A fragment that names an unknown or unmet option would silently give a
# kernel on which tests are skipped.
check_config() {
	local line name missing=()

	while read -r line; do
		name=${line%%=*}
		if [ "${line#*=}" = n ]; then
			grep -q "^$name=" "$1/.config" && missing+=("$line")
		elif ! grep -qxF -- "$line" "$1/.config"; then
			missing+=("$line")
		fi
	done < <(grep '^CONFIG_' "$2")
	[ "${#missing[@]}" -eq 0 ] ||
		die "the kernel's configuration did not take: ${missing[*]} (configs/)"
}

# One line a minute, so that a build of ten minutes does not look like a hang.
progress() {
	local start=$SECONDS

	while sleep 60 && kill -0 $$ 2>/dev/null; do
		msg "  ... $1: $(wc -l <"$2") steps in $(((SECONDS - start) / 60)) min"
	done
}

configure() {
	local which=$1 tree config=$BUILD/$1$TAG.config

	tree=$(tree_of "$which")
	config_of "$which" >"$config"
	if ! have_clean_config "$tree" "$config"; then
		! has_kconfig "$which" || kconfig_of "$which" >"$BUILD/$which$TAG.Kconfig"
		quietly "config-$which$TAG" kmake "$which" KCONFIG_ALLCONFIG="$config" allnoconfig ||
			die "the configuration of the $which kernel failed"
		sha256sum <"$config" >"$tree/.mf-config"
	fi
	check_config "$tree" "$config"
}

build_tree() {
	local which=$1 tree ticker st=0 name=kernel-$1$TAG

	tree=$(tree_of "$which")
	need_space "$BUILD" 4000 "a kernel build"
	configure "$which"
	msg "building the $which kernel${TAG:+ of $ARCH} (about 13 minutes on 2 CPUs when nothing of it is in ccache) ..."
	progress "$which kernel" "$LOGS/$name.log" 9>&- &
	ticker=$!
	quietly "$name" kmake "$which" -j"$JOBS" all || st=1
	kill "$ticker" 2>/dev/null || true
	wait "$ticker" 2>/dev/null || true
	[ "$st" = 0 ] || die "the $which kernel did not build; see build/log/$name.log"
}

have_clean_config() {
	[ -e "$1/.config" ] && sha256sum <"$2" | cmp -s - "$1/.mf-config"
}

# The selftests' modules, outside of the tree: their products stay out of it.
build_kmods() {
	local which=$1 tree dir=$BUILD/test_kmods-$1$TAG

	tree=$(tree_of "$which")
	mkdir -p "$dir"
	rsync -a --checksum "$tree/$KMODS/" "$dir/"
	quietly "kmods-$which$TAG" kmake "$which" -j"$JOBS" M="$dir" modules ||
		die "the selftests' modules did not build; see build/log/kmods-$which$TAG.log"
}

# Kernels that are built once in a while push out none of those of every day.
shelf_of() {
	case $1 in
	base | patched | debug | hardened) echo kernels ;;
	*) echo kernels-other ;;
	esac
}

# store <which> <entry>
store() {
	local tree tmp

	tree=$(tree_of "$1")
	need_space "$CACHE" 300 "the kernel cache"
	mkdir -p "$(dirname "$2")"
	tmp=$2.tmp.$$
	rm -rf "$tmp"
	mkdir -p "$tmp/modules" "$tmp/test_kmods"
	cp "$tree/arch/$SRCARCH/boot/$IMAGE" "$tree/System.map" "$tree/Module.symvers" "$tmp/"
	cp "$tree/.config" "$tmp/config"
	cp "$tree/include/generated/autoconf.h" "$tmp/"
	# BTF stays; DWARF is nine tenths of the file and nobody here reads it.
	"${CROSS}objcopy" --strip-debug "$tree/vmlinux" "$tmp/vmlinux"
	"${CROSS}objcopy" -O binary --only-section=.BTF "$tree/vmlinux" "$tmp/vmlinux.btf"
	find "$tree/samples/livepatch" -name '*.ko' -exec cp {} "$tmp/modules/" \;
	cp "$BUILD/test_kmods-$1$TAG/"*.ko "$tmp/test_kmods/"
	ingredients "$1" >"$tmp/key.txt"
	cache_commit "$tmp" "$2"
	cache_prune "$(dirname "$2")" "$KEEP"
}

main() {
	local want=entry which entry text

	case ${1:-} in
	tree | config | id) want=$1; shift ;;
	esac
	which=${1:-}
	case $which in
	base | patched) ;;
	*)
		[ -n "$(config_says "$which" boot)" ] ||
			die "usage: kernel.sh [tree|config|id] base|patched|debug|..., see configs/README"
		boots_of "$which" | grep -q '^' ||
			die "the $which kernel: not for ARCH=$ARCH, see configs/$which.config"
		;;
	esac
	"$WORKSHOP/deps.sh" "$which"
	text=$(ingredients "$which")
	if [ "$want" = id ]; then
		key_of <<<"$text"
		return
	fi
	entry=$CACHE/$(shelf_of "$which")$TAG/$which-$(key_of <<<"$text")
	# A patched tree that is there may hold edits that are in no file of the
	# repository yet: booting without them would mislead.
	if [ "$want" != entry ] || [ ! -d "$entry" ] ||
	   { [ "$which" != base ] && [ -d "$BUILD/$SERIES_TREE" ]; }; then
		lock_builds
		"$WORKSHOP/tree.sh" "$(series_of "$which")"
	fi
	if is_copy "$which" && { [ "$want" != entry ] || [ ! -d "$entry" ]; }; then
		copy_tree "$which"
	fi
	if [ "$want" = config ]; then
		configure "$which"
		tree_of "$which"
		return
	fi
	if [ "$want" = tree ] || [ ! -d "$entry" ]; then
		build_tree "$which"
		if [ ! -d "$entry" ]; then
			build_kmods "$which"
			# What was edited meanwhile may or may not be in the image.
			[ "$which" = base ] || "$WORKSHOP/tree.sh" unedited
			[ "$(ingredients "$which")" = "$text" ] ||
				die "files of the series changed during the build; run it again"
			store "$which" "$entry"
		fi
	fi
	touch "$entry"
	ln -sfn "$entry" "$BUILD/kernel-$which$TAG"
	if [ "$want" = tree ]; then tree_of "$which"; else echo "$entry"; fi
}

main "$@"; exit
