#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Set the results of mfentry on the base and the patched kernel side by side.

With --alone the base kernel has no tracing_multi links, and only what a hit costs
was measured there. Elsewhere the patched kernel's result is given in the place of
base's, what would tell of that is left out, and the function tracer of the same
kernel is what attaching is held against.
"""

import argparse
import json
import os
import sys

# The bars of the project: what the patched kernel has to reach.
MIN_FUNCTIONS = 26000
MAX_BODIES = 40
MIN_ATTACH_CLOCK = 2.5
MIN_ATTACH_INSNS = 4
# Where there is no base to compare with: times what the function tracer needs.
MAX_ATTACH_TRACER = 1.5
MIN_MEMORY = 10
MIN_SECOND = 100
MAX_SPLIT = 3
# A program on one function beside a link on all, times without the link.
MAX_SINGLE = 1.2
# A single program beside links that come and go: the 95th percentile, as a part of
# an attach to all functions, and the median, times that with nobody else.
MAX_OTHERS = 0.1
MAX_OTHERS_ALONE = 3
# Links that overlap at random.
MIN_OVERLAP_ATTACH = 3
MIN_OVERLAP_DETACH = 10
MIN_OVERLAP_MEMORY = 2
MAX_OVERLAP_LEFT = 0.02
PACK = 2 << 20
# close() of a link on all functions, as a part of their attach.
MAX_CLOSE = 0.01
# One branch from the entry to the body, after the set's programs changed.
ENTRY_BRANCH = 1
# What the body of many functions has at its start, for a branch to a newer one. On
# x86-64 it is of use.
ENTRY_NOP = {"x86_64": 0, "aarch64": 1}
# Instructions of a call of a function with one argument that runs an empty program.
MAX_HIT = {"x86_64": {"multi": 32, "multi_fexit": 50},
           "aarch64": {"multi": 62, "multi_fexit": 90}}
# A second such program on the same function.
MAX_HIT_SECOND = {"x86_64": 18, "aarch64": 40}
# A cookie of its own for each function.
MAX_COOKIE = {"x86_64": 5, "aarch64": 12}
# Counting by data of each function, beyond counting in a global variable, and of what
# counting in a hash by address takes.
MAX_COUNT_DATA = {"x86_64": 6, "aarch64": 12}
MAX_COUNT_HASH = 0.5
# Calls that a program which interrupts may run inside itself does not count, in percent.
MAX_MISSED = 0.1
# fexit.multi, and fentry.multi where there is no base. Bytes a function.
MAX_MEMORY = 250
# How late a task wakes beside a program on all functions, times base: all but one in a
# thousand, the median of the runs.
MAX_LATENCY = 1.2
LATENCY_PERCENT = 99.9
# By a pattern, times what opening, loading and attaching to ids takes.
MAX_PATTERN = 1.5
# Thunks of fexit.multi are in memory that the kernel keeps for BPF programs' code,
# which does not grow with each of them: they are added here. Without cookies,
# arm64 has none.
THUNK = {"x86_64": 32, "aarch64": 0}

OPERATIONS = ("attach", "close", "detach", "second_attach", "second_detach")


def fail(text):
    sys.exit(f"compare.py: {text}")


def load(path):
    """Results of one run of mfentry."""
    try:
        with open(path, encoding="utf-8") as f:
            data = json.load(f)
    except (OSError, ValueError) as e:
        fail(f"{path}: {e}")
    if not isinstance(data, dict) or "kind" not in data or "unit" not in data:
        fail(f"{path}: no results of mfentry")
    return data


def table(rows, alone=False):
    """Print rows of cells: the first column to the left, others to the right."""
    if alone:
        keep = [i for i, head in enumerate(rows[0])
                if head != "ratio" and not head.endswith("base")]
        rows = [[row[i] for i in keep] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [c.rjust(w) if i else c.ljust(w)
                 for i, (c, w) in enumerate(zip(row, widths))]
        print("  " + "  ".join(cells).rstrip())
    print()


def seconds(ns):
    return f"{ns / 1e9:.6f} s" if ns < 1e8 else f"{ns / 1e9:.3f} s"


def number(n):
    return f"{n:,.0f}"


def ratio(base, patched):
    """How many times less the patched kernel needs."""
    return base / patched if patched > 0 else float("inf")


def show_ratio(base, patched):
    r = ratio(base, patched)
    return f"{r:,.2f}x" if r < 100 else f"{r:,.0f}x"


def pair_runs(base, patched):
    """Runs with the same functions; the last run of each is over all."""
    other = {run["n"]: run for run in patched["runs"]}
    other[base["runs"][-1]["n"]] = patched["runs"][-1]
    return [(b, other[b["n"]]) for b in base["runs"] if b["n"] in other]


def beside(run, operation, value):
    """What other tracers need for the same functions."""
    name = {"attach": ("tracer_on", "kprobe_attach"),
            "detach": ("tracer_off", "kprobe_detach")}.get(operation)
    return [value(run[n + "_ns"]) for n in name] if name else ["", ""]


def cost_cells(base, patched, key, show):
    """One cost on both kernels; it may not have been measured on base."""
    if key not in base:
        return ["-", show(patched)(patched[key]), "-"]
    return [show(base)(base[key]), show(patched)(patched[key]),
            show_ratio(base[key] / base["n"], patched[key] / patched["n"])]


def bench_tables(base, patched, title, per_function, alone):
    def cell(run):
        n = run["n"] if per_function else 1
        return lambda v: number(v / n) if per_function else seconds(v)

    for operation in OPERATIONS:
        rows = [["functions", "base", "patched", "ratio", "function tracer", "kprobe.multi"]]
        for b, p in pair_runs(base, patched):
            rows.append([number(p["n"])] + cost_cells(b, p, operation + "_ns", cell) +
                        beside(p, operation, cell(p)))
        print(f"{operation.replace('_', ' ')}, {title}")
        table(rows, alone)
    if "split" not in patched:
        return
    b, p = base.get("split", {}), patched["split"]
    rows = [["", "base", "patched", "ratio"]]
    for key in ("uncovered_attach", "attach", "uncovered_detach", "detach"):
        text = key if key.startswith("uncovered") else "covered_" + key
        rows.append([text.replace("_", " ")] + cost_cells(b, p, key + "_ns", cell))
    print(f"a link over {number(p['n'])} functions, uncovered or out of "
          f"{number(p['covered'])} that another one covers, {title}")
    table(rows, alone)


def memory_table(base, patched, alone):
    rows = [["functions", "base", "patched", "ratio", "second on base", "second on patched",
             "kprobe.multi", "bodies on base", "bodies on patched"]]
    for b, p in pair_runs(base, patched):
        def per(run, key):
            return number(run[key]["total"] / run["n"]) if key in run else "-"
        rows.append([number(p["n"]), per(b, "mem"), per(p, "mem"),
                     show_ratio(b["mem"]["total"] / b["n"], p["mem"]["total"] / p["n"]),
                     per(b, "second_mem"), per(p, "second_mem"), per(p, "kprobe_mem"),
                     number(b["bodies"]), number(p["bodies"])])
    print("kernel memory, bytes a function, and trampoline bodies")
    table(rows, alone)


def hits(data):
    return {(h["target"], h["config"]): h["per_hit"] for h in data["hits"]}


def hit_table(base, patched):
    b, p = hits(base), hits(patched)
    rows = [["call of a traced function", "base", "patched"]]
    for key in p:
        rows.append([f"{key[0]}, {key[1]}", f"{b[key]:.2f}" if key in b else "-",
                     f"{p[key]:.2f}"])
    print(f"{patched['unit']} a hit")
    table(rows)


def missed(counted, misses):
    """Calls that are not counted, in percent of all."""
    return 100 * misses / (counted + misses) if misses else 0


def histogram(result):
    """Wakeups by their latency in microseconds, of all of cyclictest's threads."""
    wakeups = {}
    for thread in result["thread"].values():
        for late, count in thread["histogram"].items():
            wakeups[int(late)] = wakeups.get(int(late), 0) + count
        missing = thread["cycles"] - sum(thread["histogram"].values())
        wakeups[thread["max"]] = wakeups.get(thread["max"], 0) + missing
    return wakeups


