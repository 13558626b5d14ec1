"""Behaviours 22 to 30: how long an object lives, and what happens when there are more of them than memory.

Large objects are counted by the bytes that the store holds, so that a test sees what was really given back.
"""

from __future__ import annotations

import copy
import os
import pickle
import signal
from collections.abc import Callable
from typing import Any

import cloudpickle
import numpy as np
import pytest

import thornback
from tests.support import MIB, Bell, Gate, array, eventually, get, is_alive, is_array, objects, settle, spilled, store_used

SMALL_STORE = 75 * MIB


@thornback.remote
def after(gate: Gate, *values: Any) -> int:
    gate.pass_through()
    return len(values)


@thornback.remote
def make(mebibytes: float, fill: int = 0) -> Any:
    return array(mebibytes, fill)


def store_is_empty() -> None:
    eventually(lambda: store_used() == 0, "every large object is freed")


@pytest.mark.usefixtures("runtime")
class TestCounting:
    @pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
    def test_22_an_argument_is_released_at_the_end_of_the_task_also_on_failure(self, fails: bool, gate: Gate, bell: Bell) -> None:
        """A task holds its arguments while it runs, though its caller has let go; when it is over, however it ended, they are freed."""
        store_is_empty()

        @thornback.remote
        def use(value: Any, boxed: list[Any]) -> float:
            bell.ring("runs")
            gate.pass_through()
            if fails:
                raise RuntimeError("as asked")
            return float(value.sum() + get(boxed[0]).sum())

        top_level, nested = thornback.put(array(2)), thornback.put(array(2, fill=1))
        expected = float(array(2).sum() + array(2, fill=1).sum())
        result = use.remote(top_level, [nested])
        del top_level, nested
        assert bell.hear() == "runs"
        assert store_used() >= 4 * MIB
        gate.open()
        if fails:
            with pytest.raises(RuntimeError, match="as asked"):
                get(result)
        else:
            assert get(result) == expected
        del result
        store_is_empty()

    def test_22_an_inlined_argument_is_released_as_well(self) -> None:
        """A small value goes with the message. Its object is forgotten once nobody holds a ref, whatever tasks it went through."""

        @thornback.remote
        def length(value: Any, boxed: Any = None) -> int:
            return len(value)

        get(length.remote(thornback.put(b"warm"), [thornback.put(b"warm")]))
        before = eventually(objects, "the functions are known")
        for number in range(50):
            small = thornback.put(b"x" * number)
            assert get(length.remote(small, {"box": small})) == number
        del small
        eventually(lambda: objects() <= before, "no small object is left behind")

    def test_23_what_a_queued_task_needs_stays_though_its_caller_dropped_it(self, gate: Gate) -> None:
        """A task that cannot run yet keeps its arguments alive by itself, those that come by ref and those inside a list."""
        store_is_empty()

        @thornback.remote
        def check(_: Any, value: Any, boxed: list[Any]) -> bool:
            return is_array(value, 3, fill=5) and is_array(get(boxed[0]), 3, fill=6)

        result = check.remote(after.remote(gate), make.remote(3, 5), [make.remote(3, 6)])
        eventually(lambda: store_used() >= 6 * MIB, "both arguments are made")
        gate.open()
        assert get(result)
        del result
        store_is_empty()

    @pytest.mark.parametrize("pickler", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
    def test_24_a_ref_serialised_out_of_band_pins_its_object(self, pickler: Any, start: Callable[..., None]) -> None:
        """Bytes that the user made of a ref cannot be counted, so the object lives as long as this driver does."""
        start()
        ref = thornback.put(array(1))
        blob = pickler.dumps([ref])
        assert get(copy.copy(ref)) is not None
        del ref
        assert store_used() >= MIB
        (again,) = pickler.loads(blob)
        assert is_array(get(again), 1)
        del again
        assert is_array(get(pickler.loads(blob)[0]), 1)

    def test_25_refs_nested_to_any_depth_keep_the_innermost_alive(self, gate: Gate, bell: Bell) -> None:
        """An object held only by a ref inside an object, and so on, lives until the last borrower of the outermost goes."""
        store_is_empty()

        @thornback.remote
        def unwrap(box: list[Any], depth: int) -> bool:
            bell.ring("borrows")
            gate.pass_through()
            for _ in range(depth):
                box = get(box[0])
            return is_array(get(box[0]), 2)

        depth = 30
        outer = thornback.put(array(2))
        for _ in range(depth):
            outer = thornback.put([outer])
        results = [unwrap.remote([outer], depth) for _ in range(2)]
        del outer
        assert bell.hear_all(2) == ["borrows"] * 2
        assert store_used() >= 2 * MIB
        gate.open()
        assert get(results) == [True, True]
        del results
        store_is_empty()

    def test_25_a_ref_handed_from_task_to_task_outlives_those_in_between(self) -> None:
        """A ref that tasks make, wrap and return stays good after each of them is over."""

        @thornback.remote
        def wrap(depth: int) -> list[Any]:
            return [make.remote(1, 9)] if depth == 0 else [wrap.remote(depth - 1)]

        box = get(wrap.remote(8))
        for _ in range(8):
            box = get(box[0])
        assert is_array(get(box[0]), 1, fill=9)
        del box
        store_is_empty()

    def test_26_killing_the_process_that_made_it_never_makes_a_borrowed_ref_hang(self, gate: Gate) -> None:
        """The node keeps the record of an object, not the process that put it. So what a dead actor put can still be read, and what it had
        submitted and was not finished answers. (A node that dies takes its records along: that part is left for the cluster.)"""

        @thornback.remote
        class Maker:
            def make(self) -> tuple[int, list[Any]]:
                return os.getpid(), [thornback.put(array(1)), thornback.put("small"), after.remote(gate, 1)]

        maker = Maker.remote()
        pid, (large, small, unfinished) = get(maker.make.remote())
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not is_alive(pid), "the maker is gone")
        assert is_array(get(large), 1)
        assert get(small) == "small"
        gate.open()
        (outcome,) = settle([unfinished])
        assert outcome == 1 or isinstance(outcome, (thornback.OwnerDiedError, thornback.CancelledError))

    @pytest.mark.parametrize("how", ["killed", "deleted", "died"])
    def test_27_the_end_of_an_actor_frees_what_it_held(self, how: str) -> None:
        """Objects that only an actor had refs of are freed when it ends, whichever way."""
        store_is_empty()

        @thornback.remote
        class Holder:
            def hold(self, ref: list[Any]) -> int:
                self.kept = [ref[0], thornback.put(array(2)), make.remote(2)]
                self.value = get(self.kept)
                return os.getpid()

        holder = Holder.remote()
        pid = get(holder.hold.remote([thornback.put(array(2))]))
        assert store_used() >= 6 * MIB
        if how == "killed":
            thornback.kill(holder)
        elif how == "deleted":
            del holder
        else:
            os.kill(pid, signal.SIGKILL)
        store_is_empty()
        eventually(lambda: not is_alive(pid), "its process is gone")

    def test_an_array_is_read_in_place_and_read_only(self) -> None:
        """A large array is not copied for its readers: it lies in shared memory, and nobody can write to it."""
        ref = thornback.put(array(4))
        one, two = get(ref), get(ref)
        assert np.shares_memory(one, two) or one is two
        assert not one.flags.writeable
        assert not one.flags.owndata
        with pytest.raises(ValueError):
            one[0] = 1

    def test_a_value_in_use_outlives_its_ref(self) -> None:
        """An array that was got stays whole after the last ref is dropped, and its room is given back after it."""
        store_is_empty()
        value = get(make.remote(3, 4))
        others = [get(make.remote(3, n)) for n in range(10, 20)]
        assert is_array(value, 3, fill=4)
        assert store_used() >= 3 * MIB
        part = value[10:20]
        del value, others
        assert store_used() >= 3 * MIB, "a slice keeps it as well"
        assert part[0] == 14
        del part
        store_is_empty()


