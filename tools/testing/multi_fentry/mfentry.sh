# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Building the program mfentry and running it in guests. Sourced.

MFENTRY=$BUILD/mfentry$TAG/mfentry
RESULTS=$BUILD/results$TAG
# The kernels that have tracing_multi links: unmodified 7.3 has none on arm64.
KERNELS=(base patched)
[ "$ARCH" != arm64 ] || KERNELS=(patched)

build_mfentry() {
	local cross=()

	lock_builds
	# libbpf's patterns choose the functions
	"$WORKSHOP/tree.sh" patched
	[ -z "$CROSS" ] ||
		cross=(ARCH="$ARCH" CROSS_COMPILE="$CROSS" SYSROOT="$("$WORKSHOP/sysroot.sh")")
	quietly "mfentry$TAG" make -C "$WORKSHOP/mfentry" -j"$JOBS" LINUX="$BUILD/linux" \
		OUT="$BUILD/mfentry$TAG" TOOLS="$BUILD/mfentry" "${cross[@]}" ||
		die "mfentry did not build; see build/log/mfentry$TAG.log"
	unlock_builds
}

# get_kernels <base|patched ...>: fixed for the whole run; the files of the series
# may change.
get_kernels() {
	local which entry

	declare -gA KERNEL_OF
	for which; do
		entry=$("$WORKSHOP/kernel.sh" "$which")
		KERNEL_OF[$which]=$entry
	done
}

# guest_run <base|patched> <name> <command ...>: run it in a guest; what it writes to
# $OUT stays in build/vm-out/<name>-<base|patched>.
guest_run() {
	local which=$1 name=$2-$1$TAG base=

	shift 2
	[ "$which" = patched ] || base=1
	rm -rf "$BUILD/vm-out/$name"
	BASE=$base "$WORKSHOP/vm.sh" --name "$name" \
		--kernel "${KERNEL_OF[$which]}/$IMAGE" -- "$@"
}

# mfentry_run <base|patched> <name> <arguments ...>
mfentry_run() { guest_run "$1" "$2" "$MFENTRY" "${@:3}"; }

# keep <name> <file>: results of the kernels to build/results, for comparing.
keep() {
	local which

	mkdir -p "$RESULTS"
	for which in "${KERNELS[@]}"; do
		cp "$BUILD/vm-out/$1-$which$TAG/$2.json" "$RESULTS/$1-$which.json"
	done
}

# side_by_side <function> <arguments ...>: function <base|patched> arguments, in
# two guests at once, each with half of the machine.
side_by_side() {
	local which pids=() pid st=0

	for which in "${KERNELS[@]}"; do
		"$1" "$which" "${@:2}" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || st=$?
	done
	return "$st"
}

# one_by_one <function> <arguments ...>: the same, one after the other.
one_by_one() {
	local which

	for which in "${KERNELS[@]}"; do
		"$1" "$which" "${@:2}"
	done
}

# compare_results <arguments of compare.py ...> <names ...>: the kept results.
compare_results() {
	local name base files=() args=()

	while [ "${1#-}" != "$1" ]; do
		args+=("$1")
		shift
	done
	[ "${#KERNELS[@]}" = 2 ] || args+=(--alone)
	for name; do
		base=$RESULTS/$name-base.json
		[ -e "$base" ] || base=$RESULTS/$name-patched.json
		files+=("$base" "$RESULTS/$name-patched.json")
	done
	python3 "$WORKSHOP/mfentry/compare.py" "${args[@]}" "${files[@]}"
}

# Which functions: with --fexit those that fexit.multi is allowed on as well.
LIST=()

list_functions() {
	mfentry_run "$1" list list "${LIST[@]}" --names /run/out/names >"$LOGS/list-$1$TAG.log"
	sort "$BUILD/vm-out/list-$1$TAG/names" >"$RESULTS/functions-$1"
}

# The functions that both kernels let us attach to: the same work for both.
common_functions() {
	COMMON=$RESULTS/functions
	mkdir -p "$RESULTS"
	msg "listing the functions of: ${KERNELS[*]} ..."
	side_by_side list_functions || die "mfentry list failed; see above"
	comm -12 "$RESULTS/functions-${KERNELS[0]}" "$RESULTS/functions-patched" >"$COMMON"
	msg "$(wc -l <"$COMMON") functions on: ${KERNELS[*]}"
}
