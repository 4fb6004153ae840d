#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# bench.sh: base and patched kernel on the same functions, by the clock and by
# instruction count, the function tracer and kprobe.multi beside them. A table,
# and JSON in build/results. ARGS: for `mfentry bench`.
# bench.sh bars: only what the project promises, as a test.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=mfentry.sh
. "$WORKSHOP/mfentry.sh"

# both <name> <arguments ...>: the same on both kernels, results kept.
both() {
	local which name=$1

	shift
	for which in base patched; do
		msg "measuring on the $which kernel: $name ..."
		mfentry_run "$which" "$name" "$@" --functions "$COMMON" \
			--json "/run/out/$name.json" >"$LOGS/$name-$which.log"
	done
	keep "$name" "$name"
}

# measure <arguments of bench ...>: by the clock, by instructions, and what a
# hit costs in instructions.
measure() {
	export TIMEOUT=${TIMEOUT:-3600}
	both bench bench "$@"
	ICOUNT=1 both icount bench --unit instructions --repeat 1 "$@"
	ICOUNT=1 both hit hit --unit instructions
}

compare() {
	python3 "$WORKSHOP/mfentry/compare.py" --json "$RESULTS/bench.json" "$@" \
		"$RESULTS"/bench-{base,patched}.json "$RESULTS"/icount-{base,patched}.json \
		"$RESULTS"/hit-{base,patched}.json
}

main() {
	x86_only
	get_kernels
	build_mfentry
	common_functions
	case ${1:-} in
	'')
		# shellcheck disable=SC2086 # arguments are words
		measure ${ARGS:-}
		compare
		;;
	bars)
		measure --n all --repeat 1
		compare --bars
		;;
	*) die "usage: bench.sh [bars]" ;;
	esac
}

main "$@"; exit
