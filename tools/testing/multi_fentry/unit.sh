#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The set engine against its model, in user space under ASan and UBSan.
# ARGS: passed to the program.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

"$WORKSHOP/deps.sh"
(lock_builds; "$WORKSHOP/tree.sh" base)
mkdir -p "$BUILD/unit"
exec make --no-print-directory -C "$TOP/tools/testing/bpf_tramp_set" \
	LINUX="$BUILD/base" OUTPUT="$BUILD/unit/" ARGS="${ARGS:-}" run
