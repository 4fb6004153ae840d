#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# What can be tested in user space: the set engine against its model, under ASan
# and UBSan; the JIT's trampolines on this machine's processor.
# unit.sh cost [...]: what calls of traced functions cost here; fails if one by a
# shared trampoline costs more than it may.
# ARGS: passed to the engine's test.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

jit() {
	local tree cross=() run=()

	[ -z "$CROSS" ] || cross=(ARCH="$ARCH" CROSS_COMPILE="$CROSS") run=(qemu-aarch64)
	tree=$("$WORKSHOP/kernel.sh" config patched)
	mkdir -p "$BUILD/unit"
	(
		lock_builds
		quietly unit-jit make -C "$TOP/tools/testing/bpf_tramp_jit" LINUX="$tree" \
			OUTPUT="$BUILD/unit/jit$TAG/" KCC="ccache ${CROSS}gcc" "${cross[@]}"
	) || die "the test of the JIT did not build; see build/log/unit-jit.log"
	"${run[@]}" "$BUILD/unit/jit$TAG/bpf_tramp_jit" "$@"
}

engine() {
	(lock_builds; "$WORKSHOP/tree.sh" base)
	mkdir -p "$BUILD/unit"
	make --no-print-directory -C "$TOP/tools/testing/bpf_tramp_set" \
		LINUX="$BUILD/base" OUTPUT="$BUILD/unit/" ARGS="${ARGS:-}" run
}

"$WORKSHOP/deps.sh"
case ${1:-} in
cost)
	x86_only "what calls cost"
	shift
	jit --cost "$@"
	;;
*)
	# the sets are no architecture's
	[ -n "$TAG" ] || engine
	jit
	;;
esac
