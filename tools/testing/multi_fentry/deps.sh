#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Install what the workshop needs, by Debian package name. Does nothing, and
# asks for nothing, when all of it is there.
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

	v=$(qemu-system-x86_64 --version 2>/dev/null | sed -n '1s/.*version \([0-9.]*\).*/\1/p')
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
	candidate=$(apt-cache policy qemu-system-x86 | awk '/Candidate:/ { print $2 }')
	if dpkg --compare-versions "${candidate#*:}" ge "$QEMU_MIN" 2>/dev/null; then
		msg "installing (root): qemu-system-x86"
		quietly apt-qemu as_root env DEBIAN_FRONTEND=noninteractive \
			apt-get install -y --no-install-recommends qemu-system-x86 ||
			die "apt could not install qemu-system-x86; see above"
		return
	fi
	APT_WITH_OWN=1 apt_private qemu "$codename-backports" ||
		die "no package list for $codename-backports; check the network, or install QEMU >= $QEMU_MIN yourself"
	msg "installing (root): qemu-system-x86 of $codename-backports"
	quietly apt-qemu as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get "${APT_OPTS[@]}" install -y --no-install-recommends \
		-t "$codename-backports" qemu-system-x86 ||
		die "apt could not install qemu-system-x86 of $codename-backports; see above"
}

main() {
	local missing

	x86_only
	{ have dpkg-query && have apt-get; } ||
		die "this needs Debian 12 or newer (apt); install by hand what deps.sh names: ${PACKAGES[*]} qemu-system-x86"
	mapfile -t missing < <(missing_packages)
	if [ "${#missing[@]}" -gt 0 ]; then
		msg "installing (root): ${missing[*]}"
		quietly apt-update as_root apt-get update ||
			die "apt-get update failed; check the network"
		quietly apt-install as_root env DEBIAN_FRONTEND=noninteractive \
			apt-get install -y --no-install-recommends "${missing[@]}" ||
			die "apt could not install: ${missing[*]}; see above"
	fi
	qemu_is_good || install_qemu
	qemu_is_good || die "QEMU $QEMU_MIN or newer is needed; qemu-system-x86_64 is still older or missing"
}

main "$@"; exit
