"""Behaviours 37 to 40: what is done again after a loss, how often, and what the error says when it is not."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import thornback
from tests.support import DEADLINE, MIB, Bell, Gate, array, eventually, get, is_alive, is_array, settle
from thornback import _client


class TestLostObjects:
    """One node loses an object when its bytes were moved to disk and the disk loses them. The test plays the disk."""

    @pytest.fixture(autouse=True)
    def runtime_that_spills(self, start: Callable[..., None], tmp_path: Path) -> None:
        self.directory = tmp_path / "spill"
        start(object_store_memory=64 * MIB, spill_dir=str(self.directory))

    def lose(self, *refs: Any) -> None:
        """Makes the store move everything to disk, and deletes it there."""
        thornback.wait(list(refs), num_returns=len(refs), timeout=DEADLINE, fetch_local=False)
        pressure: list[Any] = []

        def pushed_out() -> bool:
            # The store moves what was used longest ago, and not what is being read: a worker may let go of an argument a moment late.
            pressure.append(thornback.put(array(8, fill=len(pressure))))
            del pressure[:-8]
            states = {item["id"]: item["state"] for item in _client.list_state("objects")}
            return all(states[ref.hex()] == "on disk" for ref in refs)

        eventually(pushed_out, "the objects are on disk only")
        self.delete_files()

    def delete_files(self) -> None:
        for path in self.directory.rglob("*"):
            if path.is_file():
                path.unlink()

    def test_37_a_lost_object_is_made_again_once_per_loss(self, bell: Bell) -> None:
        """A task's result that is lost is made again by running the task again, once for each loss, whoever asks and however often."""

        @thornback.remote(max_retries=3)
        def make(fill: int) -> Any:
            bell.ring("made")
            return array(8, fill)

        @thornback.remote
        def check(value: Any) -> bool:
            return is_array(value, 8, fill=3)

        ref = make.remote(3)
        assert bell.hear() == "made"
        for _ in range(2):
            self.lose(ref)
            assert is_array(get(ref), 8, fill=3)
            assert all(get([check.remote(ref) for _ in range(4)]))
            assert bell.rung() == ["made"]

    def test_37_what_a_lost_object_was_made_from_is_made_again_too(self, bell: Bell) -> None:
        """If the arguments are gone as well, they are made again first."""

        @thornback.remote
        def make(name: str, *parts: Any) -> Any:
            bell.ring(name)
            return array(8, fill=len(parts))

        first = make.remote("first")
        second = make.remote("second", first)
        third = make.remote("third", first, second)
        bell.hear_all(3)
        self.lose(first, second, third)
        del first, second
        assert is_array(get(third), 8, fill=2)
        assert bell.rung() == ["first", "second", "third"]

    def test_37_past_the_retries_the_error_says_that_they_are_used_up(self, bell: Bell) -> None:
        """With one retry the first loss is mended, and the second is an error that names the limit."""

        @thornback.remote(max_retries=1)
        def make() -> Any:
            bell.ring("made")
            return array(8)

        ref = make.remote()
        bell.hear()
        self.lose(ref)
        assert is_array(get(ref), 8)
        assert bell.hear() == "made"
        self.lose(ref)
        with pytest.raises(thornback.ReconstructionFailedError):
            get(ref)
        assert not bell.rung()

    def test_37_with_re_execution_off_a_loss_is_an_object_lost_error(self, bell: Bell) -> None:
        """A task that may not run again does not."""

        @thornback.remote(max_retries=0)
        def make() -> Any:
            bell.ring("made")
            return array(8)

        ref = make.remote()
        bell.hear()
        self.lose(ref)
        with pytest.raises(thornback.ObjectLostError):
            get(ref)
        assert not bell.rung()

    def test_37_a_copy_in_memory_is_used_though_the_one_on_disk_is_lost(self, bell: Bell) -> None:
        """While somebody reads an object its bytes are in memory, so a lost file costs nothing."""

        @thornback.remote
        def make() -> Any:
            bell.ring("made")
            return array(8, fill=7)

        ref = make.remote()
        bell.hear()
        reader = get(ref)
        pressure = [thornback.put(array(8, fill=n)) for n in range(10)]
        self.delete_files()
        del pressure
        assert is_array(get(ref), 8, fill=7)
        assert is_array(reader, 8, fill=7)
        assert not bell.rung()

    def test_38_an_actors_output_is_made_again_only_if_it_may_restart_and_retry(self, bell: Bell) -> None:
        """An actor has state, so its calls are run again only where its author has said so."""

        @thornback.remote
        class Maker:
            def make(self) -> Any:
                bell.ring("made")
                return array(8, fill=2)

        plain, willing = Maker.remote(), Maker.options(max_restarts=-1, max_task_retries=-1).remote()
        refs = [plain.make.remote(), willing.make.remote()]
        bell.hear_all(2)
        self.lose(*refs)
        with pytest.raises(thornback.ObjectLostError):
            get(refs[0])
        assert not bell.rung()
        assert is_array(get(refs[1]), 8, fill=2)
        assert bell.rung() == ["made"]

    def test_38_losing_a_put_is_an_error_that_names_the_cause(self) -> None:
        """Nothing can make a put again; the error says so, and what waits for it fails with it."""
        ref = thornback.put(array(8))
        self.lose(ref)
        dependent = thornback.remote(len).remote(ref)
        for each in (ref, dependent):
            with pytest.raises(thornback.ObjectLostError, match="put"):
                get(each)


