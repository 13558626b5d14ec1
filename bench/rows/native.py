"""Drivers and workers in other languages than Python: programs of their SDKs, started from here."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import Row, once
from systems import Unsupported

STARTS_ITSELF = True

ROOT = Path(__file__).resolve().parents[2]


def rust_driver_and_worker(system: Any) -> Callable[[], Any]:
    if type(system).__name__ != "Thornback":
        raise Unsupported("no driver in Rust")
    build = ["cargo", "build", "--quiet", "--release", "--locked", "--package", "thornback", "--example", "bench_tasks"]
    subprocess.run(build, cwd=ROOT, check=True)
    program = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/examples/bench_tasks"

    def measured() -> float:
        said = subprocess.run([program], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
        return float(json.loads(said.splitlines()[-1])["tasks_per_second"])

    return measured


ROWS = [Row("Rust driver and worker, tasks in flight", "tasks/s", rust_driver_and_worker, once)]
