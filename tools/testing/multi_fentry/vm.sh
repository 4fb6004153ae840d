#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Boot a kernel under QEMU with the host's files below it; run a command there
# or give a shell. `vm.sh --help` tells the options. With another ARCH than the
# machine's the guest has user space of its own, see sysroot.sh.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

usage() {
	cat <<'END'
usage: vm.sh [options] [-- command ...]
  --kernel IMAGE   boot this kernel image (default: the patched kernel, or the
                   base kernel when BASE=1, built when it has to be)
  --dir DIR        directory the command starts in (default: the checkout)
  --name NAME      keep the console and the output in build/vm-out/NAME
Environment, each also a make variable:
  RUN='cmd'        command line to run; without it and without a command: a shell
  BASE=1           the base kernel instead of the patched one
  ARCH=x86_64      or arm64
  CPUS=2 MEM=4G    size of the guest
  TIMEOUT=600      seconds until the guest counts as hung (0: never)
  BOOT_TIMEOUT=180 seconds until it has to have booted; it is tried three times
  ICOUNT=1         one CPU whose clock counts executed instructions
  CPU=max          emulate QEMU's model of that processor, instead of KVM
  TCG=single       without KVM: run the guest's CPUs in turn, in one thread
  APPEND='...'     more kernel parameters
  EXPECT_SPLAT=re  console lines that match are no failure
  NAME=name        as --name
In the guest, $OUT is a writable directory that the host sees as build/vm-out/NAME.
Exit status: that of the command; 99 when the kernel complained, 98 when the
guest died before the command ended, 124 when it hung.
END
}

# A line of these on the console fails the run.
SPLAT='\bWARNING: |\bBUG: |kernel BUG at|\bOops\b|Kernel panic|KASAN:|KCSAN:|KMSAN:|UBSAN:|KFENCE:'
SPLAT+='|general protection fault|unable to handle|invalid opcode|int3: 0000|traps: PANIC|double fault'
SPLAT+='|INFO: (possible|task .* blocked|rcu.*(stall|detected)|suspicious|inconsistent)|rcu: .*(stall|starved)'
SPLAT+='|soft lockup|hard LOCKUP|DEADLOCK|refcount_t: |list_(add|del) corruption|bad unlock balance'
SPLAT+='|Internal error: |Unable to handle kernel|Unhandled fault|Insufficient stack space|Bad mode in '
SPLAT+='|SError Interrupt|Unexpected kernel (BRK|single-step)|undefined instruction: '
SPLAT+='|Unhandled rela|ftrace (bug|failed)|FTRACE BUG|unregister_netdevice: waiting'

parse_args() {
	KERNEL_IMAGE=
	DIR=$TOP
	NAME=${NAME:-}
	COMMAND=${RUN:-}
	while [ $# -gt 0 ]; do
		case $1 in
		--kernel) KERNEL_IMAGE=$2; shift 2 ;;
		--dir) DIR=$2; shift 2 ;;
		--name) NAME=$2; shift 2 ;;
		--help | -h) usage; exit 0 ;;
		--) shift; printf -v COMMAND '%q ' "$@"; break ;;
		*) usage >&2; die "unknown option $1" ;;
		esac
	done
	case ${BASE:-} in
	'' | 0) WHICH=patched ;;
	*) WHICH=base ;;
	esac
	DIR=$(cd "$DIR" && pwd -P)
}

# Busybox and init; made anew whenever one of them changed.
make_initramfs() {
	local busybox tmp

	busybox=$SYSROOT/bin/busybox
	{ [ -x "$busybox" ] && ! ldd "$busybox" >/dev/null 2>&1; } ||
		die "$busybox is missing or not static; install busybox-static (deps.sh does)"
	INITRD=$BUILD/initramfs$TAG.cpio.gz
	if [ "$INITRD" -nt "$WORKSHOP/guest-init" ] && [ "$INITRD" -nt "$busybox" ]; then
		return 0
	fi
	tmp=$(mktemp -d "$BUILD/initramfs.XXXXXX")
	mkdir "$tmp/bin"
	cp "$busybox" "$tmp/bin/busybox"
	install -m 755 "$WORKSHOP/guest-init" "$tmp/init"
	(cd "$tmp" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) >"$tmp.gz"
	mv "$tmp.gz" "$INITRD"
	rm -rf "$tmp"
}

# /dev/kvm may exist and yet not work (nested virtualization); only a boot tells.
# Guests that start at the same time each ask for themselves.
kvm_works() {
	local stamp tmp

	stamp=$BUILD/.kvm-$(cat /proc/sys/kernel/random/boot_id)
	tmp=$stamp.$$
	[ "$(uname -m)" = "$ARCH" ] && [ -w /dev/kvm ] || return 1
	if [ ! -e "$stamp" ]; then
		find "$BUILD" -maxdepth 1 -name '.kvm-*' ! -path "$stamp*" -delete
		timeout -k 1 20 "$QEMU" -machine q35 -accel kvm -cpu host \
			-m 512M -nodefaults -display none -no-reboot -serial stdio \
			-kernel "$KERNEL_IMAGE" -initrd "$INITRD" \
			-append "console=ttyS0 panic=-1 mf.probe" </dev/null 2>&1 9>&- |
			grep -c 'multi-fentry: probe ok' >"$tmp" || true
		mv "$tmp" "$stamp"
	fi
	grep -qx '[1-9]' "$stamp"
}

