"""A warmed process that becomes a worker by forking: ``python -c PROGRAM [MODULE...]``, with the program of :mod:`._client`.

It imports what every worker needs, and the modules named, which the driver has and its functions may want; then it says that it is
ready, and forks when its node asks. All that comes before the first fork its children share; what is imported later makes copies of the
pages that it touches, in the template and in effect in each child, so that it is not done unasked. (Two processes that import the same
module at the same time get in each other's way, too: a first worker that was to import numpy while the template did took longer than both
one after the other.) A child that needs asyncio tells the template, whose later children find it imported.

The template has no threads and no session, so that its children begin clean; a child takes over the two descriptors that came with the
request as its standard output and error. Each child leads a process group of its own, and ends with the template, however that ends.

The conversation (``protocol/spec/worker.md``) is lines of JSON on the socket THORNBACK_CONTROL_FD::

    template -> node   {"ready":true}   {"forked":launch,"pid":pid}   {"exited":launch,"pid":pid,"code":n|null,"signal":n|null}
    node -> template   {"fork":launch}, with two descriptors beside its first byte

The end of the socket ends the template.
"""

from __future__ import annotations

import array
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

# Imported for the children: the modules that every worker needs in its first millisecond.
from thornback import _arena, _worker  # noqa: F401
from thornback._session import unix  # noqa: F401

_LINE_MAX: Final = 64 * 1024
_IDLE_MS: Final = 50
"""So long nothing comes before something is imported that is not urgent."""
_BUSY_S: Final = 0.5
"""And so long that waits where something comes again and again."""


class Template:
    """Serves fork requests on the control socket."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._wanted_by: float | None = None
        """A child needed `_worker_async`, and the next may as well. Until this moment (`time.monotonic`) the template may be idle first."""
        self._pid = os.getpid()
        self._text = b""
        self._descriptors: deque[int] = deque()
        self._children: dict[int, int] = {}
        """Launch numbers by process id."""
        self._wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self._wake_write = wake_write
        self._told, self._tell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        """Children write a byte when they need `_worker_async`."""

    def serve(self) -> None:
        """Until the node lets go. In a child it never returns."""
        self._say({"ready": True})
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        poll.register(self._told, select.POLLIN)
        while True:
            ready = poll.poll(None if self._wanted_by is None else _IDLE_MS)
            if self._wanted_by is not None and (not ready or time.monotonic() > self._wanted_by):
                # Who has asked for a worker has it, so that there is time for what only some need; or there never is.
                self._wanted_by = None
                _import(["thornback._worker_async"])
            for descriptor, _events in ready:
                if descriptor == self._wake_read:
                    try:
                        os.read(self._wake_read, 4096)
                    except BlockingIOError:
                        pass
                    self._reap()
                elif descriptor == self._told:
                    # Once is enough.
                    poll.unregister(self._told)
                    self._wanted_by = time.monotonic() + _BUSY_S
                elif not self._receive():
                    return

    def _receive(self) -> bool:
        """Takes what the node sent. False once it has let go."""
        try:
            data, ancillary, _flags, _address = self._control.recvmsg(_LINE_MAX, socket.CMSG_SPACE(64 * 4), socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            return False
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
                self._descriptors.extend(numbers)
        if not data:
            return False
        *lines, self._text = (self._text + data).split(b"\n")
        for line in lines:
            if line.strip():
                self._handle(json.loads(line))
        return len(self._text) <= _LINE_MAX

    def _handle(self, message: dict[str, Any]) -> None:
        launch = message.get("fork")
        if not isinstance(launch, int) or len(self._descriptors) < 2:
            return  # Of a later version of the protocol.
        out, err = self._descriptors.popleft(), self._descriptors.popleft()
        pid = os.fork()
        if pid == 0:
            self._become_worker(launch, out, err)
        try:
            # The child does the same: whoever comes first, nobody sees it in another group than its own.
            os.setpgid(pid, pid)
        except OSError:
            pass  # Gone already.
        os.close(out)
        os.close(err)
        self._children[pid] = launch
        self._say({"forked": launch, "pid": pid})

    def _become_worker(self, launch: int, out: int, err: int) -> None:
        status = 70
        try:
            os.setpgid(0, 0)
            _end_with(self._pid)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(out, 1)
            os.dup2(err, 2)
            for descriptor in (out, err, self._wake_read, self._wake_write, self._told, *self._descriptors):
                os.close(descriptor)
            self._control.close()
            os.environ["THORNBACK_LAUNCH"] = str(launch)
            os.environ.pop("THORNBACK_CONTROL_FD", None)
            gc.enable()
            _reseed()
            _worker.on_asynchronous = self._tell_template
            status = _worker.main()
        except BaseException as error:
            sys.stderr.write(f"thornback worker: {type(error).__name__}: {error}\n")
        finally:
            # Never back into the template's frames.
            _worker.end(status)

    def _tell_template(self) -> None:
        """In a child: it needs `_worker_async`."""
        try:
            os.write(self._tell, b"\0")
            os.close(self._tell)
        except OSError:
            pass  # Nobody is left whom it would help, or enough have said so.

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            launch = self._children.pop(pid, None)
            if launch is None:
                continue
            code = os.waitstatus_to_exitcode(status)
            self._say({"exited": launch, "pid": pid, "code": code if code >= 0 else None, "signal": -code if code < 0 else None})

    def _say(self, message: dict[str, Any]) -> None:
        try:
            self._control.sendall(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        except OSError:
            pass  # The node is gone; the next read says so.


def _end_with(parent: int) -> None:
    """Has the system kill this process when its parent ends, however that ends, even while user code holds on to the interpreter."""
    if _prctl is None:
        return
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        # It ended before that, and nobody would tell.
        os._exit(1)


# Looked up before the fork, where there is time for it.
_prctl: Any = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG: Final = 1


def _import(names: Sequence[str]) -> None:
    """Imports what children will share, and keeps the collector from writing to it: a page that is written to is shared no more."""
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            # Whoever needs it will say so better.
            sys.stderr.write(f"thornback template: {name} was not imported: {type(error).__name__}: {error}\n")
    gc.freeze()


def _reseed() -> None:
    """Children of one template must not draw the same numbers. (`random` sees to itself after a fork; numpy's generator does not.)"""
    random = sys.modules.get("numpy.random")
    if random is not None:
        random.seed()


def main() -> None:
    descriptor = int(os.environ["THORNBACK_CONTROL_FD"])
    os.set_inheritable(descriptor, False)
    # Ctrl-C at a terminal is for the driver.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    named = sys.argv[1:]
    # What a worker runs may look at its arguments, and these are not for it.
    del sys.argv[1:]
    if sys.path[:1] == [""]:
        # Workers find what lies in their working directory also once a task has changed to another.
        sys.path[0] = os.getcwd()
    _import(named)
    with socket.socket(fileno=descriptor) as control:
        Template(control).serve()
