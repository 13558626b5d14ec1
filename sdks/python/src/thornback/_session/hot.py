"""Runs of like operations, cut out of a frame without a parser.

When work is fine, a frame holds hundreds of completions, or of runs for a worker, that differ in little but an id. A parser makes
three objects of each and answers each question about them by a call, which costs four times what everything else does with the
operation; here one call to `struct` cuts all of them. What is taken this way is exactly what a parser would say: any other frame, and
what follows a run in the same frame, is left to it. A test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final

Ops = Iterator[tuple[bytes, bytes, bytes]]
"""Head, id (16 bytes) and what follows the id, of each operation of a run and perhaps of others after it."""
Taker = Callable[[bytes, Ops], int]
"""Takes operations as long as their head is the given one. Returns how many it took, even if it could not make sense of the last."""

_SHORT_MAX: Final = 0x80
"""Lengths below take one byte."""


class Kind:
    """One kind of operation, by its number in `ServerOp`: those whose first field is an id."""

    __slots__ = ("_shapes", "_tag", "_take")

    def __init__(self, number: int, take: Taker) -> None:
        tag = number << 3 | 2
        self._tag = bytes((tag,)) if tag < 0x80 else bytes((tag & 0x7F | 0x80, tag >> 7))
        self._take = take
        # By length of the operation: its head, and what cuts it.
        self._shapes: dict[int, tuple[bytes, Struct]] = {}

    def take(self, body: bytes, at: int) -> int:
        """Takes the operations of this kind that begin at `at`, run by run. Returns where what it did not take begins."""
        while len(body) - at > 1:
            length = body[at + 1]
            shape = self._shapes.get(length) or self._shape(length)
            if shape is None:
                return at
            head, cut = shape
            if not body.startswith(head, at):
                return at
            size = cut.size
            count = (len(body) - at) // size
            if not count:
                return at
            taken = self._take(head, cut.iter_unpack(memoryview(body)[at : at + count * size]))
            if not taken:
                return at
            at += taken * size
        return at

    def _shape(self, length: int) -> tuple[bytes, Struct] | None:
        # Field `ops`, its length; the field of the operation, its length; field 1, the length of an id.
        inner = length - len(self._tag) - 1
        rest = inner - 18
        if length >= _SHORT_MAX or rest < 0:
            return None
        head = b"".join((b"\x1a", bytes((length,)), self._tag, bytes((inner,)), b"\x0a\x10"))
        shape = self._shapes[length] = head, Struct(f"{len(head)}s16s{rest}s")
        return shape


def numbers(body: bytes) -> tuple[int, int, int] | None:
    """`seq`, `ack`, and where the operations begin; None for a frame that does not begin with `seq`."""
    if not body.startswith(b"\x08"):
        return None
    seq, at = _varint(body, 1)
    ack = 0
    if body.startswith(b"\x10", at):
        ack, at = _varint(body, at + 1)
    return (seq, ack, at) if seq and at <= len(body) else None


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """A number and where it ends; beyond the end of the body if there is none."""
    value = shift = 0
    for byte in body[at : at + 10]:
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return (value, at) if value < 1 << 64 else (0, len(body) + 1)
        shift += 7
    return 0, len(body) + 1