# What QEMU and the kernel have to be told of the machine. Pointer authentication
# by the architected algorithm makes an emulated guest several times slower.
machine_args() {
	case $ARCH in
	x86_64)
		MACHINE=q35 CPU_DEFAULT=max
		KERNEL_ARGS=(console=ttyS0 tsc=reliable)
		# The same addresses in each boot give the same counts.
		COUNT_ARGS=nokaslr
		;;
	arm64)
		MACHINE=virt,gic-version=3 CPU_DEFAULT=max,pauth-impdef=on
		KERNEL_ARGS=(console=ttyAMA0)
		# Counting, an idle guest jumps to its next timer, which without a
		# tick may be minutes away. No nokaslr: it is KASLR that puts BPF
		# programs and trampolines out of the reach of branches.
		COUNT_ARGS=nohz=off
		;;
	esac
}

accel_args() {
	local emulate=${CPU:-}

	CPU=${CPU:-$CPU_DEFAULT}
	if [ -n "${ICOUNT:-}" ] && [ "$ICOUNT" != 0 ]; then
		CPUS=1
		ACCEL=(-accel "tcg,thread=single" -cpu "$CPU" -icount "shift=0,sleep=off")
		APPEND="$COUNT_ARGS ${APPEND:-}"
	elif [ -z "$emulate" ] && kvm_works; then
		ACCEL=(-accel kvm -cpu host)
	else
		ACCEL=(-accel "tcg,thread=${TCG:-multi}" -cpu "$CPU")
	fi
}

# Files under a directory that the guest covers with a tmpfs stay visible
# where the command may need them.
list_binds() {
	local d

	for d in "$TOP" "$DIR" "$CACHE"; do
		case $d/ in
		/tmp/?* | /run/?*) [ ! -d "$d" ] || echo "$d" ;;
		/usr/* | /etc/* | /bin/* | /sbin/* | /lib*/*)
			[ -z "$SYSROOT" ] || die "a guest of $ARCH cannot show $d: that part of its file system is its own"
			;;
		esac
	done | sort -u
}

# Everything the guest's init reads, in the directory it shares with us.
prepare_out() {
	local path=/usr/sbin:/usr/bin:/sbin:/bin

	[ -n "$SYSROOT" ] || path=/usr/local/sbin:/usr/local/bin:$path
	mkdir -p "$BUILD/vm-out"
	if [ -n "$NAME" ]; then
		OUT=$BUILD/vm-out/$NAME
		mkdir -p "$OUT"
	else
		OUT=$(mktemp -d "$BUILD/vm-out/$WHICH.XXXXXX")
	fi
	CTL=$OUT/.vm
	CONSOLE=$OUT/console.log
	rm -rf "$CTL" "$CONSOLE"
	mkdir "$CTL"
	list_binds >"$CTL/binds"
	[ -z "$SYSROOT" ] || echo "$SYSROOT" >"$CTL/sysroot"
	echo "$WHICH$TAG" >"$CTL/hostname"
	{
		echo '#!/bin/bash'
		echo "export PATH=$path"
		echo 'export HOME=/tmp TMPDIR=/tmp OUT=/run/out LC_ALL=C'
		printf 'export TERM=%q MF_KERNEL=%q\n' "${TERM:-dumb}" "$WHICH"
		printf 'cd %q || exit 98\n' "$DIR"
		if [ -n "$COMMAND" ]; then
			printf '%s\n' "$COMMAND"
		else
			stty size 2>/dev/null | awk '{ print "stty rows", $1, "cols", $2 }' || true
			echo 'exec bash -i'
		fi
	} >"$CTL/cmd"
	chmod 755 "$CTL/cmd"
	[ -n "$COMMAND" ] || : >"$CTL/interactive"
}

console_args() {
	PORTS=(-device virtio-serial-pci)
	if [ -z "$COMMAND" ]; then
		PORTS+=(-chardev "stdio,id=con,signal=off" -device "virtconsole,chardev=con")
		return 0
	fi
	mkfifo "$CTL/out" "$CTL/err"
	PORTS+=(
		-chardev "file,id=out,path=$CTL/out" -device "virtserialport,chardev=out,nr=1"
		-chardev "file,id=err,path=$CTL/err" -device "virtserialport,chardev=err,nr=2"
	)
	cat "$CTL/out" &
	READERS=($!)
	cat "$CTL/err" >&2 &
	READERS+=($!)
}

