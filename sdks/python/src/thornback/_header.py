"""The header of a stored object, as bytes: written and read by hand.

It is a small FlatBuffer (``protocol/flatbuffers/object_header.fbs``). The library for those imports numpy wherever that is installed,
which takes longer than the start of all the rest, and reads a field in microseconds; so this module knows the one table that there is.
A test holds it against the code that FlatBuffers' own compiler makes.

What is read here came from another process: every position is checked before it is followed. Whether the spans fit the object is the
caller's to say (:mod:`._arena`).
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from struct import error as StructError  # noqa: N812 - `error` says too little
from typing import Final

BUFFERS_MAX: Final = 65_536

_U16: Final = Struct("<H")
_U32: Final = Struct("<I")
_I32: Final = Struct("<i")
_SPAN: Final = Struct("<QQ")
# The fields of `ObjectHeader`, as the schema numbers them.
_FORMAT, _SCHEMA, _DATA, _BUFFERS = range(4)

# What `write` makes: where the table is; the vtable (its size, the table's, and where in the table each field lies or 0); the table
# (distance back to the vtable, distance to the buffers, data, distance to the schema, format); the number of buffers, at the position
# that has the buffers themselves at a multiple of 8. Buffers and schema follow.
_HEAD: Final = Struct("<I6HiIQQIB7xI")
_TABLE, _VTABLE = 16, 4
_AT_BUFFERS, _AT_DATA, _AT_SCHEMA, _AT_FORMAT, _TABLE_BYTES = 4, 8, 24, 28, 32


def write(format: int, schema: str, spans: Sequence[tuple[int, int]]) -> bytes:
    """A header. `spans` are offset and length of the in-band data and of each buffer, as the header counts them."""
    text = schema.encode()
    buffers = b"".join([_SPAN.pack(*span) for span in spans[1:]])
    head = _HEAD.pack(
        _TABLE,
        _TABLE - _VTABLE,
        _TABLE_BYTES,
        _AT_FORMAT,
        _AT_SCHEMA if text else 0,
        _AT_DATA,
        _AT_BUFFERS,
        _TABLE - _VTABLE,
        _HEAD.size - 4 - (_TABLE + _AT_BUFFERS),
        *spans[0],
        _HEAD.size + len(buffers) - (_TABLE + _AT_SCHEMA) if text else 0,
        format,
        len(spans) - 1,
    )
    return head + buffers + (_U32.pack(len(text)) + text + b"\0" if text else b"")


def read(header: memoryview) -> tuple[int, str, list[tuple[int, int]]]:
    """Format, schema and spans of a header, as `write` takes them. Raises `ValueError` if it is none."""
    try:
        return _Table(header).parts()
    except StructError as error:
        raise ValueError(f"it points outside itself: {error}") from None


class _Table:
    """The root table. Reading beyond the end raises `struct.error`; no position that is followed is negative."""

    __slots__ = ("_bytes", "_table", "_table_bytes", "_vtable", "_vtable_bytes")

    def __init__(self, header: memoryview) -> None:
        self._bytes = header
        self._table = self._u32(0)
        self._vtable = self._table - int(_I32.unpack_from(header, self._table)[0])
        if self._vtable < 0:
            raise ValueError("its table of fields lies before its beginning")
        self._vtable_bytes = self._u16(self._vtable)
        self._table_bytes = self._u16(self._vtable + 2)
        if self._table + self._table_bytes > len(header) or self._vtable + self._vtable_bytes > len(header):
            raise ValueError("its table is longer than itself")

    def parts(self) -> tuple[int, str, list[tuple[int, int]]]:
        at = self._field(_FORMAT, 1)
        format = self._bytes[at] if at else 0
        at = self._field(_DATA, _SPAN.size)
        spans = [self._span(at)] if at else [(0, 0)]
        at = self._field(_BUFFERS, 4)
        if at:
            at += self._u32(at)
            count = self._u32(at)
            if count > BUFFERS_MAX:
                raise ValueError(f"it has {count} buffers, and may have {BUFFERS_MAX}")
            spans += [self._span(at + 4 + n * _SPAN.size) for n in range(count)]
        at = self._field(_SCHEMA, 4)
        return format, self._string(at + self._u32(at)) if at else "", spans

    def _field(self, number: int, size: int) -> int:
        """Where a field lies; 0 if it is absent."""
        entry = 4 + 2 * number
        offset = self._u16(self._vtable + entry) if entry + 2 <= self._vtable_bytes else 0
        if offset and offset + size > self._table_bytes:
            raise ValueError(f"its field {number} lies outside its table")
        return self._table + offset if offset else 0

    def _string(self, at: int) -> str:
        length = self._u32(at)
        end = at + 4 + length
        if end >= len(self._bytes) or self._bytes[end]:
            raise ValueError("its schema has no end")
        return str(self._bytes[at + 4 : end], "utf-8")

    def _span(self, at: int) -> tuple[int, int]:
        offset, length = _SPAN.unpack_from(self._bytes, at)
        return offset, length

    def _u16(self, at: int) -> int:
        return int(_U16.unpack_from(self._bytes, at)[0])

    def _u32(self, at: int) -> int:
        return int(_U32.unpack_from(self._bytes, at)[0])
