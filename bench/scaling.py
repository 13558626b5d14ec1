"""What a task costs as work grows: with the tasks queued at once, the actors called, and the drivers that submit.

    python bench/scaling.py [--only NAME] [--quick] [--json FILE] [--plot FILE]

For each size it prints the cost of one task or call: seconds over their number. Flat is what one hopes for; the plot (.svg or .png) shows
it at a glance, each line relative to its smallest size. Every result is compared with what it has to be. Beside the actors stands what the
machine allows: as many bare processes that echo.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import thornback
from server import Driver, Server, answer

CALLS = 20_000
"""Calls that are spread over the actors, and tasks that are spread over the drivers, whatever their number."""

ECHO_BYTES = 64
"""About as long as a call."""
IN_FLIGHT = 128
"""Echoes that are under way at once: as many as the calls that the SDK sends together."""


@thornback.remote
def work(number: int) -> int:
    return number


@thornback.remote(num_cpus=0)
class Echo:
    def work(self, number: int) -> int:
        return number


def queued(sizes: list[int]) -> Iterator[tuple[int, float]]:
    """Tasks that are submitted before the first result is asked for."""
    thornback.init()
    run_tasks(1000)
    for size in sizes:
        yield size, run_tasks(size)
    thornback.shutdown()


def actors(sizes: list[int]) -> Iterator[tuple[int, float]]:
    """Calls to many actors in turn, all in flight at once. Their creation is not counted."""
    for size in sizes:
        thornback.init()
        group = [Echo.remote() for _ in range(size)]
        check([actor.work.remote(0) for actor in group], [0] * size)
        began = time.perf_counter()
        check([group[number % size].work.remote(number) for number in range(CALLS)], list(range(CALLS)))
        yield size, (time.perf_counter() - began) / CALLS
        thornback.shutdown()


def echoes(sizes: list[int]) -> Iterator[tuple[int, float]]:
    """What the machine allows for calls to many actors: bytes to processes in turn, which send them back and do nothing else."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    for size in sizes:
        group = [fork_echo() for _ in range(size)]
        watched = select.epoll()
        for echo in group:
            watched.register(echo, select.EPOLLIN)
        by_number = {echo.fileno(): echo for echo in group}
        began = time.perf_counter()
        sent = returned = 0
        while returned < CALLS * ECHO_BYTES:
            while sent < CALLS and sent * ECHO_BYTES - returned < IN_FLIGHT * ECHO_BYTES:
                group[sent % size].sendall(bytes(ECHO_BYTES))
                sent += 1
            for number, _events in watched.poll():
                returned += len(by_number[number].recv(1 << 16))
        yield size, (time.perf_counter() - began) / CALLS
        watched.close()
        for echo in group:
            # For those as well who inherited it.
            echo.shutdown(socket.SHUT_RDWR)
            echo.close()
        for _ in group:
            os.wait()


def fork_echo() -> socket.socket:
    """A socket to a process that sends back what comes."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        try:
            while data := theirs.recv(1 << 16):
                theirs.sendall(data)
        finally:
            os._exit(0)
    theirs.close()
    return ours


def drivers(sizes: list[int]) -> Iterator[tuple[int, float]]:
    """Tasks from many drivers at once, each a program of its own; from the start of the first to the end of the last."""
    for size in sizes:
        with Server() as server:
            programs = [Driver(__file__, "--drive", server.address) for _ in range(size)]
            for program in programs:
                program.hear()
            began = time.perf_counter()
            for program in programs:
                program.tell(CALLS // size)
            for program in programs:
                program.hear()
            yield size, (time.perf_counter() - began) / (CALLS // size * size)
            for program in programs:
                program.end()


def drive(address: str) -> None:
    """One of the drivers: for each number that it is told, it runs so many tasks."""
    thornback.init(address)
    run_tasks(100)
    answer({"ready": True})
    for line in sys.stdin:
        answer({"seconds": run_tasks(int(line))})
    thornback.shutdown()


def run_tasks(count: int) -> float:
    """Seconds for each of so many tasks."""
    began = time.perf_counter()
    check([work.remote(number) for number in range(count)], list(range(count)))
    return (time.perf_counter() - began) / count


def check(refs: list[thornback.ObjectRef[int]], values: list[int]) -> None:
    if thornback.get(refs) != values:
        raise RuntimeError("a task gave a wrong result")


SERIES: dict[str, tuple[Callable[[list[int]], Iterator[tuple[int, float]]], list[int], int]] = {
    "tasks queued at once": (queued, [1_000, 10_000, 100_000, 1_000_000], 1),
    "actors": (actors, [1, 10, 100, 1_000], 2),
    "limit: processes that echo": (echoes, [1, 10, 100, 1_000], 2),
    "drivers": (drivers, [1, 2, 4, 8, 16, 32, 64], 2),
}
"""What grows, how it is measured, its sizes, and how many of them a quick run takes."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=list(SERIES), help="only this series (may be given more than once)")
    parser.add_argument("--quick", action="store_true", help="the smallest sizes alone: to see that it runs")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--plot", type=Path, help="draw them to this file (.svg, .png)")
    parser.add_argument("--drive", metavar="ADDRESS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.drive:
        drive(arguments.drive)
        return 0

    figures = []
    for name in arguments.only or SERIES:
        measure, sizes, quick = SERIES[name]
        print(name)
        first = None
        for size, seconds in measure(sizes[:quick] if arguments.quick else sizes):
            first = first or seconds
            print(f"{size:>11,}  {seconds * 1e6:8.2f} µs  {seconds / first:5.2f} ×", flush=True)
            figures.append({"series": name, "size": size, "microseconds": seconds * 1e6, "relative": seconds / first})
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    if arguments.plot:
        plot(figures, arguments.plot)
    return 0


def plot(figures: list[dict[str, object]], to: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.axhline(1, color="0.8", linewidth=1)
    for name in dict.fromkeys(row["series"] for row in figures):
        rows = [row for row in figures if row["series"] == name]
        axes.plot([row["size"] for row in rows], [row["relative"] for row in rows], marker="o", label=name)
    axes.set(xscale="log", ylim=0, xlabel="how many", ylabel="cost of one, relative to the fewest")
    axes.set_title("What a task costs as work grows")
    axes.legend(frameon=False)
    figure.savefig(to)


if __name__ == "__main__":
    sys.exit(main())
