# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What every script of the workshop shares: where things are, how errors are
# told, and how a cache entry comes to be. Sourced, never run.

# One spelling for sorts, tool messages and generated files.
export LC_ALL=C

WORKSHOP=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
TOP=$(cd "$WORKSHOP/../../.." && pwd -P)
BUILD=$TOP/build
LOGS=$BUILD/log
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/multi-fentry
ARCH=${ARCH:-x86_64}
JOBS=${JOBS:-$(($(nproc) + 1))}

# Exported by make to every child; a kernel build reads them as its own
# and would build elsewhere or for another machine.
unset O KBUILD_OUTPUT MAKEFLAGS MFLAGS MAKELEVEL CROSS_COMPILE

msg() { printf '%s\n' "$*" >&2; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

have() { command -v "$1" >/dev/null 2>&1; }

# What ARCH is to the compilers, to Debian and to QEMU. Whatever is made for
# another architecture than the default one has TAG in its name. MAY_SKIP: the new
# selftest that has nothing to test there.
# shellcheck disable=SC2034 # used by those that source this
case $ARCH in
x86_64) TAG='' CROSS='' SRCARCH=x86 IMAGE=bzImage QEMU=qemu-system-x86_64
	MAY_SKIP=tracing_multi_sets/random_far ;;
arm64) TAG=-arm64 CROSS=aarch64-linux-gnu- SRCARCH=arm64 IMAGE=Image QEMU=qemu-system-aarch64
	MAY_SKIP=none ;;
riscv) TAG=-riscv CROSS=riscv64-linux-gnu- SRCARCH=riscv IMAGE=Image QEMU=''
	MAY_SKIP=none ;;
*) die "ARCH=$ARCH is unknown; use x86_64 or arm64, or riscv to build only" ;;
esac

# config_says <which> <key>: the values of the lines "# key: value" in the fragment
# of that kernel. configs/README tells the keys.
config_says() {
	[ ! -e "$WORKSHOP/configs/$1.config" ] ||
		sed -n "s/^# $2: *//p" "$WORKSHOP/configs/$1.config"
}

# boots_of <which>: a line for each guest of that kernel that ARCH has, with the
# kernel's parameters.
boots_of() { config_says "$1" boot | sed -nE "s/^$ARCH( |\$)//p"; }

# STEP=n: the series up to its n-th patch, in trees, logs and cache entries of its
# own. SERIES_TREE is the tree below build/ that has the series' files.
STEP=${STEP:-}
SERIES_TREE=linux
if [ -n "$STEP" ]; then
	TAG+=-step
	# shellcheck disable=SC2034 # used by those that source this
	SERIES_TREE=step
fi

# x86_only <what>: for what another architecture does not have.
x86_only() { [ "$ARCH" = x86_64 ] || die "$1: only for ARCH=x86_64, not $ARCH"; }

# need_space <directory> <megabytes> <what for>
need_space() {
	local free

	mkdir -p "$1"
	free=$(df -Pm "$1" | awk 'NR == 2 { print $4 }')
	[ "$free" -ge "$2" ] ||
		die "$3 needs $2 MB and $1 has $free MB left; free some space (make clean, or remove $CACHE)"
}

# One build at a time for all checkouts of this user: two kernel builds side
# by side take longer than one after the other and may fill the memory.
# Held until the shell exits; a nested script sees that it is held.
lock_builds() {
	[ -z "${MFENTRY_LOCKED:-}" ] || return 0
	mkdir -p "$CACHE" "$BUILD" "$LOGS"
	exec 9>"$CACHE/lock"
	if ! flock -n 9; then
		msg "waiting for another build of this user to end ..."
		flock 9
	fi
	export MFENTRY_LOCKED=1
}

# Guests may run beside another's build.
unlock_builds() {
	exec 9>&-
	unset MFENTRY_LOCKED
}

# quietly <log name> <command ...>: run with the output in a log; show its
# end on failure.
quietly() {
	local log=$LOGS/$1.log

	shift
	mkdir -p "$LOGS"
	if "$@" >"$log" 2>&1 9>&-; then
		return 0
	fi
	grep -nE '(error|Error|ERROR)[: ]|\*\*\*' "$log" | head -n 15 >&2 || true
	msg "... the end of $log:"
	tail -n 15 "$log" >&2
	return 1
}

# Hash of standard input, short enough for a file name.
key_of() { sha256sum | cut -c1-24; }

# cache_commit <temporary directory> <entry>: an entry appears whole or not at
# all, because a rename is atomic. Losing a race to the same key is fine.
cache_commit() {
	if [ -e "$2" ]; then
		rm -rf "$1"
		return 0
	fi
	mv -T "$1" "$2" 2>/dev/null || { [ -d "$2" ] && rm -rf "$1"; }
}

# cache_prune <directory> <entries to keep>: forget those unused for longest.
cache_prune() {
	local old

	find "$1" -mindepth 1 -maxdepth 1 -name '*.tmp.*' -mmin +600 \
		-exec rm -rf {} + 2>/dev/null || true
	find "$1" -mindepth 1 -maxdepth 1 -type d ! -name '*.tmp.*' \
		-printf '%T@ %p\n' | sort -rn | tail -n "+$(($2 + 1))" |
		while read -r _ old; do rm -rf "$old"; done
}
