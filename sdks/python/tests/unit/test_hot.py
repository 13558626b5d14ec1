"""What is cut out of a frame without a parser is exactly what the parser would say."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from tests.unit.peer import Peer, completion, runtime_of
from thornback._gen import failure_pb2, session_pb2, task_pb2, worker_pb2
from thornback._session import frames, hot
from thornback._state import Failed, Inline, Stored
from thornback._worker import Worker

State = Any
DATA = [b"\xc0", b"\x07", b"\xcd\x01\x00", b"ok", b"", bytes(90), bytes(100), bytes(200), bytes(5000)]


def value_of(chance: random.Random) -> session_pb2.ServerOp:
    """A completion of some kind, most of them small."""
    op = session_pb2.ServerOp()
    op.completion.object = os.urandom(16)
    kind = chance.randrange(12)
    if kind == 0:
        op.completion.failure.CopyFrom(failure_pb2.Failure(code=3, message="no"))
    elif kind == 1:
        op.completion.stored = chance.choice([5, 1 << 40])
    elif kind == 2:
        op.completion.value.format = 5
        op.completion.value.schema = "python/pickle5"
        op.completion.value.data = b"\x80\x05N."
    elif kind == 3:
        op.completion.value.format = 2
        op.completion.value.data = b"\xd8\x01" + bytes(16)
        op.completion.value.refs.append(bytes(16))
    else:
        op.completion.value.format = chance.choice([1, 2])
        op.completion.value.data = chance.choice(
            [b"\xc0", b"\x07", b"\xcd\x01\x00", b"ok", b"", bytes(90), bytes(100), bytes(200), bytes(5000)]
        )
    return op


def described(state: State) -> Any:
    """A state in a form that can be compared."""
    if isinstance(state, Inline):
        return state.format, state.data, list(state.buffers), state.schema
    if isinstance(state, Stored):
        return "stored", state.size
    if isinstance(state, Failed):
        return state.failure.SerializeToString()
    return state


class Table:
    """Two runtimes that are told the same, one with and one without the short way."""

    def __init__(self) -> None:
        self.peers = Peer(), Peer()
        self.quick, self.slow = (runtime_of(peer) for peer in self.peers)
        self.slow.session._runs.clear()

    def tell(self, body: bytes, ids: list[bytes]) -> tuple[Any, Any]:
        """What each knows of the objects afterwards, and why its session ended, if it did."""
        outcomes = []
        for runtime in (self.quick, self.slow):
            runtime._state.update(dict.fromkeys(ids, "unknown"))  # type: ignore[arg-type]
            runtime.session._take(body)
            outcomes.append(
                (
                    [described(runtime._state.pop(id)) for id in ids],
                    runtime._failures,
                    runtime.session._seq_in,
                    type(runtime.session.closed),
                )
            )
        return outcomes[0], outcomes[1]

    def close(self) -> None:
        for runtime in (self.quick, self.slow):
            runtime.close()


def test_completions_are_what_the_parser_says() -> None:
    chance = random.Random(11)
    table = Table()
    for seq in range(1, 200):
        alike = chance.random() < 0.5
        ops = [value_of(chance) for _ in range(chance.randrange(1, 40))]
        if alike:
            ops = [completion(os.urandom(16), data=chance.choice([b"\x01", b"\xc3", b"\xce\0\1\0\0"])) for _ in ops]
        if chance.random() < 0.3:
            other = session_pb2.ServerOp()
            other.stream_end.task = os.urandom(16)
            ops.insert(chance.randrange(len(ops) + 1), other)
        frame = session_pb2.ServerFrame(seq=seq, ack=0, ops=ops)
        quick, slow = table.tell(frame.SerializeToString(), [op.completion.object for op in ops if op.HasField("completion")])
        assert quick == slow
        assert "unknown" not in quick[0]
    table.close()


def test_frames_with_flipped_bytes_and_cut_ones_end_alike() -> None:
    """Of a frame that cannot be read nothing is taken; any other means the same both ways."""
    chance = random.Random(12)
    # Of one session each time: what comes after the end of a session is not looked at.
    for _ in range(150):
        table = Table()
        ops = [completion(os.urandom(16), data=b"\x01") for _ in range(3)]
        body = bytearray(session_pb2.ServerFrame(seq=1, ops=ops).SerializeToString())
        if chance.random() < 0.3:
            del body[chance.randrange(len(body)) :]
        else:
            body[chance.randrange(len(body))] ^= chance.randrange(1, 256)
        quick, slow = table.tell(bytes(body), [op.completion.object for op in ops])
        assert quick == slow, bytes(body).hex()
        table.close()


@pytest.mark.parametrize("behind", [True, False])
def test_numbers_stand_before_the_operations_or_behind(behind: bool) -> None:
    """The order of fields in a frame has no meaning (SESSION-025)."""
    table = Table()
    for seq in range(1, 300):
        ops = [completion(os.urandom(16), data=b"\x01") for _ in range(3)]
        numbers = session_pb2.ServerFrame(seq=seq).SerializeToString()
        operations = session_pb2.ServerFrame(ops=ops).SerializeToString()
        body = operations + numbers if behind else numbers + operations
        quick, slow = table.tell(body, [op.completion.object for op in ops])
        assert quick == slow
        assert quick[0] == [(1,)] * 3
    table.close()


def test_runs_are_what_the_parser_says() -> None:
    chance = random.Random(14)
    quick, slow = Worker(), Worker()
    for worker in (quick, slow):
        for number in range(1, 4):
            worker._handle_declare(task_pb2.Declare(number=number, function=f"function {number}"))
    kind = hot.Kind(11, quick._take_runs)
    for _ in range(100):
        runs = []
        for _ in range(chance.randrange(1, 30)):
            run = worker_pb2.Run(task=os.urandom(16), attempt=chance.choice([0, 0, 1, 300]), declaration=chance.randrange(1, 4))
            if chance.random() < 0.3:
                run.actor = b"a" * 16
            for _ in range(chance.choice([0, 0, 1, 2])):
                arg = run.args.add()
                arg.value.format = 2
                arg.value.data = bytes((chance.randrange(128),))
                arg.keyword = chance.choice(["", "x"])
            runs.append(run)
        frame = session_pb2.ServerFrame(ops=[session_pb2.ServerOp(run=run) for run in runs])
        body = frame.SerializeToString()
        taken, at = kind.take(body, 0)
        assert session_pb2.ServerFrame.FromString(body[at:]).ops == frame.ops[taken:]
        for op in frame.ops[taken:]:
            quick._handle_run(op.run)
        for run in runs:
            slow._handle_run(run)
    assert len(quick.queue) == len(slow.queue)
    for one, other in zip(quick.queue, slow.queue, strict=True):
        assert (one.task, one.attempt, one.actor) == (other.task, other.attempt, other.actor)
        assert one.order.target.name == other.order.target.name
        assert list(one.order.args) == list(other.order.args)
        assert one.order.setup is None


@pytest.mark.parametrize("number", [11, 20])
def test_nothing_is_taken_that_does_not_fit(number: int) -> None:
    """Whatever the bytes, the cursor stays inside them, and what is taken is what the taker took."""
    chance = random.Random(number)
    seen: list[bytes] = []

    def take(head: bytes, ops: hot.Ops) -> int:
        count = 0
        for op_head, id, _rest in ops:
            if op_head != head or chance.random() < 0.1:
                break
            assert len(id) == 16
            seen.append(id)
            count += 1
        return count

    kind = hot.Kind(number, take)
    heads = [frames.field(3, frames.field(number, frames.ID_1 + bytes(16) + bytes(n))) for n in range(0, 140, 7)]
    for _ in range(2000):
        body = b"".join(chance.choice(heads) for _ in range(chance.randrange(5)))
        body = body[: chance.randrange(len(body) + 1)] + bytes(chance.randrange(256) for _ in range(chance.randrange(4)))
        before = len(seen)
        taken, at = kind.take(body, 0)
        assert 0 <= at <= len(body)
        assert (at > 0) == (taken > 0)
        assert taken == len(seen) - before
    assert len(seen) > 500, "what fits is taken"
