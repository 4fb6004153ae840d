#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# selftests-build.sh base|patched: print the cache entry that holds test_progs
# with the tests that concern trampolines; build it when there is none. ARCH=arm64:
# built for another architecture, with the headers and libraries of sysroot.sh.
# selftests-build.sh base|patched bench: the same of the benchmarks.
#
# The whole of test_progs takes half an hour to build. A copy of its directory
# that is pruned to the tests named, with all around it symbolic links to the
# kernel tree, takes half a minute with the kernel's own Makefile.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=manifest.sh
. "$WORKSHOP/manifest.sh"

BPF=tools/testing/selftests/bpf
KEEP=8
CLANG_VERSION=22

listed_tests() { grep -vE '^(#|$)' "$WORKSHOP/selftests.list"; }

series_tests() {
	manifest_paths | sed -n "s|^$BPF/prog_tests/\(.*\)\.c\$|\1|p"
}

tests_of() {
	[ "$WHAT" = test_progs ] || return 0
	{
		listed_tests
		[ "$1" = base ] || series_tests
	} | sort -u
}

# All that goes into the build. Of the kernel it is the types that count, so
# that a change of its code alone keeps the entry.
ingredients() {
	echo "source $("$WORKSHOP/tree.sh" id)"
	echo "btf $(sha256sum <"$2/vmlinux.btf")"
	echo "clang $(clang-$CLANG_VERSION --version | head -n 1) / $("${CROSS}gcc" --version | head -n 1)"
	[ -z "$SYSROOT" ] || echo "sysroot $(basename "$SYSROOT")"
	echo "recipe $(cat "$WORKSHOP/selftests-build.sh" "$WORKSHOP/selftests.list" | key_of)"
	[ "$1" = patched ] || return 0
	selftest_paths | hashes_of
}

link_all() {
	local f

	mkdir -p "$2"
	for f in "$1"/* "$1"/.[!.]*; do
		[ ! -e "$f" ] || ln -sfn "$f" "$2/$(basename "$f")"
	done
}

# link_but <from> <to> <name>: all but one, which becomes a directory.
link_but() {
	link_all "$1" "$2"
	rm "$2/$3"
	mkdir "$2/$3"
}

# The words of a variable of the selftests' Makefile.
make_words() {
	awk -v var="$2" '
		{ cont = sub(/\\$/, ""); line = line $0 }
		cont { next }
		line ~ "^" var "[ \t]*:?=" { sub(/^[^=]*=/, "", line); print line }
		{ line = "" }' "$1/Makefile" | tr -s ' \t' '\n' | grep . || true
}

# Names, without suffix, of the skeletons and objects that the kept C files use.
used_objects() {
	grep -hoE '"[./]*[A-Za-z0-9_]+\.((l|sub)?skel\.h|bpf\.o)"' "$1"/*.[ch] "$1/$SOURCES"/*.c |
		sed -E 's/^"[.\/]*//; s/\..*//' | sort -u
}

# The program files that these objects are made of; linked ones have several.
used_progs() {
	local name deps

	used_objects "$1" | while read -r name; do
		deps=$(make_words "$1" "$name.skel.h-deps")
		if [ -n "$deps" ]; then
			tr " " "\n" <<<"${deps//.bpf.o/.c}"
		else
			echo "$name.c"
		fi
	done | sort -u
}

