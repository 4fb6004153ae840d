#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# What the compiler's further warnings (W=1) and sparse say of the files that are
# all ours: sparse of Debian 12 stumbles over some of the kernel's own headers.
# ARCH=arm64: of that architecture's. STEP=n: of the files of the n-th patch only.
# Fails if they say anything. warnings.sh sources: print which files.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=manifest.sh
. "$WORKSHOP/manifest.sh"

paths() { if [ -n "$STEP" ]; then manifest_files "$STEP"; else manifest_paths; fi; }

sources() {
	paths | grep -E "^(arch/$SRCARCH|kernel|lib|net)/.*\.c$" |
		while read -r f; do [ ! -e "$TOP/$f" ] || echo "$f"; done || true
}

main() {
	local sources log=$LOGS/warnings$TAG.log tree cross=()

	if [ "${1:-}" = sources ]; then
		sources
		return
	fi
	mkdir -p "$LOGS"
	[ -z "$CROSS" ] || cross=(ARCH="$ARCH" CROSS_COMPILE="$CROSS")
	mapfile -t sources < <(sources)
	[ "${#sources[@]}" -gt 0 ] || return 0
	tree=$("$WORKSHOP/kernel.sh" config patched)
	lock_builds
	(cd "$tree" && rm -f "${sources[@]/%.c/.o}")
	make -C "$tree" "${cross[@]}" CC="${CROSS}gcc" W=1 C=1 CHECK=sparse \
		"${sources[@]/%.c/.o}" >"$log" 2>&1 || { tail "$log"; return 1; }
	! grep -E '(warning|error):' "$log" | grep -F -f <(printf '%s\n' "${sources[@]}")
}

main "$@"; exit
