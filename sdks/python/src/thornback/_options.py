"""Options of tasks and actors: checked when they are written, sent when they are declared."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from thornback._errors import type_name
from thornback._gen import actor_pb2, task_pb2

if TYPE_CHECKING:
    from thornback._actor import Interface

UNITS: Final = 10_000
"""Amounts of resources on the wire are whole multiples of 1/10000."""
_ASYNC_CONCURRENCY: Final = 1000

_RESOURCES: Final = frozenset({"num_cpus", "num_gpus", "memory", "resources"})
_COMMON: Final = _RESOURCES | {"name", "scheduling_strategy", "placement_group", "placement_group_bundle_index", "pool", "num_returns"}
_TASK: Final = _COMMON | {"max_retries", "retry_exceptions", "deadline", "stream_backpressure", "_generator_backpressure_num_objects"}
_ACTOR: Final = (_COMMON - {"num_returns"}) | {
    "namespace",
    "get_if_exists",
    "lifetime",
    "max_restarts",
    "max_task_retries",
    "max_concurrency",
    "max_pending_calls",
}
_METHOD: Final = frozenset(
    {
        "name",
        "num_returns",
        "max_task_retries",
        "retry_exceptions",
        "deadline",
        "stream_backpressure",
        "_generator_backpressure_num_objects",
    }
)


class Options:
    """What a task, an actor or a method was asked to be. Immutable."""

    __slots__ = ("kind", "values")

    def __init__(self, kind: str, values: Mapping[str, Any]) -> None:
        """`kind` is "task", "actor" or "method". Raises `ValueError` or `TypeError` for what has no meaning."""
        self.kind = kind
        self.values: dict[str, Any] = dict(values)
        known = {"task": _TASK, "actor": _ACTOR, "method": _METHOD}[kind]
        for name, value in self.values.items():
            if name not in known:
                raise ValueError(f"{name!r} is not an option of a {kind}; there are {', '.join(sorted(n for n in known if n[0] != '_'))}")
            check = _CHECKS.get(name)
            if check is not None and value is not None:
                check(name, value)

    def but(self, values: Mapping[str, Any]) -> Options:
        """These, with some replaced."""
        return Options(self.kind, {**self.values, **values})

    def get(self, name: str, default: Any = None) -> Any:
        value = self.values.get(name)
        return default if value is None else value

    @property
    def returns(self) -> int | None:
        """How many results; -1 for a stream; None if it was not said."""
        value = self.values.get("num_returns")
        if value is None:
            return None
        return -1 if value in ("streaming", "dynamic") else int(value)

    def fill(self, message: task_pb2.Declare) -> None:
        """Adds them to a declaration."""
        get = self.get
        if self.kind == "task":
            message.max_retries = get("max_retries", 3)
        if self.kind != "method":
            for name, amount in self.resources().items():
                message.resources.amounts[name] = amount
        retry = get("retry_exceptions", False)
        if retry is True:
            message.retry_exceptions = True
        elif retry:
            message.retry_types.extend(type_name(kind) for kind in retry)
        message.name = get("name", "") if self.kind != "actor" else ""
        message.pool = get("pool", "")
        message.stream_window = max(0, get("stream_backpressure", get("_generator_backpressure_num_objects", 0)))
        deadline = get("deadline")
        if deadline is not None:
            message.deadline_ms = max(1, math.ceil(deadline * 1000))
        message.bundle = -1
        strategy = self.values.get("scheduling_strategy")
        group = self.values.get("placement_group")
        if group is not None and group != "default":
            message.placement_group = group.id
            message.bundle = get("placement_group_bundle_index", -1)
        elif strategy is None or strategy == "DEFAULT":
            pass
        elif strategy == "SPREAD":
            message.spread = True
        else:
            strategy.fill(message)

    def resources(self) -> dict[str, int]:
        """Amounts by name, in units."""
        get = self.get
        amounts = {"CPU": get("num_cpus", 1), "GPU": get("num_gpus", 0), "memory": get("memory", 0), **get("resources", {})}
        return {name: units for name, amount in amounts.items() if (units := round(amount * UNITS))}

    def fill_actor(self, message: actor_pb2.ActorOptions, interface: Interface) -> None:
        """Adds what concerns actors only."""
        get = self.get
        message.name = get("name", "")
        message.namespace = get("namespace", "")
        message.get_if_exists = get("get_if_exists", False)
        message.detached = get("lifetime") == "detached"
        message.max_restarts = get("max_restarts", 0)
        message.max_task_retries = get("max_task_retries", 0)
        message.asynchronous = interface.asynchronous
        message.max_concurrency = get("max_concurrency", _ASYNC_CONCURRENCY if interface.asynchronous else 1)
        message.max_pending_calls = get("max_pending_calls", -1)
        # An actor that says nothing of resources needs a CPU to be placed and none to live; one that does keeps what it asked for.
        message.hold_resources = any(self.values.get(name) is not None for name in _RESOURCES)


def _amount(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not (0 <= value < 2**49) or math.isnan(value):
        raise ValueError(f"{name} must not be negative or huge; it is {value!r}")


def _resources(name: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise TypeError(f"resources must be a dict of amounts by name, not {value!r}")
    for key, amount in value.items():
        if not isinstance(key, str) or not key:
            raise TypeError(f"a resource is named by a string, not by {key!r}")
        if key in ("CPU", "GPU", "memory"):
            raise ValueError(f"{key} in resources has an option of its own: {'memory' if key == 'memory' else 'num_' + key.lower() + 's'}")
        _amount(f"resources[{key!r}]", amount)


def _count(least: int) -> Callable[[str, Any], None]:
    def check(name: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} must be an integer, not {value!r}")
        if not least <= value < 2**31:
            raise ValueError(f"{name} must be at least {least}; it is {value}")

    return check


def _returns(name: str, value: Any) -> None:
    if value not in ("streaming", "dynamic"):
        _count(0)(name, value)


def _kind(*kinds: type) -> Callable[[str, Any], None]:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, kinds):
            raise TypeError(f"{name} must be {' or '.join(kind.__name__ for kind in kinds)}, not {value!r}")

    return check


def _retry_exceptions(name: str, value: Any) -> None:
    if isinstance(value, bool):
        return
    if not isinstance(value, Iterable) or not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in value):
        raise TypeError(f"retry_exceptions must be True, False or a list of exception types, not {value!r}")


def _lifetime(name: str, value: Any) -> None:
    if value not in ("detached", "non_detached"):
        raise ValueError(f"lifetime must be 'detached', 'non_detached' or None, not {value!r}")


def _name(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {value!r}")
    if not value:
        raise ValueError(f"{name} must not be empty")


def _deadline(name: str, value: Any) -> None:
    _amount(name, value)
    if value == 0:
        raise ValueError("a deadline of 0 s cannot be met")


def _strategy(name: str, value: Any) -> None:
    if value not in ("DEFAULT", "SPREAD") and not hasattr(value, "fill"):
        raise ValueError(f"scheduling_strategy must be 'DEFAULT', 'SPREAD' or a strategy object, not {value!r}")


_CHECKS: Final[dict[str, Callable[[str, Any], None]]] = {
    "num_cpus": _amount,
    "num_gpus": _amount,
    "memory": _amount,
    "resources": _resources,
    "num_returns": _returns,
    "max_retries": _count(-1),
    "max_restarts": _count(-1),
    "max_task_retries": _count(-1),
    "max_concurrency": _count(1),
    "max_pending_calls": _count(-1),
    "stream_backpressure": _count(-1),
    "_generator_backpressure_num_objects": _count(-1),
    "placement_group_bundle_index": _count(-1),
    "retry_exceptions": _retry_exceptions,
    "get_if_exists": _kind(bool),
    "name": _name,
    "namespace": _name,
    "pool": _name,
    "lifetime": _lifetime,
    "deadline": _deadline,
    "scheduling_strategy": _strategy,
}
