"""The interface of `wit/everything.wit` in Python, for the tests of other languages.

``worker`` serves it. ``driver COMMAND…`` calls the workers that the command starts, at a node of its own, and ends with status 0 if all is
as it should be.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "golden/python"))
import everything as e

import thornback
from thornback import worker
from thornback.interface import Err, Ok


class Shapes:
    def area(self, shape: Any) -> float:
        return 3 * float(shape.value) ** 2 if isinstance(shape, e.ShapeCircle) else 0.0


class Echo:
    def there_and_back(self, value: Any) -> Any:
        assert isinstance(value, e.Nested)
        return value

    def numbers(self, values: list[int]) -> int:
        return sum(values)

    def maybe(self, value: int | None) -> int | None:
        return value

    def divide(self, a: int, b: int) -> Any:
        return Err("division by zero") if b == 0 else Ok(a // b)

    def nothing(self) -> None:
        pass

    def count_down(self, from_: int) -> Iterator[int]:
        yield from range(from_, 0, -1)


class Counter:
    def __init__(self, start: int) -> None:
        self.sum = start
        self.history: list[int] = []

    def add(self, n: int) -> int:
        self.sum += n
        self.history.append(n)
        return self.sum

    def history_of(self) -> list[int]:
        return self.history

    def steps(self, by: int) -> Iterator[int]:
        yield from range(0, self.sum, by)

    def reset(self) -> None:
        self.sum = 0


def nested() -> Any:
    return e.Nested(
        scalars=e.Scalars(
            bool_=True,
            a_u8=255,
            a_u16=65535,
            a_u32=2**32 - 1,
            a_u64=2**64 - 1,
            an_s8=-128,
            an_s16=-(2**15),
            an_s32=-(2**31),
            an_s64=-(2**63),
            an_f32=0.5,
            an_f64=math.pi,
            a_char="🦔",
            a_string="hérisson",
        ),
        maybe=None,
        outcome=Err("no"),
        bare=Ok(None),
        pair=(7, "seven"),
        shapes=[e.ShapeEmpty(), e.ShapeCircle(2.0), e.ShapePolygon([e.Point(x=0.0, y=-1.0)])],
        grade=e.Level.VERY_HIGH,
        channels=e.Channels.RED | e.Channels.ALPHA,
        bytes_=b"\x00\xff",
        points=[],
    )


def drive(command: list[str]) -> None:
    thornback.init()
    thornback.declare_pool("other", command, interfaces=[e.Shapes, e.Echo])

    def same(found: Any, wanted: Any) -> None:
        assert found == wanted, f"{found!r} is not {wanted!r}"

    def value(ref: Any) -> Any:
        return thornback.get(ref, timeout=60)

    same(value(e.Echo.there_and_back.remote(nested())), nested())
    same(value(e.Echo.numbers.remote([1, 65535])), 65536)
    same([value(e.Echo.maybe.remote(None)), value(e.Echo.maybe.remote(0))], [None, 0])
    same([value(e.Echo.divide.remote(7, 2)), value(e.Echo.divide.remote(7, 0))], [Ok(3), Err("division by zero")])
    same(value(e.Echo.nothing.remote()), None)
    same([value(ref) for ref in e.Echo.count_down.remote(3)], [3, 2, 1])
    same(value(e.Shapes.area.remote(e.ShapeCircle(2.0))), 12.0)
    counter = e.Echo.Counter.remote(5)
    same([value(counter.add.remote(-2)), value(counter.history_of.remote())], [3, [-2]])
    same([value(ref) for ref in counter.steps.remote(2)], [0, 2])
    same(value(counter.reset.remote()), None)
    thornback.shutdown()


if sys.argv[1] == "driver":
    drive(sys.argv[2:])
else:
    e.serve_shapes(Shapes())
    e.serve_echo(Echo(), counter=Counter)
    worker.serve()
