"""What a row is, and the three ways of measuring one.

`rate` repeats a function and counts; `latency` takes the median of single calls; `once` lets the function measure itself (a start-up
can be timed only once). A row's `setup` gets the system and gives back the function, so that what it makes beforehand (actors, arrays)
stands outside the measurement.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

WARM_UP = 0.3
"""Part of the measuring time that a row is repeated for beforehand, uncounted."""


@dataclass(frozen=True)
class Limit:
    """The bare prototype that bounds a row: a row of `rows/limits.py`, and what its figure is multiplied by to get the row's unit."""

    name: str
    factor: float = 1.0


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    unit: str
    setup: Callable[[Any], Callable[[], Any]]
    way: Callable[[Callable[[], Any], float], float]
    better: str = "more"
    limit: Limit | None = None
    slow: bool = False
    """Runs only when named: it takes minutes with a peer."""

    def measure(self, system: Any, seconds: float) -> float:
        """The figure, in the row's unit."""
        return self.way(self.setup(system), seconds)

    def described(self, noun: str) -> dict[str, object]:
        """The row without its functions, for the program that draws the table."""
        return {
            "name": self.name,
            "unit": self.unit,
            "noun": noun,
            "better": self.better,
            "slow": self.slow,
            "limit": self.limit.name if self.limit else None,
            "limit_factor": self.limit.factor if self.limit else 1.0,
        }


def rate(times: float = 1.0) -> Callable[[Callable[[], Any], float], float]:
    """Calls a second, times what one call does."""

    def measured(repeat: Callable[[], Any], seconds: float) -> float:
        step = max(1, _calls_within(repeat, seconds * WARM_UP) // 10)
        began = time.perf_counter()
        calls = 0
        while (elapsed := time.perf_counter() - began) < seconds or calls == 0:
            for _ in range(step):
                repeat()
            calls += step
        return times * calls / elapsed

    return measured


def latency(repeat: Callable[[], Any], seconds: float) -> float:
    """The median of single calls, in milliseconds."""
    _calls_within(repeat, seconds * WARM_UP)
    taken = []
    ends = time.perf_counter() + seconds
    while not taken or time.perf_counter() < ends:
        began = time.perf_counter()
        repeat()
        taken.append(time.perf_counter() - began)
    return 1e3 * statistics.median(taken)


def once(repeat: Callable[[], Any], seconds: float) -> float:
    """What the function gives back, having measured for itself."""
    return float(repeat())


def _calls_within(repeat: Callable[[], Any], seconds: float) -> int:
    ends = time.perf_counter() + seconds
    calls = 0
    while calls == 0 or time.perf_counter() < ends:
        repeat()
        calls += 1
    return calls
