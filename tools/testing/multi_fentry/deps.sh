#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# deps.sh [kernel|latency|plot]: install what the workshop needs, by Debian package name,
# and what only that kernel of kernel.sh, `bench.sh latency` or plot.sh needs. Does
# nothing, and asks for nothing, when all of it is there.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=apt.sh
. "$WORKSHOP/apt.sh"

# Building the kernel, its selftests and its tools; running the guest.
PACKAGES=(
	gcc make libc6-dev binutils patch git perl python3 procps
	ccache flex bison bc pahole cpio rsync kmod xz-utils zstd
	libelf-dev libssl-dev libdw-dev libcap-dev libzstd-dev zlib1g-dev
	clang-22 llvm-22 lld-22 openssl busybox-static shellcheck sparse
)
QEMU_PACKAGE=qemu-system-x86
if [ "$ARCH" = arm64 ]; then
	PACKAGES+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)
	QEMU_PACKAGE=qemu-system-arm
fi
[ "$ARCH" != riscv ] || PACKAGES+=(gcc-riscv64-linux-gnu)
[ "${1:-}" != latency ] || PACKAGES+=(rt-tests)
[ "${1:-}" != plot ] || PACKAGES+=(gnuplot-nox)
CLANG=$(config_says "${1:-}" clang)
[ -z "$CLANG" ] || PACKAGES+=("clang-$CLANG" "llvm-$CLANG" "lld-$CLANG")

# QEMU before 8.1 breaks guests that modify their own code, as ftrace does:
# the kernel dies of spurious int3 traps.
QEMU_MIN=8.1

is_installed() {
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing_packages() {
	local p

	for p in "${PACKAGES[@]}"; do
		is_installed "$p" || echo "$p"
	done
}

# A QEMU of the user's own making is as good as the package.
qemu_is_good() {
	local v

	v=$("$QEMU" --version 2>/dev/null | sed -n '1s/.*version \([0-9.]*\).*/\1/p')
	[ -n "$v" ] && dpkg --compare-versions "$v" ge "$QEMU_MIN"
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif have sudo; then
		sudo "$@"
	else
		die "installing needs root and there is no sudo; run as root: $*"
	fi
}

# The archive's own QEMU where it is new enough, else the one of backports.
install_qemu() {
	local codename candidate

	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	candidate=$(apt-cache policy "$QEMU_PACKAGE" | awk '/Candidate:/ { print $2 }')
	if dpkg --compare-versions "${candidate#*:}" ge "$QEMU_MIN" 2>/dev/null; then
		msg "installing (root): $QEMU_PACKAGE"
		quietly apt-qemu as_root env DEBIAN_FRONTEND=noninteractive \
			apt-get install -y --no-install-recommends "$QEMU_PACKAGE" ||
			die "apt could not install $QEMU_PACKAGE; see above"
		return
	fi
	APT_WITH_OWN=1 apt_private qemu "$codename-backports" ||
		die "no package list for $codename-backports; check the network, or install QEMU >= $QEMU_MIN yourself"
	msg "installing (root): $QEMU_PACKAGE of $codename-backports"
	quietly apt-qemu as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get "${APT_OPTS[@]}" install -y --no-install-recommends \
		-t "$codename-backports" "$QEMU_PACKAGE" ||
		die "apt could not install $QEMU_PACKAGE of $codename-backports; see above"
}

main() {
	local missing

	{ have dpkg-query && have apt-get; } ||
		die "this needs Debian 12 or newer (apt); install by hand what deps.sh names: ${PACKAGES[*]} $QEMU_PACKAGE"
	mapfile -t missing < <(missing_packages)
	if [ "${#missing[@]}" -gt 0 ]; then
		msg "installing (root): ${missing[*]}"
		quietly apt-update as_root apt-get update ||
			die "apt-get update failed; check the network"
		quietly apt-install as_root env DEBIAN_FRONTEND=noninteractive \
			apt-get install -y --no-install-recommends "${missing[@]}" ||
			die "apt could not install: ${missing[*]}; see above"
	fi
	[ -n "$QEMU" ] || return 0
	qemu_is_good || install_qemu
	qemu_is_good || die "QEMU $QEMU_MIN or newer is needed; $QEMU is still older or missing"
}

main "$@"; exit
