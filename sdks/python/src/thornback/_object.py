"""Refs: what stands for an object that exists, or will."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Generator, Iterator
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from thornback import _errors, _values
from thornback._values import Reference

if TYPE_CHECKING:
    # Imported where they are used: together they take as long to import as the rest of the package.
    import asyncio
    import concurrent.futures

    from thornback._runtime import Home

T_co = TypeVar("T_co", covariant=True)


class ObjectRef(Reference, Generic[T_co]):
    """Stands for the result of a call, or for what was `put`.

    Passed as an argument of a call it is replaced by its value; inside another value it stays a ref. The object lives as long as
    somebody holds a ref to it. ``await ref`` waits for the value in a coroutine.
    """

    __slots__ = ("__weakref__", "_home", "_id")

    def __init__(self, id: bytes, home: Home) -> None:
        """Not for users: takes over one count on `id` that `home` holds."""
        self._id = id
        self._home = home

    def __del__(self) -> None:
        # May run in any thread at any moment, even in the middle of the session's own code: it must not take a lock.
        self._home.dropped.append(self._id)

    def binary(self) -> bytes:
        """The 16 bytes of the id."""
        return self._id

    def hex(self) -> str:
        """The id in hexadecimal."""
        return self._id.hex()

    def task_id(self) -> bytes:
        """The id of the task that makes the object."""
        return self._id[:12] + b"\0\0\0\0"

    def __hash__(self) -> int:
        return hash(self._id)

    def __eq__(self, other: object) -> bool:
        return self._id == other._id if isinstance(other, ObjectRef) else NotImplemented

    def __repr__(self) -> str:
        return f"ObjectRef({self._id.hex()})"

    def future(self) -> concurrent.futures.Future[T_co]:
        """A future of the value, for code that speaks `concurrent.futures`."""
        import concurrent.futures

        future: concurrent.futures.Future[T_co] = concurrent.futures.Future()
        future.set_running_or_notify_cancel()

        def done() -> None:
            try:
                future.set_result(self._read(self._home.get_one(self, 0)))
            except BaseException as error:
                future.set_exception(error)

        self._home.when_readable(self, done)
        return future

    def as_future(self) -> asyncio.Future[T_co]:
        """A future of the value in the running event loop."""
        import asyncio

        loop = asyncio.get_running_loop()
        future: asyncio.Future[T_co] = loop.create_future()

        def finish() -> None:
            if future.done():
                return
            try:
                future.set_result(self._read(self._home.get_one(self, 0)))
            except BaseException as error:
                # A future refuses StopIteration, which would end the coroutine that awaits it.
                future.set_exception(RuntimeError(str(error)) if isinstance(error, StopIteration) else error)

        def done() -> None:
            try:
                loop.call_soon_threadsafe(finish)
            except RuntimeError:
                pass  # The loop is closed; nobody waits any more.

        self._home.when_readable(self, done)
        return future

    def __await__(self) -> Generator[Any, None, T_co]:
        return self.as_future().__await__()

    def _read(self, value: Any) -> Any:
        """What users are given of the object's value."""
        return value

    def _reference(self) -> tuple[int, bytes, bytes]:
        return _values._EXT_REF, self._id, self._id

    def __reduce__(self) -> tuple[Any, ...]:
        met = _values.collector.met
        if met is not None:
            met[self._id] = self
        else:
            # Pickled by somebody else: nobody knows how long the bytes live, so the object lives as long as its owner.
            self._home.pin(self._id)
        return _adopt_ref, (self._id,)


class Reader(Protocol[T_co]):
    """Makes what an interface says of a portable value."""

    def decode(self, value: Any, path: str) -> T_co: ...


