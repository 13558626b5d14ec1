"""Remote functions: what `@remote` makes of a function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

from thornback import _runtime
from thornback._options import Options
from thornback._signature import Signature
from thornback._state import Declaration

P = ParamSpec("P")
R = TypeVar("R")


class Definition:
    """A function or class whose code is shipped, once for each runtime."""

    __slots__ = ("shipped", "target")

    def __init__(self, target: Any) -> None:
        self.target = target
        self.shipped: Any = None
        """The runtime that it was shipped to, and the ref of the object that holds it."""


class RemoteFunction(Generic[P, R]):
    """A function that runs elsewhere: ``f.remote(...)`` gives a ref of its result at once."""

    _definition: Definition | None
    _declaration: Declaration | None

    def __init__(
        self,
        function: Callable[P, R] | None,
        options: Options,
        *,
        name: str | None = None,
        definition: Definition | None = None,
        signature: Signature | None = None,
        contract: str = "",
    ) -> None:
        """Not for users: `remote` and `function` make them."""
        self._function = function
        self._options = options
        self._name = name or getattr(function, "__qualname__", None) or repr(function)
        self._definition = definition or (Definition(function) if function is not None else None)
        self._signature = signature or (Signature.of(function) if function is not None else Signature.any(self._name))
        self._min = self._signature.min
        self._max = self._signature.max
        returns = options.returns
        if returns is None:
            returns = -1 if function is not None and inspect.isgeneratorfunction(function) else 1
        self._returns = returns
        self._contract = contract
        """The signature that the node is to hold whoever serves it to: its canonical text, where an interface says it."""
        self._declaration = None
        if function is not None:
            functools.update_wrapper(self, function)

    def remote(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Submits a call and returns its ref at once: one, a list (`num_returns` > 1), None (0), or a stream.

        Raises `TypeError` if the arguments do not fit the function.
        """
        if kwargs or not self._min <= len(args) <= self._max:
            self._signature.check(args, kwargs)
        return (_runtime.current or _runtime.require()).submit(self, args, kwargs)

    def options(self, **options: Any) -> RemoteFunction[P, R]:
        """The same function with other options."""
        return RemoteFunction(
            self._function,
            self._options.but(options),
            name=self._name,
            definition=self._definition,
            signature=self._signature,
            contract=self._contract,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"{self._name} is a remote function; call {self._name}.remote(...)"
            + (f", or {self._name}._function(...) to run it here" if self._function is not None else "")
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._function, self._options.values, self._name)

    def __repr__(self) -> str:
        return f"RemoteFunction({self._name})"


def _rebuild(function: Callable[..., Any] | None, options: dict[str, Any], name: str) -> RemoteFunction[..., Any]:
    return RemoteFunction(function, Options("task", options), name=name)


def function(name: str, **options: Any) -> RemoteFunction[..., Any]:
    """A function that some worker serves by name, in whatever language: ``function("images.resize").remote(...)``.

    Arguments travel in portable formats. Which arguments fit is the worker's to say: a wrong call fails with `WrongArityError`.
    """
    if not isinstance(name, str) or not name:
        raise TypeError(f"a function is named by a string, not by {name!r}")
    return RemoteFunction(None, Options("task", options), name=name)