@thornback.remote
class Fragile:
    """Counts its calls, and dies when told to."""

    def __init__(self, bell: Bell | None = None) -> None:
        self.calls = 0
        self.bell = bell
        if bell:
            bell.ring("started")

    def pid(self) -> int:
        return os.getpid()

    def count(self) -> int:
        self.calls += 1
        return self.calls

    def die(self) -> None:
        if self.bell:
            self.bell.ring("dies")
        os._exit(1)

    def die_until(self, path: str, times: int) -> int:
        """Dies the first so many times that it is called, in whatever life."""
        with open(path, "a") as log:
            log.write("x")
        if os.path.getsize(path) <= times:
            os._exit(1)
        return os.path.getsize(path)

    def reconstructed(self) -> bool:
        return thornback.get_runtime_context().was_current_actor_reconstructed


def die(actor: Any) -> None:
    """Ends an actor's process by a call, and waits for the call's error."""
    with pytest.raises(thornback.ActorError):
        get(actor.die.remote())


@pytest.mark.usefixtures("runtime")
class TestLostWorkers:
    def test_39_an_actor_restarts_exactly_max_restarts_times(self, bell: Bell) -> None:
        """Two restarts: three lives. Each begins with a fresh state; after the last one every call says that the actor is dead."""
        actor = Fragile.options(max_restarts=2, max_task_retries=0).remote(bell)
        for life in range(3):
            assert bell.hear() == "started"
            assert eventually(lambda: settle([actor.count.remote()])[0] == 1 or None, "it counts from one")
            assert get(actor.reconstructed.remote()) == (life > 0)
            die(actor)
            assert bell.hear() == "dies"
        for _ in range(3):
            with pytest.raises(thornback.ActorDiedError):
                get(actor.count.remote())
        assert not bell.rung(), "there is no fourth life"

    def test_39_without_restarts_the_first_death_is_the_last(self) -> None:
        """By default an actor lives once."""
        actor = Fragile.remote()
        pid = get(actor.pid.remote())
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(thornback.ActorDiedError):
            get(actor.count.remote())

    def test_39_with_task_retries_the_call_in_flight_is_run_again(self, tmp_path: Path) -> None:
        """A call that was running when its actor died is run again in the next life, and its caller sees only the result."""
        actor = Fragile.options(max_restarts=-1, max_task_retries=2).remote()
        assert get(actor.die_until.remote(str(tmp_path / "calls"), 2)) == 3

    def test_39_a_call_whose_retries_are_used_up_fails_though_the_actor_lives(self, tmp_path: Path) -> None:
        """The retries are the call's, not the actor's: it fails, and the actor answers the next one."""
        actor = Fragile.options(max_restarts=-1, max_task_retries=1).remote()
        with pytest.raises(thornback.ActorError):
            get(actor.die_until.remote(str(tmp_path / "calls"), 100))
        assert (tmp_path / "calls").stat().st_size == 2
        assert get(actor.count.remote()) == 1

    def test_39_wait_on_a_dead_actors_ref_returns(self, gate: Gate) -> None:
        """A call that will never be answered is ready, with an error; it does not keep a `wait` waiting."""

        @thornback.remote
        class Actor:
            def pid(self) -> int:
                return os.getpid()

            def block(self) -> None:
                gate.pass_through()

        actor = Actor.remote()
        pid = get(actor.pid.remote())
        running, queued = actor.block.remote(), actor.block.remote()
        os.kill(pid, signal.SIGKILL)
        assert thornback.wait([running, queued], num_returns=2, timeout=DEADLINE) == ([running, queued], [])
        late = actor.block.remote()
        assert thornback.wait([late], timeout=DEADLINE) == ([late], [])

    def test_39_a_failed_creation_is_the_answer_of_every_call(self) -> None:
        """An actor whose constructor raises is dead, and its calls tell why."""

        @thornback.remote
        class Stillborn:
            def __init__(self) -> None:
                raise ZeroDivisionError("no world to be born into")

            def work(self) -> None: ...

        actor = Stillborn.remote()
        for _ in range(2):
            with pytest.raises(thornback.ActorDiedError, match="no world to be born into"):
                get(actor.work.remote())

    def test_39_a_worker_that_is_lost_takes_only_its_own_task_along(self, gate: Gate, bell: Bell, tmp_path: Path) -> None:
        """A task whose worker dies is run again, three times by default; others on the same node do not notice."""

        @thornback.remote
        def neighbour() -> str:
            bell.ring("neighbour runs")
            gate.pass_through()
            return "undisturbed"

        @thornback.remote
        def fragile(path: str, times: int) -> int:
            with open(path, "a") as log:
                log.write("x")
            if os.path.getsize(path) <= times:
                os.kill(os.getpid(), signal.SIGKILL)
            return os.path.getsize(path)

        other = neighbour.remote()
        bell.hear()
        assert get(fragile.remote(str(tmp_path / "three"), 3)) == 4
        with pytest.raises(thornback.WorkerDiedError):
            get(fragile.remote(str(tmp_path / "always"), 100))
        assert (tmp_path / "always").stat().st_size == 4
        gate.open()
        assert get(other) == "undisturbed"
        assert not bell.rung(), "it ran once"

    def test_39_exceptions_are_retried_only_if_asked(self, tmp_path: Path) -> None:
        """`retry_exceptions` retries all of them, or those of the listed types; without it an exception is the answer."""

        @thornback.remote
        def fail(path: str, times: int) -> int:
            with open(path, "a") as log:
                log.write("x")
            if os.path.getsize(path) <= times:
                raise KeyError("not yet")
            return os.path.getsize(path)

        with pytest.raises(KeyError):
            get(fail.remote(str(tmp_path / "plain"), 2))
        assert get(fail.options(retry_exceptions=True).remote(str(tmp_path / "all"), 2)) == 3
        assert get(fail.options(retry_exceptions=[LookupError]).remote(str(tmp_path / "base"), 2)) == 3
        with pytest.raises(KeyError):
            get(fail.options(retry_exceptions=[OSError]).remote(str(tmp_path / "other"), 2))
        assert (tmp_path / "other").stat().st_size == 1

    def test_40_order_per_handle_holds_for_handles_passed_to_many_tasks(self) -> None:
        """Each of twenty tasks makes a hundred calls through a handle that it was given; each task's calls run in its own order."""

        @thornback.remote
        class Recorder:
            def __init__(self) -> None:
                self.seen: dict[int, list[int]] = {}

            def see(self, caller: int, number: int) -> None:
                self.seen.setdefault(caller, []).append(number)

            def all(self) -> dict[int, list[int]]:
                return self.seen

        @thornback.remote
        def call(recorder: Any, caller: int) -> None:
            get([recorder.see.remote(caller, number) for number in range(100)])

        recorder = Recorder.remote()
        get([call.remote(recorder, caller) for caller in range(20)])
        assert get(recorder.all.remote()) == {caller: list(range(100)) for caller in range(20)}

    @pytest.mark.parametrize("how", ["kill", "exit", "drop"])
    def test_40_an_actor_ended_on_purpose_is_not_restarted(self, how: str, bell: Bell) -> None:
        """Restarts are for accidents. An actor that was killed, that left by itself or that nobody holds any more stays dead."""

        @thornback.remote(max_restarts=-1)
        class Actor:
            def __init__(self) -> None:
                bell.ring("started")

            def pid(self) -> int:
                return os.getpid()

            def leave(self) -> None:
                thornback.exit_actor()

        actor = Actor.remote()
        pid = get(actor.pid.remote())
        assert bell.hear() == "started"
        if how == "kill":
            thornback.kill(actor)
        elif how == "exit":
            settle([actor.leave.remote()])
        if how == "drop":
            del actor
        else:
            with pytest.raises(thornback.ActorDiedError):
                get(actor.pid.remote())
        eventually(lambda: not is_alive(pid), "its process is gone")
        eventually(lambda: thornback.available_resources() == thornback.cluster_resources(), "its resources are back")
        assert not bell.rung(), "it was not started again"

    def test_40_kill_may_leave_a_restart(self) -> None:
        """With no_restart=False a kill is an accident like any other."""
        actor = Fragile.options(max_restarts=1, max_task_retries=-1).remote()
        pid = get(actor.pid.remote())
        thornback.kill(actor, no_restart=False)
        eventually(lambda: not is_alive(pid), "its process is gone")
        assert get(actor.pid.remote()) != pid

    def test_40_calls_made_before_the_handle_was_dropped_are_still_run(self, bell: Bell) -> None:
        """Letting go of the last handle ends the actor after what was asked of it, not before."""

        @thornback.remote
        class Actor:
            def work(self, number: int) -> int:
                bell.ring(number)
                return number

        actor = Actor.remote()
        refs = [actor.work.remote(number) for number in range(20)]
        del actor
        assert get(refs) == list(range(20))
        assert bell.hear_all(20) == [str(number) for number in range(20)]