def percentile(result, percent):
    """The least latency that so many wakeups are within."""
    wakeups = histogram(result)
    left = sum(wakeups.values()) * percent / 100
    for late in sorted(wakeups):
        left -= wakeups[late]
        if left <= 0:
            break
    return late


def median(values):
    return sorted(values)[len(values) // 2]


def latency_table(runs):
    rows = [["wakeups within", "50 %", "99 %", f"{LATENCY_PERCENT} %", "all"]]
    for which in (0, 1):
        for name, text in (("alone", "nothing attached"), ("beside", "a program on all functions")):
            for i, run in enumerate(runs):
                cells = [number(percentile(run[which][name], p))
                         for p in (50, 99, LATENCY_PERCENT, 100)]
                rows.append([f"{('base', 'patched')[which]}, {text}, run {i + 1}"] + cells)
    run = runs[0][1]
    unit = ", of 1,000 instructions each" if run["unit"] == "instructions" else ""
    print(f"cyclictest beside a load, microseconds{unit}; the program counts the calls of "
          f"{number(run['functions'])} functions")
    table(rows)


def per_hit(data, name):
    """What a benchmark of the selftests takes a hit beyond its loop."""
    return 1000 / data["hits"][name] - 1000 / data["hits"]["kernel-count"]


def triggers_table(base, patched):
    rows = [["benchmark", "base", "patched"]]
    for name in patched["hits"]:
        if name != "kernel-count":
            rows.append([f"trig-{name}"] + [f"{per_hit(data, name):.2f}" if name in data["hits"]
                                            else "-" for data in (base, patched)])
    print(f"{patched['unit']} a hit, beyond those of trig-kernel-count")
    table(rows)


def demo_table(base, patched, alone):
    def row(text, value):
        return [text, value(base), value(patched)]

    rows = [["", "base", "patched"],
            row("kernel", lambda d: d["kernel"]),
            row("functions", lambda d: number(d["functions"])),
            row("attach", lambda d: seconds(d["attach_ns"])),
            row("detach", lambda d: seconds(d["detach_ns"])),
            row("of it close()", lambda d: seconds(d["close_ns"])),
            row("trampolines", lambda d: number(d["bodies"])),
            row("kernel memory, bytes a function",
                lambda d: number(d["mem"]["total"] / d["functions"])),
            row("calls counted", lambda d: number(d["calls"])),
            row("calls not counted (recursion), percent",
                lambda d: f"{missed(d['calls'], d['recursion_misses']):.3f}"),
            row("the same by a program that is not reentrant",
                lambda d: f"{missed(d['guarded_calls'], d['guarded_misses']):.3f}"
                if d["guarded_calls"] else "-")]
    print(f"one program on {number(patched['functions'])} functions")
    table(rows, alone)
    top = [["most called functions", "calls on patched"]]
    top += [[t["name"], number(t["calls"])] for t in patched["top"]]
    table(top)


class Checks:
    """Bars that hold or do not, one line each."""

    def __init__(self, alone):
        self.alone = alone
        self.failed = 0

    def check(self, good, text):
        print(("ok      " if good else "not ok  ") + text)
        self.failed += not good

    def at_least(self, what, value, bar):
        if self.alone:
            return
        self.check(value >= bar, f"{what}: {value:,.2f} times less than base (bar: {bar})")

    def at_most(self, what, value, of, bar, digits=2):
        self.check(value <= bar, f"{what}: {value:.{digits}f} times {of} (bar: {bar})")

    def missing(self, what):
        self.check(False, f"{what}: not measured")


def check_demo(checks, base, patched):
    checks.check(patched["functions"] >= MIN_FUNCTIONS,
                 f"functions: {number(patched['functions'])} (bar: {number(MIN_FUNCTIONS)})")
    checks.check(patched["bodies"] <= MAX_BODIES,
                 f"trampoline bodies: {patched['bodies']} (bar: {MAX_BODIES})")
    checks.at_least("attach by the clock", ratio(base["attach_ns"] / base["functions"],
                    patched["attach_ns"] / patched["functions"]), MIN_ATTACH_CLOCK)
    counted, called = patched["checked"]
    checks.check(counted == called, f"exact counts: {counted} of {called} calls")
    share = missed(patched["calls"], patched["recursion_misses"])
    checks.check(share <= MAX_MISSED,
                 f"percent of the calls that are not counted: {share:.3f} (bar: {MAX_MISSED})")


def check_bench(checks, base, patched):
    b, p = base["runs"][-1], patched["runs"][-1]
    checks.check(p["n"] >= MIN_FUNCTIONS,
                 f"functions: {number(p['n'])} (bar: {number(MIN_FUNCTIONS)})")
    checks.check(p["bodies"] <= MAX_BODIES,
                 f"trampoline bodies: {p['bodies']} (bar: {MAX_BODIES})")
    checks.at_least("attach by the clock",
                    ratio(b["attach_ns"] / b["n"], p["attach_ns"] / p["n"]), MIN_ATTACH_CLOCK)
    if checks.alone:
        checks.at_most("attach by the clock", ratio(p["attach_ns"], p["tracer_on_ns"]),
                       "what the function tracer needs", MAX_ATTACH_TRACER)
        memory = p["mem"]["total"] / p["n"]
        checks.check(memory <= MAX_MEMORY,
                     f"bytes of memory a function: {memory:.0f} (bar: {MAX_MEMORY})")
    checks.at_least("memory", ratio(b["mem"]["total"] / b["n"],
                    p["mem"]["total"] / p["n"]), MIN_MEMORY)
    for operation in ("second_attach", "second_detach"):
        key = operation + "_ns"
        checks.at_least(operation.replace("_", " ") + " by the clock",
                        ratio(b[key] / b["n"], p[key] / p["n"]), MIN_SECOND)


def check_icount(checks, base, patched):
    b, p = base["runs"][-1], patched["runs"][-1]
    checks.at_least("instructions to attach",
                    ratio(b["attach_ns"] / b["n"], p["attach_ns"] / p["n"]), MIN_ATTACH_INSNS)
    checks.at_most(f"instructions to close a link on {number(p['n'])} functions",
                   ratio(p["close_cpu_ns"], p["attach_cpu_ns"]), "those to attach it",
                   MAX_CLOSE, 4)
    split = patched["split"]
    # Of the CPU: while the kernel waits for tasks to leave, a guest whose clock
    # counts instructions has nothing to execute, and its clock jumps.
    covered = number(split["covered"])
    checks.at_most(f"instructions to attach to {number(split['n'])} of {covered} covered functions",
                   ratio(split["attach_cpu_ns"], split["uncovered_attach_cpu_ns"]),
                   "those of uncovered ones", MAX_SPLIT)
    checks.at_most(f"instructions to attach a program to one function beside a link on {covered}",
                   ratio(split["single_attach_cpu_ns"], split["alone_attach_cpu_ns"]),
                   "those without the link", MAX_SINGLE)


def check_cookie(checks, costs, target, config, bar):
    if config.endswith("_no_cookie"):
        return
    more = costs[(target, config)] - costs[(target, config.replace("_cookie", "_no_cookie"))]
    checks.check(more <= bar + 0.5, f"instructions a hit, {target}, {config}: "
                 f"{more:.2f} more than without (bar: {bar})")


def check_count(checks, costs, machine, target):
    """Counting the calls of each function by its data, beside other ways to count."""
    total, by_ip, by_data = (costs[(target, f"count_1000_{how}")]
                             for how in ("total", "by_ip", "by_data"))
    bar = MAX_COUNT_DATA[machine]
    checks.check(by_data <= total + bar + 0.5, f"instructions a hit, {target}, counting by data: "
                 f"{by_data:.2f} (bar: {bar} more than {total:.2f}, those of a global variable)")
    checks.at_most(f"instructions a hit, {target}, counting by data", ratio(by_data, by_ip),
                   "those of a hash by address", MAX_COUNT_HASH)


def check_light(checks, costs, machine, target):
    """An empty program, alone and as the second one, on one function and on many."""
    for kind, bar in MAX_HIT[machine].items():
        one, many = costs[(target, f"{kind}_1")], costs[(target, f"{kind}_1000")]
        checks.check(max(one, many) <= bar + 0.5, f"instructions a hit, {target}, {kind}: {one:.2f} "
                     f"on one function, {many:.2f} on many (bar: {bar})")
        checks.check(many <= one + ENTRY_NOP[machine] + 0.5, f"instructions a hit, {target}, "
                     f"{kind}: no more on many functions than on one, but for the entry's nop")
        second = (costs[(target, f"{kind}_1000_two_programs")] -
                  costs[(target, f"{kind}_1000_after_second")])
        bar = MAX_HIT_SECOND[machine]
        checks.check(second <= bar + 0.5, f"instructions a hit, {target}, {kind}: {second:.2f} for "
                     f"a second program (bar: {bar})")


def fexit_memory(data):
    """Bytes a function, and those of them that are its thunk."""
    run, thunk = data["runs"][-1], THUNK[data["machine"]]
    return run["mem"]["total"] / run["n"] + thunk, thunk


def check_fexit(checks, data):
    run = data["runs"][-1]
    memory, thunk = fexit_memory(data)
    checks.check(run["n"] >= MIN_FUNCTIONS,
                 f"fexit.multi, functions: {number(run['n'])} (bar: {number(MIN_FUNCTIONS)})")
    checks.check(run["bodies"] <= MAX_BODIES,
                 f"fexit.multi, trampoline bodies: {run['bodies']} (bar: {MAX_BODIES})")
    checks.check(memory <= MAX_MEMORY, f"fexit.multi, bytes of memory a function, "
                 f"{thunk} of them its thunk: {memory:.0f} (bar: {MAX_MEMORY})")


def check_pattern(checks, data):
    checks.check(data["functions"] >= MIN_FUNCTIONS, f"start by pattern, functions: "
                 f"{number(data['functions'])} (bar: {number(MIN_FUNCTIONS)})")
    checks.at_most("start by pattern", ratio(data["pattern_ns"], data["ids_ns"]), "that by ids",
                   MAX_PATTERN)


def check_others(checks, data):
    for single in data["singles"]:
        what = (f"attach a single {single['kind']} program while links to "
                f"{number(data['functions'])} functions come and go")
        checks.at_most(f"{what}, 95 of 100",
                       ratio(single["p95_attach_ns"], data["multi_attach_ns"]),
                       "such a link's attach", MAX_OTHERS, 3)
        checks.at_most(f"{what}, the median",
                       ratio(single["median_attach_ns"], single["alone_attach_ns"]),
                       "what it takes alone", MAX_OTHERS_ALONE)


def overlap_what(data):
    how = "by patterns" if data["kind"] == "patterns" else "at random"
    return f"{data['links']} links to {number(data['functions'])} functions {how}"


def check_overlap(checks, base, patched):
    what = overlap_what(patched)
    checks.at_least(f"{what}, attach", ratio(base["attach_ns"], patched["attach_ns"]),
                    MIN_OVERLAP_ATTACH)
    checks.at_least(f"{what}, close and tidy", ratio(base["detach_ns"], patched["detach_ns"]),
                    MIN_OVERLAP_DETACH)
    checks.at_least(f"{what}, memory", ratio(base["mem"]["total"], patched["mem"]["total"]),
                    MIN_OVERLAP_MEMORY)
    # The kernel returns a pack of images when the last of anything in it is gone.
    left = patched["returned"]
    checks.at_most(f"{what}, memory ten seconds after the last close, but for a pack of images",
                   ratio(left["total"] - min(left["vmalloc"], PACK), patched["mem"]["total"]),
                   "what they took", MAX_OVERLAP_LEFT, 3)


def check_latency(checks, runs):
    late = [median([percentile(run["beside"], LATENCY_PERCENT) for run in kernel])
            for kernel in zip(*runs)]
    checks.at_most(f"{LATENCY_PERCENT} of 100 wakeups beside a program on "
                   f"{number(runs[0][1]['functions'])} functions",
                   late[1] / late[0], "base", MAX_LATENCY)


def check_triggers(checks, base, patched):
    for name, data in (("rawtp", base), ("fentry-multi", patched)):
        if name not in data["hits"]:
            checks.missing(f"trig-{name}")
            return
    checks.check(per_hit(patched, "fentry-multi") <= per_hit(base, "rawtp"),
                 f"instructions a hit, trig-fentry-multi: {per_hit(patched, 'fentry-multi'):.2f} "
                 f"(bar, from trig-rawtp on base: {per_hit(base, 'rawtp'):.2f})")


def check_hit(checks, base, patched):
    b, p = hits(base), hits(patched)
    # Half an instruction: the clock may be calibrated a little off. Where base
    # goes through ftrace_caller(), a hit has to cost less.
    slack = -0.5 if checks.alone else 0.5
    machine = patched["machine"]
    check_light(checks, p, machine, "bpf_fentry_test1")
    check_count(checks, p, machine, "bpf_fentry_test1")
    for (target, config), cost in p.items():
        if not config.startswith("multi_") or config.endswith("two_programs"):
            continue
        if config.endswith("_cookie"):
            check_cookie(checks, p, target, config, MAX_COOKIE[machine])
            continue
        if config.startswith("multi_fexit"):
            continue
        bar = b[(target, "single")]
        if config.endswith("after_second"):
            bar += ENTRY_BRANCH
        checks.check(cost <= bar + slack, f"instructions a hit, {target}, {config}: "
                     f"{cost:.2f} (bar, from a single program on base: {bar:.2f})")


def write_json(path, data):
    try:
        with open(path + ".tmp", "w", encoding="utf-8") as f:
            json.dump(data, f, indent=1)
            f.write("\n")
        os.replace(path + ".tmp", path)
    except OSError as e:
        fail(f"{path}: {e.strerror}")


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", metavar="BASE PATCHED",
                        help="pairs of what mfentry demo, bench or hit wrote with --json; "
                        "bench may be given by the clock and by instructions")
    for name in ("icount", "hit"):
        for which in ("base", "patched"):
            parser.add_argument(f"--{name}-{which}", metavar="FILE",
                                help="another way to name one file of such a pair")
    parser.add_argument("--fexit", metavar="FILE",
                        help="results of bench --fexit on the patched kernel")
    parser.add_argument("--pattern", metavar="FILE",
                        help="results of pattern on the patched kernel")
    parser.add_argument("--others", metavar="FILE",
                        help="results of others on the patched kernel")
    parser.add_argument("--json", metavar="FILE", help="write everything into one file")
    parser.add_argument("--check", "--bars", action="store_true",
                        help="fail unless the patched kernel reaches the project's bars")
    parser.add_argument("--alone", action="store_true",
                        help="the base kernel has no tracing_multi links")
    args = parser.parse_args()
    for name in ("icount", "hit"):
        pair = getattr(args, name + "_base"), getattr(args, name + "_patched")
        if (pair[0] is None) != (pair[1] is None):
            parser.error(f"--{name}-base and --{name}-patched go together")
        args.files += [f for f in pair if f is not None]
    if len(args.files) % 2:
        parser.error("the files come in pairs: base, patched")
    return args


