"""Runs of like operations, cut out of a frame without a parser.

When work is fine, a frame holds hundreds of completions, or of runs for a worker, that differ in little but an id. A parser makes
three objects of each and answers each question about them by a call, which costs four times what everything else does with the
operation; here one call to `struct` cuts all of them. The frame has been parsed before, which by itself costs next to nothing, so it is
known to be whole; what is taken here is exactly what the parser's objects would say, and what is not is left to them. A test holds the
two against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import Final

Ops = Iterator[tuple[bytes, bytes, bytes]]
"""Head, id (16 bytes) and what follows the id, of each operation of a run and perhaps of others after it."""
Taker = Callable[[bytes, Ops], int]
"""Takes operations as long as their head is the given one. Returns how many it took."""

_OPS: Final = 0x1A
"""The field `ops` of a frame."""
_SHORT_MAX: Final = 0x80
"""Lengths below take one byte."""


class Kind:
    """One kind of operation, by its number in `ServerOp`: those whose first field is an id."""

    __slots__ = ("_shapes", "_take", "tag")

    def __init__(self, number: int, take: Taker) -> None:
        tag = number << 3 | 2
        self.tag = bytes((tag,)) if tag < 0x80 else bytes((tag & 0x7F | 0x80, tag >> 7))
        self._take = take
        # By length of the operation: its head, its size, and what cuts it.
        self._shapes: dict[int, tuple[bytes, int, Callable[[bytes], Ops]]] = {}

    def take(self, body: bytes, at: int) -> tuple[int, int]:
        """Takes the operations of this kind that begin at `at`, run by run. Returns how many, and where what it did not take begins."""
        total = 0
        end = len(body)
        while end - at > 1 and body[at] == _OPS:
            length = body[at + 1]
            shape = self._shapes.get(length) or self._shape(length)
            if shape is None:
                break
            head, size, cut = shape
            if not body.startswith(head, at):
                break
            count = (end - at) // size
            if not count:
                break
            taken = self._take(head, cut(body[at : at + count * size]))
            if not taken:
                break
            total += taken
            at += taken * size
        return total, at

    def _shape(self, length: int) -> tuple[bytes, int, Callable[[bytes], Ops]] | None:
        # Field `ops`, its length; the field of the operation, its length; field 1, the length of an id.
        inner = length - len(self.tag) - 1
        rest = inner - 18
        if length >= _SHORT_MAX or rest < 0:
            return None
        head = b"".join((b"\x1a", bytes((length,)), self.tag, bytes((inner,)), b"\x0a\x10"))
        cut = Struct(f"{len(head)}s16s{rest}s")
        shape = self._shapes[length] = head, cut.size, cut.iter_unpack
        return shape


def take(kinds: Iterable[Kind], body: bytes) -> int:
    """Takes the first operations of a frame that are of these kinds, and says how many. A parser must have read the frame."""
    at = 0
    if body[0] != _OPS:
        # `seq` and `ack` come before them or, from our own node, behind.
        for tag in (b"\x08", b"\x10"):
            if body.startswith(tag, at):
                at += 2
                while body[at - 1] >= 0x80:
                    at += 1
    total = 0
    for kind in kinds:
        # Behind the field `ops` and its length, which is of one byte in all that is taken here.
        if body.startswith(kind.tag, at + 2):
            taken, at = kind.take(body, at)
            total += taken
    return total
