#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Test each mode of funccount on the running kernel, as root.
# FUNCCOUNT: the program; KMOD: bpf_testmod.ko of the BPF selftests, for modules.
# Ends with status 0 if all tests passed, 1 if one failed, 4 if there was nothing to test.
# shellcheck disable=SC2015,SC2317,SC2001 # A && B || why; tests are called by name

FUNCCOUNT=${FUNCCOUNT:-$(dirname "$0")/funccount}
KMOD=${KMOD:-$(dirname "$0")/../../testing/selftests/bpf/bpf_testmod.ko}
TRACEFS=/sys/kernel/tracing
T=$(mktemp -d)
NR=0 FAILED=0
HALF_ATTACH=0

cleanup() {
	jobs -p | xargs -r kill -9 2>/dev/null
	rm -rf "$T"
}
trap cleanup EXIT

comment() { sed 's/^/# /' <<<"$*"; }

# ok <name> <command ...>: one test; what it left in $T is shown if it fails.
ok() {
	local name=$1

	shift
	NR=$((NR + 1))
	: >"$T/out"
	: >"$T/err"
	: >"$T/why"
	if "$@" 2>"$T/trace"; then
		echo "ok $NR - $name"
		return
	fi
	FAILED=$((FAILED + 1))
	echo "not ok $NR - $name"
	head -n 20 "$T/why" "$T/trace" "$T/err" "$T/out" | sed 's/^/# /'
}

skip() {
	NR=$((NR + 1))
	echo "ok $NR - $1 # SKIP $2"
}

why() {
	echo "$*" >>"$T/why"
	return 1
}

# run <status> <arguments ...>: of funccount, which is to end with this status.
run() {
	local want=$1 st=0

	shift
	timeout -k 5 120 "$FUNCCOUNT" "$@" >"$T/out" 2>"$T/err" || st=$?
	[ "$st" = "$want" ] || why "funccount $* ended with $st, and not $want"
}

# says <text>, shows <text>: on the standard error; on the output.
says() { grep -qF -- "$1" "$T/err" || why "it does not say: $1"; }
shows() { grep -qE -- "$1" "$T/out" || why "it does not show: $1"; }
lacks() { ! grep -qE -- "$1" "$T/out" || why "it shows: $1"; }

# start <arguments ...>: until it counts; then stop <signal>.
start() {
	local i

	"$FUNCCOUNT" "$@" >"$T/out" 2>"$T/err" &
	PID=$!
	for ((i = 0; i < 600; i++)); do
		! grep -q '^funccount: counting' "$T/err" || return 0
		[ -e "/proc/$PID" ] || break
		sleep 0.1
	done
	why "funccount $* did not begin to count"
}

stop() {
	local st=0

	kill "-$1" "$PID"
	wait "$PID" || st=$?
	[ "$st" = "${2:-0}" ] || why "it ended with $st after $1, and not ${2:-0}"
}

# calls_of <function>: what the table says.
calls_of() { awk -v f="$1" '$1 == f { print $2; exit }' "$T/out"; }

between() {
	[ "${1:-0}" -ge "$2" ] && [ "${1:-0}" -le "$3" ] || why "$4: $1 is not in $2..$3"
}

# field <name>: the number of the last object of the JSON.
field() { tail -n 1 "$T/out" | sed -nE "s/^[^[]*\"$1\": ([0-9.]+).*/\1/p"; }

load() { dd if=/dev/zero of=/dev/null bs=1 count="${1:-20000}" status=none; }

# until_killed <command ...>: over and over, in the background.
until_killed() { while :; do "$@"; done & BACKGROUND=$!; }
kill_background() { kill "$BACKGROUND"; wait "$BACKGROUND"; true; }

test_usage() {
	run 0 -h && shows Usage && run 0 -V && shows libbpf &&
		run 1 && says "A pattern is missing" &&
		run 1 -d nothing 'vfs_*' && says "is no number of seconds" &&
		run 1 -L -e 'vfs_*' && says "do not go together" &&
		run 1 -x 'vfs_*'
}

is_sorted() {
	awk 'NR > 2 && NF == 3 && $2 + 0 > last { exit 1 } { last = $2 + 0 }' "$T/out" ||
		why "the table is not in order"
}

