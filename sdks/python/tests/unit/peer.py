"""The other end of a session, played by the test: it reads what the client sent and says what the test wants."""

from __future__ import annotations

import array
import contextlib
import os
import select
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from thornback._gen import session_pb2
from thornback._runtime import Runtime
from thornback._session.carrier import Carrier
from thornback._session.unix import UnixCarrier

DEADLINE_MS = 30_000


class Peer:
    """A node that does nothing by itself, but welcome whoever connects."""

    def __init__(self, **limits: int) -> None:
        self.limits = {"frame_bytes": 4 << 20, "inline_bytes": 100 * 1024, "window_bytes": 8 << 20, "grace_ms": 5000} | limits
        self.hellos: list[session_pb2.Hello] = []
        self.frames: list[session_pb2.ClientFrame] = []
        self.resumes = True
        self.taken = 0
        self._welcomed = 0
        self._changed = threading.Condition()
        self._ops: deque[Any] = deque()
        self._seq = 0
        self._buffer = b""
        self._sock: socket.socket | None = None

    # What the client calls to connect.
    def connect(self) -> Carrier:
        ours, theirs = socket.socketpair()
        self._sock = ours
        self._buffer = b""
        threading.Thread(target=self._welcome, args=(ours,), daemon=True).start()
        return UnixCarrier(theirs)

    def _welcome(self, sock: socket.socket) -> None:
        frame = self._read_frame()
        assert frame is not None
        hello = frame.ops[0].hello
        self.hellos.append(hello)
        welcome = session_pb2.Welcome(version=1, features=list(hello.features), session=b"s" * 16, secret=b"t" * 16, namespace="test")
        for name, value in self.limits.items():
            setattr(welcome.limits, name, value)
        if hello.HasField("resume"):
            welcome.resumed = self.resumes
            welcome.ack = self.taken
        self._write(session_pb2.ServerFrame(ops=[session_pb2.ServerOp(welcome=welcome)]))
        with self._changed:
            self._welcomed += 1
            self._changed.notify_all()

    def wait_for_hello(self, count: int) -> None:
        """Waits until the client has connected so many times and been welcomed."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._welcomed >= count, DEADLINE_MS / 1000), "the client did not connect again"

    def _read_frame(self) -> session_pb2.ClientFrame | None:
        """The next frame; None at the end of the connection."""
        assert self._sock is not None
        while True:
            if len(self._buffer) >= 4:
                (size,) = struct.unpack(">I", self._buffer[:4])
                if len(self._buffer) >= 4 + size:
                    body, self._buffer = self._buffer[4 : 4 + size], self._buffer[4 + size :]
                    return session_pb2.ClientFrame.FromString(body)
            poll = select.poll()
            poll.register(self._sock, select.POLLIN)
            assert poll.poll(DEADLINE_MS), "the client says nothing"
            data = self._sock.recv(1 << 20)
            if not data:
                return None
            self._buffer += data

    def frame(self) -> session_pb2.ClientFrame:
        """The next frame of the client that counts."""
        while True:
            frame = self._read_frame()
            assert frame is not None, "the client closed the connection"
            self.frames.append(frame)
            if frame.seq:
                self.taken = frame.seq
                return frame

    def uncounted(self) -> session_pb2.ClientFrame:
        """The next frame, which must not count."""
        frame = self._read_frame()
        assert frame is not None
        assert frame.seq == 0
        self.frames.append(frame)
        return frame

    def op(self, kind: str) -> Any:
        """The next operation of that kind. Those before it are skipped, except that drops and releases may come at any time."""
        while True:
            while self._ops:
                op = self._ops.popleft()
                if op.WhichOneof("op") == kind:
                    return getattr(op, kind)
            self._ops.extend(self.frame().ops)

    def ended(self) -> bool:
        """Whether the client closes the connection, after whatever it still says."""
        while True:
            frame = self._read_frame()
            if frame is None:
                return True
            self.frames.append(frame)

    def say(self, *ops: session_pb2.ServerOp, descriptors: list[int] | None = None, counted: bool = True) -> None:
        """Sends one frame."""
        if counted:
            self._seq += 1
        self._write(session_pb2.ServerFrame(seq=self._seq if counted else 0, ack=self.taken, ops=ops), descriptors)

    def say_again(self, seq: int, *ops: session_pb2.ServerOp, descriptors: list[int] | None = None) -> None:
        """Sends a frame under a number of its own."""
        self._write(session_pb2.ServerFrame(seq=seq, ack=self.taken, ops=ops), descriptors)

    def _write(self, frame: session_pb2.ServerFrame, descriptors: list[int] | None = None) -> None:
        assert self._sock is not None
        body = frame.SerializeToString()
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        self._sock.sendmsg([struct.pack(">I", len(body)) + body], ancillary)

    def send_bytes(self, body: bytes, length: int | None = None) -> None:
        """Sends a frame of these bytes, which may be none, under a length that may lie."""
        self.send_raw(struct.pack(">I", len(body) if length is None else length) + body)

    def send_raw(self, data: bytes) -> None:
        """Sends bytes."""
        assert self._sock is not None
        self._sock.sendall(data)

    def cut(self) -> None:
        """Breaks the connection."""
        assert self._sock is not None
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


def completion(object: bytes, **outcome: Any) -> session_pb2.ServerOp:
    """`Completion` with `data` (MessagePack), `failure` or `stored`."""
    op = session_pb2.ServerOp()
    op.completion.object = object
    if "data" in outcome:
        op.completion.value.format = 2
        op.completion.value.data = outcome["data"]
    elif "stored" in outcome:
        op.completion.stored = outcome["stored"]
    else:
        op.completion.failure.CopyFrom(outcome["failure"])
    return op


def runtime_of(peer: Peer, **hello: Any) -> Runtime:
    """A driver's runtime that talks to the peer."""
    runtime = Runtime(peer.connect, session_pb2.Hello(role=session_pb2.ROLE_DRIVER, features=["shared-memory"], **hello))
    runtime.start()
    return runtime


def in_thread(call: Callable[[], Any]) -> Callable[[], Any]:
    """Starts a call that waits; what it returns gives the result, or raises what the call raised."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append((call(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result() -> Any:
        thread.join(DEADLINE_MS / 1000)
        assert not thread.is_alive(), "the call hangs"
        value, error = outcome[0]
        if error is not None:
            raise error
        return value

    return result


def memory(size: int) -> tuple[int, int]:
    """Anonymous memory as the node makes arenas of it: a descriptor to write, one that can only be read."""
    descriptor = os.memfd_create("arena")
    os.truncate(descriptor, size)
    return descriptor, os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)
