"""The objects of this process: what is known of each, and who counts them. (:mod:`._stored` moves the bytes of large ones.)

One dictionary says of each object that this process holds a ref to how far it is. The node pushes completions into it, so `get` and
`wait` on own refs are look-ups. It is read and written by several threads; single operations on a dictionary are whole, and what
needs more than one holds `_count_lock`.

A ref counts once, however many Python objects stand for it here: further ones are counted in `_extra`, and only the last one to go
is told to the node. Refs go in finalisers, which may run anywhere, so they only queue up in `dropped`.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from thornback import _context, _errors, _values
from thornback._errors import Code
from thornback._gen import failure_pb2, task_pb2
from thornback._object import ObjectRef, ObjectRefGenerator
from thornback._session import frames, hot
from thornback._state import FOREIGN, PENDING, Failed, Inline, Slot, State, Stored, Stream
from thornback._stored import StoredObjects
from thornback._values import Encoded
from thornback._waiting import left_over

_PLAIN_STATES: Final = frozenset({tuple, bytes})
_END_INDEX: Final = b"\xff\xff\xff\xff"
"""Index of the ref of a stream's end, which exists in this process only."""

_log = logging.getLogger("thornback")


class ObjectTable(StoredObjects):
    """Objects as one session knows them."""

    inline_bytes: int

    def __init__(self) -> None:
        super().__init__()
        self.ids = frames.Ids()
        self.dropped: deque[bytes] = deque()
        self._state: dict[bytes, State] = {}
        self._extra: dict[bytes, int] = {}
        self._local: set[bytes] = set()
        """Refs that only this process knows of."""
        self._count_lock = threading.RLock()
        self._streams: dict[bytes, Stream] = {}
        self._callbacks: dict[bytes, list[Callable[[], None]]] = {}
        self._failures = 0

    def table_handlers(self) -> dict[str, Callable[[Any], None]]:
        """Handlers of the server's operations on objects."""
        return {
            "completion": self._handle_completion,
            "stream_end": self._handle_stream_end,
            **self.store_handlers(),
        }

    # ------------------------------------------------------------------------------------------------------------------------ counting

    def adopt_ref(self, id: bytes) -> ObjectRef[Any]:
        """A ref that was found inside a value."""
        self._retain(id, FOREIGN)
        return ObjectRef(id, self)

    def make_ref(self, id: bytes) -> ObjectRef[Any]:
        """A ref that is not counted yet; `adopt_refs` must follow."""
        if len(id) != frames.ID_BYTES:
            raise _errors.UnsupportedFormatError(f"an id has {len(id)} bytes and not {frames.ID_BYTES}")
        return ObjectRef(id, self)

    def adopt_ids(self, ids: list[bytes]) -> list[ObjectRef[Any]]:
        """Refs for the ids in a list, which has the right lengths."""
        with self._count_lock:
            if len(set(ids)) < len(ids) or not self._state.keys().isdisjoint(ids):
                refs: list[ObjectRef[Any]] = [ObjectRef(id, self) for id in ids]
                self.adopt_refs(refs)
                return refs
            # All are new here, as they mostly are.
            self._state.update(dict.fromkeys(ids, FOREIGN))
            for start in range(0, len(ids), 4096):
                self.session.post_quietly(frames.REFS(frames.ids(1, ids[start : start + 4096])))
            return [ObjectRef(id, self) for id in ids]

    def adopt_refs(self, refs: list[ObjectRef[Any]]) -> None:
        """Counts refs that were made of the ids inside a value, all at once."""
        new: list[bytes] = []
        with self._count_lock:
            state, extra = self._state, self._extra
            for ref in refs:
                id = ref._id
                if id in state:
                    extra[id] = extra.get(id, 0) + 1
                else:
                    state[id] = FOREIGN
                    new.append(id)
            for start in range(0, len(new), 4096):
                self.session.post_quietly(frames.REFS(frames.ids(1, new[start : start + 4096])))

    def adopt_stream(self, id: bytes) -> Any:
        """Streams are not passed on by this SDK; another's may."""
        raise _errors.UnsupportedFormatError(f"the stream {id.hex()} was passed inside a value, which Python cannot read")

    def _retain(self, id: bytes, state: State) -> None:
        if len(id) != frames.ID_BYTES:
            raise _errors.UnsupportedFormatError(f"an id has {len(id)} bytes and not {frames.ID_BYTES}")
        with self._count_lock:
            if id in self._state:
                self._extra[id] = self._extra.get(id, 0) + 1
            else:
                self._state[id] = state
                self.session.post_quietly(frames.REFS(frames.ID_1 + id))

    def pin(self, id: bytes) -> None:
        """Has the object live as long as this session."""
        with self._count_lock:
            if id not in self._local:
                self.session.post_quietly(frames.REFS(frames.ID_1 + id))

    def post_drops(self) -> None:
        """Posts what has been dropped and released since the last time. Runs before each frame is made."""
        if left_over:
            left_over.clear()
        if self.dropped:
            gone: list[bytes] = []
            with self._count_lock:
                if self._extra or self._local or self._streams or self._fetched:
                    self._drop_each(gone)
                else:
                    # Nearly always there is nothing to look up.
                    dropped, forget = self.dropped, self._state.pop
                    while dropped:
                        id = dropped.popleft()
                        if forget(id, None) is not None:
                            gone.append(id)
                if len(gone) == 1:
                    self.session.post_quietly(frames.DROP_ONE + gone[0])
                else:
                    for start in range(0, len(gone), 4096):
                        self.session.post_quietly(frames.REFS(frames.ids(2, gone[start : start + 4096])))
        if self._released:
            self.post_releases()

    def _drop_each(self, gone: list[bytes]) -> None:
        """Takes back what the dropped refs counted; adds to `gone` those of whom the node is to be told."""
        state, extra = self._state, self._extra
        while self.dropped:
            id = self.dropped.popleft()
            more = extra.get(id)
            if more is not None:
                if more == 1:
                    del extra[id]
                else:
                    extra[id] = more - 1
                continue
            if id in self._local:
                self._local.discard(id)
                state.pop(id, None)
                continue
            if state.pop(id, None) is not None or self._forget_stream(id):
                gone.append(id)
                for slot in self._fetched.pop(id, ()):
                    self.abandon(id, slot)

    def _forget_stream(self, id: bytes) -> bool:
        stream = self._streams.pop(id, None)
        if stream is None:
            return False
        # Items that nobody took are freed with the stream.
        for index in range(stream.taken + 1, stream.arrived + 1):
            self._state.pop(id[:12] + index.to_bytes(4, "big"), None)
        return True

    # ------------------------------------------------------------------------------------------------------------------------- answers

    def take_completions(self, head: bytes, ops: hot.Ops) -> int:
        """Many completions at once; see :mod:`._session.hot`."""
        known, callbacks = self._state, self._callbacks
        raw, msgpack, tiny = frames.SHORT_PUT_RAW, frames.SHORT_PUT, _TINY_STATES
        taken = 0
        for op_head, id, rest in ops:
            if op_head != head:
                break
            start, data = rest[:6], rest[6:]
            state: State
            if start == raw[len(data)]:
                state = (data,)
            elif start == msgpack[len(data)]:
                state = tiny.get(data, data)
            else:
                state = _state_of(task_pb2.Completion.FromString(frames.ID_1 + id + rest))
            taken += 1
            if id in known and type(state) is not Failed:
                known[id] = state
                if callbacks:
                    self._call_back(id)
            else:
                self._settle(id, state)
        return taken

    def _handle_completion(self, message: task_pb2.Completion) -> None:
        self._settle(message.object, _state_of(message))

    def _settle(self, id: bytes, state: State) -> None:
        """An object is ready."""
        known = self._state
        if id in known:
            known[id] = state
            if type(state) is Failed:
                self._failures += 1
        else:
            stream = self._streams.get(id[:12] + frames.INDEX_SELF) if self._streams else None
            if stream is None:
                return  # Dropped while its completion was on the way.
            known[id] = state
            stream.arrived = int.from_bytes(id[12:], "big")
            self._tell_stream(stream)
        self._call_back(id)

    def _call_back(self, id: bytes) -> None:
        """Runs what waits for an object without a thread of its own, now that its state is set."""
        for callback in self._callbacks.pop(id, ()):
            try:
                callback()
            except Exception:
                _log.exception("what waited for %s failed", id.hex())

    def _handle_stream_end(self, message: task_pb2.StreamEnd) -> None:
        stream = self._streams.get(message.task)
        if stream is None:
            return
        stream.ended = True
        if message.HasField("failure"):
            stream.failure = failure_pb2.Failure()
            stream.failure.CopyFrom(message.failure)
            self._failures += 1
        self._complete_stream(stream)
        self._tell_stream(stream)

    def _tell_stream(self, stream: Stream) -> None:
        callbacks, stream.callbacks = stream.callbacks, []
        for callback in callbacks:
            callback()

    def _complete_stream(self, stream: Stream) -> None:
        id = stream.completed
        if stream.ended and id is not None and id in self._state:
            self._state[id] = Failed(stream.failure) if stream.failure is not None else (None,)
            self._call_back(id)

    # ------------------------------------------------------------------------------------------------------------------------- waiting

    def wait_until(self, ready: Callable[[], bool], deadline: float | None = None) -> bool:
        """Waits in the session; a task that waits says so first, that its CPU may be lent."""
        if ready():
            return True
        job = _context.job.get()
        if job is None:
            return self.session.wait(ready, deadline)
        self.session.post_quietly(frames.BLOCKED(frames.ID_1 + job.task))
        try:
            return self.session.wait(ready, deadline)
        finally:
            self.session.post_soon(frames.UNBLOCKED(frames.ID_1 + job.task))

    def _states(self, ids: Sequence[bytes]) -> list[State]:
        """What is known of each; asks for those that belong to somebody else."""
        state = self._state
        try:
            states = [state[id] for id in ids]
        except KeyError:
            raise _errors.InvalidArgumentError("the ref belongs to a runtime that has been shut down") from None
        if FOREIGN in states:
            unasked = [id for id, known in zip(ids, states, strict=True) if known is FOREIGN]
            for id in unasked:
                state[id] = PENDING
            for start in range(0, len(unasked), 4096):
                self.session.post_quietly(frames.WATCH(frames.ids(1, unasked[start : start + 4096])))
            states = [PENDING if known is FOREIGN else known for known in states]
        return states

    def get_one(self, ref: ObjectRef[Any], timeout: float | None) -> Any:
        """The value of a ref."""
        id = ref._id
        state = self._state
        known = state.get(id)
        if known is PENDING or known is FOREIGN or known is None:
            if known is not PENDING:
                self._states((id,))
            deadline = None if timeout is None else time.monotonic() + timeout
            ready = lambda: state[id] is not PENDING
            if not (self.session.wait if _context.job.get() is None else self.wait_until)(ready, deadline):
                raise _errors.GetTimeoutError(f"{ref!r} did not become ready within {timeout} s; `get` it again to go on waiting")
            known = state[id]
        if type(known) is tuple:
            return known[0]
        if type(known) is bytes:
            return _values.unpack_plain(known)
        return self._read((id,), (known,), None if not timeout else time.monotonic() + timeout)[0]

    def get_many(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        """The values of refs, in order. The first failure to be known is raised, whatever else is still missing."""
        deadline = None if timeout is None else time.monotonic() + timeout
        ids = [ref._id for ref in refs]
        seen = self._failures
        states = self._states(ids)
        state = self._state
        count = len(ids)
        at = 0
        failed: bytes | None = None
        if Failed in map(type, states):
            failed = next(id for id in ids if type(state[id]) is Failed)

        def ready() -> bool:
            nonlocal at, seen, failed
            if seen != self._failures:
                seen = self._failures
                failed = failed or next((id for id in ids if type(state[id]) is Failed), None)
            if failed is not None:
                return True
            while at < count and state[ids[at]] is not PENDING:
                at += 1
            return at == count

        if not self.wait_until(ready, deadline):
            raise _errors.GetTimeoutError(
                f"{sum(state[id] is PENDING for id in ids)} of {count} objects did not become ready within {timeout} s"
            )
        if failed is not None:
            ids, count = [failed], 1
        states = [state[id] for id in ids]
        kinds = set(map(type, states))
        if kinds <= _PLAIN_STATES:
            if bytes not in kinds:
                return list(itertools.chain.from_iterable(states))  # type: ignore[arg-type]
            unpack = _values.unpack_plain
            return [known[0] if type(known) is tuple else unpack(known) for known in states]  # type: ignore[arg-type]
        return self._read(ids, states, deadline)

    def wait_many(self, ids: list[bytes], num_returns: int, timeout: float | None, fetch: bool) -> list[int]:
        """The positions of `num_returns` ids whose objects are ready (fewer if time runs out), in order."""
        state = self._state
        found: list[int] = []
        # Mostly there are enough at the front: a `wait` on a thousand refs then looks at few.
        for position, id in enumerate(ids):
            known = state.get(id)
            if known is PENDING:
                continue
            if known is None or known is FOREIGN:
                # A stream, or somebody else's, which is to be asked for.
                found = self._wait_among(ids, num_returns, timeout, self._table_for(ids))
                break
            found.append(position)
            if len(found) == num_returns:
                break
        else:
            found = self._wait_among(ids, num_returns, timeout, state)
        if fetch:
            for position in found:
                if type(state.get(ids[position])) is Stored:
                    self.session.post_soon(frames.FETCH(frames.ID_1 + ids[position] + b"\x10\x01"))
        return found

    def _table_for(self, ids: list[bytes]) -> Mapping[bytes, Any]:
        """Where the states of objects and streams are to be seen, after asking for those that belong to somebody else."""
        streams = self._streams
        if streams.keys().isdisjoint(ids):
            self._states(ids)
            return self._state
        self._states([id for id in ids if id not in streams])
        return _StreamsToo(self._state, streams)

    def _wait_among(self, ids: list[bytes], num_returns: int, timeout: float | None, states: Mapping[bytes, Any]) -> list[int]:
        deadline = None if timeout is None else time.monotonic() + timeout
        found: list[int] = []
        # Positions not yet seen ready. It shrinks as they are found, so a long wait does not look at the same refs over and over.
        left: list[int] | range = range(len(ids))

        def ready() -> bool:
            nonlocal left
            missing = num_returns - len(found)
            if missing <= 0:
                return True
            rest: list[int] = []
            for position in left:
                if states[ids[position]] is PENDING:
                    rest.append(position)
                else:
                    found.append(position)
                    missing -= 1
                    if missing == 0:
                        return True
            left = rest
            return False

        self.wait_until(ready, deadline)
        found.sort()
        return found

    def when_readable(self, ref: ObjectRef[Any], done: Callable[[], None]) -> None:
        """Calls `done` once, perhaps at once and in any thread, when `get_one` will not have to wait for the ref's value."""
        id = ref._id
        self._states((id,))
        keeper = self.session.keeper
        keeper.be_prompt(+1)

        def readable() -> None:
            keeper.be_prompt(-1)
            done()

        def ready() -> None:
            if type(self._state.get(id)) is Stored:
                slot = self.fetch(id, readable)
                self.prefetched(id, slot)
                self.session.nudge()
            else:
                readable()

        waiting = self._callbacks.setdefault(id, [])
        waiting.append(ready)
        if self._state[id] is not PENDING:
            # The completion may have come in between; whoever takes the callback off the list runs it.
            try:
                waiting.remove(ready)
            except ValueError:
                return
            ready()
        else:
            self.session.nudge()

    # ------------------------------------------------------------------------------------------------------------------------- reading

    def _read(self, ids: Sequence[bytes], states: Sequence[State], deadline: float | None) -> list[Any]:
        """The values of objects that are ready."""
        slots: dict[bytes, Slot] = {}
        for id, known in zip(ids, states, strict=True):
            if type(known) is Stored and id not in slots:
                slots[id] = self.take_fetched(id) or self.fetch(id)
        located: dict[bytes, Any] = {}
        try:
            if slots and not self.wait_until(lambda: all(slot.value is not None for slot in slots.values()), deadline):
                raise _errors.GetTimeoutError(
                    f"{len(slots)} stored objects were not brought near in time; `get` them again to go on waiting"
                )
            for id in list(slots):
                # Each answer holds one pin, however often the list names the object.
                located[id] = self.located_value(id, slots.pop(id))
        finally:
            # The answers of those that are left come all the same. To keep their pins for whoever asks next could fill the store with
            # what nobody reads.
            for id, slot in slots.items():
                self.abandon(id, slot)
        return [located[id] if id in located else self._value_of(id, known) for id, known in zip(ids, states, strict=True)]

    def _value_of(self, id: bytes, known: State) -> Any:
        if type(known) is tuple:
            return known[0]
        if type(known) is bytes:
            return _values.unpack_plain(known)
        if type(known) is Inline:
            return _values.decode(known.format, known.data, known.buffers, known.schema, self)
        if type(known) is Failed:
            raise _errors.from_failure(known.failure)
        raise _errors.InvalidArgumentError(f"{id.hex()} is an actor; only objects have a value")

    # ------------------------------------------------------------------------------------------------------------------------- writing

    def put_encoded(self, value: Encoded) -> ObjectRef[Any]:
        """Stores an encoded value as a new object."""
        id = self.ids.prefix() + frames.INDEX_FIRST
        if value.size <= self.inline_bytes:
            state: State
            if value.format == _values.MSGPACK and not value.refs:
                state = value.data
            elif value.format == _values.RAW:
                state = (value.data,)
            else:
                state = Inline(value.format, value.data, [bytes(buffer) for buffer in value.buffers], value.schema)
            self._state[id] = state
            self.session.post(frames.PUT(frames.ID_1 + id + frames.field(2, value.wire())))
        else:
            self.write(id, value)
            self._state[id] = Stored(value.size)
        return ObjectRef(id, self)

    def adopt_stored(self, id: bytes, size: int) -> ObjectRef[Any]:
        """The ref of an object that was created, filled and sealed by hand."""
        self._state[id] = Stored(size)
        return ObjectRef(id, self)

    # ------------------------------------------------------------------------------------------------------------------------- streams

    def open_stream(self, task: bytes) -> ObjectRefGenerator[Any]:
        """Before the call that yields it is posted."""
        self._streams[task] = Stream()
        return ObjectRefGenerator(task, self)

    def wait_stream(self, id: bytes, taken: int, deadline: float | None) -> bool:
        """Waits until an item after the first `taken` is there, or the end."""
        stream = self._streams[id]
        return self.wait_until(lambda: stream.count > taken or stream.ended, deadline)

    def when_streamed(self, id: bytes, taken: int, done: Callable[[], None]) -> None:
        """Calls `done` once `wait_stream` would not wait; perhaps at once, in any thread."""
        stream = self._streams[id]
        keeper = self.session.keeper
        keeper.be_prompt(+1)

        def finish() -> None:
            keeper.be_prompt(-1)
            done()

        stream.callbacks.append(finish)
        if stream.count > taken or stream.ended:
            try:
                stream.callbacks.remove(finish)
            except ValueError:
                return
            finish()
        else:
            self.session.nudge()

    def take_item(self, id: bytes, taken: int) -> ObjectRef[Any] | None:
        """The item after the first `taken`; None at the end."""
        stream = self._streams[id]
        index = taken + 1
        object_id = id[:12] + index.to_bytes(4, "big")
        if index <= stream.arrived:
            stream.taken = index
            self.session.post(frames.CONSUMED(frames.ID_1 + id + b"\x10" + frames.varint(index)))
        elif index == stream.arrived + 1 and stream.failure is not None:
            stream.taken = index
            self._state[object_id] = Failed(stream.failure)
            self._local.add(object_id)
        else:
            return None
        return ObjectRef(object_id, self)

    def stream_completed(self, id: bytes) -> ObjectRef[None]:
        """A local ref that becomes ready when the stream ends."""
        stream = self._streams[id]
        object_id = id[:12] + _END_INDEX
        with self._count_lock:
            if object_id in self._state:
                self._extra[object_id] = self._extra.get(object_id, 0) + 1
            else:
                self._state[object_id] = PENDING
                self._local.add(object_id)
                stream.completed = object_id
        self._complete_stream(stream)
        return ObjectRef(object_id, self)

    def stream_finished(self, id: bytes, taken: int) -> bool:
        """Whether the end has come and been reached."""
        stream = self._streams[id]
        return stream.ended and stream.count <= taken

    # --------------------------------------------------------------------------------------------------------------------------- ends

    def fail_all(self, error: BaseException) -> None:
        """The session is over: whatever is awaited ends with that."""
        left_over.clear()
        failure = getattr(error, "failure", None) or failure_pb2.Failure(code=Code.CONNECTION_LOST, message=str(error))
        for id, known in list(self._state.items()):
            if known is PENDING:
                self._state[id] = Failed(failure)
        self._failures += 1
        for stream in list(self._streams.values()):
            if not stream.ended:
                stream.ended = True
                stream.failure = failure
                self._complete_stream(stream)
                self._tell_stream(stream)
        self.fail_stored(lambda: _errors.from_failure(failure))
        for waiting in list(self._callbacks.values()):
            for callback in waiting:
                callback()
        self._callbacks.clear()


_TINY_STATES: Final[dict[bytes, State]] = {data: (value,) for data, value in _values.TINY.items()}


def _state_of(completion: task_pb2.Completion) -> State:
    """What a completion says."""
    outcome = completion.WhichOneof("outcome")
    if outcome == "stored":
        return Stored(completion.stored)
    if outcome == "failure":
        return Failed(completion.failure)
    value = completion.value
    data = value.data
    if not value.refs and not value.buffers:
        if value.format == _values.RAW:
            return (data,)
        if value.format == _values.MSGPACK:
            return _TINY_STATES.get(data, data)
    return Inline.of(value)


class _StreamsToo(dict[bytes, Any]):
    """The table, with streams in it: one is ready when its next item is, or when it is over."""

    def __init__(self, state: dict[bytes, State], streams: dict[bytes, Stream]) -> None:
        super().__init__()
        self._table = state
        self._streams = streams

    def __getitem__(self, id: bytes) -> Any:
        stream = self._streams.get(id)
        if stream is None:
            return self._table[id]
        return True if stream.count > stream.taken or stream.ended else PENDING
