"""Typed interfaces: what the modules that ``thornback gen --lang python`` writes are made of.

A user meets `Ok` and `Err`, and what every stub has: ``.remote(...)`` and ``.options(...)``. The rest is for generated code, which is
written against this module and made again when it changes.

What crosses the wire are portable values as ``protocol/spec/interface.md`` lays them down; a `Codec` is the way there and back of one
type. A value that does not fit is refused with the path to it, on whichever side it turns up first: ``resize.options.width: 70000 is
not a u16``.
"""

from __future__ import annotations

import abc
import enum
import inspect
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, TypeVar

from thornback import _client, _errors, worker
from thornback._actor import ActorClass, ActorHandle, ActorMethod, MethodSpec
from thornback._object import ObjectRef, ObjectRefGenerator, TypedRef, TypedStream
from thornback._options import Options
from thornback._signature import Signature
from thornback._task import RemoteFunction

T = TypeVar("T")
E = TypeVar("E")
A = TypeVar("A", bound="Actor")
F = TypeVar("F", bound="Function[Any]")
M = TypeVar("M", bound="Method[Any]")
C = TypeVar("C", bound="Class[Any]")


@dataclass(frozen=True)
class Ok(Generic[T]):
    """The good side of a ``result``."""

    value: T


@dataclass(frozen=True)
class Err(Generic[E]):
    """The other side of a ``result``: an answer like any other, and no exception."""

    error: E


# ------------------------------------------------------------------------------------------------------------------------------- values


class Codec(abc.ABC, Generic[T]):
    """The way of one type to a portable value and back. `path` says of what, for those who are told that it does not fit."""

    @abc.abstractmethod
    def encode(self, value: T, path: str) -> Any:
        """A portable value. Raises `TypeError` or `ValueError`."""

    @abc.abstractmethod
    def decode(self, value: Any, path: str) -> T:
        """From a portable value. Raises `MisfitError`."""


def _wrong(path: str, value: Any, what: str) -> TypeError:
    return TypeError(f"{path}: {_say(value)} is not {what}")


def _misfit(path: str, value: Any, what: str) -> _errors.MisfitError:
    return _errors.MisfitError(f"{path}: {_say(value)} is not {what}")


