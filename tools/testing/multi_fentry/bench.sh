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

# measure <arguments ...>: both kernels, by the clock and by instructions.
measure() {
	local which

	for which in base patched; do
		msg "measuring the $which kernel by the clock ..."
		TIMEOUT=1800 mfentry_run "$which" bench bench --functions "$COMMON" \
			--json /run/out/bench.json "$@"
		msg "measuring the $which kernel by instruction count ..."
		ICOUNT=1 TIMEOUT=3600 mfentry_run "$which" icount bench --functions "$COMMON" \
			--unit instructions --repeat 1 --json /run/out/icount.json "$@"
	done
	keep bench bench
	keep icount icount
}

main() {
	x86_only
	"$WORKSHOP/kernel.sh" base >/dev/null
	"$WORKSHOP/kernel.sh" patched >/dev/null
	build_mfentry
	common_functions
	case ${1:-} in
	'')
		# shellcheck disable=SC2086 # arguments are words
		measure ${ARGS:-}
		python3 "$WORKSHOP/mfentry/compare.py" "$RESULTS"/bench-{base,patched}.json
		python3 "$WORKSHOP/mfentry/compare.py" "$RESULTS"/icount-{base,patched}.json
		;;
	bars)
		measure --n all
		python3 "$WORKSHOP/mfentry/compare.py" --bars \
			"$RESULTS"/bench-{base,patched}.json "$RESULTS"/icount-{base,patched}.json
		;;
	*) die "usage: bench.sh [bars]" ;;
	esac
}

main "$@"; exit
