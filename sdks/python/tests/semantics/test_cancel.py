"""Behaviours 15 to 21: what a cancel ends, and what it leaves alone."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import thornback
from tests.support import Bell, Gate, eventually, get, is_alive, settle

pytestmark = pytest.mark.usefixtures("runtime")


@thornback.remote
def after(gate: Gate, *values: Any) -> Any:
    gate.pass_through()
    return values


@thornback.remote
def pair(*values: Any) -> Any:
    return values


def assert_cancelled(ref: Any) -> None:
    with pytest.raises(thornback.CancelledError):
        get(ref)


def test_15_cancelling_a_link_of_a_chain_fails_downstream_and_leaves_upstream(gate: Gate) -> None:
    """What waits for a cancelled task fails with it; what it waited for goes on."""
    first = after.remote(gate, 1)
    second = pair.remote(first)
    third = pair.remote(second)
    fourth = pair.remote(third, "more")
    thornback.cancel(second)
    for ref in (second, third, fourth):
        assert_cancelled(ref)
    assert thornback.wait([first], timeout=0) == ([], [first])
    gate.open()
    assert get(first) == (1,)


def test_16_cancelling_a_shared_dependency_fails_every_dependent(gate: Gate) -> None:
    """All tasks and actor calls that wait for the value of a cancelled task fail; those that do not, do not."""

    @thornback.remote
    class Taker:
        def take(self, value: Any) -> Any:
            return value

    taker = Taker.remote()
    shared = after.remote(gate)
    dependents = [pair.remote(shared, number) for number in range(20)] + [taker.take.remote(shared)]
    other = pair.remote("independent")
    thornback.cancel(shared)
    for ref in dependents:
        assert_cancelled(ref)
    assert get(other) == ("independent",)
    assert get(taker.take.remote("alive")) == "alive"


def test_17_random_cancels_of_short_tasks_give_only_results_or_cancel_errors() -> None:
    """Of 5,000 short tasks a good part is cancelled at some moment. Each gives its own result or a cancel error, and all answer."""
    chance = random.Random(17)

    @thornback.remote
    def identity(number: int) -> int:
        return number

    refs = []
    for number in range(5000):
        refs.append(identity.remote(number))
        if chance.random() < 0.3:
            thornback.cancel(refs[chance.randrange(len(refs))], recursive=chance.random() < 0.5)
    outcomes = settle(refs)
    wrong = [
        (number, outcome)
        for number, outcome in enumerate(outcomes)
        if outcome != number and not isinstance(outcome, thornback.CancelledError)
    ]
    assert not wrong
    eventually(lambda: thornback.available_resources() == thornback.cluster_resources(), "every CPU came back")
    assert get(identity.remote(1)) == 1


def test_18_one_who_holds_the_ref_but_does_not_own_it_can_cancel(gate: Gate, bell: Bell) -> None:
    """A task that was handed a ref inside a list cancels what another submitted."""

    @thornback.remote
    def blocked() -> None:
        bell.ring("runs")
        gate.pass_through()

    @thornback.remote
    def cancel(refs: list[Any]) -> None:
        thornback.cancel(refs[0])

    ref = blocked.remote()
    assert bell.hear() == "runs"
    get(cancel.remote([ref]))
    assert_cancelled(ref)


def test_19_an_async_call_cancelled_while_queued_never_runs(make_gate: Callable[[], Gate], bell: Bell) -> None:
    """A call of an async actor that has no room yet is cancelled without its body ever being entered."""
    gate = make_gate()

    @thornback.remote(max_concurrency=1)
    class Actor:
        async def hold(self) -> None:
            bell.ring("holds")
            await asyncio.to_thread(gate.pass_through)

        async def work(self, name: str) -> str:
            bell.ring(name)
            return name

    actor = Actor.remote()
    holding = actor.hold.remote()
    assert bell.hear() == "holds"
    never, later = actor.work.remote("never"), actor.work.remote("later")
    thornback.cancel(never)
    assert_cancelled(never)
    gate.open()
    get(holding)
    assert get(later) == "later"
    assert bell.rung() == ["later"]


def test_19_a_threaded_call_cancelled_while_queued_never_runs(make_gate: Callable[[], Gate], bell: Bell) -> None:
    """The same where calls run on threads, all of which are busy."""
    gate = make_gate()

    @thornback.remote(max_concurrency=2)
    class Actor:
        def hold(self) -> None:
            bell.ring("holds")
            gate.pass_through()

        def work(self, name: str) -> str:
            bell.ring(name)
            return name

    actor = Actor.remote()
    holding = [actor.hold.remote(), actor.hold.remote()]
    assert bell.hear_all(2) == ["holds", "holds"]
    never, later = actor.work.remote("never"), actor.work.remote("later")
    thornback.cancel(never)
    assert_cancelled(never)
    gate.open()
    get(holding)
    assert get(later) == "later"
    assert bell.rung() == ["later"]


def test_20_a_cancel_after_completion_does_nothing() -> None:
    """The value of a finished call stays readable, and the actor goes on."""

    @thornback.remote
    class Actor:
        async def work(self, number: int) -> int:
            return number

    actor = Actor.remote()
    call, task = actor.work.remote(1), pair.remote(2)
    get([call, task])
    for ref in (call, task):
        thornback.cancel(ref)
        thornback.cancel(ref)
    assert get([call, task]) == [1, (2,)]
    assert get([actor.work.remote(3), pair.remote(call)]) == [3, (1,)]


def test_21_a_cancelled_actor_call_is_not_retried_after_the_actor_restarts(bell: Bell) -> None:
    """A call that was cancelled and did not obey is not run again when the actor comes back, though its retries are not used up."""

    @thornback.remote(max_restarts=1, max_task_retries=-1)
    class Stubborn:
        async def pid(self) -> int:
            return os.getpid()

        async def hang(self) -> None:
            bell.ring("hangs")
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    bell.ring("was cancelled and stays")

    actor = Stubborn.remote()
    pid = get(actor.pid.remote())
    call = actor.hang.remote()
    assert bell.hear() == "hangs"
    thornback.cancel(call)
    assert bell.hear() == "was cancelled and stays"
    os.kill(pid, signal.SIGKILL)
    assert get(actor.pid.remote()) != pid, "it has restarted"
    assert_cancelled(call)
    assert not bell.rung(), "and the call has not been entered again"


def test_a_running_task_is_interrupted_even_in_a_blocking_call(gate: Gate, bell: Bell) -> None:
    """A cancel raises in the running task, also where it waits in a system call; its worker lives on."""

    @thornback.remote
    def blocked() -> None:
        try:
            bell.ring(os.getpid())
            gate.pass_through()
        finally:
            bell.ring("cleaned up")

    ref = blocked.remote()
    pid = int(bell.hear())
    thornback.cancel(ref)
    assert_cancelled(ref)
    assert bell.hear() == "cleaned up"
    assert is_alive(pid)


def test_force_ends_the_process_of_a_task_that_does_not_obey(tmp_path: Path, bell: Bell) -> None:
    """With force the worker is killed, the task fails as cancelled, and it is not retried."""

    @thornback.remote(max_retries=5)
    def stubborn() -> None:
        bell.ring(os.getpid())
        while True:
            try:
                while True:
                    signal.pause()
            except BaseException:  # being deaf to everything is the point
                pass

    ref = stubborn.remote()
    pid = int(bell.hear())
    thornback.cancel(ref, force=True)
    assert_cancelled(ref)
    eventually(lambda: not is_alive(pid), "the worker is gone")
    get(pair.remote(1))
    assert not bell.rung(), "it has not been run again"


def test_force_is_refused_for_actor_calls() -> None:
    """Ending the process would end the actor and everyone's calls with it, so that is `kill`'s business."""

    @thornback.remote
    class Actor:
        async def hang(self) -> None:
            await asyncio.Event().wait()

    actor = Actor.remote()
    call = actor.hang.remote()
    with pytest.raises(ValueError):
        thornback.cancel(call, force=True)
    thornback.cancel(call)
    assert_cancelled(call)


@pytest.mark.parametrize("recursive", [True, False])
def test_recursive_ends_the_children_too(recursive: bool, make_gate: Callable[[], Gate], bell: Bell) -> None:
    """A recursive cancel ends what the task submitted, and what that submitted; a plain one leaves them running."""
    gate = make_gate()

    @thornback.remote
    def child(depth: int) -> None:
        if depth:
            get(child.remote(depth - 1))
            return
        try:
            bell.ring("deepest runs")
            gate.pass_through()
            bell.ring("went through")
        except BaseException:
            bell.ring("was ended")
            raise

    ref = child.remote(2)
    assert bell.hear() == "deepest runs"
    thornback.cancel(ref, recursive=recursive)
    assert_cancelled(ref)
    if not recursive:
        gate.open()
    assert bell.hear() == ("was ended" if recursive else "went through")


def test_a_sync_actor_call_can_ask_whether_it_was_cancelled(bell: Bell) -> None:
    """A running call of a threaded actor is not interrupted; it is told, and what it makes of it is the answer."""

    @thornback.remote(max_concurrency=2)
    class Actor:
        def work(self) -> str:
            bell.ring("runs")
            eventually(lambda: thornback.get_runtime_context().is_canceled(), "the call is told of its cancel")
            bell.ring("heard of it")
            return "done"

    actor = Actor.remote()
    call = actor.work.remote()
    assert bell.hear() == "runs"
    thornback.cancel(call)
    assert bell.hear() == "heard of it"
    assert get(call) == "done"
