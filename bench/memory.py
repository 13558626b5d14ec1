"""What the server remembers of tasks that are over: after a million of them, its memory is where it was after ten thousand.

    python bench/memory.py [--tasks 1000000] [--json FILE]

It starts a server of its own, runs the tasks in batches of a thousand, prints the server's memory as it goes, and ends with status 1 if the
last figure is more than 5 % above the first. A figure is the median of what the server had after each of the ten batches before, because
an allocator gives pages back when it sees fit. Only memory of the process's own counts (`RssAnon`): pages of the shared object store belong
to the objects in it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections import deque
from pathlib import Path

import thornback

WARM = 10_000
BATCH = 1_000
ALLOWED = 1.05


@thornback.remote
def work(number: int) -> int:
    return number


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()

    thornback.init()
    server = server_pid()
    rows: list[dict[str, int]] = []
    after_batches: deque[int] = deque(maxlen=WARM // BATCH)
    done = 0
    for target in [WARM, *(arguments.tasks * step // 10 for step in range(1, 11))]:
        while done < target:
            count = min(BATCH, target - done)
            if thornback.get([work.remote(number) for number in range(count)]) != list(range(count)):
                print("a task gave a wrong result", file=sys.stderr)
                return 1
            done += count
            after_batches.append(resident(server))
        rows.append({"tasks": done, "bytes": int(statistics.median(after_batches))})
        print(f"{done:>9,} tasks  {rows[-1]['bytes'] / 1e6:6.2f} MB  {rows[-1]['bytes'] / rows[0]['bytes']:.3f}", flush=True)
    thornback.shutdown()

    ratio = rows[-1]["bytes"] / rows[0]["bytes"]
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows, "ratio": ratio, "allowed": ALLOWED}, indent=2) + "\n")
    print(f"{ratio:.3f} times what it was after {rows[0]['tasks']:,} tasks; {ALLOWED} is allowed")
    return 0 if ratio <= ALLOWED else 1


def server_pid() -> int:
    """The server that `init` started: this process's only child of that name."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    (pid,) = [int(child) for child in children if Path(f"/proc/{child}/comm").read_text().startswith("thornback")]
    return pid


def resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} does not say how much memory it has")


if __name__ == "__main__":
    sys.exit(main())
