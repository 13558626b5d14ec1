"""Values: between Python objects and bytes.

Three ways, chosen by what the value is, never by what it costs:

- ``bytes`` travel as they are;
- what MessagePack represents *exactly* (None, bool, int of 64 bits, float, str, bytes, list, dict, refs) travels as MessagePack, which
  every language reads;
- everything else travels between Python processes as pickle protocol 5, its large buffers (numpy arrays above all) beside the
  pickle, so that they are copied once into shared memory and read there in place.

"Exactly" means that a tuple is not silently made a list. For a function that is called by name, whose language nobody here knows,
:func:`encode_portable` takes more liberties and refuses the rest with the name of what to use instead.

Refs inside a value are noted while it is encoded (:class:`Encoded`.refs), so that the server can count them.
"""

from __future__ import annotations

import datetime
import io
import pickle
import threading
import uuid
from collections.abc import Callable, Collection, Sequence
from struct import Struct
from typing import Any, Final, Protocol

import cloudpickle
import msgpack

from thornback._errors import UnserializableError, UnsupportedFormatError
from thornback._session import frames

RAW: Final = 1
MSGPACK: Final = 2
ARROW: Final = 3
TENSOR: Final = 4
PRIVATE: Final = 5
PICKLE: Final = "python/pickle5"
"""The name of our private format."""

_EXT_REF: Final = 1
_EXT_ACTOR: Final = 2
_EXT_TENSOR: Final = 3
_EXT_UUID: Final = 5
_EXT_BIG_INTEGER: Final = 6
_EXT_STREAM: Final = 7
_EXT_USERS: Final = 64

Buffer = bytes | memoryview


class Encoded:
    """A value as bytes, not yet in a frame or in the store."""

    __slots__ = ("buffers", "data", "format", "keep", "refs", "schema")

    def __init__(
        self, format: int, data: bytes, buffers: Sequence[memoryview] = (), refs: Sequence[bytes] = (), schema: str = "", keep: Any = None
    ) -> None:
        self.format = format
        self.data = data
        self.buffers = buffers
        self.refs = refs
        self.schema = schema
        self.keep = keep
        """Keeps the refs inside alive until the value has been sent."""

    @property
    def size(self) -> int:
        """Bytes of data and buffers."""
        return len(self.data) + sum(buffer.nbytes for buffer in self.buffers)

    def wire(self) -> bytes:
        """The body of a `Value` message."""
        parts = [b"\x08", bytes((self.format,)), b"\x12", frames.varint(len(self.data)), self.data]
        if self.refs:
            parts.append(frames.ids(3, self.refs))
        for buffer in self.buffers:
            parts += (b"\x22", frames.varint(buffer.nbytes), bytes(buffer))
        if self.schema:
            parts.append(frames.field(5, self.schema.encode()))
        return b"".join(parts)


class Referrer(Protocol):
    """What `decode` needs from the runtime to make refs and handles out of ids."""

    def make_ref(self, id: bytes) -> Any: ...
    def adopt_ids(self, ids: list[bytes]) -> list[Any]: ...
    def adopt_refs(self, refs: list[Any]) -> None: ...
    def adopt_actor(self, id: bytes, class_name: str, interface: bytes) -> Any: ...
    def adopt_stream(self, id: bytes) -> Any: ...


class Reference:
    """Base of what refers to something that is counted: object refs, streams, actor handles."""

    __slots__ = ()

    def _reference(self) -> tuple[int, bytes, bytes]:
        """Extension type, id, and the body of the extension."""
        raise NotImplementedError


class _Collector(threading.local):
    """The refs met by the encoding that this thread is in, or None outside of one."""

    met: dict[bytes, Any] | None = None


collector: Final = _Collector()

# ----------------------------------------------------------------------------------------------------------------------------- encoding

SCALARS: Final = frozenset({type(None), bool, int, float, str})
_pack_scalar: Final[Callable[[Any], bytes]] = msgpack.Packer(strict_types=True).pack
_PLAIN: Final = SCALARS | {bytes}
_FAITHFUL: Final = _PLAIN | {
    tuple,
    set,
    frozenset,
    bytearray,
    complex,
    list,
    dict,
    datetime.datetime,
    datetime.date,
    datetime.timedelta,
    uuid.UUID,
}
"""Types that plain `pickle` reads back anywhere, if what they hold is of such types too."""
_CONTAINERS_MAX: Final = 4096
_DEPTH_MAX: Final = 64


