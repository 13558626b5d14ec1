"""Drivers and workers in other languages than Python: programs of their SDKs, started from here."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from typing import Any

from harness import Row, once
from systems import Unsupported

STARTS_ITSELF = True

RUST_PROGRAM = "THORNBACK_BENCH_RUST"
"""Names the built example `bench_tasks` of the Rust SDK; `cargo xtask bench` builds it."""


def rust_driver_and_worker(system: Any) -> Callable[[], Any]:
    if type(system).__name__ != "Thornback":
        raise Unsupported("no driver in Rust")
    program = os.environ.get(RUST_PROGRAM)
    if program is None:
        raise Unsupported(f"{RUST_PROGRAM} does not say where the program is")

    def measured() -> float:
        said = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True).stdout
        return float(json.loads(said.splitlines()[-1])["tasks_per_second"])

    return measured


ROWS = [Row("Rust driver and worker, tasks in flight", "tasks/s", rust_driver_and_worker, once)]
