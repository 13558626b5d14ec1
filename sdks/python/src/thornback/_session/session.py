"""One conversation with a node: order, acknowledgement, credit, resumption, and who reads the socket.

There is no reader thread. **The thread that waits reads**: it becomes the leader, receives a frame, handles everything in it, and
looks whether what it waits for is there. Other threads that wait at the same time are followers, told after each frame. So the
answer of a call arrives in the thread that wants it, without a switch between threads under the interpreter's lock. While nobody
waits, the keeper (:mod:`.keeper`) reads now and then.

Operations are posted to a queue and sent together: when somebody starts to wait, when enough have come together, or by the keeper
within about a millisecond (five, where it has long not been needed). Where each is waited for anyway before there is another, it is
sent as it is posted (:mod:`.habit`).

A connection that is lost, or whose state an exception (Ctrl-C) left unknown, is opened again and the session resumed: what the
node has not acknowledged is sent again, and what it sends again is recognised by its number.

This module handles operations only through the table of handlers that it is given; it never decodes a value.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from google.protobuf.message import DecodeError

from thornback import _errors
from thornback._errors import Code
from thornback._gen import failure_pb2, session_pb2
from thornback._session import frames, hot
from thornback._session.carrier import Carrier, CarrierLostError
from thornback._session.habit import Habit
from thornback._session.keeper import Keeper

_BATCH_OPS: Final = 128
_BATCH_OP_BYTES: Final = 16 * 1024
"""An operation that is at least this long is worth a system call of its own."""
_FRAME_BYTES_AIM: Final = 256 * 1024
"""Frames are cut here, though they may be longer: a receiver can begin with the first while the next is on its way."""
_FRAME_BYTES_MAX: Final = 4 * 1024 * 1024
_FRAME_OPS_MAX: Final = 65_536
_WINDOW_BYTES: Final = 16 * 1024 * 1024
_DEFAULT_WINDOW_BYTES: Final = 8 * 1024 * 1024
_HELLO_TIMEOUT_S: Final = 30.0
_HURRY_S: Final = 1.0
"""How long a program that ends waits for a node that takes nothing."""
_SETTLE_S: Final = 1.0
"""How long a worker that ends by itself waits for its node to take its last words."""
_SETTLE_PAUSE_S: Final = 0.02
"""How long it waits until it asks again whether they are taken; then twice as long, up to the maximum.

