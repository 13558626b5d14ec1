"""Placement groups: made and removed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness import Row, rate

STARTS_ITSELF = False

GROUPS = 100


def create_and_remove(system: Any) -> Callable[[], Any]:
    create, remove = system.method("placement_group"), system.method("remove_placement_group")

    def create_all_then_remove_all() -> None:
        # A thousandth of a CPU each, so that all of them fit on any machine at once.
        groups = [create(bundles=[{"CPU": 0.001}]) for _ in range(GROUPS)]
        for group in groups:
            group.wait(30)
        for group in groups:
            remove(group)

    return create_all_then_remove_all


ROWS = [Row("placement group create/removal", "groups/s", create_and_remove, rate(GROUPS))]
