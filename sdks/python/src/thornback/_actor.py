"""Actors: what `@remote` makes of a class, and handles of what it creates."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import msgpack

from thornback import _runtime, _values
from thornback._options import Options
from thornback._signature import Parameters, Signature
from thornback._state import Declaration
from thornback._task import Definition
from thornback._values import Reference

if TYPE_CHECKING:
    from thornback._runtime import Home

C = TypeVar("C")
_METHOD_OPTIONS: Final = "__thornback_method__"


def method(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options of a method of an actor: ``@method(num_returns=2)``."""
    checked = Options("method", options)

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        setattr(function, _METHOD_OPTIONS, checked.values)
        return function

    return mark


class MethodSpec:
    """What a handle knows of a method."""

    __slots__ = ("name", "options", "returns", "signature")

    def __init__(self, name: str, signature: Signature, returns: int, options: Options) -> None:
        self.name = name
        self.signature = signature
        self.returns = returns
        self.options = options


class Interface:
    """What a class offers to those who hold a handle: enough to call it, none of its code."""

    __slots__ = ("_declared", "asynchronous", "class_name", "init", "methods", "open", "packed", "retries")

    def __init__(
        self,
        class_name: str,
        methods: dict[str, MethodSpec],
        init: Signature,
        asynchronous: bool,
        *,
        open: bool = False,
        retries: int = 0,
    ) -> None:
        self.class_name = class_name
        self.methods = methods
        self.init = init
        self.asynchronous = asynchronous
        self.open = open
        """The methods are not known (an actor of another language): any name may be called."""
        self.retries = retries
        """The actor's `max_task_retries`, for methods that do not say otherwise. It travels here, since declaring a call needs it."""
        self.packed: bytes = (
            b""
            if open
            else msgpack.packb(
                {
                    "language": "python",
                    "class": class_name,
                    "asynchronous": asynchronous,
                    "retries": retries,
                    "methods": {
                        spec.name: [spec.signature.parameters, spec.returns, _plain(spec.options.values)] for spec in methods.values()
                    },
                }
            )
        )
        self._declared: dict[Any, Declaration] = {}

    @classmethod
    def of(cls, actor_class: type) -> Interface:
        """Of a Python class."""
        methods = {}
        asynchronous = False
        for name, member in inspect.getmembers(actor_class, callable):
            if name.startswith("__") and name != "__call__":
                continue
            function = inspect.unwrap(member)
            raw = inspect.getattr_static(actor_class, name)
            static = isinstance(raw, (staticmethod, classmethod))
            options = Options("method", getattr(function, _METHOD_OPTIONS, {}))
            returns = options.returns
            if returns is None:
                streams = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
                returns = -1 if streams else 1
            if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
                asynchronous = True
            signature = Signature.of(member, method=not static)
            signature.name = f"{actor_class.__qualname__}.{name}"
            methods[name] = MethodSpec(name, signature, returns, options)
        plain = inspect.getattr_static(actor_class, "__init__") is object.__init__
        init = Signature(actor_class.__qualname__, []) if plain else Signature.of(actor_class)
        init.name = actor_class.__qualname__
        return cls(actor_class.__qualname__, methods, init, asynchronous)

    @classmethod
    def unpack(cls, class_name: str, packed: bytes) -> Interface:
        """From what travels with a handle. Anything that this SDK did not make gives an open interface."""
        cached = _unpacked.get(packed)
        if cached is not None:
            return cached
        try:
            content = msgpack.unpackb(packed) if packed else {}
            if content.get("language") != "python":
                return cls(class_name, {}, Signature.any(class_name), False, open=True)
            methods = {}
            for name, (parameters, returns, options) in content["methods"].items():
                known: Parameters = [(str(p), int(kind), bool(default)) for p, kind, default in parameters]
                methods[name] = MethodSpec(name, Signature(f"{content['class']}.{name}", known), returns, Options("method", options))
            retries = int(content.get("retries", 0))
            interface = cls(content["class"], methods, Signature.any(class_name), content["asynchronous"], retries=retries)
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls(class_name, {}, Signature.any(class_name), False, open=True)
        if len(_unpacked) < 1024:
            _unpacked[packed] = interface
        return interface

    def retrying(self, retries: int) -> Interface:
        """The same, of an actor with these `max_task_retries`."""
        if retries == self.retries:
            return self
        return Interface(self.class_name, self.methods, self.init, self.asynchronous, open=self.open, retries=retries)

    def find(self, name: str) -> MethodSpec | None:
        spec = self.methods.get(name)
        if spec is None and self.open and not name.startswith("_"):
            spec = MethodSpec(name, Signature.any(f"{self.class_name}.{name}"), 1, Options("method", {}))
        return spec


