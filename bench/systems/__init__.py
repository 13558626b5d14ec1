"""The systems under measurement, behind one face: `systems.load("ray")`.

A row is written once and runs on all of them. What a system cannot do at all raises `Unsupported`, and the table shows a gap.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Protocol

NAMES = ("thornback", "ray", "multiprocessing")


class Unsupported(Exception):  # noqa: N818 - it is no error: the table has a gap there
    """This system has no such thing, so there is nothing to compare with."""


class System(Protocol):
    """What the rows use. The functions are those of the systems themselves wherever they have them, with nothing in between."""

    get: Callable[..., Any]
    put: Callable[..., Any]
    wait: Callable[..., Any]
    kill: Callable[..., Any]

    def start(self) -> None:
        """Starts a runtime as a user would, with the defaults."""

    def stop(self) -> None:
        """Ends it."""

    def remote(self, target: Any, **options: Any) -> Any:
        """Turns a function or a class into one whose `.remote(...)` runs elsewhere."""

    def method(self, name: str) -> Any:
        """Another function of the system by its usual name, such as `placement_group`."""

    def is_worker(self, command: str, parent: str) -> bool:
        """Whether a process with this command line, and a parent with that, runs users' code (and is no part of the runtime)."""


def load(name: str) -> System:
    """The system with this name."""
    if name not in NAMES:
        raise ValueError(f"there is no system {name!r}; there are {', '.join(NAMES)}")
    module = importlib.import_module(f"systems.{name}_system")
    system: System = module.load()
    return system