def _say(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({type(value).__name__})"


class _Bool(Codec[bool]):
    def encode(self, value: bool, path: str) -> Any:
        if type(value) is not bool:
            raise _wrong(path, value, "a bool")
        return value

    def decode(self, value: Any, path: str) -> bool:
        if type(value) is not bool:
            raise _misfit(path, value, "a bool")
        return value


class _Integer(Codec[int]):
    def __init__(self, name: str, least: int, most: int) -> None:
        self._what = f"{'an' if name[0] == 's' else 'a'} {name}"
        self._least = least
        self._most = most

    def encode(self, value: int, path: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong(path, value, self._what)
        if not self._least <= value <= self._most:
            raise ValueError(f"{path}: {value} is not {self._what}: from {self._least} to {self._most}")
        return int(value)

    def decode(self, value: Any, path: str) -> int:
        if type(value) is not int:
            raise _misfit(path, value, self._what)
        if not self._least <= value <= self._most:
            raise _errors.MisfitError(f"{path}: {value} is not {self._what}: from {self._least} to {self._most}")
        return value


class _Float(Codec[float]):
    def __init__(self, name: str, narrow: bool) -> None:
        self._what = f"an {name}"
        self._narrow = narrow

    def encode(self, value: float, path: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _wrong(path, value, self._what)
        try:
            return self._fit(float(value))
        except OverflowError:
            raise ValueError(f"{path}: {value} is not {self._what}: it is too large") from None

    def decode(self, value: Any, path: str) -> float:
        if type(value) is not float and type(value) is not int:
            raise _misfit(path, value, self._what)
        try:
            fitting = self._fit(float(value))
        except OverflowError:
            raise _errors.MisfitError(f"{path}: {value} is not {self._what}: it is too large") from None
        if type(value) is int and fitting != value:
            # Python compares integers and floats exactly.
            raise _misfit(path, value, self._what)
        return fitting

    def _fit(self, value: float) -> float:
        if not self._narrow or math.isnan(value):
            return value
        narrow: float = struct.unpack("<f", struct.pack("<f", value))[0]
        return narrow


class _Char(Codec[str]):
    def encode(self, value: str, path: str) -> Any:
        if not isinstance(value, str) or len(value) != 1:
            raise _wrong(path, value, "a char: text of one character")
        return value

    def decode(self, value: Any, path: str) -> str:
        if type(value) is not str or len(value) != 1:
            raise _misfit(path, value, "a char: text of one character")
        return value


class _Text(Codec[str]):
    def encode(self, value: str, path: str) -> Any:
        if not isinstance(value, str):
            raise _wrong(path, value, "a string")
        return value

    def decode(self, value: Any, path: str) -> str:
        if type(value) is not str:
            raise _misfit(path, value, "a string")
        return value


class _Bytes(Codec[bytes]):
    def encode(self, value: bytes, path: str) -> Any:
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise _wrong(path, value, "a list<u8>: bytes")
        return bytes(value)

    def decode(self, value: Any, path: str) -> bytes:
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise _misfit(path, value, "a list<u8>: bytes")
        return bytes(value)


class _Nothing(Codec[None]):
    def encode(self, value: None, path: str) -> Any:
        if value is not None:
            raise _wrong(path, value, "None: there is nothing to give")
        return None

    def decode(self, value: Any, path: str) -> None:
        if value is not None:
            raise _misfit(path, value, "nil")


BOOL: Final[Codec[bool]] = _Bool()
U8: Final[Codec[int]] = _Integer("u8", 0, 2**8 - 1)
U16: Final[Codec[int]] = _Integer("u16", 0, 2**16 - 1)
U32: Final[Codec[int]] = _Integer("u32", 0, 2**32 - 1)
U64: Final[Codec[int]] = _Integer("u64", 0, 2**64 - 1)
S8: Final[Codec[int]] = _Integer("s8", -(2**7), 2**7 - 1)
S16: Final[Codec[int]] = _Integer("s16", -(2**15), 2**15 - 1)
S32: Final[Codec[int]] = _Integer("s32", -(2**31), 2**31 - 1)
S64: Final[Codec[int]] = _Integer("s64", -(2**63), 2**63 - 1)
F32: Final[Codec[float]] = _Float("f32", narrow=True)
F64: Final[Codec[float]] = _Float("f64", narrow=False)
CHAR: Final[Codec[str]] = _Char()
STRING: Final[Codec[str]] = _Text()
BYTES: Final[Codec[bytes]] = _Bytes()
NOTHING: Final[Codec[None]] = _Nothing()


class _List(Codec[list[T]]):
    def __init__(self, item: Codec[T]) -> None:
        self._item = item

    def encode(self, value: list[T], path: str) -> Any:
        if not isinstance(value, (list, tuple)):
            raise _wrong(path, value, "a list")
        return [self._item.encode(item, f"{path}[{i}]") for i, item in enumerate(value)]

    def decode(self, value: Any, path: str) -> list[T]:
        if not isinstance(value, (list, tuple)):
            raise _misfit(path, value, "a list")
        return [self._item.decode(item, f"{path}[{i}]") for i, item in enumerate(value)]


class _Option(Codec[Any]):
    def __init__(self, some: Codec[Any]) -> None:
        self._some = some

    def encode(self, value: Any, path: str) -> Any:
        return None if value is None else self._some.encode(value, path)

    def decode(self, value: Any, path: str) -> Any:
        return None if value is None else self._some.decode(value, path)


class _Tuple(Codec[Any]):
    def __init__(self, parts: Sequence[Codec[Any]]) -> None:
        self._parts = parts
        self._what = f"a tuple of {len(parts)}"

    def encode(self, value: Any, path: str) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) != len(self._parts):
            raise _wrong(path, value, self._what)
        return [part.encode(item, f"{path}[{i}]") for i, (part, item) in enumerate(zip(self._parts, value, strict=True))]

    def decode(self, value: Any, path: str) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) != len(self._parts):
            raise _misfit(path, value, self._what)
        return tuple(part.decode(item, f"{path}[{i}]") for i, (part, item) in enumerate(zip(self._parts, value, strict=True)))


class _Result(Codec[Any]):
    def __init__(self, ok: Codec[Any] | None, err: Codec[Any] | None) -> None:
        self._ok = ok or NOTHING
        self._err = err or NOTHING

    def encode(self, value: Any, path: str) -> Any:
        if isinstance(value, Ok):
            return {"ok": self._ok.encode(value.value, f"{path}.ok")}
        if isinstance(value, Err):
            return {"err": self._err.encode(value.error, f"{path}.err")}
        raise _wrong(path, value, "a result: thornback.interface.Ok(…) or Err(…)")

    def decode(self, value: Any, path: str) -> Any:
        if isinstance(value, dict) and len(value) == 1:
            if "ok" in value:
                return Ok(self._ok.decode(value["ok"], f"{path}.ok"))
            if "err" in value:
                return Err(self._err.decode(value["err"], f"{path}.err"))
        raise _misfit(path, value, "a result: a map of `ok` or `err`")


class _Record(Codec[T]):
    def __init__(self, cls: type[T], fields: Sequence[tuple[str, str, Codec[Any]]]) -> None:
        self._cls = cls
        self._fields = fields
        self._known = frozenset(key for key, _, _ in fields)

    def encode(self, value: T, path: str) -> Any:
        if not isinstance(value, self._cls):
            raise _wrong(path, value, f"a {self._cls.__name__}")
        return {key: codec.encode(getattr(value, name), f"{path}.{key}") for key, name, codec in self._fields}

    def decode(self, value: Any, path: str) -> T:
        if not isinstance(value, dict):
            raise _misfit(path, value, f"a {self._cls.__name__}: a map")
        if not self._known.issuperset(value):
            odd = next(key for key in value if key not in self._known)
            raise _errors.MisfitError(f"{path}: there is no field {_say(odd)} in a {self._cls.__name__}")
        fields = {}
        for key, name, codec in self._fields:
            if key not in value and not isinstance(codec, _Option):
                raise _errors.MisfitError(f"{path}.{key}: it is missing")
            fields[name] = codec.decode(value.get(key), f"{path}.{key}")
        return self._cls(**fields)


class _Variant(Codec[Any]):
    def __init__(self, name: str, cases: Sequence[tuple[str, type, Codec[Any] | None]]) -> None:
        self._name = name
        self._by_class = {cls: (key, codec) for key, cls, codec in cases}
        self._by_key = {key: (cls, codec) for key, cls, codec in cases}

    def encode(self, value: Any, path: str) -> Any:
        case = self._by_class.get(type(value))
        if case is None:
            raise _wrong(path, value, f"a {self._name}: one of {', '.join(cls.__name__ for cls in self._by_class)}")
        key, codec = case
        return {key: None if codec is None else codec.encode(value.value, f"{path}.{key}")}

    def decode(self, value: Any, path: str) -> Any:
        if not isinstance(value, dict) or len(value) != 1:
            raise _misfit(path, value, f"a {self._name}: a map of one entry")
        ((key, held),) = value.items()
        case = self._by_key.get(key) if isinstance(key, str) else None
        if case is None:
            raise _misfit(path, key, f"a case of {self._name}: one of {', '.join(self._by_key)}")
        cls, codec = case
        if codec is None:
            NOTHING.decode(held, f"{path}.{key}")
            return cls()
        return cls(codec.decode(held, f"{path}.{key}"))


class _Enum(Codec[Any]):
    def __init__(self, cls: type[enum.Enum]) -> None:
        self._cls = cls
        self._by_text = {str(member.value): member for member in cls}

    def encode(self, value: Any, path: str) -> Any:
        if not isinstance(value, self._cls):
            raise _wrong(path, value, f"a {self._cls.__name__}")
        return value.value

    def decode(self, value: Any, path: str) -> Any:
        member = self._by_text.get(value) if isinstance(value, str) else None
        if member is None:
            raise _misfit(path, value, f"a {self._cls.__name__}: one of {', '.join(self._by_text)}")
        return member


class _Flags(Codec[Any]):
    def __init__(self, cls: type[enum.Flag], names: Sequence[str]) -> None:
        self._cls = cls
        self._bits = {name: 1 << i for i, name in enumerate(names)}

    def encode(self, value: Any, path: str) -> Any:
        if not isinstance(value, self._cls):
            raise _wrong(path, value, f"a {self._cls.__name__}")
        return [name for name, bit in self._bits.items() if value.value & bit]

    def decode(self, value: Any, path: str) -> Any:
        if not isinstance(value, (list, tuple)):
            raise _misfit(path, value, f"a {self._cls.__name__}: a list of names")
        bits = 0
        for i, name in enumerate(value):
            bit = self._bits.get(name) if isinstance(name, str) else None
            if bit is None:
                raise _misfit(f"{path}[{i}]", name, f"a flag of {self._cls.__name__}: one of {', '.join(self._bits)}")
            if bits & bit:
                raise _errors.MisfitError(f"{path}[{i}]: the flag {name!r} is there twice")
            bits |= bit
        return self._cls(bits)


def list_of(item: Codec[T]) -> Codec[list[T]]:
    """A ``list<T>`` of anything but ``u8``."""
    return _List(item)


def option(some: Codec[T]) -> Codec[T | None]:
    """An ``option<T>``."""
    return _Option(some)


def tuple_of(*parts: Codec[Any]) -> Codec[Any]:
    """A ``tuple<...>``."""
    return _Tuple(parts)


def result(ok: Codec[Any] | None, err: Codec[Any] | None) -> Codec[Any]:
    """A ``result<T, E>``."""
    return _Result(ok, err)


def record(cls: type[T], *fields: tuple[str, str, Codec[Any]]) -> Codec[T]:
    """A record: of each field its key, the attribute, and what it holds."""
    return _Record(cls, fields)


def variant(name: str, *cases: tuple[str, type, Codec[Any] | None]) -> Codec[Any]:
    """A variant: of each case its key, its class, and what it holds."""
    return _Variant(name, cases)


def enumeration(cls: type[T]) -> Codec[T]:
    """An enum, whose members have the texts as their values."""
    assert issubclass(cls, enum.Enum)
    return _Enum(cls)


def flags(cls: type[T], *names: str) -> Codec[T]:
    """Flags, from the lowest bit."""
    assert issubclass(cls, enum.Flag)
    return _Flags(cls, names)


# -------------------------------------------------------------------------------------------------------------------------------- calls

Params = tuple[tuple[str, Codec[Any]], ...]
"""Names and types, in order."""


def _encoded(name: str, params: Params, args: tuple[Any, ...]) -> list[Any]:
    """Arguments as portable values; refs as they are."""
    return [
        arg if isinstance(arg, ObjectRef) else codec.encode(arg, f"{name}.{key}") for (key, codec), arg in zip(params, args, strict=True)
    ]


def _decoded(name: str, params: Params, args: tuple[Any, ...]) -> list[Any]:
    return [codec.decode(arg, f"{name}.{key}") for (key, codec), arg in zip(params, args, strict=True)]


class Function(Generic[T]):
    """A function of an interface: ``f.remote(...)`` calls it, wherever and in whatever language it is served."""

    _served: ClassVar[str]
    _name: ClassVar[str]
    _signature: ClassVar[str]
    _params: ClassVar[Params]
    _gives: ClassVar[Codec[Any]]
    _streams: ClassVar[bool] = False
    _actor: ClassVar[bool] = False

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        chosen = dict(options or {})
        if "num_returns" in chosen:
            raise ValueError("num_returns is said by the interface")
        self._chosen = chosen
        if self._streams:
            chosen = {**chosen, "num_returns": "streaming"}
        self._function: RemoteFunction[..., Any] = RemoteFunction(
            None, Options("task", chosen), name=self._served, contract=self._signature
        )

    def options(self: F, **options: Any) -> F:
        """The same function with options, as those of `thornback.remote`."""
        return type(self)({**self._chosen, **options})

    def _call(self, *args: Any) -> ObjectRef[T]:
        ref = self._function.remote(*_encoded(self._name, self._params, args))
        return TypedRef(ref, self._gives, f"{self._name}()")

    def _stream(self, *args: Any) -> ObjectRefGenerator[T]:
        stream = self._function.remote(*_encoded(self._name, self._params, args))
        return TypedStream(stream, self._gives, f"{self._name}()")

    def __repr__(self) -> str:
        return f"<{self._served}: {self._signature}>"


class Actor:
    """A handle of an actor of an interface's resource."""

    __slots__ = ("_handle",)

    def __init__(self, handle: ActorHandle) -> None:
        self._handle = handle

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Actor) and self._handle == other._handle

    def __hash__(self) -> int:
        return hash(self._handle)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._handle.actor_id.hex()})"


