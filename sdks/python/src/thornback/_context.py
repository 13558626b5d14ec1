"""What the code that runs belongs to: the task of this thread or coroutine, if any."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final


class Job:
    """A task, actor creation or actor call that this worker is to run."""

    # Most jobs end before any of these is set.
    declaration: Any = None
    """The worker's `Target`, once the job is taken up."""
    started = False
    """User code of it runs."""
    cancelled = False
    interrupt_code = 0
    interrupted = False

    def __init__(self, message: Any) -> None:
        self.message = message
        self.task: bytes = message.task
        self.attempt: int = message.attempt
        self.actor: bytes = message.actor


job: Final[ContextVar[Job | None]] = ContextVar("thornback_job", default=None)
"""The job that the current thread or coroutine runs; None in a driver."""
