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

GO_PROGRAM = "THORNBACK_BENCH_GO"
"""The same of the Go SDK; it is not set where Go is not installed."""

TYPESCRIPT_PROGRAM = "THORNBACK_BENCH_TYPESCRIPT"
"""A script of the TypeScript SDK, which Node.js runs; it is not set where Node.js is not installed."""

TASKS_A_SECOND = {RUST_PROGRAM: 500_000, GO_PROGRAM: 200_000, TYPESCRIPT_PROGRAM: 150_000}
"""What a good machine does: it says how many tasks a run has. Each program does 0.3 times as many beforehand, uncounted."""

AT_ONCE = 200_000
"""Tasks that are all in flight at once, and whose records are more than processors' caches hold."""


def driver_and_worker(language: str, variable: str, arguments: Callable[[int], list[str]]) -> Callable[[Any], Callable[..., Any]]:
    def measured(system: Any) -> Callable[..., Any]:
        if type(system).__name__ != "Thornback":
            raise Unsupported(f"no driver in {language}")
        program = os.environ.get(variable)
        if program is None:
            raise Unsupported(f"{variable} does not say where the program is; is {language} installed?")

        def run(seconds: float) -> float:
            tasks = max(1_000, int(TASKS_A_SECOND[variable] * seconds))
            command = ["node", program] if program.endswith(".js") else [program]
            said = subprocess.run([*command, *arguments(tasks)], check=True, stdout=subprocess.PIPE, text=True).stdout
            return float(json.loads(said.splitlines()[-1])["tasks_per_second"])

        return run

    return measured


def once(run: Callable[..., Any], seconds: float) -> float:
    """One run, of as many tasks as a good machine does in that time: the program counts for itself."""
    return float(run(seconds))


# As in the rows of one Python driver, up to 1,000 tasks are in flight where a row does not say otherwise: the programs do so of themselves.
ROWS = [
    Row(
        "Rust driver and worker, tasks in flight",
        "tasks/s",
        driver_and_worker("Rust", RUST_PROGRAM, lambda tasks: [str(tasks), "1"]),
        once,
    ),
    Row(
        "Rust driver and worker, all tasks in flight at once",
        "tasks/s",
        driver_and_worker("Rust", RUST_PROGRAM, lambda tasks: [str(min(tasks, AT_ONCE)), "1", str(AT_ONCE)]),
        once,
    ),
    Row(
        "Go driver and worker, tasks in flight",
        "tasks/s",
        driver_and_worker("Go", GO_PROGRAM, lambda tasks: ["-tasks", str(tasks), "-rounds", "1"]),
        once,
    ),
    Row(
        "TypeScript driver and worker, tasks in flight",
        "tasks/s",
        driver_and_worker("TypeScript", TYPESCRIPT_PROGRAM, lambda tasks: [str(tasks), "1"]),
        once,
    ),
]
