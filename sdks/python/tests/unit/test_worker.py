"""A worker's queue and threads, without a node: what has begun, what can still be taken back, and what is answered."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import thornback
from tests.unit.peer import DEADLINE_MS, Peer, in_thread
from thornback import Code, _runtime, _worker
from thornback._execute import ExitActor
from thornback._gen import session_pb2, task_pb2, worker_pb2
from thornback._worker import Worker, _Threads

DEADLINE = DEADLINE_MS / 1000


class Said:
    """What the worker says, as the session would send it."""

    def __init__(self) -> None:
        self._ops: list[Any] = []
        self._changed = threading.Condition()
        self.closed = threading.Event()
        self.settled = False
        self.flushed = self.woken = 0
        self.keeper = SimpleNamespace(asleep=False, wake=self._wake)

    def _wake(self) -> None:
        self.woken += 1
        self.keeper.asleep = False

    def post_quietly(self, op: bytes) -> None:
        with self._changed:
            self._ops += session_pb2.ClientFrame.FromString(op).ops
            self._changed.notify_all()

    def flush(self, block: bool = True) -> None:
        self.flushed += 1

    def wait(self, ready: Any) -> None: ...

    def settle(self) -> None:
        self.settled = not self.closed.is_set()

    def close(self) -> None:
        self.closed.set()

    def of(self, kind: str, count: int) -> list[Any]:
        """Waits until so many operations of a kind have been said, and gives them all."""
        said = lambda: [getattr(op, kind) for op in self._ops if op.HasField(kind)]
        with self._changed:
            assert self._changed.wait_for(lambda: len(said()) >= count, DEADLINE), f"{kind} was not said"
            return said()


class Actor:
    """Calls that wait until they are let go."""

    def __init__(self) -> None:
        self.entered: list[int] = []
        self.most = 0
        self._inside = 0
        self._changed = threading.Condition()
        self._open = threading.Event()

    def hold(self, number: int) -> int:
        with self._changed:
            self.entered.append(number)
            self._inside += 1
            self.most = max(self.most, self._inside)
            self._changed.notify_all()
        assert self._open.wait(DEADLINE)
        with self._changed:
            self._inside -= 1
        return number

    def leave(self) -> None:
        raise ExitActor

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.entered) >= count, DEADLINE)

    def let_go(self) -> None:
        self._open.set()


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def worker(said: Said) -> Any:
    worker: Any = Worker()
    worker.session = said
    worker.runtime = SimpleNamespace(inline_bytes=1000, session=said)
    worker.actor, worker.actor_id = Actor(), b"a" * 16
    worker._handle_declare(task_pb2.Declare(number=1, function="hold", returns=1))
    worker._handle_declare(task_pb2.Declare(number=2, function="leave", returns=1))
    return worker


def task(number: int) -> bytes:
    return number.to_bytes(12, "big") + bytes(4)


def run(number: int, declaration: int = 1) -> worker_pb2.Run:
    message = worker_pb2.Run(task=task(number), declaration=declaration, actor=b"a" * 16)
    arg = message.args.add()
    arg.value.format, arg.value.data = 2, bytes((number,))
    return message


def test_calls_on_threads_begin_in_order_and_as_many_at_once_as_may(worker: Any, said: Said) -> None:
    worker._pool = _Threads(worker, 3)
    for number in range(10):
        worker._handle_run(run(number))
    worker.actor.wait_for(3)
    assert worker.actor.entered == [0, 1, 2]
    assert len(worker.queue) == 7, "the others stay where they can be taken back"
    worker.actor.let_go()
    done = said.of("done", 10)
    assert sorted(answer.task for answer in done) == [task(number) for number in range(10)]
    assert all(answer.results[0].value.data == answer.task[11:12] for answer in done)
    assert worker.actor.most == 3
    assert sorted(worker.actor.entered) == list(range(10))
    assert not worker.running


def test_a_call_that_no_thread_has_begun_is_cancelled_without_running(worker: Any, said: Said) -> None:
    worker._pool = _Threads(worker, 2)
    for number in range(4):
        worker._handle_run(run(number))
    worker.actor.wait_for(2)
    worker._handle_interrupt(worker_pb2.Interrupt(task=task(2), code=Code.CANCELLED))
    (cancelled,) = said.of("done", 1)
    assert (cancelled.task, cancelled.failure.code) == (task(2), Code.CANCELLED)
    worker.actor.let_go()
    said.of("done", 4)
    assert sorted(worker.actor.entered) == [0, 1, 3]


def test_a_call_that_no_thread_has_begun_is_given_back(worker: Any, said: Said) -> None:
    worker._pool = _Threads(worker, 1)
    for number in range(4):
        worker._handle_run(run(number))
    worker.actor.wait_for(1)
    worker._handle_recall(worker_pb2.Recall(tasks=[task(number) for number in (0, 1, 3)]))
    (returned,) = said.of("returned", 1)
    assert list(returned.tasks) == [task(1), task(3)], "what runs is answered, and not given back"
    worker.actor.let_go()
    said.of("done", 2)
    assert worker.actor.entered == [0, 2]


def test_a_task_that_is_given_back_while_the_worker_reaches_for_it_does_not_run(worker: Any, said: Said) -> None:
    class Queue(deque[Any]):
        """The keeper gives back what is in it right before the main thread looks at the first."""

        def __getitem__(self, at: Any) -> Any:
            worker._handle_recall(worker_pb2.Recall(tasks=[task(0)]))
            worker._ending = True
            return super().__getitem__(at)

    worker.queue = Queue()
    worker._handle_run(run(0))
    in_thread(worker._run)()
    (returned,) = said.of("returned", 1)
    assert list(returned.tasks) == [task(0)]
    assert worker.actor.entered == []


def test_what_came_before_the_threads_were_there_is_run_by_them(worker: Any, said: Said) -> None:
    for number in range(3):
        worker._handle_run(run(number))
    worker._pool = _Threads(worker, 2)
    worker.actor.let_go()
    worker._pool.wake()
    said.of("done", 3)
    assert sorted(worker.actor.entered) == [0, 1, 2]


def test_an_actor_on_threads_that_leaves_answers_what_runs_begins_nothing_and_ends(worker: Any, said: Said) -> None:
    worker._pool = _Threads(worker, 2)
    worker._handle_run(run(0))
    worker.actor.wait_for(1)
    leaving = run(1, declaration=2)
    del leaving.args[:]
    worker._handle_run(leaving)
    (left,) = said.of("done", 1)
    assert (left.task, left.failure.code) == (task(1), Code.ACTOR_DIED)
    worker._handle_run(run(2))
    assert not said.closed.is_set(), "a call is not answered yet"
    worker.actor.let_go()
    assert said.closed.wait(DEADLINE)
    assert said.settled, "what it said last was taken before"
    assert [done.task for done in said.of("done", 2)] == [task(1), task(0)]
    assert worker.actor.entered == [0]


def test_what_is_queued_means_what_its_number_stood_for_when_it_came(worker: Any) -> None:
    for name in ("first", "second"):
        worker._handle_declare(task_pb2.Declare(number=7, function=name, returns=1))
        for number in (0, 1):
            order = worker_pb2.Run(declaration=7).SerializeToString()
            assert worker._take_runs(b"head", iter([(b"head", task(number), order)])) == 1
    assert [job.order.target.name for job in worker.queue] == ["first", "first", "second", "second"]


def test_what_was_never_declared_fails_and_the_worker_goes_on(worker: Any, said: Said) -> None:
    worker._handle_run(worker_pb2.Run(task=task(0), declaration=99))
    # In a context of its own: what executes knows its job from then on.
    worker.post(contextvars.copy_context().run(worker.execute, worker.queue.popleft()))
    (done,) = said.of("done", 1)
    assert done.failure.code == Code.MALFORMED_FRAME
    assert "declaration" in done.failure.message


@pytest.mark.parametrize("queued", [4, 5])
def test_an_answer_leaves_at_once_before_a_few_other_calls_and_by_the_keeper_before_many(
    queued: int, worker: Any, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_worker, "time", SimpleNamespace(monotonic=lambda: -1.0))
    said.keeper.asleep = True
    worker.queue.extend(range(queued))
    worker.post(b"")
    assert (said.flushed, said.woken) == ((1, 0) if queued == 4 else (0, 1))
    worker.post(b"")
    assert (said.flushed, said.woken) == ((2, 0) if queued == 4 else (0, 1)), "one that is awake need not be woken"


class Leaver:
    """Can be made, or not; leaves."""

    def __init__(self, works: bool = True) -> None:
        if not works:
            raise ValueError("it does not work")

    def leave(self) -> None:
        thornback.exit_actor()


class AsyncLeaver(Leaver):
    async def leave(self) -> None:
        thornback.exit_actor()


class TestLastWords:
    """A worker that ends by itself waits until what it said last is taken: a lost connection must not swallow that its actor is over."""

    @pytest.fixture
    def peer(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
        peer = Peer()
        monkeypatch.setenv("THORNBACK_ADDRESS", "unix:/the/peer")
        monkeypatch.setattr(_worker, "connector", lambda address, token: peer.connect)
        # The process of the tests goes on when a session of theirs is over.
        monkeypatch.setattr(_worker, "_exit_soon", lambda: None)
        yield peer
        _runtime.current = _runtime.worker = None

    def serve(self, peer: Peer, *runs: worker_pb2.Run) -> Any:
        """A worker in a thread of its own that creates the actor and runs its calls."""
        worker = Worker({"Leaver": (Leaver, True), "AsyncLeaver": (AsyncLeaver, True)})
        worker.connect()
        ops = [
            session_pb2.ServerOp(declare=task_pb2.Declare(number=n, function=f, returns=1))
            for n, f in enumerate(("Leaver", "AsyncLeaver", "leave"), 1)
        ]
        peer.say(*ops, *(session_pb2.ServerOp(run=run) for run in runs))

        def run_to_the_end() -> None:
            try:
                worker.run()
            finally:
                worker.session.close()

        return in_thread(run_to_the_end)

    def create(self, works: bool = True, declaration: int = 1, **setup: Any) -> worker_pb2.Run:
        message = worker_pb2.Run(task=task(1), declaration=declaration, actor=b"a" * 16, setup=worker_pb2.ActorSetup(**setup))
        arg = message.args.add()
        arg.value.format, arg.value.data = 2, b"\xc3" if works else b"\xc2"
        return message

    def leave(self) -> worker_pb2.Run:
        return worker_pb2.Run(task=task(2), declaration=3, actor=b"a" * 16)

    def answer(self, peer: Peer, number: int) -> Any:
        while (done := peer.op("done")).task != task(number):
            pass
        return done

    def lose_what_was_said(self, peer: Peer) -> None:
        asks = peer.uncounted().ops[0].WhichOneof("op")
        assert asks == "ping", "it waits until its last words are taken"
        peer.taken = 0
        peer.cut()
        peer.wait_for_hello(2)
        assert peer.hellos[1].HasField("resume")

    def let_go(self, peer: Peer, result: Any) -> None:
        peer.say(session_pb2.ServerOp(pong=session_pb2.Pong()), counted=False)
        result()
        assert peer.ended()

    @pytest.mark.parametrize(("declaration", "at_once"), [(1, 1), (1, 2), (2, 2)], ids=["one by one", "on threads", "asynchronous"])
    def test_an_actor_that_leaves_says_so_again_when_the_connection_is_lost(self, peer: Peer, declaration: int, at_once: int) -> None:
        result = self.serve(peer, self.create(declaration=declaration, max_concurrency=at_once), self.leave())
        assert peer.op("actor_exit").actor == b"a" * 16
        said = self.answer(peer, 2)
        assert said.failure.code == Code.ACTOR_DIED
        self.lose_what_was_said(peer)
        assert peer.op("actor_exit").actor == b"a" * 16
        assert self.answer(peer, 2) == said
        self.let_go(peer, result)

    def test_a_constructor_that_failed_is_told_again_when_the_connection_is_lost(self, peer: Peer) -> None:
        result = self.serve(peer, self.create(works=False))
        said = self.answer(peer, 1)
        assert said.failure.code == Code.TASK_FAILED
        self.lose_what_was_said(peer)
        assert self.answer(peer, 1) == said
        self.let_go(peer, result)

    def test_a_node_that_acknowledges_nothing_is_not_waited_for_without_end(self, peer: Peer) -> None:
        result = self.serve(peer, self.create(works=False))
        assert self.answer(peer, 1).failure.code == Code.TASK_FAILED
        result()
        assert peer.ended()

    def test_a_node_that_does_not_welcome_it_again_is_not_waited_for_without_end(self, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
        result = self.serve(peer, self.create(works=False))
        assert self.answer(peer, 1).failure.code == Code.TASK_FAILED
        silent: list[Any] = []
        monkeypatch.setattr(peer, "_welcome", silent.append)
        peer.cut()
        result()
        assert silent, "it tried"
