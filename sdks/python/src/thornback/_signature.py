"""Signatures: does a call fit, answered at the call and cheaply.

A call with positional arguments only is checked by counting. Anything else goes through `inspect`, whose words are those that a local
call would fail with.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_MANY: Final = 1 << 30

Parameters = list[tuple[str, int, bool]]
"""Name, kind (`inspect.Parameter.kind`), and whether there is a default, of each parameter."""


class Signature:
    """What a function takes."""

    __slots__ = ("_inspected", "max", "min", "name", "parameters")

    def __init__(self, name: str, parameters: Parameters) -> None:
        self.name = name
        self.parameters = parameters
        self._inspected: inspect.Signature | None = None
        positional = [(kind, default) for _, kind, default in parameters if kind in _POSITIONAL]
        self.min = sum(not default for _, default in positional)
        self.max = _MANY if any(kind == inspect.Parameter.VAR_POSITIONAL for _, kind, _ in parameters) else len(positional)
        if any(kind == inspect.Parameter.KEYWORD_ONLY and not default for _, kind, default in parameters):
            self.min = _MANY  # Counting positional arguments can never be enough.

    @classmethod
    def of(cls, function: Callable[..., Any], *, method: bool = False) -> Signature:
        """The signature of a function; of a method, without `self`."""
        name = getattr(function, "__qualname__", repr(function))
        try:
            parameters = [
                (parameter.name, int(parameter.kind), parameter.default is not inspect.Parameter.empty)
                for parameter in inspect.signature(function).parameters.values()
            ]
        except (ValueError, TypeError):
            return cls.any(name)  # A builtin that does not say.
        if method and parameters and parameters[0][1] in map(int, _POSITIONAL):
            del parameters[0]
        return cls(name, parameters)

    @classmethod
    def any(cls, name: str) -> Signature:
        """Takes whatever it is given."""
        return cls(name, [("args", int(inspect.Parameter.VAR_POSITIONAL), False), ("kwargs", int(inspect.Parameter.VAR_KEYWORD), False)])

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raises `TypeError` if a call does not fit."""
        if self._inspected is None:
            self._inspected = inspect.Signature(
                [
                    inspect.Parameter(name, inspect._ParameterKind(kind), default=None if default else inspect.Parameter.empty)
                    for name, kind, default in self.parameters
                ]
            )
        try:
            self._inspected.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}(): {error}") from None