A lost connection is to come back in between."""
_SETTLE_PAUSE_MAX_S: Final = 0.16
_UNCOUNTED: Final = frozenset({"welcome", "credit", "ping", "pong", "goodbye"})
"""What travels in frames without a number. (A goodbye may also be the last of a frame with one.)"""

_log = logging.getLogger("thornback")

Handler = Callable[[Any], None]


class Session:
    """A driver's or worker's conversation with its node."""

    def __init__(
        self,
        connect: Callable[[], Carrier],
        hello: session_pb2.Hello,
        handlers: Mapping[str, Handler],
        *,
        runs: Mapping[int, hot.Taker] | None = None,
        before_send: Callable[[], None] = lambda: None,
        on_close: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        """Connects and says hello.

        `handlers` has a function for each field of `ServerOp` that may arrive; they run in whatever thread reads and must not wait.
        `runs` has what takes many operations of one kind at once, by their number in `ServerOp` (:mod:`.hot`).
        `before_send` may post what has gathered up before a frame is made. `on_close` is told once why the session ended.

        Raises the failure with which the node refuses, or `ConnectionLostError`.
        """
        self._connect = connect
        self._hello = hello
        self._hello.version_min = self._hello.version_max = 1
        self._hello.window_bytes = _WINDOW_BYTES
        self._before_send = before_send
        self._on_close = on_close
        self._handlers: dict[str, Handler] = {
            **handlers,
            "credit": self._handle_credit,
            "ping": self._handle_ping,
            "pong": lambda op: None,
            "goodbye": self._handle_goodbye,
            "welcome": lambda op: self._refuse(Code.MALFORMED_FRAME, "the node welcomed this program twice on one connection"),
        }

        self._runs = [hot.Kind(number, take) for number, take in (runs or {}).items()]

        # Appended to from any thread without a lock, emptied only under `_send_lock`.
        self._ops: deque[bytes] = deque()
        # The same for what travels in frames without a number.
        self._uncounted: deque[bytes] = deque()
        self._habit = Habit()
        self._send_lock = threading.Lock()
        self._seq_out = 0
        self._unacknowledged: deque[tuple[int, bytes]] = deque()
        self._resend: deque[bytes] = deque()
        """What the node did not take before the connection was lost; goes before anything new."""
        # Bytes that the node lets us send: granted by the reading thread alone, spent under `_send_lock` alone.
        self._granted = 0
        self._spent = 0

        self._read_lock = threading.Lock()
        self._leader = 0
        self._seq_in = 0
        self._taken_bytes = 0
        self._received = 0
        self._changed = threading.Condition(threading.Lock())
        self._followers = 0

        self._broken = False
        self._lost_at: float | None = None
        """Since when there has been no connection."""
        self._hurried = False
        self._closed: BaseException | None = None
        self._carrier = connect()
        try:
            self.welcome = self._say_hello(self._carrier, time.monotonic() + _HELLO_TIMEOUT_S)
        except BaseException:
            self._carrier.close()
            raise
        self._granted = self.welcome.limits.window_bytes or _DEFAULT_WINDOW_BYTES
        self._frame_bytes_max = self._carrier.frame_bytes_max = self.welcome.limits.frame_bytes or _FRAME_BYTES_MAX
        # A worker that waits has sent what it had to say; a driver may wait in one thread and drop refs in another.
        self._keeper = Keeper(self, patient=hello.role == session_pb2.ROLE_WORKER)

    def start(self) -> None:
        """From here on frames are handled whenever they come: what the handlers need must be in place."""
        self._keeper.start()

    # ------------------------------------------------------------------------------------------------------------------------ sending

    def post(self, op: bytes) -> None:
        """Queues an operation; it is sent soon, after those posted before it."""
        ops = self._ops
        ops.append(op)
        if len(ops) >= _BATCH_OPS or len(op) >= _BATCH_OP_BYTES:
            self.flush()
        elif self._habit.single and self._habit.post():
            self.flush(block=False)
        elif self._keeper.asleep or self._keeper.resting:
            self._keeper.wake()

    def post_soon(self, op: bytes) -> None:
        """Queues an operation that the keeper is to send soon, if nobody else does. Never sends by itself, as `post_quietly`."""
        self._ops.append(op)
        self._habit.end()
        if self._keeper.asleep or self._keeper.resting:
            self._keeper.wake()

    def post_quietly(self, op: bytes) -> None:
        """Queues an operation that may wait for the next reason to send. Never sends by itself, so it is safe inside a handler."""
        self._ops.append(op)

    def flush(self, block: bool = True) -> None:
        """Sends what is posted. With `block`, waits for credit if the node has not given enough; else leaves the rest queued."""
        while True:
            with self._send_lock:
                sent = self._send_ready()
            if sent or not block or self._closed is not None:
                return
            if self._leader == threading.get_ident():
                # A handler must not wait; what is left goes out once it has returned.
                return
            # Not until there is more than there was: the keeper may have read it already, and a new connection begins with less.
            self.wait(lambda: self.sendable or not self.pending)

    @property
    def pending(self) -> bool:
        """Whether something is posted and not sent."""
        return bool(self._ops or self._uncounted or self._resend)

    @property
    def sendable(self) -> bool:
        """Whether something is posted that could be sent now: what waits for credit could not, and the node says when it can."""
        return bool(self._uncounted or ((self._ops or self._resend) and self._granted > self._spent))

    def _send_ready(self) -> bool:
        """Sends frames until nothing is left (True) or credit is short (False)."""
        if self._broken or self._closed is not None:
            # Whoever reads resumes the session and sends what has been queued.
            return True
        self._before_send()
        if self._uncounted and not self._send_uncounted():
            return True
        while self._resend:
            if self._granted <= self._spent:
                return False
            self._spent += len(self._resend[0])
            if not self._send(self._resend[0]):
                return True
            self._resend.popleft()
        ops = self._ops
        while ops:
            # A frame may overdraw what credit is left, so one of any size can be sent while some is.
            if self._granted <= self._spent:
                return False
            taken: list[bytes] = []
            try:
                taken.append(ops.popleft())
                if ops:
                    size = len(taken[0])
                    while ops:
                        size += len(ops[0])
                        if size > _FRAME_BYTES_AIM or len(taken) >= _FRAME_OPS_MAX:
                            break
                        taken.append(ops.popleft())
                body = frames.frame(self._seq_out + 1, self._seq_in, taken[0] if len(taken) == 1 else b"".join(taken))
                if len(body) > self._frame_bytes_max:
                    raise _errors.ProtocolError(f"an operation of {len(body)} bytes is longer than a frame may be")
            except _errors.ProtocolError:
                raise
            except BaseException:
                # A signal handler's exception (Ctrl-C) must not lose operations.
                ops.extendleft(reversed(taken))
                raise
            self._seq_out += 1
            self._unacknowledged.append((self._seq_out, body))
            self._spent += len(body)
            if not self._send(body):
                return True
        return True

    def _send_uncounted(self) -> bool:
        ops = b""
        while self._uncounted:
            ops += self._uncounted.popleft()
        return self._send(frames.frame(0, self._seq_in, ops))

    def _send(self, body: bytes) -> bool:
        """Sends one frame. False if the connection is gone; a counted frame then waits for the session to be resumed."""
        sent = False
        try:
            self._carrier.send(body)
            sent = True
        except CarrierLostError:
            pass
        finally:
            # Also when an exception of a signal handler cut the frame short.
            if not sent:
                self._broken = True
                self._keeper.wake()
        return sent

    # ------------------------------------------------------------------------------------------------------------------------ waiting

    def wait(self, ready: Callable[[], bool], deadline: float | None = None) -> bool:
        """Sends what is posted and waits until `ready()`, or until `deadline` (`time.monotonic`); False if that passed.

        Raises `ConnectionLostError` when the session ends.
        """
        self._habit.wait(len(self._ops))
        with self._send_lock:
            self._send_ready()
        me = threading.get_ident()
        while True:
            nested = self._leader == me
            if nested or self._read_lock.acquire(blocking=False):
                self._leader = me
                polled = False
                try:
                    if self._keeper.watch.alert:
                        self._keeper.watch.ignore()
                    while not ready():
                        if self._closed is not None:
                            raise _errors.reraise(self._closed)
                        timeout = None
                        if deadline is not None:
                            timeout = deadline - time.monotonic()
                            if timeout <= 0:
                                # Even then one look: a program that only ever asks with a timeout of 0 must get on.
                                if polled:
                                    return False
                                timeout = 0
                                polled = True
                        self._read(timeout, deadline)
                        if self._ops or self._uncounted or self._resend:
                            self.flush(block=False)
                    return True
                finally:
                    if not nested:
                        self._stop_leading()
            if ready():
                return True
            if self._closed is not None:
                raise _errors.reraise(self._closed)
            if not self._follow(ready, deadline):
                return False

    def _follow(self, ready: Callable[[], bool], deadline: float | None) -> bool:
        """Waits for the leader to handle a frame or to leave. False if the deadline passed."""
        timeout = None
        if deadline is not None:
            timeout = deadline - time.monotonic()
            if timeout <= 0:
                return False
        with self._changed:
            self._followers += 1
            try:
                if not ready() and self._read_lock.locked():
                    self._changed.wait(timeout)
            finally:
                self._followers -= 1
        return True

    def _stop_leading(self) -> None:
        self._leader = 0
        self._read_lock.release()
        # A follower counts itself before it looks at the lock, so it sees the lock free or is told here.
        if self._followers:
            self.notify()
        if self._keeper.asleep:
            if self._broken or self.sendable:
                self._keeper.wake()
            else:
                self._keeper.take_from_reader()

    def notify(self) -> None:
        """Has every waiting thread look again."""
        if self._followers:
            with self._changed:
                self._changed.notify_all()

    def poll(self) -> bool:
        """Handles what has arrived, without waiting. False if another thread reads."""
        if self._leader == threading.get_ident():
            self._read(0)
            return True
        if not self._read_lock.acquire(blocking=False):
            return False
        self._leader = threading.get_ident()
        try:
            self._read(0)
        finally:
            self._leader = 0
            self._read_lock.release()
            self.notify()
        return True

    def lead(self) -> None:
        """Makes this thread the only one that reads, until it calls `wait` no more (an event loop that watches `fileno`)."""
        while not self._read_lock.acquire(timeout=0.1):
            pass
        self._leader = threading.get_ident()
        if self._keeper.watch.alert:
            self._keeper.watch.ignore()

    @property
    def single(self) -> bool:
        """Whether each operation is sent as it is posted."""
        return self._habit.single

    @property
    def led(self) -> bool:
        """Whether some thread reads, or has promised to."""
        return self._read_lock.locked()

    def ping(self) -> None:
        """Asks for a sign of life."""
        self._uncounted.append(frames.PING(b""))

    def give_up(self) -> None:
        """The node has been silent for too long: the connection counts as lost."""
        self._broken = True
        self._carrier.close()

    def nudge(self) -> None:
        """Sends what is posted, for one who will wait without reading."""
        self.flush(block=False)
        if self._keeper.asleep and self._broken:
            self._keeper.wake()

    def take_descriptor(self) -> int:
        """The descriptor that came with the operation that is being handled."""
        try:
            return self._carrier.descriptors.popleft()
        except IndexError:
            raise _errors.ProtocolError("the node announced an arena without its descriptor") from None

    def find_operation(self, seq: int, index: int) -> session_pb2.ClientOp | None:
        """An operation that was sent and is not acknowledged."""
        for number, body in self._unacknowledged:
            if number == seq:
                ops = session_pb2.ClientFrame.FromString(body).ops
                return ops[index] if index < len(ops) else None
        return None

    @property
    def received(self) -> int:
        """How many frames have come."""
        return self._received

    @property
    def position(self) -> tuple[int, int]:
        """Changes whenever something was sent or received."""
        return self._seq_out, self._seq_in

    @property
    def keeper(self) -> Keeper:
        """The thread that reads and sends while nobody else does."""
        return self._keeper

    def fileno(self) -> int:
        """The descriptor to watch for readability; changes when the session is resumed."""
        return self._carrier.fileno()

    # ------------------------------------------------------------------------------------------------------------------------ reading

    def _read(self, timeout: float | None, deadline: float | None = None) -> None:
        """Receives and handles, for `timeout` seconds; a lost connection is opened again, until `deadline`. Only the leader calls it."""
        if self._broken:
            self._resume(deadline)
            return
        carrier = self._carrier
        try:
            # What came together with the welcome, or was left by an exception, is here already.
            if not carrier.frames:
                carrier.fill(timeout)
        except CarrierLostError as error:
            if error.code:
                self._refuse(Code(error.code), str(error))
                return
            self._broken = True
            self._resume(deadline)
            return
        except BaseException:
            # A signal handler's (Ctrl-C). Nothing is lost, unless it came while frames were being cut.
            self._broken = self._broken or carrier.torn
            raise
        waiting = carrier.frames
        while waiting:
            whole = False
            try:
                self._take(waiting[0])
                waiting.popleft()
                whole = True
            finally:
                # An exception in the middle of a frame (Ctrl-C): the node will send the frame again.
                if not whole:
                    self._broken = True
        if self._followers:
            self.notify()

    def _take(self, body: bytes) -> None:
        """Handles one frame. Of one that cannot be read nothing is taken (SESSION-023), so all of it is parsed first."""
        if self._closed is not None:
            return
        try:
            frame = session_pb2.ServerFrame.FromString(body)
        except DecodeError:
            self._refuse(Code.MALFORMED_FRAME, "the node sent a frame that is not protobuf; both sides must be of compatible versions")
            return
        self._received += 1
        seq, ack, ops = frame.seq, frame.ack, frame.ops
        if seq and seq != self._seq_in + 1 and not self._is_next(seq, frame):
            return
        if ack > self._seq_out:
            self._refuse(Code.SEQUENCE_GAP, f"the node acknowledged frame {ack}, and only {self._seq_out} were sent")
            return
        taken = hot.take(self._runs, body) if seq else 0
        # Mostly all of it was taken.
        if taken < len(ops) and not self._handle(ops[taken:] if taken else ops, counted=seq > 0):
            return
        if seq:
            self._seq_in = seq
            self._taken_bytes += len(body)
            if self._taken_bytes >= _WINDOW_BYTES // 4:
                self._uncounted.append(frames.CREDIT(session_pb2.Credit(bytes=self._taken_bytes).SerializeToString()))
                self._taken_bytes = 0
        unacknowledged = self._unacknowledged
        while unacknowledged and unacknowledged[0][0] <= ack:
            unacknowledged.popleft()

    def _is_next(self, seq: int, frame: session_pb2.ServerFrame) -> bool:
        """Whether a frame is to be handled whose number is not the next. One that came before is not; one that comes too early ends the
        session."""
        if seq > self._seq_in:
            self._refuse(Code.SEQUENCE_GAP, f"frame {seq} of the node came after frame {self._seq_in}")
            return False
        # Its descriptors came again as well; left where they are, the next arena would be taken for another one.
        for op in frame.ops:
            if op.HasField("arena") and self._carrier.descriptors:
                os.close(self._carrier.descriptors.popleft())
        return False

    def _handle(self, ops: Iterable[session_pb2.ServerOp], *, counted: bool) -> bool:
        """Hands operations to their handlers. False if one of them has no place in such a frame, which ends the session."""
        handlers = self._handlers
        for op in ops:
            name = op.WhichOneof("op")
            if name is None:
                continue  # An operation of a later version; `Hello` agreed on none that must be understood.
            if (name in _UNCOUNTED) is counted and name != "goodbye":
                self._refuse(Code.MALFORMED_FRAME, f"the node sent {name!r} in a frame that {'has' if counted else 'has not'} a number")
                return False
            handler = handlers.get(name)
            if handler is not None:
                try:
                    handler(getattr(op, name))
                except Exception:
                    _log.exception("the answer %r of the node could not be handled", name)
        return True

    def _refuse(self, code: Code, text: str) -> None:
        """The node broke the rules of the conversation: it is told why, and the session ends."""
        goodbye = session_pb2.Goodbye(failure=failure_pb2.Failure(code=code, message=text))
        with self._send_lock:
            if not self._broken and self._closed is None:
                self._send(frames.frame(0, self._seq_in, frames.GOODBYE(goodbye.SerializeToString())))
        self._end(_errors.ConnectionLostError(text))

    def _handle_credit(self, credit: session_pb2.Credit) -> None:
        self._granted += credit.bytes

    def _handle_ping(self, ping: session_pb2.Ping) -> None:
        self._uncounted.append(frames.PONG(session_pb2.Pong(nonce=ping.nonce).SerializeToString()))

    def _handle_goodbye(self, goodbye: session_pb2.Goodbye) -> None:
        if goodbye.HasField("failure"):
            self._end(_errors.from_failure(goodbye.failure))
        else:
            self._end(_errors.ConnectionLostError("the node ended the session"))

    # ---------------------------------------------------------------------------------------------------------- beginning and ending

    def _say_hello(self, carrier: Carrier, deadline: float) -> session_pb2.Welcome:
        try:
            carrier.send(frames.frame(0, 0, frames.HELLO(self._hello.SerializeToString())))
            while not carrier.frames:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise _errors.ConnectionLostError("the node did not answer the hello; is something else listening at its address?")
                carrier.fill(left)
        except CarrierLostError as error:
            if error.code:
                raise _errors.from_failure(failure_pb2.Failure(code=error.code, message=str(error))) from None
            raise _errors.ConnectionLostError(f"{error} before it answered the hello") from None
        try:
            frame = session_pb2.ServerFrame.FromString(carrier.frames[0])
        except DecodeError:
            frame = session_pb2.ServerFrame()
        first = frame.ops[0].WhichOneof("op") if frame.ops else None
        if first == "goodbye":
            raise _errors.from_failure(frame.ops[0].goodbye.failure)
        if first != "welcome":
            raise _errors.ConnectionLostError("the node did not begin with a welcome; is something else listening at its address?")
        welcome = session_pb2.Welcome()
        welcome.CopyFrom(frame.ops[0].welcome)
        # The rest of the frame is the session's.
        del frame.ops[0]
        carrier.frames[0] = frame.SerializeToString()
        return welcome

    def _resume(self, until: float | None) -> None:
        """Opens the connection again and goes on where it broke. Ends the session if that fails within its time of grace.

        Whoever waits no longer than `until` gets no further by then, and leaves the rest to the next who waits or to the keeper.
        """
        if self._closed is not None:
            return
        self._carrier.close()
        if self._lost_at is None:
            self._lost_at = time.monotonic()
        hello = self._hello
        hello.resume.session = self.welcome.session
        hello.resume.secret = self.welcome.secret
        hello.resume.ack = self._seq_in
        ends = self._lost_at + self.welcome.limits.grace_ms / 1000
        deadline = ends if until is None else min(until, ends)
        pause = 0.005
        while self._closed is None:
            try:
                carrier = self._connect()
                try:
                    welcome = self._say_hello(carrier, deadline)
                except BaseException:
                    carrier.close()
                    raise
                break
            except (OSError, CarrierLostError, _errors.ThornbackError) as error:
                if isinstance(error, _errors.ThornbackError) and error.failure is not None:
                    # The node's answer: to ask again would not change it.
                    self._end(error)
                    return
                refused = isinstance(error, (FileNotFoundError, ConnectionRefusedError)) and carrier_is_local(self._carrier)
                if refused or time.monotonic() + pause > ends:
                    self._end(_errors.ConnectionLostError(f"the connection to the node was lost and could not be resumed: {error}"))
                    return
                if time.monotonic() + pause > deadline:
                    return
                time.sleep(pause)
                pause = min(pause * 2, 0.5)
        else:
            return  # Closed by this program meanwhile.
        if not welcome.resumed:
            carrier.close()
            self._end(_errors.ConnectionLostError("the connection to the node was lost and the node no longer knows the session"))
            return
        with self._send_lock:
            while self._unacknowledged and self._unacknowledged[0][0] <= welcome.ack:
                self._unacknowledged.popleft()
            self._resend = deque(body for _seq, body in self._unacknowledged)
            # Each connection begins with a whole window in both directions.
            self._granted = welcome.limits.window_bytes or _DEFAULT_WINDOW_BYTES
            self._spent = self._taken_bytes = 0
            self._uncounted.clear()
            carrier.frame_bytes_max = welcome.limits.frame_bytes or _FRAME_BYTES_MAX
            if self._hurried:
                carrier.limit_sends(_HURRY_S)
            self._carrier = carrier
            self._broken = False
            self._lost_at = None
        self.flush(block=False)

    def _end(self, error: BaseException) -> None:
        if self._closed is None:
            self._closed = error
            self._carrier.close()
            self._on_close(error)
            with self._changed:
                self._changed.notify_all()
            self._keeper.wake()

    @property
    def closed(self) -> BaseException | None:
        """Why the session is over, once it is."""
        return self._closed

    def hurry(self) -> None:
        """This program ends: from here on a connection that takes nothing for a second counts as lost."""
        self._hurried = True
        self._carrier.limit_sends(_HURRY_S)
        # Another thread may be in the middle of sending to a node that does not read.
        if self._send_lock.acquire(timeout=_HURRY_S):
            self._send_lock.release()
        else:
            self.give_up()

    def settle(self) -> None:
        """Waits until the node has all that was posted, over another connection if this one is lost, but no longer than a second.

        It is for a process that ends by itself and would take with it what a lost connection swallowed.
        """

        def settled() -> bool:
            return self._closed is not None or not (self._unacknowledged or self.pending)

        until = time.monotonic() + _SETTLE_S
        pause = _SETTLE_PAUSE_S
        while not settled() and (now := time.monotonic()) < until:
            self.flush(block=False)
            # A node with nothing to say acknowledges nothing unless it is asked, and only what came before the question.
            self.ping()
            self.wait(settled, min(now + pause, until))
            pause = min(pause * 2, _SETTLE_PAUSE_MAX_S)

    def close(self, error: BaseException | None = None) -> None:
        """Says goodbye and ends. A node that has stopped reading is not waited for."""
        if self._closed is None:
            self.hurry()
            try:
                self.flush(block=False)
                with self._send_lock:
                    if not self._broken:
                        self._carrier.send(frames.frame(0, self._seq_in, frames.GOODBYE(b"")))
            except (CarrierLostError, _errors.ThornbackError):
                pass
            self._end(error or _errors.ConnectionLostError("the session was closed by this program"))
        self._keeper.stop()


def carrier_is_local(carrier: Carrier) -> bool:
    """On one machine, a refused connection means that the node is gone; elsewhere it may mean a network that comes back."""
    return carrier.shared_memory