def scalar(value: Any) -> bytes | None:
    """The MessagePack of a value of one of the `SCALARS`; None if it has no exact one (a big integer, a lone surrogate)."""
    try:
        return _pack_scalar(value)
    except (OverflowError, ValueError, TypeError):
        return None


def encode(value: Any) -> Encoded:
    """Encodes a value for a Python receiver.

    Raises `UnserializableError`.
    """
    kind = type(value)
    if kind is bytes:
        return Encoded(RAW, value)
    if kind in SCALARS:
        data = scalar(value)
        if data is not None:
            return Encoded(MSGPACK, data)
    elif kind is list or kind is dict:
        met: dict[bytes, Reference] = {}
        if _exact(value, met):
            try:
                data = _pack_exact(value)
            except (OverflowError, ValueError, TypeError):
                pass
            else:
                return Encoded(MSGPACK, data, refs=tuple(met), keep=met)
    return _pickle(value)


def _pack_exact(value: Any) -> bytes:
    data: bytes = msgpack.Packer(strict_types=True, default=_reference_ext).pack(value)
    return data


def _reference_ext(value: Any) -> msgpack.ExtType:
    if isinstance(value, Reference):
        number, _id, body = value._reference()
        return msgpack.ExtType(number, body)
    if type(value) is int:
        raise OverflowError(value)
    raise TypeError(value)