def load_pairs(files):
    """Pairs of results by what they are."""
    pairs = {}
    for base_path, patched_path in zip(files[::2], files[1::2]):
        base, patched = load(base_path), load(patched_path)
        kind, unit = base["kind"], base["unit"]
        if (kind, unit) != (patched["kind"], patched["unit"]):
            fail(f"{base_path} and {patched_path}: not the same measurement")
        if kind == "bench" and unit == "instructions":
            kind = "icount"
        if kind == "latency":
            kind += f" {len(pairs) + 1}"
        elif kind not in ("demo", "bench", "icount", "hit", "overlap", "patterns", "triggers"):
            fail(f"{base_path}: nothing to compare in results of mfentry {kind}")
        if kind in pairs:
            fail(f"{base_path}: a second pair of {kind}")
        pairs[kind] = (base, patched)
    return pairs


def fexit_table(data):
    run = data["runs"][-1]
    rows = [["fexit.multi on the patched kernel", ""],
            ["functions", number(run["n"])],
            ["attach", seconds(run["attach_ns"])],
            ["detach", seconds(run["detach_ns"])],
            ["second program: attach", seconds(run["second_attach_ns"])],
            ["second program: detach", seconds(run["second_detach_ns"])],
            ["trampolines", number(run["bodies"])],
            ["kernel memory, bytes a function, with its thunk",
             number(fexit_memory(data)[0])]]
    table(rows)


