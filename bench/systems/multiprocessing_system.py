"""Python's own multiprocessing: a pool for tasks, a process with a pipe for an actor, shared memory for large arrays.

It has no refs, so nothing can be passed on, waited for among others, or nested; those rows have no figure here.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import multiprocessing.pool
import signal
import weakref
from collections.abc import Callable
from multiprocessing import shared_memory
from typing import Any

import numpy as np

from systems import Unsupported

IN_FLIGHT_MAX = 100
"""Calls of an actor whose answers have not been read."""


class Multiprocessing:
    def __init__(self) -> None:
        # Forking is what it does by default on Linux with every Python that we support, and its quickest way.
        self._context = multiprocessing.get_context("fork")
        self._pool: multiprocessing.pool.Pool | None = None

    def start(self) -> None:
        self._pool = self._context.Pool(multiprocessing.cpu_count(), _end_with_parent)

    def stop(self) -> None:
        if self._pool is not None:
            self._pool.terminate()
            self._pool.join()

    def remote(self, target: Any, **options: Any) -> Any:
        if options.keys() - {"num_cpus"}:
            raise Unsupported(f"no such options: {', '.join(options)}")
        if "<locals>" in target.__qualname__:
            raise Unsupported("only functions and classes of a module can be sent to another process")
        if isinstance(target, type):
            return _ActorClass(self._context, target)
        return _Function(self._pool, target)

    def get(self, refs: Any) -> Any:
        return [ref.get() for ref in refs] if isinstance(refs, list) else refs.get()

    def put(self, value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            raise Unsupported("only arrays can be put into shared memory")
        return _SharedArray(value)

    def wait(self, refs: Any, **options: Any) -> Any:
        raise Unsupported("there is no waiting for the first of several results")

    def kill(self, actor: _Actor) -> None:
        actor.end()

    def method(self, name: str) -> Any:
        raise Unsupported(f"there is no {name}")

    def is_worker(self, command: str, parent: str) -> bool:
        return True


class _Function:
    """A task is a call through the pool."""

    def __init__(self, pool: Any, function: Callable[..., Any]) -> None:
        self._pool = pool
        self._function = function

    def remote(self, *args: Any) -> Any:
        return self._pool.apply_async(self._function, args)


class _ActorClass:
    def __init__(self, context: Any, cls: type) -> None:
        self._context = context
        self._cls = cls

    def options(self, **options: Any) -> _ActorClass:
        raise Unsupported(f"no such options: {', '.join(options)}")

    def remote(self, *args: Any) -> _Actor:
        return _Actor(self._context, self._cls, args)


class _Actor:
    """A process that serves one object's methods over a pipe, in order."""

    def __init__(self, context: Any, cls: type, args: tuple[Any, ...]) -> None:
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, cls, args), daemon=True)
        self._process.start()
        theirs.close()
        self._sent = 0
        self._answers: dict[int, Any] = {}
        self._read = 0
        weakref.finalize(self, self._process.terminate)

    def __getattr__(self, name: str) -> _Method:
        if name.startswith("_"):
            raise AttributeError(name)
        return _Method(self, name)

    def call(self, name: str, args: tuple[Any, ...]) -> _Answer:
        # Both pipes are bounded: who only ever sends ends up waiting for a peer that waits for him.
        if self._sent - self._read >= IN_FLIGHT_MAX:
            self._take()
        self._pipe.send((name, args))
        self._sent += 1
        return _Answer(self, self._sent)

    def answer(self, number: int) -> Any:
        while self._read < number:
            self._take()
        return self._answers.pop(number)

    def _take(self) -> None:
        self._read += 1
        self._answers[self._read] = self._pipe.recv()

    def end(self) -> None:
        self._process.terminate()
        self._process.join()


class _Method:
    def __init__(self, actor: _Actor, name: str) -> None:
        self._actor = actor
        self._name = name

    def remote(self, *args: Any) -> _Answer:
        return self._actor.call(self._name, args)


class _Answer:
    def __init__(self, actor: _Actor, number: int) -> None:
        self._actor = actor
        self._number = number

    def get(self) -> Any:
        return self._actor.answer(self._number)


def _end_with_parent() -> None:
    """Without this a worker whose parent is killed waits for ever: its siblings hold the other end of its pipe open."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _serve(pipe: Any, cls: type, args: tuple[Any, ...]) -> None:
    _end_with_parent()
    served = cls(*args)
    while True:
        try:
            name, given = pipe.recv()
        except EOFError:
            return
        pipe.send(getattr(served, name)(*given))


class _SharedArray:
    """An array copied into shared memory, and unlinked when its last reader lets go of it."""

    def __init__(self, array: np.ndarray) -> None:
        self._block = shared_memory.SharedMemory(create=True, size=array.nbytes)
        self._shape, self._dtype = array.shape, array.dtype
        self.get()[...] = array
        weakref.finalize(self, _forget, self._block)

    def get(self) -> np.ndarray:
        return np.ndarray(self._shape, self._dtype, buffer=self._block.buf)


def _forget(block: shared_memory.SharedMemory) -> None:
    block.close()
    block.unlink()


load = Multiprocessing
