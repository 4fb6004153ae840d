#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The series in kernels that are configured otherwise: each is built and runs the
# selftests of tracing_multi links, or those that its fragment names. riscv has no
# shared trampolines, and is only built. Ends with "N passed, M failed".
# CONFIGS='rt lazy': only these, of all that configs/README tells of; riscv is
# one. ARCHES='x86_64': only on these architectures. REPEAT=20: the selftests so often.
# What a step said is in build/log/check-configs-<step>.log.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # used by verdict.sh
CHECK=check-configs
# shellcheck source=verdict.sh
. "$WORKSHOP/verdict.sh"

CONFIGS=${CONFIGS:-lazy rt up nosets kcfi threads kcsan riscv}
ARCHES=${ARCHES:-x86_64 arm64 riscv}
REPEAT=${REPEAT:-1}
# Not the tests of libbpf's patterns: they take four minutes, and what they test is
# no matter of the configuration.
TESTS='fentry_test fexit_test fsession_test modify_return bpf_cookie livepatch_trampoline
	tracing_multi_test tracing_multi_args tracing_multi_attach_rollback
	tracing_multi_data tracing_multi_info tracing_multi_light tracing_multi_livepatch
	tracing_multi_sets tracing_multi_shared tracing_multi_stress tracing_multi_types'

selected() { grep -qw -- "$1" <<<"$ARCHES"; }

# tests_of <which>
tests_of() {
	local tests

	tests=$(config_says "$1" tests)
	echo "${tests:-$TESTS}"
}

# guests_of <which>: the tests in each of its guests on ARCH.
guests_of() {
	local which=$1 params name once tests=() n

	# once, each kernel has a time of its own
	[ "$REPEAT" = 1 ] || local -x TIMEOUT=${TIMEOUT:-$((REPEAT * 2400))}
	read -r -d '' -a once < <(tests_of "$which") || true
	for ((n = 0; n < REPEAT; n++)); do
		tests+=("${once[@]}")
	done
	while read -r params <&3; do
		name="selftests of $which on $ARCH${params:+ with $params}"
		step "$name" env APPEND="$params ${APPEND:-}" \
			"$WORKSHOP/selftests.sh" on "$which" "${tests[@]}" || true
	done 3< <(boots_of "$which")
}

# check_config <which> <arch>
check_config() {
	local -x ARCH=$2

	if step "$1 kernel of $2" "$WORKSHOP/kernel.sh" "$1"; then
		guests_of "$1"
	else
		skipped "selftests of $1 on $2"
	fi
}

arches_of() { config_says "$1" boot | awk '!seen[$1]++ { print $1 }'; }

main() {
	local which arch

	for which in $CONFIGS; do
		if [ "$which" = riscv ]; then
			! selected riscv ||
				step "riscv kernel" env ARCH=riscv "$WORKSHOP/kernel.sh" patched || true
			continue
		fi
		[ -n "$(arches_of "$which")" ] || die "there is no configuration $which, see configs/README"
		for arch in $(arches_of "$which"); do
			! selected "$arch" || check_config "$which" "$arch"
		done
	done
	finish
}

main "$@"; exit
