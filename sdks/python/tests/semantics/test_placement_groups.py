"""Behaviour 33, and what of placement groups one node can show. (31 and 32 need several nodes: see cluster.md.)"""

from __future__ import annotations

import os
from typing import Any

import pytest

import thornback
from tests.support import DEADLINE, Bell, Gate, eventually, get, is_alive

pytestmark = pytest.mark.usefixtures("runtime")


def in_group(group: Any, bundle: int = -1) -> Any:
    return thornback.PlacementGroupSchedulingStrategy(placement_group=group, placement_group_bundle_index=bundle)


def all_back() -> None:
    eventually(lambda: thornback.available_resources() == thornback.cluster_resources(), "all resources are back")


@thornback.remote
def where(bell: Bell, gate: Gate) -> int:
    bell.ring(os.getpid())
    gate.pass_through()
    return os.getpid()


@thornback.remote
class Tenant:
    def pid(self) -> int:
        return os.getpid()


def test_33_removing_a_group_ends_its_tasks_and_actors_and_returns_all(gate: Gate, bell: Bell) -> None:
    """A removed group takes its tasks and actors along; all that it had reserved is free again; removing it again is fine."""
    group = thornback.placement_group([{"CPU": 1}, {"CPU": 1, "slot": 1}], strategy="PACK")
    assert group.wait(DEADLINE)
    assert thornback.available_resources().get("CPU") == 2
    assert thornback.available_resources().get("slot", 0) == 0

    tenant = Tenant.options(num_cpus=1, scheduling_strategy=in_group(group, 0)).remote()
    actor_pid = get(tenant.pid.remote())
    running = where.options(scheduling_strategy=in_group(group, 1)).remote(bell, gate)
    bell.hear()
    waiting = where.options(scheduling_strategy=in_group(group)).remote(bell, gate)

    thornback.remove_placement_group(group)
    thornback.remove_placement_group(group)
    for ref in (running, waiting):
        with pytest.raises(thornback.PlacementGroupRemovedError):
            get(ref)
    with pytest.raises((thornback.ActorDiedError, thornback.PlacementGroupRemovedError), match="removed"):
        get(tenant.pid.remote())
    eventually(lambda: not is_alive(actor_pid), "the actor's process is gone")
    all_back()
    assert not bell.rung(), "the task that waited has never run"
    thornback.remove_placement_group(group)


def test_33_a_task_for_a_removed_group_is_refused() -> None:
    """Who comes late is told that the group was removed, and does not wait for ever."""
    group = thornback.placement_group([{"CPU": 1}])
    get(group.ready())
    thornback.remove_placement_group(group)
    late = thornback.remote(os.getpid).options(scheduling_strategy=in_group(group)).remote()
    with pytest.raises((thornback.PlacementGroupRemovedError, thornback.PlacementGroupNotFoundError)):
        get(late)
    all_back()


def test_a_group_is_reserved_whole_or_not_at_all(gate: Gate, bell: Bell) -> None:
    """A group that does not fit yet takes nothing of what is free, and becomes ready when there is room for all of it."""
    busy = where.options(num_cpus=2).remote(bell, gate)
    bell.hear()
    group = thornback.placement_group([{"CPU": 1}, {"CPU": 2}])
    assert not group.wait(0.2)
    assert thornback.available_resources()["CPU"] == 2
    gate.open()
    get(busy)
    assert group.wait(DEADLINE)
    thornback.remove_placement_group(group)
    all_back()


def test_a_bundle_bounds_what_runs_in_it(gate: Gate, bell: Bell) -> None:
    """A bundle of one CPU runs one task of one CPU at a time, though the node has more."""
    group = thornback.placement_group([{"CPU": 1}])
    first, second = (where.options(scheduling_strategy=in_group(group, 0)).remote(bell, gate) for _ in range(2))
    bell.hear()
    ready, _ = thornback.wait([first, second], timeout=0.2)
    assert not ready
    assert not bell.rung()
    gate.open()
    get([first, second])
    thornback.remove_placement_group(group)
    all_back()


@pytest.mark.parametrize("strategy", ["PACK", "SPREAD", "STRICT_PACK"])
def test_one_node_satisfies_every_strategy_but_strict_spread(strategy: str) -> None:
    """Two bundles on one node are fine for all strategies that allow it; STRICT_SPREAD waits for a second node."""
    group = thornback.placement_group([{"CPU": 1}, {"CPU": 1}], strategy=strategy)
    assert group.wait(DEADLINE)
    never = thornback.placement_group([{"CPU": 1}, {"CPU": 1}], strategy="STRICT_SPREAD")
    assert not never.wait(0.2)
    for each in (group, never):
        thornback.remove_placement_group(each)
    all_back()


def test_bad_groups_are_refused() -> None:
    """No bundles, an empty bundle, a negative amount, a strategy that does not exist: an error where they are written."""
    for bundles, strategy in [([], "PACK"), ([{}], "PACK"), ([{"CPU": -1}], "PACK"), ([{"CPU": 1}], "SCATTER")]:
        with pytest.raises(ValueError):
            thornback.placement_group(bundles, strategy=strategy)