def handle_of(actor: Actor) -> ActorHandle:
    """The handle that `thornback.kill` and other functions of the package take."""
    return actor._handle


class Method(Generic[T]):
    """A method of an actor: ``actor.method.remote(...)`` calls it."""

    _name: ClassVar[str]
    _params: ClassVar[Params]
    _gives: ClassVar[Codec[Any]]
    _streams: ClassVar[bool] = False

    def __init__(self, actor: Actor, options: Mapping[str, Any] | None = None) -> None:
        self._actor = actor
        self._chosen = dict(options or {})
        if "num_returns" in self._chosen:
            raise ValueError("num_returns is said by the interface")
        handle = actor._handle
        name = f"{handle._interface.class_name}.{self._name}"
        spec = MethodSpec(self._name, Signature.any(name), -1 if self._streams else 1, Options("method", {}))
        method = ActorMethod(handle, spec)
        self._method = method.options(**self._chosen) if self._chosen else method

    def options(self: M, **options: Any) -> M:
        """The same method with options, as those of `thornback.method`."""
        return type(self)(self._actor, {**self._chosen, **options})

    def _call(self, *args: Any) -> ObjectRef[T]:
        ref = self._method.remote(*_encoded(self._name, self._params, args))
        return TypedRef(ref, self._gives, f"{self._name}()")

    def _stream(self, *args: Any) -> ObjectRefGenerator[T]:
        stream = self._method.remote(*_encoded(self._name, self._params, args))
        return TypedStream(stream, self._gives, f"{self._name}()")


