"""Fixtures: a runtime to test against, and events that pass between a test and its tasks."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import thornback
from tests.support import MIB, Bell, Gate

# CPUs are a budget, not cores: four tasks at once are what most tests need. The slot is for tests of shares of a resource.
OPTIONS: dict[str, Any] = {"num_cpus": 4, "resources": {"slot": 1}, "object_store_memory": 256 * MIB, "log_to_driver": False}


class Runtimes:
    """The runtime that this process is connected to. Starting one takes a moment, so tests that want the same one share it."""

    def __init__(self) -> None:
        self.options: dict[str, Any] | None = None

    def start(self, **options: Any) -> None:
        """Makes sure that this process is connected to a runtime with these options beside the usual ones."""
        wanted = OPTIONS | options
        if self.options != wanted or not thornback.is_initialized():
            self.stop()
            thornback.init(**wanted)
            self.options = wanted

    def stop(self) -> None:
        if thornback.is_initialized():
            thornback.shutdown()
        self.options = None


@pytest.fixture(scope="module")
def runtimes() -> Iterator[Runtimes]:
    runtimes = Runtimes()
    yield runtimes
    runtimes.stop()


@pytest.fixture
def runtime(runtimes: Runtimes) -> Iterator[None]:
    """The usual runtime, shared by the tests of a module."""
    runtimes.start()
    yield
    gc.collect()


@pytest.fixture
def start(runtimes: Runtimes) -> Iterator[Callable[..., None]]:
    """Starts a runtime of the test's own, with options of `thornback.init`: a small store, few CPUs."""
    runtimes.stop()
    yield runtimes.start
    runtimes.stop()


@pytest.fixture
def gate(make_gate: Callable[[], Gate]) -> Gate:
    return make_gate()


@pytest.fixture
def make_gate(tmp_path: Path) -> Iterator[Callable[[], Gate]]:
    gates: list[Gate] = []

    def make() -> Gate:
        gates.append(Gate(tmp_path / f"gate-{len(gates)}"))
        return gates[-1]

    yield make
    for gate in gates:
        # A task that a failed test left behind ends.
        gate.open()
        gate.close()


@pytest.fixture
def bell(make_bell: Callable[[], Bell]) -> Bell:
    return make_bell()


@pytest.fixture
def make_bell(tmp_path: Path) -> Iterator[Callable[[], Bell]]:
    bells: list[Bell] = []

    def make() -> Bell:
        bells.append(Bell.hang(tmp_path / f"bell-{len(bells)}"))
        return bells[-1]

    yield make
    for bell in bells:
        bell.close()
