"""What the keeper sleeps on: bytes to read while nobody reads, and being woken. It knows descriptors alone, and reads none but its own.

Threads begin and end to read with each message, and to tell a sleeping keeper must cost little. So the system is told which of the two it
is (one call, which wakes nobody), and the keeper is woken only by bytes that come while nobody reads.
"""

from __future__ import annotations

import os
import select
from typing import Any, Final

# Once it was told of something, the system says nothing more until it is asked again: not even of an end, which it tells whether or not
# it was asked to.
_QUIET: Final = getattr(select, "EPOLLONESHOT", 0)
_ALERT: Final = _QUIET | getattr(select, "EPOLLIN", 0)


class Watch:
    """Belongs to one keeper, which alone sleeps; the rest may be called in any thread."""

    def __init__(self) -> None:
        self.alert = False
        """Bytes that come end the sleep, so whoever begins to read calls `ignore`."""
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else _pipe()
        self._epoll: Any = select.epoll() if hasattr(select, "epoll") else None
        self.live = self._epoll is not None
        """What it is told while somebody sleeps holds at once, and not only for the next sleep."""
        self._watched = -1
        if self._epoll is not None:
            self._epoll.register(self._wake_read, select.EPOLLIN)

    def wake(self) -> None:
        """Ends the sleep, or the next one. Cheap to call twice."""
        try:
            os.write(self._wake_write, b"\0")
        except OSError:
            pass  # Full: it is being woken already. Closed: there is nothing to wake.

    def attend(self, fileno: int) -> None:
        """From here on bytes that come there end the sleep, once. Raises `ValueError` or `OSError` if it is closed."""
        self.alert = True
        self._watched = fileno
        if fileno < 0:
            raise ValueError("the connection is closed")
        if self._epoll is not None:
            try:
                self._epoll.modify(fileno, _ALERT)
            except FileNotFoundError:
                # Another connection, or the first.
                self._epoll.register(fileno, _ALERT)

    def attend_again(self) -> bool:
        """Attends to the same as before. False if that is closed."""
        self.alert = True
        if self._epoll is None:
            return self._watched >= 0
        try:
            self._epoll.modify(self._watched, _ALERT)
        except (ValueError, OSError):
            return False
        return True

    def ignore(self) -> None:
        """Bytes end the sleep no more."""
        self.alert = False
        if self._epoll is not None:
            try:
                self._epoll.modify(self._watched, _QUIET)
            except (ValueError, OSError):
                pass  # Nothing is watched, or it is closed.

    def sleep(self, seconds: float) -> bool:
        """Until there is something to do. True if somebody asked for it."""
        if self._epoll is not None:
            ready = self._epoll.poll(seconds)
        else:
            poll = select.poll()
            poll.register(self._wake_read, select.POLLIN)
            if self.alert and self._watched >= 0:
                poll.register(self._watched, select.POLLIN)
            ready = poll.poll(seconds * 1000)
        if all(fileno != self._wake_read for fileno, _events in ready):
            return False
        try:
            os.read(self._wake_read, 4096)
        except OSError:
            pass
        return True

    def close(self) -> None:
        """Nobody sleeps any more."""
        for fileno in (self._wake_read, self._wake_write):
            try:
                os.close(fileno)
            except OSError:
                pass
        self._wake_read = self._wake_write = -1
        if self._epoll is not None:
            self._epoll.close()


def _pipe() -> tuple[int, int]:
    """`os.pipe2` for systems without it."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    return read, write
