"""Shared memory: large copies, by two threads and both ways, and who holds its descriptors."""

from __future__ import annotations

import ctypes
import os
import random
import threading

import pytest

from tests.unit.peer import memory
from thornback import _arena, _errors, _values

MIB = 1 << 20
SIZE = 64 * MIB


@pytest.fixture
def arenas() -> _arena.Arenas:
    arenas = _arena.Arenas()
    descriptor, readable = memory(SIZE)
    arenas.add(1, SIZE, True, descriptor)
    arenas.add(1, SIZE, False, readable)
    return arenas


def read(arenas: _arena.Arenas, offset: int, size: int) -> bytes:
    return bytes(arenas.read(1, offset, size, lambda: None))


@pytest.mark.parametrize("at", [0, 1, 64, 4095])
@pytest.mark.parametrize("size", [8 * MIB - 1, 8 * MIB, 20 * MIB + 12345])
def test_a_large_copy_is_whole_in_fresh_and_in_used_memory(arenas: _arena.Arenas, at: int, size: int) -> None:
    for seed in (1, 2, 3):
        content = random.Random(seed).randbytes(size)
        room = arenas.write(1, 4096, 32 * MIB)
        room.put(at, content)
        assert read(arenas, 4096 + at, size) == content
        assert read(arenas, 0, 4096) == bytes(4096), "nothing before it was touched"
        assert not any(read(arenas, 4096 + at + size, 4096)), "nor after it"


def test_memory_that_is_not_there_yet_is_written_through_the_descriptor(arenas: _arena.Arenas, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way is chosen piece by piece, by whether there is memory already."""
    written: list[tuple[int, int]] = []
    pwrite = os.pwrite

    def noted(descriptor: int, data: memoryview, offset: int) -> int:
        written.append((offset, len(data)))
        return pwrite(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", noted)
    monkeypatch.setattr(_arena, "_PIECE", 4 * MIB)
    content = bytes(range(256)) * (15 * MIB // 256)
    room = arenas.write(1, MIB, 16 * MIB)
    room.view[: 3 * MIB] = bytes(3 * MIB)
    room.put(0, content)
    # The first piece of each half, up to the arena's next multiple of 4 MiB, tells how the rest of it is copied.
    half = 15 * MIB // 2
    assert sum(size for _, size in written) == 15 * MIB - 3 * MIB
    assert min(offset for offset, _ in written) == 4 * MIB
    assert MIB + half in [offset for offset, _ in written], "the second half"
    assert read(arenas, MIB, 15 * MIB) == content
    written.clear()
    room.put(0, content[::-1])
    assert not written
    assert read(arenas, MIB, 15 * MIB) == content[::-1]


def test_a_descriptor_that_cannot_be_written_is_no_obstacle(arenas: _arena.Arenas, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "pwrite", refused)
    content = random.Random(5).randbytes(9 * MIB)
    arenas.write(1, 0, 16 * MIB).put(7, content)
    assert read(arenas, 7, len(content)) == content


def test_an_interrupted_copy_has_ended_when_the_exception_comes(arenas: _arena.Arenas, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is told that the copy failed may give the room to somebody else: no thread writes it any more."""
    main = threading.get_ident()
    writing = 0
    entered = threading.Event()
    memmove = ctypes.memmove

    def interrupted(to: int, source: int, size: int) -> object:
        nonlocal writing
        if threading.get_ident() == main:
            assert entered.wait(30)
            raise KeyboardInterrupt
        writing += 1
        entered.set()
        try:
            return memmove(to, source, size)
        finally:
            writing -= 1

    monkeypatch.setattr(os, "pwrite", lambda *args: (_ for _ in ()).throw(OSError()))
    monkeypatch.setattr(ctypes, "memmove", interrupted)
    with pytest.raises(KeyboardInterrupt):
        arenas.write(1, 0, 48 * MIB).put(0, bytes(48 * MIB))
    assert writing == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "thornback-copy"]


def test_a_failure_of_the_helping_thread_is_raised(arenas: _arena.Arenas, monkeypatch: pytest.MonkeyPatch) -> None:
    main = threading.get_ident()
    memmove = ctypes.memmove
    failed = threading.Event()

    def failing(to: int, source: int, size: int) -> object:
        if threading.get_ident() == main:
            assert failed.wait(30)
            return memmove(to, source, size)
        failed.set()
        raise MemoryError("in the other thread")

    monkeypatch.setattr(os, "pwrite", lambda *args: (_ for _ in ()).throw(OSError()))
    monkeypatch.setattr(ctypes, "memmove", failing)
    with pytest.raises(MemoryError, match="other thread"):
        arenas.write(1, 0, 16 * MIB).put(0, bytes(16 * MIB))


def test_a_room_keeps_its_descriptor_open(arenas: _arena.Arenas) -> None:
    """Closed under a copy, its number could be that of a file of the user's by then."""
    room = arenas.write(1, 0, 16 * MIB)
    descriptor = arenas._writable[1].descriptor
    file = os.fstat(descriptor)
    arenas._writable.clear()
    assert os.path.samestat(os.fstat(descriptor), file)
    room.put(0, b"\1" * (8 * MIB))
    assert read(arenas, 0, 8 * MIB) == b"\1" * (8 * MIB)
    del room
    with pytest.raises(OSError):
        os.fstat(descriptor)


def test_an_arena_that_is_announced_twice_is_mapped_once(arenas: _arena.Arenas) -> None:
    first = arenas._writable[1]
    for writable in (True, False):
        descriptor, readable = memory(4096)
        ours, other = (descriptor, readable) if writable else (readable, descriptor)
        arenas.add(1, 4096, writable, ours)
        os.close(other)
        with pytest.raises(OSError):
            os.fstat(ours)
    assert arenas._writable[1] is first
    arenas.write(1, 0, SIZE)


@pytest.mark.parametrize(("offset", "size"), [(0, 0), (-64, 128), (0, SIZE + 1), (SIZE, 1), (SIZE - 63, 64), (1 << 63, 1 << 63)])
def test_a_place_outside_the_arena_is_refused(arenas: _arena.Arenas, offset: int, size: int) -> None:
    with pytest.raises(_errors.ProtocolError):
        arenas.write(1, offset, size)
    with pytest.raises(_errors.ProtocolError):
        arenas.read(1, offset, size, lambda: None)


def test_an_object_is_read_where_it_was_written_and_released_with_its_last_view(arenas: _arena.Arenas) -> None:
    released: list[int] = []
    value = _values.Encoded(_values.PRIVATE, b"in band", [memoryview(bytes(100)), memoryview(b"x" * (9 * MIB))], schema="python/pickle5")
    where = _arena.layout(value)
    _arena.fill(arenas.write(1, 128, where.size), where, value)
    format, inband, buffers, schema = _arena.parse(arenas.read(1, 128, where.size, lambda: released.append(1)))
    assert (format, schema, bytes(inband)) == (_values.PRIVATE, "python/pickle5", b"in band")
    assert [bytes(buffer) for buffer in buffers] == [bytes(100), b"x" * (9 * MIB)]
    assert all(memoryview(buffer).readonly for buffer in buffers)
    assert not released
    del inband, buffers[0]
    assert not released
    buffers.clear()
    assert released == [1]
