"""Objects in shared memory: laid out, written, and read in place.

The node hands out descriptors of its arenas over the Unix socket. An object lies at an offset of one: the length of a FlatBuffer
header, the header, padding, then the buffers (``protocol/flatbuffers/object_header.fbs``).

A reader's descriptor cannot be mapped shared and writable, so nothing that user code does can change an object. Whatever is read
from one keeps the object pinned: arrays are views of a ctypes array whose end is watched.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final

from thornback import _header, _values
from thornback._errors import ProtocolError
from thornback._values import Buffer, Encoded

_ALIGN: Final = 64
_MAP_NORESERVE: Final = 0x4000
_TWO_THREADS_FROM: Final = 8 * 1024 * 1024
"""Below, starting a thread costs more than it saves."""


class Arenas:
    """The arenas that the node announced to one session."""

    def __init__(self) -> None:
        self._readable: dict[int, mmap.mmap] = {}
        self._writable: dict[int, mmap.mmap] = {}

    def add(self, number: int, size: int, writable: bool, descriptor: int) -> None:
        """Maps an arena and takes its descriptor over."""
        try:
            if writable:
                self._writable[number] = mmap.mmap(descriptor, size)
            else:
                # Private, and writable by this process's page tables only: ctypes makes arrays of nothing less. Every view of it that
                # is handed out is read-only, and what others write is seen.
                self._readable[number] = mmap.mmap(
                    descriptor, size, flags=mmap.MAP_PRIVATE | _MAP_NORESERVE, prot=mmap.PROT_READ | mmap.PROT_WRITE
                )
        finally:
            os.close(descriptor)

    def read(self, number: int, offset: int, size: int, release: Callable[[], None]) -> memoryview:
        """The bytes of an object, read-only. `release` is called once nothing refers to them any more."""
        arena = self._readable.get(number)
        if arena is None:
            raise ProtocolError(f"the node placed an object in arena {number}, which it has not announced")
        if size <= 0 or offset < 0 or offset + size > len(arena):
            raise ProtocolError(f"the node placed an object at {offset}+{size} of an arena of {len(arena)} bytes")
        array = (ctypes.c_char * size).from_buffer(arena, offset)
        weakref.finalize(array, release).atexit = False
        return memoryview(array).cast("B").toreadonly()

    def write(self, number: int, offset: int, size: int) -> memoryview:
        """The room of an object that this session is creating."""
        arena = self._writable.get(number)
        if arena is None:
            raise ProtocolError(f"the node gave room in arena {number}, which it has not announced for writing")
        if size <= 0 or offset < 0 or offset + size > len(arena):
            raise ProtocolError(f"the node gave room at {offset}+{size} of an arena of {len(arena)} bytes")
        return memoryview(arena)[offset : offset + size]


class Layout:
    """Where the parts of a value lie in an object."""

    __slots__ = ("head", "offsets", "parts", "size")

    def __init__(self, format: int, schema: str, lengths: Sequence[int]) -> None:
        """`lengths` are those of the in-band data and of each buffer."""
        offsets = []
        end = 0
        for length in lengths:
            offsets.append(end)
            end = _aligned(end + length)
        header = _header.write(format, schema, list(zip(offsets, lengths, strict=True)))
        region = _aligned(4 + len(header))
        self.head = (len(header).to_bytes(4, "little") + header).ljust(region, b"\0")
        self.offsets = [region + offset for offset in offsets]
        self.size = region + (offsets[-1] + lengths[-1] if lengths else 0)


def layout(value: Encoded) -> Layout:
    """Where the parts of an encoded value will lie."""
    return Layout(value.format, value.schema, [len(value.data), *(buffer.nbytes for buffer in value.buffers)])


def fill(room: memoryview, where: Layout, value: Encoded) -> None:
    """Writes an encoded value into its room."""
    room[: len(where.head)] = where.head
    parts: list[Buffer] = [value.data, *value.buffers]
    for offset, part in zip(where.offsets, parts, strict=True):
        copy(room[offset:], part)


def serialise(where: Layout, value: Encoded) -> bytearray:
    """The bytes of an object, for a carrier without shared memory."""
    out = bytearray(where.size)
    fill(memoryview(out), where, value)
    return out


def copy(to: memoryview, source: Buffer) -> None:
    """Copies bytes; large ones with two threads, since one does not fill the memory bus. The interpreter's lock is free meanwhile."""
    view = memoryview(source).cast("B")
    size = view.nbytes
    if size < _TWO_THREADS_FROM:
        to[:size] = view
        return
    start = ctypes.addressof(ctypes.c_char.from_buffer(to))
    origin = _address(view)
    half = size // 2 // 4096 * 4096
    helper = threading.Thread(target=ctypes.memmove, args=(start + half, origin + half, size - half))
    helper.start()
    ctypes.memmove(start, origin, half)
    helper.join()


def _address(view: memoryview) -> int:
    """The address of a buffer, also of a read-only one, which ctypes' `from_buffer` refuses."""
    buffer = _PyBuffer()
    _get_buffer(ctypes.py_object(view), ctypes.byref(buffer), 0)
    try:
        return int(buffer.buf or 0)
    finally:
        _release_buffer(ctypes.byref(buffer))


class _PyBuffer(ctypes.Structure):
    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


_get_buffer: Any = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = (ctypes.py_object, ctypes.POINTER(_PyBuffer), ctypes.c_int)
_release_buffer: Any = ctypes.pythonapi.PyBuffer_Release
_release_buffer.argtypes = (ctypes.POINTER(_PyBuffer),)


def parse(data: memoryview) -> tuple[int, Buffer, list[Buffer], str]:
    """Format, in-band data, buffers and schema of an object, as views of its bytes.

    Raises `ProtocolError` if the header points outside the object.
    """
    length = int.from_bytes(data[:4], "little")
    region = _aligned(4 + length)
    try:
        if 4 + length > data.nbytes:
            raise ValueError(f"it is said to have {length} bytes, and the object has {data.nbytes}")
        format, schema, spans = _header.read(data[4 : 4 + length])
    except ValueError as error:
        raise ProtocolError(f"the header of an object cannot be read: {error}") from error
    if not _values.RAW <= format <= _values.PRIVATE:
        raise ProtocolError(f"the header of an object names format {format}, which this version does not know")
    parts: list[Buffer] = []
    for offset, size in spans:
        start = region + offset
        if offset % _ALIGN or start + size > data.nbytes:
            raise ProtocolError(f"the header of an object names bytes {start}+{size} of {data.nbytes}")
        parts.append(data[start : start + size])
    end = 0
    for offset, size in sorted(span for span in spans if span[1]):
        if offset < end:
            raise ProtocolError(f"the header of an object names byte {region + offset} twice")
        end = offset + size
    return format, parts[0], parts[1:], schema


def decode(data: memoryview, referrer: _values.Referrer) -> Any:
    """Reads a value in place."""
    format, inband, buffers, schema = parse(data)
    return _values.decode(format, inband, buffers, schema, referrer)


def _aligned(n: int) -> int:
    return (n + _ALIGN - 1) // _ALIGN * _ALIGN
