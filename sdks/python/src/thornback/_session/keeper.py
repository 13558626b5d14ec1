"""The thread that does what nobody else is there to do: send what was posted, read what arrives while nobody waits.

It must not cost anything while others do that themselves. So it has three moods:

- *ticking*, while there is traffic: every millisecond it sends what has been lying about and, if nobody reads, reads what is there; every
  five while it has long found nothing of either, because those who post also wait (each tick takes the interpreter's lock, and often a
  processor, from somebody who waits awake: at a thousand a second one call in ten was twice as slow);
- *watching*, after a while without traffic: it sleeps until the socket is readable or it is woken;
- *parked*, the same while another thread reads: it leaves the socket to that thread and waits to be woken only.

`asleep` is true in the last two; whoever posts an operation or stops reading then calls `wake`.
"""

from __future__ import annotations

import os
import select
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from thornback._session.session import Session

_TICK_S: Final = 0.001
_TICKS_BEFORE_SLEEP: Final = 20
_LAZY_TICK_S: Final = 0.005
_TICKS_BEFORE_LAZY: Final = 20
_LAZY_TICKS_BEFORE_SLEEP: Final = 4
_SLEEP_MS: Final = 250
"""Dropped refs and released buffers gather without waking anyone; they are sent at this pace while nothing else happens."""


class Keeper:
    """Belongs to one session and ends with it."""

    def __init__(self, session: Session) -> None:
        self.asleep = False
        self.prompt = 0
        """While above 0 somebody waits without reading (an event loop): the keeper watches and never ticks."""
        self._prompt_lock = threading.Lock()
        self._session = session
        self._stopped = False
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else _pipe()
        self._thread = threading.Thread(target=self._run, name="thornback-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Ends its sleep. Cheap to call twice, safe in any thread."""
        self.asleep = False
        try:
            os.write(self._wake_write, b"\0")
        except OSError:
            pass  # Full: it is being woken already. Closed: there is nothing to wake.

    def be_prompt(self, change: int) -> None:
        """Counts those who wait without reading, up or down."""
        with self._prompt_lock:
            self.prompt += change

    def stop(self) -> None:
        """Ends the thread, and waits for it unless called from it."""
        self._stopped = True
        self.wake()
        if self._thread is not threading.current_thread() and self._thread.is_alive():
            self._thread.join(timeout=5)
        for fd in (self._wake_read, self._wake_write):
            try:
                os.close(fd)
            except OSError:
                pass
        self._wake_read = self._wake_write = -1

    def _run(self) -> None:
        session = self._session
        quiet = needless = 0
        before = (-1, -1)
        heartbeat_s = session.welcome.limits.heartbeat_ms / 1000
        heard, heard_at, pinged = session.received, time.monotonic(), False
        while not self._stopped and session.closed is None:
            lazy = needless >= _TICKS_BEFORE_LAZY
            if quiet < (_LAZY_TICKS_BEFORE_SLEEP if lazy else _TICKS_BEFORE_SLEEP) and not self.prompt:
                time.sleep(_LAZY_TICK_S if lazy else _TICK_S)
                woken = False
            else:
                woken = self._sleep()
            if self._stopped:
                return
            needless += 1
            if woken or session.sendable:
                needless = 0
            try:
                session.flush(block=False)
                if not session.led:
                    received = session.received
                    session.poll()
                    if session.received != received:
                        needless = 0
                    if session.sendable:
                        session.flush(block=False)
            except Exception:
                # The session keeps why it ended and raises it to whoever waits; there is nobody here to tell.
                if session.closed is not None:
                    return
            now = session.position
            quiet = 0 if woken or now != before else quiet + 1
            before = now
            if heartbeat_s:
                if session.received != heard:
                    heard, heard_at, pinged = session.received, time.monotonic(), False
                    continue
                silent_s = time.monotonic() - heard_at
                if silent_s > 3 * heartbeat_s:
                    session.give_up()
                    heard_at, pinged = time.monotonic(), False
                elif silent_s > heartbeat_s and not pinged:
                    session.ping()
                    pinged = True

    def _sleep(self) -> bool:
        """Sleeps until there is something to do. True if somebody asked for it."""
        session = self._session
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        if not session.led:
            try:
                poll.register(session.fileno(), select.POLLIN)
            except (ValueError, OSError):
                return True  # The connection is being resumed.
        self.asleep = True
        # Whoever posts looks at `asleep` after posting, so one of the two sees the other.
        if session.sendable:
            self.asleep = False
            return not self.prompt
        ready = poll.poll(_SLEEP_MS)
        self.asleep = False
        woken = False
        for fd, _events in ready:
            if fd == self._wake_read:
                woken = True
                try:
                    os.read(self._wake_read, 4096)
                except OSError:
                    pass
        return woken


def _pipe() -> tuple[int, int]:
    """`os.pipe2` for systems without it."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    return read, write