test_count() {
	start 'vfs_*' || return
	load 5000
	stop INT &&
		between "$(calls_of vfs_write)" 5000 6000 "calls of vfs_write" &&
		shows '^FUNCTION +CALLS +CALLS/s$' && shows ' 0 calls missed' && is_sorted
}

# A kernel with PREEMPT_RT has no light programs.
test_light() {
	run 0 -v -d 1 vfs_read && says "the program is light and reentrant" &&
		run 0 -v -e -d 1 vfs_read && says "the program is light and reentrant" &&
		run 0 -v -L -d 1 vfs_read && says "the program is light"
}

test_duration() {
	local before=$SECONDS

	run 0 -d 2 'vfs_*' && between $((SECONDS - before)) 2 60 "seconds" &&
		shows ' in 2\.[0-9]+ s'
}

test_patterns() {
	until_killed load
	run 0 -n 0 -d 1 'vfs_*,ksys_*' 'do_sys_openat*' '!vfs_read' '!*_write'
	kill_background
	shows '^ksys_read ' && lacks '^vfs_read ' && lacks '^(vfs|ksys)_write '
}

test_top() {
	until_killed load
	run 0 -n 2 -d 1 'vfs_*' 'ksys_*'
	kill_background
	[ "$(grep -cE '^(vfs|ksys)_' "$T/out")" = 2 ] && shows 'more functions, -n 0 shows all'
}

test_interval() {
	until_killed load
	run 0 -i 0.5 -d 1.5 vfs_read vfs_write
	kill_background
	[ "$(grep -c '^FUNCTION' "$T/out")" = 4 ] && shows '^In all:'
}

test_terminal() {
	script -qec "$FUNCCOUNT -i 1 -d 3 '*'" "$T/typescript" >"$T/out" </dev/null ||
		why "it failed on a terminal" || return
	grep -q 'attaching to \*' "$T/typescript" || why "no progress" || return
	grep -q $'\033\[H\033\[J' "$T/typescript" || why "it clears no screen"
}

# Not every machine has Python.
is_json() {
	command -v python3 >/dev/null || return 0
	python3 -m json.tool "$T/out" >/dev/null || why "that is no JSON"
}

are_json() {
	command -v python3 >/dev/null || return 0
	python3 -c 'import json, sys; [json.loads(l) for l in sys.stdin]' <"$T/out" ||
		why "these are no lines of JSON"
}

test_json() {
	until_killed load
	run 0 -j -d 1 'vfs_*' && is_json && run 0 -j -i 0.5 -d 1 'vfs_*' && are_json &&
		[ "$(grep -c interval "$T/out")" = 2 ] && run 0 -j -L -d 1 'vfs_*' && is_json &&
		run 0 -j -e -d 1 '*open*' && is_json && run 0 -j -s -n 3 -d 1 'vfs_*' && is_json &&
		shows '"stacks": \[\{"samples"'
	local st=$?
	kill_background
	return "$st"
}

# has_all <function>: the histogram is of all calls.
has_all() {
	awk -v f="$1:" '
		$1 == f { want = $2; on = 1; next }
		on && / -> / { for (i = 1; i < NF; i++) if ($i == ":") have += $(i + 1) }
		on && /^$/ { on = 0 }
		END { exit !want || want != have }' "$T/out" ||
		why "the histogram is not of all calls"
}

test_latency() {
	start -L hrtimer_nanosleep vfs_write || return
	for _ in 1 2 3 4 5; do sleep 0.1; done
	load 1000
	stop INT && shows '^hrtimer_nanosleep: [5-7] calls' && shows 'nanoseconds : calls' &&
		between "$(awk '$1 == "hrtimer_nanosleep" { print $3 }' "$T/out")" \
			100000000 200000000 "average of sleep 0.1" && has_all vfs_write
}

