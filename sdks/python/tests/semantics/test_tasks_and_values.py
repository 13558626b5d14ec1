"""Behaviours 1 to 13: tasks, actor calls, and the values that go in and come out."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import thornback
from tests.support import DEADLINE, Bell, Gate, array, eventually, get, is_array, store_used

pytestmark = pytest.mark.usefixtures("runtime")


@thornback.remote
def echo(value: Any) -> Any:
    return value


@thornback.remote
def after(gate: Gate, value: Any) -> Any:
    gate.pass_through()
    return value


class Held:
    """An actor whose answers come in the order that the test says. A hundred of them may wait without a worker for each."""

    def __init__(self) -> None:
        self.released: dict[int, asyncio.Event] = {}

    def event(self, number: int) -> asyncio.Event:
        return self.released.setdefault(number, asyncio.Event())

    async def value(self, number: int) -> int:
        await self.event(number).wait()
        return number

    async def release(self, number: int) -> None:
        self.event(number).set()


@pytest.mark.parametrize("kind", ["task", "actor", "method"])
def test_01_wrong_arity_or_unknown_keyword_raises_at_the_call_in_the_caller(kind: str) -> None:
    """A call that cannot fit the signature raises TypeError where it is written; nothing is sent."""

    def plain(a: int, b: int = 2, *, c: int = 3) -> tuple[int, int, int]:
        return a, b, c

    class Plain:
        def __init__(self, a: int, b: int = 2, *, c: int = 3) -> None:
            self.numbers = a, b, c

        def method(self, a: int, b: int = 2, *, c: int = 3) -> tuple[int, int, int]:
            return a, b, c

    call: Any
    if kind == "task":
        call = thornback.remote(plain).remote
    elif kind == "actor":
        call = thornback.remote(Plain).remote
    else:
        call = thornback.remote(Plain).remote(1).method.remote

    for args, keywords in [((), {}), ((1, 2, 3), {}), ((1,), {"d": 4}), ((1,), {"a": 1}), ((), {"b": 2})]:
        with pytest.raises(TypeError):
            call(*args, **keywords)

    if kind == "actor":
        call(1, c=5)
    else:
        assert get(call(1, c=5)) == (1, 2, 5)
        assert get(call(b=1, a=0)) == (0, 1, 3)


def test_01_a_signature_that_takes_anything_is_given_anything() -> None:
    """Star arguments take what comes, so no call of them is refused."""

    @thornback.remote
    def anything(*args: int, **keywords: int) -> tuple[tuple[int, ...], dict[str, int]]:
        return args, keywords

    assert get(anything.remote()) == ((), {})
    assert get(anything.remote(1, 2, three=3)) == ((1, 2), {"three": 3})


def test_02_no_returns_gives_nothing_to_get(bell: Bell) -> None:
    """With num_returns=0 a task runs, and there is no ref of it."""

    @thornback.remote(num_returns=0)
    def quiet() -> None:
        bell.ring("ran")

    assert not quiet.remote()
    assert bell.hear() == "ran"


def test_02_a_task_that_no_node_can_run_is_never_ready_and_no_error() -> None:
    """Asking for what no node has is no error by itself: a node that has it may join. The task waits, and can be cancelled."""

    @thornback.remote(resources={"unobtainium": 1})
    def impossible() -> None: ...

    ref = impossible.remote()
    ready, pending = thornback.wait([ref], timeout=0.5)
    assert (ready, pending) == ([], [ref])
    with pytest.raises(thornback.GetTimeoutError):
        thornback.get(ref, timeout=0)
    assert get(echo.remote(1)) == 1, "others are not held up by it"
    thornback.cancel(ref)
    with pytest.raises(thornback.CancelledError):
        get(ref)


def test_03_fractions_of_a_resource_count_to_a_ten_thousandth(gate: Gate, bell: Bell) -> None:
    """Three times 0.3334 of a thing is more than the thing: the third waits. Three times 0.3333 is not."""

    @thornback.remote(num_cpus=0)
    def share(name: str) -> str:
        bell.ring(name)
        gate.pass_through()
        bell.ring(f"{name} is over")
        return name

    refs = [share.options(resources={"slot": 0.3333}).remote(name) for name in "abc"]
    assert sorted(bell.hear_all(3)) == ["a", "b", "c"], "all three run at once"
    refs.append(share.options(resources={"slot": 0.0002}).remote("d"))
    ready, _ = thornback.wait(refs[3:], timeout=0.2)
    assert (ready, bell.rung()) == ([], []), "0.0001 is left, and a fourth that wants 0.0002 waits for it"
    refs.append(share.options(resources={"slot": 0.0001}).remote("e"))
    assert bell.hear() == "e", "but one that wants 0.0001 fits"
    gate.open()
    assert get(refs) == list("abcde")


def test_03_all_resources_return_to_full_after_use() -> None:
    """After many tasks and actors that took odd fractions, and some that failed, what is available is exactly what there was."""
    before = thornback.cluster_resources()
    chance = random.Random(3)

    @thornback.remote
    def work(fail: bool) -> None:
        if fail:
            raise ValueError("as asked")

    @thornback.remote
    class Worker:
        def work(self) -> None: ...

    def cpus() -> float:
        return chance.randint(1, 10_000) / 10_000

    tasks = [work.options(num_cpus=cpus(), resources={"slot": cpus()}).remote(n % 5 == 0) for n in range(200)]
    for n, task in enumerate(tasks):
        if n % 5 == 0:
            with pytest.raises(ValueError, match="as asked"):
                get(task)
        else:
            get(task)
    for _ in range(5):
        actors = [Worker.options(num_cpus=cpus(), resources={"slot": 0.1111}).remote() for _ in range(3)]
        get([actor.work.remote() for actor in actors])
        del actors
    eventually(lambda: thornback.available_resources() == before, "all resources are back")


def test_04_the_latest_definition_of_a_function_wins() -> None:
    """Defining a function again under the same name, even with the same source, makes new calls run the new one."""

    def define(value: int) -> Any:
        @thornback.remote
        def constant() -> int:
            return value

        return constant

    first, second = define(1), define(2)
    assert get([first.remote(), second.remote(), first.remote()]) == [1, 2, 1], "the same source, each with what it closed over"

    source = "@thornback.remote\ndef same():\n    return VALUE\n"
    space: dict[str, Any] = {"thornback": thornback, "VALUE": "old"}
    exec(source, space)
    old = space["same"].remote()
    space = {"thornback": thornback, "VALUE": "new"}
    exec(source, space)
    assert get([old, space["same"].remote()]) == ["old", "new"]


def test_04_the_latest_definition_of_a_class_wins() -> None:
    """The same for actors: each is of the class as it was when the actor was created."""

    def define(value: int) -> Any:
        @thornback.remote
        class Constant:
            def value(self) -> int:
                return value

        return Constant

    actors = [define(n).remote() for n in range(3)]
    assert get([actor.value.remote() for actor in actors]) == [0, 1, 2]


@pytest.mark.parametrize("callee", ["task", "actor"])
@pytest.mark.parametrize("megabytes", [0.001, 0.099, 4], ids=["small", "nearly large", "large"])
@pytest.mark.parametrize("kind", ["in-band", "out-of-band", "both"])
def test_05_results_of_every_kind_equal_what_was_returned(callee: str, megabytes: float, kind: str) -> None:
    """Whoever runs the call, however large its value is and however it is encoded, it arrives as it was; so does an argument."""

    def make(megabytes: float, kind: str) -> Any:
        in_band: Any = bytes(range(256)) * int(megabytes * 4096)
        out_of_band = array(megabytes, fill=7)
        return {"in-band": in_band, "out-of-band": out_of_band, "both": {"bytes": in_band, "array": (out_of_band, None)}}[kind]

    class Maker:
        def make(self, megabytes: float, kind: str) -> Any:
            return make(megabytes, kind)

        def check(self, value: Any, megabytes: float, kind: str) -> bool:
            return equal(value, make(megabytes, kind))

    def equal(left: Any, right: Any) -> bool:
        if isinstance(right, dict):
            return bool(left["bytes"] == right["bytes"] and np.array_equal(left["array"][0], right["array"][0]))
        return bool(np.array_equal(left, right) if isinstance(right, np.ndarray) else left == right)

    maker: Any = thornback.remote(Maker).remote()
    make_call = maker.make if callee == "actor" else thornback.remote(make)
    check_call = maker.check if callee == "actor" else thornback.remote(lambda value, megabytes, kind: equal(value, make(megabytes, kind)))

    ref = make_call.remote(megabytes, kind)
    value = get(ref)
    assert type(value) is type(make(megabytes, kind))
    assert equal(value, make(megabytes, kind))
    assert get(check_call.remote(ref, megabytes, kind)), "as an argument by ref"
    assert get(check_call.remote(value, megabytes, kind)), "as an argument by value"


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -1, 2**63 - 1, -(2**63), 2**64, 10**40, 0.0, -0.0, 1e308, float("inf"), "", "naïve ☃ \U0001f41f", b"", b"\x00\xff",
        (), (1, (2, [3])), [], {}, {1: "int key", ("a", 1): "tuple key"}, {1, 2}, frozenset({1}), 1 + 2j, range(3), ..., slice(1, 2),
        bytearray(b"mutable"), np.float32(1.5), np.zeros((0, 3)), np.array("text"), ValueError("as a value"),
    ],
    ids=repr,
)  # fmt: skip
def test_05_values_keep_their_type_between_python_and_python(value: Any) -> None:
    """A Python function called from Python gives back the type that went in: a tuple stays a tuple, an int of any size an int."""
    back = get(echo.remote(value))
    assert type(back) is type(value)
    assert repr(back) == repr(value)
    if isinstance(value, np.ndarray):
        assert (back.dtype, back.shape) == (value.dtype, value.shape)


def test_06_actor_calls_with_args_in_random_order_run_in_submission_order() -> None:
    """A hundred calls whose arguments become ready in random order still run in the order in which they were made."""

    @thornback.remote
    class Recorder:
        def __init__(self) -> None:
            self.seen: list[int] = []

        def see(self, number: int) -> None:
            self.seen.append(number)

        def all(self) -> list[int]:
            return self.seen

    held, recorder = thornback.remote(Held).remote(), Recorder.remote()
    for number in range(100):
        recorder.see.remote(held.value.remote(number))
    order = list(range(100))
    random.Random(6).shuffle(order)
    get([held.release.remote(number) for number in order])
    assert get(recorder.all.remote()) == list(range(100))


def test_07_a_slow_argument_of_one_caller_does_not_hold_up_another(gate: Gate, bell: Bell) -> None:
    """Order is per caller. A call that waits for its argument holds back that caller's later calls, and nobody else's."""

    @thornback.remote
    class Target:
        def take(self, value: Any) -> Any:
            return value

    @thornback.remote
    def call_with(target: Any, slow: list[Any]) -> list[Any]:
        calls = [target.take.remote(slow[0]), target.take.remote("behind it")]
        bell.ring("called")
        return get(calls)

    target = Target.remote()
    slow = after.remote(gate, "slow")
    caller = call_with.remote(target, [slow])
    assert bell.hear() == "called"
    assert get(target.take.remote("mine")) == "mine", "answered while the other caller's argument is still not there"
    assert thornback.wait([caller], timeout=0) == ([], [caller])
    gate.open()
    assert get(caller) == ["slow", "behind it"]


def test_08_get_of_a_list_keeps_its_order_and_allows_duplicates() -> None:
    """The values come in the order of the refs, one for each time that a ref is given."""
    refs = [echo.remote(number) for number in range(50)]
    order = [random.Random(8).randrange(50) for _ in range(200)]
    assert get([refs[number] for number in order]) == order
    assert get([]) == []


def test_09_get_with_a_timeout_raises_a_timeout_error_and_a_later_get_succeeds(gate: Gate) -> None:
    """Running out of time loses nothing: the error is a TimeoutError too, and the value can be got once it is there."""
    ref = after.remote(gate, "late")
    with pytest.raises(TimeoutError) as raised:
        thornback.get(ref, timeout=0.1)
    assert isinstance(raised.value, thornback.GetTimeoutError)
    assert isinstance(raised.value, thornback.ThornbackError)
    with pytest.raises(thornback.GetTimeoutError):
        thornback.get([echo.remote(1), ref], timeout=0)
    gate.open()
    assert get(ref) == "late"
    assert thornback.get(ref, timeout=0) == "late", "a value that is here needs no time"


def test_09_the_first_error_of_a_list_is_raised_without_waiting_for_the_rest(gate: Gate) -> None:
    """A list with one failed task and one that still runs raises the failure."""

    @thornback.remote
    def fail() -> None:
        raise KeyError("lost key")

    slow = after.remote(gate, 1)
    with pytest.raises(KeyError, match="lost key"):
        get([slow, fail.remote()])
    gate.open()
    assert get(slow) == 1


def test_10_small_values_never_enter_the_shared_store_and_large_ones_do() -> None:
    """Up to 100 KiB a value travels inside its message; above, it lies in shared memory. Puts, arguments and results alike."""
    eventually(lambda: store_used() == 0, "the store is empty to begin with")
    small, large = bytes(90 << 10), bytes(200 << 10)
    kept = [thornback.put(small), echo.remote(small)]
    get(kept)
    assert store_used() == 0
    kept = [thornback.put(large)]
    assert len(large) <= store_used() < 2 * len(large)
    kept = [echo.remote(large)]
    get(kept)
    assert store_used() >= len(large)
    del kept
    eventually(lambda: store_used() == 0, "the store is empty again")


def test_11_an_actor_may_call_itself_recursively() -> None:
    """With room for more than one call at once, an actor that waits for a call of its own does not deadlock."""

    @thornback.remote(max_concurrency=20)
    class Threaded:
        def factorial(self, me: Any, number: int) -> int:
            return 1 if number <= 1 else number * get(me.factorial.remote(me, number - 1))

    @thornback.remote
    class Asynchronous:
        async def factorial(self, me: Any, number: int) -> int:
            return 1 if number <= 1 else number * await me.factorial.remote(me, number - 1)

    for kind in (Threaded, Asynchronous):
        actor = kind.remote()
        assert get(actor.factorial.remote(actor, 10)) == 3_628_800


def test_11_actors_may_call_each_other_recursively() -> None:
    """Two actors that call one another back and forth end, and so does a chain of actors one deep each."""

    @thornback.remote(max_concurrency=20)
    class Player:
        def play(self, me: Any, other: Any, balls: int) -> int:
            return 0 if balls == 0 else 1 + get(other.play.remote(other, me, balls - 1))

    one, two = Player.remote(), Player.remote()
    assert get(one.play.remote(one, two, 20)) == 20

    @thornback.remote
    class Link:
        def __init__(self, following: Any = None) -> None:
            self.following = following

        def length(self) -> int:
            return 1 + (get(self.following.length.remote()) if self.following else 0)

    chain = None
    for _ in range(6):
        chain = Link.remote(chain)
    assert chain is not None
    assert get(chain.length.remote()) == 6


@pytest.mark.parametrize("asynchronous", [False, True], ids=["threads", "coroutines"])
def test_12_max_concurrency_bounds_the_calls_of_an_actor_exactly(asynchronous: bool, make_gate: Callable[[], Gate], bell: Bell) -> None:
    """With max_concurrency=3, three calls run at once, and never four."""
    gate = make_gate()

    class Busy:
        def __init__(self) -> None:
            self.lock, self.now, self.peak = threading.Lock(), 0, 0

        def enter(self) -> None:
            with self.lock:
                self.now += 1
                self.peak = max(self.peak, self.now)
            bell.ring("entered")

        def leave(self) -> None:
            with self.lock:
                self.now -= 1

    class Threads(Busy):
        def work(self) -> None:
            self.enter()
            gate.pass_through()
            self.leave()

        def most(self) -> int:
            return self.peak

    class Coroutines(Busy):
        async def work(self) -> None:
            self.enter()
            await asyncio.to_thread(gate.pass_through)
            self.leave()

        async def most(self) -> int:
            return self.peak

    actor: Any = thornback.remote(Coroutines if asynchronous else Threads).options(max_concurrency=3).remote()
    calls = [actor.work.remote() for _ in range(12)]
    assert bell.hear_all(3) == ["entered"] * 3
    ready, _ = thornback.wait(calls, timeout=0.2)
    assert (ready, bell.rung()) == ([], []), "the fourth waits"
    gate.open()
    get(calls)
    assert get(actor.most.remote()) == 3


def test_13_wait_refuses_duplicates_and_wrong_types_and_takes_an_empty_list() -> None:
    """`wait` says at once what it cannot do."""
    ref = thornback.put(1)
    with pytest.raises(ValueError):
        thornback.wait([ref, ref])
    for wrong in (ref, 1, "text", {ref}, None):
        with pytest.raises(TypeError):
            thornback.wait(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        thornback.wait([ref, 1])  # type: ignore[list-item]
    for count in (0, -1, 2):
        with pytest.raises(ValueError):
            thornback.wait([ref], num_returns=count)
    assert thornback.wait([]) == ([], [])
    assert thornback.wait([ref]) == ([ref], [])


def test_13_wait_splits_a_list_in_its_own_order(make_gate: Callable[[], Gate]) -> None:
    """Both parts keep the order of the list; no more than num_returns are called ready; failures are ready too."""

    @thornback.remote
    def fail() -> None:
        raise ValueError

    gate = make_gate()
    quick, slow, failed = echo.remote(1), after.remote(gate, 2), fail.remote()
    assert thornback.wait([slow, failed, quick], num_returns=2, timeout=DEADLINE) == ([failed, quick], [slow])
    ready, pending = thornback.wait([slow, failed, quick], num_returns=1, timeout=DEADLINE)
    assert len(ready) == 1
    assert len(pending) == 2
    assert slow in pending
    assert thornback.wait([slow, quick], num_returns=2, timeout=0.1) == ([quick], [slow])
    gate.open()
    assert thornback.wait([slow, quick], num_returns=2, timeout=DEADLINE) == ([slow, quick], [])


def test_nothing_is_left_of_these_tests() -> None:
    """What the tests above stored has all been freed: nothing leaks in the ordinary run of things."""
    eventually(lambda: store_used() == 0, "no large object is left")
    eventually(lambda: thornback.available_resources() == thornback.cluster_resources(), "no resource is taken")
    assert is_array(get(echo.remote(array(1))), 1)
