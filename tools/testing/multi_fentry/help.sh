#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
cat <<'END'
make help       this text
make demo       one program on every kernel function, on the patched and on the base kernel
make check      all tests; ends with "N passed, M failed"
make check-series   each patch by itself: size, checkpatch, build, boot, tests (hours)
make check-configs  kernels that are configured otherwise, among them PREEMPT_RT, SMP=n,
                and kCFI, and one of riscv: build, tests (hours)
make unit       the set engine's and the JIT's tests in user space (seconds, once the tree is there)
make vm         boot the patched kernel: a shell, or RUN='command'
make bench      attach, detach, memory: patched, base and other tracers in one run;
                a call of a traced function on this machine's processor; table,
                CSV and SVG; bench.sh overlap, latency and triggers measure more
make selftests  the kernel's selftests of trampolines, base and patched side by side
make series     the patches for `git am`, in build/series
make tree       the patched kernel tree, built, in build/linux
make refresh    take edits made in build/linux back into this repository
make clean      remove build/ (the cache in ~/.cache/multi-fentry stays)

Variables
  KERNEL=DIR         take the kernel source from this tree (it is only read)
  BASE=1             vm: the kernel without the series
  RUN='cmd'          vm: run this instead of a shell; its exit status is make's
  CPUS=2 MEM=4G      vm: size of the guest
  TIMEOUT=600        vm: seconds until a guest counts as hung
  ICOUNT=1           vm: one CPU, whose clock counts executed instructions
  APPEND='...'       vm: more kernel parameters
  EXPECT_SPLAT=re    vm: kernel complaints that match are no failure
  NAME=name          vm: keep console and output in build/vm-out/name ($OUT in the guest)
  DEBUG=1            check: the selftests on a debug kernel, too (an hour more)
  HARDENED=1         check: the selftests on an arm64 kernel with BTI and a shadow call
                     stack, too (ARCH=arm64)
  ARGS='...'         unit, demo, bench: arguments for their program
  REPEAT=1           check: how often the new selftests run once more;
                     check-configs: how often the selftests run
  CPU=max            vm: emulate QEMU's model of that processor, instead of KVM
  TCG=single|multi   vm: QEMU threads for the guest's CPUs (multi; selftests, funccount: single)
  STEPS='1 5-9'      check-series: these patches only
  ARCHES='x86_64'    check-series, check-configs: on these architectures only
  AGAIN=1            check-series: what has passed, too
  BOOT=0             check-series: build only; ARCHES='' does not even build
  CONFIGS='rt lazy'  check-configs: these only (configs/README)
  JOBS=N             parallel jobs of a build
  DISCARD=1          drop edits in build/linux that were not refreshed
  XDG_CACHE_HOME     where the cache of kernels and packages lies
  ARCH=x86_64|arm64  the kernel's architecture (x86_64), for all but series, refresh,
                     check-series and check-configs, which have ARCHES; arm64 is
                     cross-built and always emulated
END
