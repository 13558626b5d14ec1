"""The functions of the package: open a runtime, get, put, wait, cancel, kill, and what is known of the cluster."""

from __future__ import annotations

import atexit
import inspect
import json
import math
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from thornback import _errors, _runtime, _waiting
from thornback._actor import ActorClass, ActorHandle
from thornback._connect import connector, read_token
from thornback._gen import control_pb2, session_pb2, worker_pb2
from thornback._object import ObjectRef, ObjectRefGenerator
from thornback._options import UNITS, Options
from thornback._runtime import Runtime
from thornback._task import RemoteFunction

if TYPE_CHECKING:
    import asyncio

    from thornback._node import LocalNode

T = TypeVar("T")

POOL: Final = "python"
"""Name of the pool that a Python driver declares for itself."""

TEMPLATE: Final = "import gc; gc.disable(); import thornback._template; thornback._template.main()"
"""The program of a template. What it imports is not garbage, and a collector that looks for some takes time and writes to pages; the
children have theirs."""

_SHARED: Final = ("numpy",)
"""What a program's tasks will need if it needs it itself, is large, and may be imported before a fork: workers share it."""

_lock = threading.RLock()
_node: LocalNode | None = None


def init(
    address: str | None = None,
    *,
    namespace: str | None = None,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: int | None = None,
    resources: dict[str, float] | None = None,
    object_store_memory: int | None = None,
    spill_dir: str | None = None,
    log_to_driver: bool = True,
    ignore_reinit_error: bool = False,
    job_name: str | None = None,
    token_file: str | None = None,
    server_args: Sequence[str] = (),
) -> None:
    """Connects this program to a node, or starts one that ends with it.

    Without `address` and without THORNBACK_ADDRESS a node is started on this machine; `num_cpus`, `num_gpus`, `memory` (bytes),
    `resources`, `object_store_memory` (bytes) and `spill_dir` say what it has, and are refused for one that runs already.
    `address` is ``unix:/path`` or ``host:port``, the latter with the token in `token_file` or THORNBACK_TOKEN_FILE.

    Raises `RuntimeError` if a runtime is open already, `ConnectionLostError` if none can be reached or started.
    """
    global _node
    with _lock:
        if _runtime.current is not None:
            if ignore_reinit_error:
                return
            raise RuntimeError("thornback.init() was called before; call thornback.shutdown() first")
        address = address or os.environ.get("THORNBACK_ADDRESS") or None
        node_options = _node_options(num_cpus, num_gpus, memory, resources, object_store_memory, spill_dir)
        node = None
        if address is None:
            # Here and not above: nobody else needs it, workers least of all.
            from thornback._node import LocalNode

            node = LocalNode([*node_options, *server_args])
            address = node.address
        elif node_options or server_args:
            raise ValueError("what a node has can only be said of one that init() starts, and THORNBACK_ADDRESS or address= names another")
        try:
            hello = session_pb2.Hello(
                role=session_pb2.ROLE_DRIVER,
                features=["shared-memory", "streams", "actors", "logs"],
                token=read_token(token_file),
                pid=os.getpid(),
                namespace=namespace or "",
                job_name=job_name or os.path.basename(sys.argv[0] if sys.argv else ""),
                want_logs=log_to_driver,
            )
            try:
                runtime = Runtime(connector(address, hello.token), hello)
            except _errors.ThornbackError:
                raise  # Some are an OSError as well.
            except OSError as error:
                raise _errors.ConnectionLostError(f"no node can be reached at {address}: {error}") from error
            runtime.start()
            try:
                runtime.request(declare_pool=_pool(num_cpus))
            except BaseException:
                runtime.close()
                raise
        except BaseException:
            if node is not None:
                node.stop()
            raise
        _runtime.current = runtime
        _node = node


def _node_options(
    num_cpus: float | None,
    num_gpus: float | None,
    memory: int | None,
    resources: dict[str, float] | None,
    object_store_memory: int | None,
    spill_dir: str | None,
) -> list[str]:
    # Checked by the rules of what tasks ask for, so that a wrong word fails here and not in the node's log.
    Options("task", {"num_cpus": num_cpus, "num_gpus": num_gpus, "memory": memory, "resources": resources})
    options: list[str] = []
    if num_cpus is not None:
        options += ["--num-cpus", str(num_cpus)]
    if num_gpus is not None:
        options += ["--num-gpus", str(num_gpus)]
    if memory is not None:
        options += ["--memory", str(memory)]
    if resources:
        options += ["--resources", json.dumps(resources)]
    if object_store_memory is not None:
        options += ["--store-bytes", str(object_store_memory)]
    if spill_dir is not None:
        options += ["--spill-dir", spill_dir]
    return options


