"""How often the keeper looks whether there is something to do, by a clock of the test's own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from thornback._session import keeper
from thornback._session.keeper import Keeper


class Busy:
    """A session with traffic at every look, in which one operation lies about, or one frame has come, at some looks."""

    def __init__(self, *, left: set[int] = frozenset(), came: set[int] = frozenset(), led: bool = True) -> None:  # type: ignore[assignment]
        self.looks = 0
        self.left, self.came, self.led = left, came, led
        self.received = 0
        self.closed = None
        self.welcome = SimpleNamespace(limits=SimpleNamespace(heartbeat_ms=0))

    @property
    def pending(self) -> bool:
        return self.looks in self.left

    sendable = pending

    @property
    def position(self) -> tuple[int, int]:
        return self.looks, 0

    def flush(self, block: bool) -> None:
        pass

    def poll(self) -> None:
        self.received += self.looks in self.came


def pauses(session: Any, count: int, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The keeper's first pauses, in seconds."""
    keeping = Keeper(session)
    seen: list[float] = []

    def sleep(seconds: float) -> None:
        seen.append(seconds)
        session.looks += 1
        keeping._stopped = len(seen) > count

    monkeypatch.setattr(keeper, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: 0.0))
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
