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

# on_kernel <base|patched> <name> <arguments ...>
on_kernel() {
	mfentry_run "$1" "$2" "${@:3}" --functions "$COMMON" --json "/run/out/$2.json" \
		>"$LOGS/$2-$1$TAG.log"
}

# What a hit costs, on base as well where that has single programs only.
measure_hits() {
	local KERNELS=(base patched)

	ICOUNT=1 side_by_side on_kernel hit hit --unit instructions
	keep hit hit
}

# measure <arguments of bench ...>: by the clock, one after the other; by
# instructions, which do not depend on what else runs; and what a hit costs.
measure() {
	export TIMEOUT=${TIMEOUT:-3600}
	msg "measuring by the clock: ${KERNELS[*]} ..."
	one_by_one on_kernel bench bench "$@"
	msg "measuring by instruction count: ${KERNELS[*]} ..."
	ICOUNT=1 side_by_side on_kernel icount bench --unit instructions "$@" --repeat 1
	keep bench bench
	keep icount icount
	measure_hits
	msg "measuring fexit.multi by the clock: patched ..."
	mfentry_run patched fexit bench --fexit --n all --repeat 1 --json /run/out/fexit.json \
		>"$LOGS/fexit-patched$TAG.log"
	cp "$BUILD/vm-out/fexit-patched$TAG/fexit.json" "$RESULTS/fexit.json"
}

compare() {
	compare_results "--json=$RESULTS/bench.json" "--fexit=$RESULTS/fexit.json" "$@" \
		bench icount hit
}

main() {
	local repeat=1

	get_kernels base patched
	build_mfentry
	common_functions
	case ${1:-} in
	'')
		# shellcheck disable=SC2086 # arguments are words
		measure ${ARGS:-}
		compare
		# their unit test is x86's, so far
		[ "$ARCH" = x86_64 ] || exit 0
		echo "the trampolines' code on this machine's processor, without a guest:"
		"$WORKSHOP/unit.sh" cost
		;;
	bars)
		# once takes a minute where base takes part; what stands in for it
		# there, the function tracer, takes half a second
		[ "${#KERNELS[@]}" = 2 ] || repeat=5
		measure --n all --repeat "$repeat"
		compare --bars
		;;
	*) die "usage: bench.sh [bars]" ;;
	esac
}

main "$@"; exit
