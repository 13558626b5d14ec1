"""What a start costs, in what is imported, started and said. Counts, not times: they tell of an import too many on any machine."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import thornback
from tests.support import eventually, get
from tests.test_costs import count_calls
from thornback._session.unix import UnixCarrier

HEAVY = {"asyncio", "concurrent.futures", "grpc", "http", "multiprocessing", "numpy", "pathlib", "ssl", "subprocess", "tempfile", "urllib"}
"""What takes long to import, and few programs, or none, need of us."""


def imported(module: str) -> set[str]:
    """The modules that a fresh interpreter has once it imported this one, beside those that it begins with."""
    # Without `site`, whose customisations are not ours, but with what it makes of the path.
    program = f"import sys; sys.path[:] = {sys.path!r}; known = set(sys.modules); import {module}; print(*set(sys.modules) - known)"
    return set(subprocess.run([sys.executable, "-S", "-c", program], check=True, capture_output=True, text=True).stdout.split())


@thornback.remote
def modules() -> list[str]:
    assert len(sys.argv) == 1, "what the template is told is not for the worker's program"
    assert gc.isenabled(), "though the template has no use for it"
    return list(sys.modules)


@thornback.remote
class Actor:
    def modules(self) -> list[str]:
        return list(sys.modules)


@thornback.remote
class AsyncActor:
    async def modules(self) -> list[str]:
        return list(sys.modules)


def test_a_driver_imports_no_more_than_it_needs() -> None:
    found = imported("thornback")
    assert not found & HEAVY
    assert len(found) <= 180, f"{len(found)} modules; most come with cloudpickle and protobuf"


def test_a_template_imports_little_more_than_a_driver() -> None:
    found = imported("thornback._template")
    assert not found & HEAVY
    assert len(found - imported("thornback")) <= 15


def test_a_worker_finds_everything_imported() -> None:
    """A task of a module that the driver has and the template has not would make every worker import it anew."""
    # The tests' own modules bring numpy, which the template is told of.
    assert "numpy" in sys.modules
    thornback.init(num_cpus=1)
    try:
        template = imported("thornback._template") | imported("numpy")
        actors = [Actor.remote() for _ in range(2)]
        for found in get([modules.remote(), *(actor.modules.remote() for actor in actors)]):
            assert "numpy" in found
            ours = {name for name in found if name.partition(".")[0] in ("thornback", "google", "cloudpickle", "msgpack")}
            assert ours - template == set()
    finally:
        thornback.shutdown()


def test_asyncio_is_imported_once_a_worker_needed_it() -> None:
    """It takes 3 MB, and as much again in pages that are shared no more; most programs have no use for it."""
    thornback.init(num_cpus=1)
    try:
        assert "asyncio" not in get(Actor.remote().modules.remote())
        first = AsyncActor.remote()
        assert "asyncio" in get(first.modules.remote())
        eventually(lambda: "thornback._worker_async" in get(Actor.remote().modules.remote()), "later workers find it imported")
    finally:
        thornback.shutdown()


def children(pid: int) -> list[int]:
    """All descendants of a process, those of its threads too."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *children(int(child))]
    return found


def test_an_idle_runtime_is_a_server_a_template_and_a_worker_for_each_cpu() -> None:
    before = set(children(os.getpid()))
    thornback.init(num_cpus=2)
    try:
        get(modules.remote())
        eventually(lambda: sum(node["workers"] for node in thornback.nodes()) == 2, "both workers are there")
        assert len(set(children(os.getpid())) - before) == 4
    finally:
        thornback.shutdown()


def private(pid: int) -> float:
    """MB that a process wrote to and shares with none."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in rollup if line.startswith("Private_Dirty:")) / 1024


def three(pids: set[int]) -> list[int] | None:
    found = [pid for pid in pids if b"thornback._template" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return found if len(found) == 3 else None


def test_idle_workers_share_what_their_template_has() -> None:
    """What the template imports after a fork, and what a collector writes to, is there once for each of them."""
    before = set(children(os.getpid()))
    thornback.init(num_cpus=2)
    try:
        get(modules.remote())
        found = eventually(lambda: three(set(children(os.getpid())) - before), "a template and two workers are there")
        # One has imported this module. The others have 3 each, of the 20 that a template with numpy takes.
        taken = sorted(private(pid) for pid in found)
        assert taken[1] <= 5, taken
    finally:
        thornback.shutdown()


def test_a_start_says_hello_declares_its_pool_and_nothing_else() -> None:
    calls = count_calls()
    try:
        thornback.init(num_cpus=1)
        # Each may come in two pieces; a round trip more would be two of each.
        assert calls.sent == 2
        assert calls.received <= 4
    finally:
        UnixCarrier.fill, UnixCarrier.send = calls.fill, calls.send  # type: ignore[method-assign]
        thornback.shutdown()
