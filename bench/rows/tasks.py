"""Tasks: one at a time, in flight, from several submitters, and waiting for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness import Limit, Row, latency, rate

STARTS_ITSELF = False

SUBMITTERS = 4
EACH = 1_000
"""Tasks that each of the submitters has in flight. Ray's own benchmark takes ten times as many, half a minute a call on two cores."""


def small_value() -> bytes:
    return b"ok"


def in_sequence(system: Any) -> Callable[[], Any]:
    get, task = system.get, system.remote(small_value)
    return lambda: get(task.remote())


def in_flight(system: Any) -> Callable[[], Any]:
    get, task = system.get, system.remote(small_value)
    return lambda: get([task.remote() for _ in range(1000)])


def wait_1k(system: Any) -> Callable[[], Any]:
    wait, task = system.wait, system.remote(small_value)

    def wait_multiple_refs() -> None:
        not_ready = [task.remote() for _ in range(1000)]
        # Fetching needs to be asked for once; the runtime goes on with it.
        fetch_local = True
        for _ in range(1000):
            _, not_ready = wait(not_ready, fetch_local=fetch_local)
            fetch_local = False

    return wait_multiple_refs


def from_actors(system: Any) -> Callable[[], Any]:
    get, task = system.get, system.remote(small_value)

    class Submitter:
        def small_value_batch(self, n: int) -> None:
            get([task.remote() for _ in range(n)])

    submitter = system.remote(Submitter, num_cpus=0)
    actors = [submitter.remote() for _ in range(SUBMITTERS)]
    return lambda: get([actor.small_value_batch.remote(EACH) for actor in actors])


BATCHED = "limit: socket relay, batches of 100"

ROWS = [
    Row("single client tasks and get batch", "batches/s", in_flight, rate(), limit=Limit(BATCHED, 1 / 1000)),
    Row("single client wait 1k refs", "rounds/s", wait_1k, rate(), limit=Limit(BATCHED, 1 / 1000)),
    Row("single client tasks sync", "tasks/s", in_sequence, rate(), limit=Limit("limit: socket relay, one at a time")),
    Row("single client tasks sync, p50", "ms", in_sequence, latency, "less", Limit("limit: socket relay, one at a time, p50")),
    Row("single client tasks async", "tasks/s", in_flight, rate(1000), limit=Limit(BATCHED)),
    Row("multi client tasks async", "tasks/s", from_actors, rate(SUBMITTERS * EACH), limit=Limit(BATCHED)),
]