# QEMU may have died before it opened the pipes: open and close them, so that
# the readers come to their end in any case.
end_readers() {
	local p

	[ "${#READERS[@]}" -gt 0 ] || return 0
	for p in out err; do
		: 3<>"$CTL/$p"
	done
	wait "${READERS[@]}" 2>/dev/null || true
}

# A kernel that hangs before it runs anything, in QEMU or for want of a CPU: that is
# not what anybody tests here.
watch_boot() {
	local i

	for ((i = 0; i < BOOT_TIMEOUT; i++)); do
		sleep 1
		[ ! -e "$CTL/booted" ] && [ ! -e "$CTL/ended" ] || return 0
	done
	: >"$CTL/hangs"
	kill "$(cat "$CTL/pid")"
}

# boot_guest: as run_guest, three times if it hangs.
boot_guest() {
	local status=0 tries watch

	for tries in 1 2 3; do
		rm -f "$CTL/hangs" "$CTL/ended" "$CTL/pid" "$CTL/out" "$CTL/err"
		status=0
		console_args
		watch_boot 9>&- &
		watch=$!
		run_guest || status=$?
		: >"$CTL/ended"
		wait "$watch" || true
		end_readers
		[ -e "$CTL/hangs" ] || break
		msg "note: the guest did not boot within $BOOT_TIMEOUT s (try $tries of 3)"
	done
	return "$status"
}

run_guest() {
	local append=("${KERNEL_ARGS[@]}" panic=-1 oops=panic loglevel=7 "rcupdate.rcu_cpu_stall_timeout=90")
	local input=/dev/null

	[ -n "$COMMAND" ] || input=/dev/stdin
	# shellcheck disable=SC2206 # kernel parameters are words
	append+=(${APPEND:-})
	timeout --foreground -k 5 "$TIMEOUT" "$QEMU" \
		-name "multi-fentry-$WHICH" -machine "$MACHINE" "${ACCEL[@]}" \
		-smp "$CPUS" -m "$MEM" -nodefaults -display none -no-reboot \
		-kernel "$KERNEL_IMAGE" -initrd "$INITRD" -append "${append[*]}" \
		-serial "file:$CONSOLE" "${PORTS[@]}" \
		-virtfs "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap" \
		-virtfs "local,path=$OUT,mount_tag=out,security_model=none" \
		-pidfile "$CTL/pid" \
		<"$input" 2>"$CTL/qemu.err" 9>&-
}

show_console() {
	sed 's/\r$//; s/^/  | /' | cut -c1-180 >&2
}

# What the kernel itself said decides before the command's exit status does.
judge() {
	local status=$1 splat

	splat=$(grep -anE "$SPLAT" "$CONSOLE" 2>/dev/null |
		{ grep -vE "${EXPECT_SPLAT:-^\$}" || true; } | head -n 1)
	if [ -n "$splat" ]; then
		# the line itself: of a long run this may be all that is kept
		msg "error: the $WHICH kernel complained: $(tr -d '\r' <<<"${splat#*:}")"
		msg "$CONSOLE from there on:"
		tail -n "+${splat%%:*}" "$CONSOLE" | head -n 40 | show_console
		return 99
	fi
	if [ "$status" = 124 ] || [ "$status" = 137 ]; then
		msg "error: the guest did not end within $TIMEOUT s (TIMEOUT= sets it); its console ends:"
		tail -n 15 "$CONSOLE" | show_console
		return 124
	fi
	if [ ! -s "$CTL/status" ]; then
		msg "error: the guest died before the command ended (QEMU's status $status); its console ends:"
		{ cat "$CTL/qemu.err"; tail -n 15 "$CONSOLE" 2>/dev/null; } | show_console
		return 98
	fi
	return "$(cat "$CTL/status")"
}

main() {
	local status=0

	parse_args "$@"
	[ -n "$QEMU" ] || die "kernels of $ARCH are only built, not booted"
	have "$QEMU" || "$WORKSHOP/deps.sh"
	mkdir -p "$BUILD"
	if [ -z "$KERNEL_IMAGE" ]; then
		KERNEL_IMAGE=$("$WORKSHOP/kernel.sh" "$WHICH")/$IMAGE
	fi
	[ -r "$KERNEL_IMAGE" ] || die "no kernel image at $KERNEL_IMAGE"
	CPUS=${CPUS:-2} MEM=${MEM:-4G} TIMEOUT=${TIMEOUT:-600}
	[ -n "$COMMAND" ] || TIMEOUT=0
	BOOT_TIMEOUT=${BOOT_TIMEOUT:-180}
	READERS=()
	SYSROOT=
	[ "$ARCH" = x86_64 ] || SYSROOT=$("$WORKSHOP/sysroot.sh")
	make_initramfs
	machine_args
	accel_args
	prepare_out
	boot_guest || status=$?
	judge "$status" || status=$?
	[ "$status" -ne 0 ] || [ -n "$NAME" ] || rm -rf "$OUT"
	exit "$status"
}

main "$@"; exit