test_errors() {
	local i

	start -n 0 -e "do_fil?_open" vfs_statx vfs_write || return
	for ((i = 0; i < 100; i++)); do
		[ ! -e "/nonexistent/$i" ]
		{ : <"/nonexistent/$i"; } 2>/dev/null
	done
	stop INT && lacks '^vfs_write ' &&
		between "$(awk '$1 == "vfs_statx" { print $3 }' "$T/out")" 100 120 "errors" &&
		shows '^do_fil[ep]_open .* ENOENT 1[0-9][0-9]' &&
		shows '^vfs_statx .* ENOENT 1[0-9][0-9]'
}

test_stacks() {
	until_killed load
	run 0 -s -n 2 -d 1 vfs_read vfs_write
	kill_background
	shows '^Callers of vfs_write: [1-9]' && lacks '%  bpf_' &&
		shows '^ +[0-9]+ +[0-9.]+ %  (ksys|__[a-z0-9]+_sys)_write'
}

# By a process that ends: so does funccount.
test_pid() {
	local target st=0

	sh -c 'kill -STOP $$; exec dd if=/dev/zero of=/dev/null bs=1 count=10000 status=none' &
	target=$!
	until_killed load
	while ! grep -q '^State:.T' "/proc/$target/status"; do sleep 0.1; done
	start -p "$target" vfs_read vfs_write || st=1
	kill -CONT "$target"
	[ "$st" = 0 ] && wait "$PID" || why "it failed"
	st=$?
	kill_background
	wait "$target"
	[ "$st" = 0 ] && between "$(calls_of vfs_write)" 10000 10000 "writes of the process" &&
		run 1 -p 4194303 vfs_read && says "cannot watch process"
}

test_no_match() {
	run 1 'no_such_function_*' && says "no function to attach to" && lacks . &&
		run 1 no_such_function && says "there is no function no_such_function" &&
		run 1 'vfs_*' '!*' && says "no function to attach to" &&
		run 1 'a b' && says "unexpected ' '" &&
		run 1 -m no_such_module && says "is not loaded" &&
		run 1 -L do_exit && says "__noreturn" && says "the only function" &&
		! grep -q "modules have to be loaded" "$T/err"
}

test_no_permission() {
	local st=0

	install -m 755 "$FUNCCOUNT" "$T/funccount"
	chmod 755 "$T"
	timeout 60 setpriv --reuid=65534 --regid=65534 --clear-groups "$T/funccount" 'vfs_*' \
		>"$T/out" 2>"$T/err" || st=$?
	[ "$st" = 1 ] && says "run funccount as root, or with CAP_BPF and CAP_PERFMON" && lacks . &&
		[ "$(wc -l <"$T/err")" = 1 ]
}

# These are all that it takes; names of modules take another one.
test_capabilities() {
	local st=0

	until_killed load
	setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all,+bpf,+perfmon \
		--ambient-caps=+bpf,+perfmon "$T/funccount" -d 1 'vfs_*' \
		>"$T/out" 2>"$T/err" || st=$?
	kill_background
	[ "$st" = 0 ] && shows 'calls of [1-9]'
}

test_no_btf() {
	local st=0

	unshare -m sh -c "mount -t tmpfs none /sys/kernel/btf && exec $FUNCCOUNT -d 1 'vfs_*'" \
		>"$T/out" 2>"$T/err" || st=$?
	[ "$st" = 1 ] && says CONFIG_DEBUG_INFO_BTF && lacks .
}

# Nothing of ftrace's files is needed.
test_no_tracefs() {
	unshare -m sh -c "umount -l $TRACEFS; umount -l /sys/kernel/debug
		[ ! -e $TRACEFS/available_filter_functions ] && exec $FUNCCOUNT -d 1 '*'" \
		>"$T/out" 2>"$T/err" || why "it fails without tracefs" || return
	shows 'calls of [1-9]' && ! grep 'failed to open' "$T/err"
}

# attach_and_kill <signal> <status> <seconds>: so long after it began to wait for signals
attach_and_kill() {
	"$FUNCCOUNT" '*' >"$T/out" 2>"$T/err" &
	PID=$!
	while ! grep -q '^SigBlk:.*4002$' "/proc/$PID/status"; do
		[ -e "/proc/$PID" ] || why "it has ended" || return
	done
	sleep "$3"
	stop "$1" "$2" || return
	[ ! -s "$T/out" ] && [ ! -s "$T/err" ] || why "it says something"
}

