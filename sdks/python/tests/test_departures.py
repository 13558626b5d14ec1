"""Programs leave in many ways. Whichever it was, what they held is given back, and what they started ends."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import thornback
from tests.support import MIB, Bell, Gate, array, eventually, get, is_alive, is_array, objects, store_used
from thornback._node import find_binary


@pytest.fixture
def node(tmp_path: Path) -> Iterator[str]:
    """The address of a node that no driver owns. This process is connected to it too, and looks."""
    ports = tmp_path / "ports.json"
    server = subprocess.Popen(
        [
            find_binary(),
            "dev",
            "--exit-with-stdin",
            "--ports-file",
            ports,
            "--num-cpus",
            "4",
            "--grace-ms",
            "200",
            "--store-bytes",
            "256MiB",
        ],
        stdin=subprocess.PIPE,
    )
    eventually(lambda: server.poll() is not None or ports.exists(), "the node listens")
    address = "unix:" + json.loads(ports.read_text())["unix"]
    thornback.init(address, namespace="test")
    yield address
    thornback.shutdown()
    assert server.stdin
    server.stdin.close()
    assert server.wait(60) == 0


def driver_environment(**variables: str) -> dict[str, str]:
    """The environment of another driver: it finds what this one finds, these helpers among it."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])} | variables


VICTIM = """
import os, signal, sys
import numpy as np
import thornback
from tests.support import Bell, Gate, array

bell = Bell(sys.argv[1])
started = Gate(sys.argv[2])
thornback.init(namespace="test")

@thornback.remote
class Holder:
    def hold(self):
        self.kept = thornback.put(array(3))
        return os.getpid()

@thornback.remote
def run_for_ever():
    bell.ring(os.getpid())
    started.open()
    signal.pause()

@thornback.remote
def blocked(ref):
    return ref

kept = [thornback.put(array(2, fill=n)) for n in range(5)] + [thornback.put(n) for n in range(500)]
nested = thornback.put([thornback.put([thornback.put(array(1))])])
read = thornback.get(kept[0])
holder = Holder.remote()
named = Holder.options(name="named").remote()
detached = Holder.options(name="detached", lifetime="detached").remote()
pids = thornback.get([holder.hold.remote(), named.hold.remote(), detached.hold.remote()])
running = run_for_ever.remote()
waiting = [blocked.remote(running) for _ in range(100)]
started.pass_through()
bell.ring(" ".join(map(str, pids)))
"""


@pytest.mark.parametrize("way", ["SIGKILL", "SIGTERM", "its end", "an exception", "os._exit"])
def test_all_is_released_when_a_driver_leaves(way: str, node: str, bell: Bell, gate: Gate, tmp_path: Path) -> None:
    """Objects, pins, tasks and actors of a driver that is gone are gone too; only what was detached stays. It need not say goodbye."""
    before = (objects(), store_used())
    script = tmp_path / "victim.py"
    endings = {"its end": "", "an exception": "raise RuntimeError('as asked')", "os._exit": "os._exit(3)"}
    script.write_text(textwrap.dedent(VICTIM) + endings.get(way, "signal.pause()"))
    environment = driver_environment(THORNBACK_ADDRESS=node)
    victim = subprocess.Popen([sys.executable, script, bell.path, gate.path], env=environment, stderr=subprocess.PIPE, text=True)
    mortal = [int(bell.hear())]
    *actors, immortal = map(int, bell.hear().split())
    mortal += actors
    if way in ("SIGKILL", "SIGTERM"):
        assert store_used() >= 5 * 2 * MIB
        assert objects() >= 500
        victim.send_signal(getattr(signal, way))
    victim.communicate(timeout=60)

    detached = thornback.get_actor("detached")
    assert is_alive(immortal)
    assert get(detached.hold.remote()) == immortal
    for pid in mortal:
        eventually(lambda pid=pid: not is_alive(pid), f"process {pid} of the driver's work is gone")
    with pytest.raises(thornback.ActorNotFoundError):
        thornback.get_actor("named")
    thornback.kill(detached)
    del detached
    eventually(lambda: store_used() == before[1], "all bytes are released")
    eventually(lambda: objects() <= before[0] + 2, "all objects are released")
    eventually(lambda: thornback.available_resources() == thornback.cluster_resources(), "all CPUs are free")


