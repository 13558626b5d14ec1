"""The rows, by noun. Each module has `ROWS`, and says with `STARTS_ITSELF` whether its rows start a runtime of their own."""

from __future__ import annotations

from types import ModuleType

from rows import actors, async_actors, limits, native, objects, placement, runtime, tasks

NOUNS: dict[str, ModuleType] = {
    "objects": objects,
    "tasks": tasks,
    "actors": actors,
    "async-actors": async_actors,
    "placement": placement,
    "runtime": runtime,
    "native": native,
    "limits": limits,
}