# In the middle of it, and before it has begun
test_interrupt_attach() {
	attach_and_kill INT 130 "$HALF_ATTACH" && attach_and_kill TERM 143 0 &&
		run 0 -d 1 'vfs_*'
}

test_interrupt_count() {
	start 'vfs_*' && load 1000 && stop TERM && shows '^vfs_write ' &&
		start -i 10 'vfs_*' && load 1000 && stop INT && shows '^In all:' &&
		start -j 'vfs_*' && load 1000 && stop INT && is_json
}

test_module() {
	insmod "$KMOD" || return
	start -m bpf_testmod 'bpf_testmod_*' || return
	cat /sys/kernel/bpf_testmod >/dev/null 2>&1
	! rmmod bpf_testmod 2>/dev/null || why "a module that is counted was removed" || return
	stop INT && shows '^bpf_testmod_test_read \[bpf_testmod\] +[1-9]' &&
		run 0 -e -s -d 1 'bpf_testmod:*' 'vfs_*' &&
		run 0 -j -d 1 '*:bpf_testmod_*' && is_json &&
		rmmod bpf_testmod && run 1 -m bpf_testmod && says "is not loaded"
}

# All functions: how long until it counts, and does it come to an end?
test_all() {
	run 0 -j -n 5 -d 2 '*' && is_json || return
	comment "$(field attached) functions, $(field left_out) left out," \
		"$(field calls) calls, $(field missed) missed;" \
		"attached in $(field attach_seconds) s, counting after $(field start_seconds) s"
	HALF_ATTACH=$(awk -v a="$(field attach_seconds)" 'BEGIN { print a / 2 }')
	between "$(field attached)" 10000 1000000 functions &&
		awk -v a="$(field attach_seconds)" -v s="$(field start_seconds)" \
			'BEGIN { exit s > 1.5 * a }' || why "more than 1.5 times the attach"
}

test_all_modes() {
	until_killed stat /nonexistent
	run 0 -L -d 1 '*' && shows '^AVERAGE|nanoseconds : calls' && run 0 -e -d 1 '*' &&
		shows 'ENOENT [1-9]'
	local st=$?
	kill_background
	return "$st"
}

busy() {
	load 2000
	ls -R /sys/kernel/btf /proc/self >/dev/null
	find /proc/self/fd /tmp -maxdepth 1 | sort | wc -l >/dev/null
}

# What another counter of the kernel says of $T/names: the function profiler, else kprobes.
other_begin() {
	local name i=0

	if [ -e "$TRACEFS/function_profile_enabled" ]; then
		echo 0 >"$TRACEFS/function_profile_enabled"
		: >"$TRACEFS/set_ftrace_filter"
		while read -r name; do
			echo "$name" >>"$TRACEFS/set_ftrace_filter"
		done <"$T/names"
		echo 1 >"$TRACEFS/function_profile_enabled"
	else
		while read -r name; do
			i=$((i + 1))
			echo "p:fc/f$i $name" >>"$TRACEFS/kprobe_events"
		done <"$T/names"
		echo 1 >"$TRACEFS/events/fc/enable"
	fi
}

other_read() {
	if [ -e "$TRACEFS/function_profile_enabled" ]; then
		cat "$TRACEFS"/trace_stat/function* |
			awk '$2 ~ /^[0-9]+$/ { c[$1] += $2 } END { for (f in c) print f, c[f] }'
	else
		awk 'NR == FNR { name["f" NR] = $1; next }
			$1 in name { print name[$1], $2 + $3 }' "$T/names" "$TRACEFS/kprobe_profile"
	fi | sort
}

other_end() {
	if [ -e "$TRACEFS/function_profile_enabled" ]; then
		echo 0 >"$TRACEFS/function_profile_enabled"
		: >"$TRACEFS/set_ftrace_filter"
	else
		echo 0 >"$TRACEFS/events/fc/enable"
		echo >"$TRACEFS/kprobe_events"
	fi
}