def _exact(root: Any, met: dict[bytes, Any]) -> bool:
    """Whether MessagePack represents a list or dict exactly. Notes the refs in it.

    Looks at whole containers at a time, which costs tens of nanoseconds an element; a packer that refuses what is not exact would not
    do, because msgpack's takes a bytearray for bytes.
    """
    left = [(root, 0)]
    seen = 0
    while left:
        container, depth = left.pop()
        seen += 1
        if seen > _CONTAINERS_MAX or depth > _DEPTH_MAX:
            return False
        parts: Collection[Any]
        if type(container) is dict:
            if not set(map(type, container)) <= _PLAIN:
                return False
            parts = container.values()
        else:
            parts = container
        for kind in set(map(type, parts)) - _PLAIN:
            if kind is list or kind is dict:
                left += [(part, depth + 1) for part in parts if type(part) is kind]
            elif issubclass(kind, Reference):
                for part in parts:
                    if type(part) is kind:
                        met[part._reference()[1]] = part
            else:
                return False
    return True


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle, which ships by value what `__main__` and lambdas hold; everything that it can import goes by name."""


def _simple(value: Any) -> bool:
    """Whether plain pickle does as well as cloudpickle, which takes ten times as long for small values."""
    kind = type(value)
    if kind.__module__ == "numpy":
        dtype = getattr(value, "dtype", None)
        return dtype is not None and not dtype.hasobject
    if kind is tuple or kind is list or kind is set or kind is frozenset:
        return len(value) <= 64 and all(type(part) in _PLAIN or _simple(part) for part in value)
    if kind is dict:
        return len(value) <= 64 and all(type(key) in _PLAIN and (type(part) in _PLAIN or _simple(part)) for key, part in value.items())
    return kind in _FAITHFUL or issubclass(kind, Reference)


def _pickle(value: Any) -> Encoded:
    buffers: list[memoryview] = []

    def out_of_band(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes == 0:
            return True
        buffers.append(view)
        return False

    outer, collector.met = collector.met, {}
    try:
        try:
            simple = _simple(value)
        except RecursionError:
            simple = False
        if simple:
            data = pickle.dumps(value, protocol=5, buffer_callback=out_of_band)
        else:
            file = io.BytesIO()
            _Pickler(file, protocol=5, buffer_callback=out_of_band).dump(value)
            data = file.getvalue()
        met = collector.met
    except UnserializableError:
        raise
    except Exception as error:
        path, culprit = _culprit(value, _pickles)
        raise UnserializableError(
            f"{path or 'the value'}, a {_type_name(culprit)}, cannot be pickled: {type(error).__name__}: {error}; "
            "pass what it was made from, or give its class a __reduce__"
        ) from error
    finally:
        collector.met = outer
    if outer is not None:
        outer.update(met)
    return Encoded(PRIVATE, data, buffers, tuple(met), PICKLE, keep=met)


def dumps_code(definition: Any) -> Encoded:
    """Encodes the definition of a function or class, by value."""
    outer, collector.met = collector.met, {}
    try:
        file = io.BytesIO()
        _Pickler(file, protocol=5).dump(definition)
        met = collector.met
    except UnserializableError:
        raise
    except Exception as error:
        raise UnserializableError(
            f"the definition of {getattr(definition, '__qualname__', definition)!r} cannot be pickled: {type(error).__name__}: {error}; "
            "it must not refer to what cannot leave this process, such as locks, files and sockets"
        ) from error
    finally:
        collector.met = outer
    return Encoded(PRIVATE, file.getvalue(), refs=tuple(met), schema=PICKLE, keep=met)


def _type_name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _culprit(value: Any, encodes: Callable[[Any], bool]) -> tuple[str, Any]:
    """The innermost part of a value that cannot be encoded, and the way to it, such as `['model'].lock`."""
    path = ""
    seen: set[int] = set()
    while id(value) not in seen and len(seen) < _DEPTH_MAX:
        seen.add(id(value))
        for step, part in _parts(value):
            if not encodes(part):
                path += step
                value = part
                break
        else:
            break
    return path, value


def _parts(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(f"[{key!r}]", part) for key, part in value.items()]
    if isinstance(value, (list, tuple)):
        return [(f"[{position}]", part) for position, part in enumerate(value)]
    return [(f".{name}", part) for name, part in getattr(value, "__dict__", {}).items()] if not isinstance(value, type) else []


def _pickles(value: Any) -> bool:
    try:
        _Pickler(io.BytesIO(), protocol=5).dump(value)
    except Exception:
        return False
    return True


def _packs(value: Any) -> bool:
    try:
        msgpack.Packer(default=_portable_ext, datetime=True).pack(value)
    except Exception:
        return False
    return True


# ----------------------------------------------------------------------------------------------------------------------------- portable


def encode_portable(value: Any) -> Encoded:
    """Encodes a value for a receiver of any language. Tuples become lists; what has no portable form is refused.

    Raises `UnserializableError`, which says what to use instead.
    """
    if type(value) is bytes:
        return Encoded(RAW, value)
    if type(value).__module__ == "numpy" and type(value).__name__ == "ndarray" and not value.dtype.hasobject:
        return _tensor(value)
    met: dict[bytes, Any] = {}
    outer, collector.met = collector.met, met
    try:
        data: bytes = msgpack.Packer(default=_portable_ext, datetime=True).pack(value)
    except (UnserializableError, TypeError, ValueError, OverflowError, RecursionError) as error:
        path, culprit = _culprit(value, _packs)
        if isinstance(error, UnserializableError):
            raise UnserializableError(f"{path}: {error}" if path else str(error)) from None
        raise UnserializableError(f"{path or 'the value'}, a {_type_name(culprit)}, has no portable form: {error}") from error
    finally:
        collector.met = outer
    return Encoded(MSGPACK, data, refs=tuple(met), keep=met)


def _portable_ext(value: Any) -> Any:
    if isinstance(value, Reference):
        number, id, body = value._reference()
        if collector.met is not None:
            collector.met[id] = value
        return msgpack.ExtType(number, body)
    if isinstance(value, uuid.UUID):
        return msgpack.ExtType(_EXT_UUID, value.bytes)
    if isinstance(value, int):
        magnitude = abs(value)
        sign = b"\1" if value < 0 else b"\0"
        return msgpack.ExtType(_EXT_BIG_INTEGER, sign + magnitude.to_bytes((magnitude.bit_length() + 7) // 8, "big"))
    if isinstance(value, datetime.datetime):
        raise UnserializableError("a datetime without a time zone names no instant; give it one, such as tzinfo=datetime.timezone.utc")
    if isinstance(value, (set, frozenset)):
        raise UnserializableError("a set has no portable form; pass a sorted list")
    if type(value).__module__ == "numpy":
        if type(value).__name__ == "ndarray" and not value.dtype.hasobject:
            elements = value.tobytes()
            return msgpack.ExtType(_EXT_TENSOR, msgpack.packb([value.dtype.str, list(value.shape), None, elements]))
        if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
            return value.item()
    raise UnserializableError(
        f"a value of type {type(value).__module__}.{type(value).__qualname__} has no portable form, and the function is called by name, so "
        "its language is not known; pass None, bool, int, float, str, bytes, list, dict, datetime, UUID, numpy arrays or refs"
    )


def _tensor(array: Any) -> Encoded:
    """A dense numpy array, its elements beside its description."""
    import numpy

    array = numpy.ascontiguousarray(array)
    schema = f"{array.dtype.str};{tuple(array.shape)};{tuple(array.strides)}"
    buffers = [memoryview(array).cast("B")] if array.nbytes else []
    return Encoded(TENSOR, b"", buffers, schema=schema)


def from_tensor(schema: str, buffer: Buffer, *, writable: bool = False) -> Any:
    """A numpy array over the elements of a tensor, in place."""
    dtype, _, rest = schema.partition(";")
    shape, _, strides = rest.partition(";")
    return _array(dtype, _integers(shape), _integers(strides) if strides else None, buffer, writable=writable)


def _integers(text: str) -> tuple[int, ...]:
    """Reads `(2, 3)`, `(3,)` and `()`."""
    if not (text.startswith("(") and text.endswith(")")):
        raise UnsupportedFormatError(f"a tensor is described by {text!r}, which is no list of dimensions")
    try:
        return tuple(int(part) for part in text[1:-1].split(",") if part.strip())
    except ValueError:
        raise UnsupportedFormatError(f"a tensor is described by {text!r}, which is no list of dimensions") from None


def _array(dtype: str, shape: tuple[int, ...], strides: tuple[int, ...] | None, buffer: Buffer, *, writable: bool) -> Any:
    try:
        import numpy
    except ImportError:
        raise UnsupportedFormatError("the value is a tensor; install numpy to read it") from None
    try:
        described = numpy.dtype(dtype)
        if described.hasobject or any(step < 0 for step in strides or ()):
            raise ValueError("a tensor holds no objects and goes forward")
        array: Any = numpy.ndarray(shape, described, buffer, strides=strides)
        array.flags.writeable = writable
        return array
    except (ValueError, TypeError) as error:
        raise UnsupportedFormatError(f"a tensor of {dtype!r}, shape {shape}, strides {strides} cannot be read: {error}") from error


# ----------------------------------------------------------------------------------------------------------------------------- decoding

TINY: Final[dict[bytes, Any]] = {
    b"\xc0": None,
    b"\xc2": False,
    b"\xc3": True,
    **{bytes((n,)): n for n in range(128)},
    **{bytes((0x100 + n,)): n for n in range(-32, 0)},
}
"""MessagePack of one byte, which most results are."""


def _plain_ext(number: int, body: bytes, buffers: Sequence[Buffer] = ()) -> Any:
    if number == _EXT_UUID:
        return uuid.UUID(bytes=body)
    if number == _EXT_BIG_INTEGER:
        magnitude = int.from_bytes(body[1:], "big")
        value = -magnitude if body[0] else magnitude
        if body[0] > 1 or body[1] == 0 or -(2**63) <= value < 2**64:
            raise UnsupportedFormatError(f"a value holds {value} as a big integer, which is not how it is written")
        return value
    if number == _EXT_TENSOR:
        dtype, shape, strides, elements = msgpack.unpackb(body)
        where = buffers[elements] if type(elements) is int else elements
        return _array(dtype, tuple(shape), tuple(strides) if strides else None, where, writable=False)
    if number >= _EXT_USERS:
        return msgpack.ExtType(number, body)
    raise UnsupportedFormatError(f"a value holds MessagePack extension {number}, which this version does not know")


_TIMESTAMPS: Final = (b"\xd6\xff", b"\xd7\xff", b"\xc7\x0c\xff")


def _unpack(data: Buffer, ext: Callable[[int, bytes], Any]) -> Any:
    data = bytes(data)
    try:
        value = msgpack.unpackb(data, ext_hook=ext, strict_map_key=False)
        # What looks like a timestamp may be part of a string; then there is nothing to replace.
        return _dates(value) if any(head in data for head in _TIMESTAMPS) else value
    except UnsupportedFormatError:
        raise
    except Exception as error:
        raise UnsupportedFormatError(f"a value cannot be read as MessagePack: {type(error).__name__}: {error}") from error


def _dates(value: Any) -> Any:
    """Timestamps as `datetime`, where that is exact; `datetime` ends in microseconds and in the year 9999."""
    kind = type(value)
    if kind is msgpack.Timestamp:
        try:
            return value if value.nanoseconds % 1000 else value.to_datetime()
        except (OverflowError, ValueError):
            return value
    if kind is list:
        return [_dates(part) for part in value]
    if kind is dict:
        return {_dates(key): _dates(part) for key, part in value.items()}
    return value


def unpack_plain(data: bytes) -> Any:
    """Reads MessagePack that refers to nothing."""
    return TINY[data] if len(data) == 1 and data in TINY else _unpack(data, _plain_ext)


def unpack(data: Buffer, referrer: Referrer, buffers: Sequence[Buffer] = ()) -> Any:
    """Reads MessagePack."""
    ids = _list_of_refs(data)
    if ids is not None:
        return referrer.adopt_ids(ids)
    refs: list[Any] = []

    def ext(number: int, body: bytes) -> Any:
        if number == _EXT_REF:
            ref = referrer.make_ref(body)
            refs.append(ref)
            return ref
        if number == _EXT_ACTOR:
            id, class_name, interface = msgpack.unpackb(body)
            return referrer.adopt_actor(id, class_name, interface)
        if number == _EXT_STREAM:
            return referrer.adopt_stream(body)
        return _plain_ext(number, body, buffers)

    try:
        return _unpack(data, ext)
    finally:
        # Counted together, since a list may hold thousands; and in any case, since each takes its count back when it goes.
        if refs:
            referrer.adopt_refs(refs)


_REF_BYTES: Final = 18
_REF_CUT: Final = Struct("2x16s")


def _list_of_refs(data: Buffer) -> list[bytes] | None:
    """The ids in a list that holds nothing but refs, which may be thousands; None for any other value.

    Each element is of 18 bytes: fixext 16, the type, the id.
    """
    first = data[0] if len(data) else 0
    if first == 0xDC:
        start, count = 3, int.from_bytes(data[1:3], "big")
    elif first == 0xDD:
        start, count = 5, int.from_bytes(data[1:5], "big")
    else:
        return None
    if not count or len(data) != start + count * _REF_BYTES:
        return None
    data = bytes(data[start:])
    if data[::_REF_BYTES] != b"\xd8" * count or data[1::_REF_BYTES] != bytes((_EXT_REF,)) * count:
        return None
    return [id for (id,) in _REF_CUT.iter_unpack(data)]


def decode(format: int, data: Buffer, buffers: Sequence[Buffer], schema: str, referrer: Referrer) -> Any:
    """Reads a value of any format.

    Raises `UnsupportedFormatError`; what the classes of a pickled value raise while they are made passes through.
    """
    if format == MSGPACK:
        return unpack(data, referrer, buffers)
    if format == RAW:
        return bytes(data)
    if format == PRIVATE and schema == PICKLE:
        # Read-only, wherever they lie: a receiver that may write into one buffer must not find out that it may not into a larger one.
        return pickle.loads(data, buffers=[memoryview(buffer).toreadonly() for buffer in buffers])
    if format == TENSOR:
        return from_tensor(schema, buffers[0] if buffers else b"")
    if format == ARROW:
        try:
            import pyarrow  # type: ignore[import-not-found, import-untyped, unused-ignore]
        except ImportError:
            raise UnsupportedFormatError("the value is an Arrow table; install pyarrow to read it") from None
        return pyarrow.ipc.open_stream(data).read_all()
    name = schema or {0: "unspecified", PRIVATE: "private"}.get(format, str(format))
    raise UnsupportedFormatError(
        f"the value is in the format {name!r}, which Python cannot read; its sender should use a portable one (MessagePack, Arrow, tensor)"
    )
