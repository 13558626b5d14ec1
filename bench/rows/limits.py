"""What the machine allows: bare prototypes with no features, in the language of the rows that they bound.

None of them is a runtime. They say how much further there is to go, in the same run and on the same machine.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from harness import Row, latency, once, rate

STARTS_ITSELF = True

BATCH = 100


def _frame_class() -> Any:
    """A message like those of the session: a batch of operations, each with an id, a function and an argument."""
    file = descriptor_pb2.FileDescriptorProto(name="thornback_bench.proto", package="thornback_bench", syntax="proto3")
    op = file.message_type.add(name="Op")
    for number, name in enumerate(("id", "function", "argument"), start=1):
        op.field.add(name=name, number=number, label=1, type=12)
    frame = file.message_type.add(name="Frame")
    frame.field.add(name="ops", number=1, label=3, type=11, type_name=".thornback_bench.Op")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("thornback_bench.Frame"))


FRAME = _frame_class()


def _send(end: socket.socket, message: Any) -> None:
    data = message.SerializeToString()
    end.sendall(struct.pack(">I", len(data)) + data)


def _receive(end: socket.socket) -> bytes:
    """One frame with its length, or nothing at the end of the stream. Most arrive in one piece."""
    data = end.recv(1 << 16)
    while data and len(data) < 4 + struct.unpack_from(">I", data)[0]:
        more = end.recv(1 << 16)
        if not more:
            return b""
        data += more
    return data


@contextmanager
def relayed() -> Iterator[socket.socket]:
    """A socket to a process that passes frames on to another process, which answers each: driver, node and worker."""
    driver, driver_side = socket.socketpair()
    worker_side, worker = socket.socketpair()
    children = []
    for serve, ends in ((_relay, (driver_side, worker_side)), (_answer, (worker,))):
        if (pid := os.fork()) == 0:
            # Only what it uses, or it would not see the others go.
            for end in {driver, driver_side, worker_side, worker} - set(ends):
                end.close()
            try:
                serve(*ends)
            finally:
                os._exit(0)
        children.append(pid)
    for end in (driver_side, worker_side, worker):
        end.close()
    try:
        yield driver
    finally:
        driver.close()
        for pid in children:
            os.waitpid(pid, 0)


def _relay(near: socket.socket, far: socket.socket) -> None:
    while frame := _receive(near):
        far.sendall(frame)
        near.sendall(_receive(far))


def _answer(end: socket.socket) -> None:
    while frame := _receive(end):
        answer = FRAME.FromString(frame[4:])
        for op in answer.ops:
            op.argument = b"ok"
        _send(end, answer)


def _round_trips(ops: int) -> Callable[[Any], Callable[[], Any]]:
    def setup(_: Any) -> Callable[[], Any]:
        context = relayed()
        end = context.__enter__()
        ids = [os.urandom(16) for _ in range(ops)]

        def round_trip() -> None:
            frame = FRAME()
            for one in ids:
                frame.ops.add(id=one, function=b"small_value")
            _send(end, frame)
            assert len(FRAME.FromString(_receive(end)[4:]).ops) == ops

        # The context lives as long as the function, and ends with it.
        round_trip.context = context  # type: ignore[attr-defined]
        return round_trip

    return setup


def look_ups(_: Any) -> Callable[[], Any]:
    known = {os.urandom(16): i for i in range(1000)}
    keys = list(known)

    def look_up(key: bytes) -> int:
        return known[key]

    def thousand() -> None:
        for key in keys:
            look_up(key)

    return thousand


COPIED = 400 * 1000 * 1000


def _copy_in_two(target: int, source: int) -> None:
    half = COPIED // 2
    # ctypes lets go of the interpreter's lock around the call, so two threads copy at the same time.
    other = threading.Thread(target=ctypes.memmove, args=(target + half, source + half, half))
    other.start()
    ctypes.memmove(target, source, half)
    other.join()


def _block() -> tuple[Any, int]:
    block = mmap.mmap(-1, COPIED, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
    view = (ctypes.c_char * COPIED).from_buffer(block)
    return (block, view), ctypes.addressof(view)


def copy_warm(_: Any) -> Callable[[], Any]:
    held_source, source = _block()
    ctypes.memset(source, 1, COPIED)
    held_target, target = _block()

    def copy(held: Any = (held_source, held_target)) -> None:
        _copy_in_two(target, source)

    return copy


def copy_fresh(_: Any) -> Callable[[], Any]:
    held, source = _block()
    ctypes.memset(source, 1, COPIED)

    def copied(held: Any = held) -> float:
        figures = []
        for _ in range(3):
            held_target, target = _block()
            began = time.perf_counter()
            _copy_in_two(target, source)
            figures.append(COPIED / 1e9 / (time.perf_counter() - began))
            del held_target
        return statistics.median(figures)

    return copied


def fork_and_exec(_: Any) -> Callable[[], Any]:
    def started() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-S", "-c", "pass"], check=True)
        return time.perf_counter() - began

    return lambda: statistics.median(started() for _ in range(5))


def fork_warm(_: Any) -> Callable[[], Any]:
    def forked() -> float:
        began = time.perf_counter()
        ours, theirs = os.pipe()
        if (pid := os.fork()) == 0:
            os.write(theirs, b"1")
            os._exit(0)
        os.read(ours, 1)
        taken = time.perf_counter() - began
        os.waitpid(pid, 0)
        os.close(ours)
        os.close(theirs)
        return taken

    return lambda: statistics.median(forked() for _ in range(20))


ROWS = [
    Row("limit: socket relay, one at a time", "calls/s", _round_trips(1), rate()),
    Row("limit: socket relay, one at a time, p50", "ms", _round_trips(1), latency, "less"),
    Row("limit: socket relay, batches of 100", "calls/s", _round_trips(BATCH), rate(BATCH)),
    Row("limit: look-ups", "calls/s", look_ups, rate(1000)),
    Row("limit: memcpy, two threads, warm", "GB/s", copy_warm, rate(COPIED / 1e9)),
    Row("limit: memcpy, two threads, fresh pages", "GB/s", copy_fresh, once),
    Row("limit: fork and exec of a Python", "s", fork_and_exec, once, "less"),
    Row("limit: fork of a warm Python", "s", fork_warm, once, "less"),
]
