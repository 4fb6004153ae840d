#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# All tests, from nothing. Ends with "N passed, M failed"; fails if M > 0.
# ARCH=arm64: all that depend on the architecture, for that one.
# What each step said is in build/log/check-<step>.log.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=manifest.sh
. "$WORKSHOP/manifest.sh"

# shellcheck disable=SC2034 # used by verdict.sh
CHECK=check$TAG
# shellcheck source=verdict.sh
. "$WORKSHOP/verdict.sh"

# The new selftests race links against calls; once is not enough. More than
# this does not fit into an hour from nothing: REPEAT=20 takes hours more.
REPEAT=${REPEAT:-1}
# DEBUG=1, HARDENED=1: the selftests on a kernel of that name as well. That takes
# long, too.
DEBUG=${DEBUG:-}
HARDENED=${HARDENED:-}

check_scripts() {
	(cd "$WORKSHOP" && shellcheck ./*.sh guest-selftests guest-init ../../../.ci/run)
}

# Each selftest is a test of ours.
count_selftests() {
	local t b p v

	while read -r t b p v; do
		case $v in
		REGRESSION | NEW-FAILS) verdict FAIL "selftest $t (base $b, patched $p)" ;;
		skipped) msg "note: selftest $t was skipped: nothing for it to test on this kernel" ;;
		*) [ "$p" != OK ] || PASSED=$((PASSED + 1)) ;;
		esac
	done < <(tail -n +2 "$LOGS/selftests$TAG.table")
}

new_tests() {
	local entry path

	entry=$("$WORKSHOP/selftests-build.sh" patched)
	manifest_paths | sed -n 's|^tools/testing/selftests/bpf/prog_tests/.*\.c$|&|p' |
		while read -r path; do
			[ ! -e "$TOP/$path" ] ||
				sed -nE 's/^void (serial_)?test_([a-zA-Z0-9_]+)\((void)?\).*/\2/p' "$TOP/$path"
		done | grep -xF -f "$entry/tests" || true
}

repeat_new_tests() {
	local tests n

	mapfile -t tests < <(new_tests)
	[ "${#tests[@]}" -gt 0 ] || return 0
	for ((n = 1; n <= REPEAT; n++)); do
		printf '%s\n' "${tests[@]}"
	done >"$LOGS/repeat.list"
	mapfile -t tests <"$LOGS/repeat.list"
	DEBUG='' HARDENED='' TIMEOUT=$((REPEAT * 2400)) \
		"$WORKSHOP/selftests.sh" one "${tests[@]}" >"$LOGS/repeat.log"
}

# libbpf's check of its symbols, bpftool's of its command lists. "all" and
# "check" in one parallel make would both build libbpf.so, in each other's way.
check_libbpf_bpftool() {
	local out=$BUILD/libbpf-check lib=$BUILD/linux/tools/lib/bpf

	mkdir -p "$out"
	make -C "$lib" -j"$JOBS" OUTPUT="$out/" all &&
		make -C "$lib" OUTPUT="$out/" check &&
		python3 "$BUILD/linux/tools/testing/selftests/bpf/test_bpftool_synctypes.py"
}

# What is no architecture's: once is enough.
check_sources() {
	step "scripts" check_scripts || true
	step "manifest" "$WORKSHOP/series.sh" check || true
	step "trees" "$WORKSHOP/tree.sh" patched || { skipped "all that needs them"; finish; }
	step "refresh is exact" "$WORKSHOP/tree.sh" exact || true
	step "series and checkpatch" "$WORKSHOP/series.sh" style || true
	step "libbpf and bpftool" check_libbpf_bpftool || true
}

# beside <name> <command ...>: run it while others run. Its step comes when it is joined.
beside() {
	"${@:2}" >"$(beside_log "$1")" 2>&1 &
	BESIDE[$1]=$!
}

beside_log() { log_of "beside $1"; }

# joined <name>
joined() {
	local status=0

	wait "${BESIDE[$1]}" || status=$?
	step "$1" told "$(beside_log "$1")" "$status" || true
}

# told <log> <status>: what a command said that ran before, and how it ended.
told() {
	cat "$1"
	return "$2"
}

# Either keeps one CPU busy.
check_units() {
	[ -n "$TAG" ] || beside "unit of arm64" env ARCH=arm64 "$WORKSHOP/unit.sh"
	step "unit" "$WORKSHOP/unit.sh" || true
	[ -n "$TAG" ] || joined "unit of arm64"
}

# What needs neither a kernel nor a guest of arm64: those do not fit into the same
# hour. What calls cost is measured with nothing beside it.
check_code() {
	step "cost" "$WORKSHOP/unit.sh" cost || true
	step "warnings of arm64" env ARCH=arm64 "$WORKSHOP/warnings.sh" || true
}

# The new ones once more, beside the others: those keep both CPUs busy for half of
# their time only. What comes then takes one CPU each, and looks at no clock.
check_selftests() {
	beside "new selftests $REPEAT times" repeat_new_tests
	if step "selftests" "$WORKSHOP/selftests.sh" || [ -e "$LOGS/selftests$TAG.table" ]; then
		count_selftests
	fi
	joined "new selftests $REPEAT times"
	beside "funccount" "$WORKSHOP/funccount.sh"
	[ -n "$TAG" ] || step "selftests of the other kernel" "$WORKSHOP/selftests.sh" across || true
	joined "funccount"
}

# on_another <debug|hardened>: the selftests on one more kernel.
on_another() {
	if step "$1 kernel" "$WORKSHOP/kernel.sh" "$1"; then
		step "selftests on the $1 kernel" "$WORKSHOP/selftests.sh" "$1" || true
	else
		skipped "selftests on the $1 kernel"
	fi
}

main() {
	declare -A BESIDE

	mkdir -p "$LOGS"
	"$WORKSHOP/deps.sh"
	[ -n "$TAG" ] || check_sources
	check_units
	step "base kernel" "$WORKSHOP/kernel.sh" base || { skipped "all that boots"; finish; }
	step "patched kernel" "$WORKSHOP/kernel.sh" patched || { skipped "all that boots"; finish; }
	step "warnings" "$WORKSHOP/warnings.sh" || true
	[ -n "$TAG" ] || check_code
	check_selftests
	[ -z "$DEBUG" ] || on_another debug
	[ -z "$HARDENED" ] || on_another hardened
	step "demo" "$WORKSHOP/demo.sh" bars || true
	[ -n "$TAG" ] || step "demo with call depth tracking" "$WORKSHOP/demo.sh" depth || true
	step "bars" "$WORKSHOP/bench.sh" bars || true
	finish
}

main "$@"; exit
