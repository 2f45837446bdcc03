#!/usr/bin/env python3
"""What does memhp stress reach: threads against io_uring, and its speed targets?

    stress_bench.py MEMHP [--rounds N] [--seconds S] [--many BLOCKS] [QUESTION...]

Questions: drivers, speed, readers, many, memory; all but many by default. The variants of
a question run in turn on one machine (memhp up --commit touch, without the validator), the
rounds begin with another one each, and medians are printed with lowest and highest.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path


def largest_size_kib(pid):
    """VmHWM; None once the process is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return None
    sizes = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(sizes[0]) if sizes else None


class Machine:
    def __init__(self, memhp, *options):
        self.memhp = memhp
        self.dir = tempfile.mkdtemp(prefix="memhp-bench.")
        subprocess.run([memhp, "up", "--mount", self.dir, "--commit", "touch", "--lockdep",
                        "off", "--log", self.dir + ".log", *options], check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run([self.memhp, "down", "--mount", self.dir], check=True)
        os.rmdir(self.dir)
        Path(self.dir + ".log").unlink(missing_ok=True)

    def stress(self, workers, seconds, *options):
        """The figures as JSON, and the largest size of the process in KiB."""
        out = self.dir + ".json"
        command = [self.memhp, "stress", "--tree", self.dir, "--workers", workers, "--time",
                   f"{seconds}s", "--quiet", "--json", out, *options]
        largest = 0
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
            while child.poll() is None:
                largest = largest_size_kib(child.pid) or largest
                time.sleep(0.1)
        figures = json.loads(Path(out).read_text(encoding="utf-8"))
        Path(out).unlink()
        if child.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: {figures['findings'][:1]}")
        figures["largest_kib"] = largest
        return figures


def successes(figures, *names):
    return sum(figures["operations"].get(n, {}).get("successes_per_s", 0) for n in names)


def p99(figures, *names):
    return max(figures["operations"][n]["p99_us"] for n in names)


def lock_share(figures, workers):
    """Of the workers' time, what they waited for device_hotplug_lock in the machine."""
    waited = sum(lock["wait_total_us"] for lock in figures.get("locks", [])
                 if lock["name"] == "device_hotplug_lock")
    return waited / (figures["elapsed_s"] * 1e6 * workers)


def text_of(values, digits=0):
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return (f"{statistics.median(values):.{digits}f} "
            f"[{min(values):.{digits}f}, {max(values):.{digits}f}]")


def rounds_of(variants, rounds):
    """variants: name -> function; name -> list of what it gave, rounds rotated."""
    names = list(variants)
    results = {name: [] for name in names}
    for i in range(rounds):
        for name in names[i % len(names):] + names[:i % len(names)]:
            results[name].append(variants[name]())
    return results


def drivers(args):
    changes = ("online", "offline")
    with Machine(args.memhp, "--memory", "8G") as m:
        for load, names in (("online=4,offline=4", changes), ("read=8", ("read",))):
            variants = {}
            for name, options in (
                    ("threads, files kept", ["--open", "kept"]),
                    ("threads, open + write + close", ["--open", "each"]),
                    ("uring, files kept", ["--driver", "uring", "--open", "kept"]),
                    ("uring, chains", ["--driver", "uring"]),
                    ("uring, chains, 64 in flight",
                     ["--driver", "uring", "--in-flight", "64"]),
                    ("uring, chains, 1024 in flight",
                     ["--driver", "uring", "--in-flight", "1024"])):
                if load == "read=8" and "files kept" in name:
                    continue  # reads open their file each time
                variants[name] = lambda o=options, w=load: m.stress(w, args.seconds, *o)
            print(f"\n{load} | ok/s | calls/s | p99 us\n--|--|--|--")
            for name, runs in rounds_of(variants, args.rounds).items():
                print(name, text_of([successes(r, *names) for r in runs]),
                      text_of([r["calls"] / r["elapsed_s"] for r in runs]),
                      text_of([p99(r, *names) for r in runs]), sep=" | ")


def speed(args):
    with Machine(args.memhp, "--memory", "8G") as m:
        variants = {
            "online=4,offline=4": lambda: m.stress("online=4,offline=4", args.seconds),
            "switch=8": lambda: m.stress("switch=8", args.seconds)}
        print("\n8 workers, 64 blocks | ok/s (target 10000) | p99 us | "
              "device_hotplug_lock waited for, share\n--|--|--|--")
        for name, runs in rounds_of(variants, args.rounds).items():
            ops = [op for op in runs[0]["operations"]]
            print(name, text_of([successes(r, *ops) for r in runs]),
                  text_of([p99(r, *ops) for r in runs]),
                  text_of([lock_share(r, 8) for r in runs], 3), sep=" | ")


def readers(args):
    with Machine(args.memhp, "--memory", "8G") as m:
        variants = {
            "read=1 alone": lambda: m.stress("read=1", args.seconds),
            "beside online=4,offline=4":
                lambda: m.stress("read=1,online=4,offline=4", args.seconds)}
        results = rounds_of(variants, args.rounds)
        print("\na reader | p50 us | p99 us\n--|--|--")
        for name, runs in results.items():
            print(name, text_of([r["operations"]["read"]["p50_us"] for r in runs], 1),
                  text_of([p99(r, "read") for r in runs], 1), sep=" | ")
        alone, beside = ([p99(r, "read") for r in runs] for runs in results.values())
        print("ratio of the p99 (target at most 4):",
              text_of([b / a for a, b in zip(alone, beside)], 1))


def many(args):
    load = "online=2,offline=2,read=2"
    blocks = args.many
    few = Machine(args.memhp, "--memory", "8G")
    lots = Machine(args.memhp, "--block-size", "2M", "--memory", f"{2 * blocks}M",
                   "--max-memory", "1T")
    with few, lots:
        results = rounds_of({"64": lambda: few.stress(load, args.seconds),
                             str(blocks): lambda: lots.stress(load, args.seconds)},
                            args.rounds)
        print("\nblocks | operation | ok/s | p50 us | p99 us\n--|--|--|--|--")
        for name, runs in results.items():
            for op in ("online", "offline", "read"):
                print(name, op, text_of([successes(r, op) for r in runs]),
                      text_of([r["operations"][op]["p50_us"] for r in runs], 1),
                      text_of([p99(r, op) for r in runs], 1), sep=" | ")
        for op in ("online", "offline", "read"):
            print(f"ratio of the p50 of {op} (target at most 1.3):",
                  text_of([b["operations"][op]["p50_us"] / a["operations"][op]["p50_us"]
                           for a, b in zip(*results.values())], 2))


def memory(args):
    with Machine(args.memhp, "--memory", "8G") as m:
        print("\nlargest size of the stress process | MiB\n--|--")
        for seconds in (args.seconds, 4 * args.seconds, 16 * args.seconds):
            for name, options in (("threads", []),
                                  ("uring, 1024 in flight",
                                   ["--driver", "uring", "--in-flight", "1024"])):
                figures = m.stress("mix=8", seconds, *options)
                print(f"{name}, {seconds} s, {figures['calls']} calls",
                      f"{figures['largest_kib'] / 1024:.1f}", sep=" | ")


def main():
    questions = {f.__name__: f for f in (drivers, speed, readers, many, memory)}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("memhp")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("questions", nargs="*", metavar="QUESTION")
    args = parser.parse_intermixed_args()
    args.memhp = shutil.which(args.memhp) or args.memhp
    for name in args.questions or [q for q in questions if q != "many"]:
        print(f"\n{name}: load {os.getloadavg()[0]:.1f} at its start, "
              f"{os.cpu_count()} CPUs", flush=True)
        questions[name](args)


main()
