#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# bench.sh: base and patched kernel on the same functions, by the clock and by
# instruction count, the function tracer and kprobe.multi beside them. A table,
# and JSON, CSV and pictures in build/results. ARGS: for `mfentry bench`.
# bench.sh bars: only what the project promises, as a test.
# bench.sh overlap: many links that overlap, at random and by patterns, by instruction
# count, with bars and a picture.
# bench.sh latency: how late tasks wake up while a program counts all calls, with a bar;
# needs rt-tests. ICOUNT=0: by the clock.
# bench.sh triggers: the selftests' own benchmarks of a hit, by instruction count, with
# a bar.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=mfentry.sh
. "$WORKSHOP/mfentry.sh"

# What a measurement leaves out, by <kernel>-<name>.
declare -A LESS=()

# on_kernel <base|patched> <name> <arguments ...>
on_kernel() {
	# shellcheck disable=SC2086 # arguments are words
	mfentry_run "$1" "$2" "${@:3}" ${LESS[$1-$2]:-} --functions "$COMMON" \
		--json "/run/out/$2.json" >"$LOGS/$2-$1$TAG.log"
}

by_clock() { on_kernel "$1" bench bench "${@:2}"; }

# What attaching costs, and what a hit costs.
by_instructions() {
	local -x ICOUNT=1

	on_kernel "$1" icount bench --unit instructions "${@:2}" --repeat 1
	on_kernel "$1" hit hit --unit instructions
}

# On functions of its own: it is not allowed on all that fentry.multi is.
fexit_by_clock() {
	[ "$1" = patched ] || return 0
	mfentry_run patched fexit bench --fexit --n all --repeat 1 --no-split \
		--json /run/out/fexit.json >"$LOGS/fexit-patched$TAG.log"
}

# From an object to a program that is attached, by a pattern and by ids.
pattern_by_clock() {
	[ "$1" = patched ] || return 0
	mfentry_run patched pattern pattern \
		--json /run/out/pattern.json >"$LOGS/pattern-patched$TAG.log"
}

# How long others wait.
others_by_clock() {
	[ "$1" = patched ] || return 0
	mfentry_run patched others others \
		--json /run/out/others.json >"$LOGS/others-patched$TAG.log"
}

everything() {
	by_clock "$@"
	by_instructions "$@"
	fexit_by_clock "$1"
	pattern_by_clock "$1"
}

# Where base has no multi links, it still tells what a single program costs.
keep_all() {
	[ "${#KERNELS[@]}" = 2 ] || ICOUNT=1 on_kernel base hit hit --unit instructions
	keep bench bench
	keep icount icount
	cp "$BUILD/vm-out/fexit-patched$TAG/fexit.json" "$RESULTS/fexit.json"
	cp "$BUILD/vm-out/pattern-patched$TAG/pattern.json" "$RESULTS/pattern.json"
	cp "$BUILD/vm-out/others-patched$TAG/others.json" "$RESULTS/others.json"
	local KERNELS=(base patched)
	keep hit hit
}

# measure <arguments of bench ...>: what is by the clock with nothing beside it.
measure() {
	msg "measuring by the clock: ${KERNELS[*]} ..."
	one_by_one by_clock "$@"
	msg "measuring by instruction count: ${KERNELS[*]} ..."
	side_by_side by_instructions "$@"
	msg "measuring fexit.multi by the clock: patched ..."
	fexit_by_clock patched
	msg "measuring a start by pattern, by the clock: patched ..."
	pattern_by_clock patched
	msg "measuring how long others wait, by the clock: patched ..."
	others_by_clock patched
	keep_all
}

# The same in half the time: where both kernels have multi links, each has one CPU
# all the time, so that neither ratio by the clock gains. What is of no bar and
# takes base minutes is left out. How long others wait is no ratio of the two: beside
# another guest that is how long QEMU's threads wait for each other.
measure_bars() {
	LESS=([base-bench]=--no-split [patched-bench]=--no-split
		[base-icount]="--no-second --no-split")
	msg "measuring by the clock and by instruction count: ${KERNELS[*]} ..."
	side_by_side everything "$@"
	msg "measuring how long others wait, by the clock: patched ..."
	others_by_clock patched
	keep_all
}

# The links are of all kinds.
overlap_by_instructions() {
	local -x ICOUNT=1

	on_kernel "$1" overlap overlap --unit instructions
	on_kernel "$1" overlap-memory overlap --memory --unit instructions
	on_kernel "$1" patterns overlap --patterns --unit instructions
}

