"""Bad input gets an error of its own kind, and loses nothing: the call after it works."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

import thornback
from tests.support import Bell, Gate, get

pytestmark = pytest.mark.usefixtures("runtime")


@thornback.remote
def echo(value: Any) -> Any:
    return value


def still_works() -> None:
    assert get(echo.remote("still works")) == "still works"


def test_a_function_that_no_pool_serves() -> None:
    """Calling a name that nobody has announced is an error that says the name."""
    ref = thornback.function("no.such.function").remote(1)
    with pytest.raises(thornback.FunctionNotFoundError, match=r"no\.such\.function"):
        get(ref)
    still_works()


@pytest.mark.parametrize("arguments", [(), (1, 2, 3)], ids=["too few", "too many"])
def test_wrong_arity_of_a_function_called_by_name(arguments: tuple[int, ...], served: None) -> None:
    """A function of another program cannot be checked by its caller, so the node counts, and refuses the call before it runs."""
    with pytest.raises(thornback.WrongArityError):
        get(thornback.function("sums.add").remote(*arguments))
    assert get(thornback.function("sums.add").remote(1, 2)) == 3


@pytest.fixture
def served(runtime: None, tmp_path: Path) -> None:
    """A pool of another program that serves `sums.add`."""
    program = tmp_path / "sums.py"
    program.write_text(
        textwrap.dedent(
            """
            import thornback.worker

            @thornback.worker.function("sums.add")
            def add(first, second):
                return first + second

            thornback.worker.serve()
            """
        )
    )
    thornback.declare_pool("sums", [sys.executable, str(program)], env={"PYTHONPATH": os.pathsep.join(sys.path)})


def test_a_value_that_cannot_be_serialised_as_an_argument() -> None:
    """It is refused at the call, and what was wrong is named."""
    lock = threading.Lock()
    for call in (lambda: echo.remote(lock), lambda: echo.remote([{"deep": lock}]), lambda: thornback.put(lock)):
        with pytest.raises(thornback.UnserializableError):
            call()
    still_works()


def test_a_value_that_cannot_be_serialised_as_a_result() -> None:
    """The task has run, and its caller learns why there is no result."""

    @thornback.remote
    def bad() -> Any:
        return threading.Lock()

    @thornback.remote
    class Bad:
        def get(self) -> Any:
            return threading.Lock()

        def fine(self) -> int:
            return 1

    with pytest.raises(thornback.UnserializableError, match="lock"):
        get(bad.remote())
    actor = Bad.remote()
    with pytest.raises(thornback.UnserializableError, match="lock"):
        get(actor.get.remote())
    assert get(actor.fine.remote()) == 1


def test_an_exception_that_cannot_be_serialised() -> None:
    """Its text and the names of its types arrive, though the exception itself cannot."""

    class Unpicklable(ValueError):
        def __init__(self) -> None:
            super().__init__("holds a lock")
            self.lock = threading.Lock()

    @thornback.remote
    def fail() -> None:
        raise Unpicklable

    with pytest.raises(thornback.TaskError, match="holds a lock") as raised:
        get(fail.remote())
    assert any("ValueError" in name for name in raised.value.types)
    still_works()


def test_an_exception_that_breaks_when_it_is_read() -> None:
    """An exception whose constructor wants more than its args cannot be unpickled; the caller still learns what happened."""

    class Awkward(RuntimeError):
        def __init__(self, first: str, second: str) -> None:
            super().__init__(f"{first} and {second}")

    @thornback.remote
    def fail() -> None:
        raise Awkward("this", "that")

    with pytest.raises(thornback.TaskError, match="this and that"):
        get(fail.remote())
    still_works()


def test_a_chain_of_causes_arrives_whole() -> None:
    """`raise ... from ...` is a chain on the caller's side as well, each link with its types and its traceback."""

    @thornback.remote
    def fail() -> None:
        try:
            {}["missing"]
        except KeyError as error:
            raise RuntimeError("could not look it up") from error

    with pytest.raises(RuntimeError, match="could not look it up") as raised:
        get(fail.remote())
    chain: list[BaseException] = []
    error: BaseException | None = raised.value
    while error is not None:
        chain.append(error)
        error = error.__cause__
    last = chain[-1]
    assert isinstance(last, thornback.TaskError)
    assert last.types[:2] == ("builtins.KeyError", "builtins.LookupError")
    assert "missing" in last.stack


def test_a_value_that_fails_while_it_is_read() -> None:
    """An argument that cannot be rebuilt in the worker fails its task and leaves the worker alone."""

    class Explosive:
        def __reduce__(self) -> Any:
            return int, ("not a number",)

    with pytest.raises(thornback.ThornbackError):
        get(echo.remote(Explosive()))
    still_works()


