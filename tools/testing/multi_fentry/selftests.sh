#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# selftests.sh: run the selftests that concern trampolines on the base and on
# the patched kernel, at the same time, and show the results side by side.
# selftests.sh on <kernel> <test ...>: run these on that kernel of kernel.sh, with
# their output.
# selftests.sh one <test ...>: the same on the patched kernel (BASE=1, DEBUG=1,
# HARDENED=1: on that of the name).
# selftests.sh across: on each of the two some tests that were built for the other.
# selftests.sh debug|hardened: run all of them on that kernel, look for leaks if
# it can, and fail when a test does not pass that passes on the patched kernel.
# ARCH=arm64: on another architecture. STEP=n: with the first n patches, and base
# runs only if what it gave is not known; ONLY='<test> ...': only these, and all
# that the series adds.
# Fails when a test that passes on base does not on patched, or when one that
# the series adds does not pass. Results in build/log/selftests.table
# (selftests-arm64.table).
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=manifest.sh
. "$WORKSHOP/manifest.sh"

# It panics unmodified 7.3.4 where BTF holds two functions of one name: in a
# guest of its own, it takes no other result along.
LONERS=tracing_multi_bench_attach

# prepare <kernel>: fix kernel and tests for the whole run; the files of
# the series may change meanwhile.
prepare() {
	local entry tests=patched
	local -x STEP=$STEP

	# other kernels than base differ in nothing that a test is built from
	[ "$1" != base ] || tests=base STEP=''
	entry=$("$WORKSHOP/kernel.sh" "$1")
	KERNEL_OF[$1]=$entry
	entry=$("$WORKSHOP/selftests-build.sh" "$tests")
	TESTS_OF[$1]=$entry
}

# All CPUs in one thread, unless the kernel is made for more: see configs/threads.config.
tcg_of() {
	local tcg

	tcg=$(config_says "$1" tcg)
	echo "${TCG:-${tcg:-single}}"
}

# What the guest is told of this environment.
GUEST_ENV=(LEAKS TEST_TIMEOUT WATCHDOG TRACING_MULTI_CHANGES TRACING_MULTI_FAULTS
	TRACING_MULTI_FUZZ TRACING_MULTI_CYCLES TRACING_MULTI_ROUNDS TRACING_MULTI_LIVEPATCHES
	TRACING_MULTI_LOSS TRACING_MULTI_SEED)

# in_guest <kernel> <name> <tests ...>: status of the guest.
in_guest() {
	local which=$1 name=selftests-$1$TAG-$2 base='' var vars=()

	[ "$which" != base ] || base=1
	if [ "$which" = debug ]; then
		local -x APPEND="panic_on_warn=1 ${APPEND:-}" MEM=${MEM:-6G} LEAKS=1
		local -x TIMEOUT=${TIMEOUT:-7200} TEST_TIMEOUT=${TEST_TIMEOUT:-3000}
		local -x WATCHDOG=${WATCHDOG:-3000}
	fi
	for var in "${GUEST_ENV[@]}"; do
		[ -z "${!var:-}" ] || vars+=("$var=${!var}")
	done
	shift 2
	rm -rf "$BUILD/vm-out/$name"
	TCG=$(tcg_of "$which") BASE=$base TIMEOUT=${TIMEOUT:-2400} "$WORKSHOP/vm.sh" --name "$name" \
		--kernel "${KERNEL_OF[$which]}/$IMAGE" -- env "${vars[@]}" "$WORKSHOP/guest-selftests" \
		"${TESTS_OF[$which]}" "${KERNEL_OF[$which]}" "$@"
}

# list_of <kernel>: the tests to run there.
list_of() {
	local all=${TESTS_OF[$1]}/tests

	if [ -z "${ONLY:-}" ]; then
		cat "$all"
		return
	fi
	{
		tr ' ' '\n' <<<"$ONLY" | sort | comm -12 - "$all"
		comm -13 "${TESTS_OF[base]}/tests" "$all"
	} | sort -u
}

# Results of one kernel, from all its guests, as "<test> <result>".
results_of() {
	local t files=("$BUILD/vm-out/selftests-$1$TAG-many/results"
		"$BUILD/vm-out/selftests-$1$TAG-$LONERS/results")

	cat "${files[@]}" 2>/dev/null | awk '{ print $2, $1 }'
	# What should have run and left nothing took its guest down.
	while read -r t; do
		grep -qsE "^[A-Z]+ $t\$" "${files[@]}" || echo "$t DIED"
	done < <(list_of "$1")
}

run_all() {
	local which=$1 list st=0

	list=$(list_of "$which")
	msg "running $(wc -l <<<"$list") selftests on the $which kernel ..."
	# shellcheck disable=SC2046 # names of tests are words
	in_guest "$which" many $(grep -vxF "$LONERS" <<<"$list") || st=$?
	if ! grep -qxF "$LONERS" <<<"$list"; then
		: # nothing to run alone
	elif [ "$which" = base ]; then
		# Known to die there; whether it does is a line of the table.
		EXPECT_SPLAT='.*' in_guest "$which" "$LONERS" "$LONERS" 2>/dev/null || true
	else
		in_guest "$which" "$LONERS" "$LONERS" || st=$?
	fi
	results_of "$which" | sort -u >"$LOGS/selftests-$which$TAG.results"
	return $st
}