_unpacked: dict[bytes, Interface] = {}


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Options that can travel with a handle: exception types go by name and only matter to those who have the class."""
    return {name: value for name, value in options.items() if not (name == "retry_exceptions" and not isinstance(value, bool))}


class ActorMethod:
    """A method of an actor: ``actor.method.remote(...)`` calls it and gives a ref of the result at once."""

    __slots__ = ("_actor", "_options", "_returns", "_spec")

    def __init__(self, actor: ActorHandle, spec: MethodSpec, options: Options | None = None) -> None:
        self._actor = actor
        self._spec = spec
        self._options = options
        self._returns = spec.returns

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Calls. Raises `TypeError` if the arguments do not fit the method."""
        signature = self._spec.signature
        if kwargs or not signature.min <= len(args) <= signature.max:
            signature.check(args, kwargs)
        return self._actor._home.call(self, args, kwargs)

    def options(self, **options: Any) -> ActorMethod:
        """The same method with other options."""
        changed = ActorMethod(self._actor, self._spec, (self._options or self._spec.options).but(options))
        returns = changed._options.returns if changed._options is not None else None
        if returns is not None:
            changed._returns = returns
        return changed

    def _declaration(self, runtime: Any) -> Declaration:
        """What was declared for it, once for all handles of the interface."""
        declared = self._actor._interface._declared
        key: Any = self._spec.name if self._options is None else (self._spec.name, repr(self._options.values))
        declaration = declared.get(key)
        if declaration is None or declaration.runtime is not runtime:
            options = self._options or self._spec.options
            interface = self._actor._interface
            declaration = runtime.declare(
                name=self._spec.name,
                options=options,
                returns=self._returns,
                portable=interface.open,
                retries=options.get("max_task_retries", interface.retries),
            )
            declared[key] = declaration
        return declaration

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"{self._spec.signature.name} runs in the actor; call it with .remote(...)")

    def __repr__(self) -> str:
        return f"ActorMethod({self._spec.signature.name})"


class ActorHandle(Reference):
    """Stands for an actor. An actor without a name ends when the last handle of it is gone."""

    __slots__ = ("__weakref__", "_actor_id", "_home", "_interface")

    def __init__(self, id: bytes, home: Home, interface: Interface) -> None:
        self._actor_id = id
        self._home: Any = home
        self._interface = interface

    def __del__(self) -> None:
        self._home.dropped.append(self._actor_id)

    def __getattr__(self, name: str) -> ActorMethod:
        if name in ActorHandle.__slots__:
            raise AttributeError(name)  # Not yet initialised; looking further would come back here.
        interface = self._interface
        spec = interface.methods.get(name) or interface.find(name)
        if spec is None:
            raise AttributeError(f"the actor class {self._interface.class_name} has no method {name!r}")
        return ActorMethod(self, spec)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._interface.methods]

    @property
    def actor_id(self) -> bytes:
        """The 16 bytes of the actor's id."""
        return self._actor_id

    def __hash__(self) -> int:
        return hash(self._actor_id)

    def __eq__(self, other: object) -> bool:
        return self._actor_id == other._actor_id if isinstance(other, ActorHandle) else NotImplemented

    def __repr__(self) -> str:
        return f"ActorHandle({self._interface.class_name}, {self._actor_id.hex()})"

    def _reference(self) -> tuple[int, bytes, bytes]:
        body: bytes = msgpack.packb([self._actor_id, self._interface.class_name, self._interface.packed])
        return _values._EXT_ACTOR, self._actor_id, body

    def __reduce__(self) -> tuple[Any, ...]:
        met = _values.collector.met
        if met is not None:
            met[self._actor_id] = self
        else:
            self._home.pin(self._actor_id)
        return _adopt_actor, (self._actor_id, self._interface.class_name, self._interface.packed)


def _adopt_actor(id: bytes, class_name: str, interface: bytes) -> ActorHandle:
    return _runtime.require().adopt_actor(id, class_name, interface)


class ActorClass(Generic[C]):
    """A class whose instances live in workers: ``C.remote(...)`` creates one and gives a handle at once."""

    _declaration: Declaration | None

    def __init__(
        self,
        actor_class: type[C] | None,
        options: Options,
        *,
        name: str | None = None,
        definition: Definition | None = None,
        interface: Interface | None = None,
        contract: str = "",
    ) -> None:
        """Not for users: `remote` and `actor_class` make them."""
        self._class = actor_class
        self._options = options
        self._name = name or (actor_class.__qualname__ if actor_class is not None else "")
        self._definition = definition or (Definition(actor_class) if actor_class is not None else None)
        if interface is None:
            interface = (
                Interface.of(actor_class)
                if actor_class is not None
                else Interface(self._name, {}, Signature.any(self._name), False, open=True)
            )
        self._interface = interface.retrying(options.get("max_task_retries", 0))
        self._contract = contract
        self._declaration = None
        if actor_class is not None:
            self.__doc__ = actor_class.__doc__
            self.__name__ = actor_class.__name__
            self.__qualname__ = actor_class.__qualname__
            self.__module__ = actor_class.__module__

    def remote(self, *args: Any, **kwargs: Any) -> ActorHandle:
        """Creates an actor. Calls may follow at once; if creating fails, they fail with the reason.

        Raises `TypeError` if the arguments do not fit ``__init__``, `ActorNameTakenError` if the name is taken.
        """
        signature = self._interface.init
        if kwargs or not signature.min <= len(args) <= signature.max:
            signature.check(args, kwargs)
        return (_runtime.current or _runtime.require()).create_actor(self, args, kwargs)

    def options(self, **options: Any) -> ActorClass[C]:
        """The same class with other options."""
        return ActorClass(
            self._class,
            self._options.but(options),
            name=self._name,
            definition=self._definition,
            interface=self._interface,
            contract=self._contract,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"{self._name} is an actor class; create an actor with {self._name}.remote(...)")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._class, self._options.values, self._name)

    def __repr__(self) -> str:
        return f"ActorClass({self._name})"


def _rebuild(actor_class: type | None, options: dict[str, Any], name: str) -> ActorClass[Any]:
    return ActorClass(actor_class, Options("actor", options), name=name)


def actor_class(name: str, **options: Any) -> ActorClass[Any]:
    """A class that some worker serves by name, in whatever language: ``actor_class("counters.Counter").remote(...)``."""
    if not isinstance(name, str) or not name:
        raise TypeError(f"a class is named by a string, not by {name!r}")
    return ActorClass(None, Options("actor", options), name=name)
