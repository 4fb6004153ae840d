#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# plot.sh [attach|memory|hit|overlap|others ...]: tables and pictures, by gnuplot, of what
# bench.sh measured: CSV and SVG beside the results in build/results. Without a name all
# that there are results for, which a `make check` since then has written over.
# plot.sh Documentation: copy the pictures that are there to Documentation/bpf.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

RESULTS=$BUILD/results$TAG
PICTURES=(attach memory hit overlap others)

# How the results came to be, as a command.
command_of() {
	local command='make bench'

	[ "$1" != overlap ] || command='tools/testing/multi_fentry/bench.sh overlap'
	[ "$ARCH" = x86_64 ] || command+=" ARCH=$ARCH"
	[ "$1" = overlap ] || [ -z "${ARGS:-}" ] || command+=" ARGS='$ARGS'"
	echo "$command"
}

machine() {
	sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1 | grep . || uname -m
}

# vm.sh leaves what it found out about KVM.
emulation() {
	if [ "$1" = instructions ]; then
		echo 'emulated by QEMU, which counts its instructions,'
	elif grep -qsx '[1-9]' "$BUILD/.kvm-$(cat /proc/sys/kernel/random/boot_id)"; then
		echo 'with KVM'
	else
		echo 'emulated by QEMU'
	fi
}

# Without what gnuplot writes and nothing uses, or says more than once, half is left.
shorten() {
	sed -E "/id='gpPt([0-47-9]|1[0-4])'/d; /<filter /,/<\/filter>/d; /<title>Gnuplot/d
		s/ stroke-(linecap=\"butt|linejoin=\"miter|width=\"1.00)\"//g
		s/ +font-(family=\"sans-serif|size=\"13.00)\"//g
		s/<g id=\"gnuplot_canvas\"/& font-family=\"sans-serif\" font-size=\"13\"/
		s/^\t+//; s/ {2,}/ /g; s/[ \t]+\$//; /^\$/d
		1a <!-- SPDX-License-Identifier: GPL-2.0 -->" |
		sed -zE 's|<g [^>]*>\n</g>\n||g'
}

# draw <picture> <kernel> <cpus> <unit> <date> <more>
draw() {
	local svg=$RESULTS/$1.svg caption cpus="$3 CPUs"

	[ "$3" != 1 ] || cpus='1 CPU'
	caption="Linux $2 in a guest with $cpus, $(emulation "$4") on $(machine)${6:+; $6}"
	caption+=$'\n'"$(command_of "$1"), $5"
	quietly "plot-$1$TAG" gnuplot -c "$WORKSHOP/mfentry/plot.gp" "$1" "$RESULTS/$1.csv" \
		"$svg.tmp" "$caption" || die "gnuplot did not draw $1; see build/log/plot-$1$TAG.log"
	shorten <"$svg.tmp" >"$svg"
	rm "$svg.tmp"
	msg "drew build/results$TAG/$1.svg, of $1.csv"
}

draw_all() {
	local tables facts

	"$WORKSHOP/deps.sh" plot
	tables=$(python3 -B "$WORKSHOP/mfentry/plot.py" "$RESULTS" "$@")
	[ -n "$tables" ] || die "nothing to draw in build/results$TAG; make bench measures it"
	while IFS=$'\t' read -r -a facts; do
		draw "${facts[@]}"
	done <<<"$tables"
}

copy_all() {
	local picture copied=0

	x86_only "the pictures of Documentation"
	for picture in "${PICTURES[@]}"; do
		[ -e "$RESULTS/$picture.svg" ] || continue
		cp "$RESULTS/$picture.svg" "$TOP/Documentation/bpf/multi_fentry_$picture.svg"
		copied=$((copied + 1))
	done
	[ "$copied" != 0 ] || die "there is no picture in build/results; make bench draws them"
	msg "copied $copied pictures to Documentation/bpf"
}

case ${1:-} in
Documentation) copy_all ;;
'') draw_all "${PICTURES[@]}" ;;
*) draw_all "$@" ;;
esac
