"""The rows, by noun. Each module has `ROWS`, and says with `STARTS_ITSELF` whether its rows start a runtime of their own.

A module is loaded where its rows are wanted and nowhere else: workers load what they run from here, and each would load all of it, numpy
included, when it starts.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

NOUNS = ("objects", "tasks", "actors", "async-actors", "placement", "runtime", "native", "limits")


def load(noun: str) -> ModuleType:
    """The rows of a noun."""
    return import_module(f"rows.{noun.replace('-', '_')}")