def pattern_table(data):
    table([["start on the patched kernel", ""],
           ["functions", number(data["functions"])],
           ["by the pattern *", seconds(data["pattern_ns"])],
           ["by BTF ids", seconds(data["ids_ns"])]])


def others_table(data):
    rows = [["while links to all other functions come and go", ""],
            ["functions", number(data["functions"])],
            ["attach to all of them, alone", seconds(data["multi_attach_ns"])]]
    for single in data["singles"]:
        rows += [[f"attach a single {single['kind']} program, alone",
                  seconds(single["alone_attach_ns"])],
                 ["meanwhile", seconds(single["median_attach_ns"])],
                 ["meanwhile, 95th percentile", seconds(single["p95_attach_ns"])]]
    table(rows)


def overlap_table(base, patched, alone):
    rows = [[overlap_what(patched), "base", "patched", "ratio"]]
    for key, text in (("attach_ns", "attach"), ("detach_ns", "close and tidy")):
        rows.append([text, seconds(base[key]), seconds(patched[key]),
                     show_ratio(base[key], patched[key])])
    rows.append(["trampolines", number(base["bodies"]), number(patched["bodies"]), ""])
    for key, text in (("mem", "kernel memory, bytes"),
                      ("returned", "of it ten seconds after the last close")):
        b, p = base[key]["total"], patched[key]["total"]
        rows.append([text, number(b), number(p), show_ratio(b, p)])
    table(rows, alone)


