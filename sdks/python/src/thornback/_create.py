"""Create, then fill: an object whose bytes are written where they will stay, without a copy."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from thornback import _arena, _errors, _runtime, _values
from thornback._object import ObjectRef


class Creation:
    """Room for one object, filled inside a ``with`` block and sealed at its end::

        with thornback.create((1000, 1000), dtype="float32") as room:
            numpy.multiply(a, b, out=room.array)
        ref = room.ref

    If the block raises, the room is given back. Views of it must not be written to after the block.
    """

    def __init__(self, nbytes: int, schema: str = "") -> None:
        """Not for users: `create` makes them."""
        runtime: Any = _runtime.require()
        self._runtime = runtime
        self._schema = schema
        self._id: bytes = runtime.ids.prefix() + b"\0\0\0\1"
        self._layout = _arena.Layout(_values.TENSOR, schema, [0, nbytes]) if schema else _arena.Layout(_values.RAW, "", [nbytes])
        self._ref: ObjectRef[Any] | None = None
        self._local: bytearray | None = None
        size = self._layout.size
        location = runtime.create(self._id, size)
        if location.arena:
            room = runtime.arenas.write(location.arena, location.offset, size).view
        else:
            # A carrier without shared memory: filled here, sent at the end.
            self._local = bytearray(size)
            room = memoryview(self._local)
        room[: len(self._layout.head)] = self._layout.head
        start = self._layout.offsets[-1]
        self.buffer: memoryview = room[start : start + nbytes]
        """The bytes to fill."""

    @property
    def array(self) -> Any:
        """The bytes to fill, as a numpy array."""
        if not self._schema:
            import numpy

            return numpy.frombuffer(self.buffer, dtype="u1")
        return _values.from_tensor(self._schema, self.buffer, writable=True)

    @property
    def ref(self) -> ObjectRef[Any]:
        """The ref of the finished object. Of raw bytes its value is `bytes`; of an array, an array read in place."""
        if self._ref is None:
            raise _errors.InvalidArgumentError("the object is not sealed yet; its ref exists after the with block")
        return self._ref

    def __enter__(self) -> Creation:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            self._runtime.abort(self._id)
            return
        if self._local is not None:
            self._runtime.write_chunks(self._id, self._local)
        self._runtime.seal(self._id)
        self._ref = self._runtime.adopt_stored(self._id, self._layout.size)


def create(shape: int | tuple[int, ...], dtype: Any = None) -> Creation:
    """Room for an object to be filled in place: `shape` bytes, or with `dtype` a numpy array of that shape.

    Raises `OutOfDiskError` or `StoreFullError` if there is no room.
    """
    if dtype is None:
        if not isinstance(shape, int) or isinstance(shape, bool) or shape < 0:
            raise TypeError(f"without a dtype, the size is a number of bytes, not {shape!r}")
        return Creation(shape)
    import numpy

    described = numpy.dtype(dtype)
    if described.hasobject:
        raise TypeError("an array of Python objects cannot be filled in shared memory")
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    nbytes = described.itemsize
    for size in sizes:
        nbytes *= size
    steps = []
    step = described.itemsize
    for size in reversed(sizes):
        steps.append(step)
        step *= max(size, 1)
    return Creation(nbytes, f"{described.str};{sizes};{tuple(reversed(steps))}")