prune() {
	local from=$1 to=$2 which=$3 t p

	rsync -a --exclude=/prog_tests --exclude=/progs --exclude=/benchs --exclude=/verifier \
		--exclude=/map_tests --exclude='*.o' --exclude='*.ko' --exclude=/tools "$from/" "$to/"
	mkdir -p "$to/prog_tests" "$to/progs"
	cp -p "$from"/prog_tests/*.h "$to/prog_tests/"
	cp -p "$from"/progs/*.h "$to/progs/"
	if [ "$WHAT" = bench ]; then
		cp -rp "$from/$SOURCES" "$to/"
		# the Makefile fails where there is none
		: >"$to/prog_tests/none.c"
	fi
	while read -r t; do
		[ -e "$from/prog_tests/$t.c" ] || die "there is no selftest prog_tests/$t.c"
		cp -p "$from/prog_tests/$t.c" "$to/prog_tests/"
	done < <(tests_of "$which")
	while read -r p; do
		[ ! -e "$from/progs/$p" ] || cp -p "$from/progs/$p" "$to/progs/"
	done < <(used_progs "$to")
}

# The Makefile lists light and linked skeletons by name and wants all of them.
only_present() {
	local w

	make_words "$1" "$2" | while read -r w; do
		case $w in
		*.skel.h) used_objects "$1" | grep -qxF -- "${w%.skel.h}" && echo "$w" ;;
		*) [ -e "$1/progs/$w" ] && echo "$w" ;;
		esac || true
	done | tr '\n' ' '
}

# What the selftests' Makefile has to be told to build for another machine. It
# runs clang for BPF programs, too, which have no use for a gcc.
cross_vars() {
	[ -n "$CROSS" ] || return 0
	CLANG+=" --sysroot=$SYSROOT -Wno-unused-command-line-argument"
	CLANG+=" --gcc-install-dir=$(dirname "$("${CROSS}gcc" -print-libgcc-file-name)")"
	CC+=" --sysroot=$SYSROOT"
	VARS=(ARCH="$ARCH" CROSS_COMPILE="$CROSS")
}

run_make() {
	local dir=$1 kernel=$2 CLANG=clang-$CLANG_VERSION CC="ccache ${CROSS}gcc" VARS=()

	cross_vars
	make -C "$dir" -j"$JOBS" "$WHAT" "${VARS[@]}" \
		BPF_STRICT_BUILD=0 SKIP_DOCS=1 SKIP_LLVM=1 \
		CLANG="$CLANG" LLC="llc-$CLANG_VERSION" \
		LLVM_STRIP="llvm-strip-$CLANG_VERSION" OBJCOPY="${CROSS}objcopy" \
		CC="$CC" HOSTCC="ccache gcc" TEST_KMODS= \
		VMLINUX_BTF="$kernel/vmlinux" \
		LINKED_SKELS="$(only_present "$dir" LINKED_SKELS)" \
		LSKELS="$(only_present "$dir" LSKELS)" \
		LSKELS_SIGNED="$(only_present "$dir" LSKELS_SIGNED)" \
		LSKELS_EXTRA="$(only_present "$dir" LSKELS_EXTRA)"
}

# Permissive builds drop a test that does not compile; here none may be.
check_built() {
	local which=$1 dir=$2 t

	[ -x "$dir/$WHAT" ] || die "$WHAT did not build for $which; see build/log/$NAME.log"
	while read -r t; do
		[ -e "$dir/$t.test.o" ] ||
			die "the selftest $t did not compile for $which; see build/log/$NAME.log"
	done < <(tests_of "$which")
}

build() {
	local which=$1 kernel=$2 farm=$BUILD/$NAME tree

	tree=$BUILD/$SERIES_TREE
	[ "$which" = patched ] || tree=$BUILD/base
	need_space "$BUILD" 2000 "the selftests"
	rm -rf "$farm"
	link_but "$tree" "$farm" tools
	rm "$farm/include"
	link_all "$tree/include" "$farm/include"
	rm -rf "$farm/include/generated"
	install -D -m 644 "$kernel/autoconf.h" "$farm/include/generated/autoconf.h"
	link_but "$tree/tools" "$farm/tools" testing
	link_but "$tree/tools/testing" "$farm/tools/testing" selftests
	link_but "$tree/tools/testing/selftests" "$farm/tools/testing/selftests" bpf
	prune "$tree/$BPF" "$farm/$BPF" "$which"
	msg "building the $which selftests' $WHAT${TAG:+ for $ARCH} ..."
	quietly "$NAME" run_make "$farm/$BPF" "$kernel" ||
		die "the $which selftests' $WHAT did not build; see build/log/$NAME.log"
	check_built "$which" "$farm/$BPF"
}

store() {
	local dir=$BUILD/$NAME/$BPF tmp=$2.tmp.$$ f

	mkdir -p "$(dirname "$2")"
	need_space "$CACHE" 500 "the selftests' cache"
	rm -rf "$tmp"
	mkdir "$tmp"
	for f in "$WHAT" urandom_read liburandom_read.so uprobe_multi sign-file \
		ima_setup.sh verify_sig_setup.sh bpftool; do
		[ ! -e "$dir/$f" ] || cp -L "$dir/$f" "$tmp/"
	done
	cp "$dir"/*.bpf.o "$tmp/"
	# The whole bpftool; the one beside test_progs knows no maps or programs.
	install -D "$dir/tools/sbin/bpftool" "$tmp/tools/sbin/bpftool"
	tests_of "$1" | while read -r f; do
		sed -nE 's/^void (serial_)?test_([a-zA-Z0-9_]+)\((void)?\).*/\2/p' "$dir/prog_tests/$f.c"
	done | sort >"$tmp/tests"
	ingredients "$1" "$3" >"$tmp/key.txt"
	cache_commit "$tmp" "$2"
	cache_prune "$(dirname "$2")" "$KEEP"
}

main() {
	local which=${1:-} kernel entry text

	WHAT=${2:-test_progs}
	# a step of the series that has nothing of the tests yet runs those of base
	if [ "$which" = patched ] && [ -n "$STEP" ] && [ -z "$(selftest_paths)" ]; then
		which=base
		export STEP=
	fi
	case $which-$WHAT in
	base-test_progs | patched-test_progs) SHELF=selftests SOURCES=prog_tests ;;
	base-bench | patched-bench) SHELF=benchmarks SOURCES=benchs ;;
	*) die "usage: selftests-build.sh base|patched [bench]" ;;
	esac
	NAME=$SHELF-$which$TAG
	kernel=$("$WORKSHOP/kernel.sh" "$which")
	SYSROOT=
	[ -z "$CROSS" ] || SYSROOT=$("$WORKSHOP/sysroot.sh")
	text=$(ingredients "$which" "$kernel")
	entry=$CACHE/$SHELF$TAG/$which-$(key_of <<<"$text")
	if [ ! -d "$entry" ]; then
		lock_builds
		"$WORKSHOP/tree.sh" "$which"
		build "$which" "$kernel"
		store "$which" "$entry" "$kernel"
	fi
	touch "$entry"
	echo "$entry"
}

main "$@"; exit