def latency_runs(pairs):
    return [pair for name, pair in sorted(pairs.items()) if name.startswith("latency ")]


def show(pairs, alone):
    if "demo" in pairs:
        demo_table(*pairs["demo"], alone)
    for name in sorted(pairs.keys() & {"overlap", "patterns"}):
        overlap_table(*pairs[name], alone)
    if latency_runs(pairs):
        latency_table(latency_runs(pairs))
    if "triggers" in pairs:
        triggers_table(*pairs["triggers"])
    if "bench" in pairs:
        bench_tables(*pairs["bench"], "by the clock", False, alone)
        memory_table(*pairs["bench"], alone)
    if "icount" in pairs:
        bench_tables(*pairs["icount"], "instructions a function", True, alone)
        if "bench" not in pairs:
            memory_table(*pairs["icount"], alone)
    if "hit" in pairs:
        hit_table(*pairs["hit"])


def check(pairs, args, fexit, pattern, others):
    """All bars, whatever was measured; those without bench have bars of their own."""
    checks = Checks(args.alone)
    if "demo" in pairs:
        check_demo(checks, *pairs["demo"])
    for name in sorted(pairs.keys() & {"overlap", "patterns"}):
        check_overlap(checks, *pairs[name])
    if latency_runs(pairs):
        check_latency(checks, latency_runs(pairs))
    elif "triggers" in pairs:
        check_triggers(checks, *pairs["triggers"])
    elif set(pairs) - {"demo", "overlap", "patterns"}:
        for name, function in (("bench", check_bench), ("icount", check_icount),
                               ("hit", check_hit)):
            if name in pairs:
                function(checks, *pairs[name])
            else:
                checks.missing(f"bars of {name}")
        if fexit:
            check_fexit(checks, fexit)
        else:
            checks.missing("bars of fexit.multi")
        if pattern:
            check_pattern(checks, pattern)
        else:
            checks.missing("bar of patterns")
        if others:
            check_others(checks, others)
        else:
            checks.missing("bar of others")
    return checks.failed


def main():
    args = parse_args()
    pairs = load_pairs(args.files)
    fexit = load(args.fexit) if args.fexit else None
    pattern = load(args.pattern) if args.pattern else None
    others = load(args.others) if args.others else None
    show(pairs, args.alone)
    if fexit:
        fexit_table(fexit)
    if pattern:
        pattern_table(pattern)
    if others:
        others_table(others)
    if args.json:
        write_json(args.json, {kind: {"patched": p} if b == p else {"base": b, "patched": p}
                               for kind, (b, p) in pairs.items()})
    return 1 if args.check and check(pairs, args, fexit, pattern, others) else 0


if __name__ == "__main__":
    sys.exit(main())
