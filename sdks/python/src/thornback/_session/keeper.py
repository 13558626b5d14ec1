"""The thread that does what nobody else is there to do: send what was posted, read what arrives while nobody waits.

It must not cost anything while others do that themselves. So it has three moods:

- *ticking*, while there is traffic: every millisecond it sends what has been lying about and, if nobody reads, reads what is there; every
  five while it has long found nothing of either, because those who post also wait (each tick takes the interpreter's lock, and often a
  processor, from somebody who waits awake: at a thousand a second one call in ten was twice as slow);
- *resting*, while operations are sent as they are posted (:mod:`.habit`): then only what arrives while nobody waits is left to it, and
  it looks every 25 milliseconds, or when the habit ends;
- *asleep*, once it has looked in vain as often as there was traffic before, and at most twenty times: until it is woken, or bytes come
  that nobody reads (:mod:`.watch`). An actor that is called now and then does all by itself, and its keeper sleeps through it.

Whoever posts an operation while it sleeps or rests, and does not send it, calls `wake`; who begins to read has its `watch` ignore what
comes, and who ends to read while it sleeps calls `take_from_reader`.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from thornback._session.watch import Watch

if TYPE_CHECKING:
    from thornback._session.session import Session

_TICK_S: Final = 0.001
_TICKS_BEFORE_SLEEP: Final = 20
_LAZY_TICK_S: Final = 0.005
_TICKS_BEFORE_LAZY: Final = 20
_LAZY_TICKS_BEFORE_SLEEP: Final = 4
_REST_S: Final = 0.025
"""A tick of driver or worker took 50 µs and more from a call, so at 5 ms each it was 5 % of the time."""
_SLEEP_S: Final = 0.25
"""Dropped refs and released buffers gather without waking anyone; they are sent at this pace while nothing else happens."""
_LONG_SLEEP_S: Final = 2.0
"""The pace of a worker that waits, and has sent what it had to: a thousand idle actors then cost next to nothing."""

_LEFT_MAX: Final = 100
"""So often in one sleep others begin and end to read; from then on it costs less that the keeper ticks, and need not be told."""


class Keeper:
    """Belongs to one session and ends with it."""

    def __init__(self, session: Session, *, patient: bool = False) -> None:
        """With `patient` it may sleep long while somebody reads, who has sent what there was."""
        self._patient = patient
        self.asleep = False
        self.resting = False
        """What is posted and not sent waits for long, unless it is woken."""
        self.prompt = 0
        """While above 0 somebody waits without reading (an event loop): the keeper sleeps and never ticks."""
        self._prompt_lock = threading.Lock()
        self._session = session
        self._stopped = False
        self.watch = Watch()
        self._left = 0
        self._thread = threading.Thread(target=self._run, name="thornback-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Ends its sleep. Cheap to call twice, safe in any thread."""
        self.asleep = self.resting = False
        self.watch.wake()

    def take_from_reader(self) -> None:
        """Nobody reads any more, and the keeper sleeps."""
        self._left += 1
        if self._left > _LEFT_MAX or not (self.watch.live and self.watch.attend_again()):
            self.wake()

    def be_prompt(self, change: int) -> None:
        """Counts those who wait without reading, up or down."""
        with self._prompt_lock:
            self.prompt += change
        if self.prompt and self.resting:
            self.wake()

    def stop(self) -> None:
        """Ends the thread, and waits for it unless called from it."""
        self._stopped = True
        self.wake()
        if self._thread is not threading.current_thread() and self._thread.is_alive():
            self._thread.join(timeout=5)
        self.watch.close()

    def _run(self) -> None:
        session = self._session
        quiet = needless = 0
        # Looks with traffic since it slept.
        busy = 1
        sleep_s = _SLEEP_S
        before = session.position
        heartbeat_s = session.welcome.limits.heartbeat_ms / 1000
        sleep_max_s = _LONG_SLEEP_S if self._patient and not heartbeat_s else _SLEEP_S
        heard, heard_at, pinged = session.received, time.monotonic(), False
        while not self._stopped and session.closed is None:
            lazy = needless >= _TICKS_BEFORE_LAZY
            if quiet < min(_LAZY_TICKS_BEFORE_SLEEP if lazy else _TICKS_BEFORE_SLEEP, busy) and not self.prompt:
                woken = False
                if lazy and session.single:
                    woken = self._rest()
                else:
                    time.sleep(_LAZY_TICK_S if lazy else _TICK_S)
            else:
                busy = 0
                woken = self._sleep(sleep_s)
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
            if woken or now != before:
                quiet = 0
                busy = min(busy + 1, _TICKS_BEFORE_SLEEP)
            else:
                quiet += 1
            before = now
            sleep_s = sleep_max_s if needless and session.led else _SLEEP_S
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

    def _rest(self) -> bool:
        """A long tick, unless somebody ends it. True if that was so."""
        self.resting = True
        # Whoever ends the habit looks at `resting` afterwards, so one of the two sees the other.
        woken = not self._session.single or bool(self.prompt) or self.watch.sleep(_REST_S)
        self.resting = False
        return woken

    def _sleep(self, seconds: float) -> bool:
        """Sleeps until there is something to do. True if somebody asked for it."""
        session = self._session
        watch = self.watch
        try:
            # From here on the watch knows the connection, and whoever ends to read need not say which it is.
            watch.attend(session.fileno())
        except (ValueError, OSError):
            pass  # The connection is being resumed.
        watch.ignore()
        self._left = 0
        self.asleep = True
        # Whoever posts or ends to read looks at `asleep` afterwards, so one of the two sees the other. (And only bytes that came for a
        # reader who has begun meanwhile wake it in vain.)
        if not session.led and not watch.attend_again():
            self.asleep = False
            return True
        if session.sendable:
            self.asleep = False
            return not self.prompt
        woken = watch.sleep(seconds)
        self.asleep = False
        return woken
