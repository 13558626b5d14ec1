"""Actors: calls one at a time and in flight, from one caller and from several."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

from harness import Limit, Row, latency, rate

STARTS_ITSELF = False

SERVERS = max(1, multiprocessing.cpu_count() // 2)
CALLERS = 4
EACH = 1_000
"""Calls that each caller has in flight; Ray's own benchmark takes five times as many."""


class Actor:
    def small_value(self) -> bytes:
        return b"ok"

    def small_value_arg(self, x: object) -> bytes:
        return b"ok"


def made(system: Any, **options: Any) -> Any:
    """One actor that serves already, so that its start is no part of the figure."""
    cls = system.remote(Actor, num_cpus=0)
    actor = (cls.options(**options) if options else cls).remote()
    system.get(actor.small_value.remote())
    return actor


def in_sequence(system: Any) -> Callable[[], Any]:
    get, actor = system.get, made(system)
    return lambda: get(actor.small_value.remote())


def in_flight(system: Any) -> Callable[[], Any]:
    get, actor = system.get, made(system)
    return lambda: get([actor.small_value.remote() for _ in range(1000)])


def concurrent(system: Any) -> Callable[[], Any]:
    get, actor = system.get, made(system, max_concurrency=16)
    return lambda: get([actor.small_value.remote() for _ in range(1000)])


def client_class(system: Any) -> Any:
    """An actor that calls other actors."""
    get, put = system.get, system.put

    class Client:
        def __init__(self, servers: list[Any]) -> None:
            self.servers = servers

        def small_value_batch(self, n: int) -> None:
            get([server.small_value.remote() for server in self.servers for _ in range(n)])

        def small_value_batch_arg(self, n: int) -> None:
            x = put(0)
            get([server.small_value_arg.remote(x) for server in self.servers for _ in range(n)])

    return system.remote(Client, num_cpus=0)


def one_to_n(system: Any) -> Callable[[], Any]:
    get = system.get
    client = client_class(system).remote([made(system) for _ in range(SERVERS)])
    return lambda: get(client.small_value_batch.remote(EACH))


def n_to_n(system: Any) -> Callable[[], Any]:
    get, actors = system.get, [made(system) for _ in range(SERVERS)]

    def work(servers: list[Any]) -> None:
        get([servers[i % len(servers)].small_value.remote() for i in range(EACH)])

    task = system.remote(work)
    return lambda: get([task.remote(actors) for _ in range(CALLERS)])


def n_to_n_arg(system: Any) -> Callable[[], Any]:
    get, cls = system.get, client_class(system)
    clients = [cls.remote([made(system)]) for _ in range(SERVERS)]
    return lambda: get([client.small_value_batch_arg.remote(EACH) for client in clients])


BATCHED = Limit("limit: socket relay, batches of 100")

ROWS = [
    Row("1:1 actor calls sync", "calls/s", in_sequence, rate(), limit=Limit("limit: socket relay, one at a time")),
    Row("1:1 actor calls sync, p50", "ms", in_sequence, latency, "less", Limit("limit: socket relay, one at a time, p50")),
    Row("1:1 actor calls async", "calls/s", in_flight, rate(1000), limit=BATCHED),
    Row("1:1 actor calls concurrent", "calls/s", concurrent, rate(1000), limit=BATCHED),
    Row("1:n actor calls async", "calls/s", one_to_n, rate(SERVERS * EACH), limit=BATCHED),
    Row("n:n actor calls async", "calls/s", n_to_n, rate(CALLERS * EACH), limit=BATCHED),
    Row("n:n actor calls with arg async", "calls/s", n_to_n_arg, rate(SERVERS * EACH), limit=BATCHED),
]
