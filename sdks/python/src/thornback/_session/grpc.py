"""Frames over a gRPC stream: the carrier that works between any two machines. Needs ``thornback[grpc]``.

A thread of its own takes frames off the stream, because grpcio has no descriptor to wait on, and makes a pair of sockets readable
instead, so that the session can treat both carriers alike.
"""

from __future__ import annotations

import queue
import select
import socket
import threading
from collections import deque
from collections.abc import Iterator
from math import ceil, inf
from typing import Any, Final

import grpc

from thornback._errors import Code
from thornback._session.carrier import CarrierLostError

_METHOD: Final = "/thornback.v1.Session/Connect"
_CONNECT_TIMEOUT_S: Final = 10.0
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 5 * 1024 * 1024),
    ("grpc.max_send_message_length", 5 * 1024 * 1024),
    # An h2 server refuses the authority that grpcio makes of a socket's path.
    ("grpc.default_authority", "localhost"),
)
_QUEUED_FRAMES_MAX: Final = 64
"""Frames handed to grpcio and not yet sent; beyond, `send` waits, as it would on a full socket."""

_REFUSALS: Final = {
    grpc.StatusCode.UNAUTHENTICATED: Code.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED: Code.PERMISSION_DENIED,
}
"""Statuses that say something about who we are, and not about the connection."""


class GrpcCarrier:
    """A connected stream."""

    shared_memory = False

    def __init__(self, target: str, token: str) -> None:
        """Connects. Raises `OSError` if nobody answers."""
        self.frames: deque[bytes] = deque()
        self.descriptors: deque[int] = deque()
        self.torn = False
        self.frame_bytes_max = 4 * 1024 * 1024
        self._outgoing: queue.Queue[bytes | None] = queue.Queue(_QUEUED_FRAMES_MAX)
        self._arrived: deque[bytes] = deque()
        self._lost: str | None = None
        self._code = 0
        self._closed = False
        self._send_s = inf
        self._signal, self._signalled = socket.socketpair()
        self._signal.setblocking(False)
        self._signalled.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._signalled, select.POLLIN)
        self._channel = grpc.insecure_channel(target, options=_OPTIONS)
        try:
            grpc.channel_ready_future(self._channel).result(timeout=_CONNECT_TIMEOUT_S)
        except grpc.FutureTimeoutError:
            self._channel.close()
            raise ConnectionRefusedError(f"nobody answered at {target} within {_CONNECT_TIMEOUT_S:.0f} s") from None
        metadata = [("authorization", f"Bearer {token}")] if token else []
        # Frames are serialised by the session; the stream passes bytes on.
        stream: Any = self._channel.stream_stream(_METHOD, request_serializer=None, response_deserializer=None)
        self._stream = stream(self._requests(), metadata=metadata)
        threading.Thread(target=self._receive, name="thornback-grpc", daemon=True).start()

    def _requests(self) -> Iterator[bytes]:
        while (body := self._outgoing.get()) is not None:
            yield body

    def _receive(self) -> None:
        try:
            for body in self._stream:
                self._arrived.append(body)
                self._raise_signal()
            self._lost = "the node ended the stream"
        except grpc.RpcError as error:
            details = error.details() if hasattr(error, "details") else str(error)
            status = error.code() if hasattr(error, "code") else None
            self._code = _REFUSALS.get(status, 0) if status is not None else 0
            self._lost = details if self._code else f"the connection to the node failed: {details}"
        self._raise_signal()

    def _raise_signal(self) -> None:
        try:
            self._signal.send(b"\0")
        except OSError:
            pass  # Full: it is readable already. Closed: nobody waits.

    def fileno(self) -> int:
        return self._signalled.fileno()

    def fill(self, timeout: float | None) -> None:
        if not self._arrived and self._lost is None and timeout != 0:
            self._poll.poll(None if timeout is None else ceil(timeout * 1000))
        try:
            self._signalled.recv(65536)
        except BlockingIOError:
            pass
        except OSError as error:
            raise CarrierLostError(f"the connection is closed: {error}") from None
        while self._arrived:
            # Seen twice after an exception of a signal handler between the two, it is recognised by its number.
            self.frames.append(self._arrived[0])
            self._arrived.popleft()
        if self._lost is not None and not self.frames:
            raise CarrierLostError(self._lost, self._code)

    def send(self, body: bytes) -> None:
        if self._closed:
            raise CarrierLostError("the connection is closed")
        waited = 0.0
        while waited < self._send_s:
            if self._lost is not None:
                raise CarrierLostError(self._lost, self._code)
            try:
                self._outgoing.put(body, timeout=0.1)
                return
            except queue.Full:
                waited += 0.1
        raise CarrierLostError(f"the node took nothing for {self._send_s:g} s")

    def limit_sends(self, seconds: float) -> None:
        self._send_s = seconds

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            # What was sent last, a goodbye above all, goes out before the stream is cut.
            self._outgoing.put(None, timeout=0.1)
        except queue.Full:
            self._stream.cancel()
        threading.Thread(target=self._close_channel, daemon=True).start()

    def _close_channel(self) -> None:
        try:
            self._stream.result(timeout=1)
        except Exception:
            pass
        self._channel.close()
        self._signal.close()
        self._signalled.close()