def _pool(num_cpus: float | None) -> control_pb2.DeclarePool:
    """Python workers that import what this program imports."""
    import thornback

    # The worker must find this package even where the driver found it by a path of its own.
    paths = [os.path.abspath(entry or os.getcwd()) for entry in sys.path]
    home = os.path.dirname(os.path.dirname(os.path.abspath(thornback.__file__)))
    if home not in paths:
        paths.append(home)
    return control_pb2.DeclarePool(
        name=POOL,
        language="python",
        command=[sys.executable, "-c", TEMPLATE, *(name for name in _SHARED if name in sys.modules)],
        env={"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))},
        working_dir=os.getcwd(),
        template=True,
        prestart=max(1, math.ceil(os.cpu_count() or 1 if num_cpus is None else num_cpus)),
        default_for_session=True,
    )


def shutdown() -> None:
    """Ends this program's session and the node that `init` started, if it did. Safe to call twice."""
    global _node
    with _lock:
        runtime, _runtime.current = _runtime.current, None
        node, _node = _node, None
        if runtime is not None:
            if _runtime.worker is None:
                runtime.collect_output()
            runtime.close()
        if node is not None:
            node.stop()


atexit.register(shutdown)


def _forget_after_fork() -> None:
    """A child of this process has no part in its parent's session."""
    global _node
    _runtime.current = None
    _node = None


os.register_at_fork(after_in_child=_forget_after_fork)


def is_initialized() -> bool:
    """Whether a runtime is open."""
    return _runtime.current is not None


@overload
def remote(target: type[T], /) -> ActorClass[T]: ...  # type: ignore[overload-overlap]
@overload
def remote(target: Callable[..., Any], /) -> RemoteFunction[..., Any]: ...
@overload
def remote(**options: Any) -> Callable[[Any], Any]: ...


def remote(*args: Any, **options: Any) -> Any:
    """Makes a function a task and a class an actor: ``@remote`` or ``@remote(num_cpus=2)``."""
    if len(args) == 1 and not options and callable(args[0]):
        return _make_remote(args[0], {})
    if args:
        raise TypeError("@remote takes options by name: @remote(num_cpus=2)")
    return lambda target: _make_remote(target, options)


def _make_remote(target: Any, options: dict[str, Any]) -> Any:
    if isinstance(target, (RemoteFunction, ActorClass)):
        raise TypeError(f"{target!r} is remote already; use .options(...)")
    if inspect.isclass(target):
        return ActorClass(target, Options("actor", options))
    if not callable(target):
        raise TypeError(f"@remote is for functions and classes, not for {target!r}")
    if inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target):
        raise ValueError(f"{target.__qualname__} is a coroutine function; only methods of actors may be: put it into a class")
    return RemoteFunction(target, Options("task", options))


@overload
def get(refs: ObjectRef[T], *, timeout: float | None = None) -> T: ...
@overload
def get(refs: Sequence[ObjectRef[T]], *, timeout: float | None = None) -> list[T]: ...


def get(refs: Any, *, timeout: float | None = None) -> Any:
    """The value of a ref, or the values of a list of refs in its order.

    Raises what the task raised (see `TaskError`); of several, the first to be known, without waiting for the rest. Raises
    `GetTimeoutError` after `timeout` seconds; the refs stay good.
    """
    if timeout is not None and timeout < 0:
        timeout = 0
    if type(refs) is ObjectRef:
        return refs._home.get_one(refs, timeout)
    if isinstance(refs, ObjectRef):
        return refs._read(refs._home.get_one(refs, timeout))
    if not isinstance(refs, (list, tuple)):
        if isinstance(refs, ObjectRefGenerator):
            raise TypeError("a stream has no value; iterate over it and get its items")
        raise TypeError(f"get takes a ref or a list of refs, not {type(refs).__name__}")
    typed = False
    for ref in refs:
        if type(ref) is not ObjectRef:
            if not isinstance(ref, ObjectRef):
                raise TypeError(f"get takes refs; the list holds a {type(ref).__name__}")
            typed = True
    if not refs:
        return []
    values = _runtime.require().get_many(refs, timeout)
    return [ref._read(value) for ref, value in zip(refs, values, strict=True)] if typed else values


def put(value: T) -> ObjectRef[T]:
    """Stores a value once, to be passed to many calls by its ref. Raises `UnserializableError`, `OutOfDiskError`, `StoreFullError`."""
    if isinstance(value, ObjectRef):
        raise TypeError("put stores values; this is a ref already")
    return (_runtime.current or _runtime.require()).put(value)


def wait(
    refs: Sequence[Any], *, num_returns: int = 1, timeout: float | None = None, fetch_local: bool = True
) -> tuple[list[Any], list[Any]]:
    """Waits until `num_returns` of the refs are ready, or `timeout` seconds; gives those and the others, both in the order given.

    A ref whose task failed is ready. With `fetch_local`, large values are brought near meanwhile. Streams may be among the refs; one is
    ready when its next item is, or when it is over.
    """
    if isinstance(refs, (ObjectRef, ObjectRefGenerator)):
        raise TypeError("wait takes a list of refs; put it into one")
    if not isinstance(refs, (list, tuple)):
        raise TypeError(f"wait takes a list of refs, not {type(refs).__name__}")
    if not refs:
        return [], []
    listed: list[Any] = refs if type(refs) is list else list(refs)
    known = _waiting.known(listed)
    if type(num_returns) is not int and (isinstance(num_returns, bool) or not isinstance(num_returns, int)):
        raise TypeError(f"num_returns must be an integer, not {num_returns!r}")
    if not 0 < num_returns <= len(listed):
        raise ValueError(f"num_returns must be between 1 and the number of refs, {len(listed)}; it is {num_returns}")
    if timeout is not None and timeout < 0:
        raise ValueError(f"timeout must not be negative; it is {timeout}")
    runtime = _runtime.current or _runtime.require()
    return _waiting.part(listed, known, runtime.wait_many(known[1], num_returns, timeout, fetch_local))


