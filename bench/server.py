"""A server of the bench's own, which several drivers can reach, and what it uses. It measures from outside and asks the server nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO

_START_TIMEOUT_S = 30.0


class Server:
    """`thornback dev`, for as long as the context lasts. THORNBACK_BINARY names the program."""

    def __init__(self, *options: str) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="thornback-bench-")
        ports = Path(self._directory.name) / "ports.json"
        self._process = subprocess.Popen(
            [os.environ.get("THORNBACK_BINARY", "thornback"), "dev", "--ports-file", str(ports), "--exit-with-stdin", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not ports.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise RuntimeError("the server did not come up; what it says stands above")
            time.sleep(0.005)
        self.address = "unix:" + json.loads(ports.read_text())["unix"]

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process.stdin is not None  # It was asked for above.
        self._process.stdin.close()
        self._process.wait()
        self._directory.cleanup()

    def memory(self) -> int:
        """Bytes of memory of its own (`RssAnon`); pages of the shared object store belong to the objects in it."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError(f"process {self._process.pid} does not say how much memory it has")


class Driver:
    """A program that takes lines of JSON and answers each with one: this very script, started again with other arguments."""

    def __init__(self, script: str, *arguments: str) -> None:
        self._process = subprocess.Popen([sys.executable, script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, what: object) -> None:
        """Sends a line, and waits for nothing."""
        assert self._process.stdin is not None
        print(json.dumps(what), file=self._process.stdin, flush=True)

    def hear(self) -> dict[str, float]:
        """The next answer. Raises `RuntimeError` if the program ended instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a driver ended with status {self._process.wait()}; what it says stands above")
        answer: dict[str, float] = json.loads(line)
        return answer

    def end(self) -> None:
        """Closes its input, on which it ends, and waits until it is gone."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()


def answer(what: object, to: IO[str] = sys.stdout) -> None:
    """What a driver says to the one that started it."""
    print(json.dumps(what), file=to, flush=True)
