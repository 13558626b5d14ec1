"""How far an object is, as the table of this process knows it, and what waits for an answer of the node."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any, Final

from thornback._gen import failure_pb2, value_pb2
from thornback._session import frames


class Mark(enum.Enum):
    """States that hold nothing."""

    PENDING = enum.auto()
    """It will be told of."""
    FOREIGN = enum.auto()
    """Somebody else's; to be asked for before it is waited for."""
    ACTOR = enum.auto()
    """Not an object: the count of an actor's handles."""


PENDING: Final = Mark.PENDING
FOREIGN: Final = Mark.FOREIGN
ACTOR: Final = Mark.ACTOR


class Inline:
    """Here: the parts of a value."""

    __slots__ = ("buffers", "data", "format", "schema")

    def __init__(self, format: int, data: bytes, buffers: Sequence[bytes], schema: str) -> None:
        self.format = format
        self.data = data
        self.buffers = buffers
        self.schema = schema

    @classmethod
    def of(cls, value: value_pb2.Value) -> Inline:
        """From a message, of which nothing is kept: a part of a frame would keep the whole frame."""
        return cls(value.format, value.data, list(value.buffers), value.schema)


class Stored:
    """In the object store."""

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size


class Failed:
    """Will never be there."""

    __slots__ = ("failure",)

    def __init__(self, failure: failure_pb2.Failure) -> None:
        self.failure = failure_pb2.Failure()
        self.failure.CopyFrom(failure)


State = Mark | tuple[Any] | bytes | Inline | Stored | Failed
"""Values that are most common take the least: a tuple holds a value that nobody can change, read already; bytes are MessagePack that
refers to nothing."""


class Slot:
    """One answer that is awaited."""

    __slots__ = ("callback", "data", "filled", "size", "value")

    def __init__(self, callback: Callable[[], None] | None = None) -> None:
        self.value: Any = None
        self.callback = callback
        self.data: bytearray | None = None
        """Bytes that come in chunks."""
        self.filled = 0
        self.size = 0

    def done(self) -> bool:
        return self.value is not None

    def set(self, value: Any) -> None:
        self.value = value
        if self.callback is not None:
            self.callback()


class Stream:
    """A stream that this process reads."""

    __slots__ = ("arrived", "callbacks", "completed", "ended", "failure", "taken")

    def __init__(self) -> None:
        self.arrived = 0
        """Items that are there; they come in order."""
        self.taken = 0
        self.ended = False
        self.failure: failure_pb2.Failure | None = None
        self.callbacks: list[Callable[[], None]] = []
        self.completed: bytes | None = None
        """The local object that becomes ready at the end, if somebody asked for it."""

    @property
    def count(self) -> int:
        """Items to take so far, the exception at the end included."""
        return self.arrived + (self.failure is not None)


class Declaration:
    """What was declared to the node under a number."""

    __slots__ = (
        "call_head",
        "call_tail",
        "number",
        "portable",
        "returns",
        "runtime",
        "submit_head",
        "submit_tail",
        "suffix_call",
        "suffix_submit",
    )

    def __init__(self, runtime: Any, number: int, returns: int, portable: bool) -> None:
        self.runtime = runtime
        self.number = number
        encoded = frames.varint(number)
        self.suffix_submit = b"\x10" + encoded
        """Field `declaration` of `Submit`, encoded."""
        self.suffix_call = b"\x18" + encoded
        """The same of `Call`."""
        # A whole operation without arguments and parent, but for the 12 bytes of its id that are its own.
        self.submit_tail = frames.INDEX_SELF + self.suffix_submit
        size = len(frames.ID_1) + frames.PREFIX_BYTES + len(self.submit_tail)
        self.submit_head = frames.SUBMIT.short[size] + frames.ID_1
        self.call_tail = frames.INDEX_SELF + frames.ID_2
        size = len(frames.ID_1) + frames.PREFIX_BYTES + len(self.call_tail) + frames.ID_BYTES + len(self.suffix_call)
        self.call_head = frames.CALL.short[size] + frames.ID_1
        self.returns = returns
        self.portable = portable
        """The language of the callee is not known: arguments must be."""
