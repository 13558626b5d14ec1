"""The template beside a node that the test plays (``protocol/spec/worker.md``, "How a node starts workers")."""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from thornback._client import TEMPLATE


class Played:
    """A template, and the node's end of its control socket."""

    def __init__(self, *modules: str, path: Path) -> None:
        self.control, theirs = socket.socketpair()
        self.control.settimeout(60)
        environment = {
            **os.environ,
            "THORNBACK_CONTROL_FD": str(theirs.fileno()),
            "THORNBACK_POOL": "played",
            # Nobody is there: a child says so and ends.
            "THORNBACK_ADDRESS": f"unix:{path / 'nobody.sock'}",
            "PYTHONPATH": os.pathsep.join([str(path), *sys.path]),
        }
        command = [sys.executable, "-c", TEMPLATE, *modules]
        self.process = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, text=True)
        theirs.close()
        self._lines = self.control.makefile("r")

    def hear(self) -> Any:
        return json.loads(self._lines.readline())

    def say(self, line: bytes, descriptors: list[int]) -> None:
        self.control.sendmsg([line + b"\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else [])

    def fork(self, launch: int, **more: Any) -> str:
        """Asks for a worker; what it wrote until it ended, both ways together."""
        read, write = os.pipe()
        with os.fdopen(read) as said:
            self.say(json.dumps({"fork": launch, **more}).encode(), [write, write])
            os.close(write)
            forked = self.hear()
            assert forked["forked"] == launch
            text = said.read()
        assert self.hear() == {"exited": launch, "pid": forked["pid"], "code": 1, "signal": None}
        return text


@pytest.fixture
def played(tmp_path: Path) -> Iterator[Played]:
    (tmp_path / "of_the_driver.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'a').write('once ')\n")
    template = Played("of_the_driver", path=tmp_path)
    assert template.hear() == {"ready": True}
    yield template
    template.control.close()
    template._lines.close()
    template.process.kill()
    template.process.communicate()


def test_each_fork_is_answered_and_its_end_told(played: Played) -> None:
    for launch in (7, 8):
        assert "nobody.sock" in played.fork(launch, later_versions=["say", "more"])


def test_all_workers_find_what_the_driver_has(played: Played, tmp_path: Path) -> None:
    for launch in (1, 2):
        assert (tmp_path / "imported").read_text() == "once "
        played.fork(launch)
    assert (tmp_path / "imported").read_text() == "once "


def test_a_template_ends_with_its_control_socket(played: Played) -> None:
    played.control.shutdown(socket.SHUT_RDWR)
    assert played.process.wait(60) == 0


def test_a_line_that_is_no_message_ends_it(played: Played) -> None:
    played.say(b"not a message", [])
    assert played.process.wait(60) not in (0, -signal.SIGKILL)
