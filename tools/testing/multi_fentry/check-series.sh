#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Each patch of the series by itself, in order: its size, checkpatch, and whether
# the kernel with it and those before it builds, boots and passes the selftests of
# trampolines. Ends with a table and "N passed, M failed".
# What has passed is not run again, so that a run that was stopped goes on; nor is
# what an earlier patch has run, as many change nothing for an architecture.
# STEPS='1 5-9': only these patches. ARCHES='x86_64': only on these architectures;
# ARCHES='': nothing is built. BOOT=0: nothing is booted. TESTS='...': the selftests
# beside those that the series adds. AGAIN=1: what has passed runs again.
# What a step said is in build/log/check-series-<step>.log.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=manifest.sh
. "$WORKSHOP/manifest.sh"
# shellcheck disable=SC2034 # used by verdict.sh
CHECK=check-series
# shellcheck source=verdict.sh
. "$WORKSHOP/verdict.sh"

STEPS=${STEPS:-1-$(manifest_count)}
ARCHES=${ARCHES-x86_64 arm64}
BOOT=${BOOT:-1}
# A minute in a guest. What attaches to all functions is not among them.
TESTS=${TESTS:-bpf_cookie fentry_fexit fentry_test fexit_bpf2bpf fexit_sleep fexit_test
	fsession_test get_func_args_test get_func_ip_test livepatch_trampoline modify_return
	module_attach recursion tracing_multi_attach_rollback tracing_multi_test
	tracing_struct tramp_prog_detach trampoline_count}
# Changed lines of a patch, outside of tools/ and Documentation/.
MAX_LINES=400

# What became of each step, by "<step> <column>".
declare -A CELL=()
# An empty file for all that was built, booted and tested without a failure.
HISTORY=$CACHE/check-series
RUN_START=$(mktemp)
trap 'rm -f "$RUN_START"' EXIT

# selected_steps: the numbers that STEPS names, in order.
selected_steps() {
	local s n

	for s in $STEPS; do
		[[ $s =~ ^[0-9]+(-[0-9]+)?$ ]] || die "STEPS='$STEPS': neither a number nor a range: $s"
		seq "${s%-*}" "${s#*-}"
	done | sort -nu | while read -r n; do
		if [ "$n" -lt 1 ] || [ "$n" -gt "$(manifest_count)" ]; then
			die "STEPS='$STEPS': there are patches 1 to $(manifest_count)"
		fi
		echo "$n"
	done
}

# cell <step> <column> <text>: in a column of several architectures one after the
# other.
cell() { CELL[$1 $2]=${CELL[$1 $2]:+${CELL[$1 $2]}/}$3; }

# test_cell <step> <column> <name> <command ...>
test_cell() {
	if step "$1 $3" "${@:4}"; then
		cell "$1" "$2" ok
	else
		cell "$1" "$2" FAIL
		return 1
	fi
}

# not_run <step> <arch> <column ...>
not_run() {
	local column

	for column in "${@:3}"; do
		cell "$1" "$column" -
		skipped "$1 ${2:+$2 }$column"
	done
}

patch_of() { printf '%s\n' "$BUILD/series/$(printf %04d "$1")"-*.patch; }

# Changed lines of the kernel.
lines_of() {
	git -C "$TOP" apply --numstat "$(patch_of "$1")" |
		awk '$3 !~ /^(tools|Documentation)\// { n += $1 + $2 } END { print n + 0 }'
}

check_lines() {
	local lines

	lines=$(lines_of "$1")
	if [ "$lines" -le "$MAX_LINES" ]; then
		cell "$1" lines "$lines"
		verdict ok "$1 lines"
	else
		cell "$1" lines "$lines!"
		verdict FAIL "$1 lines: $lines, more than $MAX_LINES"
	fi
}

# The log is that of series.sh.
checkpatch_of() {
	! grep -E "^$(printf %04d "$1"): .*(ERROR|WARNING|CHECK):" "$LOGS/checkpatch.log"
}