class TypedRef(ObjectRef[T_co]):
    """A ref whose value is of a type that an interface says. Passed on, it is a ref like any other."""

    __slots__ = ("_inner", "_path", "_reader")

    def __init__(self, inner: ObjectRef[Any], reader: Reader[T_co], path: str) -> None:
        """Not for users: stubs make them."""
        super().__init__(inner._id, inner._home)
        self._inner = inner
        self._reader = reader
        self._path = path

    def __del__(self) -> None:
        pass  # The count is that of `_inner`.

    def _read(self, value: Any) -> T_co:
        return self._reader.decode(value, self._path)


def _adopt_ref(id: bytes) -> ObjectRef[Any]:
    """Unpickles a ref."""
    from thornback import _runtime

    return _runtime.require().adopt_ref(id)


class ObjectRefGenerator(Reference, Generic[T_co]):
    """The results of a streaming task, as refs, each as soon as it is there.

    Iterate over it with ``for`` or ``async for``. An exception of the task comes after the items that were yielded before: as a last
    ref, whose `get` raises it. To drop the generator is to end the stream.
    """

    __slots__ = ("__weakref__", "_home", "_id", "_taken")

    def __init__(self, id: bytes, home: Home, taken: int = 0) -> None:
        self._id = id
        self._home = home
        self._taken = taken

    def __del__(self) -> None:
        self._home.dropped.append(self._id)

    def __iter__(self) -> Iterator[ObjectRef[T_co]]:
        return self

    def __next__(self) -> ObjectRef[T_co]:
        return self.next()

    def next(self, timeout: float | None = None) -> ObjectRef[T_co]:
        """The next item's ref. Raises `StopIteration` at the end, `GetTimeoutError` after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self._home.wait_stream(self._id, self._taken, deadline):
            raise _errors.GetTimeoutError(f"no further item of the stream {self._id.hex()} within {timeout} s")
        return self._take()

    def _take(self) -> ObjectRef[T_co]:
        ref = self._home.take_item(self._id, self._taken)
        if ref is None:
            raise StopIteration
        self._taken += 1
        return ref

    def __aiter__(self) -> AsyncIterator[ObjectRef[T_co]]:
        return self

    async def __anext__(self) -> ObjectRef[T_co]:
        import asyncio

        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def finish() -> None:
            if not future.done():
                future.set_result(None)

        def done() -> None:
            try:
                loop.call_soon_threadsafe(finish)
            except RuntimeError:
                pass

        self._home.when_streamed(self._id, self._taken, done)
        await future
        ref = self._home.take_item(self._id, self._taken)
        if ref is None:
            raise StopAsyncIteration
        self._taken += 1
        return ref

    def completed(self) -> ObjectRef[None]:
        """A ref that becomes ready when the stream ends: None, or the exception that ended it."""
        return self._home.stream_completed(self._id)

    def is_finished(self) -> bool:
        """Whether every item has been taken and the stream has ended."""
        return self._home.stream_finished(self._id, self._taken)

    def task_id(self) -> bytes:
        """The id of the task that yields the items."""
        return self._id

    def __repr__(self) -> str:
        return f"ObjectRefGenerator({self._id.hex()})"

    def _reference(self) -> tuple[int, bytes, bytes]:
        raise _errors.UnserializableError("a stream has one reader and cannot be passed on; pass the refs that it yields")

    def __reduce__(self) -> tuple[Any, ...]:
        self._reference()
        raise AssertionError


class TypedStream(ObjectRefGenerator[T_co]):
    """A stream whose items are of a type that an interface says."""

    __slots__ = ("_inner", "_path", "_reader")

    def __init__(self, inner: ObjectRefGenerator[Any], reader: Reader[T_co], path: str) -> None:
        """Not for users: stubs make them."""
        super().__init__(inner._id, inner._home, inner._taken)
        self._inner = inner
        self._reader = reader
        self._path = path

    def __del__(self) -> None:
        pass  # `_inner` ends the stream.

    def _take(self) -> ObjectRef[T_co]:
        return TypedRef(super()._take(), self._reader, self._path)

    async def __anext__(self) -> ObjectRef[T_co]:
        return TypedRef(await super().__anext__(), self._reader, self._path)
