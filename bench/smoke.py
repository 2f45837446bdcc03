#!/usr/bin/env python3
"""Does locks_bench measure what it says, and does plot.py draw it? No figure is judged.

    smoke.py LOCKS_BENCH PLOT DIRECTORY

Runs the shortest round, on this machine as it is and as if each CPU were a socket of its
own, and looks for every question, lock and placement in what comes out.
"""
import csv
import json
import math
import os
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

LOCKS = {
    "": ["memhp::percpu_rw_semaphore", "memhp::rw_semaphore", "memhp::mutex",
         "memhp::shared_percpu_rw_semaphore", "memhp::tracked_percpu_rw_semaphore",
         "memhp::tracked_rw_semaphore", "memhp::tracked_mutex", "std::shared_mutex",
         "pthread_rwlock, prefer reader", "pthread_rwlock, prefer writer",
         "BRAVO over pthread_rwlock", "std::mutex"],
    "libboost-thread-dev": ["boost::shared_mutex"],
    "libabsl-dev": ["absl::Mutex"],
    "libtbb-dev": ["tbb::spin_rw_mutex", "tbb::rw_mutex", "tbb::queuing_rw_mutex"],
    "libck-dev": ["ck_brlock", "ck_pflock", "ck_rwlock"],
    "liburcu-dev": ["urcu memb (RCU)", "urcu bp (RCU)", "urcu qsbr (RCU)"],
}
LIMITS = {"read pair": ["limit: bare rseq pair", "limit: empty loop"],
          "short-lived threads": ["limit: bare rseq pair", "limit: empty loop"],
          "write pair": ["limit: membarrier alone"],
          "writer latency": ["limit: membarrier alone"],
          "mix": [], "overlapping readers": []}
# Asked on every placement that has two CPUs, which short-lived threads do not need.
ALONE = {"read pair", "short-lived threads", "write pair"}

failures = []


def check(holds, what):
    if not holds:
        failures.append(what)
        print("FAILS:", what)


def expected_locks(question, missing):
    """Those of this build; what is left out says so."""
    for package, names in LOCKS.items():
        if package in missing.split():
            print(f"left out, {package} is not installed: {', '.join(names)}")
            continue
        rcu_cannot = question in ("mix", "overlapping readers")
        yield from (name for name in names if not (rcu_cannot and "(RCU)" in name))
    yield from LIMITS[question]


def run(bench, directory, sysfs):
    files = [str(directory / "smoke.csv"), str(directory / "smoke.json")]
    done = subprocess.run([bench, "--quick", "--csv", files[0], "--json", files[1],
                           "--sysfs", sysfs], capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"locks_bench succeeds: {done.stderr}")
    with open(files[0], encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    with open(files[1], encoding="utf-8") as file:
        return done.stdout, rows, json.load(file)


def check_rows(text, rows, data):
    several = len(os.sched_getaffinity(0)) > 1
    check(len(rows) == len(data["rows"]), "CSV and JSON have the same rows")
    for question in LIMITS:
        if not several and question not in ALONE:
            print(f"left out, there is one CPU: {question}")
            continue
        for lock in expected_locks(question, data["missing"]):
            mine = [r for r in rows if r["question"] == question and r["lock"] == lock]
            check(mine, f"{question} has a row of {lock}")
            check(lock in text, f"the tables have {lock}")
            check(all(0 < float(r["median"]) < math.inf for r in mine),
                  f"{question} of {lock} has figures")
    check(len(data["targets"]) == 16, "every target is judged")
    if several:
        check(all(t["measured"] is not None for t in data["targets"]) or data["missing"],
              "every target is measured")


def two_sockets(directory):
    """A sysfs in which every CPU is a socket and a node."""
    for cpu in os.sched_getaffinity(0):
        topo = directory / f"devices/system/cpu/cpu{cpu}/topology"
        node = directory / f"devices/system/node/node{cpu}"
        topo.mkdir(parents=True, exist_ok=True)
        node.mkdir(parents=True, exist_ok=True)
        (topo / "physical_package_id").write_text(f"{cpu}\n")
        (node / "cpulist").write_text(f"{cpu}\n")
    return str(directory)


def check_sockets(rows, data):
    cpus = len(os.sched_getaffinity(0))
    if cpus < 2:
        print("left out, there is one CPU: rows by socket")
        return
    check(f"{cpus} sockets, {cpus} nodes" in data["machine"], "sockets are counted")
    for placement in ("all", "one socket", "across sockets"):
        check(any(r["placement"] == placement for r in rows), f"rows of {placement}")


def main():
    bench, plot, directory = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    directory.mkdir(parents=True, exist_ok=True)
    text, rows, data = run(bench, directory, "/sys")
    check_rows(text, rows, data)
    picture = directory / "smoke.svg"
    subprocess.run([sys.executable, plot, str(directory / "smoke.csv"), str(picture)],
                   check=True)
    drawn = xml.etree.ElementTree.parse(picture).getroot()
    curves = [e for e in drawn.iter() if e.tag.endswith("polyline")]
    locks = {r["lock"] for r in rows if r["question"] == "read pair"}
    check(len(curves) == len(locks), "the picture has a curve for every lock")
    _, rows, data = run(bench, directory, two_sockets(directory / "sys"))
    check_sockets(rows, data)
    sys.exit(1 if failures else 0)


main()
