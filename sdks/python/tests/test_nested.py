"""Tasks that wait for tasks: a CPU that waits is lent, so depth and width never deadlock."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import thornback
from tests.support import DEADLINE, Bell, Gate, eventually, get


@thornback.remote
def tree(depth: int, width: int) -> int:
    return 1 if depth == 0 else 1 + sum(get([tree.remote(depth - 1, width) for _ in range(width)]))


def test_a_chain_of_waiting_tasks_runs_on_one_cpu(start: Callable[..., None]) -> None:
    """Ten tasks, each waiting for the next, need one CPU between them."""
    start(num_cpus=1)
    assert get(tree.remote(10, 1)) == 11


def test_a_tree_of_waiting_tasks_runs_on_two_cpus(start: Callable[..., None]) -> None:
    """Forty tasks, most of which wait for three others each."""
    start(num_cpus=2)
    assert get(tree.remote(3, 3)) == 40


def test_what_was_sent_ahead_to_a_waiting_worker_is_run_elsewhere(start: Callable[..., None], gate: Gate, bell: Bell) -> None:
    """A task that waits for tasks that were queued behind it does not wait for ever."""
    start(num_cpus=1)

    @thornback.remote
    def first(box: list[Any]) -> int:
        bell.ring("first runs")
        gate.pass_through()
        return sum(get(box))

    @thornback.remote
    def later(number: int) -> int:
        return number

    numbers = [thornback.put(number) for number in (10, 20)]
    waits = first.remote(numbers)
    bell.hear()
    queued = [later.remote(number) for number in range(20)]

    @thornback.remote
    def waits_for(box: list[Any]) -> int:
        return sum(get(box))

    also = waits_for.remote(queued)
    gate.open()
    assert get([waits, also]) == [30, 190]


def test_the_lent_cpu_is_taken_again(start: Callable[..., None], make_gate: Callable[[], Gate], bell: Bell) -> None:
    """While a task waits, its CPU is available; when it goes on, it is not."""
    start(num_cpus=1)
    inner_gate, outer_gate = make_gate(), make_gate()

    @thornback.remote
    def inner() -> None:
        bell.ring("inner runs")
        inner_gate.pass_through()

    @thornback.remote
    def outer() -> None:
        get(inner.remote())
        bell.ring("outer goes on")
        outer_gate.pass_through()

    ref = outer.remote()
    assert bell.hear() == "inner runs"
    inner_gate.open()
    assert bell.hear() == "outer goes on"
    eventually(lambda: thornback.available_resources().get("CPU", 0) == 0, "the CPU is taken")
    outer_gate.open()
    get(ref)
    eventually(lambda: thornback.available_resources()["CPU"] == 1, "the CPU is free")


def test_wait_lends_the_cpu_as_well(start: Callable[..., None]) -> None:
    """`wait` inside a task is waiting too."""
    start(num_cpus=1)

    @thornback.remote
    def outer() -> int:
        pending = [tree.remote(0, 0) for _ in range(5)]
        seen = 0
        while pending:
            ready, pending = thornback.wait(pending, timeout=DEADLINE)
            seen += len(ready)
        return seen

    assert get(outer.remote()) == 5


def test_an_actor_that_waits_for_tasks_does_not_need_their_cpu(start: Callable[..., None]) -> None:
    """An actor that holds the only CPU lends it while a method waits; coroutines of an async actor may wait all at once."""
    start(num_cpus=1)

    @thornback.remote(num_cpus=1)
    class Holder:
        def total(self) -> int:
            return sum(get([tree.remote(1, 2) for _ in range(3)]))

    assert get(Holder.remote().total.remote()) == 9

    @thornback.remote
    class Asynchronous:
        async def total(self, depth: int) -> int:
            return sum(await asyncio.gather(*[tree.remote(depth, 1) for _ in range(3)]))

    actor = Asynchronous.remote()
    assert get([actor.total.remote(depth) for depth in range(5)]) == [3, 6, 9, 12, 15]


def test_a_worker_that_dies_while_it_waits_gives_back_what_it_lent(start: Callable[..., None], gate: Gate, bell: Bell) -> None:
    """Killing a task that waits does not make the node think that it has one CPU too many, or too few."""
    start(num_cpus=1)

    @thornback.remote
    def inner() -> None:
        bell.ring("inner")
        gate.pass_through()

    @thornback.remote(max_retries=0)
    def outer() -> None:
        bell.ring(os.getpid())
        get(inner.remote())

    ref = outer.remote()
    pid = int(bell.hear())
    assert bell.hear() == "inner"
    os.kill(pid, 9)
    try:
        get(ref)
    except thornback.WorkerDiedError:
        pass
    gate.open()
    eventually(lambda: thornback.available_resources() == thornback.cluster_resources(), "exactly one CPU is free")
    assert get(tree.remote(3, 1)) == 4
