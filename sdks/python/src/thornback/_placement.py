"""Placement groups: resources reserved together, for tasks and actors that belong together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from thornback import _errors, _runtime
from thornback._gen import control_pb2, task_pb2
from thornback._object import ObjectRef
from thornback._options import Options

_STRATEGIES: Final = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")


class PlacementGroup:
    """A reservation of several bundles of resources. Made by `placement_group`."""

    def __init__(self, id: bytes, bundles: list[dict[str, float]]) -> None:
        self.id = id
        self.bundle_specs = bundles

    @property
    def bundle_count(self) -> int:
        """How many bundles it has."""
        return len(self.bundle_specs)

    def ready(self) -> ObjectRef[None]:
        """A ref that becomes ready once all bundles are reserved."""
        return _runtime.require().adopt_ref(self.id[:12] + b"\0\0\0\1")

    def wait(self, timeout_seconds: float = 30) -> bool:
        """Waits until all bundles are reserved. False if that takes longer."""
        try:
            _runtime.require().get_many([self.ready()], timeout_seconds)
        except _errors.GetTimeoutError:
            return False
        return True

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, PlacementGroup) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"PlacementGroup({self.id.hex()}, {self.bundle_specs})"


def placement_group(bundles: Sequence[dict[str, float]], strategy: str = "PACK", name: str = "") -> PlacementGroup:
    """Reserves bundles of resources, such as ``[{"CPU": 1}, {"CPU": 2, "GPU": 1}]``, all or none, as soon as they are free.

    PACK puts them on as few nodes as it can, SPREAD on as many; STRICT_PACK on one, STRICT_SPREAD on as many as there are bundles.
    """
    if strategy not in _STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(_STRATEGIES)}; it is {strategy!r}")
    if not isinstance(bundles, (list, tuple)) or not bundles:
        raise ValueError("a placement group has at least one bundle")
    request = control_pb2.CreatePlacementGroup(strategy=strategy, name=name)
    for bundle in bundles:
        if not isinstance(bundle, dict):
            raise TypeError(f"a bundle is a dict of amounts by resource, not {bundle!r}")
        rest = {key: amount for key, amount in bundle.items() if key not in ("CPU", "GPU", "memory")}
        checked = Options(
            "task",
            {"num_cpus": bundle.get("CPU", 0), "num_gpus": bundle.get("GPU"), "memory": bundle.get("memory"), "resources": rest or None},
        )
        units = checked.resources()
        if not units:
            raise ValueError(f"the bundle {bundle!r} reserves nothing")
        resources = request.bundles.add()
        for key, amount in units.items():
            resources.amounts[key] = amount
    runtime: Any = _runtime.require()
    request.group = runtime.ids.prefix() + b"\0\0\0\0"
    runtime.request(create_placement_group=request)
    return PlacementGroup(request.group, [dict(bundle) for bundle in bundles])


def remove_placement_group(group: PlacementGroup) -> None:
    """Ends the group's tasks and actors and gives its resources back. Doing it again does nothing. What this program asks for afterwards
    comes after it; other programs see it a moment later."""
    _runtime.require().post_request(remove_placement_group=control_pb2.RemovePlacementGroup(group=group.id))


class PlacementGroupSchedulingStrategy:
    """Runs a task or actor in a placement group: in the bundle of that position, or in any (-1)."""

    def __init__(
        self, placement_group: PlacementGroup, placement_group_bundle_index: int = -1, placement_group_capture_child_tasks: bool = False
    ) -> None:
        if not isinstance(placement_group, PlacementGroup):
            raise TypeError(f"placement_group must be a PlacementGroup, not {placement_group!r}")
        if not -1 <= placement_group_bundle_index < placement_group.bundle_count:
            raise ValueError(f"the group has {placement_group.bundle_count} bundles; there is none at {placement_group_bundle_index}")
        if placement_group_capture_child_tasks:
            raise ValueError("tasks submitted inside a group are not captured; give them the strategy themselves")
        self.placement_group = placement_group
        self.placement_group_bundle_index = placement_group_bundle_index

    def fill(self, message: task_pb2.Declare) -> None:
        """Adds it to a declaration."""
        message.placement_group = self.placement_group.id
        message.bundle = self.placement_group_bundle_index


class NodeAffinitySchedulingStrategy:
    """Runs a task or actor on one node; with `soft`, elsewhere if that node is gone or cannot."""

    def __init__(self, node_id: str, soft: bool) -> None:
        self.node_id = node_id
        self.soft = soft
        self._node = bytes.fromhex(node_id)

    def fill(self, message: task_pb2.Declare) -> None:
        """Adds it to a declaration."""
        message.node = self._node
        message.soft = self.soft
