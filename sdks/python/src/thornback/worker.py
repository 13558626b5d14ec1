"""For programs that are workers: register functions and classes by name, then serve them to callers of any language.

::

    from thornback import worker


    @worker.function("images.resize")
    def resize(image: bytes, width: int) -> bytes: ...


    worker.serve()

The node starts such a program by its pool's command (`thornback.declare_pool`), or it is started by hand with THORNBACK_ADDRESS set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

_served: dict[str, tuple[Any, bool]] = {}


def function(name: str) -> Callable[[T], T]:
    """Serves a function under a name."""
    return _register(name, actor=False)


def actor(name: str) -> Callable[[T], T]:
    """Serves a class under a name: what a caller creates of it is an actor."""
    return _register(name, actor=True)


def _register(name: str, *, actor: bool) -> Callable[[T], T]:
    if not isinstance(name, str) or not name:
        raise TypeError(f"what is served has a name; {name!r} is none")

    def register(target: T) -> T:
        if name in _served:
            raise ValueError(f"{name!r} is served already, by {_served[name][0]!r}")
        _served[name] = (target, actor)
        return target

    return register


def serve() -> None:
    """Connects to the node and serves until the node lets go. Does not return."""
    from thornback import _worker

    _worker.end(_worker.main(_served))


__all__ = ["actor", "function", "serve"]
