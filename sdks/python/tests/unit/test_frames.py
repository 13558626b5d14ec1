"""Operations that are joined from parts are what protobuf would write: a differential test of the short ways."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

import thornback
from thornback import _context
from thornback._execute import Target
from thornback._gen import session_pb2, task_pb2, value_pb2, worker_pb2
from thornback._session import frames


def take(*args: Any, **kwargs: Any) -> None: ...


class Taker:
    def take(self, *args: Any, **kwargs: Any) -> None: ...


VALUES: list[Any] = [
    None,
    True,
    0,
    127,
    128,
    -1,
    1 << 40,
    1.5,
    "",
    "text",
    "x" * 90,
    "x" * 130,
    b"",
    b"raw",
    b"x" * 121,
    b"x" * 122,
    b"x" * 300,
]


def value(given: Any) -> value_pb2.Value:
    """How a value of the list above is written."""
    import msgpack

    if type(given) is bytes:
        return value_pb2.Value(format=1, data=given)
    return value_pb2.Value(format=2, data=msgpack.packb(given))


def posted(runtime: Any, call: Callable[[], Any]) -> tuple[Any, session_pb2.ClientOp, bytes]:
    """What a call posts last, parsed and as bytes."""
    kept: list[bytes] = []
    post = runtime.session.post
    runtime.session.post = kept.append
    try:
        result = call()
    finally:
        runtime.session.post = post
    (op,) = session_pb2.ClientFrame.FromString(kept[-1]).ops
    return result, op, kept[-1]


def wrapped(**op: Any) -> bytes:
    return session_pb2.ClientFrame(ops=[session_pb2.ClientOp(**op)]).SerializeToString()


def assert_same(made: bytes, expected: bytes, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Byte for byte, except that `data` of no bytes may be written or left out."""
    assert session_pb2.ClientFrame.FromString(made) == session_pb2.ClientFrame.FromString(expected)
    if b"" not in args and b"" not in kwargs.values():
        assert made == expected


@pytest.mark.parametrize("nested", [False, True])
def test_submits_and_calls(runtime: Any, nested: bool) -> None:
    chance = random.Random(4)
    function = thornback.remote(take)
    actor = thornback.remote(Taker).remote()
    token = _context.job.set(_context.Job(b"p" * 16, _context.Order(worker_pb2.Run(), Target.of_nothing(0))) if nested else None)
    parent = b"p" * 16 if nested else b""
    try:
        for _ in range(300):
            args = [chance.choice(VALUES) for _ in range(chance.choice([0, 0, 1, 2, 5]))]
            kwargs = {name: chance.choice(VALUES) for name in chance.choice(["", "", "a", "ab"])}
            expected = [value_pb2.Arg(value=value(arg)) for arg in args]
            expected += [value_pb2.Arg(value=value(arg), keyword=name) for name, arg in kwargs.items()]
            ref, op, raw = posted(runtime, lambda args=args, kwargs=kwargs: function.remote(*args, **kwargs))
            number = function._declaration.number  # type: ignore[union-attr]
            submit = task_pb2.Submit(task=ref.binary()[:12] + bytes(4), declaration=number, args=expected, parent=parent)
            assert op.submit == submit
            if not nested:
                # `parent` is written behind the arguments or before; without it there is only one order.
                assert_same(raw, wrapped(submit=submit), args, kwargs)
            ref, op, raw = posted(runtime, lambda args=args, kwargs=kwargs: actor.take.remote(*args, **kwargs))
            assert op.call.task == ref.binary()[:12] + bytes(4)
            assert op.call.actor == actor._actor_id
            assert list(op.call.args) == expected
            assert op.call.parent == parent
            if not nested:
                assert_same(raw, wrapped(call=op.call), args, kwargs)
    finally:
        _context.job.reset(token)


def test_declarations_of_any_number(runtime: Any) -> None:
    """Numbers take one byte, two and three."""
    for number in (1, 127, 128, 16_383, 16_384, 1 << 31):
        runtime._numbers = iter([number])
        function = thornback.remote(take)
        ref, op, raw = posted(runtime, function.remote)
        assert op.submit == task_pb2.Submit(task=ref.binary()[:12] + bytes(4), declaration=number)
        assert raw == wrapped(submit=op.submit)


def test_puts(runtime: Any) -> None:
    for given in VALUES:
        ref, op, raw = posted(runtime, lambda given=given: thornback.put(given))  # type: ignore[misc]
        assert op.put.object == ref.binary()
        assert op.put.value == value(given)
        assert_same(raw, wrapped(put=op.put), [given], {})
        assert thornback.get(ref) == given


def test_answers() -> None:
    from thornback._execute import small_result

    for given in VALUES:
        for attempt in (0, 1, 7, 8, 300):
            job = _context.Job(b"t" * 16, _context.Order(worker_pb2.Run(attempt=attempt), Target.of_nothing(0)))
            made = small_result(job, given)
            done = worker_pb2.Done(task=b"t" * 16, attempt=attempt, results=[worker_pb2.Result(value=value(given))])
            if made is None:
                assert len(value(given).data) >= frames.SHORT_ARG_SUBMIT.limit
            else:
                assert_same(made, wrapped(done=done), [given], {})


def test_ids_are_counted_and_start_anew_when_the_counter_runs_over() -> None:
    import itertools
    from struct import Struct

    ids = frames.Ids()
    first = [ids.prefix() for _ in range(3)]
    assert len({prefix[:8] for prefix in first}) == 1
    assert [int.from_bytes(prefix[8:], "big") for prefix in first] == [1, 2, 3]
    salt = first[0][:8]
    ids._next = map(Struct(">8sI").pack, itertools.repeat(salt), itertools.count(0xFFFF_FFFE))
    last = [ids.prefix() for _ in range(4)]
    assert [prefix[8:] for prefix in last[:2]] == [b"\xff\xff\xff\xfe", b"\xff\xff\xff\xff"]
    assert all(len(prefix) == 12 and prefix[:8] != salt for prefix in last[2:])
    assert len(set(last + first)) == 7


def test_repeated_ids() -> None:
    for count in (0, 1, 3):
        ids = [bytes((n,)) * 16 for n in range(count)]
        assert frames.REFS(frames.ids(1, ids) + frames.ids(2, ids)) == wrapped(refs={"retain": ids, "drop": ids})


def test_the_head_of_a_frame_is_what_a_generator_writes_whatever_its_numbers() -> None:
    sizes = (0, 1, 0x7F, 0x80, 0x3FFF, 0x4000, 0x4001, 0x7FFFF, 0x1FFFFF, 0x200000, 0xFFFFFFFFFFFFFFFF)
    for seq in sizes:
        for ack in sizes:
            assert frames.frame(seq, ack, b"") == session_pb2.ClientFrame(seq=seq, ack=ack).SerializeToString()
