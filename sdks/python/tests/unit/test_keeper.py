"""How often the keeper looks whether there is something to do, by a clock of the test's own."""

from __future__ import annotations

import socket
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import pytest

from thornback._session import keeper
from thornback._session.keeper import Keeper


class Busy:
    """A session with traffic at every look (or at some), in which one operation lies about, or one frame has come, at some looks."""

    def __init__(
        self,
        *,
        left: Collection[int] = (),
        came: Collection[int] = (),
        moved: Collection[int] = range(1000),
        led: bool = True,
        patient: bool = False,
        single: Collection[int] = (),
    ) -> None:
        self.patient = patient
        self.sent_at_once = single
        self.looks = self.moves = 0
        self.moved = moved
        self.left, self.came, self.led = left, came, led
        self.received = 0
        self.closed = None
        self.welcome = SimpleNamespace(limits=SimpleNamespace(heartbeat_ms=0))

    @property
    def pending(self) -> bool:
        return self.looks in self.left

    sendable = pending

    @property
    def single(self) -> bool:
        return self.looks in self.sent_at_once

    @property
    def position(self) -> tuple[int, int]:
        return self.moves, 0

    def look(self) -> None:
        """Time for the next look."""
        self.looks += 1
        self.moves += self.looks in self.moved

    def fileno(self) -> int:
        return 0

    def flush(self, block: bool) -> None:
        pass

    def poll(self) -> None:
        self.received += self.looks in self.came


ASLEEP = 0.0


def pauses(session: Any, count: int, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The keeper's first pauses between looks, in seconds, or `ASLEEP`."""
    return [pause if pause < 0.1 else ASLEEP for pause in lengths(session, count, monkeypatch)]


def lengths(session: Any, count: int, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The same, with how long it sleeps if nothing wakes it."""
    keeping = Keeper(session, patient=session.patient)
    seen: list[float] = []

    def pause(seconds: float) -> bool:
        seen.append(seconds)
        session.look()
        keeping._stopped = len(seen) > count
        return False

    monkeypatch.setattr(keeper, "time", SimpleNamespace(sleep=pause, monotonic=lambda: 0.0))
    monkeypatch.setattr(keeping.watch, "sleep", pause)
    monkeypatch.setattr(keeping.watch, "attend", lambda fileno: None)
    monkeypatch.setattr(keeping.watch, "attend_again", lambda: True)
    keeping._run()
    keeping.stop()
    return seen[:count]


def test_it_looks_less_often_where_others_do_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pauses(Busy(), 30, monkeypatch) == [0.001] * 20 + [0.005] * 10
    assert pauses(Busy(led=False), 30, monkeypatch) == [0.001] * 20 + [0.005] * 10, "a look at the socket that finds nothing"


def test_it_is_there_again_once_it_was_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pauses(Busy(left={25}), 50, monkeypatch) == [0.001] * 20 + [0.005] * 5 + [0.001] * 20 + [0.005] * 5
    assert pauses(Busy(came={25}, led=False), 50, monkeypatch) == [0.001] * 20 + [0.005] * 5 + [0.001] * 20 + [0.005] * 5
    assert pauses(Busy(left=set(range(0, 100, 15))), 100, monkeypatch) == [0.001] * 100, "now and then is often enough"


def test_it_rests_where_operations_are_sent_as_they_are_posted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pauses(Busy(single=range(100)), 30, monkeypatch) == [0.001] * 20 + [0.025] * 10
    assert pauses(Busy(single=range(25, 28)), 30, monkeypatch) == [0.001] * 20 + [0.005] * 5 + [0.025] * 3 + [0.005] * 2
    once = Busy(single=range(100), moved=range(1, 26))
    assert pauses(once, 32, monkeypatch) == [0.001] * 20 + [0.025] * 9 + [ASLEEP] * 3, "and sleeps when nothing moves any more"


def test_it_looks_in_vain_no_more_often_than_there_was_traffic_before(monkeypatch: pytest.MonkeyPatch) -> None:
    seldom = Busy(moved={5, 10, 11, 12})
    assert pauses(seldom, 30, monkeypatch) == [0.001] + [ASLEEP] * 4 + [0.001] + [ASLEEP] * 4 + [0.001] * 5 + [ASLEEP] * 15
    long = Busy(left=range(1, 16), moved=range(1, 16))
    assert pauses(long, 40, monkeypatch) == [0.001] * 31 + [ASLEEP] * 9
    longer = Busy(left=range(1, 201), moved=range(1, 201))
    assert pauses(longer, 230, monkeypatch) == [0.001] * 220 + [ASLEEP] * 10, "and never more than twenty times"


def test_the_keeper_of_a_worker_sleeps_longer_while_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lengths(Busy(moved=(), patient=True), 7, monkeypatch) == [0.001] + [2.0] * 6
    called = Busy(moved={4}, patient=True)
    assert lengths(called, 7, monkeypatch) == [0.001, 2.0, 2.0, 2.0, 0.001, 2.0, 2.0], "who is called now and then sees to it alone"


def test_it_sends_what_was_dropped_a_few_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    always = [0.001] + [0.25] * 4
    assert lengths(Busy(moved=()), 5, monkeypatch) == always, "in a driver"
    assert lengths(Busy(moved=(), led=False, patient=True), 5, monkeypatch) == always, "in a worker that runs something"
    session = Busy(moved=(), patient=True)
    session.welcome.limits.heartbeat_ms = 1000
    assert lengths(session, 5, monkeypatch) == always, "where there are heartbeats to look after"


def test_it_ticks_where_others_begin_and_end_to_read_all_the_time() -> None:
    keeping = Keeper(Busy())  # type: ignore[arg-type]
    try:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            keeping.watch.attend(ours.fileno())
            keeping.asleep = True
            ends = 0
            while keeping.asleep:
                keeping.take_from_reader()
                keeping.watch.ignore()
                ends += 1
            assert ends == keeper._LEFT_MAX + 1
            assert keeping.watch.sleep(600), "it was woken"
    finally:
        keeping.stop()
