"""What the server remembers of tasks that are over: after a million of them, its memory is where it was after ten thousand.

    python bench/memory.py [--tasks 1000000] [--json FILE]

It starts a server of its own, runs the tasks in batches of a thousand, prints the server's memory as it goes, and ends with status 1 if the
last figure is more than 5 % above the first. A figure is what the server has a second after the last of its batches, because an allocator
gives pages back when it sees fit. It is what `ps` shows (`VmRSS`) without pages of the shared object store (`RssShmem`), which
belong to the objects in it. How much of it is the heap (`RssAnon`) is printed beside it: there, a page of the allocator is a percent.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
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
    # What a worker's session takes is not for the tasks to answer for.
    thornback.get(work.remote(0))
    while sum(node["workers"] for node in thornback.nodes()) < (os.cpu_count() or 1):
        time.sleep(0.01)
    rows: list[dict[str, int]] = []
    done = 0
    for target in [WARM, *(arguments.tasks * step // 10 for step in range(1, 11))]:
        while done < target:
            count = min(BATCH, target - done)
            if thornback.get([work.remote(number) for number in range(count)]) != list(range(count)):
                print("a task gave a wrong result", file=sys.stderr)
                return 1
            done += count
        time.sleep(1)
        memory = resident(server)
        whole, heap = memory["VmRSS"] - memory["RssShmem"], memory["RssAnon"]
        rows.append({"tasks": done, "bytes": whole, "heap": heap})
        ratios = whole / rows[0]["bytes"], heap / rows[0]["heap"]
        print(f"{done:>9,} tasks  {whole / 1e6:6.2f} MB  {ratios[0]:.3f}   heap {heap / 1e6:6.2f} MB  {ratios[1]:.3f}", flush=True)
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


def resident(pid: int) -> dict[str, int]:
    """What of a process is in memory, in bytes, by the kernel's names."""
    lines = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: int(text.split()[0]) * 1024 for name, _, text in lines if name == "VmRSS" or name.startswith("Rss")}


if __name__ == "__main__":
    sys.exit(main())
