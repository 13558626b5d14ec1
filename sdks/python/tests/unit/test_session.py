"""The conversation: batches, order, credit, acknowledgement, resumption, and who reads."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import thornback
from tests.unit.peer import Peer, completion, in_thread, memory, runtime_of
from thornback import _runtime
from thornback._gen import control_pb2, failure_pb2, session_pb2
from thornback._session import frames, keeper


@thornback.remote
def work(number: int = 0) -> int:
    return number


def test_hello_says_who_we_are(peer: Peer, runtime: Any) -> None:
    hello = peer.hellos[0]
    assert (hello.version_min, hello.version_max) == (1, 1)
    assert hello.language == "python"
    assert hello.window_bytes > 0
    assert "python/pickle5" in hello.formats
    assert runtime.namespace == "test"


def test_what_is_submitted_together_travels_together(peer: Peer, runtime: Any) -> None:
    # Without the keeper, which may send a part of them before the rest is there.
    runtime.session.keeper.stop()
    refs = [work.remote(number) for number in range(10)]
    runtime.session.flush()
    frame = peer.frame()
    kinds = [op.WhichOneof("op") for op in frame.ops]
    assert kinds == ["put", "declare", *["submit"] * 10], "the code, the declaration, then the calls, in order"
    assert [op.submit.task[:12] + b"\0\0\0\1" for op in frame.ops[2:]] == [ref.binary() for ref in refs]
    assert [op.submit.args[0].value.data for op in frame.ops[2:]] == [bytes((number,)) for number in range(10)]


def test_what_is_submitted_leaves_without_anyone_waiting(peer: Peer, runtime: Any) -> None:
    ref = work.remote()
    assert peer.op("submit").task[:12] == ref.binary()[:12]


class TestOneAtATime:
    """A program that waits for each call before it makes another: nothing gathers, and nobody looks whether something lies about."""

    def call(self, peer: Peer) -> None:
        ref = work.remote()
        result = in_thread(lambda: thornback.get(ref))
        peer.op("submit")
        peer.say(completion(ref.binary(), data=b"\x07"))
        assert result() == 7

    def into_the_habit(self, peer: Peer, runtime: Any) -> None:
        while not runtime.session.single:
            self.call(peer)

    def until_the_keeper_rests(self, peer: Peer, runtime: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(keeper, "_REST_S", 600.0)
        while not runtime.session.keeper.resting:
            self.call(peer)

    def test_its_calls_leave_as_they_are_made(self, peer: Peer, runtime: Any) -> None:
        runtime.session.keeper.stop()
        self.into_the_habit(peer, runtime)
        ref = work.remote()
        assert peer.op("submit").task[:12] == ref.binary()[:12], "without a keeper, and before anybody waits"
        work.remote()
        assert runtime.session.pending, "of several they go together"
        assert not runtime.session.single

    def test_a_few_calls_are_no_habit(self, peer: Peer, runtime: Any) -> None:
        runtime.session.keeper.stop()
        for _ in range(10):
            self.call(peer)
        work.remote()
        assert runtime.session.pending

    def test_waiting_for_several_is_another_habit(self, peer: Peer, runtime: Any) -> None:
        self.into_the_habit(peer, runtime)
        refs = work.remote(), work.remote()
        result = in_thread(lambda: thornback.get(list(refs)))
        for ref in refs:
            peer.op("submit")
            peer.say(completion(ref.binary(), data=b"\x07"))
        assert result() == [7, 7]
        assert not runtime.session.single

    def test_what_it_posts_without_waiting_leaves_though_the_keeper_rests(
        self, peer: Peer, runtime: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.until_the_keeper_rests(peer, runtime, monkeypatch)
        refs = [work.remote() for _ in range(3)]
        assert [peer.op("submit").task[:12] for _ in refs] == [ref.binary()[:12] for ref in refs]

    def test_a_task_that_got_its_cpu_back_says_so_though_the_keeper_rests(
        self, peer: Peer, runtime: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.until_the_keeper_rests(peer, runtime, monkeypatch)
        runtime.session.post_soon(frames.UNBLOCKED(frames.ID_1 + bytes(16)))
        assert peer.op("unblocked").task == bytes(16)

    def test_an_event_loop_that_begins_to_wait_is_told_though_the_keeper_rests(
        self, peer: Peer, runtime: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.until_the_keeper_rests(peer, runtime, monkeypatch)
        ref = work.remote()
        future = ref.future()
        peer.op("submit")
        peer.say(completion(ref.binary(), data=b"\x07"))
        assert future.result(timeout=30) == 7


def test_a_wait_sends_what_is_posted_and_reads_the_answer(peer: Peer, runtime: Any) -> None:
    ref = work.remote()
    result = in_thread(lambda: thornback.get(ref))
    peer.op("submit")
    peer.say(completion(ref.binary(), data=b"\x07"))
    assert result() == 7


def test_threads_that_wait_at_once_all_get_their_answer(peer: Peer, runtime: Any) -> None:
    refs = [work.remote(number) for number in range(20)]
    results = [in_thread(lambda ref=ref: thornback.get(ref)) for ref in refs]  # type: ignore[misc]
    for ref in refs:
        peer.op("submit")
    for number, ref in reversed(list(enumerate(refs))):
        peer.say(completion(ref.binary(), data=bytes((number,))))
    assert [result() for result in results] == list(range(20))


def test_frames_are_acknowledged_and_forgotten(peer: Peer, runtime: Any) -> None:
    ref = work.remote()
    result = in_thread(lambda: thornback.get(ref))
    first = peer.frame()
    assert first.seq == 1
    while peer.taken < 1:
        peer.frame()
    peer.say(completion(ref.binary(), data=b"\x01"))
    assert result() == 1
    assert not runtime.session._unacknowledged
    other = work.remote()
    runtime.session.flush()
    second = peer.frame()
    assert (second.seq, second.ack) == (2, 1)
    del other


def test_a_frame_that_comes_twice_counts_once(peer: Peer, runtime: Any) -> None:
    refs = [work.remote(), work.remote()]
    runtime.session.flush()
    peer.frame()
    peer.say(completion(refs[0].binary(), data=b"\x01"))
    peer.say_again(1, completion(refs[1].binary(), data=b"\x02"))
    peer.say(completion(refs[1].binary(), data=b"\x03"))
    assert thornback.get(refs, timeout=30) == [1, 3]


def test_a_gap_ends_the_session(peer: Peer, runtime: Any) -> None:
    ref = work.remote()
    runtime.session.flush()
    peer.say_again(5, completion(ref.binary(), data=b"\x01"))
    with pytest.raises(thornback.ConnectionLostError, match="frame 5"):
        thornback.get(ref, timeout=30)


def test_an_answer_wakes_only_the_one_who_waits_for_it(peer: Peer, runtime: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = runtime.session.keeper
    ref, later = work.remote(), work.remote()
    result = in_thread(lambda: thornback.get(ref))
    peer.op("submit")
    while not (keeper.asleep and runtime.session.led):
        time.sleep(0.001)
    woken: list[None] = []
    monkeypatch.setattr(keeper, "wake", lambda: woken.append(None))
    peer.say(completion(ref.binary(), data=b"\x07"))
    assert result() == 7
    assert not woken
    # And yet it reads from here on.
    peer.say(completion(later.binary(), data=b"\x08"))
    while runtime.session.received < 3:
        time.sleep(0.001)
    monkeypatch.undo()
    assert thornback.get(later, timeout=30) == 8


def test_a_ping_is_answered_while_nobody_waits(peer: Peer, runtime: Any) -> None:
    op = session_pb2.ServerOp()
    op.ping.nonce = 42
    peer.say(op, counted=False)
    frame = peer.uncounted()
    assert [op.WhichOneof("op") for op in frame.ops] == ["pong"]
    assert frame.ops[0].pong.nonce == 42


def test_operations_that_a_later_version_adds_are_ignored(peer: Peer, runtime: Any) -> None:
    ref = work.remote()
    runtime.session.flush()
    later = session_pb2.ServerOp.FromString(frames.field(1000, b"anything"))
    peer.say(later, completion(ref.binary(), data=b"\x05"))
    assert thornback.get(ref, timeout=30) == 5


class TestEnding:
    """A node that is stopped or stuck takes nothing more, and its socket is full."""

    def fill(self, runtime: Any) -> None:
        """Sends until the connection takes no more."""
        runtime.session.keeper.stop()
        sock = runtime.session._carrier._sock
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                sock.send(bytes(1 << 16))
        sock.setblocking(True)

    def test_a_program_ends_though_its_node_does_not_read(self, peer: Peer, runtime: Any) -> None:
        self.fill(runtime)
        in_thread(runtime.close)()

    def test_a_program_ends_though_its_node_does_not_answer(self, peer: Peer, runtime: Any, monkeypatch: Any) -> None:
        monkeypatch.setattr(_runtime, "_LAST_OUTPUT_S", 0.1)
        in_thread(runtime.collect_output)()

    def test_a_program_ends_though_another_thread_waits_for_a_node_that_does_not_read(self, peer: Peer, runtime: Any) -> None:
        self.fill(runtime)
        session = runtime.session
        sending = in_thread(lambda: (session.post_quietly(frames.PING(b"")), session.flush()))
        while not session._send_lock.locked():
            time.sleep(0.001)
        in_thread(runtime.close)()
        sending()


def grant(amount: int) -> session_pb2.ServerOp:
    """So many bytes of credit."""
    return session_pb2.ServerOp(credit=session_pb2.Credit(bytes=amount))


@contextmanager
def out_of_credit() -> Iterator[tuple[Peer, Any, list[Any]]]:
    """A peer, a runtime whose keeper is stopped and whose credit is used up, and the refs of what used it up."""
    peer = Peer(window_bytes=1000)
    runtime = runtime_of(peer)
    runtime.session.keeper.stop()
    try:
        refs = [runtime.put(b"x" * 2000)]
        runtime.session.flush()
        yield peer, runtime, refs
    finally:
        peer.cut()
        runtime.close()


class TestCredit:
    def test_sending_stops_without_credit_and_goes_on_with_it(self) -> None:
        peer = Peer(window_bytes=1000)
        runtime = runtime_of(peer)
        _runtime.current = runtime
        try:
            first = runtime.put(b"x" * 2000)
            runtime.session.flush(block=False)
            frame = peer.frame()
            assert len(frame.SerializeToString()) > 1000, "what is left may be overdrawn"
            second = runtime.put("later")
            runtime.session.flush(block=False)
            assert runtime.session.pending, "no credit is left"
            assert not runtime.session.sendable, "the keeper would look every millisecond whether it can be sent"
            peer.say(grant(3000), counted=False)
            assert peer.op("put").object == second.binary()
            del first
        finally:
            _runtime.current = None
            peer.cut()
            runtime.close()

    def test_credit_that_comes_while_nobody_waits_for_it_yet_is_seen(self) -> None:
        """The keeper may read it after a thread found none and before that thread waits: no more need ever come."""
        with out_of_credit() as (peer, runtime, refs):
            session = runtime.session
            refs.append(runtime.put("later"))
            send_ready, waited = session._send_ready, []

            def send_ready_and_then_poll() -> bool:
                sent = send_ready()
                if not sent and not waited:
                    waited.append(True)
                    peer.say(grant(3000), counted=False)
                    while not session.sendable:
                        session.poll()
                return sent

            session._send_ready = send_ready_and_then_poll
            in_thread(session.flush)()
            assert waited, "the credit came in between"
            assert peer.op("put").object == refs[0].binary()
            assert peer.op("put").object == refs[1].binary()

    def test_a_thread_that_waits_for_credit_goes_on_with_the_window_of_a_new_connection(self) -> None:
        """What was granted on the connection before is no measure for the new one."""
        with out_of_credit() as (peer, runtime, refs):
            session = runtime.session
            peer.frame()
            peer.say(grant(50_000), counted=False)
            session.poll()
            refs.append(runtime.put(b"x" * 90_000))
            peer.frame()
            refs.append(runtime.put("later"))
            flushed = in_thread(session.flush)
            while not session.led:
                time.sleep(0.001)
            peer.cut()
            peer.wait_for_hello(2)
            assert peer.op("put").object == refs[2].binary()
            flushed()

    def test_credit_is_given_back_for_what_was_taken(self, peer: Peer, runtime: Any) -> None:
        ref = work.remote()
        runtime.session.flush()
        peer.frame()
        big = completion(ref.binary(), data=b"\xc6" + (1 << 20).to_bytes(4, "big") + bytes(1 << 20))
        for _ in range(5):
            peer.say(big)
        thornback.get(ref, timeout=30)
        frame = peer.uncounted()
        assert sum(op.credit.bytes for op in frame.ops) >= 4 << 20


class TestResume:
    def test_a_lost_connection_is_resumed_and_nothing_is_lost_or_doubled(self, peer: Peer, runtime: Any) -> None:
        refs = [work.remote(1), work.remote(2)]
        runtime.session.flush()
        frame = peer.frame()
        peer.taken = 0  # It came, but the node was cut off before it took it.
        peer.cut()
        result = in_thread(lambda: thornback.get(refs))
        peer.wait_for_hello(2)
        again = peer.frame()
        assert peer.hellos[1].resume.session == b"s" * 16
        assert peer.hellos[1].resume.secret == b"t" * 16
        assert (again.seq, list(again.ops)) == (frame.seq, list(frame.ops))
        peer.say(*(completion(ref.binary(), data=bytes((n,))) for n, ref in enumerate(refs)))
        assert result() == [0, 1]

    def test_what_the_node_has_taken_is_not_sent_again(self, peer: Peer, runtime: Any) -> None:
        ref = work.remote()
        runtime.session.flush()
        peer.frame()
        peer.cut()
        result = in_thread(lambda: thornback.get(ref))
        peer.wait_for_hello(2)
        peer.say(completion(ref.binary(), data=b"\x09"))
        assert result() == 9
        assert runtime.put(1).binary() == peer.op("put").object
        assert peer.frames[-1].seq == 2

    def test_a_session_that_is_gone_fails_what_waits(self, peer: Peer, runtime: Any) -> None:
        ref = work.remote()
        runtime.session.flush()
        peer.frame()
        peer.resumes = False
        peer.cut()
        with pytest.raises(thornback.ConnectionLostError):
            thornback.get(ref, timeout=30)
        with pytest.raises(thornback.ConnectionLostError):
            thornback.nodes()

    def test_a_get_gives_up_in_time_while_the_connection_is_lost(self, peer: Peer, runtime: Any) -> None:
        """The node takes the new connection and says nothing: who waits with a timeout is not held up, and another may go on."""
        runtime.session.keeper.stop()
        ref = work.remote()
        runtime.session.flush()
        peer.frame()
        welcome, silent = peer._welcome, []
        peer._welcome = silent.append  # type: ignore[method-assign]
        peer.cut()
        with pytest.raises(thornback.GetTimeoutError):
            thornback.get(ref, timeout=0.05)
        assert silent, "it tried"
        peer._welcome = welcome  # type: ignore[method-assign]
        result = in_thread(lambda: thornback.get(ref))
        peer.wait_for_hello(2)
        peer.say(completion(ref.binary(), data=b"\x09"))
        assert result() == 9

    def test_goodbye_is_raised_as_what_it_says(self, peer: Peer, runtime: Any) -> None:
        ref = work.remote()
        runtime.session.flush()
        op = session_pb2.ServerOp()
        op.goodbye.failure.CopyFrom(failure_pb2.Failure(code=thornback.Code.SHUTTING_DOWN, message="closing time"))
        peer.say(op, counted=False)
        with pytest.raises(thornback.ShuttingDownError, match="closing time"):
            thornback.get(ref, timeout=30)

    def test_a_refused_hello_is_raised_as_what_it_says(self) -> None:
        class Refusing(Peer):
            def _welcome(self, sock: Any) -> None:
                self._read_frame()
                op = session_pb2.ServerOp()
                op.goodbye.failure.CopyFrom(failure_pb2.Failure(code=thornback.Code.UNAUTHENTICATED, message="who are you"))
                self._write(session_pb2.ServerFrame(ops=[op]))

        with pytest.raises(thornback.UnauthenticatedError, match="who are you"):
            runtime_of(Refusing())


class TestMisbehaviour:
    """What a node must not do. Each time the client says why, ends the session, and nobody is left waiting."""

    def ends(self, peer: Peer, runtime: Any, ref: Any, code: int, match: str) -> None:
        with pytest.raises(thornback.ConnectionLostError, match=match):
            thornback.get(ref, timeout=30)
        assert peer.ended()
        assert len(peer.hellos) == 1, "it is not tried again"
        said = [op.goodbye.failure.code for frame in peer.frames for op in frame.ops if op.HasField("goodbye")]
        assert said[:1] == [code]
        with pytest.raises(thornback.ConnectionLostError):
            thornback.nodes()

    def test_a_frame_that_is_no_protobuf(self, peer: Peer, runtime: Any) -> None:
        ref = work.remote()
        runtime.session.flush()
        whole = session_pb2.ServerFrame(seq=1, ops=[completion(ref.binary(), data=b"\x01")]).SerializeToString()
        peer.send_bytes(whole + b"\x1a\x05\xff")
        self.ends(peer, runtime, ref, thornback.Code.MALFORMED_FRAME, "not protobuf")

    def test_a_length_above_the_limit(self, peer: Peer, runtime: Any) -> None:
        ref = work.remote()
        runtime.session.flush()
        peer.send_bytes(b"", length=(4 << 20) + 1)
        self.ends(peer, runtime, ref, thornback.Code.FRAME_TOO_LARGE, "4194305")

    def test_a_gap(self, peer: Peer, runtime: Any) -> None:
        ref = work.remote()
        runtime.session.flush()
        peer.say_again(2, completion(ref.binary(), data=b"\x01"))
        self.ends(peer, runtime, ref, thornback.Code.SEQUENCE_GAP, "frame 2")

    def test_an_acknowledgement_of_what_was_never_sent(self, peer: Peer, runtime: Any) -> None:
        ref = work.remote()
        runtime.session.flush()
        peer.taken = 1000
        peer.say(completion(ref.binary(), data=b"\x01"))
        self.ends(peer, runtime, ref, thornback.Code.SEQUENCE_GAP, "1000")

    def test_operations_in_a_frame_where_they_have_no_place(self, peer: Peer, runtime: Any) -> None:
        ref = work.remote()
        runtime.session.flush()
        peer.say(completion(ref.binary(), data=b"\x01"), counted=False)
        self.ends(peer, runtime, ref, thornback.Code.MALFORMED_FRAME, "completion")

    def test_credit_in_a_frame_with_a_number(self, peer: Peer, runtime: Any) -> None:
        ref = work.remote()
        runtime.session.flush()
        credit = session_pb2.ServerOp()
        credit.credit.bytes = 1
        peer.say(credit)
        self.ends(peer, runtime, ref, thornback.Code.MALFORMED_FRAME, "credit")

    def test_a_second_welcome(self, peer: Peer, runtime: Any) -> None:
        ref = work.remote()
        runtime.session.flush()
        peer.say(session_pb2.ServerOp(welcome=session_pb2.Welcome(version=1)), counted=False)
        self.ends(peer, runtime, ref, thornback.Code.MALFORMED_FRAME, "twice")

    def test_a_frame_cut_short_is_no_frame_and_comes_again(self, peer: Peer, runtime: Any) -> None:
        """The connection is lost in the middle of a frame: nothing of it is taken, and the session resumes."""
        ref = work.remote()
        runtime.session.flush()
        peer.frame()
        answer = completion(ref.binary(), data=b"\x06")
        whole = session_pb2.ServerFrame(seq=1, ops=[answer]).SerializeToString()
        peer.send_bytes(whole[:-3], length=len(whole))
        peer.cut()
        result = in_thread(lambda: thornback.get(ref))
        peer.wait_for_hello(2)
        assert peer.hellos[1].resume.ack == 0
        peer.say_again(1, answer)
        assert result() == 6

    def test_frames_that_come_byte_by_byte(self, peer: Peer, runtime: Any) -> None:
        refs = [work.remote(), work.remote()]
        runtime.session.flush()
        result = in_thread(lambda: thornback.get(refs))
        bodies = [
            session_pb2.ServerFrame(seq=seq, ops=[completion(ref.binary(), data=bytes((seq,)))]).SerializeToString()
            for seq, ref in enumerate(refs, 1)
        ]
        for byte in b"".join(len(body).to_bytes(4, "big") + body for body in bodies):
            peer.send_raw(bytes((byte,)))
        assert result() == [1, 2]

    def test_a_hello_that_is_answered_by_garbage(self) -> None:
        class Babbling(Peer):
            def _welcome(self, sock: Any) -> None:
                self._read_frame()
                self.send_bytes(b"HTTP/1.1 400 Bad Request")

        with pytest.raises(thornback.ConnectionLostError, match="something else"):
            runtime_of(Babbling())

    def test_a_hello_that_is_answered_by_silence_and_the_end(self) -> None:
        class Leaving(Peer):
            def _welcome(self, sock: Any) -> None:
                self._read_frame()
                self.cut()

        with pytest.raises(thornback.ConnectionLostError, match="before it answered"):
            runtime_of(Leaving())

    @pytest.mark.parametrize("code", [thornback.Code.PERMISSION_DENIED, thornback.Code.SESSION_EXPIRED])
    def test_a_resumption_that_is_refused_is_not_asked_for_again(self, peer: Peer, runtime: Any, code: thornback.Code) -> None:
        ref = work.remote()
        runtime.session.flush()
        peer.frame()
        op = session_pb2.ServerOp()
        op.goodbye.failure.CopyFrom(failure_pb2.Failure(code=code, message="not this one"))
        hellos: list[Any] = []

        def refuse(sock: Any) -> None:
            hellos.append(peer._read_frame())
            peer._write(session_pb2.ServerFrame(ops=[op]))

        peer._welcome = refuse  # type: ignore[method-assign]
        peer.cut()
        with pytest.raises(thornback.ThornbackError, match="not this one") as caught:
            thornback.get(ref, timeout=30)
        assert caught.value.code == code
        assert len(hellos) == 1


class TestDescriptors:
    def arena(self, number: int, size: int) -> session_pb2.ServerOp:
        op = session_pb2.ServerOp()
        op.arena.number, op.arena.size = number, size
        return op

    def test_a_frame_that_comes_again_brings_its_descriptors_again(self, peer: Peer, runtime: Any) -> None:
        """Those of the copy are closed, so that the next arena is not taken for the one before."""
        ours = []
        for number, letter in enumerate((b"a", b"b"), 1):
            descriptor, readable = memory(4096)
            os.pwrite(descriptor, letter * 4096, 0)
            os.close(descriptor)
            ours.append(readable)
            peer.say(self.arena(number, 4096), descriptors=[readable])
            if number == 1:
                peer.say_again(1, self.arena(number, 4096), descriptors=[readable])
        assert runtime.session.wait(lambda: 2 in runtime.arenas._readable)
        for number, letter in enumerate((b"a", b"b"), 1):
            assert bytes(runtime.arenas.read(number, 0, 4096, lambda: None)) == letter * 4096
        assert not runtime.session._carrier.descriptors
        for descriptor in ours:
            os.close(descriptor)

    def test_an_arena_without_its_descriptor_is_told_of_and_used_by_nobody(self, peer: Peer, runtime: Any) -> None:
        ref = work.remote()
        runtime.session.flush()
        peer.say(self.arena(1, 4096), completion(ref.binary(), data=b"\x01"))
        assert thornback.get(ref, timeout=30) == 1
        with pytest.raises(thornback.ProtocolError, match="arena 1"):
            runtime.arenas.read(1, 0, 10, lambda: None)


class TestInterruption:
    def test_ctrl_c_in_a_get_leaves_the_session_whole(self, peer: Peer, runtime: Any) -> None:
        ref = work.remote()

        def interrupt() -> None:
            peer.op("submit")
            # Not while it still sends: then the session cannot tell how much went out, and resumes.
            while sys._current_frames()[main].f_code.co_name != "_receive":
                time.sleep(0.001)
            # One that comes right before the system call is heard after it, as everywhere in Python: people press it again, too.
            while not caught.wait(0.2):
                signal.pthread_kill(main, signal.SIGINT)

        def ctrl_c(_number: int, _frame: object) -> None:
            if not caught.is_set():
                raise KeyboardInterrupt

        caught = threading.Event()
        main = threading.get_ident()
        thread = threading.Thread(target=interrupt)
        # Who starts the tests in the background has them ignore Ctrl-C.
        before = signal.signal(signal.SIGINT, ctrl_c)
        try:
            thread.start()
            with pytest.raises(KeyboardInterrupt):
                thornback.get(ref)
            caught.set()
            thread.join()
        finally:
            signal.signal(signal.SIGINT, before)
        peer.say(completion(ref.binary(), data=b"\x04"))
        assert thornback.get(ref, timeout=30) == 4
        assert len(peer.hellos) == 1, "no new connection was needed"

    def test_an_exception_in_the_middle_of_a_frame_is_mended_by_resuming(self, peer: Peer, runtime: Any) -> None:
        refs = [work.remote(), work.remote()]
        runtime.session.flush()
        peer.frame()
        once = [KeyboardInterrupt()]

        def interrupted(message: Any) -> None:
            if once:
                raise once.pop()

        runtime.session._handlers["log"] = interrupted
        line = session_pb2.ServerOp()
        line.log.source = "pid=7"
        both = [completion(refs[0].binary(), data=b"\x00"), line, completion(refs[1].binary(), data=b"\x01")]
        result = in_thread(lambda: thornback.get(refs))
        peer.say(*both)
        with pytest.raises(KeyboardInterrupt):
            result()
        result = in_thread(lambda: thornback.get(refs, timeout=30))
        peer.wait_for_hello(2)
        assert peer.hellos[1].resume.ack == 0, "the frame was not taken whole"
        peer.say_again(1, *both)
        assert result() == [0, 1]


class TestRefused:
    def refuse(self, peer: Peer, runtime: Any, kind: str) -> None:
        runtime.session.flush()
        places: list[int] = []
        while not places:
            # What goes before it may have gone by itself.
            frame = peer.frame()
            places = [index for index, op in enumerate(frame.ops) if op.WhichOneof("op") == kind]
        index = places[0]
        op = session_pb2.ServerOp()
        op.refused.seq, op.refused.index = frame.seq, index
        refused = getattr(frame.ops[index], kind)
        op.refused.id = refused.object if kind == "put" else refused.task
        op.refused.failure.CopyFrom(failure_pb2.Failure(code=thornback.Code.INVALID_ARGUMENT, message="not like this"))
        peer.say(op)

    def test_a_refused_call_fails_its_refs(self, peer: Peer, runtime: Any) -> None:
        refs = work.options(num_returns=3).remote(1)
        self.refuse(peer, runtime, "submit")
        for ref in refs:
            with pytest.raises(thornback.InvalidArgumentError, match="not like this"):
                thornback.get(ref, timeout=30)

    def test_a_refused_stream_ends_with_the_failure(self, peer: Peer, runtime: Any) -> None:
        stream = work.options(num_returns="streaming").remote(1)
        self.refuse(peer, runtime, "submit")
        with pytest.raises(thornback.InvalidArgumentError):
            thornback.get(next(stream), timeout=30)
        with pytest.raises(StopIteration):
            next(stream)

    def test_a_refused_put_fails_its_ref(self, peer: Peer, runtime: Any) -> None:
        ref = thornback.put(1)
        self.refuse(peer, runtime, "put")
        wanted = lambda: type(runtime._state[ref.binary()]).__name__ == "Failed"
        assert runtime.session.wait(wanted)
        with pytest.raises(thornback.InvalidArgumentError):
            thornback.get(ref)


def test_a_log_line_is_printed(peer: Peer, runtime: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ref = work.remote()
    runtime.session.flush()
    op = session_pb2.ServerOp()
    op.log.stream, op.log.source = "stderr", "pid=7"
    op.log.lines.extend(["one", "two"])
    peer.say(op, completion(ref.binary(), data=b"\xc0"))
    thornback.get(ref, timeout=30)
    assert capsys.readouterr().err == "(pid=7) one\n(pid=7) two\n"


def test_wait_finds_duplicates_in_any_list_whatever_the_last_one_left(peer: Peer, runtime: Any) -> None:
    refs = [work.remote(number) for number in range(6)]
    runtime.session.flush()
    while not peer.taken or not any(op.HasField("submit") for frame in peer.frames for op in frame.ops):
        peer.frame()
    peer.say(*(completion(refs[number].binary(), data=b"\x01") for number in (0, 1, 4)))
    assert thornback.get(refs[4], timeout=30) == 1
    ready, rest = thornback.wait(refs, timeout=0)
    assert (ready, rest) == (refs[:1], refs[1:])
    for changed in ([*rest, rest[0]], [rest[0], rest[0], *rest[2:]], [*rest[:-1], rest[0]]):
        with pytest.raises(ValueError, match="duplicates"):
            thornback.wait(changed, timeout=0)
    ready, rest = thornback.wait(rest, num_returns=2, timeout=0)
    assert (ready, rest) == ([refs[1], refs[4]], [refs[2], refs[3], refs[5]]), "what is ready need not be the first"
    assert thornback.wait(rest, timeout=0) == ([], rest)
    with pytest.raises(ValueError, match="duplicates"):
        thornback.wait([rest[0], rest[0], rest[2]], timeout=0)


def test_wait_sees_a_list_as_it_is_though_it_knows_what_the_last_one_left(peer: Peer, runtime: Any) -> None:
    refs = [thornback.put(number) for number in range(6)]
    (first,), rest = thornback.wait(refs)
    assert first is refs[0]
    other, twin = thornback.put(6), runtime.adopt_ref(rest[1].binary())
    rest[0] = other
    ready, rest = thornback.wait(rest)
    assert ready == [other], "another ref in the place of one"
    rest[0] = twin
    ready, rest = thornback.wait(rest)
    assert ready[0] is twin, "what is given back is what was given"
    with pytest.raises(TypeError, match="holds a int"):
        thornback.wait([*rest[:-1], 1])
    rest.reverse()
    ready, rest = thornback.wait(rest, num_returns=2)
    assert (ready, rest) == ([refs[5], refs[4]], [refs[3]])
    rest.clear()
    assert thornback.wait(rest) == ([], [])


def test_what_wait_left_over_is_dropped_with_the_refs(peer: Peer, runtime: Any) -> None:
    refs = [thornback.put(number) for number in range(3)]
    ids = [ref.binary() for ref in refs]
    ready, rest = thornback.wait(refs)
    del refs, ready, rest
    runtime.session.flush()
    dropped = peer.op("refs").drop
    assert sorted(dropped) == sorted(ids)


def test_a_request_that_nobody_waits_for_is_sent_and_told_of_only_if_it_fails(peer: Peer, runtime: Any, capsys: Any) -> None:
    for answer in (control_pb2.Reply(done=control_pb2.Empty()), control_pb2.Reply(failure=failure_pb2.Failure(code=2, message="not that"))):
        runtime.post_request(remove_placement_group=control_pb2.RemovePlacementGroup(group=b"g" * 16))
        request = peer.op("request")
        assert request.remove_placement_group.group == b"g" * 16
        op = session_pb2.ServerOp(reply=answer)
        op.reply.number = request.number
        ref = work.remote()
        peer.op("submit")
        peer.say(op, completion(ref.binary(), data=b"\x01"))
        assert thornback.get(ref, timeout=30) == 1
        assert not runtime._requests
    assert capsys.readouterr().err == "thornback: the node refused remove_placement_group: not that\n"
