"""What the code that runs belongs to: the task of this thread or coroutine, if any."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from thornback._execute import Target
    from thornback._gen import value_pb2, worker_pb2


class Order:
    """What a `Run` says beside whose task it is. Runs that say the same may share one."""

    __slots__ = ("actor", "args", "attempt", "setup", "target")

    def __init__(self, message: worker_pb2.Run, target: Target) -> None:
        self.attempt = message.attempt
        # As declared when the order came: the node may declare the number anew while it is queued.
        self.target = target
        self.actor = message.actor
        self.args: Sequence[value_pb2.Arg] = message.args
        self.setup = message.setup if message.HasField("setup") else None


class Job:
    """A task, actor creation or actor call that this worker is to run."""

    # Most jobs end before any of these is set.
    started = False
    """User code of it runs."""
    cancelled = False
    interrupt_code = 0
    interrupted = False

    def __init__(self, task: bytes, order: Order) -> None:
        self.task = task
        self.order = order
        self.attempt = order.attempt
        self.actor = order.actor


job: Final[ContextVar[Job | None]] = ContextVar("thornback_job", default=None)
"""The job that the current thread or coroutine runs; None in a driver."""