class Class(Generic[A]):
    """A resource of an interface: ``C.remote(...)`` makes an actor and gives its handle."""

    _served: ClassVar[str]
    _name: ClassVar[str]
    _signature: ClassVar[str]
    _params: ClassVar[Params]
    _handle: ClassVar[type[Actor]]
    _actor: ClassVar[bool] = True

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self._chosen = dict(options or {})
        self._class: ActorClass[Any] = ActorClass(None, Options("actor", self._chosen), name=self._served, contract=self._signature)

    def options(self: C, **options: Any) -> C:
        """The same class with options, as those of `thornback.remote`: ``options(name="main", max_restarts=1)``."""
        return type(self)({**self._chosen, **options})

    def _create(self, *args: Any) -> Any:
        return self._handle(self._class.remote(*_encoded(self._name, self._params, args)))

    def _find(self, name: str, namespace: str | None) -> Any:
        return self._of(_client.get_actor(name, namespace))

    def _of(self, handle: ActorHandle) -> Any:
        found = handle._interface.class_name
        if found != self._served:
            raise TypeError(f"the actor is a {found}, and no {self._served}")
        return self._handle(handle)

    def __repr__(self) -> str:
        return f"<{self._served}: {self._signature}>"


# ------------------------------------------------------------------------------------------------------------------------------ workers


