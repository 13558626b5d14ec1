"""What the tests of the running system share: events between the test and its tasks, and looks at the server from outside.

No test here sleeps in order to be right. A test that must act while a task runs hears a `Bell` that the task rings, and lets it go on
through a `Gate`. What only the server can know (an object was freed, a worker is gone) has no event, so `eventually` asks again until it
holds; its deadline is there to end a failing run, and says nothing about speed.
"""

from __future__ import annotations

import gc
import os
import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import thornback
from thornback import _client

MIB = 1 << 20
# Long enough that only a hang gets there.
DEADLINE = 60.0


def get(refs: Any) -> Any:
    """`thornback.get`, except that a hang becomes a failure of the test that hangs."""
    return thornback.get(refs, timeout=DEADLINE)


def settle(refs: Any) -> list[Any]:
    """Waits for all refs. Returns, for each, its value or the exception that it stands for."""

    def one(ref: Any) -> Any:
        try:
            return get(ref)
        except thornback.GetTimeoutError:
            raise
        except thornback.ThornbackError as error:
            return error

    return [one(ref) for ref in refs]


def eventually(holds: Callable[[], Any], what: str) -> Any:
    """Returns the first true answer of `holds`; fails, naming `what`, if none comes."""
    give_up = time.monotonic() + DEADLINE
    while not (answer := holds()):
        if time.monotonic() > give_up:
            raise AssertionError(f"this did not come true: {what}")
        time.sleep(0.01)
    return answer


class Gate:
    """Holds back whoever passes, in any process, until it is opened. May be sent to tasks and actors."""

    def __init__(self, path: Path | str) -> None:
        self.path = str(path)
        self._writer: int | None = None
        if not os.path.exists(self.path):
            os.mkfifo(self.path)

    def __reduce__(self) -> tuple[type[Gate], tuple[str]]:
        return Gate, (self.path,)

    def open(self) -> None:
        # Opening a FIFO to read waits for a writer. This writer stays, so that those who come later pass too.
        if self._writer is None:
            self._writer = os.open(self.path, os.O_RDWR)

    def pass_through(self) -> None:
        os.close(os.open(self.path, os.O_RDONLY))

    def close(self) -> None:
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None


class Bell:
    """Carries short messages from tasks to the test, in the order in which they were rung. May be sent to tasks and actors."""

    def __init__(self, path: Path | str) -> None:
        self.path = str(path)
        self._reader: int | None = None
        self._heard = b""

    @classmethod
    def hang(cls, path: Path | str) -> Bell:
        """Makes the bell that the test listens to."""
        os.mkfifo(path)
        bell = cls(path)
        bell._reader = os.open(bell.path, os.O_RDWR | os.O_NONBLOCK)
        return bell

    def __reduce__(self) -> tuple[type[Bell], tuple[str]]:
        return Bell, (self.path,)

    def ring(self, message: object = "") -> None:
        # One write of less than PIPE_BUF bytes, so that messages do not mix; open to read as well, so that nobody waits for a listener.
        writer = os.open(self.path, os.O_RDWR)
        os.write(writer, f"{message}\n".encode())
        os.close(writer)

    def hear(self) -> str:
        """Waits for the next message."""
        assert self._reader is not None, "only the test listens"
        while b"\n" not in self._heard:
            ready, _, _ = select.select([self._reader], [], [], DEADLINE)
            assert ready, "nobody rang"
            self._heard += os.read(self._reader, 65536)
        message, _, self._heard = self._heard.partition(b"\n")
        return message.decode()

    def hear_all(self, count: int) -> list[str]:
        return [self.hear() for _ in range(count)]

    def rung(self) -> list[str]:
        """What has been rung and not been heard yet, without waiting."""
        assert self._reader is not None, "only the test listens"
        try:
            while more := os.read(self._reader, 65536):
                self._heard += more
        except BlockingIOError:
            pass
        messages, self._heard = self._heard.decode().splitlines(), b""
        return messages

    def close(self) -> None:
        if self._reader is not None:
            os.close(self._reader)
            self._reader = None


def array(mebibytes: float, fill: int = 0) -> Any:
    """An array of so many MiB, with content that tells it from others."""
    count = int(mebibytes * MIB) // 8
    return np.arange(fill, fill + count, dtype=np.int64)


def is_array(value: Any, mebibytes: float, fill: int = 0) -> bool:
    """Whether this is what `array` gave, every byte of it."""
    return bool(np.array_equal(value, array(mebibytes, fill)))


def status() -> Any:
    """What the server says of itself (`thornback.v1.Status`)."""
    gc.collect()
    return _client._status()


def store_used() -> int:
    """Bytes that the server's object store holds in memory."""
    return int(status().store_used_bytes)


def spilled() -> int:
    """Bytes that the server has on disk."""
    return int(status().spilled_bytes)


def objects() -> int:
    """Objects that the server knows of."""
    return int(status().objects)


def is_alive(pid: int) -> bool:
    """Whether a process runs. A zombie, which only waits to be reaped, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