class TestSmallStore:
    """More objects than memory."""

    @pytest.fixture(autouse=True)
    def small_store(self, start: Callable[..., None]) -> None:
        start(object_store_memory=SMALL_STORE)

    def test_28_far_more_than_the_store_holds_passes_through_it(self) -> None:
        """800 MiB of live objects in a store of 75 MiB: every one can be read, more than once, and at the end everything is given back."""
        refs = [thornback.put(array(8, fill=n)) if n % 2 else make.remote(8, n) for n in range(100)]
        for _ in range(2):
            for number, ref in enumerate(refs):
                assert is_array(get(ref), 8, fill=number)
        assert store_used() <= SMALL_STORE
        assert spilled() > 0
        del refs, ref
        store_is_empty()
        eventually(lambda: spilled() == 0, "the disk is given back too")

    def test_28_tasks_read_spilled_arguments(self) -> None:
        """A task that wants what has been moved to disk gets it, though its caller never looked."""

        @thornback.remote
        def check(value: Any, boxed: list[Any], fill: int) -> bool:
            return is_array(value, 8, fill) and is_array(get(boxed[0]), 8, fill)

        refs = [thornback.put(array(8, fill=n)) for n in range(30)]
        assert all(get([check.remote(ref, [ref], n) for n, ref in enumerate(refs)]))

    def test_29_an_object_in_use_by_a_reader_is_neither_evicted_nor_spilled(self) -> None:
        """An array that somebody looks at stays where it is, whatever pressure there is: its bytes never change under the reader."""
        kept = thornback.put(array(16, fill=1))
        in_use = get(kept)
        address = in_use.__array_interface__["data"][0]
        pressure = [thornback.put(array(8, fill=n)) for n in range(40)]
        assert is_array(in_use, 16, fill=1)
        again = get(kept)
        assert again.__array_interface__["data"][0] == address, "it has not moved"
        assert all(is_array(get(ref), 8, fill=n) for n, ref in enumerate(pressure))
        assert is_array(in_use, 16, fill=1)

    def test_29_a_store_full_of_objects_in_use_refuses_more_and_keeps_what_it_has(self) -> None:
        """If all that fills the store is being read, a put says so, nothing is lost, and it succeeds once a reader ends."""
        values = [get(thornback.put(array(10, fill=n))) for n in range(7)]
        with pytest.raises(thornback.StoreFullError):
            thornback.put(array(10))
        assert all(is_array(value, 10, fill=n) for n, value in enumerate(values))
        del values
        assert is_array(get(thornback.put(array(10, fill=3))), 10, fill=3)

    def test_29_an_object_larger_than_the_store_is_refused(self) -> None:
        """What can never fit is an error at once, and the store goes on as before."""
        with pytest.raises(thornback.StoreFullError):
            thornback.put(array(100))
        assert is_array(get(thornback.put(array(10))), 10)

        @thornback.remote
        def too_large() -> Any:
            return array(100)

        with pytest.raises(thornback.StoreFullError):
            get(too_large.remote())

    def test_a_get_that_gave_up_leaves_nothing_pinned(self) -> None:
        """Large values that came near after their reader had run out of time are freed with their refs, like any other."""
        refs = [thornback.put(array(8, fill=n)) for n in range(12)]
        for ref in refs:
            try:
                thornback.get(ref, timeout=1e-6)
            except thornback.GetTimeoutError:
                pass
        assert is_array(get(refs[0]), 8, fill=0)
        del refs, ref
        store_is_empty()

    def test_30_concurrent_gets_during_spilling_finish(self) -> None:
        """Several tasks that read at random, while others fill the store, all finish with the right bytes."""

        @thornback.remote
        def read(boxed: list[Any], seed: int) -> int:
            order = np.random.default_rng(seed).permutation(len(boxed))
            return sum(is_array(get(boxed[number]), 6, fill=int(number)) for number in order)

        @thornback.remote
        def fill(count: int) -> int:
            refs = [thornback.put(array(6, fill=n)) for n in range(count)]
            return sum(is_array(get(ref), 6, fill=n) for n, ref in enumerate(refs))

        refs = [thornback.put(array(6, fill=n)) for n in range(20)]
        results = [read.remote(refs, seed) for seed in range(4)] + [fill.remote(20) for _ in range(2)]
        mine = sum(is_array(get(ref), 6, fill=n) for n, ref in enumerate(refs))
        assert mine == 20
        assert get(results) == [20] * 6
