"""Operations as bytes, assembled by hand.

What is made here is plain protobuf of ``protocol/proto/thornback/v1``, as any generator would write it. Building a message object
for each call costs three times what joining four byte strings does, and a call is what users do most; so the operations of the
hot path (submit, call, done, refs) are joined from parts of which most never change, and everything else goes through the
generated classes and :func:`op`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from struct import Struct, error
from typing import Final

ID_BYTES: Final = 16
PREFIX_BYTES: Final = 12

INDEX_SELF: Final = b"\0\0\0\0"
"""Index of a task, an actor or a placement group."""
INDEX_FIRST: Final = b"\0\0\0\1"
"""Index of the first return value, the first item of a stream, or a put object."""


_SHORTEST: Final = [bytes((n,)) for n in range(0x80)]
_SHORT: Final = Struct("BB")
_MIDDLE: Final = Struct("BBB")
_HEAD: Final = Struct("8B")


def varint(n: int) -> bytes:
    """An unsigned integer as protobuf writes it."""
    if n < 0x80:
        return _SHORTEST[n]
    if n < 0x4000:
        return _SHORT.pack(n & 0x7F | 0x80, n >> 7)
    if n < 0x200000:
        return _MIDDLE.pack(n & 0x7F | 0x80, n >> 7 & 0x7F | 0x80, n >> 14)
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number: int, body: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(body)) + body


class Heads:
    """What comes before the body of one kind of operation: its own tag and length, wrapped as an element of ``ClientFrame.ops``.

    ``short[n]`` is the head of a body of ``n`` bytes, for bodies small enough that both lengths take one byte; nearly all do. Those of
    which there are few do without: to make the tables of all would be a good part of what this package takes to import.
    """

    __slots__ = ("_tag", "limit", "short")

    def __init__(self, number: int, *, hot: bool = False) -> None:
        self._tag = varint(number << 3 | 2)
        inner = len(self._tag) + 1
        self.limit = 0x80 - inner if hot else 0
        self.short = [b"\x1a" + bytes((inner + n,)) + self._tag + bytes((n,)) for n in range(self.limit)]

    def __call__(self, body: bytes) -> bytes:
        """The whole operation."""
        n = len(body)
        if n < self.limit:
            return self.short[n] + body
        length = varint(n)
        return b"".join((b"\x1a", varint(len(self._tag) + len(length) + n), self._tag, length, body))


def op(number: int) -> Callable[[bytes], bytes]:
    """Wraps the serialised message of operation ``number`` as an element of ``ClientFrame.ops``."""
    return Heads(number)


# Numbers of `ClientOp.op`.
HELLO: Final = Heads(1)
CREDIT: Final = Heads(2)
PING: Final = Heads(3)
PONG: Final = Heads(4)
GOODBYE: Final = Heads(5)
DECLARE: Final = Heads(10)
SUBMIT: Final = Heads(11, hot=True)
CALL: Final = Heads(12, hot=True)
CREATE_ACTOR: Final = Heads(13)
CANCEL: Final = Heads(14)
KILL: Final = Heads(15)
PUT: Final = Heads(16, hot=True)
CREATE: Final = Heads(17)
WRITE: Final = Heads(18)
SEAL: Final = Heads(19)
ABORT: Final = Heads(20)
WATCH: Final = Heads(21)
FETCH: Final = Heads(22)
RELEASE: Final = Heads(23)
REFS: Final = Heads(24, hot=True)
REQUEST: Final = Heads(25)
CONSUMED: Final = Heads(26)
DONE: Final = Heads(30, hot=True)
YIELD: Final = Heads(31, hot=True)
BLOCKED: Final = Heads(32, hot=True)
UNBLOCKED: Final = Heads(33, hot=True)
RETURNED: Final = Heads(34)
ANNOUNCE: Final = Heads(35)
ACTOR_EXIT: Final = Heads(36)

# Tags within the messages of the hot path, each with the length of an id where one follows.
ID_1: Final = b"\x0a\x10"
"""Field 1 is an id: `Submit.task`, `Call.task`, `Done.task`, `Put.object` and more."""
ID_2: Final = b"\x12\x10"
"""Field 2 is an id: `Call.actor`, `Refs.drop`."""
PARENT_SUBMIT: Final = b"\x22\x10"
"""`Submit.parent`."""
PARENT_CALL: Final = b"\x2a\x10"
"""`Call.parent` and `CreateActor.parent`."""
ARG_SUBMIT: Final = 3
"""Number of `args` in `Submit`, `CreateActor` and `CreateNamedActor`, and of `results` in `Done`."""
ARG_CALL: Final = 4
"""Number of `args` in `Call`, and of `item` in `Yield`."""


class ShortValues:
    """Heads of a small MessagePack value (``short``) or of raw bytes (``raw``) as argument or result: ``short[n]`` comes before ``n``
    bytes of data.

    `Arg{value: Value{format: MSGPACK, data}}` and `Result{value: ...}` have the same bytes, because both put the value in field 1.
    """

    __slots__ = ("limit", "raw", "short")

    def __init__(self, number: int) -> None:
        tag = varint(number << 3 | 2)
        self.limit = 0x80 - 6
        self.short, self.raw = ([tag + bytes((n + 6, 0x0A, n + 4, 0x08, format, 0x12, n)) for n in range(self.limit)] for format in (2, 1))


SHORT_ARG_SUBMIT: Final = ShortValues(ARG_SUBMIT)
SHORT_ARG_CALL: Final = ShortValues(ARG_CALL)
SHORT_PUT, SHORT_PUT_RAW = ([bytes((0x12, n + 4, 0x08, format, 0x12, n)) for n in range(0x80 - 4)] for format in (2, 1))
"""The same as `Put.value` and `Completion.value`, which have no message around them."""
DROP_ONE: Final = REFS.short[len(ID_2) + ID_BYTES] + ID_2
"""`Refs` that drops one id, but for the id: what most calls bring with them."""
NIL_RESULT: Final = SHORT_ARG_SUBMIT.short[1] + b"\xc0"
"""The result of a function that returns None."""


def ids(number: int, values: Iterable[bytes]) -> bytes:
    """A repeated field of ids."""
    tag = varint(number << 3 | 2) + b"\x10"
    # The empty one at the beginning has the tag before each value, and none where there are no values.
    return tag.join((b"", *values))


def frame(seq: int, ack: int, ops: bytes) -> bytes:
    """A `ClientFrame` of operations that are already wrapped."""
    if 0x4000 <= seq < 0x200000 and 0x4000 <= ack < 0x200000:
        # As nearly all of a long conversation are.
        s, a = seq >> 7, ack >> 7
        return _HEAD.pack(8, seq & 0x7F | 0x80, s & 0x7F | 0x80, s >> 7, 16, ack & 0x7F | 0x80, a & 0x7F | 0x80, a >> 7) + ops
    head = b""
    if seq:
        head = b"\x08" + varint(seq)
    if ack:
        head += b"\x10" + varint(ack)
    return head + ops


class Ids:
    """Makes ids: 8 random bytes of this process, a counter of 4 bytes, an index of 4 bytes."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = self._prefixes()

    def prefix(self) -> bytes:
        """The first 12 bytes of a new id; the index is the caller's to add."""
        try:
            return next(self._next)
        except error:
            # The counter ran over. Two threads may both come here; each then starts a salt of its own, which is as unique.
            self._next = self._prefixes()
            return next(self._next)

    def _prefixes(self) -> Iterator[bytes]:
        # No byte code runs between one and the next, so any thread may ask.
        return map(Struct(">8sI").pack, itertools.repeat(os.urandom(8)), itertools.count(1))