# Three runs of each kernel in turn. Where the clock counts instructions, what else
# runs on this machine does not delay anybody.
measure_latency() {
	local -x ICOUNT=${ICOUNT:-1}
	local run unit=instructions

	[ "$ICOUNT" != 0 ] || unit=ns
	for run in 1 2 3; do
		msg "measuring how late tasks wake up, run $run of 3: ${KERNELS[*]} ..."
		one_by_one on_kernel "latency$run" latency --unit "$unit" "$@"
		keep "latency$run" "latency$run"
	done
}

# What the selftests' bench calls trig-<name>.
TRIGGERS=(kernel-count rawtp tp fentry fentry-multi fentry-multi-all fexit fexit-multi
	fexit-multi-all fsession-multi fsession-multi-all kprobe-multi kretprobe-multi)

# In the guest: a line "<name> <million hits a second>" for each that works there, of
# its best second. In others the kernel frees what the benchmark before it used.
bench_triggers() {
	local name hits

	for name; do
		hits=$(./bench -w1 -d3 -a -p1 --trig-batch-iters 1000 "trig-$name" |
			sed -nE 's/^Iter .* hits +([0-9.]+)M.*/\1/p' | sort -n | tail -n 1)
		[ -z "$hits" ] || echo "$name $hits"
	done
}

# One bench on both kernels.
triggers_by_instructions() {
	local -x ICOUNT=1

	guest_run "$1" triggers bash -c "cd $BENCHMARKS; $(declare -f bench_triggers); "'bench_triggers "$@"' \
		bash "${TRIGGERS[@]}" >"$LOGS/triggers-$1$TAG.log"
	{
		echo "{\"kind\": \"triggers\", \"unit\": \"instructions\", \"machine\": \"$ARCH\", \"hits\": {"
		sed -E 's/(.*) (.*)/"\1": \2,/; $s/,$//' "$LOGS/triggers-$1$TAG.log"
		echo "}}"
	} >"$BUILD/vm-out/triggers-$1$TAG/triggers.json"
}

triggers() {
	BENCHMARKS=$("$WORKSHOP/selftests-build.sh" patched bench)
	msg "running ${#TRIGGERS[@]} benchmarks of the selftests on: ${KERNELS[*]} ..."
	side_by_side triggers_by_instructions
	keep triggers triggers
	compare_results --bars "--json=$RESULTS/triggers.json" triggers
}

compare() {
	compare_results "--json=$RESULTS/bench.json" "--fexit=$RESULTS/fexit.json" \
		"--pattern=$RESULTS/pattern.json" "--others=$RESULTS/others.json" \
		"$@" bench icount hit
}

main() {
	local repeat=1

	case ${1:-} in
	'' | overlap) "$WORKSHOP/deps.sh" plot ;;
	latency) x86_only "$1"; "$WORKSHOP/deps.sh" latency ;;
	triggers) x86_only "$1" ;;
	esac
	export TIMEOUT=${TIMEOUT:-3600}
	get_kernels base patched
	if [ "${1:-}" = triggers ]; then
		triggers
		return
	fi
	build_mfentry
	[ "${1:-}" != overlap ] || LIST=(--fexit)
	common_functions
	case ${1:-} in
	'')
		# shellcheck disable=SC2086 # arguments are words
		measure ${ARGS:-}
		compare
		"$WORKSHOP/plot.sh" attach memory hit others
		# an emulator has no branch prediction
		[ "$ARCH" = x86_64 ] || exit 0
		echo "the trampolines' code on this machine's processor, without a guest:"
		"$WORKSHOP/unit.sh" cost
		;;
	bars)
		# once takes a minute where base takes part; what stands in for it
		# there, the function tracer, takes half a second
		[ "${#KERNELS[@]}" = 2 ] || repeat=5
		measure_bars --n all --repeat "$repeat"
		compare --bars
		;;
	overlap)
		side_by_side overlap_by_instructions
		keep overlap overlap
		keep overlap-memory overlap-memory
		keep patterns patterns
		"$WORKSHOP/plot.sh" overlap
		compare_results --bars overlap patterns
		;;
	latency)
		# shellcheck disable=SC2086 # arguments are words
		measure_latency ${ARGS:-}
		compare_results --bars "--json=$RESULTS/latency.json" latency{1,2,3}
		;;
	*) die "usage: bench.sh [bars|overlap|latency|triggers]" ;;
	esac
}

main "$@"; exit
