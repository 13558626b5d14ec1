"""Typed interfaces, through a server: what `thornback gen` writes for Python, as client and as worker, and who is refused."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import thornback
from tests.support import get
from thornback.interface import Err, Ok, handle_of

GOLDEN = Path(__file__).parents[2] / "gen/tests/golden/python"

PEER = Path(__file__).parents[2] / "gen/tests/python_peer.py"
"""Serves all of `wit/everything.wit`."""

UNTYPED = """
from thornback import worker


@worker.function("images.resize")
def resize(image, width): ...


worker.serve()
"""


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, GOLDEN / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


e = load("everything")
images = load("images")


@pytest.fixture
def served(start: Callable[..., None]) -> None:
    start()
    thornback.declare_pool("everything", [sys.executable, str(PEER), "worker"], interfaces=[e.Shapes, e.Echo])


def nested(**changes: Any) -> Any:
    scalars = dict(  # noqa: C408
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
        a_char="ß",
        a_string="Rochen 🦀",
    )
    members = dict(  # noqa: C408
        scalars=e.Scalars(**{**scalars, **changes.pop("scalars", {})}),
        maybe="there",
        outcome=Err("no"),
        bare=Ok(None),
        pair=(7, "seven"),
        shapes=[e.ShapeEmpty(), e.ShapeCircle(2.0), e.ShapePolygon([e.Point(x=0.0, y=1.0)])],
        grade=e.Level.VERY_HIGH,
        channels=e.Channels.RED | e.Channels.ALPHA,
        bytes_=b"\x00\xff",
        points=[e.Point(x=1.0, y=-0.0)],
    )
    return e.Nested(**{**members, **changes})


def test_every_type_goes_there_and_back(served: None) -> None:
    for value in (nested(), nested(maybe=None, outcome=Ok(1), bare=Err(None), shapes=[], channels=e.Channels(0), bytes_=b"")):
        assert get(e.Echo.there_and_back.remote(value)) == value
    assert get([e.Echo.maybe.remote(None), e.Echo.maybe.remote(3)]) == [None, 3]
    assert get(e.Echo.nothing.remote()) is None
    assert get([e.Echo.divide.remote(7, 2), e.Echo.divide.remote(b=0, a=7)]) == [Ok(3), Err("division by zero")]
    assert get(e.Shapes.area.remote(e.ShapeCircle(3.0))) == 27.0
    # An integer is a float that it can hold.
    assert get(e.Shapes.area.options(max_retries=0).remote(e.ShapeCircle(2))) == 12.0
    assert [get(ref) for ref in e.Echo.count_down.remote(3)] == [3, 2, 1]


def test_refs_are_arguments_wherever_values_are(served: None) -> None:
    made = e.Echo.there_and_back.remote(nested())
    assert get(e.Echo.there_and_back.remote(made)) == nested()
    # Passed to somebody who knows nothing of the interface it is what is on the wire.
    assert get(thornback.function("echo.maybe").remote(e.Echo.maybe.remote(4))) == 4


def test_actors(served: None) -> None:
    counter = e.Echo.Counter.options(name="typed").remote(10)
    assert get(counter.add.remote(5)) == 15
    assert [get(ref) for ref in counter.steps.remote(5)] == [0, 5, 10]
    found = e.Echo.Counter.find("typed")
    assert found == counter
    assert get(found.history_of.remote()) == [5]
    assert get(counter.reset.options(max_task_retries=1).remote()) is None
    assert get(counter.add.remote(0)) == 0
    thornback.kill(handle_of(counter))


def test_what_does_not_fit_is_refused_where_it_is_written() -> None:
    for call, words in [
        (lambda: e.Echo.maybe.remote(256), "maybe.value: 256 is not a u8"),
        (lambda: e.Echo.maybe.remote("3"), "maybe.value: '3' is not a u8"),
        (lambda: e.Echo.numbers.remote([1, 70000]), r"numbers.values\[1\]: 70000 is not a u16"),
        (lambda: e.Echo.there_and_back.remote(nested(scalars={"an_f32": 1e39})), "value.scalars.an-f32: 1e[+]39 is not an f32"),
        (lambda: e.Echo.there_and_back.remote(nested(pair=(1,))), "value.pair: .* is not a tuple of 2"),
        (lambda: e.Echo.there_and_back.remote(nested(grade="high")), "value.grade: 'high' is not a Level"),
        (lambda: e.Echo.there_and_back.remote(nested(shapes=[1])), r"value.shapes\[0\]: 1 is not a shape"),
    ]:
        with pytest.raises((TypeError, ValueError), match=words):
            call()


def test_an_argument_of_somebody_untyped_is_refused_before_user_code_sees_it(served: None) -> None:
    for function, argument, words in [
        ("echo.maybe", 300, "maybe.value: 300 is not a u8"),
        ("shapes.area", {"circle": 1.0, "empty": None}, "area.shape: .* a map of one entry"),
        ("shapes.area", {"square": 1.0}, "area.shape: 'square' is not a case of shape"),
        ("shapes.area", {"polygon": [{"x": 1.0}]}, r"area.shape.polygon\[0\].y: it is missing"),
        ("shapes.area", {"polygon": [{"x": 1.0, "y": 1.0, "z": 1.0}]}, r"polygon\[0\]: there is no field 'z'"),
    ]:
        with pytest.raises(thornback.InvalidArgumentError, match=words):
            get(thornback.function(function).remote(argument))


def test_a_worker_of_another_interface_is_refused_when_it_comes(start: Callable[..., None], tmp_path: Path) -> None:
    start()
    program = tmp_path / "worker.py"
    program.write_text(UNTYPED)
    thornback.declare_pool("images", [sys.executable, str(program)], interfaces=[images.Images])
    with pytest.raises(thornback.SignatureMismatchError, match=r"images\.resize.* has no signature there") as caught:
        get(images.Images.resize.remote(b"", 1))
    assert caught.value.details["pool"] == "images"
    assert caught.value.details["wanted"] == "func(image: list<u8>, width: u32) -> record{width: u32, height: u32, pixels: list<u8>}"


def test_a_call_of_another_interface_is_refused_before_it_runs(served: None) -> None:
    get(e.Echo.nothing.remote())
    older = type("_Older", (type(e.Echo.numbers),), {"_signature": "func(values: list<u8>) -> u64"})()
    with pytest.raises(
        thornback.SignatureMismatchError, match=r"Wanted: func.values: list<u8>. -> u64. Served: func.values: list<u16>. -> u64"
    ):
        get(older.remote([1]))
    untyped = type("_Untyped", (type(e.Echo.numbers),), {"_signature": ""})()
    assert get(untyped.remote([1])) == 1


def test_an_implementation_that_does_not_fit_is_refused_when_it_is_registered() -> None:
    class Half:
        def numbers(self) -> int:
            return 0

        async def maybe(self, value: Any) -> Any:
            return value

    with pytest.raises(TypeError) as caught:
        e.serve_echo(Half(), counter=object)
    for words in ("there_and_back", "numbers does not take 1", "maybe is a coroutine", "count_down"):
        assert words in str(caught.value)
    with pytest.raises(TypeError, match=r"echo\.counter: it has no method add; .*its constructor does not take 1"):
        e.interface_of_counter = e._i.serve_class(e.Echo.Counter, Half, [(e._CounterAdd, "add")])
    assert not [name for name in thornback.worker._served if name.startswith("echo.")]
