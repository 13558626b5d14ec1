"""A node of one's own: found, started, and ended with this program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from thornback._errors import ConnectionLostError

_START_TIMEOUT_S: Final = 30.0


class LocalNode:
    """A `thornback dev` process, whose life hangs on a pipe to this one: however this program ends, the node ends too."""

    def __init__(self, options: Sequence[str]) -> None:
        """Starts it and waits until it listens. Raises `ConnectionLostError`, with what it said, if it does not."""
        binary = find_binary()
        name = f"{_temporary()}/thornback-{os.getpid()}-{os.urandom(8).hex()}"
        ports = name + "-ports.json"
        # What the node says goes to a file of its own and not to a pipe, which nobody would read later on.
        errors = os.fdopen(os.open(name + "-log", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w+b")
        os.unlink(name + "-log")
        try:
            self._process = subprocess.Popen(
                [binary, "dev", "--ports-file", ports, "--exit-with-stdin", *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                # Ctrl-C at the terminal is for this program, which may catch it and go on.
                start_new_session=True,
            )
            self.ports = self._wait(ports, errors)
        finally:
            try:
                os.unlink(ports)
            except FileNotFoundError:
                pass
        self._errors = errors

    def _wait(self, ports: str, errors: Any) -> dict[str, Any]:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                with open(ports, encoding="utf-8") as file:
                    text = file.read()
                if text:
                    content: dict[str, Any] = json.loads(text)
                    return content
            except (FileNotFoundError, json.JSONDecodeError):
                pass
            status = self._process.poll()
            if status is not None or time.monotonic() > deadline:
                errors.seek(0)
                said = errors.read().decode("utf-8", "replace").strip()
                self._process.kill()
                self._process.wait()
                how = f"ended with status {status}" if status is not None else f"did not listen within {_START_TIMEOUT_S:.0f} s"
                raise ConnectionLostError(f"the node {how}" + (f":\n{said}" if said else " and said nothing"))
            time.sleep(0.001)

    @property
    def address(self) -> str:
        """Where to reach it."""
        return "unix:" + str(self.ports["unix"])

    def stop(self) -> None:
        """Ends it and waits until it is gone."""
        if self._process.stdin is not None:
            try:
                self._process.stdin.close()
            except OSError:
                pass
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


def _temporary() -> str:
    """The folder for temporary files. (`tempfile` takes a twentieth of a start to import, for what three lines say.)"""
    named = (os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    return next((folder for folder in named if folder and os.path.isdir(folder)), "/tmp")


def find_binary() -> str:
    """The server's program: THORNBACK_BINARY, what the wheel carries, or the one on PATH."""
    named = os.environ.get("THORNBACK_BINARY")
    if named:
        if not os.access(named, os.X_OK):
            raise ConnectionLostError(f"THORNBACK_BINARY names {named}, which is not a program that can be run")
        return named
    carried = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_bin", "thornback")
    if os.path.exists(carried):
        return carried
    # Here and not above: it imports every kind of compression.
    import shutil

    found = shutil.which("thornback") or shutil.which("thornback", path=os.path.dirname(sys.executable))
    if found is None:
        raise ConnectionLostError(
            "no server is running and none can be started: the program `thornback` was not found; "
            "put it on PATH, name it in THORNBACK_BINARY, or give init() the address of a running one"
        )
    return found