def serve(implementation: object, functions: Sequence[tuple[Function[Any], str]]) -> None:
    """Registers the functions of an implementation: of each what it serves, and the attribute. `thornback.worker.serve` then serves them.

    Raises `TypeError` that says everything that is missing or does not fit; nothing is registered then.
    """
    wrong = [problem for stub, name in functions if (problem := _unfit(implementation, name, len(stub._params), method=False))]
    if wrong:
        raise TypeError(f"{_say(implementation)} does not implement the interface: {'; '.join(wrong)}")
    for stub, name in functions:
        worker.function(stub._served)(_adapted(stub, getattr(implementation, name), own=False))


def serve_class(stub: Class[Any], implementation: Callable[..., object], methods: Sequence[tuple[type[Method[Any]], str]]) -> None:
    """Registers a class whose instances are to be actors of a resource.

    Raises `TypeError` that says everything that is missing or does not fit; nothing is registered then.
    """
    if not inspect.isclass(implementation):
        raise TypeError(f"{_say(implementation)} is no class; actors of {stub._served} are instances of one")
    wrong = [problem for method, name in methods if (problem := _unfit(implementation, name, len(method._params), method=True))]
    takes = Signature.of(implementation)
    if implementation.__init__ is object.__init__:
        takes = Signature(implementation.__qualname__, [])
    if not takes.min <= len(stub._params) <= takes.max:
        wrong.append(f"its constructor does not take {len(stub._params)} argument(s)")
    if wrong:
        raise TypeError(f"{implementation.__qualname__} does not implement {stub._served}: {'; '.join(wrong)}")

    def __init__(self: Any, *args: Any) -> None:  # noqa: N807
        self._own = implementation(*_decoded(stub._name, stub._params, args))

    members: dict[str, Any] = {"__init__": _typed(__init__, stub._params, own=True), "__thornback_signature__": stub._signature}
    for method, name in methods:
        members[method._name] = _adapted(method, getattr(implementation, name), own=True, named=name)
    worker.actor(stub._served)(type(implementation.__qualname__, (), members))


