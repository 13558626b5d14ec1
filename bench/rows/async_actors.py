"""Async actors: the same calls as in `actors.py`, to methods that are coroutines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness import Limit, Row, rate
from rows.actors import BATCHED, CALLERS, EACH, SERVERS, client_class

STARTS_ITSELF = False


class AsyncActor:
    async def small_value(self) -> bytes:
        return b"ok"

    async def small_value_with_arg(self, x: object) -> bytes:
        return b"ok"


def made(system: Any) -> Any:
    """One async actor that serves already."""
    # An event loop in a process of its own: `multiprocessing` has no such thing to compare with.
    actor = system.remote(AsyncActor, max_concurrency=1000).remote()
    system.get(actor.small_value.remote())
    return actor


def in_sequence(system: Any) -> Callable[[], Any]:
    get, actor = system.get, made(system)
    return lambda: get(actor.small_value.remote())


def in_flight(system: Any) -> Callable[[], Any]:
    get, actor = system.get, made(system)
    return lambda: get([actor.small_value.remote() for _ in range(1000)])


def in_flight_arg(system: Any) -> Callable[[], Any]:
    get, actor = system.get, made(system)
    return lambda: get([actor.small_value_with_arg.remote(i) for i in range(1000)])


def one_to_n(system: Any) -> Callable[[], Any]:
    get = system.get
    client = client_class(system).remote([made(system) for _ in range(SERVERS)])
    return lambda: get(client.small_value_batch.remote(EACH))


def n_to_n(system: Any) -> Callable[[], Any]:
    get, actors = system.get, [made(system) for _ in range(SERVERS)]

    def async_actor_work(servers: list[Any]) -> None:
        get([servers[i % len(servers)].small_value.remote() for i in range(EACH)])

    task = system.remote(async_actor_work)
    return lambda: get([task.remote(actors) for _ in range(CALLERS)])


ROWS = [
    Row("1:1 async-actor calls sync", "calls/s", in_sequence, rate(), limit=Limit("limit: socket relay, one at a time")),
    Row("1:1 async-actor calls async", "calls/s", in_flight, rate(1000), limit=BATCHED),
    Row("1:1 async-actor calls with args async", "calls/s", in_flight_arg, rate(1000), limit=BATCHED),
    Row("1:n async-actor calls async", "calls/s", one_to_n, rate(SERVERS * EACH), limit=BATCHED),
    Row("n:n async-actor calls async", "calls/s", n_to_n, rate(CALLERS * EACH), limit=BATCHED),
]
