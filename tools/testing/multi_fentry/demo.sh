#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# funccount on every function of a running kernel, as soon as there is one; then what
# that costs, and the same on the base kernel beside it. ARGS: for `mfentry demo`.
# demo.sh bars: as a test of what it should show.
# demo.sh depth: as a test with call depth tracking, for which x86-64 trampolines
# count: a count that is not where it belongs takes the kernel down.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=mfentry.sh
. "$WORKSHOP/mfentry.sh"

# What the series is for: which functions run, and how often. The guest reads files
# meanwhile.
count_all() {
	local tool

	get_kernels patched
	tool=$("$WORKSHOP/funccount.sh" build)
	# shellcheck disable=SC2016 # the guest's shell
	guest_run patched first sh -c \
		'while :; do find /usr/share; done >/dev/null 2>&1 & "$0" -d 5 -n 20 "*"' "$tool"
	echo
}

on_kernel() {
	msg "attaching one program to all functions of the $1 kernel ..."
	# shellcheck disable=SC2086 # arguments are words
	mfentry_run "$1" demo demo --json /run/out/demo.json ${ARGS:-} >"$LOGS/demo-$1$TAG.log"
}

with_call_depth() {
	local -x CPU=Skylake-Server-v4 APPEND="retbleed=stuff spectre_v2=retpoline"

	mfentry_run patched depth demo --seconds 1 --json /run/out/demo.json >"$LOGS/depth.log"
	grep -q 'RETBleed: Mitigation: Stuffing' "$BUILD/vm-out/depth-patched/console.log" ||
		die "the kernel does not track the depth of calls on $CPU"
	keep depth demo
	compare_results --bars depth
}

main() {
	local first

	if [ "${1:-}" = depth ]; then
		x86_only "call depth tracking"
		KERNELS=(patched)
	fi
	[ -n "${1:-}" ] || count_all
	first=$SECONDS
	get_kernels "${KERNELS[@]}"
	[ -n "${1:-}" ] || msg "the table above was there after $first s of $SECONDS s for all kernels"
	build_mfentry
	if [ "${1:-}" = depth ]; then
		with_call_depth
		return
	fi
	# as a test it is not to be looked at, but to end soon
	if [ "${1:-}" = bars ]; then
		side_by_side on_kernel
	else
		one_by_one on_kernel
	fi
	keep demo demo
	sed '/most called/,$d' "$LOGS/demo-patched$TAG.log"
	echo
	compare_results ${1:+--bars} demo
}

main "$@"; exit
