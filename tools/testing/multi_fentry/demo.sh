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

main() {
	local which

	x86_only
	get_kernels
	build_mfentry
	for which in patched base; do
		msg "attaching one program to all functions of the $which kernel ..."
		# shellcheck disable=SC2086 # arguments are words
		mfentry_run "$which" demo demo --json /run/out/demo.json ${ARGS:-} \
			>"$LOGS/demo-$which.log"
	done
	keep demo demo
	sed '/most called/,$d' "$LOGS/demo-patched.log"
	echo
	python3 "$WORKSHOP/mfentry/compare.py" ${1:+--bars} \
		"$RESULTS/demo-base.json" "$RESULTS/demo-patched.json"
}

main "$@"; exit