def test_what_another_driver_borrowed_stays(node: str, tmp_path: Path) -> None:
    """An object that a living actor holds survives the driver that put it."""

    @thornback.remote
    class Keeper:
        def keep(self, refs: list[Any]) -> None:
            self.refs = refs

        def give(self) -> list[Any]:
            return self.refs

    keeper = Keeper.options(name="keeper", lifetime="detached").remote()
    script = tmp_path / "giver.py"
    script.write_text(
        textwrap.dedent(
            """
            import thornback
            from tests.support import array
            thornback.init(namespace="test")
            keeper = thornback.get_actor("keeper")
            thornback.get(keeper.keep.remote([thornback.put(array(2, fill=5)), thornback.put("small")]))
            """
        )
    )
    environment = driver_environment(THORNBACK_ADDRESS=node)
    subprocess.run([sys.executable, script], env=environment, check=True, timeout=60)
    large, small = get(keeper.give.remote())
    assert is_array(get(large), 2, fill=5)
    assert get(small) == "small"
    thornback.kill(keeper)


def test_a_runtime_that_init_started_ends_with_its_program(tmp_path: Path, bell: Bell) -> None:
    """A program that is killed takes the node that it started along, and the node its workers."""
    script = tmp_path / "driver.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, signal, sys
            import thornback
            from tests.support import Bell
            thornback.init(num_cpus=2)

            @thornback.remote
            def pids():
                return os.getpid(), os.getppid()

            bell = Bell(sys.argv[1])
            bell.ring(" ".join(map(str, thornback.get(pids.remote()))))
            signal.pause()
            """
        )
    )
    environment = driver_environment()
    driver = subprocess.Popen([sys.executable, script, bell.path], env=environment)
    pids = [int(pid) for pid in bell.hear().split()]
    nodes = [int(child) for child in Path(f"/proc/{driver.pid}/task/{driver.pid}/children").read_text().split()]
    assert len(nodes) == 1
    driver.kill()
    driver.wait()
    for pid in pids + nodes:
        eventually(lambda pid=pid: not is_alive(pid), f"process {pid} is gone")


@pytest.mark.parametrize("deaf", [False, True])
def test_a_node_that_is_killed_is_an_error_for_its_driver_and_the_end_of_its_workers(deaf: bool, bell: Bell) -> None:
    """A driver whose node is gone gets a connection error from what it waits for, and can start anew. No worker stays, not even one
    that is in a library which never gives the interpreter back."""

    @thornback.remote
    def block() -> None:
        bell.ring(f"{os.getpid()} {os.getppid()}")
        if deaf:
            while True:
                ctypes.PyDLL(None).pause()
        signal.pause()

    pids: list[int] = []
    thornback.init(num_cpus=1)
    try:
        ref = block.remote()
        pids = [int(pid) for pid in bell.hear().split()]
        assert os.getpgid(pids[0]) == pids[0], "a worker leads a group of its own"
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
        (node,) = [int(child) for child in children if "thornback" in Path(f"/proc/{child}/comm").read_text()]
        os.kill(node, signal.SIGKILL)
        with pytest.raises(thornback.ConnectionLostError):
            get(ref)
        with pytest.raises(thornback.ConnectionLostError):
            get(block.remote())
        for pid in pids:
            eventually(lambda pid=pid: not is_alive(pid), f"process {pid} is gone")
    finally:
        for pid in pids:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        thornback.shutdown()
    thornback.init(num_cpus=1)
    assert get(thornback.put(1)) == 1
    thornback.shutdown()


def test_memory_of_the_server_does_not_grow_with_finished_tasks(start: Callable[..., None]) -> None:
    """After ten times as many tasks the server takes as much memory as before. (`bench/memory.py` does the same with a million.)"""
    start()

    @thornback.remote
    def work(number: int) -> int:
        return number

    @thornback.remote
    class Counter:
        def add(self, number: int) -> int:
            return number

    counter = Counter.remote()

    def run(count: int, at_once: int) -> None:
        for _ in range(0, count, at_once):
            numbers = range(at_once // 2)
            assert get([work.remote(number) for number in numbers] + [counter.add.remote(number) for number in numbers]) == [*numbers] * 2

    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    (node,) = [int(child) for child in children if "thornback" in Path(f"/proc/{child}/comm").read_text()]
    run(10_000, at_once=1_000)
    before = resident(node)
    run(100_000, at_once=1_000)
    assert resident(node) <= before * 1.05 + MIB
    assert is_array(get(thornback.put(array(1))), 1)


def resident(pid: int) -> int:
    """Bytes of memory of a process's own; pages of the shared store do not count."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) * 1024
