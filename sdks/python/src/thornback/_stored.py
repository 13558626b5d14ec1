"""Objects in the store: asked for, located, read in place, pinned and released; created, filled, sealed.

A located object is pinned for this session, one pin for each answer. A pin is given back when the last view of the bytes is gone, or
at once where nobody is left to read them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from thornback import _arena, _errors, _values
from thornback._errors import Code
from thornback._gen import object_pb2, value_pb2
from thornback._object import ObjectRef
from thornback._session import frames
from thornback._session.session import Session
from thornback._state import Slot
from thornback._values import Encoded

_WRITE_BYTES: Final = 1024 * 1024


class StoredObjects:
    """What one session has to do with the store."""

    session: Session

    def __init__(self) -> None:
        self.arenas = _arena.Arenas()
        self._released: deque[bytes] = deque()
        """Pins to give back. Appended to by finalisers."""
        self._fetch_lock = threading.Lock()
        self._located: dict[bytes, deque[Slot]] = {}
        self._fetched: dict[bytes, deque[Slot]] = {}
        """Objects that were located for a callback, whose `get_one` comes next."""
        self._created: dict[bytes, Slot] = {}

    def store_handlers(self) -> dict[str, Callable[[Any], None]]:
        """Handlers of the server's operations on stored objects."""
        return {
            "created": self._handle_created,
            "located": self._handle_located,
            "chunk": self._handle_chunk,
            "arena": self._handle_arena,
        }

    def post_drops(self) -> None:
        """Posts all that was let go of since the last time."""
        self.post_releases()

    def post_releases(self) -> None:
        """Posts the pins that are given back."""
        ids = []
        while self._released:
            ids.append(self._released.popleft())
        if ids:
            self.session.post_quietly(frames.RELEASE(frames.ids(1, ids)))

    def refuse_stored(self, kind: str, id: bytes, error: Callable[[], BaseException]) -> None:
        """An operation on an object was not taken: whoever waits for its answer learns why."""
        if kind == "create":
            slot = self._created.pop(id, None)
            if slot is not None:
                slot.set(error())
        elif kind == "fetch":
            for slot in self._located.pop(id, ()):
                slot.set(error())

    def fail_stored(self, error: Callable[[], BaseException]) -> None:
        """The session is over."""
        for id in list(self._created):
            self.refuse_stored("create", id, error)
        for id in list(self._located):
            self.refuse_stored("fetch", id, error)

    # ------------------------------------------------------------------------------------------------------------------------- answers

    def _handle_created(self, message: object_pb2.Created) -> None:
        slot = self._created.pop(message.object, None)
        if slot is not None:
            copy = object_pb2.Created()
            copy.CopyFrom(message)
            slot.set(copy)

    def _handle_located(self, message: object_pb2.Located) -> None:
        waiting = self._located.get(message.object)
        if not waiting:
            return
        slot = waiting[0]
        if message.WhichOneof("outcome") == "location" and message.location.arena == 0:
            # The bytes follow in chunks; only when the last has come is it somebody else's turn.
            slot.data = bytearray(message.location.size)
            if slot.data:
                return
        waiting.popleft()
        if not waiting:
            self._located.pop(message.object, None)
        copy = object_pb2.Located()
        copy.CopyFrom(message)
        slot.set(copy)

    def _handle_chunk(self, message: object_pb2.Chunk) -> None:
        waiting = self._located.get(message.object)
        slot = waiting[0] if waiting else None
        if slot is None or slot.data is None or waiting is None:
            return
        end = message.offset + len(message.data)
        if message.offset != slot.filled or end > len(slot.data):
            slot.set(
                _errors.ProtocolError(f"bytes {message.offset} to {end} of an object came after byte {slot.filled} of {len(slot.data)}")
            )
        else:
            slot.data[message.offset : end] = message.data
            slot.filled = end
            if end < len(slot.data):
                return
            slot.set(slot.data)
        waiting.popleft()
        if not waiting:
            self._located.pop(message.object, None)

    def _handle_arena(self, message: object_pb2.Arena) -> None:
        self.arenas.add(message.number, message.size, message.writable, self.session.take_descriptor())

    # ------------------------------------------------------------------------------------------------------------------------- reading

    def make_ref(self, id: bytes) -> ObjectRef[Any]:
        """See `_values.Referrer`."""
        raise NotImplementedError

    def adopt_ids(self, ids: list[bytes]) -> list[ObjectRef[Any]]:
        """See `_values.Referrer`."""
        raise NotImplementedError

    def adopt_refs(self, refs: list[ObjectRef[Any]]) -> None:
        """See `_values.Referrer`."""
        raise NotImplementedError

    def adopt_actor(self, id: bytes, class_name: str, interface: bytes) -> Any:
        """See `_values.Referrer`."""
        raise NotImplementedError

    def adopt_stream(self, id: bytes) -> Any:
        """See `_values.Referrer`."""
        raise NotImplementedError

    def prefetched(self, id: bytes, slot: Slot) -> None:
        """Keeps an answer for the `get_one` that a callback makes next."""
        self._fetched.setdefault(id, deque()).append(slot)

    def take_fetched(self, id: bytes) -> Slot | None:
        """An answer that was kept."""
        waiting = self._fetched.get(id)
        if not waiting:
            return None
        slot = waiting.popleft()
        if not waiting:
            self._fetched.pop(id, None)
        return slot

    def abandon(self, id: bytes, slot: Slot) -> None:
        """Gives back the pin that a fetch gave or will give, which nobody is left to use."""
        once = [id]

        def come() -> None:
            answer = slot.value
            if isinstance(answer, object_pb2.Located) and answer.HasField("location"):
                try:
                    self._released.append(once.pop())
                except IndexError:
                    pass  # Two threads saw the answer at once.

        slot.callback = come
        if slot.done():
            come()

    def fetch(self, id: bytes, callback: Callable[[], None] | None = None) -> Slot:
        """Asks where an object can be read. The answer holds a pin, which `located_value` or `abandon` must take over."""
        slot = Slot(callback)
        with self._fetch_lock:
            self._located.setdefault(id, deque()).append(slot)
            self.session.post_quietly(frames.FETCH(frames.ID_1 + id))
        return slot

    def located_value(self, id: bytes, slot: Slot) -> Any:
        """The value that an answer leads to."""
        answer = slot.value
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, bytearray):
            return _arena.decode(memoryview(answer).toreadonly(), self)
        outcome = answer.WhichOneof("outcome")
        if outcome == "location":
            return self.read_location(id, answer.location)
        if outcome == "value":
            value = answer.value
            return _values.decode(value.format, value.data, value.buffers, value.schema, self)
        raise _errors.from_failure(answer.failure)

    def fetch_value(self, id: bytes) -> Any:
        """The value of a stored object that comes in chunks."""
        slot = self.fetch(id)
        self.session.wait(slot.done)
        return self.located_value(id, slot)

    def read_location(self, id: bytes, location: Any) -> Any:
        """The value of a pinned object. The pin ends with the last view of its bytes."""
        released = self._released
        view = self.arenas.read(location.arena, location.offset, location.size, lambda: released.append(id))
        return _arena.decode(view, self)

    # ------------------------------------------------------------------------------------------------------------------------- writing

    def write(self, id: bytes, value: Encoded, task: bytes = b"", attempt: int = 0) -> None:
        """Creates, fills and seals a large object: of a put, or the result `id` of a task that runs here."""
        where = _arena.layout(value)
        try:
            try:
                location = self.create(id, where.size, task, attempt)
            except _errors.ThornbackError as error:
                if task and error.code == Code.DUPLICATE_ID:
                    return  # An earlier attempt has stored this item, and somebody may be reading it.
                raise
            if location.arena:
                _arena.fill(self.arenas.write(location.arena, location.offset, where.size), where, value)
            else:
                self.write_chunks(id, _arena.serialise(where, value))
            self.seal(id, value.refs)
        except BaseException:
            # Also a cancel or Ctrl-C at any point. Aborting what is sealed, or was refused, does nothing.
            self.abort(id)
            raise

    def write_chunks(self, id: bytes, data: bytearray) -> None:
        """Sends the bytes of a created object over a carrier without shared memory."""
        for start in range(0, len(data), _WRITE_BYTES):
            chunk = object_pb2.Write(object=id, offset=start, data=bytes(data[start : start + _WRITE_BYTES]))
            self.session.post(frames.WRITE(chunk.SerializeToString()))

    def abort(self, id: bytes) -> None:
        """Gives the room of an unsealed object back."""
        self.session.post(frames.ABORT(frames.ID_1 + id))

    def create(self, id: bytes, size: int, task: bytes = b"", attempt: int = 0) -> value_pb2.Location:
        """Asks for room and waits for it. Raises `OutOfDiskError`, `StoreFullError`."""
        # First what was let go of since, so that its room, whose pages are there already, can be had again.
        self.post_drops()
        slot = Slot()
        self._created[id] = slot
        message = object_pb2.Create(object=id, size=size, task=task, attempt=attempt)
        self.session.post_quietly(frames.CREATE(message.SerializeToString()))
        self.session.wait(slot.done)
        if isinstance(slot.value, BaseException):
            raise slot.value
        created: object_pb2.Created = slot.value
        if created.WhichOneof("outcome") == "failure":
            raise _errors.from_failure(created.failure)
        return created.location

    def seal(self, id: bytes, refs: Iterable[bytes] = ()) -> None:
        """Says that the bytes are whole."""
        self.session.post(frames.SEAL(frames.ID_1 + id + frames.ids(2, refs)))
