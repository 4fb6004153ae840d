# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Building the program mfentry and running it in guests. Sourced.

MFENTRY=$BUILD/mfentry/mfentry
RESULTS=$BUILD/results

build_mfentry() {
	lock_builds
	"$WORKSHOP/tree.sh" base
	quietly mfentry make -C "$WORKSHOP/mfentry" -j"$JOBS" LINUX="$BUILD/base" \
		OUT="$BUILD/mfentry" ||
		die "mfentry did not build; see build/log/mfentry.log"
	unlock_builds
}

# Both kernels, fixed for the whole run; the files of the series may change.
get_kernels() {
	local which entry

	declare -gA KERNEL_OF
	for which in base patched; do
		entry=$("$WORKSHOP/kernel.sh" "$which")
		KERNEL_OF[$which]=$entry
	done
}

# mfentry_run <base|patched> <name> <arguments ...>: run it in a guest; what it
# writes to $OUT stays in build/vm-out/<name>-<base|patched>.
mfentry_run() {
	local which=$1 name=$2-$1 base=

	shift 2
	[ "$which" = patched ] || base=1
	rm -rf "$BUILD/vm-out/$name"
	BASE=$base "$WORKSHOP/vm.sh" --name "$name" \
		--kernel "${KERNEL_OF[$which]}/bzImage" -- "$MFENTRY" "$@"
}

# keep <name> <file>: results of both kernels to build/results, for comparing.
keep() {
	local which

	mkdir -p "$RESULTS"
	for which in base patched; do
		cp "$BUILD/vm-out/$1-$which/$2.json" "$RESULTS/$1-$which.json"
	done
}

# side_by_side <function> <arguments ...>: function <base|patched> arguments, in
# two guests at once. For what does not depend on how fast a guest is.
side_by_side() {
	local base st=0

	"$1" base "${@:2}" &
	base=$!
	"$1" patched "${@:2}" || st=$?
	wait "$base" || st=$?
	return "$st"
}

list_functions() {
	mfentry_run "$1" list list --names /run/out/names >"$LOGS/list-$1.log"
	sort "$BUILD/vm-out/list-$1/names" >"$RESULTS/functions-$1"
}

# The functions that both kernels let us attach to: the same work for both.
common_functions() {
	COMMON=$RESULTS/functions
	mkdir -p "$RESULTS"
	msg "listing the functions of both kernels ..."
	side_by_side list_functions || die "mfentry list failed; see above"
	comm -12 "$RESULTS/functions-base" "$RESULTS/functions-patched" >"$COMMON"
	msg "$(wc -l <"$COMMON") functions on both kernels"
}
