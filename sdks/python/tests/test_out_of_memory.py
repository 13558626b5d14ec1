"""What happens when workers take more memory than there is: one of them is ended, with an error that says why, and the node lives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import thornback
from tests.support import MIB, Bell, eventually, get, is_alive
from thornback._node import find_binary

LIMIT = 400 * MIB


@pytest.fixture
def node(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A node whose workers may have 400 MiB together, whatever the machine has. This process is its driver."""
    ports = tmp_path / "ports.json"
    flags = ["--num-cpus", "2", "--store-bytes", "64MiB", "--worker-memory-limit", str(LIMIT)]
    server = subprocess.Popen([find_binary(), "dev", "--exit-with-stdin", "--ports-file", ports, *flags], stdin=subprocess.PIPE)
    eventually(lambda: server.poll() is not None or ports.exists(), "the node listens")
    thornback.init("unix:" + json.loads(ports.read_text())["unix"])
    yield server
    thornback.shutdown()
    assert server.stdin
    server.stdin.close()
    assert server.wait(60) == 0


def test_a_worker_that_eats_memory_is_ended_and_the_node_lives(node: subprocess.Popen[bytes], bell: Bell) -> None:
    """Its task fails with `OutOfMemoryError`, other workers lose nothing, and the same work that asks for less still runs."""

    @thornback.remote(max_retries=0)
    def eat(mebibytes: int, stay: bool) -> int:
        bell.ring(os.getpid())
        eaten = bytearray(os.urandom(4096)) * (mebibytes * 256)
        if stay:
            signal.pause()
        return len(eaten)

    @thornback.remote
    class Bystander:
        def pid(self) -> int:
            return os.getpid()

    bystander = Bystander.remote()
    before = get(bystander.pid.remote())
    hungry = eat.remote(LIMIT // MIB + 100, True)
    pid = int(bell.hear())
    with pytest.raises(thornback.OutOfMemoryError, match=r"memory was \d+% full"):
        get(hungry)
    eventually(lambda: not is_alive(pid), "the worker is gone")
    assert node.poll() is None
    assert get(bystander.pid.remote()) == before
    assert get(eat.remote(10, False)) == 10 * MIB
