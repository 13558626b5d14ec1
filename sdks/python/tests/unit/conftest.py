"""What tests of one side of a session share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.peer import Peer, runtime_of
from thornback import _runtime


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
def runtime(peer: Peer) -> Iterator[Any]:
    runtime = runtime_of(peer)
    _runtime.current = runtime
    yield runtime
    _runtime.current = None
    runtime.close()