def cancel(ref: ObjectRef[Any] | ObjectRefGenerator[Any], *, force: bool = False, recursive: bool = True) -> None:
    """Cancels the task of a ref: it never runs, or is interrupted; `get` then raises `CancelledError`. Nothing happens to a finished one.

    `force` ends the worker process. `recursive` cancels also what the task submitted.
    """
    if not isinstance(ref, (ObjectRef, ObjectRefGenerator)):
        raise TypeError(f"cancel takes a ref, not {type(ref).__name__}")
    runtime: Any = ref._home
    runtime.cancel(ref._id, force, recursive)


def kill(actor: ActorHandle, *, no_restart: bool = True, graceful: bool = False) -> None:
    """Ends an actor at once; its calls fail with `ActorDiedError`. With `graceful`, calls that are queued already finish first."""
    if not isinstance(actor, ActorHandle):
        raise ValueError(f"kill takes an actor's handle, not {type(actor).__name__}; a task is ended with cancel")
    actor._home.kill(actor._actor_id, not no_restart, graceful)


def get_actor(name: str, namespace: str | None = None) -> ActorHandle:
    """A handle of a named actor. Raises `ActorNotFoundError`, which is a `ValueError`."""
    if not isinstance(name, str) or not name:
        raise ValueError("an actor is found by its name; the name is empty")
    return _runtime.require().get_actor(name, namespace or "")


def get_async(ref: ObjectRef[T]) -> asyncio.Future[T]:
    """The same as ``await ref``, for code that wants the future."""
    return ref.as_future()


# --------------------------------------------------------------------------------------------------------------------------- the cluster


def _status() -> control_pb2.Status:
    return _runtime.require().request(get_status=control_pb2.GetStatus()).status


def _amounts(resources: Any) -> dict[str, float]:
    return {name: units / UNITS for name, units in sorted(resources.amounts.items())}


def cluster_resources() -> dict[str, float]:
    """What the cluster has, by name."""
    return _amounts(_status().total)


def available_resources() -> dict[str, float]:
    """What of it is free."""
    return _amounts(_status().available)


def nodes() -> list[dict[str, Any]]:
    """The nodes of the cluster."""
    status = _status()
    return [
        {
            "node_id": status.node.hex(),
            "alive": True,
            "resources": _amounts(status.total),
            "available": _amounts(status.available),
            "server_version": status.server_version,
            "store_used_bytes": status.store_used_bytes,
            "store_capacity_bytes": status.store_capacity_bytes,
            "spilled_bytes": status.spilled_bytes,
            "workers": status.workers,
        }
    ]


def list_state(kind: str, limit: int = 100) -> list[dict[str, Any]]:
    """Live things of a kind: "tasks", "actors", "objects", "workers", "pools" or "sessions"."""
    reply = _runtime.require().request(list_state=control_pb2.ListState(kind=kind, limit=limit))
    return [json.loads(item) for item in reply.state.items]


def declare_pool(
    name: str,
    command: Sequence[str],
    *,
    language: str = "",
    functions: Sequence[str] = (),
    interfaces: Sequence[Any] = (),
    env: dict[str, str] | None = None,
    working_dir: str | None = None,
    prestart: int = 0,
) -> None:
    """Tells the node how to start workers that serve functions by name, in any language.

    `functions` can be called before any of them runs. `interfaces` are classes that `thornback gen` made of interfaces: a worker that does
    not serve all of what they say, with the same signatures, is refused when it comes, and calls fail with `SignatureMismatchError`. The
    command finds its node by its environment (THORNBACK_ADDRESS and others).
    """
    pool = control_pb2.DeclarePool(
        name=name,
        language=language,
        command=list(command),
        env=env or {},
        working_dir=working_dir or os.getcwd(),
        prestart=prestart,
        functions=list(functions),
        interface=[function for interface in interfaces for function in _expected(interface)],
    )
    _runtime.require().request(declare_pool=pool)


def _expected(interface: Any) -> list[worker_pb2.Function]:
    """What an interface expects of those who serve it."""
    stubs = getattr(interface, "__thornback__", None)
    if stubs is None:
        raise TypeError(f"interfaces are classes that `thornback gen` made, as `shop.Till`; {interface!r} is none")
    return [
        worker_pb2.Function(
            name=stub._served,
            min_args=len(stub._params),
            max_args=len(stub._params),
            actor=stub._actor,
            signature=stub._signature,
        )
        for stub in stubs
    ]
