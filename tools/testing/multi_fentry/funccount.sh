#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# funccount.sh: build the series' funccount and run its tests in a guest with the
# patched kernel; on the base kernel it has to say what it lacks.
# funccount.sh build: only build it, and print where it is.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

OUT=$BUILD/funccount$TAG

build() {
	local cross=() sysroot

	if [ -n "$CROSS" ]; then
		sysroot=$("$WORKSHOP/sysroot.sh")
		cross=(ARCH="$ARCH" CROSS_COMPILE="$CROSS" CC="${CROSS}gcc --sysroot=$sysroot")
	fi
	lock_builds
	"$WORKSHOP/tree.sh" patched
	mkdir -p "$OUT"
	quietly "funccount$TAG" make -C "$BUILD/$SERIES_TREE/tools/bpf/funccount" -j"$JOBS" \
		OUTPUT="$OUT/" CLANG=clang-22 "${cross[@]}" ||
		die "funccount did not build; see build/log/funccount$TAG.log"
	unlock_builds
}

# on <base|patched>: the tests, in a guest of that kernel.
on() {
	local entry base=''

	entry=$("$WORKSHOP/kernel.sh" "$1")
	[ "$1" = patched ] || base=1
	rm -rf "$BUILD/vm-out/funccount-$1$TAG"
	msg "running the tests of funccount on the $1 kernel ..."
	TCG=${TCG:-single} BASE=$base TIMEOUT=${TIMEOUT:-2400} "$WORKSHOP/vm.sh" --name "funccount-$1$TAG" \
		--kernel "$entry/$IMAGE" -- env FUNCCOUNT="$OUT/funccount" \
		KMOD="$entry/test_kmods/bpf_testmod.ko" \
		"$TOP/tools/bpf/funccount/test_funccount.sh"
}

main() {
	local st=0

	build
	if [ "${1:-}" = build ]; then
		echo "$OUT/funccount"
		return
	fi
	on base || st=$?
	on patched || st=$?
	return "$st"
}

main "$@"; exit
