"""For tests of programs that use Thornback: a runtime inside this process, without a server.

::

    from thornback import testing

    with testing.local():
        assert thornback.get(square.remote(4)) == 16

Tasks and calls run where they are submitted, before `remote` returns, so a test is deterministic and a debugger stops in them. What a
program sees is the same as elsewhere: arguments and results are encoded and decoded, so nothing is shared by accident; errors are
`TaskError`s of the right type; refs resolve; wrong arguments raise at the call; actors keep state, have names, die.

What is not here: resources (everything fits), parallelism, timeouts (everything is ready), workers that die, other languages.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from thornback import _arena, _context, _errors, _runtime, _values
from thornback._actor import ActorClass, ActorHandle, ActorMethod, Interface
from thornback._errors import Code
from thornback._execute import ExitActor, Target, failure_of
from thornback._gen import control_pb2, failure_pb2, task_pb2, value_pb2, worker_pb2
from thornback._object import ObjectRef, ObjectRefGenerator
from thornback._session import frames
from thornback._task import RemoteFunction
from thornback._values import Encoded

_INLINE_BYTES: Final = 100 * 1024
_CHUNK_END: Final = object()


@contextlib.contextmanager
def local(*, namespace: str = "local") -> Iterator[None]:
    """Runs what is inside with a runtime of this process alone.

    Raises `RuntimeError` if a runtime is open already.
    """
    if _runtime.current is not None:
        raise RuntimeError("a runtime is open already; call thornback.shutdown() before testing.local()")
    runtime = _Local(namespace)
    _runtime.current = runtime
    try:
        yield
    finally:
        _runtime.current = None
        runtime.close()


class _Failed:
    def __init__(self, failure: failure_pb2.Failure) -> None:
        self.failure = failure


class _Stream:
    """A stream makes its items when they are asked for: a generator without end must not run ahead of its reader."""

    def __init__(self, items: Iterator[Any], job: _context.Job, target: Target) -> None:
        self.items = items
        self.job = job
        self.target = target
        self.made = 0
        self.ended = False
        self.failure: failure_pb2.Failure | None = None
        self.completed: bytes | None = None


class _Actor:
    def __init__(self, interface: Interface, name: str, namespace: str) -> None:
        self.interface = interface
        self.name = name
        self.namespace = namespace
        self.instance: Any = None
        self.dead: failure_pb2.Failure | None = None
        self.detached = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self.options: dict[str, Any] = {}


class _Local:
    """Stands in for `_runtime.Runtime`."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.ids = frames.Ids()
        self.job_id = self.ids.prefix() + frames.INDEX_SELF
        self.node_id = self.ids.prefix() + frames.INDEX_SELF
        self.dropped: deque[bytes] = deque()
        self._objects: dict[bytes, Encoded | bytes | _Failed | None] = {}
        self._counts: dict[bytes, int] = {}
        self._streams: dict[bytes, _Stream] = {}
        self._actors: dict[bytes, _Actor] = {}
        self._rooms: dict[bytes, bytes] = {}
        self._waiting: dict[bytes, list[Callable[[], None]]] = {}
        self._lock = threading.RLock()

    # -------------------------------------------------------------------------------------------------------------------------- counting

    def _new(self, id: bytes, value: Encoded | bytes | _Failed | None) -> ObjectRef[Any]:
        with self._lock:
            self._collect()
            self._objects[id] = value
            self._counts[id] = self._counts.get(id, 0) + 1
        return ObjectRef(id, self)

    def _collect(self) -> None:
        while self.dropped:
            id = self.dropped.popleft()
            left = self._counts.get(id, 0) - 1
            if left > 0:
                self._counts[id] = left
                continue
            self._counts.pop(id, None)
            self._objects.pop(id, None)
            stream = self._streams.pop(id, None)
            if stream is not None and hasattr(stream.items, "close"):
                stream.items.close()
            actor = self._actors.get(id)
            if actor is not None and not actor.detached:
                self._end_actor(id, "the last handle of it is gone")

    def make_ref(self, id: bytes) -> ObjectRef[Any]:
        return ObjectRef(id, self)

    def adopt_ids(self, ids: list[bytes]) -> list[ObjectRef[Any]]:
        refs: list[ObjectRef[Any]] = [ObjectRef(id, self) for id in ids]
        self.adopt_refs(refs)
        return refs

    def adopt_refs(self, refs: list[ObjectRef[Any]]) -> None:
        with self._lock:
            for ref in refs:
                self._counts[ref._id] = self._counts.get(ref._id, 0) + 1

    def adopt_ref(self, id: bytes) -> ObjectRef[Any]:
        ref = ObjectRef[Any](id, self)
        self.adopt_refs([ref])
        return ref

    def adopt_actor(self, id: bytes, class_name: str, interface: bytes) -> ActorHandle:
        with self._lock:
            self._counts[id] = self._counts.get(id, 0) + 1
        return ActorHandle(id, self, Interface.unpack(class_name, interface))

    def adopt_stream(self, id: bytes) -> Any:
        raise _errors.UnsupportedFormatError("a stream was passed inside a value")

    def pin(self, id: bytes) -> None:
        with self._lock:
            self._counts[id] = self._counts.get(id, 0) + 1

    # ----------------------------------------------------------------------------------------------------------------------------- calls

    def submit(self, function: RemoteFunction[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call: Callable[..., Any] | None = function._function
        portable = call is None
        if call is None:
            from thornback.worker import _served

            call = _served.get(function._name, (None, False))[0]
        prefix = self.ids.prefix()
        target = _target(function._name, function._options, function._returns)
        if call is None:
            failure = failure_pb2.Failure(code=Code.FUNCTION_NOT_FOUND, message=f"No pool serves the function {function._name!r}.")
            return self._refs(prefix, target, _Failed(failure))
        job = _job(prefix, b"", target)
        options = function._options
        attempts = 1 + (options.get("max_retries", 3) if options.get("retry_exceptions") else 0)
        return self._call(prefix, job, target, call, args, kwargs, portable, attempts, options.get("retry_exceptions"))

    def _call(
        self,
        prefix: bytes,
        job: _context.Job,
        target: Target,
        call: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        portable: bool,
        attempts: int = 1,
        retried: Any = None,
    ) -> Any:
        """Runs a call and gives its refs."""
        encode = _values.encode_portable if portable else _values.encode
        # Here, as elsewhere, what cannot be encoded raises at the call.
        given = [value if isinstance(value, ObjectRef) else encode(value) for value in args]
        named = {key: value if isinstance(value, ObjectRef) else encode(value) for key, value in kwargs.items()}
        for value in (*given, *named.values()):
            state = self._objects.get(value._id) if isinstance(value, ObjectRef) else None
            if isinstance(state, _Failed):
                return self._refs(prefix, target, state)
        while True:
            attempts -= 1
            in_user_code = False
            try:
                decoded = [self._argument(value) for value in given]
                decoded_named = {key: self._argument(value) for key, value in named.items()}
                in_user_code = True
                result = contextvars.copy_context().run(_in_job, job, call, decoded, decoded_named)
                in_user_code = False
                if target.returns < 0:
                    if inspect.isasyncgen(result):
                        result = self._iterate(result, self._actors.get(job.actor))
                    self._streams[job.task] = _Stream(iter(result), job, target)
                    self._counts[job.task] = 1
                    return ObjectRefGenerator(job.task, self)
                return self._refs(prefix, target, result)
            except (SystemExit, Exception, ExitActor, KeyboardInterrupt) as error:
                if isinstance(error, KeyboardInterrupt) and not job.cancelled:
                    raise  # Ctrl-C of whoever runs the test.
                if attempts > 0 and (retried is True or isinstance(error, tuple(retried or ()))):
                    continue
                if isinstance(error, SystemExit):
                    failure = failure_pb2.Failure(code=Code.WORKER_DIED, message="The task ended its worker process.", task=job.task)
                else:
                    failure = failure_of(error, job, in_user_code, _INLINE_BYTES)
                if isinstance(error, (SystemExit, ExitActor)) and job.actor:
                    self._end_actor(job.actor, "it ended itself")
                    failure = failure_pb2.Failure(code=Code.ACTOR_DIED, message="The actor ended itself.", task=job.task, actor=job.actor)
                return self._refs(prefix, target, _Failed(failure))

    def _argument(self, value: Any) -> Any:
        if isinstance(value, ObjectRef):
            return self.get_one(value, None)
        return self._decode(value)

    def _refs(self, prefix: bytes, target: Target, result: Any) -> Any:
        """The refs of a call's results."""
        returns = target.returns
        if isinstance(result, _Failed):
            if returns < 0:
                task = prefix + frames.INDEX_SELF
                stream = self._streams[task] = _Stream(iter(()), _job(prefix, b"", target), target)
                stream.failure = result.failure
                self._counts[task] = 1
                return ObjectRefGenerator(task, self)
            values: list[Any] = [result] * returns
        elif returns == 1:
            values = [_values.encode(result)]
        elif returns == 0:
            values = []
        else:
            values = self._several(target, result)
        refs = [self._new(prefix + index.to_bytes(4, "big"), value) for index, value in enumerate(values, 1)]
        if returns == 1:
            return refs[0]
        return refs if returns else None

    def _several(self, target: Target, result: Any) -> list[Any]:
        count = target.returns
        if inspect.isgenerator(result):
            values: list[Any] = [_values.encode(value) for value, _ in zip(result, range(count), strict=False)]
            text = f"{target.name} yielded {len(values)} values; num_returns says {count}"
            short = _Failed(failure_pb2.Failure(code=Code.STREAM_TOO_SHORT, message=text))
            return values + [short] * (count - len(values))
        if isinstance(result, (str, bytes, dict, set)):
            raise ValueError(f"{target.name} returned a {type(result).__name__}; num_returns={count} wants a tuple or list of that length")
        items = list(result)
        if len(items) != count:
            raise ValueError(f"{target.name} returned {len(items)} values; num_returns says {count}")
        return [_values.encode(item) for item in items]

    # ---------------------------------------------------------------------------------------------------------------------------- actors

    def create_actor(self, cls: ActorClass[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> ActorHandle:
        options = cls._options
        name, namespace = options.get("name", ""), options.get("namespace", self.namespace)
        taken = self._find(name, namespace) if name else None
        if taken is not None:
            if options.get("get_if_exists", False):
                return self.adopt_actor(taken, cls._interface.class_name, cls._interface.packed)
            raise _errors.ActorNameTakenError(f"A live actor has the name {name!r} in the namespace {namespace!r}.")
        prefix = self.ids.prefix()
        id = prefix + frames.INDEX_SELF
        actor = self._actors[id] = _Actor(cls._interface, name, namespace)
        actor.detached = options.get("lifetime") == "detached"
        self._counts[id] = 1
        handle = ActorHandle(id, self, cls._interface)
        target = _target(cls._name, options, 1)
        made: Any = cls._class
        if made is None:
            from thornback.worker import _served

            made = _served.get(cls._name, (None, True))[0]
        if made is None:
            actor.dead = failure_pb2.Failure(code=Code.FUNCTION_NOT_FOUND, message=f"No pool serves the class {cls._name!r}.")
            return handle
        if cls._interface.asynchronous:
            actor.loop = asyncio.new_event_loop()

        def create(*given: Any, **named: Any) -> None:
            actor.instance = made(*given, **named)

        ref = self._call(prefix, _job(prefix, id, target), target, create, args, kwargs, cls._class is None)
        outcome = self._objects.get(ref._id)
        if isinstance(outcome, _Failed):
            died = failure_pb2.Failure(code=Code.ACTOR_DIED, message="The actor could not be created.", actor=id)
            died.cause.CopyFrom(outcome.failure)
            actor.dead = died
        return handle

    def call(self, method: ActorMethod, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        id = method._actor._actor_id
        spec = method._spec
        prefix = self.ids.prefix()
        target = _target(spec.name, spec.options, method._returns)
        actor = self._actors.get(id)
        dead = actor.dead if actor is not None else failure_pb2.Failure(code=Code.ACTOR_DIED, message="The actor is gone.", actor=id)
        if actor is None or dead is not None:
            assert dead is not None
            return self._refs(prefix, target, _Failed(dead))
        function = getattr(actor.instance, spec.name)

        def run(*given: Any, **named: Any) -> Any:
            result = function(*given, **named)
            return self._complete(result, actor) if inspect.iscoroutine(result) else result

        return self._call(prefix, _job(prefix, id, target), target, run, args, kwargs, method._actor._interface.open)

    def _complete(self, coroutine: Any, actor: _Actor | None) -> Any:
        """Runs a coroutine to its end in the actor's loop; in a thread of its own, since this one may have a loop that runs."""
        loop = actor.loop if actor is not None and actor.loop is not None else asyncio.new_event_loop()
        outcome: list[Any] = []
        context = contextvars.copy_context()

        def run() -> None:
            try:
                outcome.append((context.run(loop.run_until_complete, coroutine), None))
            except BaseException as error:
                outcome.append((None, error))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        value, error = outcome[0]
        if error is not None:
            raise error
        return value

    def _iterate(self, items: Any, actor: _Actor | None) -> Iterator[Any]:
        async def advance() -> Any:
            return await anext(items, _CHUNK_END)

        while (item := self._complete(advance(), actor)) is not _CHUNK_END:
            yield item

    def _find(self, name: str, namespace: str) -> bytes | None:
        self._collect()
        for id, actor in self._actors.items():
            if actor.name == name and actor.namespace == namespace and actor.dead is None:
                return id
        return None

    def get_actor(self, name: str, namespace: str) -> ActorHandle:
        id = self._find(name, namespace or self.namespace)
        if id is None:
            raise _errors.ActorNotFoundError(f"No live actor has the name {name!r} in the namespace {namespace or self.namespace!r}.")
        interface = self._actors[id].interface
        return self.adopt_actor(id, interface.class_name, interface.packed)

    def kill(self, id: bytes, restart: bool, graceful: bool) -> None:
        self._end_actor(id, "it was killed")

    def _end_actor(self, id: bytes, why: str) -> None:
        actor = self._actors.get(id)
        if actor is not None and actor.dead is None:
            actor.dead = failure_pb2.Failure(code=Code.ACTOR_DIED, message=f"The actor is dead: {why}.", actor=id)
            actor.instance = None
            if actor.loop is not None and not actor.loop.is_running():
                actor.loop.close()

    def cancel(self, id: bytes, force: bool, recursive: bool) -> None:
        """Everything has run by now, except the rest of a stream."""
        stream = self._streams.get(id)
        if stream is not None and not stream.ended and stream.failure is None:
            stream.failure = failure_pb2.Failure(code=Code.CANCELLED, message="the task was cancelled while it ran", task=id)
            stream.items = iter(())

    # --------------------------------------------------------------------------------------------------------------------------- objects

    def put(self, value: Any) -> ObjectRef[Any]:
        return self._new(self.ids.prefix() + frames.INDEX_FIRST, _values.encode(value))

    def get_one(self, ref: ObjectRef[Any], timeout: float | None) -> Any:
        try:
            state = self._objects[ref._id]
        except KeyError:
            raise _errors.InvalidArgumentError("the ref belongs to a runtime that has been shut down") from None
        if isinstance(state, _Failed):
            raise _errors.from_failure(state.failure)
        if state is None:
            raise _errors.GetTimeoutError(f"{ref!r} is the end of a stream that has not been read to its end, and nobody else reads it")
        return self._decode(state)

    def _decode(self, state: Encoded | bytes) -> Any:
        if isinstance(state, bytes):
            return _arena.decode(memoryview(state), self)
        return _values.decode(state.format, state.data, [bytes(buffer) for buffer in state.buffers], state.schema, self)

    def get_many(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        for ref in refs:
            if isinstance(self._objects.get(ref._id), _Failed):
                self.get_one(ref, timeout)
        return [self.get_one(ref, timeout) for ref in refs]

    def wait_many(self, ids: list[bytes], num_returns: int, timeout: float | None, fetch: bool) -> list[int]:
        return list(range(num_returns))

    def when_readable(self, ref: ObjectRef[Any], done: Callable[[], None]) -> None:
        if self._objects.get(ref._id, b"") is None:
            self._waiting.setdefault(ref._id, []).append(done)
        else:
            done()

    def create(self, id: bytes, size: int, task: bytes = b"", attempt: int = 0) -> value_pb2.Location:
        return value_pb2.Location(size=size)

    def write_chunks(self, id: bytes, data: bytearray) -> None:
        self._rooms[id] = bytes(data)

    def abort(self, id: bytes) -> None:
        self._rooms.pop(id, None)

    def seal(self, id: bytes, refs: Sequence[bytes] = ()) -> None:
        """What was written is whole."""

    def adopt_stored(self, id: bytes, size: int) -> ObjectRef[Any]:
        return self._new(id, self._rooms.pop(id))

    # --------------------------------------------------------------------------------------------------------------------------- streams

    def wait_stream(self, id: bytes, taken: int, deadline: float | None) -> bool:
        return True

    def when_streamed(self, id: bytes, taken: int, done: Callable[[], None]) -> None:
        done()

    def take_item(self, id: bytes, taken: int) -> ObjectRef[Any] | None:
        stream = self._streams[id]
        if stream.ended:
            return None
        item_id = id[:12] + (taken + 1).to_bytes(4, "big")
        try:
            value = contextvars.copy_context().run(_in_job, stream.job, next, [stream.items], {})
            return self._new(item_id, _values.encode(value))
        except StopIteration:
            stream.ended = True
        except Exception as error:
            stream.ended = True
            stream.failure = failure_of(error, stream.job, True, _INLINE_BYTES)
        ref = self._new(item_id, _Failed(stream.failure)) if stream.failure is not None else None
        if stream.completed is not None:
            self._finish_stream(stream, stream.completed)
        return ref

    def stream_completed(self, id: bytes) -> ObjectRef[None]:
        stream = self._streams[id]
        end = id[:12] + b"\xff\xff\xff\xff"
        ref = self._new(end, self._objects.get(end))
        stream.completed = end
        if stream.ended:
            self._finish_stream(stream, end)
        return ref

    def _finish_stream(self, stream: _Stream, end: bytes) -> None:
        if end in self._objects:
            self._objects[end] = _Failed(stream.failure) if stream.failure is not None else _values.encode(None)
            for done in self._waiting.pop(end, ()):
                done()

    def stream_finished(self, id: bytes, taken: int) -> bool:
        return self._streams[id].ended

    # --------------------------------------------------------------------------------------------------------------------------- control

    def request(self, **kind: Any) -> control_pb2.Reply:
        (name,) = kind
        if name == "get_status":
            status = control_pb2.Status(server_version="local", node=self.node_id, nodes=1)
            status.total.amounts["CPU"] = status.available.amounts["CPU"] = 10_000
            return control_pb2.Reply(status=status)
        if name == "create_placement_group":
            self._objects[kind[name].group[:12] + frames.INDEX_FIRST] = _values.encode(None)
        elif name not in ("remove_placement_group", "declare_pool"):
            raise _errors.InvalidArgumentError(f"testing.local does not know {name}")
        return control_pb2.Reply(done=control_pb2.Empty())

    def post_request(self, **kind: Any) -> None:
        self.request(**kind)

    def collect_output(self) -> None: ...

    def close(self) -> None:
        self._collect()
        for id in list(self._actors):
            self._end_actor(id, "the runtime was closed")


def _target(name: str, options: Any, returns: int) -> Target:
    message = task_pb2.Declare(function=name, returns=returns, accepts=[_values.PICKLE])
    if options.kind != "method":
        for resource, amount in options.resources().items():
            message.resources.amounts[resource] = amount
    return Target(message)


def _job(prefix: bytes, actor: bytes, target: Target) -> _context.Job:
    return _context.Job(prefix + frames.INDEX_SELF, _context.Order(worker_pb2.Run(attempt=1, actor=actor), target))


def _in_job(job: _context.Job, call: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    _context.job.set(job)
    return call(*args, **kwargs)


__all__ = ["local"]
