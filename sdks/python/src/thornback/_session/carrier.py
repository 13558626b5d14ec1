"""What a carrier does: whole frames in and out, nothing about what they mean."""

from __future__ import annotations

from collections import deque
from typing import Protocol


class CarrierLostError(Exception):
    """The connection is gone. The session decides whether to resume; users never see this."""

    def __init__(self, text: str, code: int = 0) -> None:
        """`code` is one of the registry's if one side refused the other with it, and there is nothing to try again."""
        super().__init__(text)
        self.code = code


class Carrier(Protocol):
    """One connection.

    One thread at a time receives and one thread at a time sends; the session sees to that. `fill` followed by `frames` is split in
    two so that a signal handler that raises during the wait (Ctrl-C) cannot take a received frame with it.
    """

    frames: deque[bytes]
    """Frames received and not yet handled, oldest first. `fill` appends; the session removes each once it is handled."""
    descriptors: deque[int]
    """File descriptors that came with the frames, in order."""
    torn: bool
    """An exception (Ctrl-C) left `fill` in the middle of cutting frames: what was received is no longer known."""
    shared_memory: bool
    """Whether the peer is on this machine and can pass descriptors."""

    frame_bytes_max: int
    """Longer frames are refused. The session lowers it to what was agreed."""

    def fileno(self) -> int:
        """Readable when `fill` has something to take."""
        ...

    def fill(self, timeout: float | None) -> None:
        """Waits for bytes (None: for ever, 0: not at all) and appends what frames they complete.

        Raises `CarrierLostError` at the end of the connection.
        """
        ...

    def send(self, body: bytes) -> None:
        """Sends one frame. Raises `CarrierLostError` if the connection is gone."""
        ...

    def limit_sends(self, seconds: float) -> None:
        """From here on a `send` that gets nowhere for so long finds the connection gone."""
        ...

    def close(self) -> None:
        """Closes; wakes no one. Idempotent."""
        ...
