"""The carrier that works between any two machines: a driver and a worker that speak gRPC, with the token, and share no memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thornback
from tests.support import MIB, array, eventually, get, is_alive, is_array, store_used
from thornback._node import find_binary

WORKER = """
import os, sys, threading
import numpy as np
import thornback
from thornback import worker

@worker.function("far.pid")
def pid():
    return os.getpid()

@worker.function("far.double")
def double(values):
    return values * 2

@worker.function("far.fail")
def fail(text):
    raise ValueError(text)

@worker.function("far.count")
def count(n):
    for i in range(n):
        yield i

@worker.function("far.hang")
def hang():
    threading.Event().wait()

@worker.function("far.nested")
def nested(n):
    return thornback.get(thornback.function("far.double").remote(thornback.put(n)))

@worker.actor("far.Counter")
class Counter:
    def __init__(self, start):
        self.n = start
    def add(self, k):
        self.n += k
        return self.n

worker.serve()
"""


class Node:
    """A node, its address for gRPC and its token."""

    def __init__(self, directory: Path) -> None:
        ports = directory / "ports.json"
        self._server = subprocess.Popen(
            [find_binary(), "dev", "--exit-with-stdin", "--ports-file", ports, "--num-cpus", "4", "--store-bytes", "256MiB"],
            stdin=subprocess.PIPE,
        )
        eventually(lambda: self._server.poll() is not None or ports.exists(), "the node listens")
        said: dict[str, str] = json.loads(ports.read_text())
        self.address = "grpc://" + said["grpc"]
        self.token_file = said["token_file"]
        self._script = directory / "far.py"
        self._script.write_text(WORKER)
        self._workers: list[subprocess.Popen[bytes]] = []

    def start_worker(self, **environment: str) -> subprocess.Popen[bytes]:
        """A worker as somebody starts it by hand, far away."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("THORNBACK_")}
        named = {"THORNBACK_ADDRESS": self.address, "THORNBACK_TOKEN_FILE": self.token_file, "THORNBACK_POOL": "far"}
        process = subprocess.Popen(
            [sys.executable, self._script],
            env=inherited | {"PYTHONPATH": os.pathsep.join(sys.path)} | named | environment,
            stderr=subprocess.PIPE,
        )
        self._workers.append(process)
        return process

    def stop(self) -> None:
        assert self._server.stdin
        self._server.stdin.close()
        assert self._server.wait(60) == 0
        for worker in self._workers:
            # A worker whose node is gone ends by itself.
            worker.wait(60)
            assert worker.stderr
            worker.stderr.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node(tmp_path_factory.mktemp("node"))
    yield node
    node.stop()


@pytest.fixture
def driver(node: Node) -> Iterator[None]:
    thornback.init(node.address, token_file=node.token_file, log_to_driver=False)
    yield
    thornback.shutdown()


@pytest.fixture
def far(node: Node, driver: None) -> Iterator[Callable[..., Any]]:
    """Calls a function of a worker that dialled in."""
    worker = node.start_worker()
    eventually(lambda: any(one["pid"] == worker.pid for one in thornback.list_state("workers")), "the worker has dialled in")
    yield lambda name, *args, **options: thornback.function(f"far.{name}", pool="far", **options).remote(*args)
    worker.terminate()
    worker.wait(60)


def test_a_driver_does_all_over_grpc(driver: None) -> None:
    """Tasks, actors, streams, large values: nothing needs shared memory."""

    @thornback.remote
    def double(values: Any) -> Any:
        return values * 2

    @thornback.remote
    class Keeper:
        def keep(self, value: Any) -> int:
            self.kept = value
            return len(value)

        def give(self) -> Any:
            return self.kept

    @thornback.remote(num_returns="streaming")
    def count(n: int) -> Any:
        yield from range(n)

    assert get([double.remote(n) for n in range(300)]) == [2 * n for n in range(300)]
    large = thornback.put(array(9, fill=5))
    assert np.array_equal(get(double.remote(large)), array(9, fill=5) * 2)
    assert is_array(get(large), 9, 5)
    keeper = Keeper.remote()
    assert get(keeper.keep.remote(large)) == 9 * MIB // 8
    assert is_array(get(keeper.give.remote()), 9, 5)
    assert [get(ref) for ref in count.remote(20)] == list(range(20))
    with thornback.create(5 * MIB) as room:
        room.buffer[:] = b"\7" * (5 * MIB)
    assert get(room.ref) == b"\7" * (5 * MIB)


def test_what_a_driver_lets_go_of_is_freed(driver: None) -> None:
    before = store_used()
    kept = [thornback.put(array(2, fill=n)) for n in range(3)]
    eventually(lambda: store_used() >= before + 6 * MIB, "the values are stored")
    assert all(is_array(get(ref), 2, n) for n, ref in enumerate(kept))
    del kept
    eventually(lambda: store_used() == before, "they are gone")


def test_a_worker_serves_over_grpc(node: Node, far: Callable[..., Any]) -> None:
    """Small and large arguments and results, streams, errors, calls of its own, and a cancel while it runs."""
    assert get(far("pid")) == node._workers[-1].pid
    assert get([far("double", n) for n in range(200)]) == [2 * n for n in range(200)]
    large = array(3, fill=2)
    assert np.array_equal(get(far("double", thornback.put(large))), large * 2)
    assert [get(ref) for ref in far("count", 10, num_returns="streaming")] == list(range(10))
    with pytest.raises(ValueError, match="oh no"):
        get(far("fail", "oh no"))
    running = far("hang")
    thornback.cancel(running)
    with pytest.raises(thornback.CancelledError):
        get(running)
    assert get(far("double", 4)) == 8, "and it lives on"


def test_a_worker_becomes_an_actor_over_grpc(far: Callable[..., Any]) -> None:
    counter = thornback.actor_class("far.Counter", pool="far").remote(10)
    assert get([counter.add.remote(1) for _ in range(100)]) == list(range(11, 111))


@pytest.mark.parametrize("token", ["", "wrong"])
def test_without_the_token_nobody_gets_in(node: Node, token: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(token)
    with pytest.raises(thornback.UnauthenticatedError):
        thornback.init(node.address, token_file=str(file))
    assert not thornback.is_initialized()
    worker = node.start_worker(THORNBACK_TOKEN_FILE=str(file))
    assert worker.wait(60) == 1
    assert worker.stderr
    assert b"thornback worker: " in worker.stderr.read()
    eventually(lambda: not is_alive(worker.pid), "it is gone")
