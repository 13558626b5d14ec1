"""Overload: many drivers that submit as fast as they can, for a while. Every task is answered, memory has a bound, and nobody starves.

    python bench/overload.py [--drivers 64] [--seconds 60] [--json FILE]

Each driver submits without waiting for results, and collects the oldest once it has `--ahead` tasks in flight; what bounds the server is
the server's own doing. It ends with status 1 if a result is wrong or missing, if the fastest driver got more than twice what the
slowest got, or if the server's memory went beyond `--memory`. Compare memory between runs of different length: it must not depend on it.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import deque
from pathlib import Path

import thornback
from server import Driver, Server, answer

BATCH = 1_000
FAIR = 2.0
"""What the fastest driver may have got over what the slowest got."""


@thornback.remote
def work(number: int) -> int:
    return number


def drive(address: str, ahead: int) -> None:
    """One of the drivers: waits for the word, submits for as long as it is told, and says how many tasks were answered in that time."""
    thornback.init(address)
    thornback.get(work.remote(0))
    answer({"ready": True})
    ends = time.monotonic() + float(sys.stdin.readline())
    flying: deque[list[thornback.ObjectRef[int]]] = deque()
    submitted = in_time = right = 0
    while (going := time.monotonic() < ends) or flying:
        if going:
            flying.append([work.remote(number) for number in range(submitted, submitted + BATCH)])
            submitted += BATCH
        if flying and (not going or len(flying) * BATCH >= ahead):
            got = thornback.get(flying.popleft())
            right += sum(value == number for number, value in enumerate(got, right))
            in_time += len(got) if time.monotonic() < ends else 0
    thornback.shutdown()
    answer({"submitted": submitted, "in_time": in_time, "right": right})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drivers", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long they submit")
    parser.add_argument("--ahead", type=int, default=10_000, help="tasks that one driver has in flight before it collects any")
    parser.add_argument("--memory", type=float, default=1e9, help="bytes that the server may take")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--drive", metavar="ADDRESS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.drive:
        drive(arguments.drive, arguments.ahead)
        return 0

    with Server() as server:
        programs = [Driver(__file__, "--drive", server.address, "--ahead", str(arguments.ahead)) for _ in range(arguments.drivers)]
        for program in programs:
            program.hear()
        idle = server.memory()
        over = threading.Event()
        peak = [idle]
        watcher = threading.Thread(target=watch, args=(server, peak, over))
        watcher.start()
        for program in programs:
            program.tell(arguments.seconds)
        said = [program.hear() for program in programs]
        over.set()
        watcher.join()
        for program in programs:
            program.end()

    answered = sorted(one["in_time"] for one in said)
    lost = sum(one["submitted"] - one["right"] for one in said)
    fairness = answered[-1] / answered[0] if answered[0] else float("inf")
    figures = {
        "drivers": arguments.drivers,
        "seconds": arguments.seconds,
        "submitted": sum(one["submitted"] for one in said),
        "lost_or_wrong": lost,
        "per_second": sum(answered) / arguments.seconds,
        "slowest": answered[0],
        "fastest": answered[-1],
        "fastest_over_slowest": fairness,
        "idle_bytes": idle,
        "peak_bytes": peak[0],
    }
    for name, value in figures.items():
        print(f"{name:<22}{value:>16,.2f}" if isinstance(value, float) else f"{name:<22}{value:>16,}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if lost == 0 and fairness <= FAIR and peak[0] <= arguments.memory else 1


def watch(server: Server, peak: list[int], over: threading.Event) -> None:
    """Notes the most memory that the server had, and says how it goes."""
    began = time.monotonic()
    while not over.wait(0.2):
        peak[0] = max(peak[0], server.memory())
        print(f"\r{time.monotonic() - began:5.0f} s  {peak[0] / 1e6:8.1f} MB", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