# The table of both; the last column says what counts against the series.
compare() {
	awk -v may_skip="$MAY_SKIP" '
		NR == FNR { base[$1] = $2; next }
		{ patched[$1] = $2 }
		END {
			for (t in base) all[t] = 1
			for (t in patched) all[t] = 1
			for (t in all) {
				b = t in base ? base[t] : "-"
				p = t in patched ? patched[t] : "-"
				v = ""
				if (b == "OK" && p != "OK")
					v = "REGRESSION"
				else if (b == "-" && p == "SKIP" && t == may_skip)
					v = "skipped"
				else if (b == "-" && p != "OK")
					v = "NEW-FAILS"
				else if (b != "OK" && p == "OK" && b != "-")
					v = "mended"
				printf "%-58s %-6s %-8s %s\n", t, b, p, v
			}
		}' "$LOGS/selftests-base$TAG.results" "$LOGS/selftests-patched$TAG.results" | sort
}

count() { awk -v re="$1" '$0 ~ re' "$TABLE" | wc -l; }

# one_kernel: the one of which the environment has the name.
one_kernel() {
	local which=patched

	[ -z "${BASE:-}" ] || which=base
	[ -z "${DEBUG:-}" ] || which=debug
	[ -z "${HARDENED:-}" ] || which=hardened
	echo "$which"
}

# on <kernel> <tests ...>: on one kernel, with what they say.
on() {
	local which=$1 st=0 bad may_skip

	shift
	[ $# -gt 0 ] || die "usage: selftests.sh one <test ...>"
	prepare "$which"
	in_guest "$which" one "$@" || st=$?
	cat "$BUILD/vm-out/selftests-$which$TAG-one/"*.log
	may_skip=$(echo "$MAY_SKIP" "$(config_says "$which" skips)" | xargs | tr ' ' '|')
	bad=$(grep -vxE "OK .*|SKIP ($may_skip)" "$BUILD/vm-out/selftests-$which$TAG-one/results") || true
	[ -z "$bad" ] || { msg "not passed:"; msg "$bad"; st=1; }
	exit "$st"
}

# another <debug|hardened>: what passes on the patched kernel has to pass there,
# without a complaint.
another() {
	local which=$1 st=0 bad

	prepare "$which"
	run_all "$which" || st=$?
	bad=$(awk '
		NR == FNR { if ($2 == "OK") ok[$1] = 1; next }
		$2 != "OK" && $1 in ok { print "  " $1, $2 }
	' "$LOGS/selftests-patched$TAG.results" "$LOGS/selftests-$which$TAG.results")
	[ -z "$bad" ] || printf 'not on the %s kernel:\n%s\n' "$which" "$bad"
	echo "selftests: $(grep -c ' OK$' "$LOGS/selftests-$which$TAG.results") passed on $which"
	[ "$st" = 0 ] && [ -z "$bad" ]
}

# These pass on both kernels, whichever of the two they were built for.
# tracing_multi_compat knows what base lacks, and that it is told.
ACROSS=(fentry_test fexit_test fsession_test modify_return
	tracing_multi_attach_rollback tracing_multi_test)

across() {
	local old which st=0 tests bad

	x86_only "tracing_multi without the series"
	prepare base
	prepare patched
	old=${TESTS_OF[base]}
	TESTS_OF[base]=${TESTS_OF[patched]}
	TESTS_OF[patched]=$old
	for which in base patched; do
		tests=("${ACROSS[@]}")
		[ "$which" = patched ] || tests+=(tracing_multi_compat)
		in_guest "$which" across "${tests[@]}" || st=$?
		cat "$BUILD/vm-out/selftests-$which$TAG-across/"*.log
		bad=$(grep -v '^OK ' "$BUILD/vm-out/selftests-$which$TAG-across/results") || true
		[ -z "$bad" ] || { msg "not passed on $which:"; msg "$bad"; st=1; }
	done
	return "$st"
}

# What the results of base depend on.
base_key() { echo "${KERNEL_OF[base]} ${TESTS_OF[base]} ${ONLY:-}"; }

# run_base: unless it ran before for another step.
run_base() {
	local key=$LOGS/selftests-base$TAG.key

	if [ -n "$STEP" ] && [ "$(cat "$key" 2>/dev/null)" = "$(base_key)" ]; then
		return 0
	fi
	rm -f "$key"
	run_all base || return
	base_key >"$key"
}

main() {
	local bad pid st_base=0 st_patched=0
	declare -gA KERNEL_OF TESTS_OF

	mkdir -p "$LOGS"
	TABLE=$LOGS/selftests$TAG.table
	case ${1:-} in
	on) shift; on "$@" ;;
	one) shift; on "$(one_kernel)" "$@" ;;
	across) across; exit ;;
	debug | hardened) another "$1"; exit ;;
	esac
	rm -f "$TABLE"
	prepare base
	prepare patched
	# a CPU each
	run_base &
	pid=$!
	run_all patched || st_patched=$?
	wait "$pid" || st_base=$?
	{
		printf '%-58s %-6s %-8s\n' test base patched
		compare
	} | tee "$TABLE"
	bad=$(count '(REGRESSION|NEW-FAILS)$')
	[ "$st_base" = 0 ] || { msg "the base kernel's guest ended with status $st_base"; }
	if [ "$st_patched" != 0 ]; then
		msg "error: the patched kernel's guest ended with status $st_patched"
		bad=$((bad + 1))
	fi
	echo "selftests: $(count ' OK *(mended)?$') passed on patched, $(count 'skipped$')" \
		"new ones skipped, $bad against the series"
	[ "$bad" = 0 ]
}

main "$@"; exit
