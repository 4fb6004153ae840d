#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# One program on every function of a running kernel, counting calls; the same
# on the base kernel beside it. ARGS: for `mfentry demo`.
# demo.sh bars: as a test of what it should show.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=mfentry.sh
. "$WORKSHOP/mfentry.sh"

on_kernel() {
	msg "attaching one program to all functions of the $1 kernel ..."
	# shellcheck disable=SC2086 # arguments are words
	mfentry_run "$1" demo demo --json /run/out/demo.json ${ARGS:-} >"$LOGS/demo-$1$TAG.log"
}

main() {
	get_kernels "${KERNELS[@]}"
	build_mfentry
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
