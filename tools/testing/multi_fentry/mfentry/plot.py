#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Write the tables that plot.gp draws, from the results of mfentry.

DIRECTORY has the results, and gets a CSV for each picture. For each that is written a
line goes to standard output, of fields that are separated by tabs: the picture, the
release of the kernel, the number of CPUs, the unit, the date, and more to be said.
"""

import csv
import os
import sys

from compare import fail, hits, load

# What calls of a traced function are shown, by mfentry hit's names.
TARGET = "bpf_fentry_test1"
KINDS = (("single", "fentry"),
         ("multi_1000", "fentry.multi"),
         ("multi_1000_two_programs", "fentry.multi, two programs"),
         ("multi_1000_cookie", "fentry.multi, cookie"),
         ("single_fexit", "fexit"),
         ("multi_fexit_1000", "fexit.multi"),
         ("multi_fexit_1000_two_programs", "fexit.multi, two programs"),
         ("multi_fexit_1000_cookie", "fexit.multi, cookie"),
         ("kprobe_multi_1", "kprobe.multi"))


class NotMeasured(Exception):
    """There is nothing to draw."""


def load_dated(path):
    data = load(path)
    if "date" not in data:
        fail(f"{path}: these results are of an older mfentry; measure again")
    return data


class Results:
    """What one measurement gave on the two kernels; base may not have taken part."""

    def __init__(self, directory, name, alone=False):
        base = os.path.join(directory, f"{name}-base.json")
        path = os.path.join(directory, f"{name}.json" if alone else f"{name}-patched.json")
        if not os.path.exists(path):
            raise NotMeasured(f"there is no {os.path.basename(path)}")
        self.patched = load_dated(path)
        self.base = load_dated(base) if not alone and os.path.exists(base) else None

    def runs(self):
        """Pairs of runs on the same number of functions; base's may be None."""
        base = {run["n"]: run for run in self.base["runs"]} if self.base else {}
        pairs = [(base.get(run["n"]), run) for run in self.patched["runs"]]
        if len(pairs) < 2:
            raise NotMeasured("there is only one number of functions")
        return pairs


def value(run, key):
    """A cell; it is empty if that was not measured."""
    return run.get(key, "") if run else ""


def memory(run, key="mem"):
    return run[key]["total"] if run and key in run else ""


def attach(directory):
    # Of the process: while it waits, a guest that counts instructions has none to
    # execute, and its clock jumps.
    def costs(b, p, *names):
        return [value(b if of == "base" else p, f"{name}_cpu_ns") for of, name in names]

    results = Results(directory, "icount")
    rows = [["functions", "base_attach_instructions", "patched_attach_instructions",
             "tracer_on_instructions", "kprobe_attach_instructions",
             "base_close_instructions", "patched_close_instructions",
             "patched_close_and_tidy_instructions", "tracer_off_instructions",
             "kprobe_close_instructions"]]
    for b, p in results.runs():
        rows.append([p["n"]] + costs(b, p, ("base", "attach"), ("patched", "attach"),
                                     ("patched", "tracer_on"), ("patched", "kprobe_attach"),
                                     ("base", "close"), ("patched", "close"),
                                     ("patched", "detach"), ("patched", "tracer_off"),
                                     ("patched", "kprobe_detach")))
    return results.patched, rows, ""


def memory_over_n(directory):
    results = Results(directory, "bench")
    rows = [["functions", "base_bytes", "patched_bytes", "kprobe_bytes", "base_trampolines",
             "patched_trampolines"]]
    for b, p in results.runs():
        rows.append([p["n"], memory(b), memory(p), memory(p, "kprobe_mem"),
                     value(b, "bodies"), p["bodies"]])
    return results.patched, rows, ""


def hit(directory):
    results = Results(directory, "hit")
    base = hits(results.base) if results.base else {}
    patched = hits(results.patched)
    rows = [["kind", "base_instructions", "patched_instructions"]]
    for config, text in KINDS:
        if (TARGET, config) in patched:
            rows.append([text, base.get((TARGET, config), ""), patched[(TARGET, config)]])
    return results.patched, rows, ""


def overlap(directory):
    results = Results(directory, "overlap")
    # Measured by itself: that delays the next attach.
    memories = Results(directory, "overlap-memory")
    rows = [["links", "base_attach_instructions", "patched_attach_instructions",
             "base_bytes", "patched_bytes"]]
    for i, p in enumerate(results.patched["each"]):
        rows.append([i + 1, value(results.base and results.base["each"][i], "attach_ns"),
                     p["attach_ns"], memory(memories.base and memories.base["each"][i]),
                     memory(memories.patched["each"][i])])
    return results.patched, rows, ""


def others(directory):
    data = Results(directory, "others", alone=True).patched
    rows = [["operation", "alone_ns", "median_ns", "p95_ns"]]
    for single in data["singles"]:
        for operation in ("attach", "detach"):
            rows.append([f"{operation} {single['kind']}"] +
                        [single[f"{when}_{operation}_ns"] for when in ("alone", "median", "p95")])
    return data, rows, (f"such a link to {data['functions']:,} functions takes "
                        f"{data['multi_attach_ns'] / 1e9:.2f} s to attach")


PICTURES = {"attach": attach, "memory": memory_over_n, "hit": hit, "overlap": overlap,
            "others": others}


def write_csv(path, rows):
    try:
        with open(path + ".tmp", "w", encoding="utf-8", newline="") as f:
            csv.writer(f, lineterminator="\n").writerows(rows)
        os.replace(path + ".tmp", path)
    except OSError as e:
        fail(f"{path}: {e.strerror}")


def main():
    if len(sys.argv) < 3 or not PICTURES.keys() >= set(sys.argv[2:]):
        sys.exit(f"usage: plot.py DIRECTORY [{'|'.join(PICTURES)}] ...")
    directory = sys.argv[1]
    for picture in sys.argv[2:]:
        try:
            data, rows, more = PICTURES[picture](directory)
        except NotMeasured as e:
            print(f"no picture {picture}: {e}", file=sys.stderr)
            continue
        write_csv(os.path.join(directory, f"{picture}.csv"), rows)
        print(picture, data["kernel"], data["cpus"], data["unit"], data["date"], more, sep="\t")


if __name__ == "__main__":
    main()
