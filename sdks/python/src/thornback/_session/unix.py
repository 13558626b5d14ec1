"""Frames over a Unix socket: a 4-byte big-endian length, then the frame. Descriptors of arenas come beside them."""

from __future__ import annotations

import array
import os
import select
import socket
from collections import deque
from math import ceil
from struct import Struct
from time import monotonic_ns

from thornback._errors import Code
from thornback._session.carrier import CarrierLostError

_BUFFER_BYTES = 256 * 1024
_TIMEVAL = Struct("@ll")
# As plain numbers: to join two flags of an enumeration takes longer than a small frame.
_WAIT = int(socket.MSG_CMSG_CLOEXEC)
_NO_WAIT = int(socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT)
_ANCILLARY_BYTES = socket.CMSG_SPACE(16 * array.array("i").itemsize)

# Nanoseconds. See `_wait_awake`.
_AWAKE_MAX = 100_000
_CLOSE = 2 * _AWAKE_MAX
# Longer than driver, node or worker keeps a processor for its own part of a call, which they share where there are two.
_CROWDED = 60_000


class UnixCarrier:
    """A connected Unix stream socket."""

    shared_memory = True

    def __init__(self, sock: socket.socket) -> None:
        self.frames: deque[bytes] = deque()
        self.descriptors: deque[int] = deque()
        self.torn = False
        self.frame_bytes_max = 4 * 1024 * 1024
        self._sock = sock
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._partial = bytearray()
        # Whether the last wait was a short one.
        self._close = False
        # See `_receive`.
        self._received: deque[tuple[int, list[tuple[int, int, bytes]], int, object]] = deque()

    @classmethod
    def connect(cls, path: str) -> UnixCarrier:
        """Connects to the socket at a path. Raises `OSError`."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            sock.connect(path)
        except BaseException:
            sock.close()
            raise
        return cls(sock)

    def fileno(self) -> int:
        return self._sock.fileno()

    def fill(self, timeout: float | None) -> None:
        if not self._received:
            if timeout is not None and timeout <= 0:
                self._receive(_NO_WAIT)
            else:
                begun = monotonic_ns()
                if not (self._close and self._wait_awake(begun)):
                    self._wait_asleep(timeout)
                self._close = monotonic_ns() - begun < _CLOSE
            if not self._received:
                return
        self.torn = True
        size, ancillary, _flags, _address = self._received[0]
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
                self.descriptors.extend(numbers)
        if size == 0:
            raise CarrierLostError("the node closed the connection")
        view = self._view
        if not self._partial and int.from_bytes(view[:4], "big") == size - 4 <= self.frame_bytes_max:
            # One frame and nothing else, as the answer of a call is.
            self.frames.append(bytes(view[4:size]))
        else:
            self._cut(size)
        self._received.clear()
        self.torn = False

    def _wait_asleep(self, timeout: float | None) -> None:
        """Receives once there is something; after `timeout` seconds (None: never) it gives up."""
        if timeout is None:
            self._receive(_WAIT)
        else:
            # The kernel waits in whole milliseconds; rounded down, the last one would be spent spinning.
            self._poll.poll(ceil(timeout * 1000))
            self._receive(_NO_WAIT)

    def _wait_awake(self, now: int) -> bool:
        """Looks for something for a moment, and says whether it came.

        Only where the wait before was short, as when each call waits for the one before. Asleep, the processor would take longer to wake
        up than the node takes for the call (the node does the same, see `server/node/src/patience.rs`). Whoever else wants the processor
        gets it at each look, and if somebody kept it for longer than a part of the call takes, it is theirs.
        """
        end = now + _AWAKE_MAX
        looked = now
        # What was sent right before cannot have been answered yet, and a look in vain takes three times as long as to offer the processor.
        os.sched_yield()
        while not self._receive(_NO_WAIT):
            now = monotonic_ns()
            if now > end or now - looked > _CROWDED:
                return False
            looked = now
            os.sched_yield()
        return True

    def _receive(self, flags: int) -> bool:
        """Receives what there is into `_received`. False if there is nothing, and the flags say not to wait for it."""
        try:
            # A handler of a signal (Ctrl-C) runs between byte code instructions and may raise there. `extend` and `map` make
            # receiving and keeping one instruction: either nothing was taken from the socket, or it is in `_received`.
            self._received.extend(map(self._sock.recvmsg_into, ((self._view,),), (_ANCILLARY_BYTES,), (flags,)))
        except BlockingIOError:
            return False
        except OSError as error:
            raise CarrierLostError(f"the connection to the node failed: {error}") from None
        return True

    def _cut(self, size: int) -> None:
        """Takes whole frames out of what was received; keeps the rest."""
        if self._partial:
            self._partial += self._view[:size]
            data: bytearray | memoryview = self._partial
            size = len(data)
        else:
            data = self._view
        start = 0
        while size - start >= 4:
            length = int.from_bytes(data[start : start + 4], "big")
            if length > self.frame_bytes_max:
                raise CarrierLostError(
                    f"the node announced a frame of {length} bytes, and the limit is {self.frame_bytes_max}", Code.FRAME_TOO_LARGE
                )
            end = start + 4 + length
            if end > size:
                break
            self.frames.append(bytes(data[start + 4 : end]))
            start = end
        if start or data is self._view:
            self._partial = bytearray(data[start:size])

    def send(self, body: bytes) -> None:
        try:
            self._sock.sendall(len(body).to_bytes(4, "big") + body)
        except OSError as error:
            raise CarrierLostError(f"the connection to the node failed: {error}") from None

    def limit_sends(self, seconds: float) -> None:
        # By the kernel, since a timeout of the socket object would hold for the thread that receives as well.
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.pack(int(seconds), int(seconds % 1 * 1e6)))
        except OSError:
            pass  # Closed already.

    def close(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._sock.close()
        while self.descriptors:
            os.close(self.descriptors.popleft())
