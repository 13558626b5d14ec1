"""Objects: put, get, and refs inside of objects."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from harness import Limit, Row, once, rate

STARTS_ITSELF = False

LARGE = 100 * 1024 * 1024
"""Elements of the large array, of eight bytes each, as in Ray's own benchmark."""
GIGABYTES = LARGE * 8 / 1e9


def get_small(system: Any) -> Callable[[], Any]:
    get, value = system.get, system.put(0)
    return lambda: get(value)


def put_small(system: Any) -> Callable[[], Any]:
    put = system.put
    return lambda: put(0)


def put_small_from_tasks(system: Any) -> Callable[[], Any]:
    put = system.put

    def do_put_small() -> None:
        for _ in range(100):
            put(0)

    task = system.remote(do_put_small)
    return lambda: system.get([task.remote() for _ in range(10)])


def put_large(system: Any) -> Callable[[], Any]:
    put, array = system.put, np.zeros(LARGE, dtype=np.int64)
    # The ref goes at once and its memory is used again, so that after the warm-up pages are there already.
    return lambda: put(array)


def put_large_fresh(system: Any) -> Callable[[], Any]:
    # Once a round, before anything else has touched the store.
    put, array = system.put, np.ones(LARGE // 2, dtype=np.int64)
    held = []

    def put_once() -> float:
        began = time.perf_counter()
        held.append(put(array))
        return array.nbytes / 1e9 / (time.perf_counter() - began)

    return put_once


def get_large(system: Any) -> Callable[[], Any]:
    get, value = system.get, system.put(np.ones(LARGE // 2, dtype=np.int64))
    return lambda: get(value)[-1]


def put_large_from_tasks(system: Any) -> Callable[[], Any]:
    put = system.put

    def do_put() -> None:
        for _ in range(10):
            put(np.zeros(LARGE // 10, dtype=np.int64))

    task = system.remote(do_put)
    return lambda: system.get([task.remote() for _ in range(10)])


def get_containing(system: Any) -> Callable[[], Any]:
    put = system.put

    def create_object_containing_ref() -> list[Any]:
        return [put(1) for _ in range(10_000)]

    value = system.remote(create_object_containing_ref).remote()
    return lambda: system.get(value)


ROWS = [
    # First, while no page of the store has been touched.
    Row("single client put gigabytes, fresh pages", "GB/s", put_large_fresh, once, limit=Limit("limit: memcpy, two threads, fresh pages")),
    Row("single client get calls (Plasma Store)", "gets/s", get_small, rate(), limit=Limit("limit: look-ups")),
    Row("single client put calls (Plasma Store)", "puts/s", put_small, rate(), limit=Limit("limit: socket relay, batches of 100")),
    Row("multi client put calls (Plasma Store)", "puts/s", put_small_from_tasks, rate(1000)),
    Row("single client put gigabytes", "GB/s", put_large, rate(GIGABYTES), limit=Limit("limit: memcpy, two threads, warm")),
    Row("multi client put gigabytes", "GB/s", put_large_from_tasks, rate(10 * GIGABYTES)),
    Row("single client get of a 400 MB array", "gets/s", get_large, rate(), limit=Limit("limit: look-ups")),
    Row("single client get object containing 10k refs", "gets/s", get_containing, rate()),
]
