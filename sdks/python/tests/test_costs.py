"""What a task costs, in system calls and in calls of functions.

Counts, not times: they tell of a lost batch, of a second wake-up or of work done twice on any machine.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

import thornback
from thornback._gen.value_pb2 import Location
from thornback._session import unix
from thornback._session.unix import UnixCarrier
from thornback._stored import StoredObjects


def count_calls() -> SimpleNamespace:
    """Has the carriers of this process count what they send and receive, each time with one system call."""
    calls = SimpleNamespace(sent=0, received=0, fill=UnixCarrier.fill, send=UnixCarrier.send)

    def counted_fill(carrier: UnixCarrier, timeout: float | None) -> None:
        calls.fill(carrier, timeout)
        calls.received += 1

    def counted_send(carrier: UnixCarrier, body: bytes) -> None:
        calls.send(carrier, body)
        calls.sent += 1

    UnixCarrier.fill = counted_fill  # type: ignore[method-assign]
    UnixCarrier.send = counted_send  # type: ignore[method-assign]
    UnixCarrier.calls = calls  # type: ignore[attr-defined]
    return calls


@thornback.remote
def work(number: int) -> int:
    return number


@thornback.remote
def count_in_worker() -> None:
    count_calls()


@thornback.remote
def told_by_worker() -> tuple[int, int]:
    calls: Any = UnixCarrier.calls  # type: ignore[attr-defined]
    told = calls.sent, calls.received
    calls.sent = calls.received = 0
    return told


class Functions:
    """Counts the functions that this thread calls, of Python and of C."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.close = unix._CLOSE

    def start(self) -> None:
        self.seen.clear()
        # No wait is short, so all are slept through: how often one looks while it waits awake is a matter of time.
        self.close, unix._CLOSE = unix._CLOSE, 0
        sys.setprofile(self._note)

    def stop(self) -> Counter[str]:
        sys.setprofile(None)
        unix._CLOSE = self.close
        return self.seen

    def _note(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "call":
            self.seen[frame.f_code.co_name] += 1
        elif event == "c_call":
            self.seen[getattr(arg, "__qualname__", str(arg))] += 1


functions = Functions()


@thornback.remote
def count_functions_in_worker() -> None:
    # Of the module that the worker has imported, not of one that came with this function.
    from tests.test_costs import functions

    assert threading.current_thread() is threading.main_thread()
    functions.start()


@thornback.remote
def functions_of_worker() -> dict[str, int]:
    from tests.test_costs import functions

    return dict(functions.stop())


@pytest.fixture
def calls() -> Iterator[SimpleNamespace]:
    """The driver's calls, beside the only worker's."""
    thornback.init(num_cpus=1)
    calls = None
    try:
        # The worker is warm, and knows the functions.
        assert thornback.get([work.remote(n) for n in range(1000)]) == list(range(1000))
        thornback.get(count_in_worker.remote())
        thornback.get(told_by_worker.remote())
        calls = count_calls()
        yield calls
    finally:
        thornback.shutdown()
        if calls is not None:
            UnixCarrier.fill, UnixCarrier.send = calls.fill, calls.send  # type: ignore[method-assign]


def test_a_task_alone_takes_one_call_each_way_in_driver_and_worker(calls: SimpleNamespace) -> None:
    for number in range(200):
        assert thornback.get(work.remote(number)) == number
    worker = told_by_worker.remote()
    # A few more for what is said now and then: credit, and what was dropped. A second call for each would be 400.
    assert 200 <= calls.sent <= 300
    assert 200 <= calls.received <= 300
    sent, received = thornback.get(worker)
    assert 200 <= sent <= 300
    assert 200 <= received <= 300


def test_tasks_in_flight_travel_in_batches(calls: SimpleNamespace) -> None:
    assert thornback.get([work.remote(number) for number in range(1000)]) == list(range(1000))
    # On an idle machine it is 9 and 5 in the driver, 26 and 17 in the worker.
    assert calls.sent <= 30
    assert calls.received <= 100
    sent, received = thornback.get(told_by_worker.remote())
    assert sent <= 150
    assert received <= 150


def test_a_task_alone_calls_no_more_functions_than_it_must(calls: SimpleNamespace) -> None:
    # Without the counters of the fixture, which are calls themselves.
    UnixCarrier.fill, UnixCarrier.send = calls.fill, calls.send  # type: ignore[method-assign]
    thornback.get(count_functions_in_worker.remote())
    for number in range(20):
        thornback.get(work.remote(number))
    functions.start()
    for number in range(200):
        assert thornback.get(work.remote(number)) == number
    driver = functions.stop()
    worker = Counter(thornback.get(functions_of_worker.remote()))
    # By Python 3.11 it is 93 in the driver and 80 in the worker; other versions count some calls of C otherwise.
    assert driver.total() / 200 <= 110, driver.most_common(40)
    assert worker.total() / 220 <= 100, worker.most_common(40)


def test_a_wait_on_a_thousand_refs_does_not_look_at_each_of_them() -> None:
    instructions = 0

    def count(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal instructions
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        instructions += event == "opcode"
        return count

    thornback.init(num_cpus=1)
    try:
        refs = [thornback.put(number) for number in range(1000)]
        sys.settrace(count)
        try:
            for _ in range(100):
                ready, refs = thornback.wait(refs)
                assert len(ready) == 1
        finally:
            sys.settrace(None)
    finally:
        thornback.shutdown()
    # By Python 3.11 it is 222; one instruction for each ref would be 1,000.
    assert instructions / 100 <= 400


def test_room_that_was_let_go_of_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pages are there already: into fresh ones, the kernel's clearing of them is most of the time of a put."""
    rooms = []
    create = StoredObjects.create

    def noted(objects: StoredObjects, *args: Any) -> Location:
        location = create(objects, *args)
        rooms.append((location.arena, location.offset))
        return location

    monkeypatch.setattr(StoredObjects, "create", noted)
    thornback.init(num_cpus=1)
    try:
        for _ in range(5):
            thornback.put(bytes(1 << 20))
    finally:
        thornback.shutdown()
    assert len(rooms) == 5
    assert len(set(rooms)) == 1
