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
import sys
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
_PIECE: Final = 16 * 1024 * 1024
"""An arena is looked at by pieces of this size: whether memory is there, and whether the page table knows it."""
_PAGE: Final = mmap.PAGESIZE
_POPULATE_READ: Final = 22
"""MADV_POPULATE_READ, which `mmap` has no name for."""


class Arenas:
    """The arenas that the node announced to one session."""

    def __init__(self) -> None:
        self._readable: dict[int, mmap.mmap] = {}
        self._writable: dict[int, _Writable] = {}

    def add(self, number: int, size: int, writable: bool, descriptor: int) -> None:
        """Maps an arena and takes its descriptor over."""
        known = self._writable if writable else self._readable
        try:
            if number in known:
                os.close(descriptor)  # Of a frame that came again.
            elif writable:
                self._writable[number] = _Writable(descriptor, size)
            else:
                # Private, and writable by this process's page tables only: ctypes makes arrays of nothing less. Every view of it that
                # is handed out is read-only, and what others write is seen.
                self._readable[number] = mmap.mmap(
                    descriptor, size, flags=mmap.MAP_PRIVATE | _MAP_NORESERVE, prot=mmap.PROT_READ | mmap.PROT_WRITE
                )
                os.close(descriptor)
        except BaseException:
            os.close(descriptor)
            raise

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

    def write(self, number: int, offset: int, size: int) -> Room:
        """The room of an object that this session is creating."""
        arena = self._writable.get(number)
        if arena is None:
            raise ProtocolError(f"the node gave room in arena {number}, which it has not announced for writing")
        if size <= 0 or offset < 0 or offset + size > len(arena.map):
            raise ProtocolError(f"the node gave room at {offset}+{size} of an arena of {len(arena.map)} bytes")
        return Room(memoryview(arena.map)[offset : offset + size], arena, offset)


class _Writable:
    """An arena to write to. Its descriptor stays open as long as somebody writes: closed sooner, its number could stand for a file of the
    user's."""

    __slots__ = ("descriptor", "map", "mapped")

    def __init__(self, descriptor: int, size: int) -> None:
        self.map = mmap.mmap(descriptor, size)
        self.descriptor = descriptor
        self.mapped: set[int] = set()
        """Pieces of the arena that this process's page tables know; no more than a guess, since the node may take memory back."""

    def alike(self, offset: int, address: int, start: int, size: int) -> tuple[bool, int]:
        """How much of `size` bytes at `offset` of the arena and at `address`, counted from `start`, is there already, or is not: whether
        it is not, and where it ends. What is there is in this process's page table afterwards."""
        fresh: bool | None = None
        while start < size:
            number = (offset + start) // _PIECE
            end = min(size, (number + 1) * _PIECE - offset)
            missing = not (_is_resident(address + start) and _is_resident(address + end - 1))
            if fresh is None:
                fresh = missing
            elif missing is not fresh:
                break
            if not missing and number not in self.mapped:
                self._enter(number, address + start, end - start)
            start = end
        return bool(fresh), start

    def write(self, offset: int, address: int, data: memoryview) -> bool:
        """Fills a range where no memory is yet: through the descriptor, a page is made and filled at once, while through the map the
        processor stops at each, and the page is filled with zeros first. False if the descriptor refuses."""
        done = 0
        try:
            while done < data.nbytes:
                end = min(data.nbytes, ((offset + done) // _PIECE + 1) * _PIECE - offset)
                done += os.pwrite(self.descriptor, data[done:end], offset + done)
        except OSError:
            return False
        done = 0
        while done < data.nbytes:
            number = (offset + done) // _PIECE
            end = min(data.nbytes, (number + 1) * _PIECE - offset)
            self._enter(number, address + done, end - done)
            done = end
        return True

    def _enter(self, number: int, address: int, size: int) -> None:
        """Enters memory that is there into this process's page table: all of it at once takes a third of the time that it takes when the
        processor stops at each page."""
        _populate(address, size)
        if size == _PIECE:
            self.mapped.add(number)

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


class Room:
    """Bytes to be filled: of an object in an arena, or of this process's own memory."""

    __slots__ = ("_arena", "_offset", "view")

    def __init__(self, view: memoryview, arena: _Writable | None = None, offset: int = 0) -> None:
        """`offset` is where in the arena the view begins."""
        self.view = view
        self._arena = arena
        self._offset = offset

    def put(self, at: int, source: Buffer) -> None:
        """Copies bytes to a position; many with two threads, since one does not fill the memory bus."""
        source = memoryview(source).cast("B")
        size = source.nbytes
        if size < _TWO_THREADS_FROM:
            self.view[at : at + size] = source
            return
        half = size // 2 // _PAGE * _PAGE
        failures: list[BaseException] = []
        stop: list[bool] = []

        def help() -> None:
            try:
                self._put_part(at + half, source[half:], stop)
            except BaseException as error:
                failures.append(error)

        helper = threading.Thread(target=help, name="thornback-copy", daemon=True)
        helper.start()
        try:
            self._put_part(at, source[:half], stop)
        except BaseException as error:
            failures.append(error)
        while helper.is_alive():
            try:
                helper.join()
            except BaseException as error:
                # Ctrl-C or a cancel. Only once nobody writes any more may the room be given to somebody else.
                failures.append(error)
                stop.append(True)
        if failures:
            raise failures[0]

    def _put_part(self, at: int, source: memoryview, stop: list[bool]) -> None:
        """Copies without the interpreter's lock, as much at once as can be copied in one way, until it is told to stop."""
        arena, done = self._arena, 0
        base = _address(self.view) + at
        while done < source.nbytes and not stop:
            fresh, end = False, source.nbytes
            if arena is not None:
                fresh, end = arena.alike(self._offset + at, base, done, source.nbytes)
            part = source[done:end]
            if not (fresh and arena is not None and arena.write(self._offset + at + done, base + done, part)):
                ctypes.memmove(base + done, _address(part), part.nbytes)
            done = end


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


def fill(room: Room, where: Layout, value: Encoded) -> None:
    """Writes an encoded value into its room."""
    room.put(0, where.head)
    parts: list[Buffer] = [value.data, *value.buffers]
    for offset, part in zip(where.offsets, parts, strict=True):
        room.put(offset, part)


def serialise(where: Layout, value: Encoded) -> bytearray:
    """The bytes of an object, for a carrier without shared memory."""
    out = bytearray(where.size)
    fill(Room(memoryview(out)), where, value)
    return out


def _is_resident(address: int) -> bool:
    """Whether the page at an address is in memory."""
    vector = ctypes.c_ubyte()
    return _mincore is None or _mincore(address // _PAGE * _PAGE, 1, ctypes.byref(vector)) != 0 or bool(vector.value & 1)


def _populate(address: int, size: int) -> None:
    """Enters what memory there is into the page table. A kernel that cannot (before Linux 5.14) does it at each first touch."""
    first = address // _PAGE * _PAGE
    if _madvise is not None:
        _madvise(first, address + size - first, _POPULATE_READ)


_mincore: Any = getattr(ctypes.CDLL(None), "mincore", None)
if _mincore is not None:
    _mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
_madvise: Any = getattr(ctypes.CDLL(None), "madvise", None) if sys.platform == "linux" else None
if _madvise is not None:
    _madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


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
