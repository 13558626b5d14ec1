"""What ends the keeper's sleep, and what does not."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Iterator

import pytest

from thornback._session.watch import Watch

needs_epoll = pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system cannot be told what somebody sleeps on")


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()
    yield watch
    watch.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def sleeping(watch: Watch) -> threading.Thread:
    """A thread that sleeps for as long as nothing happens."""
    thread = threading.Thread(target=watch.sleep, args=(600,), daemon=True)
    thread.start()
    return thread


def ended(thread: threading.Thread) -> bool:
    thread.join(30)
    return not thread.is_alive()


@pytest.mark.parametrize("epoll", [True, False])
def test_being_woken_and_bytes_that_nobody_reads_end_the_sleep(
    epoll: bool, pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not epoll:
        monkeypatch.delattr(select, "epoll", raising=False)
    ours, theirs = pair
    watch = Watch()
    try:
        watch.wake()
        assert watch.sleep(600), "also one who was not asleep yet"
        watch.attend(ours.fileno())
        theirs.send(b"x")
        assert not watch.sleep(600)
        watch.ignore()
        assert not watch.sleep(0)
        thread = sleeping(watch)
        watch.wake()
        assert ended(thread)
    finally:
        watch.close()


@needs_epoll
def test_one_who_sleeps_hears_from_when_on_nobody_reads(watch: Watch, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    watch.attend(ours.fileno())
    watch.ignore()
    thread = sleeping(watch)
    theirs.send(b"x")
    assert watch.attend_again()
    assert ended(thread), "and of what came before that"


def test_a_closed_connection_cannot_be_attended_again(watch: Watch) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        assert not watch.attend_again(), "nothing was before"
        watch.attend(ours.fileno())
        watch.ignore()
        ours.close()
        assert not watch.attend_again()
        watch.ignore()


@needs_epoll
def test_bytes_for_a_reader_wake_nobody_else(watch: Watch, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    watch.attend(ours.fileno())
    watch.ignore()
    theirs.send(b"x")
    assert watch._epoll.poll(0) == []
    watch.attend(ours.fileno())
    assert [fileno for fileno, _events in watch._epoll.poll(0)] == [ours.fileno()]
    assert watch._epoll.poll(0) == [], "it was told once, and reads or goes back to sleep"


@needs_epoll
def test_the_end_of_a_connection_is_told_once(watch: Watch, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    watch.attend(ours.fileno())
    watch.ignore()
    theirs.close()
    watch._epoll.poll(0)
    assert watch._epoll.poll(0) == [], "a keeper that heard of it again and again would not sleep until its reader has seen it"


def test_another_connection_may_have_the_number_of_the_one_before(watch: Watch, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    watch.attend(ours.fileno())
    number = ours.fileno()
    later, peer = socket.socketpair()
    with later, peer:
        os.dup2(later.fileno(), number)
        watch.attend(number)
        peer.send(b"x")
        assert not watch.sleep(600)


def test_a_closed_connection_cannot_be_attended(watch: Watch) -> None:
    ours, theirs = socket.socketpair()
    watch.attend(ours.fileno())
    ours.close()
    theirs.close()
    with pytest.raises(ValueError):
        watch.attend(ours.fileno())
    watch.ignore()