# Fifty of those that are called, all over the table; the profiler cuts longer names off
choose_names() {
	until_killed busy
	run 0 -n 0 -d 2 '*'
	kill_background
	awk '$2 ~ /^[0-9]+$/ && $2 >= 100 && length($1) < 30 { print $1 }' "$T/out" | sort -u |
		comm -12 - <(sort -u "$TRACEFS/available_filter_functions") >"$T/called"
	awk -v all="$(wc -l <"$T/called")" \
		'int(NR * 50 / all) != int((NR - 1) * 50 / all)' "$T/called" >"$T/names"
	[ "$(wc -l <"$T/names")" = 50 ] || why "too few functions are called"
}

#
# Read before funccount begins, when it counts, before it ends, and when it has ended:
# what it has is not less than what the inner two are apart, nor more than the outer two.
# The profiler counts when a function returns: some tasks may be in it, for long.
#
test_profiler() {
	local missed names

	choose_names || return
	mapfile -t names <"$T/names"
	other_begin
	other_read >"$T/p0"
	start -n 0 "${names[@]}"
	other_read >"$T/p1"
	for _ in 1 2 3 4 5; do busy; done
	other_read >"$T/p2"
	stop INT
	other_read >"$T/p3"
	other_end
	missed=$(sed -nE 's/.* ([0-9]+) calls missed.*/\1/p' "$T/out")
	awk -v missed="${missed:-0}" -v tasks=16 '
		FILENAME ~ /p0$/ { p0[$1] = $2; next }
		FILENAME ~ /p1$/ { p1[$1] = $2; next }
		FILENAME ~ /p2$/ { p2[$1] = $2; next }
		FILENAME ~ /p3$/ { p3[$1] = $2; next }
		FILENAME ~ /out$/ { have[$1] = $2; next }
		{
			low = p2[$1] - p1[$1] - missed - tasks
			high = p3[$1] - p0[$1] + tasks
			all += have[$1]; lows += low; highs += high
			if (have[$1] + 0 < low || have[$1] + 0 > high || !p3[$1]) {
				print $1 ": " have[$1] + 0 " is not in " low ".." high
				bad++
			}
		}
		END {
			printf "50 functions: %d calls, %d to %d by the other counter, %d missed\n",
				all, lows, highs, missed
			exit bad > 0
		}' "$T/p0" "$T/p1" "$T/p2" "$T/p3" "$T/out" "$T/names" >"$T/compared"
	local st=$?
	comment "$(cat "$T/compared")"
	return "$st"
}

# An older kernel has nothing but its message to test.
test_old() { run 1 'vfs_*' && says "this kernel is too old" && lacks .; }

main() {
	echo "TAP version 13"
	if [ "$(id -u)" != 0 ] || [ ! -x "$FUNCCOUNT" ]; then
		echo "1..0 # SKIP it takes root and $FUNCCOUNT"
		exit 4
	fi
	ok "command line" test_usage
	if ! grep -qw bpf_attach_data /proc/kallsyms; then
		ok "a kernel that is too old" test_old
		finish
	fi
	ok "count" test_count
	if [ -e /sys/kernel/realtime ]; then
		skip "light programs" "this kernel has none"
	else
		ok "light programs" test_light
	fi
	ok "-d" test_duration
	ok "patterns" test_patterns
	ok "-n" test_top
	ok "-i" test_interval
	ok "-L" test_latency
	ok "-e" test_errors
	ok "-s" test_stacks
	ok "-p" test_pid
	ok "-j" test_json
	ok "nothing matches" test_no_match
	ok "no permission" test_no_permission
	ok "two capabilities" test_capabilities
	ok "no BTF" test_no_btf
	ok "no tracefs" test_no_tracefs
	ok "a signal while it counts" test_interrupt_count
	ok "all functions" test_all
	ok "a signal while it attaches" test_interrupt_attach
	ok "all functions with -L and -e" test_all_modes
	if command -v script >/dev/null; then
		ok "on a terminal" test_terminal
	else
		skip "on a terminal" "there is no program script"
	fi
	if [ -e "$KMOD" ]; then
		ok "module" test_module
	else
		skip "module" "there is no $KMOD"
	fi
	ok "the same as another counter" test_profiler
	finish
}

finish() {
	echo "1..$NR"
	[ "$FAILED" = 0 ]
	exit
}

main
