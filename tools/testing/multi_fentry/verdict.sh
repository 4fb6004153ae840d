# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Counting and telling what passed, for a script that runs many tests. Sourced,
# with CHECK set to that script's name: what a step said is in
# build/log/<CHECK>-<step>.log.

PASSED=0
FAILED=0
# What failed and why, told again at the end: of a long run that may be all that
# is kept.
FAILURES=()
START=$SECONDS

verdict() {
	local time

	time=$(printf '%d:%02d' $(((SECONDS - START) / 60)) $(((SECONDS - START) % 60)))
	if [ "$1" = ok ]; then
		PASSED=$((PASSED + 1))
	else
		FAILED=$((FAILED + 1))
		FAILURES+=("FAIL $2")
	fi
	printf '[%s] %-4s %s\n' "$time" "$1" "$2"
}

log_of() { echo "$LOGS/$CHECK-${1// /-}.log"; }

# reasons <logs ...>: the lines that say why, by the words that our tools, the
# compilers and the selftests have for it; else the last ones.
reasons() {
	local lines

	lines=$(cat "$@" | tr '\r' '\n' |
		grep -E '^not ok|(error|ERROR|WARNING|CHECK):|REGRESSION|NEW-FAILS|more than .*x$' |
		head -n 8) || lines=$(cat "$@" | tail -n 4)
	printf '%s\n' "$lines" | cut -c1-160 | sed 's/^/  | /'
}

# step <name> <command ...>: one test. While it runs its progress is seen;
# when it fails, the end of what it said.
step() {
	local name=$1 log

	log=$(log_of "$1")
	shift
	mkdir -p "$LOGS"
	msg "--- $name"
	# Both into the log, progress also to the screen.
	if "$@" 2>&1 >"$log" | tee "$log.err" >&2; then
		verdict ok "$name"
		return 0
	fi
	verdict FAIL "$name"
	{ tail -n 15 "$log.err"; tail -n 30 "$log"; } | tr '\r' '\n' | sed 's/^/  | /'
	mapfile -t -O "${#FAILURES[@]}" FAILURES < <(reasons "$log.err" "$log")
	return 1
}

# skipped <names ...>: what cannot run because something before it failed
# counts as failed: nothing is green that was not tested.
skipped() {
	local n

	for n; do
		verdict FAIL "$n (not run)"
	done
}

finish() {
	[ "$FAILED" = 0 ] || printf '%s\n' "${FAILURES[@]}"
	echo "$PASSED passed, $FAILED failed"
	[ "$FAILED" = 0 ] || exit 1
	exit 0
}