def test_a_resource_that_no_node_has_is_a_warning_and_the_task_keeps_waiting(tmp_path: Path) -> None:
    """After a while the driver is told which resource is missing, once on its terminal; the task is still there, and can be cancelled."""
    script = tmp_path / "infeasible.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys, thornback
            thornback.init(num_cpus=1)

            @thornback.remote(resources={"moonstone": 2})
            def impossible(): ...

            ref = impossible.remote()
            sys.stdin.readline()
            assert thornback.wait([ref], timeout=0) == ([], [ref])
            thornback.cancel(ref)
            try:
                thornback.get(ref, timeout=60)
            except thornback.CancelledError:
                print("cancelled")
            """
        )
    )
    driver = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert driver.stdin
    assert driver.stderr
    warning = driver.stderr.readline()
    assert "moonstone" in warning
    out, rest = driver.communicate("go on\n", timeout=60)
    assert out == "cancelled\n"
    assert "moonstone" not in rest


def test_a_task_larger_than_the_node_waits_and_others_do_not() -> None:
    """A task for more CPUs than there are does not block the queue for those that fit."""
    too_large = echo.options(num_cpus=64).remote(1)
    assert get([echo.remote(number) for number in range(20)]) == list(range(20))
    thornback.cancel(too_large)
    with pytest.raises(thornback.CancelledError):
        get(too_large)


@thornback.remote
class Named:
    def __init__(self, value: int = 0) -> None:
        self.value = value

    def read(self) -> int:
        return self.value


def test_a_duplicate_actor_name() -> None:
    """The second actor of a name is refused, the first is not touched, and the name is free again once it is dead."""
    first = Named.options(name="taken").remote(1)
    with pytest.raises(thornback.ActorNameTakenError):
        Named.options(name="taken").remote(2)
    assert get(first.read.remote()) == 1
    again = Named.options(name="taken", get_if_exists=True).remote(3)
    assert again == first
    other = Named.options(name="taken", namespace="elsewhere").remote(4)
    assert get(other.read.remote()) == 4
    thornback.kill(first)
    with pytest.raises(thornback.ActorDiedError):
        get(again.read.remote())
    assert get(Named.options(name="taken", get_if_exists=True).remote(5).read.remote()) == 5


def test_an_actor_name_that_nobody_has() -> None:
    """Looking it up is an error that says the name and the namespace."""
    with pytest.raises(thornback.ActorNotFoundError, match="nobody"):
        thornback.get_actor("nobody")


@pytest.mark.parametrize("way", ["os._exit(0)", "sys.exit(0)", "raise SystemExit", "raise KeyboardInterrupt"])
def test_a_worker_that_leaves_in_the_middle_of_a_task(way: str, tmp_path: Path) -> None:
    """A process that ends in a task has not finished it, whatever its exit status says: the task is lost, and is run again if it may be."""
    log = tmp_path / "runs"

    def leave() -> None:
        with open(log, "a") as file:
            file.write("x")
        exec("import os, sys\n" + way)

    with pytest.raises((thornback.WorkerDiedError, thornback.TaskError)):
        get(thornback.remote(leave).options(max_retries=0).remote())
    assert log.stat().st_size == 1
    if way == "os._exit(0)":
        with pytest.raises(thornback.WorkerDiedError):
            get(thornback.remote(leave).options(max_retries=2).remote())
        assert log.stat().st_size == 4
    still_works()


def test_options_that_have_no_meaning_are_refused_where_they_are_written() -> None:
    """Negative amounts, unknown options, wrong types: no call is made."""
    for options in (
        {"num_cpus": -1}, {"num_cpus": "many"}, {"num_cpu": 1}, {"max_retries": -2}, {"num_returns": -3}, {"resources": {"CPU": 1}},
        {"resources": {"x": float("nan")}}, {"resources": {"": 1}}, {"deadline": 0}, {"retry_exceptions": [1]}, {"name": 1},
        {"scheduling_strategy": "SOMEWHERE"},
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError)):
            echo.options(**options)
    with pytest.raises(TypeError):
        echo(1)
    with pytest.raises(TypeError):
        thornback.remote(42)  # type: ignore[call-overload]
    with pytest.raises(AttributeError):
        Named.remote().no_such_method
    for wrong in (1, "text", None, [1]):
        with pytest.raises(TypeError):
            thornback.get(wrong)
    with pytest.raises(TypeError):
        thornback.cancel("text")  # type: ignore[arg-type]
    still_works()


def test_a_ref_that_is_garbage_is_an_error_and_not_a_hang() -> None:
    """Somebody else's, or a made-up, id is not found."""
    import pickle

    ref = thornback.put(1)
    forged = pickle.loads(pickle.dumps(ref).replace(ref.binary(), bytes(15) + b"\x01"))
    with pytest.raises(thornback.ObjectNotFoundError):
        get(forged)
    still_works()


def test_a_deadline_that_passes(gate: Gate) -> None:
    """A task that is not done by its deadline fails with an error that is a TimeoutError, whether it waited or ran."""

    @thornback.remote(deadline=0.2)
    def slow() -> None:
        gate.pass_through()

    with pytest.raises(thornback.DeadlineExceededError):
        get(slow.remote())
    waiting = slow.options(resources={"unobtainium": 1}).remote()
    with pytest.raises(TimeoutError):
        get(waiting)
    still_works()


def test_max_pending_calls_bounds_the_queue_of_a_handle(gate: Gate, bell: Bell) -> None:
    """One call more than may wait is refused; those that wait are not touched."""

    @thornback.remote(max_pending_calls=3)
    class Busy:
        def work(self, number: int) -> int:
            bell.ring(number)
            gate.pass_through()
            return number

    actor = Busy.remote()
    calls = [actor.work.remote(0)]
    assert bell.hear() == "0"
    calls += [actor.work.remote(number) for number in range(1, 10)]
    outcomes = []
    with pytest.raises(thornback.PendingCallsLimitError):
        get(calls[-1])
    gate.open()
    for call in calls:
        try:
            outcomes.append(get(call))
        except thornback.PendingCallsLimitError:
            outcomes.append("refused")
    accepted = [outcome for outcome in outcomes if outcome != "refused"]
    assert accepted == list(range(len(accepted)))
    assert 3 <= len(accepted) <= 4, "the running one and those that may wait"
