"""The runtime itself: how soon it is of use, how much memory it takes while idle, how soon actors are there."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from harness import Limit, Row, once
from rows.actors import Actor
from rows.tasks import small_value

STARTS_ITSELF = True

PROC = Path("/proc")

MARK = "THORNBACK_BENCH"
"""A variable that everything started from here inherits, however it makes itself independent of its parent."""


def start_until_first_result(system: Any) -> Callable[[], Any]:
    # Imports are done by now: a program pays for those whether it starts a runtime or joins one.
    def started() -> float:
        began = time.perf_counter()
        system.start()
        system.get(system.remote(small_value).remote())
        taken = time.perf_counter() - began
        system.stop()
        return taken

    return started


def idle_memory(beside_workers: bool) -> Callable[[Any], Callable[[], Any]]:
    def setup(system: Any) -> Callable[[], Any]:
        def measured() -> float:
            with Marked() as marked:
                system.start()
                system.get(system.remote(small_value).remote())
                processes = marked.settled()
                system.stop()
            counted = [p for p in processes if not (beside_workers and system.is_worker(p.command, p.parent))]
            return sum(p.memory for p in counted) / 1e6

        return measured

    return setup


def create_actors(count: int) -> Callable[[Any], Callable[[], Any]]:
    def setup(system: Any) -> Callable[[], Any]:
        def created() -> float:
            system.start()
            system.get(system.remote(small_value).remote())
            cls = system.remote(Actor, num_cpus=0)
            began = time.perf_counter()
            actors = [cls.remote() for _ in range(count)]
            system.get([actor.small_value.remote() for actor in actors])
            taken = time.perf_counter() - began
            for actor in actors:
                system.kill(actor)
            system.stop()
            return taken

        return created

    return setup


class Process(NamedTuple):
    """A process that the runtime started."""

    pid: int
    command: str
    parent: str
    memory: int
    """Bytes; a page that several share counts for each in part."""


class Marked:
    """Everything that is started inside the `with`: our descendants, and whatever has a variable of ours in its environment.

    The variable finds what has made itself independent of us; descent finds what was forked and kept our own old environment.
    """

    def __enter__(self) -> Marked:
        self._before = self._descendants()
        self._mark = uuid.uuid4().hex
        os.environ[MARK] = self._mark
        return self

    def __exit__(self, *exc: object) -> None:
        del os.environ[MARK]

    def settled(self, quiet: float = 1.0, at_most: float = 15.0) -> list[Process]:
        """The processes, once none has come or gone for `quiet` seconds: workers may be started ahead of time."""
        ends = time.monotonic() + at_most
        seen, since = self._pids(), time.monotonic()
        while time.monotonic() < ends and time.monotonic() - since < quiet:
            time.sleep(0.05)
            if (now := self._pids()) != seen:
                seen, since = now, time.monotonic()
        return [process for pid in seen if (process := _process(pid)) is not None]

    def _pids(self) -> frozenset[int]:
        wanted = f"{MARK}={self._mark}".encode()
        found = self._descendants() - self._before
        for pid in _running() - found - {os.getpid()}:
            try:
                if wanted in (PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                    found.add(pid)
            except OSError:
                # It ended meanwhile, or is somebody else's.
                continue
        return frozenset(found)

    def _descendants(self) -> set[int]:
        parents = {pid: int(status["PPid"]) for pid in _running() if (status := _status(pid))}
        found = {os.getpid()}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found - {os.getpid()}


def _running() -> set[int]:
    return {int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()}


def _status(pid: int) -> dict[str, str]:
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return {}
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _process(pid: int) -> Process | None:
    status = _status(pid)
    try:
        rollup = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        memory = next(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Pss:"))
        return Process(pid, _command(pid), _command(int(status["PPid"])), memory)
    except (OSError, KeyError, StopIteration):
        return None


def _command(pid: int) -> str:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


ROWS = [
    Row("start until the first result", "s", start_until_first_result, once, "less", Limit("limit: fork and exec of a Python")),
    Row("memory of the idle runtime", "MB", idle_memory(beside_workers=False), once, "less"),
    Row("memory of the idle runtime, beside its workers", "MB", idle_memory(beside_workers=True), once, "less"),
    Row("creating 10 actors", "s", create_actors(10), once, "less", Limit("limit: fork of a warm Python", 10)),
    Row("creating 100 actors", "s", create_actors(100), once, "less", Limit("limit: fork of a warm Python", 100), slow=True),
]