def _unfit(implementation: object, name: str, count: int, *, method: bool) -> str:
    target = getattr(implementation, name, None)
    if not callable(target):
        return f"it has no {'method' if method else 'function'} {name}"
    takes = Signature.of(target, method=method and not isinstance(inspect.getattr_static(implementation, name, None), staticmethod))
    if not takes.min <= count <= takes.max:
        return f"{name} does not take {count} argument(s)"
    if not method and inspect.iscoroutinefunction(target):
        return f"{name} is a coroutine function, which only methods of actors may be"
    return ""


def _adapted(stub: Any, target: Callable[..., Any], *, own: bool, named: str = "") -> Callable[..., Any]:
    """A function that takes and gives portable values, around one that takes and gives those of the interface."""
    name, params, gives = stub._name, stub._params, stub._gives
    path = f"{name}()"

    def bound(args: tuple[Any, ...]) -> tuple[Callable[..., Any], list[Any]]:
        if own:
            return getattr(args[0]._own, named), _decoded(name, params, args[1:])
        return target, _decoded(name, params, args)

    adapter: Callable[..., Any]
    if stub._streams and inspect.isasyncgenfunction(target):

        async def stream_async(*args: Any) -> Any:
            call, decoded = bound(args)
            async for item in call(*decoded):
                yield gives.encode(item, path)

        adapter = stream_async
    elif stub._streams:

        def stream(*args: Any) -> Any:
            call, decoded = bound(args)
            for item in call(*decoded):
                yield gives.encode(item, path)

        adapter = stream
    elif inspect.iscoroutinefunction(target):

        async def wait(*args: Any) -> Any:
            call, decoded = bound(args)
            return gives.encode(await call(*decoded), path)

        adapter = wait
    else:

        def run(*args: Any) -> Any:
            call, decoded = bound(args)
            return gives.encode(call(*decoded), path)

        adapter = run
    adapter.__name__ = adapter.__qualname__ = name
    if not own:
        setattr(adapter, "__thornback_signature__", stub._signature)  # noqa: B010
    return _typed(adapter, params, own=own)


def _typed(adapter: Callable[..., Any], params: Params, *, own: bool) -> Callable[..., Any]:
    """Says how many arguments it takes: all, by position."""
    names = [*(["self"] if own else []), *(f"arg{i}" for i in range(len(params)))]
    adapter.__signature__ = inspect.Signature([inspect.Parameter(n, inspect.Parameter.POSITIONAL_ONLY) for n in names])  # type: ignore[attr-defined]
    return adapter


__all__ = ["Actor", "Class", "Codec", "Err", "Function", "Method", "Ok", "handle_of"]
