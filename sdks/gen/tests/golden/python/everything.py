"""The package demo:everything, typed.

Made by `thornback gen` from the package demo:everything. Do not edit: change the interface and make it again.
"""
# ruff: noqa: E501

from __future__ import annotations

import enum
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol, TypeAlias

from thornback import ActorHandle, ObjectRef, ObjectRefGenerator
from thornback import interface as _i


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A point in the plane."""

    x: float
    y: float


_POINT: Final[_i.Codec[Point]] = _i.record(Point, ("x", "x", _i.F64), ("y", "y", _i.F64))


@dataclass(frozen=True, slots=True)
class ShapeEmpty:
    """Nothing at all."""


@dataclass(frozen=True, slots=True)
class ShapeCircle:
    value: float


@dataclass(frozen=True, slots=True)
class ShapePolygon:
    value: list[Point]


Shape: TypeAlias = ShapeEmpty | ShapeCircle | ShapePolygon
"""What can be drawn."""

_SHAPE: Final[_i.Codec[Shape]] = _i.variant(
    "shape",
    ("empty", ShapeEmpty, None),
    ("circle", ShapeCircle, _i.F64),
    ("polygon", ShapePolygon, _i.list_of(_POINT)),
)


class Level(enum.Enum):
    """From least to most."""

    LOW = "low"
    MIDDLE = "middle"
    VERY_HIGH = "very-high"


_LEVEL: Final[_i.Codec[Level]] = _i.enumeration(Level)


class Channels(enum.Flag):
    RED = 1 << 0
    GREEN = 1 << 1
    BLUE = 1 << 2
    ALPHA = 1 << 3


_CHANNELS: Final[_i.Codec[Channels]] = _i.flags(Channels, "red", "green", "blue", "alpha")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalars:
    """Each scalar once."""

    bool_: bool
    a_u8: int
    a_u16: int
    a_u32: int
    a_u64: int
    an_s8: int
    an_s16: int
    an_s32: int
    an_s64: int
    an_f32: float
    an_f64: float
    a_char: str
    a_string: str


_SCALARS: Final[_i.Codec[Scalars]] = _i.record(
    Scalars,
    ("bool", "bool_", _i.BOOL),
    ("a-u8", "a_u8", _i.U8),
    ("a-u16", "a_u16", _i.U16),
    ("a-u32", "a_u32", _i.U32),
    ("a-u64", "a_u64", _i.U64),
    ("an-s8", "an_s8", _i.S8),
    ("an-s16", "an_s16", _i.S16),
    ("an-s32", "an_s32", _i.S32),
    ("an-s64", "an_s64", _i.S64),
    ("an-f32", "an_f32", _i.F32),
    ("an-f64", "an_f64", _i.F64),
    ("a-char", "a_char", _i.CHAR),
    ("a-string", "a_string", _i.STRING),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nested:
    scalars: Scalars
    maybe: str | None = None
    outcome: _i.Ok[int] | _i.Err[str]
    bare: _i.Ok[None] | _i.Err[None]
    pair: tuple[int, str]
    shapes: list[Shape]
    grade: Level
    channels: Channels
    bytes_: bytes
    points: list[Point]


_NESTED: Final[_i.Codec[Nested]] = _i.record(
    Nested,
    ("scalars", "scalars", _SCALARS),
    ("maybe", "maybe", _i.option(_i.STRING)),
    ("outcome", "outcome", _i.result(_i.U32, _i.STRING)),
    ("bare", "bare", _i.result(None, None)),
    ("pair", "pair", _i.tuple_of(_i.U8, _i.STRING)),
    ("shapes", "shapes", _i.list_of(_SHAPE)),
    ("grade", "grade", _LEVEL),
    ("channels", "channels", _CHANNELS),
    ("bytes", "bytes_", _i.BYTES),
    ("points", "points", _i.list_of(_POINT)),
)


class _ShapesArea(_i.Function[float]):
    _served: ClassVar = "shapes.area"
    _name: ClassVar = "area"
    _signature: ClassVar = "func(shape: variant{empty, circle(f64), polygon(list<record{x: f64, y: f64}>)}) -> f64"
    _params: ClassVar = (("shape", _SHAPE),)
    _gives: ClassVar = _i.F64

    def remote(self, shape: Shape | ObjectRef[Shape]) -> ObjectRef[float]:
        """Calls it and gives a ref of the result at once."""
        return self._call(shape)


class Shapes:
    """Types that more than one interface has."""

    area: Final = _ShapesArea()
    __thornback__: Final = (area,)


class ShapesWorker(Protocol):
    """What serves `shapes`: a module or an object with these functions."""

    def area(self, shape: Shape) -> float: ...


def serve_shapes(implementation: ShapesWorker) -> None:
    """Registers what serves the interface; `thornback.worker.serve()` then serves it.

    Raises `TypeError` that says everything that is missing or does not fit.
    """
    _i.serve(implementation, [(Shapes.area, "area")])


class _EchoThereAndBack(_i.Function[Nested]):
    _served: ClassVar = "echo.there-and-back"
    _name: ClassVar = "there-and-back"
    _signature: ClassVar = "func(value: record{scalars: record{bool: bool, a-u8: u8, a-u16: u16, a-u32: u32, a-u64: u64, an-s8: s8, an-s16: s16, an-s32: s32, an-s64: s64, an-f32: f32, an-f64: f64, a-char: char, a-string: string}, maybe: option<string>, outcome: result<u32, string>, bare: result, pair: tuple<u8, string>, shapes: list<variant{empty, circle(f64), polygon(list<record{x: f64, y: f64}>)}>, grade: enum{low, middle, very-high}, channels: flags{red, green, blue, alpha}, bytes: list<u8>, points: list<record{x: f64, y: f64}>}) -> record{scalars: record{bool: bool, a-u8: u8, a-u16: u16, a-u32: u32, a-u64: u64, an-s8: s8, an-s16: s16, an-s32: s32, an-s64: s64, an-f32: f32, an-f64: f64, a-char: char, a-string: string}, maybe: option<string>, outcome: result<u32, string>, bare: result, pair: tuple<u8, string>, shapes: list<variant{empty, circle(f64), polygon(list<record{x: f64, y: f64}>)}>, grade: enum{low, middle, very-high}, channels: flags{red, green, blue, alpha}, bytes: list<u8>, points: list<record{x: f64, y: f64}>}"
    _params: ClassVar = (("value", _NESTED),)
    _gives: ClassVar = _NESTED

    def remote(self, value: Nested | ObjectRef[Nested]) -> ObjectRef[Nested]:
        """Calls it and gives a ref of the result at once."""
        return self._call(value)


class _EchoNumbers(_i.Function[int]):
    _served: ClassVar = "echo.numbers"
    _name: ClassVar = "numbers"
    _signature: ClassVar = "func(values: list<u16>) -> u64"
    _params: ClassVar = (("values", _i.list_of(_i.U16)),)
    _gives: ClassVar = _i.U64

    def remote(self, values: list[int] | ObjectRef[list[int]]) -> ObjectRef[int]:
        """Calls it and gives a ref of the result at once."""
        return self._call(values)


class _EchoMaybe(_i.Function[int | None]):
    _served: ClassVar = "echo.maybe"
    _name: ClassVar = "maybe"
    _signature: ClassVar = "func(value: option<u8>) -> option<u8>"
    _params: ClassVar = (("value", _i.option(_i.U8)),)
    _gives: ClassVar = _i.option(_i.U8)

    def remote(self, value: int | ObjectRef[int | None] | None) -> ObjectRef[int | None]:
        """Calls it and gives a ref of the result at once."""
        return self._call(value)


class _EchoDivide(_i.Function[_i.Ok[int] | _i.Err[str]]):
    _served: ClassVar = "echo.divide"
    _name: ClassVar = "divide"
    _signature: ClassVar = "func(a: s32, b: s32) -> result<s32, string>"
    _params: ClassVar = (("a", _i.S32), ("b", _i.S32))
    _gives: ClassVar = _i.result(_i.S32, _i.STRING)

    def remote(self, a: int | ObjectRef[int], b: int | ObjectRef[int]) -> ObjectRef[_i.Ok[int] | _i.Err[str]]:
        """Calls it and gives a ref of the result at once."""
        return self._call(a, b)


class _EchoNothing(_i.Function[None]):
    """Nothing in, nothing out."""

    _served: ClassVar = "echo.nothing"
    _name: ClassVar = "nothing"
    _signature: ClassVar = "func()"
    _params: ClassVar = ()
    _gives: ClassVar = _i.NOTHING

    def remote(self) -> ObjectRef[None]:
        """Calls it and gives a ref of the result at once."""
        return self._call()


class _EchoCountDown(_i.Function[int]):
    """Counts down to 1."""

    _served: ClassVar = "echo.count-down"
    _name: ClassVar = "count-down"
    _signature: ClassVar = "func(from: u32) -> stream<u32>"
    _params: ClassVar = (("from", _i.U32),)
    _gives: ClassVar = _i.U32
    _streams: ClassVar = True

    def remote(self, from_: int | ObjectRef[int]) -> ObjectRefGenerator[int]:
        """Calls it; items come as they are made."""
        return self._stream(from_)


class _CounterAdd(_i.Method[int]):
    """Adds, and gives the sum."""

    _name: ClassVar = "add"
    _params: ClassVar = (("n", _i.S64),)
    _gives: ClassVar = _i.S64

    def remote(self, n: int | ObjectRef[int]) -> ObjectRef[int]:
        """Calls it and gives a ref of the result at once."""
        return self._call(n)


class _CounterHistoryOf(_i.Method[list[int]]):
    _name: ClassVar = "history-of"
    _params: ClassVar = ()
    _gives: ClassVar = _i.list_of(_i.S64)

    def remote(self) -> ObjectRef[list[int]]:
        """Calls it and gives a ref of the result at once."""
        return self._call()


class _CounterSteps(_i.Method[int]):
    _name: ClassVar = "steps"
    _params: ClassVar = (("by", _i.U8),)
    _gives: ClassVar = _i.S64
    _streams: ClassVar = True

    def remote(self, by: int | ObjectRef[int]) -> ObjectRefGenerator[int]:
        """Calls it; items come as they are made."""
        return self._stream(by)


class _CounterReset(_i.Method[None]):
    _name: ClassVar = "reset"
    _params: ClassVar = ()
    _gives: ClassVar = _i.NOTHING

    def remote(self) -> ObjectRef[None]:
        """Calls it and gives a ref of the result at once."""
        return self._call()


class Counter(_i.Actor):
    """Counts, and remembers."""

    __slots__ = ()

    @property
    def add(self) -> _CounterAdd:
        """Adds, and gives the sum."""
        return _CounterAdd(self)

    @property
    def history_of(self) -> _CounterHistoryOf:
        return _CounterHistoryOf(self)

    @property
    def steps(self) -> _CounterSteps:
        return _CounterSteps(self)

    @property
    def reset(self) -> _CounterReset:
        return _CounterReset(self)


class _CounterClass(_i.Class[Counter]):
    """Counts, and remembers."""

    _served: ClassVar = "echo.counter"
    _name: ClassVar = "counter"
    _signature: ClassVar = "resource{constructor(start: s64); add: func(n: s64) -> s64; history-of: func() -> list<s64>; reset: func(); steps: func(by: u8) -> stream<s64>}"
    _params: ClassVar = (("start", _i.S64),)
    _handle: ClassVar = Counter

    def remote(self, start: int | ObjectRef[int]) -> Counter:
        """Makes an actor and gives its handle at once; calls may follow."""
        actor: Counter = self._create(start)
        return actor

    def find(self, name: str, namespace: str | None = None) -> Counter:
        """A handle of a named actor. Raises `thornback.ActorNotFoundError`; `TypeError` if it is of another class."""
        actor: Counter = self._find(name, namespace)
        return actor

    def of(self, handle: ActorHandle) -> Counter:
        """The typed handle of an actor that came as an untyped one. Raises `TypeError` if it is of another class."""
        actor: Counter = self._of(handle)
        return actor


class Echo:
    """Every type there is, there and back."""

    there_and_back: Final = _EchoThereAndBack()
    numbers: Final = _EchoNumbers()
    maybe: Final = _EchoMaybe()
    divide: Final = _EchoDivide()
    nothing: Final = _EchoNothing()
    count_down: Final = _EchoCountDown()
    Counter: Final = _CounterClass()
    __thornback__: Final = (there_and_back, numbers, maybe, divide, nothing, count_down, Counter)


class CounterWorker(Protocol):
    """What a class has whose instances are actors `echo.counter`. Its methods may be coroutines, all or some."""

    def add(self, n: int) -> int | Awaitable[int]:
        """Adds, and gives the sum."""
        ...

    def history_of(self) -> list[int] | Awaitable[list[int]]: ...

    def steps(self, by: int) -> Iterable[int] | AsyncIterable[int]: ...

    def reset(self) -> Awaitable[None] | None: ...


class EchoWorker(Protocol):
    """What serves `echo`: a module or an object with these functions."""

    def there_and_back(self, value: Nested) -> Nested: ...

    def numbers(self, values: list[int]) -> int: ...

    def maybe(self, value: int | None) -> int | None: ...

    def divide(self, a: int, b: int) -> _i.Ok[int] | _i.Err[str]: ...

    def nothing(self) -> None:
        """Nothing in, nothing out."""
        ...

    def count_down(self, from_: int) -> Iterable[int]:
        """Counts down to 1."""
        ...


def serve_echo(implementation: EchoWorker, *, counter: Callable[[int], CounterWorker]) -> None:
    """Registers what serves the interface; `thornback.worker.serve()` then serves it.

    Raises `TypeError` that says everything that is missing or does not fit.
    """
    _i.serve(
        implementation,
        [
            (Echo.there_and_back, "there_and_back"),
            (Echo.numbers, "numbers"),
            (Echo.maybe, "maybe"),
            (Echo.divide, "divide"),
            (Echo.nothing, "nothing"),
            (Echo.count_down, "count_down"),
        ],
    )
    _i.serve_class(
        Echo.Counter,
        counter,
        [
            (_CounterAdd, "add"),
            (_CounterHistoryOf, "history_of"),
            (_CounterSteps, "steps"),
            (_CounterReset, "reset"),
        ],
    )