# What a step's kernel, its warnings, its tests and the guest come of.
made_of() {
	"$WORKSHOP/kernel.sh" id patched
	"$WORKSHOP/warnings.sh" sources
	selftest_paths | hashes_of
	(cd "$WORKSHOP" && cat guest-init guest-selftests selftests*.sh selftests.list vm.sh warnings.sh | key_of)
	echo "$BOOT $(xargs <<<"$TESTS")"
}

# on_arch <step> <arch>: unless the same has passed.
on_arch() {
	local -x STEP=$1 ARCH=$2
	local passed failed=$FAILED column

	passed=$HISTORY/$(made_of | key_of) || exit 1
	if [ -e "$passed" ] && { [ -z "${AGAIN:-}" ] || [ "$passed" -nt "$RUN_START" ]; }; then
		for column in build warnings boot tests; do
			cell "$1" "$column" "="
		done
		verdict ok "$1 $2 (as on $(date -r "$passed" '+%F %R'))"
		return 0
	fi
	run_on_arch "$1" "$2"
	[ "$FAILED" != "$failed" ] || { mkdir -p "$HISTORY" && touch "$passed"; }
}

# run_on_arch <step> <arch>
run_on_arch() {
	local entry

	test_cell "$1" build "$2 build" "$WORKSHOP/kernel.sh" patched || {
		[ "$BOOT" = 0 ] || not_run "$1" "$2" boot tests
		return 0
	}
	entry=$(tail -n 1 "$(log_of "$1 $2 build")")
	test_cell "$1" warnings "$2 warnings" "$WORKSHOP/warnings.sh" || true
	[ "$BOOT" != 0 ] || return 0
	if ! step "$1 $2 tests build" "$WORKSHOP/selftests-build.sh" patched; then
		not_run "$1" "$2" boot tests
		return 0
	fi
	in_guest "$1" "$2" "$entry"
}

# in_guest <step> <arch> <kernel entry>
in_guest() {
	local image=$3/bzImage

	[ -e "$image" ] || image=$3/Image
	test_cell "$1" boot "$2 boot" "$WORKSHOP/vm.sh" --kernel "$image" --name "step-$2" \
		-- uname -a || { not_run "$1" "$2" tests; return 0; }
	test_cell "$1" tests "$2 tests" env ONLY="$(xargs <<<"$TESTS")" \
		"$WORKSHOP/selftests.sh" || true
}

# check_sources <step ...>: what needs no build, under one lock.
check_sources() {
	local n written=no

	lock_builds
	! step "series" "$WORKSHOP/series.sh" || written=yes
	for n; do
		test_cell "$n" apply apply env STEP="$n" "$WORKSHOP/tree.sh" fits || true
		if [ "$written" = no ]; then
			not_run "$n" '' lines checkpatch
			continue
		fi
		check_lines "$n"
		test_cell "$n" checkpatch checkpatch checkpatch_of "$n" || true
	done
	unlock_builds
}

check_kernels() {
	local arch n

	for n; do
		for arch in $ARCHES; do
			if [ "${CELL[$n apply]}" = ok ]; then
				on_arch "$n" "$arch"
			else
				not_run "$n" "$arch" build
			fi
		done
	done
}

table() {
	local n column row format='%4s  %-50.50s %5s  %-5s %-10s %-9s %-9s %-9s %s\n'

	# shellcheck disable=SC2059 # one format for all lines
	printf "$format" step subject lines apply checkpatch build warnings boot tests
	for n in "$@"; do
		row=()
		for column in lines apply checkpatch build warnings boot tests; do
			row+=("${CELL[$n $column]:--}")
		done
		# shellcheck disable=SC2059
		printf "$format" "$n" "$(manifest_subject "$n")" "${row[@]}"
	done
}

main() {
	local list

	list=$(selected_steps) || exit 1
	"$WORKSHOP/deps.sh"
	# shellcheck disable=SC2086 # numbers, one a line
	set -- $list
	check_sources "$@"
	check_kernels "$@"
	echo "(of ${ARCHES:-no architecture}; '=': has passed before)"
	table "$@" | tee "$LOGS/$CHECK-table.log"
	finish
}

main "$@"; exit
