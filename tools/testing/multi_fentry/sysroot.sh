#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# sysroot.sh: print the cache entry that holds the user space of ARCH: what its
# guests run, and the headers and libraries to build for it. Made of Debian
# packages of that architecture, which are unpacked, not installed.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=apt.sh
. "$WORKSHOP/apt.sh"

# apt adds what these depend on.
PACKAGES=(
	bash dash coreutils debianutils diffutils findutils grep gzip hostname mawk sed tar
	util-linux mount procps kmod iproute2 iputils-ping ethtool keyutils openssl
	busybox-static libc6-dev libcap-dev libelf-dev libssl-dev libzstd-dev zlib1g-dev
)
KEEP=2

ingredients() {
	(. /etc/os-release && echo "$ID ${VERSION_CODENAME:-} $ARCH")
	echo "recipe $(key_of <"$WORKSHOP/sysroot.sh")"
}

fetch() {
	local -x APT_WITH_OWN=1 APT_FOREIGN=$ARCH

	msg "fetching the user space of $ARCH (Debian packages, 45 MB) ..."
	apt_private "sysroot$TAG" ||
		die "no package list for $ARCH; check the network, and that the machine's Debian mirror has $ARCH"
	quietly "sysroot$TAG" apt-get "${APT_OPTS[@]}" -y --no-install-recommends \
		--download-only install "${PACKAGES[@]}" ||
		die "apt could not fetch the packages of $ARCH; see build/log/sysroot$TAG.log"
}

# unpack <directory>: the links of a merged /usr first, as Debian has them; what
# maintainer scripts would have added, last.
unpack() {
	local dir deb file

	for dir in bin sbin lib; do
		mkdir -p "$1/usr/$dir"
		ln -s "usr/$dir" "$1/$dir"
	done
	for deb in "$CACHE/apt/sysroot$TAG/cache/archives/"*.deb; do
		dpkg-deb --fsys-tarfile "$deb" |
			tar -x -C "$1" --keep-directory-symlink --no-same-owner \
				--exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' \
				--exclude='./usr/share/locale/*' --exclude='./var/*'
	done
	# The guest has the host's; a link to them must not lead to the builder's.
	rm -rf "${1:?}"/{boot,dev,home,media,mnt,opt,proc,root,run,srv,sys,tmp,var}
	ln -sf mawk "$1/usr/bin/awk"
	[ -e "$1/usr/bin/which" ] || ln -s which.debianutils "$1/usr/bin/which"
	echo 'root:x:0:0:root:/root:/bin/bash' >"$1/etc/passwd"
	echo 'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin' >>"$1/etc/passwd"
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$1/etc/group"
	echo '127.0.0.1 localhost' >"$1/etc/hosts"
	relative_links "$1"
	for file in bin/bash bin/busybox usr/include/libelf.h; do
		[ -e "$1/$file" ] || die "the packages of $ARCH lack $file"
	done
}

# An absolute link leads to the builder's own files until one is in the guest.
relative_links() {
	local link to

	find "$1" -type l -lname '/*' | while read -r link; do
		to=$(readlink "$link")
		ln -sfnr "$1$to" "$link"
	done
}

main() {
	local entry tmp

	[ "$ARCH" != x86_64 ] || die "a guest of x86_64 runs on the machine's own files"
	entry=$CACHE/sysroots/$ARCH-$(ingredients | key_of)
	if [ ! -d "$entry" ]; then
		need_space "$CACHE" 600 "the user space of $ARCH"
		mkdir -p "$CACHE/sysroots"
		# Guests start side by side.
		exec 8>"$CACHE/sysroots/lock"
		flock 8
	fi
	if [ ! -d "$entry" ]; then
		fetch
		tmp=$(mktemp -d "$entry.tmp.XXXXXX")
		chmod 755 "$tmp"
		unpack "$tmp"
		# newer than any initramfs that was made with another one's busybox
		touch "$tmp/bin/busybox"
		cache_commit "$tmp" "$entry"
		cache_prune "$CACHE/sysroots" "$KEEP"
		rm -rf "$CACHE/apt/sysroot$TAG/cache"
	fi
	touch "$entry"
	echo "$entry"
}

main "$@"; exit
