"""Drivers and workers in other languages than Python: programs of their SDKs, started from here."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from typing import Any

from harness import Row
from systems import Unsupported

STARTS_ITSELF = True

RUST_PROGRAM = "THORNBACK_BENCH_RUST"
"""Names the built example `bench_tasks` of the Rust SDK; `cargo xtask bench` builds it."""

TASKS_A_SECOND = 200_000


def rust_driver_and_worker(system: Any) -> Callable[[], Any]:
    if type(system).__name__ != "Thornback":
        raise Unsupported("no driver in Rust")
    program = os.environ.get(RUST_PROGRAM)
    if program is None:
        raise Unsupported(f"{RUST_PROGRAM} does not say where the program is")

    def measured(tasks: int) -> float:
        said = subprocess.run([program, str(tasks), "1"], check=True, stdout=subprocess.PIPE, text=True).stdout
        return float(json.loads(said.splitlines()[-1])["tasks_per_second"])

    return measured


def as_many_as_fit(repeat: Callable[[int], float], seconds: float) -> float:
    """One run, of as many tasks as a good machine does in that time: the program counts for itself."""
    return repeat(max(1_000, int(TASKS_A_SECOND * seconds)))


ROWS = [Row("Rust driver and worker, tasks in flight", "tasks/s", rust_driver_and_worker, as_many_as_fit)]
