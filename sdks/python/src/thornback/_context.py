"""What the code that runs belongs to: the task of this thread or coroutine, if any."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final


class Job:
    """A task, actor creation or actor call that this worker is to run."""

    __slots__ = (
        "actor",
        "attempt",
        "cancelled",
        "declaration",
        "interrupt_code",
        "interrupted",
        "message",
        "name",
        "resources",
        "started",
        "task",
    )

    def __init__(self, message: Any) -> None:
        self.message = message
        self.task: bytes = message.task
        self.attempt: int = message.attempt
        self.actor: bytes = message.actor
        self.declaration: Any = None
        self.name = ""
        self.resources: dict[str, float] = {}
        self.started = False
        self.cancelled = False
        self.interrupt_code = 0
        self.interrupted = False


job: Final[ContextVar[Job | None]] = ContextVar("thornback_job", default=None)
"""The job that the current thread or coroutine runs; None in a driver."""