class TestPlacing:
    def test_40_an_actor_that_needs_no_cpu_to_run_needs_one_to_be_placed(self, start: Callable[..., None], gate: Gate, bell: Bell) -> None:
        """By default an actor takes a CPU to be placed and gives it back at once: it waits for a busy node, and many fit on a free one."""
        start(num_cpus=1)

        @thornback.remote
        def busy() -> None:
            bell.ring("busy")
            gate.pass_through()

        task = busy.remote()
        assert bell.hear() == "busy"
        actors = [Fragile.remote() for _ in range(3)]
        calls = [actor.count.remote() for actor in actors]
        assert thornback.wait(calls, timeout=0.3)[0] == [], "no CPU is free, so none is placed"
        gate.open()
        get(task)
        assert get(calls) == [1, 1, 1], "all three live on one CPU"
        eventually(lambda: thornback.available_resources()["CPU"] == 1, "and hold none of it")

    def test_40_an_actor_that_names_its_cpus_keeps_them(self, start: Callable[..., None]) -> None:
        """An actor that says num_cpus=1 holds it while it lives; one that says 0 is placed though no CPU is free."""
        start(num_cpus=1)
        holder = Fragile.options(num_cpus=1).remote()
        get(holder.count.remote())
        assert thornback.available_resources().get("CPU", 0) == 0
        second = Fragile.options(num_cpus=1).remote()
        call = second.count.remote()
        free = Fragile.options(num_cpus=0).remote()
        assert get(free.count.remote()) == 1
        assert thornback.wait([call], timeout=0)[0] == []
        thornback.kill(holder)
        assert get(call) == 1
