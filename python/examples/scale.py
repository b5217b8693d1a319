"""Simulates a fleet: many folds, trials or placebo markets on many cores, with stragglers and failures. It runs nothing else.

    python scale.py
    python scale.py --units 10000 --cores 1000 --per-job 1,5,10 --crash 0.05

The defaults are the figures of docs/scale.md; each has the unit in its help.
"""

import argparse
import heapq
import random
import statistics
from dataclasses import dataclass


@dataclass
class Fleet:
    """Figures of a fleet and of its work."""

    units: int
    cores: int
    unit_seconds: float
    spread: float
    load_seconds: float
    bars_mb: float
    result_kb: float
    files: int
    straggler: float
    slowdown: float
    crash: float
    start_seconds: float
    restart_seconds: float
    join_ms: float
    seed: int


@dataclass
class Outcome:
    """What a simulation counted."""

    jobs: int
    wall: float
    ideal: float
    busy: float
    attempts: int
    lost: float
    read_gb: float
    peak_mb: float
    tail: float


def simulate(fleet: Fleet, per_job: int) -> Outcome:
    """Hands jobs of `per_job` units to the cores in their order. A crash loses the unit that runs; finished units are files."""
    draw = random.Random(fleet.seed)
    jobs = [min(per_job, fleet.units - first) for first in range(0, fleet.units, per_job)]
    free = [0.0] * fleet.cores
    heapq.heapify(free)
    ideal = busy = lost = 0.0
    attempts, loads, ends = 0, [], []
    for units in jobs:
        begin = now = heapq.heappop(free)
        slow = fleet.slowdown if draw.random() < fleet.straggler else 1.0
        now += fleet.start_seconds
        left, attempts = units, attempts + 1
        loads.append(now)
        now += fleet.load_seconds * slow
        while left:
            seconds = fleet.unit_seconds * draw.lognormvariate(0.0, fleet.spread) * slow
            ideal += seconds / slow
            # The chance of a crash is given for a whole job, and spread over its units.
            while draw.random() < 1.0 - (1.0 - fleet.crash) ** (1.0 / units):
                wasted = seconds * draw.random()
                lost += wasted
                attempts += 1
                slow = 1.0  # The scheduler starts it elsewhere.
                now += wasted + fleet.restart_seconds
                loads.append(now)
                now += fleet.load_seconds
            now += seconds
            left -= 1
        busy += now - begin
        ends.append(now)
        heapq.heappush(free, now)
    wall = max(ends)
    tail = wall - sorted(ends)[int(0.99 * len(ends))]
    return Outcome(
        jobs=len(jobs),
        wall=wall,
        ideal=ideal,
        busy=busy,
        attempts=attempts,
        lost=lost,
        read_gb=attempts * fleet.bars_mb / 1000.0,
        peak_mb=peak(loads, fleet.load_seconds) * fleet.bars_mb / fleet.load_seconds,
        tail=tail,
    )


def peak(starts: list[float], seconds: float) -> int:
    """Returns the largest number of intervals of this length that overlap."""
    events = sorted([(start, 1) for start in starts] + [(start + seconds, -1) for start in starts])
    most = now = 0
    for _, change in events:
        now += change
        most = max(most, now)
    return most


def minutes(seconds: float) -> str:
    return f"{seconds / 60.0:.1f} min" if seconds < 5400 else f"{seconds / 3600.0:.1f} h"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--units", type=int, default=10_000, help="folds, trials or placebo markets")
    add("--cores", type=int, default=1_000, help="cores, one thread each")
    add("--per-job", default="1,5,10,50", help="units of a job; several are compared")
    add("--unit-seconds", type=float, default=16.0, help="CPU seconds of a unit: trainings, validation, test")
    add("--spread", type=float, default=0.15, help="spread of a unit's seconds, as the deviation of their logarithm")
    add("--load-seconds", type=float, default=4.0, help="seconds in which a process reads bars and builds the market")
    add("--bars-mb", type=float, default=15.5, help="MB of bars that a process reads")
    add("--result-kb", type=float, default=1060.0, help="kB that a unit writes: rows, trades and models")
    add("--files", type=int, default=16, help="files that a unit writes, each under a temporary name that is renamed")
    add("--straggler", type=float, default=0.02, help="share of jobs on a slow core")
    add("--slowdown", type=float, default=5.0, help="factor by which a slow core is slower")
    add("--crash", type=float, default=0.01, help="probability that a job crashes once: a lost node, a full memory")
    add("--start-seconds", type=float, default=1.0, help="seconds from the scheduler to the process")
    add("--restart-seconds", type=float, default=30.0, help="seconds until a crash is noticed and the job starts again")
    add("--join-ms", type=float, default=2.0, help="milliseconds in which the join reads a unit")
    add("--seed", type=int, default=1)
    flags = vars(parser.parse_args())
    sizes = [int(text) for text in flags.pop("per_job").split(",")]
    fleet = Fleet(**flags)
    print(f"{fleet.units:,} units of {fleet.unit_seconds:g} s, {fleet.cores:,} cores")
    print(f"{fleet.straggler:.0%} of jobs {fleet.slowdown:g} times slower, {fleet.crash:.1%} crash")
    print(f"{'per job':>7} {'jobs':>6} {'wall':>9} {'best case':>9} {'use':>5} {'tail':>9} {'lost':>8} {'read':>8} {'peak read':>10}")
    for size in sizes:
        found = simulate(fleet, size)
        best, use = found.ideal / fleet.cores, found.ideal / (found.wall * fleet.cores)
        print(
            f"{size:>7} {found.jobs:>6,} {minutes(found.wall):>9} {minutes(best):>9} {use:>5.0%} {minutes(found.tail):>9} "
            f"{minutes(found.lost):>8} {found.read_gb:>5,.0f} GB {found.peak_mb / 1000.0:>5.1f} GB/s"
        )
    written, files = fleet.units * fleet.result_kb / 1e6, fleet.units * fleet.files
    walls = [simulate(fleet, size).wall for size in sizes]
    typical = statistics.median(walls)
    print(f"written  {written:.1f} GB in {files:,} files; {files / typical:,.0f} creations and as many renames a second")
    print(f"join     {minutes(fleet.units * fleet.join_ms / 1000.0)} on one core, {written:.1f} GB read")
    print(f"one core would take {minutes(fleet.units * fleet.unit_seconds)}")


if __name__ == "__main__":
    main()
